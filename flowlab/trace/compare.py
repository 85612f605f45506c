"""Two runs side by side: where they first differ, and by how much."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DebuggerError
from ..core.types import shape_text


@dataclass(frozen=True, slots=True)
class Difference:
    """One output that two runs do not agree on, at one firing."""

    tensor: str
    frame: tuple
    kind: str           # "value", or "shape" when they cannot be compared
    index: int          # number of the firing in the first run
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

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     y = fl.exp(fl.placeholder((), name="x"), name="y")
    >>> sess = fl.Session(g)
    >>> fl.compare(sess.trace(y, {"x": 0.0}), sess.trace(y, {"x": 1.0})).first
    y:0: 1 and 2.718282 at [], relative difference 1.7
    """
    one, two = _firings(a), _firings(b)
    # of a Debugger, with what it was told to override
    values_a, values_b = (getattr(run, "outputs_of", lambda event: event.outputs) for run in (a, b))
    found = []
    for key, event in one.items():
        if key not in two:
            continue
        for k, (x, y) in enumerate(zip(values_a(event), values_b(two[key]))):
            if x is not None and y is not None:
                difference = _difference(f"{event.node}:{k}", event, x, y, rtol, atol)
                if difference is not None:
                    found.append(difference)

    def names(keys: Any) -> tuple[str, ...]:
        return tuple(dict.fromkeys(node for node, _, _ in keys))
    return Comparison(tuple(found), len(one.keys() & two.keys()), names(k for k in one if k not in two), names(k for k in two if k not in one))


def _firings(run: Any) -> dict[tuple, Any]:
    """(node, frame, how often before) → event, of a trace or of what a debugger has fired."""
    events = run.records[:run.cursor] if hasattr(run, "records") else getattr(run, "events", None)
    if events is None:
        raise DebuggerError(f"{run!r} is neither a Trace nor a Debugger.", hint="fl.compare takes what sess.trace or fl.Debugger gave.")
    out: dict[tuple, Any] = {}
    count: dict[tuple, int] = {}
    for event in events:
        place = (event.node, event.frame)
        n = count[place] = count.get(place, -1) + 1
        out[(*place, n)] = event
    return out


def _difference(tensor: str, event: Any, x: np.ndarray, y: np.ndarray, rtol: float, atol: float) -> Difference | None:
    if x.shape != y.shape:
        return Difference(tensor, event.frame, "shape", event.index, float("nan"), float("nan"), (), x.shape, y.shape)
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
    return Difference(tensor, event.frame, "value", event.index, float(off[at]), relative, tuple(int(k) for k in at), x[at].item(), y[at].item())
