// The memory ledger of one unit: what it kept and what it wrote, step by step, and the state that this made.
import * as React from "react";
import { niceStep, tick } from "../shared/format";
import { t as words } from "../shared/words";
import { type LayerData, momentOf } from "./data";
import { useLight } from "./lit";

const LEFT = 44;
const RIGHT = 12;
const TOP = 6;
const BOTTOM = 20;
const LONG = 240;      // steps that are drawn at once

export function Ledger({ data, t, unit, setT }: { data: LayerData; t: number; unit: number; setT(t: number): void }) {
  const light = useLight();
  const hatch = React.useId();
  const box = React.useRef<HTMLDivElement>(null);
  const { width, height } = useSize(box);
  // of a long sequence, the part around the cursor
  const first = data.steps > LONG ? Math.floor(t / LONG) * LONG : 0;
  const plot = React.useMemo(() => plan(data, unit, first, width, height), [data, unit, first, width, height]);
  const { kind } = data;
  const now = plot.moments[t - first];
  const go = (e: React.PointerEvent<SVGSVGElement>) => {
    const x = e.clientX - e.currentTarget.getBoundingClientRect().left;
    setT(first + Math.max(0, Math.min(plot.moments.length - 1, Math.floor((x - LEFT) / plot.step))));
  };
  return (
    <section className="panel ledger" data-lit={light.is("keep") || light.is("write")}>
      <div className="head">
        <h2>{words("Memory ledger of unit {unit}", { unit: unit + data.unitFrom })}</h2>
        <span className="legend"><i className="keep" />{words("keep")} {kind.keep}<i className="write" />{words("write")} {kind.write}<i className="line" />{kind.line}{kind.dashed && <><i className="dashed" />{kind.dashed}</>}</span>
      </div>
      <div ref={box} className="chart">
        <svg
          width={width} height={height} role="img" aria-label={words("Memory ledger of unit {unit} over {steps} steps", { unit: unit + data.unitFrom, steps: plot.moments.length })}
          onPointerDown={(e) => { e.currentTarget.setPointerCapture(e.pointerId); go(e); }}
          onPointerMove={(e) => { if (e.buttons & 1) go(e); }}
        >
          <defs>
            <pattern id={hatch} width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <rect width="5" height="5" className="tint" /><path d="M0 0V5" className="stripe" />
            </pattern>
          </defs>
          <Bars plot={plot} hatch={hatch} t={t - first} keep={light.is("keep") ?? false} write={light.is("write") ?? false} state={light.is(kind.total === "a" ? "sum" : kind.total) ?? false} />
          {now && (
            <>
              <path className="cursor" d={`M${plot.x(t - first)} 0V${height - BOTTOM + 4}`} />
              {kind.dashed && <circle className="hidden" data-lit={light.is("h")} cx={plot.x(t - first)} cy={plot.y(now.h)} r={3} />}
              <circle className="state" cx={plot.x(t - first)} cy={plot.y(now.total)} r={4.5} />
            </>
          )}
        </svg>
      </div>
    </section>
  );
}

interface Plot {
  kind: LayerData["kind"];
  /** The first step drawn, of all. */
  from: number;
  width: number;
  moments: ReturnType<typeof momentOf>[];
  step: number;
  x(t: number): number;
  y(v: number): number;
  ticks: { v: number; text: string }[];
  times: number[];
  height: number;
  lines: { c: string; h: string };
}

function plan(data: LayerData, unit: number, begin: number, width: number, height: number): Plot {
  const steps = Math.min(data.steps - begin, LONG);
  const moments = width > 0 ? Array.from({ length: steps }, (_, t) => momentOf(data, begin + t, unit)) : [];
  let lo = 0;
  let hi = 0;
  for (const m of moments) {
    for (const v of [m.total, m.h, m.keep]) {
      if (!Number.isFinite(v)) continue;
      lo = Math.min(lo, v);
      hi = Math.max(hi, v);
    }
  }
  const every = niceStep(hi - lo, Math.max(2, (height - TOP - BOTTOM) / 36));
  const first = Math.floor(lo / every + 1e-9);
  const final = Math.max(first + 1, Math.ceil(hi / every - 1e-9));
  const step = (width - LEFT - RIGHT) / steps;
  const x = (t: number) => LEFT + (t + 0.5) * step;
  const y = (v: number) => {
    // what is no number is no bar: it lies on the line of 0
    const share = ((Number.isNaN(v) ? 0 : v) - first * every) / ((final - first) * every);
    return height - BOTTOM - Math.max(-0.05, Math.min(1.05, share)) * (height - TOP - BOTTOM);
  };
  const between = Math.max(1, Math.round(niceStep(steps, Math.max(2, width / 80))));
  return {
    kind: data.kind, from: data.from + begin, width, moments, step, x, y, height,
    ticks: Array.from({ length: final - first + 1 }, (_, k) => ({ v: (first + k) * every, text: tick((first + k) * every, every) })),
    times: Array.from({ length: Math.ceil(steps / between) }, (_, k) => k * between),
    lines: { c: line(moments.map((m) => m.total), x, y), h: data.kind.dashed ? line(moments.map((m) => m.h), x, y) : "" },
  };
}

/** A line that breaks where a number is missing. */
function line(values: number[], x: (t: number) => number, y: (v: number) => number): string {
  let pen = "M";
  return values.map((v, t) => {
    if (!Number.isFinite(v)) {
      pen = "M";
      return "";
    }
    const part = `${pen}${x(t).toFixed(1)} ${y(v).toFixed(1)}`;
    pen = "L";
    return part;
  }).join("");
}

const Bars = React.memo(function Bars({ plot, hatch, t: now, keep, write, state }: {
  plot: Plot; hatch: string; t: number; keep: boolean; write: boolean; state: boolean;
}) {
  const { kind, from, moments, x, y, step, width, height } = plot;
  const zero = y(0);
  const wide = Math.max(1, step * 0.81);
  const slim = Math.max(1, step * 0.4);
  const bar = (from: number, to: number) => ({ y: Math.min(from, to), height: Math.max(0.6, Math.abs(to - from)) });
  const none = (v: number) => (Number.isNaN(v) ? 0 : undefined);
  return (
    <>
      {plot.ticks.map(({ v, text }) => (
        <React.Fragment key={v}>
          <path className={v === 0 ? "grid zero" : "grid"} d={`M${LEFT} ${y(v)}H${width - RIGHT}`} /><text x={LEFT - 6} y={y(v) + 3.5} textAnchor="end">{text}</text>
        </React.Fragment>
      ))}
      {plot.times.map((t) => <text key={t} x={x(t)} y={height - 3} textAnchor="middle">{t + from}</text>)}
      {moments.map((m, t) => (
        <rect
          key={t} className="keep" data-ledger={kind.total === "a" ? "s" : "keep"} data-t={t + from} data-value={String(m.keep)} data-lit={(keep && t === now) || undefined}
          opacity={none(m.keep)} fill={`url(#${hatch})`} x={x(t) - wide / 2} width={wide} {...bar(zero, y(m.keep))}
        />
      ))}
      {moments.map((m, t) => (
        <rect
          key={t} className="write" data-ledger={kind.total === "a" ? "u" : "write"} data-t={t + from} data-value={String(m.write)} data-lit={(write && t === now) || undefined}
          opacity={none(m.write)} x={x(t) - slim / 2} width={slim} {...bar(y(m.keep), y(m.total))}
        />
      ))}
      <path className="hline" d={plot.lines.h} />
      <path className="cline" d={plot.lines.c} />
      {moments.map((m, t) => (
        <circle key={t} className="point" data-ledger={kind.total} data-t={t + from} data-value={String(m.total)} data-lit={(state && t === now) || undefined} cx={x(t)} cy={y(m.total)} r={Number.isNaN(m.total) ? 0 : 2} />
      ))}
    </>
  );
}, (a, b) => a.plot === b.plot && a.hatch === b.hatch && sameLight(a, b));

type BarLight = { t: number; keep: boolean; write: boolean; state: boolean };

/** The bars care about the cursor only while one of them is lit. */
function sameLight(a: BarLight, b: BarLight): boolean {
  const dark = (l: BarLight) => !l.keep && !l.write && !l.state;
  return (dark(a) && dark(b)) || (a.t === b.t && a.keep === b.keep && a.write === b.write && a.state === b.state);
}

function useSize(ref: React.RefObject<HTMLElement | null>): { width: number; height: number } {
  const [size, setSize] = React.useState({ width: 0, height: 0 });
  React.useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const read = () => setSize((old) => {
      const next = { width: element.clientWidth, height: element.clientHeight };
      return old.width === next.width && old.height === next.height ? old : next;
    });
    read();
    const observer = new ResizeObserver(read);
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref]);
  return size;
}
