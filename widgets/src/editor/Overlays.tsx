// What opens over the canvas: the keys, connect-to, the empty state, the offer of a saved document.
import * as React from "react";
import { Icon, categoryIcon } from "../shared/icons";
import { t, told, tx, useLanguage } from "../shared/words";
import { visible } from "./geometry";
import { KEYS } from "./keys";
import { type PortRef, hookOf, useLab, useLabState } from "./store";
import { startTour } from "./Tour";

export function KeysPanel() {
  const lab = useLab();
  const open = useLabState((s) => s.panel === "keys");
  const ref = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => { if (open) ref.current?.focus(); }, [open]);
  if (!open) return null;
  // in this order they fill columns of one height
  const groups = ["Build", "Move", "File", "Lecture", "Run", "Debug"];
  return (
    <div className="sheet" role="dialog" aria-label={t("Keys")} ref={ref} tabIndex={-1}>
      <div className="sh"><h2>{t("Keys, while the canvas has the focus")}</h2><button type="button" className="x" aria-label={t("Close")} onClick={() => { lab.set({ panel: null }); lab.root?.focus(); }}><Icon name="close" size={11} /></button></div>
      <div className="kgrid">{groups.map((g) => <section key={g}><h3>{t(g)}</h3><dl>{KEYS.filter((k) => k.group === g).map((k) => <div key={k.keys}><dt><kbd>{k.keys}</kbd></dt><dd>{t(k.does)}</dd></div>)}</dl></section>)}</div>
      <p className="muted f1">{t("Click a port and then another to wire them, or drag. Alt-click cuts a wire. Ctrl+S saves the notebook.")}</p>
    </div>
  );
}

type Target = { port: PortRef; from?: PortRef; label: string; note: string; category: string; wired: boolean; why?: string };

export function ConnectMenu() {
  const lab = useLab();
  const open = useLabState((s) => s.panel === "connect");
  const pending = useLabState((s) => s.pending);
  const nodes = useLabState((s) => s.nodes);
  const scopes = useLabState((s) => s.scopes);
  const reach = useLabState((s) => s.reach);
  const lang = useLanguage();
  const [text, setText] = React.useState("");
  const [active, setActive] = React.useState(0);
  const id = React.useId();
  React.useEffect(() => { setText(""); setActive(0); }, [open]);
  const targets = React.useMemo((): Target[] => {
    if (!open || !pending) return [];
    const out: Target[] = [];
    // what the node itself still waits for comes first: whoever has just added it wants to feed it
    const all = [...nodes.values(), ...scopes.values()].map((e) => ({ name: e.name, category: e.category, inputs: lab.inputsOf(e.name), outputs: lab.outputsOf(e.name) }));
    const waits = pending.dir === "out" ? lab.inputsOf(pending.node).filter((p) => !p.wired && !p.optional) : [];
    const label = (name: string, plug: { label: string }, many: number) => `${name}${many > 1 ? `:${plug.label}` : ""}`;
    for (const p of waits) {
      const from: PortRef = { node: pending.node, dir: "in", port: p.port };
      for (const n of all) {
        if (lab.blocked(from, n.name, "out")) continue;
        for (const o of n.outputs) out.push({ port: { node: n.name, dir: "out", port: o.port }, from, label: `${label(n.name, o, n.outputs.length)} → ${p.label}`, note: o.shape ?? "", category: n.category, wired: false });
      }
    }
    for (const n of all) {
      const dir = pending.dir === "out" ? "in" : "out";
      if (lab.blocked(pending, n.name, dir)) continue;
      // the wire that is there already is no choice
      const wired = (p: { port: string }) => lab.state.wiring.edges.has(`${pending.node}:${pending.port}->${n.name}:${p.port}`);
      if (dir === "in") for (const p of n.inputs.filter((q) => !wired(q))) out.push({ port: { node: n.name, dir, port: p.port }, label: `${n.name}:${p.label}`, note: p.wired ? t("replaces its wire") : p.optional ? t("optional") : t("open"), category: n.category, wired: p.wired });
      else for (const o of n.outputs) out.push({ port: { node: n.name, dir, port: o.port }, label: label(n.name, o, n.outputs.length), note: o.shape ?? "", category: n.category, wired: false });
    }
    const q = text.trim().toLowerCase();
    // what would not fit comes last, with its reason
    const whys = reach !== null && reach.port === hookOf(pending) ? reach.whys : {};
    const weighed = out.map((o) => (o.from === undefined && hookOf(o.port) in whys ? { ...o, why: whys[hookOf(o.port)] } : o));
    return weighed.filter((t) => t.label.toLowerCase().includes(q)).sort((a, b) => Number(a.why !== undefined) - Number(b.why !== undefined) || Number(a.wired) - Number(b.wired));
  }, [open, pending, nodes, scopes, text, lab, lang, reach]);
  React.useEffect(() => { if (open && pending) lab.askReach(pending); }, [lab, open, pending]);
  // what was typed is there, and cannot be wired: the reason is worth more than an empty list
  const refused = React.useMemo((): string | null => {
    const q = text.trim().toLowerCase();
    if (!open || !pending || !q || targets.length) return null;
    for (const name of [...nodes.keys(), ...scopes.keys()]) {
      const ports = [...lab.inputsOf(name).map((p) => ({ dir: "in" as const, p })), ...lab.outputsOf(name).map((p) => ({ dir: "out" as const, p }))];
      const meant = ports.filter(({ p }) => `${name}:${p.label}`.toLowerCase().includes(q));
      const port = meant.find(({ dir }) => dir !== pending.dir) ?? meant[0];
      const why = port && lab.refusal(pending, { node: name, dir: port.dir, port: port.p.port });
      if (why) return why;
    }
    return null;
  }, [open, pending, nodes, scopes, text, targets, lab]);
  if (!open || !pending) return null;
  const found = targets.length ? (text.trim() ? t("{n} found", { n: targets.length }) : "") : told(refused ?? "Nothing fits: add a node with A.");
  const close = () => { lab.set({ panel: null, pending: null }); lab.focus(pending.node); };
  const take = (t: Target | undefined) => { if (!t) return; lab.set({ panel: null }); lab.focus(pending.node); void lab.join(t.from ?? pending, t.port); };
  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); setActive((i) => Math.max(0, Math.min(targets.length - 1, i + (e.key === "ArrowDown" ? 1 : -1)))); }
    else if (e.key === "Enter") { e.preventDefault(); take(targets[active]); }
    else if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); close(); }
  };
  return (
    <div className="sheet connect" role="dialog" aria-label={t("Connect to")}>
      <h2>{t("Connect {name} with…", { name: visible(pending.node) })}</h2>
      <input
        className="tf" type="text" role="combobox" aria-label={t("Connect to")} aria-expanded={targets.length > 0} aria-controls={targets.length ? id : undefined} aria-activedescendant={targets.length ? `${id}-${active}` : undefined} autoFocus autoComplete="off" spellCheck={false}
        value={text} onChange={(e) => { setText(e.target.value); setActive(0); }}
        onKeyDown={onKeyDown}
      />
      <p className="none muted" aria-live="polite">{found}</p>
      {targets.length > 0 && <ul className="hits" role="listbox" id={id} aria-label={t("Ports")} tabIndex={0} aria-activedescendant={`${id}-${active}`} onKeyDown={onKeyDown}>
        {targets.slice(0, 60).map((t, i) => (
          <li key={t.label} role="option" id={`${id}-${i}`} aria-selected={i === active} className={`c-${t.category}${i === active ? " sel" : ""}${t.why !== undefined ? " no" : ""}`} onMouseDown={(e) => e.preventDefault()} onClick={() => take(t)}>
            <Icon name={categoryIcon(t.category)} size={12} className="ci" /><span className="hn">{visible(t.label)}{t.why !== undefined && <small title={told(t.why)}>{visible(told(t.why))}</small>}</span><span className="ho">{t.note}</span>
          </li>
        ))}
      </ul>}
    </div>
  );
}

export function Empty() {
  const lab = useLab();
  const empty = useLabState((s) => s.scene !== null && s.scene.total === 0);
  const examples = useLabState((s) => s.palette?.examples ?? NONE);
  const templates = useLabState((s) => s.palette?.templates ?? NONE);
  const searching = useLabState((s) => s.searching || s.query !== "");
  if (!empty) return null;
  return (
    <div className={`empty${searching ? " quiet" : ""}`}>
      <p>{t("Add an operation, wire it to the next, and watch real numbers flow.")}</p>
      <button type="button" className="fakesearch" onClick={() => lab.askForOperation()}><Icon name="find" size={13} /><span>{t("Search operations")}</span><kbd aria-hidden="true">A</kbd></button>
      {examples.length > 0 && <>
        <p className="muted f1">{t("or start from")}</p>
        <div className="exs">{examples.slice(0, 3).map((e) => <button type="button" key={e.label} className="bt" onClick={() => void lab.edit(e.edits, `Opened ${e.label}.`).then(() => lab.view?.fit())}><Icon name="tidy" size={12} /> {visible(told(e.label))}</button>)}</div>
        {templates.length > 0 && <div className="exs">{templates.map((e) => <button type="button" key={e.name} className="bt" data-template={e.name} onClick={() => void lab.command("new", { node: e.name }).then(() => lab.view?.fit())}>{visible(told(e.label))}</button>)}</div>}
      </>}
      <div className="exs"><button type="button" className="bt" onClick={() => startTour(lab)}><Icon name="tour" size={12} /> {t("A tour of two minutes")}</button></div>
    </div>
  );
}

const NONE: never[] = [];

export function OfferBar() {
  const lab = useLab();
  const offer = useLabState((s) => s.offer);
  if (!offer) return null;
  const answer = (name: "go_on" | "start_fresh") => () => { lab.set({ offer: null }); void lab.command(name).then(() => lab.view?.fit()); };
  return (
    <div className="offer" role="region" aria-label={t("Saved document")}>
      <Icon name="save" size={13} />
      <span>{tx(offer.saved ? "{title} with {n} nodes was edited here and saved {when}." : "{title} with {n} nodes was edited here.", { title: <b>{visible(offer.title) || t("A document")}</b>, n: offer.nodes, when: offer.saved })}</span>
      <button type="button" className="bt pri" data-filled onClick={answer("go_on")}>{t("Go on with it")}</button>
      <button type="button" className="bt" onClick={answer("start_fresh")}>{t("Start from the cell")}</button>
    </div>
  );
}

