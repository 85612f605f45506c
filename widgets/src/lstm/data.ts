// One layer's numbers, as the kernel sent them, and the few sums that the page does itself.
import type { LSTMData } from "../protocol.gen";

/** Everything that has a heatmap, of any kind of layer. */
export type Shown = "f" | "i" | "g" | "o" | "c" | "h" | "r" | "z" | "n" | "u" | "s";
/** What can be held at a value. */
export type Gate = "f" | "i" | "g" | "o" | "r" | "z" | "n" | "h";
export type Kind = LSTMData["kind"];

interface Letters {
  name: string;
  shown: readonly Shown[];
  /** With a sum before its activation, in the order in which the kernel sends them. */
  sums: readonly Gate[];
  held: readonly Gate[];
  /** From 0 to 1. */
  shares: readonly Gate[];
  /** What the layer remembers in, and what its ledger adds up to. */
  memory: "c" | "h";
  total: "c" | "h" | "a";
  keep: string; write: string;
  line: string; dashed: string;
}

export const KINDS: Record<Kind, Letters> = {
  lstm: {
    name: "LSTM", shown: ["f", "i", "g", "o", "c", "h"], sums: ["f", "i", "g", "o"], held: ["f", "i", "g", "o"], shares: ["f", "i", "o"], memory: "c", total: "c",
    keep: "f·c(t−1)", write: "i·g", line: "c(t)", dashed: "h(t) = o·tanh c",
  },
  gru: {
    name: "GRU", shown: ["r", "z", "n", "h"], sums: ["r", "z", "n"], held: ["r", "z", "n"], shares: ["r", "z"], memory: "h", total: "h",
    keep: "z·h(t−1)", write: "(1−z)·n", line: "h(t)", dashed: "",
  },
  rnn: {
    name: "RNN", shown: ["u", "s", "h"], sums: [], held: ["h"], shares: [], memory: "h", total: "a",
    keep: "s = h(t−1)·R", write: "u = x·K + b", line: "a = s + u", dashed: "h(t) = tanh a",
  },
};

export const WORDS: Record<Shown, string> = {
  f: "forget", i: "input", g: "candidate", o: "output", c: "cell", h: "hidden, out", r: "reset", z: "update", n: "candidate", u: "from the input", s: "from the state",
};

export interface LayerData {
  info: LSTMData;
  kind: Letters;
  /** Of the page that was sent, the first of which are `from` and `unitFrom` of all. */
  steps: number;
  units: number;
  from: number;
  unitFrom: number;
  allSteps: number;
  allUnits: number;
  features: number;
  /** Its step 0 is the last of the input. */
  backward: boolean;
  /** Each steps × units, row by row in time. */
  values: Partial<Record<Shown, Float32Array>>;
  z: Partial<Record<Gate, Float32Array>>;
  /** What the first step of the page finds; c is empty where there is none. */
  c0: Float32Array;
  h0: Float32Array;
  strip: Float32Array;
  /** One number a step of the whole sequence. */
  norm: Float32Array | null;
}

/** What one unit does in one step; NaN for letters that its kind of layer has not. */
export type Moment = Record<Shown, number> & {
  z_: Partial<Record<Gate, number>>;
  /** The memory, and h, of the step before. */
  before: number; shown: number;
  /** What was kept and what was written: together they are the total. */
  keep: number; write: number; total: number;
  tanh: number;
};

export function layerOf(info: LSTMData, buffers: Float32Array[]): LayerData {
  const kind = KINDS[info.kind];
  const { units, timesteps, features, from_the_end } = info.layers[info.layer];
  const rest = [...buffers];
  const values = Object.fromEntries(kind.shown.map((k) => [k, rest.shift()])) as LayerData["values"];
  const z = Object.fromEntries(kind.sums.map((k) => [k, rest.shift()])) as LayerData["z"];
  const c0 = kind.memory === "c" ? rest.shift()! : new Float32Array();
  const [h0, strip, norm] = rest;
  return {
    info, kind, units: info.unit_count, features, steps: info.t_count, from: info.t_from, unitFrom: info.unit_from, allSteps: timesteps, allUnits: units,
    backward: from_the_end, values, z, c0, h0, strip: strip ?? new Float32Array(), norm: info.norm ? norm : null,
  };
}

/** `t` and `unit` count from the page's first. */
export function momentOf(d: LayerData, t: number, unit: number): Moment {
  const k = t * d.units + unit;
  const at = (letter: Shown) => d.values[letter]?.[k] ?? NaN;
  const [f, i, g, o, c, h, r, z, n, u, s] = (["f", "i", "g", "o", "c", "h", "r", "z", "n", "u", "s"] as const).map(at);
  const shown = t > 0 ? d.values.h![k - d.units] : d.h0[unit];
  const before = d.kind.memory === "h" ? shown : t > 0 ? d.values.c![k - d.units] : d.c0[unit];
  const [keep, write, total, tanh] = d.kind.total === "c" ? [f * before, i * g, c, Math.tanh(c)] : d.kind.total === "h" ? [z * before, (1 - z) * n, h, NaN] : [s, u, s + u, h];
  return { f, i, g, o, c, h, r, z, n, u, s, z_: Object.fromEntries(d.kind.sums.map((gate) => [gate, d.z[gate]![k]])), before, shown, keep, write, total, tanh };
}

/** Which step of the input a step of this layer reads. */
export function inputOf(d: LayerData, t: number): number {
  return d.backward && t < d.info.length ? d.info.length - 1 - t : t;
}

/** units × steps, as heatmaps are drawn: a row a unit. */
export function transposed(a: Float32Array, steps: number, units: number): Float32Array {
  const out = new Float32Array(a.length);
  for (let t = 0; t < steps; t++) for (let u = 0; u < units; u++) out[u * steps + t] = a[t * units + u];
  return out;
}

/** The scale of a heatmap: fixed by what it shows, never by the moment. */
export function rangeOf(name: Shown, limit: number): { lo: number; hi: number; map: "seq" | "div"; middle: number } {
  if ("fiorz".includes(name)) return { lo: 0, hi: 1, map: "seq", middle: 0.5 };
  return "cus".includes(name) ? { lo: -limit, hi: limit, map: "div", middle: 0 } : { lo: -1, hi: 1, map: "div", middle: 0 };
}

/** How many values lie beyond the scale and take its last colour. */
export function clipped(a: Float32Array, lo: number, hi: number): number {
  let n = 0;
  for (const x of a) if (x < lo || x > hi) n++;
  return n;
}

/** The share of units whose gate is nearly shut and nearly open in this step. */
export function saturation(a: Float32Array, units: number, t: number): { shut: number; open: number } {
  let shut = 0;
  let open = 0;
  for (let k = t * units; k < (t + 1) * units; k++) {
    if (a[k] < 0.1) shut++;
    else if (a[k] > 0.9) open++;
  }
  return { shut: shut / units, open: open / units };
}
