// How a view's page begins and ends.
import * as React from "react";
import { createRoot } from "react-dom/client";
import { guardShortcuts } from "./guard";
import { hideSaved } from "./saved";
import type { Model } from "./wire";
import { Words } from "./words";
import "./tokens.css";
import "./controls.css";
import "./view.css";

/** A widget of this component. `saved`: the `alt` of the picture that the notebook keeps beside it, out of sight while the widget lives. */
export function widget(App: React.ComponentType<{ model: Model }>, saved?: string) {
  return {
    render({ model, el }: { model: Model; el: HTMLElement }): () => void {
      const host = document.createElement("div");
      host.className = "fl-host";
      el.append(host);
      const unguard = guardShortcuts(host);
      const root = createRoot(host);
      root.render(<Words model={model}><App model={model} /></Words>);
      // the output area is there once the element is attached
      let unhide = () => undefined as void;
      const soon = saved === undefined ? 0 : requestAnimationFrame(() => { unhide = hideSaved(el, saved); });
      return () => {
        cancelAnimationFrame(soon);
        unhide();
        unguard();
        root.unmount();
      };
    },
  };
}
