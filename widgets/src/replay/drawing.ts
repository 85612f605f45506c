// What the canvas draws of a recorded graph as its scopes are folded: what flowlab/widgets/scene.py does, in the page.
import type { Hit, OpenScope, Scene, SceneEdge, SceneNode, SceneScope, ScopePort } from "../protocol.gen";
import type { Scenery, Scope } from "./data";

const FOUND = 60;
const CROWD = 200;      // side by side in one scope: with more than that, repeats of one scope are drawn as one stack
const REPEATS = 4;      // as many in a row make a stack
const STRETCHED = 500;  // with still more than that, stretches of what stands side by side are

/** What is drawn as one for want of room: a scope that is repeated, or a stretch of what stands side by side. */
export type Stack = { name: string; members: string[]; repeats: boolean };

export type Drawing = {
  /** The element that stands for each node. */
  owner: Map<string, string>;
  nodes: string[];
  /** Folded scopes and stacks, with the nodes inside. */
  scopes: Map<string, string[]>;
  /** A number for each folded scope that is not the only one of its kind, the same for all of one kind. */
  alike: Map<string, number>;
  opened: Map<string, string[]>;
  /** Those of `scopes` that are stacks. */
  stacks: Map<string, Stack>;
  edges: SceneEdge[];
  tensors: Set<string>;
};

const above = (name: string): string[] => name.split("/").slice(0, -1).map((_, k, parts) => parts.slice(0, k + 1).join("/"));
const lastOf = (name: string): string => name.slice(name.lastIndexOf("/") + 1);
const scopeOf = (name: string): string => name.slice(0, Math.max(0, name.lastIndexOf("/")));

function add(to: Map<string, string[]>, key: string, name: string): void {
  const there = to.get(key);
  if (there) there.push(name);
  else to.set(key, [name]);
}

export class Drawings {
  readonly nodes: ReadonlyMap<string, SceneNode>;
  readonly inside = new Map<string, string[]>();
  private readonly places = new Map<string, [number, number]>();
  private readonly numbers = new Map<string, number>();     // a kind keeps its number, and so its colour

  constructor(readonly scenery: Scenery) {
    this.nodes = new Map(scenery.nodes.map((n) => [n.name, n]));
    for (const name of this.nodes.keys()) for (const scope of above(name)) add(this.inside, scope, name);
  }

  get scopeNames(): string[] { return Object.keys(this.scenery.scopes); }

  move(name: string, at: [number, number]): void { this.places.set(name, at); }

  /** Nothing in `spread` is drawn as part of a stack. */
  drawn(folded: ReadonlySet<string>, spread: ReadonlySet<string>): Drawing {
    const owner = new Map<string, string>();
    const frames = new Map<string, string[]>();
    const scopes = new Map<string, string[]>();
    const opened = new Map<string, Set<string>>();
    const hiding = new Set<string>();
    for (const name of this.nodes.keys()) {
      const around = above(name);
      const hidden = around.find((s) => folded.has(s));
      if (hidden !== undefined) hiding.add(hidden);
      owner.set(name, hidden ?? name);
      frames.set(name, hidden === undefined ? around : around.slice(0, around.indexOf(hidden)));
    }
    const alike = this.alike(hiding);
    const stacks = this.stacks(owner, hiding, alike, spread);
    const stackOf = new Map([...stacks.values()].flatMap((s) => s.members.map((m): [string, string] => [m, s.name])));
    for (const [name, alone] of owner) {
      const element = stackOf.get(alone) ?? alone;
      owner.set(name, element);
      if (element !== name) add(scopes, element, name);
    }
    for (const s of stacks.values()) if (s.repeats) alike.set(s.name, alike.get(s.members[0])!);
    for (const [name, element] of owner) for (const frame of frames.get(name)!) (opened.get(frame) ?? opened.set(frame, new Set()).get(frame)!).add(element);
    const nodes = [...owner].flatMap(([name, element]) => (name === element ? [name] : []));
    const edges = this.edges(owner, scopes);
    const tensors = new Set([...edges.flatMap((e) => (e.tensor === null ? [] : [e.tensor])), ...nodes.map((n) => `${n}:0`)]);
    return { owner, nodes, scopes, alike, stacks, opened: new Map([...opened].map(([k, v]) => [k, [...v]])), edges, tensors };
  }

  private alike(scopes: Iterable<string>): Map<string, number> {
    const kinds = new Map<string, string[]>();
    for (const scope of scopes) {
      const { kind } = this.scenery.scopes[scope];
      if (kind !== null) add(kinds, kind, scope);
    }
    const out = new Map<string, number>();
    for (const [kind, same] of kinds) {
      if (same.length < 2) continue;
      if (!this.numbers.has(kind)) this.numbers.set(kind, this.numbers.size + 1);
      for (const scope of same) out.set(scope, this.numbers.get(kind)!);
    }
    return out;
  }

  /** What is drawn as one where too much stands side by side: repeats of a scope first, then stretches of whatever it is. */
  private stacks(owner: ReadonlyMap<string, string>, hiding: ReadonlySet<string>, alike: ReadonlyMap<string, number>, spread: ReadonlySet<string>): Map<string, Stack> {
    const stacks = new Map<string, Stack>();
    if (this.nodes.size <= CROWD) return stacks;
    const beside = new Map<string, Set<string>>();      // scope → what stands in it side by side, drawn or opened
    for (let element of new Set(owner.values())) {
      for (;;) {
        const parent = scopeOf(element);
        const row = beside.get(parent) ?? beside.set(parent, new Set()).get(parent)!;
        if (row.has(element)) break;
        row.add(element);
        if (parent === "") break;
        element = parent;
      }
    }
    const put = (members: string[], repeats: boolean) => { const name = this.stackName(members); stacks.set(name, { name, members, repeats }); };
    for (const row of beside.values()) {
      if (row.size <= CROWD) continue;
      const rest: string[][] = [];      // one element, or those of a stack
      const kindOf = (e: string) => (hiding.has(e) && !spread.has(e) && !this.scenery.scopes[e].named ? alike.get(e) ?? 0 : 0);
      const all = [...row];
      for (let k = 0; k < all.length;) {
        const kind = kindOf(all[k]);
        let end = k + 1;
        while (end < all.length && kindOf(all[end]) === kind) end++;
        const members = all.slice(k, end);
        if (kind && members.length >= REPEATS) { put(members, true); rest.push(members); } else rest.push(...members.map((m) => [m]));
        k = end;
      }
      if (rest.length <= STRETCHED) continue;
      const size = Math.min(Math.max(Math.ceil(rest.length / 100), 100), 400);
      for (let k = 0; k < rest.length; k += size) {
        const parts = rest.slice(k, k + size);
        const members = parts.flat();
        // one that a part of is looked at stays open
        if (members.length < 2 || members.some((m) => spread.has(m) || (!hiding.has(m) && !this.nodes.has(m)))) continue;
        for (const part of parts) if (part.length > 1) stacks.delete(this.stackName(part));
        put(members, false);
      }
    }
    return stacks;
  }

  private stackName(members: string[]): string {
    let name = `${members[0]}…${lastOf(members[members.length - 1])}`;
    while (this.nodes.has(name)) name += "…";
    return name;
  }

  /** The category that gives these nodes their character. */
  private character(nodes: SceneNode[]): string {
    const found = new Set(nodes.filter((n) => n.op !== "State" && n.op !== "Timestep").map((n) => n.category));
    return this.scenery.character.find((c) => found.has(c)) ?? "unknown";
  }

  private typeOf(tensor: string | null): { shape: string | null; dtype: string | null } {
    const type = tensor === null ? undefined : this.scenery.types[tensor];
    return { shape: type?.[0] ?? null, dtype: type?.[1] ?? null };
  }

  private edges(owner: ReadonlyMap<string, string>, scopes: ReadonlyMap<string, string[]>): SceneEdge[] {
    const merged = new Map<string, SceneEdge>();
    const ranks = new Map<string, number>();
    const phase = (name: string) => this.nodes.get(name)!.phase;
    for (const [from, output, to, port, loop] of this.scenery.wires) {
      const [src, dst] = [owner.get(from)!, owner.get(to)!];
      if (src === dst && (scopes.has(src) || !loop)) continue;
      const control = port === null;
      const tensor = control ? null : `${from}:${output}`;
      const id = control ? `^${from}->${to}` : `${from}:${output}->${to}:${port}`;
      let [srcPort, dstPort] = [String(output), port ?? "^"];
      const named = (scope: string) => (scopes.has(scope) ? this.scenery.scopes[scope]?.named : undefined);
      const [out, into] = control ? [undefined, undefined] : [named(src), named(dst)];
      let key: string;
      if (out || into) {
        const given = out && Object.entries(out.outputs).find(([, t]) => t === tensor)?.[0];
        srcPort = out ? given ?? tensor! : scopes.has(src) ? tensor! : srcPort;
        dstPort = into ? into.taken[`${to}:${port}`] ?? into.taken[tensor!] ?? tensor! : scopes.has(dst) ? tensor! : dstPort;
        key = JSON.stringify([src, srcPort, dst, dstPort]);
      } else if (scopes.has(src) && scopes.has(dst)) {
        key = JSON.stringify([src, dst]);
        srcPort = dstPort = tensor ?? `^${from}`;
      } else if (scopes.has(dst)) {
        dstPort = tensor ?? `^${from}`;
        key = JSON.stringify([src, dstPort, dst]);
      } else if (scopes.has(src)) {
        srcPort = tensor ?? `^${from}`;
        key = JSON.stringify(control ? [src, "^", dst] : [id]);
      } else key = JSON.stringify([id]);
      // how little a wire out of a folded scope says about it: results before parameters, on the way forward before back, control last
      const rank = !scopes.has(src) ? 0 : control ? 3 : this.nodes.get(from)!.source !== null ? 2 : Number(phase(from) !== phase(to));
      const first = merged.get(key);
      if (first !== undefined) {
        const better = rank < ranks.get(key)!;
        if (better) ranks.set(key, rank);
        merged.set(key, { ...first, merged: first.merged + 1, ...(better ? { id, tensor, control, src_port: srcPort, dst_port: dstPort, phase: phase(to), ...this.typeOf(tensor) } : {}) });
        continue;
      }
      ranks.set(key, rank);
      merged.set(key, { id, src, src_port: srcPort, dst, dst_port: dstPort, tensor, ...this.typeOf(tensor), phase: phase(to), control, error: null, merged: 1, loop });
    }
    return [...merged].sort(([a], [b]) => ranks.get(a)! - ranks.get(b)!).map(([, e]) => e);
  }

  scene(shown: Drawing, revision: number, select: string | null): Scene {
    const place = (name: string) => { const at = this.places.get(name); return at ? { x: at[0], y: at[1] } : {}; };
    const nodes = shown.nodes.map((n) => ({ ...this.nodes.get(n)!, ...place(n) }));
    const scopes = [...shown.scopes.keys()].map((name) => this.scope(name, shown, place));
    const opened = [...shown.opened].map(([name, members]): OpenScope => ({
      name, label: name.slice(name.lastIndexOf("/") + 1), parent: scopeOf(name), members, loop: this.scenery.loops[name]?.[0] ?? null, node: this.scenery.loops[name]?.[1] ?? null,
    }));
    const { title, composites, notes, frames, storyboard } = this.scenery;
    return {
      type: "scene", revision, title, path: null, dirty: false, undo: null, redo: null, total: this.nodes.size, structure: JSON.stringify([shown.nodes, [...shown.scopes.keys()], [...shown.opened.keys()]]),
      nodes, scopes, opened, edges: shown.edges, diagnostics: [], select: select === null ? null : this.elementOf(shown, select), chosen: [], composites, notes, storyboard,
      frames: frames.map((f) => ({ ...f, members: [...new Set(f.members.flatMap((m) => this.standsFor(shown, m)))] })),
    };
  }

  elementOf(shown: Drawing, name: string): string {
    return shown.owner.get(name) ?? [...shown.stacks.values()].find((s) => s.members.includes(name))?.name ?? name;
  }

  private standsFor(shown: Drawing, member: string): string[] {
    if (shown.scopes.has(member)) return [member];
    const element = shown.owner.get(member);
    if (element !== undefined) return [element];
    const open = shown.opened.get(member);
    return open?.length ? open : [...new Set((this.inside.get(member) ?? []).map((n) => shown.owner.get(n)!))].slice(0, 1);
  }

  private scope(name: string, shown: Drawing, place: (name: string) => { x?: number; y?: number }): SceneScope {
    const stack = shown.stacks.get(name);
    const inside = shown.scopes.get(name)!;
    const [entering, leaving] = [new Map<string, SceneEdge>(), new Map<string, SceneEdge>()];
    for (const e of shown.edges) {
      if (e.dst === name) entering.set(e.dst_port, e);
      if (e.src === name) leaving.set(e.src_port, e);
    }
    const made = this.scenery.scopes[name];
    const named = made?.named;
    const inputs = [...new Set([...named?.inputs ?? [], ...entering.keys()])];
    const outputs = [...new Set([...Object.keys(named?.outputs ?? {}), ...leaving.keys()])];
    const told = (port: string) => named?.outputs[port] ?? port;
    const known = (tensor: string) => tensor in this.scenery.types;
    const principal = outputs.map(told).find(known) ?? [...inside].reverse().map((n) => `${n}:0`).find(known) ?? null;
    return {
      ...(stack ? this.stacked(stack, inside) : this.single(made)), alike: shown.alike.get(name) ?? 0, ...place(stack?.members[0] ?? name), inputs, outputs, shape: this.typeOf(principal).shape,
      in_ports: inputs.map((p) => this.port(p, named?.inputs.includes(p) ?? false, entering.get(p)?.tensor ?? null, entering.has(p))),
      out_ports: outputs.map((p) => this.port(p, p in (named?.outputs ?? {}), known(told(p)) ? told(p) : null, leaving.has(p))),
    };
  }

  private single({ kind: _kind, named: _named, ...scope }: Scope): SceneScope { return scope; }

  /** What stands for many for want of room. */
  private stacked({ name, members, repeats }: Stack, inside: string[]): SceneScope {
    const [first, end] = [lastOf(members[0]), lastOf(members[members.length - 1])];
    const stem = first.replace(/[0-9]+$/, "");
    const label = stem && end.startsWith(stem) && /^\d+$/.test(end.slice(stem.length)) ? `${first}…${end.slice(stem.length)}` : lastOf(name);
    const nodes = inside.map((n) => this.nodes.get(n)!);
    const phases = new Set(nodes.map((n) => n.phase));
    const phase = phases.size === 1 ? [...phases][0] : "forward";
    const { x, y } = this.scenery.scopes[members[0]] ?? this.nodes.get(members[0])!;
    return {
      name, label, category: phase === "update" ? "state" : this.character(nodes), phase, count: members.length, stack: repeats ? "repeats" : "stretch", alike: 0, inputs: [], outputs: [], in_ports: [], out_ports: [],
      composite: null, shape: null, x, y, error: null,
    };
  }

  private port(port: string, named: boolean, tensor: string | null, wired: boolean): ScopePort {
    return { port, label: named ? port : "", wired, tensor, ...this.typeOf(tensor) };
  }

  /** What is called so comes first, then what begins so, what has it in its name, and what is of such an operation. */
  find(text: string, shown: Drawing): { hits: Hit[]; total: number } {
    const query = text.trim().toLowerCase();
    const found: { rank: number; name: string }[] = [];
    const rows = [...[...this.nodes.values()].map((n): [string, string] => [n.name, n.op]), ...this.scopeNames.map((s): [string, string] => [s, "scope"])];
    for (const [name, op] of query ? rows : []) {
      const low = name.toLowerCase();
      const tail = low.slice(low.lastIndexOf("/") + 1);
      if (low.includes(query)) found.push({ rank: tail === query || low === query ? 0 : tail.startsWith(query) ? 1 : 2, name });
      else if (op.toLowerCase().includes(query)) found.push({ rank: 3, name });
    }
    found.sort((a, b) => a.rank - b.rank);
    return { hits: found.slice(0, FOUND).map((f) => this.hit(f.name, shown)), total: found.length };
  }

  private hit(name: string, shown: Drawing): Hit {
    const node = this.nodes.get(name);
    if (!node) {
      const inside = this.inside.get(name)!;
      const drawn = shown.scopes.has(name) ? name : inside.map((n) => shown.owner.get(n)!).find((e) => shown.scopes.has(e) && !e.startsWith(`${name}/`)) ?? null;
      return { name, op: "scope", category: this.scenery.scopes[name].category, note: inside.length === 1 ? "1 node" : `${inside.length} nodes`, drawn };
    }
    return { name, op: node.op, category: node.phase === "backward" ? "gradient" : node.category, note: this.typeOf(`${name}:0`).shape ?? "", drawn: shown.owner.get(name)! };
  }
}
