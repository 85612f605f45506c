"""An explanation's arithmetic is this run's: its terms come to what the node gave."""
from __future__ import annotations

import math
import re

import numpy as np
import pytest

import flowlab as fl

RNG = np.random.default_rng(0)


def explained(make, *feeds, at=None, language="en", name="y"):
    """The explanation of the node that `make` gives for these arrays."""
    with fl.Graph() as g:
        xs = [fl.placeholder(a.shape, a.dtype.name, name=f"x{k}") for k, a in enumerate(feeds)]
        y = fl.identity(make(*xs), name="end")
    target = y.node.inputs[0].node
    dbg = fl.Debugger(fl.Session(g), y, dict(zip(xs, feeds)))
    dbg.resume()
    return dbg.explain(target, at, language), dbg.value(target.outputs[0])


def worked_out(text: str) -> tuple[float, float]:
    """Both sides of `a + b·c = d`, the left one computed by Python."""
    left, _, right = text.rpartition(" = ")
    left = re.sub(r"\be\^", "E**", left.replace("−", "-").replace("·", "*").replace("^", "**").replace("²", "**2").replace("E****", "E**"))
    left = re.sub(r"e\*\*", "E**", left)
    left = re.sub(r"√(\([^)]*\)|[\d.e-]+)", r"math.sqrt(\1)", left)
    left = re.sub(r"\bln\s*(\([^)]*\)|[\d.e-]+)", r"math.log(\1)", left)
    left = re.sub(r"\|([^|]*)\|", r"abs(\1)", left)
    return eval(left, {"E": math.e, "math": math, "abs": abs, "max": max, "min": min, **{f: getattr(math, f) for f in ("tanh", "sin", "cos")}}), float(right.replace("−", "-"))


A, B = RNG.normal(size=(3, 4)).astype("f"), RNG.normal(size=(4, 2)).astype("f")
POSITIVE = np.abs(A) + 0.5


@pytest.mark.parametrize("make, feeds", [
    (fl.matmul, (A, B)), (fl.add, (A, A[0])), (fl.subtract, (A, A[:, :1])), (fl.multiply, (A, A)), (fl.divide, (A, POSITIVE)), (fl.square, (A,)), (fl.negative, (A,)),
    (fl.relu, (A,)), (fl.sigmoid, (A,)), (fl.tanh, (A,)), (fl.sqrt, (POSITIVE,)), (fl.log, (POSITIVE,)), (fl.exp, (A,)), (fl.abs, (A,)), (fl.maximum, (A, A[::-1])),
    (fl.reciprocal, (POSITIVE,)), (fl.rsqrt, (POSITIVE,)), (lambda x: fl.sum(x, axis=0), (A,)), (lambda x: fl.mean(x, axis=1, keepdims=True), (A,)),
    (lambda x: fl.max(x, axis=1), (A,)), (lambda x: fl.min(x), (A[0],)), (lambda x: fl.prod(x, axis=0), (A,)), (fl.softmax, (A,)), (fl.power, (POSITIVE, A)),
    (lambda x: fl.matmul(x, x[0]), (A,)), (fl.mse, (A[:, 0], A[:, 1])),
], ids=lambda v: getattr(v, "__name__", None))
def test_both_sides_of_the_arithmetic_agree(make, feeds):
    found, value = explained(make, *feeds)
    left, right = worked_out(found.arithmetic)
    assert right == pytest.approx(left, rel=5e-3, abs=2e-3)         # four digits a number
    assert right == pytest.approx(float(value[found.index]), rel=1e-3)
    assert abs(value[found.index]) == np.abs(value).max()           # the largest is shown when none is asked for


def test_the_element_asked_for_is_shown_and_a_wrong_one_refused():
    found, value = explained(fl.matmul, A, B, at=(2, -1))
    assert found.index == (2, 1) and worked_out(found.arithmetic)[1] == pytest.approx(value[2, 1], rel=1e-3)
    with pytest.raises(fl.DebuggerError, match=r"no element \[3, 0\]"):
        explained(fl.matmul, A, B, at=(3, 0))


def test_a_long_sum_leaves_out_its_middle():
    found, _ = explained(fl.sum, RNG.normal(size=200).astype("f"))
    assert found.arithmetic.count("+") < 8 and "…" in found.arithmetic and "200 values" in str(found)


def test_what_is_broadcast_says_so_in_both_languages():
    assert "x is smaller" not in str(explained(fl.add, A, A)[0])
    assert "b is smaller and used again" in str(explained(fl.add, A, A[0])[0])
    assert "广播" in str(explained(fl.add, A, A[0], language="zh")[0])
    with pytest.raises(fl.DebuggerError, match="no explanations in 'fr'"):
        explained(fl.add, A, A, language="fr")


def test_the_backward_pass_tells_upstream_local_and_downstream():
    with fl.Graph() as g:
        x = fl.placeholder((3,), name="x")
        loss = fl.sum(fl.square(fl.relu(x, name="r"), name="sq"), name="loss")
        dx, = fl.gradients(loss, [x])
    dbg = fl.Debugger(fl.Session(g), dx, {x: [2.0, -1.0, 0.5]})
    dbg.resume()
    told = [str(dbg.explain(e.node)) for e in dbg.records if e.phase == "backward"]
    assert any("upstream 1 × local derivative 4 = downstream 4" in t for t in told)
    assert "4 · 1 = 4\nReLU's local derivative is 1" in str(dbg.explain(dx))
    assert "0 · 0 = 0\nReLU's local derivative is 0" in str(dbg.explain(dx, at=(1,)))


def test_a_fork_adds_what_comes_back():
    with fl.Graph() as g:
        x = fl.placeholder((), name="x")
        dx, = fl.gradients(fl.square(x) + fl.exp(x), [x])
    dbg = fl.Debugger(fl.Session(g), dx, {x: 1.0})
    dbg.resume()
    assert dx.node.op.name == "Add"
    assert "A fork on the way forward" in str(dbg.explain(dx)) and "= 4.718" in dbg.explain(dx).arithmetic


def test_an_update_tells_old_gradient_step_and_new():
    with fl.Graph() as g:
        w = fl.variable(np.array([1.0, 2.0], "f"), name="w")
        train = fl.optim.SGD(0.1).minimize(fl.sum(fl.square(w)))
    dbg = fl.Debugger(fl.Session(g), train)
    dbg.resume()
    update = next(n for n in g.nodes if n.op.name == "SGDUpdate")
    assert "old value 2, gradient 4, step −0.4, new value 1.6" in str(dbg.explain(update))


def test_an_lstm_tells_its_four_steps():
    with fl.Graph() as g:
        x = fl.placeholder((2, 5, 3), name="x")
        out, _ = fl.nn.lstm(x, 4, name="lstm")
    dbg = fl.Debugger(fl.Session(g), [out, *(g.tensor(f"lstm/LSTM:{k}") for k in "figoc")], {x: RNG.normal(size=(2, 5, 3)).astype("f")})
    dbg.resume()
    found = dbg.explain("lstm/LSTM:0", at=(1, 3, 2))
    f, i, cand, o, c = (dbg.value(f"lstm/LSTM:{k}")[1, 3, 2] for k in "figoc")
    before = dbg.value("lstm/LSTM:c")[1, 2, 2]
    assert f * before + i * cand == pytest.approx(c, rel=1e-5)
    for number in (f, before, i, cand, o, c):
        assert f"{abs(number):.4g}" in str(found)
    assert [s.split(":")[0] for s in found.sentences[1:]][:2] == ["Forget", "Input"]


def test_every_firing_of_a_training_step_is_explained_in_both_languages():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 1, 8, 8), name="x")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        h = fl.max_pool2d(fl.nn.conv2d(x, 3, 3, activation="relu"), 2)
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(fl.reshape(h, ("batch", -1)), 4), labels))
        train = fl.optim.Adam(0.01).minimize(loss)
    dbg = fl.Debugger(fl.Session(g), train, {x: RNG.normal(size=(2, 1, 8, 8)).astype("f"), labels: np.array([1, 3])})
    dbg.resume()
    for event in dbg.records:
        if g.node(event.node).outputs:
            for language in ("en", "zh"):
                found = dbg.explain(event.node, language=language)
                assert found.sentences or found.arithmetic, event.node


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_has_not_fired_and_what_is_not_finite_say_so():
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        y = fl.log(x, name="y")
    dbg = fl.Debugger(fl.Session(g), y, {x: [1.0, 0.0]})
    with pytest.raises(fl.DebuggerError, match="y:0 has not fired yet"):
        dbg.explain("y")
    dbg.step()
    found = dbg.explain("y")
    assert found.index == (1,) and "−∞" in found.arithmetic and "why_nan" in str(found)
