"""Debugger: fire one node at a time, in any order that the wires allow, and go back."""
from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .core.errors import DebuggerError, FlowError
from .core.graph import Node, Tensor
from .core.types import shape_text
from .runtime.feeding import checked_feeds, feed_tensors, flatten, resolve
from .runtime.plan import Step
from .runtime.session import Session, error_at, host
from .runtime.store import Draws
from .trace.trace import Event, Stats, ValueKeyError, stats_of


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run stopped, and before or after which node."""

    reason: Literal["end", "node", "breakpoint", "error"]
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """Pause before a node, or after a tensor has its value; `when` narrows it."""

    id: int
    target: str
    is_tensor: bool
    when: Callable[[np.ndarray], bool] | None
    condition: str | None


_CONDITION = re.compile(r"\s*(min|max|mean|std|norm|zeros|nan|inf)\s*(<=|>=|==|!=|<|>)\s*([-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
                                                       "==": lambda a, b: a == b, "!=": lambda a, b: a != b}


def condition(text: str) -> Callable[[np.ndarray], bool]:
    """Read a breakpoint's condition: `nan`, `inf`, or a statistic compared with a number, such as `max > 10`. DebuggerError shows where it fails."""
    if text.strip() in ("nan", "inf"):
        field = text.strip()
        return lambda value: getattr(stats_of(value), field) > 0
    found = _CONDITION.fullmatch(text)
    if not found:
        at = _CONDITION.match(text)
        raise DebuggerError(f"the condition {text!r} cannot be read from character {at.end() if at else 0} on.",
                            hint="Write nan, inf, or one of min max mean std norm zeros nan inf compared with a number: max > 10.")
    field, sign, number = found.groups()
    return lambda value: _COMPARE[sign](getattr(stats_of(value), field), float(number))


class Breakpoints:
    """The breakpoints of a Debugger."""

    def __init__(self, debugger: Debugger):
        self._debugger = debugger
        self._all: dict[int, Breakpoint] = {}
        self._next = 1

    def add(self, target: str | Node | Tensor, when: str | Callable[[np.ndarray], bool] | None = None) -> int:
        """Pause before the node `target`, or, with a tensor (`"x:0"`) or a condition, right after it has its value. Returns an id.

        `when` is a text that `condition` reads, or a function of the value.
        """
        graph = self._debugger.session.graph
        is_tensor = isinstance(target, Tensor) or isinstance(target, str) and ":" in target or when is not None
        if is_tensor:
            tensor = resolve(graph, target)
            name = tensor.name if isinstance(tensor, Tensor) else str(target)
        else:
            name = target.name if isinstance(target, Node) else graph.node(str(target)).name
        self._all[self._next] = Breakpoint(self._next, name, is_tensor, condition(when) if isinstance(when, str) else when, when if isinstance(when, str) else None)
        self._next += 1
        return self._next - 1

    def remove(self, id: int) -> None:
        if self._all.pop(id, None) is None:
            raise DebuggerError(f"there is no breakpoint {id}.", hint=f"There are {', '.join(map(str, self._all)) or 'none'}.")

    def clear(self) -> None:
        self._all.clear()

    def __iter__(self):
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)


class Debugger:
    """Steps a run. Placeholders, constants and variable reads are there from the start; every other firing counts.

    `session.run` would compute the same numbers: same kernels, same draws, in any firing order. It commits at its last firing.
    `record=False` forgets a firing when it is taken back: `length` is then always the cursor.
    """

    def __init__(self, session: Session, fetches: Any, feeds: Mapping[Any, Any] | None = None, record: bool = True):
        self.session, self.record = session, record
        flat, self._build = flatten(session.graph, fetches)
        by_tensor = feed_tensors(session.graph, feeds)
        self.plan = session.plan(flat, tuple(by_tensor))
        self._arrays = [np.array(a) for a in checked_feeds(by_tensor)]
        self.feeds = {t.name: a for t, a in zip(by_tensor, self._arrays)}
        self._snapshot = session.store.snapshot()
        self._run = session.store.runs
        self._rng = Draws(session.seed, self._run)
        self._values: dict[int, Any] = dict(enumerate(self._arrays))
        self._values.update(self.plan.constants)
        self._values.update((slot, self._snapshot[node_id]) for slot, node_id in self.plan.variables)
        topology = self.plan.topology
        self._step_of, self._origin, self._users = topology.by_name, topology.origin, topology.users
        self._missing = list(topology.waiting)
        self._ready = set(topology.first)
        self._order: list[int] = []         # steps fired so far, in order
        self._fired: set[int] = set()       # the same steps
        self._recorded: list[int] = []      # and those that can be gone forward to again
        self._events: list[Event] = []      # parallel to _recorded
        self._begin = time.perf_counter()
        self._committed: tuple[int, Any, int] | None = None
        self._results: Any = None
        self._overrides: dict[int, np.ndarray] = {}
        self.breakpoints = Breakpoints(self)
        self.watches: list[str] = []
        self.error: FlowError | None = None
        self._failed: str | None = None
        if not self.plan.steps:
            self._finish()

    # ------------------------------------------------------------ where it stands

    @property
    def graph(self) -> Any:
        return self.session.graph

    @property
    def cursor(self) -> int:
        """Firings done."""
        return len(self._order)

    @property
    def length(self) -> int:
        """Firings recorded: the cursor can go there without computing anew."""
        return len(self._recorded)

    @property
    def total(self) -> int:
        """Firings that a complete run has."""
        return len(self.plan.steps)

    @property
    def ready(self) -> tuple[str, ...]:
        """Names of the nodes whose inputs are all there, first the one that step fires."""
        return tuple(self.plan.steps[k].node.name for k in sorted(self._ready))

    @property
    def done(self) -> bool:
        return len(self._order) == len(self.plan.steps)

    @property
    def results(self) -> Any:
        """What `run` would have returned; None until the run is done."""
        return self._results if self.done else None

    @property
    def records(self) -> list[Event]:
        """The recorded firings, those after the cursor among them."""
        return list(self._events)

    def state(self, name: str) -> str:
        """`"idle"`, `"ready"`, `"done"` or `"error"`."""
        step = self._step_of.get(name)
        if step is None:
            node = self.graph.node(name)
            return "done" if any((node.id, t.index) in self.plan.slots for t in node.outputs) else "idle"
        if name == self._failed:
            return "error"
        if step.index in self._ready:
            return "ready"
        return "done" if step.index in self._fired else "idle"

    def computed(self, name: str | Tensor) -> bool:
        """Has the tensor its value by now?"""
        tensor = resolve(self.graph, name)
        return isinstance(tensor, Tensor) and self.plan.slots.get((tensor.node.id, tensor.index)) in self._values

    def value(self, name: str | Tensor) -> np.ndarray:
        """The value of a tensor at the cursor; KeyError if it is not computed yet."""
        tensor = resolve(self.graph, name)
        if not isinstance(tensor, Tensor):
            raise ValueKeyError(f"{tensor.name} has no output.", node=tensor.name)
        slot = self.plan.slots.get((tensor.node.id, tensor.index))
        if slot is None:
            raise ValueKeyError(f"{tensor.name} is not part of this run.", node=tensor.node.name, hint="Fetch it, or something that needs it.")
        if slot not in self._values:
            raise ValueKeyError(f"{tensor.name} is not computed yet.", node=tensor.node.name, hint=f"Step on: {self.cursor} of {self.total} firings are done.")
        return np.array(self._values[slot], order="C")

    def stats(self, name: str | Tensor) -> Stats:
        """Statistics of a tensor at the cursor."""
        return stats_of(self.value(name))

    def missing(self, name: str) -> list[str]:
        """The inputs that a node still waits for."""
        step = self._step(name)
        return [self.plan.steps[w].node.name for w in step.waits if w not in self._fired]

    def join(self, name: str) -> tuple[int, int]:
        """How many of the tensors a node takes are there, and how many it takes."""
        step = self._step(name)
        return sum(s in self._values for _, s in step.args), len(step.args)

    def __repr__(self) -> str:
        if self.done:
            where = "the run is done"
        else:
            ready = self.ready
            where = f"next {ready[0]}; {len(ready)} ready" if ready else "nothing is ready"
        lines = [f"Debugger of {self.graph.name!r}: {self.cursor} of {self.total} firings done, {where}."]
        if self._order:
            event = self._events[self.cursor - 1]
            lines.append(f"Last: {event.node} → {', '.join(f'{np.asarray(v).dtype}{list(np.shape(v))}' for v in event.outputs)}")
        lines += [f"Watch {name}: {self.stats(name) if self.computed(name) else 'not computed yet'}" for name in self.watches]
        return "\n".join(lines)

    # ------------------------------------------------------------ forwards

    def step(self) -> Event | None:
        """Fire the first ready node (ties go by creation order); None at the end."""
        return self._fire(self.plan.steps[min(self._ready)]) if self._ready else None

    def fire(self, name: str | Node) -> Event:
        """Fire this node. DebuggerError names the missing inputs if it is not ready."""
        step = self._step(name)
        name = step.node.name
        if step.index not in self._ready:
            if step.index in self._order:
                raise DebuggerError(f"{name} has fired already, as number {self._order.index(step.index) + 1}.", node=name, hint="Step back first.")
            missing = self.missing(name)
            raise DebuggerError(f"{name} is not ready: it waits for {', '.join(missing)}.", node=name, hint=f"Ready now: {', '.join(self.ready)}.")
        return self._fire(step)

    def step_level(self) -> tuple[Event, ...]:
        """Fire the whole ready set, as it is now."""
        return tuple(self._fire(self.plan.steps[k]) for k in sorted(self._ready))

    def step_scope(self) -> tuple[Event, ...]:
        """Fire until the scope of the next node is done; a node outside any scope alone."""
        if not self._ready:
            return ()
        first = self.plan.steps[min(self._ready)]
        scope = first.node.scope
        if not scope:
            return (self._fire(first),)
        left = {s.index for s in self.plan.steps if f"{s.node.scope}/".startswith(f"{scope}/")} - self._fired
        events = []
        while left and self._ready:
            inside = left & self._ready
            events.append(self._fire(self.plan.steps[min(inside or self._ready)]))
            left -= {self._order[-1]}
        return tuple(events)

    def step_timestep(self) -> tuple[Event, ...]:
        """Fire until the next timestep; outside of a loop, one node."""
        event = self.step()
        return (event,) if event is not None else ()

    def step_pass(self) -> tuple[Event, ...]:
        """Fire to the end of the forward, backward or update pass that the next node belongs to."""
        if not self._ready:
            return ()
        phase = self.plan.steps[min(self._ready)].node.phase
        events = []
        while True:
            same = [k for k in self._ready if self.plan.steps[k].node.phase == phase]
            if not same:
                return tuple(events)
            events.append(self._fire(self.plan.steps[min(same)]))

    def run_to(self, name: str | Node) -> Stop:
        """Fire until this node is the next to fire; to the end if it has fired already or is no part of the run."""
        node = name if isinstance(name, Node) else self.graph.node(name)
        step = self._step_of.get(node.name)
        if step is None or step.index in self._fired:
            return self.resume()
        return self._go(until=step.index)

    def resume(self) -> Stop:
        """Fire until a breakpoint or the end. Raises nothing: an error is a Stop, and `error` holds it."""
        return self._go(until=None)

    def _go(self, until: int | None) -> Stop:
        first = True
        while self._ready:
            step = self.plan.steps[min(self._ready)]
            if step.index == until:
                return Stop("node", step.node.name)
            if not first and any(not b.is_tensor and b.target == step.node.name for b in self.breakpoints):
                return Stop("breakpoint", step.node.name)
            first = False
            try:
                self._fire(step)
            except FlowError as error:
                self.error = error
                return Stop("error", step.node.name)
            for b in self.breakpoints:
                if not b.is_tensor or b.target.rpartition(":")[0] != step.node.name:
                    continue
                try:
                    if b.when is None or b.when(self.value(b.target)):
                        return Stop("breakpoint", step.node.name)
                except Exception as error:  # a person's own function
                    self.error = DebuggerError(f"the condition of breakpoint {b.id} failed: {type(error).__name__}: {error}", node=step.node.name,
                                               hint="It is a function of the tensor's value that says whether to stop.")
                    return Stop("error", step.node.name)
        return Stop("end")

    # ------------------------------------------------------------ back

    def back(self) -> Event | None:
        """Undo the last firing; None at the start. DebuggerError if the run has committed and the session has run since."""
        if not self._order:
            return None
        self._uncommit()
        try:
            self._unfire(self._order.pop())
        except BaseException:
            self._recount()
            raise
        self.error = self._failed = None
        event = self._events[len(self._order)]
        if not self.record:
            del self._recorded[len(self._order):], self._events[len(self._order):]
        return event

    def _uncommit(self) -> None:
        """Put the variables back as they were before this run committed, if it has."""
        if self._committed is None:
            return
        version, before, runs = self._committed
        if self.session.store.version != version or self.session.store.runs != runs + 1:
            raise DebuggerError("this run has committed, and the session has run since: it cannot be undone.", hint="Make a new Debugger.")
        self.session.store.values = before
        self.session.store.version -= bool(self.plan.assigns)
        self.session.store.runs = runs
        self._committed, self._results = None, None

    def seek(self, cursor: int) -> None:
        """Go to a place on the record: `cursor` firings done."""
        if not 0 <= cursor <= self.length:
            raise DebuggerError(f"there is no firing {cursor}.", hint=f"The record has {self.length}.")
        while self.cursor > cursor:
            self.back()
        while self.cursor < cursor:
            self._fire(self.plan.steps[self._recorded[self.cursor]])

    def _unfire(self, index: int) -> None:
        self._fired.discard(index)
        for slot in self.plan.steps[index].outs:
            self._values.pop(slot, None)
        for user in self._users[index]:
            self._missing[user] += 1
            self._ready.discard(user)
        self._ready.add(index)

    # ------------------------------------------------------------ changing the past

    def watch(self, target: str | Tensor) -> None:
        """Keep a tensor in sight: `print(dbg)` shows its statistics."""
        found = resolve(self.graph, target)
        if isinstance(found, Tensor) and found.name not in self.watches:
            self.watches.append(found.name)

    def override(self, name: str | Tensor, value: Any) -> None:
        """Put another value in a tensor's place. It holds until cleared, also after going back; what was computed from it is un-fired."""
        tensor = resolve(self.graph, name)
        slot = self.plan.slots.get((tensor.node.id, tensor.index)) if isinstance(tensor, Tensor) else None
        if slot is None:
            raise DebuggerError(f"{name} is not part of this run.", node=str(name))
        try:
            array = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise DebuggerError(f"the override of {tensor.name} is no array: {error}.", node=tensor.node.name, hint="All rows must have one length.") from None
        old = self._values.get(slot)
        known = np.shape(old) if old is not None else tuple(array.shape[k] if k < array.ndim and not isinstance(d, int) else d for k, d in enumerate(tensor.shape))
        if array.shape != known:
            raise DebuggerError(f"{tensor.name} has shape {shape_text(known)}, the override {shape_text(array.shape)}.", node=tensor.node.name, hint="The shapes must be equal.")
        if array.dtype.kind not in "fiub" or tensor.dtype.kind != "f" and array.dtype.kind == "f":
            hint = f'Use value.astype("{tensor.dtype}") if you mean to cut fractions off.' if array.dtype.kind == "f" else "Override with numbers."
            raise DebuggerError(f"{tensor.name} is {tensor.dtype}, the override {array.dtype}.", node=tensor.node.name, hint=hint)
        self._uncommit()
        self._overrides[slot] = np.array(array, dtype=tensor.dtype, order="C")
        self._changed(slot)

    def clear_override(self, name: str | Tensor | None = None) -> None:
        """Take an override back, or all of them."""
        found = None if name is None else resolve(self.graph, name)
        slots = list(self._overrides) if name is None else [self.plan.slots.get((found.node.id, found.index))] if isinstance(found, Tensor) else []
        for slot in slots:
            if slot in self._overrides:
                self._uncommit()
                del self._overrides[slot]
                self._changed(slot)

    def _changed(self, slot: int) -> None:
        """Un-fire what was computed from this slot, and put its value in place."""
        stale: set[int] = set()
        for s in self.plan.steps:
            if any(a == slot for _, a in s.args) or any(w in stale for w in s.waits):
                stale.add(s.index)
        kept = [k for k in self._order if k not in stale]
        if len(kept) < len(self._order):
            for k in reversed(self._order):
                if k in stale:
                    self._unfire(k)
        events = dict(zip(self._recorded, self._events))
        self._order = kept
        self._recorded, self._events = list(kept), [events[k] for k in kept]
        for index, event in enumerate(self._events):
            event.index = index
        origin = self._origin.get(slot)
        if slot in self._overrides and (origin is None or origin[0].index in kept):
            self._values[slot] = self._overrides[slot]
        elif slot not in self._overrides and origin is not None and origin[0].index in kept:
            self._values[slot] = events[origin[0].index].outputs[origin[1]]
        elif origin is None:
            base = dict(enumerate(self._arrays)) | dict(self.plan.constants) | {s: self._snapshot[n] for s, n in self.plan.variables}
            self._values[slot] = self._overrides.get(slot, base[slot])
        if len(self._order) == len(self.plan.steps):  # nothing had to be un-fired, and what was asked for has changed
            self._finish()

    # ------------------------------------------------------------ firing

    def _step(self, name: str | Node) -> Step:
        name = name.name if isinstance(name, Node) else name
        step = self._step_of.get(name)
        if step is None:
            node = self.graph.node(name)
            step = self._step_of.get(node.name)
        if step is None:
            raise DebuggerError(f"{name} does not fire in this run.", node=str(name), hint="Sources are there from the start; other nodes may not be needed by the fetches.")
        return step

    def _fire(self, step: Step) -> Event:
        at = len(self._order)
        if at + 1 == len(self.plan.steps):
            self._check_commit(step)
        known = at < len(self._recorded) and self._recorded[at] == step.index
        if known:
            event = self._events[at]
            outputs = event._outputs or ()
        else:
            clock = time.perf_counter
            start = clock()
            try:
                outputs = step.fire(self._values, self._rng)
            except FlowError as error:
                self._failed, self.error = step.node.name, error
                raise
            except Exception as error:
                self._failed, self.error = step.node.name, error_at(step, error, self._values)
                raise self.error from error
            event = Event(at, step.node.name, step.node.phase, outputs, start - self._begin, clock() - start, self)
            del self._recorded[at:], self._events[at:]
            self._events.append(event)              # first: what is on the record has its event
            self._recorded.append(step.index)
        self.error = self._failed = None
        try:
            for slot, value in zip(step.outs, outputs):
                self._values[slot] = self._overrides.get(slot, value) if self._overrides else value
            self._order.append(step.index)
            self._fired.add(step.index)
            self._ready.discard(step.index)
            for user in self._users[step.index]:
                self._missing[user] -= 1
                if not self._missing[user]:
                    self._ready.add(user)
            if len(self._order) == len(self.plan.steps):
                self._finish()
        except BaseException:   # an interrupt: the firing did not take place, and can be repeated
            self._uncommit()    # nor did the commit, should the interrupt have come right after it
            del self._order[at:]
            self._recount()
            raise
        return event

    def _recount(self) -> None:
        """Work out again from the firings done what else is known, after an interrupt between one and the next."""
        self._fired = set(self._order)
        self._missing = [sum(w not in self._fired for w in s.waits) for s in self.plan.steps]
        self._ready = {k for k, missing in enumerate(self._missing) if not missing and k not in self._fired}
        for s in self.plan.steps:
            if s.index not in self._fired:
                for slot in s.outs:
                    self._values.pop(slot, None)

    def _check_commit(self, step: Step) -> None:
        values = self.session.store.values
        if self.plan.assigns and any(values.get(k) is not v for k, v in self._snapshot.items()):
            raise DebuggerError("the session's variables have changed since this Debugger began, so its run cannot commit.", node=step.node.name,
                                hint="Make a new Debugger.")

    def _finish(self) -> None:
        store = self.session.store
        before, runs = store.values, store.runs
        results = [None if slot is None else self._values[slot] for slot in self.plan.results]
        try:
            out = self.session.finish(self.plan, self._arrays, results, [self._values[slot] for slot, _ in self.plan.assigns])
            self._results = self._build([None if v is None else host(v, True) for v in out])
            self._committed = (store.version, before, runs)
        except BaseException:   # all old: the last firing is taken back, and commits when it is repeated
            store.values, store.runs = before, runs
            self._committed = self._results = None
            raise
