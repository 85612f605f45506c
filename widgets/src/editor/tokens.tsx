// Tensors that travel along their edges, painted with their values; and those that wait at a port until the others have come.
import * as React from "react";
import { prefersReducedMotion } from "../shared/controls";
import { FLEET, Marks, isDot } from "./Fleet";
import { type Route, nearTarget } from "./routes";
import { type Tensor, TRAVEL, useLab, useLabState } from "./store";
import { Grid, cellOf } from "./thumbs";

const REST = 700;

function Body({ tensor }: { tensor: Tensor | undefined }) {
  if (!tensor || !tensor.data.length || tensor.shape.length === 0 || tensor.rows * tensor.cols <= 1) return null;
  return <Grid tensor={tensor} w={tensor.rows === 1 ? 42 : 24} h={tensor.rows === 1 ? 13 : 32} />;
}

/** The same size as the token, with nothing in it: a ghost trails, it does not tell. */
function Shade({ tensor }: { tensor: Tensor | undefined }) {
  if (!tensor || isDot(tensor)) return null;
  const [w, h] = tensor.rows === 1 ? [42, 13] : [24, 32];
  const { cw, ch } = cellOf(tensor.rows, tensor.cols, w, h);
  return <span style={{ width: Math.min(w, tensor.cols * cw), height: Math.min(h, tensor.rows * ch) }} />;
}

function Token({ id, route, speed }: { id: number; route: Route; speed: number }) {
  const lab = useLab();
  const tensor = useLabState((s) => (route.edge.tensor === null ? undefined : s.thumbs.get(route.edge.tensor)));
  const refs = [React.useRef<HTMLDivElement>(null), React.useRef<HTMLDivElement>(null), React.useRef<HTMLDivElement>(null)];
  const still = prefersReducedMotion();
  React.useLayoutEffect(() => {
    if (still) {
      const t = setTimeout(() => lab.landed(id), REST);
      return () => clearTimeout(t);
    }
    const duration = TRAVEL / speed;
    const runs = refs.map((r, i) => r.current?.animate(
      [{ offsetDistance: "0%", opacity: [1, 0.32, 0.16][i] }, { offsetDistance: "100%", opacity: [1, 0.32, 0.16][i] }],
      { duration, delay: i * duration * 0.09, easing: "cubic-bezier(.4,.05,.3,1)", fill: "both" }));
    const main = runs[0];
    if (!main) { lab.landed(id); return; }
    main.onfinish = () => lab.landed(id);
    return () => runs.forEach((r) => r?.cancel());
    // a token makes its way once
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  const cls = `tk p-${route.edge.phase}${isDot(tensor) ? " dot" : ""}`;
  const end = nearTarget(route, 14);
  const path = { offsetPath: `path("${route.d}")`, offsetRotate: "0deg" };
  return (
    <>
      {!still && <div ref={refs[2]} className={`${cls} gh`} style={path} aria-hidden="true"><Shade tensor={tensor} /></div>}
      {!still && <div ref={refs[1]} className={`${cls} gh`} style={path} aria-hidden="true"><Shade tensor={tensor} /></div>}
      <div ref={refs[0]} className={`${cls}${still ? " at" : ""}`} data-token={route.edge.tensor ?? ""} data-edge={route.edge.id} data-filled style={still ? { left: end.x, top: end.y } : path}><Body tensor={tensor} /></div>
    </>
  );
}

/** Small, without a halo, at its port. */
function Waiting({ route, tensor }: { route: Route; tensor: Tensor }) {
  const p = nearTarget(route, 12);
  return <div className={`tk wait at p-${route.edge.phase}${isDot(tensor) ? " dot" : ""}`} data-token={route.edge.tensor ?? ""} data-edge={route.edge.id} data-filled style={{ left: p.x, top: p.y }}>
    {!isDot(tensor) && <Grid tensor={tensor} w={12} h={8} />}
  </div>;
}

export function Tokens() {
  const flights = useLabState((s) => s.flights);
  const routes = useLabState((s) => s.routes);
  const run = useLabState((s) => s.run);
  const thumbs = useLabState((s) => s.thumbs);
  const nodes = useLabState((s) => s.nodes);
  const speed = useLabState((s) => s.speed);
  const flying = new Set(flights.map((f) => f.edge));
  const waiting: { route: Route; tensor: Tensor }[] = [];
  if (run.mode !== "edit" && run.cursor > 0) {
    for (const route of routes.values()) {
      const { edge } = route;
      if (route.chip || edge.tensor === null || edge.error !== null || flying.has(edge.id) || nodes.get(edge.src)?.source || waiting.length >= 40) continue;
      // only at a join that still waits for the rest
      const wants = run.inputs.get(edge.dst);
      if ((run.states.get(edge.dst) ?? "idle") !== "idle" || !wants || wants[0] >= wants[1]) continue;
      const tensor = thumbs.get(edge.tensor);
      if (tensor) waiting.push({ route, tensor });
    }
  }
  return (
    <>
      {waiting.map((w) => <Waiting key={w.route.edge.id} {...w} />)}
      {flights.length > FLEET && !prefersReducedMotion() ? <Marks flights={flights} routes={routes} /> : flights.map((f) => {
        const route = routes.get(f.edge);
        return route ? <Token key={f.key} id={f.key} route={route} speed={speed} /> : null;
      })}
    </>
  );
}
