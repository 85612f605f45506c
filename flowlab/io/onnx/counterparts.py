"""What an operation becomes in ONNX: a few nodes each, written by a small function. One whose declaration names its counterpart (`onnx=`) needs none here.

A function gets a `Use`, the node with the names of its inputs: `u.x` is the value on port x, `u.Add(u.x, 1.0)` writes an ONNX node and returns the name of
its value. It returns one name an output, or None to leave the node to its declaration.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...control.scan import seen
from ...control.written_out import scanned
from ...core.errors import FlowError
from ...core.graph import Graph, Node
from ...core.shape import axes_in, axis_in
from ...core.types import TensorType, shape_text
from ...ops.adaptive import windows
from ...ops.conv import zeros_around
from ...ops.state import placeholder

if TYPE_CHECKING:
    from .writing import Block

FIRST, LAST = -(1 << 63), (1 << 63) - 1     # where a slice without a bound begins or ends


class Use:
    """One node on its way into ONNX: its attributes, and the names of the values that go in."""

    def __init__(self, block: Block, node: Node, names: Sequence[str], wanted: Sequence[bool]):
        self.block, self.node, self.attrs, self.names, self.wanted = block, node, node.attrs, list(names), list(wanted)
        self.types = [t.type for t in node.inputs]
        self.dtype = next((t.dtype for t in self.types if t.dtype.kind == "f"), self.types[0].dtype if self.types else np.dtype("float32"))
        self._ports = {p: k for k, p in enumerate(node.ports)}

    def __getattr__(self, name: str) -> Any:
        if name[:1].isupper():
            return partial(self.emit, name)
        if name in self._ports:
            return self.names[self._ports[name]]
        if any(i.name == name for i in self.node.op.inputs):
            return None     # an input that is left open
        raise AttributeError(name)

    def type(self, port: str) -> TensorType:
        return self.types[self._ports[port]]

    def emit(self, op: str, *inputs: Any, n: int = 1, **attrs: Any) -> Any:
        """Write a node and return the names of its `n` values, one name if it is one. Numbers and lists among the inputs become constants: floats of
        the node's dtype, whole numbers int64."""
        outs = self.block.emit(op, [self.given(x) for x in inputs], n, attrs)
        return outs[0] if n == 1 else outs

    def given(self, x: Any) -> str:
        if x is None or isinstance(x, str):
            return x or ""
        if isinstance(x, float):
            x = np.array(x, self.dtype)
        elif isinstance(x, np.generic):
            x = np.asarray(x)
        elif not isinstance(x, np.ndarray):
            x = np.array(x, "int64")
        return self.block.constant(x)

    def no(self, why: str, hint: str) -> FlowError:
        return FlowError(f"{self.node.name}: {why}", node=self.node.name, hint=hint)

    # ------------------------------------------------------------ what many need

    def cast(self, x: str, dtype: Any, have: Any = None) -> str:
        return x if have is not None and np.dtype(have) == np.dtype(dtype) else self.Cast(x, to=self.block.model.number(dtype))

    def sizes(self, x: str, axes: Sequence[int]) -> str:
        """The sizes of some axes, a vector."""
        return self.Gather(self.Shape(x), list(axes))

    def length(self, x: str, port: str, axis: int) -> Any:
        """The size of an axis: a number where it is known, else the name of a value."""
        d = self.type(port).shape[axis]
        return d if isinstance(d, int) else self.Gather(self.Shape(x), axis)

    def known(self, port: str, axis: int) -> int:
        """The size of an axis, which the file has to say."""
        d = self.type(port).shape[axis]
        if not isinstance(d, int):
            raise self.no(f"the size of axis {axis} of {port} {shape_text(self.type(port).shape)} has to be known.", "Give the placeholder a number there.")
        return d

    def reduce(self, op: str, x: str, port: str = "x", **kw: Any) -> str:
        """A reduction along the node's own axes, or those in `axis`."""
        axis, keep = kw.get("axis", self.attrs.get("axis")), kw.get("keepdims", self.attrs.get("keepdims", False))
        rank = kw.get("rank", self.type(port).rank if port in self._ports else 0)
        axes = axes_in(axis, rank)
        if not axes:
            return self.Identity(x)
        return self.emit(op, x, list(axes), keepdims=int(keep))

    def rows(self, values: str) -> str:
        """A loss a row: the mean along the last axis, of a vector each entry."""
        rank = self.types[0].rank
        return self.ReduceMean(values, [rank - 1], keepdims=0) if rank > 1 else values


Rule = Callable[[Use], Any]
RULES: dict[str, Rule] = {}


def writes(*types: str) -> Callable[[Rule], Rule]:
    def put(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(types, rule))
        return rule
    return put


def _whole(u: Use) -> bool:
    return u.types[0].dtype.kind != "f"


# ---------------------------------------------------------------- element by element

_ROOT = math.sqrt(0.5)
RULES |= {
    "Square": lambda u: u.Mul(u.x, u.x),
    "StopGradient": lambda u: u.Identity(u.x),
    "Floor": lambda u: u.Identity(u.x) if _whole(u) else None,
    "Ceil": lambda u: u.Identity(u.x) if _whole(u) else None,
    "Round": lambda u: u.Identity(u.x) if _whole(u) else None,
    "Trunc": lambda u: u.Identity(u.x) if _whole(u) else u.Mul(u.Sign(u.x), u.Floor(u.Abs(u.x))),
    "Relu": lambda u: u.Max(u.x, np.zeros((), u.types[0].dtype)) if _whole(u) else None,
    "ReluGradient": lambda u: u.Where(u.Greater(u.y, 0.0), u.g, 0.0),
    "Rsqrt": lambda u: u.Reciprocal(u.Sqrt(u.x)),
    "Log2": lambda u: u.Mul(u.Log(u.x), 1 / math.log(2)),
    "Log10": lambda u: u.Mul(u.Log(u.x), 1 / math.log(10)),
    "Exp2": lambda u: u.Pow(2.0, u.x),
    "Cbrt": lambda u: u.Mul(u.Sign(u.x), u.Pow(u.Abs(u.x), 1 / 3)),
    "NotEqual": lambda u: u.Not(u.Equal(u.a, u.b)),
    "Isfinite": lambda u: u.Not(u.Or(u.IsNaN(u.x), u.IsInf(u.x))),
    "Silu": lambda u: u.Mul(u.x, u.Sigmoid(u.x)),
    "LogSigmoid": lambda u: u.Neg(u.Softplus(u.Neg(u.x))),
    "Hardtanh": lambda u: u.Clip(u.x, u.attrs["min_val"], u.attrs["max_val"]),
    "Relu6": lambda u: u.Clip(u.x, 0.0, 6.0),
    "Hardsigmoid": lambda u: u.HardSigmoid(u.x, alpha=1 / 6, beta=0.5),
    "Softshrink": lambda u: u.Shrink(u.x, lambd=u.attrs["lambd"], bias=u.attrs["lambd"]),
    "Tanhshrink": lambda u: u.Sub(u.x, u.Tanh(u.x)),
    "Threshold": lambda u: u.Where(u.Greater(u.x, u.attrs["threshold"]), u.x, u.attrs["value"]),
    "CustomGradient": lambda u: [u.Identity(x) for x in u.names[:u.attrs["outputs"]]],
}


@writes("Expm1")
def _(u):   # near 0 by tanh, which loses no digits there
    t = u.Tanh(u.Mul(u.x, 0.5))
    return u.Where(u.Less(u.Abs(u.x), 1.0), u.Div(u.Mul(t, 2.0), u.Sub(1.0, t)), u.Sub(u.Exp(u.x), 1.0))


@writes("Log1p")
def _(u):   # near 0, 2 artanh(x / (x + 2)) loses no digits
    return u.Where(u.Less(u.Abs(u.x), 0.5), u.Mul(u.Atanh(u.Div(u.x, u.Add(u.x, 2.0))), 2.0), u.Log(u.Add(u.x, 1.0)))


@writes("Arctan2")
def _(u):   # the angle in the first quadrant, then turned to where the signs say, that of a zero too
    down, behind = (u.Or(u.Less(x, 0.0), u.Less(u.Reciprocal(x), 0.0)) for x in (u.a, u.b))
    ratio = u.Div(u.Abs(u.a), u.Abs(u.b))
    ratio = u.Where(u.And(u.IsInf(u.a), u.IsInf(u.b)), 1.0, u.Where(u.Equal(u.a, 0.0), 0.0, ratio))
    angle = u.Atan(ratio)
    angle = u.Where(behind, u.Sub(math.pi, angle), angle)
    return u.Where(down, u.Neg(angle), angle)


def _remainder(u, a, b):
    if _whole(u):
        return u.Mod(a, b)
    r = u.Mod(a, b, fmod=1)     # the sign of a; NumPy's has that of b
    wrong = u.And(u.Not(u.Equal(r, 0.0)), u.Xor(u.Less(r, 0.0), u.Less(b, 0.0)))
    return u.Where(wrong, u.Add(r, b), r)


@writes("Mod")
def _(u):
    return _remainder(u, u.a, u.b)


@writes("FloorDivide")
def _(u):
    times = u.Div(u.Sub(u.a, _remainder(u, u.a, u.b)), u.b)
    return times if _whole(u) else u.Where(u.Equal(u.b, 0.0), u.Div(u.a, u.b), u.Round(times))


@writes("Logaddexp")
def _(u):   # two equal infinities have no difference
    apart = u.Neg(u.Abs(u.Sub(u.a, u.b)))
    return u.Where(u.Equal(u.a, u.b), u.Add(u.a, math.log(2)), u.Add(u.Max(u.a, u.b), u.Softplus(apart)))


@writes("Hypot")
def _(u):
    a, b = u.Abs(u.a), u.Abs(u.b)
    large, small = u.Max(a, b), u.Min(a, b)
    ratio = u.Div(small, large)
    length = u.Where(u.Equal(large, 0.0), large, u.Mul(large, u.Sqrt(u.Add(u.Mul(ratio, ratio), 1.0))))
    return u.Where(u.Or(u.IsInf(u.a), u.IsInf(u.b)), math.inf, length)


@writes("Clip")
def _(u):
    low, high, dtype = u.attrs["min"], u.attrs["max"], u.types[0].dtype
    if dtype.kind != "f":
        info = np.iinfo(dtype)
        low = None if low is None or low <= info.min else min(math.ceil(low), info.max)
        high = None if high is None or high >= info.max else max(math.floor(high), info.min)
    bounds = [None if v is None else np.array(v, dtype) for v in (low, high)]
    return u.Identity(u.x) if bounds == [None, None] else u.Clip(u.x, *bounds)


@writes("Prelu")
def _(u):   # ONNX repeats the slope to the shape of x, not the other way round
    x, slope = u.type("x").shape, u.type("slope").shape
    fits = len(slope) <= len(x) and all(a == 1 or a == b and a is not None for a, b in zip(slope[::-1], x[::-1]))
    return None if fits else u.Where(u.Greater(u.x, 0.0), u.x, u.Mul(u.x, u.slope))


@writes("Celu")
def _(u):
    if u.dtype == "float32":
        return None
    alpha = u.attrs["alpha"]
    return u.Where(u.Greater(u.x, 0.0), u.x, u.Mul(u.Elu(u.Div(u.x, alpha)), alpha))


@writes("Glu")
def _(u):
    a, b = u.Split(u.x, n=2, axis=u.attrs["axis"], num_outputs=2)
    return u.Mul(a, u.Sigmoid(b))


# ---------------------------------------------------------------- shapes

RULES |= {
    "ReshapeLike": lambda u: u.Reshape(u.x, u.Shape(u.like), allowzero=1),
    "Transpose": lambda u: u.Transpose(u.x, **({} if u.attrs["axes"] is None else {"perm": [a % u.type("x").rank for a in u.attrs["axes"]]})),
    "BroadcastTo": lambda u: u.Expand(u.x, list(u.attrs["shape"])),
    "BroadcastLike": lambda u: u.Expand(u.x, u.Shape(u.like)),
    "ZerosLike": lambda u: u.ConstantOfShape(u.Shape(u.x), value=np.zeros(1, u.types[0].dtype)),
    "OnesLike": lambda u: u.ConstantOfShape(u.Shape(u.x), value=np.ones(1, u.types[0].dtype)),
    "Cast": lambda u: u.cast(u.x, u.attrs["dtype"]),
    "Stack": lambda u: u.Concat(*(u.Unsqueeze(x, [u.attrs["axis"]]) for x in u.names), axis=u.attrs["axis"]),
    "Split": lambda u: _several(u.Split(u.x, n=u.attrs["n"], axis=u.attrs["axis"], num_outputs=u.attrs["n"])),
    "Outer": lambda u: u.Mul(u.Unsqueeze(u.a, [1]), u.b),
    "Tril": lambda u: u.Trilu(u.x, u.attrs["k"], upper=0),
    "Triu": lambda u: u.Trilu(u.x, u.attrs["k"], upper=1),
    "Timesteps": lambda u: u.Range(0, u.length(u.x, "x", u.attrs["axis"]), 1),
}


def _several(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


@writes("Reshape")
def _(u):
    shape = u.node.outputs[0].shape
    free = [k for k, d in enumerate(shape) if not isinstance(d, int)]
    if len(free) <= 1 and 0 not in shape:
        return u.Reshape(u.x, [d if isinstance(d, int) else -1 for d in shape])
    if not free:
        return u.Reshape(u.x, list(shape), allowzero=1)
    want = u.attrs["shape"]
    parts = [u.sizes(u.x, [k]) if isinstance(d, str) else [d if isinstance(d, int) else -1] for k, d in enumerate(want)]
    return u.Reshape(u.x, u.Concat(*parts, axis=0))


@writes("ExpandDims")
def _(u):
    axis = u.attrs["axis"]
    return u.Unsqueeze(u.x, [axis] if isinstance(axis, int) else list(axis))


@writes("Squeeze")
def _(u):
    axis, x = u.attrs["axis"], u.type("x")
    axes = [k for k, d in enumerate(x.shape) if d == 1] if axis is None else list(axes_in(axis, x.rank))
    return u.Squeeze(u.x, axes) if axes else u.Identity(u.x)


@writes("SliceLike")
def _(u):
    axis, at = u.attrs["axis"], u.attrs["position"]
    ends: list[Any] = [[0]]
    for part in u.names[1:at + 2]:
        ends.append(u.Add(ends[-1], u.sizes(part, [axis])))
    return u.Slice(u.names[0], ends[-2], ends[-1], [axis])


@writes("Slice")
def _(u):
    parts, x = list(u.attrs["index"]), u.type("x")
    used = sum(p is not None and p != "..." for p in parts)
    if "..." not in parts:
        parts.append("...")
    at = parts.index("...")
    parts[at:at + 1] = [("slice", None, None, None)] * (x.rank - used)
    starts, ends, axes, steps, gone, new = [], [], [], [], [], []
    axis, out = 0, 0
    for p in parts:
        if p is None:
            new.append(out)
            out += 1
            continue
        size = x.shape[axis]
        if isinstance(p, int):
            cut = (p, p + 1 or LAST, 1)
            gone.append(axis)
        else:
            cut = _cut(slice(*p[1:]), size)
            out += 1
        if cut != (0, LAST, 1):
            for row, v in zip((starts, ends, axes, steps), (cut[0], cut[1], axis, cut[2])):
                row.append(v)
        axis += 1
    y = u.Slice(u.x, starts, ends, axes, steps) if axes else u.x
    y = u.Squeeze(y, gone) if gone else y
    y = u.Unsqueeze(y, new) if new else y
    return u.Identity(y) if y == u.x else y


def _cut(part: slice, size: Any) -> tuple[int, int, int]:
    """(start, end, step) as ONNX has them."""
    step = 1 if part.step is None else part.step
    if part == slice(None):
        return 0, LAST, 1
    if isinstance(size, int):
        start, stop, step = part.indices(size)
        return (start, stop, step) if step > 0 else (max(start, 0), FIRST if stop < 0 else stop, step) if start >= 0 else (0, 0, 1)
    return ((0 if step > 0 else LAST) if part.start is None else part.start, (LAST if step > 0 else FIRST) if part.stop is None else part.stop, step)


@writes("Unstack")
def _(u):
    n, axis = len(u.node.outputs), u.attrs["axis"]
    return [u.Squeeze(part, [axis]) for part in _several(u.Split(u.x, n=n, axis=axis, num_outputs=n))]


@writes("Pad")
def _(u):
    before, after = zip(*u.attrs["pad_width"]) if u.attrs["pad_width"] else ((), ())
    if not before:
        return u.Identity(u.x)
    fill = np.array(u.attrs["constant_values"]).astype(u.types[0].dtype) if u.attrs["mode"] == "constant" else None
    return u.Pad(u.x, [*before, *after], fill, mode=u.attrs["mode"])


@writes("Tile")
def _(u):
    reps, rank = u.attrs["reps"], u.type("x").rank
    x = u.Unsqueeze(u.x, list(range(len(reps) - rank))) if len(reps) > rank else u.x
    return u.Tile(x, [*(1,) * (rank - len(reps)), *reps])


@writes("Repeat")
def _(u):
    times, axis, rank = u.attrs["repeats"], u.attrs["axis"], u.type("x").rank
    at = 0 if axis is None else axis % rank
    x, rank = (u.Reshape(u.x, [-1]), 1) if axis is None else (u.x, rank)
    wide = u.Tile(u.Unsqueeze(x, [at + 1]), [times if k == at + 1 else 1 for k in range(rank + 1)])
    grown = u.Mul(u.sizes(x, [at]), times)
    parts = [u.sizes(x, range(at)) if at else None, grown, u.sizes(x, range(at + 1, rank)) if at + 1 < rank else None]
    return u.Reshape(wide, u.Concat(*(p for p in parts if p), axis=0), allowzero=1)


@writes("Flip")
def _(u):
    axes = list(axes_in(u.attrs["axis"], u.type("x").rank))
    return u.Slice(u.x, [LAST] * len(axes), [FIRST] * len(axes), axes, [-1] * len(axes)) if axes else u.Identity(u.x)


@writes("Roll")
def _(u):
    shift, axis = u.attrs["shift"], u.attrs["axis"]
    if axis is None:
        flat = u.Reshape(u.x, [-1])
        n = u.Size(u.x)
        return u.Reshape(u.Gather(flat, u.Mod(u.Sub(u.Range(0, n, 1), shift), n)), u.Shape(u.x), allowzero=1)
    x = u.x
    axes = (axis,) if isinstance(axis, int) else axis
    for by, at in zip(shift if isinstance(shift, tuple) else (shift,) * len(axes), axes):
        n = u.Gather(u.Shape(u.x), at)
        x = u.Gather(x, u.Mod(u.Sub(u.Range(0, n, 1), by), n), axis=at)
    return x


# ---------------------------------------------------------------- indices


def _index(u: Use, port: str) -> str:
    """Indices in a dtype that ONNX takes."""
    return u.cast(getattr(u, port), "int64", u.type(port).dtype)


RULES |= {
    "Gather": lambda u: u.Gather(u.x, _index(u, "indices"), axis=u.attrs["axis"]),
    "TakeAlongAxis": lambda u: u.GatherElements(u.x, _index(u, "indices"), axis=u.attrs["axis"]),
    "OneHot": lambda u: u.cast(u.Equal(u.Unsqueeze(_index(u, "indices"), [-1]), list(range(u.attrs["depth"]))), u.attrs["dtype"]),
    "OneHotLike": lambda u: u.cast(u.Equal(u.Unsqueeze(_index(u, "labels"), [-1]), u.Range(0, u.length(u.like, "like", -1), 1)), u.type("like").dtype),
    "Argwhere": lambda u: u.Transpose(u.NonZero(u.x), perm=[1, 0]),
}


@writes("Scatter", "ScatterAdd")
def _(u):
    rank, places = u.type("x").rank, u.type("indices").rank
    axis = u.attrs["axis"] % rank
    first = [axis, *(k for k in range(rank) if k != axis)]
    moved = [*range(axis, axis + places), *range(axis), *range(axis + places, rank - 1 + places)]
    x = u.Transpose(u.x, perm=first) if axis else u.x
    new = u.Transpose(u.updates, perm=moved) if axis else u.updates
    how = {"reduction": "add"} if u.node.op.name == "ScatterAdd" else {}
    y = u.ScatterND(x, u.Unsqueeze(_index(u, "indices"), [-1]), new, **how)
    return u.Transpose(y, perm=[first.index(k) for k in range(rank)]) if axis else y


@writes("ScatterReduce")
def _(u):
    how = u.attrs["reduction"]
    return u.ScatterElements(u.x, u.cast(u.indices, "int64", u.type("indices").dtype), u.updates, axis=u.attrs["axis"], **({} if how == "none" else {"reduction": how}))


@writes("UniqueEntries")
def _(u):
    axis = u.attrs["axis"]
    return tuple(u.Unique(u.x, n=4, sorted=int(u.attrs["ordered"]), **({} if axis is None else {"axis": axis})))


@writes("NonMaxSuppression")
def _(u):
    a, kind = u.attrs, u.type("boxes").dtype
    least = None if a["least"] is None else np.float32(a["least"]).reshape(1)
    return u.NonMaxSuppression(u.cast(u.boxes, "float32", kind), u.cast(u.scores, "float32", u.type("scores").dtype), [a["most"]], np.float32(a["overlap"]).reshape(1), least,
                               center_point_box=int(a["centres"]))


@writes("ReshapeToSizes")
def _(u):
    return u.Reshape(u.x, u.cast(u.dims, "int64", u.type("dims").dtype), allowzero=1)


@writes("BroadcastToSizes")
def _(u):
    return u.Expand(u.x, u.cast(u.dims, "int64", u.type("dims").dtype))


@writes("RoundTo")
def _(u):
    kind, format = u.type("x").dtype, u.attrs["format"]
    x = u.cast(u.x, "float32", kind)
    if format == "float4e2m1":      # younger than this opset
        size, half, one, two, four, six, none = u.Abs(x), *(np.array(v, "float32") for v in (0.5, 1, 2, 4, 6, -0.0))
        step = u.Where(u.Less(size, two), half, u.Where(u.Less(size, four), one, two))
        y = u.Where(u.IsNaN(x), none, u.Clip(u.Mul(u.Round(u.Div(x, step)), step), -six, six))
    else:
        into = getattr(u.block.model.onnx.TensorProto, format.upper())
        y = u.Cast(u.Cast(x, to=into, **({} if format == "bfloat16" else {"saturate": int(u.attrs["saturate"])})), to=u.block.model.onnx.TensorProto.FLOAT)
    return u.cast(y, kind, "float32")


@writes("LeftShift", "RightShift")
def _(u):
    kind, left = u.type("a").dtype, u.node.op.name == "LeftShift"

    def moved(x):   # ONNX moves the bits of numbers without a sign alone
        return u.cast(u.BitShift(u.cast(x, "uint64"), u.cast(u.b, "uint64"), direction="LEFT" if left else "RIGHT"), kind)
    if left or kind.kind == "u":
        return moved(u.a)
    return u.Where(u.Less(u.a, np.zeros((), kind)), u.BitwiseNot(moved(u.BitwiseNot(u.a))), moved(u.a))


@writes("BooleanMask")
def _(u):
    rank, covered = u.type("x").rank, u.type("mask").rank
    if covered == 1:
        return u.Compress(u.x, u.mask, axis=0)
    rest = u.sizes(u.x, range(covered, rank)) if covered < rank else None
    flat = u.Reshape(u.x, u.Concat([-1], rest, axis=0) if rest else [-1])
    return u.Compress(flat, u.Reshape(u.mask, [-1]), axis=0)


@writes("Searchsorted")
def _(u):
    x = u.Unsqueeze(u.x, [-1])
    before = u.Less(u.sorted_values, x) if u.attrs["side"] == "left" else u.LessOrEqual(u.sorted_values, x)
    return u.ReduceSum(u.cast(before, "int64"), [-1], keepdims=0)


@writes("Bincount")
def _(u):
    row = u.Reshape(u.cast(u.x, "int64", u.type("x").dtype), [-1, 1])
    return u.ReduceSum(u.cast(u.Equal(row, list(range(u.attrs["length"]))), "int64"), [0], keepdims=0)


@writes("Unique")
def _(u):
    truth = u.type("x").dtype.kind == "b"
    values, _, inverse, counts = u.Unique(u.Reshape(u.cast(u.x, "int8") if truth else u.x, [-1]), n=4, sorted=1)
    return u.cast(values, "bool") if truth else values, u.Reshape(inverse, u.Shape(u.x)), counts


@writes("ReverseSequence")
def _(u):
    return u.ReverseSequence(u.x, u.cast(u.lengths, "int64", u.type("lengths").dtype), batch_axis=0, time_axis=1)


# ---------------------------------------------------------------- order


def _sorted(u: Use, x: str, axis: int, largest: bool, k: Any = None) -> list[str]:
    """Values in order along an axis, and where they stood; of equals, the first comes first."""
    count = u.sizes(x, [axis]) if k is None else [k]
    return u.TopK(x, count, n=2, axis=axis, largest=int(largest), sorted=1)


def _ordered(u: Use) -> list[str]:
    x, axis = u.x, u.attrs["axis"] % u.type("x").rank
    dtype = u.type("x").dtype
    values, at = _sorted(u, u.cast(x, "int32") if dtype.kind == "b" else x, axis, False)
    return [u.cast(values, "bool") if dtype.kind == "b" else values, at]


RULES |= {
    "Sort": lambda u: _ordered(u)[0],
    "Argsort": lambda u: _ordered(u)[1],
    "TopK": lambda u: _sorted(u, u.x, u.attrs["axis"], True, u.attrs["k"]),
}


@writes("Quantile")
def _(u):
    axis, keep, q, rank = u.attrs["axis"], u.attrs["keepdims"], u.attrs["q"], u.type("x").rank
    at = 0 if axis is None else axis % rank
    size = math.prod(u.known("x", k) for k in range(rank)) if axis is None else u.known("x", at)
    place = q * (size - 1)
    low = min(int(place), size - 1)
    t = place - low
    values, _ = _sorted(u, u.Reshape(u.x, [-1]) if axis is None else u.x, at, False)
    y = u.Gather(values, low, axis=at)
    if t:
        y = u.Add(u.Mul(y, 1 - t), u.Mul(u.Gather(values, min(low + 1, size - 1), axis=at), t))
    return u.Unsqueeze(y, list(axes_in(axis, rank))) if keep else u.Identity(y)


@writes("Cumsum", "Cumprod")
def _(u):
    axis = u.attrs["axis"]
    x, at, rank = (u.Reshape(u.x, [-1]), 0, 1) if axis is None else (u.x, axis % u.type("x").rank, u.type("x").rank)
    if u.node.op.name == "Cumsum":
        return u.CumSum(x, at)
    dtype = u.types[0].dtype
    others = [k for k in range(rank) if k != at]
    start = u.ConstantOfShape(u.sizes(x, others) if others else np.zeros(0, "int64"), value=np.ones(1, dtype))
    inner, part = u.block.inner(), TensorType((None,) * (rank - 1), dtype)
    before, value = inner.declare("product", part), inner.declare("value", part)
    now, = inner.emit("Mul", [before, value], 1, {})
    graph = inner.graph("product", [(now, part), (now, part)])
    return u.Scan(start, x, n=2, body=graph, num_scan_inputs=1, scan_input_axes=[at], scan_output_axes=[at])[1]


# ---------------------------------------------------------------- reductions

RULES |= {
    "Sum": lambda u: _summed(u, "ReduceSum"),
    "Prod": lambda u: _summed(u, "ReduceProd"),
    "Mean": lambda u: u.reduce("ReduceMean", u.x),
    "Max": lambda u: u.reduce("ReduceMax", u.x),
    "Min": lambda u: u.reduce("ReduceMin", u.x),
    "Logsumexp": lambda u: u.reduce("ReduceLogSumExp", u.x),
    "Norm": lambda u: u.Abs(u.x) if u.attrs["axis"] == () else u.reduce("ReduceL2", u.x),
    "Argmax": lambda u: u.ArgMax(u.x, axis=u.attrs["axis"], keepdims=0),
    "Argmin": lambda u: u.ArgMin(u.x, axis=u.attrs["axis"], keepdims=0),
    "Any": lambda u: u.Greater(_counted(u, u.x), 0),
    "All": lambda u: u.Equal(_counted(u, u.Not(u.x)), 0),
    "CountNonzero": lambda u: _counted(u, u.x if u.types[0].dtype.kind == "b" else u.cast(u.x, "bool")),
    "Var": lambda u: _variance(u),
    "Std": lambda u: u.Sqrt(_variance(u)),
    "Mse": lambda u: u.rows(_squared(u, u.Sub(u.prediction, u.target))),
    "Mae": lambda u: u.rows(u.Abs(u.Sub(u.prediction, u.target))),
    "Hinge": lambda u: u.rows(u.Relu(u.Sub(1.0, u.Mul(u.prediction, u.target)))),
}


def _summed(u: Use, op: str) -> str:
    dtype = u.types[0].dtype
    if dtype.kind == "f" or dtype.itemsize >= 4:
        return u.reduce(op, u.x)
    return u.cast(u.reduce(op, u.cast(u.x, "int32")), dtype)    # ONNX adds up no narrower ones


def _counted(u: Use, truth: str) -> str:
    return u.reduce("ReduceSum", u.cast(truth, "int64"))


def _squared(u: Use, x: str) -> str:
    return u.Mul(x, x)


def _variance(u: Use) -> str:
    axes, ddof = axes_in(u.attrs["axis"], u.type("x").rank), u.attrs["ddof"]
    away = u.Sub(u.x, u.reduce("ReduceMean", u.x, keepdims=True))
    spread = _squared(u, away)
    if not ddof:
        return u.reduce("ReduceMean", spread)
    n = u.Sub(u.cast(u.ReduceProd(u.sizes(u.x, axes), keepdims=0), u.dtype), float(ddof))
    return u.Div(u.reduce("ReduceSum", spread), n)


@writes("Size")
def _(u):
    axis = u.attrs["axis"]
    n = u.Size(u.x) if axis is None else u.ReduceProd(u.sizes(u.x, axes_in(axis, u.type("x").rank)), keepdims=0)
    return u.cast(n, u.attrs["dtype"])


@writes("SumLike")
def _(u):
    x, like = u.type("x"), u.type("like")
    lead = x.rank - like.rank
    axes = []
    for k, (a, b) in enumerate(zip(x.shape[lead:], like.shape), lead):
        if b == 1 and a != 1:
            axes.append(k)
        elif a != b or a is None:
            raise u.no(f"whether axis {k} of x {shape_text(x.shape)} is summed away shows only at run time.", "Give the placeholders numbers or names there.")
    y = u.ReduceSum(u.x, list(range(lead)), keepdims=0) if lead else u.x
    y = u.ReduceSum(y, [k - lead for k in axes], keepdims=1) if axes else y
    return u.Identity(y)


# ---------------------------------------------------------------- losses


@writes("SparseSoftmaxCrossEntropy", "Nll")
def _(u):
    scores = u.LogSoftmax(u.logits, axis=-1) if u.node.op.name != "Nll" else u.log_probabilities
    right = u.GatherElements(scores, u.Unsqueeze(_index(u, "labels"), [-1]), axis=-1)
    return u.Neg(u.Squeeze(right, [-1]))


@writes("SoftmaxCrossEntropy")
def _(u):
    return u.Neg(u.ReduceSum(u.Mul(u.labels, u.LogSoftmax(u.logits, axis=-1)), [-1], keepdims=0))


@writes("Huber")
def _(u):
    d = u.Abs(u.Sub(u.prediction, u.target))
    near = u.Min(d, u.attrs["delta"])
    return u.rows(u.Mul(near, u.Sub(d, u.Mul(near, 0.5))))


@writes("BinaryCrossEntropyWithLogits")
def _(u):
    return u.rows(u.Add(u.Sub(u.Relu(u.logits), u.Mul(u.logits, u.labels)), u.Softplus(u.Neg(u.Abs(u.logits)))))


@writes("KlDiv")
def _(u):
    log_p = u.Log(u.Where(u.Greater(u.p, 0.0), u.p, 1.0))
    return u.ReduceSum(u.Mul(u.p, u.Sub(log_p, u.log_q)), [-1], keepdims=0)


# ---------------------------------------------------------------- normalization


def _standard(u: Use, x: str, axes: Sequence[int]) -> str:
    away = u.Sub(x, u.ReduceMean(x, list(axes), keepdims=1))
    return u.Div(away, u.Sqrt(u.Add(u.ReduceMean(_squared(u, away), list(axes), keepdims=1), u.attrs["eps"])))


def _scaled(u: Use, y: str, gamma: str | None, beta: str | None) -> str:
    y = u.Mul(y, gamma) if gamma else y
    return u.Add(y, beta) if beta else y


@writes("LayerNorm")
def _(u):
    axes = axes_in(u.attrs["axis"], u.type("x").rank)
    if u.gamma:
        return u.LayerNormalization(u.x, u.gamma, *([u.beta] if u.beta else []), axis=axes[0], epsilon=u.attrs["eps"])
    return _scaled(u, _standard(u, u.x, axes), None, u.beta)


@writes("RmsNorm")
def _(u):
    axes = list(axes_in(u.attrs["axis"], u.type("x").rank))
    size = u.Sqrt(u.Add(u.ReduceMean(_squared(u, u.x), axes, keepdims=1), u.attrs["eps"]))
    return _scaled(u, u.Div(u.x, size), u.gamma, None)


def _channels(u: Use, t: str | None, rank: int) -> str | None:
    """A value a channel, ready to meet (batch, channels, …)."""
    return t and (u.Unsqueeze(t, list(range(1, rank - 1))) if rank > 2 else t)


@writes("GroupNorm")
def _(u):
    rank = u.type("x").rank
    parts = u.Reshape(u.x, [0, u.attrs["groups"], -1])
    y = u.Reshape(_standard(u, parts, [2]), u.Shape(u.x), allowzero=1)
    return _scaled(u, y, _channels(u, u.gamma, rank), _channels(u, u.beta, rank))


@writes("BatchNorm")
def _(u):
    rank = u.type("x").rank
    axes = [0, *range(2, rank)]
    middle = u.ReduceMean(u.x, axes, keepdims=1)
    away = u.Sub(u.x, middle)
    variance = u.ReduceMean(_squared(u, away), axes, keepdims=1)
    y = u.Div(away, u.Sqrt(u.Add(variance, u.attrs["eps"])))
    return (_scaled(u, y, _channels(u, u.gamma, rank), _channels(u, u.beta, rank)), u.Squeeze(middle, axes), u.Squeeze(variance, axes))


# ---------------------------------------------------------------- linear algebra


def _diagonal(u: Use) -> str:
    """The values on a diagonal, along a last axis."""
    rank = u.type("x").rank
    a, b = axis_in(u.attrs["axis1"], rank), axis_in(u.attrs["axis2"], rank)
    rows, columns, offset = u.known("x", a), u.known("x", b), u.attrs["offset"]
    n = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    rest = [k for k in range(rank) if k not in (a, b)]
    moved = u.Transpose(u.x, perm=[*rest, a, b])
    flat = u.Reshape(moved, u.Concat(u.sizes(u.x, rest), [rows * columns], axis=0), allowzero=1) if rest else u.Reshape(moved, [rows * columns])
    return u.Gather(flat, [(k + max(-offset, 0)) * columns + k + max(offset, 0) for k in range(n)], axis=len(rest))


RULES |= {
    "Diagonal": lambda u: _diagonal(u),
    "Trace": lambda u: u.ReduceSum(_diagonal(u), [-1], keepdims=0),
}


@writes("Einsum")
def _(u):   # every ellipsis as wide as the widest: ONNX does not add axes there
    text = u.attrs["subscripts"].replace(" ", "")
    if "..." not in text:
        return None
    parts = text.partition("->")[0].split(",")
    wide = [t.rank - len(p.replace("...", "")) if "..." in p else None for t, p in zip(u.types, parts)]
    most = max(w for w in wide if w is not None)
    xs = [x if w in (None, most) else u.Unsqueeze(x, [p.index("...") + k for k in range(most - w)]) for x, w, p in zip(u.names, wide, parts)]
    return u.Einsum(*xs, equation=text)


@writes("DiagonalMatrix")
def _(u):
    k, rank = u.attrs["k"], u.type("v").rank
    row = u.Range(0, u.length(u.v, "v", -1), 1)
    on = u.Equal(u.Unsqueeze(row, [1]), row)
    y = u.Where(on, u.Unsqueeze(u.v, [-2]), np.zeros((), u.type("v").dtype))
    if not k:
        return y
    before, after = [max(-k, 0), max(k, 0)], [max(k, 0), max(-k, 0)]
    return u.Pad(y, [*[0] * (rank - 1), *before, *[0] * (rank - 1), *after], np.zeros((), u.type("v").dtype))


# ---------------------------------------------------------------- windows


def _each(values: tuple[int, ...], n: int) -> list[int]:
    return list(values * n if len(values) == 1 else values)


def _pads(u: Use, sizes: Sequence[Any], extents: Sequence[int], strides: Sequence[int]) -> dict[str, Any]:
    """The zeros around, as ONNX has them: all that stand before, then all that stand after."""
    padding = u.attrs["padding"]
    if padding == "same" and any(s > 1 and not isinstance(d, int) for d, s in zip(sizes, strides)):
        return {"auto_pad": "SAME_UPPER"}
    pairs = [zeros_around(d if isinstance(d, int) else 1, e, s, padding, k) for k, (d, e, s) in enumerate(zip(sizes, extents, strides))]
    return {"pads": [*(a for a, _ in pairs), *(b for _, b in pairs)]}


@writes("Conv1D", "Conv2D", "Conv3D")
def _(u):
    n = u.type("x").rank - 2
    strides, dilations = _each(u.attrs["stride"], n), _each(u.attrs["dilation"], n)
    kernel = u.type("w").shape[2:]
    if u.attrs["padding"] == "same":
        kernel = tuple(u.known("w", 2 + k) for k in range(n))
    spans = [d * (k - 1) + 1 if isinstance(k, int) else 1 for k, d in zip(kernel, dilations)]
    return u.Conv(u.x, u.w, strides=strides, dilations=dilations, group=u.attrs["groups"], **_pads(u, u.type("x").shape[2:], spans, strides))


@writes("ConvTranspose1D", "ConvTranspose2D", "ConvTranspose3D")
def _(u):
    n = u.type("x").rank - 2
    strides = _each(u.attrs["stride"], n)
    return u.ConvTranspose(u.x, u.w, strides=strides, dilations=_each(u.attrs["dilation"], n), group=u.attrs["groups"],
                           output_padding=_each(u.attrs["output_padding"], n), **_pads(u, u.type("x").shape[2:], [1] * n, [1] * n))


@writes("MaxPool1D", "MaxPool2D", "MaxPool3D", "AvgPool1D", "AvgPool2D", "AvgPool3D")
def _(u):
    n = u.type("x").rank - 2
    size = _each(u.attrs["size"], n)
    strides = size if u.attrs["stride"] is None else _each(u.attrs["stride"], n)
    zeros = _pads(u, u.type("x").shape[2:], size, strides)
    if u.node.op.name.startswith("Max"):
        return u.MaxPool(u.x, kernel_shape=size, strides=strides, **zeros)
    return u.AveragePool(u.x, kernel_shape=size, strides=strides, count_include_pad=int(u.attrs["count_padding"]), **zeros)


@writes("AdaptiveAvgPool1D", "AdaptiveAvgPool2D", "AdaptiveAvgPool3D", "AdaptiveMaxPool1D", "AdaptiveMaxPool2D", "AdaptiveMaxPool3D")
def _(u):
    n = u.type("x").rank - 2
    size, largest = _each(u.attrs["size"], n), "Max" in u.node.op.name
    if set(size) == {1}:
        return (u.GlobalMaxPool if largest else u.GlobalAveragePool)(u.x)
    sizes = [u.known("x", 2 + k) for k in range(n)]
    if all(d % count == 0 for d, count in zip(sizes, size)):
        window = [d // count for d, count in zip(sizes, size)]
        return (u.MaxPool if largest else u.AveragePool)(u.x, kernel_shape=window, strides=window)
    x = u.x
    for axis, (d, count) in enumerate(zip(sizes, size), 2):
        parts = [u.Slice(x, [a], [b], [axis]) for a, b in windows(d, count)]
        x = u.Concat(*((u.ReduceMax if largest else u.ReduceMean)(p, [axis], keepdims=1) for p in parts), axis=axis)
    return x


# ---------------------------------------------------------------- from nothing: fixed values, and random ones, which ONNX draws itself

RULES |= dict.fromkeys(("Arange", "Linspace", "Eye"), lambda u: u.Identity(u.node.op.kernel_function(np, **u.attrs)))
RULES |= {
    "RandomNormal": lambda u: u.RandomNormal(shape=list(u.attrs["shape"]), mean=u.attrs["mean"], scale=u.attrs["std"], dtype=u.block.model.number(u.attrs["dtype"])),
    "RandomUniform": lambda u: u.RandomUniform(shape=list(u.attrs["shape"]), low=u.attrs["low"], high=u.attrs["high"], dtype=u.block.model.number(u.attrs["dtype"])),
}


@writes("Dropout")
def _(u):
    rate = u.attrs["rate"]
    out, mask = u.Dropout(u.x, np.array(rate, "float32"), np.array(True), n=2)
    return out, u.Mul(u.cast(mask, u.dtype), 1 / (1 - rate))


# ---------------------------------------------------------------- recurrent layers

_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}     # ONNX's gates in terms of ours: i o f c, z r h
_LASTS = {"LSTM": 2, "GRU": 1, "RNN": 1}


def _by_gate(u: Use, port: str, units: int) -> Any:
    """A kernel (rows, gates · units) as ONNX has it: (1, gates · units, rows), gates in its order."""
    places = np.concatenate([np.arange(units) + g * units for g in _ORDER[u.node.op.name]])
    held = u.block.held(getattr(u, port))
    if held is not None:
        return np.ascontiguousarray(held[:, places].T[None])
    return u.Unsqueeze(u.Transpose(u.Gather(getattr(u, port), places, axis=1), perm=[1, 0]), [0])


def _biases(u: Use, units: int) -> Any:
    """The bias of the input and that of the state, one after the other: (1, 2 · gates · units)."""
    places = np.concatenate([np.arange(units) + g * units for g in _ORDER[u.node.op.name]])
    names = [u.bias, u.recurrent_bias if u.node.op.name == "GRU" else None]
    held = [np.zeros(len(places), u.dtype) if name is None else u.block.held(name) for name in names]
    if all(h is not None for h in held):
        return np.concatenate([h[places] for h in held])[None]
    parts = [np.zeros(len(places), u.dtype) if name is None else u.Gather(name, places) for name in names]
    return u.Unsqueeze(u.Concat(*parts, axis=0), [0])


@writes("LSTM", "GRU", "RNN")
def _(u):
    kind = u.node.op.name
    lasts = _LASTS[kind]
    units = u.type("recurrent_kernel").shape[0]
    if any(u.wanted[1 + lasts:]) or not isinstance(units, int):
        return _by_scan(u, kind)
    starts = [getattr(u, s) for s in ("h0", "c0")[:lasts]]
    if kind == "LSTM" and any(starts) and not all(starts):
        zero = u.ConstantOfShape(u.Shape(next(s for s in starts if s)), value=np.zeros(1, u.dtype))
        starts = [s or zero for s in starts]
    lengths = u.cast(u.lengths, "int32", u.type("lengths").dtype) if u.lengths else None
    given = [u.Transpose(u.x, perm=[1, 0, 2]), _by_gate(u, "kernel", units), _by_gate(u, "recurrent_kernel", units), _biases(u, units), lengths,
             *(s and u.Unsqueeze(s, [0]) for s in starts)]
    while given[-1] is None:
        given.pop()
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    outs = _several(u.emit(kind, *given, n=1 + lasts, hidden_size=units, **more))
    ends = [u.Squeeze(o, [0]) for o in outs[1:]]
    if kind == "RNN" and lengths and starts[0]:     # of a row without timesteps onnxruntime gives 0, where ONNX says nothing
        ends = [u.Where(u.Unsqueeze(u.Greater(u.cast(lengths, "int64"), 0), [1]), ends[0], starts[0])]
    return [u.Transpose(u.Squeeze(outs[0], [1]), perm=[1, 0, 2]), *ends]


def _by_scan(u: Use, kind: str) -> list[str]:
    """The layer as a loop over its cell, whose gates can be looked at."""
    with Graph(u.node.name) as g:
        inner = {p: placeholder(t.shape, t.dtype, name=p) for p, t in zip(u.node.ports, u.types)}
        rest = dict(inner)
        outs = scanned(kind, rest.pop("x"), rest.pop("lengths", None), name="layer", **rest)
    order = [outs[name] for name in u.node.output_names]
    return u.block.inlined(g, dict(zip(inner.values(), u.names)), order, u.node.name)


RULES |= dict.fromkeys(("LSTMOutputs", "GRUOutputs", "RNNOutputs"), lambda u: [u.Identity(x) for x in u.names])


# ---------------------------------------------------------------- loops and branches


@writes("Scan")
def _(u):
    body, n, states, outs = u.attrs["body"], len(u.attrs["axes"]), u.attrs["states"], len(u.attrs["out_axes"])
    each = [(k, t) for k, t in enumerate(seen(body, states, n), outs + states) if u.wanted[k]]
    inner = u.block.inner()
    firsts, parts, around = body.inputs[n:n + states], body.inputs[:n], body.inputs[n + states:]
    names = {t: inner.input(t) for t in (*firsts, *parts)} | dict(zip(around, u.names[n + states:]))
    ends = [*body.outputs, *(t for _, t in each)]
    graph = inner.graph("timestep", list(zip(inner.inlined(body, names, ends, u.node.inside), ends)))
    back = int(u.attrs["reverse"])
    values = _several(u.emit("Scan", *u.names[n:n + states], *u.names[:n], n=len(ends), body=graph, num_scan_inputs=n, scan_input_axes=list(u.attrs["axes"]),
                             scan_output_axes=[*u.attrs["out_axes"], *(0 for _ in each)], scan_input_directions=[back] * n,
                             scan_output_directions=[back] * (outs + len(each))))
    given: list[str | None] = [*values[states:states + outs], *values[:states], *[None] * (len(u.wanted) - outs - states)]
    for (k, _), name in zip(each, values[states + outs:]):
        given[k] = name
    return given


@writes("Cond")
def _(u):
    graphs = []
    for which in ("then", "otherwise"):
        body, inner = u.attrs[which], u.block.inner()
        names = inner.inlined(body, dict(zip(body.inputs, u.names[1:])), body.outputs, u.node.inside)
        graphs.append(inner.graph(which, list(zip(names, body.outputs))))
    return _several(u.If(u.names[0], n=len(u.node.outputs), then_branch=graphs[0], else_branch=graphs[1]))


@writes("While")
def _(u):
    condition, body, states = u.attrs["condition"], u.attrs["body"], u.attrs["states"]
    firsts, around = u.names[:states], u.names[states:]
    goes_on, = u.block.inlined(condition, dict(zip(condition.inputs, u.names)), condition.outputs, u.node.inside)
    inner = u.block.inner()
    inner.declare(f"{u.node.inside}/round", TensorType((), np.dtype("int64")))
    inner.declare(f"{u.node.inside}/goes_on", TensorType((), np.dtype("bool")))
    before = [inner.input(t) for t in body.inputs[:states]]
    after = inner.inlined(body, dict(zip(body.inputs, [*before, *around])), body.outputs, u.node.inside)
    again, = inner.inlined(condition, dict(zip(condition.inputs, [*after, *around])), condition.outputs, u.node.inside)
    asked = [k for k in range(states) if u.wanted[states + k]]
    ends = [(again, condition.outputs[0]), *zip(after, body.outputs), *((before[k], body.inputs[k]) for k in asked)]
    values = _several(u.Loop(None if u.attrs["maximum"] is None else u.attrs["maximum"], goes_on, *firsts, n=states + len(asked), body=inner.graph("round", ends)))
    given: list[str | None] = [*values[:states], *[None] * states]
    for k, name in zip(asked, values[states:]):
        given[states + k] = name
    return given
