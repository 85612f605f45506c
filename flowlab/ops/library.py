"""load_op_library: operations whose kernels are C or C++, through the interface in flowlab/include/flowlab_op.h."""
from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from ..core.errors import AttributeValueError, DTypeError, FlowError, ShapeError, plural
from ..core.graph import Node, Tensor
from ..core.op import _STANDARD, REGISTRY, Attr, Input, Op
from ..core.shape import elementwise
from ..core.types import TensorType, shape_text
from .array import zeros_like

ABI_VERSION = 1
MAX_RANK = 32
_MESSAGE = 1000     # bytes that a message may have
_MOST_OPS, _MOST_PORTS = 10_000, 64

_DTYPES = {1: "float32", 2: "float64", 3: "float16", 4: "int64", 5: "int32", 6: "int16", 7: "int8", 8: "uint8", 9: "bool", 10: "uint16", 11: "uint32", 12: "uint64"}
_CODES = {np.dtype(name): code for code, name in _DTYPES.items()}
_INPUT_KINDS = {1: "Number", 2: "Float", 3: "Int", 4: "Bool"}
_ATTR_KINDS = {1: "int", 2: "float", 3: "bool", 4: "str", 5: "ints"}
_STRIDED, _NOT_DIFFERENTIABLE = 1, 2
_STATUS: dict[int, type[FlowError]] = {2: ShapeError, 3: DTypeError, 4: AttributeValueError}


class OpLibraryError(FlowError):
    """A library of operations is not what flowlab loads; the message says why."""


class _Array(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("dtype", ctypes.c_int32), ("ndim", ctypes.c_int32), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p)]


class _Type(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int32), ("ndim", ctypes.c_int32), ("shape", ctypes.c_int64 * MAX_RANK)]


class _Value(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("count", ctypes.c_int32), ("i", ctypes.c_int64), ("f", ctypes.c_double), ("s", ctypes.c_char_p),
                ("ints", ctypes.POINTER(ctypes.c_int64))]


class _Input(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("kind", ctypes.c_int32), ("reserved", ctypes.c_int32)]


class _Attr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("kind", ctypes.c_int32), ("required", ctypes.c_int32), ("initial", _Value)]


class _Op(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("doc", ctypes.c_char_p), ("latex", ctypes.c_char_p), ("gradient", ctypes.c_char_p),
                ("inputs", ctypes.POINTER(_Input)), ("attrs", ctypes.POINTER(_Attr)), ("outputs", ctypes.POINTER(ctypes.c_char_p)),
                ("rule", ctypes.c_void_p), ("kernel", ctypes.c_void_p),
                ("n_inputs", ctypes.c_int32), ("n_attrs", ctypes.c_int32), ("n_outputs", ctypes.c_int32), ("flags", ctypes.c_uint32)]


class _Library(ctypes.Structure):
    _fields_ = [("abi_version", ctypes.c_int32), ("size", ctypes.c_int32), ("size_of_op", ctypes.c_int32), ("size_of_input", ctypes.c_int32),
                ("size_of_attr", ctypes.c_int32), ("size_of_value", ctypes.c_int32), ("size_of_type", ctypes.c_int32), ("size_of_array", ctypes.c_int32),
                ("name", ctypes.c_char_p), ("version", ctypes.c_char_p), ("ops", ctypes.POINTER(_Op)), ("n_ops", ctypes.c_int64)]


_LAYOUT = {"size_of_op": _Op, "size_of_input": _Input, "size_of_attr": _Attr, "size_of_value": _Value, "size_of_type": _Type, "size_of_array": _Array}
# CFUNCTYPE lets go of Python's lock while the function runs
_RULE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(_Type), ctypes.c_int32, ctypes.POINTER(_Value), ctypes.c_int32, ctypes.POINTER(_Type), ctypes.c_int32,
                         ctypes.c_void_p, ctypes.c_int64)
_KERNEL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(_Array), ctypes.c_int32, ctypes.POINTER(_Value), ctypes.c_int32, ctypes.POINTER(_Array), ctypes.c_int32,
                           ctypes.c_void_p, ctypes.c_int64)

_LOADED: dict[str, OpLibrary] = {}


class OpLibrary:
    """A loaded library: its operations by type in `ops`, and as attributes by function name (`lib.soft_threshold(x)`)."""

    def __init__(self, path: str, name: str, version: str, ops: Mapping[str, Op], handle: Any):
        self.path, self.name, self.version, self.ops = path, name, version, MappingProxyType(dict(ops))
        self._handle = handle       # the code stays loaded as long as its ops can be called

    def __getattr__(self, name: str) -> Op:
        for o in self.__dict__.get("ops", {}).values():
            if o.function == name:
                return o
        raise AttributeError(f"the library {self.__dict__.get('name')} has no operation {name!r}.")

    def __repr__(self) -> str:
        return f"OpLibrary {self.name!r} {self.version}: {', '.join(self.ops)}"


def get_include() -> str:
    """The folder of `flowlab_op.h`, for a compiler's `-I`."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "include")


def load_op_library(path: str | os.PathLike[str]) -> OpLibrary:
    """Load operations written in C or C++ from a shared library, and register them like flowlab's own.

    The library is built against `flowlab_op.h`, which documents the interface (`fl.get_include()` is its folder):

        cc -O2 -shared -fPIC -I "$(python -c 'import flowlab; print(flowlab.get_include())')" mine.c -o libmine.so

    After `lib = fl.load_op_library("./libmine.so")` an operation "SoftThreshold" is `lib.soft_threshold(x)` and `fl.soft_threshold(x)`, is found in
    the palette, saved and read by its name, differentiated by the gradient that the library names for it, stepped, traced, and run in parallel: its
    kernel runs without Python's lock. On a GPU its inputs are brought to the host, and its outputs back.

    Native code can do anything that you can: load only what you trust. Loading is always a call of yours: a graph file names operations, never
    libraries, and one that is not loaded is an unknown operation. A file is loaded once; loading it again gives the same object, whatever was written to it
    meanwhile. In a notebook, what was built anew into another file takes the place of the library of the same name (the first word of FLOWLAB_OP_LIBRARY); graphs that are there keep what they have.

    OpLibraryError for a file that is no library, that was built for another version of the interface or laid out by a compiler in another way, that
    lacks a symbol, or that declares an operation badly; then nothing is registered.
    """
    full = os.path.realpath(os.fspath(path))
    if not os.path.isfile(full):
        raise OpLibraryError(f"there is no file {os.fspath(path)!r}.", hint="Give the path of a shared library, such as ./libmine.so.")
    if full in _LOADED:
        return _registered(_LOADED[full])
    shown = os.path.basename(full)
    try:
        handle = ctypes.CDLL(full)
    except OSError as error:
        raise OpLibraryError(f"{shown} cannot be loaded: {error}.", hint="Is it a shared library for this machine (cc -shared -fPIC)?") from None
    table = _table(handle, shown)
    declared = [_Declared(table.ops[k], k, shown) for k in range(table.n_ops)]
    by_name: dict[str, _Declared] = {}
    name = _text(table.name) or shown
    others = {n: o for n, o in REGISTRY.items() if n not in _earlier(name)}
    known = dir(sys.modules[__name__.partition(".")[0]])    # fl.gradients, say, stays what it is
    for d in declared:
        if d.name in by_name:
            d.refuse("is declared twice")
        if d.name in others:
            d.refuse("has the name of an operation that is registered already", "Give it another name.")
        if d.function in known or any(o.function == d.function for o in (*others.values(), *by_name.values())):
            d.refuse(f"would be the function {d.function}, and there is one of that name", "Give it another name.")
        by_name[d.name] = d
    for d in declared:
        d.check_gradient(by_name)
    made = {d.name: d.op() for d in declared}
    for d in declared:
        if d.gradient:
            made[d.name].gradient_function = _gradient(made[d.gradient])
            made[d.gradient].listed = False     # nobody wires one by hand
    library = _LOADED[full] = OpLibrary(full, name, _text(table.version) or "", made, handle)
    return _registered(library)


def _earlier(name: str) -> dict[str, Op]:
    """What a library of this name has registered, where a person types and may have built it anew."""
    return {n: o for library in _LOADED.values() if library.name == name and hasattr(sys, "ps1") for n, o in library.ops.items() if REGISTRY.get(n) is o}


def _registered(library: OpLibrary) -> OpLibrary:
    """The library, in the place of an earlier one of its name; OpLibraryError if what it was replaced by left room, and another has taken it."""
    earlier = _earlier(library.name)
    others = {n: o for n, o in REGISTRY.items() if n not in earlier and o is not library.ops.get(n)}
    functions = {o.function for o in others.values()}
    taken = next((n for n, o in library.ops.items() if n in others or o.function in functions), None)
    if taken is not None:
        raise OpLibraryError(f"{os.path.basename(library.path)}: an operation that is called like {taken} was registered meanwhile.", hint="Restart Python, and load this one first.")
    for n in earlier:
        del REGISTRY[n]
    REGISTRY.update(library.ops)
    return library


def _table(handle: Any, shown: str) -> _Library:
    """The library's table; OpLibraryError unless it is laid out as this flowlab reads it."""
    for symbol in ("flowlab_abi_version", "flowlab_ops"):
        if not hasattr(handle, symbol):
            raise OpLibraryError(f"{shown} exports no function {symbol}, so it is no library of operations.",
                                 hint='FLOWLAB_OP_LIBRARY in flowlab_op.h writes it; in C++ by hand it must be extern "C".')
    ask = handle.flowlab_abi_version
    ask.restype, ask.argtypes = ctypes.c_int32, []
    version = ask()
    if version != ABI_VERSION:
        raise OpLibraryError(f"{shown} was built for version {version} of the interface, and this flowlab has version {ABI_VERSION}.",
                             hint=f"Build it again with the header in {get_include()}.")
    give = handle.flowlab_ops
    give.restype, give.argtypes = ctypes.POINTER(_Library), []
    found = give()
    if not found:
        raise OpLibraryError(f"flowlab_ops() of {shown} returned NULL.", hint="It must return the table of its operations.")
    table = found.contents
    if table.abi_version != version or table.size != ctypes.sizeof(_Library):
        raise OpLibraryError(f"the table of {shown} has version {table.abi_version} and {table.size} bytes, not {ABI_VERSION} and {ctypes.sizeof(_Library)}.",
                             hint=f"Build it again with the header in {get_include()}.")
    for name, struct in _LAYOUT.items():
        if getattr(table, name) != ctypes.sizeof(struct):
            raise OpLibraryError(f"{shown} lays out flowlab_{name.removeprefix('size_of_')} in {getattr(table, name)} bytes, and this flowlab in {ctypes.sizeof(struct)}: "
                                 "its table has another stride.", hint=f"Build it again with the header in {get_include()}, and no packing options.")
    if not 0 < table.n_ops <= _MOST_OPS or not table.ops:
        raise OpLibraryError(f"{shown} declares {plural(int(table.n_ops), 'operation')}.", hint=f"One to {_MOST_OPS:,}.")
    return table


def _text(raw: bytes | None) -> str:
    """A C text; what is no UTF-8 in it is shown as such."""
    return raw.decode("utf-8", "backslashreplace") if raw else ""


def _snake(name: str) -> str:
    """`SoftThreshold` → `soft_threshold`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class _Declared:
    """One operation as a library declares it, read and checked."""

    def __init__(self, raw: _Op, number: int, library: str):
        self.library, self.number = library, number
        self.name = self.function = ""
        name = _text(raw.name)
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]{0,99}", name):
            self.refuse(f"has the name {name!r}", "A type is written in CamelCase, in letters and digits: SoftThreshold.")
        self.name, self.function = name, _snake(name)
        if not raw.kernel:
            self.refuse("has no kernel")
        if not 0 <= raw.n_inputs <= _MOST_PORTS or not 0 <= raw.n_attrs <= _MOST_PORTS or not 1 <= raw.n_outputs <= _MOST_PORTS:
            self.refuse(f"declares {plural(raw.n_inputs, 'input')}, {plural(raw.n_attrs, 'attribute')} and {plural(raw.n_outputs, 'output')}",
                        f"At most {_MOST_PORTS} of each, and at least one output.")
        for what, count, pointer in (("inputs", raw.n_inputs, raw.inputs), ("attributes", raw.n_attrs, raw.attrs), ("outputs", raw.n_outputs, raw.outputs)):
            if count and not pointer:
                self.refuse(f"declares {count} {what}, and their table is NULL")
        if raw.flags & ~(_STRIDED | _NOT_DIFFERENTIABLE):
            self.refuse(f"has flags {raw.flags:#x} that version {ABI_VERSION} does not know")
        self.strided, self.differentiable = bool(raw.flags & _STRIDED), not raw.flags & _NOT_DIFFERENTIABLE
        self.inputs = tuple(self._input(raw.inputs[k], k) for k in range(raw.n_inputs))
        self.attrs = {a.name: a for a in (self._attr(raw.attrs[k], k) for k in range(raw.n_attrs))}
        self.outputs = tuple(self._identifier(raw.outputs[k], "output", k) for k in range(raw.n_outputs))
        names = [*(i.name for i in self.inputs), *self.attrs]
        if len(set(names)) < raw.n_inputs + raw.n_attrs or len(set(self.outputs)) < raw.n_outputs:
            self.refuse("gives two of its inputs, attributes or outputs one name")
        self.doc, self.latex, self.gradient = _text(raw.doc), _text(raw.latex), _text(raw.gradient)
        self.rule = _RULE(raw.rule) if raw.rule else None
        self.kernel = _KERNEL(raw.kernel)
        if self.rule is None and not self.inputs:
            self.refuse("has neither inputs nor a shape rule")
        self.of: _Declared | None = None    # the operation that this is the gradient of

    def refuse(self, why: str, hint: str = "") -> NoReturn:
        raise OpLibraryError(f"{self.library}: operation {self.name or f'number {self.number}'} {why}.", hint=hint)

    def _identifier(self, raw: bytes | None, what: str, k: int) -> str:
        name = _text(raw)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name) or name in ("xp", "name", "key", "ports", "word"):
            self.refuse(f"names its {what} {k} {name!r}", "Names are identifiers; xp, name, key, ports and word mean something else.")
        return name

    def _input(self, raw: _Input, k: int) -> Input:
        name = self._identifier(raw.name, "input", k)
        if raw.kind not in _INPUT_KINDS:
            self.refuse(f"gives its input {name} the kind {raw.kind}", "FLOWLAB_IN_NUMBER, _FLOAT, _INT or _BOOL.")
        return Input(name, _INPUT_KINDS[raw.kind])

    def _attr(self, raw: _Attr, k: int) -> Attr:
        name = self._identifier(raw.name, "attribute", k)
        kind = _ATTR_KINDS.get(raw.kind)
        if kind is None:
            self.refuse(f"gives its attribute {name} the kind {raw.kind}", "FLOWLAB_ATTR_INT, _FLOAT, _BOOL, _STRING or _INTS.")
        if raw.required:
            return Attr(name, kind, None, True)
        first = raw.initial
        if first.kind != raw.kind:
            self.refuse(f"gives its attribute {name} the kind {raw.kind} and a default of kind {first.kind}")
        if kind == "ints" and not 0 <= first.count <= 1000 or kind == "ints" and first.count and not first.ints:
            self.refuse(f"gives its attribute {name} a default of {first.count} integers that are not there")
        value: Any = {"int": lambda: first.i, "float": lambda: first.f, "bool": lambda: bool(first.i), "str": lambda: _text(first.s),
                      "ints": lambda: tuple(first.ints[j] for j in range(first.count))}[kind]()
        try:
            return Attr(name, kind, _STANDARD[kind](value, Attr(name, kind, required=True)))
        except FlowError as error:
            self.refuse(f"gives its attribute {name} a default that cannot be: {error.message.rstrip('.')}")

    @property
    def differentiated(self) -> list[int]:
        """The places of the inputs that its gradient gives derivatives by."""
        return [k for k, i in enumerate(self.inputs) if i.kind not in ("Int", "Bool")]

    def check_gradient(self, by_name: Mapping[str, _Declared]) -> None:
        """Is the gradient that it names there, and does it take and give what a gradient does?"""
        if not self.gradient:
            return
        found = by_name.get(self.gradient)
        if found is None:
            self.refuse(f"names {self.gradient} as its gradient, and the library has no such operation")
        takes, gives = len(self.inputs) + 2 * len(self.outputs), len(self.differentiated)
        if not gives:
            self.refuse("has a gradient and no input to differentiate by")
        if len(found.inputs) != takes or len(found.outputs) != gives:
            self.refuse(f"has the gradient {found.name}, which takes {plural(len(found.inputs), 'input')} and gives {plural(len(found.outputs), 'output')}, not {takes} and {gives}",
                        "It takes the inputs, the outputs and the derivative by each output, and gives one by each input that is neither INT nor BOOL.")
        for name, attr in found.attrs.items():
            if name not in self.attrs or self.attrs[name].kind != attr.kind:
                self.refuse(f"has the gradient {found.name} with an attribute {name} that it lacks itself")
        if found.rule is None:
            found.of = self

    def op(self) -> Op:
        """The operation as flowlab's own are."""
        kernel = _kernel(self)
        made = Op(self.name, self.function, self.inputs, self.attrs, self.outputs, kernel, _rule(self), self.doc, category="library", latex=self.latex, word=self.function,
                  differentiable=self.differentiable)
        made.__doc__ = self.doc
        return made


# ---------------------------------------------------------------- calling


def _attr_values(declared: _Declared, attrs: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """The attributes in the order of their declaration, and what must live as long as they are looked at."""
    out, keep = (_Value * max(len(declared.attrs), 1))(), []
    codes = {kind: code for code, kind in _ATTR_KINDS.items()}
    for slot, (name, attr) in zip(out, declared.attrs.items()):
        value, slot.kind = attrs[name], codes[attr.kind]
        if attr.kind in ("int", "bool"):
            slot.i = int(value)
        elif attr.kind == "float":
            slot.f = value
        elif attr.kind == "str":
            raw = value.encode("utf-8", "replace")
            slot.s, slot.count = raw, len(raw)
        else:
            numbers = (ctypes.c_int64 * max(len(value), 1))(*value)
            keep.append(numbers)
            slot.ints, slot.count = numbers, len(value)
    return out, keep


def _said(message: Any, status: int) -> str:
    text = _text(bytes(message.raw).partition(b"\0")[0]).strip().rstrip(".")
    return text or f"it returned status {status} and no message"


def _infer(declared: _Declared, types: Sequence[TensorType], attrs: Mapping[str, Any], ports: Sequence[str]) -> tuple[TensorType, ...]:
    if declared.rule is None:
        if declared.of is not None:
            return tuple(types[k] for k in declared.of.differentiated)
        return (elementwise(*types, ports=tuple(ports), word=declared.function),) * len(declared.outputs)
    names: dict[str, int] = {}
    given = (_Type * max(len(types), 1))()
    for slot, t in zip(given, types):
        if t.rank > MAX_RANK:
            raise ShapeError(f"{declared.function}: an input has {t.rank} axes, more than the {MAX_RANK} of a library.")
        slot.dtype, slot.ndim = _CODES[t.dtype], t.rank
        for axis, d in enumerate(t.shape):
            slot.shape[axis] = d if isinstance(d, int) else -1 if d is None else -2 - names.setdefault(d, len(names))
    values, _keep = _attr_values(declared, attrs)
    wanted = (_Type * len(declared.outputs))()
    message = ctypes.create_string_buffer(_MESSAGE)
    status = declared.rule(given, len(types), values, len(declared.attrs), wanted, len(wanted), ctypes.addressof(message), _MESSAGE)
    if status:
        raise _STATUS.get(status, ShapeError)(f"{declared.function}: {_said(message, status)}.")
    by_code = {-2 - k: name for name, k in names.items()} | {-1: None}
    out = []
    for name, slot in zip(declared.outputs, wanted):
        if slot.dtype not in _DTYPES or not 0 <= slot.ndim <= MAX_RANK:
            raise ShapeError(f"{declared.function}: its shape rule gave {name} the dtype {slot.dtype} and {slot.ndim} axes.", hint="See flowlab_type in flowlab_op.h.")
        dims = [slot.shape[axis] for axis in range(slot.ndim)]
        bad = next((d for d in dims if d < 0 and d not in by_code), None)
        if bad is not None:
            raise ShapeError(f"{declared.function}: its shape rule gave {name} the size {bad}, which no input has.", hint="-1 is an unknown size.")
        out.append(TensorType(tuple(by_code[d] if d < 0 else d for d in dims), np.dtype(_DTYPES[slot.dtype])))
    return tuple(out)


def _rule(declared: _Declared) -> Callable:
    def rule(*types: TensorType, ports: Sequence[str] = (), word: str = "", **attrs: Any) -> Any:
        return _infer(declared, types, attrs, ports)
    return rule


@lru_cache(maxsize=1024)
def _numbers(values: tuple[int, ...]) -> tuple[Any, int]:
    """Sizes or strides in C's memory, and where they stand. Nobody writes to them, so calls may share them."""
    held = (ctypes.c_int64 * max(len(values), 1))(*values)
    return held, ctypes.addressof(held)


def _described(arrays: Sequence[np.ndarray]) -> tuple[Any, list[Any]]:
    """Arrays as C sees them, and what must live as long as they are looked at."""
    out, keep = (_Array * max(len(arrays), 1))(), []
    for slot, a in zip(out, arrays):
        shape, strides = _numbers(a.shape), _numbers(a.strides)
        keep += [shape, strides]
        slot.data, slot.dtype, slot.ndim, slot.shape, slot.strides = a.__array_interface__["data"][0], _CODES[a.dtype], a.ndim, shape[1], strides[1]
    return out, keep


_REMEMBERED = 64    # sets of shapes and attributes whose outputs a kernel keeps in mind


def _kernel(declared: _Declared) -> Callable:
    known: dict[Any, tuple[Any, ...]] = {}
    ports, strided, native = [i.name for i in declared.inputs], declared.strided, declared.kernel

    def prepared(inputs: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> tuple[Any, ...]:
        """(output types, attributes as C sees them, what they look into), worked out once for each set of shapes."""
        key = (repr(attrs), *[(a.shape, a.dtype) for a in inputs])     # as text, in which 0.0 and -0.0 are two
        found = known.get(key)
        if found is None:
            types = _infer(declared, [TensorType(a.shape, a.dtype) for a in inputs], attrs, ports)
            for name, t in zip(declared.outputs, types):
                if not all(isinstance(d, int) for d in t.shape):
                    raise ValueError(f"its shape rule leaves {name} as {shape_text(t.shape)} though every input is known")
            if len(known) >= _REMEMBERED:
                known.clear()
            found = known[key] = (types, *_attr_values(declared, attrs))
        return found

    def kernel(xp: Any, *arrays: Any, **attrs: Any) -> Any:
        inputs = [xp.to_host(a) for a in arrays]
        for k, a in enumerate(inputs):
            flags = a.flags
            if not (flags.aligned and a.dtype.isnative and (strided or flags.c_contiguous)):
                inputs[k] = np.array(a, order="C")
        types, values, _look = prepared(inputs, attrs)
        outputs = [np.empty(t.shape, t.dtype) for t in types]
        given, keep_given = _described(inputs)
        made, keep_made = _described(outputs)
        message = ctypes.create_string_buffer(_MESSAGE)
        status = native(given, len(inputs), values, len(attrs), made, len(outputs), ctypes.addressof(message), _MESSAGE)
        del keep_given, keep_made       # they lived through the call
        if status:
            raise RuntimeError(_said(message, status))
        out = outputs if xp.name == "numpy" else [xp.asarray(o) for o in outputs]
        return out[0] if len(out) == 1 else tuple(out)

    kernel.__name__ = kernel.__qualname__ = declared.function
    kernel.__module__ = declared.library
    return kernel


def _gradient(op: Op) -> Callable:
    """The gradient of an operation as a node of another one."""
    def gradient(node: Node, g: Any) -> list[Tensor | None]:
        ups = (g,) if len(node.outputs) == 1 else g
        ups = [zeros_like(y) if u is None else u for u, y in zip(ups, node.outputs)]
        attrs = {name: node.attrs[name] for name in op.attrs}
        made = iter(node.graph.add(op, [*node.inputs, *node.outputs, *ups], op.normalize(attrs)).outputs)
        return [None if i.kind in ("Int", "Bool") else next(made) for i in node.op.inputs]
    return gradient
