// A tick for every firing: forward bars, backward triangles, update diamonds. Dragging it is time travel.
import * as React from "react";
import { useWidth } from "../shared/controls";
import { Icon } from "../shared/icons";
import { t, tn, told } from "../shared/words";
import { textWidth, visible } from "./geometry";
import { breakText } from "./Debug";
import type { BreakSpec } from "../protocol.gen";
import { ClockScale, Lanes } from "./Lanes";
import { useLab, useLabState } from "./store";

const MOST_FLAGS = 200;

const PHASES = { f: { word: "Forward", mark: "▶", cls: "forward" }, b: { word: "Backward", mark: "◀", cls: "backward" }, u: { word: "Update", mark: "◆", cls: "update" } } as const;
type Mark = keyof typeof PHASES;

function tick(mark: Mark, x: number, wide: boolean): string {
  const w = wide ? 4 : 1.5;
  switch (mark) {
    case "f": return `M${x - w / 2} 34h${w}v22h-${w}z`;
    case "b": return wide ? `M${x + 3.5} 34v22l-7 -11z` : `M${x + 1.5} 34v22l-3 -11z`;
    case "u": return wide ? `M${x} 34.5l4.5 10.5 -4.5 10.5 -4.5 -10.5z` : `M${x} 35l1.8 10 -1.8 10 -1.8 -10z`;
  }
}

/** Runs of one phase, firings counted from 1. */
function bands(ticks: string): { mark: Mark; from: number; to: number }[] {
  const out: { mark: Mark; from: number; to: number }[] = [];
  for (let i = 0; i < ticks.length; i++) {
    const mark = (ticks[i] in PHASES ? ticks[i] : "f") as Mark;
    const last = out[out.length - 1];
    if (last?.mark === mark) last.to = i + 1;
    else out.push({ mark, from: i + 1, to: i + 1 });
  }
  return out;
}

/** Labels under the ticks: firings of one timestep stand together, "t=3". */
function stepsOf(names: string[]): { text: string; from: number; to: number }[] {
  const out: { text: string; from: number; to: number }[] = [];
  names.forEach((n, i) => {
    const m = /\[(?:t=)?(\d+)\]/.exec(n);
    if (!m) return;
    const text = `t=${m[1]}`;
    const last = out[out.length - 1];
    if (last?.text === text && last.to === i) last.to = i + 1;
    else out.push({ text, from: i + 1, to: i + 1 });
  });
  return out;
}

/** Where breakpoints stand on the record: before a node's firings, or after those that a condition looks at. */
function flagsOf(breaks: BreakSpec[], names: string[]): { at: number; text: string; cond: boolean }[] {
  const out = new Map<number, { at: number; text: string; cond: boolean }>();
  for (const b of breaks) {
    const after = b.target.includes(":") || b.when !== "";
    const node = b.target.includes(":") ? b.target.slice(0, b.target.lastIndexOf(":")) : b.target;
    names.forEach((n, i) => { if (n === node && out.size < MOST_FLAGS) out.set(after ? i + 1 : i, { at: after ? i + 1 : i, text: `${visible(b.target)} ${breakText(b)}`, cond: after }); });
  }
  return [...out.values()];
}

export function Timeline() {
  const lab = useLab();
  const run = useLabState((s) => s.run);
  const drag = useLabState((s) => s.dragCursor);
  const [ref, full] = useWidth<HTMLDivElement>();
  const [hover, setHover] = React.useState<number | null>(null);
  const width = Math.max(120, full);
  const cursor = drag ?? run.cursor;
  const length = Math.max(run.length, run.cursor);
  const total = Math.max(run.total, length);
  const past = cursor < length || run.recording !== null;
  const pad = 12;
  const span = width - 2 * pad;
  const pitch = total ? span / total : span;
  const at = (n: number) => pad + (n - 0.5) * pitch;
  const edge = (n: number) => pad + n * pitch;
  const wide = pitch >= 7;

  const paths = React.useMemo(() => {
    const done: Record<Mark, string> = { f: "", b: "", u: "" };
    const open: Record<Mark, string> = { f: "", b: "", u: "" };
    if (pitch < 0.6) return { done, open };
    for (let i = 0; i < run.ticks.length; i++) {
      const mark = (run.ticks[i] in PHASES ? run.ticks[i] : "f") as Mark;
      const d = tick(mark, Math.round((pad + (i + 0.5) * pitch) * 10) / 10, wide);
      if (i < cursor) done[mark] += d;
      else open[mark] += d;
    }
    return { done, open };
  }, [run.ticks, cursor, pitch, wide]);
  const ranges = React.useMemo(() => bands(run.ticks), [run.ticks]);
  const steps = React.useMemo(() => stepsOf(run.names), [run.names]);
  const breaks = useLabState((s) => s.debugging.breaks);
  const flags = React.useMemo(() => flagsOf(breaks, run.names), [breaks, run.names]);

  const lanes = useLabState((s) => s.lanes);
  const known = useLabState((s) => s.clock);
  const moment = useLabState((s) => s.moment);
  const scale = React.useMemo(() => (lanes && known !== null && known.start.length > 0 && known.start.length === run.length ? new ClockScale(known, width) : null), [lanes, known, run.length, width]);

  const cursorAt = (e: React.PointerEvent): number => {
    const box = e.currentTarget.getBoundingClientRect();
    if (scale) return scale.at(e.clientX - box.left);
    return Math.max(0, Math.min(length, Math.round((e.clientX - box.left - pad) / pitch)));
  };
  const seek = (c: number) => { lab.pause(); const to = Math.max(0, Math.min(length, c)); if (to !== cursor) void lab.seek(to); };
  const onKeyDown = (e: React.KeyboardEvent) => {
    const by: Record<string, number> = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
    if (!(e.key in by)) return;
    e.preventDefault();
    e.stopPropagation();
    seek(cursor + by[e.key]);
  };
  const name = (c: number): string => (c > 0 ? visible(run.names[c - 1] ?? "") : t("start"));
  const text = !total ? t("no run yet") : cursor > 0 && run.names[cursor - 1] ? t("{n} of {total}, after {name}", { n: cursor, total, name: run.names[cursor - 1] }) : t("{n} of {total}", { n: cursor, total });
  return (
    <div className="tl">
      <div className={`tll${breaks.length > 0 ? " close" : ""}`}>
        <b className={`${cursor} / ${total}`.length > 12 ? "longer" : `${cursor} / ${total}`.length > 9 ? "long" : undefined}><span className={past ? "past" : ""}>{cursor}</span> / {total}</b>
        <span className="muted f0">{run.mode === "edit" && !length ? (total ? t("firings in a run") : t("nothing to run yet")) : run.done && cursor >= length ? t("run complete") : t("{n} ready", { n: run.ready })}</span>
        {run.let_go > 0 && <span className="muted f0" data-let-go title={t("{n} of {total} values let go to save memory: computed again when looked at", { n: run.let_go, total: length })}>{t("{n} let go", { n: run.let_go })}</span>}
        <button type="button" className={`tlb f0 clk${lanes ? " on" : ""}`} aria-pressed={lanes} aria-keyshortcuts="Shift+P" title={`${t("By the clock: a lane for each device, and tokens travel as the firings were recorded")}  (Shift+P)`} onClick={() => lab.setLanes(!lanes)}><Icon name="unfoldAll" size={10} /> {t("As recorded")}</button>
        {breaks.length > 0 && <button type="button" className="tlb f0" onClick={() => lab.select([])}><Icon name="flag" size={10} /> {tn(breaks.length, "{n} breakpoint", "{n} breakpoints")}</button>}
      </div>
      <div
        ref={ref} className="tlx" role="slider" aria-label={t("Timeline")} aria-valuemin={0} aria-valuemax={length} aria-valuenow={cursor} aria-valuetext={text} tabIndex={0} onKeyDown={onKeyDown}
        onPointerDown={(e) => { if (e.button === 0 && length) { e.currentTarget.setPointerCapture(e.pointerId); seek(cursorAt(e)); } }}
        onPointerMove={(e) => { setHover(length ? cursorAt(e) : null); if (e.buttons === 1 && e.currentTarget.hasPointerCapture(e.pointerId)) seek(cursorAt(e)); }} onPointerLeave={() => setHover(null)}
      >
        {scale && <Lanes scale={scale} ticks={run.ticks} names={run.names} cursor={cursor} past={past} hover={hover} moment={moment} />}
        {!scale && <svg width={width} height="104" aria-hidden="true">
          <rect className="lane" x={pad - 10} y="30" width={span + 20} height="30" rx="5" />
          {cursor > 0 && <rect className={past ? "lanep past" : "lanep"} x={pad - 10} y="30" width={Math.max(0, edge(cursor) - pad + 10)} height="30" rx="5" />}
          {ranges.map((r) => <path key={r.from} className={`rg p-${PHASES[r.mark].cls}`} d={`M${edge(r.from - 1) + 1} 26H${edge(r.to) - 1}`} />)}
          <RangeLabels ranges={ranges} edge={edge} width={width} head={total ? edge(cursor) : -99} />
          {(["f", "b", "u"] as const).map((m) => <React.Fragment key={m}>
            {paths.open[m] && <path className={`tt fu p-${PHASES[m].cls}`} d={paths.open[m]} />}
            {paths.done[m] && <path className={`tt p-${PHASES[m].cls}`} d={paths.done[m]} />}
          </React.Fragment>)}
          {pitch < 0.6 && ranges.map((r) => <rect key={r.from} className={`tt p-${PHASES[r.mark].cls}`} x={edge(r.from - 1)} y="34" width={Math.max(1, edge(r.to) - edge(r.from - 1))} height="22" />)}
          {run.ticks.length < total && wide && <path className="todo" d={Array.from({ length: total - run.ticks.length }, (_, i) => `M${at(run.ticks.length + i + 1)} 43v4`).join("")} />}
          {steps.map((s) => edge(s.to) - edge(s.from - 1) > 16 && <g key={s.from}><path className="tsb" d={`M${edge(s.from - 1) + 2} 62v4H${edge(s.to) - 2}v-4`} /><text className="tst" x={(edge(s.from - 1) + edge(s.to)) / 2} y="76" textAnchor="middle">{s.text}</text></g>)}
          {flags.map((f) => <g key={f.at} className="tlf"><title>{f.text}</title><path className="tlpole" d={`M${edge(f.at)} 60V97`} /><path className={f.cond ? "tlflag cond" : "tlflag"} d={`M${edge(f.at)} 82h10l-2.5 4 2.5 4h-10z`} /></g>)}
          {hover !== null && hover !== cursor && <path className="ghostc" d={`M${edge(hover)} 30V60`} />}
          {total > 0 && <><path className={`cur${past ? " past" : ""}`} d={`M${edge(cursor)} 26V98`} /><path className={`curh${past ? " past" : ""}`} d={`M${edge(cursor) - 7} 8h14v11l-7 8 -7 -8z`} /></>}
          <Caption x={hover !== null ? edge(hover) : edge(cursor)} width={width} text={length ? `${hover ?? cursor}  ${name(hover ?? cursor)}` : ""} flagged={flags.some((f) => f.at === (hover ?? cursor))} />
        </svg>}
        {!length && <span className="tlnone muted f1"><Icon name="step" size={12} /> {total ? t("Step or Run fills the timeline") : t("A tick will stand here for every node that fires")}</span>}
      </div>
    </div>
  );
}

/** Phase names above their bands, never under the cursor's flag and never on each other. */
function RangeLabels({ ranges, edge, width, head }: { ranges: { mark: Mark; from: number; to: number }[]; edge(n: number): number; width: number; head: number }) {
  let free = 0;
  return <>{ranges.map((r) => {
    const p = PHASES[r.mark];
    const text = r.from === r.to ? `${p.mark} ${t(p.word)}  ${r.from}` : `${p.mark} ${t(p.word)}  ${r.from}–${r.to}`;
    const w = textWidth(text, 11, true) + 8;
    let x = Math.max(edge(r.from - 1) + 1, free);
    if (head + 12 > x && head - 12 < x + w) x = head + 12 + w > width ? Math.max(free, head - 14 - w) : head + 12;
    const room = edge(r.to) - edge(r.from - 1);
    if (x + w > width || (room < 26 && ranges.length > 3)) return null;
    free = x + w + 6;
    return <text key={r.from} className={`rt p-${p.cls}`} x={x} y="18">{text}</text>;
  })}</>;
}

function Caption({ x, width, text, flagged }: { x: number; width: number; text: string; flagged: boolean }) {
  if (!text) return null;
  const short = text.length > 44 ? `${text.slice(0, 43)}…` : text;
  const w = textWidth(short, 10);
  const left = x + 8 + w > width;
  return <text className="cap" x={left ? x - 8 : x + (flagged ? 15 : 8)} y="94" textAnchor={left ? "end" : "start"}>{short}</text>;
}

/** "Viewing 41 / 96": the past says that it is the past. */
export function Banner() {
  const lab = useLab();
  const run = useLabState((s) => s.run);
  if (run.mode !== "past") return null;
  const total = Math.max(run.total, run.length);
  const send = (name: "resume" | "go_live" | "stop") => () => { lab.pause(); void lab.command(name); };
  if (run.recording !== null) {
    return (
      <div className="banner" data-recording={run.recording} title={t("A recorded run: what is shown was computed then; nothing is computed now")}>
        <span className="bi"><Icon name="play" size={13} /></span>
        <b>{t("Recorded {n} / {total}", { n: run.cursor, total })}</b>
        <span className="bs">{visible(told(run.recording))}{run.last !== null ? ` · ${t("{name} fired", { name: visible(run.last) })}` : ""}</span>
        {run.cursor < run.length && <button type="button" className="bl" title={t("Go on to the end of the recording, or to a breakpoint")} onClick={send("resume")}>{t("Resume")}</button>}
        {!lab.inFile && <>
          <button type="button" data-filled className="rs" title={t("Compute from here on: what comes next can be changed, and commits nothing")} onClick={send("go_live")}>{t("Go on live")}</button>
          <button type="button" className="bl ic" aria-label={t("Close the recording")} title={t("Close the recording")} onClick={send("stop")}><Icon name="close" size={11} /></button>
        </>}
      </div>
    );
  }
  return (
    <div className="banner">
      <span className="bi"><Icon name="undo" size={13} /></span>
      <b>{t("Viewing {n} / {total}", { n: run.cursor, total })}</b>
      <span className="bs">{run.last !== null ? `${t("{name} fired", { name: visible(run.last) })} · ` : ""}{t("{n} ready", { n: run.ready })}</span>
      <button type="button" data-filled className="rs" onClick={send("resume")}>{t("Resume")}</button>
    </div>
  );
}
