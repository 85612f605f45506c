"""Attaching: the part of an Editor that follows a training, opens its steps, and has the next one wait."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ..apps.tape import Past
from ..apps.training import Training
from ..core.errors import DebuggerError, FlowError
from ..core.graph import Graph, Tensor
from ..io.document import document_of, same_graph
from ..runtime.feeding import flatten
from . import protocol as P, values as V

EVERY = 0.1     # seconds between two messages on how far a training has come


class Reporter:
    """Tells how far a training has come, seldom enough that the training does not wait for it."""

    def __init__(self, every: float = EVERY):
        self.every, self.last = every, 0.0

    def due(self, what: str) -> bool:
        """Is it time to tell? What changes the buttons is told at once."""
        now = time.monotonic()
        if what in ("step", "epoch") and now - self.last < self.every:
            return False
        self.last = now
        return True


def hear_while_a_cell_trains(widget: Any, training: Callable[[], Training | None]) -> None:
    """Have the page's messages handled while the cell trains itself, where the page has a thread of the kernel to send them to (a subshell: JupyterLab 4.4, ipykernel 7).

    From 7.4 on ipykernel sends what answers a cell's own message to the cell's queue instead, which waits for the end of the cell. A kernel that does not know of this is left as it is.
    """
    comm = getattr(widget, "comm", None)
    before = getattr(comm, "_reply_subshell_for", None)
    if before is None or getattr(before, "flowlab", False):
        return

    def route(data: Any, asked: Any) -> Any:
        run = training()
        return asked if run is not None and run.in_a_cell else before(data, asked)
    route.flowlab = True    # type: ignore[attr-defined]     # a mark on a function: it is put in place once
    comm._reply_subshell_for = route    # type: ignore[union-attr]     # there is a comm: it had this hook above


def training_state(run: Training, *, opened: int | None = None, caught: int | None = None, waiting: bool = False) -> P.TrainingState:
    """Where a training stands, as the page shows it."""
    history = run.history
    return P.TrainingState(
        title=run.title, state=run.state, step=run.step, total=run.total, epoch=history.epochs_done, epochs=run.epochs, seconds=run.seconds, left=run.left,
        values={k: V.num(v[-1]) for k, v in list(history.steps.items()) if v}, checked={k: V.num(v[-1]) for k, v in list(history.validation.items()) if v},
        kept=list(run.kept), opened=opened, caught=caught, waiting=waiting, stop_when=run.stops_when, stopped=history.stopped,
        error="" if run.error is None else getattr(run.error, "message", "") or f"{type(run.error).__name__}: {run.error}", queue=list(run.queue or ()),
        best=None if history.best is None else history.best[0])


def steer(run: Training, content: Mapping[str, Any]) -> bool:
    """Do what a button asks of a training; False if it is not the training's to do."""
    match content.get("name"):
        case "pause":
            run.pause()
        case "go_on":
            run.go_on()
        case "stop":
            run.stop()
        case "stop_when":
            run.stop_when(str(content.get("text") or "")[:500])
        case _:
            return False
    return True


def document_for(past: Past) -> Any:
    """The training's graph as a document, with the batch in it and what was fetched marked."""
    graph = past.session.graph
    return replace(document_of(graph), fetches=_fetched(past), feeds=_batch(past))


def _fetched(past: Past) -> tuple[str, ...]:
    wanted, _ = flatten(past.session.graph, past.fetches)
    return tuple(dict.fromkeys(f.node.name if isinstance(f, Tensor) else f.name for f in wanted))


def _batch(past: Past) -> Mapping[str, Any]:
    placeholders = {t.name for t in past.session.graph.placeholders}
    other = next((k for k in past.feeds if k not in placeholders), None)
    if other is not None:
        raise DebuggerError(f"this step feeds {other}, which is no placeholder: the lab cannot hold that.", hint="run.debug(step) steps it in Python.")
    return MappingProxyType({k.removesuffix(":0"): v for k, v in past.feeds.items()})


class Attaching:
    """What an Editor does with a training."""

    def _begin_attaching(self) -> None:
        self._run: Training | None = None
        self._leave: Any = None
        self._opened: int | None = None
        self._wants_next = False
        self._reporter = Reporter()

    # ------------------------------------------------------------ what a person asks for in Python

    @property
    def training(self) -> Training | None:
        """The training that this lab follows."""
        return self._run

    def attach(self, run: Training) -> None:
        """Follow a training: the lab shows how far it has come, pauses and stops it, opens any step that is kept (`open_step`), and has the next one wait.

        `run`: what `fl.fit(..., background=True)` gives, or `fl.train_loop`. The training keeps its own session: nothing that is done in the lab changes it.
        """
        if not isinstance(run, Training):
            raise FlowError(f"{type(run).__name__} is no training.", hint="run = fl.fit(..., background=True), or with fl.train_loop(sess) as run: …")
        self.detach()
        self._run, self._opened, self._wants_next = run, None, False
        self._leave = run.listen(self._training_went_on)
        hear_while_a_cell_trains(self, lambda: self._run)
        self._say_training()

    def detach(self) -> None:
        """Follow no training any more; it goes on by itself."""
        if self._leave is not None:
            self._leave()
        self._run = self._leave = None
        self._say(P.TrainingState(title="", state="", step=0))

    def open_step(self, step: int = -1) -> None:
        """Open a step of the attached training: its batch, the variables as they were, and all that fired, from its start on; the lab is then in the past.

        A step that has not run yet is opened at its start. Steps count from 0; −1 is the last. The lab runs in a session of its own: the training sees nothing of it.
        """
        run = self._attached()
        past = run.past(step)
        number = int(step) if step >= 0 else run.step + int(step)
        self._take_step(past, f"open step {number} of the training")
        self._opened = number

        def there(*_: Any) -> None:
            if self._debugger is not None and self._debugger.done:
                self._go(lambda d: d.seek(0), fresh=False)
            self._notice("status", f"Step {number} of the training: its batch, and the variables as they were.", "What happens here changes nothing there.")
            self._say_training()
        if number < run.step:
            self._pace(lambda dbg: dbg.going("resume"), there)
        else:
            self.start()
            there()

    def debug_next(self, *, wait: bool = True, timeout: float = 60.0) -> None:
        """Open the next step of the attached training when it is about to run; the training waits there, or with `wait=False` goes on."""
        run = self._attached()
        run.debug_next(wait=wait, timeout=timeout)
        assert run.caught is not None
        self.open_step(run.caught[0])

    def _attached(self) -> Training:
        if self._run is None:
            raise DebuggerError("no training is attached.", hint="ed.attach(run), with run = fl.fit(..., background=True).")
        return self._run

    # ------------------------------------------------------------ a step comes onto the canvas

    def _take_step(self, past: Past, label: str) -> None:
        """The step's graph, batch and variables; the canvas stays as it is where it holds that graph already."""
        document = document_for(past)
        fits = same_graph(self._document, document) and _same_ids(self._built.graph, past.session.graph)
        if fits:
            document = replace(self._document, fetches=document.fetches, feeds=document.feeds)
        self._session.seed = past.session.seed
        self._merge, live, self._live = "training step", self._live, False    # one step of undo, however many are looked at
        try:
            self._reset()
            self._commit(document, label)
        finally:
            self._merge, self._live = "", live
        values, number = past.since
        store = self._session.store
        store.commit({n.id: values[n.id] for n in store.variables() if n.id in values})
        store.runs = number
        self._reset()

    # ------------------------------------------------------------ the page

    def _training_went_on(self, run: Training, what: str) -> None:
        """In the training's thread: tell the page, and change nothing here."""
        if run is self._run and self._reporter.due(what):
            self._say_training()

    def _say_training(self) -> None:
        run = self._run
        if run is None or not self._page:
            return
        caught = run.caught[0] if self._wants_next and run.caught is not None and not run.asked else None
        self._say(training_state(run, opened=self._opened, caught=caught, waiting=self._wants_next and caught is None))

    def _train(self, content: Mapping[str, Any]) -> None:
        """A button of the training's bar."""
        run, step = self._attached(), content.get("step")
        match content.get("name"):
            case "debug_next":
                self._wants_next = True
                run.ask_next(content.get("wait") is not False)
            case "open" if isinstance(step, int) and not isinstance(step, bool):
                self._wants_next = False
                self.open_step(step)
            case "detach":
                self.detach()
                return
            case name if steer(run, content):
                self._wants_next = self._wants_next and name == "stop_when"
            case _:
                raise DebuggerError(f"there is no training command {str(content.get('name'))[:40]!r}.", hint="Reload the page, or restart the kernel.")
        self._say_training()


def _same_ids(a: Graph, b: Graph) -> bool:
    """Do nodes of one name draw the same random numbers?"""
    return all(n.name in a.nodes and a.nodes[n.name].id == n.id for n in b.nodes)
