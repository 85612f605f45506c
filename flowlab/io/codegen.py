"""From a graph back to Python: code that calls only `fl` and NumPy, and makes the same graph when it runs."""
from __future__ import annotations

import keyword
import re
from itertools import groupby, takewhile
from typing import Any

import numpy as np

from ..control.body import Body
from ..control.scan import scan
from ..core.errors import DocumentError, FlowError
from ..core.graph import Graph, Node
from ..core.op import REGISTRY
from .build import build
from .document import INLINE, Document, numbers_of, same_attrs
from .making import fresh

_TAKEN = {"fl", "np", "g"}


def to_python(graph: Graph | Document) -> str:
    """The Python that makes this graph, name for name and wire for wire; DocumentError for a document that is not sound.

    >>> import flowlab as fl
    >>> with fl.Graph("square") as g:
    ...     y = fl.square(fl.placeholder((2,), name="x"), name="y")
    >>> print(fl.to_python(g))
    import flowlab as fl
    <BLANKLINE>
    with fl.Graph('square') as g:
        x = fl.placeholder((2,), 'float32', name='x')
        y = fl.square(x, name='y')
    <BLANKLINE>
    """
    if isinstance(graph, Document):
        built = build(graph)
        if built.diagnostics:
            raise DocumentError(f"only a sound document is a program: {built.diagnostics[0]}", node=built.diagnostics[0].node, hint=built.diagnostics[0].hint)
        graph = built.graph
    return python_lines(graph)[0]


def python_lines(graph: Graph) -> tuple[str, dict[str, list[int]]]:
    """The Python of a graph, and in which of its lines (from 0) each node is made: the first and the last."""
    writer = _Writer()
    body: list[str] = []
    made: dict[str, list[int]] = {}
    for around, nodes in groupby(graph.nodes, key=writer.around):
        if around:
            body.append(f"with {', '.join(around)}:")
        for n in nodes:
            lines = writer.lines(n)
            made[n.name] = [len(body), len(body) + len(lines) - 1]
            body.extend([f"    {line}" for line in lines] if around else lines)
    text = "\n".join(f"    {line}" for line in body or ["pass"])
    imports = "import numpy as np\n\nimport flowlab as fl\n" if "np." in text else "import flowlab as fl\n"
    head = f"{imports}\nwith fl.Graph({graph.name!r}) as g:\n"
    above = head.count("\n")
    return f"{head}{text}\n", {k: [first + above, last + above] for k, (first, last) in made.items()}


class _Writer:
    """Writes one statement a node. Names of the graph enter the code only as quoted texts and as words made for them here."""

    def __init__(self, graph: str = "g", used: set[str] | None = None) -> None:
        self._graph = graph
        self._words: dict[str, str] = {}
        self._used = set(_TAKEN) if used is None else used
        self._bodies: dict[int, str] = {}

    def word(self, node: Node) -> str:
        """A Python name for the node's result: its own name where that can be one."""
        if node.name not in self._words:
            self._words[node.name] = self._free(node.name)
        return self._words[node.name]

    def _free(self, name: str) -> str:
        """A Python name that is not used yet, as near to a node's as it can be."""
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "t"
        if plain[0].isdigit() or keyword.iskeyword(plain) or keyword.issoftkeyword(plain):
            plain = f"t_{plain}"
        word = fresh(plain, self._used)
        self._used.add(word)
        return word

    def around(self, node: Node) -> tuple[str, ...]:
        """The contexts that the node is made in."""
        out = []
        state = [f"phase={node.phase!r}"] if node.phase != "forward" else []
        if node.gradient_of is not None:
            state.append(f"gradient_of={node.gradient_of!r}")
        if state:
            out.append(f"{self._graph}.state({', '.join(state)})")
        if node.device is not None:
            out.append(f"fl.device({node.device!r})")
        if node.control_inputs and node.op.name != "Group":
            out.append(f"fl.control_dependencies([{', '.join(self.node_of(c) for c in node.control_inputs)}])")
        return tuple(out)

    def node_of(self, node: Node) -> str:
        """An expression for a node that others wait for."""
        return f"{self._graph}.node({node.name!r})" if len(node.outputs) > 1 else self.word(node)

    def tensor(self, node: Node, index: int) -> str:
        return f"{self.word(node)}[{index}]" if len(node.outputs) > 1 or node.op.many else self.word(node)

    def lines(self, node: Node) -> list[str]:
        """The node's statement, after the bodies that it runs inside."""
        if as_scan(node):
            return self.scan(node)
        out = []
        for name, attr in node.op.attrs.items():
            if attr.kind == "body":
                out += self.body(f"{self.word(node)}_{name}", node.attrs[name])
        return [*out, f"{self.word(node)} = {self.call(node)}"]

    def scan(self, node: Node) -> list[str]:
        """A loop over time as people write it: `with fl.scan(…) as step:` and one timestep inside."""
        body, attrs = node.attrs["body"], node.attrs
        n, states = len(attrs["axes"]), attrs["states"]
        given = [self.tensor(t.node, t.index) for t in node.inputs]
        step = self._free(node.scope.rpartition("/")[2])
        inner = _Writer(f"{step}.body", self._used)
        for k, t in enumerate(body.inputs):     # what is around the loop is written as it is written there
            inner._words[t.node.name] = f"{step}.input" if n == 1 and not k else f"{step}.inputs[{k}]" if k < n else given[k]
        firsts = []
        for t, start in zip(body.inputs[n:n + states], given[n:]):
            word = inner._words[t.node.name] = inner._free(t.node.name)
            firsts.append(f"{word} = {step}.state({t.node.name!r}, init={start})")
        own = {t.node for t in body.inputs}
        lines = [line for m in body.nodes if m not in own for line in inner.lines(m)]
        ends = [inner.tensor(t.node, t.index) for t in body.outputs]
        lines += [f"{step}.update({inner.word(t.node)}, {end})" for t, end in zip(body.inputs[n:n + states], ends)]
        lines += [f"{step}.output({end})" if axis == attrs["axes"][0] else f"{step}.output({end}, axis={axis})" for end, axis in zip(ends[states:], attrs["out_axes"])]
        options = [f"time_axis={attrs['axes'][0]}", *(f"{k}=True" for k in ("reverse", "checkpoint") if attrs[k]), f"name={node.scope!r}"]
        along = given[0] if n == 1 else f"[{', '.join(given[:n])}]"
        inside = [f"    {line}" for line in [*firsts, *lines]]
        return [f"with fl.scan({along}, {', '.join(options)}) as {step}:", *inside, f"{self.word(node)} = {step}.node.outputs"]

    def body(self, word: str, body: Body) -> list[str]:
        """The inside of a loop or branch: a graph of its own, then which tensors go in and come out."""
        while word in self._used:
            word += "_"
        self._used.add(word)
        self._bodies[id(body)] = word
        inner = _Writer(word, self._used)
        out = [f"with fl.Body({body.name!r}) as {word}:"]
        for around, nodes in groupby(body.nodes, key=inner.around):
            lines = [line for n in nodes for line in inner.lines(n)]
            out += [f"    with {', '.join(around)}:", *(f"        {line}" for line in lines)] if around else [f"    {line}" for line in lines]
        ends = [f"[{', '.join(inner.tensor(t.node, t.index) for t in tensors)}]" for tensors in (body.inputs, body.outputs)]
        return [*out, f"    {word}.close({', '.join(ends)})"]

    def call(self, node: Node) -> str:
        attrs, name = node.attrs, f"name={node.name!r}"
        if node.op.source == "placeholder":
            return f"fl.placeholder({value(attrs['shape'])}, {attrs['dtype']!r}, {name})"
        if node.op.source == "constant":
            return f"fl.constant({value(attrs['value'])}, {name})"
        if node.op.source == "variable":
            start = value(attrs["value"]) if attrs["initializer"] == "constant" else f"fl.init.initializer({attrs['initializer']!r}, {value(attrs['shape'])}, {attrs['dtype']!r})"
            return f"fl.variable({start}, {name}{'' if attrs['trainable'] else ', trainable=False'})"
        if node.op.name == "Group":
            return f"fl.group([{', '.join(self.node_of(c) for c in node.control_inputs)}], {name})"
        inputs = [self.tensor(t.node, t.index) for t in node.inputs]
        if node.op.variadic and len(node.op.inputs) == 1:
            given = [f"[{', '.join(inputs)}]"]
        elif node.op.variadic:
            fixed = len(node.op.inputs) - 1
            given = [*inputs[:fixed], f"[{', '.join(inputs[fixed:])}]"]
        else:
            order = [i.name for i in node.op.inputs]
            given = [text if list(node.ports[:k + 1]) == order[:k + 1] else f"{port}={text}" for k, (port, text) in enumerate(zip(node.ports, inputs))]
        given += [f"{k}={self._bodies[id(v)] if node.op.attrs[k].kind == 'body' else value(v)}" for k, v in attrs.items() if node.op.attrs[k].required or not _same(v, node.op.attrs[k].default)]
        return f"{node.op.called}({', '.join([*given, name])})"


def as_scan(node: Node) -> bool:
    """Would `fl.scan` make just this loop, if its timestep were described node by node? Loops of gradients it would not."""
    if node.op.name != "Scan" or node.name != f"{node.scope}/Scan" or node.phase != "forward" or node.gradient_of or node.device or node.control_inputs or len(set(node.attrs["axes"])) > 1:
        return False
    body, n, states = node.attrs["body"], len(node.attrs["axes"]), node.attrs["states"]
    if any(m.name.startswith(f"{node.scope}/") and m.op.source != "constant" for m in takewhile(lambda m: m is not node, node.graph.nodes)):
        return False    # the name of the loop's scope is no longer free when its turn comes
    if any(m.phase != "forward" or m.gradient_of or m.device or m.control_inputs for m in body.nodes) or any(t.node.op.source == "constant" for t in node.inputs[n + states:]):
        return False
    try:
        again = _again(node, body, n, states)
    except FlowError:
        return False
    return again.name == node.name and [t.node.name for t in again.inputs] == [t.node.name for t in node.inputs] and same_attrs(again, node)


def _again(node: Node, body: Body, n: int, states: int) -> Node:
    """The loop made anew by `fl.scan`, in a graph of its own."""
    graph = Graph()
    around: dict[tuple[str, int], Any] = {}
    for t in node.inputs:
        if (t.node.name, t.index) not in around:
            constant = t.node.op.source == "constant"
            op, attrs = (t.node.op, dict(t.node.attrs)) if constant else (REGISTRY["Placeholder"], {"shape": t.shape, "dtype": t.dtype.name})
            made = graph.add(op, (), attrs, name=t.node.name, full_name=True)       # NameTakenError for two tensors of one node
            around[t.node.name, t.index] = made.outputs[0]
    given = [around[t.node.name, t.index] for t in node.inputs]
    with graph:
        with scan(given[:n] if n > 1 else given[0], time_axis=node.attrs["axes"][0], reverse=node.attrs["reverse"], checkpoint=node.attrs["checkpoint"], name=node.scope) as step:
            now = dict(zip(body.inputs, step.inputs))
            now |= {t: step.state(t.node.name, init=start) for t, start in zip(body.inputs[n:n + states], given[n:])}
            outer = dict(zip(body.inputs[n + states:], given[n + states:]))
            own = {t.node for t in body.inputs}
            for m in body.nodes:
                if m not in own:
                    inputs = [now[t] if t in now else step.body.adopt(outer[t]) for t in m.inputs]
                    now |= zip(m.outputs, step.body.add(m.op, inputs, dict(m.attrs), name=m.name, full_name=True, ports=m.ports).outputs)
            ends = [now[t] if t in now else outer[t] for t in body.outputs]
            for t, end in zip(body.inputs[n:n + states], ends):
                step.update(now[t], end)
            for end, axis in zip(ends[states:], node.attrs["out_axes"]):
                step.output(end, axis=axis)
    assert step.node is not None
    return step.node


def _same(a: Any, b: Any) -> bool:
    return not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray) and type(a) is type(b) and a == b


def value(v: Any) -> str:
    """A value as a Python expression, exact to the last bit."""
    if isinstance(v, np.ndarray):
        return _array(v)
    if isinstance(v, tuple):
        return f"({', '.join(map(value, v))}{',' if len(v) == 1 else ''})"
    if isinstance(v, float) and v in (float("inf"), float("-inf")):
        return f"float({str(v)!r})"
    return repr(v)


def _array(array: np.ndarray) -> str:
    dtype = array.dtype.name
    plain = array.dtype.kind != "f" or bool(np.all(np.isfinite(array)))
    if not array.size:
        return f"np.zeros({array.shape!r}, {dtype!r})"
    if array.size <= INLINE and plain:
        numbers = numbers_of(array)
        if np.array(numbers, dtype=array.dtype).tobytes() == np.ascontiguousarray(array).tobytes():
            return f"np.array({numbers!r}, {dtype!r})"
    if np.all(array == array.flat[0]) and plain and not np.any(np.signbit(array.astype("float64"))):
        return f"np.full({array.shape!r}, {numbers_of(array.ravel()[:1])[0]!r}, {dtype!r})"
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return f"np.frombuffer(bytes.fromhex({little.tobytes().hex()!r}), {array.dtype.newbyteorder('<').str!r}).astype({dtype!r}).reshape({array.shape!r})"
