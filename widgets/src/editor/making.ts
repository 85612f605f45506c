// What is made of a selection: composites, copies, bypasses, insertions, alignments, gradients. The kernel makes the edit; here is what the person meant.
import type { CompositeSpec, SceneNode } from "../protocol.gen";
import { noteRect } from "./annotations";
import { NODE_H, NODE_W, overlaps, type Point, type Rect } from "./geometry";
import { freePlace } from "./layout";
import { openText } from "./Files";
import type { Lab } from "./store";
import { pointOn } from "./routes";

const DOCUMENT = /^\s*\{\s*"flowlab"\s*:/;
const CLIP = '{"flowlab_clip"';
const BELOW = 30;       // how far below the original a copy stands
const WAIT = 200;       // ms in which a paste event follows its keys, where the browser gives one
const NEAR = 16;        // how near to a wire a dragged node is dropped into it
export const NUDGE = 16;

export async function group(lab: Lab): Promise<void> {
  const names = lab.state.selected;
  if (!names.length) return lab.say("Select the nodes of the composite first, then Ctrl+G.");
  await lab.edit([{ tag: "Group", names }]);
}

export async function ungroup(lab: Lab): Promise<void> {
  const folded = lab.state.selected.filter((n) => lab.state.scopes.has(n));
  const around = folded.length ? null : scopeOf(lab);
  const scopes = around === null ? folded : [around];
  if (!scopes.length) return lab.say("Select a composite first, then Ctrl+Shift+G.");
  await lab.edit(scopes.map((name) => ({ tag: "Ungroup", name })), `Unpacked ${scopes.length === 1 ? scopes[0] : `${scopes.length} scopes`}.`);
}

/** The open scope around what is selected. */
function scopeOf(lab: Lab): string | null {
  const { selected, scene } = lab.state;
  const name = selected[selected.length - 1];
  if (name === undefined) return null;
  const open = new Set(scene?.opened.map((o) => o.name));
  for (let s = name.slice(0, Math.max(0, name.lastIndexOf("/"))); s; s = s.slice(0, Math.max(0, s.lastIndexOf("/")))) if (open.has(s)) return s;
  return null;
}

export async function useAgain(lab: Lab, made: CompositeSpec, place: Point | null = null): Promise<void> {
  lab.adding = true;
  lab.set({ query: "", panel: null });
  lab.root?.focus({ preventScroll: true });
  await lab.edit([{ tag: "AddComposite", of: made.of, ...(place ? { x: Math.round(place.x), y: Math.round(place.y) } : {}) }]);
}

export async function duplicate(lab: Lab): Promise<void> {
  if (!lab.state.selected.length) return lab.say("Select what is to be duplicated first.");
  const names = lab.state.selected;
  const from = drawnAt(lab, names);
  const to = roomFor(lab, boundsOf(lab, from));
  await lab.edit([{ tag: "Duplicate", names, places: moved(from, to) }]);
}

type Places = Record<string, [number, number]>;

/** Where elements are drawn. */
function drawnAt(lab: Lab, names: readonly string[]): Places {
  return Object.fromEntries(names.flatMap((id) => { const p = lab.state.at.get(id); return p ? [[id, [p.x, p.y]]] : []; }));
}

/** What elements at these places take up; one that is not drawn here is as large as most are. */
function boundsOf(lab: Lab, places: Places): Rect {
  const rects = Object.entries(places).map(([id, [x, y]]) => ({ x, y, w: lab.state.geos.get(id)?.w ?? NODE_W, h: lab.state.geos.get(id)?.h ?? NODE_H }));
  const x = Math.min(...rects.map((r) => r.x));
  const y = Math.min(...rects.map((r) => r.y));
  return { x, y, w: Math.max(...rects.map((r) => r.x + r.w)) - x, h: Math.max(...rects.map((r) => r.y + r.h)) - y };
}

/** A free place for a copy of this size: below what it was copied from, or in sight. */
function roomFor(lab: Lab, from: Rect): { place: Point; dx: number; dy: number } {
  const view = lab.view?.visible() ?? null;
  const seen = view === null || overlaps(from, view, 0);
  const near = seen ? { x: from.x, y: from.y + from.h + BELOW } : { x: view.x + BELOW, y: view.y + 2 * BELOW };
  const place = freePlace([...lab.rects(), ...(lab.state.scene?.notes ?? []).map(noteRect)], { w: from.w, h: from.h }, near, view);
  return { place, dx: place.x - from.x, dy: place.y - from.y };
}

const moved = (places: Places, by: { dx: number; dy: number }): Places => Object.fromEntries(Object.entries(places).map(([id, [x, y]]) => [id, [Math.round(x + by.dx), Math.round(y + by.dy)]]));

export async function bypass(lab: Lab): Promise<void> {
  const { selected, nodes } = lab.state;
  if (selected.length !== 1 || !nodes.has(selected[0])) return lab.say("Nothing to bypass: select a node with an input.");
  if (await lab.edit([{ tag: "Bypass", name: selected[0] }], `Bypassed ${selected[0]}. Undo brings it back.`)) lab.root?.focus({ preventScroll: true });
}

/** One more tensor that the loop around what is selected carries from timestep to timestep. */
export async function addState(lab: Lab, type = "State"): Promise<void> {
  const { selected, scene } = lab.state;
  const name = selected[selected.length - 1];
  const loop = name === undefined ? null : scene?.opened.find((o) => o.node === name) ?? lab.loopOf(name);
  if (!loop || loop.loop !== "loop") return lab.say("Select something inside a loop first.");
  lab.adding = true;
  await lab.edit([{ tag: "AddNode", op: type, name: lab.freshName(`${loop.name}/${lab.state.ops.get(type)?.called || type}`), attrs: {} }], type === "State" ? "Added a state: wire its start, and what it becomes to next." : "Added a sequence: wire what the loop goes along to it.");
}

/** Is this one number that was computed from others? */
export const differentiable = (node: SceneNode): boolean => node.phase === "forward" && node.outputs[0]?.shape === "()" && node.outputs[0].dtype?.startsWith("float") === true && node.source === null;

export async function differentiate(lab: Lab): Promise<void> {
  const { selected, nodes, output } = lab.state;
  const node = selected.length === 1 ? nodes.get(selected[0]) : undefined;
  const out = node?.outputs[output] ?? node?.outputs[0];
  if (!out) return lab.say("Select a scalar first: its gradient is what comes back.");
  await lab.edit([{ tag: "Differentiate", tensor: out.tensor }]);
}

export function toggleCode(lab: Lab): void {
  const open = !lab.state.codeOpen;
  lab.set({ codeOpen: open, status: open ? "The Python of the graph stands beside the canvas." : "" });
}

// ---------------------------------------------------------------- the clipboard

/** Copies what is selected, as text: into the clipboard where the browser lets us, and into this page. */
export async function copy(lab: Lab, names = lab.state.selected): Promise<boolean> {
  if (!names.length) { lab.say("Select what is to be copied first."); return false; }
  lab.clip = null;
  if (!await lab.request({ type: "ask_clip", names, places: drawnAt(lab, names) })) return false;
  const clip = lab.clip as { text: string; count: number } | null;
  if (!clip) return false;
  try {
    await navigator.clipboard.writeText(clip.text);
  } catch {
    // no clipboard without a safe address: what is copied stays in this page, and pastes here
  }
  lab.say(`Copied ${clip.count === 1 ? "one node" : `${clip.count} nodes`}.`);
  return true;
}

/** Paste by a click, where no event of the browser brings the text. */
export async function pasteNow(lab: Lab): Promise<void> {
  let text = "";
  try {
    text = await navigator.clipboard.readText();
  } catch {
    // the browser does not let a page read the clipboard: what was copied here is still here
  }
  onPaste(lab, text);
}

export async function cutOut(lab: Lab): Promise<void> {
  const names = lab.state.selected;
  if (!await copy(lab, names)) return;
  await lab.edit([{ tag: "RemoveNodes", names }], `Cut ${names.length === 1 ? names[0] : `${names.length} elements`}.`);
  lab.root?.focus({ preventScroll: true });
}

let waiting: ReturnType<typeof setTimeout> | undefined;

/** The keys of a paste were pressed: the browser's own event brings the text; where it brings none, this page's copy is taken. */
export function pasteSoon(lab: Lab): void {
  clearTimeout(waiting);
  waiting = setTimeout(() => { if (lab.clip) void pasteText(lab, lab.clip.text); else lab.say("Nothing to paste yet: copy nodes first."); }, WAIT);
}

export function onPaste(lab: Lab, text: string): void {
  clearTimeout(waiting);
  if (text.trim()) void pasteText(lab, text);
  else if (lab.clip) void pasteText(lab, lab.clip.text);
  else lab.say("Nothing to paste yet: copy nodes first.");
}

async function pasteText(lab: Lab, text: string): Promise<void> {
  if (DOCUMENT.test(text)) return openText(lab, "the pasted graph", text);
  if (!text.trimStart().startsWith(CLIP)) {
    const node = lab.state.selected.length === 1 ? lab.state.nodes.get(lab.state.selected[0]) : undefined;
    const numbers = node?.source ? tableText(text) : null;
    if (node && numbers !== null) {
      await lab.edit([{ tag: "SetFeed", node: node.name, text: numbers }], `Pasted the table into ${node.name}.`);
      return;
    }
    if (lab.clip === null) return lab.alert("The clipboard holds no nodes of flowlab.", "Copy nodes with Ctrl+C; a table of numbers pastes into a selected placeholder, constant or variable.");
    text = lab.clip.text;
  }
  const { selected } = lab.state;
  const places = placesIn(text);
  const { place } = places ? roomFor(lab, boundsOf(lab, places)) : { place: null };
  const scope = (selected.length ? lab.loopOf(selected[selected.length - 1])?.name : null) ?? "";
  await lab.edit([{ tag: "Paste", text, scope, ...(place ?? {}) }]);
}

/** Where the nodes of a clipboard's text stood; null where it does not say. */
function placesIn(text: string): Places | null {
  try {
    const places = Object.entries(JSON.parse(text).document.positions ?? {}).filter((e): e is [string, [number, number]] => Array.isArray(e[1]) && e[1].length === 2 && e[1].every(Number.isFinite));
    return places.length ? Object.fromEntries(places) : null;
  } catch {
    return null;    // what is wrong with it is the kernel's to say
  }
}

/** Rows of a spreadsheet as JSON; null if they are no numbers. A single number stays one. */
export function tableText(text: string): string | null {
  const rows = text.replace(/\r/g, "").replace(/\n+$/, "").split("\n").map((row) => (row.includes("\t") ? row.split("\t") : row.includes(";") ? row.split(";") : row.includes(",") && !/\d,\d{1,2}$/.test(row) ? row.split(",") : row.trim().split(/\s+/)));
  const cells = rows.map((row) => row.map((c) => numberOf(c)));
  if (!cells.length || cells.some((row) => !row.length || row.some((c) => c === null))) return null;
  const width = cells[0].length;
  if (cells.some((row) => row.length !== width)) return null;
  if (cells.length === 1 && width === 1) return String(cells[0][0]);
  return JSON.stringify(cells.length === 1 ? cells[0] : width === 1 ? cells.map((r) => r[0]) : cells);
}

function numberOf(cell: string): number | boolean | null {
  const t = cell.trim().replace("−", "-");
  if (/^(true|false)$/i.test(t)) return t.toLowerCase() === "true";
  const dot = /^[-+]?\d+,\d+$/.test(t) ? t.replace(",", ".") : t;
  if (dot === "" || !Number.isFinite(Number(dot)) || !/^[-+\d.eE]+$/.test(dot)) return null;
  return Number(dot);
}

// ---------------------------------------------------------------- places

type How = "left" | "top" | "across" | "down";

/** Lines up what is selected, or spreads it evenly. */
export async function align(lab: Lab, how: How): Promise<void> {
  const { at, geos } = lab.state;
  const items = lab.state.selected.flatMap((id) => { const p = at.get(id); const g = geos.get(id); return p && g ? [{ id, x: p.x, y: p.y, w: g.w, h: g.h }] : []; });
  if (items.length < 2 || (how === "across" || how === "down") && items.length < 3) return lab.say(`Select ${how === "left" || how === "top" ? "two" : "three"} or more first.`);
  const positions: Record<string, [number, number]> = {};
  if (how === "left" || how === "top") {
    const x = Math.min(...items.map((i) => i.x));
    const y = Math.min(...items.map((i) => i.y));
    for (const i of items) positions[i.id] = how === "left" ? [Math.round(x), Math.round(i.y)] : [Math.round(i.x), Math.round(y)];
  } else {
    const size = how === "across" ? "w" : "h";
    const axis = how === "across" ? "x" : "y";
    const order = [...items].sort((a, b) => a[axis] - b[axis]);
    const last = order[order.length - 1];
    const room = last[axis] + last[size] - order[0][axis] - order.reduce((sum, i) => sum + i[size], 0);
    let to = order[0][axis];
    for (const i of order) {
      positions[i.id] = how === "across" ? [Math.round(to), Math.round(i.y)] : [Math.round(i.x), Math.round(to)];
      to += i[size] + room / (order.length - 1);
    }
  }
  const words = { left: "Aligned to the left", top: "Aligned to the top", across: "Spread evenly from left to right", down: "Spread evenly from top to bottom" };
  await lab.edit([{ tag: "Move", positions }], `${words[how]}: ${items.length} elements.`);
}

/** Moves what is selected by keyboard. */
export async function nudge(lab: Lab, dx: number, dy: number): Promise<void> {
  const { selected, at, mark, scene } = lab.state;
  if (mark?.kind === "note") {
    const note = scene?.notes[mark.index];
    if (note) await lab.edit([{ tag: "PutNote", text: note.text, x: note.x + dx, y: note.y + dy, index: mark.index }], "Moved the note.", `note ${mark.index}`);
    return;
  }
  const names = mark?.kind === "frame" ? scene?.frames[mark.index]?.members ?? [] : selected;
  // where it is going counts, not where it is on its way there
  const place = (id: string) => { const e = lab.state.nodes.get(id) ?? lab.state.scopes.get(id); return e && e.x !== null && e.y !== null ? { x: e.x, y: e.y } : at.get(id); };
  const positions = Object.fromEntries(names.flatMap((id) => { const p = place(id); return p ? [[id, [Math.round(p.x + dx), Math.round(p.y + dy)]]] : []; }));
  if (Object.keys(positions).length) await lab.edit([{ tag: "Move", positions }], `Moved ${names.length === 1 ? names[0] : `${names.length} elements`}.`, `nudge ${names.join(" ")}`);
}

/** The wire that a free node would be dropped into here. */
export function wireUnder(lab: Lab, id: string): string | null {
  const { nodes, at, geos, routes, wiring } = lab.state;
  const node = nodes.get(id);
  const p = at.get(id);
  const g = geos.get(id);
  if (!node || !p || !g || !node.inputs.length || !node.outputs.length) return null;
  // what has wires of its own is moved, not inserted
  if ((wiring.into.get(id) ?? []).length === node.inputs.length || (wiring.outOf.get(id) ?? []).length) return null;
  const c = { x: p.x + g.w / 2, y: p.y + g.h / 2 };
  let best: string | null = null;
  let least = NEAR;
  for (const r of routes.values()) {
    if (r.edge.control || r.edge.loop || r.edge.src === id || r.edge.dst === id || r.chip) continue;
    for (let t = 0.05; t < 1; t += 0.05) {
      const q = pointOn(r.segments, t);
      const away = Math.hypot(q.x - c.x, q.y - c.y);
      if (away < least) { least = away; best = r.edge.id; }
    }
  }
  return best;
}

/** Partners on the way back: the nodes of a node's gradient, and the node that a gradient belongs to. */
export function partnersOf(lab: Lab, id: string | null): ReadonlySet<string> {
  const out = new Set<string>();
  const { nodes, scopes, scene } = lab.state;
  if (id === null || !scene) return out;
  const node = nodes.get(id);
  const add = (name: string | null) => { const shown = name === null ? null : lab.drawn(name); if (shown !== null && shown !== id) out.add(shown); };
  if (node?.gradient_of) add(node.gradient_of);
  const scope = scopes.get(id);
  if (scope?.phase === "backward" && id.startsWith("gradients/")) add(id.slice("gradients/".length));
  for (const n of scene.nodes) if (n.gradient_of === id || (scope && scope.phase === "forward" && n.gradient_of?.startsWith(`${id}/`))) out.add(n.name);
  for (const s of scene.scopes) if (s.phase === "backward" && s.name === `gradients/${id}`) out.add(s.name);
  return out;
}
