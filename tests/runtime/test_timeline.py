"""A run's timeline: every firing once, on a monotonic clock, with the device and thread that fired it."""
from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

import flowlab as fl
from flowlab.runtime.timeline import Timeline


def training():
    with fl.Graph("net") as g:
        x = fl.placeholder((None, 5), name="x")
        towers = [fl.nn.dense(fl.nn.dense(x, 4, "tanh", name=f"low_{k}"), 3, name=f"high_{k}") for k in range(3)]
        loss = fl.mean(fl.square(towers[0] + towers[1] * towers[2]), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    return g


XS = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def lines(kind):
    """A session, the timeline of one training step in it, and the step's loss."""
    options = {"executor": "parallel", "workers": 3} if kind in ("parallel", "measured") else {}
    sess = fl.Session(training(), seed=1, **options)
    if kind == "parallel":
        sess.parallel.worth = 0.0
    if kind == "trace":
        return sess, Timeline.of(sess.trace(["loss", "train"], {"x": XS}))
    if kind == "debugger":
        dbg = fl.Debugger(sess, ["loss", "train"], {"x": XS})
        dbg.resume()
        return sess, Timeline.of(dbg)
    return sess, sess.timeline(["loss", "train"], {"x": XS})


KINDS = ("compiled", "measured", "parallel", "trace", "debugger")


@pytest.mark.parametrize("kind", KINDS)
def test_every_firing_has_its_row_and_the_run_is_a_run(kind):
    sess, line = lines(kind)
    with sess:
        plain = fl.Session(training(), seed=1)
        loss, nothing = plain.run(["loss", "train"], {"x": XS})
        assert line.results[0].tobytes() == loss.tobytes() and line.results[1] is nothing is None
        assert all(v.tobytes() == plain.variables[n].tobytes() for n, v in sess.variables.items()) and sess.store.runs == 1
        plan = plain.plan((plain.graph.tensor("loss"), plain.graph.node("train")), (plain.graph.tensor("x"),))
        assert sorted(r.node for r in line) == sorted(s.node.name for s in plan.steps) and len(line) == len(plan.steps)
        assert {r.phase for r in line} == {"forward", "backward", "update"}
        for r in line.rows:
            node = plain.graph.node(r.node)
            assert (r.op, r.phase, r.device) == (node.op.name, node.phase, "cpu:0") and r.start >= 0 and r.duration >= 0
        assert [r.start for r in line] == sorted(r.start for r in line)


@pytest.mark.parametrize("kind", KINDS)
def test_no_node_begins_before_its_inputs_end_and_no_thread_fires_two_at_once(kind):
    sess, line = lines(kind)
    with sess:
        rows = {r.node: r for r in line}
        for name, r in rows.items():
            node = sess.graph.node(name)
            for before in (*(t.node for t in node.inputs), *node.control_inputs):
                if before.name in rows:
                    assert rows[before.name].start + rows[before.name].duration <= r.start + 1e-9
        for lane in line.lanes:
            mine = [r for r in line if (r.device, r.thread) == lane]
            assert all(a.start + a.duration <= b.start + 1e-9 for a, b in zip(mine, mine[1:]))


def test_a_parallel_run_shows_its_threads():
    meeting = threading.Barrier(2, timeout=20)
    from flowlab.core.op import REGISTRY

    @fl.op(type="TestMeet", function="test_meet", infer=lambda x, **_: x, category="math")
    def meet(xp, x):
        """Wait until two are here."""
        meeting.wait()
        time.sleep(0.01)
        return x
    try:
        with fl.Graph() as g:
            x = fl.placeholder((2,), name="x")
            y = [meet(x, name="a"), meet(x, name="b")]
        with fl.Session(g, executor="parallel", workers=2) as sess:
            sess.parallel.worth = 0.0
            line = sess.timeline(y, {x: [1, 2]})
    finally:
        del REGISTRY["TestMeet"]
    a, b = line.rows
    assert line.lanes == (("cpu:0", a.thread), ("cpu:0", b.thread)) and {a.thread, b.thread} == {"MainThread", "flowlab cpu:0/1"}
    assert b.start < a.start + a.duration, "they overlap"
    assert line.seconds < a.duration + b.duration and "2 threads" in repr(line)


@pytest.mark.parametrize("kind", KINDS)
def test_chrome_gets_complete_events_in_microseconds_with_names_for_devices_and_threads(kind, tmp_path):
    sess, line = lines(kind)
    sess.__exit__()
    path = tmp_path / "run.json"
    made = line.to_chrome(path)
    assert json.loads(path.read_text()) == json.loads(json.dumps(made))
    named = {(e["pid"], e["tid"]): e["args"]["name"] for e in made["traceEvents"] if e["ph"] == "M" and e["name"] == "thread_name"}
    devices = {e["pid"]: e["args"]["name"] for e in made["traceEvents"] if e["ph"] == "M" and e["name"] == "process_name"}
    whole = [e for e in made["traceEvents"] if e["ph"] == "X"]
    assert len(whole) == len(line) and devices == {1: "cpu:0"}
    for event, r in zip(whole, line):
        assert event["name"] == r.node and event["cat"] == r.phase and named[event["pid"], event["tid"]] == r.thread
        assert event["ts"] == pytest.approx(r.start * 1e6) and event["dur"] == pytest.approx(r.duration * 1e6)
        assert all(isinstance(event[k], int) for k in ("pid", "tid")) and event["dur"] >= 0
    assert {e["ph"] for e in made["traceEvents"]} == {"X", "M"} and made["displayTimeUnit"] == "ms"


def test_rows_are_plain_data_for_a_page():
    _, line = lines("compiled")
    rows = json.loads(json.dumps(line.data()))
    assert [r["node"] for r in rows] == [r.node for r in line] and set(rows[0]) == {"index", "node", "op", "phase", "device", "thread", "start", "duration", "frame"}


@pytest.mark.parametrize("kind", KINDS)
def test_plots_draws_a_bar_for_every_row(kind):
    pytest.importorskip("plotly")
    sess, line = lines(kind)
    sess.__exit__()
    figure = fl.plots.timeline(line)
    assert sum(len(d.x) for d in figure.data) == len(line) and [d.name.split()[1].strip(",") for d in figure.data] == ["forward", "backward", "update"]
    if len(line.lanes) == 1:
        assert [set(d.y) for d in figure.data] == [{"forward"}, {"backward"}, {"update"}]
    else:
        assert {y for d in figure.data for y in d.y} == {r.thread for r in line}
        assert len({(d.marker.color, d.marker.pattern.shape) for d in figure.data}) == 3


def test_firings_inside_a_loop_have_rows_with_their_timestep():
    with fl.Graph() as g:
        seq = fl.placeholder((2, 3, 4), name="seq")
        with fl.scan(seq, time_axis=1, name="rnn") as step:
            prev = step.state("h", init=np.zeros((2, 4), "float32"))
            h = fl.tanh(step.input + prev, name="Tanh")
            step.update(prev, h)
            step.output(h)
        fl.sum(step.outputs[0], name="total")
    trace = fl.Session(g).trace("total", {"seq": np.ones((2, 3, 4))})
    inner = [r for r in Timeline.of(trace) if r.node == "rnn/Tanh"]
    assert [r.op for r in inner] == ["Tanh"] * 3 and len({r.frame for r in inner}) == 3
    named = [e["args"].get("frame") for e in Timeline.of(trace).to_chrome()["traceEvents"] if e["name"] == "rnn/Tanh"]
    assert named == ["rnn/0", "rnn/1", "rnn/2"]


def test_a_debugger_part_of_the_way_shows_what_it_fired():
    sess = fl.Session(training(), seed=1)
    dbg = fl.Debugger(sess, ["loss", "train"], {"x": XS})
    dbg.step(), dbg.step(), dbg.step()
    line = Timeline.of(dbg)
    assert len(line) == 3 and line.results is None and not sess.store.runs


def test_what_has_no_firings_is_refused():
    with pytest.raises(fl.FlowError, match="a dict has no firings"):
        Timeline.of({})
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
    line = fl.Session(g).timeline(x, {x: [1, 2]})
    assert len(line) == 0 and line.results.tolist() == [1, 2] and line.seconds == 0
    assert [e["ph"] for e in line.to_chrome()["traceEvents"]] == []
    pytest.importorskip("plotly")
    with pytest.raises(fl.FlowError, match="this timeline holds no firing"):
        fl.plots.timeline(line)


def test_an_error_in_a_timed_run_names_its_node_and_commits_nothing():
    with fl.Graph() as g:
        x = fl.placeholder((None,), "int64", name="x")
        table = fl.variable(np.ones((3, 2)), name="table")
        rows = fl.gather(table, x, name="rows")
        fl.assign(table, table * 2, name="grow")
    for options in ({}, {"executor": "parallel", "workers": 2}):
        with fl.Session(g, **options) as sess:
            with pytest.raises(fl.KernelError, match="rows"):
                sess.timeline(["grow", rows], {x: [7]})
            assert sess.variables["table"].max() == 1 and sess.store.runs == 0
