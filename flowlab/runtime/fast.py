"""Kernels for numba, which the `fast` extra brings: loops that would be many passes over an array in NumPy. Imported when the first large enough array comes.

They are compiled once and kept on disk by numba. Their tanh is a rational function, right to 3e-7; otherwise they compute what NumPy's do, in float32.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numba
import numpy as np

_F = np.float32
_A = tuple(map(_F, (4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08, -8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16)))
_B = tuple(map(_F, (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)))
_A1, _A3, _A5, _A7, _A9, _A11, _A13 = _A
_B0, _B2, _B4, _B6 = _B
_END, _FLAT, _ONE, _HALF, _ZERO = _F(7.90531110763549805), _F(9.01), _F(1), _F(0.5), _F(0)
# nothing that would tell NaN or infinity away: only the order of sums and the joining of products and sums is the compiler's
_HOW = {"fastmath": {"contract", "reassoc", "arcp", "nsz"}, "error_model": "numpy", "nogil": True, "boundscheck": False}


@numba.njit(inline="always", **_HOW)
def _tanh(x):
    """tanh as Eigen has it: a rational function, and ±1 where it is that to the last digit; NaN stays NaN."""
    held = _END if x > _END else -_END if x < -_END else x
    y = held * held
    p = held * (_A1 + y * (_A3 + y * (_A5 + y * (_A7 + y * (_A9 + y * (_A11 + y * _A13))))))
    inside = p / (_B0 + y * (_B2 + y * (_B4 + y * _B6)))
    return _ONE if x > _FLAT else -_ONE if x < -_FLAT else inside


@numba.njit(cache=True, **_HOW)
def lstm_forward(z, before, c, row, left):
    """From the four sums of a timestep, in the order i f o | g and those of the sigmoids halved, to the gates in their place, the cell, and h in row[:, left:]."""
    _, batch, units = z.shape
    for b in range(batch):
        i, f, o, g, p, q, r = z[0, b], z[1, b], z[2, b], z[3, b], before[b], c[b], row[b]
        for j in range(units):
            i[j] = _tanh(i[j]) * _HALF + _HALF
        for j in range(units):
            f[j] = _tanh(f[j]) * _HALF + _HALF
        for j in range(units):
            g[j] = _tanh(g[j])
        for j in range(units):
            q[j] = f[j] * p[j] + i[j] * g[j]
        for j in range(units):
            o[j] = _tanh(o[j]) * _HALF + _HALF
        for j in range(units):
            r[left + j] = o[j] * _tanh(q[j])


@numba.njit(cache=True, **_HOW)
def lstm_backward(i, f, g, o, before, c, dh, dc, dz):
    """One timestep back: dh and dc by the state after it give dz by the four sums, in the order i f g o, and dc by the cell before it."""
    batch, units = dh.shape
    for b in range(batch):
        gi, gf, gg, go, p, q, d, e, z = i[b], f[b], g[b], o[b], before[b], c[b], dh[b], dc[b], dz[b]
        for j in range(units):
            t, a = _tanh(q[j]), go[j]
            e[j] += d[j] * a * (_ONE - t * t)
            z[3 * units + j] = d[j] * t * a * (_ONE - a)
        for j in range(units):
            z[j] = e[j] * gg[j] * gi[j] * (_ONE - gi[j])
        for j in range(units):
            z[2 * units + j] = e[j] * gi[j] * (_ONE - gg[j] * gg[j])
        for j in range(units):
            z[units + j] = e[j] * p[j] * gf[j] * (_ONE - gf[j])
        for j in range(units):
            e[j] *= gf[j]


@numba.njit(cache=True, **_HOW)
def relu_gradient(g, y, out):
    for k in range(out.size):
        out[k] = g[k] * (_ONE if y[k] > _ZERO else _ZERO)


@numba.njit(cache=True, **_HOW)
def max_pool_gradient(x, y, g, out):
    """Give each window's error to the first place that holds its largest value; windows lie side by side, the batch is last. A window of no number gives it to its last place."""
    channels, high, wide, batch = y.shape
    down, across = x.shape[1] // high, x.shape[2] // wide
    free = np.empty(batch, np.float32)
    for c in range(channels):
        for a in range(high):
            for b in range(wide):
                top, d = y[c, a, b], g[c, a, b]
                for k in range(batch):
                    free[k] = _ONE
                for i in range(down):
                    for j in range(across):
                        q, o = x[c, a * down + i, b * across + j], out[c, a * down + i, b * across + j]
                        if i == down - 1 and j == across - 1:
                            for k in range(batch):
                                o[k] = d[k] * free[k]
                        else:
                            for k in range(batch):
                                won = free[k] if q[k] == top[k] else _ZERO
                                o[k] = d[k] * won
                                free[k] -= won


@numba.njit(cache=True, **_HOW)
def add_taps(columns, out, row):
    """Add what each tap of one slice of a kernel gives, (taps, channels, places, …, batch) with taps side by side, to the rows from `row` on of (channels, height, width, batch)."""
    taps, channels, high, wide, batch = columns.shape
    for c in range(channels):
        for a in range(high):
            for b in range(wide):
                for t in range(taps):
                    source, target = columns[t, c, a, b], out[c, row + a, b + t]
                    for k in range(batch):
                        target[k] += source[k]


# ---------------------------------------------------------------- elementwise operations in a row, as one loop

_SAID = {"Add": "{0} + {1}", "Subtract": "{0} - {1}", "Multiply": "{0} * {1}", "Divide": "{0} / {1}", "Negative": "-{0}", "Square": "{0} * {0}", "Sqrt": "sqrt({0})",
         "Tanh": "tanh({0})", "Sigmoid": "tanh({0} * half) * half + half", "Abs": "abs({0})", "Maximum": "({0} if {0} >= {1} or {0} != {0} else {1})", "Minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
         "Relu": "({0} if {0} > zero or {0} != {0} else zero)", "ReluGradient": "{0} * (one if {1} > zero else zero)"}


@lru_cache(256)
def loop(kinds: tuple[str, ...], lines: tuple[tuple[int | None, str, tuple[int, ...]], ...]) -> Callable:
    """The compiled function of inputs and outputs that goes over the values once.

    `kinds`: of each input, "whole" for an array of the outputs' shape, "row" for one along their last axis, "number". `lines`: which output each
    operation is (None: none), its name, and its operands by number, the inputs first and then the operations before it.
    """
    count = len(kinds)
    outs = [k for k, _, _ in lines if k is not None]
    head = [f"def chain({', '.join([f'a{j}' for j in range(count)] + [f'o{k}' for k in outs])}):", f"    n = o{outs[0]}.shape[-1]", f"    rows = o{outs[0]}.size // n"]
    head += [f"    x{j} = a{j}[()]" if kind == "number" else f"    x{j} = a{j}.reshape((rows, n))" if kind == "whole" else f"    x{j} = a{j}" for j, kind in enumerate(kinds)]
    head += [f"    y{k} = o{k}.reshape((rows, n))" for k in outs]
    head += ["    for r in range(rows):"] + [f"        z{j} = x{j}[r]" for j, kind in enumerate(kinds) if kind == "whole"] + [f"        w{k} = y{k}[r]" for k in outs]
    terms = ["x{0}" if kind == "number" else "z{0}[j]" if kind == "whole" else "x{0}[j]" for kind in kinds]
    names = [t.format(j) for j, t in enumerate(terms)] + [f"v{k}" for k in range(len(lines))]
    body = ["        for j in range(n):"]
    for k, (out, name, operands) in enumerate(lines):
        body.append(f"            v{k} = {_SAID[name].format(*[names[o] for o in operands])}")
        if out is not None:
            body.append(f"            w{out}[j] = v{k}")
    scope = {"tanh": _tanh, "sqrt": np.sqrt, "zero": _ZERO, "one": _ONE, "half": _HALF}
    exec("\n".join(head + body), scope)     # names and numbers of our own making alone
    return numba.njit(error_model="numpy", nogil=True, boundscheck=False, fastmath={"contract"})(scope["chain"])
