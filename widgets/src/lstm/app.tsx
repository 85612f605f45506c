import * as React from "react";
import { VERSION, type LSTMData, type Notice } from "../protocol.gen";
import { Slider, useWidth } from "../shared/controls";
import { followTheme } from "../shared/color";
import { isTextField } from "../shared/guard";
import { Icon } from "../shared/icons";
import { Message, Sample, Slow, useSynced, useTheme } from "../shared/view";
import { type Model, useKernel } from "../shared/wire";
import { LanguageChoice, t as words, tn, useLanguage } from "../shared/words";
import { Saturation, Norm, ClampCard, type ClampRequest } from "./cards";
import { type LayerData, layerOf, momentOf } from "./data";
import { Diagram } from "./diagram";
import { Equations } from "./equations";
import { Ledger } from "./ledger";
import { LightContext, STEPS, type StepKey, useLightState } from "./lit";
import { Maps } from "./maps";

const FRAME = 220; // ms a step while playing: slow enough to read the numbers' direction

export function App({ model }: { model: Model }) {
  const kernel = useKernel(model);
  const [data, setData] = React.useState<LayerData | null>(null);
  const [plain, setPlain] = React.useState<LayerData | null>(null);
  const [notice, setNotice] = React.useState<Notice | null>(null);
  const layers = data?.info.layers ?? [];
  const steps = data?.steps ?? 1;
  const units = data?.units ?? 1;
  const [t, setT] = useSynced(model, "t", steps - 1);
  const [unit, setUnit] = useSynced(model, "unit", units - 1);
  const [step, setStep] = React.useState<StepKey | null>(null);
  const [playing, setPlaying] = React.useState(false);
  const light = useLightState(step);
  const [root, width] = useWidth<HTMLDivElement>();
  React.useLayoutEffect(() => (root.current ? followTheme(root.current) : undefined), [root]);
  const theme = useTheme();
  const lang = useLanguage();

  React.useEffect(() => kernel.subscribe((message, buffers) => {
    switch (message.type) {
      case "lstm": {
        const layer = layerOf(message, buffers);
        setData(layer);
        setNotice(null);
        // as trained: what a clamped readout is compared with
        if (!message.clamped_layers.length) setPlain(layer);
        break;
      }
      case "notice":
        setNotice(message);
        break;
      default:
        break;
    }
  }), [kernel.subscribe]);

  React.useEffect(() => void kernel.send({ type: "hello", version: VERSION }), [kernel.send]);

  const ask = React.useCallback((layer: number, sample: number) => void kernel.send({ type: "lstm_ask", layer, sample }), [kernel.send]);
  const clamp = React.useCallback(
    (request: ClampRequest) => data ? kernel.send({ type: "clamp", layer: data.info.layer, ...request }) : Promise.resolve(false),
    [kernel.send, data?.info.layer],
  );

  // ------------------------------------------------------------ moving
  const last = React.useRef({ t, steps });
  last.current = { t, steps };
  React.useEffect(() => {
    if (!playing) return;
    const timer = window.setInterval(() => {
      const { t, steps } = last.current;
      if (t + 1 < steps) setT(t + 1);
      if (t + 2 >= steps) setPlaying(false);
    }, FRAME);
    return () => window.clearInterval(timer);
  }, [playing, setT]);

  const play = () => {
    if (!playing && t >= steps - 1) setT(0);
    setPlaying(!playing);
  };
  const move = React.useCallback((nextT: number, nextUnit: number) => {
    setT(nextT);
    setUnit(nextUnit);
  }, [setT, setUnit]);

  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey || isTextField(e.target)) return;
    const native = e.target instanceof HTMLInputElement || (e.target instanceof HTMLButtonElement && (e.key === " " || e.key === "Enter"));
    if (native) return;
    const far = e.shiftKey ? 10 : 1;
    switch (e.key) {
      case "ArrowLeft": setT(t - far); break;
      case "ArrowRight": setT(t + far); break;
      case "ArrowUp": setUnit(unit - far); break;
      case "ArrowDown": setUnit(unit + far); break;
      case "PageUp": setUnit(unit - 10); break;
      case "PageDown": setUnit(unit + 10); break;
      case "Home": setT(0); break;
      case "End": setT(steps - 1); break;
      case " ": play(); break;
      default: return;
    }
    e.preventDefault();
  };

  const moment = data ? momentOf(data, t, unit) : null;
  const columns = width >= 1000 ? 2 : 1;
  const plotSpace = (columns === 2 ? Math.min(width * 0.486, width - 580) : width) - 134;

  return (
    <div
      ref={root} className="fl-lstm" data-testid="lstm-view" lang={lang} data-columns={columns} data-t={t} data-unit={unit}
      data-layer={data ? data.info.layer + 1 : undefined} data-busy={kernel.busy || undefined}
      tabIndex={0} role="group" aria-label={data ? words("LSTM view of {node}. Arrow keys move step and unit.", { node: layers[data.info.layer].node }) : words("LSTM view. Arrow keys move step and unit.")} onKeyDown={onKeyDown}
    >
      {data && moment ? (
        <LightContext.Provider value={light}>
          <header className="bar" role="presentation">
            <div className="name"><Icon name="recurrent" size={15} /><b>{layers[data.info.layer].node}</b>{data.info.title && <span>{data.info.title}</span>}</div>
            {layers.length > 1 && (
              <div className="seg" role="group" aria-label={words("Layer")}>
                {layers.map((l, k) => (
                  <button key={l.node} type="button" title={l.node} aria-pressed={k === data.info.layer} onClick={() => ask(k, data.info.sample)}>
                    {words("Layer {n}", { n: k + 1 })}{data.info.clamped_layers.includes(k) && <i title={words("a gate of this layer is clamped")}> ●</i>}
                  </button>
                ))}
              </div>
            )}
            <Slider label={words("Timestep")} value={t} max={steps - 1} text={`${t} / ${steps - 1}`} onChange={setT} />
            <Slider label={words("Unit")} value={unit} max={units - 1} text={`${unit} / ${units - 1}`} onChange={setUnit} />
            <button type="button" className="play" aria-label={playing ? words("Pause") : words("Play")} onClick={play}>
              <Icon name={playing ? "pause" : "play"} size={13} />{playing ? words("Pause") : words("Play")}
            </button>
            {data.info.samples > 1 && <Sample sample={data.info.sample} samples={data.info.samples} choose={(n) => ask(data.info.layer, n)} />}
            {width >= 1300 && <span className="facts">{facts(data.info)}</span>}
            <LanguageChoice />
          </header>
          {notice && <Message notice={notice} close={() => setNotice(null)} />}
          <Maps data={data} moment={moment} plain={sameMoment(plain, data) ? plain : null} t={t} unit={unit} space={plotSpace} move={move} theme={theme} root={root} />
          <div className="right">
            <div className="steps" role="group" aria-label={words("The four steps")}>
              {STEPS.map((s, k) => (
                <button key={s.key} type="button" aria-pressed={step === s.key} onClick={() => setStep(step === s.key ? null : s.key)}>
                  <b>{k + 1}</b>{words(s.word)}<span>{s.formula}</span>
                </button>
              ))}
            </div>
            <Diagram data={data} moment={moment} t={t} unit={unit} />
            <Equations data={data} moment={moment} unit={unit} />
            <Ledger data={data} t={t} unit={unit} setT={setT} />
            <div className="cards">
              <Saturation data={data} t={t} />
              {data.norm && <Norm norm={data.norm} t={t} />}
              <ClampCard data={data} unit={unit} clamp={clamp} tell={setNotice} />
            </div>
          </div>
        </LightContext.Provider>
      ) : notice ? <Message notice={notice} /> : <p className="waiting" role="status">{words("Waiting for the kernel’s numbers …")}</p>}
      <Slow busy={kernel.busy} />
    </div>
  );
}

function facts(info: LSTMData): string {
  const { units, timesteps } = info.layers[info.layer];
  const same = info.layers.every((l) => l.units === units);
  const stack = info.layers.length > 1 && same ? words("{layers} layers × {units}", { layers: info.layers.length, units: tn(units, "{n} unit", "{n} units") }) : tn(units, "{n} unit", "{n} units");
  return words("{stack}, {steps}", { stack, steps: tn(timesteps, "{n} step", "{n} steps") });
}

function sameMoment(a: LayerData | null, b: LayerData): boolean {
  return a !== null && a.info.layer === b.info.layer && a.info.sample === b.info.sample && b.info.clamped_layers.length > 0;
}
