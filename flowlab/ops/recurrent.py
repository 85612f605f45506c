"""Recurrent layers over a whole sequence, with their gates as outputs."""
from __future__ import annotations

from typing import Any

from ..core.errors import ShapeError, plural
from ..core.op import op
from ..core.shape import meet
from ..core.types import TensorType, shape_text

# ---------------------------------------------------------------- sequences of several lengths


def check_lengths(word: str, x: TensorType, lengths: TensorType | None) -> None:
    """ShapeError unless there is one length a row."""
    if lengths is None:
        return
    if lengths.rank != 1:
        raise ShapeError(f"{word}: lengths is {shape_text(lengths.shape)}.", port="lengths", hint="It takes one number a row: (batch,).")
    try:
        meet(x.shape[0], lengths.shape[0])
    except ValueError:
        raise ShapeError(f"{word}: axis 0 of lengths has {lengths.shape[0]}, not {x.shape[0]}.", port="lengths", axis=0, hint="There is one length a row.") from None


def _there(xp, x, lengths):
    """Which timesteps of each row count: (batch, time, 1)."""
    batch, time = x.shape[:2]
    if lengths.shape != (batch,):
        raise ValueError(f"lengths has shape {lengths.shape}, it needs {(batch,)}")
    if batch and (int(lengths.min()) < 0 or int(lengths.max()) > time):
        raise ValueError(f"lengths holds {int(lengths.max()) if int(lengths.max()) > time else int(lengths.min())}, it goes from 0 to {time}")
    return xp.expand_dims(xp.arange(time) < xp.expand_dims(lengths, 1), -1)


def _within(xp, x, there):
    """x up to the length of each row, and 0 beyond: what stands there, NaN too, is never read."""
    return xp.where(there, x, xp.zeros((), x.dtype))


def _last(xp, whole, lengths, start):
    """The state at the length of each row; where it is 0, the one that the layer started from."""
    batch, time, units = whole.shape
    none = xp.zeros((batch, units), whole.dtype) if start is None else start
    if not time:
        return none.copy()
    return xp.where(xp.expand_dims(lengths, 1) > 0, whole[xp.arange(batch), xp.maximum(lengths, 1) - 1], none)


def _until(xp, outputs, there, lengths, states, starts):
    """A layer's outputs with what stands beyond the lengths taken away. `states` are the whole sequences that its last states come from."""
    first, rest = outputs[0], outputs[1 + len(starts):]
    return (_within(xp, first, there), *(_last(xp, v, lengths, start) for v, start in zip(states, starts)), *(_within(xp, v, there) for v in rest))


def _at_the_end(xp, d_whole, d_last, there, lengths, shape, dtype):
    """(what comes back to a whole sequence of states, what comes back to its start at once): the last state's part stands at the length of its row."""
    batch, time, _ = shape
    d = xp.zeros(shape, dtype) if d_whole is None else xp.where(there, d_whole, xp.zeros((), dtype))
    if d_last is None:
        return d, None
    some = xp.expand_dims(lengths > 0, 1)
    if time:
        rows, at = xp.arange(batch), xp.maximum(lengths, 1) - 1
        d[rows, at] = d[rows, at] + xp.where(some, d_last, xp.zeros((), dtype))
    return d, xp.where(some, xp.zeros((), dtype), d_last)


def _reversed(x: TensorType, lengths: TensorType, *, word: str, **_: Any) -> TensorType:
    if x.rank < 2:
        raise ShapeError(f"{word}: x is {shape_text(x.shape)}.", port="x", hint="It takes (batch, time, …).")
    check_lengths(word, x, lengths)
    return x


@op(infer=_reversed, category="recurrent", bounds="inputs", aliases=("flip", "backwards", "bidirectional"), zh="逆转序列")
def reverse_sequence(xp, x: Any, lengths: Int):
    """Turn each sequence round within its length; what stands beyond stays where it is. x (batch, time, …), lengths (batch,)."""
    there = _there(xp, x, lengths)[..., 0]
    batch, time = x.shape[:2]
    at = xp.where(there, xp.expand_dims(lengths, 1) - 1 - xp.arange(time), xp.arange(time))
    return x[xp.arange(batch).reshape(-1, 1), at]


@reverse_sequence.gradient
def _(node, g):
    return lambda: reverse_sequence(g, node.inputs[1]), None


# ---------------------------------------------------------------- long short-term memory


def _lstm_type(x: TensorType, kernel: TensorType, recurrent_kernel: TensorType, bias: TensorType, h0: TensorType | None = None,
               c0: TensorType | None = None, lengths: TensorType | None = None, **_: Any) -> tuple[TensorType, ...]:
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
        raise ShapeError(f"lstm: x has {plural(features, 'feature')}, kernel has {plural(kernel.shape[0], 'row')}.", port="x", axis=2, hint=f"kernel needs the shape ({features}, 4·units).") from None
    for t, port, axis in ((kernel, "kernel", 1), (recurrent_kernel, "recurrent_kernel", 1), (bias, "bias", 0)):
        if isinstance(units, int) and isinstance(t.shape[axis], int) and t.shape[axis] != 4 * units:
            raise ShapeError(f"lstm: {port} has {plural(t.shape[axis], 'column')}, it needs {4 * units} for {plural(units, 'unit')}.", port=port, axis=axis, hint="Four gates a unit: i, f, g, o.")
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
    check_lengths("lstm", x, lengths)
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
    latex=r"c_t = f_t \odot c_{t-1} + i_t \odot g_t", aliases=("long short-term memory", "gates", "循环"), bounds={"f": (0, 1), "i": (0, 1), "o": (0, 1), "g": (-1, 1), "out": (-1, 1), "h_n": (-1, 1)}, zh="长短期记忆")
def lstm(xp, x: Float, kernel: Float, recurrent_kernel: Float, bias: Float, h0: Float = None, c0: Float = None, lengths: Int = None):
    """Read a sequence and keep a memory: gates decide what to forget, what to write and what to show.

    x (batch, time, features); kernel (features, 4·units), recurrent_kernel (units, 4·units), bias (4·units,), gates in the order i, f, g, o;
    h0, c0 (batch, units), zero when open. Outputs (batch, time, units): out = h, the gates f, i, g, o and the cell c; the last h and c as
    (batch, units). lengths (batch,): how many timesteps of each row count; beyond them the outputs are 0, and the last h and c are those at the
    length. Source: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000.
    """
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    for name, part, shape in (("kernel", kernel, (features, 4 * units)), ("recurrent_kernel", recurrent_kernel, (units, 4 * units)), ("bias", bias, (4 * units,)),
                              ("h0", h0, (batch, units)), ("c0", c0, (batch, units))):
        if part is not None and part.shape != shape:  # sizes that were not known before the run
            raise ValueError(f"{name} has shape {part.shape}, it needs {shape}")
    if lengths is not None:
        there = _there(xp, x, lengths)
        x = _within(xp, x, there)
    xh, left = _packed(xp, x, h0, recurrent_kernel)
    # a matrix a gate, in the order i f o g, so that each gate's values lie together: half the time of columns of one matrix. The three sigmoids'
    # weights are halved: sigmoid(z) = ½ tanh(z/2) + ½, so one tanh serves all four
    w = xp.workspace((4, left + units, units), x.dtype)
    w[:, features + 1:left] = 0
    for k, at in enumerate((0, 1, 3, 2)):
        columns = slice(at * units, (at + 1) * units)
        for rows, part in ((slice(0, features), kernel), (features, bias), (slice(left, None), recurrent_kernel)):
            xp.multiply(part[..., columns], 1 if at == 2 else 0.5, w[k, rows])
    gates = xp.workspace((time, 4, batch, units), x.dtype)
    cells = xp.workspace((time + 1, batch, units), x.dtype)
    cells[0] = 0 if c0 is None else c0
    written = xp.workspace((batch, units), x.dtype)
    matmul, tanh, multiply, add = xp.matmul, xp.tanh, xp.multiply, xp.add
    i, f, o, g = (gates[:, k] for k in range(4))
    at_once = xp.compiled("lstm_forward", x.dtype, time * batch * units)
    if at_once is not None:
        for t in range(time):
            matmul(xh[t], w, gates[t])
            at_once(gates[t], cells[t], cells[t + 1], xh[t + 1], left)
    for xt, z, sigmoids, it, ft, ot, gt, before, c, h in zip(xh, gates, gates[:, :3], i, f, o, g, cells, cells[1:], xh[1:, :, left:]) if at_once is None else ():
        matmul(xt, w, z)
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
    outputs = (xp.transpose(xh[1:, :, left:], first), xh[time, :, left:], cells[time], f, i, g, o, xp.transpose(cells[1:], first))
    return outputs if lengths is None else _until(xp, outputs, there, lengths, (outputs[0], outputs[7]), (h0, c0))


@lstm.gradient
def _(node, g):
    d_out, d_h_n, d_c_n, d_f, d_i, d_g, d_o, d_c = g
    out, _h, _c, f, i, gg, o, c = node.outputs
    given = dict(zip(node.ports, node.inputs))
    ports = ("x", "kernel", "recurrent_kernel", "bias", "h0", "c0")
    made: list = []

    def by(port: str) -> Any:   # x comes first: whoever is asked for before it says whether anybody wants its derivative
        if not made:
            made.extend(lstm_gradient(given["x"], given["kernel"], given["recurrent_kernel"], given["bias"], out, f, i, gg, o, c, given.get("h0"), given.get("c0"),
                                      d_out, d_h_n, d_c_n, d_f, d_i, d_g, d_o, d_c, given.get("lengths"), by_x=port == "x"))
        return made[ports.index(port)]
    return tuple((lambda p=p: by(p)) if p in ports else None for p in node.ports)


def _lstm_gradient_type(x, kernel, recurrent_kernel, bias, *_outputs: Any, **_: Any) -> tuple[TensorType, ...]:
    state = TensorType((x.shape[0], recurrent_kernel.shape[0]), x.dtype)
    return x, kernel, recurrent_kernel, bias, state, state


@op(infer=_lstm_gradient_type, type="LSTMGradient", category="recurrent", outputs=("dx", "dkernel", "drecurrent_kernel", "dbias", "dh0", "dc0"), listed=False,
    latex=r"\frac{\partial L}{\partial c_{t-1}} = f_t \odot \frac{\partial L}{\partial c_t}", zh="长短期记忆的梯度")
def lstm_gradient(xp, x: Float, kernel: Float, recurrent_kernel: Float, bias: Float, out: Float, f: Float, i: Float, g: Float, o: Float, c: Float,
                  h0: Float = None, c0: Float = None, d_out: Float = None, d_h_n: Float = None, d_c_n: Float = None,
                  d_f: Float = None, d_i: Float = None, d_g: Float = None, d_o: Float = None, d_c: Float = None, lengths: Int = None, *, by_x: bool = True):
    """Carry the error back through an LSTM, from the last timestep to the first; without `by_x`, dx is left at 0."""
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    dtype = x.dtype
    if lengths is not None:     # beyond the lengths the gates are 0, so nothing comes back from there
        there = _there(xp, x, lengths)
        x = _within(xp, x, there)
        d_out, d_h_n = _at_the_end(xp, d_out, d_h_n, there, lengths, out.shape, dtype)
        d_c, d_c_n = _at_the_end(xp, d_c, d_c_n, there, lengths, out.shape, dtype)
        d_f, d_i, d_g, d_o = (None if v is None else _within(xp, v, there) for v in (d_f, d_i, d_g, d_o))
        straight_back, d_h_n, d_c_n = (d_h_n, d_c_n), None, None
    first = (1, 0, 2)
    out, f, i, g, o, c = (xp.transpose(v, first) for v in (out, f, i, g, o, c))
    d_out, d_f, d_i, d_g, d_o, d_c = (None if v is None else xp.transpose(v, first) for v in (d_out, d_f, d_i, d_g, d_o, d_c))
    dz = xp.workspace((time, batch, 4 * units), dtype)     # by the four sums before their activations, in the order i f g o
    blocks = xp.transpose(dz.reshape(time, batch, 4, units), (0, 2, 1, 3))
    back = xp.workspace((4 * units, units), dtype)
    back[...] = xp.transpose(recurrent_kernel)             # contiguous: the product is a third faster than with the view
    dh, dc, part = (xp.workspace((batch, units), dtype) for _ in range(3))
    dh[...] = 0 if d_h_n is None else d_h_n
    dc[...] = 0 if d_c_n is None else d_c_n
    multiply, add, subtract, tanh, dot = xp.multiply, xp.add, xp.subtract, xp.tanh, xp.dot
    # what does not depend on later timesteps is worked out for as many of them at once as the innermost cache holds
    chunk = min(time, max(1, (1 << 15) // max(1, 4 * batch * units * dtype.itemsize)))
    shown = xp.workspace((chunk, batch, units), dtype)
    slopes = xp.workspace((4, chunk, batch, units), dtype)
    extras = [(k, d, gate) for k, (d, gate) in enumerate(((d_i, i), (d_f, f), (d_g, g), (d_o, o))) if d is not None]
    at_once = xp.compiled("lstm_backward", dtype, time * batch * units)
    if extras or d_c is not None or not all(v[:1].flags.c_contiguous for v in (i, f, g, o, c)):
        at_once = None
    if at_once is not None:
        start = shown[0]
        start[...] = 0 if c0 is None else c0
        for t in range(time - 1, -1, -1):
            if d_out is not None:
                add(dh, d_out[t], dh)
            at_once(i[t], f[t], g[t], o[t], c[t - 1] if t else start, c[t], dh, dc, dz[t])
            dot(dz[t], back, dh)
    for end in range(time if at_once is None else 0, 0, -chunk):
        begin = max(0, end - chunk)
        s = slice(begin, end)
        si, sf, sg, so = i[s], f[s], g[s], o[s]
        zi, zf, zg, zo = z = slopes[:, :end - begin]
        tc = shown[:end - begin]
        tanh(c[s], tc)
        multiply(si, si, zi)                               # by i: g · σ', σ' = σ − σ²
        subtract(si, zi, zi)
        multiply(zi, sg, zi)
        multiply(sf, sf, zf)                               # by f: c(t−1) · σ'
        subtract(sf, zf, zf)
        if end - begin > 1:
            multiply(zf[1:], c[begin:end - 1], zf[1:])
        multiply(zf[0], c[begin - 1] if begin else 0 if c0 is None else c0, zf[0])
        multiply(sg, sg, zg)                               # by g: i · tanh', tanh' = 1 − tanh²
        subtract(1, zg, zg)
        multiply(zg, si, zg)
        multiply(so, so, zo)                               # by o: tanh c · σ'
        subtract(so, zo, zo)
        multiply(zo, tc, zo)
        multiply(tc, tc, tc)                               # h by c: o · (1 − tanh² c)
        subtract(1, tc, tc)
        multiply(tc, so, tc)
        for t in range(end - 1, begin - 1, -1):
            if d_out is not None:
                add(dh, d_out[t], dh)
            k, by_gate = t - begin, blocks[t]
            multiply(dh, tc[k], part)
            add(dc, part, dc)
            if d_c is not None:
                add(dc, d_c[t], dc)
            multiply(z[:3, k], dc, by_gate[:3])
            multiply(z[3, k], dh, by_gate[3])
            for j, d, gate in extras:                      # a loss that looks at a gate itself
                slope = 1 - gate[t] * gate[t] if j == 2 else gate[t] - gate[t] * gate[t]
                add(by_gate[j], d[t] * slope, by_gate[j])
            multiply(dc, f[t], dc)
            dot(dz[t], back, dh)
    xh, left = _packed(xp, x, h0, recurrent_kernel)
    if time:
        xh[1:, :, left:] = out
    flat = dz.reshape(time * batch, 4 * units)
    dw = xp.dot(xp.transpose(xh[:time].reshape(time * batch, left + units)), flat)   # one product for kernel, bias and recurrent kernel
    dx = xp.dot(flat, xp.transpose(kernel)).reshape(time, batch, features) if by_x else xp.broadcast_to(xp.zeros((), dtype), (time, batch, features))
    if lengths is not None:     # rows of no timesteps hand their last states straight back
        dh, dc = (d if more is None else d + more for d, more in zip((dh, dc), straight_back))
    return xp.transpose(dx, first), dw[:features], dw[left:], dw[features], dh, dc


@op(infer=lambda *types, **_: types, type="LSTMOutputs", category="recurrent", listed=False, outputs=("out", "h_n", "c_n", "f", "i", "g", "o", "c"), zh="输出")
def lstm_outputs(xp, out: Any, h_n: Any, c_n: Any, f: Any, i: Any, g: Any, o: Any, c: Any):
    """Hand on the outputs of a layer that is written out in elementary operations."""
    return out, h_n, c_n, f, i, g, o, c


@lstm_outputs.gradient
def _(node, g):
    return tuple((lambda d=d: d) if d is not None else None for d in g)


# ---------------------------------------------------------------- the gated recurrent unit, and the plain one


def _cell_type(word: str, gates: int, x: TensorType, parts: dict[str, TensorType | None]) -> tuple[TensorType, TensorType]:
    """The types of a whole sequence of states and of the last one, for a layer whose kernels hold `gates` blocks of units."""
    if x.rank != 3:
        raise ShapeError(f"{word}: x is {shape_text(x.shape)}.", port="x", hint="It takes (batch, time, features).")
    recurrent_kernel = parts["recurrent_kernel"]
    for port, t in parts.items():
        rank = 1 if "bias" in port else 2
        if t is not None and t.rank != rank:
            raise ShapeError(f"{word}: {port} is {shape_text(t.shape)}.", port=port, hint=f"It takes rank {rank}.")
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    wide = gates * units if isinstance(units, int) else None
    needs = {"kernel": (features, wide), "recurrent_kernel": (units, wide), "bias": (wide,), "recurrent_bias": (wide,), "h0": (batch, units)}
    for port, t in parts.items():
        for axis, (a, b) in enumerate(zip(t.shape, needs[port]) if t is not None else ()):
            try:
                meet(a, b)
            except ValueError:
                raise ShapeError(f"{word}: axis {axis} of {port} has {a}, it needs {b}.", port=port, axis=axis,
                                 hint=f"x has {plural(features, 'feature')}, and each of {plural(units, 'unit')} needs {plural(gates, 'column')}." if gates > 1 else f"x has {plural(features, 'feature')}, and there are {plural(units, 'unit')}.") from None
    return TensorType((batch, time, units), x.dtype), TensorType((batch, units), x.dtype)


def _cell_check(gates: int, x, kernel, recurrent_kernel, bias, recurrent_bias, h0) -> None:
    """Sizes that were not known before the run."""
    batch, _, features = x.shape
    units = recurrent_kernel.shape[0]
    for name, part, shape in (("kernel", kernel, (features, gates * units)), ("recurrent_kernel", recurrent_kernel, (units, gates * units)), ("bias", bias, (gates * units,)),
                              ("recurrent_bias", recurrent_bias, (gates * units,)), ("h0", h0, (batch, units))):
        if part is not None and part.shape != shape:
            raise ValueError(f"{name} has shape {part.shape}, it needs {shape}")


_FIRST = (1, 0, 2)      # batch and time exchanged


def _time_first(xp, x):
    return xp.ascontiguousarray(xp.transpose(x, _FIRST))


def _states(xp, out, h0):
    """The state before each timestep, time first."""
    time, batch, units = out.shape
    before = xp.workspace((time, batch, units), out.dtype)
    if time:
        before[1:] = out[:-1]
        before[0] = 0 if h0 is None else h0
    return before


def _gru_type(x: TensorType, kernel: TensorType, recurrent_kernel: TensorType, bias: TensorType, recurrent_bias: TensorType, h0: TensorType | None = None,
              lengths: TensorType | None = None, **_: Any) -> tuple[TensorType, ...]:
    check_lengths("gru", x, lengths)
    whole, last = _cell_type("gru", 3, x, {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias, "recurrent_bias": recurrent_bias, "h0": h0})
    return whole, last, whole, whole, whole


@op(infer=_gru_type, type="GRU", category="recurrent", outputs=("out", "h_n", "r", "z", "n"), latex=r"h_t = (1 - z_t) \odot n_t + z_t \odot h_{t-1}",
    aliases=("gated recurrent unit", "gates", "循环"), bounds={"r": (0, 1), "z": (0, 1), "n": (-1, 1)}, zh="门控循环单元")
def gru(xp, x: Float, kernel: Float, recurrent_kernel: Float, bias: Float, recurrent_bias: Float, h0: Float = None, lengths: Int = None):
    """Read a sequence with two gates: one decides how much of the past is looked at, one how much of it is kept.

    x (batch, time, features); kernel (features, 3·units), recurrent_kernel (units, 3·units), bias and recurrent_bias (3·units,), gates in the
    order r, z, n; h0 (batch, units), zero when open. r = σ(x K_r + h R_r + b), z likewise, n = tanh(x K_n + b + r ⊙ (h R_n + b')),
    h = (1 − z) ⊙ n + z ⊙ h. lengths (batch,): how many timesteps of each row count; beyond them the outputs are 0. Source: Cho et al. 2014, the
    reset after the product as torch and cuDNN have it.
    """
    _cell_check(3, x, kernel, recurrent_kernel, bias, recurrent_bias, h0)
    if lengths is not None:
        there = _there(xp, x, lengths)
        x = _within(xp, x, there)
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    gates = xp.workspace((time, batch, 3 * units), x.dtype)
    xp.matmul(_time_first(xp, x).reshape(time * batch, features), kernel, gates.reshape(time * batch, 3 * units))
    xp.add(gates, bias, gates)
    out = xp.workspace((time, batch, units), x.dtype)
    from_state, part = xp.workspace((batch, 3 * units), x.dtype), xp.workspace((batch, units), x.dtype)
    state = xp.zeros((batch, units), x.dtype) if h0 is None else h0
    dot, add, multiply, tanh = xp.dot, xp.add, xp.multiply, xp.tanh
    weights = xp.ascontiguousarray(recurrent_kernel)
    for g, h in zip(gates, out):
        dot(xp.ascontiguousarray(state), weights, from_state)
        add(from_state, recurrent_bias, from_state)
        rz, n = g[:, :2 * units], g[:, 2 * units:]
        add(rz, from_state[:, :2 * units], rz)
        multiply(rz, 0.5, rz)       # σ(a) = ½ tanh(a/2) + ½
        tanh(rz, rz)
        multiply(rz, 0.5, rz)
        add(rz, 0.5, rz)
        multiply(g[:, :units], from_state[:, 2 * units:], part)
        add(n, part, n)
        tanh(n, n)
        xp.subtract(state, n, part)
        multiply(part, g[:, units:2 * units], part)
        add(n, part, h)
        state = h
    r, z, n = (xp.transpose(gates[:, :, k * units:(k + 1) * units], _FIRST) for k in range(3))
    outputs = (xp.transpose(out, _FIRST), state.copy(), r, z, n)
    return outputs if lengths is None else _until(xp, outputs, there, lengths, (outputs[0],), (h0,))


@gru.gradient
def _(node, g):
    given = dict(zip(node.ports, node.inputs))
    out, _h, r, z, n = node.outputs
    d = gru_gradient(*(given[p] for p in ("x", "kernel", "recurrent_kernel", "bias", "recurrent_bias")), out, r, z, n, given.get("h0"), *g, given.get("lengths"))
    return tuple(dict(zip(("x", "kernel", "recurrent_kernel", "bias", "recurrent_bias", "h0"), d)).get(p) for p in node.ports)


def _cell_gradient_type(x: TensorType, kernel: TensorType, recurrent_kernel: TensorType, **rest: Any) -> tuple[TensorType, ...]:
    biases = tuple(rest[p] for p in ("bias", "recurrent_bias") if p in rest)
    return (x, kernel, recurrent_kernel, *biases, TensorType((x.shape[0], recurrent_kernel.shape[0]), x.dtype))


@op(infer=lambda x, kernel, recurrent_kernel, bias, recurrent_bias, *_a, **_: _cell_gradient_type(x, kernel, recurrent_kernel, bias=bias, recurrent_bias=recurrent_bias),
    type="GRUGradient", category="recurrent", outputs=("dx", "dkernel", "drecurrent_kernel", "dbias", "drecurrent_bias", "dh0"), listed=False, zh="门控循环单元梯度")
def gru_gradient(xp, x: Float, kernel: Float, recurrent_kernel: Float, bias: Float, recurrent_bias: Float, out: Float, r: Float, z: Float, n: Float, h0: Float = None,
                 d_out: Float = None, d_h_n: Float = None, d_r: Float = None, d_z: Float = None, d_n: Float = None, lengths: Int = None):
    """Carry the error back through a GRU, from the last timestep to the first."""
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    if lengths is not None:
        there = _there(xp, x, lengths)
        x = _within(xp, x, there)
        d_out, at_once = _at_the_end(xp, d_out, d_h_n, there, lengths, out.shape, x.dtype)
        d_r, d_z, d_n = (None if v is None else _within(xp, v, there) for v in (d_r, d_z, d_n))
        d_h_n = None
    out, r, z, n = (_time_first(xp, v) for v in (out, r, z, n))
    d_out, d_r, d_z, d_n = (None if v is None else xp.transpose(v, _FIRST) for v in (d_out, d_r, d_z, d_n))
    before = _states(xp, out, h0)
    flat_before = before.reshape(time * batch, units)
    looked = (xp.matmul(flat_before, recurrent_kernel[:, 2 * units:]) + recurrent_bias[2 * units:]).reshape(time, batch, units)
    da = xp.workspace((time, batch, 3 * units), x.dtype)    # by the sums before the activations, as x reaches them
    ds = xp.workspace((time, batch, 3 * units), x.dtype)    # and as the state does
    slope_n, slope_z, slope_r = (1 - n * n) * (1 - z), z * (1 - z), r * (1 - r)
    back = xp.ascontiguousarray(xp.transpose(recurrent_kernel))
    dh = xp.zeros((batch, units), x.dtype) if d_h_n is None else xp.ascontiguousarray(d_h_n).copy()
    for t in range(time - 1, -1, -1):
        if d_out is not None:
            dh = dh + d_out[t]
        an, az = dh * slope_n[t], dh * (before[t] - n[t])
        if d_n is not None:
            an = an + d_n[t] * (1 - n[t] * n[t])
        if d_z is not None:
            az = az + d_z[t]
        by_r = an * looked[t]
        if d_r is not None:
            by_r = by_r + d_r[t]
        a, s = da[t], ds[t]
        xp.multiply(by_r, slope_r[t], a[:, :units])
        xp.multiply(az, slope_z[t], a[:, units:2 * units])
        a[:, 2 * units:] = an
        s[:, :2 * units] = a[:, :2 * units]
        xp.multiply(an, r[t], s[:, 2 * units:])
        dh = dh * z[t] + xp.dot(s, back)
    flat_a, flat_s = da.reshape(time * batch, 3 * units), ds.reshape(time * batch, 3 * units)
    dx = xp.dot(flat_a, xp.transpose(kernel)).reshape(time, batch, features)
    flat_x = _time_first(xp, x).reshape(time * batch, features)
    if lengths is not None and at_once is not None:
        dh = dh + at_once
    return (xp.transpose(dx, _FIRST), xp.dot(xp.transpose(flat_x), flat_a), xp.dot(xp.transpose(flat_before), flat_s), xp.sum(flat_a, axis=0, dtype=x.dtype),
            xp.sum(flat_s, axis=0, dtype=x.dtype), dh)


@op(infer=lambda *types, **_: types, type="GRUOutputs", category="recurrent", listed=False, outputs=("out", "h_n", "r", "z", "n"), zh="输出")
def gru_outputs(xp, out: Any, h_n: Any, r: Any, z: Any, n: Any):
    """Hand on the outputs of a GRU that is written out in elementary operations."""
    return out, h_n, r, z, n


def _rnn_type(x: TensorType, kernel: TensorType, recurrent_kernel: TensorType, bias: TensorType, h0: TensorType | None = None, lengths: TensorType | None = None,
              **_: Any) -> tuple[TensorType, ...]:
    check_lengths("rnn", x, lengths)
    return _cell_type("rnn", 1, x, {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias, "h0": h0})


@op(infer=_rnn_type, type="RNN", category="recurrent", outputs=("out", "h_n"), latex=r"h_t = \tanh(x_t K + h_{t-1} R + b)",
    aliases=("simple recurrent network", "elman", "循环"), bounds={"out": (-1, 1)}, zh="循环神经网络")
def rnn(xp, x: Float, kernel: Float, recurrent_kernel: Float, bias: Float, h0: Float = None, lengths: Int = None):
    """Read a sequence with a state that meets every input: h = tanh(x K + h R + b).

    x (batch, time, features); kernel (features, units), recurrent_kernel (units, units), bias (units,); h0 (batch, units), zero when open.
    lengths (batch,): how many timesteps of each row count; beyond them the outputs are 0. Source: Elman 1990.
    """
    _cell_check(1, x, kernel, recurrent_kernel, bias, None, h0)
    if lengths is not None:
        there = _there(xp, x, lengths)
        x = _within(xp, x, there)
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    out = xp.workspace((time, batch, units), x.dtype)
    xp.matmul(_time_first(xp, x).reshape(time * batch, features), kernel, out.reshape(time * batch, units))
    xp.add(out, bias, out)
    part = xp.workspace((batch, units), x.dtype)
    state = xp.zeros((batch, units), x.dtype) if h0 is None else xp.ascontiguousarray(h0)
    weights = xp.ascontiguousarray(recurrent_kernel)
    for h in out:
        xp.dot(state, weights, part)
        xp.add(h, part, h)
        xp.tanh(h, h)
        state = h
    outputs = (xp.transpose(out, _FIRST), state.copy())
    return outputs if lengths is None else _until(xp, outputs, there, lengths, outputs[:1], (h0,))


@rnn.gradient
def _(node, g):
    given = dict(zip(node.ports, node.inputs))
    d = rnn_gradient(*(given[p] for p in ("x", "kernel", "recurrent_kernel", "bias")), node.outputs[0], given.get("h0"), *g, given.get("lengths"))
    return tuple(dict(zip(("x", "kernel", "recurrent_kernel", "bias", "h0"), d)).get(p) for p in node.ports)


@op(infer=lambda x, kernel, recurrent_kernel, bias, *_a, **_: _cell_gradient_type(x, kernel, recurrent_kernel, bias=bias), type="RNNGradient", category="recurrent",
    outputs=("dx", "dkernel", "drecurrent_kernel", "dbias", "dh0"), listed=False, zh="循环神经网络梯度")
def rnn_gradient(xp, x: Float, kernel: Float, recurrent_kernel: Float, bias: Float, out: Float, h0: Float = None, d_out: Float = None, d_h_n: Float = None, lengths: Int = None):
    """Carry the error back through a recurrent network, from the last timestep to the first."""
    batch, time, features = x.shape
    units = recurrent_kernel.shape[0]
    if lengths is not None:
        there = _there(xp, x, lengths)
        x = _within(xp, x, there)
        d_out, at_once = _at_the_end(xp, d_out, d_h_n, there, lengths, out.shape, x.dtype)
        d_h_n = None
    out = _time_first(xp, out)
    d_out = None if d_out is None else xp.transpose(d_out, _FIRST)
    slope = 1 - out * out
    da = xp.workspace((time, batch, units), x.dtype)
    back = xp.ascontiguousarray(xp.transpose(recurrent_kernel))
    dh = xp.zeros((batch, units), x.dtype) if d_h_n is None else xp.ascontiguousarray(d_h_n).copy()
    for t in range(time - 1, -1, -1):
        if d_out is not None:
            dh = dh + d_out[t]
        xp.multiply(dh, slope[t], da[t])
        dh = xp.dot(da[t], back)
    flat = da.reshape(time * batch, units)
    dx = xp.dot(flat, xp.transpose(kernel)).reshape(time, batch, features)
    if lengths is not None and at_once is not None:
        dh = dh + at_once
    flat_x, flat_before = _time_first(xp, x).reshape(time * batch, features), _states(xp, out, h0).reshape(time * batch, units)
    return (xp.transpose(dx, _FIRST), xp.dot(xp.transpose(flat_x), flat), xp.dot(xp.transpose(flat_before), flat), xp.sum(flat, axis=0, dtype=x.dtype), dh)


@op(infer=lambda *types, **_: types, type="RNNOutputs", category="recurrent", listed=False, outputs=("out", "h_n"), zh="输出")
def rnn_outputs(xp, out: Any, h_n: Any):
    """Hand on the outputs of a recurrent network that is written out in elementary operations."""
    return out, h_n


def _handed_on(node, g):
    return tuple((lambda d=d: d) if d is not None else None for d in g)


gru_outputs.gradient(_handed_on)
rnn_outputs.gradient(_handed_on)
