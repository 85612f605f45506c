// One chart a recorded number: every step thin, means over epochs bold, the validation's dashed; one cursor over all of them.
import * as React from "react";
import { niceStep, num, powerOfTen, tick } from "../shared/format";
import { t } from "../shared/words";
import { type CurveData, type Line, span } from "./data";

export const LEFT = 52;
export const RIGHT = 14;
const TOP = 10;
const FOOT = 22;

export function Charts({ data, width, step, kept, opened, log, onStep, onReplay }: {
  data: CurveData; width: number; step: number | null; kept: readonly number[]; opened: number | null; log: boolean; onStep(step: number): void; onReplay(): void;
}) {
  const height = Math.max(120, Math.min(330, Math.round(460 / data.lines.length)));
  return <>{data.lines.map((line) => <Chart key={line.name} line={line} data={data} width={width} height={height} step={step} kept={kept} opened={opened} log={log} onStep={onStep} onReplay={onReplay} />)}</>;
}

/** Where everything of a chart stands, and its lines as paths of SVG. */
export function plan(line: Line, data: CurveData, width: number, height: number, log: boolean) {
  const { stride, ends } = data.info;
  const steps = Math.max(1, data.info.steps);
  const lists = [line.lo, line.hi, line.epochs, ...(line.checked ? [line.checked] : [])];
  const found = span(lists, log ? 0 : undefined);
  const [lo, hi] = found === null ? [0, 1] : log ? [Math.log10(found[0]), Math.log10(found[1])] : found;
  const room = (hi - lo || Math.abs(hi) || 1) * 0.06;
  const [from, to] = [lo - room, hi + room];
  const inner = Math.max(40, width - LEFT - RIGHT);
  const x = (k: number) => LEFT + (steps === 1 ? 0 : (k / (steps - 1)) * inner);
  const y = (v: number) => TOP + (1 - ((log ? Math.log10(v) : v) - from) / (to - from)) * (height - TOP - FOOT);
  const known = (v: number) => Number.isFinite(v) && (!log || v > 0);
  const path = (values: ArrayLike<number>, at: (i: number) => number) => {
    let out = "";
    let pen = false;
    for (let i = 0; i < values.length; i++) {
      if (!known(values[i])) { pen = false; continue; }
      out += `${pen ? "L" : "M"}${at(i).toFixed(1)} ${y(values[i]).toFixed(1)}`;
      pen = true;
    }
    return out;
  };
  const middle = (i: number) => Math.min(steps - 1, i * stride + (stride - 1) / 2);
  // of a stretch of steps the lowest and the highest, as one band
  const raw = stride === 1 ? path(line.lo, x) : band(line, (i) => x(middle(i)), y, known);
  const end = (k: number) => x(Math.max(0, ends[k] - 1));
  const line0 = (v: number) => TOP + (1 - (v - from) / (to - from)) * (height - TOP - FOOT);
  const yStep = niceStep(to - from, Math.max(2, height / 44));
  const ticks = log ? decades(from, to) : Array.from({ length: Math.floor(to / yStep) - Math.ceil(from / yStep) + 1 }, (_, k) => (Math.ceil(from / yStep) + k) * yStep);
  const xStep = Math.max(1, niceStep(steps - 1, Math.max(2, inner / 90)));
  const marks = Array.from({ length: Math.floor((steps - 1) / xStep) + 1 }, (_, k) => Math.round(k * xStep));
  return {
    x, y, known, inner, end, raw, mean: path(line.epochs, end), checked: line.checked && path(line.checked, end),
    ticks: ticks.map((v) => ({ y: line0(v), text: !log ? tick(v, yStep) : Number.isInteger(v) ? powerOfTen(v) : num(Number((10 ** v).toPrecision(1))) })),
    marks: marks.map((m, k) => ({ x: x(m), text: m.toLocaleString("en-US"), anchor: k === 0 ? "start" as const : "middle" as const })),
  };
}

function Chart({ line, data, width, height, step, kept, opened, log, onStep, onReplay }: {
  line: Line; data: CurveData; width: number; height: number; step: number | null; kept: readonly number[]; opened: number | null; log: boolean; onStep(step: number): void; onReplay(): void;
}) {
  const { x, y, known, inner, end, raw, mean, checked, ticks, marks } = plan(line, data, width, height, log);
  const { stride } = data.info;
  const steps = Math.max(1, data.info.steps);
  const reading = step === null ? null : readingOf(line, data, step);
  const last = (list: Float32Array | null) => (list && list.length ? num(list[list.length - 1]) : null);
  const pick = (e: React.PointerEvent<SVGSVGElement>) => {
    const box = e.currentTarget.getBoundingClientRect();
    onStep(Math.max(0, Math.min(steps - 1, Math.round(((e.clientX - box.left - LEFT) / inner) * (steps - 1)))));
  };
  return (
    <figure className="chart" data-chart={line.name} data-last={line.hi.length ? String(line.hi[line.hi.length - 1]) : undefined}>
      <figcaption>
        <b>{line.name}</b>
        <span className="key raw"><i />{t("each step")}</span>
        {line.epochs.length > 0 && <span className="key mean"><i />{t("mean of an epoch")} <em>{last(line.epochs)}</em></span>}
        {line.checked && <span className="key val"><i />{t("validation")} <em>{last(line.checked)}</em></span>}
        {line.bad !== null && <span className="bad">▲ {t("NaN or infinite from step {step} on", { step: line.bad })}</span>}
        {reading && <span className="reading" aria-live="off">{reading}</span>}
      </figcaption>
      <svg
        width={width} height={height} role="img" aria-label={t("{name} over {n} steps", { name: line.name, n: data.info.steps })}
        onPointerDown={(e) => { if (e.button === 0) { e.currentTarget.setPointerCapture(e.pointerId); pick(e); } }} onPointerMove={(e) => { if (e.buttons & 1) pick(e); }}
        onDoubleClick={onReplay}
      >
        {ticks.map((v) => <React.Fragment key={v.y}><path className="grid" d={`M${LEFT} ${v.y}H${width - RIGHT}`} /><text x={LEFT - 6} y={v.y + 3.5} textAnchor="end">{v.text}</text></React.Fragment>)}
        {marks.map((m) => <text key={m.x} x={m.x} y={height - 6} textAnchor={m.anchor}>{m.text}</text>)}
        <path className="raw" data-band={stride > 1 || undefined} d={raw} />
        <path className="mean" d={mean} />
        {line.epochs.length <= 60 && [...line.epochs].map((v, k) => known(v) && <circle key={k} className="mean" cx={end(k)} cy={y(v)} r={2.4} />)}
        {checked && <path className="val" d={checked} />}
        {line.checked && line.checked.length <= 60 && [...line.checked].map((v, k) => known(v) && <rect key={k} className="val" x={end(k) - 2.4} y={y(v) - 2.4} width={4.8} height={4.8} />)}
        {kept.length > 0 && <path className="kept" d={kept.map((k) => `M${x(k).toFixed(1)} ${height - FOOT}v5`).join("")} />}
        {line.bad !== null && <path className="badline" d={`M${x(line.bad)} ${TOP}V${height - FOOT}`} />}
        {opened !== null && opened < steps && <path className="opened" d={`M${x(opened)} ${TOP}V${height - FOOT}`} />}
        {step !== null && <path className="cursor" d={`M${x(step)} ${TOP}V${height - FOOT}`} />}
      </svg>
    </figure>
  );
}

/** The lowest values to the right, the highest ones back: where nothing is known the band breaks off. */
function band(line: Line, x: (i: number) => number, y: (v: number) => number, known: (v: number) => boolean): string {
  let out = "";
  for (let i = 0; i < line.lo.length;) {
    if (!known(line.lo[i]) || !known(line.hi[i])) { i++; continue; }
    let j = i;
    while (j < line.lo.length && known(line.lo[j]) && known(line.hi[j])) j++;
    const there: string[] = [];
    const back: string[] = [];
    for (let k = i; k < j; k++) {
      there.push(`${x(k).toFixed(1)} ${(y(line.lo[k]) + 0.4).toFixed(1)}`);
      back.unshift(`${x(k).toFixed(1)} ${(y(line.hi[k]) - 0.4).toFixed(1)}`);
    }
    out += `M${there.join("L")}L${back.join("L")}Z`;
    i = j;
  }
  return out;
}

/** Places on a logarithmic axis: powers of ten, and twice and five times those where there are few. */
function decades(from: number, to: number): number[] {
  const all = Array.from({ length: Math.max(0, Math.floor(to) - Math.ceil(from) + 1) }, (_, k) => Math.ceil(from) + k);
  if (all.length > 2) return all.filter((_, k) => k % Math.ceil(all.length / 6) === 0);
  return Array.from({ length: Math.floor(to) - Math.floor(from) + 1 }, (_, k) => Math.floor(from) + k).flatMap((k) => [k, k + Math.log10(2), k + Math.log10(5)]).filter((v) => v >= from && v <= to);
}

function readingOf(line: Line, data: CurveData, step: number): string {
  const { stride, ends } = data.info;
  const i = Math.min(line.lo.length - 1, Math.floor(step / stride));
  const value = i < 0 ? "–" : stride === 1 || line.lo[i] === line.hi[i] ? num(line.lo[i]) : t("{lo} to {hi}", { lo: num(line.lo[i]), hi: num(line.hi[i]) });
  const epoch = ends.findIndex((end) => step < end);
  return t("step {step}, epoch {epoch}: {value}", { step: step.toLocaleString("en-US"), epoch: epoch < 0 ? ends.length : epoch, value });
}
