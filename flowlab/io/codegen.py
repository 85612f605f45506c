"""From a graph back to Python: code that calls only `fl` and NumPy, and makes the same graph when it runs."""
from __future__ import annotations

import keyword
import re
from itertools import groupby
from typing import Any

import numpy as np

from ..control.body import Body
from ..core.errors import DocumentError
from ..core.graph import Graph, Node
from .build import build
from .document import INLINE, Document, numbers_of

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
            plain = re.sub(r"\W+", "_", node.name, flags=re.ASCII).strip("_") or "t"
            if plain[0].isdigit() or keyword.iskeyword(plain) or keyword.issoftkeyword(plain):
                plain = f"t_{plain}"
            word, k = plain, 0
            while word in self._used:
                k += 1
                word = f"{plain}_{k}"
            self._used.add(word)
            self._words[node.name] = word
        return self._words[node.name]

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
        out = []
        for name, attr in node.op.attrs.items():
            if attr.kind == "body":
                out += self.body(f"{self.word(node)}_{name}", node.attrs[name])
        return [*out, f"{self.word(node)} = {self.call(node)}"]

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
        return f"fl.{node.op.function}({', '.join([*given, name])})"


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
