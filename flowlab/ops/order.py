"""Order and running totals: sorting, the largest few, look-ups along an axis, scattering, cumulative sums and products."""
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, ShapeError
from ..core.op import op
from ..core.shape import axis_in, meet
from ..core.types import TensorType, shape_text
from .array import cast, gather, ones_like, where
from .layout import flip
from .math import equal
from .sizes import reshape_as


def _along(x: TensorType, *, axis: int, **_: Any) -> TensorType:
    axis_in(axis, x.rank)
    return x


def _positions(x: TensorType, *, axis: int, **_: Any) -> TensorType:
    axis_in(axis, x.rank)
    return TensorType(x.shape, np.dtype("int64"))


# ---------------------------------------------------------------- sorting


@op(infer=_along, category="array", aliases=("order", "ascending"), bounds="inputs", zh="排序")
def sort(xp, x: Any, *, axis: int = -1):
    """Put the values in rising order along an axis."""
    return xp.sort(x, axis=axis)


@sort.gradient
def _(node, g):
    x, axis = node.inputs[0], node.attrs["axis"]
    return (lambda: take_along_axis_gradient(g, argsort(x, axis=axis), x, axis=axis),)


@op(infer=_positions, category="array", differentiable=False, aliases=("rank", "order"), zh="排序下标")
def argsort(xp, x: Any, *, axis: int = -1):
    """Say in which order the entries along an axis would stand when sorted; equals keep their order."""
    return xp.argsort(x, axis=axis, kind="stable").astype("int64")


def _top(x: TensorType, *, k: int, axis: int, word: str, **_: Any) -> tuple[TensorType, TensorType]:
    at = axis_in(axis, x.rank)
    size = x.shape[at]
    if k < 0:
        raise AttributeValueError(f"{word}: k is {k}.", port="k", hint="Use a whole number from 0 on.")
    if isinstance(size, int) and k > size:
        raise ShapeError(f"{word}: axis {at} has {size} values, fewer than k = {k}.", port="x", axis=at)
    shape = (*x.shape[:at], k, *x.shape[at + 1:])
    return x.with_shape(shape), TensorType(shape, np.dtype("int64"))


@op(infer=_top, type="TopK", function="topk", category="array", outputs=("values", "indices"), aliases=("largest", "best", "beam"), zh="前k大")
def topk(xp, x: Number, *, k: int, axis: int = -1):
    """Find the k largest values along an axis, the largest first, and where they stand; of equals, the first."""
    axis = axis % x.ndim
    size = x.shape[axis]
    if k > size:
        raise ValueError(f"axis {axis} has {size} values, fewer than k = {k}")
    # sorted from the end, so that of equals the first comes out first
    order = xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, kind="stable"), axis)
    indices = (size - 1 - order[(*(slice(None),) * axis, slice(0, k))]).astype("int64")
    return xp.take_along_axis(x, indices, axis=axis), indices


@topk.gradient
def _(node, g):
    return (lambda: take_along_axis_gradient(g[0], node.outputs[1], node.inputs[0], axis=node.attrs["axis"]) if g[0] is not None else None,)


# ---------------------------------------------------------------- look-ups, one an entry


def _taken(x: TensorType, indices: TensorType, *, axis: int, word: str, **_: Any) -> TensorType:
    at = axis_in(axis, x.rank)
    if indices.rank != x.rank:
        raise ShapeError(f"{word}: x {shape_text(x.shape)} and indices {shape_text(indices.shape)} need the same number of axes.", port="indices",
                         hint="Use fl.gather to pick whole entries.")
    shape = list(indices.shape)
    for k, (a, b) in enumerate(zip(x.shape, indices.shape)):
        if k != at:
            try:
                shape[k] = meet(a, b)
            except ValueError:
                raise ShapeError(f"{word}: axis {k} of x has {a}, of indices {b}.", port="indices", axis=k, hint=f"Only axis {at} may differ.") from None
    return x.with_shape(tuple(shape))


def _checked(indices, size: int, axis: int) -> None:
    if indices.size and (int(indices.min()) < -size or int(indices.max()) >= size):
        raise IndexError(f"an index of {int(indices.max() if indices.max() >= size else indices.min())} is outside axis {axis}, which has {size} entries")


@op(infer=_taken, category="array", aliases=("pick", "gather along"), bounds="inputs", zh="沿轴取")
def take_along_axis(xp, x: Any, indices: Int, *, axis: int = -1):
    """Pick one entry along an axis for every index: out[i, j] = x[i, indices[i, j]]."""
    axis = axis % x.ndim
    if any(a != b for k, (a, b) in enumerate(zip(x.shape, indices.shape)) if k != axis):
        raise ValueError(f"x has shape {x.shape}, indices {indices.shape}: only axis {axis} may differ")
    _checked(indices, x.shape[axis], axis)
    return xp.take_along_axis(x, indices, axis=axis)


@take_along_axis.gradient
def _(node, g):
    return lambda: take_along_axis_gradient(g, node.inputs[1], node.inputs[0], axis=node.attrs["axis"]), None


@op(infer=lambda g, indices, like, **_: g.with_shape(like.shape), category="array", mixed=True, listed=False, zh="沿轴取的梯度")
def take_along_axis_gradient(xp, g: Any, indices: Int, like: Any, *, axis: int = -1):
    """Add each value to the entry along the axis that it was picked from."""
    axis = axis % like.ndim
    out = xp.zeros(like.shape, g.dtype)
    where_each = [xp.arange(d).reshape((-1,) + (1,) * (g.ndim - k - 1)) for k, d in enumerate(indices.shape)]
    where_each[axis] = indices
    xp.add_at(out, tuple(where_each), g)
    return out


@take_along_axis_gradient.gradient
def _(node, d):
    return lambda: take_along_axis(d, node.inputs[1], axis=node.attrs["axis"]), None, None


def _scattered(x: TensorType, indices: TensorType, updates: TensorType, *, axis: int, word: str, **_: Any) -> TensorType:
    at = axis_in(axis, x.rank)
    want = (*x.shape[:at], *indices.shape, *x.shape[at + 1:])
    if updates.rank != len(want):
        raise ShapeError(f"{word}: updates are {shape_text(updates.shape)}, indices {shape_text(indices.shape)} need {shape_text(want)}.", port="updates")
    for k, (a, b) in enumerate(zip(updates.shape, want)):
        try:
            meet(a, b)
        except ValueError:
            raise ShapeError(f"{word}: axis {k} of updates has {a}, x and indices need {b}.", port="updates", axis=k) from None
    return x


@op(infer=_scattered, category="array", aliases=("scatter", "index add", "histogram"), zh="散射加")
def scatter_add(xp, x: Number, indices: Int, updates: Number, *, axis: int = 0):
    """Add each update to the entry of x that its index names; an index that comes twice adds twice."""
    axis = axis % x.ndim
    want = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1:])
    if updates.shape != want:
        raise ValueError(f"updates have shape {updates.shape}, x and indices need {want}")
    _checked(indices, x.shape[axis], axis)
    out = x.copy()
    xp.add_at(out, (slice(None),) * axis + (indices,), updates)
    return out


@scatter_add.gradient
def _(node, g):
    return lambda: g, None, lambda: gather(g, node.inputs[1], axis=node.attrs["axis"])


# ---------------------------------------------------------------- running totals


def _running(x: TensorType, *, axis: int | None, **_: Any) -> TensorType:
    if axis is None:
        return x.with_shape((prod(x.shape) if all(isinstance(d, int) for d in x.shape) else None,))
    axis_in(axis, x.rank)
    return x


def _from_the_end(g, axis):
    return flip(cumsum(flip(g, axis=axis), axis=axis), axis=axis)


@op(infer=_running, category="reduce", latex=r"\sum_{j \le i} x_j", aliases=("running total", "prefix sum", "integral"), zh="累加")
def cumsum(xp, x, *, axis: int = None):
    """Add up the values so far along an axis; without an axis, the values in one row."""
    return xp.cumsum(x, axis=axis, dtype=x.dtype)


@cumsum.gradient
def _(node, g):
    axis = node.attrs["axis"]
    return (lambda: reshape_as(_from_the_end(g, 0 if axis is None else axis), node.inputs[0]),)


@op(infer=_running, category="reduce", latex=r"\prod_{j \le i} x_j", aliases=("running product",), zh="累乘")
def cumprod(xp, x, *, axis: int = None):
    """Multiply the values so far along an axis; without an axis, the values in one row."""
    return xp.cumprod(x, axis=axis, dtype=x.dtype)


@cumprod.gradient
def _(node, g):
    from .array import reshape

    def by_x():
        x, axis = node.inputs[0], node.attrs["axis"]
        flat = reshape(x, (-1,)) if axis is None else x
        at = 0 if axis is None else axis
        # by a value that is 0 the quotient says nothing: the first 0 gets the products without it, later ones get nothing
        zero = equal(flat, flat * 0)
        first = equal(cumsum(cast(zero, x.dtype.name), axis=at) * cast(zero, x.dtype.name), ones_like(flat))
        without = cumprod(where(first, ones_like(flat), flat), axis=at)
        quotient = _from_the_end(g * node.outputs[0], at) / where(zero, ones_like(flat), flat)
        return reshape_as(where(first, _from_the_end(g * without, at), quotient), x)
    return (by_x,)
