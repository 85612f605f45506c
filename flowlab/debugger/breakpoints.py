"""Where a Debugger pauses, or looks without pausing."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..core.errors import DebuggerError
from ..core.graph import Node, Tensor
from ..runtime.backend import on_host
from ..trace.conditions import Condition, condition
from ..trace.trace import Event, Stats, stats_of
from .frames import told

if TYPE_CHECKING:
    from .debugger import Debugger


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """Pause before a node, or after a tensor has its value; `when` narrows it."""

    id: int
    target: str                 # a node, a tensor `x:0`, or a pattern such as `hidden/*`
    is_tensor: bool
    when: Callable[..., bool] | None
    condition: str | None = None
    hits: int = 1               # it acts from the hits-th time on that it holds
    timestep: int | None = None
    action: Literal["pause", "log", "snapshot"] = "pause"

    def watches(self, node: str, frame: tuple) -> bool:
        """Does it look at the firings of this node here?"""
        target = self.target.rpartition(":")[0] if self.is_tensor and ":" in self.target else self.target
        if self.timestep is not None and (not frame or frame[-1] != self.timestep):
            return False
        return target == node or any(c in target for c in "*?") and fnmatchcase(node, target)

    def outputs(self, count: int) -> range:
        """Which of a node's outputs it looks at."""
        _, colon, index = self.target.rpartition(":")
        return range(int(index), int(index) + 1) if colon else range(count)


@dataclass(frozen=True, slots=True)
class Hit:
    """A breakpoint that held and did not pause: where, and what it saw; `value` is there for a snapshot."""

    breakpoint: int
    event: int
    node: str
    frame: tuple
    stats: Stats
    value: np.ndarray | None = None


def check(when: Any, hits: Any, timestep: Any, action: Any) -> None:
    """DebuggerError if no breakpoint of any run could be so."""
    if action not in ("pause", "log", "snapshot"):
        raise DebuggerError(f"the action of a breakpoint is {action!r}.", hint='Use "pause", "log" or "snapshot".')
    for what, number, least in (("hits", hits, 1), ("timestep", timestep, 0)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least):
            raise DebuggerError(f"{what} is {number!r}.", hint=f"Use a whole number from {least} on.")
    if isinstance(when, str):
        condition(when)


class Breakpoints:
    """The breakpoints of a Debugger."""

    def __init__(self, debugger: Debugger):
        self._debugger = debugger
        self._all: dict[int, Breakpoint] = {}
        self._held: dict[int, int] = {}     # how often each has held
        self._next = 1

    def add(self, target: str | Node | Tensor, when: str | Callable[[np.ndarray], bool] | None = None, *, hits: int = 1, timestep: int | None = None,
            action: Literal["pause", "log", "snapshot"] = "pause") -> int:
        """Pause before the node `target`, or, with a tensor (`"x:0"`) or a condition, right after it has its value. Returns an id.

        `target` may be a pattern of names: `add("*", when="nan or inf")` pauses at the first NaN. `when` is a text that `flowlab.trace.conditions`
        reads, or a function of the value. `hits`: from the how-many-th time on. `timestep`: in that timestep of a loop alone. `action`: "log" and
        "snapshot" do not pause; `dbg.hits` keeps what they saw, a snapshot with the value.
        """
        graph = self._debugger.session.graph
        check(when, hits, timestep, action)
        is_tensor = isinstance(target, Tensor) or isinstance(target, str) and ":" in target or when is not None or action != "pause"
        if isinstance(target, str) and any(c in target for c in "*?"):
            if ":" in target:
                raise DebuggerError(f"{target!r} is a pattern of tensors.", hint="A pattern names nodes, such as hidden/*; a condition looks at all their outputs.")
            if not any(fnmatchcase(n, target) for n in self._debugger.names()):
                raise DebuggerError(f"no node of this run has a name like {target!r}.", hint="* stands for any letters, / among them; ? for one.")
            name = target
        elif is_tensor:
            tensor = target if isinstance(target, Tensor) else target.outputs[0] if isinstance(target, Node) and target.outputs else graph.tensor(getattr(target, "name", target))
            name = told(graph, tensor)
        else:
            name = told(graph, target if isinstance(target, Node) else graph.node(str(target)))
        new = Breakpoint(self._next, name, is_tensor, condition(when) if isinstance(when, str) else when, when if isinstance(when, str) else None, int(hits), timestep,
                         action)
        self._next += 1
        self._all[new.id] = new
        return new.id

    def remove(self, id: int) -> None:
        self._held.pop(id, None)
        if self._all.pop(id, None) is None:
            raise DebuggerError(f"there is no breakpoint {id}.", hint=f"There are {', '.join(map(str, self._all)) or 'none'}.")

    def clear(self) -> None:
        self._all.clear()
        self._held.clear()

    def before(self, node: str, frame: tuple) -> bool:
        """Is there one that pauses before this node fires?"""
        return any(not b.is_tensor and b.watches(node, frame) and self._counts(b) for b in self._all.values())

    def after(self, event: Event, values: Sequence[Any]) -> tuple[bool, list[Hit]]:
        """Is there one that pauses now that this firing has these values? And what those saw that only look."""
        pauses, seen = False, []
        for b in list(self._all.values()):
            if not b.is_tensor or not b.watches(event.node, event.frame):
                continue
            for k in b.outputs(len(values)):
                value = values[k]
                if value is None:
                    continue
                try:
                    if isinstance(b.when, Condition):
                        holds = b.when(value, self._debugger._before(event, k) if b.when.looks_back else None)
                    else:
                        holds = b.when is None or bool(b.when(np.array(on_host(value))))
                except Exception as error:  # a person's own function
                    raise DebuggerError(f"the condition of breakpoint {b.id} failed: {type(error).__name__}: {error}", node=event.node,
                                        hint="It is a function of the tensor's value that says whether to stop.") from error
                if holds and self._counts(b):
                    if b.action == "pause":
                        pauses = True
                    else:
                        seen.append(Hit(b.id, event.index, event.node, event.frame, stats_of(value), np.array(on_host(value)) if b.action == "snapshot" else None))
                    break
        return pauses, seen

    def held(self, id: int) -> int:
        """How often a breakpoint has held so far."""
        return self._held.get(id, 0)

    def _counts(self, b: Breakpoint) -> bool:
        """One more time that it holds; has it held often enough to act?"""
        self._held[b.id] = self._held.get(b.id, 0) + 1
        return self._held[b.id] >= b.hits

    def __iter__(self):
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)
