"""Which tensor holds the gradient of another: read off the graph, where `fl.gradients` has left the nodes of the way back."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.graph import Graph, Node, Tensor


def gradient_tensor(graph: Graph, tensor: Tensor) -> Tensor | None:
    """The gradient of a tensor by the first scalar that the graph was differentiated by; None if there is none, or if the graph does not tell.

    What an optimizer takes for a variable is its gradient. Otherwise the way back says: a node of it says in `gradient_of` which node it belongs to.
    """
    if tensor.dtype.kind != "f" or tensor.graph is not graph:      # inside a loop, whose way back is a loop of its own
        return None
    back = [n for n in graph.nodes if n.phase == "backward" and n.gradient_of is not None]
    root = next((_root(n) for n in back), None)
    group: dict[str, list[Node]] = {}
    for n in back:
        if _root(n) == root:
            group.setdefault(n.gradient_of, []).append(n)
    uses: dict[Tensor, list[Node]] = {}
    for n in graph.nodes:
        if n.phase == "forward" and (n.name in group or n.op.name in _PASS):
            for t in dict.fromkeys(n.inputs):
                uses.setdefault(t, []).append(n)
    updates = [dict(zip(n.ports, n.inputs)) for n in graph.nodes if n.phase == "update"]
    way, seen = [tensor], {tensor}      # the tensor, and those whose gradient comes through to it as it is
    for t in way:
        for found in (n.outputs[0] for n in uses.get(t, ()) if _passes(n, t)):
            if found not in seen:
                seen.add(found)
                way.append(found)
    known: dict[Tensor, Tensor | None] = {}
    order = {n: k for k, n in enumerate(graph.nodes)}
    for t in sorted(way, key=lambda t: order[t.node], reverse=True):      # the last first: what comes through is known by then
        known[t] = _gradient(t, uses.get(t, []), group, updates, known)
    return known[tensor]


def _gradient(tensor: Tensor, users: list[Node], group: Mapping[str, list[Node]], updates: list[dict[str, Tensor]], known: Mapping[Tensor, Tensor | None]) -> Tensor | None:
    """The gradient of a tensor from the nodes that take it; `known` are those of what its own comes through from."""
    taken = [u["grad"] for u in updates if u.get("value") is tensor and "grad" in u]
    if len(taken) == 1 and taken[0].node.phase == "backward":
        return taken[0]
    mine = group.get(tensor.node.name, [])
    sums = [n for n in mine if n.op.name == "Add" and _fits(n.outputs[0], tensor)]
    parts = [part for user in users for part in [_part(user, group.get(user.name, []), tensor, known)] if part is not None]
    if len(users) > 1 or len([t for u in users for t in u.inputs if t is tensor]) > 1:      # several ways come back: the last of their sums
        ends = set(parts)
        last = None
        for n in sums:
            if all(t in ends or t is last for t in n.inputs) and (last is None or last in n.inputs):
                last = n.outputs[0]
        return last if last is not None else parts[0] if len(parts) == 1 else None
    if users:
        return parts[0] if parts else None
    start = next((n for n in mine if n.op.name == "OnesLike" and n.inputs[0] is tensor), None)
    return start.outputs[0] if start is not None else None


def whose_gradient(graph: Graph, tensor: Tensor) -> Tensor | None:
    """The tensor that this one is the gradient of; None if it is none, or if the graph does not tell."""
    name = tensor.node.gradient_of
    if tensor.node.phase != "backward" or name is None or name not in graph:
        return None
    node = graph.nodes[name]
    return next((t for t in (*node.inputs, *node.outputs) if gradient_tensor(graph, t) is tensor), None)


_PASS = frozenset(("Add", "Subtract", "Identity"))     # their derivative is 1: the gradient passes, and no node is made for it


def _root(node: Node) -> str:
    """The scope that all of one way back stands in."""
    scope, below = node.name.rpartition("/")[0], f"/{node.gradient_of}"
    return scope.removesuffix(below) if scope.endswith(below) else ""


def _fits(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype


def _passes(user: Node, tensor: Tensor) -> bool:
    """Is the gradient of what a node gives also what comes back from it to a tensor that it takes?"""
    return user.op.name in _PASS and _fits(user.outputs[0], tensor) and (user.op.name != "Subtract" or user.inputs[1] is not tensor)


def _part(user: Node, group: Iterable[Node], tensor: Tensor, known: Mapping[Tensor, Tensor | None]) -> Tensor | None:
    """What comes back to a tensor from one node that takes it."""
    if _passes(user, tensor):
        return known[user.outputs[0]]
    nodes = [n for n in group if not (n.op.name == "Add" and _is_sum(n, user))]
    inside = {t for n in nodes for t in n.inputs}
    ends = [t for n in nodes for t in n.outputs if t not in inside and t.dtype.kind == "f"]
    like = [t for t in ends if _fits(t, tensor)]
    floats = list(dict.fromkeys(t for t in user.inputs if t.dtype.kind == "f"))
    if len(like) == 1 and sum(_fits(t, tensor) for t in floats) == 1:
        return like[0]
    if user.op.name == "Subtract" and len(like) == 1:
        return like[0]
    rivals = [t for t in floats if _fits(t, tensor)]
    return like[rivals.index(tensor)] if len(like) == len(rivals) and not user.op.name.endswith("Gradient") else None


def _is_sum(node: Node, user: Node) -> bool:
    """Does it add up what comes back to the node itself from those that take it?"""
    return all(t.node.phase == "backward" and t.node.gradient_of != user.name or t.node.op.name == "Add" and t.node.gradient_of == user.name and _is_sum(t.node, user) for t in node.inputs)
