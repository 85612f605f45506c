// The picture as a file: PNG and SVG to print or to publish, on white paper, and the numbers as CSV.
import * as React from "react";
import type { Notice } from "../protocol.gen";
import { css, scaleOf } from "../shared/color";
import { download } from "../shared/download";
import { num } from "../shared/format";
import type { Root, Scale } from "../shared/pixels";
import { canvasOf, type Drawing, hex, onPaper, plainColour, PRINT, quoted } from "../shared/print";
import type { Model } from "../shared/wire";
import { t as words } from "../shared/words";
import { type Data, inputAt, stateAt, type UnitData, type UsesData, useAt, widthOf } from "./data";

const REST = 1500;      // ms after the last change

export function Save({ data, uses, seen, t, k, from, unit, root, tell }: {
  data: Data; uses: UsesData | null; seen: UnitData | null; t: number; k: number; from: number; unit: number; root: Root; tell(notice: Notice | null): void;
}) {
  const name = data.layer.node.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  const save = async (kind: string) => {
    if (kind === "csv") {
      download(new Blob([csvOf(data, uses, seen)], { type: "text/csv" }), `${name}.csv`);
      return;
    }
    if (!root.current) return;
    const svg = onPaper(root.current, (paper, font) => svgOf(data, uses, t, k, from, unit, paper, font));
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

/** What is on the page of timesteps, a number a line: input, states, the unit's terms, the uses of the weight. */
export function csvOf(data: Data, uses: UsesData | null, seen: UnitData | null): string {
  const { info } = data;
  const lines = ["part,timestep,index,value"];
  for (let t = info.start; t < info.start + info.count; t++) {
    inputAt(data, t)?.forEach((v, k) => lines.push(`x,${t},${k * info.features_step},${v}`));
    for (const s of data.states) stateAt(data, s, t)?.forEach((v, k) => lines.push(`${cell(s.name)},${t},${k * info.units_step},${v}`));
    if (seen) for (const term of seen.info.terms) lines.push(`${cell(`term ${term}`)},${t},${seen.info.unit},${seen.terms[term][t - info.start]}`);
  }
  uses?.along.forEach((v, t) => lines.push(`${cell(`along ${uses.info.weight}`)},${t},,${v}`, `${cell(`norm ${uses.info.weight}`)},${t},,${uses.norms[t]}`, `error,${t},,${uses.error[t]}`, `error from outputs,${t},,${uses.direct[t]}`, `error from later,${t},,${uses.later[t]}`));
  return `${lines.join("\n")}\n`;
}

// a name may hold anything; one that begins like a formula is no formula
const cell = (s: string) => `"${(/^[=+\-@\t\r]/.test(s) ? `'${s}` : s).replace(/"/g, '""')}"`;

function svgOf(data: Data, uses: UsesData | null, t: number, k: number, from: number, unit: number, paper: HTMLElement, font: string): Drawing {
  const { info, layer, states } = data;
  const parts: string[] = [];
  const n = (v: number) => String(+v.toFixed(2));
  const style = getComputedStyle(paper);
  const colour = (name: string) => plainColour(style.getPropertyValue(name).trim(), paper, name);
  const [ink, soft, line, violet, accent, red] = ["--fl-text-1", "--fl-text-2", "--fl-line-strong", "--fl-op-recurrent", "--fl-accent", "--fl-phase-backward"].map(colour);
  const text = (s: string, x: number, y: number, size = 11, fill = ink, anchor = "start", bold = false) =>
    parts.push(`<text x="${n(x)}" y="${n(y)}" font-size="${size}" fill="${fill}"${anchor === "start" ? "" : ` text-anchor="${anchor}"`}${bold ? ' font-weight="600"' : ""}>${quoted(s)}</text>`);
  const strip = (values: ArrayLike<number>, rows: number, cols: number, x: number, y: number, w: number, h: number, scale: Scale) => {
    const shade = scaleOf(paper, scale.map);
    for (let q = 0; q < rows * cols; q++) {
      const rgb = shade(Math.max(0, Math.min(1, (values[q] - scale.lo) / (scale.hi - scale.lo || 1))));
      parts.push(`<rect x="${n(x + ((q % cols) * w) / cols)}" y="${n(y + (Math.floor(q / cols) * h) / rows)}" width="${n(w / cols + 0.3)}" height="${n(h / rows + 0.3)}" fill="${Number.isFinite(values[q]) ? hex(css(rgb)) : "#c00000"}"/>`);
    }
  };
  const arrow = (x0: number, y0: number, x1: number, y1: number, stroke: string, w = 1.5, dash = "") => {
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const [dx, dy] = [((x1 - x0) / length) * 7, ((y1 - y0) / length) * 7];
    parts.push(`<path d="M${n(x0)} ${n(y0)}L${n(x1 - dx)} ${n(y1 - dy)}" stroke="${stroke}" stroke-width="${n(w)}" fill="none"${dash ? ` stroke-dasharray="${dash}"` : ""}/>`,
      `<path d="M${n(x1)} ${n(y1)}L${n(x1 - dx - dy / 1.8)} ${n(y1 - dy + dx / 1.8)}L${n(x1 - dx + dy / 1.8)} ${n(y1 - dy - dx / 1.8)}z" fill="${stroke}"/>`);
  };
  const shown = Array.from({ length: Math.max(1, k) }, (_, j) => (k ? from + j : t));
  const [LEFT, COL, CARD, TOP] = [60, 150, 108, 100];
  const height = 34 + states.length * 46;
  const right = LEFT + shown.length * COL + 20;
  text(k ? words("{node}: {n} of its {all} copies", { node: layer.node, n: k, all: layer.timesteps }) : layer.node, 20, 26, 15, ink, "start", true);
  text(words("{n} variables, {m} numbers to learn, the same in every copy; unit {unit}", { n: info.variables.length, m: info.numbers, unit }), 20, 44, 11, soft);
  const most = uses ? Math.max(...shown.flatMap((s) => [uses.direct[s] || 0, uses.later[s] || 0]), 1e-30) : 0;
  const xTop = TOP + height + 30;
  const useTop = xTop + 56;
  shown.forEach((s, j) => {
    const x = LEFT + j * COL;
    const middle = x + CARD / 2;
    parts.push(`<rect x="${x}" y="${TOP}" width="${CARD}" height="${height}" rx="7" fill="#ffffff" stroke="${s === t ? accent : violet}" stroke-width="${s === t ? 2.5 : 1.5}"/>`);
    text(`t = ${s}`, x + 8, TOP + 18, 12, ink, "start", true);
    states.forEach((state, q) => {
      const v = stateAt(data, state, s);
      if (!v) return;
      strip(v, 1, v.length, x + 8, TOP + 26 + q * 46, CARD - 16, 18, state.scale);
      const at = unit / info.units_step;
      text(`${state.name} = ${Number.isInteger(at) ? num(v[at]) : "…"}`, x + 8, TOP + 58 + q * 46, 11, ink);
    });
    const input = inputAt(data, s);
    if (input) strip(input, 1, input.length, x + 8, xTop, CARD - 16, 14, data.xScale);
    text(`x(${s})${info.symbols[s - info.start] ? ` ${info.symbols[s - info.start]}` : ""}`, middle, xTop + 30, 11, soft, "middle");
    arrow(middle, xTop - 3, middle, TOP + height + 2, line);
    arrow(middle, TOP - 2, middle, TOP - 30, line);
    arrow(x + CARD + 2, TOP + height / 2 - 6, x + COL - 3, TOP + height / 2 - 6, violet, 2);
    if (uses) {
      arrow(x + COL - 3, TOP + height / 2 + 8, x + CARD + 3, TOP + height / 2 + 8, red, widthOf(uses.later[s], most));
      text(num(+uses.later[s].toPrecision(2)), x + CARD + 21, TOP + height / 2 + 24, 9, red, "middle");
      const dw = useAt(uses, s);
      if (dw) {
        const step = Math.max(1, Math.ceil(Math.max(uses.info.rows, uses.info.cols) / 24));
        const [rows, cols] = [Math.ceil(uses.info.rows / step), Math.ceil(uses.info.cols / step)];
        strip(Float32Array.from({ length: rows * cols }, (_, q) => dw[Math.floor(q / cols) * step * uses.info.cols + (q % cols) * step]), rows, cols, x + 8, useTop, CARD - 16, 44, { lo: -uses.info.each_limit, hi: uses.info.each_limit, map: "div" });
        text(`dW(${s}) ${num(uses.norms[s])}`, middle, useTop + 58, 10, soft, "middle");
      }
    }
    parts.push(`<path d="M${x + 8} ${TOP + height}V${xTop + 42}" stroke="${line}" stroke-dasharray="4 3" fill="none"/>`);
  });
  arrow(20, TOP + height / 2 - 6, LEFT - 3, TOP + height / 2 - 6, violet, 2);
  parts.push(`<path d="M20 ${xTop + 42}H${LEFT + (shown.length - 1) * COL + 8}" stroke="${line}" stroke-dasharray="4 3" fill="none"/>`);
  text(words("same W"), 20, xTop + 38, 10, soft);
  let bottom = useTop + (uses ? 72 : 0);
  if (uses) {
    text(words("What each timestep adds to ‖dW‖ = {total}, {weight}", { total: num(uses.size), weight: uses.info.weight }), 20, bottom + 16, 12, ink, "start", true);
    const sizes = [...uses.along].filter(Number.isFinite).map(Math.abs);
    const top = Math.max(...sizes, 1e-30);
    const each = (right - 40) / uses.along.length;
    uses.along.forEach((v, s) => { if (Number.isFinite(v)) parts.push(`<rect x="${n(20 + s * each)}" y="${n(bottom + 66 - Math.max(0, v / top) * 40)}" width="${n(Math.max(0.5, each * 0.75))}" height="${n(Math.max(0.5, (Math.abs(v) / top) * 40))}" fill="${v >= 0 ? violet : accent}"/>`); });
    bottom += 116;
  }
  return { text: `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="${n(Math.max(right, 460))}" height="${n(bottom)}" viewBox="0 0 ${n(Math.max(right, 460))} ${n(bottom)}" font-family="${quoted(font)}">\n<rect width="100%" height="100%" fill="#ffffff"/>\n${parts.join("\n")}\n</svg>\n`, width: Math.max(right, 460), height: bottom };
}

/** Sends a picture a little after the view came to rest, for the notebook's saved output. Nobody waits for an answer. */
export function useSaved(model: Model, root: Root, data: Data | null, uses: UsesData | null, t: number, k: number, from: number, unit: number): void {
  const last = React.useRef("");
  React.useEffect(() => {
    if (!data) return;
    const timer = window.setTimeout(() => {
      if (!root.current) return;
      const svg = onPaper(root.current, (paper, font) => svgOf(data, uses, t, k, from, unit, paper, font));
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
  }, [model, root, data, uses, t, k, from, unit]);
}
