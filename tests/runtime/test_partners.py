"""Which tensor holds the gradient of another is read off the graph, and never wrongly."""
from __future__ import annotations

from collections import Counter

import numpy as np

import flowlab as fl
from flowlab.trace.partners import gradient_tensor, whose_gradient
from tests.ops.cases import CASES
from tests.ops.test_every_op import gradient_graph


def test_of_every_op_it_is_what_gradients_gave_or_nothing():
    found = Counter()
    for case in CASES:
        if not case.targets:
            continue
        g, _, _, _, xs, grads = gradient_graph(case)
        for x, want in zip(xs, grads):
            got = gradient_tensor(g, x)
            assert got is None or got is want, f"{case.id}: {got}, not {want}"
            found[got is not None] += 1
    assert found[True] > 5 * found[False]       # silent where the way back does not tell: most of it within operations that are gradients themselves


def test_whole_numbers_have_none():
    with fl.Graph() as g:
        logits, labels = fl.variable(np.zeros((2, 3), "f"), name="logits"), fl.placeholder((2,), "int64", name="labels")
        fl.gradients(fl.sum(fl.sparse_softmax_cross_entropy(logits, labels)), [logits])
    assert gradient_tensor(g, labels) is None and gradient_tensor(g, logits) is not None


def test_every_tensor_of_a_training_graph_has_the_gradient_that_gradients_gives():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 3), name="x")
        target = fl.placeholder(("batch", 1), name="target")
        out = fl.nn.dense(fl.nn.dense(x, 4, activation="tanh", name="hidden"), 1, name="out")
        loss = fl.mean(fl.square(out - target, name="sq") + fl.abs(out, name="size"), name="loss")
    forward = [n.outputs[0] for n in g.nodes if n.outputs and n is not target.node]
    train = fl.optim.SGD(0.1).minimize(loss)
    held = [(t, gradient_tensor(g, t)) for t in forward if t is not x]
    assert all(gradient is not None for _, gradient in held), [t.name for t, gradient in held if gradient is None]
    assert gradient_tensor(g, target) is None
    other = fl.gradients(loss, [t for t, _ in held])
    assert all(whose_gradient(g, gradient) is not None for _, gradient in held)
    feeds = {x: np.float32([[1, -2, 3], [0, 1, 2]]), target: np.float32([[1], [0]])}
    got, want = fl.Session(g, seed=0).run([[gradient for _, gradient in held], other, train], feeds)[:2]
    for a, b in zip(got, want):
        np.testing.assert_array_equal(a, b)


def test_what_is_inside_a_loop_has_none_outside():
    with fl.Graph() as g:
        w = fl.variable(np.ones(2, "f"), name="w")
        with fl.scan(fl.placeholder((3, 2), name="seq"), time_axis=0, name="rnn") as step:
            h = step.state("h", init=w)
            step.update(h, fl.add(h, step.input, name="new"))
        fl.gradients(fl.sum(step.states["h"]), [w])
    assert gradient_tensor(g, g.tensor("rnn/new:0")) is None and gradient_tensor(g, w) is not None


def test_a_gradient_that_comes_through_many_additions_is_found_at_once():
    with fl.Graph() as g:
        w = fl.variable(np.ones(2, "f"), name="w")
        y = start = fl.sin(w)
        for _ in range(40):         # each doubles the ways there are
            y = fl.add(fl.add(y, 1.0), fl.subtract(y, 2.0))
        for _ in range(1200):       # and these make them long
            y = fl.add(y, 1.0)
        loss = fl.sum(y)
        fl.gradients(loss, [w])
        other, = fl.gradients(loss, [start])
    got, want = fl.Session(g).run([gradient_tensor(g, start), other])
    np.testing.assert_array_equal(got, want)
    assert got[0] == 2.0**40
