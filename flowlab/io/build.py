"""build: the one door from a Document, which may be half-wired, to a Graph, which is always sound."""
from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, CycleError, DTypeError, FlowError, NameTakenError, ShapeError, UnknownOpError, plural
from ..core.graph import Graph, Tensor
from ..core.op import Op, get_op
from ..core.types import TensorType
from .document import DocNode, Document, normalized
from .edits import AddNode, Connect, Disconnect, Edit, RemoveControl, SetAttr, free_name

_KINDS: tuple[tuple[type[FlowError], str], ...] = (
    (ShapeError, "shape"), (DTypeError, "dtype"), (AttributeValueError, "attr"), (UnknownOpError, "op"), (NameTakenError, "name"), (CycleError, "cycle"))


@dataclass(frozen=True, slots=True)
class Repair:
    """One way out: what it says on its button, and the edits behind it."""

    label: str
    edits: tuple[Edit, ...]


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
    repairs: tuple[Repair, ...] = ()

    def __str__(self) -> str:
        return f"{self.node}: {self.message} {self.hint}".rstrip()


@dataclass(frozen=True, slots=True)
class Build:
    """The sound part of a document as a graph, and a diagnostic for every part that is not."""

    graph: Graph
    diagnostics: tuple[Diagnostic, ...] = ()
    types: Mapping[str, TensorType] = field(default_factory=dict)   # "x:0" → type, of every sound tensor


def build(document: Document, graph: Graph | None = None) -> Build:
    """Make a Graph of every part of the document that is sound, in document order as far as the wires allow. `graph`: an empty one to fill."""
    graph = Graph(document.name) if graph is None else graph
    found: list[Diagnostic] = []
    order, stuck = _order(document)
    for node in order:
        _place(document, graph, node, found)
    found.extend(_cycles(document, stuck))
    for scope, made in document.composites.items():     # of those that are here whole
        if scope in graph._scopes and all(t.rpartition(":")[0] in graph for t in (*made.inputs.values(), *made.outputs.values())):
            graph.composites[scope] = made
    rank = {name: k for k, name in enumerate(document.nodes)}
    found.sort(key=lambda d: (not d.severe, rank[d.node]))
    return Build(graph, tuple(found), MappingProxyType({t.name: t.type for n in graph.nodes for t in n.outputs}))


def _before(node: DocNode) -> list[str]:
    return [src.rpartition(":")[0] for src in node.inputs.values()] + list(node.control)


def _order(document: Document) -> tuple[list[DocNode], list[DocNode]]:
    """The nodes so that wires run forwards, ties in document order; and those that a cycle keeps from it."""
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


def _place(document: Document, graph: Graph, node: DocNode, found: list[Diagnostic]) -> None:
    """Add the node to the graph, or say why it cannot be added."""
    def say(kind: str, message: str, *, port: str | None = None, axis: int | None = None, hint: str = "", severe: bool = True,
            repairs: Sequence[Repair] = ()) -> None:
        edge = f"{node.inputs[port]}->{node.name}:{port}" if port in node.inputs else None
        found.append(Diagnostic(kind, node.name, message, port, axis, edge, hint, severe, tuple(repairs)))

    try:
        op = get_op(node.op)
    except UnknownOpError as error:
        return say("op", error.message, hint=error.hint)
    try:
        attrs = normalized(op, node.attrs)
    except AttributeValueError as error:
        unset = error.port in op.attrs and op.attrs[error.port].required and error.port not in node.attrs
        _early(document, graph, node, op, None, *ports_of(op, node.inputs)[::2], say)
        return say("attr", error.message, port=error.port, axis=error.axis, hint="Set it in the inspector." if unset else error.hint, severe=not unset)
    wired, strays, missing = ports_of(op, node.inputs)
    for port in strays:
        say("missing", f"{op.word} has no input {port!r}.", port=port, hint=f"Its inputs: {', '.join(i.name for i in op.inputs) or 'none'}.",
            repairs=[_cut(node, port)])
    for port in missing:
        say("missing", f"{op.word}: input {port} is open.", port=port, hint="Wire a tensor to it.", severe=False)
    if strays or missing:
        return _early(document, graph, node, op, attrs, wired, missing, say)
    inputs: list[Tensor] = []
    for port in wired:
        name, _, index = node.inputs[port].rpartition(":")
        if name not in graph:
            _early(document, graph, node, op, attrs, wired, missing, say)
            return say("missing", f"waits for {name}, which is not sound yet.", port=port, severe=False)
        outputs = graph.node(name).outputs
        if int(index) >= len(outputs):
            return say("missing", f"{name} has {plural(len(outputs), 'output')}, so there is no {node.inputs[port]}.", port=port, repairs=[_cut(node, port)])
        inputs.append(outputs[int(index)])
    waits = next((c for c in node.control if c not in graph), None)
    if waits is not None:
        return say("missing", f"waits for {waits}, which is not sound yet.", severe=False)
    try:
        graph.add(op, inputs, attrs, name=node.name, ports=tuple(wired), control_inputs=[graph.node(c) for c in node.control], device=node.device,
                  phase=node.phase, gradient_of=node.gradient_of, id=node.id, full_name=True)
    except FlowError as error:
        def infers(types: Sequence[TensorType]) -> bool:
            try:
                op.infer([SimpleNamespace(type=t) for t in types], wired, attrs)
            except (FlowError, ArithmeticError, LookupError, TypeError, ValueError):
                return False
            return True

        kind = _kind(error)
        port = error.port
        if kind in ("shape", "dtype") and port not in node.inputs and wired:
            port = wired[-1]    # the wire made last is the one that does not fit
        say(kind, error.message, port=port, axis=error.axis, hint=error.hint, repairs=_repairs(document, node, wired, inputs, port, infers))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:    # a shape rule met something that it never thought of
        say("shape", f"{op.word}: {error}", port=wired[-1] if wired else None)
    return None


def _early(document: Document, graph: Graph, node: DocNode, op: Op, attrs: Mapping[str, Any] | None, wired: Sequence[str], missing: Sequence[str], say: Any) -> None:
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

    def clash(types: Sequence[TensorType]) -> FlowError | None:
        return op.clash(dict(zip(known, types)), waiting, attrs)

    error = clash([t.type for t in known.values()])
    if error is not None:
        port = error.port if error.port in known or isinstance(error, AttributeValueError) else next(reversed(known))
        say(_kind(error), error.message, port=port, axis=error.axis, hint=error.hint,
            repairs=_repairs(document, node, list(known), list(known.values()), port, lambda types: clash(types) is None))


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
                    edge, cut = f"^{src}->{name}", Repair(f"Cut ^{src}", (RemoveControl(src, name),))
                else:
                    edge, cut = f"{node.inputs[port]}->{name}:{port}", _cut(node, port)
                shown = " → ".join(ring[::-1][:6]) + (" → …" if len(ring) > 6 else "")
                found.append(Diagnostic("cycle", name, f"a cycle: {shown} → {ring[-1]}; each waits for the other.", port, None, edge, "Cut one of its wires.", True, (cut,)))
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


# ---------------------------------------------------------------- ways out


def _cut(node: DocNode, port: str) -> Repair:
    return Repair("Cut the wire", (Disconnect(f"{node.name}:{port}"),))


def _repairs(document: Document, node: DocNode, wired: Sequence[str], inputs: Sequence[Tensor], port: str | None,
             sound: Callable[[Sequence[TensorType]], bool]) -> list[Repair]:
    """Small changes after which the node is sound: each was tried on the shape rule, none is a guess."""
    types = [t.type for t in inputs]
    offers: list[Repair] = []
    fits_seen: set[str] = set()

    def fits(k: int, type: TensorType) -> bool:
        return sound([type if j == k else t for j, t in enumerate(types)])

    def offer(label: str, *edits: Edit) -> None:
        if label not in fits_seen:
            fits_seen.add(label)
            offers.append(Repair(label, edits))

    ports = sorted(range(len(wired)), key=lambda k: wired[k] != port)    # the port that was named first
    for k in ports:
        for word, kind, extra in (("Cast", "Cast", [{"dtype": t.dtype.name} for j, t in enumerate(types) if j != k] + [{"dtype": d} for d in ("float32", "int64", "bool")]),
                                  ("Transpose", "Transpose", [{}]), ("Add an axis to", "ExpandDims", [{"axis": -1}, {"axis": 0}])):
            for given in extra:
                after = _infer_one(kind, types[k], given)
                if after is None or after == types[k] or not fits(k, after):
                    continue
                name = free_name(document, f"{node.scope}/{kind}" if node.scope else kind)
                label = f"Cast {wired[k]} to {after.dtype.name}" if kind == "Cast" else f"{word} {wired[k]}"
                offer(label, AddNode(kind, name=name, attrs=given), Connect(node.inputs[wired[k]], f"{name}:{_first_port(kind)}"),
                      Connect(f"{name}:0", f"{node.name}:{wired[k]}"))
                break
        source = document.nodes[node.inputs[wired[k]].rpartition(":")[0]]
        wants = _other_shape(source, types, k, fits)
        if wants is not None:
            offer(f"Make {source.name} {wants[0]}", SetAttr(source.name, "shape", wants[1]))
    offers = offers[:3]
    if port in node.inputs:
        offers.append(_cut(node, port))
    return offers


def _infer_one(kind: str, type: TensorType, given: Mapping[str, Any]) -> TensorType | None:
    """What the op `kind` makes of one tensor; None where it makes nothing, or where it would not change it."""
    try:
        op = get_op(kind)
        (after,) = op.infer([SimpleNamespace(type=type)], [op.inputs[0].name], op.normalize(given))
    except (FlowError, LookupError, TypeError, ValueError):
        return None
    return after


def _first_port(kind: str) -> str:
    return get_op(kind).inputs[0].name


def _other_shape(source: DocNode, types: list[TensorType], k: int, fits: Any) -> tuple[str, tuple] | None:
    """A size for one axis of a placeholder or variable, taken from the other inputs, with which the node fits."""
    if source.op not in ("Placeholder", "Variable") or isinstance(source.attrs.get("value"), np.ndarray) or source.phase != "forward":
        return None
    shape = types[k].shape
    sizes = dict.fromkeys(d for j, t in enumerate(types) if j != k for d in t.shape if isinstance(d, int))
    for axis in range(len(shape)):
        for size in sizes:
            tried = (*shape[:axis], size, *shape[axis + 1:])
            if tried != shape and fits(k, types[k].with_shape(tried)):
                from ..core.types import shape_text

                return shape_text(tried), tried
    return None
