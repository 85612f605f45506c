"""The graphs to begin with: each runs as it comes, is learned from where it learns, and opens in the lab with its numbers."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.apps.examples import ALL


@pytest.mark.parametrize("make", ALL, ids=lambda f: f.__name__)
def test_an_example_runs_as_it_comes(make):
    g = make()
    assert g.feeds.keys() == {t.node.name for t in g.placeholders} and make.__doc__
    sess = fl.Session(g)
    sess.run([n for n in g.nodes if n.phase == "forward" and n.outputs and n.op.source is None][-1].outputs[0], g.feeds)
    if "train" in g.nodes:
        first = float(sess.run("loss", g.feeds))
        for _ in range(60):
            sess.run("train", g.feeds)
        assert float(sess.run("loss", g.feeds)) < 0.7 * first
    dbg = fl.Debugger(fl.Session(g), "loss" if "loss" in g.nodes else [n for n in ("plate", "ranks") if n in g.nodes], g.feeds)
    dbg.resume()
    assert dbg.done
    editor = fl.Editor(g)
    assert editor.document.feeds.keys() == g.feeds.keys() and fl.Editor(g, feeds={}).document.feeds == {}


def test_what_they_compute_is_known():
    heat = fl.examples.heat_equation(steps=3)
    plate, origin = fl.Session(heat).run(["plate", "origin"], heat.feeds)
    u = np.pad(heat.feeds["start"].astype("float64"), 1)
    for _ in range(3):
        inner = u[1:-1, 1:-1]
        u = np.pad(inner + 0.2 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * inner), 1)
    np.testing.assert_allclose(plate, u[1:-1, 1:-1], atol=1e-6)
    assert origin.sum() == pytest.approx(1, abs=1e-5)       # the middle has lost nothing over the rim yet
    web = fl.examples.pagerank()
    ranks, rounds = fl.Session(web).run(["ranks", "rounds"], web.feeds)
    vectors = np.linalg.eig(0.85 * web.feeds["links"].astype("float64") + 0.15 / 5)
    first = np.abs(np.real(vectors[1][:, np.argmax(vectors[0].real)]))
    np.testing.assert_allclose(ranks, first / first.sum(), atol=1e-4)
    assert 5 < rounds < 100
    learned = fl.examples.char_rnn()
    sess = fl.Session(learned)
    for _ in range(150):
        sess.run("train", learned.feeds)
    assert (sess.run("guess", learned.feeds) == learned.feeds["following"])[0, 1:].mean() > 0.7
