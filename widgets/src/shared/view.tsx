// What every view that looks into a layer has: its messages, a cursor that Python sees too, the notebook's theme.
import * as React from "react";
import type { Notice } from "../protocol.gen";
import { onThemeChange } from "./color";
import { Icon } from "./icons";
import type { Model } from "./wire";
import { t as words, told } from "./words";

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
export function Slow({ busy }: { busy: boolean }) {
  const [late, setLate] = React.useState(false);
  React.useEffect(() => {
    setLate(false);
    if (!busy) return;
    const timer = window.setTimeout(() => setLate(true), 8000);
    return () => window.clearTimeout(timer);
  }, [busy]);
  if (!late) return null;
  return <Message notice={{ level: "status", text: "No answer yet.", hint: "The kernel runs something else, or is gone. Moving the cursor needs no kernel and goes on." }} />;
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
