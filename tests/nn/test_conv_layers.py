"""Convolution layers: their variables, their numbers, and what they refuse before anything is made."""
from __future__ import annotations

import jax
import numpy as np
import pytest

import flowlab as fl

jax.config.update("jax_enable_x64", True)


def test_conv2d_is_a_convolution_a_sum_and_an_activation():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 3, 8, 9), "float64", name="x")
        y = fl.nn.conv2d(x, 5, (3, 2), stride=2, activation="relu", name="look")
        z = fl.nn.conv2d(y, 4, 3, padding="same")
    assert [(v.name, v.shape) for v in g.variables] == [("look/kernel:0", (5, 3, 3, 2)), ("look/bias:0", (5,)), ("conv2d/kernel:0", (4, 5, 3, 3)), ("conv2d/bias:0", (4,))]
    assert y.shape == ("batch", 5, 3, 4) and z.shape == ("batch", 4, 3, 4)
    sess = fl.Session(g)
    xs, bias = np.random.default_rng(0).normal(size=(2, 3, 8, 9)), np.arange(5) - 2.0
    sess.variables["look/bias"] = bias
    want = jax.lax.conv(xs, sess.variables["look/kernel"], (2, 2), "VALID") + bias[:, None, None]
    np.testing.assert_allclose(sess.run(y, {x: xs}), np.maximum(np.asarray(want), 0), rtol=1e-10)


def test_the_other_layers_fit_together():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 2, 8), name="x")
        y = fl.nn.conv1d(x, 3, 3, padding="same", activation="tanh")
        image = fl.nn.conv_transpose2d(fl.expand_dims(y, 2), 4, (2, 3), stride=2, name="draw")
        volume = fl.nn.conv3d(fl.expand_dims(image, 1), 2, 2, groups=1)
        flat = fl.nn.flatten(volume)
        score = fl.nn.dense(flat, 2)
        grads = fl.gradients(fl.sum(fl.square(score)), g.trainable_variables)
    assert g.tensor("draw/kernel").shape == (3, 4, 2, 3) and image.shape == ("batch", 4, 2, 17) and volume.shape == ("batch", 2, 3, 1, 16)
    assert flat.shape == ("batch", 96)
    got = fl.Session(g).run(grads, {x: np.ones((5, 2, 8))})
    assert all(np.isfinite(d).all() and d.shape == v.shape for d, v in zip(got, g.trainable_variables))


def test_pooling_over_the_whole_image():
    xs = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    with fl.Graph() as g:
        x = fl.placeholder((None, 3, None, None), "float64", name="x")
        mean, top = fl.global_avg_pool(x), fl.global_max_pool(x, keepdims=True)
    assert mean.shape == (None, 3) and top.shape == (None, 3, 1, 1)
    a, b = fl.Session(g).run([mean, top], {x: xs})
    np.testing.assert_allclose(a, xs.mean((2, 3)))
    np.testing.assert_array_equal(b, xs.max((2, 3), keepdims=True))


@pytest.mark.parametrize(("tried", "error", "port"), [
    (lambda x: fl.nn.conv2d(x, 4, 9), fl.ShapeError, "x"), (lambda x: fl.nn.conv2d(x, 0, 3), fl.AttributeValueError, "filters"),
    (lambda x: fl.nn.conv2d(x, 4, (3, 3, 3)), fl.AttributeValueError, "size"), (lambda x: fl.nn.conv2d(x, 4, 3, padding="full"), fl.AttributeValueError, "padding"),
    (lambda x: fl.nn.conv2d(x, 4, 3, groups=2), fl.AttributeValueError, "groups"), (lambda x: fl.nn.conv2d(x[0], 4, 3), fl.ShapeError, "x"),
    (lambda x: fl.nn.conv2d(fl.placeholder((2, "channels", 4, 4)), 4, 3), fl.ShapeError, "x"), (lambda x: fl.nn.conv2d(x, 4, 3, activation="rellu"), fl.UnknownOpError, None),
    (lambda x: fl.nn.flatten(fl.placeholder(("batch", None, 3))), fl.ShapeError, "x"), (lambda x: fl.nn.flatten(fl.placeholder(())), fl.ShapeError, "x"),
    (lambda x: fl.global_avg_pool(fl.placeholder((2, 3))), fl.ShapeError, "x"), (lambda x: fl.nn.conv_transpose2d(x, 3, 0), fl.AttributeValueError, "size")])
def test_what_is_refused_makes_no_variable(tried, error, port):
    with fl.Graph() as g:
        x = fl.placeholder((2, 3, 6, 7), name="x")
        with pytest.raises(error) as caught:
            tried(x)
        assert caught.value.port == port and not g.variables
