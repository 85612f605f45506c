"""A step over a cluster as one graph: every part of the batch a scope of its own, so that a trace of it shows the replicas beside each other."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..core.errors import FlowError
from ..core.graph import Graph, Tensor
from ..core.op import REGISTRY
from ..io.build import build
from ..io.document import DocBody, DocNode, Document, document_of, renumbered
from ..io.fetching import needed
from ..runtime.session import Session
from ..runtime.store import Draws, Snapshot
from ..runtime.timeline import Row
from ..trace.trace import Trace
from .distributed import Part, Shared, drawn_by_row, rows_of

Given = Mapping[int, tuple[int, int | None, Part | None]]   # id of a copy → id of what it copies, the axis that the batch is of what it draws, the part


class CopiedDraws(Draws):
    """What the originals draw, for copies of them that each have a part of the batch."""

    __slots__ = ("copies",)

    def __init__(self, seed: int, run: int, frame: int, copies: Given):
        super().__init__(seed, run, frame)
        self.copies = copies

    def __call__(self, node_id: int) -> Any:
        original, axis, part = self.copies.get(node_id, (node_id, None, None))
        found = super().__call__(original)
        return found if axis is None or part is None else part.rows(found, axis)

    def at(self, timestep: int) -> CopiedDraws:
        return CopiedDraws(self.seed, self.run, super().at(timestep).frame, self.copies)


class _Writer:
    """Puts copies of nodes into a document."""

    def __init__(self, graph: Graph):
        self.nodes: dict[str, DocNode] = {}
        self.copies: dict[int, tuple[int, int | None, Part | None]] = {}
        self.next_id = 0
        self.taken = {n.name.partition("/")[0] for n in graph.nodes}

    def scope(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def put(self, node: DocNode) -> DocNode:
        made, self.next_id = renumbered(node, self.next_id)
        self.nodes[made.name] = made
        return made

    def copy(self, node: DocNode, axes: Mapping[int, int], part: Part | None = None) -> None:
        for old, new in _pairs(node, self.put(node)):
            self.copies[new] = old, axes.get(old), part


def _pairs(old: DocNode, new: DocNode) -> Iterator[tuple[int, int]]:
    yield old.id, new.id
    for key, value in old.attrs.items():
        if isinstance(value, DocBody):
            for a, b in zip(value.document.nodes.values(), new.attrs[key].document.nodes.values()):
                yield from _pairs(a, b)


def _sized(node: DocNode, dim: str, name: str) -> DocNode:
    """The node with another name for a dimension, inside of loops too: parts of a batch are of several sizes."""
    attrs = dict(node.attrs)
    for key, value in node.attrs.items():
        if isinstance(value, DocBody):
            inner = {n.name: _sized(n, dim, name) for n in value.document.nodes.values()}
            attrs[key] = DocBody(replace(value.document, nodes=MappingProxyType(inner)), value.inputs, value.outputs)
        elif node.op in REGISTRY and key in REGISTRY[node.op].attrs and REGISTRY[node.op].attrs[key].kind in ("shape", "new_shape") and isinstance(value, (tuple, list)):
            attrs[key] = type(value)(name if d == dim else d for d in value)
    return replace(node, attrs=MappingProxyType(attrs))


def side_by_side(graph: Graph, shared: Shared, kinds: Mapping[Tensor, str], parts: Sequence[Part], fed: Mapping[Tensor, np.ndarray]) -> tuple[Graph, list[str], dict[str, str], Given]:
    """The graph of a step over a cluster; the scopes of its parts; the name of what each tensor of the workers is put together in; what its copies draw."""
    originals, order = document_of(graph).nodes, [n.name for n in graph.nodes]
    dim, sizes = parts[0].dim, [p.stop - p.start for p in parts]
    given, axes = {t.node.name for t in fed}, drawn_by_row(graph, dim)
    split = {t.node.name for t in fed if dim in t.shape}
    far, near = ({n.name for n in needed(ends, stop, controls=True)} for ends, stop in ((shared.far, ()), (shared.near, shared.cut)))
    common = {n for n in far if originals[n].op in ("Variable", "Constant") or n in given - split}
    write = _Writer(graph)
    for name in order:
        if name in common:
            write.copy(originals[name], axes)
    scopes = []
    for k, part in enumerate(parts):
        scopes.append(scope := write.scope(f"worker_{k}"))
        for name in order:
            if name in far - common:
                node = originals[name]
                inputs = {port: source if source.rpartition(":")[0] in common else f"{scope}/{source}" for port, source in node.inputs.items()}
                write.copy(replace(_sized(node, dim, f"{dim}_{k}"), name=f"{scope}/{name}", inputs=MappingProxyType(inputs), control=tuple(f"{scope}/{c}" for c in node.control if c in far - common),
                                   gradient_of=f"{scope}/{node.gradient_of}" if node.gradient_of in far - common else None), axes, part)
    together = write.scope("together")
    whole: dict[str, str] = {}
    for t in shared.far:
        name = f"{together}/{t.node.name}" + (f"/{t.index}" if t.index else "")
        each = [f"{s}/{t.name}" if t.node.name not in common else t.name for s in scopes]
        whole[t.name] = _together(write, name, each, kinds.get(t, "mean"), sizes, t, dim)
    for name in order:
        if name in near and name not in write.nodes:
            node = originals[name]
            cut = {t.name for t in shared.cut}
            inputs = {port: whole[source] if source in cut else source for port, source in node.inputs.items()}
            write.copy(replace(node, inputs=MappingProxyType(inputs), control=tuple(c for c in node.control if c in near), gradient_of=None), axes)
    built = build(Document(graph.name if graph.name.isprintable() else "step", MappingProxyType(write.nodes), next_id=write.next_id))
    if built.diagnostics:
        raise FlowError(f"the step cannot be shown side by side: {built.diagnostics[0].node}: {built.diagnostics[0].message}")
    return built.graph, scopes, whole, write.copies


def _together(write: _Writer, name: str, each: list[str], kind: str, sizes: Sequence[int], t: Tensor, dim: str) -> str:
    """Nodes that put the parts of a tensor together, just as the step itself does; the name of the tensor that comes out."""
    def node(last: str, op: str, inputs: Mapping[str, str], **attrs: Any) -> str:
        write.put(DocNode(0, f"{name}/{last}", op, MappingProxyType(attrs), MappingProxyType(dict(inputs)), phase="update"))
        return f"{name}/{last}:0"
    if kind == "same" or len(each) == 1:
        return each[0]
    if kind == "rows":
        return node("Concat", "Concat", {f"xs.{k}": x for k, x in enumerate(each)}, axis=t.shape.index(dim))
    if kind == "mean":
        shares = [node(f"share_{k}", "Constant", {}, value=np.array(n / sum(sizes), t.dtype)) for k, n in enumerate(sizes)]
        each = [node(f"Multiply_{k}", "Multiply", {"a": x, "b": s}) for k, (x, s) in enumerate(zip(each, shares))]
    total = each[0]
    for k, x in enumerate(each[1:]):
        total = node(f"Add_{k}", "Add", {"a": total, "b": x})
    return total


def laid_out(sess: Session, moment: tuple[Snapshot, int], shared: Shared, kinds: Mapping[Tensor, str], parts: Sequence[Part], fed: Mapping[Tensor, np.ndarray],
             rows: Sequence[tuple[int | None, Row]]) -> Trace:
    """A step that was taken over a cluster as a Trace: its values computed again here, side by side; its clock and devices those of `rows`, (number of the part or None, firing)."""
    graph, scopes, whole, copies = side_by_side(sess.graph, shared, kinds, parts, fed)
    show = Session(graph, sess.seed)
    show.draws = lambda seed, run: CopiedDraws(seed, run, 0, copies)
    before, run = moment
    here = {n.name: n for n in show.store.variables()}
    show.store.commit({here[n.name].id: before[n.id] for n in sess.store.variables() if n.name in here})
    show.store.runs = run
    feeds = {f"{scope}/{name}" if f"{scope}/{name.rpartition(':')[0]}" in graph else name: value for scope, part in zip(scopes, parts) for name, value in rows_of(fed, part).items()}
    feeds |= {t.name: a for t, a in fed.items() if t.node.name in graph}
    trace = show.trace([*(getattr(n, "name", n) for n in shared.near), *whole.values()], {k: v for k, v in feeds.items() if k.rpartition(":")[0] in graph})
    times = {(part, r.node, r.frame): r for part, r in rows}
    end = max((r.start + r.duration for part, r in rows if part is not None), default=0.0)
    for event in trace.events:
        first, _, rest = event.node.partition("/")
        part = scopes.index(first) if first in scopes else None
        frame = tuple(f.removeprefix(f"{first}/") if isinstance(f, str) and part is not None else f for f in event.frame)
        row = times.get((part, rest if part is not None else event.node, frame))
        if row is not None:
            event.start, event.duration, event.device, event.thread = row.start, row.duration, row.device, row.thread
        else:       # put together here, between the last answer and the update
            event.start, end = end, end + event.duration
    return trace
