"""Layers as people write them."""
from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from ..control.custom import rules_of
from ..control.written_out import LAYERS, scanned, unrolled
from ..core.errors import AttributeValueError, DTypeError, FetchError, ShapeError, plural
from ..core.graph import Graph, Node, Tensor, name_scope
from ..core.op import REGISTRY, get_op, numbers
from ..core.types import TensorType, shape_text
from ..ops import recurrent
from ..ops.array import concat, reshape, stack
from ..ops.layout import flip
from ..ops.linalg import matmul
from ..ops.math import add
from ..ops.random import dropout as drop
from ..ops.state import constant, variable
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
        raise ShapeError(f"{layer}: {x.name} is {shape_text(x.shape)}.", node=x.node.name, port="x", hint=f"It takes {plural(rank, 'axis')}.")
    return x


def _known(x: Tensor, axis: int, layer: str) -> int:
    size = x.shape[axis] if x.shape else None
    if not isinstance(size, int):
        which = "the last size" if axis in (-1, x.rank - 1) else f"the size of axis {axis}"
        raise ShapeError(f"{layer}: {which} of {x.name} {shape_text(x.shape)} is not known, so no kernel can be made.", node=x.node.name, port="x",
                         axis=axis % x.rank if x.shape else None, hint="Give the placeholder a number there.")
    return size


def _count(units: Any, layer: str, what: str = "units") -> int:
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise AttributeValueError(f"{layer}: {what} is {units!r}.", port=what, hint="Use a whole number from 1 on.")
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


def _kernel_size(size: Any, layer: str, n: int) -> tuple[int, ...]:
    whole = (size,) * n if isinstance(size, int) and not isinstance(size, bool) else size
    if not isinstance(whole, (tuple, list)) or len(whole) != n or not all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in whole):
        raise AttributeValueError(f"{layer}: size is {size!r}.", port="size", hint=f"Use a whole number from 1 on, or one for each of the {plural(n, 'axis')}.")
    return tuple(whole)


def _conv(n: int, x: Tensor, filters: int, size: Any, stride: Any, padding: Any, activation: Any, dilation: Any, groups: int, use_bias: bool, kernel_initializer: str,
          bias_initializer: str, name: str | None) -> Tensor:
    layer = f"conv{n}d"
    x = _layer_input(x, layer, n + 2)
    channels, window, activation = _known(x, 1, layer), _kernel_size(size, layer, n), activation_of(activation)
    op, filters = get_op(f"Conv{n}D"), _count(filters, layer, "filters")
    attrs = op.normalize({"stride": stride, "padding": padding, "dilation": dilation, "groups": groups})
    if channels % groups or filters % groups:
        raise AttributeValueError(f"{layer}: {plural(channels, 'channel')} and {plural(filters, 'filter')} cannot be divided into {plural(groups, 'group')}.", port="groups")
    kernel_type = TensorType((filters, channels // groups, *window), x.dtype)
    try:
        op.rule(x.type, kernel_type, ports=("x", "w"), word=layer, **attrs)  # before anything is made
    except ShapeError as error:
        raise error.at(x.node.name)
    with x.graph, _scoped(x.graph, name, layer):
        y = op(x, variable(init.initializer(kernel_initializer, kernel_type.shape, x.dtype), name="kernel"), **attrs)
        if use_bias:
            bias = variable(init.initializer(bias_initializer, (filters,), x.dtype), name="bias")
            y = add(y, reshape(bias, (filters, *(1,) * n)))
        return activation(y)


def conv2d(x: Tensor, filters: int, size: int | tuple[int, int], stride: Any = 1, padding: Any = "valid", activation: str | Callable | None = None, *,
           dilation: Any = 1, groups: int = 1, use_bias: bool = True, kernel_initializer: str = "glorot_uniform", bias_initializer: str = "zeros",
           name: str | None = None) -> Tensor:
    """Look at an image through `filters` small windows: activation(conv2d(x, kernel) + bias).

    x (batch, in, height, width) → (batch, filters, …); variables `kernel` (filters, in / groups, size, size) and `bias` (filters,).
    """
    return _conv(2, x, filters, size, stride, padding, activation, dilation, groups, use_bias, kernel_initializer, bias_initializer, name)


def conv1d(x: Tensor, filters: int, size: int, stride: Any = 1, padding: Any = "valid", activation: str | Callable | None = None, *, dilation: Any = 1, groups: int = 1,
           use_bias: bool = True, kernel_initializer: str = "glorot_uniform", bias_initializer: str = "zeros", name: str | None = None) -> Tensor:
    """Look at a sequence through `filters` small windows: x (batch, in, length) → (batch, filters, …), as `conv2d`."""
    return _conv(1, x, filters, size, stride, padding, activation, dilation, groups, use_bias, kernel_initializer, bias_initializer, name)


def conv3d(x: Tensor, filters: int, size: Any, stride: Any = 1, padding: Any = "valid", activation: str | Callable | None = None, *, dilation: Any = 1, groups: int = 1,
           use_bias: bool = True, kernel_initializer: str = "glorot_uniform", bias_initializer: str = "zeros", name: str | None = None) -> Tensor:
    """Look at a volume through `filters` small windows: x (batch, in, depth, height, width) → (batch, filters, …), as `conv2d`."""
    return _conv(3, x, filters, size, stride, padding, activation, dilation, groups, use_bias, kernel_initializer, bias_initializer, name)


def conv_transpose2d(x: Tensor, filters: int, size: int | tuple[int, int], stride: Any = 1, padding: Any = 0, activation: str | Callable | None = None, *,
                     output_padding: Any = 0, use_bias: bool = True, kernel_initializer: str = "glorot_uniform", bias_initializer: str = "zeros",
                     name: str | None = None) -> Tensor:
    """Draw an image from small windows: a convolution the other way round. Variables `kernel` (in, filters, size, size) and `bias` (filters,)."""
    x = _layer_input(x, "conv_transpose2d", 4)
    channels, window, activation = _known(x, 1, "conv_transpose2d"), _kernel_size(size, "conv_transpose2d", 2), activation_of(activation)
    filters, op = _count(filters, "conv_transpose2d", "filters"), get_op("ConvTranspose2D")
    attrs = op.normalize({"stride": stride, "padding": padding, "output_padding": output_padding})
    op.rule(x.type, TensorType((channels, filters, *window), x.dtype), ports=("x", "w"), word="conv_transpose2d", **attrs)
    with x.graph, _scoped(x.graph, name, "conv_transpose2d"):
        y = op(x, variable(init.initializer(kernel_initializer, (channels, filters, *window), x.dtype), name="kernel"), **attrs)
        if use_bias:
            y = add(y, reshape(variable(init.initializer(bias_initializer, (filters,), x.dtype), name="bias"), (filters, 1, 1)))
        return activation(y)


def flatten(x: Tensor, *, name: str | None = None) -> Tensor:
    """Lay each example out in one row: (batch, …) → (batch, everything else)."""
    if x.rank < 1:
        raise ShapeError(f"flatten: {x.name} is a scalar.", node=x.node.name, port="x", hint="It takes (batch, …).")
    rest = x.shape[1:]
    if all(isinstance(d, int) for d in rest):
        return reshape(x, (-1 if not isinstance(x.shape[0], int) else x.shape[0], math.prod(rest)), name=name)
    if isinstance(x.shape[0], int):
        return reshape(x, (x.shape[0], -1), name=name)
    unknown = next(k for k, d in enumerate(rest) if not isinstance(d, int))
    raise ShapeError(f"flatten: neither the batch nor axis {unknown + 1} of {x.name} {shape_text(x.shape)} is known.", node=x.node.name, port="x", axis=unknown + 1,
                     hint="Give the placeholder a number there.")


# ---------------------------------------------------------------- recurrent layers


def _bound(units: int) -> str:
    """Uniform within ±1/√units, as torch's recurrent layers start."""
    return f"uniform({-1 / math.sqrt(units):.9g}, {1 / math.sqrt(units):.9g})"


def _lstm_cell(x: Tensor, units: int, start: tuple, lengths: Any) -> tuple[Tensor, tuple]:
    features = x.shape[-1]
    kernel = variable(init.initializer(_bound(units), (features, 4 * units), x.dtype), name="kernel")
    recurrent_kernel = variable(init.initializer("orthogonal", (units, 4 * units), x.dtype), name="recurrent_kernel")
    bias = variable(init.initializer("lstm_bias", (4 * units,), x.dtype), name="bias")
    outputs = recurrent.lstm(x, kernel, recurrent_kernel, bias, *start, lengths, name="LSTM")
    return outputs[0], outputs[1:3]


def _gru_cell(x: Tensor, units: int, start: tuple, lengths: Any) -> tuple[Tensor, tuple]:
    kernel = variable(init.initializer(_bound(units), (x.shape[-1], 3 * units), x.dtype), name="kernel")
    recurrent_kernel = variable(init.initializer("orthogonal", (units, 3 * units), x.dtype), name="recurrent_kernel")
    biases = [variable(init.zeros((3 * units,), x.dtype), name=n) for n in ("bias", "recurrent_bias")]
    outputs = recurrent.gru(x, kernel, recurrent_kernel, *biases, *start, lengths, name="GRU")
    return outputs[0], outputs[1:2]


def _rnn_cell(x: Tensor, units: int, start: tuple, lengths: Any) -> tuple[Tensor, tuple]:
    kernel = variable(init.initializer(_bound(units), (x.shape[-1], units), x.dtype), name="kernel")
    recurrent_kernel = variable(init.initializer("orthogonal", (units, units), x.dtype), name="recurrent_kernel")
    outputs = recurrent.rnn(x, kernel, recurrent_kernel, variable(init.zeros((units,), x.dtype), name="bias"), *start, lengths, name="RNN")
    return outputs[0], outputs[1:2]


_CELLS: dict[str, tuple[Callable, tuple[str, ...]]] = {"lstm": (_lstm_cell, ("h0", "c0")), "gru": (_gru_cell, ("h0",)), "rnn": (_rnn_cell, ("h0",))}


def _backwards(x: Tensor, lengths: Any) -> Tensor:
    return flip(x, axis=1) if lengths is None else recurrent.reverse_sequence(x, lengths)


def _starts(cell: str, layer: str, initial_state: Any, count: int) -> list[tuple]:
    """What each of `count` readers starts from: (h0, c0) or (h0,), None for zeros."""
    names = _CELLS[cell][1]
    if initial_state is None:
        return [(None,) * len(names)] * count
    given = initial_state if len(names) > 1 else (initial_state,)
    shape = "(batch, units)" if count == 1 else f"({count}, batch, units)"
    if not isinstance(given, (tuple, list)) or len(given) != len(names) or not all(isinstance(t, Tensor) for t in given):
        what = "a pair (h0, c0) of tensors" if len(names) > 1 else "a tensor"
        raise AttributeValueError(f"{layer}: initial_state is {what}.", port="initial_state", hint=f"Each of them is {shape}." if len(names) > 1 else f"It is {shape}.")
    if count == 1:
        return [tuple(given)]
    for t, name in zip(given, names):
        if t.rank != 3 or isinstance(t.shape[0], int) and t.shape[0] != count:
            raise ShapeError(f"{layer}: {name} is {shape_text(t.shape)}.", node=t.node.name, port="initial_state", axis=0 if t.rank == 3 else None,
                             hint=f"It takes {shape}: one state a layer and direction.")
    return [tuple(t[k] for t in given) for k in range(count)]


def _recurrent(cell: str, layer: str, x: Tensor, units: int, layers: int, both: bool, lengths: Any, initial_state: Any, dropout: float,
               name: str | None) -> tuple[Tensor, tuple[list[tuple], list[Tensor]]]:
    """(what the last layer wrote, the states at the end of each layer and direction). One reader stands in the layer's own scope."""
    x = _layer_input(x, layer, 3)
    units, layers = _count(units, layer), _count(layers, layer, "layers")
    _known(x, 2, layer)
    if not isinstance(dropout, (int, float)) or isinstance(dropout, bool) or not 0 <= dropout < 1:
        raise AttributeValueError(f"{layer}: dropout is {dropout!r}.", port="dropout", hint="Use a share from 0 to below 1.")
    if lengths is not None:
        given = lengths.type if isinstance(lengths, Tensor) else TensorType(numbers(lengths).shape, numbers(lengths).dtype)
        where = lengths.node.name if isinstance(lengths, Tensor) else None
        if given.dtype.kind not in "iu":
            raise DTypeError(f"{layer}: lengths are {given.dtype}.", node=where, port="lengths", hint='They are whole numbers: fl.cast(x, "int64").')
        recurrent.check_lengths(layer, x.type, given)
    sides = 2 if both else 1
    starts, build = _starts(cell, layer, initial_state, layers * sides), _CELLS[cell][0]
    states: list[tuple] = []
    with x.graph, _scoped(x.graph, name, layer):
        if lengths is not None and not isinstance(lengths, Tensor):
            lengths = constant(lengths, dtype="int64", name="lengths")

        def read(x: Tensor, scope: str | None, start: tuple) -> Tensor:
            with name_scope(scope) if scope else nullcontext():
                out, state = build(x, units, start, lengths)
            states.append(tuple(state))
            return out

        for k in range(layers):
            if k and dropout:
                x = drop(x, float(dropout))
            with name_scope(f"layer_{k}") if layers > 1 or layer == "stacked" else nullcontext():
                if not both:
                    x = read(x, None, starts[k])
                    continue
                ahead = read(x, "forward", starts[2 * k])
                behind = read(_backwards(x, lengths), "backward", starts[2 * k + 1])
                x = concat([ahead, _backwards(behind, lengths)], axis=-1)
        if len(states) == 1 or layer != cell:
            return x, (states, list(states[0]))
        return x, (states, [stack([s[k] for s in states], axis=0, name=f"{n[0]}_n") for k, n in enumerate(_CELLS[cell][1])])


def lstm(x: Tensor, units: int, *, layers: int = 1, bidirectional: bool = False, lengths: Any = None, initial_state: tuple[Tensor, Tensor] | None = None,
         dropout: float = 0.0, name: str | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Read a sequence with a long short-term memory: returns (out, (h_n, c_n)).

    x (batch, time, features) → out (batch, time, units), h_n and c_n (batch, units). Variables `kernel` (features, 4·units), `recurrent_kernel`
    (units, 4·units), `bias` (4·units,), gates in the order i, f, g, o, forget bias 1. The node `LSTM` has the gates as outputs: f, i, g, o, c.

    lengths (batch,), whole numbers: beyond the length of its row a sequence is not read, out is 0 there, and h_n and c_n are the states at it.
    With `layers` each reads what the one below wrote, `dropout` drops a share of it, and the scopes are `layer_0`, `layer_1`, …; with `bidirectional`
    each is read from both ends in the scopes `forward` and `backward`, out is (batch, time, 2·units). Then the states, initial_state's too, are
    (layers · directions, batch, units), as torch orders them.
    """
    out, (_, ends) = _recurrent("lstm", "lstm", x, units, layers, bidirectional, lengths, initial_state, dropout, name)
    return out, (ends[0], ends[1])


def gru(x: Tensor, units: int, *, layers: int = 1, bidirectional: bool = False, lengths: Any = None, initial_state: Tensor | None = None, dropout: float = 0.0,
        name: str | None = None) -> tuple[Tensor, Tensor]:
    """Read a sequence with a gated recurrent unit: returns (out, h_n).

    x (batch, time, features) → out (batch, time, units), h_n (batch, units). Variables `kernel` (features, 3·units), `recurrent_kernel` (units,
    3·units), `bias` and `recurrent_bias` (3·units,), gates in the order r, z, n. The node `GRU` has them as outputs: r, z, n. Layers, directions and
    lengths as in `lstm`.
    """
    out, (_, ends) = _recurrent("gru", "gru", x, units, layers, bidirectional, lengths, initial_state, dropout, name)
    return out, ends[0]


def rnn(x: Tensor, units: int, *, layers: int = 1, bidirectional: bool = False, lengths: Any = None, initial_state: Tensor | None = None, dropout: float = 0.0,
        name: str | None = None) -> tuple[Tensor, Tensor]:
    """Read a sequence with a plain recurrent network, h = tanh(x K + h R + b): returns (out, h_n).

    x (batch, time, features) → out (batch, time, units), h_n (batch, units). Variables `kernel` (features, units), `recurrent_kernel` (units,
    units), `bias` (units,). Layers, directions and lengths as in `lstm`.
    """
    out, (_, ends) = _recurrent("rnn", "rnn", x, units, layers, bidirectional, lengths, initial_state, dropout, name)
    return out, ends[0]


def _state_of(states: tuple) -> Any:
    return states[0] if len(states) == 1 else tuple(states)


def _cell_of(cell: str) -> str:
    if cell not in _CELLS:
        raise AttributeValueError(f"there is no recurrent layer {cell!r}.", port="cell", hint="Use lstm, gru or rnn.")
    return cell


def bidirectional(x: Tensor, units: int, *, cell: str = "lstm", lengths: Any = None, name: str | None = None) -> tuple[Tensor, tuple[Any, Any]]:
    """Read a sequence from both ends: returns (out, (state forward, state backward)).

    out (batch, time, 2·units) holds, at each timestep, what was read up to it from the front and from the back. Layers `forward` and `backward`.
    """
    out, (states, _) = _recurrent(_cell_of(cell), "bidirectional", x, units, 1, True, lengths, None, 0.0, name)
    return out, (_state_of(states[0]), _state_of(states[1]))


def stacked(x: Tensor, units: int, layers: int, *, cell: str = "lstm", both: bool = False, lengths: Any = None, dropout: float = 0.0,
            name: str | None = None) -> tuple[Tensor, list[Any]]:
    """Read a sequence with several recurrent layers, each reading what the one below wrote: returns (out, [state of each layer]).

    `both` reads from both ends in every layer; `dropout` drops that share of the values between the layers. Layers `layer_0`, `layer_1`, …
    """
    out, (states, _) = _recurrent(_cell_of(cell), "stacked", x, units, layers, both, lengths, None, dropout, name)
    each = [_state_of(s) for s in states]
    return out, [(a, b) for a, b in zip(each[::2], each[1::2])] if both else each


# ---------------------------------------------------------------- a layer written out


def expand(graph: Graph, name: str, *, unroll: bool = False) -> Graph:
    """A new Graph in which a recurrent layer is elementary operations in a scan, a loop that can be stepped; all else is the same.

    `unroll` writes one copy of the cell a timestep instead, whose number must then be known (ShapeError if it is not). Variables keep their names, and `lstm/LSTM:0`, `lstm/LSTM:out` and the layer's other outputs still resolve there.
    """
    target = graph.node(name)
    if target.op.name not in LAYERS:
        layers = [n.name for n in graph.nodes if n.op.name in LAYERS]
        raise FetchError(f"{target.name} is a {target.op.name}: there is nothing to write out.", node=target.name, hint=f"Recurrent layers: {', '.join(layers) or 'none'}.")
    new = Graph(graph.name)
    new._next_id = graph._next_id  # copied nodes keep their ids, so new ones must not take them
    made: dict[tuple[int, int], Tensor] = {}
    nodes: dict[int, Node] = {}
    # one node that hands on all the outputs keeps the layer's name and its output names
    for node in graph.nodes:
        inputs = [made[t.node.id, t.index] for t in node.inputs]
        controls = [nodes[c.id] for c in node.control_inputs]
        if node is target:
            given = dict(zip(node.ports, inputs))
            if unroll:
                with new, new.state(scope=new.unique("steps", node.scope), device=node.device, controls=tuple(controls)):
                    by_name = unrolled(node.op.name, **given)
            else:
                with new, new.state(scope=node.scope, device=node.device, controls=tuple(controls)):
                    by_name = scanned(node.op.name, name=new.unique("steps").rpartition("/")[2], **given)
            copy = new.add(get_op(f"{node.op.name}Outputs"), [by_name[k] for k in node.op.outputs], {}, name=node.name, full_name=True, id=node.id, phase=node.phase)
        else:
            copy = new.add(node.op, inputs, dict(node.attrs), name=node.name, ports=node.ports, control_inputs=controls, device=node.device, phase=node.phase,
                           gradient_of=node.gradient_of, id=node.id, full_name=True)
        nodes[node.id] = copy
        for a, b in zip(node.outputs, copy.outputs):
            made[a.node.id, a.index] = b
    rules_of(new).update({k: rule.copy() for k, rule in rules_of(graph).items()})
    new.composites.update(graph.composites)
    return new


