"""scan: a loop over a sequence, as one node with a body. Its gradient is another scan, from the last timestep to the first."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..autodiff import gradients
from ..core.errors import AttributeValueError, DTypeError, FetchError, FlowError, ShapeError
from ..core.graph import Graph, Node, Tensor, current_graph
from ..core.op import op
from ..core.shape import meet
from ..core.types import Dim, TensorType, shape_text
from ..ops.array import expand_dims, where, zeros_like
from ..ops.math import add
from ..ops.reduce import sum_
from ..ops.state import constant
from .body import Body, copied

# ---------------------------------------------------------------- the op


def seen(body: Body, states: int, sequences: int) -> list[Tensor]:
    """The tensors of a body that a scan can give out over time: its states as each timestep found them, and all that it computes."""
    return [*body.inputs[sequences:sequences + states], *(t for n in body.nodes if not n.op.source for t in n.outputs)]


def _names(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    body, n = attrs["body"], len(attrs["axes"])
    states = body.inputs[n:n + attrs["states"]]
    each = [f"each.{t.node.name}" if len(t.node.outputs) == 1 else f"each.{t.node.name}.{t.node.output_names[t.index]}" for t in seen(body, attrs["states"], n)]
    return (*(f"outputs.{k}" for k in range(len(attrs["out_axes"]))), *(f"final.{t.node.name}" for t in states), *each)


def fits(inner: TensorType, outer: TensorType, what: str, port: str, word: str) -> None:
    """Refuse a tensor whose type is not that of the body's input."""
    if inner.dtype != outer.dtype:
        raise DTypeError(f"{word}: {what} is {outer.dtype}, the body takes {inner.dtype}.", port=port)
    if inner.rank != outer.rank:
        raise ShapeError(f"{word}: {what} is {shape_text(outer.shape)}, the body takes {shape_text(inner.shape)}.", port=port)
    for axis, (a, b) in enumerate(zip(inner.shape, outer.shape)):
        if isinstance(a, int) and isinstance(b, int) and a != b:
            raise ShapeError(f"{word}: axis {axis} of {what} has {b}, the body takes {a}.", port=port, axis=axis)


def _scan_type(*types: TensorType, ports: tuple = (), word: str = "", body: Body, axes: tuple, states: int, out_axes: tuple, reverse: bool, checkpoint: bool) -> tuple[TensorType, ...]:
    n = len(axes)
    if n < 1 or states < 0 or len(types) != len(body.inputs) or len(body.outputs) != states + len(out_axes) or n + states > len(types):
        raise ShapeError(f"scan: the body takes {len(body.inputs)} inputs and gives {len(body.outputs)} outputs, the node has {len(types)} inputs, {n} of them sequences, "
                         f"{states} states and {len(out_axes)} outputs.", port=ports[-1] if ports else None)
    time: Dim = None
    for k, (t, axis) in enumerate(zip(types, axes)):
        if not 0 <= axis < t.rank:
            raise ShapeError(f"scan: the sequence {ports[k]} is {shape_text(t.shape)}, it has no axis {axis} to go along.", port=ports[k], axis=axis)
        fits(body.inputs[k].type, t.with_shape(t.shape[:axis] + t.shape[axis + 1:]), "a timestep of the sequence", ports[k], "scan")
        try:
            time = meet(time, t.shape[axis])
        except ValueError:
            raise ShapeError(f"scan: the sequences have {time} and {t.shape[axis]} timesteps.", port=ports[k], axis=axis, hint="All must be as long.") from None
    finals = []
    for k in range(n, n + states):
        inner, new = body.inputs[k].type, body.outputs[k - n].type
        fits(inner, types[k], f"the start of the state {body.inputs[k].node.name}", ports[k], "scan")
        fits(inner, new, f"what the state {body.inputs[k].node.name} becomes", ports[k], "scan")
        finals.append(TensorType(tuple(meet(a, b) for a, b in zip(types[k].shape, new.shape)), new.dtype))
    for k in range(n + states, len(types)):
        fits(body.inputs[k].type, types[k], "an input", ports[k], "scan")
    outs = []
    for axis, t in zip(out_axes, body.outputs[states:]):
        if not 0 <= axis <= t.rank:
            raise ShapeError(f"scan: an output is {shape_text(t.shape)} a timestep, so there is no axis {axis} for the time.", axis=axis, hint="step.output(x, axis=0) puts it first.")
        outs.append(t.type.with_shape((*t.shape[:axis], time, *t.shape[axis:])))
    each = [t.type.with_shape((time, *t.shape)) for t in seen(body, states, n)]
    return (*outs, *finals, *each)


def _wires(attrs: Mapping[str, Any]) -> list[tuple[list[tuple[str, int]], list[tuple[str, int]]]]:
    body, n, states = attrs["body"], len(attrs["axes"]), attrs["states"]
    inputs = [("sequence", k) if k < n else ("state", k) if k < n + states else ("around", k) for k in range(len(body.inputs))]
    return [(inputs, [("next", n + k) if k < states else ("output", k - states) for k in range(len(body.outputs))])]


def _fetched(wanted: Sequence[bool], *, body: Body, axes: tuple, states: int, out_axes: tuple, **_: Any) -> list[list[Tensor]]:
    each = zip(seen(body, states, len(axes)), wanted[len(out_axes) + states:])
    return [[*body.outputs, *(t for t, want in each if want)]]


@op(infer=_scan_type, type="Scan", function="scan_op", category="control", outputs=("out",), many=True, mixed=True, listed=False, word="scan",
    naming=_names, wires=_wires, fetched=_fetched, shown=lambda attrs: len(attrs["out_axes"]) + attrs["states"],
    rounds=lambda shapes, attrs: d if isinstance(d := shapes[0][attrs["axes"][0]], int) else 1,
    latex=r"s_t, y_t = f(s_{t-1}, x_t)", zh="循环")
def scan_op(xp, *xs: Any, body: Body, axes: Ints, states: int, out_axes: Ints = (), reverse: bool = False, checkpoint: bool = False):
    """Run a body once a timestep, handing its states on from each to the next.

    Inputs: sequences (one `axes` entry each says along which axis), first states, then what the body takes from around it. Outputs: the body's
    outputs over time, the last states, and, where anybody asks for it, every tensor of the body over time (`each.…`).
    """
    raise LookupError("a scan is entered")


def sizes_of(types: Sequence[TensorType], values: Sequence[Any]) -> dict[str, int]:
    """What the named sizes of some types are in a run."""
    return {d: n for t, v in zip(types, values) for d, n in zip(t.shape, v.shape) if isinstance(d, str)}


@scan_op.control
def _(xp, inputs, wanted, *, body, axes, states, out_axes, reverse, checkpoint):
    n, outs = len(axes), len(out_axes)
    sequences = [xp.moveaxis(x, axis, 0) if axis else x for x, axis in zip(inputs, axes)]
    time = sequences[0].shape[0]
    if any(s.shape[0] != time for s in sequences):
        raise ValueError(f"the sequences have {', '.join(str(s.shape[0]) for s in sequences)} timesteps: all must be as long")
    state, around = tuple(inputs[n:n + states]), tuple(inputs[n + states:])
    asked = [*wanted[:outs], *wanted[outs + states:]]
    rows: list[Any] = [None] * len(asked)
    # which row is which of the values that a timestep sends: its states, its outputs, then what else was asked for
    sent = [(k, states + k) for k in range(outs) if asked[k]]
    sent += [(k, states + outs + j) for j, k in enumerate(k for k in range(outs, len(asked)) if asked[k])]
    for t in (range(time - 1, -1, -1) if reverse else range(time)):
        got = yield 0, t, (*[s[t, ...] for s in sequences], *state, *around)
        for a, b in zip(state, got):
            if a.shape != b.shape:
                raise ValueError(f"a state of shape {a.shape} became one of shape {b.shape} at timestep {t}: its shape must not change")
        state = got[:states]
        for k, at in sent:
            value = got[at]
            if rows[k] is None:
                rows[k] = xp.workspace((time, *value.shape), value.dtype)
            elif value.shape != rows[k].shape[1:]:      # the row would take it, stretched
                raise ValueError(f"what the timesteps give out had shape {rows[k].shape[1:]}, and at timestep {t} it has {value.shape}: all must have one shape")
            rows[k][t] = value
    if not time and sent:     # no timestep has said how large a row is
        known = sizes_of([t.type for t in body.inputs], [*[xp.zeros(s.shape[1:], s.dtype) for s in sequences], *state, *around])
        types = [t.type for t in (*body.outputs[states:], *seen(body, states, n))]
        for k, _ in sent:
            rows[k] = xp.zeros((0, *(known.get(d, 0) if not isinstance(d, int) else d for d in types[k].shape)), types[k].dtype)
    given = [row if row is None or not axis else xp.moveaxis(row, 0, axis) for row, axis in zip(rows, out_axes)]
    return (*given, *state, *rows[outs:])


# ---------------------------------------------------------------- building one


class Step:
    """One timestep of a scan, while it is being described: what `with fl.scan(…) as step` gives.

    `input` (or `inputs`) is this timestep's part of the sequence, `index` its number, `state(...)`, `update(...)` and `output(...)` say what is
    carried on and what is given out. After the block, `outputs` are the outputs over time and `states` the last states by name.
    """

    def __init__(self, graph: Graph, sequences: list[Tensor], axes: list[int], scope: str, reverse: bool, lengths: Tensor | None, checkpoint: bool):
        self._graph, self._sequences, self._axes, self._scope = graph, sequences, axes, scope
        self._reverse, self._checkpoint = reverse, checkpoint
        self.body = Body(scope.rpartition("/")[2], graph, scope)
        self._firsts: list[tuple[Tensor, Tensor]] = []      # a state in the body, and where it starts
        self._next: dict[int, Tensor] = {}
        self._outputs: list[tuple[Tensor, int]] = []
        self._lengths = lengths
        self._alive: dict[int, Tensor] = {}
        self._shown: tuple[Tensor, ...] = ()
        self.node: Node | None = None
        self.outputs: list[Tensor] = []
        self.states: dict[str, Tensor] = {}
        self._raw = tuple(self.body.input_node(x, "input" if len(sequences) == 1 else f"input_{k}", x.shape[:axis] + x.shape[axis + 1:]).outputs[0]
                            for k, (x, axis) in enumerate(zip(sequences, axes)))
        self._index: Tensor | None = None
        if lengths is not None:
            self._lengths = self.body.adopt(lengths)

    @property
    def input(self) -> Tensor:
        """This timestep's part of the sequence."""
        if len(self._raw) != 1:
            raise AttributeValueError(f"this scan goes along {len(self._raw)} sequences.", hint="step.inputs holds one tensor each.")
        return self.inputs[0]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """This timestep's part of every sequence. Of a row that is over, with lengths, it is 0: what stands there may be anything, NaN too."""
        if self._lengths is None:
            return self._raw
        if not self._shown:
            with self.body:
                self._shown = tuple(where(self.alive(x), x, zeros_like(x)) if x.rank and x.dtype.kind == "f" else x for x in self._raw)
        return self._shown

    @property
    def index(self) -> Tensor:
        """The number of this timestep, from 0: int64, no axes."""
        if self._index is None:
            with self._graph, self._graph.state(scope=self._scope):
                count = timesteps(self._sequences[0], axis=self._axes[0])
            self._sequences.append(count)
            self._axes.append(0)
            self._index = self.body.input_node(count, "t", ()).outputs[0]
        return self._index

    def state(self, name: str = "state", init: Any = None, *, size: int | tuple[int, ...] | None = None) -> Tensor:
        """A tensor that is carried from timestep to timestep; this is the one before.

        `init` is where it starts: a tensor, array or number. With `size` it starts at zeros (batch, size), of the sequence's batch and dtype.
        """
        self._open()
        if init is None and size is not None:
            with self._graph, self._graph.state(scope=self._scope):
                init = zeros_for(self._sequences[0], self._axes[0], (size,) if isinstance(size, int) else tuple(size))
        if init is None:
            raise AttributeValueError(f"{self._scope}: the state {name!r} needs a start.", port="init", hint='step.state("h", init=h0), or step.state("h", size=64) for zeros.')
        if isinstance(init, Tensor) and init.graph is self.body:
            init = self._before(init, name)
        with self._graph, self._graph.state(scope=self._scope):
            init = lifted(init, self._graph)
        inner = self.body.input_node(init, name).outputs[0]
        self._firsts.append((inner, init))
        return inner

    def _before(self, init: Tensor, name: str) -> Tensor:
        """A start that was written inside the block, moved in front of the loop: it may depend only on what is around."""
        around = {(inner.node.id, inner.index): outer for outer, inner in self.body.captured.values()}
        try:
            return copied([init], self._graph, around, lambda n: f"{self._scope}/{n}")[0]
        except FetchError:
            raise AttributeValueError(f"{self._scope}: the state {name!r} starts from {init.name}, which depends on the timestep.", port="init",
                                      hint="A state starts from what is there before the loop.") from None

    def update(self, state: Tensor, value: Any) -> None:
        """What the state is after this timestep."""
        self._open()
        known = {s.node.id: s for s, _ in self._firsts}
        if not isinstance(state, Tensor) or state.node.id not in known or state.graph is not self.body:
            raise AttributeValueError(f"{self._scope}: {getattr(state, 'name', state)!r} is not a state of this scan.", hint='prev = step.state("h", init=h0), then step.update(prev, h)')
        if state.node.id in self._next:
            raise AttributeValueError(f"{self._scope}: the state {state.node.name} is updated twice.", hint="One step.update a state.")
        value = self._inner(value, state.dtype)
        if value.dtype != state.dtype:
            raise DTypeError(f"{self._scope}: the state {state.node.name} is {state.dtype}, its next value {value.dtype}.", node=value.node.name,
                             hint=f'fl.cast(x, "{state.dtype}"), or start it from {value.dtype}.')
        clash = value.rank != state.rank or any(a != b and isinstance(a, int) and (isinstance(b, int) or a == 1) for a, b in zip(state.shape, value.shape))
        if clash:
            raise ShapeError(f"{self._scope}: the state {state.node.name} starts as {shape_text(state.shape)} and becomes {shape_text(value.shape)}.", node=value.node.name,
                             hint="A state keeps its shape: start it as large as it becomes, with fl.zeros or fl.broadcast_to.")
        self._next[state.node.id] = where(self.alive(value), value, state) if self._lengths is not None else value

    def output(self, value: Any, axis: int | None = None) -> None:
        """Give a tensor out at every timestep; `step.outputs` has it over time, along `axis` (default: that of the sequence)."""
        self._open()
        value = self._inner(value)
        axis = self._axes[0] if axis is None else axis
        axis = axis + value.rank + 1 if axis < 0 else axis
        if not 0 <= axis <= value.rank:
            raise ShapeError(f"{self._scope}: the output {value.name} is {shape_text(value.shape)} a timestep, so the time cannot be its axis {axis}.", node=value.node.name, axis=axis,
                             hint="step.output(x, axis=0) puts the time first.")
        if self._lengths is not None:
            value = where(self.alive(value), value, zeros_like(value))
        self._outputs.append((value, axis))

    def _open(self) -> None:
        if self.node is not None:
            raise AttributeValueError(f"{self._scope} is closed.", hint="Describe the timestep inside the `with` block.")

    def _inner(self, value: Any, dtype: Any = None) -> Tensor:
        with self.body:
            return lifted(value, self.body, dtype)

    def alive(self, value: Tensor) -> Tensor:
        """Which rows of the batch have a timestep here (of a scan with lengths), with as many axes as `value`."""
        if not value.rank:
            raise ShapeError(f"{self._scope}: {value.name} has no batch axis, and this scan has lengths, one a row of the batch.", node=value.node.name)
        if not self._alive:
            self._alive[1] = self.index < self._lengths
        while max(self._alive) < value.rank:
            rank = max(self._alive)
            self._alive[rank + 1] = expand_dims(self._alive[rank], axis=-1)
        return self._alive[value.rank]

    def __enter__(self) -> Step:
        self.body.__enter__()
        return self

    def __exit__(self, kind: Any, *exc: Any) -> None:
        self.body.__exit__()
        try:
            if kind is None:
                forgotten = [s.node.name for s, _ in self._firsts if s.node.id not in self._next]
                if forgotten:
                    raise AttributeValueError(f"{self._scope}: the state {forgotten[0]} is never updated.", hint=f"step.update({forgotten[0]}, …) says what it becomes.")
                self._close()
        finally:
            if self.node is None:
                given_up(self._graph, self._scope)

    def _close(self) -> None:
        inner = [*self._raw, *([self._index] if self._index is not None else []), *(s for s, _ in self._firsts)]
        values = [*(self._next[s.node.id] for s, _ in self._firsts), *(v for v, _ in self._outputs)]
        around = self.body.close(inner, values)
        attrs = dict(body=self.body, axes=tuple(self._axes), states=len(self._firsts), out_axes=tuple(a for _, a in self._outputs), reverse=self._reverse,
                     checkpoint=self._checkpoint)
        with self._graph, self._graph.state(scope=self._scope):
            self.node = scan_op.node([*self._sequences, *(i for _, i in self._firsts), *around], **attrs)
        outs = len(self._outputs)
        self.outputs = list(self.node.outputs[:outs])
        self.states = {s.node.name: t for (s, _), t in zip(self._firsts, self.node.outputs[outs:])}

    def over_time(self, tensor: Tensor) -> Tensor:
        """Any tensor of the body, once a timestep: (time, …). It costs nothing until it is used."""
        each = seen(self.body, len(self._firsts), len(self._axes))
        k = next((k for k, t in enumerate(each) if t is tensor), None)
        if self.node is None or k is None:
            raise FlowError(f"{getattr(tensor, 'name', tensor)!r} is not computed in {self._scope}.", hint="Ask after the block, for a tensor that was made in it.")
        return self.node.outputs[len(self._outputs) + len(self._firsts) + k]


def scan(sequence: Any, *, time_axis: int = 0, reverse: bool = False, lengths: Any = None, checkpoint: bool = False, name: str | None = None) -> Step:
    """Describe one timestep; the loop runs it along `time_axis` of the sequence, handing states on.

    `sequence`: a tensor, or a list of tensors of equally many timesteps. `reverse`: from the last timestep to the first (outputs stay in the
    sequence's order). `lengths`: int (batch,), how many timesteps each row of the batch has; beyond, its states stay and its outputs are 0, and
    axis 0 of states and outputs is the batch. `checkpoint`: the gradient computes a timestep again instead of keeping what it computed.
    ShapeError, AttributeValueError or DTypeError say which state or output does not fit.

    >>> import flowlab as fl
    >>> with fl.Graph():
    ...     x = fl.placeholder(("batch", "time"), name="x")
    ...     with fl.scan(x, time_axis=1, name="sums") as step:
    ...         before = step.state("total", init=fl.zeros_like(x[:, 0]))
    ...         total = before + step.input
    ...         step.update(before, total)
    ...         step.output(total)
    >>> step.outputs[0]
    sums/Scan:0 float32[batch, time]
    """
    many = isinstance(sequence, (list, tuple))
    tensors = list(sequence) if many else [sequence]
    graph = current_graph()
    if not tensors:
        raise AttributeValueError("scan goes along a sequence, and there is none.", hint="fl.arange(n) counts the timesteps.")
    scope = opened_scope(graph, name, "Scan")
    try:
        with graph.state(scope=scope):
            tensors = [lifted(t, graph) for t in tensors]
        for t in tensors:
            if not -t.rank <= time_axis < t.rank:
                raise ShapeError(f"scan: {t.name} is {shape_text(t.shape)}, it has no axis {time_axis} to go along.", node=t.node.name, axis=time_axis, hint="time_axis says which axis is the time.")
        axes = [time_axis % t.rank for t in tensors]
        if lengths is not None:
            with graph.state(scope=scope):
                lengths = lifted(lengths, graph)
            if lengths.rank != 1 or lengths.dtype.kind not in "iu":
                raise ShapeError(f"scan: lengths is {lengths.dtype} {shape_text(lengths.shape)}.", node=lengths.node.name, port="lengths", hint="Whole numbers, one a row of the batch: (batch,).")
        return Step(graph, tensors, axes, scope, reverse, lengths, checkpoint)
    except BaseException:
        given_up(graph, scope)
        raise


def zeros_for(sequence: Tensor, time_axis: int, size: tuple[int, ...]) -> Tensor:
    """A state to start from: zeros (batch, *size), whatever the sequence's batch turns out to be."""
    if sequence.rank < 2 or sequence.dtype.kind != "f":
        raise ShapeError(f"the sequence {sequence.name} is {sequence.dtype} {shape_text(sequence.shape)}: it has no batch of floats to take the size of.", node=sequence.node.name,
                         hint="Give the state an init.")
    batch = 0 if time_axis else 1
    column = zeros_like(sum_(sequence, axis=tuple(a for a in range(sequence.rank) if a != batch)))     # zeros_like: of NaN too
    for _ in size:
        column = expand_dims(column, axis=-1)
    return add(column, constant(np.zeros(size, sequence.dtype)))


def opened_scope(graph: Graph, name: str | None, kind: str) -> str:
    """The scope of a new loop or branch: the name it was given, or a free one. NameTakenError if another has it. It is taken from now on."""
    if name is None:
        scope = graph.unique(kind)
    else:
        scope = f"{graph._scope}/{name}" if graph._scope else name
        # what a loop that came to nothing has left behind, such as the number that a state was to start from, is in nobody's way
        if scope not in graph._scopes or any(n.op.source != "constant" for n in graph._nodes if n.name.startswith(f"{scope}/")):
            scope = graph.claim(name)
    graph._scopes.add(scope)
    return scope


def given_up(graph: Graph, scope: str) -> None:
    """The name of a loop that came to nothing is free again, and the lines can be run once more."""
    if not any(name.startswith(f"{scope}/") for name in graph._by_name):
        graph._scopes.discard(scope)


def lifted(value: Any, graph: Graph, dtype: Any = None) -> Tensor:
    """The value as a tensor of the graph, which must be open: a number or an array becomes a constant, a tensor from around comes in."""
    if not isinstance(value, Tensor):
        return constant(value, dtype=dtype)
    return value if value.graph is graph else graph.adopt(value)


@op(infer=lambda x, *, axis, **_: TensorType((x.shape[axis],), np.dtype("int64")) if 0 <= axis < x.rank else _no_axis(x, axis), type="Timesteps", category="control",
    differentiable=False, listed=False, latex=r"0, 1, \dots, T-1", zh="时间步")
def timesteps(xp, x: Any, *, axis: int = 0):
    """Count along an axis: 0, 1, 2, … (n,), as many as it has."""
    return xp.arange(x.shape[axis], dtype="int64")


def _no_axis(x: TensorType, axis: int) -> TensorType:
    raise ShapeError(f"timesteps: the tensor is {shape_text(x.shape)}, it has no axis {axis}.", port="x", axis=axis)


# ---------------------------------------------------------------- its gradient


def backward_body(body: Body, graph: Graph, inside: str, around: Sequence[Tensor], ys: Sequence[Tensor],
                  by: Sequence[Tensor]) -> tuple[Body, dict, list[Tensor], list[Tensor | None]]:
    """A body that computes the derivatives of `ys` by the inputs `by` of `body`; `around`: what the last of its inputs stand for.

    Returns (the new body, tensor of the old one → its copy, the inputs for the derivatives of `ys`, the derivatives or None where there is none). What
    the new body takes from around it is in its `captured`; a gradient written by hand may use more there than the forward pass did.
    """
    back = Body(f"{body.name}_gradient", graph, inside)
    made: dict = {}
    for t in body.inputs:
        made[t.node.id, t.index] = back.input_node(t, t.node.name).outputs[0]
    for t, outer in zip(body.inputs[len(body.inputs) - len(around):], around):
        copy = made[t.node.id, t.index]
        key = (outer.node.id, outer.index)
        back.captured[key if key not in back.captured else (copy.node.id, 0)] = (outer, copy)    # a file may wire one tensor to two of them
    copies = copied(ys, back, made)
    starts = [back.input_node(t, f"d_{t.node.name.rpartition('/')[2]}").outputs[0] for t in ys]
    targets = [made[t.node.id, t.index] for t in by]
    with back:
        # what a y is handed straight through from, and what it was computed from, add up
        found = gradients(copies, targets, unconnected="none", grad_ys=starts) if copies and targets else [None] * len(targets)
    return back, made, starts, found


def from_around(back: Body, final: Body) -> dict[tuple[int, int], Tensor]:
    """What one body takes from around it → the same in another one there."""
    return {(inner.node.id, inner.index): final.adopt(outer) for outer, inner in back.captured.values() if inner.node.op.source != "constant"}


class _Turned:
    """The gradient of a loop while it is put together: a scan from the last timestep to the first, what it goes along and what it carries."""

    def __init__(self, body: Body):
        self.body = body
        self.sequences: list[tuple[Tensor, int, Tensor]] = []   # (around the loop, along which axis, the body's input for a timestep of it)
        self.states: list[tuple[Tensor, Tensor]] = []           # (where it starts, the body's input for it)

    def along(self, outer: Tensor, axis: int, name: str) -> Tensor:
        self.sequences.append((outer, axis, self.body.input_node(outer, name, outer.shape[:axis] + outer.shape[axis + 1:]).outputs[0]))
        return self.sequences[-1][2]

    def carry(self, start: Tensor, like: Tensor, name: str) -> Tensor:
        self.states.append((start, self.body.input_node(like, name).outputs[0]))
        return self.states[-1][1]

    def node(self, new: Sequence[Tensor], outputs: Sequence[tuple[Tensor, int]], **attrs: Any) -> Node:
        """The scan: `new` are the states after a timestep, `outputs` what it gives out, each with the axis of the time."""
        around = self.body.close([*(i for _, _, i in self.sequences), *(i for _, i in self.states)], [*new, *(v for v, _ in outputs)])
        return scan_op.node([*(o for o, _, _ in self.sequences), *(o for o, _ in self.states), *around], body=self.body, axes=tuple(a for _, a, _ in self.sequences),
                            states=len(self.states), out_axes=tuple(a for _, a in outputs), **attrs)


def loop_gradient(node: Node, upstream: Sequence[Tensor | None], *, body: Body, axes: tuple, states: int, out_axes: tuple, reverse: bool, each: Sequence[Tensor],
                  length: tuple[Tensor, int], checkpoint: bool) -> tuple[Tensor | None, ...]:
    """The derivatives of a loop by its inputs: those of one timestep, in a scan that goes the other way.

    The node's inputs are sequences (along `axes`), first states, and what is around; its outputs are those of the body over time (along `out_axes`),
    the last states, and `each` of these tensors of the body over time, which the gradient takes instead of computing them again unless `checkpoint`.
    `length`: a tensor and its axis that is as long as there are timesteps.
    """
    n, outs, graph = len(axes), len(out_axes), node.graph
    is_float = [t.dtype.kind == "f" for t in body.inputs]
    carried = [k for k in range(states) if is_float[n + k]]
    by = [t for t, f in zip(body.inputs, is_float) if f]
    # what a timestep's derivative starts from: the states after it, its outputs, and whatever else was asked for over time
    ys, over_time = [body.outputs[k] for k in carried], []
    for k, d in enumerate(upstream):
        if d is not None and not outs <= k < outs + states:
            ys.append(body.outputs[states + k] if k < outs else each[k - outs - states])
            over_time.append((d, out_axes[k] if k < outs else 0))
    back, made, starts, parts = backward_body(body, graph, graph._scope, node.inputs[n + states:], ys, by)
    part_of = {t: d for t, d in zip(by, parts) if d is not None}

    # the gradient's own body holds only what the derivatives need; what the forward pass has computed comes in, unless it is to be computed again
    turned = _Turned(Body(f"{body.name}_gradient", graph, graph._scope, back.unique("saved")))
    given: dict[tuple[int, int], Tensor] = {}
    for start, k in zip(starts, carried):
        d = upstream[outs + k]
        given[start.node.id, 0] = turned.carry(zeros_like(node.outputs[outs + k]) if d is None else d, start, start.node.name)
    for start, (d, axis) in zip(starts[len(carried):], over_time):
        given[start.node.id, 0] = turned.along(d, axis, start.node.name)
    # what the body takes from around it is used at every timestep: its derivatives add up
    sums = [(t, turned.carry(zeros_like(outer), t, f"sum_{t.node.name}")) for t, outer in zip(body.inputs[n + states:], node.inputs[n + states:]) if t in part_of]
    over = {made[t.node.id, t.index]: (outer, axis) for t, outer, axis in zip(body.inputs, node.inputs, axes)}
    steady = _steady(body)
    over |= {made[t.node.id, t.index]: (outer, 0) for t, outer in zip(each, node.outputs[outs + states:]) if (t.node.id, t.index) in made and t in steady}
    outside = {inner: outer for outer, inner in back.captured.values()}
    for t in _needed(part_of.values(), given, () if checkpoint else over):
        if t in over:       # a part of a sequence, a state as the timestep found it, or what the timestep computed
            given[t.node.id, t.index] = turned.along(*over[t], t.node.name.rpartition("/")[2])
        elif t in outside:
            given[t.node.id, t.index] = turned.body.adopt(outside[t])
    with turned.body:
        derivative = dict(zip(part_of, copied(part_of.values(), turned.body, given, renamed(back))))
        new = [derivative[t] if (t := body.inputs[n + k]) in derivative else zeros_like(turned.states[j][1]) for j, k in enumerate(carried)]
        new += [add(before, derivative[t]) for t, before in sums]
        outputs = [(derivative[t], axis) for t, axis in zip(body.inputs, axes) if t in derivative]
    if not turned.sequences:    # nothing of the forward pass is needed: the number of timesteps is
        count = timesteps(length[0], axis=length[1])
        turned.along(count, 0, "t")
    turned_node = turned.node(new, outputs, reverse=not reverse, checkpoint=checkpoint)
    by_input = dict(zip([t for t in body.inputs[:n] if t in derivative], turned_node.outputs))
    by_input |= dict(zip([*(body.inputs[n + k] for k in carried), *(t for t, _ in sums)], turned_node.outputs[len(outputs):]))
    return tuple(by_input.get(t) for t in body.inputs)


def renamed(back: Body) -> Callable[[str], str]:
    """The names that nodes have in the body of a gradient: derivatives stand under the node they belong to, what is computed again under `again`."""
    again = back.unique("again")    # no name of the forward body begins so
    return lambda name: name.removeprefix("gradients/") if name.startswith("gradients/") else f"{again}/{name}"


@scan_op.gradient
def _(node: Node, upstream: tuple[Tensor | None, ...]):
    attrs = node.attrs
    return loop_gradient(node, upstream, **attrs, each=seen(attrs["body"], attrs["states"], len(attrs["axes"])), length=(node.inputs[0], attrs["axes"][0]))


def _steady(body: Body) -> set[Tensor]:
    """The tensors of a body that have the same sizes at every timestep, as far as that is certain: only they can be kept over time."""
    found = set(body.inputs)
    for node in body.nodes:
        if node.op.source == "constant":
            found.update(node.outputs)
        elif node.op.source is None and all(t in found for t in node.inputs):
            types = [t.type for t in node.outputs]
            if any(None in t.shape for t in types):
                types = _if_known(node)
            found.update(t for t, type in zip(node.outputs, types) if None not in type.shape)
    return found


_SOME_SIZE = 5040   # what a size may be: most numbers that a shape rule divides by go into it


def _if_known(node: Node) -> Sequence[TensorType]:
    """The types of the outputs if the sizes of the inputs were known: what is unknown even then, the values decide, or a branch."""
    inputs = [Tensor(node, 0, t.type.with_shape(tuple(d if isinstance(d, int) else _SOME_SIZE for d in t.shape))) for t in node.inputs]
    try:
        return node.op.infer(inputs, node.ports, node.attrs)
    except FlowError:
        return [t.type for t in node.outputs]


def _needed(tensors: Iterable[Tensor], given: Mapping, stop: Any) -> list[Tensor]:
    """Where the way back from `tensors` ends: at tensors in `stop`, and at inputs; those in `given` are known already."""
    found: dict[tuple[int, int], Tensor] = {}
    done: set[int] = set()
    stack = list(tensors)
    while stack:
        t = stack.pop()
        key = (t.node.id, t.index)
        if key in given or key in found:
            continue
        if t in stop or t.node.op.source == "placeholder":
            found[key] = t
            continue
        if t.node.id not in done:
            done.add(t.node.id)
            stack.extend(t.node.inputs)
    return sorted(found.values(), key=lambda t: (t.node.id, t.index))

