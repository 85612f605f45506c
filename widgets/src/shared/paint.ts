// Tensors as pictures: whole-pixel cells on a canvas, in the colours of the design.
import { type ColorMap, colorOf, tableOf } from "./color";

export type PaintOptions = {
  /** CSS pixels a cell; without it the canvas keeps one pixel a cell, to be stretched with `image-rendering: pixelated`. */
  cell?: number;
};

/** Paints rows × cols numbers, row by row. The colours run from lo to hi; beyond them the last colour stays. NaN is striped, ±∞ carries a ▲. */
export function paintGrid(
  canvas: HTMLCanvasElement, data: ArrayLike<number>, rows: number, cols: number,
  lo: number, hi: number, map: ColorMap, root: HTMLElement, options: PaintOptions = {},
): void {
  if (rows < 1 || cols < 1) return;
  const table = tableOf(root, map);
  const scale = 255 / (hi - lo || 1);
  const marks: number[] = [];
  const pixels = new Uint8ClampedArray(4 * rows * cols);
  for (let i = 0, p = 0; i < rows * cols; i++, p += 4) {
    const x = data[i];
    if (!Number.isFinite(x)) marks.push(i);
    const k = 3 * Math.max(0, Math.min(255, Math.round((x - lo) * scale) || 0));
    pixels[p] = table[k];
    pixels[p + 1] = table[k + 1];
    pixels[p + 2] = table[k + 2];
    pixels[p + 3] = 255;
  }
  const cell = options.cell;
  if (cell === undefined) {
    // one pixel a cell holds no stripe and no triangle: the error's colour stands for both
    if (marks.length) {
      const [r, g, b] = rgbOf(root);
      for (const i of marks) pixels.set([r, g, b, 255], 4 * i);
    }
    canvas.width = cols;
    canvas.height = rows;
    canvas.getContext("2d")?.putImageData(new ImageData(pixels, cols, rows), 0, 0);
    return;
  }
  const dpr = window.devicePixelRatio || 1;
  const side = Math.max(1, Math.round(cell * dpr));
  canvas.width = cols * side;
  canvas.height = rows * side;
  canvas.style.width = `${(cols * side) / dpr}px`;
  canvas.style.height = `${(rows * side) / dpr}px`;
  const g = canvas.getContext("2d");
  if (!g) return;
  g.imageSmoothingEnabled = false;
  const small = document.createElement("canvas");
  small.width = cols;
  small.height = rows;
  small.getContext("2d")?.putImageData(new ImageData(pixels, cols, rows), 0, 0);
  g.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (!marks.length) return;
  const ink = colorOf(root, "--fl-state-error");
  const paper = colorOf(root, "--fl-surface");
  for (const i of marks) markCell(g, (i % cols) * side, Math.floor(i / cols) * side, side, data[i], ink, paper);
}

/** Stripes for NaN, a triangle for an infinity (pointing down when negative). */
export function markCell(g: CanvasRenderingContext2D, x: number, y: number, side: number, value: number, ink: string, paper: string): void {
  g.save();
  g.beginPath();
  g.rect(x, y, side, side);
  g.clip();
  g.fillStyle = paper;
  g.fillRect(x, y, side, side);
  g.strokeStyle = g.fillStyle = ink;
  if (Number.isNaN(value)) {
    g.lineWidth = Math.max(1, side / 6);
    g.beginPath();
    for (let d = -side; d < side; d += Math.max(3, side / 3)) {
      g.moveTo(x + d, y + side);
      g.lineTo(x + d + side, y);
    }
    g.stroke();
  } else {
    const up = value > 0;
    g.beginPath();
    g.moveTo(x + side / 2, up ? y + side * 0.15 : y + side * 0.85);
    g.lineTo(x + side * 0.9, up ? y + side * 0.85 : y + side * 0.15);
    g.lineTo(x + side * 0.1, up ? y + side * 0.85 : y + side * 0.15);
    g.fill();
  }
  g.restore();
}

function rgbOf(root: HTMLElement): number[] {
  return (colorOf(root, "--fl-state-error").match(/\d+/g) ?? ["184", "41", "39"]).map(Number);
}
