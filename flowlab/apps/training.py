"""A training while it runs: paused, let go on and stopped from elsewhere, its last steps kept to be stepped, and told to whoever watches."""
from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np

from ..core.errors import AttributeValueError, DebuggerError, FlowError
from ..data import as_pipeline
from ..debugger import Debugger
from ..runtime.memory import trace_budget
from ..runtime.session import Session
from ..trace.conditions import Condition, condition
from .history import History
from .tape import Past

State = Literal["ready", "running", "paused", "done", "stopped", "failed"]
NOT_FINITE = "nan or inf"
MANY_RUNS = 16      # of one step, that are looked at for the one that trains


class Ended(BaseException):
    """Leaves the loop of a training that somebody has stopped. Nothing a loop should catch: its `with` or `fl.fit` does."""

    def __init__(self, why: str):
        super().__init__(why)
        self.why = why


class Kept:
    """Steps that can be opened again: the last `last`, and as many spread over all that went before, within a budget of memory."""

    def __init__(self, last: int, budget: int | None = None):
        self.last, self.budget = last, budget
        self._recent: list[tuple[int, Past, int]] = []
        self._marks: list[tuple[int, Past, int]] = []
        self._stride = 1
        self._bytes = 0
        self._before: Mapping[int, np.ndarray] = {}

    def add(self, step: int, past: Past) -> None:
        if not self.last:
            return
        values = past.since[0]
        # what the step before had already is held once
        own = sum(v.nbytes for k, v in values.items() if self._before.get(k) is not v) + sum(v.nbytes for v in past.feeds.values())
        self._before = values
        self._recent.append((step, past, own))
        self._bytes += own
        if len(self._recent) > self.last:
            self._mark(self._recent.pop(0))
        budget = trace_budget() if self.budget is None else self.budget
        while self._bytes > budget and len(self._marks) + len(self._recent) > 1:
            self._bytes -= (self._marks.pop(len(self._marks) // 2) if self._marks else self._recent.pop(0))[2]

    def _mark(self, old: tuple[int, Past, int]) -> None:
        if old[0] % self._stride == 0:
            self._marks.append(old)
        else:
            self._bytes -= old[2]
        if len(self._marks) > self.last:
            self._stride *= 2
            self._bytes -= sum(m[2] for m in self._marks if m[0] % self._stride)
            self._marks = [m for m in self._marks if m[0] % self._stride == 0]

    def __iter__(self) -> Iterator[tuple[int, Past]]:
        return iter([(step, past) for step, past, _ in (*self._marks, *self._recent)])

    @property
    def nbytes(self) -> int:
        """Bytes that are held for it and that the session itself would not hold."""
        return self._bytes


class Training:
    """A training run and the handles on it: made by `fl.fit(..., background=True)`, or by `fl.train_loop` around a loop of one's own.

    `state`: "ready", "running", "paused", "done", "stopped" or "failed". Steps count from 0, as `history.steps` does. Every method may be called from any
    thread and answers at once; the training heeds it before its next step. A `fl.TrainingView(run)` shows it, `ed.attach(run)` brings it into the lab.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     w = fl.variable(1.0, name="w")
    ...     loss = fl.square(w, name="loss")
    ...     step = fl.optim.SGD(0.1).minimize(loss, name="train")
    >>> sess = fl.Session(g)
    >>> with fl.train_loop(sess, keep=3) as run:
    ...     for feeds in run.batches([{}] * 5, epochs=2):
    ...         value, _ = sess.run([loss, step], feeds)
    ...         run.log(loss=value)
    >>> run.history.steps_done, run.history.epochs_done, run.state
    (10, 2, 'done')
    >>> run.kept, round(float(run.debug(step=-1).value("w:0")), 6)      # w as it was before the last step: 0.8 ** 9
    ((0, 4, 7, 8, 9), 0.134218)
    """

    def __init__(self, session: Session, *, total: int | None = None, keep: int = 20, stop_when: Any = None, title: str = ""):
        if not isinstance(session, Session):
            raise FlowError(f"{type(session).__name__} is no session.", hint="sess = fl.Session(g)")
        if isinstance(keep, bool) or not isinstance(keep, (int, np.integer)) or keep < 0:
            raise AttributeValueError(f"keep is {keep!r}.", port="keep", hint="A whole number of steps, 0 for none.")
        self.session, self.title = session, title or session.graph.name
        self.total: int | None = total      # steps, where that is known
        self.epochs: int | None = None      # epochs in all
        self.history = History([])
        self.error: BaseException | None = None     # what a training in the background ended with
        self.source: Any = None     # the pipeline that it reads
        self.caught: tuple[int, Past] | None = None     # the step that somebody asked to see before it ran
        self._kept = Kept(int(keep))
        self._conditions = _conditions(stop_when)
        self._before: dict[str, Any] = {}   # the values of the step before, for a condition that looks back
        self._state: State = "ready"
        self._changed = threading.Condition()
        self._pausing = self._stopping = False
        self._asked: bool | None = None     # somebody waits for the next step; does the training wait then too?
        self._runs: list[Past] = []         # of the step at hand
        self.quiet = False                  # while True, runs are no step: validation
        self.warned_of_nan = False          # it is said once
        self.hears_runs = True              # False: nobody can ask for a step, so that no run need be noted
        self._listeners: list[Callable[[Training, str], Any]] = []
        self._thread: threading.Thread | None = None
        self._ident: int | None = None
        self._outer: Any = None
        self._since = self._idle = 0.0

    def __repr__(self) -> str:
        of = f" of {self.total:,}" if self.total else ""
        last = ", ".join(f"{k} {v[-1]:.4g}" for k, v in self.history.steps.items() if v)
        return f"Training of {self.title!r}, {self._state}: step {self.step:,}{of}{', ' + last if last else ''}"

    # ------------------------------------------------------------ where it stands

    @property
    def state(self) -> State:
        return self._state

    @property
    def step(self) -> int:
        """Steps done."""
        return self.history.steps_done

    @property
    def seconds(self) -> float:
        """Seconds of training so far, pauses left out."""
        if self._state in ("running", "paused"):
            return max(0.0, time.perf_counter() - self._since - self._idle) if self._state == "running" else self.history.seconds
        return self.history.seconds

    @property
    def left(self) -> float | None:
        """Seconds that it will still take, going by those so far; None while that is not known."""
        if not self.total or not self.step or self._state in ("done", "stopped", "failed"):
            return None
        times = self.history.times[-200:]
        each = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 20 else self.seconds / self.step
        return max(0.0, each * (self.total - self.step))

    @property
    def kept(self) -> tuple[int, ...]:
        """The steps that `debug` can open."""
        with self._changed:
            steps = {step for step, _ in self._kept}
            if self.caught is not None:
                steps.add(self.caught[0])
        return tuple(sorted(steps))

    @property
    def in_a_cell(self) -> bool:
        """Does it train right now in the thread that started it, rather than in one of its own?"""
        return self._state in ("running", "paused") and self._thread is None

    @property
    def asked(self) -> bool:
        """Does somebody wait for the next step?"""
        return self._asked is not None

    @property
    def queue(self) -> tuple[int, int] | None:
        """Batches that the data has ready, and how many it may have; None without `Pipeline.prefetch`."""
        capacity = getattr(self.source, "capacity", 0)
        return (self.source.fill, capacity) if capacity else None

    # ------------------------------------------------------------ the handles

    def pause(self) -> None:
        """Wait before the next step, until `go_on` or `stop`."""
        with self._changed:
            if self._state in ("ready", "running"):
                self._pausing = True

    def go_on(self) -> None:
        """End a pause."""
        with self._changed:
            self._pausing, self._asked = False, None
            self._changed.notify_all()

    def stop(self) -> None:
        """End it before the next step: the variables are those of the last complete step."""
        with self._changed:
            self._stopping, self._asked = True, None
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> History:
        """Wait for a training in the background, and return its history; what it ended with is raised here. Interrupting ends the waiting alone."""
        if self._thread is not None:
            self._thread.join(timeout)
            if not self._thread.is_alive() and self.error is not None:
                raise self.error
        return self.history

    # ------------------------------------------------------------ going back

    def past(self, step: int = -1) -> Past:
        """What a step began with; −1 is the last that was done. DebuggerError names those that are kept."""
        if isinstance(step, bool) or not isinstance(step, (int, np.integer)):
            raise DebuggerError(f"{step!r} is no step.", hint="Steps count from 0; −1 is the last.")
        wanted = int(step) if step >= 0 else self.step + int(step)
        with self._changed:
            found = dict(self._kept)
            if self.caught is not None:
                found[self.caught[0]] = self.caught[1]
        if wanted in found:
            return found[wanted]
        if not found:
            raise DebuggerError("this training keeps no step.", hint="fl.fit(..., keep=20) keeps the last 20.")
        steps = sorted(found)
        raise DebuggerError(f"step {wanted} is not kept." if wanted < self.step else f"step {wanted} has not been done yet.", hint=f"Kept are {_ranges(steps)}.")

    def debug(self, step: int = -1) -> Debugger:
        """A Debugger at the start of a step that is kept, with its batch and the variables as they were. It looks; it commits nothing."""
        return self.past(step).debug()

    def nearest(self, step: int) -> int:
        """The kept step that is nearest to this one."""
        steps = self.kept
        if not steps:
            raise DebuggerError("this training keeps no step.", hint="fl.fit(..., keep=20) keeps the last 20.")
        return min(steps, key=lambda k: (abs(k - step), k))

    def debug_next(self, *, wait: bool = True, timeout: float = 60.0) -> Debugger:
        """Wait until the next step is about to run, and return a Debugger at its start; the training waits there for `go_on`, or with `wait=False` goes on."""
        if threading.get_ident() == self._ident:
            raise DebuggerError("the loop that trains cannot wait for its own next step.", hint="Ask from another cell, or use run.debug(step=-1) in the loop.")
        before = self.caught
        self.ask_next(wait)
        until = time.monotonic() + timeout
        with self._changed:
            while self.caught is before:
                if self._state not in ("ready", "running", "paused") or not self._changed.wait(max(0.0, min(0.2, until - time.monotonic()))) and time.monotonic() > until:
                    self._asked = None
                    raise DebuggerError("no step has begun.", hint="The training is over, or its steps take longer: timeout=300 waits longer.")
            assert self.caught is not None
            return self.caught[1].debug()

    def ask_next(self, wait: bool = True) -> None:
        """Have the next step kept as `caught` when it is about to run; with `wait` the training waits there. FlowError once it is over."""
        with self._changed:
            if self._state in ("done", "stopped", "failed"):
                raise DebuggerError("this training is over: there is no next step.", hint="Open one of the steps that are kept.")
            self._asked, self._pausing = bool(wait), False
            self._changed.notify_all()

    def stop_when(self, when: Any) -> None:
        """Another condition to stop at, from the next step on; None for none. As `fl.fit(stop_when=...)` takes it."""
        found = _conditions(when)
        missing = [k for k, _, _ in found if k is not None and k not in self.history.names]
        if missing and self.history.names:
            raise AttributeValueError(f"{missing[0]} is not recorded.", port="stop_when", hint=f"Recorded are {', '.join(self.history.names)}.")
        self._conditions = found

    @property
    def stops_when(self) -> str:
        """The condition to stop at, in words."""
        return "; ".join((f"{k}: " if k is not None else "") + (c.text if isinstance(c, Condition) else "a function") for k, c, _ in self._conditions)

    # ------------------------------------------------------------ watching

    def listen(self, heard: Callable[[Training, str], Any]) -> Callable[[], None]:
        """Call `heard(run, what)` in the training's own thread after every step ("step") and epoch ("epoch"), when the state changes ("state") and when a step was
        caught ("caught"). Returns the way to stop listening. What it raises ends the listening, not the training."""
        self._listeners = [*self._listeners, heard]

        def leave() -> None:
            self._listeners = [h for h in self._listeners if h is not heard]
        return leave

    def _tell(self, what: str) -> None:
        for heard in self._listeners:
            try:
                heard(self, what)
            except Exception as error:      # a person's own function: a training does not end because of it
                self._listeners = [h for h in self._listeners if h is not heard]
                warnings.warn(f"what watched the training failed and watches no more: {type(error).__name__}: {error}", stacklevel=2)

    # ------------------------------------------------------------ a loop of one's own

    def __enter__(self) -> Training:
        if self._state in ("running", "paused"):
            raise FlowError("this training runs already.", hint="fl.train_loop(sess) makes another.")
        other = getattr(self.session.tape, "__self__", None)
        if isinstance(other, Training) and other.state in ("running", "paused") and other._ident != threading.get_ident():
            raise FlowError("this session is being trained in the background already.", hint="run.stop() ends that, or use a session of its own.")
        self._ident, self._since, self._idle = threading.get_ident(), time.perf_counter() - self.history.seconds, 0.0
        if self.hears_runs:
            self._outer = self.session.tape     # one that was there goes on hearing of every run
            self.session.tape = self._note
        self._state = "running"
        self._tell("state")
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if self.session.tape == self._note:
            self.session.tape = self._outer
        self.history.seconds = self.seconds
        if isinstance(error, KeyboardInterrupt):
            self.history.stopped = "interrupted"
        elif isinstance(error, Ended):
            self.history.stopped = error.why
        elif error is not None:
            self.history.stopped = "error"
        with self._changed:
            self._state = "failed" if self.history.stopped == "error" else "stopped" if self.history.stopped else "done"
            self._pausing = self._stopping = False
            self._asked = None
            self._changed.notify_all()
        self._tell("state")
        return isinstance(error, Ended)

    def batches(self, data: Any, epochs: int = 1, batch: int | None = None) -> Iterator[Any]:
        """The batches of a loop of one's own, epoch by epoch: each waits while the training is paused, and they end once it is stopped."""
        pipeline = as_pipeline(data, batch)
        self.source, self.epochs = pipeline, epochs
        try:
            self.total = self.total or epochs * len(pipeline)
        except TypeError:
            pass        # a stream tells when it ends
        for _ in range(epochs):
            loop = iter(pipeline)
            try:
                for feeds in loop:
                    self.gate()
                    yield feeds
            finally:
                if hasattr(loop, "close"):
                    loop.close()
            self.end_epoch()

    def gate(self) -> None:
        """Wait here while paused; Ended once stopped."""
        if self._pausing or self._stopping:
            self._hold()

    def _hold(self) -> None:
        began = time.perf_counter()
        self.history.seconds = self.seconds
        with self._changed:
            if self._pausing and not self._stopping:
                self._state = "paused"
        if self._state == "paused":
            self._tell("state")
            with self._changed:
                while self._pausing and not self._stopping:
                    self._changed.wait(1.0)     # an interrupt gets through on every system
                self._state = "running"
            self._idle += time.perf_counter() - began
            self._tell("state")
        if self._stopping:
            raise Ended("by hand")

    def log(self, **values: Any) -> None:
        """The numbers of the step that has just been done: one call a step. A value is anything NumPy takes; of an array the mean is recorded."""
        self.record(values)

    def record(self, values: Mapping[str, Any], also: Mapping[str, Any] | None = None) -> None:
        """As `log`; `also` are values that conditions look at and nobody records."""
        history, step = self.history, self.history.steps_done
        for name, value in values.items():
            line = history.steps.get(name)
            if line is None:
                line = history.steps[name] = [float("nan")] * step     # one that begins later
                history.names.append(name)
                history.epochs.setdefault(name, [float("nan")] * history.epochs_done)
            line.append(float(np.mean(value)))
        history.times.append(time.perf_counter() - self._since - self._idle)
        history.steps_done = step + 1
        for line in history.steps.values():
            if len(line) <= step:
                line.append(float("nan"))
        self._keep(step)
        if self._conditions:
            self._check(values if not also else {**values, **also}, step)
        if self._listeners:
            self._tell("step")

    def end_epoch(self, validation: Mapping[str, float] | None = None) -> dict[str, float]:
        """An epoch is over: its means, with those of `validation` under theirs."""
        history = self.history
        first = history.ends[-1] if history.ends else 0
        means = {}
        for name, line in history.steps.items():
            means[name] = float(np.mean(line[first:])) if len(line) > first else float("nan")
            history.epochs.setdefault(name, []).append(means[name])
        for name, value in (validation or {}).items():
            history.validation.setdefault(name, []).append(float(value))
        history.ends.append(history.steps_done)
        history.epochs_done += 1
        self._tell("epoch")
        return means

    # ------------------------------------------------------------ the runs of a step

    def _note(self, fetches: Any, feeds: Mapping[str, np.ndarray]) -> None:
        """A run of the session begins."""
        if self._outer is not None:
            self._outer(fetches, feeds)
        asked = self._asked
        if self.quiet or threading.get_ident() != self._ident or not self._kept.last and asked is None:
            return
        past = Past(self.session, fetches, {k: np.array(v) for k, v in feeds.items()}, self.session.moment())
        if len(self._runs) < MANY_RUNS:
            self._runs.append(past)
        if asked is not None:
            with self._changed:
                self._asked, self.caught, self._pausing = None, (self.step, past), asked
                self._changed.notify_all()
            self._tell("caught")
            self.gate()

    def _keep(self, step: int) -> None:
        """Keep the run of this step that changed variables; the last, if several or none did."""
        runs, self._runs = self._runs, []
        if not runs:
            return
        ends = [*(r.since[0] for r in runs[1:]), self.session.store.values]
        trains = [r for r, after in zip(runs, ends) if after is not r.since[0]]
        with self._changed:
            self._kept.add(step, (trains or runs)[-1])

    def _check(self, values: Mapping[str, Any], step: int) -> None:
        """Stop if one of the conditions holds."""
        for target, when, looks_back in self._conditions:
            for name, value in values.items():
                if target is not None and target != name:
                    continue
                try:
                    holds = when(value, self._before.get(name)) if isinstance(when, Condition) else bool(when(np.array(value)))
                except Exception as error:      # a person's own function
                    raise AttributeValueError(f"stop_when failed: {type(error).__name__}: {error}", port="stop_when", hint="It is a function of a value that says whether to stop.") from error
                if looks_back:
                    self._before[name] = np.array(value)
                if holds:
                    self.history.past = next((p for k, p in reversed(list(self._kept)) if k == step), None)
                    raise Ended("nan" if isinstance(when, Condition) and when.text == NOT_FINITE else "condition")

    # ------------------------------------------------------------ in the background

    def start(self, loop: Callable[[], Any]) -> None:
        """Run a loop in a thread of its own; `wait` waits for it."""
        def go() -> None:
            try:
                loop()
            except BaseException as error:  # raised again by wait
                self.error = error
                if self._state in ("ready", "running", "paused"):
                    self._state = "failed"
                self._tell("state")
                print(f"The training has ended: {type(error).__name__}: {error}", file=sys.stderr)
        self._thread = threading.Thread(target=go, name="flowlab training", daemon=True)
        self._thread.start()


def train_loop(session: Session, *, total: int | None = None, keep: int = 20, stop_when: Any = None) -> Training:
    """A training whose loop you write: `with fl.train_loop(sess) as run:`, `for feeds in run.batches(data, epochs=…)`, `run.log(loss=…)` at the end of each step.

    It can be paused, stopped, watched and stepped as `fl.fit` can. `total`: steps in all, where `batches` does not know. `keep`: the last steps that are kept
    to be opened in the debugger, and as many spread over those before. `stop_when`: see `fl.fit`.
    """
    return Training(session, total=total, keep=keep, stop_when=stop_when)


def _conditions(when: Any) -> list[tuple[str | None, Any, bool]]:
    """(name or None for all, condition or function, does it look back) from what `stop_when` takes."""
    if when is None or isinstance(when, str) and not when.strip():
        return []
    if isinstance(when, Mapping):
        return [(_plain(k), *c[1:]) for k, v in when.items() for c in _conditions(v)]
    if isinstance(when, str):
        text = NOT_FINITE if when.strip().lower() == "nan" else when.strip()     # who asks for NaN is not served by an infinity
        found = condition(text)
        return [(None, found, found.looks_back)]
    if callable(when):
        return [(None, when, False)]
    raise AttributeValueError(f"stop_when is {when!r}.", port="stop_when", hint='Use a condition such as "nan or inf", {"loss": "mean > 10"}, or a function of a value.')


def _plain(fetch: Any) -> str:
    return str(getattr(fetch, "name", fetch)).removesuffix(":0")


def _ranges(steps: list[int]) -> str:
    """1, 4, 8 to 12."""
    out: list[list[int]] = []
    for k in steps:
        if out and k == out[-1][1] + 1:
            out[-1][1] = k
        else:
            out.append([k, k])
    said = [str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a} to {b}" for a, b in out]
    return ", ".join(said[:2] + (["…"] if len(said) > 6 else said[2:4]) + said[max(4, len(said) - 2):] if len(said) > 4 else said)
