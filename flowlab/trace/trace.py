"""Trace: every firing of a run, in order, with its values."""
from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import FetchError, FlowError
from ..core.graph import Node, Tensor
from ..runtime.backend import on_host
from ..runtime.feeding import checked_feeds, feed_tensors, flatten, resolve
from ..runtime.memory import trace_budget
from ..runtime.plan import Plan, Step, asked, frame_number
from ..runtime.schedule import Parallel
from ..runtime.session import Session, error_at, host, set_tracer
from ..runtime.store import Draws, Snapshot
from ..runtime.timeline import CALLER

_SMALL = 1 << 12    # values; below, the calls cost more than the passes over them, so that such arrays are counted many at a time
_ONES = {char: np.ones(256, char) for char in "fd"}


class Stats(NamedTuple):
    """Health of a tensor: extremes and sums over its values, NaN left out, and how many are NaN or infinite."""

    size: int
    min: float
    max: float
    sum: float
    sum_of_squares: float
    nan: int
    inf: int
    zero: int | None    # how many are 0; None where it was not counted

    @property
    def mean(self) -> float:
        n = self.size - self.nan
        return self.sum / n if n else math.nan

    @property
    def std(self) -> float:
        n = self.size - self.nan
        return math.sqrt(max(self.sum_of_squares / n - self.mean**2, 0.0)) if n and math.isfinite(self.sum_of_squares) else math.nan

    @property
    def norm(self) -> float:
        return math.sqrt(self.sum_of_squares)

    @property
    def zeros(self) -> float:
        """Share of zeros, 0 to 1; NaN where they were not counted."""
        if self.zero is None:
            return math.nan
        return self.zero / self.size if self.size else 0.0


def stats_of(value: Any) -> Stats:
    """The statistics of one array, in float64."""
    array = on_host(value)
    if not array.size:
        return Stats(0, math.nan, math.nan, 0.0, 0.0, 0, 0, 0)
    zero = int(array.size - np.count_nonzero(array))
    if array.dtype.kind == "f":
        nan = int(np.isnan(array).sum())
        inf = int(np.isinf(array).sum())
        if nan:
            array = array[~np.isnan(array)]
            if not array.size:
                return Stats(nan, math.nan, math.nan, 0.0, 0.0, nan, 0, 0)
    else:
        nan = inf = 0
    wide = array.astype(np.float64).ravel()
    with np.errstate(all="ignore"):
        return Stats(array.size + nan, float(wide.min()), float(wide.max()), float(wide.sum()), float(wide @ wide), nan, inf, zero)


def quick_stats(value: Any) -> Stats:
    """The same in the tensor's own precision and in four passes over it: what is recorded of every firing. A device's array stays there, four numbers come over."""
    if hasattr(value, "get") and value.dtype.kind == "f" and value.dtype.itemsize >= 4 and value.size:
        least, most = float(value.min()), float(value.max())
        if math.isfinite(least) and math.isfinite(most):
            return Stats(value.size, least, most, float(value.sum()), float((value * value).sum()), 0, 0, None)
    array = on_host(value)
    if array.dtype.kind != "f" or array.dtype.itemsize < 4 or not array.size:
        return stats_of(array)
    least, most = float(np.minimum.reduce(array, axis=None)), float(np.maximum.reduce(array, axis=None))
    if not (math.isfinite(least) and math.isfinite(most)):
        return stats_of(array)  # NaN and infinity are counted
    flat = array.ravel("K")     # as it lies in memory: a transposed array needs no copy
    if flat.size > _SMALL:      # sums of rows by BLAS, which takes a quarter of the time of a sum
        ones = _ONES[flat.dtype.char]
        whole = flat.size // ones.size * ones.size
        total = np.add.reduce(np.dot(flat[:whole].reshape(-1, ones.size), ones)) + np.add.reduce(flat[whole:])
    else:
        total = np.add.reduce(flat)
    return Stats(array.size, least, most, float(total), float(np.dot(flat, flat)), 0, 0, None)


def count_together(events: Sequence[Event]) -> None:
    """Fill in the statistics of events that have none yet: large arrays one by one, small ones of a dtype laid end to end; what is seen twice is counted once."""
    known: dict[int, Stats] = {}    # by identity: the events keep the arrays
    places: dict[tuple, Stats] = {}
    small: dict[Any, dict[int, np.ndarray]] = {}
    pending = [e for e in events if e._stats is None and e._outputs is not None]
    for event in pending:
        for value in event._outputs or ():
            if value is None or id(value) in known:
                continue
            if hasattr(value, "get"):
                known[id(value)] = quick_stats(value)
                continue
            array = on_host(value)
            if 0 < array.size <= _SMALL and array.dtype.char in "fd":
                small.setdefault(array.dtype.char, {})[id(value)] = array
            else:   # a view of the whole has the same values in another order
                place = (array.__array_interface__["data"][0], array.size, array.dtype.char, array.flags.forc)
                found = known[id(value)] = (places.get(place) if place[3] else None) or quick_stats(value)
                places[place] = found
    for arrays in small.values():
        values = [a.ravel("K") for a in arrays.values()]
        flat, sizes = np.concatenate(values), [a.size for a in values]
        at = np.cumsum([0, *sizes[:-1]])
        with np.errstate(all="ignore"):
            rows = [ufunc.reduceat(each, at).tolist() for ufunc, each in ((np.minimum, flat), (np.maximum, flat), (np.add, flat), (np.add, flat * flat))]
        for key, size, least, most, total, squares in zip(arrays, sizes, *rows):
            finite = math.isfinite(least) and math.isfinite(most)
            known[key] = Stats(size, least, most, total, squares, 0, 0, None) if finite else stats_of(arrays[key])
    for event in pending:
        event._stats = tuple([None if v is None else known[id(v)] for v in event._outputs or ()])


class Event:
    """One firing: which node, when, and what came out.

    Inside a loop, `frame` says where: `("rnn", 3)` is timestep 3 of the loop `rnn`, a loop in a loop adds its own; `top` is the node of the graph
    itself that was entered.
    """

    __slots__ = ("_outputs", "_sizes", "_stats", "_trace", "again", "device", "duration", "frame", "index", "key", "node", "phase", "start", "thread", "top")

    def __init__(self, index: int, node: str, phase: str, outputs: tuple[Any, ...] | None, start: float, duration: float, trace: Any = None,
                 frame: tuple = (), device: str = "cpu:0", key: tuple = (), top: str | None = None, thread: str = CALLER):
        self.index, self.node, self.frame, self.phase = index, node, frame, phase
        self.key = key          # ((step of the loop, how many of its timesteps came before), …), step
        self.top = node if top is None else top
        self.start, self.duration, self.device, self.thread = start, duration, device, thread
        self._outputs = outputs
        self._stats: tuple[Stats, ...] | None = None
        self._trace = trace
        self._sizes: tuple[int, ...] | None = None      # of the values that were let go
        self.again = False      # its values were let go, and have been computed again

    @property
    def outputs(self) -> tuple[np.ndarray | None, ...]:
        """The values, one array an output; computed again if the trace had to let them go. None for what a loop could have given and nobody asked for."""
        if self._outputs is None:
            return self._trace._again(self)
        return tuple(_seen(v) for v in self._outputs)

    @property
    def stats(self) -> tuple[Stats, ...]:
        """Statistics of each output, in its own precision; `Trace.stats` works in float64 and counts zeros too."""
        if self._stats is None and self._outputs is not None:
            self._trace.count() if isinstance(self._trace, Trace) else count_together((self,))
        if self._stats is None:
            self._stats = tuple(None if v is None else quick_stats(v) for v in self.outputs)
        return self._stats

    @property
    def nbytes(self) -> int:
        """How large its values are, in bytes, or were before they were let go."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How large each value is, in bytes, or was before it was let go; 0 for what nobody asked a loop for."""
        if self._outputs is None and self._sizes is not None:
            return self._sizes
        return tuple([0 if v is None else v.nbytes for v in (self.outputs if self._outputs is None else self._outputs)])

    def copy(self, trace: Any) -> Event:
        """The same firing on another record; values that were let go are let go there too."""
        new = Event(self.index, self.node, self.phase, self._outputs, self.start, self.duration, trace, self.frame, self.device, self.key, self.top, self.thread)
        new._stats, new.again = self._stats, self.again
        new._sizes = self._sizes
        return new

    def forget(self) -> None:
        """Keep the statistics, let the values go."""
        if self._stats is None:
            count_together((self,))
        self._sizes = self.sizes
        self._outputs = None

    def __repr__(self) -> str:
        """Looks at no value, so that it computes none again."""
        what = ", ".join(f"{v.dtype}{list(v.shape)}" for v in self._outputs if v is not None) if self._outputs is not None else "values let go, computed again when looked at"
        where = f" at {' '.join(map(str, self.frame))}" if self.frame else ""
        return f"{self.index}: {self.node}{where} → {what} ({self.phase}, {self.duration * 1e6:.1f} µs{', computed again' if self.again else ''})"


def _seen(value: Any) -> np.ndarray | None:
    """The value to look at: a write to it would change what other nodes, or a variable, hold. None is an output of a loop that nobody asked for."""
    if value is None:
        return None
    view = on_host(value).view()
    view.flags.writeable = False
    return view


class Trace:
    """The ordered record of a run: what `Session.trace` returns."""

    def __init__(self, session: Session, fetches: Any, feeds: Mapping[Tensor, np.ndarray], plan: Plan, snapshot: Snapshot, run: int):
        self.session, self.graph, self.fetches = session, session.graph, fetches
        self.feeds = {t.name: a for t, a in feeds.items()}
        self.events: list[Event] = []
        self.results: Any = None
        self.overridden: tuple[str, ...] = ()   # tensors of a stepped run that had another value put in their place
        self.plan, self._snapshot, self._run = plan, snapshot, run
        self._kept = 0
        self._let_go = 0
        self._by_name: dict[str, list[int]] = {}
        self._counted = 0   # events before it have their statistics

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        seconds = sum(e.duration for e in self.events)
        gone = f", {self._let_go} with their values let go (they are computed again when asked for)" if self._let_go else ""
        return f"Trace of {self.graph.name!r}: {len(self.events)} firings in {seconds * 1e3:.2f} ms{gone}"

    # ------------------------------------------------------------ looking

    def value(self, name: str | Tensor, at: int | tuple | None = None) -> np.ndarray:
        """The value of a tensor in this run. KeyError-like FetchError if the run did not compute it.

        A tensor inside a loop (`"rnn/Tanh:0"`) has one a timestep: `at` is the frame, such as `("rnn", 3)`, or the index of the firing; without it, the last.
        """
        tensor = self._tensor(name)
        if tensor.graph is not self.graph:
            return self._inner_value(tensor, at)
        key = (tensor.node.id, tensor.index)
        fed = self.feeds.get(tensor.name)
        if fed is not None:
            return fed.copy()
        slot = self.plan.slots.get(key)
        if slot is None:
            raise ValueKeyError(f"{tensor.name} was not computed in this run.", node=tensor.node.name, hint="Fetch it, or something that needs it.")
        if tensor.node.op.source == "variable":
            return np.array(self._snapshot[tensor.node.id])
        if tensor.node.op.source == "constant":
            return np.array(tensor.node.attrs["value"])
        step, k = self.plan.topology.origin[slot]
        index = self._firings()[step.node.name][-1]
        if at is not None and at != index:
            raise ValueKeyError(f"{tensor.node.name} did not fire as number {at}.", node=tensor.node.name, hint=f"It fired as number {index}.")
        value = self.events[index].outputs[k]
        if value is None:
            raise ValueKeyError(f"{tensor.name} was not asked for in this run.", node=tensor.node.name, hint="A loop gives its tensors over time only to who fetches them.")
        return np.array(value, order="C")

    def _inner_value(self, tensor: Tensor, at: int | tuple | None) -> np.ndarray:
        name = self.graph.told(tensor.node)
        found = self._firings().get(name, ())
        if not found and tensor.node.op.source == "placeholder":
            return self._taken_in(tensor, name, at)
        if not found:
            raise ValueKeyError(f"{name}:{tensor.index} was not computed in this run.", node=name)
        if at is None:
            index = found[-1]
        elif isinstance(at, tuple):
            index = next((k for k in found if self.events[k].frame == at), -1)
        else:
            index = at if at in found else -1
        if index < 0:
            first, last = self.events[found[0]], self.events[found[-1]]
            raise ValueKeyError(f"{name} did not fire at {at!r}.", node=name, hint=f"It fired from {first.frame} (number {first.index}) to {last.frame} (number {last.index}).")
        return np.array(self.events[index].outputs[tensor.index], order="C")

    def _taken_in(self, tensor: Tensor, name: str, at: int | tuple | None) -> np.ndarray:
        """What a loop's body took in at a timestep, such as its state: found by going there again."""
        loop = name.rpartition("/")[0]
        events = [e for e in reversed(self.events) if e.frame and e.frame[-2] == loop and (at is None or e.frame == at or e.index == at)]
        for event in events:
            draws = self.session.draws(self.session.seed, self._run)
            feeds = [self.graph.tensor(n) for n in self.feeds]
            given, _ = self.session.plan(self.graph.node(event.top).inputs, feeds).function(list(self.feeds.values()), self._snapshot, draws)
            _, values, _, plan = self._timestep(event, given, draws)
            if tensor in plan.feeds:
                return np.array(on_host(values[plan.feeds.index(tensor)]), order="C")
        raise ValueKeyError(f"{name}:{tensor.index} has no value{f' at {at!r}' if at is not None else ''} in this run.", node=name,
                            hint='Say at which timestep: at=("rnn", 3).')

    def _firings(self) -> dict[str, list[int]]:
        """Node → the indices of its firings."""
        if sum(map(len, self._by_name.values())) != len(self.events):
            self._by_name = {}
            for event in self.events:
                self._by_name.setdefault(event.node, []).append(event.index)
        return self._by_name

    def stats(self, name: str | Tensor, at: int | tuple | None = None) -> Stats:
        """Statistics of a tensor in this run; `at` as in `value`."""
        return stats_of(self.value(name, at))

    def gates(self, name: str) -> dict[str, np.ndarray]:
        """Gates and states of a recurrent layer in this run, each (batch, time, units): `f i g o c h` of an LSTM, `r z n h` of a GRU, `h` of an RNN."""
        node = self.graph.node(name)
        letters = {"LSTM": "figoch", "GRU": "rznh", "RNN": "h"}
        if node.op.name not in letters:
            layers = [n.name for n in self.graph.nodes if n.op.name in letters]
            raise FetchError(f"{node.name} is a {node.op.name}, not a recurrent layer.", node=node.name, hint=f"Recurrent layers here: {', '.join(layers) or 'none'}.")
        return {letter: self.value(node.output("out" if letter == "h" else letter)) for letter in letters[node.op.name]}

    @property
    def moment(self) -> tuple[Snapshot, int]:
        """What the run began with: the variables, and its number."""
        return self._snapshot, self._run

    def save(self, path: str | os.PathLike) -> None:
        """Write the trace to a file, graph and values; `fl.load_trace` opens it anywhere."""
        from .saved import save_trace
        save_trace(self, path)

    def costs(self) -> list[tuple[str, int, float, int]]:
        """What each node of the graph cost in this run: (node, firings, seconds, bytes of its outputs), the slowest first; a loop with all inside it."""
        found: dict[str, list] = {}
        for event in self.events:
            row = found.setdefault(event.top, [0, 0.0, 0])
            row[0] += 1
            row[1] += event.duration if event.top == event.node else 0.0     # a loop's own firing lasts as long as all that is inside
            row[2] += _bytes(event._outputs)
        return sorted(((node, *row) for node, row in found.items()), key=lambda r: -r[2])

    def rerun(self, feeds: Mapping[Any, Any], fetches: Any = None) -> Trace:
        """The same run again from the same variables with some tensors fed otherwise (any tensor may be fed). Commits nothing."""
        merged = {self.graph.tensor(n): a for n, a in self.feeds.items()} | feed_tensors(self.graph, feeds)
        return record(self.session, self.fetches if fetches is None else fetches, merged, snapshot=self._snapshot, run=self._run)

    def _tensor(self, name: str | Tensor) -> Tensor:
        found = resolve(self.graph, name, inside=True)
        if isinstance(found, Node):
            raise ValueKeyError(f"{found.name} has no output.", node=found.name)
        return found

    # ------------------------------------------------------------ the memory budget

    def count(self) -> None:
        """Give every event so far its statistics."""
        end = len(self.events)
        count_together(self.events[self._counted:end])
        self._counted = end

    def _keep(self, event: Event, budget: int) -> None:
        self._kept += _bytes(event._outputs)
        while self._kept > budget and self._let_go < len(self.events) - 1:
            old = self.events[self._let_go]
            self._let_go += 1
            self._kept -= _bytes(old._outputs)
            old.forget()

    def _again(self, event: Event) -> tuple[np.ndarray, ...]:
        feeds = [self.graph.tensor(n) for n in self.feeds]
        draws, top = self.session.draws(self.session.seed, self._run), self.graph.node(event.top)

        def computed(tensors: Sequence[Tensor]) -> list[Any]:
            results, _ = self.session.plan(tuple(tensors), feeds).function(list(self.feeds.values()), self._snapshot, draws)
            return results
        step = self.plan.topology.by_name[event.top]
        if not event.frame:
            asked = [not step.wanted or step.wanted[k] for k in range(len(top.outputs))]
            found = iter(computed([t for t, want in zip(top.outputs, asked) if want]))
            return tuple(on_host(next(found)) if want else None for want in asked)
        step, values, draws, _ = self._timestep(event, computed(top.inputs), draws)
        return tuple(None if v is None else on_host(v) for v in step.fire(values, draws))

    def _timestep(self, event: Event, given: Sequence[Any], draws: Draws) -> tuple[Step, dict[int, Any], Draws, Plan]:
        """The step of a firing inside loops, with the values that were there before it; `given` are the inputs of the outermost loop."""
        step = self.plan.topology.by_name[event.top]
        values: dict[int, Any] = dict(zip((s for _, s in step.args), given))
        *path, last = event.key
        for depth, (_, count) in enumerate(path):       # into the loops, timestep by timestep
            running = step.enter(values)
            which, timestep, inner = next(running)
            for _ in range(count):
                sub = step.bodies[which]
                which, timestep, inner = running.send(sub.function(inner, (), draws.at(frame_number(timestep)))[0])
            plan, draws = step.bodies[which], draws.at(frame_number(timestep))
            values = dict(enumerate(inner)) | dict(plan.constants)
            until = path[depth + 1][0] if depth + 1 < len(path) else last
            for before in plan.steps[:until]:
                values.update(zip(before.outs, before.fire(values, draws)))
            step = plan.steps[until]
        return step, values, draws, plan


class ValueKeyError(FetchError, KeyError):
    """There is no such value in this run, or not yet."""

    __str__ = FlowError.__str__


def _bytes(values: Sequence[Any] | None) -> int:
    """Memory behind the values; views of one array count once."""
    if values is not None and len(values) == 1 and type(values[0]) is np.ndarray:
        value = values[0]
        while type(value.base) is np.ndarray:
            value = value.base
        return value.nbytes
    whole = {}
    for v in values or ():
        base = v
        while getattr(base, "base", None) is not None and isinstance(base.base, np.ndarray):
            base = base.base
        whole[id(base)] = getattr(base, "nbytes", 8)
    return sum(whole.values())


def walk(plan: Plan, values: dict[int, Any], rng: Draws, trace: Trace, budget: int, begin: float, *, prefix: str = "", frame: tuple = (), path: tuple = (),
         top: str | None = None, phase: str | None = None) -> None:
    """Fire the steps of a plan in order, those inside loops too, and put every firing on the trace."""
    clock, events = time.perf_counter, trace.events
    for step in plan.steps:
        start = clock()
        node = step.node
        try:
            if step.bodies:
                outputs = _enter(step, values, rng, trace, budget, begin, prefix, frame, path, top, phase)
            else:
                outputs = step.fire(values, rng)
        except FlowError:
            raise
        except Exception as error:
            raise error_at(step, error, values, prefix) from error
        end = clock()
        for slot, value in zip(step.outs, outputs):
            values[slot] = value
        event = Event(len(events), f"{prefix}{node.name}" if prefix else node.name, phase or node.phase, outputs, start - begin, end - start, trace, frame, step.device,
                      (*path, step.index), top)
        events.append(event)
        trace._keep(event, budget)
        for s in step.frees:
            del values[s]  # the trace alone decides what stays


def _enter(step: Step, values: dict[int, Any], rng: Draws, trace: Trace, budget: int, begin: float, prefix: str, frame: tuple, path: tuple, top: str | None,
           phase: str | None) -> tuple[Any, ...]:
    """A loop or branch, entered like a function."""
    inside = f"{prefix}{step.node.inside}"
    running = step.enter(values)
    count = 0
    try:
        which, timestep, feeds = next(running)
        while True:
            plan = step.bodies[which]
            inner = dict(enumerate(feeds)) | dict(plan.constants)
            walk(plan, inner, rng.at(frame_number(timestep)), trace, budget, begin, prefix=f"{inside}/", frame=(*frame, inside, timestep),
                 path=(*path, (step.index, count)), top=top or step.node.name, phase=phase or step.node.phase)
            count += 1
            which, timestep, feeds = running.send(tuple(inner[s] for s in plan.results))
    except StopIteration as stop:
        return asked(stop.value, step.wanted)


def at_once(parallel: Parallel, trace: Trace, arrays: Sequence[np.ndarray], snapshot: Snapshot, draws: Draws, budget: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """A run as the parallel executor does it, each firing with its thread and its times; results and assigned values. Events stand in the order in which they ended."""
    kept: dict[int, Sequence[Any]] = {}
    left = [budget]

    def keep(k: int, outputs: Sequence[Any]) -> None:
        left[0] -= _bytes(outputs)
        if left[0] >= 0:
            kept[k] = tuple(outputs)
    try:
        (results, assigned, _), stamps = parallel.timed(trace.plan, arrays, snapshot, draws, keep)
    except BaseException:
        kept.clear()    # a worker may know of `keep` until its next run
        raise
    for k, (thread, start, end) in sorted(enumerate(stamps), key=lambda s: (s[1][2], s[0])):
        step = trace.plan.steps[k]
        event = Event(len(trace.events), step.node.name, step.node.phase, kept.get(k, ()), start, end - start, trace, (), step.device, (k,), None, thread)
        if k not in kept:
            event._outputs = None       # computed again when asked for
        trace.events.append(event)
    return results, assigned


def record(session: Session, fetches: Any, feeds: Mapping[Any, Any] | None = None, *, budget: int | None = None, snapshot: Snapshot | None = None,
           run: int | None = None) -> Trace:
    """Run step by step and keep every firing. Without `snapshot` it is a run like any other: it commits.

    `budget` is how many bytes of values the trace keeps; what it lets go is computed again when asked for. With the parallel executor firings overlap as they do in `run`;
    a graph with loops, whose inside is recorded too, is walked through in one thread.
    """
    flat, build = flatten(session.graph, fetches)
    by_tensor = feed_tensors(session.graph, feeds)
    plan = session.plan(flat, tuple(by_tensor))
    arrays = [np.array(a) for a in checked_feeds(by_tensor)]  # the caller may go on to change its own
    session.fits(plan, tuple([a.shape for a in arrays]))
    budget = trace_budget() if budget is None else budget
    if snapshot is None and session.tape is not None:
        session.tape(fetches, {t.name: a for t, a in zip(by_tensor, arrays)})

    def go() -> Trace:
        before = session.store.snapshot() if snapshot is None else snapshot
        number = session.store.runs if run is None else run
        trace = Trace(session, fetches, dict(zip(by_tensor, arrays)), plan, before, number)
        parallel = session.parallel if snapshot is None and not any(s.bodies for s in plan.steps) else None
        values = plan.values(arrays, before) if parallel is None else {}
        try:
            if parallel is not None:
                results, assigned = at_once(parallel, trace, arrays, before, session.draws(session.seed, number), budget)
                trace.results = build(session.finish(plan, arrays, list(results), list(assigned)))
                session.last_trace = trace
                return trace
            walk(plan, values, session.draws(session.seed, number), trace, budget, time.perf_counter())
        except FlowError as error:
            if isinstance(error.__cause__, MemoryError):
                values.clear()
                trace.events.clear()
                session.let_go(error)
            raise
        results = [None if slot is None else values[slot] for slot in plan.results]
        if snapshot is None:
            trace.results = build(session.finish(plan, arrays, results, [values[slot] for slot, _ in plan.assigns]))
            session.last_trace = trace      # whole
        else:
            trace.results = build([None if v is None else host(v, True) for v in results])
        return trace
    return session.alone(go)


set_tracer(record)
