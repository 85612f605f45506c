"""A recorded run is gone through in any order, forward and back, and always shows what was recorded."""
from __future__ import annotations

import numpy as np
import pytest
from test_saved_traces import FEEDS, looped

import flowlab as fl
from flowlab.debugger import recording


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("from_file", [False, True])
def test_any_order_forward_and_back_shows_what_was_recorded(seed, from_file, tmp_path):
    trace = fl.Session(looped(), seed=5).trace(["loss", "train"], FEEDS)
    if from_file:
        trace.save(tmp_path / "run.trace")
    past = fl.Recording(fl.load_trace(tmp_path / "run.trace") if from_file else trace)
    told = {(e.node, e.frame): e for e in trace.events}
    rng = np.random.default_rng(seed)
    assert (past.cursor, past.length, past.total) == (0, len(trace), len(trace)) and not past.computed("loss:0")
    for _ in range(150):
        ready = past.ready
        match int(rng.integers(8)):
            case 0 | 1:
                past.back()
            case 2 if ready:
                past.step_level()
            case 3 if ready:
                past.step_timestep()
            case 4:
                past.seek(int(rng.integers(past.length + 1)))
            case _ if ready:
                past.fire(str(rng.choice(ready)))
        assert sorted((e.index, e.node) for e in past.records) == [(k, e.node) for k, e in enumerate(past.records)] and len(past.records) == len(trace)
        if past.cursor:
            event = past.records[past.cursor - 1]
            assert all(a is b is None or a.tobytes() == b.tobytes() for a, b in zip(event.outputs, told[event.node, event.frame].outputs))
    past.seek(past.length)
    assert past.done and past.ended and past.results[0].tobytes() == trace.results[0].tobytes() and past.step() is None


def test_nothing_is_computed_committed_or_changed(monkeypatch):
    sess = fl.Session(looped(), seed=5)
    trace = sess.trace(["loss", "train"], FEEDS)
    state = sess.store.state
    monkeypatch.setattr("flowlab.runtime.plan.Step.fire", lambda *a: pytest.fail("a recording computes nothing"))
    past = fl.Recording(trace)
    past.resume()
    assert past.done and sess.store.state is state
    with pytest.raises(fl.DebuggerError, match="this is a recording"):
        past.override("loss:0", 1.0)
    past.clear_override()
    assert past.trace() is trace and "Recording of" in repr(past)


def test_live_from_the_middle_comes_to_the_same_end_and_can_be_changed():
    trace = fl.Session(looped(), seed=5).trace(["loss", "train"], FEEDS)
    past = fl.Recording(trace)
    past.seek(20)
    live = past.branch()
    live.resume()
    assert live.results[0] == trace.results[0] and fl.compare(live, trace).equal
    other = past.branch()
    other.override("rnn/new:0", np.zeros((2, 3)))
    other.resume()
    assert other.results[0] == 0 and past.cursor == 20 and past.length == len(trace)


def test_a_trace_that_let_values_go_is_whole_again():
    sess = fl.Session(looped(), seed=5)
    whole, small = (sess.trace(["loss"], FEEDS, budget=b) for b in (1 << 30, 100))
    assert any(e._outputs is None for e in small.events)
    past = fl.Recording(small)
    past.seek(past.length)
    assert all(a is b is None or a.tobytes() == b.tobytes() for e, w in zip(past.records, small.rerun({}).events) for a, b in zip(e.outputs, w.outputs)) and len(whole) == len(small)


def test_a_run_whose_values_do_not_fit_into_memory_is_refused_before_they_are_computed(monkeypatch):
    small = fl.Session(looped(), seed=5).trace(["loss"], FEEDS, budget=100)
    gone = sum(e.nbytes for e in small.events if e._outputs is None)
    monkeypatch.setattr(recording, "memory_left", lambda: gone - 1)
    with pytest.raises(fl.DeviceError, match="what this run has let go takes .*: this process may use"):
        fl.Recording(small)
    monkeypatch.setattr(recording, "memory_left", lambda: gone)
    assert fl.Recording(small).length == len(small)


def test_a_run_stepped_half_way_is_a_trace_that_goes_to_a_file_and_back(tmp_path):
    dbg = fl.Debugger(fl.Session(looped(), seed=5), ["loss", "train"], FEEDS)
    while dbg.cursor < 12:
        dbg.step()
    made = dbg.trace()
    assert len(made) == 12 and made.results is None and dbg.cursor == 12
    made.save(tmp_path / "half.trace")
    past = fl.Recording(fl.load_trace(tmp_path / "half.trace"))
    past.seek(12)
    assert fl.compare(past, dbg).equal and not past.done and past.ended
    with pytest.raises(fl.DebuggerError, match="the recording ends here, after 12 firings"):
        past.step()
    dbg.resume()
    whole = dbg.trace()
    assert whole.results[0] == dbg.results[0] and fl.compare(whole, dbg).equal
