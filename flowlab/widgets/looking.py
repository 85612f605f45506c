"""What every view that looks into a run has: where its numbers come from, how its page is answered, how it follows and is linked, what it refuses."""
from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets

from ..core.errors import FlowError
from ..core.graph import Graph, Node, Tensor
from ..runtime.feeding import flatten
from ..runtime.selection import Selection
from ..trace.trace import record
from . import protocol as P
from .saved import Beside
from .values import num
from .words import Worded

STATIC = Path(__file__).parent / "static"
MISSING = "export default { render({ el }) { el.textContent = 'The page of flowlab is not built: run node widgets/build.mjs, or pip install flowlab.'; } };"


# anywidget gives a widget two seconds by the clock to be loaded, and drops what the kernel says to one that took longer: a megabyte, on a slow machine, beside other widgets that load.
# So what is loaded is this, at once, and the page itself when it is to be seen.
LOADER = """const pages = new WeakMap();
function pageOf(model) {
  if (!pages.has(model)) {
    const url = URL.createObjectURL(new Blob([model.get("_script")], { type: "text/javascript" }));
    pages.set(model, import(/* webpackIgnore: true */ /* @vite-ignore */ url).finally(() => URL.revokeObjectURL(url)));
  }
  return pages.get(model);
}
export default { async render(given) { return (await pageOf(given.model)).default.render(given); } };
"""


def page_of(name: str) -> tuple[str, traitlets.Unicode, Path | str]:
    """A widget's built page: what loads it, its script and its style."""
    script, style = STATIC / f"{name}.js", STATIC / f"{name}.css"
    code = script.read_text(encoding="utf-8") if script.is_file() else MISSING
    return LOADER, traitlets.Unicode(code, read_only=True).tag(sync=True), style if style.is_file() else ""


# ---------------------------------------------------------------- where the numbers come from


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
    kept_back: frozenset[str] = frozenset()                          # tensors that somebody is asked about, and all that is made of them


    def value(self, tensor: Tensor) -> np.ndarray | None:
        """The tensor's value, None if this run has none."""
        try:
            return np.asarray(self.read(tensor))
        except KeyError:
            return None

    def without(self, names: frozenset[str]) -> Reader:
        """The same run but for what somebody is asked about; nothing is computed anew either, which might tell it."""
        if not names:
            return self

        def read(tensor: Tensor) -> np.ndarray:
            if tensor.name in names:
                raise KeyError(tensor.name)
            return self.read(tensor)
        return replace(self, read=read, rerun=None, compute=None, compute_alone=None, kept_back=names, way="Answer the question about it, or skip it.")

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
        return reader(source.debugger, view, made).without(source.kept_back)
    if hasattr(source, "cursor") and hasattr(source, "value"):
        fetched = tuple(f for f in flatten(source.session.graph, source.fetches)[0] if isinstance(f, Tensor))
        whole = not source.overridden_inside
        return Reader(source.session.graph, source.value, (lambda feeds: reader(source.rerun(feeds))) if whole else None, fetched, way="Step on until it has fired.",
                      compute=(lambda feeds, tensors: source.rerun(feeds, list(tensors)).results) if whole else None, compute_alone=_alone(source.session, source.moment)).without(_made_of(source.session.graph, source.holds))
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


def tells(nodes: Sequence[Node], names: frozenset[str]) -> bool:
    """Would these layers give away one of these tensors?"""
    if not names:
        return False
    inside = tuple(f"{loop.inside}/" for n in nodes for loop in (n, *(t.node for t in n.inputs)) if loop.op.routine is not None)
    return any(t.name in names for n in nodes for t in (*n.outputs, *n.inputs)) or any(name.startswith(inside) for name in names if inside)


def kept_back(source: Any) -> frozenset[str]:
    """The tensors of a lab or debugger that somebody is asked about, and all that is computed from them."""
    if _is_lab(source):
        return source.kept_back
    dbg = debugger_of(source)
    return frozenset() if dbg is None else _made_of(dbg.session.graph, dbg.holds)


def _made_of(graph: Graph, names: frozenset[str]) -> frozenset[str]:
    """What these nodes give, and all that is computed from it."""
    found: set[str] = set()
    for node in graph.nodes if names else ():
        if node.name in names or any(t.name in found for t in node.inputs):
            found |= {t.name for t in node.outputs}
    inside = {n for n in names if n not in graph.nodes}     # in loops: by their own names
    return frozenset(found | {f"{n}:0" for n in inside})


def debugger_of(source: Any) -> Any:
    """The debugger that a view's source steps, None for a recorded run."""
    if _is_lab(source):
        return source.debugger
    return source if hasattr(source, "cursor") and hasattr(source, "listen") else None


def _is_lab(source: Any) -> bool:
    return hasattr(source, "document") and hasattr(source, "debugger")


def selection_of(source: Any) -> Selection | None:
    """The selection of the session that a view's source runs in; None for a run that was loaded without one."""
    found = getattr(source, "selection", None)
    return found if isinstance(found, Selection) else getattr(getattr(source, "session", None), "selection", None)


# ---------------------------------------------------------------- layers by name


def named(run: Reader, every: Sequence[Node], there: Sequence[Node], node: Any, kind: str, kinds: str, none: str) -> list[Node]:
    """Of the layers that are `there` those that a name, a scope, a Node or a Tensor means, all of them for None; FlowError, with what there is, where it is none.

    `every`: the graph's layers, computed or not. `kind` and `kinds`: what one and several are called; `none`: what another node is said to be, "no recurrent layer".
    """
    graph = run.graph
    listed = ", ".join(n.name for n in every[:12]) + (", …" if len(every) > 12 else "") or "none"
    hint = f"{kinds.capitalize()} here: {listed}."
    wanted = list(every)
    if node is not None:
        name = node if isinstance(node, str) else getattr(node, "name", None) or getattr(getattr(node, "node", None), "name", None)
        if not isinstance(name, str):
            raise FlowError(f"{kind_of(node)} names no layer.", hint=hint)
        name = name.partition(":")[0].rstrip("/")
        wanted = [n for n in every if n.name == name or n.name.startswith(name + "/")]
        if not wanted:
            message = f"{name} is {article_of(graph.nodes[name].op.name)}, {none}." if name in graph.nodes else f"this graph has no {kind} named {name!r}."
            raise FlowError(message, node=name, hint=hint)
    found = [n for n in wanted if n in there]
    if not found:
        done = ", ".join(n.name for n in there) or "none"
        names = ", ".join(n.name for n in wanted[:12])
        if tells(wanted, run.kept_back):
            raise FlowError(f"somebody is asked about {names}: nothing of it is shown before that is answered.", node=wanted[-1].name, hint=run.way)
        message = f"none of {names} was computed in this run." if len(wanted) > 1 else f"{names} was not computed in this run."
        raise FlowError(message, node=wanted[-1].name, hint=f"{run.way} {kinds.capitalize()} with values: {done}.")
    return found


def meant(names: Sequence[str], name: str) -> int | None:
    """Which of some layers a selected name means: itself, one in that scope, or one in whose scope it stands. None for none."""
    scopes = [name[:k] for k in range(len(name) - 1, 0, -1) if name[k] == "/"]
    for fits in (lambda n: n == name, lambda n: n.startswith(f"{name}/"), *(lambda n, scope=scope: n.rpartition("/")[0] == scope for scope in scopes)):
        found = next((k for k, n in enumerate(names) if fits(n)), None)
        if found is not None:
            return found
    return None


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


# ---------------------------------------------------------------- the widgets


class Answering(Worded, anywidget.AnyWidget):
    """A widget whose page asks: every message is answered, and what goes wrong is told on the page."""

    _unharmed: ClassVar[str] = "The view is as it was."

    def _heard(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, Mapping):
            return
        ok = True
        try:
            if content.get("type") == "hello" and content.get("version") != P.VERSION:
                raise FlowError(f"the page speaks version {content.get('version')}, the kernel {P.VERSION}.", hint="Restart the kernel, or reload the page.")
            self._answer(content)
        except FlowError as error:
            ok = False
            self._tell(P.Notice(level="alert", text=error.message, hint=error.hint, node=error.node))
        except Exception as error:      # a page's message has no caller: who sent it must hear of whatever went wrong
            ok = False
            self._tell(P.Notice(level="alert", text=f"{type(error).__name__}: {error}", hint=self._unharmed))
        seq = content.get("seq")
        if isinstance(seq, int):
            self._tell(P.Done(seq=seq, ok=ok))

    def _answer(self, content: Mapping[str, Any]) -> None:
        """Do what a message asks for."""
        raise FlowError(f"the view does not know the message {str(content.get('type'))[:40]!r}.", hint="Reload the page.")

    def _tell(self, message: Any, buffers: Sequence[np.ndarray] = ()) -> None:
        self.send(P.as_json(message), buffers=[np.ascontiguousarray(b, dtype="<f4").tobytes() for b in buffers])


class View(Answering):
    """A view into the layers of a run: it follows a debugger or a lab, shares its session's selection, and leaves a picture in the notebook.

    A view says in `_reader` what it reads, in `_take` how it looks into another run, in `_shown` what its picture is made of, in `_where` and `_go_where` what of the
    selection is its own.
    """

    _alt: ClassVar[str]             # of the picture that the notebook keeps
    _named: ClassVar[str]           # "an LSTM view"
    layer = traitlets.Int(1).tag(sync=True)
    sample = traitlets.Int(0).tag(sync=True)

    _nodes: tuple[Node, ...]
    _samples: int

    # ------------------------------------------------------------ how it begins

    def _look_into(self, source: Any, title: str | None) -> None:
        """Before anything else: read the source."""
        self._source = source
        self._run = self._now = self._reader(source)
        self._title = self._run.graph.name if title is None else str(title)
        self._picture = Beside(self._alt)
        self._quiet = True
        self._gone = False          # a debugger went back to before the layer
        self._asked = ""            # what somebody is asked about, so that nothing is shown
        self._link: Selection | None = None
        self._leaves: tuple[Callable[[], None], ...] = ()

    def _open(self, language: str | None) -> None:
        """When all is read: from here on it follows, is linked, and answers."""
        if language is not None:
            self.language = language
        self._quiet = False
        self._remember()
        self._follow()
        self.on_msg(self._heard)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self._picture.begin(repr(self))
        return super()._repr_mimebundle_(**kwargs)

    def close(self) -> None:
        for leave in getattr(self, "_leaves", ()):      # none yet where the view could not be made
            leave()
        super().close()

    # ------------------------------------------------------------ what each view says for itself

    def _reader(self, source: Any) -> Reader:
        return reader(source, self._named, type(self).__name__)

    def _take(self, run: Reader) -> None:
        """Look into this run; FlowError, and nothing changes, where the layers are not there."""
        raise NotImplementedError

    def _shown(self) -> Sequence[Tensor]:
        """What is on screen is made of these."""
        raise NotImplementedError

    def _show(self) -> None:
        """Send the layer and sample on screen."""
        raise NotImplementedError

    def _where(self) -> dict[str, Any]:
        """The cursor as parts of a selection."""
        raise NotImplementedError

    def _go_where(self, chosen: Selection) -> None:
        """Go to what is chosen, as far as the layer on screen has it."""
        raise NotImplementedError

    def _loop(self) -> Node | None:
        """The loop that the layer on screen is, or is written out as: it fires timestep by timestep."""
        return None

    def _at_timestep(self, t: int) -> None:
        """The debugger is in the middle of that loop."""

    def _place(self) -> P.Place:
        """Where the debugger stands."""
        dbg = debugger_of(self._source)
        if dbg is None:
            return P.Place(follows=False)
        node = self._nodes[self.layer - 1]
        firing = next((k for k, e in enumerate(dbg.records[:dbg.cursor]) if e.node == node.name and not e.frame), None)
        return P.Place(follows=True, cursor=dbg.cursor, total=dbg.total, firing=firing, next=dbg.ready[0] if dbg.ready else "", gone=self._gone, loop=self._loop() is not None, asked=self._asked)

    @property
    def _node(self) -> Node:
        return self._nodes[self.layer - 1]

    # ------------------------------------------------------------ layer and sample

    @traitlets.validate("sample")
    def _check_sample(self, proposal: Any) -> int:
        return within("sample", proposal["value"], self._samples)

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        count = len(self._nodes)
        if not 1 <= proposal["value"] <= count:
            names = ", ".join(f"{k}: {n.name}" for k, n in enumerate(self._nodes[:12], 1)) + (", …" if count > 12 else "")
            raise FlowError(f"there is no layer {proposal['value']}.", hint=f"There {'is' if count == 1 else 'are'} {names}.")
        return proposal["value"]

    # ------------------------------------------------------------ following a debugger or a lab

    def _follow(self) -> None:
        """Hear of the source's steps and of its session's selection. Neither keeps the view alive."""
        for leave in self._leaves:
            leave()
        self._leaves, source = (), self._source
        self._link = selection_of(source)
        if self._link is not None:
            self._leaves = (self._link.listen(self._led),)
        if debugger_of(source) is None and not _is_lab(source):
            return
        weak = weakref.ref(self)

        def heard() -> None:
            there = weak()
            if there is None:
                leave()
            else:
                there._went_on()
        leave: Callable[[], None] = (source.on_step if _is_lab(source) else source.listen)(heard)
        self._leaves = (*self._leaves, leave)

    def refresh(self, source: Any = None) -> None:
        """Look again: a session has recorded another run. With `source`, look into that one, made by the same graph. A debugger or lab is followed by itself.

        FlowError, and nothing changes, if the layers are not computed there or its batch is smaller than `sample`.
        """
        other = source is not None and source is not self._source
        run = self._reader(self._source if source is None else source)
        if run.graph is not self._run.graph and (other or not _is_lab(self._source)):
            raise FlowError(f"that is a run of {run.graph.name!r}, this view shows {self._run.graph.name!r}.", hint="Open another view.")
        self._into(run)
        if other:
            self._source = source
            self._follow()
        self._show()

    def _into(self, run: Reader) -> None:
        quiet, self._quiet = self._quiet, True
        try:
            self._take(run)
        finally:
            self._quiet = quiet
        self._gone, self._asked = False, ""
        self._remember()

    def _remember(self) -> None:
        self._seen = {t.name: self._run.value(t) for t in self._shown()}
        self._kept_back = self._run.kept_back

    def _went_on(self) -> None:
        """The debugger or lab has moved: show what the layers gave there, if that is another thing."""
        if tells(self._nodes, kept_back(self._source)):
            if not self._asked:
                self._asked = ", ".join(self._questions())
                self._picture.hide(repr(self))
        else:
            covered, self._asked = bool(self._asked), ""
            try:
                self._look_again(covered)
            except FlowError:       # its last numbers stay on screen, and it is said that they are
                self._gone = True
        self._tell(self._place())

    def _look_again(self, covered: bool) -> None:
        run = self._reader(self._source)
        if covered or run.graph is not self._run.graph or run.kept_back != self._kept_back or not all(_same(run.value(t), self._seen[t.name]) for t in self._shown()):
            self._into(run)
            self._show()
        else:
            if self._now is self._run:
                self._now = run
            self._run, self._gone = run, False
        at = self._timestep()
        if at is not None:
            self._at_timestep(at)

    def _timestep(self) -> int | None:
        """Which timestep of the layer on screen the debugger has just fired in, if it is in the middle of it."""
        loop, dbg = self._loop(), debugger_of(self._source)
        if loop is None or dbg is None or not dbg.cursor:
            return None
        frame = dbg.records[dbg.cursor - 1].frame
        return frame[1] if len(frame) == 2 and frame[0] == loop.inside else None

    def _questions(self) -> list[str]:
        if _is_lab(self._source):
            return [q.tensor for q in self._source.questions if q.open]
        return sorted(debugger_of(self._source).holds)

    # ------------------------------------------------------------ one selection for all views of a session

    @traitlets.observe("layer", "t", "unit", "y", "x", "channel")
    def _pointed(self, _change: Any = None) -> None:
        """The cursor has moved here: the other views go along."""
        if not self._quiet and self._link is not None:
            self._link.set(by=self, **self._where())

    def _led(self, _changed: frozenset[str]) -> None:
        """Another view, a lab or Python has chosen something: go there, as far as this view can. What follows from it here is told nobody again."""
        link, self._link = self._link, None
        try:
            if link is not None:
                index = None if link.node is None else meant([n.name for n in self._nodes], link.node)
                if index is not None:
                    self.layer = index + 1
                self._go_where(link)
        except FlowError:       # a layer that a debugger has not come to, say: the view stays where it is
            pass
        finally:
            self._link = link

    def _chosen(self, chosen: Selection, part: str, count: int) -> int | None:
        """An index of the selection, if the layer on screen has it; a unit only where it is one of this very layer."""
        value = getattr(chosen, part)
        return None if value is None or value >= count or part == "unit" and not self._is_chosen(chosen) else value

    def _is_chosen(self, chosen: Selection) -> bool:
        return chosen.node is None or meant((self._node.name,), chosen.node) is not None

    # ------------------------------------------------------------ talking with the page

    def _answer(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "hello"}:
                place = self._place()
                if not self._asked:
                    self._show()
                if place.follows:
                    self._tell(place)
            case {"type": "picture"}:       # the page says what it drew
                if not self._asked:
                    with suppress(FlowError):       # and waits for no answer
                        self._picture.take(content.get("png"), content.get("width"), content.get("height"), repr(self))
            case _ if self._asked:
                raise FlowError(f"somebody is asked about {self._asked}: nothing is shown before that is answered.", hint="Answer it in the lab, or skip it.")
            case _:
                self._asks(content)

    def _asks(self, content: Mapping[str, Any]) -> None:
        """A message of this view's own page."""
        super()._answer(content)


class SequenceView(View):
    """A view of a layer that reads a sequence: its cursor is a timestep and a unit."""

    t = traitlets.Int(0).tag(sync=True)
    unit = traitlets.Int(0).tag(sync=True)

    _steps: int
    _units: int

    def _turned(self, t: int) -> int:
        """A place of the sequence for a timestep of the layer on screen, and the other way round."""
        raise NotImplementedError

    def _where(self) -> dict[str, Any]:
        return {"node": self._node.name, "unit": self.unit, "timestep": self._turned(self.t)}

    def _go_where(self, chosen: Selection) -> None:
        t, unit = self._chosen(chosen, "timestep", self._steps), self._chosen(chosen, "unit", self._units)
        if t is not None:
            self.t = self._turned(t)
        if unit is not None:
            self.unit = unit


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or a is not None and b is not None and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
