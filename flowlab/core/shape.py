"""Shape arithmetic: what comes out when shapes meet, and errors that name the axis."""
from __future__ import annotations

from math import prod

from .errors import AttributeValueError, ShapeError, plural
from .types import Dim, Shape, TensorType, shape_text


def meet(a: Dim, b: Dim) -> Dim:
    """Two sizes that must be equal: the one that is known better. Raises ValueError when they cannot be equal."""
    if a == b:
        return a
    if isinstance(a, int) and isinstance(b, int):
        raise ValueError
    if isinstance(a, int) or b is None:
        return a
    return b


def broadcast_shapes(shapes: list[Shape], ports: tuple[str, ...], word: str) -> Shape:
    """The shape in which all `shapes` meet under NumPy's rule: axes are matched from the right, and a size of 1 is repeated."""
    rank = max(map(len, shapes), default=0)
    out: list[Dim] = []
    for k in range(rank):
        size: Dim = 1
        holder = None
        for shape, port in zip(shapes, ports):
            axis = k - (rank - len(shape))
            dim = shape[axis] if axis >= 0 else 1
            if dim == 1 or dim == size:
                continue
            if size == 1:
                size, holder = dim, (port, axis, shape)
            elif isinstance(dim, int) and isinstance(size, int):
                raise ShapeError(
                    f"{word}: {shape_text(holder[2])} and {shape_text(shape)} do not broadcast: axis {holder[1]} of {holder[0]} has {size}, axis {axis} of {port} has {dim}.",
                    port=port, axis=axis, hint="Sizes must be equal or 1. Transpose, reshape, or change one of them.")
            elif isinstance(dim, int):
                size, holder = dim, (port, axis, shape)  # an unknown size that meets a known one must turn out equal to it, or 1
            elif not isinstance(size, int):
                size = None  # two unknown sizes: either may turn out to be 1, and then the other one comes out
        out.append(size)
    return tuple(out)


def elementwise(*types: TensorType, ports: tuple[str, ...] = ("a", "b", "c"), word: str = "this", **others: object) -> TensorType:
    """Shape rule of operations that work element by element."""
    if not types:   # with an optional input left out, the others come by name
        types = tuple(t for t in others.values() if isinstance(t, TensorType))
    first = types[0]
    if all(t.shape == first.shape for t in types):
        return first
    return TensorType(broadcast_shapes([t.shape for t in types], ports, word), types[0].dtype)


def unchanged(x: TensorType, **_: object) -> TensorType:
    """Shape rule of operations whose output has the type of their one input."""
    return x


def axis_in(axis: int, rank: int, *, attr: str = "axis") -> int:
    """`axis` counted from the front; AttributeValueError if a tensor of that rank has no such axis."""
    if not -rank <= axis < rank:
        has = f"axes 0 to {rank - 1}" if rank > 1 else "axis 0 alone" if rank else "no axes"
        raise AttributeValueError(f"{attr} {axis} does not exist: the tensor has {has}.", port=attr, axis=axis)
    return axis % rank


def axes_in(axis: int | tuple[int, ...] | None, rank: int) -> tuple[int, ...]:
    """All the axes that a reduction runs over, in order; None means every axis."""
    if axis is None:
        return tuple(range(rank))
    axes = [axis_in(a, rank) for a in ((axis,) if isinstance(axis, int) else axis)]
    if len(set(axes)) < len(axes):
        raise AttributeValueError(f"axis {tuple(axes)} names an axis twice.", port="axis")
    return tuple(sorted(axes))


def reduced(x: TensorType, axis: int | tuple[int, ...] | None, keepdims: bool) -> Shape:
    """The shape that is left when the axes are summed away."""
    axes = axes_in(axis, x.rank)
    if keepdims:
        return tuple(1 if k in axes else d for k, d in enumerate(x.shape))
    return tuple(d for k, d in enumerate(x.shape) if k not in axes)


def matmul_shape(a: TensorType, b: TensorType) -> Shape:
    """Rows of `a` by columns of `b`; leading axes broadcast; a vector is a row on the left, a column on the right."""
    for t, port in ((a, "a"), (b, "b")):
        if not t.shape:
            raise ShapeError(f"matmul: {port} is a scalar.", port=port, hint="Use multiply for a scalar.")
    inner_a = a.shape[-1]
    inner_axis = max(b.rank - 2, 0)
    inner_b = b.shape[inner_axis]
    try:
        meet(inner_a, inner_b)
    except ValueError:
        flipped = b.rank == 2 and b.shape[1] == inner_a
        raise ShapeError(
            f"matmul: left columns {inner_a} ≠ right rows {inner_b}: cannot multiply {shape_text(a.shape)} by {shape_text(b.shape)}.",
            port="b", axis=inner_axis, hint="Transpose b?" if flipped else f"b needs {inner_a} rows, or a needs {inner_b} columns.") from None
    lead = broadcast_shapes([a.shape[:-2], b.shape[:-2]], ("a", "b"), "matmul")
    rows = a.shape[-2:-1]
    columns = b.shape[-1:] if b.rank > 1 else ()
    return (*lead, *rows, *columns)


def reshaped(x: TensorType, shape: Shape) -> Shape:
    """`shape` with its one −1 worked out, when the other sizes are known."""
    free = [k for k, d in enumerate(shape) if d == -1]
    if len(free) > 1:
        raise AttributeValueError("reshape can work out one size of −1, not several.", port="shape")
    # unknown sizes with a name cancel when they stand on both sides
    left, right = list(x.shape), [d for d in shape if d != -1]
    for d in [d for d in right if isinstance(d, str)]:
        if d in left:
            left.remove(d)
            right.remove(d)
    known = all(isinstance(d, int) for d in left) and all(isinstance(d, int) for d in right)
    if not known:
        if free and all(isinstance(d, int) for d in right):  # one unknown left over and the rest divides: it moves as it is
            names = [d for d in left if not isinstance(d, int)]
            rest = prod(d for d in left if isinstance(d, int))
            if len(names) == 1 and rest == prod(right):
                return tuple(names[0] if k == free[0] else d for k, d in enumerate(shape))
        return tuple(None if d == -1 else d for d in shape)
    have, want = prod(left), prod(right)
    if free:
        if want == 0 or have % want:
            raise ShapeError(f"reshape: {shape_text(x.shape)} has {plural(have, 'value')}, which {want} does not divide.", port="x", hint="Change the shape.")
        return tuple(have // want if d == -1 else d for d in shape)
    if have != want:
        raise ShapeError(f"reshape: {shape_text(x.shape)} has {plural(have, 'value')}, {shape_text(shape)} has {want}.", port="x", hint="Use −1 for one size to have it worked out.")
    return tuple(shape)
