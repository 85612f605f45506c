"""Recorded: the part of an Editor that opens, saves and compares recorded runs."""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.errors import DebuggerError, DocumentError, FlowError, plural
from ..core.graph import Graph, Tensor
from ..debugger import Debugger, Recording
from ..io.document import Document, document_of
from ..runtime.feeding import flatten
from ..runtime.machine import amount
from ..runtime.place import COPY
from ..runtime.session import Session
from ..trace.compare import Comparison, compare
from ..trace.saved import load_trace
from ..trace.trace import Trace
from . import debugging as D, files as F, protocol as P
from .keeping import Home

LANES = 32          # that are drawn; what fired on more shares the last

Run = Trace | str | os.PathLike     # a run as a person hands it over


def document_of_run(trace: Trace) -> Document:
    """The graph of a recorded run with what was fed and asked for."""
    graph = trace.graph
    wanted, _ = flatten(graph, trace.fetches)
    placeholders = {t.name for t in graph.placeholders}
    feeds = {k.removesuffix(":0"): v for k, v in trace.feeds.items() if k in placeholders}
    return replace(document_of(graph), fetches=tuple(dict.fromkeys(f.node.name if isinstance(f, Tensor) else f.name for f in wanted)), feeds=MappingProxyType(feeds))


def session_of_run(trace: Trace, graph: Graph) -> Session:
    """A session of a copy of the run's graph that stands where the run began: the same variables, the same draws to come."""
    session = Session(graph, seed=trace.session.seed)
    held, number = trace.moment
    named = {n.name: held[n.id] for n in trace.session.store.variables() if n.id in held}
    session.store.commit({v.node.id: named[v.node.name] for v in graph.variables if v.node.name in named})
    session.store.runs = number
    return session


def first_difference(here: Document, there: Document) -> str:
    """How two graphs differ, at the first node that does; "" if they compute the same under the same names."""
    if here.same_graph(there):
        return ""
    for name, node in there.nodes.items():
        mine = here.nodes.get(name)
        if mine is None:
            return f"it has a node {name}, which is not on the canvas"
        if mine.op != node.op:
            return f"its {name} is a {node.op}, on the canvas it is a {mine.op}"
        if dict(mine.inputs) != dict(node.inputs):
            port = next(p for p in {**node.inputs, **mine.inputs} if node.inputs.get(p) != mine.inputs.get(p))
            return f"its {name} takes {node.inputs.get(port, 'nothing')} at port {port}, on the canvas {mine.inputs.get(port, 'nothing')}"
    missing = next((name for name in here.nodes if name not in there.nodes), None)
    if missing is not None:
        return f"it has no {missing}, which is on the canvas"
    unlike = next((n for n in there.nodes if not replace(here, nodes={n: here.nodes[n]}).same_graph(replace(there, nodes={n: there.nodes[n]}))), None)
    return f"its {unlike} has other attributes" if unlike is not None else "it is wired otherwise"


class Recorded:
    """What an Editor does with recorded runs."""

    def _begin_recorded(self) -> None:
        self._run_name = ""         # of the recording that is gone through
        self._compare_by = "first"
        self._compared: tuple[tuple[int, int], Any] | None = None       # of two recordings: what was found

    # ------------------------------------------------------------ what a person asks for in Python

    @property
    def recording(self) -> Recording | None:
        """The recorded run that is gone through; None while there is none."""
        return self._debugger if isinstance(self._debugger, Recording) else None

    def open_trace(self, run: Run) -> Recording:
        """Put a recorded run into the lab: a Trace, or the file that `Trace.save` wrote. It stands at its end, and is gone through like one that is stepped.

        A run of another graph brings its graph along; undo goes back to the document before. DocumentError for a file that is none, or damaged.
        """
        recording, name = self._read_run(run)
        self._show_run(recording, name)
        return recording

    def save_trace(self, path: str | os.PathLike, *, overwrite: bool = False) -> Path:
        """Write the run that is on show, as far as it has fired, to a file that `open_trace` and `fl.load_trace` open; returns where."""
        target = Path(path).absolute()
        if target.exists() and not overwrite:
            raise DocumentError(f"{target.name} is there already, so it was not replaced.", hint="Give another name, or write overwrite=True.")
        self._record_of(self._debugger).save(target)
        F.note_recent(target)
        return target

    def compare(self, a: Run, b: Run | None = None) -> Comparison:
        """Compare two recorded runs, of one graph or of two versions of it: A is put into the lab, and edges are coloured by how far B is from it.

        With one run given, the run on show is A. Nodes are matched by name; returns what `fl.compare` does.
        """
        if b is None:
            if self._debugger is None or not self._debugger.cursor:
                raise DebuggerError("there is no run on show to compare with.", hint="Run or step first, or give two runs: ed.compare(a, b).")
            other, name = self._read_run(a)
        else:
            first, first_name = self._read_run(a)
            other, name = self._read_run(b)
            self._show_run(first, first_name)
        other.seek(other.length)
        self._branch, self._compared = (name, other), None
        self._say_debugging()
        return self._comparison()

    def go_live(self) -> Debugger:
        """Go on from here by computing: the recorded firings so far stay, what comes next is computed anew, and can be changed. It commits nothing."""
        recording = self.recording
        if recording is None:
            raise DebuggerError("this run is no recording.", hint="Step goes on.")
        self._halt()
        live, self._told_bad = recording.branch(), False
        self._keep_marks()
        self._hand_over(live)
        self._debugger, self._begun_with, self._counted = live, self._session.store.values, live.done
        self._hold()
        self._say_state(full=True)
        return live

    # ------------------------------------------------------------ opening

    def _read_run(self, run: Run) -> tuple[Recording, str]:
        """A run from a file or a trace, and what it is called."""
        if isinstance(run, Debugger):
            run = run.trace()
        if isinstance(run, Trace):
            return Recording(run), f"run {run.moment[1] + 1} of {run.graph.name or 'a graph'}"
        if not isinstance(run, (str, os.PathLike)):
            raise DocumentError(f"{type(run).__name__} is no recorded run.", hint="Give a Trace, such as sess.trace(…), or the path of a file that Trace.save wrote.")
        path = Path(run)
        recording = Recording(load_trace(path))
        F.note_recent(path.absolute())
        return recording, path.name

    def _show_run(self, recording: Recording, name: str) -> None:
        trace = recording.recorded
        theirs = document_of_run(trace)
        apart = first_difference(self._document, theirs)
        if apart:
            was = len(self._document.nodes)
            self._move_to(Home(theirs), theirs, f"open the run {name}")
            before, self._session = self._session, session_of_run(trace, self._built.graph)
            self._link_to(before)
            self._rest_cache = None
            if was:
                self._notice("status", f"{name} is of another graph, which came with it: {apart}.", "Undo goes back to the document before.")
        self._enter_run(recording, name)
        self._say_state(full=True)

    def _enter_run(self, recording: Recording, name: str) -> None:
        """The recording takes the place of the run on show; breakpoints and watches stay."""
        self._reset()
        self._hand_over(recording)
        recording.seek(recording.length)
        self._debugger, self._run_name, self._counted = recording, name, True

    def _record_of(self, dbg: Debugger | None) -> Trace:
        if dbg is None or not dbg.cursor:
            raise DebuggerError("nothing has fired yet, so there is no run to save.", hint="Run or step first.")
        return dbg.trace()

    # ------------------------------------------------------------ comparing

    def _comparison(self) -> Comparison:
        """How the second run differs from the one on show: of two recordings all, else what has fired so far."""
        one, (_, other) = self._debugger, self._branch
        if not (isinstance(one, Recording) and isinstance(other, Recording)):
            return compare(one, other)
        key = (id(one), id(other))
        if self._compared is None or self._compared[0] != key:
            self._compared = key, compare(one.recorded, other.recorded)
        return self._compared[1]

    def _branch_message(self) -> P.Branch | None:
        if self._debugger is None or self._branch is None:
            return None
        name, other = self._branch
        return D.differences(self._debugger, other, self._drawn().owner.get, name, self._comparison(), by=self._compare_by, first=self._run_name if self.recording is not None else "", secret=self._secret())

    # ------------------------------------------------------------ what the page asks for

    def _run_command(self, name: str, text: str | None) -> None:
        match name:
            case "open_run" | "compare_run" if text is not None:
                path = Path(text)
                if not self._may_open(path):
                    raise DocumentError(f"{path.name} is neither below {self._folder()} nor a recent file.", hint=f"ed.{'open_trace' if name == 'open_run' else 'compare'}(path) opens any file.")
                if name == "open_run":
                    found = self.open_trace(path)
                    self._notice("status", f"Opened {path.name}: {plural(found.length, 'firing')}, at the end.", "Step back, or drag the timeline.")
                else:
                    found = self.compare(path)
                    self._notice("status", f"Compared with {path.name}: {plural(len(found), 'output')} of {plural(found.compared, 'firing')} in both differ.")
            case "save_run" | "replace_run" if text is not None:
                target = self.save_trace(F.place_in(self._folder(), text, F.RUN_ENDING), overwrite=name == "replace_run")
                self._notice("status", f"Saved the run to {target.name}: {plural(self._debugger.cursor, 'firing')}, {amount(target.stat().st_size)}.", f"In {target.parent}.")
            case "go_live":
                self.go_live()
                self._notice("status", "Live from here: what comes next is computed, and can be changed.", "It commits nothing.")
            case _:
                raise DocumentError(f"{name} needs more than its name.", hint="Reload the page, or restart the kernel.")

    def _ask_clock(self) -> None:
        """Tell the page when each recorded firing took place, and where."""
        dbg = self._debugger
        self._say(clock(dbg, self._drawn().owner.get) if dbg is not None else P.Clock())


def clock(dbg: Debugger, drawn: Any) -> P.Clock:
    """When and where each recorded firing took place; a copy also says from where it came."""
    events = dbg.records
    lanes: dict[tuple[str, str], int] = {}
    threads: dict[str, list[str]] = {}
    for e in events:
        if e.thread not in threads.setdefault(e.device, []):
            threads[e.device].append(e.thread)
    for device in sorted(threads):
        for thread in threads[device]:
            lanes[device, thread] = min(len(lanes), LANES - 1)
    begin = min((e.start for e in events), default=0.0)
    last: dict[str, int] = {}       # node → the lane that it fired on last
    came = []
    for e in events:
        came.append(_origin(dbg, e.node, last, lanes) if "/copy" in e.node else -1)
        last[e.node] = lanes[e.device, e.thread]
    return P.Clock(lanes=[d if len(threads[d]) == 1 else f"{d} · {threads[d].index(t) + 1}" for d, t in list(lanes)[:LANES]], start=[e.start - begin for e in events],
                   took=[e.duration for e in events], lane=[lanes[e.device, e.thread] for e in events], came=came, drawn=[drawn(e.node) or drawn(e.top) for e in events])


def _origin(dbg: Debugger, name: str, last: Mapping[str, int], lanes: Mapping[tuple[str, str], int]) -> int:
    """The lane that a copy between devices comes from; -1 if the node is no such copy, or what it copies was there on no lane."""
    try:
        node = dbg.graph.node(name)
    except FlowError:
        return -1
    if node.op is not COPY:
        return -1
    source = node.inputs[0].node
    if source.name in last:
        return last[source.name]
    home = dbg.session.placement.of(source).device if source.op.source == "variable" else "cpu:0"
    return next((lane for (device, _), lane in lanes.items() if device == home), -1)
