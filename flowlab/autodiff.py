"""Derivatives by extending the graph: the backward pass is nodes like any others."""
from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any, Literal

from .core.errors import GradientError, ShapeError, plural
from .core.graph import Node, Tensor, caller
from .core.shape import broadcast_shapes
from .core.types import shape_text
from .ops.array import cast, ones_like, zeros_like
from .ops.math import add
from .ops.sizes import broadcast_as
from .ops.state import constant

Key = tuple[int, int]


def gradients(y: Tensor | Sequence[Tensor], xs: Tensor | Sequence[Tensor], unconnected: Literal["error", "zero", "none"] = "error", *,
              grad_ys: Sequence[Any] | None = None) -> list[Tensor]:
    """Add the nodes that compute ∂y/∂x for each x, and return them, one Tensor an x, in x's shape.

    A y that is no scalar is summed (or weighted by `grad_ys`, one a y). GradientError when y does not depend on an x (`unconnected="zero"` gives
    zeros, `"none"` None), or an operation on the way has no derivative; it names the way. The nodes stand under `gradients/<forward node>/`.

    >>> import flowlab as fl
    >>> with fl.Graph():
    ...     x = fl.placeholder((3,), name="x")
    ...     dx, = fl.gradients(fl.sum(x ** 2), [x])
    >>> dx
    gradients/Square/Multiply_1:0 float32[3]
    """
    if unconnected not in ("error", "zero", "none"):
        raise GradientError(f"unconnected is {unconnected!r}.", hint='Use "error", "zero" or "none".')
    ys = [y] if isinstance(y, Tensor) else list(y)
    targets = [xs] if isinstance(xs, Tensor) else list(xs)
    for t in (*ys, *targets):
        if not isinstance(t, Tensor):
            raise GradientError(f"{t!r} is not a tensor.", hint="fl.gradients takes tensors of one graph.")
        if t.dtype.kind != "f":
            raise GradientError(f"{t.name} is {t.dtype}: only floats have derivatives.", node=t.node.name, hint='Use fl.cast(x, "float32") before.')
    if not ys:
        raise GradientError("there is nothing to differentiate.", hint="y is a tensor, or a list of tensors.")
    if grad_ys is not None and len(grad_ys) != len(ys):
        raise GradientError(f"there are {len(grad_ys)} grad_ys for {len(ys)} ys.", hint="Give one a y; None stands for ones.")
    graph = ys[0].graph
    for t in (*ys, *targets):
        if t.graph is not graph:
            raise GradientError(f"{t.name} belongs to graph {t.graph.name!r}.", node=t.node.name, hint="y and xs must be of one graph.")

    # while a graph grows, Python's garbage collector would look at every node again and again, and find nothing
    running = gc.isenabled()
    try:    # twice: an interrupt may come in the clean-up, too
        try:
            gc.disable()
            with graph, graph.state(location=caller(), scope=graph._scope, phase="backward", gradient_of=None, controls=graph._controls):
                return _extend(ys, targets, unconnected, grad_ys)
        finally:
            if running:
                gc.enable()
    finally:
        if running:
            gc.enable()


def _extend(ys: list[Tensor], targets: list[Tensor], unconnected: str, grad_ys: Sequence[Any] | None) -> list[Any]:
    graph = ys[0].graph
    above = _ancestors([t.node for t in ys])
    keys = {_key(t) for t in targets}
    dependent = _dependent(above, keys)

    collected: dict[Key, list[Tensor]] = {}
    root, controls = graph.unique("gradients"), graph._controls

    def at(node: Node, controls: tuple[Node, ...] = controls) -> None:
        """What is added from here on belongs to this node; the caller of this function puts everything back."""
        graph._scope, graph._gradient_of, graph._controls = f"{root}/{node.name}", node.name, controls

    def total(key: Key, node: Node) -> Tensor | None:
        parts = collected.get(key)
        if not parts:
            return None
        while len(parts) > 1:  # at a fork the derivatives of the branches add up
            at(node)
            parts[:2] = [add(parts[0], parts[1])]
        return parts[0]

    for k, t in enumerate(ys):
        given = grad_ys[k] if grad_ys is not None else None
        at(t.node)
        given = ones_like(t) if given is None else _start(given, t)
        collected.setdefault(_key(t), []).append(given)

    for node in sorted(above, key=graph_order(graph), reverse=True):
        if node.id not in dependent or node.op.source:
            continue
        wanted = [_key(t) in keys or t.node.id in dependent for t in node.inputs]
        if not any(wanted):
            continue
        upstream = tuple(total(_key(t), node) for t in node.outputs)
        if all(g is None for g in upstream):
            continue
        if node.op.gradient_function is None:
            if not node.op.differentiable:
                continue
            raise GradientError(f"{node.op.word} has no derivative, and {ys[0].name} depends on {targets[0].name} through {node.name}: {_path(node, ys[0].node)}.",
                                node=node.name, hint="Give the op a gradient, or put fl.stop_gradient before it.")
        at(node, ())
        parts = node.op.gradient_function(node, upstream[0] if len(node.op.outputs) == 1 and not node.op.many else upstream)
        if isinstance(parts, Tensor) and len(node.inputs) == 1:     # one input, so it can be no other's
            parts = (parts,)
        if not isinstance(parts, (tuple, list)) or len(parts) != len(node.inputs):
            said = plural(len(parts), "derivative") if isinstance(parts, (tuple, list)) else f"a {type(parts).__name__}"
            raise GradientError(f"the gradient of {node.op.word} returns {said} for {plural(len(node.inputs), 'input')}.", node=node.name,
                                hint="It returns a tuple: one Tensor or None an input.")
        for t, want, part in zip(node.inputs, wanted, parts):
            if not want or part is None or t.type.dtype.kind != "f":
                continue
            part = part() if type(part) is not Tensor and callable(part) else part
            if part is not None:
                if type(part) is not Tensor or part.type is not t.type and (part.type.dtype != t.type.dtype or part.type.shape != t.type.shape):
                    _check_part(node, t, part)
                collected.setdefault((t.node.id, t.index), []).append(part)

    out = []
    for t in targets:
        found = total(_key(t), t.node)
        if found is None:
            if unconnected == "error":
                raise GradientError(_why(t, ys[0], above, dependent), node=t.node.name, hint='unconnected="zero" gives zeros instead.')
            if unconnected == "zero":
                at(t.node)
                found = zeros_like(t)
        out.append(found)
    return out


def jvp(y: Tensor, xs: Sequence[Tensor], vs: Sequence[Any]) -> Tensor:
    """Add the nodes that compute the derivative of y along a direction: Σ ∂y/∂x · v, in y's shape.

    `vs` holds one direction an x, in its shape. The backward pass is linear in what it starts from, so its own gradient is the forward derivative.
    """
    start = zeros_like(y)
    back = gradients(y, xs, grad_ys=[start])
    return gradients(back, [start], grad_ys=list(vs), unconnected="zero")[0]


def _start(given: Any, y: Tensor) -> Tensor:
    """What the backward pass starts from, in y's shape and dtype."""
    g = given if isinstance(given, Tensor) else constant(given, dtype=y.dtype)
    if g.dtype != y.dtype:
        g = cast(g, y.dtype.name)
    if g.shape == y.shape:
        return g
    try:
        met = broadcast_shapes([g.shape, y.shape], ("grad_ys", "y"), "gradients")
    except ShapeError:
        met = ()
    if len(met) != y.rank or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(met, y.shape)):
        raise GradientError(f"the grad_ys for {y.name} is {shape_text(g.shape)}, {y.name} is {shape_text(y.shape)}.", node=y.node.name, hint="They must have the same shape.")
    return broadcast_as(g, y)


def _check_part(node: Node, t: Tensor, part: Any) -> None:
    """GradientError unless a derivative has its input's dtype, and a shape that may turn out to be its input's."""
    port = next(p for p, x in zip(node.ports, node.inputs) if x is t)
    if not isinstance(part, Tensor):
        raise GradientError(f"the gradient of {node.op.word} returns a {type(part).__name__} for {port}.", node=node.name, port=port, hint="It returns tensors: build nodes, fl.constant for a number.")
    if part.dtype != t.dtype or part.rank != t.rank or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(part.shape, t.shape)):
        raise GradientError(f"the gradient of {node.op.word} returns {part.dtype} {shape_text(part.shape)} for {port}, which is {t.dtype} {shape_text(t.shape)}.", node=node.name, port=port,
                            hint="It must have the input's dtype and shape; sum over axes that were broadcast.")


def graph_order(graph: Any) -> Any:
    """Sort key: a node's place in the order of creation."""
    place = {n.id: k for k, n in enumerate(graph.nodes)}
    return lambda node: place[node.id]


def _key(t: Tensor) -> Key:
    return (t.node.id, t.index)


def _ancestors(nodes: Sequence[Node]) -> list[Node]:
    seen: dict[int, Node] = {}
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node.id not in seen:
            seen[node.id] = node
            stack.extend(t.node for t in node.inputs)
    return list(seen.values())


def _dependent(above: list[Node], keys: set[Key]) -> set[int]:
    """Ids of the nodes whose value depends on a target."""
    if not above:
        return set()
    order = graph_order(above[0].graph)
    found = {node_id for node_id, _ in keys}
    for node in sorted(above, key=order):
        if any(t.node.id in found for t in node.inputs):
            found.add(node.id)
    return found


def _path(start: Node, end: Node) -> str:
    """The way from `start` forward to `end`, as `a → b → c`."""
    way = {end.id: [end.name]}
    stack = [end]
    while stack:
        node = stack.pop()
        for t in node.inputs:
            if t.node.id not in way:
                way[t.node.id] = [t.node.name, *way[node.id]]
                stack.append(t.node)
    return " → ".join(way.get(start.id, [start.name]))


def _why(x: Tensor, y: Tensor, above: list[Node], dependent: set[int]) -> str:
    if x.node not in above:
        return f"{y.name} does not depend on {x.name}."
    blocked = [n for n in above if n.id in dependent and not n.op.differentiable and n.op.gradient_function is None and not n.op.source]
    if blocked:
        node = blocked[-1]
        return f"no derivative of {y.name} reaches {x.name}: {node.name} ({node.op.word}) lets none through, on the way {_path(x.node, y.node)}."
    return f"no derivative of {y.name} reaches {x.name}."
