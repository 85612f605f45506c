// What the lab's bar and the training view say alike of a training; the sentences are looked up where they are shown.
import * as React from "react";

export const STATES: Readonly<Record<string, string>> = {
  ready: "about to begin", running: "running", paused: "paused", done: "complete", stopped: "stopped", failed: "failed",
};

/** Why a training has ended before its last epoch. */
export const STOPPED: Readonly<Record<string, string>> = {
  interrupted: "interrupted", "by hand": "stopped by hand", nan: "stopped at the first NaN", condition: "stopped by its condition", early: "stopped early: no better for a while",
  callback: "stopped by a callback", error: "ended by an error",
};

/** A text that the kernel has too: what is being typed here stays until it is set, else it is the kernel's. */
export function useTyped(now: string, set: (text: string) => Promise<boolean>): [string, (text: string) => void, (e: React.FormEvent) => void] {
  const [mine, setMine] = React.useState<string | null>(null);
  const submit = (e: React.FormEvent) => {
    e.preventDefault();
    if (mine !== null) void set(mine).then((ok) => { if (ok) setMine(null); });
  };
  return [mine ?? now, setMine, submit];
}
