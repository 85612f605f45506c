"""Random graphs with loops, branches and gradients: however they are run, stepped, taken back and changed, the numbers are the same."""
from __future__ import annotations

import random

import numpy as np
import pytest

import flowlab as fl

UNARY = [fl.tanh, fl.sin, fl.sigmoid, lambda t: t * 0.5, lambda t: -t, lambda t: fl.dropout(t, 0.3)]
BINARY = [fl.add, fl.multiply, fl.subtract, lambda a, b: fl.where(a > b, a, b * 0.5)]


def body(rng: random.Random, pool: list, depth: int) -> fl.Tensor:
    """A few random nodes over the pool, loops and branches among them."""
    pool = list(pool)
    for _ in range(rng.randrange(1, 4)):
        kind = rng.randrange(8)
        if kind == 0 and depth:
            x = fl.stack([rng.choice(pool) for _ in range(rng.randrange(1, 4))], axis=0)
            with fl.scan(x, reverse=rng.random() < 0.4, checkpoint=rng.random() < 0.4) as step:
                s = step.state("s", init=rng.choice(pool))
                new = body(rng, [s, step.input, *rng.sample(pool, 1)], depth - 1)
                step.update(s, new)
                step.output(new * s)
            pool.append(fl.sum(step.outputs[0], axis=0) if rng.random() < 0.5 else step.states["s"])
        elif kind == 1 and depth:
            a, b = rng.choice(pool), rng.choice(pool)
            test = fl.sum(a) > 0.1
            pool.append(fl.cond(test, lambda a=a: body(rng, [a, *pool], depth - 1), lambda b=b: body(rng, [b], depth - 1) * 1.0))
        elif kind == 2 and depth:
            a, most = rng.choice(pool), rng.randrange(4)
            pool.append(fl.while_loop(lambda k, v, most=most: fl.logical_and(k < most, fl.sum(v) < 50.0), lambda k, v: (k + 1, body(rng, [v], 0)), (0, a))[1])
        elif kind < 5:
            pool.append(rng.choice(UNARY)(rng.choice(pool)))
        else:
            pool.append(rng.choice(BINARY)(rng.choice(pool), rng.choice(pool)))
    return pool[-1]


def random_graph(seed: int) -> tuple[fl.Graph, list[str], dict]:
    rng = random.Random(seed)
    with fl.Graph(f"random {seed}") as g:
        x, w = fl.placeholder((3,), "float64", name="x"), fl.variable(np.linspace(-1, 1, 3), name="w")
        y = body(rng, [x, w, x * w], 2)
        loss = fl.sum(fl.tanh(y) * w, name="loss")
        grads = fl.gradients(loss, [x, w], unconnected="zero")
        second = fl.gradients(fl.sum(grads[1] * grads[1]) + fl.sum(grads[0]), [w], unconnected="zero")
        fl.assign(w, w - 0.1 * grads[1], name="train")
    return g, [loss.name, *(t.name for t in (*grads, *second)), "train"], {"x": np.random.default_rng(seed).standard_normal(3)}


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
