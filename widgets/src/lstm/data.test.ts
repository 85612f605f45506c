import { expect, test } from "vitest";
import type { LSTMData } from "../protocol.gen";
import { tableOf } from "./save";
import { inputOf, layerOf, momentOf } from "./data";

const one = (...values: number[]) => Float32Array.from(values);

function data(kind: LSTMData["kind"], buffers: Float32Array[], more: Partial<LSTMData> = {}) {
  const info = { kind, layer: 0, layers: [{ node: "layer/X", units: 1, features: 1, timesteps: 2, batch: 1, kind, from_the_end: false }], t_count: 2, unit_count: 1, t_from: 0, unit_from: 0, length: 2, norm: false, ...more } as unknown as LSTMData;
  return layerOf(info, buffers);
}

test("the two halves of a GRU's ledger add up to its state, those of an RNN to what tanh is taken of", () => {
  const [z, n, h0] = [0.25, 0.5, -1];
  const first = (1 - z) * n + z * h0;
  const gru = data("gru", [one(0.5, 0.5), one(z, z), one(n, n), one(first, (1 - z) * n + z * first), one(0, 0), one(0, 0), one(0, 0), one(h0), one(1, 2)]);
  for (const t of [0, 1]) {
    const m = momentOf(gru, t, 0);
    expect(m.keep + m.write).toBeCloseTo(m.total, 6);
    expect(m.before).toBeCloseTo(t ? first : h0, 6);
  }
  const rnn = data("rnn", [one(0.25, 1), one(0.5, -2), one(Math.tanh(0.75), Math.tanh(-1)), one(0), one(1, 2)]);
  expect(momentOf(rnn, 0, 0).total).toBe(0.75);
  expect(Math.tanh(momentOf(rnn, 1, 0).total)).toBeCloseTo(momentOf(rnn, 1, 0).h, 6);
  expect(tableOf(rnn).split("\n").slice(0, 2)).toEqual(["step,unit,u,s,h,keep,write", `0,0,0.25,0.5,${Math.fround(Math.tanh(0.75))},0.5,0.25`]);
});

test("a layer that reads from the end says which step of the input it reads, and past the sequence's end none is turned", () => {
  const buffers = [one(0, 0), one(0, 0), one(0, 0), one(0), one(1, 2)];
  const back = data("rnn", buffers, { layers: [{ node: "b", units: 1, features: 1, timesteps: 5, batch: 1, kind: "rnn", from_the_end: true }], length: 3 });
  expect([0, 1, 2, 3].map((t) => inputOf(back, t))).toEqual([2, 1, 0, 3]);
});

test("a page's moments count from its own first step and unit", () => {
  const page = data("rnn", [one(1, 2), one(0, 0), one(0.5, 0.25), one(0.125), one(1, 2)], { t_from: 1000, unit_from: 512 });
  expect(momentOf(page, 0, 0).before).toBe(0.125);
  expect(tableOf(page).split("\n")[1].startsWith("1000,512,")).toBe(true);
});
