"""From a graph to its equations: a line a node, with the formula of its operation, and with a run the numbers of that run."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import FlowError
from ..core.graph import Graph, Node, Tensor
from .fetching import fetched, needed

QUAD, TIMES, NEXT_ROW = r"\quad ", r" \times ", r" \\ "
LONGEST = 240   # letters of a text that are written out
SHOWN = 4       # rows and columns of a matrix that are written out
_GREEK = {"alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega"}
_USUAL = {"kernel": "W", "recurrent_kernel": "U", "bias": "b", "recurrent_bias": "b'", "loss": "L"}
# how a formula writes an input whose name is longer than a letter
_LETTERS = {"prediction": (r"\\hat y",), "target": ("y",), "logits": ("x",), "labels": ("y",), "slope": ("a",), "gamma": (r"\\gamma",), "beta": (r"\\beta",), "log_q": (r"\\ln q_k",), "x": ("A",)}


class Latex(str):
    """Equations as text, which a notebook sets as mathematics."""

    def _repr_latex_(self) -> str:
        return f"$${self}$$"


def to_latex(graph: Graph, fetches: Any = None, run: Any = None) -> Latex:
    """The equations of a graph, or of what some fetches need, as LaTeX (`aligned`): a line a node, in order of creation.

    A symbol is a node's name (a kernel is W, a bias b, with its scope below); a node without a name of its own is z with a number, one of the way back δ.
    `run` is a Trace or a Debugger: then each line ends in the value of that run, a large one abridged, or in its size. Loops and branches are written
    with what happens inside. In a notebook the result shows as mathematics.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder((2,), name="x")
    ...     y = fl.sum(fl.tanh(x) * 2, name="y")
    >>> print(fl.to_latex(g, y))
    \\begin{aligned}
    z_{1} &= \\tanh x \\\\
    z_{2} &= z_{1} \\odot 2 \\\\
    y &= \\sum z_{2}
    \\end{aligned}
    >>> print(fl.to_latex(g, y, fl.Session(g).trace([y], {x: [0.0, 1.0]})).splitlines()[1])
    z_{1} &= \\tanh x = \\begin{pmatrix} 0 & 0.7616 \\end{pmatrix} \\\\
    """
    nodes = list(graph.nodes) if fetches is None else needed([t for _, t in fetched(graph, fetches)])
    if run is not None and not hasattr(run, "value"):
        raise FlowError(f"{type(run).__name__} holds no values.", hint="Give a Trace (sess.trace(…)) or a Debugger.")
    rows = _Equations(run).block(nodes)
    return Latex("\n".join([r"\begin{aligned}", *(f"{row} \\\\" for row in rows[:-1]), *rows[-1:], r"\end{aligned}"]))


def word(text: str) -> str:
    """A text as upright letters, a long one abridged; whatever LaTeX or a page would take for a command of its own is written out."""
    special = {"\\": r"\backslash ", "_": r"\_", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "^": r"\wedge ", "~": r"\sim ", "<": r"\lt ", ">": r"\gt "}
    text = text if len(text) <= LONGEST else f"{text[:LONGEST - 1]}…"
    return r"\mathrm{" + "".join(special.get(c, c) if c.isprintable() and c != " " else r"\ " for c in text) + "}"


class _Equations:
    def __init__(self, run: Any = None):
        self.run = run
        self.symbols: dict[Tensor, str] = {}
        self.taken: set[str] = set()
        self._counts = {"z": 0, r"\delta": 0}

    # ------------------------------------------------------------ symbols

    def symbol(self, t: Tensor) -> str:
        if t not in self.symbols:
            self.symbols[t] = self._free(self._named(t))
        return self.symbols[t]

    def _free(self, text: str) -> str:
        found, k = text, 1
        while found in self.taken:
            k += 1
            found = f"{{{text}}}^{{({k})}}"
        self.taken.add(found)
        return found

    def _named(self, t: Tensor) -> str:
        node = t.node
        scope, _, last = node.name.rpartition("/")
        own = not re.fullmatch(rf"{re.escape(node.op.name)}(_\d+)?", last)
        if len(node.outputs) > 1:
            kind, _, of = node.output_names[t.index].rpartition(".")
            last, scope, own = ("y" if kind == "outputs" else of), node.name if own else scope, True
        if not own:
            letter = "z" if node.phase == "forward" else r"\delta"
            self._counts[letter] += 1
            return f"{letter}_{{{self._counts[letter]}}}"
        base = last if len(last) == 1 and last.isalpha() and last.isascii() else f"\\{last}" if last in _GREEK else _USUAL.get(last) or word(last)
        return f"{base}_{{{word(scope)}}}" if scope else base

    def given(self, t: Tensor) -> str:
        """A tensor as it stands in a formula; a constant without a name of its own by its value."""
        own = t.node.name.rpartition("/")[2]
        if t.node.op.source == "constant" and (not t.rank or re.fullmatch(r"[Cc]onstant(_\d+)?", own)):
            text = matrix(t.node.attrs["value"])
            return f"({text})" if text.startswith("-") else text
        return self.symbol(t)

    # ------------------------------------------------------------ lines

    def block(self, nodes: Sequence[Node], depth: int = 0) -> list[str]:
        rows: list[str] = []
        for n in nodes:
            if n.op.source or not n.outputs:
                continue
            inside = {"Scan": self.scan, "While": self.loop, "Cond": self.cond}.get(n.op.name)
            if inside is not None:
                rows += inside(n, depth)
                continue
            left = ", ".join(self.symbol(t) for t in n.outputs[:8]) + (r", \dots" if len(n.outputs) > 8 else "")
            formula, more = self.formula(n)
            rows.append(_line(left, formula + (self.numbers(n) if not depth else ""), depth))
            if more:
                rows.append(_said(rf"\text{{where }} {more}", depth + 1))
        return rows

    def formula(self, n: Node) -> tuple[str, str]:
        """The right side, and an equation of the operation's own that says more."""
        latex = n.op.latex
        if latex and ("=" not in latex or n.op.name == "Equal") and not n.op.variadic:
            found = _substituted(latex, {p: self.given(t) for p, t in zip(n.ports, n.inputs)})
            if found is not None:
                return found, ""
        named = [self.given(t) for t in n.inputs]
        for key, attr in n.op.attrs.items():
            v = n.attrs[key]
            if n.op.name != "Opaque" and attr.kind not in ("body", "value") and (attr.required or v != attr.default) and v is not None:
                named.append(rf"\text{{{key.replace('_', ' ')}}} = {_plain(v)}")
        name = n.op.function.replace("_", r"\_")
        return rf"\operatorname{{{name}}}({', '.join(named)})", latex if "=" in latex else ""

    def numbers(self, n: Node) -> str:
        """The values of this run, of a node with one output."""
        if self.run is None or len(n.outputs) != 1:
            return ""
        try:
            return f" = {matrix(np.asarray(self.run.value(n.outputs[0].name)))}"
        except (KeyError, FlowError):
            return ""   # it did not fire, or was let go

    # ------------------------------------------------------------ loops and branches

    def scan(self, n: Node, depth: int) -> list[str]:
        body, k, states, back = n.attrs["body"], len(n.attrs["axes"]), n.attrs["states"], n.attrs["reverse"]
        given = [self.given(t) for t in n.inputs]
        rows = []
        self.symbols |= {t: f"{{{x}}}_{{t}}" for t, x in zip(body.inputs, given)}
        bases = []
        for t, first in zip(body.inputs[k:k + states], given[k:]):
            bases.append(f"{{{self._free(self._named(t))}}}")
            self.symbols[t] = f"{bases[-1]}_{{{'t+1' if back else 't-1'}}}"
            rows.append(_line(f"{bases[-1]}_{{{'T+1' if back else '0'}}}", first, depth))
        self.symbols.update(zip(body.inputs[k + states:], given[k + states:]))
        rows.append(_said(r"\text{for } t = " + (r"T, \dots, 1:" if back else r"1, \dots, T:"), depth))
        rows += self.block(needed(body.outputs, given=body.inputs), depth + 1)
        rows += [_line(f"{base}_{{t}}", self.given(new), depth + 1) for base, new in zip(bases, body.outputs)]
        outs = len(n.attrs["out_axes"])
        rows += [_line(self.symbol(t), f"({self.given(new)})_{{t = 1, \\dots, T}}", depth) for t, new in zip(n.outputs[:outs], body.outputs[states:])]
        return [*rows, *(_line(self.symbol(t), f"{base}_{{{'1' if back else 'T'}}}", depth) for t, base in zip(n.outputs[outs:], bases))]

    def cond(self, n: Node, depth: int) -> list[str]:
        given = [self.given(t) for t in n.inputs]
        rows, ends = [], []
        for which, said in (("then", rf"\text{{if }} {given[0]}:"), ("otherwise", r"\text{otherwise:}")):
            body = n.attrs[which]
            self.symbols.update(zip(body.inputs, given[1:]))
            inside = self.block(needed(body.outputs, given=body.inputs), depth + 1)
            rows += [_said(said, depth), *inside] if inside else []
            ends.append([self.given(t) for t in body.outputs])
        for t, a, b in zip(n.outputs, *ends):
            rows.append(_line(self.symbol(t), rf"\begin{{cases}} {a} & \text{{if }} {given[0]} \\ {b} & \text{{otherwise}} \end{{cases}}", depth))
        return rows

    def loop(self, n: Node, depth: int) -> list[str]:
        condition, body, states = n.attrs["condition"], n.attrs["body"], n.attrs["states"]
        given = [self.given(t) for t in n.inputs]
        finals = [self.symbol(t) for t in n.outputs[:states]]
        rows = [_line(a, b, depth, r"\leftarrow") for a, b in zip(finals, given)]
        for part in (condition, body):
            self.symbols.update(zip(part.inputs, [*finals, *given[states:]]))
        goes_on = self.block(needed(condition.outputs, given=condition.inputs), depth + 1)
        rows += [_said(r"\text{while } " + self.given(condition.outputs[0]) + (r" \text{, where}" if goes_on else ":"), depth), *goes_on]
        rows += [_said(r"\text{do:}", depth)] if goes_on else []
        rows += self.block(needed(body.outputs, given=body.inputs), depth + 1)
        return [*rows, *(_line(a, self.given(b), depth + 1, r"\leftarrow") for a, b in zip(finals, body.outputs))]


def _line(left: str, right: str, depth: int, sign: str = "=") -> str:
    """An equation; inside loops and branches it stands further in."""
    return f"&{QUAD * depth}{left} {sign} {right}" if depth else f"{left} &{sign} {right}"


def _said(text: str, depth: int) -> str:
    return f"&{QUAD * depth}{text}"


def _substituted(latex: str, given: Mapping[str, str]) -> str | None:
    """The formula with what goes in in the place of its letters; None if one of them does not stand in it."""
    marks: list[str] = []
    for port, text in given.items():
        for letter in (re.escape(port), re.escape(port.upper()), *_LETTERS.get(port, ())):
            found, count = re.subn(rf"(?<![\\A-Za-z]){letter}(?![A-Za-z])" if not letter.startswith(r"\\") else rf"{letter}(?![A-Za-z])", f"\0{len(marks)}\0", latex)
            if count:
                latex = found
                marks.append(text)
                break
        else:
            return None
    def put(m: re.Match[str]) -> str:
        text = marks[int(m[2])]
        return f"{m[1]}{{{text}}}" if (m[1] or m[3]) and len(text) > 1 else m[1] + text
    return re.sub("([_^]?)\0(\\d+)\0(?=([_^]?))", put, latex)


def _plain(v: Any) -> str:
    if isinstance(v, (tuple, list)):
        return "(" + ", ".join(map(_plain, v)) + ")"
    if isinstance(v, (int, float)) and not isinstance(v, bool):
        return number(v)
    text = str(v).replace("_", " ")
    return rf"\text{{{text}}}" if re.fullmatch(r"[A-Za-z0-9 .,:;/=+*()-]{0,60}", text) else word(text)


def number(x: Any) -> str:
    """A number in four digits."""
    if isinstance(x, (bool, np.bool_)) or getattr(x, "dtype", None) == np.bool_:
        return rf"\text{{{'true' if x else 'false'}}}"
    text = f"{float(x):.4g}"
    if "inf" in text:
        return text.replace("inf", r"\infty")
    if "nan" in text:
        return r"\text{NaN}"
    digits, e, power = text.partition("e")
    return rf"{digits} \cdot 10^{{{int(power)}}}" if e else digits


def matrix(x: np.ndarray) -> str:
    """A number, a row or a matrix, what is in the middle of a large one left out; of more axes, what is said of their sizes."""
    if not x.ndim:
        return number(x)
    if x.ndim > 2 or not x.size:
        return rf"\left[{TIMES.join(map(str, x.shape))}\right]"
    rows = x if x.ndim == 2 else x[None]
    lines = [_row(r) for r in (rows if len(rows) <= SHOWN else rows[:SHOWN - 1])]
    if len(rows) > SHOWN:
        lines += [" & ".join([r"\vdots"] * (lines[0].count("&") + 1)), _row(rows[-1])]
    return rf"\begin{{pmatrix}} {NEXT_ROW.join(lines)} \end{{pmatrix}}"


def _row(row: np.ndarray) -> str:
    return " & ".join([*map(number, row)] if len(row) <= SHOWN else [*map(number, row[:SHOWN - 1]), r"\cdots", number(row[-1])])
