"""What an edit would come to, before it is made: ghosts on the canvas, and the ports that a wire would not fit."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from types import SimpleNamespace

from ..core.errors import FlowError
from ..core.op import REGISTRY
from ..core.types import TensorType, shape_text
from ..io import loops as L
from ..io.build import Build, Diagnostic, build, ports_of
from ..io.document import DocNode, Document, normalized
from ..io.edits import Connect, Disconnect, Edit, SetAttr, apply
from ..io.repairs import cut, followers, what_if
from . import protocol as P, scene as S

WHOLE = 150             # a document of at most so many nodes is built whole for a preview, of a larger one what the edits reach
REACH_BUDGET = 0.04     # seconds for asking the ports that a wire could go to


def preview(document: Document, built: Build, shown: S.Drawn, edits: Sequence[Edit], key: str, secret: Set[str] = frozenset()) -> P.Preview:
    """What the edits would come to, without the shapes of what is `secret`; FlowError if they cannot be made."""
    ends = [e.dst.rpartition(":")[0] for e in edits if isinstance(e, (Connect, Disconnect))]
    if L.loops_of(document):    # what stands inside loops has its ghosts there
        after = apply(document, *edits)
        before, seen = L.view(document, built), L.view(after, build(after))
        document, built, after, made = before.document, before.built, seen.document, seen.built
    elif len(document.nodes) <= WHOLE:
        after = apply(document, *edits)
        made = build(after)
    else:
        after, made = what_if(document, built.types, edits, [n for n in ends if n in document.nodes], followers(document))
    if secret:
        made = replace(made, types={k: v for k, v in made.types.items() if k not in secret})
    new = [n for n in after.nodes.values() if n.op in REGISTRY and n.name not in document.nodes and any(e.name == n.name for e in edits if hasattr(e, "name"))]
    touched = [n for n in dict.fromkeys([*ends, *(e.node for e in edits if isinstance(e, SetAttr))]) if n in document.nodes and n in after.nodes]
    ghosts = [_ghost(n, made) for n in new]
    names = {n.name for n in new}

    def element(name: str) -> str:
        return name if name in names else shown.owner.get(name, name)

    edges = [P.GhostEdge(src=element(src.rpartition(":")[0]), src_port=src.rpartition(":")[2], dst=element(n.name), dst_port=port, **_type(made, src),
                         error=any(d.severe and d.edge == f"{src}->{n.name}:{port}" for d in made.diagnostics))
             for n in (*new, *(after.nodes[t] for t in touched)) for port, src in n.inputs.items()
             if n.name in names or src.rpartition(":")[0] in names or document.nodes[n.name].inputs.get(port) not in (src, *_as_before(document, n.name, port, src))]
    cuts = [f"{src}->{t}:{port}" for t in touched for port, src in document.nodes[t].inputs.items() if after.nodes[t].inputs.get(port) not in (src, *_as_before(document, t, port, after.nodes[t].inputs.get(port)))]
    changes, said = [], [f"{g.op}: {_before(made, after.nodes[g.name])} → {g.shape or '?'}" for g in ghosts]
    for e in edits:
        if isinstance(e, SetAttr) and e.node in after.nodes:
            before, now = _parted(built.types.get(f"{e.node}:0"), made.types.get(f"{e.node}:0"))
            if before != now and before and now:
                changes.append(P.GhostChange(element=element(e.node), before=before, after=now))
                said.append(f"{e.node}: {before} → {now}")
            elif not before or not now:
                said.append(f"{e.node}: {e.attr} is {_said(e.value)}")
                changes.append(P.GhostChange(element=element(e.node), before="", after=f"{e.attr} = {_said(e.value)}"))
    wrong = next((d for d in made.diagnostics if d.severe and (d.node in touched or not _was(built, d))), None)
    mended = [d.node for d in built.diagnostics if d.severe and d.node in made.graph]
    said += [f"{t} gives {_whole(made, t)}" for t in dict.fromkeys([*mended, *ends]) if wrong is None and t in document.nodes and _whole(made, t)]
    repair = next((r.label for r in wrong.repairs if r != cut(after.nodes[wrong.node], wrong.port or "")), "") if wrong is not None else ""
    return P.Preview(key=key, ok=wrong is None, text="; ".join(dict.fromkeys(said)) + ("." if said else ""), nodes=ghosts, edges=edges, changes=changes, cuts=cuts,
                     why=wrong.message if wrong is not None else "", sides=S.diagnostic(wrong).sides if wrong is not None else [], repair=repair)


def _as_before(document: Document, name: str, port: str, src: str | None) -> tuple[str, ...]:
    """In a part of a document, what comes from outside has another name: it is the same wire all the same."""
    old = document.nodes[name].inputs.get(port)
    return (src,) if old is not None and src == f"{old.replace(':', '_')}:0" else (old,) if old is not None and src is not None and src == old else ()


def _was(built: Build, wrong: Diagnostic) -> bool:
    return any(d.severe and (d.node, d.message) == (wrong.node, wrong.message) for d in built.diagnostics)


def _ghost(node: DocNode, made: Build) -> P.GhostNode:
    op = REGISTRY[node.op]
    attrs = ", ".join(f"{k} = {_said(v)}" for k, v in node.attrs.items() if v is not None)
    return P.GhostNode(name=node.name, op=node.op, label=node.name.rpartition("/")[2], category=op.category, attrs=attrs[:60], **_type(made, f"{node.name}:0"))


def _said(value: object) -> str:
    return shape_text(value).replace("-", "−") if isinstance(value, tuple) else str(value)


def _type(made: Build, tensor: str) -> dict[str, str | None]:
    type = made.types.get(tensor)
    return {"shape": shape_text(type.shape) if type else None, "dtype": type.dtype.name if type else None}


def _before(made: Build, node: DocNode) -> str:
    type = next((made.types[s] for s in node.inputs.values() if s in made.types), None)
    return f"{shape_text(type.shape)} {type.dtype.name}" if type is not None and node.op == "Cast" else shape_text(type.shape) if type is not None else "?"


def _parted(a: TensorType | None, b: TensorType | None) -> tuple[str, str]:
    """Two types in words, the dtype only where it differs."""
    same = a is not None and b is not None and a.dtype == b.dtype
    one, two = ("" if t is None else shape_text(t.shape) if same else f"{shape_text(t.shape)} {t.dtype.name}" for t in (a, b))
    return one, two


def _whole(made: Build, name: str) -> str:
    type = made.types.get(f"{name}:0")
    return "" if type is None else shape_text(type.shape) if type.dtype == "float32" else f"{shape_text(type.shape)} {type.dtype.name}"


# ---------------------------------------------------------------- while a wire is drawn


def reach(document: Document, built: Build, shown: S.Drawn, port: str) -> P.Reach:
    """The drawn ports that a wire from this one would not fit, each with its reason; what is not asked within the budget is left out."""
    name, _, rest = port.rpartition(":out:") if ":out:" in port else port.rpartition(":in:")
    whys: dict[str, str] = {}
    until = time.perf_counter() + REACH_BUDGET
    if ":out:" in port:
        type = built.types.get(f"{name}:{rest}")
        for other in shown.nodes if type is not None else ():
            if time.perf_counter() > until:
                break
            node = document.nodes.get(other)
            if node is None or other == name:
                continue
            for spec in S.in_ports(REGISTRY.get(node.op), node, {}):
                why = misfit(built, node, spec.port, type)
                if why:
                    whys[f"{other}:in:{spec.port}"] = why
        return P.Reach(port=port, whys=whys)
    node = document.nodes.get(name)
    for other in shown.nodes if node is not None else ():
        if time.perf_counter() > until:
            break
        if other == name or other not in document.nodes:
            continue
        for out in S.out_ports(REGISTRY.get(document.nodes[other].op), built, document.nodes[other]):
            why = misfit(built, node, rest, built.types[out.tensor]) if out.tensor in built.types else ""
            if why:
                whys[f"{other}:out:{out.index}"] = why
    return P.Reach(port=port, whys=whys)


def misfit(built: Build, node: DocNode, port: str, type: TensorType) -> str:
    """Why a tensor of this type does not fit into a port, as far as the other inputs say; "" if it does, or may."""
    op = REGISTRY.get(node.op)
    if op is None or op.routine is not None:
        return ""
    wired, _, missing = ports_of(op, {**node.inputs, port: ""})
    types: Mapping[str, TensorType] = {p: type if p == port else built.types[node.inputs[p]] for p in wired if p == port or node.inputs[p] in built.types}
    try:
        attrs = normalized(op, node.attrs)
    except FlowError:
        attrs = None
    try:
        if attrs is not None and len(types) == len(wired) and not missing:
            op.infer([SimpleNamespace(type=t) for t in types.values()], list(types), attrs)
            return ""
        error = op.clash(types, [p for p in (*wired, *missing) if p not in types], attrs)
    except FlowError as found:
        error = found
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return ""
    return error.message if error is not None else ""
