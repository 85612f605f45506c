"""A trace in a file: opened again it says the same, and can be run again."""
from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save

import flowlab as fl
from flowlab.trace.trace import record


def looped() -> fl.Graph:
    with fl.Graph("looped") as g:
        x = fl.placeholder(("batch", 4, 3), name="x")
        w = fl.variable(fl.init.normal((3, 3)), name="w")
        with fl.scan(x, time_axis=1, name="rnn") as step:
            h = step.state("h", init=fl.zeros_like(x[:, 0]))
            new = fl.tanh(fl.dropout(step.input, 0.2) + h @ w, name="new")
            step.update(h, new)
            step.output(new > 0)
        loss = fl.mean(fl.square(step.states["h"]), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    return g


FEEDS = {"x": np.random.default_rng(0).standard_normal((2, 4, 3))}


@pytest.fixture
def saved(tmp_path):
    sess = fl.Session(looped(), seed=5)
    sess.run("train", FEEDS)
    trace = sess.trace({"loss": "loss", "all": ["train", ("rnn/Scan:0",)]}, FEEDS)
    trace.save(tmp_path / "run.trace")
    return trace, tmp_path / "run.trace"


def test_it_opens_without_the_session_and_says_the_same(saved):
    trace, path = saved
    again = fl.load_trace(path)
    assert again.graph.same_graph(trace.graph) and fl.compare(trace, again).equal and len(again) == len(trace)
    for a, b in zip(trace.events, again.events):
        assert (a.node, a.frame, a.phase, a.key, a.top, a.start, a.duration) == (b.node, b.frame, b.phase, b.key, b.top, b.start, b.duration)
    assert again.results["loss"] == trace.results["loss"] and again.results["all"][0] is None
    assert (again.results["all"][1][0] == trace.results["all"][1][0]).all() and again.results["all"][1][0].dtype == bool
    assert (again.value("rnn/new:0", at=("rnn", 2)) == trace.value("rnn/new:0", at=("rnn", 2))).all() and again.stats("loss") == trace.stats("loss")
    assert (again.value("w:0") == trace.value("w:0")).all() and (again.value("x:0") == trace.value("x:0")).all()


def test_it_can_be_run_again_with_other_feeds(saved):
    trace, path = saved
    other = {"x": np.zeros((2, 4, 3))}
    assert fl.compare(trace.rerun({}), fl.load_trace(path).rerun({})).equal       # the same draws too
    assert fl.load_trace(path).rerun(other).results["loss"] == trace.rerun(other).results["loss"]


def test_values_that_were_let_go_are_in_the_file(tmp_path):
    sess = fl.Session(looped(), seed=5)
    lean = record(sess, "loss", FEEDS, budget=64)
    full = record(sess, "loss", FEEDS, snapshot=lean.moment[0], run=lean.moment[1])
    lean.save(tmp_path / "lean.trace")
    assert fl.compare(full, fl.load_trace(tmp_path / "lean.trace")).equal


def test_costs_tell_the_slowest_first(saved):
    trace, _ = saved
    rows = trace.costs()
    assert {r[0] for r in rows} == {e.top for e in trace.events} and [r[2] for r in rows] == sorted((r[2] for r in rows), reverse=True)
    scan = next(r for r in rows if r[0] == "rnn/Scan")
    assert scan[1] > 8 and scan[3] > 0


@pytest.mark.parametrize("change", [
    lambda h: h.update(version=9), lambda h: h.pop("events"), lambda h: h.update(graph="{}"), lambda h: h["events"][0].__setitem__(0, "nobody"),
    lambda h: h["events"][0].__setitem__(7, "x"), lambda h: h["events"][3].__setitem__(8, [True] * 9), lambda h: h.update(fetches={"list": ["nothing"]}),
    lambda h: h.update(seed="s"), lambda h: h["events"][1].pop(), lambda h: h.update(fetches=3),
])
def test_a_file_that_is_not_sound_is_refused(saved, tmp_path, change):
    from safetensors import safe_open
    with safe_open(saved[1], "numpy") as file:
        head, tensors = json.loads(file.metadata()["flowlab_trace"]), {k: file.get_tensor(k) for k in file.keys()}
    change(head)
    (tmp_path / "bad").write_bytes(save(tensors, metadata={"flowlab_trace": json.dumps(head)}))
    with pytest.raises(fl.FlowError):
        fl.load_trace(tmp_path / "bad")


def test_a_file_that_is_no_trace_is_refused(tmp_path):
    (tmp_path / "text").write_text("hello")
    fl.Session(looped()).save(tmp_path / "weights")
    for name, said in (("text", "cannot be read as a trace"), ("weights", "is no trace"), ("nowhere", "there is no file")):
        with pytest.raises(fl.DocumentError, match=said):
            fl.load_trace(tmp_path / name)


def test_a_trace_over_several_devices_comes_back_with_its_copies(tmp_path):
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        with fl.device("cpu:1"):
            y = fl.exp(x, name="y")
        z = fl.tanh(y, name="z")
    trace = fl.Session(g, cpus=2).trace(z, {x: [1.0, 2.0]})
    trace.save(tmp_path / "run.trace")
    again = fl.load_trace(tmp_path / "run.trace")
    assert [(e.node, e.device) for e in again.events] == [(e.node, e.device) for e in trace.events] and len(again) == 4
    assert fl.compare(trace, again).equal and fl.compare(again, again.rerun({})).equal
