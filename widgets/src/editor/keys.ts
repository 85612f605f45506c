// Every key, in one table: what is listed by `?` is what is handled.
import { type Lab, type PortRef } from "./store";
import { askToOpen, askToSave, save } from "./Files";
import { addState, align, bypass, copy, cutOut, differentiate, duplicate, group, nudge, NUDGE, pasteSoon, toggleCode, ungroup } from "./making";
import { explain, nextHeat, openForm, toggleBreak, toggleWatch } from "./Debug";
import { ask } from "./Questions";
import { frameSelection, writeNote } from "./Notes";
import { toggleStory } from "./Storyboard";
import { addBookmark, goBy, startLecture } from "./story";
import { num } from "../shared/format";
import { focusFind } from "./Palette";
import { activeIn, around } from "../shared/tree";

/** `native` keys go on to the browser, whose own event brings what they are for. */
export type Key = { keys: string; does: string; group: string; when(e: KeyboardEvent): boolean; run(lab: Lab): void; native?: boolean };

const plain = (e: KeyboardEvent): boolean => !e.ctrlKey && !e.metaKey && !e.altKey;
const accel = (e: KeyboardEvent): boolean => (e.ctrlKey || e.metaKey) && !e.altKey;
const key = (k: string) => (e: KeyboardEvent): boolean => plain(e) && e.key === k;
const letter = (k: string) => (e: KeyboardEvent): boolean => plain(e) && !e.shiftKey && e.key.toLowerCase() === k;
const big = (k: string) => (e: KeyboardEvent): boolean => plain(e) && e.shiftKey && e.key.toLowerCase() === k;
const ctrl = (k: string, shift = false) => (e: KeyboardEvent): boolean => accel(e) && e.shiftKey === shift && e.key.toLowerCase() === k;
const send = (name: Parameters<Lab["command"]>[0]) => (lab: Lab): void => { lab.pause(); void lab.command(name); };

/** To a place on the record. */
const goTo = (place: (lab: Lab) => number) => (lab: Lab): void => {
  lab.pause();
  const { cursor, length } = lab.state.run;
  const to = place(lab);
  if (!length) lab.say("Nothing has fired yet.");
  else if (to === cursor) lab.say(to ? "This is the last firing so far." : "This is the start: nothing has fired.");
  else void lab.seek(to).then(() => lab.say(to ? "At the last firing so far." : "Back at the start: nothing has fired."));
};

/** Along the wires: of what is joined to this, the one that lies most in that direction; without any, the nearest there. */
function walk(lab: Lab, dx: number, dy: number): void {
  const { selected, edge, at, geos, wiring, home } = lab.state;
  const wire = edge !== null ? wiring.edges.get(edge) : undefined;
  if (wire) return lab.go(dx + dy < 0 ? wire.src : wire.dst);
  const from = selected[selected.length - 1] ?? home;
  if (!from) return;
  if (!selected.length) return lab.go(from);
  const centre = (id: string) => { const p = at.get(id); const g = geos.get(id); return p && g ? { x: p.x + g.w / 2, y: p.y + g.h / 2 } : null; };
  const here = centre(from);
  if (!here) return;
  const cost = (id: string, need: number): number => {
    const c = centre(id);
    if (!c || id === from) return Infinity;
    const along = (c.x - here.x) * dx + (c.y - here.y) * dy;
    const across = Math.abs((c.x - here.x) * dy) + Math.abs((c.y - here.y) * dx);
    return along <= 4 || along < across * need ? Infinity : along + 2 * across;
  };
  const joined = new Set([...(wiring.outOf.get(from) ?? []).map((e) => e.dst), ...(wiring.into.get(from) ?? []).map((e) => e.src)]);
  const best = (ids: Iterable<string>, need: number) => {
    let found: string | null = null;
    let least = Infinity;
    for (const id of ids) { const c = cost(id, need); if (c < least) { least = c; found = id; } }
    return found;
  };
  // who cannot see where things lie still goes on along the wire: right with the data, left against it
  const along = dx > 0 ? (wiring.outOf.get(from) ?? []).map((e) => e.dst) : dx < 0 ? (wiring.into.get(from) ?? []).map((e) => e.src) : [];
  const to = best(joined, 0.35) ?? along[0] ?? best(at.keys(), 1) ?? best(joined, 0);
  if (to !== null) lab.go(to);
  else lab.say("Nothing lies that way.");
}

/** The wires of a node, in and out, and after the last one the node again. */
function nextWire(lab: Lab): void {
  const { selected, edge, wiring } = lab.state;
  const owner = edge !== null ? lab.wiresOf : selected.length === 1 ? selected[0] : null;
  if (owner === null || !lab.state.at.has(owner)) return lab.say("Select a node first, then W.");
  const wires = [...(wiring.into.get(owner) ?? []), ...(wiring.outOf.get(owner) ?? [])].map((e) => e.id);
  if (!wires.length) return lab.say(`${owner} has no wires: C connects it.`);
  const next = edge === null ? wires[0] : wires[wires.indexOf(edge) + 1];
  if (next === undefined) { lab.wiresOf = null; return lab.go(owner); }
  lab.select([], next);
  lab.wiresOf = owner;
  lab.focus(`edge:${next}`);
}

/** Numbers as they are read aloud: rows apart from each other. */
function spoken(value: unknown): string {
  if (Array.isArray(value)) return value.map(spoken).join(value.some(Array.isArray) ? "; " : ", ");
  return typeof value === "number" ? num(value) : String(value);
}

/** What the inspector shows, in words. */
function sayValue(lab: Lab): void {
  const tensor = lab.shown();
  if (tensor === null) return lab.say("Select a node first, then V.");
  const held = lab.state.value?.message;
  const name = tensor.replace(/:0$/, "");
  if (held?.tensor === tensor && held.asked) return lab.say(`The value of ${name} would give away the answer to an open question.`);
  if (held?.tensor !== tensor || !held.known) return lab.say(`${name} has no value yet: run, or step until it fires.`);
  const s = held.stats;
  lab.say(held.json !== null ? `Value of ${name}: ${spoken(JSON.parse(held.json))}` : s ? `${name}, ${held.shape.join(" by ")} numbers from ${num(s.min ?? NaN)} to ${num(s.max ?? NaN)}, mean ${num(s.mean ?? NaN)}` : `${name} is too large to be said.`);
}

/** Enter goes in: unfolds a scope, edits a node. */
function enter(lab: Lab): void {
  const { selected, scopes, nodes, searching } = lab.state;
  if (lab.state.mark) return lab.set({ mark: { ...lab.state.mark, writing: true } });
  if (searching || selected.length !== 1) return;
  if (scopes.has(selected[0])) return void lab.into(selected[0]);
  if (!nodes.has(selected[0])) return;
  const form = lab.root?.querySelector('[data-testid="inspector"]');
  const field = form?.querySelector<HTMLElement>(".form :is(input, select, textarea)") ?? form?.querySelector<HTMLElement>(".nm");
  field?.focus();
  if (field instanceof HTMLInputElement && field.type === "text") field.select();
}

/** Backspace goes out: folds the scope that the selected element stands in. */
function out(lab: Lab): void {
  const { selected, scene } = lab.state;
  const from = selected[selected.length - 1] ?? "";
  let scope = from.slice(0, Math.max(0, from.lastIndexOf("/")));
  while (scope && !scene?.opened.some((o) => o.name === scope)) scope = scope.slice(0, Math.max(0, scope.lastIndexOf("/")));
  if (!scope && from && lab.state.scopes.size) void lab.backToStack(from);
  else if (scope) void lab.outOf(scope);
  else lab.say("This is the outermost level.");
}

/** The port that C and A start from: the focused one, the wiring one, else the selected node's first output. */
export function startPort(lab: Lab): PortRef | null {
  const { wire, pending, selected } = lab.state;
  if (wire) return wire.from;
  if (pending) return pending;
  const m = /^([^:]+):(in|out):(.+)$/s.exec(activeIn(lab.root)?.getAttribute("data-port") ?? "");
  if (m) return { node: m[1], dir: m[2] as "in" | "out", port: m[3] };
  if (selected.length !== 1) return null;
  const outputs = lab.outputsOf(selected[0]);
  if (outputs.length) return { node: selected[0], dir: "out", port: (outputs[lab.state.output] ?? outputs[0]).port };
  const open = lab.inputsOf(selected[0]).find((p) => !p.wired);
  return open ? { node: selected[0], dir: "in", port: open.port } : null;
}

/** A: for the selected wire, into it; for a port or a node, wired to it; else by itself. */
function askFor(lab: Lab): void {
  const edge = lab.state.edge !== null ? lab.state.wiring.edges.get(lab.state.edge) : undefined;
  if (edge && !edge.control) lab.askForOperation(null, null, edge.id);
  else lab.askForOperation(startPort(lab));
}

export const KEYS: Key[] = [
  { keys: "A", group: "Build", does: "add, wired to what is selected or into its wire", when: letter("a"), run: askFor },
  { keys: "C", group: "Build", does: "connect to or from…", when: letter("c"), run: (lab) => { const port = startPort(lab); if (port) lab.set({ panel: "connect", pending: port, wire: null }); else lab.say("Select a node first, then C."); } },
  { keys: "F2", group: "Build", does: "rename", when: key("F2"), run: (lab) => { if (lab.state.mark) { lab.set({ mark: { ...lab.state.mark, writing: true } }); return; } const f = lab.root?.querySelector<HTMLInputElement>('[data-testid="inspector"] input.nm'); f?.focus(); f?.select(); } },
  { keys: "Delete", group: "Build", does: "delete what is selected", when: key("Delete"), run: (lab) => void lab.remove() },
  { keys: "M", group: "Build", does: "bypass the node", when: letter("m"), run: (lab) => void bypass(lab) },
  { keys: "Ctrl+G", group: "Build", does: "make a composite", when: ctrl("g"), run: (lab) => void group(lab) },
  { keys: "Ctrl+Shift+G", group: "Build", does: "unpack a composite", when: ctrl("g", true), run: (lab) => void ungroup(lab) },
  { keys: "T", group: "Build", does: "one more state for the loop", when: letter("t"), run: (lab) => void addState(lab) },
  { keys: "G", group: "Build", does: "differentiate a scalar", when: letter("g"), run: (lab) => void differentiate(lab) },
  { keys: "Ctrl+Z", group: "Build", does: "undo", when: ctrl("z"), run: (lab) => { if (lab.state.scene?.undo) void lab.command("undo"); } },
  { keys: "Ctrl+Shift+Z", group: "Build", does: "redo", when: (e) => ctrl("z", true)(e) || ctrl("y")(e), run: (lab) => { if (lab.state.scene?.redo) void lab.command("redo"); } },
  { keys: "Ctrl+C", group: "Build", does: "copy", when: ctrl("c"), run: (lab) => void copy(lab) },
  { keys: "Ctrl+X", group: "Build", does: "cut", when: ctrl("x"), run: (lab) => void cutOut(lab) },
  { keys: "Ctrl+V", group: "Build", does: "paste", when: ctrl("v"), run: pasteSoon, native: true },
  { keys: "Ctrl+D", group: "Build", does: "duplicate", when: ctrl("d"), run: (lab) => void duplicate(lab) },
  { keys: "Alt+←↑→↓", group: "Move", does: "move what is selected", when: (e) => e.altKey && !e.ctrlKey && !e.metaKey && e.key.startsWith("Arrow"), run: () => undefined },
  { keys: "Shift+L, T", group: "Move", does: "align left, align top", when: (e) => big("l")(e) || big("t")(e), run: () => undefined },
  { keys: "Shift+H, V", group: "Move", does: "spread across, down", when: (e) => big("h")(e) || big("v")(e), run: () => undefined },
  { keys: "N", group: "Build", does: "write a note", when: letter("n"), run: (lab) => writeNote(lab) },
  { keys: "F", group: "Build", does: "frame what is selected", when: letter("f"), run: frameSelection },
  { keys: "K", group: "Move", does: "show the Python", when: letter("k"), run: toggleCode },
  { keys: "L", group: "Run", does: "live: run after every edit", when: letter("l"), run: (lab) => void lab.command(lab.state.run.live ? "live_off" : "live_on") },
  { keys: "S", group: "File", does: "save to the document's file", when: letter("s"), run: (lab) => void save(lab) },
  { keys: "Ctrl+Shift+S", group: "File", does: "save as…", when: ctrl("s", true), run: askToSave },
  { keys: "Ctrl+O", group: "File", does: "open…", when: ctrl("o"), run: askToOpen },
  { keys: "Ctrl+A", group: "Move", does: "select all", when: ctrl("a"), run: (lab) => lab.select([...lab.state.at.keys()]) },
  { keys: "← ↑ → ↓", group: "Move", does: "move along the wires", when: (e) => plain(e) && e.key.startsWith("Arrow"), run: () => undefined },
  { keys: "W", group: "Move", does: "to the node's wires, one after the other", when: letter("w"), run: nextWire },
  { keys: "V", group: "Move", does: "say the value", when: letter("v"), run: sayValue },
  { keys: "Enter", group: "Move", does: "into a scope; to a node's form", when: key("Enter"), run: enter },
  { keys: "Backspace", group: "Move", does: "out of the scope: fold it", when: key("Backspace"), run: out },
  { keys: "Ctrl+F", group: "Move", does: "find", when: ctrl("f"), run: focusFind },
  { keys: "Esc", group: "Move", does: "cancel, then leave", when: key("Escape"), run: leave },
  { keys: ".", group: "Run", does: "step", when: key("."), run: send("step") },
  { keys: ",", group: "Run", does: "step back", when: key(","), run: send("back") },
  { keys: ">", group: "Run", does: "step level", when: key(">"), run: send("step_level") },
  { keys: "<", group: "Run", does: "level back", when: key("<"), run: send("back_level") },
  { keys: "/", group: "Run", does: "step scope", when: key("/"), run: send("step_scope") },
  { keys: "]", group: "Run", does: "step timestep", when: key("]"), run: send("step_timestep") },
  { keys: "[", group: "Run", does: "timestep back", when: key("["), run: send("back_timestep") },
  { keys: "Home", group: "Run", does: "back to the start of the run", when: key("Home"), run: goTo(() => 0) },
  { keys: "End", group: "Run", does: "to the last firing so far", when: key("End"), run: goTo((lab) => lab.state.run.length) },
  { keys: "P", group: "Run", does: "step pass", when: letter("p"), run: send("step_pass") },
  { keys: "R", group: "Run", does: "run to the selection", when: letter("r"), run: (lab) => { const n = lab.state.selected[0]; if (n !== undefined) void lab.command("run_to", { node: n }); else lab.say("Select a node first, then R."); } },
  { keys: "Shift+P", group: "Run", does: "timeline as recorded: by the clock, on lanes", when: big("p"), run: (lab) => lab.setLanes(!lab.state.lanes) },
  { keys: "B", group: "Debug", does: "breakpoint here, or none", when: letter("b"), run: toggleBreak },
  { keys: "Shift+B", group: "Debug", does: "breakpoint on a condition…", when: big("b"), run: (lab) => openForm(lab, "break") },
  { keys: "Shift+W", group: "Debug", does: "watch the tensor, or no more", when: big("w"), run: toggleWatch },
  { keys: "O", group: "Debug", does: "override the tensor…", when: letter("o"), run: (lab) => openForm(lab, "override") },
  { keys: "Q", group: "Debug", does: "ask before this step; to the open question", when: letter("q"), run: ask },
  { keys: "H", group: "Debug", does: "costs on the canvas: time, memory, none", when: letter("h"), run: nextHeat },
  { keys: "E", group: "Debug", does: "explain this firing", when: letter("e"), run: (lab) => explain(lab) },
  { keys: "Space", group: "Run", does: "play or pause", when: key(" "), run: (lab) => { if (lab.state.playing || lab.running()) lab.halt(); else void lab.play(); } },
  { keys: "Shift+A", group: "Lecture", does: "bookmark this moment", when: big("a"), run: (lab) => void addBookmark(lab) },
  { keys: "Shift+S", group: "Lecture", does: "show the storyboard", when: big("s"), run: toggleStory },
  { keys: "PgDn, PgUp", group: "Lecture", does: "to the next bookmark, the one before", when: (e) => key("PageDown")(e) || key("PageUp")(e), run: () => undefined },
  { keys: "Shift+F", group: "Lecture", does: "lecture mode: the whole screen; Esc leaves it", when: big("f"), run: startLecture },
  { keys: "?", group: "Move", does: "show or hide these keys", when: key("?"), run: (lab) => lab.set({ panel: lab.state.panel === "keys" ? null : "keys" }) },
];

/** What a recorded run in a file has no kernel for. */
const needsKernel = (k: Key): boolean => k.group === "Build" || k.group === "File" || ["L", "Shift+B", "O", "Q", "Shift+A"].includes(k.keys);

function leave(lab: Lab): void {
  if (lab.unpreview() && !lab.state.wire) return;
  const { wire, pending, panel, selected, edge, into, mark } = lab.state;
  if (wire || pending || panel || into) {
    lab.set({ wire: null, pending: null, panel: null, into: null, status: "Cancelled." });
    lab.root?.focus({ preventScroll: true });
    return;
  }
  if (selected.length || edge !== null || mark !== null) {
    lab.set({ mark: null });
    lab.select([]);
    lab.root?.focus({ preventScroll: true });
    return;
  }
  if (lab.state.tour !== null) return lab.set({ tour: null });
  lab.say("The keys are the notebook's again. Click the canvas to go on here.");
  // whatever holds this widget and takes the focus, be it a cell of JupyterLab or of something else
  const outside = around(lab.root, "[tabindex]");
  if (outside) outside.focus({ preventScroll: true });
  else activeIn(lab.root)?.blur();
}

/** A key pressed inside the root and outside text fields. True when it was ours. */
export function handleKey(lab: Lab, e: KeyboardEvent): boolean {
  if (e.isComposing) return false;
  // buttons keep their own Enter and Space
  if ((e.key === "Enter" || e.key === " ") && (e.target as Element).closest("button, summary, a, [role=slider], li")) return false;
  for (const k of KEYS) {
    if (!k.when(e)) continue;
    if (needsKernel(k) && lab.refuses()) return true;
    if (e.altKey && e.key.startsWith("Arrow")) {
      if ((e.target as Element).closest('[role="slider"], input, .outl')) return false;
      void nudge(lab, e.key === "ArrowRight" ? NUDGE : e.key === "ArrowLeft" ? -NUDGE : 0, e.key === "ArrowDown" ? NUDGE : e.key === "ArrowUp" ? -NUDGE : 0);
    } else if (k.keys === "Shift+L, T" || k.keys === "Shift+H, V") {
      const how = { l: "left", t: "top", h: "across", v: "down" } as const;
      void align(lab, how[e.key.toLowerCase() as keyof typeof how]);
    } else if (k.keys === "PgDn, PgUp") {
      goBy(lab, e.key === "PageDown" ? 1 : -1);
    } else if (e.key.startsWith("Arrow")) {
      if ((e.target as Element).closest('[role="slider"], input, .outl')) return false;
      walk(lab, e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0, e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0);
    } else if (e.key === "Enter" && (e.target as Element).hasAttribute("data-port")) (e.target as HTMLElement).click();
    else k.run(lab);
    return k.native !== true;
  }
  return false;
}
