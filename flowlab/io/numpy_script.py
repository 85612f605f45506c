"""From a graph to one Python script that needs nothing but NumPy: a statement a node, forward and backward."""
from __future__ import annotations

import keyword
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..control.scan import seen
from ..core.errors import FetchError, FlowError
from ..core.files import write_atomically
from ..core.graph import Graph, Node, Tensor
from ..core.types import shape_text
from .codegen import value
from .document import INLINE
from .fetching import fetched, needed
from .kernel_source import Sources

_HELD = {"np", "math", "itertools", "compute", "weights", "WEIGHTS", "seed", "run", "frame", "sys", "Path", "erf", "range", "float", "ArithmeticError"}     # with what of Python's own the statements call


def to_numpy(graph: Graph, fetches: Any, session: Any = None, weights: str | os.PathLike[str] | None = None) -> str:
    """One Python script that computes the fetches with NumPy alone: a statement a node, named after it, its formula beside it.

    Gradients are nodes, so they come with what they belong to; so do loops, branches and the updates of an optimizer. The script's function
    `compute(weights, x, …)` takes the variables by name (assignments change them when it ends) and the placeholders (one that is
    called as something that the script needs, such as `range`, as `range_1`), and returns the fetches by name.
    With a `session` its values are in the script as `WEIGHTS`; with `weights="model.npz"` they are written to that file, and the script reads it from
    its own folder. On the command line it reads feeds from one `.npz` file and writes the results to another. FlowError for an operation that has
    no Python source.

    >>> import flowlab as fl
    >>> with fl.Graph("slope") as g:
    ...     x = fl.placeholder((3,), name="x")
    ...     y = fl.sum(fl.tanh(x), name="y")
    ...     dx, = fl.gradients(y, [x])
    >>> script = fl.to_numpy(g, {"y": y, "dx": dx})
    >>> print(script[script.index("    # forward"):script.index("if __name__")].rstrip())
        # forward
        Tanh = np.tanh(x)                                                               # (3,)  \\tanh x
        y = Tanh.sum(dtype=Tanh.dtype)                                                  # ()  \\sum x
        # backward
        gradients_y_OnesLike = np.ones_like(y)                                          # gradients/y/OnesLike  ()
        gradients_y_ExpandDims = np.expand_dims(gradients_y_OnesLike, (0,))             # gradients/y/ExpandDims  (1,)
        gradients_y_BroadcastTo = np.broadcast_to(gradients_y_ExpandDims, (3,))         # gradients/y/BroadcastTo  (3,)
        gradients_Tanh_Multiply = Tanh * Tanh                                           # gradients/Tanh/Multiply  (3,)
        gradients_Tanh_Subtract = 1.0 - gradients_Tanh_Multiply                         # gradients/Tanh/Subtract  (3,)
        gradients_Tanh_Multiply_1 = gradients_y_BroadcastTo * gradients_Tanh_Subtract   # gradients/Tanh/Multiply_1  (3,)
        return {'y': y, 'dx': gradients_Tanh_Multiply_1}
    """
    asked = list(fetched(graph, fetches))
    if not asked:
        raise FetchError("there is nothing to fetch.", hint="Give a tensor, a name, or a list or dict of them.")
    ends = [t for _, t in asked]
    nodes = needed(ends, controls=True)
    variables = [n for n in nodes if n.op.source == "variable"]
    assigned = [n for n in nodes if n.op.name == "Assign"]
    held = {} if session is None else {n.name: np.asarray(session.variables[n.name]) for n in variables}
    if weights is not None and session is None and variables:
        raise FlowError("there are no weights to write without a session.", hint="fl.to_numpy(g, fetches, sess, weights=…)")
    writer = _Writer(Sources(set(_HELD)))
    given = [writer.word(n.outputs[0]) for n in nodes if n.op.source == "placeholder"]
    for n in variables:
        word = writer.word(n.outputs[0])
        writer.lines.append((f"{word} = weights[{n.name!r}]", _comment(n, n.name)))
    writer.block(nodes, ends)
    if assigned:
        writer.lines.append((f"weights.update({{{', '.join(f'{n.inputs[0].node.name!r}: {writer.word(n.outputs[0])}' for n in assigned)}}})", ""))
    row = ", ".join(f"{name!r}: {writer.word(t) if isinstance(t, Tensor) else None}" for name, t in _named(asked))
    writer.lines.append((f"return {{{row}}}", ""))
    chance = ["*", "seed=0", "run=0"] if writer.random else []
    start = [("frame = 0", "")] if writer.random else []
    head = f"def compute({', '.join(['weights', *given, *chance])}):"
    about = f'    """{_plain_text(graph.name)}: {", ".join(_plain_text(name) for name, _ in _named(asked))}. Weights by name; {", ".join(given) or "nothing else"} as arrays."""'
    body = [head, about, *(f"    {line}" for line in _aligned([*start, *writer.lines]))]
    parts = [f'"""{_plain_text(graph.name)}, as flowlab computes it, in NumPy alone."""']
    imports = sorted(writer.sources.imports - {"numpy"})
    parts.append("\n".join([*(f"import {m}" for m in imports), *(["from pathlib import Path"] if weights is not None else []), *([""] if imports or weights is not None else []), "import numpy as np"]))
    if weights is not None:
        target, data = Path(weights), BytesIO()
        np.savez(data, **held)
        write_atomically(target, data.getvalue())
        parts.append(f"WEIGHTS = dict(np.load(Path(__file__).with_name({target.name!r})))")
    else:
        rows = [f"    {k!r}: {value(v)}," for k, v in held.items()]
        parts.append("\n".join(["WEIGHTS = {", *rows, "}"]) if rows else "WEIGHTS = {}")
    tail = 'if __name__ == "__main__":\n    import sys\n\n    if len(sys.argv) != 3:\n        sys.exit(f"usage: {sys.argv[0]} inputs.npz outputs.npz    # arrays by the names of compute\'s arguments")\n    np.savez(sys.argv[2], **{k: v for k, v in compute(WEIGHTS, **np.load(sys.argv[1])).items() if v is not None})\n'
    functions = "".join(f"{p}\n\n" for p in writer.sources.parts)
    return "\n\n".join(parts) + "\n\n\n" + functions + "\n".join(body) + f"\n\n\n{tail}"


def _named(asked: Sequence[tuple[str, Tensor | Node]]) -> list[tuple[str, Tensor | Node]]:
    """A name of its own for each fetch: the one that was asked for, else the node's."""
    out: list[tuple[str, Tensor | Node]] = []
    seen_names: set[str] = set()
    for name, t in asked:
        node = t.node if isinstance(t, Tensor) else t
        name = name or (node.name if len(node.outputs) <= 1 else f"{node.name}:{node.output_names[t.index]}")
        plain, k = name, 0
        while name in seen_names:
            k += 1
            name = f"{plain}_{k}"
        seen_names.add(name)
        out.append((name, t))
    return out


def _plain_text(text: str) -> str:
    """A text that may stand in a docstring or a comment."""
    return _printed(text.replace("\\", "/").replace('"', "'"))


def _printed(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _comment(node: Node, word: str = "") -> str:
    """The node's name, where its variable is not just that, its shape and its formula, where the statement does not say it."""
    name = "" if node.name == word else node.name
    shape = shape_text(node.outputs[0].shape) if len(node.outputs) == 1 else ""
    return _printed("  ".join(v for v in (name, shape, "" if node.op.source or node.op.name in _SIGNS else node.op.latex) if v))


def _aligned(rows: Iterable[tuple[str, str]], most: int = 80) -> list[str]:
    """Statements with their comments below one another, where that leaves them near."""
    rows = list(rows)
    width = max((len(a) for a, b in rows if b and len(a) <= most), default=0)
    width = -(-(width + 3) // 4) * 4
    return [f"{a:<{width}}# {b}" if b and len(a) < width else f"{a}   # {b}" if b else a for a, b in rows]


# ---------------------------------------------------------------- operations that have a sign of their own in NumPy


def _axis(a: Mapping[str, Any]) -> str:
    return "".join([f"axis={a['axis']!r}, " if a["axis"] is not None else "", "keepdims=True, " if a["keepdims"] else ""])


def _index(index: tuple) -> str:
    def one(p: Any) -> str:
        if isinstance(p, tuple):
            start, stop, step = ("" if v is None else str(v) for v in p[1:])
            return f"{start}:{stop}" + (f":{step}" if step else "")
        return "..." if p == "..." else str(p)
    return ", ".join(map(one, index)) or "()"


_SIGNS: dict[str, str] = {"Add": "+", "Subtract": "-", "Multiply": "*", "Divide": "/", "MatMul": "@", "Greater": ">", "GreaterEqual": ">=", "Less": "<", "LessEqual": "<=", "Equal": "==",
                          "NotEqual": "!=", "LogicalAnd": "&", "LogicalOr": "|", "LogicalXor": "^"}
_FORMS: dict[str, Callable[[list[str], Mapping[str, Any]], str]] = {
    "Negative": lambda x, a: f"-{x[0]}", "LogicalNot": lambda x, a: f"~{x[0]}",
    "Identity": lambda x, a: x[0], "StopGradient": lambda x, a: x[0], "Assign": lambda x, a: x[1],
    "Relu": lambda x, a: f"np.maximum({x[0]}, 0)", "ReluGradient": lambda x, a: f"{x[0]} * ({x[1]} > 0)",
    "Transpose": lambda x, a: f"{x[0]}.T" if a["axes"] is None else f"{x[0]}.transpose({a['axes']!r})",
    "ReshapeLike": lambda x, a: f"{x[0]}.reshape({x[1]}.shape)",
    "Reshape": lambda x, a: f"{x[0]}.reshape({a['shape']!r})" if all(isinstance(d, int) for d in a["shape"]) else "",
    "ExpandDims": lambda x, a: f"np.expand_dims({x[0]}, {a['axis']!r})", "Squeeze": lambda x, a: f"np.squeeze({x[0]}, {a['axis']!r})",
    "BroadcastTo": lambda x, a: f"np.broadcast_to({x[0]}, {a['shape']!r})", "BroadcastLike": lambda x, a: f"np.broadcast_to({x[0]}, {x[1]}.shape)",
    "ZerosLike": lambda x, a: f"np.zeros_like({x[0]})", "OnesLike": lambda x, a: f"np.ones_like({x[0]})",
    "Cast": lambda x, a: f"{x[0]}.astype({a['dtype']!r})", "Where": lambda x, a: f"np.where({', '.join(x)})",
    "Concat": lambda x, a: f"np.concatenate([{', '.join(x)}], axis={a['axis']})", "Stack": lambda x, a: f"np.stack([{', '.join(x)}], axis={a['axis']})",
    "Split": lambda x, a: f"np.split({x[0]}, {a['n']}, axis={a['axis']})", "Slice": lambda x, a: f"{x[0]}[{_index(a['index'])}]",
    "Sum": lambda x, a: f"{x[0]}.sum({_axis(a)}dtype={x[0]}.dtype)", "Mean": lambda x, a: f"{x[0]}.mean({_axis(a)}dtype={x[0]}.dtype)",
    "Max": lambda x, a: f"{x[0]}.max({_axis(a)[:-2]})", "Min": lambda x, a: f"{x[0]}.min({_axis(a)[:-2]})",
    "Argmax": lambda x, a: f"{x[0]}.argmax(axis={a['axis']})", "Argmin": lambda x, a: f"{x[0]}.argmin(axis={a['axis']})",
    "CustomGradient": lambda x, a: f"({', '.join(x[:a['outputs']])},)", "Timesteps": lambda x, a: f"np.arange({x[0]}.shape[{a['axis']}])",
}


# ---------------------------------------------------------------- statements


class _Writer:
    """Writes statements, each with the comment that stands behind it, for the nodes of a graph and of the bodies in it."""

    def __init__(self, sources: Sources):
        self.sources = sources
        self.lines: list[tuple[str, str]] = []
        self.words: dict[Tensor, str] = {}
        self.random = False
        self._depth = 0

    def add(self, text: str, comment: str = "") -> None:
        self.lines.append(("    " * self._depth + text, comment))

    def word(self, t: Tensor) -> str:
        """The variable that holds a tensor: its node's name, with the output's where there are several."""
        if t not in self.words:
            node = t.node
            name = node.name if len(node.outputs) == 1 else f"{node.name}_{node.output_names[t.index]}"
            plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "t"
            if plain[0].isdigit() or keyword.iskeyword(plain) or keyword.issoftkeyword(plain):
                plain = f"t_{plain}"
            self.words[t] = self.sources.free(plain)
        return self.words[t]

    def block(self, nodes: Sequence[Node], ends: Iterable[Any]) -> None:
        """Statements for the nodes; `ends` are wanted beside what the nodes take from one another."""
        ends = set(ends)
        users: dict[Tensor, list[Node]] = {}
        for n in nodes:
            for t in n.inputs:
                users.setdefault(t, []).append(n)
        wanted = users.keys() | ends
        phase = ""
        for n in nodes:
            if n.phase != phase and n.op.source is None and not self._depth:
                phase = n.phase
                self.add(f"# {phase}")
            if n.op.source in ("placeholder", "variable") or not n.outputs:
                continue
            if n.op.source == "constant":
                t = n.outputs[0]
                if t in ends or any(self.literal(m, t) is None for m in users.get(t, ())):
                    self.add(f"{self.word(t)} = {value(n.attrs['value'])}", _comment(n, self.word(t)) if n.attrs["value"].size <= INLINE else "")
            elif n.op.name in _LOOPS:
                _LOOPS[n.op.name](self, n, wanted)
            else:
                self.statement(n, wanted)

    def statement(self, n: Node, wanted: set[Any]) -> None:
        if len(n.outputs) == 1 and not n.op.many:
            left = self.word(n.outputs[0])
        else:
            left = ", ".join(self.word(t) if t in wanted else "_" for t in n.outputs) + ("," if len(n.outputs) == 1 else "")
        self.add(f"{left} = {self.call(n)}", _comment(n, left))

    def literal(self, n: Node, t: Tensor) -> str | None:
        """A constant of one number as it stands in a formula, if NumPy then gives the same dtype."""
        if t.node.op.source != "constant" or n.op.name not in _SIGNS or t.rank or t.dtype.kind == "b":
            return None
        other = next((x for x in n.inputs if x is not t), t)
        number = t.node.attrs["value"].item()
        fits = other.node.op.source != "constant" and other.dtype == t.dtype and abs(number) < float("inf")
        return (f"({number!r})" if number < 0 else repr(number)) if fits else None

    def call(self, n: Node) -> str:
        op, x, a = n.op, [self.literal(n, t) or self.word(t) for t in n.inputs], n.attrs
        if op.name in _SIGNS:
            return f"{x[0]} {_SIGNS[op.name]} {x[1]}"
        form = _FORMS[op.name](x, a) if op.name in _FORMS else ""
        if form:
            return form
        if op.ufunc is not None:
            return f"np.{op.ufunc}({', '.join(x)})"
        try:
            name = self.sources.function(op.kernels.get("numpy", op.kernel_function), op.function)
        except FlowError as error:
            raise FlowError(f"{n.name} ({op.name}): {error.message}", node=n.name, hint=error.hint) from None
        order = [i.name for i in op.inputs]
        given = x if op.variadic else [w if list(n.ports[:k + 1]) == order[:k + 1] else f"{p}={w}" for k, (p, w) in enumerate(zip(n.ports, x))]
        given = [*given, *(f"{k}={value(v)}" for k, v in a.items())]
        if op.random:
            self.random = True
            given.append(f"key=np.random.Generator(np.random.Philox(key=seed, counter=np.array([0, frame, run + 1, {n.id}], 'uint64')))")
        return f"{name}({', '.join(given)})"

    # ------------------------------------------------------------ loops and branches

    def save_frame(self, *bodies: Graph) -> str:
        """Keep the number that draws at random belong to while bodies have their own; the word that holds it, or none if nothing in them is drawn."""
        if not any(map(_has_chance, bodies)):
            return ""
        self.random, saved = True, self.sources.free("frame_around")
        self.add(f"{saved} = frame")
        return saved

    def inside(self, body: Graph, names: Mapping[Tensor, str], ends: Sequence[Tensor], frame: str = "") -> list[str]:
        """Statements for one use of a body, deeper in; returns the words of its ends."""
        outer = self.words
        self.words = {**outer, **names}
        self._depth += 1
        if frame:
            self.add(f"frame = {frame}")
        at = len(self.lines)
        self.block(needed(ends, given=names), ends)
        out = [self.word(t) for t in ends]
        if len(self.lines) == at and not frame:
            self.add("pass")
        self._depth -= 1
        self.words = outer
        return out


def _has_chance(body: Graph) -> bool:
    return any(n.op.random or any(map(_has_chance, n.op.bodies(n.attrs))) for n in body.nodes)


def _scan(w: _Writer, n: Node, wanted: set[Any]) -> None:
    body, axes, states, outs = n.attrs["body"], n.attrs["axes"], n.attrs["states"], n.attrs["out_axes"]
    k = len(axes)
    given = [w.word(t) for t in n.inputs]
    each = [(n.outputs[j], t) for j, t in enumerate(seen(body, states, k), len(outs) + states) if n.outputs[j] in wanted]
    kept = [(n.outputs[j], body.outputs[states + j], axis) for j, axis in enumerate(outs) if n.outputs[j] in wanted]
    finals = [w.word(t) for t in n.outputs[len(outs):len(outs) + states]]
    rows = [(w.sources.free(f"{w.word(t)}_rows"), t, inner, axis) for t, inner, axis in (*kept, *((t, inner, 0) for t, inner in each))]
    w.add(f"# {n.name}: {'back through' if n.attrs['reverse'] else 'over'} the timesteps")
    for final, first in zip(finals, given[k:]):
        w.add(f"{final} = {first}")
    for name, *_ in rows:
        w.add(f"{name} = []")
    t, saved = w.sources.free("t"), w.save_frame(body)
    count = f"{given[0]}.shape[{axes[0]}]"
    w.add(f"for {t} in {f'range({count} - 1, -1, -1)' if n.attrs['reverse'] else f'range({count})'}:")
    names = {inner: f"{x}[{':, ' * axis}{t}]" for inner, x, axis in zip(body.inputs, given, axes)}
    names |= dict(zip(body.inputs[k:], [*finals, *given[k + states:]]))
    ends = [*body.outputs[:states], *(inner for _, _, inner, _ in rows)]
    made = w.inside(body, names, ends, saved and f"({saved} * 0x9E3779B97F4A7C15 + {t} + 1) % 2**64")
    w._depth += 1
    for (name, *_), value_word in zip(rows, made[states:]):     # before the states change: a row may be the state that a timestep began with
        w.add(f"{name}.append({value_word})")
    if states:
        w.add(f"{', '.join(finals)} = {', '.join(made[:states])}")
    w._depth -= 1
    if saved:
        w.add(f"frame = {saved}")
    for name, out, inner, axis in rows:
        line = f"{name}[::-1]" if n.attrs["reverse"] else name
        sizes = [_size(d, n, given) for d in inner.shape]
        sizes.insert(axis, "0")
        none = f"np.zeros(({', '.join(sizes)},), {inner.dtype.name!r})"
        w.add(f"{w.word(out)} = np.stack({line}, axis={axis}) if {name} else {none}")


def _size(dim: Any, n: Node, given: Sequence[str]) -> str:
    """A size as the script has it: a number, or that of an input of the loop with an axis of this name; 0 where nothing tells it."""
    if isinstance(dim, int):
        return str(dim)
    return next((f"{word}.shape[{t.shape.index(dim)}]" for t, word in zip(n.inputs, given) if dim is not None and dim in t.shape), "0")


def _cond(w: _Writer, n: Node, wanted: set[Any]) -> None:
    given = [w.word(t) for t in n.inputs]
    used = [(k, w.word(t)) for k, t in enumerate(n.outputs) if t in wanted]
    saved = [w.save_frame(n.attrs[which]) for which in ("then", "otherwise")]
    w.add(f"if {given[0]}:", _comment(n))
    for frame, which in zip(saved, ("then", "otherwise")):
        body = n.attrs[which]
        if which == "otherwise":
            w.add("else:")
        made = w.inside(body, dict(zip(body.inputs, given[1:])), [body.outputs[k] for k, _ in used], frame and f"({frame} * 0x9E3779B97F4A7C15 + 1) % 2**64")
        w._depth += 1
        for (_, word), inner in zip(used, made):
            w.add(f"{word} = {inner}")
        w._depth -= 1
    for frame in filter(None, saved):
        w.add(f"frame = {frame}")


def _while(w: _Writer, n: Node, wanted: set[Any]) -> None:
    condition, body, states = n.attrs["condition"], n.attrs["body"], n.attrs["states"]
    given = [w.word(t) for t in n.inputs]
    finals = [w.word(t) for t in n.outputs[:states]]
    rows = [(w.sources.free(f"{w.word(t)}_rows"), t, k) for k, t in enumerate(n.outputs[states:]) if t in wanted]
    for final, first in zip(finals, given):
        w.add(f"{final} = {first}", _comment(n) if final == finals[0] else "")
    for name, *_ in rows:
        w.add(f"{name} = []")
    t = w.sources.free("t")
    saved = w.save_frame(condition, body)
    frame = saved and f"({saved} * 0x9E3779B97F4A7C15 + {t} + 1) % 2**64"
    w.add(f"for {t} in itertools.count():")
    w.sources.imports.add("itertools")
    now = [*finals, *given[states:]]
    go, = w.inside(condition, dict(zip(condition.inputs, now)), condition.outputs, frame)
    w._depth += 1
    w.add(f"if not {go}:")
    w.add("    break")
    if n.attrs["maximum"] is not None:
        w.add(f"if {t} >= {n.attrs['maximum']}:")
        w.add(f"    raise ArithmeticError('the condition still held after {n.attrs['maximum']} rounds, the maximum')")
    for name, _, k in rows:
        w.add(f"{name}.append({finals[k]})")
    w._depth -= 1
    made = w.inside(body, dict(zip(body.inputs, now)), body.outputs, frame)
    w._depth += 1
    w.add(f"{', '.join(finals)} = {', '.join(made)}")
    w._depth -= 1
    if saved:
        w.add(f"frame = {saved}")
    for name, out, k in rows:
        w.add(f"{w.word(out)} = np.stack({name}) if {name} else np.zeros((0, *{finals[k]}.shape), {finals[k]}.dtype)")


_LOOPS: dict[str, Callable[[_Writer, Node, set[Any]], None]] = {"Scan": _scan, "Cond": _cond, "While": _while}
