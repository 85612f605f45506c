// Keys pressed inside a widget belong to the widget, except the notebook's own Save.

const SUPPRESS = "data-lm-suppress-shortcuts";

/** Keeps JupyterLab's shortcuts away from keys typed inside `host`; Ctrl+S and Cmd+S still save the notebook. Returns the way to stop.
 *
 *  The event itself goes on, so that listeners further out still hear it. JupyterLab looks for the attribute on the event's own target
 *  before it looks at a binding's selector on ancestors, so the attribute has to be on the target itself. */
export function guardShortcuts(host: HTMLElement): () => void {
  const onFocus = (e: FocusEvent) => (e.target as Element).setAttribute(SUPPRESS, "true");
  const onKey = (e: KeyboardEvent) => {
    const target = e.composedPath()[0] as Element;
    if (!host.contains(target)) return;
    const save = (e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === "s";
    // a binding of the whole page is looked for on the way out: nothing on it may bar it, whatever had the focus before
    if (save) for (const el of [host, ...host.querySelectorAll(`[${SUPPRESS}]`)]) el.removeAttribute(SUPPRESS);
    else target.setAttribute(SUPPRESS, "true");
  };
  // JupyterLab takes a line break away from whatever has the focus in a cell, by a listener on it: the break must not get there
  const onInput = (e: InputEvent) => { if (e.inputType === "insertLineBreak") e.stopPropagation(); };
  // other hosts know no such attribute: what was ours, or is a bare key, ends here, once everything inside has heard it
  const outside = document.body.dataset.jpThemeLight === undefined ? host.parentElement : null;
  const onLeave = (e: KeyboardEvent) => { if (e.defaultPrevented || !(e.ctrlKey || e.metaKey || e.key === "Tab")) e.stopPropagation(); };
  outside?.addEventListener("keydown", onLeave);
  host.addEventListener("beforeinput", onInput, true);
  host.addEventListener("focusin", onFocus);
  // Notebook 7 listens on the document on the way down: only the window is earlier
  window.addEventListener("keydown", onKey, true);
  return () => {
    outside?.removeEventListener("keydown", onLeave);
    host.removeEventListener("beforeinput", onInput, true);
    host.removeEventListener("focusin", onFocus);
    window.removeEventListener("keydown", onKey, true);
  };
}

/** Is this where text is typed? Single-key commands keep out of there. */
export function isTextField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["range", "checkbox", "radio", "button"].includes(target.type);
}
