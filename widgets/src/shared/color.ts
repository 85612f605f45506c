// Colour maps of the design, read from the root's CSS variables so that they follow the notebook's theme.

import { isDark } from "./tree";

export type RGB = readonly [number, number, number];
export type ColorMap = "seq" | "div";

const STOPS = 11;
const STEPS = 256;

type Table = { key: string; colors: Uint8ClampedArray };
/** Tables read a moment ago in this theme: reading it makes the browser compute every style anew, and a step paints many tensors. */
const FRESH_MS = 1000;
let fresh = new WeakMap<HTMLElement, Partial<Record<ColorMap, Uint8ClampedArray>>>();
const tables = new WeakMap<HTMLElement, Partial<Record<ColorMap, Table>>>();

/** The map's colours at 256 places, as packed r g b; the same array until the theme changes. */
export function tableOf(root: HTMLElement, map: ColorMap): Uint8ClampedArray {
  const read = fresh.get(root);
  if (read?.[map]) return read[map];
  const colors = readTable(root, map);
  if (read) read[map] = colors;
  else {
    fresh.set(root, { [map]: colors });
    setTimeout(() => fresh.delete(root), FRESH_MS);
  }
  return colors;
}

function readTable(root: HTMLElement, map: ColorMap): Uint8ClampedArray {
  const style = getComputedStyle(root);
  const stops = Array.from({ length: STOPS }, (_, i) => style.getPropertyValue(`--fl-${map}-${i}`).trim());
  const key = stops.join();
  let cache = tables.get(root);
  if (!cache) tables.set(root, (cache = {}));
  const known = cache[map];
  if (known?.key === key) return known.colors;
  const colors = interpolate(stops.map(parseColor));
  cache[map] = { key, colors };
  return colors;
}

/** A function from 0 … 1 to a colour of the map. */
export function scaleOf(root: HTMLElement, map: ColorMap): (t01: number) => RGB {
  const table = tableOf(root, map);
  return (t) => {
    const i = 3 * Math.max(0, Math.min(STEPS - 1, Math.round(t * (STEPS - 1))));
    return [table[i], table[i + 1], table[i + 2]];
  };
}

/** Black or white, whichever reads better on this colour. */
export function inkOn(rgb: RGB): "#000" | "#fff" {
  const y = luminance(rgb);
  return (y + 0.05) / 0.05 >= 1.05 / (y + 0.05) ? "#000" : "#fff";
}

export const css = ([r, g, b]: RGB): string => `rgb(${r} ${g} ${b})`;

/** The value of a CSS colour variable of the root, usable on a canvas. */
export function colorOf(root: HTMLElement, variable: string): string {
  return css(resolve(root, `var(${variable})`));
}

/** Where hosts say which theme they have. */
const HOSTS = ["data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind", "data-theme", "theme", "class", "style"];

/** Marks a widget's root as dark or light, where the host is not JupyterLab, whose own attribute the style sheet reads. Returns the way to stop. */
export function followTheme(root: HTMLElement): () => void {
  const mark = () => {
    if (document.body.dataset.jpThemeLight !== undefined) delete root.dataset.theme;
    else root.dataset.theme = isDark(root.parentElement ?? root) ? "dark" : "light";
  };
  mark();
  return onThemeChange(mark);
}

const LATER = [1000, 2500, 6000, 12000];

/** Calls back whenever the notebook's theme or the system's colour scheme or contrast changes; returns the way to stop. */
export function onThemeChange(callback: () => void): () => void {
  let frame = 0;
  let late: number[] = [];
  let seen = "";
  const paper = () => getComputedStyle(document.body).getPropertyValue("--jp-layout-color1") + getComputedStyle(document.body).getPropertyValue("--jp-ui-font-color0");
  const anew = () => { seen = paper(); fresh = new WeakMap(); callback(); };
  const soon = () => {
    fresh = new WeakMap();
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(anew);
    late.forEach(window.clearTimeout);
    // JupyterLab sets the body's attribute before the theme's stylesheet has arrived, so look again: on a busy machine that takes its time
    late = [window.setTimeout(anew, 400), ...LATER.map((ms) => window.setTimeout(() => { if (paper() !== seen) anew(); }, ms))];
  };
  const watch = new MutationObserver(soon);
  watch.observe(document.body, { attributes: true, attributeFilter: HOSTS });
  watch.observe(document.documentElement, { attributes: true, attributeFilter: HOSTS });
  const queries = ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"].map((q) => window.matchMedia(q));
  for (const query of queries) query.addEventListener("change", soon);
  return () => {
    cancelAnimationFrame(frame);
    late.forEach(window.clearTimeout);
    watch.disconnect();
    for (const query of queries) query.removeEventListener("change", soon);
  };
}

function luminance([r, g, b]: RGB): number {
  const linear = (c: number) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** Linear between the stops: they lie at equal OKLab distances, so that nothing better is needed between neighbours. */
function interpolate(stops: RGB[]): Uint8ClampedArray {
  const out = new Uint8ClampedArray(3 * STEPS);
  for (let i = 0; i < STEPS; i++) {
    const at = (i / (STEPS - 1)) * (stops.length - 1);
    const k = Math.min(stops.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++) out[3 * i + c] = stops[k][c] + (stops[k + 1][c] - stops[k][c]) * (at - k);
  }
  return out;
}

function parseColor(text: string): RGB {
  const hex = /^#([0-9a-f]{6})$/i.exec(text);
  if (hex) return [0, 2, 4].map((i) => parseInt(hex[1].slice(i, i + 2), 16)) as unknown as RGB;
  const three = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(text);
  if (three) return [1, 2, 3].map((i) => parseInt(three[i] + three[i], 16)) as unknown as RGB;
  const rgb = /^rgba?\(([^)]+)\)$/i.exec(text);
  if (rgb) return rgb[1].split(/[\s,/]+/).slice(0, 3).map(Number) as unknown as RGB;
  return [128, 128, 128];
}

let pixel: CanvasRenderingContext2D | null = null;

/** Any CSS colour as numbers, `color-mix` and variables included: let the browser compute it and read one pixel back. */
function resolve(root: HTMLElement, color: string): RGB {
  const probe = root.ownerDocument.createElement("span");
  probe.style.color = color;
  probe.style.display = "none";
  root.append(probe);
  const computed = getComputedStyle(probe).color;
  probe.remove();
  pixel ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  if (!pixel) return parseColor(computed);
  pixel.fillStyle = "#808080";
  pixel.fillStyle = computed;
  pixel.fillRect(0, 0, 1, 1);
  const [r, g, b] = pixel.getImageData(0, 0, 1, 1).data;
  return [r, g, b];
}
