"""Going back to a run that is over: the last runs of a session kept to be stepped, and the one that failed."""
from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, DebuggerError, FlowError, plural
from ..debugger import Debugger
from ..runtime.session import Session
from ..runtime.store import Snapshot
from ..trace.trace import Trace, record


@dataclass(frozen=True, slots=True)
class Past:
    """What one run began with: enough to do it again, bit for bit, and look inside."""

    session: Session
    fetches: Any
    feeds: Mapping[str, np.ndarray]
    since: tuple[Snapshot, int]

    def debug(self) -> Debugger:
        """A Debugger at the start of that run. It looks; it commits nothing."""
        return Debugger(self.session, self.fetches, self.feeds, since=self.since)

    def trace(self) -> Trace:
        """That run again, with every firing recorded. It commits nothing."""
        snapshot, run = self.since
        return record(self.session, self.fetches, self.feeds, snapshot=snapshot, run=run)

    def __repr__(self) -> str:
        fed = ", ".join(f"{name.removesuffix(':0')} {list(value.shape)}" for name, value in self.feeds.items())
        return f"Run {self.since[1]} of {self.session.graph.name!r}, fed {fed or 'nothing'}"


class Tape:
    """Keep what the last runs of a session began with, so that any of them can be stepped afterwards.

    Variables are never changed in place, so a run costs a reference to them and a copy of its feeds.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     w = fl.variable(1.0, name="w")
    ...     double = fl.assign(w, w * 2, name="double")
    >>> sess = fl.Session(g)
    >>> with fl.Tape(sess, last=5) as tape:
    ...     for _ in range(8):
    ...         _ = sess.run("double")
    >>> dbg = tape[-3].debug()          # the sixth run
    >>> float(dbg.value("w:0")), len(tape)
    (32.0, 5)
    """

    def __init__(self, session: Session, last: int = 20):
        if isinstance(last, bool) or not isinstance(last, (int, np.integer)) or last < 1:
            raise AttributeValueError(f"last is {last!r}.", port="last", hint="A whole number of runs, from 1 on.")
        self.session = session
        self._runs: deque[Past] = deque(maxlen=int(last))

    def __enter__(self) -> Tape:
        if self.session.tape is not None:
            raise FlowError("this session has a tape already.", hint="One at a time.")
        self.session.tape = self._note
        return self

    def __exit__(self, *exc: object) -> None:
        if self.session.tape == self._note:     # another's stays
            self.session.tape = None

    def _note(self, fetches: Any, feeds: Mapping[str, np.ndarray]) -> None:
        self._runs.append(Past(self.session, fetches, {k: np.array(v) for k, v in feeds.items()}, self.session.moment()))

    def __getitem__(self, k: int) -> Past:
        """The k-th of the runs that are kept; −1 is the last."""
        try:
            return self._runs[k]
        except IndexError:
            raise DebuggerError(f"there is no run {k} on the tape.", hint=f"It keeps {plural(len(self._runs), 'run')}.") from None

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Past]:
        return iter(list(self._runs))

    def __repr__(self) -> str:
        return f"Tape of {plural(len(self._runs), 'run')} of {self.session.graph.name!r}"


def debug(error: BaseException | None = None) -> Debugger:
    """Open the run that an exception came from, stopped at the node that failed, its inputs on show.

    Without `error` it is the last exception that reached the prompt or a notebook's cell. `%flowlab debug` opens it in the lab.
    """
    past = failed(error)
    dbg = past.debug()
    stop = dbg.resume()
    if stop.reason == "end":
        raise DebuggerError("the run went well this time.", hint="A kernel that is not a function of its inputs? Step it: error.run.debug().")
    return dbg


def failed(error: BaseException | None = None) -> Past:
    """What the run began with that an exception came from; DebuggerError if there is none."""
    last = error = getattr(sys, "last_value", None) if error is None else error
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        run = getattr(error, "run", None)
        if run is not None:
            return Past(*run)
        error = error.__cause__ or error.__context__
    if isinstance(last, FlowError):
        raise DebuggerError(f"there is no failed run to open: the last exception, {type(last).__name__}, came before anything fired.", node=last.node, hint="What it says can be mended in its call or in the graph.")
    raise DebuggerError("there is no failed run to open.", hint="fl.debug() opens the run of the last exception that a kernel raised in Session.run.")
