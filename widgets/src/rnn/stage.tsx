// The picture: the loop as one cell, and beside it its copies over the timesteps, with the one set of weights that all of them use.
import * as React from "react";
import { num, two } from "../shared/format";
import { Pixels, type Root, ScaleBar } from "../shared/pixels";
import { t as words, tn } from "../shared/words";
import { brief, type Data, inputAt, type StateData, stateAt, type UsesData, useAt, widthOf } from "./data";

const FOLD = 168;       // the loop's column
const LEAD = 54;        // before the first copy, and after the last
const LEAST = 82;       // a copy's cell; narrower ones would be scrolled
const TOP = 8;
const PILL = 26;
const CARD = 78;        // where the cells begin

export const named = (name: string, t: number | string): React.ReactNode => <span className="var"><i>{name}</i><sub>{typeof t === "number" ? num(t) : t}</sub></span>;

type Way = { from: [number, number]; to: [number, number]; value?: number; label?: string; at?: [number, number]; kind: string; anchor?: "start" | "middle" | "end"; name?: string };

export function Stage({ data, uses, back, t, k, from, unit, setT, theme, root, width }: {
  data: Data; uses: UsesData | null; back: boolean; t: number; k: number; from: number; unit: number; setT(t: number): void; theme: number; root: Root; width: number;
}) {
  const { info, layer, states } = data;
  const [lit, setLit] = React.useState<number | null>(null);
  const canvas = React.useRef<HTMLDivElement>(null);
  const id = React.useId();
  const room = Math.max(0, width - FOLD - 2 * LEAD);
  const gap = back ? 58 : 40;             // between two copies; numbers stand there on the way back
  const column = k ? Math.max(LEAST + gap, Math.min(220, Math.floor((room + gap) / k))) : 0;
  const card = column - gap;
  const height = 46 + states.length * 60;
  const bottom = CARD + height;
  const xTop = bottom + 34;
  const thumb = back && uses ? 46 : 0;
  const xBottom = xTop + 40;
  const bus = xBottom + 12 + (thumb ? thumb + 14 : 0);
  const total = bus + 12;
  const wide = FOLD + (k ? 2 * LEAD + k * column - gap : 0);
  const left = (n: number) => FOLD + LEAD + n * column;
  const middle = (n: number) => left(n) + card / 2;
  const shown = Array.from({ length: k }, (_, n) => from + n);
  const steps = layer.timesteps;
  // of a loop that runs backwards, the arrow goes to the timestep before
  const order = info.reverse ? -1 : 1;
  const last = info.reverse ? 0 : steps - 1;
  const gives = (s: number) => info.each.length > 0 || (s === last && info.last.length > 0);
  const most = uses ? Math.max(...shown.flatMap((s) => [uses.direct[s] || 0, uses.later[s] || 0]), 1e-30) : 0;
  const mid = CARD + height / 2;
  const ways: Way[] = [];
  shown.forEach((s, n) => {
    ways.push({ from: [middle(n), xTop - 3], to: [middle(n), bottom + 3], kind: "flow" });
    const up = middle(n) - (back ? 8 : 0);
    if (gives(s)) ways.push({ from: [up, CARD - 2], to: [up, TOP + PILL + 3], kind: "flow", name: `${s}:out`, label: back ? undefined : brief(states[0].name), at: [up + 6, CARD - 18] });
    if (back && uses && gives(s)) ways.push({ from: [middle(n) + 8, TOP + PILL + 3], to: [middle(n) + 8, CARD - 3], kind: "back", value: uses.direct[s], label: two(uses.direct[s]), at: [middle(n) + 15, CARD - 18], anchor: "start", name: `${s}:direct` });
  });
  for (let n = 0; n <= k && k; n++) {
    const [x0, x1] = [n === 0 ? FOLD + 14 : left(n - 1) + card + 2, n === k ? left(k - 1) + card + LEAD - 12 : left(n) - 3];
    const giver = info.reverse ? from + n : from + n - 1;         // whose state goes along here
    const y = mid - (back ? 9 : 0);
    ways.push({ from: info.reverse ? [x1, y] : [x0, y], to: info.reverse ? [x0, y] : [x1, y], kind: "flow state", name: `${giver}:on` });
    if (back && uses && giver >= 0 && giver < steps && uses.later[giver] !== undefined) {
      ways.push({ from: info.reverse ? [x0, mid + 11] : [x1, mid + 11], to: info.reverse ? [x1, mid + 11] : [x0, mid + 11], kind: "back", value: uses.later[giver], label: two(uses.later[giver]), at: [(x0 + x1) / 2, mid + 28], anchor: "middle", name: `${giver}:later` });
    }
  }
  const strips = (values: (Float32Array | null)[], w: number) => states.map((s, j) => {
    const v = values[j];
    const at = Math.round(unit / info.units_step);
    return (
      <div className="state" key={s.name}>
        {v ? <Pixels map={v} rows={1} cols={v.length} width={w} height={22} scale={s.scale} theme={theme} root={root} /> : <span className="none" style={{ width: w, height: 22 }} />}
        {v && unit % info.units_step === 0 && at < v.length && <u className="mark" style={{ left: ((at + 0.5) / v.length) * w - 3 }} />}
        <b className="value" data-state={s.name} data-value={v && unit % info.units_step === 0 ? String(v[at]) : undefined}><i title={s.name}>{card > 160 ? s.name : brief(s.name)}</i> {v && unit % info.units_step === 0 ? (card < 112 ? two(v[at]) : num(v[at])) : "…"}</b>
      </div>
    );
  });
  // where the copies are wider than the view, the cursor's stays in sight
  React.useEffect(() => {
    const [box, cell] = [canvas.current, canvas.current?.querySelector<HTMLElement>(`[data-cell="${t}"]`)];
    if (!box || !cell) return;
    const [x0, x1] = [cell.offsetLeft - LEAD, cell.offsetLeft + cell.offsetWidth + LEAD];
    if (x0 < box.scrollLeft || x1 > box.scrollLeft + box.clientWidth) box.scrollLeft = x0 < box.scrollLeft ? x0 : x1 - box.clientWidth;
  }, [t, k, wide]);
  const step = (s: number) => states.map((state: StateData) => stateAt(data, state, s));
  return (
    <section className="panel stage">
      <div className="head">
        <h2>{k ? words("The loop, and {n} of its {all} copies", { n: k, all: steps }) : words("The loop")}</h2>
        <span className="scales"><i>{info.source}</i><ScaleBar scale={data.xScale} />{states.map((s) => <React.Fragment key={s.name}><i>{s.name}</i><ScaleBar scale={s.scale} /></React.Fragment>)}</span>
      </div>
      <div ref={canvas} className="canvas" tabIndex={wide > width ? 0 : undefined} role={wide > width ? "region" : undefined} aria-label={wide > width ? words("Copies") : undefined}>
        <div className="scene" style={{ width: wide, height: total }}>
          <svg className="wires" width={wide} height={total} aria-hidden="true">
            <defs>
              {["flow", "back"].map((kind) => <marker key={kind} id={`${id}${kind}`} className={kind} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" /></marker>)}
            </defs>
            <path className="loop" markerEnd={`url(#${id}flow)`} d={`M${FOLD - 40} ${mid}H${FOLD - 26}q12 0 12 12V${bottom + 5}q0 12 -12 12H20q-12 0 -12 -12V${mid + 12}q0 -12 12 -12H27`} />
            <path className="flow" markerEnd={`url(#${id}flow)`} d={`M${FOLD / 2} ${xTop - 3}V${bottom + 3}`} />
            <path className="flow" markerEnd={`url(#${id}flow)`} d={`M${FOLD / 2} ${CARD - 2}V${TOP + PILL + 3}`} />
            {ways.map((w, n) => (
              <g key={n} className={w.kind} data-lit={(lit !== null && w.name?.startsWith(`${lit}:`)) || undefined} data-way={w.name} data-value={w.value === undefined ? undefined : String(w.value)}>
                <path d={`M${w.from[0]} ${w.from[1]}L${w.to[0]} ${w.to[1]}`} markerEnd={`url(#${id}${w.kind.split(" ")[0]})`} strokeWidth={w.kind === "back" ? widthOf(w.value ?? 0, most) : undefined} />
                {w.label && w.at && <text x={w.at[0]} y={w.at[1]} textAnchor={w.anchor}>{w.label}</text>}
              </g>
            ))}
            <path className="same" d={`M44 ${bus}H${k ? left(k - 1) + 10 : 44}`} />
            <path className="same" d={`M44 ${bottom + 20}V${bus}M44 ${bus}V${total}`} />
            {shown.map((s, n) => <path key={s} className="same" data-same={s} d={thumb ? `M${left(n) + 10} ${bottom + 2}V${xBottom + 10}M${left(n) + 10} ${xBottom + 12 + thumb}V${bus}` : `M${left(n) + 10} ${bottom + 2}V${bus}`} />)}
            {shown.map((s, n) => card > 60 && <text key={s} className="word" x={left(n) + 15} y={bus - 4}>{words("same W")}</text>)}
          </svg>

          <div className="pill loss" style={{ left: 14, width: FOLD - 28, top: TOP }} title={[...info.each, ...info.last].join(", ")}><span>{info.each[0] ?? info.last[0] ?? words("nobody reads it")}</span></div>
          <div className="cell fold" style={{ left: 28, width: FOLD - 68, top: CARD, height }}>
            <header><b>{layer.op === "Scan" ? words("loop") : layer.op}</b></header>
            <p>{tn(layer.units, "{n} unit", "{n} units")}</p>
            <p className="formula" data-long={states.some((s) => [...s.name].length > 3) || undefined}>{states.map((s) => <span key={s.name} title={s.name}>{named(brief(s.name), info.reverse ? "t+1" : "t−1")} → {named(brief(s.name), "t")}</span>)}</p>
          </div>
          <b className="badge delay" style={{ left: FOLD - 34, top: bottom - 26 }}>{info.reverse ? "t+1" : "t−1"}</b>
          <div className="x fold" style={{ left: 28, width: FOLD - 68, top: xTop }}>{named("x", "t")} <small>{tn(layer.features, "{n} number", "{n} numbers")}</small></div>

          {k > 0 && <span className="start" style={{ left: FOLD + 2, top: mid - (back ? 32 : 24), width: LEAD - 6 }}>{named(brief(states[0].name), info.reverse ? from + k : from - 1)}</span>}
          {shown.map((s, n) => {
            const x = inputAt(data, s);
            const symbol = info.symbols[s - info.start];
            const dw = back && uses ? useAt(uses, s) : null;
            return (
              <React.Fragment key={s}>
                <div className={gives(s) ? "pill" : "pill none"} style={{ left: left(n), width: card, top: TOP }}><span>{gives(s) ? (s === last && info.last.length && !info.each.length ? info.last[0] : card > 120 ? words("to {reader}", { reader: info.each[0] ?? info.last[0] }) : (info.each[0] ?? info.last[0]).split("/").pop()) : "·"}</span></div>
                <button
                  type="button" className="cell" data-cell={s} data-narrow={card < 112 || undefined} aria-pressed={s === t} onClick={() => setT(s)} onPointerEnter={() => setLit(s)} onPointerLeave={() => setLit(null)} onFocus={() => setLit(s)} onBlur={() => setLit(null)}
                  style={{ left: left(n), width: card, top: CARD, height }}
                  title={words("{state} goes two ways: to {reader}, and on to timestep {next}.", { state: `${states[0].name}(${s})`, reader: gives(s) ? info.each[0] ?? info.last[0] : words("nobody"), next: s + order })}
                >
                  <header><b>t = {s}</b></header>
                  {strips(step(s), card - 16)}
                </button>
                <div className="x" data-input={s} style={{ left: left(n) + 24, width: card - 24, top: xTop }}>
                  {x && <Pixels map={x} rows={1} cols={x.length} width={card - 24} height={18} scale={data.xScale} theme={theme} root={root} />}
                  <span>{named("x", s)}{symbol !== undefined && <b className="symbol">{symbol === " " ? "␣" : symbol === "\n" ? "↵" : symbol}</b>}</span>
                </div>
                {dw && uses && (
                  <div className="use" data-use={s} style={{ left: left(n), top: xBottom + 12, width: card }}>
                    <Pixels map={dw} rows={uses.info.rows} cols={uses.info.cols} width={Math.min(card, 66)} height={thumb} scale={{ lo: -uses.info.each_limit, hi: uses.info.each_limit, map: "div" }} theme={theme} root={root} />
                    {card > 110 && <small>{named("dW", s)}<br />{num(uses.norms[s])}</small>}
                  </div>
                )}
              </React.Fragment>
            );
          })}
        </div>
      </div>
      <div className="weights" style={{ marginLeft: Math.max(0, (width - wide) / 2) + 14, height: thumb ? 60 : 40 }}>
        {thumb > 0 && uses && <Pixels map={uses.total} rows={uses.info.rows} cols={uses.info.cols} width={66} height={thumb} scale={{ lo: -uses.info.limit, hi: uses.info.limit, map: "div" }} theme={theme} root={root} />}
        {thumb > 0 && uses ? <span><b><i>dW</i> = Σ<sub>t</sub> <i>dW</i>(t)</b><small>{words("all {n} uses of {weight} together", { n: steps, weight: uses.info.weight })}</small></span> : <b className="letter">W</b>}
        <span className="counts" data-variables={info.variables.length} data-numbers={info.numbers} title={info.variables.map((v) => `${v.name} (${v.shape.join(", ")})`).join("\n")}>
          <b>{tn(info.variables.length, "{n} variable", "{n} variables")}, {tn(info.numbers, "{n} number to learn", "{n} numbers to learn")}</b>
          <small>{k ? words("unchanged with {n} copies: each uses the same ones", { n: k }) : info.variables.map((v) => v.name.split("/").pop()).join(", ")}</small>
        </span>
      </div>
    </section>
  );
}
