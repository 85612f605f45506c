"""Graph, Node, Tensor: typed, append-only, and with no numbers in it."""
from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .errors import DeviceError, FetchError, FlowError, NameTakenError, nearest, plural
from .types import Shape, TensorType, shape_text

if TYPE_CHECKING:
    from .op import Op

Phase = Literal["forward", "backward", "update"]
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_OPEN = threading.local()


class Tensor:
    """What flows along an edge: one output of a node, with a shape and a dtype but no value."""

    __slots__ = ("node", "index", "type")
    __array_priority__ = 1000.0  # so that `array + tensor` asks the tensor

    def __init__(self, node: Node, index: int, type: TensorType):
        self.node, self.index, self.type = node, index, type

    @property
    def graph(self) -> Graph:
        return self.node.graph

    @property
    def name(self) -> str:
        return f"{self.node.name}:{self.index}"

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        return self.type.dtype

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    def __repr__(self) -> str:
        return f"{self.name} {self.type}"

    def __bool__(self) -> bool:
        raise TypeError(f"{self.name} has no value yet, so it is neither true nor false. Run it in a Session, or use fl.where.")

    def __float__(self) -> float:
        raise self._no_value("a number")

    def __int__(self) -> int:
        raise self._no_value("a number")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self._no_value("an array")

    def _no_value(self, what: str) -> TypeError:
        return TypeError(f"{self.name} has no value before it runs, so it cannot be {what}. Session.run gives its value; "
                         f"to compute with it in the graph, use flowlab's functions, such as fl.exp for np.exp.")

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape or not isinstance(self.shape[0], int):
            raise TypeError(f"{self.name} {shape_text(self.shape)} cannot be looped over: its first size is not known. Use fl.split or indexing.")
        return (self[k] for k in range(self.shape[0]))  # type: ignore[index]

    def __len__(self) -> int:
        if not self.shape or not isinstance(self.shape[0], int):
            raise TypeError(f"{self.name} {shape_text(self.shape)} has no length before it runs.")
        return self.shape[0]


class Node:
    """One use of an operation: what it computes, from which tensors, with which attributes."""

    __slots__ = ("graph", "id", "name", "op", "inputs", "ports", "attrs", "outputs", "control_inputs", "device", "phase", "gradient_of", "location")

    graph: Graph
    id: int
    name: str
    op: Op
    inputs: tuple[Tensor, ...]
    ports: tuple[str, ...]
    attrs: Mapping[str, Any]
    outputs: tuple[Tensor, ...]
    control_inputs: tuple[Node, ...]
    device: str | None
    phase: Phase
    gradient_of: str | None
    location: tuple[str, int] | None

    @property
    def scope(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def output_names(self) -> tuple[str, ...]:
        """One name an output, such as `f` or `h_n` of an LSTM."""
        return self.op.output_names(len(self.outputs)) if self.op.naming is None else self.op.naming(self.attrs)

    @property
    def inside(self) -> str:
        """The name under which the nodes of its body are told, if it has one: `rnn` for the loop `rnn/Scan`, so that they are `rnn/Tanh` …"""
        scope, _, last = self.name.rpartition("/")
        return scope if scope and last == self.op.name else self.name

    def input(self, port: str) -> Tensor | None:
        """The tensor on `port`, None if the port is open."""
        return next((t for t, p in zip(self.inputs, self.ports) if p == port), None)

    def output(self, key: str | int) -> Tensor:
        """The output of that index or name; FetchError if there is none."""
        if isinstance(key, str) and key in self.output_names:
            return self.outputs[self.output_names.index(key)]
        try:
            return self.outputs[int(key)]
        except (ValueError, IndexError):
            names = ", ".join(self.output_names) or "none"
            raise FetchError(f"{self.name} has no output {key!r}.", node=self.name, hint=f"Its outputs: {names}.") from None

    def __repr__(self) -> str:
        args = ", ".join(t.name for t in self.inputs)
        return f"{self.name} = {self.op.name}({args}) → {', '.join(repr(t.type) for t in self.outputs) or 'nothing'}"


class _Nodes(Sequence):
    """The nodes of a graph in creation order; `"x" in g.nodes` asks by name."""

    __slots__ = ("_list", "_by_name")

    def __init__(self, nodes: list[Node], by_name: dict[str, Node]):
        self._list, self._by_name = nodes, by_name

    def __getitem__(self, key: Any) -> Any:
        return self._by_name[key] if isinstance(key, str) else self._list[key]

    def __len__(self) -> int:
        return len(self._list)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._list)

    def __contains__(self, item: object) -> bool:
        return item in self._by_name if isinstance(item, str) else item in self._list

    def __repr__(self) -> str:
        return f"[{', '.join(n.name for n in self._list)}]"


_SOUND: set[str] = set()    # parts of names that have been looked at: the same few come again and again


def check_part(part: str, whole: str | None = None) -> None:
    """Refuse what cannot be one part of a node's name; the error says what is wrong with it, and shows `whole`."""
    whole = part if whole is None else whole
    if not isinstance(part, str):
        raise NameTakenError(f"{part!r} cannot be a name: it is no text.", hint='Write it in quotes, such as "x".')
    alone, why, hint = whole == part, "", ""
    if not part:
        why, hint = ("it is empty", "Use one to 200 characters.") if alone else ("nothing stands on one side of a '/'", "A '/' parts a scope from a name: scope/name.")
    elif len(part) > 200:
        why, hint = f"{'it' if alone else 'a part of it'} has {len(part)} characters", "Use one to 200."
    elif part != part.strip():
        why, hint = "it has a space at an end" if alone else f"its part {part!r} has a space at an end", "Take the space away."
    elif wrong := next((c for c in ("->", ":", "^") if c in part), ""):
        why, hint = f"it holds {wrong!r}", "Names hold no ':', '^' or '->'."
    elif not part.isprintable():
        why, hint = "it holds a character that cannot be shown", "Names hold no control characters."
    if why:
        shown = repr(whole) if len(whole) <= 300 else f"{whole[:80]!r}…"
        raise NameTakenError(f"{shown} cannot be a name: {why}.", hint=hint)


class Graph:
    """A dataflow graph: nodes are operations, edges are tensors. It only grows, and every tensor in it has a type.

    >>> import flowlab as fl
    >>> with fl.Graph("hello") as g:
    ...     x = fl.placeholder((None, 3), name="x")
    ...     y = fl.mean(x ** 2, name="y")
    >>> y
    y:0 float32[]
    """

    closed = False      # True of the body of a loop once it is described: nothing more goes in

    def __init__(self, name: str = "graph"):
        self.name = str(name)
        self._nodes: list[Node] = []
        self._by_name: dict[str, Node] = {}
        self._scopes: set[str] = set()      # every prefix that a node's name has
        self._counts: dict[str, int] = {}   # next number to try for an unnamed node
        self._scope = ""
        self._phase: Phase = "forward"
        self._gradient_of: str | None = None
        self._device: str | None = None
        self._location: tuple[str, int] | None = None   # of the person's line, where many nodes come of one
        self._controls: tuple[Node, ...] = ()
        self._next_id = 0
        self._apart: dict[str, Node] = {}   # nodes that a runtime adds and finds by name, such as copies to a device; none of the graph's own
        self._literals: dict[Any, Tensor] = {}
        self.composites: dict[str, Any] = {}    # scope → the Composite that it is one use of

    # ------------------------------------------------------------ looking

    @property
    def nodes(self) -> _Nodes:
        if len(self._nodes) != len(self._by_name):
            self._mend()
        return _Nodes(self._nodes, self._by_name)

    def _mend(self) -> None:
        """After an interrupt between the two: a node is one of the graph's once it has its name."""
        self._nodes[:] = self._by_name.values()

    @property
    def variables(self) -> list[Tensor]:
        return [n.outputs[0] for n in self._nodes if n.op.source == "variable"]

    @property
    def trainable_variables(self) -> list[Tensor]:
        return [v for v in self.variables if v.node.attrs["trainable"]]

    @property
    def placeholders(self) -> list[Tensor]:
        return [n.outputs[0] for n in self._nodes if n.op.source == "placeholder"]

    def node(self, name: str) -> Node:
        """The node of that name; the scope of a recurrent layer or a loop stands for its node, and `rnn/Tanh` may be a node inside the loop `rnn`.

        FetchError names what is near.
        """
        if len(self._nodes) != len(self._by_name):
            self._mend()
        found = self._by_name.get(name)
        if found is None and isinstance(name, str):
            if name in self._scopes:
                inner = [n for n in self._nodes if n.scope == name and (n.op.routine is not None or n.op.category == "recurrent" and n.phase == "forward")]
                found = inner[0] if len(inner) == 1 else None
            found = found or self._inside(name) or self._apart.get(name)
        if found is None:
            within = [f"{n.inside}/{inner}" for n in self._nodes if n.op.routine is not None for b in n.op.bodies(n.attrs) for inner in b._by_name]
            near = nearest(str(name), [*self._by_name, *within])
            raise FetchError(f"graph {self.name!r} has no node {name!r}.", hint=f"Did you mean {' or '.join(near)}?" if near else "g.nodes lists them.")
        return found

    def _inside(self, name: str) -> Node | None:
        """The node of that name in the body of a loop or branch; one that fires before an input, which may be called so in the other branch."""
        given = None
        for n in self._nodes:
            if n.op.routine is not None and name.startswith(f"{n.inside}/"):
                for body in n.op.bodies(n.attrs):
                    local = name[len(n.inside) + 1:]
                    found = body._by_name.get(local) or body._inside(local)
                    if found is not None and found.op.source != "placeholder":
                        return found
                    given = given or found
        return given

    def told(self, node: Node) -> str:
        """The name under which a node of this graph, or of the body of a loop in it, is told: `rnn/Tanh`."""
        if node.graph is self:
            return node.name
        for n in self._nodes:
            if n.op.routine is not None:
                for body in n.op.bodies(n.attrs):
                    name = body.told(node)
                    if name:
                        return f"{n.inside}/{name}"
        return ""

    def holds(self, graph: Graph) -> bool:
        """Is `graph` this one, or one that this is the body of a loop in?"""
        return graph is self

    def adopt(self, tensor: Tensor) -> Tensor:
        """The tensor of another graph as one of this; only the body of a loop can do that, with those from around it."""
        if tensor.graph.closed:
            raise lives_inside(tensor)
        raise FetchError(f"{tensor.name} belongs to graph {tensor.graph.name!r}, not to {self.name!r}.", node=tensor.node.name, hint="Nodes of one graph only.")

    def tensor(self, name: str) -> Tensor:
        """The tensor `"node:0"` or `"node:out"`; a node with one output may go without `:0`."""
        if name in self._apart:     # such names hold a colon of their own
            return self._apart[name].outputs[0]
        node, colon, key = str(name).rpartition(":")
        if not colon:
            outputs = self.node(name).outputs
            if not outputs:
                raise FetchError(f"{name} has no output.", node=str(name), hint="It is run for what it does, not for a value.")
            return outputs[0]
        return self.node(node).output(key)

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Tensor):
            return item.graph is self
        if isinstance(item, Node):
            return item.graph is self
        return item in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Graph {self.name!r}: {plural(len(self._nodes), 'node')}, {plural(len(self.variables), 'variable')}"

    # ------------------------------------------------------------ growing

    def unique(self, part: str, scope: str | None = None) -> str:
        """A free name made from `part` in `scope` (default: the open one): `part`, then `part_1`, `part_2` …"""
        scope = self._scope if scope is None else scope
        base = f"{scope}/{part}" if scope else part
        n = self._counts.get(base, 0)
        name = f"{base}_{n}" if n else base
        while name in self._by_name or name in self._scopes:
            n += 1
            name = f"{base}_{n}"
        self._counts[base] = n
        return name

    def claim(self, name: str, *, full: bool = False) -> str:
        """The full name for a node that asked for `name`; NameTakenError if a node or scope has it."""
        if full:
            parts = name.split("/")
        else:
            parts = str(name).split("/")
            name = f"{self._scope}/{name}" if self._scope else str(name)
        for part in parts:
            if part not in _SOUND:
                check_part(part, "/".join(parts))
                if len(_SOUND) < 100_000:
                    _SOUND.add(part)
        if name in self._by_name:
            raise NameTakenError(f"the name {name!r} is taken by a {self._by_name[name].op.name} node.", node=name, hint=f"Try {self.unique(parts[-1])!r}.")
        if name in self._scopes:
            raise NameTakenError(f"the name {name!r} is taken by a scope.", node=name, hint=f"Try {self.unique(parts[-1])!r}.")
        prefix = name.rpartition("/")[0]
        while prefix:
            if prefix in self._by_name:
                raise NameTakenError(f"{name!r} would make {prefix!r} a scope, and a node has that name.", node=prefix, hint="A node and a scope never share a name.")
            prefix = prefix.rpartition("/")[0]
        return name

    def add(self, op: Op, inputs: Sequence[Tensor] = (), attrs: Mapping[str, Any] | None = None, *, name: str | None = None,
            ports: tuple[str, ...] | None = None, control_inputs: Sequence[Node] = (), device: str | None = None, phase: Phase | None = None,
            gradient_of: str | None = None, id: int | None = None, full_name: bool = False, types: tuple[TensorType, ...] | None = None) -> Node:
        """Append a node. Types are inferred and checked here, so a graph is sound at every moment.

        `attrs` must be normalized (`op.normalize`); `types` spares the shape rule where its answer is known. Raises ShapeError, DTypeError, AttributeValueError or NameTakenError that name the node.
        """
        if len(self._nodes) != len(self._by_name):
            self._mend()
        attrs = op.normalize({}) if attrs is None else attrs
        if ports is None:
            ports = op.ports(len(inputs))
        for t in inputs:
            if t.node.graph is not self:
                inputs = [t if t.node.graph is self else self.adopt(t) for t in inputs]
                break
        full = self.claim(name, full=full_name) if name is not None else self.unique(op.name)
        if types is None:
            try:
                types = op.infer(inputs, ports, attrs)
            except FlowError as error:
                raise error.at(full)
        node = Node()
        node.graph, node.name, node.op = self, full, op
        node.id = k = self._next_id if id is None else id
        if k >= self._next_id:
            self._next_id = k + 1
        node.inputs, node.ports, node.attrs = tuple(inputs), ports, attrs
        node.control_inputs = () if not control_inputs and not self._controls else (*control_inputs, *self._controls) if not op.source else tuple(control_inputs)
        node.device = device if device is not None else self._device
        node.phase = phase or self._phase
        node.gradient_of = gradient_of or self._gradient_of
        node.location = self._location or caller()
        node.outputs = (Tensor(node, 0, types[0]),) if len(types) == 1 else tuple(Tensor(node, k, t) for k, t in enumerate(types))
        if name is None and self._scope in self._scopes:
            pass    # the open scope, which is known
        elif "/" in full:
            prefix = full.rpartition("/")[0]
            while prefix and prefix not in self._scopes:
                self._scopes.add(prefix)
                prefix = prefix.rpartition("/")[0]
        self._by_name[full] = node      # from here on it is one of the graph's, whatever interrupts
        self._nodes.append(node)
        return node

    def again(self, old: Node, inputs: Sequence[Tensor], *, name: str, control_inputs: Sequence[Node] = (), device: str | None = None,
              gradient_of: str | None = None) -> Node | None:
        """Append a node like `old` of another graph without asking its rules again; None where they must be asked.

        What comes in must be as it was there: tensors of the same types, from nodes of the same operations.
        """
        for t, before in zip(inputs, old.inputs, strict=True):
            if t.node.op is not before.node.op or t.type is not before.type and t.type != before.type:
                return None
        if name in self._by_name or name in self._scopes:
            return None
        fresh, scope = [], name.rpartition("/")[0]
        while scope and scope not in self._scopes:
            if scope in self._by_name:
                return None
            fresh.append(scope)
            scope = scope.rpartition("/")[0]
        self._scopes.update(fresh)
        node = Node()
        node.graph, node.name, node.op, node.id = self, name, old.op, old.id
        if old.id >= self._next_id:
            self._next_id = old.id + 1
        node.inputs, node.ports, node.attrs = tuple(inputs), old.ports, old.attrs
        node.control_inputs, node.device, node.phase, node.gradient_of, node.location = tuple(control_inputs), device, old.phase, gradient_of, old.location
        node.outputs = tuple([Tensor(node, t.index, t.type) for t in old.outputs])
        self._by_name[name] = node
        self._nodes.append(node)
        return node

    # ------------------------------------------------------------ contexts

    # Python may take an interrupt as an `__exit__` begins, which then does nothing: so what is left open inside a `with graph` ends with it

    def __enter__(self) -> Graph:
        own = self.__dict__
        _stack().append((self, id(sys._getframe(1)), {k: own[k] for k in _STATE}))
        return self

    def __exit__(self, *exc: object, entry: tuple | None = None) -> None:
        try:    # three times: an interrupt may come in here, and another in the clean-up
            try:
                entry = _latest(self, id(sys._getframe(1)))
                _close(entry)
            finally:
                entry = entry or _latest(self, id(sys._getframe(1)))
                _close(entry)
        finally:
            _close(entry or _latest(self, id(sys._getframe(1))))

    def state(self, **changes: Any) -> _State:
        """Set `scope`, `phase`, `gradient_of`, `device` or `controls` for the nodes added inside a `with`."""
        return _State(self, {f"_{k}": v for k, v in changes.items()})


_STATE = ("_scope", "_phase", "_gradient_of", "_device", "_controls", "_location")


class _State:
    """What `Graph.state` gives: sets on entry, puts back on exit. A class, since every gradient enters one."""

    __slots__ = ("before", "changes", "graph")

    def __init__(self, graph: Graph, changes: dict[str, Any]):
        self.graph, self.changes = graph, changes

    def __enter__(self) -> Graph:
        own = self.graph.__dict__
        before = self.before = {k: own[k] for k in self.changes}
        try:
            own.update(self.changes)
            return self.graph
        except BaseException:   # an interrupt right after it
            own.update(before)
            raise

    def __exit__(self, *exc: object) -> None:
        self.graph.__dict__.update(self.before)


def made_at(node: Node) -> str:
    """The line that made a node, in words: "It was made in model.py, line 7."; nothing where no line of the person's did, as on the canvas."""
    if node.location is None:
        return ""
    file, line = node.location
    return f"It was made in {'a cell of this notebook' if 'ipykernel_' in file else file}, line {line}."


_OURS: set[str] = set()     # flowlab's own files that have been met on the way


def caller() -> tuple[str, int] | None:
    """The line of the person's code that is making a node."""
    frame = sys._getframe(2)
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename not in _OURS:
            if not filename.startswith(_HERE):
                return filename, frame.f_lineno
            _OURS.add(filename)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _stack() -> list[tuple[Graph, int, dict[str, Any]]]:
    """The graphs that are open in this thread, each with the frame whose `with` opened it and with its state before."""
    if not hasattr(_OPEN, "stack"):
        _OPEN.stack = []
    return _OPEN.stack


def _latest(graph: Graph, frame: int) -> tuple | None:
    """What says that the graph is open: the latest that this frame opened, or the latest."""
    mine = [entry for entry in _stack() if entry[0] is graph]
    return next((entry for entry in reversed(mine) if entry[1] == frame), mine[-1] if mine else None)


def _close(entry: tuple | None) -> None:
    """Close what was opened, and what has been left open since."""
    stack = _stack()
    while any(e is entry for e in stack):
        graph, _, before = stack[-1]
        graph.__dict__.update(before)
        stack.pop()


def lives_inside(tensor: Tensor) -> FetchError:
    """The error for a tensor of a loop's body that is used outside of the loop."""
    loop = getattr(tensor.graph, "inside", "") or tensor.graph.name
    return FetchError(f"{loop}/{tensor.name} lives inside {loop}, one value a timestep.", node=f"{loop}/{tensor.node.name}",
                      hint="Hand it out: step.output(x) of a scan, or what the functions of fl.cond and fl.while_loop return.")


def home_of(tensor: Tensor | None) -> Graph:
    """The graph that an operation on `tensor` goes to: the tensor's own, or the body of a loop that is open inside it."""
    if tensor is None:
        return current_graph()
    own, stack = tensor.node.graph, getattr(_OPEN, "stack", None)
    if own.closed:
        raise lives_inside(tensor)
    return stack[-1][0] if stack and stack[-1][0] is not own and stack[-1][0].holds(own) else own


def current_graph() -> Graph:
    """The graph of the innermost `with fl.Graph()`; FlowError outside of one."""
    stack = _stack()
    if not stack:
        raise FlowError("no graph is open here.", hint='Write `with fl.Graph("name") as g:` around the lines that make nodes.')
    return stack[-1][0]


@contextmanager
def name_scope(name: str, *, unique: bool = False) -> Iterator[str]:
    """Put the nodes made inside under `name/`; entering a scope again goes on in it. `unique` picks a fresh one (`name_1`)."""
    graph = current_graph()
    if unique:
        full = graph.unique(name)
    else:
        for part in str(name).split("/"):
            check_part(part, str(name))
        full = f"{graph._scope}/{name}" if graph._scope else name
        if full in graph._by_name:
            raise NameTakenError(f"{full!r} is a node.", node=full, hint="A node and a scope never share a name.")
    with graph.state(scope=full):
        yield full


@contextmanager
def device(name: str) -> Iterator[None]:
    """Ask for a device, such as `"cpu:0"` or `"gpu:0"`, for the nodes made inside."""
    if not isinstance(name, str):
        raise DeviceError(f"{name!r} is not a device.", hint='Devices are "cpu:0", "cpu:1" … and "gpu:0" …')
    with current_graph().state(device=name):
        yield


def nodes_of(things: Sequence[Node | Tensor]) -> tuple[Node, ...]:
    """The nodes behind tensors and nodes; FlowError for anything else."""
    for t in things:
        if not isinstance(t, (Node, Tensor)):
            raise FlowError(f"{t!r} is neither a node nor a tensor.", hint="g.node(name) finds a node by its name.")
    return tuple(t.node if isinstance(t, Tensor) else t for t in things)


@contextmanager
def control_dependencies(nodes: Sequence[Node | Tensor]) -> Iterator[None]:
    """Let the nodes made inside fire only after `nodes` have fired."""
    graph = current_graph()
    more = nodes_of(nodes)
    for n in more:
        if n.graph is not graph:
            raise FetchError(f"{n.name} belongs to graph {n.graph.name!r}.", node=n.name, hint="Nodes of one graph only.")
    with graph.state(controls=(*graph._controls, *more)):
        yield
