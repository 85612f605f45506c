"""Truth values: and, or, not, and what kind of number a number is."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..core.op import op
from ..core.shape import elementwise, unchanged
from ..core.types import TensorType
from .reduce import _reduced


def _truth(*types: TensorType, **rest: Any) -> TensorType:
    return TensorType(elementwise(*types, **rest).shape, np.dtype("bool"))


@op(infer=_truth, latex=r"a \wedge b", ufunc="logical_and", differentiable=False, aliases=("and", "both", "&"), onnx="And", zh="逻辑与")
def logical_and(xp, a: Bool, b: Bool):
    """Ask where both hold."""
    return xp.logical_and(a, b)


@op(infer=_truth, latex=r"a \vee b", ufunc="logical_or", differentiable=False, aliases=("or", "either", "|"), onnx="Or", zh="逻辑或")
def logical_or(xp, a: Bool, b: Bool):
    """Ask where at least one holds."""
    return xp.logical_or(a, b)


@op(infer=_truth, latex=r"a \oplus b", ufunc="logical_xor", differentiable=False, aliases=("xor", "exclusive or", "^"), onnx="Xor", zh="逻辑异或")
def logical_xor(xp, a: Bool, b: Bool):
    """Ask where exactly one holds."""
    return xp.logical_xor(a, b)


@op(infer=_truth, latex=r"\neg x", ufunc="logical_not", differentiable=False, aliases=("not", "~"), onnx="Not", zh="逻辑非")
def logical_not(xp, x: Bool):
    """Ask where it does not hold."""
    return xp.logical_not(x)


@op(infer=_truth, latex=r"a \ne b", ufunc="not_equal", differentiable=False, aliases=("!=", "different"), zh="不等于")
def not_equal(xp, a: Any, b: Any):
    """Ask where a and b differ."""
    return xp.not_equal(a, b)


@op(infer=_truth, ufunc="isnan", differentiable=False, aliases=("nan", "not a number"), onnx="IsNaN", zh="是否非数")
def isnan(xp, x: Float):
    """Ask where a value is no number at all (NaN)."""
    return xp.isnan(x)


@op(infer=_truth, ufunc="isinf", differentiable=False, aliases=("infinite",), onnx="IsInf", zh="是否无穷")
def isinf(xp, x: Float):
    """Ask where a value is infinite, upward or downward."""
    return xp.isinf(x)


@op(infer=_truth, ufunc="isfinite", differentiable=False, aliases=("finite",), zh="是否有限")
def isfinite(xp, x: Float):
    """Ask where a value is an ordinary number: neither NaN nor infinite."""
    return xp.isfinite(x)


@op(infer=_reduced, function="any", category="reduce", differentiable=False, latex=r"\bigvee x", aliases=("some", "exists"), zh="存在")
def any_(xp, x: Bool, *, axis: Axis = None, keepdims: bool = False):
    """Ask whether it holds anywhere along the axes."""
    return xp.any(x, axis=axis, keepdims=keepdims)


@op(infer=_reduced, function="all", category="reduce", differentiable=False, latex=r"\bigwedge x", aliases=("every",), zh="全部")
def all_(xp, x: Bool, *, axis: Axis = None, keepdims: bool = False):
    """Ask whether it holds everywhere along the axes."""
    return xp.all(x, axis=axis, keepdims=keepdims)


# ---------------------------------------------------------------- bit by bit


@op(latex=r"a \mathbin{\&} b", ufunc="bitwise_and", differentiable=False, aliases=("bits", "mask"), onnx="BitwiseAnd", zh="按位与")
def bitwise_and(xp, a: Int, b: Int):
    """Keep the bits that are set in both whole numbers."""
    return xp.bitwise_and(a, b)


@op(latex=r"a \mathbin{|} b", ufunc="bitwise_or", differentiable=False, aliases=("bits",), onnx="BitwiseOr", zh="按位或")
def bitwise_or(xp, a: Int, b: Int):
    """Keep the bits that are set in at least one of two whole numbers."""
    return xp.bitwise_or(a, b)


@op(latex=r"a \oplus b", ufunc="bitwise_xor", differentiable=False, aliases=("bits",), onnx="BitwiseXor", zh="按位异或")
def bitwise_xor(xp, a: Int, b: Int):
    """Keep the bits that are set in exactly one of two whole numbers."""
    return xp.bitwise_xor(a, b)


@op(infer=unchanged, latex=r"\sim x", ufunc="invert", differentiable=False, aliases=("bitwise not", "complement", "~"), onnx="BitwiseNot", zh="按位取反")
def invert(xp, x: Int):
    """Turn every bit of a whole number round."""
    return xp.invert(x)


@op(latex=r"a \ll b", ufunc="left_shift", differentiable=False, aliases=("<<", "bits"), zh="左移")
def left_shift(xp, a: Int, b: Int):
    """Move the bits of a whole number b places up: times 2 to the power b, within its dtype."""
    return xp.left_shift(a, b)


@op(latex=r"a \gg b", ufunc="right_shift", differentiable=False, aliases=(">>", "bits"), zh="右移")
def right_shift(xp, a: Int, b: Int):
    """Move the bits of a whole number b places down: divided by 2 to the power b, rounded down."""
    return xp.right_shift(a, b)
