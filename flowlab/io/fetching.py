"""What is asked for of a graph, and which nodes that takes: for whatever writes a graph in another language."""
from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import FetchError
from ..core.graph import Graph, Node, Tensor


def fetched(graph: Graph, fetches: Any, name: str = "") -> Iterator[tuple[str, Tensor | Node]]:
    """(the name that was asked for, or none; the tensor, or a node that has none) of fetches as `Session.run` takes them; FetchError for anything else."""
    if isinstance(fetches, Mapping):
        for key, part in fetches.items():
            yield from fetched(graph, part, f"{name}.{key}" if name else str(key))
    elif isinstance(fetches, (list, tuple)):
        for k, part in enumerate(fetches):
            yield from fetched(graph, part, f"{name}.{k}" if name else "")
    else:
        if isinstance(fetches, str):
            fetches = graph.tensor(fetches) if ":" in fetches else graph.node(fetches)
        if not isinstance(fetches, (Tensor, Node)) or fetches.graph is not graph:
            raise FetchError(f"{getattr(fetches, 'name', fetches)!r} is no tensor of graph {graph.name!r}.", hint="Fetch a tensor, a node or a name of this graph.")
        yield name, fetches.outputs[0] if isinstance(fetches, Node) and fetches.outputs else fetches


def needed(ends: Sequence[Tensor | Node], given: Collection[Tensor] = (), controls: bool = False) -> list[Node]:
    """The nodes that the ends are computed from, in order of creation, up to the tensors in `given`; with `controls`, also what they wait for."""
    found: dict[int, Node] = {}
    stack = [t.node if isinstance(t, Tensor) else t for t in ends if t not in given]
    while stack:
        node = stack.pop()
        if node.id not in found:
            found[node.id] = node
            stack.extend(t.node for t in node.inputs if t not in given)
            if controls:
                stack.extend(node.control_inputs)
    graph = next(iter(found.values())).graph if found else None
    return [n for n in graph.nodes if n.id in found] if graph is not None else []
