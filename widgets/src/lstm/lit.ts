// What lights together: point at a term, and its node, its wire, its bar, its heatmap and its readout light too.
import * as React from "react";
import type { Shown } from "./data";

/** Everything that can light. keep and write are the two halves of a new cell state, out is o · tanh c, before is c(t−1). */
export type Part = Shown | "keep" | "write" | "out" | "before" | "tanh";

const TOGETHER: Record<Part, readonly Part[]> = {
  f: ["f", "keep"],
  i: ["i", "write"],
  g: ["g", "write"],
  o: ["o", "out"],
  c: ["c"],
  h: ["h", "out"],
  keep: ["keep", "f", "before"],
  write: ["write", "i", "g"],
  out: ["out", "o", "h"],
  before: ["before", "keep"],
  tanh: ["tanh", "c"],
};

export const STEPS = [
  { key: "forget", word: "Forget", formula: "f · c", parts: ["f", "keep", "before"] },
  { key: "input", word: "Input", formula: "i, g", parts: ["i", "g", "write"] },
  { key: "cell", word: "Cell", formula: "f · c + i · g", parts: ["c", "keep", "write"] },
  { key: "output", word: "Output", formula: "o · tanh c", parts: ["o", "tanh", "out", "h"] },
] as const satisfies readonly { key: string; word: string; formula: string; parts: readonly Part[] }[];

export type StepKey = (typeof STEPS)[number]["key"];

export interface Light {
  is(part: Part): true | undefined;
  /** Handlers that light a part while it is pointed at or focused. */
  on(part: Part): { onPointerEnter(): void; onPointerLeave(): void; onFocus(): void; onBlur(): void };
}

export const LightContext = React.createContext<Light>({
  is: () => undefined,
  on: () => ({ onPointerEnter() {}, onPointerLeave() {}, onFocus() {}, onBlur() {} }),
});

/** The light of this view: what is pointed at, else the step whose button is pressed. */
export function useLightState(step: StepKey | null): Light {
  const [part, setPart] = React.useState<Part | null>(null);
  return React.useMemo(() => {
    const parts: readonly Part[] = part ? TOGETHER[part] : (STEPS.find((s) => s.key === step)?.parts ?? []);
    return {
      is: (p) => parts.includes(p) || undefined,
      on: (p) => ({
        onPointerEnter: () => setPart(p), onPointerLeave: () => setPart(null),
        onFocus: () => setPart(p), onBlur: () => setPart(null),
      }),
    };
  }, [part, step]);
}

export const useLight = (): Light => React.useContext(LightContext);
