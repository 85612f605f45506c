// The picture that a notebook keeps beside a widget, for when there is no kernel.

/** While the widget lives, the saved picture beside it, known by its `alt`, is out of sight. Returns the way to show it again. */
export function hideSaved(el: HTMLElement, alt: string): () => void {
  const area = el.closest(".jp-OutputArea, .jp-Cell-outputArea, .output_area, .cell-output") ?? el.parentElement?.parentElement ?? null;
  if (!area) return () => undefined;
  const hidden = new Map<HTMLElement, string>();
  const hide = () => {
    for (const img of area.querySelectorAll(`[alt="${alt}"]`)) {
      const box = (img.closest<HTMLElement>(".jp-OutputArea-child") ?? img) as HTMLElement;
      if (box.contains(el) || hidden.has(box)) continue;
      hidden.set(box, box.style.display);
      box.style.display = "none";
    }
  };
  hide();
  // what changes inside the widget is the widget's own
  const watch = new MutationObserver((records) => { if (records.some((r) => !el.contains(r.target))) hide(); });
  watch.observe(area, { childList: true, subtree: true });
  return () => {
    watch.disconnect();
    for (const [box, display] of hidden) box.style.display = display;
  };
}
