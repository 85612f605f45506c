// The storyboard's doings: a bookmark of the present moment, going to one, and lecture mode, in which the lab has the whole screen and nothing is changed.
import type { BookmarkSpec } from "../protocol.gen";
import { t } from "../shared/words";
import { activeIn } from "../shared/tree";
import { visible } from "./geometry";
import type { Lab } from "./store";

const MOST = 300;   // elements in sight that a bookmark names

export const boardOf = (lab: Lab): BookmarkSpec[] => lab.state.scene?.storyboard ?? [];

/** What a bookmark keeps of the screen. */
export function seenNow(lab: Lab): { view: number[] | null; shows: string[]; selected: string[]; tensor: string | null; into: string | null; panels: string[] } {
  const { at, geos, selected, edge, wiring, codeOpen, lanes } = lab.state;
  const r = lab.view?.visible() ?? null;
  const shows = r === null ? [] : [...at].filter(([id, p]) => { const g = geos.get(id); return g && p.x + g.w / 2 >= r.x && p.x + g.w / 2 <= r.x + r.w && p.y + g.h / 2 >= r.y && p.y + g.h / 2 <= r.y + r.h; }).map(([id]) => id);
  const wire = edge === null ? undefined : wiring.edges.get(edge);
  return {
    view: r && [r.x, r.y, r.w, r.h].map((x) => Math.round(x * 100) / 100), shows: shows.length > MOST ? [] : shows, selected, tensor: lab.shown(),
    into: wire && !wire.control ? `${wire.dst}:${wire.dst_port}` : null, panels: [...(codeOpen ? ["code"] : []), ...(lanes ? ["lanes"] : [])],
  };
}

/** Makes a bookmark of what is on show now; its title is written next. */
export async function addBookmark(lab: Lab): Promise<void> {
  if (lab.refuses()) return;
  const { run } = lab.state;
  const title = run.mode === "edit" && !run.length ? t("The graph") : run.last !== null && run.cursor ? t("After {name}", { name: visible(run.last) }) : t("Start of the run");
  lab.set({ storyOpen: true });
  if (await lab.request({ type: "story_do", name: "add", title: title.slice(0, 200), ...seenNow(lab) })) lab.set({ writing: lab.state.story });
}

export function replaceBookmark(lab: Lab, index: number): void { void lab.request({ type: "story_do", name: "replace", index, ...seenNow(lab) }); }

/** "3 / 9: title", as it is said. */
const said = (lab: Lab, index: number): string => `${index + 1} / ${boardOf(lab).length}: ${boardOf(lab)[index]?.title ?? ""}`;

export async function goTo(lab: Lab, index: number): Promise<void> {
  if (index < 0 || index >= boardOf(lab).length) return;
  lab.pause();
  if (!lab.state.lecture) lab.set({ storyOpen: true });
  const before = lab.state.status;
  const ok = await lab.request({ type: "story_do", name: "go", index });
  if (ok && (lab.state.status === before || lab.state.status === "")) lab.say(said(lab, index));
}

/** To the next bookmark, or the one before. Keys that come faster than the kernel answers are counted. */
export function goBy(lab: Lab, by: number): void {
  const count = boardOf(lab).length;
  if (!count) return lab.say("There is no bookmark yet: Shift+A makes one of this moment.");
  const from = lab.heading ?? lab.state.story ?? (by > 0 ? -1 : 0);
  const to = Math.max(0, Math.min(count - 1, from + by));
  if (to === from && lab.state.story === from) return lab.say(by > 0 ? "This is the last bookmark." : "This is the first bookmark.");
  if (lab.heading !== null) { lab.heading = to; return; }
  lab.heading = to;
  void (async () => {
    for (let at = -1; lab.heading !== null && lab.heading !== at;) { at = lab.heading; await goTo(lab, at); }
    lab.heading = null;
  })();
}

/** Selects and shows what a bookmark has selected and shows, and looks where it looks. */
export function lookAt(lab: Lab, index: number, smooth = true): void {
  const mark = boardOf(lab)[index];
  if (!mark) return;
  const drawn = (name: string) => lab.drawn(name);
  const wire = mark.into === null ? undefined : [...lab.state.wiring.edges.values()].find((e) => e.tensor === mark.tensor && `${e.dst}:${e.dst_port}` === mark.into);
  const selected = [...new Set(mark.selected.map(drawn))].filter((n): n is string => n !== null);
  const owner = mark.tensor === null ? null : drawn(mark.tensor.slice(0, mark.tensor.lastIndexOf(":")));
  if (wire) lab.select([], wire.id);
  else lab.select(selected.length ? selected : mark.tensor !== null && owner !== null ? [owner] : []);
  const output = lab.state.nodes.get(lab.state.selected[0] ?? "")?.outputs.findIndex((o) => o.tensor === mark.tensor) ?? -1;
  if (output > 0) { lab.set({ output }); lab.ask(); }
  lab.set({ codeOpen: mark.panels.includes("code") });
  if (lab.state.lanes !== mark.panels.includes("lanes")) lab.setLanes(!lab.state.lanes);
  lookAgain(lab, smooth);
}

/** Looks where the bookmark on show looks; the screen may be another than it was made on. */
export function lookAgain(lab: Lab, smooth = false): void {
  const mark = boardOf(lab)[lab.state.story ?? -1];
  const [x, y, w, h] = mark?.view ?? [];
  const about = lab.state.selected[0] ?? (mark?.after ? lab.drawn(mark.after) : null);
  lab.view?.look(mark?.view ? { x, y, w, h } : null, (mark?.shows ?? []).map((n) => lab.drawn(n) ?? n), about, smooth);
}

// ---------------------------------------------------------------- lecture mode

let left: { focus: Element | null; code: boolean; lanes: boolean } | null = null;

const hostOf = (lab: Lab): HTMLElement | null => lab.root?.closest<HTMLElement>(".fl-host") ?? null;

/** The lab alone, over the whole screen where that is allowed, else over the whole page: above whatever holds it. */
async function fill(host: HTMLElement): Promise<void> {
  host.classList.add("lecturing");
  try {
    await host.requestFullscreen({ navigationUI: "hide" });
  } catch {     // a frame or a browser that does not allow it
    if (!host.isConnected || !host.classList.contains("lecturing") || typeof host.showPopover !== "function") return;
    host.popover = "manual";
    host.showPopover();
  }
}

export function startLecture(lab: Lab): void {
  const host = hostOf(lab);
  if (!host || lab.state.lecture) return;
  const { codeOpen, lanes, story } = lab.state;
  left = { focus: activeIn(lab.root), code: codeOpen, lanes };
  lab.pause();
  lab.set({ lecture: true, tour: null, panel: null, wire: null, pending: null, mark: null, form: null, into: null, writing: null, query: "" });
  void fill(host);
  const board = boardOf(lab);
  const at = board.length ? story ?? 0 : null;
  lab.say(at === null ? "Lecture mode. Esc leaves it." : `Lecture mode, ${said(lab, at)}. Page Down goes on, Esc leaves it.`);
  if (at !== null && story === null) void goTo(lab, at);
}

export function endLecture(lab: Lab): void {
  const host = hostOf(lab);
  if (!lab.state.lecture) return;
  lab.set({ lecture: false, codeOpen: left?.code ?? false });
  if (left && lab.state.lanes !== left.lanes) lab.setLanes(left.lanes);
  host?.classList.remove("lecturing");
  if (host?.popover) { host.hidePopover(); host.popover = null; }
  if (host?.matches(":fullscreen")) void document.exitFullscreen();
  const back = left?.focus;
  left = null;
  lab.say("Lecture mode is over: all is as it was, and can be changed again.");
  requestAnimationFrame(() => { lookAgain(lab); if (back instanceof HTMLElement && back.isConnected && back !== document.body) back.focus({ preventScroll: true }); else lab.root?.focus({ preventScroll: true }); });
}

/** Is this in a note that is longer than its band, or in numbers that are? */
function scrolls(target: Element | null): boolean {
  const note = target?.closest(".bnote, .ins");
  return note !== null && note !== undefined && note.scrollHeight > note.clientHeight + 1;
}

/** The keys of lecture mode, those that a clicker sends among them. True when it was one. */
export function lectureKey(lab: Lab, e: KeyboardEvent, typing: boolean): boolean {
  if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return false;
  const target = e.target instanceof Element ? e.target : null;
  if (e.key === "PageDown") goBy(lab, 1);
  else if (e.key === "PageUp") goBy(lab, -1);
  else if (e.key === "Escape" && !typing) endLecture(lab);
  else if (typing || target?.closest("[role=slider], .clines") || (e.key === "ArrowUp" || e.key === "ArrowDown") && scrolls(target)) return false;
  else if (e.key === "ArrowRight" || e.key === "ArrowDown" || e.key === " " && !target?.closest("button, a")) goBy(lab, 1);
  else if (e.key === "ArrowLeft" || e.key === "ArrowUp") goBy(lab, -1);
  else if (e.key === "Home") goBy(lab, -Infinity);
  else if (e.key === "End") goBy(lab, Infinity);
  else return e.key.length === 1 && !(e.key === " " || e.key === "Enter") || e.key === "Delete" || e.key === "Backspace";      // a key of the lab: here it does nothing
  return true;
}
