"""ONNX's LSTM, GRU and RNN: flowlab's own where they compute the same, else the cell written out in a scan."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...control.scan import scan
from ...core.graph import Tensor, current_graph
from ...ops import activation as act, array as arr, layout, linalg, math as m, recurrent
from ...ops.state import constant, variable
from .files import NotInFlowlab
from .reading import Use, reads

_PLAIN: dict[str, tuple[Any, tuple[float, ...]]] = {    # activation → (function of x and its numbers, what they are if not given)
    "relu": (lambda x: act.relu(x), ()), "tanh": (lambda x: act.tanh(x), ()), "sigmoid": (lambda x: act.sigmoid(x), ()), "softsign": (lambda x: act.softsign(x), ()),
    "softplus": (lambda x: act.softplus(x), ()),
    "affine": (lambda x, a, b: m.add(m.multiply(x, a), b), (1.0, 0.0)), "leakyrelu": (lambda x, a: act.leaky_relu(x, negative_slope=a), (0.01,)),
    "thresholdedrelu": (lambda x, a: act.threshold(x, threshold=a, value=0.0), (1.0,)), "scaledtanh": (lambda x, a, b: m.multiply(act.tanh(m.multiply(x, b)), a), (1.0, 1.0)),
    "hardsigmoid": (lambda x, a, b: m.clip(m.add(m.multiply(x, a), b), min=0.0, max=1.0), (0.2, 0.5)), "elu": (lambda x, a: act.elu(x, alpha=a), (1.0,)),
}
_TAKES = {"affine": (1, 1), "scaledtanh": (1, 1), "hardsigmoid": (1, 1), "leakyrelu": (1, 0), "thresholdedrelu": (1, 0), "elu": (1, 0)}


def _functions(use: Use, per: int, usual: list[str], directions: int) -> list[list[Callable]]:
    names = [n.lower() for n in use.attr("activations") or usual * directions]
    alphas, betas = list(use.attr("activation_alpha") or []), list(use.attr("activation_beta") or [])
    made = []
    for name in names:
        if name not in _PLAIN:
            raise NotInFlowlab(f"{use.op} with the activation {name!r}")
        f, values = _PLAIN[name]
        takes_a, takes_b = _TAKES.get(name, (0, 0))
        given = [alphas.pop(0) if alphas else values[0] for _ in range(takes_a)] + [betas.pop(0) if betas else values[1] for _ in range(takes_b)]
        made.append(lambda x, f=f, given=given: f(x, *given))
    return [made[k * per:(k + 1) * per] for k in range(directions)]


class _Layer:
    """The parts of one recurrent node: x (batch, time, features) and, direction by direction, its weights in the order that flowlab has."""

    def __init__(self, use: Use, gates: int, order: list[int]):
        self.use, self.gates, self.order = use, gates, order
        self.first = bool(use.attr("layout", 0))
        x = use[0]
        self.x = x if self.first else arr.transpose(x, axes=(1, 0, 2))
        self.units = use.attr("hidden_size") or use.sizes(2)[2]
        self.directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[use.attr("direction", "forward")]
        self.lengths = use[4] if use.has(4) else None
        if self.lengths is not None and use.given(4).array is not None and isinstance(self.x.shape[1], int) and (use.given(4).array == self.x.shape[1]).all():
            self.lengths = None

    def weight(self, k: int, what: str, direction: int, make: Callable[[Any, Any], Any]) -> Tensor:
        """A weight as flowlab holds it: of a known array a variable of that form, else worked out from the tensor; `make` does either."""
        value = self.use.inputs[k]
        assert value is not None
        word = what if len(self.directions) == 1 else f"{('forward', 'backward')[direction]}/{what}"
        if value.array is not None and value.array.dtype.kind == "f":
            array = np.ascontiguousarray(make(np, value.array[direction]))
            home = self.use.reader.graph
            with home, home.state(scope=""):
                made = variable(array, name=self.use.reader.names(f"{self.use.name}/{word}"))
            self.use.reader.keep(made, array)
            return current_graph().adopt(made) if current_graph() is not home else made
        return make(_Tensors, value.tensor(self.use.reader.names)[direction])

    def turned(self, array: Any, xp: Any, axis: int = 0) -> Any:
        """The gates' blocks along an axis in flowlab's order."""
        n = self.units
        if self.order == list(range(self.gates)):
            return array
        return xp.concatenate([array[g * n:(g + 1) * n] for g in self.order], axis=axis)

    def kernel(self, d: int) -> Tensor:
        return self.weight(1, "kernel", d, lambda xp, w: xp.transpose(self.turned(w, xp)))

    def recurrent_kernel(self, d: int) -> Tensor:
        return self.weight(2, "recurrent_kernel", d, lambda xp, w: xp.transpose(self.turned(w, xp)))

    def biases(self, d: int) -> tuple[Tensor, Tensor]:
        """(by the input, by the state)."""
        n = self.gates * self.units
        if not self.use.has(3):
            zero = np.zeros(n, self.x.dtype)
            return constant(zero), constant(zero)
        return (self.weight(3, "bias", d, lambda xp, b: self.turned(b[:n], xp)), self.weight(3, "recurrent_bias", d, lambda xp, b: self.turned(b[n:], xp)))

    def bias(self, d: int) -> Tensor:
        """Both together. Where the second does nothing there is one variable, as Keras has it; else there are two, as PyTorch has them, and each is trained."""
        if not self.use.has(3):
            return self.biases(d)[0]
        value, n = self.use.inputs[3], self.gates * self.units
        assert value is not None
        if value.array is not None and value.array.ndim == 2 and not value.array[d, n:].any():
            return self.weight(3, "bias", d, lambda xp, b: self.turned(b[:n], xp))
        return m.add(*self.biases(d))

    def start(self, k: int, d: int) -> Tensor | None:
        if not self.use.has(k):
            return None
        whole = self.use[k]
        return whole[:, d] if self.first else whole[d]

    def sequence(self, back: bool) -> Tensor:
        return self.x if not back else layout.flip(self.x, axis=1) if self.lengths is None else recurrent.reverse_sequence(self.x, self.lengths)

    def gathered(self, outs: list[Tensor], lasts: list[list[Tensor]]) -> list[Any]:
        """The node's outputs from those of each direction."""
        for d, back in enumerate(self.directions):
            if back and self.use.wanted(0):
                outs[d] = layout.flip(outs[d], axis=1) if self.lengths is None else recurrent.reverse_sequence(outs[d], self.lengths)
        y = arr.stack(outs, axis=2)     # (batch, time, directions, units)
        y = y if self.first else arr.transpose(y, axes=(1, 2, 0, 3))
        return [y, *(arr.stack(each, axis=1 if self.first else 0) for each in lasts)]

    def zeros(self, x: Tensor) -> Tensor:
        """A state that starts at 0: (batch, units)."""
        first = m.multiply(x[:, 0, 0:1] if x.shape[1] != 0 else x, np.asarray(0, x.dtype))
        return layout.tile(first, reps=(1, self.units)) if self.units != 1 else first


class _Tensors:
    """What `make` of a weight needs, on tensors."""

    transpose = staticmethod(lambda t: arr.transpose(t))
    add = staticmethod(lambda a, b: m.add(a, b))
    concatenate = staticmethod(lambda ts, axis=0: arr.concat(list(ts), axis=axis))


def _clipped(x: Tensor, limit: float | None) -> Tensor:
    return x if not limit else m.clip(x, min=-limit, max=limit)


@reads("LSTM")
def _(use: Use) -> Any:
    layer = _Layer(use, 4, [0, 2, 3, 1])     # i o f c → i f g o
    n, clip = layer.units, use.attr("clip")
    usual = [n_.lower() for n_ in use.attr("activations") or []] in ([], ["sigmoid", "tanh", "tanh"] * len(layer.directions))
    plain = usual and not clip and not use.attr("input_forget", 0) and not use.has(7)
    outs, hs, cs = [], [], []
    functions = _functions(use, 3, ["sigmoid", "tanh", "tanh"], len(layer.directions)) if not plain else []
    for d, back in enumerate(layer.directions):
        x = layer.sequence(back)
        k, r, b = layer.kernel(d), layer.recurrent_kernel(d), layer.bias(d)
        h0, c0 = layer.start(5, d), layer.start(6, d)
        if plain:
            made = recurrent.lstm(x, k, r, b, h0, c0, layer.lengths)
            out, h, c = made[0], made[1], made[2]
        else:
            f, g, h_ = functions[d]
            peep = layer.weight(7, "peephole", d, lambda xp, p: p) if use.has(7) else None     # i o f
            with scan(m.add(linalg.matmul(x, k), b), time_axis=1, lengths=layer.lengths) as step:
                h_before = step.state("h", init=h0 if h0 is not None else layer.zeros(x))
                c_before = step.state("c", init=c0 if c0 is not None else layer.zeros(x))
                z = m.add(step.input, linalg.matmul(h_before, r))
                zi, zf, zg, zo = (z[:, j * n:(j + 1) * n] for j in range(4))
                if peep is not None:
                    zi, zf = m.add(zi, m.multiply(peep[0:n], c_before)), m.add(zf, m.multiply(peep[2 * n:], c_before))
                i = f(_clipped(zi, clip))
                forget = m.subtract(np.asarray(1, x.dtype), i) if use.attr("input_forget", 0) else f(_clipped(zf, clip))
                c_new = m.add(m.multiply(forget, c_before), m.multiply(i, g(_clipped(zg, clip))))
                if peep is not None:
                    zo = m.add(zo, m.multiply(peep[n:2 * n], c_new))
                h_new = m.multiply(f(_clipped(zo, clip)), h_(c_new))
                step.update(h_before, h_new)
                step.update(c_before, c_new)
                step.output(h_new)
            out = step.outputs[0]
            h, c = list(step.states.values())
        outs.append(out)
        hs.append(h)
        cs.append(c)
    return layer.gathered(outs, [hs, cs])


@reads("GRU")
def _(use: Use) -> Any:
    layer = _Layer(use, 3, [1, 0, 2])   # z r h → r z n
    n, clip, after = layer.units, use.attr("clip"), bool(use.attr("linear_before_reset", 0))
    usual = [n_.lower() for n_ in use.attr("activations") or []] in ([], ["sigmoid", "tanh"] * len(layer.directions))
    plain = usual and not clip and after
    functions = _functions(use, 2, ["sigmoid", "tanh"], len(layer.directions)) if not plain else []
    outs, hs = [], []
    for d, back in enumerate(layer.directions):
        x = layer.sequence(back)
        k, r = layer.kernel(d), layer.recurrent_kernel(d)
        b, rb = layer.biases(d)
        h0 = layer.start(5, d)
        if plain:
            made = recurrent.gru(x, k, r, b, rb, h0, layer.lengths)
            out, h = made[0], made[1]
        else:
            f, g = functions[d]
            with scan(m.add(linalg.matmul(x, k), b), time_axis=1, lengths=layer.lengths) as step:
                before = step.state("h", init=h0 if h0 is not None else layer.zeros(x))
                z = step.input
                s = m.add(linalg.matmul(before, r[:, :2 * n]), rb[:2 * n])
                reset = f(_clipped(m.add(z[:, :n], s[:, :n]), clip))
                update = f(_clipped(m.add(z[:, n:2 * n], s[:, n:]), clip))
                if after:
                    inner = m.multiply(reset, m.add(linalg.matmul(before, r[:, 2 * n:]), rb[2 * n:]))
                else:
                    inner = m.add(linalg.matmul(m.multiply(reset, before), r[:, 2 * n:]), rb[2 * n:])
                new = g(_clipped(m.add(z[:, 2 * n:], inner), clip))
                h_new = m.add(m.multiply(m.subtract(np.asarray(1, x.dtype), update), new), m.multiply(update, before))
                step.update(before, h_new)
                step.output(h_new)
            out, (h,) = step.outputs[0], step.states.values()
        outs.append(out)
        hs.append(h)
    return layer.gathered(outs, [hs])


@reads("RNN")
def _(use: Use) -> Any:
    layer = _Layer(use, 1, [0])
    clip = use.attr("clip")
    plain = [n.lower() for n in use.attr("activations") or []] in ([], ["tanh"] * len(layer.directions)) and not clip
    functions = _functions(use, 1, ["tanh"], len(layer.directions)) if not plain else []
    outs, hs = [], []
    for d, back in enumerate(layer.directions):
        x = layer.sequence(back)
        k, r, b, h0 = layer.kernel(d), layer.recurrent_kernel(d), layer.bias(d), layer.start(5, d)
        if plain:
            out, h = recurrent.rnn(x, k, r, b, h0, layer.lengths)
        else:
            with scan(m.add(linalg.matmul(x, k), b), time_axis=1, lengths=layer.lengths) as step:
                before = step.state("h", init=h0 if h0 is not None else layer.zeros(x))
                h_new = functions[d][0](_clipped(m.add(step.input, linalg.matmul(before, r)), clip))
                step.update(before, h_new)
                step.output(h_new)
            out, (h,) = step.outputs[0], step.states.values()
        outs.append(out)
        hs.append(h)
    return layer.gathered(outs, [hs])
