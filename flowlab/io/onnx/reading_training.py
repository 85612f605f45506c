"""ONNX's operators that draw at random, that train, and the few of ai.onnx.ml that work on numbers."""
from __future__ import annotations

from typing import Any

import numpy as np

from ...autodiff import gradients
from ...core.graph import Tensor
from ...ops import array as arr, math as m
from ...ops.random import random_normal, random_uniform
from .files import NotInFlowlab, dtype
from .reading import Use, reads
from .reading_numbers import number

TRAINING = "ai.onnx.preview.training"


@reads("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike")
def _(use: Use) -> Any:
    like = use.op.endswith("Like")
    shape = use.sizes(0) if like else tuple(use.attr("shape"))
    kind = dtype(use.attr("dtype")) if "dtype" in use.attributes else use.given(0).type.dtype if like else np.dtype("float32")
    if kind.kind != "f":
        raise NotInFlowlab(f"{use.op} of {kind}")
    if "Normal" in use.op:
        return use.only(random_normal, shape=shape, mean=use.attr("mean", 0.0), std=use.attr("scale", 1.0), dtype=kind.name)
    return use.only(random_uniform, shape=shape, low=use.attr("low", 0.0), high=use.attr("high", 1.0), dtype=kind.name)


def _groups(use: Use, count: int) -> list[list[Tensor]]:
    """The inputs after rate and step, tensor by tensor: x, gradient, states."""
    n = (len(use.inputs) - 2) // count
    return [[use[2 + k + j * n] for j in range(count)] for k in range(n)]


def _by_kind(rows: list[list[Any]]) -> list[Any]:
    return [row[k] for k in range(len(rows[0])) for row in rows]


@reads("Adagrad", domain=TRAINING)
def _(use: Use) -> Any:
    rate, step = use[0], use[1]
    decay, eps, norm = use.attr("decay_factor", 0.0), use.attr("epsilon", 1e-6), use.attr("norm_coefficient", 0.0)
    now = m.divide(rate, m.add(m.multiply(arr.cast(step, rate.dtype.name), number(rate, decay)), number(rate, 1)))
    rows = []
    for x, g, h in _groups(use, 3):
        g = m.add(g, m.multiply(x, number(x, norm)))
        h = m.add(h, m.square(g))
        rows.append([m.subtract(x, m.divide(m.multiply(g, now), m.add(m.sqrt(h), number(x, eps)))), h])
    return _by_kind(rows)


@reads("Adam", domain=TRAINING)
def _(use: Use) -> Any:
    rate, step = use[0], use[1]
    a, b, eps = use.attr("alpha", 0.9), use.attr("beta", 0.999), use.attr("epsilon", 1e-6)
    before, after = use.attr("norm_coefficient", 0.0), use.attr("norm_coefficient_post", 0.0)
    t = arr.cast(step, rate.dtype.name)
    one = number(rate, 1)
    adjusted = m.multiply(rate, m.divide(m.sqrt(m.subtract(one, m.power(number(rate, b), t))), m.subtract(one, m.power(number(rate, a), t))))
    now = arr.where(m.greater(t, number(rate, 0)), adjusted, rate)
    rows = []
    for x, g, v, h in _groups(use, 4):
        g = m.add(g, m.multiply(x, number(x, before)))
        v = m.add(m.multiply(v, number(x, a)), m.multiply(g, number(x, 1 - a)))
        h = m.add(m.multiply(h, number(x, b)), m.multiply(m.square(g), number(x, 1 - b)))
        new = m.subtract(x, m.divide(m.multiply(v, now), m.add(m.sqrt(h), number(x, eps))))
        rows.append([m.multiply(new, number(x, 1 - after)), v, h])
    return _by_kind(rows)


@reads("Momentum", domain=TRAINING)
def _(use: Use) -> Any:
    rate, step = use[0], use.scalar(1)
    a, norm, nesterov = use.attr("alpha"), use.attr("norm_coefficient"), use.attr("mode") == "nesterov"
    b = use.attr("beta") if step > 0 else 1.0
    rows = []
    for x, g, v in _groups(use, 3):
        g = m.add(g, m.multiply(x, number(x, norm)))
        v = m.add(m.multiply(v, number(x, a)), m.multiply(g, number(x, b)))
        along = m.add(g, m.multiply(v, number(x, a))) if nesterov else v
        rows.append([m.subtract(x, m.multiply(along, rate)), v])
    return _by_kind(rows)


@reads("Gradient", domain=TRAINING)
def _(use: Use) -> Any:
    names = list(use.node.input)
    xs = [use[names.index(x)] for x in use.attr("xs")]
    y = use.scope.find(use.attr("y")).tensor()
    return gradients(y, xs)


@reads("ArrayFeatureExtractor", domain="ai.onnx.ml")
def _(use: Use) -> Any:
    at = use[1]
    picked = arr.gather(use[0], arr.reshape(at, (-1,)), axis=use[0].rank - 1)
    return picked if picked.rank > 1 else arr.expand_dims(picked, axis=0)


@reads("Binarizer", domain="ai.onnx.ml")
def _(use: Use) -> Any:
    x = use[0]
    return arr.cast(m.greater(x, number(x, use.attr("threshold", 0.0))), x.dtype.name)
