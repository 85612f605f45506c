"""build: the one door from a Document, which may be half-wired, to a Graph, which is always sound."""
from __future__ import annotations

import gc
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np

from ..control.body import Body
from ..control.scan import fits
from ..core.errors import AttributeValueError, CycleError, DTypeError, FlowError, NameTakenError, ShapeError, UnknownOpError, plural
from ..core.graph import Graph, Node, Tensor, caller
from ..core.op import REGISTRY, Op, get_op
from ..core.types import TensorType, shape_text
from .document import DocBody, DocNode, Document, normalized
from .edits import AddNode, Connect, Disconnect, Edit, RemoveControl, RemoveNodes, SetAttr
from .loops import ALONG, NEXT, START, Wires, end_of, labels_of, port_at, wires_of
from .making import fresh
from .repairs import MISFITS, Later, Misfit, Repair, Side, Ways, cut, sides

_KINDS: tuple[tuple[type[FlowError], str], ...] = (
    (ShapeError, "shape"), (DTypeError, "dtype"), (AttributeValueError, "attr"), (UnknownOpError, "op"), (NameTakenError, "name"), (CycleError, "cycle"))


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One part of a document that is not sound: where, why, and ways out.

    `severe` is False for what is only unfinished: an open input, or a node that waits for another diagnostic to be mended.
    """

    kind: str
    node: str
    message: str
    port: str | None = None
    axis: int | None = None
    edge: str | None = None
    hint: str = ""
    severe: bool = True
    repairs: Sequence[Repair] = ()
    sides: Sequence[Side] = ()      # the tensors that do not fit together, with the axes that keep them apart

    def __str__(self) -> str:
        return f"{self.node}: {self.message} {self.hint}".rstrip()


@dataclass(frozen=True, slots=True)
class Build:
    """The sound part of a document as a graph, and a diagnostic for every part that is not."""

    graph: Graph
    diagnostics: tuple[Diagnostic, ...] = ()
    types: Mapping[str, TensorType] = field(default_factory=dict)   # "x:0" → type, of every sound tensor
    inside: Mapping[str, Mapping[str, Build]] = field(default_factory=dict)     # of every loop and branch the sound parts of its bodies, by attribute
    document: Document | None = None        # what was built; inside a loop with the types that its inputs have


def build(document: Document, graph: Graph | None = None, before: Build | None = None) -> Build:
    """Make a Graph of every part of the document that is sound, in document order as far as the wires allow. `graph`: an empty one to fill.

    `before`, what an earlier state of the document came to, spares the rules of every node that is as it was, whatever it is called by now.
    """
    graph = Graph(document.name) if graph is None else graph
    found: list[Diagnostic] = []
    inside: dict[str, Mapping[str, Build]] = {}
    misfits: dict[int, Misfit] = {}
    order, stuck = _order(document)
    known = _placed(before)
    with graph.state(location=caller()), _without_collection():    # one line of the person's makes them all
        for node in order:
            if _as_before(graph, node, known.get(node.id)):
                was = known[node.id][0].name
                if before is not None and was in before.inside:
                    inside[node.name] = before.inside[was]
                continue
            wires = wires_of(node) if any(isinstance(v, DocBody) for v in node.attrs.values()) else None
            if wires is None:
                _place(document, graph, node, found, misfits)
            else:
                _Placing(document, graph, node, wires, found, inside).place()
    found.extend(_cycles(document, stuck))
    for scope, made in document.composites.items():     # of those that are here whole
        if scope in graph._scopes and all(t.rpartition(":")[0] in graph for t in (*made.inputs.values(), *made.outputs.values())):
            graph.composites[scope] = made
    types = _Types(graph)
    if misfits:
        ways = Ways(document, types, frozenset((d.node, d.kind) for d in found if d.severe))
        for k, (at, misfit) in enumerate(misfits.items()):
            found[at] = replace(found[at], sides=Later(partial(sides, misfit)), repairs=Later(partial(ways.out_of, misfit, k < MISFITS)))
    rank = {name: k for k, name in enumerate(document.nodes)}
    scopes = {n.scope: rank[n.name] for n in document.nodes.values() if n.name in inside}

    def place(name: str) -> int:
        while name not in rank and name not in scopes:    # inside a loop: where the loop is
            name = name.rpartition("/")[0]
        return rank[name] if name in rank else scopes[name]

    found.sort(key=lambda d: (not d.severe, place(d.node)))
    return Build(graph, tuple(found), types, MappingProxyType(inside), document)


def made_where(graph: Graph, origin: Graph | None) -> None:
    """Let the nodes of a graph say which line made those of the same name and operation in `origin`, inside loops too; the others were made on the canvas."""
    for node in graph.nodes:
        was = origin._by_name.get(node.name) if origin is not None else None
        if was is not None and was.op is not node.op:
            was = None
        node.location = was.location if was is not None else None
        for key, body in node.attrs.items():
            if isinstance(body, Body):
                inner = was.attrs.get(key) if was is not None else None
                made_where(body, inner if isinstance(inner, Body) else None)


class _Types(Mapping):
    """The types of a graph's tensors by name, looked up where they are kept: of ten thousand few are asked for."""

    __slots__ = ("_graph",)

    def __init__(self, graph: Graph):
        self._graph = graph

    def __getitem__(self, tensor: str) -> TensorType:
        name, _, index = tensor.rpartition(":")
        node = self._graph._by_name[name]
        if not (index.isascii() and index.isdigit()) or int(index) >= len(node.outputs) or tensor != node.outputs[int(index)].name:
            raise KeyError(tensor)
        return node.outputs[int(index)].type

    def __iter__(self) -> Iterator[str]:
        return (t.name for n in self._graph.nodes for t in n.outputs)

    def __len__(self) -> int:
        return sum(len(n.outputs) for n in self._graph.nodes)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Ten thousand nodes are made and none let go: a search for what can be freed would take longer than making them."""
    was = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if was:
            gc.enable()


def _placed(before: Build | None) -> dict[int, tuple[DocNode, Node]]:
    """By id: the sound nodes of an earlier build, with what they were made of."""
    if before is None or before.document is None:
        return {}
    nodes = before.document.nodes
    return {n.id: (nodes[n.name], n) for n in before.graph.nodes}


def _as_before(graph: Graph, node: DocNode, known: tuple[DocNode, Node] | None) -> bool:
    """Add the node as it was added before, if nothing about it or about what it takes has changed."""
    if known is None:
        return False
    was, old = known
    if was is not node and (was.op != node.op or was.attrs is not node.attrs or was.phase != node.phase or was.inputs.keys() != node.inputs.keys()):
        return False
    if REGISTRY.get(node.op) is not old.op:     # declared anew meanwhile
        return False
    there, inputs = graph._by_name, []
    for port in old.ports:
        name, _, index = node.inputs[port].rpartition(":")
        source, k = there.get(name), int(index)
        if source is None or k >= len(source.outputs):
            return False
        inputs.append(source.outputs[k])
    if any(c not in there for c in node.control):
        return False
    return graph.again(old, inputs, name=node.name, control_inputs=[there[c] for c in node.control], device=node.device, gradient_of=node.gradient_of) is not None


def node_order(document: Document) -> list[DocNode]:
    """The nodes in the order in which `build` makes them."""
    order, stuck = _order(document)
    return order + stuck


def _before(node: DocNode) -> list[str]:
    return [src.rpartition(":")[0] for src in node.inputs.values()] + list(node.control)


def _order(document: Document) -> tuple[list[DocNode], list[DocNode]]:
    """The nodes so that wires run forwards, ties in document order; and those that a cycle keeps from it."""
    met: set[str] = set()
    for node in document.nodes.values():
        if not all(src.rpartition(":")[0] in met for src in node.inputs.values()) or not met.issuperset(node.control):
            break
        met.add(node.name)
    else:   # written down in such an order already, as most are
        return list(document.nodes.values()), []
    rank = {name: k for k, name in enumerate(document.nodes)}
    nodes = list(document.nodes.values())
    open_wires: dict[str, int] = {}
    after: dict[str, list[str]] = {}
    for node in nodes:
        before = set(_before(node))
        open_wires[node.name] = len(before)
        for name in before:
            after.setdefault(name, []).append(node.name)
    heap = [rank[name] for name, n in open_wires.items() if not n]
    order = []
    while heap:
        node = nodes[heapq.heappop(heap)]
        order.append(node)
        for name in after.get(node.name, ()):
            open_wires[name] -= 1
            if not open_wires[name]:
                heapq.heappush(heap, rank[name])
    placed = {n.name for n in order}
    return order, [n for n in nodes if n.name not in placed]


def _place(document: Document, graph: Graph, node: DocNode, found: list[Diagnostic], misfits: dict[int, Misfit]) -> None:
    """Add the node to the graph, or say why it cannot be added; of inputs that do not fit, what is needed to look for ways out."""
    def say(kind: str, message: str, *, port: str | None = None, axis: int | None = None, hint: str = "", severe: bool = True,
            repairs: Sequence[Repair] = ()) -> None:
        edge = f"{node.inputs[port]}->{node.name}:{port}" if port in node.inputs else None
        found.append(Diagnostic(kind, node.name, message, port, axis, edge, hint, severe, tuple(repairs)))

    def clash(error: FlowError, wired: Sequence[str], inputs: Sequence[Tensor], attrs: Mapping[str, Any] | None, port: str | None, fails: Any) -> None:
        say(_kind(error), error.message, port=port, axis=error.axis, hint=error.hint)
        misfits[len(found) - 1] = Misfit(node, op, attrs, tuple(wired), tuple(t.type for t in inputs), port, error, fails)

    try:
        op = get_op(node.op)
    except UnknownOpError as error:
        return say("op", error.message, hint=error.hint)
    try:
        attrs = normalized(op, node.attrs)
    except AttributeValueError as error:
        unset = error.port in op.attrs and op.attrs[error.port].required and error.port not in node.attrs
        _early(document, graph, node, op, None, *ports_of(op, node.inputs)[::2], clash)
        return say("attr", error.message, port=error.port, axis=error.axis, hint="Set it in the inspector." if unset else error.hint, severe=not unset)
    wired, strays, missing = ports_of(op, node.inputs)
    for port in strays:
        say("missing", f"{op.word} has no input {port!r}.", port=port, hint=f"Its inputs: {', '.join(i.name for i in op.inputs) or 'none'}.",
            repairs=[cut(node, port)])
    for port in missing:
        say("missing", f"{op.word}: input {port} is open.", port=port, hint="Wire a tensor to it.", severe=False)
    if strays or missing:
        return _early(document, graph, node, op, attrs, wired, missing, clash)
    inputs: list[Tensor] = []
    for port in wired:
        name, _, index = node.inputs[port].rpartition(":")
        if name not in graph:
            _early(document, graph, node, op, attrs, wired, missing, clash)
            return say("missing", f"waits for {name}, which is not sound yet.", port=port, severe=False)
        outputs = graph.node(name).outputs
        if int(index) >= len(outputs):
            return say("missing", f"{name} has {plural(len(outputs), 'output')}, so there is no {node.inputs[port]}.", port=port, repairs=[cut(node, port)])
        inputs.append(outputs[int(index)])
    waits = next((c for c in node.control if c not in graph), None)
    if waits is not None:
        return say("missing", f"waits for {waits}, which is not sound yet.", severe=False)
    try:
        graph.add(op, inputs, attrs, name=node.name, ports=tuple(wired), control_inputs=[graph.node(c) for c in node.control], device=node.device,
                  phase=node.phase, gradient_of=node.gradient_of, id=node.id, full_name=True)
    except FlowError as error:
        def fails(types: Sequence[TensorType], attrs: Mapping[str, Any] | None) -> FlowError | None:
            try:
                op.infer([SimpleNamespace(type=t) for t in types], wired, attrs)
            except FlowError as wrong:
                return wrong
            except (ArithmeticError, LookupError, TypeError, ValueError) as wrong:
                return ShapeError(str(wrong))
            return None

        port = error.port
        if _kind(error) in ("shape", "dtype") and port not in node.inputs and wired:
            port = wired[-1]    # the wire made last is the one that does not fit
        clash(error, wired, inputs, attrs, port, fails)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:    # a shape rule met something that it never thought of
        say("shape", f"{op.word}: {error}", port=wired[-1] if wired else None)
    return None


# ---------------------------------------------------------------- loops and branches


class _Placing:
    """Adds a loop or branch to the graph, or says what is missing or wrong, in it and around it."""

    def __init__(self, document: Document, graph: Graph, node: DocNode, wires: Wires, found: list[Diagnostic], inside: dict[str, Mapping[str, Build]]):
        self.document, self.graph, self.node, self.wires, self.found, self.inside = document, graph, node, wires, found, inside
        self.op = get_op(node.op)
        self.labels = labels_of(wires)
        self.sound = True

    def say(self, kind: str, name: str, message: str, *, port: str | None = None, axis: int | None = None, src: str | None = None, hint: str = "", severe: bool = True,
            repairs: Sequence[Repair] = ()) -> None:
        """Tell of something; `name` is empty for the loop's own node."""
        self.sound = False
        at = name or self.node.name
        self.found.append(Diagnostic(kind, at, message, port, axis, f"{src}->{at}:{port}" if src is not None else None, hint, severe, repairs))

    def place(self) -> None:
        node, before = self.node, len(self.found)
        given = self.given()
        built = {attr: self.body(attr, body, sources, given) for attr, body, sources, _ in self.wires}
        self.inside[node.name] = MappingProxyType(built)
        for attr, _, _, results in self.wires:
            self.ends(attr, results, built[attr])
        waits = next((c for c in node.control if c not in self.graph), None)
        if waits is not None:
            self.say("missing", "", f"waits for {waits}, which is not sound yet.", severe=False)
        if self.sound and len(self.found) == before:
            self.add(built, [t for _, t in sorted(given.items()) if t is not None])
        if node.name not in self.graph and not any(d.node == node.name for d in self.found[before:]):
            where = next(d.node for d in self.found[before:])
            self.say("missing", "", f"waits for what is inside: {where}.", severe=False)

    def given(self) -> dict[int, Tensor | None]:
        """What comes in from around, by number; None for what is open or waits itself."""
        node = self.node
        roles = {k: kind for *_, sources, _ in self.wires for kind, k in sources}
        if node.op == "Cond":
            roles[0] = "predicate"
        found: dict[int, Tensor | None] = {}
        for k, kind in sorted(roles.items()):
            port, label = port_at(node, k), self.labels.get((kind, k))
            name = f"{node.scope}/{label}" if label is not None else node.name
            shown = {"sequence": ALONG, "state": START}.get(kind, port)
            found[k] = None
            src = node.inputs.get(port)
            if src is None:
                said = f"{label} goes along no sequence yet" if kind == "sequence" else f"the state {label} has no start" if kind == "state" else f"{self.op.word}: input {port} is open"
                self.say("missing", name, f"{said}.", port=shown, hint="Wire a tensor to it.", severe=False)
                continue
            before, _, index = src.rpartition(":")
            outputs = self.graph.node(before).outputs if before in self.graph else None
            if outputs is None:
                self.say("missing", name, f"waits for {before}, which is not sound yet.", port=shown, severe=False)
            elif int(index) >= len(outputs):
                self.say("missing", name, f"{before} has {plural(len(outputs), 'output')}, so there is no {src}.", port=shown, src=src,
                         repairs=[Repair("Cut the wire", (Disconnect(f"{name}:{shown}"),))] if kind != "around" else [])
            else:
                found[k] = outputs[int(index)]
        stray = next((p for p in node.inputs if p not in {port_at(node, k) for k in roles}), None)
        if stray is not None:
            self.say("missing", "", f"{self.op.word} has no input {stray!r}.", port=stray, src=node.inputs[stray], repairs=[cut(node, stray)])
        return found

    def body(self, attr: str, body: DocBody, sources: list[tuple[str, int]], given: Mapping[int, Tensor | None]) -> Build:
        """The inside, built with the types that its inputs have here."""
        nodes = dict(body.document.nodes)
        stands: dict[str, str | None] = {}
        typed: set[str] = set()
        for tensor, (kind, k) in zip(body.inputs, sources):
            held = nodes[tensor.removesuffix(":0")]
            outer = given[k]
            label = self.labels.get((kind, k))
            stands[held.name] = self.node.inputs.get(port_at(self.node, k)) if kind == "around" else f"{self.node.scope}/{label}:0"
            if outer is None:
                continue
            type = outer.type if kind != "sequence" else self.part(outer.type, k, label)
            if type is not None:
                typed.add(held.name)
            if type is not None and not self._as_written(held, type):
                nodes[held.name] = replace(held, attrs=MappingProxyType({"shape": type.shape, "dtype": type.dtype.name}))
        made = _built(body, nodes)
        inputs = {t.removesuffix(":0") for t in body.inputs}
        for d in made.diagnostics:
            if d.node not in inputs:
                self.found.append(_told(self.document, self.node.scope, d, stands))
                self.sound = False
            elif d.node in typed:       # of one that has no type yet its own wire tells
                self.say(d.kind, "", f"{attr}: {d.node}: {d.message}", hint=d.hint)
        wrong = next((n for n in body.document.nodes.values() if n.op in ("Variable", "Assign") or n.op == "Placeholder" and n.name not in inputs), None)
        if wrong is not None:
            self.say("op", f"{self.node.scope}/{wrong.name}", f"{wrong.op} cannot stand inside a loop or branch.", hint="Put it around the loop, and wire it in.",
                     repairs=[Repair(f"Remove {wrong.name}", (RemoveNodes((f"{self.node.scope}/{wrong.name}",)),))])
        return made

    def _as_written(self, held: DocNode, type: TensorType) -> bool:
        """May the input keep the type that is written down? It may if that is its own, and, on the way back, if it fits."""
        shape, dtype = held.attrs.get("shape"), held.attrs.get("dtype", "float32")
        if not isinstance(shape, tuple) or not all(d is None or isinstance(d, (int, str)) for d in shape) or not isinstance(dtype, str):
            return False
        if shape == type.shape and dtype == type.dtype.name:
            return True
        if self.node.phase == "forward":
            return False
        try:
            fits(TensorType(tuple(shape), np.dtype(dtype)), type, "", "", "")
        except (FlowError, TypeError, ValueError):
            return False
        return True

    def part(self, type: TensorType, k: int, label: str | None) -> TensorType | None:
        """The type of a timestep's part of a sequence."""
        axis = self.node.attrs["axes"][k]
        if 0 <= axis < type.rank:
            return type.with_shape((*type.shape[:axis], *type.shape[axis + 1:]))
        name, src = f"{self.node.scope}/{label}", self.node.inputs[port_at(self.node, k)]
        axes = self.node.attrs["axes"]
        repairs = [Repair("Go along axis 0", (SetAttr(self.node.name, "axes", ", ".join("0" if j == k else str(a) for j, a in enumerate(axes))),))] if type.rank else []
        self.say("shape", name, f"the sequence is {shape_text(type.shape)}, it has no axis {axis} to go along.", port=ALONG, axis=axis, src=src,
                 hint="The loop's axes say which axis is the time.", repairs=[*repairs, Repair("Cut the wire", (Disconnect(f"{name}:{ALONG}"),))])
        return None

    def ends(self, attr: str, results: list[tuple[str, int]], made: Build) -> None:
        """What of the ends of a body is open, or does not fit."""
        body = self.node.attrs[attr]
        starts = {k: tensor for tensor, (kind, k) in zip(body.inputs, next(s for a, _, s, _ in self.wires if a == attr)) if kind == "state"}
        for tensor, (kind, k) in zip(body.outputs, results):
            port = end_of(self.node, attr, kind, k, self.labels)
            if tensor is None:
                if kind == "next":
                    label = self.labels["state", k]
                    self.say("missing", f"{self.node.scope}/{label}", f"the state {label} has no next value.", port=NEXT, hint="Wire what it becomes to its port next.", severe=False)
                else:
                    self.say("missing", "", f"{self.op.word}: {port} is open.", port=port, hint="Wire a tensor from inside to it.", severe=False)
            elif tensor not in made.types and tensor.rpartition(":")[0] in made.graph:
                where = f"{self.node.scope}/{self.labels['state', k]}:{NEXT}" if kind == "next" else f"{self.node.name}:{port}"
                self.say("missing", where.rpartition(":")[0], f"there is no {self.node.scope}/{tensor}.", port=where.rpartition(":")[2], src=f"{self.node.scope}/{tensor}",
                         repairs=[Repair("Cut the wire", (Disconnect(where),))])
            elif kind == "next" and tensor in made.types and starts[k] in made.types:
                self.renews(body, starts[k], tensor, self.labels["state", k], made)

    def renews(self, body: DocBody, start: str, new: str, label: str, made: Build) -> None:
        """A state keeps its dtype and shape: say where it does not."""
        begins, becomes = made.types[start], made.types[new]
        try:
            fits(begins, becomes, "", NEXT, "")
        except FlowError as error:
            said = (f"is {begins.dtype}, its next value {becomes.dtype}" if begins.dtype != becomes.dtype else f"starts as {shape_text(begins.shape)} and becomes {shape_text(becomes.shape)}")
            name, outer = f"{self.node.scope}/{label}", f"{self.node.scope}/{new}"
            axis = error.axis
            self.say(_kind(error), name, f"{self.op.word}: the state {label} {said}.", port=NEXT, axis=axis, src=outer, hint="A state keeps its shape and dtype.",
                     repairs=Later(partial(self.ways, label, begins, becomes, outer)))

    def ways(self, label: str, begins: TensorType, becomes: TensorType, src: str) -> list[Repair]:
        """What can be done about a state that becomes something else than it starts as."""
        end = f"{self.node.scope}/{label}:{NEXT}"
        found = []
        other = self.other_start(label, becomes)
        if other is not None:
            found.append(other)
        if begins.dtype != becomes.dtype and begins.shape == becomes.shape:
            name = fresh(f"{self.node.scope}/Cast", self.document.scopes | self.document.nodes.keys() | self.document.inside)
            found.append(Repair(f"Cast {NEXT} to {begins.dtype}", (AddNode("Cast", name=name, attrs={"dtype": begins.dtype.name}), Connect(src, f"{name}:x"), Connect(f"{name}:0", end))))
        return [*found, Repair("Cut the wire", (Disconnect(end),))]

    def other_start(self, label: str, type: TensorType) -> Repair | None:
        """Let the placeholder or variable that a state starts from have the type that the state becomes, if the loop is sound then."""
        k = next(k for (kind, k), name in self.labels.items() if kind == "state" and name == label)
        source = self.document.nodes.get(self.node.inputs.get(port_at(self.node, k), "").rpartition(":")[0])
        known = None not in type.shape and (source is not None and source.op == "Placeholder" or all(isinstance(d, int) for d in type.shape))
        if source is None or isinstance(self.graph, Body) or source.op not in ("Placeholder", "Variable") or isinstance(source.attrs.get("value"), np.ndarray) or not known:
            return None
        changes = {"shape": type.shape, "dtype": type.dtype.name}
        edits = tuple(SetAttr(source.name, key, value) for key, value in changes.items() if source.attrs.get(key) != value)
        after = replace(source, attrs=MappingProxyType({**source.attrs, **changes}))
        there = build(replace(self.document, nodes=MappingProxyType({**self.document.nodes, source.name: after}))).graph
        said = shape_text(type.shape) if "shape" in [e.attr for e in edits] else type.dtype.name
        return Repair(f"Make {source.name} {said}", edits) if self.node.name in there else None

    def add(self, built: Mapping[str, Build], inputs: list[Tensor]) -> None:
        """Everything is there: make the node."""
        node, attrs = self.node, dict(self.node.attrs)
        for attr, body, *_ in self.wires:
            graph = built[attr].graph
            assert isinstance(graph, Body)
            if not graph.closed:
                graph.inputs, graph.outputs = tuple(map(graph.tensor, body.inputs)), tuple(graph.tensor(t) for t in body.outputs if t is not None)
                graph.closed = True
            attrs[attr] = graph
        try:
            self.graph.add(self.op, inputs, normalized(self.op, attrs), name=node.name, ports=self.op.ports(len(inputs)), control_inputs=[self.graph.node(c) for c in node.control], device=node.device,
                           phase=node.phase, gradient_of=node.gradient_of, id=node.id, full_name=True)
        except FlowError as error:
            k = next((k for *_, sources, _ in self.wires for kind, k in sources if kind == "sequence" and port_at(node, k) == error.port), None)
            if k is None:
                self.say(_kind(error), "", error.message, port=error.port, axis=error.axis, hint=error.hint, src=node.inputs.get(error.port or ""))
            else:
                name = f"{node.scope}/{self.labels['sequence', k]}"
                self.say(_kind(error), name, error.message, port=ALONG, axis=error.axis, hint=error.hint, src=node.inputs[port_at(node, k)],
                         repairs=[Repair("Cut the wire", (Disconnect(f"{name}:{ALONG}"),))])


def _built(body: DocBody, nodes: Mapping[str, DocNode]) -> Build:
    """The inside of a loop, built with these nodes, which know the types of its inputs; what was built last is kept."""
    same = all(nodes[k] is n for k, n in body.document.nodes.items())
    if same and body._made:     # it comes from a graph, and is as it was there
        graph = body._made[0]
        inside = {n.name: MappingProxyType({k: _built(v, v.document.nodes) for k, v in n.attrs.items() if isinstance(v, DocBody)}) for n in body.document.nodes.values() if wires_of(n)}
        return Build(graph, (), MappingProxyType({t.name: t.type for n in graph.nodes for t in n.outputs}), MappingProxyType(inside), body.document)
    key = repr([(t, dict(nodes[t.removesuffix(":0")].attrs)) for t in body.inputs])
    if key not in body._built:
        body._built.clear()
        typed = body.document if same else replace(body.document, nodes=MappingProxyType(dict(nodes)))
        body._built[key] = build(typed, Body(body.document.name))
    return body._built[key]


def _outer(scope: str, stands: Mapping[str, str | None], tensor: str) -> str:
    """A tensor of a body as the canvas names it."""
    name, _, index = tensor.partition(":")
    there = stands.get(name)
    return there if there is not None and index == "0" else f"{scope}/{tensor}"


def _told(document: Document, scope: str, found: Diagnostic, stands: Mapping[str, str | None]) -> Diagnostic:
    """A diagnostic from inside a loop, by the names that the canvas shows; `stands`: for which tensor an input of the body does."""
    outer = partial(_outer, scope, stands)
    edge, message = None, found.message
    waits = message.removeprefix("waits for ").partition(", which")[0]
    if message == f"waits for {waits}, which is not sound yet.":
        message = f"waits for {outer(f'{waits}:0').rpartition(':')[0]}, which is not sound yet."
    if found.edge is not None:
        src, _, dst = found.edge.partition("->")
        edge = f"^{scope}/{src[1:]}->{scope}/{dst}" if src.startswith("^") else f"{outer(src)}->{scope}/{dst}"
    return replace(found, node=f"{scope}/{found.node}", message=message, edge=edge, repairs=Later(partial(_told_repairs, document, scope, found.repairs, stands)),
                   sides=Later(lambda: [replace(s, tensor=outer(s.tensor)) for s in found.sides]))


def _told_repairs(document: Document, scope: str, given: Sequence[Repair], stands: Mapping[str, str | None]) -> list[Repair]:
    """Ways out of a misfit inside a loop, as edits of the document around it; those that can be made there only are left out."""
    outer = partial(_outer, scope, stands)
    repairs = []
    taken = document.scopes | document.nodes.keys() | document.inside
    for repair in given:
        new: dict[str, str] = {}
        for e in repair.edits:
            if isinstance(e, AddNode):
                new[f"{scope}/{e.name}"] = fresh(f"{scope}/{e.name}", {*taken, *new.values()})

        def at(text: str, new: Mapping[str, str] = new) -> str:
            name, colon, port = outer(text).partition(":")
            return f"{new.get(name, name)}{colon}{port}"

        edits: list[Edit] = []
        for e in repair.edits:
            match e:
                case AddNode():
                    edits.append(replace(e, name=new[f"{scope}/{e.name}"]))
                case Connect(src, dst):
                    edits.append(Connect(at(src), at(dst)))
                case Disconnect(dst):
                    edits.append(Disconnect(at(dst)))
                case SetAttr(name, attr, value) if name in stands:
                    source = document.nodes.get((stands[name] or "").rpartition(":")[0])    # what comes in is changed where it comes from
                    if source is None or source.op not in ("Placeholder", "Variable") or isinstance(source.attrs.get("value"), np.ndarray):
                        break
                    edits.append(SetAttr(source.name, attr, value))
                case SetAttr(name, attr, value):
                    edits.append(SetAttr(at(name), attr, value))
                case RemoveControl(src, dst):
                    edits.append(RemoveControl(at(src), at(dst)))
                case RemoveNodes(names):
                    edits.append(RemoveNodes(tuple(map(at, names))))
                case _:
                    break
        if len(edits) == len(repair.edits):
            repairs.append(Repair(repair.label, tuple(edits)))
    return repairs


def _early(document: Document, graph: Graph, node: DocNode, op: Op, attrs: Mapping[str, Any] | None, wired: Sequence[str], missing: Sequence[str], clash: Callable[..., None]) -> None:
    """Say what is certainly wrong with the wired inputs while others are open or wait themselves; without `attrs`, of their dtypes alone."""
    known: dict[str, Tensor] = {}
    for port in wired:
        name, _, index = node.inputs[port].rpartition(":")
        outputs = graph.node(name).outputs if name in graph else ()
        if int(index) < len(outputs):
            known[port] = outputs[int(index)]
    if not known:
        return
    waiting = [p for p in (*wired, *missing) if p not in known]

    def fails(types: Sequence[TensorType], attrs: Mapping[str, Any] | None) -> FlowError | None:
        return op.clash(dict(zip(known, types)), waiting, attrs)

    error = fails([t.type for t in known.values()], attrs)
    if error is not None:
        port = error.port if error.port in known or isinstance(error, AttributeValueError) else next(reversed(known))
        clash(error, list(known), list(known.values()), attrs, port, fails)


def _kind(error: FlowError) -> str:
    return next((word for cls, word in _KINDS if isinstance(error, cls)), "shape")


def ports_of(op: Op, inputs: Mapping[str, str]) -> tuple[list[str], list[str], list[str]]:
    """The wired ports in the op's order, wired ports that the op does not have, and required ones that are open."""
    wired, missing, known = [], [], set()
    for spec in op.inputs:
        if not spec.variadic:
            known.add(spec.name)
            if spec.name in inputs:
                wired.append(spec.name)
            elif not spec.optional:
                missing.append(spec.name)
            continue
        numbers = {int(p.rpartition(".")[2]): p for p in inputs if _variadic(p, spec.name)}
        for k in range(max(numbers, default=0) + 1) if len(numbers) < 10_000 and max(numbers, default=0) < 10_000 else ():
            (wired if k in numbers else missing).append(f"{spec.name}.{k}")
        known.update(numbers.values())
    return wired, [p for p in inputs if p not in known], missing


def _variadic(port: str, stem: str) -> bool:
    head, dot, number = port.rpartition(".")
    return bool(dot) and head == stem and number.isascii() and number.isdigit() and len(number) <= 4 and str(int(number)) == number


def _cycles(document: Document, stuck: list[DocNode]) -> list[Diagnostic]:
    """One diagnostic a cycle, on the wire that closes it, and one for each node that waits behind it."""
    names = {n.name for n in stuck}
    color: dict[str, int] = {}
    found: list[Diagnostic] = []
    on_cycle: set[str] = set()
    for root in stuck:
        if root.name in color:
            continue
        path: list[tuple[str, Any]] = [(root.name, iter(_wires_in(root)))]
        color[root.name] = 1
        while path:
            name, wires = path[-1]
            step = next(((src, port) for src, port in wires if src in names and color.get(src) != 2), None)
            if step is None:
                color[name] = 2
                path.pop()
                continue
            src, port = step
            if color.get(src) == 1:    # a wire from something that waits for this node
                ring = [n for n, _ in path]
                ring = ring[ring.index(src):]
                on_cycle.update(ring)
                node = document.nodes[name]
                if port is None:
                    edge, way = f"^{src}->{name}", Repair(f"Cut ^{src}", (RemoveControl(src, name),))
                else:
                    edge, way = f"{node.inputs[port]}->{name}:{port}", cut(node, port)
                shown = " → ".join(ring[::-1][:6]) + (" → …" if len(ring) > 6 else "")
                found.append(Diagnostic("cycle", name, f"a cycle: {shown} → {ring[-1]}; each waits for the other.", port, None, edge, "Cut one of its wires.", True, (way,)))
            else:
                color[src] = 1
                path.append((src, iter(_wires_in(document.nodes[src]))))
    said = {d.node for d in found}
    for node in stuck:
        if node.name not in said:
            what = "is part of a cycle." if node.name in on_cycle else "waits for a cycle."
            found.append(Diagnostic("missing", node.name, what, severe=False))
    return found


def _wires_in(node: DocNode) -> list[tuple[str, str | None]]:
    return [(src.rpartition(":")[0], port) for port, src in node.inputs.items()] + [(c, None) for c in node.control]
