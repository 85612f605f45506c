// The notebook keeps the lab's picture and document as an output of its cell. The kernel brings that output up to date by itself, except after the
// page was reloaded: then the notebook has forgotten which cell an update belongs to, and the page writes it into the notebook instead.
import type { Kept } from "../protocol.gen";
import type { Model } from "../shared/wire";

const MIME = "application/vnd.flowlab.document+json";

/** What this page needs of JupyterLab's notebook; other front ends have none of it. */
type Outputs = { length: number; get(index: number): { metadata?: Record<string, unknown>; data?: Record<string, unknown> }; set(index: number, output: unknown): void };
type Notebook = { cells?: Iterable<{ outputs?: Outputs }> };

/** The document that the notebook keeps, as the text of a graph file; null where this page cannot see it. */
export function keptText(model: Model, id: string): { title: string; text: string } | null {
  const manager = (model as Model & { widget_manager?: { context?: { model?: Notebook } } }).widget_manager;
  for (const { outputs } of manager?.context?.model?.cells ?? []) {
    for (let k = 0; k < (outputs?.length ?? 0); k++) {
      const output = outputs!.get(k);
      if ((output.metadata?.flowlab as { id?: unknown } | undefined)?.id !== id) continue;
      const document = output.data?.[MIME] as { name?: unknown } | undefined;
      if (document) return { title: typeof document.name === "string" ? document.name : "graph", text: JSON.stringify(document) };
    }
  }
  return null;
}

/** Writes the saved output into the notebook, wherever it stands there; false where there is no notebook to write to. */
export function keep(model: Model, kept: Kept): boolean {
  const manager = (model as Model & { widget_manager?: { context?: { model?: Notebook } } }).widget_manager;
  let found = false;
  for (const { outputs } of manager?.context?.model?.cells ?? []) {
    for (let k = 0; k < (outputs?.length ?? 0); k++) {
      const about = outputs!.get(k).metadata?.flowlab as { id?: unknown } | undefined;
      if (about?.id !== kept.id) continue;
      outputs!.set(k, { output_type: "display_data", data: kept.data, metadata: kept.metadata });
      found = true;
    }
  }
  return found;
}
