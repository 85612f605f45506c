"""Whatever graph is built, run, trace and the Debugger give the same bits, and a variable commits once."""
from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings, strategies as st

import flowlab as fl

SIDE = 3        # every tensor is (rows, 3), (3,) or (), so that most ops fit most tensors
UNARY = [fl.relu, fl.tanh, fl.sigmoid, lambda x: fl.softmax(x) if x.rank else x, fl.exp, fl.negative, fl.square, fl.abs, fl.stop_gradient, fl.identity, lambda x: fl.clip(x, -1, 1), lambda x: fl.log(fl.square(x) + 1.0),
         lambda x: fl.sqrt(fl.abs(x) + 0.5), lambda x: x[::-1] if x.rank else x, lambda x: fl.concat(fl.split(x, SIDE, axis=-1)[::-1], axis=-1) if x.rank else x,
         lambda x: fl.sum(x, axis=-1, keepdims=True) + x if x.rank else x, lambda x: fl.mean(x), lambda x: fl.max(x, axis=0) if x.rank == 2 else x,
         lambda x: fl.gather(x, [2, 0, 1], axis=-1) if x.rank else x, lambda x: fl.dropout(x, 0.3), lambda x: fl.transpose(fl.transpose(x)) * 1.5,
         lambda x: fl.reshape(fl.reshape(x, (-1,)), (-1, SIDE)) if x.rank == 2 else x]
BINARY = [fl.add, fl.subtract, fl.multiply, fl.maximum, fl.minimum, lambda a, b: a / (fl.square(b) + 1.0), lambda a, b: fl.where(a > b, a, b), lambda a, b: fl.where(b <= a, b * 2.0, a)]


@st.composite
def graphs(draw):
    """A graph with a few variables, a loss, gradients, and an update."""
    rows = draw(st.sampled_from(["batch", None, 4]))
    with fl.Graph("random") as g:
        pool = [fl.placeholder((rows, SIDE), name="x"), fl.variable(np.linspace(-1, 1, 9, dtype="float32").reshape(3, 3), name="w"),
                fl.variable(np.array([0.5, -1, 2], "float32"), name="b"), fl.constant(0.7)]
        used = pool[0] @ pool[1] + pool[2]
        pool.append(used)
        for _ in range(draw(st.integers(1, 12))):
            kind = draw(st.integers(0, 2))
            a = draw(st.sampled_from(pool))
            if kind == 0:
                made = draw(st.sampled_from(UNARY))(a)
            elif kind == 1:
                b = draw(st.sampled_from(pool))
                if {a.rank, b.rank} == {2} and a.shape != b.shape:      # rows of the data and of a weight do not meet
                    continue
                made = draw(st.sampled_from(BINARY))(a, b)
            elif a.rank == 2:
                made = a @ pool[1]
            else:
                continue
            pool.append(made)
            used = used + fl.mean(made)
        loss = fl.mean(fl.tanh(used), name="loss")
        grads = fl.gradients(loss, g.trainable_variables, unconnected="zero")
        updates = [fl.assign(v, v - 0.1 * d) for v, d in zip(g.trainable_variables, grads)]
        fl.group(updates, name="train")
        second = fl.gradients(fl.sum(fl.square(grads[0])), [pool[1]], unconnected="zero")
    picked = draw(st.lists(st.sampled_from(pool), max_size=4))
    return g, [loss, *grads, *second, *picked, "train"]


def bits(values):
    return [None if v is None else (v.shape, v.dtype.str, v.tobytes()) for v in values]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(graphs(), st.integers(0, 2**32 - 1), st.booleans())
def test_run_trace_and_debugger_agree_on_any_graph(made, seed, with_transposed_feed):
    g, fetches = made
    rng = np.random.default_rng(seed)
    xs = rng.normal(size=(4, SIDE)).astype("float32")
    if with_transposed_feed:
        xs = np.asfortranarray(xs)
    sessions = [fl.Session(g, seed=seed) for _ in range(4)]
    with np.errstate(all="ignore"):
        want = bits(sessions[0].run(fetches, {"x": xs}))
        assert bits(sessions[1].trace(fetches, {"x": xs}, budget=int(rng.integers(0, 2000))).results) == want
        forth = fl.Debugger(sessions[2], fetches, {"x": xs}, budget=int(rng.integers(0, 2000)))
        while forth.ready:
            forth.fire(forth.ready[rng.integers(len(forth.ready))])
        assert bits(forth.results) == want
        there_and_back = fl.Debugger(sessions[3], fetches, {"x": xs}, budget=int(rng.integers(0, 500)))
        while not there_and_back.done:
            for _ in range(rng.integers(1, 9)):
                if there_and_back.ready:
                    there_and_back.fire(there_and_back.ready[rng.integers(len(there_and_back.ready))])
            for _ in range(rng.integers(0, 3) if not there_and_back.done else 0):
                there_and_back.back()
        assert bits(there_and_back.results) == want
        everything = {e.node: e for e in forth.records}
        assert all(bits(e.outputs) == bits(everything[e.node].outputs) for e in there_and_back.records[::40])
    values = [bits(s.variables.values()) for s in sessions]
    assert values[1:] == values[:-1]
    with np.errstate(all="ignore"):
        again = [bits(s.run(fetches, {"x": xs})) for s in sessions]
    assert again[1:] == again[:-1]
