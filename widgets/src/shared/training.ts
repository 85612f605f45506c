// Words for where a training stands; the sentences are looked up where they are shown.

export const STATES: Readonly<Record<string, string>> = {
  ready: "about to begin", running: "running", paused: "paused", done: "complete", stopped: "stopped", failed: "failed",
};

/** Why a training has ended before its last epoch. */
export const STOPPED: Readonly<Record<string, string>> = {
  interrupted: "interrupted", "by hand": "stopped by hand", nan: "stopped at the first NaN", condition: "stopped by its condition", early: "stopped early: no better for a while",
  callback: "stopped by a callback", error: "ended by an error",
};
