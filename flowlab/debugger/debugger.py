"""Debugger: fire one node at a time, in any order that the wires allow, and go back."""
from __future__ import annotations

import functools
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..core.errors import AttributeValueError, DebuggerError, FlowError, HeldError
from ..core.graph import Graph, Node, Tensor
from ..core.types import shape_text
from ..runtime.backend import on_host
from ..runtime.feeding import checked_feeds, feed_tensors, flatten, resolve
from ..runtime.memory import trace_budget
from ..runtime.plan import Plan, Step, asked
from ..runtime.session import Session, error_at, host
from ..runtime.store import Snapshot
from ..trace.explain import Explanation, explain
from ..trace.trace import Event, Stats, Trace, ValueKeyError, record, stats_of
from ..trace.why import Why, bad, blank
from .breakpoints import Breakpoints, Hit
from .causes import why
from .frames import LET_GO, Frame, Loop, Values, entered, phase_of, size_of, told
from .memory import Home, Memory


def _alone(command: Callable, tells: bool = True) -> Callable:
    """One thread at a time: a second is refused, not kept waiting. Who follows the run is told at the end."""
    @functools.wraps(command)
    def within(self: Debugger, *args: Any, **kwargs: Any) -> Any:
        if self._runs_in not in (None, threading.get_ident()):
            raise DebuggerError("another thread is stepping this run.", hint="Wait until it stops, or interrupt it.")
        with self._turn:
            before, self._runs_in = self._runs_in, threading.get_ident()
            try:
                return command(self, *args, **kwargs)
            finally:
                self._runs_in = before
                if tells and before is None and self._followers:
                    self._tell()
    return within


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run stopped, and before or after which node."""

    reason: Literal["end", "node", "breakpoint", "question", "error"]
    node: str | None = None


IDLE_ROUNDS = 10_000    # of a while loop in which nothing fires: it would go round for ever, and nobody could stop between two firings
_Record = tuple[list[tuple], list[Event], dict[int, np.ndarray], dict[tuple, np.ndarray]]   # see Debugger._order and what follows it


class Debugger:
    """Steps a run. Placeholders, constants and variable reads are there from the start; every other firing counts.

    `session.run` would compute the same numbers: same kernels, same draws, in any firing order. It commits at its last firing. A loop or branch is
    entered like a function: its nodes fire timestep by timestep (`rnn/Tanh` with the frame `("rnn", 3)`), then the loop's own node, which gives
    what came out. `breakpoints`, `watches` and `override` change how it goes; `hits` holds what breakpoints saw that only look.

    `record=False` forgets a firing when it is taken back: `length` is then always the cursor. `since`, a pair (variables, number of the run) as
    `Session.moment` gives it, begins where the session stood then; such a run looks and never commits. `budget` is how many bytes of values the
    Debugger keeps (256 MiB, or a quarter of what this process may take if that is less); what it lets go is computed again when it is looked at,
    equal bit for bit. Beyond it stays what the next firings need.
    """

    def __init__(self, session: Session, fetches: Any, feeds: Mapping[Any, Any] | None = None, record: bool = True, *, since: tuple[Snapshot, int] | None = None,
                 budget: int | None = None):
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, (int, np.integer)) or budget < 0):
            raise AttributeValueError(f"budget is {budget!r}.", port="budget", hint="A whole number of bytes from 0 on, such as 64 << 20.")
        self.session, self.record, self.fetches = session, record, fetches
        self.commits = since is None
        flat, self._build = flatten(session.graph, fetches)
        by_tensor = feed_tensors(session.graph, feeds)
        self.plan = session.plan(flat, tuple(by_tensor))
        self._arrays = [np.array(a) for a in checked_feeds(by_tensor)]
        session.fits(self.plan, tuple([a.shape for a in self._arrays]))
        self.feeds = {t.name: a for t, a in zip(by_tensor, self._arrays)}
        self._snapshot, self._run = session.moment() if since is None else since
        values: dict[int, Any] = dict(enumerate(self._arrays))
        values.update(self.plan.constants)
        values.update((slot, self._snapshot[node_id]) for slot, node_id in self.plan.variables)
        self._turn, self._runs_in = threading.RLock(), None     # the thread that a command runs in
        self._followers: tuple[Callable[[], Any], ...] = ()     # who is told when it has moved
        self._whole = True      # False while something changes: after an interrupt, what follows from the record is worked out again
        self._outside = Frame(self.plan, values, session.draws(session.seed, self._run))
        self._memory, self._home = Memory(trace_budget() if budget is None else budget), Home(self)
        self._step_of, self._origin = self.plan.topology.by_name, self.plan.topology.origin
        self._record: _Record = ([], [], {}, {})
        self._begin = time.perf_counter()
        self._committed: tuple | None = None    # the session's variables and counts before this run committed
        self._results: Any = None
        self._over = False      # all has fired, and it has committed
        self._turns = 0         # how often it has been taken back, or its record changed
        self._breakpoints: Breakpoints | None = None    # made when asked for: it holds this Debugger, whose values would wait for the garbage collector
        self.hits: list[Hit] = []       # what breakpoints saw that log or take snapshots
        self.watches: list[str] = []
        self.holds: frozenset[str] = frozenset()    # nodes that do not fire until they are taken out: somebody is asked first what they will give
        self.error: FlowError | None = None
        self._failed: str | None = None
        if not self.plan.steps:
            self._finish()

    # ------------------------------------------------------------ the record

    @property
    def _order(self) -> list[tuple]:
        """Keys of the firings so far, in order."""
        if not self._whole:
            self._mend()
        return self._record[0]

    @property
    def _events(self) -> list[Event]:
        """Those, and then the ones that can be gone forward to again."""
        if not self._whole:
            self._mend()
        return self._record[1]

    @property
    def _overrides(self) -> dict[int, np.ndarray]:
        return self._record[2]

    @property
    def _inner_overrides(self) -> dict[tuple, np.ndarray]:
        return self._record[3]

    @property
    def _root(self) -> Frame:
        """The frame of the run itself."""
        if not self._whole:
            self._mend()
        return self._outside

    # ------------------------------------------------------------ where it stands

    @property
    def breakpoints(self) -> Breakpoints:
        """Where it pauses, or looks without pausing."""
        if self._breakpoints is None:
            self._breakpoints = Breakpoints(self)
        return self._breakpoints

    @property
    def let_go(self) -> int:
        """How many firings on the record have let their values go to stay within the budget. They are computed again when they are looked at."""
        return sum(e._outputs is None for e in self._events) if self._memory.gone else 0

    @property
    def graph(self) -> Graph:
        return self.session.graph

    @property
    def cursor(self) -> int:
        """Firings done."""
        return len(self._order)

    @property
    def length(self) -> int:
        """Firings recorded: the cursor can go there without computing anew."""
        return len(self._events)

    @property
    def total(self) -> int:
        """Firings that a complete run has; while a loop's number of timesteps is not known, as far as one can tell."""
        return self.cursor if self.done else max(self.length, self.cursor + self._left(self._root))

    @property
    def ready(self) -> tuple[str, ...]:
        """Names of the nodes whose inputs are all there, first the one that step fires."""
        again = self._on_record()
        first = again and [*again[0].path, again[1].index]
        found = sorted(self._open(self._root), key=lambda each: [*each[0].path, each[1].index] != first) if first else self._open(self._root)
        return tuple(frame.name(step) for frame, step in found)

    @property
    def frame(self) -> tuple:
        """Where the next firing takes place: `("rnn", 3)` inside a loop, `()` outside."""
        following = self._next()
        return following[0].place if following else ()

    def names(self) -> list[str]:
        """The nodes that fire in this run, those inside loops too, each once."""
        def walk(plan: Plan, prefix: str) -> Iterator[str]:
            for s in plan.steps:
                yield f"{prefix}{s.node.name}"
                for b in s.bodies:
                    yield from walk(b, f"{prefix}{s.node.inside}/")
        return list(walk(self.plan, ""))

    def timestep(self, loop: str) -> Any:
        """The latest timestep of a loop (`"rnn"` or `"rnn/Scan"`) that something has fired in, or the branch taken; None if it has not been entered."""
        def look(frame: Frame) -> Any:
            for index, begun in frame.loops.items():
                node = frame.plan.steps[index].node
                if begun.frames and loop in (f"{frame.prefix}{node.name}", f"{frame.prefix}{node.inside}"):
                    return begun.begun()[-1].place[-1]
                for inner in reversed(begun.begun()):
                    found = look(inner)
                    if found is not None:
                        return found
            return None
        return look(self._root)

    @property
    def done(self) -> bool:
        return len(self._root.fired) == len(self.plan.steps)

    @property
    def results(self) -> Any:
        """What `run` would have returned; None until the run is done."""
        return self._results if self.done else None

    @property
    def records(self) -> list[Event]:
        """The recorded firings, those after the cursor among them."""
        return list(self._events)

    def outputs_of(self, event: Event) -> tuple[np.ndarray | None, ...]:
        """The values that stand for a firing's outputs, one that was overridden as it was overridden. `event.outputs` has what the kernel computed."""
        *path, index = event.key
        frame = self._frame(tuple(path))
        return tuple(None if v is None else on_host(v) for v in (frame.values.get(s) for s in frame.plan.steps[index].outs))

    def state(self, name: str) -> str:
        """`"idle"`, `"ready"`, `"running"` (a loop that has been entered), `"done"` or `"error"`; of a node in a loop, at the latest timestep begun."""
        if name == self._failed:
            return "error"
        frame, step = self._found(name, begun=True)
        if step is None:
            node = self.graph.node(name)
            return "done" if any((node.id, t.index) in self.plan.slots for t in node.outputs) else "idle"
        if frame is None:
            return "idle"
        if step.index in frame.ready:
            loop = frame.loops.get(step.index)
            return "running" if loop and any(f.touched() for f in loop.frames) else "ready"
        return "done" if step.index in frame.fired else "idle"

    def computed(self, name: str | Tensor) -> bool:
        """Has the tensor its value by now?"""
        try:
            tensor = self._tensor(name)
        except ValueKeyError:
            return False
        found = self._place(self._root, tensor)
        return found is not None and (not found[0].values.holds(found[1]) or found[0].values[found[1]] is not None)

    def computed_again(self, name: str | Tensor) -> bool:
        """Was the tensor's value let go to stay within the budget, so that looking at it computes it again, or has?"""
        found = self._place(self._root, self._tensor(name))
        if found is None:
            return False
        frame, slot = found
        origin = frame.plan.topology.origin.get(slot)
        if origin is None:
            return slot in frame.values.gone
        key = (*frame.path, origin[0].index)
        event = next(e for e in reversed(self._events[:self.cursor]) if e.key == key)
        return event.again or event._outputs is None

    def value(self, name: str | Tensor) -> np.ndarray:
        """The value of a tensor at the cursor, inside a loop that of the latest timestep which has it; KeyError if it is not computed yet."""
        tensor = self._tensor(name)
        held = self._held(tensor)
        if held is None:
            shown = told(self.graph, tensor)
            if tensor.graph is self.graph and (tensor.node.id, tensor.index) not in self.plan.slots:
                raise ValueKeyError(f"{shown} is not part of this run.", node=tensor.node.name, hint="Fetch it, or something that needs it.")
            raise ValueKeyError(f"{shown} is not computed yet.", node=shown.rpartition(":")[0], hint=f"Step on: {self.cursor} of {self.total} firings are done.")
        return np.array(on_host(held), order="C")

    def stats(self, name: str | Tensor) -> Stats:
        """Statistics of a tensor at the cursor."""
        return stats_of(self.value(name))

    def missing(self, name: str) -> list[str]:
        """The inputs that a node still waits for."""
        frame, step = self._step(name)
        if frame is None:
            return [self._entrance(name)]
        return [frame.name(frame.plan.steps[w]) for w in step.waits if w not in frame.fired]

    def join(self, name: str) -> tuple[int, int]:
        """How many of the tensors a node takes are there, and how many it takes."""
        frame, step = self._step(name)
        return sum(s in frame.values for _, s in step.args) if frame is not None else 0, len(step.args)

    def __repr__(self) -> str:
        if self.done:
            where = "the run is done"
        else:
            ready = self.ready
            inside = " ".join(map(str, self.frame))
            where = f"next {ready[0]}{f' at {inside}' if inside else ''}; {len(ready)} ready" if ready else "nothing is ready"
        lines = [f"Debugger of {self.graph.name!r}: {self.cursor} of {self.total} firings done, {where}."]
        if self._order:
            event = self._events[self.cursor - 1]
            at = f" at {' '.join(map(str, event.frame))}" if event.frame else ""
            lines.append(f"Last: {event.node}{at} → {', '.join(f'{v.dtype}{list(v.shape)}' for v in event.outputs if v is not None)}")
        gone = self.let_go
        if gone:
            lines.append(f"{gone:,} of {len(self._events):,} values let go, computed again when looked at.")
        lines += [f"Watch {name}: {self.stats(name) if self.computed(name) else 'not computed yet'}" for name in self.watches]
        return "\n".join(lines)

    # ------------------------------------------------------------ finding one's way

    def _next(self) -> tuple[Frame, Step] | None:
        """What step fires: in the past what the record has next, else the first node that is ready, inside the loops that it leads into."""
        again = self._on_record()
        if again is not None:
            return again
        frame = self._root
        while frame.ready:
            step = frame.plan.steps[min(frame.ready)]
            if not step.bodies:
                return frame, step
            child = self._current(frame, step)
            if child is None:
                return frame, step
            frame = child
        return None

    def _on_record(self) -> tuple[Frame, Step] | None:
        """What the record has next; None at its end. Whoever goes on from the past keeps what was recorded, whatever the order it was fired in."""
        order, events, *_ = self._record
        if len(order) >= len(events):
            return None
        *path, index = events[len(order)].key
        frame = self._root
        for at, number in path:
            child = self._current(frame, frame.plan.steps[at]) if at in frame.ready else None
            if child is None or child.number != number:
                return None
            frame = child
        step = frame.plan.steps[index]
        if index not in frame.ready or step.bodies and self._current(frame, step) is not None:
            return None
        return frame, step

    def _open(self, frame: Frame) -> Iterator[tuple[Frame, Step]]:
        """All that is ready, in order."""
        for k in sorted(frame.ready):
            step = frame.plan.steps[k]
            child = self._current(frame, step) if step.bodies else None
            if child is not None:
                yield from self._open(child)
            else:
                yield frame, step

    def _current(self, frame: Frame, step: Step) -> Frame | None:
        """The timestep that a loop is in, or None when it is over and its own node can fire."""
        loop = frame.loops.get(step.index)
        if loop is None:
            loop = frame.loops[step.index] = Loop()
        begun = len(loop.frames)
        while loop.outputs is None and loop.failed is None:
            if len(loop.frames) - begun > IDLE_ROUNDS and step.node.op.rounds is None:
                loop.failed = DebuggerError(f"{frame.name(step)} has gone round {IDLE_ROUNDS:,} times with nothing to fire inside.", node=frame.name(step),
                                            hint="Its condition may never become false.")
                break
            if loop.frames and len(loop.frames[-1].fired) < len(loop.frames[-1].plan.steps):
                return loop.frames[-1]
            running, loop.running = loop.running, None      # None until all is in place: after an interrupt the way here is found again
            try:
                if running is None:
                    running = step.enter(frame.values)
                    asks = next(running)
                    for results in self._memory.results(self, frame, step, loop.frames):
                        asks = running.send(results)
                else:
                    done = loop.frames[-1]
                    asks = running.send(tuple([done.values[s] for s in done.plan.results]))
            except StopIteration as stop:
                loop.outputs = asked(stop.value, step.wanted)
            except Exception as error:      # told when the loop's own node fires
                loop.failed = error
            else:
                # a state may be another than the timestep before has left
                loop.frames.append(entered(frame, step, asks, len(loop.frames), self._inner_override))
                loop.running = running
        return None

    def _frame(self, path: tuple) -> Frame:
        """The frame that a key leads to; it must have been entered, or be the next to be."""
        frame = self._root
        for index, number in path:
            loop = frame.loops.get(index)
            if loop is None or number >= len(loop.frames):
                self._current(frame, frame.plan.steps[index])
                loop = frame.loops[index]
            frame = loop.frames[number]
        return frame

    def _way(self, name: str) -> list[tuple[int, int]] | None:
        """Where a node inside a loop is: (step of the loop, which of its bodies) from the outside in, then (its own step, 0)."""
        def look(plan: Plan, prefix: str) -> list[tuple[int, int]] | None:
            for step in plan.steps:
                inside = f"{prefix}{step.node.inside}/"
                if not step.bodies or not name.startswith(inside):
                    continue
                for which, sub in enumerate(step.bodies):
                    own = sub.topology.by_name.get(name[len(inside):])
                    rest = [(own.index, 0)] if own is not None else look(sub, inside)
                    if rest is not None:
                        return [(step.index, which), *rest]
            return None
        return look(self.plan, "")

    def _found(self, name: str, begun: bool = False) -> tuple[Frame | None, Step | None]:
        """A node's step, and the latest timestep that it belongs to; no frame if its loop has not come so far, no step if it never fires."""
        step = self._step_of.get(name)
        if step is not None:
            return self._root, step
        way = self._way(name)
        if way is None:
            return None, None
        frame, plan = self._root, self.plan
        for index, which in way[:-1]:
            around = plan.steps[index]
            plan = around.bodies[which]
            if frame is None:
                continue
            if index in frame.ready:
                self._current(frame, around)
            loop = frame.loops.get(index)
            frames = [] if loop is None else loop.begun() if begun else loop.frames
            frame = next((f for f in reversed(frames) if f.plan is plan), None)
        return frame, plan.steps[way[-1][0]]

    def _entrance(self, name: str) -> str:
        """The loop that has to be entered for a node inside it to fire."""
        return self.plan.steps[self._way(name)[0][0]].node.name

    def _step(self, name: str | Node) -> tuple[Frame | None, Step]:
        name = told(self.graph, name) if isinstance(name, Node) else name
        frame, step = self._found(name)
        if step is None:
            frame, step = self._found(told(self.graph, self.graph.node(name)))
        if step is None:
            raise DebuggerError(f"{name} does not fire in this run.", node=str(name), hint="Sources are there from the start; other nodes may not be needed by the fetches.")
        return frame, step

    def _tensor(self, name: str | Tensor) -> Tensor:
        tensor = resolve(self.graph, name, inside=True)
        if not isinstance(tensor, Tensor):
            raise ValueKeyError(f"{tensor.name} has no output.", node=tensor.name)
        return tensor

    def _place(self, frame: Frame, tensor: Tensor) -> tuple[Frame, int] | None:
        """The frame and slot that hold a tensor's latest value."""
        slot = frame.plan.slots.get((tensor.node.id, tensor.index)) if frame.plan.graph is tensor.graph else None
        if slot is not None and slot in frame.values:
            return frame, slot
        for loop in frame.loops.values():
            for inner in reversed(loop.begun()):
                found = self._place(inner, tensor)
                if found is not None:
                    return found
        return None

    def _held(self, tensor: Tensor) -> Any:
        """The value that a tensor has by now, or None."""
        found = self._place(self._root, tensor)
        return None if found is None else found[0].values[found[1]]

    def _left(self, frame: Frame) -> int:
        """Firings that are still to come in a frame, as far as one can tell."""
        left = 0
        for step in frame.plan.steps:
            if step.index in frame.fired:
                continue
            left += 1
            if step.bodies:
                loop = frame.loops.get(step.index)
                begun = loop.frames if loop is not None else []
                left += sum(self._left(f) for f in begun[-1:])
                if loop is None or loop.outputs is None:
                    given = [np.shape(frame.values[s]) if s in frame.values else t.shape for (_, s), t in zip(step.args, step.node.inputs)]
                    rounds = step.node.op.rounds(given, step.node.attrs) if step.node.op.rounds is not None else 1
                    left += max(rounds - len(begun), 0) * max(size_of(b) for b in step.bodies)
        return left

    # ------------------------------------------------------------ forwards

    @_alone
    def step(self) -> Event | None:
        """Fire the first ready node (ties go by creation order), inside the loop that it leads into; in the past the next on the record. None at the end."""
        frame = self._outside
        if self._whole and frame.ready and self.cursor == self.length and not (first := frame.plan.steps[min(frame.ready)]).bodies:
            return self._fire(frame, first)
        following = self._next()
        return self._fire(*following) if following is not None else None

    @_alone
    def fire(self, name: str | Node) -> Event:
        """Fire this node; a loop with all its timesteps. DebuggerError names the missing inputs if it is not ready."""
        frame, step = self._step(name)
        name = told(self.graph, name) if isinstance(name, Node) else name
        shown = frame.name(step) if frame is not None else name
        if frame is None or step.index not in frame.ready or frame is not self._root and frame not in [f for f, _ in self._open(self._root)] and not step.bodies:
            if frame is not None and step.index in frame.fired:
                raise DebuggerError(f"{shown} has fired already, as number {self._order.index((*frame.path, step.index)) + 1}.", node=shown, hint="Step back first.")
            missing = self.missing(name)
            raise DebuggerError(f"{shown} is not ready: it waits for {', '.join(missing)}.", node=shown, hint=f"Ready now: {', '.join(self.ready)}.")
        while (following := self._toward(frame, step)) != (frame, step):
            self._fire(*following)
        return self._fire(frame, step)

    def _first_in(self, frame: Frame) -> tuple[Frame, Step]:
        return next(self._open(frame))

    def _toward(self, frame: Frame, step: Step) -> tuple[Frame, Step]:
        """What has to fire next so that this step does: the step itself, or the first inside it while it is a loop that is not over."""
        child = self._current(frame, step) if step.bodies else None
        return (frame, step) if child is None else self._first_in(child)

    @_alone
    def step_level(self) -> tuple[Event, ...]:
        """Fire the whole ready set, as it is now; in the past what the record has of it next, in the record's order."""
        return tuple(self._level())

    @_alone
    def step_scope(self) -> tuple[Event, ...]:
        """Fire until the scope of the next node is done, be it a loop; a node outside any scope alone."""
        return tuple(self._scope())

    def step_into(self) -> Event | None:
        """Enter the loop or branch that is next, and fire its first node; where there is none, the next node."""
        return self.step()

    @_alone
    def step_out(self) -> tuple[Event, ...]:
        """Finish the loop or branch that the next node is in, its own node too; outside of one, fire one node."""
        return tuple(self._out())

    @_alone
    def step_timestep(self) -> tuple[Event, ...]:
        """Fire until the next timestep; outside of a loop, one node."""
        return tuple(self._timestep())

    @_alone
    def step_pass(self) -> tuple[Event, ...]:
        """Fire to the end of the forward, backward or update pass that the next node belongs to; in the past to where the record goes on in another."""
        return tuple(self._pass())

    def going(self, how: Literal["level", "scope", "out", "timestep", "pass", "resume"], until: str | Node | None = None) -> Generator[Event, None, Stop | None]:
        """What the method of that name does, a firing at a time: each Event comes when its node has fired, and between two of them anything else can be
        done. `"resume"` ends with its Stop as the generator's value; `until` is where `run_to` stops. What fires is settled at the start for a level, a scope,
        a loop and a timestep: these give a DebuggerError once the run has been stepped otherwise meanwhile.
        """
        ways = {"level": self._level, "scope": self._scope, "out": self._out, "timestep": self._timestep, "pass": self._pass}
        if how == "resume":
            return self._in_turn(self._on(self._named(until)), False)
        if how not in ways:
            raise DebuggerError(f"there is no way {how!r} to go on.", hint="level, scope, out, timestep, pass or resume.")
        return self._in_turn(ways[how](), how != "pass")

    def _in_turn(self, work: Generator[Event, None, Any], settled: bool) -> Generator[Event, None, Any]:
        """The same firings, each refused while another thread steps, and where it was `settled` at the start what fires, once the run has been moved otherwise."""
        left: tuple[int, int] | None = None     # where the run was
        try:
            while True:
                if settled and left not in (None, (len(self._order), self._turns)):
                    raise DebuggerError("this run has been stepped otherwise meanwhile.", hint="Begin to go on anew.")
                try:
                    event = self._next_of(work)
                except StopIteration as stop:
                    return stop.value
                left = len(self._order), self._turns
                yield event
        finally:
            self._tell()

    @functools.partial(_alone, tells=False)     # told once all of them are done
    def _next_of(self, work: Generator[Event, None, Any]) -> Event:
        return next(work)

    def _named(self, node: str | Node | None) -> str | None:
        """A node's name as the record has it."""
        return None if node is None else told(self.graph, self.graph.node(node) if isinstance(node, str) else node)

    def _level(self) -> Generator[Event, None, None]:
        level = {(*frame.path, step.index): (frame, step) for frame, step in self._open(self._root)}
        while (again := self._on_record()) is not None and level.pop((*again[0].path, again[1].index), None) is not None:
            yield self._fire(*again)
        if again is None:
            for frame, step in level.values():
                yield self._fire(frame, step)

    def _scope(self) -> Generator[Event, None, None]:
        following = self._next()
        if following is None:
            return
        frame, first = following
        scope = first.node.scope
        if not scope:
            if frame is self._root:
                yield self._fire(frame, first)
            else:
                yield from self._out()
            return
        left = {s.index for s in frame.plan.steps if f"{s.node.scope}/".startswith(f"{scope}/")} - frame.fired
        while left and frame.ready:
            yield self._fire(*self._on_record() or self._toward(frame, frame.plan.steps[min(left & frame.ready or frame.ready)]))
            left -= frame.fired

    def _out(self) -> Generator[Event, None, None]:
        following = self._next()
        if following is None:
            return
        path = following[0].path
        yield self._fire(*following)
        if path:
            around, index = self._frame(path[:-1]), path[-1][0]
            while index not in around.fired:
                yield self._fire(*self._on_record() or self._toward(around, around.plan.steps[index]))

    def _timestep(self) -> Generator[Event, None, None]:
        following = self._next()
        if following is None:
            return
        frame = following[0]
        yield self._fire(*following)
        if frame is self._root:
            return
        around, index, place = self._frame(frame.path[:-1]), frame.path[-1][0], frame.place
        while index not in around.fired:
            child = self._current(around, around.plan.steps[index])
            if child is None or child.place != place:   # the test and the body of a round are one timestep
                break
            yield self._fire(*self._on_record() or self._first_in(child))

    def _pass(self) -> Generator[Event, None, None]:
        following = self._next()
        if following is None:
            return
        phase = phase_of(*following)
        while following is not None:
            if phase_of(*following) != phase:     # the first that is ready belongs to another pass; is there one of this?
                following = None if self._on_record() is not None else next((f for f in self._open(self._root) if phase_of(*f) == phase), None)
                if following is None:
                    break
            yield self._fire(*following)
            following = self._next()

    def run_to(self, name: str | Node) -> Stop:
        """Fire until this node is the next to fire (in a loop, at its next timestep); to the end if it will not fire any more."""
        return self._to_end(name)

    def resume(self) -> Stop:
        """Fire until a breakpoint or the end. Raises nothing: an error is a Stop, and `error` holds it."""
        return self._to_end(None)

    @_alone
    def _to_end(self, until: str | Node | None) -> Stop:
        going = self._on(self._named(until))
        while True:
            try:
                next(going)
            except StopIteration as stop:
                return stop.value

    def _on(self, until: str | None) -> Generator[Event, None, Stop]:
        first = True
        while (following := self._next()) is not None:
            frame, step = following
            name = frame.name(step)
            if name == until or until is not None and not frame.path and step.bodies and step.node.inside == until:
                return Stop("node", name)
            points = self._breakpoints
            if not first and points and points.before(name, frame.place):
                return Stop("breakpoint", name)
            first = False
            try:
                event = self._fire(frame, step)
                if points:
                    pauses, seen = points.after(event, [frame.values.get(s) for s in step.outs])
                    self.hits += seen
                    if pauses:
                        return Stop("breakpoint", name)
            except HeldError:
                return Stop("question", name)
            except FlowError as error:
                self.error = error
                return Stop("error", name)
            yield event
        return Stop("end")

    # ------------------------------------------------------------ back

    @_alone
    def back(self) -> Event | None:
        """Undo the last firing; None at the start. DebuggerError if the run has committed and the session has run since."""
        root, (order, events, *_) = self._root, self._record
        if not order:
            return None
        self._uncommit()
        event = events[len(order) - 1]
        *path, index = event.key
        frame, loop = root, None
        for step, number in path:
            loop = frame.loops[step]
            frame = loop.frames[number]
        self._whole = False
        self._turns += 1
        order.pop()
        frame.unfire(index)
        if loop is not None and (len(loop.frames) > frame.number + 1 or loop.outputs is not None or loop.failed is not None):
            loop.cut(frame.number + 1)
        self.error = self._failed = None
        if not self.record:
            del events[len(order):]
        self._whole = True
        return event

    @_alone
    def back_timestep(self) -> tuple[Event, ...]:
        """Undo the firings of the timestep that the last one belongs to; outside of a loop, one firing."""
        events = []
        while self._order:
            path = self._order[-1][:-1]
            if events and (not path or path[:len(events[0].key) - 1] != events[0].key[:-1]):
                break
            events.append(self.back())
            if not path:
                break
        return tuple(events)

    def _uncommit(self) -> None:
        """Put the variables back as they were before this run committed, if it has. The record is whole again once the caller has changed it."""
        if not self.commits:
            if self._over:
                self._whole = self._over = False
                self._results = None
            return
        if self._committed is None:
            return
        before, now = self._committed, self.session.store.state
        if now[1:] not in (before[1:], (before[1] + bool(self.plan.assigns), before[2] + 1)):
            raise DebuggerError("this run has committed, and the session has run since: it cannot be undone.", hint="Make a new Debugger.")
        self._whole = self._over = False
        if now[1:] != before[1:]:
            self.session.store.state = ({**now[0], **before[0]}, *before[1:])
        self._results = self._committed = None

    @_alone
    def seek(self, cursor: int) -> None:
        """Go to a place on the record: `cursor` firings done."""
        if not 0 <= cursor <= self.length:
            raise DebuggerError(f"there is no firing {cursor}.", hint=f"The record has {self.length}.")
        while self.cursor > cursor:
            self.back()
        while self.cursor < cursor:
            *path, index = self._events[self.cursor].key
            frame = self._frame(tuple(path))
            step = frame.plan.steps[index]
            if step.bodies:
                self._current(frame, step)
            self._fire(frame, step)

    def listen(self, heard: Callable[[], Any]) -> Callable[[], None]:
        """Call `heard()` after every command that may have moved the cursor, once a command. Returns the way to stop listening. What it raises ends the listening only."""
        self._followers = (*self._followers, heard)

        def leave() -> None:
            self._followers = tuple(h for h in self._followers if h is not heard)
        return leave

    def _tell(self) -> None:
        for heard in self._followers:
            try:
                heard()
            except Exception as error:
                self._followers = tuple(h for h in self._followers if h is not heard)
                warnings.warn(f"what follows this run has stopped: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)

    @property
    def moment(self) -> tuple[Snapshot, int]:
        """What the run began with: the variables, and its number."""
        return self._snapshot, self._run

    def rerun(self, feeds: Mapping[Any, Any], fetches: Any = None) -> Trace:
        """The whole run as a Trace, from the same variables, with some tensors fed otherwise (any tensor may be fed). What is overridden here stays so. Commits nothing.

        DebuggerError while something inside a loop is overridden: a Trace has no way to hold that.
        """
        if self._inner_overrides:
            raise DebuggerError("a value inside a loop is overridden: that cannot be run again as a whole.", hint="Clear that override first.")
        nodes, slots = {n.id: n for n in self.graph.nodes}, {slot: key for key, slot in self.plan.slots.items()}
        held = {nodes[node].outputs[index]: value for slot, value in self._overrides.items() for node, index in [slots[slot]]}
        given = dict(zip(self.plan.feeds, self._arrays)) | held | feed_tensors(self.graph, feeds)
        return record(self.session, self.fetches if fetches is None else fetches, given, snapshot=self._snapshot, run=self._run)

    # ------------------------------------------------------------ changing the past

    def watch(self, target: str | Tensor) -> None:
        """Keep a tensor in sight: `print(dbg)` shows its statistics."""
        name = told(self.graph, self._tensor(target))
        if name not in self.watches:
            self.watches.append(name)

    @_alone
    def override(self, name: str | Tensor, value: Any, at: int | tuple | None = None) -> None:
        """Put another value in a tensor's place. It holds until cleared, also after going back; what was computed from it is un-fired.

        Inside a loop it holds at every timestep, or at one: `at=3`, or the frame `at=("rnn", 3)`; the run goes back to before the first of them. A state
        (`"rnn/h:0"`) can be overridden as a timestep finds it.
        """
        tensor = self._tensor(name)
        shown = told(self.graph, tensor)
        inner = tensor.graph is not self.graph
        slot = None if inner else self.plan.slots.get((tensor.node.id, tensor.index))
        if slot is None and not (inner and (self._way(shown.rpartition(":")[0]) or self._enters(tensor))):
            raise DebuggerError(f"{name} is not part of this run.", node=str(name), hint="What comes into a loop from outside is overridden outside." if inner else "")
        if at is not None and not inner:
            raise DebuggerError(f"{shown} is in no loop, so it has no timestep {at}.", node=tensor.node.name, hint="Leave `at` out.")
        try:
            array = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise DebuggerError(f"the override of {shown} is no array: {error}.", node=tensor.node.name, hint="All rows must have one length.") from None
        old = self._held(tensor)
        known = np.shape(old) if old is not None else tuple(array.shape[k] if k < array.ndim and not isinstance(d, int) else d for k, d in enumerate(tensor.shape))
        if array.shape != known:
            raise DebuggerError(f"{shown} has shape {shape_text(known)}, the override {shape_text(array.shape)}.", node=tensor.node.name, hint="The shapes must be equal.")
        if array.dtype.kind not in "fiub" or tensor.dtype.kind != "f" and array.dtype.kind == "f":
            hint = f'Use value.astype("{tensor.dtype}") if you mean to cut fractions off.' if array.dtype.kind == "f" else "Override with numbers."
            raise DebuggerError(f"{shown} is {tensor.dtype}, the override {array.dtype}.", node=tensor.node.name, hint=hint)
        self._uncommit()
        array = np.array(array, dtype=tensor.dtype, order="C")
        if inner:
            node = shown.rpartition(":")[0]
            self._begin_before(node, at, self._inner_overrides | {(node, tensor.index, at): array})
        else:
            self._changed(slot, self._overrides | {slot: array})

    @_alone
    def clear_override(self, name: str | Tensor | None = None) -> None:
        """Take an override back, or all of them."""
        tensor = None
        if name is not None:
            try:
                tensor = self._tensor(name)
            except ValueKeyError:
                return      # a node without outputs has none to clear
        slots = list(self._overrides) if tensor is None else [self.plan.slots.get((tensor.node.id, tensor.index))] if tensor.graph is self.graph else []
        for slot in slots:
            if slot in self._overrides:
                self._uncommit()
                self._changed(slot, {s: v for s, v in self._overrides.items() if s != slot})
        for key in list(self._inner_overrides):
            if tensor is None or f"{key[0]}:{key[1]}" == told(self.graph, tensor):
                self._uncommit()
                self._begin_before(key[0], key[2], {k: v for k, v in self._inner_overrides.items() if k != key})

    @property
    def overridden(self) -> tuple[tuple[str, Any], ...]:
        """What is overridden: names of tensors, each with its timestep (None for every one, or outside of loops)."""
        slots = {slot: key for key, slot in self.plan.slots.items()}
        ids = {n.id: n.name for n in self.plan.graph.nodes}
        outside = [(f"{ids[node]}:{index}", None) for node, index in (slots[s] for s in self._overrides)]
        return (*outside, *((f"{node}:{index}", at) for node, index, at in self._inner_overrides))

    @property
    def overridden_inside(self) -> bool:
        """Is anything overridden inside a loop? Then the run as a whole cannot be run again by `rerun`."""
        return bool(self._inner_overrides)

    def _enters(self, tensor: Tensor) -> bool:
        """Is it what a loop's body, which runs here, takes in at every timestep?"""
        def look(plan: Plan) -> bool:
            return any(any(t is tensor for t in b.feeds) or look(b) for s in plan.steps for b in s.bodies)
        return look(self.plan)

    def _put_in(self, frame: Frame, slot: int) -> tuple[np.ndarray] | None:
        """What stands in for the value of a slot, if anything does."""
        overrides, inner = self._record[2:]
        if frame is self._outside:
            return (overrides[slot],) if slot in overrides else None
        if not inner:
            return None
        origin = frame.plan.topology.origin.get(slot)
        if origin is not None:
            other = self._inner_override(frame.name(origin[0]), origin[1], frame.place)
        else:
            other = self._inner_override(f"{frame.prefix}{frame.plan.feeds[slot].node.name}", 0, frame.place) if slot < len(frame.plan.feeds) else None
        return None if other is None else (other,)

    def _inner_override(self, node: str, index: int, place: tuple) -> np.ndarray | None:
        """What stands in for a tensor inside a loop, at this timestep."""
        held = self._record[3]
        if not held:
            return None
        for at in (place, place[-1] if place else None, None):
            if (node, index, at) in held:
                return held[node, index, at]
        return None

    def _begin_before(self, name: str, at: int | tuple | None, overrides: dict[tuple, np.ndarray]) -> None:
        """Go back to before the first firing of a node inside a loop, or that a loop's input is there for, forget what came after, and override there."""
        order, events, *_ = self._record
        loop, fires = name.rpartition("/")[0], self._way(name) is not None

        def reached(event: Event) -> bool:
            if fires:
                return event.node == name and (at is None or event.frame == at or event.frame[-1:] == (at,))
            places = [event.frame[:k + 2] for k in range(0, len(event.frame), 2) if event.frame[k] == loop]
            return any(at is None or place == at or place[-1] == at for place in places)
        first = next((k for k, e in enumerate(events) if reached(e)), len(events))
        self._put((order[:first], events[:first], self._overrides, overrides))

    def _changed(self, slot: int, overrides: dict[int, np.ndarray]) -> None:
        """Un-fire what was computed from this slot, and put its value in place."""
        stale: set[int] = set()
        for s in self.plan.steps:
            if any(a == slot for _, a in s.args) or any(w in stale for w in s.waits):
                stale.add(s.index)
        order, events, *_ = self._record
        kept = [e for e in events[:len(order)] if (e.key[0] if len(e.key) == 1 else e.key[0][0]) not in stale]
        self._put(([e.key for e in kept], kept, overrides, self._inner_overrides))
        if len(self._outside.fired) == len(self.plan.steps):    # nothing had to be un-fired, and what was asked for has changed
            self._finish()

    def _put(self, record: _Record) -> None:
        """Another record in place of this one: all of it, or nothing."""
        self._whole = False
        self._record = record
        self._restore()
        self._whole = True

    def branch(self) -> Debugger:
        """A second run beside this one, at the same place: to be changed and gone on with. It never commits; `fl.compare` shows where the two part."""
        order, events, overrides, inner = self._record
        other = self._beside(events[:len(order)], overrides, inner)
        other.seek(len(order))
        return other

    def _beside(self, events: Sequence[Event], overrides: Mapping[int, np.ndarray], inner: Mapping[tuple, np.ndarray]) -> Debugger:
        """Another run with such a record, before its first firing."""
        other = Debugger(self.session, self.fetches, self.feeds, self.record, since=(self._snapshot, self._run), budget=self._memory.budget)
        other._put(([], [e.copy(other) for e in events], dict(overrides), dict(inner)))
        return other

    def trace(self) -> Trace:
        """What has fired so far as a Trace, to be saved or compared: values as they stand, what was overridden as it was overridden.

        Of a run that is not over, `results` is None.
        """
        slots = {slot: key for key, slot in self.plan.slots.items()}
        tensors = {(n.id, t.index): t for n in self.plan.graph.nodes for t in n.outputs}
        feeds = {self.graph.tensor(name): array for name, array in self.feeds.items()}
        held = dict(self._snapshot)
        for slot, value in self._overrides.items():
            source = tensors[slots[slot]]
            if source.node.op.source == "variable" and source not in feeds:
                held[source.node.id] = value
            elif source.node.op.source is not None or source in feeds:
                feeds[source] = value
        flat, _ = flatten(self.graph, self.fetches)
        made = Trace(self.session, self.fetches, feeds, self.session.plan(flat, tuple(feeds)), held, self._run)
        made.overridden = tuple(dict.fromkeys(name for name, _ in self.overridden))
        computes = not self._inner_overrides and all(slot not in self._origin for slot in self._overrides)      # the trace can compute again what is let go here
        for e in self._events[:self.cursor]:
            new = e.copy(made)
            if new._outputs is not None or not computes:
                new._outputs, new._stats = self.outputs_of(e), None
            made.events.append(new)
        made.results = self.results
        return made

    # ------------------------------------------------------------ why

    def why_nan(self, name: str | Tensor | None = None) -> Why | None:
        """Where a NaN or infinity comes from: of this tensor, else the first that any firing has given; None if there is none.

        The walk goes back from firing to firing, through loops too, to the first whose inputs were all finite, or to a feed or variable that held it.
        """
        return why(self, name, "nan", bad)

    def why_zero(self, name: str | Tensor) -> Why | None:
        """Why a tensor is all zeros, such as a gradient that does not arrive: where it began, and the way from there; None if it is not."""
        return why(self, name, "zero", blank)

    def firing(self, name: str | Tensor) -> tuple[Node, dict[str, np.ndarray], np.ndarray]:
        """The node of a tensor that has fired, what it took by port, and the tensor's value."""
        tensor = self._tensor(name)
        frame, step = self._fired(tensor)
        taken = {port: np.asarray(on_host(value)) for port, (_, slot) in zip(step.node.ports, step.args) if (value := frame.values.get(slot)) is not None}
        return step.node, taken, np.asarray(on_host(frame.values[step.outs[tensor.index]]))

    def _fired(self, tensor: Tensor) -> tuple[Frame, Step]:
        """The latest firing that gave a tensor; DebuggerError if there is none yet."""
        shown = told(self.graph, tensor)
        self._step(shown.rpartition(":")[0])    # says so if it never fires
        found = self._place(self._root, tensor)     # the timestep that is begun next has no value of it
        step = found[0].plan.topology.by_name.get(tensor.node.name) if found is not None else None
        if step is None or step.index not in found[0].fired:
            raise DebuggerError(f"{shown} has not fired yet.", node=shown.rpartition(":")[0], hint="Step until it has, then ask again.")
        return found[0], step

    def explain(self, name: str | Tensor | Node, at: Sequence[int] | None = None, language: str = "en") -> Explanation:
        """What a firing did, with its numbers: the formula of one element and what it means, in English or Chinese (`"zh"`).

        `name` is a node or one of its outputs, `at` the index of the element; without it, the largest in size. DebuggerError if it has not fired.
        """
        tensor = self._tensor(name.outputs[0] if isinstance(name, Node) and name.outputs else name)
        shown = told(self.graph, tensor)
        frame, step = self._fired(tensor)

        def held(slot: int) -> np.ndarray | None:
            value = frame.values.get(slot)
            return None if value is None else np.asarray(on_host(value))
        node = step.node
        taken = {port: value for port, (_, slot) in zip(node.ports, step.args) if (value := held(slot)) is not None}
        return explain(node, taken, [held(slot) for slot in step.outs], tensor=shown, frame=frame.place, at=at, output=tensor.index, language=language,
                       held=lambda t: None if (value := self._held(t)) is None else np.asarray(on_host(value)))

    # ------------------------------------------------------------ firing

    def _fire(self, frame: Frame, step: Step) -> Event:
        order, events, overrides, inner_overrides = self._record
        at, index, fired, outside = len(order), step.index, frame.fired, frame is self._outside
        last = outside and len(fired) + 1 == len(frame.plan.steps)
        if last:
            self._check_commit(step.node.name)
        key = (*frame.path, index)
        if at < len(events) and events[at].key == key:
            event, new = events[at], False
            outputs = event._outputs or ()
        else:
            node = step.node
            name = f"{frame.prefix}{node.name}" if frame.prefix else node.name
            if name in self.holds:
                raise HeldError(f"the run waits before {name}: there is an open question about it.", node=name, hint="Answer it, or skip it.")
            clock = time.perf_counter
            start = clock()
            try:
                outputs = self._given(frame, step) if step.bodies else step.fire(frame.values, frame.rng)
            except FlowError as error:
                self._failed, self.error = name, error
                raise
            except Exception as error:
                self._failed, self.error = name, error_at(step, error, frame.values, frame.prefix)
                raise self.error from error
            event, new = Event(at, name, frame.phase or node.phase, outputs, start - self._begin, clock() - start, None, frame.place, step.device, key, frame.top), True
            del events[at:]
            events.append(event)              # first: what is on the record has its event
        self.error = self._failed = None
        self._whole = False     # after an interrupt it is settled from the record whether the firing took place
        values = frame.values
        if event._outputs is None:
            self._memory.skipped(self, frame, step)
        elif overrides and outside:
            for slot, value in zip(step.outs, outputs):
                values[slot] = overrides.get(slot, value)
        elif inner_overrides and not outside:
            for k, (slot, value) in enumerate(zip(step.outs, outputs)):
                other = self._inner_override(event.node, k, frame.place)
                values[slot] = value if other is None else other
        else:
            for slot, value in zip(step.outs, outputs):
                values[slot] = value
        order.append(key)
        fired.add(index)
        missing, ready = frame.missing, frame.ready
        ready.discard(index)
        for user in frame.users[index]:
            missing[user] -= 1
            if not missing[user]:
                ready.add(user)
        if last:
            self._finish()
        self._whole = True
        if new:
            memory = self._memory
            memory.holding.append(event)
            for value in outputs:
                if value is not None:
                    memory.fresh += value.nbytes
            if memory.fresh > memory.room:
                memory.settle(self)
        return event

    def _again(self, event: Event) -> tuple[np.ndarray | None, ...]:
        """The values of a firing that were let go."""
        return tuple(None if v is None else on_host(v) for v in self._memory.outputs(self, event))

    def _before(self, event: Event, k: int) -> Any:
        """The value that an output had at the node's firing before this one; None at the first."""
        events = self._events
        for index in range(event.index - 1, -1, -1):
            if (earlier := events[index]).node == event.node:
                return earlier.outputs[k]
        return None

    def _given(self, frame: Frame, step: Step) -> tuple[Any, ...]:
        """What a loop that is over gives; its error if it could not go on."""
        self._current(frame, step)
        loop = frame.loops[step.index]
        if loop.failed is not None:
            raise loop.failed
        return self._memory.fire(self, frame, step) if loop.outputs is LET_GO else loop.outputs

    def _mend(self) -> None:
        """After an interrupt, work out again from the record what else is known. A last firing that has not committed is taken back."""
        order, events, *_ = self._record
        if not self.record:
            del events[len(order):]
        if not self._over and len(self.plan.steps) == sum(len(key) == 1 for key in order):
            self._uncommit()
            order.pop()
        self._restore()
        self._whole = True

    def _restore(self) -> None:
        """What has fired, what can fire, and the values, from the record."""
        root, (order, events, overrides, _) = self._outside, self._record
        self._turns += 1
        fired: dict[tuple, set[int]] = {}
        for *path, index in order:
            fired.setdefault(tuple(path), set()).add(index)
            for depth in range(len(path)):
                fired.setdefault(tuple(path[:depth + 1]), set())

        def restore(frame: Frame) -> None:
            frame.fired = fired.get(frame.path, set())
            frame.recount()
            for loop in frame.loops.values():
                loop.cut(max((f.number + 1 for f in loop.frames if f.path in fired), default=0))
                for inner in loop.frames:
                    restore(inner)
        restore(root)
        root.values = Values({**dict(enumerate(self._arrays)), **dict(self.plan.constants), **{slot: self._snapshot[node_id] for slot, node_id in self.plan.variables}})
        root.values.update((slot, value) for slot, value in overrides.items() if slot in root.values)
        for index, event in enumerate(events):
            event.index = index
            if event._outputs is None:
                event._trace = self._home
            if len(event.key) == 1 and index < len(order):
                step = self.plan.steps[event.key[0]]
                if event._outputs is None:
                    self._memory.skipped(self, root, step)
                else:
                    root.values.update((slot, overrides.get(slot, value)) for slot, value in zip(step.outs, event._outputs))
        self._memory.begin(events)

    def _check_commit(self, name: str | None) -> None:
        values = self.session.store.values
        if self.commits and self.plan.assigns and any(values.get(k) is not v for k, v in self._snapshot.items()):
            raise DebuggerError("the session's variables have changed since this Debugger began, so its run cannot commit.", node=name, hint="Make a new Debugger.")

    def _finish(self) -> None:
        store, values = self.session.store, self._outside.values
        results = [None if slot is None else values[slot] for slot in self.plan.results]
        self._whole = False
        if not self.commits:
            self._results = self._build([None if v is None else host(v, True) for v in results])
            self._over = self._whole = True
            return
        with self.session.lock:     # no other thread commits between the look and this commit
            self._check_commit(self.plan.steps[-1].node.name if self.plan.steps else None)
            self._committed = store.state   # first: an interrupt anywhere from here on can be undone
            out = self.session.finish(self.plan, self._arrays, results, [values[slot] for slot, _ in self.plan.assigns])
        self._results = self._build([None if v is None else host(v, True) for v in out])
        self._over = self._whole = True
