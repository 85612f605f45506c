"""Layers as people write them."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..control.unroll import unrolled
from ..core.errors import AttributeValueError, DTypeError, FetchError, ShapeError
from ..core.graph import Graph, Node, Tensor, name_scope
from ..core.op import REGISTRY, get_op
from ..core.types import shape_text
from ..ops import recurrent
from ..ops.linalg import matmul
from ..ops.math import add
from ..ops.state import variable
from . import init


def _scoped(graph: Graph, name: str | None, default: str) -> Any:
    """The layer's scope: a taken name is an error when the person chose it."""
    if name is None:
        return name_scope(default, unique=True)
    graph.claim(name)
    full = f"{graph._scope}/{name}" if graph._scope else name
    if full in graph._scopes:
        graph.claim(name)  # raises NameTakenError
    return name_scope(name)


def _layer_input(x: Any, layer: str, rank: int | None = None) -> Tensor:
    if not isinstance(x, Tensor):
        raise AttributeValueError(f"{layer} takes a tensor, not {type(x).__name__}.", port="x", hint="Start from fl.placeholder or fl.constant.")
    if x.dtype.kind != "f":
        raise DTypeError(f"{layer}: {x.name} is {x.dtype}.", node=x.node.name, port="x", hint='Use fl.cast(x, "float32") before.')
    if rank is not None and x.rank != rank:
        raise ShapeError(f"{layer}: {x.name} is {shape_text(x.shape)}.", node=x.node.name, port="x", hint=f"It takes {rank} axes.")
    return x


def _known(x: Tensor, axis: int, layer: str) -> int:
    size = x.shape[axis] if x.shape else None
    if not isinstance(size, int):
        raise ShapeError(f"{layer}: the last size of {x.name} {shape_text(x.shape)} is not known, so no kernel can be made.", node=x.node.name, port="x",
                         axis=len(x.shape) - 1 if x.shape else None, hint="Give the placeholder a number there.")
    return size


def _count(units: Any, layer: str) -> int:
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise AttributeValueError(f"{layer}: units is {units!r}.", port="units", hint="Use a whole number from 1 on.")
    return units


def activation_of(activation: str | Callable | None) -> Callable:
    """The function that an activation's name stands for (`"relu"`); None stands for no change."""
    if activation is None:
        return lambda x: x
    if isinstance(activation, str):
        found = next((o for o in REGISTRY.values() if o.function == activation and o.category == "activation"), None)
        return found if found is not None else get_op(activation)
    if not callable(activation):
        raise AttributeValueError(f"{activation!r} is no activation.", port="activation", hint='Use a name such as "relu", or a function of a tensor.')
    return activation


def dense(x: Tensor, units: int, activation: str | Callable | None = None, *, use_bias: bool = True, kernel_initializer: str = "glorot_uniform",
          bias_initializer: str = "zeros", name: str | None = None) -> Tensor:
    """Connect every input to every unit: activation(x · kernel + bias).

    x (…, in) → (…, units); variables `kernel` (in, units) and `bias` (units,) under the layer's name.
    """
    x = _layer_input(x, "dense")
    units, features, activation = _count(units, "dense"), _known(x, -1, "dense"), activation_of(activation)
    with x.graph, _scoped(x.graph, name, "dense"):
        kernel = variable(init.initializer(kernel_initializer, (features, units), x.dtype), name="kernel")
        y = matmul(x, kernel)
        if use_bias:
            y = add(y, variable(init.initializer(bias_initializer, (units,), x.dtype), name="bias"))
        return activation(y)


def lstm(x: Tensor, units: int, *, initial_state: tuple[Tensor, Tensor] | None = None, name: str | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Read a sequence with a long short-term memory: returns (out, (h_n, c_n)).

    x (batch, time, features) → out (batch, time, units), h_n and c_n (batch, units). Variables `kernel` (features, 4·units), `recurrent_kernel`
    (units, 4·units), `bias` (4·units,), gates in the order i, f, g, o, forget bias 1. The node `LSTM` has the gates as outputs: f, i, g, o, c.
    """
    x = _layer_input(x, "lstm", 3)
    units, features = _count(units, "lstm"), _known(x, 2, "lstm")
    if initial_state is not None and not (isinstance(initial_state, (tuple, list)) and len(initial_state) == 2):
        raise AttributeValueError("lstm: initial_state is a pair (h0, c0) of tensors.", port="initial_state", hint="Each of them is (batch, units).")
    with x.graph, _scoped(x.graph, name, "lstm"):
        # uniform within ±1/√units, as torch.nn.LSTM starts
        bound = f"uniform({-1 / math.sqrt(units):.9g}, {1 / math.sqrt(units):.9g})"
        kernel = variable(init.initializer(bound, (features, 4 * units), x.dtype), name="kernel")
        recurrent_kernel = variable(init.initializer("orthogonal", (units, 4 * units), x.dtype), name="recurrent_kernel")
        bias = variable(init.initializer("lstm_bias", (4 * units,), x.dtype), name="bias")
        h0, c0 = initial_state if initial_state is not None else (None, None)
        outputs = recurrent.lstm(x, kernel, recurrent_kernel, bias, h0, c0, name="LSTM")
    return outputs[0], (outputs[1], outputs[2])


# ---------------------------------------------------------------- a layer written out


def expand(graph: Graph, name: str) -> Graph:
    """A new Graph in which a recurrent layer is elementary operations, one copy a timestep; all else is the same.

    Variables keep their names, and `lstm/LSTM:0`, `lstm/LSTM:out` and the layer's other outputs still resolve there.
    """
    target = graph.node(name)
    if target.op.name != "LSTM":
        layers = [n.name for n in graph.nodes if n.op.name == "LSTM"]
        raise FetchError(f"{target.name} is a {target.op.name}: there is nothing to write out.", node=target.name, hint=f"Recurrent layers: {', '.join(layers) or 'none'}.")
    new = Graph(graph.name)
    new._next_id = graph._next_id  # copied nodes keep their ids, so new ones must not take them
    made: dict[tuple[int, int], Tensor] = {}
    nodes: dict[int, Node] = {}
    # one node that hands on all eight outputs keeps the layer's name and its output names
    for node in graph.nodes:
        inputs = [made[t.node.id, t.index] for t in node.inputs]
        controls = [nodes[c.id] for c in node.control_inputs]
        if node is target:
            scope = new.unique("steps", node.scope)
            with new, new.state(scope=scope, device=node.device, controls=tuple(controls)):
                by_name = unrolled(**dict(zip(node.ports, inputs)))
            copy = new.add(get_op("LSTMOutputs"), [by_name[k] for k in node.op.outputs], {}, name=node.name, full_name=True, id=node.id, phase=node.phase)
        else:
            copy = new.add(node.op, inputs, dict(node.attrs), name=node.name, ports=node.ports, control_inputs=controls, device=node.device, phase=node.phase,
                           gradient_of=node.gradient_of, id=node.id, full_name=True)
        nodes[node.id] = copy
        for a, b in zip(node.outputs, copy.outputs):
            made[a.node.id, a.index] = b
    return new


