// How large every drawn element is and where its ports sit: a pure function of the scene, shared by the layout, the canvas and the picture.
import type { Scene, SceneEdge, SceneNode, SceneScope } from "../protocol.gen";

export type Side = "left" | "right" | "top" | "bottom";
export type Point = { x: number; y: number };
export type Rect = { x: number; y: number; w: number; h: number };

/** A port, relative to its element's corner. */
export type PortGeo = { key: string; x: number; y: number; side: Side; label: string; index: number };

export type Kind = "card" | "compact" | "drop" | "flat" | "stack";

export type ElementGeo = {
  id: string;
  kind: Kind;
  w: number;
  h: number;
  /** Inputs on the right, outputs on the left: the way back. */
  mirrored: boolean;
  /** Height of the part between header and footer. */
  body: number;
  /** Room for the ports' names on the left and right of the value. */
  pad: [number, number];
  ports: PortGeo[];
  byKey: Map<string, PortGeo>;
};

export const NODE_W = 114;
export const NODE_H = 92;
export const HEADER = 24;
export const FOOTER = 19;
export const COMPACT_H = 48;
export const DROP_H = 54;
export const FLAT_H = 40;
const LABEL_ROOM = 14;
const PITCH = 24;   // what a finger can hit: targets of 24 px must not overlap

export const inKey = (port: string): string => `in:${port}`;
export const outKey = (index: number | string): string => `out:${index}`;

/** Text widths without a browser, a little generous: the system's interface font, per em. */
export function textWidth(text: string, size: number, bold = false): number {
  let em = 0;
  for (const c of text) {
    const code = c.codePointAt(0) ?? 0;
    if (code > 0x2e80) em += 1;
    else if ("ijlI.,:;'|!".includes(c)) em += 0.28;
    else if ("ftr()[]/ -".includes(c)) em += 0.38;
    else if ("mwMW".includes(c)) em += 0.86;
    else if (c >= "A" && c <= "Z") em += 0.66;
    else em += 0.57;
  }
  // wide enough for the wider system fonts too
  return em * size * (bold ? 1.17 : 1.06);
}

const SHORT_DTYPE: ReadonlyMap<string, string> = new Map([
  ["float16", "f16"], ["float32", "f32"], ["float64", "f64"], ["int8", "i8"], ["int16", "i16"], ["int32", "i32"], ["int64", "i64"],
  ["uint8", "u8"], ["uint16", "u16"], ["uint32", "u32"], ["uint64", "u64"], ["complex64", "c64"], ["complex128", "c128"],
]);

/** f32, i64, bool: the suffix under a node. */
export const shortDtype = (dtype: string | null): string => (dtype === null ? "" : SHORT_DTYPE.get(dtype) ?? dtype);

/** The family of a dtype, which names its colour. */
export function dtypeFamily(dtype: string | null): "float" | "int" | "bool" | "complex" | "string" | "control" {
  if (dtype === null) return "control";
  if (dtype.startsWith("float") || dtype.startsWith("bfloat")) return "float";
  if (dtype.startsWith("int") || dtype.startsWith("uint")) return "int";
  if (dtype.startsWith("complex")) return "complex";
  return dtype === "bool" ? "bool" : "string";
}

/** "MatMul" of "gradients/loss/MatMul". */
export const lastPart = (name: string): string => name.slice(name.lastIndexOf("/") + 1);

/** Control characters as symbols and no reversal of text: a name is data. */
export function visible(text: string): string {
  let out = "";
  for (const c of text) {
    const code = c.codePointAt(0) ?? 0;
    if (code < 32) out += String.fromCodePoint(0x2400 + code);
    else if (code === 127) out += "␡";
    else if ((code >= 0x80 && code < 0xa0) || (code >= 0x200b && code <= 0x200f) || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code === 0xfeff) out += "�";
    else out += c;
  }
  return out;
}

/** What may lie over the canvas, as a selector. */
export const COVERS = ".banner, .offer, .mini:not(.away), .zoom, .watch, .status:not(:empty), .sheet";

/** What the scene's edges say about every element, read once. */
export class Wiring {
  readonly into = new Map<string, SceneEdge[]>();
  readonly outOf = new Map<string, SceneEdge[]>();
  readonly edges = new Map<string, SceneEdge>();
  readonly scopePhase: ReadonlyMap<string, SceneScope["phase"]>;
  private readonly outputs = new Map<string, string>();

  constructor(scene: Scene) {
    this.scopePhase = new Map(scene.scopes.map((s) => [s.name, s.phase]));
    for (const n of scene.nodes) if (n.outputs.length > 1) for (const o of n.outputs) this.outputs.set(o.tensor, `${n.name}:${o.name}`);
    for (const e of scene.edges) {
      this.edges.set(e.id, e);
      push(this.into, e.dst, e);
      push(this.outOf, e.src, e);
    }
  }

  /** Where an edge's value comes from, short: what a reference chip says. */
  origin(e: SceneEdge): string {
    const tensor = e.tensor ?? e.src;
    const name = visible(this.outputs.get(tensor) ?? (tensor.endsWith(":0") ? tensor.slice(0, -2) : tensor));
    return name.length > 22 ? `…${name.slice(-21)}` : name;
  }

  /** The edges on every way to these elements, and on from them. */
  through(names: readonly string[]): ReadonlySet<string> {
    const found = new Set<string>();
    for (const [edges, end] of [[this.into, "src"], [this.outOf, "dst"]] as const) {
      const seen = new Set(names);
      const todo = [...names];
      for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
        for (const e of edges.get(at) ?? []) { found.add(e.id); if (!seen.has(e[end])) { seen.add(e[end]); todo.push(e[end]); } }
      }
    }
    return found;
  }

  /** Is `to` reached from `from` along edges? */
  reaches(from: string, to: string): boolean {
    const seen = new Set([from]);
    const todo = [from];
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      if (at === to) return true;
      // what goes to the next timestep closes no cycle
      for (const e of this.outOf.get(at) ?? []) if (!e.loop && !seen.has(e.dst)) { seen.add(e.dst); todo.push(e.dst); }
    }
    return false;
  }
}

export function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

const RANK = { placeholder: 0, constant: 1, variable: 2 } as const;

/** Sources that drop in from above: of the sources that only this node uses, the one that holds state, if something else comes from the left, or may come. */
export function drops(scene: Scene, wiring: Wiring): Map<string, SceneEdge> {
  const nodes = new Map(scene.nodes.map((n) => [n.name, n]));
  const out = new Map<string, SceneEdge>();
  for (const n of scene.nodes) {
    if (n.source !== null || n.phase !== "forward") continue;
    const into = (wiring.into.get(n.name) ?? []).filter((e) => !e.control);
    if (!into.length || n.inputs.length < 2) continue;
    const rank = (e: SceneEdge): number => {
      const src = nodes.get(e.src);
      if (!src?.source || src.scope !== n.scope) return -1;
      const uses = (wiring.outOf.get(src.name) ?? []).filter((u) => !u.control && bandOf(wiring, nodes, u.dst) === "forward");
      // what comes alone comes from the left, unless it is state: that hangs above from the first wire on
      if (into.length < 2 && src.source !== "variable") return -1;
      return uses.length === 1 ? RANK[src.source] * 100 + n.inputs.findIndex((p) => p.port === e.dst_port) : -1;
    };
    const best = into.reduce((a, e) => (rank(e) > rank(a) ? e : a));
    if (rank(best) >= 0) out.set(best.src, best);
  }
  return out;
}

function bandOf(wiring: Wiring, nodes: Map<string, SceneNode>, id: string): "forward" | "return" {
  const phase = nodes.get(id)?.phase ?? wiring.scopePhase.get(id) ?? "forward";
  return phase === "forward" ? "forward" : "return";
}

/** Sizes and ports of everything drawn. */
export function geometryOf(scene: Scene, wiring = new Wiring(scene)): Map<string, ElementGeo> {
  const out = new Map<string, ElementGeo>();
  const dropped = drops(scene, wiring);
  const topPort = new Map<string, string>();
  for (const e of dropped.values()) topPort.set(e.dst, e.dst_port);
  const nodes = new Map(scene.nodes.map((n) => [n.name, n]));
  for (const n of scene.nodes) out.set(n.name, n.source !== null ? sourceGeo(n, dropped.has(n.name), sourceMirrored(nodes, wiring, n)) : nodeGeo(n, topPort.get(n.name)));
  for (const s of scene.scopes) out.set(s.name, stackGeo(s));
  return out;
}

/** A source that feeds only the way back sits on the way back: its output faces left. */
export function sourceMirrored(nodes: Map<string, SceneNode>, wiring: Wiring, n: SceneNode): boolean {
  const uses = wiring.outOf.get(n.name) ?? [];
  if (n.phase !== "forward") return true;
  return uses.length > 0 && uses.every((e) => bandOf(wiring, nodes, e.dst) === "return");
}

function sourceGeo(n: SceneNode, drop: boolean, mirrored: boolean): ElementGeo {
  const title = textWidth(visible(n.label), 12, true) + 17;
  const sub = textWidth(`${n.outputs[0]?.shape ?? "shape ?"}${n.source === "variable" ? " · v000" : ` ${shortDtype(n.outputs[0]?.dtype ?? null)}`}`, 10);
  const w = Math.min(190, Math.max(NODE_W, Math.ceil(Math.max(title, sub)) + 16 + (n.outputs[0]?.shape === "()" ? 54 : 40)));
  const h = drop ? DROP_H : FLAT_H;
  const side: Side = drop ? "bottom" : mirrored ? "left" : "right";
  const port: PortGeo = { key: outKey(0), index: 0, label: "", side, x: drop ? w / 2 : mirrored ? 0 : w, y: drop ? h : h / 2 };
  return finish({ id: n.name, kind: drop ? "drop" : "flat", w, h, mirrored, body: h, pad: [0, 0], ports: [port], byKey: new Map() });
}

const VIEW_CATEGORIES: ReadonlySet<string> = new Set(["array"]);

function nodeGeo(n: SceneNode, top: string | undefined): ElementGeo {
  const mirrored = n.phase !== "forward";
  const side = n.inputs.filter((p) => p.port !== top);
  const compact = VIEW_CATEGORIES.has(n.category) && n.inputs.length <= 1 && n.outputs.length === 1;
  const inSide: Side = mirrored ? "right" : "left";
  const outSide: Side = mirrored ? "left" : "right";
  const inLabels = Math.max(0, ...side.map((p) => textWidth(visible(p.port), 10)));
  const outLabels = n.outputs.length > 1 ? Math.max(0, ...n.outputs.map((p) => textWidth(visible(p.name), 10))) : 0;
  const thumb = compact ? Math.max(54, textWidth(`${n.outputs[0]?.shape ?? ""} f32`, 10)) : 54;
  const padIn = Math.max(30, Math.min(114, inLabels + 18));
  const padOut = Math.max(30, Math.min(108, outLabels ? outLabels + 14 : 0));
  const title = textWidth(visible(n.label), 11.5, true) + 44;
  const foot = textWidth(`${n.outputs[0]?.shape ?? ""}   ${shortDtype(n.outputs[0]?.dtype ?? null)}`, 10) + 22;
  const w = Math.min(240, Math.max(NODE_W, Math.ceil(Math.max(padIn + thumb + padOut, title, foot))));
  if (compact) {
    const at = 31;
    // the shape stands in the middle, unless the input's name needs that room
    const named = (w - thumb) / 2 < inLabels + LABEL_ROOM ? [inLabels + LABEL_ROOM, 0] : [0, 0];
    const ports = [
      ...n.inputs.map((p, i): PortGeo => p.port === top
        ? { key: inKey(p.port), index: i, label: p.port, side: "top", x: w / 2, y: 0 }
        : { key: inKey(p.port), index: i, label: p.port, side: inSide, x: mirrored ? w : 0, y: at }),
      ...n.outputs.map((p, i): PortGeo => ({ key: outKey(p.index), index: i, label: "", side: outSide, x: mirrored ? 0 : w, y: at })),
    ];
    return finish({ id: n.name, kind: "compact", w, h: COMPACT_H, mirrored, body: COMPACT_H - 22, pad: mirrored ? [named[1], named[0]] : [named[0], named[1]], ports, byKey: new Map() });
  }
  const rows = Math.max(side.length, n.outputs.length, 1);
  const body = Math.max(NODE_H - HEADER - FOOTER, rows * PITCH + 1);
  const middle = HEADER + body / 2 - 2.5;
  const yOf = (i: number, count: number) => middle + (i - (count - 1) / 2) * PITCH;
  const ports: PortGeo[] = [];
  side.forEach((p) => ports.push({
    key: inKey(p.port), index: n.inputs.indexOf(p), label: p.port, side: inSide, x: mirrored ? w : 0, y: yOf(side.indexOf(p), side.length) }));
  if (top !== undefined) {
    const i = n.inputs.findIndex((p) => p.port === top);
    if (i >= 0) ports.push({ key: inKey(top), index: i, label: top, side: "top", x: w / 2, y: 0 });
  }
  ports.sort((a, b) => a.index - b.index);
  n.outputs.forEach((p, i) => ports.push({
    key: outKey(p.index), index: i, label: n.outputs.length > 1 ? p.name : "", side: outSide, x: mirrored ? 0 : w, y: yOf(i, n.outputs.length) }));
  return finish({ id: n.name, kind: "card", w, h: HEADER + body + FOOTER, mirrored, body, pad: mirrored ? [padOut, padIn] : [padIn, padOut], ports, byKey: new Map() });
}

/** The name of a scope's boundary port, short enough to stand inside: the tensor's own part. */
export function boundaryLabel(port: string): string {
  const tail = lastPart(port);
  return tail.length > 10 ? "" : tail;
}

function stackGeo(s: SceneScope): ElementGeo {
  const mirrored = s.phase !== "forward";
  const rows = Math.max(s.inputs.length, s.outputs.length, 1);
  // a scope with many wires keeps a readable height: its ports move closer together
  const pitch = rows > 8 ? Math.max(5, 176 / rows) : PITCH;
  const body = Math.max(NODE_H - HEADER - FOOTER, rows * pitch + 5);
  const title = textWidth(visible(s.label), 11.5, true) + 44;
  const foot = textWidth(`${s.shape ?? ""}   000 / 000`, 10) + 20;
  // the ports of a composite have names, which stand inside
  const room = (ports: { label: string }[]) => Math.max(0, ...ports.map((p) => (p.label ? Math.min(98, textWidth(visible(p.label), 10)) + 14 : 0)));
  const [padIn, padOut] = [room(s.in_ports), room(s.out_ports)];
  const w = Math.min(padIn + padOut ? 260 : 200, Math.max(NODE_W, Math.ceil(Math.max(title, foot, padIn || padOut ? padIn + 58 + padOut : 0))));
  const middle = HEADER + body / 2 - 2.5;
  const yOf = (i: number, count: number) => middle + (i - (count - 1) / 2) * pitch;
  const ports: PortGeo[] = [
    ...s.inputs.map((p, i): PortGeo => ({ key: inKey(p), index: i, label: s.in_ports[i]?.label ?? "", side: mirrored ? "right" : "left", x: mirrored ? w : 0, y: yOf(i, s.inputs.length) })),
    ...s.outputs.map((p, i): PortGeo => ({ key: outKey(p), index: i, label: s.out_ports[i]?.label ?? "", side: mirrored ? "left" : "right", x: mirrored ? 0 : w, y: yOf(i, s.outputs.length) })),
  ];
  return finish({ id: s.name, kind: "stack", w, h: HEADER + body + FOOTER, mirrored, body, pad: mirrored ? [padOut, padIn] : [padIn, padOut], ports, byKey: new Map() });
}

/** Orders the ports of folded scopes by where their wires lead, so that wires cross less. The sizes stay. */
export function sortStackPorts(geos: Map<string, ElementGeo>, at: ReadonlyMap<string, Point>, wiring: Wiring): void {
  for (const geo of geos.values()) {
    if (geo.kind !== "stack") continue;
    for (const dir of ["in", "out"] as const) {
      const ports = geo.ports.filter((p) => p.key.startsWith(`${dir}:`));
      if (ports.length < 2) continue;
      const edges = (dir === "in" ? wiring.into : wiring.outOf).get(geo.id) ?? [];
      const height = (p: PortGeo): number => {
        const ends = edges.filter((e) => (dir === "in" ? inKey(e.dst_port) : outKey(e.src_port)) === p.key).map((e) => {
          const other = dir === "in" ? e.src : e.dst;
          return (at.get(other)?.y ?? 0) + (geos.get(other)?.h ?? 0) / 2;
        });
        return ends.length ? ends.reduce((a, b) => a + b, 0) / ends.length : 0;
      };
      const places = ports.map((p) => p.y).sort((a, b) => a - b);
      const order = ports.map((p, i) => ({ p, i, h: height(p) })).sort((a, b) => a.h - b.h || a.i - b.i);
      order.forEach(({ p }, i) => { p.y = places[i]; });
    }
  }
}

function finish(geo: ElementGeo): ElementGeo {
  // even widths have a whole middle: a parameter above its consumer hangs straight
  const w = 2 * Math.ceil(geo.w / 2);
  for (const p of geo.ports) if (p.x === geo.w) p.x = w; else if (p.x === geo.w / 2) p.x = w / 2;
  geo.w = w;
  for (const p of geo.ports) geo.byKey.set(p.key, p);
  return geo;
}

/** Where an edge leaves: a control edge leaves the middle of the element's edge. */
export function sourcePort(geo: ElementGeo, edge: SceneEdge): PortGeo {
  return geo.byKey.get(outKey(edge.src_port)) ?? { key: "", index: 0, label: "", side: geo.mirrored ? "left" : "right", x: geo.mirrored ? 0 : geo.w, y: geo.h / 2 };
}

export function targetPort(geo: ElementGeo, edge: SceneEdge): PortGeo {
  return geo.byKey.get(inKey(edge.dst_port)) ?? { key: "", index: 0, label: "", side: geo.mirrored ? "right" : "left", x: geo.mirrored ? geo.w : 0, y: geo.h / 2 };
}

/** Why a node does not fit, be it the node or one of the wires into it. */
export const problemOf = (n: SceneNode): string | null => n.error ?? n.inputs.find((p) => p.error !== null)?.error ?? null;

export const overlaps = (a: Rect, b: Rect, gap = 0): boolean =>
  a.x < b.x + b.w + gap && b.x < a.x + a.w + gap && a.y < b.y + b.h + gap && b.y < a.y + a.h + gap;
