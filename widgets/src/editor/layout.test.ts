import { expect, test } from "vitest";
import type { OpenScope, Scene, SceneEdge, SceneNode } from "../protocol.gen";
import { type Rect, Wiring, geometryOf, overlaps } from "./geometry";
import { framesOf, freePlace, layoutOf, structures } from "./layout";

/** A small generator with a seed: the same graphs every time. */
function random(seed: number): () => number {
  let s = seed;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

const node = (name: string, over: Partial<SceneNode> = {}): SceneNode => ({
  name, op: "Op", label: name.slice(name.lastIndexOf("/") + 1), category: "math", phase: "forward", source: null, scope: name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "",
  gradient_of: null, fetch: false, inputs: [], outputs: [{ index: 0, name: "out", tensor: `${name}:0`, shape: "(batch, 3)", dtype: "float32" }],
  attrs: {}, value: null, value_note: null, bound: null, x: null, y: null, error: null, ...over });

const edge = (src: string, dst: string, port: string): SceneEdge => ({
  id: `${src}:0->${dst}:${port}`, src, src_port: "0", dst, dst_port: port, tensor: `${src}:0`, shape: "(batch, 3)", dtype: "float32", phase: "forward", control: false, error: null, merged: 1, loop: false });

const sceneOf = (nodes: SceneNode[], edges: SceneEdge[], opened: OpenScope[] = []): Scene => ({
  type: "scene", revision: 1, title: "t", path: null, dirty: false, undo: null, redo: null, total: nodes.length, structure: "s",
  nodes, scopes: [], opened, edges, diagnostics: [], select: null, chosen: [], composites: [], notes: [], frames: [], storyboard: [] });

function randomScene(seed: number): Scene {
  const r = random(seed);
  const count = 3 + Math.floor(r() * 40);
  const nodes: SceneNode[] = [];
  const edges: SceneEdge[] = [];
  for (let i = 0; i < count; i++) {
    const scope = r() < 0.4 ? ["a", "b", "a/c"][Math.floor(r() * 3)] : "";
    const source = r() < 0.25 ? (["placeholder", "constant", "variable"] as const)[Math.floor(r() * 3)] : null;
    const phase = source === null && r() < 0.35 ? (r() < 0.8 ? "backward" : "update") : "forward";
    const n = node(`${scope ? `${scope}/` : ""}n${i}`, { source, phase });
    if (source === null) {
      const inputs = 1 + Math.floor(r() * 3);
      for (let k = 0; k < inputs; k++) {
        const before = nodes.filter((m) => phase !== "forward" || m.phase === "forward");
        const src = before[Math.floor(r() * before.length)];
        n.inputs.push({ port: "abc"[k], wired: Boolean(src), optional: false, error: null, back: false });
        if (src) edges.push(edge(src.name, n.name, "abc"[k]));
      }
    }
    nodes.push(n);
  }
  const opened = ["a", "b", "a/c"].map((name): OpenScope => ({
    name, label: name.slice(name.lastIndexOf("/") + 1), parent: name.includes("/") ? "a" : "",
    loop: null, node: null,
    members: nodes.filter((n) => n.scope === name || n.scope.startsWith(`${name}/`)).map((n) => n.name) })).filter((o) => o.members.length);
  return sceneOf(nodes, edges, opened);
}

test("no element stands on another, whatever the graph", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const scene = randomScene(seed);
    const geos = geometryOf(scene);
    const { at } = layoutOf(scene);
    const rects = scene.nodes.map((n): Rect & { id: string } => {
      const p = at.get(n.name);
      const g = geos.get(n.name);
      if (!p || !g) throw new Error(`${n.name} has no place`);
      return { id: n.name, ...p, w: g.w, h: g.h };
    });
    for (let i = 0; i < rects.length; i++) {
      for (let j = 0; j < i; j++) expect(overlaps(rects[i], rects[j]), `seed ${seed}: ${rects[i].id} on ${rects[j].id}`).toBe(false);
    }
  }
});

test("the frame of a scope holds its members and nothing else", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const scene = randomScene(seed);
    const geos = geometryOf(scene);
    const { at, chips } = layoutOf(scene);
    for (const f of framesOf(scene, at, geos, new Wiring(scene), chips)) {
      for (const n of scene.nodes) {
        const p = at.get(n.name);
        const g = geos.get(n.name);
        if (!p || !g || g.mirrored) continue;
        const member = n.scope === f.name || n.scope.startsWith(`${f.name}/`);
        expect(overlaps({ ...p, w: g.w, h: g.h }, f), `seed ${seed}: ${n.name} and ${f.name}`).toBe(member);
      }
    }
  }
});

test("the way through an element is all that leads to it and on from it", () => {
  const edge = (src: string, dst: string) => ({ id: `${src} ${dst}`, src, dst }) as SceneEdge;
  const edges = [["a", "b"], ["b", "c"], ["x", "c"], ["c", "d"], ["a", "e"], ["d", "b"]].map(([s, d]) => edge(s, d));
  const wiring = new Wiring({ nodes: [], scopes: [], edges } as unknown as Scene);
  expect([...wiring.through(["x"])].sort()).toEqual(["b c", "c d", "d b", "x c"]);
  expect([...wiring.through(["e"])]).toEqual(["a e"]);
  expect(wiring.through([]).size).toBe(0);
});

test("the same scene always gets the same picture", () => {
  const once = layoutOf(randomScene(7));
  const again = layoutOf(randomScene(7));
  expect([...again.at]).toEqual([...once.at]);
  expect([...again.via]).toEqual([...once.via]);
});

test("forward runs left to right, the gradient right to left and below", () => {
  const back = { phase: "backward", category: "gradient" } as const;
  const nodes = [
    node("x", { source: "placeholder" }), node("a", { inputs: [{ port: "a", wired: true, optional: false, error: null, back: false }] }), node("b", { inputs: [{ port: "a", wired: true, optional: false, error: null, back: false }] }),
    node("gradients/b/g", { ...back, inputs: [{ port: "a", wired: true, optional: false, error: null, back: false }] }), node("gradients/a/g", { ...back, inputs: [{ port: "a", wired: true, optional: false, error: null, back: false }] })];
  const edges = [edge("x", "a", "a"), edge("a", "b", "a"), edge("b", "gradients/b/g", "a"), edge("gradients/b/g", "gradients/a/g", "a")];
  const { at, chips } = layoutOf(sceneOf(nodes, edges));
  const x = (id: string) => at.get(id)?.x ?? NaN;
  const y = (id: string) => at.get(id)?.y ?? NaN;
  expect(x("x")).toBeLessThan(x("a"));
  expect(x("a")).toBeLessThan(x("b"));
  expect(x("gradients/a/g")).toBeLessThan(x("gradients/b/g"));
  expect(y("gradients/b/g")).toBeGreaterThan(y("b"));
  expect(chips.has("b:0->gradients/b/g:a")).toBe(true);
});

test("a parameter drops in from above its consumer", () => {
  const port = (p: string) => ({ port: p, wired: true, optional: false, error: null, back: false });
  const nodes = [node("x", { source: "placeholder" }), node("W", { source: "variable" }), node("MatMul", { inputs: [port("a"), port("b")] })];
  const scene = sceneOf(nodes, [edge("x", "MatMul", "a"), edge("W", "MatMul", "b")]);
  const { at } = layoutOf(scene);
  const geos = geometryOf(scene);
  const middle = (id: string) => (at.get(id)?.x ?? NaN) + (geos.get(id)?.w ?? NaN) / 2;
  expect(middle("W")).toBe(middle("MatMul"));
  expect((at.get("W")?.y ?? 0) + 54).toBeLessThan(at.get("MatMul")?.y ?? 0);
  expect((at.get("x")?.x ?? 0) + 114).toBeLessThan(at.get("MatMul")?.x ?? 0);
});

test("a new element finds a free place", () => {
  const rects: Rect[] = [];
  for (let i = 0; i < 30; i++) {
    const p = freePlace(rects, { w: 114, h: 92 }, { x: 20, y: 20 }, { x: 0, y: 0, w: 900, h: 500 });
    const r = { ...p, w: 114, h: 92 };
    expect(rects.some((o) => overlaps(o, r))).toBe(false);
    rects.push(r);
  }
});

/** A chain of scopes that are the same but for their places, each opened. */
function chain(count: number, name = "block"): Scene {
  const nodes: SceneNode[] = [node("x", { source: "placeholder" })];
  const edges: SceneEdge[] = [];
  const port = (p: string) => ({ port: p, wired: true, optional: false, error: null, back: false });
  let last = "x";
  for (let k = 0; k < count; k++) {
    const scope = `${name}_${k}`;
    nodes.push(node(`${scope}/W`, { source: "variable" }), node(`${scope}/MatMul`, { inputs: [port("a"), port("b")] }), node(`${scope}/Relu`, { inputs: [port("x")] }));
    edges.push(edge(last, `${scope}/MatMul`, "a"), edge(`${scope}/W`, `${scope}/MatMul`, "b"), edge(`${scope}/MatMul`, `${scope}/Relu`, "x"));
    last = `${scope}/Relu`;
  }
  const opened = Array.from({ length: count }, (_, k): OpenScope => ({ name: `${name}_${k}`, label: `${name}_${k}`, parent: "", loop: null, node: null, members: ["W", "MatMul", "Relu"].map((m) => `${name}_${k}/${m}`) }));
  return sceneOf(nodes, edges, opened);
}

test("scopes that are the same are laid out once", () => {
  structures.clear();
  layoutOf(chain(60));
  expect(structures.size).toBe(3);    // the inside of all of them, the last one that leads nowhere, and the row in which they stand
});

test("a layout that is looked up is the one that was worked out, whatever the nodes are called", () => {
  structures.clear();
  const anew = layoutOf(chain(12));
  const again = layoutOf(chain(12));
  expect([...again.at]).toEqual([...anew.at]);
  expect([...again.via]).toEqual([...anew.via]);
  const places = [...anew.at.values()].map((p) => p.y);
  structures.clear();
  expect([...layoutOf(chain(12, "17")).at.values()].map((p) => p.y)).toEqual(places);
  for (let seed = 1; seed <= 20; seed++) {
    const first = layoutOf(randomScene(seed));
    structures.clear();
    expect([...layoutOf(randomScene(seed)).at]).toEqual([...first.at]);
  }
});
