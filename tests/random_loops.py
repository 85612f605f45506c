"""Random graphs with loops, branches and gradients, for tests that hold for any of them."""
from __future__ import annotations

import random

import numpy as np

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
