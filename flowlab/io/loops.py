"""Loops and branches with their inside among the other nodes: how a canvas draws them, and by which names edits speak of them."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ..core.composite import Composite
from ..core.op import REGISTRY
from ..core.types import TensorType
from .document import DocBody, DocNode, Document

if TYPE_CHECKING:
    from .build import Build

STATE, TIMESTEP = "State", "Timestep"     # what stands for a body's inputs: a state as the timestep found it, and its part of a sequence
START, NEXT, ALONG = "start", "next", "x"
PORTS = {STATE: (START, NEXT), TIMESTEP: (ALONG,)}
ENDS = ("final ", "output ", "while", "then ", "otherwise ")   # how the ports begin that a loop's node has when its inside is drawn
PASSES = {"Scan": {"body": ("next", "output")}, "While": {"condition": ("test",), "body": ("next",)}, "Cond": {"then": ("output",), "otherwise": ("output",)}}
"""What comes out of each body of a loop or branch, in this order."""

Wires = list[tuple[str, DocBody, list[tuple[str, int]], list[tuple[str, int]]]]
"""For each body of a node: its attribute, itself, what its inputs are, what its outputs are."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop or branch whose inside is drawn."""

    node: str                               # its own node, which gives what came out
    scope: str                              # the scope that its inside stands in
    kind: Literal["loop", "branch"]
    phase: str
    inside: tuple[str, ...]                 # names that are drawn and stand for nothing in the document
    inputs: tuple[str, ...]                 # those of them that never fire
    ends: tuple[str, ...] = ()              # the ports of its node, wired or open
    spare: str | None = None                # one more of them, that need not be wired
    unused: frozenset[str] = frozenset()    # names inside that nothing comes out of
    gives: tuple[str, ...] = ()             # what its node gives


@dataclass(frozen=True, slots=True)
class View:
    """A document and its build with the inside of its loops among the nodes."""

    document: Document
    built: Build
    loops: Mapping[str, Loop] = field(default_factory=dict)     # scope → loop

    def loop_of(self, name: str) -> Loop | None:
        """The innermost loop that a drawn node is inside of; None for a node of the document."""
        return next((loop for loop in reversed(self.loops.values()) if name in loop.inside), None)


# ---------------------------------------------------------------- what is a loop


def wires_of(node: DocNode) -> Wires | None:
    """How the bodies of a loop or branch are wired to its node; None for any other node, and for one whose parts do not go together."""
    bodies = {attr: v for attr, v in node.attrs.items() if isinstance(v, DocBody)}
    op = REGISTRY.get(node.op) if bodies else None
    # a loop stands in a scope that is its own; under any other name its inside would have no place
    if op is None or op.wires is None or node.op not in PASSES or bodies.keys() != PASSES[node.op].keys() or node.name != f"{node.scope}/{node.op}" or not node.scope:
        return None
    bodies = {attr: bodies[attr] for attr in PASSES[node.op]}
    states = node.attrs.get("states", 0)
    if type(states) is not int or not 0 <= states <= min(len(body.inputs) for body in bodies.values()):
        return None     # counted before anything is made of so many
    try:
        wires = op.wires(node.attrs)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError):     # a file may say anything
        return None
    found: Wires = []
    for (attr, body), (sources, results) in zip(bodies.items(), wires):
        held = [body.document.nodes.get(t.removesuffix(":0")) for t in body.inputs]
        states = [k for kind, k in sources if kind == "state"]
        if (len(sources) != len(body.inputs) or len(results) != len(body.outputs) or len(set(body.inputs)) < len(body.inputs) or any(n is None or n.op != "Placeholder" for n in held)
                or [k for kind, k in results if kind == "next"] not in ([], states) or attr == "condition" and [k for k, _ in results] != ["test"]):
            return None
        found.append((attr, body, sources, results))
    if len({len(body.inputs) for _, body, *_ in found}) > 1 or node.op == "Cond" and len(found[0][3]) != len(found[1][3]) or _miscounted(node, found):
        return None
    return found


def _miscounted(node: DocNode, wires: Wires) -> bool:
    """Do the numbers of a scan say something else than its body?"""
    if node.op != "Scan":
        return False
    axes, out_axes, states = (node.attrs.get(k, ()) for k in ("axes", "out_axes", "states"))
    if not isinstance(axes, tuple) or not isinstance(out_axes, tuple):
        return True
    kinds = [kind for kind, _ in wires[0][2]]
    counts = kinds.count("sequence") == len(axes) and kinds.count("state") == states and [kind for kind, _ in wires[0][3]].count("output") == len(out_axes)
    return not (counts and len(axes) > 0 and all(type(a) is int for a in (*axes, *out_axes)))


def loops_of(document: Document) -> dict[str, DocNode]:
    """The loops and branches of a document that can be opened, by the scope that their inside stands in."""
    return {n.scope: n for n in document.nodes.values() if any(isinstance(v, DocBody) for v in n.attrs.values()) and wires_of(n) is not None}


def port_at(node: DocNode, k: int) -> str:
    """The port of a loop's node that its bodies know as input `k`."""
    return REGISTRY[node.op].ports(k + 1)[k]


def labels_of(wires: Wires) -> dict[tuple[str, int], str]:
    """What a loop's sequences and states are called: by the body that renews them, else by the first."""
    found: dict[tuple[str, int], str] = {}
    for _, body, sources, _ in sorted(wires, key=lambda w: not any(kind == "next" for kind, _ in w[3])):
        for tensor, (kind, k) in zip(body.inputs, sources):
            if kind != "around":
                found.setdefault((kind, k), tensor.rpartition(":")[0])
    return found


def end_of(node: DocNode, attr: str, kind: str, k: int, labels: Mapping[tuple[str, int], str]) -> str:
    """The port of the loop's node that an output of a body goes to."""
    if kind == "next":
        return f"final {labels['state', k]}"
    return "while" if kind == "test" else f"output {k}" if node.op == "Scan" else f"{attr} {k}"


# ---------------------------------------------------------------- the view


def view(document: Document, built: Build) -> View:
    """What is drawn of a document: its nodes, and those inside its loops and branches, half-wired or not."""
    if not any(isinstance(v, DocBody) for n in document.nodes.values() for v in n.attrs.values()):
        return View(document, built)
    made = _Opening(max((n.id for n in document.nodes.values()), default=0) + 1_000_000)
    for node in document.nodes.values():
        made.put(node, "", lambda tensor: tensor, node.phase, built)
    types = MappingProxyType({**built.types, **made.types})
    return View(replace(document, nodes=MappingProxyType(made.nodes), composites=MappingProxyType({**document.composites, **made.composites})), replace(built, types=types), MappingProxyType(made.loops))


class _Opening:
    """Puts nodes one by one into one flat picture, those of bodies under the name of their loop."""

    def __init__(self, first_id: int):
        self.nodes: dict[str, DocNode] = {}
        self.types: dict[str, TensorType] = {}
        self.loops: dict[str, Loop] = {}
        self.composites: dict[str, Composite] = {}
        self._next_id = first_id

    def put(self, node: DocNode, prefix: str, outside: Callable[[str], str | None], phase: str, built: Build) -> list[str]:
        """Put a node in, and what is inside it; the names that it took."""
        name = f"{prefix}{node.name}"
        inputs = {port: found for port, src in node.inputs.items() if (found := outside(src)) is not None}
        wires = wires_of(node)
        if wires is None:
            control = [c for c in (outside(f"{c}:0") for c in node.control) if c is not None] if prefix else []
            self.nodes[name] = replace(node, name=name, inputs=MappingProxyType(inputs), phase=phase, id=node.id if not prefix else self._id(),
                                       control=tuple(c.rpartition(":")[0] for c in control) if prefix else node.control,
                                       gradient_of=f"{prefix}{node.gradient_of}" if prefix and node.gradient_of else node.gradient_of)
            return [name]
        inside = f"{prefix}{node.scope}"
        labels = labels_of(wires)
        taken: list[str] = []
        silent: list[str] = []
        unused: set[str] = set()
        ends: dict[str, str] = {}
        ports: list[str] = []
        types = built.inside.get(node.name, {})
        # the body that renews the states names them
        for attr, body, sources, results in sorted(wires, key=lambda w: not any(kind == "next" for kind, _ in w[3])):
            made = types.get(attr)
            local: dict[str, str | None] = {}
            for tensor, (kind, k) in zip(body.inputs, sources):
                src = inputs.get(port_at(node, k))
                if kind == "around":
                    local[tensor] = src
                    continue
                drawn = f"{inside}/{labels[kind, k]}"
                local[tensor] = f"{drawn}:0"
                if drawn in self.nodes:
                    continue
                port, pseudo = (ALONG, TIMESTEP) if kind == "sequence" else (START, STATE)
                self.nodes[drawn] = DocNode(self._id(), drawn, pseudo, inputs=MappingProxyType({port: src} if src is not None else {}), phase=phase)
                if made is not None and tensor in made.types:
                    self.types[f"{drawn}:0"] = made.types[tensor]
                silent.append(drawn)

            def find(tensor: str, local: Mapping[str, str | None] = local) -> str | None:
                return local[tensor] if tensor in local else f"{inside}/{tensor}"

            used = _used(body)
            for inner in body.document.nodes.values():
                if f"{inner.name}:0" in body.inputs or phase != "forward" and inner.name not in used:
                    continue
                names = self.put(inner, f"{inside}/", find, phase, made if made is not None else built)
                taken += names
                if inner.name not in used:
                    unused.update(names)
                if made is not None and inner.name in made.graph:
                    self.types.update({f"{inside}/{t.name}": t.type for t in made.graph.nodes[inner.name].outputs})
            self.composites |= {f"{inside}/{scope}": _told(composite, inside, find) for scope, composite in body.document.composites.items()}
            for tensor, (kind, k) in zip(body.outputs, results):
                end = end_of(node, attr, kind, k, labels)
                ports.append(end)
                found = None if tensor is None else find(tensor)
                if found is not None:
                    ends[end] = found
                    if kind == "next":
                        state = self.nodes[f"{inside}/{labels['state', k]}"]
                        self.nodes[state.name] = replace(state, inputs=MappingProxyType({**state.inputs, NEXT: found}))
        first = {port: src for port, src in inputs.items() if not port.startswith("xs.")}
        self.nodes[name] = replace(node, name=name, inputs=MappingProxyType({**first, **ends}), phase=phase, id=node.id if not prefix else self._id(),
                                   control=node.control if not prefix else tuple(f"{prefix}{c}" for c in node.control))
        scan = node.op == "Scan"
        finals = [f"final.{label}" for (kind, _), label in sorted(labels.items()) if kind == "state"]
        gives = tuple(f"output {k}" for k in range(len(wires[0][3]))) if node.op == "Cond" else (*(f"outputs.{k}" for k in range(len(node.attrs.get("out_axes", ())))), *finals)
        self.loops[inside] = Loop(name, inside, "branch" if node.op == "Cond" else "loop", phase, (*taken, *silent), tuple(silent), tuple(ports),
                                  f"output {len(node.attrs['out_axes'])}" if scan and phase == "forward" else None, frozenset(unused), gives)
        return [name, *taken, *silent]

    def _id(self) -> int:
        self._next_id += 1
        return self._next_id


def _told(made: Composite, inside: str, find: Callable[[str], str | None]) -> Composite:
    """A composite inside a loop under the names that are drawn."""
    def ends(tensors: Mapping[str, str]) -> Mapping[str, str]:
        return MappingProxyType({p: found for p, t in tensors.items() if (found := find(t)) is not None})

    return replace(made, inputs=ends(made.inputs), outputs=ends(made.outputs), ports=MappingProxyType({p: tuple(f"{inside}/{i}" for i in inner) for p, inner in made.ports.items()}))


def _used(body: DocBody) -> set[str]:
    """The nodes of a body that its outputs come from."""
    used: set[str] = set()
    stack = [t.rpartition(":")[0] for t in body.outputs if t is not None]
    while stack:
        name = stack.pop()
        if name not in used:
            used.add(name)
            node = body.document.nodes[name]
            stack += [src.rpartition(":")[0] for src in node.inputs.values()] + list(node.control)
    return used


def flat(document: Document) -> Document:
    """The document with the inside of its loops among its nodes; the document itself if it has none."""
    from .build import Build

    return view(document, Build(None)).document     # without types: names and wires need none


def drawn_edges(document: Document) -> Iterator[tuple[str, str]]:
    """Every wire that is drawn, loops opened: from which tensor to which input."""
    for edge in flat(document).edges:
        if edge.port is not None:
            yield f"{edge.src}:{edge.output}", f"{edge.dst}:{edge.port}"
