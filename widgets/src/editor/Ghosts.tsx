// What is not there yet: the nodes, wires and shapes that an edit would bring, drawn where they would stand; and what a wire that is being drawn would come to.
import * as React from "react";
import type { GhostNode, Side } from "../protocol.gen";
import { Icon, categoryIcon } from "../shared/icons";
import { t, told } from "../shared/words";
import { type Point, type Rect, type Side as Edge, shortDtype, textWidth, visible } from "./geometry";
import { freePlace } from "./layout";
import { curve, pathOf, pointOn } from "./routes";
import { type Lab, type PortRef, WIRED, useLab, useLabState } from "./store";

const W = 114;
const H = 62;

/** A shape in words, the axes to blame told apart by more than colour. */
export function ShapeText({ shape, axes }: { shape: readonly string[]; axes: readonly number[] }) {
  return (
    <span className="shape">
      ({shape.map((d, i) => <React.Fragment key={i}>{i > 0 && ", "}{axes.includes(i) ? <b className="ax">{visible(d)}</b> : visible(d)}</React.Fragment>)}{shape.length === 1 ? "," : ""})
    </span>
  );
}

/** Both sides of a misfit, one line each: which input, which tensor, which shape. */
export function Sides({ sides }: { sides: readonly Side[] }) {
  const dtypes = new Set(sides.map((s) => s.dtype)).size > 1;
  return (
    <div className="sides">
      {sides.map((s) => (
        <React.Fragment key={s.port}>
          <span className="sp" title={t("{port} takes {tensor}", { port: visible(s.port), tensor: visible(s.tensor) })}><em>{visible(s.port)}</em> {visible(s.tensor.replace(/:0$/, ""))}</span>
          <span><ShapeText shape={s.shape} axes={s.axes} />{dtypes && <i className="sd">{shortDtype(s.dtype)}</i>}</span>
          <span className="sr">{s.axes.length ? t("axis {axis}", { axis: s.axes.join(", ") }) : ""}</span>
        </React.Fragment>
      ))}
    </div>
  );
}

/** Free places for ghosts, in the wire that they would stand in. */
function places(lab: Lab, nodes: readonly GhostNode[], ends: (name: string) => { from: Point | null; to: Point | null }): Map<string, Point> {
  const at = new Map<string, Point>();
  const rects: Rect[] = [...lab.rects()];
  for (const el of lab.root?.querySelectorAll(".ecard:not(.tucked), .banner") ?? []) {
    const b = el.getBoundingClientRect();
    const a = lab.view?.toFlow({ x: b.left, y: b.top });
    const z = lab.view?.toFlow({ x: b.right, y: b.bottom });
    if (a && z) rects.push({ x: a.x, y: a.y, w: z.x - a.x, h: z.y - a.y });
  }
  for (const n of nodes) {
    const { from, to } = ends(n.name);
    const a = from ?? to ?? { x: 0, y: 0 };
    const b = to ?? a;
    const place = freePlace(rects, { w: W, h: H }, { x: (a.x + b.x) / 2 - W / 2, y: (a.y + b.y) / 2 - H / 2 }, lab.view?.visible() ?? null);
    at.set(n.name, place);
    rects.push({ ...place, w: W, h: H });
  }
  return at;
}

/** A way, and the place of its label: beside the ghost, which is where there is room. */
const along = (segments: ReturnType<typeof curve>, where: number) => ({ d: pathOf(segments), mid: pointOn(segments, where) });

/** Where a wire meets a ghost: on the side that its other end is on; the way in above, the way out below. */
function beside(ghost: Point, other: Point | undefined, usual: Edge): { p: Point; side: Edge } {
  const side = other === undefined ? usual : other.x < ghost.x + W / 2 ? "left" : "right";
  return { p: { x: side === "left" ? ghost.x : ghost.x + W, y: ghost.y + (usual === "left" ? 16 : H - 14) }, side };
}

export function Ghosts() {
  const lab = useLab();
  const ghost = useLabState((s) => s.ghost);
  const at = useLabState((s) => s.at);
  const geos = useLabState((s) => s.geos);
  const made = React.useMemo(() => {
    if (!ghost || ghost.key.startsWith(WIRED)) return null;
    const names = new Set(ghost.nodes.map((n) => n.name));
    const end = (name: string, key: string): { p: Point; side: Edge } | null => {
      const port = geos.get(name)?.byKey.get(key) ?? geos.get(name)?.ports.find((q) => q.key.startsWith(key.slice(0, 3)));
      const place = at.get(name);
      return port && place ? { p: { x: place.x + port.x, y: place.y + port.y }, side: port.side } : null;
    };
    const following = (name: string): string => { const next = ghost.edges.find((e) => e.src === name); return next && names.has(next.dst) ? following(next.dst) : name; };
    const leading = (name: string): string => { const last = ghost.edges.find((e) => e.dst === name); return last && names.has(last.src) ? leading(last.src) : name; };
    const spots = places(lab, ghost.nodes, (name) => {
      const into = ghost.edges.find((e) => e.dst === leading(name));
      const out = ghost.edges.find((e) => e.src === following(name));
      return { from: into ? end(into.src, `out:${into.src_port}`)?.p ?? null : null, to: out ? end(out.dst, `in:${out.dst_port}`)?.p ?? null : null };
    });
    const wires = ghost.edges.flatMap((e) => {
      const s = spots.get(e.src);
      const d = spots.get(e.dst);
      const start = end(e.src, `out:${e.src_port}`);
      const goal = end(e.dst, `in:${e.dst_port}`);
      const from = s ? beside(s, d ?? goal?.p, "right") : start;
      const to = d ? beside(d, s ?? start?.p, "left") : goal;
      return from && to ? [{ key: `${e.src}:${e.src_port}->${e.dst}:${e.dst_port}`, e, ...along(curve([from.p, to.p], from.side, to.side), d ? 0.8 : s ? 0.2 : 0.5) }] : [];
    });
    return { spots, wires };
  }, [lab, ghost, at, geos]);
  if (!ghost || !made) return null;
  return (
    <div className={`ghosts${ghost.ok ? "" : " bad"}`} data-testid="preview" aria-hidden="true">
      <svg className="gs" width="1" height="1">
        {made.wires.map((w) => <path key={w.key} d={w.d} className={w.e.error ? "err" : ""} />)}
        {made.wires.map((w) => w.e.shape && (
          <g key={w.key}>
            <rect x={w.mid.x - textWidth(w.e.shape, 10) / 2 - 4} y={w.mid.y - 7} width={textWidth(w.e.shape, 10) + 8} height="14" rx="3" />
            <text x={w.mid.x} y={w.mid.y + 3.5} textAnchor="middle">{w.e.shape}</text>
          </g>
        ))}
      </svg>
      {ghost.nodes.map((n) => {
        const p = made.spots.get(n.name);
        return p && (
          <div key={n.name} className={`ghost c-${n.category}`} data-ghost={n.name} style={{ left: p.x, top: p.y, width: W, height: H }}>
            <header><Icon name={categoryIcon(n.category)} size={12} className="ci" /><b>{visible(n.label)}</b></header>
            <div className="ga">{visible(n.attrs)}</div>
            <footer><span>{n.shape ?? "shape ?"}</span><span>{shortDtype(n.dtype)}</span></footer>
          </div>
        );
      })}
      {ghost.changes.map((c) => {
        const p = at.get(c.element);
        const g = geos.get(c.element);
        return p && g && (
          <React.Fragment key={c.element + c.after}>
            <i className="gring" style={{ left: p.x - 4, top: p.y - 4, width: g.w + 8, height: g.h + 8 }} />
            <div className="gchange" style={{ left: p.x + g.w / 2, top: p.y - 12 }}>{c.before && <><s>{c.before}</s> → </>}<b>{c.after}</b></div>
          </React.Fragment>
        );
      })}
    </div>
  );
}

/** Beside the port under the mouse: why the wire does not fit there, and what would help; or what would come of it. */
export function WireHint() {
  const lab = useLab();
  const wire = useLabState((s) => s.wire);
  const ghost = useLabState((s) => s.ghost);
  const refused = useLabState((s) => s.refused);
  if (!wire) return null;
  const asked = ghost?.key.startsWith(WIRED) ? ghost : null;
  const m = asked ? /^([^:]+):(in|out):(.+)$/s.exec(asked.key.slice(WIRED.length)) : null;
  const port: PortRef | null = refused?.port ?? (m ? { node: m[1], dir: m[2] as PortRef["dir"], port: m[3] } : null);
  if (!port) return null;
  const p = lab.portPoint(port);
  const ok = !refused && asked !== null && asked.ok;
  return (
    <div className={`whint${ok ? " ok" : ""}`} role="status" data-testid="wire-hint" style={{ left: p.x, top: p.y + 14 }}>
      <div className="wt"><Icon name={ok ? "done" : "error"} size={12} /><span>{visible(told(refused?.text ?? (ok ? asked?.text || "It fits." : asked?.why ?? "")))}</span></div>
      {!refused && asked && !asked.ok && asked.sides.length > 0 && <Sides sides={asked.sides} />}
      {!refused && asked && !asked.ok && asked.repair && <div className="wr">{t("Wired all the same, “{repair!}” would mend it.", { repair: visible(asked.repair) })}</div>}
    </div>
  );
}
