"""Activations, softmax, and the losses that need them."""
from __future__ import annotations

from typing import Any

from ..core.errors import ShapeError
from ..core.op import op
from ..core.shape import axis_in, meet
from ..core.types import TensorType, shape_text
from .array import expand_dims, one_hot
from .math import exp
from .reduce import sum_


def _same(x: TensorType, **_: Any) -> TensorType:
    return x


def _along(x: TensorType, *, axis: int, **_: Any) -> TensorType:
    axis_in(axis, x.rank)
    return x


@op(infer=_same, category="activation", latex=r"\tanh x", ufunc="tanh", aliases=("squash",), zh="双曲正切")
def tanh(xp, x: Float):
    """Squash each value into −1 … 1."""
    return xp.tanh(x)


@tanh.gradient
def _(node, g):
    y, = node.outputs
    return (lambda: g * (1 - y * y),)


@op(infer=_same, category="activation", latex=r"\sigma(x)", aliases=("logistic", "gate", "σ"), zh="S型函数")
def sigmoid(xp, x: Float):
    """Squash each value into 0 … 1: how far a gate is open."""
    return xp.tanh(x * 0.5) * 0.5 + 0.5  # tanh saturates where exp would overflow


@sigmoid.gradient
def _(node, g):
    y, = node.outputs
    return (lambda: g * (y * (1 - y)),)


@op(infer=_same, category="activation", latex=r"\max(0, x)", aliases=("rectifier",), zh="线性整流")
def relu(xp, x):
    """Keep what is positive, make the rest 0."""
    return xp.maximum(x, 0, out=xp.workspace(x.shape, x.dtype, x))


@relu.gradient
def _(node, g):
    return (lambda: relu_gradient(g, node.outputs[0]),)


@op(category="activation", latex=r"g \cdot [y > 0]", listed=False, zh="线性整流的梯度")
def relu_gradient(xp, g: Float, y: Float):
    """Let the gradient through where the output was positive."""
    return xp.multiply(g, xp.greater(y, 0, xp.workspace(y.shape, "bool", y)), xp.workspace(y.shape, g.dtype, y))


@relu_gradient.gradient
def _(node, g):
    return (lambda: relu_gradient(g, node.inputs[1])), None


@op(infer=_along, category="activation", latex=r"\frac{e^{x_i}}{\sum_j e^{x_j}}", aliases=("probabilities", "归一化"), zh="归一化指数")
def softmax(xp, x: Float, *, axis: int = -1):
    """Turn scores into shares that add up to 1 along the axis."""
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True)) if x.size else x
    return e / xp.sum(e, axis=axis, keepdims=True) if x.size else x


@softmax.gradient
def _(node, g):
    y, axis = node.outputs[0], node.attrs["axis"]
    return (lambda: (g - sum_(g * y, axis=axis, keepdims=True)) * y,)


@op(infer=_along, category="activation", latex=r"x_i - \ln \sum_j e^{x_j}", aliases=("log probabilities",), zh="对数归一化")
def log_softmax(xp, x: Float, *, axis: int = -1):
    """Turn scores into logarithms of shares, without overflow."""
    if not x.size:
        return x
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


@log_softmax.gradient
def _(node, g):
    y, axis = node.outputs[0], node.attrs["axis"]
    return (lambda: g - exp(y) * sum_(g, axis=axis, keepdims=True),)


def _rows(logits: TensorType, labels: TensorType, **_: Any) -> TensorType:
    if logits.rank < 1:
        raise ShapeError("sparse_softmax_cross_entropy: logits are a scalar.", port="logits", hint="They need an axis of classes at the end.")
    if labels.rank != logits.rank - 1:
        raise ShapeError(f"sparse_softmax_cross_entropy: logits {shape_text(logits.shape)} need labels of rank {logits.rank - 1}, got {shape_text(labels.shape)}.",
                         port="labels", hint="Labels are class numbers, one a row; use fl.softmax_cross_entropy for one-hot rows.")
    shape = []
    for axis, (a, b) in enumerate(zip(logits.shape[:-1], labels.shape)):
        try:
            shape.append(meet(a, b))
        except ValueError:
            raise ShapeError(f"sparse_softmax_cross_entropy: axis {axis} of logits has {a}, of labels {b}.", port="labels", axis=axis) from None
    return TensorType(tuple(shape), logits.dtype)


@op(infer=_rows, category="activation", latex=r"-\ln \operatorname{softmax}(x)_y", aliases=("loss", "cross entropy", "nll", "损失"), zh="交叉熵")
def sparse_softmax_cross_entropy(xp, logits: Float, labels: Int):
    """Measure, a row, how surprised the scores are by the right class number."""
    classes = logits.shape[-1]
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"logits have shape {logits.shape}, labels {labels.shape}")
    if labels.size and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        wrong = int(labels.max()) if int(labels.max()) >= classes else int(labels.min())
        raise IndexError(f"label {wrong} is outside the {classes} classes 0 … {classes - 1}")
    top = xp.max(logits, axis=-1, keepdims=True) if logits.size else logits[..., :1]
    shifted = logits - top
    right = xp.take_along_axis(shifted, xp.expand_dims(labels, -1), axis=-1)[..., 0]
    return xp.log(xp.sum(xp.exp(shifted), axis=-1)) - right


@sparse_softmax_cross_entropy.gradient
def _(node, g):
    logits, labels = node.inputs

    def by_logits():
        depth = logits.shape[-1]
        right = one_hot(labels, depth, dtype=logits.dtype.name) if isinstance(depth, int) else one_hot_like(labels, logits)
        return (softmax(logits) - right) * expand_dims(g, axis=-1)
    return by_logits, None


@op(infer=lambda labels, like, **_: like, category="array", mixed=True, listed=False, differentiable=False, zh="独热同形")
def one_hot_like(xp, labels: Int, like: Any):
    """One-hot rows with as many classes as `like` has columns."""
    return xp.equal(xp.expand_dims(labels, -1), xp.arange(like.shape[-1], dtype="int64")).astype(like.dtype)


def _soft_rows(logits: TensorType, labels: TensorType, **_: Any) -> TensorType:
    if logits.rank != labels.rank or not logits.rank:
        raise ShapeError(f"softmax_cross_entropy: logits {shape_text(logits.shape)} and labels {shape_text(labels.shape)} need the same shape.", port="labels",
                         hint="Use fl.sparse_softmax_cross_entropy for class numbers.")
    for axis, (a, b) in enumerate(zip(logits.shape, labels.shape)):
        try:
            meet(a, b)
        except ValueError:
            raise ShapeError(f"softmax_cross_entropy: axis {axis} of logits has {a}, of labels {b}.", port="labels", axis=axis) from None
    return logits.with_shape(logits.shape[:-1])


@op(infer=_soft_rows, category="activation", latex=r"-\sum_k y_k \ln \operatorname{softmax}(x)_k", aliases=("loss", "cross entropy"), zh="软标签交叉熵")
def softmax_cross_entropy(xp, logits: Float, labels: Float):
    """Measure, a row, how far the scores are from the shares in labels."""
    if labels.shape != logits.shape:
        raise ValueError(f"logits have shape {logits.shape}, labels {labels.shape}")
    shifted = logits - xp.max(logits, axis=-1, keepdims=True) if logits.size else logits
    total = xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    return xp.sum(labels * (total - shifted), axis=-1)


@softmax_cross_entropy.gradient
def _(node, g):
    logits, labels = node.inputs
    wide = expand_dims(g, axis=-1)
    return (lambda: (softmax(logits) * sum_(labels, axis=-1, keepdims=True) - labels) * wide,
            lambda: log_softmax(logits) * wide * -1)
