// One drawn element: a node, a source, or a folded scope as a stack of cards.
import * as React from "react";
import type { NodeProps } from "@xyflow/react";
import type { SceneNode, SceneScope } from "../protocol.gen";
import { Icon, categoryIcon } from "../shared/icons";
import { t, tn, told } from "../shared/words";
import { insideOf, wordsOfNode, wordsOfScope } from "./describe";
import { type ElementGeo, type PortGeo, dtypeFamily, inKey, lastPart, outKey, problemOf, shortDtype, visible } from "./geometry";
import { Cost, Marks } from "./Debug";
import { type PortRef, type State, hookOf, useLab, useLabState } from "./store";
import { Thumbnail } from "./thumbs";
import { usePortGestures } from "./wiring";

export const NodeCard = React.memo(function NodeCard({ id }: NodeProps) {
  const node = useLabState((s) => s.nodes.get(id));
  const scope = useLabState((s) => s.scopes.get(id));
  const geo = useLabState((s) => s.geos.get(id));
  const far = useLabState((s) => s.far);
  if (!geo) return null;
  if (far) return <FarCard id={id} node={node} scope={scope} geo={geo} />;
  if (node) return node.source !== null ? <SourceCard node={node} geo={geo} /> : <OpCard node={node} geo={geo} />;
  return scope ? <ScopeCard scope={scope} geo={geo} /> : null;
});

function useElement(id: string) {
  const lab = useLab();
  const selected = useLabState((s) => s.selected.includes(id));
  const state = useLabState((s) => (s.firing.has(id) ? "running" : s.run.states.get(id) ?? "idle"));
  const fired = useLabState((s) => s.run.last_drawn === id && s.run.cursor > 0);
  const next = useLabState((s) => s.run.next_drawn === id && s.run.mode !== "edit");
  const home = useLabState((s) => s.home === id);
  const lit = useLabState((s) => s.lit.has(id));
  const hover = { onPointerEnter: () => lab.light(id, true), onPointerLeave: () => lab.light(null, true), "data-lit": lit || undefined };
  const ref = React.useCallback((el: HTMLDivElement | null) => {
    if (el) lab.refs.set(id, el);
    else lab.refs.delete(id);
  }, [lab, id]);
  // a focus that did not come from the mouse selects: keyboard and screen reader move through the graph this way
  const onFocus = (e: React.FocusEvent) => {
    if (e.target !== e.currentTarget) return;
    // under the mouse nothing moves: the press and the release must meet the same thing
    if (lab.pointing) return;
    if (!lab.state.selected.includes(id)) lab.select([id]);
    lab.view?.show(id);
  };
  return { lab, selected, state, fired, next, tabIndex: home ? 0 : -1, ref, onFocus, hover };
}

/** An element seen from far away: a box in the colour of what it does and how it stands. */
function FarCard({ id, node, scope, geo }: { id: string; node?: SceneNode; scope?: SceneScope; geo: ElementGeo }) {
  const { lab, selected, state, fired, next, tabIndex, ref, onFocus } = useElement(id);
  const it = node ?? scope;
  if (!it) return null;
  const shown = (node ? problemOf(node) : it.error) !== null ? "error" : state;
  const category = it.phase === "backward" ? "gradient" : node?.source ? (node.source === "variable" ? "state" : "input") : it.category;
  const own = node ? { "data-node": id, "data-op": node.op, "data-source": node.source ?? undefined } : { "data-scope": id, "data-stack": scope?.stack ?? undefined };
  return (
    <div
      ref={ref} className={`n farc c-${category} p-${it.phase} s-${shown}${scope ? " many" : ""}${selected ? " sel" : ""}${fired ? " fired" : ""}${next ? " next" : ""}`}
      style={{ width: geo.w, height: geo.h }} tabIndex={tabIndex} onFocus={onFocus} role="group" aria-roledescription={node ? t("node") : t("folded scope")} title={visible(id)}
      aria-label={node ? wordsOfNode(node, shown) : scope ? wordsOfScope(scope, shown) : undefined} aria-current={selected || undefined} data-state={shown} data-phase={it.phase} {...own}
      onDoubleClick={scope ? (e) => { e.stopPropagation(); void lab.into(id); } : undefined}
    />
  );
}

function OpCard({ node, geo }: { node: SceneNode; geo: ElementGeo }) {
  const { selected, state, fired, next, tabIndex, ref, onFocus, hover } = useElement(node.name);
  const out = node.outputs[0];
  const tensor = useLabState((s) => (out ? s.thumbs.get(out.tensor) : undefined));
  const waits = useLabState((s) => (s.run.mode !== "edit" ? s.run.inputs.get(node.name) : undefined));
  const shown = problemOf(node) !== null ? "error" : state;
  const open = node.inputs.filter((p) => !p.wired && !p.optional).map((p) => visible(p.port));
  const category = node.phase === "backward" ? "gradient" : node.category;
  const cls = `n c-${category} p-${node.phase} s-${shown}${geo.kind === "compact" ? " cp" : ""}${selected ? " sel" : ""}${fired ? " fired" : ""}${next ? " next" : ""}`;
  return (
    <div
      ref={ref} className={cls} style={{ width: geo.w, height: geo.h }} tabIndex={tabIndex} onFocus={onFocus} role="group" aria-roledescription={t("node")}
      aria-label={wordsOfNode(node, shown, tensor?.value)} aria-current={selected || undefined} title={visible(node.name)}
      data-node={node.name} data-op={node.op} data-state={shown} data-phase={node.phase} data-next={next ? t("next") : undefined} {...hover}
    >
      {node.gradient_of !== null && <span className="tag">∂ {visible(lastPart(node.gradient_of))}</span>}
      <header role="presentation">
        <Icon name={categoryIcon(category)} size={12} className="ci" />
        <b>{visible(node.label)}</b>
        {(shown !== "idle" || node.inputs.length > 0) && <Icon name={shown} size={12} className="st" />}
      </header>
      {geo.kind === "compact"
        ? <div className="cbd" style={{ paddingLeft: geo.pad[0], paddingRight: geo.pad[1] }}>{out?.shape ?? t("shape ?")} <span className="muted">{shortDtype(out?.dtype ?? null)}</span></div>
        : <>
            <div className="bd" style={{ height: geo.body, paddingLeft: Math.max(0, geo.pad[0] - geo.pad[1]), paddingRight: Math.max(0, geo.pad[1] - geo.pad[0]) }}>{out && <Thumbnail tensor={tensor} shape={out.shape} w={54} h={42} room={geo.w - geo.pad[0] - geo.pad[1] - 6} />}</div>
            <Foot node={node} open={open} />
          </>}
      {geo.ports.map((p) => <Port key={p.key} owner={node.name} port={p} node={node} />)}
      {waits && waits[1] > 1 && waits[0] < waits[1] && state === "idle" && <span className="join">{waits[0]} / {waits[1]}</span>}
      {node.fetch && <FetchRing geo={geo} node={node} />}
      <Marks name={node.name} tensors={node.outputs} />
      <Cost name={node.name} />
    </div>
  );
}

function Foot({ node, open }: { node: SceneNode; open: string[] }) {
  const out = node.outputs[0];
  const problem = problemOf(node);
  if (problem !== null) return <footer role="presentation" title={visible(told(problem))}><span>{t("does not fit")}</span><span /></footer>;
  if (out?.shape == null && open.length) return <footer role="presentation"><span>{t("needs {ports}", { ports: open.join(", ") })}</span><span /></footer>;
  if (!out) return <footer role="presentation"><span /><span /></footer>;
  return <footer role="presentation"><span>{out.shape ?? t("shape ?")}</span><span className={`d-${dtypeFamily(out.dtype)}`}>{shortDtype(out.dtype)}</span></footer>;
}

/** What is asked for ends in a ring. */
function FetchRing({ geo, node }: { geo: ElementGeo; node: SceneNode }) {
  const port = geo.byKey.get(outKey(node.outputs[0]?.index ?? 0));
  const y = port?.y ?? geo.h / 2;
  const left = port?.side === "left";
  return (
    <svg className="outlet" width="26" height="18" style={{ top: y - 9, [left ? "right" : "left"]: geo.w + 3 }} aria-hidden="true">
      <g transform={left ? "translate(26 0) scale(-1 1)" : undefined}>
        <path d="M1 9H8" /><circle cx="16" cy="9" r="7.5" /><circle cx="16" cy="9" r="3.5" className="dot" />
      </g>
      <title>{t("asked for")}</title>
    </svg>
  );
}

function SourceCard({ node, geo }: { node: SceneNode; geo: ElementGeo }) {
  const { selected, state, fired, tabIndex, ref, onFocus, hover } = useElement(node.name);
  const out = node.outputs[0];
  const tensor = useLabState((s) => (out ? s.thumbs.get(out.tensor) : undefined));
  const version = useLabState((s) => s.run.versions.get(node.name) ?? 0);
  const shown = node.error !== null ? "error" : state;
  const drop = geo.kind === "drop";
  const kind = node.source === "variable" ? "state" : "input";
  return (
    <div
      ref={ref} className={`n src ${node.source} c-${kind} p-${node.phase} s-${shown}${drop ? " drop" : " flat"}${selected ? " sel" : ""}${fired ? " fired" : ""}`}
      style={{ width: geo.w, height: geo.h }} tabIndex={tabIndex} onFocus={onFocus} role="group" aria-roledescription={t("node")}
      aria-label={wordsOfNode(node, shown, tensor?.value)} aria-current={selected || undefined} title={visible(node.name)}
      data-node={node.name} data-op={node.op} data-state={shown} data-phase={node.phase} data-source={node.source ?? ""} {...hover}
    >
      <div className="sx">
        <div className="sn"><Icon name={categoryIcon(kind)} size={12} className="ci" /><b>{visible(node.label)}</b></div>
        <div className="ss">
          {out?.shape ?? t("shape ?")}
          {node.source === "variable" ? ` · v${version}` : <span className={`d-${dtypeFamily(out?.dtype ?? null)}`}> {shortDtype(out?.dtype ?? null)}</span>}
        </div>
      </div>
      <div className="sv"><Thumbnail tensor={tensor} shape={out?.shape ?? null} w={32} h={drop ? 25 : 22} small room={58} /></div>
      {geo.ports.map((p) => <Port key={p.key} owner={node.name} port={p} node={node} />)}
      {node.fetch && geo.kind === "flat" && <FetchRing geo={geo} node={node} />}
      <Marks name={node.name} tensors={node.outputs} />
    </div>
  );
}

/** Scopes that are alike share a letter and a colour. */
const kindLetter = (alike: number): string => { let out = ""; for (let k = alike; k > 0; k = Math.floor((k - 1) / 26)) out = String.fromCharCode(65 + ((k - 1) % 26)) + out; return out; };
const kindHue = (alike: number): number => (alike * 137 + 100) % 360;

function ScopeCard({ scope, geo }: { scope: SceneScope; geo: ElementGeo }) {
  const { lab, selected, state, fired, next, tabIndex, ref, onFocus, hover } = useElement(scope.name);
  const progress = useLabState((s) => s.run.progress.get(scope.name));
  const tensor = useLabState((s) => {
    const named = scope.out_ports.find((p) => p.label !== "" && p.tensor !== null && s.thumbs.has(p.tensor))?.tensor;
    const e = named ?? (s.wiring.outOf.get(scope.name) ?? []).find((x) => x.tensor !== null && s.thumbs.has(x.tensor))?.tensor;
    return e ? s.thumbs.get(e) : undefined;
  });
  const shown = scope.error !== null ? "error" : state;
  const category = scope.phase === "backward" ? "gradient" : scope.category;
  return (
    <div
      ref={ref} className={`n fold c-${category} p-${scope.phase} s-${shown}${selected ? " sel" : ""}${fired ? " fired" : ""}${next ? " next" : ""}`}
      style={{ width: geo.w, height: geo.h }} tabIndex={tabIndex} onFocus={onFocus} role="group" aria-roledescription={scope.stack !== null ? t("stack") : scope.composite !== null ? t("composite") : t("folded scope")}
      aria-label={wordsOfScope(scope, shown)} aria-current={selected || undefined}
      title={scope.stack !== null ? t("{name} stands for {what}: double-click or Enter shows them one by one", { name: visible(scope.name), what: insideOf(scope) }) : t("{name}: double-click or Enter unfolds", { name: visible(scope.name) })}
      data-scope={scope.name} data-stack={scope.stack ?? undefined} data-alike={scope.alike || undefined} data-composite={scope.composite ?? undefined} data-state={shown} data-phase={scope.phase} data-next={next ? t("next") : undefined} {...hover} onDoubleClick={(e) => { e.stopPropagation(); void lab.into(scope.name); }}
    >
      <i className="sh2" /><i className="sh1" />
      <div className="fc">
        <header role="presentation">
          <Icon name={categoryIcon(category)} size={12} className="ci" />
          <b>{scope.phase === "backward" ? `∂ ${visible(scope.label)}` : visible(scope.label)}</b>
          <Icon name={shown} size={12} className="st" />
        </header>
        <div className="bd" style={{ height: geo.body, paddingLeft: Math.max(0, geo.pad[0] - geo.pad[1]), paddingRight: Math.max(0, geo.pad[1] - geo.pad[0]) }}>{tensor || scope.shape !== null ? <Thumbnail tensor={tensor} shape={scope.shape} w={54} h={42} room={geo.w - geo.pad[0] - geo.pad[1] - 6} /> : <span className="inside">{insideOf(scope)}</span>}</div>
        <footer role="presentation"><span>{scope.shape ?? ""}</span><span>{progress ? `${progress[0]} / ${progress[1]}` : ""}</span></footer>
      </div>
      <Cost name={scope.name} />
      <span className="xn" data-filled>×{scope.count.toLocaleString("en")}</span>
      {scope.alike > 0 && <span className="kind" data-filled style={{ "--hue": kindHue(scope.alike) } as React.CSSProperties} title={t("The same letter stands for the same structure")} aria-hidden="true">{kindLetter(scope.alike)}</span>}
      {geo.ports.map((p) => <ScopePort key={p.key} port={p} scope={scope} />)}
    </div>
  );
}

/** Has the kernel said that the wire being drawn does not fit here? */
function barred(s: State, port: PortRef): boolean {
  return s.wire !== null && s.reach !== null && s.reach.port === hookOf(s.wire.from) && hookOf(port) in s.reach.whys;
}

function portStyle(p: PortGeo): React.CSSProperties {
  return { left: p.x, top: p.y };
}

const Port = React.memo(function Port({ owner, port, node }: { owner: string; port: PortGeo; node: SceneNode }) {
  const lab = useLab();
  const isIn = port.key.startsWith("in:");
  const name = port.key.slice(isIn ? 3 : 4);
  const ref: PortRef = { node: owner, dir: isIn ? "in" : "out", port: name };
  const input = isIn ? node.inputs.find((p) => p.port === name) : undefined;
  const output = isIn ? undefined : node.outputs.find((o) => String(o.index) === name);
  const has = useLabState((s) => {
    if (output) return s.thumbs.has(output.tensor);
    const e = (s.wiring.into.get(owner) ?? []).find((x) => x.dst_port === name);
    return Boolean(e?.tensor && s.thumbs.has(e.tensor) && e.error === null && s.run.states.get(owner) === "done");
  });
  const active = useLabState((s) => { const f = s.wire?.from ?? s.pending; return Boolean(f && f.node === owner && f.dir === ref.dir && f.port === name); });
  const dim = useLabState((s) => { const f = s.wire?.from; return Boolean(f && !(f.node === owner && f.dir === ref.dir && f.port === name) && (lab.blocked(f, owner, ref.dir) || barred(s, ref))); });
  const gestures = usePortGestures(ref);
  const what = isIn ? `${t("input {name}", { name: visible(name) })}${input?.optional ? `, ${t("optional")}` : ""}` : `${t("output {name}", { name: visible(output?.name ?? name) })}${output?.shape ? `, ${output.shape} ${output.dtype ?? ""}` : ""}`;
  const dtype = output ? dtypeFamily(output.dtype) : "float";
  return (
    <>
      <i
        {...gestures} tabIndex={-1} role="button" aria-label={`${visible(owner)}, ${what}`} title={what} style={portStyle(port)}
        className={`pt nodrag nopan ${port.side} d-${dtype}${has ? " has" : ""}${isIn && !input?.wired ? " open" : ""}${input?.optional ? " opt" : ""}${input?.error ? " bad" : ""}${active ? " active" : ""}${dim ? " dim" : ""}`}
        data-port={`${owner}:${isIn ? inKey(name) : outKey(name)}`}
      />
      {port.label && <em className={`pl ${port.side}`} style={labelStyle(port)} aria-hidden="true">{visible(port.label)}</em>}
    </>
  );
});

function labelStyle(p: PortGeo): React.CSSProperties {
  if (p.side === "top") return { left: p.x + 9, top: -15 };
  return p.side === "left" ? { left: 9, top: p.y - 7 } : { right: 9, top: p.y - 7 };
}

/** A scope's boundary: where wires enter and leave. A composite's ports have names, and all can be wired. */
function ScopePort({ port, scope }: { port: PortGeo; scope: SceneScope }) {
  const lab = useLab();
  const owner = scope.name;
  const isIn = port.key.startsWith("in:");
  const id = port.key.slice(isIn ? 3 : 4);
  const info = (isIn ? scope.in_ports : scope.out_ports).find((p) => p.port === id);
  const has = useLabState((s) => info?.tensor != null && s.thumbs.has(info.tensor));
  const ref: PortRef = { node: owner, dir: isIn ? "in" : "out", port: id };
  const active = useLabState((s) => { const f = s.wire?.from ?? s.pending; return Boolean(f && f.node === owner && f.dir === ref.dir && f.port === id); });
  const dim = useLabState((s) => { const f = s.wire?.from; return Boolean(f && !(f.node === owner && f.dir === ref.dir && f.port === id) && (lab.blocked(f, owner, ref.dir) || barred(s, ref))); });
  const gestures = usePortGestures(ref);
  const named = Boolean(info?.label);
  const what = `${isIn ? t("input {name}", { name: visible(info?.label || id) }) : t("output {name}", { name: visible(info?.label || id) })}${info?.shape ? `, ${info.shape} ${info.dtype ?? ""}` : ""}`;
  return (
    <>
      <i
        {...gestures} tabIndex={-1} role="button" aria-label={`${visible(owner)}, ${what}`} title={what} style={portStyle(port)} data-port={`${owner}:${isIn ? inKey(id) : outKey(id)}`}
        className={`pt nodrag nopan ${named ? "" : "sp "}${port.side} d-${dtypeFamily(info?.dtype ?? "float32")}${has ? " has" : ""}${named && isIn && !info?.wired ? " open" : ""}${active ? " active" : ""}${dim ? " dim" : ""}`}
      />
      {port.label && <em className={`pl ${port.side}`} style={labelStyle(port)} aria-hidden="true">{visible(port.label)}</em>}
    </>
  );
}
