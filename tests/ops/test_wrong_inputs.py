"""Every op refuses what cannot be, when it is built, in flowlab's own words: an error that names the op or the port, and no node is left behind."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY, Op
from tests.ops.cases import CASES, Case
from tests.ops.test_every_op import BUILT_IN

LEAST = 4
# what no attribute of that kind can be
NEVER = {"int": "many", "float": "high", "bool": 2, "str": 3, "choice": "neither", "dtype": "float99", "ints": "wide", "axis": "rows", "shape": 1.5, "new_shape": 1.5, "index": 1.5, "pairs": 7,
         "padding": "around", "value": [[1], [1, 2]], "initializer": 3, "body": 3}
OTHER = {"Float": "bool", "Number": "bool", "Int": "float32", "Bool": "float32"}
FIRST = {c.type: c for c in reversed(CASES)}
# loops and branches are made by their own functions: tests/control has what those refuse
TYPES = [t for t in BUILT_IN if REGISTRY[t].kernel_function.__module__.startswith("flowlab.ops.")]


def _assigned(value: Any) -> Any:
    return fl.assign(fl.variable(np.zeros((2, 3), "float32")), value)


BY_HAND: dict[str, list[Try]] = {
    "Assign": [("a placeholder to write to", lambda: fl.assign(fl.placeholder((2, 3)), np.zeros((2, 3), "float32"))), ("a value of another shape", lambda: _assigned(fl.placeholder((2, 4)))),
               ("a value of another dtype", lambda: _assigned(fl.placeholder((2, 3), "bool"))), ("text for the value", lambda: _assigned("words"))],
    "Group": [("a number", lambda: fl.group(3)), ("text in the list", lambda: fl.group(["words"])), ("a node for a list", lambda: fl.group(None))],
}

Try = tuple[str, Callable[[], Any]]


def tensors(case: Case) -> list[fl.Tensor | None]:
    return [None if x is None else fl.placeholder(x.shape, x.dtype) for x in case.inputs]


def built(op: Op, inputs: list, *rest: Any, **attrs: Any) -> Any:
    return op.node(inputs, *rest, **attrs) if op.variadic else op.node(*inputs, *rest, **attrs)


def never_right(op: Op, good: list, attrs: dict[str, Any]) -> Iterator[Try]:
    """What must be refused whatever the op computes."""
    yield "an attribute that it does not have", lambda: built(op, good, **attrs, not_an_attribute=1)
    for name, attr in op.attrs.items():
        yield f"{name} of another kind", lambda name=name, kind=attr.kind: built(op, good, **{**attrs, name: NEVER[kind]})
        if attr.required:
            yield f"no {name}", lambda name=name: built(op, good, **{k: v for k, v in attrs.items() if k != name})
    if op.variadic:
        yield "no inputs", lambda: op.node([], **attrs)
        if good:
            yield "a tensor where a list belongs", lambda: op.node(good[0], **attrs)
    elif op.inputs:
        full = [*good, *[None] * (len(op.inputs) - len(good))]
        yield "too many values", lambda: op.node(*full, *[1] * (len(op.attrs) + 1))
        last = max(k for k, i in enumerate(op.inputs) if not i.optional)
        yield f"no {op.inputs[last].name}", lambda: op.node(*good[:last], None, *good[last + 1:], **attrs)
    else:
        yield "too many values", lambda: op.node(*[1] * (len(op.attrs) + 1))
    for k, x in enumerate(good):
        if x is None:
            continue
        spec = op.inputs[min(k, len(op.inputs) - 1)]

        def instead(value: Any, k: int = k) -> Any:
            return built(op, [*good[:k], value, *good[k + 1:]], **attrs)
        yield f"text for {spec.name}", lambda instead=instead: instead("words")
        if spec.kind in OTHER:
            yield f"{OTHER[spec.kind]} for {spec.name}", lambda instead=instead, x=x, kind=spec.kind: instead(fl.placeholder(x.shape, OTHER[kind]))


def seldom_right(op: Op, good: list, attrs: dict[str, Any]) -> Iterator[Try]:
    """What some ops take and others refuse: other ranks, sizes that clash."""
    for k, x in enumerate(good):
        if x is None:
            continue
        spec = op.inputs[min(k, len(op.inputs) - 1)]
        shapes = {"a scalar": (), "two axes more": (2, 3, *x.shape), "an axis less": x.shape[1:], "unknown sizes": (None,) * x.rank}
        shapes |= {f"axis {axis} longer": (*x.shape[:axis], x.shape[axis] + 1, *x.shape[axis + 1:]) for axis in range(x.rank)}
        shapes |= {f"no values on axis {axis}": (*x.shape[:axis], 0, *x.shape[axis + 1:]) for axis in range(x.rank)}
        for what, shape in shapes.items():
            yield f"{spec.name} with {what}", lambda k=k, x=x, shape=shape: built(op, [*good[:k], fl.placeholder(shape, x.dtype), *good[k + 1:]], **attrs)


def refused(op: Op, tries: Callable[[Op, list, dict], Iterator[Try]], case: Case | None) -> dict[str, fl.FlowError]:
    """What of it was refused, and how. Whatever else is raised is an error here, too."""
    found = {}
    with fl.Graph() as g:
        good = tensors(case) if case else []
        for what, tried in tries(op, good, case.attrs if case else {}):
            try:
                tried()
            except fl.FlowError as error:
                assert error.message and (error.port or error.node or op.word in error.message), f"{what}: {error} names neither the op nor a port"
                assert error.message.endswith((".", "?")), f"{what}: {error}"
                found[what] = error
                continue
            except Exception as error:
                error.add_note(f"{op.name} with {what}")
                raise
            if tries is never_right:
                pytest.fail(f"{op.name} took {what}")
        if tries is never_right:
            assert all(n.op.source for n in g.nodes), "a refusal leaves no node behind"
    return found


@pytest.mark.parametrize("type", TYPES)
def test_four_wrong_inputs_of_each_op_are_refused(type):
    op, case = REGISTRY[type], FIRST.get(type)
    wrong = refused(op, never_right, case)
    if case:
        wrong |= refused(op, seldom_right, case)
    for what, tried in BY_HAND.get(type, ()):
        with fl.Graph(), pytest.raises(fl.FlowError) as caught:
            tried()
        wrong[what] = caught.value
    assert len(wrong) >= LEAST, f"{type} refuses {', '.join(wrong)} alone"


@pytest.mark.parametrize("type", [t for t in TYPES if t in FIRST and len([i for i in FIRST[t].inputs if i is not None]) > 1 and not REGISTRY[t].mixed and REGISTRY[t].listed])
def test_inputs_that_do_not_fit_each_other_are_refused(type):
    """Ops of several inputs look at them all: some size or rank of some input is wrong beside the others."""
    shapes = refused(REGISTRY[type], seldom_right, FIRST[type])
    assert any(isinstance(e, (fl.ShapeError, fl.AttributeValueError)) for e in shapes.values())


def test_a_wrong_dtype_is_named_with_the_port():
    with fl.Graph():
        for type in TYPES:
            op, case = REGISTRY[type], FIRST.get(type)
            if case is None:
                continue
            good = tensors(case)
            for k, x in enumerate(good):
                spec = op.inputs[min(k, len(op.inputs) - 1)]
                if x is None or spec.kind not in OTHER:
                    continue
                with pytest.raises(fl.DTypeError) as caught:
                    built(op, [*good[:k], fl.placeholder(x.shape, OTHER[spec.kind]), *good[k + 1:]], **case.attrs)
                assert caught.value.port is not None and np.dtype(OTHER[spec.kind]).name in caught.value.message
