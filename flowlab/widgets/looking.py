"""What every view that looks into a run has: where its numbers come from, what it refuses, and how large values are said."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import FlowError
from ..core.graph import Graph, Tensor
from ..runtime.feeding import flatten
from ..trace.trace import record
from .values import num

STATIC = Path(__file__).parent / "static"
MISSING = "export default { render({ el }) { el.textContent = 'The page of flowlab is not built: run node widgets/build.mjs, or pip install flowlab.'; } };"


@dataclass(frozen=True, slots=True)
class Reader:
    """A run that can be looked into, whatever recorded it."""

    graph: Graph
    read: Callable[[Tensor], np.ndarray]
    rerun: Callable[[Mapping[Tensor, np.ndarray]], Reader] | None    # None: what follows a changed value cannot be computed again
    fetched: tuple[Tensor, ...] = ()
    way: str = "Fetch something that needs it."                      # to a value that is not there
    compute: Callable[[Mapping[Tensor, np.ndarray], Sequence[Tensor]], list[np.ndarray]] | None = None     # some tensors alone, with some values changed
    compute_alone: Callable[[Mapping[Tensor, np.ndarray], Sequence[Tensor]], list[np.ndarray]] | None = None     # some tensors from these feeds only, variables as in the run

    def value(self, tensor: Tensor) -> np.ndarray | None:
        """The tensor's value, None if this run has none."""
        try:
            return np.asarray(self.read(tensor))
        except KeyError:
            return None

    def over(self, values: Mapping[Tensor, np.ndarray]) -> Reader:
        """The same run with some values changed: from there on computed again, where the source can do that."""
        after = self.rerun(values) if self.rerun is not None else self

        def read(tensor: Tensor) -> np.ndarray:
            if tensor in values:
                return values[tensor]
            try:
                return after.read(tensor)
            except KeyError:
                # only needed for what is held now, so not computed again: as it was
                return self.read(tensor)

        return Reader(self.graph, read, None, self.fetched)


def reader(source: Any, view: str = "an LSTM view", made: str = "LSTMView") -> Reader:
    """A trace, a session's last trace, a debugger where it stands, or an editor's debugger; FlowError for anything else, in the name of the view."""
    if hasattr(source, "gates") and hasattr(source, "events"):
        fetched = tuple(f for f in flatten(source.graph, source.fetches)[0] if isinstance(f, Tensor))
        return Reader(source.graph, source.value, lambda feeds: reader(source.rerun(feeds)), fetched,
                      compute=lambda feeds, tensors: source.rerun(feeds, list(tensors)).results, compute_alone=_alone(source.session, source.moment))
    if hasattr(source, "document") and hasattr(source, "debugger"):
        if source.debugger is None:
            raise FlowError("nothing has run in this editor yet.", hint="Press Run or Step in it first.")
        return reader(source.debugger, view, made)
    if hasattr(source, "cursor") and hasattr(source, "value"):
        fetched = tuple(f for f in flatten(source.session.graph, source.fetches)[0] if isinstance(f, Tensor))
        whole = not source.overridden_inside
        return Reader(source.session.graph, source.value, (lambda feeds: reader(source.rerun(feeds))) if whole else None, fetched, way="Step on until it has fired.",
                      compute=(lambda feeds, tensors: source.rerun(feeds, list(tensors)).results) if whole else None, compute_alone=_alone(source.session, source.moment))
    if hasattr(source, "variables") and hasattr(source, "trace"):
        last = getattr(source, "last_trace", None)
        if last is None:
            raise FlowError("this session has recorded no run yet.", hint=f"{made}(sess.trace(fetches, feeds)) records one.")
        return reader(last, view, made)
    raise FlowError(f"{view} looks into a trace, session, debugger or editor, not into {kind_of(source)}.",
                    hint=f"{made}(sess.trace(fetches, feeds)) is the usual way.")


def _alone(session: Any, moment: Any) -> Callable[[Mapping[Tensor, np.ndarray], Sequence[Tensor]], list[np.ndarray]]:
    """Computes tensors from feeds alone, with the variables of a moment; commits nothing. A recorded run that was loaded has no session to do it."""
    snapshot, run = moment
    return lambda feeds, tensors: record(session, list(tensors), feeds, snapshot=snapshot, run=run).results


def kind_of(thing: Any) -> str:
    name = type(thing).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def article_of(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def within(what: str, value: int, count: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < count:
        there = f"{what.capitalize()}s go from 0 to {count - 1}." if count > 1 else f"The only {what} is 0."
        raise FlowError(f"there is no {what} {value}.", hint=there)
    return int(value)


def round_limit(values: np.ndarray) -> float:
    """A round number that all but about one in a thousand of the values stay within: the scale of c."""
    sizes = np.abs(values[np.isfinite(values)])
    top = float(np.quantile(sizes, 0.999)) if sizes.size else 0.0
    if not top > 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(top))
    step = next(s for s in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15) if s * unit >= top * (1 - 1e-6))
    return float(f"{step * unit:.6g}")


def outcome(value: np.ndarray | None, sample: int, samples: int, symbols: Any) -> str | None:
    """A fetched value for one sample as people would read it; None for what is too large to read."""
    if value is None or value.dtype.kind not in "buif":
        return None
    if value.ndim and value.shape[0] == samples:
        value = value[sample]
    if value.ndim == 0:
        return num(float(value))
    if value.ndim == 1 and 1 < value.size <= 1000 and value.dtype.kind == "f":
        k = int(np.nan_to_num(value, nan=-np.inf).argmax())
        return str(symbols[k]) if symbols is not None and k < len(symbols) else str(k)
    return None
