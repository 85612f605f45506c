"""A run as it is being stepped: the frames of its loops, what has fired in each, and what can."""
from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from ..core.graph import Graph, Node, Tensor
from ..runtime.plan import Plan, Step
from ..runtime.store import Draws


def told(graph: Graph, what: Node | Tensor) -> str:
    """The name under which a node or tensor is told; those inside a loop with the loop's name before their own."""
    if what.graph is graph:
        return what.name
    return graph.told(what) if isinstance(what, Node) else f"{graph.told(what.node)}:{what.index}"


class Frame:
    """A plan as it is being stepped: the run itself, or one timestep of a loop in it."""

    __slots__ = ("fired", "loops", "missing", "number", "path", "phase", "place", "plan", "prefix", "ready", "rng", "top", "users", "values")

    def __init__(self, plan: Plan, values: dict[int, Any], rng: Draws, *, path: tuple = (), number: int = 0, place: tuple = (), prefix: str = "",
                 top: str | None = None, phase: str | None = None):
        topology = plan.topology
        self.plan, self.values, self.rng, self.users = plan, values, rng, topology.users
        self.path, self.number, self.place, self.prefix, self.top, self.phase = path, number, place, prefix, top, phase
        self.missing = list(topology.waiting)
        self.ready = set(topology.first)
        self.fired: set[int] = set()
        self.loops: dict[int, Loop] = {}

    def name(self, step: Step) -> str:
        return f"{self.prefix}{step.node.name}" if self.prefix else step.node.name

    def touched(self) -> bool:
        """Has anything fired here, or in a loop in here?"""
        return bool(self.fired) or any(f.touched() for loop in self.loops.values() for f in loop.frames)

    def unfire(self, index: int) -> None:
        self.fired.discard(index)
        for slot in self.plan.steps[index].outs:
            self.values.pop(slot, None)
        for user in self.users[index]:
            self.missing[user] += 1
            self.ready.discard(user)
            self.loops.pop(user, None)      # it had been entered at most, from values that may be others next time
        self.ready.add(index)

    def recount(self) -> None:
        """Work out again from the steps that have fired what else is known."""
        self.missing = [sum(w not in self.fired for w in s.waits) for s in self.plan.steps]
        self.ready = {k for k, missing in enumerate(self.missing) if not missing and k not in self.fired}
        for s in self.plan.steps:
            if s.index not in self.fired:
                for slot in s.outs:
                    self.values.pop(slot, None)


@dataclass(slots=True)
class Loop:
    """A loop or branch that has been entered: its timesteps so far, and the routine that says which comes next."""

    frames: list[Frame] = field(default_factory=list)
    running: Generator | None = None        # waits for what the last frame computes; None when that has to be found again
    outputs: tuple[Any, ...] | None = None  # what it gives, when it is over
    failed: Exception | None = None         # or why it could not go on

    def begun(self) -> list[Frame]:
        """The timesteps that something has fired in; the first before anything has."""
        return self.frames[:-1] if len(self.frames) > 1 and not self.frames[-1].touched() else self.frames

    def cut(self, count: int) -> None:
        """Forget all timesteps from number `count` on."""
        del self.frames[count:]
        self.running = self.outputs = self.failed = None


def phase_of(frame: Frame, step: Step) -> str:
    """The pass that a firing belongs to: inside a loop, the loop's."""
    return frame.phase or step.node.phase


def size_of(plan: Plan) -> int:
    """Firings of one run of a plan, each loop in it taken once."""
    return sum(1 + max((size_of(b) for b in s.bodies), default=0) for s in plan.steps)
