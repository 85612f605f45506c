"""composite: a Python function becomes one foldable node with a signature; inside are ordinary nodes."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from types import MappingProxyType
from typing import Any

from .errors import AttributeValueError, FlowError, NameTakenError
from .graph import Graph, Node, Tensor, check_part, home_of


@dataclass(frozen=True, slots=True)
class Composite:
    """What a scope is one use of: a function with named inputs and outputs."""

    function: str
    doc: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)     # port → the tensor that goes in, such as "x:0"
    outputs: Mapping[str, str] = field(default_factory=dict)    # port → the tensor that comes out
    # of one made by hand: port → the inputs inside that it feeds, such as "block/MatMul:a", wired from outside or still open
    ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.function}({', '.join(f'{p}={t}' for p, t in self.inputs.items())}) → {', '.join(self.outputs.values()) or 'nothing'}"


def composite(function: Callable | None = None, /, *, name: str | None = None) -> Callable:
    """Make a function that builds nodes a composite: every call is a scope with a signature, one node while it is folded.

    The nodes inside are ordinary nodes of the graph, so it costs nothing: the plan of a run, the derivatives and the numbers are those of the function
    written out in place. A call takes `name=` for its scope (else the function's name, then `_1`, `_2`); a scope that is taken is a NameTakenError.
    Tensors among the arguments, in lists, tuples and dicts too, are its inputs; arrays, numbers, texts and the like are handed on as they are. It may
    return a Tensor, or a tuple, list or dict of them. Composites may use one another.

    `graph.composites` lists them by scope, with their function's name and words, inputs and outputs; a saved graph keeps that.

    >>> import flowlab as fl, numpy as np
    >>> @fl.composite
    ... def affine(x, w, b=0.0):
    ...     \"\"\"Multiply by w and add b.\"\"\"
    ...     return x @ w + b
    >>> with fl.Graph() as g:
    ...     x, w = fl.placeholder((None, 3), name="x"), fl.variable(np.ones((3, 2), "float32"), name="w")
    ...     y = affine(fl.tanh(affine(x, w)), np.ones((2, 1), "float32"), name="out")
    >>> y
    out/Add:0 float32[?, 1]
    >>> g.composites["affine"]
    affine(x=x:0, w=w:0) → affine/Add:0
    """
    if function is None:
        return lambda f: composite(f, name=name)
    if not callable(function):
        raise AttributeValueError(f"{function!r} is no function.", hint="Write @fl.composite above a function that builds nodes.")
    word = name or getattr(function, "__name__", "composite")
    check_part(word)
    signature = inspect.signature(function)
    takes_name = "name" in signature.parameters
    doc = inspect.getdoc(function) or ""

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        wanted = options.pop("name", None) if not takes_name else options.get("name")
        try:
            bound = signature.bind(*args, **options)
        except TypeError as error:
            raise AttributeValueError(f"{word}: {error}.", hint=f"{word}{signature}") from None
        graph = home_of(next((leaf for _, leaf in _leaves(bound.arguments) if isinstance(leaf, Tensor)), None))
        scope = _scope(graph, word, wanted)
        inputs: dict[str, str] = {}

        def lift(port: str, leaf: Any) -> Any:
            if isinstance(leaf, Tensor) and leaf.graph is not graph:
                leaf = graph.adopt(leaf)
            if isinstance(leaf, Tensor):
                inputs[port] = leaf.name
            return leaf

        try:
            with graph, graph.state(scope=scope):
                for parameter, value in bound.arguments.items():
                    bound.arguments[parameter] = _lifted(parameter, value, lift, signature.parameters[parameter].kind)
                made = function(*bound.args, **bound.kwargs)
                outputs = _outputs(word, scope, graph, made)
        except Exception as error:
            if isinstance(error, FlowError):
                error.at(scope)
            error.add_note(f"in the composite {word}, scope {scope}")
            raise
        if scope in graph._scopes:
            graph.composites[scope] = Composite(word, doc, MappingProxyType(inputs), MappingProxyType(outputs))
        return made

    call.composite = word  # type: ignore[attr-defined]
    return call


def _scope(graph: Graph, word: str, wanted: str | None) -> str:
    """The full name of a fresh scope."""
    if wanted is None:
        return graph.unique(word)
    for part in str(wanted).split("/"):
        check_part(part, str(wanted))
    full = f"{graph._scope}/{wanted}" if graph._scope else str(wanted)
    if full in graph._scopes or full in graph._by_name:
        raise NameTakenError(f"the name {full!r} is taken.", node=full, hint=f"Try {graph.unique(str(wanted))!r}: each use of a composite has a scope of its own.")
    return full


def _leaves(value: Any, port: str = "") -> Iterator[tuple[str, Any]]:
    """The parts of nested lists, tuples and dicts, each with its path: `xs.0`."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, f"{port}.{key}" if port else str(key))
    elif isinstance(value, (list, tuple)):
        for k, part in enumerate(value):
            yield from _leaves(part, f"{port}.{k}" if port else str(k))
    else:
        yield port, value


def _lifted(port: str, value: Any, lift: Callable[[str, Any], Any], kind: Any = None) -> Any:
    if isinstance(value, dict):
        return {key: _lifted(str(key) if kind is inspect.Parameter.VAR_KEYWORD else f"{port}.{key}", part, lift) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_lifted(f"{port}.{k}", part, lift) for k, part in zip(value._fields, value)))
    if isinstance(value, (list, tuple)):
        return type(value)(_lifted(f"{port}.{k}", part, lift) for k, part in enumerate(value))
    return lift(port, value)


def _outputs(word: str, scope: str, graph: Graph, made: Any) -> dict[str, str]:
    """port → tensor of what the function returned; FlowError for what is no tensor."""
    if isinstance(made, Node) or made is None:     # run for what it does
        return {}
    out: dict[str, str] = {}
    for port, leaf in _leaves(made):
        if isinstance(leaf, Node):
            continue
        if not isinstance(leaf, Tensor):
            raise FlowError(f"{word} returned {leaf!r}{f' as {port}' if port else ''}, which is no tensor.", node=scope, hint="A composite returns a tensor, or a tuple, list or dict of them.")
        if leaf.graph is not graph:
            raise FlowError(f"{word} returned {leaf.name}, a tensor of graph {leaf.graph.name!r}.", node=scope, hint="Nodes of one graph only.")
        out[port or "out"] = leaf.name
    return out
