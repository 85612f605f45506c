// A view as a file: PNG and SVG to print or to publish, on white paper, and its numbers as CSV; and the picture that the notebook keeps.
import * as React from "react";
import type { Notice } from "../protocol.gen";
import { css, inkOn, scaleOf } from "./color";
import { download } from "./download";
import { canvasOf, type Drawing, hex, onPaper, plainColour, PRINT, quoted } from "./print";
import type { Root, Scale } from "./pixels";
import type { Model } from "./wire";
import { t as words } from "./words";

const REST = 1500;      // ms after the last change

/** What a pen draws on: white paper inside the view, with the letters of the page. */
export type Draw = (pen: Pen) => Size;
export type Size = { width: number; height: number };

/** One more way to save a view: what it is called, and what is done, given the name that files of this view have. */
export type Way = { kind: string; name: string; save(base: string): void };

export const csvWay = (csv: () => string): Way => ({ kind: "csv", name: "CSV", save: (base) => download(new Blob([csv()], { type: "text/csv" }), `${base}.csv`) });

/** The menu of the ways to save: the drawing as PNG and SVG, and those that hold numbers. `of` names the files. */
export function Save({ of, ways, draw, root, tell }: { of: string; ways: readonly Way[]; draw: Draw; root: Root; tell(notice: Notice | null): void }) {
  const base = of.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  const save = async (kind: string) => {
    const way = ways.find((w) => w.kind === kind);
    if (way) return way.save(base);
    if (!root.current) return;
    const svg = drawn(root.current, draw);
    if (kind === "svg") return download(new Blob([svg.text], { type: "image/svg+xml" }), `${base}.svg`);
    const canvas = await canvasOf(svg, PRINT);
    const png = canvas && await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
    if (png) download(png, `${base}.png`);
    else tell({ type: "notice", level: "alert", text: "The picture could not be drawn.", hint: "Save it as SVG.", node: null, edge: null, why: false });
  };
  return (
    <select className="save" aria-label={words("Save picture or data")} value="" onChange={(e) => { void save(e.currentTarget.value); e.currentTarget.value = ""; }}>
      <option value="" disabled>{words("Save …")}</option>
      <option value="png">PNG</option><option value="svg">SVG</option>
      {ways.map((w) => <option key={w.kind} value={w.kind}>{w.name}</option>)}
    </select>
  );
}

/** Sends a picture a little after the view came to rest, for the notebook's saved output; null while there is nothing to draw. Nobody waits for an answer. */
export function useSaved(model: Model, root: Root, draw: Draw | null, on: readonly unknown[]): void {
  const last = React.useRef("");
  React.useEffect(() => {
    if (!draw) return;
    const timer = window.setTimeout(() => {
      if (!root.current) return;
      const svg = drawn(root.current, draw);
      if (svg.text === last.current) return;
      last.current = svg.text;
      void canvasOf(svg, 1.5).then((canvas) => {
        if (!canvas) return;
        try {
          model.send({ type: "picture", png: canvas.toDataURL("image/png"), width: svg.width, height: svg.height });
        } catch (error) {
          console.warn("flowlab: the kernel did not take the picture", error);
        }
      });
    }, REST);
    return () => window.clearTimeout(timer);
  }, [model, root, draw === null, ...on]);
}

function drawn(element: HTMLElement, draw: Draw): Drawing {
  return onPaper(element, (paper, font) => {
    const pen = new Pen(paper);
    const { width, height } = draw(pen);
    const [w, h] = [round(width), round(height)];
    const text = `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="${quoted(font)}">\n<rect width="100%" height="100%" fill="#ffffff"/>\n${pen.parts.join("\n")}\n</svg>\n`;
    return { text, width, height };
  });
}

export const round = (v: number): string => String(+v.toFixed(2));

/** Writes elements of SVG, one a stroke. */
export class Pen {
  readonly parts: string[] = [];
  private readonly style: CSSStyleDeclaration;

  constructor(readonly paper: HTMLElement) { this.style = getComputedStyle(paper); }

  /** A CSS variable of the design as a colour that any program knows. */
  colour(name: string): string { return plainColour(this.style.getPropertyValue(name).trim(), this.paper, name); }

  text(s: string, x: number, y: number, size = 11, fill = "#000", anchor: "start" | "middle" | "end" = "start", bold = false, italic = false): void {
    this.parts.push(`<text x="${round(x)}" y="${round(y)}" font-size="${size}" fill="${fill}"${anchor === "start" ? "" : ` text-anchor="${anchor}"`}${italic ? ' font-style="italic"' : ""}${bold ? ' font-weight="600"' : ""}>${quoted(s)}</text>`);
  }

  rect(x: number, y: number, w: number, h: number, fill: string, extra = ""): void {
    this.parts.push(`<rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" fill="${fill}"${extra}/>`);
  }

  path(d: string, stroke: string, width = 1, extra = ""): void {
    this.parts.push(`<path d="${d}" stroke="${stroke}" stroke-width="${round(width)}"${extra.includes("fill=") ? "" : ' fill="none"'}${extra}/>`);
  }

  /** Rows × cols numbers as cells over `width` × `height`, with the numbers in them where there is room; what is no number is red. */
  cells(values: ArrayLike<number>, rows: number, cols: number, x: number, y: number, width: number, height: number, scale: Scale, said?: (v: number) => string): void {
    const shade = scaleOf(this.paper, scale.map);
    const [w, h] = [width / cols, height / rows];
    for (let q = 0; q < rows * cols; q++) {
      const rgb = shade(Math.max(0, Math.min(1, (values[q] - scale.lo) / (scale.hi - scale.lo || 1))));
      const [left, top] = [x + (q % cols) * w, y + Math.floor(q / cols) * h];
      this.rect(left, top, w + 0.3, h + 0.3, Number.isFinite(values[q]) ? hex(css(rgb)) : "#c00000");
      if (said && w >= 26) this.text(said(values[q]), left + w / 2, top + h / 2 + 4, 10, inkOn(rgb) === "#000" ? "#000000" : "#ffffff", "middle");
    }
  }
}
