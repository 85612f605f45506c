"""Every operation, and the arithmetic signs on tensors."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..core.graph import Tensor
from . import (
    activation,
    adaptive,
    array,
    conv,
    ctc,
    foreign,
    formats,
    layout,
    linalg,
    logic,
    loss,
    math,
    norm,
    optimize,
    order,
    random,
    recurrent,
    reduce,
    sizes,
    state,
)


def _power(a: Tensor, b: Any) -> Tensor:
    if not isinstance(b, Tensor) and not hasattr(b, "shape") and b == 2:
        return math.square(a)
    return math.power(a, b)


def _part(a: Tensor, index: Any) -> Tensor:
    if isinstance(index, Tensor):
        return order.boolean_mask(a, index) if index.dtype.kind == "b" else array.gather(a, index)
    return array.slice_(a, index=index if isinstance(index, tuple) else (index,))


def _put(name: str, function: Any, *, mirrored: bool = False) -> None:
    setattr(Tensor, f"__{name}__", function)
    if mirrored:
        setattr(Tensor, f"__r{name}__", lambda a, b: function(b, a))


# core's Tensor has no arithmetic of its own; this layer lends it
_put("add", lambda a, b: math.add(a, b), mirrored=True)
_put("sub", lambda a, b: math.subtract(a, b), mirrored=True)
_put("mul", lambda a, b: math.multiply(a, b), mirrored=True)
_put("truediv", lambda a, b: math.divide(a, b), mirrored=True)
_put("mod", lambda a, b: math.mod(a, b), mirrored=True)
_put("floordiv", lambda a, b: math.floor_divide(a, b), mirrored=True)
_put("matmul", lambda a, b: linalg.matmul(a, b), mirrored=True)
_put("pow", _power)
Tensor.__rpow__ = lambda a, b: math.power(b, a)  # type: ignore[attr-defined]
_put("neg", lambda a: math.negative(a))
_put("abs", lambda a: math.abs_(a))
_put("gt", lambda a, b: math.greater(a, b))
_put("ge", lambda a, b: math.greater_equal(a, b))
_put("lt", lambda a, b: math.less(a, b))
_put("le", lambda a, b: math.less_equal(a, b))


def _compared(name: str, function: Any) -> None:
    """`x == 0` is a node like `x > 0`. Two tensors are one or are not, as keys of a dict and members of a list need it: fl.equal compares their values."""
    plain = getattr(object, f"__{name}__")

    def compare(a: Tensor, b: Any) -> Any:
        if isinstance(b, (int, float, np.ndarray, np.generic)):
            return function(a, b)
        return plain(a, b)
    setattr(Tensor, f"__{name}__", compare)


_compared("eq", math.equal)
_compared("ne", logic.not_equal)
_put("and", lambda a, b: logic.logical_and(a, b), mirrored=True)
_put("or", lambda a, b: logic.logical_or(a, b), mirrored=True)
_put("xor", lambda a, b: logic.logical_xor(a, b), mirrored=True)
_put("invert", lambda a: logic.logical_not(a))
_put("getitem", _part)
Tensor.T = property(lambda a: array.transpose(a))  # type: ignore[attr-defined]

__all__ = ["activation", "adaptive", "array", "conv", "ctc", "foreign", "formats", "layout", "linalg", "logic", "loss", "math", "norm", "optimize", "order", "random", "recurrent", "reduce", "sizes", "state"]
