"""What an ONNX file may ask for: bytes and nodes are counted before anything is made of them, and nothing outside the model's folder is read."""
from __future__ import annotations

import os
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...core.errors import DocumentError, NoFileError, plural
from ...core.graph import Graph
from ...core.types import dtype_of
from ...ops.formats import FORMATS
from .package import MOST_BYTES, package

MOST_NODES = 100_000            # over all subgraphs and functions, each as often as it is called
MOST_MADE = 250_000             # nodes of flowlab's that they become, over all bodies
FREE = 64                       # of those that compute one of a model's nodes while it is read: they count only from here on
MOST_MADE_BYTES = 1 << 28       # of the arrays that are computed from a model, beside 16 for each of its own bytes
MOST_TRIES = 1000               # loops whose body is read a second time
DEEPEST = 32                    # subgraphs and functions inside one another
_FIELDS = {"location", "offset", "length", "checksum"}     # of an external tensor; any other is refused, not set


class NotInFlowlab(Exception):
    """Why a part of a model cannot be a node of flowlab's; `needs` are the inputs of the model whose values would have to be known, `sizes` says that shapes would do."""

    def __init__(self, reason: str, needs: Iterable[str] = (), sizes: bool = False):
        super().__init__(reason)
        self.reason, self.needs, self.sizes = reason.rstrip("."), frozenset(needs), sizes


class TooMuch(DocumentError):
    """A file asks for more than flowlab makes of one: reading ends."""


class Spent:
    """What a model has asked for so far, whichever of its parts is read; `room` and `hold` raise TooMuch."""

    def __init__(self, size: int):
        self.steps = self.nodes = self.bytes = self.tries = 0
        self._most_bytes = MOST_MADE_BYTES + 16 * size
        self._counted: WeakKeyDictionary[Graph, int] = WeakKeyDictionary()

    def step(self) -> None:
        self.steps += 1
        if self.steps > MOST_NODES:
            raise TooMuch(f"the model has more than {MOST_NODES:,} nodes once its functions are written out.", hint="flowlab reads no larger ones.")

    def again(self) -> None:
        """A loop's body is read once more: inside one another, each loop doubles that. NotInFlowlab if it has been done too often."""
        self.tries += 1
        if self.tries > MOST_TRIES:
            raise NotInFlowlab(f"the bodies of more than {MOST_TRIES:,} loops would have to be read twice")

    def room(self, count: int) -> None:
        """Will so many more nodes do?"""
        if self.nodes + count > MOST_MADE:
            raise TooMuch(f"the model becomes {self.nodes + count:,} nodes of flowlab's.", hint=f"At most {MOST_MADE:,}.")

    def hold(self, size: int) -> None:
        """Will so many more bytes of arrays do?"""
        if self.bytes + size > self._most_bytes:
            raise TooMuch(f"what is computed from the model while it is read has {self.bytes + size:,} bytes.", hint=f"At most {self._most_bytes:,} for a file of this size.")

    def count(self, graph: Graph, made: Iterable[Any]) -> None:
        """What a step has left: new nodes of the graph that is open, and arrays."""
        first = self._counted.get(graph, 0)
        size = sum(n.attrs["value"].nbytes for n in graph._nodes[first:] if n.op.source == "constant")
        size += sum(v.array.nbytes if v.known else 8 * len(v.items or ()) for v in made)
        self._counted[graph] = first + len(graph._nodes[first:])
        self.hold(size)
        self.room(self._counted[graph] - first)
        self.bytes += size
        self.nodes += self._counted[graph] - first


def model_of(source: Any) -> tuple[Any, Path | None]:
    """(the ModelProto of a path, of bytes or of itself, the folder that its external data may lie in); DocumentError if it is none."""
    onnx = package()
    if isinstance(source, onnx.ModelProto):
        copy = onnx.ModelProto()
        copy.CopyFrom(source)
        return copy, None
    if isinstance(source, (bytes, bytearray)):
        return _parsed(onnx, bytes(source), "these bytes"), None
    if not isinstance(source, (str, os.PathLike)):
        raise DocumentError(f"from_onnx takes a path, bytes or a ModelProto, not {type(source).__name__}.")
    path = Path(source)
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise DocumentError(f"{path} has {size:,} bytes.", hint="An ONNX file holds less than 2 GB; larger weights stand in files beside it (external data).")
        data = path.read_bytes()
    except FileNotFoundError:
        raise NoFileError(f"there is no file {path}.") from None
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror or error}.") from None
    return _parsed(onnx, data, str(path)), Path(os.path.realpath(path.parent))


def _parsed(onnx: Any, data: bytes, what: str) -> Any:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:   # protobuf's DecodeError has no name of its own in every version
        raise DocumentError(f"{what}: not an ONNX model.", hint="It holds a ModelProto in protobuf's binary form, as torch.onnx.export and onnx.save write it.") from None
    if not model.HasField("graph"):
        raise DocumentError(f"{what}: there is no graph in it.")
    return model


def check(model: Any, folder: Path | None) -> None:
    """Bring the external data in, count what is there, and let ONNX's own checker see the whole; DocumentError says what is wrong."""
    onnx = package()
    _texts(model)
    left = [MOST_BYTES]
    count = _count_nodes(model.graph, 0)
    for function in model.functions:
        count += sum(_count_node(n, 1) for n in function.node)
    if count > MOST_NODES:
        raise DocumentError(f"the model has {count:,} nodes.", hint=f"At most {MOST_NODES:,}.")
    for tensor in tensors_of(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _bring_in(tensor, folder, left)
        _sized(onnx, tensor)
    # the checker wants a shape of every input and output; a model without runs elsewhere, and here if its shapes are given
    bare = [i.type.tensor_type for i in (*model.graph.input, *model.graph.output) if i.type.HasField("tensor_type") and not i.type.tensor_type.HasField("shape")]
    for t in bare:
        t.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise DocumentError(f"ONNX's checker refuses the model: {str(error).strip().splitlines()[0][:500]}") from None
    finally:
        for t in bare:
            t.ClearField("shape")


def _texts(message: Any) -> None:
    """Refuse names that are no text: protobuf hands them out as bytes."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            for text in [value] if isinstance(value, (str, bytes)) else value:
                if not isinstance(text, str):
                    raise DocumentError(f"a name in the model is no text: {text[:40]!r}.")
        elif field.type == field.TYPE_MESSAGE:
            for part in value if hasattr(value, "__len__") else [value]:
                _texts(part)


def _count_nodes(graph: Any, depth: int) -> int:
    return sum(_count_node(n, depth) for n in graph.node)


def _count_node(node: Any, depth: int) -> int:
    if depth > DEEPEST:
        raise DocumentError(f"subgraphs stand more than {DEEPEST} deep inside one another.", node=node.name or node.op_type)
    return 1 + sum(_count_nodes(g, depth + 1) for a in node.attribute for g in ([a.g] if a.HasField("g") else a.graphs))


def tensors_of(model: Any) -> list[Any]:
    """Every tensor that a model holds."""
    found: list[Any] = []

    def sparse(s: Any) -> None:
        found.extend((s.values, s.indices))

    def of_nodes(nodes: Any) -> None:
        for node in nodes:
            for a in node.attribute:
                found.extend([a.t] if a.HasField("t") else a.tensors)
                for s in [a.sparse_tensor] if a.HasField("sparse_tensor") else a.sparse_tensors:
                    sparse(s)
                for g in [a.g] if a.HasField("g") else a.graphs:
                    of_graph(g)

    def of_graph(graph: Any) -> None:
        found.extend(graph.initializer)
        for s in graph.sparse_initializer:
            sparse(s)
        of_nodes(graph.node)

    of_graph(model.graph)
    for function in model.functions:
        of_nodes(function.node)
    return found


# ---------------------------------------------------------------- one tensor


def _bits(onnx: Any, kind: int) -> int:
    """How many bits an element of that type has in a file; DocumentError for a number that is no type."""
    if kind not in onnx.TensorProto.DataType.values() or kind == onnx.TensorProto.UNDEFINED:
        raise DocumentError(f"{kind} is no type of ONNX.")
    name = onnx.TensorProto.DataType.Name(kind)
    for word, bits in (("INT2", 2), ("INT4", 4), ("FLOAT4", 4), ("FLOAT8", 8), ("COMPLEX128", 128), ("COMPLEX64", 64), ("BFLOAT16", 16), ("FLOAT16", 16), ("DOUBLE", 64),
                       ("FLOAT", 32), ("INT64", 64), ("INT32", 32), ("INT16", 16), ("INT8", 8), ("BOOL", 8)):
        if word in name:
            return bits
    return 0    # texts


def _size(tensor: Any) -> int:
    dims = list(tensor.dims)
    if any(d < 0 or d > 2**53 for d in dims) or len(dims) > 32:
        raise DocumentError(f"the tensor {tensor.name or '?'} has the shape {dims}.", hint="At most 32 axes, none of them below 0 or over 2⁵³.")
    return prod(dims)


def _sized(onnx: Any, tensor: Any) -> None:
    """Refuse a tensor that claims another size than it has, before anything of that size is made."""
    bits, count = _bits(onnx, tensor.data_type), _size(tensor)
    if tensor.HasField("raw_data"):
        if bits and len(tensor.raw_data) != -(-count * bits // 8):
            raise DocumentError(f"the tensor {tensor.name or '?'} claims {plural(count, 'value')}, {-(-count * bits // 8):,} bytes; {len(tensor.raw_data):,} are there.")
        return
    there = max(len(getattr(tensor, f)) for f in ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data"))
    wanted = count * 2 if bits in (64, 128) and "COMPLEX" in onnx.TensorProto.DataType.Name(tensor.data_type) else -(-count * bits // 8) if bits in (2, 4) else count
    if there != wanted:
        raise DocumentError(f"the tensor {tensor.name or '?'} claims {plural(count, 'value')}; {there:,} are there.")


def array_of(tensor: Any) -> np.ndarray:
    """The values of a checked tensor, in flowlab's dtype for them; NotInFlowlab where there is none."""
    onnx = package()
    kind = dtype(tensor.data_type)
    array = np.asarray(onnx.numpy_helper.to_array(tensor)).astype(kind, copy=False)
    array = np.ascontiguousarray(array).reshape(array.shape)
    array.flags.writeable = False
    return array


# types of fewer bits than any dtype of flowlab's: held in the next wider one, in which each of their values is exact
HELD = {**dict.fromkeys(FORMATS, "float32"), "int4": "int8", "int2": "int8", "uint4": "uint8", "uint2": "uint8"}


def kind_of(element: int) -> str:
    """The name of an element type of ONNX, as NumPy spells it: float32, bfloat16, int4."""
    onnx = package()
    if element not in onnx.TensorProto.DataType.values():
        raise NotInFlowlab(f"{element} is no type of ONNX")
    name = onnx.TensorProto.DataType.Name(element).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def dtype(element: int) -> np.dtype:
    """flowlab's dtype for an element type of ONNX; NotInFlowlab where there is none."""
    name = kind_of(element)
    try:
        return dtype_of(HELD.get(name, name))
    except ValueError:
        raise NotInFlowlab(f"flowlab has no dtype {'text' if name == 'string' else name}") from None


# ---------------------------------------------------------------- external data


def _bring_in(tensor: Any, folder: Path | None, left: list[int]) -> None:
    """Read a tensor's values from the file beside the model that it names; a file elsewhere, or behind a link, is refused."""
    onnx = package()
    said = {e.key: e.value for e in tensor.external_data}
    name = tensor.name or "?"
    if folder is None:
        raise DocumentError(f"the values of the tensor {name} stand in another file, and a ModelProto has no folder.", hint="Give from_onnx the path of the model.")
    strange = sorted(set(said) - _FIELDS)
    if strange or len(said) != len(tensor.external_data):
        raise DocumentError(f"the external data of the tensor {name} says {strange[0] if strange else 'something'!r}.", hint=f"Known are {', '.join(sorted(_FIELDS))}, each once.")
    location = said.get("location", "")
    parts = Path(location).parts
    if not location or "\0" in location or "\\" in location or Path(location).is_absolute() or ".." in parts:
        raise DocumentError(f"the tensor {name} asks for the file {location!r}, outside the model's folder.", hint="External data lies in the folder of the model, or below it.")
    path, at = folder / location, folder
    for part in parts:
        at = at / part
        if at.is_symlink():
            raise DocumentError(f"the tensor {name} asks for {location!r}, and {part!r} is a link.", hint="External data is read from real files alone.")
    if not Path(os.path.realpath(path)).is_relative_to(folder):
        raise DocumentError(f"the tensor {name} asks for the file {location!r}, outside the model's folder.")
    if not path.is_file():
        raise NoFileError(f"there is no file {location!r} beside the model, with the values of the tensor {name}.")
    numbers = {}
    for key in ("offset", "length"):
        text = said.get(key, "")
        if text and (not text.isascii() or not text.isdigit() or len(text) > 19):
            raise DocumentError(f"the {key} of the tensor {name} is {text!r}.", hint="A whole number of bytes.")
        numbers[key] = int(text) if text else None
    wanted = -(-_size(tensor) * _bits(onnx, tensor.data_type) // 8)
    offset, length = numbers["offset"] or 0, wanted if numbers["length"] is None else numbers["length"]
    size = path.stat().st_size
    if length != wanted or offset + length > size:
        raise DocumentError(f"the tensor {name} claims {wanted:,} bytes, its external data has {min(length, max(size - offset, 0)):,}.")
    left[0] -= length
    if left[0] < 0:
        raise DocumentError("the external data is more than 2 GB.", hint="flowlab reads models of up to 2 GB.")
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(length)
    if len(data) != length:
        raise DocumentError(f"{location!r} ends before the values of the tensor {name} do.")
    tensor.raw_data = data
    tensor.ClearField("external_data")
    tensor.data_location = onnx.TensorProto.DEFAULT
