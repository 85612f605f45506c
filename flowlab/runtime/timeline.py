"""Timeline: which device and thread fired what, when, and for how long."""
from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.errors import FlowError, plural
from ..core.files import write_atomically

CALLER = "MainThread"   # of runs that one thread walks through, such as a trace


@dataclass(frozen=True, slots=True)
class Row:
    """One firing on the clock: `start` in seconds from the run's beginning, `duration` in seconds."""

    index: int
    node: str
    op: str
    phase: str
    device: str
    thread: str
    start: float
    duration: float
    frame: tuple = ()


class Timeline:
    """Every firing of one run in the order of their beginnings. `results` is what `run` would have returned.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     y = fl.add(fl.constant([1.0, 2.0]), 1.0, name="y")
    >>> fl.Session(g).timeline(y).rows[0].node
    'y'
    """

    def __init__(self, title: str, rows: Sequence[Row], results: Any = None):
        self.title, self.results = title, results
        self.rows = tuple(sorted(rows, key=lambda r: (r.start, r.index)))

    @classmethod
    def of(cls, source: Any) -> Timeline:
        """The timeline of a Trace, of what a Debugger has recorded, or a Timeline as it is. FlowError for anything else."""
        if isinstance(source, Timeline):
            return source
        events = getattr(source, "records", None) if hasattr(source, "cursor") else getattr(source, "events", None)
        graph = getattr(source, "graph", None)
        if events is None or graph is None:
            raise FlowError(f"a {type(source).__name__} has no firings to draw.", hint="Take what Session.timeline or Session.trace returned, or a Debugger.")
        ops = {name: graph.node(name).op.name for name in {e.node for e in events}}
        return cls(graph.name, [Row(e.index, e.node, ops[e.node], e.phase, e.device, e.thread, e.start, e.duration, tuple(e.frame))
                                for e in events], source.results)

    @property
    def seconds(self) -> float:
        """From the first beginning to the last end."""
        return max((r.start + r.duration for r in self.rows), default=0.0) - min((r.start for r in self.rows), default=0.0)

    @property
    def lanes(self) -> tuple[tuple[str, str], ...]:
        """(device, thread), each once, in the order in which they came in."""
        return tuple(dict.fromkeys((r.device, r.thread) for r in self.rows))

    def data(self) -> list[dict[str, Any]]:
        """The rows as plain data, for tables and pages."""
        return [asdict(r) | {"frame": list(r.frame)} for r in self.rows]

    def to_chrome(self, path: str | os.PathLike | None = None) -> dict[str, Any]:
        """The run in Chrome's trace format, which chrome://tracing and ui.perfetto.dev open; written to `path` if one is given.

        A device is a process, a thread a thread, a firing a complete event ("ph": "X") with times in microseconds.
        """
        devices = {d: k for k, d in enumerate(dict.fromkeys(d for d, _ in self.lanes), 1)}
        threads = {lane: k for k, lane in enumerate(self.lanes, 1)}
        events: list[dict[str, Any]] = []
        for device, pid in devices.items():
            events.append({"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": device}})
            events.append({"name": "process_sort_index", "ph": "M", "pid": pid, "tid": 0, "args": {"sort_index": pid}})
        for (device, thread), tid in threads.items():
            events.append({"name": "thread_name", "ph": "M", "pid": devices[device], "tid": tid, "args": {"name": thread}})
        for r in self.rows:
            args = {"op": r.op, "index": r.index} | ({"frame": "/".join(map(str, r.frame))} if r.frame else {})
            events.append({"name": r.node, "cat": r.phase, "ph": "X", "ts": r.start * 1e6, "dur": r.duration * 1e6, "pid": devices[r.device],
                           "tid": threads[r.device, r.thread], "args": args})
        out = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"graph": self.title}}
        if path is not None:
            write_atomically(path, json.dumps(out).encode("utf-8", "replace"))
        return out

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        busy = sum(r.duration for r in self.rows)
        return f"Timeline of {self.title!r}: {plural(len(self.rows), 'firing')} in {self.seconds * 1e3:.2f} ms on {plural(len(self.lanes), 'thread')}, {busy * 1e3:.2f} ms of work"
