"""The values of an ONNX graph while it is read: known arrays, weights, tensors, and what is known of a shape's numbers."""
from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from ...core.graph import Graph, Tensor, current_graph
from ...core.types import TensorType
from ...ops.state import constant, variable
from .files import NotInFlowlab


class Value:
    """One value of the model. A known array becomes a node only where a node needs it."""

    def __init__(self, name: str, *, array: np.ndarray | None = None, tensor: Tensor | None = None, make: Callable[[], Tensor] | None = None,
                 dims: np.ndarray | None = None, weight: bool = False, kind: str = "", home: Graph | None = None, why: str = "", sizes: bool = False,
                 items: list[Value] | None = None, empty: bool = False):
        self.name, self.array, self.make, self.dims = name, array, make, dims
        self.weight = weight        # a float initializer: a variable where it is computed with
        self.kind = kind            # the type that ONNX says, where it has fewer bits than flowlab's: "bfloat16", "int4"
        # dims: sizes as numbers, names and None, an array of objects
        self.home = home            # the graph that its variable goes to
        self.items = items          # of a sequence: its entries
        self.empty = empty          # an optional value without an element
        self.sizes = sizes          # would shapes of the model's inputs give it one?
        self.why = why              # not empty: why it has no type, so that nothing can be computed from it
        self.wire: Tensor | None = None     # of one without a type: the opaque node's output
        self.copies: Value | None = None    # the weight that it is an Identity of
        self.own: Value | None = None       # of such a copy: the weight that holds it where it is not trained
        self.roots: frozenset[str] = frozenset()    # the model's inputs that it depends on
        self.variable: Tensor | None = None
        self._made: dict[int, Tensor] = {} if tensor is None else {id(tensor.graph): tensor}
        self._first = tensor

    @property
    def known(self) -> bool:
        """Can it be computed with while the model is read? A weight may be trained, so it cannot."""
        return self.array is not None and not self.weight

    @property
    def type(self) -> TensorType:
        if self.array is not None:
            return TensorType(self.array.shape, self.array.dtype)
        return self.tensor().type if self.dims is None else TensorType(self.dims.shape, np.dtype("int64"))

    @property
    def here(self) -> Tensor | None:
        """Its tensor as far as it is made."""
        return self._first if self._first is not None else self.variable

    def tensor(self, unique: Callable[[str], str] | None = None, trainable: bool = True) -> Tensor:
        """A tensor that holds it, for the graph that is open."""
        if self.why or self.items is not None:
            raise NotInFlowlab(self.why or "a sequence stands where a tensor belongs", self.roots, self.sizes)
        if self._first is not None:
            return self._first
        graph = current_graph()
        if self.weight:
            if self.variable is None:
                home = self.home or graph
                with home, home.state(scope=""):
                    self.variable = variable(self.array, name=unique(self.name) if unique else None, trainable=trainable)
            return self.variable
        found = self._made.get(id(graph))
        if found is None:
            found = self._made[id(graph)] = constant(self.array) if self.array is not None else self.make()
        return found


class Names:
    """Free names for what a model calls by names that may repeat, or that flowlab has no room for."""

    def __init__(self, graph: Graph, kept: Collection[str] = ()):
        self.graph, self.kept = graph, kept     # kept: names for what comes later

    def __call__(self, text: str, kind: str = "value") -> str:
        """A name that no node or scope has, as near to `text` as can be."""
        parts = [p for part in text.split("/") if (p := _part(part))][:16] or [kind]
        graph = self.graph
        for k in range(1, len(parts)):      # a node where a scope is wanted
            while (before := "/".join(parts[:k])) in graph or before in self.kept:
                parts[k - 1] += "_scope"
        while "/".join(parts) in self.kept:
            parts[-1] += "_1"
        return graph.unique(parts[-1], "/".join(parts[:-1]))


def _part(text: str) -> str:
    for old, new in (("->", "_"), (":", "_"), ("^", "_")):
        text = text.replace(old, new)
    return "".join(c if c.isprintable() else "_" for c in text).strip()[:200].strip()


def dim_name(text: str) -> str | None:
    """A dimension's name as flowlab takes one; None if nothing is left of it."""
    text = "".join("_" if c in "(),:/" or not c.isprintable() else c for c in text).strip()[:64].strip()
    return text or None


# ---------------------------------------------------------------- computing while the model is read


class _Arrays:
    """NumPy as the kernels of small ops expect it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def workspace(self, shape: Any, dtype: Any, like: Any = None) -> np.ndarray:
        return np.empty(shape, dtype)

    def add_at(self, target: np.ndarray, index: Any, values: np.ndarray) -> None:
        np.add.at(target, index, values)


_ARRAYS = _Arrays()
LARGEST = 1 << 20       # values that an array computed while the model is read may have


def computed(tensors: Sequence[Tensor]) -> list[np.ndarray] | None:
    """The values of tensors that depend on constants alone; None where one is too large, or has a kernel that needs a run."""
    found: dict[tuple[int, int], np.ndarray] = {}

    def value(t: Tensor) -> np.ndarray:
        stack = [t.node]
        while stack:
            node = stack[-1]
            if (node.id, 0) in found:
                stack.pop()
                continue
            if node.op.source == "constant":
                found[node.id, 0] = node.attrs["value"]
                continue
            if node.op.source or node.op.routine or node.op.random or node.op.effect or any(_count(o.shape) > LARGEST for o in node.outputs):
                raise LookupError(node.name)
            missing = [i.node for i in node.inputs if (i.node.id, 0) not in found]
            if missing:
                stack.extend(missing)
                continue
            given = [found[i.node.id, i.index] for i in node.inputs]
            fixed = given if node.op.variadic or len(given) == len(node.op.inputs) else [dict(zip(node.ports, given)).get(p.name) for p in node.op.inputs]
            got = node.op.kernel_function(_ARRAYS, *fixed, **node.attrs)
            for k, array in enumerate(got if isinstance(got, tuple) else (got,)):
                found[node.id, k] = np.asarray(array)
                if found[node.id, k].dtype != node.outputs[k].dtype or found[node.id, k].size > LARGEST:
                    raise LookupError(node.name)
        return found[t.node.id, t.index]

    try:
        with np.errstate(all="ignore"):
            return [value(t) for t in tensors]
    except Exception:   # it is computed when the graph runs, where an error has a name and a place
        return None


def _count(shape: Any) -> int:
    total = 1
    for d in shape:
        total *= d if isinstance(d, int) else 1
    return total
