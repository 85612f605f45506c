// A tour of the lab: a ring around a real control, and a card beside it. It does nothing by itself, and whatever it points at can be used meanwhile.
import * as React from "react";
import { Icon } from "../shared/icons";
import { activeIn, parentOf } from "../shared/tree";
import { t } from "../shared/words";
import { differentiable } from "./making";
import { type Lab, useLab, useLabState } from "./store";
import "./tour.css";

type Stop = {
  id: string;
  title(lab: Lab): string;
  text(lab: Lab): string;
  /** What it points at: the first of these that can be seen. Null: there is nothing of the kind, and the tour leaves the stop out. */
  at(lab: Lab): readonly (string | Element | undefined)[] | null;
  /** Brings it into sight, once, when the tour comes to it. */
  arrive?(lab: Lab): void;
};

const scalarOf = (lab: Lab): string | null => {
  if (lab.inFile) return null;
  const all = [...lab.state.nodes.values()].filter(differentiable);
  return (all.find((n) => n.name === "loss") ?? all.at(-1))?.name ?? null;
};
const wired = (lab: Lab): string | undefined => lab.state.wiring.edges.values().next().value?.dst;
const offered = (lab: Lab): boolean => seen(lab, "[data-differentiate]") !== null;

const STOPS: readonly Stop[] = [
  {
    id: "palette", title: () => t("Find an operation"), at: (lab) => (lab.inFile ? null : [".srch", ".rail .cbn"]),
    text: () => t("Type its name, or what it does, in English or Chinese. Enter puts the first hit on the canvas, wired to what is selected."),
  },
  {
    id: "wires", title: () => t("Wires carry tensors"), at: (lab) => (lab.state.nodes.size + lab.state.scopes.size ? [".cv .el", ".cv .pt", ".cv"] : null),
    text: () => t("Click a port and then another, or drag. Each wire shows the shape it carries, before anything runs; one that does not fit turns red, says why, and offers repairs."),
    arrive: (lab) => { const to = wired(lab); if (to !== undefined && !seen(lab, ".cv .el")) lab.view?.centre(to); },
  },
  {
    id: "inspector", title: () => t("Look at a node"), at: () => [".ins"],
    text: () => t("Select a node: its attributes can be changed here, and once it has fired its values are here, too."),
  },
  {
    id: "step", title: () => t("Fire one node"), at: () => ['.bar [aria-keyshortcuts="."]'],
    text: () => t("Step fires the next node that is ready, and its tensor travels along the wires. Press it a few times, or the key . on the canvas."),
  },
  {
    id: "timeline", title: () => t("Go back in time"), at: () => [".tlx"],
    text: () => t("Each tick is a firing. Drag along them, or press the key , to go back: canvas, numbers and inspector show that moment again."),
  },
  {
    id: "differentiate", title: () => t("Differentiate"), at: (lab) => { const name = scalarOf(lab); return name === null ? null : ["[data-differentiate]", lab.refs.get(name), ".cv"]; },
    text: (lab) => (offered(lab) ? t("This adds the gradient by every trainable variable: more nodes, which are stepped through like the others. Undo takes them back.")
      : t("Select {name}, which is one number: the inspector then offers its gradient.", { name: scalarOf(lab) ?? "" })),
    arrive: (lab) => { const name = scalarOf(lab); if (name !== null && !offered(lab)) lab.view?.centre(name); },
  },
  {
    id: "keys", title: () => t("Everything has a key"), at: () => ['.rail [aria-keyshortcuts="?"]', ".cv"],
    text: () => t("While the canvas has the focus: A adds, C connects, . and , step, and ? lists all the keys."),
  },
];

/** The element of the lab, if it can be seen: on the canvas, what lies within it. */
function seen(lab: Lab, what: string | Element | undefined): Element | null {
  const all = typeof what === "string" ? [...lab.root?.querySelectorAll(what) ?? []] : what?.isConnected ? [what] : [];
  const canvas = lab.root?.querySelector(".cv")?.getBoundingClientRect();
  return all.find((e) => {
    const box = e.getBoundingClientRect();
    return box.width > 0 && e.checkVisibility() && (!canvas || !e.parentElement?.closest(".cv") || box.left >= canvas.left && box.right <= canvas.right && box.top >= canvas.top && box.bottom <= canvas.bottom);
  }) ?? null;
}

const targetOf = (lab: Lab, stop: Stop): Element | null => {
  for (const what of stop.at(lab) ?? []) { const e = seen(lab, what); if (e) return e; }
  return null;
};

/** The stops whose controls are here. */
const stopsOf = (lab: Lab): readonly Stop[] => STOPS.filter((s) => targetOf(lab, s) !== null || s.id === lab.state.tour);

export const startTour = (lab: Lab): void => lab.set({ tour: stopsOf(lab)[0]?.id ?? null, panel: null });

export function TourButton() {
  const lab = useLab();
  const open = useLabState((s) => s.tour !== null);
  return <button type="button" className={`cbn${open ? " on" : ""}`} data-tour-button aria-pressed={open} aria-label={t("Tour")} title={t("A tour of two minutes")} onClick={() => (open ? lab.set({ tour: null }) : startTour(lab))}><Icon name="tour" /></button>;
}

export function Tour() {
  const id = useLabState((s) => s.tour);
  return id === null ? null : <Card id={id} />;
}

const GAP = 12, RING = 5, EDGE = 8;

function Card({ id }: { id: string }) {
  const lab = useLab();
  // what a person does here may add a stop or take one away, and changes what is to be said
  useLabState((s) => s.scene);
  useLabState((s) => s.selected);
  useLabState((s) => s.layout);
  const card = React.useRef<HTMLDivElement>(null);
  const ring = React.useRef<HTMLDivElement>(null);
  const label = React.useId();
  const stops = stopsOf(lab);
  const i = stops.findIndex((s) => s.id === id);
  const stop = stops[i];
  React.useLayoutEffect(() => {
    card.current?.focus({ preventScroll: true });
    const mine = card.current;
    return () => { if (mine?.contains(activeIn(mine))) queueMicrotask(() => lab.root?.querySelector<HTMLElement>("[data-tour-button]")?.focus({ preventScroll: true })); };
  }, [lab]);
  React.useEffect(() => {
    stop.arrive?.(lab);
    targetOf(lab, stop)?.closest(".bar, .pal, .rail, .cv, .ins, .tl")?.scrollIntoView({ block: "nearest" });
  }, [lab, id]);
  // panels open and fold, the canvas moves, cells above grow: what is pointed at is where it is now
  React.useEffect(() => {
    let frame = 0, last = "";
    const follow = () => {
      frame = requestAnimationFrame(follow);
      if (!lab.root || !card.current || !ring.current) return;
      const target = targetOf(lab, stop);
      const mine = lab.root.getBoundingClientRect();
      const box = target?.getBoundingClientRect() ?? null;
      const room = within(lab.root, mine);
      const { offsetWidth: w, offsetHeight: h } = card.current;
      const at = `${box?.left} ${box?.top} ${box?.width} ${box?.height} ${mine.left} ${mine.top} ${room.left} ${room.top} ${room.right} ${room.bottom} ${w} ${h}`;
      if (at === last) return;
      last = at;
      ring.current.hidden = box === null;
      const left = mine.left + lab.root.clientLeft, top = mine.top + lab.root.clientTop;
      const put = (el: HTMLElement, x: number, y: number) => { el.style.transform = `translate(${Math.round(x - left)}px, ${Math.round(y - top)}px)`; };
      if (box) {
        // a panel at the edge of the lab has its ring inside
        const [x0, y0, x1, y1] = [Math.max(box.left - RING, left + 1), Math.max(box.top - RING, top + 1), Math.min(box.right + RING, mine.right - 2), Math.min(box.bottom + RING, mine.bottom - 2)];
        put(ring.current, x0, y0);
        ring.current.style.width = `${x1 - x0}px`;
        ring.current.style.height = `${y1 - y0}px`;
      }
      const place = placeOf(box, room, w, h);
      put(card.current, place.x, place.y);
    };
    follow();
    return () => cancelAnimationFrame(frame);
  }, [lab, stop]);
  const go = (by: number) => {
    const to = stops[i + by];
    if (to) lab.set({ tour: to.id });
    else if (by > 0) lab.set({ tour: null });
  };
  const onKeyDown = (e: React.KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (e.ctrlKey || e.altKey || e.metaKey) return;
    if (by !== undefined) go(by === 1 && i === stops.length - 1 ? 0 : by);      // the last one is left by its button
    else if (e.key === "Escape") lab.set({ tour: null });
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <div className="tour">
      <div className="ring" ref={ring} data-tour={id} aria-hidden="true" hidden />
      <div className="tcard" ref={card} role="dialog" aria-labelledby={label} tabIndex={-1} onKeyDown={onKeyDown}>
        <div className="sh"><h2 id={label}>{t("Tour")} <span>{i + 1} / {stops.length}</span></h2><button type="button" className="x" aria-label={t("Close")} onClick={() => lab.set({ tour: null })}><Icon name="close" size={11} /></button></div>
        <div aria-live="polite" aria-atomic="true"><b>{stop.title(lab)}</b><p>{stop.text(lab)}</p></div>
        <div className="tgo">
          <button type="button" className="bt" aria-disabled={i === 0 || undefined} onClick={() => go(-1)}>{t("Back")}</button>
          <button type="button" className="bt pri" data-filled onClick={() => go(1)}>{i === stops.length - 1 ? t("Done") : t("Next")}</button>
        </div>
      </div>
    </div>
  );
}

type Box = { left: number; top: number; right: number; bottom: number };

/** What can be seen of the lab now: a notebook scrolls, and its window ends. */
function within(root: HTMLElement, box: DOMRect): Box {
  const out: Box = { left: box.left, top: Math.max(0, box.top), right: Math.min(window.innerWidth, box.right), bottom: Math.min(window.innerHeight, box.bottom) };
  for (let e = parentOf(root); e; e = parentOf(e)) {
    if (e.scrollHeight <= e.clientHeight || getComputedStyle(e).overflowY === "visible") continue;
    const b = e.getBoundingClientRect();
    out.top = Math.max(out.top, b.top);
    out.bottom = Math.min(out.bottom, b.bottom);
  }
  return out;
}

/** Beside what is pointed at, on the first side that has room; where none has, in the corner farthest from it. */
function placeOf(box: DOMRect | null, room: Box, w: number, h: number): { x: number; y: number } {
  const clampX = (x: number) => Math.max(room.left + EDGE, Math.min(room.right - w - EDGE, x));
  const clampY = (y: number) => Math.max(room.top + EDGE, Math.min(room.bottom - h - EDGE, y));
  const corner = { x: clampX(room.right), y: clampY(room.bottom) };
  if (!box) return corner;
  const x = clampX(box.left + box.width / 2 - w / 2), y = clampY(box.top + box.height / 2 - h / 2);
  const off = GAP + RING;
  if (box.bottom + off + h + EDGE <= room.bottom) return { x, y: Math.max(clampY(0), box.bottom + off) };
  if (box.top - off - h - EDGE >= room.top) return { x, y: box.top - off - h };
  if (box.left - off - w - EDGE >= room.left) return { x: box.left - off - w, y };
  if (box.right + off + w + EDGE <= room.right) return { x: box.right + off, y };
  return { x: box.left + box.width / 2 > (room.left + room.right) / 2 ? clampX(0) : corner.x, y: corner.y };
}
