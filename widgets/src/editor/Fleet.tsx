// Many tensors on their way at once, drawn on one canvas: elements of their own, each a layer with a shadow and a picture, would not keep up with the screen.
import * as React from "react";
import { useStoreApi } from "@xyflow/react";
import { colorOf } from "../shared/color";
import { prefersReducedMotion } from "../shared/controls";
import { paintGrid } from "../shared/paint";
import { type Route, pointOn } from "./routes";
import { type Flight, type Lab, type Tensor, TRAVEL, useLab, useLabState } from "./store";
import { cellOf, limitsOf } from "./thumbs";

/** So many tokens are elements; more than that fly on the canvas. */
export const FLEET = 24;
const TRAILS = [{ late: 0.18, alpha: 0.16 }, { late: 0.09, alpha: 0.32 }, { late: 0, alpha: 1 }];     // two ghosts, then the token itself
const HALO = 3;
const MARKED = 8;       // frames between two looks at where the elements that stand for tokens are: moving 300 elements takes longer than drawing them
const SETTLING = 3;     // frames before the clock runs
const EASE = easing(0.4, 0.05, 0.3, 1);

/** A table of cubic-bezier(x1, y1, x2, y2), as CSS has it. */
function easing(x1: number, y1: number, x2: number, y2: number): (t: number) => number {
  const bezier = (u: number, a: number, b: number) => 3 * (1 - u) * (1 - u) * u * a + 3 * (1 - u) * u * u * b + u * u * u;
  const table = new Float64Array(257);
  for (let k = 0, u = 0; k <= 256; k++) {
    while (u < 1 && bezier(u, x1, x2) < k / 256) u += 1 / 4096;
    table[k] = bezier(Math.min(u, 1), y1, y2);
  }
  return (t) => table[Math.round(Math.max(0, Math.min(1, t)) * 256)];
}

export const isDot = (t: Tensor | undefined): boolean => !t || t.shape.length === 0 || t.rows * t.cols <= 1;

/** What a token looks like: its tensor in whole-pixel cells, or a dot, in the colour of its phase. */
function sprite(tensor: Tensor | undefined, phase: string, root: HTMLElement, scale: number): { image: HTMLCanvasElement; w: number; h: number } {
  const grid = tensor && !isDot(tensor) && tensor.data.length ? tensor : null;
  const [bw, bh] = grid && grid.rows === 1 ? [42, 13] : [24, 32];
  const { cw, ch } = grid ? cellOf(grid.rows, grid.cols, bw, bh) : { cw: 15, ch: 15 };
  const w = (grid ? Math.min(bw, grid.cols * cw) + 6 : 15) + 2 * HALO;
  const h = (grid ? Math.min(bh, grid.rows * ch) + 6 : 15) + 2 * HALO;
  const image = document.createElement("canvas");
  image.width = Math.ceil(w * scale);
  image.height = Math.ceil(h * scale);
  const g = image.getContext("2d");
  if (!g) return { image, w, h };
  const ink = colorOf(root, `--fl-phase-${phase}`);
  g.scale(scale, scale);
  g.imageSmoothingEnabled = false;
  g.fillStyle = ink;
  if (!grid) {
    g.beginPath(); g.arc(w / 2, h / 2, 7.5, 0, 7); g.fill();
    g.strokeStyle = colorOf(root, "--fl-surface"); g.lineWidth = 2; g.beginPath(); g.arc(w / 2, h / 2, 6, 0, 7); g.stroke();
    return { image, w, h };
  }
  g.globalAlpha = 0.18;
  g.beginPath(); g.roundRect(0, 0, w, h, 6); g.fill();
  g.globalAlpha = 1;
  g.beginPath(); g.roundRect(HALO, HALO, w - 2 * HALO, h - 2 * HALO, 4); g.fill();
  g.fillStyle = colorOf(root, "--fl-surface");
  g.fillRect(HALO + 2, HALO + 2, w - 2 * HALO - 4, h - 2 * HALO - 4);
  const cells = document.createElement("canvas");
  const [lo, hi] = limitsOf(grid);
  paintGrid(cells, grid.data, grid.rows, grid.cols, lo, hi, grid.map, root);
  g.drawImage(cells, HALO + 3, HALO + 3, w - 2 * HALO - 6, h - 2 * HALO - 6);
  return { image, w, h };
}

type Ship = { key: number; route: Route; look: ReturnType<typeof sprite>; mark: HTMLElement | null };

/** Draws what flies until all of it has landed; the elements that stand for the tokens follow, unseen. */
function sail(lab: Lab, canvas: HTMLCanvasElement, transform: () => [number, number, number], flights: Flight[], routes: ReadonlyMap<string, Route>, marks: ReadonlyMap<number, HTMLElement>): () => void {
  const { root } = lab;
  const g = canvas.getContext("2d");
  if (!root || !g) return () => undefined;
  const dpr = window.devicePixelRatio || 1;
  const looks = new Map<string, ReturnType<typeof sprite>>();
  let ships: Ship[] = [];
  for (const f of flights) {
    const route = routes.get(f.edge);
    if (!route) continue;
    const { tensor, phase } = route.edge;
    const id = `${phase} ${tensor}`;
    const look = looks.get(id) ?? sprite(tensor === null ? undefined : lab.state.thumbs.get(tensor), phase, root, dpr);
    looks.set(id, look);
    ships.push({ key: f.key, route, look, mark: marks.get(f.key) ?? null });
  }
  let frame = 0;
  let begun = 0;
  let drawn = 0;
  const draw = (now: number) => {
    if (drawn++ < SETTLING) begun = now;        // what the step itself has changed is being painted: that must not eat the way
    const duration = TRAVEL / lab.state.speed;
    const [x, y, zoom] = transform();
    const { clientWidth: w, clientHeight: h } = canvas;
    if (canvas.width !== Math.round(w * dpr) || canvas.height !== Math.round(h * dpr)) { canvas.width = Math.round(w * dpr); canvas.height = Math.round(h * dpr); }
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, canvas.width, canvas.height);
    g.setTransform(dpr * zoom, 0, 0, dpr * zoom, dpr * x, dpr * y);
    const t = (now - begun) / duration;
    for (const { late, alpha } of TRAILS) {
      g.globalAlpha = alpha;
      const along = EASE(t - late);
      for (const s of ships) {
        const p = pointOn(s.route.segments, Math.min(0.9999, along));
        if (alpha === 1 && s.mark && (drawn % MARKED === 1 || t >= 1)) s.mark.style.transform = `translate(${(p.x - s.look.w / 2).toFixed(1)}px, ${(p.y - s.look.h / 2).toFixed(1)}px)`;
        if (p.x * zoom + x < -60 || p.y * zoom + y < -60 || p.x * zoom + x > w + 60 || p.y * zoom + y > h + 60) continue;
        g.drawImage(s.look.image, p.x - s.look.w / 2, p.y - s.look.h / 2, s.look.w, s.look.h);
      }
    }
    if (t < 1) { frame = requestAnimationFrame(draw); return; }
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, canvas.width, canvas.height);
    for (const s of ships) lab.landed(s.key);
    ships = [];
  };
  frame = requestAnimationFrame(draw);
  return () => { cancelAnimationFrame(frame); g.setTransform(1, 0, 0, 1, 0, 0); g.clearRect(0, 0, canvas.width, canvas.height); };
}

/** The canvas over the graph that a fleet is drawn on. */
export function Fleet() {
  const lab = useLab();
  const store = useStoreApi();
  const flights = useLabState((s) => (s.flights.length > FLEET && !prefersReducedMotion() ? s.flights : NONE));
  const canvas = React.useRef<HTMLCanvasElement>(null);
  React.useLayoutEffect(() => {
    if (!flights.length || !canvas.current) return;
    const marks = new Map([...lab.root?.querySelectorAll<HTMLElement>(".tkm") ?? []].map((el) => [Number(el.dataset.key), el]));
    return sail(lab, canvas.current, () => store.getState().transform, flights, lab.state.routes, marks);
  }, [lab, store, flights]);
  return <canvas ref={canvas} className="fleet" aria-hidden="true" />;
}

const NONE: Flight[] = [];

/** Where each token of a fleet is, for whoever asks the page: nothing of it is painted. */
export function Marks({ flights, routes }: { flights: Flight[]; routes: ReadonlyMap<string, Route> }) {
  return <>{flights.map((f) => { const e = routes.get(f.edge)?.edge; return e ? <i key={f.key} className="tkm" data-key={f.key} data-token={e.tensor ?? ""} data-edge={e.id} /> : null; })}</>;
}
