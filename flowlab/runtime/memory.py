"""Memory: what a plan needs at least, worked out from shapes before anything is computed."""
from __future__ import annotations

import time
from collections.abc import Sequence
from math import prod
from typing import Any

from ..core.errors import DeviceError, ShapeError
from ..core.graph import Node, Tensor
from ..core.types import TensorType, shape_text
from .backend import NUMPY
from .compile import VIEWS
from .machine import amount, memory_left
from .plan import Plan, Step

_SMALL = 1 << 26        # bytes; a plan that needs less is let through unasked
TRACE_BUDGET = 1 << 28  # bytes of values that one trace keeps at most


def check_fit(plan: Plan, shapes: Sequence[tuple[int, ...]], free: Any = NUMPY.free) -> None:
    """DeviceError if a run with feeds of these shapes needs more memory than this process may still take; it names the node where that happens.

    The estimate is the least that the run holds at once: outputs that somebody still reads, those left out whose size depends on the data or that look
    into their inputs. `free` lets go of what is kept for later runs, before anything is refused.
    """
    left: int | None = None
    for step, needed in _needs(plan, shapes):
        if needed <= (_SMALL if left is None else left):
            continue
        left = memory_left()
        if left is not None and needed > left:
            free()
            left = memory_left()
        if left is None:
            return
        if needed > left:
            raise too_large(step.node, [t for t in _types(step, plan, shapes) if t is not None], needed, left)


def _needs(plan: Plan, shapes: Sequence[tuple[int, ...]]) -> Any:
    """Of every step, the bytes that are held when it has fired."""
    types = _Types(plan, shapes)
    held: dict[int, int] = {}
    total = 0
    for step in plan.steps:
        outputs = types.after(step)
        if step.node.op.name not in VIEWS:
            for slot, type in zip(step.outs, outputs):
                if type is not None:
                    held[slot] = prod(type.shape) * type.dtype.itemsize  # type: ignore[arg-type]
                    total += held[slot]
        yield step, total
        for slot in step.frees:
            total -= held.pop(slot, 0)


class _Types:
    """Shapes and dtypes of a plan's values when the shapes of its feeds are known; None where the data decides."""

    def __init__(self, plan: Plan, shapes: Sequence[tuple[int, ...]]):
        self.known: dict[int, TensorType] = {k: TensorType(tuple(s), t.dtype) for k, (s, t) in enumerate(zip(shapes, plan.feeds))}
        self.known.update((slot, TensorType(array.shape, array.dtype)) for slot, array in plan.constants)
        nodes = {n.id: n for n in plan.graph.nodes} if plan.variables else {}
        self.known.update((slot, nodes[node_id].outputs[0].type) for slot, node_id in plan.variables)
        self.sizes: dict[str, tuple[int, str, int]] = {}    # what each named size is, where that was first seen
        for t, shape in zip(plan.feeds, shapes):
            self._named(t, shape)

    def _named(self, tensor: Tensor, shape: Sequence[Any]) -> None:
        """ShapeError where a size with a name turns out other than it is elsewhere in the run."""
        for axis, (name, size) in enumerate(zip(tensor.shape, shape)):
            if isinstance(name, str) and isinstance(size, int):
                first, node, at = self.sizes.setdefault(name, (size, tensor.node.name, axis))
                if first != size:
                    raise ShapeError(f"{name} is {first} on axis {at} of {node}, but {size} on axis {axis} of {tensor.node.name}.", node=tensor.node.name, axis=axis,
                                     hint=f"Every axis called {name} must have one size in a run.")

    def after(self, step: Step) -> list[TensorType | None]:
        node = step.node
        inputs = [Tensor(node, 0, self.known.get(slot, t.type)) for t, (_, slot) in zip(node.inputs, step.args)]
        attrs = node.attrs
        if node.op.name == "Reshape":   # a name in its shape is a size that it works out
            several = sum(not isinstance(d, int) or d == -1 for d in attrs["shape"]) > 1
            attrs = {"shape": tuple(d if not isinstance(d, str) else inputs[0].type.shape[k] if several else -1 for k, d in enumerate(attrs["shape"]))}
        try:
            got: Sequence[TensorType] = node.op.infer(inputs, node.ports, attrs)
        except Exception:   # the kernel will tell of what does not fit
            got = [t.type for t in node.outputs]
        for tensor, type in zip(node.outputs, got):
            self._named(tensor, type.shape)
        out: list[TensorType | None] = []
        for slot, type in zip(step.outs, got):
            self.known[slot] = type
            out.append(type if all(isinstance(d, int) for d in type.shape) else None)
        return out


def _types(step: Step, plan: Plan, shapes: Sequence[tuple[int, ...]]) -> list[TensorType | None]:
    types = _Types(plan, shapes)
    for s in plan.steps:
        out = types.after(s)
        if s is step:
            break
    return out


def too_large(node: Node, types: Sequence[TensorType], needed: int, left: int) -> DeviceError:
    """The error that refuses a node whose outputs there is no room for."""
    own = sum(prod(t.shape) * t.dtype.itemsize for t in types)  # type: ignore[arg-type,misc]
    gives = " and ".join(f"{t.dtype} {shape_text(t.shape)}" for t in types)
    together = "" if needed <= own else f", {amount(needed)} with what else the run holds by then"
    return DeviceError(f"{node.name} ({node.op.name}) would give {gives}, {amount(own)}{together}: this process may use {amount(left)} more.", node=node.name,
                       hint="Feed a smaller batch, or change the shapes that meet here.")


_BUDGET: list[float] = [0.0, 0.0]   # the budget, and until when it holds


def trace_budget() -> int:
    """Bytes of values that a trace keeps unless it is told otherwise: 256 MiB, or a quarter of what this process may still take if that is less."""
    now = time.monotonic()
    if now >= _BUDGET[1]:
        left = memory_left()
        _BUDGET[:] = [TRACE_BUDGET if left is None else min(TRACE_BUDGET, left // 4), now + 10.0]   # asking the system takes longer than a small trace
    return int(_BUDGET[0])
