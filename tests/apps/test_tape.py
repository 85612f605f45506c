"""Runs that are over, opened again: a tape of the last ones, and the one that failed."""
from __future__ import annotations

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

import flowlab as fl
from flowlab.widgets.magic import open_failed


def training() -> fl.Graph:
    with fl.Graph("line") as g:
        x, y = fl.placeholder((None, 2), name="x"), fl.placeholder((None,), name="y")
        w = fl.variable(np.zeros(2, "float32"), name="w")
        error = fl.dropout(fl.matmul(x, w, name="guess"), 0.1) - y
        fl.optim.SGD(0.1).minimize(fl.mean(error ** 2, name="loss"), name="train")
    return g


def test_any_of_the_last_runs_can_be_done_again_bit_for_bit():
    sess, rng = fl.Session(training(), seed=3), np.random.default_rng(0)
    losses, weights = [], []
    with fl.Tape(sess, last=4) as tape:
        for _ in range(9):
            feeds = {"x": rng.standard_normal((5, 2)), "y": rng.standard_normal(5)}
            weights.append(sess.variables["w"])
            losses.append(sess.run(["loss", "train"], feeds)[0])
            feeds["x"][:] = 0       # the caller goes on with its arrays
    assert len(tape) == 4 and "4 runs" in repr(tape) and "x [5, 2]" in repr(tape[-1])
    for k in range(-4, 0):
        dbg = tape[k].debug()
        assert (dbg.value("w:0") == weights[k]).all() and dbg.resume() == fl.Stop("end") and dbg.results[0] == losses[k] == tape[k].trace().results[0]
    assert sess.store.runs == 9         # looking is no run
    with fl.Tape(sess) as tape2:
        sess.trace("loss", feeds)
        sess.timeline("loss", feeds)
    assert len(tape2) == 2 and sess.store.runs == 11       # they are runs too
    sess.run("loss", {"x": np.zeros((1, 2)), "y": [0.0]})
    assert len(tape) == 4 and sess.tape is None
    with pytest.raises(fl.DebuggerError, match="keeps 4 runs"):
        tape[7]
    with pytest.raises(fl.AttributeValueError):
        fl.Tape(sess, last=0)
    with fl.Tape(sess), pytest.raises(fl.FlowError, match="a tape already"):
        with fl.Tape(sess):
            pass


def failing() -> fl.Graph:
    with fl.Graph("fails") as g:
        x, i = fl.placeholder((None,), name="x"), fl.placeholder((None,), "int64", name="i")
        fl.sum(fl.gather(fl.multiply(x, fl.variable(np.float32(2), name="w"), name="twice"), i, axis=0, name="pick"), name="y")
        fl.identity(x, name="other")
    return g


FEEDS = {"x": [1.0, 2.0], "i": [0, 7]}


def test_the_run_that_failed_opens_at_the_node_that_failed():
    sess = fl.Session(failing())
    with pytest.raises(fl.KernelError) as caught:
        sess.run("y", FEEDS)
    dbg = fl.debug(caught.value)
    assert dbg.ready == ("pick",) and dbg.state("pick") == "error" and dbg.value("twice:0").tolist() == [2, 4] and dbg.value("i:0").tolist() == [0, 7]
    try:
        raise RuntimeError("in somebody's loop") from caught.value
    except RuntimeError as error:
        assert fl.debug(error).ready == ("pick",)
    with pytest.raises(fl.DebuggerError, match="no failed run"):
        fl.debug(ValueError("of another kind"))
    with pytest.raises(fl.FeedError) as refused:
        sess.run("y", {})
    with pytest.raises(fl.DebuggerError, match="the last exception, FeedError, came before anything fired"):
        fl.debug(refused.value)


def test_the_magic_opens_it_in_the_lab(capsys):
    sess = fl.Session(failing())
    sess.variables["w"] = np.float32(5)
    with pytest.raises(fl.KernelError) as caught:
        sess.run("y", FEEDS)
    editor = open_failed(caught.value)
    assert editor.debugger.state("pick") == "error" and editor.document.fetches == ("y",) and editor.debugger.value("twice:0").tolist() == [5, 10]
    shell = InteractiveShell.instance()
    try:
        fl._greet()     # as `import flowlab` does in a notebook
        shell.run_cell("import flowlab as fl, numpy as np\nfrom tests.apps.test_tape import failing, FEEDS\nfl.Session(failing()).run('y', FEEDS)")
        assert shell.run_line_magic("flowlab", "debug").debugger.state("pick") == "error"
        assert shell.run_line_magic("flowlab", "what") is None
    finally:
        InteractiveShell.clear_instance()
    assert "%flowlab debug   opens" in capsys.readouterr().out


def test_training_stops_at_the_first_nan_and_that_step_can_be_stepped():
    with fl.Graph() as g:
        x = fl.placeholder((None,), name="x")
        w = fl.variable(np.float32(1), name="w")
        loss = fl.mean(fl.log(x * w, name="log"), name="loss")
        fl.optim.SGD(0.01).minimize(loss, name="train")
    batches = [{"x": [1.0, 2.0]}] * 5 + [{"x": [1.0, -1.0]}] + [{"x": [1.0, 2.0]}] * 5
    sess = fl.Session(g)
    with np.errstate(all="ignore"):
        history = fl.fit(sess, "train", batches, fetches="loss", progress=False, stop_on_nan=True)
        assert history.steps_done == 6 and history.stopped and "stopped at the first NaN" in repr(history) and sess.tape is None
        dbg = history.past.debug()
        dbg.resume()
        assert dbg.why_nan("loss").node == "log" and dbg.value("x:0").tolist() == [1, -1]
        assert fl.fit(fl.Session(g), "train", batches, fetches="loss", progress=False).steps_done == 11


def test_a_tape_around_a_training_goes_on_hearing_of_its_runs():
    sess = fl.Session(training())
    feeds = {"x": np.ones((5, 2)), "y": np.ones(5)}
    with fl.Tape(sess) as tape:
        fl.fit(sess, "train", [feeds] * 3, stop_on_nan=True, fetches="loss", progress=False)
        sess.run("train", feeds)
    assert len(tape) == 4 and sess.tape is None
