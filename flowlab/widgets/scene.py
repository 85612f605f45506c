"""What the canvas draws: a document, its folded scopes and the state of a run, turned into messages. Pure functions throughout."""
from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from operator import is_
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, DocumentError, DTypeError, FlowError, plural
from ..core.graph import Graph, Node, Tensor
from ..core.op import REGISTRY, Op
from ..core.types import DTYPES, KINDS, TensorType, shape_text
from ..io import loops as L
from ..io.build import Build, Diagnostic, ports_of
from ..io.document import MOST_SHOWN, DocBody, DocNode, Document, Edge, Frame
from ..io.edits import edit_to_json
from ..io.making import port_for
from ..nn.init import NAMES as INITIALIZERS
from . import protocol as P, values as V

OPEN_UP_TO = 200        # a graph of at most so many nodes opens unfolded
DRAWN_UP_TO = 1000      # elements that a canvas can draw and stay quick
CROWD = 200             # side by side in one scope: with more than that, repeats of one scope are drawn as one stack
REPEATS = 4             # as many in a row make a stack
STRETCHED = 500         # with still more than that, stretches of what stands side by side are
STRETCH = (100, 400)    # and how many each of those holds
EDITABLE = 1024         # elements of an array that can be typed over

CATEGORIES = ("input", "math", "linalg", "reduce", "activation", "array", "loss", "conv", "recurrent", "random", "state", "control")
# the operation that gives a scope its character, the most telling first
_CHARACTER = ("recurrent", "conv", "linalg", "loss", "activation", "reduce", "random", "math", "array", "state", "control", "input")


# ---------------------------------------------------------------- the palette


def palette(examples: Iterable[P.Example] = (), templates: Iterable[P.Template] = ()) -> P.Palette:
    """Every operation there is, with the forms to edit it: the page knows none by name."""
    ops = [op_spec(op) for op in REGISTRY.values() if op.listed] + _loop_specs()
    found = {o.category for o in ops}
    categories = [c for c in CATEGORIES if c in found] + sorted(found - set(CATEGORIES))
    ops.sort(key=lambda o: (categories.index(o.category), o.type))
    return P.Palette(ops=ops, categories=categories, dtypes=list(DTYPES), initializers=list(INITIALIZERS), examples=list(examples), templates=list(templates))


def _loop_specs() -> list[P.OpSpec]:
    """What a loop over time is built from by hand: the loop, and what comes into a timestep."""
    scan = op_spec(REGISTRY["Scan"])
    attrs = [a for a in scan.attrs if a.name != "states"]
    return [
        replace(scan, doc="Loop over time: what is inside runs once a timestep, and hands its states on.", inputs=[L.ALONG], variadic=False, attrs=attrs,
                aliases=["loop over time", "recurrence", "rnn", "for"]),
        P.OpSpec(type=L.STATE, function="state", category="control", doc="Carry a tensor from timestep to timestep, inside a loop.", latex="s_{t-1}", label_zh="状态", inputs=[L.START, L.NEXT], outputs=["out"],
                 aliases=["memory", "delay", "t-1"], called="h", fires=False),
        P.OpSpec(type=L.TIMESTEP, function="sequence", category="control", doc="Go along one more sequence, inside a loop.", latex="x_t", label_zh="序列", inputs=[L.ALONG], outputs=["out"], called="input", fires=False),
    ]


_WANTED = {"Float": "floats", "Int": "whole numbers", "Bool": "bool", "Number": "numbers"}


def fits(tensor: Tensor, *, in_loop: bool = False) -> P.Fits:
    """Which listed operations can take a tensor of this type: the shape that comes out where it is the only input, the reason where it cannot go in."""
    shapes: dict[str, str] = {}
    whys: dict[str, str] = {}
    ports: dict[str, str] = {}
    if in_loop:
        ports[L.STATE] = L.NEXT     # what is computed inside is what a state becomes
        whys[L.TIMESTEP] = "takes a sequence from around the loop"
    if not tensor.type.rank:
        whys["Scan"] = "takes a sequence: it has no axis to go along"
    for op in REGISTRY.values():
        if not op.listed or not op.inputs:
            continue
        kinds = {i.kind for i in op.inputs}
        if not any(tensor.dtype.kind in KINDS[kind] for kind in kinds):
            whys[op.name] = f"takes {' or '.join(sorted(_WANTED.get(k, 'anything') for k in kinds))}"
            continue
        ports[op.name] = port_for(op, tensor.type) or op.inputs[0].name
        try:
            given = predicted(op, tensor.type, ports[op.name])
        except (AttributeValueError, DTypeError):  # it waits for an attribute, or for a cast
            continue
        except FlowError as error:
            wants = error.hint.partition(".")[0]
            whys[op.name] = wants[0].lower() + wants[1:] if wants.startswith("It takes") else error.message.rstrip(".").partition(": ")[2] or error.message
            whys[op.name] = whys[op.name].removeprefix("it ")
            continue
        if given:
            shapes[op.name] = given
    return P.Fits(tensor=tensor.name, shapes=shapes, whys=whys, ports=ports, best=usual(tensor.type, whys))


_IMAGES, _SEQUENCES = ("Conv2D", "MaxPool2D", "AvgPool2D", "BatchNorm"), ("LSTM", "GRU", "RNN", "Conv1D", "LayerNorm")
_WHOLE = ("OneHot", "Gather", "Cast", "Equal")
_SCALARS = ("Multiply", "Add", "Subtract", "Divide", "Square", "Negative", "Exp", "Log")
_USUAL = ("MatMul", "Add", "Relu", "Multiply", "Subtract", "Mean", "Sum", "Softmax", "Sigmoid", "Tanh", "SparseSoftmaxCrossEntropy", "Concat", "Reshape", "Transpose", "Dropout", "LayerNorm", "Square", "Max", "Argmax")


def usual(type: TensorType, whys: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """What people most often go on with from a tensor of this rank and dtype, the likeliest first, without what cannot take it."""
    first = _WHOLE if type.dtype.kind in "iu" else _IMAGES if type.rank == 4 else _SEQUENCES if type.rank == 3 else _SCALARS if type.rank == 0 else ()
    return [name for name in dict.fromkeys([*first, *_USUAL]) if name in REGISTRY and name not in whys]


_RANKS = {"linalg": (2, 1, 3, 4), "recurrent": (2, 1), "conv": (4, 3, 5, 1)}
_TRIES = 24


def predicted(op: Op, type: TensorType, port: str) -> str:
    """What the op gives when this is the type of one input: sizes that the open inputs decide are ?, one that an attribute decides has its name.

    "" where that would be a guess; ShapeError where the op takes no such tensor, whatever else it gets.
    """
    asked = [name for name, attr in op.attrs.items() if attr.required]
    if len(asked) > 1 or any(op.attrs[name].kind not in ("int", "ints") for name in asked):
        return ""
    others = [i for i in op.inputs if not i.optional and not i.variadic and i.name != port]
    alone, found, error = not others and not op.variadic, [], None
    for size in (2, 3) if asked else (0,):
        attrs = op.normalize(dict.fromkeys(asked, size))
        for types in itertools.islice(_beside(op, type, others), _TRIES):
            given = {port: type, **types} if not op.variadic else {port: type, f"{port.rpartition('.')[0]}.1": type, **types}
            named = list(given) if op.variadic else [i.name for i in op.inputs if i.name in given]
            try:
                found.append(op.infer([SimpleNamespace(type=given[p]) for p in named], named, attrs)[0])
                break
            except AttributeValueError:
                return ""
            except FlowError as wrong:
                error = wrong
            except LookupError:     # it gives nothing
                return ""
    if not found and not alone and not asked and len(others) < 3:
        error = op.clash({port: type}, [i.name for i in others], op.normalize({}))
    if error is not None and not found and (alone or error.port == port):
        raise error
    if not found or len({t.rank for t in found}) > 1:
        return ""
    sizes = ["?" if d is None else str(d) if len(found) == 1 or found[1].shape[k] == d else asked[0] for k, d in enumerate(found[0].shape)]
    return (f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})") + ("" if found[0].dtype == type.dtype else f" {found[0].dtype}")


def _beside(op: Op, type: TensorType, others: list[Any]) -> Iterator[dict[str, TensorType]]:
    """Types that the open inputs of an op may get, the likeliest first."""
    dtypes = [type.dtype if type.dtype.kind in KINDS[i.kind] else np.dtype({"Int": "int64", "Bool": "bool"}.get(i.kind, "float32")) for i in others]
    ranks = _RANKS.get(op.category)
    if ranks is None and all((i.kind in ("Int", "Bool")) == (type.dtype.kind in "iub") for i in others):
        yield {i.name: TensorType(type.shape, d) for i, d in zip(others, dtypes)}
    if ranks is None:
        ranks = (max(type.rank - 1, 0), type.rank, 1, 2, 3, 4)
    for chosen in itertools.product(ranks, repeat=len(others)):
        yield {i.name: TensorType((None,) * r, d) for i, r, d in zip(others, chosen, dtypes)}


def op_spec(op: Op) -> P.OpSpec:
    """One operation as data."""
    # a constant's value has a field of its own, and a variable's stands in the field of its initializer
    attrs = [attr_spec(op, name) for name, attr in op.attrs.items() if attr.kind not in ("value", "body")]
    if op.source == "constant":
        attrs.append(P.AttrSpec(name="dtype", kind="dtype", choices=list(DTYPES)))
    return P.OpSpec(type=op.name, function=op.function.removesuffix("_op"), category=op.category, doc=op.doc.strip().partition("\n")[0], latex=op.latex,
                    aliases=list(op.aliases), label_zh=op.zh, inputs=[i.name for i in op.inputs], optional=[i.name for i in op.inputs if i.optional],
                    variadic=op.variadic, outputs=list(op.outputs), attrs=attrs)


_FORMS = {"new_shape": "shape", "index": "json", "pairs": "json", "padding": "json"}


def attr_spec(op: Op, name: str) -> P.AttrSpec:
    """The form field of one attribute."""
    attr = op.attrs[name]
    choices = list(attr.choices) or (list(DTYPES) if attr.kind == "dtype" else list(INITIALIZERS) if attr.kind == "initializer" else [])
    return P.AttrSpec(name=name, kind=_FORMS.get(attr.kind, attr.kind), default=form_value(attr.kind, attr.default), required=attr.required, choices=choices)


def form_value(kind: str, value: Any) -> Any:
    """An attribute's value as the form edits it: shapes and axes as people type them, arrays as JSON text."""
    if isinstance(value, np.ndarray):
        return V.exact(value) if value.size <= EDITABLE else note(value)
    if kind in ("shape", "new_shape") and value is not None:
        return ", ".join("?" if d is None else str(d) for d in value)
    if kind in ("axis", "ints") and isinstance(value, tuple):
        return ", ".join(map(str, value))
    if kind in ("index", "pairs") and value is not None or kind == "padding" and isinstance(value, tuple):
        from ..io.jsonio import dumps

        return dumps(value)
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return value


def note(array: np.ndarray) -> str:
    """What stands in a form for an array too large to type over."""
    return f"{array.dtype} {shape_text(array.shape)}"


# ---------------------------------------------------------------- folding


@dataclass(frozen=True, slots=True)
class Stack:
    """What is drawn as one for want of room: a scope that is repeated, or a stretch of what stands side by side. It is in no document."""

    name: str                       # `block_0…block_204`
    members: tuple[str, ...]        # scopes and nodes, in document order
    repeats: bool                   # are they all the same scope again?


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which element stands for which nodes: a node for itself, a folded scope for all that is in it."""

    owner: Mapping[str, str]                                    # node → the element it is drawn in
    nodes: tuple[str, ...]                                      # nodes drawn as themselves, in document order
    scopes: Mapping[str, tuple[str, ...]]                       # folded scope → the nodes inside
    opened: Mapping[str, tuple[str, ...]]                       # unfolded scope → drawn elements inside
    stacks: Mapping[str, Stack] = field(default_factory=dict)   # those of the folded scopes that are stacks
    alike: Mapping[str, int] = field(default_factory=dict)      # folded scope → number of its kind, where another is like it
    edges: tuple[P.SceneEdge, ...] = ()
    tensors: frozenset[str] = field(default_factory=frozenset)  # tensors that a drawn element shows


def prefixes(name: str) -> list[str]:
    """The scopes that a name stands in, outermost first."""
    parts = name.split("/")
    return ["/".join(parts[:k]) for k in range(1, len(parts))]


def folded_scopes(document: Document) -> frozenset[str]:
    """The scopes that are folded: as the person left them, else all of a large graph, and of a small one the loops of the way back."""
    if document.folded is not None:
        return document.folded
    if len(document.nodes) > OPEN_UP_TO:
        return document.scopes
    return frozenset(n.scope for n in document.nodes.values() if n.phase != "forward" and any(p.startswith(L.ENDS) for p in n.inputs))


def fold(document: Document, scopes: Iterable[str]) -> frozenset[str]:
    """The folded scopes after folding these, or all of them."""
    scopes = frozenset(scopes) & document.scopes
    return folded_scopes(document) | (scopes or document.scopes)


def unfold(document: Document, scopes: Iterable[str]) -> frozenset[str]:
    """The folded scopes after unfolding these, or all of them."""
    scopes = frozenset(scopes)
    return folded_scopes(document) - scopes if scopes else frozenset()


def drawn(document: Document, built: Build, spread: Set[str] = frozenset(), kinds: Kinds | None = None) -> Drawn:
    """Which elements a canvas shows, and the edges between them. Nothing in `spread` is drawn as part of a stack."""
    folded = folded_scopes(document)
    owner: dict[str, str] = {}
    by_scope: dict[str, tuple[list[str], str | None]] = {}      # scope → its open frames, and the fold it is hidden in
    inside: dict[str, list[str]] = {}
    for name in document.nodes:
        scope = name.rpartition("/")[0]
        if scope not in by_scope:
            above = [*prefixes(scope), scope] if scope else []
            hidden = next((s for s in above if s in folded), None)
            by_scope[scope] = (above[:above.index(hidden)] if hidden else above, hidden)
        hidden = by_scope[scope][1]
        owner[name] = hidden or name
        if hidden:
            inside.setdefault(hidden, []).append(name)
    alike = (kinds or Kinds()).alike(document, built, inside) if len(document.nodes) > OPEN_UP_TO else {}
    stacks = _stacks(document, owner, inside, alike, spread)
    in_stack = {member: stack.name for stack in stacks.values() for member in stack.members}
    if in_stack:
        owner = {name: in_stack.get(element, element) for name, element in owner.items()}
        inside = {}
        for name, element in owner.items():
            if element != name:
                inside.setdefault(element, []).append(name)
        alike |= {s.name: alike[s.members[0]] for s in stacks.values() if s.repeats}
    nodes = [name for name, element in owner.items() if element == name]
    opened: dict[str, dict[str, None]] = {}
    for name, element in owner.items():
        for frame in by_scope[name.rpartition("/")[0]][0]:
            opened.setdefault(frame, {})[element] = None
    scopes = {k: tuple(v) for k, v in inside.items()}
    edges = _edges(document, built, owner, scopes)
    tensors = {e.tensor for e in edges if e.tensor is not None} | {f"{n}:0" for n in nodes}
    return Drawn(owner, tuple(nodes), scopes, {k: tuple(v) for k, v in opened.items()}, stacks, {k: v for k, v in alike.items() if k in scopes}, edges, frozenset(tensors))


class Kinds:
    """Which folded scopes are the same but for where they stand: operations, names, wires and shapes inside. Remembers what it has looked at."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[DocNode], list[Any], int]] = {}   # scope → its nodes and their types, and what it comes to
        self._numbers: dict[int, int] = {}    # a kind keeps its number, and so its colour

    def alike(self, document: Document, built: Build, inside: Mapping[str, list[str]]) -> dict[str, int]:
        """A number for every scope that is not the only one of its kind, the same for all of one kind."""
        found: dict[int, list[str]] = {}
        known: dict[str, tuple[list[DocNode], list[Any], int]] = {}
        sound = built.graph.nodes
        for scope, names in inside.items():
            nodes = [document.nodes[n] for n in names]
            types = [sound[n].outputs[0].type if n in sound and sound[n].outputs else None for n in names]
            before = self._known.get(scope)
            # a node that no edit has touched is the same object still
            same = before is not None and len(before[0]) == len(nodes) and all(map(is_, before[0], nodes)) and before[1] == types
            known[scope] = before if same else (nodes, types, _kind_of(scope, nodes, types))
            found.setdefault(known[scope][2], []).append(scope)
        self._known = known
        return {scope: self._numbers.setdefault(kind, len(self._numbers) + 1) for kind, scopes in found.items() if len(scopes) > 1 for scope in scopes}

    def kind_of(self, scope: str) -> str:
        """What two scopes share that were alike when it last looked."""
        return f"{self._known[scope][2]:x}"


def _kind_of(scope: str, nodes: Sequence[DocNode], types: Sequence[TensorType | None]) -> int:
    """A number that two scopes share if they are the same but for where they stand."""
    cut, within = len(scope) + 1, f"{scope}/"
    return hash(tuple([(n.name[cut:], n.op, n.phase, type, tuple([(p, src[cut:] if src.startswith(within) else "") for p, src in n.inputs.items()]))
                       for n, type in zip(nodes, types)]))


def _stacks(document: Document, owner: Mapping[str, str], inside: Mapping[str, Any], alike: Mapping[str, int], spread: Set[str]) -> dict[str, Stack]:
    """What is drawn as one where too much stands side by side: repeats of a scope first, then stretches of whatever it is."""
    if len(document.nodes) <= CROWD:
        return {}
    beside: dict[str, dict[str, None]] = {}         # scope → what stands in it side by side, drawn or opened
    for element in dict.fromkeys(owner.values()):
        while True:
            parent = element.rpartition("/")[0]
            row = beside.setdefault(parent, {})
            if element in row:
                break
            row[element] = None
            if not parent:
                break
            element = parent
    stacks: dict[str, Stack] = {}
    for row in beside.values():
        if len(row) <= CROWD:
            continue
        rest: list[str | tuple[str, ...]] = []
        for kind, group in itertools.groupby(row, lambda e: alike.get(e, 0) if e in inside and e not in spread and e not in document.composites else 0):
            members = tuple(group)
            if kind and len(members) >= REPEATS:
                stack = Stack(_stack_name(document, members), members, True)
                stacks[stack.name] = stack
                rest.append(members)
            else:
                rest.extend(members)
        if len(rest) <= STRETCHED:
            continue
        size = min(max(-(-len(rest) // 100), STRETCH[0]), STRETCH[1])
        for k in range(0, len(rest), size):
            part = tuple(m for e in rest[k:k + size] for m in (e if isinstance(e, tuple) else (e,)))
            # one that a part of is looked at stays open
            if len(part) > 1 and not any(m in spread or m not in inside and m not in document.nodes for m in part):
                for e in rest[k:k + size]:
                    if isinstance(e, tuple):
                        del stacks[_stack_name(document, e)]
                stack = Stack(_stack_name(document, part), part, False)
                stacks[stack.name] = stack
    return stacks


def _stack_name(document: Document, members: Sequence[str]) -> str:
    name = f"{members[0]}…{members[-1].rpartition('/')[2]}"
    while name in document.nodes:
        name += "…"
    return name


def _edges(document: Document, built: Build, owner: Mapping[str, str], scopes: Mapping[str, Any]) -> tuple[P.SceneEdge, ...]:
    errors = {d.edge: d.message for d in reversed(built.diagnostics) if d.edge is not None and d.severe}
    given = {scope: {t: port for port, t in c.outputs.items()} for scope, c in document.composites.items() if scope in scopes}
    taken = {scope: {i: port for port, inner in c.ports.items() for i in inner} or {t: port for port, t in c.inputs.items()} for scope, c in document.composites.items() if scope in scopes}
    merged: dict[tuple, dict[str, Any]] = {}
    ranks: dict[tuple, int] = {}
    for edge in _crossing(document, owner, scopes):
        src, dst = owner[edge.src], owner[edge.dst]
        if src == dst and edge.port != L.NEXT:
            continue
        control = edge.port is None
        tensor = None if control else f"{edge.src}:{edge.output}"
        src_port, dst_port = str(edge.output), edge.port or "^"
        out, into = (None, None) if control else (given.get(src), taken.get(dst))
        if out is not None or into is not None:     # the ports of a composite have names, and each its wire
            src_port = out.get(tensor, tensor) if out is not None else tensor if src in scopes else src_port
            dst_port = into.get(f"{edge.dst}:{edge.port}", into.get(tensor, tensor)) if into is not None else tensor if dst in scopes else dst_port
            key: tuple = (src, src_port, dst, dst_port)
        elif src in scopes and dst in scopes:
            key = (src, dst)                # between two folded scopes one edge stands for all
            src_port, dst_port = tensor or f"^{edge.src}", tensor or f"^{edge.src}"
        elif dst in scopes:
            key, dst_port = (src, tensor or f"^{edge.src}", dst), tensor or f"^{edge.src}"
        elif src in scopes:
            key, src_port = ((src, "^", dst) if control else (edge.id,)), tensor or f"^{edge.src}"
        else:
            key = (edge.id,)
        error = errors.get(edge.id)
        rank = _telling(document, edge) if src in scopes else 0
        first = merged.get(key)
        if first is not None:
            first["merged"] += 1
            first["error"] = first["error"] or error
            if rank < ranks[key]:
                ranks[key] = rank
                first.update(id=edge.id, tensor=tensor, control=control, src_port=src_port, dst_port=dst_port, phase=document.nodes[edge.dst].phase, **_type_of(built, tensor))
            continue
        ranks[key] = rank
        loop = edge.port == L.NEXT and document.nodes[edge.dst].op == L.STATE
        merged[key] = {"loop": loop, "id": edge.id, "src": src, "src_port": src_port, "dst": dst, "dst_port": dst_port, "tensor": tensor, **_type_of(built, tensor),
                       "phase": document.nodes[edge.dst].phase, "control": control, "error": error, "merged": 1}
    # of the wires that leave a folded scope the most telling comes first: its tensor stands for the scope
    return tuple(P.SceneEdge(**merged[key]) for key in sorted(merged, key=ranks.__getitem__))


def _crossing(document: Document, owner: Mapping[str, str], scopes: Mapping[str, Any]) -> Iterator[Edge]:
    """The wires but for those within one folded scope: most of a large graph's."""
    for name, node in document.nodes.items():
        dst = owner[name]
        hidden = dst in scopes
        for port, tensor in node.inputs.items():
            src, _, index = tensor.rpartition(":")
            if not hidden or owner[src] != dst:
                yield Edge(src, int(index), name, port)
        for src in node.control:
            if not hidden or owner[src] != dst:
                yield Edge(src, 0, name, None)


def _telling(document: Document, edge: Edge) -> int:
    """How little a wire out of a folded scope says about it: results before parameters, on the way forward before back, control last."""
    src, dst = document.nodes[edge.src], document.nodes[edge.dst]
    if edge.port is None:
        return 3
    op = REGISTRY.get(src.op)
    return 2 if op is not None and op.source else int(src.phase != dst.phase)


def _type_of(built: Build, tensor: str | None) -> dict[str, str | None]:
    type = built.types.get(tensor) if tensor is not None else None
    return {"shape": shape_text(type.shape) if type else None, "dtype": type.dtype.name if type else None}


def restacked(document: Document, built: Build, shown: Drawn, names: Iterable[str], kinds: Kinds) -> frozenset[str]:
    """What goes back into its stack with any of these, which were taken out of one."""
    whole = drawn(document, built, frozenset(), kinds).stacks.values()
    names = {n for n in names if n not in shown.stacks}
    return frozenset(m for s in whole if not names.isdisjoint(s.members) for m in s.members)


def revealed(document: Document, built: Build, name: str, spread: frozenset[str], kinds: Kinds) -> tuple[frozenset[str], frozenset[str]]:
    """The folded scopes, and what is drawn out of its stack, so that this node or scope is drawn by itself."""
    folded = folded_scopes(document) - frozenset(prefixes(name))
    path = {*prefixes(name), name}
    for _ in path:      # at most one stack a scope on the way
        shown = drawn(replace(document, folded=folded), built, spread, kinds)
        around = next((s for s in shown.stacks.values() if not path.isdisjoint(s.members)), None)
        if around is None:
            break
        spread |= path.intersection(around.members) if around.repeats else frozenset(around.members)
    return folded, spread


def spelled_out(edit: Any, stacks: Mapping[str, Stack]) -> Any:
    """An edit from the page with what its stacks stand for; DocumentError where it can only mean one thing."""
    if not stacks or not isinstance(edit, dict):
        return edit
    out = dict(edit)
    for key, value in edit.items():
        if isinstance(value, list):
            out[key] = [m for v in value for m in (stacks[v].members if isinstance(v, str) and v in stacks else (v,))]
        elif key == "positions" and isinstance(value, dict):    # a stack stands where its first stands
            out[key] = {stacks[k].members[0] if k in stacks else k: place for k, place in value.items()}
        elif isinstance(value, str) and key in ("name", "node", "src", "dst", "scope") and (stack := stacks.get(value) or stacks.get(value.partition(":")[0])):
            raise DocumentError(f"{stack.name} stands for {len(stack.members)} {'scopes' if stack.repeats else 'elements'}.", node=stack.name, hint="Enter shows them one by one.")
    return out


# ---------------------------------------------------------------- finding

FOUND = 60      # hits that are told of


class Index:
    """The names of a document, ready to be searched with every key that is pressed."""

    def __init__(self, document: Document):
        self.nodes = document.nodes
        self._inside: dict[str, list[str]] = {}     # scope → the nodes in it, at any depth
        for name in document.nodes:
            for scope in prefixes(name):
                self._inside.setdefault(scope, []).append(name)
        self._rows = [(name.lower(), node.op.lower(), name) for name, node in document.nodes.items()]
        self._rows += [(scope.lower(), "scope", scope) for scope in self._inside]

    def find(self, text: str, built: Build, shown: Drawn) -> P.Found:
        """What is called so comes first, then what begins so, what has it in its name, and what is of such an operation."""
        query = text.strip().lower()
        found: list[tuple[int, int, str]] = []
        for k, (name, op, known) in enumerate(self._rows if query else ()):
            if query in name:
                tail = name[name.rfind("/") + 1:]
                found.append((0 if tail == query or name == query else 1 if tail.startswith(query) else 2, k, known))
            elif query in op:
                found.append((3, k, known))
        found.sort()
        return P.Found(text=text, hits=[self._hit(name, built, shown) for _, _, name in found[:FOUND]], total=len(found))

    def _hit(self, name: str, built: Build, shown: Drawn) -> P.Hit:
        node = self.nodes.get(name)
        if node is None:
            inside = self._inside[name]
            element = name if name in shown.scopes else next((e for e in map(shown.owner.__getitem__, inside) if e in shown.scopes and not e.startswith(f"{name}/")), None)
            return P.Hit(name=name, op="scope", category=_character(self.nodes[n] for n in inside), note=plural(len(inside), "node"), drawn=element)
        return P.Hit(name=name, op=node.op, category="gradient" if node.phase == "backward" else _category(node), note=_type_of(built, f"{name}:0")["shape"] or "", drawn=shown.owner[name])


# ---------------------------------------------------------------- the scene


def scene(document: Document, built: Build, shown: Drawn, *, revision: int, fetched: Iterable[str] = (), path: str | None = None, dirty: bool = False,
          undo: str | None = None, redo: str | None = None, select: str | None = None, feeds: Mapping[str, np.ndarray] | None = None,
          loops: Mapping[str, L.Loop] | None = None, chosen: Iterable[str] = (), secret: Set[str] = frozenset()) -> P.Scene:
    """Everything the canvas draws; `fetched` are the nodes that a run asks for, `loops` the scopes that are the inside of one.

    The shapes of what is `secret` are not in `built`: once they are, the labels on the wires need room.
    """
    loops = loops or {}
    feeds = document.feeds if feeds is None else feeds
    fetched = set(fetched)
    by_node = {loop.node: loop for loop in loops.values()}
    nodes = [scene_node(document, built, document.nodes[name], name in fetched, feeds, by_node.get(name)) for name in shown.nodes]
    ends = ends_of(shown.edges)
    scopes = [scene_scope(document, built, name, inside, shown, ends) for name, inside in shown.scopes.items()]
    opened = [P.OpenScope(name=name, label=name.rpartition("/")[2], parent=name.rpartition("/")[0], members=list(members),
                          loop=loops[name].kind if name in loops else None, node=loops[name].node if name in loops else None) for name, members in shown.opened.items()]
    structure = hashlib.blake2b(digest_size=8)
    for text in (*(f"{n.name}\t{n.op}\t{len(n.inputs)}\t{len(n.outputs)}" for n in nodes), *(s.name for s in scopes), *(o.name for o in opened),
                 *(f"{e.id}\t?" if e.tensor in secret else e.id for e in shown.edges)):
        structure.update(text.encode() + b"\n")
    return P.Scene(revision=revision, title=document.name, path=path, dirty=dirty, undo=undo, redo=redo, total=len(document.nodes), structure=structure.hexdigest(),
                   nodes=nodes, scopes=scopes, opened=opened, edges=list(shown.edges), diagnostics=[diagnostic(d) for d in built.diagnostics],
                   select=_element_of(shown, select) if select is not None else None, chosen=[shown.owner.get(c, c) for c in chosen], composites=composites(document),
                   notes=[P.NoteSpec(text=n.text, x=n.x, y=n.y) for n in document.notes], frames=[frame(document, f, shown) for f in document.frames],
                   storyboard=storyboard(document))


def storyboard(document: Document) -> list[P.BookmarkSpec]:
    """The bookmarks as the page shows them."""
    return [P.BookmarkSpec(title=b.title, note=b.note, cursor=b.cursor, after=b.after, view=list(b.view) if b.view is not None else None, shows=list(b.shows[:MOST_SHOWN]),
                           selected=list(b.selected[:MOST_SHOWN]), tensor=b.tensor, into=b.into, panels=list(b.panels)) for b in document.storyboard]


def _element_of(shown: Drawn, name: str) -> str:
    """What is drawn for a node or scope."""
    return shown.owner.get(name) or next((s.name for s in shown.stacks.values() if name in s.members), name)


def composites(document: Document) -> list[P.CompositeSpec]:
    """The composites of a document, each function once: what the palette offers again."""
    out: dict[str, P.CompositeSpec] = {}
    for scope, made in document.composites.items():
        if made.function in out:
            out[made.function] = replace(out[made.function], uses=out[made.function].uses + 1)
            continue
        inside = [n for n in document.nodes.values() if n.name.startswith(f"{scope}/")]
        out[made.function] = P.CompositeSpec(of=scope, name=made.function, inputs=list(made.ports or made.inputs), outputs=list(made.outputs), count=len(inside), category=_character(inside))
    return list(out.values())


def frame(document: Document, made: Frame, shown: Drawn) -> P.FrameSpec:
    """A frame around what stands for its members on the canvas."""
    drawn: dict[str, None] = {}
    for member in made.members:
        elements = [member] if member in shown.scopes or shown.owner.get(member) == member else [shown.owner[member]] if member in shown.owner else list(shown.opened.get(member, ()))
        if not elements:    # a scope inside a folded one
            elements = list(dict.fromkeys(shown.owner[n] for n in document.nodes if n.startswith(f"{member}/")))[:1]
        drawn.update(dict.fromkeys(elements))
    return P.FrameSpec(title=made.title, colour=made.colour, members=list(drawn))


def diagnostic(found: Diagnostic) -> P.Diagnostic:
    """A diagnostic as the page takes it, its repairs ready to be sent back."""
    repairs = [P.Repair(label=r.label, edits=[edit_to_json(e) for e in r.edits]) for r in found.repairs]
    return P.Diagnostic(kind=found.kind, node=found.node, port=found.port, axis=found.axis, edge=found.edge, message=found.message, hint=found.hint,
                        severe=found.severe, repairs=repairs,
                        sides=[P.Side(port=s.port, tensor=s.tensor, shape=["?" if d is None else str(d) for d in s.shape], dtype=s.dtype, axes=list(s.axes)) for s in found.sides])


def scene_node(document: Document, built: Build, node: DocNode, fetch: bool, feeds: Mapping[str, np.ndarray], loop: L.Loop | None = None) -> P.SceneNode:
    """One drawn node."""
    op = REGISTRY.get(node.op)
    errors = {d.port: d.message for d in reversed(built.diagnostics) if d.node == node.name and d.severe} if built.diagnostics else {}
    on_edge = {d.port for d in built.diagnostics if d.node == node.name and d.severe and d.edge is not None} if errors else set()
    x, y = document.positions.get(node.name, (None, None))
    value, value_note = _editable(op, node, feeds)
    attrs = {k: form_value(op.attrs[k].kind if op and k in op.attrs else "json", v) for k, v in node.attrs.items() if not isinstance(v, DocBody)}
    if op is not None and op.source == "constant" and isinstance(node.attrs.get("value"), np.ndarray):
        attrs["dtype"] = node.attrs["value"].dtype.name
    if node.op == "Variable" and isinstance(node.attrs.get("value"), np.ndarray):
        attrs["initializer"] = attrs["value"]   # typed into one field: a word, or the numbers themselves
    if node.op == "Variable":
        attrs.pop("value", None)
    return P.SceneNode(
        bound=document.bound.get(node.name), name=node.name, op=node.op, label=_label(node), category=_category(node), phase=node.phase, source=op.source if op else None,
        scope=node.scope, gradient_of=node.gradient_of, fetch=fetch, inputs=in_ports(op, node, {p: errors[p] for p in on_edge}, loop), outputs=out_ports(op, built, node, loop),
        attrs=attrs, value=value, value_note=value_note, x=x, y=y, error=next((m for p, m in errors.items() if p not in on_edge), None))


def _category(node: DocNode) -> str:
    op = REGISTRY.get(node.op)
    return op.category if op is not None else "control" if node.op in L.PORTS else "unknown"


def _label(node: DocNode) -> str:
    """What a node's head says: the last part of its name; what comes into a timestep says of which one it is."""
    last = node.name.rpartition("/")[2]
    return f"{last} (t−1)" if node.op == L.STATE else f"{last} (t)" if node.op == L.TIMESTEP else last


def in_ports(op: Op | None, node: DocNode, errors: Mapping[str | None, str], loop: L.Loop | None = None) -> list[P.InPort]:
    """The inputs in the op's order; a variadic op keeps one open at its end, and so does an opened loop for what it gives out."""
    ports: list[tuple[str, bool]] = [(p, False) for p in L.PORTS.get(node.op, ())]
    if loop is not None:
        ports = [(p, False) for p in ("predicate",) if p in node.inputs] + [(p, p.startswith("final ")) for p in loop.ends] + [(p, True) for p in (loop.spare,) if p is not None]
    elif op is not None:
        for spec in op.inputs:
            if not spec.variadic:
                ports.append((spec.name, spec.optional))
                continue
            wired, _, missing = ports_of(op, node.inputs)
            mine = [p for p in (*wired, *missing) if p.startswith(f"{spec.name}.")]
            mine.sort(key=lambda p: int(p.rpartition(".")[2]))
            ports.extend((p, False) for p in mine)
            if all(p in node.inputs for p in mine):
                ports.append((f"{spec.name}.{len(mine)}", True))
    ports.extend((p, False) for p in node.inputs if p not in {q for q, _ in ports})
    return [P.InPort(port=p, wired=p in node.inputs, optional=optional, error=errors.get(p), back=p == L.NEXT and node.op == L.STATE) for p, optional in ports]


def out_ports(op: Op | None, built: Build, node: DocNode, loop: L.Loop | None = None) -> list[P.OutPort]:
    """The outputs, with what is known of their types."""
    sound = built.graph.nodes[node.name] if node.name in built.graph else None
    inner = [k for k in range(64) if f"{node.name}:{k}" in built.types] if sound is None else []      # what stands in no graph by itself: inside a loop
    names = sound.output_names if sound else loop.gives if loop is not None else [op.outputs[k] if op and k < len(op.outputs) else "out" for k in inner] if inner else op.outputs if op else ("out",) if node.op in L.PORTS else ()
    shown = set(range(len(names)))
    if op and sound and op.shown is not None:    # a loop could give every tensor in it over time; drawn is what it is for, and what is used
        shown = set(range(op.shown(sound.attrs))) | {t.index for n in built.graph.nodes for t in n.inputs if t.node is sound}
    out = []
    for k, name in enumerate(names):
        if k not in shown:
            continue
        tensor = f"{node.name}:{k}"
        type: TensorType | None = built.types.get(tensor)
        out.append(P.OutPort(index=k, name=name, tensor=tensor, shape=shape_text(type.shape) if type else None, dtype=type.dtype.name if type else None))
    return out


def _editable(op: Op | None, node: DocNode, feeds: Mapping[str, np.ndarray]) -> tuple[str | None, str | None]:
    held = feeds.get(node.name) if op and op.source == "placeholder" else node.attrs.get("value") if op and op.source == "constant" else None
    if not isinstance(held, np.ndarray):
        return None, None
    if held.size > EDITABLE:
        return None, f"{note(held)}, set from Python"
    return V.exact(held), None


def ends_of(edges: Iterable[P.SceneEdge]) -> dict[tuple[str, str], list[P.SceneEdge]]:
    """The edges into and out of every element."""
    out: dict[tuple[str, str], list[P.SceneEdge]] = {}
    for e in edges:
        out.setdefault((e.dst, "in"), []).append(e)
        out.setdefault((e.src, "out"), []).append(e)
    return out


def scene_scope(document: Document, built: Build, name: str, inside: tuple[str, ...], shown: Drawn, ends: Mapping[tuple[str, str], list[P.SceneEdge]]) -> P.SceneScope:
    """One folded scope, or a stack."""
    nodes = [document.nodes[n] for n in inside]
    stack = shown.stacks.get(name)
    phases = {n.phase for n in nodes}
    phase = phases.pop() if len(phases) == 1 else "forward"
    category = "state" if phase == "update" else _character(nodes)
    made = document.composites.get(name)
    entering = {e.dst_port: e for e in ends.get((name, "in"), ())}
    leaving = {e.src_port: e for e in ends.get((name, "out"), ())}
    named_in, named_out = (list(made.ports or made.inputs), dict(made.outputs)) if made is not None else ([], {})
    inputs, outputs = list(dict.fromkeys([*named_in, *entering])), list(dict.fromkeys([*named_out, *leaving]))
    in_ports = [_scope_port(built, p, p in named_in, p in entering, entering[p].tensor if p in entering else None) for p in inputs]
    out_ports = [_scope_port(built, p, p in named_out, p in leaving, named_out.get(p) or (p if p in built.types else None)) for p in outputs]
    principal = next((t for o in outputs if (t := named_out.get(o, o)) in built.types), None) or next((f"{n}:0" for n in reversed(inside) if f"{n}:0" in built.types), None)
    error = next((d.message for d in built.diagnostics if d.severe and shown.owner.get(d.node) == name), None)
    x, y = document.positions.get(stack.members[0] if stack is not None else name, (None, None))
    return P.SceneScope(name=name, label=_scope_label(name, stack), category=category, phase=phase, count=len(stack.members if stack is not None else inside),
                        stack="repeats" if stack is not None and stack.repeats else "stretch" if stack is not None else None, alike=shown.alike.get(name, 0), inputs=inputs, outputs=outputs,
                        in_ports=in_ports, out_ports=out_ports, composite=made.function if made is not None else None,
                        shape=shape_text(built.types[principal].shape) if principal else None, x=x, y=y, error=error)


def _scope_label(name: str, stack: Stack | None) -> str:
    """What a folded scope's head says: of repeats what their names begin with, such as `block_0…204`."""
    last = name.rpartition("/")[2]
    if stack is None:
        return last
    first, end = stack.members[0].rpartition("/")[2], stack.members[-1].rpartition("/")[2]
    stem = first.rstrip("0123456789")
    return f"{first}…{end[len(stem):]}" if stem and end.startswith(stem) and end[len(stem):].isdigit() else last


def _scope_port(built: Build, port: str, named: bool, wired: bool, tensor: str | None) -> P.ScopePort:
    return P.ScopePort(port=port, label=port if named else "", wired=wired, tensor=tensor, **_type_of(built, tensor))


def _character(nodes: Iterable[DocNode]) -> str:
    """The category that gives these nodes their character."""
    found = {op.category for n in nodes if (op := REGISTRY.get(n.op)) is not None}
    return next((c for c in _CHARACTER if c in found), "unknown")


# ---------------------------------------------------------------- what runs


def fetched_nodes(document: Document, graph: Graph) -> list[Node]:
    """The nodes that a run asks for: those that are marked, else the sinks; a source that leads nowhere is asked for only when it is marked."""
    marked = [graph.nodes[name] for name in document.fetches if name in graph]
    if document.fetches:
        return marked
    used = {t.node.name for n in graph.nodes for t in n.inputs} | {c.name for n in graph.nodes for c in n.control_inputs}
    return [n for n in graph.nodes if n.name not in used and not n.op.source]


def ancestors(nodes: Iterable[Node]) -> dict[str, Node]:
    """The nodes and everything they need, by name."""
    stack = list(nodes)
    found: dict[str, Node] = {}
    while stack:
        node = stack.pop()
        if node.name not in found:
            found[node.name] = node
            stack.extend(t.node for t in node.inputs)
            stack.extend(node.control_inputs)
    return found


# ---------------------------------------------------------------- the state of a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A run at one moment, as the kernel knows it: node by node, drawn or not. Nodes that are idle are left out."""

    mode: P.Mode = "edit"
    cursor: int = 0
    length: int = 0
    total: int = 0
    done: bool = False
    states: Mapping[str, str] = field(default_factory=dict)
    planned: frozenset[str] = frozenset()                   # counted nodes of the run
    order: tuple[tuple[str, str], ...] = ()                 # (node, phase) of every recorded firing
    last_seconds: float | None = None
    next: str | None = None
    ready: int = 0
    let_go: int = 0
    versions: Mapping[str, int] = field(default_factory=dict)
    fetches: tuple[str, ...] = ()
    error: P.Diagnostic | None = None


def at_rest(graph: Graph, needed: Mapping[str, Node], fed: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """States before any firing, and the nodes that are ready: sources with a value are done."""
    fed = set(fed)
    states = {}
    for node in needed.values():
        if node.op.source and (node.op.source != "placeholder" or node.name in fed):
            states[node.name] = "done"
    ready = [n.name for n in graph.nodes if n.name in needed and not n.op.source
             and all(states.get(t.node.name) == "done" for t in n.inputs) and all(states.get(c.name) == "done" for c in n.control_inputs)]
    states.update(dict.fromkeys(ready, "ready"))
    return states, ready


@dataclass(frozen=True, slots=True)
class Rest:
    """What a run asks for and needs, and how everything stands before its first firing."""

    fetches: tuple[str, ...]
    needed: Mapping[str, Node]
    planned: frozenset[str]
    states: Mapping[str, str]
    settled: Mapping[str, str]      # those that are not ready: they have their value without any firing
    ready: tuple[str, ...]


def rest(document: Document, graph: Graph) -> Rest:
    """How a run of this document stands before its first firing."""
    fetched = fetched_nodes(document, graph)
    needed = ancestors(fetched)
    states, ready = at_rest(graph, needed, document.feeds)
    return Rest(tuple(n.outputs[0].name if n.outputs else n.name for n in fetched), needed, frozenset(n for n, node in needed.items() if not node.op.source),
                states, {k: v for k, v in states.items() if v != "ready"}, tuple(ready))


def drawn_states(moment: Moment, shown: Drawn) -> dict[str, str]:
    """The state of every drawn element that is not idle."""
    out = {name: moment.states[name] for name in shown.nodes if name in moment.states}
    for scope, inside in shown.scopes.items():
        counted = [moment.states.get(n, "idle") for n in inside if n in moment.planned]
        if not counted:
            sources = [moment.states.get(n, "idle") for n in inside]
            state = "done" if sources and all(s == "done" for s in sources) else "idle"
        elif "error" in counted:
            state = "error"
        elif "running" in counted:
            state = "running"
        elif all(s == "done" for s in counted):
            state = "done"
        else:
            state = "ready" if "ready" in counted else "idle"
        if state != "idle":
            out[scope] = state
    return out


def progress(moment: Moment, shown: Drawn) -> dict[str, list[int]]:
    """How many of a folded scope's firings are done, and how many there are."""
    out = {}
    for scope, inside in shown.scopes.items():
        counted = [n for n in inside if n in moment.planned]
        if counted:
            out[scope] = [sum(moment.states.get(n) == "done" for n in counted), len(counted)]
    return out


def joins(moment: Moment, graph: Graph, shown: Drawn) -> dict[str, list[int]]:
    """Nodes that have some of their inputs and wait for the others: [there, needed]."""
    out = {}
    for name in shown.nodes:
        if name not in moment.planned or moment.states.get(name, "idle") != "idle":
            continue
        if name not in graph.nodes:     # inside a loop
            continue
        inputs = graph.nodes[name].inputs
        there = sum(moment.states.get(t.node.name) == "done" for t in inputs)
        if 0 < there < len(inputs):
            out[name] = [there, len(inputs)]
    return out


def thumbs(graph: Graph, tensors: Iterable[str], value: Callable[[str], np.ndarray | None]) -> tuple[list[P.Thumb], bytes, set[str]]:
    """Thumbnails of those tensors that have a value, their cells in one float32 buffer, and their names."""
    made, cells, offset, known = [], [], 0, set()
    for name in tensors:
        try:
            tensor = graph.tensor(name)
        except FlowError:
            continue
        array = value(name)
        if array is None:
            continue
        one, numbers = V.thumb(tensor, array, offset)
        made.append(replace(one, tensor=name))     # one inside a loop has the loop's name before its own
        cells.append(numbers)
        offset += numbers.size
        known.add(name)
    return made, np.concatenate(cells).astype("<f4").tobytes() if cells else b"", known


def run_state(moment: Moment, graph: Graph, shown: Drawn, *, full: bool, before: Mapping[str, str] | None = None, pictures: list[P.Thumb] | None = None,
              gone: Iterable[str] = (), fired: Iterable[str] = (), order_changed: bool = True, timesteps: Mapping[str, str] | None = None) -> P.RunState:
    """The message for a moment; unless `full`, only the states that differ from `before` are in it."""
    states = drawn_states(moment, shown)
    if not full and before is not None:
        states = {**{k: "idle" for k in before if k not in states}, **{k: v for k, v in states.items() if before.get(k) != v}}
    last, phase = moment.order[moment.cursor - 1] if 0 < moment.cursor <= len(moment.order) else (None, None)
    return P.RunState(
        mode=moment.mode, cursor=moment.cursor, length=moment.length, total=moment.total, done=moment.done, full=full, states=states,
        progress=progress(moment, shown), inputs=joins(moment, graph, shown), versions={k: v for k, v in moment.versions.items() if k in shown.owner},
        thumbs=pictures or [], gone=list(gone), fired=list(fired), last=last, last_drawn=shown.owner.get(last) if last else None, last_phase=phase,
        last_seconds=moment.last_seconds, next=moment.next, next_drawn=shown.owner.get(moment.next) if moment.next else None, ready=moment.ready, let_go=moment.let_go,
        ticks="".join(p[0] for _, p in moment.order) if full or order_changed else None,
        names=[n for n, _ in moment.order] if full or order_changed else None, fetches=list(moment.fetches), error=moment.error,
        timesteps=dict(timesteps or {}))
