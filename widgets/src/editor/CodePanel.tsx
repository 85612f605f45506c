// The Python beside the canvas: what is selected there is lit here, and a line that is clicked selects its node.
import * as React from "react";
import { Icon } from "../shared/icons";
import { t, told } from "../shared/words";
import { useLab, useLabState } from "./store";
import { activeIn } from "../shared/tree";

const TOKENS = /('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|\b(import|as|with|pass|True|False|None)\b|\b(\d+(?:\.\d+)?(?:e[-+]?\d+)?)\b/g;

/** A line with its strings, words of the language and numbers told apart. */
function tokens(line: string): React.ReactNode[] {
  const out: React.ReactNode[] = [];
  let at = 0;
  for (const m of line.slice(0, 4000).matchAll(TOKENS)) {
    if (m.index > at) out.push(line.slice(at, m.index));
    out.push(<span key={m.index} className={m[1] !== undefined ? "str" : m[2] !== undefined ? "kw" : "nu"}>{m[0]}</span>);
    at = m.index + m[0].length;
  }
  out.push(line.slice(at));
  return out;
}

export function CodePanel() {
  const open = useLabState((s) => s.codeOpen);
  return open ? <Code /> : null;
}

function Code() {
  const lab = useLab();
  const code = useLabState((s) => s.code);
  const selected = useLabState((s) => s.selected);
  const list = React.useRef<HTMLUListElement>(null);
  React.useEffect(() => lab.askCode(false), [lab]);
  const lines = React.useMemo(() => code?.text.replace(/\n$/, "").split("\n") ?? [], [code]);
  const owner = React.useMemo(() => {
    const out = new Map<number, string>();
    for (const [name, [first, last]] of Object.entries(code?.lines ?? {})) for (let k = first; k <= last; k++) out.set(k, name);
    return out;
  }, [code]);
  const lit = React.useMemo(() => {
    const out = new Set<number>();
    const inside = (name: string) => selected.some((s) => name === s || name.startsWith(`${s}/`));
    for (const [k, name] of owner) if (inside(name)) out.add(k);
    return out;
  }, [owner, selected]);
  React.useEffect(() => { list.current?.querySelector('[data-lit="true"]')?.scrollIntoView({ block: "nearest" }); }, [lit]);
  const part = (code?.names.length ?? 0) > 0;
  const go = (k: number) => { const name = owner.get(k); const shown = name === undefined ? null : lab.drawn(name); if (shown !== null) { lab.select([shown]); lab.view?.show(shown, true); } };
  const onKeyDown = (e: React.KeyboardEvent<HTMLUListElement>) => {
    const items = [...e.currentTarget.querySelectorAll<HTMLElement>("li")];
    const i = items.indexOf(activeIn(e.currentTarget) as HTMLElement);
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); e.stopPropagation(); items[Math.max(0, Math.min(items.length - 1, i + (e.key === "ArrowDown" ? 1 : -1)))]?.focus(); }
    else if ((e.key === "Enter" || e.key === " ") && i >= 0) { e.preventDefault(); e.stopPropagation(); go(i); }
  };
  const close = () => { lab.set({ codeOpen: false }); lab.root?.focus({ preventScroll: true }); };
  const copy = async () => {
    try { await navigator.clipboard.writeText(code?.text ?? ""); lab.say("Copied the Python."); }
    catch { lab.say("This page may not use the clipboard: select the lines, and copy them."); }
  };
  return (
    <aside className="code" aria-label="Python" data-testid="code">
      <div className="chead">
        <h2>Python</h2>
        <div className="seg" role="group" aria-label={t("What is shown")}>
          <button type="button" aria-pressed={!part} onClick={() => lab.askCode(false)}>{t("Graph")}</button>
          <button type="button" aria-pressed={part} disabled={!selected.length} title={selected.length ? t("Only what is selected") : t("Select nodes first")} onClick={() => lab.askCode(true)}>{t("Selection")}</button>
        </div>
        <button type="button" className="x" aria-label={t("Copy the Python")} title={t("Copy")} onClick={() => void copy()}><Icon name="copy" size={12} /></button>
        <button type="button" className="x" aria-label={t("Close the Python")} title={t("Close (K)")} onClick={close}><Icon name="close" size={11} /></button>
      </div>
      {code?.note ? <p className="muted f1 cnote">{told(code.note)}</p> : null}
      <ul className="clines" ref={list} role="listbox" aria-label={t("Lines")} tabIndex={0} onKeyDown={onKeyDown}>
        {lines.map((line, k) => (
          <li key={k} role="option" aria-label={line.trim() === "" ? t("{n}, empty", { n: k + 1 }) : undefined} tabIndex={-1} aria-selected={lit.has(k)} data-lit={lit.has(k) || undefined} data-for={owner.get(k)} className={owner.has(k) ? "own" : ""} onClick={() => go(k)}>
            <i aria-hidden="true">{k + 1}</i><code>{tokens(line)}</code>
          </li>
        ))}
      </ul>
    </aside>
  );
}
