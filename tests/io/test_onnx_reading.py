"""fl.from_onnx: names, scopes, variables and sizes of a model; what it cannot compute (Opaque); what a file may not ask for."""
from __future__ import annotations

import os
import warnings
from time import perf_counter

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

import flowlab as fl
from flowlab.io.onnx.files import MOST_NODES
from flowlab.io.onnx.reading import HANDLERS

F, I = TensorProto.FLOAT, TensorProto.INT64


def value(name, shape=None, kind=F):
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes, inputs, outputs, weights=(), version=20, **options):
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(np.asarray(a), n) for n, a in dict(weights).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version), *options.pop("opsets", ())], **options)


def rand(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def reference(model, feeds):
    return onnx.reference.ReferenceEvaluator(model).run(None, feeds)


def held_against_the_reference(model, feeds, **options):
    graph, _ = fl.from_onnx(model, **options)
    got = fl.Session(graph).run([o.name for o in model.graph.output], {k: v for k, v in feeds.items() if k in graph})
    for a, b in zip(got, reference(model, feeds), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, strict=True)
    return graph


def network():
    """A small network as an exporter names it."""
    return model_of(
        [helper.make_node("Conv", ["x", "stem.weight", "stem.bias"], ["c"], "/stem/Conv", pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c"], ["r"], "/stem/Relu"),
         helper.make_node("GlobalAveragePool", ["r"], ["p"], "/pool/Pool"), helper.make_node("Flatten", ["p"], ["f"], "/Flatten"),
         helper.make_node("Gemm", ["f", "head.weight", "head.bias"], ["logits"], "/head/Gemm", transB=1)],
        [value("x", ["batch", 3, "h", "w"])], [value("logits", ["batch", 5])],
        {"stem.weight": rand(4, 3, 3, 3), "stem.bias": rand(4, seed=1), "head.weight": rand(5, 4, seed=2), "head.bias": rand(5, seed=3)})


# ---------------------------------------------------------------- a sound model


def test_names_scopes_variables_and_named_sizes_are_the_models():
    graph, values = fl.from_onnx(network())
    assert graph.node("x").outputs[0].shape == ("batch", 3, "h", "w") and graph.tensor("logits:0").shape == ("batch", 5)
    assert {v.node.name for v in graph.trainable_variables} == set(values) == {"stem.weight", "stem.bias", "head.weight", "head.bias"}
    assert "stem/Relu" in graph.nodes and "Flatten" in graph.nodes and graph.node("stem/Conv/Conv2D").scope == "stem/Conv"
    assert graph.composites["stem/Conv"].function == "Conv"
    sess = fl.Session(graph)
    for name, array in values.items():
        np.testing.assert_array_equal(sess.variables[name], array)
    for size in (4, 7):
        x = rand(2, 3, size, size + 1)
        np.testing.assert_allclose(sess.run("logits", {"x": x}), reference(network(), {"x": x})[0], rtol=1e-5, atol=1e-6)


def test_a_model_trains_on():
    graph, _ = fl.from_onnx(network())
    with graph:
        labels = fl.placeholder(("batch",), "int64", name="labels")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(graph.tensor("logits:0"), labels))
        train = fl.optim.Adam(0.05).minimize(loss)
    sess, feeds = fl.Session(graph), {"x": rand(8, 3, 6, 6), labels: np.arange(8) % 5}
    first = sess.run([loss, train], feeds)[0]
    for _ in range(30):
        last = sess.run([loss, train], feeds)[0]
    assert last < 0.7 * first


def test_a_file_is_read_and_the_graph_is_saved_and_loaded(tmp_path):
    onnx.save(network(), tmp_path / "net.onnx")
    graph, _ = fl.from_onnx(tmp_path / "net.onnx")
    again, _ = fl.from_onnx((tmp_path / "net.onnx").read_bytes())
    assert graph.same_graph(again)
    fl.save(graph, tmp_path / "net.flow.json")
    loaded, x = fl.load(tmp_path / "net.flow.json"), rand(1, 3, 5, 5)
    np.testing.assert_array_equal(fl.Session(loaded).run("logits", {"x": x}), fl.Session(graph).run("logits", {"x": x}))


def test_what_flowlab_writes_it_reads():
    with fl.Graph("m") as g:
        x = fl.placeholder(("batch", 3), name="x")
        y = fl.nn.dense(fl.nn.dense(x, 8, activation="relu", name="a"), 2, name="b")
        out = fl.softmax(y, name="out")
    sess = fl.Session(g, seed=3)
    graph, _ = fl.from_onnx(fl.to_onnx(g, out, sess))
    xs = rand(4, 3)
    np.testing.assert_allclose(fl.Session(graph).run("out", {"x": xs}), sess.run(out, {x: xs}), rtol=1e-6)
    assert {v.node.name for v in graph.trainable_variables} == {v.node.name for v in g.trainable_variables}


@pytest.mark.parametrize(("kind", "gates", "options"), [
    ("LSTM", 4, {}), ("LSTM", 4, {"direction": "bidirectional", "layout": 0}), ("LSTM", 4, {"direction": "reverse", "peephole": True}),
    ("GRU", 3, {"linear_before_reset": 1}), ("GRU", 3, {"direction": "reverse"}), ("RNN", 1, {"activations": ["Relu"]})])
def test_recurrent_weights_become_variables_in_flowlabs_order_and_compute_the_same(kind, gates, options):
    peephole = options.pop("peephole", False)
    d, n, features = 2 if options.get("direction") == "bidirectional" else 1, 4, 3
    weights = {"W": rand(d, gates * n, features), "R": rand(d, gates * n, n, seed=1), "B": rand(d, 2 * gates * n, seed=2), **({"P": rand(d, 3 * n, seed=3)} if peephole else {})}
    names = ["x", "W", "R", "B", *(["", "", "", "P"] if peephole else [])]
    model = model_of([helper.make_node(kind, names, ["y", "h"], "rnn", hidden_size=n, **options)], [value("x", [5, 2, features])], [value("y"), value("h")], weights)
    graph, values = fl.from_onnx(model)
    x = rand(5, 2, features, seed=7)
    got = fl.Session(graph).run(["y", "h"], {"x": x})
    for a, b in zip(got, by_hand(kind, weights, x, d, n, options), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert all(name.startswith("rnn/") for name in values) and len(graph.trainable_variables) == len(values)
    with graph:
        assert all(t is not None for t in fl.gradients(fl.sum(graph.tensor("y:0")), graph.trainable_variables))


def by_hand(kind, weights, x, directions, n, options):
    """The cells as ONNX's specification writes them, in float64."""
    def sigmoid(v):
        return 1 / (1 + np.exp(-v))
    outs, lasts = [], []
    for k in range(directions):
        w, r, b = (weights[c][k].astype("float64") for c in "WRB")
        p = weights["P"][k] if "P" in weights else np.zeros(3 * n)
        back = options.get("direction") == "reverse" or k == 1
        h = c = np.zeros((x.shape[1], n))
        rows = []
        wb, rb = np.split(b, 2)
        for x_t in (x[::-1] if back else x).astype("float64"):
            if kind == "LSTM":
                i, o, f, g = np.split(x_t @ w.T + h @ r.T + wb + rb, 4, axis=1)
                i, f = sigmoid(i + p[:n] * c), sigmoid(f + p[2 * n:] * c)
                c = f * c + i * np.tanh(g)
                h = sigmoid(o + p[n:2 * n] * c) * np.tanh(c)
            elif kind == "GRU":
                xz, xr, xh = np.split(x_t @ w.T + wb, 3, axis=1)
                (rz, rr, rh), (bz, br, bh) = np.split(r, 3), np.split(rb, 3)
                z, reset = sigmoid(xz + h @ rz.T + bz), sigmoid(xr + h @ rr.T + br)
                new = np.tanh(xh + (reset * (h @ rh.T + bh) if options.get("linear_before_reset") else (reset * h) @ rh.T + bh))
                h = (1 - z) * new + z * h
            else:
                h = np.maximum(x_t @ w.T + h @ r.T + wb + rb, 0)
            rows.append(h)
        outs.append(np.stack(rows[::-1] if back else rows))
        lasts.append(h)
    return np.stack(outs, axis=1), np.stack(lasts)


# ---------------------------------------------------------------- models from PyTorch, written by hand as its exporters do (tests/benchmarks/from_torch.py has those that it writes itself)


def node(op, inputs, output, name, module="", **attributes):
    """A node as `torch.onnx.export(dynamo=True)` writes it: a name that counts, and beside it the modules it stands in."""
    made = helper.make_node(op, inputs, output if isinstance(output, list) else [output], name, **attributes)
    levels = [module.rsplit(".", k)[0] for k in range(module.count("."), -1, -1)] if module else []
    helper.set_model_props(made, {"pkg.torch.onnx.name_scopes": repr(["", *levels, op.lower()])})
    return made


def number(value, output, name):
    return helper.make_node("Constant", [], [output], name, value=numpy_helper.from_array(np.asarray(value, "int64")))


def from_torch():
    """Convolution, batch normalization whose statistics are written as copies of equal weights, pooling, a flatten worked out from the batch's size, a linear layer."""
    return model_of(
        [helper.make_node("Identity", ["features.1.weight"], ["features.1.running_var"], "Identity_0"), helper.make_node("Identity", ["features.1.bias"], ["mean"], "Identity_1"),
         helper.make_node("Identity", ["mean"], ["features.1.running_mean"], "Identity_2"),
         node("Conv", ["x", "features.0.weight", "features.0.bias"], "c", "node_conv2d", "features.0", pads=[1, 1, 1, 1]),
         node("BatchNormalization", ["c", "features.1.weight", "features.1.bias", "features.1.running_mean", "features.1.running_var"], "n", "node_norm", "features.1"),
         node("Relu", ["n"], "r", "node_relu", "features.2"), node("MaxPool", ["r"], "p", "node_pool", "features.3", kernel_shape=[2, 2], strides=[2, 2]),
         helper.make_node("Shape", ["p"], ["/Shape_output_0"], "/Shape"), number(0, "/Constant_output_0", "/Constant"),
         helper.make_node("Gather", ["/Shape_output_0", "/Constant_output_0"], ["/Gather_output_0"], "/Gather", axis=0), number([0], "onnx::Unsqueeze_9", "Constant_5"),
         helper.make_node("Unsqueeze", ["/Gather_output_0", "onnx::Unsqueeze_9"], ["/Unsqueeze_output_0"], "/Unsqueeze"), number([-1], "/Constant_1_output_0", "/Constant_1"),
         helper.make_node("Concat", ["/Unsqueeze_output_0", "/Constant_1_output_0"], ["/Concat_output_0"], "/Concat", axis=0),
         helper.make_node("Reshape", ["p", "/Concat_output_0"], ["/Reshape_output_0"], "/Reshape", allowzero=0),
         node("Gemm", ["/Reshape_output_0", "head.weight", "head.bias"], "logits", "node_linear", "head", transB=1)],
        [value("x", ["batch", 3, 6, 4])], [value("logits", ["batch", 5])],
        {"features.0.weight": rand(4, 3, 3, 3), "features.0.bias": rand(4, seed=1), "features.1.weight": np.abs(rand(4, seed=2)) + 1, "features.1.bias": rand(4, seed=3),
         "head.weight": rand(5, 24, seed=4), "head.bias": rand(5, seed=5)})


def test_a_model_as_pytorch_writes_it_opens_under_its_modules_and_trains_its_weights_alone():
    model = from_torch()
    graph, values = fl.from_onnx(model)
    for n in (1, 3):
        x = rand(n, 3, 6, 4, seed=n)
        np.testing.assert_allclose(fl.Session(graph).run("logits", {"x": x}), reference(model, {"x": x})[0], rtol=1e-5, atol=1e-5)
    assert {"features/features.2/node_relu", "features/features.3/node_pool"} <= {n.name for n in graph.nodes} and "features/features.0/node_conv2d" in graph.composites
    weights = ["features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias", "head.weight", "head.bias"]
    assert sorted(v.node.name for v in graph.trainable_variables) == sorted(weights) and set(values) == {*weights, "features.1.running_mean", "features.1.running_var"}
    assert not [n for n in graph.nodes if n.op.name == "Identity" and n.name != "logits"]       # nobody reads the copies

    inner = model_of(list(model.graph.node), [], [value(k) for k in ("c", "n", "r", "p", "logits")])
    inner.graph.input.extend(model.graph.input)
    inner.graph.initializer.extend(model.graph.initializer)
    layers = dict(zip(("features.0", "features.1", "features.2", "features.3", "head"), reference(inner, {"x": x})))
    sess, tolerance = fl.Session(graph), {"rtol": 1e-4, "atol": 1e-5}
    trace = sess.trace("logits", {"x": x})
    assert fl.compare(trace, layers, **tolerance).equal and fl.compare(trace, layers, **tolerance).compared == 5
    other = fl.Session(graph)
    other.variables["features.1.bias"] = values["features.1.bias"] + np.float32([0, 0, 2, 0])
    first = fl.compare(other.trace("logits", {"x": x}), layers, **tolerance).first
    assert first.tensor.startswith("features/features.1/node_norm/") and first.at[1] == 2 and first.largest == pytest.approx(2, rel=1e-5)

    labels = np.arange(3) % 5
    with graph:
        y = fl.placeholder(("batch",), "int64", name="labels")
        train = fl.optim.SGD(0.5).minimize(fl.mean(fl.sparse_softmax_cross_entropy(graph.tensor("logits:0"), y)))
    sess = fl.Session(graph)
    sess.run(train, {"x": x, "labels": labels})
    flat, logits = layers["features.3"].reshape(3, -1).astype("float64"), layers["head"].astype("float64")
    wrong = np.exp(logits - logits.max(1, keepdims=True))
    wrong = (wrong / wrong.sum(1, keepdims=True) - np.eye(5)[labels]) / 3
    np.testing.assert_allclose(sess.variables["head.weight"], values["head.weight"] - 0.5 * wrong.T @ flat, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sess.variables["head.bias"], values["head.bias"] - 0.5 * wrong.sum(0), rtol=1e-4, atol=1e-5)
    for name in values:
        assert np.array_equal(sess.variables[name], values[name]) == name.startswith("features.1.running"), name


def test_both_biases_of_a_recurrent_layer_are_trained_as_pytorch_has_them_and_one_as_keras_has_it():
    weights = {"W": rand(1, 16, 3), "R": rand(1, 16, 4, seed=1), "B": rand(1, 32, seed=2)}

    def stepped(bias):
        model = model_of([helper.make_node("LSTM", ["x", "W", "R", "B"], ["", "h"], "rnn", hidden_size=4)], [value("x", [5, "batch", 3])], [value("h")], {**weights, "B": bias})
        graph, values = fl.from_onnx(model)
        with graph:
            train = fl.optim.SGD(0.1).minimize(fl.sum(graph.tensor("h:0")))
        sess, x = fl.Session(graph), rand(5, 2, 3, seed=3)
        np.testing.assert_allclose(sess.run(["h", train], {"x": x})[0], reference(model, {"x": x})[0], rtol=1e-5, atol=1e-6)
        return {name.removeprefix("rnn/"): sess.variables[name] - array for name, array in values.items()}

    two = stepped(weights["B"])
    assert set(two) == {"kernel", "recurrent_kernel", "bias", "recurrent_bias"}
    np.testing.assert_allclose(two["bias"], two["recurrent_bias"], rtol=1e-3, atol=1e-6)       # both add to the same sum
    together = weights["B"].copy()
    together[:, :16], together[:, 16:] = together[:, :16] + together[:, 16:], 0
    one = stepped(together)
    assert set(one) == {"kernel", "recurrent_kernel", "bias"}
    np.testing.assert_allclose(one["bias"], two["bias"], rtol=1e-3, atol=1e-6)
    assert np.abs(one["bias"]).min() > 1e-5


def test_names_of_modules_are_data():
    model = from_torch()
    for k, told in enumerate(("['', '../../x', 'relu']", "['', '', '']", "[" * 5000, "['', 'a" + "/b" * 3000 + "', 'relu']", "__import__('os')", "['', 'logits', 'gemm']")):
        helper.set_model_props(model.graph.node[3 + k] if k < 4 else model.graph.node[-1], {"pkg.torch.onnx.name_scopes": told})
    graph, _ = fl.from_onnx(model)
    assert "logits_scope" in {n.name.split("/")[0] for n in graph.nodes}        # a module with an output's name leaves it the name
    x = rand(2, 3, 6, 4)
    np.testing.assert_allclose(fl.Session(graph).run("logits", {"x": x}), reference(from_torch(), {"x": x})[0], rtol=1e-5, atol=1e-5)


def test_branches_loops_and_scans_are_those_of_flowlab():
    then = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["a"])], "then", [], [value("a", [3])])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["b"])], "else", [], [value("b", [3])])
    branch = model_of([helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0), helper.make_node("Greater", ["s", "zero"], ["p"]),
                       helper.make_node("If", ["p"], ["y"], "choice", then_branch=then, else_branch=other)], [value("x", [3])], [value("y", [3])],
                      {"two": np.float32(2), "zero": np.float32(0)})
    for x in (np.array([1, 2, 3], "float32"), np.array([-1, -2, 1], "float32")):
        graph = held_against_the_reference(branch, {"x": x})
    assert any(n.op.name == "Cond" for n in graph.nodes)
    body = helper.make_graph([helper.make_node("Mul", ["before", "x"], ["after"]), helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["after", "x"], ["shown"])], "body",
                             [value("k", [], I), value("go", [], TensorProto.BOOL), value("before", [3])], [value("on", [], TensorProto.BOOL), value("after", [3]), value("shown", [3])])
    loop = model_of([helper.make_node("Loop", ["n", "", "start"], ["last", "each"], "power", body=body)], [value("n", [], I), value("start", [3]), value("x", [3])], [value("last", [3]), value("each", [None, 3])])
    graph, x = fl.from_onnx(loop)[0], np.array([2, 3, -1], "float32")
    for n in (0, 1, 4):
        last, each = fl.Session(graph).run(["last", "each"], {"n": n, "start": np.ones(3), "x": x})
        np.testing.assert_allclose(last, x ** n)
        np.testing.assert_allclose(each, np.array([x ** k + x for k in range(1, n + 1)]).reshape(n, 3))
    assert any(n.op.name == "While" for n in graph.nodes)
    step = helper.make_graph([helper.make_node("Add", ["s", "x_t"], ["t"]), helper.make_node("Mul", ["t", "t"], ["square"])], "step", [value("s", [2]), value("x_t", [2])], [value("t", [2]), value("square", [2])])
    scan = model_of([helper.make_node("Scan", ["s0", "xs"], ["total", "squares"], "sums", body=step, num_scan_inputs=1)], [value("s0", [2]), value("xs", ["time", 2])], [value("total", [2]), value("squares", ["time", 2])])
    graph = held_against_the_reference(scan, {"s0": np.ones(2, "float32"), "xs": rand(5, 2)})
    assert any(n.op.name == "Scan" for n in graph.nodes)


def test_functions_of_the_model_and_of_onnx_are_written_out_in_their_scope():
    double = helper.make_function("mine", "Affine", ["x"], ["y"], [helper.make_node("Mul", ["x", "x"], ["s"], "square"), helper.make_node("Elu", ["s"], ["y"])], [helper.make_opsetid("", 20)])
    double.node[1].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    double.attribute.append("slope")
    model = model_of([helper.make_node("Affine", ["x"], ["m"], "/block/Affine", domain="mine", slope=0.5), helper.make_node("MeanVarianceNormalization", ["m"], ["y"], "norm")],
                     [value("x", [2, 3, 4, 4])], [value("y", [2, 3, 4, 4])], functions=[double], opsets=[helper.make_opsetid("mine", 1)])
    x = rand(2, 3, 4, 4)
    graph, _ = fl.from_onnx(model)
    square = (x * x).astype("float64")
    np.testing.assert_allclose(fl.Session(graph).run("y", {"x": x}), (square - square.mean((0, 2, 3), keepdims=True)) / square.std((0, 2, 3), keepdims=True), rtol=1e-4, atol=1e-5)
    assert "block/Affine/square" in graph.nodes and any(n.scope == "norm" for n in graph.nodes) and graph.composites["norm"].function == "MeanVarianceNormalization"


def test_shapes_are_worked_out_while_the_model_is_read():
    """The usual way of exporters to flatten behind an unknown batch: Shape, Gather, Unsqueeze, Concat, Reshape."""
    model = model_of([helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "zero"], ["b"]), helper.make_node("Unsqueeze", ["b", "axes"], ["b1"]),
                      helper.make_node("Concat", ["b1", "rest"], ["shape"], axis=0), helper.make_node("Reshape", ["x", "shape"], ["y"], "flat")],
                     [value("x", ["batch", 2, 3])], [value("y", ["batch", 6])], {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])})
    graph = held_against_the_reference(model, {"x": rand(5, 2, 3)})
    assert [n.op.name for n in graph.nodes] == ["Placeholder", "Reshape", "Identity"] and graph.tensor("y:0").shape == ("batch", 6)


def test_shapes_that_show_only_in_a_run_are_worked_out_in_it():
    """A causal mask cut from a table, heads folded into the batch, a row of positions: sizes that no name stands for."""
    names = {"zero": np.array(0), "one": np.array(1), "axis0": np.array([0]), "axis1": np.array([1]), "heads": np.array([2]), "four": np.array([4]), "depth": np.array([4]), "first": np.array([0, 0]), "both": np.array([0, 1]),
             "table": np.tril(np.ones((9, 9), "float32"))[None].repeat(1, 0)[0], "minus": np.array([-1])}
    model = model_of([
        helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "axis0"], ["b"]), helper.make_node("Gather", ["s", "axis1"], ["t"]),
        helper.make_node("Concat", ["b", "t", "heads", "four"], ["split"], axis=0), helper.make_node("Reshape", ["x", "split"], ["apart"]), helper.make_node("Transpose", ["apart"], ["byhead"], perm=[0, 2, 1, 3]),
        helper.make_node("Mul", ["b", "heads"], ["bh"]), helper.make_node("Concat", ["bh", "t", "four"], ["folded"], axis=0), helper.make_node("Reshape", ["byhead", "folded"], ["q"]),
        helper.make_node("Concat", ["t", "t"], ["tt"], axis=0), helper.make_node("Slice", ["table", "first", "tt", "both"], ["mask"]), helper.make_node("MatMul", ["mask", "q"], ["y"]),
        helper.make_node("Squeeze", ["t", "axis0"], ["t0"]), helper.make_node("Range", ["zero", "t0", "one"], ["places"]),
        helper.make_node("Concat", ["b", "t"], ["bt"], axis=0), helper.make_node("Expand", ["places", "bt"], ["positions"]), helper.make_node("ConstantOfShape", ["bt"], ["blank"])],
        [value("x", ["batch", "time", 8])], [value("y", [None, "time", 4]), value("positions", ["batch", "time"], I), value("blank", ["batch", "time"])], names)
    graph, _ = fl.from_onnx(model)
    for batch, time in ((2, 5), (3, 1)):
        x = rand(batch, time, 8)
        for a, b in zip(fl.Session(graph).run(["y", "positions", "blank"], {"x": x}), reference(model, {"x": x}), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, strict=True)


def test_an_input_that_must_be_known_is_given():
    shaped = model_of([helper.make_node("Reshape", ["x", "shape"], ["y"], "r")], [value("x", [2, 6]), value("shape", [2], I)], [value("y", [None, None])])
    graph, _ = fl.from_onnx(shaped)
    assert fl.Session(graph).run("y", {"x": rand(2, 6), "shape": [0, -1]}).shape == (2, 6)
    graph, _ = fl.from_onnx(shaped, given={"shape": [3, -1]})
    assert graph.tensor("y:0").shape == (3, 4) and "shape" not in graph.nodes
    model = model_of([helper.make_node("Tile", ["x", "times"], ["y"], "r")], [value("x", [2, 6]), value("times", [2], I)], [value("y", [None, None])])
    with pytest.warns(UserWarning, match="needs the value of its input 'times'"):
        fl.from_onnx(model)
    assert fl.from_onnx(model, given={"times": [1, 2]})[0].tensor("y:0").shape == (2, 12)
    without = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x")], [value("y")])
    with pytest.warns(UserWarning, match="how many axes"):
        fl.from_onnx(without)
    assert fl.from_onnx(without, shapes={"x": ("n", 2)})[0].tensor("y:0").shape == ("n", 2)
    for options in ({"given": {"z": 1}}, {"shapes": {"z": (1,)}}):
        with pytest.raises(fl.AttributeValueError, match="no input of the model"):
            fl.from_onnx(model, **options)


def test_types_of_few_bits_are_held_in_wider_ones_and_casts_to_them_round():
    weight = helper.make_tensor("w", TensorProto.BFLOAT16, [3], [1.0, 2.5, -3.0])
    table = helper.make_tensor("q", TensorProto.INT4, [3], [-8, 7, 3])
    model = model_of([helper.make_node("Cast", ["x"], ["b"], "narrow", to=TensorProto.BFLOAT16), helper.make_node("Mul", ["b", "w"], ["m"]), helper.make_node("Cast", ["m"], ["y"], to=F),
                      helper.make_node("DequantizeLinear", ["q", "scale"], ["z"], "dequantize")], [value("x", [3])], [value("y", [3]), value("z", [3])], {"scale": np.float32(0.5)}, version=21)
    model.graph.initializer.extend([weight, table])
    graph, values = fl.from_onnx(model)
    assert values["w"].dtype == "float32" and any(n.op.name == "RoundTo" for n in graph.nodes)
    y, z = fl.Session(graph).run(["y", "z"], {"x": np.array([1.001, 1.005, 3.0], "float32")})
    np.testing.assert_array_equal(y, [1.0, 2.5 * 1.0078125, -9.0])
    np.testing.assert_array_equal(z, [-4.0, 3.5, 1.5])
    wide = model_of([helper.make_node("Add", ["x", "x"], ["y"])], [value("x", [2], TensorProto.UINT16)], [value("y", [2], TensorProto.UINT16)])
    np.testing.assert_array_equal(fl.Session(fl.from_onnx(wide)[0]).run("y", {"x": [40000, 3]}), np.array([14464, 6], "uint16"), strict=True)


def test_sequences_are_known_while_the_model_is_read():
    body = helper.make_graph([helper.make_node("SequenceAt", ["parts", "k"], ["part"]), helper.make_node("Neg", ["part"], ["less"]), helper.make_node("SequenceInsert", ["before", "less"], ["after"]),
                              helper.make_node("Identity", ["go"], ["on"])], "body", [value("k", [], I), value("go", [], TensorProto.BOOL), helper.make_tensor_sequence_value_info("before", F, None)],
                             [value("on", [], TensorProto.BOOL), helper.make_tensor_sequence_value_info("after", F, None)])
    model = model_of([helper.make_node("SplitToSequence", ["x", "sizes"], ["parts"]), helper.make_node("SequenceLength", ["parts"], ["n"]), helper.make_node("SequenceEmpty", [], ["none"]),
                      helper.make_node("Loop", ["n", "", "none"], ["all"], "each", body=body), helper.make_node("ConcatFromSequence", ["all"], ["y"], axis=0)],
                     [value("x", [5, 2])], [value("y", [5, 2])], {"sizes": np.array([2, 3])})
    x = rand(5, 2)
    np.testing.assert_array_equal(fl.Session(fl.from_onnx(model)[0]).run("y", {"x": x}), -x)
    joined = model_of([helper.make_node("ConcatFromSequence", ["xs"], ["y"], axis=0)], [helper.make_tensor_sequence_value_info("xs", F, None)], [value("y", [None, 2])])
    with pytest.warns(UserWarning, match="how many entries a sequence has"):
        fl.from_onnx(joined)
    graph, _ = fl.from_onnx(joined, shapes={"xs": [("n", 2), (1, 2)]})
    np.testing.assert_array_equal(fl.Session(graph).run("y", {"xs/0": x, "xs/1": x[:1]}), np.concatenate([x, x[:1]]))


# ---------------------------------------------------------------- what flowlab lacks


def strange():
    return model_of([helper.make_node("Relu", ["x"], ["a"], "before"), helper.make_node("Warp", ["a"], ["b"], "bend/Warp", domain="far.away"), helper.make_node("Neg", ["b"], ["c"], "after")],
                    [value("x", [2])], [value("a", [2]), value("c", [2])], opsets=[helper.make_opsetid("far.away", 1)])


def test_an_unknown_operator_leaves_the_rest_of_the_model_open():
    with pytest.warns(UserWarning, match=r"bend/Warp \(far.away.Warp\): flowlab has no operation for ONNX's far.away.Warp"):
        graph, _ = fl.from_onnx(strange())
    node = graph.node("bend/Warp")
    assert node.op.name == "Opaque" and node.attrs["operator"] == "far.away.Warp" and "no operation" in node.attrs["reason"]
    assert graph.node("after").op.name == "Opaque" and "bend/Warp" in graph.node("after").attrs["reason"]
    sess = fl.Session(graph)
    np.testing.assert_array_equal(sess.run("a", {"x": [1, -1]}), [1, 0])
    with pytest.raises(fl.KernelError, match="far.away.Warp cannot be computed") as caught:
        sess.run("c", {"x": [1, -1]})
    assert caught.value.node == "bend/Warp"
    dbg = fl.Debugger(sess, "c", {"x": [1, -1]})
    assert dbg.step().node == "before"


def test_what_is_known_of_an_opaque_nodes_output_is_used():
    model = model_of([helper.make_node("Warp", ["x"], ["b"], "warp", domain="far.away"), helper.make_node("Relu", ["b"], ["y"], "relu")], [value("x", [2])], [value("y", [2])],
                     opsets=[helper.make_opsetid("far.away", 1)])
    model.graph.value_info.append(value("b", [3, "n"]))
    with pytest.warns(UserWarning, match="1 node of the model"):
        graph, _ = fl.from_onnx(model)
    assert graph.node("relu").op.name == "Relu" and graph.tensor("y:0").shape == (3, "n")


def test_an_equation_that_onnx_reads_for_ever_is_opaque_at_once():
    """ONNX's shape inference does not come back from it, so nobody asks that."""
    model = model_of([helper.make_node("Einsum", ["x"], ["y"], "it", equation="...ii )>...i")], [value("x", [3, 5, 5])], [value("y", [3, 5])])
    with pytest.warns(UserWarning, match="it .Einsum."):
        graph, _ = fl.from_onnx(model)
    assert graph.node("it").op.name == "Opaque"


def test_an_opaque_node_refuses_types_that_are_none():
    with fl.Graph(), pytest.raises(fl.AttributeValueError, match="opaque: types"):
        fl.ops.foreign.opaque.node([fl.placeholder((2,))], operator="A", reason="b", types="[[1")


# ---------------------------------------------------------------- what a file may not ask for


def external(folder, **fields):
    """A model whose weight stands in another file, as its fields say."""
    model = network()
    weight = model.graph.initializer[0]
    data = weight.raw_data
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, said in {"location": "w.bin", **fields}.items():
        weight.external_data.add(key=key, value=str(said))
    (folder / "w.bin").write_bytes(b"\0" * 16 + data)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return folder / "net.onnx"


def test_external_data_beside_the_model_is_read(tmp_path):
    graph, values = fl.from_onnx(external(tmp_path, offset=16, length=432))
    np.testing.assert_array_equal(values["stem.weight"], rand(4, 3, 3, 3))


@pytest.mark.parametrize(("fields", "words"), [
    ({"location": "../w.bin"}, "outside the model's folder"), ({"location": "/etc/hostname"}, "outside the model's folder"), ({"location": "a/../../w.bin"}, "outside the model's folder"),
    ({"location": "..\\w.bin"}, "outside the model's folder"), ({"location": ""}, "outside the model's folder"), ({"location": "none.bin"}, "no file"), ({"location": "."}, "no file"),
    ({"offset": 16, "length": 431}, "claims 432 bytes"), ({"offset": 17}, "claims 432 bytes"), ({"offset": "-1"}, "offset"), ({"length": "1e9"}, "length"),
    ({"offset": 2**62, "length": 432}, "claims 432 bytes"), ({"basepath": "/etc"}, "basepath"), ({"__class__": "x"}, "__class__")])
def test_external_data_elsewhere_or_of_another_size_is_refused(tmp_path, fields, words):
    inner = tmp_path / "model"
    inner.mkdir()
    (tmp_path / "w.bin").write_bytes(b"\0" * 448)
    with pytest.raises(fl.DocumentError, match=words):
        fl.from_onnx(external(inner, **fields))


def test_external_data_behind_a_link_is_refused(tmp_path):
    inner, outside = tmp_path / "model", tmp_path / "outside"
    inner.mkdir()
    outside.mkdir()
    path = external(inner, offset=16)
    (inner / "w.bin").rename(outside / "w.bin")
    (inner / "w.bin").symlink_to(outside / "w.bin")
    with pytest.raises(fl.DocumentError, match="is a link"):
        fl.from_onnx(path)
    (inner / "w.bin").unlink()
    (inner / "sub").symlink_to(outside, target_is_directory=True)
    with pytest.raises(fl.DocumentError, match="is a link"):
        fl.from_onnx(external(inner, location="sub/w.bin", offset=16))
    with pytest.raises(fl.DocumentError, match="no folder"):
        fl.from_onnx(external(inner, offset=16).read_bytes())


@pytest.mark.parametrize("where", ["raw", "typed", "attribute", "sparse"])
def test_a_claim_of_two_gigabytes_is_refused_before_anything_of_that_size_is_made(where):
    huge = TensorProto(name="w", data_type=F, dims=[1 << 29])
    if where == "typed":
        huge.float_data.append(1.0)
    else:
        huge.raw_data = b"\0" * 64
    node = helper.make_node("Constant", [], ["w"], **({"sparse_value": helper.make_sparse_tensor(numpy_helper.from_array(np.ones(1, "float32")), numpy_helper.from_array(np.zeros(1, "int64")), [1 << 60])}
                                                     if where == "sparse" else {"value": huge} if where == "attribute" else {"value": numpy_helper.from_array(np.ones(2, "float32"))}))
    model = model_of([node, helper.make_node("Add", ["x", "w"], ["y"])], [value("x", [1])], [value("y", [1])])
    if where in ("raw", "typed"):
        del model.graph.node[0]
        model.graph.initializer.append(huge)
    assert len(model.SerializeToString()) < 1024
    if where == "sparse":
        with pytest.warns(UserWarning, match="more than flowlab writes out"):
            fl.from_onnx(model)
    else:
        with pytest.raises(fl.DocumentError, match=r"tensor w claims .* (are|64 are) there"):
            fl.from_onnx(model)


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Tile", "Pad", "Range"])
def test_a_small_file_that_computes_something_huge_is_not_computed_while_it_is_read(operator):
    inputs, weights, options = {
        "ConstantOfShape": (["n"], {"n": np.array([1 << 20, 1 << 20])}, {}), "Expand": (["one", "n"], {"one": np.ones(1, "int64"), "n": np.array([1 << 40])}, {}),
        "Tile": (["one", "n"], {"one": np.ones(1, "int64"), "n": np.array([1 << 40])}, {}), "Pad": (["one", "n"], {"one": np.ones(1, "int64"), "n": np.array([0, 1 << 40])}, {}),
        "Range": (["a", "b", "c"], {"a": np.array(0), "b": np.array(1 << 50), "c": np.array(1)}, {})}[operator]
    model = model_of([helper.make_node(operator, inputs, ["y"], "it", **options)], [], [value("y", None, F if operator == "ConstantOfShape" else I)], weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph, _ = fl.from_onnx(model)
    assert sum(n.attrs["value"].nbytes for n in graph.nodes if n.op.name == "Constant") < 1 << 20
    with pytest.raises((fl.FlowError, MemoryError)):
        fl.Session(graph).run("y" if "y" in graph else "it")


@pytest.mark.parametrize("given_out", [False, True])
def test_loops_inside_one_another_are_not_read_twice_at_each_depth(given_out, monkeypatch):
    monkeypatch.setattr("flowlab.io.onnx.files.MOST_TRIES", 20)
    inner = [helper.make_node("Relu" if given_out else "Nowhere", ["s0"], ["z"], domain="" if given_out else "mine")]
    for k in range(16):
        kinds = [value(f"k{k}", [], I), value(f"c{k}", [], TensorProto.BOOL), value(f"s{k}", [2])]
        ends = [value(f"d{k}", [], TensorProto.BOOL), value("z", [2]), *([value(f"o{k}", [2])] if given_out else [])]
        body = helper.make_graph([helper.make_node("Identity", [f"c{k}"], [f"d{k}"]), *inner, *([helper.make_node("Relu", [f"s{k}"], [f"o{k}"])] if given_out else [])], "b", kinds, ends)
        inner = [helper.make_node("Loop", ["m", "c", f"s{k + 1}"], ["z", *([f"ys{k}"] if given_out else [])], body=body)]
    inner[0].output[0] = "y"
    model = model_of(inner, [value("s16", [2])], [value("y", [2])], {"m": np.array(2), "c": np.array(True)}, opsets=[helper.make_opsetid("mine", 1)])
    start = perf_counter()
    with pytest.warns(UserWarning, match="inside"):
        fl.from_onnx(model)
    assert perf_counter() - start < 20


def asks(operator, inputs=(), shape=None, weights=(), version=20, **options):
    """A model of one node that takes x, if it has a shape, and constants."""
    given = [value("x", shape)] if shape is not None else []
    return model_of([helper.make_node(operator, ["x"] * len(given) + list(inputs), ["y"], "it", **options)], given, [value("y", None)], weights, version)


def scanned(batch):
    body = helper.make_graph([helper.make_node("Add", ["s", "v"], ["t"])], "body", [value("s", [2]), value("v", [2])], [value("t", [2])])
    return model_of([helper.make_node("Scan", ["", "x", "z"], ["y"], body=body, num_scan_inputs=1)], [value("x", [batch, 2]), value("z", [batch, 3, 2])], [value("y", [batch, 2])], version=8)


@pytest.mark.parametrize(("model", "words"), [
    (lambda: asks("SplitToSequence", shape=[10**8, 2]), "nodes of flowlab's"), (lambda: asks("SplitToSequence", shape=[10**9, 2], inputs=["n"], weights={"n": np.array(1)}), "nodes of flowlab's"),
    (lambda: scanned(10**9), "nodes of flowlab's"), (lambda: asks("LRN", shape=[1, 4, 2, 2], size=10**9), "nodes of flowlab's"),
    (lambda: asks("Resize", ["", "", "n"], [1, 1, 8, 8], {"n": np.array([1, 1, 1 << 24, 1], "float32")}, mode="linear"), "bytes"),
    (lambda: asks("Pad", ["n"], [4], {"n": np.array([1 << 40, 0])}, mode="reflect"), "bytes"), (lambda: asks("DFT", ["n"], [1, 10**6, 1], {"n": np.array(10**6)}), "bytes"),
    (lambda: asks("Col2Im", ["n", "m"], [1, 4, 9], {"n": np.array([1 << 25, 1 << 25]), "m": np.array([2, 2])}), "bytes"),
    (lambda: asks("MelWeightMatrix", ["a", "b", "c", "d", "e"], None, {"a": np.array(10**6), "b": np.array(10**6), "c": np.array(8000), "d": np.array(0, "float32"), "e": np.array(4000, "float32")}), "bytes"),
    (lambda: model_of([helper.make_node("ConstantOfShape", ["n"], [f"v{k}"]) for k in range(80)], [], [value("v0", None)], {"n": np.array([1 << 20])}), "bytes"),
], ids=["split", "split-sizes", "scan-8", "lrn", "resize", "pad", "dft", "col2im", "mel", "many"])
def test_one_node_of_a_file_adds_no_more_than_the_whole_may_have(model, words):
    model = model()
    assert len(model.SerializeToString()) < 8192
    with pytest.raises(fl.DocumentError, match=words):
        fl.from_onnx(model)


def test_nodes_that_are_computed_while_a_file_is_read_count_too(monkeypatch):
    model = model_of([helper.make_node("ConstantOfShape", ["n"], ["c"]), *(helper.make_node("LRN", ["c"], [f"v{k}"], size=500) for k in range(10))], [], [value("v0", None)], {"n": np.array([1, 1, 1, 1])})
    graph, _ = fl.from_onnx(model)
    assert len(graph.nodes) < 5
    monkeypatch.setattr("flowlab.io.onnx.files.MOST_MADE", 5000)
    with pytest.raises(fl.DocumentError, match="nodes of flowlab's"):
        fl.from_onnx(model)


@pytest.mark.parametrize(("mode", "pads"), [("wrap", [-2, 3]), ("wrap", [9, -1]), ("reflect", [-2, 3]), ("reflect", [4, -2])])
def test_padding_goes_round_in_what_negative_pads_leave(mode, pads):
    x = np.arange(5, dtype="float32")
    graph, _ = fl.from_onnx(asks("Pad", ["n"], [5], {"n": np.array(pads)}, mode=mode))
    a, b = pads
    np.testing.assert_array_equal(fl.Session(graph).run("y", {"x": x}), np.pad(x[max(-a, 0):len(x) + min(b, 0)], (max(a, 0), max(b, 0)), mode=mode), strict=True)


def test_subgraphs_and_functions_inside_one_another_are_bounded():
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [], [value("y", [1])])
    for _ in range(24):     # protobuf itself stops at a hundred messages inside one another
        inner = helper.make_graph([helper.make_node("If", ["p"], ["y"], then_branch=inner, else_branch=helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [], [value("y", [1])]))], "g", [], [value("y", [1])])
    deep = model_of([helper.make_node("If", ["p"], ["y"], then_branch=inner, else_branch=inner)], [value("x", [1]), value("p", [], TensorProto.BOOL)], [value("y", [1])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fl.from_onnx(deep)
        except fl.FlowError as error:
            assert "deep" in str(error) or "refuses" in str(error) or "not an ONNX model" in str(error)
    # each function calls the one before it four times: 4^20 nodes in a file of a few kilobytes
    functions = [helper.make_function("mine", "F0", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [helper.make_opsetid("", 20)])]
    for k in range(1, 20):
        calls = [helper.make_node(f"F{k - 1}", [f"v{j}" if j else "x"], [f"v{j + 1}" if j < 3 else "y"], domain="mine") for j in range(4)]
        functions.append(helper.make_function("mine", f"F{k}", ["x"], ["y"], calls, [helper.make_opsetid("mine", 1)]))
    bomb = model_of([helper.make_node("F19", ["x"], ["y"], domain="mine")], [value("x", [1])], [value("y", [1])], functions=functions, opsets=[helper.make_opsetid("mine", 1)])
    with pytest.raises(fl.FlowError, match=f"more than {MOST_NODES:,} nodes"):
        fl.from_onnx(bomb)
    # each hands a constant on to the next, and the last is unknown: folding none of them may mean that each is read twice
    functions = [helper.make_function("mine", f"C{k}", ["x"], ["y"], [helper.make_node(f"C{k + 1}" if k < 31 else "Nowhere", ["x"], ["y"], domain="mine")], [helper.make_opsetid("mine", 1)]) for k in range(32)]
    fed = model_of([helper.make_node("C0", ["c"], ["y"], domain="mine")], [], [value("y", [1])], {"c": np.ones(1, "int64")}, functions=functions, opsets=[helper.make_opsetid("mine", 1)])
    start = perf_counter()
    with pytest.warns(UserWarning, match="deep inside one another|no operation"):
        graph, _ = fl.from_onnx(fed)
    assert perf_counter() - start < 1 and len(graph.nodes) < 5
    again = helper.make_function("mine", "Loops", ["x"], ["y"], [helper.make_node("Loops", ["x"], ["y"], domain="mine")], [helper.make_opsetid("mine", 1)])
    with pytest.warns(UserWarning, match="deep inside one another|cannot be computed"):
        try:
            fl.from_onnx(model_of([helper.make_node("Loops", ["x"], ["y"], domain="mine")], [value("x", [1])], [value("y", [1])], functions=[again], opsets=[helper.make_opsetid("mine", 1)]))
        except fl.DocumentError:
            warnings.warn("cannot be computed", stacklevel=1)


@pytest.mark.parametrize(("source", "words"), [(b"", "no graph|not an ONNX model"), (b"\xff" * 40, "not an ONNX model"), (b'{"nodes": []}', "not an ONNX model"), (3, "takes a path"), ("no/such.onnx", "no file")])
def test_what_is_no_model_is_refused(source, words):
    with pytest.raises(fl.DocumentError, match=words):
        fl.from_onnx(source)


def test_a_model_that_onnx_refuses_is_refused():
    model = network()
    model.graph.node[0].attribute.add(name="kernel", i=3, type=onnx.AttributeProto.INT)
    with pytest.raises(fl.DocumentError, match="checker refuses.*kernel"):
        fl.from_onnx(model)
    twice = network()
    twice.graph.node[1].output[0] = "c"
    with pytest.raises(fl.DocumentError, match="checker refuses"):
        fl.from_onnx(twice)


def test_names_from_a_file_are_made_names_of_flowlab():
    names = ["a->b", "a:0", "^", "x/", "//", "\u202etxt", "a" * 500, "conv", "conv/w", "<img src=x onerror=alert(1)>"]
    nodes = [helper.make_node("Relu", [f"v{k}"], [f"v{k + 1}"], name) for k, name in enumerate(names)]
    graph, _ = fl.from_onnx(model_of(nodes, [value("v0", [2])], [value(f"v{len(names)}", [2])]))
    assert sum(n.op.name == "Relu" for n in graph.nodes) == len(names)
    np.testing.assert_array_equal(fl.Session(graph).run(f"v{len(names)}", {"v0": [-1, 3]}), [0, 3])


def test_mutated_files_let_only_flowlabs_errors_out(tmp_path):
    """Bytes of a sound model changed, cut out and doubled; nothing is opened but the file, nothing is run."""
    data, rng = network().SerializeToString(), np.random.default_rng(5)
    sound = refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(400):
            mutant = bytearray(data)
            for _ in range(int(rng.integers(1, 4))):
                at = int(rng.integers(len(mutant) - 8))
                match rng.integers(3):
                    case 0:
                        mutant[at] ^= 1 << int(rng.integers(8))
                    case 1:
                        del mutant[at:at + int(rng.integers(1, 8))]
                    case 2:
                        mutant[at:at] = mutant[at:at + int(rng.integers(1, 8))]
            try:
                fl.from_onnx(bytes(mutant))
                sound += 1
            except fl.FlowError as error:
                assert error.message
                refused += 1
    assert sound > 20 and refused > 100 and os.listdir(tmp_path) == []


def test_every_handler_is_of_an_operator_that_onnx_has():
    wrong = [f"{domain}.{name}" for domain, name in HANDLERS if not onnx.defs.has(name, domain=domain)]
    assert not wrong
