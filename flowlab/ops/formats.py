"""Numbers of fewer bits than a dtype of flowlab's has: values are held in a wider one, and rounded to those that the format has."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DTypeError
from ..core.op import op
from ..core.shape import unchanged
from ..core.types import TensorType

# format → (bits after the point, least exponent of a number with all of them, largest number, what comes after it, whether there is a −0)
FORMATS: dict[str, tuple[int, int, float, str, bool]] = {
    "bfloat16": (7, -126, (2 - 2.0**-7) * 2.0**127, "inf", True),
    "float8e4m3fn": (3, -6, 448.0, "nan", True),
    "float8e4m3fnuz": (3, -7, 240.0, "nan", False),
    "float8e5m2": (2, -14, 57344.0, "inf", True),
    "float8e5m2fnuz": (2, -15, 57344.0, "nan", False),
    "float4e2m1": (1, 0, 6.0, "", True),
}


@op(infer=unchanged, category="array", choices={"format": tuple(FORMATS)}, aliases=("bfloat16", "float8", "fp8", "bf16", "low precision", "quantize"), bounds="inputs", zh="舍入到格式")
def round_to(xp, x: Float, *, format: Choice = "bfloat16", saturate: bool = True):
    """Round to the numbers that a smaller format has, halves to the even one; the dtype stays, the derivative passes through as that of a cast does.

    Beyond the largest number comes that number, or without `saturate` what the format has there: infinity or NaN; bfloat16 has infinity either way.
    """
    digits, least, largest, beyond, signed_zero = FORMATS[format]
    wide = x.astype("float64")
    _, exponent = xp.frexp(wide)
    step = xp.ldexp(xp.ones((), "float64"), xp.maximum(exponent - 1, least) - digits)
    y = xp.rint(wide / step) * step
    y = xp.where(xp.isfinite(wide), y, wide)
    end = largest if not beyond or saturate and format != "bfloat16" else float(beyond)
    y = xp.where(xp.abs(y) > largest, xp.copysign(xp.full((), end, "float64"), wide), y)
    if not beyond:          # no NaN either: it becomes −0
        y = xp.where(xp.isnan(wide), -0.0, y)
    y = y if signed_zero else y + 0.0
    return y.astype(x.dtype)


@round_to.gradient
def _(node, g):
    return (lambda: g,)


def _same_width(x: TensorType, *, dtype: str, word: str, **_: Any) -> TensorType:
    into = np.dtype(dtype)
    if into.itemsize != x.dtype.itemsize:
        raise DTypeError(f"{word}: x is {x.dtype}, {8 * x.dtype.itemsize} bits, and {into} has {8 * into.itemsize}.", port="dtype", hint="fl.cast changes the values to another dtype's.")
    return TensorType(x.shape, into)


@op(infer=_same_width, category="array", differentiable=False, aliases=("reinterpret", "view", "bits"), zh="按位重新解释")
def bitcast(xp, x: Any, *, dtype: DType):
    """Read the same bits as numbers of another dtype of that width: 1.0 in float32 is 1065353216 in int32."""
    y = xp.ascontiguousarray(x).reshape(x.shape).view(dtype)
    return y if np.dtype(dtype).kind != "b" else xp.not_equal(xp.ascontiguousarray(x).reshape(x.shape).view("uint8"), 0)
