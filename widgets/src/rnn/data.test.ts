import { expect, test } from "vitest";
import { useAt, usesOf, widthOf, windowFrom } from "./data";
import type { RNNUses } from "../protocol.gen";

test("the copies move no further than they must, and never past the ends", () => {
  expect(windowFrom(0, 3, 5, 20)).toBe(0);
  expect(windowFrom(0, 7, 5, 20)).toBe(3);
  expect(windowFrom(10, 8, 5, 20)).toBe(8);
  expect(windowFrom(19, 19, 5, 20)).toBe(15);
  expect(windowFrom(4, 1, 5, 3)).toBe(0);
});

test("an arrow is thinner for every decade, and never gone", () => {
  expect(widthOf(1, 1)).toBeCloseTo(5.5);
  expect(widthOf(0.01, 1)).toBeCloseTo(3.25);
  expect(widthOf(1e-9, 1)).toBe(1);
  expect(widthOf(0, 1)).toBe(1);
  expect(widthOf(NaN, 1)).toBe(1);
});

test("dW(t) is found by its timestep, and only where it was sent", () => {
  const each = Float32Array.from({ length: 12 }, (_, k) => k);
  const none = new Float32Array();
  const uses = usesOf({ start: 4, count: 2, rows: 2, cols: 3 } as RNNUses, [none, none, none, none, none, Float32Array.of(2, -1), none, each]);
  expect([...(useAt(uses, 5) ?? [])]).toEqual([6, 7, 8, 9, 10, 11]);
  expect([uses.size, uses.apart]).toEqual([2, null]);
  expect(useAt(uses, 3)).toBeNull();
  expect(useAt(uses, 6)).toBeNull();
});
