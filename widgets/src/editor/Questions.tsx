// Predict, then reveal: a question before a step, the card that puts it, and the card that holds the answer beside the truth.
import * as React from "react";
import type { AnswerSpec, QuestionSpec, Revealed } from "../protocol.gen";
import { download } from "../shared/download";
import { Icon } from "../shared/icons";
import { activeIn } from "../shared/tree";
import { language, t, tn } from "../shared/words";
import { GLYPH, WORD, keyOfQuestion, nodeOf, questionText, shortOf } from "./asked";
import { visible } from "./geometry";
import { type Lab, useLab, useLabState } from "./store";

type Kind = "shape" | "value" | "sign" | "gradient sign";

/** The card that is up: the field of its question, else its button. */
export function focusQuestion(lab: Lab): boolean {
  const el = lab.root?.querySelector<HTMLElement>('[data-testid="question"] :is(input, textarea, .sg button), [data-testid="revealed"] button.pri');
  el?.focus({ preventScroll: true });
  return Boolean(el);
}

export function ask(lab: Lab): void {
  if (focusQuestion(lab)) return;
  if (lab.shown() === null) return lab.say("Select a node or an edge first, then Q.");
  lab.set({ form: "ask" });
}

// ---------------------------------------------------------------- in the inspector

/** What to ask before the step that gives this tensor; of a source, which no step gives, only its gradient can be asked about. */
export function AskForm({ tensor, source }: { tensor: string; source: boolean }) {
  const lab = useLab();
  const [kind, setKind] = React.useState<Kind>(source ? "gradient sign" : "shape");
  const [at, setAt] = React.useState("");
  const [text, setText] = React.useState("");
  const [bad, setBad] = React.useState(false);
  const first = React.useRef<HTMLSelectElement>(null);
  const id = React.useId();
  React.useEffect(() => first.current?.focus(), []);
  const leave = () => { lab.set({ form: null }); lab.root?.focus({ preventScroll: true }); };
  const put = async (e: React.FormEvent) => {
    e.preventDefault();
    const numbers = kind === "shape" || !at.trim() ? null : at.replace(/[[\]()，]/g, (c) => (c === "，" ? "," : "")).split(",").map((s) => Number(s.trim() || "x"));
    if (numbers?.some((n) => !Number.isInteger(n))) {
      setBad(true);
      return lab.alert("That is no element.", "Type a whole number for each axis, such as 0, 1.");
    }
    const ok = await lab.debug("ask", { target: tensor, kind, at: numbers, text: text.trim() });
    setBad(!ok);
    if (ok) leave();
  };
  return (
    <form className="dform" aria-label={t("Ask before this step")} onSubmit={(e) => void put(e)} onKeyDown={(e) => { if (e.key === "Escape") { e.stopPropagation(); leave(); } }}>
      <p className="muted f1">{t("A run will stop before this step and ask; the lab keeps the answer to itself until then.")}</p>
      <div className="asks2">
        <div className="fld"><label htmlFor={`${id}k`}>{t("Ask for")}</label><select ref={first} id={`${id}k`} className="tf" value={kind} onChange={(e) => setKind(e.target.value as Kind)}>
          {!source && <><option value="shape">{t("its shape")}</option><option value="value">{t("its value")}</option><option value="sign">{t("its sign")}</option></>}
          <option value="gradient sign">{t("the sign of its gradient")}</option></select></div>
        <div className="fld"><label htmlFor={`${id}e`}>{t("Element")}</label><input id={`${id}e`} className={`tf m${bad ? " bad" : ""}`} aria-invalid={bad || undefined} disabled={kind === "shape"} value={at} placeholder={t("all of it")} spellCheck={false} autoComplete="off" maxLength={200} onChange={(e) => { setAt(e.target.value); setBad(false); }} /></div>
        <div className="fld"><label htmlFor={`${id}t`}>{t("In your own words")}</label><input id={`${id}t`} className="tf" value={text} placeholder={t("optional")} maxLength={2000} autoComplete="off" onChange={(e) => setText(e.target.value)} /></div>
      </div>
      <div className="act tight"><button type="submit" className="bt pri">{t("Ask")}</button></div>
    </form>
  );
}

/** The questions about what the inspector shows. */
export function MyQuestions({ tensor, target }: { tensor: string | null; target: string | null }) {
  const mine = useLabState((s) => s.debugging.questions).filter((q) => q.tensor === tensor || nodeOf(q.tensor) === target);
  return mine.length ? <ul className="plain brk">{mine.map((q) => <QuestionRow key={keyOfQuestion(q)} q={q} />)}</ul> : null;
}

function QuestionRow({ q, named = false }: { q: QuestionSpec; named?: boolean }) {
  const lab = useLab();
  const target = { target: q.tensor, kind: q.kind, at: q.at };
  const about = q.text || questionText(q);
  return (
    <li className="qr" data-question={q.tensor} data-open={q.open || undefined}>
      <Icon name="question" size={11} />
      {named && q.drawn !== null ? <button type="button" onClick={() => lab.go(q.drawn as string)}>{visible(about)}</button> : <span>{visible(about)}</span>}
      {q.open ? <span className="muted op">{t("unanswered")}</span> : q.verdict !== "" && <Verdict word={q.verdict} />}
      {!q.open && <button type="button" className="again" title={t("Put it again")} onClick={() => void lab.debug("ask", { ...target, text: q.text })}>{t("Ask again")}</button>}
      <button type="button" className="x" aria-label={t("Take back the question: {what}", { what: visible(about) })} onClick={() => void lab.debug("ask_no_more", target)}><Icon name="close" size={10} /></button>
    </li>
  );
}

/** Right, nearly, wrong: a sign and a word, besides the colour. */
function Verdict({ word }: { word: keyof typeof WORD }) {
  return <span className={`vd v-${word}`}><i aria-hidden="true">{GLYPH[word]}</i> {t(WORD[word])}</span>;
}

/** With nothing selected: all questions, and what was answered. */
export function QuestionsPane() {
  const questions = useLabState((s) => s.debugging.questions);
  const answers = useLabState((s) => s.debugging.answers);
  if (!questions.length && !answers.length) return null;
  const save = (text: string, type: string, name: string) => download(new Blob([text], { type: `${type};charset=utf-8` }), name);
  return (
    <section className="dbg" aria-label={t("Questions")} data-testid="questions">
      <div className="sh"><h2>{t("Questions")}</h2>
        {answers.length > 0 && <span className="act tight"><button type="button" className="bt" title={t("The answers as comma-separated values")} onClick={() => save(answersTable(answers), "text/csv", "answers.csv")}>CSV</button>
          <button type="button" className="bt" title={t("The answers as JSON")} onClick={() => save(`${JSON.stringify(answers.map(({ drawn: _, ...a }) => a), null, 1)}\n`, "application/json", "answers.json")}>JSON</button></span>}</div>
      {questions.length > 0 && <ul className="plain brk">{questions.map((q) => <QuestionRow key={keyOfQuestion(q)} q={q} named />)}</ul>}
      {answers.length > 0 && <div className="ans"><table className="stt"><caption className="unseen">{tn(answers.length, "{n} answer", "{n} answers")}</caption><thead><tr><th>{t("tensor")}</th><th>{t("answer")}</th><th>{t("truth")}</th><th><span className="unseen">{t("verdict")}</span></th></tr></thead>
        <tbody>{answers.slice(-30).reverse().map((a, i) => <tr key={i} data-answer={a.tensor}><th scope="row">{shortOf(a.tensor)}{a.at ? `[${a.at.join(", ")}]` : ""}</th><td>{visible(a.answer)}</td><td>{a.truth}</td><td><Verdict word={a.verdict} /></td></tr>)}</tbody></table></div>}
    </section>
  );
}

/** Names can begin with = or @: a spreadsheet must take them for text; a number stays one. */
const field = (x: string | number): string => {
  const text = String(x);
  const safe = /^[=+\-@\t\r]/.test(text) && !/^[+-]?[\d.]+(e[+-]?\d+)?$/i.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

export function answersTable(answers: readonly AnswerSpec[]): string {
  const rows: (string | number)[][] = [["tensor", "kind", "at", "answer", "truth", "verdict", "when", "firing"]];
  for (const a of answers) rows.push([a.tensor, a.kind, a.at ? `[${a.at.join(", ")}]` : "", a.answer, a.truth, a.verdict, a.when, a.firing]);
  return `${rows.map((r) => r.map(field).join(",")).join("\r\n")}\r\n`;
}

// ---------------------------------------------------------------- on the canvas

/** The question that the run waits for: its field, Reveal and Skip. */
export function QuestionBody({ q }: { q: QuestionSpec }) {
  const lab = useLab();
  const [text, setText] = React.useState("");
  const [bad, setBad] = React.useState(false);
  const box = React.useRef<HTMLFormElement>(null);
  const id = React.useId();
  // whoever steps types the answer next; a run that a cell has begun leaves the focus where it is
  React.useEffect(() => {
    if (!lab.root?.contains(activeIn(lab.root))) return;
    const soon = requestAnimationFrame(() => box.current?.querySelector<HTMLElement>("input, textarea, button")?.focus({ preventScroll: true }));
    return () => cancelAnimationFrame(soon);
  }, [lab]);
  const send = async (name: "answer" | "skip", answer = "") => {
    if (lab.state.alerts.length) lab.set({ alerts: [] });      // what could not be read before
    setBad(!await lab.debug(name, { target: q.tensor, kind: q.kind, at: q.at, text: answer, language: language() }));
  };
  const keys = (e: React.KeyboardEvent) => {
    if (e.nativeEvent.isComposing) return;
    if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); lab.back(); }
    else if (e.key === "Enter" && !e.shiftKey && e.target instanceof HTMLTextAreaElement) { e.preventDefault(); if (text.trim()) void send("answer", text); }
    else if (q.kind === "sign" && !e.ctrlKey && !e.metaKey && !e.altKey && "+-−0".includes(e.key)) { e.preventDefault(); void send("answer", e.key); }
  };
  const shared = { id: `${id}a`, className: `tf m${bad ? " bad" : ""}`, value: text, "aria-invalid": bad || undefined, spellCheck: false, autoComplete: "off", "aria-labelledby": `${id}q`, maxLength: 20000 };
  return (
    <form ref={box} className="qa nodrag nopan" onSubmit={(e) => { e.preventDefault(); if (text.trim()) void send("answer", text); }} onKeyDown={keys}>
      <div className="qh"><Icon name="question" size={13} /> {t("Before {node} fires", { node: visible(nodeOf(q.tensor)) })}</div>
      <p id={`${id}q`} className="qt">{q.text ? visible(q.text) : questionText(q)}{q.text ? <em>{questionText(q)}</em> : null}</p>
      {q.kind === "sign"
        ? <div className="sg" role="group" aria-labelledby={`${id}q`}>{([["+", t("positive")], ["−", t("negative")], ["0", t("zero")]] as const).map(([sign, word]) => <button key={sign} type="button" className="rb" aria-label={word} title={word} onClick={() => void send("answer", sign)}>{sign}</button>)}</div>
        : q.kind === "shape"
          ? <input {...shared} type="text" placeholder={t("sizes, with commas between them")} onChange={(e) => { setText(e.target.value); setBad(false); }} />
          : <textarea {...shared} rows={Math.min(4, Math.max(1, text.split("\n").length))} placeholder={q.at ? "0.5" : "[[1, 2], [3, 4]]"} onChange={(e) => { setText(e.target.value); setBad(false); }} />}
      <div className="eb">{q.kind !== "sign" && <button type="submit" className="rb pri" data-filled="" disabled={!text.trim()}>{t("Reveal")}</button>}
        <button type="button" className="rb" onClick={() => void send("skip")}>{t("Skip")}</button></div>
    </form>
  );
}

/** The answer, the truth, how near they are, and why it is so. */
export function RevealedBody({ r }: { r: Revealed }) {
  const lab = useLab();
  const button = React.useRef<HTMLButtonElement>(null);
  const close = () => { lab.set({ revealed: null }); if (r.drawn !== null) lab.go(r.drawn); };
  React.useEffect(() => {
    const active = activeIn(lab.root);
    if (active === null || active === document.body || lab.root?.contains(active)) button.current?.focus({ preventScroll: true });
  }, [lab, r]);
  return (
    <div className={`qa v-${r.verdict} nodrag nopan`} onKeyDown={(e) => { if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); close(); } }}>
      <div className="qh"><Verdict word={r.verdict} /></div>
      <p className="qt">{r.text ? visible(r.text) : questionText(r)}</p>
      <dl>{r.verdict !== "skipped" && <><dt>{t("answer")}</dt><dd className="m">{visible(r.answer)}</dd></>}<dt>{t("truth")}</dt><dd className="m">{r.truth}</dd></dl>
      {r.sentences.map((s, i) => <p key={i} className="em">{visible(s)}</p>)}
      <div className="eb"><button ref={button} type="button" className="rb pri" data-filled="" onClick={close}>{t("Go on")}</button></div>
    </div>
  );
}
