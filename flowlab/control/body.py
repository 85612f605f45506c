"""Body: the graph inside a loop or a branch, and what its gradient is made from."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..core.errors import FetchError, FlowError
from ..core.graph import Graph, Node, Tensor, lives_inside
from ..core.op import REGISTRY
from .custom import rules_of

Key = tuple[int, int]


class Body(Graph):
    """The inside of a loop or a branch: a graph with inputs and outputs that an op such as Scan runs, a timestep at a time.

    While it is being built it takes tensors from around it as further inputs, and hands variables and placeholders out to the graph around it.
    """

    def __init__(self, name: str, parent: Graph | None = None, inside: str = "", inputs_in: str = "", beside: Sequence[Body] = ()):
        self.parent = parent            # the graph around it, while it is being built
        self.inside = inside            # under which name its nodes are told, in the parent
        self.inputs: tuple[Tensor, ...] = ()
        self.outputs: tuple[Tensor, ...] = ()
        self.captured: dict[Key, tuple[Tensor, Tensor]] = {}     # from around it → the input that stands for it here
        self._own_id = 0
        self.closed = False
        self._inputs_in = inputs_in     # the scope that its inputs stand in
        self._beside = beside           # other bodies of the same node: no two nodes in them share a name, but for inputs
        super().__init__(name)

    # ids are given out by the outermost graph, so that no two nodes draw the same random numbers

    @property
    def _next_id(self) -> int:
        return self.parent._next_id if self.parent is not None else self._own_id

    @_next_id.setter
    def _next_id(self, value: int) -> None:
        if self.parent is not None:
            self.parent._next_id = max(value, self.parent._next_id)
        else:
            self._own_id = value

    def holds(self, graph: Graph) -> bool:
        return graph is self or self.parent is not None and self.parent.holds(graph)

    def adopt(self, tensor: Tensor) -> Tensor:
        """The tensor from around the body as one of its inputs. A constant is simply repeated inside."""
        if tensor.graph is self:
            return tensor
        if tensor.graph.closed:
            raise lives_inside(tensor)
        if self.parent is None or not self.parent.holds(tensor.graph):
            raise FetchError(f"{tensor.name} belongs to graph {tensor.graph.name!r}, which is not around this {self.inside or 'body'}.", node=tensor.node.name,
                             hint="A loop or branch can use its own tensors and those of the graph it stands in.")
        outer = self.parent.adopt(tensor) if tensor.graph is not self.parent else tensor
        key = (outer.node.id, outer.index)
        if key not in self.captured:
            with self.state(scope="", phase="forward", gradient_of=None, device=None, controls=()):
                if outer.node.op.source == "constant":
                    made = super().add(outer.node.op, (), dict(outer.node.attrs), name=self.unique(outer.node.name.rpartition("/")[2], self._inputs_in), full_name=True)
                else:
                    made = self.input_node(outer, outer.node.name.rpartition("/")[2])
            self.captured[key] = (outer, made.outputs[0])
        return self.captured[key][1]

    def input_node(self, like: Tensor, name: str, shape: Any = None) -> Node:
        """A placeholder for an input of the type of `like`."""
        attrs = {"shape": like.shape if shape is None else shape, "dtype": like.dtype.name}
        return super().add(REGISTRY["Placeholder"], (), attrs, name=self.unique(name, self._inputs_in), full_name=True)

    def unique(self, part: str, scope: str | None = None) -> str:
        while True:
            name = super().unique(part, scope)
            full = f"{self.inside}/{name}"
            taken = self.parent is not None and (full in self.parent._by_name or full in self.parent._scopes)
            if not taken and not any((n := b._by_name.get(name)) is not None and n.op.source != "placeholder" or name in b._scopes for b in self._beside):
                return name
            base = f"{(self._scope if scope is None else scope)}/{part}".lstrip("/")
            self._counts[base] = self._counts.get(base, 0) + 1

    def add(self, op, inputs=(), attrs=None, **options: Any) -> Node:
        if self.closed:
            raise FetchError(f"{self.inside or self.name} is closed: its timestep is described.", node=self.inside or None, hint="Describe it inside the `with` block or the function.")
        if self.parent is None:
            return super().add(op, inputs, attrs, **options)
        if op.source in ("variable", "placeholder"):    # they belong to the graph that runs; inside, they are inputs
            with self.parent.state(scope="/".join(p for p in (self.inside, self._scope) if p)):
                return self.parent.add(op, inputs, attrs, **options)
        if op.name == "Assign":
            raise FlowError(f"{self.inside}: a variable cannot be assigned inside a loop or branch.", node=self.inside,
                            hint="Carry the value as a state (step.state, or a loop variable of fl.while_loop), and assign its last value after the loop.")
        return super().add(op, inputs, attrs, **options)

    def close(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Tensor]:
        """Fix inputs and outputs; returns the tensors from around it that are further inputs."""
        outputs = [self.adopt(t) for t in outputs]
        outer = [(o, i) for o, i in self.captured.values() if not i.node.op.source == "constant"]
        self.inputs = (*inputs, *(i for _, i in outer))
        self.outputs = tuple(outputs)
        self._own_id, self.parent = self._next_id, None
        self.closed = True
        return [o for o, _ in outer]

    def __repr__(self) -> str:
        return f"({', '.join(map(repr, self.inputs))}) → {', '.join(map(repr, self.outputs))}"


def copied(tensors: Iterable[Tensor], into: Graph, made: dict[Key, Tensor], rename: Callable[[str], str] = str) -> list[Tensor]:
    """The tensors, with all that they are computed from, as nodes of another graph; `made` says what is there already, and is filled in.

    Copies keep their ids, so what they draw at random is the same; `rename` gives their names.
    """
    found: list[Tensor] = list(tensors)
    wanted: dict[int, Node] = {}
    stack = [t.node for t in found if _key(t) not in made]
    while stack:
        node = stack.pop()
        if node.id in wanted:
            continue
        wanted[node.id] = node
        stack.extend(t.node for t in node.inputs if _key(t) not in made and t.node.id not in wanted)
        stack.extend(c for c in node.control_inputs if c.id not in wanted)
    nodes: dict[int, Node] = {}
    if wanted:
        order = next(iter(wanted.values())).graph.nodes
        for node in order:
            if node.id not in wanted:
                continue
            if node.op.source == "placeholder":
                raise FetchError(f"{node.name} is not among the inputs.", node=node.name)
            scope, _, last = rename(node.name).rpartition("/")
            with into.state(scope=scope, phase=node.phase, gradient_of=node.gradient_of, device=node.device, controls=()):
                copy = Graph.add(into, node.op, [made[_key(t)] for t in node.inputs], node.attrs, name=into.unique(last, scope), full_name=True, ports=node.ports,
                                 control_inputs=[nodes[c.id] for c in node.control_inputs if c.id in nodes], id=node.id)
            copy.location = node.location
            nodes[node.id] = copy
            if node.id in (rules := rules_of(node.graph)):
                rules_of(into)[copy.id] = rules[node.id].copy()
            for a, b in zip(node.outputs, copy.outputs):
                made.setdefault(_key(a), b)
    return [made[_key(t)] for t in found]


def _key(t: Tensor) -> Key:
    return (t.node.id, t.index)
