"""The training view: the loss as it falls, what the weights do meanwhile, and the way from a point of the curve into the debugger."""
from __future__ import annotations

import tempfile
import threading
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..apps.history import History
from ..apps.training import Training
from ..core.errors import DebuggerError, FlowError
from . import protocol as P
from .attaching import Reporter, hear_while_a_cell_trains, steer, training_state
from .looking import Answering, page_of
from .sampling import BINS, SHARE, Group, Sampler

POINTS = 1500       # of a curve that a page draws; of more, the lowest and the highest of a stretch
MOST_SAVED = 2_000_000      # numbers of a history that are saved through the page
SLOWER = 0.5        # seconds between two messages of histograms


class Curve:
    """The numbers of one fetch, step by step; a list that grows is copied once."""

    def __init__(self) -> None:
        self.values, self.count = np.empty(1024, "float32"), 0

    def follow(self, line: Sequence[float]) -> None:
        n = len(line)
        if n < self.count:
            self.count = 0
        if n > len(self.values):
            self.values = np.concatenate([self.values[:self.count], np.empty(max(n, 2 * len(self.values)) - self.count, "float32")])
        self.values[self.count:n] = line[self.count:n]
        self.count = n

    def drawn(self, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest value of every `stride` steps; NaN where there is none."""
        known = self.values[:self.count]
        if stride == 1 or not self.count:
            return known.copy(), known.copy()
        rest = -self.count % stride
        rows = np.concatenate([known, np.full(rest, np.nan, "float32")]).reshape(-1, stride)
        return np.fmin.reduce(rows, axis=1), np.fmax.reduce(rows, axis=1)


class TrainingView(Answering):
    """See a training run: loss and metrics as they come, what is left of it, pause and stop; weights, gradients and activations over the steps; any point of the curve in the debugger.

    `source`: a `fl.Training` (from `fl.fit(..., background=True)` or `fl.train_loop`), a History, or an Editor that follows one; without it, give the view to the training:
    `fl.fit(..., view=view)`. The buttons answer within a step. In a cell that trains itself they need a kernel that answers while a cell runs, as JupyterLab 4.4 with ipykernel 7 does;
    elsewhere train with `background=True`, or interrupt the cell.

    `histograms`: the share of the training's time that looking inside may take, 0 for none. `boundary`: a tensor of scores to draw over the plane, where the input is two numbers;
    False for none, and without it the logits that the loss takes. `language`: what the screen speaks.

    >>> view = fl.TrainingView(); view                                             # doctest: +SKIP
    >>> history = fl.fit(sess, "train", data, epochs=20, fetches="loss", view=view)     # doctest: +SKIP
    >>> view.replay(step=120)           # opens that step in the lab below           # doctest: +SKIP
    """

    _esm, _script, _css = page_of("training")
    _unharmed = "The training goes on."

    def __init__(self, source: Any = None, *, histograms: float = SHARE, boundary: Any = None, title: str | None = None, language: str | None = None):
        super().__init__()
        if language is not None:
            self.language = language
        if isinstance(histograms, bool):
            histograms = SHARE if histograms else 0.0
        if not isinstance(histograms, (int, float)) or not 0 <= histograms <= 1:
            raise FlowError(f"histograms is {histograms!r}.", hint="The share of the time that they may take, from 0 to 1.")
        self.run: Training | None = None
        self.lab: Any = None        # the Editor that replays steps
        self._history: History | None = None
        self._share, self._boundary, self._title = float(histograms), boundary, title
        self._sampler: Sampler | None = None
        self._curves: dict[str, Curve] = {}
        self._page = False
        self._group: Group = "weights"
        self._reporter, self._slow = Reporter(), Reporter(SLOWER)
        self._opened: int | None = None
        self._wants_next = False
        self._leave: Any = None
        self._sending = threading.Lock()        # the training's thread and the page's question may come together
        self._box: Any = None
        hear_while_a_cell_trains(self, lambda: self.run)
        if source is not None:
            self.watch(source)
        self.on_msg(self._heard)

    def __repr__(self) -> str:
        return f"Training view of {self.run or self._history or 'nothing yet'}"

    @property
    def history(self) -> History | None:
        """What the training has come to so far."""
        return self.run.history if self.run is not None else self._history

    # ------------------------------------------------------------ what it shows

    def watch(self, source: Any) -> None:
        """Show this training (or history) from now on."""
        run = source if isinstance(source, (Training, History)) else getattr(source, "training", None)
        if not isinstance(run, (Training, History)):
            hint = "ed.attach(run) first." if hasattr(source, "training") else "run = fl.fit(..., background=True), or with fl.train_loop(sess) as run: …"
            raise FlowError(f"a training view shows a training or a history, not {type(source).__name__}.", hint=hint)
        if self._leave is not None:
            self._leave()
        self._leave, self._sampler, self._opened, self._wants_next = None, None, None, False
        self._curves = {}
        if isinstance(run, History):
            self.run, self._history = None, run
        else:
            self.run, self._history = run, None
            if self._share:
                self._sampler = Sampler(run, self._boundary, self._share)
            self._leave = run.listen(self._went_on)
            if self._sampler is not None and run.step and run.state in ("done", "stopped"):
                self._sampler.look()    # it is over: nobody else would
        self._show()

    def replay(self, step: int = -1) -> Any:
        """Open a step in the lab below this view, with its batch and the variables as they were; returns that Editor. DebuggerError names the steps that are kept."""
        run = self._running()
        run.past(step)      # says which are kept
        from ipywidgets import VBox

        from .editor import Editor
        if self.lab is None or self.lab.training is not run:
            self.lab = Editor(run.session.graph, language=self.language)
            self.lab.attach(run)
        self.lab.open_step(step)
        self._opened = self.lab._opened
        if self._box is None:
            self._box = VBox([self])
        self._box.children = (self, self.lab)
        self._say_state()
        return self.lab

    def _running(self) -> Training:
        if self.run is None:
            raise DebuggerError("this view shows no training that keeps steps.", hint="view.watch(run), with run = fl.fit(..., background=True).")
        return self.run

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The view, with room below for the lab that replays a step."""
        if self._box is None:
            from ipywidgets import VBox
            self._box = VBox([self])
        return self._box._repr_mimebundle_(**kwargs)

    # ------------------------------------------------------------ while it trains

    def _went_on(self, run: Training, what: str) -> None:
        """In the training's thread, after a step, an epoch or a change of state."""
        if run is not self.run:
            return
        sampler = self._sampler
        over = what == "state" and run.state in ("done", "stopped") and run.step
        if sampler is not None and (what == "step" and sampler.due() or over and sampler.steps["weights"][-1:] != [run.step - 1]):
            sampler.look()      # the last picture is that of the last step
        if not self._page or not self._reporter.due(what):
            return
        self._say_state()
        self._say_curves()
        if self._slow.due(what):
            self._say_inside()

    # ------------------------------------------------------------ talking with the page

    def _answer(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "hello"}:
                self._page = True
                self._show()
            case {"type": "train", "name": "debug_next"}:
                run = self._running()
                self._wants_next = True
                run.ask_next(content.get("wait") is not False)
                self._say_state()
            case {"type": "train", "name": "open", "step": int(step)}:
                run = self._running()
                self._wants_next = False
                self.replay(step if run.caught is not None and run.caught[0] == step or step in run.kept else run.nearest(step))
                if self._opened != step:
                    self._tell(P.Notice(level="status", text=f"Step {step} is not kept; step {self._opened} is the nearest that is."))
            case {"type": "train"}:
                self._wants_next = self._wants_next and content.get("name") == "stop_when"
                if not steer(self._running(), content):
                    raise DebuggerError(f"there is no training command {str(content.get('name'))[:40]!r}.", hint="Reload the page, or restart the kernel.")
                self._say_state()
            case {"type": "ask_histograms", "kind": "weights" | "gradients" | "activations" as group}:
                self._group = group
                self._say_inside()
            case {"type": "ask_history", "kind": "step" | "epoch" | "tensorboard" as kind}:
                self._tell(self._file(kind))
            case _:
                super()._answer(content)

    def _file(self, kind: str) -> P.HistoryFile:
        """The history as a file; FlowError where there is none, or one too large to pass through the page."""
        history = self.history
        if history is None or not history.steps_done:
            raise FlowError("there is no history to save yet.", hint="It is there from the first step on.")
        way = "view.history.to_tensorboard(folder)" if kind == "tensorboard" else f'view.history.to_csv(path, by="{kind}")'
        if history.steps_done * max(1, len(history.steps)) > MOST_SAVED:
            raise FlowError(f"the history has {history.steps_done:,} steps, too many to pass through the page.", hint=f"{way} writes it.")
        if kind == "tensorboard":
            with tempfile.TemporaryDirectory() as folder:
                path = Path(history.to_tensorboard(folder))
                name, data = path.name, path.read_bytes()
        else:
            name, data = f"{kind}s.csv", history.to_csv(by=kind).encode("utf-8")
        return P.HistoryFile(name=name, base64=b64encode(data).decode("ascii"), way=way)

    def _tell(self, message: Any, buffers: Sequence[np.ndarray] = ()) -> None:
        if self._page:
            super()._tell(message, buffers)

    def _show(self) -> None:
        self._say_state()
        self._say_curves()
        self._say_inside()

    def _say_state(self) -> None:
        run, history = self.run, self._history
        if run is not None:
            caught = run.caught[0] if self._wants_next and run.caught is not None and not run.asked else None
            state = training_state(run, opened=self._opened, caught=caught, waiting=self._wants_next and caught is None)
        elif history is not None:
            state = P.TrainingState(title="History", state="stopped" if history.stopped else "done", step=history.steps_done, total=history.steps_done, epoch=history.epochs_done,
                                    epochs=history.epochs_done, seconds=history.seconds, stopped=history.stopped, best=None if history.best is None else history.best[0])
        else:
            state = P.TrainingState(title="", state="", step=0)
        if self._title is not None:
            state = replace(state, title=self._title)
        self._tell(state)

    def _say_curves(self) -> None:
        with self._sending:
            self._send_curves()

    def _send_curves(self) -> None:
        history = self.history
        if history is None or not self._page:
            return
        steps = history.steps_done
        stride = max(1, -(-steps // POINTS))
        names, buffers = list(history.steps), []
        for name in names:
            curve = self._curves.setdefault(name, Curve())
            curve.follow(history.steps[name][:steps])
            buffers += curve.drawn(stride)
        ends = list(history.ends)
        checked = [n for n in history.validation if history.validation[n]]
        lines = [*(history.epochs.get(n, [])[:len(ends)] for n in names), *(history.validation[n][:len(ends)] for n in checked)]
        self._tell(P.Curves(names=names, steps=steps, stride=stride, ends=ends, checked=checked, bad=[_first_nan(self._curves[n]) for n in names]), [*buffers, *(np.array(v, "float32") for v in lines)])

    def _say_inside(self) -> None:
        sampler = self._sampler
        if sampler is None or not self._page:
            return
        group, lines = self._group, sampler.lines[self._group]
        steps = list(sampler.steps[group])
        n = len(steps)
        share = sampler.spent / self.run.seconds if self.run is not None and self.run.seconds else 0.0
        self._tell(P.Histograms(kind=group, names=[l.name for l in lines], steps=steps, bins=BINS, samples=sampler.looks, share=min(1.0, share), cost=sampler.cost, trouble=sampler.trouble),
                   [b for l in lines for b in (np.array(l.lo[:n]), np.array(l.hi[:n]), np.array(l.bad[:n]), np.concatenate(l.counts[:n]) if n else np.empty(0))])
        plane = sampler.plane
        if plane is not None:
            rows, cols, classes = plane.values.shape
            self._tell(P.Boundary(rows=rows, cols=cols, classes=classes, box=list(plane.box), points=len(plane.points), axes=list(plane.axes), step=sampler.plane_at),
                       [plane.values, plane.points, plane.labels])


def _first_nan(curve: Curve) -> int | None:
    bad = np.flatnonzero(~np.isfinite(curve.values[:curve.count]))
    return int(bad[0]) if bad.size else None

