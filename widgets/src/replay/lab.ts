// The lab's kernel, played by what a file has recorded: it answers the lab's messages as flowlab/widgets/editor.py does for a recorded run.
import type { BreakSpec, Clock, Debugging, Heat, RunState, Thumb, WatchSpec } from "../protocol.gen";
import { type Content, type Held, type Run, type State, bare } from "./data";
import { type Drawing, Drawings, type Stack } from "./drawing";
import { type Incoming, type Say, notice, refused } from "./model";
import { type Numbers, SliceError, bytesOf } from "./numbers";

const LINE = 400;

export class RecordedLab {
  private readonly run: Run;
  private readonly drawings: Drawings;
  private drawing: Drawing;
  private folded: Set<string>;
  private spread = new Set<string>();
  private revision = 0;
  private cursor = 0;
  // where the run stands, node by node
  private states = new Map<string, State>();
  private planned = new Set<string>();
  private timesteps: Record<string, string> = {};
  private values = new Map<string, Held>();
  private applied = -1;
  // what the page has been told
  private sent = new Map<string, Held>();
  private sentStates = new Map<string, State>();
  private watched: string[] = [];
  private boxes = new Map<string, string>();
  private breaks: BreakSpec[] = [];
  private heat: "" | "time" | "memory" = "";
  private debugging = "";

  constructor(content: Content, private readonly numbers: Numbers) {
    this.run = content.run;
    this.drawings = new Drawings(content.scene);
    this.folded = new Set(content.scene.folded);
    this.drawing = this.drawings.drawn(this.folded, this.spread);
    this.go(0);
  }

  private get length(): number { return this.run.events.length; }

  // ------------------------------------------------------------ messages

  answer = (m: Incoming, say: Say): boolean => {
    switch (m.type) {
      case "hello":
        this.debugging = "";
        say(this.drawings.scenery.palette);
        this.sayScene(say);
        this.sayState(say, true);
        if (this.drawings.scenery.storyboard.length) this.goTo(0, say);
        return true;
      case "story_do": return m.name === "go" && typeof m.index === "number" ? this.goTo(m.index, say) : refused(say);
      case "selected": case "picture": case "ask_files": case "ask_name": return true;
      case "ask": return this.ask(m, say);
      case "ask_find": {
        const text = String(m.text).slice(0, 200);
        say({ type: "found", text, ...this.drawings.find(text, this.drawing) });
        return true;
      }
      case "ask_clock": say(this.clock()); return true;
      case "ask_code": say({ type: "code", names: [], ...this.drawings.scenery.code }); return true;
      case "edit": return this.edit(m, say);
      case "command": return this.command(m, say);
      case "debug": {
        const ok = this.debug(m, say);
        this.sayDebugging(say);
        return ok;
      }
      // what an edit would come to is asked while somebody tries one: there is none to be made
      case "ask_fits": case "ask_preview": case "ask_reach": case "ask_clip": return false;
      default: return refused(say);
    }
  };

  private ask(m: Incoming, say: Say): boolean {
    const tensor = String(m.tensor);
    const held = this.values.get(tensor);
    if (held === undefined) {
      const type = this.drawings.scenery.types[tensor];
      const told = this.run.tensors[tensor];
      say({
        type: "value", tensor, known: false, shape: type?.[2] ?? [], dtype: type?.[1] ?? "", rows: 0, cols: 0, sampled: false, slice: "", lo: 0, hi: 0, map: "div", json: null, stats: null, again: false,
        formula: told?.formula ?? "", doc: told?.doc ?? "", asked: false,
      });
      return true;
    }
    try {
      const [message, cells] = this.numbers.value(tensor, held, String(m.slice ?? ""));
      say(message, [cells]);
      return true;
    } catch (error) {
      return this.unfit(error, say);
    }
  }

  private unfit(error: unknown, say: Say): boolean {
    if (!(error instanceof SliceError)) throw error;
    say(notice("alert", error.message, error.hint));
    return false;
  }

  /** Places can be changed for this reader; nothing else can. */
  private edit(m: Incoming, say: Say): boolean {
    const edits = m.edits as { tag: string; positions: Record<string, [number, number]> }[];
    if (!Array.isArray(edits) || !edits.every((e) => e.tag === "Move")) {
      this.sayScene(say);     // the page may have shown it already
      return refused(say);
    }
    const { stacks } = this.drawing;      // a stack stands where its first stands
    for (const e of edits) for (const [name, at] of Object.entries(e.positions)) this.drawings.move(stacks.get(name)?.members[0] ?? name, at);
    this.sayScene(say);
    return true;
  }

  // ------------------------------------------------------------ going through the record

  /** Where the run stood after so many firings. */
  private go(cursor: number): void {
    if (cursor < this.applied || this.applied < 0) {
      [this.states, this.planned, this.timesteps, this.values, this.applied] = [new Map(), new Set(), {}, new Map(), -1];
    }
    while (this.applied < cursor) {
      const step = this.run.steps[++this.applied];
      for (const [name, state] of Object.entries(step.s)) if (state === "idle") this.states.delete(name); else this.states.set(name, state);
      for (const name of step.p ?? []) this.planned.add(name);
      if (step.t) this.timesteps = step.t;
      for (const [tensor, held] of Object.entries(step.v ?? {})) if (held === null) this.values.delete(tensor); else this.values.set(tensor, held);
    }
    this.cursor = cursor;
  }

  private move(to: number, say: Say): string[] {
    const from = this.cursor;
    this.go(Math.max(0, Math.min(this.length, to)));
    const fired = this.run.places.slice(from, this.cursor);
    this.sayState(say, false, fired);
    return fired;
  }

  private command(m: Incoming, say: Say): boolean {
    const node = typeof m.node === "string" ? m.node : null;
    const scopes = Array.isArray(m.scopes) ? (m.scopes as string[]) : [];
    const { events } = this.run;
    const at = this.cursor;
    const next = events[at];
    switch (m.name) {
      case "step": return this.forward(at + 1, say);
      case "step_level": return this.forward(this.run.level[at] ?? at, say);
      case "step_scope": return this.forward(this.run.scope[at] ?? at, say);
      case "step_timestep": return this.forward(this.run.timestep[at] ?? at, say);
      case "step_pass": return this.forward(next === undefined ? at : this.find(at, (k) => events[k][2] !== next[2]), say);
      case "back": return this.back(at - 1, say);
      case "back_level": return this.backWhile((k) => events[k][6], say);
      case "back_timestep": return this.backWhile((k) => (events[k][3].length ? events[k][3].slice(0, 2).join("\t") : k), say);
      case "run": case "resume": return this.resume(say);
      case "run_to": return node !== null && this.runTo(node, say);
      case "into": {
        const own = new Set(Object.values(this.drawings.scenery.loops).map(([, name]) => name));
        const to = this.find(at, (k) => events[k][0].startsWith(`${node}/`) && !own.has(events[k][0]));
        if (to < this.length) this.move(to, say);
        this.stopped("before", say);
        return true;
      }
      case "out": {
        let to = at;
        for (let k = at; k < this.length; k++) if (events[k][0].startsWith(`${node}/`)) to = k + 1;
        return this.forward(to, say);
      }
      case "fire": {
        const k = this.find(at, (i) => this.run.places[i] === node);
        if (k === at) return this.forward(at + 1, say);
        say(notice("status", k < this.length ? `${node} fired as number ${k + 1}: a recorded run keeps its order.` : `${node} does not fire any more in this run.`));
        return true;
      }
      case "seek":
        if (typeof m.cursor === "number") this.move(m.cursor, say);
        return true;
      case "pause": say(notice("status", "Nothing is running.")); return true;
      case "fold": case "unfold": return this.fold(m.name, scopes, say);
      case "reveal": return node !== null && this.reveal(node, say);
      default: return refused(say);
    }
  }

  /** To a bookmark: folded as it was, at its firing. */
  private goTo(index: number, say: Say): boolean {
    const { storyboard, folds } = this.drawings.scenery;
    const mark = storyboard[index];
    if (!mark) return false;
    const folded = folds[index];
    if (folded !== null && (folded.length !== this.folded.size || folded.some((f) => !this.folded.has(f)))) {
      this.folded = new Set(folded);
      this.drawing = this.drawings.drawn(this.folded, this.spread);
      this.sayScene(say);
    }
    this.go(Math.min(this.length, mark.cursor ?? 0));
    this.sayState(say, true);
    say({ type: "story", at: index, move: true });
    return true;
  }

  /** The first firing from `at` on of which something holds; where there is none, the end. */
  private find(at: number, holds: (k: number) => boolean): number {
    let k = at;
    while (k < this.length && !holds(k)) k++;
    return k;
  }

  private forward(to: number, say: Say): boolean {
    const fired = this.move(to, say);
    if (!fired.length) { this.atEnd(say); return true; }
    const names = this.run.events.slice(this.cursor - fired.length, this.cursor).map((e) => e[0]);
    const done = this.cursor === this.length && this.run.complete ? " The run is complete." : "";
    say(notice("status", names.length === 1 ? `Fired ${names[0]}.${done}` : `Fired ${names.length} nodes: ${names.slice(0, 4).join(", ")}${names.length > 4 ? " …" : ""}.${done}`));
    return true;
  }

  private atEnd(say: Say): void { say(notice("status", `This is the end of the recorded run ${this.run.name}.`)); }

  private back(to: number, say: Say): boolean {
    const from = this.cursor;
    this.move(to, say);
    if (from === 0) { say(notice("status", "This is the start: nothing has fired.")); return true; }
    say(notice("status", `Took back ${from - this.cursor === 1 ? this.run.events[this.cursor][0] : `${from - this.cursor} firings`}.`));
    return true;
  }

  private backWhile(key: (k: number) => string | number, say: Say): boolean {
    let to = this.cursor;
    while (to > 0 && key(to - 1) === key(this.cursor - 1)) to--;
    return this.back(to, say);
  }

  private resume(say: Say): boolean {
    const { events } = this.run;
    const at = this.cursor;
    const held = (b: BreakSpec, k: number) => b.timestep === null || (events[k][3][events[k][3].length - 1] === b.timestep);
    for (let k = at; k < this.length; k++) {
      const before = k > at && this.breaks.find((b) => b.target === events[k][0] && held(b, k));
      const after = this.breaks.find((b) => b.target.slice(0, b.target.lastIndexOf(":")) === events[k][0] && held(b, k));
      if (before || after) {
        (before || after)!.held++;
        this.move(before ? k : k + 1, say);
        say(notice("status", `Stopped at ${events[k][0]}.`));
        this.sayDebugging(say);
        return true;
      }
    }
    this.move(this.length, say);
    this.atEnd(say);
    return true;
  }

  private runTo(node: string, say: Say): boolean {
    const { events } = this.run;
    const own = (k: number) => events[k][0] === node || this.run.places[k] === node;
    const exact = this.find(this.cursor, own);
    const to = exact < this.length ? exact : this.find(this.cursor, (k) => events[k][0].startsWith(`${node}/`));
    this.move(to, say);
    if (to < this.length) this.stopped("before", say);
    else this.atEnd(say);
    return true;
  }

  private stopped(how: string, say: Say): void {
    const next = this.run.events[this.cursor]?.[0];
    if (next !== undefined) say(notice("status", `Stopped ${how} ${next}.`));
  }

  // ------------------------------------------------------------ folding

  private fold(how: "fold" | "unfold", names: string[], say: Say): boolean {
    const { stacks } = this.drawing;
    const folded = new Set(how === "fold" || names.length ? this.folded : []);
    const spread = new Set(names.length ? this.spread : []);
    const stack = how === "unfold" ? stacks.get(names.find((n) => stacks.has(n)) ?? "") : undefined;
    if (how === "unfold") {
      for (const name of names) folded.delete(name);
      for (const name of names.length ? names.flatMap((n) => stacks.get(n)?.members ?? []) : [...this.drawings.nodes.keys(), ...this.drawings.scopeNames]) spread.add(name);
    } else {
      // what was taken out of a stack goes back into it
      const whole = names.length ? this.drawings.drawn(this.folded, new Set()).stacks : new Map<string, Stack>();
      for (const { members } of whole.values()) if (members.some((m) => names.includes(m))) for (const m of members) spread.delete(m);
      for (const name of names.length ? names.filter((n) => this.drawings.inside.has(n)) : this.drawings.scopeNames) folded.add(name);
    }
    const select = stack?.members[0] ?? (names.length === 1 && this.spread.has(names[0]) && !spread.has(names[0]) ? names[0] : null);
    if (!this.draw(folded, spread, select, say)) return false;
    if (stack !== undefined) say(notice("status", `Shows ${stack.members.length} elements one by one.`, "Backspace on one of them puts them back together."));
    return true;
  }

  /** Unfolds whatever a node or scope is hidden in. */
  private reveal(name: string, say: Say): boolean {
    const path = name.split("/").map((_, k, parts) => parts.slice(0, k + 1).join("/"));
    const shown = (folded: Set<string>, spread: Set<string>): [Set<string>, Set<string>] => {
      for (const scope of path.slice(0, -1)) folded.delete(scope);
      for (const _ of path) {     // at most one stack a scope on the way
        const around = [...this.drawings.drawn(folded, spread).stacks.values()].find((s) => s.members.some((m) => path.includes(m)));
        if (around === undefined) break;
        for (const m of around.repeats ? around.members.filter((m) => path.includes(m)) : around.members) spread.add(m);
      }
      return [folded, spread];
    };
    const [folded, spread] = shown(new Set(this.folded), new Set(this.spread));
    // where too much is open already, nothing else is
    return this.fits(folded, spread) ? this.draw(folded, spread, name, say) : this.draw(...shown(new Set(this.drawings.scopeNames), new Set()), name, say);
  }

  private fits(folded: Set<string>, spread: Set<string>): boolean {
    const [count, before] = [this.drawings.drawn(folded, spread), this.drawing].map((d) => d.nodes.length + d.scopes.size);
    return count <= Math.max(this.drawings.scenery.most, before);
  }

  private draw(folded: Set<string>, spread: Set<string>, select: string | null, say: Say): boolean {
    const made = this.drawings.drawn(folded, spread);
    const [count, before] = [made, this.drawing].map((d) => d.nodes.length + d.scopes.size);
    if (count > Math.max(this.drawings.scenery.most, before)) {
      say(notice("alert", `That would draw ${count.toLocaleString("en-US")} elements.`, "Unfold scope by scope."));
      return false;
    }
    [this.folded, this.spread, this.drawing] = [folded, spread, made];
    this.sayScene(say, select);
    this.sayState(say, true);
    return true;
  }

  private sayScene(say: Say, select: string | null = null): void { say(this.drawings.scene(this.drawing, ++this.revision, select)); }

  // ------------------------------------------------------------ the state of the run

  private drawnStates(): Map<string, State> {
    const out = new Map<string, State>();
    const of = (name: string): State => this.states.get(name) ?? "idle";
    for (const name of this.drawing.nodes) if (this.states.has(name)) out.set(name, of(name));
    for (const [scope, inside] of this.drawing.scopes) {
      const counted = inside.filter((n) => this.planned.has(n)).map(of);
      const all = counted.length ? counted : inside.map(of);
      const every = all.length > 0 && all.every((s) => s === "done");
      const state: State = !counted.length ? (every ? "done" : "idle")
        : counted.includes("error") ? "error" : counted.includes("running") ? "running" : every ? "done" : counted.includes("ready") ? "ready" : "idle";
      if (state !== "idle") out.set(scope, state);
    }
    return out;
  }

  private progress(): Record<string, number[]> {
    const out: Record<string, number[]> = bare({});
    for (const [scope, inside] of this.drawing.scopes) {
      const counted = inside.filter((n) => this.planned.has(n));
      if (counted.length) out[scope] = [counted.filter((n) => this.states.get(n) === "done").length, counted.length];
    }
    return out;
  }

  private joins(): Record<string, number[]> {
    const out: Record<string, number[]> = bare({});
    for (const name of this.drawing.nodes) {
      if (!this.planned.has(name) || (this.states.get(name) ?? "idle") !== "idle") continue;
      const from = this.drawings.scenery.joins[name] ?? [];
      const there = from.filter((n) => this.states.get(n) === "done").length;
      if (there > 0 && there < from.length) out[name] = [there, from.length];
    }
    return out;
  }

  private sayState(say: Say, full: boolean, fired: string[] = []): void {
    if (full) { this.sent = new Map(); this.sentStates = new Map(); }
    const { run, drawing } = this;
    const thumbs: Thumb[] = [];
    const cells: Float32Array[] = [];
    let offset = 0;
    for (const tensor of [...drawing.tensors].sort()) {
      const held = this.values.get(tensor);
      if (held === undefined || this.sent.get(tensor) === held) continue;
      const [thumb, numbers] = this.numbers.thumb(tensor, held, offset);
      thumbs.push(thumb);
      cells.push(numbers);
      offset += numbers.length;
      this.sent.set(tensor, held);
    }
    const gone = [...this.sent.keys()].filter((t) => !this.values.has(t)).sort();
    for (const t of gone) this.sent.delete(t);
    const now = this.drawnStates();
    const states: RunState["states"] = bare({});
    for (const name of this.sentStates.keys()) if (!now.has(name)) states[name] = "idle";
    for (const [name, state] of now) if (this.sentStates.get(name) !== state) states[name] = state;
    this.sentStates = now;
    const buffer = new Float32Array(offset);
    let at = 0;
    for (const c of cells) { buffer.set(c, at); at += c.length; }
    const step = run.steps[this.cursor];
    const last = run.places[this.cursor - 1] ?? null;
    const owner = (name: string | null) => (name === null ? null : drawing.owner.get(name) ?? null);
    say({
      type: "state", mode: "past", cursor: this.cursor, length: this.length, total: this.length, done: this.cursor === this.length && run.complete, full, states, progress: this.progress(), inputs: this.joins(), versions: {},
      thumbs, gone, fired, last, last_drawn: owner(last), last_phase: run.events[this.cursor - 1]?.[2] ?? null, last_seconds: run.events[this.cursor - 1]?.[4] ?? null, next: step.n, next_drawn: owner(step.n),
      ready: step.r, ticks: full ? run.events.map((e) => e[2][0]).join("") : null, names: full ? run.places : null, fetches: run.fetches, error: null, live: false, let_go: 0, timesteps: this.timesteps, recording: run.name,
    }, [buffer]);
    this.sayDebugging(say);
  }

  private clock(): Clock {
    return { type: "clock", ...this.run.clock, drawn: this.run.events.map(([node, top]) => this.drawing.owner.get(node) ?? this.drawing.owner.get(top) ?? null) };
  }

  // ------------------------------------------------------------ debugging

  private debug(m: Incoming, say: Say): boolean {
    const target = String(m.target ?? "");
    const text = String(m.text ?? "").trim();
    switch (m.name) {
      case "watch_add":
        if (!this.watched.includes(target)) this.watched.push(target);
        say(notice("status", `Watching ${target}.`));
        return true;
      case "watch_remove":
        this.watched = this.watched.filter((w) => w !== target);
        this.boxes.delete(target);
        say(notice("status", `${target} is watched no more.`));
        return true;
      case "watch_box": this.boxes.set(target, text.slice(0, 200)); return true;
      case "break_add": return this.addBreak(m, target, text, say);
      case "break_remove":
        this.breaks = this.breaks.filter((b) => b.key !== text);
        say(notice("status", "Removed the breakpoint."));
        return true;
      case "heat":
        this.heat = text as typeof this.heat;
        say(notice("status", { time: "Each node shows the time that it took.", memory: "Each node shows the memory of what it gave.", "": "Costs are hidden." }[this.heat]));
        return true;
      case "explain": return this.explain(m, target, say);
      default: return refused(say);
    }
  }

  /** A breakpoint without a condition, which would have to be computed. */
  private addBreak(m: Incoming, target: string, when: string, say: Say): boolean {
    const hits = typeof m.hits === "number" ? m.hits : 1;
    const action = (m.action ?? "pause") as BreakSpec["action"];
    if (when !== "" || hits !== 1 || action !== "pause" || /[*?]/.test(target)) return refused(say);
    const timestep = typeof m.timestep === "number" ? m.timestep : null;
    const node = target.includes(":") ? target.slice(0, target.lastIndexOf(":")) : target;
    const key = JSON.stringify([target, timestep]);
    this.breaks = [...this.breaks.filter((b) => b.key !== key), { key, target, drawn: this.drawing.owner.get(node) ?? null, when: "", hits, timestep, action, held: 0 }];
    say(notice("status", `Pauses ${target.includes(":") ? "after" : "before"} ${target}.`));
    return true;
  }

  private explain(m: Incoming, target: string, say: Say): boolean {
    const { explained } = this.run;
    const at = Array.isArray(m.at) ? (m.at as number[]) : null;
    for (let k = this.cursor; explained && k > 0; k--) {
      const found = explained[k]?.find(([tensor]) => tensor === target);
      if (!found) continue;
      const [, index, english, chinese] = found;
      if (at !== null && at.join() !== index.join()) break;
      const [arithmetic, sentences] = String(m.language ?? "").startsWith("zh") ? chinese : english;
      say({ type: "explained", tensor: target, drawn: this.drawing.owner.get(target.slice(0, target.lastIndexOf(":"))) ?? null, index, arithmetic, sentences });
      return true;
    }
    say(notice("alert", "This file holds no explanation of this number.", "pip install flowlab explains any, in a notebook."));
    return false;
  }

  private sayDebugging(say: Say): void {
    const message: Debugging = {
      type: "debugging", breaks: this.breaks.map((b) => ({ ...b, drawn: this.drawing.owner.get(b.target.includes(":") ? b.target.slice(0, b.target.lastIndexOf(":")) : b.target) ?? null })),
      watches: this.watched.map((t) => this.watch(t)), overridden: this.run.overridden, pause_on_bad: false, branch: null, heat: this.heat ? this.costs(this.heat) : null, questions: [], answers: [],
    };
    const text = JSON.stringify(message);
    if (text === this.debugging) return;
    this.debugging = text;
    say(message);
  }

  private watch(tensor: string): WatchSpec {
    const drawn = (t: string) => this.drawing.owner.get(t.slice(0, t.lastIndexOf(":"))) ?? null;
    const held = this.values.get(tensor);
    const box = this.boxes.get(tensor) ?? "";
    const gradient = this.run.tensors[tensor]?.gradient ?? null;
    const back = gradient === null ? undefined : this.values.get(gradient);
    const [mine, theirs] = [this.part(held, box), this.part(back, box)];
    const line: (number | null)[] = [];
    for (let k = 1; k <= this.cursor; k++) {
      const now = this.run.steps[k].v?.[tensor];
      if (now && this.run.events[k - 1][0] === tensor.slice(0, tensor.lastIndexOf(":"))) line.push(this.numbers.mean(now));
    }
    const type = this.drawings.scenery.types[tensor];
    const shape = held?.[1];
    return {
      tensor, drawn: drawn(tensor), shape: shape ? (shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`) : type?.[0] ?? "", dtype: held?.[0] ?? type?.[1] ?? "", known: held !== undefined, stats: mine.stats,
      line: line.slice(-LINE), box, wrong: mine.wrong, number: mine.number, gradient, gradient_drawn: gradient === null ? null : drawn(gradient), gradient_stats: theirs.stats, gradient_number: theirs.number,
    };
  }

  private part(held: Held | undefined, box: string): { stats: WatchSpec["stats"]; number: string; wrong: string } {
    if (held === undefined) return { stats: null, number: "", wrong: "" };
    try {
      return { ...this.numbers.boxed(held, box), wrong: "" };
    } catch (error) {
      if (!(error instanceof SliceError)) throw error;
      return { ...this.numbers.boxed(held, ""), wrong: error.message };
    }
  }

  /** Time or memory of the firings so far, by what is drawn; a loop's inside counts where it is drawn. */
  private costs(kind: "time" | "memory"): Heat {
    const loops = new Set(this.run.events.flatMap(([node, top]) => (node === top ? [] : [top])));
    const costs = new Map<string, number>();
    let total = 0;
    for (const [node, top, , , took, bytes] of this.run.events.slice(0, this.cursor)) {
      if (kind === "time" && loops.has(node)) continue;
      const name = this.drawing.owner.get(node) ?? this.drawing.owner.get(top);
      if (name === undefined) continue;
      const cost = kind === "time" ? took : bytes;
      total += cost;
      costs.set(name, (costs.get(name) ?? 0) + cost);
    }
    const text = kind === "time" ? seconds : amount;
    const sizes = kind === "memory" ? this.sizes() : new Map<string, number>();
    const most = Math.max(0, ...sizes.values());
    return { kind, wires: bare(Object.fromEntries([...sizes].map(([t, n]) => [t, n / most]))), total: text(total), shares: bare(total ? Object.fromEntries([...costs].map(([k, c]) => [k, c / total])) : {}), labels: bare(Object.fromEntries([...costs].map(([k, c]) => [k, text(c)]))) };
  }

  /** The bytes of every tensor that has its value by now. */
  private sizes(): Map<string, number> {
    const fired = new Set(this.run.events.slice(0, this.cursor).map((e) => e[0]));
    const out = new Map<string, number>();
    for (const [tensor, held] of this.values) {
      const node = tensor.slice(0, tensor.lastIndexOf(":"));
      const bytes = bytesOf(held);
      if (bytes && (fired.has(node) || (this.drawings.nodes.get(node)?.source ?? null) !== null)) out.set(tensor, bytes);
    }
    return out;
  }
}

/** A duration as the kernel writes it. */
const seconds = (t: number): string => (t < 1e-3 ? `${(t * 1e6).toFixed(0)} µs` : t < 1 ? `${Number((t * 1e3).toPrecision(3))} ms` : `${t.toFixed(1)} s`);

/** Bytes in words. */
function amount(size: number): string {
  const power = Math.min(5, Math.floor(Math.log2(Math.max(1, size)) / 10));
  return power === 0 ? `${size} bytes` : `${(size / 1024 ** power).toFixed(1)} ${["KiB", "MiB", "GiB", "TiB", "PiB"][power - 1]}`;
}
