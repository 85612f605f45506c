"""One selection for every view and lab of a session; views that follow a lab or a debugger by themselves, and tell nothing of what somebody is asked."""
from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from pages import Page

import flowlab as fl
from flowlab.io.edits import AddNode
from flowlab.runtime.selection import Selection
from flowlab.widgets import protocol as P

rng = np.random.default_rng(5)
FEEDS = {"image": rng.normal(size=(2, 1, 8, 10)).astype("float32"), "labels": np.array([1, 0])}


def reader() -> fl.Graph:
    """A picture is read column by column, by two layers, the upper one from both ends."""
    with fl.Graph("reader") as g:
        image = fl.placeholder(("batch", 1, 8, 10), name="image")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        h = fl.nn.conv2d(image, 3, 3, padding="same", activation="relu", name="first")
        h = fl.max_pool2d(h, 2, name="pool")
        seq = fl.reshape(fl.transpose(h, (0, 3, 1, 2)), (-1, 5, 12))
        lower, _ = fl.nn.lstm(seq, 6, name="lower")
        out, _ = fl.nn.gru(lower, 4, bidirectional=True, name="upper")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(fl.sum(out, axis=1), 3, name="head"), labels), name="loss")
        fl.gradients(loss, g.trainable_variables)
    return g


@pytest.fixture(scope="module")
def graph():
    return reader()


@pytest.fixture
def session(graph):
    return fl.Session(graph, seed=1)


def test_what_one_view_looks_at_all_look_at(session):
    trace = session.trace("loss", FEEDS)
    lstm, rnn, conv = fl.LSTMView(trace), fl.RNNView(session, "lower"), fl.ConvView(trace)
    lstm.layer = 1
    lstm.t, lstm.unit = 3, 5
    assert (rnn.layer, rnn.t, rnn.unit) == (1, 3, 5) and session.selection.node == "lower/LSTM"
    rnn.t = 1
    assert lstm.t == 1
    # the backward half counts from the end: the same place of the sequence is another of its timesteps
    rnn.layer = 3
    assert rnn._node.name == "upper/backward/GRU" == lstm._node.name and rnn.unit == lstm.unit == 3
    lstm.t = 0
    assert rnn.t == 0 and session.selection.timestep == 4
    lstm.layer = 1
    assert (lstm.t, rnn.t, session.selection.timestep) == (0, 0, 0)
    # the views of pictures have their pixel, and go along with a layer of theirs
    other = fl.ConvView(session)
    conv.layer = 2
    conv.y, conv.x, conv.channel = 2, 4, 1
    assert (other.layer, other.y, other.x, other.channel) == (2, 2, 4, 1) and session.selection.pixel == (2, 4) and lstm.layer == 1
    # Python reads and sets it; what a view does not have leaves it where it is
    session.selection.set(node="lower", timestep=4, unit=2)
    assert (lstm.layer, lstm.t, lstm.unit, rnn.layer, rnn.t, other.channel) == (1, 4, 2, 1, 4, 1)
    session.selection.timestep = 99
    session.selection.node = "loss"
    assert (lstm.t, rnn.t, lstm.layer) == (4, 4, 1)
    for widget in (lstm, rnn, conv, other):
        widget.close()


def test_a_place_of_a_short_sequence_read_from_its_end_is_the_same_in_both_views():
    with fl.Graph("ragged") as g:
        seq, lengths = fl.placeholder((2, 9, 3), name="seq"), fl.placeholder((2,), "int64", name="lengths")
        out, _ = fl.nn.rnn(seq, 4, bidirectional=True, lengths=lengths, name="r")
        fl.sum(out, name="total")
    trace = fl.Session(g, seed=0).trace("total", {"seq": rng.normal(size=(2, 9, 3)), "lengths": [9, 5]})
    lstm, rnn = fl.LSTMView(trace, sample=1), fl.RNNView(trace, "r/backward", sample=1)
    rnn.t = 1
    assert trace.session.selection.timestep == 3 and lstm.layer == 2 and lstm.t == 1
    lstm.layer = 1
    assert lstm.t == 1 == rnn.t and rnn.layer == 1
    lstm.t = 7          # beyond its end
    assert rnn.t == 7
    lstm.close()
    rnn.close()


def test_a_lab_and_the_views_of_its_session_share_one_selection(graph, session):
    ed = fl.Editor(graph, session, FEEDS)
    ed.run()
    lstm, conv = fl.LSTMView(ed, t=2), fl.ConvView(session.trace("loss", FEEDS))
    page = Page(ed)
    page.hello()
    page.say(type="selected", names=["lower/LSTM"])
    assert lstm.layer == 1 and session.selection.node == "lower/LSTM" and ed.selection == ("lower/LSTM",)
    page.say(type="selected", names=["pool"])
    assert conv.layer == 2 and lstm.layer == 1
    page.say(type="selected", names=["lower/kernel"])      # in the scope of a layer
    assert lstm.layer == 1
    page.messages.clear()
    lstm.layer = 2
    assert page.last("select")["name"] == "upper/forward/GRU" and ed.selection == ("upper/forward/GRU",)
    assert sum(m["type"] == "select" for m, _ in page.messages) == 1
    # the lab's own session is another one after an edit, its selection is not
    selection = ed.session.selection
    ed.edit(AddNode("Relu"))
    assert ed.session.selection is selection is session.selection and ed.session is not session
    lstm.close()
    conv.close()


def test_the_timestep_that_is_looked_at_shows_on_the_loop_in_the_lab():
    with fl.Graph("looped") as g:
        seq = fl.placeholder((2, 4, 3), name="seq")
        out, _ = fl.nn.lstm(seq, 5, name="rnn")
        fl.sum(out, name="total")
    loop = fl.expand(g, "rnn/LSTM")
    session = fl.Session(loop, seed=0)
    feeds = {"seq": rng.normal(size=(2, 4, 3))}
    ed, view = fl.Editor(loop, session, feeds), fl.LSTMView(session.trace("total", feeds))
    page = Page(ed)
    page.hello()
    viewed = Page(view)
    assert viewed.say(type="lstm_point", letter="f") == (True, [])
    assert page.last("pointed")["name"] == session.selection.pointed and session.selection.pointed.startswith("rnn/steps/Sigmoid")      # the very node that gives f
    viewed.say(type="lstm_point", letter="")
    assert page.last("pointed")["name"] is None
    view.t = 3
    scope, said = next(iter(page.last("state")["timesteps"].items()))
    assert said == "looking at t = 3"
    while ed.debugger is None or ed.debugger.timestep(scope) is None:
        ed.step()
    assert page.last("state")["timesteps"] == {scope: "t = 0"}      # where the run stands goes first
    view.close()


def test_a_selection_keeps_nobody_alive_and_echoes_nothing():
    chosen, told = Selection(), []
    chosen.listen(lambda changed: told.append(sorted(changed)))

    class Listener:
        def heard(self, changed):
            chosen.set(by=self, node="back again")

    a, b = Listener(), Listener()
    for one in (a, b):
        chosen.listen(one.heard)
    chosen.set(node="x", unit=1)
    assert told == [["node", "unit"], ["node"]] and chosen.node == "back again"
    gone = weakref.ref(a)
    del a, one
    gc.collect()
    assert gone() is None
    for part, wrong in (("unit", -1), ("timestep", True), ("pixel", 3), ("node", 4), ("hat", 1)):
        with pytest.raises(fl.FlowError):
            chosen.set(**{part: wrong})
    chosen.pixel = np.int64(4), 7
    assert repr(chosen) == "Selection(node='back again', unit=1, pixel=(4, 7))"


@pytest.mark.parametrize("kind", [fl.LSTMView, fl.RNNView, fl.ConvView])
def test_views_follow_a_debugger_by_themselves(session, kind):
    dbg = fl.Debugger(session, "loss", FEEDS)
    dbg.resume()
    node = "first" if kind is fl.ConvView else "lower"
    view = kind(dbg, node)
    page = Page(view)
    before = page.hello()
    dbg.back()
    assert page.last("place") == page.last("place") | {"cursor": dbg.cursor, "gone": False}
    page.messages.clear()
    dbg.override("image", np.zeros((2, 1, 8, 10)))
    dbg.resume()
    shown = next((data, buffers) for data, buffers in page.messages if data["type"] == before[0]["type"])
    assert any((a != b).any() for a, b in zip(shown[1], before[1]) if a.shape == b.shape)
    dbg.seek(0)
    assert page.last("place")["gone"]
    dbg.resume()
    assert not page.last("place")["gone"]
    view.close()


@pytest.mark.parametrize("kind", [fl.LSTMView, fl.RNNView, fl.ConvView])
def test_nothing_is_shown_of_what_somebody_is_asked(graph, session, kind):
    ed = fl.Editor(graph, session, FEEDS)
    ed.run()
    node, tensor = ("first", "first/Conv2D:0") if kind is fl.ConvView else ("lower", "lower/LSTM:0")
    view = kind(ed, node)
    page = Page(view)
    page.hello()
    page.messages.clear()
    ed.ask(tensor, "value", at=(0,) * len(ed.graph.tensor(tensor).shape))
    assert {m["type"] for m, _ in page.messages} == {"place"} and page.last("place")["asked"] == tensor
    assert page.say(type="picture", png="data:image/png;base64,AAAA", width=3, height=3) == (True, [])
    ok, answers = page.say(type="hello", version=1)
    assert ok and [m["type"] for m, _ in answers] == ["place"]      # a page that is opened now is shown nothing either
    assert "somebody is asked" in page.refused(type="lstm_ask", layer=0, sample=1)
    with pytest.raises(fl.FlowError, match="somebody is asked"):
        kind(ed, node)
    with pytest.raises(fl.FlowError, match="somebody is asked"):
        kind(ed.debugger, node)
    ed.skip(tensor)
    assert page.last("place")["asked"] == "" and any(m["type"] in ("lstm", "rnn", "conv") for m, _ in page.messages)
    # what comes after a layer is kept back too: what it would be is not worked out
    ed.ask("head/Add:0", "sign", at=(0, 0))
    assert view._run.value(view._run.graph.tensor("head/Add:0")) is None and view._run.rerun is None and page.last("place")["asked"] == ""
    if kind is fl.RNNView:
        assert view._losses() == [] and view._guesser() is None
    view.close()


def test_what_python_chose_before_there_was_a_page_and_a_scope_are_shown_in_the_lab():
    with fl.Graph() as g:
        fl.nn.dense(fl.nn.lstm(fl.placeholder(("batch", "time", 2), name="x"), 3, name="lstm")[0], 2, name="out")
    sess = fl.Session(g)
    editor = fl.Editor(g, session=sess)
    sess.selection.set(node="lstm/LSTM")
    heard = []
    editor.send = lambda content, buffers=None: heard.append(content)
    editor._on_message(editor, {"type": "hello", "seq": 1, "version": P.VERSION}, [])
    assert [m["name"] for m in heard if m["type"] == "select"] == ["lstm/LSTM"]
    sess.selection.set(node="out")
    assert [m["name"] for m in heard if m["type"] == "select"][-1] == "out/Add"
    sess.selection.set(node="lstm")
    assert [m["name"] for m in heard if m["type"] == "select"][-1] == "lstm/LSTM"
