// One layer's numbers, as the kernel sent them, and what the page works out itself.
import type { RNNData, RNNLayer, RNNUnit, RNNUses } from "../protocol.gen";
import { type Scale, scaleFor } from "../shared/pixels";

export interface StateData {
  name: string;
  /** Its values after each timestep of the page (count × units shown). */
  after: Float32Array;
  /** What the page's first timestep found. */
  first: Float32Array;
  units: number;
  scale: Scale;
}

export interface Data {
  info: RNNData;
  layer: RNNLayer;
  x: Float32Array;
  features: number;
  xScale: Scale;
  states: StateData[];
}

export function dataOf(info: RNNData, buffers: Float32Array[]): Data {
  const [x, ...rest] = buffers;
  const states = info.states.map((name, k): StateData => {
    const [after, first] = [rest[2 * k], rest[2 * k + 1]];
    return { name, after, first, units: first.length, scale: scaleFor(info.limits[k], true) };
  });
  return { info, layer: info.layers[info.layer], x, features: info.count ? x.length / info.count : 0, xScale: scaleFor(info.x_limit, info.x_signed), states };
}

/** What timestep t read; null beside the page. */
export function inputAt(d: Data, t: number): Float32Array | null {
  const k = t - d.info.start;
  return k < 0 || k >= d.info.count ? null : d.x.subarray(k * d.features, (k + 1) * d.features);
}

/** A state after timestep t; null beside the page. */
export function stateAt(d: Data, s: StateData, t: number): Float32Array | null {
  const k = t - d.info.start;
  return k < 0 || k >= d.info.count ? null : s.after.subarray(k * s.units, (k + 1) * s.units);
}

/** How one unit came to its values: a number a timestep of the page for each term. */
export interface UnitData { info: RNNUnit; terms: Record<string, Float32Array> }

export const unitOf = (info: RNNUnit, buffers: Float32Array[]): UnitData => ({ info, terms: Object.fromEntries(info.terms.map((name, k) => [name, buffers[k]])) });

/** The unit's terms at timestep t; NaN for what is not there. */
export function termsAt(d: Data, u: UnitData, t: number): (name: string) => number {
  const k = t - d.info.start;
  return (name) => u.terms[name]?.[k] ?? NaN;
}

export interface UsesData {
  info: RNNUses;
  along: Float32Array;
  norms: Float32Array;
  error: Float32Array;
  direct: Float32Array;
  later: Float32Array;
  /** ‖dW‖. */
  size: number;
  /** How far all uses together are from the graph's own gradient, as a share of its largest number; null: the weight is used elsewhere too. */
  apart: number | null;
  total: Float32Array;
  each: Float32Array;
}

export function usesOf(info: RNNUses, b: Float32Array[]): UsesData {
  const [along, norms, error, direct, later, [size, apart], total, each] = b;
  return { info, along, norms, error, direct, later, size, apart: apart < 0 ? null : apart, total, each };
}

/** dW(t); null where it was not sent. */
export function useAt(u: UsesData, t: number): Float32Array | null {
  const { start, count, rows, cols } = u.info;
  const k = t - start;
  return k < 0 || k >= count ? null : u.each.subarray(k * rows * cols, (k + 1) * rows * cols);
}

/** The first timestep of `k` copies that hold t, moved no further than it must. */
export function windowFrom(before: number, t: number, k: number, steps: number): number {
  const from = t < before ? t : t >= before + k ? t - k + 1 : before;
  return Math.max(0, Math.min(from, steps - k));
}

/** How wide an arrow is that carries so much: a decade less, a step thinner. */
export function widthOf(size: number, most: number): number {
  if (!(size > 0) || !(most > 0)) return 1;
  return 1 + 4.5 * Math.max(0, 1 + Math.log10(size / most) / 4);
}

/** A name where there is room for a letter or two. */
export const brief = (name: string): string => ([...name].length > 3 ? `${[...name].slice(0, 2).join("")}…` : name);
