"""Order and running totals: sorting, the largest few, look-ups along an axis, scattering, cumulative sums and products."""
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, GradientError, ShapeError, plural
from ..core.op import op
from ..core.shape import axes_in, axis_in, meet, reduced
from ..core.types import TensorType, shape_text
from .array import cast, gather, ones_like, where, zeros_like
from .layout import flip
from .math import equal, subtract
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
        raise ShapeError(f"{word}: axis {at} has {plural(size, 'value')}, fewer than k = {k}.", port="x", axis=at)
    shape = (*x.shape[:at], k, *x.shape[at + 1:])
    return x.with_shape(shape), TensorType(shape, np.dtype("int64"))


@op(infer=_top, type="TopK", function="topk", category="array", outputs=("values", "indices"), aliases=("largest", "best", "beam"), zh="前k大")
def topk(xp, x: Number, *, k: int, axis: int = -1):
    """Find the k largest values along an axis, the largest first, and where they stand; of equals, the first."""
    axis = axis % x.ndim
    size = x.shape[axis]
    if k > size:
        raise ValueError(f"axis {axis} has {plural(size, 'value')}, fewer than k = {k}")
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
        raise IndexError(f"an index of {int(indices.max() if indices.max() >= size else indices.min())} is outside axis {axis}, which has {plural(size, 'entry')}")


@op(infer=_taken, category="array", aliases=("pick", "gather along"), bounds="inputs", onnx="GatherElements", zh="沿轴取")
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


def _scattered_along(x: TensorType, indices: TensorType, updates: TensorType, *, axis: int, word: str, **_: Any) -> TensorType:
    at = axis_in(axis, x.rank)
    for t, port in ((indices, "indices"), (updates, "updates")):
        if t.rank != x.rank:
            raise ShapeError(f"{word}: {port} are {shape_text(t.shape)}, x is {shape_text(x.shape)}.", port=port, hint="All have as many axes.")
    for k, (a, b, c) in enumerate(zip(x.shape, indices.shape, updates.shape)):
        if isinstance(b, int) and isinstance(c, int) and b != c:
            raise ShapeError(f"{word}: axis {k} of updates has {c}, of indices {b}.", port="updates", axis=k, hint="There is one update an index.")
        if k != at and isinstance(a, int) and isinstance(b, int) and b > a:
            raise ShapeError(f"{word}: axis {k} of indices has {b}, of x {a}.", port="indices", axis=k, hint="Indices cover x, or a part of it from the start of each axis.")
    return x


@op(infer=_scattered_along, category="array", choices={"reduction": ("none", "add", "mul", "max", "min")}, aliases=("scatter elements", "put along axis"), zh="沿轴散射")
def scatter_reduce(xp, x: Any, indices: Int, updates: Any, *, axis: int = 0, reduction: Choice = "none"):
    """Put each update along an axis where its index says: x[i, indices[i, j]] = updates[i, j], or add, multiply, or keep the larger or smaller.

    With "none" the last of several updates of one entry stays; the others take each in.
    """
    axis = axis % x.ndim
    if updates.shape != indices.shape or any(b > a for k, (a, b) in enumerate(zip(x.shape, indices.shape)) if k != axis):
        raise ValueError(f"x has shape {x.shape}, indices {indices.shape}, updates {updates.shape}")
    _checked(indices, x.shape[axis], axis)
    out = x.copy()
    at = [xp.arange(d).reshape((-1,) + (1,) * (x.ndim - k - 1)) for k, d in enumerate(indices.shape)]
    at[axis] = indices
    if reduction == "none":
        out[tuple(at)] = updates
    elif reduction == "add" and x.dtype.kind != "b":
        xp.add_at(out, tuple(at), updates)
    else:
        {"add": xp.add, "mul": xp.multiply, "max": xp.maximum, "min": xp.minimum}[reduction].at(out, tuple(at), updates)
    return out


@scatter_reduce.gradient
def _(node, g):
    x, indices, updates = node.inputs
    axis, how = node.attrs["axis"], node.attrs["reduction"]
    if how not in ("none", "add"):
        raise GradientError(f"scatter_reduce: reduction {how!r} has no derivative here.", node=node.name, hint='reduction="none" and "add" have one.')

    def by_x():
        return g if how == "add" else scatter_reduce(g, indices, zeros_like(updates), axis=axis)
    return by_x, None, lambda: pick_along_axis(g, indices, axis=axis)


def _picked(x: TensorType, indices: TensorType, *, axis: int, word: str, **_: Any) -> TensorType:
    if indices.rank != x.rank:
        raise ShapeError(f"{word}: indices are {shape_text(indices.shape)}, x is {shape_text(x.shape)}.", port="indices", hint="Both have as many axes.")
    axis_in(axis, x.rank)
    return x.with_shape(indices.shape)


@op(infer=_picked, category="array", listed=False, zh="沿轴选取")
def pick_along_axis(xp, x: Any, indices: Int, *, axis: int = 0):
    """Pick one entry along an axis for every index, which may cover a part of x: out[i, j] = x[i, indices[i, j]]."""
    axis = axis % x.ndim
    if indices.ndim != x.ndim or any(b > a for k, (a, b) in enumerate(zip(x.shape, indices.shape)) if k != axis):
        raise ValueError(f"x has shape {x.shape}, indices {indices.shape}")
    _checked(indices, x.shape[axis], axis)
    at = [xp.arange(d).reshape((-1,) + (1,) * (x.ndim - k - 1)) for k, d in enumerate(indices.shape)]
    at[axis] = indices
    return x[tuple(at)]


@pick_along_axis.gradient
def _(node, g):
    x, indices = node.inputs
    return lambda: scatter_reduce(zeros_like(x), indices, g, axis=node.attrs["axis"], reduction="add"), None


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


@op(infer=_scattered, category="array", aliases=("put", "assign entries", "scatter update"), zh="散射写入")
def scatter(xp, x: Any, indices: Int, updates: Any, *, axis: int = 0):
    """Put each update in the place of the entry of x that its index names; every index comes once."""
    axis = axis % x.ndim
    want = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1:])
    if updates.shape != want:
        raise ValueError(f"updates have shape {updates.shape}, x and indices need {want}")
    _checked(indices, x.shape[axis], axis)
    counts = xp.bincount(indices.reshape(-1) % max(x.shape[axis], 1), minlength=1)
    if indices.size and int(counts.max()) > 1:  # which of two updates stays would depend on the device
        raise ValueError(f"index {int(counts.argmax())} comes {int(counts.max())} times; scatter_add takes repeated ones")
    out = x.copy()
    out[(slice(None),) * axis + (indices,)] = updates
    return out


@scatter.gradient
def _(node, g):
    indices, axis = node.inputs[1], node.attrs["axis"]

    def by_x():
        return scatter(g, indices, zeros_like(node.inputs[2]), axis=axis)
    return by_x, None, lambda: gather(g, indices, axis=axis)


# ---------------------------------------------------------------- as many results as the values ask for


def _unique(x: TensorType, **_: Any) -> tuple[TensorType, TensorType, TensorType]:
    whole = np.dtype("int64")
    return x.with_shape((None,)), TensorType(x.shape, whole), TensorType((None,), whole)


@op(infer=_unique, category="array", outputs=("values", "inverse", "counts"), differentiable=False, aliases=("distinct", "vocabulary", "count values"), zh="去重")
def unique(xp, x: Any):
    """Find the different values, in rising order, which of them each entry is, and how often each occurs.

    values (k,), inverse in the shape of x with x = values[inverse], counts (k,); how many there are is known only when it runs.
    """
    values, inverse, counts = xp.unique(x.reshape(-1), return_inverse=True, return_counts=True)
    return values, inverse.reshape(x.shape).astype("int64"), counts.astype("int64")


def _masked(x: TensorType, mask: TensorType, *, word: str, **_: Any) -> TensorType:
    if not 1 <= mask.rank <= x.rank:
        raise ShapeError(f"{word}: x is {shape_text(x.shape)}, mask {shape_text(mask.shape)}.", port="mask", hint="The mask covers the leading axes of x, one or more.")
    for axis, (a, b) in enumerate(zip(x.shape, mask.shape)):
        try:
            meet(a, b)
        except ValueError:
            raise ShapeError(f"{word}: axis {axis} of x has {a}, of mask {b}.", port="mask", axis=axis, hint="The mask covers the leading axes of x.") from None
    return x.with_shape((None, *x.shape[mask.rank:]))


def _covered(x, mask) -> None:
    if x.shape[:mask.ndim] != mask.shape:
        raise ValueError(f"x has shape {x.shape}, mask {mask.shape}: it must cover the leading axes")


@op(infer=_masked, category="array", aliases=("filter", "select", "keep"), zh="布尔筛选")
def boolean_mask(xp, x: Any, mask: Bool):
    """Keep the entries where the mask holds, one after another: x (…, rest), mask (…) → (k, rest)."""
    _covered(x, mask)
    return x[mask]


@boolean_mask.gradient
def _(node, g):
    return lambda: boolean_mask_gradient(g, node.inputs[1], node.inputs[0]), None


@op(infer=lambda g, mask, like, **_: g.with_shape(like.shape), category="array", mixed=True, listed=False, zh="布尔筛选的梯度")
def boolean_mask_gradient(xp, g: Any, mask: Bool, like: Any):
    """Put the values back where the mask took them from, with zeros elsewhere."""
    _covered(like, mask)
    out = xp.zeros(like.shape, g.dtype)
    out[mask] = g
    return out


@boolean_mask_gradient.gradient
def _(node, d):
    return lambda: boolean_mask(d, node.inputs[1]), None, None


@op(infer=lambda x, **_: TensorType((None, x.rank), np.dtype("int64")), category="array", differentiable=False, aliases=("nonzero", "find", "where true"), zh="非零位置")
def argwhere(xp, x: Any):
    """Say where the values that are not 0 stand: one row of indices each."""
    return xp.argwhere(x).astype("int64").reshape(-1, x.ndim)


# ---------------------------------------------------------------- counting and places in a sorted row


def _placed(sorted_values: TensorType, x: TensorType, *, word: str, **_: Any) -> TensorType:
    if sorted_values.rank != 1:
        raise ShapeError(f"{word}: sorted_values is {shape_text(sorted_values.shape)}.", port="sorted_values", hint="It takes one row, in rising order.")
    return TensorType(x.shape, np.dtype("int64"))


@op(infer=_placed, category="array", differentiable=False, choices={"side": ("left", "right")}, aliases=("bin", "digitize", "bisect", "sample from shares"), zh="有序查找")
def searchsorted(xp, sorted_values: Number, x: Number, *, side: Choice = "left"):
    """Say where each value of x would stand in a sorted row; at an equal one before it, or after it for `side="right"`."""
    return xp.searchsorted(sorted_values, x, side=side).astype("int64")


def _counted(x: TensorType, *, length: int, word: str, **_: Any) -> TensorType:
    if not 0 < length <= 2**31:
        raise AttributeValueError(f"{word}: length is {length}.", port="length", hint="Use the number of bins, from 1 on.")
    return TensorType((length,), np.dtype("int64"))


@op(infer=_counted, category="reduce", differentiable=False, aliases=("histogram", "count classes"), zh="计数")
def bincount(xp, x: Int, *, length: int):
    """Count how often each of the whole numbers 0 … length−1 occurs."""
    if x.size and (int(x.min()) < 0 or int(x.max()) >= length):
        raise IndexError(f"{int(x.max()) if int(x.max()) >= length else int(x.min())} is outside the {length} bins 0 … {length - 1}")
    return xp.bincount(x.reshape(-1).astype("int64"), minlength=length).astype("int64")


# ---------------------------------------------------------------- quantiles


def _quantile_type(x: TensorType, *, q: float, axis: int | None, keepdims: bool, word: str, **_: Any) -> TensorType:
    if not 0 <= q <= 1:
        raise AttributeValueError(f"{word}: q is {q:g}.", port="q", hint="Use a share from 0 to 1; the median is 0.5.")
    return x.with_shape(reduced(x, axis, keepdims))


def _between(size: int, q: float) -> tuple[int, int, float]:
    """The two places in a sorted row that a quantile lies between, and how far it is from the first."""
    if not size:
        raise ValueError("there is no quantile of no values")
    at = q * (size - 1)
    low = min(int(at), size - 1)
    return low, min(low + 1, size - 1), at - low


def _left(x, axis: int | None, keepdims: bool) -> tuple[int, ...]:
    """The shape of x without an axis, or with 1 there."""
    axes = axes_in(axis, x.ndim)
    return tuple(1 if k in axes else d for k, d in enumerate(x.shape) if keepdims or k not in axes)


def _in_order(xp, x, axis: int | None):
    """(x with the axis last, where its entries stand when sorted)."""
    rows = x.reshape(-1) if axis is None else xp.moveaxis(x, axis, -1)
    return rows, xp.argsort(rows, axis=-1, kind="stable")


@op(infer=_quantile_type, category="reduce", bounds="inputs", aliases=("percentile", "median"), zh="分位数")
def quantile(xp, x: Float, *, q: float, axis: int = None, keepdims: bool = False):
    """Find the value that a share q of the values lies below, on a straight line between two neighbours; 0.5 is the median."""
    rows = x.reshape(-1) if axis is None else xp.moveaxis(x, axis, -1)
    low, high, t = _between(rows.shape[-1], q)
    ordered = xp.sort(rows, axis=-1)
    a, b = ordered[..., low], ordered[..., high]
    out = xp.where(xp.isnan(ordered[..., -1]), ordered[..., -1], a * (1 - t) + b * t if t else a)    # NaN is sorted last, and makes the whole row NaN
    return out.reshape(_left(x, axis, keepdims)).astype(x.dtype)


@quantile.gradient
def _(node, g):
    return (lambda: quantile_gradient(g, node.inputs[0], **node.attrs),)


@op(infer=lambda g, x, **_: g.with_shape(x.shape), category="reduce", listed=False, zh="分位数的梯度")
def quantile_gradient(xp, g: Float, x: Float, *, q: float, axis: int = None, keepdims: bool = False):
    """Share a quantile's error out between the two values that it lies between."""
    rows, order = _in_order(xp, x, axis)
    low, high, t = _between(rows.shape[-1], q)
    g = g.reshape((*rows.shape[:-1], 1))
    out = xp.zeros(rows.shape, g.dtype)
    each = [xp.arange(d).reshape((-1,) + (1,) * (rows.ndim - k - 1)) for k, d in enumerate(rows.shape[:-1])]
    for at, share in ((low, 1 - t), (high, t)):
        if share:
            xp.add_at(out, (*each, order[..., at:at + 1]), g * share)
    return out.reshape(x.shape) if axis is None else xp.moveaxis(out, -1, axis)


@quantile_gradient.gradient
def _(node, d):
    return lambda: quantile_pick(d, node.inputs[1], **node.attrs), None


@op(infer=lambda d, x, **kw: d.with_shape(_quantile_type(x, **kw).shape), category="reduce", listed=False, zh="分位数选取")
def quantile_pick(xp, d: Float, x: Float, *, q: float, axis: int = None, keepdims: bool = False):
    """Take from d what stands where the quantile of x lies."""
    rows, order = _in_order(xp, x, axis)
    d = d.reshape(-1) if axis is None else xp.moveaxis(d, axis, -1)
    low, high, t = _between(rows.shape[-1], q)
    picked = xp.take_along_axis(d, order, axis=-1)
    out = picked[..., low] * (1 - t) + picked[..., high] * t
    return out.reshape(_left(x, axis, keepdims)).astype(d.dtype)


@quantile_pick.gradient
def _(node, g):
    return lambda: quantile_gradient(g, node.inputs[1], **node.attrs), None


def median(x: Any, axis: int | None = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Find the value in the middle: half of the values lie below it; of an even number, the mean of the middle two."""
    return quantile(x, q=0.5, axis=axis, keepdims=keepdims, name=name)


def percentile(x: Any, q: float, axis: int | None = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Find the value that q percent of the values lie below."""
    return quantile(x, q=q / 100, axis=axis, keepdims=keepdims, name=name)


def diff(x: Any, n: int = 1, axis: int = -1, name: str | None = None) -> Any:
    """Subtract from each entry along an axis the one before it, n times: one entry fewer each time."""
    at = axis_in(axis, x.rank)
    lead = (slice(None),) * at
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise AttributeValueError(f"diff: n is {n!r}.", port="n", hint="Use a whole number from 0 on.")
    for k in range(n):
        x = subtract(x[(*lead, slice(1, None))], x[(*lead, slice(None, -1))], name=name if k == n - 1 else None)
    return x
