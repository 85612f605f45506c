// Tensors small: a grid of real values, a dashed grid of the true shape before there is one, a number for a scalar.
import * as React from "react";
import { num } from "../shared/format";
import { textWidth } from "./geometry";
import { paintGrid } from "../shared/paint";
import { t } from "../shared/words";
import { useLab, useLabState, type Tensor } from "./store";

/** Whole pixels a cell, inside at most w × h. */
export function cellOf(rows: number, cols: number, w: number, h: number): { cw: number; ch: number } {
  return { cw: Math.max(1, Math.min(10, Math.floor(w / Math.max(1, cols)))), ch: Math.max(1, Math.min(10, Math.floor(h / Math.max(1, rows)))) };
}

export const limitsOf = (t: { lo: number; hi: number; map: "seq" | "div" }): [number, number] => (t.map === "div" ? [-t.hi, t.hi] : [t.lo, t.hi]);

export function Grid({ tensor, w, h }: { tensor: Tensor; w: number; h: number }) {
  const lab = useLab();
  const theme = useLabState((s) => s.theme);
  const ref = React.useRef<HTMLCanvasElement>(null);
  const { cw, ch } = cellOf(tensor.rows, tensor.cols, w, h);
  React.useLayoutEffect(() => {
    if (!ref.current || !lab.root || !tensor.data.length) return;
    const [lo, hi] = limitsOf(tensor);
    paintGrid(ref.current, tensor.data, tensor.rows, tensor.cols, lo, hi, tensor.map, lab.root);
  }, [lab, tensor, theme]);
  const style = { width: Math.min(w, tensor.cols * cw), height: Math.min(h, tensor.rows * ch) };
  return (
    <span className="th" data-filled style={style}>
      <canvas ref={ref} style={style} aria-hidden="true" />
    </span>
  );
}

/** The dimensions in a shape's text; an unknown one is null. */
export function dims(shape: string | null): (number | null)[] | null {
  if (shape === null) return null;
  const inner = shape.trim().replace(/^\(/, "").replace(/\)$/, "").trim();
  if (inner === "") return [];
  return inner.split(",").map((p) => p.trim()).filter((p) => p !== "").map((p) => (/^\d+$/.test(p) ? Number(p) : null));
}

/** What will be there: the shape as a dashed grid. */
export function Ghost({ shape, w, h }: { shape: string | null; w: number; h: number }) {
  const d = dims(shape);
  if (d === null) return <span className="unknown">?</span>;
  if (d.length === 0) return <svg className="notyet" width="26" height="20" aria-hidden="true"><rect x=".5" y=".5" width="25" height="19" rx="4" /></svg>;
  const cols = Math.min(12, Math.max(1, d[d.length - 1] ?? 6));
  const rows = d.length === 1 ? 1 : Math.min(12, Math.max(1, d[d.length - 2] ?? 6));
  const { cw, ch } = cellOf(rows, cols, w, h);
  const gw = cols * cw;
  const gh = rows * ch;
  let lines = "";
  for (let i = 1; i < cols; i++) lines += `M${i * cw} 0V${gh}`;
  for (let i = 1; i < rows; i++) lines += `M0 ${i * ch}H${gw}`;
  return (
    <svg className="notyet" width={gw + 1} height={gh + 1} aria-hidden="true">
      <path d={lines} />
      <rect x=".5" y=".5" width={gw} height={gh} />
    </svg>
  );
}

const FIGURES = { scalar: 17, "scalar sm": 12, const: 13 };
const SMALLEST = 9;

/** A number on a node, in smaller letters where the names of the ports leave it less room. */
function Figure({ text, kind, room }: { text: string; kind: keyof typeof FIGURES; room?: number }) {
  const wide = room === undefined ? 0 : textWidth(text, FIGURES[kind], true);
  return <span className={kind} style={room !== undefined && wide > room ? { fontSize: Math.max(SMALLEST, Math.floor((FIGURES[kind] * room) / wide)) } : undefined}>{text}</span>;
}

/** The value on a node: number, "all 0.0417", grid; the dashed grid while there is none. */
export function Thumbnail({ tensor, shape, w, h, small = false, room }: { tensor: Tensor | undefined; shape: string | null; w: number; h: number; small?: boolean; room?: number }) {
  if (!tensor) return <Ghost shape={shape} w={w} h={h} />;
  if (tensor.uniform && tensor.value !== null && tensor.shape.length > 0) return <Figure text={t("all {value}", { value: tensor.value.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") })} kind={small ? "scalar sm" : "const"} room={room} />;
  if (tensor.value !== null) return <Figure text={tensor.value} kind={small || tensor.value.length > 8 ? "scalar sm" : "scalar"} room={room} />;
  if (!tensor.data.length) return <span className="unknown">empty</span>;
  if (tensor.shape.length === 0) return <Figure text={num(tensor.data[0])} kind={small ? "scalar sm" : "scalar"} room={room} />;
  return <Grid tensor={tensor} w={w} h={h} />;
}
