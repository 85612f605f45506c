"""Pooling to a size that is given: as many windows as are asked for, spread evenly over whatever comes in, as torch has them."""
from __future__ import annotations

import itertools
from math import prod
from typing import Any

from ..core.errors import AttributeValueError, ShapeError, plural
from ..core.op import Op, op
from ..core.types import TensorType, shape_text


def _each(size: tuple[int, ...], n: int) -> tuple[int, ...]:
    return size * n if len(size) == 1 else size


def windows(size: int, count: int) -> list[tuple[int, int]]:
    """Where each of `count` windows over an axis begins and ends: ⌊i·size/count⌋ and ⌈(i+1)·size/count⌉; neighbours may share a value."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _check(n: int, word: str) -> Any:
    def check(attrs: dict) -> None:
        size = attrs["size"]
        if size is None or len(size) not in (1, n):
            raise AttributeValueError(f"{word}: size has {plural(len(size or ()), 'number')}.", port="size", hint=f"Give one, or one for each of the {plural(n, 'axis')}.")
        if min(size) < 1:
            raise AttributeValueError(f"{word}: size is {min(size)}.", port="size", hint="Use whole numbers from 1 on.")
    return check


def _rule(n: int, word: str) -> Any:
    names = ", ".join(("depth", "height", "width")[-n:] if n > 1 else ("length",))

    def rule(x: TensorType, *, size: tuple, **_: Any) -> TensorType:
        if x.rank != n + 2:
            raise ShapeError(f"{word}: x is {shape_text(x.shape)}.", port="x", hint=f"It takes {plural(n + 2, 'axis')}: (batch, channels, {names}).")
        for axis, d in enumerate(x.shape[2:], 2):
            if d == 0:
                raise ShapeError(f"{word}: axis {axis} of x has no values.", port="x", axis=axis)
        return x.with_shape((*x.shape[:2], *_each(size, n)))
    return rule


def _mean(xp, x, size):
    """The mean over each window: along one axis after the other, since a window is as wide in every row."""
    for axis, count in enumerate(size, 2):
        lead = (slice(None),) * axis
        x = xp.stack([xp.mean(x[(*lead, slice(a, b))], axis=axis, dtype=x.dtype) for a, b in windows(x.shape[axis], count)], axis=axis)
    return x


def _mean_back(xp, g, shape, size):
    for axis in range(len(size) + 1, 1, -1):
        lead = (slice(None),) * axis
        out = xp.zeros((*g.shape[:axis], shape[axis], *g.shape[axis + 1:]), g.dtype)
        for i, (a, b) in enumerate(windows(shape[axis], size[axis - 2])):
            part = out[(*lead, slice(a, b))]
            xp.add(part, g[(*lead, slice(i, i + 1))] / (b - a), part)
        g = out
    return g


def _winners(xp, x, size):
    """(x with its places in one row, where in it the first largest value of each window stands)."""
    sizes, lead = x.shape[2:], x.shape[:2]
    place = xp.arange(prod(sizes)).reshape(sizes)
    found = []
    for cut in itertools.product(*([slice(a, b) for a, b in windows(d, count)] for d, count in zip(sizes, size))):
        k = prod(s.stop - s.start for s in cut)
        best = xp.argmax(x[(slice(None), slice(None), *cut)].reshape((*lead, k)), axis=-1)
        found.append(place[cut].reshape(-1)[best])
    return x.reshape((*lead, prod(sizes))), xp.stack(found, axis=-1)


def _pick(xp, x, d, size):
    _, at = _winners(xp, x, size)
    return xp.take_along_axis(d.reshape((*d.shape[:2], prod(d.shape[2:]))), at, axis=-1).reshape((*d.shape[:2], *size))


@op(infer=lambda g, like, **_: g.with_shape(like.shape), category="conv", mixed=True, listed=False, zh="自适应平均池化梯度")
def adaptive_avg_pool_gradient(xp, g: Float, like: Any, *, size: Ints):
    """Share each window's error out among its values."""
    return _mean_back(xp, g, like.shape, _each(size, like.ndim - 2))


@op(infer=lambda x, g, **_: g.with_shape(x.shape), category="conv", mixed=True, listed=False, zh="自适应最大池化梯度")
def adaptive_max_pool_gradient(xp, x: Any, g: Float, *, size: Ints):
    """Give each window's error to the place that its largest value came from."""
    rows, at = _winners(xp, x, _each(size, x.ndim - 2))
    out = xp.zeros(rows.shape, g.dtype)
    a, b = rows.shape[:2]
    xp.add_at(out, (xp.arange(a).reshape(a, 1, 1), xp.arange(b).reshape(1, b, 1), at), g.reshape((a, b, at.shape[-1])))
    return out.reshape(x.shape)


@op(infer=lambda x, d, *, size, **_: d.with_shape((*x.shape[:2], *_each(size, max(x.rank - 2, 0)))), category="conv", mixed=True, listed=False, zh="自适应最大池化选取")
def adaptive_max_pool_pick(xp, x: Any, d: Float, *, size: Ints):
    """Take from d what stands where the largest value of each window of x stands."""
    return _pick(xp, x, d, _each(size, x.ndim - 2))


@adaptive_max_pool_gradient.gradient
def _(node, d):
    return None, lambda: adaptive_max_pool_pick(node.inputs[0], d, **node.attrs)


@adaptive_max_pool_pick.gradient
def _(node, g):
    return None, lambda: adaptive_max_pool_gradient(node.inputs[0], g, **node.attrs)


_ALONG = {1: "length", 2: "height, width", 3: "depth, height, width"}
_ZH = {1: "一维", 2: "二维", 3: "三维"}


def _pooling(n: int) -> tuple[Op, Op]:
    zh = _ZH[n]

    def average(xp, x: Float, *, size: Ints):
        return _mean(xp, x, _each(size, n))

    average.__doc__ = f"""Average so many windows that the result has the size that is asked for, whatever comes in.

    x (batch, channels, {_ALONG[n]}); window i of an axis runs from ⌊i·in/out⌋ to ⌈(i+1)·in/out⌉, as torch has it.
    """
    mean = op(infer=_rule(n, f"adaptive_avg_pool{n}d"), type=f"AdaptiveAvgPool{n}D", function=f"adaptive_avg_pool{n}d", category="conv", bounds="inputs",
              latex=r"\frac{1}{k}\sum_{i \in \text{window}} x_i", aliases=("pooling", "global", "any size", "池化"), zh=f"{zh}自适应平均池化")(average)

    def largest(xp, x: Float, *, size: Ints):
        return _pick(xp, x, x, _each(size, n))

    largest.__doc__ = f"""Pick the largest values of so many windows that the result has the size that is asked for, whatever comes in.

    x (batch, channels, {_ALONG[n]}); window i of an axis runs from ⌊i·in/out⌋ to ⌈(i+1)·in/out⌉, as torch has it. At a tie the first one gets the gradient.
    """
    top = op(infer=_rule(n, f"adaptive_max_pool{n}d"), type=f"AdaptiveMaxPool{n}D", function=f"adaptive_max_pool{n}d", category="conv", bounds="inputs",
             latex=r"\max_{i \in \text{window}} x_i", aliases=("pooling", "global", "any size", "池化"), zh=f"{zh}自适应最大池化")(largest)
    mean.check, top.check = _check(n, mean.word), _check(n, top.word)

    @mean.gradient
    def _(node, g):
        return (lambda: adaptive_avg_pool_gradient(g, node.inputs[0], size=node.attrs["size"]),)

    @top.gradient
    def _(node, g):
        return (lambda: adaptive_max_pool_gradient(node.inputs[0], g, size=node.attrs["size"]),)

    return mean, top


adaptive_avg_pool1d, adaptive_max_pool1d = _pooling(1)
adaptive_avg_pool2d, adaptive_max_pool2d = _pooling(2)
adaptive_avg_pool3d, adaptive_max_pool3d = _pooling(3)


@adaptive_avg_pool_gradient.gradient
def _(node, d):
    pool = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}[node.inputs[1].rank]
    return lambda: pool(d, size=node.attrs["size"]), None
