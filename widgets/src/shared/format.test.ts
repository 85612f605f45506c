import { describe, expect, it } from "vitest";
import { duration, factor, niceStep, num, percent, powerOfTen, seconds, short, signed, tick, two } from "./format";
import { floats } from "./wire";

describe("numbers on screen", () => {
  it("tell a time that is left as a clock would", () => {
    expect([0, 8.4, 65, 3729, -3].map(duration)).toEqual(["0 s", "8 s", "1:05", "1:02:09", "0 s"]);
  });

  it("have four significant digits, at most four decimals, and a true minus", () => {
    expect([0.31660354, -1.2696596, 18, -3.7149, 123.456, 99999.4, 0.00736].map(num)).toEqual(["0.3166", "−1.270", "18", "−3.715", "123.5", "99999", "0.0074"]);
  });
  it("turn to powers below 0.001 and from 100,000", () => {
    expect([0.000735, -1e-9, 100000, 1.5e30].map(num)).toEqual(["7.35e−4", "−1.00e−9", "1.00e5", "1.50e30"]);
  });
  it("have two digits where there is little room", () => {
    expect([0.0636, -0.00061649, 12.7, 0, 25000, NaN].map(two)).toEqual(["0.064", "−6.2e−4", "13", "0", "2.5e4", "NaN"]);
  });
  it("name what is no number", () => {
    expect([NaN, Infinity, -Infinity, 0, -0].map(num)).toEqual(["NaN", "∞", "−∞", "0", "0"]);
  });
  it("line up in cells, take brackets in products, shrink on scales", () => {
    expect([signed(0.5), signed(-0.0704), factor(-3.715), factor(2)]).toEqual(["+0.500", "−0.070", "(−3.715)", "2"]);
    expect([1.95, -0.15, 6, 1234.5, 0.0001].map(short)).toEqual(["1.95", "−0.15", "6", "1230", "1.00e−4"]);
    expect([percent(0.317), percent(0.06, 0), powerOfTen(-3), seconds(4.1e-5), seconds(0.0032)]).toEqual(["31.7 %", "6 %", "10⁻³", "41 µs", "3.200 ms"]);
  });
  it("stand at round ticks", () => {
    expect([niceStep(12, 4), niceStep(0.07, 5), niceStep(60, 12)]).toEqual([5, 0.02, 5]);
    expect([tick(0.5, 0.5), tick(-3, 3), tick(0.02, 0.02)]).toEqual(["0.5", "−3", "0.02"]);
  });
});

describe("buffers from the kernel", () => {
  it("are read whatever place they start at", () => {
    const bytes = new Uint8Array(13);
    bytes.set(new Uint8Array(new Float32Array([1.5, -2, 3]).buffer), 1);
    expect([...floats(new DataView(bytes.buffer, 1, 12))]).toEqual([1.5, -2, 3]);
    expect([...floats(new DataView(new Float32Array([7, 8]).buffer, 4, 4))]).toEqual([8]);
  });
});
