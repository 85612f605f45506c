"""cond and while_loop: which nodes run, and how often, decided by values."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

from ..core.errors import AttributeValueError, DTypeError, ShapeError
from ..core.graph import Graph, Node, Tensor, current_graph
from ..core.op import op
from ..core.shape import meet
from ..core.types import TensorType, shape_text
from ..ops.array import zeros_like
from .body import Body, copied
from .scan import backward_body, fits, from_around, given_up, lifted, loop_gradient, opened_scope, renamed

# ---------------------------------------------------------------- cond


def _either(a: TensorType, b: TensorType, k: int) -> TensorType:
    """What is known of a tensor that is one of two."""
    if a.dtype != b.dtype:
        raise DTypeError(f"cond: output {k} is {a.dtype} if true and {b.dtype} if not.", hint="fl.cast one of them.")
    if a.rank != b.rank:
        raise ShapeError(f"cond: output {k} is {shape_text(a.shape)} if true and {shape_text(b.shape)} if not.", hint="Both must have as many axes.")
    return a.with_shape(tuple(x if x == y else None for x, y in zip(a.shape, b.shape)))


def _cond_type(predicate: TensorType, *types: TensorType, ports: tuple = (), word: str = "", then: Body, otherwise: Body) -> tuple[TensorType, ...]:
    if predicate.shape != () or predicate.dtype.kind != "b":
        raise ShapeError(f"cond: the predicate is {predicate.dtype} {shape_text(predicate.shape)}.", port="predicate", hint="One bool without axes: fl.all(x > 0), say.")
    for body in (then, otherwise):
        if len(body.inputs) != len(types) or len(then.outputs) != len(otherwise.outputs):
            raise ShapeError(f"cond: its branches take {len(then.inputs)} and {len(otherwise.inputs)} inputs and give {len(then.outputs)} and {len(otherwise.outputs)} outputs, "
                             f"the node has {len(types)} inputs.")
        for inner, outer, port in zip(body.inputs, types, ports[1:]):
            fits(inner.type, outer, "an input", port, "cond")
    return tuple(_either(a.type, b.type, k) for k, (a, b) in enumerate(zip(then.outputs, otherwise.outputs)))


@op(infer=_cond_type, type="Cond", function="cond_op", category="control", outputs=("out",), many=True, mixed=True, listed=False, word="cond",
    wires=lambda a: [([("around", 1 + k) for k in range(len(b.inputs))], [("output", k) for k in range(len(b.outputs))]) for b in (a["then"], a["otherwise"])],
    latex=r"p \;?\; f : g", zh="条件")
def cond_op(xp, predicate: Bool, *xs: Any, then: Body, otherwise: Body):
    """Run one of two bodies: the first if the predicate is true. Only what is chosen is computed."""
    raise LookupError("a branch is entered")


@cond_op.control
def _(xp, inputs, wanted, *, then, otherwise):
    chosen = 0 if bool(inputs[0]) else 1
    return (yield chosen, ("then", "otherwise")[chosen], tuple(inputs[1:]))


def cond(predicate: Any, then: Callable[[], Any], otherwise: Callable[[], Any], name: str | None = None) -> Any:
    """Run one of two functions' nodes, as the predicate says when the graph runs; only the chosen one's nodes fire.

    `predicate`: a bool tensor without axes. Both functions take nothing, may use any tensor from around them, and return equally many tensors
    (one, or a list, tuple or dict) of the same dtypes and ranks. Differentiable. ShapeError or DTypeError where the two do not match.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder((), name="x")
    ...     y = fl.cond(x > 0, lambda: fl.sqrt(x), lambda: -x, name="root")
    >>> with fl.Session(g) as sess:
    ...     float(sess.run(y, {x: 9.0})), float(sess.run(y, {x: -2.0}))
    (3.0, 2.0)
    """
    graph = current_graph()
    scope = opened_scope(graph, name, "Cond")
    try:
        with graph.state(scope=scope):
            predicate = lifted(predicate, graph)
        for f, which in ((then, "then"), (otherwise, "otherwise")):
            if not callable(f):
                raise AttributeValueError(f"cond: {which} is {f!r}, not a function.", port=which, hint="Write lambda: … around it, so that it runs only when it is chosen.")
        bodies, flats, rebuild, form = [], [], None, None
        for f, which in ((then, "then"), (otherwise, "otherwise")):
            body = Body(which, graph, scope, beside=bodies)
            with body:
                value = f()
                form = value if not bodies else form
                flat, build = _flat(_in_order(form, value, scope), body, f"{scope}: {which}")
            bodies.append(body)
            flats.append(flat)
            rebuild = rebuild or build
        if len(flats[0]) != len(flats[1]):
            raise ShapeError(f"{scope}: one function returns {len(flats[0])} tensors, the other {len(flats[1])}.", node=scope, hint="Both must return equally many.")
        for k, (a, b) in enumerate(zip(*flats)):
            _either(a.type, b.type, k)
        node = _cond_node(graph, scope, predicate, bodies, flats)
        return rebuild(node.outputs)
    except BaseException:
        given_up(graph, scope)
        raise


def _cond_node(graph: Graph, scope: str, predicate: Tensor, bodies: Sequence[Body], outputs: Sequence[Sequence[Tensor]]) -> Node:
    around = _closed(bodies, [()] * len(bodies), outputs)
    with graph, graph.state(scope=scope):
        return graph.add(cond_op, [predicate, *around], {"then": bodies[0], "otherwise": bodies[1]})


def _closed(bodies: Sequence[Body], inputs: Sequence[Sequence[Tensor]], outputs: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Close the bodies of one node: after inputs of its own, each takes the same from around it, in one order. Returns that."""
    around: dict[tuple[int, int], Tensor] = {}
    for body, flat in zip(bodies, outputs):
        for t in flat:
            body.adopt(t)
        around |= {key: outer for key, (outer, inner) in body.captured.items() if inner.node.op.source != "constant"}
    for body, own, flat in zip(bodies, inputs, outputs):
        taken = [body.adopt(t) for t in around.values()]
        flat = [body.adopt(t) for t in flat]
        body.captured.clear()
        body.close([*own, *taken], flat)
    return list(around.values())


def _in_order(form: Any, value: Any, scope: str) -> Any:
    """What a branch returns, in the order of what the other one returned, if they return dicts."""
    if not isinstance(form, Mapping) and not isinstance(value, Mapping):
        return value
    if not isinstance(form, Mapping) or not isinstance(value, Mapping) or set(form) != set(value):
        said = [", ".join(map(str, v)) if isinstance(v, Mapping) else "no dict" for v in (form, value)]
        raise AttributeValueError(f"{scope}: one function returns {said[0]}, the other {said[1]}.", hint="Both must return a dict with the same names.")
    return {k: value[k] for k in form}


def _flat(value: Any, body: Body, where: str) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], Any]]:
    """The tensors that a function returned, and the function that puts others in their places."""
    if isinstance(value, Mapping):
        keys, items = list(value), list(value.values())
        return [_tensor(v, body, where) for v in items], lambda ts: dict(zip(keys, ts))
    if isinstance(value, (list, tuple)):
        return [_tensor(v, body, where) for v in value], lambda ts: _like(value, ts)
    return [_tensor(value, body, where)], lambda ts: ts[0]


def _like(sequence: Any, tensors: Sequence[Tensor]) -> Any:
    """The tensors as a list, tuple or named tuple, as `sequence` is."""
    return type(sequence)(*tensors) if hasattr(sequence, "_fields") else list(tensors) if isinstance(sequence, list) else tuple(tensors)


def _tensor(value: Any, body: Body, where: str) -> Tensor:
    if value is None or isinstance(value, Node):
        raise AttributeValueError(f"{where} returns {value!r}.", hint="Return a tensor, or a list, tuple or dict of tensors.")
    return lifted(value, body)


@cond_op.gradient
def _(node: Node, upstream: tuple[Tensor | None, ...]):
    graph, inside = node.graph, node.graph._scope
    branches = [node.attrs["then"], node.attrs["otherwise"]]
    given = [k for k, d in enumerate(upstream) if d is not None]
    floats = [k for k, t in enumerate(branches[0].inputs) if t.dtype.kind == "f"]
    made = []
    for body in branches:
        made.append(backward_body(body, graph, inside, node.inputs[1:], [body.outputs[k] for k in given], [body.inputs[k] for k in floats]))
    wanted = [j for j in range(len(floats)) if any(parts[j] is not None for *_, parts in made)]
    finals, outputs = [], []
    for body, (back, _, starts, parts) in zip(branches, made):
        final = Body(f"{body.name}_gradient", graph, inside, back.unique("saved"), beside=list(finals))
        known = from_around(back, final)
        known |= {(t.node.id, 0): final.adopt(upstream[k]) for t, k in zip(starts, given)}
        with final:
            found = iter(copied([d for j in wanted if (d := parts[j]) is not None], final, known, renamed(back)))
            outputs.append([next(found) if parts[j] is not None else zeros_like(final.adopt(node.inputs[1 + floats[j]])) for j in wanted])
        finals.append(final)
    result: list[Tensor | None] = [None] * len(node.inputs)
    if wanted:
        back_node = _cond_node(graph, inside, node.inputs[0], finals, outputs)
        for j, d in zip(wanted, back_node.outputs):
            result[1 + floats[j]] = d
    return tuple(result)


# ---------------------------------------------------------------- while_loop


def _while_type(*types: TensorType, ports: tuple = (), word: str = "", condition: Body, body: Body, states: int, maximum: int | None) -> tuple[TensorType, ...]:
    if not 1 <= states <= len(types) or len(types) != len(body.inputs) or len(types) != len(condition.inputs) or len(body.outputs) != states or len(condition.outputs) != 1:
        raise ShapeError(f"while_loop: its bodies take {len(condition.inputs)} and {len(body.inputs)} inputs, the node has {len(types)}, {states} of them states.")
    test = condition.outputs[0].type
    if test.shape != () or test.dtype.kind != "b":
        raise ShapeError(f"while_loop: the condition is {test.dtype} {shape_text(test.shape)}.", hint="It returns one bool without axes: fl.norm(d) > 1e-6, say.")
    for part in (condition, body):
        for inner, outer, port in zip(part.inputs, types, ports):
            fits(inner.type, outer, "an input", port, "while_loop")
    finals = []
    for k in range(states):
        fits(body.inputs[k].type, body.outputs[k].type, f"what the state {body.inputs[k].node.name} becomes", ports[k], "while_loop")
        finals.append(TensorType(tuple(meet(a, b) for a, b in zip(types[k].shape, body.outputs[k].shape)), types[k].dtype))
    each = [t.type.with_shape((None, *t.shape)) for t in body.inputs[:states]]
    return (*finals, *each)


def _while_names(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    states = [t.node.name for t in attrs["body"].inputs[:attrs["states"]]]
    return (*(f"final.{s}" for s in states), *(f"each.{s}" for s in states))


def _while_wires(attrs: Mapping[str, Any]) -> list[tuple[list[tuple[str, int]], list[tuple[str, int]]]]:
    states = attrs["states"]
    inputs = [("state" if k < states else "around", k) for k in range(len(attrs["body"].inputs))]
    return [(inputs, [("test", 0)]), (inputs, [("next", k) for k in range(states)])]


@op(infer=_while_type, type="While", function="while_op", category="control", outputs=("out",), many=True, mixed=True, listed=False, word="while_loop",
    naming=_while_names, wires=_while_wires, shown=lambda attrs: attrs["states"],
    latex=r"s_{t+1} = f(s_t) \text{ while } p(s_t)", zh="循环直到")
def while_op(xp, *xs: Any, condition: Body, body: Body, states: int, maximum: int = None):
    """Run a body again and again while a condition holds. Outputs: the last states, and, where anybody asks, the states that each round began with."""
    raise LookupError("a loop is entered")


@while_op.control
def _(xp, inputs, wanted, *, condition, body, states, maximum):
    state, around = tuple(inputs[:states]), tuple(inputs[states:])
    asked = [k for k in range(states) if wanted[states + k]]
    rows: dict[int, list[Any]] = {k: [] for k in asked}
    t = 0
    while True:
        (goes_on,) = yield 0, t, (*state, *around)
        if not bool(goes_on):
            break
        if maximum is not None and t >= maximum:
            raise ArithmeticError(f"the condition still held after {maximum} rounds, the maximum")
        for k in asked:
            rows[k].append(state[k])
        got = yield 1, t, (*state, *around)
        for a, b in zip(state, got):
            if a.shape != b.shape:
                raise ValueError(f"a state of shape {a.shape} became one of shape {b.shape} in round {t}: its shape must not change")
        state, t = got, t + 1
    each: list[Any] = [None] * states
    for k in asked:
        each[k] = xp.stack(rows[k]) if rows[k] else xp.zeros((0, *state[k].shape), state[k].dtype)
    return (*state, *each)


def while_loop(condition: Callable[..., Any], body: Callable[..., Any], states: Any, *, maximum: int | None = None, name: str | None = None) -> Any:
    """Repeat `body(*states)`, which returns the next states, while `condition(*states)` holds; returns the last states.

    `states`: a tensor, or a list, tuple or dict of tensors, arrays or numbers; the functions take them one by one (a dict's by name) and may use any tensor
    from around them. A state keeps dtype and shape. `maximum`: more rounds are an error of the run. Differentiable: the states of every round are
    kept when a gradient asks for them.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder((), name="x")
    ...     root = fl.while_loop(lambda r: fl.abs(r * r - x) > 1e-6, lambda r: (r + x / r) / 2, x, name="heron")
    >>> with fl.Session(g) as sess:
    ...     round(float(sess.run(root, {x: 2.0})), 4)
    1.4142
    """
    graph = current_graph()
    for f, which in ((condition, "condition"), (body, "body")):
        if not callable(f):
            raise AttributeValueError(f"while_loop: {which} is {f!r}, not a function.", port=which)
    if maximum is not None and (isinstance(maximum, bool) or not isinstance(maximum, int) or maximum < 0):
        raise AttributeValueError(f"while_loop: maximum is {maximum!r}.", port="maximum", hint="A whole number from 0 on, or None.")
    scope = opened_scope(graph, name, "While")
    try:
        keys = list(states) if isinstance(states, Mapping) else None
        given = list(states.values()) if keys is not None else list(states) if isinstance(states, (list, tuple)) else [states]
        if not given:
            raise AttributeValueError("while_loop needs a state: without one its condition would never change.", port="states")
        with graph.state(scope=scope):
            firsts = [lifted(v, graph) for v in given]
        names = keys if keys is not None else _parameters(body, len(firsts))
        parts: list[Body] = []
        results: list[list[Tensor]] = []
        for f, which in ((condition, "condition"), (body, "body")):
            part = Body(which, graph, scope, beside=parts)
            inner = [part.input_node(t, str(n)).outputs[0] for t, n in zip(firsts, names)]
            by_place, by_name = ((), dict(zip(keys, inner))) if keys is not None else (inner, {})
            try:
                signature(f).bind(*by_place, **by_name)
            except TypeError as error:
                raise AttributeValueError(f"{scope}: the {which} does not take the states {', '.join(map(str, names))}: {error}.", port=which,
                                          hint="Both functions take every state, in order (a dict's by name).") from None
            except ValueError:
                pass        # a builtin that tells nobody what it takes
            with part:
                value = f(*by_place, **by_name)
                if keys is not None and which == "body":
                    if not isinstance(value, Mapping) or set(value) != set(keys):
                        raise AttributeValueError(f"{scope}: the body returns {list(value) if isinstance(value, Mapping) else value!r}, the states are {keys}.", hint="Return a dict with the same names.")
                    value = {k: value[k] for k in keys}
                flat, _ = _flat(value, part, f"{scope}: {which}")
            parts.append(part)
            results.append(flat)
            part.inputs = tuple(inner)
        if len(results[0]) != 1:
            raise AttributeValueError(f"{scope}: the condition returns {len(results[0])} tensors.", hint="It returns one bool.")
        if len(results[1]) != len(firsts):
            raise ShapeError(f"{scope}: the body returns {len(results[1])} tensors, there are {len(firsts)} states.", node=scope, hint="It returns the next value of each state, in order.")
        for first, new, n in zip(firsts, results[1], names):
            if new.dtype != first.dtype:
                raise DTypeError(f"{scope}: the state {n} is {first.dtype}, its next value {new.dtype}.", node=scope, hint=f'fl.cast(x, "{first.dtype}"), or start it from {new.dtype}.')
            if new.rank != first.rank or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(first.shape, new.shape)):
                raise ShapeError(f"{scope}: the state {n} starts as {shape_text(first.shape)} and becomes {shape_text(new.shape)}.", node=scope, hint="A state keeps its shape.")
        around = _closed(parts, [part.inputs for part in parts], results)
        with graph, graph.state(scope=scope):
            node = while_op.node([*firsts, *around], condition=parts[0], body=parts[1], states=len(firsts), maximum=maximum)
        finals = node.outputs[:len(firsts)]
        if keys is not None:
            return dict(zip(keys, finals))
        if isinstance(states, (list, tuple)):
            return _like(states, finals)
        return finals[0]
    except BaseException:
        given_up(graph, scope)
        raise


def _parameters(function: Callable, count: int) -> list[str]:
    """Names for the states: those that the function calls them by."""
    code = getattr(function, "__code__", None)
    names = list(code.co_varnames[:code.co_argcount]) if code is not None else []
    return names if len(names) == count else [f"state_{k}" for k in range(count)]


@while_op.gradient
def _(node: Node, upstream: tuple[Tensor | None, ...]):
    # a round's derivative is found by computing the round again, from the states that it began with
    body, states = node.attrs["body"], node.attrs["states"]
    return loop_gradient(node, upstream, body=body, axes=(), states=states, out_axes=(), reverse=False, each=body.inputs[:states], length=(node.outputs[states], 0), checkpoint=False)
