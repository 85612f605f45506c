import * as React from "react";
import type { LSTMData } from "../protocol.gen";
import { Slider } from "../shared/controls";
import { Icon } from "../shared/icons";
import { Live, inFile } from "../shared/live";
import { csvWay, type Draw, Save, useSaved } from "../shared/save";
import { Follows, Frame, isOurs, Message, PlayButton, Sample, usePlay, useSynced, useView } from "../shared/view";
import type { Model } from "../shared/wire";
import { LanguageChoice, t as words, tn } from "../shared/words";
import { ClampCard, type ClampRequest } from "./cards";
import { type LayerData, layerOf, momentOf } from "./data";
import { Diagram } from "./diagram";
import { Equations } from "./equations";
import { Ledger } from "./ledger";
import { draw, tableOf } from "./save";
import { LightContext, STEPS, useLightState } from "./lit";
import { Maps } from "./maps";
import { type Alike, type Curves, type Layers, type More, Norm, Saturation, type Shares, SideBySide, Similar } from "./more";

const FRAME = 220; // ms a step while playing: slow enough to read the numbers' direction

export function App({ model }: { model: Model }) {
  const [data, setData] = React.useState<LayerData | null>(null);
  const [plain, setPlain] = React.useState<LayerData | null>(null);
  const [shares, setShares] = React.useState<Shares | null>(null);
  const [curves, setCurves] = React.useState<Curves | null>(null);
  const [alike, setAlike] = React.useState<Alike | null>(null);
  const [side, setSide] = React.useState<Layers | null>(null);
  const [step, setStep] = React.useState<string | null>(null);
  const layers = data?.info.layers ?? [];
  const steps = data?.allSteps ?? 1;
  const units = data?.allUnits ?? 1;
  const [t, setT] = useSynced(model, "t", steps - 1);
  const [unit, setUnit] = useSynced(model, "unit", units - 1);
  const light = useLightState(data?.info.kind ?? "lstm", step);
  const view = useView(model, (message, buffers) => {
    switch (message.type) {
      case "lstm": {
        const layer = layerOf(message, buffers);
        // other numbers than those that were asked about: a clamp, another run
        setData((old) => {
          if (old && (old.info.layer !== layer.info.layer || old.info.sample !== layer.info.sample || !samePage(old, layer))) return layer;
          setCurves(null);
          setShares(null);
          setSide(null);
          return layer;
        });
        view.tell(null);
        // as trained: what a clamped readout is compared with
        if (!message.clamped_layers.length) setPlain(layer);
        break;
      }
      case "lstm_saturation":
        setShares({ info: message, buffers });
        break;
      case "lstm_gradient":
        setCurves({ info: message, own: buffers[0], plain: buffers[1] });
        break;
      case "lstm_moments":
        setAlike({ info: message, strips: buffers });
        break;
      case "lstm_layers":
        setSide({ info: message, maps: buffers });
        break;
      default:
        break;
    }
  });
  const { kernel, root, width, theme, place } = view;

  // what is pointed at is lit in the lab too; nobody waits for an answer
  const { letter } = light;
  const told = React.useRef("");
  React.useEffect(() => {
    const timer = window.setTimeout(() => {
      if (letter === told.current) return;
      told.current = letter;
      try { model.send({ type: "lstm_point", letter }); } catch { /* the kernel is gone: nothing is lit there */ }
    }, 60);
    return () => window.clearTimeout(timer);
  }, [model, letter]);

  const ask = React.useCallback((layer: number, sample: number) => void kernel.send({ type: "lstm_ask", layer, sample }), [kernel.send]);
  const clamp = React.useCallback(
    (request: ClampRequest) => data ? kernel.send({ type: "clamp", layer: data.info.layer, ...request }) : Promise.resolve(false),
    [kernel.send, data?.info.layer],
  );

  const more = React.useCallback((what: More) => void kernel.send({ type: "lstm_more", what }), [kernel.send]);

  // the debugger is taken to the step on screen, also if the slider has only just moved there
  const go = async () => {
    if (model.get("t") !== t) {
      model.set("t", t);
      model.save_changes();
    }
    await kernel.send({ type: "lstm_more", what: "go" });
  };

  // ------------------------------------------------------------ moving
  const [playing, play] = usePlay(FRAME, t >= steps - 1, () => setT(t + 1), () => setT(0));
  const [from, unitFrom] = [data?.from ?? 0, data?.unitFrom ?? 0];
  const move = React.useCallback((nextT: number, nextUnit: number) => {
    setT(nextT + from);
    setUnit(nextUnit + unitFrom);
  }, [setT, setUnit, from, unitFrom]);
  const goTo = React.useCallback(async (layer: number, sample: number, nextT: number, nextUnit: number | null) => {
    if (!data) return;
    if (layer !== data.info.layer || sample !== data.info.sample) await kernel.send({ type: "lstm_ask", layer, sample });
    setT(nextT);
    if (nextUnit !== null) setUnit(nextUnit);
  }, [kernel.send, data, setT, setUnit]);

  const onKeyDown = (e: React.KeyboardEvent) => {
    if (!isOurs(e)) return;
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

  // the page that was sent last is shown until the kernel has sent the one with the cursor
  const at = data ? Math.max(0, Math.min(data.steps - 1, t - data.from)) : 0;
  const row = data ? Math.max(0, Math.min(data.units - 1, unit - data.unitFrom)) : 0;
  const moment = data ? momentOf(data, at, row) : null;
  const picture: Draw | null = data && !place?.asked ? (pen) => draw(pen, data, at, row) : null;
  useSaved(model, root, picture, [data, at, row]);
  const columns = width >= 1000 ? 2 : 1;
  const plotSpace = (columns === 2 ? Math.min(width * 0.486, width - 580) : width) - 134;

  return (
    <Frame
      view={view} name="fl-lstm" onKeyDown={onKeyDown}
      hooks={{ "data-testid": "lstm-view", "data-columns": columns, "data-t": t, "data-unit": unit, "data-layer": data ? data.info.layer + 1 : undefined, "data-kind": data?.info.kind }}
      label={data ? words("{kind} view of {node}. Arrow keys move step and unit.", { kind: data.kind.name, node: layers[data.info.layer].node }) : words("LSTM view. Arrow keys move step and unit.")}
    >
      {data && moment && picture && (
        <LightContext.Provider value={light}>
          <header className="bar" role="presentation">
            <div className="name"><Icon name="recurrent" size={15} /><b>{layers[data.info.layer].node}</b>{data.info.title && <span>{data.info.title}</span>}</div>
            {layers.length > 1 && (
              <div className="seg" role="group" aria-label={words("Layer")}>
                {layers.map((l, k) => (
                  <button key={l.node} type="button" title={l.node} aria-pressed={k === data.info.layer} onClick={() => ask(k, data.info.sample)}>
                    {words("Layer {n}", { n: k + 1 })}{l.from_the_end && <span title={words("from the end")}> ←</span>}{data.info.clamped_layers.includes(k) && <i title={words("a gate of this layer is clamped")}> ●</i>}
                  </button>
                ))}
              </div>
            )}
            <Slider label={words("Timestep")} value={t} max={steps - 1} text={`${t} / ${steps - 1}`} onChange={setT} />
            <Slider label={words("Unit")} value={unit} max={units - 1} text={`${unit} / ${units - 1}`} onChange={setUnit} />
            <PlayButton playing={playing} play={play} />
            {data.info.samples > 1 && <Sample sample={data.info.sample} samples={data.info.samples} choose={(n) => ask(data.info.layer, n)} />}
            {width >= 1300 && <span className="facts">{facts(data.info)}</span>}
            <Save of={layers[data.info.layer].node} ways={[csvWay(() => tableOf(data))]} draw={picture} root={root} tell={view.tell} />
            <LanguageChoice />
          </header>
          {view.notice && <Message notice={view.notice} close={() => view.tell(null)} />}
          <Follows place={place} go={() => void go()} way={place?.loop ? words("Take the debugger to t = {t}", { t }) : words("Go to this layer’s firing")} />
          <Maps data={data} moment={moment} plain={sameMoment(plain, data) ? plain : null} t={at} unit={row} space={plotSpace} move={move} theme={theme} root={root} />
          <div className="right">
            <div className="steps" role="group" aria-label={words("The four steps")}>
              {STEPS[data.info.kind].map((s, k) => (
                <button key={s.key} type="button" aria-pressed={step === s.key} onClick={() => setStep(step === s.key ? null : s.key)}>
                  <b>{k + 1}</b>{words(s.word)}<span>{s.formula}</span>
                </button>
              ))}
            </div>
            <Diagram data={data} moment={moment} t={at} unit={row} />
            <Equations data={data} moment={moment} unit={row} />
            <Ledger data={data} t={at} unit={row} setT={(n) => setT(n + data.from)} />
            <div className="cards">
              <Saturation data={data} t={at} unit={row} shares={shares} ask={() => more("saturation")} choose={setUnit} />
              <Norm data={data} t={at} curves={curves} ask={() => more("gradient")} />
              <Live off={inFile(model)}><ClampCard data={data} unit={unit} clamp={clamp} tell={view.tell} /></Live>
            </div>
            <Live off={inFile(model)}><Similar data={data} t={at} unit={row} alike={alike} theme={theme} root={root} find={(request) => void kernel.send({ type: "lstm_similar", ...request })} go={(sample, next) => void goTo(data.info.layer, sample, next, null)} /></Live>
            {layers.length > 1 && <SideBySide data={data} layers={side} t={at} unit={row} theme={theme} root={root} ask={() => more("layers")} go={(layer, next, u) => void goTo(layer, data.info.sample, next, u)} />}
          </div>
        </LightContext.Provider>
      )}
    </Frame>
  );
}

function facts(info: LSTMData): string {
  const { units, timesteps } = info.layers[info.layer];
  const same = info.layers.every((l) => l.units === units);
  const stack = info.layers.length > 1 && same ? words("{layers} layers × {units}", { layers: info.layers.length, units: tn(units, "{n} unit", "{n} units") }) : tn(units, "{n} unit", "{n} units");
  return words("{stack}, {steps}", { stack, steps: tn(timesteps, "{n} step", "{n} steps") });
}

function samePage(a: LayerData, b: LayerData): boolean {
  return a.from === b.from && a.unitFrom === b.unitFrom;
}

function sameMoment(a: LayerData | null, b: LayerData): boolean {
  return a !== null && a.info.layer === b.info.layer && a.info.sample === b.info.sample && b.info.clamped_layers.length > 0;
}
