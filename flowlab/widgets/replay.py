"""Replay: a recorded run in one HTML file that any browser opens, without a kernel and without a network.

The file holds the page of the lab, that of the view into recurrent layers, and what a kernel would answer them: the graph as it is drawn, where the run stood
after each firing, and each value once. widgets/src/replay reads it in the kernel's place.
"""
from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, DeviceError, FlowError, plural
from ..core.files import write_atomically
from ..core.graph import Tensor
from ..core.op import REGISTRY
from ..debugger import Debugger
from ..io import loops as L
from ..io.codegen import python_lines
from ..io.document import Document
from ..runtime.machine import amount
from ..trace.trace import Event, Trace
from . import debugging as D, protocol as P, scene as S, values as V
from .editor import MAX_CODE, Editor
from .looking import STATIC
from .lstm import STEPS, UNITS, LSTMView, layers_of, reader
from .recorded import clock
from .words import language_of

LIMIT = 32 << 20        # bytes of a file, unless another limit is given
DENSE = 16              # a file that is this many times smaller than what it holds would be a wonder: refused before it is packed
EXPLAINED = 400         # firings of a run, at most, of which each is explained in the file,
QUICK = 1 << 16         # on the way back only those that give at most so many bytes: there an explanation is a computation
FOLLOWED = 2000         # nodes of a graph, at most, of which it is looked up what their gradients are
MOST_SAMPLES = 64       # of a recurrent layer
_PLAIN = {"float16": "float32", "bfloat16": "float32"}      # a page has no such numbers: they go in exactly as wider ones


def to_html(source: Any, path: str | os.PathLike | None = None, *, limit: int = LIMIT, cells: int | None = None, node: Any = None, image: Any = None, reading: Any = None,
            symbols: Any = None, samples: int | None = None, title: str | None = None, language: str = "", document: Document | None = None) -> Replay:
    """Write a recorded run to one HTML file that is stepped, scrubbed and played in any browser: no kernel, no network.

    `source`: a Trace, a Debugger as far as it has fired, or an Editor with a run. Without a `path` nothing is written: the Replay that comes back says how large
    the file would be (`.size` in bytes, `.sizes` by part) and writes it with `.save(path)`. DeviceError if it were larger than `limit` bytes, with what would
    make it smaller: fewer fetches, or `cells`, at most so many numbers of a tensor; of a larger one a picture and its statistics go in.

    A run with a recurrent layer has the view of LSTMView beside the lab; `node`, `image`, `reading` and `symbols` are as there, `samples` is how many sequences
    of the batch it shows (64, or all if there are fewer). `title` names the page, `language` is what it speaks (`en`, `zh-CN`, `zh-TW`; else the reader's choice).

    An Editor's places, notes and storyboard go in; those of a Trace or Debugger from `document`, if it is of the same graph. With a storyboard the page opens at its
    first bookmark, and a lecture is given from it. FlowError if a bookmark stands further on than this run has come.

    >>> import flowlab as fl
    >>> with fl.Graph("up") as g:
    ...     y = fl.square(fl.add(fl.placeholder((), name="x"), 1.0, name="up"), name="y")
    >>> made = fl.to_html(fl.Session(g).trace(y, {"x": 2.0}))
    >>> made.firings, made.sizes["values"]
    (2, 32)
    """
    made = Replay(source, limit=limit, cells=cells, node=node, image=image, reading=reading, symbols=symbols, samples=samples, title=title, language=language, document=document)
    if path is not None:
        made.save(path)
    return made


def replay(source: Any, *, height: int = 760, **options: Any) -> Replay:
    """A recorded run in a frame of the notebook, which plays it with no kernel: in a saved notebook, and in the page that nbconvert, and so nbviewer, makes of it.

    `options` are those of `to_html`.
    """
    return Replay(source, height=height, **options)


class Replay:
    """A recorded run as one HTML page; as a cell's last value it is shown in a frame, also where no kernel ever was. See `to_html`."""

    def __init__(self, source: Any, *, limit: int = LIMIT, cells: int | None = None, node: Any = None, image: Any = None, reading: Any = None, symbols: Any = None,
                 samples: int | None = None, title: str | None = None, language: str = "", height: int = 760, document: Document | None = None):
        for name, given in (("limit", limit), ("cells", cells), ("samples", samples), ("height", height)):
            if given is not None and (isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1):
                raise AttributeValueError(f"{name} is {given!r}.", port=name, hint="A whole number from 1 on.")
        self.height = int(height)
        trace, editor = _run_of(source)
        if document is not None and not document.same_graph(trace.graph):
            raise FlowError(f"the document {document.name!r} is of another graph than this run.", hint="Give the one that was run: ed.document.")
        shown = editor.document if editor is not None and document is None else document
        if not trace.events:
            raise FlowError("nothing has fired in this run, so there is nothing to replay.", hint="Step or run first; or trace something that is computed.")
        self.title = (title if title is not None else trace.graph.name or "flowlab").encode("utf-8", "replace").decode()     # half a character is none
        self.firings = len(trace.events)
        code, style = _page()
        packed, self.sizes = _pack(trace, shown, limit, cells, node, {"image": image, "reading": reading, "symbols": symbols}, samples, self.title, language_of(language))
        self._html = _document(self.title, language_of(language), code, style, packed)
        self.size = len(self._html.encode())
        self.sizes = {"page": self.size - len(packed), "recording": len(packed), **self.sizes}
        if self.size > limit:
            raise _too_large(self.size, limit, trace)

    @property
    def html(self) -> str:
        """The whole page as text."""
        return self._html

    def save(self, path: str | os.PathLike) -> Path:
        """Write the page to a file, in place of one that is there; returns where. FlowError if it cannot be written."""
        target = Path(path).absolute()
        try:
            write_atomically(target, self._html.encode())
        except OSError as error:
            raise FlowError(f"{target} cannot be written: {error.strerror or error}.", hint="Give a file in a folder that is there.") from None
        return target

    def _repr_html_(self) -> str:
        # the page is text of an attribute here, and a frame without the notebook's origin keeps it to itself
        return (f'<iframe srcdoc="{html.escape(self._html)}" sandbox="allow-scripts allow-downloads" title="{html.escape(self.title)}" width="100%" height="{self.height}" '
                'style="border: 1px solid #8884; border-radius: 4px"></iframe>')

    def __repr__(self) -> str:
        (_, page), (_, recording), *parts = self.sizes.items()
        held = ", ".join(f"{what} {amount(size)}" for what, size in parts if size)
        return f"Replay of {self.title!r}: {plural(self.firings, 'firing')}, {amount(self.size)} as one file: page {amount(page)}, recording {amount(recording)} (before packing: {held})"


# ---------------------------------------------------------------- what is replayed


def _run_of(source: Any) -> tuple[Trace, Editor | None]:
    """The trace, and the editor whose places and notes are kept."""
    editor = source if isinstance(source, Editor) else None
    if editor is not None:
        if editor.debugger is None:
            raise FlowError("nothing has run in this editor yet.", hint="Press Run or Step in it first.")
        source = editor.debugger
    if isinstance(source, Debugger):
        source = source.trace()
    if not isinstance(source, Trace):
        raise FlowError(f"{type(source).__name__} is no recorded run.", hint="fl.to_html(sess.trace(fetches, feeds), path) is the usual way; a Debugger or an Editor with a run will do.")
    return source, editor


def _too_large(size: int, limit: int, trace: Trace) -> DeviceError:
    largest = sorted(trace.events, key=lambda e: -e.nbytes)[0]
    return DeviceError(f"this replay would be a file of {amount(size)}, the limit is {amount(limit)}.", node=largest.node,
                       hint=f"Record fewer fetches or a smaller batch; keep a picture of what is large with cells=10_000 ({largest.node} gives {amount(largest.nbytes)} a firing); or allow it with limit={size + (1 << 20):_}.")


class _Store:
    """The file's numbers, each array once: what has the same bytes is the same."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self._known: dict[bytes, int] = {}

    def put(self, array: np.ndarray) -> int:
        """Where the array's numbers begin."""
        data = np.ascontiguousarray(array).tobytes()
        key = _digest(data)
        if key not in self._known:
            self._known[key] = self.size
            self.parts.append(data + bytes(-len(data) % 8))
            self.size += len(self.parts[-1])
        return self._known[key]

    def rows(self, array: np.ndarray) -> None:
        """Let each part along the first axis of an array that is there be found where it stands in the whole."""
        at = self._known.get(_digest(np.ascontiguousarray(array).tobytes()))
        for k, row in enumerate(array if at is not None else ()):
            self._known.setdefault(_digest(np.ascontiguousarray(row).tobytes()), at + k * row.nbytes)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class _Lab(Editor):
    """The lab's kernel with no page: it is asked once for everything that a page could ask."""

    _esm, _css = "export default {}", ""

    def open(self) -> None:
        """No front end is told of it."""

    def __init__(self, trace: Trace, shown: Document | None):
        super().__init__(trace)
        if shown is not None and shown.same_graph(self._document):
            late = next((b for b in shown.storyboard if (b.cursor or 0) > len(trace.events)), None)
            if late is not None:
                raise FlowError(f"the bookmark {late.title} stands at firing {late.cursor}, and this run has {plural(len(trace.events), 'firing')}.", hint="Run it to its end first, or take the bookmark out.")
            self._document = replace(self._document, name=shown.name, positions=shown.positions, notes=shown.notes, frames=shown.frames, folded=shown.folded, storyboard=shown.storyboard)
            self._drawn_cache = None

    # ------------------------------------------------------------ what is drawn

    def scenery(self) -> dict[str, Any]:
        """Every node, scope and wire as drawn by itself; the page puts them together as they are folded."""
        view = self._view()
        document, built = view.document, view.built
        by_node, fetched = {loop.node: loop for loop in view.loops.values()}, {n.name for n in self._fetched()}
        inside: dict[str, list[str]] = {}
        for name in document.nodes:
            for scope in S.prefixes(name):
                inside.setdefault(scope, []).append(name)
        kinds = S.Kinds()
        kinds.alike(document, built, inside)
        alone = S.Drawn({}, (), {}, {})
        scopes = {}
        for scope, names in inside.items():
            made = document.composites.get(scope)
            told = P.as_json(S.scene_scope(document, built, scope, tuple(names), alone, {}))
            told["kind"] = kinds.kind_of(scope) if len(document.nodes) > S.OPEN_UP_TO else None
            if made is not None:
                told["named"] = {"inputs": list(made.ports or made.inputs), "outputs": dict(made.outputs),
                                 "taken": {i: port for port, inner in made.ports.items() for i in inner} or {t: port for port, t in made.inputs.items()}}
            scopes[scope] = told
        wires = [[e.src, e.output, e.dst, e.port, e.port == L.NEXT and document.nodes[e.dst].op == L.STATE] for e in S._crossing(document, {n: n for n in document.nodes}, {})]
        graph = self._built.graph
        return {
            "title": document.name, "nodes": [P.as_json(S.scene_node(document, built, n, n.name in fetched, document.feeds, by_node.get(n.name))) for n in document.nodes.values()],
            "scopes": scopes, "wires": wires, "types": {t: [S.shape_text(k.shape), k.dtype.name, list(k.shape)] for t, k in built.types.items()},
            "folded": sorted(S.folded_scopes(document)), "loops": {s: [loop.kind, loop.node, list(loop.inside), list(loop.inputs)] for s, loop in view.loops.items()},
            "composites": [P.as_json(c) for c in S.composites(document)], "notes": [P.as_json(P.NoteSpec(text=n.text, x=n.x, y=n.y)) for n in document.notes],
            "frames": [{"title": f.title, "colour": f.colour, "members": list(f.members)} for f in document.frames],
            "storyboard": [P.as_json(b) for b in S.storyboard(document)], "folds": [None if b.folded is None else list(b.folded) for b in document.storyboard], "most": S.DRAWN_UP_TO, "character": list(S._CHARACTER),
            "joins": {n.name: [t.node.name for t in n.inputs] for n in graph.nodes if len(n.inputs) > 1},
            "palette": P.as_json(replace(S.palette(), ops=self._ops())), "code": self._whole_code(),
        }

    def _ops(self) -> list[P.OpSpec]:
        used = {n.op for n in self._view().document.nodes.values()}
        listed = {o.type: o for o in S.palette().ops if o.type in used}
        return [listed[k] if k in listed else S.op_spec(REGISTRY[k]) for k in sorted(used) if k in listed or k in REGISTRY]

    def _whole_code(self) -> dict[str, Any]:
        text, lines = python_lines(self._built.graph)
        short = len(text) > MAX_CODE
        return {"text": text[:MAX_CODE].rpartition("\n")[0] if short else text, "lines": lines, "note": f"the first {MAX_CODE >> 10} KB" if short else ""}

    # ------------------------------------------------------------ where the run stood

    def run_through(self, store: _Store, cells: int | None) -> dict[str, Any]:
        """The run after each firing: what changed in states and values, and where each kind of step leads."""
        dbg, events = self.recording, self.recording.records
        tensors = _Tensors(self, store, cells)
        states: dict[str, str] = {}
        planned: frozenset[str] = frozenset()
        steps, timesteps, levels, begun, explained = [], {}, [], None, {}
        spoken = len(events) <= EXPLAINED
        dbg.seek(0)
        ready = _Ready(dbg)
        for cursor in range(len(events) + 1):
            event = events[cursor - 1] if cursor else None
            if event is None or not ready.counts:
                moment = self._moment()
                row: dict[str, Any] = {"s": {k: v for k, v in moment.states.items() if states.get(k) != v} | {k: "idle" for k in states if k not in moment.states}}
                states = dict(moment.states)
                if moment.planned - planned:
                    row["p"], planned = sorted(moment.planned - planned), planned | moment.planned
                if (now := self._timesteps()) != timesteps:
                    row["t"], timesteps = now, now
                row["n"], row["r"] = moment.next, moment.ready
            else:
                row = {"s": {event.node: "done"} | dict.fromkeys(ready.after(event), "ready"), "n": events[cursor].node if cursor < len(events) else ready.first, "r": len(ready.now)}
                states |= row["s"]
            if cursor < len(events):
                levels.append(_level_end(events, cursor, ready.names if ready.counts else set(dbg.ready)))
            place = None if event is None else (event.frame, event.top)
            moved = not ready.counts and (place != begun or event is not None and event.top == event.node)
            begun = place
            if (change := tensors.after(event, states, planned, moved)):
                row["v"] = change
            steps.append(row)
            if event is not None and spoken and (event.phase == "forward" or event.nbytes <= QUICK) and (told := self._explained(event)):
                explained[cursor] = told
            if cursor < len(events):
                dbg.step()
        fetches = self._at_rest().fetches
        told = clock(dbg, lambda name: name)
        depth = self._levels()
        return {
            "name": self._run_name, "complete": dbg.done, "fetches": list(fetches), "steps": steps, "tensors": tensors.told, "explained": explained if spoken else None,
            "events": [[e.node, e.top, e.phase, list(e.frame), e.duration, e.nbytes, depth.get(e.top, 0)] for e in events], "places": [e.node if e.node in self._view().document.nodes else e.top for e in events],
            "level": levels, "scope": _scope_ends(events),
            "timestep": [_timestep_end(events, k) for k in range(len(events))],
            "clock": {"lanes": told.lanes, "start": told.start, "took": told.took, "lane": told.lane, "came": told.came},
            "overridden": sorted(dbg.recorded.overridden),
        }

    def _explained(self, event: Event) -> list[list[Any]]:
        """What the firing did to one element of each output, in English and Chinese."""
        out = []
        for k, value in enumerate(event.outputs):
            if value is None:
                continue
            try:
                both = [D.explained(self.recording, f"{event.node}:{k}", None, language, lambda name: name) for language in ("en", "zh")]
            except FlowError:
                continue
            out.append([f"{event.node}:{k}", both[0].index, *([b.arithmetic, b.sentences] for b in both)])
        return out


class _Tensors:
    """Which value each tensor has from which firing on."""

    def __init__(self, lab: _Lab, store: _Store, cells: int | None):
        self.lab, self.store, self.cells = lab, store, cells
        self.told: dict[str, dict[str, Any]] = {}       # what the page must know of a tensor to paint it
        self.raw = 0
        self._has: set[str] = set()
        view = lab._view()
        self._types = view.built.types
        self._inner = {loop.scope: [t for t in self._types if t.rpartition(":")[0] in set(loop.inside)] for loop in view.loops.values()}
        self._in_loops = frozenset(t for held in self._inner.values() for t in held)
        self._known: dict[str, Tensor | None] = {}

    def after(self, event: Event | None, states: Mapping[str, str], planned: frozenset[str], moved: bool) -> dict[str, Any]:
        """What is new after a firing, by tensor: a value, or null for one that is gone."""
        lab, dbg = self.lab, self.lab.recording
        if event is None:
            wanted: Iterable[str] = self._types
        else:
            own = [f"{event.node}:{k}" for k in range(len(event.outputs))] + [f"{event.top}:{k}" for k in range(len(event.outputs)) if event.top != event.node]
            wanted = dict.fromkeys([*own, *(t for s, held in self._inner.items() if event.top.startswith(f"{s}/") for t in held)]) if moved else own
        found: dict[str, Any] = {}
        for name in wanted:
            owner = name.rpartition(":")[0]
            if name not in self._types:
                continue
            inner = name in self._in_loops
            have = (not inner or states.get(owner) == "done") and (dbg.computed(name) if owner in planned else states.get(owner) == "done" or lab._idle_source(name))
            value = lab._value_of(name) if have else None
            if value is None or self._tensor(name) is None:
                if name in self._has:
                    self._has.discard(name)
                    found[name] = None
                continue
            self._has.add(name)
            found[name] = self._put(name, np.asarray(value))
        return found

    def _tensor(self, name: str) -> Tensor | None:
        if name not in self._known:
            try:
                self._known[name] = self.lab._built.graph.tensor(name)
            except FlowError:
                self._known[name] = None
        return self._known[name]

    def _put(self, name: str, value: np.ndarray) -> list[Any]:
        """[dtype, shape, where it is], and of one that is too large to go in whole its picture and statistics."""
        if name not in self.told:
            tensor = self._tensor(name)
            lo, hi = V.domain(tensor)
            told = {"lo": lo if math.isfinite(lo) else None, "hi": hi if math.isfinite(hi) else None, "source": tensor.node.op.source in ("placeholder", "constant"), **V.words(tensor.node)}
            if len(self.lab._view().document.nodes) <= FOLLOWED:
                told["gradient"] = D.gradient_of(self.lab._built.graph, name)
            self.told[name] = told
        kept = value.astype(_PLAIN[value.dtype.name]) if value.dtype.name in _PLAIN else value
        if self.cells is None or value.size <= self.cells:
            return [value.dtype.name, list(value.shape), self.store.put(kept)]
        picture, numbers = V.value(self._tensor(name), value, most=min(V.PICTURE, max(V.THUMB, math.isqrt(self.cells))))
        small, thumb = V.thumb(self._tensor(name), value, 0)
        keep = ("lo", "hi", "map", "rows", "cols", "sampled", "slice")
        return [value.dtype.name, list(value.shape), None, {"picture": {k: getattr(picture, k) for k in keep} | {"stats": P.as_json(picture.stats)}, "at": self.store.put(numbers),
                                                           "thumb": P.as_json(small), "small": self.store.put(thumb)}]


# ---------------------------------------------------------------- where a step leads, on the record


class _Ready:
    """What is ready after each firing, where that can be counted: in a run without a loop or branch, which would have to be entered to know."""

    def __init__(self, dbg: Debugger):
        self._steps, self._plan = dbg.plan.steps, dbg.plan.topology
        self.counts = not any(s.bodies for s in self._steps)
        self._missing = list(self._plan.waiting)
        self.now = set(self._plan.first)
        self.names = {self._steps[k].node.name for k in self.now}

    def after(self, event: Event) -> list[str]:
        """The nodes that a firing has made ready."""
        at, new = self._plan.by_name[event.node].index, []
        for k in self._plan.users[at]:
            self._missing[k] -= 1
            if not self._missing[k]:
                new.append(k)
        self.now.discard(at)
        self.now.update(new)
        self.names.discard(event.node)
        self.names.update(found := [self._steps[k].node.name for k in new])
        return found

    @property
    def first(self) -> str | None:
        return self._steps[min(self.now)].node.name if self.now else None


def _level_end(events: Sequence[Event], cursor: int, names: Set[str]) -> int:
    """Where a step by a whole level ends: after what the record has next of all that is ready."""
    fired: set[str] = set()
    while cursor < len(events) and (name := events[cursor].node) in names and name not in fired:
        fired.add(name)
        cursor += 1
    return cursor


def _out_end(events: Sequence[Event], cursor: int) -> int:
    path = events[cursor].key[:-1]
    if not path:
        return cursor + 1
    around = (*path[:-1], path[-1][0])
    return next((k + 1 for k in range(cursor, len(events)) if events[k].key == around), len(events))


def _scope_ends(events: Sequence[Event]) -> list[int]:
    """Where a step to the end of the scope of the next node ends, from before each firing."""
    last: dict[tuple, int] = {}
    for k, e in enumerate(events):
        for scope in S.prefixes(e.node[len(_prefix(e)):]):
            last[e.key[:-1], scope] = k + 1
    scopes = [e.node[len(_prefix(e)):].rpartition("/")[0] for e in events]
    return [last[e.key[:-1], scope] if scope else _out_end(events, k) for k, (e, scope) in enumerate(zip(events, scopes))]


def _prefix(event: Event) -> str:
    """What the names of all nodes of the same body begin with."""
    return f"{event.frame[-2]}/" if event.frame else ""


def _timestep_end(events: Sequence[Event], cursor: int) -> int:
    """Where a step to the next timestep ends."""
    frame = events[cursor].frame
    cursor += 1
    while frame and cursor < len(events) and events[cursor].frame[:len(frame)] == frame:
        cursor += 1
    return cursor


# ---------------------------------------------------------------- the view into recurrent layers


class _Look(LSTMView):
    """The view's kernel with no page, and without a part in the selection of its session."""

    _esm, _css = "export default {}", ""

    def open(self) -> None:
        """No front end is told of it."""

    def _follow(self) -> None:
        """Where it looks is nobody else's business."""


def _layers(trace: Trace, node: Any, options: Mapping[str, Any], samples: int | None, store: _Store) -> dict[str, Any] | None:
    """What the view would be told of each layer, sample and page; None for a run without a recurrent layer."""
    try:
        layers_of(reader(trace), node)
    except FlowError:
        if node is not None or any(v is not None for v in options.values()):
            raise
        return None
    look = _Look(trace, node, **options)
    look._quiet = True
    count = min(look._samples, MOST_SAMPLES if samples is None else samples)
    out: dict[str, Any] = {"samples": look._samples, "kept": count, "layer": look.layer, "pages": {}, "more": {}, "steps": STEPS, "units": UNITS}

    def told(message: Any, buffers: Sequence[np.ndarray]) -> list[Any]:
        arrays = [np.asarray(b, dtype="<f4") for b in buffers]
        return [P.as_json(message), [[store.put(a), a.size] for a in arrays]]

    for k, layer in enumerate(look._plain):
        for letter in layer.kind.shown:
            if letter in layer.out and layer.out[letter].dtype == np.float32:
                store.rows(layer.out[letter])
        for sample in range(count):
            look.layer, look.sample = k + 1, sample
            for t in range(0, look._steps, STEPS):
                for unit in range(0, look._units, UNITS):
                    look._page = (t, unit)
                    out["pages"][f"{k} {sample} {t} {unit}"] = told(*look._message())
            gradient = look.gradient_through_time()
            out["more"][f"gradient {k} {sample}"] = told(P.LSTMGradient(layer=k, sample=sample, of_loss=gradient.of_loss, seed=gradient.seed), [gradient.own, gradient.plain])
            if len(look._plain) > 1 and k == 0:
                out["more"][f"layers {sample}"] = told(*look._side_by_side())
        shares, moments = look.saturation(), look.moments()
        out["more"][f"saturation {k}"] = told(P.LSTMSaturation(layer=k, gates=list(shares), moments=moments.count, sequences=len(moments.x)), [part for pair in shares.values() for part in pair])
    look.close()
    return out


# ---------------------------------------------------------------- one file


def _pack(trace: Trace, shown: Document | None, limit: int, cells: int | None, node: Any, options: Mapping[str, Any], samples: int | None, title: str, language: str) -> tuple[str, dict[str, int]]:
    """What the page is about, packed as text, and what of it takes how many bytes before it is packed."""
    raw = sum(min(v.nbytes, (cells or v.size) * v.itemsize) for e in trace.events if e._outputs is not None for v in e.outputs if v is not None)
    if raw > DENSE * limit:
        raise _too_large(raw, limit, trace)
    store = _Store()
    lab = _Lab(trace, shown)
    try:
        content: dict[str, Any] = {"version": P.VERSION, "title": title, "language": language, "scene": lab.scenery(), "run": lab.run_through(store, cells)}
    finally:
        lab.close()
    values = store.size
    content["lstm"] = _layers(trace, node, options, samples, store)
    head = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain).encode("utf-8", "replace")
    head += b" " * (-(len(head) + 8) % 8)
    packed = base64.b64encode(gzip.compress(b"".join([len(head).to_bytes(8, "little"), head, *store.parts]), 6, mtime=0)).decode()
    return packed, {"graph and steps": len(head), "values": values, "recurrent layers": store.size - values}


def _plain(value: Any) -> Any:
    """What JSON has no word for, as an attribute of an op may hold it."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)


def _page() -> tuple[str, str]:
    """The built page: its code and its style."""
    files = [STATIC / "replay.js", STATIC / "replay.css"]
    if not all(f.is_file() for f in files):
        raise FlowError("the page of flowlab is not built.", hint="Run node widgets/build.mjs, or pip install flowlab.")
    code, style = (f.read_text("utf-8") for f in files)
    # nothing in them may end the element that they stand in
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--"), style.replace("</style", "<\\/style")


def _document(title: str, language: str, code: str, style: str, packed: str) -> str:
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:; worker-src blob:; base-uri 'none'; form-action 'none'"
    return f"""<!doctype html>
<html lang="{html.escape(language or 'en')}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="flowlab">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
<body class="fl-replay">
<noscript>A recorded run of flowlab: this page needs JavaScript, and nothing else.</noscript>
<div id="flowlab"></div>
<script type="text/plain" id="flowlab-run">{packed}</script>
<script type="module">{code}</script>
</body>
</html>
"""
