"""The way back from a NaN or a zero to the firing that it began in."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.graph import Tensor, made_at
from ..runtime.backend import on_host
from ..runtime.plan import Step
from ..trace.trace import ValueKeyError
from ..trace.why import Why, at, first_bad, why_bad, why_blank
from .frames import Frame, told

if TYPE_CHECKING:
    from .debugger import Debugger


def why(dbg: Debugger, name: str | Tensor | None, kind: str, wrong: Callable[[Any], bool]) -> Why | None:
    """Where it began that a tensor is wrong, or the first firing's that is; None if there is nothing wrong. ValueKeyError if it is not computed yet."""
    if name is None:
        found = _first(dbg, wrong)
        if found is None:
            return None
        frame, slot = found
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
            if source is None or not wrong(source[0].values.get(source[1])):    # a timestep's part of a sequence may be zero, and the rest not
                return _came_in(dbg, kind, asked_for, frame, slot, source, way)
            frame, slot = source
            continue
        step, output = origin
        if not way or way[-1] != (frame.name(step), frame.place):
            way.append((frame.name(step), frame.place))
        if slot in dbg._overrides if not frame.path else dbg._inner_override(frame.name(step), output, frame.place) is not None:
            return _overridden(kind, asked_for, frame, frame.name(step), slot, way)
        inner = _inside(frame, step, output, wrong) if step.bodies else None
        if inner is not None:
            before = [inner]
        elif step.node.op.name == "ZerosLike" and kind == "zero":   # whatever goes in
            before = []
        else:   # what was computed says more than what came in: a sum over timesteps, say, began at zero
            before = [(frame, s) for _, s in step.args if s in frame.values and wrong(frame.values[s])]
            before.sort(key=lambda b: b[1] not in frame.plan.topology.origin)
        before = [b for b in before if (b[0].path, b[1]) not in seen]
        if not before:
            return _began(kind, asked_for, frame, step, slot, way)
        frame, slot = before[0]


def _began(kind: str, asked_for: str, frame: Frame, step: Step, slot: int, way: list[tuple[str, tuple]]) -> Why:
    inputs = {port: on_host(frame.values[s]) for port, (_, s) in zip(step.node.ports, step.args) if frame.values.get(s) is not None}
    output = on_host(frame.values[slot])
    where = f" at {' '.join(map(str, frame.place))}" if frame.place else ""
    said = why_blank(step.node, inputs) if kind == "zero" else why_bad(step.node, inputs, output)
    sentences = [f"{frame.name(step)} ({step.node.op.name}){where} {said}"]
    if step.node.location:
        sentences.append(made_at(step.node))
    return Why(_kind(kind, output), asked_for, frame.name(step), frame.place, tuple(reversed(way)), (*sentences, *_way_said(way, asked_for)))


def _came_in(dbg: Debugger, kind: str, asked_for: str, frame: Frame, slot: int, source: tuple[Frame, int] | None, way: list[tuple[str, tuple]]) -> Why:
    """It was there before anything fired, or came into a loop as a part of something."""
    name = _slot_name(frame, slot).rpartition(":")[0]
    way.append((name, frame.place))
    if source is not None:
        said = f"{name} at {' '.join(map(str, frame.place))} is {_what(kind, frame.values[slot])}: its part of {_slot_name(*source)}."
    elif slot in dbg._overrides:
        return _overridden(kind, asked_for, frame, name, slot, way)
    else:
        node = dbg.graph.node(name)
        did = {"placeholder": "was fed", "variable": "holds", "constant": "is"}.get(node.op.source or "", "was given")
        said = f"{name} {did} {_what(kind, frame.values[slot])}."
    return Why(_kind(kind, frame.values[slot]), asked_for, name, frame.place, tuple(reversed(way)), (said, *_way_said(way, asked_for)))


def _overridden(kind: str, asked_for: str, frame: Frame, name: str, slot: int, way: list[tuple[str, tuple]]) -> Why:
    said = f"{name} was overridden with {_what(kind, frame.values[slot])}."
    return Why(_kind(kind, frame.values[slot]), asked_for, name, frame.place, tuple(reversed(way)), (said, *_way_said(way, asked_for)))


def _what(kind: str, value: Any) -> str:
    return "nothing but zeros" if kind == "zero" else f"{'NaN' if np.isnan(on_host(value)).any() else 'an infinity'}{at(first_bad(value))}"


def _kind(kind: str, value: Any) -> str:
    """"nan" stands for both until the value is seen."""
    return kind if kind == "zero" or np.isnan(on_host(value)).any() else "inf"


def _first(dbg: Debugger, wrong: Callable[[Any], bool]) -> tuple[Frame, int] | None:
    """The first firing with a value that is wrong, as it stands: an override counts, not what it replaced."""
    for event in dbg._events[:dbg.cursor]:
        *path, index = event.key
        frame = dbg._frame(tuple(path))
        if event._outputs is None and not any(s is not None and (s.nan or s.inf) for s in event.stats) and not any(dbg._put_in(frame, s) for s in frame.plan.steps[index].outs):
            continue        # its values were let go, and its statistics say enough
        for slot in frame.plan.steps[index].outs:
            if wrong(frame.values.get(slot)):
                return frame, slot
    return None


def _inside(frame: Frame, step: Step, output: int, wrong: Callable[[Any], bool]) -> tuple[Frame, int] | None:
    """The value inside a loop that an output of it is, or is made of: the first timestep's where it is wrong."""
    loop = frame.loops.get(step.index)
    frames = loop.frames if loop is not None else []
    wires = [results for _, results in step.node.op.wires(step.node.attrs)]
    over_time = max(sum(what == "output" for what, _ in results) for results in wires)
    lasts = [wire for results in wires for wire in results if wire[0] == "next"]
    wanted: tuple[str, int] | None = None
    if output < over_time:
        wanted = ("output", output)
    elif output < over_time + len(lasts):
        wanted, frames = lasts[output - over_time], frames[::-1]
    for inner in frames:
        if wanted is None:      # a tensor of the body over time, by its name
            slot = _slot_of(inner, step.node.output_names[output].removeprefix("each."))
        else:
            results = wires[step.bodies.index(inner.plan)]
            slot = next((s for wire, s in zip(results, inner.plan.results) if wire == wanted), None)
        if slot is not None and wrong(inner.values.get(slot)):
            return inner, slot
        if wanted is not None and wanted[0] == "next" and slot is not None:
            return None
    return None


def _slot_of(frame: Frame, name: str) -> int | None:
    """Where a frame has `node` or `node.output`."""
    nodes = {n.name: n for n in frame.plan.graph.nodes}
    node, _, port = name.rpartition(".")
    key = (nodes[name].id, 0) if name in nodes else (nodes[node].id, nodes[node].output_names.index(port)) if node in nodes else None
    return frame.plan.slots.get(key) if key is not None else None


def _source(dbg: Debugger, frame: Frame, slot: int) -> tuple[Frame, int] | None:
    """Where an input of a loop's body comes from: the timestep before, or around the loop; None for a source of the graph itself."""
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
