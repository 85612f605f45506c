"""Random draws, keyed: (seed, node, frame, run) decides the numbers, so any firing order and any replay draws the same."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import AttributeValueError
from ..core.op import op
from ..core.types import TensorType


def _drawn(*, shape: tuple, dtype: str, **_: Any) -> TensorType:
    for axis, d in enumerate(shape):
        if not isinstance(d, int):
            raise AttributeValueError(f"a random draw needs every size as a number, and axis {axis} is {d or 'unknown'}.", port="shape", axis=axis)
    if np.dtype(dtype).kind != "f":
        raise AttributeValueError(f"a random draw gives floats, not {dtype}.", port="dtype")
    return TensorType(shape, np.dtype(dtype))


@op(infer=_drawn, category="random", random=True, latex=r"\mathcal{N}(\mu, \sigma)", aliases=("gaussian", "noise", "随机"), zh="正态随机")
def random_normal(xp, *, shape: Shape, mean: float = 0.0, std: float = 1.0, dtype: DType = "float32", key):
    """Draw from a bell curve."""
    return xp.asarray(key.normal(mean, std, shape).astype(dtype))


@op(infer=_drawn, category="random", random=True, latex=r"\mathcal{U}(a, b)", aliases=("noise", "随机"), zh="均匀随机")
def random_uniform(xp, *, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: DType = "float32", key):
    """Draw evenly between low and high."""
    return xp.asarray(key.uniform(low, high, shape).astype(dtype))


def _rate(x: TensorType, *, rate: float, **_: Any) -> tuple[TensorType, TensorType]:
    if not 0 <= rate < 1:
        raise AttributeValueError(f"dropout: rate is {rate}.", port="rate", hint="Use a share from 0 up to, not including, 1.")
    return x, x


@op(infer=_rate, category="random", random=True, outputs=("out", "mask"), latex=r"x \odot m", aliases=("regularize",), zh="随机失活", type="Dropout", function="dropout_with_mask")
def dropout_op(xp, x: Float, *, rate: float = 0.5, key):
    """Set a share of the values to 0 and scale up the rest, so that the sum stays what it was on average."""
    mask = xp.asarray((key.random(x.shape) >= rate).astype(x.dtype)) * (1 / (1 - rate))
    mask = mask.astype(x.dtype)
    return x * mask, mask


@dropout_op.gradient
def _(node, g):
    by_out, by_mask = g
    return (lambda: by_out * node.outputs[1] if by_out is not None else None,)


def dropout(x: Any, rate: float = 0.5, name: str | None = None) -> Any:
    """Set a share `rate` of the values to 0 and scale up the rest. Leave it out of the graph that predicts."""
    return dropout_op(x, rate=rate, name=name)[0]
