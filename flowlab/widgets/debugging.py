"""What the lab shows of a debugger beyond its place: breakpoints, watches, overrides, a second run beside the first, and what a firing did."""
from __future__ import annotations

import json
from collections.abc import Callable, Container, Generator, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.errors import DebuggerError, FlowError
from ..core.graph import Graph, Tensor
from ..core.types import TensorType, shape_text
from ..debugger import Breakpoint, Debugger, Recording, Stop
from ..debugger.breakpoints import check
from ..runtime.feeding import flatten
from ..runtime.machine import amount
from ..trace.compare import Comparison
from ..trace.partners import gradient_tensor, whose_gradient
from ..trace.trace import Event
from ..trace.why import bad
from . import protocol as P, values as V

NOT_FINITE = "nan or inf"
LINE = 400          # points of a watch's line
DIFFERENCES = 40    # listed in the page; all are counted
MAX_TEXT = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Waiting:
    """A breakpoint that the next run gets."""

    target: str
    when: str | Callable[..., bool] | None = None
    hits: int = 1
    timestep: int | None = None
    action: str = "pause"

    @property
    def key(self) -> str:
        """What tells it from another: the page has it removed by this."""
        return "|".join(map(str, (self.target, self.when or "", self.hits, "" if self.timestep is None else self.timestep, self.action)))

    @classmethod
    def of(cls, found: Breakpoint) -> Waiting:
        return cls(found.target, found.condition or found.when, found.hits, found.timestep, found.action)

    def check(self, names: Container[str]) -> None:
        """FlowError if no run of a document with nodes of these names could have it."""
        check(self.when, self.hits, self.timestep, self.action)
        node = self.target.rpartition(":")[0] if ":" in self.target else self.target
        if not any(c in node for c in "*?") and node not in names:
            raise DebuggerError(f"there is no node {node!r} to pause at.", node=node)

    def put(self, dbg: Debugger) -> int:
        """Set it in a run; FlowError if it has no place there."""
        return dbg.breakpoints.add(self.target, self.when, hits=self.hits, timestep=self.timestep, action=self.action)


def breakpoint_spec(found: Waiting, drawn: Callable[[str], str | None], held: int = 0) -> P.BreakSpec:
    node = found.target.rpartition(":")[0] if ":" in found.target else found.target
    return P.BreakSpec(key=found.key, target=found.target, drawn=drawn(node), when=found.when if isinstance(found.when, str) else "a function" if found.when else "",
                       hits=found.hits, timestep=found.timestep, action=found.action, held=held)


def watch_spec(dbg: Debugger | None, graph: Graph, name: str, seen: Callable[[str], np.ndarray | None], drawn: Callable[[str], str | None], box: str, *,
               secret: Set[str] = frozenset(), types: Mapping[str, TensorType] | None = None) -> P.WatchSpec:
    """One row of the table: the tensor as it is now and its mean firing by firing, and its gradient, where the graph has one. Nothing is told of what is `secret`."""
    node, value = name.rpartition(":")[0], seen(name)
    type = types.get(name) if types is not None else None
    line = []
    if dbg is not None and name not in secret:
        output = int(name.rpartition(":")[2]) if name.rpartition(":")[2].isdigit() else 0
        fired = [e for e in dbg.records[:dbg.cursor] if e.node == node][-LINE:]
        line = [V.finite(e.stats[output].mean) for e in fired if output < len(e.stats)]
    part, wrong = _boxed(value, box)
    partner = gradient_of(graph, name)
    back = seen(partner) if partner is not None else None
    slope, _ = _boxed(back, box)
    return P.WatchSpec(tensor=name, drawn=drawn(node), shape=shape_text(value.shape if value is not None else type.shape) if value is not None or type is not None else "",
                       dtype=str(value.dtype) if value is not None else type.dtype.name if type is not None else "", known=value is not None,
                       stats=V.stats(part) if part is not None else None, line=line, box=box, wrong=wrong, number=_one(part), gradient=partner,
                       gradient_drawn=drawn(partner.rpartition(":")[0]) if partner is not None else None, gradient_stats=V.stats(slope) if slope is not None else None, gradient_number=_one(slope))


def gradient_of(graph: Graph, tensor: str) -> str | None:
    """The name of the tensor that holds a tensor's gradient, where the graph has one."""
    try:
        found = gradient_tensor(graph, graph.tensor(tensor))
    except FlowError:       # inside a loop, or not sound
        return None
    return found.name if found is not None else None


def whose_gradient_of(graph: Graph, tensor: str) -> str:
    """The name of the tensor that this one is the gradient of; "" if it is none."""
    try:
        found = whose_gradient(graph, graph.tensor(tensor))
    except FlowError:
        return ""
    return found.name if found is not None else ""


def _boxed(value: np.ndarray | None, box: str) -> tuple[np.ndarray | None, str]:
    """The part of a value that is in the box, or all of it with the reason why that is no part."""
    if value is None or not box:
        return value, ""
    try:
        return np.asarray(value[V.read_slice(box, value.shape, picture=False)]), ""
    except FlowError as error:
        return value, error.message


def _one(part: np.ndarray | None) -> str:
    """The number itself, where there is but one."""
    return V.num(float(part.reshape(()))) if part is not None and part.size == 1 else ""


def differences(one: Debugger, other: Debugger, drawn: Callable[[str], str | None], name: str, found: Comparison, *, by: str = "first", first: str = "", secret: Set[str] = frozenset()) -> P.Branch:
    """Where the second run parts from the first; nothing is told of what is `secret`."""
    if secret:
        found = replace(found, differences=tuple(d for d in found.differences if d.tensor not in secret))
    places = {(e.node, e.frame): k for k, e in enumerate(one.records, 1)}
    listed = found.by_norm() if by == "norm" else found.differences
    rows = [P.Apart(tensor=d.tensor, drawn=drawn(d.tensor.rpartition(":")[0]), firing=places.get((d.tensor.rpartition(":")[0], d.frame), 0), frame=" ".join(map(str, d.frame)), kind=d.kind, relative=V.finite(d.relative), largest=V.finite(d.largest),
                    at=list(d.at), a=V.num(d.a) if d.kind == "value" else shape_text(d.a), b=V.num(d.b) if d.kind == "value" else shape_text(d.b))
            for d in listed[:DIFFERENCES]]
    by_edge: dict[str, float] = {}
    for d in found.differences:
        size = 1.0 if not np.isfinite(d.relative) else min(float(d.relative), 1.0)
        by_edge[d.tensor] = max(by_edge.get(d.tensor, 0.0), size)
    results = []
    for k, v in by_node(other).items():
        if f"{k}:0" in secret:
            continue
        tensor = f"{k}:0" if k in one.graph and one.graph.node(k).outputs else ""
        a = one.value(tensor) if tensor and one.computed(tensor) else None
        if v is not None and np.size(v) == 1:
            results.append(P.Outcome(label=k, before=V.num(float(a)) if a is not None else "–", after=V.num(float(v))))
    recorded = isinstance(one, Recording) and isinstance(other, Recording)
    missing = [P.Missing(name=n, drawn=drawn(n), run="A") for n in found.only_a] + [P.Missing(name=n, drawn=drawn(n), run="B") for n in found.only_b] if recorded else []
    return P.Branch(recorded=recorded, first=first, by=by, missing=missing[:DIFFERENCES], more_missing=max(len(missing) - DIFFERENCES, 0), name=name, cursor=other.cursor, total=other.total, done=other.done, error=other.error.message if other.error is not None else "", compared=found.compared,
                    count=len(found.differences), rows=rows, sizes=by_edge, results=results[:12])


def by_node(dbg: Debugger) -> dict[str, Any]:
    """What a run that is over was asked for, by node; a node without outputs gives None. Whoever recorded it may have asked in any structure."""
    if dbg.results is None:
        return {}
    flat, _ = flatten(dbg.graph, dbg.fetches)
    return {(f.node.name if isinstance(f, Tensor) and not f.index else f.name): dbg.value(f) if isinstance(f, Tensor) else None for f in flat}


def to_the_present(dbg: Debugger) -> Generator[None, None, None]:
    """From the past back to the last firing on the record, a stretch at a time."""
    while dbg.cursor < dbg.length:
        dbg.seek(min(dbg.length, dbg.cursor + 100))
        yield


def heat(dbg: Debugger | None, kind: str, drawn: Callable[[str], str | None], secret: Set[str] = frozenset()) -> P.Heat:
    """Time or memory of the firings so far, by what is drawn; a loop's inside counts where it is drawn. The memory of what is `secret` would tell its size."""
    costs: dict[str, Any] = {}
    hidden = {t.rpartition(":")[0] for t in secret} if kind == "memory" else set()
    loops = {n.name for n in dbg.graph.nodes if n.op.routine is not None} if dbg is not None else set()
    for event in dbg.records[:dbg.cursor] if dbg is not None else ():
        if kind == "time" and event.node in loops:      # it lasts as long as all that fired inside, which is counted already
            continue
        if event.node in hidden:
            continue
        name = drawn(event.node) or drawn(event.top)
        if name is not None:
            costs[name] = costs.get(name, 0) + (event.duration if kind == "time" else event.nbytes)
    total, text = sum(costs.values()), V.seconds if kind == "time" else amount
    sizes = _sizes(dbg, secret) if kind == "memory" and dbg is not None else {}
    most = max(sizes.values(), default=0)
    return P.Heat(kind=kind, total=text(total), shares={k: c / total for k, c in costs.items()} if total else {}, labels={k: text(c) for k, c in costs.items()},
                  wires={k: n / most for k, n in sizes.items() if n})


def _sizes(dbg: Debugger, secret: Set[str]) -> dict[str, int]:
    """The bytes of every tensor of the graph itself that has its value by now."""
    sources = (n.outputs[0] for n in dbg.graph.nodes if n.op.source is not None and n.outputs)
    sizes = {t.name: dbg.value(t).nbytes for t in sources if dbg.computed(t)}
    for event in dbg.records[:dbg.cursor]:
        sizes |= {f"{event.node}:{k}": n for k, n in enumerate(event.sizes)}
    return {k: n for k, n in sizes.items() if k not in secret}


def explained(dbg: Debugger, tensor: str, at: Sequence[int] | None, language: str, drawn: Callable[[str], str | None]) -> P.Explained:
    found = dbg.explain(tensor, at, language)
    return P.Explained(tensor=tensor, drawn=drawn(tensor.rpartition(":")[0]), index=list(found.index), arithmetic=found.arithmetic, sentences=list(found.sentences))


def why(dbg: Debugger, tensor: str | None, kind: str, drawn: Callable[[str], str | None]) -> P.Why | None:
    """The way back to where it began; None if there is nothing wrong."""
    found = dbg.why_zero(tensor) if kind == "zero" and tensor is not None else dbg.why_nan(tensor)
    if found is None:
        return None
    path = list(dict.fromkeys(d for n, _ in found.path if (d := drawn(n)) is not None))
    return P.Why(kind=found.kind, tensor=found.tensor, node=found.node, drawn=drawn(found.node), frame=" ".join(map(str, found.frame)), path=path, sentences=list(found.sentences))


def typed(text: str, name: str) -> Any:
    """What a person typed as another value: numbers in JSON, NaN and Infinity among them."""
    if len(text) > MAX_TEXT:
        raise DebuggerError(f"the value typed for {name} has {len(text):,} characters, at most {MAX_TEXT:,} are read.", hint="Use dbg.override in Python.")
    try:
        return json.loads(text.replace("−", "-").replace("∞", "Infinity"))
    except (json.JSONDecodeError, RecursionError) as error:
        where = f" from character {error.pos + 1} on" if isinstance(error, json.JSONDecodeError) else ""
        raise DebuggerError(f"the value typed for {name} cannot be read{where}.", node=name.rpartition(":")[0], hint="Type numbers as [[1, 2], [3, 4]], or one number for all elements.") from None


def step_into(dbg: Debugger, scope: str) -> Generator[Event, None, Stop | None]:
    """Go to before the first node of a scope that has not fired; where all have, nowhere."""
    loops = {n.name for n in dbg.graph.nodes if n.op.routine is not None}       # which fire last of what is in their scope
    first = next((name for name in dbg.names() if name.startswith(f"{scope}/") and name not in loops and dbg.state(name) in ("idle", "ready")), None)
    if first is None:
        return Stop("node", dbg.ready[0] if dbg.ready else None)
    return (yield from dbg.going("resume", first))


def step_out(dbg: Debugger, scope: str) -> Generator[Event, None, None]:
    """Finish a scope: fire until nothing in it is left, its own nodes before others wherever they are ready."""
    own = {s.node.name for s in dbg.plan.steps if s.node.name.startswith(f"{scope}/")}
    while not dbg.done and any(dbg.state(name) != "done" for name in own):
        cursor = dbg.cursor
        inside = dbg.ready and (dbg.ready[0].startswith(f"{scope}/") or next((r for r in dbg.ready if r in own), None))
        if inside is True:
            yield from dbg.going("scope")
        elif (fired := dbg.fire(inside) if inside else dbg.step()) is not None:
            yield fired
        if dbg.cursor == cursor:
            break       # nothing more can fire


def made_bad(dbg: Debugger) -> bool:
    """Did the last firing give a NaN or an infinity?"""
    return bool(dbg.cursor) and any(v is not None and bad(v) for v in dbg.outputs_of(dbg.records[dbg.cursor - 1]))


def keep(items: Iterable[Waiting], key: str) -> tuple[list[Waiting], bool]:
    """All but the one with this key, and whether it was there."""
    items = list(items)
    left = [i for i in items if i.key != key]
    return left, len(left) < len(items)
