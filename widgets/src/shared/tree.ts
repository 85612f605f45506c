// Where a widget stands: in JupyterLab among the page's own elements, in marimo in a shadow tree, of which the document sees no more than its host.

/** The document, or the shadow root, that an element is in. */
export function treeOf(el: Element | null): DocumentOrShadowRoot {
  const root = el?.getRootNode();
  return root instanceof ShadowRoot ? root : document;
}

/** What has the focus, seen from where an element stands. */
export const activeIn = (el: Element | null): HTMLElement | null => treeOf(el).activeElement as HTMLElement | null;

/** What lies at a point of the screen, seen from where an element stands. */
export const elementAt = (el: Element | null, x: number, y: number): Element | null => treeOf(el).elementFromPoint(x, y);

/** The element around this one; around a shadow tree, its host. */
export const parentOf = (el: Element): Element | null => el.parentElement ?? (el.getRootNode() instanceof ShadowRoot ? (el.getRootNode() as ShadowRoot).host : null);

/** The nearest of the elements around this one, in the tree or around it, that a selector fits. */
export function around(el: Element | null, selector: string): HTMLElement | null {
  for (let e = el && parentOf(el); e; e = parentOf(e)) if (e.matches(selector)) return e as HTMLElement;
  return null;
}

/** Is it dark around here? What the host says of itself, else the colour behind the element, else what the system prefers. */
export function isDark(el: Element): boolean {
  const { body, documentElement: html } = document;
  const said = body.dataset.vscodeThemeKind ?? body.dataset.theme ?? html.dataset.theme ?? html.getAttribute("theme");
  if (said) return /dark|high-contrast$/.test(said);
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  for (let e: Element | null = el; pen && e; e = parentOf(e)) {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = getComputedStyle(e).backgroundColor;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    if (a > 127) return 0.2126 * r + 0.7152 * g + 0.0722 * b < 110;
  }
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}
