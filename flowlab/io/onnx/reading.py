"""fl.from_onnx: an ONNX model as a graph. Each node of the model is a handler's work; what has no handler is read from ONNX's own function body."""
from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.composite import Composite
from ...core.errors import AttributeValueError, FlowError, plural
from ...core.graph import Graph, Tensor, current_graph
from ...core.op import REGISTRY
from ...core.types import TensorType, shape_of
from ...ops.foreign import opaque
from ...ops.math import identity
from ...ops.state import placeholder
from ..modules import module_scope
from .files import DEEPEST, FREE, HELD, NotInFlowlab, Spent, TooMuch, array_of, check, dtype, kind_of, model_of, tensors_of
from .package import package
from .values import LARGEST, Names, Value, computed, dim_name

Handler = Callable[["Use"], Any]
HANDLERS: dict[tuple[str, str], Handler] = {}      # (domain, operator) → what makes nodes of it
SINGLE = {(o.onnx_domain if hasattr(o, "onnx_domain") else "", o.onnx): o for o in REGISTRY.values() if getattr(o, "onnx", "")}     # as the ops declare it


def reads(*operators: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Register what makes nodes of the operators named."""
    def put(handler: Handler) -> Handler:
        for operator in operators:
            HANDLERS[domain, operator] = handler
        return handler
    return put


@dataclass
class Imported:
    """A model as a graph, with the names that it has there."""

    graph: Graph
    values: dict[str, np.ndarray] = field(default_factory=dict)     # variable → its array
    inputs: dict[str, Any] = field(default_factory=dict)            # the model's name → placeholder, of a sequence a list of them
    outputs: dict[str, Any] = field(default_factory=dict)           # the model's name → tensor, of a sequence a list of them
    opaque: list[tuple[str, str, NotInFlowlab]] = field(default_factory=list)     # (node, operator, why)


class Use:
    """One node of the model, as its handler sees it: inputs, attributes, version."""

    def __init__(self, reader: Reader, node: Any, inputs: list[Value | None], version: int, outer: Mapping[str, Any], scope: Scope):
        self.reader, self.node, self.inputs, self.version, self.scope = reader, node, inputs, version, scope
        self.spent = reader.spent       # to be asked before a file's numbers say how much is made
        self.op, self.name = node.op_type, ""
        self.outputs = len(node.output)
        self._attributes = {}
        for a in node.attribute:
            if a.ref_attr_name:
                if a.ref_attr_name in outer:
                    self._attributes[a.name] = outer[a.ref_attr_name]
            else:
                self._attributes[a.name] = a

    def attr(self, name: str, default: Any = None) -> Any:
        """The attribute: a number, text, list, array or subgraph; the default where it is not given."""
        a = self._attributes.get(name)
        return default if a is None else attribute_value(a)

    @property
    def attributes(self) -> Mapping[str, Any]:
        return self._attributes

    def only(self, op: Any, *args: Any, **attrs: Any) -> Any:
        """The node of `op`, under the model's own name where it is the only one that this node of the model becomes."""
        graph = current_graph()
        scope, _, last = self.name.rpartition("/")
        if graph._scope != self.name or self.name in graph._scopes:
            return op(*args, **attrs)
        with graph.state(scope=scope):
            return op(*args, name=last, **attrs)

    def wanted(self, k: int) -> bool:
        """Does anybody read output k?"""
        return k < len(self.node.output) and bool(self.node.output[k])

    def has(self, k: int) -> bool:
        return k < len(self.inputs) and self.inputs[k] is not None

    def given(self, k: int) -> Value:
        """Input k; NotInFlowlab if it is left out."""
        value = self.inputs[k] if k < len(self.inputs) else None
        if value is None:
            raise NotInFlowlab(f"input {k} is left out")
        return value

    def __getitem__(self, k: int) -> Tensor:
        return self.tensor(k)

    def tensor(self, k: int, trainable: bool = True) -> Tensor:
        """Input k as a tensor of the open graph."""
        value = self.given(k)
        return (value if trainable else self.reader.apart(value)).tensor(self.reader.names, trainable)

    @property
    def tensors(self) -> list[Tensor]:
        return [self[k] for k in range(len(self.inputs)) if self.has(k)]

    def array(self, k: int) -> np.ndarray:
        """Input k as an array; NotInFlowlab if it is left out, or computed when the graph runs."""
        value = self.given(k)
        if value.array is None:
            raise NotInFlowlab(f"{self.op} needs the value of its input {value.name!r} while the model is read, and it is computed when the graph runs", value.roots)
        return value.array

    def array_if(self, k: int) -> np.ndarray | None:
        """The same, None if it is left out."""
        return self.array(k) if self.has(k) else None

    def scalar(self, k: int) -> Any:
        """The one number that input k holds, None if it is left out."""
        array = self.array_if(k)
        if array is None:
            return None
        if array.size != 1:
            raise NotInFlowlab(f"{self.op} takes one number as its input {k}, and it has {array.size}")
        return array.reshape(-1)[0].item()

    def ints(self, k: int, attribute: str | None = None) -> list[int]:
        """Whole numbers that are input k, or in older versions an attribute."""
        if attribute is not None and attribute in self._attributes:
            got = self.attr(attribute)
            return [got] if isinstance(got, int) else list(got)
        return [int(v) for v in self.array(k).reshape(-1)]

    def ints_if(self, k: int) -> list[int] | None:
        """The same, None if it is left out."""
        return self.ints(k) if self.has(k) else None

    def dims(self, k: int) -> list[Any]:
        """The sizes that input k holds: numbers, and names or None where they show only in a run; NotInFlowlab if nothing is known."""
        value = self.given(k)
        if value.array is None and value.dims is not None:
            return value.dims.reshape(-1).tolist()
        return self.ints(k)

    def sizes(self, k: int) -> tuple[int, ...]:
        """The shape of input k in numbers; NotInFlowlab where a size is unknown."""
        value = self.given(k)
        shape = value.type.shape
        if not all(isinstance(d, int) for d in shape):
            raise NotInFlowlab(f"{self.op} needs the sizes of its input {value.name!r} in numbers, and its type is {value.type}", value.roots, True)
        return shape


def attribute_value(a: Any) -> Any:
    kinds = package().AttributeProto
    match a.type:
        case kinds.FLOAT:
            return float(a.f)
        case kinds.INT:
            return int(a.i)
        case kinds.STRING:
            return a.s.decode("utf-8", "replace")
        case kinds.TENSOR:
            return array_of(a.t)
        case kinds.GRAPH:
            return a.g
        case kinds.FLOATS:
            return [float(v) for v in a.floats]
        case kinds.INTS:
            return [int(v) for v in a.ints]
        case kinds.STRINGS:
            return [s.decode("utf-8", "replace") for s in a.strings]
        case kinds.SPARSE_TENSOR:
            return _dense(a.sparse_tensor)
    raise NotInFlowlab(f"its attribute {a.name} is of a kind that flowlab does not read")


def _dense(sparse: Any) -> np.ndarray:
    shape = tuple(sparse.dims)
    count = int(np.prod(shape, dtype=object)) if shape else 1
    if count > LARGEST * 64 or any(d < 0 for d in shape):
        raise NotInFlowlab(f"a sparse tensor of {count:,} values is more than flowlab writes out")
    out, values, indices = np.zeros(count, dtype(sparse.values.data_type)), array_of(sparse.values), array_of(sparse.indices)
    if indices.ndim == 2:
        indices = np.ravel_multi_index(tuple(indices.T), shape)
    out[indices] = values
    return out.reshape(shape)


class Scope:
    """The values that a graph or function of the model can see by name."""

    def __init__(self, parent: Scope | None = None, opsets: Mapping[str, int] | None = None, attributes: Mapping[str, Any] | None = None):
        self.parent, self.values = parent, {}
        self.opsets: Mapping[str, int] = opsets if opsets is not None else parent.opsets if parent else {}
        self.attributes: Mapping[str, Any] = attributes if attributes is not None else parent.attributes if parent else {}

    def find(self, name: str) -> Value:
        at: Scope | None = self
        while at is not None:
            if name in at.values:
                return at.values[name]
            at = at.parent
        raise NotInFlowlab(f"nothing is called {name!r} here")


class Reader:
    """Walks a model and adds its nodes to a graph."""

    def __init__(self, model: Any, graph: Graph):
        from . import reading_arrays, reading_layers, reading_loops, reading_numbers, reading_recurrent, reading_sequences, reading_training  # noqa: F401  # they register their handlers
        self.model, self.graph, self.names = model, graph, Names(graph)
        self.functions = {(f.domain, f.name, getattr(f, "overload", "")): f for f in model.functions}
        self.result = Imported(graph)
        self.outputs = {"/".join(p for p in o.name.split("/") if p) for o in model.graph.output}
        self.weights: list[Value] = []
        self.kept: dict[str, np.ndarray] = {}
        self.spent, self._depth = Spent(sum(t.ByteSize() for t in tensors_of(model))), 0
        self._types: dict[str, Any] | None = None

    # ------------------------------------------------------------ the whole

    def read(self, given: Mapping[str, np.ndarray], shapes: Mapping[str, Any]) -> Imported:
        proto, out = self.model.graph, self.result
        scope = Scope(opsets={o.domain if o.domain != "ai.onnx" else "": o.version for o in self.model.opset_import})
        with self.graph:
            self.initializers(proto, scope)
            for info in proto.input:
                if info.name in given:
                    scope.values[info.name] = Value(info.name, array=given[info.name], kind=narrow(info.type.tensor_type.elem_type))
                elif info.name not in scope.values:
                    scope.values[info.name] = self.input(info, shapes.get(info.name, Ellipsis))
            self.walk(proto.node, scope)
            for info in proto.output:
                value = scope.values.get(info.name)
                if value is not None and value.items is not None:
                    out.outputs[info.name] = [identity(v.tensor(self.names), name=self.names(f"{info.name}/{k}", "output")) for k, v in enumerate(value.items)]
                elif value is not None and value.empty:
                    out.outputs[info.name] = None
                elif value is not None and not value.why:
                    out.outputs[info.name] = identity(value.tensor(self.names), name=self.names(info.name, "output"))
            out.values = {**{v.variable.node.name: v.array for v in self.weights if v.variable is not None}, **self.kept}
        return out

    def initializers(self, proto: Any, scope: Scope) -> None:
        for tensor in proto.initializer:
            try:
                array = array_of(tensor)
            except NotInFlowlab as error:
                scope.values[tensor.name] = Value(tensor.name, why=error.reason)
                continue
            value = scope.values[tensor.name] = Value(tensor.name, array=array, weight=array.dtype.kind == "f" and array.ndim > 0, kind=narrow(tensor.data_type), home=self.graph)
            if value.weight:
                self.weights.append(value)
        for sparse in proto.sparse_initializer:
            try:
                array = _dense(sparse)
                self.spent.hold(array.nbytes)
                self.spent.bytes += array.nbytes
                scope.values[sparse.values.name] = Value(sparse.values.name, array=array)
            except NotInFlowlab as error:
                scope.values[sparse.values.name] = Value(sparse.values.name, why=error.reason)

    def apart(self, value: Value) -> Value:
        """A weight of its own in the place of a copy of one: what is not trained does not change with what is. PyTorch's exporter writes equal initial values as one weight and copies of it."""
        if value.copies is None:
            return value
        if value.own is None:
            value.own = Value(value.name, array=value.copies.array, weight=True, kind=value.kind, home=self.graph)
            self.weights.append(value.own)
        return value.own

    def keep(self, made: Tensor, array: np.ndarray) -> None:
        """Remember the array that a variable of a handler's own making starts from."""
        self.kept[made.node.name] = array

    def input(self, info: Any, shape: Any) -> Value:
        """An input of the model: a placeholder; for a sequence one an entry, if `shape` lists their shapes; None says that an optional one is left out."""
        kind, proto = info.type.WhichOneof("value"), info.type
        if kind == "optional_type":
            kind, proto = proto.optional_type.elem_type.WhichOneof("value"), proto.optional_type.elem_type
            if shape is None:
                self.result.inputs[info.name] = None
                return Value(info.name, empty=True, why=f"its input {info.name!r} is left out")
        try:
            if kind == "sequence_type":
                element = proto.sequence_type.elem_type.tensor_type.elem_type
                if not isinstance(shape, list):
                    raise NotInFlowlab("how many entries a sequence has must be known, and their shapes", (), True)
                entries = [placeholder(s, dtype(element), name=self.names(f"{info.name}/{k}", "input")) for k, s in enumerate(shape)]
                self.result.inputs[info.name] = entries
                return Value(info.name, items=[Value(t.node.name, tensor=t, kind=narrow(element)) for t in entries])
            element = proto.tensor_type.elem_type
            if info.type.HasField("optional_type") and shape is Ellipsis:
                raise NotInFlowlab("whether an optional value has an element must be known", (), True)
            found = TensorType(shape, dtype(element)) if kind == "tensor_type" and shape is not Ellipsis else type_of(proto, info.name)
        except NotInFlowlab as error:
            return Value(info.name, why=f"its input {info.name!r}: {error.reason}", sizes=error.sizes)
        tensor = placeholder(found.shape, found.dtype, name=self.names(info.name, "input"))
        self.result.inputs[info.name] = tensor
        value = Value(info.name, tensor=tensor, kind=narrow(element))
        value.roots = frozenset({info.name})
        return value

    # ------------------------------------------------------------ node by node

    def walk(self, nodes: Sequence[Any], scope: Scope) -> None:
        self._depth += 1
        try:
            if self._depth > DEEPEST:
                raise NotInFlowlab(f"subgraphs and functions stand more than {DEEPEST} deep inside one another")
            for node in nodes:
                self.spent.step()
                self.step(node, scope)
        finally:
            self._depth -= 1

    def step(self, node: Any, scope: Scope) -> None:
        """Add what one node of the model computes; where that cannot be, an opaque node."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        values: list[Value | None] = []
        try:
            values = [scope.find(name) if name else None for name in node.input]
            for v in values:
                if v is not None and v.why and not v.empty:
                    raise NotInFlowlab(v.why, v.roots, v.sizes)
            use = Use(self, node, values, scope.opsets.get(domain, 1), scope.attributes, scope)
            made = self.folded(use, domain) or self.made(use, domain)
        except TooMuch:
            raise
        except Exception as error:  # a file may wire anything to anything
            why = error if isinstance(error, NotInFlowlab) else NotInFlowlab(str(error) if isinstance(error, FlowError) else f"{type(error).__name__}: {error}")
            made = self.unreadable(node, values, why)
        self.spent.count(current_graph(), made)
        roots = frozenset().union(*(v.roots for v in values if v is not None))
        for name, value in zip(node.output, made):
            if name:
                value.name, value.roots = name, value.roots | roots
                scope.values[name] = value

    def folded(self, use: Use, domain: str) -> list[Value] | None:
        """The outputs as known arrays, if the inputs are: shapes and axes are worked out while the model is read."""
        known = [v for v in use.inputs if v is not None]
        if not all(v.known and v.array.size <= LARGEST for v in known) or any(a.HasField("g") for a in use.node.attribute):
            return self.sizes(use, domain)
        if self.function(use) is not None or (domain, use.op) not in HANDLERS and (domain, use.op) not in SINGLE:
            return None     # each node of the body is folded by itself
        graph, apart = Graph("folding"), Reader.__new__(Reader)
        apart.__dict__.update(self.__dict__, graph=graph, names=Names(graph), result=Imported(graph), weights=[])
        values = [None if v is None else Value(v.name, array=v.array, kind=v.kind) for v in use.inputs]
        scope = Scope(None, use.scope.opsets, use.scope.attributes)
        with graph:
            use_apart = Use(apart, use.node, values, use.version, use.scope.attributes, scope)
            try:
                made = apart.made(use_apart, domain)
                if apart.result.opaque:
                    return None
                tensors = [v.tensor() for v in made if v.array is None]
            except TooMuch:
                raise
            except Exception:   # said again, with a place, where it is not folded
                return None
            finally:
                self.spent.nodes += max(len(graph) - FREE, 0)
        arrays = computed(tensors)
        if arrays is None:
            return None
        rest = iter(arrays)
        return [Value("", array=v.array if v.array is not None else _frozen(next(rest)), kind=v.kind) for v in made]

    def sizes(self, use: Use, domain: str) -> list[Value] | None:
        """What is known of numbers that are sizes, as far as the few operators that hand them on let it be known."""
        from .reading_arrays import SIZES
        rule = SIZES.get(use.op) if domain == "" else None
        if rule is None:
            return None
        parts: list[Any] = []
        for v in use.inputs:
            if v is None:
                parts.append(None)
            elif v.dims is not None:
                parts.append(v.dims)
            elif v.known and v.array.size <= 64:
                parts.append(v.array)
            elif use.op == "Shape":
                parts.append(v)
            else:
                return None
        got = rule(use, *parts)
        if got is None:
            return None
        got = np.asarray(got, object)
        if got.ndim > 1:
            return None
        flat = [d if isinstance(d, str) or d is None else int(d) for d in got.reshape(-1)]
        if all(isinstance(d, int) for d in flat):
            return [Value("", array=np.array(flat, "int64").reshape(got.shape))]
        graph, scope = current_graph(), current_graph()._scope

        def make() -> Tensor:
            with graph.state(scope=scope):
                return self.made(use, domain)[0].tensor(self.names)
        return [Value("", make=make, dims=_objects(flat).reshape(got.shape))]

    def function(self, use: Use) -> Any:
        """The function of the model that a node calls, None if it calls none."""
        return self.functions.get((use.node.domain, use.op, getattr(use.node, "overload", "")))

    def made(self, use: Use, domain: str) -> list[Value]:
        """The outputs of a node, added to the open graph."""
        handler, op = HANDLERS.get((domain, use.op)), SINGLE.get((domain, use.op))
        function = self.function(use)
        graph = current_graph()
        if function is None and handler is None and op is not None:
            return _values(single(op, use, self.label(use)))
        inner = None if function is not None else handler
        if inner is None and function is None:
            function = self.body_of(use, domain)
            if function is None:
                word = f"{domain}.{use.op}" if domain else use.op
                raise NotInFlowlab(f"flowlab has no operation for ONNX's {word}")
        name = use.name = self.label(use)
        with graph.state(scope=name):
            made = _values(inner(use)) if inner is not None else self.call(function, use)
        if graph is self.graph and name in graph._scopes:
            ins = {str(k): t.name for k, v in enumerate(use.inputs) if v is not None and (t := v.here) is not None and t.graph is graph}
            outs = {str(k): t.name for k, v in enumerate(made) if (t := v.here) is not None and t.graph is graph}
            graph.composites[name] = Composite(use.op, _doc(domain, use.op), ins, outs)
        return made

    def label(self, use: Use) -> str:
        """The full name for what a node of the model becomes."""
        graph = current_graph()
        given = _given(use.node)
        outer = graph._scope
        named = Names(graph, self.outputs)
        return named(f"{outer}/{given}" if outer and not given.startswith(f"/{outer}/") and not given.startswith(f"{outer}/") else given, use.op)

    def call(self, function: Any, use: Use) -> list[Value]:
        """A function's body, written out in the scope that is open."""
        defaults = {a.name: a for a in function.attribute_proto}
        opsets = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in function.opset_import}
        opsets = {**use.scope.opsets, **opsets}
        scope = Scope(None, opsets, {**defaults, **use.attributes})
        for k, name in enumerate(function.input):
            value = use.inputs[k] if k < len(use.inputs) else None
            if value is not None:
                scope.values[name] = value
        body = _Optional(scope, set(function.input))
        self.walk(function.node, body)
        out = []
        for k, name in enumerate(function.output):
            value = scope.values.get(name)
            if value is None and not use.wanted(k):
                value = Value(name, why="nobody reads it")
            if value is None:
                raise NotInFlowlab(f"the function {function.name} never gives its output {name!r}")
            out.append(_again(value))
            if k + 1 >= use.outputs:
                break
        return out

    def body_of(self, use: Use, domain: str) -> Any:
        """ONNX's own function body of an operator, None if it has none; what its attributes are if they are not given stands in it."""
        onnx = package()
        if not onnx.defs.has(use.op, domain=domain):
            return None
        try:
            schema = onnx.defs.get_schema(use.op, use.version, domain)
        except onnx.defs.SchemaError:
            return None
        if schema.has_context_dependent_function:
            from_version = max((v for v in schema.context_dependent_function_opset_versions if v <= use.version), default=None)
            if from_version is not None:
                types = [type_proto(v) for v in use.inputs]
                node = onnx.NodeProto()
                node.CopyFrom(use.node)
                del node.attribute[:]
                for key, a in use.attributes.items():
                    b = node.attribute.add()
                    b.CopyFrom(a)
                    b.name = key
                try:
                    data = schema.get_context_dependent_function_with_opset_version(from_version, node.SerializeToString(), [t.SerializeToString() for t in types])
                except Exception as error:  # ONNX's builders raise what they like
                    raise NotInFlowlab(f"ONNX makes no function body for this {use.op}: {error}") from None
                function = onnx.FunctionProto()
                function.ParseFromString(data)
                return _with_defaults(function, schema)
        if schema.has_function:
            versions = [v for v in schema.function_opset_versions if v <= use.version]
            if versions:
                function = onnx.FunctionProto()
                got = schema.get_function_with_opset_version(max(versions))
                if isinstance(got, bytes):
                    function.ParseFromString(got)
                else:
                    function.CopyFrom(got)
                return _with_defaults(function, schema)
        return None

    # ------------------------------------------------------------ what cannot be read

    def unreadable(self, node: Any, values: list[Value | None], error: NotInFlowlab) -> list[Value]:
        """An opaque node in the place of one that flowlab cannot compute; running it raises the error that names it."""
        reason = error.reason
        word = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        graph = current_graph()
        parts = [p for v in values if v is not None for p in (v.items if v.items is not None else [v])]
        ins = [p.wire if p.why else p.tensor(self.names) for p in parts if p.items is None and (p.wire is not None if p.why else p.array is None or p.weight)]
        types = [self.foretold(name) for name in node.output]
        given = _given(node)
        name = Names(graph, self.outputs)(f"{graph._scope}/{given}" if graph._scope else given, node.op_type)
        told = json.dumps([None if t is None else [t.dtype.name, list(t.shape)] for t in types])
        made = graph.add(opaque, ins, opaque.normalize({"operator": word, "reason": reason[:2000], "types": told}), name=name, full_name=True)
        self.result.opaque.append((made.name, word, error))
        why = f"it comes after {made.name}, the operator {word}: {reason}"
        out = []
        for k in range(len(node.output)):
            if types[k] is not None:
                out.append(Value("", tensor=made.outputs[k]))
            else:
                out.append(Value("", why=why))
                out[-1].wire = made.outputs[k]
        return out

    def foretold(self, name: str) -> TensorType | None:
        """The type that the model itself states of a value. ONNX's shape inference is not asked: a small file can keep it busy for ever."""
        if self._types is None:
            self._types = {info.name: info.type for info in [*self.model.graph.value_info, *self.model.graph.output]}
        found = self._types.get(name)
        try:
            return None if found is None else type_of(found, name)
        except (NotInFlowlab, FlowError):
            return None


def _given(node: Any) -> str:
    """The name that the model gives a node; where PyTorch says in which module it stands, with the module's scope before it."""
    name = node.name or node.op_type
    told = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "")
    within = re.findall(r"'([^']*)'", told[:4096])      # "['', 'layer1', 'layer1.0', 'conv2d']": the model, its modules from outside in, what it computes
    return f"{module_scope(within[-2])}/{name}" if len(within) > 2 and not within[0] else name


def _with_defaults(function: Any, schema: Any) -> Any:
    for spec in schema.attributes.values():
        if spec.default_value.type:
            function.attribute_proto.add().CopyFrom(spec.default_value)
    return function


class _Optional(Scope):
    """A function's names: an input that the caller left out is nothing, not a mistake."""

    def __init__(self, scope: Scope, inputs: set[str]):
        super().__init__(None, scope.opsets, scope.attributes)
        self.values, self._inputs = scope.values, inputs

    def find(self, name: str) -> Any:
        return None if name in self._inputs and name not in self.values else super().find(name)


def _again(value: Value) -> Value:
    """The same value, free to have another name."""
    made = Value.__new__(Value)
    made.__dict__.update(value.__dict__)
    return made


def _objects(values: Sequence[Any]) -> np.ndarray:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.array(array)
    array.flags.writeable = False
    return array


def _values(made: Any) -> list[Value]:
    """What a handler returns, as values: a tensor, an array, a value, or a list of these with None for an output that nobody reads."""
    many = made if isinstance(made, (list, tuple)) else [made]
    return [m if isinstance(m, Value) else Value("", why="nobody reads it") if m is None else Value("", tensor=m) if isinstance(m, Tensor) else Value("", array=_frozen(m)) for m in many]


def _doc(domain: str, operator: str) -> str:
    return f"ONNX's operator {domain}.{operator}." if domain else f"ONNX's operator {operator}."


def single(op: Any, use: Use, name: str | None) -> Any:
    """The one node of an operator that flowlab has as it is."""
    onnx = package()
    renamed = {there: here for here, there in op.onnx_attrs.items()}
    given: dict[str, Any] = {}
    schema = onnx.defs.get_schema(use.op, use.version, "")
    for key, spec in schema.attributes.items():
        here = renamed.get(key, key)
        if key in use.attributes:
            value = use.attr(key)
        elif spec.default_value.type:
            value = attribute_value(spec.default_value)
        else:
            continue
        if here in op.attrs:
            given[here] = value
        elif not spec.default_value.type or value != attribute_value(spec.default_value):
            raise NotInFlowlab(f"its attribute {key} = {value!r} is not one of flowlab's {op.function}")
    args = [use.tensors] if op.variadic else [use[k] if use.has(k) else None for k in range(len(use.inputs))]
    graph = current_graph()
    with graph.state(scope=""):
        node = op.node(*args, name=name, **given)
    return list(node.outputs)


def narrow(element: int) -> str:
    """The name of an element type that flowlab holds in a wider dtype, nothing for others."""
    name = kind_of(element)
    return name if name in HELD else ""


def type_of(proto: Any, name: str) -> TensorType:
    """flowlab's type for one of ONNX; NotInFlowlab where there is none."""
    kind = proto.WhichOneof("value")
    if kind != "tensor_type":
        word = {"sequence_type": "sequences", "optional_type": "optional values", "map_type": "maps", "sparse_tensor_type": "sparse tensors"}.get(kind, "values without a type")
        raise NotInFlowlab(f"flowlab has no {word}")
    found = dtype(proto.tensor_type.elem_type)
    if not proto.tensor_type.HasField("shape"):
        raise NotInFlowlab(f"the model does not say how many axes {name!r} has", (), True)
    dims = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else dim_name(d.dim_param) if d.dim_param else None for d in proto.tensor_type.shape.dim)
    return TensorType(shape_of(dims), found)


def type_proto(value: Value | None) -> Any:
    """ONNX's type for a value."""
    onnx = package()
    if value is None:
        return onnx.TypeProto()
    if value.items is not None:
        return onnx.helper.make_sequence_type_proto(type_proto(value.items[0]) if value.items else onnx.helper.make_tensor_type_proto(1, None))
    t = value.type
    return onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(t.dtype), list(t.shape))


def imported(source: Any, given: Mapping[str, Any] | None = None, shapes: Mapping[str, Any] | None = None, *, checked: bool = False) -> Imported:
    """As `from_onnx`, with the names that inputs and outputs have, and what is opaque."""
    model, folder = model_of(source)
    if not checked:
        check(model, folder)
    path = Path(source).stem if isinstance(source, (str, Path)) else ""
    names = [i.name for i in model.graph.input]
    for word, said in (("given", given), ("shapes", shapes)):
        for name in said or {}:
            if name not in names:
                raise AttributeValueError(f"from_onnx: {word} names {name!r}, which is no input of the model.", port=word, hint=f"Its inputs: {', '.join(names) or 'none'}.")
    arrays = {}
    for name, value in (given or {}).items():
        info = next(i for i in model.graph.input if i.name == name)
        try:
            arrays[name] = _frozen(np.asarray(value).astype(dtype(info.type.tensor_type.elem_type)))
        except (NotInFlowlab, TypeError, ValueError) as error:
            raise AttributeValueError(f"from_onnx: the value given for {name!r} cannot be used: {error}", port="given") from None
    graph = Graph(model.graph.name or path or "onnx")
    try:
        return Reader(model, graph).read(arrays, {k: v if v is None else [shape_of(s) for s in v] if isinstance(v, list) and all(isinstance(s, (tuple, list)) for s in v) else shape_of(v)
                                                 for k, v in (shapes or {}).items()})
    except NotInFlowlab as error:
        raise FlowError(f"the model cannot be read: {error.reason}.") from None


def from_onnx(source: Any, *, given: Mapping[str, Any] | None = None, shapes: Mapping[str, Any] | None = None) -> tuple[Graph, dict[str, np.ndarray]]:
    """Open an ONNX model: (the Graph, the value of each variable by name). A model from PyTorch, Keras or anywhere opens, runs, is stepped and trained further.

    `source`: a path, the file's bytes, or an `onnx.ModelProto`. Placeholders and the last nodes have the names of the model's inputs and outputs; a node
    keeps its name, with `/` between scopes, and is a scope of that name where it takes several nodes of flowlab's; PyTorch's modules are scopes. Float initializers with axes
    are variables, which start from their values; others are constants. bfloat16 and float8 are held in float32, int4 in int8, and a cast to them rounds. `given` fixes inputs to values, such as a shape that the model takes as
    an input; `shapes` says the shape of inputs for which the model does not, of a sequence a list with the shape of each entry.

    A recurrent layer has the variables `kernel`, `recurrent_kernel`, `bias`, and where the model's second bias is not 0, as PyTorch's, `recurrent_bias`. Steps of an optimizer are
    then torch's own; export in the form in which it shall be trained: by default PyTorch joins batch normalization with the convolution before it, `dynamo=True, optimize=False` or
    `dynamo=False, training=TrainingMode.PRESERVE, do_constant_folding=False` keep it apart. `fl.compare` names the first node that disagrees with the layers' values there.

    What flowlab has no operation for stays as an opaque node that tells why; everything before it runs, running it is an error. DocumentError for a
    file that is no sound model, asks for a file outside its folder, or becomes more than 250,000 nodes or too many bytes.

    >>> import flowlab as fl, numpy as np
    >>> from onnx import helper as h, numpy_helper as n, TensorProto as t
    >>> model = h.make_model(h.make_graph([h.make_node("MatMul", ["x", "w"], ["m"], "dense/MatMul"), h.make_node("Relu", ["m"], ["y"], "act")], "tiny",
    ...     [h.make_tensor_value_info("x", t.FLOAT, ["batch", 2])], [h.make_tensor_value_info("y", t.FLOAT, ["batch", 1])],
    ...     [n.from_array(np.array([[1], [-3]], "float32"), "w")]))
    >>> graph, values = fl.from_onnx(model)
    >>> graph.nodes
    [x, w, dense/MatMul, act, y]
    >>> fl.Session(graph).run("y", {"x": [[5.0, 1.0]]})
    array([[2.]], dtype=float32)
    """
    got = imported(source, given, shapes)
    if got.opaque:
        told = "; ".join(f"{name} ({operator}): {why.reason}" for name, operator, why in got.opaque[:5])
        warnings.warn(f"{plural(len(got.opaque), 'node')} of the model cannot be computed: {told}{' …' if len(got.opaque) > 5 else ''}", stacklevel=2)
    return got.graph, got.values
