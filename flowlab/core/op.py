"""Op: one operation, whole. Its signature is its schema; kernel, shape rule, gradient, words and formula stand beside it."""
from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import AttributeValueError, DTypeError, FlowError, ShapeError, UnknownOpError, nearest, plural
from .graph import Graph, Node, Tensor, home_of
from .own import annotation, held, is_own, may_replace, refuse_declaration
from .shape import elementwise, unchanged
from .types import KINDS, TensorType, dtype_of, promoted, shape_of

REGISTRY: dict[str, Op] = {}


@dataclass(frozen=True, slots=True)
class Input:
    """One input of an operation. `kind` says which numbers it takes."""

    name: str
    kind: str = "Number"
    optional: bool = False
    variadic: bool = False


@dataclass(frozen=True, slots=True)
class Attr:
    """One attribute of an operation."""

    name: str
    kind: str
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()


class _Unseen:
    """Stands for the type of an input that is not there yet: every look at it is an error."""

    touched = False

    def __getattr__(self, name: str) -> Any:
        self.touched = True
        raise LookupError(f"the input is open, so its {name} is not known")

    def __eq__(self, other: object) -> bool:
        return self.__getattr__("type")

    __hash__ = None  # type: ignore[assignment]


@dataclass(eq=False)
class Op:
    """One operation. Calling it adds a node to the graph and returns its outputs."""

    name: str
    function: str
    inputs: tuple[Input, ...]
    attrs: dict[str, Attr]
    outputs: tuple[str, ...]
    kernel_function: Callable
    rule: Callable
    doc: str = ""
    category: str = "math"
    latex: str = ""
    aliases: tuple[str, ...] = ()
    zh: str = ""
    ufunc: str | None = None        # name in the array namespace of a function that computes just this from the inputs alone
    source: str | None = None       # "placeholder", "constant", "variable": has its value before a run
    random: bool = False            # its kernel takes `key`, a keyed random generator
    mixed: bool = False             # its inputs need not share a dtype
    effect: bool = False            # run for what it does
    listed: bool = True             # in the palette
    bounds: Any = None              # what values it can give: (least, largest), that by output name, or "inputs": none that its inputs lack
    word: str = ""                  # how errors call it
    kernels: dict[str, Callable] = field(default_factory=dict)
    gradient_function: Callable | None = None
    differentiable: bool = True     # False: its derivative is nothing, on purpose (comparisons, indices)
    routine: Callable | None = None     # of a loop or branch: a generator that says which body runs next, on what
    naming: Callable | None = None      # attributes → the names of the outputs, where their number depends on them
    fetched: Callable | None = None     # (which outputs are wanted, attributes) → what each body has to compute
    rounds: Callable | None = None      # (shapes of the inputs, attributes) → how many timesteps, as far as one can tell
    wires: Callable | None = None       # attributes → for each body what its inputs and outputs are: ("sequence", 0), ("state", 1), ("next", 1) …
    shown: Callable | None = None       # attributes → how many of the outputs are drawn before anybody uses them
    onnx: str = ""                  # the ONNX operator that computes just this from the same inputs in the same order
    onnx_attrs: Mapping[str, str] = field(default_factory=dict)     # attribute → its name there, where the two differ; values are the same

    def __post_init__(self) -> None:
        self.variadic = bool(self.inputs and self.inputs[-1].variadic)
        self._required = tuple(i for i in self.inputs if not i.optional and not i.variadic)
        self._names = tuple(i.name for i in self.inputs)
        self._by_port = {i.name: i for i in self.inputs}
        # the common case: all inputs share one dtype, of one of these kinds, and none is left out
        alike = not self.mixed and {i.kind for i in self.inputs} <= {"Float", "Number"}
        self._one_dtype = ("f" if any(i.kind == "Float" for i in self.inputs) else "fiu") if alike else ""
        # how many inputs a call has to give, when tensors alone say it all; -1 where more is to be worked out
        whole = not self.variadic and len(self._required) == len(self.inputs) and not any(a.required for a in self.attrs.values())
        self._plain = len(self.inputs) if alike and whole and self.inputs else -1
        self._single = len(self.outputs) == 1
        self._stays = self.rule in (elementwise, unchanged)    # equal types come out as they went in, which spares the call

    # ------------------------------------------------------------ declaring

    @property
    def called(self) -> str:
        """How it is written in Python. `flowlab.trace` is a package, so that operation is linalg's alone."""
        return f"fl.{'linalg.' if self.function == 'trace' else ''}{self.function}"

    def gradient(self, function: Callable) -> Callable:
        """Register `f(node, g)`, which adds the nodes of the derivative and returns one Tensor or None an input.

        `g` is the derivative by the output; a tuple with None for the outputs that nothing needs when there are several.
        """
        self.gradient_function = function
        return function

    def kernel(self, backend: str) -> Callable:
        """Register a kernel for one backend; the declared function serves all others."""
        def put(function: Callable) -> Callable:
            self.kernels[backend] = held(self, function) if is_own(function) else function
            return function
        return put

    def control(self, function: Callable) -> Callable:
        """Register the routine of a loop or branch: `f(xp, inputs, wanted, *, …attributes)`, a generator.

        It yields (number of the body, timestep, the body's inputs) and is sent the values of the body's outputs; what it returns are the outputs.
        """
        self.routine = function
        return function

    def bodies(self, attrs: Mapping[str, Any]) -> list[Graph]:
        """The graphs inside a loop or branch."""
        return [attrs[name] for name, attr in self.attrs.items() if attr.kind == "body"] if self.routine is not None else []

    # ------------------------------------------------------------ the schema

    def ports(self, count: int) -> tuple[str, ...]:
        """Port names for `count` inputs given in order: `a`, `b`; variadic ones `xs.0`, `xs.1`."""
        if self.variadic:
            fixed = self._names[:-1]
            return (*fixed, *(f"{self._names[-1]}.{k}" for k in range(count - len(fixed))))
        if not len(self._required) <= count <= len(self.inputs):
            raise AttributeValueError(f"{self.word} takes {plural(len(self._required), 'input')} ({', '.join(self._names)}), not {count}.")
        return self._names[:count]

    def input_of(self, port: str) -> Input:
        """The declaration behind a port name."""
        found = self._by_port.get(port)
        if found is None and self.variadic:
            stem, dot, number = port.rpartition(".")
            if dot and stem == self._names[-1] and number.isdigit():
                found = self.inputs[-1]
        if found is None:
            raise AttributeValueError(f"{self.word} has no input {port!r}.", port=port, hint=f"Its inputs: {', '.join(self._names) or 'none'}.")
        return found

    def output_names(self, count: int) -> tuple[str, ...]:
        if len(self.outputs) == count:
            return self.outputs
        return tuple(f"{self.outputs[0]}.{k}" if count > 1 else self.outputs[0] for k in range(count))

    def normalize(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """All attributes, defaults filled in and values in their standard form; AttributeValueError names the one that is wrong."""
        if not attrs and not self.attrs:
            return {}
        for name in attrs:
            if name not in self.attrs:
                near = nearest(name, self.attrs, n=1)
                raise AttributeValueError(f"{self.word} has no attribute {name!r}.", port=name,
                                          hint=f"Did you mean {near[0]}?" if near else f"It has {', '.join(self.attrs) or 'none'}.")
        out = {}
        for name, attr in self.attrs.items():
            if name in attrs:
                try:
                    out[name] = _STANDARD[attr.kind](attrs[name], attr)
                except FlowError as error:
                    error.message = f"{self.word}: {name}: {error.message}"
                    raise error.at(port=name)
            elif attr.required:
                raise AttributeValueError(f"{self.word} needs {name}.", port=name, hint=f"Give {name}=…")
            else:
                out[name] = attr.default
        if self.check is not None:
            self.check(out)
        return out

    def infer(self, inputs: Sequence[Tensor], ports: Sequence[str], attrs: Mapping[str, Any]) -> tuple[TensorType, ...]:
        """Types of the outputs; ShapeError or DTypeError when the inputs do not fit."""
        if len(ports) < len(self._required):
            missing = next(i.name for i in self._required if i.name not in ports)
            raise ShapeError(f"{self.word}: input {missing} is open.", port=missing, hint="Wire a tensor to it.")
        types = [t.type for t in inputs]
        if not self._agree(inputs):
            self._check_dtypes(types, ports)
        try:
            if len(types) == len(self.inputs) or self.variadic:
                got = self.rule(*types, ports=ports, word=self.word, **attrs)
            else:  # optional inputs go by name
                given = dict(zip(ports, types))
                missing = next((i.name for i in self._required if i.name not in given), None)
                if missing:
                    raise ShapeError(f"{self.word}: input {missing} is open.", port=missing, hint="Wire a tensor to it.")
                got = self.rule(**{i.name: given.get(i.name) for i in self.inputs}, ports=tuple(ports), word=self.word, **attrs)
        except FlowError:
            raise
        except Exception as error:  # a graph file may wire anything to anything
            raise ShapeError(f"{self.word}: its shape rule failed: {type(error).__name__}: {error}.") from error
        got = got if type(got) is tuple else (got,)
        if got and not isinstance(got[0], TensorType) or len(got) != len(self.outputs) and not self.many:
            raise ShapeError(f"{self.word}: its shape rule returned {got[0] if len(got) == 1 else got!r}, not {plural(len(self.outputs), 'TensorType')}.",
                             hint="x.with_shape(…) has the dtype of x, and another shape.")
        return got

    def clash(self, given: Mapping[str, TensorType], waiting: Sequence[str] = (), attrs: Mapping[str, Any] | None = None) -> FlowError | None:
        """What is wrong with the inputs known so far, whatever the `waiting` ports will get; None if nothing is certain yet.

        Without `attrs` only dtypes are compared. The shape rule runs with stand-ins that forbid any look: what it says without one is certain.
        So is what it says of one of the known inputs in the same words whatever ranks the others have.
        """
        try:
            self._check_dtypes(list(given.values()), list(given))
        except FlowError as error:
            return error
        if attrs is None:
            return None
        unseen = _Unseen()
        error = self._tried({**given, **dict.fromkeys(waiting, unseen)}, attrs)
        if not unseen.touched:
            return error if isinstance(error, FlowError) else None
        if not given or len(waiting) > 3:
            return None
        floats = next((t.dtype for t in given.values() if t.dtype.kind == "f"), np.dtype("float32"))
        dtypes = [{"Int": np.dtype("int64"), "Bool": np.dtype("bool")}.get(self.input_of(p).kind, floats) for p in waiting]
        said: dict[str, FlowError] = {}
        for ranks in itertools.product(range(max([5, *(t.rank + 1 for t in given.values())]) + 1), repeat=len(waiting)):
            error = self._tried({**given, **{p: TensorType((None,) * r, d) for p, r, d in zip(waiting, ranks, dtypes)}}, attrs)
            if not isinstance(error, ShapeError):
                return None
            if error.port in given:
                said[error.message] = error
        return next(iter(said.values())) if len(said) == 1 else None

    def _tried(self, types: Mapping[str, Any], attrs: Mapping[str, Any]) -> Exception | None:
        """What the shape rule raises on these types, by port."""
        try:
            if self.variadic:
                heads = [n for n in self._names[:-1] if n in types]
                ports = (*heads, *sorted((p for p in types if p not in heads), key=lambda p: int(p.rpartition(".")[2])))
            else:
                ports = tuple(n for n in self._names if n in types)
            if self.variadic or len(ports) == len(self.inputs):
                self.rule(*(types[p] for p in ports), ports=ports, word=self.word, **attrs)
            else:
                self.rule(**{n: types.get(n) for n in self._names}, ports=ports, word=self.word, **attrs)
        except Exception as error:  # it may have looked at a stand-in, or met something that it never thought of
            return error
        return None

    def _check_dtypes(self, types: Sequence[TensorType], ports: Sequence[str]) -> None:
        first = None
        for t, port in zip(types, ports):
            kind = (self._by_port.get(port) or self.input_of(port)).kind
            if t.dtype.kind not in KINDS[kind]:
                wants = {"Float": "floats", "Int": "whole numbers", "Bool": "bool", "Number": "numbers"}[kind]
                to = {"Float": "float32", "Int": "int64", "Bool": "bool", "Number": "float32"}[kind]
                raise DTypeError(f"{self.word}: {port} takes {wants}, got {t.dtype}.", port=port, hint=f'Cast it: fl.cast(x, "{to}").')
            if self.mixed or kind in ("Int", "Bool") and len({i.kind for i in self.inputs}) > 1:
                continue
            if first is None:
                first = (t.dtype, port)
            elif t.dtype != first[0]:
                raise DTypeError(f"{self.word}: {first[1]} is {first[0]} and {port} is {t.dtype}.", port=port, hint=f'Cast one: fl.cast(x, "{first[0]}").')

    # ------------------------------------------------------------ calling

    def __call__(self, *args: Any, name: str | None = None, **attrs: Any) -> Any:
        """Add a node. Arrays and numbers become constants, dtypes meet by `core.types.promoted`; attributes may follow the inputs."""
        inputs = self._at_once(args) if not attrs and len(args) == self._plain else None
        if inputs is not None:
            node = home_of(inputs[0]).add(self, inputs, self.normalize(attrs) if self.attrs else {}, name=name, ports=self._names, types=_met(inputs) if self._stays else None)
            if self._single and not self.many:
                return node.outputs[0]
        else:
            node = self.node(*args, name=name, **attrs)
        outputs = node.outputs
        if len(outputs) == 1 and len(self.outputs) == 1 and not self.many:
            return outputs[0]
        return list(outputs) if self.many else (outputs if outputs else node)

    many = False  # True: returns a list, however long
    check = None  # a function that refuses attributes that do not go together

    def node(self, *args: Any, name: str | None = None, **attrs: Any) -> Node:
        given, ports, rest = self._bind(args, attrs)
        for k, attr_name in enumerate(self.attrs):
            if k >= len(rest):
                break
            if attr_name in attrs:
                raise AttributeValueError(f"{self.word} got {attr_name} twice.", port=attr_name)
            attrs[attr_name] = rest[k]
        if len(rest) > len(self.attrs):
            raise AttributeValueError(f"{self.word} takes {plural(len(self.inputs), 'input')} and {plural(len(self.attrs), 'attribute')}, got {plural(len(args), 'value')}.")
        full = self.normalize(attrs)
        graph = home_of(next((x for x in given if isinstance(x, Tensor)), None))
        try:
            inputs = self._lift(graph, given, ports)
        except DTypeError as error:
            raise self._addressed(error, given, ports) from None
        return graph.add(self, inputs, full, name=name, ports=ports)

    def _addressed(self, error: DTypeError, given: Sequence[Any], ports: Sequence[str]) -> DTypeError:
        """The error with the name of the input that is no tensor and no array either."""
        for x, port in zip(given, ports):
            if error.port is None and not isinstance(x, Tensor):
                try:
                    literal_dtype(x)
                except DTypeError:
                    error.message = f"{self.word}: {port}: {error.message}"
                    error.at(port=port)
        return error

    def _bind(self, args: tuple, attrs: dict[str, Any]) -> tuple[list[Any], tuple[str, ...], tuple]:
        if self.variadic and len(self.inputs) == 1:
            xs = args[0] if args else attrs.pop(self._names[0], ())
            if isinstance(xs, Tensor) or not isinstance(xs, (list, tuple)) or not xs:
                raise AttributeValueError(f"{self.word} takes a list of tensors.", port=self._names[0], hint=f"{self.called}([a, b], …)")
            return list(xs), self.ports(len(xs)), args[1:]
        if self.variadic:   # some by themselves, then a list
            fixed = len(self.inputs) - 1
            rest = args[fixed] if len(args) > fixed else attrs.pop(self._names[-1], ())
            if len(args) < fixed or isinstance(rest, Tensor) or not isinstance(rest, (list, tuple)):
                raise AttributeValueError(f"{self.word} takes {', '.join(self._names[:-1])} and a list of tensors.", port=self._names[-1])
            return [*args[:fixed], *rest], self.ports(fixed + len(rest)), args[fixed + 1:]
        given, ports = [], []
        for k, spec in enumerate(self.inputs):
            if k < len(args):
                value = args[k]
            else:
                value = attrs.pop(spec.name, None) if spec.name not in self.attrs else None
            if value is None:
                if not spec.optional:
                    raise AttributeValueError(f"{self.word} needs the input {spec.name}.", port=spec.name, hint=f"{self.called}({', '.join(self._names)})")
                continue
            given.append(value)
            ports.append(spec.name)
        return given, tuple(ports), args[len(self.inputs):]

    def _agree(self, given: Sequence[Any]) -> bool:
        """Are all of these tensors of one dtype that every input takes?"""
        if not self._one_dtype or not given or type(given[0]) is not Tensor:
            return False
        dtype = given[0].type.dtype
        if dtype.kind not in self._one_dtype:
            return False
        for x in given:
            if type(x) is not Tensor or x.type.dtype is not dtype:
                return False
        return True

    def _at_once(self, args: tuple) -> tuple | None:
        """The arguments as tensors, if that takes no thought: they are, or a number meets a tensor of floats, as in 1 - y * y."""
        a, b = args[0], args[-1]
        if type(a) is Tensor and (b is a or type(b) is Tensor and b.type.dtype is a.type.dtype) and a.type.dtype.kind in self._one_dtype:
            if len(args) < 3 or self._agree(args):
                return args
        elif len(args) == 2:
            x, number = (a, b) if type(a) is Tensor else (b, a)
            if type(x) is Tensor and x.type.dtype.kind == "f" and (type(number) is float or type(number) is int and -1 << 24 < number < 1 << 24):
                made = _constant(home_of(x), np.array(number, x.type.dtype))
                return (x, made) if x is a else (made, x)
        return None

    def _lift(self, graph: Graph, given: list[Any], ports: tuple[str, ...]) -> list[Tensor]:
        if self._agree(given):
            return given
        kinds = [(self._by_port.get(p) or self.input_of(p)).kind for p in ports]
        free = [not (self.mixed or k in ("Int", "Bool") and len({i.kind for i in self.inputs}) > 1) for k in kinds]
        dtypes = [x.dtype for x, f in zip(given, free) if f and isinstance(x, Tensor)]
        if all(isinstance(x, Tensor) for x in given) and len(set(dtypes)) <= 1 and (not dtypes or all(dtypes[0].kind in KINDS[k] for k, f in zip(kinds, free) if f)):
            return given
        try:
            meeting = dtypes[0] if dtypes else None
            for d in dtypes[1:]:
                meeting = promoted(meeting, d)
        except DTypeError as error:
            error.message = f"{self.word}: {error.message}"
            raise error.at(port=next((p for p, x in zip(ports, given) if x.dtype.kind == "b"), None))
        if meeting is None and any(free):
            for x, f in zip(given, free):
                if f:
                    d = literal_dtype(x)
                    meeting = d if meeting is None else promoted(meeting, d)
        if meeting is not None and meeting.kind in "iu" and (
                any(k == "Float" for k, f in zip(kinds, free) if f) or any(f and not isinstance(x, Tensor) and literal_dtype(x).kind == "f" for x, f in zip(given, free))):
            meeting = np.dtype("float32")
        for x, kind, port in zip(given, kinds, ports):
            if kind == "Int" and isinstance(x, Tensor):    # said before a number or a narrower dtype beside it becomes a node
                self._check_dtypes([x.type], [port])
        out = []
        for x, kind, f in zip(given, kinds, free):
            want = meeting if f else None
            if not isinstance(x, Tensor):
                out.append(literal(graph, x, want if want is not None and (want.kind != "b" or kind != "Number") else None))
            elif want is not None and x.dtype != want and x.dtype.kind != "b":
                out.append(REGISTRY["Cast"].node(x, dtype=want.name).outputs[0])
            else:
                out.append(x)
        return out

    def __repr__(self) -> str:
        return f"{self.called}({', '.join([*self._names, *(f'{a}=' for a in self.attrs)])})"


def _met(inputs: Sequence[Tensor]) -> tuple[TensorType] | None:
    """What comes of tensors of one dtype and one shape, or of numbers and such tensors, element by element; None if that has to be worked out."""
    found = inputs[0].type
    for x in inputs:
        t = x.type
        if t is not found and t.shape != found.shape and t.shape:
            if found.shape:
                return None
            found = t
    return (found,)


def numbers(value: Any) -> np.ndarray:
    """The value as an array; DTypeError if it holds anything but numbers and truth values, or rows of different lengths."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise DTypeError(f"this {type(value).__name__} is no array.", hint=no_array_hint(value)) from None
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{value!r} is not a number or an array of numbers.", hint="Tensors, arrays, lists and numbers can be inputs.")
    return array


def no_array_hint(value: Any) -> str:
    """Why NumPy makes no array of a value, in plain words."""
    def tensors(v: Any, depth: int = 0) -> bool:
        return isinstance(v, Tensor) or isinstance(v, (list, tuple)) and depth < 32 and any(tensors(x, depth + 1) for x in v)
    if tensors(value):
        return "A tensor has no value before it runs: Session.run gives it."
    return "All rows must have one length." if isinstance(value, (list, tuple)) else "Use a number, an array, or nested lists of numbers."


def held_by(array: np.ndarray) -> str:
    """What an array holds that is not numbers, in plain words."""
    return {"U": "text", "S": "text", "O": "Python objects", "c": "complex numbers", "M": "dates", "m": "times"}.get(array.dtype.kind, "records")


def literal_dtype(value: Any) -> np.dtype:
    """The dtype that a number, list or array gets as a constant: Python floats are float32, arrays keep theirs."""
    if isinstance(value, bool):
        return np.dtype("bool")
    if isinstance(value, int):
        if not -2**63 <= value < 2**63:
            raise DTypeError(f"{value} does not fit in 64 bits.", hint="Write it as a float.")
        return np.dtype("int64")
    if isinstance(value, float):
        return np.dtype("float32")
    array = numbers(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return array.dtype
    return np.dtype("float32") if array.dtype.kind == "f" else array.dtype


def literal(graph: Graph, value: Any, dtype: np.dtype | None) -> Tensor:
    """The constant node that holds `value`."""
    array = numbers(value)
    if dtype is None:
        dtype = literal_dtype(value)
    if dtype.kind in "iu" and array.dtype.kind == "f" and not np.all(array == np.floor(array)):
        dtype = np.dtype("float32")
    return _constant(graph, array.astype(array.dtype if array.dtype.kind == "b" else dtype_of(dtype)))


def _constant(graph: Graph, array: np.ndarray) -> Tensor:
    """The constant node that holds an array of its own: the one operation that core asks for by name."""
    array.flags.writeable = False
    return graph.add(REGISTRY["Constant"], (), {"value": array}, ports=(), types=(TensorType(array.shape, array.dtype),)).outputs[0]


# ---------------------------------------------------------------- attributes in their standard form


def _bad(value: Any, what: str, hint: str = "") -> AttributeValueError:
    return AttributeValueError(f"{value!r} is not {what}.", hint=hint)


def _int(value: Any, attr: Attr) -> int | None:
    if value is None and not attr.required and attr.default is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise _bad(value, "a whole number")
    if abs(int(value)) > 2**53:
        raise _bad(value, "a whole number that a file can hold")
    return int(value)


def _float(value: Any, attr: Attr) -> float | None:
    if value is None and attr.default is None and not attr.required:
        return None
    if isinstance(value, (bool, np.bool_, str, Tensor)) or np.ndim(value):
        raise _bad(value, "a number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _bad(value, "a number") from None
    if math.isnan(number):
        raise _bad(value, "a number")
    return number


def _bool(value: Any, attr: Attr) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise _bad(value, "True or False")
    return bool(value)


def _str(value: Any, attr: Attr) -> str:
    if not isinstance(value, str) or len(value) > 10_000:
        raise _bad(value, "a text")
    return value


def _choice(value: Any, attr: Attr) -> str:
    if value not in attr.choices:
        raise _bad(value, f"one of {', '.join(attr.choices)}")
    return value


def _dtype(value: Any, attr: Attr) -> str | None:
    if value is None and attr.default is None and not attr.required:
        return None
    return dtype_of(value).name


def _ints(value: Any, attr: Attr) -> tuple[int, ...] | None:
    if value is None:
        return None
    if isinstance(value, (int, np.integer)):
        value = (value,)
    if not isinstance(value, (tuple, list)):
        raise _bad(value, "a list of whole numbers")
    return tuple(_int(v, Attr(attr.name, "int", required=True)) for v in value)  # type: ignore[misc]


def _axis(value: Any, attr: Attr) -> int | tuple[int, ...] | None:
    if value is None or isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return None if value is None else int(value)
    return _ints(value, attr)


def _new_shape(value: Any, attr: Attr) -> tuple:
    if isinstance(value, (int, str, np.integer)) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, (tuple, list)):
        raise _bad(value, "a shape", "Write a tuple such as (-1, 784).")
    return tuple(-1 if isinstance(d, (int, np.integer)) and d == -1 else shape_of((d,))[0] for d in value)


def _index(value: Any, attr: Attr) -> tuple:
    """An index in its JSON form: ints, null for a new axis, "..." and ["slice", start, stop, step]."""
    if not isinstance(value, tuple):
        value = tuple(value) if isinstance(value, list) and not (value and value[0] == "slice") else (value,)
    out: list[Any] = []
    for part in value:
        if part is None or part is Ellipsis or isinstance(part, str) and part == "...":
            out.append("..." if part is Ellipsis or part == "..." else None)
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            out.append(int(part))
        elif isinstance(part, slice):
            out.append(("slice", *(None if s is None else _int(s, Attr("index", "int", required=True)) for s in (part.start, part.stop, part.step))))
        elif isinstance(part, (list, tuple)) and len(part) == 4 and part[0] == "slice":
            out.append(("slice", *(None if s is None else _int(s, Attr("index", "int", required=True)) for s in part[1:])))
        else:
            raise _bad(part, "an index of whole numbers and slices", "Use fl.gather for an index that is a tensor or a list.")
        if isinstance(out[-1], tuple) and out[-1][3] == 0:
            raise _bad(part, "a slice: its step is 0")
    if out.count("...") > 1:
        raise _bad(value, "an index: it has two ellipses")
    return tuple(out)


def _pairs(value: Any, attr: Attr) -> tuple:
    try:
        return tuple((int(a), int(b)) for a, b in value)
    except (TypeError, ValueError):
        raise _bad(value, "a list of pairs", "Write one (before, after) an axis.") from None


def _padding(value: Any, attr: Attr) -> Any:
    """What stands around an image: a number, "same", "valid", or one (before, after) an axis; a number in a pair's place stands for both."""
    if isinstance(value, str) and value in ("same", "valid"):
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= value <= 2**31:
        return int(value)
    if isinstance(value, (tuple, list)) and value:
        rows = tuple((v, v) if isinstance(v, (int, np.integer)) else tuple(v) if isinstance(v, (tuple, list)) else () for v in value)
        if all(len(r) == 2 and all(isinstance(d, (int, np.integer)) and not isinstance(d, bool) and 0 <= d <= 2**31 for d in r) for r in rows):
            return tuple((int(a), int(b)) for a, b in rows)
    raise _bad(value, "a padding", 'Use a whole number from 0 on, one (before, after) an axis, "same" or "valid".')


def _array(value: Any, attr: Attr) -> np.ndarray | None:
    if value is None:
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise AttributeValueError(f"this {type(value).__name__} is no array.", hint=no_array_hint(value)) from None
    if array.dtype.kind not in "fiub":
        raise _bad(value, "an array of numbers")
    if not isinstance(value, (np.ndarray, np.generic)) and array.dtype.kind == "f":
        array = array.astype("float32")
    dtype_of(array.dtype)
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


def _body(value: Any, attr: Attr) -> Any:
    if isinstance(value, Graph):
        return value
    if not hasattr(value, "as_body"):   # what a document holds in a body's place
        raise _bad(value, "the body of a loop or branch", "fl.scan, fl.cond and fl.while_loop make one.")
    return value.as_body()


_STANDARD: dict[str, Callable[[Any, Attr], Any]] = {
    "body": _body, "int": _int, "float": _float, "bool": _bool, "str": _str, "choice": _choice, "dtype": _dtype, "ints": _ints, "axis": _axis,
    "shape": lambda v, a: shape_of(v), "new_shape": _new_shape, "index": _index, "pairs": _pairs, "padding": _padding, "value": _array, "initializer": _str,
}
_ANNOTATIONS = {"Body": "body", "int": "int", "float": "float", "bool": "bool", "str": "str", "Axis": "axis", "Shape": "shape", "NewShape": "new_shape", "DType": "dtype",
                "Ints": "ints", "Index": "index", "Pairs": "pairs", "Padding": "padding", "Array": "value", "Initializer": "initializer", "Choice": "choice"}


def camel(name: str) -> str:
    """`log_softmax` → `LogSoftmax`."""
    return "".join(w[:1].upper() + w[1:] for w in name.split("_"))


_WORDS = tuple(f for f in Op.__dataclass_fields__ if f not in {"name", "function", "inputs", "attrs", "outputs", "kernel_function", "rule", "doc", "word", "kernels", "gradient_function"})


def op(kernel: Callable | None = None, /, *, infer: Callable = elementwise, type: str | None = None, outputs: tuple[str, ...] = ("out",),
       choices: Mapping[str, tuple[str, ...]] | None = None, many: bool = False, word: str = "", function: str | None = None, **words: Any) -> Any:
    """Make an operation of your own from its kernel, a function of arrays: then it is like flowlab's own, in a graph, in the lab and in files.

    The kernel's signature is the operation's. After `xp`, the array module (NumPy, or CuPy on a GPU), positional parameters are inputs, and
    keyword-only ones attributes. Here is a bump of adjustable width, with its derivative:

    >>> import flowlab as fl
    >>> @fl.op(latex=r"e^{-(x/w)^2}")
    ... def bump(xp, x: "Float", *, width: float = 1.0):
    ...     \"\"\"Rise to 1 near 0, and fall off on both sides.\"\"\"
    ...     return xp.exp(-(x / width) ** 2)
    >>> @bump.gradient
    ... def _(node, g):
    ...     x, = node.inputs
    ...     return g * node.outputs[0] * x * (-2.0 / node.attrs["width"] ** 2),
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder((3,), name="x")
    ...     y = bump(x, width=2.0)
    ...     dx, = fl.gradients(y, [x])
    >>> y
    Bump:0 float32[3]
    >>> for value in fl.Session(g).run([y, dx], {x: [0.0, 1.0, 2.0]}):
    ...     print(value.round(3))
    [1.    0.779 0.368]
    [-0.    -0.389 -0.368]

    `fl.check_gradients(y, [x], {x: …})` tells whether the derivative is right; it builds nodes, so it can be differentiated again.

    Inputs share one dtype, and a kernel reads them: writing to one is an error, since others read it too. An annotation is an input's kind
    (`Number`, which is usual, `Float`, `Int`, `Bool`, `Any`), a default of None makes it optional (it is left out when it is open), `*xs` takes
    any number. Attributes have a type (int, float, bool, str, Axis, Shape, DType, Ints, Choice with `choices=` …) and perhaps a default. A
    parameter `key` gets a random generator that every replay of a run finds in the same state.

    `infer(*types, ports, word, **attributes)` is the shape rule: it returns the `fl.TensorType` of the output (a tuple for several `outputs`), and
    raises ShapeError for inputs that do not fit. Without it, shapes meet elementwise, by NumPy's rule of broadcasting, and the dtype stays. What the kernel
    returns is held to it: a wrong shape, dtype or number of outputs is a KernelError that says what was declared and what came.

    `onnx="Gelu"` names the ONNX operator that computes the same from the same inputs in the same order; `onnx_attrs={"negative_slope": "alpha"}` says what
    an attribute is called there, where its name differs. Such an operation goes into ONNX files as that operator.

    The operation's type is the function's name in CamelCase; `type=` says another. A type that is taken is an error, unless it is this very function
    again: a notebook's cell may be run twice. `@name.kernel("cupy")` gives one backend a kernel of its own.
    """
    def wrap(kernel: Callable) -> Op:
        fn = function or getattr(kernel, "__name__", "").rstrip("_")
        refuse_declaration(kernel, fn, _ANNOTATIONS, infer, outputs, choices or {}, words, _WORDS)
        attrs: dict[str, Attr] = {}
        code, notes = kernel.__code__, kernel.__annotations__  # inspect.signature says the same, at ten times the cost of an import
        names, n, k = code.co_varnames, code.co_argcount, code.co_kwonlyargcount

        def note(name: str) -> str:
            return annotation(notes.get(name, ""))

        optional = set(names[n - len(kernel.__defaults__ or ()):n])
        inputs = [Input(name, note(name) or "Number", name in optional) for name in names[1:n]]
        if code.co_flags & 0x04:  # *xs
            inputs.append(Input(names[n + k], note(names[n + k]) or "Number", False, True))
        for name in names[n:n + k]:
            if name == "key":
                words.setdefault("random", True)
                continue
            given = kernel.__kwdefaults__ or {}
            attrs[name] = Attr(name, _ANNOTATIONS[note(name).removesuffix(" | None")], given.get(name), name not in given, (choices or {}).get(name, ()))
        made = Op(type or camel(fn), fn, tuple(inputs), attrs, tuple(outputs), kernel, infer, inspect.getdoc(kernel) or "", word=word or fn, **words)
        made.many = many
        made.__doc__ = inspect.getdoc(kernel)
        if is_own(kernel):
            made.kernel_function = held(made, kernel)
            taken = next((o for o in REGISTRY.values() if o.function == fn and o.name != made.name), None)
            if taken is not None:
                raise AttributeValueError(f"the function {fn} is the operation {taken.name} already.", hint="Give it another name.")
        old = REGISTRY.get(made.name)
        if old is not None and not may_replace(old.kernel_function, kernel):
            raise AttributeValueError(f"an op named {made.name} is already registered.", hint='Give it another name, or say type="…".')
        for name, attr in attrs.items():  # defaults in their standard form
            if not attr.required and attr.default is not None:
                try:
                    attrs[name] = Attr(name, attr.kind, _STANDARD[attr.kind](attr.default, attr), False, attr.choices)
                except FlowError as error:
                    raise AttributeValueError(f"the operation {fn}: the default of its attribute {name}: {error.message}", port=name, hint=error.hint) from None
        REGISTRY[made.name] = made
        return made
    return wrap if kernel is None else wrap(kernel)


def get_op(name: str) -> Op:
    """The operation of that type, such as `"MatMul"`; UnknownOpError names what is near."""
    found = REGISTRY.get(name)
    if found is None:
        lower = {k.lower(): k for k in REGISTRY} | {o.function: k for k, o in REGISTRY.items()}
        near = list(dict.fromkeys(lower[m] for m in nearest(str(name).lower(), lower, n=3)))
        raise UnknownOpError(f"there is no operation {name!r}.", hint=f"Did you mean {' or '.join(near)}?" if near else "The palette lists them.")
    return found
