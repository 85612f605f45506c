"""Normalization: bring values to mean 0 and size 1, over a row, a group or a batch."""
from __future__ import annotations

from typing import Any

from ..core.errors import AttributeValueError, GradientError, ShapeError, plural
from ..core.graph import Tensor
from ..core.op import op
from ..core.shape import axes_in, meet
from ..core.types import TensorType, shape_text
from .array import reshape
from .math import multiply, rsqrt, square, subtract
from .reduce import mean, size, sum_
from .sizes import broadcast_as, reshape_as, sum_to


def _eps(eps: float, word: str) -> None:
    if not eps >= 0:
        raise AttributeValueError(f"{word}: eps is {eps:g}.", port="eps", hint="Use a small number from 0 on.")


def _matches(word: str, t: TensorType | None, port: str, shape: tuple) -> None:
    if t is None:
        return
    if t.rank != len(shape):
        raise ShapeError(f"{word}: {port} is {shape_text(t.shape)}, it needs {shape_text(shape)}.", port=port)
    for axis, (a, b) in enumerate(zip(t.shape, shape)):
        try:
            meet(a, b)
        except ValueError:
            raise ShapeError(f"{word}: axis {axis} of {port} has {a}, it needs {b}.", port=port, axis=axis) from None


def _checked(port: str, t: Any, shape: tuple) -> None:
    if t is not None and t.shape != shape:  # sizes that were not known before the run
        raise ValueError(f"{port} has shape {t.shape}, it needs {shape}")


def _last_axes(x: TensorType, gamma: TensorType | None = None, beta: TensorType | None = None, *, axis: Any, eps: float, word: str, **_: Any) -> TensorType:
    axes = axes_in(axis, x.rank)
    if axes != tuple(range(x.rank - len(axes), x.rank)) or not axes:
        raise AttributeValueError(f"{word}: axis {axis} is not at the end of {shape_text(x.shape)}.", port="axis", hint="Name the last axis, or the last few.")
    for t, port in ((gamma, "gamma"), (beta, "beta")):
        _matches(word, t, port, x.shape[axes[0]:])
    _eps(eps, word)
    return x


def _ports(node) -> dict[str, Tensor]:
    return dict(zip(node.ports, node.inputs))


def _standardized(x: Tensor, axes: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    """(x brought to mean 0 and variance 1 over the axes, one over the deviation)."""
    centred = subtract(x, broadcast_as(mean(x, axis=axes, keepdims=True), x))
    rate = rsqrt(mean(square(centred), axis=axes, keepdims=True) + eps)
    return multiply(centred, broadcast_as(rate, x)), rate


def _back(d: Tensor, hat: Tensor, rate: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The derivative by x from the one by x standardized."""
    inner = d - broadcast_as(mean(d, axis=axes, keepdims=True), d) - hat * broadcast_as(mean(d * hat, axis=axes, keepdims=True), d)
    return inner * broadcast_as(rate, d)


@op(infer=_last_axes, category="activation", latex=r"\gamma \odot \frac{x - \bar x}{\sqrt{\sigma^2 + \epsilon}} + \beta", aliases=("normalize", "transformer"), zh="层归一化")
def layer_norm(xp, x: Float, gamma: Float = None, beta: Float = None, *, axis: Axis = -1, eps: float = 1e-5):
    """Bring each row to mean 0 and variance 1, then scale by gamma and shift by beta. Source: Ba et al. 2016."""
    axes = axes_in(axis, x.ndim)
    _checked("gamma", gamma, x.shape[axes[0]:])
    _checked("beta", beta, x.shape[axes[0]:])
    centred = x - xp.mean(x, axis=axes, keepdims=True, dtype=x.dtype)
    out = centred / xp.sqrt(xp.mean(centred * centred, axis=axes, keepdims=True, dtype=x.dtype) + eps)
    out = out if gamma is None else out * gamma
    return out if beta is None else out + beta


@layer_norm.gradient
def _(node, g):
    given = _ports(node)
    x, gamma = given["x"], given.get("gamma")
    axes = axes_in(node.attrs["axis"], x.rank)

    def by_x():
        return _back(g if gamma is None else g * gamma, *_standardized(x, axes, node.attrs["eps"]), axes)
    by = {"x": by_x, "gamma": lambda: sum_to(g * _standardized(x, axes, node.attrs["eps"])[0], gamma), "beta": lambda: sum_to(g, given["beta"])}
    return tuple(by[p] for p in node.ports)


@op(infer=lambda x, gamma=None, **kw: _last_axes(x, gamma, **kw), category="activation", latex=r"\gamma \odot \frac{x}{\sqrt{\overline{x^2} + \epsilon}}",
    aliases=("root mean square", "normalize"), zh="均方根归一化")
def rms_norm(xp, x: Float, gamma: Float = None, *, axis: Axis = -1, eps: float = 1e-6):
    """Bring each row to a mean square of 1, then scale by gamma. Source: Zhang & Sennrich 2019."""
    axes = axes_in(axis, x.ndim)
    _checked("gamma", gamma, x.shape[axes[0]:])
    out = x / xp.sqrt(xp.mean(x * x, axis=axes, keepdims=True, dtype=x.dtype) + eps)
    return out if gamma is None else out * gamma


@rms_norm.gradient
def _(node, g):
    given = _ports(node)
    x, gamma = given["x"], given.get("gamma")
    axes = axes_in(node.attrs["axis"], x.rank)

    def hat():
        rate = rsqrt(mean(square(x), axis=axes, keepdims=True) + node.attrs["eps"])
        return x * broadcast_as(rate, x), rate

    def by_x():
        y, rate = hat()
        d = g if gamma is None else g * gamma
        return (d - y * broadcast_as(mean(d * y, axis=axes, keepdims=True), x)) * broadcast_as(rate, x)
    return tuple({"x": by_x, "gamma": lambda: sum_to(g * hat()[0], gamma)}[p] for p in node.ports)


# ---------------------------------------------------------------- over groups of channels


def _grouped(x: TensorType, gamma: TensorType | None = None, beta: TensorType | None = None, *, groups: int, eps: float, word: str, **_: Any) -> TensorType:
    if x.rank < 2:
        raise ShapeError(f"{word}: x is {shape_text(x.shape)}.", port="x", hint="It takes (batch, channels, …).")
    if groups < 1:
        raise AttributeValueError(f"{word}: groups is {groups}.", port="groups", hint="Use 1 or more.")
    if isinstance(x.shape[1], int) and x.shape[1] % groups:
        raise ShapeError(f"{word}: {plural(x.shape[1], 'channel')} cannot be divided into {plural(groups, 'group')}.", port="x", axis=1)
    for t, port in ((gamma, "gamma"), (beta, "beta")):
        _matches(word, t, port, (x.shape[1],))
    _eps(eps, word)
    return x


@op(infer=_grouped, category="activation", latex=r"\gamma \odot \frac{x - \bar x_g}{\sqrt{\sigma_g^2 + \epsilon}} + \beta", aliases=("normalize", "instance norm"), zh="组归一化")
def group_norm(xp, x: Float, gamma: Float = None, beta: Float = None, *, groups: int, eps: float = 1e-5):
    """Bring each group of an example's channels to mean 0 and variance 1. x (batch, channels, …), gamma and beta (channels,). Source: Wu & He 2018."""
    channels = x.shape[1]
    if channels % groups:
        raise ValueError(f"{plural(channels, 'channel')} cannot be divided into {plural(groups, 'group')}")
    rest = 1
    for d in x.shape[2:]:
        rest *= d
    parts = x.reshape((x.shape[0], groups, channels // groups * rest))
    centred = parts - xp.mean(parts, axis=2, keepdims=True, dtype=x.dtype)
    out = (centred / xp.sqrt(xp.mean(centred * centred, axis=2, keepdims=True, dtype=x.dtype) + eps)).reshape(x.shape)
    wide = (channels,) + (1,) * (x.ndim - 2)
    for port, t in (("gamma", gamma), ("beta", beta)):
        _checked(port, t, (channels,))
    out = out if gamma is None else out * gamma.reshape(wide)
    return out if beta is None else out + beta.reshape(wide)


def _per_channel(t: Tensor, x: Tensor) -> Tensor:
    """A value a channel, ready to meet x (batch, channels, …)."""
    return reshape(t, (t.shape[0] if isinstance(t.shape[0], int) else -1, *(1,) * (x.rank - 2)))


@group_norm.gradient
def _(node, g):
    given = _ports(node)
    x, gamma = given["x"], given.get("gamma")
    if not all(isinstance(d, int) for d in x.shape[1:]):
        raise GradientError(f"group_norm: the channels and sizes of {x.name} {shape_text(x.shape)} must be known.", node=node.name, hint="Give the placeholder numbers there.")
    count = node.attrs["groups"]
    total = 1
    for d in x.shape[1:]:
        total *= d  # type: ignore[operator]
    shape = (-1, count, total // count)
    others = tuple(k for k in range(x.rank) if k != 1)

    def hat():
        return _standardized(reshape(x, shape), (2,), node.attrs["eps"])

    def by_x():
        d = g if gamma is None else g * _per_channel(gamma, x)
        return reshape_as(_back(reshape(d, shape), *hat(), (2,)), x)
    by = {"x": by_x, "gamma": lambda: sum_(g * reshape_as(hat()[0], x), axis=others), "beta": lambda: sum_(g, axis=others)}
    return tuple(by[p] for p in node.ports)


# ---------------------------------------------------------------- over the batch


def _batched(x: TensorType, gamma: TensorType, beta: TensorType, *, eps: float, word: str, **_: Any) -> tuple[TensorType, TensorType, TensorType]:
    if x.rank < 2:
        raise ShapeError(f"{word}: x is {shape_text(x.shape)}.", port="x", hint="It takes (batch, channels, …).")
    for t, port in ((gamma, "gamma"), (beta, "beta")):
        _matches(word, t, port, (x.shape[1],))
    _eps(eps, word)
    row = x.with_shape((x.shape[1],))
    return x, row, row


@op(infer=_batched, category="activation", outputs=("out", "mean", "variance"), latex=r"\gamma \odot \frac{x - \bar x}{\sqrt{\sigma^2 + \epsilon}} + \beta",
    aliases=("normalize", "batch statistics"), zh="批归一化")
def batch_norm(xp, x: Float, gamma: Float, beta: Float, *, eps: float = 1e-5):
    """Bring each channel to mean 0 and variance 1 over the batch, then scale and shift. x (batch, channels, …). Source: Ioffe & Szegedy 2015.

    The statistics of the batch come out as well: a running average of them serves when single examples are predicted (`fl.nn.batch_norm`).
    """
    axes = (0, *range(2, x.ndim))
    _checked("gamma", gamma, x.shape[1:2])
    _checked("beta", beta, x.shape[1:2])
    if not x.size:
        return x.copy(), xp.zeros_like(gamma), xp.zeros_like(gamma)
    wide = (x.shape[1],) + (1,) * (x.ndim - 2)
    middle = xp.mean(x, axis=axes, dtype=x.dtype)
    centred = x - middle.reshape(wide)
    variance = xp.mean(centred * centred, axis=axes, dtype=x.dtype)
    return centred * (gamma / xp.sqrt(variance + eps)).reshape(wide) + beta.reshape(wide), middle, variance


@batch_norm.gradient
def _(node, g):
    x, gamma, _beta = node.inputs
    d, d_mean, d_variance = g
    axes = (0, *range(2, x.rank))

    def by_x():
        parts = []
        if d is not None:
            parts.append(_back(d * _per_channel(gamma, x), *_standardized(x, axes, node.attrs["eps"]), axes))
        if d_mean is not None or d_variance is not None:
            n = size(x, axis=axes, dtype=x.dtype.name)
            if d_mean is not None:
                parts.append(broadcast_as(_per_channel(d_mean / n, x), x))
            if d_variance is not None:
                parts.append(_per_channel(d_variance * 2 / n, x) * (x - broadcast_as(mean(x, axis=axes, keepdims=True), x)))
        return sum(parts[1:], parts[0]) if parts else None
    return (by_x, lambda: sum_(d * _standardized(x, axes, node.attrs["eps"])[0], axis=axes) if d is not None else None,
            lambda: sum_(d, axis=axes) if d is not None else None)
