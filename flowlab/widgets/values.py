"""Numbers on their way to the page: thumbnails, pictures, statistics, digits. Downsampled here, so that a million never cross for one picture."""
from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import AttributeValueError
from ..core.graph import Node, Tensor
from ..io import jsonio
from ..io.document import numbers_of
from . import protocol as P

THUMB = 12          # cells a side
PICTURE = 96        # cells a side of the inspector's heatmap
EXACT = 64          # elements whose exact numbers are sent
BINS = 24


class Scale(NamedTuple):
    """What the colours mean: `seq` runs from lo to hi, `div` from −hi to hi around zero."""

    map: str
    lo: float
    hi: float


# ---------------------------------------------------------------- which numbers a tensor can hold


def domain(tensor: Tensor, depth: int = 0) -> tuple[float, float]:
    """The smallest and largest number that the tensor can hold, as far as its operation tells."""
    node = tensor.node
    if node.phase != "forward":
        return (-math.inf, math.inf)
    if tensor.dtype.kind == "b":
        return (0, 1)
    bounds = node.op.bounds
    if bounds == "inputs" and node.inputs and depth < 20:
        parts = [domain(t, depth + 1) for t in (node.inputs if node.op.variadic else node.inputs[:1])]
        return (min(lo for lo, _ in parts), max(hi for _, hi in parts))
    if isinstance(bounds, dict):
        bounds = bounds.get(node.output_names[tensor.index])
    if isinstance(bounds, tuple):
        return bounds
    return (0, math.inf) if tensor.dtype.kind == "u" else (-math.inf, math.inf)


def scale(array: np.ndarray, bounds: tuple[float, float] = (-math.inf, math.inf), *, source: bool = False) -> Scale:
    """The colour scale for an array: fixed where the operation bounds its values, else as wide as what is there.

    `source` marks values that people fed or wrote down: those without a negative number start at zero, as an image does.
    """
    lo, hi = bounds
    top = extent(array)
    if lo >= 0 or source and array.size and not bool(np.any(array < 0)):
        return Scale("seq", 0.0, hi if math.isfinite(hi) else top)
    if math.isfinite(lo) and math.isfinite(hi):
        return Scale("div", -max(-lo, hi), max(-lo, hi))
    return Scale("div", -top, top)


def extent(array: np.ndarray) -> float:
    """The largest finite size in the array; 1 where there is none but zeros."""
    if not array.size:
        return 1.0
    if array.dtype.kind == "f":
        sizes = np.abs(array[np.isfinite(array)]) if not np.all(np.isfinite(array)) else np.abs(array)
    else:
        sizes = np.abs(array.astype("float64"))
    top = float(sizes.max()) if sizes.size else 0.0
    return top if top > 0 else 1.0


# ---------------------------------------------------------------- pictures


def matrix(array: np.ndarray, index: tuple[Any, ...] | None = None) -> np.ndarray:
    """The two-dimensional part of an array that is shown: a scalar is a cell, a vector a row, of more axes the first of each leading one."""
    part = array[index] if index is not None else array
    while part.ndim > 2:
        part = part[0] if part.shape[0] else np.zeros(part.shape[1:], part.dtype)
    return part.reshape((1, -1)) if part.ndim < 2 else part


def sampled(part: np.ndarray, most: int) -> np.ndarray:
    """At most `most` × `most` cells, every one a number that is really there."""
    rows, columns = part.shape
    if rows > most:
        part = part[np.linspace(0, rows - 1, most).round().astype(int)]
    if columns > most:
        part = part[:, np.linspace(0, columns - 1, most).round().astype(int)]
    return part


def thumb(tensor: Tensor, array: np.ndarray, offset: int) -> tuple[P.Thumb, np.ndarray]:
    """A picture of at most 12 × 12 cells for the canvas, and its cells as float32; `offset` is where they will lie in the buffer."""
    array = np.asarray(array)
    lo, hi, map_ = _as_lists(scale(array, domain(tensor), source=tensor.node.op.source in ("placeholder", "constant")))
    cells = np.ascontiguousarray(sampled(matrix(array), THUMB), dtype="float32")
    first = array.flat[0] if array.size else None
    uniform = array.size > 1 and bool(np.all(array == first))
    shown = _digits(first) if array.size == 1 or uniform else None
    floats = array.dtype.kind == "f"
    nan = int(np.isnan(array).sum()) if floats else 0
    inf = int(np.isinf(array).sum()) if floats else 0
    made = P.Thumb(tensor=tensor.name, shape=list(array.shape), dtype=array.dtype.name, rows=cells.shape[0], cols=cells.shape[1], offset=offset, lo=lo, hi=hi,
                   map=map_, value=shown, uniform=uniform, nan=nan, inf=inf)
    return made, cells.ravel()


def _as_lists(scale: Scale) -> tuple[float, float, Any]:
    return scale.lo, scale.hi, scale.map


def _digits(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    return num(float(value))


# ---------------------------------------------------------------- numbers as people read them


def num(x: float) -> str:
    """Four significant digits, at most four decimals, `7.35e−4` for the very small and the large, a true minus; as the page writes them."""
    if math.isnan(x):
        return "NaN"
    sign = "−" if x < 0 else ""
    size = abs(x)
    if math.isinf(x):
        return sign + "∞"
    if size == 0:
        return "0"
    if size < 0.001 or size >= 100_000:
        mantissa, exponent = f"{size:.2e}".split("e")
        return f"{sign}{mantissa}e{str(int(exponent)).replace('-', '−')}"
    if size == int(size):
        return f"{sign}{int(size)}"
    places = max(0, min(4, 3 - math.floor(math.log10(size))))
    return f"{sign}{Decimal(size).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)}"


def seconds(t: float) -> str:
    """A duration as people read it."""
    return f"{t * 1e6:.0f} µs" if t < 1e-3 else f"{t * 1e3:.3g} ms" if t < 1 else f"{t:.1f} s"


def exact(array: np.ndarray) -> str:
    """The array's numbers as JSON, none rounded; what JSON has no number for becomes the text "NaN", "Infinity" or "-Infinity"."""
    if array.dtype.kind != "f" or bool(np.all(np.isfinite(array))):
        return jsonio.dumps(numbers_of(array))

    def spell(value: Any) -> Any:
        if isinstance(value, list):
            return [spell(v) for v in value]
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    return jsonio.dumps(spell(numbers_of(array)))


def stats(array: np.ndarray) -> P.Stats:
    """The health of a tensor; what is not finite is counted, and left out of everything else."""
    flat = np.asarray(array).ravel().astype("float64")
    nan, inf = int(np.isnan(flat).sum()), int(np.isinf(flat).sum())
    kept = flat[np.isfinite(flat)] if nan or inf else flat
    zeros = float((flat == 0).mean()) if flat.size else 0.0
    if not kept.size:
        return P.Stats(min=None, max=None, mean=None, std=None, norm=None, zeros=zeros, nan=nan, inf=inf)
    with np.errstate(over="ignore", invalid="ignore"):
        lo, hi = float(kept.min()), float(kept.max())
        mean, std, norm = float(kept.mean()), float(kept.std()), float(np.sqrt(np.dot(kept, kept)))
    wide = hi - lo
    counts = []
    if wide > 0 and math.isfinite(wide):
        places = np.minimum((kept - lo) / wide * BINS, BINS - 1).astype("int64")
        counts = np.bincount(places, minlength=BINS).tolist()
    return P.Stats(min=lo, max=hi, mean=finite(mean), std=finite(std), norm=finite(norm), zeros=zeros, nan=nan, inf=inf, counts=counts, lo=lo, hi=hi)


def finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


# ---------------------------------------------------------------- the inspector's answer


def read_slice(text: str, shape: tuple[int, ...], *, picture: bool = True) -> tuple[Any, ...]:
    """`[0, :, ::2]` as an index of `shape`, for a picture with two axes at most; AttributeValueError names the axis that does not fit."""
    inner = text.strip()
    if len(inner) > 200:
        raise AttributeValueError("a slice has at most 200 characters.")
    if inner[:1] == "[" and inner[-1:] == "]":
        inner = inner[1:-1]
    parts = [p.strip() for p in inner.split(",")] if inner.strip() else []
    if len(parts) > len(shape):
        raise AttributeValueError(f"the slice has {len(parts)} parts, the tensor {len(shape)} axes.", axis=len(shape), hint="Write one part an axis, such as [0, :, ::2].")
    out: list[Any] = []
    for axis, part in enumerate(parts):
        size = shape[axis]
        if re.fullmatch(r"[-−]?[0-9]{1,12}", part):
            k = int(part.replace("−", "-"))
            if not -size <= k < size:
                raise AttributeValueError(f"axis {axis} has {size} places, so there is no {k}.", axis=axis, hint=f"Use 0 to {size - 1}.")
            out.append(k)
        elif re.fullmatch(r"([-−]?[0-9]{0,12})(:[-−]?[0-9]{0,12}){1,2}", part):
            bounds = [int(p.replace("−", "-")) if p else None for p in part.split(":")]
            if len(bounds) == 3 and bounds[2] == 0:
                raise AttributeValueError(f"axis {axis}: a step of 0 goes nowhere.", axis=axis)
            out.append(slice(*bounds))
        else:
            raise AttributeValueError(f"{part[:40]!r} is not a place or a range on axis {axis}.", axis=axis, hint="Write one part an axis, such as [0, :, ::2].")
    out.extend(slice(None) for _ in shape[len(parts):])
    free = [k for k, p in enumerate(out) if isinstance(p, slice)]
    for k in free[:-2] if picture else ():      # the first place on the others
        if not shape[k]:
            raise AttributeValueError(f"axis {k} has no places.", axis=k)
        start = out[k].indices(shape[k])[0]
        out[k] = min(start, shape[k] - 1)
    return tuple(out)


def slice_text(index: tuple[Any, ...]) -> str:
    """An index as people write it: `[0, 0, :, :]`."""
    def part(p: Any) -> str:
        if not isinstance(p, slice):
            return str(p)
        text = f"{'' if p.start is None else p.start}:{'' if p.stop is None else p.stop}"
        return text if p.step is None else f"{text}:{p.step}"
    return f"[{', '.join(map(part, index))}]"


def unknown(name: str, tensor: Tensor | None) -> P.Value:
    """The answer for a tensor that has no value yet: what is declared of it."""
    if tensor is None:
        return P.Value(tensor=name, known=False)
    return P.Value(tensor=name, known=False, shape=list(tensor.shape), dtype=tensor.dtype.name, **words(tensor.node))


def value(tensor: Tensor, array: np.ndarray, text: str = "", most: int = PICTURE) -> tuple[P.Value, np.ndarray]:
    """The answer for a tensor with a value, and the picture's cells as float32, at most `most` a side."""
    array = np.asarray(array)
    index = read_slice(text, array.shape) if array.ndim > 2 or text.strip() else None
    if index is not None and array.size == 0:
        index = None
    part = matrix(array, index)
    cells = np.ascontiguousarray(sampled(part, most), dtype="float32")
    lo, hi, map_ = _as_lists(scale(array, domain(tensor), source=tensor.node.op.source in ("placeholder", "constant")))
    made = P.Value(tensor=tensor.name, known=True, shape=list(array.shape), dtype=array.dtype.name, rows=cells.shape[0], cols=cells.shape[1],
                   sampled=cells.shape != part.shape, slice=slice_text(index) if index is not None else "", lo=lo, hi=hi, map=map_,
                   json=exact(array) if array.size <= EXACT else None, stats=stats(array), **words(tensor.node))
    return made, cells.ravel()


def words(node: Node) -> dict[str, str]:
    """The formula and the sentence that the inspector shows beside a value."""
    return {"formula": node.op.latex, "doc": node.op.doc.strip().partition("\n")[0]}
