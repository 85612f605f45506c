"""Recurrent layers written out, one copy of the cell a timestep; their second derivative is found that way."""
from __future__ import annotations

from typing import Any

from ..autodiff import gradients
from ..core.errors import ShapeError
from ..core.op import REGISTRY, Op
from ..ops.activation import sigmoid, tanh
from ..ops.array import expand_dims, split, stack, where, zeros_like
from ..ops.math import identity
from ..ops.recurrent import gru_gradient, lstm_gradient, rnn_gradient


class _Alive:
    """Up to the length of each row, what is computed; beyond it, the state of before and outputs of 0."""

    def __init__(self, lengths: Any):
        self.lengths, self.now = lengths, None

    def step(self, x: Any, t: int) -> Any:
        """Go to timestep t; returns what stands there in x, 0 in rows that are over."""
        x_t = x[:, t]
        if self.lengths is None:
            return x_t
        self.now = expand_dims(self.lengths > t, axis=1)
        return self.shown(x_t)

    def carried(self, new: Any, old: Any) -> Any:
        return new if self.now is None else where(self.now, new, old)

    def shown(self, value: Any) -> Any:
        return value if self.now is None else where(self.now, value, zeros_like(value))


def unrolled(x, kernel, recurrent_kernel, bias, h0=None, c0=None, lengths=None) -> dict[str, Any]:
    """The same layer in elementary operations, one copy a timestep; the number of timesteps must be known."""
    time = x.shape[1]
    if not isinstance(time, int):
        raise ShapeError(f"an LSTM over {time or 'an unknown number of'} timesteps cannot be written out.", node=x.node.name, axis=1,
                         hint="Give the placeholder a number of timesteps.")
    zero = None
    if h0 is None or c0 is None:
        zero = x[:, 0] @ zeros_like(kernel)[:, :recurrent_kernel.shape[0]]
    h, c = (zero if h0 is None else h0), (zero if c0 is None else c0)
    steps: dict[str, list] = {k: [] for k in ("out", "f", "i", "g", "o", "c")}
    alive = _Alive(lengths)
    for t in range(time):
        z = alive.step(x, t) @ kernel + h @ recurrent_kernel + bias
        zi, zf, zg, zo = split(z, 4, axis=-1)
        i, f, g, o = sigmoid(zi), sigmoid(zf), tanh(zg), sigmoid(zo)
        c_t = f * c + i * g
        h_t = o * tanh(c_t)
        c, h = alive.carried(c_t, c), alive.carried(h_t, h)
        for key, value in zip(steps, (h_t, f, i, g, o, c_t)):
            steps[key].append(alive.shown(value))
    whole = {key: stack(values, axis=1) for key, values in steps.items()}
    return {"out": whole["out"], "h_n": h, "c_n": c, "f": whole["f"], "i": whole["i"], "g": whole["g"], "o": whole["o"], "c": whole["c"]}


def _timesteps(x, layer: str) -> int:
    time = x.shape[1]
    if not isinstance(time, int):
        raise ShapeError(f"{layer} over {time or 'an unknown number of'} timesteps cannot be written out.", node=x.node.name, axis=1,
                         hint="Give the placeholder a number of timesteps.")
    if not time:
        raise ShapeError(f"{layer} over no timesteps cannot be written out.", node=x.node.name, axis=1, hint="One timestep or more.")
    return time


def _start(x, kernel, recurrent_kernel, h0):
    return x[:, 0] @ zeros_like(kernel)[:, :recurrent_kernel.shape[0]] if h0 is None else h0


def unrolled_gru(x, kernel, recurrent_kernel, bias, recurrent_bias, h0=None, lengths=None) -> dict[str, Any]:
    """A GRU in elementary operations, one copy a timestep."""
    h, steps, alive = _start(x, kernel, recurrent_kernel, h0), {k: [] for k in ("out", "r", "z", "n")}, _Alive(lengths)
    for t in range(_timesteps(x, "a GRU")):
        xr, xz, xn = split(alive.step(x, t) @ kernel + bias, 3, axis=-1)
        hr, hz, hn = split(h @ recurrent_kernel + recurrent_bias, 3, axis=-1)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = tanh(xn + r * hn)
        h_t = (1 - z) * n + z * h
        h = alive.carried(h_t, h)
        for key, value in zip(steps, (h_t, r, z, n)):
            steps[key].append(alive.shown(value))
    whole = {key: stack(values, axis=1) for key, values in steps.items()}
    return {"out": whole["out"], "h_n": h, "r": whole["r"], "z": whole["z"], "n": whole["n"]}


def unrolled_rnn(x, kernel, recurrent_kernel, bias, h0=None, lengths=None) -> dict[str, Any]:
    """A plain recurrent network in elementary operations, one copy a timestep."""
    h, steps, alive = _start(x, kernel, recurrent_kernel, h0), [], _Alive(lengths)
    for t in range(_timesteps(x, "a recurrent network")):
        h_t = tanh(alive.step(x, t) @ kernel + h @ recurrent_kernel + bias)
        h = alive.carried(h_t, h)
        steps.append(alive.shown(h_t))
    return {"out": stack(steps, axis=1), "h_n": h}


UNROLLED = {"LSTM": unrolled, "GRU": unrolled_gru, "RNN": unrolled_rnn}


def _second_derivative(layer: str, gradient: Op) -> None:
    """Differentiate a layer's gradient by differentiating, twice, the layer written out in elementary operations."""
    forward, write_out = REGISTRY[layer], UNROLLED[layer]
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
        outs = write_out(**{p: given[p] for p in wanted}, **{p: t for p, t in zip(node.ports, node.inputs) if p == "lengths"})
        pairs = [(outs[name], given[f"d_{name}"]) for name in forward.outputs if f"d_{name}" in given]
        if not pairs:
            return (None,) * len(node.inputs)
        first = gradients([y for y, _ in pairs], [given[p] for p in wanted], grad_ys=[d for _, d in pairs], unconnected="zero")
        used = [(d, g[names.index(p)]) for d, p in zip(first, wanted) if g[names.index(p)] is not None]
        targets = [p for p in node.ports if p in wanted or p.startswith("d_")]
        second = gradients([y for y, _ in used], [given[p] for p in targets], grad_ys=[d for _, d in used], unconnected="zero")
        by_port = dict(zip(targets, second))
        return tuple(by_port.get(p) for p in node.ports)


for _layer, _gradient in (("LSTM", lstm_gradient), ("GRU", gru_gradient), ("RNN", rnn_gradient)):
    _second_derivative(_layer, _gradient)
