"""Documents and their files: opened, saved, kept up to date, and never lost, whoever else writes to them."""
from __future__ import annotations

import asyncio
import builtins
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy as np
import pytest
from test_editor_kernel import Page, python_graph

import flowlab as fl
from flowlab.apps import examples
from flowlab.core import files as disk
from flowlab.io import document as D
from flowlab.io.document import Document, document_of
from flowlab.io.edits import AddNode, Move, RemoveNodes, Rename, SetTitle
from flowlab.widgets import files as F, keeping, protocol as P, saved
from flowlab.widgets.editor import Editor
from flowlab.widgets.recovery import MOST, Recovery


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder of its own to work in, and another for what the lab remembers."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(keeping, "QUICK", 60.0)     # however busy this machine is, a save counts as quick
    return tmp_path / "work"


@pytest.fixture
def page(here) -> Page:
    return Page(Editor(python_graph()))


def on_disk(path: Path | str) -> set[str]:
    return set(fl.load_document(path).nodes)


def file(page: Page) -> dict:
    return page.last("file")


def alerts(page: Page) -> list[str]:
    return [m["text"] for m, _ in page.answer if m["type"] == "notice" and m["level"] == "alert"]


# ---------------------------------------------------------------- open, save, autosave


def test_open_puts_a_file_on_the_canvas_and_undo_goes_back_to_the_document_before_and_its_file(page, here):
    fl.save(python_graph(), "a.flow.json")
    (here / "sub").mkdir()
    with fl.Graph("other") as g:
        fl.relu(fl.placeholder((3,), name="W"), name="r")
    fl.save(g, "sub/b.flow.json")
    ed = page.editor
    assert ed.path is None and ed.open("a.flow.json") is ed.document and ed.path == here / "a.flow.json"
    ed.session.variables["W"] = 7 * np.ones((3, 2), "float32")
    ed.edit(Rename("loss", "error"))
    assert page.press("open", node=str(here / "sub" / "b.flow.json")) and set(ed.document.nodes) == {"W", "r"} and ed.path == here / "sub" / "b.flow.json"
    assert file(page)["path"] == "sub/b.flow.json" and not file(page)["dirty"]
    ed.edit(Rename("r", "out"))
    assert on_disk("sub/b.flow.json") == {"W", "out"} and "error" in on_disk("a.flow.json")
    for _ in range(2):
        assert page.press("undo")
    assert ed.path == here / "a.flow.json" and "error" in ed.document.nodes and ed.session.variables["W"][0, 0] == 7
    assert on_disk("sub/b.flow.json") == {"W", "r"} and "error" in on_disk("a.flow.json")
    for _ in range(2):
        assert page.press("undo")
    assert ed.path is None and ed.document.same_graph(python_graph()) and "loss" in on_disk("a.flow.json"), "what is undone before a file was opened does not touch it"
    for _ in range(4):
        assert page.press("redo")
    assert ed.path == here / "sub" / "b.flow.json" and on_disk("sub/b.flow.json") == {"W", "out"}


def test_autosave_writes_every_edit_before_it_is_answered(page, here):
    page.edit(AddNode("Relu", "r"))
    assert os.listdir(here) == [] and page.editor.autosave
    page.press("save")
    for name in ("a", "c", "d"):
        assert page.edit(AddNode("Relu", name)) and name in on_disk("python.flow.json") and not file(page)["dirty"]
    assert page.press("undo") and "d" not in on_disk("python.flow.json")
    assert page.press("autosave_off") and page.edit(AddNode("Relu", "e")) and "e" not in on_disk("python.flow.json") and file(page)["dirty"]
    page.editor.autosave = True
    assert "e" in on_disk("python.flow.json") and not file(page)["dirty"] and file(page)["saved"]
    assert page.press("new") and page.editor.path is None and page.editor.document == Document() and "e" in on_disk("python.flow.json")


def test_a_slider_that_is_dragged_is_saved_when_it_rests(page, here):
    page.press("save")

    async def drag():
        for k in range(20):
            page.say("edit", edits=[{"tag": "Move", "positions": {"x": [k, k]}}], merge="drag")
            assert fl.load_document("python.flow.json").positions == {} and file(page)["dirty"]
        await asyncio.sleep(0)
        for _ in range(200):
            if not page.editor._is_dirty():
                return
            await asyncio.sleep(0.02)
    with ThreadPoolExecutor(1) as beside:       # Playwright's loop may be running in this thread
        beside.submit(asyncio.run, drag()).result()
    assert fl.load_document("python.flow.json").positions == {"x": (19, 19)} and not file(page)["dirty"]


def test_errors_of_open_teach_and_change_nothing(page, here, monkeypatch):
    ed = page.editor
    before = ed.document
    os.mkfifo(here / "pipe.flow.json")
    assert page.press("open", node=str(here / "pipe.flow.json")) is False and "is not a file" in page.alert(), "nobody waits for what writes to a pipe"
    with pytest.raises(FileNotFoundError, match="no file .*nowhere"):
        ed.open("nowhere.flow.json")
    (here / "cut.flow.json").write_text('{"flowlab": 1, "nodes": [')
    with pytest.raises(fl.DocumentError, match="cut.flow.json is not JSON"):
        ed.open("cut.flow.json")
    (here / "new.flow.json").write_text(json.dumps({"flowlab": D.VERSION + 1, "nodes": []}))
    with pytest.raises(fl.DocumentError, match="pip install -U flowlab"):
        ed.open("new.flow.json")
    assert page.press("open", node="/etc/passwd") is False and "recent" in page.alert()
    assert page.press("open", node="new.flow.json") is False
    assert ed.document is before and ed.path is None and page.scene["undo"] is None
    monkeypatch.setattr(D, "VERSION", 5)
    monkeypatch.setattr(D, "MIGRATIONS", {1: lambda data: data, 2: lambda data: data, 3: lambda data: data, 4: lambda data: {**data, "nodes": [{**n, "op": n["op"].replace("Rectify", "Relu")} for n in data["nodes"]]}})
    (here / "old.flow.json").write_text(json.dumps({"flowlab": 1, "name": "old", "nodes": [{"id": 0, "name": "r", "op": "Rectify"}]}))
    assert ed.open("old.flow.json").nodes["r"].op == "Relu" and page.edit(Move({"r": (1, 2)}))
    assert json.loads((here / "old.flow.json").read_text())["flowlab"] == 5, "an older file is written anew in the version of today"


# ---------------------------------------------------------------- names and lists


@pytest.mark.parametrize(("typed", "file"), [("net", "net.flow.json"), ("net.flow.json", "net.flow.json"), ("net.json", "net.flow.json"), (" 卷积 ", "卷积.flow.json"), ("sub/net", "sub/net.flow.json"), ("a.b", "a.b.flow.json")])
def test_a_typed_name_is_a_file_in_the_folder(here, typed, file):
    (here / "sub").mkdir()
    assert F.place_in(here, typed) == here / file


@pytest.mark.parametrize("typed", ["", "  ", ".flow.json", "..", "../net", "/etc/net", "~/net", "C:\\net", "sub/../../net", "nowhere/net", "a\x00b", "a<b", "a\nb", ".hidden", "x" * 300, "图" * 100, "out/net", "a\u202eb"])
def test_a_name_that_cannot_be_says_why(page, here, typed):
    (here / "out").symlink_to(here.parent)
    assert page.say("ask_name", name=typed) and page.last("name_check")["problem"] and not page.last("name_check")["file"]
    assert page.press("save_as", node=typed) is False and sorted(os.listdir(here)) == ["out"] and page.editor.path is None


def test_saving_under_the_name_of_a_strangers_file_asks_first(page, here):
    (here / "net.flow.json").write_text(document_of(fl.Graph("theirs")).text())
    page.say("ask_name", name="net")
    assert page.last("name_check")["file"] == "net.flow.json" and page.last("name_check")["there"].startswith("0 nodes, changed ")
    before = (here / "net.flow.json").read_bytes()
    assert page.press("save_as", node="net") is False and "not replaced" in page.alert() and (here / "net.flow.json").read_bytes() == before and file(page)["trouble"] == ""
    assert page.press("replace", node="net") and on_disk("net.flow.json") == set(page.editor.document.nodes)
    page.say("ask_name", name="net")
    assert page.last("name_check")["there"] == "", "its own file is in nobody's way"
    assert page.press("save_as", node="copy") and page.editor.path == here / "copy.flow.json" and page.edit(AddNode("Relu", "r"))
    assert "r" in on_disk("copy.flow.json") and "r" not in on_disk("net.flow.json")


def test_a_new_document_does_not_replace_the_file_of_the_one_before(page, here):
    ed = page.editor
    assert page.press("save", node="graph") and page.edit(AddNode("Relu", "r"))
    first = (here / "graph.flow.json").read_bytes()
    assert page.press("new") and page.edit(AddNode("Relu", "another"))
    assert page.press("save", node="graph") is False and "is there already" in page.alert() and ed.path is None
    with pytest.raises(fl.DocumentError, match="not replaced"):
        ed.save("graph.flow.json")
    assert (here / "graph.flow.json").read_bytes() == first
    ed.save("other.flow.json")
    ed.edit(AddNode("Relu", "more"))
    ed.save("third.flow.json")
    assert ed.save("other.flow.json") == here / "other.flow.json" and "more" in on_disk("other.flow.json"), "what this document was saved as before may be saved anew"
    fl.save(python_graph(), "theirs.flow.json")
    ed._offer = saved.Saved(Document("theirs"), "2026-11-24T14:02:00", here / "theirs.flow.json")
    assert page.press("go_on") and ed.path == here / "other.flow.json"
    with pytest.raises(fl.DocumentError, match="not replaced"):
        ed.save("theirs.flow.json")     # it was looked at, and holds another document


def test_a_save_that_waits_is_made_before_the_document_leaves_its_file(page, here, monkeypatch):
    monkeypatch.setattr(keeping, "QUICK", -1.0)     # every save waits for edits to pause

    async def leave():
        page.press("save", node="net")
        page.edit(AddNode("Relu", "r"))
        assert "r" not in on_disk("net.flow.json")
        page.press("save_as", node="copy")
        assert "r" in on_disk("net.flow.json") and "r" in on_disk("copy.flow.json")
        page.editor.open("net.flow.json")
        page.edit(AddNode("Relu", "s"))
        page.press("undo")
        page.press("undo")
        assert page.editor.path == here / "copy.flow.json" and "s" not in on_disk("net.flow.json")
    with ThreadPoolExecutor(1) as beside:       # Playwright's loop may be running in this thread
        beside.submit(asyncio.run, leave()).result()


def test_the_files_that_can_be_opened_are_listed_recent_ones_first(page, here):
    for name in ("a", "models/b", "models/deep/c", ".hidden/d", "node_modules/e"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        fl.save(python_graph(), here / f"{name}.flow.json")
    (here / "notes.json").write_text("{}")
    elsewhere = here.parent / "elsewhere.flow.json"
    fl.save(python_graph(), elsewhere)
    page.editor.open(elsewhere)
    assert page.say("ask_files")
    rows = page.last("files")["rows"]
    assert (rows[0]["name"], rows[0]["place"], rows[0]["recent"]) == ("elsewhere.flow.json", str(here.parent), True)
    assert {(r["name"], r["place"]) for r in rows[1:]} == {("a.flow.json", ""), ("b.flow.json", "models"), ("c.flow.json", "models/deep")}
    assert page.press("new") and page.press("open", node=rows[0]["path"]) and page.editor.path == elsewhere


def test_the_list_of_recent_files_is_bounded_and_survives_damage(here):
    for k in range(F.RECENT + 5):
        fl.save(python_graph(), here / f"{k}.flow.json")
        F.note_recent(here / f"{k}.flow.json")
    assert [r.path.name for r in F.recent()] == [f"{k}.flow.json" for k in reversed(range(5, F.RECENT + 5))]
    (here / "24.flow.json").unlink()
    assert F.recent()[0].path.name == "23.flow.json"
    for damage in (b"", b"[", b"\xff\xfe", b'{"a": 1}', b'[1, null, "\\u0000", "relative", "/nowhere"]', b"[" * 100_000, b'"text"'):
        (F.state_folder() / "recent.json").write_bytes(damage)
        assert F.recent() == []
        F.note_recent(here / "7.flow.json")
        assert [r.path.name for r in F.recent()] == ["7.flow.json"]
    (F.state_folder() / "recent.json").unlink()
    (F.state_folder() / "recent.json").mkdir()
    F.note_recent(here / "7.flow.json")
    assert F.recent() == []


def test_a_dropped_file_is_a_document_without_a_file_here(page, here):
    text = document_of(python_graph()).text()
    assert page.say("open_text", name="theirs.flow.json", text=text) and page.editor.path is None and "Opened theirs.flow.json" in page.last("notice")["text"]
    for wrong in ("", "{", '{"flowlab": 99}', "[" * 1000, None, 3, '{"flowlab": 1, "nodes": [{"id": 0, "name": "a\\nb", "op": "x"}]}'):
        before = page.editor.document
        assert page.say("open_text", name="x.json", text=wrong) is False and len(alerts(page)) == 1 and page.editor.document is before
    assert page.press("undo") and page.editor.document.same_graph(python_graph()) and os.listdir(here) == []


# ---------------------------------------------------------------- somebody else writes to the file


@pytest.fixture
def conflict(page, here) -> Page:
    """Mine has r; theirs has the title "theirs"."""
    page.press("save", node="net")
    theirs = fl.load_document("net.flow.json")
    assert page.edit(AddNode("Relu", "before"))
    fl.save(fl.io.edits.apply(theirs, SetTitle("theirs")), "net.flow.json")
    assert page.edit(AddNode("Relu", "r"))
    return page


def test_a_file_changed_by_another_program_is_not_replaced_and_autosave_waits(conflict, here):
    assert file(conflict)["trouble"] == "changed" and file(conflict)["why"].startswith("9 nodes, changed ") and file(conflict)["dirty"]
    before = (here / "net.flow.json").read_bytes()
    assert conflict.edit(AddNode("Relu", "more")) and not alerts(conflict)
    assert conflict.press("save") is False and "another program" in conflict.alert()
    assert (here / "net.flow.json").read_bytes() == before and "more" in conflict.editor.document.nodes


def test_conflict_keep_mine_as_a_copy(conflict, here):
    assert conflict.press("keep_copy") and conflict.editor.path == here / "net (2).flow.json"
    assert "r" in on_disk("net (2).flow.json") and fl.load_document("net.flow.json").name == "theirs" and file(conflict)["trouble"] == ""
    assert conflict.edit(AddNode("Relu", "on")) and "on" in on_disk("net (2).flow.json")


def test_conflict_take_theirs(conflict, here):
    assert conflict.press("take_theirs") and conflict.editor.document.name == "theirs" and "r" not in conflict.editor.document.nodes
    assert not file(conflict)["dirty"] and file(conflict)["trouble"] == ""
    # Undo comes back to mine and to the same choice: nothing is written over what the file holds
    assert conflict.press("undo") and "r" in conflict.editor.document.nodes and file(conflict)["trouble"] == "changed"
    assert conflict.edit(AddNode("Relu", "more")) and fl.load_document("net.flow.json").name == "theirs"
    assert conflict.press("undo") and conflict.press("take_theirs") and conflict.editor.document.name == "theirs" and file(conflict)["trouble"] == ""
    assert conflict.edit(AddNode("Relu", "on")) and on_disk("net.flow.json") == set(conflict.editor.document.nodes)


def test_conflict_overwrite_with_mine(conflict, here):
    assert conflict.press("overwrite") and "r" in on_disk("net.flow.json") and not file(conflict)["dirty"] and file(conflict)["trouble"] == ""
    assert conflict.edit(AddNode("Relu", "on")) and "on" in on_disk("net.flow.json")


def test_equal_content_is_no_conflict(page, here):
    page.press("save", node="net")
    data = (here / "net.flow.json").read_bytes()
    (here / "net.flow.json").unlink()
    (here / "net.flow.json").write_bytes(data)
    assert page.press("look") and file(page)["trouble"] == "" and page.edit(AddNode("Relu", "r")) and "r" in on_disk("net.flow.json")
    page.editor.autosave = False
    page.edit(AddNode("Relu", "s"))
    fl.save(page.editor.document, "net.flow.json")
    assert page.press("look") and file(page)["trouble"] == "" and not file(page)["dirty"]


def test_a_change_is_seen_on_coming_back_where_nothing_was_edited(page, here):
    page.press("save", node="net")
    fl.save(fl.io.edits.apply(page.editor.document, AddNode("Relu", "theirs")), "net.flow.json")
    assert file(page)["trouble"] == "" and page.press("look")
    assert file(page)["trouble"] == "changed" and not file(page)["dirty"] and "10 nodes" in file(page)["why"]
    assert page.press("take_theirs") and "theirs" in page.editor.document.nodes
    (here / "net.flow.json").write_text("no graph at all")
    assert page.press("look") and "no graph" in file(page)["why"] and page.press("take_theirs") is False and page.press("overwrite")
    (here / "net.flow.json").write_bytes(b"x" * 10)
    page.press("look")
    fl.save(page.editor.document, "net.flow.json")
    assert page.press("look") and file(page)["trouble"] == "", "somebody has put it back"


def test_a_file_that_was_moved_away_is_not_brought_back_by_autosave(page, here):
    page.press("save", node="net")
    (here / "net.flow.json").rename(here / "moved.flow.json")
    assert page.edit(AddNode("Relu", "r")) and file(page)["trouble"] == "gone" and os.listdir(here) == ["moved.flow.json"]
    assert page.press("save") and "r" in on_disk("net.flow.json") and "r" not in on_disk("moved.flow.json") and file(page)["trouble"] == ""


def test_two_labs_on_one_file_see_each_other_and_neither_loses_anything(here):
    fl.save(python_graph(), "net.flow.json")
    one, two = Page(Editor()), Page(Editor())
    one.editor.open("net.flow.json")
    two.editor.open("net.flow.json")
    assert one.edit(AddNode("Relu", "one")) and two.edit(AddNode("Relu", "two"))
    assert file(two)["trouble"] == "changed" and "one" in on_disk("net.flow.json") and "two" in two.editor.document.nodes
    assert two.press("keep_copy") and "two" in on_disk("net (2).flow.json") and "one" in on_disk("net.flow.json")
    assert one.edit(AddNode("Relu", "again")) and "again" in on_disk("net.flow.json"), "the other's copy is in nobody's way"
    two.editor.open("net.flow.json")
    assert one.edit(RemoveNodes(("one",))) and two.press("look") and file(two)["trouble"] == "changed" and two.press("take_theirs")
    assert set(two.editor.document.nodes) == set(one.editor.document.nodes)


# ---------------------------------------------------------------- a disk that is full


class Faults:
    """Every call that a save makes of the system, counted; the `at`-th fails."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.count, self.at, self.said = 0, None, []
        for name in ("open", "fsync", "chmod", "replace", "close"):
            patch.setattr(os, name, self.failing(getattr(os, name), name, after=name == "close"))
        patch.setattr(disk, "open", self.open, raising=False)

    def failing(self, call, name, after=False):
        def called(*arguments, **options):
            if after:       # a handle whose close fails is closed all the same
                call(*arguments, **options)
            self.hit(name)
            return None if after else call(*arguments, **options)
        return called

    def hit(self, name):
        self.count += 1
        if self.count == self.at:
            self.said.append(name)
            raise OSError(28, "No space left on device")

    def open(self, *arguments, **options):
        self.hit("open a file")
        file = builtins.open(*arguments, **options)
        outer = self

        class Failing:
            def __enter__(self):
                return self

            def __exit__(self, *what):
                file.close()
                outer.hit("close a file")

            def write(self, data):
                file.write(data[:len(data) // 2])
                outer.hit("write")
                file.write(data[len(data) // 2:])

            def flush(self):
                outer.hit("flush")
                file.flush()

            def fileno(self):
                return file.fileno()
        return Failing()


def test_a_fault_at_every_call_of_a_save_leaves_the_old_file_or_the_new_one_and_says_so(here, monkeypatch):
    told = set()
    for at in range(1, 60):
        page = Page(Editor(python_graph()))
        name = f"net{at}.flow.json"
        assert page.press("save", node=name)
        old = (here / name).read_bytes()
        with monkeypatch.context() as patch:
            faults = Faults(patch)
            faults.at = at
            assert page.edit(Rename("loss", "error"))       # autosave
            count = faults.count
        new = D.file_bytes(page.editor.document)
        assert (here / name).read_bytes() in (old, new) and not [f for f in os.listdir(here) if f.endswith(".tmp")]
        assert "error" in page.editor.document.nodes
        if count < at:
            assert not file(page)["dirty"]
            break
        told.update(faults.said)
        lock = faults.said == ["open"] and at == 1 or faults.said == ["close"] and not file(page)["dirty"]
        if not lock:        # a lock that cannot be had is no reason not to save
            assert file(page)["trouble"] == "failed" and file(page)["why"] == "No space left on device" and file(page)["dirty"]
        with monkeypatch.context() as patch:
            faults = Faults(patch)
            faults.at = at
            page.press("save")
        assert (here / name).read_bytes() in (old, new)
        assert page.edit(Rename("error", "end")) and not file(page)["dirty"] and file(page)["trouble"] == "" and "end" in on_disk(name), "when there is room again it is saved, with no word of a conflict"
    else:
        raise AssertionError("a save does not end")
    assert {"open a file", "write", "flush", "close a file", "fsync", "chmod", "replace", "open"} <= told


# ---------------------------------------------------------------- a connection that breaks


def test_a_message_that_comes_twice_is_done_once(page):
    edit = {"type": "edit", "seq": 77, "edits": [{"tag": "AddNode", "op": "Relu", "attrs": {}}]}
    for _ in range(3):
        page.editor._on_message(page.editor, edit, [])
        assert page.heard[-1][0]["type"] == "done" and page.heard[-1][0]["ok"]
    assert sorted(n for n in page.editor.document.nodes if n.startswith("Relu")) == ["Relu"]
    undo = {"type": "command", "seq": 78, "name": "undo"}
    for _ in range(2):
        page.editor._on_message(page.editor, undo, [])
    assert page.editor.document.same_graph(python_graph())
    dropped = {"type": "open_text", "seq": 80, "name": "t", "text": Document("dropped").text()}
    for _ in range(2):
        page.editor._on_message(page.editor, dropped, [])
    assert page.editor.document.name == "dropped" and page.press("undo") and page.editor.document.same_graph(python_graph())
    refused = {"type": "edit", "seq": 79, "edits": [{"tag": "RemoveNodes", "names": ["nothing"]}]}
    for _ in range(2):
        page.editor._on_message(page.editor, refused, [])
        assert not page.heard[-1][0]["ok"]


def test_answers_name_the_question_so_that_each_of_two_views_takes_its_own(page):
    page.say("ask_code")
    assert page.last("code")["re"] == page.seq
    page.edit(AddNode("Relu"))
    assert page.scene["re"] == page.seq
    page.editor.edit(AddNode("Relu"))
    assert "re" not in page.scene


# ---------------------------------------------------------------- a kernel that was killed


def test_what_was_edited_is_found_again_by_notebook_and_cell(here):
    document = document_of(python_graph())
    kept = Recovery(here / "a.ipynb", "cell", 0)
    assert kept.find() is None
    kept.keep(document, here / "net.flow.json")
    found = Recovery(here / "a.ipynb", "cell", 0).find()
    assert found.document == document and found.file == here / "net.flow.json" and found.when
    assert Recovery(here / "a.ipynb", "cell", 1).find() is None and Recovery(here / "b.ipynb", "cell", 0).find() is None
    for damage in (b"", b"{", b"[]", b'{"saved": 3, "document": {}}', b'{"saved": "2026-11-24T14:02:00", "document": {"flowlab": 99}}', b"\xff"):
        kept.path.write_bytes(damage)
        assert kept.find() is None
    kept.forget()
    assert not kept.path.exists()
    for k in range(MOST + 5):
        Recovery(here / f"{k}.ipynb", "cell", 0).keep(document, None)
    assert len(os.listdir(kept.path.parent)) == MOST


def test_of_two_kept_documents_the_later_one_is_offered():
    early, late = (saved.Saved(Document(name), stamp) for name, stamp in (("early", "2026-11-24T14:02:00+08:00"), ("late", "2026-11-24T14:02:00+00:00")))
    assert saved.later(early, late) is late and saved.later(late, early) is late and saved.later(None, early) is early and saved.later(late, None) is late and saved.later(None, None) is None
    assert saved.later(saved.Saved(Document(), "nonsense"), early) is early


def test_going_on_with_a_document_goes_on_in_its_file(here, monkeypatch):
    edited = fl.io.edits.apply(document_of(python_graph()), AddNode("Relu", "r"))
    fl.save(edited, "net.flow.json")
    page = Page(Editor(python_graph()))
    page.editor._offer = saved.Saved(edited, "2026-11-24T14:02:00", here / "net.flow.json")
    assert page.press("go_on") and page.editor.path == here / "net.flow.json" and not file(page)["dirty"]
    assert page.press("undo") and page.editor.path is None and page.editor.document.same_graph(python_graph()) and "r" in on_disk("net.flow.json")
    # killed before the last edit was in the file: it still holds what it was known to hold
    holds = F.digest((here / "net.flow.json").read_bytes())
    page = Page(Editor(python_graph()))
    page.editor._offer = saved.Saved(fl.io.edits.apply(edited, AddNode("Relu", "last")), "2026-11-24T14:02:00", here / "net.flow.json", holds)
    assert page.press("go_on") and page.editor.path == here / "net.flow.json" and "last" in on_disk("net.flow.json")
    # killed at any moment of an edit: what is written down and the file go together
    page = Page(Editor(python_graph()))
    page.editor._output._recovery = kept = Recovery(here / "a.ipynb", "cell", 0)
    assert page.edit(AddNode("Relu", "r")) and kept.find().file is None
    assert page.press("save", node="moments") and kept.find().file == here / "moments.flow.json", "without another edit"
    moments, write = [], F.DocumentFile.write

    def watched(*args, **options):
        moments.append((kept.find(), (here / "moments.flow.json").read_bytes()))
        write(*args, **options)
        moments.append((kept.find(), (here / "moments.flow.json").read_bytes()))
    with monkeypatch.context() as patch:
        patch.setattr(F.DocumentFile, "write", watched)
        assert page.edit(AddNode("Relu", "a")) and page.edit(AddNode("Relu", "c")) and len(moments) == 4
    for offer, content in moments:
        (here / "moments.flow.json").write_bytes(content)
        assert Page(Editor(python_graph())).editor._file_holding(offer) is not None
    fl.save(python_graph(), "net.flow.json")
    page = Page(Editor(python_graph()))
    page.editor._offer = saved.Saved(edited, "2026-11-24T14:02:00", here / "net.flow.json", holds)
    assert page.press("go_on") and page.editor.path is None and "r" in page.editor.document.nodes, "a file that holds something else by now is left alone"


# ---------------------------------------------------------------- whatever a page sends


@pytest.mark.parametrize("name", ["new", "open", "save", "save_as", "replace", "keep_copy", "take_theirs", "overwrite", "autosave_on", "autosave_off", "look"])
def test_no_file_command_makes_the_kernel_raise_or_leave_its_folder(here, name):
    outside = set(os.listdir(here.parent))
    for node in (None, "", "x", "../x", "/etc/passwd", "\x00", "a" * 500, 3, ["x"], {"a": 1}):
        page = Page(Editor(python_graph()))
        page.editor._on_message(page.editor, {"type": "command", "seq": 5, "name": name, "node": node}, [])
        assert page.heard[-1][0]["type"] == "done"
    assert set(os.listdir(here.parent)) - outside <= {"data"} and all(f.endswith(".flow.json") for f in os.listdir(here))


def test_a_new_page_is_told_of_the_file(page, here):
    page.press("save", node="net")
    assert page.say("hello", version=P.VERSION) and file(page)["path"] == "net.flow.json" and file(page)["folder"] == str(here) and file(page)["autosave"]


# ---------------------------------------------------------------- notebooks of strangers


def test_flowlab_lab_drops_saved_widget_state_of_notebooks_that_were_not_signed_here(tmp_path):
    from jupyter_server.services.contents.filemanager import FileContentsManager
    from nbformat.sign import NotebookNotary

    from flowlab import server

    class Lab(FileContentsManager):
        pass

    def notebook():
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")], metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {"a": {}}}}})
    manager = Lab(root_dir=str(tmp_path), notary=NotebookNotary(db_file=":memory:", secret=b"mine"))
    server.drop_state_of_strangers(Lab)
    server.drop_state_of_strangers(Lab)
    nbformat.write(notebook(), tmp_path / "theirs.ipynb")
    assert "widgets" not in manager.get("theirs.ipynb")["content"]["metadata"]
    manager.save({"type": "notebook", "format": "json", "content": notebook()}, "mine.ipynb")
    assert "widgets" in manager.get("mine.ipynb")["content"]["metadata"]


@pytest.mark.parametrize("name", ["lstm", "pagerank"])
def test_a_graph_to_begin_with_opens_with_its_numbers_and_undo_gives_the_document_back(page, name):
    assert {t["name"] for t in page.last("palette")["templates"]} == {f.__name__ for f in examples.ALL}
    before = page.editor.document
    assert page.press("new", node=name) and "Undo goes back" in page.last("notice")["hint"]
    example = getattr(fl.examples, name)()
    assert page.editor.graph.same_graph(example) and page.editor.feeds.keys() == example.feeds.keys()
    assert page.press("run") and page.run["done"]
    assert page.editor.undo() and page.editor.document is before
    assert page.press("new", node="no such") and not page.editor.document.nodes, "a name that is none opens an empty one"
