"""Graphs of many nodes as people have them: layers in scopes, a gradient, an optimizer; and one without any scope."""
from __future__ import annotations

import numpy as np

import flowlab as fl


def residual(blocks: int, units: int = 4) -> fl.Graph:
    """A residual network of dense blocks, each a scope of two layers, trained by Adam: about 48 nodes a block, and 56 more."""
    with fl.Graph(f"residual_{blocks}") as g:
        x = fl.placeholder(("batch", units), name="x")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        h = fl.nn.dense(x, units, name="stem")
        for k in range(blocks):
            with fl.name_scope(f"block_{k}"):
                inner = fl.nn.dense(h, units, activation="relu", name="wide")
                inner = fl.nn.dense(inner, units, name="narrow")
                h = fl.relu(inner + h, name="out")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(h, 3, name="head"), labels), name="loss")
        fl.optim.Adam(1e-3).minimize(loss, name="train")
    return g


def flat(nodes: int) -> fl.Graph:
    """A graph with no scope at all: rows of sums and products of what stands before them."""
    rng = np.random.default_rng(0)
    with fl.Graph(f"flat_{nodes}") as g:
        made = [fl.placeholder((3,), name="x")]
        while len(g.nodes) < nodes:
            a, b = made[-1 - int(rng.integers(min(len(made), 40)))], made[-1 - int(rng.integers(min(len(made), 40)))]
            made.append(fl.add(a, b, name=f"n{len(made)}") if len(made) % 3 else fl.tanh(a, name=f"n{len(made)}"))
    return g
