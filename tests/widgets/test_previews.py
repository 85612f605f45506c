"""Previews: what an edit would come to, told before it is made, in a small document and in a part of a large one alike."""
from __future__ import annotations

import pytest

import flowlab as fl
from flowlab.io.build import build
from flowlab.io.document import Document, document_of
from flowlab.io.edits import AddNode, Connect, SetAttr, apply
from flowlab.widgets import previews, scene as S


def small() -> Document:
    return apply(Document(), AddNode("Placeholder", "x", attrs={"shape": "batch, 3"}), AddNode("Variable", "W", attrs={"shape": "2, 3"}), AddNode("MatMul"), Connect("x:0", "MatMul:a"),
                 Connect("W:0", "MatMul:b"), AddNode("Relu"), Connect("MatMul:0", "Relu:x"))


def large() -> Document:
    with fl.Graph() as g:
        h = fl.placeholder(("batch", 8), name="before")
        for k in range(50):
            h = fl.nn.dense(h, 8, activation="relu", name=f"layer{k}")
    return apply(document_of(g), AddNode("Placeholder", "x", attrs={"shape": "batch, 3"}), AddNode("Variable", "W", attrs={"shape": "2, 3"}), AddNode("MatMul"), Connect("x:0", "MatMul:a"),
                 Connect("W:0", "MatMul:b"), AddNode("Relu"), Connect("MatMul:0", "Relu:x"))


@pytest.mark.parametrize("document", [small(), large()], ids=["small", "large"])
def test_a_way_out_is_shown_with_its_ghost_its_wires_and_their_shapes(document):
    built = build(document)
    wrong = next(d for d in built.diagnostics if d.severe)
    shown = S.drawn(document, built)
    first = previews.preview(document, built, shown, wrong.repairs[0].edits, "k")
    assert first.ok and first.key == "k" and [(n.op, n.shape) for n in first.nodes] == [("Transpose", "(3, 2)")]
    assert [(e.src, e.dst, e.dst_port, e.shape) for e in first.edges] == [("W", "Transpose", "x", "(2, 3)"), ("Transpose", "MatMul", "b", "(3, 2)")]
    assert first.cuts == ["W:0->MatMul:b"] and first.text == "Transpose: (2, 3) → (3, 2); MatMul gives (batch, 2)."
    second = previews.preview(document, built, shown, wrong.repairs[1].edits, "k")
    assert second.ok and not second.nodes and [(c.element, c.before, c.after) for c in second.changes] == [("W", "(2, 3)", "(3, 3)")]


def test_an_edit_that_moves_the_misfit_is_told_with_both_sides():
    document = small()
    built = build(document)
    p = previews.preview(document, built, S.drawn(document, built), [SetAttr("W", "shape", "7, 4")], "k")
    assert not p.ok and "left columns 3 ≠ right rows 7" in p.why and [(s.port, s.shape, s.axes) for s in p.sides] == [("a", ["batch", "3"], [1]), ("b", ["7", "4"], [0])]
    assert p.repair == "Make W (3, 4)"


@pytest.mark.parametrize("shape, dtype, first", [(("batch", 784), "float32", "MatMul"), (("batch", 1, 28, 28), "float32", "Conv2D"), (("batch", "time", 5), "float32", "LSTM"),
                                                 (("batch",), "int64", "OneHot"), ((), "float32", "Multiply")])
def test_the_search_begins_with_what_people_go_on_with_and_says_what_comes_of_it(shape, dtype, first):
    with fl.Graph():
        fits = S.fits(fl.placeholder(shape, dtype, name="x"))
    assert fits.best[0] == first and not set(fits.best) & set(fits.whys) and first in fits.shapes | fits.ports
    assert len(fits.shapes) > 60


def test_what_open_inputs_and_attributes_decide_is_no_guess():
    with fl.Graph():
        rows, numbers, image = fl.placeholder(("batch", 3)), fl.placeholder(("batch",), "int64"), fl.placeholder(("batch", 28, 28))
        assert S.fits(rows).shapes["MatMul"] == "(batch, ?)" and S.fits(rows).shapes["Add"] == "(batch, 3)" and "Reshape" not in S.fits(rows).shapes
        assert S.fits(numbers).shapes["OneHot"] == "(batch, depth) float32"
        assert "takes 4 axes" in S.fits(image).whys["Conv2D"] and S.fits(image).shapes["MatMul"] == "(batch, 28, ?)"


def test_ports_that_a_wire_would_not_fit_are_named_from_either_end():
    document = apply(small(), AddNode("Variable", "V", attrs={"shape": "7, 4"}), AddNode("MatMul", "late"), Connect("x:0", "late:a"), AddNode("OneHot"))
    built = build(document)
    shown = S.drawn(document, built)
    out = previews.reach(document, built, shown, "V:out:0").whys
    assert set(out) == {"MatMul:in:a", "MatMul:in:b", "late:in:a", "late:in:b", "OneHot:in:indices"} - {"late:in:a"} and "whole numbers" in out["OneHot:in:indices"]
    back = previews.reach(document, built, shown, "late:in:b").whys
    assert set(back) == {"V:out:0", "W:out:0"}      # x, (batch, 3), may fit: a batch may be 3
