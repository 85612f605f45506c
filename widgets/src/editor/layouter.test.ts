import { afterEach, expect, test, vi } from "vitest";
import type { Scene, SceneNode } from "../protocol.gen";
import { layoutOf } from "./layout";
import { Layouter } from "./layouter";

const large: Scene = {
  type: "scene", revision: 1, title: "t", path: null, dirty: false, undo: null, redo: null, total: 300, structure: "s", scopes: [], opened: [], diagnostics: [], select: null, chosen: [], composites: [], notes: [], frames: [], storyboard: [],
  nodes: Array.from({ length: 300 }, (_, k): SceneNode => ({
    name: `n${k}`, op: "Op", label: `n${k}`, category: "math", phase: "forward", source: null, scope: "", gradient_of: null, fetch: false, inputs: k ? [{ port: "a", wired: true, optional: false, error: null, back: false }] : [],
    outputs: [{ index: 0, name: "out", tensor: `n${k}:0`, shape: "(3,)", dtype: "float32" }], attrs: {}, value: null, value_note: null, bound: null, x: null, y: null, error: null })),
  edges: Array.from({ length: 299 }, (_, k) => ({
    id: `n${k >> 1}:0->n${k + 1}:a`, src: `n${k >> 1}`, src_port: "0", dst: `n${k + 1}`, dst_port: "a", tensor: `n${k >> 1}:0`, shape: "(3,)", dtype: "float32", phase: "forward" as const, control: false, error: null, merged: 1, loop: false })),
};

/** A worker as browsers have them: its code runs by itself, and messages are copied. */
class RealCode {
  static started = 0;
  onmessage: ((e: { data: unknown }) => void) | null = null;
  onerror: ((e: { preventDefault(): void }) => void) | null = null;
  private readonly scope: Promise<{ onmessage?: (e: { data: unknown }) => void }>;
  constructor(url: string) {
    RealCode.started++;
    this.scope = fetch(url).then((r) => r.text()).then((code) => {
      const scope: { onmessage?: (e: { data: unknown }) => void } = {};
      const answer = (data: unknown) => this.onmessage?.({ data: structuredClone(data) });
      new Function("self", "postMessage", `with (self) { ${code} }`)(new Proxy(scope, { has: (_, k) => k === "onmessage" }), answer);
      return scope;
    });
  }
  postMessage(data: unknown) { void this.scope.then((s) => s.onmessage?.({ data: structuredClone(data) })); }
  terminate() { /* nothing runs on */ }
}

/** A worker that the page's rules refuse once it is asked for something. */
class Refused {
  onerror: ((e: { preventDefault(): void }) => void) | null = null;
  postMessage() { setTimeout(() => this.onerror?.({ preventDefault: () => undefined }), 0); }
  terminate() { /* it never ran */ }
}

afterEach(() => vi.unstubAllGlobals());

test("the worker's layout is the page's own", async () => {
  vi.stubGlobal("Worker", RealCode);
  vi.stubGlobal("URL", Object.assign(URL, { revokeObjectURL: () => undefined }));
  expect(Layouter.large(large)).toBe(true);
  const got = await new Layouter().layout(large);
  expect(RealCode.started).toBe(1);
  expect(got).toEqual(layoutOf(large));
});

test("where no worker may be made, the page lays out itself", async () => {
  vi.stubGlobal("Worker", class { constructor() { throw new Error("refused by the page's rules"); } });
  expect(await new Layouter().layout(large)).toEqual(layoutOf(large));
});

test("a worker that is refused afterwards leaves nobody waiting", async () => {
  vi.stubGlobal("Worker", Refused);
  const layouter = new Layouter();
  const both = await Promise.all([layouter.layout(large), layouter.layout(large)]);
  expect(both).toEqual([layoutOf(large), layoutOf(large)]);
  expect(await layouter.layout(large)).toEqual(layoutOf(large));
});

test("a scene that cannot be laid out is told of, and holds up no other", async () => {
  vi.stubGlobal("Worker", Refused);
  const layouter = new Layouter();
  const [broken, sound] = await Promise.allSettled([layouter.layout({ ...large, nodes: null as never }), layouter.layout(large)]);
  expect([broken.status, sound.status]).toEqual(["rejected", "fulfilled"]);
});
