import { expect, test } from "vitest";
import type { RunState, Scene } from "../protocol.gen";
import { unpacked } from "./data";
import { RecordedLab } from "./lab";
import type { Say } from "./model";
import { Numbers } from "./numbers";

const [A, B, C, D] = ["constructor", "toString", "hasOwnProperty/valueOf", "__proto__"];
const names = [A, B, C, D];
const record = <T>(rows: [string, T][]): Record<string, T> => Object.fromEntries(rows);

/** A file in which four nodes have names that every object of JavaScript has: A and B go into C, A and C into D. */
function file(): Promise<string> {
  const scene = {
    title: "names", folded: [], loops: {}, composites: [], notes: [], frames: [], storyboard: [], folds: [], most: 100, character: ["math"], palette: { type: "palette" }, code: { text: "", lines: record(names.map((n) => [n, [1, 1]])), note: "" },
    nodes: names.map((name) => ({ name, op: "Relu", label: name, category: "math", phase: "forward", source: null })), scopes: record([["hasOwnProperty", { name: "hasOwnProperty", kind: null, category: "math" }]]),
    wires: [[A, 0, C, "a", false], [B, 0, C, "b", false], [A, 0, D, "a", false], [C, 0, D, "b", false]], types: record(names.map((n) => [`${n}:0`, ["()", "float32", []]])), joins: record([[C, [A, B]], [D, [A, C]]]),
  };
  const run = {
    name: "run 1", complete: true, fetches: [`${D}:0`], explained: null, overridden: [], places: names, level: [], scope: [], timestep: [], tensors: {}, events: names.map((n) => [n, n, "forward", [], 1e-3, 4, 1]),
    clock: { lanes: ["cpu:0"], start: [], took: [], lane: [], came: [] }, steps: [{ s: {}, p: names, n: A, r: 1 }, ...names.map((n, k) => ({ s: record([[n, "done"]]), n: names[k + 1] ?? null, r: 1 }))],
  };
  const head = new TextEncoder().encode(JSON.stringify({ version: 1, title: "names", language: "", scene, run, lstm: null }));
  const size = new DataView(new ArrayBuffer(8));
  size.setBigUint64(0, BigInt(head.length), true);
  return new Response(new Blob([size.buffer, head]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer().then((b) => btoa(String.fromCharCode(...new Uint8Array(b))));
}

test("a file plays whatever its nodes are called", async () => {
  const { content, bytes, from } = await unpacked(await file());
  const lab = new RecordedLab(content, new Numbers(bytes, from, content.run.tensors));
  const said: Parameters<Say>[0][] = [];
  const ask = (message: Record<string, unknown>) => {
    said.length = 0;
    expect(lab.answer({ seq: 1, ...message } as never, (m) => said.push(m))).toBe(true);
    return <T extends { type: string }>(type: string) => said.find((m) => m.type === type) as unknown as T;
  };
  const started = ask({ type: "hello" });
  expect(started<Scene>("scene").nodes.map((n) => n.name)).toEqual(names);
  expect(Object.keys(started<RunState>("state").inputs)).toEqual([]);
  const first = ask({ type: "command", name: "step" })<RunState>("state");
  expect([Object.entries(first.states), Object.entries(first.inputs)]).toEqual([[[A, "done"]], [[C, [1, 2]], [D, [1, 2]]]]);
  ask({ type: "debug", name: "heat", text: "time" });
  const last = ask({ type: "command", name: "run" });
  expect(new Set(Object.entries(last<RunState>("state").states).map(([n, s]) => `${n} ${s}`))).toEqual(new Set(names.slice(1).map((n) => `${n} done`)));
  const { heat } = last<{ type: string; heat: { shares: Record<string, number>; labels: Record<string, string> } }>("debugging");
  expect([Object.keys(heat.shares).sort(), heat.labels[D], heat.labels.isPrototypeOf]).toEqual([[...names].sort(), "1 ms", undefined]);
  const folded = ask({ type: "command", name: "fold", scopes: ["hasOwnProperty"] });
  expect(folded<Scene>("scene").scopes.map((s) => s.name)).toEqual(["hasOwnProperty"]);
  expect(Object.entries(folded<RunState>("state").progress)).toEqual([["hasOwnProperty", [1, 1]]]);
  expect(ask({ type: "ask", tensor: `${D}:0` })<{ type: string; dtype: string }>("value").dtype).toBe("float32");
});
