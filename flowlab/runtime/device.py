"""Devices: logical processors that share the host's memory, and graphics cards through CuPy."""
from __future__ import annotations

import re
from typing import Any

from .backend import NUMPY, Backend

HOST = "cpu:0"      # where feeds come in, variables stay, and results go out
_NAME = re.compile(r"(cpu|gpu):(\d{1,4})")
_GPUS: dict[int, Backend | str] = {}    # number of a card → its array functions, or why there is none


class Devices:
    """The devices of a session: `cpu:0` to `cpu:n-1`, logical processors, and whatever cards there are."""

    def __init__(self, cpus: int = 1):
        self.cpus = cpus

    def __iter__(self) -> Any:
        return (f"cpu:{k}" for k in range(self.cpus))

    def find(self, name: Any) -> Backend | str:
        """The array functions of that device; a sentence if it is not there."""
        found = _NAME.fullmatch(name) if isinstance(name, str) else None
        if found is None:
            return 'a device is named "cpu:0", "cpu:1", "gpu:0" …'
        kind, number = found[1], int(found[2])
        if kind == "gpu":
            return gpu(number)
        return NUMPY if number < self.cpus else f"Session(g, cpus={number + 1}) makes it"


def gpu(number: int) -> Backend | str:
    """CuPy on the card of that number; a sentence that says why not where there is none."""
    found = _GPUS.get(number)
    if found is None:
        from .cupy import look
        found = _GPUS[number] = look(number)
    return found
