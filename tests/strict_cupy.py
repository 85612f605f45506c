"""A namespace as strict as CuPy's, over NumPy arrays: a kernel that reaches past `xp` fails in it, with no GPU at hand.

It has only the names that the real package has, takes only the arguments that the real functions take, and its arrays refuse to mix with
`numpy.ndarray` or to turn into one, as CuPy's do.
"""
from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import cupy
import cupyx.scipy.special
import numpy as np
import scipy.special

from flowlab.runtime.backend import Backend

_TAKE_HOST = {"asarray", "array", "asanyarray"}     # the doors through which host arrays may enter
_SCALARS = (int, float, bool, np.generic)


def wrap(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return Array(np.asarray(value))
    if isinstance(value, (tuple, list)):
        return (list if isinstance(value, list) else tuple)(wrap(v) for v in value)     # named tuples lose their names
    return value


def unwrap(value: Any, where: str, *, host: bool = False) -> Any:
    if isinstance(value, Array):
        return value._array
    if isinstance(value, np.ndarray) and not host:
        raise TypeError(f"{where}: unsupported type {type(value)}")     # CuPy's words
    if isinstance(value, (tuple, list)):
        return type(value)(unwrap(v, where, host=host) for v in value)
    if isinstance(value, slice):
        return slice(*(unwrap(v, where) for v in (value.start, value.stop, value.step)))
    return value


class Array:
    """A device array: what `cupy.ndarray` has, and nothing else."""

    __slots__ = ("_array",)
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, array: np.ndarray):
        self._array = array

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} was called on a device array.")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(cupy.ndarray, name):
            raise AttributeError(f"'cupy.ndarray' has no attribute {name!r}")
        found = getattr(self._array, name)
        if callable(found):
            return lambda *args, **kw: wrap(found(*unwrap(args, name), **{k: unwrap(v, name) for k, v in kw.items()}))
        return wrap(found)

    def get(self) -> np.ndarray:
        """The one way to the host, whose memory is another."""
        return self._array.copy()

    def __getitem__(self, index: Any) -> Array:
        return wrap(self._array[unwrap(index, "index")])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._array[unwrap(index, "index")] = unwrap(value, "setitem")

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Any:
        return (wrap(row) for row in self._array)

    def __float__(self) -> float:
        return float(self._array)

    def __int__(self) -> int:
        return int(self._array)

    def __index__(self) -> int:
        return self._array.__index__()

    def __bool__(self) -> bool:
        return bool(self._array)

    def __format__(self, spec: str) -> str:
        return format(self._array, spec)

    def __repr__(self) -> str:
        return f"device {self._array!r}"


def _operator(name: str) -> Any:
    def apply(self: Array, *others: Any) -> Any:
        for other in others:
            if not isinstance(other, (Array, *_SCALARS)):
                raise TypeError(f"Unsupported type {type(other)}")
        return wrap(getattr(self._array, name)(*(unwrap(o, name) for o in others)))
    return apply


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"):
    for _form in (f"__{_name}__", f"__r{_name}__"):
        setattr(Array, _form, _operator(_form))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"):
    setattr(Array, f"__{_name}__", _operator(f"__{_name}__"))


class Function:
    """One of CuPy's functions: the arguments are held against the real signature, the work is NumPy's."""

    def __init__(self, name: str, real: Any, ours: Any):
        self._name, self._real, self._ours = name, real, ours
        try:
            self._signature = inspect.signature(real)
        except (TypeError, ValueError):
            self._signature = None

    def __call__(self, *args: Any, **kw: Any) -> Any:
        if self._signature is not None:
            self._signature.bind(*args, **kw)
        elif isinstance(self._real, cupy.ufunc) and set(kw) - {"out", "dtype", "casting"}:
            raise TypeError(f"Wrong arguments {kw}")
        host = self._name in _TAKE_HOST
        return wrap(self._ours(*unwrap(args, self._name, host=host), **{k: unwrap(v, self._name, host=host) for k, v in kw.items()}))

    def __getattr__(self, name: str) -> Any:
        return Function(f"{self._name}.{name}", getattr(self._real, name), getattr(self._ours, name))


class Namespace:
    """What `import cupy` gives, and its modules such as `cupy.linalg`."""

    def __init__(self, real: Any = cupy, ours: Any = np):
        self._real, self._ours = real, ours

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)      # AttributeError for what CuPy lacks
        ours = getattr(self._ours, name)
        found = Namespace(real, ours) if isinstance(ours, ModuleType) else Function(name, real, ours) if callable(ours) and not isinstance(ours, type) else ours
        setattr(self, name, found)
        return found


class StrictBackend(Backend):
    """A Backend over the strict namespace; kernels registered for CuPy are used."""

    name = "cupy"

    def __init__(self) -> None:
        super().__init__(Namespace(), Namespace(cupyx.scipy.special, scipy.special))

    def from_host(self, array: np.ndarray) -> Array:
        return Array(np.array(array))

    def to_host(self, array: Any) -> np.ndarray:
        return array._array.copy() if isinstance(array, Array) else np.asarray(array)


STRICT = StrictBackend()
