// Where everything stands. Forward runs left to right on top; the way back (gradient, update) runs right to left below it. Parameters drop in
// from above. Scopes are laid out one by one and then stand in their parent as one box. The same scene always gives the same picture.
import { graphlib, layout as dagre } from "@dagrejs/dagre";
import type { OpenScope, Scene, SceneEdge } from "../protocol.gen";
import { type ElementGeo, type Point, type Rect, Wiring, drops, geometryOf, overlaps, push, sourceMirrored, targetPort, textWidth } from "./geometry";

export type Frame = Rect & { name: string; label: string; depth: number; loop: OpenScope["loop"] };

export type Layout = {
  at: Map<string, Point>;
  /** Waypoints of edges that pass other columns; only valid while both ends stand where the layout put them. */
  via: Map<string, Point[]>;
  /** Edges drawn as a reference chip beside their target, with the chip's middle relative to the target port. */
  chips: Map<string, Point>;
  /** What the bands are called; none when there is no way back. */
  captions: { x: number; y: number; text: string; phase: "forward" | "backward" | "update" }[];
  /** Where reading starts. */
  start: Point;
};

const GATE_IN = "\u0002in";
const GATE_OUT = "\u0002out";
export const GAP = 33;
const ROW_GAP = 34;
const DROP_GAP = 32;
/** Below a loop's nodes its states go back to the start, each in a lane of its own. */
export const LOOP_ROOM = 26;
export const LOOP_LANE = 16;
const FRAME = { top: 28, side: 16, bottom: 14 };
export const CHIP_H = 19;
const CHIP_GAP = 12;

/** `hug`: stands at its target's side of the column instead of the middle. `lead`: room before its inputs for reference chips. */
type Box = { id: string; w: number; h: number; lead: number; hug?: boolean };
type Link = { from: string; to: string; label: number; id: string; order?: number };
/** A stretch of an edge inside one group; stretches are joined in order, from the source's innermost group to the target's. */
type Stretch = { id: string; order: number; points: Point[] };
type Placed = { at: Map<string, Point>; via: Stretch[]; w: number; h: number; axis: number };

export const edgeLabel = (e: SceneEdge): string => (e.merged > 1 ? `${e.shape ?? ""} ×${e.merged}` : e.shape ?? "");
const labelWidth = (e: SceneEdge): number => (e.control ? 0 : textWidth(edgeLabel(e), 10) + 8);

export const chipWidth = (e: SceneEdge, wiring: Wiring): number => Math.ceil(textWidth(wiring.origin(e), 11) + (e.shape ? textWidth(e.shape, 10) + 6 : 0) + 18);

/** Positions for the whole scene, as if nobody had placed anything. */
export function layoutOf(scene: Scene, wiring = new Wiring(scene), geos = geometryOf(scene, wiring)): Layout {
  const nodes = new Map(scene.nodes.map((n) => [n.name, n]));
  const scopes = new Map(scene.scopes.map((s) => [s.name, s]));
  const dropped = drops(scene, wiring);
  const back = new Set<string>();
  for (const n of scene.nodes) if (n.source !== null ? sourceMirrored(nodes, wiring, n) : n.phase !== "forward") back.add(n.name);
  for (const s of scene.scopes) if (s.phase !== "forward") back.add(s.name);

  // an update of more than a few nodes has a row of its own below the gradient
  const phaseOf = (id: string) => nodes.get(id)?.phase ?? scopes.get(id)?.phase ?? "forward";
  const updating = [...back].filter((id) => phaseOf(id) === "update");
  const third = new Set<string>(updating.length > 3 && back.size > updating.length ? updating : []);
  if (third.size) {
    for (const n of scene.nodes) {
      if (n.source === null || !back.has(n.name)) continue;
      const uses = wiring.outOf.get(n.name) ?? [];
      if (uses.length && uses.every((e) => third.has(e.dst))) third.add(n.name);
    }
  }
  const row = (id: string): 0 | 1 | 2 => (!back.has(id) ? 0 : third.has(id) ? 2 : 1);

  // long reaches become chips: whatever crosses from one band to the other, and a value that many places read
  const chip = new Set<string>();
  for (const e of scene.edges) if (!e.control && !e.loop && e.error === null && row(e.src) !== row(e.dst)) chip.add(e.id);
  for (const n of scene.nodes) {
    const uses = (wiring.outOf.get(n.name) ?? []).filter((e) => !chip.has(e.id) && !e.control && e.error === null);
    if (n.source !== null && uses.length > 3) for (const e of uses.slice(1)) chip.add(e.id);
  }

  // in an update the same few numbers go to every parameter: told beside each use, so that every parameter's steps stand together
  for (const id of third) {
    const uses = (wiring.outOf.get(id) ?? []).filter((e) => !e.control && e.error === null && third.has(e.dst));
    if (uses.length > 3) for (const e of uses) chip.add(e.id);
  }
  const loose = looseControl(scene, wiring);

  const result: Layout = { at: new Map(), via: new Map(), chips: new Map(), captions: [], start: { x: 0, y: 0 } };
  const ids = [...scene.nodes.map((n) => n.name), ...scene.scopes.map((s) => s.name)];
  const captioned = ids.some((id) => row(id) > 0) && ids.some((id) => row(id) === 0);
  const words = ["▶ Forward", third.size || !updating.length ? "◀ Backward" : "◀ Backward and ◆ update", "◆ Update"];
  if (back.size === updating.length) words[1] = "◆ Update";
  let y = 0;
  let right: number | null = null;
  let left = 0;
  for (const k of [0, 1, 2] as const) {
    const members = ids.filter((id) => row(id) === k);
    if (!members.length) continue;
    const placed = band(scene, members, k === 0 ? "LR" : "RL", geos, wiring, dropped, chip, nodes, scopes, Math.max(1100, right ?? 0), loose);
    // the way back starts under the end of the way there; the update starts under the end of the gradient
    const x: number = right === null ? 0 : k === 2 ? left : right - placed.w;
    if (captioned) {
      result.captions.push({ x: k === 0 ? x : Math.max(x, 0), y, text: words[k], phase: (["forward", words[1].startsWith("◀") ? "backward" : "update", "update"] as const)[k] });
      y += k === 0 ? 30 : 40;
    }
    place(result, placed, x, y);
    right ??= placed.w;
    left = x;
    y += placed.h + (captioned ? 34 : 0);
  }
  for (const id of chip) {
    const e = wiring.edges.get(id);
    const geo = e && geos.get(e.dst);
    if (!e || !geo) continue;
    const port = targetPort(geo, e);
    const r = chipRect({ x: 0, y: 0 }, geo, e, wiring);
    result.chips.set(id, { x: r.x + r.w / 2 - port.x, y: 0 });
  }
  return result;
}

/** Control edges of a node that waits for many: they order nothing in the picture, and are drawn faintly. */
export function looseControl(scene: Scene, wiring: Wiring): Set<string> {
  const out = new Set<string>();
  for (const e of scene.edges) {
    if (!e.control) continue;
    const many = (list: SceneEdge[] | undefined) => (list ?? []).filter((x) => x.control).length > 3;
    if (many(wiring.into.get(e.dst)) || many(wiring.outOf.get(e.src))) out.add(e.id);
  }
  return out;
}

/** One band: nested groups, each by dagre. */
function band(
  scene: Scene, members: string[], dir: "LR" | "RL", geos: Map<string, ElementGeo>, wiring: Wiring,
  dropped: Map<string, SceneEdge>, chip: Set<string>, nodes: ReadonlyMap<string, { scope: string }>, scopes: ReadonlyMap<string, { name: string }>, wide: number, loose: ReadonlySet<string>,
): Placed {
  const inside = new Set(members);
  // the way back carries tags instead of frames: its scopes are one per forward node
  const opened = dir === "LR" ? new Map(scene.opened.map((o) => [o.name, o])) : new Map<string, OpenScope>();
  const parentOf = (id: string): string => {
    let scope = nodes.get(id)?.scope ?? (scopes.has(id) ? id.slice(0, Math.max(0, id.lastIndexOf("/"))) : "");
    while (scope !== "" && !opened.has(scope)) scope = scope.slice(0, Math.max(0, scope.lastIndexOf("/")));
    return scope;
  };
  const groupParent = (name: string): string => {
    let scope = opened.get(name)?.parent ?? "";
    while (scope !== "" && !opened.has(scope)) scope = scope.slice(0, Math.max(0, scope.lastIndexOf("/")));
    return scope;
  };
  const children = new Map<string, string[]>();
  const groupOf = new Map<string, string>();
  for (const id of members) {
    if (dropped.has(id)) continue;
    const g = parentOf(id);
    groupOf.set(id, g);
    push(children, g, id);
  }
  // groups that hold something, with their chain of parents
  const groups = new Set<string>();
  for (const start of [...children.keys()]) for (let g = start; g !== "" && !groups.has(g); g = groupParent(g)) groups.add(g);
  const groupKey = (g: string) => `\u0000${g}`;
  for (const g of groups) push(children, groupParent(g), groupKey(g));

  const chain = (id: string): string[] => {
    const out = [];
    for (let g = groupOf.get(id) ?? ""; g !== ""; g = groupParent(g)) out.push(g);
    return out.reverse();
  };
  const links = new Map<string, Link[]>();
  for (const e of scene.edges) {
    if (!inside.has(e.src) || !inside.has(e.dst) || dropped.has(e.src) || chip.has(e.id) || loose.has(e.id) || e.loop || e.src === e.dst) continue;
    const a = chain(e.src);
    const b = chain(e.dst);
    let k = 0;
    while (k < a.length && k < b.length && a[k] === b[k]) k++;
    push(links, k ? a[k - 1] : "", { from: k < a.length ? groupKey(a[k]) : e.src, to: k < b.length ? groupKey(b[k]) : e.dst, label: labelWidth(e), id: e.id });
    // inside the groups that it enters or leaves, the edge runs from the frame's gate and has a lane of its own
    for (let i = k; i < a.length; i++) push(links, a[i], { from: i + 1 < a.length ? groupKey(a[i + 1]) : e.src, to: GATE_OUT, label: 0, id: e.id, order: -1 - i });
    for (let i = k; i < b.length; i++) push(links, b[i], { from: GATE_IN, to: i + 1 < b.length ? groupKey(b[i + 1]) : e.dst, label: labelWidth(e), id: e.id, order: 1 + i });
  }
  const chipped = (id: string): SceneEdge[] => (wiring.into.get(id) ?? []).filter((e) => chip.has(e.id));
  const above = new Map<string, string>();
  for (const [src, e] of dropped) if (inside.has(src)) above.set(e.dst, src);

  const membersOf = (g: string): string[] => (children.get(g) ?? []).flatMap((id) => (id.startsWith("\u0000") ? membersOf(id.slice(1)) : [id]));

  const solve = (g: string): Placed => {
    const boxes: Box[] = [];
    const inner = new Map<string, Placed>();
    for (const id of children.get(g) ?? []) {
      if (id.startsWith("\u0000")) {
        const p = solve(id.slice(1));
        inner.set(id, p);
        // as tall above its axis as below: wires run straight through it, and squeezing takes the empty part away
        boxes.push({ id, lead: 0, w: p.w + 2 * FRAME.side, h: 2 * Math.max(p.axis + FRAME.top, p.h - p.axis + FRAME.bottom) });
      } else {
        const geo = geos.get(id);
        if (!geo) continue;
        const drop = geos.get(above.get(id) ?? "");
        // a chip stands beside its port, at the port's height: a wire from far away takes no row
        const lead = Math.max(0, ...chipped(id).map((e) => chipWidth(e, wiring) + CHIP_GAP));
        boxes.push({ id, lead, w: geo.kind === "stack" ? geo.w + 12 : Math.max(geo.w, drop?.w ?? 0), h: geo.h + (drop ? 2 * (drop.h + DROP_GAP) : 0) + (dir === "RL" && geo.kind !== "flat" ? 12 : 0), hug: geo.kind === "flat" });
      }
    }
    const flat = arrange(boxes, links.get(g) ?? [], dir, wide);
    // boxes → elements
    const at = new Map<string, Point>();
    const rects: Rect[] = [];
    for (const b of boxes) {
      const p = flat.at.get(b.id);
      if (!p) continue;
      if (b.id.startsWith("\u0000")) {
        const inside = inner.get(b.id);
        const own = inside ? { x: p.x, y: Math.round(p.y + b.h / 2 - inside.axis - FRAME.top) } : p;
        rects.push({ ...own, w: b.w, h: inside ? inside.h + FRAME.top + FRAME.bottom : b.h });
        at.set(b.id, own);
        continue;
      }
      const geo = geos.get(b.id);
      if (!geo) continue;
      const own = { x: Math.round(p.x + (b.w - (geo.kind === "stack" ? 12 : 0) - geo.w) / 2), y: Math.round(p.y + (b.h - geo.h) / 2) };
      at.set(b.id, own);
      // the tag of a gradient node and the cards behind a stack take room too
      rects.push({ x: own.x, y: own.y - (dir === "RL" ? 14 : 0), w: geo.w, h: geo.h + (dir === "RL" ? 14 : 0) + (geo.kind === "stack" ? 8 : 0) });
      for (const e of chipped(b.id)) rects.push(chipRect(own, geo, e, wiring));
      const src = above.get(b.id);
      const drop = src ? geos.get(src) : undefined;
      if (src && drop) {
        const d = { x: own.x + Math.round((geo.w - drop.w) / 2), y: own.y - DROP_GAP - drop.h };
        at.set(src, d);
        rects.push({ ...d, w: drop.w, h: drop.h });
      }
    }
    const squeezed = squeeze(rects, flat.via.flatMap((v) => v.points));
    for (const [id, p] of at) at.set(id, { x: p.x, y: squeezed.y(p.y) });
    const via = flat.via.map((v): Stretch => ({ ...v, points: v.points.map((p) => ({ x: p.x, y: squeezed.y(p.y) })) }));
    const left = Math.min(0, ...rects.map((r) => r.x));
    const w = Math.max(0, ...rects.map((r) => r.x + r.w)) - left;
    const round = g === "" ? 0 : scene.edges.filter((e) => e.loop && inside.has(e.dst) && parentOf(e.dst) === g).length;
    const h = squeezed.height + (round ? LOOP_ROOM + (round - 1) * LOOP_LANE : 0);
    // the axis runs through what is wired to the outside, else through the middle
    const gates = new Set<string>();
    if (g !== "") for (const id of children.get(g) ?? []) {
      const members = id.startsWith("\u0000") ? membersOf(id.slice(1)) : [id];
      if (members.some((m) => [...(wiring.into.get(m) ?? []), ...(wiring.outOf.get(m) ?? [])].some((e) => !e.control && !chip.has(e.id) && inside.has(e.src) && inside.has(e.dst) && (!chain(e.src).includes(g) || !chain(e.dst).includes(g))))) gates.add(id);
    }
    const lines = boxes.filter((b) => gates.has(b.id)).map((b) => squeezed.y((flat.at.get(b.id)?.y ?? 0) + b.h / 2)).sort((a, b) => a - b);
    const axis = lines.length ? lines[Math.floor((lines.length - 1) / 2)] : h / 2;
    const out: Placed = { at: new Map(), via, w, h, axis };
    for (const [id, p] of at) out.at.set(id, { x: p.x - left, y: p.y });
    for (const v of via) for (const p of v.points) p.x -= left;
    for (const [key, p] of inner) {
      const o = out.at.get(key);
      if (!o) continue;
      out.at.delete(key);
      for (const [id, q] of p.at) out.at.set(id, { x: o.x + FRAME.side + q.x, y: o.y + FRAME.top + q.y });
      for (const v of p.via) via.push({ ...v, points: v.points.map((q) => ({ x: o.x + FRAME.side + q.x, y: o.y + FRAME.top + q.y })) });
    }
    return out;
  };
  return solve("");
}

/** Each connected part by dagre, then the parts side by side in rows. */
function arrange(boxes: Box[], links: Link[], dir: "LR" | "RL", wide: number): { at: Map<string, Point>; via: Stretch[] } {
  const at = new Map<string, Point>();
  const via: Stretch[] = [];
  if (!boxes.length) return { at, via };
  const known = new Set(boxes.map((b) => b.id));
  const use = links.filter((l) => (known.has(l.from) || l.from === GATE_IN) && (known.has(l.to) || l.to === GATE_OUT) && l.from !== l.to);
  // parts that hang together; a gate joins what it leads to
  const parent = new Map<string, string>();
  const find = (id: string): string => {
    let r = id;
    for (let p = parent.get(r); p !== undefined && p !== r; p = parent.get(r)) r = p;
    return r;
  };
  for (const b of boxes) parent.set(b.id, b.id);
  for (const g of [GATE_IN, GATE_OUT]) parent.set(g, g);
  const wired = new Set<string>();
  for (const l of use) {
    wired.add(l.from);
    wired.add(l.to);
    parent.set(find(l.from), find(l.to));
  }
  const gated = use.some((l) => l.from === GATE_IN || l.to === GATE_OUT);
  const parts = new Map<string, Box[]>();
  for (const b of boxes) push(parts, gated && wired.has(b.id) ? "gated" : wired.has(b.id) ? find(b.id) : `\u0003${b.id}`, b);
  const solved = [...parts].map(([key, part]) => ({ alone: key.startsWith("\u0003"), ...layers(part, use, dir) }));
  // what nothing is wired to yet stands below the rest
  solved.sort((a, b) => Number(a.alone) - Number(b.alone));
  const limit = Math.max(wide, ...solved.map((p) => p.w));
  let x = 0;
  let y = 0;
  let row = 0;
  let alone = false;
  for (const p of solved) {
    if (x > 0 && (x + p.w > limit || p.alone !== alone)) { x = 0; y += row + ROW_GAP; row = 0; }
    alone = p.alone;
    for (const [id, q] of p.at) at.set(id, { x: q.x + x, y: q.y + y });
    for (const v of p.via) via.push({ ...v, points: v.points.map((q) => ({ x: q.x + x, y: q.y + y })) });
    x += p.w + (p.alone ? GAP : 2 * GAP);
    row = Math.max(row, p.h);
  }
  return { at, via };
}

/** How one part comes out: places by the number of the box, waypoints by the number of the link. */
type Structure = { at: Point[]; via: (Point[] | null)[]; w: number; h: number };

/** What has been laid out before, by its structure: of a network's hundred layers all but the first are looked up. */
export const structures = new Map<string, Structure>();
const KEPT = 400;

/** The layout of one part, by its structure: what its boxes are called plays no role. */
function layers(boxes: Box[], links: Link[], dir: "LR" | "RL"): { at: Map<string, Point>; via: Stretch[]; w: number; h: number } {
  const number = new Map(boxes.map((b, i) => [b.id, `b${i}`]));
  const end = (id: string): string | undefined => (id === GATE_IN || id === GATE_OUT ? id : number.get(id));
  const use = links.flatMap((l) => {
    const from = end(l.from);
    const to = end(l.to);
    return from !== undefined && to !== undefined && (number.has(l.from) || number.has(l.to)) ? [{ l, from, to }] : [];
  });
  const key = `${dir};${boxes.map((b) => `${b.w},${b.h},${b.lead}${b.hug ? "h" : ""}`).join("|")};${use.map((u) => `${u.from}>${u.to},${u.l.label}`).join("|")}`;
  let found = structures.get(key);
  if (found) structures.delete(key);      // used last, forgotten last
  else {
    const solved = arrangeLayers(boxes.map((b, i) => ({ ...b, id: `b${i}` })), use.map(({ l, from, to }, k) => ({ from, to, label: l.label, id: String(k) })), dir);
    const via = new Map(solved.via.map((v) => [v.id, v.points]));
    found = { at: boxes.map((_, i) => solved.at.get(`b${i}`) ?? { x: 0, y: 0 }), via: use.map((_, k) => via.get(String(k)) ?? null), w: solved.w, h: solved.h };
  }
  structures.set(key, found);
  for (const old of structures.keys()) {
    if (structures.size <= KEPT) break;
    structures.delete(old);
  }
  const { at, via } = found;
  return {
    at: new Map(boxes.map((b, i) => [b.id, { ...at[i] }])), w: found.w, h: found.h,
    via: use.flatMap(({ l }, k): Stretch[] => { const points = via[k]; return points ? [{ id: l.id, order: l.order ?? 0, points: points.map((p) => ({ ...p })) }] : []; }),
  };
}

/** Layers and order of one part by dagre; then the columns move so that every gap holds its labels. */
function arrangeLayers(boxes: Box[], links: Link[], dir: "LR" | "RL"): { at: Map<string, Point>; via: Stretch[]; w: number; h: number } {
  const at = new Map<string, Point>();
  const via: Stretch[] = [];
  if (boxes.length === 1 && !links.some((l) => l.from === boxes[0].id || l.to === boxes[0].id)) return { at: new Map([[boxes[0].id, { x: dir === "LR" ? boxes[0].lead : 0, y: 0 }]]), via, w: boxes[0].w + boxes[0].lead, h: boxes[0].h };
  const known = new Map(boxes.map((b) => [b.id, b]));
  const gate = (id: string) => id === GATE_IN || id === GATE_OUT;
  const use = links.filter((l) => (known.has(l.from) || gate(l.from)) && (known.has(l.to) || gate(l.to)) && (known.has(l.from) || known.has(l.to)));
  const g = new graphlib.Graph({ multigraph: true });
  g.setGraph({ rankdir: dir, nodesep: ROW_GAP, ranksep: GAP, edgesep: 14, ranker: boxes.length > 250 ? "longest-path" : "network-simplex" });
  g.setDefaultEdgeLabel(() => ({}));
  for (const b of boxes) g.setNode(b.id, { width: b.w + b.lead, height: b.h });
  const enters = new Set<string>();
  const leaves = new Set<string>();
  for (const l of use) {
    if (gate(l.from) || gate(l.to)) g.setNode(gate(l.from) ? l.from : l.to, { width: 0, height: 0 });
    if (!gate(l.from)) leaves.add(l.from);
    if (!gate(l.to)) enters.add(l.to);
  }
  for (const l of use) g.setEdge(l.from, l.to, { weight: gate(l.from) || gate(l.to) ? 1 : 2 }, l.id);
  // the gates stand before the first column and behind the last
  for (const b of boxes) {
    if (g.hasNode(GATE_IN) && !enters.has(b.id)) g.setEdge(GATE_IN, b.id, { weight: 0 }, `\u0004${b.id}`);
    if (g.hasNode(GATE_OUT) && !leaves.has(b.id)) g.setEdge(b.id, GATE_OUT, { weight: 0 }, `\u0005${b.id}`);
  }
  dagre(g);
  // one column per rank: dagre centres a rank's boxes on one x
  const centre = new Map<string, number>(g.nodes().map((id) => [id, g.node(id).x as number]));
  const inner = [...new Set(boxes.map((b) => Math.round((centre.get(b.id) ?? 0) * 2) / 2))].sort((p, q) => p - q);
  const columns = inner;
  const columnOf = (x: number): number => nearest(columns, x);
  // a column is its elements and, on the side of their inputs, the room for their chips
  const core = columns.map(() => 0);
  const lead = columns.map(() => 0);
  for (const b of boxes) {
    const c = columnOf(centre.get(b.id) ?? 0);
    core[c] = Math.max(core[c], b.w);
    lead[c] = Math.max(lead[c], b.lead);
  }
  const width = columns.map((_, c) => core[c] + lead[c]);
  const gap = columns.map(() => GAP);
  let before = 0;
  for (const l of use) {
    const a = gate(l.from) ? -1 : columnOf(centre.get(l.from) ?? 0);
    const b = gate(l.to) ? columns.length : columnOf(centre.get(l.to) ?? 0);
    if (a === b) continue;
    // the label stands in the gap before the target
    const slot = gate(l.to) ? 0 : dir === "LR" ? b : b + 1;
    if (slot > 0 && slot < columns.length) gap[slot] = Math.max(gap[slot], l.label + 10);
    else if (slot === 0 && l.from === GATE_IN) before = Math.max(before, l.label - FRAME.side);
  }
  const fresh: number[] = [];
  let x = Math.max(0, before);
  columns.forEach((_, i) => {
    if (i > 0) x += gap[i];
    fresh.push(x + (dir === "LR" ? lead[i] : 0) + core[i] / 2);
    x += width[i];
  });
  let h = 0;
  for (const b of boxes) {
    const n = g.node(b.id);
    const c = columnOf(n.x as number);
    const side = b.hug ? ((dir === "LR" ? 1 : -1) * (core[c] - b.w)) / 2 : 0;
    const p = { x: Math.round(fresh[c] - b.w / 2 + side), y: Math.round((n.y as number) - b.h / 2) };
    at.set(b.id, p);
    h = Math.max(h, p.y + b.h);
  }
  for (const l of use) {
    const points = (g.edge(l.from, l.to, l.id).points ?? []) as Point[];
    const a = gate(l.from) ? -1 : columnOf(centre.get(l.from) ?? 0);
    const b = gate(l.to) ? columns.length : columnOf(centre.get(l.to) ?? 0);
    if (Math.abs(a - b) < 2) continue;
    // a lane through every column between the two ends, as wide as the column, so that the curve bends in the gaps
    const between = points.slice(1, -1).flatMap((p): { c: number; y: number }[] => {
      const c = columnOf(p.x);
      return c === a || c === b || Math.abs(columns[c] - p.x) > 2 ? [] : [{ c, y: Math.round(p.y) }];
    });
    const out: Point[] = [];
    for (const { c, y } of between) {
      const left = { x: Math.round(fresh[c] - core[c] / 2 - (dir === "LR" ? lead[c] : 0)), y };
      const right = { x: Math.round(fresh[c] + core[c] / 2 + (dir === "LR" ? 0 : lead[c])), y };
      if (dir === "LR") out.push(left, right);
      else out.push(right, left);
    }
    if (out.length) via.push({ id: l.id, order: l.order ?? 0, points: out });
  }
  return { at, via, w: x, h };
}

/** Empty horizontal strips shrink to one gap: rows keep their alignment and the picture its density. */
function squeeze(rects: Rect[], points: Point[]): { y: (y: number) => number; height: number } {
  const spans = [...rects.map((r) => [r.y, r.y + r.h]), ...points.map((p) => [p.y - 8, p.y + 8])].sort((a, b) => a[0] - b[0]);
  if (!spans.length) return { y: (y) => y, height: 0 };
  const cuts: { from: number; by: number }[] = [{ from: -Infinity, by: spans[0][0] }];
  let end = spans[0][1];
  let by = spans[0][0];
  for (const [a, b] of spans) {
    if (a - end > ROW_GAP) {
      by += a - end - ROW_GAP;
      cuts.push({ from: a - 0.5, by });
    }
    end = Math.max(end, b);
  }
  const y = (v: number): number => {
    let shift = cuts[0].by;
    for (const c of cuts) if (v >= c.from) shift = c.by;
    return v - shift;
  };
  return { y, height: Math.max(...rects.map((r) => y(r.y) + r.h), 0) };
}

function nearest(sorted: number[], x: number): number {
  let best = 0;
  for (let i = 1; i < sorted.length; i++) if (Math.abs(sorted[i] - x) < Math.abs(sorted[best] - x)) best = i;
  return best;
}

function place(result: Layout, placed: Placed, dx: number, dy: number): void {
  for (const [id, p] of placed.at) result.at.set(id, { x: p.x + dx, y: p.y + dy });
  for (const v of [...placed.via].sort((a, b) => a.order - b.order)) {
    result.via.set(v.id, [...(result.via.get(v.id) ?? []), ...v.points.map((p) => ({ x: p.x + dx, y: p.y + dy }))]);
  }
}

/** Where a reference chip stands: before its target's port. */
function chipRect(at: Point, geo: ElementGeo, e: SceneEdge, wiring: Wiring): Rect {
  const port = targetPort(geo, e);
  const w = chipWidth(e, wiring);
  const x = at.x + port.x;
  return { x: port.side === "right" ? x + CHIP_GAP : x - CHIP_GAP - w, y: at.y + port.y - CHIP_H / 2, w, h: CHIP_H };
}

/** Frames around opened scopes, from where their members stand now. The way back has none. */
export function framesOf(scene: Scene, at: Map<string, Point>, geos: Map<string, ElementGeo>, wiring: Wiring, chips?: ReadonlyMap<string, Point>): Frame[] {
  const depth = (name: string): number => name.split("/").length;
  const byName = new Map<string, Frame>();
  const loops = scene.edges.filter((e) => e.loop);
  for (const o of [...scene.opened].sort((a, b) => depth(b.name) - depth(a.name))) {
    const rects: Rect[] = [];
    for (const m of o.members) {
      const p = at.get(m);
      const geo = geos.get(m);
      if (p && geo && !geo.mirrored) {
        rects.push({ x: p.x, y: p.y, w: geo.w, h: geo.h });
        for (const e of wiring.into.get(m) ?? []) if (chips?.has(e.id)) rects.push(chipRect(p, geo, e, wiring));
      }
    }
    for (const f of byName.values()) if (f.name.startsWith(`${o.name}/`)) rects.push(f);
    if (!rects.length) continue;
    const round = loops.filter((e) => o.members.includes(e.dst) && e.dst.slice(0, e.dst.lastIndexOf("/")) === o.name).length;
    if (round) rects.push({ x: rects[0].x, y: Math.max(...rects.map((r) => r.y + r.h)), w: 0, h: LOOP_ROOM + (round - 1) * LOOP_LANE });
    const x = Math.min(...rects.map((r) => r.x)) - FRAME.side;
    const y = Math.min(...rects.map((r) => r.y)) - FRAME.top;
    byName.set(o.name, {
      name: o.name, label: o.label, depth: depth(o.name), loop: o.loop, x, y,
      w: Math.max(...rects.map((r) => r.x + r.w)) + FRAME.side - x, h: Math.max(...rects.map((r) => r.y + r.h)) + FRAME.bottom - y,
    });
  }
  return [...byName.values()].sort((a, b) => a.depth - b.depth);
}

/** Moves automatic elements out from under the ones a person placed, downwards. */
export function yieldTo(auto: Map<string, Point>, placed: Map<string, Point>, geos: Map<string, ElementGeo>, notes: Rect[] = []): void {
  const fixed: Rect[] = [...notes];
  for (const [id, p] of placed) { const g = geos.get(id); if (g) fixed.push({ ...p, w: g.w, h: g.h }); }
  if (!fixed.length) return;
  for (const [id, p] of [...auto].sort((a, b) => a[1].y - b[1].y || a[1].x - b[1].x)) {
    const g = geos.get(id);
    if (!g) continue;
    let { y } = p;
    for (let tries = 0; tries < 60; tries++) {
      const hit = fixed.find((f) => overlaps({ x: p.x, y, w: g.w, h: g.h }, f, 12));
      if (!hit) break;
      y = hit.y + hit.h + ROW_GAP;
    }
    auto.set(id, { x: p.x, y });
    fixed.push({ x: p.x, y, w: g.w, h: g.h });
  }
}

/** The nearest free place for a new element of this size, to the right of and below `near`, inside `view` where there is room. */
export function freePlace(rects: Rect[], size: { w: number; h: number }, near: Point, view: Rect | null): Point {
  const free = (x: number, y: number) => !rects.some((r) => overlaps({ x, y, ...size }, r, 26));
  const inView = (x: number, y: number) => !view || (x >= view.x + 8 && y >= view.y + 8 && x + size.w <= view.x + view.w - 8 && y + size.h <= view.y + view.h - 8);
  const candidates: { p: Point; cost: number }[] = [];
  for (let row = -4; row <= 8; row++) {
    for (let column = -8; column <= 14; column++) {
      const p = { x: Math.round(near.x + column * 49), y: Math.round(near.y + row * 42) };
      if (!free(p.x, p.y)) continue;
      const dx = p.x - near.x;
      const dy = p.y - near.y;
      candidates.push({ p, cost: (dx < 0 ? -1.6 * dx : dx) + (dy < 0 ? -2.2 * dy : 1.4 * dy) + (inView(p.x, p.y) ? 0 : 5000) });
    }
  }
  candidates.sort((a, b) => a.cost - b.cost || a.p.y - b.p.y || a.p.x - b.p.x);
  if (candidates.length) return candidates[0].p;
  const right = Math.max(near.x, ...rects.map((r) => r.x + r.w + GAP));
  return { x: right, y: near.y };
}
