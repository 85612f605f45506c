// What every view that looks into a run has: its kernel, its frame, its messages, a cursor that Python sees too, the notebook's theme.
import * as React from "react";
import { type Notice, type Place, type ToPage, VERSION } from "../protocol.gen";
import { followTheme, onThemeChange } from "./color";
import { useWidth } from "./controls";
import { isTextField } from "./guard";
import { Icon } from "./icons";
import { type Model, useKernel } from "./wire";
import { t as words, told, useLanguage } from "./words";

/** The view's kernel, size, theme and language; what it was told last, and where the debugger stands that it follows. `hear` takes the messages of its own. */
export function useView(model: Model, hear: (message: ToPage, buffers: Float32Array[]) => void) {
  const kernel = useKernel(model);
  const [notice, tell] = React.useState<Notice | null>(null);
  const [place, setPlace] = React.useState<Place | null>(null);
  const [root, width] = useWidth<HTMLDivElement>();
  const theme = useTheme();
  const lang = useLanguage();
  React.useLayoutEffect(() => (root.current ? followTheme(root.current) : undefined), [root]);
  const own = React.useRef(hear);
  own.current = hear;
  React.useEffect(() => kernel.subscribe((message, buffers) => {
    if (message.type === "notice") tell(message);
    else if (message.type === "place") setPlace(message);
    else own.current(message, buffers);
  }), [kernel.subscribe]);
  React.useEffect(() => void kernel.send({ type: "hello", version: VERSION }), [kernel.send]);
  return { kernel, send: kernel.send, notice, tell, place, root, width, theme, lang };
}

export type View = ReturnType<typeof useView>;

/** The view's root: its content once the kernel has sent some; what somebody is asked about is not shown. `hooks` are its data attributes. */
export function Frame({ view, name, label, hooks, onKeyDown, children }: {
  view: View; name: string; label: string; hooks: Record<`data-${string}`, string | number | undefined>; onKeyDown(e: React.KeyboardEvent): void; children: React.ReactNode;
}) {
  const { kernel, notice, place, root, lang } = view;
  return (
    <div
      ref={root} className={`fl-view ${name}`} lang={lang} {...hooks} data-busy={kernel.busy || undefined} data-asked={place?.asked || undefined}
      tabIndex={0} role="group" aria-label={label} onKeyDown={onKeyDown}
    >
      {place?.asked
        ? <p className="covered" role="status"><Icon name="question" size={15} /><span><b>{words("Somebody is asked about {what}.", { what: place.asked })}</b> {words("Nothing is shown here until it is answered in the lab, or skipped.")}</span></p>
        : children || (notice ? <Message notice={notice} /> : <p className="waiting" role="status">{words("Waiting for the kernel’s numbers …")}</p>)}
      <Slow busy={kernel.busy} />
    </div>
  );
}

/** Where the debugger or lab stands that the view follows; `go` takes it elsewhere. */
export function Follows({ place, go, way }: { place: Place | null; go?: () => void; way?: string }) {
  if (!place?.follows) return null;
  return (
    <div className="place" data-testid="place" data-cursor={place.cursor} data-gone={place.gone || undefined} role="status">
      <span>
        {words("Follows the debugger: firing {n} of {all}", { n: place.cursor, all: place.total })}
        {place.next && <> · {words("next {node}", { node: place.next })}</>}
        {place.gone && <b> {words("The layer has not fired there: these are its last numbers.")}</b>}
      </span>
      {go && <button type="button" className="button" onClick={go}>{way}</button>}
    </div>
  );
}

/** Is this key the view's own, and not one of a text field, a slider or a button that has the focus? */
export function isOurs(e: React.KeyboardEvent, pressed = "button"): boolean {
  if (e.ctrlKey || e.metaKey || e.altKey || isTextField(e.target) || e.target instanceof HTMLInputElement || e.target instanceof HTMLSelectElement) return false;
  return !(e.target instanceof HTMLElement && e.target.closest(pressed) && (e.key === " " || e.key === "Enter"));
}

/** Playing: every `ms` the cursor goes `on`, until `atEnd`; begun there it starts anew. */
export function usePlay(ms: number, atEnd: boolean, on: () => void, anew: () => void): [boolean, () => void] {
  const [playing, setPlaying] = React.useState(false);
  const act = React.useRef(on);
  act.current = on;
  React.useEffect(() => { if (atEnd) setPlaying(false); }, [atEnd]);
  React.useEffect(() => {
    if (!playing) return;
    const timer = window.setInterval(() => act.current(), ms);
    return () => window.clearInterval(timer);
  }, [playing, ms]);
  return [playing, () => {
    if (!playing && atEnd) anew();
    setPlaying(!playing);
  }];
}

export function PlayButton({ playing, play }: { playing: boolean; play(): void }) {
  const name = playing ? words("Pause") : words("Play");
  return <button type="button" className="button play" aria-label={name} onClick={play}><Icon name={playing ? "pause" : "play"} size={13} />{name}</button>;
}

export function Message({ notice, close }: { notice: Pick<Notice, "level" | "text" | "hint">; close?: () => void }) {
  return (
    <div className={`message ${notice.level}`} role={notice.level}>
      {notice.level === "alert" && <Icon name="error" />}
      <span><b>{told(notice.text)}</b> {told(notice.hint)}</span>
      {close && <button type="button" aria-label={words("Dismiss")} onClick={close}><Icon name="close" size={12} /></button>}
    </div>
  );
}

/** Says so when an answer takes long; the picture stays as it is meanwhile. */
export function Slow({ busy, after = 8000, hint = "The kernel runs something else, or is gone. Moving the cursor needs no kernel and goes on." }: { busy: boolean; after?: number; hint?: string }) {
  const [late, setLate] = React.useState(false);
  React.useEffect(() => {
    setLate(false);
    if (!busy) return;
    const timer = window.setTimeout(() => setLate(true), after);
    return () => window.clearTimeout(timer);
  }, [busy, after]);
  if (!late) return null;
  return <Message notice={{ level: "status", text: "No answer yet.", hint }} />;
}

/** A number that Python sees too: it moves here at once and is told a moment after the last move, so that scrubbing never waits. */
export function useSynced(model: Model, key: string, max: number): [number, (value: number) => void] {
  const [value, setValue] = React.useState(() => Number(model.get(key)) || 0);
  const limit = React.useRef(max);
  limit.current = max;
  const timer = React.useRef(0);
  React.useEffect(() => {
    const changed = () => {
      window.clearTimeout(timer.current);
      setValue(Number(model.get(key)) || 0);
    };
    model.on(`change:${key}`, changed);
    return () => {
      window.clearTimeout(timer.current);
      model.off(`change:${key}`, changed);
    };
  }, [model, key]);
  const move = React.useCallback((next: number) => {
    const inside = Math.max(0, Math.min(limit.current, Math.round(next) || 0));
    setValue(inside);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      if (model.get(key) === inside) return;
      model.set(key, inside);
      model.save_changes();
    }, 60);
  }, [model, key]);
  return [Math.max(0, Math.min(value, max)), move];
}

/** A number that changes with the notebook's theme: whoever paints on a canvas paints again. */
export function useTheme(): number {
  const [theme, setTheme] = React.useState(0);
  React.useEffect(() => onThemeChange(() => setTheme((n) => n + 1)), []);
  return theme;
}

/** Which example of the batch is on screen. */
export function Sample({ sample, samples, choose }: { sample: number; samples: number; choose(sample: number): void }) {
  const [text, setText] = React.useState(String(sample));
  React.useEffect(() => setText(String(sample)), [sample]);
  return (
    <label className="sample">{words("Sample")}
      <input
        type="number" aria-label={words("Sample")} min={0} max={samples - 1} value={text}
        onChange={(e) => {
          setText(e.currentTarget.value);
          const n = Number(e.currentTarget.value);
          if (e.currentTarget.value !== "" && Number.isInteger(n) && n >= 0 && n < samples && n !== sample) choose(n);
        }}
        onBlur={() => setText(String(sample))}
      />
      <b>/ {samples - 1}</b>
    </label>
  );
}
