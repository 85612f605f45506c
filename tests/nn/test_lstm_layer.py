"""The LSTM against equations written down anew over jax.lax.scan, and against itself written out."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from tests.ops.cases import lstm_by_scan

GATES = ("f", "i", "g", "o", "c")


def layer(dtype="float64", batch=3, time=5, features=4, units=6, state=False):
    with fl.Graph("reader") as g:
        x = fl.placeholder((batch, time, features), dtype, name="x")
        start = tuple(fl.placeholder((batch, units), dtype, name=n) for n in ("h0", "c0")) if state else None
        out, (h, c) = fl.nn.lstm(x, units, initial_state=start, name="lstm")
        weight = fl.constant(np.linspace(-1, 1, units), dtype=dtype)
        loss = fl.add(fl.sum(fl.square(out) * weight), fl.sum(h * c), name="loss")
    return g, x, loss


def values(g, sess, seed=0):
    rng = np.random.default_rng(seed)
    feeds = {p.node.name: rng.normal(size=[d if isinstance(d, int) else 3 for d in p.shape]).astype(p.dtype) for p in g.placeholders}
    for name in sess.variables:
        sess.variables[name] = rng.uniform(-0.6, 0.6, sess.variables[name].shape).astype(sess.variables[name].dtype)
    return feeds, [sess.variables[f"lstm/{n}"] for n in ("kernel", "recurrent_kernel", "bias")]


def reference_loss(x, kernel, recurrent, bias, h0=None, c0=None):
    out, h, c, *_ = lstm_by_scan(x, kernel, recurrent, bias, h0, c0)
    return (out**2 * jnp.linspace(-1, 1, out.shape[-1])).sum() + (h * c).sum()


def test_names_shapes_and_first_values():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", "time", 4), name="x")
        out, (h, c) = fl.nn.lstm(x, 6, name="lstm")
        _ = fl.nn.lstm(out, 2)
        _ = fl.nn.lstm(out, 2)
    assert (out.shape, h.shape, c.shape) == (("batch", "time", 6), ("batch", 6), ("batch", 6))
    assert [v.name for v in g.variables][:3] == ["lstm/kernel:0", "lstm/recurrent_kernel:0", "lstm/bias:0"]
    assert [v.shape for v in g.variables][:3] == [(4, 24), (6, 24), (24,)]
    assert g.node("lstm") is g.node("lstm/LSTM") and "lstm_1/LSTM" in g.nodes and "lstm_2/LSTM" in g.nodes
    assert g.node("lstm/LSTM").op.outputs == ("out", "h_n", "c_n", "f", "i", "g", "o", "c")
    assert g.tensor("lstm/LSTM:f") is g.tensor("lstm/LSTM:3") and g.tensor("lstm:c") is g.tensor("lstm/LSTM:c")
    np.testing.assert_array_equal(fl.Session(g).variables["lstm/bias"], np.repeat([0, 1, 0, 0], 6))   # i, f, g, o: remember at first
    for name in ("lstm", "lstm/LSTM"):
        with pytest.raises(fl.NameTakenError), g:
            fl.nn.lstm(x, 6, name=name)


@pytest.mark.parametrize("state", [False, True])
def test_outputs_and_gates(state):
    g, x, _ = layer(state=state)
    sess = fl.Session(g)
    feeds, weights = values(g, sess)
    want = dict(zip(("out", "h_n", "c_n", *GATES), lstm_by_scan(feeds["x"], *weights, feeds.get("h0"), feeds.get("c0"))))
    got = sess.run({k: f"lstm/LSTM:{k}" for k in want}, feeds)
    for k in want:
        np.testing.assert_allclose(got[k], np.asarray(want[k]), rtol=1e-12, atol=1e-14)
    gates = sess.trace("loss", feeds).gates("lstm")
    for k in GATES:
        np.testing.assert_array_equal(gates[k], got[k])
    np.testing.assert_array_equal(gates["h"], got["out"])


def test_gates_in_float32_at_a_usual_size():
    g, *_ = layer("float32", batch=7, time=60, features=24, units=32)
    sess = fl.Session(g)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 60, 24)).astype("float32")
    weights = [sess.variables[f"lstm/{n}"] for n in ("kernel", "recurrent_kernel", "bias")]
    want = lstm_by_scan(x.astype("float64"), *(w.astype("float64") for w in weights))
    for k, w in zip(("out", "h_n", "c_n", *GATES), want):
        np.testing.assert_allclose(sess.run(f"lstm/LSTM:{k}", {"x": x}), np.asarray(w), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("state", [False, True])
def test_gradients(state):
    g, x, loss = layer(state=state)
    by = [x, *([g.tensor("h0"), g.tensor("c0")] if state else []), *g.trainable_variables]
    grads = fl.gradients(loss, by)
    sess = fl.Session(g)
    feeds, weights = values(g, sess)
    start = [feeds["h0"], feeds["c0"]] if state else []
    dx, dk, dr, db, *ds = jax.jit(jax.grad(reference_loss, argnums=tuple(range(4 + len(start)))))(feeds["x"], *weights, *start)
    for tensor, got, want in zip(by, sess.run(grads, feeds), [dx, *ds, dk, dr, db], strict=True):
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-10, atol=1e-12, err_msg=tensor.name)


def test_gradients_from_any_gate():
    g, x, _ = layer()
    sess = fl.Session(g)
    feeds, weights = values(g, sess)
    for k, name in enumerate(("out", "h_n", "c_n", *GATES)):
        with g:
            total = fl.sum(fl.square(g.tensor(f"lstm/LSTM:{name}")))
        got = sess.run(fl.gradients(total, [x, *g.trainable_variables]), feeds)
        want = jax.jit(jax.grad(lambda *a, k=k: (lstm_by_scan(*a)[k]**2).sum(), argnums=(0, 1, 2, 3)))(feeds["x"], *weights)
        for a, b in zip(got, want):
            np.testing.assert_allclose(a, np.asarray(b), rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("state", [False, True])
def test_second_derivative(state):
    g, x, loss = layer(batch=2, time=3, features=2, units=3, state=state)
    by = [x, *([g.tensor("h0"), g.tensor("c0")] if state else []), *g.trainable_variables]
    grads = fl.gradients(loss, by)
    with g:
        curve = sum(fl.sum(fl.square(d)) for d in grads)
    second = fl.gradients(curve, by)
    sess = fl.Session(g)
    feeds, weights = values(g, sess)
    start = [feeds["h0"], feeds["c0"]] if state else []
    n = tuple(range(4 + len(start)))
    wx, wk, wr, wb, *ws = jax.jit(jax.grad(lambda *a: sum((d**2).sum() for d in jax.grad(reference_loss, argnums=n)(*a)), argnums=n))(feeds["x"], *weights, *start)
    for tensor, got, want in zip(by, sess.run(second, feeds), [wx, *ws, wk, wr, wb], strict=True):
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-9, atol=1e-10, err_msg=tensor.name)


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("state", [False, True])
def test_written_out_it_is_the_same(state, unroll):
    g, x, loss = layer("float32", state=state)
    grads = fl.gradients(loss, [x, *g.trainable_variables])
    with g:
        fl.tanh(g.tensor("lstm/LSTM:f"), name="user_of_a_gate")
    e = fl.expand(g, "lstm/LSTM", unroll=unroll)
    assert g.node("lstm/LSTM").op.name == "LSTM"         # the graph given is as it was
    assert [v.name for v in e.variables] == [v.name for v in g.variables]
    forward = [n for n in e.nodes if n.phase == "forward"]
    assert not any(n.op.name == "LSTM" for n in forward)
    assert sum(n.op.name == "Tanh" for n in forward) >= 10 if unroll else e.node("lstm/steps").op.name == "Scan" and e.node("lstm/steps/Sigmoid").op.name == "Sigmoid"
    a, b = fl.Session(g), fl.Session(e)
    feeds, _ = values(g, a)
    for name in a.variables:
        b.variables[name] = a.variables[name]
    fetches = ["loss", "user_of_a_gate", "lstm/LSTM:0", *(f"lstm/LSTM:{k}" for k in ("out", "h_n", "c_n", *GATES)), *(d.name for d in grads)]
    for name, p, q in zip(fetches, a.run(fetches, feeds), b.run(fetches, feeds)):
        np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6, err_msg=name)
    again = fl.gradients(e.tensor("loss"), [e.tensor("x"), *e.trainable_variables])     # through the elementary operations themselves
    for p, q in zip(a.run(grads, feeds), b.run(again, feeds)):
        np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-5)
    assert set(b.trace("loss", feeds).events[0].outputs[0].shape) and fl.expand(g, "lstm").node("lstm/LSTM").op.name == "LSTMOutputs"


def test_written_out_as_a_loop_it_needs_no_number_of_timesteps():
    with fl.Graph() as g:
        out, _ = fl.nn.lstm(fl.placeholder(("batch", "time", 3), name="x"), 4, name="lstm")
        fl.mean(out ** 2, name="loss")
        grads = fl.gradients(g.tensor("loss"), g.trainable_variables)
    e = fl.expand(g, "lstm")
    for shape in ((2, 5, 3), (3, 1, 3)):
        feeds = {"x": np.random.default_rng(0).normal(size=shape)}
        for a, b in zip(fl.Session(g, seed=2).run(["loss", *(d.name for d in grads)], feeds), fl.Session(e, seed=2).run(["loss", *(d.name for d in grads)], feeds)):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    second = fl.gradients(fl.sum(grads[0] ** 2), g.trainable_variables)
    assert [d.shape for d in second] == [v.shape for v in g.trainable_variables]


def test_what_cannot_be_written_out():
    with fl.Graph() as g:
        fl.nn.lstm(fl.placeholder((2, "time", 3), name="x"), 4, name="lstm")
        fl.constant(1.0, name="one")
    with pytest.raises(fl.ShapeError, match="time") as caught:
        fl.expand(g, "lstm", unroll=True)
    assert caught.value.axis == 1
    with pytest.raises(fl.FetchError, match="lstm/LSTM"):
        fl.expand(g, "one")
    with pytest.raises(fl.FetchError):
        fl.expand(g, "nothing")


def test_unknown_batch_and_time_are_read_at_run_time():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", "time", 3), "float64", name="x")
        out, (h, _) = fl.nn.lstm(x, 4, name="lstm")
        loss = fl.add(fl.sum(out ** 2), fl.sum(h), name="loss")
        grads = fl.gradients(loss, g.trainable_variables)
    sess = fl.Session(g)
    weights = list(sess.variables.values())
    for batch, time in ((2, 3), (1, 7), (5, 1)):
        xs = np.random.default_rng(batch).normal(size=(batch, time, 3))
        want = jax.jit(jax.grad(lambda k, r, b, xs=xs: (lstm_by_scan(xs, k, r, b)[0]**2).sum() + lstm_by_scan(xs, k, r, b)[1].sum(), argnums=(0, 1, 2)))(*weights)
        for a, b in zip(sess.run(grads, {x: xs}), want):
            np.testing.assert_allclose(a, np.asarray(b), rtol=1e-10, atol=1e-12)
    assert sess.run(out, {x: np.zeros((0, 3, 3))}).shape == (0, 3, 4)
    assert sess.run(out, {x: np.zeros((2, 0, 3))}).shape == (2, 0, 4)
    assert all((d == 0).all() for d in sess.run(grads, {x: np.zeros((0, 3, 3))}))


@pytest.mark.parametrize(("shape", "units", "error", "axis"), [((2, 3), 4, fl.ShapeError, None), ((2, 3, None), 4, fl.ShapeError, 2), ((2, 3, 5), 0, fl.AttributeValueError, None),
                                                                ((2, 3, 5), 1.5, fl.AttributeValueError, None)])
def test_inputs_that_a_layer_refuses(shape, units, error, axis):
    with fl.Graph() as g:
        x = fl.placeholder(shape, name="x")
        with pytest.raises(error) as caught:
            fl.nn.lstm(x, units, name="lstm")
        assert caught.value.axis == axis and caught.value.port in ("x", "units")
        assert not g.variables
        with pytest.raises(fl.DTypeError):
            fl.nn.lstm(fl.placeholder((2, 3, 5), "int64"), 4)
        for state in (fl.constant(np.zeros((2, 4))), 0, (x,)):
            with pytest.raises(fl.AttributeValueError, match="pair"):
                fl.nn.lstm(fl.placeholder((2, 3, 5)), 4, initial_state=state)


def test_wires_that_do_not_fit_the_node():
    with fl.Graph():
        x = fl.placeholder((2, 3, 5), name="x")
        k, r, b = (fl.constant(np.zeros(s, "float32")) for s in ((5, 16), (4, 16), (16,)))
        for args, port, axis in (((x, r, r, b), "x", 2), ((x, k, k, b), "kernel", 1), ((x, k, r, k), "bias", None), ((x, k, r, b, fl.constant(np.zeros((3, 4), "float32"))), "h0", 0)):
            with pytest.raises(fl.ShapeError) as caught:
                fl.ops.recurrent.lstm(*args, name="it")
            assert (caught.value.node, caught.value.port, caught.value.axis) == ("it", port, axis)
