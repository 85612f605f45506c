"""ONNX's If, Loop and Scan: subgraphs as the bodies of flowlab's cond, while_loop and scan."""
from __future__ import annotations

from typing import Any

import numpy as np

from ...control.branch import cond, while_loop
from ...control.scan import scan
from ...core.errors import FlowError
from ...core.graph import Tensor, current_graph
from ...core.types import TensorType
from ...ops import array as arr, layout, logic, math as m
from ...ops.state import constant
from .files import NotInFlowlab, TooMuch
from .reading import Scope, Use, _again, reads
from .values import Value


def inside(use: Use, graph: Any, inputs: list[Tensor | Value]) -> list[Value]:
    """A subgraph's outputs, its nodes added to the graph that is open."""
    scope = Scope(use.scope)
    use.reader.initializers(graph, scope)
    for info, given in zip(graph.input, inputs):
        scope.values[info.name] = given if isinstance(given, Value) else Value(info.name, tensor=given)
    opaque = len(use.reader.result.opaque)
    use.reader.walk(graph.node, scope)
    if len(use.reader.result.opaque) > opaque:
        _, operator, why = use.reader.result.opaque[opaque]
        del use.reader.result.opaque[opaque:]
        raise NotInFlowlab(f"inside, {operator}: {why.reason}", why.needs, why.sizes)
    return [scope.find(o.name) for o in graph.output]


def _given(use: Use, values: list[Value]) -> list[Tensor]:
    out = []
    for v in values:
        t = v.tensor(use.reader.names)
        if t.graph is not current_graph():
            t = current_graph().adopt(t)
        out.append(m.identity(t) if t.node.op.source else t)
    return out


@reads("If")
def _(use: Use) -> Any:
    test = use.inputs[0]
    assert test is not None
    if test.known:
        return inside(use, use.attr("then_branch" if bool(test.array.reshape(-1)[0]) else "else_branch"), [])
    predicate = use[0]
    if predicate.rank:
        predicate = arr.reshape(predicate, ())
    try:
        return list(_chosen(use, predicate))
    except TooMuch:
        raise
    except FlowError as error:      # the branches differ: if the predicate is known, one will do
        raise NotInFlowlab(str(error), test.roots) from None
    except NotInFlowlab as error:
        raise NotInFlowlab(error.reason, error.needs | test.roots, error.sizes) from None


def _chosen(use: Use, predicate: Tensor) -> Any:
    return cond(predicate, lambda: _given(use, inside(use, use.attr("then_branch"), [])), lambda: _given(use, inside(use, use.attr("else_branch"), [])), name="branch")


class _Seen(Exception):
    """The types of what a loop's body gives, once it has been described."""


def _foretold(use: Use, goes_on: Any, body: Any, begin: list[Tensor], after: int) -> list[TensorType]:
    """The types of what the body gives beside its states: it is described once on trial."""
    use.spent.again()
    def trial(*states: Tensor) -> Any:
        raise _Seen([t.type for t in body(*states)[after:]])
    try:
        while_loop(goes_on, trial, begin, name="trial")
    except _Seen as seen:
        return seen.args[0]
    return []


def _known(shape: tuple) -> tuple[int, ...]:
    if not all(isinstance(d, int) for d in shape):
        raise NotInFlowlab("the sizes of what the loop gives out each round show only in a run", (), True)
    return shape


@reads("Loop")
def _(use: Use) -> Any:
    if any(v is not None and (v.items is not None or v.empty) for v in use.inputs[2:]):
        return _written_out(use)
    try:
        return _looped(use)
    except NotInFlowlab as error:
        try:    # what must be known in each round is, if the rounds are written out
            use.spent.again()
            return _written_out(use)
        except NotInFlowlab as other:
            raise NotInFlowlab(error.reason, error.needs | other.needs, error.sizes) from None


MOST_ROUNDS = 256


def _written_out(use: Use) -> list[Any]:
    """The rounds one after another, where their number is known."""
    graph, states = use.attr("body"), [v if v is not None else Value("", empty=True, why="it is left out") for v in use.inputs[2:]]
    most, go = use.scalar(0), use.scalar(1)
    go = True if go is None else bool(go)
    outs: list[list[Value]] = [[] for _ in range(len(graph.output) - 1 - len(states))]
    k = 0
    while go and (most is None or k < most):
        if k == MOST_ROUNDS:
            raise NotInFlowlab(f"a Loop of more than {MOST_ROUNDS} rounds that cannot be a loop of flowlab's")
        test, *made = inside(use, graph, [Value("", array=np.array(k, "int64")), Value("", array=np.array(True)), *states])
        if not test.known:
            raise NotInFlowlab("whether the Loop goes on must be known, and shows only in a run", test.roots)
        go, states = bool(test.array.reshape(-1)[0]), made[:len(states)]
        for row, v in zip(outs, made[len(states):]):
            row.append(v)
        k += 1
    each = [np.stack([v.array for v in row]) if all(v.known for v in row) else arr.stack([v.tensor(use.reader.names) for v in row]) if row else _refuse_empty() for row in outs]
    return [*(_again(v) for v in states), *each]


def _refuse_empty() -> Any:
    raise NotInFlowlab("a Loop of no rounds gives out a tensor whose type nothing says")


def _looped(use: Use) -> Any:
    graph = use.attr("body")
    states = len(use.inputs) - 2
    most = use.inputs[0] if use.has(0) else None
    go = use.inputs[1] if use.has(1) else None
    firsts = [use[2 + k] for k in range(states)]
    outs = len(graph.output) - 1 - states
    count = constant(np.array(0, "int64"))
    start = constant(np.array(True)) if go is None else arr.reshape(use[1], ()) if use[1].rank else use[1]
    limit = None if most is None else use[0]
    if limit is not None and limit.rank:
        limit = arr.reshape(limit, ())

    def goes_on(k: Tensor, test: Tensor, *rest: Tensor) -> Tensor:
        return test if limit is None else logic.logical_and(m.less(k, limit), test)

    def body(k: Tensor, test: Tensor, *rest: Tensor) -> list[Tensor]:
        made = _given(use, inside(use, graph, [k, test, *rest[:states]]))
        again = arr.reshape(made[0], ()) if made[0].rank else made[0]
        return [m.add(k, np.array(1)), again, *made[1:]]
    # what a round gives out is carried as a state, and each round's is kept
    spare = [constant(np.zeros(_known(t.shape), t.dtype)) for t in _foretold(use, goes_on, body, [count, start, *firsts], 2 + states)] if outs else []
    begin = [count, start, *firsts, *spare]
    made = while_loop(goes_on, body, begin, name="loop")
    finals = list(made)[2:2 + states]
    node = finals[0].node if finals else made[0].node
    total = len(begin)
    each = []
    for j in range(outs):
        k = 2 + states + j
        before, last = node.outputs[total + k], made[k]
        each.append(arr.concat([before, arr.expand_dims(last, axis=0)], axis=0)[1:])
    return [*finals, *each]


@reads("Scan")
def _(use: Use) -> Any:
    graph, sequences = use.attr("body"), use.attr("num_scan_inputs")
    inputs = use.inputs[1:] if use.version < 9 else use.inputs
    if use.version < 9:
        if use.has(0):
            raise NotInFlowlab("Scan with sequence_lens, as version 8 had it")
        return _batched(use, graph, sequences)
    states = len(inputs) - sequences
    ins, outs = len(graph.input) - states, len(graph.output) - states
    axes = use.attr("scan_input_axes") or [0] * ins
    turned = use.attr("scan_input_directions") or [0] * ins
    out_axes, out_turned = use.attr("scan_output_axes") or [0] * outs, use.attr("scan_output_directions") or [0] * outs
    xs = [use[states + k] for k in range(ins)]
    xs = [layout.flip(x, axis=a) if t else x for x, a, t in zip(xs, axes, turned)]
    return _scanned(use, graph, [use[k] for k in range(states)], xs, [a % x.rank for a, x in zip(axes, xs)], out_axes, out_turned)


def _scanned(use: Use, graph: Any, firsts: list[Tensor], xs: list[Tensor], axes: list[int], out_axes: list[int], out_turned: list[int]) -> list[Tensor]:
    xs = [layout.moveaxis(x, a, 0) if a else x for x, a in zip(xs, axes)]
    states = len(firsts)
    with scan(xs, time_axis=0, name="scan") as step:
        before = [step.state(f"state_{k}", init=x) for k, x in enumerate(firsts)]
        made = _given(use, inside(use, graph, [*before, *step.inputs]))
        for a, b in zip(before, made):
            step.update(a, b)
        for y, axis in zip(made[states:], out_axes):
            step.output(y, axis=axis % (y.rank + 1))
    ys = [layout.flip(y, axis=a % y.rank) if t else y for y, a, t in zip(step.outputs, out_axes, out_turned)]
    return [*step.states.values(), *ys]


def _batched(use: Use, graph: Any, sequences: int) -> list[Tensor]:
    """Version 8: every example of a batch by itself."""
    states = len(use.inputs) - 1 - sequences
    batch = use.sizes(1)[0]
    turned = use.attr("directions") or [0] * sequences
    parts = []
    use.spent.room(batch * (len(use.inputs) + len(graph.node)))
    for k in range(batch):
        firsts = [use[1 + j][k] for j in range(states)]
        xs = [use[1 + states + j][k] for j in range(sequences)]
        xs = [layout.flip(x, axis=0) if t else x for x, t in zip(xs, turned)]
        outs = len(graph.output) - states
        parts.append(_scanned(use, graph, firsts, xs, [0] * sequences, [0] * outs, [0] * outs))
    return [arr.stack([p[j] for p in parts], axis=0) for j in range(len(parts[0]))]
