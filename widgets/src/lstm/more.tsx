// What is looked at beside the moment: saturation, the error on its way back, moments alike, every layer beside the others.
import * as React from "react";
import type { LSTMGradient, LSTMLayers, LSTMMoments, LSTMSaturation, LSTMSimilar } from "../protocol.gen";
import { useWidth } from "../shared/controls";
import { num, powerOfTen } from "../shared/format";
import { paintMap } from "../shared/paint";
import type { Root } from "../shared/pixels";
import { t as words, tn } from "../shared/words";
import { type LayerData, WORDS, saturation, transposed } from "./data";
import { useLight } from "./lit";

export type More = "layers" | "gradient" | "saturation" | "go";

export interface Shares { info: LSTMSaturation; buffers: Float32Array[] }
export interface Curves { info: LSTMGradient; own: Float32Array; plain: Float32Array }
export interface Alike { info: LSTMMoments; strips: Float32Array[] }
export interface Layers { info: LSTMLayers; maps: Float32Array[] }

// ---------------------------------------------------------------- saturation

export function Saturation({ data, t, unit, shares, ask, choose }: { data: LayerData; t: number; unit: number; shares: Shares | null; ask(): void; choose(unit: number): void }) {
  const light = useLight();
  const { kind } = data;
  const over = shares && shares.info.layer === data.info.layer ? shares : null;
  return (
    <section className="panel saturation">
      <div className="head">
        <h2 title={words("Shares of all {n} units: gates under 0.1 are shut, over 0.9 open", { n: data.units })}>{kind.shares.length ? words("Saturation at t = {t}", { t: t + data.from }) : words("Saturation")}</h2>
        {!over && <button type="button" className="button" onClick={ask}>{data.info.data ? words("Over the data") : words("Over the batch")}</button>}
      </div>
      {kind.shares.map((gate) => {
        const letter = gate as "f" | "i" | "o" | "r" | "z";
        const { shut, open } = saturation(data.values[letter]!, data.units, t);
        return (
          <div className="share" key={gate} data-lit={light.is(letter)} {...light.on(letter)}>
            <i>{gate}</i>
            <div className="track" title={words("{gate}: share of units under 0.1 and over 0.9", { gate: words(WORDS[letter]) })}><u className="shut" style={{ width: `${shut * 100}%` }} /><u className="open" style={{ width: `${open * 100}%` }} /></div>
            <span>{words("{shut} % shut · {open} % open", { shut: Math.round(shut * 100), open: Math.round(open * 100) })}</span>
          </div>
        );
      })}
      {over && (
        <>
          <div className="clouds">{over.info.gates.map((gate, k) => <Cloud key={gate} gate={gate} shut={over.buffers[2 * k]} open={over.buffers[2 * k + 1]} unit={unit + data.unitFrom} choose={choose} />)}</div>
          <p>{words("A dot a unit: how often it is open (over 0.9, right) and shut (under 0.1, up), over {moments}.", { moments: tn(over.info.moments, "{n} moment", "{n} moments") })} {!kind.shares.length && words("Of an RNN the size of h counts.")}</p>
        </>
      )}
    </section>
  );
}

const CLOUD = 66;

function Cloud({ gate, shut, open, unit, choose }: { gate: string; shut: Float32Array; open: Float32Array; unit: number; choose(unit: number): void }) {
  const at = (v: number) => 6 + v * (CLOUD - 12);
  const pick = (e: React.PointerEvent<SVGSVGElement>) => {
    const box = e.currentTarget.getBoundingClientRect();
    const [x, y] = [e.clientX - box.left, e.clientY - box.top];
    let best = 0;
    let near = Infinity;
    shut.forEach((s, k) => {
      const d = (at(open[k]) - x) ** 2 + (CLOUD - at(s) - y) ** 2;
      if (d < near) [near, best] = [d, k];
    });
    choose(best);
  };
  return (
    <figure className="cloud">
      <svg width={CLOUD} height={CLOUD} role="img" onPointerDown={pick} aria-label={words("{gate}, unit {unit}: shut in {shut} % of the moments, open in {open} %", { gate, unit, shut: Math.round(shut[unit] * 100), open: Math.round(open[unit] * 100) })}>
        <path className="grid" d={`M6 ${CLOUD - 6}L${CLOUD - 6} 6M6 6V${CLOUD - 6}H${CLOUD - 6}`} />
        {[...shut].slice(0, 2048).map((s, k) => <circle key={k} cx={at(open[k])} cy={CLOUD - at(s)} r={2.2} />)}
        <circle className="now" data-saturation={gate} data-shut={shut[unit]} data-open={open[unit]} cx={at(open[unit])} cy={CLOUD - at(shut[unit])} r={4} />
      </svg>
      <figcaption><i>{gate}</i> {Math.round(shut[unit] * 100)} / {Math.round(open[unit] * 100)} %</figcaption>
    </figure>
  );
}

// ---------------------------------------------------------------- the error on its way back

export function Norm({ data, t, curves, ask }: { data: LayerData; t: number; curves: Curves | null; ask(): void }) {
  const [box, width] = useWidth<HTMLDivElement>();
  const beside = curves && curves.info.layer === data.info.layer && curves.info.sample === data.info.sample ? curves : null;
  const own = data.norm ?? beside?.own ?? null;
  const letter = data.kind.memory;
  const now = t + data.from;
  const heading = words("Norm of the loss’s gradient with respect to the state at each step, on a logarithmic axis");
  return (
    <section className="panel norm">
      <div className="head">
        <h2 title={heading}>{own ? words("‖∂L/∂{letter}(t)‖, log · now {value}", { letter, value: num(own[now]) }) : words("Gradient through time")}</h2>
        {!beside && <button type="button" className="button" onClick={ask}>{words("Beside a plain RNN")}</button>}
      </div>
      <div ref={box}>{own ? <Chart own={own} plain={beside?.plain ?? null} t={now} width={width} name={data.kind.name} label={heading} /> : <p>{words("No error came back to this layer in the run.")}</p>}</div>
      {beside && (
        <p>
          {beside.info.of_loss
            ? words("The dashed line is the same error, sent back through an untrained plain tanh RNN of as many units that reads the same input (orthogonal start, seed {seed}).", { seed: beside.info.seed })
            : words("No error of a loss is known at this layer: the sum of h at the last step stands for one. Dashed: an untrained plain tanh RNN of as many units that reads the same input (orthogonal start, seed {seed}).", { seed: beside.info.seed })}{" "}
          {data.info.kind !== "rnn" && words("Gates mitigate vanishing gradients; they do not end them.")}
        </p>
      )}
    </section>
  );
}

function Chart({ own, plain, t, width, name, label }: { own: Float32Array; plain: Float32Array | null; t: number; width: number; name: string; label: string }) {
  const height = plain ? 112 : 80;
  const floor = height - 18;
  const every = [...own, ...(plain ?? [])].filter((x) => x > 0 && Number.isFinite(x)).map(Math.log10);
  const lo = Math.floor(Math.min(...bounds(every), 0));
  const hi = Math.max(lo + 1, Math.ceil(bounds(every)[1]));
  const x = (k: number) => 34 + (k / Math.max(1, own.length - 1)) * (width - 40);
  const y = (v: number) => floor - ((Math.log10(v) - lo) / (hi - lo)) * (floor - 10);
  const decades = Array.from({ length: hi - lo + 1 }, (_, k) => lo + k).filter((d) => (d - lo) % Math.ceil((hi - lo) / 3) === 0);
  const line = (values: Float32Array) => [...values].map((v, k) => (v > 0 && Number.isFinite(v) ? `${k > 0 && values[k - 1] > 0 ? "L" : "M"}${x(k).toFixed(1)} ${y(v).toFixed(1)}` : "")).join("");
  return (
    <svg width={width} height={height} role="img" aria-label={label}>
      {decades.map((d) => <React.Fragment key={d}><path className="grid" d={`M34 ${y(10 ** d)}H${width - 4}`} /><text x={30} y={y(10 ** d) + 3.5} textAnchor="end">{powerOfTen(d)}</text></React.Fragment>)}
      <path className="gradient" data-curve="own" data-first={own[0]} d={line(own)} />
      {plain && <path className="gradient plain" data-curve="plain" data-first={plain[0]} d={line(plain)} />}
      <path className="cursor" d={`M${x(t)} 4V${floor + 2}`} />
      {own[t] > 0 && <circle className="now" cx={x(t)} cy={y(own[t])} r={3.5} />}
      <text x={34} y={height - 3}>0</text><text x={width - 4} y={height - 3} textAnchor="end">{own.length - 1}</text>
      {plain && <text x={width / 2} y={height - 3} textAnchor="middle">{name} —  ·  {words("plain RNN")} - -</text>}
    </svg>
  );
}

/** [lowest, highest] without spreading a long array over a call's arguments. */
function bounds(values: number[]): [number, number] {
  let [lo, hi] = [0, 0];
  for (const v of values) [lo, hi] = [Math.min(lo, v), Math.max(hi, v)];
  return [lo, hi];
}

// ---------------------------------------------------------------- moments alike

export function Similar({ data, t, unit, alike, theme, root, find, go }: {
  data: LayerData; t: number; unit: number; alike: Alike | null; theme: number; root: Root;
  find(request: Omit<LSTMSimilar, "type">): void; go(sample: number, t: number): void;
}) {
  const states: LSTMSimilar["letter"][] = data.kind.memory === "c" ? ["c", "h"] : ["h"];
  const [chosen, setLetter] = React.useState(states[0]);
  const letter = states.includes(chosen) ? chosen : states[0];
  const [way, setWay] = React.useState<LSTMSimilar["way"]>("cosine");
  const [threshold, setThreshold] = React.useState("0.3");
  const [text, setText] = React.useState("");
  const units = text.split(/[\s,，、]+/).filter(Boolean).map(Number);
  const bad = units.some((u) => !Number.isInteger(u) || u < 0 || u >= data.allUnits) || (way === "threshold" && !(threshold !== "" && Number.isFinite(Number(threshold))));
  const found = alike && alike.info.layer === data.info.layer ? alike : null;
  return (
    <section className="panel similar">
      <div className="head">
        <h2>{words("Moments like this one")}</h2>
        <span className="asked">
          {states.length > 1 && <span className="seg small" role="group" aria-label={words("Compare")}>{states.map((s) => <button key={s} type="button" aria-pressed={letter === s} onClick={() => setLetter(s)}><i>{s}</i></button>)}</span>}
          <select aria-label={words("Compare by")} value={way} onChange={(e) => setWay(e.currentTarget.value as LSTMSimilar["way"])}>
            <option value="cosine">{words("direction")}</option><option value="distance">{words("distance")}</option><option value="threshold">{words("units above")}</option>
          </select>
          {way === "threshold" && <input className="to" aria-label={words("Threshold")} value={threshold} onChange={(e) => setThreshold(e.currentTarget.value)} />}
          <input className="to units" aria-label={words("Units to compare")} aria-invalid={bad || undefined} placeholder={words("all units")} title={words("Numbers of units, such as 3, 7; now {n}", { n: unit + data.unitFrom })} value={text} onChange={(e) => setText(e.currentTarget.value)} />
          <button type="button" className="button" disabled={bad} onClick={() => find({ letter, way, threshold: Number(threshold) || 0, units })}>{words("Find")}</button>
        </span>
      </div>
      {found && (
        <>
          <p>{words("Like t = {t} of sample {sample}: searched {moments} of {sequences} in {ms} ms.", {
            t: found.info.t, sample: found.info.sample, moments: tn(found.info.moments, "{n} moment", "{n} moments"), sequences: tn(found.info.sequences, "{n} sequence", "{n} sequences"), ms: Math.max(1, Math.round(found.info.seconds * 1000)),
          })}</p>
          <ol className="moments">
            {found.info.found.map((m, k) => {
              const row = <><Around info={found.info} moment={m} strip={found.strips[k]} theme={theme} root={root} /><span>{words("sequence {n}, t = {t}", { n: m.sequence, t: m.t })}</span><b>{num(m.score)}</b></>;
              return (
                <li key={`${m.sequence} ${m.t}`} data-moment={`${m.sequence} ${m.t}`} data-score={m.score}>
                  {found.info.own ? <button type="button" onClick={() => go(m.sequence, m.t)}>{row}</button> : row}
                </li>
              );
            })}
          </ol>
        </>
      )}
      {!found && <p>{words("Looks for moments whose {letter} was like the one at t = {t}, in {where}.", { letter, t: t + data.from, where: data.info.data ? words("the data") : words("the batch of this run") })}</p>}
    </section>
  );
}

const CELL = 9;

function Around({ info, moment, strip, theme, root }: { info: LSTMMoments; moment: LSTMMoments["found"][number]; strip: Float32Array; theme: number; root: Root }) {
  const canvas = React.useRef<HTMLCanvasElement>(null);
  const [width, height] = [moment.steps * CELL, 26];
  React.useLayoutEffect(() => {
    if (canvas.current && root.current) paintMap(canvas.current, strip, moment.rows, moment.steps, width, height, info.signed ? -info.limit : 0, info.limit, info.signed ? "div" : "seq", root.current);
  }, [info, strip, theme]);
  return (
    <span className="around" style={{ width: 17 * CELL }}>
      <span style={{ width, height }}><canvas ref={canvas} style={{ width, height }} aria-hidden="true" /><i style={{ left: (moment.t - moment.first) * CELL, width: CELL }} /></span>
    </span>
  );
}

// ---------------------------------------------------------------- every layer beside the others

export function SideBySide({ data, layers, t, unit, theme, root, ask, go }: {
  data: LayerData; layers: Layers | null; t: number; unit: number; theme: number; root: Root; ask(): void; go(layer: number, t: number, unit: number): void;
}) {
  const shown = layers && layers.info.sample === data.info.sample ? layers : null;
  const now = t + data.from;
  const input = data.backward && now < data.info.length ? data.info.length - 1 - now : now;
  return (
    <section className="panel layers">
      <div className="head">
        <h2>{words("All layers")}</h2>
        {!shown && <button type="button" className="button" onClick={ask}>{words("Show what each remembers")}</button>}
        {shown && <span className="sentence">{words("in the order of the input; a click goes there")}</span>}
      </div>
      {shown && (
        <div className="stack">
          {shown.info.maps.map((m, k) => (
            <LayerMap key={m.node} info={m} map={shown.maps[k]} input={input} here={k === data.info.layer} unit={k === data.info.layer ? unit + data.unitFrom : null} backward={data.info.layers[k].from_the_end} theme={theme} root={root}
              go={(at, u) => go(k, data.info.layers[k].from_the_end && at < data.info.length ? data.info.length - 1 - at : at, u)} />
          ))}
        </div>
      )}
    </section>
  );
}

function LayerMap({ info, map, input, here, unit, backward, theme, root, go }: {
  info: LSTMLayers["maps"][number]; map: Float32Array; input: number; here: boolean; unit: number | null; backward: boolean; theme: number; root: Root; go(t: number, unit: number): void;
}) {
  const [box, width] = useWidth<HTMLDivElement>();
  const canvas = React.useRef<HTMLCanvasElement>(null);
  const height = Math.max(24, Math.min(64, info.units * 5));
  React.useLayoutEffect(() => {
    if (canvas.current && root.current && width > 0) paintMap(canvas.current, transposed(map, info.steps, info.units), info.units, info.steps, width, height, -info.limit, info.limit, "div", root.current);
  }, [map, width, height, theme]);
  const click = (e: React.PointerEvent<HTMLDivElement>) => {
    const r = e.currentTarget.getBoundingClientRect();
    go(Math.floor(((e.clientX - r.left) / r.width) * info.steps) * info.every_step, Math.floor(((e.clientY - r.top) / r.height) * info.units) * info.every_unit);
  };
  const cell = width / info.steps;
  return (
    <div className="one" data-layer-map={info.node} data-here={here || undefined}>
      <span title={info.node}>{info.node} <i>{info.letter}</i>{backward && <small> ← {words("from the end")}</small>}</span>
      <div ref={box} className="map" style={{ height }} onPointerDown={click}>
        <canvas ref={canvas} role="img" aria-label={words("{letter} of {node}, {units} units by {steps} steps", { letter: info.letter, node: info.node, units: info.units, steps: info.steps })} style={{ width, height }} />
        <i className="at" style={{ left: Math.floor(input / info.every_step) * cell, width: Math.max(2, cell) }} />
        {unit !== null && <i className="row-at" style={{ top: (Math.floor(unit / info.every_unit) / info.units) * height, height: Math.max(2, height / info.units) }} />}
      </div>
    </div>
  );
}
