"""`Session.code` tells what a run does, line by line: the firings that a trace records, without those that a plan cut to its shapes has no need of."""
from __future__ import annotations

import re

import numpy as np
import pytest

import flowlab as fl


def fired(code: str) -> list[str]:
    """The nodes behind the lines, each once."""
    return list(dict.fromkeys(re.findall(r"  # (.+)$", code, re.M)))


def test_a_line_is_a_firing_and_what_never_changes_is_gone_from_the_third_run_on():
    with fl.Graph() as g:
        a = fl.placeholder((5, 5), name="a")
        fixed = fl.exp(fl.constant(np.ones((5, 5), "float32")) * 0.5, name="fixed")
        total = fl.sum(fl.tanh(a * fixed, name="bent"), name="total")
    sess, feeds = fl.Session(g), {a: np.ones((5, 5), "float32")}
    recorded = [e.node for e in fl.Session(g).trace(total, feeds).events]
    before = sess.code(total, feeds)
    assert fired(before) == recorded and "def plan(feeds, values, rng):" in before
    assert sess.store.runs == 0
    first = sess.run(total, feeds)
    assert sess.code(total, feeds) == before
    sess.run(total, feeds)
    after = sess.code(total, feeds)
    assert [n for n in recorded if n not in fired(after)] == ["Multiply", "fixed"]
    assert sess.run(total, feeds) == first
    assert sess.code(total, {a: np.ones((5, 5))}) == after
    assert fired(sess.code("bent", feeds)) == recorded[:-1]


def test_the_inside_of_a_loop_stands_below_it():
    with fl.Graph() as g:
        seq = fl.placeholder((2, 4, 3), name="seq")
        with fl.scan(seq, time_axis=1, name="rnn") as step:
            state = step.state("h", size=3)
            step.update(state, fl.tanh(step.input + state, name="next"))
            step.output(state)
        y = fl.sum(step.outputs[0], name="y")
    top, inside = fl.Session(g).code(y, {seq: np.ones((2, 4, 3))}).split("\n# inside rnn/Scan\n")
    assert len(fired(inside)) == 2 and fired(inside)[-1] == "next" and "rnn/Scan" in fired(top) and "next" not in fired(top)


def test_what_cannot_run_is_refused_as_a_run_is():
    with fl.Graph() as g:
        x = fl.placeholder((3,), name="x")
        fl.exp(x, name="y")
    with pytest.raises(fl.FeedError, match="x"):
        fl.Session(g).code("y")
