"""Recurrent layers over rows of several lengths, in several layers and from both ends, against each row alone, cut to its length."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from tests.ops.cases import cut, gru_by_scan, lstm_by_scan, rnn_by_scan

FORWARD = {"lstm": lstm_by_scan, "gru": gru_by_scan, "rnn": rnn_by_scan}
WEIGHTS = {"lstm": ("kernel", "recurrent_kernel", "bias"), "gru": ("kernel", "recurrent_kernel", "bias", "recurrent_bias"), "rnn": ("kernel", "recurrent_kernel", "bias")}
LENGTHS = np.array([3, 1, 0])
XS = np.random.default_rng(5).normal(size=(3, 3, 2))
cells = pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])


def random_weights(sess, seed=1):
    rng = np.random.default_rng(seed)
    for name in sess.variables:
        sess.variables[name] = rng.uniform(-0.6, 0.6, sess.variables[name].shape).astype(sess.variables[name].dtype)


def alone(cell, weights, row, start=None, back=False):
    """One row, read by itself: (what was written, the states at the end)."""
    row = row[::-1] if back else row
    last = 2 if cell == "lstm" else 1
    start = start or [np.zeros((1, weights[1].shape[0]))] * last
    if not len(row):
        return np.zeros((0, weights[1].shape[0])), [s[0] for s in start]
    y = FORWARD[cell](row[None], *weights, *start)
    out = np.asarray(y[0])[0]
    return out[::-1] if back else out, [np.asarray(v)[0] for v in y[1:1 + last]]


def pair(states):
    return list(states) if isinstance(states, (tuple, list)) else [states]


@pytest.mark.parametrize("both", [False, True], ids=["forward", "both ends"])
@pytest.mark.parametrize("layers", [1, 2])
@cells
def test_each_row_is_what_it_is_alone(cell, layers, both):
    with fl.Graph() as g:
        x = fl.placeholder(("batch", "time", 2), "float64", name="x")
        n = fl.placeholder(("batch",), "int64", name="n")
        out, states = getattr(fl.nn, cell)(x, 4, layers=layers, bidirectional=both, lengths=n, name="read")
    sess = fl.Session(g)
    random_weights(sess)
    beyond = np.where((np.arange(3) < LENGTHS[:, None])[..., None], XS, np.nan)     # what fills a row up is never read
    got, ends = sess.run([out, pair(states)], {x: beyond, n: LENGTHS})
    sides = ("forward", "backward") if both else (None,)
    for k, length in enumerate(LENGTHS):
        row, finals = XS[k, :length], []
        for layer in range(layers):
            parts = []
            for side in sides:
                scope = "/".join(["read", *([f"layer_{layer}"] if layers > 1 else []), *([side] if side else [])])
                part, end = alone(cell, [sess.variables[f"{scope}/{w}"] for w in WEIGHTS[cell]], row, back=side == "backward")
                parts.append(part)
                finals.append(end)
            row = np.concatenate(parts, -1)
        np.testing.assert_allclose(got[k, :length], row, rtol=1e-11, atol=1e-13)
        assert (got[k, length:] == 0).all()
        for j, end in enumerate(ends):
            want = np.stack([f[j] for f in finals])
            np.testing.assert_allclose(end[k] if layers * len(sides) == 1 else end[:, k], want[0] if layers * len(sides) == 1 else want, rtol=1e-11, atol=1e-13)
    assert out.shape == ("batch", "time", 4 * len(sides))


@cells
def test_lengths_that_are_whole_change_no_number(cell):
    with fl.Graph() as g:
        x = fl.placeholder((2, 3, 2), "float64", name="x")
        out, h = getattr(fl.nn, cell)(x, 4, name="one")
        cut, k = getattr(fl.nn, cell)(x, 4, lengths=[3, 3], name="two")
        d = fl.gradients([fl.square(out), *pair(h)], g.trainable_variables[:3])
        e = fl.gradients([fl.square(cut), *pair(k)], g.trainable_variables[len(WEIGHTS[cell]):][:3])
    sess = fl.Session(g)
    random_weights(sess)
    for w in WEIGHTS[cell]:
        sess.variables[f"two/{w}"] = sess.variables[f"one/{w}"]
    for a, b in zip(*sess.run([[out, *pair(h), *d], [cut, *pair(k), *e]], {x: XS[:2]}), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@cells
def test_two_derivatives_and_the_written_out_layer_know_the_lengths(cell):
    with fl.Graph() as g:
        x = fl.placeholder((3, 3, 2), "float64", name="x")
        n = fl.placeholder((3,), "int32", name="n")
        out, h = getattr(fl.nn, cell)(x, 4, lengths=n, name="read")
        loss = fl.sum(fl.square(out)) + sum(fl.sum(s * fl.constant(np.linspace(-1, 1, 4))) for s in pair(h))
        loss = fl.identity(loss, name="loss")
        by = [x, *g.trainable_variables]
        grads = fl.gradients(loss, by)
        curve = fl.identity(sum(fl.sum(fl.square(d)) for d in grads), name="curve")
    second = fl.gradients(curve, by)
    sess = fl.Session(g)
    random_weights(sess)
    weights = [sess.variables[f"read/{w}"] for w in WEIGHTS[cell]]
    last = 2 if cell == "lstm" else 1

    def reference(x, *weights):
        y = cut(FORWARD[cell], (0, 7)[:last])(x, *weights, *[None] * last, LENGTHS)
        return (y[0]**2).sum() + sum((s * jnp.linspace(-1, 1, 4)).sum() for s in y[1:1 + last])
    argnums = tuple(range(len(by)))
    first = jax.jit(jax.grad(reference, argnums))
    feeds = {"x": XS, "n": LENGTHS}
    for a, b in zip(sess.run(grads, feeds), first(XS, *weights), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-9, atol=1e-11)
    for a, b in zip(sess.run(second, feeds), jax.jit(jax.grad(lambda *at: sum((d**2).sum() for d in first(*at)), argnums))(XS, *weights), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-8, atol=1e-10)
    written = fl.Session(fl.expand(g, "read"))
    for name in sess.variables:
        written.variables[name] = sess.variables[name]
    for name in ("loss", "curve", "read:0", "read:out", "read:h_n"):
        np.testing.assert_allclose(written.run(name, feeds), sess.run(name, feeds), rtol=1e-9, atol=1e-12, err_msg=name)


def test_layers_and_directions_start_from_states_of_their_own():
    rng = np.random.default_rng(3)
    h0, c0 = rng.normal(size=(2, 2, 4, 3, 4))[:, 0]
    with fl.Graph() as g:
        x = fl.placeholder((3, 3, 2), "float64", name="x")
        start = [fl.placeholder((4, 3, 4), "float64", name=k) for k in ("h0", "c0")]
        out, (h, c) = fl.nn.lstm(x, 4, layers=2, bidirectional=True, initial_state=tuple(start), name="deep")
    assert h.shape == c.shape == (4, 3, 4) and h.name == "deep/h_n:0" and g.node("deep/layer_1/backward").op.name == "LSTM"
    sess = fl.Session(g)
    random_weights(sess)
    got = sess.run(h, {x: XS, start[0]: h0, start[1]: c0})
    weights = [sess.variables[f"deep/layer_0/backward/{w}"] for w in WEIGHTS["lstm"]]
    _, (want, _) = alone("lstm", weights, XS[1], [h0[1, 1:2], c0[1, 1:2]], back=True)
    np.testing.assert_allclose(got[1, 1], want, rtol=1e-11)


def test_dropout_stands_between_layers_alone():
    with fl.Graph() as g:
        x = fl.placeholder((2, 3, 2), name="x")
        fl.nn.gru(x, 4, layers=3, dropout=0.5, name="deep")
        fl.nn.gru(x, 4, dropout=0.5, name="one")
    assert sum(n.op.name == "Dropout" for n in g.nodes) == 2


@pytest.mark.parametrize(("options", "port", "words"), [
    ({"layers": 0}, "layers", "layers is 0"), ({"dropout": 1.0}, "dropout", "below 1"), ({"lengths": [1.5, 2.0, 3.0]}, "lengths", "whole numbers"), ({"lengths": [3, 3]}, "lengths", "axis 0"),
    ({"lengths": [[1], [2], [3]]}, "lengths", "one number a row"), ({"initial_state": "zeros"}, "initial_state", "tensor"),
    ({"layers": 2, "initial_state": "one too few"}, "initial_state", "one state a layer")])
@cells
def test_what_does_not_fit_is_refused_and_makes_no_variable(cell, options, port, words):
    with fl.Graph() as g:
        x = fl.placeholder((3, 3, 2), name="x")
        if options.get("initial_state") == "one too few":
            h = fl.placeholder((1, 3, 4))
            options = {**options, "initial_state": (h, h) if cell == "lstm" else h}
        with pytest.raises(fl.FlowError, match=words) as caught:
            getattr(fl.nn, cell)(x, 4, **options)
    assert caught.value.port == port and not g.variables


@cells
def test_a_length_beyond_the_sequence_is_told_of(cell):
    with fl.Graph() as g:
        x = fl.placeholder((3, 3, 2), name="x")
        n = fl.placeholder((3,), "int64", name="n")
        out, _ = getattr(fl.nn, cell)(x, 4, lengths=n, name="read")
    sess = fl.Session(g)
    for wrong in ([4, 1, 1], [1, -1, 1]):
        with pytest.raises(fl.KernelError, match="it goes from 0 to 3") as caught:
            sess.run(out, {x: XS, n: wrong})
        assert caught.value.node == f"read/{cell.upper()}"
