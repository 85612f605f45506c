"""Layers that normalize, look up, and attend."""
from __future__ import annotations

import math
from typing import Any

from ..core.errors import AttributeValueError, DTypeError, ShapeError, plural
from ..core.graph import Tensor, control_dependencies
from ..core.types import shape_text
from ..ops.activation import softmax
from ..ops.array import concat, gather, ones_like, split, stack, where, zeros_like
from ..ops.layout import swapaxes, tril, unstack
from ..ops.linalg import matmul
from ..ops.math import add, identity, multiply, rsqrt, subtract
from ..ops.norm import (
    _per_channel,
    batch_norm as batch_norm_op,
    group_norm as group_norm_op,
    layer_norm as layer_norm_op,
    rms_norm as rms_norm_op,
)
from ..ops.state import assign, variable
from . import init
from .layers import _count, _known, _layer_input, _scoped, dense


def embedding(indices: Tensor, count: int, units: int, *, initializer: str = "normal(0, 1)", dtype: Any = "float32", name: str | None = None) -> Tensor:
    """Give each of `count` words or ids a vector of its own: indices (…) of whole numbers → (…, units). Variable `table` (count, units)."""
    if not isinstance(indices, Tensor):
        raise AttributeValueError(f"embedding takes a tensor, not {type(indices).__name__}.", port="indices", hint="Start from fl.placeholder or fl.constant.")
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"embedding: {indices.name} is {indices.dtype}.", node=indices.node.name, port="indices", hint='Use fl.cast(x, "int64") before.')
    shape = (_count(count, "embedding", "count"), _count(units, "embedding"))
    with indices.graph, _scoped(indices.graph, name, "embedding"):
        return gather(variable(init.initializer(initializer, shape, dtype), name="table"), indices)


def layer_norm(x: Tensor, *, eps: float = 1e-5, name: str | None = None) -> Tensor:
    """Bring each row to mean 0 and variance 1, then scale and shift. Variables `gamma` and `beta`, as long as the last axis."""
    x = _layer_input(x, "layer_norm")
    size = _known(x, -1, "layer_norm")
    with x.graph, _scoped(x.graph, name, "layer_norm"):
        return layer_norm_op(x, variable(init.ones((size,), x.dtype), name="gamma"), variable(init.zeros((size,), x.dtype), name="beta"), eps=eps)


def rms_norm(x: Tensor, *, eps: float = 1e-6, name: str | None = None) -> Tensor:
    """Bring each row to a mean square of 1, then scale. Variable `gamma`, as long as the last axis."""
    x = _layer_input(x, "rms_norm")
    size = _known(x, -1, "rms_norm")
    with x.graph, _scoped(x.graph, name, "rms_norm"):
        return rms_norm_op(x, variable(init.ones((size,), x.dtype), name="gamma"), eps=eps)


def group_norm(x: Tensor, groups: int, *, eps: float = 1e-5, name: str | None = None) -> Tensor:
    """Bring each group of an example's channels to mean 0 and variance 1. Variables `gamma` and `beta` (channels,)."""
    x = _layer_input(x, "group_norm")
    channels = _channels(x, "group_norm")
    if channels % _count(groups, "group_norm", "groups"):
        raise AttributeValueError(f"group_norm: {plural(channels, 'channel')} cannot be divided into {plural(groups, 'group')}.", port="groups")
    with x.graph, _scoped(x.graph, name, "group_norm"):
        return group_norm_op(x, variable(init.ones((channels,), x.dtype), name="gamma"), variable(init.zeros((channels,), x.dtype), name="beta"), groups=groups, eps=eps)


def _channels(x: Tensor, layer: str) -> int:
    if x.rank < 2:
        raise ShapeError(f"{layer}: {x.name} is {shape_text(x.shape)}.", node=x.node.name, port="x", hint="It takes (batch, channels, …).")
    return _known(x, 1, layer)


def batch_norm(x: Tensor, *, training: bool = True, momentum: float = 0.1, eps: float = 1e-5, share: str | None = None, name: str | None = None) -> Tensor:
    """Bring each channel of x (batch, channels, …) to mean 0 and variance 1, then scale and shift.

    While `training`, the statistics are the batch's, and every run moves the variables `running_mean` and `running_variance` (not trainable) a
    share `momentum` towards them (torch's convention). Otherwise the running ones serve; `share` names the layer whose variables to use, so that
    the graph that predicts reads what the one that trains has learnt. Variables `gamma` and `beta` (channels,).
    """
    x = _layer_input(x, "batch_norm")
    channels = _channels(x, "batch_norm")
    if not 0 <= momentum <= 1:
        raise AttributeValueError(f"batch_norm: momentum is {momentum!r}.", port="momentum", hint="Use a share from 0 to 1.")
    graph = x.graph
    names = ("gamma", "beta", "running_mean", "running_variance")
    if share is not None:
        held = [graph.tensor(f"{share}/{n}") for n in names]
    with graph, _scoped(graph, name, "batch_norm"):
        if share is None:
            held = [variable(fill((channels,), x.dtype), name=n, trainable=k < 2) for k, (n, fill) in enumerate(zip(names, (init.ones, init.zeros, init.zeros, init.ones)))]
        gamma, beta, middle, variance = held
        if not training:
            scale = multiply(gamma, rsqrt(variance + eps))
            return add(multiply(subtract(x, _per_channel(middle, x)), _per_channel(scale, x)), _per_channel(beta, x))
        out, now, spread = batch_norm_op(x, gamma, beta, eps=eps)
        moved = [assign(v, add(multiply(v, 1 - momentum), multiply(seen, momentum)), name=f"move_{n}")
                 for v, seen, n in ((middle, now, "mean"), (variance, spread, "variance"))]
        with control_dependencies(moved):
            return identity(out, name="out")


# ---------------------------------------------------------------- attention


def attention(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, causal: bool = False, scale: float | None = None, name: str | None = None) -> Tensor:
    """Let each query look at all keys and take the mean of the values, weighted by how well they match.

    softmax(query · keyᵀ · scale) · value; query (…, n, units), key (…, m, units), value (…, m, features); scale is 1/√units unless given. Where
    the bool `mask` (…, n, m) is False, or with `causal` the key comes after the query, nothing is looked at. The shares stand at `weights`.
    Source: Vaswani et al. 2017.
    """
    for t in (query, key, value):
        _layer_input(t, "attention")
    units = query.shape[-1] if query.rank else None
    if query.rank < 2 or key.rank < 2 or value.rank < 2:
        raise ShapeError("attention: query, key and value need two axes or more.", node=query.node.name, port="query", hint="They are (…, positions, units).")
    if scale is None:
        if not isinstance(units, int):
            raise ShapeError(f"attention: the units of {query.name} {shape_text(query.shape)} are not known.", node=query.node.name, port="query", axis=query.rank - 1, hint="Give scale=…")
        scale = 1 / math.sqrt(units)
    with query.graph, _scoped(query.graph, name, "attention"):
        scores = multiply(matmul(query, swapaxes(key, -1, -2)), float(scale), name="scores")
        never = multiply(ones_like(scores), -1e9 if scores.dtype != "float16" else -6e4) if mask is not None or causal else None
        if mask is not None:
            scores = where(mask, scores, never)
        if causal:
            scores = where(tril(ones_like(scores)) > zeros_like(scores), scores, never)
        return matmul(softmax(scores, name="weights"), value)


def multi_head_attention(x: Tensor, heads: int, memory: Tensor | None = None, *, units: int | None = None, mask: Tensor | None = None, causal: bool = False,
                         name: str | None = None) -> Tensor:
    """Look at a sequence through several heads at once: x (batch, n, features) → (batch, n, units).

    Keys and values come from `memory` (batch, m, …), or from x itself. `units` (default: features) is shared out among the heads. Dense layers
    `query`, `key`, `value` and `out`; the heads' shares stand at `attention/weights` (batch, heads, n, m).
    """
    x = _layer_input(x, "multi_head_attention", 3)
    memory = x if memory is None else _layer_input(memory, "multi_head_attention", 3)
    units = _known(x, 2, "multi_head_attention") if units is None else _count(units, "multi_head_attention")
    if units % _count(heads, "multi_head_attention", "heads"):
        raise AttributeValueError(f"multi_head_attention: {plural(units, 'unit')} cannot be divided among {plural(heads, 'head')}.", port="heads")
    with x.graph, _scoped(x.graph, name, "multi_head_attention"):
        parts = [stack(split(dense(source, units, name=part), heads, axis=-1), axis=1) for source, part in ((x, "query"), (memory, "key"), (memory, "value"))]
        seen = attention(*parts, mask=mask, causal=causal, name="attention")
        return dense(concat(unstack(seen, axis=1), axis=-1), units, name="out")
