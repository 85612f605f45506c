"""Composites, copies, bypasses and gradients are made of a document without losing a name or a wire, or not at all."""
from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

import flowlab as fl
from flowlab.io import making
from flowlab.io.build import build
from flowlab.io.document import Document, document_of, from_text
from flowlab.io.edits import (
    AddComposite,
    AddNode,
    Bind,
    Bypass,
    Connect,
    Differentiate,
    Disconnect,
    Duplicate,
    Group,
    Insert,
    MarkFetch,
    Paste,
    PutFrame,
    PutNote,
    RemoveFrame,
    RemoveNodes,
    RemoveNote,
    Rename,
    SetAttr,
    Ungroup,
    apply,
)


@pytest.fixture
def line() -> Document:
    with fl.Graph("line") as g:
        x = fl.placeholder(("batch", 3), name="x")
        W = fl.variable(np.ones((3, 3), "float32"), name="W")
        z = fl.add(fl.matmul(x, W, name="mm"), x, name="plus")
        fl.mean(fl.tanh(z, name="act"), name="loss")
    return document_of(g)


def test_a_composite_has_a_port_for_what_enters_and_one_for_what_leaves(line):
    made = apply(line, Group(("mm", "plus", "act"), "block"))
    assert list(made.nodes) == ["x", "W", "block/mm", "block/plus", "block/act", "loss"]
    block = made.composites["block"]
    assert dict(block.ports) == {"a": ("block/mm:a", "block/plus:b"), "b": ("block/mm:b",)}
    assert dict(block.inputs) == {"a": "x:0", "b": "W:0"} and dict(block.outputs) == {"out": "block/act:0"}
    assert made.nodes["loss"].inputs == {"x": "block/act:0"}
    assert from_text(made.text()) == made and not build(made).diagnostics
    assert apply(made, Ungroup("block")).same_graph(line)


def test_composites_nest_and_unpack_in_any_order(line):
    made = apply(line, Group(("mm", "plus"), "inner"), Group(("inner", "act"), "outer"))
    assert list(made.composites) == ["outer/inner", "outer"]
    assert apply(made, Ungroup("outer"), Ungroup("inner")).same_graph(line)
    assert apply(made, Ungroup("outer/inner"), Ungroup("outer")).same_graph(line)


def test_what_would_wait_for_itself_is_no_composite(line):
    with pytest.raises(fl.CycleError, match="plus stands between") as caught:
        apply(line, Group(("mm", "act")))
    assert caught.value.hint == "Select plus too."


def test_a_wire_to_the_port_of_a_composite_goes_to_all_that_is_behind_it(line):
    made = apply(line, Group(("mm", "plus", "act"), "block"), AddNode("Placeholder", "other"), SetAttr("other", "shape", "batch, 3"), Connect("other:0", "block:a"), Connect("block:out", "loss:x"))
    assert made.nodes["block/mm"].inputs["a"] == made.nodes["block/plus"].inputs["b"] == "other:0"
    assert made.composites["block"].inputs["a"] == "other:0"
    cut = apply(made, Disconnect("block:a"))
    assert "a" not in cut.nodes["block/mm"].inputs and "a" not in cut.composites["block"].inputs and "a" in cut.composites["block"].ports
    with pytest.raises(fl.DocumentError, match="no input 'q'"):
        apply(made, Connect("x:0", "block:q"))
    with pytest.raises(fl.CycleError):
        apply(made, Connect("loss:0", "block:a"))


def test_the_composite_of_a_function_stays_one_when_another_tensor_goes_in():
    @fl.composite
    def affine(x, w):
        return x @ w + x

    with fl.Graph() as g:
        x, w, _ = fl.placeholder((None, 3), name="x"), fl.variable(np.ones((3, 3), "float32"), name="w"), fl.placeholder((None, 3), name="other")
        affine(x, w)
    made = apply(document_of(g), Connect("other:0", "affine:x"))
    assert made.composites["affine"].inputs == {"x": "other:0", "w": "w:0"} and made.nodes["affine/Add"].inputs["b"] == "other:0"
    again = apply(made, AddComposite("affine"))
    assert dict(again.composites["affine_1"].ports) == {"x": ("affine_1/MatMul:a", "affine_1/Add:b"), "w": ("affine_1/MatMul:b",)}
    assert not build(apply(again, Connect("x:0", "affine_1:x"), Connect("w:0", "affine_1:w"))).diagnostics


def test_another_use_of_a_composite_has_fresh_nodes_and_open_inputs(line):
    made = apply(line, Group(("W", "mm", "plus"), "layer"), AddComposite("layer"), Connect("act:0", "layer_1:a"))
    assert {"layer_1/W", "layer_1/mm", "layer_1/plus"} < made.nodes.keys()
    assert len({n.id for n in made.nodes.values()}) == len(made.nodes)
    assert made.nodes["layer_1/mm"].inputs == {"a": "act:0", "b": "layer_1/W:0"} and not build(made).diagnostics
    named = apply(made, Rename("layer", "dense"))
    assert named.composites["dense"].function == "dense" and named.composites["dense"].ports["a"] == ("dense/mm:a", "dense/plus:b")


def test_a_composite_follows_what_is_done_inside_it(line):
    made = apply(line, Group(("mm", "plus"), "block"))
    inside = apply(made, AddNode("Relu", "block/r"), Connect("block/plus:0", "block/r:x"), Connect("block/r:0", "act:x"), Connect("x:0", "block/plus:b"))
    assert dict(inside.composites["block"].outputs) == {"out": "block/plus:0", "r": "block/r:0"}
    assert "block" not in apply(inside, RemoveNodes(("block",))).composites
    assert apply(made, RemoveNodes(("block/mm",))).composites["block"].ports == {"a": ("block/plus:b",), "a_1": ("block/plus:a",)}
    assert all(i.rpartition(":")[0] in inside.nodes for p in inside.composites["block"].ports.values() for i in p)


def test_copies_keep_the_wires_between_them_and_everything_that_they_hold(line):
    text = making.clip_text(line, ("W", "mm", "act"))
    made = apply(Document(), Paste(text), Paste(text))
    assert list(made.nodes) == ["W", "mm", "act", "W_1", "mm_1", "act_1"]
    assert made.nodes["mm_1"].inputs == {"b": "W_1:0"} and made.nodes["act"].inputs == {}
    assert made.nodes["W_1"].attrs == made.nodes["W"].attrs == line.nodes["W"].attrs
    twice = apply(line, Duplicate(("mm", "plus")))
    assert twice.nodes["plus_1"].inputs == {"a": "mm_1:0"} and twice.nodes["mm"] == line.nodes["mm"]


def test_copies_stand_where_they_are_put(line):
    twice = apply(line, Duplicate(("mm", "plus"), {"mm": (10.0, 200.0), "plus": (160.0, 200.0)}))
    assert dict(twice.positions) == {"mm_1": (10.0, 200.0), "plus_1": (160.0, 200.0)}
    text = making.clip_text(making.placed(line, {"W": (50.0, 0.0), "mm": (40.0, 80.0), "act": (0.0, 0.0)}), ("W", "mm"))
    assert dict(apply(line, Paste(text, "", 300.0, 400.0)).positions) == {"W_1": (310.0, 400.0), "mm_1": (300.0, 480.0)}
    block = apply(line, Group(("mm", "plus"), "block"))
    assert apply(block, Duplicate(("block",), {"block": (5.0, 6.0)})).positions["block_1"] == (5.0, 6.0)
    with pytest.raises(fl.FlowError, match="not a place"):
        apply(line, Paste(text, "", 1e7, 1.0))


@pytest.mark.parametrize("text, why", [
    ("3", "no nodes of flowlab"), ("rows\t3", "not JSON"), ('{"flowlab_clip": 9, "document": {}}', "another version"), ('{"flowlab_clip": 1, "document": {"flowlab": 1, "nodes": 3}}', "not a list"),
    (json.dumps({"flowlab_clip": 1, "document": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu"}, {"id": 1, "name": "b", "op": "Rm -rf"}]}}), "Rm -rf"),
    (json.dumps({"flowlab_clip": 1, "document": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Constant"}, {"id": 1, "name": "b", "op": "Relu", "inputs": {"zz": "a:0"}}]}}), "zz"),
])
def test_a_paste_that_does_not_fit_is_refused_whole(line, text, why):
    with pytest.raises(fl.FlowError, match=why):
        apply(line, Paste(text))


def test_bypass_sends_on_the_first_input_that_fits(line):
    made = apply(line, Bypass("act"))
    assert made.nodes["loss"].inputs == {"x": "plus:0"}
    assert apply(line, Bypass("mm")).nodes["plus"].inputs == {"a": "x:0", "b": "x:0"}
    with fl.Graph() as g:
        a = fl.placeholder((2, 5), name="a")
        fl.matmul(fl.matmul(a, np.ones((5, 4), "float32"), name="first"), np.ones((4, 3), "float32"), name="second")
    with pytest.raises(fl.DocumentError, match="cannot be bypassed"):
        apply(document_of(g), Bypass("first"))
    with pytest.raises(fl.DocumentError, match="takes nothing"):
        apply(line, Bypass("x"))


def test_an_operation_is_inserted_into_a_wire_at_the_input_that_takes_it(line):
    made = apply(line, Insert("act:0->loss:x", "Relu"))
    assert made.nodes["Relu"].inputs == {"x": "act:0"} and made.nodes["loss"].inputs == {"x": "Relu:0"}
    made = apply(line, AddNode("Where"), Insert("act:0->loss:x", node="Where"))
    assert made.nodes["Where"].inputs == {"x": "act:0"}, "the condition takes bool alone"
    with pytest.raises(fl.DocumentError, match="cannot stand"):
        apply(line, Insert("act:0->loss:x", "Placeholder"))
    with pytest.raises(fl.DocumentError, match="no wire"):
        apply(line, Insert("act:0->mm:b", "Relu"))


def test_differentiate_adds_the_gradient_that_python_would():
    with fl.Graph() as g:
        x = fl.placeholder((4, 3), name="x")
        W = fl.variable(np.ones((3, 2), "float32"), name="W")
        loss = fl.mean(fl.square(x @ W), name="loss")
    held = document_of(g)
    fl.gradients(loss, g.trainable_variables)
    made = apply(held, Differentiate("loss:0"))
    assert made.same_graph(g)
    assert {n.gradient_of for n in made.nodes.values()} >= {"loss", "MatMul"}
    assert apply(apply(held, MarkFetch("loss")), Differentiate("loss:0")).fetches[0] == "loss" and len(apply(apply(held, MarkFetch("loss")), Differentiate("loss:0")).fetches) == 2
    with pytest.raises(fl.DocumentError, match="only a scalar"):
        apply(held, Differentiate("MatMul:0"))


def test_a_gradient_without_variables_is_taken_by_the_placeholders():
    with fl.Graph() as g:
        x = fl.placeholder((3,), name="x")
        y = fl.sum(fl.square(x), name="y")
    made = apply(document_of(g), Differentiate("y:0"))
    fl.gradients(y, [x])
    assert made.same_graph(g)


def test_notes_and_frames_are_part_of_the_document(line):
    made = apply(line, PutNote("**Hello** $x^2$", 3.0, 4.0), PutFrame("encoder", "blue", ("mm", "plus")), PutNote("other", 1.0, 1.0))
    assert from_text(made.text()) == made
    moved = apply(made, PutNote("**Hello** again", index=0), PutNote("other", 9.0, 8.0, 1), PutFrame("decoder", "red", index=0))
    assert [(n.text, n.x) for n in moved.notes] == [("**Hello** again", 3.0), ("other", 9.0)] and moved.frames[0].members == ("mm", "plus") and moved.frames[0].colour == "red"
    assert apply(moved, RemoveNote(0)).notes[0].text == "other" and apply(moved, RemoveFrame(0)).frames == ()
    assert apply(moved, Rename("mm", "times")).frames[0].members == ("times", "plus")
    assert apply(moved, RemoveNodes(("mm", "plus"))).frames == ()
    assert apply(moved, Group(("mm", "plus"), "block")).frames[0].members == ("block",)
    for edit in (PutNote(" ", 0.0, 0.0), RemoveNote(7), PutFrame("t", "mauve", ("mm",)), PutFrame("t", "red", ()), PutFrame("t", "red", ("nobody",)), RemoveFrame(3)):
        with pytest.raises(fl.DocumentError):
            apply(made, edit)


def test_a_feed_is_bound_to_a_name_and_never_to_an_expression(line):
    made = apply(line, Bind("x", "images"))
    assert made.bound == {"x": "images"} and from_text(made.text()) == made
    assert apply(made, Rename("x", "y")).bound == {"y": "images"} and apply(made, Bind("x", "")).bound == {} and apply(made, RemoveNodes(("x",))).bound == {}
    for wrong in ("a.b", "f()", "__builtins__", "a b", "1x"):
        with pytest.raises(fl.DocumentError, match="not the name of a variable"):
            apply(line, Bind("x", wrong))
    with pytest.raises(fl.FeedError):
        apply(line, Bind("mm", "images"))


def test_what_leaves_a_copied_composite_without_a_port_of_its_own_gets_a_name():
    made = apply(Document(), AddNode("Variable", "block/W"), AddNode("Variable", "block/V"), Group(("block/W", "block/V"), "inner"), AddNode("Relu", "act"), Connect("block/inner/W:0", "act:x"))
    bare = replace(made, composites=MappingProxyType({k: replace(c, ports=MappingProxyType({}), outputs=MappingProxyType({})) for k, c in made.composites.items()}))
    for document in (made, bare):       # made by hand, and by a function that gave nothing back
        copied = apply(document, Duplicate(("block",)))
        assert copied.composites["block_1/inner"].outputs["W"] == "block_1/inner/W:0"
        assert from_text(copied.text()) == copied
