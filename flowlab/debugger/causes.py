"""The way back from a NaN or a zero to the firing that it began in."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.graph import Tensor
from ..runtime.plan import Step
from ..trace.trace import ValueKeyError
from ..trace.why import Why, at, first_bad, why_bad, why_blank
from .frames import Frame, told

if TYPE_CHECKING:
    from .debugger import Debugger


def why(dbg: Debugger, name: str | Tensor | None, kind: str, wrong: Callable[[Any], bool]) -> Why | None:
    if name is None:
        first = next((e for e in dbg._events[:dbg.cursor] if any(v is not None and wrong(v) for v in e.outputs)), None)
        if first is None:
            return None
        *path, index = first.key
        frame: Frame = dbg._frame(tuple(path))
        slot = next(s for s in frame.plan.steps[index].outs if wrong(frame.values.get(s, 0.0)))
    else:
        tensor = dbg._tensor(name)
        found = dbg._place(dbg._root, tensor)
        if found is None:
            raise ValueKeyError(f"{told(dbg.graph, tensor)} is not computed yet.", node=tensor.node.name, hint="Step on, then ask again.")
        frame, slot = found
        if not wrong(frame.values[slot]):
            return None
    asked_for, way, seen = _slot_name(frame, slot), [], set()
    while True:     # back from where it is seen to where it began
        seen.add((frame.path, slot))
        origin = frame.plan.topology.origin.get(slot)
        if origin is None:
            source = _source(dbg, frame, slot)
            if source is None:
                return _came_in(dbg, kind, asked_for, frame, slot, way)
            frame, slot = source
            continue
        step = origin[0]
        if not way or way[-1] != (frame.name(step), frame.place):
            way.append((frame.name(step), frame.place))
        inner = _inside(dbg, frame, step, wrong) if step.bodies else None
        before = [inner] if inner is not None else [(frame, s) for _, s in step.args if s in frame.values and wrong(frame.values[s])]
        before = [b for b in before if (b[0].path, b[1]) not in seen]
        if not before:
            return _began(kind, asked_for, frame, step, slot, way)
        frame, slot = before[0]


def _began(kind: str, asked_for: str, frame: Frame, step: Step, slot: int, way: list[tuple[str, tuple]]) -> Why:
    inputs = {port: np.asarray(frame.values[s]) for port, (_, s) in zip(step.node.ports, step.args) if frame.values.get(s) is not None}
    output = np.asarray(frame.values[slot])
    where = f" at {' '.join(map(str, frame.place))}" if frame.place else ""
    said = why_blank(step.node, inputs) if kind == "zero" else why_bad(step.node, inputs, output)
    sentences = [f"{frame.name(step)} ({step.node.op.name}){where} {said}"]
    if kind == "nan":
        kind = "nan" if np.isnan(output).any() else "inf"
    if step.node.location:
        sentences.append(f"It was made in {step.node.location[0]}, line {step.node.location[1]}.")
    return Why(kind, asked_for, frame.name(step), frame.place, tuple(reversed(way)), (*sentences, *_way_said(way, asked_for)))


def _came_in(dbg: Debugger, kind: str, asked_for: str, frame: Frame, slot: int, way: list[tuple[str, tuple]]) -> Why:
    """It was there before anything fired."""
    name = _slot_name(frame, slot).rpartition(":")[0]
    node = dbg.graph.node(name)
    what = {"placeholder": "was fed", "variable": "holds", "constant": "is"}.get(node.op.source or "", "was given")
    value = np.asarray(frame.values[slot])
    said = "nothing but zeros" if kind == "zero" else f"{'NaN' if np.isnan(value).any() else 'an infinity'}{at(first_bad(value))}"
    kind = kind if kind == "zero" or np.isnan(value).any() else "inf"
    way.append((name, ()))
    return Why(kind, asked_for, name, (), tuple(reversed(way)), (f"{name} {what} {said}.", *_way_said(way, asked_for)))


def _inside(dbg: Debugger, frame: Frame, step: Step, wrong: Callable[[Any], bool]) -> tuple[Frame, int] | None:
    """The first value inside a loop that is wrong."""
    path = frame.path
    for event in dbg._events[:dbg.cursor]:
        key = event.key
        if len(key) > len(path) + 1 and key[:len(path)] == path and key[len(path)][0] == step.index and any(v is not None and wrong(v) for v in event.outputs):
            inner = dbg._frame(tuple(key[:-1]))
            return next(((inner, s) for s in inner.plan.steps[key[-1]].outs if s in inner.values and wrong(inner.values[s])), None)
    return None


def _source(dbg: Debugger, frame: Frame, slot: int) -> tuple[Frame, int] | None:
    """Where an input of a loop's body comes from: the timestep before, or around the loop; None for a source of the graph itdbg."""
    if not frame.path or slot >= len(frame.plan.feeds):
        return None
    around, index = dbg._frame(frame.path[:-1]), frame.path[-1][0]
    step, which = around.plan.steps[index], next(k for k, b in enumerate(around.plan.steps[index].bodies) if b is frame.plan)
    kind, k = step.node.op.wires(step.node.attrs)[which][0][slot]
    if kind == "state":
        for earlier in reversed(around.loops[index].frames[:frame.number]):
            results = step.node.op.wires(step.node.attrs)[step.bodies.index(earlier.plan)][1]
            for j, (what, to) in enumerate(results):
                if what == "next" and to == k:
                    return earlier, earlier.plan.results[j]
    return around, step.args[k][1]


def _slot_name(frame: Frame, slot: int) -> str:
    node_id, index = next(key for key, s in frame.plan.slots.items() if s == slot)
    return f"{frame.prefix}{next(n for n in frame.plan.graph.nodes if n.id == node_id).name}:{index}"


def _way_said(way: list[tuple[str, tuple]], tensor: str) -> list[str]:
    """How it came from where it began to where it is seen."""
    names = list(dict.fromkeys(name for name, _ in reversed(way)))
    if len(names) < 2:
        return []
    shown = names[1:] if len(names) <= 6 else [*names[1:3], "…", *names[-2:]]
    return [f"From there it went through {', '.join(shown)} to {tensor}."]
