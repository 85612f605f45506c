"""Where values come from and where they stay: placeholders, constants, variables, assignment."""
from __future__ import annotations

import math
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, ShapeError, plural
from ..core.graph import Node, Tensor, current_graph, nodes_of
from ..core.op import literal_dtype, numbers, op
from ..core.shape import meet
from ..core.types import TensorType, dtype_of, shape_of, shape_text


def _declared(*, shape: tuple, dtype: str, **_: Any) -> TensorType:
    return TensorType(shape, np.dtype(dtype))


@op(infer=_declared, type="Placeholder", function="placeholder", category="input", source="placeholder", latex="x", aliases=("input", "feed"), zh="占位符")
def placeholder_op(xp, *, shape: Shape, dtype: DType = "float32"):
    """Stand for a value that is fed at run time."""
    raise LookupError("a placeholder is fed")


@op(infer=lambda *, value, **_: TensorType(value.shape, value.dtype), type="Constant", function="constant", category="input", source="constant", latex="c",
    aliases=("number", "literal"), zh="常量")
def constant_op(xp, *, value: Array):
    """Hold a fixed value."""
    return xp.asarray(value)


def _variable_type(*, shape: tuple, dtype: str, initializer: str, value: Any, word: str, **_: Any) -> TensorType:
    for axis, d in enumerate(shape):
        if not isinstance(d, int):
            raise ShapeError(f"variable: the size of axis {axis} is {d or 'unknown'}.", axis=axis, hint="A variable needs every size as a number.")
    name, _args = parse_initializer(initializer)
    if name == "constant":
        if value is None:
            raise AttributeValueError("variable: the initializer is constant and there is no value.", port="value", hint="Give an array, or another initializer.")
        if value.shape != shape:
            raise ShapeError(f"variable: the value has shape {shape_text(value.shape)}, the variable {shape_text(shape)}.", port="value")
    return TensorType(shape, np.dtype(dtype))


@op(infer=_variable_type, type="Variable", function="variable", category="state", source="variable", latex="W", aliases=("weight", "parameter", "参数"), zh="变量")
def variable_op(xp, *, shape: Shape, dtype: DType = "float32", initializer: Initializer = "zeros", value: Array = None, trainable: bool = True):
    """Keep a value from run to run; its output is what a run reads."""
    raise LookupError("a variable is read from the session")


def _assigned(ref: TensorType, value: TensorType, *, ports: tuple = (), word: str = "", **_: Any) -> TensorType:
    if ref.rank != value.rank:
        raise ShapeError(f"assign: the variable is {shape_text(ref.shape)}, the value {shape_text(value.shape)}.", port="value", hint="They must have the same shape.")
    for axis, (a, b) in enumerate(zip(ref.shape, value.shape)):
        try:
            meet(a, b)
        except ValueError:
            raise ShapeError(f"assign: axis {axis} of the variable has {a}, of the value {b}.", port="value", axis=axis, hint="They must have the same shape.") from None
    return ref


@op(infer=_assigned, type="Assign", function="assign", category="state", effect=True, latex=r"W \leftarrow v", aliases=("store", "write"), zh="赋值")
def assign_op(xp, ref: Any, value: Any):
    """Give a variable its next value; the output is that value, and reads in the same run still see the old one."""
    if value.shape != ref.shape:  # sizes that were not known before the run
        raise ValueError(f"the variable has shape {ref.shape}, the value {value.shape}")
    return value


@op(infer=lambda *_a, **_: (), type="Group", function="group", category="control", effect=True, outputs=(), mixed=True, listed=False, zh="组")
def group_op(xp):
    """Wait for the control inputs; computes nothing."""
    return ()


# ---------------------------------------------------------------- the functions people call

SHARED: ContextVar[Any] = ContextVar("SHARED", default=None)  # who gives out variables while replicas are built: (op, attributes, name) → tensor


def placeholder(shape: Any = (), dtype: Any = "float32", name: str | None = None) -> Tensor:
    """Stand for a value that is fed at run time.

    `shape`: a tuple of sizes; a text names an unknown size, None is unknown without a name. `dtype`: as NumPy's.

    >>> import flowlab as fl
    >>> with fl.Graph():
    ...     fl.placeholder(("batch", 784), name="x")
    x:0 float32[batch, 784]
    """
    return placeholder_op.node(name=name, shape=shape_of(shape), dtype=dtype_of(dtype).name).outputs[0]


def constant(value: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Hold a fixed array or number. Python floats become float32, arrays keep their dtype."""
    array = numbers(value)
    array = array.astype(dtype_of(dtype) if dtype is not None else literal_dtype(value))
    return constant_op.node(name=name, value=array).outputs[0]


def variable(initial: Any, name: str | None = None, *, trainable: bool = True, dtype: Any = None) -> Tensor:
    """Keep a value from run to run. `initial` is an array, a number, or an initializer with a shape (`fl.init.glorot_uniform((784, 256))`).

    The node is named `Variable` when no name is given.
    """
    if isinstance(initial, Tensor):
        raise AttributeValueError("a variable starts from an array or an initializer, not from a tensor.", hint="Use fl.assign to give it a computed value.")
    if hasattr(initial, "initializer_text"):
        shape, text, kind, value = initial.shape, initial.initializer_text, initial.dtype, None
    else:
        array = numbers(initial)
        array = array.astype(dtype_of(dtype) if dtype is not None else literal_dtype(initial))
        shape, text, kind, value = array.shape, "constant", array.dtype, array
        # an array of zeros or ones says no more than the initializer of that name
        if array.size and not array.any():
            text, value = "zeros", None
        elif array.size and array.dtype.kind != "b" and (array == 1).all():
            text, value = "ones", None
    attrs = {"shape": shape, "dtype": dtype_of(dtype if dtype is not None else kind).name, "initializer": text, "value": value, "trainable": trainable}
    shared = SHARED.get()
    return variable_op.node(name=name, **attrs).outputs[0] if shared is None else shared(variable_op, attrs, name)


def assign(ref: Tensor, value: Any, name: str | None = None) -> Tensor:
    """Give the variable `ref` its next value. All assigns of a run commit together when it ends; the output is the new value."""
    if not isinstance(ref, Tensor) or ref.node.op.source != "variable":
        raise AttributeValueError(f"assign: {getattr(ref, 'name', ref)!r} is not a variable.", port="ref", hint="Pass the tensor that fl.variable returned.")
    return assign_op(ref, value, name=name)


def group(nodes: Any, name: str | None = None) -> Node:
    """A node without outputs that has fired when all `nodes` have."""
    if not isinstance(nodes, (list, tuple)):
        raise AttributeValueError(f"group takes a list of nodes, not {type(nodes).__name__}.", port="nodes", hint="fl.group([a, b])")
    nodes = nodes_of(nodes)
    graph = nodes[0].graph if nodes else current_graph()
    return graph.add(group_op, (), {}, name=name, control_inputs=nodes)


# ---------------------------------------------------------------- initializers: a text in the graph, numbers in the session


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many values go into and come out of a unit of a kernel of this shape: (in, out), or (out, in, height, width)."""
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    if len(shape) == 2:
        return shape[0], shape[1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator, gain: float) -> np.ndarray:
    rows, columns = shape[0] if shape else 1, math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return gain * (q if rows >= columns else q.T).reshape(shape)


def _within_two(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draws from a bell curve of width 1, those beyond ±2 drawn again."""
    out = rng.standard_normal(shape)
    while (far := np.abs(out) > 2).any():
        out[far] = rng.standard_normal(int(far.sum()))
    return out


def _no_identity(shape: tuple[int, ...]) -> np.ndarray:
    raise AttributeValueError(f"identity needs two sizes, not {shape_text(shape)}.", port="initializer", hint="Use another initializer.")


INITIALIZERS: dict[str, tuple[Any, tuple[float, ...]]] = {
    "zeros": (lambda s, r: np.zeros(s), ()),
    "ones": (lambda s, r: np.ones(s), ()),
    "constant": (None, ()),
    "full": (lambda s, r, v: np.full(s, v), (0.0,)),
    "uniform": (lambda s, r, lo, hi: r.uniform(lo, hi, s), (-0.05, 0.05)),
    "normal": (lambda s, r, mean, std: r.normal(mean, std, s), (0.0, 0.05)),
    "glorot_uniform": (lambda s, r: r.uniform(-1, 1, s) * math.sqrt(6 / max(sum(fans(s)), 1)), ()),
    "glorot_normal": (lambda s, r: r.standard_normal(s) * math.sqrt(2 / max(sum(fans(s)), 1)), ()),
    "he_uniform": (lambda s, r: r.uniform(-1, 1, s) * math.sqrt(6 / max(fans(s)[0], 1)), ()),
    "he_normal": (lambda s, r: r.standard_normal(s) * math.sqrt(2 / max(fans(s)[0], 1)), ()),
    "lecun_normal": (lambda s, r: r.standard_normal(s) * math.sqrt(1 / max(fans(s)[0], 1)), ()),
    "lecun_uniform": (lambda s, r: r.uniform(-1, 1, s) * math.sqrt(3 / max(fans(s)[0], 1)), ()),
    "truncated_normal": (lambda s, r, mean, std: mean + std * _within_two(s, r), (0.0, 0.05)),
    "identity": (lambda s, r, gain: gain * np.eye(*s) if len(s) == 2 else _no_identity(s), (1.0,)),
    "orthogonal": (_orthogonal, (1.0,)),
    "lstm_bias": (lambda s, r: np.repeat([0.0, 1.0, 0.0, 0.0], s[0] // 4), ()),
}


def parse_initializer(text: str) -> tuple[str, tuple[float, ...]]:
    """`"normal(0, 0.1)"` → `("normal", (0.0, 0.1))`; AttributeValueError if it is none of INITIALIZERS."""
    name, bracket, rest = text.strip().partition("(")
    name = name.strip()
    if name not in INITIALIZERS:
        raise AttributeValueError(f"{text!r} is not an initializer.", port="initializer", hint=f"Use one of {', '.join(INITIALIZERS)}.")
    defaults = INITIALIZERS[name][1]
    if not bracket:
        return name, defaults
    try:
        if not rest.rstrip().endswith(")"):
            raise ValueError
        inside = rest.rstrip()[:-1].strip()
        args = tuple(float(part.rpartition("=")[2]) for part in inside.split(",")) if inside else ()
        if not all(map(math.isfinite, args)):
            raise ValueError
    except ValueError:
        raise AttributeValueError(f"{text!r} cannot be read.", port="initializer", hint=f"Write {name}({', '.join(map(str, defaults))}).") from None
    if len(args) > len(defaults):
        raise AttributeValueError(f"{name} takes {plural(len(defaults), 'number')}, not {len(args)}.", port="initializer")
    return name, (*args, *defaults[len(args):])


def initial_value(attrs: Any, rng: np.random.Generator) -> np.ndarray:
    """The first value of a variable with these attributes."""
    name, args = parse_initializer(attrs["initializer"])
    if name == "constant":
        return np.array(attrs["value"], dtype=attrs["dtype"])
    if name == "lstm_bias" and (len(attrs["shape"]) != 1 or attrs["shape"][0] % 4):
        raise AttributeValueError("lstm_bias needs the shape (4·units,).", port="initializer")
    return np.array(INITIALIZERS[name][0](attrs["shape"], rng, *args), dtype=attrs["dtype"], order="C")
