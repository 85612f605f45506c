"""The array namespace of a graphics card: CuPy, one stream a device, memory from CuPy's pool."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .backend import Backend


class CupyBackend(Backend):
    """CuPy on one card. Whatever kernels launch goes to the card's own stream, in order; a value is waited for when it comes to the host."""

    name = "cupy"

    def __init__(self, number: int = 0):
        import cupy
        from cupyx.scipy import special
        super().__init__(cupy, special)
        self.device = cupy.cuda.Device(number)
        with self.device:
            self.stream = cupy.cuda.Stream(non_blocking=True)

    def bind(self, kernel: Callable) -> Callable:
        device, stream = self.device, self.stream

        def on_stream(*args: Any, **named: Any) -> Any:
            with device, stream:
                return kernel(*args, **named)
        return on_stream

    def from_host(self, array: np.ndarray) -> Any:
        with self.device, self.stream:
            return self.module.asarray(array)

    def to_host(self, array: Any) -> np.ndarray:
        if not isinstance(array, self.module.ndarray):
            return np.asarray(array)
        with self.device, self.stream:
            return self.module.asnumpy(array)

    def add_at(self, target: Any, index: Any, values: Any) -> None:
        scatter_add(self.module, target, index, values)

    def free(self) -> None:
        """Give the memory that nothing uses back to the card."""
        with self.device:
            self.module.get_default_memory_pool().free_all_blocks()


def scatter_add(xp: Any, target: Any, index: Any, values: Any) -> None:
    """CuPy's `add.at`. It adds no signed 64-bit ints: those go as unsigned ones, whose sums have the same bits."""
    if target.dtype == np.int64:
        xp.add.at(target.view(np.uint64), index, xp.asarray(values).astype(np.int64).view(np.uint64))
    else:
        xp.add.at(target, index, values)


def look(number: int) -> Backend | str:
    """The card of that number; a sentence that says why not where there is none."""
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed: pip install 'flowlab[gpu]'"
    except Exception as error:  # a driver or library that does not fit
        return f"CuPy does not load: {error}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception:   # CuPy's own error class cannot be named without a driver
        count = 0
    if number >= count:
        return "CuPy sees no graphics card" if not count else f"there {'is 1 card' if count == 1 else f'are {count} cards'}"
    return CupyBackend(number)
