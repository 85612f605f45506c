"""Optimizers, schedules and initializers against their formulas, as torch documents them."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from tests.nn.test_training import adam, agree, by_hand, fitted


def test_nesterov_steps_ahead_along_the_momentum():
    def update(v, d, s, t):
        s["v"] = 0.9 * s.get("v", 0) + d
        return v - 0.05 * (d + 0.9 * s["v"])
    agree(fitted(fl.optim.SGD(0.05, momentum=0.9, nesterov=True))[0], by_hand(update))


def test_weight_decay_of_sgd_adds_to_the_gradient():
    agree(fitted(fl.optim.SGD(0.1, weight_decay=0.2))[0], by_hand(lambda v, d, s, t: v - 0.1 * (d + 0.2 * v)))


def test_adamw_shrinks_the_weights_apart_from_the_gradient():
    agree(fitted(fl.optim.AdamW(0.1, weight_decay=0.3))[0], by_hand(lambda v, d, s, t: adam(0.1)(v, d, s, t) - 0.1 * 0.3 * v))


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_rmsprop(momentum):
    def update(v, d, s, t):
        s["s"] = 0.9 * s.get("s", 0) + 0.1 * d * d
        s["v"] = momentum * s.get("v", 0) + d / (np.sqrt(s["s"]) + 1e-8)
        return v - 0.05 * s["v"]
    agree(fitted(fl.optim.RMSProp(0.05, alpha=0.9, momentum=momentum))[0], by_hand(update))


def test_adagrad():
    def update(v, d, s, t):
        s["s"] = s.get("s", 0) + d * d
        return v - 0.3 * d / (np.sqrt(s["s"]) + 1e-10)
    agree(fitted(fl.optim.Adagrad(0.3))[0], by_hand(update))


def rates(schedule, steps):
    with fl.Graph() as g:
        step = fl.placeholder((), "float32", name="step")
        with fl.name_scope("schedule"):
            rate = schedule(step)
    sess = fl.Session(g)
    return [float(sess.run(rate, {step: k})) for k in range(steps)]


def test_schedules():
    np.testing.assert_allclose(rates(fl.optim.step_decay(0.5, 3, 0.1), 8), [0.5 * 0.1 ** (k // 3) for k in range(8)], rtol=1e-5)
    np.testing.assert_allclose(rates(fl.optim.exponential(0.5, 0.9), 8), [0.5 * 0.9**k for k in range(8)], rtol=1e-5)
    np.testing.assert_allclose(rates(fl.optim.exponential(0.5, 0.9, every=4), 8), [0.5 * 0.9 ** (k / 4) for k in range(8)], rtol=1e-5)
    np.testing.assert_allclose(rates(fl.optim.cosine(0.4, 6, 0.1), 9), [0.1 + 0.15 * (1 + np.cos(np.pi * min(k, 6) / 6)) for k in range(9)], rtol=1e-5)
    np.testing.assert_allclose(rates(fl.optim.warmup(4, 0.2), 7), [0.05, 0.1, 0.15, 0.2, 0.2, 0.2, 0.2], rtol=1e-5)
    np.testing.assert_allclose(rates(fl.optim.warmup(2, fl.optim.step_decay(0.4, 2)), 6), [0.2, 0.4, 0.4, 0.4, 0.04, 0.04], rtol=1e-5)


@pytest.mark.parametrize("optimizer", [fl.optim.RMSProp(fl.optim.warmup(3, 0.1), momentum=0.5), fl.optim.Adagrad(fl.optim.exponential(0.1, 0.9)),
                                       fl.optim.AdamW(fl.optim.warmup(2, fl.optim.one_cycle(0.1, 9))), fl.optim.SGD(fl.optim.step_decay(0.1, 2), momentum=0.5, nesterov=True)])
def test_they_learn(optimizer):
    values, sess = fitted(optimizer, steps=8)
    assert not np.allclose(values[0][0], values[-1][0]) and all(np.isfinite(v).all() for pair in values for v in pair)


@pytest.mark.parametrize(("tried", "port"), [
    (lambda: fl.optim.SGD(0.1, nesterov=True), "nesterov"), (lambda: fl.optim.SGD(0.1, momentum=-1), "momentum"), (lambda: fl.optim.AdamW(weight_decay="much"), "weight_decay"),
    (lambda: fl.optim.RMSProp(alpha=1.0), "alpha"), (lambda: fl.optim.warmup(0, 0.1), "steps"), (lambda: fl.optim.step_decay(0.1, 0), None), (lambda: fl.optim.exponential(0.1, -1), None)])
def test_what_is_refused(tried, port):
    with pytest.raises(fl.AttributeValueError) as caught:
        tried()
    assert caught.value.port == port


def test_initializers():
    with fl.Graph() as g:
        for made in (fl.init.truncated_normal((200, 50), 1.0, 0.5), fl.init.lecun_uniform((300, 40)), fl.init.identity((3, 4), 2.0)):
            fl.variable(made, name=made.initializer_text.partition("(")[0])
        fl.variable(fl.init.identity((3,)), name="wrong")
    g2 = fl.Graph()
    with g2:
        for v in g.variables[:3]:
            fl.variable(fl.init.initializer(v.node.attrs["initializer"], v.shape), name=v.node.name)
    held = fl.Session(g2).variables
    cut, even = held["truncated_normal"], held["lecun_uniform"]
    assert abs(cut.mean() - 1) < 0.02 and 0.0 <= cut.min() and cut.max() <= 2.0 and abs(cut.std() - 0.44) < 0.02
    assert abs(even).max() <= np.sqrt(3 / 300) and abs(even.std() - np.sqrt(1 / 300)) < 0.003
    np.testing.assert_array_equal(held["identity"], 2 * np.eye(3, 4))
    with pytest.raises(fl.AttributeValueError, match="two sizes"):
        fl.Session(g).variables["wrong"]
