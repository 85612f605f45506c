// The bar of a training that the lab follows: how far it has come, pause and stop, the next step caught before it runs, any kept step opened.
import * as React from "react";
import { Slider, Slots } from "../shared/controls";
import { duration } from "../shared/format";
import { Icon } from "../shared/icons";
import { STATES, STOPPED, useTyped } from "../shared/training";
import { t, told } from "../shared/words";
import { visible } from "./geometry";
import { useLab, useLabState } from "./store";

const AFTER_DRAG = 160;     // ms: a step is opened once the slider rests

export function TrainingBar() {
  const lab = useLab();
  const training = useLabState((s) => s.training);
  const linked = useLabState((s) => s.link === "up");
  const caught = training?.caught ?? null;
  // the kernel has the step that was asked for: it opens where everything opens, on the way of messages
  React.useEffect(() => { if (caught !== null) void lab.train("open", { step: caught }); }, [lab, caught]);
  const [picked, setPicked] = React.useState<number | null>(null);
  const [waits, setWaits] = React.useState(true);
  const timer = React.useRef(0);
  React.useEffect(() => () => window.clearTimeout(timer.current), []);
  if (!training || !training.title) return null;
  const { state, step, total, kept, opened, values, left, waiting, error } = training;
  const alive = state === "running" || state === "paused" || state === "ready";
  const at = picked ?? (opened !== null && kept.includes(opened) ? kept.indexOf(opened) : kept.length - 1);
  const pick = (place: number) => {
    setPicked(place);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => { void lab.train("open", { step: kept[place] }).then(() => setPicked(null)); }, AFTER_DRAG);
  };
  const numbers = Object.entries(values).map(([k, v]) => `${visible(k)} ${v}`).join(" · ");
  const why = error ? told(error) : STOPPED[training.stopped] ? t(STOPPED[training.stopped]) : t(STATES[state] ?? "");
  const offered = linked && alive;
  return (
    <div className="training" role="region" aria-label={t("Training")} data-testid="training-bar" data-state={state} data-step={step}>
      <Icon name="loss" size={13} />
      <span className="tnow">
        <b>{visible(training.title)}</b> {total ? t("step {step} of {total}", { step: step.toLocaleString("en-US"), total: total.toLocaleString("en-US") }) : t("step {step}", { step: step.toLocaleString("en-US") })}
        {numbers && ` · ${numbers}`} · <i>{waiting ? t("waits for the next step") : why}</i>{opened !== null && ` · ${t("open here: step {step}", { step: opened.toLocaleString("en-US") })}`}{left !== null && state === "running" && ` · ${t("{time} left", { time: duration(left) })}`}
      </span>
      {training.queue.length === 2 && <span className="tq" data-testid="queue" data-ready={training.queue[0]} data-size={training.queue[1]} title={t("Batches prepared ahead")}><Slots ready={training.queue[0]} size={training.queue[1]} label={t("{ready} of {size} ready", { ready: training.queue[0], size: training.queue[1] })} />{training.queue[0]} / {training.queue[1]}</span>}
      <span className="tdo">
        {alive && (state === "paused"
          ? <button type="button" className="bt" disabled={!offered} onClick={() => void lab.train("go_on")}><Icon name="resume" size={12} />{t("Go on training")}</button>
          : <button type="button" className="bt" disabled={!offered} onClick={() => void lab.train("pause")}><Icon name="pause" size={12} />{t("Pause training")}</button>)}
        {alive && <button type="button" className="bt" disabled={!offered} onClick={() => void lab.train("stop")}><Icon name="stop" size={12} />{t("Stop training")}</button>}
        {alive && <button type="button" className="bt pri" data-filled disabled={!offered || waiting} title={waits ? t("The next step opens here at its start, with its batch; training waits there for Go on") : t("The next step opens here at its start, with its batch; training goes on meanwhile")} onClick={() => void lab.train("debug_next", { wait: waits })}><Icon name="step" size={12} />{t("Debug the next step")}</button>}
        {alive && <label className="ck"><input type="checkbox" checked={waits} onChange={(e) => setWaits(e.currentTarget.checked)} />{t("and wait there")}</label>}
        {alive && <StopWhen now={training.stop_when} set={(text) => lab.train("stop_when", { text })} />}
        {kept.length > 0 && <Slider label={t("Step of the training")} visibleLabel={false} value={Math.max(0, at)} max={kept.length - 1} text={t("Step {step}", { step: kept[Math.max(0, at)] })} onChange={pick} />}
        {kept.length > 0 && <button type="button" className="bt" disabled={!linked} onClick={() => void lab.train("open", { step: kept[Math.max(0, at)] })}>{t("Open step {step}", { step: kept[Math.max(0, at)] })}</button>}
        <button type="button" className="bt x" aria-label={t("Follow this training no more")} title={t("Follow this training no more")} onClick={() => void lab.train("detach")}><Icon name="close" size={11} /></button>
      </span>
    </div>
  );
}

/** The condition to stop at: Enter sets it, empty takes it away. */
function StopWhen({ now, set }: { now: string; set(text: string): Promise<boolean> }) {
  const [text, type, submit] = useTyped(now, set);
  return (
    <form className="sw" onSubmit={submit}>
      <label>{t("Stop when")} <input type="text" className="tf" spellCheck={false} autoComplete="off" placeholder="nan or inf" size={10} value={text} onChange={(e) => type(e.currentTarget.value)} title={t("A condition such as nan or inf, or mean > 10; empty for none.")} /></label>
      {text !== now && <button type="submit" className="bt">{t("Set")}</button>}
    </form>
  );
}
