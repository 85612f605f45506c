"""Plan: what a run has to fire, in which order, and the same steps as straight-line code."""
from __future__ import annotations

import itertools
import linecache
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..core.errors import FeedError, FetchError
from ..core.graph import Graph, Node, Tensor
from ..core.types import shape_text
from .backend import NUMPY, Backend
from .store import Draws

_NUMBER = itertools.count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node of a plan. `args` and `outs` are slots; a keyword stands for an optional input."""

    index: int
    node: Node
    kernel: Callable
    args: tuple[tuple[str | None, int], ...]
    outs: tuple[int, ...]
    waits: tuple[int, ...]      # indices of the steps that fire before it
    plain: tuple[int, ...] | None  # the slots, if the kernel takes them in order and nothing else
    frees: tuple[int, ...] = ()    # slots that no later step reads and nobody asked for
    bodies: tuple[Plan, ...] = ()  # of a loop or branch: what it runs inside
    wanted: tuple[bool, ...] = ()  # of a loop or branch: which outputs anybody reads
    device: str = "cpu:0"
    backend: Backend = NUMPY       # its device's array functions

    def enter(self, values: Mapping[int, Any] | list[Any]) -> Generator[tuple[int, Any, tuple[Any, ...]], tuple[Any, ...], tuple[Any, ...]]:
        """Begin a loop or branch: yields (body, timestep, the body's inputs), is sent what the body computed, returns the outputs."""
        return self.node.op.routine(self.backend, tuple(values[s] for _, s in self.args), self.wanted, **self.node.attrs)

    def fire(self, values: Mapping[int, Any] | list[Any], rng: Draws) -> tuple[Any, ...]:
        """Compute the outputs from the values of the slots. Changes nothing."""
        if self.bodies:
            return self.kernel(rng, *[values[s] for _, s in self.args])
        plain = self.plain
        if plain is not None:
            if len(plain) == 2:     # the usual numbers, without a list
                a, b = plain
                out = self.kernel(values[a], values[b])
            elif len(plain) == 1:
                out = self.kernel(values[plain[0]])
            else:
                out = self.kernel(*[values[s] for s in plain])
            return out if type(out) is tuple else (out,)
        in_order = [values[s] for k, s in self.args if k is None]
        named = {k: values[s] for k, s in self.args if k is not None}
        if self.node.op.random:
            named["key"] = rng(self.node.id)
        out = self.kernel(*in_order, **named)
        return out if len(self.outs) != 1 or type(out) is tuple else (out,)


class Topology:
    """Who waits for whom in a plan: what a Debugger counts down."""

    def __init__(self, steps: Sequence[Step], results: Sequence[int | None], assigns: Sequence[tuple[int, int]]):
        self.by_name = {s.node.name: s for s in steps}
        self.origin = {slot: (s, k) for s in steps for k, slot in enumerate(s.outs)}
        self.waiting = [len(s.waits) for s in steps]
        self.first = frozenset(s.index for s in steps if not s.waits)
        users: list[list[int]] = [[] for _ in steps]
        for s in steps:
            for w in s.waits:
                users[w].append(s.index)
        self.users = tuple(map(tuple, users))
        self.asked = frozenset(self.origin[s][0].index for s in (*results, *(s for s, _ in assigns)) if s in self.origin)   # whose outputs the run is for


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
    _topology: list[Topology] = field(default_factory=list)
    _code: list[tuple[Callable, Mapping[int, int]]] = field(default_factory=list)

    @property
    def function(self) -> Callable:
        """(feeds, snapshot, rng) → (results, assigned values)"""
        return self._generated()[0]

    @property
    def lines(self) -> Mapping[int, int]:
        """Line of the generated code → step index."""
        return self._generated()[1]

    def _generated(self) -> tuple[Callable, Mapping[int, int]]:
        """Written when it is first asked for: who fires step by step needs none."""
        if not self._code:
            self._code.append(_compile(self.steps, len(self.feeds), self.constants, self.variables, self.assigns, self.results))
        return self._code[0]

    def code(self, function: Callable | None = None, lines: Mapping[int, int] | None = None) -> str:
        """The generated function as a text, each step's line with its node's name behind it, and the insides of loops and branches below. Another function of this plan's steps comes with its lines."""
        function, lines = function or self.function, self.lines if lines is None else lines
        first, *rest = "".join(linecache.getlines(function.__code__.co_filename)).splitlines()
        shown = [f"{first.partition('(')[0]}(feeds, values, rng):", *rest]      # what is handed to it as defaults is left out
        width = min(max((len(shown[k - 1]) for k in lines), default=0), 60)
        for k, step in lines.items():
            shown[k - 1] = f"{shown[k - 1]:{width}}  # {self.steps[step].node.name}"
        inside = [f"\n# inside {s.node.name}\n{b.code()}" for s in self.steps for b in s.bodies]
        return "\n".join([*shown, *inside])

    @property
    def topology(self) -> Topology:
        """Worked out when it is first asked for: a plain run needs none."""
        if not self._topology:
            self._topology.append(Topology(self.steps, self.results, self.assigns))
        return self._topology[0]

    @property
    def random(self) -> bool:
        """Does any step, or any inside a loop, draw random numbers?"""
        return any(s.node.op.random or any(b.random for b in s.bodies) for s in self.steps)

    def all_codes(self) -> dict[Any, Plan]:
        """The generated functions of this plan and of the loops in it, each with its plan."""
        found = {function.__code__: self for function, _ in self._code}
        for s in self.steps:
            for b in s.bodies:
                found |= b.all_codes()
        return found

    def values(self, arrays: Sequence[np.ndarray], snapshot: Mapping[int, Any]) -> dict[int, Any]:
        """What is there before the first firing, by slot."""
        values: dict[int, Any] = dict(enumerate(arrays))
        values.update(self.constants)
        values.update((slot, snapshot[node_id]) for slot, node_id in self.variables)
        return values

    @property
    def sources(self) -> tuple[int, ...]:
        return tuple(s for s, _ in (*self.constants, *self.variables)) + tuple(range(len(self.feeds)))


def kernel_of(node: Node, backend: Backend = NUMPY) -> Callable:
    """The function that computes the node from its inputs alone."""
    op = node.op
    own = op.kernels.get(backend.name)
    if own is None and op.ufunc is not None:
        known, dtype = node.outputs[0].shape, node.outputs[0].dtype
        small = all(isinstance(d, int) for d in known) and prod(known) * dtype.itemsize < backend.smallest
        return getattr(backend, op.ufunc) if small else backend.pooled(op.ufunc, len(node.inputs), dtype)
    return partial(own or op.kernel_function, backend, **node.attrs)


def loop_kernel(node: Node, bodies: Sequence[Plan], wanted: tuple[bool, ...], backend: Backend = NUMPY) -> Callable:
    """The function (draws, *inputs) → outputs that runs a loop or branch to its end."""
    routine = partial(node.op.routine, backend, wanted=wanted, **node.attrs)
    functions = [b.function for b in bodies]
    constant = not any(b.random for b in bodies)

    def loop(rng: Draws, *inputs: Any) -> tuple[Any, ...]:
        running = routine(inputs)
        try:
            which, timestep, feeds = next(running)
            while True:
                results, _ = functions[which](feeds, (), rng if constant else rng.at(frame_number(timestep)))
                which, timestep, feeds = running.send(results)
        except StopIteration as stop:
            return asked(stop.value, wanted)
    return loop


def asked(outputs: Sequence[Any], wanted: Sequence[bool]) -> tuple[Any, ...]:
    """What a loop or branch gives: None in place of what nobody reads."""
    return tuple(v if want else None for v, want in zip(outputs, wanted))


def frame_number(timestep: Any) -> int:
    """A timestep as a number, for the draws in it; a branch has none of its own."""
    return timestep if isinstance(timestep, int) else 0


def body_plans(node: Node, wanted: tuple[bool, ...], backend: Backend = NUMPY) -> tuple[Plan, ...]:
    """What a loop or branch runs inside, compiled for the outputs that anybody reads."""
    bodies = node.op.bodies(node.attrs)
    fetched = node.op.fetched(wanted, **node.attrs) if node.op.fetched is not None else [b.outputs for b in bodies]
    return tuple(make_plan(b, f, b.inputs, backend) for b, f in zip(bodies, fetched))


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
            constants.append((outs[0], node.attrs["value"] if backend is NUMPY else backend.from_host(node.attrs["value"])))
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
        in_order = not node.op.random and node.op.routine is None and all(k is None for k, _ in args)
        steps.append(Step(len(steps), node, None if node.op.routine else kernel_of(node, backend), args, tuple(outs), waits, tuple(s for _, s in args) if in_order else None))

    results = tuple(slots[f.node.id, f.index] if isinstance(f, Tensor) else None for f in fetches)
    keep = {s for s in results if s is not None} | {s for s, _ in assigns} | {s for s, _ in constants} | set(range(len(feeds)))
    last: dict[int, int] = {}
    for step in steps:
        last.update((s, step.index) for _, s in step.args)
    for k, step in enumerate(steps):
        dead = {s for _, s in step.args if last[s] == k} | {s for s in step.outs if s not in last}
        inside: dict[str, Any] = {}
        if step.node.op.routine is not None:
            wanted = tuple(s in last or s in keep for s in step.outs)
            bodies = body_plans(step.node, wanted, backend)
            inside = {"bodies": bodies, "wanted": wanted, "kernel": loop_kernel(step.node, bodies, wanted, backend)}
        steps[k] = replace(step, frees=tuple(sorted(dead - keep)), **inside)
    return Plan(graph, tuple(fetches), tuple(feeds), tuple(steps), slots, tuple(constants), tuple(variables), tuple(assigns), results)


def _compile(steps: Sequence[Step], n_feeds: int, constants: Sequence, variables: Sequence, assigns: Sequence, results: Sequence) -> tuple[Callable, dict[int, int]]:
    """The steps as one function of straight-line code. No name of the graph enters it: slots, kernels and attributes go by number."""
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
            first = ["rng"] if step.bodies else []
        params.append(f"k{step.index}=k{step.index}")
        args = first + [f"t{s}" for k, s in step.args if k is None] + [f"{k}=t{s}" for k, s in step.args if k is not None] + extra
        if step.node.op.random:
            args.append(f"key=rng({step.node.id})")
        target = ", ".join(f"t{s}" for s in step.outs)
        if len(step.outs) == 1 and step.node.op.many:
            target += ","
        lines[len(body) + 2] = step.index
        body.append(f"{target} = k{step.index}({', '.join(args)})" if step.outs else "pass")
        if step.frees:
            body[-1] += f"; {' = '.join(f't{s}' for s in step.frees)} = None"
    body.append(f"return ({''.join(f't{s}, ' if s is not None else 'None, ' for s in results)}), ({''.join(f't{s}, ' for s, _ in assigns)})")
    source = f"def plan({', '.join(params)}):\n" + "\n".join(f"    {line}" for line in body) + "\n"
    filename = f"<flowlab plan {next(_NUMBER)}, {len(steps)} steps>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec"), scope)  # only numbers of our own making are in the source
    return scope["plan"], lines
