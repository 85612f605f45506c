"""ONNX's operators on numbers: element by element, reductions, dtypes, quantized integers."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.graph import Tensor, current_graph
from ...core.op import REGISTRY
from ...ops import activation as act, array as arr, logic, math as m, reduce as red
from ...ops.formats import FORMATS, bitcast, round_to
from ...ops.layout import flip
from ...ops.linalg import matmul
from ...ops.order import argsort, cumprod, cumsum, take_along_axis, topk
from .files import HELD, NotInFlowlab, dtype, kind_of
from .package import package
from .reading import Use, _again, reads
from .values import Names, Value


def whole(x: Tensor) -> bool:
    return x.dtype.kind in "iu"


def number(x: Tensor, value: Any) -> np.ndarray:
    """A constant of x's dtype."""
    return np.asarray(value, x.dtype)


# ---------------------------------------------------------------- two and more, element by element


def _pair(use: Use) -> tuple[Tensor, Tensor]:
    """Both inputs; before version 7 the second was laid along the axes of the first from `axis` on."""
    a, b = use[0], use[1]
    if use.version < 7 and use.attr("broadcast", 0) and use.attr("axis") is not None and b.rank:
        at = use.attr("axis") % a.rank
        after = a.rank - at - b.rank
        if after > 0:
            b = arr.expand_dims(b, axis=tuple(range(b.rank, b.rank + after)))
    return a, b


for _name, _op in (("Add", m.add), ("Sub", m.subtract), ("Mul", m.multiply), ("Greater", m.greater), ("Less", m.less), ("Equal", m.equal),
                   ("And", logic.logical_and), ("Or", logic.logical_or), ("Xor", logic.logical_xor)):
    reads(_name)(lambda use, op=_op: use.only(op, *_pair(use)))


@reads("Div")
def _(use: Use) -> Any:
    a, b = _pair(use)
    if not whole(a):
        return use.only(m.divide, a, b)
    if a.dtype.kind == "u":
        return use.only(m.floor_divide, a, b)
    # C's quotient: towards 0
    q = m.floor_divide(a, b)
    rest = m.subtract(a, m.multiply(q, b))
    up = logic.logical_and(logic.not_equal(rest, number(a, 0)), logic.logical_xor(m.less(a, number(a, 0)), m.less(b, number(a, 0))))
    return m.add(q, arr.cast(up, a.dtype.name))


@reads("Pow")
def _(use: Use) -> Any:
    a, b = _pair(use)
    if a.dtype == b.dtype:
        return use.only(m.power, a, b)
    if whole(a) and not whole(b):
        return arr.cast(m.power(arr.cast(a, "float64"), arr.cast(b, "float64")), a.dtype.name)
    return m.power(a, arr.cast(b, a.dtype.name))


@reads("Mod")
def _(use: Use) -> Any:
    a, b = use[0], use[1]
    if not use.attr("fmod", 0):
        return use.only(m.mod, a, b)
    if whole(a):    # the sign of the dividend
        rest = m.mod(m.abs_(a), m.abs_(b)) if a.dtype.kind == "i" else m.mod(a, b)
        return m.multiply(m.sign(a), rest) if a.dtype.kind == "i" else rest
    return m.multiply(m.sign(a), m.mod(m.abs_(a), m.abs_(b)))


def _chain(use: Use, op: Any) -> Any:
    xs = use.tensors
    if len(xs) == 1:
        return use.only(m.identity, xs[0])
    if len(xs) == 2:
        return use.only(op, *xs)
    out = xs[0]
    for x in xs[1:]:
        out = op(out, x)
    return out


reads("Max")(lambda use: _chain(use, m.maximum))
reads("Min")(lambda use: _chain(use, m.minimum))
reads("Sum")(lambda use: _chain(use, m.add))


@reads("Mean")
def _(use: Use) -> Any:
    return m.multiply(_chain(use, m.add), 1.0 / len(use.tensors)) if len(use.tensors) > 1 else use.only(m.identity, use[0])


@reads("BitShift")
def _(use: Use) -> Any:
    return use.only(logic.left_shift if use.attr("direction") == "LEFT" else logic.right_shift, use[0], use[1])


@reads("Clip")
def _(use: Use) -> Any:
    x = use[0]
    bounds: list[Any] = []
    for k, key in ((1, "min"), (2, "max")):
        bounds.append(use.attr(key) if use.version < 11 else None if not use.has(k) else use.inputs[k])
    fixed = [None if b is None else b if isinstance(b, float) else float(b.array.reshape(-1)[0]) if b.known and not whole(x) and b.array.size == 1 else b for b in bounds]
    if all(b is None or isinstance(b, float) for b in fixed) and not (isinstance(fixed[0], float) and isinstance(fixed[1], float) and fixed[0] > fixed[1]):
        fixed = [None if b is None or math.isnan(b) else b for b in fixed]
        return use.only(m.clip, x, min=fixed[0], max=fixed[1])
    if use.has(1):
        x = m.maximum(x, use[1])
    return m.minimum(x, use[2]) if use.has(2) else x


# ---------------------------------------------------------------- one, element by element


@reads("Identity")
def _(use: Use) -> Any:
    value = use.inputs[0]
    if value is not None and (value.items is not None or value.empty):
        return _again(value)
    if value is not None and value.known:
        return Value("", array=value.array, kind=value.kind)
    if value is not None and (value.weight or value.copies is not None):
        def copied() -> Tensor:     # once somebody reads it
            graph = current_graph()
            scope, _, name = Names(graph)(use.name, use.op).rpartition("/")
            with graph.state(scope=scope):
                return m.identity(use[0], name=name)
        made = Value("", make=copied, kind=value.kind)
        made.copies = value if value.weight else value.copies
        return made
    return Value("", tensor=use.only(m.identity, use[0]), kind=value.kind if value is not None else "")


@reads("IsInf")
def _(use: Use) -> Any:
    x, low, high = use[0], use.attr("detect_negative", 1), use.attr("detect_positive", 1)
    if low and high:
        return use.only(logic.isinf, x)
    return use.only(m.equal, x, number(x, np.inf if high else -np.inf)) if low or high else m.less(m.abs_(x), number(x, -1))


@reads("Softmax", "LogSoftmax", "Hardmax")
def _(use: Use) -> Any:
    x = use[0]
    axis = use.attr("axis", -1 if use.version >= 13 else 1)
    op = {"Softmax": act.softmax, "LogSoftmax": act.log_softmax}.get(use.op)
    flat = use.version < 13 and axis % max(x.rank, 1) != x.rank - 1     # over all the axes from there on
    y = x
    if flat:
        at = axis % x.rank
        y = arr.reshape(x, (*x.shape[:at], -1)) if all(isinstance(d, int) for d in x.shape[at:]) else _refuse(use, "the sizes behind its axis must be known")
        axis = -1
    if op is not None:
        y = op(y, axis=axis) if flat else use.only(op, y, axis=axis)
    else:
        top = red.argmax(y, axis=axis)
        size = use.sizes(0)[axis] if not flat else y.shape[-1]
        hot = arr.one_hot(top, depth=size, dtype=x.dtype.name)
        y = hot if axis % y.rank == y.rank - 1 else _moved(hot, -1, axis)
    return arr.reshape_like(y, x) if flat else y


def _refuse(use: Use, why: str) -> Any:
    raise NotInFlowlab(f"{use.op}: {why}")


def _moved(x: Tensor, source: int, to: int) -> Tensor:
    order = [k for k in range(x.rank) if k != source % x.rank]
    order.insert(to % x.rank, source % x.rank)
    return arr.transpose(x, axes=tuple(order))


@reads("Sigmoid")
def _(use: Use) -> Any:
    x = use[0]
    return use.only(act.sigmoid, x) if x.dtype.name != "float16" else arr.cast(act.sigmoid(arr.cast(x, "float32")), "float16")    # rounded once, as others do


reads("Elu")(lambda use: use.only(act.elu, use[0], alpha=use.attr("alpha", 1.0)))
reads("ThresholdedRelu")(lambda use: use.only(act.threshold, use[0], threshold=use.attr("alpha", 1.0), value=0.0))
reads("Softsign")(lambda use: use.only(act.softsign, use[0]))


@reads("Selu")
def _(use: Use) -> Any:
    x, alpha, gamma = use[0], use.attr("alpha", 1.6732632423543772), use.attr("gamma", 1.0507009873554805)
    if abs(alpha - 1.6732632423543772) < 1e-6 and abs(gamma - 1.0507009873554805) < 1e-6:
        return use.only(act.selu, x)
    return m.multiply(act.elu(x, alpha=alpha), gamma)


@reads("HardSigmoid")
def _(use: Use) -> Any:
    return m.clip(m.add(m.multiply(use[0], use.attr("alpha", 0.2)), use.attr("beta", 0.5)), min=0.0, max=1.0)


@reads("Shrink")
def _(use: Use) -> Any:
    x, bias, lambd = use[0], use.attr("bias", 0.0), use.attr("lambd", 0.5)
    zero = number(x, 0)
    up = arr.where(m.greater(x, number(x, lambd)), m.subtract(x, number(x, bias)), zero)
    return arr.where(m.less(x, number(x, -lambd)), m.add(x, number(x, bias)), up)


@reads("PRelu")
def _(use: Use) -> Any:
    x, slope = use[0], use[1]
    if use.version < 7 and slope.rank == 1 and x.rank > 2:
        slope = arr.reshape(slope, (-1, *(1,) * (x.rank - 2)))
    if whole(x):
        return arr.where(m.less(x, number(x, 0)), m.multiply(x, slope), x)
    return use.only(act.prelu, x, slope)


reads("Gelu")(lambda use: use.only(act.gelu, use[0], approximate=use.attr("approximate", "none")))


@reads("Swish")
def _(use: Use) -> Any:
    alpha = use.attr("alpha", 1.0)
    return use.only(act.silu, use[0]) if alpha == 1 else m.multiply(use[0], act.sigmoid(m.multiply(use[0], alpha)))


@reads("Dropout")
def _(use: Use) -> Any:
    x = use[0]
    training = use.version >= 12 and use.has(2) and bool(use.scalar(2))
    ratio = (float(use.scalar(1)) if use.has(1) else 0.5) if use.version >= 12 else use.attr("ratio", 0.5)
    if training and ratio:
        made = REGISTRY["Dropout"].node(x, rate=ratio)
        out = list(made.outputs)
        return [out[0], arr.cast(out[1], "bool")] if use.wanted(1) else out[0]
    out = m.identity(x) if use.wanted(1) else use.only(m.identity, x)
    return [out, m.equal(x, x) if x.dtype.kind != "f" else logic.logical_or(m.equal(x, x), logic.isnan(x))] if use.wanted(1) else out


# ---------------------------------------------------------------- dtypes


def cast_to(x: Tensor, kind: np.dtype, use: Use) -> Tensor:
    if x.dtype == kind:
        return use.only(m.identity, x)
    if kind.kind == "b":
        return use.only(logic.not_equal, x, number(x, 0))
    if x.dtype.kind == "f" and kind.kind in "iu":   # through the widest, as C does it: numbers outside wrap round
        return arr.cast(arr.cast(x, "int64"), kind.name) if kind.name not in ("int64", "int32") else use.only(arr.cast, x, dtype=kind.name)
    return use.only(arr.cast, x, dtype=kind.name)


def bits(kind: str) -> tuple[int, int]:
    """The least and the largest number of an integer type, also of those of fewer than 8 bits."""
    if kind in HELD:
        n, signed = int(kind[-1]), not kind.startswith("u")
        return (-(1 << n - 1), (1 << n - 1) - 1) if signed else (0, (1 << n) - 1)
    info = np.iinfo(kind)
    return int(info.min), int(info.max)


def held(x: Tensor, kind: str, use: Use, *, saturate: bool = True, before: str = "") -> Value:
    """x as one of the types that flowlab holds in a wider dtype."""
    if kind == before:
        return Value("", tensor=use.only(m.identity, x), kind=kind)
    if kind in FORMATS:
        wide = x if x.dtype.name == "float32" else x if x.dtype.name == "float64" else arr.cast(x, "float32")
        y = round_to(wide, format=kind, saturate=saturate)
        return Value("", tensor=y if y.dtype.name == "float32" else arr.cast(y, "float32"), kind=kind)
    low, high = bits(kind)      # the bits beyond fall away
    y = m.subtract(m.mod(m.subtract(arr.cast(x, "int64"), low), high - low + 1), -low)
    return Value("", tensor=arr.cast(y, HELD[kind]), kind=kind)


def _cast(use: Use, kind: str, into: np.dtype) -> Any:
    value = use.inputs[0]
    assert value is not None
    if kind in HELD:
        return held(use[0], kind, use, saturate=bool(use.attr("saturate", 1)), before=value.kind)
    return cast_to(use[0], into, use)


@reads("Cast")
def _(use: Use) -> Any:
    to = use.attr("to")
    if isinstance(to, str):     # version 1 spelled it
        to = package().TensorProto.DataType.Value(to)
    return _cast(use, kind_of(to), dtype(to))


@reads("BitCast")
def _(use: Use) -> Any:
    kind, into = kind_of(use.attr("to")), dtype(use.attr("to"))
    if kind in HELD or use.given(0).kind:
        raise NotInFlowlab(f"the bits of {use.given(0).kind or kind}, which flowlab holds in a wider dtype")
    return use.only(bitcast, use[0], dtype=into.name)


@reads("CastLike")
def _(use: Use) -> Any:
    like = use.inputs[1]
    assert like is not None
    return _cast(use, like.kind or like.type.dtype.name, like.type.dtype)


# ---------------------------------------------------------------- reductions


def _axes(use: Use, x: Tensor, since: int) -> tuple[int, ...] | None:
    """The axes of a reduction: an attribute, from version `since` on an input. None is all of them, () none."""
    axes = use.attr("axes") if use.version < since or "axes" in use.attributes else use.ints_if(1)
    if not axes:
        return () if use.attr("noop_with_empty_axes", 0) else None
    return tuple(int(a) % x.rank for a in axes)


def _reduction(name: str, since: int, before: Callable[[Tensor], Tensor] | None, op: Any, after: Callable[[Tensor], Tensor] | None = None) -> None:
    def handler(use: Use) -> Any:
        x = use[0]
        axes, keep = _axes(use, x, since), bool(use.attr("keepdims", 1))
        y = before(x) if before else x
        if axes != ():
            whole_floats = op is red.mean and whole(x)
            boolean = y.dtype.kind == "b"
            if boolean:
                y = arr.cast(y, "int32")
            made = arr.cast(op(arr.cast(y, "float64"), axis=axes, keepdims=keep), x.dtype.name) if whole_floats else \
                op(y, axis=axes, keepdims=keep) if before or after or boolean else use.only(op, y, axis=axes, keepdims=keep)
            y = arr.cast(made, "bool") if boolean else made
        if after:
            y = after(y)
        return m.identity(y) if y is x else y
    reads(name)(handler)


_reduction("ReduceSum", 13, None, red.sum_)
_reduction("ReduceMean", 18, None, red.mean)
_reduction("ReduceProd", 18, None, red.prod_)
_reduction("ReduceL1", 18, m.abs_, red.sum_)
_reduction("ReduceSumSquare", 18, m.square, red.sum_)
_reduction("ReduceLogSum", 18, None, red.sum_, m.log)


def _length(x: Tensor) -> Tensor:
    return m.sqrt(x) if x.dtype.kind == "f" else arr.cast(m.sqrt(arr.cast(x, "float64")), x.dtype.name)


_reduction("ReduceL2", 18, m.square, red.sum_, _length)


@reads("ReduceLogSumExp")
def _(use: Use) -> Any:
    x = use[0]
    axes, keep = _axes(use, x, 18), bool(use.attr("keepdims", 1))
    if axes == ():
        return m.identity(x)
    if 0 in x.shape:
        return m.log(red.sum_(m.exp(x), axis=axes, keepdims=keep))
    return use.only(red.logsumexp, x, axis=axes, keepdims=keep)


def _extreme(name: str, op: Any, low: bool) -> None:
    def handler(use: Use) -> Any:
        x = use[0]
        axes, keep = _axes(use, x, 18), bool(use.attr("keepdims", 1))
        if axes == ():
            return m.identity(x)
        if x.dtype.kind == "b":
            return use.only(logic.all_ if low else logic.any_, x, axis=axes, keepdims=keep)
        if any(d == 0 for k, d in enumerate(x.shape) if axes is None or k in axes):     # of nothing: what no value is beyond
            over = range(x.rank) if axes is None else axes
            shape = tuple(1 if k in over else d for k, d in enumerate(use.sizes(0))) if keep else tuple(d for k, d in enumerate(use.sizes(0)) if k not in over)
            info = np.iinfo(x.dtype) if whole(x) else None
            return np.full(shape, (info.max if low else info.min) if info else np.inf if low else -np.inf, x.dtype)
        return use.only(op, x, axis=axes, keepdims=keep)
    reads(name)(handler)


_extreme("ReduceMax", red.max_, False)
_extreme("ReduceMin", red.min_, True)


@reads("ArgMax", "ArgMin")
def _(use: Use) -> Any:
    x, axis = use[0], use.attr("axis", 0)
    op = red.argmax if use.op == "ArgMax" else red.argmin
    last = bool(use.attr("select_last_index", 0))
    keep = bool(use.attr("keepdims", 1))
    if not last and not keep:
        return use.only(op, x, axis=axis)
    at = op(flip(x, axis=axis) if last else x, axis=axis)
    if last:
        at = m.subtract(m.subtract(red.size(x, axis=axis, dtype="int64"), 1), at)
    return arr.expand_dims(at, axis=axis % x.rank) if keep else at


@reads("CumSum", "CumProd")
def _(use: Use) -> Any:
    x, axis = use[0], use.ints(1)[0] % use[0].rank
    op, start = (cumsum, 0) if use.op == "CumSum" else (cumprod, 1)
    backwards, exclusive = bool(use.attr("reverse", 0)), bool(use.attr("exclusive", 0))
    if not backwards and not exclusive:
        return use.only(op, x, axis=axis)
    y = flip(x, axis=axis) if backwards else x
    if exclusive:   # one step late
        lead = (slice(None),) * axis
        first = m.add(m.multiply(y[(*lead, slice(0, 1))], number(x, 0)), number(x, start))
        y = arr.concat([first, y[(*lead, slice(0, -1))]], axis=axis)
    y = op(y, axis=axis)
    return flip(y, axis=axis) if backwards else y


@reads("TopK")
def _(use: Use) -> Any:
    x = use[0]
    k = int(use.ints(1)[0]) if use.version >= 10 else use.attr("k")
    axis = use.attr("axis", -1) % x.rank
    if use.attr("largest", 1):
        return list(use.only(topk, x, k=k, axis=axis))
    indices = argsort(x, axis=axis)[(*(slice(None),) * axis, slice(0, k))]
    return [take_along_axis(x, indices, axis=axis), indices]


@reads("LpNormalization")
def _(use: Use) -> Any:
    x, axis, p = use[0], use.attr("axis", -1), use.attr("p", 2)
    length = red.sum_(m.abs_(x), axis=axis, keepdims=True) if p == 1 else m.sqrt(red.sum_(m.square(x), axis=axis, keepdims=True))
    zero = m.equal(length, number(x, 0))
    return arr.where(zero, number(x, 0), m.divide(x, arr.where(zero, number(x, 1), length)))


@reads("RMSNormalization")
def _(use: Use) -> Any:
    x = use[0]
    axis = use.attr("axis", -1) % x.rank
    wide = x if x.dtype.name != "float16" else arr.cast(x, "float32")
    rate = m.rsqrt(m.add(red.mean(m.square(wide), axis=tuple(range(axis, x.rank)), keepdims=True), use.attr("epsilon", 1e-5)))
    y = m.multiply(wide, rate)
    y = y if y.dtype == x.dtype else arr.cast(y, x.dtype.name)
    return m.multiply(y, use[1])


# ---------------------------------------------------------------- quantized integers


def along(t: Tensor, rank: int, axis: int) -> Tensor:
    """A scale or zero point an entry of one axis, ready to meet the whole."""
    if t.rank != 1 or t.shape == (1,) and rank == 0:
        return t
    return t if rank - 1 == axis % rank else arr.reshape(t, (-1, *(1,) * (rank - 1 - axis % rank)))


def _blocked(t: Tensor, use: Use, axis: int) -> Tensor:
    """A scale a block of so many entries of the axis, as one an entry."""
    from ...ops.layout import repeat
    block = use.attr("block_size", 0)
    size = use.sizes(0)[axis]
    return repeat(t, repeats=block, axis=axis)[(*(slice(None),) * axis, slice(0, size))]


def _scale(t: Tensor, use: Use, x: Tensor) -> Tensor:
    axis = use.attr("axis", 1)
    return _blocked(t, use, axis % x.rank) if use.attr("block_size", 0) else along(t, x.rank, axis)


def quantized(x: Tensor, scale: Tensor, zero: Tensor | None, kind: str, into: np.dtype) -> Tensor:
    """round(x / scale) + zero, halves to even, held within the type."""
    low, high = bits(kind)
    y = m.round_(m.divide(x, scale if scale.dtype == x.dtype else arr.cast(scale, x.dtype.name)))
    if zero is not None:
        y = m.add(y, arr.cast(zero, x.dtype.name))
    return arr.cast(m.clip(y, min=float(low), max=float(high)), into.name)


@reads("QuantizeLinear")
def _(use: Use) -> Any:
    x = use[0]
    x = x if x.dtype.kind == "f" else arr.cast(x, "float32")
    zero = use[2] if use.has(2) else None
    element = use.attr("output_dtype", 0) or 2
    kind, into = (use.given(2).kind or zero.dtype.name, zero.dtype) if zero is not None else (kind_of(element), dtype(element))
    wide = arr.cast(x, "float32") if x.dtype.name == "float16" else x
    scale = _scale(use.tensor(1), use, x)
    if into.kind == "f":
        if kind not in FORMATS:
            raise NotInFlowlab(f"QuantizeLinear to {kind}")
        return held(m.divide(wide, scale), kind, use, saturate=bool(use.attr("saturate", 1)))
    return Value("", tensor=quantized(wide, scale, None if zero is None else _scale(zero, use, x), kind, into), kind=kind if kind in HELD else "")


@reads("DequantizeLinear")
def _(use: Use) -> Any:
    x, scale = use[0], use[1]
    out = dtype(use.attr("output_dtype", 0)) if use.attr("output_dtype", 0) else scale.dtype
    wide = "float32"
    y = arr.cast(x, wide)
    if use.has(2):
        y = m.subtract(y, arr.cast(_scale(use[2], use, x), wide))
    s = _scale(scale, use, x)
    y = m.multiply(y, s if s.dtype.name == wide else arr.cast(s, wide))
    return y if out.name == wide else arr.cast(y, out.name)


def _centred(x: Tensor, zero: Tensor | None, axis: int | None = None) -> Tensor:
    """Whole numbers less their zero point, in 32 bits."""
    x = arr.cast(x, "int32")
    if zero is None:
        return x
    zero = arr.cast(zero, "int32")
    return m.subtract(x, zero if axis is None or zero.rank != 1 or zero.shape == (1,) else along(zero, x.rank, axis))


@reads("MatMulInteger")
def _(use: Use) -> Any:
    a, b = use[0], use[1]
    return matmul(_centred(a, use[2] if use.has(2) else None, a.rank - 2), _centred(b, use[3] if use.has(3) else None, b.rank - 1))


@reads("QLinearMatMul")
def _(use: Use) -> Any:
    a, sa, za, b, sb, zb, sy, zy = (use[k] for k in range(8))
    total = matmul(_centred(a, za, a.rank - 2), _centred(b, zb, b.rank - 1))
    if sa.rank == 1 and sa.shape != (1,):
        sa = along(sa, a.rank, a.rank - 2)
    rate = m.divide(m.multiply(arr.cast(sa, "float32"), arr.cast(sb, "float32")), arr.cast(sy, "float32"))
    y = m.add(m.round_(m.multiply(arr.cast(total, "float32"), rate)), arr.cast(zy, "float32"))
    info = np.iinfo(zy.dtype)
    return arr.cast(m.clip(y, min=float(info.min), max=float(info.max)), zy.dtype.name)


@reads("DynamicQuantizeLinear")
def _(use: Use) -> Any:
    x = use[0]
    low, high = m.minimum(red.min_(x), number(x, 0)), m.maximum(red.max_(x), number(x, 0))
    scale = m.divide(m.subtract(high, low), number(x, 255))
    zero = arr.cast(m.clip(m.round_(m.divide(m.negative(low), scale)), min=0.0, max=255.0), "uint8")
    return [quantized(x, scale, zero, "uint8", np.dtype("uint8")), scale, zero]

