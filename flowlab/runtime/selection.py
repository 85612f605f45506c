"""What is looked at: one node, unit, timestep and pixel, the same in every view that is open on a session."""
from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import FlowError

PARTS = ("node", "unit", "timestep", "pixel", "pointed")


class Selection:
    """One selection for all views and labs of a session: what is chosen in one moves the others, and Python reads and sets it too.

    `node`: a name, of a layer or of any node, or a scope; `unit`: of that layer, a channel of a convolution; `timestep`: a place in the sequence that is read, from its
    start, whichever way a layer reads it; `pixel`: (row, column) of what a convolution or pooling gives; `pointed`: a node that somebody points at for a moment. All count from 0, None: none is chosen. A view goes as far as it
    can: a node that it does not show, or an index that its layer does not have, leaves it where it is.

    >>> chosen = Selection()
    >>> leave = chosen.listen(lambda changed: print(*sorted(changed)))
    >>> chosen.set(node="lstm/LSTM", timestep=7)
    node timestep
    >>> chosen.timestep = 7                     # it is there already: nobody is told
    >>> chosen
    Selection(node='lstm/LSTM', timestep=7)
    """

    __slots__ = ("__weakref__", "_heard", "_parts")

    def __init__(self) -> None:
        self._parts: dict[str, Any] = dict.fromkeys(PARTS)
        self._heard: list[Callable[[], Any]] = []       # each gives a listener, None once it is gone

    def __repr__(self) -> str:
        return f"Selection({', '.join(f'{k}={v!r}' for k, v in self._parts.items() if v is not None)})"

    @property
    def node(self) -> str | None:
        return self._parts["node"]

    @node.setter
    def node(self, node: Any) -> None:
        self.set(node=node)

    @property
    def unit(self) -> int | None:
        return self._parts["unit"]

    @unit.setter
    def unit(self, unit: int | None) -> None:
        self.set(unit=unit)

    @property
    def timestep(self) -> int | None:
        return self._parts["timestep"]

    @timestep.setter
    def timestep(self, timestep: int | None) -> None:
        self.set(timestep=timestep)

    @property
    def pixel(self) -> tuple[int, int] | None:
        return self._parts["pixel"]

    @pixel.setter
    def pixel(self, pixel: tuple[int, int] | None) -> None:
        self.set(pixel=pixel)

    @property
    def pointed(self) -> str | None:
        return self._parts["pointed"]

    @pointed.setter
    def pointed(self, pointed: Any) -> None:
        self.set(pointed=pointed)

    def set(self, *, by: Any = None, **parts: Any) -> None:
        """Choose some parts at once; every listener but that of the object `by` is told once, and only of what has changed. FlowError for what is no such part."""
        known = {name: _CHECKS[name](value) if value is not None else None for name, value in parts.items() if name in PARTS}
        if len(known) < len(parts):
            raise FlowError(f"a selection has no {next(k for k in parts if k not in PARTS)}.", hint=f"It has {', '.join(PARTS)}.")
        changed = frozenset(k for k, v in known.items() if self._parts[k] != v)
        if not changed:
            return
        self._parts |= known
        for found in list(self._heard):
            heard = found()
            if heard is None:
                self._heard.remove(found)
            elif by is None or getattr(heard, "__self__", None) is not by:
                try:
                    heard(changed)
                except Exception as error:      # whatever a view meets on its way, who chose has chosen
                    self._heard.remove(found)
                    warnings.warn(f"what followed this selection has stopped: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)

    def clear(self) -> None:
        """Choose nothing; views stay where they are."""
        self.set(**dict.fromkeys(PARTS))

    def listen(self, heard: Callable[[frozenset[str]], Any]) -> Callable[[], None]:
        """Call `heard(names of the parts that changed)` after every change. Returns the way to stop; what it raises stops it too. An object whose method listens is not kept alive by that."""
        found: Callable[[], Any] = weakref.WeakMethod(heard) if hasattr(heard, "__self__") else lambda: heard
        self._heard.append(found)

        def leave() -> None:
            if found in self._heard:
                self._heard.remove(found)
        return leave


def _node(node: Any) -> str:
    name = node if isinstance(node, str) else getattr(node, "name", None) or getattr(getattr(node, "node", None), "name", None)
    if not isinstance(name, str) or not name:
        raise FlowError(f"{node!r} names no node.", hint="Give a name, a Node or a Tensor.")
    return name.partition(":")[0].rstrip("/")


def _index(what: str) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise FlowError(f"{value!r} is no {what}.", hint="Give a whole number from 0 on, or None.")
        return int(value)
    return check


def _pixel(value: Any) -> tuple[int, int]:
    try:
        row, column = value
    except (TypeError, ValueError):
        raise FlowError(f"{value!r} is no pixel.", hint="Give its row and column: (4, 7).") from None
    return _index("row")(row), _index("column")(column)


_CHECKS: dict[str, Callable[[Any], Any]] = {"node": _node, "unit": _index("unit"), "timestep": _index("timestep"), "pixel": _pixel, "pointed": _node}
