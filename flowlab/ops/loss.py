"""Losses, one number a row: along the last axis the mean (of a vector, each entry is a row of its own)."""
from __future__ import annotations

from math import inf
from typing import Any

from ..core.errors import AttributeValueError, ShapeError, plural
from ..core.graph import Tensor
from ..core.op import numbers, op
from ..core.shape import meet
from ..core.types import TensorType, shape_text
from .activation import one_hot_like, sigmoid
from .array import cast, expand_dims, ones_like, where, zeros_like
from .math import clip, divide, greater, log, maximum, sign
from .reduce import mean, norm2, size, sum_
from .sizes import broadcast_as


def _paired(a: TensorType, b: TensorType, *, ports: tuple, word: str, **_: Any) -> TensorType:
    if a.rank != b.rank:
        raise ShapeError(f"{word}: {ports[0]} is {shape_text(a.shape)}, {ports[1]} is {shape_text(b.shape)}.", port=ports[1], hint="They need the same shape.")
    shape = []
    for axis, (p, q) in enumerate(zip(a.shape, b.shape)):
        try:
            shape.append(meet(p, q))
        except ValueError:
            raise ShapeError(f"{word}: axis {axis} of {ports[0]} has {p}, of {ports[1]} {q}.", port=ports[1], axis=axis, hint="They need the same shape.") from None
    return a.with_shape(tuple(shape[:-1]) if len(shape) > 1 else tuple(shape))


def _same_shape(a, b) -> None:
    if a.shape != b.shape:  # sizes that were not known before the run
        raise ValueError(f"the shapes {a.shape} and {b.shape} differ")


def _rows(xp, values):
    return xp.mean(values, axis=-1, dtype=values.dtype) if values.ndim > 1 else values


def _spread(node, g: Tensor) -> Tensor:
    """A row's error, shared out among its values."""
    x = node.inputs[0]
    if x.rank < 2:
        return g
    n = x.shape[-1]
    each = g * (1.0 / max(n, 1)) if isinstance(n, int) else g / size(x, axis=-1, dtype=x.dtype.name)
    return broadcast_as(expand_dims(each, axis=-1), x)


@op(infer=_paired, category="loss", latex=r"\overline{(\hat y - y)^2}", aliases=("mean squared error", "l2", "regression"), bounds=(0, inf), zh="均方误差")
def mse(xp, prediction: Float, target: Float):
    """Measure, a row, the mean squared distance from the target."""
    _same_shape(prediction, target)
    d = prediction - target
    return _rows(xp, d * d)


@mse.gradient
def _(node, g):
    p, t = node.inputs
    return lambda: _spread(node, g) * (p - t) * 2, lambda: _spread(node, g) * (t - p) * 2


@op(infer=_paired, category="loss", latex=r"\overline{|\hat y - y|}", aliases=("mean absolute error", "l1", "regression"), bounds=(0, inf), zh="平均绝对误差")
def mae(xp, prediction: Float, target: Float):
    """Measure, a row, the mean distance from the target."""
    _same_shape(prediction, target)
    return _rows(xp, xp.absolute(prediction - target))


@mae.gradient
def _(node, g):
    p, t = node.inputs
    return lambda: _spread(node, g) * sign(p - t), lambda: _spread(node, g) * sign(t - p)


def _bounded(a: TensorType, b: TensorType, *, delta: float, word: str, **rest: Any) -> TensorType:
    if not delta > 0:
        raise AttributeValueError(f"{word}: delta is {delta:g}.", port="delta", hint="Use a number above 0.")
    return _paired(a, b, word=word, **rest)


@op(infer=_bounded, category="loss", latex=r"\tfrac12 d^2 \text{ or } \delta(|d| - \tfrac12\delta)", aliases=("robust", "smooth l1", "regression"), bounds=(0, inf), zh="胡贝尔损失")
def huber(xp, prediction: Float, target: Float, *, delta: float = 1.0):
    """Measure, a row, a distance that is squared when small and straight from delta on: outliers pull less."""
    _same_shape(prediction, target)
    d = xp.absolute(prediction - target)
    near = xp.minimum(d, delta)
    return _rows(xp, near * (d - 0.5 * near))


@huber.gradient
def _(node, g):
    p, t = node.inputs
    delta = node.attrs["delta"]
    return lambda: _spread(node, g) * clip(p - t, min=-delta, max=delta), lambda: _spread(node, g) * clip(t - p, min=-delta, max=delta)


@op(infer=_paired, category="loss", latex=r"-y \ln \sigma(x) - (1-y) \ln(1 - \sigma(x))", aliases=("logistic loss", "bce", "yes or no"), bounds=(0, inf), zh="二元交叉熵")
def binary_cross_entropy_with_logits(xp, logits: Float, labels: Float):
    """Measure, a row, how far scores are from yes (1) and no (0), without overflow."""
    _same_shape(logits, labels)
    return _rows(xp, xp.maximum(logits, 0) - logits * labels + xp.log1p(xp.exp(-xp.absolute(logits))))


@binary_cross_entropy_with_logits.gradient
def _(node, g):
    x, y = node.inputs
    return lambda: _spread(node, g) * (sigmoid(x) - y), lambda: _spread(node, g) * x * -1


@op(infer=_paired, category="loss", latex=r"\overline{\max(0, 1 - y \hat y)}", aliases=("margin", "support vector"), bounds=(0, inf), zh="合页损失")
def hinge(xp, prediction: Float, target: Float):
    """Measure, a row, how far the scores are from the right side of the margin; targets are −1 or 1."""
    _same_shape(prediction, target)
    return _rows(xp, xp.maximum(0, 1 - prediction * target))


@hinge.gradient
def _(node, g):
    p, t = node.inputs

    def inside():
        return _spread(node, g) * cast(greater(1 - p * t, zeros_like(p)), p.dtype.name)
    return lambda: inside() * t * -1, lambda: inside() * p * -1


def _summed(a: TensorType, b: TensorType, **rest: Any) -> TensorType:
    if not a.rank:
        raise ShapeError(f"{rest['word']}: {rest['ports'][0]} is a scalar.", port=rest["ports"][0], hint="It takes rows of shares.")
    met = _paired(a, b, **rest)
    return met.with_shape(met.shape if a.rank > 1 else ())


@op(infer=_summed, category="loss", latex=r"\sum_k p_k (\ln p_k - \ln q_k)", aliases=("kullback leibler", "relative entropy", "divergence"), zh="相对熵")
def kl_div(xp, log_q: Float, p: Float):
    """Measure, a row, how much the shares p differ from those whose logarithms are log_q (as torch's order has it)."""
    _same_shape(log_q, p)
    return xp.sum(p * (xp.log(xp.where(p > 0, p, 1)) - log_q), axis=-1, dtype=p.dtype)


@kl_div.gradient
def _(node, g):
    log_q, p = node.inputs

    def wide():
        return broadcast_as(expand_dims(g, axis=-1), p)

    def by_p():
        inside = greater(p, zeros_like(p))
        return wide() * where(inside, log(where(inside, p, ones_like(p))) + 1 - log_q, log_q * -1)
    return lambda: wide() * p * -1, by_p


def _labelled(log_probabilities: TensorType, labels: TensorType, *, word: str, **_: Any) -> TensorType:
    x = log_probabilities
    if x.rank < 1 or labels.rank != x.rank - 1:
        raise ShapeError(f"{word}: log_probabilities {shape_text(x.shape)} need labels of rank {max(x.rank - 1, 0)}, got {shape_text(labels.shape)}.", port="labels",
                         hint="Labels are class numbers, one a row.")
    for axis, (a, b) in enumerate(zip(x.shape, labels.shape)):
        try:
            meet(a, b)
        except ValueError:
            raise ShapeError(f"{word}: axis {axis} of log_probabilities has {a}, of labels {b}.", port="labels", axis=axis) from None
    return x.with_shape(tuple(meet(a, b) for a, b in zip(x.shape, labels.shape)))


@op(infer=_labelled, category="loss", latex=r"-\ln p_y", aliases=("negative log likelihood", "cross entropy"), zh="负对数似然")
def nll(xp, log_probabilities: Float, labels: Int):
    """Take, a row, the logarithm of the right class's share, with its sign turned."""
    x, classes = log_probabilities, log_probabilities.shape[-1]
    _same_shape(x[..., 0] if classes else labels, labels)
    if labels.size and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        wrong = int(labels.max()) if int(labels.max()) >= classes else int(labels.min())
        raise IndexError(f"label {wrong} is outside the {plural(classes, 'class')} 0 … {classes - 1}")
    return -xp.take_along_axis(x, xp.expand_dims(labels, -1), axis=-1)[..., 0]


@nll.gradient
def _(node, g):
    x, labels = node.inputs
    return lambda: one_hot_like(labels, x) * expand_dims(g * -1, axis=-1), None


# ---------------------------------------------------------------- put together from other functions


def binary_cross_entropy(probabilities: Tensor, labels: Any, name: str | None = None) -> Tensor:
    """Measure, a row, how far probabilities are from yes (1) and no (0); a logarithm counts at most 100, as torch has it.

    Of scores, take `binary_cross_entropy_with_logits`: it loses no digits.
    """
    other = labels.type if isinstance(labels, Tensor) else TensorType(numbers(labels).shape, probabilities.dtype)
    _paired(probabilities.type, other, ports=("probabilities", "labels"), word="binary_cross_entropy")
    yes, no = clip(log(probabilities), min=-100.0), clip(log(1 - probabilities), min=-100.0)
    each = (labels * yes + (1 - labels) * no) * -1
    return mean(each, axis=-1, name=name) if each.rank > 1 else each


def cosine_similarity(a: Tensor, b: Tensor, axis: int = -1, eps: float = 1e-8, name: str | None = None) -> Tensor:
    """Measure, from −1 to 1, how much two vectors point the same way: their product over their lengths, which count as eps or more."""
    lengths = maximum(norm2(a, axis=axis), eps) * maximum(norm2(b, axis=axis), eps)
    return divide(sum_(a * b, axis=axis), lengths, name=name)
