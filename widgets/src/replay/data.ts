// What a replay's file holds, as flowlab/widgets/replay.py writes it.
import type { BookmarkSpec, Clock, CompositeSpec, FrameSpec, LSTMData, NoteSpec, Palette, RunState, SceneNode, SceneScope, Stats, ToPage } from "../protocol.gen";

export type Phase = SceneNode["phase"];
export type State = RunState["states"][string];

/** One value: its dtype, its shape, where its numbers begin; null where only a picture of it was kept. */
export type Held = readonly [dtype: string, shape: number[], at: number | null, picture?: Picture];
export type Picture = {
  picture: { lo: number; hi: number; map: "seq" | "div"; rows: number; cols: number; sampled: boolean; slice: string; stats: Stats };
  at: number;
  thumb: { rows: number; cols: number; lo: number; hi: number; map: "seq" | "div"; value: string | null; uniform: boolean; nan: number; inf: number };
  small: number;
};

/** A scope as it is drawn when it is folded; its wires are found by the page. */
export type Scope = SceneScope & { kind: string | null; named?: { inputs: string[]; outputs: Record<string, string>; taken: Record<string, string> } };
export type Wire = readonly [src: string, output: number, dst: string, port: string | null, loop: boolean];

export type Scenery = {
  title: string; nodes: SceneNode[]; scopes: Record<string, Scope>; wires: Wire[]; types: Record<string, [text: string, dtype: string, shape: (number | string | null)[]]>;
  folded: string[]; loops: Record<string, ["loop" | "branch", string, string[], string[]]>;
  composites: CompositeSpec[]; notes: NoteSpec[]; frames: FrameSpec[]; storyboard: BookmarkSpec[]; folds: (string[] | null)[]; most: number; character: string[]; joins: Record<string, string[]>;
  palette: Palette; code: { text: string; lines: Record<string, number[]>; note: string };
};

/** What a firing has changed: states, nodes that count, timesteps, values; then what is next, and how much is ready. */
export type Step = { s: Record<string, State>; p?: string[]; t?: Record<string, string>; v?: Record<string, Held | null>; n: string | null; r: number };
export type Firing = readonly [node: string, top: string, phase: Phase, frame: (string | number)[], seconds: number, bytes: number, level: number];
export type Told = readonly [tensor: string, index: number[], english: [string, string[]], chinese: [string, string[]]];

export type Run = {
  name: string; complete: boolean; fetches: string[]; steps: Step[]; explained: Record<string, Told[]> | null; events: Firing[]; places: string[];
  tensors: Record<string, { lo: number | null; hi: number | null; source: boolean; formula: string; doc: string; gradient?: string | null }>;
  level: number[]; scope: number[]; timestep: number[]; clock: Pick<Clock, "lanes" | "start" | "took" | "lane" | "came">; overridden: string[];
};

/** A message with its buffers: where each begins, and how many numbers it has. */
export type Kept = readonly [message: ToPage, buffers: [number, number][]];
export type Layers = { samples: number; kept: number; layer: number; steps: number; units: number; pages: Record<string, readonly [LSTMData, [number, number][]]>; more: Record<string, Kept> };

export type Content = { version: number; title: string; language: string; scene: Scenery; run: Run; lstm: Layers | null };

/** The file's content, and the bytes that its numbers lie in. */
export async function unpacked(text: string): Promise<{ content: Content; bytes: ArrayBuffer; from: number }> {
  const packed = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const bytes = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const content: Content = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
  const { scene, run } = content;
  for (const key of ["scopes", "types", "loops", "joins"] as const) bare(scene[key]);
  for (const { named } of Object.values(scene.scopes)) if (named) [named.outputs, named.taken].forEach(bare);
  bare(scene.code.lines);
  bare(run.tensors);
  for (const step of run.steps) [step.s, step.t, step.v].forEach(bare);
  return { content, bytes, from: 8 + length };
}

/** An object of names alone: it inherits nothing, so that none is there but what is put there, whether it is called constructor or __proto__. */
export function bare<T extends object | undefined>(names: T): T { return names && Object.setPrototypeOf(names, null); }
