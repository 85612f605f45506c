"""What the kernel tells a page about composites, copies, code, live values and values from the notebook."""
from __future__ import annotations

import numpy as np
import pytest
from test_editor_kernel import Page

import flowlab as fl
from flowlab.io.edits import AddComposite, Connect, Differentiate, Group, Insert, Paste, PutFrame, PutNote, Ungroup
from flowlab.widgets import editor as kernel
from flowlab.widgets.editor import Editor


@pytest.fixture
def page() -> Page:
    with fl.Graph("line") as g:
        x, s = fl.placeholder(("batch", 3), name="x"), fl.constant(2.0, name="s")
        W = fl.variable(np.ones((3, 2), "float32"), name="W")
        fl.mean(fl.tanh(fl.matmul(x, W, name="mm") * s, name="act"), name="loss")
    return Page(Editor(g, feeds={"x": [[1, 2, 3]]}))


def status(page: Page) -> str:
    return " ".join(m["text"] for m, _ in page.answer if m["type"] == "notice")


def test_a_composite_is_drawn_folded_with_its_ports_and_offered_again(page):
    assert page.edit(Group(("mm", "act", "Multiply"), "layer"))
    assert "Made the composite layer with 3 inputs and 1 output" in status(page)
    scene = page.last("scene")
    (layer,) = scene["scopes"]
    assert (layer["name"], layer["composite"], scene["select"]) == ("layer", "layer", "layer")
    assert [(p["port"], p["label"], p["wired"], p["tensor"]) for p in layer["in_ports"]] == [("a", "a", True, "x:0"), ("b", "b", True, "W:0"), ("b_1", "b_1", True, "s:0")]
    assert [(p["label"], p["tensor"], p["shape"]) for p in layer["out_ports"]] == [("out", "layer/act:0", "(batch, 2)")]
    assert {(e["src"], e["src_port"], e["dst"], e["dst_port"]) for e in scene["edges"]} == {
        ("x", "0", "layer", "a"), ("W", "0", "layer", "b"), ("s", "0", "layer", "b_1"), ("layer", "out", "loss", "x")}
    assert [(c["name"], c["of"], c["inputs"], c["uses"]) for c in scene["composites"]] == [("layer", "layer", ["a", "b", "b_1"], 1)]
    assert page.edit(AddComposite("layer"))
    scene = page.last("scene")
    assert scene["composites"][0]["uses"] == 2 and scene["select"] == "layer_1"
    again = next(s for s in scene["scopes"] if s["name"] == "layer_1")
    assert [(p["port"], p["wired"]) for p in again["in_ports"]] == [("a", False), ("b", False), ("b_1", False)]
    assert page.edit(Connect("x:0", "layer_1:a"), Connect("W:0", "layer_1:b"), Connect("s:0", "layer_1:b_1"))
    assert not page.editor.diagnostics and len(page.last("scene")["edges"]) == 7
    assert page.edit(Ungroup("layer_1")) and page.editor.document.composites.keys() == {"layer"}


def test_variables_keep_their_values_when_they_go_into_a_composite(page):
    page.editor.session.variables["W"] = np.full((3, 2), 7.0, "float32")
    assert page.edit(Group(("W", "mm"), "layer"))
    np.testing.assert_array_equal(page.editor.session.variables["layer/W"], np.full((3, 2), 7.0))
    assert page.press("undo")
    np.testing.assert_array_equal(page.editor.session.variables["W"], np.full((3, 2), 7.0))


def test_every_edit_of_this_kind_is_one_step_of_undo(page):
    before = page.editor.document
    for edit in (Group(("mm", "act", "Multiply")), Differentiate("loss:0"), Insert("act:0->loss:x", "Relu"), PutNote("hm", 1.0, 2.0), PutFrame("f", "red", ("mm",))):
        assert page.edit(edit)
        after = page.editor.document
        assert page.press("undo") and page.editor.document.same_graph(before) and page.editor.document.notes == () and page.editor.document.frames == ()
        assert page.press("redo") and page.editor.document.same_graph(after)
        assert page.press("undo")


def test_a_clip_goes_from_one_lab_into_another(page):
    assert page.say("ask_clip", names=["W", "mm"])
    clip = page.last("clip")
    assert clip["count"] == 2
    other = Page(Editor())
    assert other.edit(Paste(clip["text"]))
    assert other.last("scene")["chosen"] == ["W", "mm"] and other.editor.document.nodes["mm"].inputs == {"b": "W:0"}
    assert not other.edit(Paste('{"flowlab_clip": 1}')) and len(other.editor.document.nodes) == 2
    assert not page.say("ask_clip", names=["nobody"]) and not page.say("ask_clip", names=[])


def test_code_says_which_line_makes_which_node(page):
    assert page.say("ask_code", names=[])
    code = page.last("code")
    lines = code["text"].splitlines()
    assert all(f"name={name!r}" in lines[last] for name, (_, last) in code["lines"].items()) and len(code["lines"]) == 7
    space: dict = {}
    exec(code["text"], space)
    assert page.editor.document.same_graph(space["g"])
    assert page.say("ask_code", names=["act", "loss"])
    part = page.last("code")
    assert part["names"] == ["act", "loss"] and sorted(part["lines"]) == ["Multiply", "act", "loss"]
    exec(part["text"], space)
    assert space["g"].node("Multiply").op.name == "Placeholder" and space["g"].tensor("Multiply:0").shape == ("batch", 2)


def test_live_runs_follow_every_edit_and_merge_into_one_step(page):
    assert page.press("live_on") and page.run["live"]
    before = float(page.editor.results["loss"])
    for k in range(3):
        assert page.say("edit", edits=[{"tag": "SetAttr", "node": "s", "attr": "value", "value": str(0.1 * k)}], merge="slide s 1")
    assert float(page.editor.results["loss"]) == pytest.approx(np.tanh(6 * 0.2), rel=1e-5) != before
    assert page.press("undo") and float(page.editor.document.nodes["s"].attrs["value"]) == 2.0 and float(page.editor.results["loss"]) == before
    assert page.press("redo") and float(page.editor.results["loss"]) == pytest.approx(np.tanh(6 * 0.2), rel=1e-5)
    page.editor.feeds["x"] = 0 * page.editor.feeds["x"]
    assert float(page.editor.results["loss"]) == 0
    assert page.press("undo") and page.press("undo")
    assert page.press("live_off") and not page.run["live"]
    assert page.say("edit", edits=[{"tag": "SetAttr", "node": "s", "attr": "value", "value": "3"}]) and page.editor.results == {}


def test_live_is_off_for_what_writes_to_variables_and_for_what_takes_long(page, monkeypatch):
    with fl.Graph() as g:
        loss = fl.mean(fl.square(fl.variable(np.ones(3, "float32"), name="w")), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    trained = Page(Editor(g))
    values = trained.editor.session.variables["w"].copy()
    assert trained.press("live_on") and not trained.run["live"] and "writes to variables" in status(trained)
    np.testing.assert_array_equal(trained.editor.session.variables["w"], values)
    monkeypatch.setattr(kernel, "LIVE_BUDGET", -1.0)
    assert page.press("live_on") and not page.run["live"] and "Live is off: a run takes" in status(page)


def test_a_bound_feed_is_read_when_a_run_starts_and_checked(page, monkeypatch):
    notebook: dict = {"rows": np.zeros((2, 3)), "scale": 0.0}
    monkeypatch.setattr(Editor, "_namespace", lambda self: notebook)
    assert page.say("edit", edits=[{"tag": "Bind", "node": "x", "variable": "rows"}, {"tag": "Bind", "node": "s", "variable": "scale"}])
    assert next(n for n in page.last("scene")["nodes"] if n["name"] == "x")["bound"] == "rows"
    assert page.press("run") and float(page.editor.results["loss"]) == 0.0 and page.editor.feeds["x"].shape == (2, 3)
    notebook.update(rows=np.ones((5, 3)), scale=1.0)
    assert page.press("stop") and page.press("run") and float(page.editor.results["loss"]) == pytest.approx(np.tanh(3), rel=1e-6)
    notebook["rows"] = np.ones((5, 4))
    assert page.press("stop") and not page.press("run") and "axis 1 is 4, not 3" in status(page)
    del notebook["rows"]
    assert not page.press("run") and "no variable of that name" in status(page)
    notebook["rows"] = object()
    assert not page.press("run")
    assert not page.say("edit", edits=[{"tag": "Bind", "node": "x", "variable": "__import__('os')"}]) and "not the name of a variable" in status(page)


def test_what_fits_says_at_which_input_and_refuses_what_cannot(page):
    assert page.say("ask_fits", tensor="act:0")
    fits = page.last("fits")
    assert fits["ports"]["Where"] == "x" and fits["ports"]["MatMul"] == "a" and fits["ports"]["Concat"] == "xs.0"
    assert fits["shapes"]["Relu"] == "(batch, 2)"


def test_the_ports_of_any_folded_scope_can_be_wired(page):
    with fl.Graph() as g:
        x, _ = fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 3), name="y")
        fl.mean(fl.nn.dense(x, 2, name="hidden"), name="loss")
    folded = Page(Editor(g))
    assert folded.press("fold", scopes=["hidden"])
    (hidden,) = folded.last("scene")["scopes"]
    assert [p["port"] for p in hidden["in_ports"]] == ["x:0"] and [p["label"] for p in hidden["in_ports"]] == [""]
    assert folded.edit(Connect("y:0", "hidden:x:0"))
    assert folded.editor.document.nodes["hidden/MatMul"].inputs["a"] == "y:0"
    out = hidden["out_ports"][0]["port"]
    assert folded.edit(Connect(f"hidden:{out}", "loss:x")) and folded.editor.document.nodes["loss"].inputs["x"] == out
    assert not folded.edit(Connect("x:0", "hidden:x:0")) and "no input" in status(folded)
    assert folded.edit(Group(("hidden", "loss"), "all")) and folded.edit(Ungroup("all")) and "hidden" in {s["name"] for s in folded.last("scene")["scopes"]}


def test_a_loop_goes_into_a_composite_and_its_inside_does_not():
    with fl.Graph() as g:
        seq, h0 = fl.placeholder((2, 5, 3), name="seq"), fl.placeholder((2, 3), name="h0")
        with fl.scan(seq, time_axis=1, name="rnn") as step:
            prev = step.state("h", init=h0)
            h = fl.tanh(step.input + prev)
            step.update(prev, h)
            step.output(h)
        fl.mean(step.outputs[0], name="m")
    looped = Page(Editor(g, feeds={"seq": np.ones((2, 5, 3)), "h0": np.zeros((2, 3))}))
    assert not looped.edit(Group(("rnn/Tanh", "m"))) and "inside" in status(looped)
    assert looped.press("run")
    before = float(looped.editor.results["m"])
    assert looped.edit(Group(("rnn", "m"), "model")) and looped.press("run")
    assert float(looped.editor.results["model/m"]) == before
    assert looped.press("unfold", scopes=["model"])
    assert looped.say("ask_clip", names=["model"]) and Page(Editor()).edit(Paste(looped.last("clip")["text"]))
