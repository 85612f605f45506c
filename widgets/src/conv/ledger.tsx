// How one value of the output comes about: the equation with this run's numbers, and what each channel brings, step by step.
import * as React from "react";
import { useWidth } from "../shared/controls";
import { factor, niceStep, num, tick } from "../shared/format";
import { t as words } from "../shared/words";
import type { Data, Moment } from "./data";

const MOST = 6;         // terms that are written out
const BARS = 64;

export function Equation({ data, moment: m, y, x, o }: { data: Data; moment: Moment; y: number; x: number; o: number }) {
  const { info, layer } = data;
  const place = <sub>{o}, {y}, {x}</sub>;
  const value = <b className="value" data-readout="sum" data-value={String(m.value)} data-sum={String(m.sum)}>{m.ready ? num(m.value) : "…"}</b>;
  return (
    <section className="panel equations" aria-label={words("Equations")}>
      <div className="equation"><i>y</i>{place}<span className="op">=</span>{formula(data)}</div>
      <div className="equation numbers">
        <i>y</i>{place}<span className="op">=</span>
        {!m.ready ? "…" : layer.kind === "max" ? <>max({list(m.patch, m.inside)})</> : layer.kind === "average" ? <>({list(m.patch, m.inside, " + ")}) / {m.counted}</> : <Terms m={m} bias={info.bias} />}
        <span className="op">=</span>{value}
      </div>
      {m.ready && <Check m={m} name={info.result} />}
    </section>
  );
}

function formula({ info, layer }: Data): React.ReactNode {
  const bias = info.bias ? <> + <i>b</i><sub>o</sub></> : null;
  const index = (name: string, s: number, d: number, before: number) => `${s === 1 ? name : `${s}${name}`} + ${d === 1 ? "" : d}${name === "y" ? "i" : "j"}${before ? ` − ${before}` : ""}`;
  switch (layer.kind) {
    case "max": return <>max<sub>i, j</sub> <i>x</i><sub>c, {info.adaptive ? "i, j" : `${index("y", info.stride[0], 1, info.padding[0])}, ${index("x", info.stride[1], 1, info.padding[2])}`}</sub></>;
    case "average": return <><span className="fn">1/n</span> Σ<sub>i, j</sub> <i>x</i><sub>c, {info.adaptive ? "i, j" : `${index("y", info.stride[0], 1, info.padding[0])}, ${index("x", info.stride[1], 1, info.padding[2])}`}</sub></>;
    case "transpose": return <>Σ<sub>c, i, j</sub> <i>w</i><sub>c, o, i, j</sub> · <i>x</i><sub>c, (y − i + {info.padding[0]}) / {info.stride[0]}, (x − j + {info.padding[2]}) / {info.stride[1]}</sub>{bias}</>;
    case "conv": return <>Σ<sub>c, i, j</sub> <i>w</i><sub>o, c, i, j</sub> · <i>x</i><sub>c, {index("y", info.stride[0], info.dilation[0], info.padding[0])}, {index("x", info.stride[1], info.dilation[1], info.padding[2])}</sub>{bias}</>;
    default: return layer.kind satisfies never;
  }
}

function list(values: Float64Array, inside: boolean[], sign = ", "): string {
  const kept = [...values].filter((_, k) => inside[k]);
  const shown = kept.slice(0, 9).map((v) => (sign === ", " ? num(v) : factor(v)));
  return shown.join(sign) + (kept.length > 9 ? `${sign}…` : "");
}

/** The terms of the sum: products where there is one channel, else a channel each; what is too much to write is added up. */
function Terms({ m, bias }: { m: Moment; bias: boolean }) {
  const size = m.rows.length * m.cols.length;
  const single = m.channels.count === 1;
  const terms = single ? m.products.length : m.sums.length;
  const each = (k: number) => (single ? `${factor(m.patch[k])}·${factor(m.weights[k])}` : factor(m.sums[k]));
  const value = (k: number) => (single ? m.products[k] : m.sums[k]);
  // what matters most is written out, in its order
  const weight = (k: number) => (Number.isNaN(value(k)) ? Number.POSITIVE_INFINITY : Math.abs(value(k)));
  const order = Array.from({ length: terms }, (_, k) => k).sort((a, b) => (weight(b) === weight(a) ? a - b : weight(b) - weight(a))).slice(0, terms > MOST ? MOST - 1 : MOST).sort((a, b) => a - b);
  const rest = Array.from({ length: terms }, (_, k) => k).filter((k) => !order.includes(k));
  const sum = rest.reduce((a, k) => a + value(k), 0);
  return (
    <>
      {order.map((k, n) => <React.Fragment key={k}>{n > 0 && <span className="op">+</span>}<span title={single ? words("product {k} of {n}", { k: k + 1, n: size }) : words("channel {n}", { n: m.channels.from + k })}>{each(k)}</span></React.Fragment>)}
      {rest.length > 0 && <><span className="op">+</span><span className="rest">{factor(sum)} {single ? words("({n} smaller products)", { n: rest.length }) : words("({n} smaller channels)", { n: rest.length })}</span></>}
      {bias && <><span className="op">+</span><span title={words("bias")}>{factor(m.bias)} <small>{words("bias")}</small></span></>}
    </>
  );
}

/** Is the sum what the run recorded? Its kernel adds in another order and in fewer digits. */
function Check({ m, name }: { m: Moment; name: string }) {
  const apart = Math.abs(m.sum - m.value);
  const terms = m.products.reduce((a, v) => a + Math.abs(v), Math.abs(m.bias));
  const same = Object.is(m.sum, m.value) || apart <= 1e-5 * Math.max(terms, Math.abs(m.value)) || (Number.isNaN(m.sum) && Number.isNaN(m.value));
  const what = name.replace(/:0$/, "");
  return (
    <p className={same ? "check" : "check wrong"}>
      {same ? "✓ " : "⚠ "}
      {same ? (apart === 0 || Number.isNaN(apart) ? words("The same as {name} in the run.", { name: what }) : words("The same as {name} in the run, up to rounding ({apart}).", { name: what, apart: num(apart) })) : words("{name} holds {value} in the run: the value after it was changed.", { name: what, value: num(m.value) })}
    </p>
  );
}

/** From 0 to the value: what each channel (or each product) adds, then the bias. */
export function Ledger(props: { data: Data; moment: Moment; c: number; setC(c: number): void }) {
  const { kind } = props.data.layer;
  if (kind === "max" || kind === "average") return null;
  return <Bars {...props} />;
}

function Bars({ data, moment: m, c, setC }: { data: Data; moment: Moment; c: number; setC(c: number): void }) {
  const [box, width] = useWidth<HTMLDivElement>();
  const { info } = data;
  const single = m.channels.count === 1;
  const values = single ? [...m.products] : [...m.sums];
  const together = Math.max(1, Math.ceil(values.length / BARS));
  const steps: { from: number; to: number; name: string; channel: number | null }[] = [];
  let at = 0;
  for (let k = 0; k < values.length; k += together) {
    const to = values.slice(k, k + together).reduce((a, b) => a + b, at);
    const last = Math.min(values.length, k + together) - 1;
    steps.push({ from: at, to, name: single ? words("product {k} of {n}", { k: k + 1, n: values.length }) : last > k ? words("channels {a} to {b}", { a: m.channels.from + k, b: m.channels.from + last }) : words("channel {n}", { n: m.channels.from + k }), channel: single ? null : k });
    at = to;
  }
  if (info.bias) steps.push({ from: at, to: at + m.bias, name: words("bias"), channel: null });
  const ends = steps.flatMap((s) => [s.from, s.to]).filter(Number.isFinite);
  const every = niceStep(Math.max(...ends, 0) - Math.min(...ends, 0) || 1, 4);
  const lo = Math.floor(Math.min(...ends, 0) / every + 1e-9) * every;
  const hi = Math.max(lo + every, Math.ceil(Math.max(...ends, 0) / every - 1e-9) * every);
  const height = 150;
  const [LEFT, RIGHT, TOP, BOTTOM] = [44, 8, 8, 18];
  const step = (width - LEFT - RIGHT) / (steps.length + 1);
  // where a sum is no number any more nothing can be drawn; it says so at the first such step
  const lost = steps.findIndex((s) => !Number.isFinite(s.to));
  const yOf = (v: number) => TOP + ((hi - Math.max(lo, Math.min(hi, v))) / (hi - lo)) * (height - TOP - BOTTOM);
  const xOf = (k: number) => LEFT + (k + 0.5) * step;
  const ticks = Array.from({ length: Math.round((hi - lo) / every) + 1 }, (_, k) => lo + k * every);
  const bar = Math.max(1, Math.min(34, step * 0.7));
  const marks = Math.max(1, Math.ceil(32 / Math.max(1, step)));
  return (
    <section className="panel ledger">
      <div className="head">
        <h2>{single ? words("What each product adds") : words("What each channel adds")}</h2>
        <span className="legend"><i className="up" />{words("adds")}<i className="down" />{words("takes away")}<i className="line" />{words("the value")}</span>
      </div>
      <div ref={box} className="chart">
        {width > 0 && (
          <svg width={width} height={height} role="img" aria-label={words("From 0 to {value} in {n} steps", { value: num(m.sum), n: steps.length })}>
            {ticks.map((v) => <React.Fragment key={v}><path className={Math.abs(v) < every / 2 ? "grid zero" : "grid"} d={`M${LEFT} ${yOf(v)}H${width - RIGHT}`} /><text x={LEFT - 6} y={yOf(v) + 3.5} textAnchor="end">{tick(v, every)}</text></React.Fragment>)}
            {steps.slice(0, lost < 0 ? steps.length : lost).map((s, k) => (
              <g key={k} onClick={s.channel === null ? undefined : () => setC(s.channel ?? 0)} className={s.channel === null ? undefined : "pick"}>
                <title>{`${s.name}: ${num(s.to - s.from)}`}</title>
                <rect
                  className={s.to >= s.from ? "up" : "down"} data-ledger={k === steps.length - 1 && info.bias ? "bias" : "term"} data-value={String(s.to - s.from)} data-lit={(s.channel !== null && c >= s.channel && c < s.channel + together) || undefined}
                  x={xOf(k) - bar / 2} width={bar} y={Math.min(yOf(s.from), yOf(s.to))} height={Math.max(0.8, Math.abs(yOf(s.from) - yOf(s.to)))}
                />
                <path className="join" d={`M${xOf(k) + bar / 2} ${yOf(s.to)}H${xOf(k + 1) - bar / 2}`} />
              </g>
            ))}
            {steps.map((_, k) => {
              const last = k === steps.length - 1 && info.bias;
              // the bias has its letter, whatever stands beside it
              const beside = info.bias && k >= steps.length - 1 - (marks >> 1) && !last;
              return (k % marks === 0 || last) && !beside && <text key={k} x={xOf(k)} y={height - 4} textAnchor={last && xOf(1) - xOf(0) < 12 ? "end" : "middle"}>{last ? "b" : single ? k + 1 : m.channels.from + k * together}</text>;
            })}
            {lost >= 0 && <text className="lost" x={xOf(lost)} y={TOP + 12}>{num(steps[lost].to)}</text>}
            {Number.isFinite(m.sum) && <rect className="total" x={xOf(steps.length) - bar / 2} width={bar} y={Math.min(yOf(0), yOf(m.sum))} height={Math.max(0.8, Math.abs(yOf(0) - yOf(m.sum)))} />}
            <text x={xOf(steps.length)} y={height - 4} textAnchor={xOf(1) - xOf(0) < 12 ? "start" : "middle"} className="name">y</text>
          </svg>
        )}
      </div>
    </section>
  );
}
