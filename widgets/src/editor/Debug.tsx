// Debugging on the page: breakpoints, watches, overrides, a second run beside the first, and what a firing did with its numbers.
import * as React from "react";
import type { Apart, BreakSpec, OutPort, WatchSpec } from "../protocol.gen";
import { download } from "../shared/download";
import { num, percent } from "../shared/format";
import { Icon } from "../shared/icons";
import { Live } from "../shared/live";
import { language, t, tn, told } from "../shared/words";
import { lastPart, visible } from "./geometry";
import { AskForm, MyQuestions, QuestionsPane } from "./Questions";
import { type Lab, useLab, useLabState } from "./store";
import "./debug.css";

const nodeOf = (target: string): string => (target.includes(":") ? target.slice(0, target.lastIndexOf(":")) : target);

/** The node's breakpoints: before it, or after one of its outputs. */
export const breaksOf = (all: BreakSpec[], name: string): BreakSpec[] => all.filter((b) => nodeOf(b.target) === name);

/** "max > 10", "before", "nan or inf": what a breakpoint waits for. */
export function breakText(b: BreakSpec): string {
  const parts = [b.when || (b.target.includes(":") ? t("after") : t("before"))];
  if (b.timestep !== null) parts.push(`t = ${b.timestep}`);
  if (b.hits > 1) parts.push(tn(b.hits, "from hit {n} on", "from hit {n} on"));
  if (b.action !== "pause") parts.push(b.action === "log" ? t("log") : t("snapshot"));
  return parts.join(" · ");
}

// ---------------------------------------------------------------- commands that keys and buttons share

export function toggleBreak(lab: Lab): void {
  const { selected, edge, wiring, debugging } = lab.state;
  const target = edge !== null ? wiring.edges.get(edge)?.tensor ?? null : selected.length === 1 ? selected[0] : null;
  if (target === null) return lab.say("Select a node or an edge first, then B.");
  const there = debugging.breaks.find((b) => b.target === target && !b.when);
  void (there ? lab.debug("break_remove", { text: there.key }) : lab.debug("break_add", { target }));
}

export function toggleWatch(lab: Lab): void {
  const tensor = lab.shown();
  if (tensor === null) return lab.say("Select a node or an edge first, then Shift+W.");
  void lab.debug(lab.state.debugging.watches.some((w) => w.tensor === tensor) ? "watch_remove" : "watch_add", { target: tensor });
}

export function openForm(lab: Lab, form: "break" | "override" | "ask"): void {
  if (lab.shown() === null) return lab.say("Select a node or an edge first.");
  lab.set({ form });
}

export const explain = (lab: Lab, at: number[] | null = null): void => {
  const tensor = lab.shown();
  if (tensor !== null) void lab.debug("explain", { target: tensor, at, language: language() });
};

const HEATS = ["", "time", "memory"] as const;

/** No costs on the canvas, time, memory, none again. */
export const nextHeat = (lab: Lab): void => void lab.debug("heat", { text: HEATS[(HEATS.indexOf(lab.state.debugging.heat?.kind ?? "") + 1) % HEATS.length] });

// ---------------------------------------------------------------- in the inspector

/** Watch, Break and Override for what the inspector shows; the form that one of them opens. */
export function DebugActions({ target, tensor }: { target: string | null; tensor: string | null }) {
  const lab = useLab();
  const debugging = useLabState((s) => s.debugging);
  const form = useLabState((s) => s.form);
  const mine = debugging.breaks.filter((b) => b.target === target || b.target === tensor);
  const watched = debugging.watches.some((w) => w.tensor === tensor);
  const held = tensor !== null && debugging.overridden.includes(tensor);
  const toggle = (which: "break" | "override" | "ask") => () => lab.set({ form: form === which ? null : which });
  return (
    <section className="dbg" aria-label={t("Debug")}>
      <div className="act three">
        {tensor !== null && <button type="button" className="bt" aria-pressed={watched} title={t("Keep it in sight (Shift+W)")} onClick={() => toggleWatch(lab)}><Icon name="eye" size={12} /> {t("Watch")}</button>}
        {target !== null && <button type="button" className="bt" aria-pressed={mine.length > 0} aria-expanded={form === "break"} title={t("Pause here, on a condition if you like (B)")} onClick={toggle("break")}><Icon name="flag" size={12} /> {t("Break")}</button>}
        <Live off={lab.inFile}>{tensor !== null && <button type="button" className="bt" aria-pressed={held} aria-expanded={form === "override"} title={t("Put another value in its place (O)")} onClick={toggle("override")}><Icon name="pencil" size={12} /> {t("Override…")}</button>}
        {tensor !== null && <button type="button" className="bt" aria-expanded={form === "ask"} title={t("Ask before this step (Q)")} onClick={toggle("ask")}><Icon name="question" size={12} /> {t("Ask…")}</button>}</Live>
      </div>
      {debugging.branch && <button type="button" className="bt parted" title={t("What differs between the two runs is listed where nothing is selected (Esc)")} onClick={() => lab.select([])}><Icon name="branch" size={12} /> {t("Where the two runs differ")}</button>}
      {mine.length > 0 && <ul className="plain brk">{mine.map((b) => <Break key={b.key} b={b} />)}</ul>}
      {form === "break" && target !== null && <BreakForm target={target} tensor={tensor} />}
      {form === "override" && tensor !== null && <OverrideForm tensor={tensor} />}
      {form === "ask" && tensor !== null && <AskForm tensor={tensor} source={target === null} />}
      <MyQuestions tensor={tensor} target={target} />
    </section>
  );
}

function Break({ b, named = false }: { b: BreakSpec; named?: boolean }) {
  const lab = useLab();
  const what = `${b.target} ${breakText(b)}`;
  return (
    <li data-break={b.target}>
      <Icon name="flag" size={11} />
      {named && (b.drawn !== null ? <button type="button" onClick={() => lab.go(b.drawn as string)}>{visible(b.target)}</button> : <span>{visible(b.target)}</span>)}
      <span className="m">{breakText(b)}</span>
      {b.held > 0 && <span className="muted">{tn(b.held, "held once", "held {n} times")}</span>}
      <button type="button" className="x" aria-label={t("Remove the breakpoint {what}", { what: visible(what) })} onClick={() => void lab.debug("break_remove", { text: b.key })}><Icon name="close" size={10} /></button>
    </li>
  );
}

const CONDITIONS = ["nan or inf", "max > 10", "abs(mean) > 1", "norm < 1e-6", "zeros > 0.9", "changed"];

function BreakForm({ target, tensor }: { target: string; tensor: string | null }) {
  const lab = useLab();
  const [when, setWhen] = React.useState("");
  const [hits, setHits] = React.useState("1");
  const [timestep, setTimestep] = React.useState("");
  const [action, setAction] = React.useState<"pause" | "log" | "snapshot">("pause");
  const [bad, setBad] = React.useState(false);
  const first = React.useRef<HTMLInputElement>(null);
  const id = React.useId();
  React.useEffect(() => first.current?.focus(), []);
  // a condition is about a value; without one, a node pauses before it fires
  const aim = when.trim() || action !== "pause" || target.includes(":") ? tensor ?? target : target;
  const put = async (e: React.FormEvent) => {
    e.preventDefault();
    const ok = await lab.debug("break_add", { target: aim, text: when.trim(), hits: Math.trunc(Number(hits) || 0), timestep: timestep.trim() === "" ? null : Math.trunc(Number(timestep)), action });
    setBad(!ok);
    if (ok) { lab.set({ form: null }); lab.root?.focus({ preventScroll: true }); }
  };
  return (
    <form className="dform" onSubmit={(e) => void put(e)} onKeyDown={(e) => { if (e.key === "Escape") { e.stopPropagation(); lab.set({ form: null }); lab.root?.focus({ preventScroll: true }); } }}>
      <div className="fld wide"><label htmlFor={`${id}w`}>{t("When")}</label>
        <input ref={first} id={`${id}w`} className={`tf m${bad ? " bad" : ""}`} list={`${id}l`} value={when} placeholder={target.includes(":") || tensor === null ? t("always") : t("empty: before it fires")} aria-invalid={bad || undefined} spellCheck={false} autoComplete="off" maxLength={400} onChange={(e) => { setWhen(e.target.value); setBad(false); }} />
        <datalist id={`${id}l`}>{CONDITIONS.map((c) => <option key={c} value={c} />)}</datalist></div>
      <div className="ig2">
        <div className="fld"><label htmlFor={`${id}h`}>{t("From hit")}</label><input id={`${id}h`} className="tf" type="number" min={1} value={hits} onChange={(e) => setHits(e.target.value)} /></div>
        <div className="fld"><label htmlFor={`${id}t`}>{t("Timestep")}</label><input id={`${id}t`} className="tf" type="number" min={0} placeholder={t("any")} value={timestep} onChange={(e) => setTimestep(e.target.value)} /></div>
        <div className="fld"><label htmlFor={`${id}a`}>{t("Do")}</label><select id={`${id}a`} className="tf" value={action} onChange={(e) => setAction(e.target.value as typeof action)}><option value="pause">{t("pause")}</option><option value="log">{t("log")}</option><option value="snapshot">{t("snapshot")}</option></select></div>
        <button type="submit" className="bt pri">{t("Set")}</button>
      </div>
      <p className="muted f1">{t("min max mean std norm sum zeros nan inf size changed, elements as [0, 3], abs( ), and or not")}</p>
    </form>
  );
}

function OverrideForm({ tensor }: { tensor: string }) {
  const lab = useLab();
  const value = useLabState((s) => (s.value?.message.tensor === tensor ? s.value.message : null));
  const held = useLabState((s) => s.debugging.overridden.includes(tensor));
  const [text, setText] = React.useState<string | null>(null);
  const [beside, setBeside] = React.useState(false);
  const [bad, setBad] = React.useState(false);
  const first = React.useRef<HTMLTextAreaElement>(null);
  const id = React.useId();
  React.useEffect(() => first.current?.focus(), []);
  const shown = text ?? value?.json ?? "";
  const leave = () => { lab.set({ form: null }); lab.root?.focus({ preventScroll: true }); };
  const put = async () => {
    const ok = await lab.debug(beside ? "branch" : "override", { target: tensor, text: shown });
    setBad(!ok);
    if (ok) leave();
  };
  return (
    <form className="dform" onSubmit={(e) => { e.preventDefault(); void put(); }} onKeyDown={(e) => { if (e.key === "Escape") { e.stopPropagation(); leave(); } }}>
      <div className="fld tall"><label htmlFor={id}>{t("Value of {tensor}", { tensor: visible(tensor) })}</label>
        <textarea ref={first} id={id} className={`tf m${bad ? " bad" : ""}`} rows={Math.min(6, Math.max(2, Math.ceil(shown.length / 30)))} value={shown} placeholder={t("one number for all, or [[1, 2], [3, 4]]")} aria-invalid={bad || undefined} spellCheck={false}
          onChange={(e) => { setText(e.target.value); setBad(false); }} onKeyDown={(e) => { if (e.key === "Enter" && !e.shiftKey && !e.nativeEvent.isComposing) { e.preventDefault(); void put(); } }} /></div>
      <label className="chk"><input type="checkbox" checked={beside} onChange={(e) => setBeside(e.target.checked)} /> {t("in a second run beside this one, compared with it")}</label>
      <div className="act tight"><button type="submit" className="bt pri" disabled={!shown.trim()}>{beside ? t("Branch") : t("Override")}</button>
        {held && <button type="button" className="bt" onClick={() => { void lab.debug("override_clear", { target: tensor }); leave(); }}>{t("Take it back")}</button>}</div>
    </form>
  );
}

/** Beside the health of a tensor: why it is not finite, or nothing but zeros. */
export function WhyButtons({ tensor, nan, inf, zeros }: { tensor: string; nan: boolean; inf: boolean; zeros: boolean }) {
  const lab = useLab();
  if (!nan && !inf && !zeros) return null;
  return (
    <div className="act tight why">
      {(nan || inf) && <button type="button" className="bt" onClick={() => void lab.debug("why_nan", { target: tensor })}><Icon name="question" size={12} /> {nan ? t("Why NaN?") : t("Why infinite?")}</button>}
      {zeros && <button type="button" className="bt" onClick={() => void lab.debug("why_zero", { target: tensor })}><Icon name="question" size={12} /> {t("Why zero?")}</button>}
    </div>
  );
}

/** Where it began, told in sentences; the way from there is lit on the canvas until this is closed. */
export function WhyCard() {
  const lab = useLab();
  const why = useLabState((s) => s.why);
  if (!why) return null;
  const close = () => { lab.set({ why: null }); lab.light(null); };
  return (
    <section className="whyc" role="group" aria-label={t("Why")} data-testid="why">
      <div className="sh"><h2>{why.kind === "zero" ? t("Why zero?") : why.kind === "inf" ? t("Why infinite?") : t("Why NaN?")} <span className="muted">{visible(why.tensor)}</span></h2><button type="button" className="x" aria-label={t("Close")} onClick={close}><Icon name="close" size={11} /></button></div>
      {why.sentences.map((s, i) => <p key={i}>{visible(told(s))}</p>)}
      {why.path.length > 1 && <ol className="way">{why.path.slice(0, 12).map((p) => <li key={p}><button type="button" onClick={() => lab.go(p)}>{visible(p)}</button></li>)}</ol>}
    </section>
  );
}

/** The numbers of this run in the node's formula. */
export function ExplainCard({ tensor }: { tensor: string }) {
  const lab = useLab();
  const found = useLabState((s) => (s.explained?.tensor === tensor ? s.explained : null));
  if (!found) return null;
  return (
    <div className="expl" role="group" aria-label={t("What happened here")} data-testid="explained">
      {found.arithmetic && <p className="arith m">{visible(found.arithmetic)}</p>}
      {found.sentences.map((s, i) => <p key={i}>{visible(s)}</p>)}
      <button type="button" className="x" aria-label={t("Close")} onClick={() => lab.set({ explained: null })}><Icon name="close" size={10} /></button>
    </div>
  );
}

/** With nothing selected: all that is set for this run. */
export function DebugPane() {
  const lab = useLab();
  const d = useLabState((s) => s.debugging);
  const id = React.useId();
  return (
    <>
      <WhyCard />
      {d.branch && <BranchPane />}
      <QuestionsPane />
      <section className="dbg"><h2>{t("Breakpoints")}</h2>
        {d.breaks.length > 0 && <ul className="plain brk">{d.breaks.map((b) => <Break key={b.key} b={b} named />)}</ul>}
        <Live off={lab.inFile}><label className="chk" htmlFor={id}><input id={id} type="checkbox" checked={d.pause_on_bad} onChange={(e) => void lab.debug(e.target.checked ? "pause_on_bad_on" : "pause_on_bad_off")} /> {t("Pause on the first NaN or Inf")}</label></Live>
        <div className="fld cst"><label htmlFor={`${id}h`}>{t("Costs on the canvas")}</label><select id={`${id}h`} className="tf" value={d.heat?.kind ?? ""} onChange={(e) => void lab.debug("heat", { text: e.target.value })}>
          <option value="">{t("none")}</option><option value="time">{t("time")}</option><option value="memory">{t("memory")}</option></select></div>
        {d.heat && <p className="muted f1">{t("{total} in the firings so far", { total: d.heat.total })}{Object.keys(d.heat.wires).length > 0 && <><br />{t("A wire is as wide as its tensor is large.")}</>}</p>}
        {d.overridden.length > 0 && <ul className="plain brk">{d.overridden.map((o) => <li key={o}><Icon name="pencil" size={11} /><span>{visible(o)}</span><span className="muted">{t("overridden")}</span>{!lab.inFile && <button type="button" className="x" aria-label={t("Take back the override of {tensor}", { tensor: visible(o) })} onClick={() => void lab.debug("override_clear", { target: o })}><Icon name="close" size={10} /></button>}</li>)}</ul>}
      </section>
    </>
  );
}

function BranchPane() {
  const lab = useLab();
  const b = useLabState((s) => s.debugging.branch);
  const id = React.useId();
  if (!b) return null;
  /** To the firing after which the two differ, and to what gave the difference. */
  const goTo = async (r: Apart) => {
    lab.pause();
    if (r.firing > 0) await lab.seek(r.firing);
    if (r.drawn === null) return;
    lab.go(r.drawn);
    lab.set({ output: Number(r.tensor.slice(r.tensor.lastIndexOf(":") + 1)) });
    lab.ask();
  };
  const short = b.rows.map((r) => lastPart(r.tensor));
  /** As short as tells it from the others. */
  const nameOf = (r: Apart) => { const last = lastPart(r.tensor); return short.indexOf(last) === short.lastIndexOf(last) ? last : r.tensor.split("/").slice(-2).join("/"); };
  const missing = (run: "A" | "B") => b.missing.filter((m) => m.run === run);
  return (
    <section className="branch" data-testid="branch" data-count={b.count} data-by={b.by}>
      <div className="sh"><h2><Icon name="branch" size={12} /> {b.recorded ? t("Two recorded runs") : t("Second run")}</h2><button type="button" className="x" aria-label={t("Drop the second run")} title={t("Drop the second run")} onClick={() => void lab.debug("branch_drop")}><Icon name="close" size={11} /></button></div>
      {b.recorded && <p className="muted f1">A: {visible(b.first)}<br />B: {visible(b.name)} · {tn(b.compared, "{n} firing in both", "{n} firings in both")}</p>}
      {!b.recorded && <p className="muted f1">{told(b.name)} · {b.done ? t("at its end") : `${b.cursor} / ${b.total}`}{b.error ? ` · ${told(b.error)}` : ""}</p>}
      {b.results.length > 0 && <ul className="plain rows">{b.results.map((r) => <li key={r.label}><span>{visible(r.label)}</span><span>{r.before} → <b>{r.after}</b></span></li>)}</ul>}
      {(["A", "B"] as const).map((run) => missing(run).length > 0 && <div key={run} className="only" data-only={run}><h3>{t("Only in {run}", { run })}</h3>
        <p className="f1">{missing(run).slice(0, 12).map((m, i) => <React.Fragment key={m.name}>{i > 0 && ", "}{m.drawn !== null ? <button type="button" onClick={() => lab.go(m.drawn as string)}>{visible(m.name)}</button> : visible(m.name)}</React.Fragment>)}{missing(run).length > 12 && " …"}</p></div>)}
      {b.count > 1 && <div className="fld cst"><label htmlFor={id}>{t("Order of differences")}</label><select id={id} className="tf" value={b.by} onChange={(e) => void lab.debug("compare_by", { text: e.target.value })}><option value="first">{t("the first")}</option><option value="norm">{t("the largest")}</option></select></div>}
      <h3>{!b.count ? t("No output differs.") : b.by === "norm" ? tn(b.count, "{n} output differs; the largest:", "{n} outputs differ; the largest:") : tn(b.count, "{n} output differs; the first:", "{n} outputs differ; the first:")}</h3>
      {b.rows.length > 0 && <table className="stt apart"><thead><tr><th>{t("tensor")}</th><th>A</th><th>B</th><th>{t("relative")}</th></tr></thead><tbody>{b.rows.slice(0, 12).map((r, i) => <tr key={i}>
        <th scope="row">{r.drawn !== null ? <button type="button" title={`${visible(r.tensor)}${r.frame ? ` · ${visible(r.frame)}` : ""}`} onClick={() => void goTo(r)}>{visible(nameOf(r))}{r.frame && <small> {visible(r.frame.slice(r.frame.lastIndexOf(" ") + 1))}</small>}</button> : visible(nameOf(r))}</th><td>{r.a}</td><td>{r.b}</td><td>{r.relative === null ? "∞" : num(r.relative)}</td></tr>)}</tbody></table>}
    </section>
  );
}

// ---------------------------------------------------------------- the table of watches, over the canvas

export function WatchTable() {
  const lab = useLab();
  const watches = useLabState((s) => s.debugging.watches);
  const [open, setOpen] = React.useState(true);
  // what is selected does not stay under it
  React.useEffect(() => { const { selected } = lab.state; if (watches.length && open && selected.length === 1) lab.view?.show(selected[0], true); }, [lab, watches.length, open]);
  if (!watches.length) return null;
  const numbers = watches.some((w) => w.number !== "");
  const slopes = watches.some((w) => w.gradient !== null);
  const csv = () => download(new Blob([table(watches)], { type: "text/csv;charset=utf-8" }), "watches.csv");
  return (
    <section className={`watch nodrag nopan nowheel${open ? "" : " shut"}`} aria-label={t("Watches")} data-testid="watches">
      <div className="wh">
        <button type="button" className="wt" aria-expanded={open} onClick={() => setOpen(!open)}><Icon name={open ? "chevronDown" : "chevronRight"} size={11} /> {t("Watches")} <span className="muted">{watches.length}</span></button>
        {open && <button type="button" className="bt" onClick={csv} title={t("The table as comma-separated values")}>CSV</button>}
      </div>
      {open && <div className="ws"><table><thead><tr><th>{t("tensor")}</th><th>{t("shape")}</th>{numbers && <th>{t("value")}</th>}<th>min</th><th>max</th><th>mean</th><th>std</th><th>{t("zeros")}</th><th>NaN</th><th>Inf</th>
        {slopes && <><th className="gr">◀ {t("gradient")}</th><th>min</th><th>max</th><th>mean</th><th>norm</th></>}<th>{t("mean, firing by firing")}</th><th>{t("part")}</th><th /></tr></thead>
        <tbody>{watches.map((w) => <WatchRow key={w.tensor} w={w} lab={lab} numbers={numbers} slopes={slopes} />)}</tbody></table></div>}
    </section>
  );
}

/** `numbers`: is there a column for single numbers? `slopes`: are there columns for gradients? */
function WatchRow({ w, lab, numbers, slopes }: { w: WatchSpec; lab: Lab; numbers: boolean; slopes: boolean }) {
  const s = w.stats;
  const d = w.gradient_stats;
  const sick = s !== null && s.nan + s.inf > 0;
  const cell = (x: number | null | undefined) => (x === null || x === undefined ? "–" : num(x));
  const [box, setBox] = React.useState(w.box);
  React.useEffect(() => setBox(w.box), [w.box]);
  const send = () => { if (box !== w.box) void lab.debug("watch_box", { target: w.tensor, text: box }); };
  const partner = <>◀ {d ? w.gradient_number || `dL/d${visible(lastPart(w.tensor.replace(/:0$/, "")))}` : t("not yet")}</>;
  return (
    <tr data-watch={w.tensor} data-gradient={w.gradient ?? undefined} className={sick ? "sick" : ""}>
      <th scope="row">{w.drawn !== null ? <button type="button" onClick={() => lab.go(w.drawn as string)}>{visible(w.tensor)}</button> : visible(w.tensor)}</th>
      <td>{w.shape || "?"}</td>
      {numbers && <td data-cell="value">{w.number || "–"}</td>}
      {s ? <><td data-cell="min">{cell(s.min)}</td><td data-cell="max">{cell(s.max)}</td><td data-cell="mean">{cell(s.mean)}</td><td>{cell(s.std)}</td><td>{percent(s.zeros, 0)}</td><td>{s.nan}</td><td>{s.inf}</td></> : <td colSpan={7} className="muted">{t("no value yet")}</td>}
      {slopes && <td className="gr" data-cell="gradient">{w.gradient === null ? "–" : w.gradient_drawn !== null ? <button type="button" className="gn" title={t("Its gradient is {tensor}", { tensor: visible(w.gradient) })} onClick={() => lab.go(w.gradient_drawn as string)}>{partner}</button> : <span className="gn" title={visible(w.gradient)}>{partner}</span>}</td>}
      {slopes && <><td data-cell="gradient min">{cell(d?.min)}</td><td data-cell="gradient max">{cell(d?.max)}</td><td>{cell(d?.mean)}</td><td>{cell(d?.norm)}</td></>}
      <td><Line points={w.line} /></td>
      <td><input className={`tf m${w.wrong ? " bad" : ""}`} aria-label={t("Part of {tensor}", { tensor: visible(w.tensor) })} aria-invalid={w.wrong ? true : undefined} title={w.wrong ? told(w.wrong) : "[0, :, ::2]"} value={box} placeholder="[:]" spellCheck={false} onChange={(e) => setBox(e.target.value)} onBlur={send} onKeyDown={(e) => { if (e.key === "Enter") { e.preventDefault(); send(); } }} /></td>
      <td><button type="button" className="x" aria-label={t("Watch {tensor} no more", { tensor: visible(w.tensor) })} onClick={() => void lab.debug("watch_remove", { target: w.tensor })}><Icon name="close" size={10} /></button></td>
    </tr>
  );
}

/** A mean over firings; a gap where it was not finite. */
function Line({ points }: { points: (number | null)[] }) {
  const W = 92;
  const H = 20;
  const there = points.filter((p): p is number => p !== null);
  if (!there.length) return <svg width={W} height={H} role="img" aria-label={t("no firings yet")} />;
  const lo = Math.min(...there);
  const hi = Math.max(...there);
  const x = (i: number) => (points.length === 1 ? W / 2 : 2 + (i / (points.length - 1)) * (W - 4));
  const y = (v: number) => (hi > lo ? H - 3 - ((v - lo) / (hi - lo)) * (H - 6) : H / 2);
  let d = "";
  points.forEach((p, i) => { if (p !== null) d += `${i === 0 || points[i - 1] === null ? "M" : "L"}${x(i).toFixed(1)} ${y(p).toFixed(1)}`; });
  const last = points[points.length - 1];
  return (
    <svg className="spark" width={W} height={H} role="img" aria-label={t("from {first} to {last} over {n} firings", { first: num(there[0]), last: num(there[there.length - 1]), n: points.length })}>
      <path d={d} />{last !== null && <circle cx={x(points.length - 1)} cy={y(last)} r="2" />}
    </svg>
  );
}

/** Names can begin with = or @: a spreadsheet must take them for text. */
const field = (x: string | number | null): string => {
  const text = x === null ? "" : String(x);
  const safe = typeof x === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

export function table(watches: WatchSpec[]): string {
  const kinds = ["min", "max", "mean", "std", "norm", "zeros", "nan", "inf"] as const;
  const rows: (string | number | null)[][] = [["tensor", "shape", "dtype", "part", ...kinds, "gradient", ...kinds.map((k) => `gradient ${k}`)]];
  const stats = (s: WatchSpec["stats"]) => kinds.map((k) => s?.[k] ?? null);
  for (const w of watches) rows.push([w.tensor, w.shape, w.dtype, w.box, ...stats(w.stats), w.gradient, ...stats(w.gradient_stats)]);
  return `${rows.map((r) => r.map(field).join(",")).join("\r\n")}\r\n`;
}

// ---------------------------------------------------------------- marks on the canvas

/** A node's flag, eye and pencil: what is set on it. */
export function Marks({ name, tensors }: { name: string; tensors: OutPort[] }) {
  const d = useLabState((s) => s.debugging);
  const breaks = breaksOf(d.breaks, name);
  const watched = tensors.some((o) => d.watches.some((w) => w.tensor === o.tensor));
  const held = tensors.some((o) => d.overridden.includes(o.tensor));
  const asked = d.questions.some((q) => q.open && q.tensor.slice(0, q.tensor.lastIndexOf(":")) === name);
  if (!breaks.length && !watched && !held && !asked) return null;
  return (
    <span className="marks">
      {breaks.length > 0 && <i className="mk b" title={breaks.map(breakText).join("; ")} role="img" aria-label={t("breakpoint")}><Icon name="flag" size={10} /></i>}
      {watched && <i className="mk w" role="img" aria-label={t("watched")}><Icon name="eye" size={10} /></i>}
      {held && <i className="mk o" role="img" aria-label={t("overridden")}><Icon name="pencil" size={10} /></i>}
      {asked && <i className="mk q" role="img" aria-label={t("a question is open")} title={t("a question is open")}><Icon name="question" size={10} /></i>}
    </span>
  );
}

/** What an element has cost in this run: a bar along its foot, as long as its share, and the figure. */
export function Cost({ name }: { name: string }) {
  const share = useLabState((s) => s.debugging.heat?.shares[name]);
  const label = useLabState((s) => s.debugging.heat?.labels[name]);
  if (label === undefined) return null;
  const part = share ?? 0;
  return <span className="cost" style={{ "--share": part } as React.CSSProperties} data-share={part}><i /><b>{label} · {percent(part, 0)}</b></span>;
}
