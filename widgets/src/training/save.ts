// What the training view saves as a picture: every recorded number over the steps.
import { num } from "../shared/format";
import type { Pen, Size } from "../shared/save";
import { t } from "../shared/words";
import { LEFT, plan, RIGHT } from "./curves";
import type { CurveData } from "./data";

const [WIDTH, HEIGHT, HEAD] = [760, 240, 30];

export function draw(pen: Pen, data: CurveData, title: string, log: boolean): Size {
  const [ink, soft, grid, raw, mean, checked] = ["--fl-text-1", "--fl-text-2", "--fl-line", "--fl-line-strong", "--fl-accent", "--fl-op-reduce"].map((name) => pen.colour(name));
  pen.text(title, 20, 26, 15, ink, "start", true);
  pen.text(t("step {step}", { step: data.info.steps.toLocaleString("en-US") }), WIDTH - RIGHT, 26, 11, soft, "end");
  let top = 44;
  for (const line of data.lines) {
    const chart = plan(line, data, WIDTH, HEIGHT, log);
    const last = (list: Float32Array | null) => (list?.length ? ` ${num(list[list.length - 1])}` : "");
    pen.text(line.name, 20, top + 16, 13, ink, "start", true);
    let left = WIDTH - RIGHT;
    for (const [name, colour] of [[line.checked && `${t("validation")}${last(line.checked)}`, checked], [line.epochs.length && `${t("mean of an epoch")}${last(line.epochs)}`, mean], [t("each step"), raw]] as const) {
      if (!name) continue;
      pen.text(name, left, top + 16, 11, soft, "end");
      left -= name.length * 6.2 + 8;
      pen.rect(left - 16, top + 11, 16, 3, colour);
      left -= 34;
    }
    pen.parts.push(`<g transform="translate(0 ${top + HEAD})">`);
    for (const v of chart.ticks) {
      pen.path(`M${LEFT} ${v.y}H${WIDTH - RIGHT}`, grid);
      pen.text(v.text, LEFT - 6, v.y + 3.5, 10, soft, "end");
    }
    for (const m of chart.marks) pen.text(m.text, m.x, HEIGHT - 6, 10, soft, m.anchor);
    pen.path(chart.raw, raw, 1, data.info.stride > 1 ? ` fill="${raw}" fill-opacity="0.5"` : "");
    pen.path(chart.mean, mean, 2);
    if (chart.checked) pen.path(chart.checked, checked, 2, ' stroke-dasharray="5 3"');
    pen.parts.push("</g>");
    top += HEAD + HEIGHT + 14;
  }
  return { width: WIDTH, height: top };
}
