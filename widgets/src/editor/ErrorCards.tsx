// What does not fit, drawn where it does not fit: an address and a way out.
import * as React from "react";
import type { Diagnostic } from "../protocol.gen";
import { Icon } from "../shared/icons";
import { type Point, type Rect, overlaps, textWidth, visible } from "./geometry";
import { nearTarget } from "./routes";
import { type Alert, cut, useLab, useLabState } from "./store";

type Card = { key: string; anchor: Point; head: string; text: string; where: string; hint: string; width: number; actions: { label: string; run(): void }[]; close?: () => void };

const H = 74;

/** Near the anchor and on nothing, inside the picture's bounds if there is room; left and below before right and above. */
function spot(anchor: Point, w: number, h: number, taken: Rect[], view: Rect | null): Point {
  const left = Math.min(anchor.x, ...taken.map((r) => r.x)) - 20;
  const top = Math.min(anchor.y, ...taken.map((r) => r.y)) - 10;
  let best: Point = { x: anchor.x - w / 2, y: anchor.y + 60 };
  let least = Infinity;
  for (let dy = -300; dy <= 300; dy += 20) {
    for (let dx = -420; dx <= 420; dx += 20) {
      const p = { x: anchor.x + dx - w / 2, y: anchor.y + dy - h / 2 };
      const away = Math.hypot(Math.max(0, p.x - anchor.x, anchor.x - p.x - w), Math.max(0, p.y - anchor.y, anchor.y - p.y - h));
      if (away < 12) continue;
      const near = away + (dx > 0 ? 18 : 0) + (dy < 0 ? 10 : 0) + 0.05 * Math.abs(dy) + (p.x < left ? 150 : 0) + (p.y < top ? 400 : 0);
      const hidden = view ? Math.max(0, view.x + 8 - p.x) + Math.max(0, p.x + w - view.x - view.w + 8) + Math.max(0, view.y + 8 - p.y) + Math.max(0, p.y + h - view.y - view.h + 8) : 0;
      const cost = near + (hidden > 0 ? 120 + hidden : 0);
      if (cost >= least || taken.some((r) => overlaps({ ...p, w, h }, r, 6))) continue;
      least = cost;
      best = p;
    }
  }
  return best;
}

function split(message: string): { head: string; text: string } {
  const at = message.indexOf(": ");
  return at > 0 && at < 40 ? { head: message.slice(0, at + 1), text: message.slice(at + 2) } : { head: "", text: message };
}

export function ErrorCards() {
  const lab = useLab();
  const scene = useLabState((s) => s.scene);
  const alerts = useLabState((s) => s.alerts);
  const at = useLabState((s) => s.at);
  const geos = useLabState((s) => s.geos);
  const routes = useLabState((s) => s.routes);
  const cards: Card[] = [];
  const middle = (node: string): Point | null => {
    const p = at.get(node);
    const g = geos.get(node);
    return p && g ? { x: p.x, y: p.y + g.h / 2 } : null;
  };
  const drawn = (node: string): string | null => {
    for (let n = node; n !== ""; n = n.slice(0, Math.max(0, n.lastIndexOf("/")))) if (at.has(n)) return n;
    return null;
  };
  for (const d of scene?.diagnostics ?? []) {
    if (!d.severe) continue;
    const route = d.edge !== null ? routes.get(d.edge) : undefined;
    const place = drawn(d.node);
    const anchor = route ? nearTarget(route, 20) : place !== null ? middle(place) : null;
    if (!anchor) continue;
    const actions = d.repairs.map((r) => ({ label: r.label, run: () => void lab.edit(r.edits, `${r.label}.`) }));
    if (route && !d.repairs.some((r) => r.edits.some((e) => e.tag === "Disconnect"))) actions.push({ label: "Cut wire", run: () => void lab.edit([cut(route.edge)], "Cut the wire.") });
    cards.push({ key: `${d.kind}${d.node}${d.port ?? ""}${d.edge ?? ""}`, anchor, ...split(d.message), where: address(d), hint: d.hint, width: 0, actions });
  }
  for (const a of alerts) {
    const place = a.node !== null ? drawn(a.node) : null;
    const anchor = a.edge !== null && routes.get(a.edge) ? nearTarget(routes.get(a.edge)!, 20) : place !== null ? middle(place) : null;
    if (anchor) cards.push({ key: `alert${a.id}`, anchor, ...split(a.text), where: "", hint: a.hint, width: 0, actions: [], close: () => lab.dismiss(a.id) });
  }
  const view = lab.view?.visible() ?? null;
  const taken: Rect[] = lab.rects();
  for (const r of routes.values()) if (r.label) taken.push({ x: r.label.x - r.label.w / 2, y: r.label.y - 7, w: r.label.w, h: 14 });
  return (
    <>
      {cards.slice(0, 12).map((c) => {
        const lines = [c.where, c.hint].filter(Boolean);
        const w = Math.min(330, Math.max(190, 44 + Math.max(textWidth(`${c.head} ${c.text}`, 11.5), ...lines.map((l) => textWidth(l, 10) + 12), c.actions.reduce((sum, b) => sum + textWidth(b.label, 11) + 24, 0))));
        const h = H + (lines.length > 1 ? 13 : 0) - (c.actions.length ? 0 : 26) + 14 * Math.max(0, Math.ceil((textWidth(`${c.head} ${c.text}`, 11.5) + 40) / w) - 1);
        const p = spot(c.anchor, w, h, taken, view);
        taken.push({ ...p, w, h });
        return (
          <React.Fragment key={c.key}>
            <Lead from={c.anchor} card={{ ...p, w, h }} />
            <div className="ecard nopan nodrag" role="alert" style={{ left: p.x, top: p.y, width: w }}>
              <div className="et">
                <Icon name="error" size={13} />
                <span>{c.head && <b>{visible(c.head)} </b>}{visible(c.text)}</span>
                {c.close && <button type="button" className="x" aria-label="Dismiss" onClick={c.close}><Icon name="close" size={10} /></button>}
              </div>
              {lines.map((l) => <div className="em" key={l}>{visible(l)}</div>)}
              {c.actions.length > 0 && <div className="eb">{c.actions.map((b, i) => <button type="button" key={b.label} data-filled={i === 0 ? "" : undefined} className={`rb${i === 0 ? " pri" : ""}`} onClick={b.run}>{visible(b.label)}</button>)}</div>}
            </div>
          </React.Fragment>
        );
      })}
    </>
  );
}

function address(d: Diagnostic): string {
  return [d.node, d.port !== null ? `port ${d.port}` : "", d.axis !== null ? `axis ${d.axis}` : "", "sound parts still run"].filter(Boolean).join(" · ");
}

/** A thin dotted line from the card to what it speaks of. */
function Lead({ from, card }: { from: Point; card: Rect }) {
  const to = { x: Math.max(card.x, Math.min(from.x, card.x + card.w)), y: Math.max(card.y, Math.min(from.y, card.y + card.h)) };
  const x = Math.min(from.x, to.x);
  const y = Math.min(from.y, to.y);
  return (
    <svg className="lead" style={{ left: x - 1, top: y - 1 }} width={Math.abs(from.x - to.x) + 2} height={Math.abs(from.y - to.y) + 2} aria-hidden="true">
      <path d={`M${from.x - x + 1} ${from.y - y + 1}L${to.x - x + 1} ${to.y - y + 1}`} />
    </svg>
  );
}

/** Alerts that belong to no drawn element: a strip at the foot of the canvas. */
export function AlertStrip() {
  const lab = useLab();
  const alerts = useLabState((s) => s.alerts);
  const at = useLabState((s) => s.at);
  const homeless = alerts.filter((a) => !hasPlace(a, at));
  return (
    <div className="strip">
      {homeless.map((a) => (
        <div className="alert" role="alert" key={a.id}>
          <Icon name="error" size={13} />
          <span><b>{visible(a.text)}</b>{a.hint ? ` ${visible(a.hint)}` : ""}</span>
          <button type="button" className="x" aria-label="Dismiss" onClick={() => lab.dismiss(a.id)}><Icon name="close" size={10} /></button>
        </div>
      ))}
    </div>
  );
}

function hasPlace(a: Alert, at: Map<string, Point>): boolean {
  for (let n = a.node ?? ""; n !== ""; n = n.slice(0, Math.max(0, n.lastIndexOf("/")))) if (at.has(n)) return true;
  return false;
}
