// The picture as a file: PNG and SVG to print or to publish, on white paper, and the numbers as CSV.
import * as React from "react";
import type { Notice } from "../protocol.gen";
import { css, inkOn, scaleOf } from "../shared/color";
import { download } from "../shared/download";
import { short } from "../shared/format";
import { canvasOf, type Drawing, hex, onPaper, plainColour, PRINT, quoted } from "../shared/print";
import { t as words } from "../shared/words";
import { boxOf, type Data, mapOf, type Moment, type Scale, scaleFor } from "./data";
import type { Model } from "../shared/wire";
import { cellSize, type Root } from "./tiles";

const REST = 1500;      // ms after the last change

export function Save({ data, moment, y, x, o, c, root, tell }: { data: Data; moment: Moment; y: number; x: number; o: number; c: number; root: Root; tell(notice: Notice | null): void }) {
  const name = data.layer.node.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  const save = async (kind: string) => {
    if (kind === "csv") {
      download(new Blob([csvOf(data, moment, y, x, o)], { type: "text/csv" }), `${name}.csv`);
      return;
    }
    const element = root.current;
    if (!element) return;
    const svg = drawn(data, moment, y, x, o, c, element);
    if (kind === "svg") download(new Blob([svg.text], { type: "image/svg+xml" }), `${name}.svg`);
    else {
      const canvas = await canvasOf(svg, PRINT);
      const png = canvas && await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
      if (png) download(png, `${name}.png`);
      else tell({ type: "notice", level: "alert", text: "The picture could not be drawn.", hint: "Save it as SVG.", node: null, edge: null, why: false });
    }
  };
  return (
    <select className="save" aria-label={words("Save picture or data")} value="" onChange={(e) => { void save(e.currentTarget.value); e.currentTarget.value = ""; }}>
      <option value="" disabled>{words("Save …")}</option>
      <option value="png">PNG</option><option value="svg">SVG</option><option value="csv">CSV</option>
    </select>
  );
}

/** The window on screen and the map it belongs to, a number a line. */
export function csvOf(data: Data, m: Moment, y: number, x: number, o: number): string {
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


function svgOf(data: Data, m: Moment, y: number, x: number, o: number, c: number, paper: HTMLElement, font: string): Drawing {
  const { info, layer } = data;
  const parts: string[] = [];
  const n = (v: number) => String(+v.toFixed(2));
  const style = getComputedStyle(paper);
  const colour = (name: string) => plainColour(style.getPropertyValue(name).trim(), paper, name);
  const [ink, soft, accent, violet] = ["--fl-text-1", "--fl-text-2", "--fl-accent", "--fl-past"].map(colour);
  const text = (s: string, tx: number, ty: number, size = 11, fill = ink, anchor = "start", bold = false) =>
    parts.push(`<text x="${n(tx)}" y="${n(ty)}" font-size="${size}" fill="${fill}"${anchor === "start" ? "" : ` text-anchor="${anchor}"`}${bold ? ' font-weight="600"' : ""}>${quoted(s)}</text>`);
  const frame = (rx: number, ry: number, w: number, h: number, stroke: string, dash = "") => parts.push(`<rect x="${n(rx)}" y="${n(ry)}" width="${n(w)}" height="${n(h)}" fill="none" stroke="${stroke}" stroke-width="2"${dash ? ` stroke-dasharray="${dash}"` : ""}/>`);
  const cells = (map: ArrayLike<number>, rows: number, cols: number, left: number, top: number, kw: number, kh: number, scale: Scale, numbers = false) => {
    const shade = scaleOf(paper, scale.map);
    for (let k = 0; k < rows * cols; k++) {
      const rgb = shade(Math.max(0, Math.min(1, (map[k] - scale.lo) / (scale.hi - scale.lo || 1))));
      const [cx, cy] = [left + (k % cols) * kw, top + Math.floor(k / cols) * kh];
      parts.push(`<rect x="${n(cx)}" y="${n(cy)}" width="${n(kw + 0.3)}" height="${n(kh + 0.3)}" fill="${Number.isFinite(map[k]) ? hex(css(rgb)) : "#c00000"}"/>`);
      if (numbers && kw >= 26) text(short(Number(map[k].toPrecision(2))), cx + kw / 2, cy + kh / 2 + 4, 10, inkOn(rgb) === "#000" ? "#000000" : "#ffffff", "middle");
    }
  };
  const TOP = 64;
  let left = 20;
  text(`${layer.node}: ${info.source.replace(/:0$/, "")} → ${info.result.replace(/:0$/, "")}`, 20, 26, 15, ink, "start", true);
  text(words("One window: channel {o} at row {y}, column {x}", { o, y, x }), 20, 43, 11, soft);
  const map = (title: string, which: "x" | "y", channel: number, rows: number, cols: number, scale: Scale, window: [number, number, number, number] | null) => {
    const k = cellSize(240, rows, cols);
    text(title, left, TOP - 6, 11, soft);
    const sent = mapOf(data, which, channel);
    // a map of many cells is drawn coarser: each cell is an element of the file
    if (sent) {
      const step = Math.max(1, Math.ceil(Math.max(sent.rows, sent.cols) / 96));
      const [rr, cc] = [Math.ceil(sent.rows / step), Math.ceil(sent.cols / step)];
      cells(Float32Array.from({ length: rr * cc }, (_, q) => sent.map[Math.floor(q / cc) * step * sent.cols + (q % cc) * step]), rr, cc, left, TOP, (cols * k) / cc, (rows * k) / rr, scale);
    }
    if (window) frame(left + window[1] * k - 1, TOP + window[0] * k - 1, (window[3] - window[1]) * k + 2, (window[2] - window[0]) * k + 2, accent);
    left += cols * k + 22;
  };
  const size = m.rows.length * m.cols.length;
  const box: [number, number, number, number] | null = size ? [m.rows[0].at, m.cols[0].at, m.rows[m.rows.length - 1].at + 1, m.cols[m.cols.length - 1].at + 1] : null;
  map(words("Input"), "x", m.channels.from + c, layer.rows, layer.cols, scaleFor(info.x_limit, info.x_signed), box);
  const grid = (title: string, values: Float64Array, scale: Scale) => {
    const k = Math.floor(132 / Math.max(m.rows.length, m.cols.length, 1));
    text(title, left, TOP - 6, 11, soft);
    cells(values.subarray(c * size, (c + 1) * size), m.rows.length, m.cols.length, left, TOP, k, k, scale, true);
    left += m.cols.length * k + 22;
  };
  grid(words("Window"), m.patch, scaleFor(info.x_limit, info.x_signed));
  if (layer.kind === "conv" || layer.kind === "transpose") {
    grid(words("Kernel"), m.weights, scaleFor(info.w_limit, true));
    grid(words("Products"), m.products, scaleFor(Math.max(...[...m.products].map(Math.abs).filter(Number.isFinite), 0) || 1, true));
  }
  map(words("Output"), "y", o, info.out_rows, info.out_cols, scaleFor(info.y_limit, info.y_signed), [y, x, y + 1, x + 1]);
  text(`y = ${short(m.value)}`, left - 20, TOP + 256, 13, ink, "end", true);
  let right = left;
  left = 20;
  const second = TOP + 300;
  if (data.fields.length) text(words("What this pixel sees, and where it is seen"), 20, second - 24, 13, ink, "start", true);
  for (const f of data.fields) {
    const k = cellSize(120, f.info.rows, f.info.cols, 24);
    const [rows, cols] = [Math.ceil(f.info.rows / f.info.step), Math.ceil(f.info.cols / f.info.step)];
    text(f.info.name, left, second - 6, 10, soft);
    cells(f.map, rows, cols, left, second, (f.info.cols * k) / cols, (f.info.rows * k) / rows, scaleFor(f.info.limit, f.info.signed));
    const [y0, x0, y1, x1] = boxOf(f, y, x);
    if (y1 > y0) frame(left + x0 * k - 1, second + y0 * k - 1, (x1 - x0) * k + 2, (y1 - y0) * k + 2, f.info.direction === "down" ? violet : accent, f.info.direction === "down" ? "5 3" : "");
    left += Math.max(f.info.cols * k, f.info.name.length * 6) + 20;
    right = Math.max(right, left);
  }
  const [width, height] = [right, data.fields.length ? second + 150 : TOP + 280];
  return { text: `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="${n(width)}" height="${n(height)}" viewBox="0 0 ${n(width)} ${n(height)}" font-family="${quoted(font)}">\n<rect width="100%" height="100%" fill="#ffffff"/>\n${parts.join("\n")}\n</svg>\n`, width, height };
}

function drawn(data: Data, m: Moment, y: number, x: number, o: number, c: number, element: HTMLElement): Drawing {
  return onPaper(element, (paper, font) => svgOf(data, m, y, x, o, c, paper, font));
}

/** Sends a picture a little after the view came to rest, for the notebook's saved output. Nobody waits for an answer. */
export function useSaved(model: Model, root: Root, data: Data | null, m: Moment | null, y: number, x: number, o: number, c: number): void {
  const last = React.useRef("");
  React.useEffect(() => {
    if (!data || !m?.ready) return;
    const timer = window.setTimeout(() => {
      const element = root.current;
      if (!element) return;
      const svg = drawn(data, m, y, x, o, c, element);
      if (svg.text === last.current) return;
      last.current = svg.text;
      void canvasOf(svg, 1.5).then((canvas) => {
        if (!canvas) return;
        try {
          model.send({ type: "picture", png: canvas.toDataURL("image/png"), width: svg.width, height: svg.height });
        } catch (error) {
          console.warn("flowlab: the kernel did not take the picture", error);
        }
      });
    }, REST);
    return () => window.clearTimeout(timer);
  }, [model, root, data, m, y, x, o, c]);
}
