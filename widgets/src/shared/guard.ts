// Keys pressed inside a widget belong to the widget, except the notebook's own Save.

const SUPPRESS = "data-lm-suppress-shortcuts";

/** Keeps JupyterLab's shortcuts away from keys typed inside `host`; Ctrl+S and Cmd+S still save the notebook. Returns the way to stop.
 *
 *  The event itself goes on, so that listeners further out still hear it. JupyterLab looks for the attribute on the event's own target
 *  before it looks at a binding's selector on ancestors, so the attribute has to be on the target itself. */
export function guardShortcuts(host: HTMLElement): () => void {
  const onFocus = (e: FocusEvent) => (e.target as Element).setAttribute(SUPPRESS, "true");
  const onKey = (e: KeyboardEvent) => {
    const target = e.target as Element;
    const save = (e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === "s";
    if (save) target.removeAttribute(SUPPRESS);
    else target.setAttribute(SUPPRESS, "true");
  };
  // JupyterLab takes a line break away from whatever has the focus in a cell, by a listener on it: the break must not get there
  const onInput = (e: InputEvent) => { if (e.inputType === "insertLineBreak") e.stopPropagation(); };
  host.addEventListener("beforeinput", onInput, true);
  host.addEventListener("focusin", onFocus);
  host.addEventListener("keydown", onKey, true);
  return () => {
    host.removeEventListener("beforeinput", onInput, true);
    host.removeEventListener("focusin", onFocus);
    host.removeEventListener("keydown", onKey, true);
  };
}

/** Is this where text is typed? Single-key commands keep out of there. */
export function isTextField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["range", "checkbox", "radio", "button"].includes(target.type);
}
