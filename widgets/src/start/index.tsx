// The start page's script: at /flowlab it fills the page, and labextension.ts puts it into a tab.
import { createRoot } from "react-dom/client";
import "../shared/tokens.css";
import "./start.css";
import type { Model } from "../shared/wire";
import { Words } from "../shared/words";
import { type Host, Start } from "./Start";

export type { Host };

/** There is no kernel behind this page: its language is what was chosen last, or the browser's. */
const NO_MODEL = { get: () => "", set: () => undefined, save_changes: () => undefined, on: () => undefined, off: () => undefined } as unknown as Model;

export function mount(element: HTMLElement, host: Host): () => void {
  const root = createRoot(element);
  root.render(<Words model={NO_MODEL}><Start host={host} /></Words>);
  return () => root.unmount();
}

const page = document.getElementById("flowlab-start");
if (page) {
  const { base = "/", open = "lab/tree/" } = page.dataset;
  const href = (path: string) => `${base}${open}${path.split("/").map(encodeURIComponent).join("/")}`;
  mount(page, { base, href, open: (path) => window.location.assign(href(path)) });
}
