"""Faults for teachers: a sound graph made wrong in one place, for a class to find."""
from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, FlowError
from ..core.graph import Graph, Node
from ..io.build import build
from ..io.document import DocNode, Document, document_of, frozen
from ..io.edits import Insert, apply
from .exercise import exercise

Change = tuple[str, str, Callable[[Document], Document]]     # the node, what it was, and how the document is then

_OTHER = {"Sigmoid": ("Tanh", "Relu"), "Tanh": ("Sigmoid", "Relu"), "Relu": ("Sigmoid", "Tanh"), "Add": ("Subtract",), "Subtract": ("Add",), "Mean": ("Sum",), "Sum": ("Mean",),
          "Multiply": ("Add",), "Square": ("Abs",), "Exp": ("Square",), "Maximum": ("Minimum",), "Max": ("Min",), "Divide": ("Multiply",)}


@dataclass(frozen=True, slots=True)
class Fault:
    """A graph with one thing wrong in it. `graph` is what the class gets (`fl.Editor(fault)` and `fl.exercise(…, start=fault)` take it too); the rest is for the teacher, `print` tells it."""

    graph: Graph
    kind: str
    node: str       # where it is
    told: str       # what has been done, in a sentence

    def __str__(self) -> str:
        return f"{self.kind} at {self.node}: {self.told}"


def break_graph(g: Graph | Document, kind: str, seed: int = 0) -> Fault:
    """Make a graph wrong in one place that the seed chooses; it is still sound and runs. Returns a Fault: `fault.graph`, and `fault.node` and `fault.told` for the teacher.

    Of `kind`: "sign" (a sum for a difference), "activation", "reduction" (a sum for a mean), "operation" (any of these and others), "axis", "swapped wires" (two inputs have changed places), "no gradient" (a derivative
    is stopped; in a graph that is not differentiated yet), "NaN" (a logarithm of what can be 0 or below), "dead relu" (a bias far below 0), "exploding" (weights a hundred times as large),
    "learning rate" (a thousand times as large), or "any". The last three change where training begins and not what the graph computes from given variables.
    AttributeValueError where the graph has no place for that.
    """
    if kind != "any" and kind not in KINDS:
        raise AttributeValueError(f"there is no kind of fault {kind!r}.", port="kind", hint=f"{', '.join(KINDS)}, or any.")
    document = g if isinstance(g, Document) else document_of(g)
    built = build(document)
    if built.diagnostics:
        raise AttributeValueError("the graph is not sound to begin with.", node=built.diagnostics[0].node, hint=built.diagnostics[0].message)
    rng = random.Random(seed)
    kinds = list(KINDS) if kind == "any" else [kind]
    rng.shuffle(kinds)
    for one in kinds:
        changes = list(KINDS[one](document, built.graph))
        rng.shuffle(changes)
        for node, told, change in changes:
            try:
                after = build(change(document))
            except FlowError:
                continue
            if not after.diagnostics and (one in BEGINS or _differs(built.graph, after.graph)):
                return Fault(after.graph, one, node, told)
    raise AttributeValueError(f"this graph has no place for {'a fault' if kind == 'any' else kind}.", port="kind", hint="Another kind, or a graph with what it is about.")


def _differs(right: Graph, wrong: Graph) -> bool:
    """Does it show, in the numbers or their derivatives? Where nobody knows what to feed, it is taken to."""
    try:
        return not exercise("", solution=build(document_of(right)).graph, start=wrong, cases=3, gradient=all(n.phase == "forward" for n in right.nodes)).check(wrong)
    except FlowError:
        return True


def _put(document: Document, node: DocNode, **change: Any) -> Document:
    return replace(document, nodes=MappingProxyType({**document.nodes, node.name: replace(node, **change)}))


def _forward(graph: Graph) -> list[Node]:
    return [n for n in graph.nodes if n.phase == "forward" and n.op.source is None]


def _other_op(*ops: str) -> Callable[[Document, Graph], Iterator[Change]]:
    """Another operation in the place of one of these."""
    def changes(document: Document, graph: Graph) -> Iterator[Change]:
        for n in _forward(graph):
            for other in _OTHER.get(n.op.name, ()) if not ops or n.op.name in ops else ():
                def change(d: Document, n: Node = n, other: str = other) -> Document:
                    return _put(d, d.nodes[n.name], op=other)
                yield n.name, f"it is {other} where {n.op.name} is meant.", change
    return changes


def _axis(_: Document, graph: Graph) -> Iterator[Change]:
    for n in _forward(graph):
        axis, rank = n.attrs.get("axis"), len(n.inputs[0].shape) if n.inputs else 0
        if "axis" not in n.op.attrs or rank < 2 or isinstance(axis, tuple) and len(axis) != 1:
            continue
        now = axis[0] if isinstance(axis, tuple) else axis
        for other in range(rank):
            if now is None or other != now % rank:
                def change(d: Document, n: Node = n, other: int = other, several: Any = axis) -> Document:
                    node = d.nodes[n.name]
                    return _put(d, node, attrs={**node.attrs, "axis": (other,) if isinstance(several, tuple) else other})
                yield n.name, f"it goes along axis {other} where {'all axes' if now is None else f'axis {now}'} is meant.", change


def _swapped(document: Document, graph: Graph) -> Iterator[Change]:
    """Two wires of one type, into different inputs, with their ends changed."""
    wires = [(n, port, src) for n in _forward(graph) for port, src in document.nodes[n.name].inputs.items()]
    types = {f"{t.node.name}:{t.index}": (t.shape, t.dtype) for n in graph.nodes for t in n.outputs}
    for k, (a, p, s) in enumerate(wires):
        for b, q, r in wires[k + 1:]:
            if s == r or types.get(s) != types.get(r) or a is b and a.op.name in ("Add", "Multiply", "Maximum", "Minimum"):
                continue

            def change(d: Document, a: Node = a, p: str = p, s: str = s, b: Node = b, q: str = q, r: str = r) -> Document:
                d = _put(d, d.nodes[a.name], inputs={**d.nodes[a.name].inputs, p: r})
                return _put(d, d.nodes[b.name], inputs={**d.nodes[b.name].inputs, q: s})
            yield a.name, f"its {p} comes from {r}, and the {q} of {b.name} from {s}: they have changed places.", change


def _on_a_wire(op: str, told: str, fits: Callable[[Node, str], bool]) -> Callable[[Document, Graph], Iterator[Change]]:
    """A node in a wire."""
    def changes(document: Document, graph: Graph) -> Iterator[Change]:
        for n in _forward(graph):
            for port, src in document.nodes[n.name].inputs.items():
                source = graph.node(src.rpartition(":")[0])
                if fits(source, n.op.name) and source.outputs[0].dtype.kind == "f":
                    def change(d: Document, edge: str = f"{src}->{n.name}:{port}") -> Document:
                        return apply(d, Insert(edge, op))
                    yield n.name, told.format(source=source.name, node=n.name), change
    return changes


def _no_gradient(document: Document, graph: Graph) -> Iterator[Change]:
    if all(n.phase == "forward" for n in graph.nodes):
        yield from _on_a_wire("StopGradient", "no gradient goes back from {node} to {source}.", lambda s, _: s.op.source != "constant" and s.op.source != "placeholder")(document, graph)


def _scaled(wanted: Callable[[Node, Graph], bool], change: Callable[[np.ndarray], np.ndarray], told: str) -> Callable[[Document, Graph], Iterator[Change]]:
    """A variable or constant that begins otherwise."""
    def changes(document: Document, graph: Graph) -> Iterator[Change]:
        for n in graph.nodes:
            if n.op.source in ("variable", "constant") and wanted(n, graph):
                def changed(d: Document, n: Node = n) -> Document:
                    from ..runtime.session import Session
                    node = d.nodes[n.name]
                    held = np.asarray(n.attrs["value"] if n.op.source == "constant" else Session(graph).variables[n.name])
                    value = frozen(np.asarray(change(held), held.dtype))
                    return _put(d, node, attrs={**node.attrs, "value": value, **({"initializer": "constant"} if n.op.source == "variable" else {})})
                yield n.name, told, changed
    return changes


def _users(n: Node, graph: Graph) -> list[Node]:
    return [m for m in graph.nodes if any(t.node is n for t in m.inputs)]


def _relu_bias(n: Node, graph: Graph) -> bool:
    return n.op.source == "variable" and len(n.outputs[0].shape) == 1 and any(u.op.name == "Add" and any(v.op.name == "Relu" for v in _users(u, graph)) for u in _users(n, graph))


def _weights(n: Node, _: Graph) -> bool:
    return n.op.source == "variable" and len(n.outputs[0].shape) > 1 and bool(n.attrs.get("trainable"))


BEGINS = ("dead relu", "exploding", "learning rate")       # what these change is where training begins

KINDS: dict[str, Callable[[Document, Graph], Iterator[Change]]] = {
    "sign": _other_op("Add", "Subtract"),
    "activation": _other_op("Sigmoid", "Tanh", "Relu"),
    "reduction": _other_op("Mean", "Sum"),
    "operation": _other_op(),
    "axis": _axis,
    "swapped wires": _swapped,
    "no gradient": _no_gradient,
    "NaN": _on_a_wire("Log", "a logarithm stands before it, of what {source} gives, which can be 0 or below.", lambda s, _: s.op.name in ("Relu", "Tanh", "Subtract", "MatMul", "Add", "Conv2D")),
    "dead relu": _scaled(_relu_bias, lambda v: np.full_like(v, -30), "it begins at −30: what follows gives 0 and learns nothing."),
    "exploding": _scaled(_weights, lambda v: v * 100, "its weights are a hundred times as large as they should be."),
    "learning rate": _scaled(lambda n, _: n.op.source == "constant" and n.name.rpartition("/")[2] == "learning_rate", lambda v: v * 1000, "it is a thousand times too large."),
}
