"""Predict, then reveal, asked for as the page asks: a run stops before the node, gives nothing away, and keeps what was answered."""
from __future__ import annotations

import json

import numpy as np
import pytest
from nested import small_scan

import flowlab as fl
from flowlab.io.document import from_text
from flowlab.io.edits import RemoveNodes, Rename
from flowlab.widgets.editor import Editor
from tests.widgets.test_editor_kernel import Page


def squares() -> fl.Graph:
    with fl.Graph("squares") as g:
        x = fl.placeholder(("batch", 3), name="x")
        w = fl.variable(np.float32([[1], [-2], [3]]), name="w")
        y = fl.matmul(x, w, name="y")
        fl.gradients(fl.sum(fl.square(y, name="sq"), name="loss"), [w])
    return g


@pytest.fixture
def page() -> Page:
    return Page(Editor(squares(), feeds={"x": np.float32([[1, 2, 3], [0, 1, 0]])}))


def debug(page: Page, name: str, **fields) -> bool:
    return page.say("debug", name=name, **fields)


def status(page: Page) -> str:
    return " ".join(m["text"] for m, _ in page.heard[-12:] if m["type"] == "notice")


def asked(page: Page) -> list[dict]:
    return page.last("debugging")["questions"]


def test_every_way_to_run_stops_before_what_is_asked_and_asks(page):
    page.editor.ask("sq:0", "value", at=(0, 0))
    for command in ("step", "step_level", "step_scope", "step_pass", "step_timestep", "resume", "run"):
        page.press("stop")
        for _ in range(3):
            assert page.press(command), command
        assert page.run["next"] == "sq" and page.states["y"] == "done" and page.states["sq"] == "ready", command
        assert asked(page)[0]["now"] and "Before sq fires: a question." in status(page)
    assert page.say("command", name="fire", node="sq") and page.run["cursor"] == 1
    assert page.say("command", name="run_to", node="loss") and page.run["cursor"] == 1
    with pytest.raises(fl.DebuggerError, match="waits before sq"):
        page.editor.step()


def test_an_answer_makes_the_step_and_is_kept(page, tmp_path):
    page.editor.ask("y:0", "shape")
    page.press("step")
    assert debug(page, "answer", target="y:0", kind="shape", text="2, ?!") is False and "cannot be read from character 5 on: !" in page.alert()
    assert asked(page)[0]["open"] and page.run["cursor"] == 0
    assert debug(page, "answer", target="y:0", kind="shape", text="batch, 3")
    told = page.last("revealed")
    assert (told["verdict"], told["answer"], told["truth"]) == ("nearly", "batch, 3", "(2, 1) = (batch, 1)")
    assert told["sentences"] == ["Only axis 1 is off.", "Rows of a times columns of b: (2, 3) · (3, 1) keeps 2 and 1, and the inner size 3 is summed away."]
    assert page.run["cursor"] == 1 and not asked(page)[0]["open"]

    kept = page.editor.answers
    assert [(a.tensor, a.kind, a.verdict, a.firing) for a in kept] == [("y:0", "shape", "nearly", 1)]
    assert kept.to_csv(tmp_path / "a.csv").splitlines()[1].startswith('y:0,shape,,"batch, 3","(2, 1) = (batch, 1)",nearly,') and (tmp_path / "a.csv").read_text().count("\n") == 2
    assert json.loads(kept.to_json())[0]["truth"] == "(2, 1) = (batch, 1)"
    page.editor.save(tmp_path / "asked.flow.json")
    again = fl.load_document(tmp_path / "asked.flow.json")
    assert again.answers == page.editor.document.answers and again.questions == page.editor.document.questions
    assert json.loads((tmp_path / "asked.flow.json").read_text())["flowlab"] == 3

    assert page.editor.undo() and asked(page)[0]["open"] and asked(page)[0]["now"], "it is put again where it was passed"
    assert not page.editor.answers and page.editor.redo() and len(page.editor.answers) == 1
    assert page.editor.undo() and page.editor.undo() and not page.editor.questions


def test_nothing_gives_a_value_away_while_its_question_is_open(page):
    page.editor.feeds["x"] = np.float32([[1.25, 2.5, 3.75], [0, 1, 0]])       # y is 7.5 and −2, its square 56.25 and 4
    for tensor in ("sq:0", "loss:0"):
        debug(page, "watch_add", target=tensor)
    page.editor.ask("sq:0", "value")
    start = len(page.heard)
    page.press("run")
    page.editor.undo(), page.editor.redo()
    for message in ({"type": "ask", "tensor": "sq:0"}, {"type": "debug", "name": "explain", "target": "sq:0"}, {"type": "debug", "name": "why_zero", "target": "sq:0"},
                    {"type": "debug", "name": "heat", "text": "memory"}, {"type": "debug", "name": "branch", "target": "y:0", "text": "[[7.5], [-2]]"}):
        page.say(**message)

    def given_away() -> bool:
        heard = page.heard[start:]
        return any("56.25" in json.dumps(m) for m, _ in heard) or any(np.any(np.frombuffer(b, "<f4") == 56.25) for _, buffers in heard for b in buffers if len(b) % 4 == 0)
    assert not given_away() and page.last("value")["asked"] and not page.last("value")["known"]
    page.press("run")
    assert debug(page, "answer", target="sq:0", kind="value", text="56.25\n4") and page.last("revealed")["verdict"] == "right" and given_away()


def test_neither_memory_nor_code_tells_a_shape_that_is_asked_for(page):
    page.press("run")
    debug(page, "heat", text="memory")
    assert {"y", "sq"} <= page.last("debugging")["heat"]["shares"].keys()
    page.editor.ask("y:0", "shape")
    assert not {"y", "sq"} & page.last("debugging")["heat"]["shares"].keys() and not {"y:0", "sq:0"} & page.last("debugging")["heat"]["wires"].keys()
    page.say("ask_code", names=["sq"])
    assert "batch, 1" not in page.last("code")["text"] and "('batch', 1)" not in page.last("code")["text"] and "sq" in page.last("code")["note"]
    assert debug(page, "skip", target="y:0", kind="shape") and "y" in page.last("debugging")["heat"]["shares"]
    page.say("ask_code", names=["sq"])
    assert "('batch', 1)" in page.last("code")["text"]


def test_a_value_that_is_there_already_is_taken_back_when_it_is_asked_for(page):
    page.editor.run()
    assert "sq:0" in page.thumbs or page.say("ask", tensor="sq:0")
    page.editor.ask("sq:0", "value")
    assert page.last("state")["full"] and not any(t["tensor"] == "sq:0" for t in page.last("state")["thumbs"]) and asked(page)[0]["now"]
    assert debug(page, "skip", target="sq:0", kind="value") and page.editor.answers[0].verdict == "skipped"
    assert any(t["tensor"] == "sq:0" for t in page.last("state")["thumbs"])


def test_a_shape_that_is_asked_for_stands_nowhere(page):
    page.editor.ask("y:0", "shape")

    def shape() -> object:
        return next(o for n in page.last("scene")["nodes"] for o in n["outputs"] if o["tensor"] == "y:0")["shape"]
    debug(page, "watch_add", target="y:0")
    page.say("ask_find", text="y")
    page.say("ask", tensor="y:0")
    page.say("ask_preview", key="k", edits=[{"tag": "AddNode", "op": "Relu", "name": "r"}, {"tag": "Connect", "src": "y:0", "dst": "r:x"}])
    assert shape() is None and all(e["shape"] is None for e in page.last("scene")["edges"] if e["tensor"] in ("y:0", "sq:0")), "nor that of what is computed from it"
    assert next(h for h in page.last("found")["hits"] if h["name"] == "y")["note"] == "" and page.last("value")["shape"] == []
    assert page.last("debugging")["watches"][0]["shape"] == "" and next(e for e in page.last("preview")["edges"] if e["src"] == "y")["shape"] is None
    page.press("run")
    assert debug(page, "skip", target="y:0", kind="shape") and shape() == "(batch, 1)"


def test_one_number_an_array_and_a_sign_are_judged(page):
    ed = page.editor
    ed.ask("y:0", "value")
    ed.ask("sq:0", "value", at=(0, 0))
    asked = ed.ask("w", "gradient sign", at=(1, 0))
    assert asked.tensor.startswith("gradients/y/") and asked.kind == "sign"
    with pytest.raises(fl.DocumentError, match="more than one number"):
        ed.ask("w", "gradient sign")
    with pytest.raises(fl.DocumentError, match="has no gradient"):
        ed.ask("x", "gradient sign", at=(0, 0))
    with pytest.raises(fl.DocumentError, match="no element"):
        ed.ask("y", "value", at=(0, 1))
    with pytest.raises(fl.DocumentError, match="no step gives it"):
        ed.ask("x")
    with pytest.raises(fl.DebuggerError):
        ed.run()
    assert ed.answer("y", [[6], [-2]]).verdict == "right"
    with pytest.raises(fl.DebuggerError):
        ed.run()
    assert ed.answer("sq:0", "-36").verdict == "nearly"
    with pytest.raises(fl.DebuggerError):
        ed.run()
    want = float(ed.session.run(fl.gradients(ed.graph.tensor("loss:0"), [ed.graph.tensor("w:0")]), {"x": ed.feeds["x"]})[0][1, 0])
    record = ed.answer(asked.tensor, "+" if want > 0 else "−")
    assert (record.verdict, record.truth) == ("right", "+" if want > 0 else "−")
    assert ed.run() and [a.verdict for a in ed.answers] == ["right", "nearly", "right"]


def test_a_question_follows_a_new_name_and_says_when_its_node_is_gone(page):
    page.editor.ask("sq:0", "value", text="What comes out?")
    assert page.edit(Rename("sq", "square"))
    assert [q.tensor for q in page.editor.questions] == ["square:0"]
    assert page.edit(RemoveNodes(("square",))) and not page.editor.questions
    assert "Dropped the question about square:0" in status(page)
    page.editor.undo()
    assert [q.text for q in page.editor.questions] == ["What comes out?"]


def test_the_code_of_a_part_of_a_loop_tells_no_shape_that_is_asked_for():
    with fl.Graph() as g:
        seq = fl.placeholder(("time", 3), name="seq")
        with fl.scan(seq, time_axis=0, name="rnn") as step:
            h = step.state("h", init=fl.constant(np.zeros(7, "float32")))
            new = fl.tanh(h + fl.sum(step.input), name="new")
            step.update(h, fl.multiply(new, 0.5, name="half"))
        fl.sum(step.states["h"], name="total")
    page = Page(Editor(g, feeds={"seq": np.zeros((2, 3), "float32")}))
    page.say("ask_code", names=["rnn/half"])
    assert "7" in page.last("code")["text"], page.last("code")["text"]
    page.editor.ask("rnn/new:0", "shape")
    page.say("ask_code", names=["rnn/half"])
    assert "7" not in page.last("code")["text"] and "half" in page.last("code")["note"]


def test_inside_a_loop_it_is_asked_at_the_first_timestep():
    page = Page(Editor(small_scan(), feeds={"seq": np.ones((4, 3), "f")}))
    page.editor.ask("rnn/new:0", "shape")
    assert page.press("run") and asked(page)[0]["now"]
    assert debug(page, "answer", target="rnn/new:0", kind="shape", text="3"), page.alert()
    assert page.last("revealed")["verdict"] == "right"
    page.press("resume")
    assert page.run["done"]
    assert page.edit(Rename("rnn", "loop")) and page.editor.answers[0].tensor == "loop/new:0"


def test_a_kernel_that_fails_leaves_the_question_open(page):
    page.editor.feeds["x"] = np.float32([[1, 2, 3]])
    page.editor.ask("sq", "value")
    page.press("run")
    page.editor.undo(), page.editor.redo()
    assert debug(page, "answer", target="sq:0", kind="value", text="") is False and "empty" in page.alert()
    assert page.editor.questions[0].open


@pytest.mark.parametrize("questions, answers", [
    ([{"tensor": "y", "kind": "value"}], []), ([{"tensor": "y:0", "kind": "colour"}], []), ([{"tensor": "y:0", "kind": "value", "at": ["0"]}], []), ("y:0", []), ([], [{}]), ([{"tensor": "y:0", "kind": "value", "more": 1}], []),
    ([], [{"tensor": "y:0", "kind": "value", "verdict": "right", "firing": -1}]), ([{"tensor": "y:0", "kind": "value", "open": "no"}], []),
])
def test_questions_in_a_file_are_data_that_is_checked(questions, answers):
    text = json.dumps({"flowlab": 3, "nodes": [{"id": 0, "name": "y", "op": "Square"}], "questions": questions, "answers": answers})
    with pytest.raises(fl.DocumentError):
        from_text(text)
