import * as React from "react";
import type { Histograms, TrainingState } from "../protocol.gen";
import { Slider } from "../shared/controls";
import { duration } from "../shared/format";
import { Icon } from "../shared/icons";
import { STATES, STOPPED, useTyped } from "../shared/training";
import { download } from "../shared/download";
import { Save, type Way } from "../shared/save";
import { Message, Slow, useView } from "../shared/view";
import type { Model } from "../shared/wire";
import { LanguageChoice, t, told } from "../shared/words";
import { Charts } from "./curves";
import { type CurveData, type InsideData, type PlaneData, curvesOf, insideOf, nearest, planeOf } from "./data";
import { Inside, Plane, Queue } from "./inside";
import { draw } from "./save";

const NONE: readonly number[] = [];

export function App({ model }: { model: Model }) {
  const [state, setState] = React.useState<TrainingState | null>(null);
  const [curves, setCurves] = React.useState<CurveData | null>(null);
  const [inside, setInside] = React.useState<InsideData | null>(null);
  const [plane, setPlane] = React.useState<PlaneData | null>(null);
  const [group, setGroup] = React.useState<Histograms["kind"]>("weights");
  const [log, setLog] = React.useState(false);
  const [cursor, setCursor] = React.useState<number | null>(null);
  const view = useView(model, (message, buffers) => {
    switch (message.type) {
      case "training": setState(message); break;
      case "curves": setCurves(curvesOf(message, buffers)); break;
      case "histograms": setInside(insideOf(message, buffers)); break;
      case "boundary": setPlane(planeOf(message, buffers)); break;
      case "history_file":
        download(new Blob([Uint8Array.from(atob(message.base64), (c) => c.charCodeAt(0))]), message.name);
        view.tell({ type: "notice", level: "status", text: `The browser was given ${message.name} to save.`, hint: `If nothing was saved: this page may not save files; ${message.way} writes it in Python.`, node: null, edge: null, why: false });
        break;
      default: break;
    }
  });
  const { kernel, root, width, theme, lang } = view;
  const train = React.useCallback((name: "pause" | "go_on" | "stop" | "debug_next" | "open" | "stop_when", more: { step?: number; text?: string } = {}) => {
    view.tell(null);
    return kernel.send({ type: "train", name, ...more });
  }, [kernel.send, view.tell]);
  const ways: Way[] = ([["step", t("CSV, a row a step")], ["epoch", t("CSV, a row an epoch")], ["tensorboard", "TensorBoard"]] as const)
    .map(([kind, name]) => ({ kind, name, save: () => { view.tell(null); void kernel.send({ type: "ask_history", kind }); } }));
  const caught = state?.caught ?? null;
  // the step that was asked for is about to run: it opens below
  React.useEffect(() => { if (caught !== null) void train("open", { step: caught }); }, [caught, train]);
  const choose = (next: Histograms["kind"]) => { setGroup(next); void kernel.send({ type: "ask_histograms", kind: next }); };

  const alive = state !== null && (state.state === "running" || state.state === "paused" || state.state === "ready");
  const kept = state?.kept ?? NONE;
  const steps = curves?.info.steps ?? 0;
  const wide = width >= 860;
  const step = cursor === null ? null : Math.min(cursor, Math.max(0, steps - 1));
  const replayed = nearest(kept as number[], step ?? steps - 1);
  const side = plane !== null || (state?.queue.length ?? 0) > 0 || alive;
  const main = Math.max(260, width - 28 - (wide && side ? 296 : 0));
  return (
    <div
      ref={root} className="flowlab fl-view fl-train" data-testid="training-view" lang={lang} data-state={state?.state || undefined} data-step={state?.step} data-opened={state?.opened ?? undefined} data-busy={kernel.busy || undefined}
      data-columns={wide ? 2 : 1} role="group" aria-label={t("Training view")}
    >
      <header className="bar" role="presentation">
        <div className="name"><Icon name="loss" size={15} /><b>{state?.title || t("Training")}</b>{state?.state && <span className={`is ${state.state}`}>{stateWord(state)}</span>}</div>
        {state?.title ? <Progress state={state} /> : null}
        <div className="do">
          {alive && (state.state === "paused"
            ? <button type="button" className="bt pri" onClick={() => void train("go_on")}><Icon name="resume" size={12} />{t("Go on")}</button>
            : <button type="button" className="bt" onClick={() => void train("pause")}><Icon name="pause" size={12} />{t("Pause")}</button>)}
          {alive && <button type="button" className="bt" onClick={() => void train("stop")}><Icon name="stop" size={12} />{t("Stop")}</button>}
          {alive && <button type="button" className="bt" disabled={state.waiting} title={t("The next step opens below at its start, with its batch; training waits there for Go on")} onClick={() => void train("debug_next")}><Icon name="step" size={12} />{t("Debug the next step")}</button>}
        </div>
        {curves && curves.lines.length > 0 && steps > 0 && <Save of={state?.title || "training"} ways={ways} draw={(pen) => draw(pen, curves, state?.title ?? "", log)} root={root} tell={view.tell} />}
        <LanguageChoice />
      </header>
      {view.notice && <Message notice={view.notice} close={() => view.tell(null)} />}
      <Slow busy={kernel.busy} after={4000} hint="This kernel answers nothing while a cell runs: interrupt the cell, or train with background=True." />
      {!state?.title ? <p className="waiting" role="status">{t("No training yet: fl.fit(..., view=view) shows one here.")}</p> : <>
        <section className="panel curves" aria-label={t("Curves")}>
          {curves && curves.lines.length > 0 && steps > 0 ? <>
            <Charts data={curves} width={main} step={step} kept={kept} opened={state.opened} log={log} onStep={setCursor} onReplay={() => { if (replayed !== null) void train("open", { step: replayed }); }} />
            <div className="under">
              <Slider label={t("Step number")} value={step ?? steps - 1} max={steps - 1} text={(step ?? steps - 1).toLocaleString("en-US")} onChange={setCursor} />
              {replayed !== null && <button type="button" className="bt pri" data-filled onClick={() => void train("open", { step: replayed })}>{t("Replay step {step} in the debugger", { step: replayed.toLocaleString("en-US") })}</button>}
              <label className="check"><input type="checkbox" checked={log} onChange={(e) => setLog(e.currentTarget.checked)} />{t("Logarithmic")}</label>
              {kept.length > 0 && <span className="muted kept"><i />{t("{n} steps are kept", { n: kept.length })}</span>}
            </div>
          </> : <p className="muted">{state.step > 0 ? t("Nothing is recorded: fl.fit(..., fetches=loss) records the loss.") : t("The first step is under way.")}</p>}
        </section>
        {side && <div className="side">
          {plane && <Plane data={plane} theme={theme} root={root} />}
          {state.queue.length === 2 && <Queue ready={state.queue[0]} size={state.queue[1]} />}
          {alive && <StopWhen now={state.stop_when} set={(text) => train("stop_when", { text })} />}
        </div>}
        {inside && <Inside data={inside} group={group} choose={choose} width={width - 28} theme={theme} root={root} />}
      </>}
    </div>
  );
}

const stateWord = (s: TrainingState): string => (s.waiting ? t("waits for the next step") : s.error ? told(s.error) : STOPPED[s.stopped] ? t(STOPPED[s.stopped]) : t(STATES[s.state] ?? ""));

function Progress({ state }: { state: TrainingState }) {
  const { step, total, epoch, epochs, left, seconds, best } = state;
  const share = total ? step / total : 0;
  const said = total ? t("step {step} of {total}", { step: step.toLocaleString("en-US"), total: total.toLocaleString("en-US") }) : t("step {step}", { step: step.toLocaleString("en-US") });
  return (
    <div className="prog">
      {total ? <div className="meter" role="progressbar" aria-label={t("Progress")} aria-valuemin={0} aria-valuemax={total} aria-valuenow={step} aria-valuetext={said}><u style={{ width: `${share * 100}%` }} /></div> : null}
      <span>{said}{epochs ? ` · ${t("epoch {epoch} of {epochs}", { epoch: epoch.toLocaleString("en-US"), epochs: epochs.toLocaleString("en-US") })}` : ""} · {duration(seconds)}{left !== null ? ` · ${t("{time} left", { time: duration(left) })}` : ""}{best !== null ? ` · ${t("best epoch {epoch}", { epoch: best })}` : ""}</span>
    </div>
  );
}

function StopWhen({ now, set }: { now: string; set(text: string): Promise<boolean> }) {
  const [text, type, submit] = useTyped(now, set);
  return (
    <form className="panel stopwhen" onSubmit={submit}>
      <label><h2>{t("Stop when")}</h2><input type="text" spellCheck={false} autoComplete="off" placeholder="nan or inf" value={text} onChange={(e) => type(e.currentTarget.value)} /></label>
      <button type="submit" className="bt" disabled={text === now}>{t("Set")}</button>
      <p className="muted">{now ? t("Stops after the step at which a recorded number is {condition}.", { condition: now }) : t("A condition such as nan or inf, or mean > 10; empty for none.")}</p>
    </form>
  );
}
