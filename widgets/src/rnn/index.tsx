// The view of an unrolled network: the loop, its copies over the timesteps, and the way back through every use of its weights.
import * as React from "react";
import { createRoot } from "react-dom/client";
import { guardShortcuts } from "../shared/guard";
import { hideSaved } from "../shared/saved";
import type { Model } from "../shared/wire";
import { Words } from "../shared/words";
import { App } from "./app";
import "../shared/tokens.css";
import "../shared/controls.css";
import "./rnn.css";

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const host = document.createElement("div");
  host.className = "fl-rnn-host";
  el.append(host);
  const unguard = guardShortcuts(host);
  const root = createRoot(host);
  root.render(<Words model={model}><App model={model} /></Words>);
  // the output area is there once the element is attached
  let unhide = () => undefined as void;
  const soon = requestAnimationFrame(() => { unhide = hideSaved(el, "flowlab unrolled network"); });
  return () => {
    cancelAnimationFrame(soon);
    unhide();
    unguard();
    root.unmount();
  };
}

export default { render };
