"""Functions that bring their own gradient, and products with the Hessian."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl

jax.config.update("jax_enable_x64", True)


@fl.custom_gradient
def scaled(x, factor):
    """x as it is, its gradient `factor` times too long."""
    return fl.identity(x), lambda g: g * factor


@fl.custom_gradient
def both(a, b):
    s, p = a + b, a * b

    def back(ds, dp):
        return ds + dp * b, ds + dp * a
    return (s, p), back


def run(g, fetches, feeds):
    return fl.Session(g).run(fetches, feeds)


def test_the_gradient_is_the_one_written_by_hand_and_not_that_of_the_nodes():
    with fl.Graph() as g:
        x = fl.placeholder((3,), "float64", name="x")
        y = scaled(x, 7.0)
        dx, = fl.gradients(fl.sum(y * y), [x])
    value, d = run(g, [y, dx], {x: [1.0, 2.0, 3.0]})
    np.testing.assert_array_equal(value, [1, 2, 3])
    np.testing.assert_array_equal(d, [14, 28, 42])


def test_several_inputs_and_outputs_and_an_output_that_nothing_needs():
    with fl.Graph() as g:
        a, b = fl.placeholder((2, 3), "float64", name="a"), fl.placeholder((2, 3), "float64", name="b")
        s, p = both(a, b)
        of_both = fl.gradients(fl.sum(s * p), [a, b])
        of_one = fl.gradients(fl.sum(fl.exp(p)), [a, b])
    va, vb = np.random.default_rng(0).normal(size=(2, 2, 3))
    got = run(g, [*of_both, *of_one], {a: va, b: vb})
    want = [*jax.grad(lambda a, b: ((a + b) * a * b).sum(), (0, 1))(va, vb), *jax.grad(lambda a, b: jnp.exp(a * b).sum(), (0, 1))(va, vb)]
    for x, y in zip(got, want):
        np.testing.assert_allclose(x, y, rtol=1e-12)


def test_it_can_be_differentiated_again():
    @fl.custom_gradient
    def cube(x):
        return x * x * x, lambda g: g * 3.0 * x * x

    with fl.Graph() as g:
        x = fl.placeholder((), "float64", name="x")
        first, = fl.gradients(cube(x), [x])
        second, = fl.gradients(first, [x])
        third, = fl.gradients(second, [x])
    np.testing.assert_allclose(run(g, [first, second, third], {x: 2.0}), [12, 12, 6])


def test_arrays_are_inputs_and_numbers_and_options_are_handed_on():
    seen = []

    @fl.custom_gradient
    def f(x, w, times, *, shift):
        seen.append((times, shift))
        return x * w * times + shift, lambda g: (g * w * times, g * x * times)

    with fl.Graph() as g:
        x = fl.placeholder((2,), "float64", name="x")
        y = f(x, np.array([3.0, 5.0]), 2.0, shift=1.0)
        dx, = fl.gradients(y, [x])
    assert seen == [(2.0, 1.0)]
    y, dx = run(g, [y, dx], {x: [1.0, 1.0]})
    np.testing.assert_array_equal(y, [7, 11])
    np.testing.assert_array_equal(dx, [6, 10])


def test_a_tensor_from_around_it_has_the_derivative_that_is_listed_or_none_at_all():
    def network(listed):
        with fl.Graph() as g:
            x, w = fl.placeholder((3,), "float64", name="x"), fl.variable(np.full(3, 2.0), name="w")
            c = fl.constant(np.ones(3))

            @fl.custom_gradient
            def times_w(x):
                return x * w + c, lambda g: (g * w, {w: g * x * 10.0}) if listed else g * w
            y = fl.sum(times_w(x))
        return g, x, w, y

    g, x, w, y = network(listed=True)
    dx, dw = fl.gradients(y, [x, w])
    dx, dw = run(g, [dx, dw], {x: [1.0, 2.0, 3.0]})
    np.testing.assert_array_equal(dx, [2, 2, 2])
    np.testing.assert_array_equal(dw, [10, 20, 30])
    g, x, w, y = network(listed=False)
    fl.gradients(y, [x])                                # nobody asks for w
    with pytest.raises(fl.GradientError, match="times_w uses w:0, and its gradient gives no derivative by it") as caught:
        fl.gradients(y, [w])
    assert caught.value.node == "times_w/CustomGradient" and "w: …" in caught.value.hint


def test_a_saved_graph_keeps_built_gradients_and_refuses_new_ones(tmp_path):
    with fl.Graph("g") as g:
        x = fl.placeholder((2,), "float64", name="x")
        y = fl.sum(scaled(x, 3.0), name="y")
        d, = fl.gradients(y, [x])
    fl.save(g, tmp_path / "g.flow.json")
    read = fl.load(tmp_path / "g.flow.json")
    assert read.same_graph(g)
    np.testing.assert_array_equal(run(read, d.name, {"x": [1.0, 2.0]}), [3, 3])
    with pytest.raises(fl.GradientError, match="scaled/CustomGradient had a gradient written by hand"):
        fl.gradients(read.tensor("y:0"), [read.tensor("x:0")])


def test_it_is_stepped_and_traced_like_anything_else():
    with fl.Graph() as g:
        x = fl.placeholder((2,), "float64", name="x")
        s, p = both(x, x * 2.0)
        d, = fl.gradients(fl.sum(s * p), [x])
    sess, feeds = fl.Session(g), {x: [1.0, 2.0]}
    want = sess.run([s, p, d], feeds)
    dbg = fl.Debugger(sess, [s, p, d], feeds)
    fired = []
    while event := dbg.step():
        fired.append(event.node)
    assert "both/CustomGradient" in fired
    for results in (dbg.results, sess.trace([s, p, d], feeds).results):
        for a, b in zip(results, want):
            np.testing.assert_array_equal(a, b)


def test_nested_custom_gradients():
    @fl.custom_gradient
    def outer(x):
        return scaled(x, 5.0) * 2.0, lambda g: scaled(g, 1.0) * 100.0

    with fl.Graph() as g:
        x = fl.placeholder((), "float64", name="x")
        d, = fl.gradients(outer(x), [x])
    assert run(g, d, {x: 1.0}) == 100


@pytest.mark.parametrize(("back", "says"), [
    (lambda g: (g, g, g), "returns 3 derivatives for 2 inputs"),
    (lambda g: g, "returns 1 derivative for 2 inputs"),
    (lambda g: (g, fl.cast(g, "float32")), r"by b:0 is float32 \(3,\), b:0 is float64 \(3,\)"),
    (lambda g: (g, fl.sum(g)), r"by b:0 is float64 \(\), b:0 is float64 \(3,\)"),
])
def test_a_gradient_that_does_not_fit_is_refused(back, says):
    @fl.custom_gradient
    def f(a, b):
        return a + b, back

    with fl.Graph():
        a, b = fl.placeholder((3,), "float64", name="a"), fl.placeholder((3,), "float64", name="b")
        y = f(a, b)
        with pytest.raises(fl.GradientError, match=f"the gradient of f.*{says}") as caught:
            fl.gradients(y, [a, b])
    assert caught.value.node == "f/CustomGradient"


@pytest.mark.parametrize("returned", [lambda x: x, lambda x: (x, x), lambda x: (1.0, lambda g: g), lambda x: ((x, 2), lambda g: g), lambda x: ((), lambda: ())])
def test_a_function_that_returns_no_gradient_is_refused(returned):
    with fl.Graph():
        x = fl.placeholder((3,), name="x")
        with pytest.raises(fl.GradientError, match="must return"):
            fl.custom_gradient(returned)(x)
    with pytest.raises(fl.GradientError):
        fl.custom_gradient(3)


def test_none_stands_for_no_derivative():
    @fl.custom_gradient
    def f(a, b):
        return a * b, lambda g: (g * b, None)

    with fl.Graph():
        a, b = fl.placeholder((3,), name="a"), fl.placeholder((3,), name="b")
        y = f(a, b)
        with pytest.raises(fl.GradientError, match="no derivative"):
            fl.gradients(y, [b])
        assert fl.gradients(y, [b], unconnected="zero")[0].node.op.name == "ZerosLike"
        assert fl.gradients(y, [a])[0].shape == (3,)


# ---------------------------------------------------------------- no derivative, on purpose and by accident


def test_stop_gradient_lets_the_value_through_and_no_derivative():
    with fl.Graph() as g:
        x = fl.placeholder((), "float64", name="x")
        y = x * fl.stop_gradient(x)
        d, = fl.gradients(y, [x])
    assert run(g, [y, d], {x: 3.0}) == [9, 3]
    with pytest.raises(fl.GradientError, match="StopGradient"), g:
        fl.gradients(fl.stop_gradient(x), [x])


# ---------------------------------------------------------------- products with the Hessian


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def test_hvp_is_jaxs():
    with fl.Graph() as g:
        x, w = fl.placeholder((5,), "float64", name="x"), fl.placeholder((5, 4), "float64", name="w")
        v, u = fl.placeholder((5,), "float64", name="v"), fl.placeholder((5, 4), "float64", name="u")
        y = fl.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2) + fl.sum(fl.tanh(x @ w) ** 2)
        hx, hw = fl.hvp(y, [x, w], [v, u])
        assert hx.shape == x.shape and hw.shape == w.shape
    rng = np.random.default_rng(1)
    vx, vw, vv, vu = (rng.normal(size=s) for s in ((5,), (5, 4), (5,), (5, 4)))

    def f(x, w):
        return rosenbrock(x) + (jnp.tanh(x @ w) ** 2).sum()
    _, want = jax.jvp(jax.grad(f, (0, 1)), (vx, vw), (vv, vu))
    for a, b in zip(run(g, [hx, hw], {x: vx, w: vw, v: vv, u: vu}), want):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_hvp_along_every_axis_is_the_hessian_and_symmetric():
    at = np.random.default_rng(2).normal(size=4)
    with fl.Graph() as g:
        x = fl.placeholder((4,), "float64", name="x")
        y = fl.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
        rows = [fl.hvp(y, x, row)[0] for row in np.eye(4)]
    hessian = np.stack(run(g, rows, {x: at}))
    np.testing.assert_allclose(hessian, jax.hessian(rosenbrock)(at), rtol=1e-10)
    np.testing.assert_allclose(hessian, hessian.T)


def test_hvp_of_what_is_linear_is_zero_and_wrong_directions_are_refused():
    with fl.Graph() as g:
        x = fl.placeholder((3,), "float64", name="x")
        flat, = fl.hvp(fl.sum(2.0 * x), [x], [np.ones(3)])
        with pytest.raises(fl.GradientError, match="2 directions"):
            fl.hvp(fl.sum(x * x), [x], [np.ones(3), np.ones(3)])
        with pytest.raises(fl.GradientError, match=r"\(4,\)"):
            fl.hvp(fl.sum(x * x), [x], [np.ones(4)])
        with pytest.raises(fl.GradientError, match="None"):
            fl.hvp(fl.sum(x * x), [x], [None])
    np.testing.assert_array_equal(run(g, flat, {x: [1.0, 2.0, 3.0]}), np.zeros(3))


# ---------------------------------------------------------------- inside loops and branches


def test_a_gradient_by_hand_holds_inside_a_loop_and_again_in_its_second_derivative():
    @fl.custom_gradient
    def cube(x):
        return x * x * x, lambda g: g * 3.0 * x * x

    def plain(x):
        return x ** 3

    def network(f):
        with fl.Graph() as g:
            xs, w = fl.placeholder((4, 2), "float64", name="xs"), fl.variable(np.array([0.5, -0.3]), name="w")
            with fl.scan(xs, name="loop") as step:
                h = step.state("h", init=np.zeros(2))
                step.update(h, f(step.input * w + h * 0.1))
                step.output(h)
            y = fl.sum(step.outputs[0] ** 2) + fl.cond(fl.sum(xs) > 0.0, lambda: fl.sum(f(w)), lambda: fl.sum(w))
            first = fl.gradients(y, [xs, w])
            second = fl.gradients(fl.sum(first[1] ** 2), [xs, w])
        return run(g, [y, *first, *second], {xs: np.random.default_rng(0).normal(size=(4, 2)) + 0.3})

    for a, b in zip(network(cube), network(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_gradient_by_hand_inside_a_loop_is_the_one_that_is_used():
    with fl.Graph() as g:
        xs, w = fl.placeholder((3,), "float64", name="xs"), fl.variable(2.0, name="w", dtype="float64")
        with fl.scan(xs, name="loop") as step:
            step.output(scaled(step.input * w, 10.0))
        dx, = fl.gradients(fl.sum(step.outputs[0]), [xs])
    np.testing.assert_array_equal(run(g, dx, {xs: np.ones(3)}), [20, 20, 20])


def test_a_graph_with_a_layer_written_out_keeps_gradients_by_hand_and_composites():
    block = fl.composite(lambda x: scaled(x, 10.0), name="block")
    with fl.Graph() as g:
        x = fl.placeholder((2, 3, 4), "float64", name="x")
        _, (h, _) = fl.nn.lstm(fl.cast(block(x), "float32"), 5, name="lstm")
        fl.sum(h, name="y")
    new = fl.expand(g, "lstm")
    assert new.composites == g.composites and list(new.composites) == ["block"]
    feeds, want = {"x": np.random.default_rng(0).normal(size=(2, 3, 4))}, []
    for graph in (g, new):
        with graph:
            d, = fl.gradients(graph.tensor("y"), [graph.tensor("x")])
        want.append(fl.Session(graph, seed=1).run(d, feeds))
    np.testing.assert_allclose(want[0], want[1], rtol=1e-4, atol=1e-6)


def over_a_scan(f, x):
    with fl.scan(x, name="loop") as step:
        step.output(f(step.input))
    return fl.sum(step.outputs[0])


def over_a_scan_that_computes_again(f, x):
    with fl.scan(x, name="loop", checkpoint=True) as step:
        step.output(fl.cond(step.input > 1.5, lambda: f(step.input), lambda: step.input * 1.0))
    return fl.sum(step.outputs[0])


@pytest.mark.parametrize("use", [
    over_a_scan, over_a_scan_that_computes_again, lambda f, x: fl.cond(fl.sum(x) > 0, lambda: f(x[0]) + f(x[1]), lambda: x[0]),
    lambda f, x: fl.while_loop(lambda s, k: k < 2, lambda s, k: [f(s), k + 1], [x[0] + 0.0, 0])[0]])
def test_inside_a_loop_it_may_use_what_is_around_in_its_value_in_its_gradient_and_by_name(use):
    with fl.Graph():
        x, one = fl.placeholder((3,), "float64", name="x"), fl.placeholder((), "float64", name="one")
        w = fl.variable(np.full((), 2.0), name="w")

        @fl.custom_gradient
        def f(a):
            return fl.sin(a) * w, lambda d: (d * fl.cos(a) * w * one, {w: d * fl.sin(a)})     # `one` is met in the gradient alone
        y = use(f, x)
    feeds = {x: [1.0, 2.0, 3.0], one: 1.0}
    assert fl.check_gradients(y, [x, w], feeds).ok and fl.check_gradients(y, [x], feeds, order=2).ok


def test_what_it_uses_without_a_derivative_is_refused_wherever_it_was_made():
    with fl.Graph():
        x, w = fl.placeholder((3,), name="x"), fl.variable(2.0, name="w")

        @fl.custom_gradient
        def made_inside(a):
            v = fl.variable(3.0, name="v")
            return a * v, lambda d: d * v
        y = made_inside(x)
        with pytest.raises(fl.GradientError, match="made_inside uses made_inside/v:0, and its gradient gives no derivative"):
            fl.gradients(fl.sum(y) + y.graph.node("made_inside/v").outputs[0], y.graph.trainable_variables)
        with fl.scan(x, name="loop") as step:
            step.output(scaled_by(w)(step.input))
        with pytest.raises(fl.GradientError, match="uses w:0, and its gradient gives no derivative"):
            fl.gradients(fl.sum(step.outputs[0]) + w, [w])


def scaled_by(w):
    return fl.custom_gradient(lambda a: (a * w, lambda d: d * w))
