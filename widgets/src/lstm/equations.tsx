// The layer's equations with this moment's numbers in them.
import * as React from "react";
import { num, percent } from "../shared/format";
import { t as say, tx } from "../shared/words";
import { type Gate, type LayerData, type Moment } from "./data";
import { type Part, useLight } from "./lit";

export function Equations({ data, moment: m, unit }: { data: LayerData; moment: Moment; unit: number }) {
  return (
    <section className="panel equations" aria-label={say("Equations")}>
      {data.kind.sums.map((gate) => <Definition key={gate} gate={gate} sum={data.info.kind === "gru" ? "a" : "z"} m={m} held={isHeld(data, gate, unit)} />)}
      {data.info.kind === "lstm" ? <OfLSTM m={m} /> : data.info.kind === "gru" ? <OfGRU m={m} /> : <OfRNN m={m} held={isHeld(data, "h", unit)} />}
    </section>
  );
}

function OfLSTM({ m }: { m: Moment }) {
  return (
    <>
      <div className="equation large">
        <Term term="c_t" symbol="c" sub="t" value={m.c} part="c" result />
        <Op sign="=" />
        <Term term="f_t" symbol="f" sub="t" value={m.f} part="f" />
        <Op sign="·" />
        <Term term="c_t−1" symbol="c" sub="t−1" value={m.before} part="before" />
        <Op sign="+" />
        <Term term="i_t" symbol="i" sub="t" value={m.i} part="i" />
        <Op sign="·" />
        <Term term="g_t" symbol="g" sub="t" value={m.g} part="g" />
        <Halves m={m} />
      </div>
      <div className="equation large">
        <Term term="h_t" symbol="h" sub="t" value={m.h} part="h" result />
        <Op sign="=" />
        <Term term="o_t" symbol="o" sub="t" value={m.o} part="o" />
        <Op sign="·" />
        <Term term="tanh c_t" symbol={<><span className="fn">tanh</span> c</>} sub="t" value={m.tanh} part="tanh" />
        <span className="words">{say("{share} of tanh c is shown", { share: percent(m.o) })}</span>
      </div>
    </>
  );
}

function OfGRU({ m }: { m: Moment }) {
  return (
    <>
      <div className="equation large">
        <Term term="h_t" symbol="h" sub="t" value={m.h} part="h" result />
        <Op sign="=" />
        <Term term="z_t" symbol="z" sub="t" value={m.z} part="z" />
        <Op sign="·" />
        <Term term="h_t−1" symbol="h" sub="t−1" value={m.before} part="before" />
        <Op sign="+" />
        <Term term="1−z_t" symbol={<>(1 − z</>} sub="t" close=")" value={1 - m.z} part="z" />
        <Op sign="·" />
        <Term term="n_t" symbol="n" sub="t" value={m.n} part="n" />
        <Halves m={m} />
      </div>
      <div className="equation large">
        <span className="symbol"><i>a</i><sub>n</sub></span>
        <Op sign="=" /><span className="fn">x·K + b +</span>
        <Term term="r_t" symbol="r" sub="t" value={m.r} part="r" />
        <Op sign="·" /><span className="fn">(h(t−1)·R + b′)</span>
        <span className="words">{say("r says how much of the state before the candidate looks at")}</span>
      </div>
    </>
  );
}

function OfRNN({ m, held }: { m: Moment; held: boolean }) {
  return (
    <div className="equation large">
      <Term term="h_t" symbol="h" sub="t" value={m.h} part="h" result />
      <Op sign="=" />
      <Term term="a_t" symbol={<><span className="fn">tanh</span>(a</>} sub="t" close=")" value={m.total} part="sum" />
      <Op sign=";" />
      <Term term="sum_t" symbol="a" sub="t" value={m.total} part="sum" />
      <Op sign="=" />
      <Term term="u_t" symbol="u" sub="t" value={m.u} part="u" />
      <Op sign="+" />
      <Term term="s_t" symbol="s" sub="t" value={m.s} part="s" />
      <span className="words">{held ? say("held at {value}", { value: num(m.h) }) : say("u = x·K + b, s = h(t−1)·R")}</span>
    </div>
  );
}

function Halves({ m }: { m: Moment }) {
  const light = useLight();
  return (
    <span className="words">{tx("{kept} and {written}", {
      kept: <span data-lit={light.is("keep")} {...light.on("keep")}>{say("{value} kept", { value: num(m.keep) })}</span>,
      written: <span data-lit={light.is("write")} {...light.on("write")}>{say("{value} written", { value: num(m.write) })}</span>,
    })}</span>
  );
}

function isHeld(data: LayerData, gate: Gate, unit: number): boolean {
  return data.info.clamps.some((c) => c.gate === gate && (c.unit === null || c.unit === unit + data.unitFrom));
}

/** How a gate comes about, and what its number means here. */
function Definition({ gate, sum, m, held }: { gate: Gate; sum: string; m: Moment; held: boolean }) {
  const light = useLight();
  const tanh = gate === "g" || gate === "n";
  const name = tanh ? "tanh" : "σ";
  const lit = light.is(gate);
  const z = m.z_[gate] ?? NaN;
  return (
    <div className="equation" data-lit={lit} {...light.on(gate)}>
      <span className="symbol" data-lit={lit}><i>{gate}</i><sub>t</sub></span>
      <Op sign="=" /><span className="fn">{name}</span>(<i>{sum}</i><sub>{gate}</sub>)
      <Op sign="=" /><span className="fn">{name}</span>({num(z)})
      <Op sign="=" />{held ? <><s>{num(tanh ? Math.tanh(z) : 1 / (1 + Math.exp(-z)))}</s> <b data-lit={lit}>{num(m[gate])}</b></> : <b data-lit={lit}>{num(m[gate])}</b>}
      <span className="words">{held ? say("held at {value}", { value: num(m[gate]) }) : words(gate, m)}</span>
    </div>
  );
}

function words(gate: Gate, m: Moment): string {
  switch (gate) {
    case "f": return say("keep {share} of the old state", { share: percent(m.f) });
    case "i": return say("let {share} of the candidate in", { share: percent(m.i) });
    case "o": return say("show {share}", { share: percent(m.o) });
    case "r": return say("look at {share} of the old state", { share: percent(m.r) });
    case "z": return say("keep {share} of the old state", { share: percent(m.z) });
    default: return say("candidate for the new state");
  }
}

function Op({ sign }: { sign: string }) {
  return <span className="op">{sign}</span>;
}

/** A symbol with its number under it. */
function Term({ term, symbol, sub, close = "", value, part, result = false }: {
  term: string; symbol: React.ReactNode; sub: string; close?: string; value: number; part: Part; result?: boolean;
}) {
  const light = useLight();
  return (
    <span className={result ? "term result" : "term"} data-term={term} data-value={String(value)} data-lit={light.is(part)} tabIndex={0} {...light.on(part)}>
      <span className="symbol"><i>{symbol}</i><sub>{sub}</sub>{close}</span>
      <b>{num(value)}</b>
    </span>
  );
}
