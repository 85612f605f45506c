// How numbers are written on screen. Full precision goes into data- attributes, never through here.

const MINUS = "−";
const SUPERSCRIPT: Record<string, string> = { "-": "⁻", "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴", "5": "⁵", "6": "⁶", "7": "⁷", "8": "⁸", "9": "⁹" };

/** A number for a learner: four significant digits, at most four decimals, `7.35e−4` for the very small and the large, a true minus. */
export function num(x: number): string {
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size < 0.001 || size >= 100000) {
    const [mantissa, exponent] = size.toExponential(2).split("e");
    return withSign(x, `${mantissa}e${exponent.replace("+", "").replace("-", MINUS)}`);
  }
  if (Number.isInteger(x)) return withSign(x, size.toString());
  const decimals = Math.max(0, Math.min(4, 3 - Math.floor(Math.log10(size))));
  return withSign(x, size.toFixed(decimals));
}

/** A number in a heatmap's cell: three decimals and always a sign, so that columns line up. */
export function signed(x: number): string {
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "+∞" : `${MINUS}∞`;
  return (x < 0 ? MINUS : "+") + Math.abs(x).toFixed(3);
}

/** A share of one as a percentage: `31.7 %`, `6 %` with digits = 0. */
export function percent(share: number, digits = 1): string {
  if (Number.isNaN(share)) return "NaN";
  return withSign(share, `${(Math.abs(share) * 100).toFixed(digits)} %`);
}

/** A number inside a product: negative ones take brackets. */
export function factor(x: number): string {
  return x < 0 ? `(${num(x)})` : num(x);
}

/** A number at the end of a colour scale, where there is little room: three significant digits and no idle zeros. */
export function short(x: number): string {
  const rounded = Number(x.toPrecision(3));
  const size = Math.abs(rounded);
  return Number.isFinite(rounded) && size >= 0.001 && size < 100000 ? withSign(rounded, String(size)) : num(rounded);
}

/** Two digits, where there is little room: 0.37, 6.2e−4. */
export function two(x: number): string {
  const size = Math.abs(x);
  if (!Number.isFinite(x) || size === 0) return num(x);
  const rounded = Number(size.toPrecision(2));
  return withSign(x, rounded < 0.001 || rounded >= 10000 ? rounded.toExponential().replace("+", "").replace("e-", `e${MINUS}`) : String(rounded));
}

/** A label for an axis tick: as short as the step between ticks allows. */
export function tick(x: number, step: number): string {
  if (x === 0) return "0";
  if (Math.abs(x) >= 100000 || step < 0.001) return num(x);
  return withSign(x, Math.abs(x).toFixed(Math.max(0, Math.min(4, -Math.floor(Math.log10(step) + 1e-9)))));
}

/** A power of ten: 10⁻³. */
export function powerOfTen(exponent: number): string {
  return `10${[...String(exponent)].map((c) => SUPERSCRIPT[c] ?? c).join("")}`;
}

/** A duration: `41 µs`, `3.2 ms`, `1.8 s`. */
export function seconds(t: number): string {
  if (t < 1e-3) return `${Math.round(t * 1e6)} µs`;
  if (t < 1) return `${num(+(t * 1e3).toPrecision(3))} ms`;
  return `${num(+t.toPrecision(3))} s`;
}

/** How long something will still take, as a clock would say it: `8 s`, `2:05`, `1:02:09`. */
export function duration(t: number): string {
  const whole = Math.max(0, Math.round(t));
  if (whole < 60) return `${whole} s`;
  const two = (n: number) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** "1 node", "3 nodes". */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;
}

function withSign(x: number, digits: string): string {
  return x < 0 ? MINUS + digits : digits;
}

/** A round step that puts about `target` ticks on an axis of this length. */
export function niceStep(span: number, target = 5): number {
  if (!(span > 0)) return 1;
  const raw = span / target;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const unit = raw / magnitude;
  return (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10) * magnitude;
}
