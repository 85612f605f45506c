"""Moving values about: shapes, slices, joins, look-ups, dtypes."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, ShapeError, plural
from ..core.graph import Tensor
from ..core.op import op
from ..core.shape import axes_in, axis_in, broadcast_shapes, meet, reshaped
from ..core.types import TensorType, shape_text
from .sizes import reshape_as, sum_to

# ---------------------------------------------------------------- shape


def _open(shape: tuple) -> list[int]:
    """The axes whose size is not a number."""
    return [k for k, d in enumerate(shape) if not isinstance(d, int) or d == -1]


def _reshape_type(x: TensorType, *, shape: tuple, **_: Any) -> TensorType:
    if len(_open(shape)) > 1:
        moved = next((d for k, d in enumerate(shape) if isinstance(d, str) and x.shape[k:k + 1] != (d,)), None)
        if moved is not None:
            raise AttributeValueError(f"reshape can work out one size, not several: {moved} is not on the same axis of {shape_text(x.shape)}.", port="shape",
                                      hint="Use fl.reshape_like(x, like) to take the sizes of another tensor.")
    return x.with_shape(reshaped(x, shape))


@op(infer=_reshape_type, category="array", aliases=("view", "flatten"), bounds="inputs", zh="变形")
def reshape(xp, x: Any, *, shape: NewShape):
    """Lay the same values out in another shape; one size may be −1 or a name, and is worked out.

    Several sizes may have names if each stands where x has it: ("batch", "time", -1).
    """
    named = len(_open(shape)) > 1
    return xp.reshape(x, tuple(d if isinstance(d, int) else x.shape[k] if named and isinstance(d, str) else -1 for k, d in enumerate(shape)))


@reshape.gradient
def _(node, g):
    return (lambda: reshape_as(g, node.inputs[0]),)


def _check_reshape(attrs: dict) -> None:
    if sum(d is None or d == -1 for d in attrs["shape"]) > 1:
        raise AttributeValueError("reshape can work out one size, not several.", port="shape", hint="Use fl.reshape_like(x, like) to take the sizes of another tensor.")


reshape.check = _check_reshape


def _reshaped_like(x: TensorType, like: TensorType, **_: Any) -> TensorType:
    if all(isinstance(d, int) for d in (*x.shape, *like.shape)):
        reshaped(x, like.shape)
    return x.with_shape(like.shape)


@op(infer=_reshaped_like, category="array", mixed=True, bounds="inputs", zh="变形为同形")
def reshape_like(xp, x: Any, like: Any):
    """Lay the values out in the shape of another tensor."""
    return xp.reshape(x, like.shape)


@reshape_like.gradient
def _(node, g):
    return lambda: reshape_as(g, node.inputs[0]), None


def _transposed(x: TensorType, *, axes: tuple[int, ...] | None, **_: Any) -> TensorType:
    if axes is None:
        return x.with_shape(x.shape[::-1])
    order = [axis_in(a, x.rank, attr="axes") for a in axes]
    if sorted(order) != list(range(x.rank)):
        raise AttributeValueError(f"transpose: axes {axes} do not name each of the {plural(x.rank, 'axis')} once.", port="axes")
    return x.with_shape(tuple(x.shape[a] for a in order))


@op(infer=_transposed, category="array", latex="x^T", aliases=("permute", "swap axes", ".T"), bounds="inputs", onnx="Transpose", onnx_attrs={"axes": "perm"}, zh="转置")
def transpose(xp, x: Any, *, axes: Ints = None):
    """Reorder the axes; back to front by default."""
    return xp.transpose(x, axes)


@transpose.gradient
def _(node, g):
    axes = node.attrs["axes"]
    back = None if axes is None else tuple(int(k) for k in np.argsort([a % len(axes) for a in axes]))
    return (lambda: transpose(g, axes=back),)


def _expanded(x: TensorType, *, axis: Any, **_: Any) -> TensorType:
    count = 1 if isinstance(axis, int) else len(axis)
    at = axes_in(axis, x.rank + count)
    rest = iter(x.shape)
    return x.with_shape(tuple(1 if k in at else next(rest) for k in range(x.rank + count)))


@op(infer=_expanded, category="array", aliases=("unsqueeze", "new axis", "add a dimension"), bounds="inputs", zh="增加维度")
def expand_dims(xp, x: Any, *, axis: Axis):
    """Put in an axis of size 1."""
    if not isinstance(axis, int):
        return xp.expand_dims(x, axis)
    return x[(*(slice(None),) * (axis if axis >= 0 else axis + x.ndim + 1), None)]     # the same, at a quarter of the cost


@expand_dims.gradient
def _(node, g):
    return (lambda: squeeze(g, axis=node.attrs["axis"]),)


def _squeezed(x: TensorType, *, axis: Any, **_: Any) -> TensorType:
    unknown = next((k for k, d in enumerate(x.shape) if not isinstance(d, int)), None)
    if axis is None and unknown is not None:  # it could turn out to be 1
        raise ShapeError(f"squeeze: the size of axis {unknown} of {shape_text(x.shape)} is not known.", port="x", axis=unknown, hint="Say which axes: axis=…")
    at = [k for k, d in enumerate(x.shape) if d == 1] if axis is None else axes_in(axis, x.rank)
    for k in at:
        if isinstance(x.shape[k], int) and x.shape[k] != 1:
            raise ShapeError(f"squeeze: axis {k} has size {x.shape[k]}, not 1.", port="x", axis=k)
    return x.with_shape(tuple(d for k, d in enumerate(x.shape) if k not in at))


@op(infer=_squeezed, category="array", aliases=("drop a dimension",), bounds="inputs", zh="压缩维度")
def squeeze(xp, x: Any, *, axis: Axis = None):
    """Take out axes of size 1."""
    return xp.squeeze(x, axis)


@squeeze.gradient
def _(node, g):
    return (lambda: reshape_as(g, node.inputs[0]),)


def _broadcast_to(x: TensorType, *, shape: tuple, word: str, **_: Any) -> TensorType:
    for axis, d in enumerate(shape):
        if not isinstance(d, int):
            raise AttributeValueError(f"broadcast_to: the size of axis {axis} is not a number.", port="shape", hint="Use fl.broadcast_like.")
    if broadcast_shapes([x.shape, shape], ("x", "shape"), word) != shape:
        raise ShapeError(f"broadcast_to: {shape_text(x.shape)} cannot be repeated to {shape_text(shape)}.", port="x")
    return x.with_shape(shape)


@op(infer=_broadcast_to, category="array", aliases=("repeat", "expand"), bounds="inputs", zh="广播")
def broadcast_to(xp, x: Any, *, shape: Shape):
    """Repeat the values to fill a larger shape."""
    return xp.broadcast_to(x, shape)


@broadcast_to.gradient
def _(node, g):
    return (lambda: sum_to(g, node.inputs[0]),)


def _broadcast_like(x: TensorType, like: TensorType, *, word: str, **_: Any) -> TensorType:
    met = broadcast_shapes([x.shape, like.shape], ("x", "like"), word)
    longer = len(met) - like.rank
    wrong = 0 if longer else next((k for k, (a, b) in enumerate(zip(met, like.shape)) if isinstance(a, int) and isinstance(b, int) and a != b), None)
    if wrong is not None:
        raise ShapeError(f"broadcast_like: {shape_text(x.shape)} cannot be repeated to {shape_text(like.shape)}.", port="x", axis=wrong + x.rank - len(met),
                         hint="Only sizes of 1 are repeated, and axes are added in front.")
    return x.with_shape(like.shape)


@op(infer=_broadcast_like, category="array", mixed=True, bounds="inputs", zh="广播为同形")
def broadcast_like(xp, x: Any, like: Any):
    """Repeat the values to fill the shape of another tensor."""
    return xp.broadcast_to(x, like.shape)


@broadcast_like.gradient
def _(node, g):
    return lambda: sum_to(g, node.inputs[0]), None


@op(infer=lambda x, **_: x, category="array", differentiable=False, zh="全零同形")
def zeros_like(xp, x: Any):
    """Make a tensor of zeros in the same shape."""
    return xp.zeros_like(x) if x.ndim else xp.zeros((), x.dtype)


@op(infer=lambda x, **_: x, category="array", differentiable=False, zh="全一同形")
def ones_like(xp, x: Any):
    """Make a tensor of ones in the same shape."""
    return xp.ones_like(x) if x.ndim else xp.ones((), x.dtype)


# ---------------------------------------------------------------- dtype, choice


@op(infer=lambda x, *, dtype, **_: TensorType(x.shape, np.dtype(dtype)), category="array", aliases=("astype", "convert", "to float"), bounds="inputs", zh="类型转换")
def cast(xp, x: Any, *, dtype: DType):
    """Turn the values into another dtype."""
    return x.astype(dtype)


@cast.gradient
def _(node, g):
    x, = node.inputs
    return (lambda: cast(g, x.dtype.name) if x.dtype.kind == "f" else None,)


def _where(condition: TensorType, x: TensorType, y: TensorType, *, ports: tuple, word: str, **_: Any) -> TensorType:
    return TensorType(broadcast_shapes([condition.shape, x.shape, y.shape], ports, word), x.dtype)


@op(infer=_where, category="array", aliases=("select", "if", "choose"), onnx="Where", zh="条件选择")
def where(xp, condition: Bool, x: Any, y: Any):
    """Take x where the condition holds, y elsewhere."""
    return xp.where(condition, x, y)


@where.gradient
def _(node, g):
    c, x, y = node.inputs
    return None, lambda: sum_to(where(c, g, zeros_like(g)), x), lambda: sum_to(where(c, zeros_like(g), g), y)


# ---------------------------------------------------------------- joining and splitting


def _concat(*types: TensorType, axis: int, ports: tuple, **_: Any) -> TensorType:
    first = types[0]
    axis = axis_in(axis, first.rank)
    total: Any = 0
    shape = list(first.shape)
    for t, port in zip(types, ports):
        if t.rank != first.rank:
            raise ShapeError(f"concat: {ports[0]} has {plural(first.rank, 'axis')}, {port} has {t.rank}.", port=port, hint="Use fl.stack or fl.expand_dims to add an axis.")
        for k, d in enumerate(t.shape):
            if k == axis:
                continue
            try:
                shape[k] = meet(shape[k], d)
            except ValueError:
                raise ShapeError(f"concat: axis {k} of {port} has {d}, of {ports[0]} {shape[k]}.", port=port, axis=k, hint=f"Only axis {axis} may differ.") from None
        total = total + t.shape[axis] if isinstance(total, int) and isinstance(t.shape[axis], int) else None
    shape[axis] = total if len(types) > 1 else first.shape[axis]
    return first.with_shape(tuple(shape))


@op(infer=_concat, category="array", aliases=("concatenate", "join", "cat"), bounds="inputs", onnx="Concat", zh="拼接")
def concat(xp, *xs: Any, axis: int = 0):
    """Join tensors end to end along an axis."""
    return xp.concatenate(xs, axis=axis)


@concat.gradient
def _(node, g):
    axis = axis_in(node.attrs["axis"], node.inputs[0].rank)
    sizes = [x.shape[axis] for x in node.inputs]
    if all(isinstance(s, int) for s in sizes):
        ends = np.cumsum(sizes).tolist()
        lead = (slice(None),) * axis
        return tuple((lambda a=e - s, b=e: g[(*lead, slice(a, b))]) for s, e in zip(sizes, ends))
    return tuple((lambda k=k: slice_like(g, node.inputs, position=k, axis=axis)) for k in range(len(sizes)))


def slice_like(g: Tensor, xs: Any, *, position: int, axis: int) -> Tensor:
    return _slice_like([g, *xs], position=position, axis=axis)


@op(infer=lambda *ts, position, **_: ts[0].with_shape(ts[position + 1].shape), type="SliceLike", category="array", mixed=True, listed=False, zh="按份切片")
def _slice_like(xp, *xs: Any, position: int, axis: int):
    """Cut out the part of xs.0 that one of the joined tensors made."""
    x, parts = xs[0], xs[1:]
    start = sum(p.shape[axis] for p in parts[:position])
    return x[(slice(None),) * axis + (slice(start, start + parts[position].shape[axis]),)]


@_slice_like.gradient
def _(node, g):
    x, *parts = node.inputs
    axis, at = node.attrs["axis"], node.attrs["position"]
    return (lambda: concat([g if k == at else zeros_like(p) for k, p in enumerate(parts)], axis=axis), *(None for _ in parts))


def _stack(*types: TensorType, axis: int, ports: tuple, **_: Any) -> TensorType:
    shape = list(types[0].shape)
    for t, port in zip(types, ports):
        if t.rank != len(shape):
            raise ShapeError(f"stack: {ports[0]} is {shape_text(types[0].shape)}, {port} is {shape_text(t.shape)}.", port=port)
        for k, d in enumerate(t.shape):
            try:
                shape[k] = meet(shape[k], d)
            except ValueError:
                raise ShapeError(f"stack: axis {k} of {port} has {d}, of {ports[0]} {shape[k]}.", port=port, axis=k, hint="All shapes must be equal.") from None
    at = axis_in(axis, len(shape) + 1)
    return types[0].with_shape((*shape[:at], len(types), *shape[at:]))


@op(infer=_stack, category="array", aliases=("pile",), bounds="inputs", zh="堆叠")
def stack(xp, *xs: Any, axis: int = 0):
    """Pile tensors of one shape up along a new axis."""
    return xp.stack(xs, axis=axis)


@stack.gradient
def _(node, g):
    at = axis_in(node.attrs["axis"], node.outputs[0].rank)
    return tuple((lambda k=k: g[(*(slice(None),) * at, k)]) for k in range(len(node.inputs)))


def _split(x: TensorType, *, n: int, axis: int, **_: Any) -> tuple[TensorType, ...]:
    at = axis_in(axis, x.rank)
    size = x.shape[at]
    if n < 1:
        raise AttributeValueError(f"split: n is {n}.", port="n", hint="Use 1 or more.")
    if n > 10_000:
        raise AttributeValueError(f"split: {plural(n, 'part')} are more than a graph should hold.", port="n", hint="Use at most 10,000.")
    if isinstance(size, int) and size % n:
        raise ShapeError(f"split: axis {at} has {plural(size, 'value')}, which {n} does not divide.", port="x", axis=at)
    part = size // n if isinstance(size, int) else (size if n == 1 else None)
    return (x.with_shape((*x.shape[:at], part, *x.shape[at + 1:])),) * n


@op(infer=_split, category="array", many=True, aliases=("cut", "chunk"), bounds="inputs", zh="拆分")
def split(xp, x: Any, *, n: int, axis: int = 0):
    """Cut a tensor into n equal parts along an axis."""
    return tuple(xp.split(x, n, axis=axis))


@split.gradient
def _(node, g):
    return (lambda: concat([d if d is not None else zeros_like(t) for d, t in zip(g, node.outputs)], axis=node.attrs["axis"]),)


# ---------------------------------------------------------------- indexing


def as_index(index: tuple) -> tuple:
    """The attribute's JSON form as Python's index."""
    return tuple(Ellipsis if p == "..." else slice(*p[1:]) if isinstance(p, tuple) else p for p in index)


def _sliced(x: TensorType, *, index: tuple, **_: Any) -> TensorType:
    parts = list(index)
    used = sum(p is not None and p != "..." for p in parts)
    if used > x.rank:
        raise ShapeError(f"slice: {plural(used, 'index')} for {shape_text(x.shape)}, which has {plural(x.rank, 'axis')}.", port="x")
    if "..." not in parts:
        parts.append("...")
    at = parts.index("...")
    parts[at:at + 1] = [("slice", None, None, None)] * (x.rank - used)
    shape: list[Any] = []
    axis = 0
    for p in parts:
        if p is None:
            shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(p, int):
            if isinstance(size, int) and not -size <= p < size:
                raise ShapeError(f"slice: index {p} is outside axis {axis}, which has {plural(size, 'value')}.", port="x", axis=axis, hint=f"Use −{size} to {size - 1}." if size else "")
        elif p == ("slice", None, None, None):
            shape.append(size)
        else:
            shape.append(len(range(*slice(*p[1:]).indices(size))) if isinstance(size, int) else None)
        axis += 1
    return x.with_shape(tuple(shape))


@op(infer=_sliced, type="Slice", function="slice", category="array", latex="x[i]", aliases=("index", "crop", "getitem"), bounds="inputs", zh="切片")
def slice_(xp, x: Any, *, index: Index):
    """Cut a part out of a tensor, with NumPy's index rules."""
    return x[as_index(index)]


@slice_.gradient
def _(node, g):
    return (lambda: slice_gradient(g, node.inputs[0], index=node.attrs["index"]),)


@op(infer=lambda g, like, **_: g.with_shape(like.shape), category="array", mixed=True, listed=False, zh="切片的梯度")
def slice_gradient(xp, g: Any, like: Any, *, index: Index):
    """Put the values back where a slice took them from, with zeros around."""
    out = xp.zeros(like.shape, dtype=g.dtype)
    out[as_index(index)] = g
    return out


@slice_gradient.gradient
def _(node, g):
    return lambda: slice_(g, index=node.attrs["index"]), None


def _gathered(x: TensorType, indices: TensorType, *, axis: int, **_: Any) -> TensorType:
    at = axis_in(axis, x.rank)
    return x.with_shape((*x.shape[:at], *indices.shape, *x.shape[at + 1:]))


@op(infer=_gathered, category="array", latex=r"x_{i}", aliases=("take", "look up", "embedding", "index"), bounds="inputs", onnx="Gather", zh="按下标取")
def gather(xp, x: Any, indices: Int, *, axis: int = 0):
    """Pick the entries with the given indices along an axis."""
    size = x.shape[axis]
    if indices.size and (int(indices.min()) < -size or int(indices.max()) >= size):
        raise IndexError(f"an index of {int(indices.max() if indices.max() >= size else indices.min())} is outside axis {axis}, which has {plural(size, 'entry')}")
    return xp.take(x, indices, axis=axis)


@gather.gradient
def _(node, g):
    return lambda: gather_gradient(g, node.inputs[1], node.inputs[0], axis=node.attrs["axis"]), None


@op(infer=lambda g, indices, like, **_: g.with_shape(like.shape), category="array", mixed=True, listed=False, zh="取数的梯度")
def gather_gradient(xp, g: Any, indices: Int, like: Any, *, axis: int = 0):
    """Add each value to the entry it was picked from."""
    axis = axis % like.ndim
    out = xp.zeros(like.shape, dtype=g.dtype)
    xp.add_at(out, (slice(None),) * axis + (indices,), g)
    return out


@gather_gradient.gradient
def _(node, g):
    return lambda: gather(g, node.inputs[1], axis=node.attrs["axis"]), None, None


def _one_hot(indices: TensorType, *, depth: int, dtype: str, **_: Any) -> TensorType:
    if depth < 1:
        raise AttributeValueError(f"one_hot: depth is {depth}.", port="depth", hint="Use the number of classes.")
    return TensorType((*indices.shape, depth), np.dtype(dtype))


@op(infer=_one_hot, category="array", differentiable=False, aliases=("onehot", "indicator"), bounds=(0, 1), zh="独热编码")
def one_hot(xp, indices: Int, *, depth: int, dtype: DType = "float32"):
    """Turn each class number into a row with a single 1; a number outside 0 … depth−1 gives a row of zeros."""
    return xp.equal(indices[..., None], xp.arange(depth), out=xp.workspace((*indices.shape, depth), dtype))


