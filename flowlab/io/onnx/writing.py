"""From a graph to ONNX: one model with the placeholders as inputs, the fetches as outputs and the variables as initializers."""
from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from ...core.composite import Composite
from ...core.errors import DTypeError, FetchError, FlowError, UnknownOpError
from ...core.graph import Graph, Node, Tensor
from ...core.types import TensorType
from ..fetching import fetched, needed
from ..making import fresh
from .counterparts import RULES, Use
from .package import MOST_BYTES, package

OPSET, IR, DOMAIN = 20, 9, "flowlab"
SHARED = 1024                   # values; a larger constant goes into a function as an input, so that it is stored once


def to_onnx(graph: Graph, fetches: Any, session: Any = None) -> Any:
    """The part of a graph that computes the fetches as an ONNX model (opset 20), which onnxruntime and many others run.

    `fetches`: as `Session.run` takes them; `session` gives the variables' values. Inputs are named after the placeholders, outputs after the fetches
    (a dict's keys, else the nodes), a named size stays an axis whose size may vary. Loops become Scan or Loop, `fl.cond` If, a composite a function of
    the model. Random operations draw numbers of their own, and onnxruntime refuses a Scan over no timesteps. The model has passed ONNX's full checker. UnknownOpError names a node whose operation ONNX
    has not; derivatives and training stay here.

    >>> import flowlab as fl
    >>> with fl.Graph("line") as g:
    ...     x = fl.placeholder(("batch", 3), name="x")
    ...     y = fl.relu(x @ np.ones((3, 2), "float32"), name="y")
    >>> model = fl.to_onnx(g, y)
    >>> [i.name for i in model.graph.input], [n.op_type for n in model.graph.node], [o.name for o in model.graph.output]
    (['x'], ['MatMul', 'Relu'], ['y'])
    """
    asked = [(name, _a_value(t)) for name, t in fetched(graph, fetches)]
    if not asked:
        raise FetchError("there is nothing to fetch.", hint="Give a tensor, a name, or a list or dict of them.")
    model = Model(package(), session)
    main = Block(model, Space(model), lambda name: name)
    nodes = needed([t for _, t in asked])
    for node in nodes:
        if node.op.source == "placeholder":
            main.names[node.outputs[0]] = main.space.unique(node.name)
    inputs = [model.value_info(main.names[n.outputs[0]], n.outputs[0].type) for n in nodes if n.op.source == "placeholder"]
    outputs = []
    for wanted, t in asked:
        name = main.space.unique(wanted or (value_name(t) if t.node.op.source is None else t.name))
        if t.node.op.source is None and t not in main.final:
            main.final[t] = name
        outputs.append((name, t))
    model.follow(nodes, [t for _, t in asked])
    main.write(nodes, graph.composites)
    for name, t in outputs:
        if main.value(t) != name:
            main.emit("Identity", [main.value(t)], 1, {}, [name])
    return model.built(graph.name, main, inputs, outputs)


def _a_value(t: Tensor | Node) -> Tensor:
    if isinstance(t, Node):
        raise FetchError(f"{t.name} ({t.op.name}) gives no value, and training stays in flowlab.", node=t.name, hint="Fetch what the model computes.")
    return t


def value_name(t: Tensor) -> str:
    """`y` of a node with one output, `lstm/LSTM:h_n` of one with several."""
    return t.node.name if len(t.node.outputs) == 1 else f"{t.node.name}:{t.node.output_names[t.index]}"


class Model:
    """The model while it is written: functions, initializers, and who uses which tensor."""

    def __init__(self, onnx: Any, session: Any):
        self.onnx, self.session = onnx, session
        self.functions: dict[str, Any] = {}         # what a function computes, without its name → the function
        self.names: set[str] = set()                # of functions
        self.initializers: dict[str, np.ndarray] = {}
        self.users: dict[Tensor, list[Node]] = {}
        self.asked: set[Tensor] = set()

    def follow(self, nodes: Sequence[Node], asked: Sequence[Tensor]) -> None:
        """Note who uses which tensor."""
        for node in nodes:
            for t in node.inputs:
                self.users.setdefault(t, []).append(node)
        self.asked.update(asked)

    def number(self, dtype: Any) -> int:
        """ONNX's number for a dtype."""
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def tensor(self, array: np.ndarray, name: str = "") -> Any:
        return self.onnx.numpy_helper.from_array(np.ascontiguousarray(array) if array.ndim else array, name)

    def value_info(self, name: str, type: TensorType) -> Any:
        return self.onnx.helper.make_tensor_value_info(name, self.number(type.dtype), list(type.shape))

    def variable(self, node: Node) -> np.ndarray:
        """The value of a variable in the session."""
        if self.session is None:
            raise FlowError(f"the model has the variable {node.name}, and no session says what is in it.", node=node.name, hint="fl.to_onnx(g, fetches, sess)")
        return np.asarray(self.session.variables[node.name])

    def built(self, name: str, main: Block, inputs: Sequence[Any], outputs: Sequence[tuple[str, Tensor]]) -> Any:
        helper = self.onnx.helper
        used = _used(main.nodes)
        held = {k: v for k, v in self.initializers.items() if k in used}
        size = sum(v.nbytes for v in held.values())
        if size > MOST_BYTES:
            raise FlowError(f"the variables and constants take {size:,} bytes, and an ONNX file holds {MOST_BYTES:,}.", hint="Fetch a part of the graph at a time.")
        infos = [self.value_info(n, t.type) for t, n in main.names.items() if t.node.op.source is None and n not in dict(outputs)]
        graph = helper.make_graph(main.nodes, name, list(inputs), [self.value_info(n, t.type) for n, t in outputs], [self.tensor(v, k) for k, v in held.items()], value_info=infos)
        opsets = [helper.make_opsetid("", OPSET), *([helper.make_opsetid(DOMAIN, 1)] if self.functions else [])]
        model = helper.make_model(graph, opset_imports=opsets, functions=list(self.functions.values()), ir_version=IR, producer_name="flowlab")
        try:
            self.onnx.checker.check_model(model, full_check=True)
        except (self.onnx.checker.ValidationError, self.onnx.shape_inference.InferenceError) as error:
            raise FlowError(f"ONNX's checker refuses the model: {error}", hint="A dtype that ONNX lacks for an operation is the usual cause: float32 and int64 are taken everywhere.") from None
        return model


def _used(nodes: Sequence[Any]) -> set[str]:
    """The names of all values that nodes and the graphs inside them read."""
    found: set[str] = set()
    for node in nodes:
        found.update(node.input)
        for a in node.attribute:
            if a.HasField("g"):
                found |= _used(a.g.node) | {o.name for o in a.g.output}
    return found


def _renamed(nodes: Sequence[Any], names: Mapping[str, str]) -> None:
    for node in nodes:
        for row in (node.input, node.output):
            row[:] = [names.get(n, n) for n in row]
        if node.output:
            node.name = next(n for n in node.output if n)
        for a in node.attribute:
            if a.HasField("g"):
                _renamed(a.g.node, names)


class Space:
    """Where names are unique: the model's graph with all that is inside it, or one function."""

    def __init__(self, model: Model, function: bool = False):
        self.model, self.function = model, function
        self.used: set[str] = set()
        self.head: list[Any] = []       # of a function: the nodes that hold its constants
        self.small: dict[Any, str] = {}

    def unique(self, name: str) -> str:
        found = fresh(name, self.used)
        self.used.add(found)
        return found

    def constant(self, array: np.ndarray, name: str) -> str:
        """The name of a fixed value; equal small ones are stored once."""
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 64 else None
        if key is None or key not in self.small:
            name = self.unique(name)
            if self.function:
                self.head.append(self.model.onnx.helper.make_node("Constant", [], [name], name=name, value=self.model.tensor(array)))
            else:
                self.model.initializers[name] = array
            if key is None:
                return name
            self.small[key] = name
        return self.small[key]


class Block:
    """A list of ONNX nodes being written: the model's, a function's, or that of a graph inside a node."""

    def __init__(self, model: Model, space: Space, rename: Callable[[str], str]):
        self.model, self.space, self.rename = model, space, rename
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.names: dict[Tensor, str] = {}
        self.final: dict[Tensor, str] = {}      # the names that some values have to get
        self.label = "value"

    # ------------------------------------------------------------ what the rules call

    def emit(self, op: str, inputs: Sequence[str], n: int, attrs: Mapping[str, Any], outputs: Sequence[str] | None = None, domain: str = "") -> list[str]:
        helper, kinds = self.model.onnx.helper, self.model.onnx.AttributeProto
        outs = list(outputs) if outputs is not None else [self.space.unique(f"{self.label}.{op}") for _ in range(n)]
        node = helper.make_node(op, list(inputs), outs, name=outs[0], domain=domain)
        for key, v in attrs.items():
            v = self.model.tensor(v) if isinstance(v, np.ndarray) else v
            node.attribute.append(helper.make_attribute(key, v, attr_type=kinds.INTS if isinstance(v, list) and not v else None))
        self.nodes.append(node)
        return outs

    def constant(self, array: np.ndarray) -> str:
        return self.space.constant(array, f"{self.label}.constant")

    def held(self, name: str) -> np.ndarray | None:
        """The value of that name, if it is fixed."""
        return None if self.space.function else self.model.initializers.get(name)

    def inner(self) -> Block:
        """A block for the graph inside a node: it sees the names of this one."""
        block = Block(self.model, self.space, self.rename)
        block.label = self.label
        return block

    def declare(self, name: str, type: TensorType) -> str:
        """A further input of the graph inside a node."""
        name = self.space.unique(name)
        self.inputs.append(self.model.value_info(name, type))
        return name

    def input(self, t: Tensor) -> str:
        return self.declare(f"{self.label}.{t.node.name}", t.type)

    def inlined(self, body: Graph, names: Mapping[Tensor, str], outputs: Sequence[Tensor], prefix: str) -> list[str]:
        """Write what a body computes from values of these names; returns the names of its outputs."""
        block = Block(self.model, self.space, lambda name: self.rename(f"{prefix}/{name}"))
        block.nodes, block.names = self.nodes, dict(names)
        nodes = needed(outputs, names)
        self.model.follow(nodes, outputs)
        block.write(nodes, {})
        return [block.value(t) for t in outputs]

    def graph(self, name: str, outputs: Sequence[tuple[str, Any]]) -> Any:
        """The graph inside a node. Each output is a value of its own that is made here."""
        made = {n for node in self.nodes for n in node.output}
        infos, taken = [], set()
        for value, t in outputs:
            if value not in made or value in taken:
                value, = self.emit("Identity", [value], 1, {})
            taken.add(value)
            infos.append(self.model.value_info(value, getattr(t, "type", t)))
        return self.model.onnx.helper.make_graph(self.nodes, self.space.unique(f"{self.label}.{name}"), self.inputs, infos)

    # ------------------------------------------------------------ nodes and composites

    def value(self, t: Tensor) -> str:
        """The name of a tensor's value."""
        if t not in self.names:
            node = t.node
            if node.op.source == "constant":
                name = self.space.constant(node.attrs["value"], self.rename(node.name))
            elif node.op.source == "variable":
                name = self.space.unique(self.rename(node.name))
                self.model.initializers[name] = self.model.variable(node)
            else:
                raise FetchError(f"{node.name} has no value here.", node=node.name)
            self.names[t] = name
        return self.names[t]

    def write(self, nodes: Sequence[Node], composites: Mapping[str, Composite], scope: str = "") -> None:
        for item in _in_order([n for n in nodes if n.op.source is None], composites, scope):
            if isinstance(item, Node):
                self.one(item)
            else:
                self.call(item[0], item[1], composites)

    def one(self, node: Node) -> None:
        """Write one node."""
        start, self.label = len(self.nodes), self.rename(node.name)
        wanted = [t in self.model.users or t in self.model.asked for t in node.outputs]
        use = Use(self, node, [self.value(t) for t in node.inputs], wanted)
        rule = RULES.get(node.op.name)
        made = rule(use) if rule is not None else None
        if made is None:
            made = self.declared(use)
        self.label = self.rename(node.name)
        names, fresh = {}, {n for m in self.nodes[start:] for n in m.output}
        for t, name in zip(node.outputs, [made] if isinstance(made, str) else made):
            if name is None or not wanted[t.index]:
                continue
            final = self.final.get(t) or self.space.unique(self.rename(value_name(t)))
            if name in fresh and name not in names:
                names[name] = final
            else:
                self.emit("Identity", [names.get(name, name)], 1, {}, [final])
            self.names[t] = final
        _renamed(self.nodes[start:], names)

    def declared(self, use: Use) -> str:
        """The ONNX node that the operation's declaration names."""
        node, op = use.node, use.node.op
        if not op.onnx:
            back = node.phase != "forward" or not op.listed or op.category == "state"
            raise UnknownOpError(f"{node.name}: ONNX has nothing that computes {op.name}.", node=node.name,
                                 hint="Derivatives and training stay in flowlab: fetch what the forward pass computes." if back else
                                 f"Fetch what goes into it ({', '.join(t.name for t in node.inputs)}) and compute it outside, or say @fl.op(…, onnx=…) of an operation of your own.")
        schema = _schema(self.model.onnx, op.onnx, node)
        for k, (t, port) in enumerate(zip(node.inputs, node.ports)):
            takes = schema.inputs[min(k, len(schema.inputs) - 1)].types
            word = {"float32": "float", "float64": "double"}.get(t.dtype.name, t.dtype.name)
            if takes and f"tensor({word})" not in takes:
                raise DTypeError(f"{node.name}: ONNX's {op.onnx} takes no {t.dtype}.", node=node.name, port=port, hint='fl.cast(x, "float32")')
        attrs = {}
        for name, v in node.attrs.items():
            name = op.onnx_attrs.get(name, name)
            if v is not None and name in schema.attributes:
                attrs[name] = int(v) if isinstance(v, bool) else list(v) if isinstance(v, tuple) else v
        given = dict(zip(node.ports, use.names))
        names = use.names if op.variadic else [given.get(i.name, "") for i in op.inputs]
        while names and not names[-1]:
            names.pop()
        return self.emit(op.onnx, names, 1, attrs)[0] if len(node.outputs) == 1 else self.emit(op.onnx, names, len(node.outputs), attrs)

    def call(self, scope: str, nodes: Sequence[Node], composites: Mapping[str, Composite]) -> None:
        """A composite as a function of the model, and the node that calls it."""
        signature, inside = composites[scope], set(nodes)
        block = Block(self.model, Space(self.model, function=True), lambda name: name.removeprefix(f"{scope}/"))
        ports = {t: port for port, t in signature.inputs.items()}
        outer = list(dict.fromkeys(t for n in nodes for t in n.inputs if t.node not in inside and not _repeated(t)))
        outer.sort(key=lambda t: list(ports).index(t.name) if t.name in ports else len(ports))
        for t in outer:
            block.names[t] = block.space.unique(ports.get(t.name) or t.node.name.rpartition("/")[2])
        named = {t: port for port, t in signature.outputs.items()}
        ends = [t for n in nodes for t in n.outputs if t in self.model.asked or any(m not in inside for m in self.model.users.get(t, ()))]
        for t in ends:
            block.final[t] = block.space.unique(named.get(t.name) or block.rename(value_name(t)))
        block.write(nodes, composites, scope)
        helper = self.model.onnx.helper
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
        made = helper.make_function(DOMAIN, "", [block.names[t] for t in outer], [block.final[t] for t in ends], [*block.space.head, *block.nodes], opsets, doc_string=signature.doc)
        same = self.model.functions.setdefault(str(made.SerializeToString(deterministic=True)), made)
        if same is made:
            k, made.name = 0, signature.function
            while made.name in self.model.names or self.model.onnx.defs.has(made.name):     # onnxruntime takes a function Gather for ONNX's own, and dies
                k += 1
                made.name = f"{signature.function}_{k}"
            self.model.names.add(made.name)
        finals = [self.final.get(t) or self.space.unique(self.rename(value_name(t))) for t in ends]
        self.emit(same.name, [self.value(t) for t in outer], len(ends), {}, finals, DOMAIN)
        self.nodes[-1].name = self.rename(scope)
        self.names.update(zip(ends, finals))


def _repeated(t: Tensor) -> bool:
    """Is it a constant so small that every function has its own?"""
    return t.node.op.source == "constant" and t.node.attrs["value"].size <= SHARED


@cache
def _schema_of(onnx: Any, name: str) -> Any:
    return onnx.defs.get_schema(name, OPSET)


def _schema(onnx: Any, name: str, node: Node) -> Any:
    try:
        return _schema_of(onnx, name)
    except onnx.defs.SchemaError:
        raise UnknownOpError(f"{node.name}: {node.op.name} is declared to be ONNX's {name}, and there is none in opset {OPSET}.", node=node.name, hint="Names are written as in the ONNX operator list, such as Gelu.") from None


def _in_order(nodes: Sequence[Node], composites: Mapping[str, Composite], scope: str) -> list[Node | tuple[str, list[Node]]]:
    """The nodes and, as one item each, the composites right inside a scope, every item after what it needs.

    A scope that something outside both needs and feeds cannot be one function; its nodes stand by themselves.
    """
    scopes = [s for s in composites if s.startswith(f"{scope}/" if scope else "")]
    broken: set[str] = set()
    while True:
        item_of: dict[Node, Any] = {}
        members: dict[str, list[Node]] = {}
        for n in nodes:
            above = [s for s in scopes if n.name.startswith(f"{s}/") and s not in broken]
            item_of[n] = min(above, key=len, default=n)
            if above:
                members.setdefault(item_of[n], []).append(n)
        waits: dict[Any, set[Any]] = {item: set() for item in item_of.values()}
        for n, item in item_of.items():
            waits[item].update(i for t in n.inputs if (i := item_of.get(t.node, item)) is not item and i != item)
        first = {item: k for k, item in reversed(list(enumerate(item_of.values())))}
        after: dict[Any, list[Any]] = {}
        for item, others in waits.items():
            for other in others:
                after.setdefault(other, []).append(item)
        left = {item: len(others) for item, others in waits.items()}
        ready = [(first[i], k, i) for k, (i, n) in enumerate(left.items()) if not n]
        heapq.heapify(ready)
        order: list[Any] = []
        while ready:
            _, _, item = heapq.heappop(ready)
            order.append(item)
            for other in after.get(item, ()):
                left[other] -= 1
                if not left[other]:
                    heapq.heappush(ready, (first[other], len(order), other))
        if len(order) == len(waits):
            return [item if isinstance(item, Node) else (item, members[item]) for item in order]
        broken.update(item for item in waits if isinstance(item, str) and item not in order)
