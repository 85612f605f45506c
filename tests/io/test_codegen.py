"""Generated code makes the same graph, and a name in it is never code."""
from __future__ import annotations

import ast

import numpy as np
import pytest

import flowlab as fl
from flowlab.io.document import Document, document_of, same_graph
from flowlab.io.edits import AddNode, Connect, apply


def run(code: str) -> fl.Graph:
    names: dict = {}
    exec(compile(code, "generated", "exec"), names)
    return names["g"]


def everything() -> fl.Graph:
    with fl.Graph('everything "quoted"\n') as g:
        seq = fl.placeholder(("batch", 5, 3), name="seq")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        out, (h_n, c_n) = fl.nn.lstm(seq, 4, name="lstm")
        left, right = fl.split(h_n, 2, axis=1)
        logits = fl.nn.dense(fl.concat([left, right[:, ::-1], left ** 3], axis=-1), 7, name="head")
        noisy = fl.dropout(logits, 0.25) + fl.cast(fl.random_normal(shape=(1, 7)), "float32")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(noisy, labels), name="loss")
        fl.optim.Adam(1e-3).minimize(loss, name="train")
        fl.variable(np.float32([[1.5, -0.0]]), name="odd", trainable=False)
        fl.variable(fl.init.normal((2, 3), 0, 0.1), name="drawn")
        for k, array in enumerate([np.float16([65504, 6e-8]), np.arange(100), np.array([np.nan, np.inf]), np.full((9, 9), 0.1, "float32"), np.zeros((0, 3), "int8"), np.array(True), np.random.default_rng(0).random((9, 9))]):
            fl.constant(array, name=f"constants/c{k}")
        with fl.control_dependencies([loss, g.node("train")]), fl.device("cpu:0"):
            fl.add(c_n, fl.sum(out, axis=(1,)), name="late")
    return g


def test_generated_code_makes_the_same_graph():
    g = everything()
    again = run(fl.to_python(g))
    assert same_graph(again, g)
    assert [n.name for n in again.nodes] == [n.name for n in g.nodes]


@pytest.mark.parametrize("name", ["__proto__", "'; import os", '"""', "class", "match", "fl", "np", "g", "1st", "a b", "卷积", "\\", "{x}", "x'", "a/b", "a_b", "A/b", "#"])
def test_a_name_is_never_code(name):
    with fl.Graph(name) as g:
        x = fl.placeholder((), name=name)
        fl.relu(x, name="other/" + name.replace("/", "_"))
        fl.relu(x, name="a__b")
    code = fl.to_python(g)
    called = {n.func.attr for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
    assert called == {"Graph", "placeholder", "relu"} and same_graph(run(code), g)


def test_it_reads_as_a_person_would_write_it():
    with fl.Graph("mse") as g:
        x, W = fl.placeholder(("batch", 3), name="x"), fl.variable(np.float32([[1], [2], [0.5]]), name="W")
        fl.mean(x @ W, axis=0, name="loss")
    assert fl.to_python(g) == """import numpy as np

import flowlab as fl

with fl.Graph('mse') as g:
    x = fl.placeholder(('batch', 3), 'float32', name='x')
    W = fl.variable(np.array([[1.0], [2.0], [0.5]], 'float32'), name='W')
    MatMul = fl.matmul(x, W, name='MatMul')
    loss = fl.mean(MatMul, axis=0, name='loss')
"""


def test_a_document_is_written_when_it_is_sound():
    document = apply(Document(), AddNode("Placeholder", "x"), AddNode("Relu"), Connect("x:0", "Relu:x"))
    assert same_graph(run(fl.to_python(document)), document)
    with pytest.raises(fl.DocumentError, match="open"):
        fl.to_python(apply(document, AddNode("Add")))
    assert same_graph(run(fl.to_python(Document())), document_of(fl.Graph()))


def test_a_loop_over_time_reads_as_a_person_would_write_it():
    with fl.Graph("rnn") as g:
        seq, h0 = fl.placeholder(("batch", 5, 3), name="seq"), fl.placeholder(("batch", 4), name="h0")
        W, U = fl.variable(np.zeros((3, 4), "float32"), name="W"), fl.variable(np.zeros((4, 4), "float32"), name="U")
        with fl.scan(seq, time_axis=1, reverse=True, name="rnn") as step:
            prev = step.state("h", init=h0)
            h = fl.tanh(fl.matmul(step.input, W, name="a") + fl.matmul(prev, U, name="b"), name="h_t")
            zeros = fl.zeros_like(h[0], name="zeros")
            with fl.scan(h, name="inner") as inner:
                total = inner.state("total", init=zeros)
                inner.update(total, total + inner.input * U[0])
            step.update(prev, h)
            step.output(h)
            step.output(inner.states["total"], axis=0)
        fl.mean(step.outputs[0], name="loss")
    code = fl.to_python(g)
    assert """    with fl.scan(seq, time_axis=1, reverse=True, name='rnn') as rnn:
        h = rnn.state('h', init=h0)
        a = fl.matmul(rnn.input, W, name='a')
        b = fl.matmul(h, U, name='b')
""" in code and "        rnn.update(h, h_t)\n        rnn.output(h_t)\n" in code and "with fl.scan(h_t, time_axis=0, name='inner') as inner:" in code and "fl.Body" not in code
    assert same_graph(run(code), g) and run(code).node("loss").inputs[0].name == "rnn/Scan:0"
    with g:
        fl.gradients(g.tensor("loss:0"), [W, U])
    assert same_graph(run(fl.to_python(g)), g) and "fl.Body" in fl.to_python(g)      # the way back is no loop that anybody writes


def test_a_loop_whose_scope_holds_something_before_it_is_written_with_its_body():
    with fl.Graph() as g:
        with fl.scan(fl.placeholder((5, "batch", 3), name="seq"), name="rnn") as step:
            h = step.state("h", size=3)
            step.update(h, fl.tanh(step.input + h))
            step.output(h)
    assert "fl.Body" in fl.to_python(g) and same_graph(run(fl.to_python(g)), g)


def test_code_calls_what_no_module_hides():
    with fl.Graph("g") as g:
        x = fl.placeholder((3, 3), name="x")
        fl.linalg.trace(x, name="t")
    assert fl.Session(g).trace("t", {"x": np.eye(3)}).results == 3     # from here on fl.trace is the package
    assert same_graph(run(fl.to_python(g)), g)
    with pytest.raises(fl.FlowError, match=r"trace needs the input x") as told:
        fl.linalg.trace()
    assert "fl.linalg.trace(x)" in told.value.hint
