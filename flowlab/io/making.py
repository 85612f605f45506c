"""What people do with parts of a document: make a composite of them, unpack it, copy and paste them, take one out of the way, put one in between."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..core.composite import Composite
from ..core.errors import AttributeValueError, CycleError, DocumentError, NameTakenError
from ..core.graph import Graph, Tensor, check_part
from ..core.op import REGISTRY, Op, get_op
from ..core.types import KINDS, TensorType, shape_text
from . import jsonio
from .document import DocNode, Document, Frame, Note, document_of, from_json, read_place, renumbered

if TYPE_CHECKING:
    from .build import Build

CLIP = 1                    # the version of what a clipboard carries
MAX_CLIP = 8 * 2**20        # characters of a clip: the clipboard is for parts of a graph, not for data
SHIFT = 40.0                # how far a copy stands from what it was copied from


# ---------------------------------------------------------------- names


def fresh(name: str, taken: Collection[str]) -> str:
    """`name`, or `name_1`, `name_2` …: the first that is not taken."""
    tried, k = name, 0
    while tried in taken:
        k += 1
        tried = f"{name}_{k}"
    return tried


def taken_in(document: Document) -> set[str]:
    """Every name that a node or a scope has."""
    return {*document.nodes, *document.scopes, *document.inside}


def members(document: Document, names: Iterable[str]) -> list[str]:
    """The nodes that these names stand for, a scope for all that is in it, in document order; DocumentError for a name that is none."""
    scopes, chosen = document.scopes, set()
    for name in names:
        if name in document.nodes:
            chosen.add(name)
        elif name in scopes:
            chosen.update(k for k in document.nodes if k.startswith(f"{name}/"))
        else:
            raise DocumentError(f"there is no node {name!r}.", node=name)
    return [n for n in document.nodes if n in chosen]


def whole_scopes(document: Document, chosen: Collection[str]) -> set[str]:
    """The scopes in which every node is one of these."""
    return document.scopes - Document(nodes={k: n for k, n in document.nodes.items() if k not in chosen}).scopes


def common_scope(names: Iterable[str]) -> str:
    """The innermost scope that all of these stand in."""
    paths = [name.split("/")[:-1] for name in names]
    shared: list[str] = []
    for parts in zip(*paths):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)


def _moved_tensor(tensor: str, new: Mapping[str, str]) -> str:
    name, _, index = tensor.rpartition(":")
    return f"{new.get(name, name)}:{index}"


def renamed(document: Document, new: Mapping[str, str], scopes: Mapping[str, str]) -> Document:
    """The document with nodes under new names, wires and all; `scopes` says where scopes have gone, for what is kept by scope."""
    both = {**scopes, **new, **{f"{old}/{k}": f"{now}/{k}" for old, now, k in _moved_loops(document, new)}}

    def node(n: DocNode) -> DocNode:
        if not (n.name in new or any(s.rpartition(":")[0] in new for s in n.inputs.values()) or any(c in new for c in n.control) or n.gradient_of in new):
            return n        # what has not changed is known by being the same
        return replace(n, name=new.get(n.name, n.name), inputs=MappingProxyType({p: _moved_tensor(s, new) for p, s in n.inputs.items()}),
                       control=tuple(new.get(c, c) for c in n.control), gradient_of=new.get(n.gradient_of, n.gradient_of))

    nodes = {new.get(k, k): node(n) for k, n in document.nodes.items()}
    moved = replace(document, nodes=MappingProxyType(nodes), positions=MappingProxyType({}), composites=MappingProxyType({}))
    there = moved.scopes | nodes.keys() | moved.inside
    composites = {both.get(k, k): _moved_composite(c, new) for k, c in document.composites.items()}
    return replace(
        moved, positions=MappingProxyType({q: v for k, v in document.positions.items() if (q := both.get(k, k)) in there}),
        folded=None if document.folded is None else frozenset(both.get(k, k) for k in document.folded) & there,
        fetches=tuple(new.get(f, f) for f in document.fetches), feeds=MappingProxyType({new.get(k, k): v for k, v in document.feeds.items()}),
        bound=MappingProxyType({new.get(k, k): v for k, v in document.bound.items()}),
        composites=MappingProxyType({k: c for k, c in composites.items() if k in moved.scopes}),
        frames=tuple(replace(f, members=tuple(m for m in dict.fromkeys(both.get(m, m) for m in f.members) if m in there)) for f in document.frames))


def _moved_loops(document: Document, new: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """For what stands inside loops that move: the loop's scope before, its scope after, and its name there."""
    for old, now in new.items():
        if (before := old.rpartition("/")[0]) != (after := now.rpartition("/")[0]):
            inside = Document(nodes={old: document.nodes[old]}).inside
            yield from ((before, after, k.removeprefix(f"{before}/")) for k in inside)


def moved_inside(document: Document, name: str, to: str) -> Document:
    """The layout after something inside a loop has another name."""
    def new(k: str) -> str:
        return to if k == name else f"{to}{k[len(name):]}" if k.startswith(f"{name}/") else k

    return replace(document, positions=MappingProxyType({new(k): v for k, v in document.positions.items()}), folded=None if document.folded is None else frozenset(map(new, document.folded)),
                   frames=tuple(replace(f, members=tuple(map(new, f.members))) for f in document.frames))


def _moved_composite(c: Composite, new: Mapping[str, str]) -> Composite:
    return replace(c, inputs=MappingProxyType({p: _moved_tensor(t, new) for p, t in c.inputs.items()}), outputs=MappingProxyType({p: _moved_tensor(t, new) for p, t in c.outputs.items()}),
                   ports=MappingProxyType({p: tuple(_moved_tensor(i, new) for i in inner) for p, inner in c.ports.items()}))


# ---------------------------------------------------------------- the boundary of a scope


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where wires enter and leave a scope: port → the inputs inside that it feeds, port → the tensor that it gives."""

    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, str]


def boundary(document: Document, scope: str) -> Boundary:
    """The ports of a folded scope: a composite's have names, those of any other scope are named after the tensors that pass."""
    made = document.composites.get(scope)
    if made is not None and made.ports:
        return Boundary(made.ports, made.outputs)
    prefix = f"{scope}/"
    entering: dict[str, list[str]] = {}
    leaving: dict[str, str] = {}
    for node in document.nodes.values():
        inside = node.name.startswith(prefix)
        for port, src in node.inputs.items():
            if src.startswith(prefix) != inside:
                if inside:
                    entering.setdefault(src, []).append(f"{node.name}:{port}")
                else:
                    leaving[src] = src
    if made is None:
        return Boundary({k: tuple(v) for k, v in entering.items()}, leaving)
    named = {port: tuple(entering[t]) for port, t in made.inputs.items() if t in entering}
    said = set(made.inputs.values())
    return Boundary({**named, **{k: tuple(v) for k, v in entering.items() if k not in said}}, {**made.outputs, **{k: k for k in leaving if k not in set(made.outputs.values())}})


def synced(document: Document) -> Document:
    """The composites as the wires now are: a hand-made one follows what is done in it, and none names what is no more."""
    if not document.composites:
        return document
    scopes, out = document.scopes, {}
    for scope, made in document.composites.items():
        if scope not in scopes:
            continue
        if not made.ports:
            out[scope] = made
            continue
        prefix = f"{scope}/"

        def there(text: str, prefix: str = prefix) -> bool:
            return text.startswith(prefix) and text.rpartition(":")[0] in document.nodes

        def open_outwards(text: str, prefix: str = prefix) -> bool:
            name, _, port = text.rpartition(":")
            return there(text) and not document.nodes[name].inputs.get(port, "").startswith(prefix)

        ports = {p: kept for p, inner in made.ports.items() if (kept := tuple(i for i in inner if open_outwards(i)))}
        outputs = {p: t for p, t in made.outputs.items() if there(t)}
        known, given = {i for inner in ports.values() for i in inner}, set(outputs.values())
        for node in document.nodes.values():
            inside = node.name.startswith(prefix)
            for port in all_ports(node) if inside else node.inputs:
                src = node.inputs.get(port)
                if src is None:     # what is awaited inside can be wired from outside, too
                    if f"{node.name}:{port}" not in known:
                        ports[fresh(_port_name(port), ports)] = (f"{node.name}:{port}",)
                    continue
                if src.startswith(prefix) == inside:
                    continue
                if inside and f"{node.name}:{port}" not in known:
                    # what enters by a wire drawn inside has a port from then on; one tensor, one port
                    same = next((p for p, inner in ports.items() if _fed_by(document, inner) == src), None)
                    if same is None:
                        ports[fresh(_port_name(port), ports)] = (f"{node.name}:{port}",)
                    else:
                        ports[same] = (*ports[same], f"{node.name}:{port}")
                    known.add(f"{node.name}:{port}")
                elif not inside and src not in given:
                    outputs[fresh(_output_name(document, src), outputs)] = src
                    given.add(src)
        inputs = {p: src for p, inner in ports.items() if (src := _fed_by(document, inner)) is not None}
        if ports == made.ports and outputs == made.outputs and inputs == made.inputs:
            out[scope] = made
        else:
            out[scope] = replace(made, inputs=MappingProxyType(inputs), outputs=MappingProxyType(outputs), ports=MappingProxyType(ports))
    if len(out) == len(document.composites) and all(out[k] is document.composites[k] for k in out):
        return document
    return replace(document, composites=MappingProxyType(out))


def _fed_by(document: Document, inner: Sequence[str]) -> str | None:
    for text in inner:
        name, _, port = text.rpartition(":")
        src = document.nodes[name].inputs.get(port)
        if src is not None:
            return src
    return None


def _port_name(port: str) -> str:
    return port.replace(".", "_")


def _output_name(document: Document, tensor: str) -> str:
    name, _, index = tensor.rpartition(":")
    op = REGISTRY.get(document.nodes[name].op)
    names = op.outputs if op is not None else ()
    return names[int(index)] if len(names) > 1 and int(index) < len(names) else name.rpartition("/")[2]


# ---------------------------------------------------------------- composites


def group(document: Document, names: Sequence[str], name: str | None = None) -> Document:
    """Put nodes into a scope of their own, a composite with a signature: a port for every tensor that enters or is still awaited, one for every result."""
    inside = members(document, names)
    if not inside:
        raise DocumentError("there is nothing to make a composite of.", hint="Select nodes first.")
    chosen = set(inside)
    parent = common_scope(names)
    prefix = f"{parent}/" if parent else ""
    word = "block" if name is None else name.strip()
    check_part(word)
    base = f"{prefix}{word}"
    scope = fresh(base, taken_in(document))
    if name is not None and scope != base:
        raise NameTakenError(f"the name {base!r} is taken.", node=base, hint=f"Try {scope!r}.")
    between = _between(document, chosen)
    if between is not None:
        raise CycleError(f"{between} stands between: it takes from what would be inside, and gives to it.", node=between, hint=f"Select {between} too.")
    new = {n: f"{scope}/{n.removeprefix(prefix)}" for n in inside}
    scopes = {s: f"{scope}/{s.removeprefix(prefix)}" for s in whole_scopes(document, chosen) if s.startswith(prefix)}
    ports: dict[str, list[str]] = {}
    by_tensor: dict[str, str] = {}
    for key in inside:
        node = document.nodes[key]
        for port in all_ports(node):
            src = node.inputs.get(port)
            if src is not None and src.rpartition(":")[0] in chosen:
                continue
            if src is not None and src in by_tensor:
                ports[by_tensor[src]].append(f"{new[key]}:{port}")
                continue
            label = fresh(_port_name(port), ports)
            ports[label] = [f"{new[key]}:{port}"]
            if src is not None:
                by_tensor[src] = label
    results = _results(document, inside, chosen)
    outputs: dict[str, str] = {}
    for tensor in results:
        label = "out" if len(results) == 1 else _output_name(document, tensor)
        outputs[fresh(label, outputs)] = _moved_tensor(tensor, new)
    placed = [document.positions[n] for n in names if n in document.positions]
    moved = renamed(document, new, scopes)
    made = Composite(scope.rpartition("/")[2], "", MappingProxyType({}), MappingProxyType(outputs), MappingProxyType({p: tuple(v) for p, v in ports.items()}))
    positions = dict(moved.positions)
    if placed and len(placed) == len(names):
        positions[scope] = (sum(x for x, _ in placed) / len(placed), sum(y for _, y in placed) / len(placed))
    # a scope that has given up a part of what its function made is no composite of that function any more
    kept = {k: c for k, c in moved.composites.items() if c.ports or k in scopes.values() or not any(new[n].startswith(f"{k}/") for n in inside)}
    frames = tuple(f for f in (replace(f, members=tuple(dict.fromkeys(scope if m.startswith(f"{scope}/") and m.count("/") == scope.count("/") + 1 else m for m in f.members)))
                               for f in moved.frames) if f.members)
    return synced(replace(moved, composites=MappingProxyType({**kept, scope: made}), positions=MappingProxyType(positions), frames=frames))


def all_ports(node: DocNode) -> list[str]:
    """The wired inputs, and those that must still be wired."""
    from .build import ports_of

    op = REGISTRY.get(node.op)
    if op is None:
        return list(node.inputs)
    wired, strays, missing = ports_of(op, node.inputs)
    order = [i.name for i in op.inputs]
    return sorted([*wired, *missing, *strays], key=lambda p: order.index(p.partition(".")[0]) if p.partition(".")[0] in order else len(order))


def _results(document: Document, inside: Sequence[str], chosen: Collection[str]) -> list[str]:
    """What leaves these nodes: tensors used outside, and what nobody uses at all."""
    used_outside: dict[str, None] = {}
    used: set[str] = set()
    for node in document.nodes.values():
        for src in node.inputs.values():
            used.add(src.rpartition(":")[0])
            if src.rpartition(":")[0] in chosen and node.name not in chosen:
                used_outside[src] = None
    rank = {n: k for k, n in enumerate(inside)}
    found = dict(used_outside)
    for name in inside:
        op = REGISTRY.get(document.nodes[name].op)
        if name not in used and op is not None and (op.outputs or op.many) and not op.source:
            found[f"{name}:0"] = None
    return sorted(found, key=lambda t: (rank[t.rpartition(":")[0]], t))


def _between(document: Document, chosen: Collection[str]) -> str | None:
    """A node outside that waits for one of these and that another of these waits for."""
    after: dict[str, list[str]] = {}
    for node in document.nodes.values():
        for before in _before(node):
            after.setdefault(before, []).append(node.name)
    below = _reached([n for c in chosen for n in after.get(c, ()) if n not in chosen], lambda n: [m for m in after.get(n, ()) if m not in chosen])
    return next((b for c in document.nodes if c in chosen for b in _before(document.nodes[c]) if b in below), None)


def _before(node: DocNode) -> list[str]:
    return [*(s.rpartition(":")[0] for s in node.inputs.values()), *node.control]


def _reached(start: Iterable[str], following: Any) -> set[str]:
    stack, seen = list(start), set()
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(following(name))
    return seen


def ungroup(document: Document, scope: str) -> Document:
    """Let the nodes of a scope stand where the scope stood; names and wires are kept, a name that is taken gets a number."""
    if scope not in document.scopes:
        raise DocumentError(f"{scope!r} is no scope.", node=scope, hint="Select a composite, or a folded scope.")
    parent = scope.rpartition("/")[0]
    prefix = f"{parent}/" if parent else ""
    inside = [n for n in document.nodes if n.startswith(f"{scope}/")]
    taken = {n for n in taken_in(document) if n != scope and not n.startswith(f"{scope}/")}
    tops: dict[str, str] = {}
    new: dict[str, str] = {}
    for name in inside:
        first, _, rest = name.removeprefix(f"{scope}/").partition("/")
        if first not in tops:
            tops[first] = fresh(f"{prefix}{first}", taken)
            taken.add(tops[first])
        new[name] = f"{tops[first]}/{rest}" if rest else tops[first]
    scopes = {}
    for s in document.scopes:
        if s.startswith(f"{scope}/"):
            first, _, rest = s.removeprefix(f"{scope}/").partition("/")
            scopes[s] = f"{tops[first]}/{rest}" if rest else tops[first]
    bare = replace(document, composites=MappingProxyType({k: c for k, c in document.composites.items() if k != scope}), positions=MappingProxyType({k: v for k, v in document.positions.items() if k != scope}),
                   frames=tuple(replace(f, members=tuple(n for m in f.members for n in ([f"{scope}/{t}" for t in tops] if m == scope else [m]))) for f in document.frames))
    moved = renamed(bare, new, scopes)
    # a scope around it that holds its nodes now differs from what its function makes
    return synced(replace(moved, composites=MappingProxyType({k: c for k, c in moved.composites.items() if c.ports or not scope.startswith(f"{k}/")})))


# ---------------------------------------------------------------- copies


def part(document: Document, names: Sequence[str]) -> Document:
    """These nodes and the wires between them as a document of their own, named from the scope that all stand in; wires from outside are open."""
    inside = members(document, names)
    if not inside:
        raise DocumentError("there is nothing to copy.", hint="Select nodes first.")
    chosen, parent = set(inside), common_scope(names)
    prefix = f"{parent}/" if parent else ""
    whole = whole_scopes(document, chosen)
    composites = {}
    for scope, made in document.composites.items():
        if scope in whole:
            edge, outputs, ports = boundary(document, scope), {}, {}
            # what enters and leaves without a port of the composite's own is called as wiring it by hand would call it
            for port, inner in edge.inputs.items():
                ports[port if port in (made.ports or made.inputs) else fresh(_port_name(inner[0].rpartition(":")[2]), {**edge.inputs, **ports})] = inner
            for port, tensor in edge.outputs.items():
                if tensor.rpartition(":")[0] in chosen:
                    outputs[port if port in made.outputs else fresh(_output_name(document, tensor), {**edge.outputs, **outputs})] = tensor
            composites[scope] = Composite(made.function, made.doc, MappingProxyType({}), MappingProxyType(outputs), MappingProxyType(ports))
    nodes = {}
    for name in inside:
        node = document.nodes[name]
        nodes[name] = replace(node, inputs=MappingProxyType({p: s for p, s in node.inputs.items() if s.rpartition(":")[0] in chosen}), control=tuple(c for c in node.control if c in chosen),
                              gradient_of=node.gradient_of if node.gradient_of in chosen else None)
    cut = Document(document.name, MappingProxyType(nodes), MappingProxyType({k: v for k, v in document.positions.items() if k in chosen or k in whole}),
                   None if document.folded is None else document.folded & whole, (), (), MappingProxyType({k: v for k, v in document.feeds.items() if k in chosen}),
                   document.next_id, MappingProxyType(composites), tuple(f for f in document.frames if all(m in chosen or m in whole for m in f.members)),
                   MappingProxyType({k: v for k, v in document.bound.items() if k in chosen}))
    new = {n: n.removeprefix(prefix) for n in inside}
    return synced(renamed(cut, new, {s: s.removeprefix(prefix) for s in whole | {s for s in document.scopes if s.startswith(prefix)}}))


def standalone(document: Document, names: Sequence[str], types: Mapping[str, TensorType]) -> Document:
    """These nodes under their own names, with a placeholder for every tensor that comes from outside."""
    chosen = set(members(document, names))
    nodes, outside = {}, {}
    next_id = document.next_id
    for name in document.nodes:
        if name not in chosen:
            continue
        node = document.nodes[name]
        for src in node.inputs.values():
            source = src.rpartition(":")[0]
            if source in chosen or src in outside or src not in types:
                continue
            called = fresh(source if src.endswith(":0") else src.replace(":", "_"), {*chosen, *outside.values()})
            outside[src] = called
            nodes[called] = DocNode(next_id, called, "Placeholder", MappingProxyType({"shape": types[src].shape, "dtype": types[src].dtype.name}))
            next_id += 1
        nodes[name] = replace(node, inputs=MappingProxyType({p: f"{outside[s]}:0" if s in outside else s for p, s in node.inputs.items() if s in outside or s.rpartition(":")[0] in chosen}),
                              control=tuple(c for c in node.control if c in chosen))
    return Document(document.name, MappingProxyType(nodes), next_id=next_id)


def placed(document: Document, places: Mapping[str, tuple[float, float]]) -> Document:
    """The document with nodes and scopes where they are drawn now, placed by a person or not."""
    return replace(document, positions=MappingProxyType({**document.positions, **places}))


def clip_text(document: Document, names: Sequence[str]) -> str:
    """These nodes as the text that a clipboard carries: `{"flowlab_clip": 1, "document": …}`."""
    text = jsonio.dumps({"flowlab_clip": CLIP, "document": part(document, names).to_json()})
    if len(text) > MAX_CLIP:
        raise DocumentError(f"that is {len(text) >> 20} MB, too much for a clipboard.", hint="Copy without the large constants, or save the document.")
    return text


def read_clip(text: str) -> Document:
    """The nodes in a clipboard's text, checked like a file; DocumentError with the reason for anything else."""
    data = jsonio.parse(text, max_bytes=MAX_CLIP, what="the clipboard")
    if not isinstance(data, dict) or data.keys() != {"flowlab_clip", "document"}:
        raise DocumentError("the clipboard holds no nodes of flowlab.", hint="Copy nodes with Ctrl+C first.")
    if data["flowlab_clip"] != CLIP:
        raise DocumentError("the clipboard comes from another version of flowlab.", hint="Upgrade: pip install -U flowlab.")
    clip = from_json(data["document"])
    for node in clip.nodes.values():
        op = get_op(node.op)        # UnknownOpError names what is near
        for port in node.inputs:
            try:
                op.input_of(port)
            except AttributeValueError as error:
                raise DocumentError(f"{node.name}: {error.message}", node=node.name, port=port, hint=error.hint) from None
    return clip


def shift_to(clip: Document, x: float, y: float) -> tuple[float, float]:
    """How far a clip moves so that its upper left corner comes to a place."""
    if not clip.positions:
        return 0, 0
    return x - min(px for px, _ in clip.positions.values()), y - min(py for _, py in clip.positions.values())


def paste(document: Document, clip: Document, scope: str = "", most: int = 10**9, shift: tuple[float, float] | None = None) -> tuple[Document, list[str]]:
    """The document with the clip's nodes under fresh names, and the names of what was added at the top; all of it or none.

    They stand where they stood, moved by `shift`; without it down to the right, clear of what is there.
    """
    if len(document.nodes) + len(clip.nodes) > most:
        raise DocumentError(f"a document holds at most {most:,} nodes.")
    prefix = f"{scope}/" if scope else ""
    if scope and (scope in document.nodes or any(scope.startswith(f"{n}/") for n in document.nodes if n in scope)):
        raise DocumentError(f"{scope!r} is no scope to paste into.", node=scope)
    taken, tops, new = taken_in(document), {}, {}
    for name in clip.nodes:
        first, _, rest = name.partition("/")
        if first not in tops:
            tops[first] = fresh(f"{prefix}{first}", taken)
            taken.add(tops[first])
        new[name] = f"{tops[first]}/{rest}" if rest else tops[first]
        if len(new[name]) > 2000:
            raise NameTakenError("a name has at most 2000 characters.")
    scopes = {s: tops[s.partition("/")[0]] + s[len(s.partition("/")[0]):] for s in clip.scopes}
    moved = renamed(clip, new, scopes)
    if shift is None:
        down = _clear_shift(document, moved.positions)
        shift = (0.6 * down, down)
    places = {k: read_place((x + shift[0], y + shift[1]), k) for k, (x, y) in moved.positions.items()}
    nodes, next_id = dict(document.nodes), document.next_id
    for node in moved.nodes.values():
        nodes[node.name], next_id = renumbered(node, next_id)
    folded = document.folded
    if folded is not None or moved.folded is not None:
        folded = (folded or frozenset()) | (moved.folded or frozenset())
    together = replace(
        document, nodes=MappingProxyType(nodes), next_id=next_id, folded=folded, feeds=MappingProxyType({**document.feeds, **moved.feeds}),
        bound=MappingProxyType({**document.bound, **moved.bound}), composites=MappingProxyType({**document.composites, **moved.composites}), frames=(*document.frames, *moved.frames),
        positions=MappingProxyType({**document.positions, **places}))
    return synced(together), list(tops.values())


def _clear_shift(document: Document, places: Mapping[str, tuple[float, float]]) -> float:
    """How far down-right the copy moves so that it does not lie on what is there."""
    there = set(document.positions.values())
    shift = SHIFT
    while any((x + shift * 0.6, y + shift) in there for x, y in places.values()) and shift < 100 * SHIFT:
        shift += SHIFT
    return shift


def copy_of(document: Document, scope: str, name: str | None = None, most: int = 10**9) -> tuple[Document, str]:
    """The document with another use of a composite: fresh nodes, its inputs open; and the scope that they stand in."""
    made = document.composites.get(scope)
    if made is None:
        raise DocumentError(f"{scope!r} is no composite.", node=scope, hint="Make one of a selection with Ctrl+G.")
    clip = part(document, [scope])
    root = scope.rpartition("/")[2]
    word = name if name is not None else made.function if "/" not in made.function else root
    check_part(word)
    if name is not None and name in taken_in(document):
        raise NameTakenError(f"the name {name!r} is taken.", node=name, hint=f"Try {fresh(name, taken_in(document))!r}.")
    new = {n: f"{word}{n[len(root):]}" for n in clip.nodes}
    clip = renamed(clip, new, {s: f"{word}{s[len(root):]}" for s in clip.scopes})
    clip = replace(clip, positions=MappingProxyType({}), frames=())
    after, (at,) = paste(document, clip, "", most)
    return after, at


# ---------------------------------------------------------------- out of the way, and in between


def _troubles(built: Build) -> dict[tuple, str]:
    return {(d.kind, d.node, d.port, d.axis): d.message for d in built.diagnostics if d.severe}


def bypass(document: Document, name: str) -> Document:
    """Take a node out, and let what it took go to everything it fed: its first input of the same type, else its first, if all of these are as sound as before."""
    from .build import build

    node = document.nodes.get(name)
    if node is None:
        raise DocumentError(f"there is no node {name!r}.", node=name)
    if not node.inputs:
        raise DocumentError(f"{name} takes nothing that could go on in its place.", node=name, hint="Bypass a node with an input.")
    built, reason = build(document), ""
    before, types = _troubles(built), built.types
    given = [node.inputs[p] for p in all_ports(node) if p in node.inputs]
    alike = [src for src in given if src in types and types[src] == types.get(f"{name}:0")]
    for src in dict.fromkeys([*alike, given[0]]):
        tried = _without(document, node, src)
        new = [m for k, m in _troubles(build(tried)).items() if k not in before]
        if not new:
            return tried
        reason = reason or new[0]
    raise DocumentError(f"{name} cannot be bypassed: what it takes does not fit where its result goes: {reason}", node=name, hint="Delete it, and wire by hand.")


def _without(document: Document, node: DocNode, src: str) -> Document:
    nodes = {}
    for k, n in document.nodes.items():
        if k == node.name:
            continue
        if any(s.rpartition(":")[0] == node.name for s in n.inputs.values()) or node.name in n.control:
            control = tuple(dict.fromkeys(c for w in n.control for c in ((src.rpartition(":")[0],) if w == node.name else (w,))))
            n = replace(n, inputs=MappingProxyType({p: src if s.rpartition(":")[0] == node.name else s for p, s in n.inputs.items()}), control=control)
        nodes[k] = n
    source = src.rpartition(":")[0]
    fetches = tuple(dict.fromkeys(source if f == node.name else f for f in document.fetches))
    return without_gone(replace(document, nodes=MappingProxyType(nodes), fetches=fetches))


def without_gone(document: Document) -> Document:
    """The document, its composites as the wires now are, without what belongs to nodes and scopes that are no more."""
    document = synced(document)
    there = document.nodes.keys() | document.scopes | document.inside
    frames = tuple(f if len(kept) == len(f.members) else replace(f, members=kept) for f in document.frames if (kept := tuple(m for m in f.members if m in there)))
    return replace(document, frames=frames, fetches=tuple(f for f in document.fetches if f in document.nodes), positions=MappingProxyType({k: v for k, v in document.positions.items() if k in there}),
                   feeds=MappingProxyType({k: v for k, v in document.feeds.items() if k in document.nodes}), bound=MappingProxyType({k: v for k, v in document.bound.items() if k in document.nodes}),
                   folded=None if document.folded is None else document.folded & there)


def port_for(op: Op, type: TensorType | None, wired: Collection[str] = ()) -> str | None:
    """The input that a tensor of this type goes into: the first open one that takes its dtype, else the first that does."""
    fit = [i for i in op.inputs if type is None or type.dtype.kind in KINDS[i.kind]]
    named = [f"{i.name}.0" if i.variadic else i.name for i in fit]
    if not named:
        return None
    for spec, port in zip(fit, named):
        if spec.variadic:
            return f"{spec.name}.{sum(w.startswith(f'{spec.name}.') for w in wired)}"
        if port not in wired and not spec.optional:
            return port
    return next((p for p in named if p not in wired), named[0])


def edge_of(document: Document, edge: str) -> tuple[str, str]:
    """Source and target of a wire, such as `("x:0", "MatMul:a")`, by its id."""
    src, arrow, dst = edge.partition("->")
    name, _, port = dst.rpartition(":")
    node = document.nodes.get(name)
    if not arrow or node is None or node.inputs.get(port) != src:
        raise DocumentError(f"there is no wire {edge[:80]!r}.", hint="It may have been cut meanwhile.")
    return src, dst


# ---------------------------------------------------------------- gradients


def differentiate(document: Document, tensor: str) -> tuple[Document, list[str], list[str]]:
    """The document with the nodes that compute the tensor's gradient by every trainable variable it depends on (by the float placeholders if there is none).

    Gives the new nodes' names too, and those of what was differentiated by.
    """
    from ..autodiff import gradients
    from .build import build

    built = build(document)
    graph: Graph = built.graph
    name = tensor.rpartition(":")[0]
    if name not in graph:
        wrong = next((d for d in built.diagnostics if d.node == name), None) or next(iter(built.diagnostics), None)
        raise DocumentError(f"{name} is not sound yet, so it has no derivative{f': {wrong.message}' if wrong is not None else '.'}", node=name, hint=wrong.hint if wrong is not None else "")
    y = graph.tensor(tensor)
    if y.shape != ():
        raise DocumentError(f"{tensor} is {shape_text(y.shape)}: only a scalar is differentiated here.", node=name, hint="Take its mean or sum first.")
    needed = _needed(document, name)
    xs: list[Tensor] = [v for v in graph.trainable_variables if v.node.name in needed]
    if not xs:
        xs = [n.outputs[0] for n in graph.nodes if n.op.source == "placeholder" and n.name in needed and n.outputs[0].dtype.kind == "f"]
    if not xs:
        raise DocumentError(f"{name} depends on no variable that is trained, and on no placeholder of floats.", node=name, hint="Add a Variable, and wire it in.")
    held = len(graph.nodes)
    made = gradients(y, xs)
    fresh_nodes = list(document_of(graph).nodes.values())[held:]
    if not fresh_nodes:
        raise DocumentError(f"the gradient of {name} is on the canvas already.", node=name)
    taken = taken_in(document)
    new = {}
    for node in fresh_nodes:
        new[node.name] = fresh(node.name, taken)
        taken.add(new[node.name])
    nodes, next_id = dict(document.nodes), document.next_id
    for node in fresh_nodes:
        nodes[new[node.name]] = replace(node, id=next_id, name=new[node.name], inputs=MappingProxyType({p: _moved_tensor(s, new) for p, s in node.inputs.items()}),
                                        control=tuple(new.get(c, c) for c in node.control))
        next_id += 1
    fetches = document.fetches
    if fetches:     # what was asked for before is asked for still, and the gradients with it
        fetches = tuple(dict.fromkeys([*fetches, *(new.get(t.node.name, t.node.name) for t in made)]))
    return synced(replace(document, nodes=MappingProxyType(nodes), next_id=next_id, fetches=fetches)), list(new.values()), [x.node.name for x in xs]


def _needed(document: Document, name: str) -> set[str]:
    return _reached([name], lambda n: _before(document.nodes[n]) if n in document.nodes else ())


def differentiated_by(document: Document, tensor: str) -> list[str]:
    """What `differentiate` takes the derivative by: the trainable variables behind the tensor, or the placeholders of floats."""
    behind = _needed(document, tensor.rpartition(":")[0])
    found = [n for n in document.nodes.values() if n.name in behind]
    return [n.name for n in found if n.op == "Variable" and n.attrs.get("trainable", True)] or [n.name for n in found if n.op == "Placeholder"]


# ---------------------------------------------------------------- notes and frames


def note_at(document: Document, index: int) -> Note:
    if not 0 <= index < len(document.notes):
        raise DocumentError(f"there is no note {index}.")
    return document.notes[index]


def frame_at(document: Document, index: int) -> Frame:
    if not 0 <= index < len(document.frames):
        raise DocumentError(f"there is no frame {index}.")
    return document.frames[index]


