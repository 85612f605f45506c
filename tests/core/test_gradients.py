"""gradients: more nodes, and errors that name the way."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl

jax.config.update("jax_enable_x64", True)


def test_a_fork_adds_up_and_a_tensor_used_twice_counts_twice():
    with fl.Graph() as g:
        x = fl.placeholder((3,), "float64", name="x")
        a = fl.sin(x)
        y = fl.sum(a * a + fl.exp(a) * x - a / (x + 3.0))
        d, = fl.gradients(y, [x])
    at = np.array([0.3, -0.7, 1.1])

    def f(x):
        a = jnp.sin(x)
        return (a * a + jnp.exp(a) * x - a / (x + 3)).sum()
    np.testing.assert_allclose(fl.Session(g).run(d, {x: at}), jax.grad(f)(at), rtol=1e-12)


def test_by_something_in_the_middle_and_by_itself():
    with fl.Graph() as g:
        x = fl.placeholder((2,), "float64", name="x")
        m = fl.square(x, name="m")
        y = fl.sum(m * m)
        dm, dx, one = (*fl.gradients(y, [m, x]), *fl.gradients(y, [y]))
    dm, dx, one = fl.Session(g).run([dm, dx, one], {x: [2.0, 3.0]})
    np.testing.assert_allclose(dm, [8, 18])
    np.testing.assert_allclose(dx, [32, 108])
    assert one == 1


def test_what_is_no_scalar_is_summed_or_weighted():
    with fl.Graph() as g:
        x = fl.placeholder((2, 3), "float64", name="x")
        y = x * x
        plain, weighted = fl.gradients(y, [x])[0], fl.gradients([y, fl.exp(x)], [x], grad_ys=[np.full((2, 3), 2.0), fl.zeros_like(x)])[0]
    v = np.arange(6.0).reshape(2, 3)
    plain, weighted = fl.Session(g).run([plain, weighted], {x: v})
    np.testing.assert_allclose(plain, 2 * v)
    np.testing.assert_allclose(weighted, 4 * v)


def test_third_derivative():
    with fl.Graph() as g:
        x = fl.placeholder((), "float64", name="x")
        y = fl.exp(fl.sin(x)) * x ** 3
        for _ in range(3):
            y, = fl.gradients(y, [x])
    want = jax.grad(jax.grad(jax.grad(lambda x: jnp.exp(jnp.sin(x)) * x**3)))(0.7)
    np.testing.assert_allclose(fl.Session(g).run(y, {x: 0.7}), want, rtol=1e-10)


def test_a_small_network_with_unknown_sizes_matches_jax():
    with fl.Graph() as g:
        x, labels = fl.placeholder((None, "time", 4), "float64", name="x"), fl.placeholder((None,), "int64", name="labels")
        w1, b1, w2 = (fl.variable(np.random.default_rng(k).normal(size=s), name=n) for k, (n, s) in enumerate({"w1": (4, 5), "b1": (5,), "w2": (5, 3)}.items()))
        h = fl.mean(fl.tanh(x @ w1 + b1), axis=1)
        h = fl.concat([h[:, :2], fl.relu(h[:, 2:])], axis=1)
        rows = fl.sparse_softmax_cross_entropy(h @ w2, labels)
        loss = fl.mean(rows) + 0.1 * fl.sum(w1 ** 2) + fl.max(fl.softmax(h, axis=0))
        grads = fl.gradients(loss, [x, w1, b1, w2])
        flat = fl.sum(fl.square(fl.gradients(fl.sum(fl.square(grads[1])), [w2])[0]))

    def f(x, w1, b1, w2):
        h = jnp.tanh(x @ w1 + b1).mean(1)
        h = jnp.concatenate([h[:, :2], jax.nn.relu(h[:, 2:])], 1)
        rows = -jnp.take_along_axis(jax.nn.log_softmax(h @ w2), ys[:, None], 1)[:, 0]
        return rows.mean() + 0.1 * (w1**2).sum() + jax.nn.softmax(h, axis=0).max()
    sess = fl.Session(g)
    xs, ys = np.random.default_rng(9).normal(size=(6, 3, 4)), np.arange(6) % 3
    weights = [sess.variables[n] for n in ("w1", "b1", "w2")]
    value, *got, second = sess.run([loss, *grads, flat], {x: xs, labels: ys})
    np.testing.assert_allclose(value, f(xs, *weights), rtol=1e-12)
    for a, b in zip(got, jax.grad(f, argnums=(0, 1, 2, 3))(xs, *weights)):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-10, atol=1e-12)
    want = (jax.grad(lambda w2: (jax.grad(f, argnums=1)(xs, *weights[:2], w2)**2).sum())(weights[2])**2).sum()
    np.testing.assert_allclose(second, want, rtol=1e-9)


def test_no_way_from_y_to_x():
    with fl.Graph() as g:
        x, z = fl.placeholder((3,), name="x"), fl.placeholder((3,), name="z")
        y = fl.sum(x, name="y")
        with pytest.raises(fl.GradientError, match="y:0 does not depend on z:0") as caught:
            fl.gradients(y, [x, z])
        assert caught.value.node == "z" and "zero" in caught.value.hint
        dz, = fl.gradients(y, [z], unconnected="zero")
        for cut in (fl.stop_gradient(x, name="cut"), fl.cast(x > 0, "float32"), fl.cast(fl.cast(x, "int64"), "float32")):
            with pytest.raises(fl.GradientError, match="no derivative"):
                fl.gradients(fl.sum(cut), [x])
        with pytest.raises(fl.GradientError, match="cut .*on the way x → cut → "):
            fl.gradients(fl.sum(g.tensor("cut")), [x])
        with pytest.raises(fl.GradientError):
            fl.gradients(y, [x], unconnected="maybe")
    np.testing.assert_array_equal(fl.Session(g).run(dz, {z: [1, 2, 3]}), [0, 0, 0])


def test_a_missing_derivative_names_the_path():
    with fl.Graph() as g:
        x = fl.placeholder((3,), name="x")
        v, s = fl.variable(np.zeros(3, "float32"), name="v"), fl.constant(1.0)
        put = fl.assign(v, fl.square(x, name="inner"), name="put")
        y = fl.sum(put, name="outer")
        with pytest.raises(fl.GradientError, match="assign has no derivative.*put → outer") as caught:
            fl.gradients(y, [x])
        assert caught.value.node == "put"
        with pytest.raises(fl.GradientError, match="not a tensor"):
            fl.gradients(y, ["x"])
        with pytest.raises(fl.GradientError, match="only floats"):
            fl.gradients(fl.argmax(x), [x])
    with fl.Graph(), pytest.raises(fl.GradientError, match="graph"):
        fl.gradients(y, [fl.placeholder(())])
    assert s.graph is g


def test_gradients_are_nodes_in_a_scope_of_their_own():
    with fl.Graph() as g:
        w = fl.variable(np.ones((3, 2), "float32"), name="w")
        with fl.name_scope("model"):
            y = fl.sum(fl.square(fl.placeholder((4, 3), name="x") @ w), name="y")
        before = len(g.nodes)
        d, = fl.gradients(y, [w])
        more, = fl.gradients(y, [w])
    new = list(g.nodes)[before:]
    assert all(n.phase == "backward" for n in new if n.op.source is None) and all(n.name.startswith(("gradients/", "gradients_1/")) for n in new)
    assert d.node.name.startswith("gradients/model/MatMul/") and d.node.gradient_of == "model/MatMul" and more.node.name.startswith("gradients_1/")


def test_only_what_is_asked_for_is_added():
    with fl.Graph() as g:
        x, w = fl.placeholder((4, 3), name="x"), fl.variable(np.ones((3, 2), "float32"), name="w")
        y = fl.sum(x @ w)
        fl.gradients(y, [w])
    backward = [n for n in g.nodes if n.phase == "backward"]
    assert sum(n.op.name == "MatMul" for n in backward) == 1       # none for x


@pytest.mark.parametrize("op", [fl.add, fl.multiply, fl.subtract, fl.maximum, lambda a, b: a / (b + 9.0), lambda a, b: fl.where(a > b, a, b)])
@pytest.mark.parametrize(("first", "second"), [("n", "m"), ("n", None), (None, None), ("n", 5), (None, 5), ("n", "n")])
def test_an_unknown_size_that_turns_out_to_be_1_is_repeated(op, first, second):
    """One example against many: the gradient comes back in the shape of what was fed."""
    with fl.Graph() as g:
        a, b = fl.placeholder((first, 3), "float64", name="a"), fl.placeholder((second, 3), "float64", name="b")
        y = op(a, b)
        grads = fl.gradients(fl.sum(y * y), [a, b])
    rng = np.random.default_rng(0)
    known = (5,) if second == 5 else (1, 5) if first != second or first is None else (1,)
    for rows in known:
        va, vb = rng.normal(size=(1, 3)), rng.normal(size=(rows, 3))
        value, da, db = fl.Session(g).run([y, *grads], {a: va, b: vb})
        assert value.shape == (rows, 3) and all(d in (None, str(d), r) for d, r in zip(y.shape, value.shape))
        for d, v in ((da, va), (db, vb)):
            assert d.shape == v.shape
        eps = 1e-6
        for d, k in ((da, 0), (db, 1)):
            at = [va.copy(), vb.copy()]
            at[k][0, 1] += eps
            more = (fl.Session(g).run(y, {a: at[0], b: at[1]})**2).sum()
            np.testing.assert_allclose((more - (value**2).sum()) / eps, d[0, 1], rtol=1e-3, atol=1e-4)


def test_what_the_backward_pass_starts_from_has_the_shape_of_y():
    with fl.Graph() as g:
        x, n = fl.placeholder((2, 3), name="x"), fl.placeholder(("n",), "float64", name="n")
        y = x * 2
        number, row, tensor = (fl.gradients(y, [x], grad_ys=[s])[0] for s in (3.0, [1, 2, 3], fl.constant(np.full((2, 3), 5.0))))
        unknown, = fl.gradients(n * n, [n], grad_ys=[0.5])
        for wrong in (np.ones((4, 3)), np.ones((7, 2, 3)), np.ones(2)):
            with pytest.raises(fl.GradientError, match=r"grad_ys for Multiply:0 is \(") as caught:
                fl.gradients(y, [x], grad_ys=[wrong])
            assert caught.value.node == "Multiply"
        with pytest.raises(fl.GradientError, match="1 grad_ys for 2 ys"):
            fl.gradients([y, y], [x], grad_ys=[1.0])
        with pytest.raises(fl.GradientError, match="nothing to differentiate"):
            fl.gradients([], [x])
        assert fl.gradients(y, []) == []
        along = fl.jvp(y, [x], [1.0])
    v = np.zeros((2, 3))
    number, row, tensor, unknown, along = fl.Session(g).run([number, row, tensor, unknown, along], {x: v, n: [1.0, 4.0]})
    np.testing.assert_array_equal(number, np.full((2, 3), 6))
    np.testing.assert_array_equal(row, [[2, 4, 6]] * 2)
    np.testing.assert_array_equal(tensor, np.full((2, 3), 10))
    np.testing.assert_array_equal(unknown, [1, 4])
    np.testing.assert_array_equal(along, np.full((2, 3), 2))
    assert number.dtype == tensor.dtype == np.float32
