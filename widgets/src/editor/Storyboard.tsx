// The storyboard beside the canvas, and the band under it in lecture mode.
import * as React from "react";
import type { BookmarkSpec } from "../protocol.gen";
import { isTextField } from "../shared/guard";
import { Icon } from "../shared/icons";
import { Live } from "../shared/live";
import { activeIn } from "../shared/tree";
import { t } from "../shared/words";
import { visible } from "./geometry";
import { Markdown } from "./markdown";
import { type Lab, useLab, useLabState } from "./store";
import { addBookmark, endLecture, goBy, goTo, lectureKey, lookAgain, replaceBookmark, startLecture } from "./story";

export function toggleStory(lab: Lab): void {
  const open = !lab.state.storyOpen;
  lab.set({ storyOpen: open });
  if (open) requestAnimationFrame(() => lab.root?.querySelector<HTMLElement>('.story [aria-current="step"] .sgo, .story .sgo, .story .bt')?.focus({ preventScroll: true }));
  else lab.root?.focus({ preventScroll: true });
}

const whereOf = (b: BookmarkSpec): string => (b.cursor === null ? t("nothing runs") : b.cursor === 0 ? t("start of the run") : b.after ? t("firing {n}, after {name}", { n: b.cursor, name: visible(b.after) }) : t("firing {n}", { n: b.cursor }));

export function StoryPanel() {
  const open = useLabState((s) => s.storyOpen);
  return open ? <Board /> : null;
}

function Board() {
  const lab = useLab();
  const board = useLabState((s) => s.scene?.storyboard);
  const at = useLabState((s) => s.story);
  const close = () => { lab.set({ storyOpen: false }); lab.root?.focus({ preventScroll: true }); };
  const list = React.useRef<HTMLOListElement>(null);
  React.useEffect(() => { list.current?.querySelector('[aria-current="step"]')?.scrollIntoView({ block: "nearest" }); }, [at, board]);
  const marks = board ?? [];
  return (
    <aside className="story" aria-label={t("Storyboard")} data-testid="storyboard" data-at={at ?? undefined}>
      <div className="chead">
        <h2>{t("Storyboard")}</h2>
        <button type="button" className="bt" title={`${t("The lab alone, over the whole screen, with the notes in a band")}  (Shift+F)`} onClick={() => startLecture(lab)}><Icon name="lecture" size={12} /> {t("Lecture")}</button>
        <button type="button" className="x" aria-label={t("Close the storyboard")} title={`${t("Close")} (Shift+S)`} onClick={close}><Icon name="close" size={11} /></button>
      </div>
      <Live off={lab.inFile}><div className="sadd"><button type="button" className="bt pri" data-filled title={`${t("Keeps where the run stands, what is in sight, folded and selected")}  (Shift+A)`} onClick={() => void addBookmark(lab)}><Icon name="add" size={12} /> {t("Add this moment")}</button></div></Live>
      {!marks.length && <p className="muted f1 sempty">{t("A storyboard is a row of moments with notes, gone through by Page Down and Page Up, or a clicker.")}</p>}
      <ol className="slist" ref={list} aria-label={t("Bookmarks")}>
        {marks.map((b, i) => <Row key={i} b={b} i={i} count={marks.length} now={i === at} />)}
      </ol>
    </aside>
  );
}

function Row({ b, i, count, now }: { b: BookmarkSpec; i: number; count: number; now: boolean }) {
  const lab = useLab();
  const writing = useLabState((s) => s.writing === i);
  const button = React.useRef<HTMLButtonElement>(null);
  const name = visible(b.title);
  const focus = (k: number) => requestAnimationFrame(() => lab.root?.querySelector<HTMLElement>(`.story [data-bookmark="${k}"] .sgo`)?.focus());
  const move = async (to: number) => { if (to >= 0 && to < count && await lab.edit([{ tag: "MoveBookmark", index: i, to }], `The bookmark ${b.title} is number ${to + 1} now.`)) focus(to); };
  const remove = async () => { if (await lab.edit([{ tag: "RemoveBookmark", index: i }], `Removed the bookmark ${b.title}.`)) { if (count > 1) focus(Math.min(i, count - 2)); else lab.root?.focus({ preventScroll: true }); } };
  const write = () => { if (!lab.refuses()) lab.set({ writing: i }); };
  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || isTextField(e.target)) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (by !== undefined && e.altKey) void move(i + by);
    else if (by !== undefined) focus(Math.max(0, Math.min(count - 1, i + by)));
    else if (e.key === "F2") write();
    else if (e.key === "Delete" && !lab.refuses()) void remove();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  const done = () => { lab.set({ writing: null }); focus(i); };
  return (
    <li data-bookmark={i} aria-current={now ? "step" : undefined} className={now ? "now" : ""} onKeyDown={onKeyDown}>
      {writing ? <Writing b={b} i={i} done={done} /> : <>
        <button ref={button} type="button" className="sgo" title={t("Go there; F2 writes, Alt+↑↓ moves, Delete removes")} onClick={() => void goTo(lab, i)}>
          <i aria-hidden="true">{i + 1}</i><span><b>{name}</b><small>{whereOf(b)}</small></span>
        </button>
        {now && b.note && <div className="snote"><Markdown text={b.note} /></div>}
        <Live off={lab.inFile}><div className="sdo">
          <button type="button" aria-label={t("Write the bookmark {name}", { name })} title={`${t("Title and note")} (F2)`} onClick={write}><Icon name="pencil" size={12} /></button>
          <button type="button" aria-label={t("Let the bookmark {name} stand for this moment", { name })} title={t("Let it stand for this moment")} onClick={() => replaceBookmark(lab, i)}><Icon name="flag" size={12} /></button>
          <button type="button" aria-label={t("Bookmark {name}: earlier", { name })} title={`${t("Earlier")} (Alt+↑)`} disabled={i === 0} onClick={() => void move(i - 1)}>↑</button>
          <button type="button" aria-label={t("Bookmark {name}: later", { name })} title={`${t("Later")} (Alt+↓)`} disabled={i === count - 1} onClick={() => void move(i + 1)}>↓</button>
          <button type="button" aria-label={t("Remove the bookmark {name}", { name })} title={`${t("Remove")} (${t("Delete")})`} onClick={() => void remove()}><Icon name="trash" size={12} /></button>
        </div></Live>
      </>}
    </li>
  );
}

function Writing({ b, i, done }: { b: BookmarkSpec; i: number; done(): void }) {
  const lab = useLab();
  const [title, setTitle] = React.useState(b.title);
  const [note, setNote] = React.useState(b.note);
  const first = React.useRef<HTMLInputElement>(null);
  const id = React.useId();
  React.useEffect(() => { first.current?.focus(); first.current?.select(); }, []);
  const keep = async () => {
    const changed = { ...(title.trim() !== b.title ? { title: title.trim() } : {}), ...(note !== b.note ? { note } : {}) };
    if (!Object.keys(changed).length || await lab.edit([{ tag: "WriteBookmark", index: i, ...changed }], "Kept the bookmark.")) done();
  };
  const keys = (e: React.KeyboardEvent) => {
    if (e.nativeEvent.isComposing) return;
    if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); done(); }
    else if (e.key === "Enter" && (e.target instanceof HTMLInputElement || e.ctrlKey || e.metaKey)) { e.preventDefault(); void keep(); }
  };
  return (
    <form className="sform" aria-label={t("Write the bookmark {name}", { name: visible(b.title) })} onSubmit={(e) => { e.preventDefault(); void keep(); }} onKeyDown={keys}>
      <label htmlFor={`${id}t`}>{t("Title")}</label><input ref={first} id={`${id}t`} className="tf" value={title} maxLength={200} autoComplete="off" onChange={(e) => setTitle(e.target.value)} />
      <label htmlFor={`${id}n`}>{t("Lecture note")}</label><textarea id={`${id}n`} className="tf m" rows={Math.min(12, Math.max(4, note.split("\n").length + 1))} value={note} maxLength={20000} placeholder={t("Markdown, with formulas in $…$")} onChange={(e) => setNote(e.target.value)} />
      <div className="act tight"><button type="submit" className="bt pri" data-filled disabled={!title.trim()}>{t("Keep")}</button><button type="button" className="bt" onClick={done}>{t("Cancel")}</button></div>
    </form>
  );
}

// ---------------------------------------------------------------- lecture mode

const FOCUSABLE = 'button:not([disabled]), a[href], input:not([disabled]), textarea:not([disabled]), select:not([disabled]), [tabindex]:not([tabindex="-1"])';

export function LectureBand() {
  const on = useLabState((s) => s.lecture);
  return on ? <Band /> : null;
}

function Band() {
  const lab = useLab();
  const board = useLabState((s) => s.scene?.storyboard) ?? [];
  const title = useLabState((s) => s.scene?.title ?? "");
  const at = useLabState((s) => s.story);
  const band = React.useRef<HTMLElement>(null);
  const mark = at === null ? undefined : board[at];
  React.useEffect(() => band.current?.focus({ preventScroll: true }), []);
  React.useEffect(() => {
    const host = lab.root?.closest<HTMLElement>(".fl-host") ?? null;
    // a clicker's keys go to whatever has the focus, and after a click on the screen that is nothing
    const onKey = (e: KeyboardEvent) => {
      const target = e.composedPath()[0] as EventTarget;
      if (e.key === "Tab" && host) return keepIn(host, e);
      if (lectureKey(lab, e, isTextField(target))) { e.preventDefault(); e.stopPropagation(); }
    };
    const onScreen = () => { if (!document.fullscreenElement && !host?.popover && host?.classList.contains("lecturing")) endLecture(lab); };
    window.addEventListener("keydown", onKey, true);
    document.addEventListener("fullscreenchange", onScreen);
    const canvas = lab.root?.querySelector(".cvs");
    const observer = new ResizeObserver(() => requestAnimationFrame(() => lookAgain(lab)));
    if (canvas) observer.observe(canvas);
    return () => { window.removeEventListener("keydown", onKey, true); document.removeEventListener("fullscreenchange", onScreen); observer.disconnect(); };
  }, [lab]);
  React.useEffect(() => { band.current?.querySelector(".bnote")?.scrollTo(0, 0); }, [at]);
  return (
    <section className="band" ref={band} tabIndex={-1} aria-label={t("Lecture")} data-testid="lecture" data-at={at ?? undefined}>
      <div className="bcount" aria-label={mark ? t("Bookmark {n} of {total}", { n: (at ?? 0) + 1, total: board.length }) : t("No bookmark")} role="img">{mark ? <><b>{(at ?? 0) + 1}</b> / {board.length}</> : "–"}</div>
      <div className="btext"><h2>{visible(mark?.title ?? title)}</h2>{mark?.note && <div className="bnote" tabIndex={0} role="group" aria-label={t("Lecture note")}><Markdown text={mark.note} /></div>}</div>
      <div className="bdo">
        <button type="button" aria-label={t("Previous bookmark")} title={`${t("Previous bookmark")} (Page Up)`} disabled={!at} onClick={() => goBy(lab, -1)}><Icon name="stepBack" size={20} /></button>
        <button type="button" aria-label={t("Next bookmark")} title={`${t("Next bookmark")} (Page Down)`} disabled={at !== null && at >= board.length - 1} onClick={() => goBy(lab, 1)}><Icon name="step" size={20} /></button>
        <button type="button" aria-label={t("Leave lecture mode")} title={`${t("Leave lecture mode")} (Esc)`} onClick={() => endLecture(lab)}><Icon name="close" size={18} /></button>
      </div>
    </section>
  );
}

/** Nothing but the lab can be seen: Tab goes round in it. */
function keepIn(host: HTMLElement, e: KeyboardEvent): void {
  const all = [...host.querySelectorAll<HTMLElement>(FOCUSABLE)].filter((el) => el.checkVisibility() && !el.closest("[inert]"));
  const at = all.indexOf(activeIn(host) as HTMLElement);
  const to = e.shiftKey ? (at <= 0 ? all[all.length - 1] : null) : at === all.length - 1 ? all[0] : null;
  if (!to) return;
  e.preventDefault();
  to.focus();
}
