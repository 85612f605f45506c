"""RandomNormal, RandomUniform, Dropout: what is drawn depends on seed, node and run, and on nothing else."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl


def noisy(prefix: str = ""):
    with fl.Graph() as g:
        x = fl.placeholder((50, 40), name="x")
        a = fl.random_normal(shape=(50, 40), mean=2.0, std=3.0, name=f"{prefix}normal")
        b = fl.random_uniform(shape=(50, 40), low=-1.0, high=4.0, dtype="float64", name=f"{prefix}uniform")
        c = fl.dropout(x, 0.25, name=f"{prefix}dropout")
        loss = fl.sum(c * x)
        d, = fl.gradients(loss, [x])
    return g, [a, b, c, d]


XS = np.ones((50, 40), "float32")


def test_draws_have_the_distribution_asked_for():
    g, (a, b, c, _) = noisy()
    a, b, c = fl.Session(g).run([a, b, c], {"x": XS})
    assert a.dtype == np.float32 and b.dtype == np.float64
    np.testing.assert_allclose([a.mean(), a.std()], [2, 3], atol=0.2)
    assert -1 <= b.min() < -0.95 and 3.95 < b.max() < 4
    assert set(np.unique(c)) == {np.float32(0), np.float32(1 / 0.75)}
    np.testing.assert_allclose((c == 0).mean(), 0.25, atol=0.03)


def test_gradient_of_dropout_uses_the_same_mask():
    g, (_, _, c, d) = noisy()
    c, d = fl.Session(g).run([c, d], {"x": XS})
    np.testing.assert_allclose(d, c + c, rtol=1e-6)     # ∂(mask · x · x) = 2 · mask · x


def test_every_run_draws_anew_and_every_replay_draws_the_same():
    g, fetches = noisy()
    first, second = (fl.Session(g, seed=3) for _ in range(2))
    runs = [[v.copy() for v in first.run(fetches, {"x": XS})] for _ in range(3)]
    assert all((a != b).any() for a, b in zip(runs[0], runs[1]))
    again = [second.run(fetches, {"x": XS}), second.trace(fetches, {"x": XS}).results, None]
    dbg = fl.Debugger(second, fetches, {"x": XS})
    while dbg.ready:
        dbg.fire(dbg.ready[-1])     # in the other order
    again[2] = dbg.results
    for run, replay in zip(runs, again):
        for a, b in zip(run, replay):
            np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(runs[0], fl.Session(g, seed=4).run(fetches, {"x": XS})))


def test_going_back_and_on_draws_the_same():
    g, fetches = noisy()
    sess = fl.Session(g)
    dbg = fl.Debugger(sess, fetches, {"x": XS})
    dbg.resume()
    before = dbg.value("dropout:0")
    while dbg.back():
        pass
    dbg.fire("dropout")
    np.testing.assert_array_equal(dbg.value("dropout:0"), before)
    trace = sess.trace(fetches, {"x": XS}, budget=0)
    np.testing.assert_array_equal(trace.rerun({}).value("dropout:0"), trace.value("dropout:0"))


def test_a_nodes_draws_survive_renaming():
    (g, f), (h, k) = noisy(), noisy("other_")
    for a, b in zip(fl.Session(g, seed=5).run(f, {"x": XS}), fl.Session(h, seed=5).run(k, {"x": XS})):
        np.testing.assert_array_equal(a, b)


def test_two_nodes_draw_differently():
    with fl.Graph() as g:
        a, b = (fl.random_normal(shape=(20,)) for _ in range(2))
        w, v = (fl.variable(fl.init.normal((20,))) for _ in range(2))
    values = fl.Session(g).run([a, b, w, v])
    assert len({v.tobytes() for v in values}) == 4


def test_what_cannot_be_drawn():
    with fl.Graph():
        x = fl.placeholder((3,), name="x")
        for make, port in ((lambda: fl.random_normal(shape=("batch", 2)), "shape"), (lambda: fl.random_uniform(shape=(2,), dtype="int64"), "dtype"),
                           (lambda: fl.dropout(x, 1.0), "rate"), (lambda: fl.dropout(x, -0.1), "rate")):
            with pytest.raises(fl.AttributeValueError) as caught:
                make()
            assert caught.value.port == port
