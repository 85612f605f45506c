// What a training does inside: values of weights, gradients and activations over the steps, the line that it draws through the plane, the queue of its data.
import * as React from "react";
import type { Histograms } from "../protocol.gen";
import { Slots } from "../shared/controls";
import type { Root } from "../shared/pixels";
import { css, scaleOf, tableOf } from "../shared/color";
import { num, percent, seconds, short } from "../shared/format";
import { t, told } from "../shared/words";
import { type Histogram, type InsideData, type PlaneData, span } from "./data";

type Group = Histograms["kind"];

const GROUPS: { kind: Group; word: string }[] = [{ kind: "weights", word: "Weights" }, { kind: "gradients", word: "Gradients" }, { kind: "activations", word: "Activations" }];

export function Inside({ data, group, choose, width, theme, root }: { data: InsideData; group: Group; choose(group: Group): void; width: number; theme: number; root: Root }) {
  const columns = Math.max(1, Math.floor((width + 16) / 250));
  const cell = Math.floor((width - 16 * (columns - 1)) / columns);
  const { steps, share, cost, samples, trouble } = data.info;
  return (
    <section className="panel inside" aria-label={t("Inside")}>
      <header>
        <div className="seg" role="group" aria-label={t("What is drawn")}>
          {GROUPS.map((g) => <button key={g.kind} type="button" aria-pressed={g.kind === group} onClick={() => choose(g.kind)}>{t(g.word)}</button>)}
        </div>
        <span className="muted">{samples > 0 && t("{n} looks, {share} of the time, {cost} each", { n: samples, share: percent(share), cost: seconds(cost) })}</span>
        <span className="scale" title={t("Share of the values in each of {n} bins between the lowest and the highest", { n: data.info.bins })}><i>0</i><u className="seq" /><i>{t("most")}</i></span>
      </header>
      {trouble && <p className="muted">{told(trouble)}</p>}
      {steps.length === 0 ? <p className="muted">{t("Nothing has been looked at yet.")}</p> : (
        <div className="tensors" style={{ gridTemplateColumns: `repeat(${columns}, ${cell}px)` }}>
          {data.tensors.map((h) => <Tensor key={h.name} h={h} steps={steps} bins={data.info.bins} width={cell} theme={theme} root={root} />)}
        </div>
      )}
      {data.tensors.length === 0 && <p className="muted">{t("This graph has none.")}</p>}
    </section>
  );
}

const HEIGHT = 84;
const GUTTER = 44;

const Tensor = React.memo(function Tensor({ h, steps, bins, width, theme, root }: { h: Histogram; steps: number[]; bins: number; width: number; theme: number; root: Root }) {
  const canvas = React.useRef<HTMLCanvasElement>(null);
  const [lo, hi] = span([h.lo, h.hi]) ?? [0, 1];
  const [from, to] = lo === hi ? [lo - 0.5, hi + 0.5] : [lo, hi];
  const w = Math.max(20, width - GUTTER);
  const zero = (to / (to - from)) * HEIGHT;
  React.useLayoutEffect(() => { if (canvas.current && root.current) paint(canvas.current, h, steps, bins, w, from, to, root.current); }, [h, steps, bins, w, from, to, theme, root]);
  const last = steps.length - 1;
  const bad = h.bad.reduce((a, b) => a + b, 0);
  return (
    <figure className="tensor" data-tensor={h.name} data-samples={steps.length}>
      <figcaption><b title={h.name}>{h.name}</b>{bad > 0 && <span className="bad">▲ {t("NaN or infinite")}</span>}</figcaption>
      <div className="hist">
        <span className="ends"><i>{short(to)}</i>{zero > 14 && zero < HEIGHT - 14 && <i className="zero" style={{ top: zero }}>0</i>}<i>{short(from)}</i></span>
        <canvas ref={canvas} role="img" style={{ width: w, height: HEIGHT }} aria-label={t("{name}: at step {step} from {lo} to {hi}", { name: h.name, step: steps[last], lo: num(h.lo[last]), hi: num(h.hi[last]) })} />
      </div>
      <span className="steps"><i>{steps[0]}</i><i>{steps[last].toLocaleString("en-US")}</i></span>
    </figure>
  );
});

/** A column a look, as wide as the steps up to the next one; darker where more of the values are. */
function paint(canvas: HTMLCanvasElement, h: Histogram, steps: number[], bins: number, width: number, from: number, to: number, root: HTMLElement): void {
  const dpr = Math.min(2, window.devicePixelRatio || 1);
  const [w, height] = [Math.round(width * dpr), Math.round(HEIGHT * dpr)];
  canvas.width = w;
  canvas.height = height;
  const g = canvas.getContext("2d");
  if (!g) return;
  const table = tableOf(root, "seq");
  const [error, paper] = stripes(root);
  const image = g.createImageData(w, height);
  const end = steps[steps.length - 1] + (steps.length > 1 ? steps[steps.length - 1] - steps[steps.length - 2] : 1);
  let k = 0;
  for (let x = 0; x < w; x++) {
    const step = steps[0] + (x / w) * (end - steps[0]);
    while (k + 1 < steps.length && steps[k + 1] <= step) k++;
    const [lo, hi] = [h.lo[k], h.hi[k]];
    let most = 0;
    for (let b = 0; b < bins; b++) most = Math.max(most, h.counts[k * bins + b]);
    if (most === 0) {       // not one of the values is a number
      for (let y = 0; y < height; y++) image.data.set((x + y) % 6 < 3 ? error : paper, 4 * (y * w + x));
      continue;
    }
    const each = (hi - lo) / bins;
    for (let y = 0; y < height; y++) {
      // a row of pixels covers a stretch of values: the fullest of the bins under it counts
      const top = to - (y / height) * (to - from);
      const low = top - (to - from) / height;
      if (low > hi || top < lo) continue;
      let share = 0;
      if (!(each > 0)) share = 1;
      else {
        const first = Math.max(0, Math.floor((low - lo) / each));
        const last = Math.min(bins - 1, Math.floor((top - lo) / each));
        for (let b = first; b <= last; b++) share = Math.max(share, h.counts[k * bins + b] / (most || 1));
      }
      if (share <= 0) continue;
      const at = 3 * Math.round(255 * (0.12 + 0.88 * Math.sqrt(share)));
      image.data.set([table[at], table[at + 1], table[at + 2], 255], 4 * (y * w + x));
    }
  }
  g.putImageData(image, 0, 0);
}

// ---------------------------------------------------------------- the plane

const HUES = ["--fl-op-math", "--fl-op-conv", "--fl-op-linalg", "--fl-op-recurrent", "--fl-op-state", "--fl-op-gradient", "--fl-op-activation", "--fl-op-reduce"];

export function Plane({ data, theme, root }: { data: PlaneData; theme: number; root: Root }) {
  const canvas = React.useRef<HTMLCanvasElement>(null);
  const { classes, box, axes, step } = data.info;
  const side = 236;
  React.useLayoutEffect(() => { if (canvas.current && root.current) paintPlane(canvas.current, data, root.current); }, [data, theme, root]);
  const x = (v: number) => ((v - box[0]) / (box[1] - box[0])) * side;
  const y = (v: number) => (1 - (v - box[2]) / (box[3] - box[2])) * side;
  const shown = Array.from({ length: data.info.points }, (_, k) => k);
  return (
    <section className="panel plane" data-testid="boundary" data-step={step}>
      <h2>{t("Boundary at step {step}", { step: step.toLocaleString("en-US") })}</h2>
      <div className="square" style={{ width: side, height: side }}>
        <canvas ref={canvas} role="img" aria-label={t("What the network says over the plane, {n} classes", { n: classes })} style={{ width: side, height: side }} />
        <svg width={side} height={side} aria-hidden="true">{shown.map((k) => <path key={k} className={`pt k${data.labels[k] % 4}`} d={shape(data.labels[k], x(data.points[2 * k]), y(data.points[2 * k + 1]))} />)}</svg>
      </div>
      <p className="axes"><span>{axes[0]}: {short(box[0])} – {short(box[1])}</span><span>{axes[1]}: {short(box[2])} – {short(box[3])}</span></p>
      {classes === 2
        ? <p className="scale"><i>● {t("class {k}", { k: 0 })}</i><u className="div" /><i>{t("class {k}", { k: 1 })} ■</i></p>
        : <p className="muted">{Array.from({ length: Math.min(8, classes) }, (_, k) => `${"●■▲◆"[k % 4]} ${k}`).join("  ")}</p>}
    </section>
  );
}

function shape(label: number, x: number, y: number): string {
  switch (Math.abs(label) % 4) {
    case 0: return `M${x - 2.6} ${y}a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0`;
    case 1: return `M${x - 2.4} ${y - 2.4}h4.8v4.8h-4.8z`;
    case 2: return `M${x} ${y - 3}l3 5.2h-6z`;
    default: return `M${x} ${y - 3.2}l3.2 3.2l-3.2 3.2l-3.2 -3.2z`;
  }
}

function paintPlane(canvas: HTMLCanvasElement, data: PlaneData, root: HTMLElement): void {
  const { rows, cols, classes } = data.info;
  canvas.width = cols;
  canvas.height = rows;
  const g = canvas.getContext("2d");
  if (!g) return;
  const image = g.createImageData(cols, rows);
  const both = scaleOf(root, "div");
  const [error, paper] = stripes(root);
  const hues = classes > 2 ? Array.from({ length: classes }, (_, k) => rgb(`var(${HUES[k % HUES.length]})`, root)) : [];
  for (let i = 0; i < rows * cols; i++) {
    let out: readonly number[];
    if (Number.isNaN(data.shares[i * classes])) out = (Math.floor(i / cols) + i) % 4 < 2 ? error : paper;
    else if (classes === 2) out = both(data.shares[2 * i + 1]);
    else {
      let best = 0;
      for (let k = 1; k < classes; k++) if (data.shares[i * classes + k] > data.shares[i * classes + best]) best = k;
      const sure = 0.15 + 0.65 * Math.max(0, (data.shares[i * classes + best] - 1 / classes) / (1 - 1 / classes));
      out = paper.map((c, j) => Math.round(c + (hues[best][j] - c) * sure));
    }
    image.data.set([out[0], out[1], out[2], 255], 4 * i);
  }
  g.putImageData(image, 0, 0);
}

/** The two colours of what is no number. */
const stripes = (root: HTMLElement): [number[], number[]] => [[...rgb("var(--fl-state-error)", root), 255], [...rgb("var(--fl-surface)", root), 255]];

/** Any CSS colour, as it comes out where the view stands. */
function rgb(color: string, root: HTMLElement): number[] {
  const probe = document.createElement("i");
  probe.style.color = color;
  root.append(probe);
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const found = getComputedStyle(probe).color;
  probe.remove();
  if (!pen) return [128, 128, 128];
  pen.fillStyle = css([255, 255, 255]);
  pen.fillStyle = found;
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

// ---------------------------------------------------------------- the queue

export function Queue({ ready, size }: { ready: number; size: number }) {
  return (
    <section className="panel queue" data-testid="queue" data-ready={ready} data-size={size}>
      <h2>{t("Batches prepared ahead")}</h2>
      <Slots ready={ready} size={size} label={t("{ready} of {size} ready", { ready, size })} />
      <p><b>{t("{ready} of {size} ready", { ready, size })}</b> <span className="muted">{ready === 0 ? t("the network waits for data") : ready >= size ? t("the data waits for the network") : ""}</span></p>
    </section>
  );
}
