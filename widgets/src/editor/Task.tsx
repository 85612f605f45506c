// The exercise above the canvas: the task, the hints taken so far, and what the last check has found.
import * as React from "react";
import { Icon } from "../shared/icons";
import { t, tn, told } from "../shared/words";
import { visible } from "./geometry";
import { Line, Markdown } from "./markdown";
import { useLab, useLabState } from "./store";

export function TaskPanel() {
  const lab = useLab();
  const task = useLabState((s) => s.task);
  const revision = useLabState((s) => s.scene?.revision);
  const [open, setOpen] = React.useState(true);
  if (!task) return null;
  const stale = task.lines.length > 0 && revision !== task.revision;
  return (
    <section className={`task${task.solved && !stale ? " done" : ""}`} aria-label={t("Exercise")} data-testid="task" data-solved={task.lines.length ? String(task.solved) : undefined} data-checks={task.checks}>
      <div>
        <h2><Icon name={task.solved && !stale ? "done" : "question"} size={13} />{visible(task.title)}</h2>
        {open && <Markdown text={task.text} />}
      </div>
      {open && <div className="found" role="log" aria-label={t("What the last check has found")}>
        {task.hints.map((h, i) => <p key={i} className="hint"><b>{t("Hint {n}", { n: i + 1 })}</b> <Line text={h} /></p>)}
        {task.lines.length > 0 && <ul className={`plain${stale ? " stale" : ""}`}>{task.lines.map((l, i) => <li key={i} className={l.ok ? "ok" : "no"}><Icon name={l.ok ? "done" : "error"} size={12} /><span>{told(l.text) === l.text ? <Line text={l.text} /> : visible(told(l.text))}</span></li>)}</ul>}
        {stale && <p className="muted">{t("The graph has changed since then.")}</p>}
      </div>}
      <div className="tdo">
        <button type="button" className="bt pri" data-filled onClick={() => void lab.task("check")}><Icon name="done" size={12} />{t("Check")}</button>
        {task.more > 0 && <button type="button" className="bt" onClick={() => void lab.task("hint")}>{tn(task.more, "Hint ({n} left)", "Hint ({n} left)")}</button>}
        <button type="button" className="bt" aria-expanded={open} onClick={() => setOpen(!open)}><Icon name={open ? "chevronDown" : "chevronRight"} size={11} />{open ? t("Fold") : t("Unfold")}</button>
      </div>
    </section>
  );
}
