"""check_gradients: are the derivatives in a graph those of what it computes? Nodes and indices that disagree are named."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..autodiff import gradients, graph_order
from ..control.body import Body
from ..control.custom import rules_of, with_rule
from ..core.errors import AttributeValueError, FetchError, FlowError, GradientError, plural
from ..core.graph import Graph, Node, Tensor
from ..core.types import shape_text
from ..ops.state import placeholder
from ..runtime.feeding import checked_feeds, feed_tensors, resolve
from ..runtime.session import Session

_TOLERANCE = {"float64": (1e-5, 1e-8), "float32": (1e-2, 1e-4), "float16": (1e-1, 1e-2)}
_WIDTH = ("float16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One number of one derivative that is not what differences say."""

    node: str
    port: str | None        # the input, when one node was looked at alone
    tensor: str             # by what was differentiated
    index: tuple[int, ...]
    symbolic: float
    difference: float
    limit: float            # how far apart they may be

    @property
    def error(self) -> float:
        return abs(self.symbolic - self.difference)

    def __str__(self) -> str:
        where = f"{self.node}'s gradient is wrong at input {self.port}" if self.port else f"the derivative by {self.tensor} is wrong"
        return f"{where}, index {self.index}: {self.symbolic:.6g} where differences give {self.difference:.6g}."


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for one tensor."""

    tensor: str
    shape: tuple[int, ...]
    checked: int
    size: int
    kinks: int                          # indices where the function has a corner, and the derivative is one of the slopes beside it
    worst: Disagreement | None          # the number furthest from its limit, whether it is within it or not
    wrong: tuple[Disagreement, ...]

    @property
    def ok(self) -> bool:
        return not self.wrong


@dataclass(frozen=True)
class GradientReport:
    """Symbolic derivatives beside differences. It prints as a table; `ok`, `worst`, `node` and `index` say it in short."""

    fetch: str
    dtype: str
    widened: bool                       # computed in float64 although the graph is not
    rows: tuple[Row, ...]
    nodes: tuple[Row, ...] = ()         # nodes whose own gradient is wrong, looked at alone with the inputs they had
    alone: tuple[str, ...] = ()         # every node that was looked at alone
    skipped: tuple[str, ...] = ()       # nodes that cannot be
    blocked: tuple[str, ...] = ()       # nodes on the way that let no derivative through, on purpose, such as fl.stop_gradient: differences go past them

    @property
    def ok(self) -> bool:
        return all(r.ok for r in self.rows) and not self.nodes

    def __bool__(self) -> bool:
        return self.ok

    @property
    def worst(self) -> Disagreement | None:
        """The worst of what is wrong: of a node looked at alone if one was found, else of what was asked for."""
        found = [d for r in (self.nodes or self.rows) for d in r.wrong]
        return max(found, key=_badness) if found else None

    @property
    def node(self) -> str | None:
        return self.worst.node if self.worst else None

    @property
    def index(self) -> tuple[int, ...] | None:
        return self.worst.index if self.worst else None

    def raise_on_error(self) -> GradientReport:
        """GradientError with the whole table if anything disagrees; the report itself if nothing does."""
        worst = self.worst
        if worst is not None:
            raise GradientError(str(self), node=worst.node, port=worst.port, hint="")
        return self

    def __str__(self) -> str:
        how = f"computed in {self.dtype}" if self.widened else self.dtype
        good = sum(r.ok for r in self.rows)
        lines = [f"gradients of {self.fetch} ({how}): {good} of {plural(len(self.rows), 'tensor')} agree{'s' if len(self.rows) == 1 else ''} with differences"]
        head = ("", "by", "shape", "checked", "at", "symbolic", "differences", "off by")
        table = [head]
        for r in self.rows:
            w = r.worst
            numbers = (str(w.index), f"{w.symbolic:.6g}", f"{w.difference:.6g}", f"{w.error:.1e}") if w else ("", "", "", "")
            table.append(("ok" if r.ok else "WRONG", r.tensor, shape_text(r.shape), f"{r.checked} of {r.size}", *numbers))
        widths = [max(len(row[k]) for row in table) for k in range(len(head))]
        lines += ["  ".join(cell.ljust(w) if k < 5 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in table]
        kinks = sum(r.kinks for r in self.rows)
        if kinks:
            lines.append(f"{kinks} {'index' if kinks == 1 else 'indices'} at a corner of the function, where the derivative is one of the slopes beside it")
        lines += [str(max(r.wrong, key=_badness)) for r in self.nodes]
        if not self.ok and not self.nodes:
            if self.alone:
                lines.append(f"each of the {plural(len(self.alone), 'node')} on the way agrees when looked at alone"
                             + (f"; {', '.join(self.skipped[:6])} could not be" if self.skipped else ""))
            if self.blocked:
                lines.append(f"{', '.join(self.blocked[:6])} let{'s' if len(self.blocked) == 1 else ''} no derivative through, on purpose, and differences go past that")
            lines.append(str(self.worst))
        return "\n".join(lines)

    __repr__ = __str__


def _badness(d: Disagreement) -> float:
    """How far outside its limit; a NaN is furthest."""
    return d.error / d.limit if np.isfinite(d.error) else np.inf


def check_gradients(fetch: Any, wrt: Any = None, feeds: Mapping[Any, Any] | None = None, session: Session | None = None, *, step: float | None = None,
                    rtol: float | None = None, atol: float | None = None, samples: int = 32, seed: int = 0, order: int = 1,
                    each_node: bool | None = None) -> GradientReport:
    """Compare derivatives that the graph computes with slopes measured by changing each number a little.

    `fetch`: a float Tensor, its name, or a list of them; what is no scalar is summed with fixed random weights, so that errors cannot cancel.
    `wrt`: the tensors to differentiate by, or their names: placeholders, variables, or tensors in between (default: the trainable variables).
    `feeds` as in `Session.run`; variables have the values of `session` (default: a new one), which is neither run nor changed. The graph, too,
    is as before. Random nodes draw the same numbers every time.

    Slopes are differences of fourth order, (8(f(x+h) − f(x−h)) − (f(x+2h) − f(x−2h))) / 12h with h = `step` · max(1, |x|), at up to `samples`
    indices a tensor, chosen by `seed`. A float16 or float32 graph is made anew in float64 where its operations allow it; where not (an
    operation that takes only float32, say), it is compared as it is, within what its dtype can tell: `rtol` and `atol` are 1e-5 and 1e-8 in float64,
    1e-2 and 1e-4 in float32, and the rounding of the function itself is allowed for. At a corner, as relu has at 0, a slope of either side will do.

    `order=2` checks the derivatives of the derivatives. When something disagrees, every node on the way is looked at alone, with the inputs it had,
    so that the report can say whose gradient it is (`each_node=True`: always).

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder((2,), name="x")
    ...     y = fl.sum(fl.tanh(x) ** 2, name="y")
    >>> report = fl.check_gradients(y, [x], {x: [0.5, -1.0]})
    >>> report.ok
    True
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise AttributeValueError(f"samples is {samples!r}.", port="samples", hint="Use a whole number from 1 on.")
    if order not in (1, 2):
        raise AttributeValueError(f"order is {order!r}.", port="order", hint="1 checks the derivatives, 2 the derivatives of the derivatives.")
    for name, value in (("step", step), ("rtol", rtol), ("atol", atol)):
        if value is not None and not (isinstance(value, (int, float)) and 0 <= value < np.inf and (value or name != "step")):
            raise AttributeValueError(f"{name} is {value!r}.", port=name, hint="Use a positive number.")
    ys = list(fetch) if isinstance(fetch, (list, tuple)) else [fetch]
    graph = session.graph if session is not None else next((t.graph for t in (*ys, *_listed(wrt)) if isinstance(t, (Tensor, Node))), None)
    if graph is None:
        raise FetchError("there is no graph to look the names up in.", hint="Pass a session, or tensors instead of names.")
    ys = [_tensor(graph, y) for y in ys]
    xs = [_tensor(graph, x) for x in (graph.trainable_variables if wrt is None else _listed(wrt))]
    for t in (*ys, *xs):
        if t.dtype.kind != "f":
            raise GradientError(f"{t.name} is {t.dtype}: only floats have derivatives.", node=t.node.name)
    if not ys or not xs:
        raise GradientError(f"there is nothing to {'differentiate' if not ys else 'differentiate by'}.", hint="Pass tensors, or their names.")
    setting = _Setting(step, rtol, atol, samples, seed, order, each_node, ", ".join(y.name for y in ys[:3]) + (" …" if len(ys) > 3 else ""))
    values = _values(graph, session if session is not None else Session(graph, seed=seed), ys, feeds)
    runs = session.store.runs if session is not None else 0
    if any(t.dtype.kind == "f" and t.dtype.itemsize < 8 for n in _above(ys) for t in n.outputs):
        try:
            image = _in_float64(_above([*ys, *xs, *values]), Graph(graph.name))
            wide = {image[t]: v.astype(image[t].dtype) for t, v in values.items()}
            return _measure([image[y] for y in ys], [image[x] for x in xs], wide, runs, setting, widened=True)
        except (FlowError, TypeError, ValueError):
            pass    # an operation that does not take float64, or a mistake that shows again below: the graph as it is, then
    with _Scratch(graph):
        return _measure(ys, xs, values, runs, setting, widened=False)


@dataclass(frozen=True, slots=True)
class _Setting:
    """How to look: what the caller asked for."""

    step: float | None
    rtol: float | None
    atol: float | None
    samples: int
    seed: int
    order: int
    each_node: bool | None
    title: str


def _listed(things: Any) -> list[Any]:
    return [] if things is None else list(things) if isinstance(things, (list, tuple)) else [things]


def _tensor(graph: Graph, thing: Any) -> Tensor:
    found = resolve(graph, thing)
    if not isinstance(found, Tensor):
        raise FetchError(f"{found.name} has no output to differentiate.", node=found.name)
    return found


def _values(graph: Graph, session: Session, ys: Sequence[Tensor], feeds: Mapping[Any, Any] | None) -> dict[Tensor, np.ndarray]:
    """What is fed, and every variable's value, so that any of them can be changed a little."""
    fed = feed_tensors(graph, feeds)
    held = session.store.snapshot()
    variables = {n.outputs[0]: held[n.id] for n in _above(ys) if n.op.source == "variable"}
    return {**variables, **dict(zip(fed, checked_feeds(fed)))}


class _Scratch:
    """A graph that is as before when the `with` ends: the nodes made inside are gone again."""

    def __init__(self, graph: Graph):
        self.graph = graph

    def __enter__(self) -> Graph:
        g = self.graph
        self.count, self.scopes, self.counts, self.next, self.rules = len(g._nodes), set(g._scopes), dict(g._counts), g._next_id, dict(rules_of(g))
        return g

    def __exit__(self, *exc: object) -> None:
        g = self.graph
        for node in g._nodes[self.count:]:
            del g._by_name[node.name]
        del g._nodes[self.count:]
        g._scopes, g._counts, g._next_id = self.scopes, self.counts, self.next
        g.__dict__["_custom_gradients"] = self.rules


def _above(tensors: Sequence[Tensor]) -> list[Node]:
    """Every node that the tensors are computed from, in the order of creation."""
    seen: dict[int, Node] = {}
    stack = [t.node for t in tensors]
    while stack:
        node = stack.pop()
        if node.id not in seen:
            seen[node.id] = node
            stack.extend(t.node for t in node.inputs)
    return sorted(seen.values(), key=graph_order(tensors[0].graph)) if tensors else []


def _in_float64(nodes: Sequence[Node], new: Graph) -> dict[Tensor, Tensor]:
    """Nodes made anew in another graph with every float in float64: old tensor → new tensor. FlowError if they cannot be."""
    image: dict[Tensor, Tensor] = {}
    for node in nodes:
        attrs = {name: _widened(node.op.attrs[name].kind, value) for name, value in node.attrs.items()}
        made = new.add(node.op, [image[t] for t in node.inputs], attrs, name=node.name, ports=node.ports, phase=node.phase, gradient_of=node.gradient_of, id=node.id,
                       full_name=True)   # ids stay, since random nodes draw by them
        image.update(zip(node.outputs, made.outputs))
        rule = rules_of(node.graph).get(node.id)
        if rule is not None:
            rules_of(new)[node.id] = rule.copy()
    return image


def _widened(kind: str, value: Any) -> Any:
    if kind == "body":
        new = Body(value.name, inside=value.inside)
        image = _in_float64(value.nodes, new)
        new.inputs, new.outputs = tuple(image[t] for t in value.inputs), tuple(image[t] for t in value.outputs)
        return new
    if kind == "dtype" and value in ("float16", "float32"):
        return "float64"
    if kind == "value" and isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype("float64")
    return value


class _Probe:
    """Runs a graph at one point and near it, every time with the same random draws, and keeps nothing."""

    def __init__(self, graph: Graph, values: Mapping[Tensor, np.ndarray], runs: int = 0):
        self.session, self.values, self.runs = Session(graph), values, runs

    def run(self, tensors: Sequence[Tensor], changed: Mapping[Tensor, np.ndarray] | None = None) -> list[np.ndarray]:
        self.session.store.runs = self.runs
        with np.errstate(all="ignore"):
            return self.session.run(list(tensors), {**self.values, **(changed or {})})


class _Function:
    """The weighted sum of some tensors as a function of one of them."""

    def __init__(self, probe: _Probe, ys: Sequence[Tensor], weights: Sequence[np.ndarray], x: Tensor, at: np.ndarray):
        self.probe, self.ys, self.weights, self.x, self.at = probe, ys, weights, x, at
        self.here = [v.astype("float64") for v in probe.run(ys)]
        self.size = sum(float(np.abs(w * v).sum()) for w, v in zip(weights, self.here))

    def moved(self, index: tuple[int, ...], by: float) -> list[np.ndarray]:
        at = np.array(self.at)
        at[index] += by
        return [v.astype("float64") for v in self.probe.run(self.ys, {self.x: at})]

    def weighted(self, terms: Sequence[tuple[float, Sequence[np.ndarray]]]) -> float:
        """Σ weight · Σ factor · value. The values are subtracted before they are added up, so that rounding stays small."""
        with np.errstate(all="ignore"):
            return float(sum((w * sum(c * v[k] for c, v in terms)).sum() for k, w in enumerate(self.weights)))

    def slope(self, index: tuple[int, ...], h: float) -> float:
        a, b, c, d = (self.moved(index, k * h) for k in (1, -1, 2, -2))
        return self.weighted([(8, a), (-8, b), (-1, c), (1, d)]) / (12 * h)

    def side(self, index: tuple[int, ...], h: float) -> float:
        """The slope on one side: of positive h on the right."""
        return self.weighted([(-3, self.here), (4, self.moved(index, h)), (-1, self.moved(index, 2 * h))]) / (2 * h)


def _weights(values: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 1.5, v.shape) if v.ndim else np.ones(()) for v in values]


def _measure(ys: Sequence[Tensor], xs: Sequence[Tensor], values: Mapping[Tensor, np.ndarray], runs: int, setting: _Setting, *, widened: bool) -> GradientReport:
    graph = ys[0].graph
    probe = _Probe(graph, values, runs)
    weights = _weights(probe.run(ys), setting.seed)
    with graph:
        grads = gradients(list(ys), list(xs), grad_ys=weights)
        if setting.order == 2:
            ys, weights = grads, _weights(probe.run(grads), setting.seed + 1)
            grads = gradients(ys, list(xs), grad_ys=weights, unconnected="zero")
    found = probe.run(grads)
    rows = []
    for x, g in zip(xs, found):
        at = values[x] if x in values else probe.run([x])[0]
        rows.append(_row(_Function(probe, ys, weights, x, at), g, setting, x.node.name, None, x.name))
    nodes, alone, skipped, blocked = [], [], [], []
    if setting.each_node or setting.each_node is None and not all(r.ok for r in rows):
        path, blocked = _path(ys, xs)
        inputs = list(dict.fromkeys(t for n, _ in path for t in n.inputs))
        held = dict(zip(inputs, probe.run(inputs)))
        for node, wanted in path:
            try:
                nodes.extend(r for r in _alone(node, wanted, held, setting) if not r.ok)
                alone.append(node.name)
            except (FlowError, LookupError, TypeError, ValueError):     # its body or its function belongs to the graph that it stands in
                skipped.append(node.name)
    return GradientReport(setting.title, min((y.dtype.name for y in ys), key=_WIDTH.index), widened, tuple(rows), tuple(nodes), tuple(alone), tuple(skipped),
                          tuple(blocked))


def _row(f: _Function, g: np.ndarray, setting: _Setting, node: str, port: str | None, name: str) -> Row:
    """One tensor's derivative, index by index."""
    at = f.at
    narrowest = min((t.dtype.name for t in (f.x, *f.ys)), key=_WIDTH.index)
    eps = float(np.finfo(narrowest).eps)
    rtol, atol = (given if given is not None else usual for given, usual in zip((setting.rtol, setting.atol), _TOLERANCE[narrowest]))
    step = setting.step or eps**0.2
    flat = range(at.size) if at.size <= setting.samples else np.sort(np.random.default_rng(setting.seed).choice(at.size, setting.samples, replace=False))
    seen, wrong, kinks = [], [], 0
    for k in flat:
        index = tuple(int(i) for i in np.unravel_index(int(k), at.shape))
        symbolic = float(g[index])
        h = step * max(1.0, abs(float(at[index])))
        tries = []
        for finer in (1, 8, 64, 512) if narrowest == "float64" else (1, 4):     # a corner, or the end of where the function is defined, may be near
            slope = f.slope(index, h / finer)
            limit = atol + rtol * max(abs(symbolic), abs(slope)) + 20 * eps * f.size * finer / h
            tries.append(Disagreement(node, port, name, index, symbolic, slope, limit))
            if tries[-1].error <= limit:
                break
        best = min(tries, key=_badness)
        if best.error <= best.limit:
            seen.append(best)
            continue
        left, right = f.side(index, -h / finer), f.side(index, h / finer)
        if abs(left - right) > 4 * limit and min(left, right) - limit <= symbolic <= max(left, right) + limit:
            kinks += 1
            continue
        wrong.append(best)
    worst = max(seen + wrong, key=_badness, default=None)
    return Row(name, at.shape, len(flat), at.size, kinks, worst, tuple(wrong))


def _path(ys: Sequence[Tensor], xs: Sequence[Tensor]) -> tuple[list[tuple[Node, list[int]]], list[str]]:
    """The nodes from xs to ys that have a gradient, each with the places of the inputs that depend on an x; and the names of those that stop it."""
    reached = {(x.node.id, x.index) for x in xs}
    out, blocked = [], []
    for node in _above(ys):
        wanted = [k for k, t in enumerate(node.inputs) if (t.node.id, t.index) in reached]
        if not wanted:
            continue
        reached.update((node.id, t.index) for t in node.outputs)
        wanted = [k for k in wanted if node.inputs[k].dtype.kind == "f"]
        if wanted and node.op.gradient_function is not None:
            out.append((node, wanted))
        elif wanted and not node.op.differentiable:
            blocked.append(node.name)
    return out, blocked


def _alone(node: Node, wanted: Sequence[int], held: Mapping[Tensor, np.ndarray], setting: _Setting) -> list[Row]:
    """One node in a graph of its own, on the inputs that it had; a row for each input that matters."""
    g = Graph("alone")
    rule = rules_of(node.graph).get(node.id)
    with g:
        given = [placeholder(held[t].shape, t.dtype, name=f"in{k}") for k, t in enumerate(node.inputs)]
        if rule is not None:    # what the function computes, beside what it says of the derivative
            first, wanted = rule.outputs, [k for k in wanted if rule.outputs <= k < rule.outputs + rule.inputs]
            made = with_rule(g, rule.function, rule.name, given[first:first + rule.inputs], rule.call)
            outputs: Sequence[Tensor] = [made] if isinstance(made, Tensor) else made
        else:
            outputs = g.add(node.op, given, node.attrs, ports=node.ports).outputs
        probe = _Probe(g, {p: held[t] for p, t in zip(given, node.inputs)})
        ys = [y for y in outputs if y.dtype.kind == "f"]
        xs = [given[k] for k in wanted]
        if not ys or not xs:
            return []
        weights = _weights(probe.run(ys), setting.seed + 2)
        grads = probe.run(gradients(ys, xs, grad_ys=weights, unconnected="zero"))
    few = replace(setting, samples=min(setting.samples, 16))
    name = node.name if rule is None else node.scope or node.name
    return [_row(_Function(probe, ys, weights, x, held[node.inputs[k]]), d, few, name, node.ports[k] if rule is None else str(k - rule.outputs), node.inputs[k].name)
            for k, x, d in zip(wanted, xs, grads)]
