"""fit: run a training node over data, with progress, history, validation, early stopping and checkpoints."""
from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from ..core.errors import AttributeValueError, DocumentError, FeedError, FetchError, FlowError
from ..core.graph import Node, Tensor
from ..data import as_pipeline
from ..runtime.feeding import flatten
from ..runtime.session import Session
from ..runtime.store import Snapshot
from .distributed import DataParallel, examples_in, run_over
from .history import History
from .training import NOT_FINITE, Ended, Training

__all__ = ["History", "fit"]

NOTE = "flowlab.fit"    # where a checkpoint tells how far the training had come


def fit(sess: Session, train: Node | Tensor | str, data: Any, *, epochs: int = 1, fetches: Any = None, batch: int | None = None, validation: Any = None,
        checkpoint: str | os.PathLike | None = None, best_checkpoint: str | os.PathLike | None = None, resume: bool | History = False,
        patience: int | None = None, min_delta: float = 0.0, monitor: str | None = None, mode: Literal["min", "max"] = "min", restore_best: bool = True,
        on_epoch: Callable[[int, dict[str, float]], Any] | None = None, on_step: Callable[[int, dict[str, float]], Any] | None = None, progress: bool | None = None,
        keep: int | None = None, stop_when: Any = None, stop_on_nan: bool = False, background: bool = False, view: Any = None, cluster: Any = None) -> Any:
    """Run `train` once a batch, `epochs` times over `data`, and return the History; with `background=True` the Training, which goes on in a thread.

    `data`: a `fl.data.Pipeline`, a dict of arrays (with `batch=`), a list of feed dicts, or what else a Pipeline takes. `fetches`: scalars to record, a Tensor, a name, or a
    list or dict of them. `validation`: data that is not trained on; the same fetches are taken over it after each epoch (`history.validation`).
    `on_step(step, values)` and `on_epoch(epoch, means)` returning True stop; the means hold "validation loss" and so on as well.

    Best and last: `monitor` (the first fetch, over the validation data where there is some) is better when it is lower (`mode="max"`: higher) by more than `min_delta`.
    `patience=n` stops after n epochs in a row without a better one, and with `restore_best` the variables are then those of the best. `checkpoint` is a safetensors
    file written whole after every epoch, `best_checkpoint` after every epoch that was the best so far. `resume=True` goes on from `checkpoint`, if it is there, as if it had never
    ended: weights, optimizer, draws and shuffle; `resume=history` goes on after that history, in the middle of an epoch too.

    `stop_when`: a condition as breakpoints have them, on every fetch ("nan or inf") or by name ({"loss": "mean > 10"}), or a function; it stops after the step at which it holds, and
    `history.past` is that step, ready to be stepped. `stop_on_nan` is short for "nan or inf". `keep`: how many of the last steps can be opened again, `run.debug(step)`,
    and as many of all before, within the memory that a trace may take (at most 256 MB); 20 in the background or with a view, else none.
    `cluster`: a client of a Dask cluster (`distributed.Client`). Every worker computes its part of each batch, the gradients are put together here and the update is made here, so the numbers are
    those of one process with the same batches, to float tolerance; with as many parts they are the same to the bit, whichever worker computed what. A worker that dies is done without, one
    that comes is used. The batch must be a named dimension; a loss that is neither a mean nor a sum over rows is refused:
    that is proven from the graph, or where it cannot be, as with operations of one's own, looked at in every batch, which is then computed here as well.
    `view`: a `fl.TrainingView()` that shows it, and can pause and stop it. Interrupting the kernel stops after the step at hand: the variables are those of the last complete step.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise AttributeValueError(f"epochs is {epochs!r}.", port="epochs", hint="Use a whole number.")
    if view is not None and not callable(getattr(view, "watch", None)):
        raise AttributeValueError(f"view is {type(view).__name__}, which shows no training.", port="view", hint="view=fl.TrainingView()")
    pipeline = as_pipeline(data, batch)
    checks = None if validation is None else as_pipeline(validation, batch if not isinstance(validation, Sequence) else None)
    for what, found in (("data", pipeline), ("validation", checks)):
        if _length(found) == 0:
            raise FeedError(f"the {what} is empty: there is no batch.", port=what, hint="An epoch needs one example at least; with drop_last, one whole batch.")
    named = _named(fetches)
    if not _changes_something(sess, train):
        raise AttributeValueError(f"{_name(train)} changes no variable, so there is nothing to train.", port="train",
                                  hint="Give the node of the update: fl.optim.Adam(1e-3).minimize(loss, name=\"train\"). The loss goes to fetches.")
    flatten(sess.graph, list(named.values()))       # an unknown one is told of before anything runs
    if stop_on_nan and stop_when is None:
        stop_when = NOT_FINITE
    if stop_when is not None and not named and not isinstance(stop_when, Mapping):
        raise AttributeValueError("stop_on_nan looks at the fetches, and there are none." if stop_on_nan else "stop_when looks at the fetches, and there are none.",
                                  port="stop_on_nan" if stop_on_nan else "stop_when", hint="fetches=loss")
    extra = _watched(sess, stop_when, named)
    best = _best(patience, min_delta, monitor, mode, named, checks is not None, best_checkpoint)
    if keep is None:
        keep = 20 if background or view is not None else 1 if stop_when is not None else 0
    shared = None if cluster is None else DataParallel(sess, cluster, train, [*named.values(), *extra.values()])
    run = Training(sess, keep=keep, stop_when=stop_when)
    run.hears_runs = bool(keep or background or view is not None)
    run.source, run.epochs = pipeline, epochs
    run.history = History(list(named), {n: [] for n in named}, {n: [] for n in named}, first_epoch=getattr(pipeline, "epoch", 0))
    skip = _resumed(run, resume, checkpoint, best)
    length = _length(pipeline)
    run.total = None if length is None else epochs * length
    loop = _Loop(run, train, pipeline, checks, named, extra, epochs, best if patience is not None or best_checkpoint is not None or best.named else None,
                 patience, restore_best, checkpoint, best_checkpoint, on_epoch, on_step, skip, progress if progress is not None else not background and view is None, shared)
    if view is not None:
        view.watch(run)
    if background:
        run.start(loop)
        return run
    return loop()


@dataclass
class _Best:
    """The best epoch so far, by one number."""

    name: str       # "loss" or "validation loss"
    mode: str
    min_delta: float
    named: bool     # did the caller name it?
    value: float = math.nan
    epoch: int = -1
    snapshot: Snapshot | None = None

    def better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        gain = self.value - value if self.mode == "min" else value - self.value
        return self.epoch < 0 or gain > self.min_delta


@dataclass
class _Loop:
    """The loop over epochs and batches."""

    run: Training
    train: Any
    pipeline: Any
    checks: Any
    named: dict[str, Any]
    extra: dict[str, Any]
    epochs: int
    best: _Best | None
    patience: int | None
    restore_best: bool
    checkpoint: str | os.PathLike | None
    best_checkpoint: str | os.PathLike | None
    on_epoch: Callable | None
    on_step: Callable | None
    skip: int
    progress: bool
    shared: DataParallel | None     # where the workers of a cluster compute
    batches: Any = None     # the loop over the data at hand

    def __call__(self) -> History:
        run, history = self.run, self.run.history
        bar = _bar(run, self.progress)
        try:
            with run:
                while history.epochs_done < self.epochs:
                    self.epoch(bar)
        except KeyboardInterrupt:
            if not history.stopped:
                history.stopped = "interrupted"
        finally:
            if hasattr(self.batches, "close"):
                self.batches.close()    # a thread that prepares batches ends here, though an error on its way up still holds the loop
            if bar is not None:
                bar.close()
            if self.shared is not None:
                self.shared.close()
        return history

    def epoch(self, bar: Any) -> None:
        run, history, sess = self.run, self.run.history, self.run.session
        wanted, keys = [self.train, *self.named.values(), *self.extra.values()], list(self.named)
        begun, self.batches = history.steps_done, iter(self.pipeline)
        for feeds in islice(self.batches, self.skip, None):
            run.gate()
            _, *values = sess.run(wanted, feeds) if self.shared is None else self.shared.step(feeds)
            seen = dict(zip(keys, values))
            run.record(seen, dict(zip(self.extra, values[len(keys):])) if self.extra else None)
            if bar is not None:
                bar.update()
                if seen and bar.n % 10 == 0:
                    bar.set_postfix_str(f"epoch {history.epochs_done + 1}/{self.epochs}, " + ", ".join(f"{n} {history.steps[n][-1]:.4g}" for n in keys), refresh=False)
            if self.on_step is not None and self.on_step(history.steps_done - 1, {n: history.steps[n][-1] for n in keys}) is True:
                raise Ended("callback")
        if history.steps_done == begun and not self.skip:
            raise FeedError("the data gave no batch in this epoch.", port="data", hint="A generator gives its examples only once: pass the function that makes it.")
        self.skip = 0
        validation = self.validate() if self.checks is not None else {}
        means = run.end_epoch(validation)
        means.update({f"validation {n}": v for n, v in validation.items()})
        _warn_of_nan(means, run)
        done = history.epochs_done - 1
        if self.best is not None and self.best.better(means.get(self.best.name, math.nan)):
            self.best.value, self.best.epoch, self.best.snapshot = means[self.best.name], done, sess.store.snapshot()
            history.best = (done, self.best.value)
            if self.best_checkpoint is not None:
                sess.save(self.best_checkpoint)
        if self.checkpoint is not None:
            sess.save(self.checkpoint, notes={NOTE: json.dumps({"runs": sess.store.runs, "history": history.to_dict()})})
        if self.on_epoch is not None and self.on_epoch(done, means) is True:
            raise Ended("callback")
        if self.patience is not None and self.best is not None and done - self.best.epoch >= self.patience:
            if self.restore_best and self.best.snapshot is not None:
                trained = {n.id for n in sess.store.variables()}
                sess.store.commit({k: v for k, v in self.best.snapshot.items() if k in trained})
            raise Ended("early")

    def validate(self) -> dict[str, float]:
        """The fetches over the data that is not trained on: means over its examples."""
        sums, count = dict.fromkeys(self.named, 0.0), 0
        self.run.quiet = True
        try:
            for values, feeds in run_over(self.run.session, list(self.named.values()), self.checks, self.shared and self.shared.workers):
                rows = examples_in(self.run.session.graph, feeds)
                for name, value in zip(self.named, values):
                    sums[name] += float(np.mean(value)) * rows
                count += rows
        finally:
            self.run.quiet = False
        return {n: v / count if count else math.nan for n, v in sums.items()}


def _warn_of_nan(means: Mapping[str, float], run: Training) -> None:
    """Once: a training that has no numbers left learns nothing more."""
    bad = next((n for n, v in means.items() if math.isnan(v)), None)
    if bad is not None and not run.warned_of_nan:
        run.warned_of_nan = True
        first = next((k for k, v in enumerate(run.history.steps.get(bad, ())) if math.isnan(v)), None)
        where = "" if first is None else f" since step {first}"
        warnings.warn(f"{bad} is NaN{where}, and training goes on. stop_when=\"nan or inf\" stops there, and history.past.debug() then steps that run.", stacklevel=4)


def _best(patience: Any, min_delta: Any, monitor: str | None, mode: str, named: Mapping[str, Any], checked: bool, path: Any) -> _Best:
    if patience is not None and (isinstance(patience, bool) or not isinstance(patience, (int, np.integer)) or patience < 1):
        raise AttributeValueError(f"patience is {patience!r}.", port="patience", hint="A whole number of epochs from 1 on.")
    if isinstance(min_delta, bool) or not isinstance(min_delta, (int, float)) or not 0 <= min_delta < math.inf:
        raise AttributeValueError(f"min_delta is {min_delta!r}.", port="min_delta", hint="A number from 0 on.")
    if mode not in ("min", "max"):
        raise AttributeValueError(f"mode is {mode!r}.", port="mode", hint='"min" if lower is better, "max" if higher is.')
    if not named and (patience is not None or path is not None or monitor is not None):
        raise AttributeValueError("the best epoch is told by a fetch, and there are none.", port="monitor", hint="fetches=loss")
    known = [*([f"validation {n}" for n in named] if checked else []), *named]
    if monitor is not None and monitor not in known:
        raise AttributeValueError(f"there is no {monitor!r} to tell the best epoch by.", port="monitor", hint=f"There are {', '.join(known)}.")
    return _Best(monitor or (known[0] if known else ""), mode, float(min_delta), monitor is not None)


def _watched(sess: Session, when: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    """What a condition looks at beside the fetches."""
    extra = {}
    for key in when if isinstance(when, Mapping) else ():
        name = _name(key)
        if name not in named:
            try:
                flatten(sess.graph, key)
            except FlowError:
                raise FetchError(f"stop_when names {name}, which is neither a fetch nor a tensor of {sess.graph.name!r}.", hint=f"The fetches are {', '.join(named) or 'none'}.") from None
            extra[name] = key
    return extra


def _resumed(run: Training, resume: bool | History, path: Any, best: _Best) -> int:
    """Take up what was trained before; how many batches of the epoch at hand are done."""
    if isinstance(resume, History):
        before = resume
    elif not resume:
        return 0
    elif path is None:
        raise AttributeValueError("there is nothing to resume from.", port="resume", hint="Give the checkpoint, or resume=history.")
    elif not os.path.exists(path):
        return 0        # the first time
    else:
        note = run.session.notes(path).get(NOTE)
        try:
            said = json.loads(note or "")
            before, runs = History.from_dict(said["history"]), int(said["runs"])
        except (ValueError, TypeError, KeyError, AttributeValueError):
            raise DocumentError(f"{os.fspath(path)!r} does not tell how far a training had come.", hint="fl.fit(checkpoint=...) writes one that does; sess.restore reads the weights alone.") from None
        run.session.restore(path)
        run.session.store.runs = runs
    names = list(run.history.steps)
    if list(before.steps) != names:
        raise AttributeValueError(f"that training recorded {', '.join(before.steps) or 'nothing'}, this one {', '.join(names) or 'nothing'}.", port="resume", hint="Give the same fetches.")
    copy = History.from_dict(before.to_dict())
    copy.stopped = ""
    skip = copy.steps_done - (copy.ends[-1] if copy.ends else 0)
    if hasattr(run.source, "epoch"):
        run.source.epoch = copy.first_epoch + copy.epochs_done
    run.history = copy
    if copy.best is not None:
        best.epoch, best.value = copy.best
    return skip


def _changes_something(sess: Session, train: Any) -> bool:
    """Does this node, or one that it waits for, assign a variable?"""
    wanted, _ = flatten(sess.graph, train)
    stack, seen = [f.node if isinstance(f, Tensor) else f for f in wanted], set()
    while stack:
        node = stack.pop()
        if node.op.name == "Assign":
            return True
        if node.id not in seen:
            seen.add(node.id)
            stack += [*(t.node for t in node.inputs), *node.control_inputs]
    return False


def _named(fetches: Any) -> dict[str, Any]:
    if fetches is None:
        return {}
    if isinstance(fetches, Mapping):
        return dict(fetches)
    if isinstance(fetches, Sequence) and not isinstance(fetches, str):
        return {_name(f): f for f in fetches}
    return {_name(fetches): fetches}


def _name(fetch: Any) -> str:
    return str(getattr(fetch, "name", fetch)).removesuffix(":0")


def _length(data: Any) -> int | None:
    """Batches an epoch; None for a stream, whose length shows when it ends."""
    try:
        return None if data is None else len(data)
    except TypeError:
        return None


def _bar(run: Training, progress: bool) -> Any:
    if not progress:
        return None
    from tqdm.auto import tqdm
    return tqdm(total=run.total, initial=run.step, unit="step", mininterval=0.5, dynamic_ncols=True)
