"""Place: which device each node runs on, why, and the copies where a tensor crosses from one to another."""
from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.graph import Graph, Node, Tensor
from ..core.op import Input, Op
from ..core.shape import elementwise
from .backend import NUMPY, Backend, on_host
from .device import HOST, Devices
from .plan import Plan, Step, body_plans, kernel_of, loop_kernel

_NUMBER = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a node runs: what was asked for, what it got, and why."""

    node: str
    requested: str | None
    device: str
    reason: str

    @property
    def granted(self) -> bool:
        """Is it where it was asked for? True if nothing was."""
        return self.requested is None or self.requested == self.device


def _copied(xp: Any, x: Any) -> Any:
    """Hand a tensor on to another device."""
    return x


COPY = Op("Copy", "copy", (Input("x", "Any"),), {}, ("out",), _copied, elementwise, doc=_copied.__doc__ or "", category="array", latex="x", word="copy", listed=False)


class Placement(Mapping):
    """Node name → Placed, for every node of the graph: `print(session.placement)` is the log."""

    def __init__(self, graph: Graph, devices: Devices, default: str = HOST):
        self.graph, self.devices, self.default = graph, devices, default
        self._found: dict[int, Placed] = {}

    @property
    def scattered(self) -> bool:
        """May a variable live elsewhere than on the host's own device?"""
        return self.devices.cpus > 1

    def of(self, node: Node) -> Placed:
        """Where a node of the graph runs."""
        found = self._found.get(node.id)
        if found is None:
            way = [node]        # a gradient's gradient's gradient: no recursion
            while (leader := self._leader(way[-1])) is not None and leader.id not in self._found and leader not in way:
                way.append(leader)
            for n in reversed(way):
                self._found[n.id] = self._decide(n)
            found = self._found[node.id]
        return found

    def _leader(self, node: Node) -> Node | None:
        """The node that this one goes with, if it goes with one."""
        if node.op.name == "Assign" and node.inputs and node.inputs[0].node.op.source == "variable":
            return node.inputs[0].node
        if node.device is None and node.gradient_of is not None and not node.op.source:
            return self.graph._by_name.get(node.gradient_of)
        return None

    def _decide(self, node: Node) -> Placed:
        asked, source = node.device, node.op.source
        if source == "placeholder":
            return Placed(node.name, asked, HOST, "fed from the host")
        leader = self._leader(node)
        if leader is not None and leader.id in self._found:
            other = self._found[leader.id].device
            return Placed(node.name, asked, other, f"with the variable {leader.name}" if node.op.name == "Assign" else f"with {leader.name}, whose gradient it is part of")
        if asked is None:
            where, reason = self.default, "the session's device" if self.default != HOST else "nothing was asked for"
        else:
            found = self.devices.find(asked)
            if isinstance(found, str):
                where, reason = self.default, f"there is no {asked} here: {found}"
            else:
                where, reason = asked, "as asked for"
        if source == "constant":
            return Placed(node.name, asked, where, "a constant: every device that reads it has its own")
        return Placed(node.name, asked, where, reason)

    def __getitem__(self, name: Any) -> Placed:
        return self.of(self.graph.nodes[getattr(name, "name", name)])

    def __iter__(self) -> Iterator[str]:
        return (n.name for n in self.graph.nodes)

    def __len__(self) -> int:
        return len(self.graph.nodes)

    def __contains__(self, name: object) -> bool:
        return name in self.graph.nodes

    def __repr__(self) -> str:
        rows = [(p.node, p.requested or "–", p.device, p.reason) for p in self.values()]
        widths = [max((len(r[k]) for r in rows), default=0) for k in range(3)]
        return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(r, widths)), r[3]]) for r in rows)


# ---------------------------------------------------------------- plans over several devices


def placed(plan: Plan, placement: Placement) -> Plan:
    """The plan with every step on its device, and a copy wherever a tensor goes to another: one for each tensor and destination."""
    where = [placement.of(s.node).device for s in plan.steps]
    if all(d == HOST for d in where) and (not placement.scattered or not plan.variables):
        return plan
    placing = _Placing(plan, placement, where)
    return plan if {*where, *placing.home.values()} <= {HOST} else placing.plan()


class _Placing:
    def __init__(self, plan: Plan, placement: Placement, where: list[str]):
        self.old, self.placement, self.where = plan, placement, where
        self.steps: list[Step] = []
        self.constants = list(plan.constants)
        self.slots = dict(plan.slots)
        self.count = 1 + max((*plan.slots.values(), *(s for step in plan.steps for s in step.outs)), default=-1)
        self.fixed = dict(plan.constants)
        self.tensor_of = {slot: key for key, slot in plan.slots.items()}
        self.home: dict[int, str] = dict.fromkeys(range(len(plan.feeds)), HOST)
        self.made_by: dict[int, int] = {}               # slot → index of the step that gives it
        self.local: dict[tuple[int, str], int] = {}     # (slot, device) → the slot of its copy there
        nodes = {n.id: n for n in plan.graph.nodes}
        self.nodes = nodes
        self.variables = {slot for slot, _ in plan.variables}
        for slot, node_id in plan.variables:
            device = placement.of(nodes[node_id]).device
            self.home[slot] = device if self.backend(device) is NUMPY else HOST     # values of variables stay with the host

    def backend(self, device: str) -> Backend:
        found = self.placement.devices.find(device)
        assert isinstance(found, Backend)
        return found

    def plan(self) -> Plan:
        old = self.old
        index: dict[int, int] = {}
        for step, device in zip(old.steps, self.where):
            args = tuple((k, self.at(slot, device, step)) for k, slot in step.args)
            waits = {index[w] for w in step.waits} | {self.made_by[s] for _, s in args if s in self.made_by}
            index[step.index] = len(self.steps)
            plain = None if step.plain is None else tuple(s for _, s in args)
            self.put(self.rebound(replace(step, index=len(self.steps), args=args, waits=tuple(sorted(waits)), plain=plain, frees=(), device=device)))
        self.free()
        return replace(old, steps=tuple(self.steps), slots=self.slots, constants=tuple(self.constants), _topology=[], _code=[])

    def put(self, step: Step) -> None:
        for slot in step.outs:
            self.home[slot] = step.device
            self.made_by[slot] = step.index
        self.steps.append(step)

    def rebound(self, step: Step) -> Step:
        """The step with a kernel of its device's."""
        backend = self.backend(step.device)
        if backend is NUMPY:
            return replace(step, bodies=tuple(_inside(b, step.device) for b in step.bodies)) if step.bodies else step
        if step.node.op.routine is None:
            return replace(step, kernel=backend.bind(kernel_of(step.node, backend)), backend=backend)
        bodies = body_plans(step.node, step.wanted, backend)
        return replace(step, bodies=tuple(_inside(b, step.device) for b in bodies), kernel=backend.bind(loop_kernel(step.node, bodies, step.wanted, backend)),
                       backend=backend)

    def at(self, slot: int, device: str, reader: Step) -> int:
        """The slot that holds the value on a device; a copy is made where there is none yet."""
        backend = self.backend(device)
        home = self.home.get(slot)
        if slot in self.fixed:
            if backend is NUMPY:
                return slot
        elif home == device:
            return slot
        known = self.local.get((slot, device))
        if known is not None:
            return known
        new = self.local[slot, device] = self.count
        self.count += 1
        if slot in self.fixed:
            self.constants.append((new, backend.from_host(self.fixed[slot])))
            return new
        node_id, output = self.tensor_of[slot]
        tensor = self.nodes[node_id].outputs[output]
        node = copy_node(self.placement.graph, tensor, device, reader.node.phase)
        self.slots[node.id, 0] = new
        waits = (self.made_by[slot],) if slot in self.made_by else ()
        kernel = _crossing(self.backend(home or HOST), backend, slot in self.variables)
        self.put(Step(len(self.steps), node, kernel, ((None, slot),), (new,), waits, (slot,), device=device))
        return new

    def free(self) -> None:
        """Which slots nobody reads after each step."""
        old = self.old
        keep = {s for s in old.results if s is not None} | {s for s, _ in old.assigns} | {s for s, _ in self.constants} | set(range(len(old.feeds)))
        last: dict[int, int] = {}
        for step in self.steps:
            last.update((s, step.index) for _, s in step.args)
        for k, step in enumerate(self.steps):
            dead = {s for _, s in step.args if last[s] == k} | {s for s in step.outs if s not in last}
            self.steps[k] = replace(step, frees=tuple(sorted(dead - keep)))


def _inside(body: Plan, device: str) -> Plan:
    """The body of a loop or branch, which runs where the loop does."""
    return replace(body, steps=tuple(replace(s, device=device, bodies=tuple(_inside(b, device) for b in s.bodies)) for s in body.steps), _topology=[])


def copy_node(graph: Graph, tensor: Tensor, device: str, phase: Any) -> Node:
    """The node that stands for a tensor's way to a device: `W/copy/cpu:1`. It is found by its name, and is none of the graph's own nodes."""
    which = "copy" if not tensor.index else f"copy_{tensor.index}"
    name = f"{tensor.node.name}/{which}/{device}"
    found = graph._apart.get(name)
    if found is None:
        found = Node()
        found.graph, found.name, found.op, found.id = graph, name, COPY, -next(_NUMBER)
        found.inputs, found.ports, found.attrs, found.control_inputs = (tensor,), ("x",), {}, ()
        found.device, found.phase, found.gradient_of, found.location = device, phase, None, tensor.node.location
        found.outputs = (Tensor(found, 0, tensor.type),)
        found = graph._apart.setdefault(name, found)    # another thread may have come first
    return found


def _crossing(source: Backend, target: Backend, variable: bool) -> Callable:
    """The function that hands an array on. Logical processors share their memory, so between them nothing is moved."""
    if source is target is NUMPY:
        return _same
    if target is NUMPY:
        return source.to_host
    if source is NUMPY:
        return Arrivals(target) if variable else lambda x: target.from_host(on_host(x))
    return lambda x: target.from_host(source.to_host(x))


def _same(x: Any) -> Any:
    return x


_TWINS: dict[tuple[int, int], tuple[weakref.ref, Any]] = {}     # (host array, backend) → the array, and the same values on the card


def remember(host: np.ndarray, backend: Backend, there: Any) -> None:
    """The value of a variable is on a card, too. That is forgotten when the host's array goes."""
    key = (id(host), id(backend))
    _TWINS[key] = (weakref.ref(host, lambda _, twins=_TWINS: twins.pop(key, None)), there)     # bound: when Python ends, names go first


class Arrivals:
    """Brings a variable to a card, if it is not there already: it is after it was read there, and after it was computed there."""

    def __init__(self, backend: Backend):
        self.backend = backend

    def __call__(self, x: np.ndarray) -> Any:
        found = _TWINS.get((id(x), id(self.backend)))
        if found is not None and found[0]() is x:
            return found[1]
        there = self.backend.from_host(x)
        remember(x, self.backend, there)    # the store never writes to an array
        return there
