// One unit's equation with this timestep's numbers, and whether they give what the run recorded.
import * as React from "react";
import { factor, num } from "../shared/format";
import { t as words } from "../shared/words";
import { type Data, termsAt, type UnitData } from "./data";

const v = (name: string, sub = "t") => <span className="var"><i>{name}</i><sub>{sub}</sub></span>;
const op = (sign: string) => <span className="op">{sign}</span>;

export function Equation({ data, seen, t, unit }: { data: Data; seen: UnitData; t: number; unit: number }) {
  const at = termsAt(data, seen, t);
  const before = data.info.reverse ? "t+1" : "t−1";
  const state = data.states[0].name;
  const value = at(`${state} after`);
  const end = (x: number) => <b className="value">{num(x)}</b>;
  const lines: { left: React.ReactNode; right: React.ReactNode; numbers: React.ReactNode; sum: number; value: number; name: string }[] = [];
  if (seen.info.form === "RNN") {
    const sum = Math.tanh(at("x") + at("h") + at("b"));
    lines.push({ left: v("h"), right: <>tanh({v("x")}<i>K</i>{op("+")}{v("h", before)}<i>R</i>{op("+")}<i>b</i>)</>, numbers: <>tanh({num(at("x"))}{op("+")}{factor(at("h"))}{op("+")}{factor(at("b"))})</>, sum, value, name: "h" });
  } else if (seen.info.form === "GRU") {
    const [z, n, h] = [at("z"), at("n"), at("h before")];
    lines.push({ left: v("h"), right: <>(1 − {v("z")}) · {v("n")}{op("+")}{v("z")} · {v("h", before)}</>, numbers: <>{num(1 - z)} · {factor(n)}{op("+")}{num(z)} · {factor(h)}</>, sum: (1 - z) * n + z * h, value, name: "h" });
  } else if (seen.info.form === "LSTM") {
    const [f, i, g, o, c] = [at("f"), at("i"), at("g"), at("o"), at("c before")];
    const now = at("c after");
    lines.push({ left: v("c"), right: <>{v("f")} · {v("c", before)}{op("+")}{v("i")} · {v("g")}</>, numbers: <>{num(f)} · {factor(c)}{op("+")}{num(i)} · {factor(g)}</>, sum: f * c + i * g, value: now, name: "c" });
    lines.push({ left: v("h"), right: <>{v("o")} · tanh({v("c")})</>, numbers: <>{num(o)} · {factor(Math.tanh(now))}</>, sum: o * Math.tanh(now), value, name: "h" });
  } else {
    const given = seen.info.terms.filter((name) => !name.endsWith(" after"));
    lines.push({ left: v(state), right: given.length ? <>{seen.info.form}({given.map((name, k) => <React.Fragment key={name}>{k > 0 && ", "}<i>{name}</i></React.Fragment>)})</> : <>{seen.info.form}({v(state, before)}, {v("x")})</>, numbers: given.length ? <>{seen.info.form}({given.map((name) => num(at(name))).join(", ")})</> : null, sum: value, value, name: state });
  }
  return (
    <section className="panel equations" data-unit={unit}>
      <div className="head"><h2>{words("Unit {unit} at t = {t}", { unit, t })}</h2>{seen.info.form === "GRU" && <span className="sentence"><i>r</i> = {num(at("r"))}, <i>z</i> = {num(at("z"))}, <i>n</i> = {num(at("n"))}</span>}</div>
      {lines.map((l) => {
        const apart = Math.abs(l.sum - l.value);
        const same = apart <= 1e-4 * Math.max(1, Math.abs(l.value)) || (Number.isNaN(l.sum) && Number.isNaN(l.value));
        return (
          <React.Fragment key={l.name}>
            <p className="equation">{l.left}{op("=")}{l.right}</p>
            <p className="equation numbers">{l.numbers && <>{op("=")}<span>{l.numbers}</span></>}{op("=")}<span data-readout={l.name} data-value={String(l.value)} data-sum={String(l.sum)}>{end(l.value)}</span>{l.numbers && <span className={same ? "check" : "check wrong"}>{same ? "✓" : "⚠"} {same ? words("as in the run") : words("the run holds another value: this timestep is beyond the length of its row")}</span>}</p>
          </React.Fragment>
        );
      })}
    </section>
  );
}
