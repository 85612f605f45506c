// The inspector: what the selected thing is, the forms that change it, and what it did with real numbers.
import * as React from "react";
import type { AttrSpec, OpSpec, SceneNode, Value } from "../protocol.gen";
import { css, inkOn, scaleOf } from "../shared/color";
import { useWidth } from "../shared/controls";
import { num, percent, seconds, signed, tick } from "../shared/format";
import { Icon, categoryIcon } from "../shared/icons";
import { Live } from "../shared/live";
import { paintGrid } from "../shared/paint";
import { opWord, t, tn, told } from "../shared/words";
import { Formula } from "./formula";
import { cutOut, pasteNow, addState, align, bypass, copy, differentiable, differentiate, duplicate, group, tableText, ungroup, useAgain } from "./making";
import { COLOURS, frameSelection, writeNote } from "./Notes";
import { DebugActions, DebugPane, ExplainCard, WhyButtons, WhyCard, explain } from "./Debug";
import { ValueEditor } from "./ValueEditor";
import { insideOf } from "./describe";
import { lastPart, textWidth, visible } from "./geometry";
import { cut, severe, useLab, useLabState } from "./store";

const MARK = { forward: "▶", backward: "◀", update: "◆" } as const;

export function Inspector() {
  const selected = useLabState((s) => s.selected);
  const edge = useLabState((s) => s.edge);
  const mark = useLabState((s) => s.mark);
  const lecture = useLabState((s) => s.lecture);     // without its fields, what scrolls takes the focus itself
  const finding = useLabState((s) => s.finding);     // the hits lie over it: what they cut in two takes no click
  const node = useLabState((s) => (s.selected.length === 1 ? s.nodes.get(s.selected[0]) : undefined));
  const scope = useLabState((s) => (s.selected.length === 1 ? s.scopes.get(s.selected[0]) : undefined));
  return (
    <aside className="ins" data-testid="inspector" aria-label={t("Inspector")} inert={finding} tabIndex={lecture ? 0 : undefined}>
      {mark !== null && mark.index >= 0 ? <MarkPane /> : edge !== null ? <EdgePane id={edge} /> : node ? <NodePane key={node.name} node={node} /> : scope ? <ScopePane name={scope.name} /> : selected.length > 1 ? <ManyPane names={selected} /> : <GraphPane />}
    </aside>
  );
}

// ---------------------------------------------------------------- a field that commits

/** A text field that shows what the document holds, and sends what was typed on Enter or when it is left. */
function Field({ label, value, onCommit, mono = false, list, multiline = false, hideLabel = false, className = "", placeholder, wide = false, onPasteText }: {
  label: string; value: string; onCommit(text: string): Promise<boolean> | void; mono?: boolean; list?: string[]; multiline?: boolean; hideLabel?: boolean; className?: string; placeholder?: string; wide?: boolean; onPasteText?(text: string): string | null;
}) {
  const lab = useLab();
  const [draft, setDraft] = React.useState<string | null>(null);
  const [bad, setBad] = React.useState(false);
  const dataList = React.useId();
  const own = React.useId();
  const shown = draft ?? value;
  React.useEffect(() => { setDraft(null); setBad(false); }, [value]);
  const commit = async () => {
    if (draft === null || draft === value) { setDraft(null); return; }
    const ok = await onCommit(draft);
    // a refused text stays, so that it can be mended; the alert says why
    setBad(ok === false);
    if (ok !== false) setDraft(null);
  };
  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.nativeEvent.isComposing) return;
    if (e.key === "Enter" && !(multiline && e.shiftKey)) { e.preventDefault(); void commit(); }
    if (e.key === "Escape") {
      e.preventDefault();
      e.stopPropagation();
      if (draft !== null) { setDraft(null); setBad(false); } else lab.back();
    }
  };
  const shared = {
    "aria-label": hideLabel ? label : undefined, "aria-invalid": bad || undefined, spellCheck: false, autoComplete: "off", value: shown, placeholder, onKeyDown, onBlur: () => void commit(), id: own,
    onPaste: (e: React.ClipboardEvent) => {
      // a table that comes from a spreadsheet is written as the nested lists that it means
      const given = e.clipboardData.getData("text/plain");
      const read = onPasteText && /[\t\n]/.test(given.trim()) && !given.trimStart().startsWith("[") ? onPasteText(given) : null;
      if (read !== null) { e.preventDefault(); setDraft(read); }
    },
    className: `${className || "tf"}${mono ? " m" : ""}${bad ? " bad" : ""}`,
  };
  const input = multiline
    ? <textarea {...shared} rows={Math.min(8, Math.max(2, shown.split("\n").reduce((n, line) => n + (mono ? 1 : Math.ceil(line.length / 30) || 1), mono ? 1 : 0)))} onChange={(e) => setDraft(e.target.value)} />
    : <input {...shared} type="text" list={list?.length ? dataList : undefined} onChange={(e) => setDraft(e.target.value)} />;
  const body = <>{input}{list?.length ? <datalist id={dataList}>{list.map((v) => <option key={v} value={v} />)}</datalist> : null}</>;
  if (hideLabel) return body;
  // the label stands beside its field, not around it: what is typed is no part of the name
  return <div className={`fld${multiline ? " tall" : ""}${wide ? " wide" : ""}`}><label htmlFor={own}>{label}</label>{body}</div>;
}

const text = (value: unknown): string => {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map((v) => (v === null ? "?" : String(v))).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
};

/** The right control for an attribute's kind. */
function AttrField({ node, spec }: { node: SceneNode; spec: AttrSpec }) {
  const lab = useLab();
  const palette = useLabState((s) => s.palette);
  const id = React.useId();
  const held = Object.hasOwn(node.attrs, spec.name) ? node.attrs[spec.name] : spec.default;
  const commit = (value: unknown) => lab.edit([{ tag: "SetAttr", node: node.name, attr: spec.name, value }], `Set ${spec.name} of ${node.name}.`);
  switch (spec.kind) {
    case "bool":
      return (
        <div className="fld check"><label htmlFor={id}>{spec.name}</label>
          <input id={id} type="checkbox" checked={held === true} onChange={(e) => void commit(e.target.checked)} /><em aria-hidden="true">{held === true ? "True" : "False"}</em>
        </div>);
    case "dtype": case "choice": {
      const choices = spec.choices.length ? spec.choices : spec.kind === "dtype" ? palette?.dtypes ?? [] : [];
      const now = text(held);
      return (
        <div className="fld"><label htmlFor={id}>{spec.name}</label>
          <select id={id} className="tf" value={now} onChange={(e) => void commit(e.target.value === "" ? null : e.target.value)}>
            {!choices.includes(now) && <option value={now}>{now || t("default")}</option>}
            {choices.map((c) => <option key={c} value={c}>{c}</option>)}
          </select>
        </div>);
    }
    case "int": case "float":
      return <Field label={spec.name} value={text(held)} onCommit={(t) => {
        const n = Number(t);
        return commit(t.trim() === "" ? null : Number.isFinite(n) ? n : t);
      }} />;
    case "initializer":
      return <Field wide label={spec.name} value={text(held)} list={spec.choices.length ? spec.choices : palette?.initializers} onCommit={commit} mono={text(held).startsWith("[")} />;
    case "str": case "shape": case "axis": case "ints": case "json": case "value":
      return <Field label={spec.name} value={text(held)} onCommit={commit} mono={spec.kind === "json" || spec.kind === "value"} placeholder={spec.kind === "shape" ? "batch, 3" : spec.required ? "" : t("default")} />;
    default: spec.kind satisfies never; return null;
  }
}

// ---------------------------------------------------------------- panes

/** What the clipboard's keys do, for the mouse. */
function CopyButtons() {
  const lab = useLab();
  return (
    <Live off={lab.inFile}>
      <button type="button" className="bt" title="Ctrl+D" onClick={() => void duplicate(lab)}><Icon name="add" size={12} /> {t("Duplicate")}</button>
      <button type="button" className="bt" title="Ctrl+C" onClick={() => void copy(lab)}><Icon name="copy" size={12} /> {t("Copy")}</button>
      <button type="button" className="bt" title="Ctrl+X" onClick={() => void cutOut(lab)}><Icon name="cut" size={12} /> {t("Cut")}</button>
    </Live>
  );
}

function NodePane({ node }: { node: SceneNode }) {
  const lab = useLab();
  const spec = useLabState((s) => s.ops.get(node.op));
  const state = useLabState((s) => s.run.states.get(node.name) ?? "idle");
  const firing = useLabState((s) => (s.run.last === node.name ? s.run.cursor : s.run.names.lastIndexOf(node.name, Math.max(0, s.run.cursor - 1)) + 1));
  const took = useLabState((s) => (s.run.last === node.name ? s.run.last_seconds : null));
  const output = useLabState((s) => s.output);
  const loop = useLabState((s) => s.scene?.opened.some((o) => o.loop === "loop" && (o.node === node.name || !spec?.fires && o.name === node.scope)) ?? false) && node.phase === "forward";
  const problems = useLabState((s) => s.scene)?.diagnostics.filter((d) => d.node === node.name) ?? [];
  const category = node.phase === "backward" ? "gradient" : node.source === "variable" ? "state" : node.category;
  const sub = [firing > 0 ? t("firing {n}", { n: firing }) : node.source ? t("source") : state === "ready" ? t("ready to fire") : t("not fired yet"), took !== null ? seconds(took) : ""].filter(Boolean).join(" · ");
  return (
    <>
      <section className="ihead">
        <div className={`ic1 c-${category}`}><Icon name={categoryIcon(category)} size={16} /></div>
        <div className="inm">
          <Live off={lab.inFile}><Field label={t("Name")} hideLabel className="nm" value={node.name} onCommit={(to) => (to.trim() ? lab.edit([{ tag: "Rename", name: node.name, to: to.trim() }], `Renamed to ${to.trim()}.`) : undefined)} /></Live>
          <div className="muted f1">{opWord(spec) ? `${opWord(spec)} ${node.op}` : node.op} · <span className={`pb p-${node.phase}`}>{MARK[node.phase]} {t(node.phase)}</span> · {sub}</div>
        </div>
      </section>
      <Live off={lab.inFile}><Form node={node} spec={spec} /></Live>
      <section className="act">
        {state === "ready" && node.source === null && <button type="button" className="bt" onClick={() => void lab.command("fire", { node: node.name })}><Icon name="play" size={12} /> {t("Fire")}</button>}
        {node.source === null && <button type="button" className="bt" title={t("Run to here (R)")} onClick={() => void lab.command("run_to", { node: node.name })}><Icon name="flag" size={12} /> {t("Run to here")}</button>}
        <Live off={lab.inFile}>{node.outputs.length > 0 && node.source === null && !lab.loopOf(node.name) && <button type="button" className="bt" aria-pressed={node.fetch} title={node.fetch ? t("A run asks for this value") : t("Let a run ask for this value")} onClick={() => void lab.edit([{ tag: "MarkFetch", name: node.name, on: !node.fetch }])}><Icon name="eye" size={12} /> {t("Fetch")}</button>}
        {differentiable(node) && <button type="button" className="bt" data-differentiate title={t("Add its gradient by every trainable variable (G)")} onClick={() => void differentiate(lab)}><Icon name="gradient" size={12} /> {t("Differentiate")}</button>}
        {node.inputs.some((p) => p.wired) && node.outputs.length > 0 && <button type="button" className="bt" title={t("What it takes goes on in its place (M)")} onClick={() => void bypass(lab)}><Icon name="chevronRight" size={12} /> {t("Bypass")}</button>}
        {loop && <button type="button" className="bt" title={t("One more tensor that is carried from timestep to timestep (T)")} onClick={() => void addState(lab)}><Icon name="add" size={12} /> {t("Add a state")}</button>}
        {loop && <button type="button" className="bt" title={t("One more sequence that the loop goes along")} onClick={() => void addState(lab, "Timestep")}><Icon name="add" size={12} /> {t("Add a sequence")}</button>}
        <CopyButtons />
        <button type="button" className="bt" title={t("Delete")} onClick={() => void lab.remove()}><Icon name="trash" size={12} /> {t("Delete")}</button></Live>
      </section>
      {problems.length > 0 && <section className="probs">{problems.map((d, i) => <p key={i} className={d.severe ? "sev" : ""}><Icon name={d.severe ? "error" : "idle"} size={12} /> {visible(told(d.message))}{d.hint ? <em> {visible(told(d.hint))}</em> : null}</p>)}</section>}
      <WhyCard />
      {(node.source === null || node.outputs.length > 0) && <DebugActions target={node.source === null ? node.name : null} tensor={(node.outputs[output] ?? node.outputs[0])?.tensor ?? null} />}
      <Did tensor={(node.outputs[output] ?? node.outputs[0])?.tensor ?? null} outputs={node.outputs.length > 1 ? node.outputs.map((o) => o.name) : []} node={node} />
    </>
  );
}

/** Nested lists with a line for each row, as people write them. */
export const inRows = (json: string): string => json.replace(/\],\[/g, "],\n[").replace(/,(?=[^\s])/g, ", ");

function Form({ node, spec }: { node: SceneNode; spec: OpSpec | undefined }) {
  const lab = useLab();
  const attrs = spec?.attrs ?? [];
  const hasValue = node.source === "placeholder" || node.source === "constant";
  if (!attrs.length && !hasValue) return null;
  return (
    <section className="form">
      {attrs.length > 0 && <div className="ig2">{attrs.map((a) => <AttrField key={a.name} node={node} spec={a} />)}</div>}
      {hasValue && (node.value_note !== null
        ? <p className="muted f1">{told(node.value_note)}</p>
        : <Field label={t("Value")} multiline mono value={inRows(node.value ?? "")} placeholder={node.source === "placeholder" ? t("[[1, 2, 3]] feeds it") : "0.5"}
            onPasteText={tableText} onCommit={(t) => lab.edit([node.source === "placeholder" ? { tag: "SetFeed", node: node.name, text: t } : { tag: "SetAttr", node: node.name, attr: "value", value: t }], `Set the value of ${node.name}.`)} />)}
      {hasValue && <ValueEditor node={node} />}
    </section>
  );
}

function ScopePane({ name }: { name: string }) {
  const lab = useLab();
  const scope = useLabState((s) => s.scopes.get(name));
  const progress = useLabState((s) => s.run.progress.get(name));
  const tensor = useLabState(() => lab.shown());
  const made = useLabState((s) => (scope?.composite != null ? s.scene?.composites.find((c) => c.name === scope.composite) : undefined));
  if (!scope) return null;
  const nodes = tn(scope.count, "{n} node", "{n} nodes");
  return (
    <>
      <section className="ihead">
        <div className={`ic1 c-${scope.phase === "backward" ? "gradient" : scope.category}`}><Icon name={categoryIcon(scope.phase === "backward" ? "gradient" : scope.category)} size={16} /></div>
        <div className="inm">
          {scope.stack !== null ? <div className="nm">{visible(scope.name)}</div> : <Live off={lab.inFile}><Field label={t("Name")} hideLabel className="nm" value={scope.name} onCommit={(to) => (to.trim() ? lab.edit([{ tag: "Rename", name: scope.name, to: to.trim() }], "Renamed.") : undefined)} /></Live>}
          <div className="muted f1">{scope.stack !== null ? t("stands for {what}", { what: insideOf(scope) }) : scope.composite === null ? t("scope of {nodes}", { nodes }) : scope.composite === scope.label ? t("composite of {nodes}", { nodes }) : t("one use of {name}, of {nodes}", { name: visible(scope.composite), nodes })} · <span className={`pb p-${scope.phase}`}>{MARK[scope.phase]} {t(scope.phase)}</span>{progress ? ` · ${t("{n} of {total} fired", { n: progress[0], total: progress[1] })}` : ""}</div>
        </div>
      </section>
      <section className="act"><button type="button" className="bt" title={scope.stack !== null ? t("Show them one by one (Enter); Backspace puts them back") : t("Unfold (Enter)")} onClick={() => void lab.into(name)}><Icon name="unfoldAll" size={12} /> {t("Unfold")}</button>
        <Live off={lab.inFile}>{made && <button type="button" className="bt" title={t("Another use of it, its inputs open")} onClick={() => void useAgain(lab, made)}><Icon name="add" size={12} /> {t("Use again")}</button>}
        {scope.stack === null && <button type="button" className="bt" title={t("Its nodes stand where it stood (Ctrl+Shift+G)")} onClick={() => void ungroup(lab)}><Icon name="expand" size={12} /> {t("Unpack")}</button>}
        {scope.stack === null && <CopyButtons />}</Live></section>
      {scope.composite !== null && <section><h2>{t("Ports")}</h2><ul className="plain rows">{[...scope.in_ports.map((p) => ({ p, way: "in" })), ...scope.out_ports.map((p) => ({ p, way: "out" }))].map(({ p, way }) => <li key={`${way} ${p.port}`}><span>{way === "in" ? "→ " : "← "}{visible(p.label || p.port)}</span><span>{p.shape ?? (p.wired ? "" : t("open"))}</span></li>)}</ul></section>}
      <WhyCard />
      <Did tensor={tensor} outputs={[]} node={null} whole />
    </>
  );
}

function EdgePane({ id }: { id: string }) {
  const lab = useLab();
  const edge = useLabState((s) => s.wiring.edges.get(id));
  const problem = useLabState((s) => s.scene)?.diagnostics.find((d) => d.edge === id);
  if (!edge) return null;
  return (
    <>
      <section className="ihead">
        <div className="ic1 c-control"><Icon name={edge.control ? "control" : "chevronRight"} size={16} /></div>
        <div className="inm"><div className="nm">{visible(edge.tensor ?? edge.src)} → {visible(lastPart(edge.dst))}{edge.control ? "" : `:${visible(edge.dst_port)}`}</div>
          <div className="muted f1">{edge.control ? t("control edge: orders firings, carries nothing") : `${edge.shape ?? t("shape unknown")} ${edge.dtype ?? ""}${edge.merged > 1 ? ` · ${t("stands for {n} wires", { n: edge.merged })}` : ""}`}</div></div>
      </section>
      {problem && <section className="probs"><p className="sev"><Icon name="error" size={12} /> {visible(told(problem.message))}{problem.hint ? <em> {visible(told(problem.hint))}</em> : null}</p></section>}
      <section className="act"><Live off={lab.inFile}><button type="button" className="bt" title={t("Delete")} onClick={() => void lab.edit([cut(edge)], "Cut the wire.")}><Icon name="trash" size={12} /> {t("Cut wire")}</button>
        {!edge.control && <button type="button" className="bt" title={t("Put an operation into it (A)")} onClick={() => lab.askForOperation(null, null, edge.id)}><Icon name="add" size={12} /> {t("Insert")}</button>}</Live>
        <button type="button" className="bt" onClick={() => lab.go(edge.src)}>{t("To its source")}</button></section>
      <WhyCard />
      {edge.tensor !== null && <DebugActions target={edge.tensor} tensor={edge.tensor} />}
      {edge.tensor !== null && <Did tensor={edge.tensor} outputs={[]} node={null} />}
    </>
  );
}

/** A note or a frame. */
function MarkPane() {
  const lab = useLab();
  const mark = useLabState((s) => s.mark);
  const note = useLabState((s) => (mark?.kind === "note" ? s.scene?.notes[mark.index] : undefined));
  const frame = useLabState((s) => (mark?.kind === "frame" ? s.scene?.frames[mark.index] : undefined));
  if (!mark || (!note && !frame)) return null;
  const put = (change: { title?: string; colour?: string }) => lab.edit([{ tag: "PutFrame", title: frame?.title ?? "", colour: frame?.colour ?? "grey", index: mark.index, ...change }], "Changed the frame.");
  return (
    <>
      <section className="ihead"><div className="ic1 c-control"><Icon name={note ? "outline" : "fit"} size={16} /></div><div className="inm"><div className="nm">{note ? t("Note {n}", { n: mark.index + 1 }) : visible(frame?.title ?? "")}</div>
        <div className="muted f1">{note ? t("Markdown with formulas") : tn(frame?.members.length ?? 0, "frame around {n} element", "frame around {n} elements")}</div></div></section>
      <Live off={lab.inFile}><section className="form">
        {note && <Field label={t("Text")} multiline value={note.text} onCommit={(text) => lab.edit([text.trim() ? { tag: "PutNote", text, index: mark.index } : { tag: "RemoveNote", index: mark.index }], "Changed the note.")} />}
        {frame && <><Field label={t("Title")} value={frame.title} onCommit={(title) => (title.trim() ? put({ title: title.trim() }) : undefined)} />
          <div className="fld"><label htmlFor="fl-frame-colour">{t("Colour")}</label><select id="fl-frame-colour" className="tf" value={frame.colour} onChange={(e) => void put({ colour: e.target.value })}>{COLOURS.map((c) => <option key={c} value={c}>{t(c)}</option>)}</select></div></>}
      </section>
      <section className="act"><button type="button" className="bt" title={t("Delete")} onClick={() => void lab.remove()}><Icon name="trash" size={12} /> {t("Delete")}</button></section></Live>
    </>
  );
}

function ManyPane({ names }: { names: string[] }) {
  const lab = useLab();
  return (
    <>
      <section className="ihead"><div className="ic1 c-control"><Icon name="copy" size={16} /></div><div className="inm"><div className="nm">{tn(names.length, "{n} element", "{n} elements")}</div><div className="muted f1">{t("selected together")}</div></div></section>
      <section><ul className="plain">{names.slice(0, 30).map((n) => <li key={n}>{visible(n)}</li>)}</ul></section>
      <section className="act"><Live off={lab.inFile}>
        <button type="button" className="bt" title="Ctrl+G" onClick={() => void group(lab)}><Icon name="foldAll" size={12} /> {t("Make a composite")}</button>
        <button type="button" className="bt" title={t("A titled, coloured frame (F)")} onClick={() => frameSelection(lab)}><Icon name="fit" size={12} /> {t("Frame")}</button>
        <CopyButtons />
        <button type="button" className="bt" onClick={() => void lab.remove()}><Icon name="trash" size={12} /> {t("Delete")}</button></Live>
      </section>
      <section><h2>{t("Line up")}</h2><div className="act tight">
        <button type="button" className="bt" title="Shift+L" onClick={() => void align(lab, "left")}>{t("Left")}</button>
        <button type="button" className="bt" title="Shift+T" onClick={() => void align(lab, "top")}>{t("Top")}</button>
        <button type="button" className="bt" title="Shift+H" disabled={names.length < 3} onClick={() => void align(lab, "across")}>{t("Spread across")}</button>
        <button type="button" className="bt" title="Shift+V" disabled={names.length < 3} onClick={() => void align(lab, "down")}>{t("Spread down")}</button>
      </div></section>
    </>
  );
}

/** Nothing selected: the graph as a whole. */
function GraphPane() {
  const lab = useLab();
  const scene = useLabState((s) => s.scene);
  const run = useLabState((s) => s.run);
  const thumbs = useLabState((s) => s.thumbs);
  if (!scene) return <section className="ihead"><div className="inm"><div className="nm">flowlab</div><div className="muted f1">{t("waiting for the kernel")}</div></div></section>;
  const fetches = scene.nodes.filter((n) => n.fetch);
  const bad = severe(scene);
  const open = scene.diagnostics.filter((d) => !d.severe);
  const go = (name: string) => () => lab.go(name);
  return (
    <>
      <section className="ihead"><div className="ic1 c-math"><Icon name="tidy" size={16} /></div><div className="inm"><div className="nm">{visible(scene.title) || t("untitled")}</div>
        <div className="muted f1">{tn(scene.total, "{n} node", "{n} nodes")}{run.total ? ` · ${tn(run.total, "{n} firing a run", "{n} firings a run")}` : ""}</div></div></section>
      {fetches.length > 0 && <section><h2>{t("Fetches")}</h2><ul className="plain rows">{fetches.slice(0, 12).map((n) => {
        const thumb = n.outputs[0] ? thumbs.get(n.outputs[0].tensor) : undefined;
        return <li key={n.name}><button type="button" onClick={go(n.name)}>{visible(n.name)}</button><span>{thumb?.value != null ? (thumb.uniform ? t("all {value}", { value: thumb.value }) : thumb.value) : n.outputs[0]?.shape ?? ""}</span></li>;
      })}</ul></section>}
      {bad.length > 0 && <section className="probs"><h2>{t("Does not fit")}</h2>{bad.slice(0, 8).map((d, i) => <p key={i} className="sev"><Icon name="error" size={12} /> <button type="button" onClick={go(d.node)}>{visible(d.node)}</button> {visible(told(d.message))}</p>)}</section>}
      {open.length > 0 && <section className="probs"><h2>{t("Still open")}</h2>{open.slice(0, 8).map((d, i) => <p key={i}><Icon name="idle" size={12} /> <button type="button" onClick={go(d.node)}>{visible(d.node)}</button> {visible(told(d.message))}</p>)}{open.length > 8 && <p className="muted">{t("and {n} more", { n: open.length - 8 })}</p>}</section>}
      {scene.total > 0 && <DebugPane />}
      {run.next !== null && run.mode !== "edit" && <section><h2>{t("Next")}</h2><ul className="plain rows"><li><button type="button" onClick={go(run.next_drawn ?? run.next)}>{visible(run.next)}</button><span>{t("{n} ready", { n: run.ready })}</span></li></ul></section>}
      {scene.total > 0 && <section className="act"><Live off={lab.inFile}><button type="button" className="bt" title={t("Markdown with formulas, on the canvas (N)")} onClick={() => writeNote(lab)}><Icon name="outline" size={12} /> {t("Write a note")}</button><button type="button" className="bt" title="Ctrl+V" onClick={() => void pasteNow(lab)}><Icon name="paste" size={12} /> {t("Paste")}</button></Live></section>}
      <section className="muted f1 tip">{scene.total ? t("Select a node or an edge to see its numbers.") : t("Press A and type, or pick an operation on the left.")} {t("? lists the keys.")}</section>
    </>
  );
}

// ---------------------------------------------------------------- what it did

/** The value of a tensor, beside what makes it; of a `whole` scope only what comes out, since one node's formula is not its own. */
function Did({ tensor, outputs, node, whole = false }: { tensor: string | null; outputs: string[]; node: SceneNode | null; whole?: boolean }) {
  const lab = useLab();
  const value = useLabState((s) => s.value);
  const output = useLabState((s) => s.output);
  const slice = useLabState((s) => s.slice);
  const op = useLabState((s) => (node ? s.ops.get(node.op) : undefined));
  const fired = useLabState((s) => { const from = tensor === null ? "" : tensor.slice(0, tensor.lastIndexOf(":")); return s.run.states.get(from) === "done" && s.nodes.get(from)?.source === null; });
  if (tensor === null) return op?.doc ? <section className="did"><h2>{t("What it does")}</h2><p className="doc">{told(op.doc)}</p></section> : null;
  const m = value?.message.tensor === tensor ? value.message : null;
  const formula = whole ? "" : m?.formula || op?.latex || "";
  const doc = whole ? "" : told(m?.doc || op?.doc || "");
  const rank = m ? m.shape.length : 0;
  return (
    <>
      <section className="did">
        <div className="sh"><h2>{whole ? t("What comes out") : m?.known ? t("What it did") : t("What it will do")}</h2>{fired && <button type="button" className="ex" title={t("This run's numbers in its formula (E)")} onClick={() => explain(lab)}>{t("Explain")}</button>}{outputs.length > 0 && (
          <select className="tf out" aria-label={t("Output")} value={output} onChange={(e) => { lab.set({ output: Number(e.target.value), slice: "" }); lab.ask(); }}>{outputs.map((o, i) => <option key={o} value={i}>{o}</option>)}</select>)}</div>
        {formula && <Formula latex={formula} />}
        <ExplainCard tensor={tensor} />
        {m && value ? <ValueView value={m} data={value.data} /> : <div className="skeleton" />}
        {m?.known && m.again && <p className="muted f0" data-again>{t("Let go to save memory, and computed again")}</p>}
        {doc && <p className="wd">{doc}</p>}
      </section>
      {m?.known && rank > 2 && <section className="slice"><Field label={t("Slice")} mono value={slice || m.slice} onCommit={(t) => { lab.set({ slice: t.trim() }); lab.ask(); }} /></section>}
      {m?.known && m.stats && <StatsView value={m} />}
    </>
  );
}

const shapeText = (shape: (number | string | null)[]): string => (shape.length === 1 ? `(${shape[0] ?? "?"},)` : `(${shape.map((d) => d ?? "?").join(", ")})`);

function ValueView({ value, data }: { value: Value; data: Float32Array }) {
  const lab = useLab();
  const theme = useLabState((s) => s.theme);
  const over = useLabState((s) => s.run.recording !== null && s.run.cursor === s.run.length);
  const hooks = { "data-testid": "value", "data-shape": shapeText(value.shape), "data-dtype": value.dtype, "data-json": value.known ? value.json ?? undefined : undefined, "data-known": value.known };
  if (value.asked) return <div className="hm unknown" {...hooks}><span className="muted"><Icon name="question" size={12} /> {t("It would give away the answer to an open question.")}</span></div>;
  if (!value.known && over) return <div className="hm unknown" {...hooks}><span className="muted">{t("The recorded run did not keep this value: it was not asked for, or not computed. Go on live computes it where it can.")}</span></div>;
  if (!value.known) return <div className="hm unknown" {...hooks}><span className="muted">{t("{type}: no value yet. Run, or step until it fires.", { type: value.dtype === "" ? t("Shape unknown") : `${shapeText(value.shape)} ${value.dtype}` })}</span></div>;
  if (value.rows * value.cols === 0 || !data.length) return <div className="hm unknown" {...hooks}><span className="muted">{t("{shape}: no elements", { shape: shapeText(value.shape) })}</span></div>;
  if (value.shape.length === 0) return <div className="hm one" {...hooks}><b title={value.json ?? undefined}>{value.json === "true" || value.json === "false" ? value.json : num(data[0])}</b></div>;
  const [lo, hi] = value.map === "div" ? [-value.hi, value.hi] : [value.lo, value.hi];
  const vector = value.shape.length === 1;
  // numbers stand in the cells while they can be read there
  const numbers = value.cols <= 6 && value.rows <= 24 && !value.sampled;
  if (vector && numbers === false && !value.sampled && value.cols <= 24) {
    return <div className="hm" {...hooks}><Table value={value} data={data} rows={value.cols} cols={1} lo={lo} hi={hi} theme={theme} root={lab.root} /><ColorBar value={value} lo={lo} hi={hi} /></div>;
  }
  return (
    <div className="hm" {...hooks}>
      {numbers ? <Table value={value} data={data} rows={value.rows} cols={value.cols} lo={lo} hi={hi} theme={theme} root={lab.root} vector={vector} /> : <Heat value={value} data={data} lo={lo} hi={hi} theme={theme} />}
      <ColorBar value={value} lo={lo} hi={hi} />
    </div>
  );
}

function cellText(x: number, value: Value): string {
  if (value.dtype === "bool") return x ? "true" : "false";
  if (value.dtype.startsWith("int") || value.dtype.startsWith("uint")) return num(x);
  return Math.abs(x) >= 100 || (x !== 0 && Math.abs(x) < 0.0005) ? num(x) : signed(x);
}

function Table({ value, data, rows, cols, lo, hi, theme, root, vector = false }: { value: Value; data: Float32Array; rows: number; cols: number; lo: number; hi: number; theme: number; root: HTMLElement | null; vector?: boolean }) {
  const colour = React.useMemo(() => (root ? scaleOf(root, value.map) : null), [root, value.map, theme]);
  const all = value.rows * value.cols;
  const whole = all === value.shape.reduce((a: number, d) => a * (typeof d === "number" ? d : 1), 1);
  const body = [];
  let widest = 0;
  for (let r = 0; r < rows; r++) {
    const cells = [];
    for (let c = 0; c < cols; c++) {
      const x = data[r * cols + c];
      if (!Number.isFinite(x)) { cells.push(<td key={c} className={Number.isNaN(x) ? "nan" : "inf"}>{Number.isNaN(x) ? "NaN" : x > 0 ? "▲ ∞" : "▼ −∞"}</td>); continue; }
      const rgb = colour?.(hi > lo ? (x - lo) / (hi - lo) : 0.5);
      const text = cellText(x, value);
      widest = Math.max(widest, textWidth(text, 11) + 12);
      cells.push(<td key={c} style={rgb ? { background: css(rgb), color: inkOn(rgb) } : undefined} title={`[${vector ? c : `${r}, ${c}`}] ${x}`}>{text}</td>);
    }
    body.push(<tr key={r}><th scope="row">{vector ? "" : r}</th>{cells}</tr>);
  }
  return <table className="ht" data-filled style={{ "--cols": cols, "--widest": `${Math.ceil(widest)}px` } as React.CSSProperties} aria-label={whole ? t("Values") : t("Values of the slice")}>
    <thead><tr><th scope="col"><span className="unseen">{t("row")}</span></th>{Array.from({ length: cols }, (_, c) => <th key={c} scope="col">{cols === 1 && rows === value.cols ? "" : c}</th>)}</tr></thead>
    <tbody>{body}</tbody>
  </table>;
}

function Heat({ value, data, lo, hi, theme }: { value: Value; data: Float32Array; lo: number; hi: number; theme: number }) {
  const lab = useLab();
  const ref = React.useRef<HTMLCanvasElement>(null);
  const [at, setAt] = React.useState<{ r: number; c: number } | null>(null);
  const [box, room] = useWidth<HTMLDivElement>();
  const most = room ? Math.max(60, Math.min(206, room - 20)) : 206;
  const cw = Math.max(1, Math.min(22, Math.floor(most / value.cols)));
  const ch = Math.max(1, Math.min(16, Math.floor(200 / value.rows)));
  const w = Math.min(most, value.cols * cw);
  const h = Math.min(200, value.rows * ch);
  React.useLayoutEffect(() => {
    if (ref.current && lab.root) paintGrid(ref.current, data, value.rows, value.cols, lo, hi, value.map, lab.root);
  }, [lab, data, value, lo, hi, theme]);
  const onKeyDown = (e: React.KeyboardEvent) => {
    const by = ({ ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] } as const)[e.key as "ArrowLeft"] as readonly [number, number] | undefined;
    if (!by || e.altKey || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    e.stopPropagation();
    const inside = (i: number, n: number) => Math.max(0, Math.min(n - 1, i));
    setAt(at ? { r: inside(at.r + by[0], value.rows), c: inside(at.c + by[1], value.cols) } : { r: 0, c: 0 });
  };
  const dims = value.shape.slice(-2);
  const rows = value.shape.length === 1 ? 1 : Number(dims[0]);
  const cols = Number(dims[dims.length - 1]);
  const real = (i: number, shown: number, whole: number) => (shown === whole || shown < 2 ? i : Math.round((i * (whole - 1)) / (shown - 1)));
  const x = at ? data[at.r * value.cols + at.c] : null;
  return (
    <div className="heat" ref={box}>
      <div className="axis x" style={{ width: w }}><span>0</span><span>{cols - 1}</span></div>
      <div className="hrow">
        <div className="axis y" style={{ height: h }}><span>0</span>{rows > 1 && <span>{rows - 1}</span>}</div>
        <canvas ref={ref} data-filled style={{ width: w, height: h }} role="application" aria-roledescription={t("heatmap")} aria-label={t("Heatmap, {rows} by {cols} cells. Arrows read them.", { rows: value.rows, cols: value.cols })} tabIndex={0} onKeyDown={onKeyDown} onBlur={() => setAt(null)}
          onPointerMove={(e) => { const b = e.currentTarget.getBoundingClientRect(); setAt({ r: Math.min(value.rows - 1, Math.max(0, Math.floor(((e.clientY - b.top) / b.height) * value.rows))), c: Math.min(value.cols - 1, Math.max(0, Math.floor(((e.clientX - b.left) / b.width) * value.cols))) }); }}
          onPointerLeave={() => setAt(null)} />
      </div>
      <div className="muted f0 probe" aria-live="polite">{at && x !== null ? `[${value.shape.length > 1 ? `${real(at.r, value.rows, rows)}, ` : ""}${real(at.c, value.cols, cols)}]  ${num(x)}` : value.sampled ? t("{shown} of {all} cells shown", { shown: `${value.rows} × ${value.cols}`, all: `${rows} × ${cols}` }) : value.slice}</div>
    </div>
  );
}

/** Every map has its scale beside it. */
function ColorBar({ value, lo, hi }: { value: Value; lo: number; hi: number }) {
  const short = (x: number) => (Math.abs(x) >= 0.001 && Math.abs(x) < 10000 ? String(Number(x.toPrecision(2))).replace("-", "−") : x === 0 ? "0" : num(x));
  return (
    <div className="cb" aria-label={t("Colour scale from {lo} to {hi}", { lo: num(lo), hi: num(hi) })} role="img">
      <span>{hi > 0 && value.map === "div" ? "+" : ""}{short(hi)}</span><i className={value.map} data-filled />{value.map === "div" && <em>0</em>}<span>{short(lo)}</span>
    </div>
  );
}

function StatsView({ value }: { value: Value }) {
  const s = value.stats;
  if (!s) return null;
  const sick = s.nan + s.inf > 0;
  const cell = (x: number | null) => (x === null ? "–" : num(x));
  const many = value.shape.length > 0;
  return (
    <section className="stats">
      <div className={`health${sick ? " sick" : ""}`}><Icon name={sick ? "error" : "done"} size={13} /><span><b>{sick ? t("Not healthy") : t("Healthy")}</b> · NaN {num(s.nan)} · Inf {num(s.inf)} · {t("zeros")} {percent(s.zeros, s.zeros > 0 && s.zeros < 0.1 ? 1 : 0)}</span></div>
      <WhyButtons tensor={value.tensor} nan={s.nan > 0} inf={s.inf > 0} zeros={many && s.zeros === 1} />
      <table className="stt" data-testid="stats" data-min={s.min ?? ""} data-max={s.max ?? ""} data-mean={s.mean ?? ""} data-std={s.std ?? ""}>
        <thead><tr><th scope="col"><span className="unseen">{t("statistic")}</span></th><th scope="col">{visible(lastPart(value.tensor))} {shapeText(value.shape)}</th></tr></thead>
        <tbody>
          {([["min", s.min], ["max", s.max], ["mean", s.mean], ["std", s.std], ["norm", s.norm]] as const).map(([k, x]) => <tr key={k}><th scope="row">{t(k)}</th><td>{cell(x)}</td></tr>)}
          <tr><th scope="row">{t("zeros")}</th><td>{percent(s.zeros, 0)}</td></tr>
        </tbody>
      </table>
      {many && s.counts.length > 1 && s.hi > s.lo && <Histogram counts={s.counts} lo={s.lo} hi={s.hi} value={value} />}
    </section>
  );
}

function Histogram({ counts, lo, hi, value }: { counts: number[]; lo: number; hi: number; value: Value }) {
  const lab = useLab();
  const theme = useLabState((s) => s.theme);
  const colour = React.useMemo(() => (lab.root ? scaleOf(lab.root, value.map) : null), [lab, value.map, theme]);
  const [clo, chi] = value.map === "div" ? [-value.hi, value.hi] : [value.lo, value.hi];
  const W = 264;
  const H = 40;
  const top = Math.max(1, ...counts);
  const w = W / counts.length;
  const zero = lo < 0 && hi > 0 ? ((0 - lo) / (hi - lo)) * W : null;
  return (
    <svg className="hist" viewBox={`0 0 ${W} 54`} width="100%" role="img" aria-label={t("Histogram from {lo} to {hi}", { lo: num(lo), hi: num(hi) })} data-filled>
      {counts.map((c, i) => {
        const mid = lo + ((i + 0.5) / counts.length) * (hi - lo);
        const rgb = colour?.(chi > clo ? (mid - clo) / (chi - clo) : 0.5);
        const h = (c / top) * (H - 2);
        return c > 0 && <rect key={i} x={i * w + 0.5} y={H - h} width={Math.max(0.5, w - 1)} height={h} style={rgb ? { fill: css(rgb) } : undefined}><title>{t("{n} in {range}", { n: c, range: `${num(lo + (i / counts.length) * (hi - lo))} … ${num(lo + ((i + 1) / counts.length) * (hi - lo))}` })}</title></rect>;
      })}
      <path d={`M0 ${H + 0.5}H${W}`} />
      {zero !== null && <path d={`M${zero} ${H}v4`} />}
      <text x="0" y="52" textAnchor="start">{tick(lo, (hi - lo) / 10)}</text>
      {zero !== null && zero > 50 && zero < W - 50 && <text x={zero} y="52" textAnchor="middle">0</text>}
      <text x={W} y="52" textAnchor="end">{tick(hi, (hi - lo) / 10)}</text>
    </svg>
  );
}
