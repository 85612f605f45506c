"""Ways out of what does not fit: every one that is offered makes the node sound and breaks nothing, and the best comes first."""
from __future__ import annotations

import pytest

import flowlab as fl
from flowlab.io.build import build
from flowlab.io.document import Document, document_of
from flowlab.io.edits import AddNode, Connect, SetAttr, apply


def fed(name: str, shape: str, dtype: str = "float32", kind: str = "Placeholder") -> list:
    return [AddNode(kind, name, attrs={"dtype": dtype, "shape": shape})]


def op(kind: str, *wires: str, **attrs) -> list:
    """A node and its wires: `"x:0 a"` goes from x to the port a."""
    return [AddNode(kind, kind, attrs=attrs), *(Connect(src, f"{kind}:{port}") for src, port in (w.split() for w in wires))]


def weight(name: str, shape: str) -> list:
    return fed(name, shape, kind="Variable")


x3, lstm = fed("x", "batch, 3"), ("kernel", "recurrent_kernel", "bias")
MISFITS = {
    "matmul, transposed weight": ([*x3, *weight("W", "2, 3"), *op("MatMul", "x:0 a", "W:0 b")], "Transpose b"),
    "matmul, wrong rows": ([*x3, *weight("W", "5, 2"), *op("MatMul", "x:0 a", "W:0 b")], "Make W (3, 2)"),
    "matmul, other rows and columns": ([*x3, *weight("W", "2, 7"), *op("MatMul", "x:0 a", "W:0 b")], "Make W (3, 7)"),
    "matmul, swapped": ([*fed("x", "5, 3"), *fed("y", "4, 5"), *op("MatMul", "x:0 a", "y:0 b")], "Swap a and b"),
    "matmul of images": ([*fed("x", "batch, 8, 5, 5"), *weight("W", "200, 10"), *op("MatMul", "x:0 a", "W:0 b")], "Flatten a to rows of 200"),
    "matmul by a scalar": ([*x3, *fed("s", ""), *op("MatMul", "x:0 a", "s:0 b")], None),
    "bias of another size": ([*fed("x", "batch, 10"), *weight("b", "16"), *op("Add", "x:0 a", "b:0 b")], "Make b (10,)"),
    "elementwise, columns and rows": ([*fed("x", "4, 3"), *fed("y", "3, 4"), *op("Multiply", "x:0 a", "y:0 b")], "Transpose b"),
    "elementwise, rows of numbers": ([*fed("x", "5, 3"), *fed("y", "5"), *op("Multiply", "x:0 a", "y:0 b")], "Add axis 1 to b"),
    "elementwise, as many numbers": ([*fed("x", "12"), *fed("y", "3, 4"), *op("Add", "x:0 a", "y:0 b")], "Reshape a to (3, 4)"),
    "float and int": ([*x3, *fed("i", "batch, 3", "int64"), *op("Add", "x:0 a", "i:0 b")], "Cast b to float32"),
    "float and float64": ([*x3, *weight("W", "3, 2"), SetAttr("W", "dtype", "float64"), *op("MatMul", "x:0 a", "W:0 b")], "Cast b to float32"),
    "concat along the wrong axis": ([*fed("x", "4, 3"), *fed("y", "4, 5"), *op("Concat", "x:0 xs.0", "y:0 xs.1")], "Set axis to 1"),
    "concat of other ranks": ([*fed("x", "4, 3"), *fed("y", "3"), *op("Concat", "x:0 xs.0", "y:0 xs.1")], "Add axis 0 to xs.1"),
    "stack of other sizes": ([*fed("x", "4, 3"), *fed("y", "3, 4"), *op("Stack", "x:0 xs.0", "y:0 xs.1")], "Transpose xs.1"),
    "conv, channels last": ([*fed("x", "batch, 28, 28, 3"), *weight("w", "8, 3, 5, 5"), *op("Conv2D", "x:0 x", "w:0 w")], "Transpose x to (batch, 3, 28, 28)"),
    "conv, other channels": ([*fed("x", "batch, 3, 28, 28"), *weight("w", "8, 1, 5, 5"), *op("Conv2D", "x:0 x", "w:0 w")], "Make w (8, 3, 5, 5)"),
    "conv, flat images": ([*fed("x", "batch, 784"), *weight("w", "8, 1, 5, 5"), *op("Conv2D", "x:0 x", "w:0 w")], "Reshape x to images of 28 × 28"),
    "conv, no batch": ([*fed("x", "1, 28, 28"), *weight("w", "8, 1, 5, 5"), *op("Conv2D", "x:0 x", "w:0 w")], "Add a batch axis to x"),
    "conv, image too small": ([*fed("x", "batch, 1, 3, 3"), *weight("w", "8, 1, 5, 5"), *op("Conv2D", "x:0 x", "w:0 w")], 'Set padding to "same"'),
    "pool, image too small": ([*fed("x", "batch, 1, 3, 3"), *op("MaxPool2D", "x:0 x", size=[4, 4])], 'Set padding to "same"'),
    "reshape, another total": ([*fed("x", "4, 6"), *op("Reshape", "x:0 x", shape="5, 6")], "Set shape to (−1, 6)"),
    "gather by floats": ([*weight("E", "100, 8"), *fed("i", "batch"), *op("Gather", "E:0 x", "i:0 indices")], "Make i hold int64"),
    "one_hot of floats": ([*fed("i", "batch"), *op("OneHot", "i:0 indices", depth=10)], "Make i hold int64"),
    "loss, class numbers where rows are asked for": ([*fed("z", "batch, 10"), *fed("y", "batch", "int64"), *op("SoftmaxCrossEntropy", "z:0 logits", "y:0 labels")], "Make labels one-hot"),
    "loss, one-hot rows where class numbers are asked for": ([*fed("z", "batch, 10"), *fed("y", "batch, 10"), *op("SparseSoftmaxCrossEntropy", "z:0 logits", "y:0 labels")], "Take the largest class of each row of labels"),
    "loss, a column of labels": ([*fed("z", "batch, 10"), *fed("y", "batch, 1", "int64"), *op("SparseSoftmaxCrossEntropy", "z:0 logits", "y:0 labels")], "Drop axis 1 of labels"),
    "loss, a column of floats": ([*fed("z", "batch, 10"), *fed("y", "batch, 1"), *op("SparseSoftmaxCrossEntropy", "z:0 logits", "y:0 labels")], None),
    "recurrent, no batch": ([*fed("x", "time, 3"), *weight("k", "3, 16"), *weight("r", "4, 16"), *weight("b", "16"), *op("LSTM", "x:0 x", "k:0 kernel", "r:0 recurrent_kernel", "b:0 bias")], "Add a batch axis to x"),
    "recurrent, one number a step": ([*fed("x", "batch, time"), *weight("k", "1, 16"), *weight("r", "4, 16"), *weight("b", "16"), *op("LSTM", "x:0 x", "k:0 kernel", "r:0 recurrent_kernel", "b:0 bias")], "Add axis 2 to x"),
    "recurrent, other features": ([*fed("x", "batch, time, 5"), *weight("k", "3, 16"), *weight("r", "4, 16"), *weight("b", "16"), *op("LSTM", "x:0 x", "k:0 kernel", "r:0 recurrent_kernel", "b:0 bias")], "Make k (5, 16)"),
    "recurrent, bias of another size": ([*fed("x", "batch, time, 3"), *weight("k", "3, 16"), *weight("r", "4, 16"), *weight("b", "4"), *op("LSTM", "x:0 x", "k:0 kernel", "r:0 recurrent_kernel", "b:0 bias")], "Make b (16,)"),
    "split that does not divide": ([*fed("x", "10, 3"), *op("Split", "x:0 x", n=4)], "Set n to 5"),
    "where, a condition of numbers": ([*fed("c", "3"), *fed("a", "3"), *fed("b", "3"), *op("Where", "c:0 condition", "a:0 x", "b:0 y")], "Cast condition to bool"),
    "an input checked while others are open": ([*fed("x", "batch, time, 3", "int64"), *op("LSTM", "x:0 x")], "Cast x to float32"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_every_way_out_that_is_offered_holds(name):
    edits, first = MISFITS[name]
    document = apply(Document(), *edits)
    wrong = next(d for d in build(document).diagnostics if d.severe)
    labels = [r.label for r in wrong.repairs]
    assert 2 <= len(labels) <= 4 and len(set(labels)) == len(labels) and labels[-1] == "Cut the wire"
    assert first is None or labels[0] == first
    for repair in wrong.repairs:
        after = build(apply(document, *repair.edits))
        assert not [d for d in after.diagnostics if d.severe], repair.label
        assert repair.label == "Cut the wire" or wrong.node in after.graph or any(not d.severe for d in after.diagnostics)


def two_layers() -> Document:
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 784), name="x")
        h = fl.nn.dense(x, 64, activation="relu", name="hidden")
        fl.nn.dense(h, 10, name="out")
    return document_of(g)


def test_the_units_of_the_layer_before_can_be_set():
    document = apply(two_layers(), SetAttr("out/kernel", "shape", "128, 10"))
    wrong = next(d for d in build(document).diagnostics if d.severe)
    assert [(s.tensor, s.shape, s.axes) for s in wrong.sides] == [("hidden/Relu:0", ("batch", 64), (1,)), ("out/kernel:0", (128, 10), (0,))]
    assert [r.label for r in wrong.repairs] == ["Make out/kernel (64, 10)", "Set the units of hidden to 128", "Transpose a", "Cut the wire"]
    after = build(apply(document, *wrong.repairs[1].edits))
    assert after.diagnostics == () and after.types["hidden/kernel:0"].shape == (784, 128) and after.types["hidden/bias:0"].shape == (128,)


def test_a_change_that_breaks_another_node_is_not_offered_where_one_does_not():
    document = apply(Document(), *x3, *fed("y", "batch, 5"), *weight("W", "5, 2"), *op("MatMul", "x:0 a", "W:0 b"), AddNode("MatMul", "other"), Connect("y:0", "other:a"), Connect("W:0", "other:b"))
    wrong = next(d for d in build(document).diagnostics if d.severe)
    assert wrong.node == "MatMul" and "Make W (3, 2)" not in [r.label for r in wrong.repairs] and "Make x (batch, 5)" in [r.label for r in wrong.repairs]


def test_both_sides_and_the_axes_between_them_are_named():
    wrong = next(d for d in build(apply(Document(), *x3, *weight("W", "5, 2"), *op("MatMul", "x:0 a", "W:0 b"))).diagnostics if d.severe)
    assert [(s.port, s.tensor, s.shape, s.axes) for s in wrong.sides] == [("a", "x:0", ("batch", 3), (1,)), ("b", "W:0", (5, 2), (0,))]
    wrong = next(d for d in build(apply(Document(), *fed("z", "batch, 10"), *fed("y", "batch, 2", "int64"), *op("SparseSoftmaxCrossEntropy", "z:0 logits", "y:0 labels"))).diagnostics if d.severe)
    assert [(s.port, s.axes) for s in wrong.sides] == [("logits", ()), ("labels", ())]     # it is the number of axes that does not fit
