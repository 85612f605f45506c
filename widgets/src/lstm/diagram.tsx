// One step of one unit, drawn as the cell is drawn in every textbook, with this run's numbers on its wires.
import * as React from "react";
import { useWidth } from "../shared/controls";
import { num, percent } from "../shared/format";
import { t as words } from "../shared/words";
import type { LayerData, Moment } from "./data";
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
      <div className="head"><h2>{words("One step of unit {unit}, t = {t}", { unit, t })}</h2><span className="sentence">{sentence(moment, t)}</span></div>
      <div ref={panel} className="drawing"><Cell data={data} m={moment} width={width} t={t} /></div>
    </section>
  );
}

/** What happened in this step, in words. */
export function sentence(m: Moment, t: number): string {
  if ([m.f, m.i, m.g, m.c].some(Number.isNaN)) return words("NaN has reached this unit: some number before it was not one.");
  if (t === 0 && m.before === 0) return words("It starts empty, and {value} is written.", { value: num(m.write) });
  const values = { share: percent(m.f), old: num(m.before), value: num(m.write) };
  if (m.f < 0.4) return words("It drops the old state: only {share} of {old} is kept, and {value} is written.", values);
  if (m.f < 0.8) return words("It lets part of the old state go: {share} of {old} is kept, and {value} is written.", values);
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
      <text className="label" x={18} y={188}>
        <tspan className="symbol">h</tspan><tspan className="sub" dy={3}>t−1</tspan><tspan dy={-3} dx={4}>{words("and")}</tspan>
        <tspan className="symbol" dx={4}>x</tspan><tspan className="sub" dy={3}>t</tspan>
        <tspan dy={-3} dx={5}>({source(data, t)})</tspan>
      </text>
    </svg>
  );
}

function source(data: LayerData, t: number): string {
  const { layer } = data.info;
  const from = layer > 0 && data.info.layers[layer - 1].units === data.features ? words("layer {n}", { n: layer }) : words("the input");
  return words("{n} numbers in: {features} from {from}, {units} from {when}", { n: data.features + data.units, features: data.features, from, units: data.units, when: t ? `t = ${t - 1}` : words("the start") });
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
