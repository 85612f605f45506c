// What a question before a step is about, in words.
import type { QuestionSpec, Revealed } from "../protocol.gen";
import { t } from "../shared/words";
import { visible } from "./geometry";

export type Asked = Pick<QuestionSpec, "tensor" | "kind" | "at"> & { of?: string };

export const nodeOf = (tensor: string): string => tensor.slice(0, tensor.lastIndexOf(":"));
export const shortOf = (tensor: string): string => visible(tensor.replace(/:0$/, ""));

/** What tells a question from another. */
export const keyOfQuestion = (q: Asked): string => `${q.kind} ${q.at?.join(",") ?? ""} ${q.tensor}`;

/** "element [0, 1] of y", "the gradient of w" */
function what(q: Asked): string {
  const whole = q.of ? t("the gradient of {tensor}", { tensor: shortOf(q.of) }) : shortOf(q.tensor);
  return q.at && q.at.length ? t("element [{at}] of {tensor}", { at: q.at.join(", "), tensor: whole }) : whole;
}

export function questionText(q: Asked): string {
  switch (q.kind) {
    case "shape": return t("What shape will {tensor} have?", { tensor: what(q) });
    case "value": return t("What value will {tensor} have?", { tensor: what(q) });
    case "sign": return t("Which sign will {tensor} have?", { tensor: what(q) });
    default: return q.kind satisfies never;
  }
}

export const GLYPH = { right: "✓", nearly: "≈", wrong: "✗", skipped: "–" } as const;
export const WORD = { right: "Right", nearly: "Nearly", wrong: "Wrong", skipped: "Skipped" } as const;

/** What is said aloud when the answer is revealed. English, as everything that is said. */
export function revealedText(r: Revealed): string {
  const tensor = r.of ? `the gradient of ${r.of.replace(/:0$/, "")}` : r.tensor.replace(/:0$/, "");
  const of = r.at && r.at.length ? `element [${r.at.join(", ")}] of ${tensor}` : tensor;
  return `${WORD[r.verdict]}. The ${r.kind} of ${of} is ${r.truth}.`;
}
