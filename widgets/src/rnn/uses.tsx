// The way back: what each use of a weight adds to its gradient, and how much of the error is left at each timestep.
import * as React from "react";
import { useWidth } from "../shared/controls";
import { niceStep, num, powerOfTen, tick } from "../shared/format";
import { Pixels, type Root, ScaleBar } from "../shared/pixels";
import { t as words } from "../shared/words";
import { type Data, type UsesData, useAt } from "./data";

const [LEFT, RIGHT, TOP, BOTTOM] = [52, 10, 10, 20];

export function UsesCard({ data, uses, t, setT, follow, busy, theme, root }: {
  data: Data; uses: UsesData | null; t: number; setT(t: number): void; follow(of?: string, weight?: string): void; busy: boolean; theme: number; root: Root;
}) {
  const { info } = data;
  if (!uses) {
    return (
      <section className="panel uses">
        <div className="head"><h2>{words("What each use adds to the gradient")}</h2></div>
        <p className="sentence">{info.variables.length === 0 ? words("This layer learns nothing.") : info.losses.length === 0 ? words("No scalar has come after this layer yet: step on to the loss, or fetch one to go backwards from.") : words("Going backwards from {loss}: a weight that is used at every timestep gets a part of its gradient from each.", { loss: info.losses[0] })}</p>
        {info.losses.length > 0 && info.variables.length > 0 && <button type="button" className="button" disabled={busy} onClick={() => follow()}>{words("Work out the gradients")}</button>}
      </section>
    );
  }
  return <Uses data={data} uses={uses} t={t} setT={setT} follow={follow} theme={theme} root={root} />;
}

function Uses({ data, uses, t, setT, follow, theme, root }: {
  data: Data; uses: UsesData; t: number; setT(t: number): void; follow(of?: string, weight?: string): void; theme: number; root: Root;
}) {
  const { info } = data;
  const [box, width] = useWidth<HTMLDivElement>();
  const u = uses.info;
  const dw = useAt(uses, t);
  const sum = uses.along.reduce((a, b) => a + b, 0);
  const cells = u.rows * u.cols;
  const side = Math.min(84, Math.max(40, u.rows * 6));
  const wide = Math.min(170, Math.max(56, (width - 60) / 2), Math.max(56, (side * u.cols) / Math.max(1, u.rows)));     // one beside the other
  return (
    <section className="panel uses" data-weight={u.weight} data-of={u.of}>
      <div className="head">
        <h2>{words("What each use adds to the gradient")}</h2>
        <span className="of">
          <select aria-label={words("Weight")} value={u.weight} onChange={(e) => follow(u.of, e.currentTarget.value)}>{u.weights.map((w) => <option key={w} value={w}>{w}</option>)}</select>
          <select aria-label={words("Gradient of")} value={u.of} onChange={(e) => follow(e.currentTarget.value, u.weight)}>{info.losses.map((l) => <option key={l} value={l}>{l}</option>)}</select>
        </span>
      </div>
      <div ref={box} className="chart">{width > 0 && <Bars values={uses.along} t={t} setT={setT} width={width} height={132} />}</div>
      <div className="sumup">
        {dw && <figure><Pixels map={dw} rows={u.rows} cols={u.cols} width={wide} height={side} scale={{ lo: -u.each_limit, hi: u.each_limit, map: "div" }} theme={theme} root={root} label={words("dW at timestep {t}", { t })} /><figcaption><i>dW</i>({t}), ‖·‖ = {num(uses.norms[t])}</figcaption><ScaleBar scale={{ lo: -u.each_limit, hi: u.each_limit, map: "div" }} /></figure>}
        <span className="sign">Σ</span>
        <figure><Pixels map={uses.total} rows={u.rows} cols={u.cols} width={wide} height={side} scale={{ lo: -u.limit, hi: u.limit, map: "div" }} theme={theme} root={root} label={words("dW, all uses together")} /><figcaption><i>dW</i>, ‖·‖ = {num(uses.size)}</figcaption><ScaleBar scale={{ lo: -u.limit, hi: u.limit, map: "div" }} /></figure>
        <p className="sentence">
          {words("Each bar is the part of dW(t) that lies along dW: the {n} bars add up to ‖dW‖.", { n: uses.along.length })}{cells && u.row_step * u.col_step > 1 ? ` ${words("Drawn are rows in steps of {r} and columns in steps of {c}.", { r: u.row_step, c: u.col_step })}` : ""}
        </p>
      </div>
      <p className={uses.apart !== null && !(uses.apart <= 1e-3) ? "check wrong" : "check"} data-readout="uses" data-sum={String(sum)} data-value={String(uses.size)} data-apart={uses.apart === null ? undefined : String(uses.apart)}>
        {Number.isNaN(uses.apart) ? `⚠ ${words("The gradient is NaN: something that the loss was made of is no number.")}` : uses.apart === null ? words("This weight is used elsewhere too: its whole gradient is larger than what comes from here.")
          : uses.apart > 1e-3 ? `⚠ ${words("The graph’s own gradient differs by {apart} of its largest number.", { apart: num(uses.apart) })}` : `✓ ${words("The uses sum to the graph’s own gradient, up to rounding ({apart}).", { apart: num(uses.apart) })}`}
      </p>
    </section>
  );
}

function Bars({ values, t, setT, width, height }: { values: Float32Array; t: number; setT(t: number): void; width: number; height: number }) {
  const finite = values.filter(Number.isFinite);
  const top = finite.reduce((a, b) => Math.max(a, b), 0);
  const low = finite.reduce((a, b) => Math.min(a, b), 0);
  const step = niceStep(top - low || 1, 4);
  const [lo, hi] = [Math.floor(low / step + 1e-9) * step, Math.max(Math.floor(low / step + 1e-9) * step + step, Math.ceil(top / step - 1e-9) * step)];
  const n = values.length;
  const lost = n - finite.length;
  const each = (width - LEFT - RIGHT) / n;
  const y = (value: number) => TOP + ((hi - value) / (hi - lo)) * (height - TOP - BOTTOM);
  const x = (k: number) => LEFT + k * each;
  const bar = Math.max(0.6, Math.min(26, each * 0.72));
  // many bars are one path: what is thinner than a pixel needs no element of its own
  const path = n > 400 ? Array.from(values, (v, k) => (Number.isFinite(v) ? `M${(x(k) + each / 2).toFixed(1)} ${y(0).toFixed(1)}V${y(v).toFixed(1)}` : "")).join("") : null;
  return (
    <svg width={width} height={height} role="img" aria-label={words("What each of {n} timesteps adds to the gradient", { n })} onClick={(e) => setT(Math.floor((e.clientX - e.currentTarget.getBoundingClientRect().left - LEFT) / each))}>
      {Array.from({ length: Math.round((hi - lo) / step) + 1 }, (_, k) => lo + k * step).map((v) => <React.Fragment key={v}><path className={Math.abs(v) < step / 2 ? "grid zero" : "grid"} d={`M${LEFT} ${y(v)}H${width - RIGHT}`} /><text x={LEFT - 6} y={y(v) + 3.5} textAnchor="end">{tick(v, step)}</text></React.Fragment>)}
      <rect className="here" x={x(t)} width={Math.max(1, each)} y={TOP} height={height - TOP - BOTTOM} />
      {path ? <path className="many" d={path} /> : Array.from(values, (v, k) => (Number.isFinite(v)
        ? <rect key={k} className={v >= 0 ? "up" : "down"} data-bar={k} data-value={String(v)} data-lit={k === t || undefined} x={x(k) + (each - bar) / 2} width={bar} y={Math.min(y(0), y(v))} height={Math.max(0.8, Math.abs(y(v) - y(0)))}><title>{`t = ${k}: ${num(v)}`}</title></rect>
        : each >= 24 && <text key={k} className="lost" x={x(k) + each / 2} y={y(0) - 3} textAnchor="middle">{num(v)}</text>))}
      {each < 24 && lost > 0 && <text className="lost" x={LEFT + 6} y={TOP + 10}>{words("{n} of them are NaN", { n: lost })}</text>}
      <Times count={n} x={(k) => x(k) + each / 2} width={width} height={height} t={t} />
    </svg>
  );
}

function Times({ count, x, width, height, t }: { count: number; x(k: number): number; width: number; height: number; t: number }) {
  const every = Math.max(1, niceStep(count, Math.max(2, width / 60)));
  return (
    <>
      {Array.from({ length: Math.ceil(count / every) }, (_, k) => k * every).filter((k) => Math.abs(x(k) - x(t)) > 18).map((k) => <text key={k} x={x(k)} y={height - 5} textAnchor="middle">{k}</text>)}
      <text className="now" x={x(t)} y={height - 5} textAnchor="middle">{t}</text>
    </>
  );
}

/** ‖∂L/∂h(t)‖ on a log axis: where the line falls from right to left, the error vanishes. */
export function ErrorCard({ uses, t, setT }: { uses: UsesData; t: number; setT(t: number): void }) {
  const [box, width] = useWidth<HTMLDivElement>();
  const height = 148;
  const n = uses.error.length;
  const sizes = [...uses.error, ...uses.direct].filter((v) => Number.isFinite(v) && v > 0);
  const top = sizes.length ? Math.ceil(Math.log10(Math.max(...sizes)) + 1e-9) : 0;
  const low = sizes.length ? Math.max(top - 12, Math.min(top - 1, Math.floor(Math.log10(Math.min(...sizes)) + 1e-9))) : -1;
  const every = Math.max(1, Math.ceil((top - low) / 5));
  const each = (width - LEFT - RIGHT) / n;
  const x = (k: number) => LEFT + (k + 0.5) * each;
  const y = (v: number) => TOP + ((top - Math.max(low, Math.log10(v))) / (top - low)) * (height - TOP - BOTTOM);
  const line = (values: Float32Array) => {
    let pen = false;
    return Array.from(values, (v, k) => {
      if (!(v > 0) || !Number.isFinite(v)) { pen = false; return ""; }
      const piece = `${pen ? "L" : "M"}${x(k).toFixed(1)} ${y(v).toFixed(1)}`;
      pen = true;
      return piece;
    }).join("");
  };
  const ends = [uses.error[0], uses.error[n - 1]];
  const ratio = ends[1] > 0 && ends[0] > 0 ? ends[0] / ends[1] : NaN;
  return (
    <section className="panel error">
      <div className="head">
        <h2>{words("How much of the error is left")}</h2>
        <span className="legend"><i className="all" />‖∂L/∂h(t)‖<i className="here" />{words("of it from the outputs of t")}</span>
      </div>
      <div ref={box} className="chart">
        {width > 0 && (
          <svg width={width} height={height} role="img" aria-label={words("Size of the error at each timestep, on a log axis")} onClick={(e) => setT(Math.floor((e.clientX - e.currentTarget.getBoundingClientRect().left - LEFT) / each))}>
            {Array.from({ length: Math.floor((top - low) / every) + 1 }, (_, k) => top - k * every).map((p) => <React.Fragment key={p}><path className="grid" d={`M${LEFT} ${y(10 ** p)}H${width - RIGHT}`} /><text x={LEFT - 6} y={y(10 ** p) + 3.5} textAnchor="end">{powerOfTen(p)}</text></React.Fragment>)}
            <path className="cursor" d={`M${x(t)} ${TOP}V${height - BOTTOM}`} />
            <path className="curve here" d={line(uses.direct)} />
            {n <= 60 && Array.from(uses.direct, (v, k) => v > 0 && Number.isFinite(v) && <circle key={k} className="dot here" cx={x(k)} cy={y(v)} r={2} />)}
            <path className="curve all" d={line(uses.error)} />
            {uses.error[t] > 0 && Number.isFinite(uses.error[t]) && <circle className="dot all" cx={x(t)} cy={y(uses.error[t])} r={4} />}
            <Times count={n} x={x} width={width} height={height} t={t} />
          </svg>
        )}
      </div>
      <p className="sentence" data-readout="error" data-value={String(uses.error[t])} data-direct={String(uses.direct[t])} data-later={String(uses.later[t])}>
        {words("At t = {t}: {error}; from its own outputs {direct}, through later timesteps {later}.", { t, error: num(uses.error[t]), direct: num(uses.direct[t]), later: num(uses.later[t]) })}
        {Number.isFinite(ratio) && n > 2 && (ratio < 0.1 || ratio > 10) && ` ${ratio < 1 ? words("It vanishes: at the first timestep {share} of what the last one gets.", { share: num(ratio) }) : words("It grows: at the first timestep {share} times what the last one gets.", { share: num(ratio) })}`}
      </p>
    </section>
  );
}
