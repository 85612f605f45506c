"""Try out one convolution or pooling: run it alone with other settings, count what it needs, move its input and see what comes of it."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..autodiff import gradients
from ..core.errors import FlowError
from ..core.graph import Graph, Tensor
from ..core.op import get_op
from ..io.build import build
from ..io.document import document_of
from ..ops.state import placeholder
from ..runtime.session import Session
from ..trace.receptive import Windows


def alone(op: str, attrs: Mapping[str, Any], x: np.ndarray, w: np.ndarray | None = None, bias: np.ndarray | None = None) -> np.ndarray:
    """What one layer makes of an input x (batch, channels, rows, columns): the same kernel as in the graph, run by itself.

    `op` is its type, such as `"Conv2D"`; `bias` (filters,) is added. ShapeError, as when the graph is built, if the settings do not fit.
    """
    with Graph("alone") as g:
        inputs = [placeholder(x.shape, x.dtype, name="x"), *([] if w is None else [placeholder(w.shape, w.dtype, name="w")])]
        y = get_op(op)(*inputs, **attrs)
    value = Session(g).run(y, dict(zip(("x", "w"), (x,) if w is None else (x, w))))
    return value if bias is None else value + bias.reshape(-1, 1, 1).astype(value.dtype)


def kernel_gradient(op: str, attrs: Mapping[str, Any], x: np.ndarray, w: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The derivative by the kernel, given that by the output, g: every weight collects from all the places where it was used."""
    with Graph("kernel gradient") as graph:
        a, b, d = (placeholder(v.shape, v.dtype, name=n) for v, n in ((x, "x"), (w, "w"), (g, "g")))
        y = get_op(op)(a, b, **attrs)
        total = get_op("Sum")(y * d)
        dw, = gradients(total, [b])
    return Session(graph).run(dw, {"x": x, "w": w, "g": g})


def input_gradient(op: str, attrs: Mapping[str, Any], x: np.ndarray, w: np.ndarray | None, g: np.ndarray) -> np.ndarray:
    """The derivative by the input, given that by the output."""
    with Graph("input gradient") as graph:
        names = {"x": x, "g": g} | ({} if w is None else {"w": w})
        held = {n: placeholder(v.shape, v.dtype, name=n) for n, v in names.items()}
        y = get_op(op)(*(held[n] for n in ("x", "w") if n in held), **attrs)
        dx, = gradients(get_op("Sum")(y * held["g"]), [held["x"]])
    return Session(graph).run(dx, names)


def gradient_by(of: Tensor, by: Tensor, read: Callable[[Tensor], np.ndarray], seed: int = 0) -> np.ndarray:
    """The derivative of a scalar of a run by another tensor of it, worked out in a copy of the graph: the graph itself stays as it is.

    `read` gives values of the run: variables, feeds and `by` itself are taken from there. FlowError where `of` is no scalar; GradientError where no way leads.
    """
    if of.shape != ():
        raise FlowError(f"{of.name} is {of.shape}, not a scalar.", node=of.node.name, hint="Choose a loss.")
    copy = build(document_of(of.graph)).graph
    given = copy.tensor(by.name)
    d, = gradients(copy.tensor(of.name), [given])
    feeds = {t: read(of.graph.tensor(t.name)) for n in copy.nodes if n.op.source in ("placeholder", "variable") and n.name in of.graph.nodes
             and _needed(d, n.outputs[0]) for t in n.outputs[:1]}
    return Session(copy, seed=seed).run(d, feeds | {given: read(by)})


def _needed(d: Tensor, source: Tensor) -> bool:
    todo, met = [d.node], set()
    while todo:
        n = todo.pop()
        if n is source.node:
            return True
        if n.id not in met:
            met.add(n.id)
            todo += [t.node for t in n.inputs]
    return False


# ---------------------------------------------------------------- how many numbers


@dataclass(frozen=True, slots=True)
class Parameters:
    """How many numbers a layer learns, beside layers that could do the same and share less."""

    shared: int             # this one: a kernel, used at every place
    local: int              # a kernel of its own at every place
    dense: int              # every value of the output from every value of the input
    multiplications: int    # of this layer, for one image


def parameters(windows: Windows, x: Sequence[int], y: Sequence[int], w: Sequence[int] | None, bias: bool) -> Parameters:
    """Count for one image x (channels, rows, columns) → y (filters, rows, columns)."""
    places, out = prod(y[1:]), prod(y)
    dense = prod(x) * out + out
    if w is None:
        return Parameters(0, 0, dense, 0)
    kernel = prod(w)
    extra = y[0] if bias else 0
    spots = prod(x[1:]) if windows.kind == "transpose" else places
    return Parameters(kernel + extra, kernel * spots + (out if bias else 0), dense, kernel * spots)


# ---------------------------------------------------------------- the input moved, scaled, turned, bent


@dataclass(frozen=True, slots=True)
class Change:
    """A way to change a picture by an amount: at `still` nothing changes."""

    kind: str               # shift | scale | turn | bend
    amounts: tuple[float, ...]
    still: float
    unit: str


CHANGES = {
    "shift": Change("shift", tuple(float(k) for k in range(-8, 9)), 0.0, "pixels to the right"),
    "scale": Change("scale", (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0), 1.0, "times as large"),
    "turn": Change("turn", tuple(float(k) for k in range(-90, 91, 15)), 0.0, "degrees"),
    "bend": Change("bend", (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0), 0.0, "pixels of a wave"),
}


def moved(maps: np.ndarray, kind: str, amount: float, *, cell: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Maps (…, rows, columns) changed about their middle; what comes in from outside is 0. Values between pixels are blended of four.

    `cell` is how many pixels of the picture one place of these maps stands for, so that maps of different layers can be moved alike.
    """
    rows, cols = maps.shape[-2:]
    y, x = np.mgrid[:rows, :cols].astype("float64")
    cy, cx = (rows - 1) / 2, (cols - 1) / 2
    if kind == "shift":
        x = x - amount / cell[1]
    elif kind == "scale":
        y, x = (y - cy) / amount + cy, (x - cx) / amount + cx
    elif kind == "turn":
        a = np.deg2rad(amount)
        dy, dx = (y - cy) * cell[0], (x - cx) * cell[1]
        y, x = (np.cos(a) * dy - np.sin(a) * dx) / cell[0] + cy, (np.sin(a) * dy + np.cos(a) * dx) / cell[1] + cx
    elif kind == "bend":
        x = x - amount / cell[1] * np.sin(2 * np.pi * y / max(rows, 2))
    else:
        raise FlowError(f"a picture cannot be changed by {kind!r}.", hint=f"Ways: {', '.join(CHANGES)}.")
    return _blended(maps, y, x)


def _blended(maps: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    rows, cols = maps.shape[-2:]
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    out = np.zeros(maps.shape, np.result_type(maps.dtype, "float32"))
    for dy in (0, 1):
        for dx in (0, 1):
            yy, xx = y0 + dy, x0 + dx
            share = np.abs(1 - dy - (y - y0)) * np.abs(1 - dx - (x - x0))
            inside = (yy >= 0) & (yy < rows) & (xx >= 0) & (xx < cols) & (share > 0)
            out += np.where(inside, maps[..., yy.clip(0, rows - 1), xx.clip(0, cols - 1)] * share, 0)
    return out.astype(maps.dtype)


@dataclass(frozen=True, slots=True)
class Line:
    """How one tensor answers to each amount, as shares of its size before (0: not at all, 1: as much as it is large)."""

    name: str
    changed: tuple[float, ...]                  # ‖f(moved x) − f(x)‖ / ‖f(x)‖: 0 would be invariant
    off: tuple[float, ...] | None               # ‖f(moved x) − moved f(x)‖ / ‖f(x)‖: 0 would be equivariant; None for what is no map


def sweep(image: np.ndarray, compute: Callable[[np.ndarray], Sequence[np.ndarray]], names: Sequence[str], kind: str) -> tuple[Change, tuple[Line, ...]]:
    """Change a picture (1, channels, rows, columns) step by step and measure what each of the tensors that `compute` gives makes of it."""
    if kind not in CHANGES:
        raise FlowError(f"a picture cannot be changed by {kind!r}.", hint=f"Ways: {', '.join(CHANGES)}.")
    change = CHANGES[kind]
    if kind == "shift":
        reach = max(1, min(8, image.shape[-1] // 2))
        change = Change("shift", tuple(float(k) for k in range(-reach, reach + 1)), 0.0, change.unit)
    before = [np.asarray(v, "float64") for v in compute(image)]
    changed: list[list[float]] = [[] for _ in before]
    off: list[list[float]] = [[] for _ in before]
    for amount in change.amounts:
        after = compute(moved(image, kind, amount))
        for k, (a, b) in enumerate(zip(before, after)):
            b = np.asarray(b, "float64")
            changed[k].append(_share(b - a, a))
            if a.ndim == 4:
                cell = (image.shape[-2] / a.shape[-2], image.shape[-1] / a.shape[-1])
                off[k].append(_share(b - moved(a, kind, amount, cell=cell), a))
    return change, tuple(Line(n, tuple(c), tuple(o) if o else None) for n, c, o in zip(names, changed, off))


def _share(difference: np.ndarray, of: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        size = float(np.sqrt(np.sum(of * of)))
        return float(np.sqrt(np.sum(difference * difference))) / size if size > 0 else float(bool(np.any(difference)))
