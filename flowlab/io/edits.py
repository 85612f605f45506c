"""Edits: every change to a document as a small frozen record, and `apply`, which gives the document after it."""
from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, CycleError, DocumentError, FeedError, FlowError, NameTakenError
from ..core.graph import check_part
from ..core.op import Attr, Op, get_op, held_by, no_array_hint
from ..core.types import dtype_of, shape_text
from ..ops.state import parse_initializer
from . import inside, jsonio, making
from .document import (
    ASKED,
    COLOURS,
    MAX_NODES,
    MOST_BOOKMARKS,
    MOST_QUESTIONS,
    Bookmark,
    DocBody,
    DocNode,
    Document,
    Frame,
    Note,
    Question,
    decode,
    encode,
    frozen,
    names_in,
    normalized,
    numbers_of,
    plain_start,
    read_at,
    read_bookmark,
    read_place,
    read_variable,
    read_view,
)
from .loops import STATE, TIMESTEP, flat, loops_of

MAX_VALUE_TEXT = 1_000_000
MAX_FILLED = 1_000_000    # elements of a variable that one typed number fills


@dataclass(frozen=True, slots=True)
class AddNode:
    """Put an operation on the canvas; without a name it takes its type, then `_1`, `_2`, in its scope."""
    op: str
    name: str | None = None
    x: float | None = None
    y: float | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""


@dataclass(frozen=True, slots=True)
class RemoveNodes:
    """Take nodes away, and the wires that end or start at them; a scope's name takes all that is in it."""
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connect:
    """Wire an output (`"x:0"`) to an input (`"MatMul:a"`); an occupied input gives up its wire."""
    src: str
    dst: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Cut the wire that ends at an input."""
    dst: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Give a node, or a whole scope, another name; its wires stay."""
    name: str
    to: str


@dataclass(frozen=True, slots=True)
class SetAttr:
    """Set an attribute; text is read as people type it: a shape `batch, 3`, a dtype, JSON for values, `normal(0, 0.1)`."""
    node: str
    attr: str
    value: Any


@dataclass(frozen=True, slots=True)
class SetFeed:
    """Feed a placeholder the value that the text spells in JSON; an empty text takes the feed away."""
    node: str
    text: str


@dataclass(frozen=True, slots=True)
class Move:
    """Place nodes or folded scopes on the canvas."""
    positions: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class MarkFetch:
    """Mark a node to be run, or take the mark away."""
    name: str
    on: bool = True


@dataclass(frozen=True, slots=True)
class SetTitle:
    """Name the document."""
    title: str


@dataclass(frozen=True, slots=True)
class AddControl:
    """Let `dst` fire only after `src`, with no value passing."""
    src: str
    dst: str


@dataclass(frozen=True, slots=True)
class RemoveControl:
    """Take a control edge away."""
    src: str
    dst: str


@dataclass(frozen=True, slots=True)
class Group:
    """Make a composite of nodes and scopes: a scope with a signature, `block` if it is given no name."""
    names: tuple[str, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Ungroup:
    """Unpack a composite or any other scope: its nodes stand where it stood."""
    name: str


@dataclass(frozen=True, slots=True)
class AddComposite:
    """Add another use of a composite, which stands in the scope `of`: fresh nodes, its inputs open."""
    of: str
    name: str | None = None
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Copy nodes with the wires between them, under fresh names; `places` says where the copy of a node or folded scope stands."""
    names: tuple[str, ...]
    places: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Paste:
    """Add the nodes that a clipboard's text holds (`flowlab.io.making.clip_text` writes it), all of them or none, from a place on."""
    text: str
    scope: str = ""
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True, slots=True)
class Bypass:
    """Take a node out; what it fed takes the first of its inputs that fits."""
    name: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Put a node into a wire: a new one of the operation `op`, or the one named `node`."""
    edge: str
    op: str | None = None
    node: str | None = None
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True, slots=True)
class Differentiate:
    """Add the gradient of a scalar (`"loss:0"`) by every trainable variable that it depends on."""
    tensor: str


@dataclass(frozen=True, slots=True)
class PutNote:
    """Write a note (Markdown) at a place; `index` is the note to change, None adds one."""
    text: str
    x: float | None = None
    y: float | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class RemoveNote:
    """Take a note away."""
    index: int


@dataclass(frozen=True, slots=True)
class PutFrame:
    """Put a titled, coloured frame around nodes and scopes; `index` is the frame to change, which without names keeps what is in it."""
    title: str
    colour: str = "grey"
    names: tuple[str, ...] = ()
    index: int | None = None


@dataclass(frozen=True, slots=True)
class RemoveFrame:
    """Take a frame away; what is in it stays."""
    index: int


@dataclass(frozen=True, slots=True)
class Bind:
    """Let a placeholder or constant take its value from a variable of the notebook when a run starts; an empty name lets it go."""
    node: str
    variable: str


@dataclass(frozen=True, slots=True)
class PutQuestion:
    """Ask for the shape, value or sign of a tensor (`"Square:0"`) before the step that gives it; `at` picks one element. A question that was answered is asked again."""
    tensor: str
    kind: str
    at: tuple[int, ...] | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class RemoveQuestion:
    """Ask that no more; what was answered stays."""
    tensor: str
    kind: str
    at: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class PutBookmark:
    """Put a moment at the end of the storyboard, or in the place of bookmark `index`; the fields are those of `flowlab.io.document.Bookmark`."""
    title: str
    note: str = ""
    cursor: int | None = None
    after: str = ""
    view: tuple[float, ...] | None = None
    shows: tuple[str, ...] = ()
    folded: tuple[str, ...] | None = None
    selected: tuple[str, ...] = ()
    tensor: str | None = None
    into: str | None = None
    panels: tuple[str, ...] = ()
    index: int | None = None


@dataclass(frozen=True, slots=True)
class WriteBookmark:
    """Give a bookmark another title, another note, or both."""
    index: int
    title: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class MoveBookmark:
    """Let a bookmark come at another place of the storyboard, counted from 0."""
    index: int
    to: int


@dataclass(frozen=True, slots=True)
class RemoveBookmark:
    """Take a moment out of the storyboard."""
    index: int


Edit = AddNode | RemoveNodes | Connect | Disconnect | Rename | SetAttr | SetFeed | Move | MarkFetch | SetTitle | AddControl | RemoveControl
Edit |= Group | Ungroup | AddComposite | Duplicate | Paste | Bypass | Insert | Differentiate | PutNote | RemoveNote | PutFrame | RemoveFrame | Bind | PutQuestion | RemoveQuestion
Edit |= PutBookmark | WriteBookmark | MoveBookmark | RemoveBookmark
TAGS: dict[str, type] = {c.__name__: c for c in (
    AddNode, RemoveNodes, Connect, Disconnect, Rename, SetAttr, SetFeed, Move, MarkFetch, SetTitle, AddControl, RemoveControl,
    Group, Ungroup, AddComposite, Duplicate, Paste, Bypass, Insert, Differentiate, PutNote, RemoveNote, PutFrame, RemoveFrame, Bind,
    PutQuestion, RemoveQuestion, PutBookmark, WriteBookmark, MoveBookmark, RemoveBookmark)}


def apply(document: Document, *edits: Edit) -> Document:
    """The document after the edits, in order; if one of them cannot be made, none is, and its error says why."""
    draft = _Draft(document)
    for edit in edits:
        draft.apply(edit)
    after = draft.document()
    if after is not document and draft.loops:
        after = inside.mended(after)
    return with_marks(document, after) if after.questions or after.answers or after.storyboard else after


def with_marks(before: Document, after: Document) -> Document:
    """Questions, answers and bookmarks follow their nodes to other names; a question about what is gone goes too, an answer is kept as it was."""
    if after.nodes is before.nodes:
        return after
    here = flat(after).nodes
    now = {n.id: n.name for n in here.values()}
    moved = {n.name: now.get(n.id) for n in flat(before).nodes.values()}
    if all(old == new for old, new in moved.items()):
        return after

    def follow(tensor: str) -> str | None:
        name, _, output = tensor.rpartition(":")
        found = moved.get(name) or (name if name in here else None)
        return f"{found}:{output}" if found is not None else None

    first: dict[str, str] = {}      # scope → the first node in it
    for node in moved if after.storyboard else ():
        scope = node.rpartition("/")[0]
        while scope and scope not in first:
            first[scope] = node
            scope = scope.rpartition("/")[0]

    def follow_name(name: str) -> str | None:
        """A node, or a scope: it is where the first node in it has gone, if that keeps its name there."""
        if name in moved:
            return moved[name]
        inside = first.get(name)
        found = moved[inside] if inside is not None else None
        return found.removesuffix(inside[len(name):]) if found is not None and found.endswith(inside[len(name):]) else None

    def followed(mark: Bookmark) -> Bookmark:
        names = {field: tuple(dict.fromkeys(found for n in getattr(mark, field) or () if (found := follow_name(n)) is not None)) for field in ("shows", "selected", "folded")}
        name, _, port = (mark.into or "").rpartition(":")
        into = follow_name(name)
        return replace(mark, after=moved.get(mark.after) or mark.after, shows=names["shows"], selected=names["selected"], folded=None if mark.folded is None else names["folded"],
                       tensor=None if mark.tensor is None else follow(mark.tensor), into=None if into is None else f"{into}:{port}")

    return replace(after, storyboard=tuple(map(followed, after.storyboard)), questions=tuple(replace(q, tensor=found) for q in after.questions if (found := follow(q.tensor)) is not None),
                   answers=tuple(replace(a, tensor=follow(a.tensor) or a.tensor) for a in after.answers))


def output_of(document: Document, text: str) -> str:
    """`"x:0"` for the output that a text names by number or by name; DocumentError if there is none."""
    return _Draft(document).output(text)


def refuse_cycle(document: Document, src: str, dst: str, port: str | None) -> None:
    """CycleError if node `src` waits for node `dst`."""
    _Draft(document).refuse_cycle(src, dst, port)


# ---------------------------------------------------------------- to and from the page


def edit_to_json(edit: Edit) -> dict[str, Any]:
    """The edit as plain JSON, tagged with its name."""
    out: dict[str, Any] = {"tag": type(edit).__name__}
    for f in dataclasses.fields(edit):
        value = getattr(edit, f.name)
        out[f.name] = {k: encode(v) for k, v in value.items()} if isinstance(value, Mapping) else encode(value)
    return out


def edit_from_json(data: Any) -> Edit:
    """The edit behind tagged JSON; DocumentError for unknown tags, fields or kinds of value."""
    if not isinstance(data, dict) or not isinstance(data.get("tag"), str) or data["tag"] not in TAGS:
        raise DocumentError("this is not an edit.", hint=f"Its tag is one of {', '.join(TAGS)}.")
    cls = TAGS[data["tag"]]
    known = {f.name: f for f in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key == "tag":
            continue
        if key not in known:
            raise DocumentError(f"{data['tag']} has no field {key[:40]!r}.", hint=f"It has {', '.join(known)}.")
        read = _read_clip_text if cls is Paste and key == "text" else _READ[known[key].type]
        values[key] = read(value, f"{data['tag']}.{key}")
    lacks = [n for n, f in known.items() if n not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    if lacks:
        raise DocumentError(f"{data['tag']} lacks {', '.join(lacks)}.")
    return cls(**values)


def _read_str(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_VALUE_TEXT:
        raise DocumentError(f"{where} is not a text.")
    return value


def _read_clip_text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > making.MAX_CLIP:
        raise DocumentError(f"{where} is not a text of at most {making.MAX_CLIP:,} characters.")
    return value


def _read_index(value: Any, where: str) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value < 100_000):
        raise DocumentError(f"{where} is not a number from 0.")
    return value


def _read_optional_str(value: Any, where: str) -> str | None:
    return None if value is None else _read_str(value, where)


def _read_number(value: Any, where: str) -> float | None:
    if value is None:
        return None
    return read_place([value, 0], where)[0]


def _read_bool(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise DocumentError(f"{where} is not true or false.")
    return value


def _read_names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise DocumentError(f"{where} is not a list of names.")
    return tuple(_read_str(v, where) for v in value)


def _read_attrs(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DocumentError(f"{where} is not an object.")
    return {_read_str(k, where): decode(v, where) for k, v in value.items()}


def _read_positions(value: Any, where: str) -> dict[str, tuple[float, float]]:
    if not isinstance(value, dict):
        raise DocumentError(f"{where} is not an object.")
    return {_read_str(k, where): read_place(v, where) for k, v in value.items()}


_READ: dict[Any, Callable[[Any, str], Any]] = {
    "str": _read_str, "str | None": _read_optional_str, "float | None": _read_number, "bool": _read_bool, "tuple[str, ...]": _read_names,
    "Mapping[str, Any]": _read_attrs, "Mapping[str, tuple[float, float]]": _read_positions, "Any": lambda v, where: decode(v, where),
    "tuple[float, ...] | None": read_view, "tuple[str, ...] | None": names_in,
    "tuple[int, ...] | None": read_at, "int | None": _read_index, "int": lambda v, where: _read_index(-1 if v is None else v, where),
}


def _texts(edit: Edit) -> list[str]:
    """The names in an edit."""
    found = []
    for key in ("node", "name", "src", "dst", "names", "scope", "of", "edge", "tensor", "positions", "to"):
        value = getattr(edit, key, None)
        found += [t for t in (value if isinstance(value, (list, tuple, Mapping)) else [value]) if isinstance(t, str)]
    return found


def describe(edits: Iterable[Edit]) -> str:
    """What the edits do, in a few words: what Undo would undo."""
    edits = list(edits)
    if not edits:
        return "nothing"
    first = edits[0]
    match first:
        case AddNode(op=op):
            count = sum(isinstance(e, AddNode) for e in edits)
            return f"add {op}" if count == 1 else f"add {count} nodes"
        case RemoveNodes(names=names):
            return f"remove {names[0]}" if len(names) == 1 else f"remove {len(names)} nodes"
        case Connect(src=src, dst=dst):
            return f"connect {src} to {dst}"
        case Disconnect(dst=dst):
            return f"cut the wire to {dst}" if len(edits) == 1 else f"cut {len(edits)} wires"
        case Rename(name=name, to=to):
            return f"rename {name} to {to}"
        case SetAttr(node=node, attr=attr):
            return f"set {attr} of {node}"
        case SetFeed(node=node):
            return f"feed {node}"
        case Move(positions=positions):
            return f"move {next(iter(positions))}" if len(positions) == 1 else f"move {len(positions)} nodes"
        case MarkFetch(name=name, on=on):
            return f"{'mark' if on else 'unmark'} {name} as fetch"
        case SetTitle():
            return "rename the document"
        case AddControl(src=src, dst=dst):
            return f"let {dst} wait for {src}"
        case RemoveControl(src=src, dst=dst):
            return f"let {dst} not wait for {src}"
        case Group(names=names):
            return f"make a composite of {names[0] if len(names) == 1 else f'{len(names)} nodes'}"
        case Ungroup(name=name):
            return f"unpack {name}"
        case AddComposite(of=of):
            return f"add another {of.rpartition('/')[2]}"
        case Duplicate(names=names):
            return f"duplicate {names[0] if len(names) == 1 else f'{len(names)} nodes'}"
        case Paste():
            return "paste"
        case Bypass(name=name):
            return f"bypass {name}"
        case Insert(edge=edge, op=op, node=node):
            return f"insert {node if node is not None else op} into {edge}"
        case Differentiate(tensor=tensor):
            return f"differentiate {tensor.removesuffix(':0')}"
        case PutNote(index=index):
            return "add a note" if index is None else "change a note"
        case RemoveNote():
            return "remove a note"
        case PutFrame(title=title, index=index):
            return f"{'add' if index is None else 'change'} the frame {title[:40]}"
        case RemoveFrame():
            return "remove a frame"
        case Bind(node=node, variable=variable):
            return f"bind {node} to {variable}" if variable else f"bind {node} to nothing"
        case PutQuestion(tensor=tensor, kind=kind):
            return f"ask for the {kind} of {tensor}"
        case RemoveQuestion(tensor=tensor, kind=kind):
            return f"ask for the {kind} of {tensor} no more"
        case PutBookmark(title=title, index=index):
            return f"{'add' if index is None else 'replace'} the bookmark {title[:40]}"
        case WriteBookmark():
            return "rewrite a bookmark"
        case MoveBookmark():
            return "move a bookmark"
        case RemoveBookmark():
            return "remove a bookmark"


# ---------------------------------------------------------------- names


def free_name(document: Document | _Draft, name: str) -> str:
    """`name`, or `name_1`, `name_2` …: the first that no node and no scope has."""
    scopes = document.scopes
    inner = document.inner if isinstance(document, _Draft) else document.inside
    tried, k = name, 0
    while tried in document.nodes or tried in scopes or tried in inner:
        k += 1
        tried = f"{name}_{k}"
    return tried


# ---------------------------------------------------------------- applying


class _Draft:
    """The document while edits are made to a copy of its parts."""

    def __init__(self, document: Document):
        self.before = document
        self.changes: dict[str, Any] = {}
        self._scopes: set[str] | None = None
        self._loops: frozenset[str] | None = None
        self._inner: frozenset[str] | None = None

    # ---- parts, copied when first written to

    @property
    def nodes(self) -> Mapping[str, DocNode]:
        return self.changes.get("nodes", self.before.nodes)

    @property
    def scopes(self) -> set[str]:
        if self._scopes is None:
            self._scopes = set(self.before.scopes) if "nodes" not in self.changes else set(Document(nodes=self.nodes).scopes)
        return self._scopes

    @property
    def loops(self) -> frozenset[str]:
        """The scopes of the loops and branches that can be opened."""
        if self._loops is None:
            self._loops = frozenset(loops_of(self.document() if self.changes else self.before))
        return self._loops

    @property
    def inner(self) -> frozenset[str]:
        """The names of what stands inside them."""
        if self._inner is None:
            self._inner = Document(nodes=self.nodes).inside if self.loops else frozenset()
        return self._inner

    def part(self, name: str) -> Any:
        if name not in self.changes:
            self.changes[name] = dict(getattr(self.before, name))
        return self.changes[name]

    def value(self, name: str) -> Any:
        return self.changes.get(name, getattr(self.before, name))

    def put(self, node: DocNode) -> None:
        self.part("nodes")[node.name] = node

    def document(self) -> Document:
        if not self.changes:
            return self.before
        after = replace(self.before, **{k: MappingProxyType(v) if isinstance(v, dict) else v for k, v in self.changes.items()})
        return making.synced(after) if "nodes" in self.changes else after

    def become(self, document: Document) -> None:
        """Go on from another document."""
        self.before, self.changes, self._scopes, self._loops, self._inner = document, {}, None, None, None

    # ---- looking things up, with errors that teach

    def node(self, name: str) -> DocNode:
        found = self.nodes.get(name)
        if found is None:
            from difflib import get_close_matches

            near = get_close_matches(name, self.nodes, n=3)
            raise DocumentError(f"there is no node {name!r}.", node=name, hint=f"Did you mean {' or '.join(near)}?" if near else "")
        return found

    def check_name(self, name: str, *, leaving: str | None = None) -> None:
        """NameTakenError unless `name` can be given to a node; `leaving` is the name that it gives up."""
        if len(name) > 2000:
            raise NameTakenError("a name has at most 2000 characters.")
        for part in name.split("/"):
            check_part(part, name)
        scopes = self.scopes if leaving is None else Document(nodes={k: v for k, v in self.nodes.items() if k != leaving}).scopes
        if name in self.nodes and name != leaving:
            raise NameTakenError(f"the name {name!r} is taken by a {self.nodes[name].op} node.", node=name, hint=f"Try {free_name(self, name)!r}.")
        if name in self.inner:
            raise NameTakenError(f"the name {name!r} is taken inside a loop.", node=name, hint=f"Try {free_name(self, name)!r}.")
        if name in scopes:
            raise NameTakenError(f"the name {name!r} is taken by a scope.", node=name, hint=f"Try {free_name(self, name)!r}.")
        prefix = name.rpartition("/")[0]
        while prefix:
            if prefix in self.nodes and prefix != leaving:
                raise NameTakenError(f"{name!r} would make {prefix!r} a scope, and a node has that name.", node=prefix, hint="A node and a scope never share a name.")
            prefix = prefix.rpartition("/")[0]

    def output(self, text: str) -> str:
        """`"x:0"` for the output that `text` names by number or by name."""
        whole, _, passing = text.partition(":")
        if passing and whole not in self.nodes and whole in self.scopes:
            edge = making.boundary(self.document(), whole)
            if passing not in edge.outputs:
                raise DocumentError(f"{whole} has no output {passing!r}.", node=whole, hint=f"Its outputs: {', '.join(edge.outputs) or 'none; unfold it, and wire what is inside'}.")
            return edge.outputs[passing]
        name, colon, key = text.rpartition(":")
        if not colon:
            name, key = text, "0"
        if key == "in" or ":in:" in text:
            raise DocumentError(f"{text} is an input: a wire starts at an output.", node=name.partition(":in")[0])
        node = self.node(name)
        if not (key.isascii() and key.isdigit()):
            names = get_op(node.op).outputs
            if key not in names:
                ports = [i.name for i in get_op(node.op).inputs]
                if key.partition(".")[0] in ports:
                    raise DocumentError(f"{text} is an input, and inputs cannot be wired to each other.", node=name, port=key, hint="A wire starts at an output.")
                raise DocumentError(f"{name} has no output {key!r}.", node=name, hint=f"Its outputs: {', '.join(names) or 'none'}.")
            key = str(names.index(key))
        if len(key) > 4:
            raise DocumentError(f"{name} has no output {key[:20]}.", node=name)
        op = get_op(node.op)
        if not op.outputs:
            raise DocumentError(f"{name} has no output: it is run for what it does.", node=name, hint="A control edge lets others wait for it.")
        if not op.many and int(key) >= len(op.outputs):
            raise DocumentError(f"{name} has {len(op.outputs)} outputs, so there is no {text}.", node=name)
        return f"{name}:{int(key)}"

    def port(self, text: str) -> tuple[DocNode, str]:
        """The node and the port of `"MatMul:a"`."""
        name, _, port = text.rpartition(":")
        node = self.node(name)
        op = get_op(node.op)
        if port.isascii() and port.isdigit() and port not in {i.name for i in op.inputs}:
            raise DocumentError(f"{text} is an output: a wire ends at an input.", node=name, hint=f"The inputs of {name}: {', '.join(i.name for i in op.inputs) or 'none'}.")
        try:
            spec = op.input_of(port)
        except AttributeValueError as error:
            raise DocumentError(f"{name}: {error.message}", node=name, port=port, hint=error.hint) from None
        if spec.variadic and not re.fullmatch(r"(0|[1-9][0-9]{0,3})", port.rpartition(".")[2]):
            raise DocumentError(f"{text} is not an input.", node=name, port=port, hint=f"Use {spec.name}.0, {spec.name}.1, …")
        return node, port

    def ends(self, text: str) -> tuple[list[tuple[DocNode, str]], str | None]:
        """The inputs that a wire to `text` reaches: one, or all behind the port of a scope; and that scope."""
        scope, _, port = text.partition(":")
        if scope in self.nodes or scope not in self.scopes:
            return [self.port(text)], None
        edge = making.boundary(self.document(), scope)
        if port not in edge.inputs:
            raise DocumentError(f"{scope} has no input {port!r}.", node=scope, hint=f"Its inputs: {', '.join(edge.inputs) or 'none; unfold it, and wire what is inside'}.")
        return [self.port(inner) for inner in edge.inputs[port]], scope

    def at_boundary(self, scope: str, ports: Collection[str], src: str) -> None:
        """What goes into a composite is another tensor now; what is in it is as it was."""
        made = self.value("composites").get(scope)
        if made is not None and not made.ports:
            named = [p for p in made.inputs if p in ports]
            self.part("composites")[scope] = replace(made, inputs=MappingProxyType({**made.inputs, **dict.fromkeys(named, src)}))

    def refuse_cycle(self, src: str, dst: str, port: str | None) -> None:
        """CycleError if `src` already waits for `dst`."""
        stack, seen, via = [src], {src}, {}
        while stack:
            name = stack.pop()
            if name == dst:
                ring = [dst]
                while ring[-1] != src:
                    ring.append(via[ring[-1]])
                shown = " → ".join(ring[:6]) + (" → …" if len(ring) > 6 else "")
                raise CycleError(f"{src} → {dst} would close a cycle: {shown} → {dst}.", node=dst, port=port, hint="A node cannot wait for itself; a loop over time is a scan.")
            node = self.nodes[name]
            for before in [*(s.rpartition(":")[0] for s in node.inputs.values()), *node.control]:
                if before not in seen:
                    seen.add(before)
                    via[before] = name
                    stack.append(before)

    # ---- the edits

    def apply(self, edit: Edit) -> None:
        if isinstance(edit, AddNode) and edit.op in ("Scan", STATE, TIMESTEP) or self.loops and any(scope in text for text in _texts(edit) for scope in self.loops):
            after = inside.changed(self.document(), edit)
            if after is not None:
                return self.become(making.without_gone(after))
        match edit:
            case AddNode():
                self.add(edit)
            case RemoveNodes(names):
                self.remove(names)
            case Connect(src, dst):
                source = self.output(src)
                ends, scope = self.ends(dst)
                for node, port in ends:
                    self.refuse_cycle(source.rpartition(":")[0], node.name, port)
                    node = self.nodes[node.name]    # an earlier end may be on the same node
                    if scope is None:
                        self._by_hand([node.name])
                    self.put(replace(node, inputs=MappingProxyType({**node.inputs, port: source})))
                if scope is not None:
                    self.at_boundary(scope, [dst.partition(":")[2]], source)
            case Disconnect(dst) if dst.partition(":")[0] in self.scopes and dst.partition(":")[0] not in self.nodes:
                for node, port in self.ends(dst)[0]:
                    self._by_hand([node.name])
                    self.put(replace(self.nodes[node.name], inputs=MappingProxyType({p: s for p, s in self.nodes[node.name].inputs.items() if p != port})))
            case Disconnect(dst):
                name, _, port = dst.rpartition(":")
                node = self.node(name)
                if port not in node.inputs:
                    raise DocumentError(f"no wire ends at {dst}.", node=name, port=port)
                self._by_hand([name])
                self.put(replace(node, inputs=MappingProxyType({p: s for p, s in node.inputs.items() if p != port})))
            case Rename(name, to):
                self.rename(name, to)
            case SetAttr(name, attr, value):
                self.set_attr(self.node(name), attr, value)
            case SetFeed(name, text):
                self.set_feed(self.node(name), text)
            case Move(positions):
                for name, place in positions.items():
                    if name not in self.nodes and name not in self.scopes and name not in self.inner:
                        raise DocumentError(f"there is nothing named {name!r} to move.", node=name)
                    self.part("positions")[name] = read_place(place, f"Move {name}")
            case MarkFetch(name, on):
                self.node(name)
                marked = tuple(f for f in self.value("fetches") if f != name)
                self.changes["fetches"] = (*marked, name) if on else marked
            case SetTitle(title):
                title = title.strip()
                if not title or len(title) > 200 or not title.isprintable():
                    raise DocumentError("a title has 1 to 200 characters and no control characters.")
                self.changes["name"] = title
            case AddControl(src, dst):
                self.node(src)
                node = self.node(dst)
                if get_op(node.op).source:
                    raise DocumentError(f"{dst} is there before a run starts, so it cannot wait for {src}.", node=dst)
                self.refuse_cycle(src, dst, None)
                if src not in node.control:
                    self.put(replace(node, control=(*node.control, src)))
            case RemoveControl(src, dst):
                node = self.node(dst)
                if src not in node.control:
                    raise DocumentError(f"{dst} does not wait for {src}.", node=dst)
                self.put(replace(node, control=tuple(c for c in node.control if c != src)))
            case Group(names, name):
                self.become(making.group(self.document(), names, name))
            case Ungroup(name):
                self.become(making.ungroup(self.document(), name))
            case AddComposite(of, name, x, y):
                after, scope = making.copy_of(self.document(), of, name, MAX_NODES)
                if x is not None and y is not None:
                    after = replace(after, positions=MappingProxyType({**after.positions, scope: read_place((x, y), "AddComposite")}))
                self.become(after)
            case Duplicate(names, places):
                before = self.document()
                self.become(making.paste(before, making.part(making.placed(before, places), names), making.common_scope(names), MAX_NODES, (0, 0) if places else None)[0])
            case Paste(text, scope, x, y):
                clip = making.read_clip(text)
                self.become(making.paste(self.document(), clip, scope, MAX_NODES, None if x is None or y is None else making.shift_to(clip, x, y))[0])
            case Bypass(name):
                self.become(making.bypass(self.document(), name))
            case Insert():
                self.insert(edit)
            case Differentiate(tensor):
                self.become(making.differentiate(self.document(), self.output(tensor))[0])
            case PutNote() | RemoveNote() | PutFrame() | RemoveFrame():
                self.annotate(edit)
            case Bind(name, variable):
                if get_op(self.node(name).op).source not in ("placeholder", "constant"):
                    raise FeedError(f"{name} is {self.node(name).op}: a variable of the notebook gives its value to a Placeholder or Constant.", node=name)
                self.changes["bound"] = {k: v for k, v in self.value("bound").items() if k != name}
                if variable:
                    self.changes["bound"][name] = read_variable(variable, name)
            case PutQuestion():
                self.put_question(edit)
            case RemoveQuestion(tensor, kind, at):
                left = tuple(q for q in self.value("questions") if q.key != (tensor, kind, at))
                if len(left) == len(self.value("questions")):
                    raise DocumentError(f"nothing is asked about the {kind} of {tensor}.", node=tensor.rpartition(":")[0])
                self.changes["questions"] = left
            case PutBookmark() | WriteBookmark() | MoveBookmark() | RemoveBookmark():
                self.change_storyboard(edit)
            case _:
                raise DocumentError(f"{edit!r} is not an edit.", hint=f"Use one of {', '.join(TAGS)}.")

    def put_question(self, edit: PutQuestion) -> None:
        """Ask, or ask again."""
        name, colon, output = edit.tensor.rpartition(":")
        name, output = (name, output) if colon else (edit.tensor, "0")
        found = flat(self.document()).nodes.get(name)
        if found is None:
            self.node(name)         # says so, with names like it
        tensor = self.output(f"{name}:{output}") if name in self.nodes else f"{name}:{output}"
        if not tensor.rpartition(":")[2].isdecimal():
            raise DocumentError(f"{edit.tensor} is not an output such as {name}:0.", node=name)
        if edit.kind not in ASKED:
            raise DocumentError(f"{edit.kind!r} is nothing that can be asked for.", node=name, hint=f"Ask for {', '.join(ASKED[:-1])} or {ASKED[-1]}.")
        op = get_op(found.op) if found.op not in (STATE, TIMESTEP) else None
        if op is None or op.source:
            raise DocumentError(f"{name} is there before a run starts: no step gives it.", node=name, hint="Ask about a node that fires.")
        at = read_at(edit.at, "the element")
        if at is not None and edit.kind == "shape":
            raise DocumentError("a shape is that of the whole tensor, not of an element.", node=name, hint="Leave `at` out.")
        if len(edit.text) > 2000:
            raise DocumentError("a question has at most 2,000 characters.")
        made = Question(tensor, edit.kind, at, edit.text.strip())
        others = tuple(q for q in self.value("questions") if q.key != made.key)
        if len(others) >= MOST_QUESTIONS:
            raise DocumentError(f"a document holds at most {MOST_QUESTIONS:,} questions.")
        self.changes["questions"] = (*others, made)

    def change_storyboard(self, edit: PutBookmark | WriteBookmark | MoveBookmark | RemoveBookmark) -> None:
        held, document = list(self.value("storyboard")), self.document()
        index = edit.index
        if index is not None and not 0 <= index < len(held):
            raise DocumentError(f"there is no bookmark {index + 1}.", hint=f"The storyboard has {len(held)}.")
        flat_one = flat(document)

        def read(made: PutBookmark | Bookmark) -> Bookmark:
            row = {f: getattr(made, f) for f in Bookmark.__slots__}
            return read_bookmark({**row, "title": made.title.strip()}, "the bookmark", lambda name: name in flat_one.nodes or name in flat_one.scopes)

        match edit:
            case PutBookmark(index=None):
                if len(held) >= MOST_BOOKMARKS:
                    raise DocumentError(f"a storyboard holds at most {MOST_BOOKMARKS} bookmarks.")
                held.append(read(edit))
            case PutBookmark():
                held[index] = read(edit)
            case WriteBookmark(_, title, note):
                was = held[index]
                held[index] = read(replace(was, title=was.title if title is None else title, note=was.note if note is None else note))
            case MoveBookmark(_, to):
                if not 0 <= to < len(held):
                    raise DocumentError(f"there is no place {to + 1} in a storyboard of {len(held)}.")
                held.insert(to, held.pop(index))
            case RemoveBookmark():
                del held[index]
        self.changes["storyboard"] = tuple(held)

    def add(self, edit: AddNode) -> None:
        op = get_op(edit.op)
        if len(self.nodes) >= MAX_NODES:
            raise DocumentError(f"a document holds at most {MAX_NODES:,} nodes.")
        if edit.name is None:
            base = f"{edit.scope}/{op.name}" if edit.scope else op.name
            name = free_name(self, base)
        else:
            name = f"{edit.scope}/{edit.name}" if edit.scope else edit.name
        self.check_name(name)
        node = DocNode(self.value("next_id"), name, op.name, MappingProxyType(starting_attrs(op)))
        self.changes["next_id"] = node.id + 1
        self._by_hand([name])
        self.put(node)
        if self._scopes is not None:
            scope = node.scope
            while scope and scope not in self._scopes:
                self._scopes.add(scope)
                scope = scope.rpartition("/")[0]
        # values are read in the dtype and shape that stand beside them
        for key in sorted(edit.attrs, key=lambda k: ("dtype", "shape").index(k) if k in ("dtype", "shape") else 2):
            self.set_attr(self.nodes[name], key, edit.attrs[key])
        if edit.x is not None and edit.y is not None:
            self.part("positions")[name] = read_place((edit.x, edit.y), "AddNode")

    def insert(self, edit: Insert) -> None:
        """Put a node into a wire."""
        from .build import build

        src, dst = making.edge_of(self.document(), edit.edge)
        types = build(self.document()).types
        if edit.node is None:
            op = get_op(edit.op or "")
            scope = dst.rpartition(":")[0].rpartition("/")[0]
            name = free_name(self, f"{scope}/{op.name}" if scope else op.name)
            self.add(AddNode(op.name, name, edit.x, edit.y))
        else:
            name = edit.node
        node = self.node(name)
        op = get_op(node.op)
        port = making.port_for(op, types.get(src), node.inputs)
        if port is None or not (op.outputs or op.many):
            raise DocumentError(f"{name} takes {'no such tensor' if op.inputs else 'nothing'}{'' if op.outputs or op.many else ' and gives nothing'}, so it cannot stand in {edit.edge}.", node=name,
                                hint="Insert an operation with an input and an output.")
        if name in (src.rpartition(":")[0], dst.rpartition(":")[0]):
            raise DocumentError(f"{name} is an end of that wire already.", node=name)
        self.apply(Connect(src, f"{name}:{port}"))
        self.apply(Connect(f"{name}:0", dst))

    def annotate(self, edit: PutNote | RemoveNote | PutFrame | RemoveFrame) -> None:
        """Change the notes and frames."""
        notes, frames = list(self.value("notes")), list(self.value("frames"))
        match edit:
            case PutNote(text, x, y, index):
                if not text.strip() or len(text) > 20_000:
                    raise DocumentError("a note has 1 to 20,000 characters.", hint="Delete takes a note away.")
                held = making.note_at(self.document(), index) if index is not None else Note("")
                note = Note(text, *read_place((held.x if x is None else x, held.y if y is None else y), "a note"))
                if index is None:
                    notes.append(note)
                else:
                    notes[index] = note
            case RemoveNote(index):
                making.note_at(self.document(), index)
                del notes[index]
            case PutFrame(title, colour, names, index):
                title = title.strip()
                if not title or len(title) > 200 or not title.isprintable():
                    raise DocumentError("the title of a frame has 1 to 200 characters and no control characters.")
                if colour not in COLOURS:
                    raise DocumentError(f"{_short(colour)} is not a colour of a frame.", hint=f"Use one of {', '.join(COLOURS)}.")
                making.members(self.document(), [n for n in names if n not in self.inner])
                kept = making.frame_at(self.document(), index).members if index is not None else ()
                inside = tuple(dict.fromkeys(names)) or kept
                if not inside:
                    raise DocumentError("a frame stands around nodes.", hint="Select what it is to hold.")
                frame = Frame(title, colour, inside)
                if index is None:
                    frames.append(frame)
                else:
                    frames[index] = frame
            case RemoveFrame(index):
                making.frame_at(self.document(), index)
                del frames[index]
        if len(notes) > 10_000 or len(frames) > 10_000:
            raise DocumentError("a document holds at most 10,000 notes and 10,000 frames.")
        self.changes["notes"], self.changes["frames"] = tuple(notes), tuple(frames)

    def remove(self, names: tuple[str, ...]) -> None:
        gone: set[str] = set()
        for name in names:
            if name in self.nodes:
                gone.add(name)
            elif name in self.scopes:
                gone.update(k for k in self.nodes if k.startswith(f"{name}/"))
            else:
                self.node(name)
        self._by_hand(gone, gone)
        nodes = {}
        for name, node in self.nodes.items():
            if name in gone:
                continue
            inputs = {p: s for p, s in node.inputs.items() if s.rpartition(":")[0] not in gone}
            control = tuple(c for c in node.control if c not in gone)
            if len(inputs) < len(node.inputs) or len(control) < len(node.control):
                node = replace(node, inputs=MappingProxyType(inputs), control=control)
            nodes[name] = node
        self.changes["nodes"] = nodes
        self.become(making.without_gone(self.document()))

    def _by_hand(self, names: Iterable[str], gone: Collection[str] = ()) -> None:
        """A composite whose nodes are edited is no longer what its function makes: it is a plain scope. So is one that lost an input or output."""
        held = self.value("composites")
        if not held:
            return
        scopes: set[str] = set()
        for name in names:
            scope = name.rpartition("/")[0]
            while scope and scope not in scopes:
                scopes.add(scope)
                scope = scope.rpartition("/")[0]
        kept = {k: c for k, c in held.items() if c.ports or k not in scopes and not any(t.rpartition(":")[0] in gone for t in (*c.inputs.values(), *c.outputs.values()))}
        if len(kept) < len(held):
            self.changes["composites"] = kept

    def rename(self, name: str, to: str) -> None:
        to = to.strip()
        if to == name:
            return
        if name in self.nodes:
            self.check_name(to, leaving=name)
            new = {name: to}
        elif name in self.scopes:
            for part in to.split("/"):
                check_part(part, to)
            if to.startswith(f"{name}/") or len(to) > 1000:
                raise NameTakenError(f"the scope {name!r} cannot move into itself.", node=name)
            new = {k: to + k[len(name):] for k in self.nodes if k.startswith(f"{name}/")}
            others = Document(nodes={k: v for k, v in self.nodes.items() if k not in new})
            taken = others.scopes
            prefix = to
            while prefix:
                if prefix in others.nodes:
                    raise NameTakenError(f"the name {prefix!r} is taken by a {others.nodes[prefix].op} node.", node=prefix, hint="A node and a scope never share a name.")
                prefix = prefix.rpartition("/")[0]
            for k in new.values():
                if k in others.nodes or k in taken:
                    raise NameTakenError(f"the name {k!r} is taken.", node=k, hint=f"Try {free_name(self, to)!r}.")
        else:
            self.node(name)
            return

        if name.rpartition("/")[0] != to.rpartition("/")[0]:    # it leaves one scope for another
            self._by_hand([name, to])
        document = self.document()
        scopes = {s: to + s[len(name):] for s in document.scopes if s == name or s.startswith(f"{name}/")}
        moved = making.renamed(document, new, scopes)
        made, word = moved.composites.get(to), name.rpartition("/")[2]
        if made is not None and made.ports and made.function == word:    # one made by hand is called what its scope is called
            moved = replace(moved, composites=MappingProxyType({**moved.composites, to: replace(made, function=to.rpartition("/")[2])}))
        self.become(making.without_gone(moved))

    def set_attr(self, node: DocNode, name: str, value: Any) -> None:
        op = get_op(node.op)
        if op.source == "constant" and name == "dtype":     # not an attribute of its own: it is the value's
            held = node.attrs.get("value")
            name, value = "value", np.asarray(0.0 if held is None else held).astype(dtype_of(value))
        attr = attribute(op, name, node.name)
        try:
            changes = _variable_changes(node, name, value) if op.source == "variable" else {name: read_attr(attr, value, node.attrs.get(name))}
            attrs = {**node.attrs, **changes}
            if all(a.name in attrs for a in op.attrs.values() if a.required) and not any(isinstance(v, DocBody) for v in attrs.values()):
                attrs = normalized(op, attrs)
            else:   # the others are still to be set, or half-wired: look at this one alone
                attrs[name] = normalized(op, {**{a.name: _stand_in(a) for a in op.attrs.values() if a.required}, **changes})[name]
        except FlowError as error:
            if not error.message.startswith(f"{op.word}: {name}"):
                error.message = f"{name}: {error.message}"
            error.node, error.port = node.name, name
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # a value of a kind that nobody thought of
            raise AttributeValueError(f"{name}: that cannot be read: {error}.", node=node.name, port=name) from None
        feed = self.value("feeds").get(node.name)
        self.put(replace(node, attrs=MappingProxyType(attrs)))
        if feed is not None and name in ("shape", "dtype") and op.source == "placeholder":
            try:    # a feed that the placeholder no longer takes goes; undo brings it back
                self.part("feeds")[node.name] = check_feed(self.nodes[node.name], feed.astype(attrs["dtype"]) if name == "dtype" else feed)
            except FeedError:
                del self.part("feeds")[node.name]

    def set_feed(self, node: DocNode, text: str) -> None:
        source = get_op(node.op).source
        if source == "constant":
            return self.set_attr(node, "value", text)
        if source == "variable":
            return self.set_attr(node, "initializer", text)
        if source != "placeholder":
            raise FeedError(f"{node.name} is computed, so the lab cannot feed it.", node=node.name, hint="Feed a placeholder.")
        if not text.strip():
            if node.name in self.value("feeds"):
                del self.part("feeds")[node.name]
            return None
        self.part("feeds")[node.name] = check_feed(node, read_numbers(text, node.attrs.get("dtype", "float32"), node.name))
        return None


# ---------------------------------------------------------------- attributes as people type them


def attribute(op: Op, name: str, node: str) -> Attr:
    """The declaration of an attribute; AttributeValueError names what is near."""
    if name not in op.attrs:
        from difflib import get_close_matches

        near = get_close_matches(name, op.attrs, n=1)
        raise AttributeValueError(f"{op.word} has no attribute {name!r}.", node=node, port=name, hint=f"Did you mean {near[0]}?" if near else f"It has {', '.join(op.attrs) or 'none'}.")
    return op.attrs[name]


def starting_attrs(op: Op) -> dict[str, Any]:
    """What a freshly dropped node has: defaults, and for what must be given the simplest value, where there is one."""
    attrs = {a.name: _START[a.kind] for a in op.attrs.values() if a.required and a.kind in _START}
    try:
        return normalized(op, attrs)
    except AttributeValueError:
        return attrs    # something has no simplest value: the inspector asks for it


def _zero() -> np.ndarray:
    array = np.zeros((), "float32")
    array.flags.writeable = False
    return array


_START: dict[str, Any] = {"shape": (), "dtype": "float32", "new_shape": (-1,), "value": _zero(), "initializer": "zeros"}


def _stand_in(attr: Attr) -> Any:
    """A value that passes for a required attribute which is not set yet."""
    return {**_START, "int": 0, "float": 0.0, "bool": False, "str": "", "choice": attr.choices[0] if attr.choices else "", "ints": (), "axis": 0, "index": (), "pairs": (), "padding": 0, "body": DocBody(Document(), (), ())}.get(attr.kind)


def read_attr(attr: Attr, value: Any, now: Any = None) -> Any:
    """The value that a person typed for an attribute, or gave from Python."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) and attr.kind not in ("value", "index", "pairs", "padding") else value
    text = value.strip()
    match attr.kind:
        case "str" | "choice" | "dtype" | "initializer":
            return value if attr.kind == "str" else text
        case "shape" | "new_shape":
            return read_shape(text)
        case "value":
            dtype = now.dtype if isinstance(now, np.ndarray) else np.dtype("float32")
            return read_numbers(text, dtype.name, attr.name, widen=True)
    if text in ("", "None", "null"):
        if attr.default is None or text:
            return None
        return attr.default
    if attr.kind == "bool":
        words = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
        if text.lower() not in words:
            raise AttributeValueError(f"{text!r} is not true or false.")
        return words[text.lower()]
    if attr.kind == "float" and text.lower().lstrip("+-") in ("inf", "infinity", "∞"):
        return float("-inf") if text.startswith("-") else float("inf")
    if attr.kind == "padding" and text.lower().strip("\"'") in ("same", "valid"):
        return text.lower().strip("\"'")
    if attr.kind in ("axis", "ints") and not text.startswith("["):
        inner = text[1:-1] if text.startswith("(") and text.endswith(")") else text
        if "," in inner or inner is not text or attr.kind == "ints":
            text = f"[{inner.strip().rstrip(',')}]"
    try:
        parsed = jsonio.parse(text.replace("−", "-"), max_bytes=MAX_VALUE_TEXT, what=attr.name)
    except DocumentError:
        what = {"int": "a whole number", "float": "a number", "axis": "an axis such as -1 or 0, 1", "ints": "whole numbers such as 1, 2", "padding": "a number, pairs, same or valid"}.get(attr.kind, "JSON")
        raise AttributeValueError(f"{_short(text)} is not {what}.") from None
    return _tuples(parsed)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")


def read_shape(text: str) -> tuple:
    """`batch, 3` → `("batch", 3)`; nothing is a scalar; `?` or `None` is a size without a name."""
    text = text.strip()
    if text[:1] in ("(", "[") and text[-1:] in (")", "]"):
        text = text[1:-1].strip()
    if not text:
        return ()
    parts = [p.strip() for p in text.split(",")]
    if parts[-1] == "":
        parts.pop()
    dims: list[Any] = []
    for axis, part in enumerate(parts):
        word = part.strip("\"'").strip()
        if not word:
            raise AttributeValueError(f"axis {axis} of the shape is empty.", axis=axis, hint="Write a shape such as batch, 3.")
        if word in ("?", "None", "null"):
            dims.append(None)
        elif re.fullmatch(r"[-+−]?[0-9]{1,16}", word):
            dims.append(int(word.replace("−", "-")))
        elif re.match(r"[-+−]?[0-9.]", word):
            raise AttributeValueError(f"{word!r} is not a size.", axis=axis, hint="Use a whole number, a name or ?.")
        else:
            dims.append(word)
    return tuple(dims)


def read_numbers(text: str, dtype: str, node: str, *, widen: bool = False) -> np.ndarray:
    """The array that JSON text spells, as `dtype`; FeedError that names the axis where the lists are ragged.

    `widen` lets numbers that an integer or bool dtype cannot hold decide the dtype themselves: 1.5 makes float32.
    """
    try:
        data = jsonio.parse(text.strip().replace("−", "-"), max_bytes=MAX_VALUE_TEXT, max_depth=40, what="what was typed")
    except DocumentError as error:
        raise FeedError(error.message, node=node, hint="Write a number or nested lists in JSON: [[1, 2], [3, 4]].") from None
    shape: list[int] = []
    level = [data]
    while any(isinstance(item, list) for item in level):
        axis = len(shape)
        if not all(isinstance(item, list) for item in level):
            raise FeedError(f"{node}: axis {axis} mixes numbers and lists.", node=node, axis=axis, hint="All rows must have the same length.")
        sizes = {len(item) for item in level}
        if len(sizes) > 1:
            raise FeedError(f"{node}: axis {axis} has rows of {min(sizes)} and of {max(sizes)}.", node=node, axis=axis, hint="All rows must have the same length.")
        shape.append(sizes.pop())
        level = [x for item in level for x in item]
        if not level:
            break
    wrong = next((x for x in level if not isinstance(x, (bool, int, float))), None)
    if wrong is not None or any(x is None for x in level):
        raise FeedError(f"{node}: {_short(str(jsonio.dumps(wrong)))} is not a number.", node=node, hint="Write numbers, true or false.")
    bools = [isinstance(x, bool) for x in level]
    kind = np.dtype(dtype).kind
    if kind == "b" and not all(bools) or kind != "b" and any(bools):
        if not widen or any(bools) and not all(bools):
            raise FeedError(f"{node} takes {dtype}, and got {'numbers' if kind == 'b' else 'true or false'}.", node=node,
                            hint="Write true and false." if kind == "b" else "Write numbers.")
        dtype = "bool" if all(bools) and level else "float32" if any(isinstance(x, float) for x in level) else "int64"
    elif kind in "iu" and any(isinstance(x, float) for x in level):
        if not widen:
            wrong = next(x for x in level if isinstance(x, float))
            raise FeedError(f"{node} takes {dtype}, and {wrong} is not a whole number.", node=node, hint="Write whole numbers, or change its dtype.")
        dtype = "float32"
    try:
        with np.errstate(over="ignore"):
            array = np.array(level, dtype=dtype)
    except OverflowError:
        raise FeedError(f"{node}: a number is beyond {dtype}.", node=node) from None
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        raise FeedError(f"{node}: a number is beyond {dtype}.", node=node)
    return frozen(array.reshape(shape))


def check_feed(node: DocNode, value: Any) -> np.ndarray:
    """The value as the placeholder takes it; FeedError names the axis that does not fit."""
    shape, dtype = node.attrs.get("shape", ()), np.dtype(node.attrs.get("dtype", "float32"))
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise FeedError(f"{node.name} takes {dtype}, and the value is no array.", node=node.name, hint=no_array_hint(value)) from None
    if array.dtype.kind not in "fiub":
        raise FeedError(f"{node.name} takes {dtype}, and the value holds {held_by(array)}.", node=node.name, hint="Feed numbers.")
    if not np.can_cast(array.dtype, dtype, "same_kind") and not (array.dtype.kind == "i" and dtype.kind == "u"):
        raise FeedError(f"{node.name} takes {dtype}, got {array.dtype}.", node=node.name, hint=f'Convert it: array.astype("{dtype}").')
    if array.ndim != len(shape):
        raise FeedError(f"{node.name} takes {shape_text(shape)}, which has {len(shape)} axes, got {array.shape} with {array.ndim}.", node=node.name,
                        axis=min(array.ndim, len(shape)), hint="Each pair of brackets is an axis.")
    sizes: dict[str, int] = {}
    for axis, (want, got) in enumerate(zip(shape, array.shape)):
        if isinstance(want, str):
            want = sizes.setdefault(want, got)
        if isinstance(want, int) and want != got:
            raise FeedError(f"{node.name} takes {shape_text(shape)}, got {array.shape}: axis {axis} is {got}, not {want}.", node=node.name, axis=axis,
                            hint="Change the value, or the placeholder's shape.")
    return frozen(array.astype(dtype))


def _variable_changes(node: DocNode, name: str, value: Any) -> Mapping[str, Any]:
    """What setting one attribute of a variable means for the others: values bring their shape, and must keep it."""
    attrs = node.attrs
    held, shape, dtype = attrs.get("value"), attrs.get("shape", ()), attrs.get("dtype", "float32")
    if name == "initializer" and isinstance(value, str) and re.fullmatch(r"(?!true|false)[A-Za-z_].*", value.strip(), re.DOTALL):
        word, _ = parse_initializer(value)
        if word == "constant":
            return {"initializer": word, "value": held if isinstance(held, np.ndarray) else frozen(np.zeros(_known_sizes(node, shape), dtype))}
        return {"initializer": value.strip(), "value": None}
    if name in ("initializer", "value"):
        if value is None or value == "" and name == "value":
            return {"initializer": "zeros", "value": None} if attrs.get("initializer") == "constant" else {"value": None}
        array = read_numbers(value, dtype, node.name) if isinstance(value, str) else np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise AttributeValueError("that is not an array of numbers.")
        if not isinstance(value, (str, np.ndarray)):
            array = array.astype(dtype)
        if not array.shape and shape:
            array = np.full(_known_sizes(node, shape), array)   # one number for all of it
        changes = {"initializer": "constant", "value": frozen(array), "shape": array.shape, "dtype": array.dtype.name}
        return plain_start(changes)
    read = read_attr(get_op(node.op).attrs[name], value, attrs.get(name))
    if isinstance(held, np.ndarray) and name == "shape" and tuple(read) != held.shape:
        raise AttributeValueError(f"{node.name} holds values of shape {shape_text(held.shape)}.", node=node.name, port="shape",
                                  hint="Choose another initializer first, such as zeros, or give values of the new shape.")
    if isinstance(held, np.ndarray) and name == "dtype":
        return {"dtype": read, "value": frozen(held.astype(dtype_of(read)))}
    return {name: read}


def _known_sizes(node: DocNode, shape: Any) -> tuple[int, ...]:
    if not all(isinstance(d, int) for d in shape) or math.prod(shape) > MAX_FILLED:
        raise AttributeValueError(f"{node.name} is {shape_text(shape)}, which cannot be filled.", node=node.name, port="shape", hint="Give the variable its shape first.")
    return tuple(shape)


__all__ = [*TAGS, "Edit", "apply", "check_feed", "describe", "edit_from_json", "edit_to_json", "free_name", "numbers_of"]
