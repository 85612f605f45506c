// Finding operations: by function, type, other words, Chinese, and the letters in order.
import type { Fits, Hit as Found, OpSpec, Scene } from "../protocol.gen";
import { TRADITIONAL } from "../shared/words";

export type Hit = { op: OpSpec; from: number; to: number; fits: boolean; why: string; gives: string };

const fold = (s: string): string => s.toLowerCase().replace(/[\s_\-]+/g, "");

/** How well a query meets a word: the smaller the better; Infinity when it does not. */
function meets(query: string, word: string): number {
  if (!query) return 0;
  const w = fold(word);
  if (w === query) return 0;
  if (w.startsWith(query)) return 1 + w.length / 100;
  // the start of a word inside: softmax in log_softmax
  if (word.toLowerCase().split(/[\s_]+/).some((part) => part.startsWith(query))) return 2 + w.length / 100;
  if (w.includes(query)) return 3 + w.length / 100;
  return Infinity;
}

function inOrder(query: string, word: string): boolean {
  let i = 0;
  for (const c of fold(word)) if (c === query[i]) i++;
  return i === query.length && query.length > 1;
}

/** Hits in order. `port` and `known` limit nothing: what cannot fit comes last, with the reason; but what is called just so stays first. */
export function searchOps(ops: readonly OpSpec[], text: string, port: "in" | "out" | "both" | null, known: Fits | null = null): Hit[] {
  const query = fold(text.trim());
  const found: { hit: Hit; cost: number; i: number }[] = [];
  ops.forEach((op, i) => {
    let cost = Math.min(meets(query, op.function), meets(query, op.type) + 0.1, ...op.aliases.map((a) => meets(query, a) + 0.6), ...(op.label_zh ? [op.label_zh, TRADITIONAL[op.label_zh] ?? op.label_zh].map((word) => meets(query, word) + 0.4) : []));
    if (!Number.isFinite(cost)) {
      if (inOrder(query, op.function)) cost = 6;
      else if (query.length > 2 && fold(op.doc).includes(query)) cost = 7;
      else return;
    }
    const sided = port === null || (port === "both" ? op.inputs.length > 0 && op.outputs.length > 0 : port === "out" ? op.inputs.length > 0 : op.outputs.length > 0);
    const why = sided ? known?.whys[op.type] ?? "" : port === "both" ? "has no input, or no output" : port === "out" ? "takes no input" : "gives no output";
    const at = op.function.toLowerCase().indexOf(text.trim().toLowerCase());
    // with nothing typed, and between words as good as each other: what people most often go on with comes first
    const usual = known?.best.indexOf(op.type) ?? -1;
    if (usual >= 0) cost -= query === "" ? 1 - usual / 1000 : 0.005 * (1 - usual / 1000);
    const last = why !== "" && (query === "" ? port !== null : cost >= 1) ? 20 : 0;
    found.push({ cost: cost + last, i, hit: { op, fits: why === "", from: query && at >= 0 ? at : 0, to: query && at >= 0 ? at + text.trim().length : 0, why, gives: known?.shapes[op.type] ?? "" } });
  });
  return found.sort((a, b) => a.cost - b.cost || a.i - b.i).map((f) => f.hit);
}

const FOUND = 60;

/** Drawn nodes and scopes by name, then by operation; `query` in small letters. The kernel looks through the whole document in the same order. */
export function findDrawn(scene: Scene, query: string): Found[] {
  const all: Found[] = [
    ...scene.nodes.map((n) => ({ name: n.name, op: n.op, category: n.phase === "backward" ? "gradient" : n.category, note: n.outputs[0]?.shape ?? "", drawn: n.name })),
    ...scene.scopes.map((s) => ({ name: s.name, op: "scope", category: s.category, note: `×${s.count}`, drawn: s.name }))];
  const cost = (n: string, op: string): number => {
    const name = n.toLowerCase();
    const tail = name.slice(name.lastIndexOf("/") + 1);
    return name === query || tail === query ? 0 : tail.startsWith(query) ? 1 : name.includes(query) ? 2 : op.toLowerCase().includes(query) ? 3 : Infinity;
  };
  return all.map((hit) => ({ hit, cost: cost(hit.name, hit.op) })).filter((h) => Number.isFinite(h.cost)).sort((a, b) => a.cost - b.cost).slice(0, FOUND).map((h) => h.hit);
}
