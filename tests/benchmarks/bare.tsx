// React Flow by itself, drawing the same elements at the same places: what the lab's canvas is held against.
import { createRoot } from "react-dom/client";
import { ReactFlow } from "@xyflow/react";
import "@xyflow/react/dist/style.css";

type Graph = { nodes: { id: string; x: number; y: number; w: number; h: number }[]; edges: [string, string][] };

(window as unknown as { draw(graph: Graph): void }).draw = ({ nodes, edges }) => {
  performance.mark("flowlab: scene arrived");
  createRoot(document.getElementById("root") as HTMLElement).render(
    <ReactFlow
      defaultNodes={nodes.map((n) => ({ id: n.id, position: { x: n.x, y: n.y }, data: { label: n.id }, width: n.w, height: n.h, style: { width: n.w, height: n.h } }))}
      defaultEdges={edges.map(([source, target], k) => ({ id: String(k), source, target }))}
      minZoom={0.02} maxZoom={3} panOnScroll defaultViewport={{ x: 20, y: 20, zoom: 1 }}
    />);
};
