"""Two runs side by side, or a run beside arrays from elsewhere: where they first differ, and by how much."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DebuggerError, FeedError, FlowError, nearest
from ..core.graph import Graph, Tensor
from ..core.types import shape_text
from ..io.modules import module_scope
from ..runtime.feeding import resolve


@dataclass(frozen=True, slots=True)
class Difference:
    """One output that two runs do not agree on, at one firing."""

    tensor: str
    frame: tuple
    kind: str           # "value", or "shape" when they cannot be compared
    index: int          # number of the firing in the first run; -1 of what is there before any fires
    largest: float      # of the absolute differences; NaN where only one of the two is NaN
    relative: float     # ‖a − b‖ / ‖a‖
    at: tuple[int, ...]     # where the largest is
    a: Any              # the two values there
    b: Any

    def __repr__(self) -> str:
        where = f" at {' '.join(map(str, self.frame))}" if self.frame else ""
        if self.kind == "shape":
            return f"{self.tensor}{where}: {shape_text(self.a)} and {shape_text(self.b)}"
        return f"{self.tensor}{where}: {self.a:.7g} and {self.b:.7g} at [{', '.join(map(str, self.at))}], relative difference {self.relative:.2g}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two runs have in common: differences in the first run's order, and firings that only one of them has."""

    differences: tuple[Difference, ...]
    compared: int
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def first(self) -> Difference | None:
        """The first that differs; what comes after may only follow from it."""
        return self.differences[0] if self.differences else None

    @property
    def equal(self) -> bool:
        return not (self.differences or self.only_a or self.only_b)

    def by_norm(self) -> list[Difference]:
        """The differences, the largest relative one first."""
        return sorted(self.differences, key=lambda d: (-np.inf if np.isnan(d.relative) else -d.relative, d.index))

    def __iter__(self) -> Iterator[Difference]:
        return iter(self.differences)

    def __len__(self) -> int:
        return len(self.differences)

    def __repr__(self) -> str:
        lines = [f"{self.compared} firings compared, {len(self.differences)} outputs differ."]
        if self.first is not None:
            lines.append(f"First: {self.first!r}")
        for which, names in (("first", self.only_a), ("second", self.only_b)):
            if names:
                lines.append(f"Only in the {which}: {', '.join(names[:6])}{f' and {len(names) - 6} more' if len(names) > 6 else ''}")
        return "\n".join(lines)


def compare(a: Any, b: Any, *, rtol: float = 0.0, atol: float = 0.0) -> Comparison:
    """Compare two Traces or Debuggers firing by firing, by node, frame and output: of one graph, or of two versions of it.

    Values differ where |a − b| > atol + rtol · |b|; NaN equals NaN. Without tolerances every bit that shows counts.

    `b` may be a mapping from names to arrays instead, such as what another program found for the same model: of a tensor, a node (its first output), or a
    scope, which stands for the one tensor that is read outside it. PyTorch's names of modules (`layer1.0.conv`) are those of the scopes that its ONNX exporters make
    of them. Of a node in a loop the firings lie along axis 0. What is not named is not compared; names that the run does not have are in `only_b`.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     y = fl.exp(fl.placeholder((), name="x"), name="y")
    >>> sess = fl.Session(g)
    >>> trace = sess.trace(y, {"x": 0.0})
    >>> fl.compare(trace, sess.trace(y, {"x": 1.0})).first
    y:0: 1 and 2.718282 at [], relative difference 1.7
    >>> fl.compare(trace, {"x": 0.0, "y:0": 1.5}).first
    y:0: 1 and 1.5 at [], relative difference 0.5
    """
    one = _firings(a)
    # of a Debugger, with what it was told to override
    values_a, values_b = (getattr(run, "outputs_of", lambda event: event.outputs) for run in (a, b))
    if isinstance(b, Mapping):
        return _beside(a, one, values_a, b, rtol, atol)
    two, found = _firings(b), []
    for key, event in one.items():
        if key not in two:
            continue
        for k, (x, y) in enumerate(zip(values_a(event), values_b(two[key]))):
            if x is not None and y is not None:
                difference = _difference(f"{event.node}:{k}", event.frame, event.index, x, y, rtol, atol)
                if difference is not None:
                    found.append(difference)

    def names(keys: Any) -> tuple[str, ...]:
        return tuple(dict.fromkeys(node for node, _, _ in keys))
    return Comparison(tuple(found), len(one.keys() & two.keys()), names(k for k in one if k not in two), names(k for k in two if k not in one))


def _beside(run: Any, firings: dict[tuple, Any], values: Any, arrays: Mapping[Any, Any], rtol: float, atol: float) -> Comparison:
    """A run beside arrays by name. Its firings count as compared one by one, and so does a source."""
    graph = run.graph
    of: dict[str, list[Any]] = {}
    for event in firings.values():
        of.setdefault(event.node, []).append(event)
    found: list[Difference] = []
    compared, missing = 0, []
    for name, given in arrays.items():
        tensor = _named(graph, name)
        if tensor is None:
            missing.append(str(name))
            continue
        node = graph.told(tensor.node)
        shown = f"{node}:{tensor.index}"
        other = np.asarray(given)
        if other.dtype.kind not in "biuf":
            raise FeedError(f"what {name} is compared with is no array of numbers, but {other.dtype}.", node=node, hint="Of what gives several arrays, name the one that is meant.")
        events = of.get(node, [])
        seen = [(e.frame, e.index, v) for e in events if (v := values(e)[tensor.index]) is not None]
        if not events:
            try:
                seen = [((), -1, run.value(tensor))]
            except FlowError:
                seen = []
        if not seen:
            missing.append(str(name))
            continue
        looped = bool(seen[0][0])
        if looped and (not other.ndim or len(other) != len(seen)):
            found.append(Difference(shown, (), "shape", seen[0][1], float("nan"), float("nan"), (), (len(seen), *seen[0][2].shape), other.shape))
            continue
        compared += len(seen)
        for k, (frame, index, value) in enumerate(seen):
            difference = _difference(shown, frame, index, value, other[k] if looped else other, rtol, atol)
            if difference is not None:
                found.append(difference)
    if missing and not compared and not found:
        known = [*graph._by_name, *graph._scopes]
        near = [m for name in missing for m in nearest(str(name), known, n=2)]
        raise DebuggerError(f"the run has nothing under any of these names: {', '.join(missing[:6])}{' …' if len(missing) > 6 else ''}.",
                            hint=f"Did you mean {', '.join(near[:3])}?" if near else f"It has {', '.join(known[:8])}{' …' if len(known) > 8 else ''}.")
    return Comparison(tuple(sorted(found, key=lambda d: d.index)), compared, (), tuple(missing))


def _named(graph: Graph, name: Any) -> Tensor | None:
    """The tensor that a name stands for: a tensor's, a node's, a scope's or a module's; None if the graph has none."""
    for text in (name, module_scope(name)) if isinstance(name, str) else (name,):
        if text in graph._scopes:
            leaving = _leaving(graph, text)
            if len(leaving) == 1:
                return leaving[0]
            raise DebuggerError(f"the scope {text} has {len(leaving)} tensors that are read outside it: {', '.join(t.name for t in leaving[:6])}.", node=text, hint="Name the one that is meant.")
        try:
            found = resolve(graph, text, inside=True)
        except FlowError:
            continue
        if isinstance(found, Tensor):
            return found
    return None


def _leaving(graph: Graph, scope: str) -> list[Tensor]:
    """What a scope computes for others; where nobody reads it, what nobody reads. Gradients do not count."""
    forward = [n for n in graph.nodes if n.phase == "forward"]
    inside = [n for n in forward if n.name.startswith(f"{scope}/") and not n.op.source]
    within = {n.id for n in inside}
    read = dict.fromkeys(t for n in forward if n.id not in within for t in n.inputs if t.node.id in within)
    if read:
        return list(read)
    used = {t for n in inside for t in n.inputs}
    return [n.outputs[0] for n in inside if n.outputs and not used.intersection(n.outputs)]


def _firings(run: Any) -> dict[tuple, Any]:
    """(node, frame, how often before) → event, of a trace or of what a debugger has fired."""
    events = run.records[:run.cursor] if hasattr(run, "records") else getattr(run, "events", None)
    if events is None:
        raise DebuggerError(f"{run!r} is neither a Trace nor a Debugger.", hint="fl.compare takes what sess.trace or fl.Debugger gave, and second such a run or a mapping from names to arrays.")
    out: dict[tuple, Any] = {}
    count: dict[tuple, int] = {}
    for event in events:
        place = (event.node, event.frame)
        n = count[place] = count.get(place, -1) + 1
        out[(*place, n)] = event
    return out


def _difference(tensor: str, frame: tuple, index: int, x: np.ndarray, y: np.ndarray, rtol: float, atol: float) -> Difference | None:
    if x.shape != y.shape:
        return Difference(tensor, frame, "shape", index, float("nan"), float("nan"), (), x.shape, y.shape)
    if not x.size or x.dtype == y.dtype and x.tobytes() == y.tobytes():
        return None
    with np.errstate(all="ignore"):
        wide, other = x.astype("float64"), y.astype("float64")
        same = (x == y) | (np.isnan(wide) & np.isnan(other))
        least = 1.0 if x.dtype.kind in "iu" and y.dtype.kind in "iu" else 0.0   # float64 does not hold every int64
        off = np.where(same, 0.0, np.maximum(np.abs(wide - other), least))
        apart = ~same & ~(off <= atol + rtol * np.abs(other))
        if not apart.any():
            return None
        at = np.unravel_index(int(np.argmax(np.where(apart, np.where(np.isnan(off), np.inf, off), -1.0))), x.shape)
        norm = float(np.linalg.norm(wide))
        relative = float(np.linalg.norm(off)) / norm if norm else float("inf")
    return Difference(tensor, frame, "value", index, float(off[at]), relative, tuple(int(k) for k in at), x[at].item(), y[at].item())
