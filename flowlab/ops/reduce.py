"""Reductions: many values become one."""
from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, plural
from ..core.op import op
from ..core.shape import axes_in, axis_in, reduced
from ..core.types import TensorType
from .sizes import broadcast_as


def _reduced(x: TensorType, *, axis: Any, keepdims: bool, **_: Any) -> TensorType:
    return x.with_shape(reduced(x, axis, keepdims))


def _kept(node, g):
    """`g` with the reduced axes put back as 1."""
    from .array import expand_dims
    x = node.inputs[0]
    axes = axes_in(node.attrs["axis"], x.rank)
    return g if node.attrs["keepdims"] or not axes else expand_dims(g, axis=axes)


@op(infer=_reduced, function="sum", category="reduce", latex=r"\sum x", aliases=("total", "reduce_sum", "Σ"), zh="求和")
def sum_(xp, x, *, axis: Axis = None, keepdims: bool = False):
    """Add up the values along the axes, all of them by default."""
    return xp.sum(x, axis=axis, dtype=x.dtype, keepdims=keepdims)


@sum_.gradient
def _(node, g):
    return (lambda: broadcast_as(_kept(node, g), node.inputs[0]),)


@op(infer=lambda x, like, **_: x.with_shape(like.shape), category="reduce", mixed=True, listed=False, zh="求和至同形")
def sum_like(xp, x: Any, like: Any):
    """Add up the axes along which `like` was repeated to get the shape of x."""
    lead = x.ndim - like.ndim
    if lead:
        x = xp.sum(x, axis=tuple(range(lead)), dtype=x.dtype)
    axes = tuple(k for k, (a, b) in enumerate(zip(x.shape, like.shape)) if a != b)
    return xp.sum(x, axis=axes, dtype=x.dtype, keepdims=True) if axes else x


@sum_like.gradient
def _(node, g):
    return lambda: broadcast_as(g, node.inputs[0]), None


@op(infer=_reduced, category="reduce", latex=r"\frac{1}{n}\sum x", aliases=("average", "reduce_mean", "平均"), bounds="inputs", zh="平均值")
def mean(xp, x: Float, *, axis: Axis = None, keepdims: bool = False):
    """Average the values along the axes, all of them by default."""
    return xp.mean(x, axis=axis, dtype=x.dtype, keepdims=keepdims)


@mean.gradient
def _(node, g):
    x = node.inputs[0]
    dims = [x.shape[a] for a in axes_in(node.attrs["axis"], x.rank)]

    def spread():
        if all(isinstance(d, int) for d in dims):
            each = g * (1.0 / max(prod(dims), 1))
        else:
            each = g / size(x, axis=node.attrs["axis"], dtype=x.dtype)
        return broadcast_as(_kept(node, each), x)
    return (spread,)


def _count(x: TensorType, *, axis: Any, dtype: str, **_: Any) -> TensorType:
    axes_in(axis, x.rank)
    return TensorType((), np.dtype(dtype))


@op(infer=_count, category="reduce", differentiable=False, latex="n", aliases=("count", "numel"), zh="元素数")
def size(xp, x: Any, *, axis: Axis = None, dtype: DType = "int64"):
    """Count the values along the axes, all of them by default."""
    return xp.asarray(x.size if axis is None else prod(x.shape[a] for a in axes_in(axis, x.ndim)), dtype=dtype)


def _extreme(node, g):
    from .array import cast
    from .math import equal
    x = node.inputs[0]

    def winners():  # ties share the gradient
        mask = cast(equal(x, broadcast_as(_kept(node, node.outputs[0]), x)), x.dtype)
        share = mask / broadcast_as(sum_(mask, axis=axes_in(node.attrs["axis"], x.rank), keepdims=True), x)
        return broadcast_as(_kept(node, g), x) * share
    return (winners,)


@op(infer=_reduced, function="max", category="reduce", latex=r"\max x", aliases=("largest", "amax"), bounds="inputs", zh="最大值")
def max_(xp, x, *, axis: Axis = None, keepdims: bool = False):
    """Find the largest value along the axes, all of them by default."""
    return xp.max(x, axis=axis, keepdims=keepdims)


max_.gradient(_extreme)


@op(infer=_reduced, function="min", category="reduce", latex=r"\min x", aliases=("smallest", "amin"), bounds="inputs", zh="最小值")
def min_(xp, x, *, axis: Axis = None, keepdims: bool = False):
    """Find the smallest value along the axes, all of them by default."""
    return xp.min(x, axis=axis, keepdims=keepdims)


min_.gradient(_extreme)


def _position(x: TensorType, *, axis: int, **_: Any) -> TensorType:
    axis = axis_in(axis, x.rank)
    return TensorType(x.shape[:axis] + x.shape[axis + 1:], np.dtype("int64"))


@op(infer=_position, category="reduce", differentiable=False, latex=r"\arg\max x", aliases=("position of max", "predict"), zh="最大值下标")
def argmax(xp, x, *, axis: int = -1):
    """Say where along the axis the largest value stands."""
    return xp.argmax(x, axis=axis).astype("int64")


@op(infer=_position, category="reduce", differentiable=False, latex=r"\arg\min x", aliases=("position of min",), zh="最小值下标")
def argmin(xp, x, *, axis: int = -1):
    """Say where along the axis the smallest value stands."""
    return xp.argmin(x, axis=axis).astype("int64")


# ---------------------------------------------------------------- products, spread, and sums of exponentials


@op(infer=_reduced, function="prod", category="reduce", latex=r"\prod x", aliases=("product of all", "Π"), zh="求积")
def prod_(xp, x, *, axis: Axis = None, keepdims: bool = False):
    """Multiply the values along the axes, all of them by default."""
    return xp.prod(x, axis=axis, dtype=x.dtype, keepdims=keepdims)


@prod_.gradient
def _(node, g):
    from .array import cast, ones_like, where, zeros_like
    from .math import equal

    def by_x():
        x = node.inputs[0]
        axes = axes_in(node.attrs["axis"], x.rank)
        zero = equal(x, zeros_like(x))
        # where the only 0 stands, the product of the others; where another 0 is, nothing
        filled = where(zero, ones_like(x), x)
        others = broadcast_as(prod_(filled, axis=axes, keepdims=True), x) / filled
        count = broadcast_as(sum_(cast(zero, x.dtype.name), axis=axes, keepdims=True), x)
        alone = equal(count, cast(zero, x.dtype.name))
        return broadcast_as(_kept(node, g), x) * where(alone, others, zeros_like(x))
    return (by_x,)


def _spread(x: TensorType, *, axis: Any, ddof: int, keepdims: bool, word: str, **_: Any) -> TensorType:
    dims = [x.shape[a] for a in axes_in(axis, x.rank)]
    if all(isinstance(d, int) for d in dims) and 0 < prod(dims) <= ddof:
        raise AttributeValueError(f"{word}: {plural(prod(dims), 'value')}, too few for ddof = {ddof}.", port="ddof", hint="It is taken off the number of values.")
    return x.with_shape(reduced(x, axis, keepdims))


@op(infer=_spread, category="reduce", latex=r"\frac{1}{n}\sum (x - \bar x)^2", aliases=("variance", "spread", "σ²"), bounds=(0, inf), zh="方差")
def var(xp, x: Float, *, axis: Axis = None, ddof: int = 0, keepdims: bool = False):
    """Average the squared distances from the mean; `ddof` is taken off the number of values that divides."""
    return xp.var(x, axis=axis, dtype=x.dtype, ddof=ddof, keepdims=keepdims)


def _from_mean(node):
    """x less its mean, over the number of values that divides."""
    x, axis, ddof = node.inputs[0], node.attrs["axis"], node.attrs["ddof"]
    centred = x - broadcast_as(mean(x, axis=axis, keepdims=True), x)
    dims = [x.shape[a] for a in axes_in(axis, x.rank)]
    if all(isinstance(d, int) for d in dims):
        return centred * (1.0 / max(prod(dims) - ddof, 1))
    return centred / (size(x, axis=axis, dtype=x.dtype.name) - float(ddof))


@var.gradient
def _(node, g):
    return (lambda: broadcast_as(_kept(node, g), node.inputs[0]) * _from_mean(node) * 2,)


@op(infer=_spread, category="reduce", latex=r"\sqrt{\frac{1}{n}\sum (x - \bar x)^2}", aliases=("standard deviation", "spread", "σ"), bounds=(0, inf), zh="标准差")
def std(xp, x: Float, *, axis: Axis = None, ddof: int = 0, keepdims: bool = False):
    """Take the root of the variance: how far values usually are from their mean."""
    return xp.std(x, axis=axis, dtype=x.dtype, ddof=ddof, keepdims=keepdims)


@std.gradient
def _(node, g):
    return (lambda: broadcast_as(_kept(node, g / node.outputs[0]), node.inputs[0]) * _from_mean(node),)


@op(infer=_reduced, category="reduce", latex=r"\ln \sum e^x", aliases=("soft maximum", "log partition"), zh="对数指数和")
def logsumexp(xp, x: Float, *, axis: Axis = None, keepdims: bool = False):
    """Take the logarithm of a sum of exponentials, without overflow: a smooth maximum."""
    if not x.size:
        with_none = xp.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)
        return with_none - float("inf")
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)   # infinities say it all themselves
    out = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else out.reshape(tuple(d for k, d in enumerate(x.shape) if k not in axes_in(axis, x.ndim)))


@logsumexp.gradient
def _(node, g):
    from .math import exp
    x = node.inputs[0]
    return (lambda: broadcast_as(_kept(node, g), x) * exp(x - broadcast_as(_kept(node, node.outputs[0]), x)),)


@op(infer=_reduced, type="Norm", function="norm2", category="reduce", latex=r"\lVert x \rVert", aliases=("length", "euclidean", "l2"), bounds=(0, inf), zh="范数")
def norm2(xp, x: Float, *, axis: Axis = None, keepdims: bool = False):
    """Measure the length of a vector: the root of the sum of squares along the axes."""
    return xp.sqrt(xp.sum(x * x, axis=axis, dtype=x.dtype, keepdims=keepdims))


@norm2.gradient
def _(node, g):
    from .array import ones_like, where, zeros_like
    from .math import equal

    def by_x():  # at 0 the length has no direction to grow in
        y = node.outputs[0]
        none = equal(y, zeros_like(y))
        return broadcast_as(_kept(node, where(none, zeros_like(y), g / where(none, ones_like(y), y))), node.inputs[0]) * node.inputs[0]
    return (by_x,)


def _whole(x: TensorType, *, axis: Any, keepdims: bool, **_: Any) -> TensorType:
    return TensorType(reduced(x, axis, keepdims), np.dtype("int64"))


@op(infer=_whole, category="reduce", differentiable=False, latex=r"\#\{x \ne 0\}", bounds=(0, inf), aliases=("how many", "hits"), zh="非零计数")
def count_nonzero(xp, x: Any, *, axis: Axis = None, keepdims: bool = False):
    """Count the values along the axes that are not 0, or that are True."""
    return xp.sum(xp.not_equal(x, 0), axis=axis, dtype="int64", keepdims=keepdims)


def ptp(x: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Measure the range: the largest value along the axes less the smallest."""
    from .math import subtract
    return subtract(max_(x, axis=axis, keepdims=keepdims), min_(x, axis=axis, keepdims=keepdims), name=name)


def average(x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Average the values along the axes, each counting as much as its weight says; without weights, as `mean`."""
    from .math import divide, multiply
    if weights is None:
        return mean(x, axis=axis, keepdims=keepdims, name=name)
    weighted = multiply(x, weights)
    share = broadcast_as(multiply(weights, 1.0) if not hasattr(weights, "node") else weights, weighted)
    return divide(sum_(weighted, axis=axis, keepdims=keepdims), sum_(share, axis=axis, keepdims=keepdims), name=name)
