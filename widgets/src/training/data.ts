// What the kernel has told of a training, as the parts of the view draw it.
import type { Boundary, Curves, Histograms } from "../protocol.gen";

export type Line = { name: string; lo: Float32Array; hi: Float32Array; epochs: Float32Array; checked: Float32Array | null; bad: number | null };
export type CurveData = { info: Curves; lines: Line[] };
export type Histogram = { name: string; lo: Float32Array; hi: Float32Array; bad: Float32Array; counts: Float32Array };
export type InsideData = { info: Histograms; tensors: Histogram[] };
export type PlaneData = { info: Boundary; shares: Float32Array; points: Float32Array; labels: Float32Array };

export function curvesOf(info: Curves, buffers: Float32Array[]): CurveData {
  const n = info.names.length;
  const checked = new Map(info.checked.map((name, k) => [name, buffers[3 * n + k]]));
  return {
    info,
    lines: info.names.map((name, k) => ({ name, lo: buffers[2 * k], hi: buffers[2 * k + 1], epochs: buffers[2 * n + k], checked: checked.get(name) ?? null, bad: info.bad[k] })),
  };
}

export const insideOf = (info: Histograms, buffers: Float32Array[]): InsideData => ({
  info, tensors: info.names.map((name, k) => ({ name, lo: buffers[4 * k], hi: buffers[4 * k + 1], bad: buffers[4 * k + 2], counts: buffers[4 * k + 3] })),
});

export const planeOf = (info: Boundary, [shares, points, labels]: Float32Array[]): PlaneData => ({ info, shares, points, labels });

/** The number nearest to this one, in a rising list; null in an empty one. */
export function nearest(sorted: readonly number[], wanted: number): number | null {
  let best: number | null = null;
  for (const k of sorted) if (best === null || Math.abs(k - wanted) < Math.abs(best - wanted)) best = k;
  return best;
}

/** The lowest and highest finite numbers of some lists. */
export function span(lists: Iterable<ArrayLike<number>>, above = -Infinity): [number, number] | null {
  let lo = Infinity;
  let hi = -Infinity;
  for (const list of lists) for (let i = 0; i < list.length; i++) {
    const x = list[i];
    if (!Number.isFinite(x) || x <= above) continue;
    if (x < lo) lo = x;
    if (x > hi) hi = x;
  }
  return lo <= hi ? [lo, hi] : null;
}
