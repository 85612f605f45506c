"""The array namespace that kernels see: one module's functions, and what that module lacks."""
from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from math import prod
from types import ModuleType
from typing import Any

import numpy as np


class Special:
    """Functions that NumPy lacks: SciPy's where it is installed, else Python's own `math`, value by value; both are right to the last digit or so."""

    def erf(self, x: np.ndarray) -> np.ndarray:
        try:
            from scipy.special import erf
        except ImportError:
            from math import erf as one

            def erf(x: np.ndarray) -> np.ndarray:
                return np.fromiter(map(one, x.ravel().tolist()), "float64", x.size).reshape(x.shape).astype(x.dtype)
        self.erf = erf  # type: ignore[method-assign]  # the next call goes straight there
        return erf(x)


class Backend:
    """`xp` for kernels: `xp.exp` is the module's, `xp.workspace` and `xp.add_at` are ours on every backend."""

    name = "numpy"
    smallest = 1 << 16      # bytes; below, an allocation costs less than looking for a used array

    def __init__(self, module: ModuleType | Any, special: Any = None):
        self.module = module
        self.special = Special() if special is None else special

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.module, name)
        setattr(self, name, found)  # the next look-up is a plain attribute
        return found

    def workspace(self, shape: tuple[int, ...], dtype: Any, like: Any = None) -> Any:
        """An array with no particular values in it, for a kernel to fill; its axes lie in memory as those of `like`, which has as many."""
        return self.module.empty(shape, dtype)

    def add_at(self, target: Any, index: Any, values: Any) -> None:
        """Add `values` where `index` points, counting an index as often as it occurs."""
        self.module.add.at(target, index, values)

    def windows(self, array: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        """A view of a contiguous array with this shape and these strides; several of its places may be one in memory, so nobody writes to it."""
        return self.module.lib.stride_tricks.as_strided(array, shape, strides)

    def blocks(self, shape: tuple[int, ...], values: int = 0) -> Any:
        """Indices that together cover an array, each a part to work on at once; here, the whole."""
        return (Ellipsis,)

    def compiled(self, name: str, dtype: Any, work: int) -> Callable | None:
        """The loop of that name compiled for this machine, for `work` values and more of a dtype; None where NumPy's calls serve."""
        return None

    def pooled(self, name: str, inputs: int, dtype: Any) -> Any:
        """The function of that name for large arrays; here it allocates like any other."""
        return getattr(self, name)

    def to_host(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def from_host(self, array: np.ndarray) -> Any:
        return self.module.asarray(array)

    def bind(self, kernel: Callable) -> Callable:
        """The kernel as it is called in a plan over several devices: on this one's stream, where it has one."""
        def on_device(*args: Any, **named: Any) -> Any:
            return kernel(*args, **named)
        return on_device

    def free(self) -> None:
        """Give idle memory back to the system."""


def on_host(value: Any) -> np.ndarray:
    """The value as NumPy's; a device array is brought over."""
    if type(value) is np.ndarray:
        return value
    return value.get() if hasattr(value, "get") else np.asarray(value)


def _unheld() -> int:
    """What getrefcount says in a loop over a list when nothing but the list holds the array; Python versions differ."""
    for raw in [np.empty(1)]:
        count = sys.getrefcount(raw)
    return count


UNHELD = _unheld()
_SUM, _MAX, _MIN = np.add.reduce, np.maximum.reduce, np.minimum.reduce


class NumpyBackend(Backend):
    """NumPy, with large work arrays handed out again once nobody holds them: fresh pages cost more than the arithmetic on them."""

    limit = 1 << 28         # bytes that idle arrays may keep

    def __init__(self) -> None:
        super().__init__(np)
        self._pool: dict[int, list[tuple[np.ndarray, int]]] = {}     # bytes → memory, and where in it a line of the cache begins
        self._lock = threading.Lock()
        self._kept = 0

    def workspace(self, shape: tuple[int, ...], dtype: Any, like: Any = None) -> np.ndarray:
        if like is not None and not like.flags.c_contiguous:  # images stay batch-last between a convolution and what follows
            axes = sorted(range(like.ndim), key=lambda k: -abs(like.strides[k]))
            return self.workspace(tuple(shape[k] for k in axes), dtype).transpose(sorted(range(len(axes)), key=axes.__getitem__))
        if type(dtype) is not np.dtype:
            dtype = np.dtype(dtype)
        size = dtype.itemsize
        for d in shape:
            size *= d
        if size < self.smallest:
            return np.empty(shape, dtype)
        size = -(-size // 4096) * 4096
        with self._lock:
            shelf = self._pool.setdefault(size, [])
            for raw, skip in shelf:
                if sys.getrefcount(raw) <= UNHELD:  # no array looks into it any more
                    return np.ndarray(shape, dtype, raw, skip)
            raw = np.empty(size + 64, np.uint8)
            skip = -raw.__array_interface__["data"][0] % 64
            if self._kept + size > self.limit:
                self._drop_idle()
            if self._kept + size <= self.limit:
                self._pool.setdefault(size, shelf).append((raw, skip))
                self._kept += size
            return np.ndarray(shape, dtype, raw, skip)

    def broadcast_to(self, x: Any, shape: tuple[int, ...]) -> Any:
        if type(x) is not np.ndarray or not x.flags.c_contiguous or x.ndim > len(shape) or not x.size or 0 in shape:
            return np.broadcast_to(x, shape)
        own = (1,) * (len(shape) - x.ndim) + x.shape
        strides = (0,) * (len(shape) - x.ndim) + x.strides
        for a, b in zip(own, shape):
            if a != b and a != 1:
                return np.broadcast_to(x, shape)    # which says what is wrong
        view = np.ndarray(shape, x.dtype, x, 0, tuple([0 if a == 1 else s for a, s in zip(own, strides)]))
        view.flags.writeable = False
        return view

    def windows(self, array: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        return np.ndarray(shape, array.dtype, array, 0, strides) if array.size else np.empty(shape, array.dtype)

    def compiled(self, name: str, dtype: Any, work: int) -> Callable | None:
        # by size and dtype alone, so that a run, its trace and its Debugger do the same
        return getattr(fast_loops(), name, None) if work >= 1 << 14 and dtype == np.float32 else None

    # NumPy's own reductions less the Python around them; they say the same
    def sum(self, x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        return _SUM(x, axis, dtype, None, keepdims)

    def max(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return _MAX(x, axis, None, None, keepdims)

    def min(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return _MIN(x, axis, None, None, keepdims)

    def mean(self, x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        if dtype not in (np.float32, np.float64) or not x.size or x.size >= 1 << 24:
            return np.mean(x, axis=axis, dtype=dtype, keepdims=keepdims)
        total = _SUM(x, axis, dtype, None, keepdims)
        number = total.dtype.type(x.size // total.size)     # exact, and a quotient that is rounded once is what NumPy rounds twice to
        return np.true_divide(total, number, total) if type(total) is np.ndarray else total / number

    def blocks(self, shape: tuple[int, ...], values: int = 16_384) -> Any:
        """Row by row as many as the cache holds, for a kernel that goes over the same values several times."""
        row = prod(shape[1:])
        step = max(1, values // max(row, 1))
        if not shape or shape[0] <= step:
            return (Ellipsis,)
        return [slice(k, k + step) for k in range(0, shape[0], step)]

    def pooled(self, name: str, inputs: int, dtype: Any) -> Any:
        """The ufunc, writing large results into arrays that are handed out again; small ones are allocated as ever."""
        ufunc, workspace, least = getattr(np, name), self.workspace, self.smallest // np.dtype(dtype).itemsize

        def unary(x: Any) -> Any:
            return ufunc(x, workspace(x.shape, dtype, x)) if x.size >= least else ufunc(x)

        def binary(a: Any, b: Any) -> Any:
            if a.size < least and b.size < least:
                return ufunc(a, b)
            shape = a.shape if a.shape == b.shape or not b.ndim else np.broadcast(a, b).shape
            return ufunc(a, b, out=workspace(shape, dtype, a if a.shape == shape else b if b.shape == shape else None))

        def matmul(a: Any, b: Any) -> Any:
            if a.ndim == 2 and b.ndim == 2 and a.shape[0] * b.shape[1] >= least:
                return ufunc(a, b, workspace((a.shape[0], b.shape[1]), dtype))
            return ufunc(a, b)

        return matmul if name == "matmul" else unary if inputs == 1 else binary

    def _drop_idle(self) -> None:
        for size in list(self._pool):
            shelf = self._pool[size]
            busy = []
            for raw, skip in shelf:
                if sys.getrefcount(raw) > UNHELD:
                    busy.append((raw, skip))
            self._kept -= size * (len(shelf) - len(busy))
            if busy:
                self._pool[size] = busy
            else:
                del self._pool[size]

    def free(self) -> None:
        """Give idle work arrays back to the system."""
        with self._lock:
            self._drop_idle()


_FAST: list[Any] = []


def fast_loops() -> Any:
    """The module of compiled loops; None without the `fast` extra, or where FLOWLAB_FAST=0 asks for NumPy alone."""
    if not _FAST:
        found = None
        if os.environ.get("FLOWLAB_FAST", "1") != "0":
            try:
                from . import fast as found
            except ImportError:
                pass
        _FAST.append(found)
    return _FAST[0]


NUMPY = NumpyBackend()
