"""Loops and branches as the canvas draws them: what is inside stands among the other nodes, and states go round to the next timestep."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from ..core.op import REGISTRY
from ..core.types import TensorType
from ..io.build import Build
from ..io.document import DocBody, DocNode, Document

STATE, TIMESTEP = "State", "Timestep"     # what stands for a body's inputs: a state as the timestep found it, and its part of a sequence
NEXT = "next"
ENDS = ("final ", "output ", "while", "then ", "otherwise ")   # how the ports begin that a loop's node has when its inside is drawn


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop or branch whose inside is drawn."""

    node: str                               # its own node, which gives what came out
    scope: str                              # the scope that its inside stands in
    kind: Literal["loop", "branch"]
    phase: str
    inside: tuple[str, ...]                 # names that are drawn and stand for nothing in the document
    inputs: tuple[str, ...]                 # those of them that never fire


@dataclass(frozen=True, slots=True)
class View:
    """A document and its build with the inside of its loops among the nodes."""

    document: Document
    built: Build
    loops: Mapping[str, Loop] = field(default_factory=dict)     # scope → loop

    def loop_of(self, name: str) -> Loop | None:
        """The innermost loop that a drawn node is inside of; None for a node of the document."""
        return next((loop for loop in reversed(self.loops.values()) if name in loop.inside), None)


def view(document: Document, built: Build) -> View:
    """What is drawn of a document: its nodes, and those inside its sound loops."""
    if not any(isinstance(v, DocBody) for n in document.nodes.values() for v in n.attrs.values()):
        return View(document, built)
    made = _Opening(built)
    for node in document.nodes.values():
        made.put(node, "", lambda tensor: tensor, node.phase, node.name in built.graph)
    types = MappingProxyType({**built.types, **made.types})
    return View(replace(document, nodes=MappingProxyType(made.nodes)), replace(built, types=types), MappingProxyType(made.loops))


class _Opening:
    """Puts nodes one by one into one flat picture, those of bodies under the name of their loop."""

    def __init__(self, built: Build):
        self.nodes: dict[str, DocNode] = {}
        self.types: dict[str, TensorType] = {}
        self.loops: dict[str, Loop] = {}
        self._next_id = max((n.id for n in built.graph.nodes), default=0) + 1_000_000

    def put(self, node: DocNode, prefix: str, outside: Callable[[str], str], phase: str, sound: bool) -> list[str]:
        """Put a node in, and what is inside it; the names that it took."""
        name, inputs = f"{prefix}{node.name}", {port: outside(src) for port, src in node.inputs.items()}
        op, scope = REGISTRY.get(node.op), node.scope
        bodies = {attr: v for attr, v in node.attrs.items() if isinstance(v, DocBody)}
        # a loop stands in a scope that is its own; under any other name its inside would have no place
        if not sound or op is None or op.wires is None or not bodies or not scope or node.name != f"{scope}/{node.op}":
            here = replace(node, name=name, inputs=MappingProxyType(inputs), phase=phase, id=node.id if not prefix else self._id(),
                           control=tuple(outside(f"{c}:0").rpartition(":")[0] for c in node.control) if prefix else node.control)
            self.nodes[name] = here
            return [name]
        inside = f"{prefix}{scope}"
        given = list(inputs.values())
        taken: list[str] = []
        silent: list[str] = []
        states: dict[int, str] = {}
        ends: dict[str, str] = {}
        wires = list(zip(bodies.values(), op.wires(op.normalize(node.attrs))))
        # the body that renews the states names them
        for body, (sources, results) in sorted(wires, key=lambda w: not any(kind == "next" for kind, _ in w[1][1])):
            graph = body.as_body()
            local: dict[str, str] = {}
            for tensor, source, (kind, k) in zip(body.inputs, graph.inputs, sources):
                if kind == "around":
                    local[tensor] = given[k]
                    continue
                if kind == "state" and k in states:
                    local[tensor] = f"{states[k]}:0"
                    continue
                drawn = f"{inside}/{source.node.name}"
                port, pseudo = ("x", TIMESTEP) if kind == "sequence" else ("start", STATE)
                self.nodes[drawn] = DocNode(self._id(), drawn, pseudo, inputs=MappingProxyType({port: given[k]}), phase=phase)
                self.types[f"{drawn}:0"] = source.type
                local[tensor] = f"{drawn}:0"
                silent.append(drawn)
                if kind == "state":
                    states[k] = drawn

            def find(tensor: str, local: Mapping[str, str] = local) -> str:
                return local.get(tensor) or f"{inside}/{tensor}"

            used = self._used(body)
            for inner in body.document.nodes.values():
                if f"{inner.name}:0" in body.inputs or inner.name not in used:
                    continue
                taken += self.put(inner, f"{inside}/", find, phase, True)
                if inner.name in graph.nodes:
                    self.types.update({f"{inside}/{t.name}": t.type for t in graph.nodes[inner.name].outputs})
            for tensor, (kind, k) in zip(body.outputs, results):
                if kind == "next":
                    state = self.nodes[states[k]]
                    self.nodes[states[k]] = replace(state, inputs=MappingProxyType({**state.inputs, NEXT: find(tensor)}))
                    label = state.name.rpartition("/")[2]
                    ends[f"final {label}"] = find(tensor)
                else:
                    # of two branches each has its own wire to what comes out
                    ends["while" if kind == "test" else f"output {k}" if len(wires) == 1 else f"{body.document.name} {k}"] = find(tensor)
        first = {port: src for port, src in inputs.items() if not port.startswith("xs.")}
        self.nodes[name] = replace(node, name=name, inputs=MappingProxyType({**first, **ends}), phase=phase, id=node.id if not prefix else self._id())
        self.loops[inside] = Loop(name, inside, "loop" if states or any(k == "sequence" for _, (s, _) in wires for k, _ in s) else "branch", phase,
                                  (*taken, *silent), tuple(silent))
        return [name, *taken, *silent]

    def _id(self) -> int:
        self._next_id += 1
        return self._next_id

    @staticmethod
    def _used(body: DocBody) -> set[str]:
        """The nodes of a body that its outputs come from."""
        used: set[str] = set()
        stack = [t.rpartition(":")[0] for t in body.outputs]
        while stack:
            name = stack.pop()
            if name not in used:
                used.add(name)
                node = body.document.nodes[name]
                stack += [src.rpartition(":")[0] for src in node.inputs.values()] + list(node.control)
        return used

