// The layer's equations with this moment's numbers in them.
import * as React from "react";
import { num, percent } from "../shared/format";
import { t as say, tx } from "../shared/words";
import { type Gate, GATES, type LayerData, type Moment } from "./data";
import { type Part, useLight } from "./lit";

export function Equations({ data, moment: m, unit }: { data: LayerData; moment: Moment; unit: number }) {
  const light = useLight();
  return (
    <section className="panel equations" aria-label={say("Equations")}>
      {GATES.map((gate) => <Definition key={gate} gate={gate} m={m} held={isHeld(data, gate, unit)} />)}
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
        <span className="words">{tx("{kept} and {written}", {
          kept: <span data-lit={light.is("keep")} {...light.on("keep")}>{say("{value} kept", { value: num(m.keep) })}</span>,
          written: <span data-lit={light.is("write")} {...light.on("write")}>{say("{value} written", { value: num(m.write) })}</span>,
        })}</span>
      </div>
      <div className="equation large">
        <Term term="h_t" symbol="h" sub="t" value={m.h} part="h" result />
        <Op sign="=" />
        <Term term="o_t" symbol="o" sub="t" value={m.o} part="o" />
        <Op sign="·" />
        <Term term="tanh c_t" symbol={<><span className="fn">tanh</span> c</>} sub="t" value={m.tanh} part="tanh" />
        <span className="words">{say("{share} of tanh c is shown", { share: percent(m.o) })}</span>
      </div>
    </section>
  );
}

function isHeld(data: LayerData, gate: Gate, unit: number): boolean {
  return data.info.clamps.some((c) => c.gate === gate && (c.unit === null || c.unit === unit));
}

/** How a gate comes about, and what its number means here. */
function Definition({ gate, m, held }: { gate: Gate; m: Moment; held: boolean }) {
  const light = useLight();
  const name = gate === "g" ? "tanh" : "σ";
  const lit = light.is(gate);
  return (
    <div className="equation" data-lit={lit} {...light.on(gate)}>
      <span className="symbol" data-lit={lit}><i>{gate}</i><sub>t</sub></span>
      <Op sign="=" /><span className="fn">{name}</span>(<i>z</i><sub>{gate}</sub>)
      <Op sign="=" /><span className="fn">{name}</span>({num(m.z[gate])})
      <Op sign="=" />{held ? <><s>{num(gate === "g" ? Math.tanh(m.z.g) : 1 / (1 + Math.exp(-m.z[gate])))}</s> <b data-lit={lit}>{num(m[gate])}</b></> : <b data-lit={lit}>{num(m[gate])}</b>}
      <span className="words">{held ? say("held at {value}", { value: num(m[gate]) }) : words(gate, m)}</span>
    </div>
  );
}

function words(gate: Gate, m: Moment): string {
  switch (gate) {
    case "f": return say("keep {share} of the old state", { share: percent(m.f) });
    case "i": return say("let {share} of the candidate in", { share: percent(m.i) });
    case "g": return say("candidate for the new state");
    case "o": return say("show {share}", { share: percent(m.o) });
    default: return gate satisfies never;
  }
}

function Op({ sign }: { sign: string }) {
  return <span className="op">{sign}</span>;
}

/** A symbol with its number under it. */
function Term({ term, symbol, sub, value, part, result = false }: {
  term: string; symbol: React.ReactNode; sub: string; value: number; part: Part; result?: boolean;
}) {
  const light = useLight();
  return (
    <span className={result ? "term result" : "term"} data-term={term} data-value={String(value)} data-lit={light.is(part)} tabIndex={0} {...light.on(part)}>
      <span className="symbol"><i>{symbol}</i><sub>{sub}</sub></span>
      <b>{num(value)}</b>
    </span>
  );
}
