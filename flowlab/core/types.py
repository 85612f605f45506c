"""What is known of a tensor before it has a value: its shape and its dtype."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import AttributeValueError, DTypeError

Dim = int | str | None  # a size, an unknown size with a name, an unknown size without one
Shape = tuple[Dim, ...]

DTYPES = ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool")
_BY_NAME = {name: np.dtype(name) for name in DTYPES}
_SUPPORTED = frozenset(_BY_NAME.values())

KINDS = {"Float": "f", "Int": "iu", "Bool": "b", "Number": "fiu", "Any": "fiub"}


def dtype_of(value: Any) -> np.dtype:
    """The dtype that `value` names: `"float32"`, `np.float32`, `float`, or a dtype; AttributeValueError if flowlab has no such dtype."""
    if isinstance(value, str) and value in _BY_NAME:
        return _BY_NAME[value]
    if value is float:
        return _BY_NAME["float32"]
    try:
        dtype = None if value is None else np.dtype(value)  # NumPy reads None as float64
    except (TypeError, ValueError):
        dtype = None
    if dtype not in _SUPPORTED:
        raise AttributeValueError(f"{value!r} is not a dtype of flowlab.", hint=f"Use one of {', '.join(DTYPES)}.")
    return dtype


def shape_of(value: Any) -> Shape:
    """The shape that `value` describes: ints are sizes, texts are named unknown sizes, None is an unknown size."""
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, (tuple, list)):
        raise AttributeValueError(f"{value!r} is not a shape.", hint='Write a tuple such as ("batch", 784); None is an unknown size.')
    dims: list[Dim] = []
    for axis, dim in enumerate(value):
        if dim is None:
            dims.append(None)
        elif isinstance(dim, str):
            text = dim.strip()
            if not text or len(text) > 64 or any(c in text for c in "(),:/") or not text.isprintable():
                raise AttributeValueError(f"{dim!r} cannot name a dimension.", axis=axis, hint="Use a word such as batch.")
            dims.append(text)
        else:
            try:
                size = int(dim)
            except (TypeError, ValueError, OverflowError):
                raise AttributeValueError(f"{dim!r} is not a size.", axis=axis, hint="Use a whole number, a name or None.") from None
            if size != dim or isinstance(dim, (bool, np.bool_)):
                raise AttributeValueError(f"{dim!r} is not a size.", axis=axis, hint="Use a whole number, a name or None.")
            if size < 0:
                raise AttributeValueError(f"a size cannot be {size}.", axis=axis, hint='Use None or a name such as "batch" for an unknown size.')
            if size > 2**53:
                raise AttributeValueError(f"a size of {size} is beyond any memory.", axis=axis)
            dims.append(size)
    if len(dims) > 32:
        raise AttributeValueError(f"{len(dims)} axes are more than NumPy has.", hint="At most 32.")
    return tuple(dims)


def shape_text(shape: Shape) -> str:
    """The shape as people write it: `(batch, 3)`, `(3,)`, `()`; `?` is an unknown size without a name."""
    words = ["?" if d is None else str(d) for d in shape]
    return f"({words[0]},)" if len(words) == 1 else f"({', '.join(words)})"


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and dtype of a tensor, as far as they are known before a run."""

    shape: Shape
    dtype: np.dtype

    @property
    def rank(self) -> int:
        return len(self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(tuple(shape), self.dtype)

    def __repr__(self) -> str:
        return f"{self.dtype}[{', '.join('?' if d is None else str(d) for d in self.shape)}]"


def promoted(a: np.dtype, b: np.dtype) -> np.dtype:
    """The one dtype that two tensors meet in.

    The rule: equal dtypes stay; two floats or two ints take the wider, uint64 and one with a sign int64; an int and a float take the float's dtype,
    whatever the int's width, since a network's floats are chosen on purpose; bool does not count as a number.
    """
    if a == b:
        return a
    if a.kind == "b" or b.kind == "b":
        raise DTypeError(f"{a} and {b} do not mix: bool is not a number.", hint='Use fl.cast(x, "float32") or fl.where(...).')
    if (a.kind == "f") != (b.kind == "f"):
        return a if a.kind == "f" else b
    wide = np.promote_types(a, b)
    return wide if wide.kind == a.kind or wide.kind in "iu" else _BY_NAME["int64"]
