// What the view draws with: maps of whole pixels with something marked on them, and small grids with their numbers.
import * as React from "react";
import { css, inkOn, scaleOf } from "../shared/color";
import { short } from "../shared/format";
import { Pixels, type Root, type Scale } from "../shared/pixels";
export { Pixels, type Root, ScaleBar } from "../shared/pixels";

/** Pixels a cell, whole where there is room. */
export function cellSize(space: number, rows: number, cols: number, most = 72): number {
  const k = Math.min(most, space / Math.max(rows, cols, 1));
  return k >= 2 ? Math.floor(k) : k;
}

export interface GridCell { value: number; padding?: boolean; winner?: boolean }

const MOST = 400;       // cells with numbers; more are a picture

type GridProps = Parameters<typeof NumberedGrid>[0];

/** A grid with its numbers in it where they are few, else a picture of them. With `choose`, cells with numbers can be chosen with mouse and keys. */
export function Numbers(props: GridProps) {
  const { cells, rows, cols, side, scale, root, theme, label } = props;
  const many = cells.length > MOST;
  const values = React.useMemo(() => (many ? Float32Array.from(cells, (c) => c.value) : null), [many, cells]);
  if (!values) return <NumberedGrid {...props} />;
  const k = side / Math.max(rows, cols);
  return <Pixels map={values} rows={rows} cols={cols} width={cols * k} height={rows * k} scale={scale} theme={theme} root={root} label={label} />;
}

function NumberedGrid({ label, cells, rows, cols, side, scale, lit, light, root, theme, chosen, choose, names }: {
  label: string; cells: GridCell[]; rows: number; cols: number; side: number; scale: Scale; lit: number | null; light(k: number | null): void; root: Root; theme: number;
  chosen?: number; choose?(k: number): void; names?(k: number): string;
}) {
  const box = React.useRef<SVGSVGElement>(null);
  const hatch = React.useId();
  const k = Math.max(1, Math.floor(side / Math.max(rows, cols, 1)));
  const decimals = k >= 46 ? 3 : k >= 36 ? 2 : k >= 27 ? 1 : -1;
  // the colours follow the theme: computed again when it changes
  const colour = React.useMemo(() => (root.current ? scaleOf(root.current, scale.map) : null), [root, scale.map, theme]);
  const onKeyDown = (e: React.KeyboardEvent, n: number) => {
    if (!choose) return;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -cols, ArrowDown: cols }[e.key];
    if (step === undefined) {
      if (e.key !== "Enter" && e.key !== " ") return;
      choose(n);
    } else {
      const next = n + step;
      if (next < 0 || next >= cells.length || (Math.abs(step) === 1 && Math.floor(next / cols) !== Math.floor(n / cols))) { e.preventDefault(); e.stopPropagation(); return; }
      choose(next);
      box.current?.querySelectorAll<SVGGElement>("[data-cell]")[next]?.focus();
    }
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <svg ref={box} className="numbers" width={cols * k} height={rows * k} role={choose ? "group" : "img"} aria-label={label} onPointerLeave={() => light(null)}>
      <defs><pattern id={hatch} width={6} height={6} patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path className="stripe" d="M0 0V6" /></pattern></defs>
      {cells.map((cell, n) => {
        const x = (n % cols) * k;
        const y = Math.floor(n / cols) * k;
        const share = (cell.value - scale.lo) / (scale.hi - scale.lo || 1);
        const rgb = colour && Number.isFinite(cell.value) ? colour(Math.max(0, Math.min(1, share))) : null;
        const text = decimals < 0 ? "" : Number.isFinite(cell.value) ? fixed(cell.value, decimals) : Number.isNaN(cell.value) ? "NaN" : cell.value > 0 ? "∞" : "−∞";
        return (
          <g
            key={n} data-cell={n} data-lit={lit === n || undefined} data-value={String(cell.value)} onPointerEnter={() => light(n)}
            {...(choose ? {
              role: "button", tabIndex: n === chosen ? 0 : -1, "aria-pressed": n === chosen, "aria-label": `${names?.(n) ?? ""} ${text || short(cell.value)}`,
              onClick: () => choose(n), onKeyDown: (e: React.KeyboardEvent) => onKeyDown(e, n), onFocus: () => light(n), onBlur: () => light(null),
            } : {})}
          >
            <rect className={rgb ? "cell" : "cell nan"} x={x + 0.5} y={y + 0.5} width={k - 1} height={k - 1} fill={cell.padding ? undefined : rgb ? css(rgb) : undefined} data-padding={cell.padding || undefined} />
            {(cell.padding || !rgb) && <rect x={x + 0.5} y={y + 0.5} width={k - 1} height={k - 1} fill={`url(#${hatch})`} className={cell.padding ? "" : "error"} />}
            {text && <text x={x + k / 2} y={y + k / 2 + 4} textAnchor="middle" className={cell.padding || !rgb ? "boxed" : ""} style={{ fontSize: decimals === 1 ? 10 : undefined, fill: cell.padding || !rgb ? undefined : rgb ? inkOn(rgb) : undefined }}>{text}</text>}
            {cell.winner && <rect className="winner" x={x + 2} y={y + 2} width={k - 4} height={k - 4} />}
            <rect className="edge" data-chosen={n === chosen || undefined} x={x + 1} y={y + 1} width={k - 2} height={k - 2} />
          </g>
        );
      })}
    </svg>
  );
}

/** A number for a cell, its places fixed so that columns line up; where there is little room, without the zero before its point. */
function fixed(x: number, decimals: number): string {
  const size = Math.abs(x);
  if (x === 0) return "0";
  if (size >= 100) return short(Number(x.toPrecision(3)));
  const tight = decimals === 1;
  const text = tight && size < 0.995 ? size.toFixed(2).slice(1) : size.toFixed(size >= 10 ? Math.max(0, decimals - 1) : decimals);
  return (x < 0 && Number(text) !== 0 ? "−" : "") + text;
}
