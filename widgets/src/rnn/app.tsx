import * as React from "react";
import type { RNNGuesses } from "../protocol.gen";
import { Slider } from "../shared/controls";
import { num } from "../shared/format";
import { Icon } from "../shared/icons";
import { csvWay, type Draw, Save, useSaved } from "../shared/save";
import { Follows, Frame, isOurs, Message, PlayButton, Sample, usePlay, useSynced, useView } from "../shared/view";
import type { Model } from "../shared/wire";
import { LanguageChoice, t as words } from "../shared/words";
import { Besides, Guesses } from "./characters";
import { type Data, dataOf, stateAt, type UnitData, unitOf, type UsesData, useAt, usesOf, windowFrom } from "./data";
import { Equation } from "./equation";
import { draw, tableOf } from "./save";
import { Stage } from "./stage";
import { Timeline } from "./timeline";
import { ErrorCard, UsesCard } from "./uses";

const COPIES = 12;
const FRAME = 350;      // ms a timestep while playing
export const WIDE = 1080;

export function App({ model }: { model: Model }) {
  const [data, setData] = React.useState<Data | null>(null);
  const [seen, setSeen] = React.useState<UnitData | null>(null);
  const [uses, setUses] = React.useState<UsesData | null>(null);
  const [guesses, setGuesses] = React.useState<RNNGuesses | null>(null);
  const [back, setBack] = React.useState(false);
  const steps = data?.layer.timesteps ?? 1;
  const [t, setT] = useSynced(model, "t", steps - 1);
  const [k, setK] = useSynced(model, "k", Math.min(COPIES, steps));
  const [unit, setUnit] = useSynced(model, "unit", (data?.layer.units ?? 1) - 1);
  const from = React.useRef(0);
  from.current = windowFrom(from.current, t, k, steps);
  const view = useView(model, (message, buffers) => {
    switch (message.type) {
      case "rnn":
        setData((old) => {
          const next = dataOf(message, buffers);
          if (old && (old.info.layer !== message.layer || old.info.sample !== message.sample || old.info.run !== message.run)) setUses(null);
          return next;
        });
        if (!message.guesses) setGuesses(null);
        view.tell(null);
        break;
      case "rnn_unit":
        setSeen(unitOf(message, buffers));
        break;
      case "rnn_uses":
        setUses(usesOf(message, buffers));
        view.tell(null);
        break;
      case "rnn_guesses":
        setGuesses(message);
        view.tell(null);
        break;
      default:
        break;
    }
  });
  const { kernel, send, root, width, theme, place } = view;

  // what is not on the page of timesteps is asked for when the cursor rests
  React.useEffect(() => {
    if (!data || (stateAt(data, data.states[0], t) && stateAt(data, data.states[0], Math.min(steps - 1, from.current + Math.max(k, 1) - 1)) && stateAt(data, data.states[0], from.current))) return;
    const timer = window.setTimeout(() => void send({ type: "rnn_ask", layer: data.info.layer, sample: data.info.sample, t }), 60);
    return () => window.clearTimeout(timer);
  }, [data, t, k, steps, send]);
  React.useEffect(() => {
    if (!data || seen?.info.unit === unit) return;
    const timer = window.setTimeout(() => void send({ type: "rnn_unit_ask", unit }), 60);
    return () => window.clearTimeout(timer);
  }, [data, seen, unit, send]);
  const follow = React.useCallback((of = "", weight = "") => void send({ type: "rnn_uses_ask", of, weight, t }), [send, t]);
  const asked = React.useRef("");
  React.useEffect(() => {
    if (!data) return;
    const here = `${data.info.run}/${data.info.layer}/${data.info.sample}`;
    if (!uses) {
      if (!data.info.automatic || asked.current === here) return;
      asked.current = here;
      void send({ type: "rnn_uses_ask", of: "", weight: "", t: 0 });
      return;
    }
    if (!back || useAt(uses, t)) return;
    const timer = window.setTimeout(() => follow(uses.info.of, uses.info.weight), 80);
    return () => window.clearTimeout(timer);
  }, [data, uses, back, t, follow, send]);
  const picture: Draw | null = data && !place?.asked ? (pen) => draw(pen, data, uses, t, k, from.current, unit) : null;
  useSaved(model, root, picture, [data, uses, t, k, from.current, unit]);

  const [playing, play] = usePlay(FRAME, t >= steps - 1, () => setT(t + 1), () => setT(0));

  const onKeyDown = (e: React.KeyboardEvent) => {
    if (!isOurs(e)) return;
    const far = e.shiftKey ? 10 : 1;
    switch (e.key) {
      case "ArrowLeft": setT(t - far); break;
      case "ArrowRight": setT(t + far); break;
      case "ArrowUp": setUnit(unit - far); break;
      case "ArrowDown": setUnit(unit + far); break;
      case "Home": setT(0); break;
      case "End": setT(steps - 1); break;
      case "+": case "=": setK(k + 1); break;
      case "-": setK(k - 1); break;
      case "b": case "B": setBack(!back); break;
      case " ": play(); break;
      default: return;
    }
    e.preventDefault();
  };

  const info = data?.info;
  const size = width >= WIDE ? "wide" : width >= 760 ? "middle" : "narrow";
  return (
    <Frame
      view={view} name="fl-sheet fl-rnn" onKeyDown={onKeyDown}
      hooks={{ "data-testid": "rnn-view", "data-size": size, "data-node": data?.layer.node, "data-layer": info ? info.layer + 1 : undefined, "data-t": t, "data-k": k, "data-unit": unit }}
      label={data ? words("Unrolled view of {node}. Left and right move the timestep, up and down the unit, plus and minus slide copies out, B goes backwards.", { node: data.layer.node }) : words("Unrolled view.")}
    >
      {data && info && picture && (
        <>
          <header className="bar" role="presentation">
            <div className="name">
              <Icon name="recurrent" size={15} />
              {info.layers.length > 1 ? (
                <select className="layers" aria-label={words("Layer")} value={info.layer} onChange={(e) => void send({ type: "rnn_ask", layer: Number(e.currentTarget.value), sample: info.sample, t })}>
                  {info.layers.map((l, n) => <option key={l.node} value={n}>{l.node}</option>)}
                </select>
              ) : <b>{data.layer.node}</b>}
              {info.title && <span>{info.title}</span>}
            </div>
            <Slider label={words("Unroll")} value={k} max={Math.min(COPIES, steps)} text={k ? String(k) : words("loop")} onChange={setK} />
            <Slider label={words("Timestep")} value={t} max={steps - 1} text={`${t} / ${steps - 1}`} onChange={setT} />
            {data.layer.units > 1 && <Slider label={words("Unit")} value={unit} max={data.layer.units - 1} text={`${unit} / ${data.layer.units - 1}`} onChange={setUnit} />}
            <PlayButton playing={playing} play={play} />
            <span className="seg" role="group" aria-label={words("Direction")}>
              <button type="button" aria-pressed={!back} onClick={() => setBack(false)}>{words("Forward")}</button>
              <button type="button" aria-pressed={back} disabled={info.losses.length === 0} onClick={() => { setBack(true); if (!uses) follow(); }}>{words("Backward")}</button>
            </span>
            {info.samples > 1 && <Sample sample={info.sample} samples={info.samples} choose={(n) => void send({ type: "rnn_ask", layer: info.layer, sample: n, t })} />}
            <span className="end"><Save of={data.layer.node} ways={[csvWay(() => tableOf(data, uses, seen))]} draw={picture} root={root} tell={view.tell} /><LanguageChoice /></span>
          </header>
          {view.notice && <Message notice={view.notice} close={() => view.tell(null)} />}
          <Follows place={place} />
          <Stage data={data} uses={uses} back={back} t={t} k={k} from={from.current} unit={unit} setT={setT} theme={theme} root={root} width={Math.max(0, width - 52)} />
          {guesses && <Guesses data={data} guesses={guesses} t={t} setT={setT} ask={(text, context) => send({ type: "rnn_guess_ask", text, context })} />}
          <div className="columns">
            <div className="column">
              <Timeline data={data} t={t} k={k} from={from.current} unit={unit} setT={setT} theme={theme} root={root} />
              {seen && <Equation data={data} seen={seen} t={t} unit={unit} />}
              {(info.beside.length > 0 || info.compares) && <Besides data={data} busy={kernel.busy} compare={() => void send({ type: "rnn_compare" })} />}
            </div>
            <div className="column">
              <UsesCard data={data} uses={uses} t={t} setT={setT} follow={follow} busy={kernel.busy} theme={theme} root={root} />
              {uses && <ErrorCard uses={uses} t={t} setT={setT} />}
            </div>
          </div>
          <p className="hidden" role="status" aria-live="polite">{said(data, t, k, unit)}</p>
        </>
      )}
    </Frame>
  );
}

function said(data: Data, t: number, k: number, unit: number): string {
  const [state] = data.states;
  const values = stateAt(data, state, t);
  const at = unit / data.info.units_step;
  const value = values && Number.isInteger(at) && at < values.length ? num(values[at]) : "…";
  return words("Timestep {t} of {node}, {k} copies: unit {unit} of {state} is {value}", { t, node: data.layer.node, k, unit, state: state.name, value });
}
