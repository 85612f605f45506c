"""Layers that normalize, look up and attend, against formulas written down anew."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl

jax.config.update("jax_enable_x64", True)
RNG = np.random.default_rng(0)


def test_an_embedding_gives_each_id_a_row():
    with fl.Graph() as g:
        ids = fl.placeholder(("batch", None), "int64", name="ids")
        y = fl.nn.embedding(ids, 7, 3, name="words")
        d, = fl.gradients(fl.sum(y), g.trainable_variables)
    sess = fl.Session(g)
    at = np.array([[0, 6, 6], [2, 0, 6]])
    got, slope = sess.run([y, d], {ids: at})
    np.testing.assert_array_equal(got, sess.variables["words/table"][at])
    np.testing.assert_array_equal(slope[:, 0], np.bincount(at.ravel(), minlength=7))
    with pytest.raises(fl.KernelError, match="index of 7"):
        sess.run(y, {ids: [[7]]})


def test_normalizing_layers_start_as_plain_normalization():
    xs = RNG.normal(2, 3, (4, 6, 5))
    with fl.Graph() as g:
        x = fl.placeholder((4, 6, 5), "float64", name="x")
        layer, rms, group = fl.nn.layer_norm(x), fl.nn.rms_norm(x), fl.nn.group_norm(x, 2)
    assert [v.name for v in g.variables] == ["layer_norm/gamma:0", "layer_norm/beta:0", "rms_norm/gamma:0", "group_norm/gamma:0", "group_norm/beta:0"]
    a, b, c = fl.Session(g).run([layer, rms, group], {x: xs})
    np.testing.assert_allclose(a, (xs - xs.mean(-1, keepdims=True)) / np.sqrt(xs.var(-1, keepdims=True) + 1e-5), rtol=1e-10)
    np.testing.assert_allclose(b, xs / np.sqrt((xs**2).mean(-1, keepdims=True) + 1e-6), rtol=1e-10)
    parts = xs.reshape(4, 2, 15)
    np.testing.assert_allclose(c, ((parts - parts.mean(-1, keepdims=True)) / np.sqrt(parts.var(-1, keepdims=True) + 1e-5)).reshape(4, 6, 5), rtol=1e-10)


def test_batch_norm_learns_running_statistics_and_predicts_with_them():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 3, 4), "float64", name="x")
        y = fl.nn.batch_norm(x, momentum=0.3, name="bn")
        one = fl.nn.batch_norm(x, training=False, share="bn", name="predict")
        loss = fl.sum(fl.square(y))
        train = fl.optim.SGD(0.0).minimize(loss)
    assert [v.name for v in g.trainable_variables] == ["bn/gamma:0", "bn/beta:0"]
    sess = fl.Session(g)
    mean, variance = np.zeros(3), np.ones(3)
    for k in range(3):
        xs = RNG.normal(k, 2, (5, 3, 4))
        got, _ = sess.run([y, train], {x: xs})
        centred = xs - xs.mean((0, 2), keepdims=True)
        np.testing.assert_allclose(got, centred / np.sqrt(xs.var((0, 2), keepdims=True) + 1e-5), rtol=1e-9)
        mean, variance = 0.7 * mean + 0.3 * xs.mean((0, 2)), 0.7 * variance + 0.3 * xs.var((0, 2))
    np.testing.assert_allclose(sess.variables["bn/running_mean"], mean)
    np.testing.assert_allclose(sess.variables["bn/running_variance"], variance)
    xs = RNG.normal(size=(1, 3, 4))
    np.testing.assert_allclose(sess.run(one, {x: xs}), (xs - mean[:, None]) / np.sqrt(variance[:, None] + 1e-5), rtol=1e-6)
    np.testing.assert_allclose(sess.variables["bn/running_mean"], mean)     # predicting moves nothing


def attend(q, k, v, seen=None):
    scores = q @ jnp.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    return jax.nn.softmax(scores if seen is None else jnp.where(seen, scores, -jnp.inf)) @ v


@pytest.mark.parametrize("which", ["plain", "causal", "mask"])
def test_attention(which):
    q, k, v = (RNG.normal(size=s) for s in ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7)))
    seen = {"plain": None, "causal": np.tril(np.ones((4, 5), bool)), "mask": RNG.random((2, 1, 4, 5)) < 0.7}[which]
    if which == "mask":
        seen[..., 0] = True
    with fl.Graph() as g:
        made = [fl.placeholder(("batch", *t.shape[1:]), "float64", name=n) for t, n in zip((q, k, v), "qkv")]
        mask = fl.placeholder((2, 1, 4, 5), "bool", name="mask") if which == "mask" else None
        y = fl.nn.attention(*made, mask=mask, causal=which == "causal", name="look")
        grads = fl.gradients(fl.sum(fl.square(y)), made)
    feeds = {"q": q, "k": k, "v": v, **({"mask": seen} if which == "mask" else {})}
    got, weights, *slopes = fl.Session(g).run([y, "look/weights", *grads], feeds)
    np.testing.assert_allclose(got, np.asarray(attend(q, k, v, seen)), rtol=1e-9)
    np.testing.assert_allclose(weights.sum(-1), 1)
    for a, b in zip(slopes, jax.grad(lambda *t: (attend(*t, seen)**2).sum(), argnums=(0, 1, 2))(q, k, v)):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-8, atol=1e-12)


def test_several_heads_look_at_once():
    xs, ms = RNG.normal(size=(2, 4, 6)), RNG.normal(size=(2, 5, 3))
    with fl.Graph() as g:
        x, m = fl.placeholder(("batch", "n", 6), "float64", name="x"), fl.placeholder(("batch", "m", 3), "float64", name="m")
        y = fl.nn.multi_head_attention(x, 2, m, units=8, name="mha")
        fl.gradients(fl.sum(fl.square(y)), g.trainable_variables)
    sess = fl.Session(g)
    w = {n: sess.variables[f"mha/{n}/kernel"] for n in ("query", "key", "value", "out")}
    heads = [attend(*((t @ w[n])[..., 4 * h:4 * h + 4] for t, n in ((xs, "query"), (ms, "key"), (ms, "value")))) for h in range(2)]
    np.testing.assert_allclose(sess.run(y, {x: xs, m: ms}), np.asarray(jnp.concatenate(heads, -1) @ w["out"]), rtol=1e-8)
    assert sess.run("mha/attention/weights", {x: xs, m: ms}).shape == (2, 2, 4, 5)


@pytest.mark.parametrize(("tried", "error", "port"), [
    (lambda x: fl.nn.embedding(x, 4, 3), fl.DTypeError, "indices"), (lambda x: fl.nn.embedding(fl.constant(1), 0, 3), fl.AttributeValueError, "count"),
    (lambda x: fl.nn.layer_norm(fl.placeholder((3, None))), fl.ShapeError, "x"), (lambda x: fl.nn.group_norm(x, 4), fl.AttributeValueError, "groups"),
    (lambda x: fl.nn.batch_norm(fl.placeholder((3,))), fl.ShapeError, "x"), (lambda x: fl.nn.batch_norm(x, momentum=2), fl.AttributeValueError, "momentum"),
    (lambda x: fl.nn.batch_norm(x, training=False, share="nothing"), fl.FetchError, None), (lambda x: fl.nn.multi_head_attention(x, 4), fl.AttributeValueError, "heads"),
    (lambda x: fl.nn.attention(x, x, fl.placeholder((3,))), fl.ShapeError, "query")])
def test_what_is_refused_makes_no_variable(tried, error, port):
    with fl.Graph() as g:
        x = fl.placeholder((2, 3, 6), name="x")
        with pytest.raises(error) as caught:
            tried(x)
        assert caught.value.port == port and not g.variables
