"""Storyboards and lecture files: bookmarks are kept and undone like notes, going to one brings the run there, and a class begins where its teacher stood."""
from __future__ import annotations

import json

import numpy as np
import pytest
from nested import small_scan

import flowlab as fl
from flowlab.io.document import Bookmark, from_text
from flowlab.io.edits import Group, MoveBookmark, PutBookmark, RemoveBookmark, RemoveNodes, Rename, WriteBookmark, apply
from flowlab.widgets.editor import Editor
from flowlab.widgets.replay import _Lab, _run_of
from tests.widgets.test_editor_kernel import Page


def net() -> fl.Graph:
    """A step of training with random draws, a float64 constant and a feed too large for a graph file."""
    with fl.Graph("net") as g:
        x = fl.placeholder(("batch", 40), name="x")
        h = fl.nn.dense(fl.dropout(x, 0.5, name="drop"), 3, activation="tanh", name="hidden")
        loss = fl.mean(fl.square(h, name="sq"), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    return g


def feeds() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).normal(size=(500, 40)).astype("float32")}


@pytest.fixture
def page() -> Page:
    return Page(Editor(net(), fl.Session(net(), seed=5), feeds()))


def titles(page: Page) -> list[str]:
    return [b.title for b in page.editor.storyboard]


def values(editor: Editor) -> dict[str, np.ndarray]:
    """Every tensor that has fired."""
    dbg = editor.debugger
    return {f"{e.node}:{k}": np.array(v) for e in dbg.records[:dbg.cursor] for k, v in enumerate(dbg.outputs_of(e)) if v is not None}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and a[k].tobytes() == b[k].tobytes() for k in a)


# ---------------------------------------------------------------- in the document


def test_bookmarks_are_added_rewritten_moved_and_removed_and_all_of_it_is_undone(page):
    ed = page.editor
    ed.storyboard.add("graph", "What **is** it?")
    for _ in range(4):
        ed.step()
    made = ed.storyboard.add("four", shows=["hidden"])
    assert made.cursor == 4 and made.after == ed.debugger.records[3].node and made.shows == ("hidden",) and ed.storyboard.at == 1
    ed.storyboard.add("between", at=1)
    before = ed.document.storyboard
    assert titles(page) == ["graph", "between", "four"] and [b["title"] for b in page.scene["storyboard"]] == titles(page)
    ed.storyboard.write("four", title=" 四 ", note="$x^2$")
    ed.storyboard.move(0, 2)
    assert ed.storyboard.at == 0        # the one on show has moved
    ed.storyboard.remove("between")
    assert titles(page) == ["四", "graph"] and ed.storyboard[0].note == "$x^2$"
    for _ in range(3):
        ed.undo()
    assert ed.document.storyboard == before
    while ed.undo():
        pass
    assert not ed.storyboard
    assert ed.redo() and titles(page) == ["graph"]


def test_what_is_no_bookmark_is_refused_in_words():
    document = Editor(net()).document
    one = apply(document, PutBookmark("one", shows=("x", "nothing"), selected=("gone",), tensor="gone:0"))
    assert one.storyboard == (Bookmark("one", shows=("x",)),)       # names of what is not there are left out
    for edit, words in ((PutBookmark(" "), "title is empty"), (PutBookmark("a", cursor=-1), "number of firings"), (PutBookmark("a", view=(0, 0, 0, 1)), "part of the canvas"), (PutBookmark("a", panels=("moon",)), "panels"),
                        (PutBookmark("a" * 201), "200 characters"), (WriteBookmark(0, note="x" * 20_001), "20000 characters"), (WriteBookmark(3, "b"), "no bookmark 4"), (RemoveBookmark(1), "no bookmark 2"),
                        (MoveBookmark(0, 1), "no place 2")):
        with pytest.raises(fl.DocumentError, match=words):
            apply(one, edit)
    full = from_text(document.text())
    for k in range(500):
        full = apply(full, PutBookmark(str(k)))
    with pytest.raises(fl.DocumentError, match="at most 500"):
        apply(full, PutBookmark("more"))
    assert from_text(full.text()) == full


def test_bookmarks_follow_their_nodes_to_other_names():
    document = apply(Editor(net()).document, PutBookmark("one", cursor=3, after="hidden/MatMul", shows=("hidden", "loss"), folded=("hidden",), selected=("hidden/MatMul",), tensor="hidden/MatMul:0", into="sq:x"))
    renamed = apply(document, Rename("hidden", "layer"), Rename("sq", "square"), Rename("loss", "mean"))
    assert renamed.storyboard == (Bookmark("one", cursor=3, after="layer/MatMul", shows=("layer", "mean"), folded=("layer",), selected=("layer/MatMul",), tensor="layer/MatMul:0", into="square:x"),)
    assert apply(document, RemoveNodes(("loss", "sq"))).storyboard[0].shows == ("hidden",)
    assert apply(document, Group(("sq", "loss"), "end")).storyboard[0].shows == ("hidden", "end/loss")


def test_a_document_without_a_storyboard_is_written_as_before(page):
    version = json.loads(page.editor.document.text())["flowlab"]
    page.editor.storyboard.add("one")
    held = json.loads(page.editor.document.text())
    assert version == 1 and held["flowlab"] == 4 and held["storyboard"] == [{"title": "one", "folded": []}]
    assert from_text(page.editor.document.text()).storyboard == page.editor.document.storyboard


# ---------------------------------------------------------------- going there


def test_going_to_a_bookmark_runs_to_its_firing_and_back(page):
    ed = page.editor
    ed.storyboard.add("graph")
    ed.step(), ed.step()
    ed.storyboard.add("two")
    ed.run()
    ed.storyboard.add("end")
    total, weights, after = ed.debugger.cursor, ed.debugger.moment[0], values(ed)
    assert ed.storyboard.go("two").title == "two" and ed.debugger.cursor == 2 and ed.debugger.length == total
    assert ed.storyboard.go(0).cursor is None and ed.debugger is None and page.run["mode"] == "edit"
    assert all(ed.session.store.values[k] is v for k, v in weights.items())     # what the run had committed is taken back
    ed.storyboard.go(-1)
    assert ed.debugger.done and same(values(ed), after)      # the same variables, the same draws
    with pytest.raises(fl.DocumentError, match="no bookmark is called 'three'.*There are graph, two, end"):
        ed.storyboard.go("three")
    with pytest.raises(fl.DocumentError, match="no bookmark 3"):
        ed.storyboard.go(3)


def test_the_page_makes_bookmarks_and_goes_to_them(page):
    ed = page.editor
    page.press("fold", scopes=["hidden"])
    assert page.press("step") and page.say("story_do", name="add", title="one", view=[0, 1, 800, 600.5], shows=["hidden", "loss"], selected=["hidden"], tensor="drop:0", panels=["code"])
    assert page.last("story") == {"type": "story", "at": 0, "move": False} and page.scene["undo"] == "add the bookmark one"
    mark = ed.storyboard[0]
    assert (mark.cursor, mark.after, mark.view, mark.shows, mark.selected, mark.tensor, mark.panels) == (1, ed.debugger.records[0].node, (0.0, 1.0, 800.0, 600.5), ("hidden", "loss"), ("hidden",), "drop:0", ("code",))
    assert "hidden" in mark.folded
    page.press("unfold", scopes=[])
    page.press("run")
    assert page.say("story_do", name="go", index=0) and page.run["cursor"] == 1
    assert page.last("story") == {"type": "story", "at": 0, "move": True} and [s["name"] for s in page.scene["scopes"]] == list(dict.fromkeys(s["name"] for s in page.scene["scopes"]))
    assert "hidden" in {s["name"] for s in page.scene["scopes"]} and ed.selection == ("hidden",)
    page.press("step")
    assert page.say("story_do", name="replace", index=0, view=[0, 0, 1, 1]) and ed.storyboard[0].cursor == 2 and titles(page) == ["one"]
    for wrong in ({"name": "go", "index": 4}, {"name": "go"}, {"name": "add", "view": [0, 0, 0, 0]}, {"name": "add", "panels": 3}, {"name": "add", "tensor": ["x"]}, {"name": "paint"}):
        assert page.say("story_do", **wrong) is False and page.alert()
    assert page.press("undo") and ed.storyboard[0].cursor == 1


def test_a_run_that_is_no_longer_the_same_says_so(page):
    ed = page.editor
    ed.run()
    ed.storyboard.add("end")
    ed.edit(RemoveNodes(("train", "loss")))
    ed.storyboard.go(0)
    said = [m["text"] for m, _ in page.heard if m["type"] == "notice"][-1]
    assert f"the bookmark stands at {ed.storyboard[0].cursor}" in said and ed.debugger.done


def test_an_open_question_is_not_passed_on_the_way_to_a_bookmark(page):
    ed = page.editor
    ed.run()
    ed.storyboard.add("end")
    ed.reset()
    ed.ask("sq:0", "shape")
    assert page.say("story_do", name="go", index=0) and page.run["next"] == "sq" and page.last("story")["move"] is False
    with pytest.raises(fl.DebuggerError, match="waits before sq"):
        ed.storyboard.go(0)


def test_a_bookmark_inside_a_loop():
    ed = Editor(small_scan(), feeds={"seq": np.arange(12, dtype="float32").reshape(4, 3) / 10})
    while ed.step().frame[-1:] != (1,):
        pass
    made, there = ed.storyboard.add("second timestep"), values(ed)
    ed.reset()
    ed.storyboard.go(0)
    assert ed.debugger.cursor == made.cursor and same(values(ed), there) and from_text(ed.document.text()).storyboard == ed.document.storyboard


def test_a_storyboard_goes_along_in_a_file(page):
    ed = page.editor
    ed.storyboard.add("graph", "What?")
    ed.step(), ed.step()
    ed.storyboard.add("two", shows=["hidden"])
    trace = fl.Session(net(), seed=5).trace("train", feeds())
    for source, given in ((ed, None), (ed.debugger, ed.document), (trace, ed.document)):
        held = _Lab(_run_of(source)[0], ed.document if given is None else given).scenery()
        assert [b["title"] for b in held["storyboard"]] == ["graph", "two"] and held["storyboard"][1]["cursor"] == 2 and held["folds"] == [list(b.folded) for b in ed.storyboard]
        assert fl.to_html(source, document=given).firings >= 2
    assert not _Lab(trace, None).scenery()["storyboard"]
    ed.step()
    ed.storyboard.add("three")
    ed.back()
    with pytest.raises(fl.FlowError, match="the bookmark three stands at firing 3, and this run has 2 firings"):
        fl.to_html(ed)
    with pytest.raises(fl.FlowError, match="of another graph"):
        fl.to_html(fl.Session(small_scan()).trace("total", {"seq": np.ones((4, 3), "float32")}), document=ed.document)


# ---------------------------------------------------------------- for the class


@pytest.fixture
def taught(page, tmp_path):
    """The teacher has trained three steps, and stands in the middle of the fourth."""
    ed = page.editor
    for _ in range(3):
        ed.run()
    ed.start()
    for _ in range(5):
        ed.step()
    ed.storyboard.add("here", "$h$")
    return ed, ed.save_lecture(tmp_path / "net.lecture.flow.json")


def test_a_class_begins_where_the_teacher_stood_with_equal_numbers(taught):
    teacher, path = taught
    for student in (Editor(path), Editor(str(path)), Editor(fl.load_lecture(path))):
        assert student.document.storyboard == teacher.document.storyboard and student.storyboard.at == 0 and student.path is None
        assert student.debugger.cursor == 5 and same(values(student), values(teacher)) and len(values(student)) > 3
        assert np.array_equal(student.feeds["x"], feeds()["x"])
        assert Page(student).last("story") == {"type": "story", "at": 0, "move": True}
    teacher.run(), student.run()
    assert same(values(teacher), values(student)) and same(dict(teacher.session.variables), dict(student.session.variables))
    teacher.run(), student.run()
    assert same(values(teacher), values(student))       # and the steps after it


def test_a_lecture_opens_in_a_lab_that_is_there_and_undo_leaves_it(taught, monkeypatch):
    teacher, path = taught
    monkeypatch.chdir(path.parent)
    page = Page(Editor())
    before = page.editor.document
    assert page.press("open", node=str(path)) and page.editor.debugger.cursor == 5 and page.editor.path is None and same(values(page.editor), values(teacher))
    page.editor.undo()
    assert page.editor.document is before and page.editor.storyboard.at is None and page.last("story")["at"] is None
    assert page.editor.session.seed == 0        # the teacher's was of the lecture alone
    page.editor.redo()
    assert page.editor.session.seed == 5
    page.editor.undo()
    assert page.say("open_text", name="sent.json", text=path.read_text(encoding="utf-8")) and page.editor.debugger.cursor == 5
    assert page.say("ask_name", name="class", kind="lecture") and page.last("name_check")["file"] == "class.lecture.flow.json"
    assert page.press("save_lecture", node="class") and (path.parent / "class.lecture.flow.json").exists()
    assert same(dict(fl.load_lecture("class.lecture.flow.json").variables), dict(fl.load_lecture(path).variables))
    assert page.press("save_lecture", node="class") is False and "already" in page.alert()
    assert page.press("replace_lecture", node="class.flow.json")


def test_a_lecture_is_a_graph_file_that_everything_reads(taught):
    teacher, path = taught
    assert fl.load_document(path).same_graph(teacher.document) and fl.load(path).name == "net"
    assert "1 bookmarks" in repr(fl.load_lecture(path))
    plain = teacher.save(path.parent / "plain.flow.json")
    opened = Editor(plain)
    assert opened.path == plain and opened.debugger is None and opened.storyboard[0].title == "here" and not opened.undo()
    with pytest.raises(fl.DocumentError, match="is no lecture"):
        fl.load_lecture(plain)


def test_a_lecture_before_any_run_and_one_with_an_override(page, tmp_path):
    ed = page.editor
    ed.save_lecture(tmp_path / "a.json")
    assert Editor(tmp_path / "a.json").debugger is None
    with pytest.raises(fl.DocumentError, match="already, so it was not replaced"):
        ed.save_lecture(tmp_path / "a.json")
    ed.run()
    ed.debugger.override("sq:0", np.zeros((500, 3), "float32"))
    with pytest.raises(fl.DebuggerError, match="sq:0 is overridden"):
        ed.save_lecture(tmp_path / "a.json", overwrite=True)


def test_a_damaged_lecture_is_refused_in_words_and_changes_nothing(taught):
    _, path = taught
    whole = json.loads(path.read_text(encoding="utf-8"))
    page = Page(Editor(net()))
    before = page.editor.document

    def refused(data, words: str) -> None:
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        for opens in (fl.load_document, Editor, page.editor.open):
            with pytest.raises(fl.FlowError, match=words):
                opens(path)
        assert page.editor.document is before

    def changed(**fields) -> dict:
        return {**whole, "lecture": {**whole["lecture"], **fields}}

    refused(path.read_text(encoding="utf-8")[:-40], "is not JSON|has no")
    refused(changed(cursor=-1), "number of firings")
    refused(changed(cursor=10**9), "number of firings")
    refused(changed(at=1.5), "number of a bookmark")
    refused(changed(seed="__import__('os')"), "not a whole number")
    refused(changed(run=-1), "number of a run")
    refused(changed(code="print(1)"), "unknown field 'code'")
    refused(changed(variables={"x": whole["feeds"]["x"]}), "no variable 'x'")
    refused(changed(variables={"hidden/bias": {"dtype": "float32", "shape": [2**50], "data": "AAAA"}}), "do not fill")
    refused({**whole, "lecture": 3}, "lecture is not an object")
    refused({**whole, "storyboard": [{"title": "a", "cursor": "1"}]}, "number of firings")
    refused({**whole, "flowlab": 5}, "pip install -U flowlab")
    path.write_text(json.dumps(changed(variables={"hidden/bias": {"dtype": "float32", "shape": [1], "data": [1.0]}})))
    for opens in (Editor, page.editor.open):
        with pytest.raises(fl.ShapeError, match="hidden/bias"):
            opens(path)
    assert page.editor.document is before
    path.write_text(json.dumps(changed(cursor=4_000_000)))      # further than the run goes
    assert Editor(path).debugger.done
