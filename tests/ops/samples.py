"""More samples of every op, made from its rows in cases.py: other values, other sizes, other shapes that broadcast, other layouts in memory.

A row's oracle is JAX's, which compiles for every new shape. So where the same lines over NumPy give what JAX gives on the row itself, they say what is
right at other shapes; else the row keeps its shapes and gets other values. An oracle that cannot take other sizes (it names a number) keeps them, too.
"""
from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from tests.ops.cases import CASES, Case, bools, f64, ints

LEAST = 12

# ---------------------------------------------------------------- the same lines over NumPy


def _relu(x: Any) -> Any:
    return np.maximum(x, 0)


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, 0)


def _gelu(x: Any, approximate: bool = True) -> Any:
    return x * np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)) * 0.5 + 0.5 * x if approximate else x * scipy.special.ndtr(x)


def _glu(x: Any, axis: int = -1) -> Any:
    a, b = np.split(x, 2, axis)
    return a * scipy.special.expit(b)


_NN = types.SimpleNamespace(
    softmax=lambda x, axis=-1: scipy.special.softmax(x, axis), log_softmax=lambda x, axis=-1: scipy.special.log_softmax(x, axis), sigmoid=scipy.special.expit, relu=_relu, gelu=_gelu,
    elu=_elu, selu=lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772), silu=lambda x: x * scipy.special.expit(x), softplus=_softplus, log_sigmoid=lambda x: -_softplus(-x),
    soft_sign=lambda x: x / (1 + abs(x)), leaky_relu=lambda x, slope=0.01: np.where(x > 0, x, slope * x), hard_tanh=lambda x: np.clip(x, -1, 1), relu6=lambda x: np.clip(x, 0, 6),
    mish=lambda x: x * np.tanh(_softplus(x)), celu=lambda x, alpha=1.0: np.maximum(x, 0) + np.minimum(alpha * np.expm1(np.minimum(x, 0) / alpha), 0),
    hard_sigmoid=lambda x: np.clip(x / 6 + 0.5, 0, 1), hard_swish=lambda x: x * np.clip(x / 6 + 0.5, 0, 1), glu=_glu,
    one_hot=lambda i, n, dtype: np.equal(np.asarray(i)[..., None], np.arange(n)).astype(dtype))
_SCIPY = types.SimpleNamespace(special=types.SimpleNamespace(logsumexp=scipy.special.logsumexp, erf=scipy.special.erf))
_JAX = types.SimpleNamespace(nn=_NN, scipy=_SCIPY, lax=types.SimpleNamespace(rsqrt=lambda x: 1 / np.sqrt(x)))
_DIRECT = {id(getattr(jax.nn, name)): function for name, function in vars(_NN).items()}
_DIRECT |= {id(jax.scipy.special.logsumexp): scipy.special.logsumexp, id(jax.scipy.special.erf): scipy.special.erf, id(jax.lax.rsqrt): _JAX.lax.rsqrt}


def over_numpy(function: Any) -> Any:
    """The function with NumPy and SciPy in JAX's place, as far as it can be seen from outside; ValueError for one of JAX's that has no twin."""
    if id(function) in _DIRECT:
        return _DIRECT[id(function)]
    if isinstance(function, types.FunctionType) and function.__globals__.get("jnp") is jnp:
        scope = {k: over_numpy(v) if isinstance(v, types.FunctionType) and v is not function and v.__globals__ is function.__globals__ and k in function.__code__.co_names else v
                 for k, v in function.__globals__.items()} | {"jnp": np, "jax": _JAX}
        made = types.FunctionType(function.__code__, scope, function.__name__, tuple(over_numpy(d) for d in function.__defaults__ or ()),
                                  tuple(types.CellType(over_numpy(c.cell_contents)) for c in function.__closure__ or ()))
        made.__kwdefaults__ = function.__kwdefaults__
        return made
    name = getattr(function, "__name__", "")
    if callable(function) and getattr(jnp, name, None) is function:
        return getattr(np, name)
    if callable(function) and getattr(function, "__module__", "").startswith("jax"):
        raise ValueError(f"{function} has no twin")
    return function


@cache
def _twin(index: int) -> Callable[..., Any] | None:
    """A row's oracle over NumPy, if it says of the row what JAX says of it."""
    case = CASES[index]
    try:
        with np.errstate(all="ignore"):
            twin = over_numpy(case.oracle)
            got = replace(case, oracle=twin).expected(*case.inputs)
    except Exception:  # whatever NumPy does not know: .at, jax.vjp, jax.lax
        return None
    want = case.expected(*case.inputs)
    if len(got) != len(want) or any(not isinstance(a, (np.ndarray, np.generic)) for a in got):
        return None
    return twin if all(np.shape(a) == np.shape(b) and a.dtype == b.dtype and np.allclose(a, b, rtol=1e-9, atol=1e-11, equal_nan=True) for a, b in zip(got, map(np.asarray, want))) else None


# ---------------------------------------------------------------- other attributes

MORE: dict[str, list[Case]] = {}


def sample(type: str, *inputs: Any, oracle: Callable[..., Any], by: tuple[int, ...] | None = None, **attrs: Any) -> None:
    MORE.setdefault(type, []).append(Case(type, inputs, oracle, attrs, by=by, label=", ".join(f"{k} {v}" for k, v in attrs.items())))


for _axis, _keepdims in itertools.product((None, 0, -1, (1, 0), (-1,)), (False, True)):
    _shape = (3, 4) if isinstance(_axis, tuple) and len(_axis) == 2 else (2, 1, 3)
    for _type, _oracle in (("Sum", np.sum), ("Mean", np.mean), ("Max", np.max), ("Min", np.min), ("Prod", np.prod), ("Var", np.var), ("Std", np.std), ("Logsumexp", scipy.special.logsumexp),
                           ("Norm", lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)))):
        sample(_type, f64(*_shape), oracle=lambda x, f=_oracle, a=_axis, k=_keepdims: f(x, axis=a, keepdims=k), axis=_axis, keepdims=_keepdims)
    for _type, _oracle in (("Any", np.any), ("All", np.all)):
        sample(_type, bools(*_shape), oracle=lambda x, f=_oracle, a=_axis, k=_keepdims: f(x, axis=a, keepdims=k), axis=_axis, keepdims=_keepdims)
    sample("CountNonzero", ints(*_shape, below=2), oracle=lambda x, a=_axis, k=_keepdims: np.count_nonzero(x, axis=a, keepdims=k), axis=_axis, keepdims=_keepdims)
for _axis in (0, 1, 2, -1, -3):
    for _type, _oracle in (("Argmax", np.argmax), ("Argmin", np.argmin), ("Sort", np.sort), ("Argsort", np.argsort), ("Cumsum", np.cumsum), ("Cumprod", np.cumprod),
                           ("Softmax", scipy.special.softmax), ("LogSoftmax", scipy.special.log_softmax), ("Flip", np.flip)):
        sample(_type, f64(3, 1, 4, low=0.3), oracle=lambda x, f=_oracle, a=_axis: f(x, axis=a), axis=_axis)
    sample("Concat", f64(2, 3, 4), f64(2, 3, 4), oracle=lambda *xs, a=_axis: np.concatenate(xs, a), axis=_axis)
    sample("Stack", f64(2, 4), f64(2, 4), f64(2, 4), oracle=lambda *xs, a=_axis: np.stack(xs, a), axis=_axis)
    sample("Split", f64(4, 2, 6), oracle=lambda x, a=_axis: np.split(x, 2, a), n=2, axis=_axis)
    sample("Unstack", f64(3, 2, 4), oracle=lambda x, a=_axis: list(np.moveaxis(x, a, 0)), axis=_axis)
    sample("ExpandDims", f64(2, 3), oracle=lambda x, a=_axis: np.expand_dims(x, a), axis=_axis)
    sample("Gather", f64(3, 4, 5), ints(2, 3, below=3, low=-3), oracle=lambda x, i, a=_axis: np.take(x, i, a), axis=_axis)
    sample("TakeAlongAxis", f64(3, 3, 3), ints(3, 3, 3, below=3), oracle=lambda x, i, a=_axis: np.take_along_axis(x, i, a), axis=_axis)
    sample("Repeat", f64(2, 3, 1), oracle=lambda x, a=_axis: np.repeat(x, 2, a), repeats=2, axis=_axis)
    sample("Roll", f64(2, 3, 4), oracle=lambda x, a=_axis: np.roll(x, 5, a), shift=5, axis=_axis)
    sample("TopK", f64(4, 3, 2), oracle=lambda x, a=_axis: [-np.sort(-x, a).take([0, 1], a), np.argsort(-x, a).take([0, 1], a)], k=2, axis=_axis)
    sample("Glu", f64(2, 4, 6), oracle=lambda x, a=_axis: _glu(x, a), axis=_axis)
    sample("Squeeze", f64(1, 1, 1), oracle=lambda x, a=_axis: np.squeeze(x, a), axis=_axis)
for _index, _cut in (((0,), np.s_[0]), ((-1, 2), np.s_[-1, 2]), ((None, slice(1, None)), np.s_[None, 1:]), ((..., slice(None, None, 2)), np.s_[..., ::2]), ((slice(None, 0),), np.s_[:0]),
                     ((slice(-2, None), ..., 1), np.s_[-2:, ..., 1]), ((slice(None, None, -1), slice(3, 0, -2)), np.s_[::-1, 3:0:-2])):
    sample("Slice", f64(3, 4, 5), oracle=lambda x, c=_cut: x[c], index=_index)
for _from, _to in (((6,), (2, 3)), ((2, 3), (6,)), ((2, 3), (3, 2)), ((1, 1), ()), ((), (1,)), ((2, 6), (2, -1, 3)), ((0, 3), (3, 0)), ((4,), (-1,)), ((2, 1, 3), (2, 3))):
    sample("Reshape", f64(*_from), oracle=lambda x, s=_to: np.reshape(x, s), shape=_to)
for _axes in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 0, 1), (-1, -2, -3), (2, 1, 0), (1, 2, 0)):
    sample("Transpose", f64(2, 3, 4), oracle=lambda x, a=_axes: np.transpose(x, a), axes=_axes)
for _from, _to in (((), (2,)), ((3,), (2, 3)), ((1, 1), (4, 5)), ((2, 1), (2, 3)), ((4,), (4,)), ((1,), (0,)), ((3, 1), (2, 3, 4)), ((2, 3), (1, 2, 3))):
    sample("BroadcastTo", f64(*_from), oracle=lambda x, s=_to: np.broadcast_to(x, s), shape=_to)
for _k in (-4, -2, 0, 1, 3, 9):
    for _type, _oracle in (("Tril", np.tril), ("Triu", np.triu)):
        sample(_type, f64(3, 4), oracle=lambda x, f=_oracle, k=_k: f(x, k), k=_k)
    sample("DiagonalMatrix", f64(3), oracle=lambda v, k=_k: np.diag(v, k), k=_k)
    sample("Diagonal", f64(4, 3), oracle=lambda x, k=_k: np.diagonal(x, k), offset=_k)
    sample("Trace", f64(3, 5), oracle=lambda x, k=_k: np.trace(x, k), offset=_k)
    sample("Eye", oracle=lambda k=_k: np.eye(3, 4, k, dtype="float32"), n=3, m=4, k=_k)
for _n, _m, _dtype in ((0, None, "float32"), (1, 1, "float64"), (4, 2, "int32"), (2, 5, "bool")):
    sample("Eye", oracle=lambda n=_n, m=_m, d=_dtype: np.eye(n, m, dtype=d), n=_n, m=_m, dtype=_dtype)
for _start, _stop, _step, _dtype in ((0, 5, 1, "int64"), (2, 11, 3, "int32"), (5, 0, -2, "int64"), (0, 0, 1, "int64"), (3, 1, 1, "float32"), (0.5, 2, 0.25, "float32"), (-1, 1, 0.5, "float64"),
                                     (1, 8, 7, "int8"), (0, 1, 2, "float16"), (4, -1, -1, "uint8")):
    sample("Arange", oracle=lambda *_, a=_start, b=_stop, c=_step, d=_dtype: np.arange(a, b, c).astype(d), start=_start, stop=_stop, step=_step, dtype=_dtype)
for _start, _stop, _num, _dtype in ((0, 1, 5, "float32"), (1, 0, 4, "float64"), (-2, 2, 1, "float64"), (0, 0, 3, "float32"), (3, 9, 0, "float64"), (0, 10, 11, "int64"), (-1, 1, 3, "float16"),
                                    (0.5, 0.75, 2, "float64"), (1e-3, 1e3, 7, "float64"), (2, -7, 10, "int32"), (0, 1, 50, "float32")):
    sample("Linspace", oracle=lambda a=_start, b=_stop, n=_num, d=_dtype: np.linspace(a, b, n).astype(d), start=_start, stop=_stop, num=_num, dtype=_dtype)
for _width in (((0, 0), (0, 0)), ((1, 2), (0, 3)), ((2, 0), (0, 0)), ((0, 1), (1, 0))):
    for _mode in ("constant", "edge", "reflect"):
        sample("Pad", f64(3, 4), oracle=lambda x, w=_width, m=_mode: np.pad(x, w, mode=m), pad_width=_width, mode=_mode)
for _reps, _shape in (((1,), (3,)), ((0,), (3,)), ((2, 2), (1, 3)), ((3,), ()), ((2, 1, 2), (2, 2, 1)), ((2,), (2, 3)), ((1, 2), (3,))):
    sample("Tile", f64(*_shape), oracle=lambda x, r=_reps: np.tile(x, r), reps=_reps)
for _text, _shapes in (("i,i->", ((4,), (4,))), ("ij,kj->ik", ((2, 3), (4, 3))), ("bhqd,bhkd->bhqk", ((2, 1, 3, 2), (2, 1, 4, 2))), ("i->i", ((3,),)), ("ijk->ki", ((2, 3, 4),))):
    sample("Einsum", *(f64(*d) for d in _shapes), oracle=lambda *xs, t=_text: np.einsum(t, *xs), subscripts=_text)
for _low, _high in ((None, None), (0.0, None), (None, 0.0), (-0.5, 0.5), (0.7, 0.3), (-9.0, 9.0)):
    sample("Clip", f64(4, 5), oracle=lambda x, a=_low, b=_high: x if a is b is None else np.minimum(x if a is None else np.maximum(x, a), np.inf if b is None else b), min=_low, max=_high)
for _from, _to in itertools.product(("float64", "float32", "int32", "uint8", "bool"), ("float64", "float16", "int64", "bool")):
    sample("Cast", np.array([[0, 1, 2], [3, 0, 5]], _from), oracle=lambda x, d=_to: x.astype(d), by=(), dtype=_to)
for _depth, _dtype in ((1, "float32"), (3, "float64"), (6, "int32"), (4, "bool"), (5, "float16")):
    sample("OneHot", ints(2, 3, below=7, low=-2), oracle=lambda i, n=_depth, d=_dtype: np.equal(i[..., None], np.arange(n)).astype(d), depth=_depth, dtype=_dtype)
for _axis in (None, 0, 1, (0, -1), ()):
    sample("Size", f64(2, 3, 4), oracle=lambda x, a=_axis: np.asarray(x.size if a is None else int(np.prod([x.shape[k] for k in np.atleast_1d(np.array(a, int))]))), axis=_axis)
for _length in (5, 6, 9, 40):
    sample("Bincount", ints(3, 4), oracle=lambda x, n=_length: np.bincount(x.reshape(-1), minlength=n), length=_length)

# ---------------------------------------------------------------- other inputs

_ONE = [(), (1,), (7,), (1, 1), (2, 1, 3), (2, 3, 1, 2), (0, 3), (5, 2)]
_TWO = [((), ()), ((1,), (4,)), ((3, 1), (2,)), ((2, 1, 3), (4, 1)), ((0, 3), (3,)), ((1, 1), ()), ((5,), (2, 5)), ((3, 1, 2), (3, 4, 2))]
_ELEMENTWISE = {"_same", "elementwise", "_truth", "_clipped", "_held", "_scaled", "_lambd"}
_GROWN = ({2: 3, 3: 4, 4: 6, 5: 7, 6: 8, 7: 9}, {2: 4, 3: 2, 4: 5, 5: 3, 6: 2, 7: 5}, {2: 5, 3: 1, 4: 2, 5: 6, 6: 4, 7: 3})


def _drawn(rng: np.random.Generator, like: np.ndarray, shape: tuple[int, ...], near: bool) -> np.ndarray:
    """Values of the kind and range of `like`."""
    n = int(np.prod(shape, dtype=int))
    if like.dtype.kind == "f":
        if near:
            return like + rng.uniform(-0.02, 0.02, shape)
        low, high = (float(like.min()), float(like.max())) if like.size else (-1.0, 1.0)
        if low == high:
            return np.full(shape, low)
        return (low + (high - low) * (rng.permutation(n) + rng.uniform(0.2, 0.8, n)) / max(n, 1)).reshape(shape)
    if shape == like.shape:
        return rng.permutation(like.reshape(-1)).reshape(shape)    # the same numbers in other places: counts and bounds hold
    return rng.choice(like.reshape(-1), n).reshape(shape)


def finite(case: Case) -> bool:
    return all(x is None or np.isfinite(x).all() for x in case.inputs)


def _redrawn(case: Case, rng: np.random.Generator, shapes: list[tuple | None], label: str, oracle: Callable | None = None) -> Case:
    free = case.by if case.by else tuple(range(len(case.inputs)))
    inputs = []
    for k, (x, shape) in enumerate(zip(case.inputs, shapes)):
        stays = x is None or shape == x.shape and (k not in free or case.firm and x.dtype.kind != "f")
        inputs.append(x if stays else _drawn(rng, x, shape, case.near))
    return replace(case, inputs=tuple(inputs), label=f"{case.label or case.id}, {label}", oracle=oracle or case.oracle)


def _resized(case: Case, twin: Callable, sizes: dict[int, int]) -> list[tuple | None] | None:
    """The row's shapes with other sizes, if its oracle takes them."""
    if case.firm or case.near or case.fixed or not case.alone:
        return None
    if any(x is not None and x.dtype.kind in "iu" and case.op.inputs[min(k, len(case.op.inputs) - 1)].kind == "Int" for k, x in enumerate(case.inputs)):
        sizes = _GROWN[0]       # indices must stay inside
    return [None if x is None else tuple(sizes.get(d, d) for d in x.shape) for x in case.inputs]


@cache
def samples(type: str) -> tuple[Case, ...]:
    """What is checked of an op beside its rows, at least LEAST with them."""
    return tuple(_made(type))


def _made(type: str) -> Iterator[Case]:
    """Other attributes, shapes that broadcast, then other sizes and other values, by turns over the rows until there are enough."""
    rows = [(k, c) for k, c in enumerate(CASES) if c.type == type]
    usable = [(k, c) for k, c in rows if finite(c)] or rows
    rng = np.random.default_rng(len(type) * 1000 + len(rows))
    yield from MORE.get(type, ())
    count = len(rows) + len(MORE.get(type, ()))
    index, first = usable[0]
    twin = _twin(index)
    if twin is not None and first.op.rule.__name__ in _ELEMENTWISE and not first.by and len(first.inputs) in (1, 2):
        for shapes in _ONE if len(first.inputs) == 1 else _TWO:
            yield _redrawn(first, rng, [shapes] if len(first.inputs) == 1 else list(shapes), f"of {shapes}", twin)
            count += 1
    if not any(x is not None for x in first.inputs):
        return
    turn = 0
    while count < LEAST or turn < 2:
        index, case = usable[turn % len(usable)]
        twin = _twin(index)
        shapes = _resized(case, twin, _GROWN[turn // len(usable) % 3]) if twin is not None and turn < 3 * len(usable) else None
        made = None
        if shapes is not None:
            made = _redrawn(case, rng, shapes, f"in other sizes {turn}", twin)
            try:
                with np.errstate(all="ignore"):
                    made.expected(*made.inputs)
            except Exception:  # the oracle names sizes of its own
                made = None
        if made is None:
            same = [None if x is None else x.shape for x in case.inputs]
            made = _redrawn(case, rng, same, f"other values {turn}", twin)
        yield made
        count, turn = count + 1, turn + 1
