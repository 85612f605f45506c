import { expect, test } from "vitest";
import type { ConvData } from "../protocol.gen";
import { type Data, channelsOf, dataOf, momentOf, placeOf, tapsOf, usesOf } from "./data";
import { tableOf } from "./save";

const layer = { node: "conv", op: "Conv2D", kind: "conv" as const, channels: 2, rows: 5, cols: 6, filters: 2, out_rows: 3, out_cols: 3 };
const info = (over: Partial<ConvData> = {}, kind: "conv" | "transpose" | "max" | "average" = "conv"): ConvData => ({
  type: "conv", version: 1, title: "", layer: 0, layers: [{ ...layer, kind }], sample: 0, samples: 1, source: "", result: "", kernel_name: "", size: [3, 3], stride: [2, 2], dilation: [1, 1],
  padding: [1, 1, 1, 1], groups: 1, adaptive: false, count_padding: true, out_rows: 3, out_cols: 3, bias: true, x_limit: 1, x_signed: true, y_limit: 1, y_signed: true, w_limit: 1, whole: true,
  x_step: 1, y_step: 1, x_from: 0, x_count: 2, y_from: 0, y_count: 2, fields: [], reach: [], shared: 0, local: 0, dense: 0, multiplications: 0, changed: false, painted: false,
  kernel_edited: false, edits: 0, rerun: true, outcomes: [], gradient: "", choices: [], can_sweep: true, ...over,
});
const ramp = (n: number) => Float32Array.from({ length: n }, (_, k) => (k % 7) - 3);

test("a window at the edge meets the padding, and its products and bias make the sum", () => {
  const d = dataOf(info(), [ramp(60), ramp(18), ramp(36), Float32Array.of(0.5, -1)]);
  expect(tapsOf(d, 0, 0).map((t) => t.at)).toEqual([-1, 0, 1]);
  expect(tapsOf(d, 1, 2).map((t) => t.at)).toEqual([3, 4, 5]);
  const m = momentOf(d, 0, 1, 1, null);
  expect(m.inside.filter((v) => !v)).toHaveLength(3);
  let sum = -1;
  for (let c = 0; c < 2; c++) for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) if (i > 0) sum += d.x[c * 30 + (i - 1) * 6 + 1 + j] * ramp(36)[(2 + c) * 9 + i * 3 + j];
  expect(m.sum).toBeCloseTo(sum, 10);
});

test("the nearest window of a place has it in its middle", () => {
  const d = dataOf(info(), [ramp(60), ramp(18), ramp(36), Float32Array.of(0, 0)]);
  for (let o = 0; o < 3; o++) expect(placeOf(d, 0, tapsOf(d, 0, o)[1].at)).toBe(o);
});

test("the numbers are saved a line each", () => {
  const d = dataOf(info(), [ramp(60), ramp(18), ramp(36), Float32Array.of(0.5, -1)]);
  const lines = tableOf(d, momentOf(d, 1, 1, 0, null), 1, 1, 0).trim().split("\n");
  expect(lines[0]).toBe("part,channel,row,column,value");
  expect(lines.filter((l) => l.startsWith("product,"))).toHaveLength(2 * 9);
  expect(lines).toContain(`value,0,1,1,${d.y[4]}`);
  expect(lines.filter((l) => l.startsWith("output,"))).toHaveLength(9);
});

test("groups keep channels apart", () => {
  const d = dataOf(info({ groups: 2 }), [ramp(60), ramp(18), ramp(18), Float32Array.of(0, 0)]);
  expect([channelsOf(d, 0), channelsOf(d, 1)]).toEqual([{ from: 0, count: 1 }, { from: 1, count: 1 }]);
});

test("what a weight met, times the gradient there, adds up", () => {
  const g = Float32Array.from({ length: 18 }, () => 1);
  const d: Data = dataOf(info({ gradient: "loss" }), [ramp(60), ramp(18), ramp(36), Float32Array.of(0, 0), g, ramp(36), ramp(36)]);
  const { sum, places } = usesOf(d, 0, 1, 0, 2);
  expect(places).toHaveLength(2 * 3);
  expect(sum).toBe([1, 3].flatMap((r) => [1, 3, 5].map((c) => d.x[30 + r * 6 + c])).reduce((a, b) => a + b, 0));
});

test("the first largest value of a window wins, and padding never does", () => {
  const x = Float32Array.from({ length: 60 }, () => -5);
  const d = dataOf(info({ bias: false }, "max"), [x, ramp(18)]);
  expect(momentOf(d, 0, 0, 0, null).winner).toBe(4);
  expect(momentOf(d, 0, 0, 0, null).sum).toBe(-5);
});

test("a transposed window collects from the places that reach it", () => {
  const d = dataOf(info({ padding: [0, 0, 0, 0], out_rows: 11, out_cols: 13 }, "transpose"), [ramp(60), ramp(2 * 11 * 13), ramp(36), Float32Array.of(0, 0)]);
  expect(tapsOf(d, 0, 4)).toEqual([{ at: 1, k: 2 }, { at: 2, k: 0 }]);
});
