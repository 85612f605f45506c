"""Dense layers, losses at their edges, optimizers and schedules against their formulas."""
from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl

jax.config.update("jax_enable_x64", True)


# ---------------------------------------------------------------- layers and losses


def test_dense_is_a_product_a_sum_and_an_activation():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 3), name="x")
        h = fl.nn.dense(x, 5, activation="relu", name="hidden")
        bare = fl.nn.dense(h, 2, use_bias=False, kernel_initializer="orthogonal", activation=fl.tanh, name="bare")
    assert h.shape == ("batch", 5) and [v.name for v in g.variables] == ["hidden/kernel:0", "hidden/bias:0", "bare/kernel:0"]
    assert g.node("hidden/kernel").outputs[0].shape == (3, 5) and g.node("hidden/bias").outputs[0].shape == (5,)
    sess = fl.Session(g)
    xs = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    v = sess.variables
    want = np.maximum(xs @ v["hidden/kernel"] + v["hidden/bias"], 0)
    np.testing.assert_allclose(sess.run(h, {x: xs}), want, rtol=1e-6)
    np.testing.assert_allclose(sess.run(bare, {x: xs}), np.tanh(want @ v["bare/kernel"]), rtol=1e-5)


def test_dense_refuses():
    with fl.Graph() as g:
        with pytest.raises(fl.ShapeError, match="last size") as caught:
            fl.nn.dense(fl.placeholder(("batch", "features"), name="x"), 3)
        assert (caught.value.node, caught.value.axis) == ("x", 1)
        with pytest.raises(fl.DTypeError):
            fl.nn.dense(fl.placeholder((2, 3), "int64"), 3)
        with pytest.raises(fl.AttributeValueError, match="units"):
            fl.nn.dense(fl.placeholder((2, 3)), -1)
        with pytest.raises(fl.UnknownOpError, match="Relu"):
            fl.nn.dense(fl.placeholder((2, 3)), 4, activation="rellu", name="bad")
        y = fl.nn.dense(fl.placeholder((2, 3)), 4, name="same")
        with pytest.raises(fl.NameTakenError):
            fl.nn.dense(y, 4, name="same")
        assert len(g.variables) >= 2


def loss_and_gradient(logits, labels):
    with fl.Graph() as g:
        x = fl.placeholder(np.shape(logits), "float32", name="x")
        y = fl.placeholder(np.shape(labels), "int64", name="y")
        loss = fl.sparse_softmax_cross_entropy(x, y)
        grad, = fl.gradients(loss, [x])
    return fl.Session(g).run([loss, grad], {x: logits, y: labels})


def test_large_logits_do_not_overflow():
    with np.errstate(all="raise", under="ignore"):
        loss, grad = loss_and_gradient([[1e4, 0.0, -1e4], [1e38, -1e38, 0.0]], [1, 0])
    np.testing.assert_allclose(loss, [1e4, 0])
    np.testing.assert_allclose(grad, [[1, -1, 0], [0, 0, 0]])


def test_one_class_is_never_a_surprise():
    loss, grad = loss_and_gradient([[5.0], [-3.0]], [0, 0])
    assert (loss == 0).all() and (grad == 0).all()


def test_equal_logits_are_a_uniform_guess():
    loss, _ = loss_and_gradient(np.zeros((2, 10)), [3, 7])
    np.testing.assert_allclose(loss, math.log(10), rtol=1e-6)


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_named(label):
    with pytest.raises(fl.KernelError, match=f"label {label} is outside the 3 classes"):
        loss_and_gradient([[0.0, 1, 2]], [label])


def test_two_forms_of_cross_entropy_agree():
    with fl.Graph() as g:
        x, y = fl.placeholder(("batch", 4), "float64", name="x"), fl.placeholder(("batch",), "int64", name="y")
        a = fl.sparse_softmax_cross_entropy(x, y)
        b = fl.softmax_cross_entropy(x, fl.one_hot(y, 4, dtype="float64"))
        da, db = fl.gradients(a, [x]) + fl.gradients(b, [x])
    xs, ys = np.random.default_rng(0).normal(size=(6, 4)) * 30, np.arange(6) % 4
    a, b, da, db = fl.Session(g).run([a, b, da, db], {x: xs, y: ys})
    np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(da, db, rtol=1e-12, atol=1e-15)


# ---------------------------------------------------------------- optimizers

XS, TARGET = np.random.default_rng(1).normal(size=(5, 3)), np.random.default_rng(2).normal(size=(5, 2))
START = {"w": np.random.default_rng(3).normal(size=(3, 2)), "b": np.zeros(2)}


def fitted(optimizer, steps=6):
    with fl.Graph() as g:
        x, y = fl.constant(XS), fl.constant(TARGET)
        w, b = fl.variable(START["w"], name="w"), fl.variable(fl.init.zeros((2,), "float64"), name="b")
        loss = fl.mean((x @ w + b - y) ** 2, name="loss")
        optimizer.minimize(loss)
    sess = fl.Session(g)
    out = []
    for _ in range(steps):
        sess.run("train")
        out.append((sess.variables["w"], sess.variables["b"]))
    return out, sess


def gradients_at(w, b):
    return [np.asarray(d) for d in jax.grad(lambda w, b: ((XS @ w + b - TARGET)**2).mean(), argnums=(0, 1))(w, b)]


def by_hand(update, steps=6, clip=None):
    values, state, out = [START["w"], START["b"]], [{}, {}], []
    for t in range(1, steps + 1):
        grads = gradients_at(*values)
        if clip is not None:
            norm = math.sqrt(sum((d**2).sum() for d in grads))
            grads = [d * min(1.0, clip / (norm + 1e-6)) for d in grads]
        values = [update(v, d, s, t) for v, d, s in zip(values, grads, state)]
        out.append(tuple(values))
    return out


def agree(got, want, rtol=1e-6):     # the learning rate itself is a float32
    for a, b in zip(got, want, strict=True):
        for p, q in zip(a, b):
            np.testing.assert_allclose(p, q, rtol=rtol, atol=1e-9)


def test_sgd():
    agree(fitted(fl.optim.SGD(0.1))[0], by_hand(lambda v, d, s, t: v - 0.1 * d))


def test_sgd_with_momentum():
    def update(v, d, s, t):
        s["v"] = 0.9 * s.get("v", 0) + d
        return v - 0.05 * s["v"]
    agree(fitted(fl.optim.SGD(0.05, momentum=0.9))[0], by_hand(update))


def adam(rate, beta1=0.9, beta2=0.999, eps=1e-8):
    def update(v, d, s, t):
        s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * d
        s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * d * d
        return v - (rate(t - 1) if callable(rate) else rate) * (s["m"] / (1 - beta1**t)) / (np.sqrt(s["v"] / (1 - beta2**t)) + eps)
    return update


def test_adam():
    agree(fitted(fl.optim.Adam(0.1))[0], by_hand(adam(0.1)))
    agree(fitted(fl.optim.Adam(0.1, beta1=0.5, beta2=0.9, eps=1e-3))[0], by_hand(adam(0.1, 0.5, 0.9, 1e-3)))


@pytest.mark.parametrize("clip", [0.3, 1e3])
def test_clipping_scales_all_gradients_as_one_vector(clip):
    agree(fitted(fl.optim.SGD(0.1, clip_norm=clip))[0], by_hand(lambda v, d, s, t: v - 0.1 * d, clip=clip))


def one_cycle_by_hand(t, top, total, start=0.3, divide_by=25.0, end_divide_by=1e4):
    """torch.optim.lr_scheduler.OneCycleLR(anneal_strategy="cos"), from its documentation."""
    first, last = top / divide_by, top / divide_by / end_divide_by
    turn = start * total - 1
    if t <= turn:
        a, b, share = first, top, t / turn
    else:
        a, b, share = top, last, (t - turn) / (total - 1 - turn)
    return b + (a - b) / 2 * (1 + math.cos(math.pi * share))


@pytest.mark.parametrize(("top", "total", "start"), [(5e-3, 50, 0.3), (1.0, 7, 0.5), (0.1, 10, 0.9)])
def test_one_cycle(top, total, start):
    with fl.Graph() as g:
        step = fl.placeholder((), name="step")
        rate = fl.optim.one_cycle(top, total, start=start)(step)
    sess = fl.Session(g)
    got = [float(sess.run(rate, {step: t})) for t in range(total)]
    np.testing.assert_allclose(got, [one_cycle_by_hand(t, top, total, start) for t in range(total)], rtol=2e-4, atol=top * 1e-6)
    np.testing.assert_allclose(got[0], top / 25, rtol=1e-4)
    assert float(sess.run(rate, {step: total + 5})) <= got[-1] * 1.01     # after the end it stays there


def test_adam_along_a_schedule_counts_its_steps():
    got, sess = fitted(fl.optim.Adam(fl.optim.one_cycle(0.2, 6, start=0.5)))
    agree(got, by_hand(adam(lambda t: one_cycle_by_hand(t, 0.2, 6, 0.5))), rtol=1e-4)
    assert sess.variables["Adam/step"] == 6


def test_the_graph_of_a_training_step():
    _, sess = fitted(fl.optim.Adam(0.1, clip_norm=1.0), steps=1)
    g = sess.graph
    assert g.node("train").op.name == "Group" and sess.run("train") is None
    for n in g.nodes:
        top = n.name.partition("/")[0]
        assert n.phase == {"gradients": "backward", "Adam": "update", "train": "update"}.get(top, "forward"), n
    assert [v.name for v in g.trainable_variables] == ["w:0", "b:0"]        # the optimizer's own are not trained
    assert "Adam/w/m" in g.nodes and "Adam/b/v" in g.nodes
    with g:
        fl.optim.SGD(0.1).minimize(g.tensor("loss"), [g.tensor("w")], name="train_w")
    before = dict(sess.variables)
    sess.run("train_w")
    assert (sess.variables["w"] != before["w"]).any() and (sess.variables["b"] == before["b"]).all()
    with pytest.raises(fl.FlowError, match="both assign w"):
        sess.run(["train", "train_w"])


def test_what_cannot_be_minimized():
    with fl.Graph() as g:
        x, v = fl.placeholder((3,), name="x"), fl.variable(np.ones(3, "float32"), name="v")
        far = fl.variable(np.ones(3, "float32"), name="far")
        with pytest.raises(fl.GradientError, match="only a scalar"):
            fl.optim.SGD(0.1).minimize(x * v)
        with pytest.raises(fl.GradientError, match="depends on no trainable variable"):
            fl.optim.SGD(0.1).minimize(fl.sum(x))
        with pytest.raises(fl.GradientError, match="far"):
            fl.optim.SGD(0.1).minimize(fl.sum(x * v), [far])
        loss = fl.sum(x * v)
        count = len(g.nodes)
        with pytest.raises(fl.NameTakenError):
            fl.optim.SGD(0.1).minimize(loss, name="x")
        assert len(g.nodes) == count
        fl.optim.SGD(0.1).minimize(loss)
        assert all(not n.name.startswith("SGD/far") for n in g.nodes)
    with pytest.raises(fl.GradientError, match="not a tensor"):
        fl.optim.SGD(0.1).minimize("loss")
    with pytest.raises(fl.GradientError, match="nothing to update"):
        fl.optim.SGD(0.1).apply([])
    for bad in (-1, math.nan, "fast"):
        with pytest.raises(fl.AttributeValueError):
            fl.optim.SGD(bad)
    with pytest.raises(fl.AttributeValueError):
        fl.optim.Adam(beta1=1.0)
    with pytest.raises(fl.AttributeValueError):
        fl.optim.Adam(clip_norm=0)
    with pytest.raises(fl.AttributeValueError):
        fl.optim.one_cycle(0.1, 1)


def test_jvp_is_jax_jvp():
    with fl.Graph() as g:
        x, v = fl.placeholder((3, 4), "float64", name="x"), fl.placeholder((3, 4), "float64", name="v")
        w = fl.constant(np.random.default_rng(0).normal(size=(4, 2)))
        y = fl.log_softmax(fl.tanh(x) @ w)
        forward = fl.jvp(y, [x], [v])
    rng = np.random.default_rng(1)
    xs, vs = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    got = fl.Session(g).run(forward, {x: xs, v: vs})
    weights = g.node("Constant").attrs["value"]
    _, want = jax.jvp(lambda x: jax.nn.log_softmax(jnp.tanh(x) @ weights), (xs,), (vs,))
    np.testing.assert_allclose(got, np.asarray(want), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("optimizer", [fl.optim.Adam(0.1, clip_norm=1.0), fl.optim.SGD(fl.optim.one_cycle(0.1, 9), momentum=0.5, clip_norm=1.0)])
def test_a_variable_may_have_any_name_that_the_optimizer_uses(optimizer):
    names = ["step", "learning_rate", "count", "next_step/w", "next_step/b", "clip/norm", "clip/scale", "schedule/rate", "schedule", "m", "Assign"][:8]
    with fl.Graph() as g:
        loss = sum(fl.sum(fl.square(fl.variable(np.full(2, k + 1, "float32"), name=n))) for k, n in enumerate(names))
        optimizer.minimize(loss)
    sess = fl.Session(g)
    before = {n: sess.variables[n] for n in names}
    sess.run("train")
    assert all((sess.variables[n] != before[n]).all() for n in names)


def test_a_layer_that_is_refused_leaves_nothing_behind():
    with fl.Graph() as g:
        x = fl.placeholder((2, 3))
        for activation in ("rellu", 5):
            with pytest.raises(fl.FlowError):
                fl.nn.dense(x, 4, activation=activation, name="hidden")
        assert len(g.nodes) == 1
        fl.nn.dense(x, 4, activation="relu", name="hidden")


def test_training_an_lstm_gives_the_same_bits_every_way():
    with fl.Graph() as g:
        x, y = fl.placeholder(("batch", 40, 24), name="x"), fl.placeholder(("batch",), "int64", name="y")
        first, _ = fl.nn.lstm(x, 48, name="first")
        _, (h, _) = fl.nn.lstm(first, 32, name="second")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(h, 10, name="head"), y), name="loss")
        fl.optim.Adam(fl.optim.one_cycle(5e-3, 20), clip_norm=1.0).minimize(loss)
    rng = np.random.default_rng(0)
    batches = [{"x": rng.normal(size=(16, 40, 24)).astype("float32"), "y": rng.integers(0, 10, 16)} for _ in range(3)]
    kept = []
    for way in ("run", "trace", "debugger", "backwards"):
        sess, losses = fl.Session(g, seed=0), []
        for feeds in batches:
            if way == "run":
                losses.append(sess.run(["loss", "train"], feeds)[0])
            elif way == "trace":
                losses.append(sess.trace(["loss", "train"], feeds, budget=100_000).results[0])
            else:
                dbg = fl.Debugger(sess, ["loss", "train"], feeds)
                while dbg.ready:
                    dbg.fire(dbg.ready[0 if way == "debugger" else -1])
                losses.append(dbg.results[0])
        kept.append([v.tobytes() for v in (*losses, *sess.variables.values())])
    assert kept[1:] == kept[:-1]
