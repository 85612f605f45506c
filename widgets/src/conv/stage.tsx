// The stage: the input with its window, what the window sees, the kernel, the products, and the output that they make.
import * as React from "react";
import { Slider, useScrub } from "../shared/controls";
import { num } from "../shared/format";
import { t as words } from "../shared/words";
import type { Brush, Cell } from "./app";
import { type Data, type Moment, mapOf, placeOf, scaleFor } from "./data";
import { cellSize, type GridCell, Numbers, Pixels, type Root, ScaleBar } from "./tiles";

const GAP = 30;
export const WIDE = 1080;

export function Stage({ data, moment: m, y, x, o, c, setC, cell, setCell, go, theme, root, width, brush, setBrush, paint, edit }: {
  data: Data; moment: Moment; y: number; x: number; o: number; c: number; setC(c: number): void; cell: Cell; setCell(cell: Cell): void; go(y: number, x: number): void;
  theme: number; root: Root; width: number; brush: Brush; setBrush(brush: Brush): void; paint(at: [number, number]): void; edit(what: "input" | "kernel", place: number[], value: number): void;
}) {
  const { info, layer } = data;
  const [lit, light] = React.useState<number | null>(null);
  const weighted = layer.kind === "conv" || layer.kind === "transpose";
  const grids = weighted ? 3 : 1;
  // in one row where there is room; else input and output above, and between them, below, how one becomes the other
  const wide = width >= WIDE;
  const inner = Math.max(260, width - 50);
  const space = inner - (grids + 1) * GAP;
  const small = wide ? Math.min(196, space * (weighted ? 0.155 : 0.22)) : Math.min(196, (inner - 110) / (weighted ? 3 : 1));
  const large = wide ? Math.min(344, (space - grids * small) / 2) : Math.min(330, (inner - 60) / 2);
  const middle = wide ? { marginTop: Math.max(0, (large - small) / 2) } : undefined;
  const size = m.rows.length * m.cols.length;
  const at = c * size;
  const xs = scaleFor(info.x_limit, info.x_signed);
  const ys = scaleFor(info.y_limit, info.y_signed);
  const grid = (values: ArrayLike<number>, shade: boolean): GridCell[] =>
    Array.from({ length: size }, (_, k) => ({ value: values[at + k], padding: shade && !m.inside[k], winner: m.winner === k && shade }));
  const product = Math.max(...Array.from({ length: size }, (_, k) => Math.abs(m.products[at + k])).filter((v) => Number.isFinite(v) && v > 0), 0) || 1;
  const shared = { rows: m.rows.length, cols: m.cols.length, side: small, lit, light, root, theme };
  const chosen = m.rows.findIndex((t) => t.k === cell.i) * m.cols.length + m.cols.findIndex((t) => t.k === cell.j);
  const many = layer.channels > 1 && m.channels.count > 1;
  return (
    <section className="panel stage" aria-label={words("One window")}>
      <div className="head">
        <h2>{words("One window: channel {o} at row {y}, column {x}", { o, y, x })}</h2>
        <span className="sentence">{sentence(data, m, y, x)}</span>
      </div>
      <div className="tiles" data-rows={wide ? 1 : 2}>
        <figure className="input" style={{ width: large }}>
          <figcaption><b>{words("Input")}</b> {info.source.replace(/:0$/, "")} · {words("channel {n}", { n: m.channels.from + c })} · {layer.rows} × {layer.cols}</figcaption>
          <InputMap data={data} m={m} channel={m.channels.from + c} side={large} go={go} theme={theme} root={root} lit={lit} paint={brush.on ? paint : null} />
          <div className="under">
            <ScaleBar scale={xs} />
            <span className="paint">
              <button type="button" className="button" aria-pressed={brush.on} title={words("Drag over the input; with the keyboard, Enter paints the middle of the window")} onClick={() => setBrush({ ...brush, on: !brush.on })}>{words("Paint")}</button>
              {brush.on && <label>{words("with")} <NumberField label={words("Paint with")} value={brush.value} set={(value) => setBrush({ ...brush, value })} /></label>}
            </span>
            {many && <Slider label={words("Input channel")} value={c} max={m.channels.count - 1} text={`${m.channels.from + c}`} onChange={setC} />}
          </div>
        </figure>
        <Sign side={large} sign="›" say={words("sees")} className="sign first" />
        <figure className="cells" style={middle}>
          <figcaption><b>{words("Window")}</b> {m.rows.length} × {m.cols.length}</figcaption>
          {m.ready ? size > 0 ? <Numbers label={words("What the window sees")} cells={grid(m.patch, true)} scale={xs} {...shared} /> : <p className="none">{words("no input reaches this place")}</p> : <Skeleton side={small} />}
          {m.inside.some((v) => !v) && <p className="note"><i className="hatched" /> {layer.kind === "max" ? words("padding: never the largest") : words("padding: zeros")}</p>}
          {layer.kind === "max" && <p className="note"><i className="ring" /> {words("the largest wins, the first at a tie")}</p>}
        </figure>
        {weighted ? (
          <>
            <Sign side={wide ? large : small} sign="×" say={words("times")} />
            <figure className="cells" style={middle}>
              <figcaption><b>{words("Kernel")}</b> {data.info.kernel_name.replace(/:0$/, "")}</figcaption>
              {m.ready ? (
                <Numbers
                  label={words("Kernel of channel {o}", { o })} cells={grid(m.weights, false)} scale={scaleFor(info.w_limit, true)} {...shared} chosen={chosen}
                  choose={(k) => setCell({ i: m.rows[Math.floor(k / m.cols.length)].k, j: m.cols[k % m.cols.length].k })}
                  names={(k) => words("Kernel row {i}, column {j}:", { i: m.rows[Math.floor(k / m.cols.length)].k, j: m.cols[k % m.cols.length].k })}
                />
              ) : <Skeleton side={small} />}
              {chosen >= 0 && m.ready && info.whole && (
                <label className="note">w[{cell.i}, {cell.j}] = <NumberField
                  label={words("Kernel value")} value={m.weights[at + chosen]} set={(value) => edit("kernel", kernelPlace(data, o, m.channels.from + c, c, cell), value)}
                /></label>
              )}
            </figure>
            <Sign side={wide ? large : small} sign="=" say={words("makes")} />
            <figure className="cells" style={middle}>
              <figcaption><b>{words("Products")}</b> {words("sum {value}", { value: num(m.sums[c]) })}</figcaption>
              {m.ready ? <Numbers label={words("Products of input and kernel")} cells={grid(m.products, true)} scale={scaleFor(product, true)} {...shared} /> : <Skeleton side={small} />}
            </figure>
            <Sign side={wide ? large : small} sign="Σ" say={words("adds up to")} className="sign last" />
          </>
        ) : <Sign side={wide ? large : small} sign={layer.kind === "max" ? "max" : "x̄"} say={layer.kind === "max" ? words("the largest") : words("the mean")} className="sign last" />}
        <figure className="output" style={{ width: large }}>
          <figcaption><b>{words("Output")}</b> {info.result.replace(/:0$/, "")} · {words("channel {n}", { n: o })} · {info.out_rows} × {info.out_cols}</figcaption>
          <OutputMap data={data} o={o} y={y} x={x} side={large} go={go} theme={theme} root={root} />
          <div className="under"><ScaleBar scale={ys} /><span className="readout" data-readout="output" data-value={String(m.value)}>{m.ready ? num(m.value) : "…"}</span></div>
        </figure>
      </div>
    </section>
  );
}

function kernelPlace(d: Data, o: number, channel: number, c: number, { i, j }: Cell): number[] {
  return d.layer.kind === "transpose" ? [channel, o % (d.layer.filters / d.info.groups), i, j] : [o, c, i, j];
}

function sentence({ info, layer }: Data, m: Moment, y: number, x: number): string {
  if (m.rows.length === 0 || m.cols.length === 0) return words("No place of the input reaches this one: it holds the bias alone.");
  const outside = m.inside.filter((v) => !v).length;
  const padding = outside ? words(", {n} of its places in the padding", { n: outside }) : "";
  const next = layer.kind === "transpose" || info.adaptive ? "" : words("; the next window starts {n} further", { n: info.stride[1] });
  return words("It covers rows {a} to {b} and columns {c} to {d} of the input{padding}{next}.", { a: m.rows[0].at, b: m.rows[m.rows.length - 1].at, c: m.cols[0].at, d: m.cols[m.cols.length - 1].at, padding, next });
}

function Sign({ sign, say, side, className = "sign" }: { sign: string; say: string; side: number; className?: string }) {
  return <span className={className} style={{ marginTop: side / 2 + 6 }} title={say} role="img" aria-label={say}>{sign}</span>;
}

function Skeleton({ side }: { side: number }) {
  return <div className="skeleton" style={{ width: side, height: side }} role="img" aria-label={words("Waiting for the kernel’s numbers …")} />;
}

/** A number as people write it, taken over with Enter or when the field is left. */
export function NumberField({ label, value, set, min }: { label: string; value: number; set(value: number): void; min?: number }) {
  const shown = Number.isFinite(value) ? String(Number(value.toPrecision(5))) : "";
  const [text, setText] = React.useState(shown);
  React.useEffect(() => setText(shown), [shown]);
  const parsed = Number(text.trim().replace("−", "-").replace(",", "."));
  const bad = text.trim() === "" || !Number.isFinite(parsed) || (min !== undefined && parsed < min);
  const take = () => {
    if (bad) setText(shown);
    else if (text !== shown) set(parsed);
  };
  return (
    <input
      className="number" inputMode="decimal" spellCheck={false} autoComplete="off" aria-label={label} value={text} aria-invalid={bad || undefined}
      onChange={(e) => setText(e.currentTarget.value)} onBlur={take} onKeyDown={(e) => { if (e.key === "Enter") { take(); e.preventDefault(); } }}
    />
  );
}

function InputMap({ data, m, channel, side, go, theme, root, lit, paint }: {
  data: Data; m: Moment; channel: number; side: number; go(y: number, x: number): void; theme: number; root: Root; lit: number | null; paint: ((at: [number, number]) => void) | null;
}) {
  const { info, layer } = data;
  const padded = layer.kind === "transpose" ? [0, 0, 0, 0] : info.padding;
  // a window may hang over what padding there is; never over more than the map shows
  const [top, bottom, left, right] = padded;
  const rows = layer.rows + top + bottom;
  const cols = layer.cols + left + right;
  const k = cellSize(side, rows, cols);
  const at = (v: number, before: number) => (v + before) * k;
  const scrub = useScrub((e, box) => {
    const iy = Math.floor((e.clientY - box.top) / k) - top;
    const ix = Math.floor((e.clientX - box.left) / k) - left;
    if (paint) paint([iy, ix]);
    else go(placeOf(data, 0, iy), placeOf(data, 1, ix));
  });
  const sent = mapOf(data, "x", channel);
  const first = m.rows[0] && m.cols[0] ? { y: m.rows[0].at, x: m.cols[0].at } : null;
  const last = first ? { y: m.rows[m.rows.length - 1].at, x: m.cols[m.cols.length - 1].at } : null;
  const gaps = info.dilation.some((v) => v > 1);
  return (
    <div className="map" style={{ width: cols * k, height: rows * k }} data-paint={paint ? true : undefined} {...scrub}>
      {rows * cols !== layer.rows * layer.cols && <i className="hatched around" />}
      <div className="inner" style={{ left: left * k, top: top * k, width: layer.cols * k, height: layer.rows * k }}>
        {sent ? (
          <Pixels
            map={sent.map} rows={sent.rows} cols={sent.cols} width={layer.cols * k} height={layer.rows * k} scale={scaleFor(info.x_limit, info.x_signed)} theme={theme} root={root}
            label={words("Input, channel {n}, {rows} by {cols}", { n: channel, rows: layer.rows, cols: layer.cols })}
          />
        ) : <i className="skeleton" />}
      </div>
      <svg className="over" width={cols * k} height={rows * k} aria-hidden="true">
        {first && last && (
          <>
            {gaps && m.rows.flatMap((r, a) => m.cols.map((q, b) => <rect key={`${a},${b}`} className="tap" x={at(q.at, left) + 0.5} y={at(r.at, top) + 0.5} width={Math.max(1, k - 1)} height={Math.max(1, k - 1)} />))}
            <rect className="halo" x={at(first.x, left) - 1} y={at(first.y, top) - 1} width={(last.x - first.x + 1) * k + 2} height={(last.y - first.y + 1) * k + 2} />
            <rect className="window" data-window={`${first.y},${first.x},${last.y + 1},${last.x + 1}`} x={at(first.x, left) - 1} y={at(first.y, top) - 1} width={(last.x - first.x + 1) * k + 2} height={(last.y - first.y + 1) * k + 2} />
            {m.winner >= 0 && <rect className="winner" x={at(m.cols[m.winner % m.cols.length].at, left) + 1} y={at(m.rows[Math.floor(m.winner / m.cols.length)].at, top) + 1} width={Math.max(1, k - 2)} height={Math.max(1, k - 2)} />}
            {lit !== null && m.cols[lit % m.cols.length] && m.rows[Math.floor(lit / m.cols.length)] && (
              <rect className="lit" x={at(m.cols[lit % m.cols.length].at, left)} y={at(m.rows[Math.floor(lit / m.cols.length)].at, top)} width={k} height={k} />
            )}
          </>
        )}
      </svg>
    </div>
  );
}

function OutputMap({ data, o, y, x, side, go, theme, root }: { data: Data; o: number; y: number; x: number; side: number; go(y: number, x: number): void; theme: number; root: Root }) {
  const { info } = data;
  const { out_rows: rows, out_cols: cols } = info;
  const k = cellSize(side, rows, cols);
  const scrub = useScrub((e, box) => go(Math.floor((e.clientY - box.top) / k), Math.floor((e.clientX - box.left) / k)));
  const sent = mapOf(data, "y", o);
  return (
    <div className="map" data-map="output" style={{ width: cols * k, height: rows * k }} {...scrub}>
      <div className="inner" style={{ inset: 0 }}>
        {sent ? (
          <Pixels
            map={sent.map} rows={sent.rows} cols={sent.cols} width={cols * k} height={rows * k} scale={scaleFor(info.y_limit, info.y_signed)} theme={theme} root={root}
            label={words("Output, channel {n}, {rows} by {cols}", { n: o, rows, cols })}
          />
        ) : <i className="skeleton" />}
      </div>
      <svg className="over" width={cols * k} height={rows * k} aria-hidden="true">
        <rect className="halo" x={x * k - 2} y={y * k - 2} width={k + 4} height={k + 4} /><rect className="window" x={x * k - 2} y={y * k - 2} width={k + 4} height={k + 4} />
      </svg>
    </div>
  );
}
