"""The lab's kernel side, spoken to as the page speaks to it."""
from __future__ import annotations

import json
import os
import random
from pathlib import Path

import nbformat
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import flowlab as fl
from flowlab.io.document import Document, document_of, from_json
from flowlab.io.edits import (
    AddNode,
    Connect,
    Disconnect,
    MarkFetch,
    Move,
    RemoveNodes,
    Rename,
    SetAttr,
    SetFeed,
    SetTitle,
    apply,
    edit_to_json,
)
from flowlab.widgets import protocol as P, saved
from flowlab.widgets.editor import Editor
from flowlab.widgets.files import file_name


class Page:
    """What a page does: it says hello, sends numbered messages, and keeps what it is told."""

    def __init__(self, editor: Editor):
        self.editor, self.seq, self.heard = editor, 0, []
        editor.send = lambda content, buffers=None: self.heard.append((json.loads(json.dumps(content, allow_nan=False)), buffers or []))
        self.states, self.thumbs = {}, {}
        self.say("hello", version=P.VERSION)

    def say(self, type: str, **fields) -> bool:
        """Send a message and take in the answer; was it done?"""
        self.seq += 1
        start = len(self.heard)
        self.editor._on_message(self.editor, {"type": type, "seq": self.seq, **fields}, [])
        answer = self.heard[start:]
        assert [m["seq"] for m, _ in answer if m["type"] == "done"] == [self.seq] and answer[-1][0]["type"] == "done"
        self.answer = answer
        for message, buffers in answer:
            if message["type"] == "state":
                self._take(message, buffers)
        return answer[-1][0]["ok"]

    def _take(self, message, buffers):
        if message["full"]:
            self.states, self.thumbs = {}, {}
        self.states.update(message["states"])
        self.states = {k: v for k, v in self.states.items() if v != "idle"}
        for tensor in message["gone"]:
            del self.thumbs[tensor]
        cells = np.frombuffer(buffers[0], "<f4") if buffers else np.zeros(0, "float32")
        for t in message["thumbs"]:
            self.thumbs[t["tensor"]] = cells[t["offset"]:t["offset"] + t["rows"] * t["cols"]].reshape(t["rows"], t["cols"])
        self.run = message

    def edit(self, *edits) -> bool:
        return self.say("edit", edits=[edit_to_json(e) for e in edits])

    def press(self, name: str, **fields) -> bool:
        return self.say("command", name=name, **fields)

    def last(self, type: str):
        return next((m for m, _ in reversed(self.heard) if m["type"] == type), None)

    @property
    def scene(self):
        return self.last("scene")

    def alert(self) -> str:
        """The alert of the last answer."""
        found = [f"{m['text']} {m['hint']}" for m, _ in self.answer if m["type"] == "notice" and m["level"] == "alert"]
        assert len(found) == 1, self.answer
        return found[0]

    def fired(self) -> set[str]:
        """Counted nodes that are done."""
        sources = {n["name"] for n in self.scene["nodes"] if n["source"]}
        return {k for k, v in self.states.items() if v == "done"} - sources


BUILD = [
    AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch, 3"), AddNode("Variable", "W"), SetAttr("W", "initializer", "[[1, 2], [3, 4], [5, 6]]"), AddNode("Placeholder", "y"),
    SetAttr("y", "shape", "batch, 2"), AddNode("Variable", "b"), SetAttr("b", "shape", "2"), AddNode("MatMul"), Connect("x:0", "MatMul:a"), Connect("W:0", "MatMul:b"), AddNode("Add"),
    Connect("MatMul:0", "Add:a"), Connect("b:0", "Add:b"), AddNode("Subtract"), Connect("Add:0", "Subtract:a"), Connect("y:0", "Subtract:b"), AddNode("Square"), Connect("Subtract:0", "Square:x"),
    AddNode("Mean"), Connect("Square:0", "Mean:x"), Rename("Mean", "loss"),
]
X, Y = np.float32([[1, 2, 3], [4, 5, 6]]), np.float32([[1, 2], [3, 4]])
W = np.float32([[1, 2], [3, 4], [5, 6]])


def python_graph() -> fl.Graph:
    with fl.Graph("python") as g:
        x, y = fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 2), name="y")
        fl.mean((x @ fl.variable(W, name="W") + fl.variable(np.zeros(2, "float32"), name="b") - y) ** 2, name="loss")
    return g


@pytest.fixture
def page() -> Page:
    page = Page(Editor())
    for edit in BUILD:
        assert page.edit(edit)
    assert page.edit(SetFeed("x", json.dumps(X.tolist()))) and page.edit(SetFeed("y", json.dumps(Y.tolist())))
    return page


def test_an_empty_canvas_says_what_can_be_put_on_it():
    page = Page(Editor())
    assert [m["type"] for m, _ in page.heard] == ["palette", "scene", "file", "state", "done"]
    assert page.scene["nodes"] == [] and page.scene["undo"] is None and page.run["mode"] == "edit"
    assert page.press("run") is False and "nothing to run" in page.alert()


def test_a_graph_built_by_hand_is_the_graph_built_in_python(page):
    assert page.editor.document.same_graph(python_graph()) and page.editor.diagnostics == ()


def test_run_gives_numpys_number(page):
    assert page.press("run")
    expected = np.mean((X @ W - Y) ** 2)
    assert page.editor.results["loss"] == pytest.approx(expected, rel=1e-6)
    assert page.thumbs["loss:0"][0, 0] == pytest.approx(expected, rel=1e-6)
    assert page.run["done"] and page.run["cursor"] == page.run["total"] == 5 and page.run["mode"] == "paused"
    assert page.run["ticks"] == "fffff" and page.run["names"] == ["MatMul", "Add", "Subtract", "Square", "loss"]


def test_three_steps_and_three_steps_back(page):
    start, thumbs = dict(page.states), set(page.thumbs)
    assert page.fired() == set() and page.states["MatMul"] == "ready"
    for name in ("MatMul", "Add", "Subtract"):
        assert page.press("step") and page.run["fired"] == [name] and page.run["last"] == name
    assert page.fired() == {"MatMul", "Add", "Subtract"} and page.run["next"] == "Square"
    assert np.array_equal(page.thumbs["Subtract:0"], X @ W - Y)
    for _ in range(3):
        assert page.press("back")
    assert page.states == start and set(page.thumbs) == thumbs and page.run["cursor"] == 0 and page.run["length"] == 3 and page.run["mode"] == "past"
    assert page.press("back") and page.run["cursor"] == 0


def test_the_timeline_goes_anywhere_on_the_record(page):
    page.press("run")
    assert page.press("seek", cursor=2) and page.run["mode"] == "past" and page.fired() == {"MatMul", "Add"} and "Square:0" not in page.thumbs
    assert page.press("resume") and page.run["cursor"] == 5 and page.run["mode"] == "paused"
    assert page.press("seek", cursor=9) is False and "firing" in page.alert()
    assert page.press("stop") and page.run["mode"] == "edit" and page.run["length"] == 0


def test_run_to_here_stops_before_it_and_fire_wants_a_ready_node(page):
    assert page.press("run_to", node="Square") and page.run["next"] == "Square" and page.run["cursor"] == 3
    assert page.press("fire", node="loss") is False and "Square" in page.alert()
    assert page.press("fire", node="Square") and page.run["last"] == "Square"
    assert page.press("step_level") and page.run["done"] and page.press("step")
    assert "complete" in page.last("notice")["text"]
    assert page.press("back_level") and page.run["cursor"] == 4


def test_an_edit_of_the_graph_ends_the_run_and_a_move_does_not(page):
    page.press("step")
    assert page.edit(Move({"x": (10, 20)})) and page.editor.debugger is not None and page.run["cursor"] == 1
    assert page.press("fold", scopes=[]) and page.run["cursor"] == 1
    assert page.edit(Rename("Add", "sum")) and page.run["mode"] == "edit" and page.run["length"] == 0


def test_undo_and_redo_of_everything(page):
    editor = page.editor
    end = editor.document
    labels = []
    while page.scene["undo"]:
        labels.append(page.scene["undo"])
        assert page.press("undo")
    assert editor.document == Document() and len(labels) == len(BUILD) + 2 and labels[-1] == "add Placeholder"
    assert page.press("undo") and "nothing to undo" in page.last("notice")["text"]
    while page.scene["redo"]:
        assert page.press("redo")
    assert editor.document == end
    page.press("undo")
    page.edit(SetTitle("elsewhere"))
    assert page.scene["redo"] is None


def test_a_wire_that_does_not_fit_shows_its_reason_and_never_runs(page):
    page.edit(SetAttr("W", "initializer", "zeros"), SetAttr("W", "shape", "5, 2"))
    edge = next(e for e in page.scene["edges"] if e["error"])
    assert edge["id"] == "W:0->MatMul:b" and "5" in edge["error"]
    assert page.press("run") is False and "MatMul" in page.alert()
    assert page.fired() == set() and page.run["total"] == 0
    repair = page.scene["diagnostics"][0]["repairs"][0]
    assert page.say("edit", edits=repair["edits"]) and not page.scene["diagnostics"] and page.press("run")


def test_the_sound_parts_still_run(page):
    page.edit(AddNode("Relu", "other"), Connect("x:0", "other:x"), Disconnect("Subtract:b"))
    assert page.press("run") and set(page.editor.results) == {"Add", "other"}


def test_what_is_marked_is_what_runs(page):
    page.edit(MarkFetch("Add"))
    assert page.press("run") and set(page.editor.results) == {"Add"} and page.run["total"] == 2
    assert [n["name"] for n in page.scene["nodes"] if n["fetch"]] == ["Add"]


def test_an_unfed_placeholder_is_named_with_the_way_to_feed_it(page):
    page.edit(SetFeed("y", ""))
    for command in ("run", "step", "step_level"):
        assert page.press(command) is False
        assert "y has no value" in page.alert() and "ed.feeds['y']" in page.alert()
    assert page.run["mode"] == "edit"


@pytest.mark.parametrize("message", [
    {"type": "edit", "edits": [{"tag": "Connect", "src": "loss:0", "dst": "MatMul:a"}]}, {"type": "edit", "edits": [{"tag": "Connect", "src": "x:0", "dst": "nowhere:a"}]},
    {"type": "edit", "edits": [{"tag": "Rename", "name": "x", "to": "W"}]}, {"type": "edit", "edits": [{"tag": "SetFeed", "node": "x", "text": "[[1, 2]]"}]},
    {"type": "edit", "edits": "all"}, {"type": "edit"}, {"type": "edit", "edits": [None]}, {"type": "command", "name": "explode"}, {"type": "command"}, {"type": "command", "name": "fire"},
    {"type": "command", "name": "seek", "cursor": "9"}, {"type": "nothing"}, {}, {"type": "picture", "png": "javascript:alert(1)", "width": 3, "height": 3},
    {"type": "picture", "png": 'data:image/png;base64,AAAA" onerror="alert(1)', "width": 3, "height": 3}, {"type": "picture", "png": "data:image/png;base64,AAAA", "width": "1", "height": -3},
    {"type": "command", "name": "go_on"}, {"type": "ask", "tensor": "x:0", "slice": "[__import__('os')]"},
], ids=str)
def test_whatever_a_page_sends_is_answered_and_harms_nothing(page, message):
    before = page.editor.document
    assert page.say(**{"type": None, **message}) is False
    assert page.alert() and page.editor.document is before


def test_messages_that_are_no_messages_are_answered(page):
    for content in (None, [], "hello", 3, {"seq": "a"}):
        page.editor._on_message(page.editor, content, [])
        assert page.heard[-1][0] == {"type": "done", "seq": 0, "ok": False}


def test_other_versions_of_the_page_are_told():
    page = Page(Editor())
    page.say("hello", version=99)
    assert "versions" in page.last("notice")["text"]


def test_the_inspector_gets_values_and_declared_types(page):
    page.say("ask", tensor="Add:0", slice="")
    value = page.last("value")
    assert not value["known"] and value["shape"] == ["batch", 2] and value["dtype"] == "float32"
    page.say("ask", tensor="W:0", slice="")
    assert json.loads(page.last("value")["json"]) == W.tolist()
    page.press("run")
    page.say("ask", tensor="Add:0", slice="")
    value = page.last("value")
    assert value["known"] and np.array_equal(json.loads(value["json"]), X @ W) and value["stats"]["max"] == 64
    assert np.array_equal(np.frombuffer(page.answer[0][1][0], "<f4").reshape(2, 2), X @ W)
    assert page.say("ask", tensor="gone:0", slice="") and not page.last("value")["known"]


def test_variables_keep_their_values_while_the_graph_is_edited_around_them(page):
    editor = page.editor
    editor.session.variables["W"] = 2 * W
    page.edit(AddNode("Relu"), Connect("Add:0", "Relu:x"))
    assert np.array_equal(editor.session.variables["W"], 2 * W)
    page.edit(Rename("W", "weights"))
    assert np.array_equal(editor.session.variables["weights"], 2 * W)
    page.edit(SetAttr("weights", "initializer", "ones"))
    assert np.array_equal(editor.session.variables["weights"], np.ones((3, 2)))
    assert "weights" in [m["text"] for m, _ in page.answer if m["type"] == "notice"][0]
    page.edit(SetAttr("b", "shape", "2, 1"))
    assert editor.session.variables["b"].shape == (2, 1)


def test_a_session_lends_its_values_and_is_left_alone():
    g = python_graph()
    with fl.Session(g) as sess:
        sess.variables["W"] = 3 * W
        editor = Editor(g, sess, {"x": X, g.tensor("y:0"): Y})
        assert np.array_equal(editor.session.variables["W"], 3 * W) and editor.session is not sess
        assert editor.run()["loss"] == pytest.approx(np.mean((X @ (3 * W) - Y) ** 2), rel=1e-6)
        editor.edit(Rename("loss", "error"))
        assert "loss" in g and sess.store.runs == 0 and "error" in editor.document.nodes


def training() -> fl.Graph:
    g = python_graph()
    with g:
        fl.optim.SGD(0.01).minimize(g.tensor("loss:0"), name="train")
    return g


def test_a_run_that_updates_variables_commits_at_its_end_and_counts_versions():
    g = training()
    page = Page(Editor(g, feeds={"x": X, "y": Y}))
    with fl.Session(g) as sess:
        for k in (1, 2):
            assert page.press("run") and page.run["versions"]["W"] == k
            sess.run("train", {"x": X, "y": Y})
            assert page.editor.session.variables["W"].tobytes() == sess.variables["W"].tobytes()
        assert set(page.run["ticks"]) == {"f", "b", "u"}
        before = page.editor.session.variables["W"]
        assert page.press("back") and page.run["versions"]["W"] == 1 and not np.array_equal(page.editor.session.variables["W"], before)
        assert page.press("step") and page.run["versions"]["W"] == 2 and np.array_equal(page.editor.session.variables["W"], before)
    assert page.press("stop") and page.press("step_pass") and set(page.run["ticks"]) == {"f"}
    assert page.press("step_pass") and set(page.run["ticks"]) == {"f", "b"}


def test_a_kernel_that_fails_is_named_and_leaves_everything_as_it_was():
    with fl.Graph() as g:
        x = fl.placeholder(("n",), name="x")
        r = fl.reshape(fl.relu(x, name="r"), (2, 2), name="square")
        fl.sum(r, name="total")
    page = Page(Editor(g, feeds={"x": np.ones(3, "float32")}))
    assert page.press("run") is False
    assert "square" in page.alert() and page.run["error"]["node"] == "square" and page.states["square"] == "error" and page.states["r"] == "done"
    assert page.press("step") is False and page.run["cursor"] == 1
    page.editor.feeds["x"] = np.ones(4, "float32")
    assert page.press("run") and page.editor.results["total"] == 4 and page.run["error"] is None
    assert Page(page.editor).run["error"] is None


def test_feeds_are_a_mapping_and_its_changes_are_undone():
    page = Page(Editor(python_graph()))
    ed = page.editor
    ed.feeds = {"x": X, "y": Y}
    assert list(ed.feeds) == ["x", "y"] and len(ed.feeds) == 2 and np.array_equal(ed.feeds["x"], X)
    ed.feeds["x"] = [[1, 2, 3]]
    assert ed.feeds["x"].dtype == "float32" and not ed.feeds["x"].flags.writeable
    assert next(n for n in page.scene["nodes"] if n["name"] == "x")["value"] == "[[1.0,2.0,3.0]]"
    del ed.feeds["y"]
    assert "y" not in ed.feeds and ed.undo() and "y" in ed.feeds
    with pytest.raises(fl.FeedError) as caught:
        ed.feeds["x"] = np.zeros((2, 4))
    assert caught.value.axis == 1 and caught.value.node == "x"
    with pytest.raises(fl.FeedError, match="x, y"):
        ed.feeds["z"] = 1
    with pytest.raises(KeyError):
        ed.feeds["q"]
    big = np.zeros((50_000, 3), "float32")
    ed.feeds["x"] = big
    assert "x" not in ed.document.to_json().get("feeds", {}) and ed.feeds["x"].shape == big.shape
    assert "float32 (50000, 3)" in next(n for n in page.scene["nodes"] if n["name"] == "x")["value_note"]


def test_python_has_the_buttons_too(page):
    ed = page.editor
    assert ed.step().node == "MatMul" and [e.node for e in ed.step_level()] == ["Add"] and ed.back().node == "Add" and ed.debugger.cursor == 1
    assert page.last("state")["cursor"] == 1
    assert ed.run()["loss"] == ed.results["loss"]
    ed.edit(AddNode("Relu", "r"), Connect("Add:0", "r:x"))
    assert page.scene["select"] == "r" and ed.undo() and "r" not in ed.document.nodes and ed.redo() and "r" in ed.document.nodes
    with pytest.raises(fl.CycleError):
        ed.edit(Connect("loss:0", "MatMul:a"))
    page.say("selected", names=["r"])
    assert ed.selection == ("r",)


def test_a_second_page_sees_what_the_first_sees(page):
    page.press("step")
    other = Page(page.editor)
    assert other.states == page.states and set(other.thumbs) == set(page.thumbs) and other.run["cursor"] == 1 and len(other.scene["nodes"]) == 9


def test_what_is_not_a_graph_is_refused():
    with pytest.raises(fl.DocumentError):
        Editor("a.flow.json")


def test_variables_larger_than_the_machine_are_refused_before_they_are_made():
    page = Page(Editor())
    assert page.edit(AddNode("Variable", "W"), SetAttr("W", "shape", "1048576, 1048576"), AddNode("Relu"), Connect("W:0", "Relu:x"))
    assert page.press("run") is False and "W" in page.alert() and "GiB" in page.alert()


def test_a_breakpoint_set_in_python_stops_the_run(page):
    ed = page.editor
    assert ed.debugger is None
    ed.start().breakpoints.add("Square")
    assert ed.debugger.cursor == 0 and page.last("state")["mode"] == "edit" and page.press("run") and page.run["cursor"] == 3 and "Square" in page.last("notice")["text"]
    assert page.press("resume") and page.run["done"]
    assert page.press("run") and page.run["cursor"] == 3     # and the next
    page.edit(SetFeed("x", ""))
    assert ed.debugger is None and ed.results == {}


def test_feeds_say_what_they_hold(page):
    page.editor.feeds = {"x": np.ones((2, 3))}
    assert repr(page.editor.feeds) == "{x: float32[2, 3]}"


def test_a_condition_that_is_a_function_outlives_a_run(page):
    page.editor.start().breakpoints.add("MatMul:0", when=lambda value: False)
    for _ in range(2):
        assert page.press("run") and page.run["done"]


def test_variables_assigned_before_the_first_step_are_the_ones_it_reads(page):
    ed = page.editor
    ed.start()
    ed.session.variables["W"] = 0 * W
    page.press("step")
    assert not page.thumbs["MatMul:0"].any()
    page.press("step")
    ed.session.variables["W"] = W    # a run that is under way keeps what it started with
    page.press("back")
    page.press("back")
    page.press("step")
    assert not page.thumbs["MatMul:0"].any()


COMMANDS = ["step", "step", "step", "back", "back_level", "step_level", "step_scope", "step_timestep", "back_timestep", "step_pass", "run", "resume", "stop", "undo", "redo", "fold", "unfold", "seek",
            "fire", "run_to"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_what_a_page_is_told_bit_by_bit_is_what_a_new_page_is_told_at_once(seed):
    rng = random.Random(seed)
    page = Page(Editor(training(), feeds={"x": X, "y": Y}))
    editor = page.editor
    for _ in range(40):
        names = list(editor.document.nodes) or ["x"]
        if rng.random() < 0.25:
            page.edit(rng.choice([
                Rename(rng.choice(names), f"n{rng.randrange(99)}"), SetFeed("x", json.dumps(rng.choice([X, X[:1], X + 1]).tolist())), MarkFetch(rng.choice(names), rng.random() < 0.5), Move({names[0]: (1, 2)}),
                RemoveNodes((rng.choice(names),)), AddNode("Relu"), Connect(f"{rng.choice(names)}:0", f"{rng.choice(names)}:x"), SetAttr("W", "initializer", rng.choice(["zeros", "0.5", "normal(0, 1)"])),
                SetAttr("W", "shape", rng.choice(["3, 2", "2, 2"]))]))
        else:
            page.press(rng.choice(COMMANDS), node=rng.choice(names), cursor=rng.randrange(9), scopes=rng.choice([[], ["gradients"], ["SGD"], ["gradients/loss"]]))
        states, thumbs, run = dict(page.states), {k: v.tobytes() for k, v in page.thumbs.items()}, page.run
        assert page.say("hello", version=P.VERSION)
        assert page.states == states and {k: v.tobytes() for k, v in page.thumbs.items()} == thumbs
        for key in ("mode", "cursor", "length", "total", "done", "last", "next", "ready", "versions", "progress", "fetches"):
            assert page.run[key] == run[key], key


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10), lambda c: st.lists(c, max_size=4) | st.dictionaries(
    st.sampled_from(["type", "seq", "edits", "name", "node", "cursor", "scopes", "tensor", "slice", "png", "names", "version", "tag"]) | st.text(max_size=5), c, max_size=6), max_leaves=20),
    st.sampled_from(["hello", "edit", "command", "ask", "picture", "selected"]), st.sampled_from(COMMANDS))
def test_no_message_makes_the_kernel_raise(message, type, command):
    page = Page(Editor(python_graph(), feeds={"x": X, "y": Y}))
    for content in (message, {"type": type, "seq": 7, **(message if isinstance(message, dict) else {"edits": message, "names": message, "tensor": message})}, {"type": "command", "name": command, "node": message,
                                                                                                                                                          "cursor": message, "scopes": message}):
        page.editor._on_message(page.editor, content, [])
        assert page.heard[-1][0]["type"] == "done"
    assert len(page.editor.document.nodes) == 9


# ---------------------------------------------------------------- disk


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_save_writes_the_document_beside_the_notebook(page, here):
    page.edit(SetTitle("my net"))
    assert page.scene["dirty"] and page.press("save")
    assert fl.load(here / "my net.flow.json").nodes["loss"] and not page.scene["dirty"] and page.scene["path"] == "my net.flow.json"
    assert "my net.flow.json" in page.last("notice")["text"] and str(here) in page.last("notice")["hint"]
    page.editor.autosave = False
    page.edit(RemoveNodes(("loss",)))
    assert page.scene["dirty"] and page.press("save") and "loss" not in fl.load_document(here / "my net.flow.json").nodes


@pytest.mark.parametrize("title", ["../../etc/passwd", "/etc/passwd", "..", "a/b", "C:\\x", "nul\x00", ".hidden", "x" * 300, "~", "a\u202eb", "con:stream", "图" * 200])
def test_a_title_never_leads_out_of_the_folder(title):
    name = file_name(title)
    assert os.path.basename(name) == name and name.endswith(".flow.json") and not name.startswith(".") and len(name.encode()) < 256 and "\x00" not in name and ":" not in name


def test_save_replaces_no_file_of_somebody_else(page, here):
    (here / "untitled.flow.json").write_text("something precious")
    assert page.press("save") is False and "not replaced" in page.alert() and (here / "untitled.flow.json").read_text() == "something precious"
    assert page.press("save", node="mine") and (here / "mine.flow.json").exists()
    (here / "mine.flow.json").write_text("changed meanwhile")
    page.edit(Move({"x": (1, 1)}))
    assert page.press("save") is False and "another program" in page.alert() and (here / "mine.flow.json").read_text() == "changed meanwhile"
    page.editor.save("mine.flow.json", overwrite=True)
    assert fl.load_document(here / "mine.flow.json") == page.editor.document


def test_save_goes_on_in_a_file_that_holds_what_the_lab_started_from(page, here):
    page.editor.save("net.flow.json")
    again = Page(Editor(fl.load_document("net.flow.json")))
    again.edit(SetTitle("net"), Rename("loss", "error"))
    assert again.press("save", node="net") and "error" in fl.load_document("net.flow.json").nodes


def test_a_save_that_fails_says_so_and_loses_nothing(page, here, monkeypatch):
    page.press("save")
    before = (here / "untitled.flow.json").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert page.edit(Rename("loss", "error"))
    assert page.press("save") is False and "No space" in page.alert()
    assert (here / "untitled.flow.json").read_bytes() == before and page.scene["dirty"] and os.listdir(here) == ["untitled.flow.json"]


# ---------------------------------------------------------------- the notebook's saved output


def notebook(path: Path, *outputs: dict, cell: str = "cell-1") -> Path:
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("fl.Editor()", id=cell, outputs=[nbformat.v4.new_output("display_data", **o) for o in outputs])])
    nbformat.write(nb, path)
    return path


def output(document, *, edited=True, stamp="2026-11-24T14:02:00+00:00") -> dict:
    return {"data": {"text/html": "<img>", saved.MIME: document.to_json() if isinstance(document, Document) else document}, "metadata": {"flowlab": {"edited": edited, "saved": stamp}}}


def test_an_edited_document_is_found_in_its_cell(tmp_path):
    document = document_of(python_graph())
    path = notebook(tmp_path / "a.ipynb", output(Document()), output(document))
    found = saved.find(path, "cell-1", 1)
    assert found.document == document and found.when == "24 Nov 2026, 14:02"
    assert saved.find(path, "cell-1", 2) is None and saved.find(path, "cell-2", 1) is None and saved.find(None, "cell-1", 0) is None and saved.find(path, None, 0) is None


def test_what_nobody_edited_and_what_is_not_sound_is_not_offered(tmp_path):
    document = document_of(python_graph())
    for k, wrong in enumerate([output(document, edited=False), output(document, edited="yes"), output({"flowlab": 99}), output({"flowlab": 1, "nodes": [{"id": 0, "name": "a\nb", "op": "x"}]}), output("text"),
                               {"data": {saved.MIME: document.to_json()}, "metadata": {}}]):
        assert saved.find(notebook(tmp_path / f"{k}.ipynb", wrong), "cell-1", 0) is None
    (tmp_path / "b.ipynb").write_text('{"cells": [{"id": "cell-1", "' + saved.MIME)
    assert saved.find(tmp_path / "b.ipynb", "cell-1", 0) is None
    (tmp_path / "c.ipynb").write_text("[" * 100_000 + saved.MIME)
    assert saved.find(tmp_path / "c.ipynb", "cell-1", 0) is None


def test_a_saved_document_is_offered_and_taken_up_as_one_step_of_undo():
    editor = Editor()
    document = apply(Document(), *BUILD)
    editor._offer = saved.Saved(document, "2026-11-24T14:02:00")
    page = Page(editor)
    offer = page.last("offer")
    assert (offer["title"], offer["nodes"], offer["saved"]) == ("untitled", 9, "24 Nov 2026, 14:02")
    assert page.press("go_on") and editor.document.same_graph(python_graph())
    assert page.say("hello", version=P.VERSION) and all(m["type"] != "offer" for m, _ in page.answer)
    assert page.press("undo") and editor.document == Document()
    editor._offer = saved.Saved(document, "2026-11-24T14:02:00")
    assert page.press("start_fresh") and editor.document == Document() and editor._offer is None


def test_the_picture_beside_the_widget_needs_no_script():
    from flowlab.widgets import static_picture

    with fl.Graph("<script>alert(1)</script>") as g:
        fl.relu(fl.placeholder((), name="<img src=x onerror=alert(1)>"))
    svg = static_picture.svg(document_of(g))
    assert "<img" not in svg and "<script" not in svg and "&lt;img" in svg
    assert "nodes" in static_picture.svg(from_json({"flowlab": 1, "name": "big", "nodes": [{"id": k, "name": f"n{k}", "op": "Relu"} for k in range(500)]}))
    cyclic = from_json({"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu", "inputs": {"x": "b:0"}}, {"id": 1, "name": "b", "op": "Relu", "inputs": {"x": "a:0"}}]})
    assert static_picture.data_uri(cyclic).startswith("data:image/svg+xml;base64,")


def said(page: Page) -> list[str]:
    return [m["text"] for m, _ in page.answer if m["type"] == "notice"]


def test_a_wire_that_takes_the_place_of_another_says_so(page):
    assert page.edit(AddNode("Variable", "V"), SetAttr("V", "shape", "3, 2")) and not any("in place of" in t for t in said(page))
    assert page.edit(Connect("V:0", "MatMul:b"))
    assert "Wired V to MatMul, port b, in place of W." in said(page)
    assert page.edit(Connect("V:0", "MatMul:b")) and not said(page)
    assert page.edit(Disconnect("MatMul:b")) and page.edit(Connect("W:0", "MatMul:b")) and not any("in place of" in t for t in said(page))


def test_breakpoints_and_watches_stay_when_a_feed_or_an_edit_ends_the_run(page):
    ed = page.editor
    dbg = ed.start()
    dbg.breakpoints.add("Subtract")
    dbg.breakpoints.add("MatMul:0", when="max > 1e9")
    dbg.watch("Add:0")
    ed.feeds["x"] = 2 * X
    assert ed.debugger is None and page.press("run") and ed.debugger is not dbg and ed.debugger.cursor == 2 and ed.debugger.ready == ("Subtract",)
    assert [(b.target, b.condition) for b in ed.debugger.breakpoints] == [("Subtract", None), ("MatMul:0", "max > 1e9")] and ed.debugger.watches == ["Add:0"]
    assert page.edit(Rename("Subtract", "error")) and page.edit(Rename("Add", "out"))      # they follow a new name
    assert [b.target for b in ed.start().breakpoints] == ["error", "MatMul:0"] and ed.debugger.watches == ["out:0"]
    assert page.edit(RemoveNodes(("out",)))
    assert "Dropped the watch of out:0: it is no longer in the graph." in said(page)
    assert page.edit(Connect("MatMul:0", "error:a"))
    assert page.press("run") and ed.debugger.ready == ("error",) and ed.debugger.watches == []
    ed.debugger.breakpoints.clear()
    ed.feeds["x"] = X
    assert len(ed.start().breakpoints) == 0


def test_a_breakpoint_waits_for_a_node_that_is_not_sound_for_a_while(page):
    page.editor.start().breakpoints.add("Square")
    assert page.edit(MarkFetch("MatMul", True), Disconnect("Subtract:b")) and page.press("run") and len(page.editor.debugger.breakpoints) == 0
    assert page.edit(MarkFetch("MatMul", False), Connect("y:0", "Subtract:b")) and page.press("run") and page.editor.debugger.ready == ("Square",)


def test_notices_begin_with_a_capital_except_for_names_of_nodes(page):
    ed = page.editor
    del ed.feeds["x"], ed.feeds["y"]
    assert page.press("run") is False and page.alert().startswith("x, y have no value yet. Select one and type its value, or write ed.feeds['x']")
    assert ed._sentence("there is nothing to run yet.") == "There is nothing to run yet." and ed._sentence("x:0 is wrong.") == "x:0 is wrong."
    assert ed._sentence("matmul: a is (2,).") == "MatMul: a is (2,)." and ed._sentence("") == ""
    assert page.say("command", name="nonsense") is False and page.alert().startswith("There is no command")


def test_a_run_of_one_node_is_told_in_the_singular():
    page = Page(Editor())
    assert page.edit(AddNode("Variable", "v"), AddNode("Relu"), Connect("v:0", "Relu:x")) and page.press("run") and said(page)[-1].startswith("Ran 1 node in ")


def test_feeds_are_read_by_the_names_that_they_are_assigned_by(page):
    page.editor.feeds["x:0"] = 3 * X
    assert np.array_equal(page.editor.feeds["x:0"], 3 * X) and np.array_equal(page.editor.feeds["x"], 3 * X) and "x:0" in page.editor.feeds
    with pytest.raises(KeyError):
        page.editor.feeds["z"]


@pytest.mark.parametrize("name", ["Editor", "LSTMView", "ConvView", "RNNView", "TrainingView"])
def test_a_widget_is_loaded_at_once_and_its_page_when_it_is_seen(name):
    widget = getattr(fl, name)
    script = widget._script.default_value
    assert len(widget._esm) < 1000 < 100_000 < len(script), "anywidget drops what is said to a widget that takes two seconds to load"
    assert widget._script.metadata["sync"] and "export" in script
