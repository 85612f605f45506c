"""Activations, softmax, and the losses that need them."""
from __future__ import annotations

import math
from typing import Any

from ..core.errors import AttributeValueError, ShapeError, plural
from ..core.op import op
from ..core.shape import axis_in, meet, unchanged
from ..core.types import TensorType, shape_text
from .array import cast, concat, expand_dims, one_hot, ones_like, split, where, zeros_like
from .logic import logical_and
from .math import abs_, erf, exp, greater, less, minimum, square
from .reduce import sum_
from .sizes import sum_to


def _along(x: TensorType, *, axis: int, **_: Any) -> TensorType:
    axis_in(axis, x.rank)
    return x


@op(infer=unchanged, category="activation", latex=r"\tanh x", ufunc="tanh", aliases=("squash",), bounds=(-1, 1), onnx="Tanh", zh="双曲正切")
def tanh(xp, x: Float):
    """Squash each value into −1 … 1."""
    return xp.tanh(x)


@tanh.gradient
def _(node, g):
    y, = node.outputs
    return (lambda: g * (1 - y * y),)


@op(infer=unchanged, category="activation", latex=r"\sigma(x)", aliases=("logistic", "gate", "σ"), bounds=(0, 1), onnx="Sigmoid", zh="S型函数")
def sigmoid(xp, x: Float):
    """Squash each value into 0 … 1: how far a gate is open."""
    return xp.tanh(x * 0.5) * 0.5 + 0.5  # tanh saturates where exp would overflow


@sigmoid.kernel("over")
def _(xp, x, *, out):
    xp.multiply(x, 0.5, out)
    xp.tanh(out, out)
    xp.multiply(out, 0.5, out)
    xp.add(out, 0.5, out)


@sigmoid.gradient
def _(node, g):
    y, = node.outputs
    return (lambda: g * (y * (1 - y)),)


@op(infer=unchanged, category="activation", latex=r"\max(0, x)", aliases=("rectifier",), bounds=(0, math.inf), onnx="Relu", zh="线性整流")
def relu(xp, x):
    """Keep what is positive, make the rest 0."""
    return xp.maximum(x, 0, out=xp.workspace(x.shape, x.dtype, x))


@relu.kernel("over")
def _(xp, x, *, out):
    xp.maximum(x, 0, out=out)


@relu.gradient
def _(node, g):
    return (lambda: relu_gradient(g, node.outputs[0]),)


@op(category="activation", latex=r"g \cdot [y > 0]", listed=False, zh="线性整流的梯度")
def relu_gradient(xp, g: Float, y: Float):
    """Let the gradient through where the output was positive."""
    out = xp.workspace(y.shape, g.dtype, y)
    return out if _in_a_loop(xp, g, y, out) else xp.multiply(g, xp.greater(y, 0, xp.workspace(y.shape, "bool", y)), out)


def _in_a_loop(xp, g, y, out) -> bool:
    """Write the gradient of a ReLU by a compiled loop, if there is one and the three lie in memory alike."""
    at_once = xp.compiled("relu_gradient", g.dtype, g.size)
    if at_once is None or not g.shape == y.shape == out.shape or not g.strides == y.strides == out.strides:
        return False
    flat = out.ravel("K")
    if flat.base is None:   # a copy: there are gaps in it
        return False
    at_once(g.ravel("K"), y.ravel("K"), flat)
    return True


@relu_gradient.kernel("over")
def _(xp, g, y, *, out):
    if not _in_a_loop(xp, g, y, out):
        xp.multiply(g, xp.greater(y, 0, xp.workspace(y.shape, "bool", y)), out)


@relu_gradient.gradient
def _(node, g):
    return (lambda: relu_gradient(g, node.inputs[1])), None


@op(infer=_along, category="activation", latex=r"\frac{e^{x_i}}{\sum_j e^{x_j}}", aliases=("probabilities", "归一化"), bounds=(0, 1), onnx="Softmax", zh="归一化指数")
def softmax(xp, x: Float, *, axis: int = -1):
    """Turn scores into shares that add up to 1 along the axis."""
    if not x.size:
        return x
    e = xp.subtract(x, xp.max(x, axis=axis, keepdims=True), out=xp.workspace(x.shape, x.dtype, x))
    xp.exp(e, e)
    return xp.true_divide(e, xp.sum(e, axis=axis, dtype=x.dtype, keepdims=True), e)


@softmax.gradient
def _(node, g):
    y, axis = node.outputs[0], node.attrs["axis"]
    return (lambda: (g - sum_(g * y, axis=axis, keepdims=True)) * y,)


@op(infer=_along, category="activation", latex=r"x_i - \ln \sum_j e^{x_j}", aliases=("log probabilities",), bounds=(-math.inf, 0), onnx="LogSoftmax", zh="对数归一化")
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


@op(infer=_rows, category="activation", latex=r"-\ln \operatorname{softmax}(x)_y", aliases=("loss", "cross entropy", "nll", "损失"), bounds=(0, math.inf), zh="交叉熵")
def sparse_softmax_cross_entropy(xp, logits: Float, labels: Int):
    """Measure, a row, how surprised the scores are by the right class number."""
    classes = logits.shape[-1]
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"logits have shape {logits.shape}, labels {labels.shape}")
    if not labels.size:
        return xp.zeros(labels.shape, logits.dtype)
    if not 0 <= int(xp.min(labels)) <= int(xp.max(labels)) < classes:
        wrong = int(labels.max()) if int(labels.max()) >= classes else int(labels.min())
        raise IndexError(f"label {wrong} is outside the {plural(classes, 'class')} 0 … {classes - 1}")
    rows = logits.reshape(labels.size, classes)
    rows = xp.subtract(rows, xp.max(rows, axis=1, keepdims=True), out=xp.workspace(rows.shape, rows.dtype))
    right = xp.take(rows, xp.arange(0, rows.size, classes) + labels.reshape(-1))    # take_along_axis says it shorter and takes four times as long
    total = xp.sum(xp.exp(rows, rows), axis=1, dtype=rows.dtype)
    return xp.subtract(xp.log(total, total), right, right).reshape(labels.shape)


@sparse_softmax_cross_entropy.gradient
def _(node, g):
    logits, labels = node.inputs

    def by_logits():
        depth = logits.shape[-1]
        right = one_hot(labels, depth, dtype=logits.dtype.name) if isinstance(depth, int) else one_hot_like(labels, logits)
        return (softmax(logits) - right) * expand_dims(g, axis=-1)
    return by_logits, None


@op(infer=lambda labels, like, **_: like, category="array", mixed=True, listed=False, differentiable=False, bounds=(0, 1), zh="独热同形")
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


@op(infer=_soft_rows, category="activation", latex=r"-\sum_k y_k \ln \operatorname{softmax}(x)_k", aliases=("loss", "cross entropy"), bounds=(0, math.inf), zh="软标签交叉熵")
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


# ---------------------------------------------------------------- more activations


def _where_positive(x, y, otherwise):
    """1 where x is positive, `otherwise` elsewhere."""
    return where(greater(x, zeros_like(x)), ones_like(y), otherwise)


@op(infer=lambda x, *, approximate, **_: x, category="activation", choices={"approximate": ("none", "tanh")}, latex=r"x\,\Phi(x)", aliases=("gaussian error linear unit", "transformer"),
    onnx="Gelu", zh="高斯误差线性单元")
def gelu(xp, x: Float, *, approximate: Choice = "none"):
    """Scale x by how likely a normal draw falls below it; `approximate="tanh"` is the older formula with a tanh. Source: Hendrycks & Gimpel 2016."""
    if approximate == "tanh":
        return x * 0.5 * (1 + xp.tanh(_GELU * (x + 0.044715 * x * x * x)))
    return (x * 0.5 * (1 + xp.special.erf(x / math.sqrt(2)))).astype(x.dtype)


_GELU = math.sqrt(2 / math.pi)


@gelu.gradient
def _(node, g):
    x, = node.inputs

    def by_tanh():
        t = tanh((x + square(x) * x * 0.044715) * _GELU)
        return g * ((t + 1) * 0.5 + x * (1 - square(t)) * (square(x) * (3 * 0.044715) + 1) * (0.5 * _GELU))
    if node.attrs["approximate"] == "tanh":
        return (by_tanh,)
    return (lambda: g * (erf(x * math.sqrt(0.5)) * 0.5 + 0.5 + x * exp(square(x) * -0.5) * (1 / math.sqrt(2 * math.pi))),)


@op(infer=unchanged, category="activation", latex=r"\max(0, x) + \min(0, \alpha(e^x - 1))", aliases=("exponential linear unit",), onnx="Elu", zh="指数线性单元")
def elu(xp, x: Float, *, alpha: float = 1.0):
    """Keep what is positive; let the rest fall off smoothly to −alpha."""
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


@elu.gradient
def _(node, g):
    return (lambda: g * _where_positive(node.inputs[0], node.outputs[0], exp(minimum(node.inputs[0], 0.0)) * node.attrs["alpha"]),)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@op(infer=unchanged, category="activation", latex=r"\lambda\,\operatorname{elu}(x)", aliases=("self-normalizing",), onnx="Selu", zh="自归一化线性单元")
def selu(xp, x: Float):
    """An ELU with the scale that keeps mean 0 and variance 1 from layer to layer. Source: Klambauer et al. 2017."""
    return _SELU_SCALE * xp.where(x > 0, x, _SELU_ALPHA * xp.expm1(xp.minimum(x, 0)))


@selu.gradient
def _(node, g):
    return (lambda: g * _where_positive(node.inputs[0], node.outputs[0], exp(minimum(node.inputs[0], 0.0)) * _SELU_ALPHA) * _SELU_SCALE,)


@op(infer=unchanged, category="activation", latex=r"x\,\sigma(x)", aliases=("swish",), zh="自门控线性单元")
def silu(xp, x: Float):
    """Scale x by its own sigmoid: a gate that opens with the value."""
    return x * (xp.tanh(x * 0.5) * 0.5 + 0.5)


@silu.gradient
def _(node, g):
    def by_x():
        s = sigmoid(node.inputs[0])
        return g * (s + node.outputs[0] * (1 - s))
    return (by_x,)


@op(infer=unchanged, category="activation", latex=r"\ln(1 + e^x)", aliases=("smooth relu",), bounds=(0, math.inf), onnx="Softplus", zh="软加")
def softplus(xp, x: Float):
    """A smooth ReLU: near 0 for small values, near x for large ones."""
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.absolute(x)))


@softplus.gradient
def _(node, g):
    return (lambda: g * sigmoid(node.inputs[0]),)


@op(infer=unchanged, category="activation", latex=r"\ln \sigma(x)", aliases=("log of a gate",), bounds=(-math.inf, 0), zh="对数S型函数")
def log_sigmoid(xp, x: Float):
    """Take the logarithm of the sigmoid, without overflow."""
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.absolute(x)))


@log_sigmoid.gradient
def _(node, g):
    return (lambda: g * sigmoid(node.inputs[0] * -1),)


@op(infer=unchanged, category="activation", latex=r"\frac{x}{1 + |x|}", aliases=("soft sign",), bounds=(-1, 1), onnx="Softsign", zh="软符号")
def softsign(xp, x: Float):
    """Squash each value into −1 … 1, more gently than tanh."""
    return x / (1 + xp.absolute(x))


@softsign.gradient
def _(node, g):
    return (lambda: g / square(abs_(node.inputs[0]) + 1),)


@op(infer=unchanged, category="activation", latex=r"\max(0, x) + a \min(0, x)", aliases=("leaky rectifier", "prelu"), onnx="LeakyRelu", onnx_attrs={"negative_slope": "alpha"}, zh="带泄漏线性整流")
def leaky_relu(xp, x: Float, *, negative_slope: float = 0.01):
    """Keep what is positive, and let a little of the rest through."""
    return xp.where(x > 0, x, x * negative_slope)


@leaky_relu.gradient
def _(node, g):
    return (lambda: where(greater(node.inputs[0], zeros_like(node.inputs[0])), g, g * node.attrs["negative_slope"]),)


def _held(x: TensorType, *, min_val: float, max_val: float, word: str, **_: Any) -> TensorType:
    if not min_val <= max_val:
        raise AttributeValueError(f"{word}: min_val {min_val:g} is above max_val {max_val:g}.", port="min_val")
    return x


def _within(x, low, high, g):
    return g * cast(logical_and(greater(x, low), less(x, high)), x.dtype.name)


@op(infer=_held, category="activation", latex=r"\min(\max(x, -1), 1)", aliases=("clamp",), zh="硬双曲正切")
def hardtanh(xp, x: Float, *, min_val: float = -1.0, max_val: float = 1.0):
    """Hold every value between min_val and max_val: a tanh of straight lines."""
    return xp.minimum(xp.maximum(x, min_val), max_val)


@hardtanh.gradient
def _(node, g):
    return (lambda: _within(node.inputs[0], node.attrs["min_val"], node.attrs["max_val"], g),)


@op(infer=unchanged, category="activation", latex=r"\min(\max(x, 0), 6)", aliases=("mobile",), bounds=(0, 6), zh="截断线性整流")
def relu6(xp, x: Float):
    """Keep what is positive, up to 6."""
    return xp.minimum(xp.maximum(x, 0), 6)


@relu6.gradient
def _(node, g):
    return (lambda: _within(node.inputs[0], 0.0, 6.0, g),)


@op(infer=unchanged, category="activation", latex=r"x \tanh \ln(1 + e^x)", aliases=("smooth gate",), onnx="Mish", zh="米什函数")
def mish(xp, x: Float):
    """Scale x by the tanh of its softplus. Source: Misra 2019."""
    return x * xp.tanh(xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.absolute(x))))


@mish.gradient
def _(node, g):
    def by_x():
        x, = node.inputs
        t = tanh(softplus(x))
        return g * (t + x * (1 - square(t)) * sigmoid(x))
    return (by_x,)


def _halved(x: TensorType, *, axis: int, word: str, **_: Any) -> TensorType:
    at = axis_in(axis, x.rank)
    size = x.shape[at]
    if isinstance(size, int) and size % 2:
        raise ShapeError(f"{word}: axis {at} has {plural(size, 'value')}, an odd number.", port="x", axis=at, hint="One half is the value, the other its gate.")
    return x.with_shape((*x.shape[:at], size // 2 if isinstance(size, int) else None, *x.shape[at + 1:]))


@op(infer=_halved, category="activation", latex=r"a \odot \sigma(b)", aliases=("gated linear unit",), zh="门控线性单元")
def glu(xp, x: Float, *, axis: int = -1):
    """Let one half of the values be the gates of the other. Source: Dauphin et al. 2017."""
    a, b = xp.split(x, 2, axis=axis)
    return a * (xp.tanh(b * 0.5) * 0.5 + 0.5)


@glu.gradient
def _(node, g):
    def by_x():
        axis = node.attrs["axis"]
        a, b = split(node.inputs[0], 2, axis=axis)
        s = sigmoid(b)
        return concat([g * s, g * a * s * (1 - s)], axis=axis)
    return (by_x,)


# ---------------------------------------------------------------- straight pieces, and slopes that are learnt


@op(category="activation", latex=r"\max(0, x) + a \min(0, x)", aliases=("learnt slope", "parametric rectifier"), onnx="PRelu", zh="参数化线性整流")
def prelu(xp, x: Float, slope: Float):
    """Keep what is positive, and scale the rest by a slope that may be learnt. Source: He et al. 2015.

    x and slope broadcast; for one slope a channel of images, give slope the shape (channels, 1, 1).
    """
    return xp.where(x > 0, x, x * slope)


@prelu.gradient
def _(node, g):
    x, slope = node.inputs

    def positive():
        return greater(x, zeros_like(x))
    return (lambda: sum_to(where(positive(), g, g * slope), x), lambda: sum_to(where(positive(), zeros_like(g), g * x), slope))


def _scaled(x: TensorType, *, alpha: float, word: str, **_: Any) -> TensorType:
    if not alpha > 0:
        raise AttributeValueError(f"{word}: alpha is {alpha:g}.", port="alpha", hint="Use a number above 0.")
    return x


@op(infer=_scaled, category="activation", latex=r"\max(0, x) + \min(0, \alpha(e^{x/\alpha} - 1))", aliases=("smooth elu",), onnx="Celu", zh="连续可微指数线性单元")
def celu(xp, x: Float, *, alpha: float = 1.0):
    """An ELU whose slope has no jump whatever alpha is. Source: Barron 2017."""
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0) / alpha))


@celu.gradient
def _(node, g):
    return (lambda: g * _where_positive(node.inputs[0], node.outputs[0], exp(minimum(node.inputs[0], 0.0) * (1 / node.attrs["alpha"]))),)


@op(infer=unchanged, category="activation", latex=r"\operatorname{clip}(\tfrac{x}{6} + \tfrac12, 0, 1)", aliases=("gate of straight lines", "mobile"), bounds=(0, 1), zh="硬S型函数")
def hardsigmoid(xp, x: Float):
    """A sigmoid of straight lines: 0 up to −3, 1 from 3 on."""
    return xp.minimum(xp.maximum(x / 6 + 0.5, 0), 1)


@hardsigmoid.gradient
def _(node, g):
    return (lambda: _within(node.inputs[0], -3.0, 3.0, g * (1 / 6)),)


@op(infer=unchanged, category="activation", latex=r"x \operatorname{clip}(\tfrac{x}{6} + \tfrac12, 0, 1)", aliases=("hard silu", "mobile"), onnx="HardSwish", zh="硬自门控单元")
def hardswish(xp, x: Float):
    """Scale x by a gate of straight lines: 0 up to −3, x from 3 on. Source: Howard et al. 2019."""
    return x * xp.minimum(xp.maximum(x / 6 + 0.5, 0), 1)


@hardswish.gradient
def _(node, g):
    def by_x():
        x, = node.inputs
        return where(greater(x, ones_like(x) * 3), g, _within(x, -3.0, 3.0, g * (x * (1 / 3) + 0.5)))
    return (by_x,)


def _lambd(x: TensorType, *, lambd: float, word: str, **_: Any) -> TensorType:
    if not lambd >= 0:
        raise AttributeValueError(f"{word}: lambd is {lambd:g}.", port="lambd", hint="Use a number from 0 on.")
    return x


@op(infer=_lambd, category="activation", latex=r"x \cdot [|x| > \lambda]", aliases=("sparse", "denoise"), onnx="Shrink", zh="硬收缩")
def hardshrink(xp, x: Float, *, lambd: float = 0.5):
    """Make what is small 0, and keep the rest."""
    return xp.where(xp.absolute(x) > lambd, x, xp.zeros_like(x))


@op(infer=_lambd, category="activation", latex=r"\operatorname{sgn}(x) \max(|x| - \lambda, 0)", aliases=("soft threshold", "lasso", "denoise"), zh="软收缩")
def softshrink(xp, x: Float, *, lambd: float = 0.5):
    """Pull every value towards 0 by lambd, and make what is smaller 0."""
    return xp.sign(x) * xp.maximum(xp.absolute(x) - lambd, 0)


def _outside(node, g):
    return (lambda: g * cast(greater(abs_(node.inputs[0]), node.attrs["lambd"]), g.dtype.name),)


hardshrink.gradient(_outside)
softshrink.gradient(_outside)


@op(infer=unchanged, category="activation", latex=r"x - \tanh x", aliases=("denoise",), zh="双曲正切收缩")
def tanhshrink(xp, x: Float):
    """Take its tanh away from each value: small ones vanish."""
    return x - xp.tanh(x)


@tanhshrink.gradient
def _(node, g):
    return (lambda: g * square(tanh(node.inputs[0])),)


@op(infer=unchanged, category="activation", latex=r"x \text{ if } x > \theta", aliases=("cut off",), zh="阈值")
def threshold(xp, x: Float, *, threshold: float, value: float = 0.0):
    """Keep what is above the threshold, and put a fixed value for the rest."""
    return xp.where(x > threshold, x, xp.full_like(x, value))


@threshold.gradient
def _(node, g):
    return (lambda: g * cast(greater(node.inputs[0], node.attrs["threshold"]), g.dtype.name),)


def softmin(x: Any, axis: int = -1, name: str | None = None) -> Any:
    """Turn costs into shares that add up to 1 along the axis: the smaller the cost, the larger the share."""
    return softmax(x * -1, axis=axis, name=name)
