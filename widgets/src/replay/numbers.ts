// The values of a recorded run as the inspector and the canvas take them: what flowlab/widgets/values.py does, in the page.
import type { Stats, Thumb, Value } from "../protocol.gen";
import { num } from "../shared/format";
import type { Held, Run } from "./data";

const THUMB = 12;
const PICTURE = 96;
const EXACT = 64;
const BINS = 24;

type Array_ = Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array | BigInt64Array | BigUint64Array;
const KINDS = {
  float16: Float32Array, bfloat16: Float32Array, float32: Float32Array, float64: Float64Array, bool: Uint8Array, int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
} as const;

/** A slice of one axis as Python counts it, or one place. */
type Part = number | { start: number; step: number; count: number };
export class SliceError extends Error {
  constructor(message: string, readonly hint = "") { super(message); }
}

export class Numbers {
  constructor(private readonly bytes: ArrayBuffer, private readonly from: number, private readonly told: Run["tensors"]) {}

  floats(at: number, size: number): Float32Array { return new Float32Array(this.bytes, this.from + at, size); }

  array([dtype, shape, at]: Held): Array_ | null {
    const kind = KINDS[dtype as keyof typeof KINDS];
    return at === null || !kind ? null : new kind(this.bytes, this.from + at, sizeOf(shape));
  }

  /** The picture of a tensor on the canvas, its cells to be put at `offset`. */
  thumb(tensor: string, held: Held, offset: number): [Thumb, Float32Array] {
    const [dtype, shape, , small] = held;
    const data = this.array(held);
    if (data === null) {
      const { thumb, small: at } = small!;
      return [{ ...thumb, tensor, shape, dtype, offset }, this.floats(at, thumb.rows * thumb.cols)];
    }
    const cells = sampled(data, matrix(shape, null), THUMB);
    const first = data.length ? data[0] : null;
    const uniform = data.length > 1 && data.every((v) => v === first);
    let nan = 0;
    let inf = 0;
    if (dtype.includes("float")) for (const v of data as Float32Array) if (v !== v) nan++; else if (v === Infinity || v === -Infinity) inf++;
    const value = first !== null && (data.length === 1 || uniform) ? (dtype === "bool" ? (first ? "true" : "false") : num(Number(first))) : null;
    return [{ tensor, shape, dtype, rows: cells.rows, cols: cells.cols, offset, ...this.scale(tensor, data), value, uniform, nan, inf }, cells.data];
  }

  /** What the inspector shows of it; SliceError says what a slice does not fit. */
  value(tensor: string, held: Held, text: string): [Value, Float32Array] {
    const [dtype, shape, , small] = held;
    const words = { formula: this.told[tensor]?.formula ?? "", doc: this.told[tensor]?.doc ?? "" };
    const base = { type: "value" as const, tensor, known: true, shape, dtype, again: false, asked: false, ...words };
    const data = this.array(held);
    if (data === null) {
      const { picture, at } = small!;
      if (text.trim() && text.trim() !== picture.slice) throw new SliceError(`Of ${tensor} this file holds one picture and the statistics.`, "Write the file with more cells to slice it.");
      return [{ ...base, ...picture, json: null }, this.floats(at, picture.rows * picture.cols)];
    }
    const index = (shape.length > 2 || text.trim() !== "") && data.length ? readSlice(text, shape) : null;
    const cells = sampled(data, matrix(shape, index), PICTURE);
    return [{
      ...base, rows: cells.rows, cols: cells.cols, sampled: cells.skips, slice: index === null ? "" : sliceText(index.written), ...this.scale(tensor, data),
      json: data.length <= EXACT ? exact(data, shape, dtype) : null, stats: statsOf(data),
    }, cells.data];
  }

  /** Statistics of the part of a value that is in a box. */
  boxed(held: Held, box: string): { stats: Stats; number: string } {
    const data = this.array(held);
    if (data === null) return { stats: held[3]!.picture.stats, number: "" };
    const part = box.trim() ? all(data, held[1], readSlice(box, held[1], false).parts) : data;
    return { stats: statsOf(part), number: part.length === 1 ? num(Number(part[0])) : "" };
  }

  mean(held: Held): number | null {
    const data = this.array(held);
    return data === null ? held[3]!.picture.stats.mean : statsOf(data).mean;
  }

  private scale(tensor: string, data: Array_): { lo: number; hi: number; map: "seq" | "div" } {
    const told = this.told[tensor];
    const [lo, hi] = [told?.lo ?? -Infinity, told?.hi ?? Infinity];
    let top = 0;
    let below = false;
    for (const v of data) {
      const x = Math.abs(Number(v));
      if (x > top && x !== Infinity) top = x;
      if (v < 0) below = true;
    }
    if (!(top > 0)) top = 1;
    if (lo >= 0 || (told?.source && data.length && !below)) return { map: "seq", lo: 0, hi: Number.isFinite(hi) ? hi : top };
    if (Number.isFinite(lo) && Number.isFinite(hi)) return { map: "div", lo: -Math.max(-lo, hi), hi: Math.max(-lo, hi) };
    return { map: "div", lo: -top, hi: top };
  }
}

const SIZES: Record<string, number> = { float16: 2, bfloat16: 2 };

/** How large a value was in memory. */
export const bytesOf = ([dtype, shape]: Held): number => sizeOf(shape) * (SIZES[dtype] ?? KINDS[dtype as keyof typeof KINDS]?.BYTES_PER_ELEMENT ?? 0);

const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

function stridesOf(shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length);
  for (let k = shape.length - 1, step = 1; k >= 0; step *= shape[k--]) out[k] = step;
  return out;
}

type Plane = { offset: number; rows: number; cols: number; down: number; across: number };
type Index = { parts: Part[]; written: string[] };

/** The two-dimensional part that is shown: a scalar is a cell, a vector a row, of more axes the first place of each leading one. */
function matrix(shape: readonly number[], index: Index | null): Plane {
  const strides = stridesOf(shape);
  let offset = 0;
  const free: { count: number; stride: number }[] = [];
  shape.forEach((size, k) => {
    const part = index?.parts[k] ?? { start: 0, step: 1, count: size };
    if (typeof part === "number") offset += part * strides[k];
    else { offset += part.start * strides[k]; free.push({ count: part.count, stride: part.step * strides[k] }); }
  });
  const empty = free.slice(0, -2).some((f) => f.count === 0);
  const [a, b] = [free[free.length - 2] ?? { count: 1, stride: 0 }, free[free.length - 1] ?? { count: 1, stride: 0 }];
  return { offset, rows: empty ? 0 : a.count, cols: b.count, down: a.stride, across: b.stride };
}

/** At most `most` × `most` cells, every one a number that is really there. */
function sampled(data: Array_, plane: Plane, most: number): { data: Float32Array; rows: number; cols: number; skips: boolean } {
  const pick = (n: number) => Array.from({ length: Math.min(n, most) }, (_, i) => (n <= most ? i : i === most - 1 ? n - 1 : even(i * ((n - 1) / (most - 1)))));
  const rows = pick(plane.rows);
  const cols = pick(plane.cols);
  const out = new Float32Array(rows.length * cols.length);
  let k = 0;
  for (const r of rows) for (const c of cols) out[k++] = Number(data[plane.offset + r * plane.down + c * plane.across]);
  return { data: out, rows: rows.length, cols: cols.length, skips: rows.length !== plane.rows || cols.length !== plane.cols };
}

/** Rounded, a half to the even neighbour. */
function even(x: number): number {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2) : Math.round(x);
}

/** Every number of a part. */
function all(data: Array_, shape: readonly number[], parts: Part[]): Float64Array {
  const strides = stridesOf(shape);
  const out: number[] = [];
  const walk = (axis: number, at: number) => {
    if (axis === shape.length) { out.push(Number(data[at])); return; }
    const part = parts[axis];
    if (typeof part === "number") walk(axis + 1, at + part * strides[axis]);
    else for (let i = 0; i < part.count; i++) walk(axis + 1, at + (part.start + i * part.step) * strides[axis]);
  };
  walk(0, 0);
  return Float64Array.from(out);
}

/** `[0, :, ::2]` as places on each axis, for a picture with two free axes at most. */
export function readSlice(text: string, shape: readonly number[], picture = true): Index {
  let inner = text.trim();
  if (inner.length > 200) throw new SliceError("a slice has at most 200 characters.");
  if (inner.startsWith("[") && inner.endsWith("]")) inner = inner.slice(1, -1);
  const typed = inner.trim() ? inner.split(",").map((p) => p.trim()) : [];
  if (typed.length > shape.length) throw new SliceError(`the slice has ${typed.length} parts, the tensor ${shape.length} axes.`, "Write one part an axis, such as [0, :, ::2].");
  const written: string[] = [];
  const parts = shape.map((size, axis): Part => {
    const part = (typed[axis] ?? ":").replaceAll("−", "-");
    written.push(part);
    if (/^-?\d{1,12}$/.test(part)) {
      const k = Number(part);
      if (k < -size || k >= size) throw new SliceError(`axis ${axis} has ${size} places, so there is no ${k}.`, `Use 0 to ${size - 1}.`);
      written[axis] = String(k);
      return k < 0 ? k + size : k;
    }
    if (!/^-?\d{0,12}(:-?\d{0,12}){1,2}$/.test(part) || /-(:|$)/.test(part)) throw new SliceError(`'${part.slice(0, 40)}' is not a place or a range on axis ${axis}.`, "Write one part an axis, such as [0, :, ::2].");
    const [start, stop, step] = part.split(":").map((p) => (p === "" ? null : Number(p)));
    if (step === 0) throw new SliceError(`axis ${axis}: a step of 0 goes nowhere.`);
    written[axis] = [start ?? "", stop ?? "", ...(step == null ? [] : [step])].join(":");
    return range(start, stop ?? null, step ?? 1, size);
  });
  const free = parts.flatMap((p, k) => (typeof p === "number" ? [] : [k]));
  for (const k of picture ? free.slice(0, -2) : []) {
    if (!shape[k]) throw new SliceError(`axis ${k} has no places.`);
    const at = Math.min((parts[k] as { start: number }).start, shape[k] - 1);
    parts[k] = at;
    written[k] = String(at);
  }
  return { parts, written };
}

function range(start: number | null, stop: number | null, step: number, size: number): Part {
  const [low, high] = step < 0 ? [-1, size - 1] : [0, size];
  const place = (k: number | null, otherwise: number) => (k === null ? otherwise : Math.max(low, Math.min(high, k < 0 ? k + size : k)));
  const from = place(start, step < 0 ? high : low);
  const to = place(stop, step < 0 ? low : high);
  return { start: from, step, count: Math.max(0, Math.ceil((to - from) / step)) };
}

const sliceText = (written: string[]): string => `[${written.join(", ")}]`;

/** The health of a tensor; what is not finite is counted, and left out of everything else. */
export function statsOf(data: Array_): Stats {
  let [nan, inf, zero, n, sum, lo, hi, squares] = [0, 0, 0, 0, 0, Infinity, -Infinity, 0];
  for (const v of data) {
    const x = Number(v);
    if (x === 0) zero++;
    if (x !== x) nan++;
    else if (x === Infinity || x === -Infinity) inf++;
    else { n++; sum += x; squares += x * x; if (x < lo) lo = x; if (x > hi) hi = x; }
  }
  const zeros = data.length ? zero / data.length : 0;
  if (!n) return { min: null, max: null, mean: null, std: null, norm: null, zeros, nan, inf, counts: [], lo: 0, hi: 0 };
  const mean = sum / n;
  const wide = hi - lo;
  const counts = wide > 0 && Number.isFinite(wide) ? new Array<number>(BINS).fill(0) : [];
  let off = 0;
  for (const v of data) {
    const x = Number(v);
    if (!Number.isFinite(x)) continue;
    off += (x - mean) ** 2;
    if (counts.length) counts[Math.floor(Math.min(((x - lo) / wide) * BINS, BINS - 1))]++;
  }
  const finite = (x: number) => (Number.isFinite(x) ? x : null);
  return { min: lo, max: hi, mean: finite(mean), std: finite(Math.sqrt(off / n)), norm: finite(Math.sqrt(squares)), zeros, nan, inf, counts, lo, hi };
}

/** The numbers as JSON, none rounded: the fewest digits that tell each from its neighbours. */
function exact(data: Array_, shape: readonly number[], dtype: string): string {
  const one = (v: number | bigint): string => {
    if (dtype === "bool") return v ? "true" : "false";
    if (!dtype.includes("float")) return String(v);
    const x = Number(v);
    if (!Number.isFinite(x)) return x !== x ? '"NaN"' : x > 0 ? '"Infinity"' : '"-Infinity"';
    const text = Object.is(x, -0) ? "-0" : String(dtype === "float64" ? x : shortest(x));
    return /[.e]/.test(text) ? text : `${text}.0`;
  };
  let at = 0;
  const nested = (axis: number): string => (axis === shape.length ? one(data[at++]) : `[${Array.from({ length: shape[axis] }, () => nested(axis + 1)).join(",")}]`);
  return nested(0);
}

/** The number of the fewest digits that is this one in float32. */
function shortest(x: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const tried = Number(x.toPrecision(digits));
    if (Math.fround(tried) === x) return tried;
  }
  return Number(x.toPrecision(9));
}
