"""Document: what the editor holds. It may be half-wired; it carries layout, notes and feeds; it is read and written as versioned JSON."""
from __future__ import annotations

import base64
import binascii
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..control.body import Body
from ..core.composite import Composite
from ..core.errors import AttributeValueError, DocumentError, FetchError, FlowError, NoFileError, plural
from ..core.files import write_atomically
from ..core.graph import Graph, Node, check_part
from ..core.op import REGISTRY, Op
from ..core.types import DTYPES
from . import jsonio

VERSION = 4
OPEN_ENDS = 2               # the version that brought half-wired loops, and nothing else: a document without them is still written as the one before
QUESTIONS = 3               # and the one that brought questions before a step, with their answers
STORYBOARDS = 4             # and the one that brought storyboards, and what a class needs to begin where its teacher stood
MAX_NODES = 200_000
MAX_LOOPS = 16              # in one another
INLINE = 64                 # arrays up to this many elements are written as numbers that people can read
MAX_FEED_BYTES = 64 * 2**10  # larger feeds stay in the kernel: a document is not a data set
PHASES = ("forward", "backward", "update")
ASKED = ("shape", "value", "sign")      # what a question before a step can be about
VERDICTS = ("right", "nearly", "wrong", "skipped")
MOST_QUESTIONS, MOST_ANSWERS = 1000, 10_000
PANELS = ("code", "lanes")          # what a bookmark may show beside the canvas: the Python, the timeline by the clock
MOST_BOOKMARKS, MOST_SHOWN = 500, 1000
MAX_FIRINGS = 5_000_000             # that a bookmark may stand at

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: lambda data: data, 2: lambda data: data, 3: lambda data: data}
"""`MIGRATIONS[n]` turns a file of version n into one of version n + 1. In version 2 an end of a loop may be open: null among a body's outputs.
Version 3 has `questions` and `answers`, version 4 `storyboard` and `lecture`."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Edge(NamedTuple):
    """One wire. `port` is None for a control edge, and `output` is then 0."""

    src: str
    output: int
    dst: str
    port: str | None

    @property
    def id(self) -> str:
        return f"^{self.src}->{self.dst}" if self.port is None else f"{self.src}:{self.output}->{self.dst}:{self.port}"


@dataclass(frozen=True, slots=True, eq=False)
class DocNode:
    """One node of a document: its inputs are the wires that end in it, port → `"x:0"`."""

    id: int
    name: str
    op: str
    attrs: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    inputs: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    control: tuple[str, ...] = ()
    device: str | None = None
    phase: str = "forward"
    gradient_of: str | None = None

    @property
    def scope(self) -> str:
        return self.name.rpartition("/")[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DocNode) and (self is other or self.id == other.id and _content(self) == _content(other))

    __hash__ = None

    def __repr__(self) -> str:
        return f"{self.name} = {self.op}({', '.join(f'{p}={s}' for p, s in self.inputs.items())})"


@dataclass(frozen=True, slots=True, eq=False)
class DocBody:
    """The inside of a loop or branch, as a document holds it: nodes, and which tensors go in and come out.

    It may be half-wired: an output that is None is open, and what type an input has, `build` finds out from what is wired to it.
    """

    document: Document
    inputs: tuple[str, ...]
    outputs: tuple[str | None, ...]
    _made: list[Body] = field(default_factory=list, repr=False)
    _built: dict[Any, Any] = field(default_factory=dict, repr=False)    # what `build` made of it last, by the types of its inputs

    def as_body(self) -> Body:
        """The body as a graph; AttributeValueError with the first reason if it is not sound."""
        if not self._made:
            from .build import build

            if None in self.outputs:
                raise AttributeValueError("the body is not sound: one of its outputs is open.")
            body = Body(self.document.name)
            wrong = build(self.document, body).diagnostics
            if wrong:
                raise AttributeValueError(f"the body is not sound: {wrong[0].node}: {wrong[0].message}", hint=wrong[0].hint)
            try:
                body.inputs, body.outputs = tuple(map(body.tensor, self.inputs)), tuple(map(body.tensor, self.outputs))
            except FetchError as error:
                raise AttributeValueError(f"the body is not sound: {error.message}", hint=error.hint) from None
            if any(t.node.op.source != "placeholder" for t in body.inputs) or len(set(self.inputs)) < len(self.inputs):
                raise AttributeValueError("the inputs of a body are placeholders, each one once.")
            if any(n.op.source == "variable" or n.op.name == "Assign" for n in body.nodes):
                raise AttributeValueError("a body holds no variables: they come in from the graph around it.")
            body.closed = True
            self._made.append(body)
        return self._made[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DocBody) and _body_key(self) == _body_key(other)

    __hash__ = None


@dataclass(frozen=True, slots=True)
class Note:
    """A text on the canvas."""

    text: str
    x: float = 0.0
    y: float = 0.0


COLOURS = ("grey", "blue", "green", "orange", "red", "violet")


@dataclass(frozen=True, slots=True)
class Frame:
    """A titled box around nodes that belong together; it is as large as what is in it."""

    title: str
    colour: str = "grey"
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What a teacher asks before a step: the shape of a tensor (`"Square:0"`), its value, or its sign; `at` picks one element."""

    tensor: str
    kind: str                           # of ASKED
    at: tuple[int, ...] | None = None
    text: str = ""                      # in the teacher's own words
    open: bool = True                   # until it is answered or skipped

    @property
    def node(self) -> str:
        return self.tensor.rpartition(":")[0]

    @property
    def key(self) -> tuple:
        """What tells it from another."""
        return self.tensor, self.kind, self.at


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answered, and what was so. `verdict` is right, nearly, wrong or skipped."""

    tensor: str
    kind: str
    at: tuple[int, ...] | None
    answer: str                         # as it was typed
    truth: str
    verdict: str
    when: str                           # ISO 8601
    firing: int                         # the number of the firing that revealed it


@dataclass(frozen=True, slots=True)
class Bookmark:
    """One moment of a storyboard: what is said, where the run stands, and what is looked at."""

    title: str
    note: str = ""                              # Markdown, with formulas
    cursor: int | None = None                   # firings done, in the order in which Step fires; None: nothing runs
    after: str = ""                             # the node that fired last then: where another has, the run is no longer the same
    view: tuple[float, ...] | None = None       # the part of the canvas in sight: x, y, width, height
    shows: tuple[str, ...] = ()                 # the elements in it, which a screen of another shape frames
    folded: tuple[str, ...] | None = None       # the scopes that are folded; None: whichever are
    selected: tuple[str, ...] = ()
    tensor: str | None = None                   # the tensor on show, "x:0"
    into: str | None = None                     # the input at which the selected wire ends, "MatMul:a"
    panels: tuple[str, ...] = ()                # of PANELS


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A graph as it is being made: any of it may be missing or wrong, and `build` says what.

    Never changed in place: `flowlab.io.edits.apply(document, …)` gives the next one.
    """

    name: str = "untitled"
    nodes: Mapping[str, DocNode] = field(default_factory=lambda: _NOTHING)
    positions: Mapping[str, tuple[float, float]] = field(default_factory=lambda: _NOTHING)     # of what a person placed; the rest is laid out
    folded: frozenset[str] | None = None                      # None: small graphs open unfolded, large ones folded
    notes: tuple[Note, ...] = ()
    fetches: tuple[str, ...] = ()                             # nodes marked to be run
    feeds: Mapping[str, np.ndarray] = field(default_factory=lambda: _NOTHING)
    next_id: int = field(default=0)
    composites: Mapping[str, Composite] = field(default_factory=lambda: _NOTHING)           # scope → the function that it is one use of
    frames: tuple[Frame, ...] = ()
    bound: Mapping[str, str] = field(default_factory=lambda: _NOTHING)                      # placeholder or constant → the notebook's variable that it takes its value from
    questions: tuple[Question, ...] = ()                      # asked before the step that reveals the answer
    answers: tuple[Answer, ...] = ()                          # what was answered, in order
    storyboard: tuple[Bookmark, ...] = ()                     # moments that a lecture goes through

    @property
    def edges(self) -> Iterator[Edge]:
        """Every wire, control edges last for each node."""
        for node in self.nodes.values():
            for port, src in node.inputs.items():
                name, _, index = src.rpartition(":")
                yield Edge(name, int(index), node.name, port)
            for src in node.control:
                yield Edge(src, 0, node.name, None)

    @property
    def scopes(self) -> frozenset[str]:
        """Every scope that a node stands in."""
        found: set[str] = set()
        for name in self.nodes:
            scope = name.rpartition("/")[0]
            while scope and scope not in found:
                found.add(scope)
                scope = scope.rpartition("/")[0]
        return frozenset(found)

    @property
    def inside(self) -> frozenset[str]:
        """What stands inside the loops and branches, nodes and scopes, under the names that the canvas shows."""
        found: set[str] = set()
        for node in self.nodes.values():
            for value in node.attrs.values():
                if isinstance(value, DocBody) and node.scope:
                    found.update(f"{node.scope}/{name}" for name in (*value.document.nodes, *value.document.scopes, *value.document.inside))
        return frozenset(found)

    def same_graph(self, other: Document | Graph) -> bool:
        """True when both compute the same under the same names; ids, layout, order, notes and feeds don't count."""
        return same_graph(self, other)

    def to_json(self) -> dict[str, Any]:
        """The document as plain JSON values."""
        out: dict[str, Any] = {"flowlab": _version(self), "name": self.name, "nodes": [_node_json(n) for n in self.nodes.values()]}
        if self.positions:
            out["positions"] = {k: [x, y] for k, (x, y) in self.positions.items()}
        if self.folded is not None:
            out["folded"] = sorted(self.folded)
        if self.notes:
            out["notes"] = [{"text": n.text, "x": n.x, "y": n.y} for n in self.notes]
        if self.fetches:
            out["fetches"] = list(self.fetches)
        feeds = {k: encode(v) for k, v in self.feeds.items() if v.nbytes <= MAX_FEED_BYTES}
        if feeds:
            out["feeds"] = feeds
        if self.composites:
            out["composites"] = _composites_json(self)
        if self.frames:
            out["frames"] = [{"title": f.title, "colour": f.colour, "members": list(f.members)} for f in self.frames]
        if self.bound:
            out["bound"] = dict(self.bound)
        if self.questions:
            out["questions"] = [{"tensor": q.tensor, "kind": q.kind, **({"at": list(q.at)} if q.at is not None else {}), **({"text": q.text} if q.text else {}), "open": q.open}
                                for q in self.questions]
        if self.answers:
            out["answers"] = [{"tensor": a.tensor, "kind": a.kind, **({"at": list(a.at)} if a.at is not None else {}), "answer": a.answer, "truth": a.truth, "verdict": a.verdict,
                               "when": a.when, "firing": a.firing} for a in self.answers]
        if self.storyboard:
            out["storyboard"] = [_bookmark_json(b) for b in self.storyboard]
        return out

    def text(self) -> str:
        """The graph file's text: one node a line."""
        return text_of(self.to_json())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Document):
            return NotImplemented
        if self is other:
            return True
        return (self.name == other.name and list(self.nodes) == list(other.nodes) and all(self.nodes[k] == other.nodes[k] for k in self.nodes)
                and self.positions == other.positions and self.folded == other.folded and self.notes == other.notes
                and self.fetches == other.fetches and self.composites == other.composites
                and self.frames == other.frames and self.bound == other.bound and self.questions == other.questions and self.answers == other.answers and self.storyboard == other.storyboard
                and self.feeds.keys() == other.feeds.keys()
                and all(_key(self.feeds[k]) == _key(other.feeds[k]) for k in self.feeds))

    __hash__ = None

    def __repr__(self) -> str:
        return f"Document {self.name!r}: {plural(len(self.nodes), 'node')}, {plural(sum(len(n.inputs) for n in self.nodes.values()), 'wire')}"


# ---------------------------------------------------------------- from a graph


def document_of(graph: Graph) -> Document:
    """The graph as a document, node by node in creation order, ids kept."""
    nodes = {n.name: _doc_node(n) for n in graph.nodes}
    title = "".join(c for c in graph.name if c.isprintable()).strip()[:200]
    return Document(title or "untitled", MappingProxyType(nodes), next_id=id_after(nodes.values()),
                    composites=MappingProxyType(dict(graph.composites)))


def id_after(nodes: Iterable[DocNode]) -> int:
    """The first id that none of the nodes has, nor one inside their loops: a random number belongs to one node alone."""
    most = -1
    for node in nodes:
        most = max(most, node.id)
        for value in node.attrs.values():
            if isinstance(value, DocBody):
                most = max(most, id_after(value.document.nodes.values()) - 1)
    return most + 1


def renumbered(node: DocNode, first: int) -> tuple[DocNode, int]:
    """The node with ids from `first` on, for itself and what is inside it; and the next id."""
    attrs, next_id = dict(node.attrs), first + 1
    for key, value in node.attrs.items():
        if isinstance(value, DocBody):
            nodes = {}
            for inner in value.document.nodes.values():
                nodes[inner.name], next_id = renumbered(inner, next_id)
            attrs[key] = DocBody(replace(value.document, nodes=MappingProxyType(nodes)), value.inputs, value.outputs)
    return replace(node, id=first, attrs=MappingProxyType(attrs) if next_id > first + 1 else node.attrs), next_id


def _has_open_ends(document: Document) -> bool:
    return any(isinstance(v, DocBody) and (None in v.outputs or _has_open_ends(v.document)) for n in document.nodes.values() for v in n.attrs.values())


def _version(document: Document) -> int:
    """The version that the document is written as: the first that has all that is in it, so that an older flowlab reads what it can."""
    if VERSION > STORYBOARDS:
        return VERSION
    return STORYBOARDS if document.storyboard else QUESTIONS if document.questions or document.answers else OPEN_ENDS if _has_open_ends(document) else OPEN_ENDS - 1


def _doc_node(node: Node) -> DocNode:
    return DocNode(node.id, node.name, node.op.name, MappingProxyType({k: _plain(v, node.name, k) for k, v in node.attrs.items()}),
                   MappingProxyType({port: t.name for port, t in zip(node.ports, node.inputs)}), tuple(dict.fromkeys(c.name for c in node.control_inputs)),
                   node.device, node.phase, node.gradient_of)


def _plain(value: Any, node: str, attr: str) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return frozen(value)
    if isinstance(value, (tuple, list)):
        return tuple(_plain(v, node, attr) for v in value)
    if isinstance(value, Body):
        return DocBody(document_of(value), tuple(t.name for t in value.inputs), tuple(t.name for t in value.outputs), [value])
    raise DocumentError(f"{node}: {attr} is {type(value).__name__}, which a document cannot hold.", node=node, port=attr)


def frozen(array: np.ndarray) -> np.ndarray:
    """The array, or a copy of it, that nobody can write to any more."""
    if array.flags.writeable or array.base is not None:
        array = array.copy()
        array.flags.writeable = False
    return array


# ---------------------------------------------------------------- sameness


def same_graph(a: Document | Graph, b: Document | Graph) -> bool:
    """True when both have the same nodes under the same names, wired alike; creation order, ids, layout, notes and feeds don't count."""
    a, b = (x if isinstance(x, Document) else document_of(x) for x in (a, b))
    return a.nodes.keys() == b.nodes.keys() and all(_content(a.nodes[k]) == _content(b.nodes[k]) for k in a.nodes)


def _content(node: DocNode) -> tuple:
    return (node.op, _canonical_attrs(node), dict(node.inputs), frozenset(node.control), node.device, node.phase, node.gradient_of)


def same_attrs(a: Node, b: Node) -> bool:
    """True when two nodes of one operation have the same attributes, those inside their bodies too."""
    return _canonical_attrs(_doc_node(a)) == _canonical_attrs(_doc_node(b))


def _canonical_attrs(node: DocNode) -> dict[str, Any]:
    attrs: Mapping[str, Any] = node.attrs
    op = REGISTRY.get(node.op)
    if op is not None:
        try:
            attrs = normalized(op, attrs)
        except FlowError:
            pass  # what cannot be put in its standard form is compared as it stands
        if op.source == "variable":
            attrs = plain_start(attrs)
    return {k: _key(v) for k, v in attrs.items()}


def plain_start(attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    """A variable's attributes as `fl.variable` writes them: an array of zeros or ones says no more than the initializer of that name."""
    held = attrs.get("value")
    if attrs.get("initializer") == "constant" and isinstance(held, np.ndarray) and held.size:
        if not held.any() and not np.signbit(held.astype("float64")).any():
            return {**attrs, "initializer": "zeros", "value": None}
        if held.dtype.kind != "b" and bool((held == 1).all()):
            return {**attrs, "initializer": "ones", "value": None}
    return attrs


def normalized(op: Op, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """`op.normalize` for values from anywhere: whatever is wrong with them is an AttributeValueError."""
    try:
        return op.normalize(attrs)
    except FlowError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # a value of a kind that nobody thought of
        raise AttributeValueError(f"{op.word}: an attribute cannot be read: {error}.") from None


def _key(value: Any) -> Any:
    """A value that `==` compares wholly: arrays by dtype, shape and bits, True apart from 1, NaN equal to itself."""
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.name, value.shape, value.tobytes())
    if isinstance(value, (tuple, list)):
        return tuple(map(_key, value))
    if isinstance(value, float):
        return ("float", value.hex())
    if isinstance(value, (Body, DocBody)):
        return _body_key(value if isinstance(value, DocBody) else _plain(value, "", ""))
    return (type(value).__name__, value)


def _body_key(body: DocBody) -> tuple:
    inputs = {t.rpartition(":")[0] for t in body.inputs}
    # the type of an input is that of what is wired to it, whatever has been written down of it
    return ("body", body.inputs, body.outputs, {name: ("input",) if name in inputs and node.op == "Placeholder" else _content(node) for name, node in body.document.nodes.items()})


# ---------------------------------------------------------------- values as JSON


def encode(value: Any) -> Any:
    """An attribute's value as JSON."""
    if isinstance(value, np.ndarray):
        return encode_array(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, (tuple, list)):
        return [encode(v) for v in value]
    if isinstance(value, DocBody):
        return {"name": value.document.name, "inputs": list(value.inputs), "outputs": list(value.outputs), "nodes": [_node_json(n) for n in value.document.nodes.values()],
                **({"composites": _composites_json(value.document)} if value.document.composites else {})}
    return value


def encode_array(array: np.ndarray) -> dict[str, Any]:
    """`{"dtype", "shape", "data"}`: numbers in nested lists while they are few, finite and exact, else little-endian bytes in base64."""
    out: dict[str, Any] = {"dtype": array.dtype.name, "shape": list(array.shape)}
    if array.size <= INLINE and (array.dtype.kind == "b" or bool(np.all(np.isfinite(array))) and bool(np.all(np.abs(array.astype("float64")) < jsonio.EXACT))):
        numbers = numbers_of(array)
        if not array.size or np.array(numbers, dtype=array.dtype).tobytes() == np.ascontiguousarray(array).tobytes():
            return {**out, "data": numbers}
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return {**out, "data": base64.b64encode(little.tobytes()).decode("ascii")}


def numbers_of(array: np.ndarray) -> Any:
    """The array as nested lists, each float with the fewest digits that tell it from its neighbours in its own dtype."""
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        array = np.array([float(str(v)) for v in array.ravel()], dtype="float64").reshape(array.shape)
    return array.tolist()


def decode(value: Any, where: str = "value") -> Any:
    """An attribute's value from JSON; DocumentError for what is none."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return tuple(decode(v, where) for v in value)
    if isinstance(value, dict) and value.keys() == {"float"} and value["float"] in ("inf", "-inf", "nan"):
        return float(value["float"])
    if isinstance(value, dict) and value.keys() == {"dtype", "shape", "data"}:
        return decode_array(value, where)
    if isinstance(value, dict) and value.keys() - {"composites"} == {"name", "inputs", "outputs", "nodes"}:
        return _read_body(value, where)
    raise DocumentError(f"{where} is no value that an attribute can have.", hint="Arrays are {dtype, shape, data}.")


def decode_array(value: Any, where: str) -> np.ndarray:
    """The array behind `{"dtype", "shape", "data"}`; its size is checked against its bytes before anything is allocated."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data"}:
        raise DocumentError(f"{where} is not an array.", hint="Arrays are {dtype, shape, data}.")
    if value["dtype"] not in DTYPES:
        raise DocumentError(f"{where}: {_short(value['dtype'])} is not a dtype of flowlab.", hint=f"Use one of {', '.join(DTYPES)}.")
    dtype, shape, data = np.dtype(value["dtype"]), value["shape"], value["data"]
    if not isinstance(shape, list) or len(shape) > 32 or not all(type(d) is int and 0 <= d <= jsonio.EXACT for d in shape):
        raise DocumentError(f"{where}: {_short(shape)} is not an array's shape.")
    count = math.prod(shape)
    if isinstance(data, str):
        if len(data) > 4 * (count * dtype.itemsize // 3 + 2):
            raise DocumentError(f"{where}: the bytes are more than shape {tuple(shape)} takes.")
        try:
            raw = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise DocumentError(f"{where}: the data is not base64.") from None
        if len(raw) != count * dtype.itemsize:
            raise DocumentError(f"{where}: {len(raw)} bytes do not fill {dtype.name} {tuple(shape)}.")
        flat = np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)
        if dtype.kind == "b" and not np.all(np.frombuffer(raw, "uint8") <= 1):
            raise DocumentError(f"{where}: a bool is 0 or 1.")
    else:
        numbers = _flat(data, shape, where)
        if count != len(numbers):
            raise DocumentError(f"{where}: {len(numbers)} numbers do not fill {dtype.name} {tuple(shape)}.")
        kinds = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}[dtype.kind]
        if not all(type(v) in kinds for v in numbers):
            raise DocumentError(f"{where}: the numbers are not all {dtype.name}.")
        try:
            with np.errstate(over="ignore"):
                flat = np.array(numbers, dtype=dtype)
        except (OverflowError, ValueError):
            raise DocumentError(f"{where}: a number is beyond {dtype.name}.") from None
        if dtype.kind == "f" and not np.all(np.isfinite(flat)):
            raise DocumentError(f"{where}: a number is beyond {dtype.name}.")
    try:
        array = flat.reshape(shape)
    except ValueError:
        raise DocumentError(f"{where}: {_short(shape)} is not an array's shape.") from None
    return frozen(array)


def _flat(data: Any, shape: list[int], where: str) -> list[Any]:
    """The numbers of a nested list, level by level; every level must have its size."""
    level = [data]
    for size in shape:
        if not all(isinstance(item, list) and len(item) == size for item in level):
            raise DocumentError(f"{where}: the nested lists do not have the shape {tuple(shape)}.")
        level = [x for item in level for x in item]
        if not level:
            return []
    return level


# ---------------------------------------------------------------- the file


def text_of(data: Mapping[str, Any]) -> str:
    """The text of a graph file that holds these values: one node a line."""
    lines = ",\n  ".join(jsonio.dumps(n) for n in data["nodes"])
    parts = [f'"nodes": [\n  {lines}\n ]' if k == "nodes" and lines else f"{jsonio.dumps(k)}: {jsonio.dumps(v)}" for k, v in data.items()]
    return "{" + ",\n ".join(parts) + "}\n"


def _bookmark_json(made: Bookmark) -> dict[str, Any]:
    """The bookmark without what is as it would be anyway."""
    plain = Bookmark(made.title)
    held = {f: getattr(made, f) for f in Bookmark.__slots__}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in held.items() if k == "title" or v != getattr(plain, k)}


def _composites_json(document: Document) -> dict[str, Any]:
    return {k: {"function": c.function, "doc": c.doc, "inputs": dict(c.inputs), "outputs": dict(c.outputs),
                **({"ports": {p: list(inner) for p, inner in c.ports.items()}} if c.ports else {})} for k, c in document.composites.items()}


def _node_json(node: DocNode) -> dict[str, Any]:
    out: dict[str, Any] = {"id": node.id, "name": node.name, "op": node.op}
    if node.attrs:
        out["attrs"] = {k: encode(v) for k, v in node.attrs.items()}
    if node.inputs:
        out["inputs"] = dict(node.inputs)
    if node.control:
        out["control"] = list(node.control)
    if node.device is not None:
        out["device"] = node.device
    if node.phase != "forward":
        out["phase"] = node.phase
    if node.gradient_of is not None:
        out["gradient_of"] = node.gradient_of
    return out


def from_text(text: str | bytes, *, what: str = "the file") -> Document:
    """The document in a graph file's text; DocumentError for anything that is not a whole, sane document of a version that flowlab knows."""
    return from_json(jsonio.parse(text, what=what))


def from_json(data: Any) -> Document:
    """The document in plain JSON values, checked field by field."""
    if not isinstance(data, dict) or "flowlab" not in data:
        raise DocumentError("this is not a flowlab document.", hint='It starts with {"flowlab": 1, …}.')
    version = data["flowlab"]
    if type(version) is not int or version < 1 and version not in MIGRATIONS:
        raise DocumentError(f"{_short(version)} is not a version of the document format.", hint=f"This flowlab writes version {VERSION}.")
    if version > VERSION:
        raise DocumentError(f"this document has version {version}, and this flowlab reads up to {VERSION}.", hint="Upgrade: pip install -U flowlab.")
    while version < VERSION:
        data, version = MIGRATIONS[version](data), version + 1
    fields = {"flowlab", "name", "nodes", "positions", "folded", "notes", "fetches", "feeds", "composites", "frames", "bound", "questions", "answers", "storyboard", "lecture"}
    _known(data, fields, "the document")
    made = _read_nodes(data, "")
    if "lecture" in data:
        read_moment(data["lecture"], made.nodes)
    return replace(made, **_read_rest(data, made.nodes, made.scopes, made.inside))


def _read_nodes(data: dict[str, Any], where: str) -> Document:
    """Name and nodes of a document or of a body in one, wired only among themselves."""
    title = _text(data.get("name", "untitled"), f"{where}name", 200)
    if not title.isprintable():
        raise DocumentError(f"{where}name holds control characters.")
    rows = data.get("nodes", [])
    if not isinstance(rows, list):
        raise DocumentError(f"{where}nodes is not a list.")
    if len(rows) > MAX_NODES:
        raise DocumentError(f"the document has {len(rows):,} nodes, more than the {MAX_NODES:,} that flowlab opens.")
    nodes: dict[str, DocNode] = {}
    ids: set[int] = set()
    for k, row in enumerate(rows):
        node = _read_node(row, f"{where}nodes[{k}]")
        if node.name in nodes:
            raise DocumentError(f"two nodes are named {node.name!r}.", node=node.name)
        if node.id in ids:
            raise DocumentError(f"{where}nodes[{k}]: the id {node.id} is used twice.", node=node.name)
        nodes[node.name] = node
        ids.add(node.id)
    made = Document(title, MappingProxyType(nodes), next_id=id_after(nodes.values()))
    for name in made.scopes & nodes.keys():
        raise DocumentError(f"{name!r} is a node and a scope.", node=name, hint="A node and a scope never share a name.")
    for node in nodes.values():
        for src in node.inputs.values():
            if src.rpartition(":")[0] not in nodes:
                raise DocumentError(f"{node.name}: there is no node {src.rpartition(':')[0]!r} to wire from.", node=node.name)
        for name in node.control:
            if name not in nodes:
                raise DocumentError(f"{node.name}: there is no node {name!r} to wait for.", node=node.name)
    return made


def _read_body(data: dict[str, Any], where: str) -> DocBody:
    """The inside of a loop or branch."""
    if where.count("].attrs.") > MAX_LOOPS:
        raise DocumentError(f"loops and branches stand in one another more than {MAX_LOOPS} deep.")
    made = _read_nodes(data, f"{where}.")
    made = replace(made, composites=_read_composites(data.get("composites", {}), made.nodes, made.scopes))
    ends = []
    for key in ("inputs", "outputs"):
        names = data[key]
        if not isinstance(names, list) or len(names) > 10_000:
            raise DocumentError(f"{where}.{key} is not a list of tensors.")
        ends.append(tuple(None if n is None and key == "outputs" else read_tensor(n, f"{where}.{key}[{k}]") for k, n in enumerate(names)))
        for name in ends[-1]:
            if name is not None and name.rpartition(":")[0] not in made.nodes:
                raise DocumentError(f"{where}.{key}: there is no node {_short(name.rpartition(':')[0])}.")
    return DocBody(made, *ends)


def _read_node(row: Any, where: str) -> DocNode:
    if not isinstance(row, dict):
        raise DocumentError(f"{where} is not an object.")
    _known(row, {"id", "name", "op", "attrs", "inputs", "control", "device", "phase", "gradient_of"}, where)
    if not row.keys() >= {"id", "name", "op"}:
        raise DocumentError(f"{where} lacks {', '.join(k for k in ('id', 'name', 'op') if k not in row)}.")
    name = read_name(row["name"], f"{where}.name")
    number = row["id"]
    if type(number) is not int or not 0 <= number < jsonio.EXACT:
        raise DocumentError(f"{where}.id: {_short(number)} is not an id.", node=name)
    attrs = _object(row.get("attrs", {}), f"{where}.attrs")
    inputs = _object(row.get("inputs", {}), f"{where}.inputs")
    control = row.get("control", [])
    if not isinstance(control, list):
        raise DocumentError(f"{where}.control is not a list.")
    phase = row.get("phase", "forward")
    if phase not in PHASES:
        raise DocumentError(f"{where}.phase: {_short(phase)} is not one of {', '.join(PHASES)}.", node=name)
    device, gradient_of = row.get("device"), row.get("gradient_of")
    return DocNode(
        number, name, _text(row["op"], f"{where}.op", 100),
        MappingProxyType({_text(k, f"{where}.attrs", 100): decode(v, f"{where}.attrs.{k[:40]}") for k, v in attrs.items()}),
        MappingProxyType({_port(k, f"{where}.inputs"): read_tensor(v, f"{where}.inputs.{k[:40]}") for k, v in inputs.items()}),
        tuple(dict.fromkeys(read_name(c, f"{where}.control") for c in control)),
        None if device is None else _text(device, f"{where}.device", 100), phase,
        None if gradient_of is None else read_name(gradient_of, f"{where}.gradient_of"))


def _read_rest(data: dict[str, Any], nodes: Mapping[str, DocNode], scopes: frozenset[str], inside: frozenset[str]) -> dict[str, Any]:
    """Layout, folds, notes, fetches and feeds; what belongs to no node any more is left out, it cannot matter."""
    positions = {}
    for name, place in _object(data.get("positions", {}), "positions").items():
        positions[name] = read_place(place, f"positions.{name[:40]}")
    folded = data.get("folded")
    if folded is not None and not (isinstance(folded, list) and all(isinstance(f, str) for f in folded)):
        raise DocumentError("folded is not a list of scopes.")
    notes = []
    rows = data.get("notes", [])
    if not isinstance(rows, list) or len(rows) > 10_000:
        raise DocumentError("notes is not a list of notes.")
    for k, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != {"text", "x", "y"}:
            raise DocumentError(f"notes[{k}] is not {{text, x, y}}.")
        notes.append(Note(_text(row["text"], f"notes[{k}].text", 20_000), *read_place([row["x"], row["y"]], f"notes[{k}]")))
    fetches = data.get("fetches", [])
    if not isinstance(fetches, list) or not all(isinstance(f, str) and f in nodes for f in fetches):
        raise DocumentError("fetches is not a list of the document's nodes.")
    feeds = {}
    for name, value in _object(data.get("feeds", {}), "feeds").items():
        if name not in nodes:
            raise DocumentError(f"feeds: there is no node {name[:40]!r}.")
        feeds[name] = decode_array(value, f"feeds.{name[:40]}")
    return {"positions": MappingProxyType({k: v for k, v in positions.items() if k in nodes or k in scopes or k in inside}),
            "folded": None if folded is None else frozenset(folded) & (scopes | inside), "notes": tuple(notes),
            "fetches": tuple(dict.fromkeys(fetches)), "feeds": MappingProxyType(feeds), "composites": _read_composites(data.get("composites", {}), nodes, scopes),
            "frames": _read_frames(data.get("frames", []), nodes, scopes | inside), "bound": _read_bound(data.get("bound", {}), nodes),
            "questions": _read_questions(data.get("questions", []), nodes, inside), "answers": _read_answers(data.get("answers", [])),
            "storyboard": _read_storyboard(data.get("storyboard", []), lambda name: name in nodes or name in scopes or name in inside)}


def _read_frames(rows: Any, nodes: Mapping[str, DocNode], scopes: frozenset[str]) -> tuple[Frame, ...]:
    """The frames that still have something in them."""
    if not isinstance(rows, list) or len(rows) > 10_000:
        raise DocumentError("frames is not a list of frames.")
    out = []
    for k, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != {"title", "colour", "members"} or not isinstance(row["members"], list):
            raise DocumentError(f"frames[{k}] is not {{title, colour, members}}.")
        if row["colour"] not in COLOURS:
            raise DocumentError(f"frames[{k}]: {_short(row['colour'])} is not a colour of a frame.", hint=f"Use one of {', '.join(COLOURS)}.")
        members = tuple(dict.fromkeys(m for m in row["members"] if isinstance(m, str) and (m in nodes or m in scopes)))
        if members:
            out.append(Frame(_text(row["title"], f"frames[{k}].title", 200), row["colour"], members))
    return tuple(out)


def _read_bound(data: Any, nodes: Mapping[str, DocNode]) -> Mapping[str, str]:
    out = {}
    for name, variable in _object(data, "bound").items():
        if name not in nodes:
            raise DocumentError(f"bound: there is no node {name[:40]!r}.")
        out[name] = read_variable(variable, f"bound.{name[:40]}")
    return MappingProxyType(out)


def _read_questions(rows: Any, nodes: Mapping[str, DocNode], inside: frozenset[str]) -> tuple[Question, ...]:
    """The questions about what is still there."""
    if not isinstance(rows, list) or len(rows) > MOST_QUESTIONS:
        raise DocumentError(f"questions is not a list of at most {MOST_QUESTIONS:,} questions.")
    out: dict[tuple, Question] = {}
    for k, row in enumerate(rows):
        row, where = _object(row, f"questions[{k}]"), f"questions[{k}]"
        _known(row, {"tensor", "kind", "at", "text", "open"}, where)
        if type(row.get("open", True)) is not bool:
            raise DocumentError(f"{where}.open is not true or false.")
        made = Question(read_tensor(row.get("tensor"), f"{where}.tensor"), _one_of(row.get("kind"), ASKED, f"{where}.kind"), read_at(row.get("at"), f"{where}.at"),
                        _text(row.get("text", ""), f"{where}.text", 2000), row.get("open", True))
        if made.node in nodes or made.node in inside:
            out[made.key] = made
    return tuple(out.values())


def _read_answers(rows: Any) -> tuple[Answer, ...]:
    if not isinstance(rows, list) or len(rows) > MOST_ANSWERS:
        raise DocumentError(f"answers is not a list of at most {MOST_ANSWERS:,} answers.")
    out = []
    for k, row in enumerate(rows):
        row, where = _object(row, f"answers[{k}]"), f"answers[{k}]"
        _known(row, {"tensor", "kind", "at", "answer", "truth", "verdict", "when", "firing"}, where)
        firing = row.get("firing", 0)
        if type(firing) is not int or not 0 <= firing < jsonio.EXACT:
            raise DocumentError(f"{where}.firing is not the number of a firing.")
        out.append(Answer(read_tensor(row.get("tensor"), f"{where}.tensor"), _one_of(row.get("kind"), ASKED, f"{where}.kind"), read_at(row.get("at"), f"{where}.at"),
                          *(_text(row.get(field, ""), f"{where}.{field}", 100_000) for field in ("answer", "truth")), _one_of(row.get("verdict"), VERDICTS, f"{where}.verdict"),
                          _text(row.get("when", ""), f"{where}.when", 40), firing))
    return tuple(out)


def _read_storyboard(rows: Any, there: Callable[[str], bool]) -> tuple[Bookmark, ...]:
    if not isinstance(rows, list) or len(rows) > MOST_BOOKMARKS:
        raise DocumentError(f"storyboard is not a list of at most {MOST_BOOKMARKS} bookmarks.")
    return tuple(read_bookmark(row, f"storyboard[{k}]", there) for k, row in enumerate(rows))


def read_bookmark(row: Any, where: str, there: Callable[[str], bool]) -> Bookmark:
    """A bookmark, checked field by field; names of what is not `there` any more are left out."""
    row = _object(row, where)
    _known(row, set(Bookmark.__slots__), where)
    title = _text(row.get("title"), f"{where}.title", 200)
    if not title.strip() or not title.isprintable():
        raise DocumentError(f"{where}.title is empty, or holds control characters.")
    panels = names_in(row.get("panels"), f"{where}.panels") or ()
    if any(p not in PANELS for p in panels):
        raise DocumentError(f"{where}.panels: one is not of {', '.join(PANELS)}.")

    def names(key: str) -> tuple[str, ...] | None:
        found = names_in(row.get(key), f"{where}.{key}")
        return None if found is None else tuple(n for n in found if there(n))

    def end(key: str) -> str | None:
        found = None if row.get(key) is None else _text(row[key], f"{where}.{key}", 2200)
        return found if found is not None and there(found.rpartition(":")[0]) else None

    return Bookmark(title, _text(row.get("note", ""), f"{where}.note", 20_000), read_firing(row.get("cursor"), f"{where}.cursor"), _text(row.get("after", ""), f"{where}.after", 2000),
                    read_view(row.get("view"), f"{where}.view"), names("shows") or (), names("folded"), names("selected") or (), end("tensor"), end("into"), panels)


def names_in(value: Any, where: str) -> tuple[str, ...] | None:
    """A list of names, each once; None for none."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) > MAX_NODES or not all(isinstance(v, str) and len(v) <= 2000 for v in value):
        raise DocumentError(f"{where} is not a list of names.")
    return tuple(dict.fromkeys(value))


def read_firing(value: Any, where: str) -> int | None:
    """How many firings are done; None where nothing runs."""
    if value is not None and (type(value) is not int or not 0 <= value <= MAX_FIRINGS):
        raise DocumentError(f"{where}: {_short(value)} is not a number of firings up to {MAX_FIRINGS:,}.")
    return value


def read_view(value: Any, where: str) -> tuple[float, ...] | None:
    """`[x, y, width, height]` of a part of the canvas."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 4 or not all(type(v) in (int, float) and abs(v) <= 1e7 for v in value) or not (value[2] > 0 and value[3] > 0):
        raise DocumentError(f"{where}: {_short(value)} is not a part of the canvas [x, y, width, height].")
    return tuple(map(float, value))


def read_moment(data: Any, nodes: Mapping[str, DocNode]) -> dict[str, Any]:
    """What a file holds of the moment that it was saved at: `cursor`, `at` (the bookmark on show), `seed`, `run` and `variables`, arrays by name."""
    row = _object(data, "lecture")
    _known(row, {"cursor", "at", "seed", "run", "variables"}, "lecture")
    seed, run, at = row.get("seed", 0), row.get("run", 0), row.get("at")
    if type(seed) is not int or abs(seed) >= jsonio.EXACT:
        raise DocumentError(f"lecture.seed: {_short(seed)} is not a whole number.")
    if type(run) is not int or not 0 <= run < jsonio.EXACT:
        raise DocumentError(f"lecture.run: {_short(run)} is not the number of a run.")
    if at is not None and (type(at) is not int or not 0 <= at < MOST_BOOKMARKS):
        raise DocumentError(f"lecture.at: {_short(at)} is not the number of a bookmark.")
    values = {}
    for name, value in _object(row.get("variables", {}), "lecture.variables").items():
        if name not in nodes or nodes[name].op != "Variable":
            raise DocumentError(f"lecture.variables: there is no variable {name[:40]!r}.")
        values[name] = decode_array(value, f"lecture.variables.{name[:40]}")
    return {"cursor": read_firing(row.get("cursor"), "lecture.cursor"), "at": at, "seed": seed, "run": run, "variables": MappingProxyType(values)}


def _one_of(value: Any, words: tuple[str, ...], where: str) -> str:
    if not isinstance(value, str) or value not in words:
        raise DocumentError(f"{where}: {_short(value)} is not one of {', '.join(words)}.")
    return value


def read_at(value: Any, where: str) -> tuple[int, ...] | None:
    """The index of an element, a number for each axis; None for all of them."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) > 32 or not all(type(k) is int and abs(k) < jsonio.EXACT for k in value):
        raise DocumentError(f"{where}: {_short(value)} is not an element such as [0, 1].", hint="Give a whole number for each axis.")
    return tuple(value)


def read_variable(value: Any, where: str) -> str:
    """The name of a variable of Python: one word, no expression."""
    if not isinstance(value, str) or len(value) > 100 or not value.isidentifier() or value.startswith("__"):
        raise DocumentError(f"{where}: {_short(value)} is not the name of a variable.", hint="Write one word, such as images.")
    return value


def _read_composites(data: Any, nodes: Mapping[str, DocNode], scopes: frozenset[str]) -> Mapping[str, Composite]:
    """scope → composite; those of scopes that are no more are left out."""
    out = {}
    for scope, row in _object(data, "composites").items():
        where = f"composites.{scope[:40]}"
        row = _object(row, where)
        _known(row, {"function", "doc", "inputs", "outputs", "ports"}, where)
        name = _text(row.get("function"), f"{where}.function", 200)
        if not name.isprintable():
            raise DocumentError(f"{where}.function holds control characters.")
        ports: dict[str, dict[str, str]] = {}
        for side in ("inputs", "outputs"):
            given = _object(row.get(side, {}), f"{where}.{side}")
            if len(given) > 10_000:
                raise DocumentError(f"{where}.{side} has {len(given):,} ports.")
            ports[side] = {_port(k, f"{where}.{side}"): read_tensor(v, f"{where}.{side}.{k[:40]}") for k, v in given.items()}
            gone = next((v for v in ports[side].values() if v.rpartition(":")[0] not in nodes), None)
            if gone is not None:
                raise DocumentError(f"{where}.{side}: there is no node {gone.rpartition(':')[0]!r}.")
        inner: dict[str, tuple[str, ...]] = {}
        for port, inside in _object(row.get("ports", {}), f"{where}.ports").items():
            if not isinstance(inside, list) or not inside or not all(isinstance(i, str) and i.rpartition(":")[0] in nodes and i.startswith(f"{scope}/") for i in inside):
                raise DocumentError(f"{where}.ports.{port[:40]} is not a list of inputs inside {_short(scope)}.")
            inner[_port(port, f"{where}.ports")] = tuple(f"{i.rpartition(':')[0]}:{_port(i.rpartition(':')[2], f'{where}.ports')}" for i in inside)
        if scope in scopes:
            out[scope] = Composite(name, _text(row.get("doc", ""), f"{where}.doc", 20_000), MappingProxyType(ports["inputs"]), MappingProxyType(ports["outputs"]), MappingProxyType(inner))
    return MappingProxyType(out)


def read_name(value: Any, where: str) -> str:
    """A node's full name."""
    if not isinstance(value, str) or len(value) > 2000:
        raise DocumentError(f"{where}: {_short(value)} is not a name.")
    for part in value.split("/"):
        try:
            check_part(part, value)
        except FlowError as error:
            raise DocumentError(f"{where}: {error.message}", hint=error.hint) from None
    return value


def read_tensor(value: Any, where: str) -> str:
    """`"x:0"`: a node's name and the number of an output."""
    name, _, index = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not (index.isascii() and index.isdigit() and len(index) <= 4 and str(int(index)) == index):
        raise DocumentError(f'{where}: {_short(value)} is not an output such as "x:0".')
    return f"{read_name(name, where)}:{index}"


def read_place(value: Any, where: str) -> tuple[float, float]:
    """`[x, y]`, finite and not beyond what a canvas can show."""
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(type(v) in (int, float) and abs(v) <= 1e7 for v in value):
        raise DocumentError(f"{where}: {_short(value)} is not a place [x, y].")
    return float(value[0]), float(value[1])


def _port(value: str, where: str) -> str:
    if not value or len(value) > 100 or not value.isprintable() or ":" in value:
        raise DocumentError(f"{where}: {_short(value)} is not a port.")
    return value


def _text(value: Any, where: str, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise DocumentError(f"{where} is not a text of at most {most} characters.")
    return value


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DocumentError(f"{where} is not an object.")
    return value


def _known(row: dict[str, Any], fields: set[str], where: str) -> None:
    for key in row:
        if key not in fields:
            raise DocumentError(f"{where} has an unknown field {_short(key)}.", hint=f"Known: {', '.join(sorted(fields))}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


# ---------------------------------------------------------------- disk


def file_bytes(document: Document) -> bytes:
    """The graph file of a document; DocumentError when `read_bounded` would refuse it: a file that nobody can open keeps nothing."""
    return bytes_of(document.to_json())


def bytes_of(values: Mapping[str, Any]) -> bytes:
    """The graph file with these values; DocumentError when it is too large to be read."""
    try:
        data = text_of(values).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DocumentError(f"the document holds half of a character (a lone surrogate) in {_short(error.object[max(error.start - 20, 0):error.end])}.",
                            hint="Write that text again.") from None
    if len(data) > jsonio.MAX_BYTES:
        raise DocumentError(f"the document takes {len(data) >> 20} MB as a file, and flowlab reads up to {jsonio.MAX_BYTES >> 20} MB.",
                            hint="Make large constants placeholders, and start large variables from an initializer; Session.save keeps their values.")
    return data


def read_bounded(path: str | os.PathLike[str]) -> bytes:
    """The file's bytes; DocumentError when it is larger than a document can be, or no file."""
    if not Path(path).is_file() and Path(path).exists():     # before it is opened: a pipe would wait for somebody to write
        raise DocumentError(f"{os.fspath(path)} is not a file.")
    try:
        file = open(path, "rb")     # closed by the with below
    except FileNotFoundError:
        raise NoFileError(f"there is no file {os.fspath(path)!r}.") from None
    with file:
        data = file.read(jsonio.MAX_BYTES + 1)
    if len(data) > jsonio.MAX_BYTES:
        raise DocumentError(f"{os.fspath(path)} is larger than the {jsonio.MAX_BYTES >> 20} MB that flowlab reads.")
    return data


def save(graph: Graph | Document, path: str | os.PathLike[str]) -> None:
    """Write a graph or document to a file such as `"net.flow.json"`; the old file stays whole until the new one is.

    The path is used as it is given: `.flow.json` is the usual ending, by which others know the file, and is not added.
    DocumentError if it would be larger than `load` reads.
    """
    document = graph if isinstance(graph, Document) else document_of(graph)
    write_atomically(path, file_bytes(document))


def load_document(path: str | os.PathLike[str]) -> Document:
    """Read a graph file as a Document, half-wired or not; DocumentError if it is damaged, newer or hostile."""
    return from_text(read_bounded(path), what=Path(path).name)


def load(path: str | os.PathLike[str]) -> Graph:
    """Read a graph file as a Graph; DocumentError with the first reasons if any part of it is not sound."""
    from .build import build

    built = build(load_document(path))
    wrong = built.diagnostics
    if wrong:
        more = f" (and {len(wrong) - 2} more)" if len(wrong) > 2 else ""
        raise DocumentError(f"{Path(path).name} is not sound: " + " ".join(f"{d.node}: {d.message}" for d in wrong[:2]) + more, node=wrong[0].node, port=wrong[0].port,
                            axis=wrong[0].axis, hint="fl.load_document opens it as it is, for fl.Editor to repair.")
    return built.graph
