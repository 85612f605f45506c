// One step of one unit, drawn as the cell is drawn in every textbook, with this run's numbers on its wires.
import * as React from "react";
import { useWidth } from "../shared/controls";
import { num, percent } from "../shared/format";
import { t as words } from "../shared/words";
import type { Kind, LayerData, Moment } from "./data";
import { type Part, useLight } from "./lit";

const MIN = 480;
const HEIGHT = 196;
const BELT = 40;
const BOX = 120;

export function Diagram({ data, moment, t, unit }: { data: LayerData; moment: Moment; t: number; unit: number }) {
  const [panel, measured] = useWidth<HTMLDivElement>();
  const width = Math.max(MIN, measured);
  return (
    <section className="panel">
      <div className="head"><h2>{words("One step of unit {unit}, t = {t}", { unit: unit + data.unitFrom, t: t + data.from })}</h2><span className="sentence">{sentence(moment, t + data.from, data.info.kind)}</span></div>
      <div ref={panel} className="drawing">
        {data.info.kind === "lstm" ? <Cell data={data} m={moment} width={width} t={t + data.from} /> : data.info.kind === "gru" ? <GRU data={data} m={moment} width={width} t={t + data.from} /> : <RNN data={data} m={moment} width={width} t={t + data.from} />}
      </div>
    </section>
  );
}

/** What happened in this step, in words. */
export function sentence(m: Moment, t: number, kind: Kind): string {
  if (Number.isNaN(m.keep + m.write)) return words("NaN has reached this unit: some number before it was not one.");
  if (t === 0 && m.before === 0) return words("It starts empty, and {value} is written.", { value: num(m.write) });
  if (kind === "rnn") {
    const [a, b] = [Math.abs(m.s), Math.abs(m.u)];
    const sides = { state: num(m.s), input: num(m.u) };
    if (Math.abs(m.h) > 0.9) return words("It is saturated: state {state} and input {input} add up to where tanh is flat, and little error comes back.", sides);
    return a > b ? words("The past says more here, {state}, than the input, {input}.", sides) : words("The input says more here, {input}, than the past, {state}.", sides);
  }
  const kept = kind === "gru" ? m.z : m.f;
  const values = { share: percent(kept), old: num(m.before), value: num(m.write) };
  if (kept < 0.4) return words("It drops the old state: only {share} of {old} is kept, and {value} is written.", values);
  if (kept < 0.8) return words("It lets part of the old state go: {share} of {old} is kept, and {value} is written.", values);
  return words("It holds the old state: {share} of {old} is kept, and {value} is written.", values);
}

function Cell({ data, m, width, t }: { data: LayerData; m: Moment; width: number; t: number }) {
  const light = useLight();
  // wide panels keep the design's proportions; narrow ones make room for the numbers first
  const narrow = Math.max(0, Math.min(1, (692 - width) / (692 - 520)));
  const at = (wide: number, tight: number) => Math.round(width * (wide + (tight - wide) * narrow));
  const end = width - 14;
  const f = at(0.26, 0.235);
  const i = at(0.413, 0.388);
  const g = at(0.509, 0.493);
  const o = at(0.7225, 0.72);
  const h = at(0.806, 0.8);
  const c = g + Math.round((h - g) * 0.57);
  const wire = (part: Part | null, kind: string, d: string) => <path className={`wire ${kind}`} data-lit={part ? light.is(part) : undefined} d={d} />;
  return (
    <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={words("LSTM cell: c {before} times f {f} plus i {i} times g {g} gives c {c}; o {o} times tanh c gives h {h}", { before: num(m.before), f: num(m.f), i: num(m.i), g: num(m.g), c: num(m.c), o: num(m.o), h: num(m.h) })}>
      <path className="belt" d={`M14 ${BELT}H${end}`} />
      {wire("before", "c", `M14 ${BELT}H${f - 14}`)}
      {wire("keep", "c", `M${f + 14} ${BELT}H${g - 14}`)}
      {wire("c", "c", `M${g + 14} ${BELT}H${end}`)}
      {wire("f", "", `M${f} 106V54`)}
      {wire("i", "", `M${i} 106V78H${g - 14}`)}
      {wire("g", "", `M${g} 106V92`)}
      {wire("write", "", `M${g} 64V54`)}
      {wire("o", "", `M${o + 24} ${BOX}H${h - 14}`)}
      {wire("tanh", "", `M${h} ${BELT}V66`)}
      {wire("tanh", "", `M${h} 92V106`)}
      {wire("out", "h", `M${h + 14} ${BOX}H${end}`)}
      <path className="wire bus" d={`M14 170H${o}M${f} 170V134M${i} 170V134M${g} 170V134M${o} 170V134`} />
      <path className="arrow" d={`M${end - 5} ${BELT - 4}l6 4-6 4zM${end - 5} ${BOX - 4}l6 4-6 4z`} />
      <Knot x={f} y={BELT} sign="×" part="keep" />
      <Knot x={g} y={BELT} sign="+" part="c" />
      <Knot x={g} y={78} sign="×" part="write" />
      <Knot x={h} y={BOX} sign="×" part="out" />
      <Box x={h} y={79} w={44} h={26} r={13} word="tanh" part="tanh" />
      <Box x={f} y={BOX} word="σ" part="f" />
      <Box x={i} y={BOX} word="σ" part="i" />
      <Box x={g} y={BOX} word="tanh" part="g" />
      <Box x={o} y={BOX} word="σ" part="o" />
      <Label x={18} y={30} symbol="c" sub="t−1" value={m.before} part="before" />
      <Label x={Math.round((f + g) / 2)} y={30} symbol="f·c" value={m.keep} part="keep" anchor="middle" />
      <Label x={c} y={30} symbol="c" sub="t" value={m.c} part="c" />
      <Label x={f + 10} y={74} symbol="f" sub="t" value={m.f} part="f" />
      <Label x={i - 6} y={100} symbol="i" sub="t" value={m.i} part="i" anchor="end" />
      <Label x={g + 8} y={101} symbol="g" sub="t" value={m.g} part="g" />
      <Label x={g + 20} y={72} symbol="i·g" value={m.write} part="write" />
      <Label x={Math.min(h - 10, o + 34)} y={100} symbol="o" sub="t" value={m.o} part="o" anchor="end" />
      <Label x={h + 8} y={61} symbol="tanh c" value={m.tanh} part="tanh" />
      <Label x={h + 32} y={110} symbol="h" sub="t" value={m.h} part="h" />
      <Inputs data={data} t={t} />
    </svg>
  );
}

function GRU({ data, m, width, t }: { data: LayerData; m: Moment; width: number; t: number }) {
  const light = useLight();
  const end = width - 14;
  const at = (share: number) => Math.round(width * share);
  const [r, keep, z, n, h] = [at(0.14), at(0.34), at(0.46), at(0.64), at(0.78)];
  const wire = (part: Part | null, kind: string, d: string) => <path className={`wire ${kind}`} data-lit={part ? light.is(part) : undefined} d={d} />;
  return (
    <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={words("GRU cell: h {before} times z {z}, plus 1 − z times n {n}, gives h {h}; r {r}", { before: num(m.before), z: num(m.z), n: num(m.n), h: num(m.h), r: num(m.r) })}>
      <path className="belt" d={`M14 ${BELT}H${end}`} />
      {wire("before", "h", `M14 ${BELT}H${keep - 14}`)}
      {wire("keep", "h", `M${keep + 14} ${BELT}H${h - 14}`)}
      {wire("h", "h", `M${h + 14} ${BELT}H${end}`)}
      {wire("r", "", `M${r} 106V92H${n - 60}V${BOX - 6}H${n - 24}`)}
      {wire("z", "", `M${z - 10} 106V70H${keep}V54`)}
      {wire("z", "", `M${z + 10} 106V78H${n - 14}`)}
      {wire("n", "", `M${n} 106V92`)}
      {wire("write", "", `M${n + 14} 78H${h}V54`)}
      <path className="wire bus" d={`M14 170H${n}M${r} 170V134M${z} 170V134M${n} 170V134`} />
      <path className="arrow" d={`M${end - 5} ${BELT - 4}l6 4-6 4z`} />
      <Knot x={keep} y={BELT} sign="×" part="keep" />
      <Knot x={h} y={BELT} sign="+" part="h" />
      <Knot x={n} y={78} sign="×" part="write" />
      <Box x={r} y={BOX} word="σ" part="r" />
      <Box x={z} y={BOX} word="σ" part="z" />
      <Box x={n} y={BOX} word="tanh" part="n" />
      <Label x={18} y={30} symbol="h" sub="t−1" value={m.before} part="before" />
      <Label x={Math.round((keep + h) / 2)} y={30} symbol="z·h" value={m.keep} part="keep" anchor="middle" />
      <Label x={h + 20} y={30} symbol="h" sub="t" value={m.h} part="h" />
      <Label x={r + 30} y={BOX + 5} symbol="r" sub="t" value={m.r} part="r" />
      <Label x={z - 16} y={100} symbol="z" sub="t" value={m.z} part="z" anchor="end" />
      <Label x={z + 16} y={72} symbol="1 − z" value={1 - m.z} part="z" />
      <Label x={n + 30} y={BOX + 5} symbol="n" sub="t" value={m.n} part="n" />
      <Label x={h + 8} y={74} symbol="(1−z)·n" value={m.write} part="write" />
      <Inputs data={data} t={t} />
    </svg>
  );
}

function RNN({ data, m, width, t }: { data: LayerData; m: Moment; width: number; t: number }) {
  const light = useLight();
  const end = width - 14;
  const at = (share: number) => Math.round(width * share);
  const [s, sum, h] = [at(0.26), at(0.5), at(0.72)];
  const wire = (part: Part | null, kind: string, d: string) => <path className={`wire ${kind}`} data-lit={part ? light.is(part) : undefined} d={d} />;
  return (
    <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={words("RNN cell: {state} from the state plus {input} from the input; tanh of that gives h {h}", { state: num(m.s), input: num(m.u), h: num(m.h) })}>
      <path className="belt" d={`M14 ${BELT}H${end}`} />
      {wire("before", "h", `M14 ${BELT}H${s - 24}`)}
      {wire("s", "h", `M${s + 24} ${BELT}H${sum - 14}`)}
      {wire("sum", "h", `M${sum + 14} ${BELT}H${h - 24}`)}
      {wire("h", "h", `M${h + 24} ${BELT}H${end}`)}
      {wire("u", "", `M${sum} 106V54`)}
      <path className="wire bus" d={`M14 170H${sum}M${sum} 170V134`} />
      <path className="arrow" d={`M${end - 5} ${BELT - 4}l6 4-6 4z`} />
      <Box x={s} y={BELT} word="· R" part="s" />
      <Knot x={sum} y={BELT} sign="+" part="sum" />
      <Box x={h} y={BELT} word="tanh" part="tanh" />
      <Box x={sum} y={BOX} w={72} word="· K + b" part="u" />
      <Label x={18} y={30} symbol="h" sub="t−1" value={m.before} part="before" />
      <Label x={Math.round((s + sum) / 2) + 4} y={30} symbol="s" sub="t" value={m.s} part="s" anchor="middle" />
      <Label x={Math.round((sum + h) / 2)} y={62} symbol="a" sub="t" value={m.total} part="sum" anchor="middle" />
      <Label x={sum + 8} y={90} symbol="u" sub="t" value={m.u} part="u" />
      <Label x={h + 30} y={30} symbol="h" sub="t" value={m.h} part="h" />
      <Inputs data={data} t={t} />
    </svg>
  );
}

function Inputs({ data, t }: { data: LayerData; t: number }) {
  return (
    <text className="label" x={18} y={188}>
      <tspan className="symbol">h</tspan><tspan className="sub" dy={3}>t−1</tspan><tspan dy={-3} dx={4}>{words("and")}</tspan>
      <tspan className="symbol" dx={4}>x</tspan><tspan className="sub" dy={3}>t</tspan>
      <tspan dy={-3} dx={5}>({source(data, t)})</tspan>
    </text>
  );
}

function source(data: LayerData, t: number): string {
  const { layer } = data.info;
  const from = layer > 0 && data.info.layers[layer - 1].units === data.features ? words("layer {n}", { n: layer }) : words("the input");
  return words("{n} numbers in: {features} from {from}, {units} from {when}", { n: data.features + data.allUnits, features: data.features, from, units: data.allUnits, when: t ? `t = ${t - 1}` : words("the start") });
}

function Knot({ x, y, sign, part }: { x: number; y: number; sign: string; part: Part }) {
  const light = useLight();
  return <g className="knot" data-lit={light.is(part)} {...light.on(part)}><circle cx={x} cy={y} r={13} /><text x={x} y={y + 5}>{sign}</text></g>;
}

function Box({ x, y, w = 48, h = 28, r = 6, word, part }: { x: number; y: number; w?: number; h?: number; r?: number; word: string; part: Part }) {
  const light = useLight();
  return (
    <g className="box" data-lit={light.is(part)} {...light.on(part)}>
      <rect x={x - w / 2} y={y - h / 2} width={w} height={h} rx={r} /><text x={x} y={y + 4.5}>{word}</text>
    </g>
  );
}

function Label({ x, y, symbol, sub, value, part, anchor = "start" }: {
  x: number; y: number; symbol: string; sub?: string; value: number; part: Part; anchor?: "start" | "middle" | "end";
}) {
  const light = useLight();
  return (
    <text className="label" x={x} y={y} textAnchor={anchor} data-lit={light.is(part)} {...light.on(part)}>
      <tspan className="symbol">{symbol}</tspan>{sub && <tspan className="sub" dy={3}>{sub}</tspan>}
      <tspan className="value" dy={sub ? -3 : 0} dx={5}>{num(value)}</tspan>
    </text>
  );
}
