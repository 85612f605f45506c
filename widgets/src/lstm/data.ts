// One layer's numbers, as the kernel sent them, and the few sums that the page does itself.
import type { LSTMData } from "../protocol.gen";

export const SHOWN = ["f", "i", "g", "o", "c", "h"] as const;
export const GATES = ["f", "i", "g", "o"] as const;
export type Shown = (typeof SHOWN)[number];
export type Gate = (typeof GATES)[number];

export const WORDS: Record<Shown, string> = { f: "forget", i: "input", g: "candidate", o: "output", c: "cell", h: "hidden, out" };

export interface LayerData {
  info: LSTMData;
  steps: number;
  units: number;
  features: number;
  /** Each steps × units, row by row in time. */
  values: Record<Shown, Float32Array>;
  z: Record<Gate, Float32Array>;
  c0: Float32Array;
  h0: Float32Array;
  strip: Float32Array;
  norm: Float32Array | null;
}

/** What one unit does in one step. */
export interface Moment {
  f: number; i: number; g: number; o: number; c: number; h: number;
  z: Record<Gate, number>;
  /** c and h of the step before. */
  before: number; shown: number;
  /** f · c(t−1) and i · g: together they are c. */
  keep: number; write: number;
  tanh: number;
}

export function layerOf(info: LSTMData, buffers: Float32Array[]): LayerData {
  const [f, i, g, o, c, h, zf, zi, zg, zo, c0, h0, strip, norm] = buffers;
  const { units, timesteps, features } = info.layers[info.layer];
  return {
    info, units, features, steps: timesteps, values: { f, i, g, o, c, h }, z: { f: zf, i: zi, g: zg, o: zo }, c0, h0,
    strip: strip ?? new Float32Array(), norm: info.norm ? norm : null,
  };
}

export function momentOf(d: LayerData, t: number, unit: number): Moment {
  const k = t * d.units + unit;
  const { f, i, g, o, c, h } = d.values;
  const before = t > 0 ? c[k - d.units] : d.c0[unit];
  return {
    f: f[k], i: i[k], g: g[k], o: o[k], c: c[k], h: h[k],
    z: { f: d.z.f[k], i: d.z.i[k], g: d.z.g[k], o: d.z.o[k] },
    before, shown: t > 0 ? h[k - d.units] : d.h0[unit],
    keep: f[k] * before, write: i[k] * g[k], tanh: Math.tanh(c[k]),
  };
}

/** units × steps, as heatmaps are drawn: a row a unit. */
export function transposed(a: Float32Array, steps: number, units: number): Float32Array {
  const out = new Float32Array(a.length);
  for (let t = 0; t < steps; t++) for (let u = 0; u < units; u++) out[u * steps + t] = a[t * units + u];
  return out;
}

/** The scale of a heatmap: fixed by what it shows, never by the moment. */
export function rangeOf(name: Shown, limit: number): { lo: number; hi: number; map: "seq" | "div"; middle: number } {
  if (name === "f" || name === "i" || name === "o") return { lo: 0, hi: 1, map: "seq", middle: 0.5 };
  return name === "c" ? { lo: -limit, hi: limit, map: "div", middle: 0 } : { lo: -1, hi: 1, map: "div", middle: 0 };
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
