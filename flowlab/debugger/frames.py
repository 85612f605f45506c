"""A run as it is being stepped: the frames of its loops, what has fired in each, and what can."""
from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..core.graph import Graph, Node, Tensor
from ..runtime.plan import Plan, Step, frame_number
from ..runtime.store import Draws


def told(graph: Graph, what: Node | Tensor) -> str:
    """The name under which a node or tensor is told; those inside a loop with the loop's name before their own."""
    if what.graph is graph:
        return what.name
    return graph.told(what) if isinstance(what, Node) else f"{graph.told(what.node)}:{what.index}"


LET_GO: Any = ("let go",)     # in place of a loop's outputs that have been let go

_NONE: frozenset[int] = frozenset()


class Values(dict):
    """The values of a frame by slot. One that was let go is there all the same: `again` computes it when it is asked for."""

    __slots__ = ("again", "gone")

    def __init__(self, values: Any):
        super().__init__(values)
        self.again: Callable[[int], Any] | None = None
        self.gone: set[int] | frozenset[int] = _NONE

    def holds(self, slot: int) -> bool:
        """Is the value in memory?"""
        return dict.__contains__(self, slot)

    def let_go(self, slots: Iterable[int]) -> None:
        going = [s for s in slots if dict.get(self, s) is not None]
        self.gone = {*self.gone, *going}    # first: an interrupt loses none
        for slot in going:
            dict.pop(self, slot, None)

    def put(self, slot: int, value: Any) -> None:
        """The value of a slot that was let go; another slot stays as it is."""
        if slot in self.gone:
            self[slot] = value
            self.gone = self.gone - {slot}

    def __missing__(self, slot: int) -> Any:
        if slot in self.gone and self.again is not None:
            return self.again(slot)
        raise KeyError(slot)

    def __contains__(self, slot: object) -> bool:
        return dict.__contains__(self, slot) or slot in self.gone

    def get(self, slot: int, default: Any = None) -> Any:
        return self[slot] if slot in self else default

    def pop(self, slot: int, default: Any = None) -> Any:
        if slot in self.gone:
            self.gone = self.gone - {slot}
        return dict.pop(self, slot, default)


class Frame:
    """A plan as it is being stepped: the run itself, or one timestep of a loop in it."""

    __slots__ = ("__weakref__", "closed", "fired", "loops", "missing", "number", "path", "phase", "place", "plan", "prefix", "ready", "rng", "top", "users", "values")

    def __init__(self, plan: Plan, values: dict[int, Any], rng: Draws, *, path: tuple = (), number: int = 0, place: tuple = (), prefix: str = "",
                 top: str | None = None, phase: str | None = None):
        topology = plan.topology
        self.plan, self.values, self.rng, self.users = plan, Values(values), rng, topology.users
        self.closed = False     # a timestep that is over, and has let go of what it took in
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


def entered(around: Frame, step: Step, asks: tuple[int, Any, Any], number: int, overridden: Callable[[str, int, tuple], Any]) -> Frame:
    """A new timestep of a loop: which body, at which timestep, from which inputs; `overridden(node, output, place)` says what stands in for one."""
    which, timestep, feeds = asks
    plan, inside = step.bodies[which], f"{around.prefix}{step.node.inside}"
    values, place = dict(enumerate(feeds)) | dict(plan.constants), (*around.place, inside, timestep)
    for k, t in enumerate(plan.feeds):
        other = overridden(f"{inside}/{t.node.name}", 0, place)
        values[k] = values[k] if other is None else other
    return Frame(plan, values, around.rng.at(frame_number(timestep)), path=(*around.path, (step.index, number)), number=number, place=place, prefix=f"{inside}/",
                 top=around.top or step.node.name, phase=around.phase or step.node.phase)


def phase_of(frame: Frame, step: Step) -> str:
    """The pass that a firing belongs to: inside a loop, the loop's."""
    return frame.phase or step.node.phase


def size_of(plan: Plan) -> int:
    """Firings of one run of a plan, each loop in it taken once."""
    return sum(1 + max((size_of(b) for b in s.bodies), default=0) for s in plan.steps)
