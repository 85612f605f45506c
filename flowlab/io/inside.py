"""Edits of what stands inside loops and branches: a loop is opened, its parts are changed, and it is put together again."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..core.errors import AttributeValueError, DocumentError, NameTakenError, nearest
from ..core.graph import check_part
from ..core.op import REGISTRY, get_op
from ..core.types import TensorType
from . import making
from .document import DocBody, DocNode, Document, read_place
from .loops import ALONG, ENDS, NEXT, PASSES, START, STATE, TIMESTEP, drawn_edges, loops_of, port_at, view, wires_of

if TYPE_CHECKING:
    from .edits import AddNode, Edit, Insert, Paste

_SINK = "\x00ends"          # while a body is edited, this node takes what comes out of it, and so follows every change
_TIME = {"time", "t", "T", "steps", "timesteps", "seq", "length"}      # what the axis of the time may be called


# ---------------------------------------------------------------- a loop, opened


@dataclass(eq=False)
class _Slot:
    """What goes into a loop: a sequence, the start of a state, or a tensor from around it (`own`: what no body takes, a predicate)."""

    kind: str
    src: str | None
    inner: dict[str, str] = field(default_factory=dict)     # body → the placeholder that stands for it there
    axis: int = 0                                           # of a sequence
    next: str | None = None                                 # of a state: what it becomes


class Opened:
    """A loop or branch of a document, its parts laid out so that they can be changed; `closed()` is the document with it put together again."""

    def __init__(self, document: Document, node: DocNode):
        wires = wires_of(node)
        assert wires is not None
        if node.phase != "forward":
            raise DocumentError(f"{node.scope} is part of a gradient, and is as the way forward made it.", node=node.name,
                                hint="Change the loop that it belongs to, remove the gradient, and differentiate again.")
        self.document, self.node, self.scope = document, node, node.scope
        self.next_id = document.next_id
        self.docs = {attr: body.document for attr, body, *_ in wires}
        self.outs: dict[str, list[str | None]] = {attr: [] for attr in self.docs}
        self.out_axes = list(node.attrs.get("out_axes", ()))
        self.test: str | None = None
        count = 1 + max([k for *_, sources, _ in wires for _, k in sources] + [k for k in range(len(node.inputs) + 1) if port_at(node, k) in node.inputs], default=-1)
        self.slots = [_Slot("own", node.inputs.get(port_at(node, k))) for k in range(count)]
        for attr, body, sources, results in wires:
            for tensor, (kind, k) in zip(body.inputs, sources):
                self.slots[k].kind = kind
                self.slots[k].inner[attr] = tensor.removesuffix(":0")
                if kind == "sequence":
                    self.slots[k].axis = node.attrs["axes"][k]
            for tensor, (kind, k) in zip(body.outputs, results):
                if kind == "next":
                    self.slots[k].next = tensor
                elif kind == "output":
                    self.outs[attr].append(tensor)
                else:
                    self.test = tensor
        self.labels: dict[str, _Slot] = {}
        self._relabel()

    @property
    def _renews(self) -> str:
        """The body that gives the states their next values; of a branch, the first."""
        return next((attr for attr in self.docs if "next" in PASSES[self.node.op][attr]), next(iter(self.docs)))

    def of(self, kind: str) -> list[_Slot]:
        return [s for s in self.slots if s.kind == kind]

    def find(self, name: str) -> tuple[str, str] | None:
        """The body that holds a node or scope drawn as `name`, and what it is called there."""
        inner = name.removeprefix(f"{self.scope}/")
        taken = {n for s in self.slots for n in s.inner.values()}
        for attr, doc in self.docs.items():
            if inner in doc.nodes and inner not in {s.inner.get(attr) for s in self.slots} or inner in doc.scopes or inner in doc.inside and inner not in taken:
                return attr, inner
        return None

    def slot(self, name: str) -> _Slot | None:
        """The sequence or state drawn as `name`."""
        return self.labels.get(name.removeprefix(f"{self.scope}/"))

    def missing(self, name: str) -> DocumentError:
        near = nearest(name, [f"{self.scope}/{n}" for doc in self.docs.values() for n in doc.nodes], n=3)
        return DocumentError(f"there is no node {name!r}.", node=name, hint=f"Did you mean {' or '.join(near)}?" if near else "")

    def found(self, name: str) -> tuple[str, str]:
        """As `find`; DocumentError if there is none."""
        there = self.find(name)
        if there is None:
            if self.slot(name) is not None:
                raise DocumentError(f"{name} stands for what comes in: it is no node of its own.", node=name, hint="Wire it, rename it, or remove it.")
            raise self.missing(name)
        return there

    # ---- changing what is inside

    def edit(self, attr: str, *edits: Edit) -> None:
        """Change a body; what comes out of it follows, and so do the placeholders of what comes in."""
        from .edits import apply

        self._become(attr, lambda document: apply(document, *edits))

    def out_of(self, attr: str, tensor: str) -> str:
        """A tensor from deeper inside a body as one of the body itself."""
        found = [tensor]

        def come_out(document: Document) -> Document:
            document, found[0] = _come_out(document, tensor)
            found[0] = output_of(document, found[0])
            return document

        from .edits import output_of

        self._become(attr, come_out)
        return found[0]

    def _become(self, attr: str, change: Callable[[Document], Document]) -> None:
        doc = self.docs[attr]
        ends = {f"e{k}": t for k, t in enumerate(self._ends(attr)) if t is not None}
        sink = DocNode(-1, _SINK, _SINK, inputs=MappingProxyType(ends))
        ids = {n: doc.nodes[n].id for s in self.slots if (n := s.inner.get(attr)) is not None}
        after = change(replace(doc, nodes=MappingProxyType({**doc.nodes, _SINK: sink}), next_id=self.next_id))
        self.next_id = after.next_id
        left = after.nodes[_SINK].inputs
        nodes = {k: n for k, n in after.nodes.items() if k != _SINK}
        self.docs[attr] = Document(after.name, MappingProxyType(nodes), composites=after.composites)
        names = {n.id: n.name for n in nodes.values()}
        for slot in self.slots:
            if attr in slot.inner:
                name = names.get(ids[slot.inner.pop(attr)])
                if name is not None:
                    slot.inner[attr] = name
        self._put_ends(attr, [left.get(f"e{k}") for k in range(len(self._ends(attr)))])
        self._relabel()

    def _ends(self, attr: str) -> list[str | None]:
        gives = PASSES[self.node.op][attr]
        return [*((s.next for s in self.of("state")) if "next" in gives else ()), *self.outs[attr], *([self.test] if "test" in gives else [])]

    def _put_ends(self, attr: str, ends: list[str | None]) -> None:
        if "next" in PASSES[self.node.op][attr]:
            for slot in self.of("state"):
                slot.next = ends.pop(0)
        self.outs[attr] = [ends.pop(0) for _ in self.outs[attr]]
        if ends:
            self.test = ends.pop(0)

    def _placeholder(self, attr: str, name: str) -> str:
        """A placeholder in a body, for something that comes in; its type is that of what is wired to it."""
        doc = self.docs[attr]
        self.docs[attr] = replace(doc, nodes=MappingProxyType({**doc.nodes, name: DocNode(self.next_id, name, "Placeholder")}))
        self.next_id += 1
        return name

    def _free(self, name: str) -> str:
        taken = {n for doc in self.docs.values() for n in (*doc.nodes, *doc.scopes, *doc.inside)}
        prefix = f"{self.scope}/"
        taken |= {n.removeprefix(prefix) for n in making.taken_in(self.document) if n.startswith(prefix)}
        return making.fresh(name, taken)

    def add_slot(self, kind: str, name: str, src: str | None = None) -> _Slot:
        """One more sequence, state, or tensor from around, in every body."""
        slot = _Slot(kind, src, {attr: self._placeholder(attr, name) for attr in self.docs}, axis=next((s.axis for s in self.of("sequence")), 0))
        self.slots.append(slot)
        if kind != "around":
            self.labels[name] = slot
        return slot

    def taken_in(self, attr: str, src: str) -> str:
        """The tensor of a body that stands for one from around the loop."""
        slot = next((s for s in self.of("around") if s.src == src), None) or self.add_slot("around", self._free(src.rpartition(":")[0].rpartition("/")[2]), src)
        return f"{slot.inner[attr]}:0"

    def drop(self, slot: _Slot) -> None:
        """Take a slot away, and the wires from its placeholders."""
        from .edits import RemoveNodes

        for attr, name in dict(slot.inner).items():
            self.edit(attr, RemoveNodes((name,)))
        self.slots.remove(slot)
        self._relabel()

    def fill_types(self) -> None:
        """Write down what types the inputs of the bodies have: some edits look at them."""
        from .build import build

        made = build(self.document).inside.get(self.node.name, {})
        for attr, doc in self.docs.items():
            typed = made[attr].document if attr in made else None
            if typed is not None:
                held = {s.inner[attr] for s in self.slots if attr in s.inner}
                self.docs[attr] = replace(doc, nodes=MappingProxyType({k: replace(n, attrs=typed.nodes[k].attrs) if k in held else n for k, n in doc.nodes.items()}))

    # ---- putting it together again

    def closed(self) -> Document:
        """The document with the loop as it is now; wires to what it no longer gives are cut."""
        self._drop_unused()
        order = [*self.of("own"), *self.of("sequence"), *self.of("state"), *self._around()]
        ports = REGISTRY[self.node.op].ports(len(order))
        attrs = dict(self.node.attrs)
        for attr, doc in self.docs.items():
            inputs = tuple(f"{s.inner[attr]}:0" for s in order if s.kind != "own")
            attrs[attr] = DocBody(replace(doc, next_id=0, positions=MappingProxyType({})), inputs, tuple(self._ends(attr)))
        if "axes" in attrs:
            attrs |= {"axes": tuple(s.axis for s in self.of("sequence")), "out_axes": tuple(self.out_axes)}
        if "states" in attrs:
            attrs["states"] = len(self.of("state"))
        inputs = {port: s.src for port, s in zip(ports, order) if s.src is not None}
        node = replace(self.node, attrs=MappingProxyType(attrs), inputs=MappingProxyType(inputs))
        return replace(self.document, nodes=MappingProxyType(self._rewired(node)), next_id=max(self.next_id, self.document.next_id))

    def _relabel(self) -> None:
        self.labels = {s.inner[self._renews]: s for s in self.slots if s.kind in ("sequence", "state") and self._renews in s.inner}

    def _drop_unused(self) -> None:
        """What comes in from around and is used nowhere inside goes; so do the last outputs, if they are open and nothing takes them."""
        for slot in self.of("around"):
            used = any(f"{name}:0" in (*(t for n in self.docs[attr].nodes.values() for t in n.inputs.values()), *self._ends(attr)) for attr, name in slot.inner.items())
            if slot.src is None or not used:
                self.drop(slot)
        if self.node.op == "Scan":
            while self.outs["body"] and self.outs["body"][-1] is None and f"{self.node.name}:{len(self.outs['body']) - 1}" not in self._taken:
                self.outs["body"].pop()
                self.out_axes.pop()

    @property
    def _taken(self) -> set[str]:
        """The tensors of the loop that others take."""
        return {src for n in self.document.nodes.values() for src in n.inputs.values() if src.rpartition(":")[0] == self.node.name}

    def _around(self) -> list[_Slot]:
        """What comes in from around, in the order in which it is used."""
        from .build import node_order

        rank: dict[str, int] = {}
        for attr, doc in self.docs.items():
            names = {f"{s.inner[attr]}:0": s for s in self.of("around")}
            for node in node_order(doc):
                for port in making.all_ports(node):
                    slot = names.get(node.inputs.get(port, ""))
                    if slot is not None:
                        rank.setdefault(slot.src or "", len(rank))
        return sorted(self.of("around"), key=lambda s: rank.get(s.src or "", len(rank)))

    def _given(self, node: DocNode, document: Document | None) -> list[Any]:
        """What each output of the loop's node is, in a way that outlasts changes; with the document that it is in, what it gives over time too."""
        from .build import build, node_order

        wires = wires_of(node)
        assert wires is not None
        states = [body.document.nodes[t.removesuffix(":0")].id for attr, body, sources, _ in wires if attr == self._renews for t, (kind, _) in zip(body.inputs, sources) if kind == "state"]
        if node.op == "Cond":
            return [("output", j) for j in range(len(wires[0][1].outputs))]
        found = [*(("output", j) for j in range(len(node.attrs.get("out_axes", ())))), *(("final", i) for i in states), *(("each", i, 0) for i in states)]
        if document is not None:
            made = build(document).inside[node.name][self._renews]
            for n in node_order(wires[0][1].document):
                op = REGISTRY.get(n.op)
                if op is not None and not op.source:
                    found += [("each", n.id, k) for k in range(len(made.graph.nodes[n.name].outputs) if n.name in made.graph else len(op.outputs))]
        return found

    def _rewired(self, node: DocNode) -> Mapping[str, DocNode]:
        """The nodes of the document with this one changed, and the wires from it on what they were on."""
        nodes = {**self.document.nodes, node.name: node}
        if not self._taken:
            return nodes
        count = len(self.node.attrs.get("out_axes", ())) + self.node.attrs.get("states", 0)
        each = self.node.op == "Scan" and any(int(t.rpartition(":")[2]) >= count for t in self._taken)      # somebody takes what a timestep computed, over time
        before, after = self._given(self.node, self.document if each else None), self._given(node, replace(self.document, nodes=MappingProxyType(nodes)) if each else None)
        new = {f"{node.name}:{k}": f"{node.name}:{after.index(what)}" if what in after else None for k, what in enumerate(before)}
        for name, n in nodes.items():
            if any(new.get(src, src) != src for src in n.inputs.values()):
                nodes[name] = replace(n, inputs=MappingProxyType({p: to for p, src in n.inputs.items() if (to := new.get(src, src)) is not None}))
        return nodes


def mended(document: Document) -> Document:
    """The document without the ends of wires that have nothing to come from: a loop takes nothing in where what it took is gone."""
    for node in loops_of(document).values():
        wires = wires_of(node)
        if wires is not None and node.phase == "forward" and any(port_at(node, k) not in node.inputs for _, _, sources, _ in wires for kind, k in sources if kind == "around"):
            document = Opened(document, document.nodes[node.name]).closed()
    return document


# ---------------------------------------------------------------- where an edit belongs


def loop_around(document: Document, name: str) -> DocNode | None:
    """The loop of this document that a name stands inside of; None for a node or scope of the document itself."""
    if name in document.nodes:
        return None
    loops = loops_of(document)
    around = sorted((s for s in loops if name.startswith(f"{s}/")), key=len, reverse=True)
    for scope in around:        # the innermost that has it: the name of one loop can begin like that of a scope inside another
        inner = name.removeprefix(f"{scope}/")
        if any(inner in doc.nodes or inner in doc.scopes or inner in doc.inside for doc in (body.document for _, body, *_ in wires_of(loops[scope]) or ())):
            return loops[scope]
    # a scope beside the loop's node, such as that of what a state starts from, is the document's own; any other name is one to come
    return None if name in document.scopes or not around else loops[around[0]]


def holding(document: Document, names: Sequence[str]) -> tuple[Document, list[str]]:
    """The document that holds these, a body if they stand inside a loop, and what they are called there; DocumentError if they stand in different ones."""
    found = {n: loop_around(document, n) for n in names}
    around = {node.name for node in found.values() if node is not None}
    if not around:
        return document, list(names)
    if len(around) > 1 or None in found.values():
        raise DocumentError("these stand in different places, inside a loop and outside it.", hint="Select what stands in one place.")
    opened = Opened(document, document.nodes[around.pop()])
    there = [opened.found(n) for n in names]
    if len({attr for attr, _ in there}) > 1:
        raise DocumentError("these stand in different branches.", hint="Select what stands in one of them.")
    opened.fill_types()
    return holding(opened.docs[there[0][0]], [inner for _, inner in there])


# ---------------------------------------------------------------- the edits


def changed(document: Document, edit: Edit) -> Document | None:
    """The document after an edit that makes a loop or is about the inside of one; None for any other edit."""
    from . import edits as E

    match edit:
        case E.AddNode():
            return _add(document, edit)
        case E.RemoveNodes(names):
            return _remove(document, names)
        case E.Connect(src, dst):
            return _connect(document, src, dst)
        case E.Disconnect(dst):
            return _disconnect(document, dst)
        case E.Rename(name, to):
            return _rename(document, name, to)
        case E.SetAttr(name, attr, value):
            return _set_attr(document, name, attr, value)
        case E.SetFeed(name) | E.Bypass(name) | E.Ungroup(name):
            return _at_one(document, name, edit)
        case E.MarkFetch(name) | E.Bind(name):
            return _refused(document, name, "is not asked for by itself" if isinstance(edit, E.MarkFetch) else "takes no value from the notebook",
                            "Wire it to an output of the loop, and ask for that." if isinstance(edit, E.MarkFetch) else "Put a placeholder around the loop, and wire it in.")
        case E.Differentiate(tensor):
            return _refused(document, tensor.rpartition(":")[0], "is not differentiated by itself", "Differentiate a scalar that is computed from what comes out of the loop.")
        case E.Group(names) | E.Duplicate(names):
            return _at_many(document, names, edit)
        case E.AddComposite(of):
            return _at_one(document, of, edit)
        case E.AddControl(src, dst) | E.RemoveControl(src, dst):
            return _at_many(document, (src, dst), edit)
        case E.Paste(_, scope):
            return _paste(document, edit, scope)
        case E.Insert():
            return _insert(document, edit)
    return None


def _refused(document: Document, name: str, why: str, hint: str) -> None:
    node = loop_around(document, name)
    if node is not None:
        raise DocumentError(f"{name} is inside the loop {node.scope}: it {why}.", node=name, hint=hint)


def _named(edit: Any, scope: str) -> Any:
    """The edit with the names that its nodes have inside the loop."""
    def inner(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(inner, value))
        return value.removeprefix(f"{scope}/") if isinstance(value, str) else value

    return replace(edit, **{f: inner(getattr(edit, f)) for f in ("name", "names", "src", "dst", "node", "of") if isinstance(getattr(edit, f, None), (str, tuple))})


def _at_one(document: Document, name: str, edit: Any) -> Document | None:
    from .edits import Bypass, Ungroup

    if isinstance(edit, Ungroup) and name in loops_of(document):
        raise DocumentError(f"{name} is a loop, and a loop has a scope of its own.", node=name, hint="Remove the loop, or unpack what is in it.")
    node = loop_around(document, name)
    if node is None:
        return None
    opened = Opened(document, node)
    if opened.slot(name) is not None and isinstance(edit, Bypass):
        raise DocumentError(f"{name} stands for what comes in, and cannot be bypassed.", node=name)
    attr, _ = opened.found(name)
    if isinstance(edit, Bypass):
        opened.fill_types()
    opened.edit(attr, _named(edit, opened.scope))
    return opened.closed()


def _at_many(document: Document, names: Iterable[str], edit: Any) -> Document | None:
    names = tuple(names)
    around = {n: loop_around(document, n) for n in names}
    if not any(around.values()):
        return None
    loops = {node.name if node is not None else None for node in around.values()}
    opened = Opened(document, next(node for node in around.values() if node is not None))
    bodies = {opened.found(n)[0] for n in names if around[n] is not None}
    if len(loops) > 1 or len(bodies) > 1:
        raise DocumentError(f"{names[0]} and {names[-1]} do not stand in one place: one is inside a loop where the other is not.", node=names[-1], hint="Take what stands inside one loop, or outside.")
    opened.edit(bodies.pop(), _named(edit, opened.scope))
    return opened.closed()


# ---- nodes


def _add(document: Document, edit: AddNode) -> Document | None:
    from .edits import apply

    name = edit.name if not edit.scope else f"{edit.scope}/{edit.name}" if edit.name is not None else None
    around = loop_around(document, name if name is not None else f"{edit.scope}/x") if "/" in (name or f"{edit.scope}/x") else None
    if around is None and edit.scope and name is None and edit.scope in document.nodes:
        return None
    made_here = edit.op in ("Scan", STATE, TIMESTEP)
    if around is None and not made_here:
        return None
    op = REGISTRY.get(edit.op)
    if around is not None and op is not None and op.source in ("placeholder", "variable"):
        return None     # they belong to the graph that runs: around the loop, in its scope
    if around is None:
        if edit.op != "Scan":
            raise DocumentError(f"a {'state' if edit.op == STATE else 'sequence'} belongs to a loop.", hint="Select something inside a loop first, or add a loop over time: Scan.")
        return _add_loop(document, edit, name)
    opened = Opened(document, around)
    if name is None:
        word = {STATE: "h", TIMESTEP: "input"}.get(edit.op, get_op(edit.op).name if not made_here else "Scan")
        name = making.fresh(f"{edit.scope}/{word}", making.taken_in(document))
    elif name in making.taken_in(document):
        raise NameTakenError(f"the name {name!r} is taken.", node=name, hint=f"Try {making.fresh(name, making.taken_in(document))!r}.")
    inner = name.removeprefix(f"{opened.scope}/")
    for part in inner.split("/"):
        check_part(part, name)
    held = opened.find(name.rpartition("/")[0]) if "/" in inner else None
    attr = held[0] if held is not None else opened._renews
    if edit.op in (STATE, TIMESTEP) and "/" not in inner:
        if edit.op == STATE and around.op == "Cond" or edit.op == TIMESTEP and around.op != "Scan":
            raise DocumentError(f"{opened.scope} is {'a branch, which has no states' if around.op == 'Cond' else 'no scan, so it goes along no sequence'}.", node=around.name)
        opened.add_slot("state" if edit.op == STATE else "sequence", inner)
    else:
        opened.edit(attr, replace(edit, name=inner, scope="", x=None, y=None))
    after = opened.closed()
    if edit.x is not None and edit.y is not None:
        from .edits import Move

        after = apply(after, Move({name: (edit.x, edit.y)}))
    return after


def _add_loop(document: Document, edit: AddNode, name: str | None) -> Document:
    """A loop over time with a sequence and a state, all of it still to be wired."""
    from .edits import MAX_NODES, SetAttr, apply

    if len(document.nodes) >= MAX_NODES:
        raise DocumentError(f"a document holds at most {MAX_NODES:,} nodes.")
    taken = making.taken_in(document)
    scope = making.fresh(f"{edit.scope}/Scan" if edit.scope else "Scan", taken) if name is None else name
    if scope in taken:
        raise NameTakenError(f"the name {scope!r} is taken.", node=scope, hint=f"Try {making.fresh(scope, taken)!r}.")
    for k in range(scope.count("/") + 1):
        above = "/".join(scope.split("/")[:k + 1])
        check_part(above.rpartition("/")[2], scope)
        if above in document.nodes:
            raise NameTakenError(f"{scope!r} would make {above!r} a scope, and a node has that name.", node=above, hint="A node and a scope never share a name.")
    if len(scope) > 1900:
        raise NameTakenError("a name has at most 2000 characters.")
    first = document.next_id
    inside = Document(scope.rpartition("/")[2], MappingProxyType({n: DocNode(first + k, n, "Placeholder") for k, n in enumerate(("input", "h"))}))
    attrs = {"body": DocBody(inside, ("input:0", "h:0"), (None,)), "axes": (0,), "states": 1, "out_axes": (), "reverse": False, "checkpoint": False}
    node = DocNode(first + 2, f"{scope}/Scan", "Scan", MappingProxyType(attrs))
    positions = document.positions
    if edit.x is not None and edit.y is not None:
        x, y = read_place((edit.x, edit.y), "AddNode")
        positions = MappingProxyType({**positions, f"{scope}/input": (x, y), f"{scope}/h": (x, y + 130), node.name: (x + 420, y + 60)})
    document = replace(document, nodes=MappingProxyType({**document.nodes, node.name: node}), next_id=first + 3, positions=positions)
    return apply(document, *(SetAttr(node.name, k, v) for k, v in edit.attrs.items()))


def _remove(document: Document, names: Sequence[str]) -> Document | None:
    from .edits import RemoveNodes, apply

    loops = loops_of(document)
    gone = {s for s, node in loops.items() if any(n in (node.name, s) or s.startswith(f"{n}/") for n in names)}
    inner = {n: node for n in names if (node := loop_around(document, n)) is not None}
    if not inner:
        return None
    for loop in dict.fromkeys(node.name for node in inner.values() if node.scope not in gone):
        opened = Opened(document, document.nodes[loop])
        here = [n for n, node in inner.items() if node.name == loop]
        bodies: dict[str, list[str]] = {}
        for n in here:
            slot = opened.slot(n)
            if slot is None:
                attr, called = opened.found(n)
                bodies.setdefault(attr, []).append(called)
                continue
            if len(opened.of(slot.kind)) == 1 and (slot.kind == "sequence" or opened.node.op == "While"):
                what = "goes along a sequence" if slot.kind == "sequence" else "has a state"
                raise DocumentError(f"{opened.scope} {what}, and {n} is the only one.", node=n, hint=f"Wire another one to it, or remove the loop: {loop}.")
            opened.drop(slot)
        for attr, called in bodies.items():
            opened.edit(attr, RemoveNodes(tuple(called)))
        document = opened.closed()
    outer = tuple(n for n in names if n not in inner)
    return apply(document, RemoveNodes(outer)) if outer else document


def _rename(document: Document, name: str, to: str) -> Document | None:
    from .edits import Rename, apply

    to = to.strip()
    loops = loops_of(document)
    node = next((n for n in loops.values() if n.name == name), None)
    if node is not None and not to.endswith(f"/{node.op}") and to != name:
        return apply(document, Rename(node.scope, to))      # a loop is called what its scope is called
    if name in document.nodes or name in loops or to == name:
        return None
    around = loop_around(document, name)
    if around is None:
        return None
    opened = Opened(document, around)
    if "/" not in to:
        to = f"{name.rpartition('/')[0]}/{to}"
    if not to.startswith(f"{opened.scope}/"):
        raise DocumentError(f"{name} is inside the loop {opened.scope}, and stays there.", node=name, hint=f"Give it a name such as {opened.scope}/{to.rpartition('/')[2]}.")
    if to in making.taken_in(document) and to != name:
        raise NameTakenError(f"the name {to!r} is taken.", node=to, hint=f"Try {making.fresh(to, making.taken_in(document))!r}.")
    inner = to.removeprefix(f"{opened.scope}/")
    slot = opened.slot(name)
    if slot is not None:
        if "/" in inner:
            raise DocumentError(f"{name} stands in the loop itself, in no scope in it.", node=name)
        for attr, held in dict(slot.inner).items():
            opened.edit(attr, Rename(held, inner))
    else:
        attr, called = opened.found(name)
        opened.edit(attr, Rename(called, inner))
    return making.moved_inside(opened.closed(), name, to)


def _set_attr(document: Document, name: str, attr: str, value: Any) -> Document | None:
    from .edits import SetAttr

    node = document.nodes.get(name)
    if node is None:
        around = loop_around(document, name)
        if around is None:
            return None
        opened = Opened(document, around)
        if opened.slot(name) is not None:
            raise AttributeValueError(f"{name} has no attribute {attr!r}.", node=name, port=attr, hint="Its type is that of what is wired to it.")
        body, inner = opened.found(name)
        opened.edit(body, SetAttr(inner, attr, value))
        return opened.closed()
    if wires_of(node) is None:
        return None
    if attr == "states" or isinstance(node.attrs.get(attr), DocBody):
        raise AttributeValueError(f"{attr}: what is inside a loop is changed on the canvas.", node=name, port=attr, hint="Add or remove its states there, and wire them.")
    if attr not in ("axes", "out_axes"):
        return None
    from .edits import attribute, read_attr

    wanted = len(node.attrs[attr])
    axes = read_attr(attribute(get_op(node.op), attr, name), value)
    axes = (axes,) if isinstance(axes, int) else tuple(axes or ())
    axes = axes * wanted if len(axes) == 1 else axes
    if len(axes) != wanted or any(type(a) is not int or not 0 <= a < 64 for a in axes):
        what = "sequence" if attr == "axes" else "output"
        raise AttributeValueError(f"{attr}: {value!r} does not say of each {what} which axis is the time; there {'is' if wanted == 1 else 'are'} {wanted}.", node=name, port=attr, hint="Write whole numbers from 0, such as 1.")
    changes: dict[str, Any] = {attr: axes}
    if attr == "axes":      # where the outputs have their time with the sequence, they keep it there
        changes["out_axes"] = tuple(axes[0] if a == node.attrs["axes"][0] else a for a in node.attrs["out_axes"])
    after = replace(node, attrs=MappingProxyType({**node.attrs, **changes}))
    return replace(document, nodes=MappingProxyType({**document.nodes, name: after}))


def _paste(document: Document, edit: Paste, scope: str) -> Document | None:
    around = loop_around(document, f"{scope}/x") if scope else None
    if around is None:
        return None
    clip = making.read_clip(edit.text)
    alien = next((n for n in clip.nodes.values() if n.op in ("Placeholder", "Variable", "Assign")), None)
    if alien is not None:
        raise DocumentError(f"{alien.name} is a {alien.op}, which cannot stand inside a loop or branch.", node=alien.name, hint="Paste it outside, and wire it in.")
    opened = Opened(document, around)
    held = opened.find(scope) if scope != opened.scope else None
    opened.edit(held[0] if held is not None else opened._renews, replace(edit, scope=scope.removeprefix(opened.scope).removeprefix("/")))
    return opened.closed()


# ---- wires


def _end(node: DocNode, port: str) -> bool:
    """Is this port of a loop's node one where something comes out of its inside?"""
    return port.startswith(ENDS)


def _alias(document: Document, text: str, way: str) -> str:
    """A loop is named by its scope too: `rnn:x` is where its sequence comes in, `rnn:0` what it gives."""
    scope, _, port = text.partition(":")
    node = loops_of(document).get(scope) if scope not in document.nodes else None
    if node is None:
        return text
    if way == "in" and port == ALONG and node.op == "Scan":
        opened = Opened(document, node)
        return f"{scope}/{next(label for label, s in opened.labels.items() if s.kind == 'sequence')}:{ALONG}"
    return f"{node.name}:{port}" if way == "out" and port.isdigit() else text


def _come_out(document: Document, src: str) -> tuple[Document, str]:
    """The tensor as one of this document: from inside a loop it comes out as an output of it, over time."""
    name = src.rpartition(":")[0]
    node = loop_around(document, name)
    if node is None:
        return document, src
    opened = Opened(document, node)
    if opened.slot(name) is not None:
        attr, tensor = opened._renews, f"{name.removeprefix(f'{opened.scope}/')}:0"
    else:
        attr, inner = opened.found(name)
        tensor = opened.out_of(attr, f"{inner}:{src.rpartition(':')[2]}")
    outs = opened.outs[attr]
    if tensor in outs:
        return opened.closed(), f"{node.name}:{outs.index(tensor)}"
    if node.op == "Scan":
        outs.append(tensor)
        opened.out_axes.append(opened.of("sequence")[0].axis)
        return opened.closed(), f"{node.name}:{len(outs) - 1}"
    states = [s.next for s in opened.of("state")]
    if tensor in states:
        return opened.closed(), f"{node.name}:{states.index(tensor)}"
    where = "the next value of a state, and take its last" if node.op == "While" else "an output of both branches, and take that"
    raise DocumentError(f"{name} stays inside {opened.scope}.", node=name, hint=f"Make it {where}.")


def _connect(document: Document, src: str, dst: str) -> Document | None:
    from .edits import Connect, apply

    given = (src if ":" in src else f"{src}:0", dst)
    src, dst = _alias(document, given[0], "out"), _alias(document, dst, "in")
    name, _, port = dst.rpartition(":")
    loop = document.nodes.get(name)
    ends = loop is not None and wires_of(loop) is not None and _end(loop, port)
    around = loop if ends else loop_around(document, name)
    inside = loop_around(document, src.rpartition(":")[0])
    if loop is not None and not ends and wires_of(loop) is not None and port.startswith("xs"):
        raise DocumentError(f"{dst} is wired where it is used, inside {loop.scope}.", node=name, port=port, hint="Wire to the inputs inside the loop, or to the start of a state.")
    if around is None and inside is None:
        return None if (src, dst) == given else apply(document, Connect(src, dst))
    if around is None:
        document, src = _come_out(document, src)
        return apply(document, Connect(src, dst))
    opened = Opened(document, around)
    slot = None if ends else opened.slot(name)
    if slot is not None and port in (START, ALONG):
        if port != (START if slot.kind == "state" else ALONG):
            raise DocumentError(f"{name} has no input {port!r}.", node=name, port=port)
        if inside is not None and inside.name == around.name:
            raise DocumentError(f"{src.rpartition(':')[0]} is inside {opened.scope}: {'a state starts' if port == START else 'a sequence comes'} from what is there before the loop.", node=name, port=port,
                                hint=f"Its port {NEXT} takes what it becomes." if port == START else "")
        return _bring(document, around.name, name, src)
    # what goes to an end, or to a node inside
    if inside is None or inside.name != around.name:
        document, src = _come_out(document, src)
        _refuse_cycle(document, src, around.name, port)
        opened = Opened(document, document.nodes[around.name])
        source: tuple[str, str] | None = None
        src = _output(document, src)
    else:
        held = opened.slot(src.rpartition(":")[0])
        source = opened.found(src.rpartition(":")[0]) if held is None else (opened._renews, src.rpartition(":")[0].removeprefix(f"{opened.scope}/"))
        if held is not None and src.rpartition(":")[2] not in ("0", "out"):
            raise DocumentError(f"{src.rpartition(':')[0]} has no output {src.rpartition(':')[2]!r}.", node=src.rpartition(":")[0])
    if ends or opened.slot(name) is not None:
        return _to_end(opened, source, src, name, port)
    attr, inner = opened.found(name)
    if source is not None and source[0] != attr:
        attr = _together(opened, source, (attr, inner), src, dst)
    if source is None:
        tensor = opened.taken_in(attr, src)
    else:
        held = opened.slot(src.rpartition(":")[0])
        tensor = f"{held.inner[attr] if held is not None else source[1]}:{src.rpartition(':')[2]}"
    opened.edit(attr, Connect(tensor, f"{inner}:{port}"))
    return opened.closed()


def _together(opened: Opened, source: tuple[str, str], target: tuple[str, str], src: str, dst: str) -> str:
    """The body in which a wire between two bodies of one node can be drawn: one that is not wired yet goes to where the other is."""
    if opened.slot(src.rpartition(":")[0]) is not None:
        return target[0]        # a state is there in every body
    for (here, name), there in ((target, source[0]), (source, target[0])):
        doc = opened.docs[here]
        node = doc.nodes.get(name)
        used = any(s.rpartition(":")[0] == name for n in doc.nodes.values() for s in n.inputs.values()) or any((t or "").rpartition(":")[0] == name for t in opened._ends(here))
        if node is None or node.inputs or node.control or used:
            continue
        opened.docs[here] = replace(doc, nodes=MappingProxyType({k: n for k, n in doc.nodes.items() if k != name}))
        opened.docs[there] = replace(opened.docs[there], nodes=MappingProxyType({**opened.docs[there].nodes, name: node}))
        return there
    raise DocumentError(f"{src.rpartition(':')[0]} and {dst.rpartition(':')[0]} do not stand in the same branch.", node=dst.rpartition(":")[0], hint="Only one of the branches runs.")


def _output(document: Document, src: str) -> str:
    from .edits import output_of

    return output_of(document, src)


def _refuse_cycle(document: Document, src: str, loop: str, port: str) -> None:
    from .edits import refuse_cycle

    refuse_cycle(document, src.rpartition(":")[0], loop, port)


def _bring(document: Document, loop: str, name: str, src: str) -> Document:
    """Wire a sequence, or the start of a state."""
    from .build import build

    document, src = _come_out(document, src)
    src = _output(document, src)
    opened = Opened(document, document.nodes[loop])
    slot = opened.slot(name)
    assert slot is not None
    _refuse_cycle(document, src, loop, START if slot.kind == "state" else ALONG)
    if slot.kind == "sequence" and slot.src is None and slot.axis == 0:
        slot.axis = _time_axis(build(document).types.get(src))
        opened.out_axes = [slot.axis if a == 0 else a for a in opened.out_axes] if opened.of("sequence")[0] is slot else opened.out_axes
    slot.src = src
    return opened.closed()


def _time_axis(type: TensorType | None) -> int:
    """Which axis of a sequence is the time: the one that is called so, else the one after the batch where there are features too."""
    if type is None:
        return 0
    named = next((k for k, d in enumerate(type.shape) if isinstance(d, str) and d in _TIME), None)
    return named if named is not None else 1 if type.rank > 2 else 0


def _to_end(opened: Opened, source: tuple[str, str] | None, src: str, name: str, port: str) -> Document:
    """Wire something to what a state becomes, or to what comes out of the loop."""
    def tensor(attr: str) -> str:
        if source is None:
            return opened.taken_in(attr, src)
        held = opened.slot(src.rpartition(":")[0])
        if held is None and source[0] != attr:
            raise DocumentError(f"{src.rpartition(':')[0]} is computed in another part of {opened.scope}.", node=name, port=port)
        index = src.rpartition(":")[2]
        if held is not None:
            return f"{held.inner[attr]}:0"
        return opened.out_of(attr, f"{source[1]}:{index}")

    renews = opened._renews
    slot = opened.slot(name) if port == NEXT else opened.labels.get(port.removeprefix("final ")) if port.startswith("final ") else None
    if slot is not None and slot.kind == "state":
        slot.next = tensor(renews)
        return opened.closed()
    if port == "while" and opened.node.op == "While":
        opened.test = tensor("condition")
        return opened.closed()
    word, _, number = port.rpartition(" ")
    attr = {"output": "body"}.get(word, word)
    if attr in opened.outs and number.isascii() and number.isdigit() and int(number) <= len(opened.outs[attr]) and "output" in PASSES[opened.node.op][attr]:
        found, j = tensor(attr), int(number)
        if j == len(opened.outs[attr]):
            for other in opened.outs if opened.node.op == "Cond" else [attr]:
                opened.outs[other].append(None)
            if opened.node.op == "Scan":
                opened.out_axes.append(opened.of("sequence")[0].axis)
        opened.outs[attr][j] = found
        return opened.closed()
    raise DocumentError(f"{name} has no input {port!r}.", node=name, port=port, hint="Wire to the ports that it shows.")


def _disconnect(document: Document, dst: str) -> Document | None:
    from .edits import Disconnect

    name, _, port = _alias(document, dst, "in").rpartition(":")
    loop = document.nodes.get(name)
    ends = loop is not None and wires_of(loop) is not None and _end(loop, port)
    around = loop if ends else loop_around(document, name)
    if around is None:
        return None
    opened = Opened(document, around)
    slot = opened.labels.get(port.removeprefix("final ")) if ends and port.startswith("final ") else None if ends else opened.slot(name)
    nothing = DocumentError(f"no wire ends at {dst}.", node=name, port=port)
    if slot is not None:
        if port == NEXT or ends:
            if slot.next is None:
                raise nothing
            slot.next = None
        elif port == (START if slot.kind == "state" else ALONG) and slot.src is not None:
            slot.src = None
        else:
            raise nothing
        return opened.closed()
    if ends:
        word, _, number = port.rpartition(" ")
        attr = {"output": "body"}.get(word, word)
        if port == "while" and opened.test is not None:
            opened.test = None
        elif attr in opened.outs and number.isascii() and number.isdigit() and int(number) < len(opened.outs[attr]) and opened.outs[attr][int(number)] is not None:
            opened.outs[attr][int(number)] = None
        else:
            raise nothing
        return opened.closed()
    attr, inner = opened.found(name)
    opened.edit(attr, Disconnect(f"{inner}:{port}"))
    return opened.closed()


def _insert(document: Document, edit: Insert) -> Document | None:
    from .build import build
    from .edits import AddNode, Connect, apply

    src, arrow, dst = edit.edge.partition("->")
    name, _, port = dst.rpartition(":")
    loop = document.nodes.get(name)
    ends = loop is not None and wires_of(loop) is not None and _end(loop, port)
    if not arrow or not ends and loop_around(document, name) is None and loop_around(document, src.rpartition(":")[0]) is None:
        return None
    if (src, dst) not in set(drawn_edges(document)):
        raise DocumentError(f"there is no wire {edit.edge[:80]!r}.", hint="It may have been cut meanwhile.")
    types = view(document, build(document)).built.types
    around = loop if ends else loop_around(document, name)
    scope = name.rpartition("/")[0]
    if around is not None and port in (START, ALONG) and Opened(document, around).slot(name) is not None:
        scope = scope.rpartition("/")[0]
    if edit.node is None:
        op = get_op(edit.op or "")
        new = making.fresh(f"{scope}/{op.name}" if scope else op.name, making.taken_in(document))
        document = apply(document, AddNode(op.name, new, edit.x, edit.y))
        wired: Sequence[str] = ()
    else:
        new = edit.node
        held = {n.name: n for n in view(document, build(document)).document.nodes.values()}.get(new)
        if held is None or held.op in (STATE, TIMESTEP):
            raise DocumentError(f"there is no node {new!r} to insert.", node=new)
        op, wired = get_op(held.op), tuple(held.inputs)
    into = making.port_for(op, types.get(src), wired)
    if into is None or not (op.outputs or op.many):
        raise DocumentError(f"{new} takes no such tensor or gives none, so it cannot stand in {edit.edge}.", node=new, hint="Insert an operation with an input and an output.")
    if new in (src.rpartition(":")[0], name):
        raise DocumentError(f"{new} is an end of that wire already.", node=new)
    return apply(document, Connect(src, f"{new}:{into}"), Connect(f"{new}:0", dst))
