"""Whatever graph is built: compiled, parallel, traced, debugged in any order, on one device or several, the bits are the same."""
from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings, strategies as st

import flowlab as fl
from tests.ops.test_random_graphs import SIDE, bits, graphs

DEVICES = [None, None, "cpu:0", "cpu:1", "cpu:2"]


def eager(g, seed, workers, **options):
    sess = fl.Session(g, seed=seed, executor="parallel", workers=workers, **options)
    sess.parallel.worth = 0.0
    return sess


@st.composite
def placed_graphs(draw):
    """A random graph, its fetches, and a device asked for by each of its nodes, or by none."""
    g, fetches = draw(graphs())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for node in g.nodes:
        node.device = DEVICES[rng.integers(len(DEVICES))]
    return g, fetches


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(placed_graphs(), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_every_executor_on_any_devices_gives_the_same_bits(made, seed, workers):
    g, fetches = made
    rng = np.random.default_rng(seed)
    asked = {n.id: n.device for n in g.nodes}
    for node in g.nodes:
        node.device = None
    plain = fl.Session(g, seed=seed)
    one = eager(g, seed, workers)
    feeds = [{"x": rng.normal(size=(4, SIDE)).astype("float32")} for _ in range(3)]
    with np.errstate(all="ignore"), one:
        want = [bits(plain.run(fetches, f)) for f in feeds]
        assert [bits(one.run(fetches, f)) for f in feeds] == want
        for node in g.nodes:
            node.device = asked[node.id]
        several, spread = fl.Session(g, seed=seed, cpus=3), eager(g, seed, workers, cpus=3)
        traced, stepped = fl.Session(g, seed=seed, cpus=3), fl.Session(g, seed=seed, cpus=3)
        with spread:
            for f, bits_wanted in zip(feeds, want):
                assert bits(several.run(fetches, f)) == bits_wanted
                assert bits(spread.run(fetches, f)) == bits_wanted
                assert bits(traced.trace(fetches, f, budget=int(rng.integers(0, 3000))).results) == bits_wanted
                dbg = fl.Debugger(stepped, fetches, f)
                while dbg.ready:
                    dbg.fire(dbg.ready[rng.integers(len(dbg.ready))])
                    if rng.integers(4) == 0 and not dbg.done:
                        dbg.back()
                assert bits(dbg.results) == bits_wanted
            values = [bits(s.variables.values()) for s in (plain, one, several, spread, traced, stepped)]
        assert values[1:] == values[:-1]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(placed_graphs(), st.integers(0, 2**32 - 1))
def test_a_plan_over_several_devices_copies_each_tensor_once_and_only_where_it_crosses(made, seed):
    g, fetches = made
    sess = fl.Session(g, seed=seed, cpus=3)
    nodes = [g.node(f) if isinstance(f, str) else f for f in fetches]
    plan = sess.plan([n.outputs[0] if hasattr(n, "outputs") and n.outputs else n for n in nodes], (g.tensor("x"),))
    home = {slot: s.device for s in plan.steps for slot in s.outs}
    home.update((slot, sess.placement[next(n.name for n in g.nodes if n.id == i)].device) for slot, i in plan.variables)
    home.update(dict.fromkeys(range(len(plan.feeds)), "cpu:0"))
    constant = {slot for slot, _ in plan.constants}
    done = set()
    for step in plan.steps:
        assert set(step.waits) <= done
        done.add(step.index)
        if step.node.op.name == "Copy":
            (_, slot), = step.args
            assert home[slot] != step.device and step.node.device == step.device
        else:
            assert step.device == sess.placement[step.node.name].device
            assert all(slot in constant or home[slot] == step.device for _, slot in step.args)
    copies = [s.node.name for s in plan.steps if s.node.op.name == "Copy"]
    assert len(copies) == len(set(copies))
    seen = set()
    for step in plan.steps:     # what is let go is read by nobody afterwards
        assert not seen & {slot for _, slot in step.args}
        seen |= set(step.frees)
