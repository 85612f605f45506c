"""Trace: the record of a run."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.trace.trace import stats_of


@pytest.fixture
def net():
    with fl.Graph("net") as g:
        x = fl.placeholder(("batch", 6, 3), name="x")
        out, (h, _) = fl.nn.lstm(x, 4, name="lstm")
        loss = fl.mean(fl.nn.dense(h, 2, name="head") ** 2, name="loss")
        fl.optim.SGD(0.1).minimize(loss)
    return g


XS = np.random.default_rng(0).normal(size=(5, 6, 3)).astype("float32")


def test_a_trace_is_a_run_and_commits(net):
    a, b = fl.Session(net), fl.Session(net)
    got = b.run({"loss": "loss", "train": "train"}, {"x": XS})
    trace = a.trace({"loss": "loss", "train": "train"}, {"x": XS})
    assert trace.results["train"] is None
    np.testing.assert_array_equal(trace.results["loss"], got["loss"])
    assert all((a.variables[n] == b.variables[n]).all() for n in a.variables)
    np.testing.assert_array_equal(a.run("loss", {"x": XS}), b.run("loss", {"x": XS}))


def test_events_tell_node_phase_values_and_time(net):
    trace = fl.Session(net).trace(["loss", "train"], {"x": XS})
    assert len(trace) == len(trace.events) == len([n for n in net.nodes if not n.op.source])
    assert [e.index for e in trace.events] == list(range(len(trace)))
    assert {e.phase for e in trace.events} == {"forward", "backward", "update"}
    order = ["forward", "backward", "update"]
    assert [order.index(e.phase) for e in trace.events] == sorted(order.index(e.phase) for e in trace.events)
    assert all(e.phase == net.node(e.node).phase and e.frame == () and e.device == "cpu:0" for e in trace.events)
    assert all(e.duration >= 0 for e in trace.events) and all(a.start <= b.start for a, b in zip(trace.events, trace.events[1:]))
    assert not {e.node for e in trace.events} & {n.name for n in net.nodes if n.op.source}
    event = next(e for e in trace.events if e.node == "lstm/LSTM")
    assert len(event.outputs) == len(event.stats) == 8
    assert "lstm/LSTM" in repr(event) and str(len(trace)) in repr(trace)


def test_values_of_every_kind_of_tensor(net):
    sess = fl.Session(net)
    kernel = sess.variables["head/kernel"]
    trace = sess.trace(["loss", "train"], {"x": XS})
    sess.run("train", {"x": XS})
    np.testing.assert_array_equal(trace.value("x"), XS)
    np.testing.assert_array_equal(trace.value("head/kernel:0"), kernel)     # what the run read, not what it is now
    np.testing.assert_array_equal(trace.value("loss:0"), trace.results[0])
    np.testing.assert_array_equal(trace.value(net.tensor("lstm/LSTM:h_n")), trace.value("lstm/LSTM:out")[:, -1])
    assert trace.value("SGD/learning_rate") == np.float32(0.1)
    trace.value("lstm/LSTM:f")[...] = 9
    assert trace.value("lstm/LSTM:f").max() < 1
    with pytest.raises(KeyError, match="no output"):
        trace.value("train")
    at = next(e.index for e in trace.events if e.node == "loss")
    assert trace.value("loss:0", at=at) == trace.value("loss:0")
    with pytest.raises(KeyError, match=f"fired as number {at}"):
        trace.value("loss:0", at=at - 1)
    short = sess.trace("lstm/LSTM:out", {"x": XS})
    with pytest.raises(KeyError, match="not computed in this run"):
        short.value("loss:0")
    with pytest.raises(fl.FetchError):
        short.value("nowhere:0")


def test_a_trace_keeps_what_was_fed(net):
    xs = XS.copy()
    with net:
        seen = fl.reshape(net.tensor("x"), (-1, 3), name="seen")
    trace = fl.Session(net).trace(["loss", seen], {"x": xs})
    xs[...] = 0
    np.testing.assert_array_equal(trace.value("x:0"), XS)
    np.testing.assert_array_equal(trace.value("seen:0"), XS.reshape(-1, 3))


def test_gates(net):
    sess = fl.Session(net)
    trace = sess.trace("loss", {"x": XS})
    for name in ("lstm", "lstm/LSTM"):
        gates = trace.gates(name)
        assert list(gates) == ["f", "i", "g", "o", "c", "h"]
        assert all(v.shape == (5, 6, 4) for v in gates.values())
        np.testing.assert_allclose(gates["h"], gates["o"] * np.tanh(gates["c"]), rtol=1e-5, atol=1e-7)
        before = np.concatenate([np.zeros((5, 1, 4)), gates["c"][:, :-1]], 1)
        np.testing.assert_allclose(gates["c"], gates["f"] * before + gates["i"] * gates["g"], rtol=1e-5, atol=1e-6)
    with pytest.raises(fl.FetchError, match="lstm/LSTM"):
        trace.gates("loss")


@pytest.mark.parametrize("budget", [0, 300, 5000])
def test_what_the_budget_lets_go_is_computed_again_to_the_bit(budget, net):
    with net:
        noise = fl.random_normal(shape=(3, 2), name="noise")
        more = fl.multiply(noise, 2.0, name="more")
    a, b = fl.Session(net), fl.Session(net)
    for _ in range(2):
        whole = a.trace(["loss", "train", more], {"x": XS})
        small = b.trace(["loss", "train", more], {"x": XS}, budget=budget)
    for s in (a, b):
        s.run("train", {"x": XS})   # the variables move on; the record must not
    assert "let go" in repr(small) and "let go" not in repr(whole)
    gone = 0
    for x, y in zip(whole.events, small.events, strict=True):
        gone += y._outputs is None
        assert x.stats == y.stats
        for v, w in zip(x.outputs, y.outputs, strict=True):
            assert v.dtype == w.dtype and v.tobytes() == w.tobytes()
    assert gone
    assert sum(e._outputs is not None for e in small.events) < len(small)


def test_statistics():
    values = np.array([[1, -2, np.nan], [np.inf, 0, 0]])
    s = stats_of(values)
    assert (s.size, s.min, s.max, s.nan, s.inf, s.zero) == (6, -2, np.inf, 1, 1, 2)
    s = stats_of(np.array([3, -4, 0, 0], "int8"))
    assert (s.sum, s.sum_of_squares, s.mean, s.norm, s.zeros) == (-1, 25, -0.25, 5, 0.5)
    np.testing.assert_allclose(s.std, np.std([3, -4, 0, 0]))
    assert stats_of(np.full(3, np.nan)).nan == 3
    assert stats_of(np.zeros((0, 3))).size == 0
    assert stats_of(np.full(10, 60000, "float16")).sum == 600_000      # in float64
    assert stats_of(np.array([True, False])).mean == 0.5


def test_stats_of_any_tensor(net):
    sess = fl.Session(net)
    trace = sess.trace("loss", {"x": XS})
    assert trace.stats("x:0") == stats_of(XS)
    assert trace.stats("lstm/LSTM:c") == stats_of(trace.value("lstm/LSTM:c"))


def test_rerun_with_another_value_commits_nothing(net):
    sess = fl.Session(net)
    trace = sess.trace(["loss", "train"], {"x": XS})
    after = dict(sess.variables)
    again = trace.rerun({})
    np.testing.assert_array_equal(again.results[0], trace.results[0])
    other = trace.rerun({"lstm/LSTM:h_n": np.zeros((5, 4))})
    assert other.value("loss:0") == 0 != trace.value("loss:0")
    assert all((sess.variables[n] == v).all() for n, v in after.items())
