"""A trace as a file: the graph, what was fed, the variables, and every firing with its values. Opened again it is a Trace like any other."""
from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.errors import DocumentError, FlowError, NoFileError
from ..core.files import write_atomically
from ..core.graph import Graph, Node, Tensor
from ..io import jsonio
from ..io.build import build
from ..io.document import document_of, from_text
from ..runtime.feeding import checked_feeds, feed_tensors, flatten
from ..runtime.machine import amount, memory_left
from ..runtime.session import Session
from ..runtime.store import checked
from ..runtime.timeline import CALLER
from .trace import Event, Trace

VERSION = 1
MAX_FIRINGS = 5_000_000
LONGEST = 1e9       # seconds: no run takes that long


def save_trace(trace: Trace, path: str | os.PathLike) -> None:
    """Write a trace to a file (safetensors) that `load_trace` opens without the session; values that it had let go are computed again for it.

    The old file stays whole until the new one is complete.
    """
    from safetensors.numpy import save
    tensors: dict[str, np.ndarray] = {f"feed/{k}": v for k, v in trace.feeds.items()}
    variables = {n.id: n for n in trace.session.store.variables()}
    tensors |= {f"variable/{variables[k].name}": v for k, v in trace.moment[0].items() if k in variables}
    rows = []
    for event in trace.events:
        outputs = event.outputs
        tensors |= {f"{event.index}/{k}": v for k, v in enumerate(outputs) if v is not None}
        rows.append([event.node, list(event.frame), event.phase, event.start, event.duration, event.device, _plain(event.key), event.top, [v is not None for v in outputs]])
    head: dict[str, Any] = {"version": VERSION, "graph": document_of(trace.graph).text(), "fetches": _fetches(trace.fetches), "seed": trace.session.seed, "cpus": trace.session.placement.devices.cpus,
            "run": trace.moment[1], "events": rows}
    if any(e.thread != CALLER for e in trace.events):
        head["threads"] = [e.thread for e in trace.events]
    if trace.overridden:
        head["overridden"] = list(trace.overridden)
    try:
        text = json.dumps(head, ensure_ascii=True, allow_nan=False)
    except ValueError as error:
        raise DocumentError(f"the trace cannot be written: {error}.") from None
    write_atomically(path, save({k: np.array(v, order="C") for k, v in tensors.items()}, metadata={"flowlab_trace": text}))


def load_trace(path: str | os.PathLike) -> Trace:
    """Open a trace that `Trace.save` wrote: its graph, values and statistics, with a session of its own in which it can be run again.

    DocumentError for a file that is none, damaged, or not sound.
    """
    from safetensors import SafetensorError, safe_open
    try:
        size, left = os.stat(path).st_size, memory_left()
        if left is not None and size > left // 2:
            raise DocumentError(f"{os.fspath(path)!r} holds {amount(size)}: this process may use {amount(left)} more.", hint="Free memory, or record with fewer fetches.")
        with safe_open(os.fspath(path), "numpy") as file:
            text = (file.metadata() or {}).get("flowlab_trace")
            if text is None:
                raise DocumentError(f"{os.fspath(path)!r} is no trace.", hint="Trace.save writes one; Session.restore reads weights.")
            head = jsonio.parse(text, what="the trace's head")
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # safe_open is no mapping
    except FileNotFoundError:
        raise NoFileError(f"there is no file {os.fspath(path)!r}.") from None
    except SafetensorError as error:        # its words are about bytes in a header
        raise DocumentError(f"{os.fspath(path)!r} cannot be read as a trace: it is none, or is damaged.", hint="Trace.save writes one; Session.restore reads weights.") from error
    except (OSError, ValueError, TypeError) as error:
        raise DocumentError(f"{os.fspath(path)!r} cannot be read as a trace: {error}.") from None
    try:
        return _opened(head, tensors)
    except FlowError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:    # a head that nobody wrote with flowlab
        raise DocumentError(f"{os.fspath(path)!r} is not sound: {type(error).__name__}: {error}.") from None


def _opened(head: Any, tensors: Mapping[str, np.ndarray]) -> Trace:
    if head["version"] != VERSION:
        raise DocumentError(f"this trace has version {head['version']!r}, and this flowlab reads {VERSION}.", hint="Upgrade: pip install -U flowlab.")
    built = build(from_text(head["graph"], what="the trace's graph"))
    if built.diagnostics:
        raise DocumentError(f"the trace's graph is not sound: {built.diagnostics[0]}")
    graph = built.graph
    _check_room(graph, tensors)
    session = Session(graph, seed=head["seed"], cpus=head.get("cpus", 1))
    values = {n.id: checked(n, tensors[f"variable/{n.name}"]) for n in session.store.variables() if f"variable/{n.name}" in tensors}
    session.store.commit(values)
    session.store.runs = int(head["run"])
    fetches = _read_fetches(head["fetches"])
    flat, structure = flatten(graph, fetches)
    feeds = feed_tensors(graph, {k.removeprefix("feed/"): v for k, v in tensors.items() if k.startswith("feed/")})
    arrays = checked_feeds(feeds)
    plan = session.plan(flat, tuple(feeds))
    trace = Trace(session, fetches, dict(zip(feeds, arrays)), plan, *session.moment())
    if len(head["events"]) > MAX_FIRINGS:
        raise DocumentError(f"the trace has {len(head['events']):,} firings, more than the {MAX_FIRINGS:,} that flowlab opens.")
    threads = head.get("threads") or [CALLER] * len(head["events"])
    for index, ((node, frame, phase, start, duration, device, key, top, there), thread) in enumerate(zip(head["events"], threads, strict=True)):
        if phase not in ("forward", "backward", "update") or not all(isinstance(t, str) for t in (node, device, top, thread)) or not all(0 <= float(s) <= LONGEST for s in (start, duration)) or top not in plan.topology.by_name:
            raise DocumentError(f"the trace's firing {index} is not one of its graph's.")
        graph.node(node)
        outputs = tuple(tensors[f"{index}/{k}"] if have is True else None for k, have in enumerate(there))
        trace.events.append(Event(index, node, phase, outputs, float(start), float(duration), trace, tuple(frame), device, _key(key), top, thread))
    trace.overridden = tuple(str(name) for name in head.get("overridden", ()))
    if sum(len(e.key) == 1 for e in trace.events) == len(plan.steps):   # a run that was stepped may have been saved before its end
        trace.results = structure([None if isinstance(f, Node) else trace.value(f) for f in flat])
    return trace


def _check_room(graph: Graph, tensors: Mapping[str, np.ndarray]) -> None:
    """DocumentError if the variables that the file does not hold would take more than this process may use: they would be filled anew."""
    sizes = {v.node.name: math.prod(int(d) for d in v.shape) * 8 for v in graph.variables if f"variable/{v.node.name}" not in tensors}    # initializers draw float64
    left = memory_left()
    if left is not None and sum(sizes.values()) > left:
        raise DocumentError(f"the trace does not hold the variable {max(sizes, key=sizes.__getitem__)}, and there is no room to fill it anew: this process may use {amount(left)} more.")


def _fetches(fetches: Any) -> Any:
    """The fetches by name, in their structure."""
    if isinstance(fetches, Mapping):
        return {"dict": {str(k): _fetches(v) for k, v in fetches.items()}}
    if isinstance(fetches, (list, tuple)):
        return {"list" if isinstance(fetches, list) else "tuple": [_fetches(v) for v in fetches]}
    return fetches.name if isinstance(fetches, (Tensor, Node)) else str(fetches)


def _read_fetches(value: Any) -> Any:
    if isinstance(value, str):
        return value
    (kind, inside), = value.items()
    if kind == "dict":
        return {k: _read_fetches(v) for k, v in inside.items()}
    made = [_read_fetches(v) for v in inside]
    return made if kind == "list" else tuple(made)


def _plain(key: Any) -> Any:
    return [_plain(k) for k in key] if isinstance(key, tuple) else int(key)


def _key(value: Any) -> Any:
    return tuple(_key(v) for v in value) if isinstance(value, list) else int(value)


