"""Where values stand: padding, repeating, turning round, triangles, and tensors made from nothing."""
from __future__ import annotations

import math
from math import prod
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, ShapeError, plural
from ..core.graph import Tensor
from ..core.op import op
from ..core.shape import axes_in, axis_in, broadcast_shapes
from ..core.types import Dim, TensorType, shape_text
from .array import broadcast_like, broadcast_to, cast, expand_dims, reshape, stack, transpose, zeros_like
from .sizes import reshape_as, sum_to

# ---------------------------------------------------------------- more values around, or the same ones again


def _padded(x: TensorType, *, pad_width: tuple, mode: str, word: str, **_: Any) -> TensorType:
    if len(pad_width) != x.rank:
        raise AttributeValueError(f"{word}: pad_width has {plural(len(pad_width), 'pair')}, x {shape_text(x.shape)} has {plural(x.rank, 'axis')}.", port="pad_width",
                                  hint="Write one (before, after) an axis; (0, 0) leaves an axis as it is.")
    shape: list[Dim] = []
    for axis, (size, (before, after)) in enumerate(zip(x.shape, pad_width)):
        if before < 0 or after < 0:
            raise AttributeValueError(f"{word}: axis {axis} is padded by {min(before, after)}.", port="pad_width", axis=axis, hint="Slice the tensor to take values away.")
        if mode == "reflect" and isinstance(size, int) and max(before, after) >= max(size, 1) or mode == "edge" and size == 0 and before + after:
            raise ShapeError(f"{word}: axis {axis} has {plural(size, 'value')}, too few to {mode} {max(before, after)} of them.", port="x", axis=axis)
        shape.append(size + before + after if isinstance(size, int) else size if before + after == 0 else None)
    return x.with_shape(tuple(shape))


_MODES = {"mode": ("constant", "edge", "reflect")}


@op(infer=_padded, category="array", choices=_MODES, aliases=("border", "margin", "zeros around"), zh="填充")
def pad(xp, x: Any, *, pad_width: Pairs, mode: Choice = "constant", constant_values: float = 0.0):
    """Put values around a tensor: a fixed one, the edge's, or the mirror image; one (before, after) an axis."""
    if mode == "constant":
        return xp.pad(x, pad_width, mode=mode, constant_values=constant_values)
    return xp.pad(x, pad_width, mode=mode)


@pad.gradient
def _(node, g):
    return (lambda: pad_gradient(g, node.inputs[0], pad_width=node.attrs["pad_width"], mode=node.attrs["mode"]),)


@op(infer=lambda g, like, **_: g.with_shape(like.shape), category="array", mixed=True, listed=False, choices=_MODES, zh="填充的梯度")
def pad_gradient(xp, g: Any, like: Any, *, pad_width: Pairs, mode: Choice = "constant"):
    """Take the padding away, and add what stands in it to the values that it repeated."""
    if g.shape != tuple(a + d + b for (a, b), d in zip(pad_width, like.shape)):
        raise ValueError(f"g has shape {g.shape}, padding {like.shape} by {pad_width} gives another one")
    for axis, ((before, after), size) in enumerate(zip(pad_width, like.shape)):
        lead = (slice(None),) * axis
        if mode == "constant":
            g = g[(*lead, slice(before, before + size))]
        elif before or after:
            out = xp.zeros((*g.shape[:axis], size, *g.shape[axis + 1:]), g.dtype)
            xp.add_at(out, (*lead, xp.pad(xp.arange(size), ((before, after),), mode=mode)), g)
            g = out
    return g


@pad_gradient.gradient
def _(node, d):
    return lambda: pad(d, pad_width=node.attrs["pad_width"], mode=node.attrs["mode"]), None


def _tiled(x: TensorType, *, reps: tuple, word: str, **_: Any) -> TensorType:
    if any(r < 0 for r in reps):
        raise AttributeValueError(f"{word}: reps is {reps}.", port="reps", hint="Use whole numbers from 0 on.")
    rank = max(len(reps), x.rank)
    reps, shape = (1,) * (rank - len(reps)) + reps, (1,) * (rank - x.rank) + x.shape
    return x.with_shape(tuple(d * r if isinstance(d, int) else d if r == 1 else None for d, r in zip(shape, reps)))


@op(infer=_tiled, category="array", aliases=("repeat", "copies"), bounds="inputs", zh="平铺")
def tile(xp, x: Any, *, reps: Ints):
    """Lay copies of a tensor side by side, so many along each axis."""
    return xp.tile(x, reps)


@tile.gradient
def _(node, g):
    return (lambda: tile_gradient(g, node.inputs[0], reps=node.attrs["reps"]),)


@op(infer=lambda g, like, **_: g.with_shape(like.shape), category="array", mixed=True, listed=False, zh="平铺的梯度")
def tile_gradient(xp, g: Any, like: Any, *, reps: Ints):
    """Add the copies of a tiled tensor up."""
    reps = (1,) * (g.ndim - len(reps)) + reps
    shape = (1,) * (g.ndim - like.ndim) + like.shape
    parts = g.reshape(tuple(n for r, d in zip(reps, shape) for n in (r, d)))
    return xp.sum(parts, axis=tuple(range(0, 2 * g.ndim, 2)), dtype=g.dtype).reshape(like.shape)


@tile_gradient.gradient
def _(node, d):
    return lambda: tile(d, reps=node.attrs["reps"]), None


def _repeated(x: TensorType, *, repeats: int, axis: int | None, word: str, **_: Any) -> TensorType:
    if repeats < 0:
        raise AttributeValueError(f"{word}: repeats is {repeats}.", port="repeats", hint="Use a whole number from 0 on.")
    if axis is None:
        return x.with_shape((prod(x.shape) * repeats if all(isinstance(d, int) for d in x.shape) else None,))
    at = axis_in(axis, x.rank)
    d = x.shape[at]
    return x.with_shape((*x.shape[:at], d * repeats if isinstance(d, int) else d if repeats == 1 else None, *x.shape[at + 1:]))


@op(infer=_repeated, category="array", aliases=("upsample", "copies"), bounds="inputs", zh="重复")
def repeat(xp, x: Any, *, repeats: int, axis: int = None):
    """Repeat each entry along an axis so many times; without an axis, the values in one row."""
    return xp.repeat(x, repeats, axis=axis)


@repeat.gradient
def _(node, g):
    return (lambda: repeat_gradient(g, node.inputs[0], **node.attrs),)


@op(infer=lambda g, like, **_: g.with_shape(like.shape), category="array", mixed=True, listed=False, zh="重复的梯度")
def repeat_gradient(xp, g: Any, like: Any, *, repeats: int, axis: int = None):
    """Add the repetitions of each entry up."""
    at = 0 if axis is None else axis % like.ndim
    lead, rest = ((), ()) if axis is None else (like.shape[:at], like.shape[at + 1:])
    size = prod(like.shape) if axis is None else like.shape[at]
    return xp.sum(g.reshape((*lead, size, repeats, *rest)), axis=at + 1, dtype=g.dtype).reshape(like.shape)


@repeat_gradient.gradient
def _(node, d):
    return lambda: repeat(d, **node.attrs), None


# ---------------------------------------------------------------- to sizes that show only in a run


def _by_sizes(x: TensorType, dims: TensorType, *, shape: tuple, word: str, **_: Any) -> TensorType:
    if dims.rank != 1:
        raise ShapeError(f"{word}: dims is {shape_text(dims.shape)}.", port="dims", hint="It takes a vector, one size an axis.")
    n = dims.shape[0]
    if not shape and not isinstance(n, int):
        raise ShapeError(f"{word}: how many sizes there are is not known.", port="dims", axis=0, hint="Say what is known of them: shape=(None, 3).")
    if isinstance(n, int) and (n > 32 or shape and len(shape) != n):
        raise AttributeValueError(f"{word}: {plural(n, 'size')} and the shape {shape_text(shape)}.", port="shape", hint="One entry an axis, None where it is not known; at most 32.")
    return x.with_shape(shape or (None,) * n)  # type: ignore[operator]


def _told(dims: Any, shape: tuple) -> tuple[int, ...]:
    told = tuple(int(d) for d in dims)
    if any(isinstance(a, int) and b not in (a, -1) for a, b in zip(shape, told)):
        raise ValueError(f"the sizes are {told}, they were said to be {shape_text(shape)}")
    return told


@op(infer=_by_sizes, category="array", mixed=True, bounds="inputs", aliases=("reshape", "dynamic"), zh="按大小变形")
def reshape_to_sizes(xp, x: Any, dims: Int, *, shape: Shape = ()):
    """Lay the same values out in the shape that a vector says when it runs; one size may be −1. `shape` is what is known of it before: numbers, names, None."""
    return xp.reshape(x, _told(dims, shape))


@reshape_to_sizes.gradient
def _(node, g):
    return lambda: reshape_as(g, node.inputs[0]), None


def _broadcast_to_sizes(x: TensorType, dims: TensorType, *, word: str, **kw: Any) -> TensorType:
    out = _by_sizes(x, dims, word=word, **kw)
    if out.rank < x.rank:
        raise ShapeError(f"{word}: x has {plural(x.rank, 'axis')}, and there are {plural(out.rank, 'size')}.", port="dims", hint="Axes are added in front, none is taken away.")
    broadcast_shapes([x.shape, out.shape], ("x", "dims"), word)
    return out


@op(infer=_broadcast_to_sizes, category="array", mixed=True, bounds="inputs", aliases=("expand", "repeat", "dynamic"), zh="按大小广播")
def broadcast_to_sizes(xp, x: Any, dims: Int, *, shape: Shape = ()):
    """Repeat the values to fill the shape that a vector says when it runs. `shape` is what is known of it before: numbers, names, None."""
    return xp.broadcast_to(x, _told(dims, shape))


@broadcast_to_sizes.gradient
def _(node, g):
    return lambda: sum_to(g, node.inputs[0]), None


# ---------------------------------------------------------------- turning round


def _axes_there(x: TensorType, *, axis: Any, **_: Any) -> TensorType:
    axes_in(axis, x.rank)
    return x


@op(infer=_axes_there, category="array", aliases=("reverse", "mirror"), bounds="inputs", zh="翻转")
def flip(xp, x: Any, *, axis: Axis = None):
    """Turn the order round along the axes, all of them by default."""
    return xp.flip(x, axis)


@flip.gradient
def _(node, g):
    return (lambda: flip(g, axis=node.attrs["axis"]),)


def _rolled(x: TensorType, *, shift: Any, axis: Any, word: str, **_: Any) -> TensorType:
    if axis is not None:
        axes_in(axis, x.rank)
    if isinstance(shift, tuple) and (not isinstance(axis, tuple) or len(axis) != len(shift)):
        raise AttributeValueError(f"{word}: {plural(len(shift), 'shift')} for another number of axes.", port="axis", hint="Give axis=(…).")
    return x


@op(infer=_rolled, category="array", aliases=("rotate", "shift", "circular"), bounds="inputs", zh="滚动")
def roll(xp, x: Any, *, shift: Axis, axis: Axis = None):
    """Shift the entries along an axis; what falls off the end comes back at the start."""
    return xp.roll(x, shift, axis)


@roll.gradient
def _(node, g):
    shift = node.attrs["shift"]
    return (lambda: roll(g, shift=tuple(-s for s in shift) if isinstance(shift, tuple) else -shift, axis=node.attrs["axis"]),)


def swapaxes(x: Tensor, axis1: int, axis2: int, name: str | None = None) -> Tensor:
    """Exchange two axes."""
    order = list(range(x.rank))
    a, b = axis_in(axis1, x.rank, attr="axis1"), axis_in(axis2, x.rank, attr="axis2")
    order[a], order[b] = b, a
    return transpose(x, axes=tuple(order), name=name)


def moveaxis(x: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...], name: str | None = None) -> Tensor:
    """Take axes from where they are to another place; the others keep their order."""
    one, other = ((v,) if isinstance(v, int) else tuple(v) for v in (source, destination))
    one, other = tuple(axis_in(a, x.rank, attr="source") for a in one), tuple(axis_in(a, x.rank, attr="destination") for a in other)
    if len(one) != len(other) or len(set(one)) < len(one) or len(set(other)) < len(other):
        raise AttributeValueError(f"moveaxis: {source} and {destination} do not pair up.", port="destination", hint="Name each axis once, and a place for each.")
    order = [a for a in range(x.rank) if a not in one]
    for to, a in sorted(zip(other, one)):
        order.insert(to, a)
    return transpose(x, axes=tuple(order), name=name)


def _unstacked(x: TensorType, *, axis: int, word: str, **_: Any) -> tuple[TensorType, ...]:
    at = axis_in(axis, x.rank)
    n = x.shape[at]
    if not isinstance(n, int):
        raise ShapeError(f"{word}: the size of axis {at} of {shape_text(x.shape)} is not known.", port="x", axis=at, hint="The number of outputs must be known.")
    if not 0 < n <= 10_000:
        raise ShapeError(f"{word}: axis {at} has {plural(n, 'entry')}.", port="x", axis=at, hint="From 1 to 10,000 outputs.")
    return (x.with_shape((*x.shape[:at], *x.shape[at + 1:])),) * n


@op(infer=_unstacked, category="array", many=True, aliases=("unbind", "split"), bounds="inputs", zh="拆堆")
def unstack(xp, x: Any, *, axis: int = 0):
    """Take the entries along an axis apart, one tensor each."""
    lead = (slice(None),) * (axis % x.ndim)
    return tuple(x[(*lead, k)] for k in range(x.shape[axis]))


@unstack.gradient
def _(node, g):
    return (lambda: stack([d if d is not None else zeros_like(t) for d, t in zip(g, node.outputs)], axis=axis_in(node.attrs["axis"], node.inputs[0].rank)),)


# ---------------------------------------------------------------- triangles and diagonals


def _matrix(x: TensorType, *, word: str, **_: Any) -> TensorType:
    if x.rank < 2:
        raise ShapeError(f"{word}: x is {shape_text(x.shape)}.", port="x", hint="It takes a matrix, or a batch of them.")
    return x


@op(infer=_matrix, category="array", aliases=("lower triangle", "causal mask"), zh="下三角")
def tril(xp, x: Any, *, k: int = 0):
    """Keep the lower triangle, up to the k-th diagonal, and make the rest 0."""
    return xp.tril(x, k)


@tril.gradient
def _(node, g):
    return (lambda: tril(g, k=node.attrs["k"]),)


@op(infer=_matrix, category="array", aliases=("upper triangle",), zh="上三角")
def triu(xp, x: Any, *, k: int = 0):
    """Keep the upper triangle, from the k-th diagonal on, and make the rest 0."""
    return xp.triu(x, k)


@triu.gradient
def _(node, g):
    return (lambda: triu(g, k=node.attrs["k"]),)


# ---------------------------------------------------------------- made from nothing

_MOST = 1 << 34


def _range_type(*, start: float, stop: float, step: float, dtype: str, word: str, **_: Any) -> TensorType:
    if not step or not all(map(math.isfinite, (start, stop, step))):
        raise AttributeValueError(f"{word}: from {start:g} to {stop:g} by {step:g} never ends.", port="step", hint="Use finite numbers and a step other than 0.")
    n = max(math.ceil((stop - start) / step), 0)
    if n > _MOST:
        raise AttributeValueError(f"{word}: {plural(n, 'value')} are beyond any memory.", port="stop")
    return TensorType((n,), np.dtype(dtype))


@op(infer=_range_type, type="Arange", function="arange", category="input", differentiable=False, latex="0, 1, 2, …", aliases=("range", "count"), zh="等差数列")
def arange_op(xp, *, start: float = 0.0, stop: float, step: float = 1.0, dtype: DType = "int64"):
    """Count from start up to, not including, stop."""
    n = max(math.ceil((stop - start) / step), 0)
    return (start + step * xp.arange(n, dtype="float64")).astype(dtype)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None, name: str | None = None) -> Tensor:
    """Count from start up to, not including, stop: `arange(5)`, `arange(2, 8, 2)`. Whole numbers give int64, others float32."""
    if stop is None:
        start, stop = 0, start
    if dtype is None:
        dtype = "int64" if all(float(v).is_integer() and not isinstance(v, float) for v in (start, stop, step)) else "float32"
    return arange_op(start=start, stop=stop, step=step, dtype=dtype, name=name)


def _linspace_type(*, num: int, dtype: str, word: str, **_: Any) -> TensorType:
    if not 0 <= num <= _MOST:
        raise AttributeValueError(f"{word}: num is {num}.", port="num", hint="Use a whole number from 0 on.")
    return TensorType((num,), np.dtype(dtype))


@op(infer=_linspace_type, category="input", differentiable=False, aliases=("evenly spaced", "grid"), zh="等分数列")
def linspace(xp, *, start: float, stop: float, num: int = 50, dtype: DType = "float32"):
    """Place num numbers evenly from start to stop, both included."""
    return xp.linspace(start, stop, num).astype(dtype)


def _eye_type(*, n: int, m: int | None, dtype: str, word: str, **_: Any) -> TensorType:
    m = n if m is None else m
    if n < 0 or m < 0 or n * m > _MOST:
        raise AttributeValueError(f"{word}: {plural(n, 'row')} and {plural(m, 'column')}.", port="n", hint="Use whole numbers from 0 on.")
    return TensorType((n, m), np.dtype(dtype))


@op(infer=_eye_type, category="input", differentiable=False, latex="I", aliases=("identity matrix", "diagonal"), zh="单位矩阵")
def eye(xp, *, n: int, m: int = None, k: int = 0, dtype: DType = "float32"):
    """Make a matrix with ones on its k-th diagonal and zeros elsewhere."""
    return xp.eye(n, m, k=k, dtype=dtype)



def _filled(shape: Any, value: Any, dtype: Any, name: str | None) -> Tensor:
    from .state import constant
    return broadcast_to(constant(value, dtype=dtype), shape=shape, name=name)


def zeros(shape: Any, dtype: Any = "float32", name: str | None = None) -> Tensor:
    """Make a tensor of zeros."""
    return _filled(shape, 0, dtype, name)


def ones(shape: Any, dtype: Any = "float32", name: str | None = None) -> Tensor:
    """Make a tensor of ones."""
    return _filled(shape, 1, dtype, name)


def full(shape: Any, fill_value: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Make a tensor that holds one value everywhere."""
    return _filled(shape, fill_value, dtype, name)


def full_like(x: Tensor, fill_value: Any, name: str | None = None) -> Tensor:
    """Make a tensor in the shape and dtype of another one that holds one value everywhere."""
    from .state import constant
    return broadcast_like(constant(fill_value, dtype=x.dtype), x, name=name)


def ravel(x: Tensor, name: str | None = None) -> Tensor:
    """Lay all values out in one row."""
    return reshape(x, (-1,), name=name)


def meshgrid(*xs: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Spread vectors out into the coordinates of a grid, one tensor a vector; "ij" keeps the vectors' order of axes, "xy" turns the first two round."""
    if indexing not in ("xy", "ij"):
        raise AttributeValueError(f"meshgrid: indexing is {indexing!r}.", port="indexing", hint='Use "xy" or "ij".')
    for k, x in enumerate(xs):
        if not isinstance(x, Tensor) or x.rank != 1:
            raise ShapeError(f"meshgrid: input {k} is {shape_text(x.shape) if isinstance(x, Tensor) else type(x).__name__}.", port=f"xs.{k}", hint="It takes vectors.")
    order = list(range(len(xs)))
    if indexing == "xy" and len(xs) > 1:
        order[:2] = [1, 0]
    place = {k: order.index(k) for k in order}
    wide = [expand_dims(x, tuple(a for a in range(len(xs)) if a != place[k])) if len(xs) > 1 else x for k, x in enumerate(xs)]
    whole = cast(zeros_like(wide[0]), "float32") if wide else None
    for x in wide[1:]:  # zeros of the grid's shape, whatever the sizes turn out to be
        whole = whole + cast(zeros_like(x), "float32")
    return [broadcast_like(x, whole) for x in wide]


__all__ = ["arange", "eye", "flip", "full", "full_like", "linspace", "meshgrid", "moveaxis", "ones", "pad", "ravel", "repeat", "roll", "swapaxes", "tile", "tril", "triu", "unstack", "zeros"]
