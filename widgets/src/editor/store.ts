// What the page knows and can do. Messages from the kernel and the person's gestures are the only things that change it; every part of the page reads it.
import * as React from "react";
import {
  VERSION, type Clock, type Command, type Debug, type Debugging, type Diagnostic, type Explained, type Fits, type Found, type Hit, type Offer, type OpenScope, type OpSpec, type Palette, type Preview, type Reach, type Revealed, type RunState, type Scene, type SceneEdge, type SceneNode, type SceneScope, type Task, type TaskDo,
  type Code, type File as DocumentFile, type Files, type NameCheck, type Thumb, type ToPage, type Train, type TrainingState, type Value, type Why,
} from "../protocol.gen";
import { GET_KERNEL, NEEDS_KERNEL, inFile } from "../shared/live";
import { Wire, type Model, type Outgoing } from "../shared/wire";
import { prefersReducedMotion } from "../shared/controls";
import { useLanguage } from "../shared/words";
import { watchConnection } from "./connection";
import { keep } from "./keep";
import { partnersOf } from "./making";
import { noteRect } from "./annotations";
import { type ElementGeo, type Point, type Rect, Wiring, geometryOf, overlaps, sortStackPorts } from "./geometry";
import { type Frame, type Layout, framesOf, freePlace, layoutOf, yieldTo } from "./layout";
import { Layouter } from "./layouter";
import { type Route, routesOf } from "./routes";
import { ClockScale, seconds } from "./Lanes";
import { keyOfQuestion, revealedText } from "./asked";
import { lookAt } from "./story";
import { activeIn } from "../shared/tree";

export type Tensor = Thumb & { data: Float32Array };
export type PortRef = { node: string; dir: "in" | "out"; port: string };
/** What a lecture may do to the run: answer what was asked, and tell how it came. */
const IN_LECTURES = new Set<Debug["name"]>(["answer", "skip", "explain", "why_nan", "why_zero", "heat", "compare_by"]);
/** What carries a text that somebody typed. */
const TYPED = new Set<Debug["name"]>(["break_add", "override", "branch", "watch_box", "ask"]);

export type Alert = { id: number; text: string; hint: string; node: string | null; edge: string | null; why: boolean };
export type Flight = { key: number; edge: string };
export type Panel = "add" | "outline" | "keys" | "connect" | "open" | "save as" | "open run" | "compare run" | "save run" | "save class" | null;
/** A note or frame that is selected, and whether its text is being written. */
export type Mark = { kind: "note" | "frame"; index: number; writing: boolean };
/** What is carried from the palette to the canvas. */
export type Carry = { kind: "op" | "composite"; id: string; label: string; category: string; x: number; y: number; edge: string | null };
export type OpenWire = { from: PortRef; mode: "click" | "drag"; x: number; y: number; over: string | null };

export type Run = Omit<RunState, "type" | "full" | "states" | "progress" | "inputs" | "versions" | "thumbs" | "gone" | "fired" | "ticks" | "names"> & {
  states: ReadonlyMap<string, RunState["states"][string]>;
  progress: ReadonlyMap<string, number[]>;
  inputs: ReadonlyMap<string, number[]>;
  versions: ReadonlyMap<string, number>;
  ticks: string;
  names: string[];
};

export type State = {
  palette: Palette | null;
  ops: ReadonlyMap<string, OpSpec>;
  scene: Scene | null;
  nodes: ReadonlyMap<string, SceneNode>;
  scopes: ReadonlyMap<string, SceneScope>;
  wiring: Wiring;
  geos: Map<string, ElementGeo>;
  at: Map<string, Point>;
  layout: Layout | null;
  frames: Frame[];
  routes: Map<string, Route>;
  run: Run;
  thumbs: ReadonlyMap<string, Tensor>;
  value: { message: Value; data: Float32Array } | null;
  asked: string | null;
  slice: string;
  output: number;
  alerts: Alert[];
  finding: boolean;       // Find's hits are on show, over what lies below them
  status: string;
  /** How often something has been said. */
  said: number;
  offer: Offer | null;
  /** What could take the tensor in question, by operation. */
  fits: Fits | null;
  /** What an edit would come to that has not been made: shown, and gone again. */
  ghost: Preview | null;
  /** Why the wire that is being drawn cannot go to the port under the mouse, where the kernel need not be asked. */
  refused: { port: PortRef; text: string } | null;
  /** The ports that the wire being drawn would not fit. */
  reach: Reach | null;
  /** What the kernel has found of the whole document. */
  found: Found | null;
  /** Is the canvas so far away that its text cannot be read? */
  far: boolean;
  busy: boolean;
  /** Is there a way to the kernel? While it is down, what a person does waits for it. */
  link: "up" | "down" | "gone";
  /** Changes that were under way when the kernel went. */
  lost: number;
  /** The document's file. */
  file: DocumentFile | null;
  /** Files that can be opened, as they were when that was asked last. */
  files: Files | null;
  nameCheck: NameCheck | null;
  selected: string[];
  edge: string | null;
  home: string | null;
  wire: OpenWire | null;
  pending: PortRef | null;
  query: string;
  searching: boolean;
  panel: Panel;
  playing: boolean;
  speed: number;
  flights: Flight[];
  theme: number;
  dragCursor: number | null;
  /** The wire that waits for an operation to be put into it. */
  into: string | null;
  carry: Carry | null;
  /** The wire that a dragged node would be dropped into. */
  dropEdge: string | null;
  /** Axes that keep tensors apart, by the wire that brings them. */
  blamed: ReadonlyMap<string, readonly number[]>;
  /** Elements that a hover lights. */
  lit: ReadonlySet<string>;
  mark: Mark | null;
  code: Code | null;
  codeOpen: boolean;
  debugging: Debugging;
  /** The training that the lab follows. */
  training: TrainingState | null;
  task: Task | null;
  /** The bookmark that was gone to last. */
  story: number | null;
  /** Is the storyboard beside the canvas? */
  storyOpen: boolean;
  /** The bookmark that is being written. */
  writing: number | null;
  /** Lecture mode: the lab alone over the whole screen, and nothing is changed. */
  lecture: boolean;
  /** Where a NaN or a zero began; its way is lit until it is closed. */
  why: Why | null;
  explained: Explained | null;
  /** When and where the recorded firings took place; null until it is asked for, and when the record has changed. */
  clock: Clock | null;
  /** Does the timeline show firings on their lanes, by the clock, and do tokens travel as they did? */
  lanes: boolean;
  /** Where a play as recorded stands: seconds of the run. */
  moment: number | null;
  /** Elements that are firing at that moment. */
  firing: ReadonlySet<string>;
  /** The answer that was just given, beside the truth; until it is closed. */
  revealed: Revealed | null;
  /** The form that is open in the inspector. */
  form: "break" | "override" | "ask" | null;
  /** The stop of the tour that is on show. */
  tour: string | null;
};

export const NO_DEBUGGING: Debugging = { type: "debugging", breaks: [], watches: [], overridden: [], pause_on_bad: true, branch: null, heat: null, questions: [], answers: [] };
/** Messages that answer one view's question; everything else is for all views of a lab. */
const ANSWERS: ReadonlySet<ToPage["type"]> = new Set(["value", "fits", "preview", "reach", "clip", "found", "code", "files", "name_check", "clock"]);

const DARK: ReadonlySet<string> = new Set();

/** A port that can be wired, of a node or of a folded scope. */
export type Plug = { port: string; label: string; wired: boolean; optional: boolean; tensor: string | null; shape: string | null };

const NO_RUN: Run = {
  mode: "edit", cursor: 0, length: 0, total: 0, done: false, states: new Map(), progress: new Map(), inputs: new Map(), versions: new Map(), last: null,
  last_drawn: null, last_phase: null, last_seconds: null, next: null, next_drawn: null, ready: 0, ticks: "", names: [], fetches: [], error: null, live: false, let_go: 0, timesteps: {}, recording: null,
};

const EMPTY_SCENE: Scene = {
  type: "scene", revision: 0, title: "", path: null, dirty: false, undo: null, redo: null, total: 0, structure: "", nodes: [], scopes: [], opened: [], edges: [],
  diagnostics: [], select: null, chosen: [], composites: [], notes: [], frames: [], storyboard: [],
};

export const TRAVEL = 400;
const TRAVELLERS = 300;     // tokens on their way at once; on a canvas with more wires, those on the way to what is selected and on from it
const SHORTEST = 4000;      // ms that a run as recorded plays at 1×: the shortest,
const LONGEST = 30_000;     // the longest,
const BEAT = 80;            // and for each firing
const TIDY = 320;
const SETTLED = 80;
const ARRIVED = "flowlab: scene arrived";
const GLIDING = 300;    // more than so many elements change places at once
export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

export type View = {
  fit(whole?: boolean): void;
  /** Moves as little as possible until this element can be seen, beside whatever lies over the canvas. */
  show(id: string, smooth?: boolean): void;
  /** Puts this element in the middle, large enough to be read. */
  centre(id: string): void;
  /** Keeps a changing graph in sight: all of it if that is possible, else the element that is worked on. */
  follow(at: Map<string, Point>, geos: Map<string, ElementGeo>, id: string | null): void;
  visible(): Rect | null;
  toFlow(p: Point): Point;
  zoom(by: number): void;
  center(p: Point): void;
  /** Something else moves the viewport now: where it was gliding to counts no more. */
  halt(): void;
  /** Looks at a part of the canvas, where these elements are; in a lecture at them alone, as large as they can be, near what it is `about` where they are too many. Neither: at the whole graph. */
  look(part: Rect | null, names: string[], about: string | null, smooth: boolean): void;
};

const PATIENCE = 4000;      // ms without an answer before the lab says that it waits
const FOLLOWED = 12;        // firings of one command, at most, that the viewport follows
const LOOK = 1000;          // ms between two looks at the file
/** What a person has done: it is sent again after a broken connection. */
const CHANGES = ["edit", "command", "debug", "open_text", "train", "story_do"] as const;
const SILENT = "The kernel has not answered yet. If it was restarted, run the cell again: your graph is in this page, and it is offered to you.";

export class Lab {
  readonly wire: Wire;
  readonly refs = new Map<string, HTMLElement | SVGElement>();
  root: HTMLElement | null = null;
  view: View | null = null;
  /** Makes a move of the viewport of what the browser has scrolled for a focus and not told yet: else both would move it. */
  absorb: () => void = () => undefined;
  search: HTMLInputElement | null = null;
  find: HTMLInputElement | null = null;
  state: State;
  private readonly listeners = new Set<() => void>();
  private serial = 0;
  private frame = 0;
  adding = false;
  /** What was copied last: the clipboard's text, kept here too, for where a page may not read the clipboard. */
  clip: { text: string; count: number } | null = null;

  /** Is there no kernel, only a recorded run in a file? */
  readonly inFile: boolean;

  constructor(readonly model: Model) {
    this.wire = new Wire(model);
    this.inFile = inFile(model);
    this.state = {
      palette: null, ops: new Map(), scene: null, nodes: new Map(), scopes: new Map(), wiring: new Wiring(EMPTY_SCENE), geos: new Map(), at: new Map(), layout: null,
      frames: [], routes: new Map(), run: NO_RUN, thumbs: new Map(), value: null, asked: null, slice: "", output: 0, alerts: [], finding: false, status: "", said: 0, offer: null, fits: null, found: null, far: false, ghost: null, refused: null, reach: null, busy: false,
      tour: null, link: "up", lost: 0, file: null, files: null, nameCheck: null, selected: [], edge: null, home: null, wire: null, pending: null, query: "", searching: false, panel: null, playing: false, speed: 1, flights: [],
      theme: 0, dragCursor: null, into: null, carry: null, dropEdge: null, blamed: new Map(), lit: DARK, mark: null, code: null, codeOpen: false, debugging: NO_DEBUGGING, training: null, task: null, story: null, storyOpen: false, writing: null, lecture: false, why: null, explained: null, revealed: null, form: null, clock: null, lanes: false, moment: null, firing: DARK,
    };
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  set(change: Partial<State>): void {
    this.state = { ...this.state, ...change, said: this.state.said + (change.status === undefined ? 0 : 1) };
    for (const l of [...this.listeners]) l();
  }

  /** Listens and says hello; returns the way to stop. */
  connect(): () => void {
    const back = () => { if (document.visibilityState === "visible") this.look(); };
    window.addEventListener("focus", back);
    document.addEventListener("visibilitychange", back);
    const stop = [
      this.wire.connect(),
      this.wire.subscribe((m, buffers) => this.receive(m, buffers)),
      watchConnection(this.model, (link) => this.linked(link)),
    ];
    void this.send({ type: "hello", version: VERSION });
    return () => {
      this.set({ playing: false });
      cancelAnimationFrame(this.frame);
      window.removeEventListener("focus", back);
      document.removeEventListener("visibilitychange", back);
      for (const s of stop) s();
      this.layouter.stop();
    };
  }

  /** The way to the kernel is open, broken for now, or there is no kernel any more. */
  private linked(link: State["link"]): void {
    const before = this.state.link;
    if (link === before || before === "gone") return;
    if (link === "gone") {
      this.set({ link, playing: false, lost: this.wire.abandon(CHANGES) });
      return;
    }
    this.set({ link, playing: false });
    if (link === "up") void this.resume();
  }

  /** The connection is back: see what the kernel has, and send what it has not answered. */
  private async resume(): Promise<void> {
    const waiting = this.wire.again(CHANGES);
    await this.send({ type: "hello", version: VERSION });
    this.say(waiting ? `Connected again; ${waiting === 1 ? "one change was" : `${waiting} changes were`} sent.` : "Connected again.");
  }

  private looked = 0;

  /** A person is back at this page: has something else changed the file meanwhile? */
  look(): void {
    const now = performance.now();
    if (!this.state.file?.path || this.state.link !== "up" || now - this.looked < LOOK) return;
    this.looked = now;
    this.quiet({ type: "command", name: "look" });
  }

  // ------------------------------------------------------------ from the kernel

  private receive(m: ToPage & { re?: number }, buffers: Float32Array[]): void | Promise<void> {
    const foreign = this.wire.foreign(m);
    if (foreign && ANSWERS.has(m.type)) return;     // what another view of this lab has asked for
    switch (m.type) {
      case "palette":
        this.set({ palette: m, ops: new Map(m.ops.map((o) => [o.type, o])) });
        if (m.version !== VERSION) this.alert("The page and the kernel are of different versions.", "Restart the kernel or reload the page.");
        return;
      case "scene": return this.takeScene(foreign ? { ...m, select: null, chosen: [] } : m);
      case "story":
        this.set({ story: m.at, ...(this.inFile && this.state.story === null ? { storyOpen: true } : {}) });     // a file with a storyboard is opened for it
        // after what the run's state has moved in this frame
        if (m.move && m.at !== null) { const at = m.at; requestAnimationFrame(() => requestAnimationFrame(() => { if (this.state.story === at) lookAt(this, at); })); }
        return;
      case "select":
        this.select([m.name], null, true);
        this.view?.show(m.name, true);
        return;
      case "pointed":
        this.pointed = m.name;
        this.light(null);
        return;
      case "state": return this.takeState(m, buffers[0] ?? new Float32Array());
      case "value": {
        if (m.tensor !== this.state.asked) return;
        this.set({ value: { message: m, data: buffers[0] ?? new Float32Array() } });
        return;
      }
      case "notice":
        if (m.level === "alert") this.alert(m.text, m.hint, m.node, m.edge, m.why);
        else this.say(m.hint ? `${m.text}\n${m.hint}` : m.text);
        return;
      case "offer":
        this.set({ offer: m });
        return;
      case "fits":
        this.set({ fits: m });
        return;
      case "preview":
        if (m.key === this.previewing) this.set({ ghost: m, ...(m.key.startsWith(WIRED) ? {} : { status: `Preview: ${m.text || m.why} Nothing has changed yet.` }) });
        return;
      case "reach":
        this.set({ reach: m });
        return;
      case "file":
        this.set({ file: m });
        return;
      case "files":
        this.set({ files: m });
        return;
      case "name_check":
        this.set({ nameCheck: m });
        return;
      case "clip":
        this.clip = { text: m.text, count: m.count };
        return;
      case "code":
        this.set({ code: m });
        return;
      case "debugging":
        this.takeDebugging(m);
        return;
      case "revealed":
        this.set({ revealed: m, status: revealedText(m) });
        return;
      case "task":
        this.set({ task: m });
        return;
      case "training":
        this.set({ training: m.title ? m : null });
        return;
      case "why":
        this.set({ why: m, lit: new Set(m.path) });
        if (m.drawn !== null) { this.select([m.drawn]); this.set({ why: m, lit: new Set(m.path) }); this.view?.show(m.drawn, true); }
        this.say(m.sentences.join(" "));
        return;
      case "clock":
        this.set({ clock: m });
        return;
      case "explained":
        this.set({ explained: m });
        this.say([m.arithmetic && `${m.arithmetic}.`, ...m.sentences].filter(Boolean).join(" "));
        return;
      case "found":
        this.set({ found: m });
        return;
      case "kept":
        keep(this.model, m);
        return;
      case "done": case "curves": case "history_file": case "histograms": case "boundary": case "lstm": case "place": case "lstm_layers": case "lstm_gradient": case "lstm_saturation": case "lstm_moments": case "conv": case "conv_window": case "conv_sweep": case "rnn": case "rnn_unit": case "rnn_uses": case "rnn_guesses": return;
      default: m satisfies never;
    }
  }

  private takeDebugging(m: Debugging): void {
    const put = (all: Debugging["questions"]) => all.find((q) => q.now);
    const before = put(this.state.debugging.questions);
    const now = put(m.questions);
    const place = now && (!before || keyOfQuestion(before) !== keyOfQuestion(now)) ? now.drawn ?? this.drawn(now.tensor.slice(0, now.tensor.lastIndexOf(":"))) : null;
    // a new question takes the place of what was revealed before
    this.set({ debugging: m, ...(place !== null ? { revealed: null, playing: false } : {}) });
    if (place !== null) requestAnimationFrame(() => this.view?.show(place, true));
  }

  private readonly layouter = new Layouter();

  /** What stands where it stood, or has a place already, needs no layout. */
  private settled(scene: Scene): boolean {
    const { at, layout, scene: before } = this.state;
    const all = [...scene.nodes, ...scene.scopes];
    // a small graph is laid out anew with every wire, so that it always reads well; in a large one what stands stays, until Tidy
    return layout !== null && (before?.structure === scene.structure || all.every((e) => e.x !== null && e.y !== null || at.has(e.name)) && (all.length > SETTLED || this.addedInFree(scene)));
  }

  private takeScene(scene: Scene): void | Promise<void> {
    performance.clearMarks(ARRIVED);
    performance.mark(ARRIVED);      // where a browser's profiler, and the benchmark, count from
    if (this.settled(scene) || !Layouter.large(scene)) return this.show(scene);
    return this.layouter.layout(scene).then((layout) => this.show(scene, layout));
  }

  private show(scene: Scene, made?: Layout): void {
    this.unpreview();
    const before = this.state;
    this.keepFocus();
    const first = before.scene === null;
    const wiring = new Wiring(scene);
    const geos = geometryOf(scene, wiring);
    const placed = new Map<string, Point>();
    for (const e of [...scene.nodes, ...scene.scopes]) if (e.x !== null && e.y !== null) placed.set(e.name, { x: e.x, y: e.y });
    const ids = [...scene.nodes, ...scene.scopes].map((e) => e.name);
    const same = before.scene?.structure === scene.structure;
    let layout = before.layout;
    let auto = new Map<string, Point>();
    if (layout && this.settled(scene)) {
      for (const id of ids) { const p = before.at.get(id); if (p && !placed.has(id)) auto.set(id, p); }
      const chips = new Map([...layout.chips].filter(([id]) => wiring.edges.has(id)));
      layout = { ...layout, chips };
    } else {
      layout = made ?? layoutOf(scene, wiring, geos);
      auto = new Map([...layout.at].filter(([id]) => !placed.has(id)));
      yieldTo(auto, placed, geos, scene.notes.map(noteRect));
    }
    const target = new Map([...auto, ...placed]);
    // what a hand holds stays in it, whatever another view or a cell has changed
    if (this.dragging) for (const id of this.dragged) { const p = before.at.get(id); if (p && target.has(id)) target.set(id, p); }
    sortStackPorts(geos, target, wiring);
    const names = new Set(ids);
    const selected = before.selected.filter((n) => names.has(n));
    const edge = before.edge !== null && wiring.edges.has(before.edge) ? before.edge : null;
    const resolved = this.state.alerts.filter((a) => a.edge === null || wiring.edges.has(a.edge));
    const base: Partial<State> = {
      scene, wiring, geos, layout, nodes: new Map(scene.nodes.map((n) => [n.name, n])), scopes: new Map(scene.scopes.map((s) => [s.name, s])), selected, edge,
      blamed: new Map(scene.diagnostics.flatMap((d) => d.sides.filter((side) => side.axes.length).map((side): [string, readonly number[]] => [`${side.tensor}->${d.node}:${side.port}`, side.axes]))),
      alerts: resolved.length === this.state.alerts.length ? this.state.alerts : resolved, flights: [],
      home: before.home !== null && names.has(before.home) ? before.home : ids[0] ?? null,
    };
    const moving = !first && [...target].some(([id, p]) => { const q = before.at.get(id); return q && (Math.abs(q.x - p.x) > 1 || Math.abs(q.y - p.y) > 1); });
    cancelAnimationFrame(this.frame); // a glide that is still under way would put back a map without the new elements
    if (moving && !this.dragging && ids.length <= GLIDING) this.glide(target, base);
    else this.arrangeAt(target, base);
    const grown = before.at.size === 0 && target.size > 0;
    // an error that this edit has caused must be seen, wherever it is
    const known = new Set(severe(before.scene).map(keyOf));
    const fresh = first ? undefined : severe(scene).find((d) => !known.has(keyOf(d)));
    const trouble = fresh ? this.drawn(fresh.node, target) : null;
    if (!same && !first && !grown && !this.dragging) this.view?.follow(target, geos, trouble ?? scene.select ?? scene.chosen[scene.chosen.length - 1] ?? selected[selected.length - 1] ?? null);
    else if (trouble !== null && !this.dragging) this.view?.show(trouble, true);
    const mark = this.state.mark;
    if (mark && mark.index >= scene[mark.kind === "note" ? "notes" : "frames"].length) this.set({ mark: null });
    if (this.state.codeOpen && scene.revision !== before.scene?.revision) this.askCode();
    const chosen = scene.chosen.filter((n) => names.has(n));
    if (chosen.length > 1 || chosen.length && scene.select === null) {
      this.select(chosen);
      this.adding = false;
    } else if (scene.select !== null && names.has(scene.select)) {
      this.select([scene.select]);
      // the keyboard goes on from the new element, unless the person is already typing the next one
      const active = activeIn(this.root);
      if (this.adding && (!active || active === this.root || active === document.body || !(active instanceof HTMLInputElement && active.value !== ""))) this.focus(scene.select);
      this.adding = false;
    } else this.ask();
    if (first || grown) requestAnimationFrame(() => this.open());
  }

  /** The first look at a graph: from where reading starts, and at what does not fit, wherever that is. */
  open(): void {
    this.view?.fit();
    const trouble = severe(this.state.scene)[0];
    const place = trouble ? this.drawn(trouble.node) : null;
    if (place !== null) this.view?.show(place);
  }

  /** Was something added, and all of it put where there was room? Then nothing else has to move. */
  private addedInFree(scene: Scene): boolean {
    const { at } = this.state;
    const all = [...scene.nodes, ...scene.scopes];
    const added = all.filter((e) => !at.has(e.name));
    if (!added.length || all.length !== at.size + added.length) return false;
    const rects = this.rects();
    const geos = geometryOf(scene);
    return added.every(({ name, x, y }) => {
      const g = geos.get(name);
      return x !== null && y !== null && g !== undefined && !rects.some((r) => overlaps({ x, y, w: g.w, h: g.h }, r, 0));
    });
  }

  /** When what had the focus goes away with the old scene, the keyboard goes on from what is selected. */
  private keepFocus(): void {
    const { root } = this;
    if (!root?.contains(activeIn(root))) return;
    requestAnimationFrame(() => {
      const active = activeIn(root);
      if (active !== null && active !== document.body) return;
      const { selected, edge } = this.state;
      const id = edge !== null ? `edge:${edge}` : selected[selected.length - 1];
      ((id !== undefined && this.refs.get(id)) || root).focus({ preventScroll: true });
    });
  }

  dragging = false;
  /** The node whose wires are gone through by keyboard. */
  wiresOf: string | null = null;
  dragged: readonly string[] = [];
  /** Does the viewport still follow the graph, or has a person moved it? */
  following = true;

  /** The drawn element that stands for a node: itself, or the folded scope it is in. */
  drawn(node: string, at: ReadonlyMap<string, Point> = this.state.at): string | null {
    for (let n = node; n !== ""; n = n.slice(0, Math.max(0, n.lastIndexOf("/")))) if (at.has(n)) return n;
    return null;
  }

  /** Puts everything where `at` says. */
  arrangeAt(at: Map<string, Point>, more: Partial<State> = {}): void {
    const s = { ...this.state, ...more };
    const scene = s.scene ?? EMPTY_SCENE;
    const auto = s.layout;
    const moved = (id: string) => { const p = auto?.at.get(id); const q = at.get(id); return !p || !q || Math.abs(p.x - q.x) > 2 || Math.abs(p.y - q.y) > 2; };
    this.set({ ...more, at, frames: framesOf(scene, at, s.geos, s.wiring, auto?.chips), routes: routesOf(scene, at, s.geos, s.wiring, auto, moved) });
  }

  /** Moves everything smoothly to new places. */
  private glide(target: Map<string, Point>, more: Partial<State>): void {
    cancelAnimationFrame(this.frame);
    if (prefersReducedMotion()) return this.arrangeAt(target, more);
    const from = this.state.at;
    const start = performance.now();
    let extra = more;
    const tick = () => {
      const t = Math.min(1, (performance.now() - start) / TIDY);
      const k = t < 0.5 ? 4 * t * t * t : 1 - (-2 * t + 2) ** 3 / 2;
      const at = new Map<string, Point>();
      for (const [id, p] of target) { const q = from.get(id) ?? p; at.set(id, { x: q.x + (p.x - q.x) * k, y: q.y + (p.y - q.y) * k }); }
      this.arrangeAt(t === 1 ? target : at, extra);
      extra = {};
      if (t < 1) this.frame = requestAnimationFrame(tick);
    };
    tick();
  }

  private takeState(m: RunState, buffer: Float32Array): void {
    const old = m.full ? NO_RUN : this.state.run;
    const merge = <T>(map: ReadonlyMap<string, T>, change: Record<string, T>): ReadonlyMap<string, T> => {
      const entries = Object.entries(change);
      return entries.length ? new Map([...map, ...entries]) : map;
    };
    const { type: _t, full: _f, thumbs: sent, gone, fired, states, progress, inputs, versions, ticks, names, ...rest } = m;
    const run: Run = {
      ...rest, states: merge(old.states, states), progress: merge(old.progress, progress), inputs: merge(old.inputs, inputs), versions: merge(old.versions, versions),
      ticks: ticks ?? this.state.run.ticks, names: names ?? this.state.run.names,
    };
    let thumbs = m.full ? new Map<string, Tensor>() : this.state.thumbs;
    if (sent.length || gone.length) {
      const next = new Map(thumbs);
      for (const t of gone) next.delete(t);
      for (const t of sent) next.set(t.tensor, { ...t, data: buffer.slice(t.offset, t.offset + t.rows * t.cols) });
      thumbs = next;
    }
    // what follows an edit by itself shows its numbers, and makes no show of how they came
    const flights = m.live && fired.length > 1 ? [] : fired.length ? this.launch(new Set(fired)) : m.cursor === this.state.run.cursor ? this.state.flights : [];
    const moved = m.cursor !== this.state.run.cursor;
    const recorded = ticks !== null || names !== null || m.full;    // another record, so another clock
    this.set({ run, thumbs, flights, ...(recorded ? { clock: null } : {}) });
    if (recorded && this.state.lanes) this.askClock();
    // what has just fired comes into sight; a whole run has no one place to look at
    const place = m.last_drawn;
    if (moved && place !== null && !m.full && fired.length <= FOLLOWED && !m.live && !this.dragging) requestAnimationFrame(() => this.view?.show(place, true));
    if (m.error) this.alert(m.error.message, m.error.hint, m.error.node);
    if (run.done && this.state.playing) this.set({ playing: false });
    this.ask();
  }

  /** The edges along which tensors travel now: out of what fired, and from sources into it. */
  private launch(fired: Set<string>): Flight[] {
    const { scene, selected } = this.state;
    if (!scene) return [];
    const maker = (tensor: string) => tensor.slice(0, tensor.lastIndexOf(":"));
    let edges = scene.edges.filter((e) => !e.control && e.error === null && e.tensor !== null
      && (fired.has(maker(e.tensor)) || (fired.has(e.dst) && this.state.nodes.get(e.src)?.source)));
    if (scene.edges.length > TRAVELLERS) { const along = this.state.wiring.through(selected); edges = edges.filter((e) => along.has(e.id)); }
    return edges.slice(0, TRAVELLERS).map((e) => ({ key: ++this.serial, edge: e.id }));
  }

  private readonly down = new Set<number>();

  /** A token has arrived; those that arrive together are taken away together. */
  landed(key: number): void {
    if (this.down.size === 0) {
      setTimeout(() => {
        const flights = this.state.flights.filter((f) => !this.down.has(f.key));
        this.down.clear();
        if (flights.length !== this.state.flights.length) this.set({ flights });
      }, 0);
    }
    this.down.add(key);
  }

  // ------------------------------------------------------------ to the kernel

  command(name: Command["name"], more: Partial<Omit<Command, "type" | "name">> = {}): Promise<boolean> {
    if (this.state.alerts.length && (name === "run" || name === "resume" || name === "stop")) this.set({ alerts: [], revealed: null });    // what stopped the run before
    if (this.state.why !== null && (name === "run" || name === "stop")) this.set({ why: null, lit: DARK });      // a story of the run before
    return this.send({ type: "command", name, node: null, cursor: null, scopes: [], ...more });
  }

  /** A button of the exercise. */
  task(name: TaskDo["name"]): Promise<boolean> { return this.send({ type: "do_task", name }); }

  /** A button of the training that the lab follows. */
  train(name: Train["name"], more: Partial<Omit<Train, "type" | "name">> = {}): Promise<boolean> {
    return this.send({ type: "train", name, ...more });
  }

  /** A breakpoint, a watch, an override or a question. */
  debug(name: Debug["name"], more: Partial<Omit<Debug, "type" | "name">> = {}): Promise<boolean> {
    if (this.state.lecture && !IN_LECTURES.has(name) && this.refuses()) return Promise.resolve(false);
    if (this.state.alerts.length && TYPED.has(name)) this.set({ alerts: [] });      // what was wrong with the text before
    return this.send({ type: "debug", name, target: null, text: "", ...more });
  }

  private waiting = 0;

  /** Sends a message; the lab is busy until the kernel has answered. */
  private send(message: Outgoing): Promise<boolean> {
    if (this.waiting++ === 0) this.set({ busy: true });
    // a kernel that was restarted knows nothing of this lab and never answers: say so instead of waiting in silence
    const silence = setTimeout(() => { if (this.state.run.mode !== "run") this.say(SILENT); }, PATIENCE);
    return this.wire.send(message).finally(() => {
      clearTimeout(silence);
      if (this.state.status === SILENT) this.say("");
      if (--this.waiting === 0) this.set({ busy: false });
    });
  }

  /** Sends what nobody waits for: it must not make the lab look busy. */
  quiet(message: Outgoing): void { void this.wire.send(message); }

  /** Asks the kernel for something; the answer has come when this is fulfilled. */
  request(message: Outgoing): Promise<boolean> { return this.send(message); }

  /** Changes the document. Edits in a row that share `merge` are one step of undo. */
  async edit(edits: Record<string, unknown>[], said?: string, merge = ""): Promise<boolean> {
    if ((this.state.lecture || edits.some((e) => e.tag !== "Move")) && this.refuses()) return false;
    if (this.state.link === "gone") {
      this.alert("This change was not made: the kernel is gone.", "Run the cell again, and go on with your graph there.");
      return false;
    }
    if (this.state.alerts.length) this.set({ alerts: [] });
    const before = this.state.status;
    const ok = await this.send({ type: "edit", edits, merge });
    if (ok && said && this.state.status === before) this.say(said);  // the kernel may have told more
    return ok;
  }

  private previewing: string | null = null;

  /** Shows what these edits would come to, until `unpreview`: nothing changes. */
  preview(key: string, edits: Record<string, unknown>[]): void {
    if (this.previewing === key) return;
    this.unpreview();
    this.previewing = key;
    this.quiet({ type: "ask_preview", key, edits });
  }

  /** Takes the ghosts away. */
  unpreview(): boolean {
    const shown = this.state.ghost !== null || this.state.refused !== null;
    this.previewing = null;
    if (shown) this.set({ ghost: null, refused: null, ...(this.state.status.startsWith("Preview: ") ? { status: "" } : {}) });
    return shown;
  }

  /** A wire is being drawn, and this port is under the mouse or has the focus: would it fit? */
  tryWire(port: PortRef): void {
    const from = this.state.wire?.from;
    if (!from || (from.node === port.node && from.dir === port.dir && from.port === port.port)) return;
    this.unpreview();
    const why = this.refusal(from, port);
    if (why !== null) return this.set({ refused: { port, text: why } });
    const [src, dst] = from.dir === "out" ? [from, port] : [port, from];
    this.preview(`${WIRED}${hookOf(port)}`, [{ tag: "Connect", src: `${src.node}:${src.port}`, dst: `${dst.node}:${dst.port}` }]);
  }

  /** Asks which ports a wire from here would not fit: they dim. */
  askReach(port: PortRef): void {
    this.unpreview();
    const hook = hookOf(port);
    this.set({ reach: null });
    this.quiet({ type: "ask_reach", port: hook });
  }

  /** Says what happened. English, as everything that is said: it is put into the language of the screen where it is shown. */
  say(text: string): void { this.set({ status: text }); }

  alert(text: string, hint = "", node: string | null = null, edge: string | null = null, why = false): void {
    const same = this.state.alerts.filter((a) => a.text !== text || a.node !== node);
    // what went well before is no news beside it
    this.set({ alerts: [...same.slice(-2), { id: ++this.serial, text, hint, node, edge, why }], playing: false, ...(this.state.status ? { status: "" } : {}) });
    const place = node === null ? null : this.drawn(node);
    if (place !== null) requestAnimationFrame(() => this.view?.show(place, true));
  }

  /** Says why nothing can be changed: there is no kernel for it, or a lecture is on; false where it can. */
  refuses(): boolean {
    if (this.state.lecture) { this.say("A lecture changes nothing: Esc leaves it."); return true; }
    if (this.inFile) this.alert(NEEDS_KERNEL, GET_KERNEL);
    return this.inFile;
  }

  dismiss(id: number): void { this.set({ alerts: this.state.alerts.filter((a) => a.id !== id) }); }

  // ------------------------------------------------------------ selection and the value on show

  /** Selects these; `quiet`: the kernel knows, it said so. */
  select(names: string[], edge: string | null = null, quiet = false): void {
    const same = names.length === this.state.selected.length && names.every((n, i) => n === this.state.selected[i]);
    if (this.state.mark && (names.length || edge !== null)) this.set({ mark: null });
    if (same && edge === this.state.edge) return;
    this.wiresOf = null;
    this.set({ selected: names, edge, output: 0, slice: "", form: null, explained: null, home: names[names.length - 1] ?? this.state.home });
    if (!same && !quiet) void this.send({ type: "selected", names });
    this.light(null);
    if (!same && this.state.codeOpen && this.state.code !== null && this.state.code.names.length) this.askCode();
    this.ask();
  }

  private hovered: string | null = null;
  /** What somebody points at in a view of the same session. */
  private pointed: string | null = null;

  /** Lights the partners of what the mouse is over; else those of what is selected. */
  light(id: string | null, over = false): void {
    if (over) this.hovered = id;
    const { selected, why } = this.state;
    const lit = why !== null ? new Set(why.path) : this.pointed !== null && this.hovered === null ? new Set([this.pointed]) : partnersOf(this, this.hovered ?? (selected.length === 1 ? selected[0] : null));
    if (lit.size || this.state.lit.size) this.set({ lit });
  }

  /** Asks for the Python of what is selected, if that was asked for, or of the whole graph. */
  askCode(part = (this.state.code?.names.length ?? 0) > 0): void {
    this.quiet({ type: "ask_code", names: part ? this.state.selected : [] });
  }

  selectMark(mark: Mark | null): void {
    if (this.state.lecture) return;
    if (mark) this.select([]);
    this.set({ mark });
  }

  inputsOf(id: string): Plug[] {
    const node = this.state.nodes.get(id);
    if (node) return node.inputs.map((p) => ({ port: p.port, label: p.port, wired: p.wired, optional: p.optional, tensor: null, shape: null }));
    return (this.state.scopes.get(id)?.in_ports ?? []).map((p) => ({ port: p.port, label: p.label || p.port, wired: p.wired, optional: false, tensor: p.tensor, shape: p.shape }));
  }

  outputsOf(id: string): Plug[] {
    const node = this.state.nodes.get(id);
    if (node) return node.outputs.map((o) => ({ port: String(o.index), label: o.name, wired: false, optional: false, tensor: o.tensor, shape: o.shape }));
    return (this.state.scopes.get(id)?.out_ports ?? []).filter((p) => p.tensor !== null).map((p) => ({ port: p.port, label: p.label || p.port, wired: p.wired, optional: false, tensor: p.tensor, shape: p.shape }));
  }

  /** The tensor the inspector shows. */
  shown(): string | null {
    const { selected, edge, nodes, scopes, wiring, output } = this.state;
    if (edge !== null) return wiring.edges.get(edge)?.tensor ?? null;
    if (selected.length !== 1) return null;
    const node = nodes.get(selected[0]);
    if (node) return (node.outputs[output] ?? node.outputs[0])?.tensor ?? null;
    const out = scopes.get(selected[0])?.out_ports.find((p) => p.label !== "" && p.tensor !== null);
    if (out) return out.tensor;
    if (scopes.has(selected[0])) return (wiring.outOf.get(selected[0]) ?? []).find((e) => e.tensor !== null)?.tensor ?? null;
    return null;
  }

  /** Asks for the shown tensor anew: it, the document or the cursor has changed. */
  ask(): void {
    const tensor = this.shown();
    if (tensor !== this.state.asked) this.set({ asked: tensor, value: null });
    if (tensor !== null) void this.send({ type: "ask", tensor, slice: this.state.slice });
  }

  /** The tensor that a new operation would go on with: the pending port's, else the one on show. */
  offered(): string | null {
    const { pending, into, wiring } = this.state;
    if (into !== null) return wiring.edges.get(into)?.tensor ?? null;
    if (!pending) return this.shown();
    if (pending.dir === "in") return null;
    return this.outputsOf(pending.node).find((o) => o.port === pending.port)?.tensor ?? null;
  }

  focus(id: string): void {
    const go = () => this.refs.get(id)?.focus({ preventScroll: true });
    go();
    requestAnimationFrame(go);
  }

  /** Where the keyboard goes on: at what is selected, else on the canvas. */
  back(): void {
    const { selected, edge } = this.state;
    const id = edge !== null ? `edge:${edge}` : selected[selected.length - 1];
    const canvas = this.root?.querySelector<HTMLElement>(".react-flow");
    ((id !== undefined && this.refs.get(id)) || canvas)?.focus({ preventScroll: true });
  }

  /** Selects and focuses an element, and brings it into view. */
  go(id: string): void {
    this.select([id]);
    this.view?.show(id);
    this.focus(id);
  }

  // ------------------------------------------------------------ building

  /** Names that exist: drawn elements and opened scopes. */
  private taken(): Set<string> {
    const { scene } = this.state;
    return new Set([...(scene?.nodes ?? []), ...(scene?.scopes ?? []), ...(scene?.opened ?? [])].map((e) => e.name));
  }

  freshName(base: string, also: ReadonlySet<string> = new Set()): string {
    const taken = this.taken();
    const used = (n: string) => taken.has(n) || also.has(n);
    if (!used(base)) return base;
    for (let i = 1; ; i++) if (!used(`${base}_${i}`)) return `${base}_${i}`;
  }

  rects(): Rect[] {
    const out: Rect[] = [];
    for (const [id, p] of this.state.at) { const g = this.state.geos.get(id); if (g) out.push({ ...p, w: g.w, h: g.h }); }
    return out;
  }

  /** The innermost loop or branch that an element is drawn inside of. */
  loopOf(id: string): OpenScope | null {
    let found: OpenScope | null = null;
    for (const o of this.state.scene?.opened ?? []) if (o.loop !== null && id.startsWith(`${o.name}/`) && id !== o.node && (found === null || o.name.length > found.name.length)) found = o;
    return found;
  }

  /** The scope that a new node stands in: that of a loop, where it is added inside one. */
  private scopeFor(point: Point | null): string {
    const { pending, selected, frames, nodes, scene } = this.state;
    const opened = scene?.opened ?? [];
    if (pending !== null) {
      const own = opened.find((o) => o.node === pending.node);
      if (own) return pending.dir === "in" && pending.port !== "predicate" ? own.name : this.loopOf(own.name)?.name ?? "";
      const loop = this.loopOf(pending.node);
      // what feeds an input of the loop comes from around it
      const comes = pending.dir === "in" && nodes.get(pending.node)?.inputs.find((p) => p.port === pending.port)?.back === false && !this.state.ops.get(nodes.get(pending.node)?.op ?? "")?.fires;
      return (comes && loop ? this.loopOf(loop.name)?.name : loop?.name) ?? "";
    }
    if (point !== null) {
      const over = frames.filter((f) => f.loop !== null && point.x >= f.x && point.x <= f.x + f.w && point.y >= f.y && point.y <= f.y + f.h);
      return over[over.length - 1]?.name ?? "";
    }
    return selected.length ? this.loopOf(selected[selected.length - 1])?.name ?? "" : "";
  }

  /** Adds an operation in a free place, and wires the pending port where it fits. */
  async add(type: string): Promise<void> {
    const spec = this.state.ops.get(type);
    if (!spec) return;
    const { pending, selected, at, geos, into } = this.state;
    const view = this.view?.visible() ?? null;
    let near: Point = view ? { x: view.x + 24, y: view.y + 40 } : { x: 0, y: 0 };
    const anchor = pending?.node ?? selected[selected.length - 1];
    const p = anchor === undefined ? undefined : at.get(anchor);
    const g = anchor === undefined ? undefined : geos.get(anchor);
    if (p && g) near = pending?.dir === "in" ? { x: p.x - 147, y: p.y } : { x: p.x + g.w + 33, y: p.y };
    // a place is only given where the person chose one, or where nothing is laid out anew
    const chosen = this.dropPoint !== null || this.state.at.size > SETTLED;
    this.dropped_at = this.dropPoint && { x: this.dropPoint.x + 57, y: this.dropPoint.y };
    if (this.dropPoint) near = { x: this.dropPoint.x, y: this.dropPoint.y - 46 };
    this.dropPoint = null;
    const scope = this.scopeFor(this.dropped_at);
    this.dropped_at = null;
    const place = chosen ? freePlace(this.rects(), { w: 120, h: 92 }, near, view) : null;
    if (into !== null) {
      this.adding = true;
      this.set({ query: "", pending: null, into: null, wire: null, panel: null });
      this.root?.focus({ preventScroll: true });
      await this.edit([{ tag: "Insert", edge: into, op: type, ...(place ?? {}) }]);
      return;
    }
    const tensor = this.offered();
    const fit = tensor !== null && this.state.fits?.tensor === tensor ? this.state.fits.ports[type] : undefined;
    const name = pending || spec.called !== "" ? this.freshName(`${scope === "" ? "" : `${scope}/`}${spec.called || type}`) : undefined;
    const edits: Record<string, unknown>[] = [{ tag: "AddNode", op: type, ...(name ? { name } : { scope }), ...(place ?? {}), attrs: {} }];
    if (pending && name) {
      if (pending.dir === "out" && spec.inputs.length) edits.push({ tag: "Connect", src: `${pending.node}:${pending.port}`, dst: `${name}:${fit ?? (spec.variadic ? `${spec.inputs[0]}.0` : spec.inputs[0])}` });
      if (pending.dir === "in" && spec.outputs.length) edits.push({ tag: "Connect", src: `${name}:0`, dst: `${pending.node}:${pending.port}` });
    }
    this.adding = true;
    this.set({ query: "", pending: null, wire: null, panel: null });
    this.root?.focus({ preventScroll: true });
    await this.edit(edits, `Added ${spec.function}.`);
  }

  /** Was a wire just dropped in empty space? The click that ends such a drag is no click on the canvas. */
  dropped = false;
  /** Is the mouse down in the canvas? A focus that follows it selects through the click, not through the focus. */
  pointing = false;
  dropPoint: Point | null = null;
  private dropped_at: Point | null = null;
  private barred: { key: string; wiring: Wiring; nodes: Set<string> } | null = null;

  /** Does a wire from this port refuse that side of that node? Read by every port while wiring. */
  blocked(from: PortRef, node: string, dir: "in" | "out"): boolean {
    if (from.dir === dir) return true;
    if (this.goesBack(from.dir === "in" ? from : { node, dir, port: this.backPort(node) })) return false;
    if (from.node === node) return true;
    const { wiring } = this.state;
    const key = `${from.dir}:${from.node}`;
    if (this.barred?.key !== key || this.barred.wiring !== wiring) {
      const nodes = new Set([from.node]);
      const todo = [from.node];
      // from an output: whoever leads here; from an input: whatever follows
      for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
        for (const e of (from.dir === "out" ? wiring.into : wiring.outOf).get(at) ?? []) {
          if (e.loop) continue;
          const next = from.dir === "out" ? e.src : e.dst;
          if (!nodes.has(next)) { nodes.add(next); todo.push(next); }
        }
      }
      this.barred = { key, wiring, nodes };
    }
    return this.barred.nodes.has(node);
  }

  /** The port of a state that takes what it becomes, if the element is one. */
  private backPort(node: string): string { return this.state.nodes.get(node)?.inputs.find((p) => p.back)?.port ?? ""; }

  /** Does this input take what comes back at the next timestep? */
  private goesBack(port: PortRef): boolean {
    return port.dir === "in" && (this.state.nodes.get(port.node)?.inputs.find((p) => p.port === port.port)?.back ?? false);
  }

  /** A port's place on the canvas. */
  portPoint(port: PortRef): Point {
    const p = this.state.at.get(port.node) ?? { x: 0, y: 0 };
    const g = this.state.geos.get(port.node)?.byKey.get(`${port.dir}:${port.port}`);
    return { x: p.x + (g?.x ?? 0), y: p.y + (g?.y ?? 0) };
  }

  /** Opens the search for an operation, for this port if one is given, to stand at this point if one is given. */
  askForOperation(port: PortRef | null = null, point: Point | null = null, into: string | null = null): void {
    if (this.refuses()) return;
    this.dropPoint = point;
    this.set({ pending: port, into, wire: null, panel: "add", query: "" });
    requestAnimationFrame(() => { this.search?.focus(); this.search?.select(); });
  }

  /** Can these two ports be joined? Null if so, else the reason. */
  refusal(a: PortRef, b: PortRef): string | null {
    if (a.dir === b.dir) return a.dir === "in" ? "An input can't feed an input: start at an output." : "Two outputs can't be joined: end at an input.";
    const [src, dst] = a.dir === "out" ? [a, b] : [b, a];
    if (this.goesBack(dst)) return null;
    if (src.node === dst.node) return "A node can't feed itself: that would be a cycle.";
    if (this.state.wiring.reaches(dst.node, src.node)) return `${dst.node} already leads to ${src.node}: this wire would close a cycle.`;
    return null;
  }

  async join(a: PortRef, b: PortRef): Promise<void> {
    this.unpreview();
    this.set({ wire: null, pending: null, alerts: [] });
    const why = this.refusal(a, b);
    if (why !== null) return this.alert(why, why.includes("cycle") ? "What goes round goes through a loop over time: add a Scan, and wire to the port next of its state." : "", b.node);
    const [src, dst] = a.dir === "out" ? [a, b] : [b, a];
    await this.edit([{ tag: "Connect", src: `${src.node}:${src.port}`, dst: `${dst.node}:${dst.port}` }], `Wired ${src.node} to ${dst.node}, port ${dst.port}.`);
  }

  async remove(): Promise<void> {
    const { edge, selected, wiring, scene, mark } = this.state;
    if (mark !== null) {
      this.set({ mark: null });
      await this.edit([{ tag: mark.kind === "note" ? "RemoveNote" : "RemoveFrame", index: mark.index }], mark.kind === "note" ? "Removed the note." : "Removed the frame; what is in it stays.");
      this.root?.focus({ preventScroll: true });
      return;
    }
    if (edge !== null) {
      const e = wiring.edges.get(edge);
      if (e && await this.edit([cut(e)], "Cut the wire.") && this.wiresOf !== null) { this.go(this.wiresOf); this.wiresOf = null; }
      return;
    }
    if (!selected.length || !scene) return;
    await this.edit([{ tag: "RemoveNodes", names: selected }], selected.length === 1 ? `Removed ${selected[0]}.` : `Removed ${selected.length} nodes.`);
    this.root?.focus({ preventScroll: true });
  }

  /** A layout from scratch for everything, as one step that can be undone. */
  async tidy(): Promise<void> {
    const { scene, wiring, geos } = this.state;
    if (!scene || !scene.nodes.length && !scene.scopes.length) return;
    const layout = Layouter.large(scene) ? await this.layouter.layout(scene) : layoutOf(scene, wiring, geos);
    if (this.state.scene !== scene) return;     // it has changed meanwhile
    this.set({ layout });
    const positions = Object.fromEntries([...layout.at].map(([id, p]) => [id, [p.x, p.y]]));
    await this.edit([{ tag: "Move", positions }], "Tidied.");
    this.view?.fit();
  }

  fold(scopes: string[], open: boolean): void {
    void this.command(open ? "unfold" : "fold", { scopes }).then(() => { if (!scopes.length) setTimeout(() => this.view?.fit(), TIDY + 20); });
  }

  /** Unfolds a scope and goes on at the first thing inside. */
  async into(scope: string): Promise<void> {
    const stack = (this.state.scopes.get(scope)?.stack ?? null) !== null;
    const fired = this.state.run.progress.get(scope);
    if (!await this.command("unfold", { scopes: [scope] })) return;
    // while a run is stepped, going in is a step too: to the first node in there
    const steps = !stack && (this.state.run.mode === "paused" || this.state.run.recording !== null) && fired !== undefined && fired[0] < fired[1];
    if (steps) await this.command("into", { node: scope });
    const first = stack ? this.state.selected[0] : (steps ? this.state.run.next_drawn : null) ?? [...this.state.at.keys()].find((id) => id.startsWith(`${scope}/`));
    if (first !== undefined) this.go(first);
  }

  /** What was taken out of a stack goes back into it, and the keyboard goes on there. */
  async backToStack(id: string): Promise<void> {
    if (!await this.command("fold", { scopes: [id] })) return;
    const [stack] = this.state.selected;
    if (stack !== undefined && stack !== id) this.go(stack);
  }

  /** Is part of the document hidden in what is folded? Only then is the kernel asked to look for a name. */
  hides(): boolean { return this.state.scopes.size > 0; }

  /** Goes to what was found, and unfolds what it is hidden in. */
  async reveal(hit: Pick<Hit, "name" | "drawn">): Promise<void> {
    if (hit.drawn !== hit.name && !this.state.at.has(hit.name) && !await this.command("reveal", { node: hit.name })) return;
    const id = this.state.at.has(hit.name) ? hit.name : [...this.state.at.keys()].find((k) => k.startsWith(`${hit.name}/`));
    if (id === undefined) return;
    this.select([id]);
    this.view?.centre(id);
    this.focus(id);
  }

  /** Folds a scope and goes on at its card; one that a run stands in is run to its end. */
  async outOf(scope: string): Promise<void> {
    const { run } = this.state;
    if ((run.mode === "paused" || run.recording !== null) && run.next !== null && run.next.startsWith(`${scope}/`)) await this.command("out", { node: scope });
    if (await this.command("fold", { scopes: [scope] }) && this.state.at.has(scope)) this.go(scope);
  }

  // ------------------------------------------------------------ playing

  async play(): Promise<void> {
    if (this.state.playing) return;
    this.set({ playing: true, status: "Playing." });
    const { run } = this.state;
    if (run.total > 0 && run.cursor >= run.total) await this.command("seek", { cursor: 0 });
    if (this.state.lanes && this.state.clock !== null && this.state.run.cursor < this.state.run.length) return this.playRecorded(this.state.clock);
    while (this.state.playing) {
      const start = performance.now();
      const before = this.state.run.cursor;
      const ok = await this.command(this.state.run.total > 400 ? "step_level" : "step");
      const now = this.state.run;
      if (!ok || now.cursor === before || now.done) break;
      const beat = (TRAVEL + 120) / this.state.speed;
      await new Promise((r) => setTimeout(r, Math.max(0, beat - (performance.now() - start))));
    }
    if (this.state.playing) this.set({ playing: false });
  }

  /** Plays what is recorded by its clock: whatever fired at the same time fires at the same time. */
  private async playRecorded(clock: Clock): Promise<void> {
    const scale = new ClockScale(clock, 0);
    const whole = Math.max(SHORTEST, Math.min(LONGEST, clock.start.length * BEAT));      // ms that the whole run takes at 1×
    let moment = scale.ends[this.state.run.cursor];
    let last = performance.now();
    const still = prefersReducedMotion();
    this.say(`As recorded: ${seconds(scale.span)} in ${(whole / this.state.speed / 1000).toFixed(1)} s.`);
    while (this.state.playing && this.state.clock === clock) {
      const now = await new Promise(requestAnimationFrame);
      moment = Math.min(scale.span, moment + (Math.max(0, now - last) / whole) * this.state.speed * scale.span);
      last = now;
      const firing = this.firingAt(clock, moment);
      if (!still || firing !== null) this.set({ moment: still ? null : moment, ...(firing === null ? {} : { firing }) });
      const cursor = scale.cursor(moment);
      if (cursor > this.state.run.cursor && !this.sought) void this.seek(cursor);
      if (moment >= scale.span && this.state.run.cursor >= this.state.run.length) break;
    }
    this.set({ moment: null, firing: DARK, playing: false });
  }

  /** What fires then, by what it is drawn in; null if that is what is shown already. */
  private firingAt(clock: Clock, moment: number): ReadonlySet<string> | null {
    const now = new Set<string>();
    clock.start.forEach((start, k) => { const id = clock.drawn[k]; if (id !== null && start <= moment && moment < start + clock.took[k]) now.add(id); });
    const { firing } = this.state;
    return now.size === firing.size && [...now].every((id) => firing.has(id)) ? null : now;
  }

  /** Shows the timeline by the clock, or firing by firing. */
  setLanes(on: boolean): void {
    this.pause();
    this.set({ lanes: on, status: on ? "As recorded: a lane for each device, by the clock. Play goes by it." : "Firing by firing." });
    if (on && this.state.clock === null) this.askClock();
  }

  askClock(): void { this.quiet({ type: "ask_clock" }); }

  pause(): void {
    if (this.state.playing) this.set({ playing: false, status: "Paused." });
  }

  /** Pause: of playing, or of a run that is going on in the kernel. */
  halt(): void {
    if (this.state.playing) this.pause();
    else if (this.running()) void this.command("pause");
  }

  /** Is a run going on in the kernel that can be paused? */
  running(): boolean { return this.state.busy && this.state.run.mode === "run"; }

  /** The bookmark that is on the way to. */
  heading: number | null = null;

  private seeking: number | null = null;
  private sought = false;

  /** Time travel: only the latest wish is sent while an answer is on its way. */
  async seek(cursor: number): Promise<void> {
    this.seeking = cursor;
    this.set({ dragCursor: cursor });
    if (this.sought) return;
    this.sought = true;
    while (this.seeking !== null) {
      const to = this.seeking;
      this.seeking = null;
      await this.command("seek", { cursor: to });
    }
    this.sought = false;
    this.set({ dragCursor: null });
  }
}

/** What keys of previews of a wire that is being drawn begin with. */
export const WIRED = "wire ";

/** A port as its hook names it. */
export const hookOf = (p: PortRef): string => `${p.node}:${p.dir}:${p.port}`;

/** The edit that takes this wire away. */
export function cut(e: SceneEdge): Record<string, unknown> {
  return e.control ? { tag: "RemoveControl", src: e.src, dst: e.dst } : { tag: "Disconnect", dst: `${e.dst}:${e.dst_port}` };
}

/** Diagnostics that stop something, in the order they should be read. */
export const severe = (scene: Scene | null): Diagnostic[] => (scene?.diagnostics ?? []).filter((d) => d.severe);

/** What makes a diagnostic the same one after the next edit. */
export const keyOf = (d: Diagnostic): string => `${d.kind} ${d.node} ${d.port ?? ""} ${d.edge ?? ""}`;

export const LabContext = React.createContext<Lab | null>(null);

/** The lab around a part; what the part says is said anew when the language changes. */
export function useLab(): Lab {
  useLanguage();
  const lab = React.useContext(LabContext);
  if (!lab) throw new Error("no lab around this part");
  return lab;
}

/** Part of the state; the component draws again when that part is another object. */
export function useLabState<T>(pick: (s: State) => T): T {
  const lab = useLab();
  return React.useSyncExternalStore(lab.subscribe, () => pick(lab.state));
}
