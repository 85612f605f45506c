"""build: the sound part of a document as a graph, and for every other part a diagnostic with an address and a way out."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.io.build import build
from flowlab.io.document import Document, document_of, from_json
from flowlab.io.edits import AddNode, Connect, Disconnect, RemoveNodes, Rename, SetAttr, apply


def half(*edits) -> Document:
    return apply(Document(), AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch, 3"), AddNode("Variable", "W"), SetAttr("W", "shape", "3, 2"), AddNode("MatMul"),
                 Connect("x:0", "MatMul:a"), Connect("W:0", "MatMul:b"), AddNode("Relu"), Connect("MatMul:0", "Relu:x"), *edits)


def test_an_empty_document_builds_an_empty_graph():
    assert len(build(Document()).graph) == 0 and build(Document()).diagnostics == ()


def test_an_open_input_is_unfinished_and_not_wrong():
    built = build(half(Disconnect("MatMul:b")))
    assert [n.name for n in built.graph.nodes] == ["x", "W"]
    first, second = built.diagnostics
    assert (first.kind, first.node, first.port, first.severe) == ("missing", "MatMul", "b", False)
    assert (second.node, second.severe) == ("Relu", False) and "MatMul" in second.message


def test_a_shape_that_does_not_fit_names_node_port_axis_and_edge():
    document = half(SetAttr("W", "shape", "5, 2"))
    built = build(document)
    wrong = built.diagnostics[0]
    assert (wrong.kind, wrong.node, wrong.port, wrong.axis, wrong.edge, wrong.severe) == ("shape", "MatMul", "b", 0, "W:0->MatMul:b", True)
    assert "3" in wrong.message and "5" in wrong.message
    assert "Relu" not in built.graph and "x" in built.graph
    assert built.types["x:0"].shape == ("batch", 3) and "MatMul:0" not in built.types


@pytest.mark.parametrize("edits", [
    (SetAttr("W", "shape", "5, 2"),), (SetAttr("W", "shape", "2, 3"),), (SetAttr("x", "dtype", "float64"),), (SetAttr("W", "dtype", "int32"),),
], ids=["wrong size", "transposed", "float64", "int32"])
def test_every_repair_repairs(edits):
    document = half(*edits)
    wrong = build(document).diagnostics[0]
    assert wrong.severe and len(wrong.repairs) >= 2
    for repair in wrong.repairs:
        after = build(apply(document, *repair.edits))
        assert not any(d.severe for d in after.diagnostics), repair.label
        assert ("MatMul" in after.graph) == (repair.label != "Cut the wire")


def test_a_transposed_weight_is_offered_its_transpose():
    labels = [r.label for r in build(half(SetAttr("W", "shape", "2, 3"))).diagnostics[0].repairs]
    assert "Transpose b" in labels


def test_an_unknown_operation_is_named():
    document = from_json({"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu6Max"}, {"id": 1, "name": "b", "op": "Relu", "inputs": {"x": "a:0"}}]})
    found = build(document).diagnostics
    assert (found[0].kind, found[0].node, found[0].severe) == ("op", "a", True) and "Relu6Max" in found[0].message
    assert (found[1].node, found[1].severe) == ("b", False)


def test_a_bad_attribute_is_named():
    node = {"id": 0, "name": "x", "op": "Placeholder", "attrs": {"shape": [-3], "dtype": "float32"}}
    found = build(from_json({"flowlab": 1, "nodes": [node]})).diagnostics
    assert [(d.kind, d.node, d.port, d.severe) for d in found] == [("attr", "x", "shape", True)]
    node["attrs"] = {"shape": [], "dtype": "float32", "colour": "red"}
    assert build(from_json({"flowlab": 1, "nodes": [node]})).diagnostics[0].port == "colour"


def test_a_required_attribute_that_is_not_set_yet_is_unfinished():
    document = apply(Document(), AddNode("OneHot"))
    found = build(document).diagnostics
    assert [(d.kind, d.port, d.severe) for d in found] == [("attr", "depth", False)]
    assert all(d.kind != "attr" for d in build(apply(document, SetAttr("OneHot", "depth", "10"))).diagnostics)


def test_wires_to_ports_and_outputs_that_are_not_there_can_be_cut():
    nodes = [{"id": 0, "name": "x", "op": "Placeholder", "attrs": {"shape": []}},
             {"id": 1, "name": "r", "op": "Relu", "inputs": {"x": "x:0", "zz": "x:0"}}, {"id": 2, "name": "s", "op": "Relu", "inputs": {"x": "x:7"}}]
    document = from_json({"flowlab": 1, "nodes": nodes})
    found = build(document).diagnostics
    assert [(d.node, d.port, d.severe) for d in found] == [("r", "zz", True), ("s", "x", True)]
    for d in found:
        document = apply(document, *d.repairs[0].edits)
    assert not any(d.severe for d in build(document).diagnostics)


def test_a_cycle_is_said_once_on_the_wire_that_closes_it():
    nodes = [{"id": 0, "name": "a", "op": "Relu", "inputs": {"x": "c:0"}}, {"id": 1, "name": "b", "op": "Relu", "inputs": {"x": "a:0"}},
             {"id": 2, "name": "c", "op": "Relu", "inputs": {"x": "b:0"}}, {"id": 3, "name": "d", "op": "Relu", "inputs": {"x": "c:0"}},
             {"id": 4, "name": "self", "op": "Relu", "inputs": {"x": "self:0"}}, {"id": 5, "name": "x", "op": "Placeholder", "attrs": {"shape": []}}]
    document = from_json({"flowlab": 1, "nodes": nodes})
    built = build(document)
    assert [n.name for n in built.graph.nodes] == ["x"]
    cycles = [d for d in built.diagnostics if d.kind == "cycle"]
    assert len(cycles) == 2 and all(d.severe and d.edge for d in cycles)
    assert {d.node for d in built.diagnostics} == {"a", "b", "c", "d", "self"}
    for d in cycles:
        document = apply(document, *d.repairs[0].edits)
    assert not any(d.kind == "cycle" for d in build(document).diagnostics)


def test_creation_order_follows_the_document_as_far_as_the_wires_allow():
    nodes = [{"id": 9, "name": "late", "op": "Relu", "inputs": {"x": "x:0"}}, {"id": 1, "name": "b", "op": "Placeholder", "attrs": {"shape": []}},
             {"id": 5, "name": "x", "op": "Placeholder", "attrs": {"shape": []}}]
    graph = build(from_json({"flowlab": 1, "nodes": nodes})).graph
    assert [(n.name, n.id) for n in graph.nodes] == [("b", 1), ("x", 5), ("late", 9)]


def test_optional_and_variadic_ports_keep_their_places():
    document = half(AddNode("Concat"), SetAttr("Concat", "axis", "1"), Connect("x:0", "Concat:xs.0"), Connect("MatMul:0", "Concat:xs.1"))
    built = build(document)
    assert built.diagnostics == () and built.types["Concat:0"].shape == ("batch", 5)
    gap = build(apply(document, Disconnect("Concat:xs.0")))
    assert [(d.port, d.severe) for d in gap.diagnostics] == [("xs.0", False)]


def test_the_graph_from_a_canvas_is_the_graph_from_python():
    document = half(Rename("Relu", "out"), SetAttr("W", "initializer", "[[1, 2], [3, 4], [5, 6]]"))
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 3), name="x")
        W = fl.variable(np.array([[1, 2], [3, 4], [5, 6]], "float32"), name="W")
        fl.relu(x @ W, name="out")
    assert document.same_graph(g) and build(document).graph.same_graph(g) and document_of(g).same_graph(document)


def wrong(*edits):
    """The severe diagnostics, and all of them."""
    built = build(apply(Document(), *edits))
    return [(d.kind, d.node, d.port, d.edge) for d in built.diagnostics if d.severe], built.diagnostics


def test_a_wired_input_that_cannot_be_right_is_told_while_others_are_open():
    x = (AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch"), SetAttr("x", "dtype", "int64"), AddNode("LSTM"), Connect("x:0", "LSTM:x"))
    severe, every = wrong(*x)
    assert severe == [("dtype", "LSTM", "x", "x:0->LSTM:x")] and "int64" in every[0].message and {d.port for d in every[1:]} == {"kernel", "recurrent_kernel", "bias"}
    severe, every = wrong(*x, SetAttr("x", "dtype", "float32"))
    assert severe == [("shape", "LSTM", "x", "x:0->LSTM:x")] and "(batch, time, features)" in every[0].hint
    assert wrong(*x, SetAttr("x", "dtype", "float32"), SetAttr("x", "shape", "batch, 5, 3"))[0] == []
    for repair in every[0].repairs:
        assert not any(d.severe for d in build(apply(Document(), *x, SetAttr("x", "dtype", "float32"), *repair.edits)).diagnostics), repair.label


def test_whole_numbers_are_asked_for_before_the_table_is_there():
    severe, every = wrong(AddNode("Placeholder", "i"), AddNode("Gather"), Connect("i:0", "Gather:indices"))
    assert severe == [("dtype", "Gather", "indices", "i:0->Gather:indices")] and "whole numbers" in every[0].message
    assert [r.label for r in every[0].repairs] == ["Make i hold int64", "Cast indices to int64", "Cut the wire"]
    assert wrong(AddNode("Placeholder", "i"), AddNode("OneHot"), Connect("i:0", "OneHot:indices"))[0] == [("dtype", "OneHot", "indices", "i:0->OneHot:indices")]     # depth is not set yet


def test_two_dtypes_clash_before_the_third_input_is_wired():
    severe, _ = wrong(AddNode("Placeholder", "a"), AddNode("Placeholder", "b"), SetAttr("b", "dtype", "float64"), AddNode("LSTM"),
                      SetAttr("a", "shape", "1, 2, 3"), SetAttr("b", "shape", "3, 4"), Connect("a:0", "LSTM:x"), Connect("b:0", "LSTM:kernel"))
    assert severe == [("dtype", "LSTM", "kernel", "b:0->LSTM:kernel")]


def test_an_input_is_checked_while_another_waits_for_a_node_that_is_not_sound():
    severe, every = wrong(AddNode("Placeholder", "x"), SetAttr("x", "dtype", "bool"), AddNode("Relu"), AddNode("MatMul"), Connect("x:0", "MatMul:a"), Connect("Relu:0", "MatMul:b"))
    assert severe == [("dtype", "MatMul", "a", "x:0->MatMul:a")] and any("waits for Relu" in d.message for d in every)


def test_the_rank_of_a_later_input_is_told_before_the_first_is_wired():
    kernel = (AddNode("Variable", "k"), SetAttr("k", "shape", "3, 4, 5"), AddNode("LSTM"), Connect("k:0", "LSTM:kernel"))
    severe, every = wrong(*kernel)
    assert severe == [("shape", "LSTM", "kernel", "k:0->LSTM:kernel")] and "?" not in every[0].message
    assert wrong(*kernel, SetAttr("k", "shape", "3, 4"))[0] == []
    filters = (AddNode("Variable", "w"), SetAttr("w", "shape", "3, 3"), AddNode("Conv2D"), Connect("w:0", "Conv2D:w"))
    assert wrong(*filters)[0] == [("shape", "Conv2D", "w", "w:0->Conv2D:w")]
    assert wrong(*filters, SetAttr("w", "shape", "8, 1, 3, 3"))[0] == []
    scalar = (AddNode("Placeholder", "s"), AddNode("MatMul"), Connect("s:0", "MatMul:b"))
    assert wrong(*scalar)[0] == [("shape", "MatMul", "b", "s:0->MatMul:b")]
    assert wrong(*scalar, SetAttr("s", "shape", "2"))[0] == []


def test_a_build_that_knows_the_last_one_comes_to_the_same_and_asks_only_what_changed(monkeypatch):
    """Names, wires and shapes change; the rules of whatever is as it was are not asked again."""
    from flowlab.core.op import Op

    with fl.Graph("g") as g:
        x = fl.placeholder(("batch", 4), name="x")
        h = x
        for k in range(20):
            h = fl.nn.dense(h, 4, activation="relu", name=f"layer_{k}")
        fl.mean(h, name="loss")
    asked = []
    infer = Op.infer
    monkeypatch.setattr(Op, "infer", lambda op, *rest: (asked.append(op.name), infer(op, *rest))[1])

    document = document_of(g)
    before = build(document)
    stories = [([Rename("layer_3", "third")], 0), ([Rename("x", "input")], 0), ([AddNode("Relu", name="more"), Connect("layer_19/Relu:0", "more:x")], 1),
               ([Rename("layer_4", "a/b/c")], 0), ([Disconnect("layer_15/MatMul:a")], 30), ([SetAttr("layer_0/kernel", "shape", "4, 5")], 60), ([RemoveNodes(("layer_9",))], 60)]
    for edits, most in stories:
        document = apply(document, *edits)
        asked.clear()
        again = build(document, before=before)
        assert len(asked) <= most, (edits, asked)
        anew = build(document)
        assert again.graph.nodes[0].name == anew.graph.nodes[0].name and [repr(n) for n in again.graph.nodes] == [repr(n) for n in anew.graph.nodes]
        assert dict(again.types) == dict(anew.types) and [str(d) for d in again.diagnostics] == [str(d) for d in anew.diagnostics]
        assert [(n.id, n.phase, n.device, n.ports, n.attrs) for n in again.graph.nodes] == [(n.id, n.phase, n.device, n.ports, n.attrs) for n in anew.graph.nodes]
        assert all(n.graph is again.graph and t.node.graph is again.graph for n in again.graph.nodes for t in n.inputs)
        before = again
