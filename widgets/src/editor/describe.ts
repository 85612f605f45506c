// What a drawn thing is, in words: for those who hear the canvas instead of seeing it.
import type { SceneEdge, SceneNode, SceneScope } from "../protocol.gen";
import { t, tn, told } from "../shared/words";
import { problemOf, visible } from "./geometry";

const STATES = { idle: "waiting", ready: "ready", running: "running", done: "done", error: "error" } as const;
export type NodeState = keyof typeof STATES;

const joined = (parts: (string | null | false | undefined)[]): string => parts.filter(Boolean).join(", ");

/** "2 inputs, 1 open, output (batch, 10) float32, ready" */
export function aboutNode(node: SceneNode, state: NodeState, value: string | null = null): string {
  const out = node.outputs[0];
  const open = node.inputs.filter((p) => !p.wired && !p.optional).length;
  const problem = problemOf(node);
  const hungry = node.source === "placeholder" && node.value === null && node.value_note === null && node.bound === null;
  return joined([
    node.op !== node.label && node.op,
    node.inputs.length > 0 && tn(node.inputs.length, "{n} input", "{n} inputs"), open > 0 && t("{n} open", { n: open }),
    out?.shape && t(node.outputs.length > 1 ? "{n} outputs, the first {shape} {dtype}" : "output {shape} {dtype}", { n: node.outputs.length, shape: out.shape, dtype: out.dtype ?? "" }).trim(),
    hungry && t("no value fed"), value !== null && t("value {value}", { value }),
    problem !== null ? t("does not fit: {why}", { why: visible(told(problem)) }) : node.source === null && t(STATES[state]),
    node.fetch && t("asked for"),
  ]);
}

/** "MatMul, 2 inputs, 1 open, output (batch, 10) float32, ready" */
export const wordsOfNode = (node: SceneNode, state: NodeState, value: string | null = null): string => joined([visible(node.name), aboutNode(node, state, value)]);

/** "composite, folded, 4 nodes, 3 inputs, 1 open, waiting" */
export function aboutScope(scope: SceneScope, state: NodeState): string {
  const named = scope.in_ports.filter((p) => p.label !== "");
  const open = named.filter((p) => !p.wired).length;
  return joined([
    scope.stack !== null ? t("stack") : scope.composite !== null ? t("composite") : t("scope"), t("folded"), insideOf(scope),
    named.length > 0 && tn(named.length, "{n} input", "{n} inputs"), open > 0 && t("{n} open", { n: open }), scope.shape, scope.error !== null ? t("does not fit: {why}", { why: visible(told(scope.error)) }) : t(STATES[state]),
  ]);
}

/** "block, composite, folded, 4 nodes, 3 inputs, 1 open, waiting" */
export const wordsOfScope = (scope: SceneScope, state: NodeState): string => joined([visible(scope.name), aboutScope(scope, state)]);

/** "Wire from x to MatMul, input a, (batch, 3) float32" */
export function wordsOfEdge(edge: SceneEdge): string {
  if (edge.control) return t("Control edge: {dst} fires after {src}", { dst: visible(edge.dst), src: visible(edge.src) });
  return joined([
    t("Wire from {src} to {dst}", { src: visible(edge.tensor?.replace(/:0$/, "") ?? edge.src), dst: visible(edge.dst) }), edge.loop ? t("for the next timestep") : edge.dst_port && t("input {port}", { port: visible(edge.dst_port) }),
    edge.shape && `${edge.shape} ${edge.dtype ?? ""}`.trim(), edge.error !== null && t("does not fit: {why}", { why: visible(told(edge.error)) }),
  ]);
}

/** What a folded scope or a stack stands for, in words. */
export const insideOf = (scope: SceneScope): string => scope.stack === "repeats" ? tn(scope.count, "{n} scope", "{n} scopes alike") : scope.stack === "stretch" ? tn(scope.count, "{n} element", "{n} elements") : tn(scope.count, "{n} node", "{n} nodes");
