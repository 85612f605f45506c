"""A branch beside a run, and two runs compared."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl


def network() -> fl.Graph:
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 4, 3), name="x")
        with fl.scan(x, time_axis=1, name="rnn") as step:
            h = step.state("h", init=fl.zeros_like(x[:, 0]))
            new = fl.tanh(step.input + h, name="new")
            step.update(h, new)
        w = fl.variable(np.float32([[1.0], [2.0], [3.0]]), name="w")
        loss = fl.mean(fl.square(fl.matmul(step.states["h"], w, name="out"), name="sq"), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    return g


FEEDS = {"x": np.random.default_rng(0).standard_normal((2, 4, 3))}


def test_a_branch_goes_its_own_way_and_never_commits():
    sess = fl.Session(network())
    dbg = fl.Debugger(sess, ["loss", "train"], FEEDS)
    dbg.run_to("out")
    other = dbg.branch()
    assert other.cursor == dbg.cursor and other.ready == dbg.ready and (other.value("rnn/new:0") == dbg.value("rnn/new:0")).all()
    other.override("w:0", np.zeros((3, 1)))
    assert other.resume() == fl.Stop("end") and other.results[0] == 0 and other.done and dbg.cursor < other.cursor
    assert sess.variables["w"].tolist() == [[1], [2], [3]] and sess.store.runs == 0
    assert dbg.resume() == fl.Stop("end") and sess.store.runs == 1 and sess.variables["w"].tolist() != [[1], [2], [3]]
    assert other.back() is not None and other.resume() == fl.Stop("end")      # though the session has run since
    inner = dbg.branch()
    inner.override("rnn/new:0", np.ones((2, 3)))
    inner.resume()
    assert inner.frame == () and inner.results[0] == 36 and dbg.results[0] != 36


def test_the_first_difference_is_named_with_its_place_and_size():
    dbg = fl.Debugger(fl.Session(network()), "loss", FEEDS)
    dbg.resume()
    other = dbg.branch()
    other.override("rnn/new:0", dbg.value("rnn/new:0"))
    other.resume()
    found = fl.compare(dbg, other)
    assert (found.first.tensor, found.first.frame) == ("rnn/new:0", ("rnn", 0))     # where it was overridden, not where that first mattered
    assert not found.equal and {d.tensor for d in found} <= {"rnn/new:0", "rnn/Add:0", "rnn/Scan:0", "out:0", "sq:0", "loss:0"}
    assert "outputs differ" in repr(found) and "First: rnn/" in repr(found)
    third = dbg.branch()
    third.override("out:0", dbg.value("out:0") + 1)
    third.resume()
    assert [d.tensor for d in fl.compare(dbg, third)] == ["out:0", "sq:0", "loss:0"] and fl.compare(third, dbg).first.a == pytest.approx(fl.compare(third, dbg).first.b + 1)
    assert fl.compare(dbg, dbg.branch()).equal and len(fl.compare(dbg, dbg.branch())) == 0


def test_traces_of_two_versions_of_a_graph_compare_by_name():
    def version(gain: float, extra: bool):
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            a = fl.multiply(fl.sin(x, name="a"), gain, name="b")
            fl.sum(fl.abs(a, name="c") if extra else a, name="y")
        return fl.Session(g).trace("y", {"x": [1.0, 2.0, -3.0]})
    found = fl.compare(version(1.0, False), version(2.0, True))
    assert (found.first.tensor, found.first.at, found.only_a, found.only_b) == ("b:0", (1,), (), ("c",)) and found.first.relative == pytest.approx(1.0)
    assert fl.compare(version(1.0, False), version(1.0 + 1e-6, False), rtol=1e-4).equal
    assert [d.tensor for d in fl.compare(version(1.0, False), version(1.5, False)).by_norm()][0] in ("b:0", "y:0")


def test_nan_equals_nan_and_differs_from_numbers_and_shapes_are_told():
    with fl.Graph() as g:
        fl.log(fl.placeholder((None,), name="x"), name="y")
    sess = fl.Session(g)
    with np.errstate(all="ignore"):
        a, b, c = (sess.trace("y", {"x": v}) for v in ([-1.0, 2.0], [-1.0, 2.0], [3.0, 2.0]))
        assert fl.compare(a, b).equal
        first = fl.compare(a, c).first
        assert first.at == (0,) and np.isnan(first.a) and first.b == pytest.approx(np.log(3))
        assert "(2,) and (1,)" in repr(fl.compare(a, sess.trace("y", {"x": [1.0]})))
    with pytest.raises(fl.DebuggerError):
        fl.compare(a, 3)


def test_whole_numbers_are_compared_as_they_are():
    with fl.Graph() as g:
        x = fl.placeholder((2,), "int64", name="x")
        y = fl.add(x, 1, name="y")
    sess = fl.Session(g)
    a, b = sess.trace(y, {x: [2**53 - 1, 5]}), sess.trace(y, {x: [2**53, 5]})
    first = fl.compare(a, b).first
    assert (first.tensor, first.at, first.largest, first.a, first.b) == ("y:0", (0,), 1.0, 2**53, 2**53 + 1)
    assert fl.compare(a, b, rtol=1e-12).equal and fl.compare(a, a).equal


def test_a_run_compares_with_arrays_by_name_from_elsewhere():
    rng = np.random.default_rng(3)
    w, v, x = (rng.standard_normal(s).astype("float32") for s in ((4, 5), (5, 3), (2, 4)))
    with fl.Graph() as g:
        a = fl.placeholder(("batch", 4), name="x")
        with fl.name_scope("block"), fl.name_scope("block.0"):
            h = fl.relu(fl.matmul(a, fl.variable(w, name="kernel"), name="product"), name="out")
        y = fl.matmul(h, fl.variable(v, name="v"), name="y")
        fl.gradients(fl.sum(y, name="loss"), g.trainable_variables)     # what reads a scope backwards is no output of it
    trace = fl.Session(g).trace("loss", {"x": x})
    product = x.astype("float64") @ w
    hidden = np.maximum(product, 0)
    theirs = {"y": hidden @ v, "block.0": hidden, "block/block.0/product:0": product, "x": x}
    same = fl.compare(trace, theirs, rtol=1e-5, atol=1e-6)
    assert same.equal and (same.compared, same.first) == (4, None)

    off = hidden.copy()
    off[1, 2] += 0.5
    found = fl.compare(trace, {"y": off @ v, "elsewhere": v, "block.0": off, "block/block.0/product:0": product}, rtol=1e-5, atol=1e-6)
    assert [d.tensor for d in found] == ["block/block.0/out:0", "y:0"] and found.only_b == ("elsewhere",)     # in the order of firing, however they are given
    assert found.first.at == (1, 2) and found.first.largest == pytest.approx(0.5, rel=1e-5) and found.first.relative == pytest.approx(0.5 / np.linalg.norm(hidden), rel=1e-5)
    assert [(d.tensor, d.kind) for d in fl.compare(trace, {"block": hidden.T, "x": x + 1})] == [("x:0", "value"), ("block/block.0/out:0", "shape")]

    dbg = fl.Debugger(fl.Session(g), "loss", {"x": x})
    dbg.run_to("y")
    so_far = fl.compare(dbg, {"y": hidden @ v, "block": hidden}, rtol=1e-5, atol=1e-6)
    assert so_far.only_b == ("y",) and so_far.first is None and so_far.compared == 1


def test_arrays_of_a_loop_lie_along_axis_0():
    dbg = fl.Debugger(fl.Session(network()), "loss", FEEDS)
    dbg.resume()
    of_loop = np.stack([e.outputs[0] for e in dbg.records if e.node == "rnn/new"])
    assert len(of_loop) > 1 and fl.compare(dbg, {"rnn/new": of_loop}).equal and fl.compare(dbg, {"rnn/new": of_loop}).compared == len(of_loop)
    of_loop[1] += 1
    assert fl.compare(dbg, {"rnn/new": of_loop}).first.frame == ("rnn", 1)
    assert fl.compare(dbg, {"rnn/new": of_loop[1:]}).first.kind == "shape"


def test_names_that_stand_for_nothing_or_for_several_tensors_are_told():
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        with fl.name_scope("both"):
            a, b = fl.sin(x, name="a"), fl.cos(x, name="b")
        fl.add(a, b, name="sum")
    trace = fl.Session(g).trace("sum", {"x": [1.0, 2.0]})
    with pytest.raises(fl.DebuggerError, match="2 tensors that are read outside it: both/a:0, both/b:0"):
        fl.compare(trace, {"both": [0.0, 0.0]})
    with pytest.raises(fl.DebuggerError, match="sun.*") as error:
        fl.compare(trace, {"sun": [0.0, 0.0]})
    assert "sum" in error.value.hint
    with pytest.raises(fl.FeedError, match="no array of numbers"):
        fl.compare(trace, {"sum": ["a", "b"]})
