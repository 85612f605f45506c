"""Derivatives of one's own: a function that brings its gradient along, and products with the Hessian."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ..autodiff import gradients
from ..core.errors import GradientError, plural
from ..core.graph import Graph, Node, Tensor, home_of
from ..core.op import literal, op
from ..core.types import TensorType, shape_text
from ..ops.array import zeros_like


def hvp(y: Tensor, xs: Tensor | Sequence[Tensor], vs: Any) -> list[Tensor]:
    """Add the nodes that multiply the Hessian of y by a vector: Σ ∂²y/∂x∂x' · v', one Tensor an x, in x's shape.

    `vs` holds one direction an x, in its shape: a Tensor, an array or a number. The Hessian itself is never built: the gradient of y is
    differentiated once more along v, which costs about two gradients whatever the number of values in x. A y that is no scalar is summed, as in
    `fl.gradients`. An x on which the gradient does not depend gets zeros, as it must: y is linear in it.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder((2,), "float64", name="x")
    ...     hv, = fl.hvp(fl.sum(x ** 3), [x], [[1.0, 0.0]])
    >>> fl.Session(g).run(hv, {x: [2.0, 5.0]})
    array([12.,  0.])
    """
    targets = [xs] if isinstance(xs, Tensor) else list(xs)
    directions = [vs] if isinstance(xs, Tensor) and (isinstance(vs, Tensor) or not _one_in_a_list(vs, targets[0])) else list(vs)
    if len(directions) != len(targets):
        raise GradientError(f"there are {plural(len(directions), 'direction')} for {plural(len(targets), 'x')}.", hint="vs holds one direction an x.")
    first = gradients(y, targets)
    if any(v is None for v in directions):
        raise GradientError("a direction is None.", hint="Use zeros for an x that does not move.")
    return gradients(first, targets, grad_ys=directions, unconnected="zero")


def _one_in_a_list(vs: Any, x: Tensor) -> bool:
    """Is this a list with one direction in it, rather than the direction itself?"""
    return isinstance(vs, (list, tuple)) and len(vs) == 1 and (isinstance(vs[0], Tensor) or np.ndim(vs[0]) == x.rank)


# ---------------------------------------------------------------- a function with a gradient of its own


def _as_the_ys(*types: TensorType, outputs: int, **_: Any) -> tuple[TensorType, ...]:
    return types[:outputs]


@op(infer=_as_the_ys, type="CustomGradient", function="with_custom_gradient", many=True, category="control", latex="y", listed=False, mixed=True, zh="自定义梯度")
def custom_gradient_op(xp, *xs: Any, outputs: int):
    """Hand on the first values; the others are what a gradient written by hand goes to.

    `xs`: what the function returned (`outputs` of them), its inputs, then what it used besides.
    """
    return xs[:outputs]


class _Rule:
    """What a CustomGradient node remembers of the call that made it. It stays in the graph in memory: a file holds no Python function."""

    __slots__ = ("back", "call", "function", "inputs", "outputs")

    def __init__(self, function: Callable, back: Callable | None, inputs: int, outputs: int, call: Callable[[Sequence[Tensor]], Any]):
        self.function, self.back, self.inputs, self.outputs, self.call = function, back, inputs, outputs, call

    def copy(self) -> _Rule:
        """For the same node in another graph: what the gradient looks at belongs to the old one, so the function is called again when it is asked for."""
        return _Rule(self.function, None, self.inputs, self.outputs, self.call)

    def backward(self, node: Node) -> Callable:
        if self.back is None:
            _, _, self.back = _called(self.name, self.call(node.inputs[self.outputs:self.outputs + self.inputs]))
        return self.back

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "this function")


def rules_of(graph: Graph) -> dict[int, _Rule]:
    """The gradients by hand of a graph, by node id."""
    return graph.__dict__.setdefault("_custom_gradients", {})


def custom_gradient(function: Callable) -> Callable:
    """Let a function bring its own gradient: it returns its result and a function that computes the derivatives.

    `function(*inputs)` builds nodes and returns `(y, grad)`: y a Tensor or a tuple of Tensors, and `grad(g)` (with one g an output of y, in y's shape;
    zeros where nothing depends on it) returns the derivative by each input: a Tensor for one input, else one Tensor or None an input. Inputs are the
    tensors and arrays among the positional arguments; whatever else is handed on as it is.

    `grad` builds nodes like any others, so the derivative is stepped, saved, and can be differentiated again, by the ordinary rules.

    What the function uses besides its inputs, say a variable from around it, has a derivative only if `grad` gives it: `return dx, {W: dW}`.
    Otherwise differentiating by it is a GradientError, not a silent zero.

    A saved graph keeps every node that has been built, gradients among them. It holds no Python function, though: differentiating once more through
    a CustomGradient node that was read from a file is refused.

    >>> import flowlab as fl
    >>> @fl.custom_gradient
    ... def log1pexp(x):
    ...     e = fl.exp(x)
    ...     return fl.log(1.0 + e), lambda g: g * (1.0 - 1.0 / (1.0 + e))      # exp(x) / (1 + exp(x)) would be inf / inf
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder((), name="x")
    ...     dx, = fl.gradients(log1pexp(x), [x])
    >>> with np.errstate(over="ignore"):
    ...     float(fl.Session(g).run(dx, {x: 100.0}))
    1.0
    """
    if not callable(function):
        raise GradientError(f"{function!r} is no function.", hint="Write @fl.custom_gradient above a function that returns (y, grad).")

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        places = [k for k, a in enumerate(args) if isinstance(a, (Tensor, np.ndarray))]
        graph = home_of(next((args[k] for k in places if isinstance(args[k], Tensor)), None))
        name = getattr(function, "__name__", "function")
        scope = graph.unique(name if name.isidentifier() else "function")
        with graph, graph.state(scope=scope):
            xs = [a if a.graph is graph else graph.adopt(a) for a in (args[k] if isinstance(args[k], Tensor) else literal(graph, args[k], None) for k in places)]

            def again(tensors: Sequence[Tensor]) -> Any:
                full = list(args)
                for k, t in zip(places, tensors):
                    full[k] = t
                return function(*full, **options)

            return with_rule(graph, function, name, xs, again)

    return call


def with_rule(graph: Graph, function: Callable, name: str, xs: Sequence[Tensor], again: Callable) -> Any:
    """Call the function on tensors of the graph, and put the node behind its results that carries its gradient."""
    before, first_new = len(graph.nodes), graph._next_id
    y, ys, back = _called(name, again(xs))
    ys = [t if t.graph is graph else graph.adopt(t) for t in ys]
    known = {(t.node.id, t.index) for t in xs}
    used: dict[tuple[int, int], Tensor] = {}
    for t in (*(t for n in graph.nodes[before:] for t in n.inputs), *ys):
        # a source that came with the call is from around too: a variable, or in a loop what stands there for a tensor outside
        new = t.node.id >= first_new and not t.node.op.source
        if not new and (t.node.id, t.index) not in known and t.dtype.kind == "f" and t.node.op.source != "constant":
            used.setdefault((t.node.id, t.index), t)
    node = graph.add(custom_gradient_op, [*ys, *xs, *used.values()], custom_gradient_op.normalize({"outputs": len(ys)}))
    rules_of(graph)[node.id] = _Rule(function, back, len(xs), len(ys), again)
    return node.outputs[0] if isinstance(y, Tensor) else tuple(node.outputs)


def _called(name: str, made: Any) -> tuple[Any, list[Tensor], Callable]:
    """What the function returned: y as it stands, y as a list, and the gradient."""
    if not isinstance(made, tuple) or len(made) != 2 or not callable(made[1]) or isinstance(made[1], Tensor):
        raise GradientError(f"{name} must return (y, grad), it returned {type(made).__name__}.", hint="y is a tensor or a tuple of them, grad a function of their derivatives.")
    y, back = made
    ys = [y] if isinstance(y, Tensor) else list(y) if isinstance(y, (list, tuple)) else []
    if not ys or not all(isinstance(t, Tensor) for t in ys):
        raise GradientError(f"{name} must return a tensor, or a tuple of tensors, beside its gradient.", hint="return y, grad")
    return y, ys, back


@custom_gradient_op.gradient
def _(node: Node, gs: Sequence[Tensor | None]) -> tuple:
    rule = rules_of(node.graph).get(node.id)
    if rule is None:
        raise GradientError(f"{node.name} had a gradient written by hand, a Python function, and this copy of the graph does not hold it.", node=node.name,
                            hint="Make the graph with the code that has @fl.custom_gradient, and build its gradients before you save it.")
    ys, inputs = node.inputs[:rule.outputs], node.inputs[rule.outputs:]
    given = [g if g is not None or y.dtype.kind != "f" else zeros_like(y) for g, y in zip(gs, ys)]
    parts = rule.backward(node)(*given)
    more: Mapping[Any, Any] = {}
    if isinstance(parts, tuple) and len(parts) == 2 and isinstance(parts[1], Mapping):
        parts, more = parts
    parts = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    if len(parts) != rule.inputs:
        raise GradientError(f"the gradient of {rule.name} returns {plural(len(parts), 'derivative')} for {plural(rule.inputs, 'input')}.", node=node.name,
                            hint="It returns one an input; None stands for no derivative.")
    more = {node.graph.adopt(t) if isinstance(t, Tensor) and t.graph is not node.graph and node.graph.holds(t.graph) else t: part for t, part in more.items()}
    for t in more:
        if not any(t is x for x in inputs[rule.inputs:]):
            raise GradientError(f"the gradient of {rule.name} has a derivative by {getattr(t, 'name', t)}, which {rule.name} does not use.", node=node.name)
    out = [_fitting(node, rule, x, part) for x, part in zip(inputs, parts)]
    for x in inputs[rule.inputs:]:
        mine = next((part for t, part in more.items() if t is x), _NOT_GIVEN)
        out.append(_refusal(node, rule, x) if mine is _NOT_GIVEN else _fitting(node, rule, x, mine))
    return (*(None for _ in ys), *out)


_NOT_GIVEN = object()


def _refusal(node: Node, rule: _Rule, x: Tensor) -> Callable[[], Tensor]:
    """Raises when the derivative by x is asked for, and only then."""
    def refuse() -> Tensor:
        raise GradientError(f"{rule.name} uses {x.name}, and its gradient gives no derivative by it.", node=node.name,
                            hint=f"Make {x.node.name} an input, or return the derivatives and {{{x.node.name}: …}}, or put fl.stop_gradient before it.")
    return refuse


def _fitting(node: Node, rule: _Rule, x: Tensor, part: Any) -> Tensor | None:
    """The derivative by x as a tensor of its dtype and shape; GradientError otherwise."""
    if part is None or x.dtype.kind != "f":
        return None
    if not isinstance(part, Tensor):
        part = literal(node.graph, part, x.dtype)
    elif part.graph is not node.graph:
        part = node.graph.adopt(part)
    alike = len(part.shape) == len(x.shape) and all(a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in zip(part.shape, x.shape))
    if part.dtype != x.dtype or not alike:
        raise GradientError(f"the gradient of {rule.name} by {x.name} is {part.dtype} {shape_text(part.shape)}, {x.name} is {x.dtype} {shape_text(x.shape)}.", node=node.name,
                            hint="It must have the input's dtype and shape.")
    return part
