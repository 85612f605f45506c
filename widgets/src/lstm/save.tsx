// The view as a file: PNG and SVG to print or to publish, on white paper, and the numbers as CSV.
import * as React from "react";
import type { Notice } from "../protocol.gen";
import { css, scaleOf } from "../shared/color";
import { download } from "../shared/download";
import { num } from "../shared/format";
import { canvasOf, type Drawing, hex, onPaper, plainColour, PRINT, quoted } from "../shared/print";
import type { Model } from "../shared/wire";
import { t as words, told } from "../shared/words";
import { type LayerData, WORDS, momentOf, rangeOf } from "./data";
import { sentence } from "./diagram";

type Root = React.RefObject<HTMLDivElement | null>;

const REST = 1500;      // ms after the last change
const CELLS = [120, 48] as const;       // most columns and rows of a printed map: each cell is an element of the file

export function Save({ data, t, unit, root, tell }: { data: LayerData; t: number; unit: number; root: Root; tell(notice: Notice | null): void }) {
  const name = data.info.layers[data.info.layer].node.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  const save = async (kind: string) => {
    if (kind === "csv") {
      download(new Blob([csvOf(data)], { type: "text/csv" }), `${name}.csv`);
      return;
    }
    const element = root.current;
    if (!element) return;
    const svg = drawn(data, t, unit, element);
    if (kind === "svg") {
      download(new Blob([svg.text], { type: "image/svg+xml" }), `${name}.svg`);
      return;
    }
    const canvas = await canvasOf(svg, PRINT);
    const png = canvas && await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
    if (png) download(png, `${name}.png`);
    else tell({ type: "notice", level: "alert", text: "The picture could not be drawn.", hint: "Save it as SVG.", node: null, edge: null, why: false });
  };
  return (
    <select className="save" aria-label={words("Save picture or data")} value="" onChange={(e) => { void save(e.currentTarget.value); e.currentTarget.value = ""; }}>
      <option value="" disabled>{words("Save …")}</option>
      <option value="png">PNG</option><option value="svg">SVG</option><option value="csv">CSV</option>
    </select>
  );
}

/** Every step and unit of the page on screen, with the two halves of its ledger and, where it is known, the size of the gradient at the step. */
export function csvOf(data: LayerData): string {
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

function svgOf(data: LayerData, t: number, unit: number, paper: HTMLElement, font: string): Drawing {
  const { info, kind } = data;
  const parts: string[] = [];
  const n = (v: number) => String(+v.toFixed(2));
  const style = getComputedStyle(paper);
  const colour = (name: string) => plainColour(style.getPropertyValue(name).trim(), paper, name);
  const [ink, soft, accent, line, keep, write] = ["--fl-text-1", "--fl-text-2", "--fl-accent", "--fl-line", "--fl-op-state", "--fl-seq-7"].map(colour);
  const text = (s: string, x: number, y: number, size = 11, fill = ink, extra = "") => parts.push(`<text x="${n(x)}" y="${n(y)}" font-size="${size}" fill="${fill}"${extra}>${quoted(s)}</text>`);
  const rect = (x: number, y: number, w: number, h: number, fill: string, extra = "") => parts.push(`<rect x="${n(x)}" y="${n(y)}" width="${n(w)}" height="${n(h)}" fill="${fill}"${extra}/>`);
  const [LEFT, WIDE] = [110, 520];
  const at = (k: number) => LEFT + (k * WIDE) / data.steps;
  /** rows × columns numbers, `value(row, column)`; what does not fit is left out by every so many. */
  const map = (rows: number, cols: number, y: number, high: number, lo: number, hi: number, scale: "seq" | "div", value: (r: number, c: number) => number) => {
    const shade = scaleOf(paper, scale);
    const [sc, sr] = [Math.max(1, Math.ceil(cols / CELLS[0])), Math.max(1, Math.ceil(rows / CELLS[1]))];
    const [nc, nr] = [Math.ceil(cols / sc), Math.ceil(rows / sr)];
    for (let r = 0; r < nr; r++) for (let c = 0; c < nc; c++) {
      const v = value(r * sr, c * sc);
      rect(LEFT + (c * WIDE) / nc, y + (r * high) / nr, WIDE / nc + 0.3, high / nr + 0.3, Number.isFinite(v) ? hex(css(shade(Math.max(0, Math.min(1, (v - lo) / (hi - lo || 1)))))) : "#c00000");
    }
  };
  text(`${info.layers[info.layer].node} · ${kind.name}`, 20, 26, 15, ink, ' font-weight="600"');
  text(words("One step of unit {unit}, t = {t}", { unit: unit + data.unitFrom, t: t + data.from }), 20, 43, 11, soft);
  let y = 58;
  text(words("Input"), 20, y + 14, 12, ink, ' font-weight="600"');
  text(told(info.strip_label).slice(0, 17), 20, y + 28, 9, soft);
  const { strip_rows: rows, strip_cols: cols, strip_channels: channels } = info;
  if (info.strip_image) map(rows, cols, y, 56, 0, 1, "seq", (r, c) => 1 - data.strip[(r * cols + c) * channels]);
  else map(rows, cols, y, 56, info.strip_lo, info.strip_hi, info.strip_map, (r, c) => data.strip[r * cols + c]);
  y += 64;
  for (const row of info.reading) {
    text(row.label, 20, y + 9, 10, soft);
    row.symbols.forEach((s, k) => { if (WIDE / data.steps > 6 * s.length) text(s, at(k + 0.5), y + 9, 9, ink, ' text-anchor="middle"'); });
    y += 14;
  }
  const top = y;
  const high = 66;
  const moment = momentOf(data, t, unit);
  for (const letter of kind.shown) {
    const { lo, hi, map: scale } = rangeOf(letter, info.c_limit);
    text(letter, 20, y + 16, 17, ink, ' font-style="italic" font-weight="600"');
    text(words(WORDS[letter]), 36, y + 15, 10, soft);
    text(num(moment[letter]), 20, y + 34, 13, ink, ' font-weight="600"');
    text(`${num(lo)} … ${num(hi)}`, 20, y + 50, 9, soft);
    map(data.units, data.steps, y, high, lo, hi, scale, (u, k) => data.values[letter]![k * data.units + u]);
    rect(at(t), y + (unit * high) / data.units, WIDE / data.steps, high / data.units, "none", ` stroke="${accent}" stroke-width="2"`);
    y += high + 8;
  }
  parts.push(`<path d="M${n(at(t + 0.5))} ${top - 4}V${y}" stroke="${accent}" stroke-width="1"/>`);
  for (let k = 0; k < data.steps; k += Math.max(1, Math.ceil(data.steps / 10))) text(String(k + data.from), at(k + 0.5), y + 10, 10, soft, ' text-anchor="middle"');
  const bottom = y + 20;

  // the ledger beside them
  const [X, W, H] = [LEFT + WIDE + 76, 480, 220];
  text(words("Memory ledger of unit {unit}", { unit: unit + data.unitFrom }), X, 70, 13, ink, ' font-weight="600"');
  text(`${words("keep")} ${kind.keep}   ${words("write")} ${kind.write}   ${kind.line}`, X, 86, 10, soft);
  const all = Array.from({ length: data.steps }, (_, k) => momentOf(data, k, unit));
  const sizes = all.flatMap((m) => [m.keep, m.total, 0]).filter(Number.isFinite);
  const [lo, hi] = sizes.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [0, 0]);
  const px = (v: number) => 96 + H - ((v - lo) / (hi - lo || 1)) * H;
  const wide = Math.max(0.5, (W / data.steps) * 0.8);
  const bar = (k: number, from: number, to: number, w: number, fill: string, extra: string) => Number.isFinite(from + to) && rect(X + ((k + 0.5) * W) / data.steps - w / 2, Math.min(px(from), px(to)), w, Math.abs(px(from) - px(to)), fill, extra);
  all.forEach((m, k) => {
    bar(k, 0, m.keep, wide, keep, ' fill-opacity="0.3"');
    bar(k, m.keep, m.total, wide / 2, write, "");
  });
  parts.push(`<path d="${all.map((m, k) => (Number.isFinite(m.total) ? `${k && Number.isFinite(all[k - 1].total) ? "L" : "M"}${n(X + ((k + 0.5) * W) / data.steps)} ${n(px(m.total))}` : "")).join("")}" fill="none" stroke="${ink}" stroke-width="1.5"/>`);
  parts.push(`<path d="M${X} ${n(px(0))}h${W}" stroke="${line}"/><path d="M${n(X + ((t + 0.5) * W) / data.steps)} 96v${H}" stroke="${accent}"/>`);
  text(num(hi), X - 6, 100, 10, soft, ' text-anchor="end"');
  text(num(lo), X - 6, 96 + H, 10, soft, ' text-anchor="end"');
  text(sentence(moment, t + data.from, info.kind), X, 96 + H + 24, 11, ink);
  if (data.norm) {
    const Y = 96 + H + 56;
    text(words("‖∂L/∂{letter}(t)‖, log · now {value}", { letter: kind.memory, value: num(data.norm[t + data.from]) }), X, Y - 10, 13, ink, ' font-weight="600"');
    const logs = [...data.norm].map((v) => (v > 0 ? Math.log10(v) : NaN));
    const known = logs.filter(Number.isFinite);
    const [a, b] = known.reduce(([p, q], v) => [Math.min(p, v), Math.max(q, v)], [Infinity, -Infinity]);
    parts.push(`<path d="${logs.map((v, k) => (Number.isFinite(v) ? `${k && Number.isFinite(logs[k - 1]) ? "L" : "M"}${n(X + ((k + 0.5) * W) / logs.length)} ${n(Y + 90 - ((v - a) / (b - a || 1)) * 84)}` : "")).join("")}" fill="none" stroke="${colour("--fl-phase-backward")}" stroke-width="1.5"/>`);
    if (known.length) { text(num(10 ** b), X - 6, Y + 8, 10, soft, ' text-anchor="end"'); text(num(10 ** a), X - 6, Y + 92, 10, soft, ' text-anchor="end"'); }
  }
  const [width, height] = [X + W + 24, Math.max(bottom, data.norm ? 500 : 380)];
  return { text: `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="${n(width)}" height="${n(height)}" viewBox="0 0 ${n(width)} ${n(height)}" font-family="${quoted(font)}">\n<rect width="100%" height="100%" fill="#ffffff"/>\n${parts.join("\n")}\n</svg>\n`, width, height };
}

function drawn(data: LayerData, t: number, unit: number, element: HTMLElement): Drawing {
  return onPaper(element, (paper, font) => svgOf(data, t, unit, paper, font));
}

/** Sends a picture a little after the view came to rest, for the notebook's saved output. Nobody waits for an answer. */
export function useSaved(model: Model, root: Root, data: LayerData | null, t: number, unit: number): void {
  const last = React.useRef("");
  React.useEffect(() => {
    if (!data) return;
    const timer = window.setTimeout(() => {
      if (!root.current) return;
      const svg = drawn(data, t, unit, root.current);
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
  }, [model, root, data, t, unit]);
}

