// The left half: what the layer reads, what the heads would say, and the six heatmaps, all on one time axis with one cursor.
import * as React from "react";
import { css, inkOn, scaleOf } from "../shared/color";
import { useScrub } from "../shared/controls";
import { niceStep, num, short } from "../shared/format";
import { paintMap } from "../shared/paint";
import type { Root } from "../shared/pixels";
import { t as words, told, useLanguage } from "../shared/words";
import { type LayerData, type Moment, type Shown, WORDS, inputOf, clipped, rangeOf, transposed } from "./data";
import { useLight } from "./lit";

const STRIP = 112;
const READING = 17;
const GAP = 6;
const TOP = 10;

interface Axis {
  steps: number;
  width: number;
  /** Left edge of step t, in pixels. */
  x(t: number): number;
  cell: number;
  at(clientX: number, box: DOMRect): number;
}

function axisOf(steps: number, space: number): Axis {
  const room = Math.max(120, Math.floor(space));
  // whole pixels a step wherever there is room
  const width = steps <= room ? steps * Math.floor(room / steps) : room;
  const cell = width / steps;
  return { steps, width, cell, x: (t) => t * cell, at: (clientX, box) => Math.max(0, Math.min(steps - 1, Math.floor(((clientX - box.left) / box.width) * steps))) };
}

/** Whole pixels a unit, tall enough for the words beside it, low enough for six of them; fewer of them are higher. */
function heightOf(units: number, maps: number): number {
  if (maps < 6 && units <= 96) return Math.max(1, Math.round(168 / units)) * units;
  if (units > 128) return 128;
  return units >= 64 ? units : units * Math.floor(128 / units / (units <= 4 ? 1.3 : 1.2)) || units;
}

/** Whole pixels a value where there is room, and at least as high as the words beside it; an image takes it all. */
function stripHeight({ info }: LayerData): number {
  const rows = info.strip_rows;
  if (info.strip_image || rows < 1) return STRIP;
  const whole = rows * Math.ceil(104 / rows);
  return whole <= 128 ? whole : STRIP;
}

export function Maps({ data, moment, plain, t, unit, space, move, theme, root }: {
  data: LayerData; moment: Moment; plain: LayerData | null; t: number; unit: number; space: number;
  move(t: number, unit: number): void; theme: number; root: Root;
}) {
  const axis = React.useMemo(() => axisOf(data.steps, space), [data.steps, space]);
  const height = heightOf(data.units, data.kind.shown.length);
  const now = React.useRef({ unit });
  now.current.unit = unit;
  const scrub = useScrub((e, box) => move(axis.at(e.clientX, box), now.current.unit));
  const { reading } = data.info;
  const strip = stripHeight(data);
  // the window frames what is read in this step; below it the cursor goes on as a line
  const above = strip + (reading.length ? GAP + reading.length * READING : 0);
  const ticks = niceStep(data.steps, Math.max(2, axis.width / 45));
  const marks = Array.from({ length: Math.ceil(data.steps / Math.max(1, ticks)) }, (_, k) => k * Math.max(1, Math.round(ticks)));
  const center = axis.x(t) + axis.cell / 2;
  const maps = data.kind.shown.length * (height + GAP) - GAP;
  const shared = data.units > 128 ? Math.ceil(data.units / 128) : 1;
  return (
    <div className="left" style={{ "--plot": `${axis.width}px` } as React.CSSProperties}>
      <div className="row">
        <div className="gutter">
          <h2>{words("Input")}</h2>
          <p>{told(data.info.strip_label)}</p>
          {!data.info.strip_image && <Scale lo={data.info.strip_lo} hi={data.info.strip_hi} map={data.info.strip_map} />}
          {reading.length > 0 && <div className="below" title={words("What each head would answer if it were asked at each step, and how sure it would be")}><h2>{words("Reading")}</h2><p>{words("if asked by then")}</p><Scale lo={0} hi={1} map="seq" /></div>}
        </div>
        <div className="plot" {...scrub}>
          <Strip data={data} width={axis.width} height={strip} theme={theme} root={root} />
          <i className="future" style={{ left: axis.x(t + 1) }} />
          <i className="window" style={{ left: axis.x(t), width: axis.cell, height: above + 2 }} />
        </div>
      </div>
      {reading.length > 0 && (
        <div className="row">
          <div className="gutter">
            {reading.map((r) => (
              <div className="answer" key={r.label}><span title={r.label}>{r.label}</span><b>{r.symbols[t]}</b><small>{Math.round(r.shares[t] * 100)} %</small></div>
            ))}
          </div>
          <div className="plot" {...scrub}>
            <Reading data={data} axis={axis} theme={theme} root={root} />
          </div>
        </div>
      )}
      {data.kind.shown.map((name) => (
        <Heatmap
          key={name} name={name} data={data} value={moment[name]} was={plain?.values[name]?.[t * data.units + unit] ?? null}
          axis={axis} height={height} t={t} unit={unit} move={move} theme={theme} root={root}
        />
      ))}
      <div className="row axis">
        <div className="gutter"><p>{shared > 1 ? words("step t; {n} units a row, the stronger shown", { n: shared }) : words("step t")}</p></div>
        <div className="plot">
          {marks.map((m) => {
            const x = axis.x(m) + axis.cell / 2;
            // the cursor's own number comes first
            return <span key={m} style={{ left: x, visibility: Math.abs(x - center) < 24 ? "hidden" : undefined }}>{m + data.from}</span>;
          })}
          <b style={{ left: center }}>{t + data.from}</b>
        </div>
      </div>
      <Notes data={data} t={t} />
      <Beyond data={data} axis={axis} end={data.info.length} top={TOP} height={above + 6 + maps} />
      <Beyond data={data} axis={axis} end={data.info.fired} top={TOP + above + 6} height={maps} plain />
      <i className="cursor" style={{ left: `calc(var(--gutter) + ${center}px)`, top: TOP + above + 4, height: maps + 12 }} />
    </div>
  );
}

/** The steps that there is nothing of: past the sequence's end, or not fired yet. */
function Beyond({ data, axis, end, top, height, plain = false }: { data: LayerData; axis: Axis; end: number; top: number; height: number; plain?: boolean }) {
  const from = Math.max(0, end - data.from);
  if (from >= data.steps) return null;
  return <i className={plain ? "beyond plain" : "beyond"} style={{ left: `calc(var(--gutter) + 12px + ${axis.x(from)}px)`, width: axis.width - axis.x(from), top, height }} />;
}

/** What the time axis cannot say by itself. */
function Notes({ data, t }: { data: LayerData; t: number }) {
  const { allSteps, allUnits, from, unitFrom, steps, units, backward, info } = data;
  const notes = [
    backward && words("It reads from the end: step {t} reads the input’s step {input}.", { t: t + from, input: inputOf(data, t + from) }),
    info.length < allSteps && words("This sequence ends after {n} of {all} steps; nothing is computed beyond.", { n: info.length, all: allSteps }),
    info.fired < info.length && words("Timesteps from {n} on have not fired yet.", { n: info.fired }),
    steps < allSteps && words("Steps {first} to {last} of {all} are drawn; the cursor turns the page.", { first: from, last: from + steps - 1, all: allSteps }),
    units < allUnits && words("Units {first} to {last} of {all} are drawn; the cursor turns the page.", { first: unitFrom, last: unitFrom + units - 1, all: allUnits }),
  ].filter(Boolean);
  return notes.length ? <p className="notes" role="status">{notes.join(" ")}</p> : null;
}

/** The colours of a map and the numbers at its ends. */
function Scale({ lo, hi, map }: { lo: number; hi: number; map: "seq" | "div" }) {
  return <div className="scale"><i>{short(lo)}</i><u className={map} /><i>{short(hi)}</i></div>;
}

const Strip = React.memo(function Strip({ data, width, height, theme, root }: { data: LayerData; width: number; height: number; theme: number; root: Root }) {
  const canvas = React.useRef<HTMLCanvasElement>(null);
  const { strip_rows: rows, strip_cols: cols, strip_channels: channels, strip_image: image, strip_lo: lo, strip_hi: hi, strip_map: map, strip_label: label } = data.info;
  useLanguage();
  React.useLayoutEffect(() => {
    if (!canvas.current || !root.current || !rows || !cols) return;
    if (image) paintImage(canvas.current, data.strip, rows, cols, channels);
    else paintMap(canvas.current, data.strip, rows, cols, width, height, lo, hi, map, root.current);
  }, [data, width, height, theme]);
  return <canvas ref={canvas} className={image ? "image" : "grid"} role="img" aria-label={words("Input: {what}", { what: told(label) })} style={{ width, height }} />;
});

function paintImage(canvas: HTMLCanvasElement, data: Float32Array, rows: number, cols: number, channels: number) {
  const image = new ImageData(cols, rows);
  for (let k = 0; k < rows * cols; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = 255 * data[k * channels + (channels === 3 ? c : 0)];
    image.data[4 * k + 3] = 255;
  }
  canvas.width = cols;
  canvas.height = rows;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

const Reading = React.memo(function Reading({ data, axis, theme, root }: { data: LayerData; axis: Axis; theme: number; root: Root }) {
  const canvas = React.useRef<HTMLCanvasElement>(null);
  const rows = data.info.reading;
  const height = rows.length * READING;
  React.useLayoutEffect(() => {
    const el = canvas.current;
    const g = el?.getContext("2d");
    if (!el || !g || !root.current) return;
    const dpr = window.devicePixelRatio || 1;
    el.width = axis.width * dpr;
    el.height = height * dpr;
    g.scale(dpr, dpr);
    g.font = `10px ${getComputedStyle(root.current).fontFamily}`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    const color = scaleOf(root.current, "seq");
    rows.forEach((row, r) => row.shares.forEach((share, t) => {
      const rgb = color(share);
      g.fillStyle = css(rgb);
      g.fillRect(axis.x(t), r * READING, axis.cell, READING - 1);
      // a symbol that does not fit its cell says less than none, and several letters need room between them and the next ones
      if (g.measureText(row.symbols[t]).width > axis.cell - (row.symbols[t].length > 1 ? 3 : 0)) return;
      g.fillStyle = inkOn(rgb);
      g.fillText(row.symbols[t], axis.x(t) + axis.cell / 2, r * READING + READING / 2);
    }));
  }, [data, axis, theme]);
  useLanguage();
  const said = rows.map((r) => `${r.label} ${r.symbols[r.symbols.length - 1] ?? ""}`).join(", ");
  return <canvas ref={canvas} role="img" aria-label={words("What each head would answer at each step; at the last: {said}", { said })} style={{ width: axis.width, height }} />;
});

function Heatmap({ name, data, value, was, axis, height, t, unit, move, theme, root }: {
  name: Shown; data: LayerData; value: number; was: number | null; axis: Axis; height: number; t: number; unit: number;
  move(t: number, unit: number): void; theme: number; root: Root;
}) {
  const light = useLight();
  const { lo, hi, map } = rangeOf(name, data.info.c_limit);
  const clip = React.useMemo(() => ("cus".includes(name) ? clipped(data.values[name]!, lo, hi) : 0), [data, lo, hi]);
  const held = data.info.clamps.filter((c) => c.gate === name);
  const scrub = useScrub((e, box) => {
    const row = Math.floor(((e.clientY - box.top) / box.height) * data.units);
    move(axis.at(e.clientX, box), Math.max(0, Math.min(data.units - 1, row)));
  });
  const rowHeight = height / data.units;
  const middle = (unit + 0.5) * rowHeight;
  const lit = light.is(name);
  const changed = was !== null && !Object.is(was, value);
  return (
    <div className="row" data-lit={lit} {...light.on(name)}>
      <div className="gutter">
        <div className="letter">
          <b>{name}</b>
          <span title={clip ? words("{n} of {total} values lie beyond the scale and take its last colour", { n: clip, total: data.values[name]!.length }) : undefined}>
            {words(WORDS[name])}{clip > 0 && ` · ${words("{n} clip", { n: clip })}`}
          </span>
        </div>
        <div className="readout" data-readout={name} data-value={String(value)} data-lit={lit}>{num(value)}</div>
        {held.length > 0 ? <p className="held">{held[0].unit !== null ? words("held in unit {unit}", { unit: held[0].unit }) : words("held")}</p> : changed && <p className="held">{words("was {value}", { value: num(was) })}</p>}
        <Scale lo={lo} hi={hi} map={map} />
      </div>
      <div className="plot map" data-gate={name} data-lit={lit} {...scrub}>
        <Cells name={name} data={data} width={axis.width} height={height} theme={theme} root={root} />
        <i className="unit" style={{ top: middle }} />
        <i className="cell" data-lit={lit} style={{ left: axis.x(t), top: unit * rowHeight, width: axis.cell, height: rowHeight }} />
      </div>
    </div>
  );
}

const Cells = React.memo(function Cells({ name, data, width, height, theme, root }: {
  name: Shown; data: LayerData; width: number; height: number; theme: number; root: Root;
}) {
  const canvas = React.useRef<HTMLCanvasElement>(null);
  useLanguage();
  React.useLayoutEffect(() => {
    if (!canvas.current || !root.current) return;
    const { lo, hi, map, middle } = rangeOf(name, data.info.c_limit);
    paintMap(canvas.current, transposed(data.values[name]!, data.steps, data.units), data.units, data.steps, width, height, lo, hi, map, root.current, { middle });
  }, [data, width, height, theme]);
  return <canvas ref={canvas} role="img" aria-label={words("{gate} {letter}, {units} units by {steps} steps", { gate: words(WORDS[name]), letter: name, units: data.units, steps: data.steps })} style={{ width, height }} />;
});
