// What only a kernel can do: in a page that is a file it is switched off, with the reason.
import * as React from "react";
import type { Model } from "./wire";
import { t } from "./words";

export const NEEDS_KERNEL = "This page is a recorded run in a file: nothing can be changed or computed in it.";
export const GET_KERNEL = "pip install flowlab opens such a graph live, in a notebook.";

/** Is there no kernel behind this page, only a recorded run? */
export const inFile = (model: Model): boolean => model.get("in_file") === true;

export const needsKernel = (): string => `${t(NEEDS_KERNEL)} ${t(GET_KERNEL)}`;

/** Fields and buttons that need a kernel: out of use where there is none. */
export function Live({ off, children }: { off: boolean; children: React.ReactNode }) {
  return off ? <fieldset disabled className="fl-off" title={needsKernel()}>{children}</fieldset> : <>{children}</>;
}
