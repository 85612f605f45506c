"""Plan: what a run has to fire, in which order, and the same steps as straight-line code."""
from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..core.errors import FeedError, FetchError
from ..core.graph import Graph, Node, Tensor
from ..core.types import shape_text
from .backend import NUMPY, Backend

Rng = Callable[[int], np.random.Generator]  # node id → the generator for this run


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node of a plan. `args` and `outs` are slots; a keyword stands for an optional input."""

    index: int
    node: Node
    kernel: Callable
    args: tuple[tuple[str | None, int], ...]
    outs: tuple[int, ...]
    waits: tuple[int, ...]      # indices of the steps that fire before it

    def fire(self, values: Mapping[int, Any] | list[Any], rng: Rng) -> tuple[Any, ...]:
        """Compute the outputs from the values of the slots. Changes nothing."""
        plain = [values[s] for k, s in self.args if k is None]
        named = {k: values[s] for k, s in self.args if k is not None}
        if self.node.op.random:
            named["key"] = rng(self.node.id)
        out = self.kernel(*plain, **named)
        return out if len(self.outs) != 1 or type(out) is tuple else (out,)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A compiled run of the part of a graph that the fetches need."""

    graph: Graph
    fetches: tuple[Tensor | Node, ...]
    feeds: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    slots: Mapping[tuple[int, int], int]    # (node id, output) → slot
    constants: tuple[tuple[int, np.ndarray], ...]
    variables: tuple[tuple[int, int], ...]  # (slot, node id) of the variables that are read
    assigns: tuple[tuple[int, int], ...]    # (slot of the new value, node id of the variable)
    results: tuple[int | None, ...]         # slot of each fetch, None for a node without outputs
    function: Callable                      # (feeds, snapshot, rng) → (results, assigned values)
    lines: Mapping[int, int]                # line of the generated code → step index

    @property
    def sources(self) -> tuple[int, ...]:
        return tuple(s for s, _ in (*self.constants, *self.variables)) + tuple(range(len(self.feeds)))


def kernel_of(node: Node, backend: Backend = NUMPY) -> Callable:
    """The function that computes the node from its inputs alone."""
    op = node.op
    own = op.kernels.get(backend.name)
    if own is None and op.ufunc is not None:
        return getattr(backend, op.ufunc)
    return partial(own or op.kernel_function, backend, **node.attrs)


def make_plan(graph: Graph, fetches: Sequence[Tensor | Node], feeds: Sequence[Tensor], backend: Backend = NUMPY) -> Plan:
    """Find what the fetches need, bind kernels, and generate the code. FeedError names an unfed placeholder."""
    fed = {(t.node.id, t.index) for t in feeds}
    needed: dict[int, Node] = {}
    stack: list[Node] = []

    def want(t: Tensor) -> None:
        if (t.node.id, t.index) not in fed and t.node.id not in needed:
            needed[t.node.id] = t.node
            stack.append(t.node)

    for f in fetches:
        if isinstance(f, Tensor):
            want(f)
        elif f.id not in needed:
            needed[f.id] = f
            stack.append(f)
    while stack:
        node = stack.pop()
        for t in node.inputs:
            want(t)
        for c in node.control_inputs:
            if c.id not in needed:
                needed[c.id] = c
                stack.append(c)

    slots: dict[tuple[int, int], int] = {(t.node.id, t.index): k for k, t in enumerate(feeds)}
    count = len(feeds)
    constants, variables, assigns, steps = [], [], [], []
    step_of: dict[int, int] = {}
    assigned: dict[int, Node] = {}
    ordered = [needed[k] for k in needed]
    if len(ordered) > 1:
        place = {n.id: k for k, n in enumerate(graph.nodes)}
        ordered.sort(key=lambda n: place[n.id])
    for node in ordered:
        if node.op.source == "placeholder":
            raise FeedError(f"{node.name} {shape_text(node.outputs[0].shape)} is not fed.", node=node.name,
                            hint=f"Add {{{node.name!r}: …}} to the feeds: {node.outputs[0].dtype} of shape {shape_text(node.outputs[0].shape)}.")
        outs = []
        for t in node.outputs:
            key = (node.id, t.index)
            if key in fed:  # an output that is fed keeps the fed value; the computed one goes nowhere
                outs.append(count)
            else:
                slots[key] = count
                outs.append(count)
            count += 1
        if node.op.source == "constant":
            constants.append((outs[0], node.attrs["value"]))
            continue
        if node.op.source == "variable":
            variables.append((outs[0], node.id))
            continue
        if node.op.name == "Assign":
            variable = node.inputs[0].node
            if variable.op.source != "variable":
                raise FetchError(f"{node.name} writes to {variable.name}, which is no variable.", node=node.name, port="ref", hint="Wire a variable to ref.")
            if variable.id in assigned:
                raise FetchError(f"{assigned[variable.id].name} and {node.name} both assign {variable.name} in one run.", node=node.name, port="ref",
                                 hint="All assigns of a run commit together: keep one, or fetch them in two runs. See fl.variable and state.")
            assigned[variable.id] = node
            assigns.append((outs[0], variable.id))
        required = {i.name for i in node.op.inputs if not i.optional or i.variadic}
        args = tuple((None if p in required or node.op.variadic else p, slots[t.node.id, t.index]) for t, p in zip(node.inputs, node.ports))
        waits = tuple(sorted({step_of[n.id] for n in (*(t.node for t in node.inputs if (t.node.id, t.index) not in fed), *node.control_inputs) if n.id in step_of}))
        step_of[node.id] = len(steps)
        steps.append(Step(len(steps), node, kernel_of(node, backend), args, tuple(outs), waits))

    results = tuple(slots[f.node.id, f.index] if isinstance(f, Tensor) else None for f in fetches)
    function, lines = _compile(steps, len(feeds), constants, variables, assigns, results)
    return Plan(graph, tuple(fetches), tuple(feeds), tuple(steps), slots, tuple(constants), tuple(variables), tuple(assigns), results, function, lines)


def _compile(steps: Sequence[Step], n_feeds: int, constants: Sequence, variables: Sequence, assigns: Sequence, results: Sequence) -> tuple[Callable, dict[int, int]]:
    """The steps as one function of straight-line code. No name of the graph enters it: slots, kernels and attributes go by number."""
    last: dict[int, int] = {}
    for step in steps:
        for _, s in step.args:
            last[s] = step.index
        for s in step.outs:
            last.setdefault(s, step.index)
    keep = {s for s in results if s is not None} | {s for s, _ in assigns} | {s for s, _ in constants}
    scope: dict[str, Any] = {}
    params = ["feeds", "values", "rng"]
    body: list[str] = []
    lines: dict[int, int] = {}
    if n_feeds:
        body.append(f"{', '.join(f't{k}' for k in range(n_feeds))}, = feeds")
    for slot, array in constants:
        scope[f"c{slot}"] = array
        params.append(f"t{slot}=c{slot}")
    for slot, node_id in variables:
        body.append(f"t{slot} = values[{node_id}]")
    for step in steps:
        kernel, extra = step.kernel, []
        if isinstance(kernel, partial):  # attributes are spelled out: a call through partial costs more
            function = kernel.func
            scope[f"k{step.index}"] = function
            scope["xp"] = kernel.args[0]
            if "xp=xp" not in params:
                params.append("xp=xp")
            first = ["xp"]
            for j, (name, value) in enumerate(kernel.keywords.items()):
                scope[f"a{step.index}_{j}"] = value
                params.append(f"a{step.index}_{j}=a{step.index}_{j}")
                extra.append(f"{name}=a{step.index}_{j}")
        else:
            scope[f"k{step.index}"] = kernel
            first = []
        params.append(f"k{step.index}=k{step.index}")
        args = first + [f"t{s}" for k, s in step.args if k is None] + [f"{k}=t{s}" for k, s in step.args if k is not None] + extra
        if step.node.op.random:
            args.append(f"key=rng({step.node.id})")
        target = ", ".join(f"t{s}" for s in step.outs)
        if len(step.outs) == 1 and step.node.op.many:
            target += ","
        lines[len(body) + 2] = step.index
        body.append(f"{target} = k{step.index}({', '.join(args)})" if step.outs else "pass")
        dead = [f"t{s}" for s in {s for _, s in step.args} | set(step.outs) if last[s] == step.index and s not in keep and not (s < n_feeds)]
        if dead:
            body[-1] += f"; {' = '.join(sorted(dead))} = None"
    body.append(f"return ({''.join(f't{s}, ' if s is not None else 'None, ' for s in results)}), ({''.join(f't{s}, ' for s, _ in assigns)})")
    source = f"def plan({', '.join(params)}):\n" + "\n".join(f"    {line}" for line in body) + "\n"
    filename = f"<flowlab plan of {len(steps)} steps>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec"), scope)  # only numbers of our own making are in the source
    return scope["plan"], lines
