"""Edits are pure, and each refusal says what is wrong, where, and what to do."""
from __future__ import annotations

import json

import numpy as np
import pytest

import flowlab as fl
from flowlab.io import edits as E
from flowlab.io.build import build
from flowlab.io.document import Document, document_of, from_text
from flowlab.io.edits import (
    AddControl,
    AddNode,
    Connect,
    Disconnect,
    MarkFetch,
    Move,
    RemoveControl,
    RemoveNodes,
    Rename,
    SetAttr,
    SetFeed,
    SetTitle,
    apply,
    describe,
    edit_from_json,
    edit_to_json,
)


@pytest.fixture
def small() -> Document:
    return apply(Document(), AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch, 3"), AddNode("Variable", "W"), SetAttr("W", "shape", "3, 2"), AddNode("MatMul"),
                 Connect("x:0", "MatMul:a"), Connect("W:0", "MatMul:b"), AddNode("Relu", "act/Relu"), Connect("MatMul:0", "act/Relu:x"))


def test_apply_leaves_the_document_as_it_was(small):
    before = small.text()
    apply(small, AddNode("Add"), Rename("x", "images"), RemoveNodes(("W",)), Move({"MatMul": (3, 4)}), SetFeed("images", "[[1, 2, 3]]"), SetTitle("other"))
    assert small.text() == before


def test_all_edits_or_none(small):
    with pytest.raises(fl.NameTakenError):
        apply(small, Rename("x", "z"), Rename("z", "W"))


def test_an_unnamed_node_takes_its_type_and_a_number_in_its_scope(small):
    document = apply(small, AddNode("MatMul"), AddNode("MatMul"), AddNode("Relu", scope="act"), AddNode("Relu"))
    assert list(document.nodes)[4:] == ["MatMul_1", "MatMul_2", "act/Relu_1", "Relu"]


def test_a_freed_name_can_be_taken_again_and_ids_never(small):
    document = apply(small, RemoveNodes(("MatMul",)), AddNode("MatMul"))
    assert "MatMul" in document.nodes and document.nodes["MatMul"].id not in {n.id for n in small.nodes.values()}


@pytest.mark.parametrize("edit", [
    Rename("x", "W"), AddNode("Relu", "x"), AddNode("Relu", "act"), Rename("x", "act"), AddNode("Relu", "x/inner"), Rename("act", "x"), Rename("act", "x/deep"), Rename("x", ""),
    Rename("x", "a:b"), Rename("x", "^a"), Rename("x", "a->b"), Rename("x", "a\x00b"), Rename("x", "a//b"), Rename("x", "a" * 201), Rename("act", "act/act"), Rename("x", "x" + "/a" * 3000),
], ids=str)
def test_taken_and_impossible_names_are_refused(small, edit):
    with pytest.raises(fl.NameTakenError):
        apply(small, edit)


def test_renaming_keeps_wires_ids_places_feeds_and_marks(small):
    document = apply(small, SetFeed("x", "[[1, 2, 3]]"), Move({"x": (1, 2)}), MarkFetch("x"), AddControl("x", "act/Relu"), Rename("x", "in/images"))
    node = document.nodes["in/images"]
    assert node.id == small.nodes["x"].id and list(document.nodes)[0] == "in/images"
    assert document.nodes["MatMul"].inputs["a"] == "in/images:0" and document.nodes["act/Relu"].control == ("in/images",)
    assert document.positions == {"in/images": (1, 2)} and document.fetches == ("in/images",) and list(document.feeds) == ["in/images"]


def test_renaming_a_scope_renames_all_that_is_in_it():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 3), name="x")
        loss = fl.mean(fl.nn.dense(fl.nn.dense(x, 4, name="net/one"), 2, name="net/two"), name="loss")
        fl.gradients(loss, g.trainable_variables)
    document = apply(document_of(g), Move({"net": (5, 5)}), Rename("net", "body/net"))
    assert not any(n == "net" or n.startswith("net/") for n in document.nodes) and "body/net/one/kernel" in document.nodes
    assert document.positions == {"body/net": (5, 5)}
    assert {n.gradient_of for n in document.nodes.values() if n.gradient_of} <= set(document.nodes)
    assert build(document).diagnostics == ()
    assert apply(document, Rename("body/net", "net")).same_graph(document_of(g))


def test_removing_takes_the_wires_along(small):
    document = apply(small, AddControl("x", "act/Relu"), MarkFetch("x"), SetFeed("x", "[[1, 2, 3]]"), Move({"act": (0, 0)}), RemoveNodes(("x", "act")))
    assert list(document.nodes) == ["W", "MatMul"] and dict(document.nodes["MatMul"].inputs) == {"b": "W:0"}
    assert not document.fetches and not document.feeds and not document.positions
    with pytest.raises(fl.DocumentError, match="MatMul"):
        apply(document, RemoveNodes(("Matmul",)))


def test_an_occupied_input_gives_up_its_wire(small):
    document = apply(small, AddNode("Placeholder", "z"), Connect("z:0", "MatMul:a"))
    assert dict(document.nodes["MatMul"].inputs) == {"a": "z:0", "b": "W:0"}


def test_outputs_go_by_number_or_name():
    document = apply(Document(), AddNode("LSTM"), AddNode("Relu"), Connect("LSTM:h_n", "Relu:x"))
    assert document.nodes["Relu"].inputs["x"] == "LSTM:1"
    with pytest.raises(fl.DocumentError, match="h_n"):
        apply(document, Connect("LSTM:zz", "Relu:x"))
    with pytest.raises(fl.DocumentError, match="8"):
        apply(document, Connect("LSTM:8", "Relu:x"))


@pytest.mark.parametrize("edit, words", [
    (Connect("MatMul:a", "act/Relu:x"), "input"), (Connect("x:0", "MatMul:0"), "output"), (Connect("x:0", "MatMul:c"), "c"), (Connect("q:0", "MatMul:a"), "q"),
    (Connect("x:0", "Matmul:a"), "MatMul"), (Disconnect("act/Relu:y"), "y"), (AddControl("x", "W"), "W"), (RemoveControl("x", "MatMul"), "MatMul"), (Move({"q": (0, 0)}), "q"),
    (Move({"x": (float("nan"), 0)}), "place"), (MarkFetch("q"), "q"), (SetTitle("  "), "title"), (SetTitle("a\nb"), "title"), (Connect("x:99999", "MatMul:a"), "output"),
], ids=str)
def test_what_cannot_be_wired_is_refused(small, edit, words):
    with pytest.raises(fl.DocumentError, match=words):
        apply(small, edit)


@pytest.mark.parametrize("edit", [Connect("act/Relu:0", "MatMul:a"), Connect("MatMul:0", "MatMul:a"), AddControl("act/Relu", "MatMul"), AddControl("MatMul", "MatMul")], ids=str)
def test_cycles_are_refused(small, edit):
    with pytest.raises(fl.CycleError) as caught:
        apply(small, edit)
    assert caught.value.node == "MatMul" and "MatMul" in str(caught.value)


def test_unknown_operations_and_attributes_name_what_is_near(small):
    with pytest.raises(fl.UnknownOpError, match="MatMul"):
        apply(small, AddNode("Matmull"))
    with pytest.raises(fl.AttributeValueError, match="shape") as caught:
        apply(small, SetAttr("x", "shpae", "3"))
    assert caught.value.node == "x"


@pytest.mark.parametrize("text, shape", [
    ("batch, 3", ("batch", 3)), ("(batch, 3)", ("batch", 3)), ("[2, 3]", (2, 3)), ("", ()), ("()", ()), ("3", (3,)), ("3,", (3,)), ("(3,)", (3,)), ("?, None", (None, None)),
    ('"batch", 3', ("batch", 3)), ("  batch ,3 ", ("batch", 3)), ("批, 3", ("批", 3)), ("0", (0,)),
])
def test_shapes_as_people_type_them(small, text, shape):
    assert apply(small, SetAttr("x", "shape", text)).nodes["x"].attrs["shape"] == shape


@pytest.mark.parametrize("text, axis", [("a,,b", 1), ("-3", 0), ("2, 1.5", 1), ("1e3", 0), ("3, a(b", 1), ("2, 99999999999999999999", 1), ("4, 9999999999999999", 1)])
def test_shapes_that_are_none_name_the_axis(small, text, axis):
    with pytest.raises(fl.AttributeValueError) as caught:
        apply(small, SetAttr("x", "shape", text))
    assert (caught.value.node, caught.value.port, caught.value.axis) == ("x", "shape", axis)


@pytest.mark.parametrize("op, attr, text, value", [
    ("Mean", "axis", "", None), ("Mean", "axis", "None", None), ("Mean", "axis", "-1", -1), ("Mean", "axis", "−1", -1), ("Mean", "axis", "0, 1", (0, 1)), ("Mean", "axis", "(0,)", (0,)),
    ("Mean", "axis", "[1]", (1,)), ("Mean", "keepdims", "true", True), ("Mean", "keepdims", "False", False), ("Transpose", "axes", "1, 0", (1, 0)), ("Transpose", "axes", "", None),
    ("Reshape", "shape", "-1, 4", (-1, 4)), ("Cast", "dtype", "int64", "int64"), ("OneHot", "depth", "10", 10), ("Split", "n", "3", 3),
    ("Slice", "index", '[["slice", 0, 2, null], 1]', (("slice", 0, 2, None), 1)),
])
def test_attributes_as_people_type_them(op, attr, text, value):
    got = apply(Document(), AddNode(op, "n"), SetAttr("n", attr, text)).nodes["n"].attrs[attr]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("op, attr, text", [("Mean", "axis", "last"), ("Mean", "axis", "1.5"), ("Mean", "keepdims", "maybe"), ("Cast", "dtype", "float99"), ("OneHot", "depth", "ten"), ("Split", "n", "1e2"),
                                            ("Transpose", "axes", "1, x"), ("Placeholder", "dtype", "complex64"), ("Variable", "trainable", "[]")])
def test_attributes_that_make_no_sense_are_refused(op, attr, text):
    with pytest.raises(fl.AttributeValueError) as caught:
        apply(Document(), AddNode(op, "n"), SetAttr("n", attr, text))
    assert caught.value.node == "n" and caught.value.port == attr


@pytest.mark.parametrize("text", ["zeros", "ones", "normal(0, 0.1)", "glorot_uniform", "uniform(-1, 1)", "full(3)"])
def test_initializers_by_name(small, text):
    attrs = apply(small, SetAttr("W", "initializer", text)).nodes["W"].attrs
    assert attrs["initializer"] == text and attrs["value"] is None


def test_values_as_an_initializer_bring_their_shape():
    document = apply(Document(), AddNode("Variable", "W"), SetAttr("W", "initializer", "[[1, 2, 3], [4, 5, 6]]"))
    attrs = document.nodes["W"].attrs
    assert attrs["initializer"] == "constant" and attrs["shape"] == (2, 3) and attrs["value"].dtype == "float32"
    filled = apply(document, SetAttr("W", "initializer", "0.5")).nodes["W"].attrs
    assert filled["shape"] == (2, 3) and np.all(filled["value"] == 0.5)
    assert apply(document, SetAttr("W", "dtype", "float64")).nodes["W"].attrs["value"].dtype == "float64"
    with pytest.raises(fl.AttributeValueError, match="initializer"):
        apply(document, SetAttr("W", "shape", "3, 3"))
    assert apply(document, SetAttr("W", "initializer", "zeros"), SetAttr("W", "shape", "3, 3")).nodes["W"].attrs["shape"] == (3, 3)


def test_zeros_and_ones_are_their_initializers_as_in_python(small):
    assert apply(small, SetAttr("W", "initializer", "[[0, 0]]")).nodes["W"].attrs["initializer"] == "zeros"
    assert apply(small, SetAttr("W", "initializer", "1")).nodes["W"].attrs["initializer"] == "ones"


@pytest.mark.parametrize("text", ["zeroes", "normal(0, )x", "normal(nan, 1)", "ones(3)", "__import__('os')"])
def test_initializers_that_are_none_are_refused(small, text):
    with pytest.raises(fl.AttributeValueError) as caught:
        apply(small, SetAttr("W", "initializer", text))
    assert caught.value.node == "W" and caught.value.port == "initializer"


def test_a_feed_is_json_of_the_placeholders_shape_and_dtype(small):
    assert np.array_equal(apply(small, SetFeed("x", "[[1, 2.5, −3]]")).feeds["x"], np.array([[1, 2.5, -3]], "float32"))
    assert not apply(small, SetFeed("x", "[[1, 2, 3]]"), SetFeed("x", " ")).feeds
    ints = apply(small, SetAttr("x", "dtype", "int64"), SetFeed("x", "[[1, 2, 3]]"))
    assert ints.feeds["x"].dtype == "int64"
    assert apply(small, AddNode("Constant", "c"), SetFeed("c", "[1, 2]")).nodes["c"].attrs["value"].shape == (2,)


@pytest.mark.parametrize("text, axis", [
    ("[[1, 2]]", 1), ("[1, 2, 3]", 1), ("[[[1, 2, 3]]]", 2), ("[[1, 2, 3], [4]]", 1), ("[[1, 2, 3], 4]", 1), ("[[1, 2, \"a\"]]", None), ("[[1, 2, null]]", None), ("[[1, 2, 1e999]]", None),
    ("[[1, 2, 1e60]]", None), ("[[1, 2", None), ("[[true, false, true]]", None), ("{}", None), ("np.zeros((1, 3))", None), ("[" * 100, None), ("[[1, 2, 9007199254740993]]", None),
])
def test_a_feed_that_does_not_fit_names_the_axis(small, text, axis):
    with pytest.raises(fl.FeedError) as caught:
        apply(small, SetFeed("x", text))
    assert caught.value.node == "x" and caught.value.axis == axis


def test_only_sources_can_be_given_values(small):
    with pytest.raises(fl.FeedError, match="computed"):
        apply(small, SetFeed("MatMul", "[[1]]"))
    with pytest.raises(fl.FeedError, match="whole number"):
        apply(small, SetAttr("x", "dtype", "int64"), SetFeed("x", "[[1, 2, 1.5]]"))


def test_a_feed_that_no_longer_fits_goes_with_the_edit_that_makes_it_so(small):
    fed = apply(small, SetFeed("x", "[[1, 2, 3]]"))
    assert apply(fed, SetAttr("x", "shape", "batch, 4")).feeds == {}
    assert apply(fed, SetAttr("x", "shape", "1, 3")).feeds["x"].shape == (1, 3)
    assert apply(fed, SetAttr("x", "dtype", "float64")).feeds["x"].dtype == "float64"


def test_a_constant_keeps_its_dtype_until_a_value_needs_another():
    document = apply(Document(), AddNode("Constant", "c"), SetAttr("c", "value", "[1, 2]"))
    assert document.nodes["c"].attrs["value"].dtype == "float32"
    ints = apply(document, SetAttr("c", "dtype", "int64"))
    assert ints.nodes["c"].attrs["value"].dtype == "int64"
    assert apply(ints, SetAttr("c", "value", "[1, 2.5]")).nodes["c"].attrs["value"].dtype == "float32"
    assert apply(ints, SetAttr("c", "value", "[true]")).nodes["c"].attrs["value"].dtype == "bool"


EDITS = [
    AddNode("MatMul"), AddNode("Constant", "c", 1.5, -2.0, {"value": np.array([[1.0, 2.0]], "float32")}, "s"), RemoveNodes(("a", "b")), Connect("x:0", "MatMul:a"), Disconnect("MatMul:a"),
    Rename("a", "b"), SetAttr("x", "shape", "batch, 3"), SetAttr("x", "shape", (None, "t", 3)), SetFeed("x", "[1]"), Move({"a": (1.0, 2.0)}), MarkFetch("a", False), SetTitle("t"),
    AddControl("a", "b"), RemoveControl("a", "b"), E.Group(("a", "b"), "block"), E.Ungroup("block"), E.AddComposite("block", None, 1.0, 2.0), E.Duplicate(("a",)), E.Paste("{}", "s"), E.Bypass("a"),
    E.Insert("x:0->MatMul:a", "Relu"), E.Differentiate("loss:0"), E.PutNote("**hm**", 1.0, 2.0), E.PutNote("hm", index=3), E.RemoveNote(0), E.PutFrame("encoder", "blue", ("a", "b")), E.RemoveFrame(1), E.Bind("x", "data"),
    E.PutQuestion("MatMul:0", "value", (0, 1), "What comes out?"), E.PutQuestion("MatMul:0", "shape"), E.RemoveQuestion("MatMul:0", "sign", ()),
    E.PutBookmark("start", "Look at $x$.", 3, "x", (0.0, -1.5, 800.0, 600.0), ("x",), ("block",), ("x",), "x:0", "MatMul:a", ("code",), 0), E.WriteBookmark(0, "begin"), E.MoveBookmark(0, 1), E.RemoveBookmark(1),
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: type(e).__name__)
def test_edits_come_back_from_json_and_say_what_they_do(edit):
    data = json.loads(json.dumps(edit_to_json(edit)))
    assert data["tag"] == type(edit).__name__
    assert edit_to_json(edit_from_json(data)) == data
    assert describe([edit]) not in ("", "nothing")


def test_every_edit_is_in_the_list_above():
    assert {type(e).__name__ for e in EDITS} == set(E.TAGS)


@pytest.mark.parametrize("data", [
    None, [], "AddNode", {}, {"tag": "Nope"}, {"tag": ["AddNode"]}, {"tag": "AddNode"}, {"tag": "AddNode", "op": 3}, {"tag": "AddNode", "op": "Relu", "evil": 1},
    {"tag": "AddNode", "op": "Relu", "x": "left"}, {"tag": "AddNode", "op": "Relu", "attrs": []}, {"tag": "AddNode", "op": "Relu", "attrs": {"a": {"b": 1}}}, {"tag": "RemoveNodes", "names": "abc"},
    {"tag": "RemoveNodes", "names": [1]}, {"tag": "Move", "positions": {"a": [1]}}, {"tag": "Move", "positions": {"a": [1, 1e300]}}, {"tag": "MarkFetch", "name": "a", "on": 1},
    {"tag": "SetFeed", "node": "x", "text": "1" * 2_000_000}, {"tag": "SetAttr", "node": "x", "attr": "shape", "value": {"__class__": "x"}},
], ids=lambda d: str(d)[:40])
def test_what_is_no_edit_is_refused(data):
    with pytest.raises(fl.DocumentError):
        edit_from_json(data)


def test_a_document_made_of_edits_survives_its_file(small):
    document = apply(small, SetFeed("x", "[[1, 2, 3]]"), Move({"x": (1, 2.5), "act": (3, 4)}), MarkFetch("MatMul"), SetTitle("small"))
    assert from_text(document.text()) == document
