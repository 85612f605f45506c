"""Recurrent layers in elementary operations: as a scan over their cell, or one copy of the cell a timestep. Their second derivative is found that way."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..autodiff import gradients
from ..core.errors import ShapeError
from ..core.graph import Tensor
from ..core.op import REGISTRY, Op
from ..ops.activation import sigmoid, tanh
from ..ops.array import expand_dims, split, stack, where, zeros_like
from ..ops.math import identity
from ..ops.recurrent import gru_gradient, lstm_gradient, rnn_gradient
from .scan import scan, zeros_for

# ---------------------------------------------------------------- one timestep of each


def lstm_cell(x, h, c, kernel, recurrent_kernel, bias):
    """The four steps of an LSTM: forget, write, renew the cell, show."""
    i, f, g, o = split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * c + i * g
    h = o * tanh(c)
    return (h, c), {"out": h, "f": f, "i": i, "g": g, "o": o, "c": c}


def gru_cell(x, h, kernel, recurrent_kernel, bias, recurrent_bias):
    """A GRU: how much of the past to read, how much of it to keep."""
    xr, xz, xn = split(x @ kernel + bias, 3, axis=-1)
    hr, hz, hn = split(h @ recurrent_kernel + recurrent_bias, 3, axis=-1)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    n = tanh(xn + r * hn)
    h = (1 - z) * n + z * h
    return (h,), {"out": h, "r": r, "z": z, "n": n}


def rnn_cell(x, h, kernel, recurrent_kernel, bias):
    """A state that meets every input."""
    h = tanh(x @ kernel + h @ recurrent_kernel + bias)
    return (h,), {"out": h}


@dataclass(frozen=True, slots=True)
class Layer:
    """A recurrent layer: its cell, and under which names its states start, go through the cell and come out at the end."""

    cell: Callable
    starts: tuple[str, ...]
    states: tuple[str, ...]
    lasts: tuple[str, ...]


LAYERS = {"LSTM": Layer(lstm_cell, ("h0", "c0"), ("h", "c"), ("h_n", "c_n")), "GRU": Layer(gru_cell, ("h0",), ("h",), ("h_n",)),
          "RNN": Layer(rnn_cell, ("h0",), ("h",), ("h_n",))}


# ---------------------------------------------------------------- over all timesteps


def scanned(kind: str, x: Tensor, lengths: Tensor | None = None, name: str | None = None, **weights: Tensor) -> dict[str, Tensor]:
    """The layer as a scan over its cell; outputs by name."""
    layer = LAYERS[kind]
    starts, units = [weights.pop(s, None) for s in layer.starts], weights["recurrent_kernel"].shape[0]
    with x.graph, scan(x, time_axis=1, lengths=lengths, name=name) as step:
        before = [step.state(s, init=v, size=units) for s, v in zip(layer.states, starts)]
        after, outputs = layer.cell(step.input, *before, **weights)
        for old, new in zip(before, after):
            step.update(old, new)
        for value in outputs.values():
            step.output(value)
    return dict(zip(outputs, step.outputs)) | dict(zip(layer.lasts, step.states.values()))


def unrolled(kind: str, x: Tensor, lengths: Tensor | None = None, **weights: Tensor) -> dict[str, Tensor]:
    """The layer with one copy of its cell a timestep; their number must be known. ShapeError if it is not."""
    layer, time = LAYERS[kind], x.shape[1]
    if not isinstance(time, int) or not time:
        raise ShapeError(f"a layer over {'no' if time == 0 else time or 'an unknown number of'} timesteps cannot be unrolled.", node=x.node.name, axis=1,
                         hint="Give the placeholder a number of timesteps, or leave the loop a loop.")
    starts, units = [weights.pop(s, None) for s in layer.starts], weights["recurrent_kernel"].shape[0]
    states = tuple(zeros_for(x, 1, (units,)) if s is None else s for s in starts)
    over_time: dict[str, list[Tensor]] = {}
    for t in range(time):
        x_t, now = x[:, t], None
        if lengths is not None:
            now = expand_dims(lengths > t, axis=1)
            x_t = where(now, x_t, zeros_like(x_t))
        after, outputs = layer.cell(x_t, *states, **weights)
        states = after if now is None else tuple(where(now, new, old) for new, old in zip(after, states))
        for key, value in outputs.items():
            over_time.setdefault(key, []).append(value if now is None else where(now, value, zeros_like(value)))
    return {key: stack(values, axis=1) for key, values in over_time.items()} | dict(zip(layer.lasts, states))


# ---------------------------------------------------------------- the second derivative


def _second_derivative(kind: str, gradient: Op) -> None:
    """Differentiate a layer's gradient by differentiating, twice, the layer written as a scan."""
    forward = REGISTRY[kind]
    names = [i.name for i in forward.inputs if i.kind != "Int"]     # what the layer computes from, in the order of its derivatives
    starts = [i.name for i in forward.inputs if i.optional and i.kind != "Int"]

    @gradient.gradient
    def _(node, g):
        # copies, so that the derivatives below are by these inputs alone and not by what they were computed from; out and the gates are
        # functions of the inputs, and their part of the derivative is already in the inputs' own
        given = {p: identity(t) for p, t in zip(node.ports, node.inputs) if p in names or p.startswith("d_")}
        for p in starts:
            d = g[names.index(p)]
            if d is not None and p not in given:  # the derivative by a start that was left at zero
                given[p] = zeros_like(d)
        wanted = [p for p in names if p in given]
        outs = scanned(kind, **{p: given[p] for p in wanted}, **{p: t for p, t in zip(node.ports, node.inputs) if p == "lengths"})
        pairs = [(outs[name], given[f"d_{name}"]) for name in forward.outputs if f"d_{name}" in given]
        if not pairs:
            return (None,) * len(node.inputs)
        first = gradients([y for y, _ in pairs], [given[p] for p in wanted], grad_ys=[d for _, d in pairs], unconnected="zero")
        used = [(d, g[names.index(p)]) for d, p in zip(first, wanted) if g[names.index(p)] is not None]
        targets = [p for p in node.ports if p in wanted or p.startswith("d_")]
        second = gradients([y for y, _ in used], [given[p] for p in targets], grad_ys=[d for _, d in used], unconnected="zero")
        by_port = dict(zip(targets, second))
        return tuple(by_port.get(p) for p in node.ports)


for _kind, _gradient in (("LSTM", lstm_gradient), ("GRU", gru_gradient), ("RNN", rnn_gradient)):
    _second_derivative(_kind, _gradient)
