"""The gradient of a weight that a recurrent layer uses at every timestep, use by use: what each timestep adds to it."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autodiff import gradients
from ..control.body import copied
from ..control.scan import seen
from ..core.errors import FlowError
from ..core.graph import Graph, Node, Tensor
from ..core.op import get_op
from ..io.build import build
from ..io.document import document_of
from ..ops.state import placeholder
from ..runtime.session import Session

RECURRENT = ("RNN", "GRU", "LSTM", "Scan")
WEIGHTS = ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
CARRIED = {"h0": "h_n", "c0": "c_n"}        # a layer's states: where they come in, and where they come out
KEPT = 4_000_000                            # numbers of dW(t) that are kept; beyond it they are worked out again when they are asked for

Read = Callable[[Tensor], np.ndarray]


# ---------------------------------------------------------------- finding one


def recurrent_node(graph: Graph, name: Any) -> Node:
    """The recurrent layer of this name or scope; FlowError if there is none."""
    every = [n for n in graph.nodes if n.op.name in RECURRENT and n.phase == "forward"]
    wanted = str(getattr(name, "name", name)).partition(":")[0].rstrip("/")
    found = next((n for n in every if n.name == wanted or n.name.startswith(wanted + "/")), None)
    if found is None:
        raise FlowError(f"{wanted} is no recurrent layer.", node=wanted if wanted in graph.nodes else None,
                        hint=f"Recurrent layers here: {', '.join(n.name for n in every[:12]) or 'none'}.")
    return found


def losses(node: Node, known: Callable[[Tensor], bool]) -> list[Tensor]:
    """The scalars of a run that the node leads to, the last first: any of them may be what the error is of."""
    after = {node}
    found = []
    for n in node.graph.nodes:
        if n.phase != "forward" or n is node:
            continue
        if any(t.node in after for t in n.inputs):
            after.add(n)
            found += [t for t in n.outputs[:1] if t.shape == () and t.dtype.kind == "f" and not n.op.effect and known(t)]
    return found[::-1]


# ---------------------------------------------------------------- one timestep of a layer


@dataclass(frozen=True, slots=True)
class Timestep:
    """One timestep of a recurrent layer as a graph of its own, forward and backward."""

    graph: Graph
    inputs: tuple[Tensor, ...]                      # what differs from timestep to timestep
    states: tuple[Tensor, ...]                      # the state before
    weights: tuple[Tensor, ...]                     # the variables that every timestep uses
    fixed: Mapping[Tensor, Tensor]                  # these, and all else that comes from around → what it is in the layer's own graph
    new: tuple[Tensor, ...]                         # the state after
    given: Mapping[str, Tensor]                     # output of the layer → what a timestep gives to it
    state_names: tuple[str, ...]

    def variable(self, weight: Tensor) -> Tensor:
        """The weight in the layer's own graph."""
        return self.fixed[weight]


class Layer:
    """A recurrent layer of a run: what every timestep of it read and the states between them. Time is axis 0 here."""

    def __init__(self, node: Node, read: Read):
        if node.op.name not in RECURRENT:
            raise FlowError(f"{node.name} is a {node.op.name}, no recurrent layer.", node=node.name, hint="Recurrent layers are RNN, GRU and LSTM, and a scan of one's own.")
        self.node = node
        self.step = _scan_step(node) if node.op.name == "Scan" else _layer_step(node)
        self.reverse = bool(node.attrs.get("reverse")) if node.op.name == "Scan" else False
        self._session = Session(self.step.graph)
        values = {port: _known(read, node, port) for port in node.ports}
        given = list(values.values())
        if node.op.name == "Scan":
            axes = node.attrs["axes"]
            self.sequences = [np.moveaxis(v, axis, 0) for v, axis in zip(given, axes)]
            self.start = given[len(axes):len(axes) + node.attrs["states"]]
        else:
            x = values["x"]
            self.sequences = [np.moveaxis(x, 1, 0)[:, :, None]]
            if "lengths" in values:
                self.sequences.append(np.clip(values["lengths"][None] - np.arange(x.shape[1]).reshape(-1, 1), 0, 1))
            zeros = np.zeros((x.shape[0], values["recurrent_kernel"].shape[0]), x.dtype)
            self.start = [values.get(f"{name}0", zeros) for name in self.step.state_names]
        self._fixed = {p: np.asarray(read(outer)) for p, outer in self.step.fixed.items()}
        self.timesteps = int(self.sequences[0].shape[0])
        self.order = range(self.timesteps - 1, -1, -1) if self.reverse else range(self.timesteps)
        self._before: list[list[np.ndarray]] | None = None

    @property
    def x(self) -> np.ndarray:
        """What the layer read, time first; of a layer of flowlab (time, batch, features)."""
        return self.sequences[0] if self.node.op.name == "Scan" else self.sequences[0][:, :, 0]

    def weights(self) -> dict[str, np.ndarray]:
        """What every timestep uses, by the name of the variable."""
        return {self.step.variable(w).node.name: self._fixed[w] for w in self.step.weights}

    def feeds(self, t: int, before: Sequence[np.ndarray]) -> dict[Tensor, np.ndarray]:
        return {**self._fixed, **{p: s[t] for p, s in zip(self.step.inputs, self.sequences)}, **dict(zip(self.step.states, before))}

    def before(self) -> list[list[np.ndarray]]:
        """The states that each timestep found, and at the end those that the last left; in the order in which the timesteps run."""
        if self._before is None:
            states = [list(self.start)]
            with np.errstate(all="ignore"):
                for t in self.order:
                    states.append(self._session.run(list(self.step.new), self.feeds(t, states[-1])))
            self._before = states
        return self._before

    def states(self) -> dict[str, np.ndarray]:
        """The states after each timestep by name, time first."""
        after = self.before()[1:]
        if self.reverse:
            after = after[::-1]
        return {name: np.stack([s[k] for s in after]) if after else np.zeros((0, *self.start[k].shape), self.start[k].dtype) for k, name in enumerate(self.step.state_names)}

    def fetch(self, tensors: Sequence[Tensor]) -> list[np.ndarray]:
        """Tensors of `step.graph` at every timestep, time first."""
        rows: list[Any] = [None] * self.timesteps
        with np.errstate(all="ignore"):
            for t, before in zip(self.order, self.before()):
                rows[t] = self._session.run(list(tensors), self.feeds(t, before))
        return [np.stack([r[k] for r in rows]) for k in range(len(tensors))]


def terms(layer: Layer, states: Sequence[np.ndarray], unit: int, sample: int, timesteps: slice, value: Callable[[Tensor], np.ndarray | None]) -> dict[str, np.ndarray]:
    """What the value of one unit of an RNN, GRU or LSTM is made of, at each of some timesteps: of an RNN the three terms of its sum, of the others their gates.

    `states`: each state over time, (time, batch, units).
    """
    node = layer.node
    before = [np.concatenate([start[None, sample], s[:-1, sample]])[timesteps] for s, start in zip(states, layer.start)]
    if node.op.name == "RNN":
        x, given = layer.x[timesteps, sample], {w.node.name: layer._fixed[w] for w in layer.step.weights}
        with np.errstate(all="ignore"):
            return {"x": x @ given["kernel"][:, unit], "h": before[0] @ given["recurrent_kernel"][:, unit], "b": np.full(len(x), given["bias"][unit])}
    found = {}
    for gate in {"GRU": "rzn", "LSTM": "figo"}[node.op.name]:
        values = value(node.output(gate))
        if values is not None:
            found[gate] = values[sample, timesteps, unit]
    return found | {f"{name} before": b[:, unit] for name, b in zip(layer.step.state_names, before)}


def _layer_step(node: Node) -> Timestep:
    """An RNN, GRU or LSTM over a sequence of one timestep: the same operation, so the same numbers."""
    tensors = dict(zip(node.ports, node.inputs))
    batch, _, features = tensors["x"].shape
    names = tuple(port.removesuffix("0") for port in ("h0", "c0") if port == "h0" or node.op.name == "LSTM")
    with Graph("timestep") as g:
        x = placeholder((batch, 1, features), tensors["x"].dtype, name="x")
        weights = tuple(placeholder(tensors[p].shape, tensors[p].dtype, name=p) for p in WEIGHTS if p in tensors)
        units = tensors["recurrent_kernel"].shape[0]
        states = tuple(placeholder((batch, units), x.dtype, name=f"{n}0") for n in names)
        lengths = (placeholder((batch,), tensors["lengths"].dtype, name="lengths"),) if "lengths" in tensors else ()
        made = get_op(node.op.name).node(**{t.node.name: t for t in (x, *weights, *states, *lengths)})
    given = {port: made.output(port) for port in node.output_names if port not in CARRIED.values()}
    return Timestep(g, (x, *lengths), states, weights, {w: tensors[w.node.name] for w in weights}, tuple(made.output(CARRIED[s.node.name]) for s in states), given, names)


def _scan_step(node: Node) -> Timestep:
    """The body of a scan by itself."""
    body, sequences, states = node.attrs["body"], len(node.attrs["axes"]), node.attrs["states"]
    made: dict = {}
    with Graph("timestep") as g:
        for k, t in enumerate(body.inputs):
            made[t.node.id, t.index] = placeholder(t.shape, t.dtype, name=f"{t.node.name}_{k}".replace("/", "_"))
        wanted = [*body.outputs, *seen(body, states, sequences)]
        found = copied(wanted, g, made)
    inputs = [made[t.node.id, t.index] for t in body.inputs]
    outs = len(body.outputs) - states
    names = node.output_names
    given = {names[k]: found[states + k] for k in range(outs)}
    given |= dict(zip(names[outs + states:], found[len(body.outputs):]))
    fixed = dict(zip(inputs[sequences + states:], node.inputs[sequences + states:]))
    weights = tuple(p for p, outer in fixed.items() if outer.node.op.source == "variable" and p.dtype.kind == "f")
    return Timestep(g, tuple(inputs[:sequences]), tuple(inputs[sequences:sequences + states]), weights, fixed, tuple(found[:states]), given,
                    tuple(t.node.name for t in body.inputs[sequences:sequences + states]))


def _known(read: Read, node: Node, port: str) -> np.ndarray:
    tensor = node.inputs[node.ports.index(port)]
    try:
        return np.asarray(read(tensor))
    except KeyError:
        raise FlowError(f"{node.name} needs {tensor.name}, which this run does not hold.", node=node.name, port=port,
                        hint="Look into a trace: it keeps feeds and variables.") from None


# ---------------------------------------------------------------- every use of a weight


@dataclass(frozen=True, slots=True)
class Uses:
    """What each timestep adds to the gradient of a recurrent layer's weights, and how much of the error reaches it.

    All sums go over the batch. `norms[w][t]` = ‖dW(t)‖; `along[w][t]`, the part of dW(t) in the direction of dW: these add up to ‖dW‖. Of the first state,
    each (time, batch): `error` = ‖∂L/∂h(t)‖, made of `direct`, what comes back from the outputs of t (and at the end from the last state), and `later`, what comes back through t + 1.
    """

    layer: Layer
    of: str
    totals: Mapping[str, np.ndarray]            # the sum of all uses
    recorded: Mapping[str, np.ndarray]          # the gradient that the graph itself gives; none for a weight that is used elsewhere too
    norms: Mapping[str, np.ndarray]
    along: Mapping[str, np.ndarray]
    error: np.ndarray
    direct: np.ndarray
    later: np.ndarray
    _back: Callable[[int, Sequence[str]], list[np.ndarray]] = field(repr=False)
    _kept: Mapping[str, Mapping[int, np.ndarray]] = field(repr=False)

    def named(self, weight: str | None) -> str:
        """A weight by its name or the last part of it; without one, the one that the state goes through. FlowError if there is none."""
        if weight is None:
            return next((n for n in self.totals if n.endswith("/recurrent_kernel")), next(iter(self.totals)))
        found = next((n for n in self.totals if n == weight or n.rpartition("/")[2] == weight), None)
        if found is None:
            raise FlowError(f"{self.layer.node.name} learns nothing named {weight!r}.", node=self.layer.node.name, hint=f"It has {', '.join(self.totals)}.")
        return found

    def at(self, weight: str, t: int) -> np.ndarray:
        """dW(t): what the use at timestep t adds to the gradient of the weight."""
        weight = self.named(weight)
        if not 0 <= t < self.layer.timesteps:
            raise FlowError(f"there is no timestep {t}.", hint=f"Timesteps go from 0 to {self.layer.timesteps - 1}.")
        kept = self._kept[weight].get(t)
        return self._back(t, [weight])[0] if kept is None else kept

    def apart(self, weight: str) -> float | None:
        """How far the sum of all uses is from the graph's own gradient, as a share of its largest number; None where the graph gives none."""
        if weight not in self.recorded:
            return None
        graph = self.recorded[weight]
        return float(np.max(np.abs(self.totals[weight] - graph), initial=0.0) / max(float(np.max(np.abs(graph), initial=0.0)), 1e-30))


def weight_uses(of: Tensor, node: Node, read: Read, layer: Layer | None = None) -> Uses:
    """Follow the error of a scalar `of` back through a recurrent layer, a timestep at a time, and keep what each timestep adds to every weight.

    `read` gives the values of the run. Nothing is added to its graph. FlowError where `of` is no scalar, the layer learns nothing or the run holds too little;
    GradientError where no way leads from the layer to `of`.
    """
    layer = Layer(node, read) if layer is None else layer
    step = layer.step
    names = [step.variable(w).node.name for w in step.weights]
    if not names:
        raise FlowError(f"{node.name} uses no variable.", node=node.name, hint="Only what is learned has a gradient to add up.")
    upstream, recorded = _upstream(of, layer, read)
    run = _Backward(layer, upstream)
    totals = {n: np.zeros(layer._fixed[w].shape) for n, w in zip(names, step.weights)}
    keep = {n: layer.timesteps * v.size <= KEPT for n, v in totals.items()}
    kept: dict[str, dict[int, np.ndarray]] = {n: {} for n in names}
    norms = {n: np.zeros(layer.timesteps) for n in names}
    batch = layer.start[0].shape[0] if layer.start and layer.start[0].ndim else 1
    error, direct, later = (np.zeros((layer.timesteps, batch)) for _ in range(3))
    with np.errstate(all="ignore"):
        for t, dw, (d, here, ahead) in run.go():
            for n, v in zip(names, dw):
                totals[n] += v
                norms[n][t] = np.sqrt(np.sum(np.square(v, dtype="float64")))
                if keep[n]:
                    kept[n][t] = v
            error[t], direct[t], later[t] = (_rows(v, batch) for v in (d, here, ahead))
        along = {}
        for n, total in totals.items():
            size = np.sqrt(np.sum(total * total))
            one = total / size if size else total
            along[n] = np.array([np.sum((kept[n][t] if keep[n] else run.at(t, [names.index(n)])[0]) * one) for t in range(layer.timesteps)])
    return Uses(layer, of.name.removesuffix(":0"), {n: v.astype(layer._fixed[w].dtype) for (n, v), w in zip(totals.items(), step.weights)},
                {n: recorded[n] for n in names if n in recorded}, norms, along, error, direct, later, lambda t, which: run.at(t, [names.index(n) for n in which]), kept)


class _Backward:
    """The error on its way from the last timestep to the first."""

    def __init__(self, layer: Layer, upstream: Mapping[str, np.ndarray]):
        self.layer, self.upstream = layer, upstream
        step, node = layer.step, layer.node
        self.final = {name: upstream[name] for name in upstream if name not in step.given}
        self.outputs = [n for n in upstream if n in step.given]
        with step.graph:
            self.d_new = [placeholder(t.shape, t.dtype) for t in step.new]
            self.d_given = [placeholder(step.given[n].shape, step.given[n].dtype) for n in self.outputs]
            ys = [*step.new, *(step.given[n] for n in self.outputs)]
            found = gradients(ys, [*step.states, *step.weights], unconnected="zero", grad_ys=[*self.d_new, *self.d_given])
            self.by_states, self.by_weights = found[:len(step.states)], found[len(step.states):]
            # what the first state itself gets from the outputs of its own timestep
            self.direct = None
            if node.op.name == "Scan" and self.outputs:
                self.direct = gradients([step.given[n] for n in self.outputs], [step.new[0]], unconnected="none", grad_ys=self.d_given)[0]
        self.session = Session(step.graph)
        self.times = {n: self._axis(n) for n in self.outputs}
        self.errors: dict[int, list[np.ndarray]] = {}

    def _axis(self, name: str) -> int:
        node = self.layer.node
        if node.op.name != "Scan":
            return 1
        k = node.output_names.index(name)
        return node.attrs["out_axes"][k] if k < len(node.attrs["out_axes"]) else 0

    def weights(self) -> dict[str, np.ndarray]:
        """What every timestep uses, by the name of the variable."""
        return {self.step.variable(w).node.name: self._fixed[w] for w in self.step.weights}

    def feeds(self, t: int, before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> dict[Tensor, np.ndarray]:
        given = {}
        for place, name in zip(self.d_given, self.outputs):
            part = np.take(self.upstream[name], t, axis=self.times[name])
            given[place] = part[:, None] if self.layer.node.op.name != "Scan" else part
        return {**self.layer.feeds(t, before), **dict(zip(self.d_new, after)), **given}

    def go(self) -> Any:
        """(t, dW(t) of every weight, (∂L/∂h(t), its part from the outputs of t, its part from later)), from the last timestep to the first."""
        step, layer = self.layer.step, self.layer
        states = layer.before()
        after = [self._from_the_end(k) for k in range(len(step.states))]
        order = list(layer.order)
        for place in reversed(range(len(order))):
            t = order[place]
            self.errors[t] = after
            feeds = self.feeds(t, states[place], after)
            fetches = [*self.by_states, *self.by_weights, *([self.direct] if self.direct is not None else [])]
            found = self.session.run(fetches, feeds)
            ahead = after[0] if after else np.zeros(1)
            here = found[-1] if self.direct is not None else self._straight(feeds, ahead)
            if place == len(order) - 1:         # after the last timestep, only who reads the last state
                here, ahead = here + ahead, np.zeros_like(ahead)
            after, dw = found[:len(self.by_states)], found[len(self.by_states):len(self.by_states) + len(self.by_weights)]
            yield t, dw, (ahead + here, here, ahead)

    def _from_the_end(self, k: int) -> np.ndarray:
        node, step = self.layer.node, self.layer.step
        name = node.output_names[len(node.attrs["out_axes"]) + k] if node.op.name == "Scan" else CARRIED[step.states[k].node.name]
        start = self.layer.start[k]
        return np.broadcast_to(self.final[name], start.shape).astype(start.dtype) if name in self.final else np.zeros_like(start)

    def _straight(self, feeds: Mapping[Tensor, np.ndarray], like: np.ndarray) -> np.ndarray:
        """Of an RNN, GRU or LSTM the output is the state itself."""
        return next((feeds[place][:, 0] for place, name in zip(self.d_given, self.outputs) if name == "out"), np.zeros_like(like))

    def at(self, t: int, which: Sequence[int]) -> list[np.ndarray]:
        """dW(t) once more, of some of the weights."""
        place = list(self.layer.order).index(t)
        return self.session.run([self.by_weights[k] for k in which], self.feeds(t, self.layer.before()[place], self.errors[t]))


def _upstream(of: Tensor, layer: Layer, read: Read) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(the derivative of `of` by each output of the layer that it was made from, its derivative by each variable that only the layer uses)."""
    node = layer.node
    if of.shape != ():
        raise FlowError(f"{of.name} is {of.shape}, not a scalar.", node=of.node.name, hint="Choose a loss.")
    used = {t for n in node.graph.nodes if n.phase == "forward" for t in n.inputs if t.node is node} | ({of} if of.node is node else set())
    outputs = [t for t in node.outputs if t in used and t.dtype.kind == "f"]
    copy = build(document_of(node.graph)).graph
    own = [copy.tensor(t.name) for t in outputs]
    variables = [layer.step.variable(w) for w in layer.step.weights]
    alone = [v for v in variables if sum(t is v for n in node.graph.nodes if n.phase == "forward" for t in n.inputs) == 1]
    found = gradients(copy.tensor(of.name), [*own, *(copy.tensor(v.name) for v in alone)], unconnected="none")
    if not any(d is not None for d in found[:len(own)]):
        raise FlowError(f"{of.name.removesuffix(':0')} does not depend on {node.name}.", node=node.name, hint="Choose a loss that comes after the layer.")
    wanted = [d for d in found if d is not None]
    feeds = _feeds(copy, wanted, node.graph, read)
    values = iter(Session(copy).run(wanted, feeds))
    values = [None if d is None else next(values) for d in found]
    return ({node.output_names[t.index]: v for t, v in zip(outputs, values) if v is not None},
            {v.node.name: d for v, d in zip(alone, values[len(own):]) if d is not None})


def _feeds(copy: Graph, wanted: Sequence[Tensor], graph: Graph, read: Read) -> dict[Tensor, np.ndarray]:
    """Every value of the run that the wanted tensors need, so that what the run drew at random is what it drew."""
    feeds, met, todo = {}, set(), [t.node for t in wanted]
    while todo:
        n = todo.pop()
        if n.id in met:
            continue
        met.add(n.id)
        if n.phase == "forward" and n.name in graph.nodes:
            for t in n.outputs:
                try:
                    value = read(graph.tensor(t.name))
                except KeyError:
                    continue
                feeds[t] = np.asarray(value)
        todo += [t.node for t in n.inputs]
    return feeds


def _rows(values: np.ndarray, batch: int) -> np.ndarray:
    """The size of each example's part."""
    flat = np.asarray(values, dtype="float64").reshape(batch, -1)
    return np.sqrt(np.sum(flat * flat, axis=1))
