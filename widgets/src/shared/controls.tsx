// Small controls that every view shares.
import * as React from "react";

/** A slider: the browser's own, so that keyboard, touch and screen readers work as people expect. */
export function Slider({ label, value, max, min = 0, text, visibleLabel = true, onChange, className = "" }: {
  label: string; value: number; max: number; min?: number; text?: string; visibleLabel?: boolean; onChange(value: number): void; className?: string;
}) {
  const share = max > min ? (value - min) / (max - min) : 0;
  return (
    <label className={`fl-slider ${className}`}>
      {visibleLabel && <span>{label}</span>}
      <input
        type="range" aria-label={label} aria-valuetext={text} min={min} max={Math.max(min, max)} step={1} value={value}
        style={{ "--fl-share": `${share * 100}%` } as React.CSSProperties}
        onChange={(e) => onChange(Number(e.currentTarget.value))}
      />
      {text !== undefined && <b>{text}</b>}
    </label>
  );
}

/** The width of an element, told again whenever it changes; a cell of a notebook is not the window. */
export function useWidth<E extends HTMLElement>(): [React.RefObject<E | null>, number] {
  const ref = React.useRef<E>(null);
  const [width, setWidth] = React.useState(0);
  React.useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const read = () => setWidth(Math.round(element.getBoundingClientRect().width));
    read();
    const observer = new ResizeObserver(read);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** Does this person ask for less motion? */
export function prefersReducedMotion(): boolean {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** How full a queue is: a slot for each batch that it can hold. */
export function Slots({ ready, size, label }: { ready: number; size: number; label: string }) {
  return <div className="fl-slots" role="img" aria-label={label}>{Array.from({ length: Math.min(size, 32) }, (_, k) => <u key={k} className={k < ready ? "full" : undefined} />)}</div>;
}

/** Drag or click over a plot: calls back with the event and the plot's box. */
export function useScrub(go: (e: React.PointerEvent, box: DOMRect) => void) {
  const act = React.useRef(go);
  act.current = go;
  return React.useMemo(() => ({
    onPointerDown: (e: React.PointerEvent<HTMLElement>) => {
      if (e.button !== 0) return;
      e.currentTarget.setPointerCapture(e.pointerId);
      act.current(e, e.currentTarget.getBoundingClientRect());
    },
    onPointerMove: (e: React.PointerEvent<HTMLElement>) => {
      if (e.buttons & 1 && e.currentTarget.hasPointerCapture(e.pointerId)) act.current(e, e.currentTarget.getBoundingClientRect());
    },
  }), []);
}
