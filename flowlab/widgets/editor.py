"""Editor: the lab's kernel side. It holds the document, builds the graph, steps the run, and answers the page."""
from __future__ import annotations

import math
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import anywidget
import numpy as np
import traitlets

from ..apps.exercise import Exercise
from ..apps.faults import Fault
from ..core.errors import DebuggerError, DeviceError, DocumentError, FeedError, FetchError, FlowError, HeldError, KernelError, plural
from ..core.graph import Graph, Node
from ..core.op import REGISTRY
from ..debugger import Breakpoint, Debugger, Recording, Stop
from ..io import inside, loops as L, making
from ..io.build import Diagnostic, build, made_where
from ..io.codegen import python_lines
from ..io.document import Document, document_of, load_document, read_bounded, read_place
from ..io.edits import (
    AddComposite,
    AddNode,
    Connect,
    Differentiate,
    Duplicate,
    Edit,
    Group,
    Insert,
    Paste,
    Rename,
    SetAttr,
    Ungroup,
    apply,
    check_feed,
    describe,
    edit_from_json,
)
from ..io.lecture import Lecture, lecture_in
from ..runtime.machine import amount, memory_left
from ..runtime.session import Session
from ..trace.compare import compare
from ..trace.trace import Event, Trace
from . import debugging as D, files as F, previews, protocol as P, saved, scene as S, values as V
from .asking import Asking
from .attaching import Attaching
from .examples import EXAMPLES, TEMPLATES
from .exercising import Exercising
from .keeping import Home, Keeping, same_file
from .linking import Linking
from .looking import page_of
from .pacing import GAP, SHOWN, SLICE, Going, Way, advance, event_loop, interruptible
from .recorded import Recorded, document_of_run, session_of_run
from .telling import Telling
from .words import Worded

MAX_UNDO = 1000
MAX_EDITS = 20_000      # in one message
MAX_PREVIEW = 50        # edits of one preview
REMEMBERED = 2000       # answers to messages that may come twice
MAX_CODE = 512 * 2**10  # characters of Python that a page shows
MAX_PICTURE = 8 * 2**20
LIVE_BUDGET = 0.3       # seconds that a run after an edit may take: one that takes longer is too heavy to be live
LIVE_NODES = 2000
MANY_BYTES = 512 * 2**20    # variables larger than this are not initialised for the sake of a picture

_RUNS = frozenset({"run", "resume", "run_to"})      # commands that could pass by a NaN unseen
_CHANGES = ("edit", "command", "debug", "open_text", "train", "do_task", "story_do")     # messages that a page sends again after a broken connection: they are done once


class Editor(Asking, Keeping, Telling, Recorded, Attaching, Exercising, Linking, Worded, anywidget.AnyWidget):
    """Build a graph by hand, and step it: with nothing given, an empty canvas.

    `graph` is copied into a document and never changed; `session` lends the values of its variables; `feeds` are arrays by placeholder.
    `open(path)` brings a graph file onto the canvas, `save(path)` writes one; from then on every edit goes to that file, while `autosave` is True.
    A Trace in place of a graph is opened as a recorded run (see `open_trace`), on its own graph. The path of a graph file opens that; what
    `save_lecture` wrote, or a Lecture, opens where the teacher stood, with the same feeds, variables and draws.
    `language` is what the screen speaks: `en`, `zh-CN` or `zh-TW`; without it the page decides, and a person may change it there.
    """

    _esm, _script, _css = page_of("editor")
    height = traitlets.Int(720, min=240, max=4000).tag(sync=True)

    def __init__(self, graph: Graph | Document | Trace | Exercise | Fault | Lecture | str | os.PathLike | None = None, session: Session | None = None, feeds: Mapping[Any, Any] | None = None, **traits: Any):
        super().__init__(**traits)
        recording, path = Recording(graph) if isinstance(graph, Trace) else None, None
        if isinstance(graph, (str, os.PathLike)):
            path = Path(graph)
            graph = lecture_in(read_bounded(path), path.name) or load_document(path)
        lecture = graph if isinstance(graph, Lecture) else None
        if recording is not None:
            document = document_of_run(graph)
        elif graph is None:
            document = Document() if session is None else document_of(session.graph)
        elif isinstance(graph, Exercise):
            document = graph.start
        elif isinstance(graph, Fault):
            document = document_of(graph.graph)
        elif isinstance(graph, Document):
            document = graph
        elif isinstance(graph, Lecture):
            document = graph.document
        elif isinstance(graph, Graph):
            document = document_of(graph)
        else:
            raise DocumentError(f"{type(graph).__name__} is not a graph.", hint="fl.Editor takes a Graph, a Document, a Trace, an Exercise, the path of a graph file, or nothing for an empty canvas.")
        self._document = document
        self._origin = graph if isinstance(graph, Graph) else session.graph if session is not None else None    # whose nodes have lines that made them
        self._built = build(document)
        made_where(self._built.graph, self._origin)
        self._undo: list[tuple[str, Document, Home]] = []
        self._redo: list[tuple[str, Document, Home]] = []
        self._begin_keeping(document)
        self._begin_telling()
        self._begin_recorded()
        self._begin_attaching()
        self._begin_exercising(graph if isinstance(graph, Exercise) else None)
        self._followers: tuple[Callable[[], Any], ...] = ()     # views that look into the run, told when it has moved
        self._answered: dict[int, bool] = {}    # messages that were done: one that comes again, after a broken connection, is not done twice
        self._answering = 0
        self._going: Going | None = None       # what the page has asked for and is not over yet
        self._turn = threading.RLock()          # a page's messages may come on several threads (subshells), in the middle of a slice
        self._revision = 0
        self._selection: tuple[str, ...] = ()
        self._debugger: Debugger | None = None
        self._begun_with: Mapping[int, np.ndarray] | None = None
        self._stops: list[D.Waiting] = []           # breakpoints that wait for the next run,
        self._watched: list[str] = []               # and watches
        self._boxes: dict[str, str] = {}            # the part of a watched tensor that is looked at
        self._pause_on_bad = True                   # a run from the page pauses at its first NaN or infinity
        self._branch: tuple[str, Debugger] | None = None
        self._waits: str | None = None              # the node that the run waits before, because somebody is asked about it
        self._heat = ""                             # "time" or "memory" while the canvas shows what each node costs
        self._pausing = False                       # does what runs now pause there?
        self._told_bad = False                      # of the first NaN or infinity of this run
        self._sent_debugging = P.Debugging()        # what the page knows of it
        self._error: FlowError | None = None
        self._versions: dict[int, int] = {}
        self._counted = False
        self._notices: list[P.Notice] = []      # said before a page was there to hear them
        self._page = False
        self._reloaded = False      # has more than one page said hello? the first may be gone, and with it the way that updates of an output take
        self._drawn_cache: S.Drawn | None = None
        self._spread: frozenset[str] = frozenset()      # what was asked for by itself out of a stack
        self._kinds = S.Kinds()
        self._index: S.Index | None = None
        self._rest_cache: tuple[tuple, S.Rest] | None = None
        self._view_cache: tuple[Document, Any, L.View] | None = None
        self._sent_states: dict[str, str] = {}
        self._sent_tensors: set[str] = set()
        self._sent_cursor = 0
        self._sent_order: tuple = ()
        self._sent_timesteps: dict[str, str] = {}
        self._sent_overridden: tuple = ()
        self._order_cache: tuple[Document, list[Any], tuple[tuple[str, str], ...]] | None = None
        self._live = False
        self._merge = ""
        self._merging = ""          # what the last step of undo may take in: a slider that is dragged
        self._chosen: list[str] = []
        self._output = saved.Output()
        self._offer: saved.Saved | None = None
        self._session = Session(self._built.graph, seed=session.seed if session is not None else 0)
        if session is not None:
            session.store.variables()   # those that no run has needed yet get their first values there, not here
        if recording is not None and session is None:
            self._session = session_of_run(graph, self._built.graph)
        self._begin_linking()
        if session is not None:
            self._link_to(session)
        self._carry(session, {}, trust=True)
        if feeds is None:
            feeds = getattr(graph, "feeds", None) if isinstance(graph, Graph) else None     # an example brings its own
        if feeds is not None:
            self._document = replace(self._document, feeds=self._checked_feeds(feeds))
            self._home.base = self._document
        if recording is not None:
            self._enter_run(recording, f"run {graph.moment[1] + 1} of {graph.graph.name or 'a graph'}")
        if lecture is not None:
            if session is None:
                self._begin_lecture(lecture)
        elif path is not None:
            self.open(path)
            self._undo.clear()
        self.on_msg(self._on_message)

    # ------------------------------------------------------------ what a person asks for in Python

    @property
    def document(self) -> Document:
        """What is on the canvas, half-wired or not."""
        return self._document

    @property
    def graph(self) -> Graph:
        """The sound part of the document as a Graph."""
        return self._built.graph

    @property
    def session(self) -> Session:
        """The session that the lab runs in; its variables keep their values while the graph is edited around them."""
        return self._session

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every part of the document that is not sound: where, why, and ways out."""
        return self._built.diagnostics

    @property
    def debugger(self) -> Debugger | None:
        """The run that is being stepped; None before the first step after an edit. `start` puts one at its start."""
        return self._debugger

    @property
    def selection(self) -> tuple[str, ...]:
        """Names of what is selected on the canvas."""
        return self._selection

    @property
    def results(self) -> dict[str, Any]:
        """The fetched values of a complete run, by node."""
        return D.by_node(self._debugger) if self._debugger is not None else {}

    @property
    def feeds(self) -> Feeds:
        """The values that placeholders are fed, by name; assign items, or the whole: `ed.feeds["x"] = array`."""
        return Feeds(self)

    @feeds.setter
    def feeds(self, feeds: Mapping[Any, Any]) -> None:
        self._set_feeds(self._checked_feeds(feeds), "feed the placeholders")

    def edit(self, *edits: Edit) -> None:
        """Change the document; all the edits together are one step of undo. Raises what `flowlab.io.edits.apply` raises."""
        if edits:
            document = apply(self._document, *edits)
            before, after = L.flat(self._document), L.flat(document)
            self._chosen = _chosen(edits, before, after)
            if any(isinstance(e, Group) for e in edits):    # a composite is one node until it is opened
                scope = _new_composite(before, after)
                document = replace(document, folded=S.fold(after, [scope]) if scope else document.folded)
            self._commit(document, describe(edits), select=_added(edits, before, after))
            self._run_live()

    def undo(self) -> bool:
        """Take the last change back; False if there is none."""
        return self._travel(self._undo, self._redo)

    def redo(self) -> bool:
        """Make the change again that was taken back; False if there is none."""
        return self._travel(self._redo, self._undo)

    def start(self) -> Debugger:
        """Put a new run at its start, where breakpoints can be set and nothing has fired; returns its debugger."""
        dbg = self._start()
        self._say_state(full=True)
        return dbg

    def run(self) -> dict[str, Any]:
        """Run what is marked as fetched, else the sinks, from the start to the end; the values by node."""
        if self._debugger is None or not self._fresh():
            self._start()
        self._say(self._state(mode="run"))
        return self._go(lambda dbg: dbg.resume()) and self.results

    def step(self) -> Any:
        """Fire the first ready node; the Event, or None at the end."""
        return self._go(lambda dbg: dbg.step())

    def back(self) -> Any:
        """Undo the last firing; the Event, or None at the start."""
        return self._go(lambda dbg: dbg.back(), fresh=False)

    def step_level(self) -> tuple:
        """Fire everything that is ready now."""
        return self._go(lambda dbg: dbg.step_level())

    def fire(self, name: str) -> Any:
        """Fire this node, if it is ready."""
        return self._go(lambda dbg: dbg.fire(name))

    def run_to(self, name: str) -> Stop:
        """Run until this node is the next to fire."""
        return self._go(lambda dbg: dbg.run_to(name))

    def seek(self, cursor: int) -> None:
        """Go to a place on the record: `cursor` firings done."""
        self._go(lambda dbg: dbg.seek(cursor), fresh=False)

    def on_step(self, heard: Callable[[], Any]) -> Callable[[], None]:
        """Call `heard()` whenever the run in this lab has moved. Returns the way to stop listening. What it raises ends the listening only."""
        self._followers = (*self._followers, heard)

        def leave() -> None:
            self._followers = tuple(h for h in self._followers if h is not heard)
        return leave

    def _tell_followers(self) -> None:
        for heard in self._followers:
            try:
                heard()
            except Exception as error:
                self._followers = tuple(h for h in self._followers if h is not heard)
                warnings.warn(f"what follows this lab has stopped: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)

    def reset(self) -> None:
        """End the run that is being stepped: nothing has fired."""
        self._reset()
        self._say_state(full=True)

    def close(self) -> None:
        """Take the lab from the page; what is going on stops where it is."""
        if getattr(self, "_going", None) is not None:
            self._halt()
        super().close()

    # ------------------------------------------------------------ changing the document

    def _commit(self, document: Document, label: str, select: str | None = None, home: Home | None = None) -> None:
        if document == self._document and home is None:
            self._say_scene(select)     # nothing changed; the page may have shown it optimistically
            return
        if home is not None or not (self._merge and self._merge == self._merging and self._undo):
            self._undo.append((label, self._document, self._home))
        self._merging = self._merge
        del self._undo[:-MAX_UNDO]
        self._redo.clear()
        self._adopt(document, select, home)

    def _travel(self, source: list[tuple[str, Document, Home]], target: list[tuple[str, Document, Home]]) -> bool:
        if not source:
            self._say_scene()
            return False
        self._merging, self._chosen = "", []
        label, document, home = source.pop()
        target.append((label, self._document, self._home))
        # folding is a way of looking, not a change: it stays as it is now
        if home is self._home:
            document = replace(document, folded=None if self._document.folded is None else self._document.folded & (document.scopes | document.inside))
        self._adopt(document, home=home)
        self._run_live()
        return True

    def _adopt(self, document: Document, select: str | None = None, home: Home | None = None) -> None:
        """Take the document, and rebuild what depends on it. One of another home is another graph: nothing carries over but what that home had."""
        moving = home is not None and home is not self._home
        if moving or document.nodes is not self._document.nodes or document.fetches != self._document.fetches or _unlike(document.feeds, self._document.feeds):
            self._halt()
        if moving:
            self._settle_file()
            if self._story_at is not None:
                self._look_at_bookmark(None, move=False)
        before, self._document = self._document, document
        self._drawn_cache = None
        rebuilt = moving or document.nodes is not before.nodes and (
            list(document.nodes) != list(before.nodes) or any(document.nodes[k] != before.nodes[k] for k in document.nodes))
        if rebuilt:
            moved = {} if moving else {n.id: n.name for n in before.nodes.values()}
            old, self._built = self._session, build(document, before=None if moving else self._built)
            made_where(self._built.graph, self._origin)
            held = home.session if moving else old
            self._session = Session(self._built.graph, seed=(old if held is None else held).seed)
            self._link_to(old)
            if moving:
                self._home.session, self._home = old, home
                self._versions, self._spread = {}, frozenset()
            self._carry(held, {n.name: moved[n.id] for n in document.nodes.values() if n.id in moved})
        elif document.name != before.name:
            self._built.graph.name = document.name
        changed = rebuilt or document.fetches != before.fetches or _unlike(document.feeds, before.feeds)
        if changed:
            if self.recording is not None and not moving:
                self._notice("status", f"The document has changed, so the recorded run {self._run_name} is closed.", "File, Open a recorded run… opens it again.")
            self._reset()
            self._follow(Document() if moving else before)
        asked = document.questions != before.questions
        if asked or self._debugger is not None:
            self._hold()
        if asked and not moving:
            self._tell_gone(before)
        drawn = L.flat(document).nodes
        self._selection = tuple(n for n in self._selection if n in drawn)
        self._keep()
        self._say_scene(select)
        self._retold(before)
        if changed or asked:
            self._say_state(full=True)
        elif document.answers != before.answers:
            self._say_debugging()

    def _follow(self, before: Document) -> None:
        """Let the breakpoints and watches that wait for the next run follow their nodes, by id, else by name; say which have lost theirs."""
        names, drawn = {n.id: n.name for n in self._document.nodes.values()}, L.flat(self._document).nodes

        def now(target: str) -> str | None:
            if any(c in target for c in "*?"):
                return target       # a pattern is of names to come too
            name, colon, output = target.rpartition(":") if ":" in target else (target, "", "")
            old = before.nodes.get(name)
            found = names.get(old.id) if old is not None else None
            found = found or (name if name in drawn else None)
            return None if found is None else f"{found}{colon}{output}"

        gone = [f"the breakpoint at {b.target}" for b in self._stops if now(b.target) is None] + [f"the watch of {t}" for t in self._watched if now(t) is None]
        self._stops = [replace(b, target=found) for b in self._stops if (found := now(b.target)) is not None]
        self._boxes = {found: box for t, box in self._boxes.items() if (found := now(t)) is not None}
        self._watched = [found for t in self._watched if (found := now(t)) is not None]
        self._tell_dropped(gone)

    def _tell_dropped(self, gone: Sequence[str]) -> None:
        if gone:
            said = ", ".join(gone[:4]) + (" …" if len(gone) > 4 else "")
            self._notice("status", f"Dropped {said}: {'it is' if len(gone) == 1 else 'they are'} no longer in the graph.")

    def _hand_over(self, dbg: Debugger) -> None:
        """Set the breakpoints and watches that waited for this run; those whose node is not sound yet go on waiting."""
        graph, gone = self._built.graph, []
        stops, watched, self._stops, self._watched = self._stops, self._watched, [], []
        for found in stops:
            node, pattern = found.target.partition(":")[0], any(c in found.target for c in "*?")
            if not pattern and node not in graph and not self._inside(node):
                self._stops.append(found)
                continue
            try:
                found.put(dbg)
            except FlowError:       # the node has fewer outputs than it had, or no name fits the pattern now
                if pattern:
                    self._stops.append(found)
                else:
                    gone.append(f"the breakpoint at {found.target}")
        for target in watched:
            if target.partition(":")[0] not in graph and not self._inside(target.partition(":")[0]):
                self._watched.append(target)
                continue
            try:
                dbg.watch(target)
            except FlowError:
                gone.append(f"the watch of {target}")
        self._tell_dropped(gone)

    def _inside(self, name: str) -> bool:
        """Is it a node inside a loop that can be stepped?"""
        return any(name in loop.inside for loop in self._view().loops.values())

    def _carry(self, old: Session | None, names: Mapping[str, str], *, trust: bool = False) -> None:
        """Take variables' values over, by name (before a renaming), shape, dtype and initializer; say which start anew.

        `trust` carries a value over even where the initializer differs: the session was handed over for its values.
        """
        had = {n.name: n for n in old.graph.nodes if n.op.source == "variable"} if old is not None else {}
        kept, new = {}, []
        for variable in self._built.graph.variables:
            node = variable.node
            before = had.get(names.get(node.name, node.name))
            if before is not None and before.attrs["shape"] == node.attrs["shape"] and before.outputs[0].dtype == variable.dtype and (
                    trust or _same_start(before, node)):
                if before.id in old.store.values:
                    kept[node.id] = old.store.values[before.id]
            elif old is not None:
                new.append(node)
        if kept:
            self._session.store.commit(kept)
        if old is not None:
            self._session.store.runs = old.store.runs
            self._versions = {k: v for k, v in self._versions.items() if k in kept}
        if new:
            what = ", ".join(f"{n.name} ({n.attrs['initializer']})" for n in new[:6])
            self._notice("status", f"Initialised {what}{f' and {len(new) - 6} more' if len(new) > 6 else ''}.")

    def _checked_feeds(self, feeds: Mapping[Any, Any]) -> Mapping[str, np.ndarray]:
        return MappingProxyType({(name := self._placeholder(key)): check_feed(self._document.nodes[name], value) for key, value in feeds.items()})

    def _placeholder(self, key: Any) -> str:
        name = (key.node.name if hasattr(key, "node") else key.name if hasattr(key, "name") else str(key)).removesuffix(":0")
        node = self._document.nodes.get(name)
        if node is None or node.op != "Placeholder":
            holders = [n.name for n in self._document.nodes.values() if n.op == "Placeholder"]
            raise FeedError(f"there is no placeholder {name!r} on the canvas.", node=name, hint=f"There are {', '.join(holders[:12])}." if holders else "Add one.")
        return name

    def _set_feeds(self, feeds: Mapping[str, np.ndarray], label: str) -> None:
        self._commit(replace(self._document, feeds=MappingProxyType(dict(feeds))), label)
        self._run_live()

    # ------------------------------------------------------------ running

    def _fetched(self) -> list[Node]:
        return S.fetched_nodes(self._document, self._built.graph)

    def _start(self) -> Debugger:
        """A new run, at its start, with the breakpoints and watches of the last. FlowError says what keeps it from starting."""
        self._take_bound()
        nodes = self._fetched()
        if not nodes:
            wrong = next((d for d in self._built.diagnostics if d.severe), None)
            if wrong is not None:
                raise FetchError(f"nothing can run yet: {wrong.node}: {wrong.message}", node=wrong.node, hint=wrong.hint)
            waits = next((d for d in self._built.diagnostics), None)
            if waits is not None:
                raise FetchError(f"nothing can run yet: {waits.node}: {waits.message}", node=waits.node, hint=waits.hint)
            raise FetchError("there is nothing to run yet.", hint="Add an operation and wire its inputs.")
        needed = S.ancestors(nodes)
        feeds = self._document.feeds
        unfed = [n.name for n in self._built.graph.nodes if n.name in needed and n.op.source == "placeholder" and n.name not in feeds]
        if unfed:
            names = ", ".join(unfed[:4]) + (" …" if len(unfed) > 4 else "")
            raise FeedError(f"{names} {'has' if len(unfed) == 1 else 'have'} no value yet.", node=unfed[0],
                            hint=f'Select {"it" if len(unfed) == 1 else "one"} and type its value, or write ed.feeds[{unfed[0]!r}] = … in a cell.')
        self._check_memory()
        given = {self._built.graph.nodes[name].outputs[0]: value for name, value in feeds.items() if name in needed}
        dbg = Debugger(self._session, {n.name: n.outputs[0] if n.outputs else n for n in nodes}, given, record=True)
        self._reset()
        self._hand_over(dbg)
        self._debugger, self._begun_with = dbg, self._session.store.values
        self._hold()
        self._settle()
        return dbg

    def _fresh(self) -> bool:
        """Is the run at its start, with nothing recorded, and are the variables still as it took them?"""
        dbg = self._debugger
        return dbg is not None and not dbg.length and dbg.error is None and not self._document.bound and self._begun_with is self._session.store.values

    def _reset(self) -> None:
        """End the run; its breakpoints and watches wait for the next."""
        self._halt()
        self._keep_marks()
        self._debugger, self._error, self._counted, self._branch, self._told_bad, self._waits = None, None, False, None, False, None
        self._compared, self._run_name = None, ""

    def _breaks(self) -> list[Breakpoint]:
        """The breakpoints of this run that somebody has set: not the one that the lab has while it goes on."""
        own = self._going.way.pause if self._going is not None else None
        return [b for b in self._debugger.breakpoints if b.id != own] if self._debugger is not None else []

    def _keep_marks(self) -> None:
        """The breakpoints and watches of this run wait for the next."""
        if self._debugger is not None:
            self._stops += [D.Waiting.of(b) for b in self._debugger.breakpoints]
            self._watched += [w for w in self._debugger.watches if w not in self._watched]

    def _settle(self) -> None:
        """Count the commits of variables: one at the end of a run, taken back with its last firing."""
        dbg = self._debugger
        if dbg is None or dbg.done == self._counted or not dbg.commits:
            return
        self._counted = dbg.done
        for _, node_id in dbg.plan.assigns:
            self._versions[node_id] = max(self._versions.get(node_id, 0) + (1 if dbg.done else -1), 0)

    def _go(self, act: Callable[[Debugger], Any], *, fresh: bool = True) -> Any:
        """Let the debugger act, and tell the page where the run stands then; an error is told, and raised."""
        self._halt()
        way = self._set_out(fresh)
        if way is None:
            return None
        try:
            return self._reached(way, act(way.dbg))
        except FlowError as error:
            self._failed(way, error)
            raise
        finally:
            self._arrive(way)

    def _set_out(self, fresh: bool = True) -> Way | None:
        """Begin to go on with the run, or a new one; None where there is no run and none shall begin."""
        dbg = self._debugger
        begins = dbg is None or not dbg.length and dbg.error is None
        if begins:
            if not fresh:
                return None
            if dbg is None or not self._fresh():
                dbg = self._start()     # variables were assigned meanwhile: a run reads them when it starts
        self._error, self._waits = None, None
        pausing, self._pausing = self._pausing, False
        pause = dbg.breakpoints.add("*", D.NOT_FINITE) if pausing and not self._told_bad and dbg.total else None
        return Way(dbg, begins, dbg.cursor, pause)

    def _reached(self, way: Way, result: Any) -> Any:
        if isinstance(result, Stop) and result.reason == "error" and way.dbg.error is not None:
            raise way.dbg.error
        if isinstance(result, Stop) and result.reason == "question":
            raise HeldError(f"the run waits before {result.node}: there is an open question about it.", node=result.node, hint="Answer it, or skip it.")
        return result

    def _failed(self, way: Way, error: FlowError) -> None:
        if isinstance(error, HeldError):
            self._waits = error.node
        elif isinstance(error, KernelError) or way.dbg.error is error:
            self._error = error

    def _arrive(self, way: Way) -> None:
        """Tell the page where the run stands, and what has fired on the way."""
        if way.pause in [b.id for b in way.dbg.breakpoints]:     # a cell may have cleared all of them meanwhile
            way.dbg.breakpoints.remove(way.pause)
        self._settle()
        inner = self._view().document.nodes
        fired = [e.node if e.node in inner else e.top for e in way.dbg.records[way.cursor:way.dbg.cursor]]
        self._say_state(full=way.begins, fired=fired)

    # ---- what the page asks for and may take long

    def _pace(self, act: Callable[[Debugger], Generator[Any, None, Any]], tell: Callable[[Any, Sequence[Event]], None],
              paused: Callable[[], None] | None = None) -> None:
        """Let the debugger act in slices, and say what came of it with `tell(result, firings)`. The message is answered when it is over, or halted."""
        self._halt()
        way = self._set_out()
        try:
            work = act(way.dbg)
        except FlowError:       # there is no such way to go: nothing has fired, and the run has begun all the same
            self._arrive(way)
            raise
        going = Going(way, work, tell, paused or self._tell_paused, self._answering, event_loop() if self._answering else None)
        if self._slice(going):
            return
        going.handle = going.loop.call_later(GAP, self._go_further, going)
        self._going = going
        self._say_state()

    def _slice(self, going: Going) -> bool:
        """Go on for one slice, where there is no event loop to the end; True once it is over, and told."""
        over, way = True, going.way
        try:
            over, result = advance(going.work, SLICE if going.loop is not None else math.inf)
            if not over:
                return False
            self._reached(way, result)
        except FlowError as error:
            self._failed(way, error)
            raise
        finally:
            if over:
                self._going = None
                self._arrive(way)
        going.tell(result, way.dbg.records[way.cursor:way.dbg.cursor])
        return True

    def _go_further(self, going: Going) -> None:
        """The next slice; whatever goes wrong in it is told as it would have been in the first."""
        with self._turn:
            if self._going is not going:    # halted meanwhile
                return
            ok = interruptible(lambda: self._answer(lambda: self._slice(going), going.seq))
            if self._going is not going:
                return self._finish("command", going.seq, bool(ok))
            if not ok:      # interrupted just before or after its work
                self._halt()
                return
            now = time.perf_counter()
            try:
                if now > going.shown:
                    self._say_state()
                    going.shown = time.perf_counter() + max(SHOWN, 4 * (time.perf_counter() - now))
            finally:
                going.handle = going.loop.call_later(GAP, self._go_further, going)

    def _halt(self) -> bool:
        """Pause what is going on in slices, where it is; False if nothing is."""
        with self._turn:
            going, self._going = self._going, None
            if going is None:
                return False
            going.handle.cancel()
            going.work.close()
            self._arrive(going.way)
            going.paused()
            self._finish("command", going.seq, True)
            return True

    def _back_while(self, same: Callable[[Any], Any]) -> tuple:
        """Go back over the last firing and those before it that share its key."""
        def act(dbg: Debugger) -> tuple:
            events = []
            while dbg.cursor and (not events or same(dbg.records[dbg.cursor - 1]) == same(events[0])):
                events.append(dbg.back())
            return tuple(events)
        return self._go(act, fresh=False) or ()

    def _level(self, event: Any) -> int:
        return self._levels().get(event.top, 0)

    def _levels(self) -> dict[str, int]:
        """How many firings in a row lead to each node: nodes of one level could fire together."""
        levels: dict[str, int] = {}
        planned = {s.node.name for s in self._debugger.plan.steps} if self._debugger else set()
        for node in self._built.graph.nodes:
            if node.name in planned:
                before = [levels.get(t.node.name, 0) for t in node.inputs] + [levels.get(c.name, 0) for c in node.control_inputs]
                levels[node.name] = max(before, default=0) + 1
        return levels

    def _resume(self) -> None:
        self._halt()
        dbg = self._debugger
        if dbg is not None and dbg.cursor < dbg.length and not isinstance(dbg, Recording):      # which is all past, and has breakpoints to stop at
            self._pace(D.to_the_present, self._tell_stop)
        else:
            self._pace(lambda d: d.going("resume"), self._tell_stop)

    def _check_memory(self) -> None:
        """DeviceError before the variables to come ask for more than this process may take: it names the largest, which a run's own check would not."""
        held = self._session.store.values
        sizes = {v.node.name: math.prod(int(d) for d in v.shape) * 8 for v in self._built.graph.variables if v.node.id not in held}    # initializers draw float64
        total, left = sum(sizes.values()), memory_left()
        if left is not None and total > left:
            largest = max(sizes, key=sizes.__getitem__)
            raise DeviceError(f"the variables take {amount(total)}: this process may use {amount(left)} more.", node=largest, hint=f"Make {largest} smaller.")

    # ------------------------------------------------------------ the moment, and the page

    def _drawn(self) -> S.Drawn:
        if self._drawn_cache is None:
            self._drawn_cache = S.drawn(self._view().document, self._view().built, self._spread, self._kinds)     # without the shapes that somebody is asked for
        return self._drawn_cache

    def _view(self) -> L.View:
        """The document with what is inside its loops."""
        if self._view_cache is None or self._view_cache[0] is not self._document or self._view_cache[1] is not self._built:
            found = L.view(self._document, self._built)
            self._view_cache = (self._document, self._built, replace(found, built=self._masked(found.built)))
        return self._view_cache[2]

    def _moment(self, mode: P.Mode | None = None) -> S.Moment:
        graph, dbg = self._built.graph, self._debugger
        rest = self._at_rest()
        fetches, needed, planned, states, ready = rest.fetches, rest.needed, rest.planned, rest.states, rest.ready
        versions = {graph_node.name: self._versions[graph_node.id] for v in graph.variables if (graph_node := v.node).id in self._versions}
        error = None
        if self._error is not None:
            error = P.Diagnostic(kind="shape", node=self._error.node or "", port=self._error.port, axis=self._error.axis, message=self._error.message, hint=self._error.hint)
        if dbg is None:
            unfed = any(n.op.source == "placeholder" and n.name not in self._document.feeds for n in needed.values())
            return S.Moment(mode=mode or "edit", total=0 if unfed else len(planned), states=states, planned=planned, next=ready[0] if ready else None, ready=len(ready),
                            versions=versions, fetches=fetches, error=error)
        records, view = dbg.records, self._view()
        states = dict(rest.settled)
        # what fires inside a loop is seen on the loop, which runs until its own node has fired
        states |= {e.top: "done" if e.top == e.node else "running" for e in records[:dbg.cursor]}
        ready = tuple(name if name in graph.nodes else next((n.name for n in graph.nodes if n.op.routine is not None and name.startswith(f"{n.inside}/")), name)
                      for name in dbg.ready)
        states |= {name: "ready" for name in ready if states.get(name) != "running"}
        for loop in view.loops.values():
            if dbg.timestep(loop.scope) is not None:
                states |= {name: "done" if dbg.computed(f"{name}:0") else "idle" for name in loop.inputs}
                states |= {name: dbg.state(name) for name in loop.inside if name not in loop.inputs and name not in view.loops}
                fixed = frozenset(name for name in loop.inside if (op := REGISTRY.get(view.document.nodes[name].op)) is not None and op.source)
                states |= dict.fromkeys(fixed, "done")      # constants in a loop are there from the start and never fire
                planned |= frozenset(loop.inside) - frozenset(loop.inputs) - loop.unused - fixed
        if dbg.error is not None and dbg.error.node:
            inside = dbg.error.node in view.document.nodes
            states[dbg.error.node if inside else next((e.top for e in records[::-1] if e.node == dbg.error.node), dbg.error.node)] = "error"
        following = [name if name in view.document.nodes else top for name, top in zip(dbg.ready, ready)]
        if isinstance(dbg, Recording):
            mode = "past"
            planned |= frozenset(e.top for e in records) & frozenset(graph.nodes)
            states |= {name: "done" for t in dbg.feeds if (name := t.removesuffix(":0")) in graph.nodes}     # what it was fed is on the record, whatever the document holds
        if mode is None:
            mode = "run" if self._going is not None else "edit" if not dbg.length and dbg.error is None else "past" if dbg.cursor < dbg.length else "paused"
        last = records[dbg.cursor - 1] if dbg.cursor else None
        return S.Moment(mode=mode, cursor=dbg.cursor, length=dbg.length, total=dbg.total, done=dbg.done, states=states, planned=planned,
                        order=self._order(records, view.document), last_seconds=last.duration if last is not None else None,
                        next=following[0] if following else None, ready=len(following), let_go=dbg.let_go, versions=versions, fetches=fetches, error=error)

    def _order(self, records: list[Any], document: Document) -> tuple[tuple[str, str], ...]:
        """The recorded firings as the timeline shows them; while it is only gone to and fro on the record, the same object."""
        known = self._order_cache
        if known is None or known[0] is not document or known[1] != records:
            made = tuple((e.node if e.node in document.nodes else e.top, e.phase) for e in records)
            known = self._order_cache = (document, records, made if known is None or known[2] != made else known[2])
        return known[2]

    def _at_rest(self) -> S.Rest:
        """What is known of a run before its first firing: the same until the graph, the fetches or the feeds change."""
        key = (self._built, self._document.fetches, self._document.feeds)
        if self._rest_cache is None or any(a is not b for a, b in zip(self._rest_cache[0], key)):
            self._rest_cache = key, S.rest(self._document, self._built.graph)
        return self._rest_cache[1]

    def _value_of(self, name: str) -> np.ndarray | None:
        """The value of a tensor at this moment; None if it has none."""
        dbg = self._debugger
        if dbg is not None:
            try:
                return dbg.value(name) if dbg.computed(name) else self._source_value(name)
            except FlowError:
                return None
        return self._source_value(name)

    def _seen(self, name: str) -> np.ndarray | None:
        """That, as far as the page may see it: not what somebody is asked about."""
        return None if name in self._secret() else self._value_of(name)

    def _source_value(self, name: str) -> np.ndarray | None:
        """What a source holds without any run."""
        owner = name.rpartition(":")[0]
        node = self._document.nodes.get(owner)
        source = REGISTRY[node.op].source if node is not None and node.op in REGISTRY else None
        if source == "placeholder":
            return self._document.feeds.get(owner)
        if source == "constant":
            held = node.attrs.get("value")
            return held if isinstance(held, np.ndarray) else None
        if source == "variable" and owner in self._built.graph:
            held = self._session.store.values.get(self._built.graph.nodes[owner].id)
            if held is None and self._variable_bytes() <= MANY_BYTES:
                held = self._session.store.snapshot().get(self._built.graph.nodes[owner].id)
            return held
        return None

    def _variable_bytes(self) -> int:
        return sum(int(np.prod([int(d) for d in v.shape], dtype=object)) * 8 for v in self._built.graph.variables)

    def _state(self, *, full: bool = True, mode: P.Mode | None = None, fired: Sequence[str] = ()) -> P.RunState:
        """The state message without pictures."""
        return replace(S.run_state(self._moment(mode), self._built.graph, self._drawn(), full=full, fired=fired, timesteps=self._timesteps()), live=self._live, recording=self._recording_name())

    def _recording_name(self) -> str | None:
        return self._run_name if self.recording is not None else None

    def _timesteps(self) -> dict[str, str]:
        """Where the loops and branches stand that have been entered, in words; of others the timestep that a view looks at."""
        out, dbg = {}, self._debugger
        for loop in self._view().loops.values():
            at, looked = dbg.timestep(loop.scope) if dbg is not None else None, self._looked_at(loop)
            if at is not None:
                out[loop.scope] = str(at) if isinstance(at, str) else f"t = {at}"
            elif looked is not None:
                out[loop.scope] = f"looking at t = {looked}"
        return out

    def _say_state(self, *, full: bool = False, fired: Sequence[str] = ()) -> None:
        """Tell the page where the run stands, with pictures of what it has not seen."""
        shown, graph = self._drawn(), self._built.graph
        moment = self._moment()
        dbg = self._debugger
        if full:
            self._sent_tensors = set()
        types = self._view().built.types
        # inside a loop a value belongs to its timestep: what has not fired in this one shows none
        inner = frozenset(name for loop in self._view().loops.values() for name in loop.inside)
        have = {t for t in shown.tensors if t in types and (t.rpartition(":")[0] not in inner or moment.states.get(t.rpartition(":")[0]) == "done") and (dbg.computed(t) if dbg is not None and t.rpartition(":")[0] in moment.planned else
                                                                       moment.states.get(t.rpartition(":")[0]) == "done" or self._idle_source(t))}
        have -= self._secret()
        moved = set(fired)
        overridden = dbg.overridden if dbg is not None else ()
        if dbg is not None and dbg.cursor < self._sent_cursor:      # back: what stays has its value still, but for variables and what is inside loops
            moved |= inner | {v.node.name for v in graph.variables} if overridden == self._sent_overridden else moment.states.keys()
        if moved & inner:       # another timestep: all that is inside has another value
            moved |= inner
        self._sent_cursor, self._sent_overridden = dbg.cursor if dbg is not None else 0, overridden
        again = {t for t in have if t.rpartition(":")[0] in moved}
        pictures, buffer, known = S.thumbs(graph, sorted((have - self._sent_tensors) | again), self._seen)
        gone = sorted(self._sent_tensors - have)
        self._sent_tensors = (self._sent_tensors & have) | known
        changed = moment.order is not self._sent_order and moment.order != self._sent_order
        message = S.run_state(moment, graph, shown, full=full, before=self._sent_states, pictures=pictures, gone=gone, fired=fired, order_changed=changed,
                              timesteps=self._timesteps())
        self._sent_states, self._sent_order, self._sent_timesteps = S.drawn_states(moment, shown), moment.order, message.timesteps
        self._say(replace(message, live=self._live, recording=self._recording_name()), [buffer])
        self._say_debugging()
        self._tell_followers()

    def _say_debugging(self) -> None:
        """Tell the page of breakpoints, watches, overrides and the branch, if any of it has changed."""
        if not self._page:
            return
        dbg, drawn = self._debugger, self._drawn().owner.get
        found = [(D.Waiting.of(b), dbg.breakpoints.held(b.id)) for b in self._breaks()] if dbg is not None else []
        watches = [*(dbg.watches if dbg is not None else ()), *self._watched]
        questions, answers = self._question_specs(drawn)
        message = P.Debugging(
            breaks=[D.breakpoint_spec(b, drawn, held) for b, held in (*found, *((b, 0) for b in self._stops))],
            watches=[D.watch_spec(dbg, self._built.graph, t, self._seen, drawn, self._boxes.get(t, ""), secret=self._secret(), types=self._view().built.types) for t in watches],
            questions=questions, answers=answers,
            overridden=sorted({name for name, _ in dbg.overridden} | set(dbg.recorded.overridden if isinstance(dbg, Recording) else ())) if dbg is not None else [], pause_on_bad=self._pause_on_bad,
            heat=D.heat(dbg, self._heat, drawn, self._secret_shapes()) if self._heat else None,
            branch=self._branch_message())
        if message != self._sent_debugging:
            self._sent_debugging = message
            self._say(message)

    def _idle_source(self, tensor: str) -> bool:
        """Does the tensor come from a source that no run needs now, and has it a value all the same?"""
        node = self._document.nodes.get(tensor.rpartition(":")[0])
        return node is not None and node.op in REGISTRY and REGISTRY[node.op].source is not None and self._source_value(tensor) is not None

    def _say_scene(self, select: str | None = None) -> None:
        self._revision += 1
        view = self._view()
        self._say(S.scene(
            view.document, view.built, self._drawn(), loops=view.loops, revision=self._revision, fetched=[n.name for n in self._fetched()], path=self._shown_path(),
            dirty=self._is_dirty(), undo=self._undo[-1][0] if self._undo else None,
            redo=self._redo[-1][0] if self._redo else None, select=select, chosen=self._chosen, secret=self._secret_shapes()))
        self._say_file()

    def _say(self, message: Any, buffers: Sequence[bytes] = ()) -> None:
        if self._page:
            content = P.as_json(message)
            if self._answering and content["type"] in P.ASKED:
                content["re"] = self._answering
            self.send(content, list(buffers))

    def _notice(self, level: str, text: str, hint: str = "", node: str | None = None, edge: str | None = None, why: bool = False) -> None:
        message = P.Notice(level=level, text=self._sentence(text), hint=hint, node=node, edge=edge, why=why)
        if self._page:
            self._say(message)
        else:
            self._notices = [*self._notices[-9:], message]

    def _sentence(self, text: str) -> str:
        """The text with a capital at its start; names of nodes keep their letters, an operation has the name that the canvas shows."""
        first = re.match(r"[^\s,:;]*", text)[0]
        names = L.flat(self._document).nodes
        if not text[:1].islower() or first in names or any(text.startswith((f"{n} ", f"{n}:", f"{n},")) for n in names):
            return text
        shown = next((o.name for o in REGISTRY.values() if text.startswith(f"{o.word}:")), None) if text[len(first):len(first) + 1] == ":" else None
        return f"{shown or first[:1].upper() + first[1:]}{text[len(first):]}"

    # ------------------------------------------------------------ messages from the page

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Answer one message: whatever goes wrong is told, and nothing is raised."""
        with self._turn:
            self._answer_message(content)

    def _answer_message(self, content: Any) -> None:
        kind, seq = (content.get("type"), content.get("seq")) if isinstance(content, dict) else (None, None)
        seq = seq if isinstance(seq, int) else 0
        if self._going is not None and seq == self._going.seq:
            return      # sent again after a broken connection; it is answered when it is over
        if kind in _CHANGES and seq in self._answered:
            return self._finish(kind, seq, self._answered[seq])
        ok = self._answer(lambda: self._handle(content), seq)
        if self._going is None or self._going.seq != seq:
            self._finish(kind, seq, ok)

    def _finish(self, kind: Any, seq: int, ok: bool) -> None:
        """Say that a message has been dealt with, and keep what came of it."""
        if kind in _CHANGES:
            self._answered[seq] = ok
            if len(self._answered) > REMEMBERED:
                del self._answered[next(iter(self._answered))]
        keeps = kind in _CHANGES or kind == "picture"
        if keeps:
            self._write_down(rest=kind == "picture")    # before the answer: what was answered is not lost
        self._say(P.Done(seq=seq, ok=ok))
        if keeps:
            self._publish()

    def _answer(self, act: Callable[[], None], seq: int) -> bool:
        """Do what a message asks for; False if it could not be done, which has then been told."""
        self._answering = seq
        try:
            act()
            return True
        except HeldError as error:
            self._tell_held(error)
            return True
        except FlowError as error:
            self._notice("alert", error.message, error.hint, error.node)
        except KeyboardInterrupt:
            self._notice("alert", "Interrupted.", "The variables are as after the last complete run.")
            self._say_state(full=True)
        except OSError as error:
            self._notice("alert", f"The file could not be used: {error.strerror or error}.", "The document is safe in the lab. Try another folder or name.")
        except Exception as error:
            self._notice("alert", f"{type(error).__name__}: {error}", "The document is safe. Please report this.")
        finally:
            self._answering, self._pausing = 0, False
        return False

    def _handle(self, content: Any) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "hello":
            return self._hello(content)
        if kind == "edit":
            edits = content.get("edits")
            if not isinstance(edits, list) or len(edits) > MAX_EDITS:
                raise DocumentError("that is not a list of edits.")
            edits, before = [edit_from_json(S.spelled_out(e, self._drawn().stacks)) for e in edits], self._document
            self._merge = str(content.get("merge") or "")[:200]
            try:
                self.edit(*edits)
            finally:
                self._merge = ""
            self._tell_made(edits, before)
            return self._tell_replaced(edits, before)
        if kind == "command":
            return self._command(content)
        if kind == "debug":
            return self._debug(content)
        if kind == "story_do":
            return self._story(content)
        if kind == "do_task":
            return self._task(content)
        if kind == "train":
            return self._train(content)
        if kind == "ask":
            return self._ask(str(content.get("tensor"))[:2100], str(content.get("slice") or ""))
        if kind == "ask_fits":
            return self._ask_fits(str(content.get("tensor"))[:2100])
        if kind == "ask_preview":
            return self._ask_preview(str(content.get("key"))[:4000], content.get("edits"))
        if kind == "ask_reach":
            return self._say(previews.reach(self._document, self._masked(self._built), self._drawn(), str(content.get("port"))[:4000]))
        if kind in ("ask_clip", "ask_code"):
            names = self._names_of(content)
            return self._ask_clip(names, content.get("places")) if kind == "ask_clip" else self._ask_code(names)
        if kind == "ask_find":
            return self._ask_find(str(content.get("text"))[:200])
        if kind == "picture":
            return self._output.picture(content.get("png"), content.get("width"), content.get("height"))
        if kind == "open_text":
            return self._open_text(str(content.get("name") or "the text")[:200], content.get("text"))
        if kind == "ask_files":
            return self._ask_files("run" if content.get("kind") == "run" else "graph")
        if kind == "ask_name":
            return self._ask_name(str(content.get("name") or "")[:1000], content["kind"] if content.get("kind") in F.ENDINGS else "graph")
        if kind == "ask_clock":
            return self._ask_clock()
        if kind == "selected":
            self._picked(self._names_of(content))
            return None
        raise DocumentError("the page sent a message that this kernel does not know.", hint="Reload the page, or restart the kernel.")

    def _names_of(self, content: dict[str, Any]) -> list[str]:
        """The names in a message, those of stacks spelled out."""
        names, stacks = content.get("names"), self._drawn().stacks
        names = [n for n in names if isinstance(n, str)] if isinstance(names, list) else []
        return [m for n in names for m in (stacks[n].members if n in stacks else (n,))]

    def _hello(self, content: dict[str, Any]) -> None:
        self._reloaded, self._page, self._sent_debugging = self._page, True, P.Debugging()
        if content.get("version") != P.VERSION:
            self._notice("alert", "The page and the kernel have different versions of flowlab.", "Restart the kernel, or reload the page.")
        self._told = None       # a new page knows nothing of the file
        self._say(S.palette(EXAMPLES, TEMPLATES))
        self._say_scene()
        self._say_state(full=True)
        if self._offer is not None:
            self._say(P.Offer(title=self._offer.document.name, nodes=len(self._offer.document.nodes), saved=self._offer.when))
        self._say_training()
        self._say_exercise()
        self._greet_story()
        if len(self._selection) == 1:       # Python, or a view, may have chosen before there was a page
            self._say(P.Select(name=self._selection[0]))
        for notice in self._notices:
            self._say(notice)
        self._notices = []

    def _command(self, content: dict[str, Any]) -> None:
        name, node, cursor, scopes = content.get("name"), content.get("node"), content.get("cursor"), content.get("scopes")
        node = node if isinstance(node, str) else None
        self._pausing = name in _RUNS and self._pause_on_bad
        match name:
            case "undo":
                label = self._undo[-1][0] if self._undo else None
                self._notice("status", f"Undid: {label}." if self.undo() else "There is nothing to undo.")
            case "redo":
                label = self._redo[-1][0] if self._redo else None
                self._notice("status", f"Redid: {label}." if self.redo() else "There is nothing to redo.")
            case "new" | "open" | "save" | "save_as" | "replace" | "keep_copy" | "take_theirs" | "overwrite" | "autosave_on" | "autosave_off" | "look":
                self._file_command(name, node)
            case "open_run" | "compare_run" | "save_run" | "replace_run" | "go_live":
                self._run_command(name, node)
            case "save_lecture" | "replace_lecture" if node is not None:
                self._save_lecture_command(node, name == "replace_lecture")
            case "run" if self.recording is not None:
                self._pace(lambda dbg: dbg.going("resume"), self._tell_stop)
            case "run":
                started = time.perf_counter()
                if self._debugger is None or not self._fresh():
                    self._start()
                self._say(self._state(mode="run"))
                self._pace(lambda dbg: dbg.going("resume"), lambda _, events: self._tell_results(time.perf_counter() - started))
            case "step":
                self._tell_step(self.step())
            case "back":
                self._tell_back([e] if (e := self.back()) is not None else [])
            case "step_level":
                self._pace(lambda dbg: dbg.going("level"), self._tell_going)
            case "step_scope":
                self._pace(lambda dbg: dbg.going("scope"), self._tell_going)
            case "step_timestep":
                self._pace(lambda dbg: dbg.going("timestep"), self._tell_going)
            case "step_pass":
                self._pace(lambda dbg: dbg.going("pass"), self._tell_going)
            case "back_level":
                self._tell_back(self._back_while(self._level))
            case "back_timestep":
                self._tell_back(self._back_while(lambda e: (e.index,) if not e.frame else e.frame[:2]))
            case "into" if node is not None:
                self._pace(lambda dbg: D.step_into(dbg, node), self._tell_stop)
            case "out" if node is not None:
                self._pace(lambda dbg: D.step_out(dbg, node), self._tell_going)
            case "resume":
                self._resume()
            case "run_to" if node is not None:
                self._pace(lambda dbg: dbg.going("resume", node), self._tell_stop)
            case "pause":
                if not self._halt():
                    self._notice("status", "Nothing is running.")
            case "fire" if node is not None:
                self._tell_step(self.fire(node))
            case "seek" if isinstance(cursor, int):
                self.seek(cursor)
            case "stop":
                closed = self._recording_name()
                self.reset()
                self._notice("status", f"The recorded run {closed} is closed. Nothing has fired." if closed else "Stopped. Nothing has fired.")
            case "fold" | "unfold":
                self._fold(name, [s for s in scopes if isinstance(s, str)] if isinstance(scopes, list) else [])
            case "reveal" if node is not None:
                self._reveal(node)
            case "live_on" | "live_off":
                self._set_live(name == "live_on")
            case "go_on":
                self._go_on()
            case "start_fresh":
                self._offer = None
                self._output.forget()
                self._notice("status", "Started from the cell's graph.")
                self._publish()
            case _:
                raise DocumentError(f"there is no command {str(name)[:40]!r}.", hint="Reload the page, or restart the kernel.")

    def _debug(self, content: dict[str, Any]) -> None:
        """A breakpoint, a watch, an override or a question from the page."""
        name, text = content.get("name"), str(content.get("text") or "")[:D.MAX_TEXT + 1]
        target = str(content.get("target") or "")[:2100]
        at = content.get("at")
        match name:
            case "break_add" if target:
                self._add_break(D.Waiting(target, text.strip() or None, _whole(content.get("hits"), 1), None if content.get("timestep") is None else _whole(content.get("timestep"), -1),
                                          str(content.get("action") or "pause")))
            case "break_remove":
                self._remove_break(text)
            case "watch_add" if target:
                self._watch(target)
            case "watch_remove" if target:
                self._watched = [w for w in self._watched if w != target]
                if self._debugger is not None and target in self._debugger.watches:
                    self._debugger.watches.remove(target)
                self._boxes.pop(target, None)
                self._notice("status", f"{target} is watched no more.")
            case "watch_box" if target:
                self._boxes[target] = text.strip()[:200]
            case "override" | "branch" if target:
                self._override(target, D.typed(text, target), beside=name == "branch")
            case "override_clear":
                if self._debugger is not None:
                    self._go(lambda dbg: dbg.clear_override(target or None), fresh=False)
                    self._notice("status", f"{target or 'Every tensor'} has its own value again, once it fires.")
            case "branch_drop":
                if self._branch is None:
                    self._halt()        # it is still on its way
                self._branch = self._compared = None
                self._notice("status", "The second run is gone; the first is as it was.")
            case "compare_by" if text in ("first", "norm"):
                self._compare_by = text
            case "pause_on_bad_on" | "pause_on_bad_off":
                self._pause_on_bad = name == "pause_on_bad_on"
                self._notice("status", "A run pauses at its first NaN or infinity." if self._pause_on_bad else "A run goes on past NaN and infinities.")
            case "heat" if text in ("time", "memory", ""):
                self._heat = text
                self._notice("status", {"time": "Each node shows the time that it took.", "memory": "Each node shows the memory of what it gave.", "": "Costs are hidden."}[text])
            case "why_nan" | "why_zero":
                self._keep_secret(target, "the story")
                self._answer_why(target or None, "zero" if name == "why_zero" else "nan")
            case "ask" | "ask_no_more" | "answer" | "skip" if target:
                self._debug_question(name, target, content)
            case "explain" if target:
                dbg = self._running()
                numbers = at if isinstance(at, list) and all(isinstance(k, int) for k in at) else None
                self._keep_secret(target, "the explanation")
                self._say(D.explained(dbg, target, numbers, "zh" if str(content.get("language")).startswith("zh") else "en", self._drawn().owner.get))
            case _:
                raise DocumentError(f"there is no debugging command {str(name)[:40]!r}.", hint="Reload the page, or restart the kernel.")
        self._say_debugging()

    def _running(self) -> Debugger:
        if self._debugger is None:
            raise DebuggerError("nothing has fired yet.", hint="Step or Run first.")
        return self._debugger

    def _add_break(self, wanted: D.Waiting) -> None:
        dbg = self._debugger
        if dbg is None:
            wanted.check(self._view().document.nodes)
            try:
                dbg = self._start()
            except FlowError:       # it waits for feeds and wires, as the run does
                self._stops = [*D.keep(self._stops, wanted.key)[0], wanted]
        if dbg is not None:
            wanted.put(dbg)     # says what is wrong with it
        where = f"at {wanted.target}" if any(c in wanted.target for c in "*?") else f"after {wanted.target}" if ":" in wanted.target or wanted.when else f"before {wanted.target}"
        condition = f" when {wanted.when}" if wanted.when else ""
        self._notice("status", f"{'Pauses' if wanted.action == 'pause' else 'Logs' if wanted.action == 'log' else 'Takes a snapshot'} {where}{condition}.")
        self._say_state(full=True)

    def _remove_break(self, key: str) -> None:
        self._stops, gone = D.keep(self._stops, key)
        for found in self._breaks():
            if D.Waiting.of(found).key == key:
                self._debugger.breakpoints.remove(found.id)
                gone = True
        self._notice("status", "Removed the breakpoint." if gone else "That breakpoint is gone already.")

    def _watch(self, target: str) -> None:
        if self._debugger is not None:
            self._debugger.watch(target)
        elif target not in self._watched:
            if target.rpartition(":")[0] not in self._view().document.nodes:
                raise DebuggerError(f"there is no tensor {target}.", hint="Select a node or an edge.")
            self._watched.append(target)
        self._notice("status", f"Watching {target}.")

    def _override(self, target: str, value: Any, *, beside: bool) -> None:
        """Another value in a tensor's place: in this run, or in a second run beside it, which goes on to its end."""
        dbg = self._debugger if self._debugger is not None else self._start()
        held = self._value_of(target)
        if held is not None and np.ndim(value) == 0 and held.ndim:      # one number stands for all
            value = np.full(held.shape, value, held.dtype if held.dtype.kind == "f" else None)
        if not beside:
            self._go(lambda d: d.override(target, value))
            self._notice("status", f"Overrode {target}: what was computed from it fires again.", "It holds until it is cleared, also after going back.")
            return
        other = dbg.branch()
        other.override(target, value)

        def parted(*_: Any) -> None:
            self._branch = (f"{target} overridden at firing {dbg.cursor}", other)
            self._notice("status", f"A second run with another {target} went on to {'its end' if other.done else f'firing {other.cursor}'}.",
                         f"Outputs that differ: {len(compare(dbg, other))}. With nothing selected (Esc) the inspector lists them.")
            self._say_debugging()
        self._pace(lambda _: other.going("resume"), parted, parted)

    def _answer_why(self, target: str | None, kind: str) -> None:
        found = D.why(self._running(), target, kind, self._drawn().owner.get)
        if found is None:
            self._notice("status", f"{target} {'is not all zeros' if kind == 'zero' else 'holds no NaN and no infinity'}." if target else "Nothing that has fired holds a NaN or an infinity.")
        else:
            self._say(found)

    # ---- what happened, in words

    def _tell_replaced(self, edits: Sequence[Edit], before: Document) -> None:
        """Say it when a wire took the place of another."""
        if not all(isinstance(e, Connect) for e in edits):
            return
        had = L.flat(before).nodes
        for node in L.flat(self._document).nodes.values():
            old = had.get(node.name)
            if old is node or old is None or any(p.startswith(L.ENDS) for p in node.inputs):
                continue
            for port, src in node.inputs.items():
                was = old.inputs.get(port)
                if was is not None and was != src:
                    new_name, old_name = src.rpartition(":")[0], was.rpartition(":")[0]
                    same = new_name == old_name     # another output of the same node
                    self._notice("status", f"Wired {src if same else new_name} to {node.name}, port {port}, in place of {was if same else old_name}.")

    def _tell_made(self, edits: Sequence[Edit], before: Document) -> None:
        """Say what an edit has come to, where its page cannot know."""
        before, after = L.flat(before), L.flat(self._document)
        new = [n for n in after.nodes if n not in before.nodes]
        match edits:
            case [Group()]:
                scope = _new_composite(before, after) or ""
                made = after.composites.get(scope)
                if made is not None:
                    self._notice("status", f"Made the composite {scope} with {plural(len(made.ports), 'input')} and {plural(len(made.outputs), 'output')}.", "F2 names it, Enter opens it.")
            case [Ungroup(name)]:
                self._notice("status", f"Unpacked {name}.")
            case [AddComposite()]:
                self._notice("status", f"Added {_new_composite(before, after) or 'it'}; its inputs are open.")
            case [Duplicate()] | [Paste()]:
                self._notice("status", f"{'Pasted' if isinstance(edits[0], Paste) else 'Duplicated'} {new[0] if len(new) == 1 else plural(len(new), 'node')}.")
            case [Insert(node=node)]:
                self._notice("status", f"Inserted {node or (new[0] if new else 'it')} into the wire.")
            case [Differentiate(tensor)]:
                found = [n for n in (after.nodes[k] for k in new) if n.phase == "backward"]
                by = making.differentiated_by(before, tensor)
                self._notice("status", f"Differentiated {tensor.removesuffix(':0')} by {', '.join(by[:6])}{' …' if len(by) > 6 else ''}: {plural(len(found), 'node')} on the way back.")

    def _tell_step(self, event: Any) -> None:
        if event is not None and self._pause_on_bad and self._tell_bad():
            return
        if event is None and self.recording is not None:
            self._notice("status", f"This is the end of the recorded run {self._run_name}.", "Go on live computes anew from any place on it.")
        elif event is None:
            self._notice("status", "The run is complete.", "Step back, or Run again.")
        else:
            self._notice("status", f"Fired {event.node}.{' The run is complete.' if self._debugger and self._debugger.done else ''}")

    def _tell_steps(self, events: Sequence[Any]) -> None:
        if len(events) == 1 or not events:
            return self._tell_step(events[0] if events else None)
        done = " The run is complete." if self._debugger and self._debugger.done else ""
        return self._notice("status", f"Fired {len(events)} nodes: {', '.join(e.node for e in events[:4])}{' …' if len(events) > 4 else ''}.{done}")

    def _tell_paused(self) -> None:
        dbg = self._debugger
        if dbg is not None:
            self._notice("status", f"Paused at firing {dbg.cursor} of {dbg.total}.", "Resume goes on.")

    def _tell_going(self, _result: Any, events: Sequence[Any]) -> None:
        self._tell_steps(events)

    def _tell_back(self, events: Sequence[Any]) -> None:
        if not events:
            self._notice("status", "This is the start: nothing has fired.")
        else:
            self._notice("status", f"Took back {events[-1].node if len(events) == 1 else f'{len(events)} firings'}.")

    def _tell_stop(self, stop: Any, _events: Sequence[Any] = ()) -> None:
        dbg = self._debugger
        if isinstance(stop, Stop) and stop.reason == "breakpoint" and self._tell_bad():
            return
        if isinstance(stop, Stop) and stop.reason != "end":
            self._notice("status", f"Stopped {'before' if stop.reason == 'node' else 'at'} {stop.node}.")
        elif self.recording is not None and self.recording.ended:
            self._notice("status", f"This is the end of the recorded run {self._run_name}.")
        elif dbg is not None:
            self._notice("status", "The run is complete." if dbg.done else f"Back at firing {dbg.cursor}.")

    def _tell_bad(self) -> bool:
        """Say it when the run has paused because a NaN or an infinity has come up; False if it has not."""
        dbg = self._debugger
        if dbg is None or self._told_bad or dbg.error is not None or not D.made_bad(dbg):
            return False
        self._told_bad = True
        event = dbg.records[dbg.cursor - 1]
        where = f" at {' '.join(map(str, event.frame))}" if event.frame else ""
        self._notice("alert", f"{event.node}{where} made {'NaN' if any(v is not None and np.isnan(v).any() for v in dbg.outputs_of(event)) else 'an infinity'}.",
                     "Resume goes on.", event.node, why=True)
        return True

    def _tell_results(self, seconds: float) -> None:
        dbg = self._debugger
        if self._tell_bad():
            return
        if dbg is not None and not dbg.done:
            self._notice("status", f"Stopped at a breakpoint: next is {dbg.ready[0]}." if dbg.ready else "Stopped at a breakpoint.")
            return
        scalars = [f"{k} = {V.num(float(v))}" for k, v in self.results.items() if v is not None and np.size(v) == 1]
        said = f": {', '.join(scalars[:4])}" if scalars else ""
        self._notice("status", f"Ran {plural(dbg.total if dbg else 0, 'node')} in {V.seconds(seconds)}{said}.")

    # ---- single commands

    def _ask(self, name: str, slice: str) -> None:
        if name in self._secret():
            type = self._view().built.types.get(name)
            self._say(P.Value(tensor=name, known=False, asked=True, shape=list(type.shape) if type is not None else [], dtype=type.dtype.name if type is not None else ""))
            return
        try:
            tensor = self._built.graph.tensor(name)
        except FlowError:   # inside a loop that is still half-wired the type may be known all the same
            type = self._view().built.types.get(name)
            told = V.unknown(name, None)
            self._say(told if type is None else replace(told, shape=list(type.shape), dtype=type.dtype.name))
            return
        array = self._value_of(name)
        if array is None:
            self._say(V.unknown(name, tensor))
            return
        message, cells = V.value(tensor, array, slice)
        again = self._debugger is not None and self._debugger.computed_again(name)
        self._say(replace(message, tensor=name, again=again), [cells.astype("<f4").tobytes()])

    def _ask_fits(self, name: str) -> None:
        view = self._view()
        type, loop = view.built.types.get(name), view.loop_of(name.rpartition(":")[0])
        self._say(P.Fits(tensor=name) if type is None else S.fits(SimpleNamespace(name=name, type=type, dtype=type.dtype), in_loop=loop is not None and loop.kind == "loop"))

    def _ask_preview(self, key: str, edits: Any) -> None:
        """Show what these edits would come to; what cannot be done at all is said in the preview, not as an alert."""
        try:
            if not isinstance(edits, list) or len(edits) > MAX_PREVIEW:
                raise DocumentError("that is not a list of edits.")
            made = [edit_from_json(e) for e in edits]
            self._say(previews.preview(self._document, self._masked(self._built), self._drawn(), made, key, self._secret_shapes()))
        except FlowError as error:
            self._say(P.Preview(key=key, ok=False, text=error.message, why=error.message))

    def _ask_find(self, text: str) -> None:
        view = self._view()
        if self._index is None or self._index.nodes is not view.document.nodes:
            self._index = S.Index(view.document)
        self._say(self._index.find(text, view.built, self._drawn()))

    def _ask_clip(self, names: list[str], places: Any) -> None:
        document, names = inside.holding(self._document, names)
        drawn = {name: read_place(place, "places") for name, place in places.items() if isinstance(name, str)} if isinstance(places, dict) else {}
        self._say(P.Clip(text=making.clip_text(making.placed(document, drawn), names), count=len(making.members(document, names))))

    def _ask_code(self, names: list[str]) -> None:
        """The Python of the sound part, or of these nodes with a placeholder for what comes from outside."""
        document, types, called, drawn = self._document, self._masked(self._built).types, {}, self._view()
        names = [n for n in names if n in drawn.document.nodes and n not in {i for loop in drawn.loops.values() for i in loop.inputs} or n in drawn.document.scopes]
        if names:
            document, inner = inside.holding(document, names)
            called = dict(zip(inner, names))
            if document is not self._document:
                around, hidden = names[0].removesuffix(inner[0]), self._secret_shapes()
                types = {k: v for k, v in build(document).types.items() if around + k not in hidden}
        built = build(making.standalone(document, list(called), types)) if names else self._built
        text, lines = python_lines(built.graph)
        lines = {called.get(k, k): v for k, v in lines.items()}
        left = sorted({d.node for d in built.diagnostics})
        note = f"{plural(len(left), 'node')} left out, not sound yet: {', '.join(left[:3])}{' …' if len(left) > 3 else ''}" if left else ""
        if len(text) > MAX_CODE:
            text, note = text[:MAX_CODE].rpartition("\n")[0], f"the first {MAX_CODE >> 10} KB"
        self._say(P.Code(text=text, names=names, lines=lines, note=note))

    # ---- live values

    def _set_live(self, on: bool) -> None:
        self._live = on
        if on:
            self._run_live()
            if self._live:
                self._notice("status", "Live: values follow every edit.")
        else:
            self._notice("status", "Values stay as they are until the next run.")
        self._say_state(full=True)

    def _run_live(self) -> None:
        """If values are live: run after a change, where that changes nothing but values, and within the budget."""
        if not self._live:
            return
        graph = self._built.graph
        nodes = self._fetched()
        needed = S.ancestors(nodes)
        if not nodes or any(n.op.source == "placeholder" and n.name not in self._document.feeds for n in needed.values()):
            return      # it waits for wires and feeds, as it did before
        writes = next((n.name for n in needed.values() if n.op.name == "Assign"), None)
        if writes is not None or len(graph.nodes) > LIVE_NODES:
            self._live = False
            why = f"a run writes to variables ({writes})" if writes is not None else f"{len(graph.nodes):,} nodes are too many to run after every edit"
            self._notice("alert", f"Live is off: {why}.", "Use Run.")
            return
        started = time.perf_counter()
        try:
            self.run()
        except HeldError:
            return      # it is asked first
        except FlowError as error:
            self._notice("alert", error.message, error.hint, error.node)
            return
        took = time.perf_counter() - started
        if took > LIVE_BUDGET:
            self._live = False
            self._notice("status", f"Live is off: a run takes {V.seconds(took)}.", "Use Run.")
            self._say_state()

    # ---- values from the notebook

    def _namespace(self) -> Mapping[str, Any]:
        """The notebook's variables by name."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        return shell.user_ns if shell is not None else {}

    def _take_bound(self) -> None:
        """Read the notebook's variables that placeholders and constants are bound to; FeedError says what does not fit."""
        if not self._document.bound:
            return
        there, edits, feeds = self._namespace(), [], dict(self._document.feeds)
        for name, variable in self._document.bound.items():
            node = self._document.nodes[name]
            if variable not in there:
                raise FeedError(f"{name} takes its value from {variable}, and the notebook has no variable of that name.", node=name, hint=f"Run a cell that makes {variable}, or type a value.")
            if node.op == "Placeholder":
                feeds[name] = check_feed(node, there[variable])
                continue
            try:
                value = np.asarray(there[variable])
            except (TypeError, ValueError):
                value = np.empty(0, object)
            if value.dtype.kind not in "fiub":
                raise FeedError(f"{variable} is no array of numbers, so {name} cannot take it.", node=name)
            if value.dtype == "float64":
                value = value.astype("float32")
            held = node.attrs.get("value")
            if not (isinstance(held, np.ndarray) and held.dtype == value.dtype and np.array_equal(held, value)):
                edits.append(SetAttr(name, "value", value))
        document = apply(self._document, *edits) if edits else self._document
        if edits or any(k not in document.feeds or not np.array_equal(feeds[k], document.feeds[k]) for k in feeds):
            self._adopt(replace(document, feeds=MappingProxyType(feeds)))

    def _fold(self, name: str, scopes: list[str]) -> None:
        view, shown = self._view(), self._drawn()
        if name == "fold":
            back = S.restacked(view.document, view.built, shown, scopes, self._kinds)
            known = [s for s in scopes if s in view.document.scopes]
            folded = S.fold(view.document, known) if known or not scopes else S.folded_scopes(view.document)
            spread = self._spread - back if scopes else frozenset()
        else:
            folded = S.unfold(view.document, scopes)
            spread = self._spread.union(*(shown.stacks[s].members for s in scopes if s in shown.stacks)) if scopes else frozenset({*view.document.nodes, *view.document.scopes})
        stack = next((shown.stacks[s] for s in scopes if s in shown.stacks), None)
        self._draw_so(folded, spread, select=stack.members[0] if stack is not None and name == "unfold" else scopes[0] if len(scopes) == 1 and scopes[0] in self._spread - spread else None)
        if stack is not None and name == "unfold":
            self._notice("status", f"Shows {plural(len(stack.members), 'element')} one by one.", "Backspace on one of them puts them back together.")

    def _reveal(self, name: str) -> None:
        """Unfold whatever a node or scope is hidden in."""
        view = self._view()
        if name not in view.document.nodes and name not in view.document.scopes:
            raise DocumentError(f"there is no {name[:200]!r} any more.", node=name[:200])
        folded, spread = S.revealed(view.document, view.built, name, self._spread, self._kinds)
        try:
            self._draw_so(folded, spread, select=name)
        except DocumentError:   # too much is open already
            folded, spread = S.revealed(replace(view.document, folded=view.document.scopes), view.built, name, frozenset(), self._kinds)
            self._draw_so(folded, spread, select=name)

    def _draw_so(self, folded: frozenset[str], spread: frozenset[str], select: str | None = None) -> None:
        """Draw the document folded so; DocumentError if that would be more than a canvas can draw."""
        view, before = self._view(), self._drawn()
        shown = S.drawn(replace(view.document, folded=folded), view.built, spread, self._kinds)
        if len(shown.nodes) + len(shown.scopes) > max(S.DRAWN_UP_TO, len(before.nodes) + len(before.scopes)):
            raise DocumentError(f"that would draw {len(shown.nodes) + len(shown.scopes):,} elements.", hint="Unfold scope by scope.")
        self._document, self._drawn_cache, self._spread = replace(self._document, folded=folded), shown, spread
        self._keep()
        self._say_scene(select)
        self._say_state(full=True)

    def _go_on(self) -> None:
        if self._offer is None:
            raise DocumentError("there is no saved document to go on with.")
        offer, self._offer = self._offer, None
        self._home.known.append(offer.document)
        feeds = {**{k: v for k, v in self._document.feeds.items() if k in offer.document.nodes}, **offer.document.feeds}
        document = replace(offer.document, feeds=MappingProxyType(feeds))
        file = self._file_holding(offer)
        if file is not None and same_file(file.saved, document):
            file.saved = document
        self._commit(document, "go on with the saved document", home=Home(document, file) if file is not None else None)
        self._notice("status", f"Going on with {offer.document.name!r}{f' in {file.path.name}' if file is not None else ''}.", "Undo takes you back to the cell's graph.")

    # ------------------------------------------------------------ the notebook's saved output

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        found = self._output.begin()
        if found is not None and not self._undo and not same_file(found.document, self._document):
            self._offer = found
        self._publish(anew=True)
        return super()._repr_mimebundle_(**kwargs)

    def _write_down(self, rest: bool) -> None:
        """Keep what a person has edited beside Jupyter's data, for the case that the kernel ends before the notebook is saved."""
        if self._undo:
            file = self._home.file
            self._output.keep(self._document, self.path, file.holds if file is not None else "", rest)
        else:
            self._output.keep_nothing()

    def _publish(self, *, anew: bool = False) -> None:
        """Put picture and document beside the widget, where a notebook without a kernel still shows them."""
        offered = self._offer is not None and not self._undo   # an answer is open: the notebook must not lose what it holds
        document = self._offer.document if offered else self._document
        kept = self._output.publish(document, edited=offered or bool(self._undo), when=self._offer.stamp if offered else None, anew=anew)
        if kept is not None and not anew and self._reloaded:
            self._say(kept)


class Feeds(MutableMapping):
    """The arrays that an Editor feeds, by placeholder."""

    def __init__(self, editor: Editor):
        self._editor = editor

    def __getitem__(self, key: Any) -> np.ndarray:
        return self._editor._document.feeds[key.removesuffix(":0") if isinstance(key, str) else self._editor._placeholder(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        name = self._editor._placeholder(key)
        array = check_feed(self._editor._document.nodes[name], value)
        self._editor._set_feeds({**self._editor._document.feeds, name: array}, f"feed {name}")

    def __delitem__(self, key: Any) -> None:
        name = self._editor._placeholder(key)
        feeds = dict(self._editor._document.feeds)
        del feeds[name]
        self._editor._set_feeds(feeds, f"feed {name} no more")

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._editor._document.feeds))

    def __len__(self) -> int:
        return len(self._editor._document.feeds)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{k}: {v.dtype}{list(v.shape)}" for k, v in self.items()) + "}"


def _unlike(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    return a is not b and (a.keys() != b.keys() or any(a[k] is not b[k] for k in a))


def _same_start(a: Node, b: Node) -> bool:
    """Do two variables start from the same values?"""
    held, other = a.attrs["value"], b.attrs["value"]
    return a.attrs["initializer"] == b.attrs["initializer"] and (held is other or held is not None and other is not None and np.array_equal(held, other))


def _added(edits: Sequence[Edit], before: Document, after: Document) -> str | None:
    """The element that the page selects after these edits: what was added last, or has a new name."""
    made = _new_composite(before, after)
    if made is not None and any(isinstance(e, (Group, AddComposite)) for e in edits):
        return made
    if len(edits) == 1 and isinstance(edits[0], Insert) and edits[0].node is not None:
        return edits[0].node
    if any(isinstance(e, AddNode) and e.op == "Scan" for e in edits):    # what comes next is done inside
        return next((n for n, node in after.nodes.items() if n not in before.nodes and node.op == L.TIMESTEP), None)
    if any(isinstance(e, (AddNode, Insert, AddComposite)) for e in edits):
        return next((n for n in reversed(after.nodes) if n not in before.nodes), None)
    to = next((e.to.strip() for e in edits if isinstance(e, Rename)), None)
    new = [n for n in after.nodes if n not in before.nodes]
    return to if to is None or to in after.nodes or to in after.scopes else next((n for n in new if n.endswith(f"/{to}")), new[0] if new else None)


def _new_composite(before: Document, after: Document) -> str | None:
    """The outermost composite that was not there before."""
    return min(after.composites.keys() - before.composites.keys(), key=lambda k: (k.count("/"), k), default=None)


def _chosen(edits: Sequence[Edit], before: Document, after: Document) -> list[str]:
    """What was pasted, duplicated or unpacked, at its top: the page selects all of it."""
    if not any(isinstance(e, (Paste, Duplicate, Ungroup)) for e in edits):
        return []
    new = [n for n in after.nodes if n not in before.nodes]
    around = making.common_scope(new)
    while around and around not in before.scopes:
        around = around.rpartition("/")[0]
    prefix = f"{around}/" if around else ""
    return list(dict.fromkeys(f"{prefix}{n.removeprefix(prefix).partition('/')[0]}" for n in new))[:500]


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
