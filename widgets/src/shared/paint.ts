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
      const [r, g, b] = rgbOf(root, "--fl-state-error");
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

function rgbOf(root: HTMLElement, variable: string): number[] {
  return (colorOf(root, variable).match(/\d+/g) ?? ["128", "128", "128"]).map(Number);
}

export type MapOptions = {
  /** How rows that share a pixel are shown as one: the value farthest from this, or, without it, their mean. */
  middle?: number;
};

/** Paints rows × cols numbers over exactly width × height pixels: cells of whole pixels where there is room, else several rows or columns a pixel.
 *  NaN is striped across its cells, an infinity is solid in the error's colour. */
export function paintMap(
  canvas: HTMLCanvasElement, data: ArrayLike<number>, rows: number, cols: number, width: number, height: number,
  lo: number, hi: number, map: ColorMap, root: HTMLElement, options: MapOptions = {},
): void {
  if (rows < 1 || cols < 1 || width < 1 || height < 1) return;
  const table = tableOf(root, map);
  const scale = 255 / (hi - lo || 1);
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const packed = new Uint32Array(256);
  // little-endian, as every machine that runs a browser today: a b g r
  for (let k = 0; k < 256; k++) packed[k] = (255 << 24) | (table[3 * k + 2] << 16) | (table[3 * k + 1] << 8) | table[3 * k];
  const [er, eg, eb] = rgbOf(root, "--fl-state-error");
  const [pr, pg, pb] = rgbOf(root, "--fl-surface");
  const error = (255 << 24) | (eb << 16) | (eg << 8) | er;
  const paper = (255 << 24) | (pb << 16) | (pg << 8) | pr;
  const across = edges(cols, width);
  for (let y = 0, previous = "", base = -1; y < height; y++) {
    const r0 = Math.floor((y * rows) / height);
    const r1 = Math.max(r0 + 1, Math.floor(((y + 1) * rows) / height));
    const key = `${r0}:${r1}`;
    // a row of pixels like the one above is copied, unless a stripe runs through it
    if (key === previous && base >= 0) {
      pixels.copyWithin(y * width, base * width, (base + 1) * width);
      continue;
    }
    previous = key;
    base = y;
    for (let x = 0; x < width; x++) {
      const v = pooled(data, cols, r0, r1, across[2 * x], across[2 * x + 1], options.middle);
      if (Number.isNaN(v)) {
        pixels[y * width + x] = (x + y) % 4 < 2 ? error : paper;
        base = -1;
      } else {
        pixels[y * width + x] = Number.isFinite(v) ? packed[Math.max(0, Math.min(255, Math.round((v - lo) * scale)))] : error;
      }
    }
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

/** For each pixel the first and the last-but-one of the items under it. */
function edges(items: number, pixels: number): Int32Array {
  const out = new Int32Array(2 * pixels);
  for (let x = 0; x < pixels; x++) {
    out[2 * x] = Math.floor((x * items) / pixels);
    out[2 * x + 1] = Math.max(out[2 * x] + 1, Math.floor(((x + 1) * items) / pixels));
  }
  return out;
}

function pooled(data: ArrayLike<number>, cols: number, r0: number, r1: number, c0: number, c1: number, middle?: number): number {
  if (r1 - r0 === 1 && c1 - c0 === 1) return data[r0 * cols + c0];
  let sum = 0;
  let far = middle ?? 0;
  for (let r = r0; r < r1; r++) {
    for (let c = c0; c < c1; c++) {
      const v = data[r * cols + c];
      if (Number.isNaN(v)) return v;
      sum += v;
      if (middle !== undefined && Math.abs(v - middle) >= Math.abs(far - middle)) far = v;
    }
  }
  return middle === undefined ? sum / ((r1 - r0) * (c1 - c0)) : far;
}
