// What the unrolled view saves: its copies and the uses of a weight as a drawing, and its numbers as CSV.
import { num, two } from "../shared/format";
import { type Pen, round, type Size } from "../shared/save";
import { t as words } from "../shared/words";
import { type Data, inputAt, stateAt, type UnitData, type UsesData, useAt, widthOf } from "./data";

/** What is on the page of timesteps, a number a line: input, states, the unit's terms, the uses of the weight. */
export function tableOf(data: Data, uses: UsesData | null, seen: UnitData | null): string {
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

export function draw(pen: Pen, data: Data, uses: UsesData | null, t: number, k: number, from: number, unit: number): Size {
  const { info, layer, states } = data;
  const [ink, soft, line, violet, accent, red] = ["--fl-text-1", "--fl-text-2", "--fl-line-strong", "--fl-op-recurrent", "--fl-accent", "--fl-phase-backward"].map((name) => pen.colour(name));
  const arrow = (x0: number, y0: number, x1: number, y1: number, stroke: string, w = 1.5, dash = "") => {
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const [dx, dy] = [((x1 - x0) / length) * 7, ((y1 - y0) / length) * 7];
    pen.path(`M${round(x0)} ${round(y0)}L${round(x1 - dx)} ${round(y1 - dy)}`, stroke, w, dash ? ` stroke-dasharray="${dash}"` : "");
    pen.parts.push(`<path d="M${round(x1)} ${round(y1)}L${round(x1 - dx - dy / 1.8)} ${round(y1 - dy + dx / 1.8)}L${round(x1 - dx + dy / 1.8)} ${round(y1 - dy - dx / 1.8)}z" fill="${stroke}"/>`);
  };
  const shown = Array.from({ length: Math.max(1, k) }, (_, j) => (k ? from + j : t));
  const [LEFT, COL, CARD, TOP] = [60, 150, 108, 100];
  const height = 34 + states.length * 46;
  const right = LEFT + shown.length * COL + 20;
  pen.text(k ? words("{node}: {n} of its {all} copies", { node: layer.node, n: k, all: layer.timesteps }) : layer.node, 20, 26, 15, ink, "start", true);
  pen.text(words("{n} variables, {m} numbers to learn, the same in every copy; unit {unit}", { n: info.variables.length, m: info.numbers, unit }), 20, 44, 11, soft);
  const most = uses ? Math.max(...shown.flatMap((s) => [uses.direct[s] || 0, uses.later[s] || 0]), 1e-30) : 0;
  const xTop = TOP + height + 30;
  const useTop = xTop + 56;
  shown.forEach((s, j) => {
    const x = LEFT + j * COL;
    const middle = x + CARD / 2;
    pen.parts.push(`<rect x="${x}" y="${TOP}" width="${CARD}" height="${height}" rx="7" fill="#ffffff" stroke="${s === t ? accent : violet}" stroke-width="${s === t ? 2.5 : 1.5}"/>`);
    pen.text(`t = ${s}`, x + 8, TOP + 18, 12, ink, "start", true);
    states.forEach((state, q) => {
      const v = stateAt(data, state, s);
      if (!v) return;
      pen.cells(v, 1, v.length, x + 8, TOP + 26 + q * 46, CARD - 16, 18, state.scale);
      const at = unit / info.units_step;
      pen.text(`${state.name} = ${Number.isInteger(at) ? num(v[at]) : "…"}`, x + 8, TOP + 58 + q * 46, 11, ink);
    });
    const input = inputAt(data, s);
    if (input) pen.cells(input, 1, input.length, x + 8, xTop, CARD - 16, 14, data.xScale);
    pen.text(`x(${s})${info.symbols[s - info.start] ? ` ${info.symbols[s - info.start]}` : ""}`, middle, xTop + 30, 11, soft, "middle");
    arrow(middle, xTop - 3, middle, TOP + height + 2, line);
    arrow(middle, TOP - 2, middle, TOP - 30, line);
    arrow(x + CARD + 2, TOP + height / 2 - 6, x + COL - 3, TOP + height / 2 - 6, violet, 2);
    if (uses) {
      arrow(x + COL - 3, TOP + height / 2 + 8, x + CARD + 3, TOP + height / 2 + 8, red, widthOf(uses.later[s], most));
      pen.text(two(uses.later[s]), x + CARD + 21, TOP + height / 2 + 24, 9, red, "middle");
      const dw = useAt(uses, s);
      if (dw) {
        const step = Math.max(1, Math.ceil(Math.max(uses.info.rows, uses.info.cols) / 24));
        const [rows, cols] = [Math.ceil(uses.info.rows / step), Math.ceil(uses.info.cols / step)];
        pen.cells(Float32Array.from({ length: rows * cols }, (_, q) => dw[Math.floor(q / cols) * step * uses.info.cols + (q % cols) * step]), rows, cols, x + 8, useTop, CARD - 16, 44, { lo: -uses.info.each_limit, hi: uses.info.each_limit, map: "div" });
        pen.text(`dW(${s}) ${num(uses.norms[s])}`, middle, useTop + 58, 10, soft, "middle");
      }
    }
    pen.parts.push(`<path d="M${x + 8} ${TOP + height}V${xTop + 42}" stroke="${line}" stroke-dasharray="4 3" fill="none"/>`);
  });
  arrow(20, TOP + height / 2 - 6, LEFT - 3, TOP + height / 2 - 6, violet, 2);
  pen.parts.push(`<path d="M20 ${xTop + 42}H${LEFT + (shown.length - 1) * COL + 8}" stroke="${line}" stroke-dasharray="4 3" fill="none"/>`);
  pen.text(words("same W"), 20, xTop + 38, 10, soft);
  let bottom = useTop + (uses ? 72 : 0);
  if (uses) {
    pen.text(words("What each timestep adds to ‖dW‖ = {total}, {weight}", { total: num(uses.size), weight: uses.info.weight }), 20, bottom + 16, 12, ink, "start", true);
    const sizes = [...uses.along].filter(Number.isFinite).map(Math.abs);
    const top = Math.max(...sizes, 1e-30);
    const each = (right - 40) / uses.along.length;
    uses.along.forEach((v, s) => { if (Number.isFinite(v)) pen.parts.push(`<rect x="${round(20 + s * each)}" y="${round(bottom + 66 - Math.max(0, v / top) * 40)}" width="${round(Math.max(0.5, each * 0.75))}" height="${round(Math.max(0.5, (Math.abs(v) / top) * 40))}" fill="${v >= 0 ? violet : accent}"/>`); });
    bottom += 116;
  }
  return { width: Math.max(right, 460), height: bottom };
}
