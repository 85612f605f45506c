// The run by the clock: a lane for every device and thread, each firing as long as it took, and copies from lane to lane.
import * as React from "react";
import type { Clock } from "../protocol.gen";
import { t } from "../shared/words";
import { textWidth, visible } from "./geometry";

const TOP = 26;
const ROOM = 60;        // what all lanes together may take
const LABEL = 86;       // for the names of the lanes
const PAD = 12;
const LEAST = 1.5;      // px that the shortest firing is wide
const PHASES = { f: { word: "Forward", mark: "▶", cls: "forward" }, b: { word: "Backward", mark: "◀", cls: "backward" }, u: { word: "Update", mark: "◆", cls: "update" } } as const;
type Mark = keyof typeof PHASES;

/** Where everything stands on the clock: times in seconds, places in px. */
export class ClockScale {
  /** When the first so many firings are all over. */
  readonly ends: Float64Array;
  readonly span: number;
  readonly left: number;
  readonly pitch: number;

  constructor(readonly clock: Clock, readonly width: number) {
    this.ends = new Float64Array(clock.start.length + 1);
    for (let k = 0; k < clock.start.length; k++) this.ends[k + 1] = Math.max(this.ends[k], clock.start[k] + clock.took[k]);
    this.span = this.ends[this.ends.length - 1] || 1e-9;
    this.left = Math.min(LABEL, width / 5);
    this.pitch = (width - this.left - PAD) / this.span;
  }

  x(seconds: number): number { return this.left + seconds * this.pitch; }

  /** How many firings are over by then: as many as the cursor would have to count. */
  cursor(seconds: number): number {
    let lo = 0;
    let hi = this.ends.length - 1;
    while (lo < hi) { const mid = (lo + hi + 1) >> 1; if (this.ends[mid] <= seconds + 1e-12) lo = mid; else hi = mid - 1; }
    return lo;
  }

  at(x: number): number { return this.cursor((x - this.left) / this.pitch); }
}

/** Seconds as they are read: three digits and the unit that suits them. */
export function seconds(s: number): string {
  const [x, unit] = s < 1e-3 ? [s * 1e6, "µs"] : s < 1 ? [s * 1e3, "ms"] : [s, "s"];
  return `${x >= 100 ? x.toFixed(0) : x.toPrecision(3)} ${unit}`;
}

/** Forward fills its lane, backward its lower half, an update its middle: phases can be told without their colours. */
function bar(mark: Mark, x: number, w: number, y: number, h: number): string {
  const [top, high] = mark === "f" ? [y + 1, h - 2] : mark === "b" ? [y + h / 2, h / 2 - 1] : [y + h / 3, h / 3];
  return `M${x.toFixed(1)} ${top.toFixed(1)}h${w.toFixed(1)}v${high.toFixed(1)}h-${w.toFixed(1)}z`;
}

export function Lanes({ scale, ticks, names, cursor, past, hover, moment }: {
  scale: ClockScale; ticks: string; names: string[]; cursor: number; past: boolean; hover: number | null; moment: number | null;
}) {
  const { clock, width } = scale;
  const h = Math.max(4, Math.min(20, Math.floor(ROOM / clock.lanes.length)));
  const y = (lane: number) => TOP + lane * h;
  const foot = y(clock.lanes.length);
  const { done, open, ways } = React.useMemo(() => {
    const done: Record<Mark, string> = { f: "", b: "", u: "" };
    const open: Record<Mark, string> = { f: "", b: "", u: "" };
    const ways: { k: number; d: string; x: number; y: number }[] = [];
    for (let k = 0; k < clock.start.length; k++) {
      const mark = (ticks[k] in PHASES ? ticks[k] : "f") as Mark;
      const x = scale.x(clock.start[k]);
      const d = bar(mark, x, Math.max(LEAST, clock.took[k] * scale.pitch), y(clock.lane[k]), h);
      if (k < cursor) done[mark] += d;
      else open[mark] += d;
      const from = clock.came[k];
      if (from >= 0 && from !== clock.lane[k]) ways.push({ k, d: `M${(x - 5).toFixed(1)} ${y(from) + h / 2}L${x.toFixed(1)} ${y(clock.lane[k]) + h / 2}`, x, y: y(clock.lane[k]) + h / 2 });
    }
    return { done, open, ways };
  }, [scale, ticks, cursor, h]);
  const marks = (Object.keys(PHASES) as Mark[]).filter((m) => ticks.includes(m));
  const head = scale.x(moment ?? scale.ends[Math.min(cursor, scale.ends.length - 1)]);
  const shown = hover ?? cursor;
  const k = shown - 1;
  const text = k >= 0 && k < names.length ? `${shown}  ${visible(names[k])} · ${seconds(clock.took[k])} · ${clock.lanes[clock.lane[k]]}` : "";
  const w = textWidth(text, 10);
  const x = hover !== null ? scale.x(scale.ends[hover]) : head;
  const before = x + 8 + w > width;
  let next = scale.left;
  return (
    <svg width={width} height="104" aria-hidden="true" data-lanes={clock.lanes.length}>
      {marks.map((m) => { const p = PHASES[m]; const at = next; next += textWidth(`${p.mark} ${t(p.word)}`, 11, true) + 16; return <text key={m} className={`rt p-${p.cls}`} x={at} y="16">{p.mark} {t(p.word)}</text>; })}
      <text className="cap" x={width - PAD} y="16" textAnchor="end">{seconds(scale.span)}</text>
      {clock.lanes.map((name, k) => <g key={name} className="ln8"><rect className="lane" x={scale.left - 4} y={y(k) + 0.5} width={width - scale.left - PAD + 8} height={h - 1} rx="2" /><text x={scale.left - 10} y={y(k) + h / 2 + 3.5} textAnchor="end">{h >= 10 ? name : ""}</text></g>)}
      {marks.map((m) => <React.Fragment key={m}>
        {open[m] && <path className={`tt fu p-${PHASES[m].cls}`} d={open[m]} />}
        {done[m] && <path className={`tt p-${PHASES[m].cls}`} d={done[m]} />}
      </React.Fragment>)}
      {ways.map((c) => <g key={c.k} className={`cross${c.k < cursor ? " done" : ""}`} data-crossing={names[c.k]}><path d={c.d} /><circle cx={c.x} cy={c.y} r="2.5" /></g>)}
      {hover !== null && hover !== cursor && <path className="ghostc" d={`M${scale.x(scale.ends[hover])} ${TOP}V${foot}`} />}
      <path className={`cur${past ? " past" : ""}`} d={`M${head} 20V${foot + 4}`} />
      <path className={`curh${past ? " past" : ""}`} d={`M${head - 6} 20h12l-6 7z`} />
      <text className="cap" x={before ? x - 8 : x + 8} y="99" textAnchor={before ? "end" : "start"}>{text}</text>
    </svg>
  );
}
