// The canvas: React Flow carries pan, zoom, dragging and selection; edges, labels, tokens and cards are ours, in the same coordinates.
import * as React from "react";
import { ReactFlow, ReactFlowProvider, ViewportPortal, useReactFlow, useStore, useViewport, type Node, type NodeChange } from "@xyflow/react";
import { prefersReducedMotion } from "../shared/controls";
import { Icon } from "../shared/icons";
import { t, told } from "../shared/words";
import { EdgeLabel, EdgeLine } from "./EdgeLine";
import { AlertStrip, ErrorCards } from "./ErrorCards";
import { Ghosts, WireHint } from "./Ghosts";
import { Minimap } from "./Minimap";
import { NodeCard } from "./NodeCard";
import { MadeFrames, Notes } from "./Notes";
import { frameRect, noteRect } from "./annotations";
import { Fleet } from "./Fleet";
import { Tokens } from "./tokens";
import { wireUnder } from "./making";
import { COVERS, type Point, type Rect, dtypeFamily, overlaps, visible } from "./geometry";
import { type Route, curve, pathOf } from "./routes";
import { useLab, useLabState } from "./store";

const NODE_TYPES = { card: NodeCard };
const NO_DATA = {};
const MANY = 200;
/** Below this zoom the text of many elements is no text any more: they are drawn as plain boxes, and their wires as straight lines. */
const FAR = 0.4;
const ROOM = 20000;
/** A graph of so few elements is made smaller, down to WHOLE, where that shows all of it. */
const FEW = 12;
const WHOLE = 1;   // text is written for this size, 10 px the smallest: less is only what a person asks for
const READABLE = 0.9;
const RING = 28;
/** In a lecture: the largest that a graph is shown, and what stays free around it for labels that reach out. */
const LARGE = 2.2;
const BESIDE = 34;
/** The least that it is shown where no more than so many units of the canvas were in sight when the bookmark was made. */
const LEAST = 1.15;
const WIDE = 1500;
const GLIDE = 320;

export function Canvas({ children }: { children?: React.ReactNode }) {
  return <ReactFlowProvider><Scroller>{children}</Scroller></ReactFlowProvider>;
}

/** Focus, find-in-page and assistive technology scroll things into view: such a scroll becomes a move of the viewport, and nothing jumps. */
function Scroller({ children }: { children?: React.ReactNode }) {
  const lab = useLab();
  const ref = React.useRef<HTMLDivElement>(null);
  const flow = useReactFlow();
  const rest = (): void => { void ref.current?.scrollTo(ROOM, ROOM); };
  React.useLayoutEffect(rest, []);
  const absorb = () => {
    const el = ref.current;
    if (!el) return;
    const dx = el.scrollLeft - ROOM;
    const dy = el.scrollTop - ROOM;
    if (Math.abs(dx) < 1 && Math.abs(dy) < 1) return;
    rest();
    // a page that is put elsewhere starts at its corner again: nobody has scrolled there
    if (dx === -ROOM && dy === -ROOM) return;
    lab.view?.halt();
    const v = flow.getViewport();
    void flow.setViewport({ ...v, x: v.x - dx, y: v.y - dy });
  };
  React.useEffect(() => { lab.absorb = absorb; return () => { lab.absorb = () => undefined; }; });
  // JupyterLab takes a cell out of the page and puts it back (moved, scrolled far away, hidden by another tab): its scroll is lost then, without
  // an event. An animation that begins is the sign that it is shown anew.
  const onShown = (e: React.AnimationEvent) => { if (e.target === ref.current) rest(); };
  return (
    <div className="cv" role="region" aria-label={t("Canvas")}>
      <div className="cvs" ref={ref} onScroll={absorb} onAnimationStart={onShown}>
        <div className="cvbig"><div className="cvin"><Flow /></div></div>
      </div>
      <ErrorCards />
      <ZoomControl />
      <Minimap />
      <AlertStrip />
      {children}
    </div>
  );
}

function Flow() {
  const lab = useLab();
  const scene = useLabState((s) => s.scene);
  const at = useLabState((s) => s.at);
  const geos = useLabState((s) => s.geos);
  const selected = useLabState((s) => s.selected);
  const home = useLabState((s) => s.home);
  const region = useRegion();
  const wiring = useLabState((s) => s.wire !== null);
  const focused = useFocusWithin(lab.root);
  const lecture = useLabState((s) => s.lecture);
  const pan = useReactFlow();
  // a press in the canvas may end anywhere: over the inspector, outside the window
  React.useEffect(() => {
    const up = () => { lab.pointing = false; };
    window.addEventListener("pointerup", up, true);
    window.addEventListener("pointercancel", up, true);
    return () => { window.removeEventListener("pointerup", up, true); window.removeEventListener("pointercancel", up, true); };
  }, [lab]);

  const nodes = React.useMemo((): Node[] => {
    const chosen = new Set(selected);
    return [...(scene?.nodes ?? []), ...(scene?.scopes ?? [])].flatMap((e): Node[] => {
      const p = at.get(e.name);
      const g = geos.get(e.name);
      if (!p || !g) return [];
      // what a key or a drag may act on is there, in sight or not
      if (region && !overlaps({ ...p, w: g.w, h: g.h }, region) && !chosen.has(e.name) && e.name !== home) return [];
      return [{ id: e.name, type: "card", position: p, data: NO_DATA, width: g.w, height: g.h, measured: { width: g.w, height: g.h }, selected: chosen.has(e.name), focusable: false, connectable: false }];
    });
  }, [scene, at, geos, selected, region, home]);

  const onNodesChange = (changes: NodeChange[]) => {
    let moved: Map<string, Point> | null = null;
    const picked = new Map<string, boolean>();
    for (const c of changes) {
      if (c.type === "position" && c.position) (moved ??= new Map(lab.state.at)).set(c.id, c.position);
      else if (c.type === "select") picked.set(c.id, c.selected);
    }
    if (moved) lab.arrangeAt(moved);
    if (picked.size) {
      const next = lab.state.selected.filter((n) => picked.get(n) !== false);
      for (const [id, on] of picked) if (on && !next.includes(id)) next.push(id);
      lab.select(next, next.length ? null : lab.state.edge);
    }
  };

  const onDragStop = (_: unknown, __: Node, dragged: Node[]) => {
    lab.dragging = false;
    const into = lab.state.dropEdge;
    if (into !== null) lab.set({ dropEdge: null });
    const positions = Object.fromEntries(dragged.map((n) => [n.id, [Math.round(n.position.x), Math.round(n.position.y)]]));
    if (into !== null && dragged.length === 1) void lab.edit([{ tag: "Move", positions }, { tag: "Insert", edge: into, node: dragged[0].id }], `Inserted ${dragged[0].id} into the wire.`);
    else if (dragged.length) void lab.edit([{ tag: "Move", positions }]);
  };

  const onPointerMove = (e: React.PointerEvent) => {
    const wire = lab.state.wire;
    if (wire?.mode !== "click") return;
    const p = pan.screenToFlowPosition({ x: e.clientX, y: e.clientY });
    lab.set({ wire: { ...wire, ...p } });
  };

  return (
    <ReactFlow
      nodes={nodes} edges={NO_EDGES} nodeTypes={NODE_TYPES} onNodesChange={onNodesChange}
      nodesFocusable={false} edgesFocusable={false} nodesConnectable={false} nodesDraggable={!lecture} disableKeyboardA11y deleteKeyCode={null} panActivationKeyCode={null}
      multiSelectionKeyCode={["Meta", "Control", "Shift"]} selectionKeyCode="Shift" elevateNodesOnSelect={false} nodeDragThreshold={3} nodeClickDistance={3} paneClickDistance={3}
      minZoom={at.size > MANY ? 0.02 : 0.1} maxZoom={3} zoomOnDoubleClick={false} proOptions={ATTRIBUTION}
      onMoveStart={(e) => { if (e) { lab.following = false; lab.view?.halt(); } }}
      panOnScroll={focused} zoomOnScroll={false} preventScrolling={focused} zoomActivationKeyCode={["Meta", "Control"]} zoomOnPinch
      onNodeDragStart={(_, __, dragged) => { lab.dragging = true; lab.dragged = dragged.map((n) => n.id); }} onNodeDrag={(_, __, dragged) => { const over = dragged.length === 1 ? wireUnder(lab, dragged[0].id) : null; if (over !== lab.state.dropEdge) lab.set({ dropEdge: over }); }} onNodeDragStop={onDragStop} onSelectionDragStop={(e, list) => onDragStop(e, list[0], list)}
      onNodeClick={(e, n) => { if (!e.shiftKey && !e.ctrlKey && !e.metaKey && lab.state.selected.length > 1 && lab.state.selected.includes(n.id)) lab.select([n.id]); }}
      onPaneClick={() => { if (lab.dropped) { lab.dropped = false; return; } lab.set({ wire: null, pending: null, into: null, mark: null }); lab.select([]); lab.root?.focus({ preventScroll: true }); }}
      onDoubleClick={(e) => { if (!(e.target as Element).closest("[data-node], [data-scope], [data-edge], .ecard")) lab.askForOperation(null, pan.screenToFlowPosition({ x: e.clientX, y: e.clientY })); }}
      onPointerMove={onPointerMove} onPointerDownCapture={() => { lab.pointing = true; lab.dropped = false; }}
      className={wiring ? "wiring" : ""} aria-label={nodes.length ? t("Graph") : t("Graph, empty: A adds an operation")} tabIndex={nodes.length ? -1 : 0}
    >
      <ViewBridge />
      <Distance />
      <ViewportPortal>
        <Frames />
        <Edges region={region} />
        <Notes />
        <div className="over"><Tokens /></div>
        <Ghosts />
        <WirePreview />
        <WireHint />
      </ViewportPortal>
      <Fleet />
    </ReactFlow>
  );
}

const NO_EDGES: never[] = [];
const ATTRIBUTION = { hideAttribution: true };

function useFocusWithin(root: HTMLElement | null): boolean {
  const [inside, setInside] = React.useState(false);
  React.useEffect(() => {
    if (!root) return;
    const on = () => setInside(true);
    const off = (e: FocusEvent) => { if (!root.contains(e.relatedTarget as globalThis.Node | null)) setInside(false); };
    root.addEventListener("focusin", on);
    root.addEventListener("focusout", off);
    return () => { root.removeEventListener("focusin", on); root.removeEventListener("focusout", off); };
  }, [root]);
  return inside;
}

const FIRST = 200;  // how wide the first column is taken to be

/** Gives the store its hands on the viewport. */
function ViewBridge() {
  const lab = useLab();
  const flow = useReactFlow();
  React.useLayoutEffect(() => {
    const box = () => lab.root?.querySelector(".cvin")?.getBoundingClientRect() ?? null;
    const bounds = (): Rect | null => {
      const rects: Rect[] = [...lab.rects(), ...lab.state.frames];
      for (const r of lab.state.routes.values()) if (r.chip) rects.push(r.chip);
      // the ring of what is asked for stands beside its node
      for (const n of lab.state.scene?.nodes ?? []) { const p = n.fetch ? lab.state.at.get(n.name) : undefined; const g = lab.state.geos.get(n.name); if (p && g && !g.mirrored) rects.push({ ...p, w: g.w + RING, h: g.h }); }
      for (const n of lab.state.scene?.notes ?? []) rects.push(noteRect(n));
      for (const f of lab.state.scene?.frames ?? []) { const r = frameRect(lab.state, f.members); if (r) rects.push(r); }
      if (!rects.length) return null;
      const x = Math.min(...rects.map((r) => r.x));
      const y = Math.min(...rects.map((r) => r.y)) - (lab.state.layout?.captions.length ? 34 : 0);
      return { x, y, w: Math.max(...rects.map((r) => r.x + r.w)) - x, h: Math.max(...rects.map((r) => r.y + r.h)) - y };
    };
    /** The room that what lies along the edges leaves. */
    const insets = (): { top: number; bottom: number } => {
      const v = box();
      let top = 24;
      for (const el of lab.root?.querySelectorAll(".banner, .offer") ?? []) { const b = el.getBoundingClientRect(); if (v) top = Math.max(top, b.bottom - v.top + 14); }
      return { top, bottom: 48 };
    };
    const pad = 14;
    // while the viewport glides, its goal counts: what is in sight there needs no move
    let goal: { x: number; y: number; zoom: number; until: number } | null = null;
    const viewport = () => (goal !== null && performance.now() < goal.until ? goal : flow.getViewport());
    const move = ({ x, y, zoom }: { x: number; y: number; zoom: number }, smooth: boolean) => {
      const duration = smooth && !prefersReducedMotion() ? GLIDE : 0;
      goal = duration ? { x, y, zoom, until: performance.now() + duration } : null;
      void flow.setViewport({ x, y, zoom }, { duration });
    };
    /** The viewport that shows these bounds: whole if they are those of a small graph (or if that is asked for), else from where they start. */
    const frame = (b: Rect, few: boolean, whole: boolean) => {
      const v = box();
      if (!v || !v.width) return null;
      const { top, bottom } = insets();
      const w = v.width - 2 * pad;
      const h = v.height - top - bottom;
      const fit = Math.min(w / b.w, h / b.h);
      // text keeps its size: what does not fit nearly is panned, not shrunk
      const zoom = whole ? Math.max(lab.state.at.size > MANY ? 0.02 : 0.1, Math.min(1, fit)) : few && fit >= WHOLE ? Math.min(1, fit) : 1;
      // what does not fit is read from where it starts: the gradient may reach further left than the inputs
      const start = lab.state.layout?.start ?? b;
      const x = b.w * zoom <= w + 1 ? (v.width - b.w * zoom) / 2 - b.x * zoom : pad - Math.max(b.x, start.x) * zoom;
      const y = b.h * zoom <= h + 1 ? top + Math.min((h - b.h * zoom) / 2, 66) : top;
      return { x, y: y - b.y * zoom, zoom };
    };
    lab.view = {
      fit: (whole = false) => {
        const b = bounds();
        const to = b && frame(b, lab.state.at.size <= FEW, whole);
        const v = box();
        if (!to || !v) return;
        lab.following = true;
        // a tall graph is read from its first column, wherever that stands: an empty corner is no place to start
        const rects = lab.rects();
        const left = Math.max(Math.min(...rects.map((r) => r.x)), lab.state.layout?.start.x ?? -Infinity);
        const first = rects.filter((r) => r.x >= left - 1 && r.x < left + FIRST);
        if (first.length) {
          const head = first.reduce((a, b) => (b.y < a.y ? b : a));
          const { top, bottom } = insets();
          if ((head.y + head.h) * to.zoom + to.y > v.height - bottom) to.y = (top + v.height - bottom) / 2 - (head.y + head.h / 2) * to.zoom;
        }
        move(to, false);
      },
      show: (id, smooth = false) => {
        lab.absorb();
        const p = lab.state.at.get(id);
        const g = lab.state.geos.get(id);
        const v = box();
        if (!p || !g || !v) return;
        const { x, y, zoom } = viewport();
        const r = { x: p.x * zoom + x, y: p.y * zoom + y, w: g.w * zoom, h: g.h * zoom };
        const margin = 20;
        let dx = 0;
        let dy = 0;
        if (r.x < margin) dx = margin - r.x;
        else if (r.x + r.w > v.width - margin) dx = v.width - margin - r.x - r.w;
        if (r.y < margin) dy = margin - r.y;
        else if (r.y + r.h > v.height - margin) dy = v.height - margin - r.y - r.h;
        // what lies over the canvas must not cover what is shown: the banner, the minimap, the zoom
        for (const el of lab.root?.querySelectorAll(COVERS) ?? []) {
          const b = el.getBoundingClientRect();
          const cover = { x: b.left - v.left, y: b.top - v.top, w: b.width, h: b.height };
          if (!overlaps({ x: r.x + dx, y: r.y + dy, w: r.w, h: r.h }, cover, 4)) continue;
          if (cover.y > v.height / 2) dy -= r.y + dy + r.h - cover.y + 14;
          else dy += cover.y + cover.h - r.y - dy + 14;
        }
        if (dx || dy) move({ x: x + dx, y: y + dy, zoom }, smooth);
      },
      centre: (id) => {
        const p = lab.state.at.get(id);
        const g = lab.state.geos.get(id);
        const v = box();
        if (!p || !g || !v) return;
        const zoom = Math.min(1, Math.max(viewport().zoom, READABLE));
        move({ x: v.width / 2 - (p.x + g.w / 2) * zoom, y: v.height / 2 - (p.y + g.h / 2) * zoom, zoom }, true);
      },
      follow: (at, geos, id) => {
        lab.absorb();
        const v = box();
        if (!v) return;
        const rects: Rect[] = [...at].flatMap(([key, p]) => { const g = geos.get(key); return g ? [{ ...p, w: g.w, h: g.h }] : []; });
        if (!rects.length) return;
        const { top: upper, bottom: lower } = insets();
        const x0 = Math.min(...rects.map((r) => r.x));
        const y0 = Math.min(...rects.map((r) => r.y)) - 16;
        const all = { x: x0, y: y0, w: Math.max(...rects.map((r) => r.x + r.w)) + 16 - x0, h: Math.max(...rects.map((r) => r.y + r.h)) - y0 };
        let { x, y, zoom } = viewport();
        const few = at.size <= FEW && lab.following;
        const width = v.width - 2 * pad;
        const height = v.height - upper - lower;
        const before = { x, y, zoom };
        const out = all.x * zoom + x < pad - 1 || (all.x + all.w) * zoom + x > v.width - pad + 1 || all.y * zoom + y < upper - 1 || (all.y + all.h) * zoom + y > v.height - lower + 1;
        if (out && few && (all.w * zoom > width || all.h * zoom > height) && Math.min(width / all.w, height / all.h) >= WHOLE) ({ x, y, zoom } = frame(all, true, false) ?? before);
        const left = all.x * zoom + x;
        const top = all.y * zoom + y;
        const right = left + all.w * zoom;
        const bottom = top + all.h * zoom;
        if (right - left <= width + 1) x += left < pad ? pad - left : right > v.width - pad ? v.width - pad - right : 0;
        if (bottom - top <= height + 1) y += top < upper ? upper - top : bottom > v.height - lower ? v.height - lower - bottom : 0;
        const p = id === null ? undefined : at.get(id);
        const g = id === null ? undefined : geos.get(id);
        if (p && g) {
          const r = { x: p.x * zoom + x, y: p.y * zoom + y, w: g.w * zoom, h: g.h * zoom };
          if (r.x < pad) x += pad - r.x;
          else if (r.x + r.w > v.width - pad) x += v.width - pad - r.x - r.w;
          if (r.y < upper) y += upper - r.y;
          else if (r.y + r.h > v.height - lower) y += v.height - lower - r.y - r.h;
        }
        if (x !== before.x || y !== before.y || zoom !== before.zoom) move({ x, y, zoom }, true);
      },
      visible: () => {
        const v = box();
        if (!v) return null;
        const { x, y, zoom } = flow.getViewport();
        return { x: -x / zoom, y: -y / zoom, w: v.width / zoom, h: v.height / zoom };
      },
      toFlow: (p) => flow.screenToFlowPosition(p),
      zoom: (by) => { goal = null; void (by > 1 ? flow.zoomIn() : flow.zoomOut()); },
      center: (p) => { goal = null; void flow.setCenter(p.x, p.y, { zoom: flow.getZoom() }); },
      halt: () => { goal = null; },
      look: (part, names, about, smooth) => {
        lab.absorb();
        const v = box();
        if (!v || !v.width) return;
        const { at, geos, scene, lecture } = lab.state;
        const rects: Rect[] = names.flatMap((n) => { const p = at.get(n); const g = geos.get(n); return p && g ? [{ ...p, w: g.w, h: g.h }] : []; });
        const within = (r: Rect) => part !== null && r.x + r.w / 2 >= part.x && r.x + r.w / 2 <= part.x + part.w && r.y + r.h / 2 >= part.y && r.y + r.h / 2 <= part.y + part.h;
        const same = part !== null && rects.every(within);
        const all = rects.length ? [...rects, ...(scene?.notes ?? []).map(noteRect).filter(within)] : [];
        const x0 = Math.min(...all.map((r) => r.x));
        const y0 = Math.min(...all.map((r) => r.y));
        const those = all.length ? { x: x0, y: y0, w: Math.max(...all.map((r) => r.x + r.w)) - x0, h: Math.max(...all.map((r) => r.y + r.h)) - y0 } : null;
        const exact = same && !lecture;
        const aim = exact ? part : those ?? part ?? bounds();
        if (!aim) return;
        const edge = exact ? 0 : lecture ? BESIDE : pad;
        // what was read close by is to be read at the back of the room, whatever else has to make way; who had stepped back shows how it all hangs together
        const least = lecture && part !== null && part.w < WIDE ? LEAST : at.size > MANY ? 0.02 : 0.1;
        const zoom = Math.max(least, Math.min(exact ? 3 : lecture ? LARGE : 1, (v.width - 2 * edge) / aim.w, (v.height - 2 * edge) / aim.h));
        lab.following = false;
        const p = about === null ? undefined : at.get(about);
        const g = about === null ? undefined : geos.get(about);
        /** Where the middle of the screen is along one axis: in the middle of the aim, or near what it is about where that does not fit. */
        const middle = (from: number, size: number, screen: number, here: number | undefined): number => {
          const half = (screen / 2 - edge) / zoom;
          return size <= 2 * half + 1 ? from + size / 2 : Math.min(Math.max(here ?? from, from + half), from + size - half);
        };
        const mx = middle(aim.x, aim.w, v.width, p && g ? p.x + g.w / 2 : undefined);
        const my = middle(aim.y, aim.h, v.height, p && g ? p.y + g.h / 2 : undefined);
        move({ x: v.width / 2 - mx * zoom, y: v.height / 2 - my * zoom, zoom }, smooth);
      },
    };
    if (lab.state.at.size) lab.open();
    return () => { lab.view = null; };
  }, [lab, flow]);
  return null;
}

/** The part of the canvas whose elements are in the page: what is in sight and half as much again on every side, so that most of a pan changes nothing. Null: all of it. */
function useRegion(): Rect | null {
  const many = useLabState((s) => s.at.size > MANY);
  const held = React.useRef<Rect | null>(null);
  return useStore((s) => {
    const [x, y, zoom] = s.transform;
    // plain boxes cost little: from far away all of them stay
    if (!many || !s.width || zoom < FAR) return (held.current = null);
    const view = { x: -x / zoom, y: -y / zoom, w: s.width / zoom, h: s.height / zoom };
    const r = held.current;
    const within = r && view.x >= r.x && view.y >= r.y && view.x + view.w <= r.x + r.w && view.y + view.h <= r.y + r.h;
    if (within && r.w <= 3.2 * view.w) return r;
    return (held.current = { x: view.x - view.w / 2, y: view.y - view.h / 2, w: 2 * view.w, h: 2 * view.h });
  });
}

/** Notes when the canvas is so far away that many elements are drawn plainly. */
function Distance() {
  const lab = useLab();
  const many = useLabState((s) => s.at.size > MANY);
  const far = useStore((s) => many && s.transform[2] < FAR);
  React.useLayoutEffect(() => { if (lab.state.far !== far) lab.set({ far }); }, [lab, far]);
  return null;
}

function Edges({ region }: { region: Rect | null }) {
  const routes = useLabState((s) => s.routes);
  const far = useLabState((s) => s.far);
  const list = React.useMemo(() => {
    const all = [...routes.values()];
    return region ? all.filter((r) => overlaps({ x: Math.min(r.from.x, r.to.x), y: Math.min(r.from.y, r.to.y), w: Math.abs(r.to.x - r.from.x) + 1, h: Math.abs(r.to.y - r.from.y) + 1 }, region)) : all;
  }, [routes, region]);
  if (far) return <FarEdges list={list} />;
  return (
    <svg className="es" width="1" height="1" role="presentation">
      {list.map((r) => <EdgeLine key={r.edge.id} route={r} />)}
      <g className="els" aria-hidden="true">{list.map((r) => <EdgeLabel key={r.edge.id} route={r} />)}</g>
    </svg>
  );
}

/** Wires seen from far away: straight, one path for all of a kind; the selected one, and those that do not fit, as they are. */
function FarEdges({ list }: { list: Route[] }) {
  const chosen = useLabState((s) => s.edge);
  const thumbs = useLabState((s) => s.thumbs);
  const paths = React.useMemo(() => {
    const out = new Map<string, string>();
    for (const r of list) {
      if (r.edge.error !== null || r.chip) continue;   // a chip is a name beside a port, which cannot be read from here
      const kind = `e far p-${r.edge.phase} d-${dtypeFamily(r.edge.dtype)}${r.edge.control ? " control loose" : ""}${r.edge.tensor !== null && thumbs.has(r.edge.tensor) ? " live" : " wait"}`;
      out.set(kind, `${out.get(kind) ?? ""}M${Math.round(r.from.x)} ${Math.round(r.from.y)}L${Math.round(r.to.x)} ${Math.round(r.to.y)}`);
    }
    return [...out];
  }, [list, thumbs]);
  return (
    <svg className="es" width="1" height="1">
      {paths.map(([kind, d]) => <g key={kind} className={kind}><path className="ln" d={d} /></g>)}
      {list.filter((r) => r.edge.error !== null || r.edge.id === chosen).map((r) => <EdgeLine key={r.edge.id} route={r} />)}
    </svg>
  );
}

function Frames() {
  const lab = useLab();
  const frames = useLabState((s) => s.frames);
  const layout = useLabState((s) => s.layout);
  const timesteps = useLabState((s) => s.run.timesteps);
  return (
    <div className="frames">
      <MadeFrames />
      {frames.map((f) => (
        <div key={f.name} className={f.loop !== null ? `frame ${f.loop}` : "frame"} data-timestep={timesteps[f.name]} style={{ left: f.x, top: f.y, width: f.w, height: f.h }}>
          <button type="button" className="nopan nodrag" tabIndex={-1} title={t("Fold {name}", { name: visible(f.name) })} aria-label={t("Fold {name}", { name: visible(f.name) })} onClick={() => lab.fold([f.name], false)}>
            <Icon name="chevronDown" size={10} />{f.loop === "loop" ? "↻ " : f.loop === "branch" ? "⎇ " : ""}{visible(f.label)}
            {timesteps[f.name] !== undefined && <span className="at">{told(timesteps[f.name])}</span>}
          </button>
        </div>
      ))}
      {layout?.captions.map((c) => <span key={c.text} className={`ph p-${c.phase}`} style={{ left: c.x, top: c.y }}>{t(c.text)}</span>)}
    </div>
  );
}

function WirePreview() {
  const lab = useLab();
  const wire = useLabState((s) => s.wire);
  if (!wire) return null;
  const from = lab.portPoint(wire.from);
  const side = lab.state.geos.get(wire.from.node)?.byKey.get(`${wire.from.dir}:${wire.from.port}`)?.side ?? "right";
  const end = side === "left" ? "right" : side === "right" ? "left" : side === "top" ? "bottom" : "top";
  return <svg className="es preview" width="1" height="1" aria-hidden="true"><path d={pathOf(curve([from, { x: wire.x, y: wire.y }], side, end))} /></svg>;
}

function ZoomControl() {
  const lab = useLab();
  const { zoom } = useViewport();
  return (
    <div className="zoom">
      <button type="button" aria-label={t("Zoom out")} title={t("Zoom out")} onClick={() => lab.view?.zoom(0.8)}>−</button>
      <span>{Math.round(zoom * 100)} %</span>
      <button type="button" aria-label={t("Zoom in")} title={t("Zoom in")} onClick={() => lab.view?.zoom(1.25)}>+</button>
      <button type="button" aria-label={t("Show all")} title={t("Show the whole graph")} onClick={() => lab.view?.fit(true)}><Icon name="fit" size={12} /></button>
    </div>
  );
}
