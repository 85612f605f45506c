// The cards: other settings, where a weight is used again, what a changed picture does, and how many numbers are learnt.
import * as React from "react";
import type { ConvLine, ConvSweep } from "../protocol.gen";
import { useWidth } from "../shared/controls";
import { niceStep, num, percent, tick } from "../shared/format";
import { t as words, tn, useLanguage } from "../shared/words";
import type { Cell } from "./app";
import { type Data, mapOf, type Moment, scaleFor, usesOf, weightAt } from "./data";
import { cellSize, Pixels, type Root, ScaleBar } from "./tiles";

// ---------------------------------------------------------------- stride, padding, dilation

export type Wanted = { stride?: number; padding?: number; dilation?: number; size?: number };

export const Settings = React.memo(function Settings({ data, set }: { data: Data; set(what: Wanted): void }) {
  const { info, layer } = data;
  useLanguage();
  const [wanted, setWanted] = React.useState<Wanted>({});
  const timer = React.useRef(0);
  React.useEffect(() => setWanted({}), [data]);
  React.useEffect(() => () => window.clearTimeout(timer.current), []);
  const change = (name: keyof Wanted, value: number) => {
    const next = { ...wanted, [name]: value };
    setWanted(next);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => set(next), 250);
  };
  const pooling = layer.kind === "max" || layer.kind === "average";
  const padding = wanted.padding === undefined ? info.padding : [wanted.padding, wanted.padding, wanted.padding, wanted.padding];
  const uneven = new Set(info.padding).size > 1;
  const formula = (axis: 0 | 1) => {
    const n = axis ? layer.cols : layer.rows;
    const [s, d, k] = [wanted.stride ?? info.stride[axis], wanted.dilation ?? info.dilation[axis], wanted.size ?? info.size[axis]];
    const [a, b] = [padding[2 * axis], padding[2 * axis + 1]];
    const known = Object.keys(wanted).length === 0 ? (axis ? info.out_cols : info.out_rows) : null;
    if (layer.kind === "transpose") {
      const out = (n - 1) * s - a - b + d * (k - 1) + 1;
      const extra = known === null ? 0 : known - out;
      return { text: `(${n} − 1)·${s} − ${a} − ${b} + ${d}·(${k} − 1) + 1${extra ? ` + ${extra}` : ""}`, out: known ?? out };
    }
    return { text: `⌊(${n} + ${a} + ${b} − ${d}·(${k} − 1) − 1) / ${s}⌋ + 1`, out: Math.floor((n + a + b - d * (k - 1) - 1) / s) + 1 };
  };
  return (
    <section className="panel settings">
      <div className="head"><h2>{words("Stride, padding, dilation")}</h2>{info.changed && <span className="badge">{words("tried, not the graph’s")}</span>}</div>
      {info.adaptive ? <p className="sentence">{words("Its windows are spread evenly: window i runs from ⌊i·in/out⌋ to ⌈(i+1)·in/out⌉, so that {rows} × {cols} come out of any size.", { rows: info.out_rows, cols: info.out_cols })}</p> : (
        <>
          <div className="fields">
            {pooling && <Count label={words("Window")} value={wanted.size ?? info.size[0]} min={1} other={info.size[1]} change={(v) => change("size", v)} />}
            <Count label={words("Stride")} value={wanted.stride ?? info.stride[0]} min={1} other={info.stride[1]} change={(v) => change("stride", v)} />
            <Count label={words("Padding")} value={wanted.padding ?? Math.max(...info.padding)} min={0} other={uneven ? -1 : info.padding[0]} change={(v) => change("padding", v)} />
            {!pooling && <Count label={words("Dilation")} value={wanted.dilation ?? info.dilation[0]} min={1} other={info.dilation[1]} change={(v) => change("dilation", v)} />}
          </div>
          {([0, 1] as const).map((axis) => {
            const { text, out } = formula(axis);
            return <p key={axis} className={out < 1 ? "formula wrong" : "formula"}><span>{axis ? words("columns") : words("rows")}</span> <code>{text}</code> = <b data-readout={axis ? "out-columns" : "out-rows"} data-value={out}>{out}</b></p>;
          })}
          <p className="sentence">{uneven ? words("Padding is uneven: {top} above, {bottom} below, {left} left, {right} right. ", { top: info.padding[0], bottom: info.padding[1], left: info.padding[2], right: info.padding[3] }) : ""}{info.changed ? words("This layer alone ran again; the graph keeps its own.") : words("Change them: this layer alone runs again, the graph keeps its own.")}</p>
        </>
      )}
    </section>
  );
});

function Count({ label, value, min, other, change }: { label: string; value: number; min: number; other: number; change(value: number): void }) {
  const [text, setText] = React.useState(String(value));
  React.useEffect(() => setText(String(value)), [value]);
  const take = (raw: string) => {
    setText(raw);
    const n = Number(raw);
    if (raw !== "" && Number.isInteger(n) && n >= min && n <= 64 && n !== value) change(n);
  };
  return (
    <label>{label}
      <input type="number" className="number" aria-label={label} min={min} max={64} value={text} onChange={(e) => take(e.currentTarget.value)} onBlur={() => setText(String(value))} />
      {other >= 0 && other !== value && <small>× {other}</small>}
    </label>
  );
}

// ---------------------------------------------------------------- where a weight is used, and its gradient

export function Sharing({ data, moment, o, c, cell, y, x, theme, root, choose }: {
  data: Data; moment: Moment; o: number; c: number; cell: Cell; y: number; x: number; theme: number; root: Root; choose(of: string): void;
}) {
  const { info, layer } = data;
  const pooling = layer.kind === "max" || layer.kind === "average";
  return (
    <section className="panel sharing">
      <div className="head">
        <h2>{pooling ? words("Where the gradient goes") : words("One weight, used everywhere")}</h2>
        {(info.choices.length > 1 || !info.gradient) && info.whole && !info.changed && (
          <label className="of">{words("gradient of")} <select aria-label={words("Gradient of")} value={info.gradient} onChange={(e) => choose(e.currentTarget.value)}>
            {!info.gradient && <option value="">{words("choose")}</option>}
            {info.choices.map((name) => <option key={name} value={name}>{name === "this map" ? words("the sum of this map") : name}</option>)}
          </select></label>
        )}
      </div>
      {!info.whole ? <p className="sentence">{words("This layer is too large to send all its gradients to the page; the kernel has them.")}</p>
        : pooling ? <Passed data={data} moment={moment} o={o} y={y} x={x} theme={theme} root={root} />
          : <Uses data={data} o={o} c={c} from={moment.channels.from} i={cell.i} j={cell.j} theme={theme} root={root} />}
    </section>
  );
}

const Uses = React.memo(function Uses({ data, o, c, from, i, j, theme, root }: { data: Data; o: number; c: number; from: number; i: number; j: number; theme: number; root: Root }) {
  const { info, layer } = data;
  useLanguage();
  const uses = React.useMemo(() => usesOf(data, o, c, i, j), [data, o, c, i, j]);
  const at = weightAt(data, o, c, i, j);
  const own = data.dw?.[at];
  const total = data.total?.[at];
  const input = mapOf(data, "x", from + c);
  const limit = largest(uses.products);
  const gradient = React.useMemo(() => data.g?.subarray(o * info.out_rows * info.out_cols, (o + 1) * info.out_rows * info.out_cols), [data, o]);
  const most = largest(gradient ?? []);
  const ki = cellSize(96, layer.rows, layer.cols, 24);
  const ko = cellSize(96, info.out_rows, info.out_cols, 24);
  return (
    <>
      <p className="sentence">{words("w[{i}, {j}] of filter {o} meets {n} places of the input, each time with the same number. A fully connected layer would learn one number for each.", { i, j, o, n: uses.places.length })}</p>
      <div className="tiles small">
        <figure>
          <figcaption>{words("meets")}</figcaption>
          <div className="map still" style={{ width: layer.cols * ki, height: layer.rows * ki }}>
            {input && <Pixels map={input.map} rows={input.rows} cols={input.cols} width={layer.cols * ki} height={layer.rows * ki} scale={scaleFor(info.x_limit, info.x_signed)} theme={theme} root={root} label={words("Input, channel {n}, {rows} by {cols}", { n: from + c, rows: layer.rows, cols: layer.cols })} />}
            <Dots places={uses.places.map((p) => p.at)} k={ki} width={layer.cols * ki} height={layer.rows * ki} />
          </div>
        </figure>
        {gradient && data.dw ? (
          <>
            <span className="sign" role="img" aria-label={words("times")}>×</span>
            <figure><figcaption>∂{info.gradient === "this map" ? "Σ" : info.gradient}/∂y</figcaption><Pixels map={gradient} rows={info.out_rows} cols={info.out_cols} width={info.out_cols * ko} height={info.out_rows * ko} scale={scaleFor(most, true)} theme={theme} root={root} label={words("Gradient by the output")} /><ScaleBar scale={scaleFor(most, true)} /></figure>
            <span className="sign" role="img" aria-label={words("makes")}>=</span>
            <figure><figcaption>{tn(uses.places.length, "{n} product", "{n} products")}</figcaption><Pixels map={uses.products} rows={info.out_rows} cols={info.out_cols} width={info.out_cols * ko} height={info.out_rows * ko} scale={scaleFor(limit, true)} theme={theme} root={root} label={words("What each use adds to the gradient of the weight")} /><ScaleBar scale={scaleFor(limit, true)} /></figure>
          </>
        ) : null}
      </div>
      {own !== undefined && total !== undefined ? (
        <p className="sum">
          {words("They add up to")} <b data-readout="uses" data-value={String(uses.sum)}>{num(uses.sum)}</b>
          {info.samples > 1 && info.gradient !== "" && <> {words("in this picture; with the other {n}", { n: info.samples - 1 })}</>} = ∂/∂w[{i}, {j}] <b data-readout="dw" data-value={String(total)} data-own={String(own)}>{num(total)}</b>
        </p>
      ) : <p className="sentence">{words("Choose what the gradient is of, to see how the uses add up.")}</p>}
    </>
  );
});

/** The scale of a gradient: its largest size, 1 where all is 0. */
function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let k = 0; k < values.length; k++) if (Number.isFinite(values[k])) most = Math.max(most, Math.abs(values[k]));
  return most || 1;
}

function Dots({ places, k, width, height }: { places: [number, number][]; k: number; width: number; height: number }) {
  const r = Math.max(0.8, Math.min(3, k * 0.22));
  // many dots are one path, not many elements
  const d = places.map(([y, x]) => `M${((x + 0.5) * k - r).toFixed(1)} ${((y + 0.5) * k).toFixed(1)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`).join("");
  return <svg className="over" width={width} height={height} aria-hidden="true"><path className="dots" d={d} data-uses={places.length} /></svg>;
}

function Passed({ data, moment: m, o, y, x, theme, root }: { data: Data; moment: Moment; o: number; y: number; x: number; theme: number; root: Root }) {
  const { info, layer } = data;
  const g = data.g?.[(o * info.out_rows + y) * info.out_cols + x];
  const map = React.useMemo(() => data.dx?.subarray(o * layer.rows * layer.cols, (o + 1) * layer.rows * layer.cols), [data, o]);
  const most = largest(map ?? []);
  const k = cellSize(132, layer.rows, layer.cols, 24);
  const at = m.winner >= 0 ? [m.rows[Math.floor(m.winner / m.cols.length)].at, m.cols[m.winner % m.cols.length].at] : null;
  const said = layer.kind === "max"
    ? at ? words("The window’s gradient goes to its largest value alone, at row {y}, column {x} of the input; the others get none.", { y: at[0], x: at[1] }) : ""
    : words("The window’s gradient is shared out equally among its {n} places.", { n: m.counted });
  return (
    <>
      <p className="sentence">{said}</p>
      {map && g !== undefined ? (
        <div className="tiles small">
          <figure>
            <figcaption>∂{info.gradient === "this map" ? "Σ" : info.gradient}/∂x</figcaption>
            <div className="map still" style={{ width: layer.cols * k, height: layer.rows * k }}>
              <Pixels map={map} rows={layer.rows} cols={layer.cols} width={layer.cols * k} height={layer.rows * k} scale={scaleFor(most, true)} theme={theme} root={root} label={words("Gradient by the input")} />
              <svg className="over" width={layer.cols * k} height={layer.rows * k} aria-hidden="true">
                {m.rows.length > 0 && <rect className="window" x={m.cols[0].at * k - 1} y={m.rows[0].at * k - 1} width={(m.cols[m.cols.length - 1].at - m.cols[0].at + 1) * k + 2} height={(m.rows[m.rows.length - 1].at - m.rows[0].at + 1) * k + 2} />}
                {at && <rect className="winner" x={at[1] * k + 1} y={at[0] * k + 1} width={Math.max(1, k - 2)} height={Math.max(1, k - 2)} />}
              </svg>
            </div>
            <ScaleBar scale={scaleFor(most, true)} />
          </figure>
          <p className="sum">∂/∂y = <b data-readout="g" data-value={String(g)}>{num(g)}</b><br />{layer.kind === "max" && at ? <>∂/∂x[{at[0]}, {at[1]}] = <b data-readout="dx" data-value={String(map[at[0] * layer.cols + at[1]])}>{num(map[at[0] * layer.cols + at[1]])}</b></> : <>{words("each gets")} <b>{num(g / m.counted)}</b></>}<br /><small>{words("Where windows overlap, what they send adds up.")}</small></p>
        </div>
      ) : <p className="sentence">{words("Choose what the gradient is of, to see it.")}</p>}
    </>
  );
}

// ---------------------------------------------------------------- shift, scale, turn, bend

const KINDS = [["shift", "Shift"], ["scale", "Scale"], ["turn", "Turn"], ["bend", "Bend"]] as const;
const ROLES = { map: "the map", pooled: "the pooled map", output: "the output" } as const;

export const SweepCard = React.memo(function SweepCard({ data, sweep, waiting, ask }: { data: Data; sweep: ConvSweep | null; waiting: string | null; ask(kind: string): void }) {
  useLanguage();
  const [box, width] = useWidth<HTMLDivElement>();
  const { info } = data;
  return (
    <section className="panel sweep">
      <div className="head">
        <h2>{words("What a changed picture does")}</h2>
        <span className="seg" role="group" aria-label={words("Change the picture")}>
          {KINDS.map(([kind, label]) => <button key={kind} type="button" disabled={!info.can_sweep} aria-pressed={(waiting ?? sweep?.kind) === kind} onClick={() => ask(kind)}>{words(label)}</button>)}
        </span>
      </div>
      {!info.can_sweep && <p className="sentence">{words("This source cannot run again with another picture; a trace can.")}</p>}
      {waiting && <p className="sentence" role="status">{words("Running everything again for each step …")}</p>}
      {info.can_sweep && !sweep && !waiting && <p className="sentence">{words("Shift, scale, turn or bend the picture step by step, and see how far the map, the pooled map and the output follow.")}</p>}
      <div ref={box}>{sweep && width > 0 && <Curves sweep={sweep} width={width} />}</div>
      {sweep && (
        <>
          <div className="legend lines">
            {sweep.lines.map((l) => <span key={l.name}><i className={`line ${l.role}`} />{words(ROLES[l.role])} <small>{l.name}</small></span>)}
            <span><i className="line plain" />{words("differs from itself unmoved: 0 would be invariant")}</span>
            <span><i className="line dashed" />{words("differs from itself moved likewise: 0 would be equivariant")}</span>
          </div>
          <p className="sentence">{sweep.kind === "shift" ? words("A convolution is equivariant to a shift: shift the picture and the map shifts with it, but for the edges and what a stride leaves out. Pooling makes it only roughly invariant, to shifts smaller than its window.") : words("A convolution is equivariant to shifts alone. To another scale, a turn or a bend it is not: the network has to learn those from examples.")}</p>
        </>
      )}
    </section>
  );
});

function Curves({ sweep, width }: { sweep: ConvSweep; width: number }) {
  const height = 176;
  const [LEFT, RIGHT, TOP, BOTTOM] = [40, 10, 8, 32];
  const all = sweep.lines.flatMap((l) => [...l.changed, ...l.off]).filter(Number.isFinite);
  const every = niceStep(Math.max(...all, 0.1), 4);
  const hi = Math.ceil(Math.max(...all, 0.1) / every - 1e-9) * every;
  const { amounts } = sweep;
  const [lo, end] = [amounts[0], amounts[amounts.length - 1]];
  const x = (v: number) => LEFT + ((v - lo) / (end - lo || 1)) * (width - LEFT - RIGHT);
  const y = (v: number) => TOP + (1 - v / hi) * (height - TOP - BOTTOM);
  const path = (values: number[]) => {
    let pen = "M";
    return values.map((v, k) => {
      if (!Number.isFinite(v)) { pen = "M"; return ""; }
      const part = `${pen}${x(amounts[k]).toFixed(1)} ${y(v).toFixed(1)}`;
      pen = "L";
      return part;
    }).join("");
  };
  const across = sweep.kind === "turn" ? 45 : niceStep(end - lo, Math.max(2, width / 80));
  const first = Math.ceil(lo / across - 1e-9);
  const ticks = Array.from({ length: Math.floor(end / across + 1e-9) - first + 1 }, (_, k) => (first + k) * across);
  const Line = ({ l }: { l: ConvLine }) => (
    <g className={l.role}>
      {l.off.length > 0 && <path className="curve off" d={path(l.off)} />}
      <path className="curve" data-line={l.role} data-values={JSON.stringify(l.changed)} data-off={JSON.stringify(l.off)} d={path(l.changed)} />
      {l.changed.map((v, k) => Number.isFinite(v) && <circle key={k} cx={x(amounts[k])} cy={y(v)} r={2.4}><title>{`${l.name}, ${tick(amounts[k], 0.01)}: ${percent(v)}`}</title></circle>)}
    </g>
  );
  return (
    <svg width={width} height={height} role="img" aria-label={words("How far each tensor differs, over {unit}", { unit: words(sweep.unit) })}>
      {Array.from({ length: Math.round(hi / every) + 1 }, (_, k) => k * every).map((v) => <React.Fragment key={v}><path className={v === 0 ? "grid zero" : "grid"} d={`M${LEFT} ${y(v)}H${width - RIGHT}`} /><text x={LEFT - 6} y={y(v) + 3.5} textAnchor="end">{percent(v, 0)}</text></React.Fragment>)}
      {ticks.map((v) => <text key={v} x={x(v)} y={height - 18} textAnchor="middle">{tick(v, across)}</text>)}
      <path className="still" d={`M${x(sweep.still)} ${TOP}V${height - BOTTOM}`} />
      <text x={(LEFT + width - RIGHT) / 2} y={height - 4} textAnchor="middle" className="name">{words(sweep.unit)}</text>
      {sweep.lines.map((l) => <Line key={l.name} l={l} />)}
    </svg>
  );
}

// ---------------------------------------------------------------- how many numbers

export const Counted = React.memo(function Counted({ data }: { data: Data }) {
  const { info, layer } = data;
  useLanguage();
  const pooling = layer.kind === "max" || layer.kind === "average";
  const rows = [
    { name: pooling ? words("this layer") : words("this layer: one kernel, used at every place"), n: info.shared, className: "shared" },
    { name: words("a kernel of its own at every place"), n: info.local, className: "local" },
    { name: words("fully connected: every value to every value"), n: info.dense, className: "dense" },
  ].filter((r) => r.n > 0 || r.className === "shared");
  const top = Math.log10(Math.max(10, ...rows.map((r) => r.n)));
  return (
    <section className="panel counted">
      <div className="head"><h2>{words("Numbers to learn")}</h2><span className="legend">{words("logarithmic")}</span></div>
      <div className="rows">
        {rows.map((r) => (
          <React.Fragment key={r.className}>
            <span>{r.name}</span>
            <span className="bar"><u className={r.className} style={{ width: `${r.n > 0 ? Math.max(1, (Math.log10(r.n) / top) * 100) : 0}%` }} /><b data-readout={r.className} data-value={r.n}>{r.n.toLocaleString("en-US")}</b></span>
          </React.Fragment>
        ))}
      </div>
      <p className="sentence">{pooling ? words("Pooling learns nothing: it only makes the map smaller.") : words("Sharing leaves fewer numbers to learn, which lowers the risk of overfitting; it does not rule it out. Nor does it make the network know things again that are turned or larger.")}</p>
    </section>
  );
});
