// Clamping a gate.
import * as React from "react";
import type { Notice } from "../protocol.gen";
import { num } from "../shared/format";
import { t as words } from "../shared/words";
import { type Gate, type LayerData } from "./data";

export type ClampRequest = { gate: Gate; value: number | null; unit: number | null };

const START: Record<Gate, string> = { f: "1", i: "0", g: "0", o: "1", r: "0", z: "1", n: "0", h: "0" };

/** Hold a gate, and see what becomes of everything after it. The kernel runs the layer again with the gate held. */
export function ClampCard({ data, unit, clamp, tell }: {
  data: LayerData; unit: number; clamp(request: ClampRequest): Promise<boolean>; tell(notice: Notice | null): void;
}) {
  const { clamps, clamped_layers: layers, layer, outcomes, rerun } = data.info;
  const [texts, setTexts] = React.useState(START);
  const [wanted, setWanted] = React.useState<Partial<Record<Gate, boolean>>>({});
  const [single, setSingle] = React.useState(false);
  const timers = React.useRef<Partial<Record<Gate, number>>>({});
  React.useEffect(() => () => Object.values(timers.current).forEach((timer) => window.clearTimeout(timer)), []);
  // what the kernel says holds; fields follow it when somebody clamps from Python
  React.useEffect(() => {
    setWanted({});
    setTexts((old) => clamps.reduce((texts, c) => (parse(texts[c.gate]) === c.value ? texts : { ...texts, [c.gate]: String(c.value) }), old));
    if (clamps.length) setSingle(clamps[0].unit !== null);
  }, [data]);

  const isOn = (gate: Gate) => wanted[gate] ?? clamps.some((c) => c.gate === gate);
  const send = (gate: Gate, on: boolean, text: string, one: boolean) => {
    window.clearTimeout(timers.current[gate]);
    const value = parse(text);
    if (on && value === null) {
      tell({ type: "notice", level: "alert", text: `Clamp ${gate} to what?`, hint: `“${text}” is no number; try 0 or 1.`, node: null, edge: null, why: false });
      return;
    }
    tell(null);
    setWanted((old) => ({ ...old, [gate]: on }));
    void clamp({ gate, value: on ? value : null, unit: on && one ? unit : null }).then((ok) => {
      if (!ok) setWanted((old) => ({ ...old, [gate]: undefined }));
    });
  };
  const type = (gate: Gate, text: string) => {
    setTexts((old) => ({ ...old, [gate]: text }));
    window.clearTimeout(timers.current[gate]);
    // as typed, once the number stands still
    if (isOn(gate) && parse(text) !== null) timers.current[gate] = window.setTimeout(() => send(gate, true, text, single), 350);
  };
  const scope = (one: boolean) => {
    setSingle(one);
    for (const gate of data.kind.held) if (isOn(gate)) send(gate, true, texts[gate], one);
  };
  const elsewhere = layers.filter((k) => k !== layer).map((k) => words("layer {n}", { n: k + 1 }));
  return (
    <section className="panel clamp">
      <div className="head">
        <h2>{data.info.kind === "rnn" ? words("Hold the state") : words("Clamp a gate")}</h2>
        <span className="seg small" role="group" aria-label={words("Clamp in")}>
          <button type="button" aria-pressed={!single} onClick={() => scope(false)}>{words("all units")}</button>
          <button type="button" aria-pressed={single} onClick={() => scope(true)}>{words("unit {n}", { n: clamps.find((c) => c.unit !== null)?.unit ?? unit })}</button>
        </span>
      </div>
      <div className="gates">
        {data.kind.held.map((gate) => (
          <div key={gate} className="one">
            <label><input type="checkbox" aria-label={words("Clamp {gate}", { gate })} checked={isOn(gate)} onChange={(e) => send(gate, e.currentTarget.checked, texts[gate], single)} /><i aria-hidden="true">{gate}</i></label>
            <input
              className="to" inputMode="decimal" spellCheck={false} autoComplete="off" aria-label={words("Clamp {gate} to", { gate })} value={texts[gate]}
              aria-invalid={parse(texts[gate]) === null || undefined}
              onChange={(e) => type(gate, e.currentTarget.value)}
              onKeyDown={(e) => { if (e.key === "Enter" && isOn(gate)) send(gate, true, texts[gate], single); }}
            />
          </div>
        ))}
      </div>
      <p role="status">
        {layers.length === 0 ? words("Off: the values are as recorded.") : (
          <>
            {clamps.length > 0 && `${words("Held: {gates}.", { gates: clamps.map((c) => (c.unit === null ? words("{gate} at {value}", { gate: c.gate, value: num(c.value) }) : words("{gate} at {value} in unit {unit}", { gate: c.gate, value: num(c.value), unit: c.unit }))).join(words(", ")) })} `}
            {elsewhere.length > 0 && `${words("Also a gate of {layers}.", { layers: elsewhere.join(words(" and ")) })} `}
            {rerun ? words("Everything after it ran again.") : words("Only this layer ran again; a trace would rerun what follows.")}
          </>
        )}
      </p>
      {outcomes.length > 0 && (
        <div className="outcomes">
          {outcomes.map((o) => <React.Fragment key={o.label}><span title={o.label}>{o.label}</span><span data-changed={o.before !== o.after || undefined}>{o.before} → <b>{o.after}</b></span></React.Fragment>)}
        </div>
      )}
    </section>
  );
}

/** A number as people write it, with either minus and either decimal sign; null where it is none. */
function parse(text: string): number | null {
  const plain = text.trim().replace("−", "-").replace(",", ".");
  if (plain === "") return null;
  const value = Number(plain);
  return Number.isFinite(value) ? value : null;
}
