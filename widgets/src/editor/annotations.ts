// Where notes and frames are, and how large: pure functions, shared by the canvas, the layout and the picture.
import type { ElementGeo, Point, Rect } from "./geometry";
import { textWidth } from "./geometry";
import { blocksOf } from "./blocks";

export const NOTE_W = 220;
// the title stands below: from above come parameters and the labels of their wires
const PAD = { top: 14, side: 14, bottom: 30 };

/** About how tall a note is: enough to keep a place free for it. */
export function noteRect(note: { text: string; x: number; y: number }): Rect {
  let h = 18;
  for (const b of blocksOf(note.text)) for (const l of b.lines) h += 4 + 17 * Math.max(1, Math.ceil(textWidth(l, 12) / (NOTE_W - 24)));
  return { x: note.x, y: note.y, w: NOTE_W, h };
}

/** The box around a frame's members; null while none of them is drawn. */
export function frameRect({ at, geos }: { at: ReadonlyMap<string, Point>; geos: ReadonlyMap<string, ElementGeo> }, members: string[]): Rect | null {
  const rects = members.flatMap((m) => { const p = at.get(m); const g = geos.get(m); return p && g ? [{ x: p.x, y: p.y, w: g.w, h: g.h }] : []; });
  if (!rects.length) return null;
  const x = Math.min(...rects.map((r) => r.x)) - PAD.side;
  const y = Math.min(...rects.map((r) => r.y)) - PAD.top;
  return { x, y, w: Math.max(...rects.map((r) => r.x + r.w)) + PAD.side - x, h: Math.max(...rects.map((r) => r.y + r.h)) + PAD.bottom - y };
}
