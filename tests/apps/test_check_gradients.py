"""check_gradients: right where it should be, and where it is not, it names the node and the index."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY


@pytest.fixture
def bad_square():
    """An op whose gradient is wrong by a factor at one place, and right elsewhere."""
    @fl.op(type="TestBadSquare")
    def test_bad_square(xp, x, y):
        """Multiply x by itself and by y."""
        return x * x * y

    @test_bad_square.gradient
    def _(node, g):
        x, y = node.inputs
        mask = np.ones(x.shape)
        mask[1, 2] = 1.25
        return g * 2.0 * x * y * fl.cast(fl.constant(mask), x.dtype.name), g * x * x
    yield test_bad_square
    del REGISTRY["TestBadSquare"]


def network(dtype="float32"):
    with fl.Graph("net") as g:
        x = fl.placeholder(("batch", 3), dtype, name="x")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        h = fl.nn.dense(x, 5, activation="tanh", name="hidden") if dtype == "float32" else fl.tanh(x @ fl.variable(np.random.default_rng(0).normal(size=(3, 5)), name="w"))
        fl.mean(fl.sparse_softmax_cross_entropy(h, labels), name="loss")
    return g, {"x": np.random.default_rng(1).normal(size=(4, 3)), "labels": [0, 1, 4, 2]}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_agrees_with_differences(dtype, order):
    g, feeds = network(dtype)
    sess = fl.Session(g, seed=3)
    report = fl.check_gradients("loss", ["x", *g.trainable_variables], feeds, sess, order=order)
    assert report and report.ok and report.worst is None and report.node is None and report.raise_on_error() is report
    assert report.dtype == "float64" and report.widened == (dtype == "float32")
    assert [r.tensor for r in report.rows] == ["x:0", *(v.name for v in g.trainable_variables)]
    assert all(r.checked == min(r.size, 32) and r.worst.error < 1e-6 for r in report.rows)
    assert "x:0" in str(report) and "12 of 12" in str(report)


def test_nothing_is_left_behind():
    g, feeds = network()
    sess = fl.Session(g, seed=3)
    sess.run("loss", feeds)
    names, scopes, counts, values = [n.name for n in g.nodes], set(g._scopes), dict(g._counts), dict(sess.variables)
    for each_node in (True, False):
        fl.check_gradients("loss", None, feeds, sess, each_node=each_node)
    g64, feeds64 = network("float64")
    before = [n.name for n in g64.nodes]
    fl.check_gradients(g64.tensor("loss"), ["x"], feeds64)
    assert [n.name for n in g64.nodes] == before
    assert [n.name for n in g.nodes] == names and g._scopes == scopes and g._counts == counts and sess.store.runs == 1
    for k, v in sess.variables.items():
        np.testing.assert_array_equal(v, values[k])
    with g:
        fl.gradients(g.tensor("loss"), g.trainable_variables)     # and the graph still grows


def test_a_wrong_gradient_is_told_with_node_port_and_index(bad_square):
    with fl.Graph():
        x = fl.placeholder((2, 3), "float64", name="x")
        loss = fl.sum(fl.sin(bad_square(fl.exp(x), x + 2.0, name="odd")), name="loss")
    report = fl.check_gradients(loss, [x], {x: np.linspace(-1, 0.5, 6).reshape(2, 3)})
    assert not report and not report.ok
    assert report.node == "odd" and report.index == (1, 2) and report.worst.port == "x"
    assert "odd's gradient is wrong at input x, index (1, 2)" in str(report)
    assert [r.tensor for r in report.nodes] == ["Exp:0"]
    assert {d.index for r in report.rows for d in r.wrong} == {(1, 2)}
    with pytest.raises(fl.GradientError, match="odd's gradient is wrong at input x") as caught:
        report.raise_on_error()
    assert caught.value.node == "odd" and caught.value.port == "x"


def test_errors_cannot_cancel_in_a_sum():
    @fl.custom_gradient
    def swapped(x):
        return fl.softmax(x), lambda g: g * 0.0       # the sum of a softmax has no slope, and its gradient is none

    with fl.Graph():
        x = fl.placeholder((4,), "float64", name="x")
        y = swapped(x)
    report = fl.check_gradients(y, [x], {x: [0.1, 0.5, -0.3, 1.0]})
    assert not report.ok and report.node == "swapped"


def test_a_node_is_found_whose_error_does_not_reach_the_end(bad_square):
    with fl.Graph():
        x = fl.placeholder((2, 3), "float64", name="x")
        loss = fl.sum(bad_square(x, x, name="odd") * 0.0)
    feeds = {x: np.ones((2, 3))}
    assert fl.check_gradients(loss, [x], feeds).ok
    assert fl.check_gradients(loss, [x], feeds, each_node=True).node == "odd"


def test_a_right_custom_gradient_agrees_in_a_float32_graph_too():
    @fl.custom_gradient
    def times(a, b):
        return a * b, lambda g: (g * b, g * a)

    with fl.Graph():
        x = fl.placeholder((3,), name="x")
        w = fl.variable(np.array([1.0, 2.0, 3.0], "float32"), name="w")
        y = fl.sum(fl.tanh(times(x, w)))
    report = fl.check_gradients(y, [x, w], {x: [0.5, -0.25, 0.1]}, each_node=True)
    assert report.ok and report.widened and "times/CustomGradient" in report.alone


def test_an_op_that_takes_only_float32_is_compared_in_float32():
    @fl.op(type="TestFloat32Only")
    def test_float32_only(xp, x):
        """Square, in float32 alone."""
        if x.dtype != "float32":
            raise TypeError("float32 only")
        return x * x

    @test_float32_only.gradient
    def _(node, g):
        return (g * 2.0 * node.inputs[0],)
    try:
        with fl.Graph():
            x = fl.placeholder((3,), name="x")
            y = fl.sum(test_float32_only(x))
            report = fl.check_gradients(y, [x], {x: [0.5, -1.0, 2.0]})
        assert report.ok and report.dtype == "float32" and not report.widened
    finally:
        del REGISTRY["TestFloat32Only"]


def test_tensors_in_between_variables_and_large_tensors_by_samples():
    with fl.Graph():
        x = fl.placeholder((40, 50), "float64", name="x")
        m = fl.sin(x, name="m")
        y = fl.sum(m * m * x)
    at = np.random.default_rng(0).normal(size=(40, 50))
    report = fl.check_gradients(y, [m, "x"], {x: at}, samples=7)
    assert report.ok and [(r.checked, r.size) for r in report.rows] == [(7, 2000), (7, 2000)]


def test_corners_are_no_errors_but_a_slope_outside_them_is():
    with fl.Graph():
        x = fl.placeholder((3,), "float64", name="x")
        y = fl.sum(fl.relu(x))
        z = fl.sum(fl.sqrt(x))
    report = fl.check_gradients(y, [x], {x: [0.0, 1.0, -1.0]})
    assert report.ok and report.rows[0].kinks == 1 and "corner" in str(report)
    assert fl.check_gradients(z, [x], {x: [1e-4, 1e-3, 2.0]}).ok          # finer steps where the function ends nearby


def test_random_nodes_draw_the_same_numbers_every_time():
    with fl.Graph():
        x = fl.placeholder((20,), "float64", name="x")
        y = fl.sum(fl.dropout(x * x, 0.5))
    assert fl.check_gradients(y, [x], {x: np.linspace(1, 2, 20)}).ok


def test_several_fetches_scalars_and_nothing_at_all():
    with fl.Graph():
        x, e = fl.placeholder((), "float64", name="x"), fl.placeholder((0, 3), "float64", name="e")
        assert fl.check_gradients([x * x, fl.exp(x)], x, {x: 0.3}).ok
        report = fl.check_gradients(fl.sum(e * e), [e], {e: np.zeros((0, 3))})
    assert report.ok and report.rows[0].checked == 0


def test_the_table_is_read_by_people(bad_square):
    with fl.Graph():
        x = fl.placeholder((2, 3), "float64", name="x")
        y = fl.sum(bad_square(x, x), name="y")
    text = str(fl.check_gradients(y, [x], {x: np.ones((2, 3))}))
    assert text.splitlines()[0] == "gradients of y:0 (float64): 0 of 1 tensor agrees with differences"
    assert "WRONG  x:0  (2, 3)  6 of 6   (1, 2)" in text
    assert text.splitlines()[-1].startswith("TestBadSquare's gradient is wrong at input x, index (1, 2): ")


def test_what_cannot_be_checked_is_refused():
    with fl.Graph() as g:
        x, n = fl.placeholder((3,), "float64", name="x"), fl.placeholder((3,), "int64", name="n")
        y = fl.sum(x * x)
    feeds = {x: np.ones(3)}
    for given, error in (((y, [n], feeds), fl.GradientError), ((y, [], feeds), fl.GradientError), (("y", [], feeds), fl.FetchError), ((y, [x], {}), fl.FeedError),
                         ((y, [x], {x: np.ones(4)}), fl.FeedError), ((fl.argmax(x), [x], feeds), fl.GradientError), ((y, ["nobody"], feeds), fl.FetchError)):
        with pytest.raises(error):
            fl.check_gradients(*given)
    for options in ({"samples": 0}, {"samples": 1.5}, {"order": 3}, {"step": -1.0}, {"step": 0.0}, {"rtol": float("nan")}, {"atol": "x"}):
        with pytest.raises(fl.AttributeValueError):
            fl.check_gradients(y, [x], feeds, **options)
    with g:
        z = fl.sum(fl.stop_gradient(x))
    with pytest.raises(fl.GradientError, match="StopGradient"):
        fl.check_gradients(z, [x], feeds)


def test_loops_and_branches_agree_in_a_float32_graph_too():
    with fl.Graph():
        xs, w = fl.placeholder(("time", 2), name="xs"), fl.variable(np.array([0.5, -0.3], "float32"), name="w")
        with fl.scan(xs, name="loop") as step:
            h = step.state("h", init=np.zeros(2, "float32"))
            step.update(h, fl.tanh(step.input * w + h))
            step.output(h)
        y = fl.sum(fl.while_loop(lambda s: fl.sum(s) < 20.0, lambda s: s * s + 1.0, step.outputs[0][-1], name="grow"))
    report = fl.check_gradients(y, [xs, w], {xs: np.random.default_rng(0).normal(size=(5, 2))}, each_node=True)
    assert report.ok and report.widened and "loop/Scan" in report.alone


def test_a_wrong_gradient_inside_a_loop_is_told_of_the_loop():
    @fl.custom_gradient
    def wrong(x):
        return fl.sin(x), lambda g: g * 1.01

    with fl.Graph():
        xs = fl.placeholder((3,), "float64", name="xs")
        with fl.scan(xs, name="loop") as step:
            step.output(wrong(step.input))
        y = fl.sum(step.outputs[0] * 2.0)
    report = fl.check_gradients(y, [xs], {xs: [0.1, 0.2, 0.3]})
    assert not report.ok and report.node == "loop/Scan"


def test_what_stops_a_derivative_on_purpose_is_named():
    with fl.Graph():
        x = fl.placeholder((3,), "float64", name="x")
        y = fl.sum(x * fl.stop_gradient(fl.exp(x), name="held"))
    report = fl.check_gradients(y, [x], {x: [0.1, 0.2, 0.3]})
    assert not report.ok and not report.nodes and report.blocked == ("held",)
    assert "held lets no derivative through, on purpose" in str(report) and "looked at alone" in str(report)
