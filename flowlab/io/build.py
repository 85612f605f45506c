"""build: the one door from a Document, which may be half-wired, to a Graph, which is always sound."""
from __future__ import annotations

import gc
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

from ..core.errors import AttributeValueError, CycleError, DTypeError, FlowError, NameTakenError, ShapeError, UnknownOpError, plural
from ..core.graph import Graph, Node, Tensor, caller
from ..core.op import REGISTRY, Op, get_op
from ..core.types import TensorType
from .document import DocNode, Document, normalized
from .edits import RemoveControl
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
    document: Document | None = field(default=None, compare=False, repr=False)


def build(document: Document, graph: Graph | None = None, before: Build | None = None) -> Build:
    """Make a Graph of every part of the document that is sound, in document order as far as the wires allow. `graph`: an empty one to fill.

    `before`, what an earlier state of the document came to, spares the rules of every node that is as it was, whatever it is called by now.
    """
    graph = Graph(document.name) if graph is None else graph
    found: list[Diagnostic] = []
    misfits: dict[int, Misfit] = {}
    order, stuck = _order(document)
    known = _placed(before)
    with graph.state(location=caller()), _without_collection():    # one line of the person's makes them all
        for node in order:
            if not _as_before(graph, node, known.get(node.id)):
                _place(document, graph, node, found, misfits)
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
    found.sort(key=lambda d: (not d.severe, rank[d.node]))
    return Build(graph, tuple(found), types, document)


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
