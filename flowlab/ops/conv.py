"""Convolution and pooling: a small window moves over the last axes. Images are (batch, channels, height, width), kernels (out, in, height, width).

The kernels work with the batch last in memory, so that every inner loop runs over a whole batch; results are views of such arrays, and what is
computed from them keeps that order. One declaration serves one, two and three axes.
"""
from __future__ import annotations

from math import prod
from typing import Any

from ..core.errors import AttributeValueError, ShapeError, plural
from ..core.op import Op, op
from ..core.shape import meet
from ..core.types import Dim, TensorType, shape_text

COLUMNS = 1 << 17       # values of the input laid out in columns at a time: what the cache holds
WIDTH = 1 << 9          # and at least so many columns, or the product is not worth its call


# ---------------------------------------------------------------- how many windows there are


def _each(values: tuple[int, ...], n: int) -> tuple[int, ...]:
    return values * n if len(values) == 1 else values


def zeros_around(size: int, window: int, stride: int, padding: Any, axis: int) -> tuple[int, int]:
    """How many zeros stand before and after an axis."""
    if padding == "valid":
        return 0, 0
    if padding == "same":  # as many windows as a stride goes into the size; an odd zero comes after
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        return total // 2, total - total // 2
    return (padding, padding) if isinstance(padding, int) else padding[axis]


def _windows(size: int, window: int, stride: int, padding: Any, axis: int) -> tuple[int, int, int]:
    """(zeros before, zeros after, number of windows) along one axis."""
    before, after = zeros_around(size, window, stride, padding, axis)
    return before, after, (size + before + after - window) // stride + 1


def _out_dim(word: str, size: Dim, extent: Dim, stride: int, padding: Any, dilation: int, axis: int, port: str = "w") -> Dim:
    """The size that comes out along one axis, as far as it is known."""
    if isinstance(size, int) and isinstance(extent, int):
        window = dilation * (extent - 1) + 1
        before, after, count = _windows(size, window, stride, padding, axis)
        if count < 1 or extent < 1:
            raise ShapeError(f"{word}: axis {axis + 2} of x has {plural(size, 'value')}, and a window of {window} does not fit in: "
                             f"⌊({size} + {before} + {after} − {dilation}·({extent} − 1) − 1) / {stride}⌋ + 1 = {plural(count, 'value')} would come out.",
                             port="x", axis=axis + 2, hint='Use a smaller window or dilation, or padding="same".')
        return count
    if padding == "same" and stride == 1:
        return size
    if isinstance(extent, int) and stride == 1 and padding != "valid" and sum(zeros_around(0, 1, 1, padding, axis)) == dilation * (extent - 1):
        return size
    return None


def _check_attrs(n: int, word: str) -> Any:
    def check(attrs: dict) -> None:
        for name, low in (("stride", 1), ("dilation", 1), ("size", 1), ("output_padding", 0)):
            values = attrs.get(name)
            if values is None:
                continue
            if len(values) not in (1, n):
                raise AttributeValueError(f"{word}: {name} has {plural(len(values), 'number')}.", port=name, hint=f"Give one, or one for each of the {plural(n, 'axis')}.")
            if min(values) < low:
                raise AttributeValueError(f"{word}: {name} is {min(values)}.", port=name, hint=f"Use whole numbers from {low} on.")
        if attrs.get("groups", 1) < 1:
            raise AttributeValueError(f"{word}: groups is {attrs['groups']}.", port="groups", hint="Use 1 or more.")
        padding = attrs.get("padding", 0)
        if isinstance(padding, tuple):
            if len(padding) != n:
                raise AttributeValueError(f"{word}: padding has {plural(len(padding), 'pair')}.", port="padding", hint=f"Give one (before, after) for each of the {plural(n, 'axis')}.")
        if "output_padding" in attrs and isinstance(padding, str):
            raise AttributeValueError(f"{word}: padding is {padding!r}.", port="padding", hint="Give it in numbers.")
    return check


def _ranked(word: str, t: TensorType, port: str, rank: int, axes: str) -> None:
    if t.rank != rank:
        raise ShapeError(f"{word}: {port} is {shape_text(t.shape)}.", port=port, hint=f"It takes {plural(rank, 'axis')}: {axes}.")


def _conv_rule(n: int, word: str) -> Any:
    names = ", ".join(("depth", "height", "width")[-n:] if n > 1 else ("length",))

    def rule(x: TensorType, w: TensorType, *, stride: tuple, padding: Any, dilation: tuple, groups: int, **_: Any) -> TensorType:
        _ranked(word, x, "x", n + 2, f"(batch, channels, {names})")
        _ranked(word, w, "w", n + 2, f"(out, in, {names})")
        inside = w.shape[1] * groups if isinstance(w.shape[1], int) else None
        try:
            meet(x.shape[1], inside)
        except ValueError:
            each = f" in each of {groups} groups" if groups > 1 else ""
            raise ShapeError(f"{word}: x has {plural(x.shape[1], 'channel')}, the kernel reads {w.shape[1]}{each}.", port="w", axis=1,
                             hint=f"Axis 1 of x {shape_text(x.shape)} must be groups times axis 1 of w {shape_text(w.shape)}.") from None
        if isinstance(w.shape[0], int) and w.shape[0] % groups:
            raise ShapeError(f"{word}: {plural(w.shape[0], 'filter')} cannot be divided into {plural(groups, 'group')}.", port="w", axis=0)
        s, d = _each(stride, n), _each(dilation, n)
        dims = tuple(_out_dim(word, x.shape[2 + k], w.shape[2 + k], s[k], padding, d[k], k) for k in range(n))
        return x.with_shape((x.shape[0], w.shape[0], *dims))
    return rule


# ---------------------------------------------------------------- the arithmetic, batch last


class _Plan:
    """Where the windows of one convolution lie: sizes, zeros around, and the slices that a kernel's taps read."""

    def __init__(self, shape: tuple[int, ...], kernel: tuple[int, ...], stride: tuple, padding: Any, dilation: tuple, groups: int = 1):
        n = len(shape) - 2
        self.stride, self.dilation = _each(stride, n), _each(dilation, n)
        self.batch, self.channels, self.sizes, self.extents = shape[0], shape[1], shape[2:], kernel[2:]
        if self.channels != kernel[1] * groups:
            raise ValueError(f"x has {plural(self.channels, 'channel')}, the kernel reads {kernel[1]} in each of {plural(groups, 'group')}")
        rows = [_windows(size, d * (k - 1) + 1, s, padding, axis)
                for axis, (size, k, s, d) in enumerate(zip(self.sizes, self.extents, self.stride, self.dilation))]
        self.before, self.after, self.out = (tuple(r[j] for r in rows) for j in range(3))
        if min(self.out, default=1) < 1:
            raise ValueError(f"windows of {self.extents} do not fit into {self.sizes}")
        self.padded = tuple(b + s + a for b, s, a in zip(self.before, self.sizes, self.after))
        self.inside = (slice(None), *(slice(b, b + s) for b, s in zip(self.before, self.sizes)))

    def taps(self) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """One (position in the kernel, slice of the padded input that it meets) a tap."""
        found: list[tuple[tuple[int, ...], tuple[slice, ...]]] = [((), ())]
        for extent, s, d, out in zip(self.extents, self.stride, self.dilation, self.out):
            found = [((*at, k), (*cut, slice(k * d, k * d + (out - 1) * s + 1, s))) for at, cut in found for k in range(extent)]
        return found

    def blocks(self, per_row: int) -> list[tuple[int, int]]:
        """Ranges of the first axis that comes out, each with about COLUMNS values in its columns, of which a row has `per_row`."""
        step = max(1, COLUMNS // max(1, per_row), -(-WIDTH // max(1, prod(self.out[1:]) * self.batch)))
        return [(a, min(a + step, self.out[0])) for a in range(0, self.out[0], step)]

    def row(self, cut: tuple[slice, ...], a: int, b: int) -> tuple[slice, ...]:
        """The part of a tap's slice that makes the rows a to b of the result."""
        s = self.stride[0]
        start = cut[0].start + a * s
        return (slice(None), slice(start, start + (b - a - 1) * s + 1, s), *cut[1:])


def _batch_last(xp, x, plan=None):
    """x as (channels, …, batch), contiguous, with the zeros around that `plan` asks for."""
    n = x.ndim - 2
    x = xp.transpose(x, (*range(1, n + 2), 0))
    if plan is None or plan.padded == plan.sizes:
        return xp.ascontiguousarray(x)
    out = xp.workspace((x.shape[0], *plan.padded, x.shape[-1]), x.dtype)
    out[...] = 0
    out[plan.inside] = x
    return out


def _batch_first(xp, x):
    return xp.transpose(x, (x.ndim - 1, *range(x.ndim - 1)))


def _windows_of(xp, source, plan):
    """A view of the padded input, channels first and batch last, with what each tap of the kernel meets: (channels, …kernel, …places, batch)."""
    steps = source.strides
    inner = steps[1:-1]
    return xp.windows(source, (plan.channels, *plan.extents, *plan.out, plan.batch),
                      (steps[0], *(s * d for s, d in zip(inner, plan.dilation)), *(s * d for s, d in zip(inner, plan.stride)), steps[-1]))


def _columns(xp, windows, plan, a, b):
    """What each tap of the kernel meets, for the rows a to b of the result: (channels, taps, rows · … · batch)."""
    n = len(plan.extents)
    rows = (b - a, *plan.out[1:])
    columns = xp.workspace((plan.channels, *plan.extents, *rows, plan.batch), windows.dtype)
    columns[...] = windows[(*(slice(None),) * (1 + n), slice(a, b))]
    return columns.reshape(plan.channels, prod(plan.extents), prod(rows) * plan.batch)


def _conv(xp, x, w, stride, padding, dilation, groups):
    plan = _Plan(x.shape, w.shape, stride, padding, dilation, groups)
    windows, taps = _windows_of(xp, _batch_last(xp, x, plan), plan), prod(plan.extents)
    filters = w.shape[0]
    weights = w.reshape(groups, filters // groups, w.shape[1] * taps)
    width = prod(plan.out[1:]) * plan.batch
    out = xp.workspace((filters, *plan.out, plan.batch), x.dtype)
    flat = out.reshape(groups, filters // groups, plan.out[0] * width)
    for a, b in plan.blocks(plan.channels * taps * width):
        columns = _columns(xp, windows, plan, a, b).reshape(groups, weights.shape[2], (b - a) * width)
        for group in range(groups):
            xp.matmul(weights[group], columns[group], flat[group][:, a * width:b * width])
    return _batch_first(xp, out)


def _by_input(xp, g, w, shape, stride, padding, dilation, groups):
    plan = _Plan(shape, w.shape, stride, padding, dilation, groups)
    filters, taps = w.shape[0], plan.taps()
    if g.shape != (plan.batch, filters, *plan.out):
        raise ValueError(f"the derivative has shape {g.shape}, the convolution gives {(plan.batch, filters, *plan.out)}")
    width = prod(plan.out[1:]) * plan.batch
    upstream = _batch_last(xp, g).reshape(groups, filters // groups, plan.out[0] * width)
    inside, first = plan.channels // groups, plan.extents[0]
    each = prod(plan.extents[1:])
    # one slice of the kernel at a time, so that what the product gives is still in the cache when it is added up; a tap's values lie together
    weights = xp.ascontiguousarray(xp.transpose(w.reshape(groups, filters // groups, inside, first, each), (3, 0, 4, 2, 1))).reshape(first, groups, each * inside, filters // groups)
    out = xp.workspace((plan.channels, *plan.padded, plan.batch), g.dtype)
    out[...] = 0
    apart = out.reshape(groups, inside, *out.shape[1:])
    plain = groups == 1 and len(plan.extents) == 2 and set(plan.stride) == set(plan.dilation) == {1}
    at_once = xp.compiled("add_taps", g.dtype, out.size) if plain else None
    for a, b in plan.blocks(inside * groups * each * width // 2):
        columns = xp.workspace((groups, each * inside, (b - a) * width), g.dtype)
        seen = columns.reshape(groups, each, inside, b - a, *plan.out[1:], plan.batch)
        for k in range(first):
            for group in range(groups):
                xp.matmul(weights[k, group], upstream[group][:, a * width:b * width], columns[group])
            if at_once is not None:
                at_once(seen[0], out, a + k)
                continue
            for t in range(each):
                part = apart[(slice(None), *plan.row(taps[k * each + t][1], a, b))]
                xp.add(part, seen[:, t], part)
    return _batch_first(xp, out[plan.inside])


def _by_kernel(xp, x, g, shape, stride, padding, dilation, groups):
    plan = _Plan(x.shape, shape, stride, padding, dilation, groups)
    filters = shape[0]
    if g.shape != (plan.batch, filters, *plan.out):
        raise ValueError(f"the derivative has shape {g.shape}, the convolution gives {(plan.batch, filters, *plan.out)}")
    windows, taps = _windows_of(xp, _batch_last(xp, x, plan), plan), prod(plan.extents)
    width = prod(plan.out[1:]) * plan.batch
    upstream = xp.transpose(_batch_last(xp, g).reshape(groups, filters // groups, plan.out[0] * width), (0, 2, 1))
    inside = plan.channels // groups * taps
    total = xp.zeros((groups, inside, filters // groups), x.dtype)
    for a, b in plan.blocks(plan.channels * taps * width):
        columns = _columns(xp, windows, plan, a, b).reshape(groups, inside, (b - a) * width)
        for group in range(groups):  # columns on the left: twice as fast as the other way round
            total[group] += xp.matmul(columns[group], upstream[group][a * width:b * width])
    return xp.transpose(total, (0, 2, 1)).reshape(shape)


# ---------------------------------------------------------------- pooling


def _pool_rule(n: int, word: str) -> Any:
    names = ", ".join(("depth", "height", "width")[-n:] if n > 1 else ("length",))

    def rule(x: TensorType, *, size: tuple, stride: tuple | None, padding: Any, **_: Any) -> TensorType:
        _ranked(word, x, "x", n + 2, f"(batch, channels, {names})")
        k = _each(size, n)
        s = k if stride is None else _each(stride, n)
        for axis in range(n):
            if isinstance(x.shape[2 + axis], int):
                before, after = zeros_around(x.shape[2 + axis], k[axis], s[axis], padding, axis)
                if max(before, after) >= k[axis]:
                    raise AttributeValueError(f"{word}: padding of {max(before, after)} is not less than the window of {k[axis]}.", port="padding", axis=axis + 2,
                                              hint="Some windows would see no value.")
        dims = (_out_dim(word, x.shape[2 + axis], k[axis], s[axis], padding, 1, axis) for axis in range(n))
        return x.with_shape((*x.shape[:2], *dims))
    return rule


def _pool_plan(shape, size, stride, padding):
    n = len(shape) - 2
    size = _each(size, n)
    return _Plan(shape, (1, shape[1], *size), size if stride is None else stride, padding, (1,))


def _filled(xp, x, plan, value):
    """x with `value` around it, axes in its own order."""
    if plan.padded == plan.sizes:
        return x
    out = xp.empty((plan.channels, *plan.padded, plan.batch), x.dtype)
    out[...] = value
    out[plan.inside] = xp.transpose(x, (*range(1, x.ndim), 0))
    return _batch_first(xp, out)


def _look(cut):
    return (slice(None), slice(None), *cut)


def _max_pool(xp, x, size, stride, padding):
    plan = _pool_plan(x.shape, size, stride, padding)
    x = _filled(xp, x, plan, -float("inf"))
    cuts = [_look(cut) for _, cut in plan.taps()]
    if len(cuts) == 1:
        return x[cuts[0]].copy()
    first = x[cuts[0]]
    out = xp.maximum(first, x[cuts[1]], out=xp.workspace(first.shape, x.dtype, x))
    for cut in cuts[2:]:
        xp.maximum(out, x[cut], out=out)
    return out


def _winners(xp, x, y, plan):
    """One (slice, mask) a tap: where it holds the first largest value of its window. The mask is used before the next one is asked for."""
    cuts = [_look(cut) for _, cut in plan.taps()]
    won, free = (xp.workspace(y.shape, "bool", y) for _ in range(2))
    for k, cut in enumerate(cuts):
        if k and k == len(cuts) - 1:  # a window whose largest is not a number has no equal: the last tap takes what is left
            yield cut, free
            return
        xp.equal(x[cut], y, won)
        if not k:
            xp.logical_not(won, free)
        else:
            xp.logical_and(won, free, won)
            xp.logical_xor(free, won, free)
        yield cut, won


def _max_pool_back(xp, x, y, g, size, stride, padding):
    plan = _pool_plan(x.shape, size, stride, padding)
    if g.strides != y.strides:      # as a dense layer gives it; side by side two layouts take six times as long
        laid = xp.workspace(y.shape, g.dtype, y)
        laid[...] = g
        g = laid
    x = _filled(xp, x, plan, -float("inf"))
    out = xp.workspace(x.shape, x.dtype, x)
    apart = all(s >= k for s, k in zip(plan.stride, plan.extents))
    if not apart or any(s > k or out * s != padded for s, k, out, padded in zip(plan.stride, plan.extents, plan.out, plan.padded)):
        out[...] = 0
    at_once = xp.compiled("max_pool_gradient", x.dtype, x.size) if apart and len(plan.extents) == 2 and all(o * k == p for o, k, p in zip(plan.out, plan.extents, plan.padded)) else None
    if at_once is not None:
        last = [xp.transpose(v, (1, 2, 3, 0)) for v in (x, y, g, out)]
        if all(v.flags.c_contiguous for v in last):
            at_once(*last)
            return out[_look(plan.inside[1:])]
    for cut, won in _winners(xp, x, y, plan):
        part = out[cut]
        if apart:
            xp.multiply(g, won, part)
        else:
            xp.add(part, xp.multiply(g, won), part)
    return out[_look(plan.inside[1:])]


def _max_pool_pick(xp, x, y, d, size, stride, padding):
    plan = _pool_plan(x.shape, size, stride, padding)
    x, d = _filled(xp, x, plan, -float("inf")), _filled(xp, d, plan, 0)
    out = None
    for cut, won in _winners(xp, x, y, plan):
        part = xp.multiply(d[cut], won, xp.workspace(y.shape, d.dtype, y))
        out = part if out is None else xp.add(out, part, out)
    return out


def _share(xp, plan, dtype, count_padding):
    """What each window's sum is multiplied by."""
    if count_padding or plan.padded == plan.sizes:
        return 1 / prod(plan.extents)
    one = xp.zeros((1, 1, *plan.padded), dtype)
    one[_look(plan.inside[1:])] = 1
    return 1 / sum(one[_look(cut)] for _, cut in plan.taps())


def _avg_pool(xp, x, size, stride, padding, count_padding):
    plan = _pool_plan(x.shape, size, stride, padding)
    x = _filled(xp, x, plan, 0)
    total = None
    for _, cut in plan.taps():
        part = x[_look(cut)]
        if total is None:
            total = xp.workspace(part.shape, x.dtype, x)
            total[...] = part
        else:
            xp.add(total, part, total)
    return xp.multiply(total, _share(xp, plan, x.dtype, count_padding), total)


def _avg_pool_back(xp, g, shape, size, stride, padding, count_padding):
    plan = _pool_plan(shape, size, stride, padding)
    each = g * _share(xp, plan, g.dtype, count_padding)
    out = _batch_first(xp, xp.zeros((plan.channels, *plan.padded, plan.batch), g.dtype))
    for _, cut in plan.taps():
        part = out[_look(cut)]
        xp.add(part, each, part)
    return out[_look(plan.inside[1:])]


# ---------------------------------------------------------------- the declarations, for one, two and three axes


def _like(t: TensorType, like: TensorType) -> TensorType:
    return t.with_shape(like.shape)


_FORMULA = {1: r"y_{o,t} = \sum_{c,i} w_{o,c,i}\, x_{c,t+i}", 2: r"y_{o,h,w} = \sum_{c,i,j} w_{o,c,i,j}\, x_{c,h+i,w+j}",
            3: r"y_{o,d,h,w} = \sum_{c,i,j,k} w_{o,c,i,j,k}\, x_{c,d+i,h+j,w+k}"}
_OVER = {1: "a sequence", 2: "an image", 3: "a volume"}
_ALONG = {1: "length", 2: "height, width", 3: "depth, height, width"}
_ZH = {1: "一维", 2: "二维", 3: "三维"}


def _convolution(n: int) -> tuple[Op, Op, Op, Op]:
    word, name, axes = f"conv{n}d", f"Conv{n}D", _ALONG[n]

    def forward(xp, x: Float, w: Float, *, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: int = 1):
        return _conv(xp, x, w, stride, padding, dilation, groups)

    forward.__doc__ = f"""Slide every filter over {_OVER[n]} and measure how well it matches at each place.

    x (batch, in, {axes}), w (out, in / groups, {axes}). The size that comes out along an axis is
    ⌊(size + before + after − dilation·(kernel − 1) − 1) / stride⌋ + 1. padding: a number, one (before, after) an axis, "same" or "valid".
    """
    conv = op(infer=_conv_rule(n, word), type=name, function=word, category="conv", latex=_FORMULA[n], zh=f"{_ZH[n]}卷积",
              aliases=("convolution", "filter", "cross-correlation", "卷积", *(("image",) if n == 2 else ())))(forward)

    def by_input(xp, g: Float, w: Float, like: Any, *, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: int = 1):
        return _by_input(xp, g, w, like.shape, stride, padding, dilation, groups)

    by_input.__doc__ = "Carry the error of a convolution back to its input: every value collects from the windows that saw it."
    input_gradient = op(infer=lambda g, w, like, **_: _like(g, like), type=f"{name}InputGradient", function=f"{word}_input_gradient", category="conv", mixed=True,
                        listed=False, zh=f"{_ZH[n]}卷积输入梯度")(by_input)

    def by_kernel(xp, x: Float, g: Float, like: Any, *, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: int = 1):
        return _by_kernel(xp, x, g, like.shape, stride, padding, dilation, groups)

    by_kernel.__doc__ = "Carry the error of a convolution back to its kernel: every weight collects from all the places where it was used."
    kernel_gradient = op(infer=lambda x, g, like, **_: _like(x, like), type=f"{name}KernelGradient", function=f"{word}_kernel_gradient", category="conv", mixed=True,
                         listed=False, zh=f"{_ZH[n]}卷积核梯度")(by_kernel)

    transposed_word = f"conv_transpose{n}d"

    def transposed_rule(x: TensorType, w: TensorType, *, stride: tuple, padding: Any, output_padding: tuple, dilation: tuple, groups: int, **_: Any) -> TensorType:
        _ranked(transposed_word, x, "x", n + 2, f"(batch, channels, {axes})")
        _ranked(transposed_word, w, "w", n + 2, f"(in, out, {axes})")
        try:
            meet(x.shape[1], w.shape[0])
        except ValueError:
            raise ShapeError(f"{transposed_word}: x has {plural(x.shape[1], 'channel')}, the kernel takes {w.shape[0]}.", port="w", axis=0,
                             hint=f"Axis 0 of w {shape_text(w.shape)} is axis 1 of x {shape_text(x.shape)}.") from None
        if isinstance(w.shape[0], int) and w.shape[0] % groups:
            raise ShapeError(f"{transposed_word}: {plural(w.shape[0], 'channel')} cannot be divided into {plural(groups, 'group')}.", port="w", axis=0)
        return x.with_shape((x.shape[0], w.shape[1] * groups if isinstance(w.shape[1], int) else w.shape[1] if groups == 1 else None,
                             *_grown(transposed_word, x.shape[2:], w.shape[2:], _each(stride, n), padding, _each(output_padding, n), _each(dilation, n))))

    def transposed(xp, x: Float, w: Float, *, stride: Ints = 1, padding: Padding = 0, output_padding: Ints = 0, dilation: Ints = 1, groups: int = 1):
        if x.shape[1] != w.shape[0]:
            raise ValueError(f"x has {plural(x.shape[1], 'channel')}, the kernel takes {w.shape[0]}")
        sizes = _grown(transposed_word, x.shape[2:], w.shape[2:], _each(stride, n), padding, _each(output_padding, n), _each(dilation, n))
        return _by_input(xp, x, w, (x.shape[0], w.shape[1] * groups, *sizes), stride, padding, dilation, groups)

    transposed.__doc__ = f"""Lay every filter down, scaled, at each place of {_OVER[n]}, and add up: a convolution the other way round.

    x (batch, in, {axes}), w (in, out / groups, {axes}). The size that comes out along an axis is
    (size − 1)·stride − before − after + dilation·(kernel − 1) + 1 + output_padding, with output_padding below stride.
    """
    conv_transpose = op(infer=transposed_rule, type=f"ConvTranspose{n}D", function=transposed_word, category="conv", zh=f"{_ZH[n]}转置卷积",
                        aliases=("deconvolution", "upsample", "反卷积"))(transposed)

    conv.check = input_gradient.check = kernel_gradient.check = _check_attrs(n, word)
    conv_transpose.check = _check_attrs(n, transposed_word)

    @conv.gradient
    def _(node, g):
        x, w = node.inputs
        return lambda: input_gradient(g, w, x, **node.attrs), lambda: kernel_gradient(x, g, w, **node.attrs)

    @input_gradient.gradient
    def _(node, d):
        g, w, _x = node.inputs
        return lambda: conv(d, w, **node.attrs), lambda: kernel_gradient(d, g, w, **node.attrs), None

    @kernel_gradient.gradient
    def _(node, d):
        x, g, _w = node.inputs
        return lambda: input_gradient(g, d, x, **node.attrs), lambda: conv(x, d, **node.attrs), None

    @conv_transpose.gradient
    def _(node, g):
        x, w = node.inputs
        attrs = {k: v for k, v in node.attrs.items() if k != "output_padding"}
        return lambda: conv(g, w, **attrs), lambda: kernel_gradient(g, x, w, **attrs)

    return conv, input_gradient, kernel_gradient, conv_transpose


def _grown(word: str, sizes: Any, extents: Any, stride: tuple, padding: Any, extra: tuple, dilation: tuple) -> tuple:
    """The sizes that come out of a transposed convolution, as far as they are known."""
    out: list[Dim] = []
    for axis, (size, extent, s, e, d) in enumerate(zip(sizes, extents, stride, extra, dilation)):
        if e >= max(s, 1):
            raise AttributeValueError(f"{word}: output_padding {e} is not below the stride of {s}.", port="output_padding", axis=axis + 2)
        if not (isinstance(size, int) and isinstance(extent, int)):
            out.append(None)
            continue
        before, after = zeros_around(size, 1, 1, padding, axis)
        grown = (size - 1) * s - before - after + d * (extent - 1) + 1 + e
        if grown < 1 and size:
            raise ShapeError(f"{word}: ({size} − 1)·{s} − {before} − {after} + {d}·({extent} − 1) + 1 + {e} = {plural(grown, 'value')} would come out of axis {axis + 2}.",
                             port="x", axis=axis + 2, hint="Use less padding.")
        out.append(max(grown, 0))
    return tuple(out)


def _pooling(n: int) -> tuple[Op, ...]:
    zh = _ZH[n]

    def largest(xp, x: Float, *, size: Ints, stride: Ints = None, padding: Padding = 0):
        return _max_pool(xp, x, size, stride, padding)

    largest.__doc__ = f"""Pick the largest value in each window.

    x (batch, channels, {_ALONG[n]}); stride is the window's size unless given. At a tie the first one gets the gradient.
    """
    max_pool = op(infer=_pool_rule(n, f"max_pool{n}d"), type=f"MaxPool{n}D", function=f"max_pool{n}d", category="conv", latex=r"\max_{i \in \text{window}} x_i",
                  aliases=("pooling", "downsample", "池化"), zh=f"{zh}最大池化")(largest)

    def largest_back(xp, x: Any, y: Any, g: Float, *, size: Ints, stride: Ints = None, padding: Padding = 0):
        """Give each window's error to the place that its largest value came from."""
        return _max_pool_back(xp, x, y, g, size, stride, padding)

    gradient = op(infer=lambda x, y, g, **_: _like(g, x), type=f"MaxPool{n}DGradient", function=f"max_pool{n}d_gradient", category="conv", mixed=True, listed=False,
                  zh=f"{zh}最大池化梯度")(largest_back)

    def pick(xp, x: Any, y: Any, d: Float, *, size: Ints, stride: Ints = None, padding: Padding = 0):
        """Take from d what stands where the largest value of each window of x stands."""
        return _max_pool_pick(xp, x, y, d, size, stride, padding)

    picked = op(infer=lambda x, y, d, **_: _like(d, y), type=f"MaxPool{n}DPick", function=f"max_pool{n}d_pick", category="conv", mixed=True, listed=False,
                zh=f"{zh}最大池化选取")(pick)

    def average(xp, x: Float, *, size: Ints, stride: Ints = None, padding: Padding = 0, count_padding: bool = True):
        return _avg_pool(xp, x, size, stride, padding, count_padding)

    average.__doc__ = f"""Average the values in each window.

    x (batch, channels, {_ALONG[n]}); stride is the window's size unless given; `count_padding` says whether the zeros around count as values.
    """
    avg_pool = op(infer=_pool_rule(n, f"avg_pool{n}d"), type=f"AvgPool{n}D", function=f"avg_pool{n}d", category="conv",
                  latex=r"\frac{1}{k}\sum_{i \in \text{window}} x_i", aliases=("pooling", "downsample", "mean pool", "池化"), zh=f"{zh}平均池化")(average)

    def average_back(xp, g: Float, like: Any, *, size: Ints, stride: Ints = None, padding: Padding = 0, count_padding: bool = True):
        """Share each window's error out among its values."""
        return _avg_pool_back(xp, g, like.shape, size, stride, padding, count_padding)

    avg_gradient = op(infer=lambda g, like, **_: _like(g, like), type=f"AvgPool{n}DGradient", function=f"avg_pool{n}d_gradient", category="conv", mixed=True,
                      listed=False, zh=f"{zh}平均池化梯度")(average_back)

    for made in (max_pool, gradient, picked, avg_pool, avg_gradient):
        made.check = _check_attrs(n, made.word)

    @max_pool.gradient
    def _(node, g):
        return (lambda: gradient(node.inputs[0], node.outputs[0], g, **node.attrs),)

    @gradient.gradient
    def _(node, d):
        return None, None, lambda: picked(node.inputs[0], node.inputs[1], d, **node.attrs)

    @picked.gradient
    def _(node, g):
        return None, None, lambda: gradient(node.inputs[0], node.inputs[1], g, **node.attrs)

    @avg_pool.gradient
    def _(node, g):
        return (lambda: avg_gradient(g, node.inputs[0], **node.attrs),)

    @avg_gradient.gradient
    def _(node, d):
        return lambda: avg_pool(d, **node.attrs), None

    return max_pool, gradient, picked, avg_pool, avg_gradient


conv1d, conv1d_input_gradient, conv1d_kernel_gradient, conv_transpose1d = _convolution(1)
conv2d, conv2d_input_gradient, conv2d_kernel_gradient, conv_transpose2d = _convolution(2)
conv3d, conv3d_input_gradient, conv3d_kernel_gradient, conv_transpose3d = _convolution(3)
max_pool1d, max_pool1d_gradient, max_pool1d_pick, avg_pool1d, avg_pool1d_gradient = _pooling(1)
max_pool2d, max_pool2d_gradient, max_pool2d_pick, avg_pool2d, avg_pool2d_gradient = _pooling(2)
max_pool3d, max_pool3d_gradient, max_pool3d_pick, avg_pool3d, avg_pool3d_gradient = _pooling(3)


def _global(x: Any, word: str, reduce: Op, keepdims: bool, name: str | None) -> Any:
    if x.rank < 3:
        raise ShapeError(f"{word}: {x.name} is {shape_text(x.shape)}.", node=x.node.name, port="x", hint="It takes (batch, channels, …).")
    return reduce(x, axis=tuple(range(2, x.rank)), keepdims=keepdims, name=name)


def global_avg_pool(x: Any, *, keepdims: bool = False, name: str | None = None) -> Any:
    """Average each channel over all its places: (batch, channels, …) → (batch, channels)."""
    from .reduce import mean
    return _global(x, "global_avg_pool", mean, keepdims, name)


def global_max_pool(x: Any, *, keepdims: bool = False, name: str | None = None) -> Any:
    """Find the largest value of each channel: (batch, channels, …) → (batch, channels)."""
    from .reduce import max_
    return _global(x, "global_max_pool", max_, keepdims, name)
