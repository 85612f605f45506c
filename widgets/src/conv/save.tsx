// What the convolution view saves: its window and maps as a drawing, and its numbers as CSV.
import { short } from "../shared/format";
import { scaleFor, type Scale } from "../shared/pixels";
import type { Pen, Size } from "../shared/save";
import { t as words } from "../shared/words";
import { boxOf, type Data, mapOf, type Moment } from "./data";
import { cellSize } from "./tiles";

/** The window on screen and the map it belongs to, a number a line. */
export function tableOf(data: Data, m: Moment, y: number, x: number, o: number): string {
  const lines = ["part,channel,row,column,value"];
  const size = m.rows.length * m.cols.length;
  for (let c = 0; c < m.channels.count; c++) {
    for (let k = 0; k < size; k++) {
      const at = `${m.channels.from + c},${m.rows[Math.floor(k / m.cols.length)].at},${m.cols[k % m.cols.length].at}`;
      lines.push(`window,${at},${m.patch[c * size + k]}`);
      if (data.layer.kind !== "max") lines.push(`weight,${m.channels.from + c},${m.rows[Math.floor(k / m.cols.length)].k},${m.cols[k % m.cols.length].k},${m.weights[c * size + k]}`, `product,${at},${m.products[c * size + k]}`);
    }
  }
  if (data.info.bias) lines.push(`bias,${o},,,${m.bias}`);
  lines.push(`value,${o},${y},${x},${m.value}`);
  const sent = mapOf(data, "y", o);
  if (sent) sent.map.forEach((v, k) => lines.push(`output,${o},${Math.floor(k / sent.cols) * sent.step},${(k % sent.cols) * sent.step},${v}`));
  return `${lines.join("\n")}\n`;
}

export function draw(pen: Pen, data: Data, m: Moment, y: number, x: number, o: number, c: number): Size {
  const { info, layer } = data;
  const [ink, soft, accent, violet] = ["--fl-text-1", "--fl-text-2", "--fl-accent", "--fl-past"].map((name) => pen.colour(name));
  const frame = (rx: number, ry: number, w: number, h: number, stroke: string, dash = "") => pen.rect(rx, ry, w, h, "none", ` stroke="${stroke}" stroke-width="2"${dash ? ` stroke-dasharray="${dash}"` : ""}`);
  const TOP = 64;
  let left = 20;
  pen.text(`${layer.node}: ${info.source.replace(/:0$/, "")} → ${info.result.replace(/:0$/, "")}`, 20, 26, 15, ink, "start", true);
  pen.text(words("One window: channel {o} at row {y}, column {x}", { o, y, x }), 20, 43, 11, soft);
  const map = (title: string, which: "x" | "y", channel: number, rows: number, cols: number, scale: Scale, window: [number, number, number, number] | null) => {
    const k = cellSize(240, rows, cols);
    pen.text(title, left, TOP - 6, 11, soft);
    const sent = mapOf(data, which, channel);
    // a map of many cells is drawn coarser: each cell is an element of the file
    if (sent) {
      const step = Math.max(1, Math.ceil(Math.max(sent.rows, sent.cols) / 96));
      const [rr, cc] = [Math.ceil(sent.rows / step), Math.ceil(sent.cols / step)];
      pen.cells(Float32Array.from({ length: rr * cc }, (_, q) => sent.map[Math.floor(q / cc) * step * sent.cols + (q % cc) * step]), rr, cc, left, TOP, cols * k, rows * k, scale);
    }
    if (window) frame(left + window[1] * k - 1, TOP + window[0] * k - 1, (window[3] - window[1]) * k + 2, (window[2] - window[0]) * k + 2, accent);
    left += cols * k + 22;
  };
  const size = m.rows.length * m.cols.length;
  const box: [number, number, number, number] | null = size ? [m.rows[0].at, m.cols[0].at, m.rows[m.rows.length - 1].at + 1, m.cols[m.cols.length - 1].at + 1] : null;
  map(words("Input"), "x", m.channels.from + c, layer.rows, layer.cols, scaleFor(info.x_limit, info.x_signed), box);
  const grid = (title: string, values: Float64Array, scale: Scale) => {
    const k = Math.floor(132 / Math.max(m.rows.length, m.cols.length, 1));
    pen.text(title, left, TOP - 6, 11, soft);
    pen.cells(values.subarray(c * size, (c + 1) * size), m.rows.length, m.cols.length, left, TOP, m.cols.length * k, m.rows.length * k, scale, (v) => short(Number(v.toPrecision(2))));
    left += m.cols.length * k + 22;
  };
  grid(words("Window"), m.patch, scaleFor(info.x_limit, info.x_signed));
  if (layer.kind === "conv" || layer.kind === "transpose") {
    grid(words("Kernel"), m.weights, scaleFor(info.w_limit, true));
    grid(words("Products"), m.products, scaleFor(Math.max(...[...m.products].map(Math.abs).filter(Number.isFinite), 0) || 1, true));
  }
  map(words("Output"), "y", o, info.out_rows, info.out_cols, scaleFor(info.y_limit, info.y_signed), [y, x, y + 1, x + 1]);
  pen.text(`y = ${short(m.value)}`, left - 20, TOP + 256, 13, ink, "end", true);
  let right = left;
  left = 20;
  const second = TOP + 300;
  if (data.fields.length) pen.text(words("What this pixel sees, and where it is seen"), 20, second - 24, 13, ink, "start", true);
  for (const f of data.fields) {
    const k = cellSize(120, f.info.rows, f.info.cols, 24);
    const [rows, cols] = [Math.ceil(f.info.rows / f.info.step), Math.ceil(f.info.cols / f.info.step)];
    pen.text(f.info.name, left, second - 6, 10, soft);
    pen.cells(f.map, rows, cols, left, second, f.info.cols * k, f.info.rows * k, scaleFor(f.info.limit, f.info.signed));
    const [y0, x0, y1, x1] = boxOf(f, y, x);
    if (y1 > y0) frame(left + x0 * k - 1, second + y0 * k - 1, (x1 - x0) * k + 2, (y1 - y0) * k + 2, f.info.direction === "down" ? violet : accent, f.info.direction === "down" ? "5 3" : "");
    left += Math.max(f.info.cols * k, f.info.name.length * 6) + 20;
    right = Math.max(right, left);
  }
  return { width: right, height: data.fields.length ? second + 150 : TOP + 280 };
}
