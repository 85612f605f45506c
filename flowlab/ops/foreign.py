"""What comes with models from elsewhere and has no counterpart here."""
from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, FlowError, ShapeError
from ..core.op import op
from ..core.shape import axis_in, meet
from ..core.types import TensorType, dtype_of, shape_of, shape_text


def _foretold(*_types: TensorType, types: str, **_: Any) -> tuple[TensorType, ...]:
    try:
        rows = json.loads(types)
        return tuple(TensorType((), np.dtype("float32")) if row is None else TensorType(shape_of(row[1]), dtype_of(row[0])) for row in rows)
    except FlowError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, RecursionError):
        raise AttributeValueError(f"opaque: types is {types[:80]!r}.", port="types", hint='A list such as [["float32", [2, 3]]], one entry an output.') from None


@op(infer=_foretold, category="input", many=True, mixed=True, differentiable=False, listed=False, zh="不透明算子")
def opaque(xp, *xs: Any, operator: str, reason: str, types: str = "[]"):
    """Stand for an operator of a model that flowlab cannot compute. What comes before it runs; running it is an error that says why."""
    raise NotImplementedError(f"{operator} cannot be computed: {reason}")


# ---------------------------------------------------------------- what detectors and tokenizers of other libraries end with


def _boxes(boxes: TensorType, scores: TensorType, *, most: int, word: str, **_: Any) -> TensorType:
    for t, port, axes in ((boxes, "boxes", "(batch, boxes, 4)"), (scores, "scores", "(batch, classes, boxes)")):
        if t.rank != 3:
            raise ShapeError(f"{word}: {port} is {shape_text(t.shape)}.", port=port, hint=f"It takes {axes}.")
    if boxes.shape[2] not in (4, None) and isinstance(boxes.shape[2], int):
        raise ShapeError(f"{word}: a box has {boxes.shape[2]} numbers.", port="boxes", axis=2, hint="Two corners, or a centre and two sizes: 4 numbers.")
    for a, b in ((0, 0), (1, 2)):
        try:
            meet(boxes.shape[a], scores.shape[b])
        except ValueError:
            raise ShapeError(f"{word}: axis {b} of scores has {scores.shape[b]}, axis {a} of boxes {boxes.shape[a]}.", port="scores", axis=b) from None
    if most < 0:
        raise AttributeValueError(f"{word}: most is {most}.", port="most", hint="How many boxes a class may keep, from 0 on.")
    return TensorType((None, 3), np.dtype("int64"))


@op(infer=_boxes, category="array", mixed=True, differentiable=False, aliases=("nms", "detection", "boxes"), zh="非极大值抑制")
def non_max_suppression(xp, boxes: Float, scores: Float, *, most: int = 0, overlap: float = 0.0, least: float = None, centres: bool = False):
    """Keep the best of boxes that overlap: rows (batch, class, box), the highest score first in each class.

    boxes (batch, boxes, 4) are two corners (y, x, y, x), or with `centres` (x, y, width, height); scores (batch, classes, boxes). A box goes
    if more than the share `overlap` of its union with a better one is common to both, or if its score is not above `least`; at most `most` stay
    in each class.
    """
    if boxes.shape[0] != scores.shape[0] or boxes.shape[1] != scores.shape[2] or boxes.shape[2] != 4:
        raise ValueError(f"boxes of shape {boxes.shape} and scores of shape {scores.shape} do not belong together")
    if centres:
        x, y, w, h = (boxes[..., k] for k in range(4))
        low_y, low_x, high_y, high_x = y - h / 2, x - w / 2, y + h / 2, x + w / 2
    else:
        a, b, c, d = (boxes[..., k] for k in range(4))
        low_y, high_y, low_x, high_x = xp.minimum(a, c), xp.maximum(a, c), xp.minimum(b, d), xp.maximum(b, d)
    area = (high_y - low_y) * (high_x - low_x)
    kept = []
    for n in range(boxes.shape[0]):
        for c in range(scores.shape[1]):
            row = scores[n, c]
            order = [int(k) for k in xp.argsort(-row, kind="stable") if least is None or bool(row[k] > least)]
            mine: list[int] = []
            for k in order:
                if len(mine) >= most:
                    break
                clear = True
                for j in mine:
                    high = xp.minimum(high_y[n, k], high_y[n, j]) - xp.maximum(low_y[n, k], low_y[n, j])
                    wide = xp.minimum(high_x[n, k], high_x[n, j]) - xp.maximum(low_x[n, k], low_x[n, j])
                    common = float(xp.maximum(high, 0) * xp.maximum(wide, 0))
                    union = float(area[n, k]) + float(area[n, j]) - common
                    if union > 0 and common / union > overlap:
                        clear = False
                        break
                if clear:
                    mine.append(k)
            kept += [(n, c, k) for k in mine]
    return xp.asarray(kept, dtype="int64").reshape(-1, 3)


def _entries(x: TensorType, *, axis: int | None, **_: Any) -> tuple[TensorType, ...]:
    row = TensorType((None,), np.dtype("int64"))
    if axis is None:
        return x.with_shape((None,)), row, row, row
    at = axis_in(axis, x.rank)
    return x.with_shape((*x.shape[:at], None, *x.shape[at + 1:])), row, row, row


@op(infer=_entries, category="array", outputs=("values", "indices", "inverse", "counts"), differentiable=False, aliases=("unique", "distinct"), zh="不同条目")
def unique_entries(xp, x: Any, *, axis: int = None, ordered: bool = True):
    """Find the different entries along an axis, or the different values of all: each once, where it stands first, which of them each entry is, how often it comes.

    In rising order, or with `ordered=False` as they come.
    """
    rows = x.reshape(-1) if axis is None else x
    along = 0 if axis is None else axis % x.ndim
    values, first, inverse, counts = xp.unique(rows, return_index=True, return_inverse=True, return_counts=True, axis=along)
    inverse = inverse.reshape(-1)
    if not ordered:
        order = xp.argsort(first)
        place = xp.argsort(order)
        values, first, counts, inverse = xp.take(values, order, axis=along), first[order], counts[order], place[inverse]
    return values, first.astype("int64"), inverse.astype("int64"), counts.astype("int64")
