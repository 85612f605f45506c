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
    assert "4 · 1 = 4\nThe chain rule: upstream 4 × local derivative 1 (its output was positive) = downstream 4.\ndL/d(x) = dL/d(r) · d(r)/d(x)" in str(dbg.explain(dx))
    assert "0 · 0 = 0\nThe chain rule: upstream 0 × local derivative 0 (its output was 0) = downstream 0." in str(dbg.explain(dx, at=(1,)))
    assert "链式法则：上游 4 × 局部导数 1（输出为正） = 下游 4。" in str(dbg.explain(dx, language="zh"))
    assert "The way back begins here: dL/dL = 1." in told[0] and "dL/d(loss)" in told[0]


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


def every_op():
    """One case of every operation that has a derivative, those that are parts of a derivative left out."""
    from tests.ops.cases import CASES

    found = {}
    for case in CASES:
        if case.targets and case.alone and "Gradient" not in case.type and not case.type.endswith(("Pick", "Outputs", "Slope")):
            found.setdefault(case.type, case)
    return found.values()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_upstream_times_local_is_downstream_in_the_gradient_of_every_op():
    from flowlab.trace.explain import comes_back
    from tests.ops.test_every_op import given, gradient_graph

    worked, words = 0, set()
    for case in every_op():
        g, placeholders, ys, ds, xs, _ = gradient_graph(case)
        if any(type(n) is not int for d in ds for n in d.shape):
            continue        # as many as a mask picks
        with g:
            loss = fl.sum(sum(fl.sum(fl.multiply(y, d)) for y, d in zip(ys, ds)))
        weights = {d: np.linspace(0.5, 1.5, int(np.prod(d.shape))).reshape(d.shape).astype(d.dtype.name) for d in ds}
        dbg = fl.Debugger(fl.Session(g), fl.gradients(loss, xs), {**dict(zip(placeholders, given(case))), **weights})
        dbg.resume()
        for node in {(n := g.node(e.node)).op.name: n for e in dbg.records if e.phase == "backward"}.values():      # the last of a kind
            if not any(comes_back(t, node.gradient_of) for t in node.inputs):
                continue
            found, value = dbg.explain(node), dbg.value(node.outputs[0])
            if not found.arithmetic:
                words.add(node.op.name)
            if not found.arithmetic or "…" in found.arithmetic or "[" in found.arithmetic:
                continue
            left, right = worked_out(found.arithmetic)
            assert right == pytest.approx(left, rel=5e-3, abs=2e-3 + 1e-3 * np.abs(value).max()), (case.id, node, found.arithmetic)
            assert right == pytest.approx(float(value[found.index]), rel=1e-3, abs=1e-9), (case.id, node, found.arithmetic)
            worked += 1
    assert worked > 300 and not words


def test_each_way_of_a_fork_is_seen_as_it_is_added():
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        dx, = fl.gradients(fl.sum(fl.add(fl.add(fl.square(x, name="sq"), fl.exp(x, name="up")), fl.multiply(x, 3.0, name="three"))), [x])
    dbg = fl.Debugger(fl.Session(g), dx, {x: [1.0, 0.5]})
    dbg.resume()
    sums = [str(dbg.explain(e.node)) for e in dbg.records if e.phase == "backward" and g.node(e.node).op.name == "Add"]
    assert len(sums) == 2 and "dL/d(x)" in sums[1] and sums[1].startswith(f"{3 + math.e:.4g} + 2 = {5 + math.e:.4g}")
    assert "So far 3 from three; += 2.718 from up makes 5.718." in sums[0] and "So far 5.718; += 2 from sq makes 7.718." in sums[1]
    assert "前向时在此分叉" in str(dbg.explain(dx, language="zh"))


def test_the_products_of_a_convolution_on_the_way_back_are_written_out():
    with fl.Graph() as g:
        x, w = fl.placeholder((1, 1, 3, 3), name="x"), fl.placeholder((1, 1, 2, 2), name="w")
        dx, dw = fl.gradients(fl.sum(fl.square(fl.conv2d(x, w, name="conv"))), [x, w])
    image, kernel = np.arange(9, dtype="f").reshape(1, 1, 3, 3), np.float32([[[[1, 2], [3, 4]]]])
    dbg = fl.Debugger(fl.Session(g), [dx, dw], {x: image, w: kernel})
    dbg.resume()
    for tensor in (dx, dw):
        found = dbg.explain(tensor, (0, 0, 1, 1))
        left, right = worked_out(found.arithmetic)
        assert right == pytest.approx(left, rel=1e-3) and found.arithmetic.count("·") == 4 and "it went into 4 numbers" in str(found) and f"dL/d({'x' if tensor is dx else 'w'}) = dL/d(conv)" in str(found)


@pytest.mark.parametrize("optimizer", [fl.optim.SGD(0.1), fl.optim.SGD(0.1, momentum=0.9), fl.optim.Adam(0.1), fl.optim.AdamW(0.1, weight_decay=0.2), fl.optim.RMSProp(0.1)], ids=lambda o: type(o).__name__)
def test_every_update_tells_old_gradient_step_and_new_in_numbers_that_add_up(optimizer):
    with fl.Graph() as g:
        w = fl.variable(np.array([1.0, -2.0], "f"), name="w")
        train = optimizer.minimize(fl.sum(fl.square(w)))
    sess = fl.Session(g)
    sess.run(train)
    before = sess.variables["w"].copy()
    dbg = fl.Debugger(sess, train)
    dbg.resume()
    assign = next(n for n in g.nodes if n.op.name == "Assign" and n.inputs[0] is w)
    for node in (assign, *(n for n in g.nodes if n.op.name in ("SGDUpdate", "AdamUpdate"))):
        found = dbg.explain(node, (1,))
        left, right = worked_out(found.arithmetic)
        assert right == pytest.approx(left, rel=2e-3) == pytest.approx(float(dbg.value(assign.outputs[0])[1]), rel=1e-3)
        assert f"old value {before[1]:.4g}, gradient {2 * before[1]:.4g}, step ".replace("-", "−") in str(found) and "旧值" in str(dbg.explain(node, language="zh"))
