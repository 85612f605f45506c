// The left panel: search and add, the outline that mirrors the canvas, the categories' legend.
import * as React from "react";
import type { CompositeSpec, Scene } from "../protocol.gen";
import { Icon, categoryIcon } from "../shared/icons";
import { Live, needsKernel } from "../shared/live";
import { opWord, t, tn, told } from "../shared/words";
import { aboutNode, aboutScope } from "./describe";
import { lastPart, problemOf, shortDtype, visible } from "./geometry";
import { searchOps, type Hit } from "./search";
import { useAgain } from "./making";
import { type Carry, type Lab, type State, useLab, useLabState } from "./store";
import { activeIn, elementAt } from "../shared/tree";

export function Palette() {
  const lab = useLab();
  const panel = useLabState((s) => s.panel);
  return (
    <aside className={`pal${panel === "outline" ? " show-outline" : ""}`} aria-label={t("Operations and outline")}>
      <Live off={lab.inFile}><Search /></Live>
      <div className="palx">
        <Outline />
        <Composites />
        <Legend />
      </div>
    </aside>
  );
}

/** What a pending port wants, in words. */
function pendingText(s: State): string {
  const { pending, nodes, selected } = s;
  if (s.into !== null) return t("into {wire}", { wire: s.into.replace("->", " → ") });
  if (!pending) {
    const out = selected.length === 1 ? nodes.get(selected[0])?.outputs[s.output] : undefined;
    return out?.shape ? t("for {what}", { what: `${selected[0]} ${out.shape}` }) : "";
  }
  if (pending.dir === "in") return t("feeds {node}, port {port}", { node: pending.node, port: pending.port });
  const out = nodes.get(pending.node)?.outputs.find((o) => String(o.index) === pending.port) ?? s.scopes.get(pending.node)?.out_ports.find((p) => p.port === pending.port);
  return t("takes {what}", { what: `${pending.node}${out?.shape ? ` ${out.shape}` : ""}` });
}

export function Search() {
  const lab = useLab();
  const palette = useLabState((s) => s.palette);
  const query = useLabState((s) => s.query);
  const pending = useLabState((s) => s.pending);
  const into = useLabState((s) => s.into);
  const searching = useLabState((s) => s.searching);
  const panel = useLabState((s) => s.panel);
  const context = useLabState(pendingText);
  const carrying = useLabState((s) => s.carry !== null);
  const [active, setActive] = React.useState(0);
  const list = React.useRef<HTMLUListElement>(null);
  const open = searching || query !== "" || panel === "add";
  const offered = useLabState(() => (open ? lab.offered() : null));
  const revision = useLabState((s) => s.scene?.revision ?? 0);
  const fits = useLabState((s) => s.fits);
  React.useEffect(() => { if (offered !== null) lab.quiet({ type: "ask_fits", tensor: offered }); }, [lab, offered, revision]);
  const known = fits && fits.tensor === offered ? fits : null;
  const hits = React.useMemo(() => (open && palette ? searchOps(palette.ops, query, pending?.dir ?? (into !== null ? "both" : null), known) : []), [open, palette, query, pending, into, known]);
  const composites = useLabState((s) => s.scene?.composites ?? NO_COMPOSITES);
  const again = open && pending === null && into === null && query.trim() !== "" ? composites.filter((c) => c.name.toLowerCase().includes(query.trim().toLowerCase())) : NO_COMPOSITES;
  React.useEffect(() => setActive(0), [query, pending, into]);
  React.useEffect(() => { list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" }); }, [active]);
  const id = React.useId();
  const box = React.useRef<HTMLDivElement>(null);
  const close = () => lab.set({ query: "", pending: null, into: null, searching: false, panel: null });
  const all = hits.length + again.length;
  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.nativeEvent.isComposing) return;
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      setActive((i) => Math.max(0, Math.min(all - 1, i + (e.key === "ArrowDown" ? 1 : -1))));
    } else if (e.key === "Enter") {
      e.preventDefault();
      const hit = hits[active] ?? (active === 0 || active >= all ? hits[0] : undefined);
      const made = again[active - hits.length];
      if (made) void useAgain(lab, made);
      else if (hit) void lab.add(hit.op.type);
      else if (query) lab.say(`No operation is called ${query}.`);
    } else if (e.key === "Escape") {
      e.preventDefault();
      e.stopPropagation();
      close();
      lab.root?.focus({ preventScroll: true });
    }
  };
  return (
    <div className={`search${open ? " open" : ""}`} ref={box} onBlur={(e) => { if (!box.current?.contains(e.relatedTarget as Node | null)) lab.set({ searching: false, into: null, panel: lab.state.panel === "add" ? null : lab.state.panel }); }}>
      <label className="srch">
        <Icon name="find" size={13} />
        <input
          ref={(el) => { lab.search = el; }} type="text" role="searchbox" aria-label={t("Add an operation")} placeholder={t("Add an operation")} autoComplete="off" spellCheck={false} value={query}
          aria-controls={open ? id : undefined} aria-activedescendant={open && all ? `${id}-${active}` : undefined}
          onChange={(e) => lab.set({ query: e.target.value })} onFocus={() => lab.set({ searching: true })} onKeyDown={onKeyDown}
        />
        <kbd aria-hidden="true">A</kbd>
      </label>
      {open && (
        <div className={`sdrop${carrying ? " carrying" : ""}`}>
          <div className="muted f0 ctx" aria-live="polite">{[visible(context), palette ? (all && query ? t("{n} found", { n: all }) : "") : t("waiting for the kernel"), palette ? (all ? t("Enter adds the first") : query ? t("nothing found") : "") : ""].filter(Boolean).join(" · ")}</div>
          <ul className="hits" role="listbox" id={id} ref={list} aria-label={t("Operations")} tabIndex={0} aria-activedescendant={all ? `${id}-${active}` : undefined} onKeyDown={onKeyDown}>
            {hits.map((h, i) => <HitRow key={h.op.type} hit={h} id={`${id}-${i}`} on={i === active} />)}
            {again.map((c, i) => <CompositeRow key={c.of} made={c} id={`${id}-${hits.length + i}`} on={hits.length + i === active} />)}
          </ul>
        </div>
      )}
    </div>
  );
}

function HitRow({ hit, id, on }: { hit: Hit; id: string; on: boolean }) {
  const lab = useLab();
  const { op } = hit;
  const signature = op.inputs.length ? `(${op.inputs.join(", ")}${op.variadic ? ", …" : ""})` : op.category === "input" ? t("source") : "()";
  return (
    <li role="option" id={id} data-op={op.type} aria-selected={on} className={`c-${op.category}${on ? " sel" : ""}${hit.fits ? "" : " no"}`} title={told(op.doc)}
      onMouseDown={(e) => e.preventDefault()} {...carried(lab, { kind: "op", id: op.type, label: op.function, category: op.category }, () => void lab.add(op.type))}>
      <Icon name={categoryIcon(op.category)} size={13} className="ci" />
      <span className="hn">
        <span className="hw">{op.function.slice(0, hit.from)}{hit.to > hit.from && <mark>{op.function.slice(hit.from, hit.to)}</mark>}{op.function.slice(hit.to)}</span>
        <small>{told(hit.why) || opWord(op) || op.doc}</small>
      </span>
      <span className="ho" title={signature}>{hit.gives ? `→ ${hit.gives}` : signature}</span>
    </li>
  );
}

const NO_COMPOSITES: CompositeSpec[] = [];

/** A click adds; dragged onto the canvas it stands where it is let go, and on a wire it goes into it. */
function carried(lab: Lab, what: Omit<Carry, "x" | "y" | "edge">, add: () => void) {
  let moved = false;
  return {
    onClick: () => { if (moved) { moved = false; return; } add(); },
    onPointerDown: (e: React.PointerEvent) => {
      if (e.button !== 0) return;
      moved = false;
      const start = { x: e.clientX, y: e.clientY };
      const edgeAt = (m: PointerEvent): string | null => elementAt(lab.root, m.clientX, m.clientY)?.closest("[data-edge]")?.getAttribute("data-edge") ?? null;
      const move = (m: PointerEvent) => {
        if (!moved && Math.hypot(m.clientX - start.x, m.clientY - start.y) < 6) return;
        moved = true;
        const box = lab.root?.getBoundingClientRect();
        lab.set({ carry: { ...what, x: m.clientX - (box?.left ?? 0), y: m.clientY - (box?.top ?? 0), edge: what.kind === "op" ? edgeAt(m) : null } });
      };
      const stop = (m: PointerEvent) => {
        window.removeEventListener("pointermove", move);
        window.removeEventListener("pointerup", stop);
        window.removeEventListener("pointercancel", stop);
        if (!moved) return;
        lab.set({ carry: null });
        setTimeout(() => { moved = false; }, 0);
        const over = elementAt(lab.root, m.clientX, m.clientY);
        if (m.type !== "pointerup" || !over?.closest(".cv") || !lab.root?.contains(over)) return;
        const at = lab.view?.toFlow({ x: m.clientX, y: m.clientY }) ?? null;
        const edge = edgeAt(m);
        if (what.kind === "composite") {
          const made = lab.state.scene?.composites.find((c) => c.of === what.id);
          if (made) void useAgain(lab, made, at && { x: at.x - 57, y: at.y - 46 });
          return;
        }
        lab.dropPoint = edge === null && at ? { x: at.x - 57, y: at.y } : null;
        lab.set({ pending: null, into: edge });
        void lab.add(what.id);
      };
      window.addEventListener("pointermove", move);
      window.addEventListener("pointerup", stop);
      window.addEventListener("pointercancel", stop);
    },
  };
}

/** What is carried, beside the pointer. */
export function Carried() {
  const carry = useLabState((s) => s.carry);
  if (!carry) return null;
  return <div className={`carry c-${carry.category}`} style={{ left: carry.x + 10, top: carry.y + 8 }} aria-hidden="true"><Icon name={categoryIcon(carry.category)} size={12} className="ci" />{visible(carry.label)}{carry.edge !== null && <em>{t("into the wire")}</em>}</div>;
}

function CompositeRow({ made, id, on = false }: { made: CompositeSpec; id?: string; on?: boolean }) {
  const lab = useLab();
  return (
    <li role="option" id={id} data-composite={made.name} aria-selected={on} className={`c-${made.category}${on ? " sel" : ""}`} title={t("{signature}: add another", { signature: `${made.name}(${made.inputs.join(", ")}) → ${made.outputs.join(", ") || t("nothing")}` })}
      onMouseDown={(e) => e.preventDefault()} tabIndex={id === undefined ? -1 : undefined} onKeyDown={(e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); e.stopPropagation(); void useAgain(lab, made); } }}
      {...carried(lab, { kind: "composite", id: made.of, label: made.name, category: made.category }, () => void useAgain(lab, made))}>
      <Icon name={categoryIcon(made.category)} size={13} className="ci" />
      <span className="hn"><span className="hw">{visible(made.name)}</span><small>{made.uses > 1 ? `${t("used {n} times", { n: made.uses })} · ` : ""}{tn(made.count, "{n} node", "{n} nodes")}</small></span>
      <span className="ho">({made.inputs.map(visible).join(", ")})</span>
    </li>
  );
}

/** The composites of this document, to be used again. */
function Composites() {
  const made = useLabState((s) => s.scene?.composites ?? NO_COMPOSITES);
  if (!made.length) return null;
  const move = (e: React.KeyboardEvent<HTMLUListElement>) => {
    if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return;
    const items = [...e.currentTarget.querySelectorAll<HTMLElement>("li")];
    const i = items.indexOf(activeIn(e.currentTarget) as HTMLElement);
    e.preventDefault();
    e.stopPropagation();
    items[Math.max(0, Math.min(items.length - 1, i + (e.key === "ArrowDown" ? 1 : -1)))]?.focus();
  };
  return (
    <section className="composites">
      <div className="sh pd"><h2>{t("Composites")}</h2><span className="muted f0">{t("click adds another")}</span></div>
      <ul className="hits" role="listbox" aria-label={t("Composites")} tabIndex={0} onKeyDown={move}>{made.map((c) => <CompositeRow key={c.of} made={c} />)}</ul>
    </section>
  );
}

type Row = { id: string; label: string; depth: number; group: boolean; open: boolean };

/** The drawn elements as a tree of scopes, in creation order. */
export function outlineRows(scene: Scene): Row[] {
  const opened = new Set(scene.opened.map((o) => o.name));
  const out: Row[] = [];
  const seen = new Set<string>();
  const enter = (scope: string) => {
    if (scope === "" || seen.has(scope)) return;
    enter(scope.slice(0, Math.max(0, scope.lastIndexOf("/"))));
    seen.add(scope);
    out.push({ id: scope, label: lastPart(scope), depth: scope.split("/").length - 1, group: true, open: true });
  };
  // members of one scope stand together, where its first member is
  const elements = [...scene.nodes.map((n) => n.name), ...scene.scopes.map((s) => s.name)];
  const byScope = new Map<string, string[]>();
  const order: string[] = [];
  for (const e of elements) {
    const scope = e.slice(0, Math.max(0, e.lastIndexOf("/")));
    const top = scope.split("/")[0];
    const key = scope === "" ? e : `\u0000${top}`;
    if (!byScope.has(key)) { byScope.set(key, []); order.push(key); }
    byScope.get(key)?.push(e);
  }
  for (const key of order) {
    const members = byScope.get(key) ?? [];
    if (key.startsWith("\u0000")) members.sort((a, b) => { const x = a.slice(0, a.lastIndexOf("/")); const y = b.slice(0, b.lastIndexOf("/")); return x < y ? -1 : x > y ? 1 : 0; });
    for (const e of members) {
      const scope = e.slice(0, Math.max(0, e.lastIndexOf("/")));
      if (opened.has(scope)) enter(scope);
      out.push({ id: e, label: lastPart(e), depth: scope === "" ? 0 : scope.split("/").length, group: false, open: false });
    }
  }
  return out;
}

function Outline() {
  const lab = useLab();
  const scene = useLabState((s) => s.scene);
  const selected = useLabState((s) => s.selected);
  const rows = React.useMemo(() => (scene ? outlineRows(scene) : []), [scene]);
  const [shut, setShut] = React.useState<ReadonlySet<string>>(new Set());
  const [at, setAt] = React.useState<string | null>(null);
  const typed = React.useRef({ text: "", when: 0 });
  const list = React.useRef<HTMLUListElement>(null);
  const shown = rows.filter((r) => ![...shut].some((g) => r.id !== g && r.id.startsWith(`${g}/`))).slice(0, 400);
  // one row is in the order of Tab: the one that was last at hand, else what is selected on the canvas
  const home = (shown.find((r) => r.id === at) ?? shown.find((r) => selected.includes(r.id)) ?? shown[0])?.id;
  const toggle = (id: string) => setShut((s) => { const next = new Set(s); if (!next.delete(id)) next.add(id); return next; });
  const pick = (row: Row) => { if (!row.group) { lab.select([row.id]); lab.view?.show(row.id); } };
  const go = (row: Row | undefined) => {
    if (!row) return;
    setAt(row.id);
    [...list.current?.querySelectorAll<HTMLElement>("[data-row]") ?? []].find((el) => el.dataset.row === row.id)?.focus();
    pick(row);
  };
  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.nativeEvent.isComposing) return;
    const i = shown.findIndex((r) => r.id === activeIn(list.current)?.dataset.row);
    const row = shown[i];
    if (!row) return;
    const parent = shown.slice(0, i).reverse().find((r) => r.depth < row.depth);
    if (e.key === "ArrowDown") go(shown[i + 1]);
    else if (e.key === "ArrowUp") go(shown[i - 1]);
    else if (e.key === "Home") go(shown[0]);
    else if (e.key === "End") go(shown[shown.length - 1]);
    else if (e.key === "ArrowRight") {
      if (row.group && shut.has(row.id)) toggle(row.id);
      else if (row.group) go(shown[i + 1]);
      else if (lab.state.scopes.has(row.id)) lab.fold([row.id], true);
    } else if (e.key === "ArrowLeft") {
      if (row.group && !shut.has(row.id)) toggle(row.id);
      else go(parent);
    } else if (e.key === "Enter" || e.key === " ") {
      if (row.group) toggle(row.id);
      else lab.go(row.id);
    } else if (/^[\p{L}\p{N}_]$/u.test(e.key)) {
      // letters look for a name here, as in every tree; in the canvas they are commands
      const now = performance.now();
      const text = (now - typed.current.when < TYPING ? typed.current.text : "") + e.key.toLowerCase();
      typed.current = { text, when: now };
      const rest = [...shown.slice(i + 1), ...shown.slice(0, i + 1)];
      go((text.length > 1 && row.label.toLowerCase().startsWith(text) ? row : undefined) ?? rest.find((r) => r.label.toLowerCase().startsWith(text)));
    } else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <section className="outline">
      <div className="sh pd"><h2>{t("Outline")}</h2><span className="muted f0">{scene ? tn(scene.total, "{n} node", "{n} nodes") : ""}{scene?.scopes.length ? ` · ${t("{n} folded", { n: scene.scopes.length })}` : ""}</span></div>
      {shown.length > 0
        ? <ul className="outl" role="tree" aria-label={t("Outline")} ref={list} onKeyDown={onKeyDown}>
            {shown.map((r) => r.group
              ? <li key={`g${r.id}`} role="treeitem" aria-level={r.depth + 1} aria-expanded={!shut.has(r.id)} aria-selected={false} data-row={r.id} className="grp" style={{ paddingLeft: 8 + 14 * r.depth }} tabIndex={r.id === home ? 0 : -1}
                  title={t("{name}: click shows or hides its rows, double-click folds it on the canvas", { name: visible(r.id) })} onClick={() => toggle(r.id)} onDoubleClick={() => lab.fold([r.id], false)}>
                  <Icon name={shut.has(r.id) ? "chevronRight" : "chevronDown"} size={10} /><span>{visible(r.label)}</span><span className="unseen">{t("scope")}</span>
                </li>
              : <OutlineRow key={r.id} row={r} home={r.id === home} pick={() => { setAt(r.id); pick(r); }} />)}
          </ul>
        : scene && <p className="muted f1 none">{t("Nothing here yet.")}</p>}
    </section>
  );
}

const TYPING = 800;   // ms in which letters belong to one word

function OutlineRow({ row, home, pick }: { row: Row; home: boolean; pick(): void }) {
  const node = useLabState((s) => s.nodes.get(row.id));
  const scope = useLabState((s) => s.scopes.get(row.id));
  const state = useLabState((s) => s.run.states.get(row.id) ?? "idle");
  const on = useLabState((s) => s.selected.includes(row.id));
  const thumb = useLabState((s) => (node?.outputs[0] ? s.thumbs.get(node.outputs[0].tensor) : undefined));
  const progress = useLabState((s) => s.run.progress.get(row.id));
  const item = node ?? scope;
  if (!item) return null;
  const category = item.phase === "backward" ? "gradient" : node?.source === "variable" ? "state" : item.category;
  const shown = (node ? problemOf(node) : item.error) !== null ? "error" : state;
  const note = scope ? (progress ? `${progress[0]} / ${progress[1]}` : `×${scope.count}`)
    : thumb?.value != null && !thumb.uniform ? thumb.value : node?.outputs[0]?.shape ?? "";
  return (
    <li className={`c-${category} s-${shown}${on ? " on" : ""}`} role="treeitem" aria-level={row.depth + 1} aria-selected={on} aria-expanded={scope ? false : undefined}
      data-row={row.id} style={{ paddingLeft: 12 + 14 * row.depth }} tabIndex={home ? 0 : -1} title={visible(row.id)} onClick={pick}>
      <Icon name={categoryIcon(category)} size={11} className="ci" />
      <span>{visible(row.label)}</span>
      <span className="unseen">{node ? aboutNode(node, shown, thumb?.value) : scope && aboutScope(scope, shown)}</span>
      <em aria-hidden="true">{note}{node && shortDtype(node.outputs[0]?.dtype ?? null).startsWith("i") ? ` ${shortDtype(node.outputs[0]?.dtype ?? null)}` : ""}</em>
      <Icon name={shown} size={12} className="st" />
    </li>
  );
}

function Legend() {
  const palette = useLabState((s) => s.palette);
  const hasGradient = useLabState((s) => s.scene?.nodes.some((n) => n.phase === "backward") ?? false);
  if (!palette) return null;
  const categories = [...palette.categories, ...(hasGradient && !palette.categories.includes("gradient") ? ["gradient"] : [])];
  return (
    <section className="legend">
      <div className="sh pd"><h2>{t("Categories")}</h2></div>
      <div className="cats">{categories.map((c) => <span key={c} className={`c-${c}`}><Icon name={categoryIcon(c)} size={12} className="ci" />{t(c)}</span>)}</div>
    </section>
  );
}

/** The narrow panel: icons that open what the wide one shows. */
export function Rail() {
  const lab = useLab();
  const panel = useLabState((s) => s.panel);
  const toggle = (p: "outline" | "keys") => lab.set({ panel: panel === p ? null : p });
  return (
    <nav className="rail" aria-label={t("Panels")}>
      <button type="button" className="cbn" aria-label={t("Add a node")} disabled={lab.inFile} title={lab.inFile ? needsKernel() : t("Add a node (A)")} onClick={() => lab.askForOperation()}><Icon name="add" /></button>
      <button type="button" className={`cbn${panel === "outline" ? " on" : ""}`} aria-label={t("Outline")} title={t("Outline")} aria-expanded={panel === "outline"} onClick={() => toggle("outline")}><Icon name="outline" /></button>
      <button type="button" className="cbn" aria-label={t("Show find")} title={t("Find (Ctrl+F)")} onClick={() => focusFind(lab)}><Icon name="find" /></button>
      <button type="button" className={`cbn${panel === "keys" ? " on" : ""}`} aria-label={t("Keys")} aria-keyshortcuts="?" title={t("Keys (?)")} aria-expanded={panel === "keys"} onClick={() => toggle("keys")}><Icon name="keyboard" /></button>
    </nav>
  );
}

export const focusFind = (lab: Lab): void => { lab.find?.focus(); lab.find?.select(); };
