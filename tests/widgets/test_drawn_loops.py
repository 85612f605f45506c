"""Loops and branches on the canvas: their inside stands among the nodes, and is stepped timestep by timestep."""
from __future__ import annotations

import numpy as np

import flowlab as fl
from flowlab.io.edits import AddNode, Connect, Move, Paste, RemoveNodes, Rename, SetAttr
from flowlab.widgets.editor import Editor
from tests.nested import nested
from tests.widgets.test_editor_kernel import Page

SEQ = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")


def rnn(gradient=False) -> fl.Graph:
    with fl.Graph("rnn") as g:
        seq, h0 = fl.placeholder(("batch", 5, 3), name="seq"), fl.placeholder(("batch", 4), name="h0")
        W, U = fl.variable(fl.init.glorot_uniform((3, 4)), name="W"), fl.variable(fl.init.glorot_uniform((4, 4)), name="U")
        with fl.scan(seq, time_axis=1, name="rnn") as step:
            prev = step.state("h", init=h0)
            h = fl.tanh(step.input @ W + prev @ U)
            step.update(prev, h)
            step.output(h)
        loss = fl.mean(step.outputs[0] ** 2, name="loss")
        if gradient:
            fl.gradients(loss, [W, U])
    return g


def page_of(g: fl.Graph) -> Page:
    return Page(Editor(g, feeds={"seq": SEQ, "h0": np.zeros((2, 4), "float32")}))


def test_a_loop_is_drawn_with_its_inside_and_a_wire_to_the_next_timestep():
    scene = page_of(rnn()).scene
    names = {n["name"]: n for n in scene["nodes"]}
    assert {"rnn/input", "rnn/h", "rnn/MatMul", "rnn/MatMul_1", "rnn/Add", "rnn/Tanh", "rnn/Scan"} <= names.keys()
    assert [e["id"] for e in scene["edges"] if e["loop"]] == ["rnn/Tanh:0->rnn/h:next"]
    edges = {e["id"]: e for e in scene["edges"]}
    assert edges["W:0->rnn/MatMul:b"]["shape"] == "(3, 4)" and edges["rnn/input:0->rnn/MatMul:a"]["shape"] == "(batch, 3)"
    assert {"seq:0->rnn/input:x", "h0:0->rnn/h:start", "rnn/Tanh:0->rnn/Scan:output 0"} <= edges.keys()
    assert names["rnn/h"]["label"] == "h (t−1)" and names["rnn/input"]["label"] == "input (t)"
    assert [(o["name"], o["loop"]) for o in scene["opened"]] == [("rnn", "loop")]


def test_stepping_fires_inside_and_every_timestep_shows_its_own_values():
    page = page_of(rnn())
    trace = fl.Session(page.editor.graph, seed=page.editor.session.seed).trace("loss", {"seq": SEQ, "h0": np.zeros((2, 4))})
    assert page.press("step") and page.run["last"] == "rnn/MatMul" and page.states["rnn/Scan"] == "running" and page.run["timesteps"] == {"rnn": "t = 0"}
    assert page.states["rnn/h"] == "done" and (page.thumbs["rnn/h:0"] == 0).all() and "rnn/Tanh:0" not in page.thumbs
    np.testing.assert_array_equal(page.thumbs["rnn/input:0"], SEQ[:, 0])
    assert page.press("step_timestep") and page.run["timesteps"] == {"rnn": "t = 0"} and page.run["next"] == "rnn/MatMul"
    for t in range(1, 5):
        assert page.press("step") and page.run["timesteps"] == {"rnn": f"t = {t}"} and "rnn/Tanh:0" not in page.thumbs
        np.testing.assert_array_equal(page.thumbs["rnn/h:0"], trace.value("rnn/Tanh:0", at=("rnn", t - 1)))
        np.testing.assert_array_equal(page.thumbs["rnn/input:0"], SEQ[:, t])
        assert page.press("step_timestep")
        np.testing.assert_array_equal(page.thumbs["rnn/Tanh:0"], trace.value("rnn/Tanh:0", at=("rnn", t)))
    assert page.press("back_timestep") and page.run["timesteps"] == {"rnn": "t = 3"}
    np.testing.assert_array_equal(page.thumbs["rnn/Tanh:0"], trace.value("rnn/Tanh:0", at=("rnn", 3)))
    np.testing.assert_array_equal(page.thumbs["rnn/input:0"], SEQ[:, 3])
    assert page.press("resume") and page.press("resume") and page.states["rnn/Scan"] == page.states["loss"] == "done"
    assert page.run["cursor"] == page.run["length"] == len(trace)


def test_a_value_inside_a_loop_can_be_asked_for():
    page = page_of(rnn())
    page.press("step_timestep")
    assert page.say("ask", tensor="rnn/Tanh:0")
    value = page.last("value")
    assert value["tensor"] == "rnn/Tanh:0" and value["known"] and value["shape"] == [2, 4]


def test_the_loop_of_a_gradient_is_folded_until_it_is_wanted():
    page = page_of(rnn(gradient=True))
    assert [s["name"] for s in page.scene["scopes"]] == ["gradients/rnn/Scan"] and [e["loop"] for e in page.scene["edges"]].count(True) == 1
    assert page.press("unfold", scopes=["gradients/rnn/Scan"])
    assert {"gradients/rnn/Scan/Tanh/Multiply"} <= {n["name"] for n in page.scene["nodes"]} and [e["loop"] for e in page.scene["edges"]].count(True) == 4
    assert page.press("fold", scopes=["rnn"]) and "rnn" in [s["name"] for s in page.scene["scopes"]] and "rnn/Tanh" not in [n["name"] for n in page.scene["nodes"]]
    page.press("step")
    assert page.states["rnn"] == "running" and page.run["last_drawn"] == "rnn"
    page.press("run")
    assert page.run["done"] and page.states["rnn"] == "done"


def test_what_is_inside_is_edited_as_anything_else_and_undone():
    page = page_of(rnn())
    before = page.editor.document
    for edits in ([RemoveNodes(("rnn/Tanh",))], [Rename("rnn/h", "state")], [AddNode("Relu", "rnn/Relu"), Connect("rnn/Add:0", "rnn/Relu:x"), Connect("rnn/Relu:0", "rnn/h:next")]):
        assert page.edit(*edits) and page.editor.document != before
        assert page.press("undo") and page.editor.document == before
    assert page.edit(Rename("rnn/h", "state")) and {"rnn/Tanh:0->rnn/state:next"} == {e["id"] for e in page.scene["edges"] if e["loop"]} and page.scene["select"] == "rnn/state"
    assert page.press("undo") and page.edit(RemoveNodes(("loss",))) and page.press("undo") and page.editor.document == before


def test_the_loop_of_a_gradient_is_not_edited_and_says_so():
    page = page_of(rnn(gradient=True))
    assert page.press("unfold", scopes=["gradients/rnn/Scan"])
    before = page.editor.document
    assert not page.edit(RemoveNodes(("gradients/rnn/Scan/Tanh/Multiply",))) and "part of a gradient" in page.alert() and page.editor.document is before


def test_a_loop_is_built_by_hand_half_wired_all_the_way_and_runs():
    page = Page(Editor())
    for edits in ([AddNode("Placeholder", "seq"), SetAttr("seq", "shape", "batch, 5, 3")], [AddNode("Placeholder", "h0"), SetAttr("h0", "shape", "batch, 3")], [AddNode("Variable", "W"), SetAttr("W", "shape", "3, 3")]):
        assert page.edit(*edits)
    assert page.edit(AddNode("Scan", "rnn")) and page.scene["select"] == "rnn/input" and page.scene["undo"] == "add Scan"
    names = {n["name"]: n for n in page.scene["nodes"]}
    assert [(p["port"], p["wired"], p["back"]) for p in names["rnn/h"]["inputs"]] == [("start", False, False), ("next", False, True)]
    assert [p["port"] for p in names["rnn/Scan"]["inputs"]] == ["final h", "output 0"] and names["rnn/h"]["outputs"][0]["tensor"] == "rnn/h:0"
    assert [(o["name"], o["node"]) for o in page.scene["opened"]] == [("rnn", "rnn/Scan")] and not page.press("run")
    assert page.edit(Connect("seq:0", "rnn:x"), Connect("h0:0", "rnn/h:start"))
    assert page.edit(AddNode("MatMul", scope="rnn"), Connect("rnn/input:0", "rnn/MatMul:a"), Connect("W:0", "rnn/MatMul:b")) and page.scene["select"] == "rnn/MatMul"
    assert page.say("ask_fits", tensor="rnn/MatMul:0") and page.last("fits")["shapes"]["Tanh"] == "(batch, 3)" and page.last("fits")["ports"]["State"] == "next"
    assert page.edit(AddNode("Add", scope="rnn"), Connect("rnn/MatMul:0", "rnn/Add:a"), Connect("rnn/h:0", "rnn/Add:b"), Move({"rnn/Add": (5.0, 6.0)}))
    assert next(n for n in page.scene["nodes"] if n["name"] == "rnn/Add")["x"] == 5.0
    assert page.edit(Connect("rnn/Add:0", "rnn/h:next"), Connect("rnn/Add:0", "rnn/Scan:output 0")) and not page.scene["diagnostics"]
    page.editor.feeds = {"seq": SEQ, "h0": np.zeros((2, 3), "float32")}
    page.editor.session.variables["W"] = np.eye(3, dtype="float32")
    assert page.press("run")
    np.testing.assert_allclose(page.editor.results["rnn/Scan"], SEQ.cumsum(1), rtol=1e-5)
    assert page.say("ask_code", names=["rnn/MatMul", "rnn/Add"]) and "fl.matmul(input, W, name='MatMul')" in page.last("code")["text"] and "rnn/Add" in page.last("code")["lines"]
    assert page.say("ask_clip", names=["rnn/MatMul", "rnn/Add"]) and page.last("clip")["count"] == 2
    assert page.edit(Paste(page.last("clip")["text"], "rnn")) and {"rnn/MatMul_1", "rnn/Add_1"} <= set(page.scene["chosen"])
    while page.press("undo"):
        if page.scene["undo"] is None:
            break
    assert not page.editor.document.nodes


def test_branches_and_loops_in_loops_are_drawn_and_stepped():
    g = nested()
    page = Page(Editor(g, feeds={"x": np.float32([4, -1, 9])}))
    loops = {o["name"]: o["loop"] for o in page.scene["opened"]}
    assert loops == {"outer": "loop", "outer/root": "branch", "outer/grow": "loop"}
    assert [o["name"] for n in page.scene["nodes"] if n["name"] == "outer/grow/While" for o in n["outputs"]] == ["final.k"]
    want = fl.Session(g).run("y", {"x": [4, -1, 9]})
    seen = set()
    while not page.run["done"]:
        assert page.press("step")
        seen |= set(page.run["timesteps"].items())
        assert page.run["last"] in {n["name"] for n in page.scene["nodes"]}
    assert {("outer", "t = 2"), ("outer/root", "then"), ("outer/root", "otherwise")} <= seen
    assert page.editor.results["y"] == want
    while page.run["cursor"]:
        assert page.press("back")
    assert page.states.get("outer/Scan") == "ready" and not {n for n, state in page.states.items() if state == "done"} & {"outer/root/Sqrt", "outer/grow/Add", "y"}
