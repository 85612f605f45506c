// One drawn edge: casing, line, chevron or badge; and the labels, in a layer of their own so that no line crosses a label.
import * as React from "react";
import { wordsOfEdge } from "./describe";
import { dtypeFamily, visible } from "./geometry";
import { type Route, nearTarget } from "./routes";
import { t } from "../shared/words";
import { WIRED, useLab, useLabState } from "./store";

const CHEVRON = "M-3 -4L3 0L-3 4";

export const EdgeLine = React.memo(function EdgeLine({ route }: { route: Route }) {
  const lab = useLab();
  const { edge } = route;
  const live = useLabState((s) => edge.tensor !== null && s.thumbs.has(edge.tensor));
  const selected = useLabState((s) => s.edge === edge.id);
  const drop = useLabState((s) => s.dropEdge === edge.id || s.carry?.edge === edge.id || s.into === edge.id);
  const apart = useLabState((s) => (edge.tensor !== null && s.debugging.branch !== null ? s.debugging.branch.sizes[edge.tensor] ?? 0 : 0));
  const bytes = useLabState((s) => (edge.tensor !== null ? s.debugging.heat?.wires[edge.tensor] ?? 0 : 0));
  const loose = edge.control && (lab.state.wiring.into.get(edge.dst) ?? []).filter((e) => e.control).length > 3;
  const leaves = useLabState((s) => s.ghost !== null && s.ghost.cuts.includes(edge.id) && !s.ghost.key.startsWith(WIRED));
  const near = useLabState((s) => s.selected.length === 1 && (s.selected[0] === edge.src || s.selected[0] === edge.dst));
  const ref = React.useCallback((el: SVGGElement | null) => {
    if (el) lab.refs.set(`edge:${edge.id}`, el);
    else lab.refs.delete(`edge:${edge.id}`);
  }, [lab, edge.id]);
  const bad = edge.error !== null;
  const cls = `e p-${edge.phase} d-${dtypeFamily(edge.dtype)}${edge.control ? " control" : ""}${edge.loop ? " loop" : ""}${loose ? " loose" : ""}${bad ? " err" : live ? " live" : " wait"}${selected ? " sel" : ""}${drop ? " drop" : ""}${near ? " near" : ""}${apart > 0 ? " apart" : bytes > 0 ? " wide" : ""}${leaves ? " leaves" : ""}`;
  const badge = bad ? nearTarget(route, Math.min(24, Math.hypot(route.to.x - route.from.x, route.to.y - route.from.y) / 2)) : null;
  const chip = route.chip;
  const pick = (e: React.MouseEvent) => {
    e.stopPropagation();
    if (e.altKey) { lab.select([], edge.id); void lab.remove(); return; }
    lab.select([], edge.id);
    lab.focus(`edge:${edge.id}`);
  };
  return (
    <g
      ref={ref} className={cls} style={apart > 0 ? { "--apart": apart } as React.CSSProperties : bytes > 0 ? { "--bytes": Math.sqrt(bytes) } as React.CSSProperties : undefined} data-bytes={bytes > 0 ? bytes : undefined} data-apart={apart > 0 ? apart : undefined} data-edge={edge.id} data-shape={edge.shape ?? ""} data-dtype={edge.dtype ?? ""} data-error={bad ? edge.error ?? "" : undefined}
      tabIndex={-1} role="group" aria-roledescription={edge.control ? t("control edge") : edge.loop ? t("edge to the next timestep") : t("edge")} onClick={pick}
      onFocus={() => { if (!lab.pointing && lab.state.edge !== edge.id) lab.select([], edge.id); }}
      aria-label={wordsOfEdge(edge)}
    >
      <title>{`${visible(edge.id)}${edge.shape ? `  ${edge.shape} ${edge.dtype ?? ""}` : ""}`}</title>
      {/* a box as wide as the way is, so that a straight wire is something that can be seen, pointed at and measured */}
      <rect className="box" x={Math.min(route.from.x, route.to.x)} y={Math.min(route.from.y, route.to.y) - 3} width={Math.abs(route.to.x - route.from.x) + 1} height={Math.abs(route.to.y - route.from.y) + 6} />
      <path className="hit" d={route.d} />
      <path className="cas" d={route.d} />
      <path className="ln" d={route.d} />
      {edge.loop && (
        <g className="again" transform={`translate(${route.middle.x} ${route.middle.y})`}>
          <rect x="-15" y="-8" width="30" height="16" rx="8" /><text textAnchor="middle" y="3.6">t−1</text>
        </g>
      )}
      {route.long && !bad && !edge.loop && edge.phase !== "forward" && <path className="chev" d={CHEVRON} transform={`translate(${route.middle.x} ${route.middle.y}) rotate(${route.middle.angle})`} />}
      {chip && (
        <g className="chip" onDoubleClick={(e) => { e.stopPropagation(); lab.go(edge.src); }}>
          <rect x={chip.x} y={chip.y} width={chip.w} height={chip.h} rx={chip.h / 2} />
          <text x={chip.x + 9} y={chip.y + 13.5}>{lab.state.wiring.origin(edge)}<tspan className="cs" dx="5">{edge.shape ?? ""}</tspan></text>
        </g>
      )}
      {badge && (
        <g className="badge" transform={`translate(${badge.x} ${badge.y})`}>
          <circle r="9" /><path d="M0 -4.5L4.6 3.6H-4.6zM0 -1.6V1M0 2.3V2.4" />
        </g>
      )}
    </g>
  );
});

/** A shape's text in pieces: sizes with their axis, and what stands between them. */
function parted(text: string): { text: string; axis: number }[] {
  let axis = 0;
  return text.split(/([(), ]+)/).filter(Boolean).map((part) => (/^[(), ]+$/.test(part) ? { text: part, axis: -1 } : { text: part, axis: axis++ }));
}

export const EdgeLabel = React.memo(function EdgeLabel({ route }: { route: Route }) {
  const live = useLabState((s) => route.edge.tensor !== null && s.thumbs.has(route.edge.tensor));
  const blamed = useLabState((s) => s.blamed.get(route.edge.id) ?? null);
  if (!route.label) return null;
  const { x, y, w, text } = route.label;
  return (
    <g className={`el p-${route.edge.phase}${live ? "" : " w"}${route.edge.error !== null ? " err" : ""}`}>
      <rect x={x - w / 2} y={y - 6.5} width={w} height="13" rx="3" />
      <text x={x} y={y + 3.5} textAnchor="middle">{blamed === null ? text : parted(text).map((part, i) => (blamed.includes(part.axis) ? <tspan key={i} className="ax">{part.text}</tspan> : part.text))}</text>
    </g>
  );
});
