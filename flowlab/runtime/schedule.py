"""The parallel schedule: ready nodes fire on several threads at once, where what is gained is more than handing them over costs."""
from __future__ import annotations

import contextvars
import os
import queue
import select
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from heapq import heapify, heappop, heappush
from types import FunctionType
from typing import Any

import numpy as np

from ..core.errors import FlowError, KernelError
from .backend import NUMPY
from .machine import ONE_BLAS_THREAD, cpu_count, let_go
from .plan import Plan, Step
from .store import Snapshot

_clock = time.perf_counter
_VIGIL = 1.5e-4     # seconds
# lets other threads have Python's lock; elsewhere time.sleep(0) takes as long as being woken
_give_way = partial(time.sleep, 0) if sys.platform == "win32" else partial(select.select, (), (), (), 0)

Outcome = tuple[Sequence[Any], Sequence[Any], bool]     # results, new values of variables, whether both are the caller's own
Stamp = tuple[str, float, float]                        # thread, start, end
Keep = Callable[[int, Sequence[Any]], None]             # is given what each step came to, by whichever thread fired it
Straight = Callable[[Sequence[np.ndarray], Snapshot, Any], Outcome]
Explain = Callable[[Step, Exception, Mapping[int, Any]], FlowError]


class Lane:
    """One thread that fires the nodes of one device. The first lane of all is the caller's own thread."""

    __slots__ = ("device", "inbox", "name", "since", "step", "thread")

    def __init__(self, device: str, name: str, inbox: Any = None):
        self.device, self.name = device, name
        self.inbox: Any = queue.SimpleQueue() if inbox is None else inbox
        self.thread: threading.Thread | None = None
        self.step: int | None = None    # what it is firing
        self.since = 0.0                # when it began to

    def start(self) -> None:
        self.thread = threading.Thread(target=_serve, args=(self,), name=self.name, daemon=True)
        self.thread.start()

    def alive(self) -> bool:
        """Is the thread there? One that C code has ended is not, whatever Python thinks of it."""
        thread = self.thread
        if thread is None or not thread.is_alive():
            return False
        return not os.path.isdir("/proc/self/task") or os.path.isdir(f"/proc/self/task/{thread.native_id}")


_STAND_BY = object()    # wakes a lane's thread a little before there is something to do: that takes it as long as a run takes to prepare


def _serve(lane: Lane) -> None:
    """What a lane's thread does: wait for a run, help with it, wait for the next; None sends it home."""
    while True:
        run = lane.inbox.get()
        if run is _STAND_BY:
            continue
        if run is None:
            return
        try:
            run.context.copy().run(run.work, lane)  # the caller's NumPy error state and the like
        except BaseException as error:              # nothing ends this thread but its owner
            run.lost(lane, error)
        del run     # a lane that waits holds no values


class Profile:
    """What is known of a plan at one set of feed shapes: how long its nodes take, and which way of running it is the faster."""

    __slots__ = ("again", "durations", "heavy", "left", "mode", "order", "parallel", "serial", "trials", "wave")

    def __init__(self, durations: Sequence[float], heavy: Sequence[bool], order: Sequence[tuple[float, int]], mode: str, wave: Sequence[tuple[str, int]] = ()):
        self.durations, self.heavy, self.order, self.mode = durations, heavy, order, mode
        self.wave = wave                               # how many threads of each device have something to do at once
        self.left = -1                                 # runs until the choice is made anew
        self.again = 250
        self.parallel = self.serial = float("inf")     # the best time of a whole run, seconds
        self.trials = 0

    def timed(self, seconds: float, parallel: bool) -> None:
        self.trials += 1
        if parallel:
            self.parallel = min(self.parallel, seconds)
        else:
            self.serial = min(self.serial, seconds)

    def learn(self, stamps: Sequence[tuple[Lane, float, float]]) -> None:
        """The first run was the slowest: memory was new to it."""
        self.durations = [min(d, end - start) for d, (_, start, end) in zip(self.durations, stamps)]

    def settle(self) -> None:
        """Keep to the faster way for a while."""
        self.mode = "parallel" if self.parallel < self.serial else "compiled"
        self.left, self.again = self.again, 4 * self.again

    def reopen(self) -> None:
        """Other programs may have been in the way when the choice was made."""
        self.mode, self.trials, self.parallel, self.serial = "trial", 0, float("inf"), float("inf")


def _fresh(step: Step) -> Step:
    """A step whose output a person gets: it lies in memory of its own at once, and need not be copied from a work array."""
    name = step.node.op.ufunc
    if name is None or step.backend is not NUMPY or not isinstance(step.kernel, FunctionType) or step.kernel.__module__ != NUMPY.__class__.__module__:
        return step
    return replace(step, kernel=getattr(np, name))


class Schedule:
    """A plan, prepared to be fired in any order by several threads."""

    profiles_kept = 64

    def __init__(self, plan: Plan):
        self.plan = plan
        self.steps = [_fresh(s) if set(s.outs) & set(plan.results) else s for s in plan.steps]
        topology = plan.topology
        self.users, self.waiting = topology.users, topology.waiting
        self.devices = [s.device for s in plan.steps]
        gone = {slot for s in plan.steps for slot in s.frees}
        self.reads = [tuple({slot for _, slot in s.args} & gone) for s in plan.steps]
        self.unread = [tuple(set(s.outs) & set(s.frees)) for s in plan.steps]
        self.uses: dict[int, int] = {}
        for slots in self.reads:
            for slot in slots:
                self.uses[slot] = self.uses.get(slot, 0) + 1
        self.profiles: OrderedDict[Any, Profile] = OrderedDict()

    def outcome(self, values: Mapping[int, Any]) -> Outcome:
        """Results and assigned values; others may hold them, too."""
        return [None if s is None else values[s] for s in self.plan.results], [values[s] for s, _ in self.plan.assigns], False

    def keep(self, key: Any, profile: Profile) -> None:
        self.profiles[key] = profile
        if len(self.profiles) > self.profiles_kept:
            self.profiles.popitem(last=False)

    def levels(self, durations: Sequence[float]) -> list[float]:
        """Seconds from the start of each step to the end of the run along the longest way: what is urgent."""
        levels = [0.0] * len(durations)
        for k in range(len(durations) - 1, -1, -1):
            levels[k] = durations[k] + max((levels[u] for u in self.users[k]), default=0.0)
        return levels

    def makespan(self, durations: Sequence[float], levels: Sequence[float], lanes: Mapping[str, int]) -> float:
        """How long the run would take if every device had that many lanes and handing over cost nothing."""
        waiting = list(self.waiting)
        free = dict(lanes)
        ready: dict[str, list] = {d: [] for d in lanes}
        for k, count in enumerate(waiting):
            if not count:
                heappush(ready[self.devices[k]], (-levels[k], k))
        flying: list[tuple[float, int]] = []
        now = 0.0
        while True:
            for device, heap in ready.items():
                while heap and free[device]:
                    free[device] -= 1
                    k = heappop(heap)[1]
                    heappush(flying, (now + durations[k], k))
            if not flying:
                return now
            now, k = heappop(flying)
            free[self.devices[k]] += 1
            for u in self.users[k]:
                waiting[u] -= 1
                if not waiting[u]:
                    heappush(ready[self.devices[u]], (-levels[u], u))


class Run:
    """One parallel run: what is ready, what is being fired, and by whom. All of it changes under one lock."""

    def __init__(self, schedule: Schedule, profile: Profile, values: dict[int, Any], rng: Any, main: Lane, lanes: Mapping[str, Sequence[Lane]],
                 keep: Keep | None = None):
        self.schedule, self.values, self.rng, self.keep = schedule, values, rng, keep
        self.heavy, self.order, self.durations = profile.heavy, profile.order, profile.durations
        self.main, self.lanes = main, lanes
        self.context = contextvars.copy_context()
        self.lock = threading.RLock()
        self.waiting = list(schedule.waiting)
        self.uses = dict(schedule.uses)
        self.idle = {device: list(ls[::-1]) for device, ls in lanes.items()}
        self.busy: set[Lane] = set()
        self.limit = len(self.waiting)      # only steps before this one are fired: lowered to the first that failed
        self.left = len(self.waiting)
        self.errors: dict[int, BaseException] = {}
        self.stopped = self.drained = False
        self.stamps: list[Any] = [None] * self.left     # of each step: lane, start, end
        self.begin = _clock()
        self.ready: dict[str, list] = {device: [] for device in (main.device, *lanes)}
        self.first: list[int] = []          # cheap steps that the caller's own thread begins with
        for k, count in enumerate(self.waiting):
            if not count:
                if schedule.devices[k] == main.device and not self.heavy[k]:
                    self.first.append(k)
                else:
                    self.ready[schedule.devices[k]].append((self.order[k], k))
        self.first.reverse()
        for heap in self.ready.values():
            heapify(heap)

    # ------------------------------------------------------------ on every lane

    def work(self, lane: Lane) -> None:
        """Fire what is ready on the lane's device until nothing is."""
        mine: list[int] = []        # cheap steps that got ready here: nobody else takes them
        if lane is self.main:
            mine, self.first = self.first, mine
        steps, values, rng, stamps = self.schedule.steps, self.values, self.rng, self.stamps
        device, heap = lane.device, self.ready[lane.device]
        k, error = -1, None
        dropped: list[Any] = []
        while True:
            with self.lock:
                if k >= 0:
                    if error is None:
                        self._done(k, device, mine, dropped)
                    else:
                        self._failed(k, error)
                        error = None
                k = -1
                if not self.stopped:
                    while mine and k < 0:
                        k = mine.pop()
                        k = k if k < self.limit else -1
                    while heap and k < 0:
                        k = heappop(heap)[1]
                        k = k if k < self.limit else -1
                idle = self.idle[device]
                if k < 0:
                    lane.step = None
                    self.busy.discard(lane)
                    if lane not in idle:
                        idle.append(lane)
                elif lane.step is None:
                    self.busy.add(lane)
                    if lane in idle:
                        idle.remove(lane)
                for name, waiting in self.ready.items():
                    if waiting and not self.stopped:
                        idle = self.idle[name]
                        for _ in range(min(len(waiting), len(idle))):
                            idle.pop().inbox.put(self)
                if k < 0:
                    if lane is not self.main and not self.busy:
                        self.main.inbox.put(None)
                    return
                lane.step = k
            dropped.clear()     # outside the lock: giving memory back takes a while
            step = steps[k]
            start = lane.since = _clock()
            try:
                outputs = step.fire(values, rng)
            except BaseException as raised:
                if lane is self.main and not isinstance(raised, Exception):
                    raise
                error = raised
            else:
                end = _clock()
                for slot, value in zip(step.outs, outputs):
                    values[slot] = value
                if self.keep is not None:
                    self.keep(k, outputs)
                outputs = value = ()
                stamps[k] = (lane, start, end)

    def _done(self, k: int, device: str, mine: list[int], dropped: list[Any]) -> None:
        """Count a firing, and take out what it was the last to read."""
        values, uses, schedule = self.values, self.uses, self.schedule
        dropped += [values.pop(slot) for slot in schedule.unread[k]]
        for slot in schedule.reads[k]:
            uses[slot] -= 1
            if not uses[slot]:
                dropped.append(values.pop(slot))
        for u in schedule.users[k]:
            self.waiting[u] -= 1
            if not self.waiting[u]:
                if schedule.devices[u] == device and not self.heavy[u]:
                    mine.append(u)
                else:
                    heappush(self.ready[schedule.devices[u]], (self.order[u], u))
        self.left -= 1

    def _failed(self, k: int, error: BaseException) -> None:
        """The run is lost, but what comes before in the plan's order still fires: the error must be the one that a plain run meets."""
        self.errors[k] = error
        self.limit = min(self.limit, k)

    def lost(self, lane: Lane, error: BaseException | None) -> None:
        """A lane broke off in the middle of its work."""
        with self.lock:
            if lane.step is not None:
                self._failed(lane.step, _Died(lane.name) if error is None else error)
            lane.step = None
            self.busy.discard(lane)
        self.main.inbox.put(None)

    # ------------------------------------------------------------ on the caller's thread

    def drive(self) -> None:
        """Work, and wait for the others, until all is fired or has failed."""
        while True:
            self.work(self.main)
            with self.lock:
                open_ = any(k < self.limit for heap in self.ready.values() for _, k in heap)
                if not self.busy and not open_:
                    return
            if not self._awaited():
                try:
                    self.main.inbox.get(timeout=0.25)
                except queue.Empty:
                    self._look_for_the_dead()

    def _awaited(self) -> bool:
        """Stay awake while another lane is about to be done: to be woken takes longer than that. False if nothing has come by then."""
        inbox, durations = self.main.inbox, self.durations
        while inbox.empty():
            now = _clock()
            if not any(k is not None and -_VIGIL < lane.since + durations[k] - now < _VIGIL for lane in list(self.busy) for k in (lane.step,)):
                return False
            _give_way()
        inbox.get()
        return True

    def _look_for_the_dead(self) -> None:
        for lane in [x for x in list(self.busy) if x is not self.main and not x.alive()]:
            self.lost(lane, None)
        with self.lock:
            for device, heap in self.ready.items():
                if heap and device != self.main.device and not any(x.alive() for x in self.lanes[device]):
                    self._failed(heap[0][1], _Died(self.lanes[device][0].name))

    def drain(self) -> None:
        """Let nothing more be fired, and wait until nothing is being fired."""
        self.stopped = True
        while not self.drained:
            let_go(self.lock)
            with self.lock:
                self.busy.discard(self.main)
                still = len(self.busy)
            let_go(self.lock)
            if not still:
                self.drained = True
                return
            try:
                self.main.inbox.get(timeout=0.25)
            except queue.Empty:
                self._look_for_the_dead()


class _Died(Exception):
    """The thread that fired a node is gone."""

    def __init__(self, name: str):
        super().__init__(f"the thread {name!r} that ran it died")


class Parallel:
    """The parallel executor of one Session: its threads, and what it has learnt of each plan."""

    worth = 3e-4        # seconds; a node that takes less is never handed over (that costs some 25 µs)
    gain = 0.95         # share of the serial time that a schedule must promise
    trials = 6          # runs of either kind before the choice is made
    schedules_kept = 64

    def __init__(self, explain: Explain, fits: Callable[[Plan, Any], None], workers: int | None = None, devices: Sequence[str] = ("cpu:0",)):
        self.explain = explain      # makes the error that tells of a step that failed
        self.fits = fits            # refuses shapes that there is no room for
        self.workers = cpu_count() if workers is None else workers
        self.devices: list[str] = []
        self.each = max(1, self.workers // max(len(devices), 1))
        self.lanes: dict[str, list[Lane]] = {}
        self._next: list[Lane] = []
        self.counts: dict[str, int] = {}    # threads that fire a device's nodes, the caller's own among them
        for device in devices:
            self.add(device)
        self._schedules: OrderedDict[Plan, Schedule] = OrderedDict()

    def add(self, device: str) -> None:
        """Have lanes for a device. The first device is the one that the caller's thread works for, too; a card's stream needs one thread."""
        if device not in self.lanes:
            count = self.each if device.startswith("cpu:") else 1
            self.lanes[device] = [Lane(device, f"flowlab {device}/{k}") for k in range(not self.devices, count)]
            self.counts[device] = count
            self.devices.append(device)

    # ------------------------------------------------------------ threads

    def start(self) -> None:
        """Have a thread for every lane; those that are gone (closed, died, left behind by a fork) are replaced."""
        for lanes in self.lanes.values():
            for k, lane in enumerate(lanes):
                if lane.thread is None or not lane.thread.is_alive():
                    lanes[k] = Lane(lane.device, lane.name)
                    lanes[k].start()

    def close(self) -> None:
        """Send all threads home and wait for them. The next parallel run starts new ones."""
        threads = [lane for lanes in self.lanes.values() for lane in lanes if lane.thread is not None]
        for lane in threads:
            lane.inbox.put(None)
        for lane in threads:
            if lane.thread is not None and lane.thread is not threading.current_thread() and lane.alive():
                lane.thread.join(2.0)
            lane.thread = None
        self._next = []

    def owns(self, thread: int) -> bool:
        """Is that thread one of this executor's?"""
        return any(lane.thread is not None and lane.thread.ident == thread for lanes in self.lanes.values() for lane in lanes)

    # ------------------------------------------------------------ running

    def stand_by(self) -> None:
        """A run is coming: wake the threads that the last one had something for at once."""
        for lane in self._next:
            lane.inbox.put(_STAND_BY)

    def run(self, plan: Plan, straight: Straight, arrays: Sequence[np.ndarray], snapshot: Snapshot, rng: Any) -> Outcome:
        """Results and assigned values of a plan, and whether they are the caller's own: measured first, then run in parallel or straight through,
        whichever is the faster."""
        schedule = self.schedule(plan)
        key = tuple([a.shape for a in arrays])
        profile = schedule.profiles.get(key)
        if profile is None:
            self.fits(plan, key)
            profile = self._eager(schedule) if self.worth <= 0 else None
            if profile is None:
                return schedule.outcome(self._measure(schedule, key, arrays, snapshot, rng)[0])
            schedule.keep(key, profile)
        profile.left -= 1
        if not profile.left:
            profile.reopen()
        if profile.mode == "compiled":
            self._next = []
            return straight(arrays, snapshot, rng)
        if profile.mode == "parallel":
            return schedule.outcome(self.fire(schedule, profile, arrays, snapshot, rng).values)
        parallel = profile.trials % 2 == 0     # a few runs of either kind in turn, against the clock
        start = _clock()
        if parallel:
            run = self.fire(schedule, profile, arrays, snapshot, rng)
            profile.learn(run.stamps)
            out = schedule.outcome(run.values)
        else:
            out = straight(arrays, snapshot, rng)
        profile.timed(_clock() - start, parallel)
        if profile.trials >= 2 * self.trials:
            profile.settle()
        return out

    def schedule(self, plan: Plan) -> Schedule:
        found = self._schedules.get(plan)
        if found is None:
            found = self._schedules[plan] = Schedule(plan)
            for device in found.devices:
                self.add(device)
            if len(self._schedules) > self.schedules_kept:
                self._schedules.popitem(last=False)
        return found

    def _eager(self, schedule: Schedule) -> Profile:
        """Hand over every node, whatever it takes."""
        n = len(schedule.waiting)
        return Profile([0.0] * n, [True] * n, [(0.0, k) for k in range(n)], "parallel")

    def timed(self, plan: Plan, arrays: Sequence[np.ndarray], snapshot: Snapshot, rng: Any, keep: Keep | None = None) -> tuple[Outcome, list[Stamp]]:
        """A run like any other, and of each step the thread that fired it, its start and its end, in seconds from the run's beginning."""
        schedule = self.schedule(plan)
        key = tuple([a.shape for a in arrays])
        profile = self._eager(schedule) if self.worth <= 0 else schedule.profiles.get(key)
        self.fits(plan, key)
        if profile is None:
            values, stamps = self._measure(schedule, key, arrays, snapshot, rng, keep)
        elif profile.mode == "compiled":
            values = schedule.plan.values(arrays, snapshot)
            stamps = fire_in_order(plan, values, rng, self.explain, keep)
        else:
            run = self.fire(schedule, profile, arrays, snapshot, rng, keep)
            return schedule.outcome(run.values), [(lane.name, start - run.begin, end - run.begin) for lane, start, end in run.stamps]
        return schedule.outcome(values), stamps

    def _measure(self, schedule: Schedule, key: Any, arrays: Sequence[np.ndarray], snapshot: Snapshot, rng: Any,
                 keep: Keep | None = None) -> tuple[dict[int, Any], list[Stamp]]:
        """The first run at these shapes: one node after the other, each with its time."""
        values = schedule.plan.values(arrays, snapshot)
        token = object()
        try:
            try:
                ONE_BLAS_THREAD.enter(token)
                stamps = fire_in_order(schedule.plan, values, rng, self.explain, keep)
            finally:
                ONE_BLAS_THREAD.leave(token)
        finally:
            ONE_BLAS_THREAD.leave(token)
        schedule.keep(key, self.judge(schedule, [end - start for _, start, end in stamps]))
        return values, stamps

    def judge(self, schedule: Schedule, durations: Sequence[float]) -> Profile:
        """Is it worth it? Nodes of `worth` and more may be handed over; the schedule they make must promise a gain."""
        heavy = [d >= self.worth for d in durations]
        levels = schedule.levels(durations)
        order = [(-level, k) for k, level in enumerate(levels)]
        mode = "compiled"
        if sum(heavy) > 1 and sum(self.counts.values()) > 1:
            total = sum(durations)
            promised = max(schedule.makespan(durations, levels, self.counts), total / max(1, min(sum(self.counts.values()), cpu_count())))
            mode = "trial" if promised <= self.gain * total else "compiled"
        first: dict[str, int] = {}
        for k, count in enumerate(schedule.waiting):
            if not count and heavy[k]:
                first[schedule.devices[k]] = first.get(schedule.devices[k], 0) + 1
        return Profile(durations, heavy, order, mode, [(d, n - (d == self.devices[0])) for d, n in first.items()])

    def fire(self, schedule: Schedule, profile: Profile, arrays: Sequence[np.ndarray], snapshot: Snapshot, rng: Any,
             keep: Keep | None = None) -> Run:
        """One run on all lanes, BLAS held to one thread meanwhile. Whatever happens, nothing is left running."""
        self.start()
        self._next = [lane for device, count in profile.wave for lane in self.lanes[device][:count]]
        main = Lane(self.devices[0], threading.current_thread().name)
        run = Run(schedule, profile, schedule.plan.values(arrays, snapshot), rng, main, self.lanes, keep)
        try:    # three times: an interrupt may come in the run, and another in the clean-up
            try:
                try:
                    ONE_BLAS_THREAD.enter(run)
                    run.drive()
                finally:
                    self._clean(run)
            finally:
                self._clean(run)
        finally:
            self._clean(run)
        if run.errors:
            said = self._said(run, min(run.errors))
            run.values.clear()      # whoever keeps the error keeps this frame
            raise said
        if run.left:
            raise FlowError(f"the parallel run ended with {run.left} nodes that never got ready.", hint="Please report this graph.")
        return run

    @staticmethod
    def _clean(run: Run) -> None:
        run.drain()
        ONE_BLAS_THREAD.leave(run)

    def _said(self, run: Run, k: int) -> BaseException:
        """The error of step k, as a plain run would raise it."""
        error, step = run.errors[k], run.schedule.plan.steps[k]
        if isinstance(error, _Died):
            return KernelError(f"{step.node.name} ({step.node.op.name}) did not finish: {error}.", node=step.node.name,
                               hint="The variables are as before the run; the next run starts a new thread.")
        if isinstance(error, FlowError) or not isinstance(error, Exception):
            return error
        made = self.explain(step, error, run.values)
        made.__cause__ = error
        return made


def fire_in_order(plan: Plan, values: dict[int, Any], rng: Any, explain: Explain, keep: Keep | None = None) -> list[Stamp]:
    """Fire a plan's steps one after the other into `values`; when each began and ended."""
    stamps, name = [], threading.current_thread().name
    begin = _clock()
    for step in plan.steps:
        start = _clock()
        try:
            outputs = step.fire(values, rng)
        except FlowError:
            raise
        except Exception as error:
            told = explain(step, error, values)
            values.clear()      # whoever keeps the error keeps this frame
            raise told from error
        end = _clock()
        stamps.append((name, start - begin, end - begin))
        for slot, value in zip(step.outs, outputs):
            values[slot] = value
        if keep is not None:
            keep(step.index, outputs)
        outputs = value = ()
        for slot in step.frees:
            del values[slot]
    return stamps
