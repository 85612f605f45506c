"""The start page: what it tells of a folder is text of that folder alone, and a click there writes a new notebook and nothing else."""
from __future__ import annotations

import json
import os
import re
from pathlib import Path

import nbformat
import pytest

import flowlab as fl
from flowlab.core.errors import DocumentError
from flowlab.io.document import document_of
from flowlab.widgets import files as F, start

ROOT = Path(__file__).resolve().parents[2]
BOOK = json.loads((ROOT / "widgets/src/shared/words/zh-CN.json").read_text("utf-8"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and a list of recent files of its own."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def put(path: Path, *cells: str) -> None:
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(c) for c in cells]), path)


def test_lessons_come_in_their_order_with_the_words_of_their_notebooks():
    found = start.contents(ROOT / "notebooks")["lessons"]
    names = sorted(p.name for p in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    assert [n["path"] for n in found["en"]] == names
    assert [n["path"] for n in found["zh-CN"]] == [f"zh-CN/{n}" for n in names]
    assert found["en"][0]["title"] == "Dataflow graphs" and found["zh-CN"][0]["title"] == "数据流图"
    for lesson in (*found["en"], *found["zh-CN"]):
        assert lesson["says"] and not re.search(r"\*\*|`|\$|\n", lesson["says"])
    assert all(n["says"][-1] in "。？！" for n in found["zh-CN"])


@pytest.mark.parametrize(("cells", "title", "says"), [
    (["# A **bold** title\n\nOne *sentence* with `code`, a [link](https://a.b) and $x$. Another one."], "A bold title", "One sentence with code, a link and x."),
    (["# Title", "Text of\nthe next cell"], "Title", "Text of the next cell"),
    (["no heading"], "mine", ""),
    (["# Title\n\n![picture](a.png)\n\n<img src=x onerror=alert(1)>\n\n3.5 is a number. It is."], "Title", "3.5 is a number."),
    (["# 标题\n\n第一行\n第二行。第三句。"], "标题", "第一行第二行。"),
    (["# <img src=x onerror=alert(1)>\n\nx"], "<img src=x onerror=alert(1)>", "x"),       # text for the page, which shows it as text
    (["# " + "long " * 200 + "\n\n" + "word " * 200], ("long " * 200)[:240], ("word " * 200)[:240] + "…"),
])
def test_a_title_and_a_first_sentence_are_plain_text(folder, cells, title, says):
    put(folder / "mine.ipynb", *cells)
    found, = start.contents(folder)["notebooks"]
    assert (found["title"], found["says"]) == (title, says)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"cells": 3}', '{"cells": [{"cell_type": "markdown"}]}', '{"cells": [{"cell_type": "markdown", "source": [1]}]}', "[" * 5000, '{"cells": [3]}'])
def test_a_damaged_notebook_has_its_name(folder, text):
    (folder / "02_the_name.ipynb").write_text(text)
    lesson, = start.contents(folder)["lessons"]["en"]
    assert (lesson["title"], lesson["says"]) == ("the name", "")


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_nothing_outside_of_the_folder_is_told(folder):
    put(folder.parent / "secret.ipynb", "# Secret")
    (folder / "01_link.ipynb").symlink_to(folder.parent / "secret.ipynb")
    (folder / "zh-CN").symlink_to(folder.parent)
    os.mkfifo(folder / "03_pipe.ipynb")
    fl.save(fl.examples.mlp(), folder.parent / "outside.flow.json")
    (folder / "link.flow.json").symlink_to(folder.parent / "outside.flow.json")
    for path in (folder.parent / "outside.flow.json", folder / "link.flow.json"):
        F.note_recent(path)
        with pytest.raises(DocumentError, match="no recent graph"):
            start.begin(folder, graph=path.name)
    told = start.contents(folder)
    assert told["lessons"] == {"en": [], "zh-CN": []} and told["notebooks"] == [] and told["recent"] == []


def test_a_template_opens_a_new_notebook_each_time(folder):
    (folder / "lstm.ipynb").write_text("mine")
    (folder / "lstm-1.ipynb").symlink_to(folder.parent / "nowhere")
    assert [start.begin(folder, template="lstm") for _ in range(2)] == ["lstm-2.ipynb", "lstm-3.ipynb"]
    assert (folder / "lstm.ipynb").read_text() == "mine" and not (folder.parent / "nowhere").exists()
    notebook = nbformat.read(folder / "lstm-2.ipynb", as_version=4)
    nbformat.validate(notebook)
    names: dict = {}
    exec(notebook.cells[0].source, names)
    assert fl.load_document(names["ed"].save(folder / "a.flow.json")) == names["ed"].document
    assert document_of(fl.examples.lstm()).nodes.keys() == names["ed"].document.nodes.keys()


def test_a_recent_graph_opens_in_an_editor_that_keeps_its_file(folder, monkeypatch):
    name = "it's \"a\" net; import os.flow.json"
    fl.save(fl.examples.pagerank(), folder / name)
    F.note_recent(folder / name)
    row, = start.contents(folder)["recent"]
    assert row["path"] == name and row["picture"] == start.template_picture("pagerank")
    written = start.begin(folder, graph=row["path"])
    assert Path(written).name == written
    names: dict = {}
    monkeypatch.chdir(folder)
    exec(nbformat.read(folder / written, as_version=4).cells[0].source, names)
    assert names["ed"].path == folder / name and "ranks" in names["ed"].document.nodes


def test_a_recent_lecture_opens_where_it_was_saved_and_is_not_said_to_be_kept(folder, monkeypatch):
    teacher = fl.Editor(fl.examples.pagerank())
    teacher.step()
    teacher.save_lecture(folder / "class.lecture.flow.json")
    code = nbformat.read(folder / start.begin(folder, graph="class.lecture.flow.json"), as_version=4).cells[0].source
    assert "every edit is kept" not in code
    names: dict = {}
    monkeypatch.chdir(folder)
    exec(code, names)
    assert names["ed"].path is None and names["ed"].debugger.cursor == 1
    (folder / "class.lecture.flow.json").write_text('{"lecture"')
    with pytest.raises(DocumentError, match="class.lecture.flow.json"):
        start.begin(folder, graph="class.lecture.flow.json")


@pytest.mark.parametrize("asked", [{"template": "../x"}, {"template": "__import__"}, {"graph": "/etc/passwd"}, {"graph": "../x.flow.json"}, {}])
def test_what_is_not_offered_is_not_opened(folder, asked):
    with pytest.raises(DocumentError):
        start.begin(folder, **asked)
    assert not list(folder.iterdir())


def test_every_template_is_told_of_and_drawn():
    for template in start.contents(ROOT)["templates"]:
        assert {template["label"], template["says"]} <= BOOK.keys() | {"MLP", "CNN", "LSTM", "PageRank"}
        picture = template["picture"]
        assert len(picture["nodes"]) > 4 and len({(c, r) for c, r, *_ in picture["nodes"]}) == len(picture["nodes"])
        assert all(picture["nodes"][a][0] < picture["nodes"][b][0] for a, b in picture["edges"])
