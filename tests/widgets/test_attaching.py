"""A training in the lab: any of its steps opened as it was, the next one caught before it runs."""
from __future__ import annotations

import threading

import numpy as np
import pytest

import flowlab as fl
from flowlab.widgets import protocol as P

XS = np.random.default_rng(0).standard_normal((24, 2)).astype("float32")
DATA = {"x": XS, "y": (XS @ np.float32([2, -1])).astype("float32")}


def line(noise: float = 0.1) -> fl.Graph:
    with fl.Graph("line") as g:
        x, y = fl.placeholder(("batch", 2), name="x"), fl.placeholder(("batch",), name="y")
        w = fl.variable(np.zeros(2, "float32"), name="w")
        error = fl.dropout(fl.matmul(x, w, name="guess"), noise) - y
        fl.optim.Adam(0.1).minimize(fl.mean(error ** 2, name="loss"), name="train")
    return g


class Page:
    """What a page would hear and send."""

    def __init__(self, widget):
        self.widget, self.heard, self.seq = widget, [], 0
        widget.send = lambda content, buffers=None: self.heard.append((content, buffers))
        self.send(type="hello", version=P.VERSION)

    def send(self, **content):
        self.seq += 1
        self.widget._on_message(None, {**content, "seq": self.seq}, []) if hasattr(self.widget, "_on_message") else self.widget._heard(None, {**content, "seq": self.seq}, [])
        return next(m["ok"] for m, _ in reversed(self.heard) if m["type"] == "done" and m["seq"] == self.seq)

    def last(self, kind):
        return next(m for m, _ in reversed(self.heard) if m["type"] == kind)


def trained(**options):
    sess = fl.Session(line(), seed=7)
    run = fl.fit(sess, "train", fl.data.Pipeline(DATA).shuffle(seed=1).batch(8), epochs=3, fetches="loss", background=True, **options)
    run.wait()
    return sess, run


def test_any_kept_step_opens_in_the_past_with_the_numbers_it_had():
    sess, run = trained(keep=4)
    assert run.state == "done" and run.step == 9 and run.kept == (0, 2, 4, 5, 6, 7, 8)
    ed = fl.Editor(sess.graph, feeds={"x": XS[:1], "y": [0.0]})
    page = Page(ed)
    ed.attach(run)
    assert page.last("training")["kept"] == [0, 2, 4, 5, 6, 7, 8] and page.last("training")["values"].keys() == {"loss"}
    for step in (5, 2, 8):
        assert page.send(type="train", name="open", step=step)
        state = page.last("state")
        assert state["mode"] == "past" and state["cursor"] == 0 and state["length"] > 5 and page.last("training")["opened"] == step
        assert ed.debugger.value("x:0").shape == (8, 2) and (ed.debugger.value("w:0") == run.past(step).debug().value("w:0")).all()
        ed._go(lambda dbg: dbg.seek(dbg.length))
        assert float(ed.debugger.value("loss:0")) == pytest.approx(run.history.steps["loss"][step], rel=0, abs=0)     # the dropped units too
    assert sess.store.runs == 9 and len(ed._undo) == 1      # the training saw nothing of it; all that looking is one step of undo
    assert ed.undo() and ed.feeds["x"].shape == (1, 2)
    ed.open_step(-1)
    assert ed.debugger.cursor == 0
    assert not page.send(type="train", name="open", step=1) and "step 1 is not kept" in page.last("notice")["text"].lower() and "0, 2, 4 to 8" in page.last("notice")["hint"]


def test_a_canvas_that_holds_another_graph_takes_the_trainings_and_undo_gives_it_back():
    _, run = trained(keep=2)
    with fl.Graph("other") as other:
        fl.square(fl.constant(2.0, name="two"), name="four")
    ed = fl.Editor(other)
    ed.attach(run)
    ed.open_step(8)
    assert "loss" in ed.document.nodes and ed.debugger.length > 5
    ed.undo()
    assert list(ed.document.nodes) == ["two", "four"]
    ed.detach()
    with pytest.raises(fl.DebuggerError, match="no training is attached"):
        ed.open_step(8)
    with pytest.raises(fl.FlowError, match="Session is no training"):
        ed.attach(ed.session)


def test_the_next_step_is_caught_before_it_runs_and_training_waits_for_go_on():
    sess = fl.Session(line(), seed=7)
    run = fl.fit(sess, "train", fl.data.Pipeline(DATA).batch(8), epochs=100_000, fetches="loss", background=True)
    try:
        ed = fl.Editor(sess.graph)
        ed.attach(run)
        ed.debug_next()
        caught = run.caught[0]
        assert run.state == "paused" and run.step == caught and ed.debugger.cursor == 0 and not ed.debugger.length
        before = sess.variables["w"]
        assert (ed.debugger.value("w:0") == before).all()
        ed.run()
        assert run.step == caught and (sess.variables["w"] == before).all()        # the lab's run is the lab's own
        here = float(ed.debugger.value("loss:0"))
        run.go_on()
        ed.debug_next(wait=False)
        assert run.history.steps["loss"][caught] == here and run.caught[0] > caught
    finally:
        run.stop()
    assert run.wait().stopped == "by hand" and run.state == "stopped"
    with pytest.raises(fl.DebuggerError, match="over"):
        run.ask_next()


def test_the_page_asks_for_the_next_step_and_opens_it_when_it_is_told():
    sess = fl.Session(line(), seed=7)
    run = fl.fit(sess, "train", fl.data.Pipeline(DATA).batch(8).prefetch(2), epochs=100_000, fetches="loss", background=True)
    try:
        ed = fl.Editor(sess.graph)
        page = Page(ed)
        ed.attach(run)
        waits = threading.Event()
        run.listen(lambda r, what: waits.set() if r.state == "paused" else None)    # after the lab was told, in the same thread
        assert page.send(type="train", name="debug_next") and waits.wait(20)
        told = page.last("training")
        assert told["caught"] == run.step and told["queue"][1] == 2
        assert page.send(type="train", name="open", step=told["caught"]) and page.last("state")["cursor"] == 0
        assert page.send(type="train", name="stop_when", text="mean > -1") and page.last("training")["stop_when"] == "mean > -1"
        assert not page.send(type="train", name="stop_when", text="mean >") and "cannot be read" in page.last("notice")["text"]
        assert page.send(type="train", name="go_on")
        run.wait(20)
        assert run.history.stopped == "condition" and run.history.past is run.past(-1) and page.last("training")["state"] == "stopped"
        assert not page.send(type="train", name="what")
    finally:
        run.stop()
        run.wait(20)
