"""Replicas: one model on several devices, each working on its share of the batch, all with the same variables."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.errors import AttributeValueError, FlowError
from ..core.graph import Graph, Tensor, current_graph, device, name_scope
from ..core.op import Op
from ..core.types import shape_text
from ..ops.array import split, stack
from ..ops.reduce import mean
from ..ops.state import SHARED


def replicas(build: Callable[..., Any], inputs: Tensor | Sequence[Tensor], devices: int | Sequence[str] = 2, *, home: str = "cpu:0", name: str = "replica") -> Any:
    """Build one model on several devices, give each its share of the batch, and average what they compute.

    `build(*shares)` makes the model and returns a tensor, or a list, tuple or dict of tensors: a loss that is a mean over its rows, say, or its
    gradients. It is called once a device, under `fl.device` and in the scope `replica_0`, `replica_1` …; the variables that it makes are made once,
    outside of these scopes and on the device `home`, and shared. `inputs` are split into equal parts along axis 0. `devices`: names, or a count n for
    `cpu:0` to `cpu:n-1` (`fl.Session(g, cpus=n)` has these). What comes back has the structure that `build` returned.

    The average of the parts is what one device computes from the whole batch, since the parts are equal; so is its gradient.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder((4, 3), name="x")
    ...     loss = fl.replicas(lambda part: fl.mean(fl.nn.dense(part, 1, name="layer") ** 2), x, 2)
    >>> [v.name for v in g.variables]
    ['layer/kernel:0', 'layer/bias:0']
    """
    names = [f"cpu:{k}" for k in range(devices)] if isinstance(devices, int) and not isinstance(devices, bool) else list(devices) if isinstance(devices, (list, tuple)) else []
    if not names:
        raise AttributeValueError(f"devices is {devices!r}.", port="devices", hint='Use a count from 1 on, or a list such as ["gpu:0", "gpu:1"].')
    graph = current_graph()
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for t in tensors:
        if not isinstance(t, Tensor) or not t.rank:
            raise AttributeValueError(f"{t!r} cannot be split into shares.", port="inputs", hint="Give tensors whose axis 0 is the batch.")
    with device(home), name_scope(f"{name}_shares", unique=True):
        shares = [split(t, n=len(names), axis=0) for t in tensors]
    variables: list[Tensor] = []
    built = []
    for k, place in enumerate(names):
        with name_scope(f"{name}_{k}", unique=True) as scope, device(place):
            shared = _Shared(graph, scope, home, variables, made=k > 0)
            token = SHARED.set(shared)
            try:
                built.append(build(*(parts[k] for parts in shares)))
            finally:
                SHARED.reset(token)
            shared.finish()
    with device(home), name_scope(f"{name}_average", unique=True):
        return _average(built)


class _Shared:
    """Gives out the variables of a model that is built several times: the first time they are made, then they are there."""

    def __init__(self, graph: Graph, scope: str, home: str, variables: list[Tensor], made: bool):
        self.graph, self.scope, self.home, self.variables, self.made = graph, scope, home, variables, made
        self.given = 0

    def __call__(self, op: Op, attrs: dict[str, Any], name: str | None) -> Tensor:
        own = self.graph._scope.removeprefix(self.scope).strip("/")
        around = self.scope.rpartition("/")[0]
        scope = "/".join(p for p in (around, own) if p)
        if not self.made:
            with self.graph, self.graph.state(scope=scope, device=self.home, controls=()):
                self.variables.append(op.node(name=name, **attrs).outputs[0])
        elif self.given >= len(self.variables):
            raise FlowError(f"{self.scope} makes a variable {name or 'without a name'} that the first replica has not.", node=self.scope,
                            hint="The function must make the same variables every time.")
        found = self.variables[self.given]
        self.given += 1
        if (found.shape, found.dtype.name) != (attrs["shape"], attrs["dtype"]):
            raise FlowError(f"{self.scope} makes a variable {shape_text(attrs['shape'])} {attrs['dtype']} where the first replica has {found.name}, {found.type}.",
                            node=found.node.name, hint="The function must make the same variables every time.")
        return found

    def finish(self) -> None:
        if self.given != len(self.variables):
            raise FlowError(f"{self.scope} makes {self.given} variables, the first replica {len(self.variables)}.", node=self.scope,
                            hint="The function must make the same variables every time.")


def _average(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Tensor):
        for t in parts:
            if not isinstance(t, Tensor) or t.dtype.kind != "f":
                raise FlowError(f"a replica returned {t!r}: only floats can be averaged.", hint="Return losses, gradients, or other means over the share.")
        return mean(stack(parts, axis=0), axis=0) if len(parts) > 1 else first
    if isinstance(first, Mapping):
        _alike(parts, [p.keys() if isinstance(p, Mapping) else None for p in parts])
        return {k: _average([p[k] for p in parts]) for k in first}
    if isinstance(first, (list, tuple)):
        _alike(parts, [len(p) if isinstance(p, (list, tuple)) else None for p in parts])
        made = [_average(list(row)) for row in zip(*parts)]
        return made if isinstance(first, list) else tuple(made)
    raise FlowError(f"a replica returned {first!r}, which is no tensor.", hint="Return a tensor, or a list, tuple or dict of tensors.")


def _alike(parts: list[Any], forms: list[Any]) -> None:
    for part, form in zip(parts, forms):
        if form != forms[0]:
            raise FlowError(f"one replica returned {parts[0]!r}, another {part!r}.", hint="The function must return the same structure every time.")
