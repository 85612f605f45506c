"""Why a value is NaN, infinite or zero: what the node that made it did to its inputs, in words."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.graph import Node
from ..runtime.backend import on_host

Inputs = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Why:
    """Where a NaN, an infinity or a zero comes from, and how it came here. `print` tells it in a few sentences."""

    kind: str                       # "nan", "inf" or "zero"
    tensor: str                     # what was asked about
    node: str                       # where it began
    frame: tuple
    path: tuple[tuple[str, tuple], ...]     # (node, frame) from there to the tensor
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.sentences)


def bad(value: Any) -> bool:
    """Does it hold a NaN or an infinity?"""
    array = on_host(value)
    return array.dtype.kind == "f" and not bool(np.isfinite(array).all())


def blank(value: Any) -> bool:
    """Is it all zeros?"""
    array = on_host(value)
    return array.dtype.kind == "f" and array.size > 0 and not array.any()


def number(x: Any) -> str:
    return f"{float(x):.4g}".replace("inf", "∞").replace("-", "−")


def at(index: Sequence[int]) -> str:
    return f" at [{', '.join(map(str, index))}]" if len(index) else ""


def first_bad(value: Any) -> tuple[int, ...]:
    """The index of the first NaN or infinity."""
    found = np.argwhere(~np.isfinite(on_host(value)))
    return tuple(int(k) for k in found[0]) if len(found) else ()


def there(array: np.ndarray, index: tuple[int, ...], shape: tuple[int, ...]) -> float | None:
    """The element of an input that stands where `index` is in an output of that shape, if it is elementwise."""
    try:
        return float(np.broadcast_to(array, shape)[index])
    except (ValueError, TypeError, IndexError):
        return None


def _log(x: float) -> str:
    return f"the logarithm of {number(x)} is {'−∞' if x == 0 else 'no number'}" if x <= 0 else ""


def _divide(a: float, b: float) -> str:
    return f"{number(a)} was divided by 0" if b == 0 else ""


def _exp(x: float) -> str:
    return f"e to the {number(x)} is more than the dtype holds" if x > 11 else ""


def _multiply(a: float, b: float) -> str:
    return f"{number(a)} times {number(b)} is more than the dtype holds" if np.isfinite(a) and np.isfinite(b) else ""


# op → what its elements say of a bad output; called with the input elements that stand where the bad one is
_ELEMENTS: dict[str, Callable[..., str]] = {
    "Log": _log, "Log2": _log, "Log10": _log, "Log1p": lambda x: f"log1p of {number(x)} is {'−∞' if x == -1 else 'no number'}" if x <= -1 else "",
    "Sqrt": lambda x: f"the square root of {number(x)} is no number" if x < 0 else "",
    "Rsqrt": lambda x: f"1/√ of {number(x)} is {'∞' if x == 0 else 'no number'}" if x <= 0 else "",
    "Reciprocal": lambda x: "1 was divided by 0" if x == 0 else "", "Divide": _divide, "FloorDivide": _divide, "Mod": _divide,
    "Exp": _exp, "Expm1": _exp, "Exp2": _exp, "Cosh": _exp, "Sinh": _exp,
    "Power": lambda a, b: f"{number(a)} to the power {number(b)} is {'no number' if a < 0 else '1 divided by 0' if a == 0 else 'more than the dtype holds'}",
    "Multiply": _multiply, "Square": lambda x: _multiply(x, x),
    "Arcsin": lambda x: f"there is no arcsine of {number(x)}" if abs(x) > 1 else "", "Arccos": lambda x: f"there is no arccosine of {number(x)}" if abs(x) > 1 else "",
    "Arctanh": lambda x: f"arctanh of {number(x)} is {'infinite' if abs(x) == 1 else 'no number'}" if abs(x) >= 1 else "",
    "Arccosh": lambda x: f"there is no arccosh of {number(x)}" if x < 1 else "",
    "Add": lambda a, b: f"{number(a)} plus {number(b)} is more than the dtype holds", "Subtract": lambda a, b: f"{number(a)} minus {number(b)} is more than the dtype holds",
}


def why_bad(node: Node, inputs: Inputs, output: np.ndarray) -> str:
    """One sentence on how finite inputs gave a NaN or an infinity."""
    index = first_bad(output)
    kind = "NaN" if np.isnan(output[index]) else "∞" if output[index] > 0 else "−∞"
    count = int((~np.isfinite(output)).sum())
    many = f"{count} of {output.size} values" if output.size > 1 else "its value"
    says = _ELEMENTS.get(node.op.name)
    elements = [there(v, index, output.shape) for v in inputs.values()]
    reason = says(*elements) if says is not None and all(e is not None for e in elements) else ""
    if not reason:
        ranges = ", ".join(f"{port} from {number(v.min())} to {number(v.max())}" for port, v in inputs.items() if v.size and v.dtype.kind in "fiu")
        reason = f"its inputs were finite ({ranges})" if ranges else "nothing went in"
    return f"made {kind} in {many}{at(index)}: {reason}."


def why_blank(node: Node, inputs: Inputs) -> str:
    """One sentence on how inputs that are not all zero gave nothing but zeros."""
    floats = {p: v for p, v in inputs.items() if v.dtype.kind == "f" and v.size}
    name = node.op.name
    if name in ("Relu", "Relu6") and floats:
        top = max(float(v.max()) for v in floats.values())
        return f"gives 0 for whatever is not positive, and none of its inputs is (the largest is {number(top)}): the unit is dead here."
    if "ReluGradient" in name or name == "ReluGrad":
        return "lets a gradient through only where its input was positive, and it was nowhere."
    if name in ("Sigmoid", "Tanh", "Softmax") and floats:
        return f"is saturated: its inputs reach from {number(min(v.min() for v in floats.values()))} to {number(max(v.max() for v in floats.values()))}."
    if name == "Multiply":
        return "multiplied: wherever one factor is not 0, the other is."
    if name in ("Subtract",) and len(floats) == 2:
        return "subtracted equal values."
    if name in ("ZerosLike", "Zeros"):
        return "gives zeros: nothing flows here."
    return f"gave only zeros, and its inputs are not ({', '.join(f'{p} up to {number(np.abs(v).max())}' for p, v in floats.items()) or 'it has none'})."
