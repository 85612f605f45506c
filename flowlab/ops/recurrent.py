"""Recurrent layers over a whole sequence, with their gates as outputs."""
from __future__ import annotations

from typing import Any

from ..core.errors import ShapeError
from ..core.op import op
from ..core.shape import meet
from ..core.types import TensorType, shape_text


def _lstm_type(x: TensorType, kernel: TensorType, recurrent_kernel: TensorType, bias: TensorType, h0: TensorType | None = None,
               c0: TensorType | None = None, **_: Any) -> tuple[TensorType, ...]:
    if x.rank != 3:
        raise ShapeError(f"lstm: x is {shape_text(x.shape)}.", port="x", hint="It takes (batch, time, features).")
    for t, port, rank in ((kernel, "kernel", 2), (recurrent_kernel, "recurrent_kernel", 2), (bias, "bias", 1)):
        if t.rank != rank:
            raise ShapeError(f"lstm: {port} is {shape_text(t.shape)}.", port=port, hint=f"It takes rank {rank}.")
    batch, time, features = x.shape
    units, wide = recurrent_kernel.shape
    try:
        meet(features, kernel.shape[0])
    except ValueError:
        raise ShapeError(f"lstm: x has {features} features, kernel has {kernel.shape[0]} rows.", port="x", axis=2, hint=f"kernel needs the shape ({features}, 4·units).") from None
    for t, port, axis in ((kernel, "kernel", 1), (recurrent_kernel, "recurrent_kernel", 1), (bias, "bias", 0)):
        if isinstance(units, int) and isinstance(t.shape[axis], int) and t.shape[axis] != 4 * units:
            raise ShapeError(f"lstm: {port} has {t.shape[axis]} columns, {units} units need {4 * units}.", port=port, axis=axis, hint="Four gates a unit: i, f, g, o.")
    for t, port in ((h0, "h0"), (c0, "c0")):
        if t is None:
            continue
        if t.rank != 2:
            raise ShapeError(f"lstm: {port} is {shape_text(t.shape)}.", port=port, hint="It takes (batch, units).")
        for axis, (a, b) in enumerate(zip(t.shape, (batch, units))):
            try:
                meet(a, b)
            except ValueError:
                raise ShapeError(f"lstm: axis {axis} of {port} has {a}, not {b}.", port=port, axis=axis) from None
    whole, last = TensorType((batch, time, units), x.dtype), TensorType((batch, units), x.dtype)
    return whole, last, last, whole, whole, whole, whole, whole


def _packed(xp, x, h0, recurrent_kernel):
    """[x_t, 1, 0…, h_(t−1)] for every timestep, time first, rows a multiple of 16 floats wide; h is filled in by the caller."""
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    left = -(-(features + 1) // 16) * 16
    xh = xp.workspace((time + 1, batch, left + units), x.dtype)
    xh[:time, :, :features] = xp.transpose(x, (1, 0, 2))
    xh[time, :, :features] = 0
    xh[:, :, features] = 1
    xh[:, :, features + 1:left] = 0
    xh[0, :, left:] = 0 if h0 is None else h0
    return xh, left


@op(infer=_lstm_type, type="LSTM", category="recurrent", outputs=("out", "h_n", "c_n", "f", "i", "g", "o", "c"),
    latex=r"c_t = f_t \odot c_{t-1} + i_t \odot g_t", aliases=("long short-term memory", "gates", "循环"), zh="长短期记忆")
def lstm(xp, x: Float, kernel: Float, recurrent_kernel: Float, bias: Float, h0: Float = None, c0: Float = None):
    """Read a sequence and keep a memory: gates decide what to forget, what to write and what to show.

    x (batch, time, features); kernel (features, 4·units), recurrent_kernel (units, 4·units), bias (4·units,), gates in the order i, f, g, o;
    h0, c0 (batch, units), zero when open. Outputs (batch, time, units): out = h, the gates f, i, g, o and the cell c; the last h and c as
    (batch, units). Source: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000.
    """
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    for name, part, shape in (("kernel", kernel, (features, 4 * units)), ("recurrent_kernel", recurrent_kernel, (units, 4 * units)), ("bias", bias, (4 * units,)),
                              ("h0", h0, (batch, units)), ("c0", c0, (batch, units))):
        if part is not None and part.shape != shape:  # sizes that were not known before the run
            raise ValueError(f"{name} has shape {part.shape}, it needs {shape}")
    xh, left = _packed(xp, x, h0, recurrent_kernel)
    # gates in the order i f o | g, the three sigmoids' weights halved: sigmoid(z) = ½ tanh(z/2) + ½, so one tanh serves all four
    w = xp.workspace((left + units, 4 * units), x.dtype)
    w[features + 1:left] = 0
    for rows, part in ((slice(0, features), kernel), (features, bias), (slice(left, None), recurrent_kernel)):
        xp.multiply(part[..., :2 * units], 0.5, w[rows, ..., :2 * units])
        xp.multiply(part[..., 3 * units:], 0.5, w[rows, ..., 2 * units:3 * units])
        w[rows, ..., 3 * units:] = part[..., 2 * units:3 * units]
    gates = xp.workspace((time, batch, 4 * units), x.dtype)
    cells = xp.workspace((time + 1, batch, units), x.dtype)
    cells[0] = 0 if c0 is None else c0
    written = xp.workspace((batch, units), x.dtype)
    dot, tanh, multiply, add = xp.dot, xp.tanh, xp.multiply, xp.add
    i, f, o, g = (gates[:, :, k * units:(k + 1) * units] for k in range(4))
    for xt, z, sigmoids, it, ft, ot, gt, before, c, h in zip(xh, gates, gates[:, :, :3 * units], i, f, o, g, cells, cells[1:], xh[1:, :, left:]):
        dot(xt, w, z)
        tanh(z, z)
        multiply(sigmoids, 0.5, sigmoids)
        add(sigmoids, 0.5, sigmoids)
        multiply(ft, before, c)
        multiply(it, gt, written)
        add(c, written, c)
        tanh(c, written)
        multiply(ot, written, h)
    first = (1, 0, 2)
    i, f, o, g = (xp.transpose(gate, first) for gate in (i, f, o, g))
    return (xp.transpose(xh[1:, :, left:], first), xh[time, :, left:], cells[time], f, i, g, o, xp.transpose(cells[1:], first))


@lstm.gradient
def _(node, g):
    d_out, d_h_n, d_c_n, d_f, d_i, d_g, d_o, d_c = g
    out, _h, _c, f, i, gg, o, c = node.outputs
    given = dict(zip(node.ports, node.inputs))
    d = lstm_gradient(given["x"], given["kernel"], given["recurrent_kernel"], given["bias"], out, f, i, gg, o, c, given.get("h0"), given.get("c0"),
                      d_out, d_h_n, d_c_n, d_f, d_i, d_g, d_o, d_c)
    by_port = dict(zip(("x", "kernel", "recurrent_kernel", "bias", "h0", "c0"), d))
    return tuple(by_port[p] for p in node.ports)


def _lstm_gradient_type(x, kernel, recurrent_kernel, bias, *_outputs: Any, **_: Any) -> tuple[TensorType, ...]:
    state = TensorType((x.shape[0], recurrent_kernel.shape[0]), x.dtype)
    return x, kernel, recurrent_kernel, bias, state, state


@op(infer=_lstm_gradient_type, type="LSTMGradient", category="recurrent", outputs=("dx", "dkernel", "drecurrent_kernel", "dbias", "dh0", "dc0"), listed=False,
    latex=r"\frac{\partial L}{\partial c_{t-1}} = f_t \odot \frac{\partial L}{\partial c_t}", zh="长短期记忆的梯度")
def lstm_gradient(xp, x: Float, kernel: Float, recurrent_kernel: Float, bias: Float, out: Float, f: Float, i: Float, g: Float, o: Float, c: Float,
                  h0: Float = None, c0: Float = None, d_out: Float = None, d_h_n: Float = None, d_c_n: Float = None,
                  d_f: Float = None, d_i: Float = None, d_g: Float = None, d_o: Float = None, d_c: Float = None):
    """Carry the error back through an LSTM, from the last timestep to the first."""
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    dtype = x.dtype
    first = (1, 0, 2)
    out, f, i, g, o, c = (xp.transpose(v, first) for v in (out, f, i, g, o, c))
    d_out, d_f, d_i, d_g, d_o, d_c = (None if v is None else xp.transpose(v, first) for v in (d_out, d_f, d_i, d_g, d_o, d_c))
    dz = xp.workspace((time, batch, 4 * units), dtype)     # by the four sums before their activations, in the order i f g o
    blocks = dz.reshape(time, batch, 4, units)
    back = xp.workspace((4 * units, units), dtype)
    back[...] = xp.transpose(recurrent_kernel)             # contiguous: the product is a third faster than with the view
    dh, dc, part = (xp.workspace((batch, units), dtype) for _ in range(3))
    dh[...] = 0 if d_h_n is None else d_h_n
    dc[...] = 0 if d_c_n is None else d_c_n
    multiply, add, subtract, tanh, dot = xp.multiply, xp.add, xp.subtract, xp.tanh, xp.dot
    # what does not depend on later timesteps is worked out for as many of them at once as the cache holds
    chunk = max(1, (1 << 18) // max(1, 4 * batch * units * dtype.itemsize))
    shown = xp.workspace((min(chunk, time), batch, units), dtype)
    extras = [(k, d, gate) for k, (d, gate) in enumerate(((d_i, i), (d_f, f), (d_g, g), (d_o, o))) if d is not None]
    for end in range(time, 0, -chunk):
        begin = max(0, end - chunk)
        s = slice(begin, end)
        zi, zf, zg, zo = blocks[s, :, 0], blocks[s, :, 1], blocks[s, :, 2], blocks[s, :, 3]
        tc = shown[:end - begin]
        tanh(c[s], tc)
        multiply(i[s], i[s], zi)                           # by i: g · σ', σ' = σ − σ²
        subtract(i[s], zi, zi)
        multiply(zi, g[s], zi)
        multiply(f[s], f[s], zf)                           # by f: c(t−1) · σ'
        subtract(f[s], zf, zf)
        multiply(zf[1:], c[begin:end - 1], zf[1:])
        multiply(zf[0], c[begin - 1] if begin else 0 if c0 is None else c0, zf[0])
        multiply(g[s], g[s], zg)                           # by g: i · tanh', tanh' = 1 − tanh²
        subtract(1, zg, zg)
        multiply(zg, i[s], zg)
        multiply(o[s], o[s], zo)                           # by o: tanh c · σ'
        subtract(o[s], zo, zo)
        multiply(zo, tc, zo)
        multiply(tc, tc, tc)                               # h by c: o · (1 − tanh² c)
        subtract(1, tc, tc)
        multiply(tc, o[s], tc)
        for t in range(end - 1, begin - 1, -1):
            if d_out is not None:
                add(dh, d_out[t], dh)
            multiply(dh, tc[t - begin], part)
            add(dc, part, dc)
            if d_c is not None:
                add(dc, d_c[t], dc)
            by_state, by_output = blocks[t, :, :3], blocks[t, :, 3]
            multiply(by_state, dc[:, None], by_state)
            multiply(by_output, dh, by_output)
            for k, d, gate in extras:                      # a loss that looks at a gate itself
                slope = 1 - gate[t] * gate[t] if k == 2 else gate[t] - gate[t] * gate[t]
                add(blocks[t, :, k], d[t] * slope, blocks[t, :, k])
            multiply(dc, f[t], dc)
            dot(dz[t], back, dh)
    xh, left = _packed(xp, x, h0, recurrent_kernel)
    if time:
        xh[1:, :, left:] = out
    flat = dz.reshape(time * batch, 4 * units)
    dw = xp.dot(xp.transpose(xh[:time].reshape(time * batch, left + units)), flat)   # one product for kernel, bias and recurrent kernel
    dx = xp.dot(flat, xp.transpose(kernel)).reshape(time, batch, features)
    return xp.transpose(dx, first), dw[:features], dw[left:], dw[features], dh, dc


@op(infer=lambda *types, **_: types, type="LSTMOutputs", category="recurrent", listed=False, outputs=("out", "h_n", "c_n", "f", "i", "g", "o", "c"), zh="输出")
def lstm_outputs(xp, out: Any, h_n: Any, c_n: Any, f: Any, i: Any, g: Any, o: Any, c: Any):
    """Hand on the outputs of a layer that is written out in elementary operations."""
    return out, h_n, c_n, f, i, g, o, c


@lstm_outputs.gradient
def _(node, g):
    return tuple((lambda d=d: d) if d is not None else None for d in g)
