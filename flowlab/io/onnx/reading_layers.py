"""ONNX's operators of networks: products, convolution, pooling, normalization, resizing, sampling, signals."""
from __future__ import annotations

import itertools
from math import ceil, prod
from typing import Any

import numpy as np

from ...core.graph import Tensor
from ...ops import array as arr, conv, layout, linalg, logic, math as m, norm, order, reduce as red
from ...ops.foreign import non_max_suppression
from .files import NotInFlowlab, dtype
from .reading import Use, reads
from .reading_numbers import _centred, along, number

CONV = {1: conv.conv1d, 2: conv.conv2d, 3: conv.conv3d}
BACK = {1: conv.conv_transpose1d, 2: conv.conv_transpose2d, 3: conv.conv_transpose3d}
LARGEST = {1: conv.max_pool1d, 2: conv.max_pool2d, 3: conv.max_pool3d}
AVERAGE = {1: conv.avg_pool1d, 2: conv.avg_pool2d, 3: conv.avg_pool3d}


# ---------------------------------------------------------------- products


@reads("Gemm")
def _(use: Use) -> Any:
    a, b = use[0], use[1]
    a = arr.transpose(a) if use.attr("transA", 0) else a
    b = arr.transpose(b) if use.attr("transB", 0) else b
    alpha, beta = use.attr("alpha", 1.0), use.attr("beta", 1.0)
    y = linalg.matmul(a, b)
    y = y if alpha == 1 else m.multiply(y, number(y, alpha))
    if not use.has(2):
        return y
    c = use[2]
    return m.add(y, c if beta == 1 else m.multiply(c, number(c, beta)))


@reads("MatMul")
def _(use: Use) -> Any:
    return use.only(linalg.matmul, use[0], use[1])


@reads("Einsum")
def _(use: Use) -> Any:
    text, xs = use.attr("equation").replace(" ", ""), use.tensors
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    for k, part in enumerate(parts):    # a letter that comes twice is a diagonal
        while twice := next((c for c in part if c.isalpha() and part.count(c) > 1), None):
            if "..." in part:   # the axes that it stands for come first, then those that are named
                i, j = (at - len(part) if part.startswith("...") else xs[k].rank + 1 for at in (part.index(twice), part.rindex(twice)))
                if i > 0 or part.count(twice) > 2:
                    raise NotInFlowlab("an equation with ... behind a repeated letter")
                xs[k] = linalg.diagonal(xs[k], axis1=i + xs[k].rank, axis2=j + xs[k].rank)
                part = part.replace(twice, "") + twice
                continue
            i = part.index(twice)
            j = part.index(twice, i + 1)
            xs[k] = linalg.diagonal(xs[k], axis1=i, axis2=j)
            part = part[:i] + part[i + 1:j] + part[j + 1:] + twice
            if not arrow:
                raise NotInFlowlab("an equation with a repeated letter and no result")
        parts[k] = part
    return use.only(linalg.einsum_op, xs, subscripts=",".join(parts) + (f"->{right}" if arrow else ""))


# ---------------------------------------------------------------- windows


def _each(use: Use, name: str, n: int, default: int) -> tuple[int, ...]:
    return tuple(use.attr(name) or (default,) * n)


def pads_of(use: Use, sizes: tuple[Any, ...], window: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """What stands around each axis, by `pads` or `auto_pad`."""
    n, auto = len(window), use.attr("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID", ""):
        p = use.attr("pads") or [0] * 2 * n if auto != "VALID" else [0] * 2 * n
        return tuple((p[k], p[k + n]) for k in range(n))
    out = []
    for size, k, s, d in zip(sizes, window, stride, dilation):
        if not isinstance(size, int):
            if s != 1:
                raise NotInFlowlab(f"{use.op}: auto_pad needs the sizes of the image in numbers")
            size = 1
            total = d * (k - 1)
        else:
            total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        out.append((total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2))
    return tuple(out)


def cut(x: Tensor, pads: tuple[tuple[int, int], ...]) -> tuple[Tensor, tuple[tuple[int, int], ...]]:
    """x with what a padding below 0 takes away taken away."""
    if all(a >= 0 and b >= 0 for a, b in pads):
        return x, pads
    index = tuple(slice(max(-a, 0), None if b >= 0 else b) for a, b in pads)
    return x[(slice(None), slice(None), *index)], tuple((max(a, 0), max(b, 0)) for a, b in pads)


def _bias(use: Use, y: Tensor, k: int) -> Tensor:
    if not use.has(k):
        return y
    b = use[k]
    return m.add(y, arr.reshape(b, (b.shape[0] if isinstance(b.shape[0], int) else -1, *(1,) * (y.rank - 2))))


def convolved(use: Use, x: Tensor, w: Tensor) -> Tensor:
    n = x.rank - 2
    if n not in CONV:
        raise NotInFlowlab(f"flowlab convolves along one to three axes, not {n}")
    window = tuple(w.shape[2:])
    if not all(isinstance(d, int) for d in window):
        raise NotInFlowlab("a kernel whose size shows only in a run")
    stride, dilation = _each(use, "strides", n, 1), _each(use, "dilations", n, 1)
    x, pads = cut(x, pads_of(use, x.shape[2:], window, stride, dilation))
    return CONV[n](x, w, stride=stride, padding=pads, dilation=dilation, groups=use.attr("group", 1))


@reads("Conv")
def _(use: Use) -> Any:
    return _bias(use, convolved(use, use[0], use[1]), 2)


@reads("ConvInteger")
def _(use: Use) -> Any:
    x, w = _centred(use[0], use[2] if use.has(2) else None), _centred(use[1], use[3] if use.has(3) else None, 0)
    return arr.cast(convolved(use, arr.cast(x, "float64"), arr.cast(w, "float64")), "int32")     # exact: 53 bits hold the sums


@reads("QLinearConv")
def _(use: Use) -> Any:
    x, sx, zx, w, sw, zw, sy, zy = (use[k] for k in range(8))
    y = convolved(use, arr.cast(_centred(x, zx), "float64"), arr.cast(_centred(w, zw, 0), "float64"))
    if use.has(8):
        b = arr.cast(use[8], "float64")
        y = m.add(y, arr.reshape(b, (-1, *(1,) * (y.rank - 2))))
    rate = m.divide(m.multiply(arr.cast(sx, "float64"), arr.cast(sw, "float64")), arr.cast(sy, "float64"))
    y = m.add(m.round_(m.multiply(y, along(rate, y.rank, 1) if rate.rank else rate)), arr.cast(zy, "float64"))
    info = np.iinfo(zy.dtype)
    return arr.cast(m.clip(y, min=float(info.min), max=float(info.max)), zy.dtype.name)


@reads("ConvTranspose")
def _(use: Use) -> Any:
    x, w = use[0], use[1]
    n = x.rank - 2
    if n not in BACK:
        raise NotInFlowlab(f"flowlab convolves along one to three axes, not {n}")
    window = tuple(w.shape[2:])
    stride, dilation, extra = _each(use, "strides", n, 1), _each(use, "dilations", n, 1), list(_each(use, "output_padding", n, 0))
    auto, wanted = use.attr("auto_pad", "NOTSET"), use.attr("output_shape")
    p = use.attr("pads") or [0] * 2 * n
    pads = [(p[k], p[k + n]) for k in range(n)] if auto in ("NOTSET", "") else [(0, 0)] * n
    if wanted or auto.startswith("SAME"):
        sizes = use.sizes(0)[2:]
        wanted = list(wanted or [s * k for s, k in zip(sizes, stride)])[-n:]
        for k in range(n):
            total = stride[k] * (sizes[k] - 1) + extra[k] + (window[k] - 1) * dilation[k] + 1 - wanted[k]
            if total < 0:   # more than there is: it stands at the end
                extra[k], total = extra[k] - total, 0
            pads[k] = (total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2)
    y = BACK[n](x, w, stride=stride, padding=0, dilation=dilation, groups=use.attr("group", 1))
    if any(extra):
        y = layout.pad(y, pad_width=((0, 0), (0, 0), *((0, e) for e in extra)))
    if any(a or b for a, b in pads):
        y = y[(slice(None), slice(None), *(slice(a, -b if b else None) for a, b in pads))]
    return _bias(use, y, 2)


def _out_size(size: int, window: int, stride: int, pads: tuple[int, int], upward: bool) -> int:
    """How many windows: with ceil_mode, a last one may hang over the end, but not begin in the padding there."""
    span = size + sum(pads) - window
    count = (ceil(span / stride) if upward else span // stride) + 1
    return count - 1 if upward and (count - 1) * stride >= size + pads[0] else count


def windows(use: Use, x: Tensor, fill: float) -> tuple[Tensor, np.ndarray, tuple[int, ...]]:
    """(x (batch, channels, …places, taps), where each tap stands in x's image written out in one row, −1 outside, the sizes of the places)."""
    sizes = use.sizes(0)[2:]
    n = len(sizes)
    window, stride, dilation = tuple(use.attr("kernel_shape")), _each(use, "strides", n, 1), _each(use, "dilations", n, 1)
    pads = pads_of(use, sizes, window, stride, dilation)
    spans = [d * (k - 1) + 1 for k, d in zip(window, dilation)]
    upward = bool(use.attr("ceil_mode", 0))
    outs = tuple(_out_size(s, k, t, p, upward) for s, k, t, p in zip(sizes, spans, stride, pads))
    at = []
    for count, k, s, d, (before, _) in zip(outs, window, stride, dilation, pads):
        at.append(np.arange(count)[:, None] * s - before + np.arange(k) * d)
    places = np.zeros((*outs, *window), "int64")
    inside = np.ones((*outs, *window), bool)
    for axis, (a, size) in enumerate(zip(at, sizes)):
        shape = [1] * 2 * n
        shape[axis], shape[n + axis] = a.shape
        a = a.reshape(shape)
        inside &= (a >= 0) & (a < size)
        places = places * size + np.clip(a, 0, size - 1)
    flat = np.where(inside, places, -1).reshape(*outs, prod(window))
    rows = arr.reshape(x, (*x.shape[:2], prod(sizes)))
    got = arr.gather(rows, np.maximum(flat, 0), axis=2)
    if not inside.all():
        got = arr.where(flat >= 0, got, number(x, fill))
    return got, flat, outs


def _plainly(use: Use, x: Tensor) -> tuple[tuple, tuple, tuple] | None:
    """(window, stride, padding) where flowlab's own pooling does just that."""
    n = x.rank - 2
    window, stride, dilation = tuple(use.attr("kernel_shape")), _each(use, "strides", n, 1), _each(use, "dilations", n, 1)
    pads = pads_of(use, x.shape[2:], window, stride, dilation)
    if n not in LARGEST or set(dilation) != {1} or any(a < 0 or b < 0 or max(a, b) >= k for (a, b), k in zip(pads, window)):
        return None
    if use.attr("ceil_mode", 0):
        sizes = use.sizes(0)[2:]
        if any(_out_size(s, k, t, p, True) != _out_size(s, k, t, p, False) for s, k, t, p in zip(sizes, window, stride, pads)):
            return None
    return window, stride, pads


@reads("MaxPool")
def _(use: Use) -> Any:
    x = use[0]
    plain = _plainly(use, x)
    if plain is not None and not use.wanted(1) and x.dtype.kind == "f":
        return use.only(LARGEST[x.rank - 2], x, size=plain[0], stride=plain[1], padding=plain[2])
    low = float(np.iinfo(x.dtype).min) if x.dtype.kind in "iu" else -np.inf
    got, flat, _ = windows(use, x, low)
    y = red.max_(got, axis=-1)
    if not use.wanted(1):
        return y
    n, c, *sizes = use.sizes(0)
    best = red.argmax(got, axis=-1)     # (n, c, …places): which tap
    places = arr.broadcast_to(np.maximum(flat, 0), shape=(n, c, *flat.shape))
    at = arr.squeeze(order.take_along_axis(places, arr.expand_dims(best, axis=-1), axis=-1), axis=-1)
    if use.attr("storage_order", 0) and len(sizes) > 1:     # columns first
        at = _columns_first(at, tuple(sizes))
    offset = np.arange(n * c, dtype="int64").reshape(n, c, *(1,) * len(sizes)) * prod(sizes)
    return [y, m.add(at, offset)]


def _columns_first(at: Tensor, sizes: tuple[int, ...]) -> Tensor:
    table = np.arange(prod(sizes), dtype="int64").reshape(sizes[::-1]).transpose().reshape(-1)
    return arr.gather(np.ascontiguousarray(table), at, axis=0)


@reads("AveragePool")
def _(use: Use) -> Any:
    x, counted = use[0], bool(use.attr("count_include_pad", 0))
    plain = _plainly(use, x)
    if plain is not None:
        return use.only(AVERAGE[x.rank - 2], x, size=plain[0], stride=plain[1], padding=plain[2], count_padding=counted)
    got, flat, outs = windows(use, x, 0.0)
    share = (flat >= 0).sum(axis=-1)
    if counted:     # the padding that is asked for counts, what hangs over the end does not
        n = len(outs)
        sizes = use.sizes(0)[2:]
        window, stride, dilation = tuple(use.attr("kernel_shape")), _each(use, "strides", n, 1), _each(use, "dilations", n, 1)
        pads = pads_of(use, sizes, window, stride, dilation)
        use.spent.hold(8 * prod(outs))
        share = np.ones(outs, "int64")
        for axis in range(n):
            at = np.arange(outs[axis])[:, None] * stride[axis] + np.arange(window[axis]) * dilation[axis]
            inside = (at < sizes[axis] + sum(pads[axis])).sum(axis=1)
            share = share * inside.reshape([-1 if k == axis else 1 for k in range(n)])
    return m.divide(red.sum_(got, axis=-1), share.astype(x.dtype))


@reads("LpPool")
def _(use: Use) -> Any:
    x, p = use[0], use.attr("p", 2)
    got, _, _ = windows(use, x, 0.0)
    return m.power(red.sum_(m.power(m.abs_(got), number(x, p)), axis=-1), number(x, 1 / p))


@reads("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def _(use: Use) -> Any:
    x = use[0]
    axes = tuple(range(2, x.rank))
    if use.op == "GlobalLpPool":
        p = use.attr("p", 2)
        return m.power(red.sum_(m.power(m.abs_(x), number(x, p)), axis=axes, keepdims=True), number(x, 1 / p))
    return use.only(red.mean if use.op == "GlobalAveragePool" else red.max_, x, axis=axes, keepdims=True)


@reads("MaxUnpool")
def _(use: Use) -> Any:
    x, at = use[0], use[1]
    n, c, *sizes = use.sizes(0)
    dims = len(sizes)
    window, stride = tuple(use.attr("kernel_shape")), _each(use, "strides", dims, 1)
    pads = pads_of(use, tuple(sizes), window, stride, (1,) * dims)
    inferred = (n, c, *((s - 1) * t + k - sum(p) for s, t, k, p in zip(sizes, stride, window, pads)))
    shape = tuple(use.ints(2)) if use.has(2) else inferred
    if shape != inferred:   # indices are in the smaller image
        flat = np.arange(prod(inferred), dtype="int64").reshape(inferred)
        table = np.ravel_multi_index(np.unravel_index(flat.reshape(-1), inferred), shape)
        at = arr.gather(table, at, axis=0)
    empty = np.zeros(prod(shape), x.dtype)
    return arr.reshape(order.scatter_reduce(empty, arr.reshape(at, (-1,)), arr.reshape(x, (-1,)), axis=0, reduction="none"), shape)


@reads("Col2Im")
def _(use: Use) -> Any:
    x, image, block = use[0], tuple(use.ints(1)), tuple(use.ints(2))
    n = len(image)
    dilation, stride = _each(use, "dilations", n, 1), _each(use, "strides", n, 1)
    p = use.attr("pads") or [0] * 2 * n
    batch, rows, places = use.sizes(0)
    channels = rows // prod(block)
    padded = tuple(s + p[k] + p[k + n] for k, s in enumerate(image))
    counts = tuple((s - d * (b - 1) - 1) // t + 1 for s, d, b, t in zip(padded, dilation, block, stride))
    use.spent.hold(8 * (prod(block) * prod(counts) + batch * channels * prod(padded)))
    at = np.zeros((*block, *counts), "int64")
    for k in range(n):
        a = np.arange(block[k])[:, None] * dilation[k] + np.arange(counts[k]) * stride[k]
        shape = [1] * 2 * n
        shape[k], shape[n + k] = a.shape
        at = at * padded[k] + a.reshape(shape)
    values = arr.reshape(x, (batch, channels, prod(block) * places))
    y = order.scatter_add(np.zeros((batch, channels, prod(padded)), x.dtype), at.reshape(-1), values, axis=2)
    y = arr.reshape(y, (batch, channels, *padded))
    return y[(slice(None), slice(None), *(slice(p[k], p[k] + image[k]) for k in range(n)))]


# ---------------------------------------------------------------- normalization


def per_channel(t: Tensor, rank: int) -> Tensor:
    return arr.reshape(t, (t.shape[0] if isinstance(t.shape[0], int) else -1, *(1,) * (rank - 2)))


@reads("BatchNormalization")
def _(use: Use) -> Any:
    x, eps = use[0], use.attr("epsilon", 1e-5)
    training = use.attr("training_mode", 0) if use.version >= 14 else use.version < 7 and not use.attr("is_test", 0) and use.wanted(1)
    scale, bias = use[1], use[2]
    mean, variance = use.tensor(3, trainable=False), use.tensor(4, trainable=False)
    if not use.attr("spatial", 1):
        raise NotInFlowlab("BatchNormalization over each place of its own (spatial = 0)")
    more = []
    if training:
        axes = tuple(k for k in range(x.rank) if k != 1)
        keep = use.attr("momentum", 0.9)
        now = red.mean(x, axis=axes), red.var(x, axis=axes)
        more = [m.add(m.multiply(a, number(a, keep)), m.multiply(b, number(b, 1 - keep))) for a, b in zip((mean, variance), now)]
        mean, variance = now
    wide = [per_channel(t if t.dtype == x.dtype else arr.cast(t, x.dtype.name), x.rank) if x.rank > 1 else t for t in (scale, bias, mean, variance)]
    y = m.add(m.multiply(m.subtract(x, wide[2]), m.multiply(wide[0], m.rsqrt(m.add(wide[3], number(x, eps))))), wide[1])
    return [y, *more] if more else y


@reads("InstanceNormalization")
def _(use: Use) -> Any:
    x, eps = use[0], use.attr("epsilon", 1e-5)
    channels = x.shape[1]
    if isinstance(channels, int):
        return use.only(norm.group_norm, x, use[1], use[2], groups=channels, eps=eps)
    raise NotInFlowlab("InstanceNormalization of an unknown number of channels")


@reads("GroupNormalization")
def _(use: Use) -> Any:
    x, groups, eps = use[0], use.attr("num_groups"), use.attr("epsilon", 1e-5)
    scale, bias = use[1], use[2]
    if use.version < 21:    # one a group
        each = use.sizes(0)[1] // groups
        scale, bias = (layout.repeat(t, repeats=each, axis=0) for t in (scale, bias))
    return norm.group_norm(x, scale, bias, groups=groups, eps=eps)


@reads("LayerNormalization")
def _(use: Use) -> Any:
    x, eps = use[0], use.attr("epsilon", 1e-5)
    axis = use.attr("axis", -1) % x.rank
    axes = tuple(range(axis, x.rank))
    scale, bias = use[1], use[2] if use.has(2) else None
    if not use.wanted(1) and not use.wanted(2) and scale.shape == x.shape[axis:] and (bias is None or bias.shape == x.shape[axis:]) and None not in scale.shape:
        return use.only(norm.layer_norm, x, scale, bias, axis=axes, eps=eps)
    mean = red.mean(x, axis=axes, keepdims=True)
    centred = m.subtract(x, mean)
    rate = m.rsqrt(m.add(red.mean(m.square(centred), axis=axes, keepdims=True), number(x, eps)))
    y = m.multiply(m.multiply(centred, rate), scale)
    return [y if bias is None else m.add(y, bias), mean, rate]


@reads("LRN")
def _(use: Use) -> Any:
    x, size = use[0], use.attr("size")
    alpha, beta, bias = use.attr("alpha", 1e-4), use.attr("beta", 0.75), use.attr("bias", 1.0)
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    use.spent.room(2 * size)
    squares = layout.pad(m.square(x), pad_width=((0, 0), (before, after), *((0, 0),) * (x.rank - 2)))
    channels = use.sizes(0)[1]
    total = squares[:, 0:channels]
    for k in range(1, size):
        total = m.add(total, squares[:, k:k + channels])
    return m.divide(x, m.power(m.add(m.multiply(total, number(x, alpha / size)), number(x, bias)), number(x, beta)))


# ---------------------------------------------------------------- resizing: a matrix an axis


def _where_from(n_in: int, n_out: int, scale: float, how: str, roi: tuple[float, float], whole: float) -> np.ndarray:
    x = np.arange(n_out, dtype="float64")
    match how:
        case "asymmetric":
            return x / scale
        case "half_pixel":
            return (x + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (x + 0.5) / scale - 0.5 if n_out > 1 else np.zeros(n_out)
        case "tf_half_pixel_for_nn":
            return (x + 0.5) / scale
        case "align_corners":
            return x * (n_in - 1) / (whole - 1) if whole > 1 else np.zeros(n_out)
        case "half_pixel_symmetric":
            shift = n_in / 2 * (1 - n_out / whole) if whole else 0.0
            return shift + (x + 0.5) / scale - 0.5
        case "tf_crop_and_resize":
            a, b = roi
            return a * (n_in - 1) + x * (b - a) * (n_in - 1) / (whole - 1) if whole > 1 else np.full(n_out, 0.5 * (a + b) * (n_in - 1))
    raise NotInFlowlab(f"Resize: the coordinates {how!r}")


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    t = np.abs(t)
    return np.where(t <= 1, ((a + 2) * t - (a + 3)) * t * t + 1, np.where(t < 2, (((t - 5) * t + 8) * t - 4) * a, 0.0))


def resize_matrix(n_in: int, n_out: int, scale: float, use: Use, roi: tuple[float, float]) -> np.ndarray:
    """(out, in): how much each value of the one row counts for each of the other."""
    mode, how = use.attr("mode", "nearest"), use.attr("coordinate_transformation_mode", "half_pixel")
    at = _where_from(n_in, n_out, scale, how, roi, n_in * scale)
    out = np.zeros((n_out, n_in))
    rows = np.arange(n_out)
    if mode == "nearest":
        to = use.attr("nearest_mode", "round_prefer_floor")
        near = {"round_prefer_floor": np.ceil(at - 0.5), "round_prefer_ceil": np.floor(at + 0.5), "floor": np.floor(at), "ceil": np.ceil(at)}[to]
        out[rows, np.clip(near, 0, n_in - 1).astype(int)] = 1
    else:
        wide = 1 if mode == "linear" else 2
        stretch = min(scale, 1.0) if use.attr("antialias", 0) else 1.0
        reach = ceil(wide / stretch)
        first = np.floor(at).astype(int)
        a, outside = use.attr("cubic_coeff_a", -0.75), bool(use.attr("exclude_outside", 0))
        for k in range(-reach + 1, reach + 1):
            place = first + k
            t = (place - at) * stretch
            w = np.maximum(1 - np.abs(t), 0) if mode == "linear" else _cubic(t, a)
            inside = (place >= 0) & (place < n_in)
            if outside:
                w = np.where(inside, w, 0)
            np.add.at(out, (rows, np.clip(place, 0, n_in - 1)), w)
        if outside or stretch != 1:
            out /= out.sum(axis=1, keepdims=True)
    if how == "tf_crop_and_resize":
        out[(at < 0) | (at > n_in - 1)] = np.nan      # marked: the extrapolation value stands there
    return out


@reads("Resize")
def _(use: Use) -> Any:
    x = use[0]
    sizes = use.sizes(0)
    k = 1 if use.version < 11 else 2
    scales = use.array_if(k)
    axes = [a % x.rank for a in use.attr("axes", list(range(x.rank)))]
    wanted = use.ints(3) if use.has(3) else None
    roi = use.array_if(1) if use.version >= 11 else None
    roi = np.asarray(roi if roi is not None and roi.size else [0.0] * len(axes) + [1.0] * len(axes), "float64")
    if wanted is not None:
        rate = [w / sizes[a] for w, a in zip(wanted, axes)]
        policy = use.attr("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = (min if policy == "not_larger" else max)(rate)
            rate, wanted = [one] * len(axes), [int(np.floor(one * sizes[a] + 0.5)) for a in axes]
    else:
        rate = [float(s) for s in np.reshape(scales, -1)]
        wanted = [int(np.floor(sizes[a] * s)) for a, s in zip(axes, rate)]
    return resized(use, x, axes, rate, wanted, roi)


@reads("Upsample")
def _(use: Use) -> Any:
    x = use[0]
    rate = [float(s) for s in (use.array(1).reshape(-1) if use.has(1) else use.attr("scales") or [1, 1, use.attr("height_scale", 1.0), use.attr("width_scale", 1.0)])]
    sizes = use.sizes(0)
    return resized(use, x, list(range(x.rank)), rate, [int(np.floor(a * b)) for a, b in zip(sizes, rate)], np.array([0.0] * x.rank + [1.0] * x.rank), old=True)


class _Old:
    """Before version 11: places counted without halves, the nearest below."""

    def __init__(self, use: Use):
        self.use = use

    def attr(self, name: str, default: Any = None) -> Any:
        return {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}.get(name, self.use.attr(name, default))


def resized(use: Use, x: Tensor, axes: list[int], rate: list[float], wanted: list[int], roi: np.ndarray, old: bool = False) -> Any:
    sizes, how = list(use.sizes(0)), use.attr("coordinate_transformation_mode", "half_pixel")
    said: Any = _Old(use) if old or use.version < 11 else use
    mode, kind = said.attr("mode", "nearest"), x.dtype
    y = x if kind.kind == "f" else arr.cast(x, "float32") if mode != "nearest" else x
    beyond = np.zeros((1,) * x.rank, bool)
    for j, axis in enumerate(axes):
        if wanted[j] == sizes[axis] and rate[j] == 1 and how != "tf_crop_and_resize":
            continue
        use.spent.hold(8 * sizes[axis] * wanted[j])
        matrix = resize_matrix(sizes[axis], wanted[j], rate[j], said, (float(roi[j]), float(roi[j + len(axes)])))
        wrong = np.isnan(matrix).any(axis=1)
        if wrong.any():
            matrix[wrong] = 0
            beyond = beyond | wrong.reshape([-1 if k == axis else 1 for k in range(x.rank)])
        if mode == "nearest":
            y = arr.gather(y, matrix.argmax(axis=1), axis=axis)
        else:
            y = _along(y, matrix.astype(y.dtype), axis)
    if beyond.any():
        y = arr.where(beyond, number(y, use.attr("extrapolation_value", 0.0)), y)
    return y if y.dtype == kind else arr.cast(m.round_(y), kind.name)


def _along(x: Tensor, matrix: np.ndarray, axis: int) -> Tensor:
    """The matrix (out, in) applied along one axis."""
    if axis == x.rank - 1:
        return linalg.matmul(x, np.ascontiguousarray(matrix.T))
    if axis == x.rank - 2:
        return linalg.matmul(np.ascontiguousarray(matrix), x)
    last = layout.moveaxis(x, axis, -1)
    return layout.moveaxis(linalg.matmul(last, np.ascontiguousarray(matrix.T)), -1, axis)


# ---------------------------------------------------------------- sampling at places that are computed


def _unnormalized(p: Tensor, size: int, corners: bool) -> Tensor:
    half = number(p, 0.5)
    return m.multiply(m.add(p, number(p, 1)), number(p, (size - 1) / 2)) if corners else m.subtract(m.multiply(m.add(p, number(p, 1)), number(p, size / 2)), half)


def _mirrored(p: Tensor, low: float, high: float) -> Tensor:
    """Places beyond the border, reflected at it as often as it takes."""
    span = high - low
    if span <= 0:
        return m.multiply(p, number(p, 0))
    q = m.mod(m.subtract(p, number(p, low)), number(p, 2 * span))
    return m.add(m.minimum(q, m.subtract(number(p, 2 * span), q)), number(p, low))


def picked(rows: Tensor, places: list[Tensor], sizes: tuple[int, ...], padding: str, corners: bool) -> Tensor:
    """rows (batch, channels, image in one row) at whole places, each (batch, points): (batch, channels, points)."""
    flat: Any = None
    inside: Any = None
    for p, size in zip(places, sizes):
        if padding == "reflection":
            p = m.round_(_mirrored(p, 0.0 if corners else -0.5, size - 1.0 if corners else size - 0.5))
        elif padding == "zeros":
            here = logic.logical_and(m.greater_equal(p, number(p, 0)), m.less_equal(p, number(p, size - 1)))
            inside = here if inside is None else logic.logical_and(inside, here)
        k = arr.cast(m.clip(p, min=0.0, max=float(size - 1)), "int64")
        flat = k if flat is None else m.add(m.multiply(flat, size), k)
    wide = arr.broadcast_to(arr.expand_dims(flat, axis=1), shape=(flat.shape[0], rows.shape[1], flat.shape[1]))
    got = order.take_along_axis(rows, wide, axis=2)
    return got if inside is None else arr.where(arr.expand_dims(inside, axis=1), got, number(rows, 0))


@reads("GridSample")
def _(use: Use) -> Any:
    x, grid = use[0], use[1]
    n, c, *image = use.sizes(0)
    dims, points = len(image), use.sizes(1)[1:-1]
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(use.attr("mode", "linear"), use.attr("mode", "linear"))
    padding, corners = use.attr("padding_mode", "zeros"), bool(use.attr("align_corners", 0))
    rows = arr.reshape(x, (n, c, prod(image)))
    flat = arr.reshape(grid, (n, prod(points), dims))
    at = [_unnormalized(flat[:, :, dims - 1 - k], image[k], corners) for k in range(dims)]
    if padding == "border" and mode != "cubic":
        at = [m.clip(p, min=0.0, max=float(s - 1)) for p, s in zip(at, image)]
    elif padding == "reflection" and mode != "cubic":
        at = [_mirrored(p, 0.0 if corners else -0.5, s - 1.0 if corners else s - 0.5) for p, s in zip(at, image)]
        at = [m.clip(p, min=0.0, max=float(s - 1)) for p, s in zip(at, image)]
    y = sampled(rows, at, tuple(image), mode, padding, corners)
    return arr.reshape(y, (n, c, *points))


def sampled(rows: Tensor, at: list[Tensor], image: tuple[int, ...], mode: str, padding: str, corners: bool) -> Tensor:
    if mode == "nearest":
        return picked(rows, [m.round_(p) for p in at], image, padding, corners)
    first = [m.floor(p) for p in at]
    rest = [m.subtract(p, f) for p, f in zip(at, first)]
    taps = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
    total: Any = None
    for taken in itertools.product(taps, repeat=len(image)):
        weight: Any = None
        for k, t in zip(taken, rest):
            w = _tap(mode, k, t)
            weight = w if weight is None else m.multiply(weight, w)
        part = m.multiply(picked(rows, [m.add(f, number(f, k)) for f, k in zip(first, taken)], image, padding, corners), arr.expand_dims(weight, axis=1))
        total = part if total is None else m.add(total, part)
    return total


def _tap(mode: str, k: int, t: Tensor) -> Tensor:
    """How much the value k places on counts, at a distance t from the one before."""
    if mode == "linear":
        return t if k else m.subtract(number(t, 1), t)
    a = -0.75
    d = {-1: m.add(t, number(t, 1)), 0: t, 1: m.subtract(number(t, 1), t), 2: m.subtract(number(t, 2), t)}[k]

    def poly(*c: float) -> Tensor:
        out = m.multiply(d, number(t, c[0]))
        for v in c[1:-1]:
            out = m.multiply(m.add(out, number(t, v)), d)
        return m.add(out, number(t, c[-1]))
    return poly(a, -5 * a, 8 * a, -4 * a) if k in (-1, 2) else poly(a + 2, -(a + 3), 0.0, 1.0)


@reads("RoiAlign")
def _(use: Use) -> Any:
    x, rois, batch = use[0], use[1], use[2]
    n, c, h, w = use.sizes(0)
    count = use.sizes(1)[0]
    oh, ow = use.attr("output_height", 1), use.attr("output_width", 1)
    scale, ratio = use.attr("spatial_scale", 1.0), use.attr("sampling_ratio", 0)
    half = use.version >= 16 and use.attr("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    if not ratio:
        raise NotInFlowlab("RoiAlign with as many samples as each region asks for (sampling_ratio = 0)")
    shift = 0.5 if half else 0.0
    x1, y1, x2, y2 = (m.subtract(m.multiply(rois[:, k], number(rois, scale)), number(rois, shift)) for k in range(4))
    wide, high = m.subtract(x2, x1), m.subtract(y2, y1)
    if not half:
        wide, high = m.maximum(wide, number(wide, 1)), m.maximum(high, number(high, 1))
    rows = arr.gather(arr.reshape(x, (n, c, h * w)), batch, axis=0)

    def axis(start: Tensor, span: Tensor, bins: int) -> Tensor:     # (count, bins · ratio)
        steps = (np.arange(bins * ratio) + 0.5) / (bins * ratio)
        return m.add(arr.expand_dims(start, axis=1), m.multiply(arr.expand_dims(span, axis=1), steps.astype(rois.dtype)))
    ys, xs = axis(y1, high, oh), axis(x1, wide, ow)
    a, b = oh * ratio, ow * ratio
    py = arr.reshape(arr.broadcast_to(arr.expand_dims(ys, axis=2), shape=(count, a, b)), (count, a * b))
    px = arr.reshape(arr.broadcast_to(arr.expand_dims(xs, axis=1), shape=(count, a, b)), (count, a * b))
    seen = logic.logical_and(logic.logical_and(m.greater_equal(py, number(py, -1)), m.less_equal(py, number(py, h))),
                             logic.logical_and(m.greater_equal(px, number(px, -1)), m.less_equal(px, number(px, w))))
    at = [m.clip(py, min=0.0, max=float(h - 1)), m.clip(px, min=0.0, max=float(w - 1))]
    if use.attr("mode", "avg") == "avg":
        got = arr.where(arr.expand_dims(seen, axis=1), sampled(rows, at, (h, w), "linear", "border", True), number(x, 0))
        parts = arr.reshape(got, (count, c, oh, ratio, ow, ratio))
        return red.mean(parts, axis=(3, 5))
    first = [m.floor(p) for p in at]
    rest = [m.subtract(p, f) for p, f in zip(at, first)]
    best: Any = None    # the largest of the four weighted neighbours, as the specification has it
    for taken in itertools.product((0, 1), repeat=2):
        weight = m.multiply(_tap("linear", taken[0], rest[0]), _tap("linear", taken[1], rest[1]))
        part = m.multiply(picked(rows, [m.add(f, number(f, k)) for f, k in zip(first, taken)], (h, w), "border", True), arr.expand_dims(weight, axis=1))
        best = part if best is None else m.maximum(best, part)
    best = arr.where(arr.expand_dims(seen, axis=1), best, number(x, 0))
    return red.max_(arr.reshape(best, (count, c, oh, ratio, ow, ratio)), axis=(3, 5))


@reads("DeformConv")
def _(use: Use) -> Any:
    x, w, offset = use[0], use[1], use[2]
    n, c, *image = use.sizes(0)
    if len(image) != 2:
        raise NotInFlowlab("DeformConv along other than two axes")
    filters, inside, *window = use.sizes(1)
    out, groups, parts, taps = use.sizes(2)[2:], use.attr("group", 1), use.attr("offset_group", 1), prod(window)
    stride, dilation, pads = _each(use, "strides", 2, 1), _each(use, "dilations", 2, 1), use.attr("pads") or [0] * 4
    moved = arr.reshape(offset, (n, parts, taps, 2, *out))
    mask = arr.reshape(use[4], (n, parts, taps, *out)) if use.has(4) else None
    seen = []
    use.spent.room(parts)
    for part in range(parts):
        at = []
        for axis in range(2):
            grid = [(np.arange(window[k])[:, None] * dilation[k] + np.arange(out[k]) * stride[k] - pads[k]) for k in range(2)]     # (window, out)
            whole = np.broadcast_to(grid[0][:, None, :, None] if axis == 0 else grid[1][None, :, None, :], (*window, *out)).reshape(1, taps, *out)
            at.append(arr.reshape(m.add(moved[:, part, :, axis], whole.astype(x.dtype)), (n, taps * prod(out))))
        mine = arr.reshape(x[:, part * (c // parts):(part + 1) * (c // parts)], (n, c // parts, prod(image)))
        got = arr.reshape(sampled(mine, at, tuple(image), "linear", "zeros", True), (n, c // parts, taps, *out))
        seen.append(got if mask is None else m.multiply(got, arr.expand_dims(mask[:, part], axis=1)))
    columns = arr.reshape(arr.concat(seen, axis=1) if parts > 1 else seen[0], (n, groups, c // groups * taps, prod(out)))
    y = linalg.matmul(arr.reshape(w, (1, groups, filters // groups, inside * taps)), columns)
    y = arr.reshape(y, (n, filters, *out))
    return m.add(y, arr.reshape(use[3], (-1, 1, 1))) if use.has(3) else y


@reads("NonMaxSuppression")
def _(use: Use) -> Any:
    most, limit, least = use.scalar(2), use.scalar(3), use.scalar(4)
    return use.only(non_max_suppression, use[0], use[1], most=most or 0, overlap=limit or 0.0, least=least, centres=bool(use.attr("center_point_box", 0)))


@reads("AffineGrid")
def _(use: Use) -> Any:
    theta, size = use[0], use.ints(1)
    dims, corners = size[2:], bool(use.attr("align_corners", 0))
    use.spent.hold(8 * (len(dims) + 1) * prod(dims))
    lines = [np.linspace(-1, 1, d) if corners else (np.arange(d) * 2 + 1) / d - 1 for d in dims]
    if corners:
        lines = [v if d > 1 else np.zeros(1) - 1 for v, d in zip(lines, dims)]
    grid = np.stack([*np.meshgrid(*lines, indexing="ij")][::-1] + [np.ones(dims)], axis=-1)
    n = len(dims)
    flat = grid.reshape(-1, n + 1).astype(theta.dtype)
    y = linalg.matmul(flat, arr.transpose(theta, axes=(0, 2, 1)))
    return arr.reshape(y, (size[0], *dims, n))


# ---------------------------------------------------------------- signals


def _transform(size: int, length: int, inverse: bool, kind: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The cosines and sines (in, out) of a discrete Fourier transform of `length`, of as many values as there are."""
    turn = 2 * np.pi * np.outer(np.arange(min(size, length)), np.arange(length)) / length
    real, imaginary = np.cos(turn), (np.sin(turn) if inverse else -np.sin(turn))
    scale = 1 / length if inverse else 1.0
    return (real * scale).astype(kind), (imaginary * scale).astype(kind)


def fourier(use: Use, x: Tensor, axis: int, length: int, inverse: bool, half: bool) -> Tensor:
    """x (…, 1 or 2), its last axis real and imaginary parts, along `axis`."""
    size = x.shape[axis]
    assert isinstance(size, int)
    use.spent.hold(16 * min(size, length) * length)
    if size > length:
        x = x[(*(slice(None),) * axis, slice(0, length))]
    x = layout.moveaxis(x, axis, -2)
    real, imaginary = _transform(size, length, inverse, x.dtype)
    if half:
        real, imaginary = real[:, :length // 2 + 1], imaginary[:, :length // 2 + 1]
    re = x[..., 0]
    a, b = linalg.matmul(re, np.ascontiguousarray(real)), linalg.matmul(re, np.ascontiguousarray(imaginary))
    if x.shape[-1] == 2:
        im = x[..., 1]
        a, b = m.subtract(a, linalg.matmul(im, np.ascontiguousarray(imaginary))), m.add(b, linalg.matmul(im, np.ascontiguousarray(real)))
    return layout.moveaxis(arr.stack([a, b], axis=-1), -2, axis)


@reads("DFT")
def _(use: Use) -> Any:
    x = use[0]
    axis = use.attr("axis", 1) if use.version < 20 else int(use.ints(2)[0]) if use.has(2) else -2
    axis %= x.rank
    length = int(use.ints(1)[0]) if use.has(1) else use.sizes(0)[axis]
    inverse, half = bool(use.attr("inverse", 0)), bool(use.attr("onesided", 0))
    if half and inverse:    # the other half is the mirror image
        length = int(use.ints(1)[0]) if use.has(1) else 2 * (use.sizes(0)[axis] - 1)
        lead = (slice(None),) * axis
        back = layout.flip(x[(*lead, slice(1, (length + 1) // 2))], axis=axis)
        x = arr.concat([x, m.multiply(back, np.array([1, -1], x.dtype))], axis=axis)
        y = fourier(use, x, axis, length, True, False)
        return y[..., 0:1]
    return fourier(use, x, axis, length, inverse, half)


@reads("STFT")
def _(use: Use) -> Any:
    x, step = use[0], int(use.ints(1)[0])
    window = use[2] if use.has(2) else None
    length = int(use.ints(3)[0]) if use.has(3) else window.shape[0]
    size = use.sizes(0)[1]
    x = x if x.rank == 3 else arr.expand_dims(x, axis=-1)
    frames = (size - length) // step + 1
    use.spent.hold(8 * frames * length)
    at = np.arange(frames)[:, None] * step + np.arange(length)
    y = arr.gather(x, at, axis=1)      # (batch, frames, length, parts)
    if window is not None:
        y = m.multiply(y, arr.expand_dims(window, axis=1))
    return fourier(use, y, 2, length, False, bool(use.attr("onesided", 1)))


@reads("MelWeightMatrix")
def _(use: Use) -> Any:
    bins, length, rate = (int(use.ints(k)[0]) for k in range(3))
    low, high = (float(use.array(k).reshape(-1)[0]) for k in (3, 4))
    kind = dtype(use.attr("output_datatype", 1))
    use.spent.hold(8 * bins * (length // 2 + 1))
    first, last = (2595 * np.log10(1 + h / 700) for h in (low, high))
    mel = first + np.arange(bins + 2) * (last - first) / (bins + 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    at = ((length + 1) * hertz // rate).astype(int)
    out = np.zeros((length // 2 + 1, bins), kind)
    for k in range(bins):
        a, b, c = at[k:k + 3]
        if b == a:
            out[b, k] = 1
        else:
            for j in range(a, b + 1):
                out[j, k] = (j - a) / (b - a)
        if c > b:
            for j in range(b, c):
                out[j, k] = (c - j) / (c - b)
    return out


@reads("TfIdfVectorizer")
def _(use: Use) -> Any:
    x = use[0]
    if "pool_strings" in use.attributes:
        raise NotInFlowlab("flowlab has no dtype text")
    counts, indexes, pool = use.attr("ngram_counts"), use.attr("ngram_indexes"), use.attr("pool_int64s")
    shortest, longest, skips, weights, mode = use.attr("min_gram_length"), use.attr("max_gram_length"), use.attr("max_skip_count"), use.attr("weights"), use.attr("mode")
    length = use.sizes(0)[-1]
    grams = []      # (place in the output, the words)
    for n, start in enumerate(counts, 1):
        end = counts[n] if n < len(counts) else len(pool)
        grams += [tuple(pool[k:k + n]) for k in range(start, end, n)]
    use.spent.room(max(indexes) + 1 + len(grams) * (skips + 1))
    columns: list[Any] = [None] * (max(indexes) + 1)
    for place, gram in zip(indexes, grams):
        n = len(gram)
        total: Any = None
        if shortest <= n <= longest:
            for skip in range(skips + 1) if n > 1 else (0,):
                span = (n - 1) * (skip + 1) + 1
                if span > length:
                    continue
                hit: Any = None
                for k, word in enumerate(gram):
                    part = m.equal(x[..., k * (skip + 1):k * (skip + 1) + length - span + 1], number(x, word))
                    hit = part if hit is None else logic.logical_and(hit, part)
                found = red.sum_(arr.cast(hit, "float32"), axis=-1)
                total = found if total is None else m.add(total, found)
        columns[place] = total
    none = m.multiply(arr.cast(x[..., 0], "float32"), np.float32(0))
    y = arr.stack([none if c is None else c for c in columns], axis=-1)
    if mode in ("IDF", "TFIDF"):
        scale = np.ones(len(columns), "float32")
        scale[list(indexes)] = weights or 1
        y = m.multiply(y if mode == "TFIDF" else m.minimum(y, np.float32(1)), scale)
    return y
