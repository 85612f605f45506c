// The way of every edge: a curve from port to port through the layout's waypoints, and the place of its shape label in a gap.
import type { Scene, SceneEdge } from "../protocol.gen";
import { type ElementGeo, type Point, type Rect, type Side, type Wiring, overlaps, push, sourcePort, targetPort, textWidth } from "./geometry";
import { type Frame, type Layout, CHIP_H, LOOP_LANE, LOOP_ROOM, chipWidth, edgeLabel, framesOf } from "./layout";

type Cubic = [Point, Point, Point, Point];

export type Route = {
  edge: SceneEdge;
  d: string;
  segments: Cubic[];
  from: Point;
  to: Point;
  /** Middle of the label, and its text; null for edges that need none. */
  label: { x: number; y: number; w: number; text: string } | null;
  /** A reference chip instead of a long line: its box. */
  chip: Rect | null;
  /** Middle of the way and its direction in degrees, for the chevron and the badge. */
  middle: Point & { angle: number };
  long: boolean;
};

const REACH = (distance: number): number => (distance >= 0 ? distance * 0.5 : 6.25 * Math.sqrt(-distance) + Math.min(60, -distance * 0.06));

function control(from: Point, side: Side, to: Point): Point {
  switch (side) {
    case "right": return { x: from.x + Math.max(8, REACH(to.x - from.x)), y: from.y };
    case "left": return { x: from.x - Math.max(8, REACH(from.x - to.x)), y: from.y };
    case "bottom": return { x: from.x, y: from.y + Math.max(8, REACH(to.y - from.y)) };
    case "top": return { x: from.x, y: from.y - Math.max(8, REACH(from.y - to.y)) };
  }
}

const opposite: Record<Side, Side> = { left: "right", right: "left", top: "bottom", bottom: "top" };

export function curve(points: Point[], start: Side, end: Side): Cubic[] {
  const out: Cubic[] = [];
  for (let i = 0; i + 1 < points.length; i++) {
    const a = points[i];
    const b = points[i + 1];
    const run: Side = b.x >= a.x ? "right" : "left";
    const s = i === 0 ? start : run;
    const e = i + 2 === points.length ? end : opposite[run];
    out.push([a, control(a, s, b), control(b, e, a), b]);
  }
  return out;
}

const r1 = (x: number): number => Math.round(x * 10) / 10;

export function pathOf(segments: Cubic[]): string {
  if (!segments.length) return "";
  let d = `M${r1(segments[0][0].x)} ${r1(segments[0][0].y)}`;
  for (const [, b, c, e] of segments) d += `C${r1(b.x)} ${r1(b.y)} ${r1(c.x)} ${r1(c.y)} ${r1(e.x)} ${r1(e.y)}`;
  return d;
}

export function pointOn(segments: Cubic[], t: number): Point & { angle: number } {
  const k = Math.min(segments.length - 1, Math.floor(t * segments.length));
  const [a, b, c, d] = segments[k];
  const u = t * segments.length - k;
  const v = 1 - u;
  const at = (p: "x" | "y") => v * v * v * a[p] + 3 * v * v * u * b[p] + 3 * v * u * u * c[p] + u * u * u * d[p];
  const slope = (p: "x" | "y") => 3 * v * v * (b[p] - a[p]) + 6 * v * u * (c[p] - b[p]) + 3 * u * u * (d[p] - c[p]);
  return { x: at("x"), y: at("y"), angle: (Math.atan2(slope("y"), slope("x")) * 180) / Math.PI };
}

const CELL = 160;

/** What stands on the canvas, found by its place: asking everything about everything takes too long from a few hundred elements on. */
class Taken {
  private readonly cells = new Map<string, Rect[]>();

  private *keys(r: Rect): Iterable<string> {
    for (let x = Math.floor(r.x / CELL); x <= Math.floor((r.x + r.w) / CELL); x++) for (let y = Math.floor(r.y / CELL); y <= Math.floor((r.y + r.h) / CELL); y++) yield `${x},${y}`;
  }

  push(r: Rect): void { for (const k of this.keys(r)) push(this.cells, k, r); }

  free(r: Rect): boolean {
    for (const k of this.keys(r)) if (this.cells.get(k)?.some((o) => overlaps(r, o))) return false;
    return true;
  }
}

/** All routes of a scene, with labels that avoid nodes and each other. */
export function routesOf(scene: Scene, at: Map<string, Point>, geos: Map<string, ElementGeo>, wiring: Wiring, layout: Layout | null, moved: (id: string) => boolean): Map<string, Route> {
  const out = new Map<string, Route>();
  const taken = new Taken();
  for (const [id, geo] of geos) { const p = at.get(id); if (p) taken.push({ x: p.x - 1, y: p.y - 1, w: geo.w + 2, h: geo.h + 2 }); }
  const lanes = new Map<string, number>();
  let frames: Frame[] | null = null;
  for (const e of scene.edges) {
    const a = at.get(e.src);
    const b = at.get(e.dst);
    const ga = geos.get(e.src);
    const gb = geos.get(e.dst);
    if (!a || !b || !ga || !gb) continue;
    const ps = sourcePort(ga, e);
    const pt = targetPort(gb, e);
    const to = { x: b.x + pt.x, y: b.y + pt.y };
    const offset = layout?.chips.get(e.id);
    if (offset) {
      const w = chipWidth(e, wiring);
      const middle = { x: to.x + offset.x, y: to.y + offset.y };
      const chip = { x: middle.x - w / 2, y: middle.y - CHIP_H / 2, w, h: CHIP_H };
      const side: Side = middle.x >= to.x ? "left" : "right";
      const from = { x: side === "left" ? chip.x : chip.x + w, y: middle.y };
      const segments = curve([from, to], side, pt.side);
      out.set(e.id, { edge: e, d: pathOf(segments), segments, from, to, label: null, chip, middle: pointOn(segments, 0.5), long: false });
      taken.push(chip);
      continue;
    }
    const from = { x: a.x + ps.x, y: a.y + ps.y };
    if (e.loop) {
      // round below everything that stands in the loop, back to its start
      const scope = e.dst.slice(0, e.dst.lastIndexOf("/") + 1);
      let bottom = Math.max(a.y + ga.h, b.y + gb.h);
      for (const [id, p] of at) { const g = geos.get(id); if (g && id.startsWith(scope)) bottom = Math.max(bottom, p.y + g.h); }
      frames ??= framesOf(scene, at, geos, wiring);
      for (const f of frames) if (f.name.startsWith(scope)) bottom = Math.max(bottom, f.y + f.h);
      const lane = lanes.get(scope) ?? 0;
      lanes.set(scope, lane + 1);
      const y = bottom + LOOP_ROOM - 8 + lane * LOOP_LANE;
      const away = ps.side === "left" ? -1 : 1;
      const back = pt.side === "left" ? -1 : 1;
      const turn = 16 + 5 * lane;
      const segments: Cubic[] = [
        [from, { x: from.x + away * turn * 1.4, y: from.y }, { x: from.x + away * turn * 1.4, y }, { x: from.x - away * 4, y }],
        [{ x: from.x - away * 4, y }, { x: (from.x + to.x) / 2, y }, { x: (from.x + to.x) / 2, y }, { x: to.x - back * 4, y }],
        [{ x: to.x - back * 4, y }, { x: to.x + back * (10 + 3 * lane), y }, { x: to.x + back * (10 + 3 * lane), y: to.y }, to],
      ];
      out.set(e.id, { edge: e, d: pathOf(segments), segments, from, to, label: null, chip: null, middle: { x: (from.x + to.x) / 2, y, angle: 180 }, long: true });
      taken.push({ x: (from.x + to.x) / 2 - 16, y: y - 9, w: 32, h: 18 });
      continue;
    }
    const via = moved(e.src) || moved(e.dst) ? [] : layout?.via.get(e.id) ?? [];
    const segments = curve([from, ...via, to], ps.side, pt.side);
    const length = Math.hypot(to.x - from.x, to.y - from.y);
    out.set(e.id, { edge: e, d: pathOf(segments), segments, from, to, label: null, chip: null, middle: pointOn(segments, 0.5), long: length > 70 });
  }
  for (const route of out.values()) {
    const text = edgeLabel(route.edge);
    if (route.chip || route.edge.control || route.edge.loop || !text) continue;
    const w = textWidth(text, 10) + 6;
    const box = (x: number, y: number): Rect => ({ x: x - w / 2, y: y - 6.5, w, h: 13 });
    const { from, to, segments } = route;
    const last = segments[segments.length - 1];
    const choices: Point[] = [];
    const vertical = Math.abs(last[3].x - last[2].x) < Math.abs(last[3].y - last[2].y);
    if (vertical) {
      choices.push({ x: to.x - w / 2 - 4, y: (last[0].y + to.y) / 2 }, { x: to.x + w / 2 + 14, y: (last[0].y + to.y) / 2 + 2 });
    } else {
      const back = to.x > last[2].x ? -1 : 1;
      const tight = Math.abs(to.x - from.x) < w + 26;
      const x = tight ? (from.x + to.x) / 2 : to.x + back * (w / 2 + 9);
      choices.push({ x, y: to.y - 9 }, { x, y: to.y + 9 }, { x: (from.x + to.x) / 2, y: to.y - 9 });
    }
    for (const t of [0.5, 0.4, 0.6, 0.3, 0.7, 0.8, 0.2, 0.9, 0.1]) {
      const p = pointOn(segments, t);
      choices.push({ x: p.x, y: p.y }, { x: p.x, y: p.y - 9 }, { x: p.x, y: p.y + 9 });
    }
    const best = choices.find((c) => taken.free(box(c.x, c.y))) ?? choices[0];
    route.label = { x: r1(best.x), y: r1(best.y), w, text };
    taken.push(box(best.x, best.y));
  }
  return out;
}

/** Where a waiting token or a badge stands: just before the target's port. */
export function nearTarget(route: Route, back: number): Point {
  const last = route.segments[route.segments.length - 1];
  const p = pointOn([last], 0.999);
  const a = (p.angle * Math.PI) / 180;
  return { x: route.to.x - Math.cos(a) * back, y: route.to.y - Math.sin(a) * back };
}
