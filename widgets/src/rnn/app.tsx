import * as React from "react";
import { VERSION, type Notice, type RNNGuesses } from "../protocol.gen";
import { followTheme } from "../shared/color";
import { Slider, useWidth } from "../shared/controls";
import { num } from "../shared/format";
import { isTextField } from "../shared/guard";
import { Icon } from "../shared/icons";
import { Message, Sample, Slow, useSynced, useTheme } from "../shared/view";
import { type Model, useKernel } from "../shared/wire";
import { LanguageChoice, t as words, useLanguage } from "../shared/words";
import { Besides, Guesses } from "./characters";
import { type Data, dataOf, stateAt, type UnitData, unitOf, type UsesData, useAt, usesOf, windowFrom } from "./data";
import { Equation } from "./equation";
import { Save, useSaved } from "./save";
import { Stage } from "./stage";
import { Timeline } from "./timeline";
import { ErrorCard, UsesCard } from "./uses";

const COPIES = 12;
const FRAME = 350;      // ms a timestep while playing
export const WIDE = 1080;

export function App({ model }: { model: Model }) {
  const kernel = useKernel(model);
  const [data, setData] = React.useState<Data | null>(null);
  const [seen, setSeen] = React.useState<UnitData | null>(null);
  const [uses, setUses] = React.useState<UsesData | null>(null);
  const [guesses, setGuesses] = React.useState<RNNGuesses | null>(null);
  const [notice, setNotice] = React.useState<Notice | null>(null);
  const [back, setBack] = React.useState(false);
  const [playing, setPlaying] = React.useState(false);
  const steps = data?.layer.timesteps ?? 1;
  const [t, setT] = useSynced(model, "t", steps - 1);
  const [k, setK] = useSynced(model, "k", Math.min(COPIES, steps));
  const [unit, setUnit] = useSynced(model, "unit", (data?.layer.units ?? 1) - 1);
  const [root, width] = useWidth<HTMLDivElement>();
  React.useLayoutEffect(() => (root.current ? followTheme(root.current) : undefined), [root]);
  const theme = useTheme();
  const lang = useLanguage();
  const from = React.useRef(0);
  from.current = windowFrom(from.current, t, k, steps);

  React.useEffect(() => kernel.subscribe((message, buffers) => {
    switch (message.type) {
      case "rnn":
        setData((old) => {
          const next = dataOf(message, buffers);
          if (old && (old.info.layer !== message.layer || old.info.sample !== message.sample)) setUses(null);
          return next;
        });
        setNotice(null);
        break;
      case "rnn_unit":
        setSeen(unitOf(message, buffers));
        break;
      case "rnn_uses":
        setUses(usesOf(message, buffers));
        setNotice(null);
        break;
      case "rnn_guesses":
        setGuesses(message);
        setNotice(null);
        break;
      case "notice":
        setNotice(message);
        break;
      default:
        break;
    }
  }), [kernel.subscribe]);

  React.useEffect(() => void kernel.send({ type: "hello", version: VERSION }), [kernel.send]);
  const { send } = kernel;

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
    const here = `${data.info.layer}/${data.info.sample}`;
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
  useSaved(model, root, data, uses, t, k, from.current, unit);

  const now = React.useRef({ t, steps });
  now.current = { t, steps };
  React.useEffect(() => {
    if (!playing) return;
    const timer = window.setInterval(() => {
      const { t, steps } = now.current;
      if (t + 1 < steps) setT(t + 1);
      if (t + 2 >= steps) setPlaying(false);
    }, FRAME);
    return () => window.clearInterval(timer);
  }, [playing, setT]);
  const play = () => {
    if (!playing && t >= steps - 1) setT(0);
    setPlaying(!playing);
  };

  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey || isTextField(e.target)) return;
    if (e.target instanceof HTMLInputElement || e.target instanceof HTMLSelectElement) return;
    if (e.target instanceof HTMLElement && e.target.closest("button") && (e.key === " " || e.key === "Enter")) return;
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
    <div
      ref={root} className="fl-rnn" data-testid="rnn-view" lang={lang} data-size={size} data-node={data?.layer.node} data-layer={info ? info.layer + 1 : undefined} data-t={t} data-k={k} data-unit={unit}
      data-busy={kernel.busy || undefined} tabIndex={0} role="group" onKeyDown={onKeyDown}
      aria-label={data ? words("Unrolled view of {node}. Left and right move the timestep, up and down the unit, plus and minus slide copies out, B goes backwards.", { node: data.layer.node }) : words("Unrolled view.")}
    >
      {data && info ? (
        <>
          <header className="bar" role="presentation">
            <div className="name"><Icon name="recurrent" size={15} /><b>{data.layer.node}</b>{info.title && <span>{info.title}</span>}</div>
            {info.layers.length > 1 && (
              <select className="layers" aria-label={words("Layer")} value={info.layer} onChange={(e) => void send({ type: "rnn_ask", layer: Number(e.currentTarget.value), sample: info.sample, t })}>
                {info.layers.map((l, n) => <option key={l.node} value={n}>{l.node}</option>)}
              </select>
            )}
            <Slider label={words("Unroll")} value={k} max={Math.min(COPIES, steps)} text={k ? String(k) : words("loop")} onChange={setK} />
            <Slider label={words("Timestep")} value={t} max={steps - 1} text={`${t} / ${steps - 1}`} onChange={setT} />
            {data.layer.units > 1 && <Slider label={words("Unit")} value={unit} max={data.layer.units - 1} text={`${unit} / ${data.layer.units - 1}`} onChange={setUnit} />}
            <button type="button" className="button play" aria-label={playing ? words("Pause") : words("Play")} onClick={play}>
              <Icon name={playing ? "pause" : "play"} size={13} />{playing ? words("Pause") : words("Play")}
            </button>
            <span className="seg" role="group" aria-label={words("Direction")}>
              <button type="button" aria-pressed={!back} onClick={() => setBack(false)}>{words("Forward")}</button>
              <button type="button" aria-pressed={back} disabled={info.losses.length === 0} onClick={() => { setBack(true); if (!uses) follow(); }}>{words("Backward")}</button>
            </span>
            {info.samples > 1 && <Sample sample={info.sample} samples={info.samples} choose={(n) => void send({ type: "rnn_ask", layer: info.layer, sample: n, t })} />}
            <span className="end"><Save data={data} uses={uses} seen={seen} t={t} k={k} from={from.current} unit={unit} root={root} tell={setNotice} /><LanguageChoice /></span>
          </header>
          {notice && <Message notice={notice} close={() => setNotice(null)} />}
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
      ) : notice ? <Message notice={notice} /> : <p className="waiting" role="status">{words("Waiting for the kernel’s numbers …")}</p>}
      <Slow busy={kernel.busy} />
    </div>
  );
}

function said(data: Data, t: number, k: number, unit: number): string {
  const [state] = data.states;
  const values = stateAt(data, state, t);
  const at = unit / data.info.units_step;
  const value = values && Number.isInteger(at) && at < values.length ? num(values[at]) : "…";
  return words("Timestep {t} of {node}, {k} copies: unit {unit} of {state} is {value}", { t, node: data.layer.node, k, unit, state: state.name, value });
}
