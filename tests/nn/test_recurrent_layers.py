"""GRU, plain recurrent network, both directions and stacks, against equations written down anew, and against themselves written out."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from tests.ops.cases import gru_by_scan, lstm_by_scan, rnn_by_scan

GATES = {"gru": ("r", "z", "n"), "rnn": ()}
FORWARD = {"gru": gru_by_scan, "rnn": rnn_by_scan}


def layer(cell, dtype="float64", batch=2, time=3, features=3, units=4, state=False):
    with fl.Graph("reader") as g:
        x = fl.placeholder((batch, time, features), dtype, name="x")
        h0 = fl.placeholder((batch, units), dtype, name="h0") if state else None
        out, h = getattr(fl.nn, cell)(x, units, initial_state=h0, name=cell)
        loss = fl.add(fl.sum(fl.square(out) * fl.constant(np.linspace(-1, 1, units), dtype=dtype)), fl.sum(h * out[:, 0]), name="loss")
    return g, x, loss


def values(g, sess, seed=0):
    rng = np.random.default_rng(seed)
    feeds = {p.node.name: rng.normal(size=[d if isinstance(d, int) else 3 for d in p.shape]).astype(p.dtype) for p in g.placeholders}
    for name in sess.variables:
        sess.variables[name] = rng.uniform(-0.6, 0.6, sess.variables[name].shape).astype(sess.variables[name].dtype)
    return feeds, list(sess.variables.values())


def reference(cell):
    def loss(x, *rest):
        out, h = FORWARD[cell](x, *rest)[:2]
        return (out**2 * jnp.linspace(-1, 1, out.shape[-1])).sum() + (h * out[:, 0]).sum()
    return loss


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_values_gates_and_two_derivatives(cell, state):
    g, x, loss = layer(cell, state=state)
    by = [x, *g.trainable_variables, *([g.tensor("h0")] if state else [])]
    grads = fl.gradients(loss, by)
    with g:
        curve = sum(fl.sum(fl.square(d)) for d in grads)
    second = fl.gradients(curve, by)
    sess = fl.Session(g)
    feeds, weights = values(g, sess)
    args = (feeds["x"], *weights, *([feeds["h0"]] if state else []))
    n = tuple(range(len(args)))
    for k, v in zip(("out", "h_n", *GATES[cell]), FORWARD[cell](*args), strict=True):
        np.testing.assert_allclose(sess.run(f"{cell}:{k}", feeds), np.asarray(v), rtol=1e-12, atol=1e-14)
    gates = sess.trace("loss", feeds).gates(cell)
    assert tuple(gates) == (*GATES[cell], "h") and all(v.shape == (2, 3, 4) for v in gates.values())
    for got, want in zip(sess.run(grads, feeds), jax.jit(jax.grad(reference(cell), argnums=n))(*args), strict=True):
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-10, atol=1e-12)
    twice = jax.jit(jax.grad(lambda *a: sum((d**2).sum() for d in jax.grad(reference(cell), argnums=n)(*a)), argnums=n))(*args)
    for got, want in zip(sess.run(second, feeds), twice, strict=True):
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-9, atol=1e-10)


def test_gradients_from_any_gate_of_a_gru():
    g, x, _ = layer("gru")
    sess = fl.Session(g)
    feeds, weights = values(g, sess)
    for k, name in enumerate(("out", "h_n", "r", "z", "n")):
        with g:
            total = fl.sum(fl.square(g.tensor(f"gru/GRU:{name}")))
        got = sess.run(fl.gradients(total, [x, *g.trainable_variables]), feeds)
        for a, b in zip(got, jax.jit(jax.grad(lambda *w, k=k: (gru_by_scan(*w)[k]**2).sum(), argnums=(0, 1, 2, 3, 4)))(feeds["x"], *weights), strict=True):
            np.testing.assert_allclose(a, np.asarray(b), rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_written_out_it_is_the_same(cell):
    node = f"{cell}/{cell.upper()}"
    g, x, loss = layer(cell, "float32", batch=3, time=5)
    grads = fl.gradients(loss, [x, *g.trainable_variables])
    e = fl.expand(g, cell)
    assert e.node(node).op.name == f"{cell.upper()}Outputs" and [v.name for v in e.variables] == [v.name for v in g.variables]
    a, b = fl.Session(g), fl.Session(e)
    feeds, _ = values(g, a)
    for name in a.variables:
        b.variables[name] = a.variables[name]
    fetches = ["loss", f"{node}:0", *(f"{node}:{k}" for k in ("out", "h_n", *GATES[cell])), *(d.name for d in grads)]
    for name, p, q in zip(fetches, a.run(fetches, feeds), b.run(fetches, feeds)):
        np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_sizes_that_are_read_at_run_time(cell):
    with fl.Graph() as g:
        x = fl.placeholder(("batch", "time", 3), "float64", name="x")
        out, h = getattr(fl.nn, cell)(x, 4, name=cell)
        grads = fl.gradients(fl.sum(out ** 2) + fl.sum(h), g.trainable_variables)
    assert (out.shape, h.shape) == (("batch", "time", 4), ("batch", 4))
    sess = fl.Session(g)
    for batch, time in ((2, 3), (1, 7), (5, 1)):
        assert sess.run(out, {x: np.ones((batch, time, 3))}).shape == (batch, time, 4)
        assert all(np.isfinite(d).all() for d in sess.run(grads, {x: np.ones((batch, time, 3))}))
    assert sess.run(out, {x: np.zeros((0, 3, 3))}).shape == (0, 3, 4) and sess.run(out, {x: np.zeros((2, 0, 3))}).shape == (2, 0, 4)
    assert all((d == 0).all() for d in sess.run(grads, {x: np.zeros((0, 3, 3))}))


def test_from_both_ends():
    xs = np.random.default_rng(0).normal(size=(2, 5, 3))
    with fl.Graph() as g:
        x = fl.placeholder(("batch", "time", 3), "float64", name="x")
        out, (front, back) = fl.nn.bidirectional(x, 4, name="both")
        fl.gradients(fl.sum(fl.square(out)), g.trainable_variables)
    assert out.shape == ("batch", "time", 8) and g.node("both/forward").op.name == "LSTM"
    sess = fl.Session(g)
    w = sess.variables
    ahead, behind = (lstm_by_scan(v, *(w[f"both/{d}/{n}"] for n in ("kernel", "recurrent_kernel", "bias"))) for v, d in ((xs, "forward"), (xs[:, ::-1], "backward")))
    got, h, c = sess.run([out, front[0], back[1]], {x: xs})
    np.testing.assert_allclose(got, np.concatenate([ahead[0], np.asarray(behind[0])[:, ::-1]], -1), rtol=1e-10)
    np.testing.assert_allclose(h, ahead[1], rtol=1e-10)
    np.testing.assert_allclose(c, behind[2], rtol=1e-10)


def test_in_several_layers():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 5, 3), name="x")
        out, states = fl.nn.stacked(x, 4, 3, cell="gru", dropout=0.2, name="deep")
        wide, _ = fl.nn.stacked(x, 4, 2, cell="rnn", both=True)
        loss = fl.mean(fl.square(out)) + fl.mean(wide)
        fl.optim.Adam(1e-2).minimize(loss)
    assert out.shape == ("batch", 5, 4) and wide.shape == ("batch", 5, 8) and len(states) == 3
    assert g.node("deep/layer_2").op.name == "GRU" and g.node("stacked/layer_1/backward").op.name == "RNN"
    sess = fl.Session(g)
    first, *_ = [float(sess.run([loss, "train"], {x: np.ones((2, 5, 3))})[0]) for _ in range(20)]
    assert sess.run(loss, {x: np.ones((2, 5, 3))}) < first


@pytest.mark.parametrize(("tried", "port"), [
    (lambda x: fl.nn.gru(x, 0), "units"), (lambda x: fl.nn.gru(x, 4, initial_state=(x, x)), "initial_state"), (lambda x: fl.nn.rnn(fl.placeholder((2, 3)), 4), "x"),
    (lambda x: fl.nn.stacked(x, 4, 0), "layers"), (lambda x: fl.nn.bidirectional(x, 4, cell="elman"), "cell"), (lambda x: fl.nn.stacked(x, 4, 2, cell="elman", both=True), "cell"),
    (lambda x: fl.nn.rnn(fl.placeholder((2, 3, None)), 4), "x")])
def test_what_is_refused_makes_no_variable(tried, port):
    with fl.Graph() as g:
        x = fl.placeholder((2, 3, 5), name="x")
        with pytest.raises(fl.FlowError) as caught:
            tried(x)
        assert caught.value.port == port and not g.variables
