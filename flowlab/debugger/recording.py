"""Recording: a run that is over, gone through as if it were stepped."""
from __future__ import annotations

from typing import Any

from ..core.errors import DebuggerError, DeviceError, DocumentError, FlowError
from ..core.graph import Tensor
from ..runtime.machine import amount, memory_left
from ..runtime.plan import Step
from ..trace.trace import Event, Trace, record
from .debugger import Debugger
from .frames import Frame


class Recording(Debugger):
    """Goes through a Trace with a Debugger's commands: every value is the one on the record, nothing is computed and nothing commits.

    Firings can be looked at in any order that the wires allow, forward and back. What is not on the record, such as an override, is a DebuggerError;
    `branch()` gives a Debugger at the same place that computes anew, and that can be changed.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     y = fl.square(fl.add(fl.placeholder((), name="x"), 1.0, name="up"), name="y")
    >>> past = fl.Recording(fl.Session(g).trace(y, {"x": 2.0}))
    >>> past.step().node, float(past.value("up:0")), past.computed("y:0")
    ('up', 3.0, False)
    """

    def __init__(self, trace: Trace):
        super().__init__(trace.session, trace.fetches, trace.feeds, since=trace.moment, budget=1 << 62)     # a file's values need not be what this machine computes
        self.recorded = trace
        self._put(([], _whole(trace, self), {}, {}))
        self._check()
        self.seek(0)

    @property
    def total(self) -> int:
        """Firings on the record."""
        return self.length

    @property
    def ended(self) -> bool:
        """Has all that is on the record been gone through? A recording may end before its run would have."""
        return self.cursor == self.length

    def override(self, name: str | Tensor, value: Any, at: int | tuple | None = None) -> None:
        """Refused: what was recorded cannot come out otherwise. `branch()` can be changed."""
        raise DebuggerError("this is a recording: its values are what they were.", node=str(getattr(name, "name", name)).rpartition(":")[0] or None,
                            hint="Go on live, and override there; or override in a second run beside this one.")

    def clear_override(self, name: str | Tensor | None = None) -> None:
        """A recording has no overrides."""

    def trace(self) -> Trace:
        """The trace that is gone through."""
        return self.recorded

    def __repr__(self) -> str:
        return super().__repr__().replace("Debugger of", "Recording of", 1)

    def _fire(self, frame: Frame, step: Step) -> Event:
        """Take the next firing from the record; one that comes later there is taken first, if that is the one to look at."""
        at, events, key = self.cursor, self._record[1], (*frame.path, step.index)
        if at == len(events):
            raise DebuggerError(f"the recording ends here, after {at} firings.", node=frame.name(step), hint="Go on live: what comes next is computed then.")
        found = next((k for k in range(at, len(events)) if events[k].key == key), None)
        if found is None:
            raise DebuggerError(f"{frame.name(step)} is not on this recording.", node=frame.name(step), hint="Go on live: what comes next is computed then.")
        if found > at:
            events.insert(at, events.pop(found))
            for k in range(at, found + 1):
                events[k].index = k
        return super()._fire(frame, step)

    def _check(self) -> None:
        """Go through all of it once: a file may hold what is no run of its graph."""
        for number, event in enumerate(self.records):
            try:
                *path, index = event.key
                frame = self._frame(tuple(path))
                step = frame.plan.steps[index]
                if frame.name(step) != event.node or frame.place != event.frame or index not in frame.ready or len(event.outputs) != len(step.outs):
                    raise DocumentError("it is not one that can come here.")
                if step.bodies:
                    self._current(frame, step)
                self._fire(frame, step)
            except (FlowError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise DocumentError(f"firing {number} of this recording, {event.node}, does not follow from those before it: {getattr(error, 'message', error)}", node=event.node) from None


def _whole(trace: Trace, owner: Recording) -> list[Event]:
    """The trace's events with their values; where it has let some go, the run is computed once more, bit for bit the same."""
    if all(e._outputs is not None for e in trace.events):
        return [e.copy(owner) for e in trace.events]
    size, left = sum(e.nbytes for e in trace.events if e._outputs is None), memory_left()
    if left is not None and size > left:
        raise DeviceError(f"what this run has let go takes {amount(size)}: this process may use {amount(left)} more.", hint="Record fewer fetches, or look at trace.value(name), which computes one at a time.")
    snapshot, run = trace.moment
    again = record(trace.session, trace.fetches, trace.feeds, budget=1 << 62, snapshot=snapshot, run=run)
    values = {e.key: e._outputs for e in again.events}
    return [Event(e.index, e.node, e.phase, values[e.key] if e._outputs is None else e._outputs, e.start, e.duration, owner, e.frame, e.device, e.key, e.top, e.thread)
            for e in trace.events]
