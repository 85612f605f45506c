// Notes and frames: what people write on the canvas, in the graph's own coordinates.
import * as React from "react";
import { type Point, visible } from "./geometry";
import { freePlace } from "./layout";
import { Markdown } from "./markdown";
import { NOTE_W, frameRect, noteRect } from "./annotations";
import { t } from "../shared/words";
import { type Lab, useLab, useLabState } from "./store";

export const COLOURS = ["grey", "blue", "green", "orange", "red", "violet"] as const;

/** Starts a note: at a point, or where there is room beside what is in sight. */
export function writeNote(lab: Lab, point: Point | null = null): void {
  const view = lab.view?.visible() ?? null;
  const taken = [...lab.rects(), ...(lab.state.scene?.notes ?? []).map(noteRect)];
  const place = point ?? freePlace(taken, { w: NOTE_W, h: 90 }, view ? { x: view.x + 24, y: view.y + 60 } : { x: 0, y: 0 }, view);
  draft = { x: Math.round(place.x), y: Math.round(place.y) };
  lab.selectMark({ kind: "note", index: -1, writing: true });
}

let draft: Point = { x: 0, y: 0 };

/** Puts a frame around what is selected, and asks for its title. */
export function frameSelection(lab: Lab): void {
  const names = lab.state.selected;
  if (!names.length) return lab.say("Select what the frame is to hold first, then F.");
  // its title is typed first: what is typed at once must not be taken for keys
  framed = names;
  lab.selectMark({ kind: "frame", index: -1, writing: true });
  lab.say(`A frame around ${names.length === 1 ? names[0] : `${names.length} elements`}: type its title, Enter keeps it.`);
}

let framed: string[] = [];

/** A drag by hand: tells how far, in the graph's coordinates, and says when it ends. */
function useDrag(lab: Lab, moved: (dx: number, dy: number) => void, ended: (dx: number, dy: number) => void) {
  return (e: React.PointerEvent) => {
    if (e.button !== 0 || (e.target as Element).closest("a, textarea, input, .sw")) return;
    e.stopPropagation();
    const from = lab.view?.toFlow({ x: e.clientX, y: e.clientY }) ?? { x: 0, y: 0 };
    let far = false;
    const delta = (m: PointerEvent) => { const p = lab.view?.toFlow({ x: m.clientX, y: m.clientY }) ?? from; return [p.x - from.x, p.y - from.y] as const; };
    const move = (m: PointerEvent) => {
      const [dx, dy] = delta(m);
      if (!far && Math.hypot(dx, dy) < 3) return;
      far = true;
      moved(dx, dy);
    };
    const up = (m: PointerEvent) => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", up);
      window.removeEventListener("pointercancel", up);
      if (far) ended(...delta(m));
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", up);
    window.addEventListener("pointercancel", up);
  };
}

export function Notes() {
  const notes = useLabState((s) => s.scene?.notes);
  const drafting = useLabState((s) => s.mark?.kind === "note" && s.mark.index === -1);
  return <div className="notes">{notes?.map((n, i) => <NoteCard key={i} index={i} text={n.text} x={n.x} y={n.y} />)}{drafting && <NoteCard index={-1} text="" x={draft.x} y={draft.y} />}</div>;
}

function NoteCard({ index, text, x, y }: { index: number; text: string; x: number; y: number }) {
  const lab = useLab();
  const selected = useLabState((s) => s.mark?.kind === "note" && s.mark.index === index);
  const writing = useLabState((s) => s.mark?.kind === "note" && s.mark.index === index && s.mark.writing);
  const [shift, setShift] = React.useState<Point | null>(null);
  const el = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => setShift(null), [x, y, text]);
  const drag = useDrag(lab, (dx, dy) => setShift({ x: dx, y: dy }), (dx, dy) => void lab.edit([{ tag: "PutNote", text, x: Math.round(x + dx), y: Math.round(y + dy), index }], "Moved the note.").then((ok) => { if (!ok) setShift(null); }));
  const select = (write = false) => { if (!(selected && (writing || !write))) lab.selectMark({ kind: "note", index, writing: write }); };
  const done = async (value: string) => {
    const changed = value !== text;
    lab.set({ mark: index < 0 ? null : { kind: "note", index, writing: false } });
    const count = lab.state.scene?.notes.length ?? 0;
    if (changed && value.trim() === "" && index >= 0) await lab.edit([{ tag: "RemoveNote", index }], "Removed the note.");
    else if (changed && value.trim() !== "") {
      const ok = await lab.edit([{ tag: "PutNote", text: value, x, y, ...(index >= 0 ? { index } : {}) }], index < 0 ? "Added a note." : "Changed the note.");
      if (ok && index < 0) lab.selectMark({ kind: "note", index: count, writing: false });
    }
    lab.root?.focus({ preventScroll: true });
  };
  return (
    <div
      ref={el} className={`note nopan nodrag${selected ? " sel" : ""}`} data-note={index} role="group" aria-roledescription={t("note")} aria-label={index < 0 ? t("New note") : t("Note {n}", { n: index + 1 })} tabIndex={0}
      style={{ left: x + (shift?.x ?? 0), top: y + (shift?.y ?? 0), width: NOTE_W }} onPointerDown={writing ? undefined : drag} onClick={(e) => { e.stopPropagation(); if (!writing) { select(); el.current?.focus({ preventScroll: true }); } }}
      onDoubleClick={(e) => { e.stopPropagation(); select(true); }} onFocus={(e) => { if (e.target === e.currentTarget && !lab.pointing) select(); }}
      onKeyDown={(e) => { if (!writing && (e.key === "Enter" || e.key === "F2")) { e.preventDefault(); e.stopPropagation(); select(true); } }}
    >
      {writing ? <Writer label={t("Note")} value={text} multiline done={done} cancel={() => { lab.set({ mark: index < 0 ? null : { kind: "note", index, writing: false } }); lab.root?.focus({ preventScroll: true }); }} /> : <Markdown text={text} />}
    </div>
  );
}

/** A text that is written in place: Ctrl+Enter (in one line Enter) or leaving it keeps it, Esc does not. */
function Writer({ label, value, multiline = false, done, cancel }: { label: string; value: string; multiline?: boolean; done(value: string): void; cancel(): void }) {
  const [text, setText] = React.useState(value);
  const over = React.useRef(false);
  const ref = React.useCallback((el: HTMLTextAreaElement | HTMLInputElement | null) => { if (el) { el.focus({ preventScroll: true }); el.select(); } }, []);
  const end = (keep: boolean) => { if (over.current) return; over.current = true; if (keep) done(text); else cancel(); };
  const props = {
    ref: ref as never, "aria-label": label, value: text, spellCheck: false, onBlur: () => end(true),
    onChange: (e: React.ChangeEvent<HTMLTextAreaElement | HTMLInputElement>) => setText(e.target.value),
    onKeyDown: (e: React.KeyboardEvent) => {
      if (e.nativeEvent.isComposing) return;
      if (e.key === "Enter" && (!multiline || e.ctrlKey || e.metaKey)) { e.preventDefault(); e.stopPropagation(); end(true); }
      if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); end(false); }
    },
  };
  if (!multiline) return <input type="text" {...props} />;
  return <><textarea rows={Math.min(12, Math.max(3, text.split("\n").length + 1))} placeholder={t("Markdown: **bold**, - list, $x^2$")} {...props} /><small className="muted">{t("Ctrl+Enter keeps it, Esc does not")}</small></>;
}

/** Frames that people have drawn, behind everything else. */
export function MadeFrames() {
  const frames = useLabState((s) => s.scene?.frames);
  const drafting = useLabState((s) => s.mark?.kind === "frame" && s.mark.index === -1);
  return <>{frames?.map((f, i) => <MadeFrame key={i} index={i} title={f.title} colour={f.colour} members={f.members} />)}{drafting && <MadeFrame index={-1} title={t("Frame")} colour={COLOURS[((frames?.length ?? 0) + 1) % COLOURS.length]} members={framed} />}</>;
}

function MadeFrame({ index, title, colour, members }: { index: number; title: string; colour: string; members: string[] }) {
  const lab = useLab();
  useLabState((s) => s.at);
  const selected = useLabState((s) => s.mark?.kind === "frame" && s.mark.index === index);
  const writing = useLabState((s) => s.mark?.kind === "frame" && s.mark.index === index && s.mark.writing);
  const from = React.useRef<Map<string, Point> | null>(null);
  const rect = frameRect(lab.state, members);
  const place = (dx: number, dy: number) => {
    from.current ??= new Map(lab.state.at);
    const at = new Map(from.current);
    for (const m of members) { const p = at.get(m); if (p) at.set(m, { x: p.x + dx, y: p.y + dy }); }
    return at;
  };
  const drag = useDrag(lab, (dx, dy) => { lab.dragging = true; lab.arrangeAt(place(dx, dy)); }, (dx, dy) => {
    lab.dragging = false;
    const at = place(dx, dy);
    from.current = null;
    void lab.edit([{ tag: "Move", positions: Object.fromEntries(members.flatMap((m) => { const p = at.get(m); return p ? [[m, [Math.round(p.x), Math.round(p.y)]]] : []; })) }], `Moved the frame ${title}.`);
  });
  if (!rect) return null;
  const select = (write = false) => lab.selectMark({ kind: "frame", index, writing: write });
  const put = (change: { title?: string; colour?: string }) => lab.edit([{ tag: "PutFrame", title: change.title ?? title, colour: change.colour ?? colour, index }], "Changed the frame.");
  const done = async (value: string) => {
    const count = lab.state.scene?.frames.length ?? 0;
    lab.set({ mark: index < 0 ? null : { kind: "frame", index, writing: false } });
    if (index < 0) {
      if (value.trim() && await lab.edit([{ tag: "PutFrame", title: value.trim(), colour, names: members }], `Framed ${members.length === 1 ? members[0] : `${members.length} elements`}.`)) lab.selectMark({ kind: "frame", index: count, writing: false });
    } else if (value.trim() && value !== title) await put({ title: value.trim() });
    lab.root?.focus({ preventScroll: true });
  };
  return (
    <div className={`mframe k-${colour}${selected ? " sel" : ""}`} data-frame={title} style={{ left: rect.x, top: rect.y, width: rect.w, height: rect.h }}>
      <div className="mft nopan nodrag" onPointerDown={writing ? undefined : drag} onDoubleClick={(e) => { e.stopPropagation(); select(true); }}>
        {writing
          ? <Writer label={t("Title of the frame")} value={title} done={done} cancel={() => { if (index < 0) lab.set({ mark: null }); else select(); lab.root?.focus({ preventScroll: true }); }} />
          : <button type="button" aria-label={t("Frame {name}", { name: visible(title) })} aria-pressed={selected} onClick={(e) => { e.stopPropagation(); select(); }} onKeyDown={(e) => { if (e.key === "F2") { e.preventDefault(); e.stopPropagation(); select(true); } }}>{visible(title)}</button>}
        {selected && index >= 0 && <span className="sws" role="group" aria-label={t("Colour of the frame")}>{COLOURS.map((c) => <button type="button" key={c} className={`sw k-${c}`} aria-label={t(c)} aria-pressed={c === colour} title={t(c)} data-filled onMouseDown={(e) => e.preventDefault()} onClick={(e) => { e.stopPropagation(); void put({ colour: c }); }} />)}</span>}
      </div>
    </div>
  );
}
