"""What a Debugger keeps within its budget, and what it says of the rest."""
from __future__ import annotations

import gc
import tracemalloc
import weakref
from math import isqrt

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY
from flowlab.runtime.backend import NUMPY

MIB = 1 << 20


def chain(length: int) -> fl.Graph:
    with fl.Graph("chain") as g:
        y = x = fl.placeholder((256, 1024), name="x")       # 1 MiB
        for k in range(length):
            y = fl.tanh(y + x, name=f"y{k}")
        fl.mean(y, name="loss")
    return g


@pytest.fixture(scope="module")
def counted():
    """A loop over 900 timesteps with an operation that says how often it is computed."""
    calls = []

    @fl.op(type="TestCounted", function="test_counted", infer=lambda x, **_: x, category="math")
    def test_counted(xp, x):
        "The sine, counted."
        calls.append(1)
        return xp.sin(x)
    with fl.Graph("loop") as g:
        x = fl.placeholder(("time", 8), name="x")
        with fl.scan(x, time_axis=0, name="rnn") as step:
            h = step.state("h", init=fl.constant(np.zeros(8, "float32")))
            new = test_counted(h * 0.5 + step.input, name="new")
            step.update(h, new)
        fl.sum(step.states["h"], name="loss")
    yield g, {"x": np.random.default_rng(0).standard_normal((900, 8)).astype("float32")}, calls
    del REGISTRY["TestCounted"]


def test_a_run_far_beyond_the_budget_stays_near_it():
    g, feeds = chain(60), {"x": np.ones((256, 1024), "float32")}
    peaks = {}
    for budget in (16 * MIB, 1 << 30):
        NUMPY.free()        # idle arrays of runs before, which would hide what this one takes
        tracemalloc.start()
        dbg = fl.Debugger(fl.Session(g), "loss", feeds, budget=budget)
        dbg.resume()
        peaks[budget] = tracemalloc.get_traced_memory()[1]
        for event in dbg.records:       # nor is it more after all has been looked at
            event.outputs, dbg.value(f"{event.node}:0")
        assert dbg.let_go > 100 if budget == 16 * MIB else not dbg.let_go
        assert tracemalloc.get_traced_memory()[0] < budget + 6 * MIB
        tracemalloc.stop()
        del dbg, event      # or the next run takes over what this one has held
    assert peaks[16 * MIB] < 22 * MIB
    assert peaks[1 << 30] > 110 * MIB      # what all of it takes


def test_a_debugger_that_nobody_holds_is_free_at_once(counted):
    g, feeds, _ = counted
    gc.disable()
    try:
        dbg = fl.Debugger(fl.Session(g), "loss", feeds, budget=4096)
        dbg.resume()
        dbg.seek(dbg.length // 2)
        assert dbg.records[-1].outputs and dbg.value("rnn/new:0") is not None and dbg.let_go
        events, known = dbg.records, weakref.ref(dbg)
        del dbg
        assert known() is None
    finally:
        gc.enable()
    gone = next(e for e in events if e._outputs is None)
    assert gone.stats
    with pytest.raises(fl.DebuggerError, match="Debugger that could compute them again is no more"):
        gone.outputs  # noqa: B018


def test_looking_at_what_was_taken_back_takes_no_second_budget_for_good():
    dbg = fl.Debugger(fl.Session(chain(60)), "loss", {"x": np.ones((256, 1024), "float32")}, budget=16 * MIB)
    NUMPY.free()
    tracemalloc.start()
    dbg.resume()
    dbg.seek(0)
    for event in dbg.records:
        assert event.outputs[0] is not None
    dbg.seek(dbg.length)
    assert dbg.records[9].outputs[0] is not None
    NUMPY.free()
    after = tracemalloc.get_traced_memory()[0]
    dbg.seek(0)
    assert dbg.records[9].outputs[0] is not None
    dbg.override("x", np.zeros((256, 1024), "float32"))
    dbg.resume()
    NUMPY.free()
    overridden = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after < 22 * MIB and overridden < 24 * MIB


def test_one_timestep_of_many_is_computed_from_nearby(counted):
    g, feeds, calls = counted
    whole, little = (fl.Debugger(fl.Session(g), "loss", feeds, budget=b) for b in (1 << 30, 6_000))
    whole.resume()
    little.resume()
    assert little.let_go > 2000 and not whole.let_go
    by_place = {(e.node, e.frame): e for e in whole.records}
    for event in [e for e in little.records if e.node == "rnn/new"][5:800:111]:
        calls.clear()
        np.testing.assert_array_equal(event.outputs[0], by_place[event.node, event.frame].outputs[0])
        assert 0 < len(calls) <= 4 * isqrt(900), event
        calls.clear()
        assert event.stats[0].sum == pytest.approx(by_place[event.node, event.frame].stats[0].sum)
        assert not calls, "statistics are kept"


def test_going_on_from_the_past_recomputes_no_more_than_it_must(counted):
    g, feeds, calls = counted
    dbg = fl.Debugger(fl.Session(g), "loss", feeds, budget=6_000)
    dbg.resume()
    want, length = dbg.results, dbg.length
    dbg.seek(length // 2)
    calls.clear()
    dbg.value("rnn/new:0")
    assert len(calls) <= 4 * isqrt(900)
    dbg.back(), dbg.step(), dbg.step()
    dbg.seek(length)
    assert dbg.results == want and dbg.done


def test_it_says_what_it_has_let_go():
    g = chain(12)
    dbg = fl.Debugger(fl.Session(g), "loss", {"x": np.ones((256, 1024), "float32")}, budget=4 * MIB)
    assert "let go" not in repr(dbg)
    dbg.resume()
    gone = dbg.let_go
    assert gone > 10 and f"{gone} of {dbg.length} values let go, computed again when looked at." in repr(dbg)
    event = dbg.records[3]
    assert "let go" in repr(event) and not event.again and event.nbytes == MIB
    assert event.outputs[0].shape == (256, 1024)
    assert event.again and repr(event).endswith("computed again)")
    assert dbg.let_go <= gone


def test_a_firing_that_is_off_the_record_says_that_its_values_are_gone():
    g = chain(4)
    dbg = fl.Debugger(fl.Session(g), "loss", {"x": np.ones((256, 1024), "float32")}, record=False, budget=0)
    dbg.resume()
    event = dbg.records[0]
    while dbg.back():
        pass
    assert event.stats[0].size == 256 * 1024
    with pytest.raises(fl.DebuggerError, match="no longer on the record"):
        tuple(event.outputs)


def test_why_explain_breakpoints_and_comparison_reach_what_was_let_go():
    with fl.Graph("bad") as g:
        x = fl.placeholder((4,), name="x")
        low = fl.log(x - 1.0, name="low")
        y = low
        for k in range(9):
            y = fl.add(y, 1.0, name=f"y{k}")
        fl.sum(y, name="loss")
    feeds = {"x": np.array([2.0, 0.5, 3.0, 4.0], "float32")}
    with np.errstate(all="ignore"):
        little, whole = (fl.Debugger(fl.Session(g), "loss", feeds, budget=b) for b in (0, None))
        for dbg in (little, whole):
            dbg.breakpoints.add("y3:0", when="changed and nan")
            dbg.watch("low:0")
            assert dbg.resume() == fl.Stop("breakpoint", "y3")
            dbg.resume()
        assert little.let_go > 8
        assert repr(little.why_nan()) == repr(whole.why_nan()) and little.why_nan("loss:0").node == "low"
        assert little.explain("y0").sentences == whole.explain("y0").sentences
        assert fl.compare(little, whole).equal and fl.compare(little.branch(), whole).equal
        assert [line for line in repr(little).split("\n") if line.startswith("Watch")] == [line for line in repr(whole).split("\n") if line.startswith("Watch")]
        trace = little.trace()
        assert fl.compare(trace, whole).equal
