"""Loops and branches edited by hand: what is inside is a document too, and the loop is as sound as what is in it."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.io.build import build
from flowlab.io.document import Document, document_of, from_text
from flowlab.io.edits import (
    AddNode,
    Bypass,
    Connect,
    Differentiate,
    Disconnect,
    Duplicate,
    Group,
    Insert,
    MarkFetch,
    Move,
    RemoveNodes,
    Rename,
    SetAttr,
    Ungroup,
    apply,
)
from flowlab.io.inside import holding
from flowlab.io.loops import drawn_edges, flat
from tests.nested import nested

CELL = (
    AddNode("Scan", "rnn"), Connect("seq:0", "rnn:x"), Connect("h0:0", "rnn/h:start"),
    AddNode("MatMul", scope="rnn"), Connect("rnn/input:0", "rnn/MatMul:a"), Connect("W:0", "rnn/MatMul:b"),
    AddNode("MatMul", scope="rnn"), Connect("rnn/h:0", "rnn/MatMul_1:a"), Connect("U:0", "rnn/MatMul_1:b"),
    AddNode("Add", scope="rnn"), Connect("rnn/MatMul:0", "rnn/Add:a"), Connect("rnn/MatMul_1:0", "rnn/Add:b"),
    AddNode("Tanh", scope="rnn"), Connect("rnn/Add:0", "rnn/Tanh:x"),
    Connect("rnn/Tanh:0", "rnn/h:next"), Connect("rnn/Tanh:0", "rnn/Scan:output 0"), AddNode("Mean", "loss"), Connect("rnn/Scan:0", "loss:x"))


def around() -> Document:
    edits = [e for name, shape in (("seq", "batch, 5, 3"), ("h0", "batch, 4")) for e in (AddNode("Placeholder", name), SetAttr(name, "shape", shape))]
    return apply(Document(), *edits, *(e for name, shape in (("W", "3, 4"), ("U", "4, 4")) for e in (AddNode("Variable", name), SetAttr(name, "shape", shape))))


def rnn() -> Document:
    return apply(around(), *CELL)


def told(document: Document, severe: bool = True) -> list[tuple]:
    return [(d.node, d.port, d.axis, d.edge) for d in build(document).diagnostics if d.severe == severe]


def test_a_cell_wired_by_hand_is_the_graph_that_scan_makes():
    with fl.Graph() as g:
        seq, h0 = fl.placeholder(("batch", 5, 3), name="seq"), fl.placeholder(("batch", 4), name="h0")
        W, U = fl.variable(fl.init.initializer("zeros", (3, 4)), name="W"), fl.variable(fl.init.initializer("zeros", (4, 4)), name="U")
        with fl.scan(seq, time_axis=1, name="rnn") as step:
            prev = step.state("h", init=h0)
            h = fl.tanh(step.input @ W + prev @ U)
            step.update(prev, h)
            step.output(h)
        fl.mean(step.outputs[0], name="loss")
    document = rnn()
    assert document.same_graph(g) and document_of(build(document).graph).same_graph(document) and from_text(document.text()) == document
    assert document.text().startswith('{"flowlab": 1')        # what is whole, older ones of flowlab read


def test_every_step_on_the_way_is_kept_in_a_file_and_says_what_it_waits_for():
    document = around()
    for k, edit in enumerate(CELL):
        document = apply(document, edit)
        assert from_text(document.text()) == document and not any(d.severe for d in build(document).diagnostics), edit
        open_ends = {(node, port) for node, port, *_ in told(document, severe=False)}
        assert (("rnn/h", "next") in open_ends) == (k < 14) and ("rnn/Scan" in build(document).graph) == (k >= 14)
    assert apply(around(), CELL[0]).text().startswith('{"flowlab": 2')


def test_a_misfit_inside_has_its_inner_address_and_ways_out_that_work():
    document = apply(rnn(), SetAttr("W", "shape", "2, 4"))
    (found,) = [d for d in build(document).diagnostics if d.severe]
    assert (found.node, found.port, found.edge) == ("rnn/MatMul", "b", "W:0->rnn/MatMul:b")
    mended = next(r for r in found.repairs if r.label == "Make W (3, 4)")
    assert not build(apply(document, *mended.edits)).diagnostics
    document = apply(rnn(), SetAttr("W", "dtype", "float64"))
    (found,) = [d for d in build(document).diagnostics if d.severe]
    cast = next(r for r in found.repairs if r.label.startswith("Cast"))
    after = apply(document, *cast.edits)
    assert not build(after).diagnostics and "rnn/Cast" in flat(after).nodes and "rnn/Cast" not in after.nodes


def test_a_state_that_changes_its_shape_is_told_of_at_its_port_next():
    document = apply(around(), AddNode("Scan", "rnn"), Connect("seq:0", "rnn:x"), Connect("h0:0", "rnn/h:start"), Connect("rnn/input:0", "rnn/h:next"))
    assert told(document) == [("rnn/h", "next", 1, "rnn/input:0->rnn/h:next")]
    (found,) = [d for d in build(document).diagnostics if d.severe]
    assert found.message == "scan: the state h starts as (batch, 4) and becomes (batch, 3)."
    assert not build(apply(document, *next(r for r in found.repairs if r.label == "Make h0 (batch, 3)").edits)).diagnostics


def test_what_comes_in_and_out_follows_the_wires():
    document = apply(rnn(), Connect("U:0", "rnn/MatMul:b"))
    assert list(document.nodes["rnn/Scan"].inputs.values()) == ["seq:0", "h0:0", "U:0"]       # W is used no more, and goes
    document = apply(rnn(), RemoveNodes(("W",)))
    assert ("rnn/MatMul", "b") in {d[:2] for d in told(document, severe=False)} and "W" not in [n.rpartition("/")[2] for n in flat(document).nodes]
    document = apply(rnn(), AddNode("Relu", "r"), Connect("rnn/Add:0", "r:x"), AddNode("Relu", "last"), Connect("rnn/Scan:2", "last:x"))
    assert document.nodes["r"].inputs["x"] == "rnn/Scan:1" and document.nodes["last"].inputs["x"] == "rnn/Scan:2"
    document = apply(document, Connect("rnn/MatMul:0", "rnn/Scan:output 2"))    # the last state has another number now
    assert document.nodes["last"].inputs["x"] == "rnn/Scan:3" and not told(document)
    document = apply(document, Disconnect("rnn/Scan:output 2"))
    assert document.nodes["last"].inputs["x"] == "rnn/Scan:2" and len(document.nodes["rnn/Scan"].attrs["out_axes"]) == 2
    document = apply(document, Disconnect("rnn/Scan:output 1"))                 # somebody takes it: it stays, open
    assert ("rnn/Scan", "output 1") in {d[:2] for d in told(document, severe=False)}


def test_the_axis_of_the_time_is_found_and_can_be_set():
    time = apply(around(), SetAttr("seq", "shape", "time, 3"), AddNode("Scan", "rnn"), Connect("seq:0", "rnn:x"))
    assert time.nodes["rnn/Scan"].attrs["axes"] == (0,) and rnn().nodes["rnn/Scan"].attrs["axes"] == (1,)
    document = apply(rnn(), SetAttr("rnn/Scan", "axes", "0"))
    assert document.nodes["rnn/Scan"].attrs["axes"] == document.nodes["rnn/Scan"].attrs["out_axes"] == (0,)
    document = apply(rnn(), SetAttr("rnn/Scan", "axes", "7"))
    (found,) = [d for d in build(document).diagnostics if d.severe]
    assert (found.node, found.port, found.axis) == ("rnn/input", "x", 7) and not told(apply(document, *found.repairs[0].edits))[1:]
    assert build(apply(rnn(), SetAttr("rnn/Scan", "reverse", "true"))).graph.nodes["rnn/Scan"].attrs["reverse"] is True
    with pytest.raises(fl.AttributeValueError, match="inside a loop is changed on the canvas"):
        apply(rnn(), SetAttr("rnn/Scan", "states", "2"))


def test_inside_nodes_are_renamed_inserted_bypassed_grouped_and_copied():
    document = apply(rnn(), Move({"rnn/Tanh": (1.0, 2.0)}), Rename("rnn/Tanh", "act"), Rename("rnn/h", "rnn/state"))
    assert document.positions == {"rnn/act": (1.0, 2.0)} and ("rnn/act:0", "rnn/state:next") in set(drawn_edges(document))
    document = apply(document, Insert("rnn/act:0->rnn/state:next", "Relu"), Insert("W:0->rnn/MatMul:b", "Negative"))
    assert {("rnn/act:0", "rnn/Relu:x"), ("rnn/Relu:0", "rnn/state:next"), ("W:0", "rnn/Negative:x")} <= set(drawn_edges(document)) and not told(document)
    assert {("rnn/Add:0", "rnn/h:next"), ("rnn/Add:0", "rnn/Scan:output 0")} <= set(drawn_edges(apply(rnn(), Bypass("rnn/Tanh"))))
    grouped = apply(rnn(), Group(("rnn/Add", "rnn/Tanh"), "cell"))
    assert {"rnn/cell/Add", "rnn/cell/Tanh"} <= flat(grouped).nodes.keys() and "rnn/cell" in flat(grouped).composites and not told(grouped)
    assert apply(grouped, Ungroup("rnn/cell")).same_graph(rnn())
    twice = apply(rnn(), Duplicate(("rnn/Add", "rnn/Tanh")))
    assert ("rnn/Add_1:0", "rnn/Tanh_1:x") in set(drawn_edges(twice))
    whole = apply(rnn(), Duplicate(("rnn",)), Rename("rnn_1/Scan", "two"))
    assert {"two/Tanh", "two/input", "two/Scan"} <= flat(whole).nodes.keys() and "two/Scan" in whole.nodes
    ids = [n.id for d in (whole, *(n.attrs["body"].document for n in whole.nodes.values() if n.op == "Scan")) for n in d.nodes.values()]
    assert len(ids) == len(set(ids))


def test_more_states_and_sequences_and_what_cannot_go():
    document = apply(rnn(), AddNode("State", scope="rnn"), AddNode("Timestep", "rnn/more"), Connect("h0:0", "rnn/h_1:start"), Connect("seq:0", "rnn/more:x"), Connect("rnn/h:0", "rnn/h_1:next"))
    assert not told(document) and not told(document, severe=False) and [t.name for t in build(document).graph.nodes["rnn/Scan"].inputs][:4] == ["seq:0", "seq:0", "h0:0", "h0:0"]
    assert apply(document, RemoveNodes(("rnn/h_1", "rnn/more"))).same_graph(rnn())
    with pytest.raises(fl.DocumentError, match="the only one"):
        apply(rnn(), RemoveNodes(("rnn/input",)))
    assert "rnn/Scan" not in flat(apply(rnn(), RemoveNodes(("rnn",)))).nodes and not apply(rnn(), RemoveNodes(("rnn/Tanh", "rnn/Scan"))).nodes.keys() - {"seq", "h0", "W", "U", "loss"}


REFUSED = [
    (Connect("rnn/Tanh:0", "rnn/h:start"), "before the loop"), (Connect("loss:0", "rnn/Add:a"), "cycle"), (Connect("seq:0", "rnn/Scan:xs.0"), "inside rnn"), (Rename("rnn/Tanh", "out/Tanh"), "stays there"),
    (Rename("rnn/Tanh", "rnn/Add"), "taken"), (MarkFetch("rnn/Tanh"), "not asked for"), (Differentiate("rnn/Tanh:0"), "not differentiated"), (Ungroup("rnn"), "scope of its own"),
    (AddNode("State"), "belongs to a loop"), (Group(("rnn/Tanh", "loss")), "inside a loop"), (RemoveNodes(("rnn/Tnah",)), "no node"), (AddNode("Tanh", "rnn/Tanh"), "taken"), (AddNode("Scan", "seq"), "taken"),
    (Disconnect("rnn/Scan:output 3"), "no wire"), (Connect("rnn/Tanh:0", "rnn/Scan:output 5"), "no input"), (Bypass("rnn/h"), "cannot be bypassed"), (SetAttr("rnn/h", "shape", "3"), "no attribute"),
]


@pytest.mark.parametrize("edit, why", REFUSED, ids=[str(e)[:40] for e, _ in REFUSED])
def test_what_makes_no_sense_inside_is_refused_with_its_reason(edit, why):
    document = rnn()
    with pytest.raises(fl.FlowError, match=why):
        apply(document, edit)


def test_branches_while_loops_and_loops_in_loops_are_edited():
    document = apply(document_of(nested()), Insert("outer/root/Sqrt:0->outer/root/Cond:then 0", "Square"), AddNode("Exp", "outer/root/Exp"), Connect("outer/root/Negative:0", "outer/root/Exp:x"),
                     Connect("outer/root/Exp:0", "outer/root/Cond:otherwise 0"), AddNode("Multiply", "outer/grow/Multiply"), Connect("outer/grow/Add:0", "outer/grow/Multiply:a"), Connect("outer/s:0", "outer/grow/Multiply:b"),
                     AddNode("Abs", scope="outer/grow"), Connect("outer/grow/Multiply:0", "outer/grow/Abs:x"), AddNode("Add", "outer/grow/more"), Connect("outer/grow/Abs:0", "outer/grow/more:a"), Connect("outer/grow/Add:0", "outer/grow/more:b"),
                     Connect("outer/grow/more:0", "outer/grow/k:next"))
    assert not build(document).diagnostics
    total = 0.0
    for v in (4.0, -1.0, 9.0):
        y, k = v if v > 0 else np.exp(-v), 0.5
        while k < 2:
            k = abs((k + y) * total) + k + y
        total += k
    with fl.Session(build(document).graph) as sess:
        np.testing.assert_allclose(sess.run("y", {"x": [4, -1, 9]}), total ** 2, rtol=1e-5)


def test_a_gradient_survives_edits_of_its_loop_and_stays_as_it_is():
    document = apply(rnn(), Differentiate("loss:0"))
    assert not build(document).diagnostics
    before = dict(document.nodes["gradients/rnn/Scan/Scan"].inputs)
    named = {p: build(document).graph.nodes["rnn/Scan"].output_names[int(t.rpartition(":")[2])] for p, t in before.items() if t.startswith("rnn/Scan:")}
    document = apply(document, AddNode("Sigmoid", scope="rnn"), Connect("rnn/h:0", "rnn/Sigmoid:x"), Connect("rnn/Sigmoid:0", "rnn/Scan:output 1"))
    now = document.nodes["gradients/rnn/Scan/Scan"].inputs
    assert not build(document).diagnostics and {p: build(document).graph.nodes["rnn/Scan"].output_names[int(now[p].rpartition(":")[2])] for p in named} == named
    with pytest.raises(fl.DocumentError, match="part of a gradient"):
        apply(document, RemoveNodes(("gradients/rnn/Scan/Add",)))


def test_a_loop_whose_name_begins_like_a_scope_inside_another_hides_nothing():
    document = apply(rnn(), AddNode("Tanh", "block/deep/t", scope="rnn"), AddNode("Scan", "two"), Rename("two", "rnn/block"))
    assert {"rnn/block/deep/t", "rnn/block/h"} <= document.inside       # one in the loop rnn, one in the loop rnn/block
    body, (there,) = holding(document, ["rnn/block/deep"])
    assert there == "block/deep" and "block/deep/t" in body.nodes
    after = apply(document, Duplicate(("rnn/block/deep/t",)), Rename("rnn/block/h", "rnn/block/state"), RemoveNodes(("rnn/block/deep/t",)))
    assert "rnn/block/deep/t_1" in after.inside and "rnn/block/deep/t" not in after.inside and "rnn/block/state" in after.inside
