// Wiring by hand: click one port and then the other, or drag from one to the other; dropped in empty space, the wire asks for an operation.
import * as React from "react";
import { type Lab, type PortRef, useLab } from "./store";
import { elementAt } from "../shared/tree";

/** The port under a point of the screen. */
export function portAt(lab: Lab, x: number, y: number): PortRef | null {
  const el = elementAt(lab.root, x, y);
  const hook = el?.closest("[data-port]");
  if (!hook || !lab.root?.contains(hook)) return null;
  return parsePort(hook.getAttribute("data-port") ?? "");
}

/** "hidden/MatMul:in:a" → its parts; a node's name holds no colon. */
export function parsePort(text: string): PortRef | null {
  const m = /^([^:]+):(in|out):(.+)$/s.exec(text);
  return m ? { node: m[1], dir: m[2] as "in" | "out", port: m[3] } : null;
}

const same = (a: PortRef, b: PortRef): boolean => a.node === b.node && a.dir === b.dir && a.port === b.port;

/** A drop on a node's body means its first open port that fits. */
function portOf(lab: Lab, x: number, y: number, from: PortRef): PortRef | null {
  const hook = elementAt(lab.root, x, y)?.closest("[data-node], [data-scope]");
  if (!hook || !lab.root?.contains(hook)) return null;
  const name = hook.getAttribute("data-node") ?? hook.getAttribute("data-scope") ?? "";
  if (name === "" || name === from.node) return null;
  if (from.dir === "in") { const out = lab.outputsOf(name)[0]; return out ? { node: name, dir: "out", port: out.port } : null; }
  const inputs = lab.inputsOf(name);
  const open = inputs.find((p) => !p.wired) ?? inputs[0];
  return open ? { node: name, dir: "in", port: open.port } : null;
}

export function clickPort(lab: Lab, port: PortRef): void {
  const wire = lab.state.wire;
  if (!wire) {
    const view = lab.portPoint(port);
    lab.askReach(port);
    lab.set({ wire: { from: port, mode: "click", x: view.x, y: view.y, over: null }, pending: null, alerts: [], status: `Wiring from ${port.node}: click the other port, Esc cancels.` });
  } else if (same(wire.from, port)) { lab.unpreview(); lab.set({ wire: null }); }
  else void lab.join(wire.from, port);
}

export function usePortGestures(port: PortRef) {
  const lab = useLab();
  const dragged = React.useRef(false);
  return {
    onClick: (e: React.MouseEvent) => {
      e.stopPropagation();
      if (dragged.current) { dragged.current = false; return; }
      clickPort(lab, port);
    },
    onDoubleClick: (e: React.MouseEvent) => e.stopPropagation(),
    onPointerEnter: () => lab.tryWire(port),
    onPointerLeave: () => { if (lab.state.wire) lab.unpreview(); },
    onFocus: () => { if (!lab.pointing) lab.tryWire(port); },
    onBlur: () => { if (lab.state.wire) lab.unpreview(); },
    onPointerDown: (e: React.PointerEvent) => {
      if (e.button !== 0) return;
      dragged.current = false;
      const start = { x: e.clientX, y: e.clientY };
      const pointer = e.pointerId;
      const move = (m: PointerEvent) => {
        if (m.pointerId !== pointer) return;
        if (!dragged.current && Math.hypot(m.clientX - start.x, m.clientY - start.y) < 5) return;
        if (!dragged.current) lab.askReach(port);
        dragged.current = true;
        const p = lab.view?.toFlow({ x: m.clientX, y: m.clientY }) ?? { x: 0, y: 0 };
        const over = portAt(lab, m.clientX, m.clientY);
        lab.set({ wire: { from: port, mode: "drag", x: p.x, y: p.y, over: over ? `${over.node}:${over.dir}:${over.port}` : null } });
      };
      const stop = () => {
        window.removeEventListener("pointermove", move);
        window.removeEventListener("pointerup", up);
        window.removeEventListener("pointercancel", cancel);
      };
      const cancel = (m: PointerEvent) => {
        if (m.pointerId !== pointer) return;
        stop();
        if (dragged.current) { lab.unpreview(); lab.set({ wire: null }); }
      };
      const up = (m: PointerEvent) => {
        if (m.pointerId !== pointer) return;
        stop();
        if (!dragged.current) return;
        // the click that follows a drag on one port is no click
        setTimeout(() => { dragged.current = false; }, 0);
        const to = portAt(lab, m.clientX, m.clientY) ?? portOf(lab, m.clientX, m.clientY, port);
        lab.unpreview();
        if (to && same(to, port)) { lab.set({ wire: null }); return; }
        if (to) { void lab.join(port, to); return; }
        lab.set({ wire: null });
        lab.dropped = true;
        const canvas = elementAt(lab.root, m.clientX, m.clientY)?.closest(".cv");
        if (canvas && lab.root?.contains(canvas)) lab.askForOperation(port, lab.view?.toFlow({ x: m.clientX, y: m.clientY }) ?? null);
      };
      window.addEventListener("pointermove", move);
      window.addEventListener("pointerup", up);
      window.addEventListener("pointercancel", cancel);
    },
  };
}
