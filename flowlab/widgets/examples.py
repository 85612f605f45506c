"""Small graphs to start from, offered on an empty canvas."""
from __future__ import annotations

from ..io.edits import AddNode, Connect, Edit, SetAttr, SetFeed, edit_to_json
from . import protocol as P


def _example(label: str, *edits: Edit) -> P.Example:
    return P.Example(label=label, edits=[edit_to_json(e) for e in edits])


LINE = _example(
    "mean squared error of x @ W + b",
    AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch, 3"), SetFeed("x", "[[1, 0, 2], [0, 1, 1]]"),
    AddNode("Variable", "W"), SetAttr("W", "initializer", "[[0.5, -1], [1, 0.25], [-0.5, 2]]"),
    AddNode("Variable", "b"), SetAttr("b", "shape", "2"),
    AddNode("Placeholder", "y"), SetAttr("y", "shape", "batch, 2"), SetFeed("y", "[[1, 2], [0, 1]]"),
    AddNode("MatMul"), Connect("x:0", "MatMul:a"), Connect("W:0", "MatMul:b"),
    AddNode("Add"), Connect("MatMul:0", "Add:a"), Connect("b:0", "Add:b"),
    AddNode("Subtract"), Connect("Add:0", "Subtract:a"), Connect("y:0", "Subtract:b"),
    AddNode("Square"), Connect("Subtract:0", "Square:x"),
    AddNode("Mean", "loss"), Connect("Square:0", "loss:x"))

NEURON = _example(
    "a neuron: sigmoid(x · w + b)",
    AddNode("Placeholder", "x"), SetAttr("x", "shape", "1, 4"), SetFeed("x", "[[1, -1, 0.5, 2]]"),
    AddNode("Variable", "w"), SetAttr("w", "initializer", "[[0.4], [-0.2], [1.5], [0.1]]"),
    AddNode("Variable", "b"), SetAttr("b", "initializer", "[-0.5]"),
    AddNode("MatMul"), Connect("x:0", "MatMul:a"), Connect("w:0", "MatMul:b"),
    AddNode("Add"), Connect("MatMul:0", "Add:a"), Connect("b:0", "Add:b"),
    AddNode("Sigmoid"), Connect("Add:0", "Sigmoid:x"))

CELL = _example(
    "an LSTM cell's memory: c = f·c + i·g",
    AddNode("Placeholder", "c"), SetAttr("c", "shape", "4"), SetFeed("c", "[1, -0.5, 0.25, 2]"),
    AddNode("Placeholder", "f"), SetAttr("f", "shape", "4"), SetFeed("f", "[0.9, 0.1, 0.5, 1]"),
    AddNode("Placeholder", "i"), SetAttr("i", "shape", "4"), SetFeed("i", "[0.2, 0.8, 0.5, 0]"),
    AddNode("Placeholder", "g"), SetAttr("g", "shape", "4"), SetFeed("g", "[-1, 0.5, 1, 0.3]"),
    AddNode("Multiply", "keep"), Connect("f:0", "keep:a"), Connect("c:0", "keep:b"),
    AddNode("Multiply", "write"), Connect("i:0", "write:a"), Connect("g:0", "write:b"),
    AddNode("Add", "next_c"), Connect("keep:0", "next_c:a"), Connect("write:0", "next_c:b"))

EXAMPLES = (LINE, NEURON, CELL)

TEMPLATES = tuple(P.Template(name=name, label=label) for name, label in {
    "mlp": "MLP", "cnn": "CNN", "char_rnn": "RNN that reads characters", "lstm": "LSTM", "seq2seq": "sequence to sequence, with attention", "autoencoder": "autoencoder", "heat_equation": "heat equation",
    "pagerank": "PageRank"}.items())
