// Every icon of the design, 14 × 14, drawn with the current colour.
import * as React from "react";

const PATHS = {
  // categories of operations
  input: <path d="M2 3h5l4 4-4 4H2z" />,
  math: <path d="M7 2.5v9M2.5 7h9" />,
  array: <path d="M2 2h10v10H2zM2 7h10M7 2v10" />,
  reduce: <path d="M11 3H3.5l4 4-4 4H11" />,
  linalg: <><path d="M4.5 2H2.5v10h2M9.5 2h2v10h-2" /><path d="M5.5 5.5h.01M8.5 5.5h.01M5.5 8.5h.01M8.5 8.5h.01" strokeWidth="2" /></>,
  activation: <path d="M2 11.5h4.2L11.5 2.5" />,
  conv: <><path d="M2 2h10v10H2z" /><path d="M2 2h6v6H2z" fill="currentColor" stroke="none" /></>,
  recurrent: <path d="M11.5 7a4.5 4.5 0 1 1-1.6-3.45M10.2 1v3h-3" />,
  state: <><ellipse cx="7" cy="3.6" rx="4.5" ry="1.8" /><path d="M2.5 3.6v6.8c0 1 2 1.8 4.5 1.8s4.5-.8 4.5-1.8V3.6" /></>,
  random: <><path d="M2 2h10v10H2z" /><path d="M5 5h.01M9 9h.01M9 5h.01M5 9h.01" strokeWidth="2" /></>,
  loss: <path d="M2 2.5v9h10M4.5 4c1 5 3.5 5.5 7 5.7" />,
  control: <path d="M7 1.8 12.2 7 7 12.2 1.8 7z" />,
  gradient: <path d="M5 3.5c1-1.5 4.5-2 5 2 .5 4-1.2 6.7-3.6 6.7S3 10.5 3.3 9s2-2.6 3.6-2.3S10 7.5 10.4 8" />,
  // states of nodes
  idle: <circle cx="7" cy="7" r="4" strokeDasharray="2 2.2" />,
  ready: <path d="M3 2l9 5-9 5z" />,
  running: <><circle cx="7" cy="7" r="4.5" /><path d="M7 2.5a4.5 4.5 0 0 1 0 9z" fill="currentColor" /></>,
  done: <path d="M2.5 7.5l3 3 6-7" />,
  error: <><path d="M7 1.5L13 12H1z" /><path d="M7 5.5v3M7 10.3v.1" /></>,
  // phases
  forward: <path d="M3 2l9 5-9 5z" fill="currentColor" />,
  backward: <path d="M11 2L2 7l9 5z" fill="currentColor" />,
  update: <path d="M7 1.8 12.2 7 7 12.2 1.8 7z" fill="currentColor" />,
  // themes
  system: <><path d="M1.5 2.5h11v7h-11zM5 12h4" /></>,
  light: <><circle cx="7" cy="7" r="2.6" /><path d="M7 1v1.4M7 11.6V13M1 7h1.4M11.6 7H13M2.8 2.8l1 1M10.2 10.2l1 1M11.2 2.8l-1 1M3.8 10.2l-1 1" /></>,
  dark: <path d="M11.5 8.6A5 5 0 0 1 5.4 2.5a5 5 0 1 0 6.1 6.1z" />,
  // commands
  add: <path d="M7 2.5v9M2.5 7h9" />,
  live: <path d="M1 7.5h2.8l2-5 2.6 9.4 1.8-4.4H13" />,
  lecture: <path d="M1.5 2.5h11M2.5 2.5v6h9v-6M7 8.5v2M4 12.5l3-2 3 2" />,
  code: <path d="M4.5 3.2L1 7l3.5 3.8M9.5 3.2L13 7l-3.5 3.8" />,
  run: <path d="M3 2l9 5-9 5z" fill="currentColor" />,
  play: <path d="M3 2l9 5-9 5z" />,
  pause: <path d="M4 2.5v9M10 2.5v9" strokeWidth="2.2" />,
  stop: <path d="M3 3h8v8H3z" fill="currentColor" />,
  resume: <path d="M2 2.5v9M5 2.5l7.5 4.5L5 11.5z" />,
  step: <path d="M3 2.5l6 4.5-6 4.5zM11 2.5v9" />,
  stepBack: <path d="M11 2.5L5 7l6 4.5zM3 2.5v9" />,
  stepLevel: <path d="M2 3l4 4-4 4M6 3l4 4-4 4M12 3v8" />,
  stepScope: <><path d="M1.5 2.5h11v9h-11z" /><path d="M5 4.8L9 7 5 9.2z" fill="currentColor" /></>,
  stepTimestep: <><path d="M2 4.5A5 5 0 0 1 11 4M11.5 1.5V4.5h-3" /><path d="M4 8.5h6M8 6.5l2.2 2L8 10.5M12 6v5" /></>,
  stepPass: <path d="M2 2.5l4 4.5-4 4.5zM7 2.5L11 7l-4 4.5zM12.5 2.5v9" />,
  undo: <path d="M4.5 3L2 5.5 4.5 8M2.2 5.5H9a3 3 0 0 1 0 6H6" />,
  redo: <path d="M9.5 3L12 5.5 9.5 8M11.8 5.5H5a3 3 0 0 0 0 6h3" />,
  foldAll: <path d="M2 7h10M7 1v3.5M5 3l2 1.8L9 3M7 13V9.5M5 11l2-1.8L9 11" />,
  unfoldAll: <path d="M2 7h10M7 5V1.5M5 3l2-1.8L9 3M7 9v3.5M5 11l2 1.8L9 11" />,
  tidy: <path d="M1.5 2h4v3h-4zM8.5 2h4v3h-4zM5 9h4v3H5zM3.5 5v2h7V5M7 7v2" />,
  file: <path d="M3 1.5h5.5L11.5 4.5v8H3zM8.2 1.7v3.1h3.1" />,
  check: <path d="M2.5 7.5l3 3 6-7" />,
  save: <path d="M2 2h8l2 2v8H2zM4.5 2v3h4V2M4 12V8h6v4" />,
  find: <><circle cx="6" cy="6" r="3.8" /><path d="M9 9l3.2 3.2" /></>,
  flag: <path d="M3 13V1.5h8L9 4.5l2 3H3" />,
  pencil: <path d="M2 12l.8-3L9.5 2.3l2.2 2.2L5 11.2zM8.2 3.6l2.2 2.2" />,
  branch: <><path d="M3.5 2v10M3.5 8.5c0-3 7-1.5 7-5" /><circle cx="10.5" cy="2.6" r="1.4" /></>,
  question: <><circle cx="7" cy="7" r="5.3" /><path d="M5.2 5.6c0-2.4 3.7-2.3 3.7-.1 0 1.4-1.9 1.4-1.9 2.9M7 10.2v.1" /></>,
  eye: <><path d="M1 7s2.2-4 6-4 6 4 6 4-2.2 4-6 4-6-4-6-4z" /><circle cx="7" cy="7" r="1.6" /></>,
  outline: <path d="M2 3.5h1M5 3.5h7M2 7h1M5 7h7M2 10.5h1M5 10.5h7" />,
  minimap: <><path d="M1.5 2.5h11v9h-11z" /><path d="M7 7h5.5v4.5H7z" fill="currentColor" /></>,
  more: <path d="M3 7h.01M7 7h.01M11 7h.01" strokeWidth="2.2" />,
  trash: <path d="M2.5 3.5h9M5.5 3.5V2h3v1.5M3.5 3.5l.7 8.5h5.6l.7-8.5M5.8 6v3.5M8.2 6v3.5" />,
  close: <path d="M3 3l8 8M11 3l-8 8" />,
  cut: <path d="M4.6 8.6L11 2M9.4 8.6L3 2M3.4 12a1.9 1.9 0 1 0 0-3.8 1.9 1.9 0 0 0 0 3.8zM10.6 12a1.9 1.9 0 1 0 0-3.8 1.9 1.9 0 0 0 0 3.8z" />,
  paste: <path d="M5 2.5H2.5V12h9V2.5H9M5 1.5h4v2H5zM5 6.5h4M5 9h4" />,
  copy: <path d="M4.5 4.5h7.5V12H4.5zM2 9.5V2h7.5" />,
  chevronRight: <path d="M5 3l4 4-4 4" />,
  chevronDown: <path d="M3 5l4 4 4-4" />,
  expand: <path d="M8 2h4v4M12 2L8 6M6 12H2V8M2 12l4-4" />,
  fit: <path d="M2 5V2h3M9 2h3v3M12 9v3H9M5 12H2V9" />,
  language: <><circle cx="7" cy="7" r="5.3" /><path d="M1.7 7h10.6M7 1.7C4 4.6 4 9.4 7 12.3M7 1.7c3 2.9 3 7.7 0 10.6" /></>,
  tour: <path d="M7 13V1.5M7 2.5h4.3L13 4.3 11.3 6H7M7 6.8H2.7L1 8.6l1.7 1.7H7" />,
  keyboard: <path d="M1.5 3.5h11v7h-11zM4 6h.01M7 6h.01M10 6h.01M4.5 8.5h5" />,
} as const;

export type IconName = keyof typeof PATHS;

/** An icon beside its word; it says nothing to a screen reader, the word does. */
export function Icon({ name, size = 14, className = "" }: { name: IconName; size?: number; className?: string }) {
  return (
    <svg
      className={`fl-icon ${className}`} width={size} height={size} viewBox="0 0 14 14" aria-hidden="true" focusable="false"
      fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round"
      style={{ flex: "none", verticalAlign: "-2px" }}
    >
      {PATHS[name]}
    </svg>
  );
}

/** The icon of an operation's category, whatever the category is called. */
export function categoryIcon(category: string): IconName {
  const known: Record<string, IconName> = {
    input: "input", math: "math", array: "array", reduce: "reduce", linalg: "linalg", activation: "activation", conv: "conv",
    recurrent: "recurrent", state: "state", random: "random", loss: "loss", control: "control", gradient: "gradient",
  };
  return known[category] ?? "control";
}

/** The icon of a node's state. */
export function stateIcon(state: "idle" | "ready" | "running" | "done" | "error"): IconName {
  return state;
}
