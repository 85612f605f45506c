// One layer's numbers, as the kernel sent them, and what the page works out itself: one window, term by term.
import type { ConvData, ConvField, ConvLayer, ConvWindow } from "../protocol.gen";

export interface FieldData {
  info: ConvField;
  map: Float32Array;
  /** For each row (column) of the layer on screen: the first row there, and one past the last. */
  rows: [Float32Array, Float32Array];
  cols: [Float32Array, Float32Array];
}

export interface Data {
  info: ConvData;
  layer: ConvLayer;
  x: Float32Array;
  y: Float32Array;
  w: Float32Array | null;
  bias: Float32Array | null;
  /** The derivative by the output; by the input (pooling), or by the kernel for this sample and for the batch. */
  g: Float32Array | null;
  dx: Float32Array | null;
  dw: Float32Array | null;
  total: Float32Array | null;
  fields: FieldData[];
}

export function dataOf(info: ConvData, buffers: Float32Array[]): Data {
  const rest = [...buffers];
  const next = () => rest.shift() ?? new Float32Array();
  const layer = info.layers[info.layer];
  const weighted = layer.kind === "conv" || layer.kind === "transpose";
  const x = next();
  const y = next();
  const w = weighted ? next() : null;
  const bias = info.bias ? next() : null;
  const g = info.gradient ? next() : null;
  const own = info.gradient ? next() : null;
  const total = info.gradient && weighted ? next() : null;
  const fields = info.fields.map((f): FieldData => ({ info: f, map: next(), rows: [next(), next()], cols: [next(), next()] }));
  return { info, layer, x, y, w: info.whole ? w : null, bias, g, dx: weighted ? null : own, dw: weighted ? own : null, total, fields };
}

/** One place of the input and the place of the kernel that meets it. */
export type Tap = { at: number; k: number };

/** What place `o` of the output is made of along an axis: 0 rows, 1 columns. */
export function tapsOf(d: Data, axis: 0 | 1, o: number): Tap[] {
  const { info, layer } = d;
  const size = axis ? layer.cols : layer.rows;
  const out = axis ? info.out_cols : info.out_rows;
  if (info.adaptive) {
    const from = Math.floor((o * size) / out);
    return Array.from({ length: Math.ceil(((o + 1) * size) / out) - from }, (_, k) => ({ at: from + k, k }));
  }
  const [k, s, dil, before] = [info.size[axis], info.stride[axis], info.dilation[axis], info.padding[2 * axis]];
  if (layer.kind !== "transpose") return Array.from({ length: k }, (_, j) => ({ at: o * s - before + j * dil, k: j }));
  const found: Tap[] = [];
  for (let j = k - 1; j >= 0; j--) {
    const at = (o + before - j * dil) / s;
    if (Number.isInteger(at) && at >= 0 && at < size) found.push({ at, k: j });
  }
  return found;
}

/** Which place of the output has the window that is nearest to this place of the input. */
export function placeOf(d: Data, axis: 0 | 1, at: number): number {
  const { info, layer } = d;
  const size = axis ? layer.cols : layer.rows;
  const out = axis ? info.out_cols : info.out_rows;
  if (info.adaptive) return clamp(Math.floor((at * out) / size), out);
  const [k, s, dil, before] = [info.size[axis], info.stride[axis], info.dilation[axis], info.padding[2 * axis]];
  const middle = (dil * (k - 1)) / 2;
  return clamp(Math.round(layer.kind === "transpose" ? at * s - before + middle : (at + before - middle) / s), out);
}

export const clamp = (n: number, count: number): number => Math.max(0, Math.min(count - 1, n));

/** The input channels that one output channel reads. */
export function channelsOf(d: Data, o: number): { from: number; count: number } {
  const { layer, info } = d;
  if (layer.kind === "max" || layer.kind === "average") return { from: o, count: 1 };
  const count = layer.channels / info.groups;
  return { from: Math.floor(o / (layer.filters / info.groups)) * count, count };
}

/** Where a weight stands in the kernel's buffer: output channel o, the c-th of the channels that it reads. */
export function weightAt(d: Data, o: number, c: number, i: number, j: number): number {
  const [kh, kw] = d.info.size;
  const each = d.layer.filters / d.info.groups;
  const row = d.layer.kind === "transpose" ? (channelsOf(d, o).from + c) * each + (o % each) : o * (d.layer.channels / d.info.groups) + c;
  return (row * kh + i) * kw + j;
}

/** What one window does: its values, what they are multiplied with, and what that comes to. */
export interface Moment {
  rows: Tap[];
  cols: Tap[];
  channels: { from: number; count: number };
  /** Input and products, channel by channel, rows × cols each; NaN-safe: `inside` says what is no padding. */
  patch: Float64Array;
  weights: Float64Array;
  products: Float64Array;
  inside: boolean[];
  sums: Float64Array;
  bias: number;
  /** Worked out here, and as it was recorded. */
  sum: number;
  value: number;
  /** The place in the window of the largest, −1 where there is none. */
  winner: number;
  counted: number;
  ready: boolean;
}

export function momentOf(d: Data, y: number, x: number, o: number, seen: Seen | null): Moment {
  const { layer, info } = d;
  const rows = tapsOf(d, 0, y);
  const cols = tapsOf(d, 1, x);
  const channels = channelsOf(d, o);
  const size = rows.length * cols.length;
  const [kh, kw] = info.size;
  const inside = rows.flatMap((r) => cols.map((c) => r.at >= 0 && r.at < layer.rows && c.at >= 0 && c.at < layer.cols));
  const patch = new Float64Array(channels.count * size);
  const weights = new Float64Array(channels.count * size);
  const products = new Float64Array(channels.count * size);
  const sums = new Float64Array(channels.count);
  const large = seen && seen.info.y === y && seen.info.x === x && seen.info.channel === o ? seen : null;
  const ready = info.whole || large !== null;
  const pooling = layer.kind === "max" || layer.kind === "average";
  const counted = layer.kind === "average" && !info.count_padding ? inside.filter(Boolean).length : size;
  let winner = -1;
  if (ready) {
    for (let c = 0; c < channels.count; c++) {
      for (let a = 0, k = 0; a < rows.length; a++) {
        for (let b = 0; b < cols.length; b++, k++) {
          const n = c * size + k;
          patch[n] = large ? large.patch[n] : inside[k] ? d.x[((channels.from + c) * layer.rows + rows[a].at) * layer.cols + cols[b].at] : 0;
          weights[n] = pooling ? 1 / counted : large ? large.kernel[(c * kh + rows[a].k) * kw + cols[b].k] : (d.w?.[weightAt(d, o, c, rows[a].k, cols[b].k)] ?? 0);
          products[n] = patch[n] * weights[n];
          sums[c] += products[n];
          // the first largest wins, and a NaN before all
          if (inside[k] && (winner < 0 || patch[k] > patch[winner] || (Number.isNaN(patch[k]) && !Number.isNaN(patch[winner])))) winner = k;
        }
      }
    }
  }
  const bias = info.bias ? (large ? large.bias : (d.bias?.[o] ?? 0)) : 0;
  const sum = layer.kind === "max" ? (winner < 0 ? Number.NEGATIVE_INFINITY : patch[winner]) : sums.reduce((a, b) => a + b, bias);
  const value = large ? large.value : info.whole ? d.y[(o * info.out_rows + y) * info.out_cols + x] : Number.NaN;
  return { rows, cols, channels, patch, weights, products, inside, sums, bias, sum, value, winner: layer.kind === "max" ? winner : -1, counted, ready };
}

/** The window of a large layer, asked of the kernel. */
export interface Seen {
  info: ConvWindow;
  patch: Float32Array;
  kernel: Float32Array;
  bias: number;
  value: number;
}

export interface SentMap { map: Float32Array; rows: number; cols: number; step: number }

// the same part of the same data is the same object, so that nothing is painted twice
const cut = new WeakMap<Float32Array, Map<number, SentMap>>();

/** One channel of the input or of the output, as far as it was sent; null where it was not. */
export function mapOf(d: Data, which: "x" | "y", channel: number): SentMap | null {
  const { info, layer } = d;
  const [from, count, step, data] = which === "x" ? [info.x_from, info.x_count, info.x_step, d.x] : [info.y_from, info.y_count, info.y_step, d.y];
  if (channel < from || channel >= from + count) return null;
  let known = cut.get(data);
  if (!known) cut.set(data, (known = new Map()));
  let found = known.get(channel);
  if (!found) {
    const rows = Math.ceil((which === "x" ? layer.rows : info.out_rows) / step);
    const cols = Math.ceil((which === "x" ? layer.cols : info.out_cols) / step);
    found = { map: data.subarray((channel - from) * rows * cols, (channel - from + 1) * rows * cols), rows, cols, step };
    known.set(channel, found);
  }
  return found;
}

/** Every place where one weight was used: input × gradient of the output there. Row by row of the output. */
export function usesOf(d: Data, o: number, c: number, i: number, j: number): { products: Float64Array; places: { y: number; x: number; at: [number, number] }[]; sum: number } {
  const { info, layer } = d;
  const products = new Float64Array(info.out_rows * info.out_cols);
  const places: { y: number; x: number; at: [number, number] }[] = [];
  const channel = channelsOf(d, o).from + c;
  let sum = 0;
  // of each place along an axis, where this weight meets the input
  const meets = (axis: 0 | 1, out: number, size: number, k: number) => Array.from({ length: out }, (_, o) => {
    const at = tapsOf(d, axis, o).find((t) => t.k === k)?.at ?? -1;
    return at < size ? at : -1;
  });
  const rows = meets(0, info.out_rows, layer.rows, i);
  const cols = meets(1, info.out_cols, layer.cols, j);
  for (let y = 0; y < info.out_rows; y++) {
    for (let x = 0; x < info.out_cols; x++) {
      if (rows[y] < 0 || cols[x] < 0) continue;
      places.push({ y, x, at: [rows[y], cols[x]] });
      if (!d.g) continue;
      const k = y * info.out_cols + x;
      products[k] = d.x[(channel * layer.rows + rows[y]) * layer.cols + cols[x]] * d.g[o * info.out_rows * info.out_cols + k];
      sum += products[k];
    }
  }
  return { products, places, sum };
}

/** (y0, x0, y1, x1) on one of the maps around, for a pixel of this layer; as slices, y1 and x1 are past the end. */
export function boxOf(f: FieldData, y: number, x: number): [number, number, number, number] {
  return [f.rows[0][y], f.cols[0][x], f.rows[1][y], f.cols[1][x]];
}

export { type Scale, scaleFor } from "../shared/pixels";
