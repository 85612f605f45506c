"""Recurrent layers written out, one copy of the cell a timestep; their second derivative is found that way."""
from __future__ import annotations

from typing import Any

from ..autodiff import gradients
from ..core.errors import ShapeError
from ..ops.activation import sigmoid, tanh
from ..ops.array import split, stack, zeros_like
from ..ops.math import identity
from ..ops.recurrent import lstm_gradient


def unrolled(x, kernel, recurrent_kernel, bias, h0=None, c0=None) -> dict[str, Any]:
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
    for t in range(time):
        z = x[:, t] @ kernel + h @ recurrent_kernel + bias
        zi, zf, zg, zo = split(z, 4, axis=-1)
        i, f, g, o = sigmoid(zi), sigmoid(zf), tanh(zg), sigmoid(zo)
        c = f * c + i * g
        h = o * tanh(c)
        for key, value in zip(steps, (h, f, i, g, o, c)):
            steps[key].append(value)
    whole = {key: stack(values, axis=1) for key, values in steps.items()}
    return {"out": whole["out"], "h_n": h, "c_n": c, "f": whole["f"], "i": whole["i"], "g": whole["g"], "o": whole["o"], "c": whole["c"]}


@lstm_gradient.gradient
def _(node, g):
    """The second derivative: differentiate the layer written out in elementary operations."""
    # copies, so that the derivatives below are by these inputs alone and not by what they were computed from
    given = {p: identity(t) for p, t in zip(node.ports, node.inputs) if p not in ("out", "f", "i", "g", "o", "c")}
    for p, d in (("h0", g[4]), ("c0", g[5])):
        if d is not None and p not in given:  # the derivative by a start that was left at zero
            given[p] = zeros_like(d)
    wanted = [p for p in ("x", "kernel", "recurrent_kernel", "bias", "h0", "c0") if p in given]
    outs = unrolled(**{p: given[p] for p in wanted})
    upstream = {name: given.get(f"d_{name}") for name in ("out", "h_n", "c_n", "f", "i", "g", "o", "c")}
    pairs = [(outs[name], d) for name, d in upstream.items() if d is not None]
    if not pairs:
        return (None,) * len(node.inputs)
    first = gradients([y for y, _ in pairs], [given[p] for p in wanted], grad_ys=[d for _, d in pairs], unconnected="zero")
    index = {"x": 0, "kernel": 1, "recurrent_kernel": 2, "bias": 3, "h0": 4, "c0": 5}
    used = [(d, g[index[p]]) for d, p in zip(first, wanted) if g[index[p]] is not None]
    targets = [p for p in node.ports if p in wanted or p.startswith("d_")]
    second = gradients([y for y, _ in used], [given[p] for p in targets], grad_ys=[d for _, d in used], unconnected="zero")
    # out, the gates and c are functions of the inputs, and their part of the derivative is already in the inputs' own
    by_port = dict(zip(targets, second))
    return tuple(by_port.get(p) for p in node.ports)
