// What lights together: point at a term, and its node, its wire, its bar, its heatmap and its readout light too.
import * as React from "react";
import type { Kind, Shown } from "./data";

/** Everything that can light. keep and write are the two halves of a new state, out is o · tanh c, before is the state before, sum an RNN's u + s. */
export type Part = Shown | "keep" | "write" | "out" | "before" | "tanh" | "sum";

// letters that a layer has not are on no screen of it, so one table serves every kind
const TOGETHER: Record<Part, readonly Part[]> = {
  f: ["f", "keep"],
  i: ["i", "write"],
  g: ["g", "write"],
  o: ["o", "out"],
  c: ["c"],
  h: ["h", "out"],
  r: ["r"],
  z: ["z", "keep", "write"],
  n: ["n", "write"],
  u: ["u", "write"],
  s: ["s", "keep"],
  keep: ["keep", "f", "z", "s", "before"],
  write: ["write", "i", "g", "z", "n", "u"],
  out: ["out", "o", "h"],
  before: ["before", "keep"],
  tanh: ["tanh", "c", "sum"],
  sum: ["sum", "keep", "write"],
};

interface Step { key: string; word: string; formula: string; parts: readonly Part[] }

export const STEPS: Record<Kind, readonly Step[]> = {
  lstm: [
    { key: "forget", word: "Forget", formula: "f · c", parts: ["f", "keep", "before"] },
    { key: "input", word: "Input", formula: "i, g", parts: ["i", "g", "write"] },
    { key: "cell", word: "Cell", formula: "f · c + i · g", parts: ["c", "keep", "write"] },
    { key: "output", word: "Output", formula: "o · tanh c", parts: ["o", "tanh", "out", "h"] },
  ],
  gru: [
    { key: "reset", word: "Reset", formula: "r", parts: ["r"] },
    { key: "update", word: "Update", formula: "z", parts: ["z"] },
    { key: "candidate", word: "Candidate", formula: "n", parts: ["n", "r"] },
    { key: "state", word: "State", formula: "z·h, (1−z)·n", parts: ["h", "keep", "write", "before"] },
  ],
  rnn: [
    { key: "input", word: "Input", formula: "x · K + b", parts: ["u", "write"] },
    { key: "past", word: "Past", formula: "h · R", parts: ["s", "keep", "before"] },
    { key: "sum", word: "Sum", formula: "u + s", parts: ["sum", "keep", "write"] },
    { key: "state", word: "State", formula: "tanh", parts: ["h", "tanh", "out"] },
  ],
};

export interface Light {
  /** The gate or state that is pointed at, itself or by what is made of it; empty for none. */
  letter: string;
  is(part: Part): true | undefined;
  /** Handlers that light a part while it is pointed at or focused. */
  on(part: Part): { onPointerEnter(): void; onPointerLeave(): void; onFocus(): void; onBlur(): void };
}

export const LightContext = React.createContext<Light>({
  letter: "",
  is: () => undefined,
  on: () => ({ onPointerEnter() {}, onPointerLeave() {}, onFocus() {}, onBlur() {} }),
});

/** The light of this view: what is pointed at, else the step whose button is pressed. */
export function useLightState(kind: Kind, step: string | null): Light {
  const [part, setPart] = React.useState<Part | null>(null);
  return React.useMemo(() => {
    const parts: readonly Part[] = part ? TOGETHER[part] : (STEPS[kind].find((s) => s.key === step)?.parts ?? []);
    return {
      letter: part ? TOGETHER[part].find((p) => p.length === 1) ?? "" : "",
      is: (p) => parts.includes(p) || undefined,
      on: (p) => ({
        onPointerEnter: () => setPart(p), onPointerLeave: () => setPart(null),
        onFocus: () => setPart(p), onBlur: () => setPart(null),
      }),
    };
  }, [part, step, kind]);
}

export const useLight = (): Light => React.useContext(LightContext);
