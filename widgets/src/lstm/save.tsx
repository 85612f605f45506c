// What the LSTM view saves: its maps, ledger and gradient as a drawing, and its numbers as CSV.
import { num } from "../shared/format";
import { type Pen, round, type Size } from "../shared/save";
import { t as words, told } from "../shared/words";
import { type LayerData, WORDS, momentOf, rangeOf } from "./data";
import { sentence } from "./diagram";

const CELLS = [120, 48] as const;       // most columns and rows of a printed map: each cell is an element of the file

/** Every step and unit of the page on screen, with the two halves of its ledger and, where it is known, the size of the gradient at the step. */
export function tableOf(data: LayerData): string {
  const { shown } = data.kind;
  const lines = [["step", "unit", ...shown, "keep", "write", ...(data.norm ? ["gradient"] : [])].join()];
  for (let t = 0; t < data.steps; t++) {
    for (let u = 0; u < data.units; u++) {
      const m = momentOf(data, t, u);
      lines.push([t + data.from, u + data.unitFrom, ...shown.map((k) => m[k]), m.keep, m.write, ...(data.norm ? [data.norm[t + data.from]] : [])].join());
    }
  }
  return `${lines.join("\n")}\n`;
}

export function draw(pen: Pen, data: LayerData, t: number, unit: number): Size {
  const { info, kind } = data;
  const [ink, soft, accent, line, keep, write] = ["--fl-text-1", "--fl-text-2", "--fl-accent", "--fl-line", "--fl-op-state", "--fl-seq-7"].map((name) => pen.colour(name));
  const [LEFT, WIDE] = [110, 520];
  const at = (k: number) => LEFT + (k * WIDE) / data.steps;
  /** rows × columns numbers, `value(row, column)`; what does not fit is left out by every so many. */
  const map = (rows: number, cols: number, y: number, high: number, lo: number, hi: number, scale: "seq" | "div", value: (r: number, c: number) => number) => {
    const [sc, sr] = [Math.max(1, Math.ceil(cols / CELLS[0])), Math.max(1, Math.ceil(rows / CELLS[1]))];
    const [nc, nr] = [Math.ceil(cols / sc), Math.ceil(rows / sr)];
    pen.cells(Float32Array.from({ length: nr * nc }, (_, q) => value(Math.floor(q / nc) * sr, (q % nc) * sc)), nr, nc, LEFT, y, WIDE, high, { lo, hi, map: scale });
  };
  pen.text(`${info.layers[info.layer].node} · ${kind.name}`, 20, 26, 15, ink, "start", true);
  pen.text(words("One step of unit {unit}, t = {t}", { unit: unit + data.unitFrom, t: t + data.from }), 20, 43, 11, soft);
  let y = 58;
  pen.text(words("Input"), 20, y + 14, 12, ink, "start", true);
  pen.text(told(info.strip_label).slice(0, 17), 20, y + 28, 9, soft);
  const { strip_rows: rows, strip_cols: cols, strip_channels: channels } = info;
  if (info.strip_image) map(rows, cols, y, 56, 0, 1, "seq", (r, c) => 1 - data.strip[(r * cols + c) * channels]);
  else map(rows, cols, y, 56, info.strip_lo, info.strip_hi, info.strip_map, (r, c) => data.strip[r * cols + c]);
  y += 64;
  for (const row of info.reading) {
    pen.text(row.label, 20, y + 9, 10, soft);
    row.symbols.forEach((s, k) => { if (WIDE / data.steps > 6 * s.length) pen.text(s, at(k + 0.5), y + 9, 9, ink, "middle"); });
    y += 14;
  }
  const top = y;
  const high = 66;
  const moment = momentOf(data, t, unit);
  for (const letter of kind.shown) {
    const { lo, hi, map: scale } = rangeOf(letter, info.c_limit);
    pen.text(letter, 20, y + 16, 17, ink, "start", true, true);
    pen.text(words(WORDS[letter]), 36, y + 15, 10, soft);
    pen.text(num(moment[letter]), 20, y + 34, 13, ink, "start", true);
    pen.text(`${num(lo)} … ${num(hi)}`, 20, y + 50, 9, soft);
    map(data.units, data.steps, y, high, lo, hi, scale, (u, k) => data.values[letter]![k * data.units + u]);
    pen.rect(at(t), y + (unit * high) / data.units, WIDE / data.steps, high / data.units, "none", ` stroke="${accent}" stroke-width="2"`);
    y += high + 8;
  }
  pen.parts.push(`<path d="M${round(at(t + 0.5))} ${top - 4}V${y}" stroke="${accent}" stroke-width="1"/>`);
  for (let k = 0; k < data.steps; k += Math.max(1, Math.ceil(data.steps / 10))) pen.text(String(k + data.from), at(k + 0.5), y + 10, 10, soft, "middle");
  const bottom = y + 20;

  // the ledger beside them
  const [X, W, H] = [LEFT + WIDE + 76, 480, 220];
  pen.text(words("Memory ledger of unit {unit}", { unit: unit + data.unitFrom }), X, 70, 13, ink, "start", true);
  pen.text(`${words("keep")} ${kind.keep}   ${words("write")} ${kind.write}   ${kind.line}`, X, 86, 10, soft);
  const all = Array.from({ length: data.steps }, (_, k) => momentOf(data, k, unit));
  const sizes = all.flatMap((m) => [m.keep, m.total, 0]).filter(Number.isFinite);
  const [lo, hi] = sizes.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [0, 0]);
  const px = (v: number) => 96 + H - ((v - lo) / (hi - lo || 1)) * H;
  const wide = Math.max(0.5, (W / data.steps) * 0.8);
  const bar = (k: number, from: number, to: number, w: number, fill: string, extra: string) => Number.isFinite(from + to) && pen.rect(X + ((k + 0.5) * W) / data.steps - w / 2, Math.min(px(from), px(to)), w, Math.abs(px(from) - px(to)), fill, extra);
  all.forEach((m, k) => {
    bar(k, 0, m.keep, wide, keep, ' fill-opacity="0.3"');
    bar(k, m.keep, m.total, wide / 2, write, "");
  });
  pen.parts.push(`<path d="${all.map((m, k) => (Number.isFinite(m.total) ? `${k && Number.isFinite(all[k - 1].total) ? "L" : "M"}${round(X + ((k + 0.5) * W) / data.steps)} ${round(px(m.total))}` : "")).join("")}" fill="none" stroke="${ink}" stroke-width="1.5"/>`);
  pen.parts.push(`<path d="M${X} ${round(px(0))}h${W}" stroke="${line}"/><path d="M${round(X + ((t + 0.5) * W) / data.steps)} 96v${H}" stroke="${accent}"/>`);
  pen.text(num(hi), X - 6, 100, 10, soft, "end");
  pen.text(num(lo), X - 6, 96 + H, 10, soft, "end");
  pen.text(sentence(moment, t + data.from, info.kind), X, 96 + H + 24, 11, ink);
  if (data.norm) {
    const Y = 96 + H + 56;
    pen.text(words("‖∂L/∂{letter}(t)‖, log · now {value}", { letter: kind.memory, value: num(data.norm[t + data.from]) }), X, Y - 10, 13, ink, "start", true);
    const logs = [...data.norm].map((v) => (v > 0 ? Math.log10(v) : NaN));
    const known = logs.filter(Number.isFinite);
    const [a, b] = known.reduce(([p, q], v) => [Math.min(p, v), Math.max(q, v)], [Infinity, -Infinity]);
    pen.parts.push(`<path d="${logs.map((v, k) => (Number.isFinite(v) ? `${k && Number.isFinite(logs[k - 1]) ? "L" : "M"}${round(X + ((k + 0.5) * W) / logs.length)} ${round(Y + 90 - ((v - a) / (b - a || 1)) * 84)}` : "")).join("")}" fill="none" stroke="${pen.colour("--fl-phase-backward")}" stroke-width="1.5"/>`);
    if (known.length) { pen.text(num(10 ** b), X - 6, Y + 8, 10, soft, "end"); pen.text(num(10 ** a), X - 6, Y + 92, 10, soft, "end"); }
  }
  return { width: X + W + 24, height: Math.max(bottom, data.norm ? 500 : 380) };
}
