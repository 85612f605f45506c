// Values by hand: slid, drawn, or taken from a variable of the notebook. Typing and pasting have the field above.
import * as React from "react";
import type { SceneNode } from "../protocol.gen";
import { css, scaleOf } from "../shared/color";
import { num } from "../shared/format";
import { Icon } from "../shared/icons";
import { t } from "../shared/words";
import { dims } from "./thumbs";
import { type Lab, useLab, useLabState } from "./store";
import { activeIn } from "../shared/tree";

const MOST = 28;        // rows and columns of a grid that is drawn by hand
const CURVE = 64;       // points of a curve

const tagOf = (node: SceneNode, text: string): Record<string, unknown> => (node.source === "placeholder" ? { tag: "SetFeed", node: node.name, text } : { tag: "SetAttr", node: node.name, attr: "value", value: text });

function parsed(text: string | null): unknown {
  if (text === null || text.length > 60_000) return null;
  try { return JSON.parse(text); } catch { return null; }
}

// ---------------------------------------------------------------- sliders

const ranges = new Map<string, { lo: number; hi: number }>();

/** A range with room around the value. */
function around(value: number): { lo: number; hi: number } {
  const reach = value === 0 ? 1 : 10 ** Math.ceil(Math.log10(Math.abs(value) * 1.0001));
  return { lo: value < 0 ? -reach : value > 0 ? 0 : -reach, hi: value > 0 ? reach : value < 0 ? 0 : reach };
}

/** A scalar as a slider; while it is dragged only the latest wish is on its way, and all of it is one step of undo. */
function SliderRow({ node, value, whole }: { node: SceneNode; value: number; whole: boolean }) {
  const lab = useLab();
  const live = useLabState((s) => s.run.live);
  const [, again] = React.useState(0);
  const [draft, setDraft] = React.useState<number | null>(null);
  const wish = React.useRef<{ value: number | null; busy: boolean; round: number }>({ value: null, busy: false, round: 0 });
  React.useEffect(() => { if (wish.current.value === null && !wish.current.busy) setDraft(null); }, [value]);
  let range = ranges.get(node.name);
  if (!range || value < range.lo || value > range.hi) { range = around(value); ranges.set(node.name, range); }
  const step = whole ? 1 : (range.hi - range.lo) / 200;
  const slide = async (to: number) => {
    setDraft(to);
    wish.current.value = to;
    if (wish.current.busy) return;
    wish.current.busy = true;
    while (wish.current.value !== null) {
      const next = wish.current.value;
      wish.current.value = null;
      await lab.edit([tagOf(node, String(whole ? Math.round(next) : Number(next.toPrecision(6))))], undefined, `slide ${node.name} ${wish.current.round}`);
    }
    wish.current.busy = false;
    setDraft(null);
  };
  const end = (side: "lo" | "hi") => (e: React.FocusEvent<HTMLInputElement> | React.KeyboardEvent<HTMLInputElement>) => {
    const to = Number(e.currentTarget.value.replace("−", "-"));
    const next = { ...range, [side]: to };
    if (Number.isFinite(to) && next.lo <= value && value <= next.hi && next.lo < next.hi) { ranges.set(node.name, next); again((k) => k + 1); }
  };
  const shown = draft ?? value;
  const edge = (side: "lo" | "hi", label: string) => <input key={`${side}${range[side]}`} className="tf end" aria-label={label} defaultValue={num(range[side])} onBlur={end(side)} onKeyDown={(e) => { if (e.key === "Enter") end(side)(e); if (e.key === "Escape") { e.stopPropagation(); lab.root?.focus({ preventScroll: true }); } }} />;
  return (
    <div className="slide">
      {edge("lo", t("Least"))}
      <input type="range" aria-label={t("Slide {name}", { name: node.name })} min={range.lo} max={range.hi} step={step} value={shown} onPointerDown={() => { wish.current.round++; }} onChange={(e) => void slide(Number(e.currentTarget.value))}
        style={{ "--fl-share": `${((shown - range.lo) / (range.hi - range.lo)) * 100}%` } as React.CSSProperties} />
      {edge("hi", t("Most"))}
      <label className="lv" title={t("Run after every edit, while that is quick (L)")}><input type="checkbox" checked={live} onChange={(e) => void lab.command(e.target.checked ? "live_on" : "live_off")} />{t("live")}</label>
    </div>
  );
}

// ---------------------------------------------------------------- drawing

type Sheet = { rows: number; cols: number; data: number[]; wrap: number; curve: boolean };

/** The value as a sheet to draw on; null if it is too large, or has more than two sides. */
function sheetOf(node: SceneNode): Sheet | null {
  const held = parsed(node.value);
  let shape: number[];
  const flat: number[] = [];
  if (held !== null) {
    shape = [];
    for (let level: unknown = held; Array.isArray(level); level = level[0]) shape.push(level.length);
    const walk = (v: unknown): void => { if (Array.isArray(v)) v.forEach(walk); else flat.push(typeof v === "boolean" ? Number(v) : typeof v === "number" ? v : Number.NaN); };
    walk(held);
  } else {
    if (node.value_note !== null) return null;
    const known = dims(node.outputs[0]?.shape ?? null);
    if (!known) return null;
    shape = known.map((d) => d ?? 1);       // of what has no size yet one is drawn
  }
  if (!shape.length || shape.some((d) => d < 1)) return null;
  let wrap = 0;
  while (shape.length > 2 && shape[0] === 1) { shape = shape.slice(1); wrap++; }
  if (shape.length > 2) return null;
  const curve = shape.length === 1;
  const [rows, cols] = curve ? [1, shape[0]] : shape;
  if (curve ? cols > CURVE : rows > MOST || cols > MOST) return null;
  if (flat.length && (flat.length !== rows * cols || flat.some((v) => !Number.isFinite(v)))) return null;
  return { rows, cols, data: flat.length ? flat : new Array<number>(rows * cols).fill(0), wrap, curve };
}

function textOf(sheet: Sheet, dtype: string): string {
  const one = (v: number): unknown => (dtype === "bool" ? v !== 0 : dtype.startsWith("int") || dtype.startsWith("uint") ? Math.round(v) : Number(v.toPrecision(6)));
  let out: unknown = sheet.curve ? sheet.data.map(one) : Array.from({ length: sheet.rows }, (_, r) => sheet.data.slice(r * sheet.cols, (r + 1) * sheet.cols).map(one));
  for (let k = 0; k < sheet.wrap; k++) out = [out];
  return JSON.stringify(out);
}

/** A grid to paint, or a curve to draw; arrows and Space do it by keyboard. */
function Pad({ node, sheet }: { node: SceneNode; sheet: Sheet }) {
  const lab = useLab();
  const theme = useLabState((s) => s.theme);
  const dtype = node.outputs[0]?.dtype ?? "float32";
  const [data, setData] = React.useState(sheet.data);
  const [ink, setInk] = React.useState("1");
  const [at, setAt] = React.useState(0);
  const ref = React.useRef<HTMLCanvasElement>(null);
  const stroke = React.useRef<number[] | null>(null);
  React.useEffect(() => { if (!stroke.current) setData(sheet.data); }, [node.value]);
  const value = Number(ink.replace("−", "-"));
  const paint = Number.isFinite(value) ? value : 1;
  const reach = Math.max(1, Math.abs(paint), ...data.map(Math.abs));
  const W = 252;
  const cell = sheet.curve ? W / sheet.cols : Math.max(4, Math.floor(Math.min(W / sheet.cols, 200 / sheet.rows)));
  const [w, h] = sheet.curve ? [W, 96] : [cell * sheet.cols, cell * sheet.rows];
  const signed = data.some((v) => v < 0) || paint < 0;
  React.useLayoutEffect(() => {
    const canvas = ref.current;
    const g = canvas?.getContext("2d");
    if (!canvas || !g || !lab.root) return;
    canvas.width = w * 2;
    canvas.height = h * 2;
    g.scale(2, 2);
    const style = getComputedStyle(lab.root);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    if (sheet.curve) {
      g.fillStyle = colour("--fl-surface");
      g.fillRect(0, 0, w, h);
      g.strokeStyle = colour("--fl-line-strong");
      g.beginPath(); g.moveTo(0, h / 2); g.lineTo(w, h / 2); g.stroke();
      g.strokeStyle = colour("--fl-accent");
      g.lineWidth = 2;
      g.beginPath();
      data.forEach((v, i) => { const x = (i + 0.5) * cell; const y = h / 2 - (v / reach) * (h / 2 - 5); if (i) g.lineTo(x, y); else g.moveTo(x, y); });
      g.stroke();
      g.fillStyle = colour("--fl-accent");
      data.forEach((v, i) => { g.beginPath(); g.arc((i + 0.5) * cell, h / 2 - (v / reach) * (h / 2 - 5), 2.5, 0, 7); g.fill(); });
    } else {
      const scale = scaleOf(lab.root, signed ? "div" : "seq");
      data.forEach((v, i) => {
        g.fillStyle = css(scale(signed ? (v + reach) / (2 * reach) : v / reach));
        g.fillRect((i % sheet.cols) * cell, Math.floor(i / sheet.cols) * cell, cell, cell);
      });
      if (cell >= 6) {
        g.strokeStyle = colour("--fl-line");
        g.lineWidth = 0.5;
        for (let c = 1; c < sheet.cols; c++) { g.beginPath(); g.moveTo(c * cell, 0); g.lineTo(c * cell, h); g.stroke(); }
        for (let r = 1; r < sheet.rows; r++) { g.beginPath(); g.moveTo(0, r * cell); g.lineTo(w, r * cell); g.stroke(); }
      }
    }
    if (activeIn(canvas) === canvas) {
      g.strokeStyle = colour("--fl-accent");
      g.lineWidth = 2;
      g.strokeRect((at % sheet.cols) * cell + 1, sheet.curve ? 1 : Math.floor(at / sheet.cols) * cell + 1, cell - 2, sheet.curve ? h - 2 : cell - 2);
    }
  }, [lab, data, at, theme, w, h, cell, reach, signed, sheet]);
  const send = (next: number[]) => void lab.edit([tagOf(node, textOf({ ...sheet, data: next }, dtype))], `Drew ${node.name}.`);
  const draw = (e: React.PointerEvent<HTMLCanvasElement>) => {
    const b = e.currentTarget.getBoundingClientRect();
    const c = Math.max(0, Math.min(sheet.cols - 1, Math.floor(((e.clientX - b.left) / b.width) * sheet.cols)));
    const next = [...(stroke.current ?? data)];
    if (sheet.curve) { next[c] = Math.max(-reach, Math.min(reach, (0.5 - (e.clientY - b.top) / b.height) * 2 * reach * (b.height / (b.height - 10)))); setAt(c); }
    else {
      const r = Math.max(0, Math.min(sheet.rows - 1, Math.floor(((e.clientY - b.top) / b.height) * sheet.rows)));
      next[r * sheet.cols + c] = e.buttons === 2 || e.shiftKey ? 0 : paint;
      setAt(r * sheet.cols + c);
    }
    stroke.current = next;
    setData(next);
  };
  const finish = () => { const next = stroke.current; stroke.current = null; if (next) send(next); };
  const onKeyDown = (e: React.KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -sheet.cols, ArrowDown: sheet.cols }[e.key];
    let next: number[] | null = null;
    if (e.key === "Escape") { e.stopPropagation(); e.preventDefault(); lab.root?.focus({ preventScroll: true }); return; }
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (sheet.curve && (e.key === "ArrowUp" || e.key === "ArrowDown")) next = data.map((v, i) => (i === at ? Math.max(-reach, Math.min(reach, v + (e.key === "ArrowUp" ? 0.1 : -0.1) * reach)) : v));
    else if (by !== undefined) setAt((i) => (i + by >= 0 && i + by < data.length ? i + by : i));
    else if (e.key === " " || e.key === "Enter") next = data.map((v, i) => (i === at ? paint : v));
    else if (e.key === "0") next = data.map((v, i) => (i === at ? 0 : v));
    else return;
    e.preventDefault();
    e.stopPropagation();
    if (next) { setData(next); send(next); }
  };
  const where = sheet.curve ? `[${at}]` : `[${Math.floor(at / sheet.cols)}, ${at % sheet.cols}]`;
  return (
    <div className="padb">
      <canvas ref={ref} className="drawp" data-filled style={{ width: w, height: h }} tabIndex={0} role="application" aria-roledescription={t("drawing")} aria-label={sheet.curve ? t("Draw {name}: a curve of {cols} points; at {where} {value}. Arrows move and bend.", { name: node.name, cols: sheet.cols, where, value: num(data[at] ?? 0) })
          : t("Draw {name}: {rows} by {cols} cells; at {where} {value}. Arrows move, Space paints, 0 clears.", { name: node.name, rows: sheet.rows, cols: sheet.cols, where, value: num(data[at] ?? 0) })}
        onPointerDown={(e) => { e.currentTarget.setPointerCapture(e.pointerId); stroke.current = [...data]; draw(e); }} onPointerMove={(e) => { if (stroke.current) draw(e); }} onPointerUp={finish} onPointerCancel={finish} onContextMenu={(e) => e.preventDefault()}
        onKeyDown={onKeyDown} onFocus={() => setAt((i) => i)} />
      <div className="padr">
        {!sheet.curve && <label className="fld ink">{t("Ink")}<input className="tf" aria-label={t("Ink")} value={ink} onChange={(e) => setInk(e.target.value)} onKeyDown={(e) => { if (e.key === "Escape") { e.stopPropagation(); lab.root?.focus({ preventScroll: true }); } }} /></label>}
        <button type="button" className="bt" onClick={() => { const next = data.map(() => 0); setData(next); send(next); }}>{t("Clear")}</button>
        <span className="muted f0" aria-live="polite">{where} {num(data[at] ?? 0)}{sheet.curve ? "" : ` · ${t("Shift erases")}`}</span>
      </div>
    </div>
  );
}

// ---------------------------------------------------------------- all of it

/** What stands below the typed value: a slider for a scalar, a sheet to draw on, and the notebook's variable. */
export function ValueEditor({ node }: { node: SceneNode }) {
  const [drawing, setDrawing] = React.useState(false);
  const [binding, setBinding] = React.useState(false);
  const sheet = sheetOf(node);
  const held = parsed(node.value);
  const dtype = node.outputs[0]?.dtype ?? "float32";
  return (
    <>
      {typeof held === "number" && <SliderRow node={node} value={held} whole={dtype.startsWith("int") || dtype.startsWith("uint")} />}
      <div className="act tight">
        {sheet && <button type="button" className="bt" aria-pressed={drawing} onClick={() => setDrawing(!drawing)}><Icon name="conv" size={12} /> {t("Draw")}</button>}
        <button type="button" className="bt" aria-pressed={binding || node.bound !== null} title={t("Take the value from a variable of the notebook when a run starts")} onClick={() => setBinding(!binding)}><Icon name="input" size={12} /> {node.bound !== null ? t("Bound") : t("Bind")}</button>
      </div>
      {drawing && sheet && <Pad key={`${sheet.rows} ${sheet.cols}`} node={node} sheet={sheet} />}
      {(binding || node.bound !== null) && <Binding node={node} />}
    </>
  );
}

function Binding({ node }: { node: SceneNode }) {
  const lab = useLab();
  const [draft, setDraft] = React.useState<string | null>(null);
  const id = React.useId();
  React.useEffect(() => setDraft(null), [node.bound]);
  const commit = (lab_: Lab) => {
    const to = (draft ?? node.bound ?? "").trim();
    if (to !== (node.bound ?? "")) void lab_.edit([{ tag: "Bind", node: node.name, variable: to }], to ? `${node.name} takes its value from ${to} when a run starts.` : `${node.name} keeps its own value.`);
  };
  return (
    <div className="fld"><label htmlFor={id}>{t("Variable")}</label>
      <input id={id} className="tf m" type="text" autoComplete="off" spellCheck={false} placeholder={t("a name in the notebook")} value={draft ?? node.bound ?? ""} onChange={(e) => setDraft(e.target.value)} onBlur={() => commit(lab)}
        onKeyDown={(e) => { if (e.key === "Enter") { e.preventDefault(); commit(lab); } if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); setDraft(null); lab.root?.focus({ preventScroll: true }); } }} />
    </div>
  );
}
