// The training view: curves as they come, what the weights do meanwhile, and the buttons that the training heeds between two steps.
import * as React from "react";
import { createRoot } from "react-dom/client";
import { guardShortcuts } from "../shared/guard";
import type { Model } from "../shared/wire";
import { Words } from "../shared/words";
import { App } from "./app";
import "../shared/tokens.css";
import "../shared/controls.css";
import "./training.css";

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const host = document.createElement("div");
  host.className = "fl-train-host";
  el.append(host);
  const unguard = guardShortcuts(host);
  const root = createRoot(host);
  root.render(<Words model={model}><App model={model} /></Words>);
  return () => {
    unguard();
    root.unmount();
  };
}

export default { render };
