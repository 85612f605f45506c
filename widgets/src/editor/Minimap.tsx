// The whole graph in a corner, with the part in view; click or drag moves there.
import * as React from "react";
import { useViewport } from "@xyflow/react";
import { problemOf } from "./geometry";
import { pointOn } from "./routes";
import { t } from "../shared/words";
import { useLab, useLabState } from "./store";

const W = 150;
const H = 112;
const r1 = (x: number): number => Math.round(x * 10) / 10;

export function Minimap() {
  const lab = useLab();
  const scene = useLabState((s) => s.scene);
  const at = useLabState((s) => s.at);
  const geos = useLabState((s) => s.geos);
  const selected = useLabState((s) => s.selected);
  useLabState((s) => s.edge);
  const fired = useLabState((s) => (s.run.cursor > 0 ? s.run.last_drawn : null));
  const next = useLabState((s) => (s.run.mode !== "edit" ? s.run.next_drawn : null));
  const { x: vx, y: vy, zoom } = useViewport();
  const box = React.useRef<HTMLDivElement>(null);
  const [, settle] = React.useState(0);
  const shown = at.size >= 3;
  React.useEffect(() => {
    const canvas = box.current?.parentElement;
    if (!canvas) return;
    const watch = new ResizeObserver(() => settle((n) => n + 1));
    watch.observe(canvas);
    return () => watch.disconnect();
  }, [shown]);
  const map = React.useMemo(() => {
    const items = [...(scene?.nodes ?? []), ...(scene?.scopes ?? [])].flatMap((e) => {
      const p = at.get(e.name);
      const g = geos.get(e.name);
      return p && g ? [{ id: e.name, ...p, w: g.w, h: g.h, cls: ("op" in e ? problemOf(e) : e.error) !== null ? "er" : e.phase }] : [];
    });
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const r of items) { x0 = Math.min(x0, r.x); y0 = Math.min(y0, r.y); x1 = Math.max(x1, r.x + r.w); y1 = Math.max(y1, r.y + r.h); }
    const k = Math.min((W - 8) / Math.max(1, x1 - x0), (H - 8) / Math.max(1, y1 - y0), 0.16);
    const ox = (W - (x1 - x0) * k) / 2 - x0 * k;
    const oy = (H - (y1 - y0) * k) / 2 - y0 * k;
    // one path for all of a kind: a thousand boxes are four elements
    const paths = new Map<string, string>();
    for (const r of items) paths.set(r.cls, `${paths.get(r.cls) ?? ""}M${r1(r.x * k + ox)} ${r1(r.y * k + oy)}h${r1(Math.max(1.5, r.w * k))}v${r1(Math.max(1.5, r.h * k))}h-${r1(Math.max(1.5, r.w * k))}z`);
    return { items: new Map(items.map((i) => [i.id, i])), x0, y0, x1, y1, k, ox, oy, boxes: <>{[...paths].map(([cls, d]) => <path key={cls} className={`mm ${cls}`} d={d} />)}</> };
  }, [scene, at, geos]);
  const { items, x0, y0, x1, y1, k, ox, oy } = map;
  if (items.size < 3) return null;
  const view = lab.view?.visible();
  const go = (e: React.PointerEvent<SVGSVGElement>) => {
    if (e.type === "pointermove" && e.buttons !== 1) return;
    const b = e.currentTarget.getBoundingClientRect();
    lab.view?.center({ x: ((e.clientX - b.left) * (W / b.width) - ox) / k, y: ((e.clientY - b.top) * (H / b.height) - oy) / k });
  };
  // the map gives way to what is worked on, and where all is in sight there is nothing to look up
  const own = box.current;
  const canvas = own?.parentElement;
  const under = (id: string | null): boolean => {
    const r = id === null ? undefined : items.get(id);
    if (!r || !own || !canvas) return false;
    const right = canvas.clientWidth - own.offsetWidth - 18;
    const bottom = canvas.clientHeight - own.offsetHeight - 18;
    return (r.x + r.w) * zoom + vx > right && (r.y + r.h) * zoom + vy > bottom && r.x * zoom + vx < canvas.clientWidth && r.y * zoom + vy < canvas.clientHeight;
  };
  // a wire that is looked at counts like a node
  const { edge: chosen, routes } = lab.state;
  const underWire = (id: string): boolean => {
    const r = routes.get(id);
    if (!r || !own || !canvas) return false;
    const right = canvas.clientWidth - own.offsetWidth - 18;
    const bottom = canvas.clientHeight - own.offsetHeight - 18;
    return [0.1, 0.3, 0.5, 0.7, 0.9].some((t) => { const p = pointOn(r.segments, t); const x = p.x * zoom + vx; const y = p.y * zoom + vy; return x > right && y > bottom && x < canvas.clientWidth && y < canvas.clientHeight; });
  };
  const wires = chosen !== null ? [chosen] : selected.length === 1 ? [...(lab.state.wiring.into.get(selected[0]) ?? []), ...(lab.state.wiring.outOf.get(selected[0]) ?? [])].map((e) => e.id) : [];
  const whole = view != null && x0 >= view.x && y0 >= view.y && x1 <= view.x + view.w && y1 <= view.y + view.h;
  const away = whole || under(fired) || under(next) || selected.some(under) || wires.some(underWire);
  const clamp = (v: number, hi: number) => Math.max(0.75, Math.min(hi - 0.75, v));
  return (
    <div className={`mini${away ? " away" : ""}`} ref={box} role="img" aria-label={t("Minimap, {n} elements", { n: items.size })}>
      <svg width={W} height={H} viewBox={`0 0 ${W} ${H}`} aria-hidden="true" onPointerDown={go} onPointerMove={go}>
        {map.boxes}
        {view && (() => {
          const left = clamp(view.x * k + ox, W);
          const top = clamp(view.y * k + oy, H);
          const right = clamp((view.x + view.w) * k + ox, W);
          const bottom = clamp((view.y + view.h) * k + oy, H);
          return <rect className="vp" x={left} y={top} width={Math.max(2, right - left)} height={Math.max(2, bottom - top)} rx="3" />;
        })()}
      </svg>
    </div>
  );
}
