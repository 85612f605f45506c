// Is there a way to the kernel? JupyterLab and Notebook say so; elsewhere the lab finds out by getting no answer.
import type { Model } from "../shared/wire";

type Signal = { connect(slot: (sender: unknown, value: unknown) => void): void; disconnect(slot: (sender: unknown, value: unknown) => void): void };
/** What this page needs of JupyterLab's session. */
type Session = { connectionStatusChanged?: Signal; statusChanged?: Signal; kernelChanged?: Signal; session?: { kernel?: { id?: string } | null } | null };

const ENDED = new Set(["restarting", "autorestarting", "terminating", "dead"]);

/** Tells whenever the way to the kernel opens, breaks, or is gone for good; returns the way to stop. */
export function watchConnection(model: Model, tell: (link: "up" | "down" | "gone") => void): () => void {
  const session = (model as Model & { widget_manager?: { context?: { sessionContext?: Session } } }).widget_manager?.context?.sessionContext;
  const comm = () => { if ((model as { comm_live?: boolean }).comm_live === false) tell("gone"); };
  let kernel = session?.session?.kernel?.id;
  const onConnection = (_: unknown, value: unknown) => tell(value === "connected" ? "up" : "down");
  const onStatus = (_: unknown, value: unknown) => { if (ENDED.has(value as string)) tell("gone"); };
  const onKernel = () => {
    const now = session?.session?.kernel?.id;
    if (kernel === undefined) kernel = now;     // a page that was loaded a moment ago is still finding its kernel
    else if (now !== kernel) tell("gone");
  };
  model.on("comm_live_update", comm as never);
  session?.connectionStatusChanged?.connect(onConnection);
  session?.statusChanged?.connect(onStatus);
  session?.kernelChanged?.connect(onKernel);
  return () => {
    model.off("comm_live_update", comm as never);
    session?.connectionStatusChanged?.disconnect(onConnection);
    session?.statusChanged?.disconnect(onStatus);
    session?.kernelChanged?.disconnect(onKernel);
  };
}
