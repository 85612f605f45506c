"""Ten thousand nodes: little of them is drawn, all of them can be found, and what is drawn as one can be worked on as one."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

import flowlab as fl
from flowlab.io.build import build
from flowlab.io.document import document_of
from flowlab.widgets import protocol as P, scene as S
from tests.large import flat, residual


def opened(graph, feeds=None):
    """An Editor whose page has said hello, and what it was sent since: `ask` sends a message and gives the answers by type."""
    editor = fl.Editor(graph, feeds=feeds)
    sent: list[dict] = []
    numbers = itertools.count(1)
    editor.send = lambda message, buffers=None: sent.append(message)

    def ask(kind, **content):
        sent.clear()
        editor._on_message(editor, {"type": kind, "seq": next(numbers), **content}, [])
        return {m["type"]: m for m in sent}

    return editor, ask, ask("hello", version=P.VERSION)


@pytest.fixture(scope="module")
def ten_thousand():
    return residual(204)


@pytest.fixture(scope="module")
def flat_graph():
    return flat(10_000)


FEEDS = {"x": np.ones((2, 4), "f"), "labels": np.zeros(2, "int64")}


def elements(scene):
    return [e["name"] for e in (*scene["nodes"], *scene["scopes"])]


def test_a_network_of_ten_thousand_nodes_opens_as_a_handful(ten_thousand):
    _, _, said = opened(ten_thousand)
    scene = said["scene"]
    assert scene["total"] > 9_800 and len(elements(scene)) < 20 and len(scene["edges"]) < 40
    stack = next(s for s in scene["scopes"] if s["stack"])
    assert (stack["name"], stack["label"], stack["count"], stack["stack"]) == ("block_0…block_203", "block_0…203", 204, "repeats")
    assert stack["shape"] == "(batch, 4)"


def test_a_stack_opens_one_by_one_and_goes_back(ten_thousand):
    editor, ask, _ = opened(ten_thousand)
    scene = ask("command", name="unfold", scopes=["block_0…block_203"])["scene"]
    blocks = [s for s in scene["scopes"] if s["name"].startswith("block_")]
    assert len(blocks) == 204 and {s["stack"] for s in blocks} == {None} and scene["select"] == "block_0"
    assert len({s["alike"] for s in blocks}) == 1 and blocks[0]["alike"] > 0, "scopes that are alike share a colour"
    assert len({s["alike"] for s in scene["scopes"] if s["name"] in ("stem", "block_0")}) == 2
    ask("command", name="unfold", scopes=["block_3"])
    scene = ask("command", name="fold", scopes=["block_7"])["scene"]
    assert scene["select"] == "block_4…block_203"
    assert [s["count"] for s in scene["scopes"] if s["stack"]] == [200], "what is open stays open, and parts the row"
    scene = ask("command", name="fold", scopes=[])["scene"]
    assert [s["count"] for s in scene["scopes"] if s["stack"]] == [204]


def test_a_hundred_layers_are_drawn_one_by_one_and_nothing_small_is_stacked():
    with fl.Graph("g") as g:
        h = fl.placeholder(("batch", 4), name="x")
        for k in range(100):
            h = fl.nn.dense(h, 4, name=f"layer_{k}")
    document = document_of(g)
    shown = S.drawn(document, build(document))
    assert not shown.stacks and len(shown.scopes) == 100 and len(set(shown.alike.values())) == 1


def test_scopes_of_other_shapes_or_operations_are_not_alike():
    with fl.Graph("g") as g:
        h = fl.placeholder(("batch", 4), name="x")
        for k in range(60):
            h = fl.nn.dense(h, 4 if k < 30 else 5, activation="relu" if k % 2 else "tanh", name=f"layer_{k}")
    document = document_of(g)
    alike = S.drawn(document, build(document)).alike
    assert alike["layer_1"] == alike["layer_3"] != alike["layer_2"] == alike["layer_4"]
    assert alike["layer_31"] == alike["layer_33"] != alike["layer_1"]


def test_a_graph_without_scopes_is_drawn_in_stretches(flat_graph):
    editor, ask, said = opened(flat_graph)
    scene = said["scene"]
    assert len(elements(scene)) == 100 and all(s["stack"] == "stretch" and s["count"] == 100 for s in scene["scopes"])
    scene = ask("command", name="unfold", scopes=[scene["scopes"][40]["name"]])["scene"]
    assert len(scene["nodes"]) == 100 and len(scene["scopes"]) == 99
    answer = ask("command", name="unfold", scopes=[])
    assert answer["notice"]["level"] == "alert" and "10,000 elements" in answer["notice"]["text"]
    scene = ask("command", name="fold", scopes=[scene["nodes"][5]["name"]])["scene"]
    assert len(elements(scene)) == 100


def test_find_looks_through_all_and_reveal_unfolds_what_it_is_hidden_in(ten_thousand):
    editor, ask, _ = opened(ten_thousand)
    found = ask("ask_find", text="block_100/w")["found"]
    assert found["hits"][0]["name"].startswith("block_100/wide") and found["hits"][0]["drawn"] == "block_0…block_203"
    assert found["total"] > len(found["hits"]) - 1 and len(found["hits"]) <= S.FOUND
    exact = ask("ask_find", text="narrow")["found"]["hits"]
    assert exact[0]["op"] == "scope" and exact[0]["name"].endswith("/narrow")
    assert ask("ask_find", text="zzz")["found"]["hits"] == []
    deep = "gradients/block_17/wide/MatMul/MatMul"
    for name in ("block_100/wide/MatMul", deep, "block_50/narrow"):
        scene = ask("command", name="reveal", node=name)["scene"]
        assert name in elements(scene) and scene["select"] == name and len(elements(scene)) < 120
    assert "block_100/wide/MatMul" in elements(scene), "what was found before stays open"
    assert ask("command", name="reveal", node="nowhere")["notice"]["level"] == "alert"


def test_every_node_can_be_revealed_in_a_flat_graph_however_often(flat_graph):
    editor, ask, _ = opened(flat_graph)
    for k in range(0, 9_999, 2_400):
        scene = ask("command", name="reveal", node=f"n{k + 1}")["scene"]
        assert f"n{k + 1}" in elements(scene) and len(elements(scene)) <= S.DRAWN_UP_TO


def test_an_edit_of_a_stack_is_one_of_all_that_it_stands_for(ten_thousand):
    editor, ask, said = opened(ten_thousand)
    stack = "block_0…block_203"
    answer = ask("edit", edits=[{"tag": "Rename", "name": stack, "to": "deep"}])
    assert answer["notice"]["level"] == "alert" and "204 scopes" in answer["notice"]["text"]
    ask("edit", edits=[{"tag": "Move", "positions": {stack: [10, 20]}}])
    assert editor.document.positions == {"block_0": (10.0, 20.0)}
    ask("selected", names=[stack])
    assert len(editor.selection) == 204
    ask("edit", edits=[{"tag": "PutFrame", "title": "the blocks", "colour": "blue", "names": [stack]}])
    assert len(editor.document.frames[0].members) == 204
    scene = ask("edit", edits=[{"tag": "RemoveNodes", "names": [stack]}])["scene"]
    assert not any(n.startswith("block_") for n in editor.document.nodes) and scene["total"] < 8_000
    ask("command", name="undo")
    assert len(editor.document.nodes) == len(ten_thousand.nodes)


def test_what_a_step_sends_does_not_grow_with_the_graph(ten_thousand):
    editor, ask, _ = opened(ten_thousand, FEEDS)
    ask("command", name="step")
    state = ask("command", name="step")["state"]
    assert state["cursor"] == 2 and len(state["states"]) < 20 and len(state["progress"]) < 20 and len(state["thumbs"]) < 20
    assert state["progress"]["block_0…block_203"][1] == 204 * 7


def test_stepping_needs_no_generated_code(ten_thousand):
    editor, ask, _ = opened(ten_thousand, FEEDS)
    ask("command", name="step")
    assert editor.debugger.plan._code == []
