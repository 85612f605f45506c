"""Composites: a function becomes one foldable node with a signature, at no cost in the plan."""
from __future__ import annotations

import json

import numpy as np
import pytest

import flowlab as fl
from flowlab.io.document import document_of, from_text
from flowlab.io.edits import AddNode, Connect, RemoveNodes, Rename, SetAttr, apply


def affine(x, w, b=0.0, *, activation="tanh"):
    """Multiply by w and add b.

    Then squash."""
    y = x @ w + b
    return getattr(fl, activation)(y) if activation else y


def residual(x, w):
    return x + affine_composite(x, w, name="inner") * 2.0, fl.mean(x)


affine_composite = fl.composite(affine)
residual_composite = fl.composite(residual)


def network(block, inner):
    with fl.Graph("net") as g:
        x, w = fl.placeholder(("n", 3), "float64", name="x"), fl.variable(np.eye(3) * 0.5, name="w")
        h, m = block(x, w)
        h, _ = block(h, w)
        loss = fl.mean(inner(h, w, np.ones(3)) ** 2) + m
        grads = fl.gradients(loss, [x, w])
    return g, [loss, *grads]


def plain(x, w):
    return x + affine(x, w) * 2.0, fl.mean(x)


def steps(g, fetches):
    plan = fl.Session(g).plan(tuple(fetches), (g.tensor("x:0"),))
    return [(s.node.op.name, s.args, s.outs, s.waits, s.frees) for s in plan.steps]


def test_the_plan_is_the_one_of_the_function_written_out_in_place():
    a, b = network(residual_composite, affine_composite), network(plain, affine)
    assert steps(*a) == steps(*b)
    feeds = {"x": np.random.default_rng(0).normal(size=(5, 3))}
    for u, v in zip(fl.Session(a[0]).run(a[1], feeds), fl.Session(b[0]).run(b[1], feeds), strict=True):
        np.testing.assert_array_equal(u, v)


def test_each_use_is_a_scope_with_its_signature():
    g, _ = network(residual_composite, affine_composite)
    assert list(g.composites) == ["residual/inner", "residual", "residual_1/inner", "residual_1", "affine"]
    made = g.composites["residual"]
    assert made.function == "residual" and dict(made.inputs) == {"x": "x:0", "w": "w:0"} and dict(made.outputs) == {"0": "residual/Add:0", "1": "residual/Mean:0"}
    inner = g.composites["residual_1/inner"]
    assert inner.function == "affine" and inner.doc == "Multiply by w and add b.\n\nThen squash." and dict(inner.inputs) == {"x": "residual/Add:0", "w": "w:0"}
    last = g.composites["affine"]
    assert dict(last.inputs) == {"x": "residual_1/Add:0", "w": "w:0"} and dict(last.outputs) == {"out": "affine/Tanh:0"}
    assert repr(last) == "affine(x=residual_1/Add:0, w=w:0) → affine/Tanh:0"
    assert {n.scope.partition("/")[0] for n in g.nodes if n.phase == "forward"} >= {"residual", "residual_1", "affine"}


def test_arguments_of_every_kind():
    @fl.composite(name="mix")
    def anything(xs, scale, *more, table, flag=True, **rest):
        total = fl.sum(xs[0] * scale) + sum(fl.sum(x) for x in more)
        return {"total": total + fl.sum(table["a"]) + rest["last"], "parts": [xs[1], xs[0]]} if flag else total

    with fl.Graph() as g:
        a, b = fl.placeholder((2,), name="a"), fl.placeholder((2,), name="b")
        out = anything([a, b], 3.0, a, np.ones(2, "float32"), table={"a": b, "n": 4}, last=b[0])
        assert set(out) == {"total", "parts"} and out["parts"][0] is b
        assert isinstance(anything([a, b], 1, table={"a": b}, flag=False, last=a, name="plain"), fl.Tensor)
    made = g.composites["mix"]
    assert dict(made.inputs) == {"xs.0": "a:0", "xs.1": "b:0", "more.0": "a:0", "table.a": "b:0", "last": made.inputs["last"]}
    assert dict(made.outputs) == {"total": made.outputs["total"], "parts.0": "b:0", "parts.1": "a:0"} and made.outputs["total"].startswith("mix/")
    assert g.composites["plain"].function == "mix"


def test_a_composite_in_a_scope_and_a_function_with_an_argument_called_name():
    @fl.composite
    def labelled(x, name="x"):
        return fl.identity(x, name=name)

    with fl.Graph() as g:
        x = fl.placeholder((), name="x")
        with fl.name_scope("outer"):
            y = affine_composite(fl.expand_dims(x, (0, 1)), np.ones((1, 1), "float32"), name="deep/er")
        labelled(x, name="it")
    assert y.name == "outer/deep/er/Tanh:0" and list(g.composites) == ["outer/deep/er", "it"]


def test_what_goes_wrong_inside_says_where():
    @fl.composite
    def broken(x, k):
        return [lambda: fl.matmul(x, x), lambda: 1 / 0, lambda: 3, lambda: (x, None), lambda: fl.expand_dims(x, 7)][k]()

    with fl.Graph() as g:
        x = fl.placeholder((2, 3), name="x")
        with pytest.raises(fl.ShapeError, match="inner sizes|cannot multiply") as caught:
            broken(x, 0, name="here")
        assert caught.value.node == "here/MatMul" and "in the composite broken, scope here" in caught.value.__notes__
        with pytest.raises(ZeroDivisionError) as caught:
            broken(x, 1)
        assert caught.value.__notes__ == ["in the composite broken, scope broken"]
        with pytest.raises(fl.FlowError, match="broken returned 3, which is no tensor") as caught:
            broken(x, 2)
        assert caught.value.node.startswith("broken")
        with pytest.raises(fl.FlowError, match="returned None as 1, which is no tensor"):
            broken(x, 3)
        with pytest.raises(fl.AttributeValueError, match="broken: missing a required argument: 'k'") as caught:
            broken(x)
        assert caught.value.hint == "broken(x, k)"
        affine_composite(x, np.ones((3, 1), "float32"), name="taken")
        for name, error in (("taken", "taken"), ("x", "taken"), ("a:b", "cannot be a name"), ("", "cannot be a name")):
            with pytest.raises(fl.NameTakenError, match=error):
                affine_composite(x, np.ones((3, 1), "float32"), name=name)
    assert list(g.composites) == ["taken"]
    with pytest.raises(fl.AttributeValueError):
        fl.composite(3)
    with fl.Graph("other"):
        z = fl.placeholder((2, 2), name="z")
    with g, pytest.raises(fl.FlowError, match="tensor of graph 'other'"):
        fl.composite(lambda x: z, name="stray")(x)


def test_files_keep_composites_and_sameness_does_not_ask_for_them(tmp_path):
    g, fetches = network(residual_composite, affine_composite)
    fl.save(g, tmp_path / "g.flow.json")
    read = fl.load(tmp_path / "g.flow.json")
    assert read.composites == g.composites and list(read.composites) == list(g.composites)
    data = json.loads((tmp_path / "g.flow.json").read_text())
    without = {k: v for k, v in data.items() if k != "composites"}
    assert from_text(json.dumps(without)).same_graph(g) and not from_text(json.dumps(without)).composites
    assert from_text(json.dumps(without)) != from_text(json.dumps(data))
    assert fl.Editor(g).graph.composites == g.composites


@pytest.mark.parametrize("wrong", [
    [], {"affine": []}, {"affine": {}}, {"affine": {"function": 3}}, {"affine": {"function": "f", "code": "import os"}}, {"affine": {"function": "f\n"}},
    {"affine": {"function": "f", "inputs": {"x": "nobody:0"}}}, {"affine": {"function": "f", "outputs": {"x": "x"}}}, {"affine": {"function": "f", "inputs": {"a:b": "x:0"}}},
    {"affine": {"function": "f", "inputs": [["x", "x:0"]]}}, {"affine": {"function": "f" * 201}}, {"affine": {"function": "f", "doc": "d" * 20_001}},
])
def test_files_with_bad_composites_are_refused(wrong):
    g, _ = network(residual_composite, affine_composite)
    data = {**document_of(g).to_json(), "composites": wrong}
    with pytest.raises(fl.DocumentError, match="composites"):
        from_text(json.dumps(data))


def test_composites_of_scopes_that_are_gone_are_left_out():
    data = {"flowlab": 1, "nodes": [], "composites": {"a": {"function": "f"}}}
    assert not from_text(json.dumps(data)).composites


def test_edits_carry_composites_along_and_drop_what_is_no_longer_so():
    g, _ = network(residual_composite, affine_composite)
    document = document_of(g)
    renamed = apply(document, Rename("residual", "block"), Rename("x", "input"), Rename("residual_1/inner/Tanh", "residual_1/inner/squash"))
    assert list(renamed.composites) == ["block/inner", "block", "residual_1/inner", "residual_1", "affine"]
    assert dict(renamed.composites["block"].inputs) == {"x": "input:0", "w": "w:0"} and renamed.composites["block"].outputs["0"] == "block/Add:0"
    assert dict(renamed.composites["residual_1/inner"].inputs) == {"x": "block/Add:0", "w": "w:0"}
    assert dict(renamed.composites["residual_1/inner"].outputs) == {"out": "residual_1/inner/squash:0"}
    for edit, left in ((Connect("x:0", "residual/inner/MatMul:a"), {"residual_1/inner", "residual_1", "affine"}), (AddNode("Relu", scope="affine"), {"residual/inner", "residual", "residual_1/inner", "residual_1"}),
                       (RemoveNodes(("residual_1/inner",)), {"residual/inner", "residual", "affine"}), (RemoveNodes(("x",)), {"residual_1/inner", "residual_1", "affine"}),
                       (Rename("residual_1/inner/Tanh", "Squash"), {"residual/inner", "residual", "affine"}), (SetAttr("affine/Constant", "value", "[1, 2, 3]"), set(document.composites)),
                       (Rename("affine", "residual/affine"), {"residual/inner", "residual_1/inner", "residual_1", "residual/affine"})):
        assert set(apply(document, edit).composites) == left, edit
