"""Values of variables: a run reads one snapshot and commits all its assignments at once."""
from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, MutableMapping
from math import prod
from typing import Any

import numpy as np

from ..core.errors import DeviceError, DTypeError, FetchError, ShapeError
from ..core.graph import Graph, Node
from ..core.op import no_array_hint
from ..core.types import shape_text
from ..ops.state import initial_value
from .machine import amount, memory_left

Snapshot = Mapping[int, np.ndarray]  # node id → read-only array


def generator(seed: int, node_id: int, run: int = -1, frame: int = 0) -> np.random.Generator:
    """The random numbers that belong to (seed, node, run, frame), the same in whatever order nodes fire."""
    counter = np.array([0, frame % 2**64, (run + 1) % 2**64, node_id % 2**64], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=seed % 2**64, counter=counter))


class Draws:
    """The random generators of one run, or of one timestep in it: called with a node's id. `at(t)` are those of a timestep."""

    __slots__ = ("frame", "run", "seed")

    def __init__(self, seed: int, run: int, frame: int = 0):
        self.seed, self.run, self.frame = seed, run, frame

    def __call__(self, node_id: int) -> np.random.Generator:
        return generator(self.seed, node_id, self.run, self.frame)

    def at(self, timestep: int) -> Draws:
        # a timestep of a loop in a loop is told apart from all others; the name of the loop is not part of it, so a gradient draws as the loop did
        return Draws(self.seed, self.run, (self.frame * 0x9E3779B97F4A7C15 + timestep + 1) % 2**64)


class Store:
    """The variables of one Session. All that a run changes is replaced by one assignment, so an interrupt leaves all-old or all-new."""

    def __init__(self, graph: Graph, seed: int):
        self.graph, self.seed = graph, seed
        self.state: tuple[dict[int, np.ndarray], int, int] = ({}, 0, 0)     # values, commits so far, runs so far
        self._lock = threading.RLock()
        self._seen = 0
        self._nodes: list[Node] = []

    @property
    def values(self) -> dict[int, np.ndarray]:
        """Node id → value; never changed, only replaced."""
        return self.state[0]

    @property
    def version(self) -> int:
        """Commits so far."""
        return self.state[1]

    @property
    def runs(self) -> int:
        """Runs so far: part of the key of random draws."""
        return self.state[2]

    @runs.setter
    def runs(self, count: int) -> None:
        self.state = (*self.state[:2], count)

    def variables(self) -> list[Node]:
        """The graph's variable nodes; new ones get their first value here."""
        nodes = self.graph._nodes
        if len(nodes) != self._seen:
            found = [n for n in nodes if n.op.source == "variable"]
            fresh = {}
            for n in found:
                if n.id not in self.values:
                    check_variable(n)
                    fresh[n.id] = frozen(initial_value(n.attrs, generator(self.seed, n.id)))
            with self._lock:
                self.state = ({**fresh, **self.values}, *self.state[1:])
            self._nodes = found
            self._seen = len(nodes)  # last, so that after an interrupt it is all done again
        return self._nodes

    def snapshot(self) -> Snapshot:
        self.variables()
        return self.state[0]

    def commit(self, assigned: Mapping[int, np.ndarray], runs: int = 0) -> None:
        """Take all new values at once; they are those of `runs` runs. Of two threads that do so at the same time, neither undoes what the other did."""
        with self._lock:
            values, version, before = self.state
            self.state = ({**values, **assigned}, version + 1, before + runs) if assigned else (values, version, before + runs)


def check_variable(node: Node) -> None:
    """DeviceError if there is no room for the variable's first value; it names the variable."""
    type = node.outputs[0].type
    size = prod(type.shape) * (type.dtype.itemsize + 8)  # type: ignore[arg-type]  # initializers compute in float64
    if size > 1 << 26 and (left := memory_left()) is not None and size > left:
        raise DeviceError(f"the variable {node.name} {shape_text(type.shape)} takes {amount(size)} to fill: this process may use {amount(left)} more.", node=node.name,
                          hint="Make it smaller.")


def frozen(array: np.ndarray) -> np.ndarray:
    """The array, marked read-only."""
    array.flags.writeable = False
    return array


class Variables(MutableMapping):
    """`session.variables`: name → host array. Assigning checks shape and dtype and takes a copy."""

    def __init__(self, store: Store):
        self._store = store

    def _node(self, name: Any) -> Node:
        name = getattr(name, "name", name)
        name = str(name).removesuffix(":0")
        for n in self._store.variables():
            if n.name == name:
                return n
        names = [n.name for n in self._store.variables()]
        raise VariableKeyError(f"there is no variable {name!r}.", hint=f"There are {', '.join(names[:12]) or 'none'}{' …' if len(names) > 12 else ''}.")

    def __getitem__(self, name: str) -> np.ndarray:
        return np.array(self._store.snapshot()[self._node(name).id])

    def __setitem__(self, name: str, value: Any) -> None:
        node = self._node(name)
        self._store.commit({node.id: checked(node, value)})

    def __delitem__(self, name: str) -> None:
        raise TypeError("a variable cannot be taken out of a session; its graph holds it.")

    def __iter__(self) -> Iterator[str]:
        return iter([n.name for n in self._store.variables()])

    def __len__(self) -> int:
        return len(self._store.variables())

    def __contains__(self, name: object) -> bool:
        return any(n.name == str(getattr(name, "name", name)).removesuffix(":0") for n in self._store.variables())

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{n.name}: {n.outputs[0].type}" for n in self._store.variables()) + "}"


class VariableKeyError(FetchError, KeyError):
    """There is no variable of that name."""

    __str__ = FetchError.__str__


def checked(node: Node, value: Any) -> np.ndarray:
    """A read-only copy of `value` as the variable needs it; ShapeError or DTypeError otherwise."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise DTypeError(f"the value given to the variable {node.name} is no array.", node=node.name, hint=no_array_hint(value)) from None
    dtype = node.outputs[0].dtype
    if array.dtype.kind not in "fiub" or not np.can_cast(array.dtype, dtype, "same_kind") and not (array.dtype.kind in "iu" and dtype.kind == "f"):
        raise DTypeError(f"the variable {node.name} is {dtype}, the value is {array.dtype}.", node=node.name, hint=f'Use value.astype("{dtype}").')
    if array.shape != node.attrs["shape"]:
        raise ShapeError(f"the variable {node.name} has shape {shape_text(node.attrs['shape'])}, the value {shape_text(array.shape)}.", node=node.name)
    return frozen(np.array(array, dtype=dtype, order="C"))
