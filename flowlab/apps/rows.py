"""Do the rows of a batch stay apart, and is what they come together in their sum or mean? Proven node by node from the graph alone, so that requests of different people can share a run, and
workers a batch."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from ..autodiff import gradients
from ..core.errors import FlowError
from ..core.graph import Graph, Node, Tensor
from ..core.own import is_own
from ..io.build import build
from ..io.document import document_of, same_attrs
from ..io.fetching import needed

Axes = list[int | None]     # of a node's inputs: which axis the batch is, None where a value does not depend on it


class RowsMeet(FlowError):
    """Somewhere the rows of a batch come together, or it is not known that they stay apart: `node` says where."""


def row_axes(graph: Graph, nodes: Sequence[Node], fetches: Sequence[Tensor], inputs: Sequence[Tensor], dim: str) -> dict[Tensor, int]:
    """Which axis of every fetch holds the rows of the batch called `dim`: row k of it depends on row k of the inputs alone, for every input.

    `nodes`: those that the fetches need, in an order in which they can fire. RowsMeet names the first node that mixes rows, or that nobody has vouched for.
    """
    known: dict[Tensor, int] = {}
    for x in inputs:
        if x.shape.count(dim) != 1:
            raise RowsMeet(f"{x.node.name} has {'no' if dim not in x.shape else 'more than one'} axis {dim}.", node=x.node.name)
        known[x] = x.shape.index(dim)
    for node in nodes:
        if _draws(node):
            raise RowsMeet(f"{node.name} ({node.op.name}) is not the same in every run.", node=node.name)
    _follow(nodes, known, dim)
    for y in fetches:
        if y not in known:
            raise RowsMeet(f"{y.node.name} has no axis {dim}.", node=y.node.name)
    return {y: known[y] for y in fetches}


def _draws(node: Node) -> bool:
    return node.op.random or any(_draws(n) for body in node.op.bodies(node.attrs) for n in body.nodes)


def _follow(nodes: Sequence[Node], known: dict[Tensor, int], dim: str) -> None:
    for node in nodes:
        if node.op.source or all(t in known for t in node.outputs) and node.outputs:
            continue
        axes: Axes = [known.get(t) for t in node.inputs]
        if node.op.effect or node.op.name == "Assign":
            raise RowsMeet(f"{node.name} ({node.op.name}) is not the same in every run.", node=node.name)
        if all(a is None for a in axes):
            continue
        rule = _RULES.get(node.op.name)
        if rule is None or is_own(node.op.kernel_function) or any(a is None and dim in t.shape for t, a in zip(node.inputs, axes)):
            raise RowsMeet(f"of {node.name} ({node.op.name}) it is not known that rows stay apart.", node=node.name)
        found = rule(node, axes, dim)
        for t, axis in zip(node.outputs, found if isinstance(found, list) else [found] * len(node.outputs)):
            if axis is None:
                continue
            if t.shape[axis:axis + 1] != (dim,) or t.shape.count(dim) != 1:
                raise RowsMeet(f"the axis {dim} is lost in {node.name} ({node.op.name}).", node=node.name)
            known[t] = axis


# ---------------------------------------------------------------- what a batch makes of its parts


def kinds(graph: Graph, ends: Sequence[Tensor], inputs: Sequence[Tensor], dim: str) -> dict[Tensor, str]:
    """How the value over a batch is made of the values over parts of it, of those of `ends` of which the graph proves it for whatever numbers: "rows", one after the other; "mean", weighted by
    rows; "sum"; "same", where it does not depend on the batch.

    Sum and Mean over the batch are known, and what is linear in them: a sum divided by a number is a sum, one divided by another sum (the length of a mask) is neither. Gradients are what they
    are of, if they are those that `fl.gradients` adds of a loss to variables. Draws count as rows where they are drawn a row.
    """
    axes: dict[Tensor, int] = {x: x.shape.index(dim) for x in inputs if x.shape.count(dim) == 1}
    lost = {x for x in inputs if x.shape.count(dim) > 1}
    whole: dict[Tensor, str] = {}
    nodes = needed(ends, inputs)
    for node in nodes:
        outputs = [t for t in node.outputs if t not in inputs]
        if node.op.source or not outputs:
            continue
        if node.op.effect or node.op.name == "Assign" or any(t in lost for t in node.inputs):
            lost.update(outputs)
        elif any(t in whole for t in node.inputs):
            kind = None if any(t in axes for t in node.inputs) else _linear(node, [whole.get(t) for t in node.inputs])
            whole.update({} if kind is None else dict.fromkeys(outputs, kind))
            lost.update(outputs if kind is None else ())
        elif any(t in axes for t in node.inputs):
            try:
                _follow([node], axes, dim)
                lost.update(t for t in outputs if t not in axes and node.op.name != "Timesteps")
            except RowsMeet:
                if (kind := _added_up(node, axes)) is None:
                    lost.update(outputs)
                else:
                    whole[node.outputs[0]] = kind
    found = {t: "rows" if t in axes else whole.get(t, "same") for t in ends if t not in lost}
    if all(t.node.op.source for t in inputs):
        losses = dict.fromkeys(n.inputs[0] for n in nodes if n.phase == "backward" and n.op.name == "OnesLike" and n.inputs[0] in whole and n.gradient_of == n.inputs[0].node.name)
        for loss in losses:
            found |= dict.fromkeys(_gradients(graph, loss, [t for t in ends if t not in found]), whole[loss])
    return found


def _added_up(node: Node, axes: dict[Tensor, int]) -> str | None:
    """"sum" or "mean" for what goes over the batch."""
    if node.op.name not in ("Sum", "Mean") or is_own(node.op.kernel_function):
        return None
    x, over = node.inputs[0], node.attrs["axis"]
    return node.op.name.lower() if over is None or axes[x] in _each(over, x.rank) else None


def _linear(node: Node, given: Sequence[str | None]) -> str | None:
    """What a node is of whose inputs are sums or means over the batch, or None for what does not depend on it."""
    name, one = node.op.name, given[0]
    if is_own(node.op.kernel_function):
        return None
    if name in ("Add", "Subtract"):     # what does not depend on the batch is the mean of itself, and not the sum
        return one if given[0] == given[1] else "mean" if set(given) == {"mean", None} else None
    if name == "Multiply":
        return None if None not in given else given[0] or given[1]
    if name == "Divide":
        return one if given[1] is None and node.outputs[0].dtype.kind == "f" else None
    if name == "Cast":
        return one if node.outputs[0].dtype.kind == "f" else None
    return one if name in ("Identity", "StopGradient", "Negative", "Sum", "Mean", "Reshape", "Transpose", "ExpandDims", "Squeeze", "Slice") and len(given) == 1 else None


def _gradients(graph: Graph, loss: Tensor, ends: Sequence[Tensor]) -> list[Tensor]:
    """Those of `ends` that are the gradients of the loss to a trainable variable: node for node what `fl.gradients` adds to a copy of the graph."""
    copy = build(document_of(graph))
    if copy.diagnostics or not ends:
        return []
    there = copy.graph.tensor(loss.name)
    above = {n.id for n in needed([there])}
    try:
        made = gradients(there, [v for v in copy.graph.trainable_variables if v.node.id in above], "none")
    except FlowError:
        return []
    equal: dict[tuple, list[tuple[Node, int]]] = {}
    places: dict[Tensor, tuple] = {}
    fresh = count()
    for node in (*graph.nodes, *copy.graph.nodes):
        key: tuple = (node.name, node.graph is graph)
        if node.phase != "backward":
            key = (node.name,)
        elif not node.op.random and node.op.source in (None, "", "constant") and all(t in places for t in node.inputs):
            others = equal.setdefault((node.op.name, *(places[t] for t in node.inputs)), [])
            number = next((k for n, k in others if same_attrs(n, node)), None)
            if number is None:
                others.append((node, number := next(fresh)))
            key = (number,)
        places |= {t: (*key, t.index) for t in node.outputs}
    wanted = {places[t] for t in made if t is not None}
    return [t for t in ends if places[t] in wanted]


def _meets(node: Node) -> RowsMeet:
    return RowsMeet(f"{node.name} ({node.op.name}) mixes the rows of the batch.", node=node.name)


# ---------------------------------------------------------------- one rule an operation: the inputs' axes → the outputs'


def _elementwise(node: Node, axes: Axes, dim: str) -> int:
    """Each value is made of the values at its own place; shapes are matched from the right."""
    rank = node.outputs[0].rank
    places = {a + rank - t.rank for t, a in zip(node.inputs, axes) if a is not None}
    if len(places) != 1:
        raise _meets(node)
    place = places.pop()
    for t, a in zip(node.inputs, axes):
        at = place - rank + t.rank
        if a is None and at >= 0 and t.shape[at] != 1:
            raise _meets(node)
    return place


def _leading(node: Node, axes: Axes, dim: str) -> int:
    """Every input that has the batch has it as axis 0, as every output does; the others are scalars."""
    if any(a != 0 if a is not None else t.rank for t, a in zip(node.inputs, axes)):
        raise _meets(node)
    return 0


def _weighted(node: Node, axes: Axes, dim: str) -> int:
    """The first input has the batch as axis 0; the others are weights, the same for every row."""
    if axes[0] != 0 or any(a is not None for a in axes[1:]):
        raise _meets(node)
    return 0


def _recurrent(node: Node, axes: Axes, dim: str) -> int:
    """A layer over (batch, time, features): sequence, first states and lengths have the batch, weights do not."""
    for port, a in zip(node.ports, axes):
        if (a != 0) if port in ("x", "h0", "c0", "lengths") else (a is not None):
            raise _meets(node)
    return 0


def _same_axis(node: Node, axes: Axes, dim: str) -> int:
    """All inputs have the batch at one and the same axis, and outputs too."""
    if None in axes or len(set(axes)) != 1:
        raise _meets(node)
    return axes[0]


def _apart(*names: str) -> Callable[[Node, Axes, str], int]:
    """As it stands, where none of the axes that the operation goes along is the batch; further inputs do not depend on it."""
    def rule(node: Node, axes: Axes, dim: str) -> int:
        a, along = axes[0], node.attrs[names[0]]
        if a is None or any(b is not None for b in axes[1:]) or along is None or a in _each(along, node.inputs[0].rank):
            raise _meets(node)
        return a
    return rule


def _matrices(node: Node, axes: Axes, dim: str) -> int:
    """A matrix a row of the batch: the last two axes are the matrix."""
    a = axes[0]
    if a is None or a >= node.inputs[0].rank - 2:
        raise _meets(node)
    return a


def _each(axis: object, rank: int) -> list[int]:
    return [k % rank if rank else k for k in (axis if isinstance(axis, (tuple, list)) else (axis,))]


def _reduce(node: Node, axes: Axes, dim: str) -> int:
    a, over, x = axes[0], node.attrs["axis"], node.inputs[0]
    if a is None or over is None or a in (gone := _each(over, x.rank)):
        raise _meets(node)
    return a if node.attrs.get("keepdims") else a - sum(k < a for k in gone)


def _matmul(node: Node, axes: Axes, dim: str) -> int:
    (a, b), (p, q) = node.inputs, axes
    rank = node.outputs[0].rank
    if p is not None and q is not None:
        if p >= a.rank - 2 or q >= b.rank - 2 or a.rank - p != b.rank - q:
            raise _meets(node)
        return rank - (a.rank - p)
    t, k, other = (a, p, b) if p is not None else (b, q, a)
    assert k is not None
    if k == (t.rank - 1 if t is a or t.rank == 1 else t.rank - 2):      # the products are summed along it
        raise _meets(node)
    if k >= t.rank - 2:     # rows of a stay rows, columns of b stay columns, in front of what is left of the other
        return rank - 1 if t is b or other.rank == 1 else rank - 2
    at = other.rank - (t.rank - k)
    if at >= 0 and other.shape[at] != 1:
        raise _meets(node)
    return rank - (t.rank - k) + (other.rank == 1)


def _reshape(node: Node, axes: Axes, dim: str) -> int:
    """All that stands before the batch stays as it is."""
    a, x, y = axes[0], node.inputs[0], node.outputs[0]
    if a is None or any(b is not None for b in axes[1:]) and axes[1:] != [a] or y.shape[:a + 1] != x.shape[:a + 1]:
        raise _meets(node)
    return a


def _transpose(node: Node, axes: Axes, dim: str) -> int:
    rank = node.inputs[0].rank
    return _each(node.attrs["axes"] or tuple(range(rank))[::-1], rank).index(axes[0])


def _expand(node: Node, axes: Axes, dim: str) -> int:
    rank = node.outputs[0].rank
    new = set(_each(node.attrs["axis"], rank))
    return [k for k in range(rank) if k not in new][axes[0]]


def _squeeze(node: Node, axes: Axes, dim: str) -> int:
    a, x, gone = axes[0], node.inputs[0], node.attrs["axis"]
    if a is None or gone is None or a in _each(gone, x.rank):
        raise _meets(node)
    return a - sum(k < a for k in _each(gone, x.rank))


def _concat(node: Node, axes: Axes, dim: str) -> int:
    a = _same_axis(node, axes, dim)
    if a in _each(node.attrs["axis"], node.inputs[0].rank):
        raise _meets(node)
    return a


def _stack(node: Node, axes: Axes, dim: str) -> int:
    a = _same_axis(node, axes, dim)
    return a + (_each(node.attrs["axis"], node.outputs[0].rank)[0] <= a)


def _unstack(node: Node, axes: Axes, dim: str) -> int:
    a, k = axes[0], _each(node.attrs["axis"], node.inputs[0].rank)[0]
    if a is None or a == k:
        raise _meets(node)
    return a - (k < a)


def _slice(node: Node, axes: Axes, dim: str) -> int:
    """Along the batch everything is taken, in its order."""
    index, rank, a = node.attrs["index"], node.inputs[0].rank, axes[0]
    taken = sum(i is not None and i != "..." for i in index)
    index = [*index] if "..." in index else [*index, "..."]
    at = index.index("...")
    index[at:at + 1] = [("slice", None, None, None)] * (rank - taken)
    source = out = 0
    for i in index:
        if i is None:
            out += 1
            continue
        whole = isinstance(i, tuple)
        if source == a:
            if not whole or tuple(i) != ("slice", None, None, None):
                raise _meets(node)
            return out
        source, out = source + 1, out + whole
    raise _meets(node)


def _pad(node: Node, axes: Axes, dim: str) -> int:
    a = axes[0]
    if a is None or tuple(node.attrs["pad_width"][a]) != (0, 0):
        raise _meets(node)
    return a


def _tile(node: Node, axes: Axes, dim: str) -> int:
    a, reps = axes[0], node.attrs["reps"]
    if a is None or len(reps) != node.inputs[0].rank or reps[a] != 1:
        raise _meets(node)
    return a


def _gather(node: Node, axes: Axes, dim: str) -> int:
    (x, indices), (a, b) = node.inputs, axes
    axis = _each(node.attrs["axis"], x.rank)[0]
    if a is None:
        return axis + b
    if b is not None or a == axis:
        raise _meets(node)
    return a if a < axis else a + indices.rank - 1


def _along(node: Node, axes: Axes, dim: str) -> int:
    a = _same_axis(node, axes, dim)
    if a in _each(node.attrs["axis"], node.inputs[0].rank):
        raise _meets(node)
    return a


def _unary(node: Node, axes: Axes, dim: str) -> int:
    return axes[0]


def _einsum(node: Node, axes: Axes, dim: str) -> int:
    text = node.attrs["subscripts"].replace(" ", "")
    ins, arrow, out = text.partition("->")
    terms = ins.split(",")
    if not arrow or "." in text or len(terms) != len(axes):
        raise _meets(node)
    letters = {term[a] for term, a in zip(terms, axes) if a is not None}
    letter = letters.pop()
    if letters or out.count(letter) != 1 or any(term.count(letter) != (a is not None) for term, a in zip(terms, axes)):
        raise _meets(node)
    return out.index(letter)


def _timesteps(node: Node, axes: Axes, dim: str) -> None:
    if axes[0] == _each(node.attrs["axis"], node.inputs[0].rank)[0]:
        raise _meets(node)


def _scan(node: Node, axes: Axes, dim: str) -> list[int | None]:
    """A loop along another axis, in whose body rows stay apart."""
    body, times = node.attrs["body"], node.attrs["axes"]
    [(takes, gives)] = node.op.wires(node.attrs)
    inside: dict[Tensor, int] = {}
    starts: dict[int, int | None] = {}
    for inner, (kind, k) in zip(body.inputs, takes):
        if kind in ("index", "timestep"):
            continue
        a = axes[k]
        if kind == "sequence":
            time = _each(times[k], node.inputs[k].rank)[0]
            if a == time:
                raise _meets(node)
            a = None if a is None else a - (time < a)
        elif kind == "state":
            starts[len(starts)] = a
        if a is not None:
            inside[inner] = a
    _follow([n for n in body.nodes if not n.op.source], inside, dim)
    outputs: list[int | None] = []
    states: list[int | None] = []
    for value, (kind, _) in zip(body.outputs, gives):
        a = inside.get(value)
        if kind == "next":
            if a != starts[len(states)]:
                raise _meets(node)
            states.append(a)
        else:
            time = node.attrs["out_axes"][len(outputs)]
            outputs.append(None if a is None else a + (time % (value.rank + 1) <= a))
    known = [*outputs, *states]
    return [*known, *(None for _ in node.outputs[len(known):])]


_RULES: dict[str, Callable[[Node, Axes, str], int | None | list[int | None]]] = {}
for _rule, _names in {
    _elementwise: """Add Subtract Multiply Divide Negative Power Square Sqrt Exp Log Sin Cos Abs Sign Maximum Minimum Identity StopGradient Floor Ceil Round Reciprocal Rsqrt Expm1 Log1p
        Log2 Log10 Tan Arcsin Arccos Arctan Sinh Cosh Arctan2 Erf Mod FloorDivide Trunc Exp2 Cbrt Arcsinh Arccosh Arctanh Logaddexp Hypot LogicalAnd LogicalOr LogicalXor LogicalNot
        Equal NotEqual Greater GreaterEqual Less LessEqual Isnan Isinf Isfinite Clip Tanh Sigmoid Relu Elu Selu Silu Softplus LogSigmoid Softsign LeakyRelu Relu6 Mish Hardsigmoid
        Hardswish Dropout Tanhshrink Threshold Gelu Hardtanh Celu Hardshrink Softshrink Cast Where BroadcastLike BitwiseAnd BitwiseOr BitwiseXor Invert LeftShift RightShift""",
    _leading: "SparseSoftmaxCrossEntropy SoftmaxCrossEntropy Mse Mae Huber BinaryCrossEntropyWithLogits Hinge KlDiv Nll CTCLoss ReverseSequence",
    _same_axis: "LSTMOutputs GRUOutputs RNNOutputs",
    _weighted: """Conv1D Conv2D Conv3D ConvTranspose1D ConvTranspose2D ConvTranspose3D MaxPool1D MaxPool2D MaxPool3D AvgPool1D AvgPool2D AvgPool3D AdaptiveAvgPool1D AdaptiveAvgPool2D
        AdaptiveAvgPool3D AdaptiveMaxPool1D AdaptiveMaxPool2D AdaptiveMaxPool3D GroupNorm""",
    _recurrent: "LSTM GRU RNN",
    _apart("axis"): "Softmax LogSoftmax LayerNorm RmsNorm Split Flip Roll Cumsum Cumprod Sort Argsort TopK Repeat",
    _reduce: "Sum Mean Max Min Argmax Argmin Prod Var Std Logsumexp Norm CountNonzero Any All Quantile",
    _matrices: "Tril Triu Inv Det Cholesky Slogdet QR",
    _unary: "ZerosLike OnesLike OneHot",
    _matmul: "MatMul", _reshape: "Reshape", _transpose: "Transpose", _expand: "ExpandDims", _squeeze: "Squeeze", _concat: "Concat", _stack: "Stack", _unstack: "Unstack", _slice: "Slice",
    _pad: "Pad", _tile: "Tile", _gather: "Gather", _along: "TakeAlongAxis", _einsum: "Einsum", _timesteps: "Timesteps", _scan: "Scan",
}.items():
    _RULES.update(dict.fromkeys(_names.split(), _rule))
