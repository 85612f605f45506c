"""Reductions: many values become one."""
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

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


@op(infer=_reduced, category="reduce", latex=r"\frac{1}{n}\sum x", aliases=("average", "reduce_mean", "平均"), zh="平均值")
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
    return xp.asarray(prod(x.shape[a] for a in axes_in(axis, x.ndim)), dtype=dtype)


def _extreme(node, g):
    from .array import cast
    from .math import equal
    x = node.inputs[0]

    def winners():  # ties share the gradient
        mask = cast(equal(x, broadcast_as(_kept(node, node.outputs[0]), x)), x.dtype)
        share = mask / broadcast_as(sum_(mask, axis=axes_in(node.attrs["axis"], x.rank), keepdims=True), x)
        return broadcast_as(_kept(node, g), x) * share
    return (winners,)


@op(infer=_reduced, function="max", category="reduce", latex=r"\max x", aliases=("largest", "amax"), zh="最大值")
def max_(xp, x, *, axis: Axis = None, keepdims: bool = False):
    """Find the largest value along the axes, all of them by default."""
    return xp.max(x, axis=axis, keepdims=keepdims)


max_.gradient(_extreme)


@op(infer=_reduced, function="min", category="reduce", latex=r"\min x", aliases=("smallest", "amin"), zh="最小值")
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
