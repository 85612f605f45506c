// Numbers as a picture of whole pixels, and the scale of its colours.
import * as React from "react";
import type { ColorMap } from "./color";
import { short } from "./format";
import { paintMap } from "./paint";

export type Root = React.RefObject<HTMLDivElement | null>;
/** The colours of a map and the numbers at its ends. */
export interface Scale { lo: number; hi: number; map: ColorMap }

export const scaleFor = (limit: number, signed: boolean): Scale => ({ lo: signed ? -limit : 0, hi: limit, map: signed ? "div" : "seq" });

/** The colours of a map and the numbers at its ends. */
export function ScaleBar({ scale }: { scale: Scale }) {
  return <div className="scale"><i>{short(scale.lo)}</i><u className={scale.map} /><i>{short(scale.hi)}</i></div>;
}

/** Rows × cols numbers as a picture of exactly this size. */
export const Pixels = React.memo(function Pixels({ map, rows, cols, width, height, scale, theme, root, label }: {
  map: ArrayLike<number>; rows: number; cols: number; width: number; height: number; scale: Scale; theme: number; root: Root; label?: string;
}) {
  const canvas = React.useRef<HTMLCanvasElement>(null);
  React.useLayoutEffect(() => {
    if (canvas.current && root.current) paintMap(canvas.current, map, rows, cols, Math.max(1, Math.round(width)), Math.max(1, Math.round(height)), scale.lo, scale.hi, scale.map, root.current);
  }, [map, rows, cols, width, height, scale.lo, scale.hi, scale.map, theme, root]);
  return <canvas ref={canvas} {...(label ? { role: "img", "aria-label": label } : { "aria-hidden": true })} style={{ width, height }} />;
});
