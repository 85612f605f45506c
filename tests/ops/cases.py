"""One row (or a few) for every registered op: what goes in, and an independent oracle. tests/ops/test_every_op.py drives all checks from them."""
from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import ml_dtypes
import numpy as np

jax.config.update("jax_enable_x64", True)
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")  # oracles run once a shape: what counts is how soon they are compiled
import jax.numpy as jnp  # noqa: E402  # after the switch to float64

from flowlab.core.op import REGISTRY, Op  # noqa: E402


@dataclass(frozen=True, eq=False)
class Case:
    """One use of an op: inputs by position (None leaves an optional one open), attributes, and what it must compute."""

    type: str
    inputs: tuple[Any, ...]
    oracle: Callable[..., Any]
    attrs: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    smooth: bool = True             # has a second derivative where it is tested
    named: bool = True              # its sizes may be unknown before the run
    by: tuple[int, ...] | None = None   # inputs that it is differentiated by (default: all floats)
    alone: bool = True              # can be run on any values of these shapes (False: its inputs belong together)
    fixed: bool = False             # further samples keep its sizes: the oracle has them written in
    firm: bool = False              # … and its whole numbers and truth values
    near: bool = False              # … and values near its own: matrices that are far from singular, symmetric ones

    @property
    def op(self) -> Op:
        return REGISTRY[self.type]

    @property
    def id(self) -> str:
        shapes = ",".join("x".join(map(str, x.shape)) or "scalar" for x in self.inputs if x is not None)
        return f"{self.type}-{self.label or shapes}"

    @property
    def targets(self) -> tuple[int, ...]:
        if not self.op.gradient_function:
            return ()
        floats = tuple(k for k, x in enumerate(self.inputs) if x is not None and x.dtype.kind == "f")
        return floats if self.by is None else self.by

    def build(self, tensors: Sequence[Any], **more: Any) -> list[Any]:
        """The op's node over these tensors; its outputs."""
        args = [list(tensors)] if self.op.variadic else list(tensors)
        return list(self.op.node(*args, **self.attrs, **more).outputs)

    def expected(self, *inputs: Any) -> list[Any]:
        got = self.oracle(*inputs)
        return list(got) if isinstance(got, (tuple, list)) else [got]


CASES: list[Case] = []
_SEED = itertools.count(1)


def case(type: str, *inputs: Any, oracle: Callable[..., Any], **options: Any) -> None:
    CASES.append(Case(type, inputs, oracle, **options))


def f64(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Values between low and high, no two alike and none near another, so that ties and kinks are met only on purpose."""
    n = int(np.prod(shape, dtype=int))
    rng = np.random.default_rng(next(_SEED))
    steps = (rng.permutation(n) + rng.uniform(0.2, 0.8, n)) / max(n, 1)
    return (low + (high - low) * steps).reshape(shape)


def ints(*shape: int, below: int = 5, low: int = 0) -> np.ndarray:
    return np.random.default_rng(next(_SEED)).integers(low, below, shape)


def bools(*shape: int) -> np.ndarray:
    return np.random.default_rng(next(_SEED)).random(shape) < 0.5


# ---------------------------------------------------------------- arithmetic

for _type, _oracle in (("Add", jnp.add), ("Subtract", jnp.subtract), ("Multiply", jnp.multiply), ("Maximum", jnp.maximum), ("Minimum", jnp.minimum)):
    _smooth = _type not in ("Maximum", "Minimum")
    case(_type, f64(2, 3, 5), f64(2, 3, 5), oracle=_oracle, smooth=_smooth)
    case(_type, f64(3, 1, 5), f64(4, 1), oracle=_oracle, smooth=_smooth)
    case(_type, f64(), f64(2, 3), oracle=_oracle, smooth=_smooth)
    case(_type, ints(3, 4), ints(4), oracle=_oracle, label="ints")
case("Divide", f64(2, 3, 5), f64(2, 3, 5, low=0.5), oracle=jnp.divide)
case("Divide", f64(3, 1), f64(2, 1, 4, low=0.5), oracle=jnp.divide)
case("Power", f64(3, 4, low=0.3), f64(3, 4), oracle=jnp.power)
case("Power", f64(3, 1, low=0.3), f64(4), oracle=jnp.power)
case("Power", ints(3, 4), ints(4), oracle=jnp.power, label="ints")
case("Negative", f64(3, 4), oracle=jnp.negative)
case("Square", f64(3, 4), oracle=jnp.square)
case("Square", ints(3, 4), oracle=jnp.square, label="ints")
case("Sqrt", f64(3, 4, low=0.2), oracle=jnp.sqrt)
case("Exp", f64(3, 4), oracle=jnp.exp)
case("Log", f64(3, 4, low=0.2), oracle=jnp.log)
case("Sin", f64(3, 4), oracle=jnp.sin)
case("Cos", f64(3, 4), oracle=jnp.cos)
case("Abs", f64(3, 5), oracle=jnp.abs, smooth=False)
case("Sign", f64(3, 4), oracle=jnp.sign)
case("Clip", f64(3, 7), oracle=lambda x: jnp.clip(x, -0.71, 1.13), attrs={"min": -0.71, "max": 1.13}, smooth=False)
case("Clip", f64(3, 7), oracle=lambda x: jnp.clip(x, None, 0.51), attrs={"max": 0.51}, smooth=False, label="above only")
case("Clip", f64(3), oracle=lambda x: x, attrs={}, label="no bounds")
case("Clip", ints(3, 7, below=9), oracle=lambda x: jnp.clip(x, 2, 6), attrs={"min": 2, "max": 6.5}, label="ints")
for _type, _oracle in (("Greater", jnp.greater), ("GreaterEqual", jnp.greater_equal), ("Less", jnp.less), ("LessEqual", jnp.less_equal), ("Equal", jnp.equal)):
    case(_type, ints(3, 4), ints(4), oracle=_oracle)
    case(_type, f64(2, 3), f64(2, 3), oracle=_oracle)
case("Equal", bools(3, 4), bools(3, 4), oracle=jnp.equal, label="bools")
case("Identity", f64(3, 4), oracle=lambda x: x)
case("StopGradient", f64(3, 4), oracle=lambda x: x)

# ---------------------------------------------------------------- shapes, choice, indices

case("Reshape", f64(2, 3, 5), oracle=lambda x: x.reshape(6, 5), attrs={"shape": (6, 5)})
case("Reshape", f64(2, 3, 5), oracle=lambda x: x.reshape(5, 2, 3), attrs={"shape": (5, -1, 3)}, label="worked out")
case("Reshape", f64(1), oracle=lambda x: x.reshape(()), attrs={"shape": ()}, label="scalar")
case("ReshapeLike", f64(2, 3, 5), f64(6, 5), oracle=lambda x, like: x.reshape(like.shape), by=(0,))
case("Transpose", f64(2, 3, 5), oracle=jnp.transpose)
case("Transpose", f64(2, 3, 5), oracle=lambda x: jnp.transpose(x, (1, 2, 0)), attrs={"axes": (1, -1, 0)}, label="1,-1,0")
case("ExpandDims", f64(2, 3), oracle=lambda x: x[:, None], attrs={"axis": 1})
case("ExpandDims", f64(2, 3), oracle=lambda x: x[None, :, :, None], attrs={"axis": (0, -1)}, label="two axes")
case("Squeeze", f64(2, 1, 3, 1), oracle=lambda x: x[:, 0, :, 0], named=False, fixed=True)
case("Squeeze", f64(2, 1, 3, 1), oracle=lambda x: x[:, 0], attrs={"axis": 1}, label="axis 1")
case("BroadcastTo", f64(3, 1), oracle=lambda x: jnp.broadcast_to(x, (2, 3, 5)), attrs={"shape": (2, 3, 5)})
case("BroadcastLike", f64(3, 1), f64(2, 3, 5), oracle=lambda x, like: jnp.broadcast_to(x, like.shape), by=(0,))
case("ZerosLike", f64(2, 3), oracle=jnp.zeros_like)
case("OnesLike", f64(2, 3), oracle=jnp.ones_like)
case("Cast", f64(2, 3), oracle=lambda x: x.astype("float32"), attrs={"dtype": "float32"}, smooth=False, by=())
case("Cast", f64(2, 3), oracle=lambda x: x, attrs={"dtype": "float64"}, label="to its own")
case("Cast", ints(2, 3, low=-3), oracle=lambda x: x.astype("float64"), attrs={"dtype": "float64"}, label="from ints")
case("Cast", ints(2, 3, low=-1), oracle=lambda x: x.astype(bool), attrs={"dtype": "bool"}, label="to bool")
case("Where", bools(3, 1), f64(4), f64(2, 3, 4), oracle=jnp.where)
case("Where", bools(3, 4), ints(3, 4), ints(), oracle=jnp.where, label="ints")
case("Concat", f64(2, 3), f64(2, 5), f64(2, 1), oracle=lambda *xs: jnp.concatenate(xs, 1), attrs={"axis": -1})
case("Concat", f64(2, 3), f64(5, 3), oracle=lambda *xs: jnp.concatenate(xs, 0))
case("Concat", f64(2, 3), oracle=lambda x: x, label="one alone")
case("SliceLike", f64(2, 9), f64(2, 3), f64(2, 5), f64(2, 1), oracle=lambda x, a, b, c: x[:, 3:8], attrs={"position": 1, "axis": 1}, by=(0,), fixed=True)
case("Stack", f64(2, 3), f64(2, 3), f64(2, 3), oracle=lambda *xs: jnp.stack(xs, 1), attrs={"axis": 1})
case("Stack", f64(2, 3), f64(2, 3), oracle=lambda *xs: jnp.stack(xs, -1), attrs={"axis": -1}, label="last")
case("Split", f64(2, 6), oracle=lambda x: jnp.split(x, 3, 1), attrs={"n": 3, "axis": -1})
case("Split", f64(4, 3), oracle=lambda x: jnp.split(x, 1), attrs={"n": 1}, label="one part")
case("Slice", f64(4, 5, 6), oracle=lambda x: x[1], attrs={"index": (1,)}, label="a row")
case("Slice", f64(4, 5, 6), oracle=lambda x: x[..., -2, ::-2], attrs={"index": (..., -2, slice(None, None, -2))}, label="back to front")
case("Slice", f64(4, 5), oracle=lambda x: x[1:3, None, 3:99], attrs={"index": (slice(1, 3), None, slice(3, 99))}, label="new axis, over the end")
case("Slice", f64(4, 5), oracle=lambda x: x[3:1], attrs={"index": (slice(3, 1),)}, label="nothing")
case("Slice", f64(4), oracle=lambda x: x[-1], attrs={"index": (-1,)}, label="scalar")
case("SliceGradient", f64(2, 5), f64(4, 5), oracle=lambda g, like: jnp.zeros_like(like).at[1:3].set(g), attrs={"index": (slice(1, 3),)}, by=(0,))
case("Gather", f64(5, 3), ints(2, 4), oracle=lambda x, i: x[i])
case("Gather", f64(2, 5, 3), np.array([-1, 0, 4, 4]), oracle=lambda x, i: x[:, i], attrs={"axis": 1}, label="twice and from the end")
case("Gather", f64(2, 5), np.array(3), oracle=lambda x, i: x[:, i], attrs={"axis": -1}, label="one")
case("GatherGradient", f64(4, 3), np.array([1, 1, -1, 0]), f64(5, 3), oracle=lambda g, i, like: jnp.zeros_like(like).at[i].add(g), by=(0,))
case("GatherGradient", f64(2, 4, 3), np.array([1, 1, -1, 0]), f64(2, 5, 3), oracle=lambda g, i, like: jnp.zeros_like(like).at[:, i].add(g), attrs={"axis": -2}, by=(0,),
     label="axis -2")
case("OneHot", np.array([[0, 3], [-1, 7]]), oracle=lambda i: jax.nn.one_hot(i, 5, dtype="float64"), attrs={"depth": 5, "dtype": "float64"})
case("OneHotLike", ints(2), f64(2, 5), oracle=lambda i, like: jax.nn.one_hot(i, like.shape[1], dtype="float64"))

# ---------------------------------------------------------------- reductions

for _type, _oracle in (("Sum", jnp.sum), ("Mean", jnp.mean), ("Max", jnp.max), ("Min", jnp.min)):
    _smooth = _type not in ("Max", "Min")
    case(_type, f64(2, 3, 5), oracle=_oracle, smooth=_smooth)
    case(_type, f64(2, 3, 5), oracle=lambda x, f=_oracle: f(x, axis=-2), attrs={"axis": -2}, smooth=_smooth, label="axis -2")
    case(_type, f64(2, 3, 5), oracle=lambda x, f=_oracle: f(x, axis=(0, 2), keepdims=True), attrs={"axis": (2, 0), "keepdims": True}, smooth=_smooth, label="kept")
    case(_type, f64(), oracle=_oracle, smooth=_smooth, label="of a scalar")
case("Sum", f64(2, 3), oracle=lambda x: x, attrs={"axis": ()}, label="over no axis")
case("Sum", ints(2, 3), oracle=lambda x: jnp.sum(x, 0), attrs={"axis": 0}, label="ints")
case("Max", ints(2, 3), oracle=lambda x: jnp.max(x, 0), attrs={"axis": 0}, label="ints")
case("SumLike", f64(2, 3, 5), f64(3, 1), oracle=lambda x, like: x.sum(0).sum(1, keepdims=True), by=(0,))
case("SumLike", f64(3, 5), f64(3, 5), oracle=lambda x, like: x, by=(0,))
case("Size", f64(2, 3, 5), oracle=lambda x: jnp.asarray(30), fixed=True)
case("Size", f64(2, 3, 5), oracle=lambda x: jnp.asarray(10.0, "float64"), attrs={"axis": (0, -1), "dtype": "float64"}, label="axes", fixed=True)
case("Argmax", f64(2, 3, 5), oracle=lambda x: jnp.argmax(x, 1), attrs={"axis": 1})
case("Argmax", np.array([[1, 3, 3], [2, 0, 2]]), oracle=lambda x: jnp.argmax(x, -1), label="ties")

# ---------------------------------------------------------------- linear algebra

for _a, _b in (((2, 3), (3, 5)), ((3,), (3,)), ((3,), (3, 5)), ((2, 3), (3,)), ((4, 1, 2, 3), (6, 3, 5)), ((3,), (4, 3, 5)), ((4, 2, 3), (3,)), ((4, 2, 3), (3, 5))):
    case("MatMul", f64(*_a), f64(*_b), oracle=jnp.matmul)
case("MatMul", ints(2, 3), ints(3, 5), oracle=jnp.matmul, label="ints")

# ---------------------------------------------------------------- activations and losses

case("Tanh", f64(3, 4), oracle=jnp.tanh)
case("Sigmoid", f64(3, 4), oracle=jax.nn.sigmoid)
case("Relu", f64(3, 5), oracle=jax.nn.relu, smooth=False)
case("Relu", ints(3, 5, low=-4), oracle=jax.nn.relu, label="ints")
case("ReluGradient", f64(3, 5), f64(3, 5), oracle=lambda g, y: g * (y > 0), smooth=False, by=(0,))
case("Softmax", f64(2, 3, 5), oracle=jax.nn.softmax)
case("Softmax", f64(2, 3, 5), oracle=lambda x: jax.nn.softmax(x, axis=1), attrs={"axis": 1}, label="axis 1")
case("LogSoftmax", f64(2, 3, 5), oracle=jax.nn.log_softmax)
case("LogSoftmax", f64(2, 3, 5), oracle=lambda x: jax.nn.log_softmax(x, axis=0), attrs={"axis": 0}, label="axis 0")


def _surprise(x: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[..., None], -1)[..., 0]


case("SparseSoftmaxCrossEntropy", f64(3, 5), ints(3), oracle=_surprise)
case("SparseSoftmaxCrossEntropy", f64(2, 3, 5), ints(2, 3), oracle=_surprise)
case("SparseSoftmaxCrossEntropy", f64(5), ints(), oracle=_surprise, label="one row")
case("SoftmaxCrossEntropy", f64(3, 5), f64(3, 5, low=0.0, high=1.0), oracle=lambda x, y: -(y * jax.nn.log_softmax(x)).sum(-1))

# ---------------------------------------------------------------- convolution and pooling


def _pads(padding: Any, sizes: tuple, kernel: tuple, stride: tuple) -> Any:
    return padding.upper() if isinstance(padding, str) else [(padding, padding)] * len(sizes) if isinstance(padding, int) else padding


def conv_by_jax(x, w, stride=1, padding=0, dilation=1, groups=1):
    n = x.ndim - 2
    s, d = ((v,) * n if isinstance(v, int) else v for v in (stride, dilation))
    return jax.lax.conv_general_dilated(x, w, s, _pads(padding, x.shape[2:], w.shape[2:], s), rhs_dilation=d, feature_group_count=groups)


def conv_cases(n: int, x: tuple, w: tuple, label: str = "", **attrs: Any) -> None:
    """A convolution, and what its two derivatives are by JAX's."""
    type, x, w = f"Conv{n}D", f64(*x), f64(*w)
    y, back = jax.vjp(lambda x, w: conv_by_jax(x, w, **attrs), x, w)
    g = f64(*y.shape)
    case(type, x, w, oracle=lambda x, w: conv_by_jax(x, w, **attrs), attrs=attrs, label=label)
    case(f"{type}InputGradient", g, w, x, oracle=lambda g, w, x: jax.vjp(lambda x: conv_by_jax(x, w, **attrs), x)[1](g)[0], attrs=attrs, label=label, by=(0, 1))
    case(f"{type}KernelGradient", x, g, w, oracle=lambda x, g, w: jax.vjp(lambda w: conv_by_jax(x, w, **attrs), w)[1](g)[0], attrs=attrs, label=label, by=(0, 1))


def conv_transpose_by_jax(x, w, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    n = x.ndim - 2
    s, d, e = ((v,) * n if isinstance(v, int) else v for v in (stride, dilation, output_padding))
    pads = [(padding, padding)] * n if isinstance(padding, int) else padding
    around = [(dd * (k - 1) - a, dd * (k - 1) - b + ee) for (a, b), k, dd, ee in zip(pads, w.shape[2:], d, e)]
    parts = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    flipped = jnp.flip(jnp.swapaxes(parts, 1, 2), tuple(range(3, n + 3)))
    return jax.lax.conv_general_dilated(x, flipped.reshape(-1, *flipped.shape[2:]), (1,) * n, around, lhs_dilation=s, rhs_dilation=d, feature_group_count=groups)


def pool_by_jax(x, size, stride=None, padding=0, largest=True, count_padding=True):
    n = x.ndim - 2
    k = (size,) * n if isinstance(size, int) else size
    s = k if stride is None else (stride,) * n if isinstance(stride, int) else stride
    pads = jax.lax.padtype_to_pads(x.shape[2:], k, s, padding.upper()) if isinstance(padding, str) else _pads(padding, x.shape[2:], k, s)
    full = [(0, 0), (0, 0), *pads]
    if largest:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, *k), (1, 1, *s), full)

    def total(v):
        return jax.lax.reduce_window(v, 0.0, jax.lax.add, (1, 1, *k), (1, 1, *s), full)
    return total(x) / (np.prod(k) if count_padding else total(jnp.ones_like(x)))


def pool_cases(n: int, x: tuple, label: str = "", **attrs: Any) -> None:
    x = f64(*x)
    largest = {k: v for k, v in attrs.items() if k != "count_padding"}
    y = np.asarray(pool_by_jax(x, **largest))
    g, d = f64(*y.shape), f64(*x.shape)
    case(f"MaxPool{n}D", x, oracle=lambda x: pool_by_jax(x, **largest), attrs=largest, label=label)
    case(f"MaxPool{n}DGradient", x, y, g, oracle=lambda x, y, g: jax.vjp(lambda x: pool_by_jax(x, **largest), x)[1](g)[0], attrs=largest, label=label, by=(2,))
    case(f"MaxPool{n}DPick", x, y, d, oracle=lambda x, y, d: jax.jvp(lambda x: pool_by_jax(x, **largest), (x,), (d,))[1], attrs=largest, label=label, by=(2,))
    case(f"AvgPool{n}D", x, oracle=lambda x: pool_by_jax(x, largest=False, **attrs), attrs=attrs, label=label)
    case(f"AvgPool{n}DGradient", g, x, oracle=lambda g, x: jax.vjp(lambda x: pool_by_jax(x, largest=False, **attrs), x)[1](g)[0], attrs=attrs, label=label, by=(0,))


conv_cases(2, (2, 3, 5, 7), (4, 3, 3, 2))
conv_cases(2, (2, 3, 5, 7), (4, 3, 3, 2), "same", padding="same")
conv_cases(2, (2, 3, 6, 7), (4, 3, 3, 2), "same, stride", padding="same", stride=(2, 3))
conv_cases(2, (2, 3, 8, 7), (4, 3, 2, 3), "stride, dilation, padding", stride=(2, 1), padding=((1, 0), (2, 3)), dilation=(3, 2))
conv_cases(2, (2, 6, 5, 4), (9, 2, 2, 3), "groups", groups=3, padding=1, stride=2)
conv_cases(2, (3, 2, 4, 5), (2, 1, 1, 1), "each channel alone", groups=2)
conv_cases(1, (2, 3, 7), (4, 3, 2), padding="valid")
conv_cases(1, (2, 4, 8), (6, 2, 3), "groups", groups=2, stride=2, dilation=2, padding=2)
conv_cases(3, (2, 3, 4, 5, 6), (1, 3, 2, 3, 2), padding=((1, 0), (0, 0), (0, 1)), stride=(1, 2, 1))
for _n, _x, _w, _attrs in ((2, (2, 3, 4, 5), (3, 4, 3, 2), {}), (2, (2, 6, 4, 5), (6, 1, 3, 2), {"stride": (3, 2), "padding": 1, "output_padding": (2, 0), "groups": 3}),
                           (2, (2, 3, 4, 5), (3, 4, 2, 3), {"dilation": 2, "padding": ((1, 0), (2, 1))}), (1, (2, 3, 5), (3, 4, 2), {"stride": 2}),
                           (3, (1, 2, 3, 4, 5), (2, 3, 2, 1, 2), {"stride": 2})):
    case(f"ConvTranspose{_n}D", f64(*_x), f64(*_w), oracle=lambda x, w, a=_attrs: conv_transpose_by_jax(x, w, **a), attrs=_attrs, label=", ".join(_attrs))
pool_cases(2, (2, 3, 6, 4), size=2)
pool_cases(2, (2, 3, 7, 5), "overlapping", size=(3, 2), stride=(2, 1))
pool_cases(2, (2, 3, 5, 4), "padded", size=3, stride=2, padding=1, count_padding=False)
pool_cases(2, (2, 3, 5, 4), "same", size=(2, 3), stride=2, padding="same")
pool_cases(2, (2, 3, 5, 4), "of one, with gaps", size=1, stride=2)
pool_cases(1, (2, 3, 7), size=3, stride=2, padding=1)
pool_cases(3, (2, 1, 3, 4, 5), size=2)



def adaptive_by_jax(x, size, f):
    """Window by window, as torch writes it down."""
    n = x.ndim - 2
    cuts = [[slice(int(np.floor(i * d / k)), int(np.ceil((i + 1) * d / k))) for i in range(k)] for d, k in zip(x.shape[2:], (size,) * n if isinstance(size, int) else size)]
    out = [f(x[(slice(None), slice(None), *cut)], axis=tuple(range(2, n + 2))) for cut in itertools.product(*cuts)]
    return jnp.stack(out, -1).reshape(*x.shape[:2], *map(len, cuts))


def adaptive_cases(n: int, x: tuple, size: Any) -> None:
    x = f64(*x)
    attrs, label = {"size": size}, f"{'x'.join(map(str, x.shape))} to {size}"

    def mean(x):
        return adaptive_by_jax(x, size, jnp.mean)

    def top(x):
        return adaptive_by_jax(x, size, jnp.max)
    y = np.asarray(mean(x))
    g, d = f64(*y.shape), f64(*x.shape)
    case(f"AdaptiveAvgPool{n}D", x, oracle=mean, attrs=attrs, label=label)
    case(f"AdaptiveMaxPool{n}D", x, oracle=top, attrs=attrs, label=label)
    case("AdaptiveAvgPoolGradient", g, x, oracle=lambda g, x: jax.vjp(mean, x)[1](g)[0], attrs=attrs, label=label, by=(0,))
    case("AdaptiveMaxPoolGradient", x, g, oracle=lambda x, g: jax.vjp(top, x)[1](g)[0], attrs=attrs, label=label, by=(1,))
    case("AdaptiveMaxPoolPick", x, d, oracle=lambda x, d: jax.jvp(top, (x,), (d,))[1], attrs=attrs, label=label, by=(1,))


adaptive_cases(1, (2, 3, 7), 3)
adaptive_cases(2, (2, 3, 5, 4), (2, 3))
adaptive_cases(2, (2, 3, 3, 4), 1)
adaptive_cases(2, (1, 2, 3, 2), (5, 2))
adaptive_cases(3, (2, 1, 3, 4, 5), (2, 3, 1))

# ---------------------------------------------------------------- layout, order, logic

for _mode in ("constant", "edge", "reflect"):
    _width = {"pad_width": ((1, 0), (0, 0), (2, 3)), "mode": _mode}
    case("Pad", f64(2, 3, 5), oracle=lambda x, m=_mode: jnp.pad(x, ((1, 0), (0, 0), (2, 3)), mode=m), attrs=_width, label=_mode)
    case("PadGradient", f64(3, 3, 10), f64(2, 3, 5), oracle=lambda g, like, m=_mode: jax.vjp(lambda x: jnp.pad(x, ((1, 0), (0, 0), (2, 3)), mode=m), like)[1](g)[0], attrs=_width,
         label=_mode, by=(0,))
case("Pad", f64(3), oracle=lambda x: jnp.pad(x, 1, constant_values=-1.5), attrs={"pad_width": ((1, 1),), "constant_values": -1.5}, label="a number")
case("Pad", ints(3, 2), oracle=lambda x: jnp.pad(x, ((0, 2), (1, 0)), constant_values=7), attrs={"pad_width": ((0, 2), (1, 0)), "constant_values": 7}, label="ints")
for _reps, _shape in (((2, 3), (4, 5)), ((2, 1, 3), (5,)), ((3,), (2, 5))):
    case("Tile", f64(*_shape), oracle=lambda x, r=_reps: jnp.tile(x, r), attrs={"reps": _reps})
    case("TileGradient", f64(*np.tile(np.zeros(_shape), _reps).shape), f64(*_shape), oracle=lambda g, like, r=_reps: jax.vjp(lambda x: jnp.tile(x, r), like)[1](g)[0],
         attrs={"reps": _reps}, by=(0,))
for _axis in (None, 0, -1):
    case("Repeat", f64(2, 4, 5), oracle=lambda x, a=_axis: jnp.repeat(x, 3, a), attrs={"repeats": 3, "axis": _axis}, label=f"axis {_axis}")
    case("RepeatGradient", f64(*np.repeat(np.zeros((2, 4, 5)), 3, _axis).shape), f64(2, 4, 5), oracle=lambda g, like, a=_axis: jax.vjp(lambda x: jnp.repeat(x, 3, a), like)[1](g)[0],
         attrs={"repeats": 3, "axis": _axis}, by=(0,), label=f"axis {_axis}")
for _axis in (None, 1, (0, -1)):
    case("Flip", f64(2, 3, 5), oracle=lambda x, a=_axis: jnp.flip(x, a), attrs={"axis": _axis}, label=f"axis {_axis}")
for _shift, _axis in ((2, None), (-1, 1), ((1, 2), (0, -1))):
    case("Roll", f64(2, 3, 5), oracle=lambda x, s=_shift, a=_axis: jnp.roll(x, s, a), attrs={"shift": _shift, "axis": _axis}, label=f"{_shift} on {_axis}")
case("Unstack", f64(3, 2, 5), oracle=lambda x: list(x), named=False)
case("Unstack", f64(3, 2), oracle=lambda x: [x[:, 0], x[:, 1]], attrs={"axis": -1}, label="last", named=False, fixed=True)
for _type, _oracle in (("Tril", jnp.tril), ("Triu", jnp.triu)):
    case(_type, f64(4, 5), oracle=_oracle)
    case(_type, f64(2, 3, 4), oracle=lambda x, f=_oracle: f(x, -1), attrs={"k": -1}, label="k -1")
case("Arange", oracle=lambda: jnp.arange(5), attrs={"stop": 5}, label="5")
case("Arange", oracle=lambda: jnp.arange(7.0, 2.0, -1.5), attrs={"start": 7, "stop": 2, "step": -1.5, "dtype": "float64"}, label="down")
case("Linspace", oracle=lambda: jnp.linspace(-1, 2, 7), attrs={"start": -1, "stop": 2, "num": 7, "dtype": "float64"}, label="7")
case("Eye", oracle=lambda: jnp.eye(3, dtype="float32"), attrs={"n": 3}, label="3")
case("Eye", oracle=lambda: jnp.eye(3, 5, 1, dtype="int64"), attrs={"n": 3, "m": 5, "k": 1, "dtype": "int64"}, label="3 by 5")
for _axis in (0, -1):
    case("Sort", f64(4, 5), oracle=lambda x, a=_axis: jnp.sort(x, a), attrs={"axis": _axis}, label=f"axis {_axis}")
    case("Argsort", ints(4, 5), oracle=lambda x, a=_axis: np.argsort(x, a, kind="stable"), attrs={"axis": _axis}, label=f"axis {_axis}")
case("Sort", ints(4, 5), oracle=jnp.sort, label="ints")
case("TopK", f64(3, 5), oracle=lambda x: jax.lax.top_k(x, 3)[0:1] + [jax.lax.top_k(x, 3)[1].astype("int64")], attrs={"k": 3})
case("TopK", np.array([[1, 3, 3, 0], [2, 2, 2, 1]]), oracle=lambda x: [jax.lax.top_k(x, 2)[0], jax.lax.top_k(x, 2)[1].astype("int64")], attrs={"k": 2}, label="ties")
case("TopK", f64(4, 2, 3), oracle=lambda x: [-jnp.sort(-x, 0)[:2], jnp.argsort(-x, 0)[:2]], attrs={"k": 2, "axis": 0}, label="axis 0")
case("TakeAlongAxis", f64(4, 5), ints(4, 3), oracle=lambda x, i: jnp.take_along_axis(x, i, 1))
case("TakeAlongAxis", f64(4, 3, 2), np.array([[[3, -1], [0, 0], [1, 2]]]), oracle=lambda x, i: jnp.take_along_axis(x, i, 0), attrs={"axis": 0}, label="from the end")
case("TakeAlongAxisGradient", f64(4, 3), ints(4, 3), f64(4, 5), oracle=lambda g, i, like: jax.vjp(lambda x: jnp.take_along_axis(x, i, 1), like)[1](g)[0], by=(0,))


def _scattered_along(x, i, u, axis, how):
    at = [jnp.arange(d).reshape((-1,) + (1,) * (i.ndim - k - 1)) for k, d in enumerate(i.shape)]
    at[axis] = i
    place = jnp.asarray(x).at[tuple(at)]
    return {"none": place.set, "add": place.add, "mul": place.multiply, "max": place.max, "min": place.min}[how](u)


case("ScatterReduce", f64(5, 3), np.array([[4, 0, 1], [0, -2, 2]]), f64(2, 3), oracle=lambda x, i, u: _scattered_along(x, i, u, 0, "none"), firm=True)
case("ScatterReduce", f64(2, 5), np.array([[4, 0, 1]]), f64(1, 3), oracle=lambda x, i, u: _scattered_along(x, i, u, 1, "none"), attrs={"axis": -1}, label="axis -1", firm=True)
case("ScatterReduce", f64(3, 4), ints(5, 2, below=3), f64(5, 2), oracle=lambda x, i, u: _scattered_along(x, i, u, 0, "add"), attrs={"reduction": "add"}, label="add", named=False, firm=True)
case("PickAlongAxis", f64(5, 3), np.array([[4, 0, 1], [0, -2, 2]]), oracle=lambda x, i: jnp.take_along_axis(x[:, :3], i, 0), firm=True)
case("PickAlongAxis", f64(3, 4), ints(2, 6, below=4), oracle=lambda x, i: jnp.take_along_axis(x[:2], i, 1), attrs={"axis": -1}, label="a part", firm=True, fixed=True)
for _how in ("mul", "max", "min"):
    case("ScatterReduce", f64(3, 4), ints(3, 2, below=4), f64(3, 2), oracle=lambda x, i, u, h=_how: _scattered_along(x, i, u, 1, h), attrs={"axis": 1, "reduction": _how}, label=_how, by=(), firm=True)
case("ScatterReduce", bools(4), np.array([3, 0]), bools(2), oracle=lambda x, i, u: _scattered_along(x, i, u, 0, "none"), label="bools", firm=True)
case("ScatterAdd", f64(5, 3), np.array([4, 0, 4, -1]), f64(4, 3), oracle=lambda x, i, u: jnp.asarray(x).at[i].add(u))
case("ScatterAdd", f64(2, 5), ints(3, 4), f64(2, 3, 4), oracle=lambda x, i, u: jnp.asarray(x).at[:, i].add(u), attrs={"axis": -1}, label="axis -1")
for _type, _oracle in (("Cumsum", jnp.cumsum), ("Cumprod", jnp.cumprod)):
    for _axis in (None, 0, -1):
        case(_type, f64(3, 4), oracle=lambda x, f=_oracle, a=_axis: f(x, a), attrs={"axis": _axis}, label=f"axis {_axis}")
    case(_type, ints(3, 4, low=1), oracle=lambda x, f=_oracle: f(x, 0), attrs={"axis": 0}, label="ints")
case("Cumprod", np.array([[1.5, 0.0, -2.0, 0.0, 3.0], [0.5, 2.0, -1.0, 0.7, 0.0]]), oracle=lambda x: jnp.cumprod(x, 1), attrs={"axis": 1}, label="zeros", smooth=False)
case("ReshapeToSizes", f64(4, 6), np.array([3, -1, 2]), oracle=lambda x, s: jnp.reshape(x, tuple(int(d) for d in s)), firm=True, fixed=True, named=False)
case("ReshapeToSizes", f64(4, 3, 2), np.array([4, 6]), oracle=lambda x, s: jnp.reshape(x, tuple(int(d) for d in s)), attrs={"shape": (None, 6)}, label="as far as it is known", firm=True, fixed=True)
case("ReshapeToSizes", f64(1), np.array([], "int64"), oracle=lambda x, s: jnp.reshape(x, ()), label="to a scalar", fixed=True, named=False)
case("BroadcastToSizes", f64(3, 1), np.array([2, 3, 4]), oracle=lambda x, s: jnp.broadcast_to(x, tuple(int(d) for d in s)), firm=True, fixed=True, named=False)
case("BroadcastToSizes", f64(), np.array([5]), oracle=lambda x, s: jnp.broadcast_to(x, tuple(int(d) for d in s)), attrs={"shape": (None,)}, label="a number", firm=True, fixed=True)
for _format, _dtype in (("bfloat16", ml_dtypes.bfloat16), ("float8e4m3fn", ml_dtypes.float8_e4m3fn), ("float8e4m3fnuz", ml_dtypes.float8_e4m3fnuz), ("float8e5m2", ml_dtypes.float8_e5m2),
                        ("float8e5m2fnuz", ml_dtypes.float8_e5m2fnuz), ("float4e2m1", ml_dtypes.float4_e2m1fn)):
    case("RoundTo", f64(3, 7, low=-5, high=5), oracle=lambda x, d=_dtype: x.astype(d).astype(x.dtype), attrs={"format": _format}, label=_format, by=())
    case("RoundTo", f64(40, low=-1e-4, high=1e-4), oracle=lambda x, d=_dtype: x.astype(d).astype(x.dtype), attrs={"format": _format, "saturate": False}, label=f"{_format}, near 0", by=())
case("RoundTo", np.array([500.0, -1e9, np.inf, np.nan, 464.0, 465.0]), oracle=lambda x: jnp.clip(x, -448, 448), attrs={"format": "float8e4m3fn"}, label="saturated", by=(), fixed=True, firm=True)
case("RoundTo", np.array([465.0, -1e9, -np.inf, 464.0]), oracle=lambda x: jnp.where(jnp.abs(x) > 464, jnp.nan, 448.0), attrs={"format": "float8e4m3fn", "saturate": False}, label="beyond", by=(), fixed=True)
for _type, _oracle in (("BitwiseAnd", jnp.bitwise_and), ("BitwiseOr", jnp.bitwise_or), ("BitwiseXor", jnp.bitwise_xor), ("LeftShift", jnp.left_shift), ("RightShift", jnp.right_shift)):
    case(_type, ints(3, 4, below=50), ints(3, 4), oracle=_oracle)
    case(_type, ints(3, 1, below=90, low=-90 if _type != "LeftShift" else 0), ints(4), oracle=_oracle, label="broadcast")
case("Invert", ints(3, 4, below=40, low=-40), oracle=jnp.invert)
case("Invert", ints(below=9), oracle=jnp.invert)
for _type, _oracle in (("LogicalAnd", jnp.logical_and), ("LogicalOr", jnp.logical_or), ("LogicalXor", jnp.logical_xor)):
    case(_type, bools(3, 4), bools(4), oracle=_oracle)
case("LogicalNot", bools(3, 4), oracle=jnp.logical_not)
case("NotEqual", ints(3, 4), ints(4), oracle=jnp.not_equal)
_ODD = np.array([[0.0, np.nan, np.inf], [-np.inf, 1.0, -0.0]])
for _type, _oracle in (("Isnan", jnp.isnan), ("Isinf", jnp.isinf), ("Isfinite", jnp.isfinite)):
    case(_type, _ODD, oracle=_oracle)
for _type, _oracle in (("Any", jnp.any), ("All", jnp.all)):
    case(_type, bools(3, 4), oracle=_oracle)
    case(_type, bools(3, 4, 2), oracle=lambda x, f=_oracle: f(x, (0, 2), keepdims=True), attrs={"axis": (0, 2), "keepdims": True}, label="kept")

# ---------------------------------------------------------------- more mathematics

for _type, _oracle in (("Floor", jnp.floor), ("Ceil", jnp.ceil), ("Round", jnp.round)):
    case(_type, f64(3, 4), oracle=_oracle)
case("Round", np.array([-2.5, -0.5, 0.5, 1.5]), oracle=jnp.round, label="halves")
case("Floor", ints(3, 4, low=-4), oracle=lambda x: x, label="ints")
for _type, _oracle in (("Expm1", jnp.expm1), ("Tan", jnp.tan), ("Arctan", jnp.arctan), ("Sinh", jnp.sinh), ("Cosh", jnp.cosh), ("Erf", jax.scipy.special.erf)):
    case(_type, f64(3, 4, low=-1.3, high=1.3), oracle=_oracle)
for _type, _oracle in (("Log1p", jnp.log1p), ("Log2", jnp.log2), ("Log10", jnp.log10), ("Reciprocal", lambda x: 1 / x), ("Rsqrt", jax.lax.rsqrt)):
    case(_type, f64(3, 4, low=0.3), oracle=_oracle)
for _type, _oracle in (("Arcsin", jnp.arcsin), ("Arccos", jnp.arccos)):
    case(_type, f64(3, 4, low=-0.8, high=0.8), oracle=_oracle)
for _type, _oracle in (("Exp2", jnp.exp2), ("Cbrt", jnp.cbrt), ("Arcsinh", jnp.arcsinh)):
    case(_type, f64(3, 4, low=0.3), oracle=_oracle)
case("Cbrt", f64(3, 4, high=-0.3), oracle=jnp.cbrt, label="negative")
case("Arccosh", f64(3, 4, low=1.2, high=4), oracle=jnp.arccosh)
case("Arctanh", f64(3, 4, low=-0.8, high=0.8), oracle=jnp.arctanh)
case("Trunc", f64(3, 4), oracle=jnp.trunc)
case("Trunc", ints(3, 4, low=-4), oracle=lambda x: x, label="ints")
for _type, _oracle in (("Logaddexp", jnp.logaddexp), ("Hypot", jnp.hypot)):
    case(_type, f64(3, 4, low=0.3), f64(3, 4), oracle=_oracle)
    case(_type, f64(2, 3, 1, low=0.3), f64(4), oracle=_oracle)
case("Logaddexp", np.array([-np.inf, 700.0, -np.inf, -800.0]), np.array([-np.inf, 800.0, 1.0, -801.0]), oracle=np.logaddexp, label="far out", by=())
case("Erf", np.array([-9.0, -3.1, -1e-9, 0.0, 0.3, 0.9, 2.2, 5.9, np.inf]), oracle=jax.scipy.special.erf, label="far out", by=())
case("Arctan2", f64(3, 4), f64(3, 4, low=0.4), oracle=jnp.arctan2)
case("Arctan2", f64(3, 1), f64(4, low=-2, high=-0.4), oracle=jnp.arctan2, label="behind")
case("Mod", f64(3, 4, low=-5, high=5), f64(3, 4, low=1.0), oracle=jnp.remainder, smooth=False)
case("Mod", f64(3, 1, low=-5, high=5), f64(4, low=-3, high=-1), oracle=jnp.remainder, smooth=False, label="negative")
case("Mod", ints(3, 4, low=-9, below=9), ints(4, low=1), oracle=jnp.remainder, label="ints")
case("FloorDivide", f64(3, 4, low=-5, high=5), f64(4, low=1.0), oracle=jnp.floor_divide)
case("FloorDivide", ints(3, 4, low=-9, below=9), ints(4, low=1), oracle=jnp.floor_divide, label="ints")
for _type, _oracle in (("Prod", jnp.prod), ("Var", jnp.var), ("Std", jnp.std), ("Logsumexp", jax.scipy.special.logsumexp), ("Norm", lambda x, **a: jnp.sqrt(jnp.sum(x * x, **a)))):
    case(_type, f64(2, 3, 5), oracle=_oracle)
    case(_type, f64(2, 3, 5), oracle=lambda x, f=_oracle: f(x, axis=-2), attrs={"axis": -2}, label="axis -2")
    case(_type, f64(2, 3, 5), oracle=lambda x, f=_oracle: f(x, axis=(0, 2), keepdims=True), attrs={"axis": (2, 0), "keepdims": True}, label="kept")
case("Prod", np.array([[1.5, 0.0, -2.0], [0.0, 2.0, 0.0], [2.0, 3.0, 0.5]]), oracle=lambda x: jnp.prod(x, 1), attrs={"axis": 1}, label="zeros", smooth=False)
case("Prod", ints(2, 3, low=1), oracle=lambda x: jnp.prod(x, 0), attrs={"axis": 0}, label="ints")
case("Var", f64(3, 4), oracle=lambda x: jnp.var(x, 1, ddof=1), attrs={"axis": 1, "ddof": 1}, label="ddof 1")
case("Std", f64(3, 4), oracle=lambda x: jnp.std(x, ddof=2), attrs={"ddof": 2}, label="ddof 2")
case("Logsumexp", np.array([[1e3, 1e3, -1e3], [-np.inf, -np.inf, -np.inf], [np.inf, 0.0, 1.0]]), oracle=lambda x: jax.scipy.special.logsumexp(x, 1), attrs={"axis": 1}, label="large", by=())
case("Argmin", f64(2, 3, 5), oracle=lambda x: jnp.argmin(x, 1), attrs={"axis": 1})
case("Argmin", np.array([[1, 0, 0], [2, 3, 2]]), oracle=lambda x: jnp.argmin(x, -1), label="ties")
case("Outer", f64(3), f64(4), oracle=jnp.outer)
case("Outer", ints(3), ints(4), oracle=jnp.outer, label="ints")
for _attrs, _shape in (({}, (4, 4)), ({"offset": 1}, (3, 5)), ({"offset": -1, "axis1": 2, "axis2": 0}, (3, 2, 5))):
    _kw = {"offset": 0, "axis1": 0, "axis2": 1, **_attrs}
    case("Trace", f64(*_shape), oracle=lambda x, a=_kw: jnp.trace(x, **a), attrs=_attrs)
    case("TraceGradient", f64(*[d for k, d in enumerate(_shape) if k not in (_kw["axis1"], _kw["axis2"])]), f64(*_shape),
         oracle=lambda g, like, a=_kw: jax.vjp(lambda x: jnp.trace(x, **a), like)[1](jnp.asarray(g))[0], attrs=_attrs, by=(0,))


def near_eye(*shape: int) -> np.ndarray:
    """Matrices that are far from singular."""
    return f64(*shape, low=-0.4, high=0.4) + 2 * np.eye(shape[-1])


def positive(*shape: int) -> np.ndarray:
    x = f64(*shape)
    return x @ np.swapaxes(x, -1, -2) + 3 * np.eye(shape[-1])


for _shape in ((3, 3), (2, 4, 4)):
    case("Inv", near_eye(*_shape), oracle=jnp.linalg.inv, near=True)
    case("Det", near_eye(*_shape), oracle=jnp.linalg.det, near=True)
    case("Cholesky", positive(*_shape), oracle=lambda x: jnp.linalg.cholesky(x, symmetrize_input=True), near=True)
for _a, _b in (((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (3, 4)), ((3, 3), (2, 3, 4)), ((2, 1, 3, 3), (4, 3, 5)), ((2, 3, 3), (3,))):
    case("Solve", near_eye(*_a), f64(*_b), oracle=lambda a, b: jnp.linalg.solve(a, b) if b.ndim > 1 else jnp.linalg.solve(a, b[:, None])[..., 0], near=True)
for _text, _shapes in (("ij,jk->ik", ((2, 3), (3, 4))), ("i,j,k->kij", ((2,), (3,), (4,))), ("bij,bkj->bik", ((2, 3, 4), (2, 5, 4))), ("ij->", ((2, 3),)), ("ij->ji", ((2, 3),)),
                       ("ij,k->i", ((2, 3), (4,))), ("...ij,...jk->...ik", ((2, 1, 3, 4), (5, 4, 6))), ("ij,jk", ((2, 3), (3, 4))), ("...i,i->...", ((2, 3, 4), (4,)))):
    case("Einsum", *(f64(*s) for s in _shapes), oracle=lambda *xs, t=_text: jnp.einsum(t, *xs), attrs={"subscripts": _text}, label=_text)
case("Einsum", ints(2, 3), ints(3), oracle=lambda a, b: jnp.einsum("ij,j->i", a, b), attrs={"subscripts": "ij,j->i"}, label="ints")

for _attrs, _shape in (({}, (4, 4)), ({"offset": 1}, (3, 5)), ({"offset": -1, "axis1": 2, "axis2": 0}, (3, 2, 5))):
    _kw = {"offset": 0, "axis1": 0, "axis2": 1, **_attrs}
    case("Diagonal", f64(*_shape), oracle=lambda x, a=_kw: jnp.diagonal(x, **a), attrs=_attrs)
    case("DiagonalGradient", f64(*np.diagonal(np.zeros(_shape), **_kw).shape), f64(*_shape),
         oracle=lambda g, like, a=_kw: jax.vjp(lambda x: jnp.diagonal(x, **a), like)[1](jnp.asarray(g))[0], attrs=_attrs, by=(0,))
case("DiagonalMatrix", f64(3), oracle=jnp.diag)
case("DiagonalMatrix", f64(4), oracle=lambda v: jnp.diag(v, -2), attrs={"k": -2}, label="k -2")
case("DiagonalMatrix", f64(2, 3), oracle=lambda v: jax.vmap(lambda r: jnp.diag(r, 1))(v), attrs={"k": 1}, label="a batch")


def symmetric(*shape: int) -> np.ndarray:
    """Symmetric matrices whose eigenvalues are well apart."""
    x = f64(*shape, low=-0.4, high=0.4)
    return x + np.swapaxes(x, -1, -2) + np.diag(2.0 * np.arange(shape[-1]))


for _shape in ((3, 3), (2, 4, 4)):
    case("Slogdet", near_eye(*_shape), oracle=lambda x: tuple(jnp.linalg.slogdet(x)), near=True)
    case("Eigh", symmetric(*_shape), oracle=lambda x: tuple(jnp.linalg.eigh((x + jnp.swapaxes(x, -1, -2)) / 2)), near=True)
case("Slogdet", -near_eye(3, 3), oracle=lambda x: tuple(jnp.linalg.slogdet(x)), near=True, label="turned over")
for _shape in ((3, 3), (5, 3), (2, 4, 3)):
    case("QR", near_eye(*_shape[:-2], _shape[-2], _shape[-2])[..., :_shape[-1]], oracle=lambda x: tuple(jnp.linalg.qr(x)), near=True)
case("QR", near_eye(4, 4)[:3], oracle=lambda x: tuple(jnp.linalg.qr(x)), near=True, label="wider than high", by=())
for _shape in ((3, 3), (5, 3), (2, 3, 4)):
    case("SVD", np.arange(1.0, 5.0)[:_shape[-1]] * near_eye(*_shape[:-2], 5, 5)[..., :_shape[-2], :_shape[-1]], oracle=lambda x: tuple(jnp.linalg.svd(x, full_matrices=False)), near=True)

# ---------------------------------------------------------------- as many results as the values ask for, counts, quantiles

case("Unique", ints(3, 4), oracle=lambda x: np.unique(x, return_inverse=True, return_counts=True))
case("Unique", np.array([2.5, -1.0, 2.5, 0.0]), oracle=lambda x: np.unique(x, return_inverse=True, return_counts=True), label="floats")
case("Unique", bools(7), oracle=lambda x: np.unique(x, return_inverse=True, return_counts=True), label="bools")
case("BooleanMask", f64(4, 3), np.array([True, False, True, True]), oracle=lambda x, m: x[np.asarray(m)])
case("BooleanMask", f64(2, 3, 5), bools(2, 3), oracle=lambda x, m: x[np.asarray(m)], label="two axes")
case("BooleanMask", f64(2, 3), bools(2, 3), oracle=lambda x, m: x[np.asarray(m)], label="all axes")
case("BooleanMask", ints(3, 2), np.zeros(3, bool), oracle=lambda x, m: x[np.asarray(m)], label="nothing")
case("BooleanMaskGradient", f64(2, 3), np.array([True, False, True, False]), f64(4, 3), oracle=lambda g, m, like: jnp.zeros_like(like).at[np.asarray(m)].set(g), by=(0,), named=False)


def _different(x, axis, ordered):
    """One entry after another, as a person would do it."""
    rows = [x.reshape(-1)[k] for k in range(x.size)] if axis is None else [np.take(x, k, axis) for k in range(x.shape[axis])]
    keys = [tuple(np.ravel(r).tolist()) for r in rows]
    kept = [k for k, key in enumerate(keys) if key not in keys[:k]]
    kept = sorted(kept, key=lambda k: keys[k]) if ordered else kept
    values = np.stack([rows[k] for k in kept], axis or 0) if kept else x[:0] if axis is None else x
    return values, np.array(kept, "int64"), np.array([[keys[j] for j in kept].index(key) for key in keys], "int64"), np.array([keys.count(keys[k]) for k in kept], "int64")


case("UniqueEntries", ints(3, 4), oracle=lambda x: _different(x, None, True))
case("UniqueEntries", ints(9), oracle=lambda x: _different(x, None, False), attrs={"ordered": False}, label="as they come")
case("UniqueEntries", ints(6, 2, below=2), oracle=lambda x: _different(x, 0, True), attrs={"axis": 0}, label="rows")
case("UniqueEntries", ints(2, 7, below=2), oracle=lambda x: _different(x, 1, False), attrs={"axis": -1, "ordered": False}, label="columns as they come")


def _best_boxes(boxes, scores, most, overlap, least, centres):
    rows = []
    for n, c in itertools.product(range(scores.shape[0]), range(scores.shape[1])):
        left = [k for k in np.argsort(-scores[n, c], kind="stable") if least is None or scores[n, c, k] > least]
        while left and most > sum(r[:2] == (n, c) for r in rows):
            best, *rest = left
            rows.append((n, c, int(best)))
            left = [k for k in rest if _common_share(boxes[n, best], boxes[n, k], centres) <= overlap]
    return np.array(rows, "int64").reshape(-1, 3)


def _common_share(a, b, centres):
    if centres:
        a, b = ((v[1] - v[3] / 2, v[0] - v[2] / 2, v[1] + v[3] / 2, v[0] + v[2] / 2) for v in (a, b))
    a, b = ((min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])) for v in (a, b))
    common = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


for _most, _overlap, _least, _centres in ((3, 0.3, None, False), (2, 0.0, 0.1, False), (9, 0.5, None, True), (0, 0.5, None, False)):
    case("NonMaxSuppression", f64(2, 6, 4, low=0.1), f64(2, 3, 6, low=0.0), oracle=lambda b, s, m=_most, o=_overlap, t=_least, c=_centres: _best_boxes(b, s, m, o, t, c),
         attrs={"most": _most, "overlap": _overlap, "least": _least, "centres": _centres}, label=f"most {_most}, overlap {_overlap}{', centres' if _centres else ''}", fixed=True)
case("Argwhere", ints(3, 4, below=2), oracle=lambda x: np.argwhere(x))
case("Argwhere", bools(5), oracle=lambda x: np.argwhere(x), label="bools")
case("Searchsorted", np.array([-1.0, 0.0, 0.0, 2.5]), f64(2, 3), oracle=lambda a, x: jnp.searchsorted(a, x).astype("int64"))
case("Searchsorted", np.array([1, 3, 3, 7]), np.array([0, 1, 3, 7, 8]), oracle=lambda a, x: jnp.searchsorted(a, x, side="right").astype("int64"), attrs={"side": "right"}, label="right")
case("Bincount", ints(3, 4), oracle=lambda x: jnp.bincount(x.reshape(-1), length=7), attrs={"length": 7})
case("CountNonzero", ints(3, 4, below=2), oracle=jnp.count_nonzero)
case("CountNonzero", bools(2, 3, 4), oracle=lambda x: jnp.count_nonzero(x, (0, 2), keepdims=True), attrs={"axis": (0, 2), "keepdims": True}, label="kept")
case("Scatter", f64(5, 3), np.array([4, 0, -2]), f64(3, 3), oracle=lambda x, i, u: jnp.asarray(x).at[i].set(u))
case("Scatter", f64(2, 7), np.array([[6, 1], [0, 3]]), f64(2, 2, 2), oracle=lambda x, i, u: jnp.asarray(x).at[:, i].set(u), attrs={"axis": -1}, label="axis -1")
for _q, _axis, _keepdims in ((0.5, None, False), (0.3, 1, False), (1.0, -1, True), (0.0, 0, False), (0.81, None, True)):
    _attrs = {"q": _q, "axis": _axis, "keepdims": _keepdims}
    _label = f"{_q} on {_axis}{' kept' if _keepdims else ''}"
    _of = lambda x, a=_attrs: jnp.quantile(x, **a)  # noqa: E731  # one name for three rows
    case("Quantile", f64(4, 5), oracle=_of, attrs=_attrs, label=_label)
    _shape = np.quantile(np.zeros((4, 5)), **_attrs).shape
    case("QuantileGradient", f64(*_shape), f64(4, 5), oracle=lambda g, x, f=_of: jax.vjp(f, x)[1](jnp.asarray(g))[0], attrs=_attrs, label=_label, by=(0,), named=False)
    case("QuantilePick", f64(4, 5), f64(4, 5), oracle=lambda d, x, f=_of: jax.jvp(f, (x,), (d,))[1], attrs=_attrs, label=_label, by=(0,), named=False)

# ---------------------------------------------------------------- more activations, normalization, losses

for _type, _oracle in (("Gelu", lambda x: jax.nn.gelu(x, approximate=False)), ("Elu", jax.nn.elu), ("Selu", jax.nn.selu), ("Silu", jax.nn.silu), ("Softplus", jax.nn.softplus),
                       ("LogSigmoid", jax.nn.log_sigmoid), ("Softsign", jax.nn.soft_sign), ("LeakyRelu", jax.nn.leaky_relu), ("Hardtanh", jax.nn.hard_tanh), ("Relu6", jax.nn.relu6),
                       ("Mish", jax.nn.mish)):
    case(_type, f64(3, 5, low=-3, high=8), oracle=_oracle, smooth=_type not in ("Elu", "Selu", "LeakyRelu", "Hardtanh", "Relu6"))
for _type, _oracle in (("Celu", jax.nn.celu), ("Hardsigmoid", jax.nn.hard_sigmoid), ("Hardswish", jax.nn.hard_swish), ("Tanhshrink", lambda x: x - jnp.tanh(x)),
                       ("Hardshrink", lambda x: jnp.where(abs(x) > 0.5, x, 0)), ("Softshrink", lambda x: jnp.sign(x) * jnp.maximum(abs(x) - 0.5, 0))):
    case(_type, f64(3, 5, low=-4, high=5), oracle=_oracle, smooth=_type == "Tanhshrink")
case("Gelu", f64(3, 5, low=-3, high=3), oracle=lambda x: jax.nn.gelu(x, approximate=True), attrs={"approximate": "tanh"}, label="tanh")
case("Celu", f64(3, 5), oracle=lambda x: jax.nn.celu(x, 0.3), attrs={"alpha": 0.3}, label="alpha", smooth=False)
case("Hardshrink", f64(3, 5), oracle=lambda x: jnp.where(abs(x) > 1.1, x, 0), attrs={"lambd": 1.1}, label="lambd", smooth=False)
case("Softshrink", f64(3, 5), oracle=lambda x: jnp.sign(x) * jnp.maximum(abs(x) - 1.1, 0), attrs={"lambd": 1.1}, label="lambd", smooth=False)
case("Threshold", f64(3, 5), oracle=lambda x: jnp.where(x > 0.3, x, -7.0), attrs={"threshold": 0.3, "value": -7.0}, smooth=False)
case("Prelu", f64(2, 3, 5), f64(3, 1, low=0.1), oracle=lambda x, a: jnp.where(x > 0, x, x * a), smooth=False)
case("Prelu", f64(4, 3), f64(), oracle=lambda x, a: jnp.where(x > 0, x, x * a), smooth=False)
case("Elu", f64(3, 5), oracle=lambda x: jax.nn.elu(x, 0.3), attrs={"alpha": 0.3}, label="alpha", smooth=False)
case("LeakyRelu", f64(3, 5), oracle=lambda x: jax.nn.leaky_relu(x, 0.2), attrs={"negative_slope": 0.2}, label="slope", smooth=False)
case("Hardtanh", f64(3, 5), oracle=lambda x: jnp.clip(x, -0.5, 1.2), attrs={"min_val": -0.5, "max_val": 1.2}, label="bounds", smooth=False)
case("Softplus", np.array([-800.0, -40.0, 0.0, 40.0, 800.0]), oracle=jax.nn.softplus, label="far out", smooth=False)
case("LogSigmoid", np.array([-800.0, -40.0, 0.0, 40.0, 800.0]), oracle=jax.nn.log_sigmoid, label="far out", smooth=False)
case("Glu", f64(3, 6), oracle=jax.nn.glu)
case("Glu", f64(4, 3), oracle=lambda x: jax.nn.glu(x, 0), attrs={"axis": 0}, label="axis 0")


def _standard(x, axes, eps):
    return (x - x.mean(axes, keepdims=True)) / jnp.sqrt(x.var(axes, keepdims=True) + eps)


def _layer_norm(x, gamma=None, beta=None, axes=(-1,), eps=1e-5):
    y = _standard(x, axes, eps)
    return (y if gamma is None else y * gamma) + (0 if beta is None else beta)


case("LayerNorm", f64(2, 3, 5), f64(5), f64(5), oracle=_layer_norm)
case("LayerNorm", f64(4, 5), oracle=_layer_norm, label="bare")
case("LayerNorm", f64(4, 5), None, f64(5), oracle=_layer_norm, label="shift alone")
case("LayerNorm", f64(2, 3, 5), f64(3, 5), oracle=lambda x, gamma: _layer_norm(x, gamma, axes=(1, 2), eps=0.1), attrs={"axis": (-2, -1), "eps": 0.1}, label="two axes")
case("RmsNorm", f64(2, 3, 5), f64(5), oracle=lambda x, w: x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w)
case("RmsNorm", f64(4, 5), oracle=lambda x: x / jnp.sqrt((x * x).mean((0, 1), keepdims=True) + 0.1), attrs={"axis": (0, 1), "eps": 0.1}, label="bare")


def _group_norm(x, gamma=None, beta=None, groups=2):
    y = _standard(x.reshape(x.shape[0], groups, -1), (2,), 1e-5).reshape(x.shape)
    wide = (-1,) + (1,) * (x.ndim - 2)
    return (y if gamma is None else y * gamma.reshape(wide)) + (0 if beta is None else beta.reshape(wide))


case("GroupNorm", f64(3, 4, 2, 5), f64(4), f64(4), oracle=_group_norm, attrs={"groups": 2}, named=False, fixed=True)
case("GroupNorm", f64(3, 6), oracle=lambda x: _group_norm(x, groups=3), attrs={"groups": 3}, named=False, fixed=True, label="bare")


def _batch_norm(x, gamma, beta, eps=1e-5):
    axes, wide = (0, *range(2, x.ndim)), (-1,) + (1,) * (x.ndim - 2)
    return _standard(x, axes, eps) * gamma.reshape(wide) + beta.reshape(wide), x.mean(axes), x.var(axes)


case("BatchNorm", f64(4, 3, 2, 5), f64(3), f64(3), oracle=_batch_norm)
case("BatchNorm", f64(5, 3), f64(3), f64(3), oracle=lambda *a: _batch_norm(*a, eps=0.1), attrs={"eps": 0.1}, label="eps")


def _row(v):
    return v.mean(-1) if v.ndim > 1 else v


_ROWS = (("Mse", lambda p, t: _row((p - t)**2)), ("Mae", lambda p, t: _row(jnp.abs(p - t))), ("Huber", lambda p, t: _row(jnp.where(abs(p - t) < 1, 0.5 * (p - t)**2, abs(p - t) - 0.5))),
         ("BinaryCrossEntropyWithLogits", lambda x, y: _row(-y * jax.nn.log_sigmoid(x) - (1 - y) * jax.nn.log_sigmoid(-x))), ("Hinge", lambda p, t: _row(jnp.maximum(0, 1 - p * t))))
for _type, _oracle in _ROWS:
    case(_type, f64(4, 3), f64(4, 3), oracle=_oracle, smooth=_type not in ("Mae", "Huber", "Hinge"))
    case(_type, f64(5), f64(5), oracle=_oracle, smooth=_type not in ("Mae", "Huber", "Hinge"))
    case(_type, f64(2, 4, 3), f64(2, 4, 3), oracle=_oracle, smooth=_type not in ("Mae", "Huber", "Hinge"))
case("Huber", f64(4, 3), f64(4, 3), oracle=lambda p, t: _row(jnp.where(abs(p - t) < 0.4, 0.5 * (p - t)**2, 0.4 * (abs(p - t) - 0.2))), attrs={"delta": 0.4}, smooth=False, label="delta")
case("KlDiv", f64(4, 3), f64(4, 3, low=0.1, high=1.0), oracle=lambda q, p: (p * (jnp.log(p) - q)).sum(-1))
case("KlDiv", f64(3), np.array([0.4, 0.0, 0.6]), oracle=lambda q, p: p[0] * (np.log(0.4) - q[0]) + p[2] * (np.log(0.6) - q[2]), label="a share of nothing", by=(0,), alone=False)
case("Nll", f64(4, 3), ints(4, below=3), oracle=lambda x, y: -jnp.take_along_axis(x, y[..., None], -1)[..., 0])
case("Nll", f64(2, 4, 3), ints(2, 4, below=3), oracle=lambda x, y: -jnp.take_along_axis(x, y[..., None], -1)[..., 0])

def ctc_by_paths(x, labels, frames, lengths, blank=0):
    """The loss by its definition: the sum over every path that reads as the labels."""
    log_p, rows = jax.nn.log_softmax(x), []
    for row, (most, count) in enumerate(zip(np.asarray(frames), np.asarray(lengths))):
        paths = [path for path in itertools.product(range(x.shape[2]), repeat=int(most))
                 if [c for k, c in enumerate(path) if c != blank and (not k or path[k - 1] != c)] == list(np.asarray(labels)[row, :count])]
        weights = log_p[row, np.arange(most), np.array(paths, int).reshape(len(paths), most)].sum(-1)
        rows.append(-jax.scipy.special.logsumexp(weights))
    return jnp.stack(rows)


def ctc_share_by_paths(log_p, labels, frames, lengths, blank=0):
    """The share of all paths that has a class at a frame, path by path."""
    out = []
    for row, (most, count) in enumerate(zip(np.asarray(frames), np.asarray(lengths))):
        paths = [path for path in itertools.product(range(log_p.shape[2]), repeat=int(most))
                 if [c for k, c in enumerate(path) if c != blank and (not k or path[k - 1] != c)] == list(np.asarray(labels)[row, :count])]
        at = np.array(paths, int).reshape(len(paths), most)
        shares = jax.nn.softmax(log_p[row, np.arange(most), at].sum(-1))
        there = (at[..., None] == np.arange(log_p.shape[2])) * shares[:, None, None]
        out.append(jnp.concatenate([there.sum(0), jnp.zeros((log_p.shape[1] - most, log_p.shape[2]))]))
    return jnp.stack(out)


def ctc_cases(label: str, x: tuple, labels: Any, frames: Any, lengths: Any, blank: int = 0) -> None:
    rest, attrs = (np.array(labels), np.array(frames), np.array(lengths)), {"blank": blank}
    log_p = np.asarray(jax.nn.log_softmax(f64(*x)))
    case("CTCLoss", f64(*x), *rest, oracle=lambda x, *r: ctc_by_paths(x, *r, blank), attrs=attrs, label=label, named=False, firm=True)
    case("CTCShare", log_p, *rest, oracle=lambda x, *r: ctc_share_by_paths(x, *r, blank), attrs=attrs, label=label, named=False, firm=True, smooth=False)
    case("CTCShareSlope", log_p, *rest, f64(*x), oracle=lambda x, *r: jax.jvp(lambda x: ctc_share_by_paths(x, *r[:-1], blank), (x,), (r[-1],))[1], attrs=attrs, label=label, by=(4,),
         named=False, firm=True)


ctc_cases("repeats", (2, 4, 3), [[1, 1], [1, 2]], [4, 3], [2, 2])
ctc_cases("one label, none, no frames", (3, 3, 3), [[2, 7], [9, 9], [0, 0]], [3, 2, 0], [1, 0, 0])
ctc_cases("blank last", (2, 4, 3), [[0, 1, 0], [1, 1, -1]], [4, 4], [3, 2], blank=2)

# ---------------------------------------------------------------- recurrent


@jax.jit  # compiled once for each shape
def lstm_by_scan(x, kernel, recurrent, bias, h0=None, c0=None):
    """The equations, over jax.lax.scan: (out, h_n, c_n, f, i, g, o, c)."""
    units = recurrent.shape[0]
    zero = jnp.zeros((x.shape[0], units), x.dtype)

    def step(carry, x_t):
        h, c = carry
        i, f, g, o = jnp.split(x_t @ kernel + h @ recurrent + bias, 4, -1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        c = f * c + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, f, i, g, o, c)
    (h, c), rows = jax.lax.scan(step, (zero if h0 is None else h0, zero if c0 is None else c0), jnp.swapaxes(x, 0, 1))
    out, *gates = (jnp.swapaxes(r, 0, 1) for r in rows)
    return (out, h, c, *gates)


_LSTM = (f64(2, 3, 5), f64(5, 16, low=-0.6, high=0.6), f64(4, 16, low=-0.6, high=0.6), f64(16, low=-0.5, high=0.5))
case("LSTM", *_LSTM, oracle=lstm_by_scan, named=False)
case("LSTM", *_LSTM, f64(2, 4), f64(2, 4), oracle=lstm_by_scan, label="from a state", named=False)
case("LSTM", *_LSTM, None, f64(2, 4), oracle=lstm_by_scan, label="from a cell", named=False)
case("LSTM", f64(2, 1, 5), *_LSTM[1:], oracle=lstm_by_scan, label="one timestep", named=False)

_OUT = [np.asarray(v) for v in lstm_by_scan(*_LSTM)]
_D = [f64(*v.shape) for v in _OUT]


def _lstm_back(x, kernel, recurrent, bias, out, f, i, g, o, c, h0, c0, *d):
    zero = jnp.zeros((x.shape[0], recurrent.shape[0]))
    y, back = jax.vjp(lambda *a: lstm_by_scan(*a), x, kernel, recurrent, bias, zero, zero)
    return back(tuple(jnp.zeros_like(v) if w is None else w for v, w in zip(y, d)))


case("LSTMGradient", *_LSTM, _OUT[0], *_OUT[3:], None, None, *_D, oracle=_lstm_back, by=(12, 13, 14, 15, 16, 17, 18, 19), named=False, alone=False)
case("LSTMGradient", *_LSTM, _OUT[0], *_OUT[3:], None, None, _D[0], *[None] * 7, oracle=_lstm_back, by=(12,), named=False, alone=False, label="by out alone")
case("LSTMOutputs", *[f64(2, 3, 4), f64(2, 4), f64(2, 4), *[f64(2, 3, 4) for _ in range(5)]], oracle=lambda *xs: xs)


@jax.jit  # compiled once for each shape
def gru_by_scan(x, kernel, recurrent, bias, recurrent_bias, h0=None):
    """The equations, over jax.lax.scan: (out, h_n, r, z, n)."""
    def step(h, x_t):
        xr, xz, xn = jnp.split(x_t @ kernel + bias, 3, -1)
        hr, hz, hn = jnp.split(h @ recurrent + recurrent_bias, 3, -1)
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        n = jnp.tanh(xn + r * hn)
        h = (1 - z) * n + z * h
        return h, (h, r, z, n)
    h, rows = jax.lax.scan(step, jnp.zeros((x.shape[0], recurrent.shape[0]), x.dtype) if h0 is None else h0, jnp.swapaxes(x, 0, 1))
    out, *gates = (jnp.swapaxes(r, 0, 1) for r in rows)
    return (out, h, *gates)


@jax.jit  # compiled once for each shape
def rnn_by_scan(x, kernel, recurrent, bias, h0=None):
    def step(h, x_t):
        h = jnp.tanh(x_t @ kernel + h @ recurrent + bias)
        return h, h
    h, out = jax.lax.scan(step, jnp.zeros((x.shape[0], recurrent.shape[0]), x.dtype) if h0 is None else h0, jnp.swapaxes(x, 0, 1))
    return jnp.swapaxes(out, 0, 1), h


_GRU = (f64(2, 3, 5), f64(5, 12, low=-0.6, high=0.6), f64(4, 12, low=-0.6, high=0.6), f64(12, low=-0.5, high=0.5), f64(12, low=-0.5, high=0.5))
_RNN = (f64(2, 3, 5), f64(5, 4, low=-0.6, high=0.6), f64(4, 4, low=-0.6, high=0.6), f64(4, low=-0.5, high=0.5))


def _cell_back(forward):
    """The derivative by all inputs, the start too: (inputs…, what the layer gave…, h0, upstream…) → derivatives."""
    def oracle(*args):
        count = 5 if forward is gru_by_scan else 4
        given, d = args[:count], args[count + (4 if count == 5 else 1) + 1:]
        h0 = args[count + (4 if count == 5 else 1)]
        zero = jnp.zeros((given[0].shape[0], given[2].shape[0])) if h0 is None else h0
        y, back = jax.vjp(forward, *given, zero)
        return back(tuple(jnp.zeros_like(v) if w is None else w for v, w in zip(y, d)))
    return oracle


for _type, _parts, _forward, _held in (("GRU", _GRU, gru_by_scan, slice(2, None)), ("RNN", _RNN, rnn_by_scan, slice(2, 2))):
    case(_type, *_parts, oracle=_forward, named=False)
    case(_type, *_parts, f64(2, 4), oracle=_forward, label="from a state", named=False)
    case(_type, f64(2, 1, 5), *_parts[1:], oracle=_forward, label="one timestep", named=False)
    _y = [np.asarray(v) for v in _forward(*_parts)]
    _up = [f64(*v.shape) for v in _y]
    _first = len(_parts) + 1 + len(_y[_held]) + 1
    case(f"{_type}Gradient", *_parts, _y[0], *_y[_held], None, *_up, oracle=_cell_back(_forward), by=tuple(range(_first, _first + len(_up))), named=False, alone=False)
    case(f"{_type}Gradient", *_parts, _y[0], *_y[_held], None, _up[0], *[None] * (len(_up) - 1), oracle=_cell_back(_forward), by=(_first,), named=False, alone=False,
         label="by out alone")
    case(f"{_type}Outputs", *[f64(2, 3, 4), f64(2, 4), *[f64(2, 3, 4) for _ in _y[_held]]], oracle=lambda *xs: xs)

# ---------------------------------------------------------------- recurrent, rows of several lengths


def cut(forward: Callable[..., Any], last: tuple[int, ...]) -> Callable[..., Any]:
    """The layer over whole rows, with zeros beyond their lengths; its states at the end are taken from the sequences `last` at the lengths."""
    def oracle(x, *rest):
        n = len(last)
        weights, starts, lengths = rest[:-n - 1], rest[-n - 1:-1], np.asarray(rest[-1])
        starts = [jnp.zeros((x.shape[0], weights[1].shape[0])) if s is None else s for s in starts]
        y = forward(x, *weights, *starts)
        there = (np.arange(x.shape[1]) < lengths[:, None])[..., None]
        ends = [jnp.where(lengths[:, None] > 0, y[k][np.arange(len(lengths)), lengths - 1], start) for k, start in zip(last, starts)]
        return [jnp.where(there, y[0], 0), *ends, *(jnp.where(there, v, 0) for v in y[1 + n:])]
    return oracle


_ENDS = np.array([4, 2, 0])
_SEQ = f64(3, 4, 5)
for _type, _parts, _forward, _at, _gates in (("LSTM", _LSTM[1:], lstm_by_scan, (0, 7), slice(3, None)), ("GRU", _GRU[1:], gru_by_scan, (0,), slice(2, None)),
                                             ("RNN", _RNN[1:], rnn_by_scan, (0,), slice(2, 2))):
    _rows, _last = cut(_forward, _at), len(_at)
    _starts = [f64(3, 4) for _ in range(_last)]
    case(_type, _SEQ, *_parts, *_starts, _ENDS, oracle=_rows, label="lengths", named=False)
    case(_type, _SEQ, *_parts, *[None] * _last, _ENDS, oracle=_rows, label="lengths, from zero", named=False)
    _y = [np.asarray(v) for v in _rows(_SEQ, *_parts, *_starts, _ENDS)]
    _up = [f64(*v.shape) for v in _y]
    _count, _kept = len(_parts), 1 + len(_y[_gates])
    _first = 1 + _count + _kept + _last

    def _back_cut(*args, rows=_rows, weights=_count, kept=_kept, last=_last):
        given, starts, d = args[:1 + weights], args[1 + weights + kept:1 + weights + kept + last], args[1 + weights + kept + last:-1]
        starts = [jnp.zeros((3, 4)) if s is None else s for s in starts]
        y, back = jax.vjp(lambda *a: rows(*a, args[-1]), *given, *starts)
        return back([jnp.zeros_like(v) if w is None else w for v, w in zip(y, d)])
    case(f"{_type}Gradient", _SEQ, *_parts, _y[0], *_y[_gates], *_starts, *_up, _ENDS, oracle=_back_cut, by=tuple(range(_first, _first + len(_up))), named=False, alone=False,
         label="lengths")
    case(f"{_type}Gradient", _SEQ, *_parts, _y[0], *_y[_gates], *_starts, None, _up[1], *[None] * (len(_up) - 2), _ENDS, oracle=_back_cut, by=(_first + 1,), named=False,
         alone=False, label="lengths, by the last state alone")
case("ReverseSequence", f64(3, 4, 2), _ENDS, oracle=lambda x, n: jnp.stack([jnp.concatenate([row[:k][::-1], row[k:]]) for row, k in zip(x, np.asarray(n))]))
case("ReverseSequence", ints(2, 3), np.array([3, 1]), oracle=lambda x, n: jnp.stack([jnp.concatenate([row[:k][::-1], row[k:]]) for row, k in zip(x, np.asarray(n))]), label="ints")

# ---------------------------------------------------------------- optimizers


def _adam(value, grad, m, v, lr, step, decay=0.0):
    m, v = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * grad**2
    return value - lr * decay * value - lr * (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8), m, v


case("SGDUpdate", f64(3, 4), f64(3, 4), np.array(0.01), oracle=lambda w, g, lr: w - lr * g)
case("SGDUpdate", f64(300, 70), f64(300, 70), np.array(0.01), oracle=lambda w, g, lr: w - lr * g, label="in blocks")
case("AdamUpdate", f64(3, 4), f64(3, 4), f64(3, 4), f64(3, 4, low=0.1), np.array(0.01), np.array(3.0), oracle=_adam)
case("AdamUpdate", *(f64(300, 70, low=0.1) for _ in range(4)), np.array(0.01), np.array(3.0), oracle=_adam, label="in blocks")
case("AdamUpdate", f64(3, 4), f64(3, 4), f64(3, 4), f64(3, 4, low=0.1), np.array(0.01), np.array(3.0), oracle=lambda *a: _adam(*a, decay=0.1),
     attrs={"weight_decay": 0.1}, label="weight decay")

# what has no oracle of numbers has claims of its own: test name by type, in the modules named
OWN = {
    "Placeholder": "tests/runtime/test_session.py", "Constant": "tests/runtime/test_session.py", "Variable": "tests/runtime/test_variables.py",
    "Assign": "tests/runtime/test_variables.py", "Group": "tests/runtime/test_variables.py", "RandomNormal": "tests/runtime/test_random.py",
    "RandomUniform": "tests/runtime/test_random.py", "Dropout": "tests/runtime/test_random.py",
    "CustomGradient": "tests/control/test_custom_gradient.py", "Opaque": "tests/io/test_onnx_reading.py", "Bitcast": "tests/ops/test_functions.py",
    "Scan": "tests/control/test_loops.py", "Cond": "tests/control/test_loops.py", "While": "tests/control/test_loops.py", "Timesteps": "tests/control/test_loops.py",
}
