"""ONNX's operators that move values about: shapes, slices, joins, look-ups, and what is known of sizes before a run."""
from __future__ import annotations

from math import ceil, prod
from typing import Any

import numpy as np

from ...core.graph import Tensor
from ...core.types import shape_text
from ...ops import array as arr, layout, logic, math as m, order, reduce as red
from ...ops.foreign import unique_entries
from ...ops.recurrent import reverse_sequence
from .files import NotInFlowlab, dtype
from .reading import Use, _objects, reads
from .reading_numbers import number
from .values import LARGEST, Value

# ---------------------------------------------------------------- sizes that are known before a run, or have names


def _span(use: Use, rank: int) -> slice:
    start, end = use.attr("start", 0), use.attr("end", rank)
    return slice(max(start + rank if start < 0 else start, 0), end + rank if end < 0 else end)


def _shape_of(use: Use, x: Value) -> Any:
    dims = list(x.type.shape)
    return _objects(dims)[_span(use, len(dims))]


def _slice_of(use: Use, x: Any, *rest: Any) -> Any:
    if x.ndim != 1 or use.version < 10:
        return None
    start, end, _, step = (*(np.reshape(r, -1) if r is not None else None for r in rest), None, None)[:4]
    return x[int(start[0]):int(end[0]):int(step[0]) if step is not None else 1]


def _arithmetic(f: Any) -> Any:
    def rule(use: Use, a: Any, b: Any) -> Any:
        a, b = np.broadcast_arrays(np.asarray(a, object), np.asarray(b, object))
        return _objects([f(x, y) for x, y in zip(a.reshape(-1), b.reshape(-1))]).reshape(a.shape)
    return rule


def _times(a: Any, b: Any) -> Any:
    return a * b if isinstance(a, (int, np.integer)) and isinstance(b, (int, np.integer)) else b if a == 1 else a if b == 1 else None


def _plus(a: Any, b: Any) -> Any:
    return a + b if isinstance(a, (int, np.integer)) and isinstance(b, (int, np.integer)) else b if a == 0 else a if b == 0 else None


def _axes_of(use: Use, rest: tuple) -> tuple[int, ...]:
    axes = rest[0] if rest and rest[0] is not None else use.attr("axes")
    return tuple(int(a) for a in np.reshape(axes, -1)) if axes is not None else (0,)


SIZES: dict[str, Any] = {
    "Shape": _shape_of,
    "Gather": lambda use, x, k: np.asarray(x, object)[np.asarray(k, "int64")] if x.ndim == 1 and use.attr("axis", 0) in (0, -1) else None,
    "Slice": _slice_of,
    "Concat": lambda use, *xs: np.concatenate([np.asarray(x, object) for x in xs]) if all(np.ndim(x) == 1 for x in xs) else None,
    "Unsqueeze": lambda use, x, *rest: np.asarray(x, object).reshape(1) if np.ndim(x) == 0 and _axes_of(use, rest) in ((0,), (-1,)) else None,
    "Squeeze": lambda use, x, *rest: np.asarray(x, object).reshape(()) if np.shape(x) == (1,) else None,
    "Reshape": lambda use, x, shape: np.asarray(x, object).reshape([int(d) for d in np.reshape(shape, -1)]) if all(isinstance(d, (int, np.integer)) for d in np.reshape(shape, -1)) else None,
    "Cast": lambda use, x: x if dtype(use.attr("to")).name == "int64" else None,
    "Identity": lambda use, x: x,
    "Mul": _arithmetic(_times), "Add": _arithmetic(_plus),
}


@reads("Shape")
def _(use: Use) -> Any:
    x = use.inputs[0]
    assert x is not None
    shape = x.type.shape
    span = _span(use, len(shape))
    if all(isinstance(d, int) for d in shape[span]):
        return np.array(shape[span], "int64")
    t = use[0]
    return arr.stack([red.size(t, axis=k, dtype="int64") for k in range(len(shape))[span]])


@reads("Size")
def _(use: Use) -> Any:
    shape = use.given(0).type.shape
    if all(isinstance(d, int) for d in shape):
        return np.array(prod(shape), "int64")
    return use.only(red.size, use[0], dtype="int64")


@reads("Constant")
def _(use: Use) -> Any:
    for key, kind in (("value", None), ("value_float", "float32"), ("value_int", "int64"), ("value_floats", "float32"), ("value_ints", "int64"), ("sparse_value", None)):
        if key in use.attributes:
            return np.asarray(use.attr(key), kind)
    raise NotInFlowlab("flowlab has no dtype text")


def _needs(use: Use, k: int) -> frozenset[str]:
    return use.given(k).roots


def told(use: Use, k: int) -> list[Any]:
    """What is known of the sizes that input k will hold, None where nothing is; their number must be known."""
    value = use.inputs[k]
    assert value is not None
    if value.array is not None or value.dims is not None:
        return use.dims(k)
    count = value.type.shape[0] if value.type.rank == 1 else None
    if not isinstance(count, int):
        return use.dims(k)      # which says what is missing
    return [None] * count


def _open(dims: list[Any]) -> tuple:
    return tuple(None if d == -1 else d for d in dims)


def shape_tensor(x: Tensor) -> Tensor:
    """The sizes of x as a run has them."""
    return arr.stack([red.size(x, axis=k, dtype="int64") for k in range(x.rank)])


@reads("ConstantOfShape")
def _(use: Use) -> Any:
    value, dims = use.attr("value", np.zeros(1, "float32")).reshape(()), told(use, 0)
    if not all(isinstance(d, int) for d in dims):
        return use.only(layout.broadcast_to_sizes, value, use[0], shape=_open(dims))
    if prod(dims) <= LARGEST:
        return np.full(dims, value, value.dtype)
    return use.only(arr.broadcast_to, value, shape=tuple(dims))


@reads("Range")
def _(use: Use) -> Any:
    if any(v is not None and v.array is None for v in use.inputs):
        return counted(*(arr.reshape(use[k], ()) if use[k].rank else use[k] for k in range(3)))
    start, stop, step = (use.scalar(k) for k in range(3))
    count = max(ceil((stop - start) / step), 0) if step else 0
    if count > LARGEST * 64:
        raise NotInFlowlab(f"a range of {count:,} values is more than flowlab writes out")
    kind = use.given(0).type.dtype
    use.spent.hold(8 * count)
    return np.asarray(start, kind) + np.arange(count).astype(kind) * np.asarray(step, kind)


def counted(start: Tensor, stop: Any, step: Any) -> Tensor:
    """From start up to, not including, stop, as many as show in a run."""
    kind = start.dtype
    steps = m.negative(m.floor_divide(m.subtract(start, stop), step)) if kind.kind == "i" else m.ceil(m.divide(m.subtract(stop, start), step)) if kind.kind == "f" else None
    if steps is None:
        raise NotInFlowlab(f"a Range of {kind} whose length shows only in a run")
    count = m.maximum(arr.cast(steps, "int64"), 0)
    places = m.subtract(order.cumsum(layout.broadcast_to_sizes(np.array(1), arr.reshape(count, (1,))), axis=0), 1)
    return m.add(m.multiply(places if kind.name == "int64" else arr.cast(places, kind.name), step), start)


@reads("EyeLike")
def _(use: Use) -> Any:
    rows, columns = use.sizes(0)
    kind = dtype(use.attr("dtype")) if "dtype" in use.attributes else use.given(0).type.dtype
    return use.only(layout.eye, n=rows, m=columns, k=use.attr("k", 0), dtype=kind.name)


# ---------------------------------------------------------------- shapes


def reshaped(use: Use, x: Tensor, shape: list[Any]) -> Any:
    """x in a shape whose sizes are numbers, names or None."""
    free = [k for k, d in enumerate(shape) if not isinstance(d, int) or d == -1]
    stays = [k for k in free if isinstance(shape[k], str) and x.shape[k:k + 1] == (shape[k],)]
    if len(free) <= 1 or len(free) - len(stays) <= 1:
        return use.only(arr.reshape, x, shape=tuple(-1 if d is None or isinstance(d, str) and len(free) == 1 and k not in stays else d if isinstance(d, int) or k in stays else -1
                                                    for k, d in enumerate(shape)))
    raise NotInFlowlab(f"several sizes of the shape {shape_text(tuple(shape))} show only in a run", (), True)


@reads("Reshape")
def _(use: Use) -> Any:
    x = use[0]
    wanted = use.attr("shape") if use.version < 5 else told(use, 1)
    copies = not use.attr("allowzero", 0)
    if copies:
        wanted = [x.shape[k] if d == 0 and isinstance(d, int) and k < x.rank else d for k, d in enumerate(wanted)]
    try:
        return reshaped(use, x, list(wanted))
    except NotInFlowlab:
        if use.version < 5:
            raise
    sizes = use[1] if use[1].dtype.name == "int64" else arr.cast(use[1], "int64")
    if copies:      # 0 stands for the size that x has there
        own = shape_tensor(x)[:len(wanted)] if x.rank else None
        if own is not None and x.rank < len(wanted):
            own = arr.concat([own, np.ones(len(wanted) - x.rank, "int64")], axis=0)
        sizes = sizes if own is None else arr.where(m.equal(sizes, 0), own, sizes)
    return layout.reshape_to_sizes(x, sizes, shape=_open(wanted))


@reads("Flatten")
def _(use: Use) -> Any:
    x, axis = use[0], use.attr("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    left, right = x.shape[:axis], x.shape[axis:]
    sides = [prod(s) if all(isinstance(d, int) for d in s) else s[0] if len(s) == 1 else -1 for s in (left, right)]
    if isinstance(sides[0], str) and axis != 1:
        sides[0] = -1
    return reshaped(use, x, sides)


@reads("Unsqueeze")
def _(use: Use) -> Any:
    axes = use.ints(1, "axes")
    rank = use[0].rank + len(axes)
    return use.only(arr.expand_dims, use[0], axis=tuple(sorted(a % rank for a in axes))) if axes else use.only(m.identity, use[0])


@reads("Squeeze")
def _(use: Use) -> Any:
    axes = use.ints(1, "axes") if use.has(1) or "axes" in use.attributes else None
    return use.only(arr.squeeze, use[0], axis=None if axes is None else tuple(axes))


@reads("Transpose")
def _(use: Use) -> Any:
    perm = use.attr("perm")
    return use.only(arr.transpose, use[0], axes=None if perm is None else tuple(perm))


@reads("Expand")
def _(use: Use) -> Any:
    x, dims = use[0], told(use, 1)
    rank = max(x.rank, len(dims))
    own, want = (1,) * (rank - x.rank) + x.shape, [1] * (rank - len(dims)) + dims
    shape = tuple(b if a == 1 else a for a, b in zip(own, want))
    if shape == x.shape and None not in shape:
        return use.only(m.identity, x)
    if all(isinstance(d, int) for d in shape):
        return use.only(arr.broadcast_to, x, shape=shape)
    if all(a != 1 and isinstance(a, int) or b == 1 for a, b in zip(own, want)):
        return arr.expand_dims(x, axis=tuple(range(rank - x.rank))) if rank > x.rank else use.only(m.identity, x)
    sizes = use[1]
    if rank > len(dims):
        sizes = arr.concat([np.ones(rank - len(dims), "int64"), sizes], axis=0)
    if any(a != 1 for a in own):    # where x is larger, its sizes stay
        mine = shape_tensor(x)
        mine = arr.concat([np.ones(rank - x.rank, "int64"), mine], axis=0) if rank > x.rank else mine
        sizes = arr.where(m.equal(sizes, 1), mine, sizes)
    return layout.broadcast_to_sizes(x, sizes, shape=tuple(d if isinstance(d, int) and d != 1 or a == 1 else a if b == 1 or a == b else None for d, a, b in zip(shape, own, want)))


@reads("Tile")
def _(use: Use) -> Any:
    if use.version < 6:
        reps = [1] * use[0].rank
        reps[use.ints(2)[0]] = use.ints(1)[0]
        return use.only(layout.tile, use[0], reps=tuple(reps))
    return use.only(layout.tile, use[0], reps=tuple(use.ints(1)))


@reads("Concat")
def _(use: Use) -> Any:
    return use.only(arr.concat, use.tensors, axis=use.attr("axis", 1))


@reads("Split")
def _(use: Use) -> Any:
    x, axis = use[0], use.attr("axis", 0) % use[0].rank
    sizes = use.ints(1, "split") if use.has(1) or "split" in use.attributes else None
    if sizes is None:
        n = use.attr("num_outputs", use.outputs)
        size = x.shape[axis]
        use.spent.room(n)
        if n == 1:
            return m.identity(x)
        if not isinstance(size, int):
            return use.only(arr.split, x, n=n, axis=axis)
        if size % n == 0 and size:
            return use.only(arr.split, x, n=n, axis=axis)
        part = -(-size // n)
        sizes = [min(part, max(size - k * part, 0)) for k in range(n)]
    ends = np.cumsum(sizes).tolist()
    return [x[(*(slice(None),) * axis, slice(e - s, e))] for s, e in zip(sizes, ends)]


@reads("Slice")
def _(use: Use) -> Any:
    x = use[0]
    if use.version >= 10 and any(use.given(k).array is None for k in (1, 2)):
        return _cut_in_a_run(use, x)
    if use.version < 10:
        starts, ends, axes, steps = use.attr("starts"), use.attr("ends"), use.attr("axes"), None
    else:
        starts, ends, axes, steps = use.ints(1), use.ints(2), use.ints_if(3), use.ints_if(4)
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    index: list[Any] = [slice(None)] * x.rank
    for a, lo, hi, step in zip(axes, starts, ends, steps):
        size = x.shape[a]
        if isinstance(size, int):
            lo, hi, step = slice(_within(lo), _within(hi), step).indices(size) if step > 0 else _backwards(lo, hi, step, size)
            index[a] = slice(lo, None if step < 0 and hi < 0 else hi, step)
        else:
            index[a] = slice(None if lo == 0 and step > 0 else _within(lo), None if hi >= 2**31 - 1 and step > 0 or hi <= -2**31 and step < 0 else _within(hi), None if step == 1 else step)
    return use.only(arr.slice_, x, index=tuple(index))


def _cut_in_a_run(use: Use, x: Tensor) -> Tensor:
    """A slice whose bounds show only in a run: the entries between them are picked, axis by axis."""
    count = len(told(use, 1))
    axes, steps = use.ints_if(3) or list(range(count)), use.ints_if(4) or [1] * count
    bounds = [use[k] if use[k].dtype.name == "int64" else arr.cast(use[k], "int64") for k in (1, 2)]
    known = [told(use, k) for k in (1, 2)]
    for k, (axis, step) in enumerate(zip(axes, steps)):
        if step < 1:
            raise NotInFlowlab("a Slice backwards between bounds that show only in a run", _needs(use, 1) | _needs(use, 2))
        axis %= x.rank
        lo, hi = known[0][k], known[1][k]
        if isinstance(lo, int) and isinstance(hi, int):
            x = x[(*(slice(None),) * axis, slice(lo or None, None if hi >= 2**31 - 1 else hi, None if step == 1 else step))]
            continue
        if lo == 0 and hi is not None and hi == x.shape[axis] and step == 1:
            continue
        size = red.size(x, axis=axis, dtype="int64")
        ends = [arr.where(m.less(b, 0), m.add(b, size), b) for b in (t[k] for t in bounds)]
        start, stop = (m.minimum(m.maximum(b, 0), size) for b in ends)
        x = arr.gather(x, counted(start, stop, np.array(step)), axis=axis)
    return x


def _within(k: int) -> int:
    return max(min(k, 2**53), -2**53)


def _backwards(lo: int, hi: int, step: int, size: int) -> tuple[int, int, int]:
    lo = lo + size if lo < 0 else lo
    hi = hi + size if hi < 0 and hi >= -size else hi
    return min(max(lo, -1), size - 1), max(hi, -1), step


@reads("Pad")
def _(use: Use) -> Any:
    x, mode = use[0], use.attr("mode", "constant")
    pads = use.ints(1, "pads" if "pads" in use.attributes else "paddings")
    axes = use.ints(3) if use.has(3) else list(range(x.rank))
    value = float(use.scalar(2)) if use.has(2) else use.attr("value", 0.0)
    width = [(0, 0)] * x.rank
    n = len(axes)
    for k, a in enumerate(axes):
        width[a % x.rank] = (pads[k], pads[k + n])
    if any(a < 0 or b < 0 for a, b in width):
        x = x[tuple(slice(max(-a, 0), None if b >= 0 else b) for a, b in width)]
        width = [(max(a, 0), max(b, 0)) for a, b in width]
        if not any(a or b for a, b in width):
            return x
    if mode in ("constant", "edge"):
        return use.only(layout.pad, x, pad_width=tuple(width), mode=mode, constant_values=value) if mode == "constant" else use.only(layout.pad, x, pad_width=tuple(width), mode=mode)
    sizes = x.shape     # less what negative widths have cut off
    if not all(isinstance(d, int) for d in sizes):
        sizes = use.sizes(0)    # says which is not known
    if mode == "reflect" and all(max(w) < s for w, s in zip(width, sizes)):
        return use.only(layout.pad, x, pad_width=tuple(width), mode="reflect")
    for axis, (w, size) in enumerate(zip(width, sizes)):    # round and round, or to and fro
        if w != (0, 0):
            use.spent.hold(8 * (size + sum(w)))
            at = np.pad(np.arange(size), (w,), mode={"wrap": "wrap", "reflect": "reflect"}[mode])
            x = arr.gather(x, at, axis=axis)
    return x


# ---------------------------------------------------------------- look-ups


@reads("Gather")
def _(use: Use) -> Any:
    return use.only(arr.gather, use[0], use[1], axis=use.attr("axis", 0))


@reads("GatherElements")
def _(use: Use) -> Any:
    x, indices, axis = use[0], use[1], use.attr("axis", 0) % use[0].rank
    for k, (a, b) in enumerate(zip(x.shape, indices.shape)):    # fewer rows of indices than of x
        if k != axis and isinstance(b, int) and a != b:
            x = x[(*(slice(None),) * k, slice(0, b))]
    return use.only(order.take_along_axis, x, indices, axis=axis)


def _flat_index(use: Use, indices: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """One number for each row of indices along the last axis: its place among `sizes` written out in one row."""
    depth = indices.shape[-1]
    if not isinstance(depth, int) or depth > len(sizes):
        raise NotInFlowlab(f"{use.op}: the last axis of its indices must be known")
    strides = np.array([prod(sizes[k + 1:depth]) for k in range(depth)], "int64")
    wide = arr.cast(indices, "int64") if indices.dtype.name != "int64" else indices
    limit = np.array(sizes[:depth], "int64")
    wide = arr.where(m.less(wide, np.array(0)), m.add(wide, limit), wide)
    return red.sum_(m.multiply(wide, strides), axis=-1)


@reads("GatherND")
def _(use: Use) -> Any:
    x, indices, b = use[0], use[1], use.attr("batch_dims", 0)
    sizes = use.sizes(0)
    depth = indices.shape[-1]
    flat = _flat_index(use, indices, sizes[b:])     # (batch…, rest…)
    if b:
        batch = sizes[:b]
        offset = np.arange(prod(batch), dtype="int64").reshape(batch + (1,) * (flat.rank - b)) * prod(sizes[b:b + depth])
        flat = m.add(flat, offset)
    rows = arr.reshape(x, (prod(sizes[:b + depth]), *sizes[b + depth:]))
    return arr.gather(rows, flat, axis=0)


@reads("ScatterND")
def _(use: Use) -> Any:
    x, indices, updates = use[0], use[1], use[2]
    sizes, depth, how = use.sizes(0), indices.shape[-1], use.attr("reduction", "none")
    flat = _flat_index(use, indices, sizes)
    rest = prod(sizes[depth:])
    rows = arr.reshape(x, (prod(sizes[:depth]), rest))
    flat = arr.reshape(flat, (-1,))
    news = arr.reshape(updates, (flat.shape[0] if isinstance(flat.shape[0], int) else -1, rest))
    return arr.reshape(order.scatter_reduce(rows, _wide(flat, rest), news, axis=0, reduction=how), sizes)


def _wide(flat: Tensor, columns: int) -> Tensor:
    return layout.tile(arr.expand_dims(flat, axis=1), reps=(1, columns))


@reads("ScatterElements", "Scatter")
def _(use: Use) -> Any:
    return use.only(order.scatter_reduce, use[0], use[1], use[2], axis=use.attr("axis", 0), reduction=use.attr("reduction", "none"))


@reads("TensorScatter")
def _(use: Use) -> Any:
    cache, update, axis = use[0], use[1], use.attr("axis", -2) % use[0].rank
    length = use.sizes(1)[axis]
    first = arr.reshape(use[2], (-1, *(1,) * (cache.rank - 1))) if use.has(2) else np.zeros((1,) * cache.rank, "int64")
    steps = np.arange(length).reshape([-1 if k == axis else 1 for k in range(cache.rank)])
    at = m.add(first, steps) if use.has(2) else steps
    if use.attr("mode", "linear") == "circular":
        at = m.mod(at, np.array(use.sizes(0)[axis]))
    return order.scatter_reduce(cache, arr.broadcast_to(at, shape=use.sizes(1)), update, axis=axis)


@reads("OneHot")
def _(use: Use) -> Any:
    indices, depth, axis = use[0], int(use.ints(1)[0]), use.attr("axis", -1)
    indices = indices if indices.dtype.kind in "iu" else arr.cast(indices, "int64")
    if indices.dtype.kind == "u":
        indices = arr.cast(indices, "int64")
    indices = arr.where(m.less(indices, number(indices, 0)), m.add(indices, number(indices, depth)), indices)
    hot = arr.one_hot(indices, depth=depth, dtype="float32")
    values = use[2]
    off, on = values[0], values[1]
    y = arr.where(m.greater(hot, np.float32(0.5)), on, off)
    axis = axis % y.rank
    if axis != y.rank - 1:
        around = list(range(y.rank - 1))
        around.insert(axis, y.rank - 1)
        y = arr.transpose(y, axes=tuple(around))
    return y


@reads("Compress")
def _(use: Use) -> Any:
    x, mask = use[0], use[1]
    if "axis" not in use.attributes:
        x = arr.reshape(x, (-1,))
        axis = 0
    else:
        axis = use.attr("axis") % x.rank
    size, length = x.shape[axis], mask.shape[0]
    if isinstance(size, int) and isinstance(length, int) and length < size:
        x = x[(*(slice(None),) * axis, slice(0, length))]
    at = arr.squeeze(order.argwhere(mask), axis=1)
    return arr.gather(x, at, axis=axis)


@reads("NonZero")
def _(use: Use) -> Any:
    return arr.transpose(order.argwhere(use[0]))


@reads("Where")
def _(use: Use) -> Any:
    return use.only(arr.where, use[0], use[1], use[2])


@reads("Trilu")
def _(use: Use) -> Any:
    x, k = use[0], int(use.ints(1)[0]) if use.has(1) else 0
    if x.dtype.kind == "b":
        rows, columns = use.sizes(0)[-2:]
        return logic.logical_and(x, np.triu(np.ones((rows, columns), bool), k) if use.attr("upper", 1) else np.tril(np.ones((rows, columns), bool), k))
    return use.only(layout.triu if use.attr("upper", 1) else layout.tril, x, k=max(min(k, 2**31), -2**31))


@reads("ReverseSequence")
def _(use: Use) -> Any:
    x = use[0]
    time, batch = use.attr("time_axis", 0), use.attr("batch_axis", 1)
    if (batch, time) == (0, 1):
        return use.only(reverse_sequence, x, use[1])
    swapped = layout.swapaxes(x, 0, 1)
    return layout.swapaxes(reverse_sequence(swapped, use[1]), 0, 1)


@reads("Unique")
def _(use: Use) -> Any:
    x = use[0]
    axis = use.attr("axis")
    made = unique_entries(x, axis=axis, ordered=bool(use.attr("sorted", 1)))
    return list(made)


# ---------------------------------------------------------------- blocks


@reads("SpaceToDepth")
def _(use: Use) -> Any:
    x, b = use[0], use.attr("blocksize")
    n, c, h, w = use.sizes(0)
    y = arr.transpose(arr.reshape(x, (n, c, h // b, b, w // b, b)), axes=(0, 1, 3, 5, 2, 4) if use.attr("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4))
    return arr.reshape(y, (n, c * b * b, h // b, w // b))


@reads("DepthToSpace")
def _(use: Use) -> Any:
    x, b = use[0], use.attr("blocksize")
    n, c, h, w = use.sizes(0)
    if use.attr("mode", "DCR") == "DCR":
        y = arr.transpose(arr.reshape(x, (n, b, b, c // (b * b), h, w)), axes=(0, 3, 4, 1, 5, 2))
    else:
        y = arr.transpose(arr.reshape(x, (n, c // (b * b), b, b, h, w)), axes=(0, 1, 4, 2, 5, 3))
    return arr.reshape(y, (n, c // (b * b), h * b, w * b))
