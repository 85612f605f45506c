"""What the canvas is told to draw."""
from __future__ import annotations

import json

import numpy as np
import pytest

import flowlab as fl
from flowlab.io.build import build
from flowlab.io.document import Document, document_of
from flowlab.io.edits import AddNode, Connect, Disconnect, MarkFetch, Move, SetAttr, SetFeed, apply, edit_from_json
from flowlab.widgets import protocol as P, scene as S, values as V
from flowlab.widgets.examples import EXAMPLES


def network() -> Document:
    with fl.Graph("net") as g:
        x = fl.placeholder(("batch", 5, 3), name="x")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        out, (h_n, _) = fl.nn.lstm(x, 4, name="lstm")
        logits = fl.nn.dense(h_n, 7, name="head")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, labels), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    return document_of(g)


def view(document: Document, folded=None):
    from dataclasses import replace

    document = document if folded is None else replace(document, folded=frozenset(folded))
    built = build(document)
    shown = S.drawn(document, built)
    return document, built, shown, S.scene(document, built, shown, revision=1, fetched=[n.name for n in S.fetched_nodes(document, built.graph)])


def test_the_palette_holds_every_listed_operation_and_its_form():
    palette = S.palette()
    ops = {o.type: o for o in palette.ops}
    assert {"MatMul", "Placeholder", "Variable", "LSTM", "Concat"} <= ops.keys()
    assert [a.name for a in ops["Variable"].attrs] == ["shape", "dtype", "initializer", "trainable"]
    assert ops["Variable"].attrs[2].choices and ops["Placeholder"].attrs[1].choices == palette.dtypes
    assert ops["Concat"].variadic and ops["Concat"].inputs == ["xs"]
    assert ops["LSTM"].optional == ["h0", "c0", "lengths"] and ops["LSTM"].outputs[:3] == ["out", "h_n", "c_n"]
    assert all(o.doc for o in palette.ops) and {o.category for o in palette.ops} == set(palette.categories)
    json.dumps(P.as_json(palette), allow_nan=False)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.label)
def test_every_example_is_sound_and_has_all_its_feeds(example):
    document = apply(Document(), *map(edit_from_json, example.edits))
    built = build(document)
    assert built.diagnostics == ()
    with fl.Session(built.graph) as sess:
        for node in S.fetched_nodes(document, built.graph):
            assert np.all(np.isfinite(sess.run(node.name, document.feeds)))


def test_a_small_graph_opens_unfolded_with_every_hook():
    document, built, shown, scene = view(network())
    assert {n.name for n in scene.nodes} == set(document.nodes) and not scene.scopes
    assert {e.id for e in scene.edges} == {e.id for e in document.edges}
    assert all(e.shape and e.dtype for e in scene.edges if not e.control)
    frames = {o.name: o for o in scene.opened}
    assert "lstm/LSTM" in frames["lstm"].members and frames["lstm"].parent == ""
    node = next(n for n in scene.nodes if n.name == "head/MatMul")
    assert (node.scope, node.label, node.op, node.phase) == ("head", "MatMul", "MatMul", "forward")
    assert {n.phase for n in scene.nodes} == {"forward", "backward", "update"}
    assert [n.name for n in scene.nodes if n.fetch] == ["train"]
    json.dumps(P.as_json(scene), allow_nan=False)


def test_a_large_graph_opens_folded_at_its_top_scopes():
    with fl.Graph("large") as g:
        h = fl.placeholder(("batch", 3), name="x")
        for k in range(70):
            h = fl.nn.dense(h, 3, activation="relu", name=f"stage_{k // 7}/layer_{k}")
        fl.mean(h, name="loss")
    document, _, shown, scene = view(document_of(g))
    assert scene.total > S.OPEN_UP_TO and len(scene.nodes) + len(scene.scopes) == 12
    first = next(s for s in scene.scopes if s.name == "stage_0")
    assert first.count == 35 and first.shape == "(batch, 3)" and first.category == "linalg"
    one = S.drawn(*(lambda d: (d, build(d)))(unfolded := _with(document, S.unfold(document, ["stage_0"]))))
    assert "stage_0/layer_0" in one.scopes and "stage_0" in one.opened and "stage_1" in one.scopes
    assert S.fold(unfolded, ["stage_0"]) == document.scopes and S.unfold(document, []) == frozenset()


def _with(document, folded):
    from dataclasses import replace

    return replace(document, folded=folded)


def test_wires_of_folded_scopes_are_merged_and_keep_a_real_edges_id():
    document, _, shown, scene = view(network(), ["lstm", "head", "gradients", "SGD"])
    real = {e.id for e in document.edges}
    assert all(e.id in real for e in scene.edges)
    pairs = [(e.src, e.dst) for e in scene.edges if e.src in shown.scopes and e.dst in shown.scopes]
    assert len(pairs) == len(set(pairs))
    into = [e for e in scene.edges if e.src == "x" and e.dst == "lstm"]
    assert len(into) == 1 and into[0].tensor == "x:0" and into[0].dst_port in next(s for s in scene.scopes if s.name == "lstm").inputs
    lstm = next(s for s in scene.scopes if s.name == "lstm")
    assert lstm.category == "recurrent" and lstm.phase == "forward"
    phases = {s.name: s.phase for s in scene.scopes}
    assert phases["gradients"] == "backward" and sum(e.merged for e in scene.edges) < len(real)
    for e in scene.edges:
        for end, port, side in ((e.src, e.src_port, "outputs"), (e.dst, e.dst_port, "inputs")):
            scope = next((s for s in scene.scopes if s.name == end), None)
            assert scope is None or port in getattr(scope, side)


def test_a_folded_scope_shows_what_it_gives_and_not_its_parameters():
    _, built, _, scene = view(network(), ["lstm", "head", "gradients", "SGD"])
    scopes = {s.name: s for s in scene.scopes}
    assert scopes["head"].shape == "(batch, 7)" and scopes["lstm"].shape == "(batch, 4)"
    for name in ("head", "lstm"):
        first = next(e for e in scene.edges if e.src == name)
        assert built.graph.tensor(first.tensor).node.op.source is None and first.src_port == scopes[name].outputs[0]


def test_structure_stays_when_only_values_places_or_attributes_change():
    document = apply(Document(), AddNode("Placeholder", "x"), AddNode("Relu"), Connect("x:0", "Relu:x"))

    def structure(*edits):
        return view(apply(document, *edits))[3].structure

    same = structure()
    assert structure(Move({"x": (3, 4)})) == structure(SetFeed("x", "1")) == structure(SetAttr("x", "shape", "3")) == structure(MarkFetch("x")) == same
    assert structure(Disconnect("Relu:x")) != same and structure(AddNode("Relu")) != same


def test_forms_show_attributes_as_people_type_them():
    document = apply(Document(), AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch, 3"), SetFeed("x", "[[1, 2, 0.5]]"), AddNode("Constant", "c"), SetFeed("c", "[0.1, 2]"), AddNode("Variable", "W"),
                     SetAttr("W", "initializer", "[[1, 2]]"), AddNode("Mean"), SetAttr("Mean", "axis", "0, 1"))
    nodes = {n.name: n for n in view(document)[3].nodes}
    assert nodes["x"].attrs == {"shape": "batch, 3", "dtype": "float32"} and nodes["x"].value == "[[1.0,2.0,0.5]]"
    assert nodes["c"].value == "[0.1,2.0]" and nodes["c"].attrs["dtype"] == "float32"
    assert nodes["W"].attrs["initializer"] == "[[1.0,2.0]]" and nodes["W"].attrs["shape"] == "1, 2"
    assert nodes["Mean"].attrs["axis"] == "0, 1"
    big = apply(document, SetAttr("x", "shape", "2000"), SetFeed("x", str([0] * 2000)))
    node = next(n for n in view(big)[3].nodes if n.name == "x")
    assert node.value is None and "float32 (2000,)" in node.value_note


def test_copying_a_node_by_what_its_form_shows_gives_the_same_node():
    document = apply(Document(), AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch, 3"), AddNode("Constant", "c"), SetFeed("c", "[0.1, 2]"), SetAttr("c", "dtype", "float64"), AddNode("Variable", "W"),
                     SetAttr("W", "initializer", "[[1, 2]]"), AddNode("Mean"), SetAttr("Mean", "axis", "0, 1"), AddNode("Variable", "b"), SetAttr("b", "shape", "4"))
    again = Document()
    for n in view(document)[3].nodes:
        again = apply(again, edit_from_json({"tag": "AddNode", "op": n.op, "name": n.name, "x": 0, "y": 0, "attrs": n.attrs}))
    assert again.same_graph(document)


def test_errors_stand_on_their_edge_and_port():
    document = apply(Document(), AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch, 3"), AddNode("Variable", "W"), SetAttr("W", "shape", "5, 2"), AddNode("MatMul"),
                     Connect("x:0", "MatMul:a"), Connect("W:0", "MatMul:b"))
    scene = view(document)[3]
    edge = next(e for e in scene.edges if e.error)
    assert edge.id == "W:0->MatMul:b" and "3" in edge.error and "5" in edge.error
    node = next(n for n in scene.nodes if n.name == "MatMul")
    assert node.error is None and [p.error is not None for p in node.inputs] == [False, True]
    assert scene.diagnostics[0].repairs and apply(document, *map(edit_from_json, scene.diagnostics[0].repairs[0].edits))


def test_a_variadic_node_keeps_one_port_open():
    document = apply(Document(), AddNode("Placeholder", "x"), SetAttr("x", "shape", "3"), AddNode("Concat"))
    ports = [n for n in view(document)[3].nodes if n.name == "Concat"][0].inputs
    assert [(p.port, p.wired) for p in ports] == [("xs.0", False)]
    document = apply(document, Connect("x:0", "Concat:xs.0"), Connect("x:0", "Concat:xs.1"))
    ports = [n for n in view(document)[3].nodes if n.name == "Concat"][0].inputs
    assert [(p.port, p.wired, p.optional) for p in ports] == [("xs.0", True, False), ("xs.1", True, False), ("xs.2", False, True)]


def test_what_runs_is_what_is_marked_else_the_sinks():
    document = apply(Document(), AddNode("Placeholder", "x"), AddNode("Relu"), Connect("x:0", "Relu:x"), AddNode("Square"), Connect("x:0", "Square:x"), AddNode("Constant", "alone"))
    assert [n.name for n in S.fetched_nodes(document, build(document).graph)] == ["Relu", "Square"]
    marked = apply(document, MarkFetch("x"), MarkFetch("Square"))
    assert [n.name for n in S.fetched_nodes(marked, build(marked).graph)] == ["x", "Square"]


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("x, text", [(0, "0"), (1, "1"), (-3, "−3"), (2.55, "2.550"), (0.04166666, "0.0417"), (1234.5, "1235"), (12.345, "12.35"), (0.000735, "7.35e−4"), (123456, "1.23e5"),
                                     (float("nan"), "NaN"), (float("-inf"), "−∞"), (99999, "99999"), (-0.5, "−0.5000")])
def test_numbers_are_written_as_the_page_writes_them(x, text):
    assert V.num(x) == text


def tensor(op: str, shape=("n",)):
    with fl.Graph():
        x = fl.placeholder(shape, name="x")
        return getattr(fl, op)(x)


def test_colours_mean_the_same_in_every_run():
    big, small = np.float32([0.2, 90]), np.float32([0.1, 0.3])
    assert V.scale(big, V.domain(tensor("sigmoid"))) == V.scale(small, V.domain(tensor("sigmoid"))) == ("seq", 0, 1)
    assert V.scale(small, V.domain(tensor("tanh"))) == ("div", -1, 1)
    assert V.scale(big, V.domain(tensor("relu"))) == ("seq", 0, 90)
    assert V.scale(big, V.domain(tensor("negative"))).map == "div"
    assert V.scale(np.float32([np.nan, -np.inf, 2]), V.domain(tensor("negative"))) == ("div", -2, 2)
    assert V.scale(np.zeros(3), V.domain(tensor("relu"))) == ("seq", 0, 1)
    assert V.scale(np.zeros((0,)), V.domain(tensor("relu"))).hi == 1


def test_gradients_are_always_on_a_diverging_scale():
    with fl.Graph() as g:
        x = fl.placeholder(("n",), name="x")
        fl.gradients(fl.sum(fl.square(fl.relu(x))), [x])
    backward = [n.outputs[0] for n in g.nodes if n.phase == "backward" and n.outputs]
    assert backward and all(V.scale(np.float32([1, 2]), V.domain(t)).map == "div" for t in backward)


@pytest.mark.parametrize("shape, cells", [((), (1, 1)), ((5,), (1, 5)), ((300,), (1, 12)), ((3, 4), (3, 4)), ((50, 4), (12, 4)), ((2, 3, 5), (3, 5)), ((0, 3), (0, 3)), ((0, 2, 3), (2, 3)), ((2, 0), (2, 0))])
def test_thumbnails_are_small_and_made_of_real_values(shape, cells):
    array = np.arange(int(np.prod(shape)), dtype="float32").reshape(shape) + 0.5
    made, numbers = V.thumb(tensor("negative", (None,) * len(shape)), array, 7)
    assert (made.rows, made.cols) == cells and numbers.size == cells[0] * cells[1] and made.offset == 7 and made.shape == list(shape)
    assert array.size == 0 or set(numbers) <= set(array.ravel().tolist())


def test_uniform_tensors_and_scalars_say_their_number():
    assert V.thumb(tensor("negative"), np.full(9, 0.25, "float32"), 0)[0].value == "0.2500" and V.thumb(tensor("negative"), np.full(9, 0.25), 0)[0].uniform
    assert V.thumb(tensor("negative", ()), np.float32(-2), 0)[0].value == "−2"
    assert V.thumb(tensor("negative"), np.float32([1, np.nan]), 0)[0].nan == 1


def test_statistics_leave_out_what_is_not_finite():
    s = V.stats(np.float32([1, 2, np.nan, np.inf, 0]))
    assert (s.min, s.max, s.mean, s.nan, s.inf, s.zeros) == (0, 2, 1, 1, 1, 0.2) and sum(s.counts) == 3
    empty = V.stats(np.zeros((0, 3)))
    assert empty.mean is None and empty.counts == []
    with np.errstate(all="raise"):
        json.dumps(P.as_json(V.stats(np.array([1e308, -1e308, 1e308]))), allow_nan=False)


def test_the_inspectors_json_is_exact():
    array = np.float32([0.1, 1 / 3, -1e-45])
    assert np.array_equal(np.array(json.loads(V.exact(array)), "float32"), array)
    assert V.exact(np.float32([np.nan, np.inf])) == '["NaN","Infinity"]'
    message, cells = V.value(tensor("negative", (None, None)), np.arange(10_000, dtype="float32").reshape(100, 100))
    assert message.json is None and message.sampled and cells.size == message.rows * message.cols == V.PICTURE**2


@pytest.mark.parametrize("text, slice", [("", "[0, 0, :, :]"), ("[1, 2]", "[1, 2, :, :]"), ("[:, 0, 0]", "[:, 0, 0, :]"), ("1,:,::2,−1", "[1, :, ::2, -1]")])
def test_a_slice_chooses_the_two_axes_that_are_shown(text, slice):
    array = np.arange(2 * 3 * 4 * 5, dtype="float32").reshape(2, 3, 4, 5)
    message, cells = V.value(tensor("negative", (None,) * 4), array, text)
    assert message.slice == slice
    index = V.read_slice(text, array.shape)
    assert np.array_equal(cells, array[index].ravel())


@pytest.mark.parametrize("text", ["[5]", "[0, 0, 0, 0, 0]", "[a]", "[__import__('os')]", "[::0]", "[" + "0," * 200])
def test_a_slice_that_does_not_fit_is_refused(text):
    with pytest.raises(fl.AttributeValueError):
        V.value(tensor("negative", (None,) * 3), np.zeros((2, 3, 4), "float32"), text)
