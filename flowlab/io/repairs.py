"""Ways out of what does not fit: small changes, each tried on the shape rule and then by building the part of the document that it reaches."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isqrt, prod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import AttributeValueError, FlowError
from ..core.op import Op, get_op
from ..core.types import DTYPES, KINDS, Dim, Shape, TensorType, shape_text
from . import making
from .document import DocNode, Document, normalized
from .edits import AddNode, Connect, Disconnect, Edit, SetAttr, apply, free_name

if TYPE_CHECKING:
    from .build import Build

OFFERED = 3         # repairs of one misfit, beside the cut
TRIED = 8           # of them, at most, are built
REACH = 24          # nodes after a change that are built to see whether it holds
UPSTREAM = 12       # nodes before a misfit among which a layer's size is looked for
MISFITS = 5         # of one document whose ways out are looked for

# how well a way out is thought of where several hold: the fewer the better
_COST = {"Reshape −1": 6, "Cast": 8, "Transpose": 9, "OneHot": 10, "Argmax": 10, "dtype": 11, "swap": 12, "Make a variable": 12, "padding": 12, "axis": 13, "Squeeze": 14,
         "Flatten": 7, "attr": 16, "ExpandDims": 17, "units": 18, "Image": 19, "Make a placeholder": 20, "Reshape": 11, "outer": 40}


@dataclass(frozen=True, slots=True)
class Repair:
    """One way out: what it says on its button, and the edits behind it."""

    label: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the tensors that do not fit together, and the axes that keep them apart."""

    port: str
    tensor: str
    shape: Shape
    dtype: str
    axes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Misfit:
    """A node whose inputs do not fit, and its rule: `fails(types, attrs)` gives the error, or None."""

    node: DocNode
    op: Op
    attrs: Mapping[str, Any] | None
    ports: tuple[str, ...]
    types: tuple[TensorType, ...]
    port: str | None
    error: FlowError
    fails: Callable[[Sequence[TensorType], Mapping[str, Any] | None], FlowError | None]

    def holds(self, types: Sequence[TensorType], attrs: Mapping[str, Any] | None = None) -> bool:
        return self.fails(types, self.attrs if attrs is None else attrs) is None

    def with_type(self, k: int, type: TensorType) -> list[TensorType]:
        return [type if j == k else t for j, t in enumerate(self.types)]


@dataclass(frozen=True, slots=True)
class _Way:
    cost: int
    kind: str
    label: str
    edits: tuple[Edit, ...]
    port: str = ""


def cut(node: DocNode, port: str) -> Repair:
    """The way out that is always there."""
    return Repair("Cut the wire", (Disconnect(f"{node.name}:{port}"),))


class Later(Sequence):
    """What is worked out when it is first looked at: most builds are made for their graph alone."""

    def __init__(self, make: Callable[[], Sequence]):
        self._make, self._made = make, None

    @property
    def _all(self) -> Sequence:
        if self._made is None:
            self._made = tuple(self._make())
        return self._made

    def __getitem__(self, k: Any) -> Any:
        return self._all[k]

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return repr(self._all)


# ---------------------------------------------------------------- both sides, and the axes between them


def sides(misfit: Misfit) -> tuple[Side, ...]:
    """The tensors that meet in a misfit: an axis is to blame if the misfit is gone, or another one, once its size is taken as unknown."""
    shape_is_wrong = not isinstance(misfit.error, AttributeValueError) and misfit.op.name != "Reshape"
    blamed: dict[int, list[int]] = {}
    for k, type in enumerate(misfit.types):
        for axis, size in enumerate(type.shape) if shape_is_wrong else ():
            if not isinstance(size, int):
                continue
            after = misfit.fails(misfit.with_type(k, type.with_shape((*type.shape[:axis], None, *type.shape[axis + 1:]))), misfit.attrs)
            if after is None or (after.port, after.axis) != (misfit.error.port, misfit.error.axis):
                blamed.setdefault(k, []).append(axis)
    shown = sorted(blamed) if len(blamed) > 1 or blamed and len(misfit.ports) == 1 else [k for k in range(len(misfit.ports)) if len(misfit.ports) <= 3 or misfit.ports[k] == misfit.port]
    return tuple(Side(misfit.ports[k], misfit.node.inputs[misfit.ports[k]], misfit.types[k].shape, misfit.types[k].dtype.name, tuple(blamed.get(k, ()))) for k in shown[:4])


# ---------------------------------------------------------------- the ways out of one document


class Ways:
    """Looks for the ways out of the misfits of one document."""

    def __init__(self, document: Document, types: Mapping[str, TensorType], severe: frozenset[tuple[str, str]]):
        self.document, self.types, self.severe = document, types, severe

    @cached_property
    def after(self) -> Mapping[str, Sequence[str]]:
        return followers(self.document)

    def out_of(self, misfit: Misfit, looked_for: bool = True) -> tuple[Repair, ...]:
        """The best few changes after which the node is sound and nothing else is less sound than it was; last, the wire can be cut."""
        good: list[Repair] = []
        moving: list[Repair] = []       # they mend this node, and break another
        seen: set[tuple[str, str]] = set()
        ways = sorted(self._ways(misfit), key=lambda w: w.cost) if looked_for else []
        if looked_for and not any(w.kind != "units" for w in ways):
            ways += sorted(self._two_steps(misfit), key=lambda w: w.cost)
        tried = 0
        for way in ways:
            if len(good) == OFFERED or tried == TRIED:
                break
            if (way.kind, way.port) in seen:
                continue
            tried += 1
            verdict = self._verdict(misfit, way.edits)
            if verdict is None:
                continue
            if verdict:
                seen.add((way.kind, way.port))
            (good if verdict else moving).append(Repair(way.label, way.edits))
        found = good or moving[:1]
        return (*found, cut(misfit.node, misfit.port)) if misfit.port in misfit.node.inputs else tuple(found)

    def _verdict(self, misfit: Misfit, edits: Sequence[Edit]) -> bool | None:
        """True if the edits mend the node, False if something else breaks by them, None if they do not mend it."""
        try:
            after = what_if(self.document, self.types, edits, [misfit.node.name], self.after)[1]
        except FlowError:
            return None
        wrong = {(d.node, d.kind) for d in after.diagnostics if d.severe}
        if any(node == misfit.node.name for node, _ in wrong):
            return None
        return not wrong - self.severe

    # ---- candidates, cheap first: each holds by the node's own rule

    def _ways(self, m: Misfit) -> Iterator[_Way]:
        for k, port in enumerate(m.ports):
            away = 0 if port == m.port else 3
            if m.op.category in ("math", "logic") and m.types[k].rank > min(t.rank for t in m.types):
                away += 10      # the smaller one is brought to the shape of the larger
            source = self.document.nodes[m.node.inputs[port].rpartition(":")[0]]
            others = [t for j, t in enumerate(m.types) if j != k]
            for kind, label, op, attrs, after in _adapters(port, m.types[k], others, m.op):
                if m.holds(m.with_type(k, after)):
                    outer = kind == "ExpandDims" and _elementwise(m, k, after)      # every pair meets: seldom what is meant
                    yield _Way(_COST["outer" if outer else kind] + away + _risk(kind, m.types[k], after), kind, label, self._adapted(m, port, [(op, attrs)]), port)
            yield from self._source_ways(m, k, source, others, away)
        yield from self._own_ways(m)
        yield from self._units(m)

    def _adapted(self, m: Misfit, port: str, chain: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[Edit, ...]:
        """Edits that put new nodes into the wire of a port."""
        edits: list[Edit] = []
        src, scope = m.node.inputs[port], m.node.scope
        for kind, attrs in chain:
            name = free_name(self.document, f"{scope}/{kind}" if scope else kind)
            edits += [AddNode(kind, name=name, attrs=attrs), Connect(src, f"{name}:{get_op(kind).inputs[0].name}")]
            src = f"{name}:0"
        return (*edits, Connect(src, f"{m.node.name}:{port}"))

    def _source_ways(self, m: Misfit, k: int, source: DocNode, others: Sequence[TensorType], away: int) -> Iterator[_Way]:
        """Another shape or dtype of the placeholder or variable that a port takes."""
        if source.op not in ("Placeholder", "Variable") or isinstance(source.attrs.get("value"), np.ndarray) or source.phase != "forward" or source.name in self.document.feeds:
            return
        port, type = m.ports[k], m.types[k]
        for dtype in _dtypes_for(m.op, port, others):
            if dtype != type.dtype.name and m.holds(m.with_type(k, TensorType(type.shape, np.dtype(dtype)))):
                yield _Way(_COST["dtype"] + away, "dtype", f"Make {source.name} hold {dtype}", (SetAttr(source.name, "dtype", dtype),), port)
                break
        kind = f"Make a {source.op.lower()}"
        for step, shape in enumerate(_shapes_for(type.shape, others, source.op == "Variable", m.op.category)):
            if m.holds(m.with_type(k, type.with_shape(shape))):
                yield _Way(_COST[kind] + away + min(step // 40, 4) + 25 * (shape.count(1) > type.shape.count(1) and len(shape) == type.rank), kind, f"Make {source.name} {shape_text(shape)}", (SetAttr(source.name, "shape", shape),), port)

    def _own_ways(self, m: Misfit) -> Iterator[_Way]:
        """Other attributes of the node itself, and its inputs the other way round."""
        node = m.node
        for i, j in itertools.combinations(range(len(m.ports)), 2):
            swapped = list(m.types)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            a, b = m.ports[i], m.ports[j]
            if m.holds(swapped):
                if m.op.category not in ("math", "linalg"):
                    continue
                unsure = 30 if any(isinstance(d, str) for t in (m.types[i], m.types[j]) for d in t.shape) else 0
                yield _Way(_COST["swap"] + unsure, "swap", f"Swap {a} and {b}", (Connect(node.inputs[b], f"{node.name}:{a}"), Connect(node.inputs[a], f"{node.name}:{b}")))
        if m.attrs is None:
            return
        for name, given in _attrs_for(m):
            try:
                attrs = normalized(m.op, {**node.attrs, name: given})
            except AttributeValueError:
                continue
            if m.holds(m.types, attrs):
                kind = "Reshape −1" if m.op.name == "Reshape" else name if name in ("axis", "padding") else "attr"
                said = shape_text(given).replace("-", "−") if isinstance(given, tuple) else f'"{given}"' if isinstance(given, str) else str(given).replace("-", "−")
                yield _Way(_COST[kind], f"{kind} {name}", f"Set {name} to {said}", (SetAttr(node.name, name, given),))

    def _units(self, m: Misfit) -> Iterator[_Way]:
        """Another size for the layer that a port takes its tensor from: all variables before it that hold the size, the nearest first."""
        for k, port in enumerate(m.ports):
            source = self.document.nodes[m.node.inputs[port].rpartition(":")[0]]
            if not source.inputs:
                continue
            wanted = dict.fromkeys(d for j, t in enumerate(m.types) if j != k for d in t.shape if isinstance(d, int) and d > 1)
            for axis, size in enumerate(m.types[k].shape):
                variables = self._variables_before(source, size) if isinstance(size, int) and size > 1 else []
                for want in wanted if variables else ():
                    shape = m.types[k].shape
                    if want == size or not m.holds(m.with_type(k, m.types[k].with_shape((*shape[:axis], want, *shape[axis + 1:])))):
                        continue
                    for count in range(1, len(variables) + 1):
                        chosen = variables[:count]
                        edits = tuple(SetAttr(v.name, "shape", _last_size(v.attrs["shape"], size, want)) for v in chosen)
                        layer = making.common_scope(v.name for v in chosen)
                        label = f"Set the units of {layer} to {want}" if layer else f"Make {chosen[-1].name} {shape_text(edits[-1].value)}" if count == 1 else f"Change {size} to {want} in {', '.join(v.name for v in chosen)}"
                        yield _Way(_COST["units"] + (0 if port == m.port else 1), "units", label, edits, port)

    def _variables_before(self, source: DocNode, size: int) -> list[DocNode]:
        found: list[DocNode] = []
        queue, seen = [source.name], {source.name}
        while queue and len(seen) <= UPSTREAM:
            for src in reversed(self.document.nodes[queue.pop(0)].inputs.values()):
                name = src.rpartition(":")[0]
                if name in seen:
                    continue
                seen.add(name)
                queue.append(name)
                node = self.document.nodes[name]
                if node.op == "Variable" and size in node.attrs.get("shape", ()) and not isinstance(node.attrs.get("value"), np.ndarray):
                    found.append(node)
        return found[:4]

    def _two_steps(self, m: Misfit) -> Iterator[_Way]:
        """A cast and one change more, where one change alone mends nothing."""
        for k, port in enumerate(m.ports):
            others = [t for j, t in enumerate(m.types) if j != k]
            for _, first, op, attrs, between in _adapters(port, m.types[k], others, m.op):
                for _, second, op2, attrs2, after in _adapters(port, between, others, m.op):
                    if op != op2 and "Cast" in (op, op2) and m.holds(m.with_type(k, after)):
                        edits = self._adapted(m, port, [(op, attrs), (op2, attrs2)])
                        yield _Way(50 + (port != m.port), "two", f"{first}, then {second[0].lower()}{second[1:]}", edits, port)


def followers(document: Document) -> dict[str, list[str]]:
    """The nodes that take something from each node."""
    after: dict[str, list[str]] = {}
    for node in document.nodes.values():
        for source in {s.rpartition(":")[0] for s in node.inputs.values()}:
            after.setdefault(source, []).append(node.name)
    return after


def what_if(document: Document, types: Mapping[str, TensorType], edits: Sequence[Edit], names: Iterable[str], after: Mapping[str, Sequence[str]]) -> tuple[Document, Build]:
    """The part of the document that the edits reach, after them, and what it builds to: what comes in from outside is a placeholder there."""
    from .build import build

    queue = list(dict.fromkeys([*names, *(e.node for e in edits if isinstance(e, SetAttr))]))
    reached = dict.fromkeys(queue)
    while queue and len(reached) < REACH:
        for name in after.get(queue.pop(0), ()):
            if name not in reached:
                reached[name] = None
                queue.append(name)
    part = making.standalone(document, list(reached), types)
    sources = {name: s for name in reached for s in document.nodes[name].inputs.values()}

    def moved(edit: Edit) -> Edit:
        if isinstance(edit, Connect) and edit.src.rpartition(":")[0] not in part.nodes and edit.src in sources.values():
            return replace(edit, src=f"{edit.src.replace(':', '_')}:0")
        return edit

    changed = apply(part, *map(moved, edits))
    return changed, build(changed)


# ---------------------------------------------------------------- what could be done to one tensor


def made_of(kind: str, type: TensorType, given: Mapping[str, Any]) -> TensorType | None:
    """What the op `kind` makes of one tensor; None where it makes nothing, or where it would not change it."""
    try:
        op = get_op(kind)
        (after,) = op.infer([SimpleNamespace(type=type)], [op.inputs[0].name], op.normalize(given))
    except (FlowError, LookupError, TypeError, ValueError):
        return None
    return None if after == type else after


def _adapters(port: str, type: TensorType, others: Sequence[TensorType], op: Op) -> Iterator[tuple[str, str, str, Mapping[str, Any], TensorType]]:
    """Kind, label, op, attributes and result of everything that could be put into the wire of a port."""
    shape, rank = type.shape, type.rank
    tried: list[tuple[str, str, str, dict[str, Any]]] = [("Cast", f"Cast {port} to {d}", "Cast", {"dtype": d}) for d in _dtypes_for(op, port, others)]
    if rank == 2:
        tried.append(("Transpose", f"Transpose {port}", "Transpose", {}))
    elif rank == 3:
        tried += [("Transpose", f"Transpose {port}", "Transpose", {"axes": axes}) for axes in ((0, 2, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1))]
    elif rank == 4:
        tried += [("Transpose", f"Transpose {port}", "Transpose", {"axes": axes}) for axes in ((0, 3, 1, 2), (0, 2, 3, 1), (0, 1, 3, 2), (3, 2, 0, 1), (2, 3, 1, 0))]
    tried += [("Squeeze", f"Drop axis {k} of {port}", "Squeeze", {"axis": k}) for k, d in enumerate(shape) if d == 1]
    if rank > 2 and all(isinstance(d, int) for d in shape[1:]):
        tried.append(("Flatten", f"Flatten {port} to rows of {prod(shape[1:])}", "Reshape", {"shape": (-1, prod(shape[1:]))}))
    batched = op.category in ("conv", "recurrent", "norm")
    tried += [("ExpandDims", f"Add {'a batch axis' if batched and not k else f'axis {k}'} to {port}", "ExpandDims", {"axis": k}) for k in (0, *range(rank, 0, -1)) if rank < 5]
    for other in others:
        if all(isinstance(d, int) for d in (*shape, *other.shape)) and prod(shape) == prod(other.shape):
            tried.append(("Reshape", f"Reshape {port} to {shape_text(other.shape)}", "Reshape", {"shape": other.shape}))
        if type.dtype.kind in "iu" and other.rank == rank + 1 and isinstance(other.shape[-1], int) and other.shape[-1] > 1:
            tried.append(("OneHot", f"Make {port} one-hot", "OneHot", {"depth": other.shape[-1], "dtype": other.dtype.name if other.dtype.kind == "f" else "float32"}))
        if rank and shape[-1] != 1 and (other.rank == rank - 1 or op.name == "SparseSoftmaxCrossEntropy" and other.rank == rank):
            tried.append(("Argmax", f"Take the largest class of each row of {port}", "Argmax", {"axis": -1}))
    if rank == 2 and isinstance(shape[1], int) and op.category == "conv":
        for channels in dict.fromkeys([1, 3, *(d for t in others if t.rank == 4 for d in t.shape[1:2] if isinstance(d, int) and d)]):
            side = isqrt(shape[1] // channels)
            if side > 1 and side * side * channels == shape[1]:
                tried.append(("Image", f"Reshape {port} to images of {side} × {side}", "Reshape", {"shape": (-1, channels, side, side)}))
    for kind, label, name, attrs in tried:
        after = made_of(name, type, attrs)
        if after is not None:
            yield kind, f"{label} to {shape_text(after.shape)}" if kind == "Transpose" and rank > 2 else label, name, attrs, after


def _risk(kind: str, before: TensorType, after: TensorType) -> int:
    """How much more a change may mean than it says: rows that are no longer rows, fractions that are cut off."""
    if kind == "Cast":
        return 15 if before.dtype.kind == "f" and after.dtype.kind in "iu" else 3 if after.dtype.itemsize > before.dtype.itemsize else 0
    if kind == "Transpose":
        return 30 * any(isinstance(d, str) and after.shape[k] != d for k, d in enumerate(before.shape))
    if kind == "ExpandDims":
        return 30 * (bool(before.shape) and str(before.shape[0]).lower().startswith("batch") and after.shape[0] != before.shape[0])
    return 0


def _dtypes_for(op: Op, port: str, others: Sequence[TensorType]) -> list[str]:
    """Dtypes that a port might want, those of the other inputs first."""
    kinds = KINDS[op.input_of(port).kind]
    return [d for d in dict.fromkeys([*(t.dtype.name for t in others), "float32", "int64", "bool"]) if d in DTYPES and np.dtype(d).kind in kinds]


def _shapes_for(shape: Shape, others: Sequence[TensorType], known: bool, category: str) -> Iterator[Shape]:
    """Shapes like this one that might fit beside the others, the most alike first; `known`: all sizes must be."""
    sizes: dict[Dim, None] = {}
    for d in (d for t in others for d in t.shape):
        for size in (d, *((3 * d, 4 * d, d // 4, d // 3) if isinstance(d, int) else ())):
            if isinstance(size, int) and size > 0:
                sizes.setdefault(size)
    for d in (d for t in others for d in t.shape if isinstance(d, str) and not known):
        sizes.setdefault(d)
    pool = list(sizes)[:24]
    rank = len(shape)
    for axis in range(rank - 1, -1, -1) if rank > 1 else range(rank):
        for size in pool:
            if size != shape[axis]:
                yield (*shape[:axis], size, *shape[axis + 1:])
    if rank == 2:
        yield (shape[1], shape[0])
        yield from ((a, b) for a, b in itertools.product(pool[:8], repeat=2) if a != shape[0] and b != shape[1])
    # another rank
    yield from (shape[:k] + shape[k + 1:] for k in sorted(range(rank), key=lambda k: shape[k] != 1))
    for t in others:
        if category not in ("linalg", "conv", "recurrent") and (not known or all(isinstance(d, int) for d in t.shape)):
            yield t.shape
        if t.rank and isinstance(t.shape[-1], int):
            yield t.shape[-1:]
        if t.rank > 1 and not known:
            yield t.shape[:-1]
    if not known and category in ("conv", "recurrent", "norm") and "batch" not in shape:
        yield ("batch", *shape)
    yield (1, *shape)
    yield (*shape, 1)
    for size in pool[:8]:
        yield (size, *shape)
        yield (*shape, size)


def _attrs_for(m: Misfit) -> Iterator[tuple[str, Any]]:
    """Other values of the node's attributes that might do."""
    first = m.types[0]
    for name, attr in m.op.attrs.items():
        now = m.attrs.get(name) if m.attrs is not None else None
        if name.startswith("axis") and attr.kind in ("int", "axis"):
            yield from ((name, k) for k in range(first.rank) if k != now)
        elif name == "padding" and attr.kind == "padding" and now != "same":
            yield name, "same"
        elif attr.kind == "new_shape" and isinstance(now, tuple):
            yield from ((name, (*now[:k], -1, *now[k + 1:])) for k in range(len(now)) if -1 not in now[:k] + now[k + 1:])
        elif name == "groups":
            channels, reads = first.shape[1:2], m.types[1].shape[1:2] if len(m.types) > 1 else ()
            if channels and reads and isinstance(channels[0], int) and isinstance(reads[0], int) and reads[0] and not channels[0] % reads[0]:
                yield name, channels[0] // reads[0]
            yield name, 1
        elif name == "n" and attr.kind == "int" and isinstance(now, int):
            yield from ((name, k) for k in sorted(range(2, 33), key=lambda k: abs(k - now)) if k != now)
        elif name == "size" and attr.kind == "ints" and isinstance(now, tuple):
            small = min((d for d in first.shape[2:] if isinstance(d, int) and d > 0), default=0)
            if small:
                yield name, tuple(min(s, small) for s in now)
                yield name, (small,) * len(now)


def _elementwise(m: Misfit, k: int, after: TensorType) -> bool:
    """Would the added axis make every element of one input meet every element of another?"""
    others = [t for j, t in enumerate(m.types) if j != k]
    out = m.op.infer([SimpleNamespace(type=t) for t in m.with_type(k, after)], m.ports, m.attrs or {}) if m.attrs is not None and m.holds(m.with_type(k, after)) and len(m.ports) == len(m.op.inputs) else ()
    return bool(out) and out[0].rank > max((t.rank for t in (m.types[k], *others)), default=0) or bool(out) and m.op.category in ("math", "logic") and prod(d for d in out[0].shape if isinstance(d, int)) > max(
        prod(d for d in t.shape if isinstance(d, int)) for t in m.types)


def _last_size(shape: Shape, size: int, want: int) -> Shape:
    """The shape with its last axis of that size set to another."""
    at = len(shape) - 1 - shape[::-1].index(size)
    return (*shape[:at], want, *shape[at + 1:])
