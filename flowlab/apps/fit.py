"""fit: run a training node over data, with progress, history and checkpoints."""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, plural
from ..core.graph import Node, Tensor
from ..data import as_pipeline
from ..runtime.feeding import flatten
from ..runtime.session import Session
from .tape import Past, Tape


@dataclass
class History:
    """What a training run left: values of the fetches at every step, their means over each epoch, and the seconds it took."""

    names: list[str]
    steps: dict[str, list[float]] = field(default_factory=dict)
    epochs: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: bool = False
    epochs_done: int = 0    # whole ones
    steps_done: int = 0
    past: Past | None = None    # the run that gave the first NaN: `history.past.debug()` steps it

    def __repr__(self) -> str:
        last = ", ".join(f"{n} {self.epochs[n][-1]:.4g}" for n in self.names if self.epochs[n])
        done = f"{plural(self.epochs_done, 'epoch')}, {plural(self.steps_done, 'step')}"
        why = ", stopped at the first NaN (history.past.debug() steps that run)" if self.past is not None else ", stopped by hand" if self.stopped else ""
        return f"History of {done} in {self.seconds:.1f} s{': ' + last if last else ''}{why}"


def fit(sess: Session, train: Node | Tensor | str, data: Any, *, epochs: int = 1, fetches: Any = None, batch: int | None = None,
        checkpoint: str | os.PathLike | None = None, on_epoch: Callable[[int, dict[str, float]], Any] | None = None, progress: bool = True,
        stop_on_nan: bool = False, cluster: Any = None) -> History:
    """Run `train` once a batch, `epochs` times over `data`, and return the History.

    `data`: a `fl.data.Pipeline`, a dict of arrays (with `batch=`), a list of feed dicts, or what else a Pipeline takes. `fetches`: scalars to record, a Tensor, a name, or a
    list or dict of them. `checkpoint`: a safetensors file written whole after every epoch. `on_epoch(epoch, means)` returning True stops.
    `stop_on_nan` stops after the step in which a fetch is NaN or infinite, and keeps what that step began with as `history.past`.
    Interrupting the kernel stops after the step at hand: the variables are those of the last complete step.
    """
    if cluster is not None:
        raise AttributeValueError("training on a cluster is not here yet.", port="cluster", hint="Leave cluster out.")
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise AttributeValueError(f"epochs is {epochs!r}.", port="epochs", hint="Use a whole number.")
    pipeline = as_pipeline(data, batch)
    named = _named(fetches)
    history = History(list(named), {n: [] for n in named}, {n: [] for n in named})
    wanted = [train, *named.values()]
    if not _changes_something(sess, train):
        raise AttributeValueError(f"{_name(train)} changes no variable, so there is nothing to train.", port="train",
                                  hint="Give the node of the update: fl.optim.Adam(1e-3).minimize(loss, name=\"train\"). The loss goes to fetches.")
    if stop_on_nan and not named:
        raise AttributeValueError("stop_on_nan looks at the fetches, and there are none.", port="stop_on_nan", hint="fetches=loss")
    begin = time.perf_counter()
    batches: Any = None
    bar = _bar(_total(pipeline, epochs), progress)
    tape = Tape(sess, last=1) if stop_on_nan else None
    try:
        if tape is not None:
            tape.__enter__()
        for epoch in range(epochs):
            first = {n: len(v) for n, v in history.steps.items()}
            batches = iter(pipeline)
            for feeds in batches:
                _, *values = sess.run(wanted, feeds)
                history.steps_done += 1
                for name, value in zip(named, values):
                    history.steps[name].append(float(np.mean(value)))
                if tape is not None and not all(np.isfinite(v).all() for v in values):
                    history.past = tape[-1]
                    raise _FirstNan
                if bar is not None:
                    bar.update()
                    if named and bar.n % 10 == 0:
                        bar.set_postfix_str(f"epoch {epoch + 1}/{epochs}, " + ", ".join(f"{n} {v[-1]:.4g}" for n, v in history.steps.items()), refresh=False)
            means = {n: float(np.mean(v[first[n]:])) if len(v) > first[n] else float("nan") for n, v in history.steps.items()}
            for n, m in means.items():
                history.epochs[n].append(m)
            history.epochs_done += 1
            if checkpoint is not None:
                sess.save(checkpoint)
            if on_epoch is not None and on_epoch(epoch, means) is True:
                break
    except (KeyboardInterrupt, _FirstNan):
        history.stopped = True
    finally:
        if tape is not None:
            tape.__exit__()
        history.seconds = time.perf_counter() - begin
        if hasattr(batches, "close"):
            batches.close()     # a thread that prepares batches ends here, though an error on its way up still holds the loop
        if bar is not None:
            bar.close()
    return history


class _FirstNan(Exception):
    """Ends the loop over epochs and batches."""


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


def _total(data: Any, epochs: int) -> int | None:
    """How many steps there will be; None for a stream, whose length shows when it ends."""
    try:
        return epochs * len(data)
    except TypeError:
        return None


def _bar(total: int | None, progress: bool) -> Any:
    if not progress:
        return None
    from tqdm.auto import tqdm
    return tqdm(total=total, unit="step", mininterval=0.5, dynamic_ncols=True)
