"""The values of a run within a memory budget: which are let go when there are too many, and how one of those is computed again."""
from __future__ import annotations

import weakref
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DebuggerError
from ..runtime.plan import Step, asked
from ..trace.trace import Event, count_together
from .frames import LET_GO, Frame, entered

if TYPE_CHECKING:
    from .debugger import Debugger


class Memory:
    """What a Debugger keeps, and what it has let go.

    Firings go first that nothing to come needs, the oldest before others. Of the run itself every so many-th is spared, and of a loop the states that
    every so many-th timestep began with: about as many as the root of how many there are, so that a value is computed again from nearby. Feeds, variables,
    constants and overrides stay. What is computed again is equal bit for bit: the same kernels on the same values, and draws are keyed.
    """

    def __init__(self, budget: int):
        self.budget = self.room = budget
        self.fresh = 0                      # bytes that are kept, rather more than less: what came since they were last counted may share memory
        self.holding: list[Event] = []      # the firings with values, those looked at last at the end
        self.counted = 0                    # so many of them are among the holders
        self.kept = 0                       # bytes that these hold
        self.holders: dict[int, int] = {}   # identity of an array whose memory values look into → how many do
        self._sources: set[int] | None = None   # identities of arrays that stay whatever happens
        self.whole = True                   # False while this is counted anew: after an interrupt all of it is
        self.depth = 0                      # of values that are being computed again
        self.gone: dict[tuple, Event] = {}  # those let go, by key
        self.snapshots: list[tuple[Frame, list[Any]]] = []      # timesteps that are over and keep the states they began with
        self.ahead: tuple[list[Event], Any, Any, Debugger] | None = None    # a second run, for what was taken back: its record and the overrides there

    def begin(self, events: Sequence[Event]) -> None:
        """Another record: what it holds, and what it has let go."""
        self.holding = [e for e in events if e._outputs is not None]
        self.gone = {e.key: e for e in events if e._outputs is None}
        self.snapshots, self.holders, self.counted, self.kept, self._sources = [], {}, 0, 0, None
        self._leave_ahead()
        self.fresh, self.room = sum(_size(e._outputs) for e in self.holding), self.budget

    # ------------------------------------------------------------ letting go

    def settle(self, dbg: Debugger) -> None:
        """Count what is kept, and let go of what is too much."""
        events, held = dbg._record[1], []
        if self._sources is None:
            sources = (*dbg._arrays, *dbg._snapshot.values(), *(a for _, a in dbg.plan.constants), *dbg._overrides.values(), *dbg._inner_overrides.values())
            self._sources = {id(_whole(v)) for v in sources}
        if not self.whole:
            self.holders, self.kept, self.counted = {}, 0, 0
            for _, states in self.snapshots:
                self._count(states)
        self.whole = False
        for k, event in enumerate(self.holding):
            there = event._outputs is not None and event.index < len(events) and events[event.index] is event
            if there:
                held.append(event)
            if there and k >= self.counted:
                self._count(event._outputs or ())
            elif k < self.counted and not there:
                self._discount(event._outputs or ())
        self.holding, self.counted = held, len(held)
        target, going = self.budget - self.budget // 8, []
        if self.kept > self.budget:
            for event in self._order(dbg, held):
                if self.kept <= target:
                    break
                self._discount(event._outputs or ())
                going.append(event)
        count_together(going)       # while there are values to count
        for event in going:
            self._let_go(dbg, event)
        leaving = set(map(id, going))
        self.holding = [e for e in held if id(e) not in leaving]
        self.counted = len(self.holding)
        self._thin(dbg)
        self.fresh, self.room = self.kept, max(self.budget, self.kept + self.budget // 8)
        self.whole = True

    def _thin(self, dbg: Debugger) -> None:
        """Every other snapshot goes while they take more than a quarter."""
        stale = [(f, states) for f, states in self.snapshots if frame_at(dbg, f.path) is not f]
        going, self.snapshots = stale, [s for s in self.snapshots if frame_at(dbg, s[0].path) is s[0]]
        while self.snapshots and sum(_size(states) for _, states in self.snapshots) > self.budget // 4:
            going, self.snapshots = [*going, *self.snapshots[::2]], self.snapshots[1::2]
        for frame, states in going:
            self._discount(states)
            if frame_at(dbg, frame.path) is frame:
                frame.values.let_go([s for s in _state_slots(dbg, frame) if not dbg._put_in(frame, s)])

    def _count(self, values: Sequence[Any]) -> None:
        for whole in _wholes(values, self._sources or ()):
            n = self.holders.get(id(whole), 0)
            self.kept += 0 if n else whole.nbytes
            self.holders[id(whole)] = n + 1

    def _discount(self, values: Sequence[Any]) -> None:
        """What nobody else looks into is free."""
        for whole in _wholes(values, ()):
            n = self.holders.pop(id(whole), 0)
            if n > 1:
                self.holders[id(whole)] = n - 1
            elif n:
                self.kept -= whole.nbytes

    def _order(self, dbg: Debugger, held: Sequence[Event]) -> Iterator[Event]:
        """The firings that may go, the first to go first."""
        cursor, events = len(dbg._record[0]), dbg._record[1]
        frames: dict[tuple, Frame | None] = {}

        def needs(event: Event) -> bool:
            *path, index = event.key
            if event.key[:-1] not in frames:
                frames[event.key[:-1]] = self._live(dbg, path)
            frame = frames[event.key[:-1]]
            return frame is not None and (index in frame.plan.topology.asked or not frame.fired.issuperset(frame.users[index]))
        every, spared, size = isqrt(len(events)) + 1, [], 0
        for event in held:
            if event.index < cursor and needs(event):
                continue
            if len(event.key) == 1 and not event.index % every and size + _size(event._outputs) <= self.budget // 4:
                size += _size(event._outputs)
                spared.append(event)
            else:
                yield event
        yield from spared

    def _live(self, dbg: Debugger, path: Sequence[tuple[int, int]]) -> Frame | None:
        """The frame that a key leads to; None if its timestep is over, and nothing to come reads what is in it."""
        frame = dbg._outside
        for index, number in path:
            loop = frame.loops[index]
            if loop.outputs is not None or loop.failed is not None or number != len(loop.frames) - 1:
                return None
            frame = loop.frames[number]
        return frame

    def _let_go(self, dbg: Debugger, event: Event) -> None:
        """One firing's values go, its statistics stay."""
        self.gone[event.key] = event
        event._trace = dbg._home
        *path, index = event.key
        if event.index < len(dbg._record[0]):
            frame = frame_at(dbg, path)
            assert frame is not None
            step = frame.plan.steps[index]
            self._drop(dbg, frame, step)
            loop = frame.loops.get(index)
            if loop is not None and loop.outputs is not None:
                loop.outputs = LET_GO
            if path:
                self._close(dbg, frame)
        event.forget()

    def _drop(self, dbg: Debugger, frame: Frame, step: Step) -> None:
        """A step's outputs are there to be computed again; one that was overridden stays."""
        values = frame.values
        values.again = again_of(dbg, frame)
        values.let_go([s for s in step.outs if not dbg._put_in(frame, s)])

    def skipped(self, dbg: Debugger, frame: Frame, step: Step) -> None:
        """A firing from the record whose values were let go: nothing is computed until somebody looks."""
        frame.values.again = again_of(dbg, frame)
        for k, slot in enumerate(step.outs):
            other = dbg._put_in(frame, slot)
            if other is not None:
                frame.values[slot] = other[0]
            elif step.wanted and not step.wanted[k]:
                frame.values[slot] = None
            else:
                frame.values.gone = {*frame.values.gone, slot}

    def _close(self, dbg: Debugger, frame: Frame) -> None:
        """A timestep that is over forgets what it took in, but for the states where it is one that others are computed again from."""
        if frame.closed or self._live(dbg, frame.path) is not None:
            return
        frame.closed = True
        values, states = frame.values, set(_state_slots(dbg, frame))
        values.again = again_of(dbg, frame)
        number, total = frame.number, len(frame_at(dbg, frame.path[:-1]).loops[frame.path[-1][0]].frames)
        keep = states if not number % (1 << (isqrt(total).bit_length() - 1)) else set()
        values.let_go([s for s in range(len(frame.plan.feeds)) if s not in keep and not dbg._put_in(frame, s)])
        if keep:
            self._snap(frame)

    def _snap(self, frame: Frame) -> None:
        states = _states(frame)
        self.snapshots.append((frame, states))
        self._count(states)
        self.fresh += _size(states)

    # ------------------------------------------------------------ computing again

    def again(self, dbg: Debugger, frame: Frame, slot: int) -> Any:
        """A value of a frame that was let go."""
        origin = frame.plan.topology.origin.get(slot)
        if origin is None:
            return self._fed(dbg, frame, slot)
        step, k = origin
        return self.fire(dbg, frame, step)[k]

    def fire(self, dbg: Debugger, frame: Frame, step: Step) -> tuple[Any, ...]:
        """The outputs of a step that has fired, and of what it needs, from the nearest values that are still there."""
        if len(dbg._record[0]) == len(dbg._record[1]):      # nothing is taken back any more
            self._leave_ahead()
        self.depth += 1
        try:
            outputs = self._fire(dbg, frame, step)
        finally:
            self.depth -= 1
        if self.fresh > self.room and not self.depth:       # not while what it needs is on the way
            self.settle(dbg)
        return outputs

    def _fire(self, dbg: Debugger, frame: Frame, step: Step) -> tuple[Any, ...]:
        values, steps, origin = frame.values, frame.plan.steps, frame.plan.topology.origin
        needed: set[int] = set()
        stack = [step.index]
        while stack:
            index = stack.pop()
            if index not in needed:
                needed.add(index)
                stack += [origin[s][0].index for _, s in steps[index].args if s in origin and not values.holds(s)]
        last = {s: index for index in sorted(needed) for _, s in steps[index].args}
        found: dict[int, Any] = {}
        made: dict[int, tuple[Any, ...]] = {}
        size = 0
        for index in sorted(needed):
            one = steps[index]
            given = {s: found[s] if s in found else values[s] for _, s in one.args}
            made[index] = outputs = self._outputs(dbg, frame, one, given)
            found.update((s, v) for s, v in zip(one.outs, outputs) if not values.holds(s))
            size += _size(outputs)
            if size > self.budget // 8 and index != step.index:     # what nothing here needs any more
                for done in [k for k in made if all(last.get(s, -1) <= index for s in steps[k].outs)]:
                    size -= _size(made.pop(done))
                    for s in steps[done].outs:
                        found.pop(s, None)
        outputs = made[step.index]
        for index in sorted(made):
            self._return(dbg, frame, steps[index], made[index])
        return outputs

    def _return(self, dbg: Debugger, frame: Frame, step: Step, outputs: tuple[Any, ...]) -> None:
        """What was computed again is kept once more, until there is too much."""
        event = self.gone.get((*frame.path, step.index))
        if event is None or event._outputs is not None:
            return
        for slot, value in zip(step.outs, outputs):
            frame.values.put(slot, value)
        event._outputs, event.again = outputs, True
        self.holding.append(event)
        self.fresh += _size(outputs)
        del self.gone[event.key]

    def _outputs(self, dbg: Debugger, frame: Frame, step: Step, values: Mapping[int, Any]) -> tuple[Any, ...]:
        """What a step computes; a loop in which something is overridden goes through its timesteps one by one."""
        if not step.bodies or not self._changed(dbg, frame, step):
            return step.fire(values, frame.rng)
        running, count = step.enter(values), 0
        try:
            asks = next(running)
            while True:
                inner = entered(frame, step, asks, count, dbg._inner_override)
                asks, count = running.send(self._run(dbg, inner)), count + 1
        except StopIteration as stop:
            return asked(stop.value, step.wanted)

    def _run(self, dbg: Debugger, frame: Frame) -> tuple[Any, ...]:
        """The results of a timestep, from what it takes in."""
        values = frame.values
        for step in frame.plan.steps:
            for k, (slot, value) in enumerate(zip(step.outs, self._outputs(dbg, frame, step, values))):
                other = dbg._inner_override(frame.name(step), k, frame.place)
                values[slot] = value if other is None else other
        return tuple([values[s] for s in frame.plan.results])

    def _changed(self, dbg: Debugger, frame: Frame, step: Step) -> bool:
        inside = f"{frame.prefix}{step.node.inside}/"
        return any(node.startswith(inside) for node, _, _ in dbg._inner_overrides)

    # ------------------------------------------------------------ what a timestep takes in

    def _fed(self, dbg: Debugger, frame: Frame, slot: int) -> Any:
        """An input of a timestep: a part of a sequence, a state, or what is around the loop."""
        around, step, wires = _loop_of(dbg, frame)
        kind, k = wires[step.bodies.index(frame.plan)][0][slot]
        if kind == "state":
            return self._state(dbg, frame, slot)
        return _taken(around.values[step.args[k][1]], kind, k, step, frame)

    def _state(self, dbg: Debugger, frame: Frame, slot: int) -> Any:
        """A state as a timestep found it: from the nearest timestep before whose states are there, step by step."""
        around, step, wires = _loop_of(dbg, frame)
        frames = around.loops[step.index].frames
        begin = frame.number
        while begin and not self._begins(dbg, frames[begin]):
            begin -= 1
        sources = wires[step.bodies.index(frames[begin].plan)][0]
        if begin:
            states = {k: frames[begin].values[s] for s, (kind, k) in enumerate(sources) if kind == "state"}
        else:
            states = {k: around.values[step.args[k][1]] for kind, k in sources if kind == "state"}
        for _, after in self._through(dbg, around, step, frames[begin:frame.number], states):
            states = after
        found = [(s, states[k]) for s, (kind, k) in enumerate(wires[step.bodies.index(frame.plan)][0]) if kind == "state"]
        for s, value in found:
            frame.values.put(s, value)
        if frame.closed:
            self._snap(frame)
        return next(value for s, value in found if s == slot)

    def _begins(self, dbg: Debugger, frame: Frame) -> bool:
        """Are all states there that a timestep began with, as they came to it?"""
        return all(frame.values.holds(s) and dbg._put_in(frame, s) is None for s in _state_slots(dbg, frame))

    def results(self, dbg: Debugger, around: Frame, step: Step, frames: Sequence[Frame]) -> Iterator[tuple[Any, ...]]:
        """What the timesteps of a loop gave that are over, one after another from the first."""
        if frames:
            sources = step.node.op.wires(step.node.attrs)[step.bodies.index(frames[0].plan)][0]
            for found, _ in self._through(dbg, around, step, frames, {k: around.values[step.args[k][1]] for kind, k in sources if kind == "state"}):
                yield found

    def _through(self, dbg: Debugger, around: Frame, step: Step, frames: Sequence[Frame], states: dict[int, Any]) -> Iterator[tuple[tuple[Any, ...], dict[int, Any]]]:
        """Timesteps in their order, each with its results and the states after it; `states` are those that the first begins with."""
        wires = step.node.op.wires(step.node.attrs)
        changed = self._changed(dbg, around, step)
        for frame in frames:
            sources, made = wires[step.bodies.index(frame.plan)]
            if all(frame.values.holds(s) for s in frame.plan.results):
                results = tuple([frame.values[s] for s in frame.plan.results])
            else:
                feeds = []
                for slot, (kind, k) in enumerate(sources):
                    other = dbg._put_in(frame, slot)
                    feeds.append(other[0] if other is not None else states[k] if kind == "state" else _taken(around.values[step.args[k][1]], kind, k, step, frame))
                if changed:
                    results = self._run(dbg, entered(around, step, (step.bodies.index(frame.plan), frame.place[-1], feeds), frame.number, dbg._inner_override))
                else:
                    results = frame.plan.function(feeds, (), frame.rng)[0]
            states = {**states, **{k: value for (what, k), value in zip(made, results) if what == "next"}}
            yield results, states

    # ------------------------------------------------------------ a firing's values

    def outputs(self, dbg: Debugger, event: Event) -> tuple[Any, ...]:
        """What a firing gave whose values were let go. DebuggerError if it is no longer on the record."""
        order, events, overrides, inner = dbg._record
        if event.index >= len(events) or events[event.index] is not event:
            raise DebuggerError(f"the values of {event.node} were let go, and this firing is no longer on the record.", node=event.node, hint="Its statistics are kept: event.stats.")
        if event.index < len(order):
            frame = frame_at(dbg, event.key[:-1])
            assert frame is not None
            return self.fire(dbg, frame, frame.plan.steps[event.key[-1]])
        before = events[:event.index + 1]       # it has been taken back: a second run goes there, and stays for the next that is asked for
        known = self.ahead
        if known is None or known[1] is not overrides or known[2] is not inner or len(known[0]) < len(before) or any(a is not b for a, b in zip(known[0], before)):
            self._leave_ahead()
            known = self.ahead = list(events), overrides, inner, dbg._beside(events, overrides, inner)
        other = known[3]
        other.seek(event.index + 1)
        event.again = True
        return tuple(other.records[event.index].outputs)

    def _leave_ahead(self) -> None:
        """The second run is of no use any more: its values go at once, not when the garbage collector comes."""
        gone, self.ahead = self.ahead, None
        if gone is not None:
            gone[3]._put(([], [], {}, {}))


class Home:
    """A Debugger as its own firings know it: it holds them, and they do not hold it, so that all values are free as soon as it is."""

    def __init__(self, dbg: Debugger):
        self._dbg = weakref.ref(dbg)

    def _again(self, event: Event) -> tuple[Any, ...]:
        dbg = self._dbg()
        if dbg is None:
            raise DebuggerError(f"the values of {event.node} were let go, and the Debugger that could compute them again is no more.", node=event.node,
                                hint="Keep the Debugger for as long as its firings are looked at. Their statistics are kept: event.stats.")
        return dbg._again(event)


def again_of(dbg: Debugger, frame: Frame) -> Callable[[int], Any]:
    """What computes a frame's values again. It holds neither the frame nor the Debugger: both hold it."""
    return partial(_again, weakref.ref(dbg), weakref.ref(frame))


def _again(dbg: weakref.ref[Debugger], frame: weakref.ref[Frame], slot: int) -> Any:
    held, around = dbg(), frame()
    assert held is not None and around is not None      # whoever asks has both
    return held._memory.again(held, around, slot)


def frame_at(dbg: Debugger, path: Sequence[tuple[int, int]]) -> Frame | None:
    """The frame that a firing's key leads to; None if it is no more."""
    frame = dbg._outside
    for index, number in path:
        loop = frame.loops.get(index)
        if loop is None or number >= len(loop.frames):
            return None
        frame = loop.frames[number]
    return frame


def _loop_of(dbg: Debugger, frame: Frame) -> tuple[Frame, Step, Any]:
    """What is around a timestep, the loop's step there, and how its inputs and results go."""
    around = frame_at(dbg, frame.path[:-1])
    assert around is not None
    step = around.plan.steps[frame.path[-1][0]]
    return around, step, step.node.op.wires(step.node.attrs)


def _state_slots(dbg: Debugger, frame: Frame) -> list[int]:
    _, step, wires = _loop_of(dbg, frame)
    return [s for s, (kind, _) in enumerate(wires[step.bodies.index(frame.plan)][0]) if kind == "state"]


def _states(frame: Frame) -> list[Any]:
    """What a timestep that is over still holds of what it took in."""
    return [frame.values[s] for s in range(len(frame.plan.feeds)) if frame.values.holds(s)]


def _taken(value: Any, kind: str, k: int, step: Step, frame: Frame) -> Any:
    """What a timestep takes of a value around its loop."""
    if kind != "sequence":
        return value
    axis = step.node.attrs["axes"][k]
    return (step.backend.moveaxis(value, axis, 0) if axis else value)[frame.place[-1], ...]


def _size(values: Sequence[Any] | None) -> int:
    return sum(v.nbytes for v in values or () if v is not None)


def _whole(value: Any) -> Any:
    """The array whose memory a value looks into."""
    while type(value) is np.ndarray and type(value.base) is np.ndarray:
        value = value.base
    return value


def _wholes(values: Sequence[Any], but: Container[int]) -> list[Any]:
    """The arrays whose memory values look into, each once."""
    if len(values) == 1 and values[0] is not None:
        whole = _whole(values[0])
        return [] if id(whole) in but else [whole]
    found = {id(whole): whole for v in values if v is not None and id(whole := _whole(v)) not in but}
    return list(found.values())
