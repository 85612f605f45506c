// The bar: run and step, play, undo, fold, tidy, save; find on its right.
import * as React from "react";
import { Icon, categoryIcon, type IconName } from "../shared/icons";
import { needsKernel } from "../shared/live";
import { LanguageChoice, t, told } from "../shared/words";
import { FileMenu, Kept, save } from "./Files";
import type { Hit } from "../protocol.gen";
import { visible } from "./geometry";
import { toggleCode } from "./making";
import { findDrawn } from "./search";
import { SPEEDS, useLab, useLabState } from "./store";
import { toggleStory } from "./Storyboard";
import { TourButton } from "./Tour";
import { activeIn } from "../shared/tree";

function Button({ name, icon, keys, wide = false, primary = false, disabled = false, pressed, why, title, onClick }: {
  name: string; icon: IconName; keys?: string; wide?: boolean; primary?: boolean; disabled?: boolean; pressed?: boolean; why?: string; title?: string; onClick(e: React.MouseEvent): void;
}) {
  const lab = useLab();
  const ref = React.useRef<HTMLButtonElement>(null);
  // what is no use any more gives the keyboard back, which would be nowhere else
  React.useLayoutEffect(() => { if (disabled && ref.current !== null && activeIn(ref.current) === ref.current) lab.root?.focus({ preventScroll: true }); }, [lab, disabled]);
  return (
    <button
      ref={ref} type="button" className={`cbn${wide ? " lb" : ""}${primary ? " pri" : ""}${pressed ? " on" : ""}`} aria-pressed={pressed} data-filled={primary ? "" : undefined} aria-label={name} disabled={disabled}
      title={disabled && why ? t("{name}: {why}", { name, why }) : `${title ?? name}${keys ? `  (${keys})` : ""}`} aria-keyshortcuts={keys} onClick={onClick}
    >
      <Icon name={icon} />
      {wide && <span>{name}</span>}
      {wide && keys && <kbd aria-hidden="true" data-keys={keys} />}
    </button>
  );
}

export function Bar() {
  const lab = useLab();
  const scene = useLabState((s) => s.scene);
  const mode = useLabState((s) => s.run.mode);
  const playing = useLabState((s) => s.playing);
  const busy = useLabState((s) => s.busy);
  const done = useLabState((s) => s.run.done);
  const speed = useLabState((s) => s.speed);
  const live = useLabState((s) => s.run.live);
  const codeOpen = useLabState((s) => s.codeOpen);
  const storyOpen = useLabState((s) => s.storyOpen);
  const send = (name: Parameters<typeof lab.command>[0]) => () => { if (name !== "stop") lab.pause(); void lab.command(name); };
  const either = (name: Parameters<typeof lab.command>[0], shifted: Parameters<typeof lab.command>[0]) => (e: React.MouseEvent) => send(e.shiftKey ? shifted : name)();
  const { bar, onKeyDown } = useOneStop();
  return (
    <div className="bar" role="toolbar" aria-label={t("Commands")} ref={bar} onKeyDown={onKeyDown}>
      <FileMenu />
      <div className="cmds">
        <div className="gname"><Title title={scene?.title ?? ""} /><Kept /></div>
        <div className="cg"><Button name={t("Run")} icon="run" wide primary title={t("Run to the end")} onClick={send("run")} /></div>
        <div className="cg">
          <Button name={t("Step back")} icon="stepBack" keys="," wide onClick={send("back")} />
          <Button name={t("Step")} icon="step" keys="." wide title={t("Fire the next node")} onClick={send("step")} />
          <Button name={t("Step level")} icon="stepLevel" keys=">" title={t("Fire everything that is ready; Shift-click takes a level back")} onClick={either("step_level", "back_level")} />
          <Button name={t("Step scope")} icon="stepScope" keys="/" title={t("Run the current scope to its end")} onClick={send("step_scope")} />
          <Button name={t("Step timestep")} icon="stepTimestep" keys="]" title={t("Run to the next timestep; Shift-click takes a timestep back")} onClick={either("step_timestep", "back_timestep")} />
          <Button name={t("Step pass")} icon="stepPass" keys="P" title={t("Run to the end of forward, backward or update")} onClick={send("step_pass")} />
        </div>
        <div className="cg">
          <Button name={t("Play")} icon="play" keys="Space" wide disabled={playing} why={t("it is playing")} onClick={() => void lab.play()} />
          <Button name={t("Pause")} icon="pause" keys="Space" disabled={!playing && !(busy && mode === "run")} why={t("nothing plays")} onClick={() => lab.halt()} />
          {mode === "past" ? <i className="cbn gone" aria-hidden="true" /> : <Button name={t("Resume")} icon="resume" title={t("Run on to the end")} disabled={done && mode !== "edit"} why={t("the run is at its end")} onClick={send("resume")} />}
          <Button name={t("Stop")} icon="stop" disabled={lab.inFile || mode === "edit" && !playing && !busy} why={lab.inFile ? needsKernel() : t("nothing runs")} title={t("Stop and go back to editing")} onClick={() => { lab.pause(); void lab.command("stop"); }} />
          <button type="button" className="spd" aria-label={t("Speed {speed}×", { speed })} title={t("Speed of play: click for the next, Shift-click for the one before")}
            onClick={(e) => { const i = SPEEDS.indexOf(speed) + (e.shiftKey ? -1 : 1); lab.set({ speed: SPEEDS[(i + SPEEDS.length) % SPEEDS.length] }); }}>{speed}×</button>
        </div>
        <div className="cg">
          <Button name={t("Live")} icon="live" keys="L" pressed={live} disabled={lab.inFile} why={needsKernel()} title={live ? t("Live: values follow every edit") : t("Live: run after every edit, while that is quick")} onClick={() => void lab.command(live ? "live_off" : "live_on")} />
          <Button name={t("Code")} icon="code" keys="K" pressed={codeOpen} title={t("The Python beside the canvas")} onClick={() => toggleCode(lab)} />
          <Button name={t("Storyboard")} icon="lecture" keys="Shift+S" pressed={storyOpen} title={t("Moments with notes, for a lecture")} onClick={() => toggleStory(lab)} />
        </div>
        <div className="cg">
          <Button name={t("Undo")} icon="undo" keys="Ctrl+Z" disabled={!scene?.undo} why={lab.inFile ? needsKernel() : t("nothing to undo")} title={t("Undo {label}", { label: visible(scene?.undo ?? "") })} onClick={send("undo")} />
          <Button name={t("Redo")} icon="redo" keys="Ctrl+Shift+Z" disabled={!scene?.redo} why={lab.inFile ? needsKernel() : t("nothing to redo")} title={t("Redo {label}", { label: visible(scene?.redo ?? "") })} onClick={send("redo")} />
        </div>
        <div className="cg">
          <Button name={t("Fold all")} icon="foldAll" onClick={() => lab.fold([], false)} />
          <Button name={t("Unfold all")} icon="unfoldAll" onClick={() => lab.fold([], true)} />
          <Button name={t("Tidy")} icon="tidy" title={t("Lay everything out anew")} onClick={() => void lab.tidy()} />
        </div>
        <div className="cg">
          <Button name={t("Save")} icon="save" disabled={lab.inFile} why={needsKernel()} title={scene?.path ? t("Save to {path}", { path: visible(scene.path) }) : t("Save to a file")} keys="S" onClick={() => void save(lab)} />
        </div>
      </div>
      <div className="grow" />
      <TourButton />
      <LanguageChoice />
      <Find />
    </div>
  );
}

/** One place in the order of Tab for all the commands; arrows go from one to the next. */
function useOneStop() {
  const bar = React.useRef<HTMLDivElement>(null);
  const stops = () => [...bar.current?.querySelectorAll<HTMLElement>("button") ?? []].filter((b) => !b.closest("[role=menu], form"));
  const settle = (at: HTMLElement | undefined) => { for (const b of stops()) b.tabIndex = b === at ? 0 : -1; };
  React.useLayoutEffect(() => {
    const all = stops();
    settle(all.find((b) => b === activeIn(b)) ?? all.find((b) => b.tabIndex === 0 && !b.hasAttribute("disabled")) ?? all.find((b) => !b.hasAttribute("disabled")));
  });
  const onKeyDown = (e: React.KeyboardEvent) => {
    const at = e.target as HTMLElement;
    // after a click the arrows are still the canvas's
    if (e.defaultPrevented || e.ctrlKey || e.altKey || e.metaKey || !at.matches("button:focus-visible") || !stops().includes(at)) return;
    const all = stops().filter((b) => !b.hasAttribute("disabled") && b.checkVisibility());
    const i = all.indexOf(at);
    const to = { ArrowRight: all[(i + 1) % all.length], ArrowLeft: all[(i - 1 + all.length) % all.length], Home: all[0], End: all[all.length - 1] }[e.key];
    if (!to) return;
    e.preventDefault();
    e.stopPropagation();
    settle(to);
    to.focus();
  };
  return { bar, onKeyDown };
}

/** The document's name; a double click or F2 on it edits. */
function Title({ title }: { title: string }) {
  const lab = useLab();
  const [draft, setDraft] = React.useState<string | null>(null);
  if (draft === null) return <button type="button" className="title" title={t("Double-click or F2 renames")} aria-label={t("Title: {title}. F2 renames.", { title: visible(title) || t("untitled") })} onDoubleClick={() => setDraft(title)} onKeyDown={(e) => { if (e.key === "Enter" || e.key === "F2") { e.preventDefault(); e.stopPropagation(); setDraft(title); } }}>{visible(title) || t("untitled")}</button>;
  const end = (keep: boolean) => { setDraft(null); if (keep && draft.trim() && draft !== title) void lab.edit([{ tag: "SetTitle", title: draft.trim() }], "Renamed."); };
  return <input className="tf" aria-label={t("Title")} autoFocus value={draft} onChange={(e) => setDraft(e.target.value)} onBlur={() => end(true)}
    onKeyDown={(e) => { if (e.key === "Enter") end(true); if (e.key === "Escape") { e.stopPropagation(); end(false); } }} />;
}

/** Is what was found folded away? */
const hidden = (h: Hit): boolean => h.drawn !== null && h.drawn !== h.name;

function Find() {
  const lab = useLab();
  const [text, setText] = React.useState("");
  const [open, setOpen] = React.useState(false);
  const [active, setActive] = React.useState(0);
  const scene = useLabState((s) => s.scene);
  const id = React.useId();
  const box = React.useRef<HTMLDivElement>(null);
  const q = text.trim().toLowerCase();
  const found = useLabState((s) => s.found);
  const here = React.useMemo(() => (q && scene ? findDrawn(scene, q) : []), [q, scene]);
  // the kernel knows what is folded away; until it has answered, what is drawn is looked through here
  React.useEffect(() => { if (q && lab.hides()) lab.quiet({ type: "ask_find", text: q }); }, [lab, q, scene]);
  const known = found !== null && found.text === q && lab.hides() ? found : null;
  const hits = known ? known.hits : here;
  const more = known ? known.total - known.hits.length : 0;
  React.useEffect(() => setActive(0), [q]);
  const shown = open && q !== "";
  React.useEffect(() => lab.set({ finding: shown }), [lab, shown]);
  const go = (hit: Hit) => { setText(""); setOpen(false); void lab.reveal(hit); };
  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.nativeEvent.isComposing) return;
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); setActive((i) => Math.max(0, Math.min(hits.length - 1, i + (e.key === "ArrowDown" ? 1 : -1)))); }
    else if (e.key === "Enter") { e.preventDefault(); const h = hits[active] ?? hits[0]; if (h) go(h); else if (q) lab.say(`Nothing here is called ${text.trim()}.`); }
    else if (e.key === "Escape") { e.stopPropagation(); setText(""); setOpen(false); lab.root?.focus({ preventScroll: true }); }
  };
  return (
    <div className="findb" data-found={known || !lab.hides() ? q : undefined} ref={box} onBlur={(e) => { if (!box.current?.contains(e.relatedTarget as Node | null)) setOpen(false); }}>
      <Icon name="find" size={13} />
      <input
        ref={(el) => { lab.find = el; }} type="text" role="searchbox" aria-label={t("Find")} placeholder={t("Find")} autoComplete="off" spellCheck={false} value={text} aria-controls={open && hits.length ? id : undefined}
        aria-activedescendant={open && hits.length ? `${id}-${active}` : undefined} onFocus={() => setOpen(true)} onChange={(e) => { setText(e.target.value); setOpen(true); }}
        onKeyDown={onKeyDown}
      />
      <kbd aria-hidden="true">Ctrl F</kbd>
      {shown && hits.length === 0 && <p className="pop none muted">{t("Nothing found")}</p>}
      {shown && hits.length > 0 && (
        <ul className="hits pop" role="listbox" id={id} aria-label={t("Found")} tabIndex={0} aria-activedescendant={hits.length ? `${id}-${active}` : undefined} onKeyDown={onKeyDown}>
          {hits.map((h, i) => (
            <li key={h.name} role="option" id={`${id}-${i}`} aria-selected={i === active} className={`c-${h.category}${i === active ? " sel" : ""}`} onMouseDown={(e) => e.preventDefault()} onClick={() => go(h)}
              title={hidden(h) ? t("{name}, folded in {scope}", { name: visible(h.name), scope: visible(h.drawn ?? "") }) : visible(h.name)}>
              <Icon name={categoryIcon(h.category)} size={12} className="ci" /><span className="hn">{visible(h.name)}<small>{h.op === "scope" ? t("scope") : h.op}{hidden(h) ? ` · ${t("in {scope}", { scope: visible(h.drawn ?? "") })}` : ""}</small></span><span className="ho">{told(h.note)}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
