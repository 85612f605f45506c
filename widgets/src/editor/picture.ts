// The canvas as a picture for the notebook's saved output: the same places, drawn with canvas 2D, so that it needs no page to be seen again.
import { css, scaleOf } from "../shared/color";
import { t as words } from "../shared/words";
import { problemOf, shortDtype, visible } from "./geometry";
import { frameRect, noteRect } from "./annotations";
import type { State, Tensor } from "./store";
import { cellOf, dims, limitsOf } from "./thumbs";

const MAX_W = 1400;
const MAX_H = 1600;
const PAD = 20;

export type Png = { png: string; width: number; height: number };

export function pictureOf(s: State, root: HTMLElement): Png | null {
  const rects = [...s.at].flatMap(([id, p]) => { const g = s.geos.get(id); return g ? [{ ...p, w: g.w, h: g.h }] : []; });
  if (!rects.length || !s.scene) return null;
  for (const r of s.routes.values()) if (r.chip) rects.push(r.chip);
  rects.push(...s.frames);
  const notes = s.scene.notes.map((n) => ({ note: n, rect: noteRect(n) }));
  rects.push(...notes.map((n) => n.rect));
  const made = s.scene.frames.flatMap((f) => { const r = frameRect(s, f.members); return r ? [{ frame: f, rect: r }] : []; });
  rects.push(...made.map((f) => f.rect));
  const x0 = Math.min(...rects.map((r) => r.x)) - PAD;
  const y0 = Math.min(...rects.map((r) => r.y)) - PAD - (s.layout?.captions.length ? 30 : 14);
  const w = Math.max(...rects.map((r) => r.x + r.w)) + PAD - x0;
  const h = Math.max(...rects.map((r) => r.y + r.h)) + PAD - y0;
  const k = Math.min(1.5, MAX_W / w, MAX_H / h);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(w * k));
  canvas.height = Math.max(1, Math.round(h * k));
  const g = canvas.getContext("2d");
  if (!g) return null;
  const paint = painter(root);
  g.fillStyle = paint.color("--fl-canvas");
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.scale(k, k);
  g.translate(-x0, -y0);
  const font = getComputedStyle(root).fontFamily;
  const write = (text: string, x: number, y: number, size: number, color: string, bold = false, align: CanvasTextAlign = "left", max?: number) => {
    g.font = `${bold ? "600 " : ""}${size}px ${font}`;
    g.fillStyle = color;
    g.textAlign = align;
    let t = text;
    if (max !== undefined) while (t.length > 2 && g.measureText(t).width > max) t = `${t.slice(0, -2)}…`;
    g.fillText(t, x, y);
  };
  g.textBaseline = "alphabetic";
  for (const { frame, rect } of made) {
    const colour = paint.color(FRAME_COLOURS[frame.colour]);
    g.fillStyle = g.strokeStyle = colour;
    g.lineWidth = 1.5;
    box(g, rect.x, rect.y, rect.w, rect.h, 10);
    g.globalAlpha = 0.07;
    g.fill();
    g.globalAlpha = 0.6;
    g.stroke();
    g.globalAlpha = 1;
    write(visible(frame.title), rect.x + 12, rect.y + rect.h - 9, 12, paint.color("--fl-text-1"), true, "left", rect.w - 24);
  }
  for (const f of s.frames) {
    g.strokeStyle = paint.color("--fl-line-strong");
    g.setLineDash([4, 3]);
    box(g, f.x, f.y, f.w, f.h, 8);
    g.stroke();
    g.setLineDash([]);
    write(visible(f.label), f.x + 10, f.y + 17, 11, paint.color("--fl-text-2"), true);
  }
  for (const c of s.layout?.captions ?? []) write(words(c.text), c.x, c.y + 11, 11, paint.color(`--fl-phase-${c.phase}`), true);
  for (const r of s.routes.values()) {
    const bad = r.edge.error !== null;
    const live = r.edge.tensor !== null && s.thumbs.has(r.edge.tensor);
    const path = new Path2D(r.d);
    g.lineCap = "round";
    g.strokeStyle = paint.color("--fl-canvas");
    g.lineWidth = 6;
    g.stroke(path);
    g.strokeStyle = paint.color(bad ? "--fl-state-error" : r.edge.phase === "forward" ? "--fl-dtype-float" : `--fl-phase-${r.edge.phase}`);
    g.lineWidth = bad ? 2.5 : live ? 1.75 : 2;
    g.setLineDash(bad ? [6, 4] : live ? [] : [0.5, 5]);
    g.stroke(path);
    g.setLineDash([]);
  }
  for (const r of s.routes.values()) {
    if (r.chip) {
      g.fillStyle = paint.color("--fl-surface");
      box(g, r.chip.x, r.chip.y, r.chip.w, r.chip.h, r.chip.h / 2);
      g.fill();
      g.strokeStyle = paint.color("--fl-line-strong");
      g.lineWidth = 1;
      g.setLineDash([3, 2]);
      g.stroke();
      g.setLineDash([]);
      write(`${s.wiring.origin(r.edge)} ${r.edge.shape ?? ""}`, r.chip.x + 9, r.chip.y + 13.5, 10.5, paint.color("--fl-text-1"), false, "left", r.chip.w - 14);
    }
    if (!r.label) continue;
    g.fillStyle = paint.color("--fl-canvas");
    g.fillRect(r.label.x - r.label.w / 2, r.label.y - 6.5, r.label.w, 13);
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
        g.fillStyle = Number.isFinite(v) ? css(colour(hi > lo ? (v - lo) / (hi - lo) : 0.5)) : paint.color("--fl-state-error");
        g.fillRect(left + (i % t.cols) * cw, top + Math.floor(i / t.cols) * ch, cw + 0.3, ch + 0.3);
      }
      return;
    }
    const d = dims(shape);
    if (!d) return;
    const cols = Math.min(12, d[d.length - 1] ?? 6) || 1;
    const rows = d.length < 2 ? 1 : Math.min(12, d[d.length - 2] ?? 6) || 1;
    const { cw, ch } = cellOf(rows, cols, mw, mh);
    g.strokeStyle = paint.color("--fl-line-strong");
    g.lineWidth = 1;
    g.setLineDash([3, 2]);
    g.strokeRect(cx - (cols * cw) / 2, cy - (rows * ch) / 2, cols * cw, rows * ch);
    g.setLineDash([]);
  };
  for (const e of [...s.scene.nodes, ...s.scene.scopes]) {
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
    if (geo.kind === "stack") for (const d of [8, 4]) { g.fillStyle = paint.color("--fl-surface"); g.strokeStyle = tint; box(g, p.x + d, p.y + d, geo.w, geo.h, 8); g.fill(); g.globalAlpha = 0.5; g.stroke(); g.globalAlpha = 1; }
    g.fillStyle = paint.color("--fl-surface");
    g.strokeStyle = problem !== null ? paint.color("--fl-state-error") : tint;
    g.lineWidth = 1;
    box(g, p.x, p.y, geo.w, geo.h, node?.source === "placeholder" ? 16 : 8);
    g.fill();
    g.globalAlpha = problem !== null ? 1 : 0.6;
    g.stroke();
    g.globalAlpha = 1;
    if (node?.source) {
      write(visible(node.label), p.x + 10, p.y + geo.h / 2 - 3, 12, paint.color("--fl-text-1"), true, "left", geo.w - 52);
      write(`${shape ?? ""} ${shortDtype(out?.dtype ?? null)}`, p.x + 10, p.y + geo.h / 2 + 11, 10, paint.color("--fl-text-2"), false, "left", geo.w - 50);
      thumb(tensor, shape, p.x + geo.w - 25, p.y + geo.h / 2, 32, 24, 12);
    } else {
      g.globalAlpha = 0.12;
      g.fillStyle = tint;
      box(g, p.x, p.y, geo.w, geo.kind === "compact" ? 22 : 24, 8);
      g.fill();
      g.globalAlpha = 1;
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
      g.beginPath();
      g.arc(p.x + port.x, p.y + port.y, 4, 0, 7);
      g.fillStyle = paint.color("--fl-surface");
      g.fill();
      g.strokeStyle = paint.color(e.phase === "forward" ? "--fl-dtype-float" : `--fl-phase-${e.phase}`);
      g.lineWidth = 2;
      g.stroke();
    }
  }
  for (const { note, rect } of notes) {
    g.fillStyle = paint.color("--fl-surface");
    g.strokeStyle = paint.color("--fl-op-state");
    g.lineWidth = 1;
    box(g, rect.x, rect.y, rect.w, rect.h, 3);
    g.fill();
    g.stroke();
    let y = rect.y + 20;
    for (const line of wrapped(g, font, note.text, rect.w - 22)) { if (y > rect.y + rect.h) break; write(line, rect.x + 11, y, 12, paint.color("--fl-text-1")); y += 17; }
  }
  return { png: canvas.toDataURL("image/png"), width: canvas.width, height: canvas.height };
}

const FRAME_COLOURS = { grey: "--fl-op-control", blue: "--fl-phase-forward", green: "--fl-op-activation", orange: "--fl-op-conv", red: "--fl-phase-backward", violet: "--fl-past" } as const;

/** A note's words in lines of this width; the signs of Markdown are left out. */
function wrapped(g: CanvasRenderingContext2D, font: string, text: string, width: number): string[] {
  g.font = `12px ${font}`;
  const out: string[] = [];
  for (const row of text.slice(0, 4000).split("\n")) {
    let line = "";
    for (const word of visible(row.replace(/^#{1,3}\s+/, "").replace(/^\s*[-*+]\s+/, "• ").replace(/\*\*|`|\$/g, "")).split(/\s+/)) {
      if (line && g.measureText(`${line} ${word}`).width > width) { out.push(line); line = word; }
      else line = line ? `${line} ${word}` : word;
    }
    if (line) out.push(line);
  }
  return out;
}

function box(g: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, r: number): void {
  g.beginPath();
  g.roundRect(x, y, w, h, r);
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
