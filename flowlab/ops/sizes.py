"""Bringing a gradient back to the shape of what it belongs to. Shared by the gradients of many ops."""
from __future__ import annotations

from ..core.graph import Tensor


def sum_to(g: Tensor, like: Tensor) -> Tensor:
    """`g` summed over the axes along which `like` was repeated: the gradient of broadcasting."""
    shape = g.type.shape
    if shape == like.type.shape and None not in shape:
        return g
    from .array import reshape
    from .reduce import sum_, sum_like
    lead = len(g.shape) - len(like.shape)
    over = list(range(lead))
    kept = []
    for axis, (a, b) in enumerate(zip(g.shape[lead:], like.shape)):
        if a == b and a is not None:
            continue
        if b == 1:
            kept.append(lead + axis)
        else:  # whether this axis was repeated shows only at run time
            return sum_like(g, like)
    if not over and not kept:
        return g
    if kept:
        g = sum_(g, axis=tuple(over + kept), keepdims=True)
        if lead:
            g = reshape(g, g.shape[lead:]) if sum(not isinstance(d, int) for d in g.shape) <= 1 else sum_like(g, like)
        return g
    return sum_(g, axis=tuple(over) if len(over) > 1 else over[0])


def broadcast_as(g: Tensor, like: Tensor) -> Tensor:
    """`g` repeated to the shape of `like`."""
    from .array import broadcast_like, broadcast_to
    if g.shape == like.shape and None not in g.shape:
        return g
    if all(isinstance(d, int) for d in like.shape):
        return broadcast_to(g, like.shape)
    return broadcast_like(g, like)


def reshape_as(g: Tensor, like: Tensor) -> Tensor:
    """`g` in the shape of `like`, which has as many values."""
    from .array import reshape, reshape_like
    if g.shape == like.shape and None not in g.shape:
        return g
    if all(isinstance(d, int) for d in like.shape):
        return reshape(g, like.shape)
    return reshape_like(g, like)
