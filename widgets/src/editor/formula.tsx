// Formulas of operations, written in a small part of LaTeX, as plain elements: no markup is ever taken from a text.
import * as React from "react";
import { visible } from "./geometry";

const SYMBOLS: ReadonlyMap<string, string> = new Map(Object.entries({
  cdot: "·", times: "×", div: "÷", pm: "±", odot: "⊙", oplus: "⊕", otimes: "⊗", circ: "∘", ast: "∗", sum: "∑", prod: "∏", int: "∫", partial: "∂", nabla: "∇", infty: "∞",
  leftarrow: "←", rightarrow: "→", to: "→", mapsto: "↦", Rightarrow: "⇒", le: "≤", leq: "≤", ge: "≥", geq: "≥", ne: "≠", neq: "≠", approx: "≈", equiv: "≡", in: "∈", notin: "∉",
  ldots: "…", cdots: "⋯", dots: "…", vdots: "⋮", forall: "∀", exists: "∃", land: "∧", lor: "∨", lnot: "¬", neg: "¬", top: "⊤", intercal: "⊺", prime: "′", langle: "⟨", rangle: "⟩", lfloor: "⌊", rfloor: "⌋", lceil: "⌈", rceil: "⌉",
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", varepsilon: "ε", zeta: "ζ", eta: "η", theta: "θ", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", phi: "φ", varphi: "φ", chi: "χ", psi: "ψ", omega: "ω",
  Gamma: "Γ", Delta: "Δ", Theta: "Θ", Lambda: "Λ", Xi: "Ξ", Pi: "Π", Sigma: "Σ", Phi: "Φ", Psi: "Ψ", Omega: "Ω", ell: "ℓ", Vert: "‖", lVert: "‖", rVert: "‖", vert: "|", lvert: "|", rvert: "|", mid: "|", colon: ":",
}));
const WORDS = new Set(["exp", "log", "ln", "sin", "cos", "tan", "tanh", "sinh", "cosh", "max", "min", "arg", "argmax", "argmin", "det", "dim", "lim", "sup", "inf", "Pr", "sign", "softmax", "relu"]);
const BIG = new Set(["∑", "∏", "max", "min"]);
const SPACES: ReadonlyMap<string, string> = new Map([[",", "\u2009"], [":", "\u2005"], [";", "\u2004"], [" ", "\u2005"], ["!", ""], ["quad", "\u2003"], ["qquad", "\u2003\u2003"]]);

class Reader {
  private at = 0;
  private key = 0;
  constructor(private readonly text: string) {}

  get done(): boolean { return this.at >= this.text.length; }

  /** Everything up to the closing brace, or to the end. */
  row(depth = 0): React.ReactNode[] {
    const out: React.ReactNode[] = [];
    while (!this.done && this.text[this.at] !== "}") {
      const before = this.at;
      const node = this.scripts(this.item(depth), depth);
      out.push(<React.Fragment key={this.key++}>{node}</React.Fragment>);
      if (this.at === before) this.at++;
    }
    return out;
  }

  private skip(): void { while (this.text[this.at] === " ") this.at++; }

  private group(depth: number): React.ReactNode {
    this.skip();
    if (this.text[this.at] !== "{") return this.item(depth + 1);
    this.at++;
    const row = depth > 24 ? ["…"] : this.row(depth + 1);
    if (this.text[this.at] === "}") this.at++;
    return row;
  }

  private raw(): string {
    this.skip();
    if (this.text[this.at] !== "{") return this.text[this.at++] ?? "";
    const end = this.text.indexOf("}", this.at);
    const s = this.text.slice(this.at + 1, end < 0 ? undefined : end);
    this.at = end < 0 ? this.text.length : end + 1;
    return s;
  }

  private item(depth: number): React.ReactNode {
    const c = this.text[this.at];
    if (c === undefined) return null;
    if (c === "{") return this.group(depth);
    if (c === "\\") return this.command(depth);
    this.at++;
    if (c === " " || c === "&") return " ";
    if (c === "^" || c === "_") { this.at--; return null; }
    if (c === "-") return " − ";
    if ("=<>+".includes(c)) return ` ${c} `;
    if (c === "*") return "·";
    if (c === "'") return "′";
    if (c === "~") return "\u00a0";
    if (/[0-9.()[\],|/:;!?]/.test(c)) return <span className="up">{c}</span>;
    return c;
  }

  private command(depth: number): React.ReactNode {
    this.at++;
    const m = /^[A-Za-z]+/.exec(this.text.slice(this.at));
    if (!m) {
      const c = this.text[this.at++] ?? "";
      if (c === "\\") return <br />;
      return SPACES.get(c) ?? c;
    }
    const name = m[0];
    this.at += name.length;
    switch (name) {
      case "frac": case "dfrac": case "tfrac": {
        const a = this.group(depth);
        const b = this.group(depth);
        return <span className="frac"><span>{a}</span><span>{b}</span></span>;
      }
      case "sqrt": return <span className="sqrt">√<span>{this.group(depth)}</span></span>;
      case "text": case "mathrm": case "operatorname": case "mathtt": return <span className="up">{visible(this.raw())}</span>;
      case "mathbf": case "boldsymbol": return <b>{this.group(depth)}</b>;
      case "mathbb": case "mathcal": case "mathit": case "displaystyle": case "textstyle": return name.startsWith("math") ? this.group(depth) : null;
      case "bar": case "overline": return <span className="bar-over">{this.group(depth)}</span>;
      case "hat": case "tilde": { const g = this.group(depth); return <>{g}{name === "hat" ? "\u0302" : "\u0303"}</>; }
      case "left": case "right": case "big": case "Big": case "bigl": case "bigr": case "Bigl": case "Bigr": {
        this.skip();
        if (this.text[this.at] === ".") { this.at++; return null; }
        return this.item(depth);
      }
      case "begin": case "end": this.raw(); return null;
      default: break;
    }
    if (WORDS.has(name)) return <span className="up">{name}</span>;
    const s = SYMBOLS.get(name) ?? SPACES.get(name);
    if (s === undefined) return <span className="up">{name}</span>;
    if ("←→↦⇒≤≥≠≈≡∈±×·⊙".includes(s)) return ` ${s} `;
    return BIG.has(s) ? <span className="big">{s}</span> : s;
  }

  private scripts(base: React.ReactNode, depth: number): React.ReactNode {
    let sub: React.ReactNode = null;
    let sup: React.ReactNode = null;
    for (;;) {
      const c = this.text[this.at];
      if (c === "_" && sub === null) { this.at++; sub = this.group(depth); }
      else if (c === "^" && sup === null) { this.at++; sup = this.group(depth); }
      else break;
    }
    if (sub === null && sup === null) return base;
    if (sub !== null && sup !== null) return <>{base}<span className="both"><sup>{sup}</sup><sub>{sub}</sub></span></>;
    return <>{base}{sub !== null ? <sub>{sub}</sub> : <sup>{sup}</sup>}</>;
  }
}

/** A formula inside a line of text. */
export const InlineFormula = React.memo(function InlineFormula({ latex }: { latex: string }) {
  const source = latex.slice(0, 2000);
  return <span className="fx in" title={visible(source)}>{new Reader(source).row()}</span>;
});

export const Formula = React.memo(function Formula({ latex }: { latex: string }) {
  const source = latex.slice(0, 2000);
  return <p className="fx" title={visible(source)}>{new Reader(source).row()}</p>;
});
