// The canvas as a picture: the same places, drawn on a canvas 2D or written as SVG, so that it needs no page to be seen again.
import { css, scaleOf } from "../shared/color";
import { t as words } from "../shared/words";
import { problemOf, shortDtype, textWidth, visible } from "./geometry";
import { frameRect, noteRect } from "./annotations";
import type { State, Tensor } from "./store";
import { cellOf, dims, limitsOf } from "./thumbs";

const MAX_W = 1400;
const MAX_H = 1600;
const PRINT = 3;                // pixels of a printed picture for one of the canvas: about 290 to the inch
const MAX_PIXELS = 60e6;        // what browsers still make of one canvas
const PAD = 20;

export type Png = { png: string; width: number; height: number };
type Style = { fill?: string; stroke?: string; width?: number; dash?: readonly number[]; alpha?: number; round?: boolean };
type Align = "left" | "center" | "right";

/** What a picture is drawn with. */
interface Pen {
  box(x: number, y: number, w: number, h: number, r: number, style: Style): void;
  dot(x: number, y: number, r: number, style: Style): void;
  path(d: string, style: Style): void;
  text(text: string, x: number, y: number, size: number, color: string, bold: boolean, align: Align): void;
  width(text: string, size: number, bold: boolean): number;
}

/** Where everything that is drawn lies; null for an empty canvas. */
function extent(s: State): { x: number; y: number; w: number; h: number } | null {
  const rects = [...s.at].flatMap(([id, p]) => { const g = s.geos.get(id); return g ? [{ ...p, w: g.w, h: g.h }] : []; });
  if (!rects.length || !s.scene) return null;
  for (const r of s.routes.values()) if (r.chip) rects.push(r.chip);
  rects.push(...s.frames, ...s.scene.notes.map(noteRect));
  for (const f of s.scene.frames) { const r = frameRect(s, f.members); if (r) rects.push(r); }
  const x = Math.min(...rects.map((r) => r.x)) - PAD;
  const y = Math.min(...rects.map((r) => r.y)) - PAD - (s.layout?.captions.length ? 30 : 14);
  return { x, y, w: Math.max(...rects.map((r) => r.x + r.w)) + PAD - x, h: Math.max(...rects.map((r) => r.y + r.h)) + PAD - y };
}

/** The picture for the notebook's saved output, in the page's own colours. */
export function pictureOf(s: State, root: HTMLElement): Png | null {
  const e = extent(s);
  const canvas = e && painted(s, root, root, e, Math.min(1.5, MAX_W / e.w, MAX_H / e.h));
  return canvas && { png: canvas.toDataURL("image/png"), width: canvas.width, height: canvas.height };
}

/** The whole graph as a file to print or to publish, on white paper: null for an empty canvas. */
export async function exported(s: State, root: HTMLElement, kind: "png" | "svg"): Promise<Blob | null> {
  const e = extent(s);
  if (!e) return null;
  const paper = document.createElement("div");
  paper.className = "fl-paper";
  root.append(paper);
  try {
    if (kind === "svg") return new Blob([svgOf(s, root, paper, e)], { type: "image/svg+xml" });
    const canvas = painted(s, root, paper, e, Math.min(PRINT, Math.sqrt(MAX_PIXELS / (e.w * e.h)), 16000 / Math.max(e.w, e.h)));
    return canvas && await new Promise<Blob | null>((done) => { canvas.toBlob(done, "image/png"); });
  } finally {
    paper.remove();
  }
}

function painted(s: State, root: HTMLElement, colours: HTMLElement, e: { x: number; y: number; w: number; h: number }, k: number): HTMLCanvasElement | null {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(e.w * k));
  canvas.height = Math.max(1, Math.round(e.h * k));
  const g = canvas.getContext("2d");
  if (!g) return null;
  const paint = painter(colours);
  g.fillStyle = paint.color("--fl-canvas");
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.scale(k, k);
  g.translate(-e.x, -e.y);
  draw(s, colours, paint, new CanvasPen(g, getComputedStyle(root).fontFamily));
  return canvas;
}

function svgOf(s: State, root: HTMLElement, colours: HTMLElement, e: { x: number; y: number; w: number; h: number }): string {
  const pen = new SvgPen();
  const paint = painter(colours);
  draw(s, colours, paint, pen);
  const font = getComputedStyle(root).fontFamily;
  const n = (v: number) => +v.toFixed(2);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="${n(e.w)}" height="${n(e.h)}" viewBox="${n(e.x)} ${n(e.y)} ${n(e.w)} ${n(e.h)}" font-family="${quoted(font)}">\n`
    + `<title>${quoted(s.scene?.title ?? "")}</title>\n<rect x="${n(e.x)}" y="${n(e.y)}" width="${n(e.w)}" height="${n(e.h)}" fill="${plain(paint.color("--fl-canvas"))}"/>\n${pen.parts.join("\n")}\n</svg>\n`;
}

class CanvasPen implements Pen {
  constructor(private readonly g: CanvasRenderingContext2D, private readonly font: string) { g.textBaseline = "alphabetic"; }

  box(x: number, y: number, w: number, h: number, r: number, style: Style): void {
    this.g.beginPath();
    if (r) this.g.roundRect(x, y, w, h, r); else this.g.rect(x, y, w, h);
    this.ink(style);
  }

  dot(x: number, y: number, r: number, style: Style): void {
    this.g.beginPath();
    this.g.arc(x, y, r, 0, 7);
    this.ink(style);
  }

  path(d: string, style: Style): void { this.ink(style, new Path2D(d)); }

  private ink({ fill, stroke, width = 1, dash = [], alpha = 1, round = false }: Style, path?: Path2D): void {
    const { g } = this;
    g.globalAlpha = alpha;
    if (fill !== undefined) { g.fillStyle = fill; if (path) g.fill(path); else g.fill(); }
    if (stroke !== undefined) {
      g.strokeStyle = stroke;
      g.lineWidth = width;
      g.lineCap = round ? "round" : "butt";
      g.setLineDash([...dash]);
      if (path) g.stroke(path); else g.stroke();
      g.setLineDash([]);
    }
    g.globalAlpha = 1;
  }

  text(text: string, x: number, y: number, size: number, color: string, bold: boolean, align: Align): void {
    this.g.font = `${bold ? "600 " : ""}${size}px ${this.font}`;
    this.g.fillStyle = color;
    this.g.textAlign = align;
    this.g.fillText(text, x, y);
  }

  width(text: string, size: number, bold: boolean): number {
    this.g.font = `${bold ? "600 " : ""}${size}px ${this.font}`;
    return this.g.measureText(text).width;
  }
}

class SvgPen implements Pen {
  readonly parts: string[] = [];

  box(x: number, y: number, w: number, h: number, r: number, style: Style): void {
    this.parts.push(`<rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}"${r ? ` rx="${r}"` : ""}${attributes(style)}/>`);
  }

  dot(x: number, y: number, r: number, style: Style): void { this.parts.push(`<circle cx="${round(x)}" cy="${round(y)}" r="${r}"${attributes(style)}/>`); }

  path(d: string, style: Style): void { this.parts.push(`<path d="${quoted(d)}"${attributes(style)}/>`); }

  text(text: string, x: number, y: number, size: number, color: string, bold: boolean, align: Align): void {
    if (!text) return;
    const anchor = align === "left" ? "" : ` text-anchor="${align === "center" ? "middle" : "end"}"`;
    this.parts.push(`<text x="${round(x)}" y="${round(y)}" font-size="${size}"${bold ? ' font-weight="600"' : ""}${anchor} fill="${plain(color)}" xml:space="preserve">${quoted(text)}</text>`);
  }

  width(text: string, size: number, bold: boolean): number { return textWidth(text, size, bold); }
}

const round = (v: number): string => String(+v.toFixed(2));

function attributes({ fill, stroke, width = 1, dash = [], alpha = 1, round: cap = false }: Style): string {
  return ` fill="${fill === undefined ? "none" : plain(fill)}"${stroke === undefined ? "" : ` stroke="${plain(stroke)}" stroke-width="${width}"${dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : ""}${cap ? ' stroke-linecap="round"' : ""}`}${alpha === 1 ? "" : ` opacity="${alpha}"`}`;
}

/** A computed colour as every reader of SVG knows it: #rrggbb. */
function plain(color: string): string {
  const srgb = /^color\(srgb ([\d.e-]+) ([\d.e-]+) ([\d.e-]+)/.exec(color);
  const rgb = /^rgba?\(([\d.]+)[ ,]+([\d.]+)[ ,]+([\d.]+)/.exec(color);
  const parts = srgb ? srgb.slice(1, 4).map((v) => Number(v) * 255) : rgb ? rgb.slice(1, 4).map(Number) : null;
  return parts ? `#${parts.map((v) => Math.max(0, Math.min(255, Math.round(v))).toString(16).padStart(2, "0")).join("")}` : color;
}

/** Text as XML takes it: five signs written out, and what no XML may hold left out. */
export function quoted(text: string): string {
  const signs: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (c) => signs[c]).replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, "");
}

function draw(s: State, root: HTMLElement, paint: { color(variable: string, fallback?: string): string }, pen: Pen): void {
  const { scene } = s;
  if (!scene) return;
  const notes = scene.notes.map((n) => ({ note: n, rect: noteRect(n) }));
  const made = scene.frames.flatMap((f) => { const r = frameRect(s, f.members); return r ? [{ frame: f, rect: r }] : []; });
  const write = (text: string, x: number, y: number, size: number, color: string, bold = false, align: Align = "left", max?: number) => {
    let t = text;
    if (max !== undefined) while (t.length > 2 && pen.width(t, size, bold) > max) t = `${t.slice(0, -2)}…`;
    pen.text(t, x, y, size, color, bold, align);
  };
  for (const { frame, rect } of made) {
    const colour = paint.color(FRAME_COLOURS[frame.colour]);
    pen.box(rect.x, rect.y, rect.w, rect.h, 10, { fill: colour, alpha: 0.07 });
    pen.box(rect.x, rect.y, rect.w, rect.h, 10, { stroke: colour, width: 1.5, alpha: 0.6 });
    write(visible(frame.title), rect.x + 12, rect.y + rect.h - 9, 12, paint.color("--fl-text-1"), true, "left", rect.w - 24);
  }
  for (const f of s.frames) {
    pen.box(f.x, f.y, f.w, f.h, 8, { stroke: paint.color("--fl-line-strong"), dash: [4, 3] });
    write(visible(f.label), f.x + 10, f.y + 17, 11, paint.color("--fl-text-2"), true);
  }
  for (const c of s.layout?.captions ?? []) write(words(c.text), c.x, c.y + 11, 11, paint.color(`--fl-phase-${c.phase}`), true);
  for (const r of s.routes.values()) {
    const bad = r.edge.error !== null;
    const live = r.edge.tensor !== null && s.thumbs.has(r.edge.tensor);
    pen.path(r.d, { stroke: paint.color("--fl-canvas"), width: 6, round: true });
    pen.path(r.d, {
      stroke: paint.color(bad ? "--fl-state-error" : r.edge.phase === "forward" ? "--fl-dtype-float" : `--fl-phase-${r.edge.phase}`), width: bad ? 2.5 : live ? 1.75 : 2,
      dash: bad ? [6, 4] : live ? [] : [0.5, 5], round: true,
    });
  }
  for (const r of s.routes.values()) {
    if (r.chip) {
      pen.box(r.chip.x, r.chip.y, r.chip.w, r.chip.h, r.chip.h / 2, { fill: paint.color("--fl-surface"), stroke: paint.color("--fl-line-strong"), dash: [3, 2] });
      write(`${visible(s.wiring.origin(r.edge))} ${r.edge.shape ?? ""}`, r.chip.x + 9, r.chip.y + 13.5, 10.5, paint.color("--fl-text-1"), false, "left", r.chip.w - 14);
    }
    if (!r.label) continue;
    pen.box(r.label.x - r.label.w / 2, r.label.y - 6.5, r.label.w, 13, 0, { fill: paint.color("--fl-canvas") });
    write(r.label.text, r.label.x, r.label.y + 3.5, 10, paint.color("--fl-text-2"), false, "center");
  }
  const thumb = (t: Tensor | undefined, shape: string | null, cx: number, cy: number, mw: number, mh: number, size: number) => {
    if (t?.value != null) {
      const all = t.uniform && t.shape.length > 0;
      write(all ? words("all {value}", { value: t.value }) : t.value, cx, cy + size / 3, all ? Math.min(13, size) : size, paint.color("--fl-text-1"), true, "center", 100); return; }
    if (t && t.data.length) {
      const { cw, ch } = cellOf(t.rows, t.cols, mw, mh);
      const colour = scaleOf(root, t.map);
      const [lo, hi] = limitsOf(t);
      const left = Math.round(cx - (t.cols * cw) / 2);
      const top = Math.round(cy - (t.rows * ch) / 2);
      for (let i = 0; i < t.rows * t.cols; i++) {
        const v = t.data[i];
        pen.box(left + (i % t.cols) * cw, top + Math.floor(i / t.cols) * ch, cw + 0.3, ch + 0.3, 0, { fill: Number.isFinite(v) ? css(colour(hi > lo ? (v - lo) / (hi - lo) : 0.5)) : paint.color("--fl-state-error") });
      }
      return;
    }
    const d = dims(shape);
    if (!d) return;
    const cols = Math.min(12, d[d.length - 1] ?? 6) || 1;
    const rows = d.length < 2 ? 1 : Math.min(12, d[d.length - 2] ?? 6) || 1;
    const { cw, ch } = cellOf(rows, cols, mw, mh);
    pen.box(cx - (cols * cw) / 2, cy - (rows * ch) / 2, cols * cw, rows * ch, 0, { stroke: paint.color("--fl-line-strong"), dash: [3, 2] });
  };
  for (const e of [...scene.nodes, ...scene.scopes]) {
    const p = s.at.get(e.name);
    const geo = s.geos.get(e.name);
    if (!p || !geo) continue;
    const node = "op" in e ? e : null;
    const problem = node ? problemOf(node) : e.error;
    const category = e.phase === "backward" ? "gradient" : node?.source === "variable" ? "state" : node?.source ? "input" : e.category;
    const tint = paint.color(`--fl-op-${category}`, "--fl-op-control");
    const out = node?.outputs[0];
    const named = "out_ports" in e ? e.out_ports.find((x) => x.label !== "" && x.tensor !== null && s.thumbs.has(x.tensor))?.tensor ?? null : null;
    const outEdge = node ? undefined : named !== null ? { tensor: named } : (s.wiring.outOf.get(e.name) ?? []).find((x) => x.tensor !== null && s.thumbs.has(x.tensor));
    const tensor = out ? s.thumbs.get(out.tensor) : outEdge?.tensor ? s.thumbs.get(outEdge.tensor) : undefined;
    const shape = out?.shape ?? ("shape" in e ? e.shape : null);
    if (geo.kind === "stack") for (const d of [8, 4]) { pen.box(p.x + d, p.y + d, geo.w, geo.h, 8, { fill: paint.color("--fl-surface") }); pen.box(p.x + d, p.y + d, geo.w, geo.h, 8, { stroke: tint, alpha: 0.5 }); }
    const corner = node?.source === "placeholder" ? 16 : 8;
    pen.box(p.x, p.y, geo.w, geo.h, corner, { fill: paint.color("--fl-surface") });
    pen.box(p.x, p.y, geo.w, geo.h, corner, { stroke: problem !== null ? paint.color("--fl-state-error") : tint, alpha: problem !== null ? 1 : 0.6 });
    if (node?.source) {
      write(visible(node.label), p.x + 10, p.y + geo.h / 2 - 3, 12, paint.color("--fl-text-1"), true, "left", geo.w - 52);
      write(`${shape ?? ""} ${shortDtype(out?.dtype ?? null)}`, p.x + 10, p.y + geo.h / 2 + 11, 10, paint.color("--fl-text-2"), false, "left", geo.w - 50);
      thumb(tensor, shape, p.x + geo.w - 25, p.y + geo.h / 2, 32, 24, 12);
    } else {
      pen.box(p.x, p.y, geo.w, geo.kind === "compact" ? 22 : 24, 8, { fill: tint, alpha: 0.12 });
      if (node?.gradient_of) write(`∂ ${visible(node.gradient_of.slice(node.gradient_of.lastIndexOf("/") + 1))}`, p.x + 6, p.y - 4, 10, paint.color("--fl-op-gradient"));
      const done = s.run.states.get(e.name) === "done";
      write(visible(node ? node.label : e.phase === "backward" ? `∂ ${e.label}` : e.label), p.x + 8, p.y + 16, 11.5, paint.color("--fl-text-1"), true, "left", geo.w - 30);
      write(problem !== null ? "⚠" : done ? "✓" : "", p.x + geo.w - 8, p.y + 16, 11, paint.color(problem !== null ? "--fl-state-error" : "--fl-state-done"), true, "right");
      if (geo.kind === "compact") write(`${shape ?? ""} ${shortDtype(out?.dtype ?? null)}`, p.x + geo.w / 2, p.y + 36, 10, paint.color("--fl-text-2"), false, "center");
      else {
        thumb(tensor, shape, p.x + (geo.w + geo.pad[0] - geo.pad[1]) / 2, p.y + 24 + geo.body / 2, 54, 42, 17);
        write(problem !== null ? words("does not fit") : shape ?? "", p.x + 7, p.y + geo.h - 6, 10, paint.color(problem !== null ? "--fl-state-error" : "--fl-text-2"));
        write(node ? shortDtype(out?.dtype ?? null) : `×${"count" in e ? e.count : ""}`, p.x + geo.w - 7, p.y + geo.h - 6, 10, paint.color("--fl-text-3"), false, "right");
      }
    }
    for (const port of geo.ports) {
      pen.dot(p.x + port.x, p.y + port.y, 4, { fill: paint.color("--fl-surface"), stroke: paint.color(e.phase === "forward" ? "--fl-dtype-float" : `--fl-phase-${e.phase}`), width: 2 });
    }
  }
  for (const { note, rect } of notes) {
    pen.box(rect.x, rect.y, rect.w, rect.h, 3, { fill: paint.color("--fl-surface"), stroke: paint.color("--fl-op-state") });
    let y = rect.y + 20;
    for (const line of wrapped(pen, note.text, rect.w - 22)) { if (y > rect.y + rect.h) break; write(line, rect.x + 11, y, 12, paint.color("--fl-text-1")); y += 17; }
  }
}

const FRAME_COLOURS = { grey: "--fl-op-control", blue: "--fl-phase-forward", green: "--fl-op-activation", orange: "--fl-op-conv", red: "--fl-phase-backward", violet: "--fl-past" } as const;

/** A note's words in lines of this width; the signs of Markdown are left out. */
function wrapped(pen: Pen, text: string, width: number): string[] {
  const out: string[] = [];
  for (const row of text.slice(0, 4000).split("\n")) {
    let line = "";
    for (const word of visible(row.replace(/^#{1,3}\s+/, "").replace(/^\s*[-*+]\s+/, "• ").replace(/\*\*|`|\$/g, "")).split(/\s+/)) {
      if (line && pen.width(`${line} ${word}`, 12, false) > width) { out.push(line); line = word; }
      else line = line ? `${line} ${word}` : word;
    }
    if (line) out.push(line);
  }
  return out;
}

/** CSS variables of the root as canvas colours, each computed once. */
function painter(root: HTMLElement): { color(variable: string, fallback?: string): string } {
  const probe = document.createElement("span");
  probe.style.display = "none";
  root.append(probe);
  const known = new Map<string, string>();
  queueMicrotask(() => probe.remove());
  return {
    color(variable, fallback) {
      let c = known.get(variable);
      if (c === undefined) {
        probe.style.color = fallback ? `var(${variable}, var(${fallback}))` : `var(${variable})`;
        c = getComputedStyle(probe).color;
        known.set(variable, c);
      }
      return c;
    },
  };
}
