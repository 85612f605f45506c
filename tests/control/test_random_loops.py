"""Random graphs with loops, branches and gradients: however they are run, stepped, taken back and changed, the numbers are the same."""
from __future__ import annotations

import random

import numpy as np
import pytest

import flowlab as fl
from tests.random_loops import random_graph


def bits(values) -> list[bytes]:
    return [np.asarray(v).tobytes() for v in values]


def check(seed: int, tmp_path) -> None:
    g, fetches, feeds = random_graph(seed)
    sess = fl.Session(g, seed=1)
    want, after = bits(sess.run(fetches, feeds)), sess.variables["w"].tobytes()
    assert bits(fl.Session(g, seed=1).trace(fetches, feeds).results) == want
    assert bits(fl.Session(g, seed=1, executor="parallel", workers=2).run(fetches, feeds)) == want
    fl.save(g, tmp_path / "g.flow.json")
    assert bits(fl.Session(fl.load(tmp_path / "g.flow.json"), seed=1).run(fetches, feeds)) == want
    rng, sess = random.Random(seed), fl.Session(g, seed=1)
    before = sess.variables["w"].tobytes()
    dbg = fl.Debugger(sess, fetches, feeds)
    for _ in range(400):
        match rng.randrange(12):
            case 0:
                dbg.seek(rng.randrange(max(0, dbg.cursor - 15), dbg.length + 1))
            case 1:
                dbg.back_timestep()
            case 2:
                dbg.step_timestep()
            case 3:
                dbg.step_level()
            case _ if dbg.ready:
                dbg.fire(rng.choice(dbg.ready))
    dbg.resume()
    assert bits(dbg.results) == want and sess.variables["w"].tobytes() == after
    inside = [e.node for e in dbg.records if e.frame and e.outputs[0] is not None and e.outputs[0].dtype.kind == "f"]
    target = rng.choice(inside) if inside and rng.random() < 0.7 else rng.choice([e.node for e in dbg.records if e.outputs and e.outputs[0] is not None and e.outputs[0].dtype.kind == "f"])
    value = np.zeros_like(dbg.value(f"{target}:0"))
    dbg.override(f"{target}:0", value)
    for _ in range(rng.randrange(30)):
        dbg.step() if rng.random() < 0.7 else dbg.back()
    dbg.resume()
    fresh = fl.Debugger(fl.Session(g, seed=1), fetches, feeds)
    fresh.override(f"{target}:0", value)
    fresh.resume()
    assert bits(dbg.results) == bits(fresh.results), target
    dbg.clear_override()
    dbg.resume()
    assert bits(dbg.results) == want
    while dbg.back():
        pass
    assert sess.variables["w"].tobytes() == before and sess.store.runs == 0


@pytest.mark.parametrize("seed", range(25))
def test_every_way_to_run_a_random_graph_with_loops_gives_the_same_bits(seed, tmp_path):
    check(seed, tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_its_gradients_are_what_differences_say(seed):
    g, fetches, feeds = random_graph(seed)
    sess = fl.Session(g, seed=1)
    w = sess.variables["w"]
    direction = np.random.default_rng(seed).standard_normal(3)

    def loss(step: float) -> float:
        run = fl.Debugger(sess, fetches[0], feeds, since=({n.id: w + step * direction for n in sess.store.variables()}, 0))
        run.resume()
        return float(run.results)
    h = 1e-5
    slope = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)
    got = fl.Debugger(sess, fetches[2], feeds, since=(dict(sess.store.snapshot()), 0))
    got.resume()
    np.testing.assert_allclose(got.results @ direction, slope, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 700))
def test_every_way_at_length(seed, tmp_path):
    check(seed, tmp_path)
