"""ONNX's sequences and optional values: known while the model is read, so that lists of tensors do, and nothing of them is left in the graph."""
from __future__ import annotations

from typing import Any

import numpy as np

from ...ops import array as arr
from .files import NotInFlowlab
from .reading import Use, _again, reads
from .values import Value


def items(use: Use, k: int) -> list[Value]:
    value = use.inputs[k] if k < len(use.inputs) else None
    if value is None or value.items is None:
        raise NotInFlowlab(f"{use.op} takes a sequence as its input {k}")
    return list(value.items)


def _place(use: Use, k: int, length: int, beyond: bool = False) -> int:
    at = length if beyond and not use.has(k) else length - 1 if not use.has(k) else int(use.scalar(k))
    if not -length <= at < length + beyond:
        raise NotInFlowlab(f"{use.op}: place {at} of a sequence of {length}")
    return at + length if at < 0 else at


def sequence(values: list[Value]) -> Value:
    return Value("", items=values)


@reads("SequenceConstruct")
def _(use: Use) -> Any:
    return sequence([v for v in use.inputs if v is not None])


reads("SequenceEmpty")(lambda use: sequence([]))
reads("SequenceLength")(lambda use: np.array(len(items(use, 0)), "int64"))


@reads("SequenceAt")
def _(use: Use) -> Any:
    found = items(use, 0)
    return _again(found[_place(use, 1, len(found))])


@reads("SequenceInsert")
def _(use: Use) -> Any:
    found = items(use, 0)
    found.insert(_place(use, 2, len(found), True), use.given(1))
    return sequence(found)


@reads("SequenceErase")
def _(use: Use) -> Any:
    found = items(use, 0)
    del found[_place(use, 1, len(found))]
    return sequence(found)


@reads("SplitToSequence")
def _(use: Use) -> Any:
    x, axis = use[0], use.attr("axis", 0) % use[0].rank
    size = use.sizes(0)[axis]
    given = use.array_if(1)
    if given is None:
        use.spent.room((1 if use.attr("keepdims", 1) else 2) * size)
        sizes = [1] * size
    elif given.ndim == 0:
        use.spent.room(size // int(given))
        sizes = [int(given)] * (size // int(given)) + ([size % int(given)] if size % int(given) else [])
    else:
        sizes = [int(n) for n in given]
    ends = np.cumsum(sizes).tolist()
    parts = [x[(*(slice(None),) * axis, slice(e - n, e))] for n, e in zip(sizes, ends)]
    if given is None and not use.attr("keepdims", 1):
        parts = [arr.squeeze(p, axis=axis) for p in parts]
    return sequence([Value("", tensor=p) for p in parts])


@reads("ConcatFromSequence")
def _(use: Use) -> Any:
    xs = [v.tensor(use.reader.names) for v in items(use, 0)]
    op = arr.stack if use.attr("new_axis", 0) else arr.concat
    return op(xs, axis=use.attr("axis"))


@reads("Optional")
def _(use: Use) -> Any:
    value = use.inputs[0] if use.has(0) else None
    return _again(value) if value is not None else Value("", empty=True, why="it is an optional value without an element")


@reads("OptionalHasElement")
def _(use: Use) -> Any:
    value = use.inputs[0] if use.has(0) else None
    return np.array(value is not None and not value.empty)


@reads("OptionalGetElement")
def _(use: Use) -> Any:
    value = use.inputs[0] if use.has(0) else None
    if value is None or value.empty:
        raise NotInFlowlab("OptionalGetElement of an optional value without an element")
    return _again(value)
