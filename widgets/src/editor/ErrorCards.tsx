// What does not fit, drawn where it does not fit: an address and a way out. The cards lie over the canvas, in its own pixels: whole at every zoom.
import * as React from "react";
import { useViewport } from "@xyflow/react";
import type { Diagnostic, OpSpec } from "../protocol.gen";
import { Icon } from "../shared/icons";
import { t, told, useLanguage } from "../shared/words";
import { keyOfQuestion, nodeOf, questionText, revealedText } from "./asked";
import { QuestionBody, RevealedBody } from "./Questions";
import { COVERS, type Point, type Rect, overlaps, visible } from "./geometry";
import { Sides } from "./Ghosts";
import { nearTarget } from "./routes";
import { type Alert, cut, keyOf, useLab, useLabState } from "./store";
import { activeIn } from "../shared/tree";

type Card = { key: string; anchor: Point; owner: string | null; head: string; text: string; where: string; hint: string; sides: Diagnostic["sides"]; actions: { label: string; edits: Record<string, unknown>[]; run(): void }[]; close?: () => void };
/** What lies beside an element: an error, or a question with its own content. */
type Placed = Pick<Card, "key" | "anchor" | "owner"> & { card?: Card; body?: React.ReactNode; name?: string; test?: string };

const STEP = 16;
const EDGE = 8;
const SETTLE = 120;

/** How much of two rectangles is common to both. */
function common(a: Rect, b: Rect): number {
  return Math.max(0, Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x)) * Math.max(0, Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y));
}

type Ground = { w: number; h: number; barred: Rect[]; soft: { rect: Rect; weight: number }[] };

/** What a card costs here: its way to the anchor, and what it lies on. Infinity on another card, the banner, the search. */
function costOf(p: Point, w: number, h: number, anchor: Point, ground: Ground): number {
  const rect = { ...p, w, h };
  if (ground.barred.some((r) => overlaps(rect, r, 6))) return Infinity;
  const away = Math.hypot(Math.max(0, p.x - anchor.x, anchor.x - p.x - w), Math.max(0, p.y - anchor.y, anchor.y - p.y - h));
  let cost = away + (p.x + w / 2 > anchor.x ? 18 : 0) + (p.y + h / 2 < anchor.y ? 10 : 0) + (away < 12 ? 300 : 0);
  for (const s of ground.soft) cost += (s.weight * common(rect, s.rect)) / 3;
  return cost;
}

/** The best place in the visible canvas; null if there is none. */
function spot(anchor: Point, w: number, h: number, ground: Ground): Point | null {
  let best: Point | null = null;
  let least = Infinity;
  const right = Math.max(EDGE, ground.w - w - EDGE);
  const bottom = Math.max(EDGE, ground.h - h - EDGE);
  for (let y = EDGE; ; y = Math.min(bottom, y + STEP)) {
    for (let x = EDGE; ; x = Math.min(right, x + STEP)) {
      const cost = costOf({ x, y }, w, h, anchor, ground);
      if (cost < least) { least = cost; best = { x, y }; }
      if (x >= right) break;
    }
    if (y >= bottom) break;
  }
  return best;
}

function split(message: string): { head: string; text: string } {
  const m = /^(.{1,39}?)(: |：)/s.exec(message);
  return m ? { head: `${m[1]}${m[2].trim()}`, text: message.slice(m[0].length) } : { head: "", text: message };
}

function useCards(): Card[] {
  const lab = useLab();
  const scene = useLabState((s) => s.scene);
  const alerts = useLabState((s) => s.alerts);
  const at = useLabState((s) => s.at);
  const geos = useLabState((s) => s.geos);
  const routes = useLabState((s) => s.routes);
  const lang = useLanguage();
  return React.useMemo(() => {
    const cards: Card[] = [];
    const place = (node: string | null, edge: string | null): { anchor: Point; owner: string | null } | null => {
      const route = edge !== null ? routes.get(edge) : undefined;
      const owner = node === null ? null : lab.drawn(node, at);
      if (route) return { anchor: nearTarget(route, 20), owner };
      const p = owner === null ? undefined : at.get(owner);
      const g = owner === null ? undefined : geos.get(owner);
      return p && g ? { anchor: { x: p.x, y: p.y + g.h / 2 }, owner } : null;
    };
    for (const d of scene?.diagnostics ?? []) {
      const where = d.severe ? place(d.node, d.edge) : null;
      if (!where) continue;
      const route = d.edge !== null ? routes.get(d.edge) : undefined;
      const actions = d.repairs.map((r) => ({ label: told(r.label), edits: r.edits, run: () => void lab.edit(r.edits, `${r.label}.`) }));
      if (route && !d.repairs.some((r) => r.edits.some((e) => e.tag === "Disconnect"))) actions.push({ label: t("Cut wire"), edits: [cut(route.edge)], run: () => void lab.edit([cut(route.edge)], "Cut the wire.") });
      cards.push({ key: keyOf(d), ...where, ...split(told(d.message)), where: address(d, lab.state.ops.get(lab.state.nodes.get(d.node)?.op ?? "")), hint: told(d.hint), sides: d.sides, actions });
    }
    for (const a of alerts) {
      const where = place(a.node, a.edge);
      const close = () => { lab.dismiss(a.id); lab.root?.focus({ preventScroll: true }); };      // the keys go on in the canvas
      if (where) cards.push({ key: `alert${a.id}`, ...where, ...split(told(a.text)), where: "", hint: told(a.hint), sides: [], actions: a.why ? [{ label: t("Show why"), edits: [], run: () => { close(); void lab.debug("why_nan", { target: "" }); } }] : [], close });
    }
    return cards;
  }, [lab, scene, alerts, at, geos, routes, lang]);
}

export function ErrorCards() {
  const errors = useCards();
  const asked = useAsked();
  const cards: Placed[] = [...asked, ...errors.map((card) => ({ key: card.key, anchor: card.anchor, owner: card.owner, card }))];
  return cards.length ? <Cards cards={cards} /> : null;
}

/** The question that is put, else what the last one came to, beside its node. */
function useAsked(): Placed[] {
  const lab = useLab();
  const q = useLabState((s) => s.debugging.questions.find((x) => x.now));
  const r = useLabState((s) => s.revealed);
  const at = useLabState((s) => s.at);
  const it = q ?? r;
  if (!it) return [];
  const owner = it.drawn !== null && at.has(it.drawn) ? it.drawn : lab.drawn(nodeOf(it.tensor), at) ?? at.keys().next().value ?? null;
  const p = owner === null ? undefined : at.get(owner);
  const g = owner === null ? undefined : lab.state.geos.get(owner);
  if (!p || !g) return [];
  const key = `${q ? "question" : "revealed"} ${keyOfQuestion(it)}`;
  return [{ key, owner, anchor: { x: p.x + g.w / 2, y: p.y + g.h }, name: q ? questionText(q) : r ? revealedText(r) : "", test: q ? "question" : "revealed", body: q ? <QuestionBody key={key} q={q} /> : r ? <RevealedBody key={key} r={r} /> : null }];
}

function Cards({ cards }: { cards: Placed[] }) {
  const lab = useLab();
  const { x, y, zoom } = useViewport();
  const selected = useLabState((s) => s.selected);
  // these open and close what lies over the canvas
  useLabState((s) => s.run.mode);
  useLabState((s) => s.offer);
  useLabState((s) => s.file);
  useLabState((s) => s.link);
  useLabState((s) => s.panel);
  useLabState((s) => s.status);
  const [first, setFirst] = React.useState(0);
  const [, settle] = React.useState(0);
  const [over, setOver] = React.useState(0);
  const layer = React.useRef<HTMLDivElement>(null);
  const offsets = React.useRef(new Map<string, Point>());
  const moved = React.useRef({ x, y, zoom, at: lab.state.at, when: 0 });
  const { at } = lab.state;
  React.useEffect(() => {
    const t = setTimeout(() => settle((n) => n + 1), SETTLE);
    return () => clearTimeout(t);
  }, [x, y, zoom, at]);
  React.useEffect(() => {
    const el = layer.current;
    if (!el) return;
    const watch = new ResizeObserver(() => settle((n) => n + 1));
    watch.observe(el);
    return () => watch.disconnect();
  }, []);

  React.useLayoutEffect(() => {
    const el = layer.current;
    if (!el || !lab.root) return;
    const m = moved.current;
    const now = performance.now();
    if (m.x !== x || m.y !== y || m.zoom !== zoom || m.at !== at) moved.current = { x, y, zoom, at, when: now };
    const moving = now - moved.current.when < SETTLE - 10;
    const box = el.getBoundingClientRect();
    const screen = (r: Rect): Rect => ({ x: r.x * zoom + x, y: r.y * zoom + y, w: r.w * zoom, h: r.h * zoom });
    const ground: Ground = { w: box.width, h: box.height, barred: [], soft: [] };
    for (const c of lab.root.querySelectorAll(`${COVERS}, .strip .alert`)) {
      const b = c.getBoundingClientRect();
      ground.barred.push({ x: b.left - box.left, y: b.top - box.top, w: b.width, h: b.height });
    }
    const view = { x: 0, y: 0, w: box.width, h: box.height };
    for (const [id, p] of at) {
      const g = lab.state.geos.get(id);
      const r = g && screen({ ...p, w: g.w, h: g.h });
      if (r && overlaps(r, view, 0)) ground.soft.push({ rect: r, weight: cards.some((c) => c.owner === id) ? 4 : selected.includes(id) ? 3 : 1 });
    }
    for (const r of lab.state.routes.values()) if (r.label) ground.soft.push({ rect: screen({ x: r.label.x - r.label.w / 2, y: r.label.y - 7, w: r.label.w, h: 14 }), weight: 0.6 });
    let hidden = 0;
    const alive = new Set<string>();
    [...el.querySelectorAll<HTMLElement>(".ecard")].forEach((card, i) => {
      const c = cards[(i + first) % cards.length];
      const w = card.offsetWidth;
      const h = card.offsetHeight;
      const anchor = { x: c.anchor.x * zoom + x, y: c.anchor.y * zoom + y };
      const clamp = (p: Point): Point => ({ x: Math.max(EDGE, Math.min(box.width - w - EDGE, p.x)), y: Math.max(EDGE, Math.min(box.height - h - EDGE, p.y)) });
      const old = offsets.current.get(c.key);
      const kept = old && clamp({ x: anchor.x + old.x, y: anchor.y + old.y });
      let p: Point | null = kept ?? null;
      // a card that is pointed at, or has the focus, stays under the hand
      const held = kept !== undefined && (card.matches(":hover") || c.body === undefined && card.contains(activeIn(card)));
      if (!kept || !moving && !held) {
        p = spot(anchor, w, h, ground);
        // a card that stands nearly as well as it could stays where the eye has found it
        if (p && kept && costOf(kept, w, h, anchor, ground) < costOf(p, w, h, anchor, ground) + 40) p = kept;
      }
      const line = el.querySelector(`path[data-i="${i}"]`);
      card.classList.toggle("tucked", p === null);
      if (p === null) { hidden++; line?.setAttribute("d", ""); return; }
      card.style.transform = `translate(${Math.round(p.x)}px, ${Math.round(p.y)}px)`;
      line?.setAttribute("d", `M${anchor.x} ${anchor.y}L${Math.max(p.x, Math.min(anchor.x, p.x + w))} ${Math.max(p.y, Math.min(anchor.y, p.y + h))}`);
      if (!moving) offsets.current.set(c.key, { x: p.x - anchor.x, y: p.y - anchor.y });
      alive.add(c.key);
      ground.barred.push({ ...p, w, h });
    });
    for (const key of [...offsets.current.keys()]) if (!alive.has(key)) offsets.current.delete(key);
    if (hidden !== over) setOver(hidden);
  });
  const order = cards.map((_, i) => cards[(i + first) % cards.length]);
  return (
    <div className="ecards" ref={layer}>
      <svg aria-hidden="true">{order.map((c, i) => <path key={c.key} data-i={i} className={c.body !== undefined ? "asks" : undefined} />)}</svg>
      {order.map(({ card: c, ...placed }) => c === undefined
        ? <div className="ecard asks" role="group" aria-label={placed.name} data-testid={placed.test} key={placed.key}>{placed.body}</div>
        : <div className="ecard" role="alert" key={c.key}>
          <div className="et">
            <Icon name="error" size={13} />
            <span>{c.head && <b>{visible(c.head)} </b>}{visible(c.text)}</span>
            {c.close && <button type="button" className="x" aria-label={t("Dismiss")} onClick={c.close}><Icon name="close" size={10} /></button>}
          </div>
          {c.sides.length > 0 && <Sides sides={c.sides} />}
          {[c.where, c.hint.endsWith("?") && c.actions.length > 1 ? "" : c.hint].filter(Boolean).map((l) => <div className="em" key={l}>{visible(l)}</div>)}
          {c.actions.length > 0 && <div className="eb">{c.actions.map((b, i) => <button type="button" key={b.label} data-filled={i === 0 ? "" : undefined} className={`rb${i === 0 ? " pri" : ""}`} onClick={b.run}
            {...(b.edits.length ? { onPointerEnter: () => lab.preview(`${c.key} ${i}`, b.edits), onPointerLeave: () => lab.unpreview(), onFocus: () => lab.preview(`${c.key} ${i}`, b.edits), onBlur: () => lab.unpreview() } : {})}>{visible(b.label)}</button>)}</div>}
        </div>
      )}
      {over > 0 && <button type="button" className="emore" title={t("Show the next")} onClick={() => setFirst((n) => (n + cards.length - over) % cards.length)}>{t("{n} more", { n: over })}</button>}
    </div>
  );
}

/** Node, port or attribute, axis. */
function address(d: Diagnostic, spec: OpSpec | undefined): string {
  const attr = d.port !== null && spec?.attrs.some((a) => a.name === d.port);
  return [d.node, d.port === null ? "" : attr ? t("attribute {name}", { name: d.port }) : t("port {port}", { port: d.port }), d.axis !== null ? t("axis {axis}", { axis: d.axis }) : "", t("sound parts still run")].filter(Boolean).join(" · ");
}

/** Alerts that belong to no drawn element: a strip at the foot of the canvas. */
export function AlertStrip() {
  const lab = useLab();
  const alerts = useLabState((s) => s.alerts);
  const at = useLabState((s) => s.at);
  const homeless = alerts.filter((a: Alert) => a.node === null || lab.drawn(a.node, at) === null);
  return (
    <div className="strip">
      {homeless.map((a) => (
        <div className="alert" role="alert" key={a.id}>
          <Icon name="error" size={13} />
          <span><b>{visible(told(a.text))}</b>{a.hint ? ` ${visible(told(a.hint))}` : ""}</span>
          <button type="button" className="x" aria-label={t("Dismiss")} onClick={() => lab.dismiss(a.id)}><Icon name="close" size={10} /></button>
        </div>
      ))}
    </div>
  );
}
