"""Fetches and feeds: what people write, and what a plan needs."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import FeedError, FetchError
from ..core.graph import Graph, Node, Tensor
from ..core.op import held_by, no_array_hint
from ..core.types import shape_text


def resolve(graph: Graph, fetch: Any, inside: bool = False) -> Tensor | Node:
    """The tensor or node that a fetch names; FetchError if it is not of this graph. `inside`: one in the body of a loop will do."""
    if type(fetch) is Tensor and fetch.node.graph is graph:
        return fetch
    if isinstance(fetch, (Tensor, Node)):
        if fetch.graph is not graph:
            name = graph.told(fetch.node if isinstance(fetch, Tensor) else fetch)
            if name and inside:
                return fetch.outputs[0] if isinstance(fetch, Node) and fetch.outputs else fetch
            if name:
                _outside(graph, fetch)
            raise FetchError(f"{fetch.name} belongs to graph {fetch.graph.name!r}, this session runs {graph.name!r}.",
                             node=fetch.name if isinstance(fetch, Node) else fetch.node.name, hint="Fetch tensors of the session's own graph.")
        return fetch.outputs[0] if isinstance(fetch, Node) and fetch.outputs else fetch
    if isinstance(fetch, str):
        return resolve(graph, graph.tensor(fetch) if ":" in fetch else graph.node(fetch), inside=True)
    raise FetchError(f"{fetch!r} cannot be fetched.", hint="Fetch tensors, nodes, names, or lists, tuples and dicts of them.")


def flatten(graph: Graph, fetches: Any) -> tuple[tuple[Tensor | Node, ...], Callable[[Sequence[Any]], Any]]:
    """All fetches in a row, and the function that puts their values back into the structure."""
    if type(fetches) is Tensor:     # the two cases that loops are made of
        return (resolve(graph, fetches),), _first
    if type(fetches) is list and not [f for f in fetches if type(f) is not Tensor and type(f) is not Node]:
        return tuple([resolve(graph, f) for f in fetches]), list
    flat: list[Tensor | Node] = []

    def walk(f: Any) -> Callable[[Sequence[Any]], Any]:
        if isinstance(f, Mapping):
            parts = {k: walk(v) for k, v in f.items()}
            return lambda values: {k: p(values) for k, p in parts.items()}
        if isinstance(f, (list, tuple)):
            inner = [walk(v) for v in f]
            if hasattr(f, "_fields"):
                return lambda values: type(f)(*(p(values) for p in inner))
            kind = list if isinstance(f, list) else tuple
            return lambda values: kind(p(values) for p in inner)
        flat.append(_outside(graph, resolve(graph, f)))
        k = len(flat) - 1
        return lambda values: values[k]

    build = walk(fetches)
    return tuple(flat), build


def _outside(graph: Graph, found: Tensor | Node) -> Tensor | Node:
    """What was found, if it has one value a run; FetchError for what is computed inside a loop or branch."""
    if found.graph is not graph:
        node = found.node if isinstance(found, Tensor) else found
        raise FetchError(f"{graph.told(node)} is computed inside a loop or branch, one value a timestep.", node=graph.told(node),
                         hint="Hand it out: step.output(x) or step.over_time(x) of a scan, what the functions of fl.cond and fl.while_loop return. A Trace and a Debugger look inside.")
    return found


def _first(values: Sequence[Any]) -> Any:
    return values[0]


def feed_tensors(graph: Graph, feeds: Mapping[Any, Any] | None) -> dict[Tensor, Any]:
    """The feeds by tensor; FeedError for a name that is not in the graph."""
    out: dict[Tensor, Any] = {}
    if type(feeds) is not dict and feeds is not None and not isinstance(feeds, Mapping):
        raise FeedError(f"feeds are a dict, not a {type(feeds).__name__}.", hint="Write {x: value}, with tensors or names before the colons.")
    for key, value in (feeds or {}).items():
        if type(key) is Tensor and key.node.graph is graph:
            out[key] = value
            continue
        if isinstance(key, Node):
            key = key.outputs[0] if key.outputs else key.name
        if isinstance(key, Tensor):
            if key.graph is not graph:
                raise FeedError(f"{key.name} belongs to graph {key.graph.name!r}, this session runs {graph.name!r}.", node=key.node.name, hint="Feed tensors of the session's own graph.")
            tensor = key
        else:
            try:
                tensor = graph.tensor(key)
                _outside(graph, tensor)
            except FetchError as error:
                raise FeedError(f"cannot feed {key!r}: {error.message}", node=str(key), hint=error.hint) from None
        out[tensor] = value
    return out


def checked_feeds(feeds: Mapping[Tensor, Any]) -> list[np.ndarray]:
    """Each value as an array of its tensor's dtype; FeedError names tensor and axis when it does not fit."""
    arrays = []
    sizes: dict[str, tuple[int, str]] = {}
    for tensor, value in feeds.items():
        arrays.append(array := _as_array(tensor, value))
        shape = tensor.shape
        if len(array.shape) != len(shape):
            raise FeedError(f"{tensor.node.name} is {shape_text(shape)}, the value fed has shape {shape_text(array.shape)}.", node=tensor.node.name,
                            hint=f"It needs {len(shape)} {'axis' if len(shape) == 1 else 'axes'}, not {array.ndim}.")
        for axis, (want, got) in enumerate(zip(shape, array.shape)):
            if want == got or want is None:
                continue
            if isinstance(want, int):
                raise FeedError(f"{tensor.node.name} is {shape_text(shape)}, the value fed has shape {shape_text(array.shape)}: axis {axis} must be {want}, not {got}.",
                                node=tensor.node.name, axis=axis, hint="Feed a value of that shape, or change the placeholder's shape.")
            before = sizes.setdefault(want, (got, tensor.node.name))
            if before[0] != got:
                raise FeedError(f"{want} is {before[0]} in {before[1]} but {got} in {tensor.node.name}.", node=tensor.node.name, axis=axis,
                                hint=f"Every axis called {want} must have one size in a run.")
    return arrays


def _as_array(tensor: Tensor, value: Any) -> np.ndarray:
    dtype = tensor.dtype
    if type(value) is np.ndarray and value.dtype == dtype:
        # one layout for all, since kernels may round otherwise on another: a trace, which keeps copies, could differ from its run
        return value if value.flags.c_contiguous and value.flags.aligned else np.array(value, order="C")
    if isinstance(value, Tensor):
        raise FeedError(f"{tensor.node.name} is fed a tensor, {value.name}.", node=tensor.node.name, hint="Feed an array: run the tensor first.")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise FeedError(f"the value fed to {tensor.node.name} is no array.", node=tensor.node.name, hint=no_array_hint(value)) from None
    kind, want = array.dtype.kind, dtype.kind
    if kind not in "fiub":
        raise FeedError(f"{tensor.node.name} takes {dtype}, the value fed holds {held_by(array)}.", node=tensor.node.name, hint="Feed numbers.")
    fits = kind == want or (want == "f" and kind in "iub") or (want in "iu" and kind in "iub") or not array.size
    if not fits:
        hint = f'Use value.astype("{dtype}") if you mean to cut fractions off.' if kind == "f" and want in "iu" else f"Feed {dtype}."
        raise FeedError(f"{tensor.node.name} takes {dtype}, the value fed is {array.dtype}.", node=tensor.node.name, hint=hint)
    with np.errstate(over="ignore"):
        cast = array.astype(dtype, order="C")
    if want in "iu" and array.dtype != dtype and not np.array_equal(cast, array):
        raise FeedError(f"{tensor.node.name} takes {dtype}, and a value fed is outside its range.", node=tensor.node.name)
    return cast
