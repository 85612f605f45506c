"""Work that may take long, a slice at a time on the kernel's event loop: other messages and other cells get their turn between two slices."""
from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from ..debugger import Debugger
from ..trace.trace import Event

SLICE = 0.04        # seconds of work, so that Pause and Stop answer within 50 ms
GAP = 0.002         # between two slices: what has arrived is handled in it
SHOWN = 0.15        # between two looks at how far it has come; a look that takes long comes more seldom


@dataclass(frozen=True, slots=True)
class Way:
    """Where a run was when it began to go on."""

    dbg: Debugger
    begins: bool
    cursor: int
    pause: int | None       # the breakpoint at the first NaN or infinity, for the way alone


@dataclass(slots=True)
class Going:
    """A way that is gone in slices: the answer to one message of the page."""

    way: Way
    work: Generator[Any, None, Any]
    tell: Callable[[Any, Sequence[Event]], None]    # what came of it, in words
    paused: Callable[[], None]                      # the same where it was halted
    seq: int
    loop: asyncio.AbstractEventLoop | None
    handle: asyncio.TimerHandle | None = None
    shown: float = 0.0


def event_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that this code runs in; None in a script, where nothing could wait for its turn."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def advance(work: Generator[Any, None, Any], seconds: float) -> tuple[bool, Any]:
    """Go on with the work for so long: (is it over, what it came to)."""
    until = time.perf_counter() + seconds
    try:
        while True:
            next(work)
            if time.perf_counter() >= until:
                return False, None
    except StopIteration as stop:
        return True, stop.value


def interruptible(act: Callable[[], bool]) -> bool | None:
    """What `act` gives; interrupting the kernel raises KeyboardInterrupt in it, which Jupyter allows only while a message is handled.

    One interrupt is raised: those that come while it is dealt with are not, for one that got out of here would end the event loop, and with it the kernel.
    None if it came just before or after the work of `act`.
    """
    if threading.current_thread() is not threading.main_thread():
        return act()
    armed: list[bool] = []

    def interrupt(*_: Any) -> None:
        if armed:
            armed.clear()
            raise KeyboardInterrupt
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        try:
            armed.append(True)
            return act()
        finally:
            armed.clear()
    except KeyboardInterrupt:
        return None
    finally:
        signal.signal(signal.SIGINT, before)
