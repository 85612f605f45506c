// What every view that saves its picture has: paper, plain colours, and a canvas of a drawing.

export const PRINT = 3;        // pixels of a printed picture for one of the drawing: about 290 to the inch

export type Drawing = { text: string; width: number; height: number };

/** What is drawn on white paper, in the light colours whatever the notebook's theme is. */
export function onPaper(element: HTMLElement, draw: (paper: HTMLElement, font: string) => Drawing): Drawing {
  const paper = document.createElement("div");
  paper.className = "fl-paper";
  element.append(paper);
  try {
    return draw(paper, getComputedStyle(element).fontFamily);
  } finally {
    paper.remove();
  }
}

export function canvasOf({ text, width, height }: Drawing, scale: number): Promise<HTMLCanvasElement | null> {
  return new Promise((done) => {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
      done(canvas);
    };
    image.onerror = () => done(null);
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  });
}

const SIGNS: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
export const quoted = (s: string): string => s.replace(/[&<>"']/g, (ch) => SIGNS[ch]).replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, "");

export const hex = (rgb: string): string => `#${(rgb.match(/\d+/g) ?? ["0", "0", "0"]).slice(0, 3).map((v) => Number(v).toString(16).padStart(2, "0")).join("")}`;

/** A computed colour as every reader of SVG knows it. */
export function plainColour(value: string, paper: HTMLElement, name: string): string {
  if (/^#[0-9a-f]{6}$/i.test(value)) return value;
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  paper.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  const srgb = /^color\(srgb ([\d.e-]+) ([\d.e-]+) ([\d.e-]+)/.exec(found);
  return srgb ? hex(srgb.slice(1, 4).map((v) => Math.round(Number(v) * 255)).join(" ")) : hex(found);
}
