"""Breakpoints: patterns, hit counts, timesteps, and those that look without pausing."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.debugger import condition


@pytest.fixture
def sums() -> fl.Graph:
    with fl.Graph() as g:
        x = fl.placeholder((6,), "float64", name="x")
        with fl.scan(x, name="loop") as step:
            s = step.state("s", init=np.array(0.0))
            new = fl.add(s, step.input, name="new")
            step.update(s, new)
        fl.square(step.states["s"], name="y")
    return g


FEEDS = {"x": [1.0, 2.0, -3.0, 0.0, 5.0, 6.0]}      # sums: 1 3 0 0 5 11


def stops(dbg) -> list:
    out = []
    while (stop := dbg.resume()).reason == "breakpoint":
        event = dbg.records[dbg.cursor - 1] if dbg.cursor else None
        out.append((stop.node, event.frame if event is not None and event.node == stop.node else dbg.frame))
    return out


def test_a_pattern_watches_every_node_it_names(sums):
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    dbg.breakpoints.add("*", when="max > 100")
    assert stops(dbg) == [("y", ())]
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    dbg.breakpoints.add("loop/*", when="max == 0")
    assert stops(dbg) == [("loop/new", ("loop", 2)), ("loop/new", ("loop", 3))]
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    dbg.breakpoints.add("l??p/n*")
    assert len(stops(dbg)) == 5     # before each firing but the one that resume begins with


def test_the_first_nan_is_where_it_is_made():
    with fl.Graph() as g:
        x = fl.placeholder((3,), name="x")
        a = fl.log(fl.subtract(x, 1.0, name="less"), name="log")
        fl.sum(fl.multiply(a, 0.0, name="times"), name="y")
    dbg = fl.Debugger(fl.Session(g), "y", {"x": [2.0, 1.0, 3.0]})
    dbg.breakpoints.add("*", when="nan or inf")
    with np.errstate(all="ignore"):
        assert dbg.resume() == fl.Stop("breakpoint", "log") and dbg.value("less:0").tolist() == [1, 0, 2]
        assert dbg.resume() == fl.Stop("breakpoint", "times") and np.isnan(dbg.value("times:0")).any()


def test_a_hit_count_and_a_timestep_narrow_it(sums):
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    dbg.breakpoints.add("loop/new:0", when="max > 0", hits=3)
    assert stops(dbg) == [("loop/new", ("loop", 4)), ("loop/new", ("loop", 5))]
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    dbg.breakpoints.add("loop/new:0", timestep=3)
    dbg.breakpoints.add("loop/new", timestep=5)
    assert dbg.resume() == fl.Stop("breakpoint", "loop/new") and dbg.records[-1].frame == ("loop", 3)
    assert dbg.resume() == fl.Stop("breakpoint", "loop/new") and dbg.records[-1].frame == ("loop", 4) and dbg.frame == ("loop", 5)
    assert dbg.resume() == fl.Stop("end")


def test_changed_looks_at_the_firing_before(sums):
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    dbg.breakpoints.add("loop/new:0", when="not changed")
    assert stops(dbg) == [("loop/new", ("loop", 3))]


def test_logs_and_snapshots_do_not_pause(sums):
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    log = dbg.breakpoints.add("loop/new", action="log")
    shot = dbg.breakpoints.add("loop/new:0", when="max > 3", action="snapshot")
    assert dbg.resume() == fl.Stop("end")
    assert [(h.frame[1], h.stats.max) for h in dbg.hits if h.breakpoint == log] == [(0, 1), (1, 3), (2, 0), (3, 0), (4, 5), (5, 11)]
    assert [(h.node, h.value.tolist()) for h in dbg.hits if h.breakpoint == shot] == [("loop/new", 5), ("loop/new", 11)]


def test_what_cannot_be_a_breakpoint_says_so(sums):
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    for wrong in ({"action": "beep"}, {"hits": 0}, {"hits": True}, {"timestep": -1}):
        with pytest.raises(fl.DebuggerError):
            dbg.breakpoints.add("y", **wrong)
    with pytest.raises(fl.DebuggerError, match="pattern of tensors"):
        dbg.breakpoints.add("loop/*:0")
    with pytest.raises(fl.FetchError):
        dbg.breakpoints.add("nowhere")
    assert not len(dbg.breakpoints)


def test_a_function_that_does_not_say_yes_or_no_is_an_error_that_stops(sums):
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    dbg.breakpoints.add("loop/new:0", when=lambda v: np.stack([v, v]) > 0)
    assert dbg.resume() == fl.Stop("error", "loop/new") and "the condition of breakpoint 1 failed: ValueError" in str(dbg.error)


def test_only_a_condition_on_changes_looks_back(sums):
    assert [condition(text).looks_back for text in ("nan", "max > 3 and changed", "not changed")] == [False, True, True]
    dbg = fl.Debugger(fl.Session(sums), "y", FEEDS)
    dbg.breakpoints.add("loop/new", when="not changed")
    assert dbg.resume().reason == "breakpoint" and dbg.records[dbg.cursor - 1].frame == ("loop", 3)
