"""The words and examples that outside users stand on, run as they are written."""
from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import flowlab as fl

XS = np.random.default_rng(0).normal(size=(32, 784)).astype("float32")
YS = np.random.default_rng(1).integers(0, 10, 32)


def mnist_mlp():
    with fl.Graph("mnist_mlp") as g:
        x = fl.placeholder(("batch", 784), "float32", name="x")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        h = fl.nn.dense(x, 256, activation="relu", name="hidden")
        logits = fl.nn.dense(h, 10, name="out")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, labels), name="loss")
        grads = fl.gradients(loss, g.trainable_variables)
        train = fl.optim.Adam(1e-3).minimize(loss, name="train")
    return g, x, labels, loss, grads, train


def test_the_first_example(tmp_path):
    g, x, labels, loss, grads, train = mnist_mlp()
    assert [v.name for v in g.trainable_variables] == ["hidden/kernel:0", "hidden/bias:0", "out/kernel:0", "out/bias:0"]
    assert [d.shape for d in grads] == [(784, 256), (256,), (256, 10), (10,)]
    with fl.Session(g, seed=0) as sess:
        value, nothing = sess.run([loss, train], {x: XS, labels: YS})
        assert isinstance(value, np.ndarray) and value.shape == () and nothing is None
        trace = sess.trace([loss], {x: XS, labels: YS})
        assert isinstance(trace.results, list) and trace.results[0] < value
        kernel = sess.variables["hidden/kernel"]
        assert isinstance(kernel, np.ndarray) and kernel.shape == (784, 256)
        sess.save(tmp_path / "weights.safetensors")
        sess.variables["hidden/kernel"] = np.zeros((784, 256))
        sess.restore(tmp_path / "weights.safetensors")
        np.testing.assert_array_equal(sess.variables["hidden/kernel"], kernel)
        for _ in range(30):
            sess.run(train, {x: XS, labels: YS})
        assert sess.run(loss, {"x": XS, "labels:0": YS}) < 0.05


def test_run_trace_and_debugger_agree_on_it():
    g, x, labels, loss, grads, train = mnist_mlp()
    fetches, feeds = {"loss": loss, "grads": grads, "train": train}, {x: XS, labels: YS}
    results = []
    for way in ("run", "trace", "debugger"):
        sess = fl.Session(g, seed=0)
        for _ in range(3):
            if way == "run":
                got = sess.run(fetches, feeds)
            elif way == "trace":
                got = sess.trace(fetches, feeds).results
            else:
                dbg = fl.Debugger(sess, fetches, feeds)
                while dbg.ready:
                    dbg.fire(dbg.ready[-1])
                got = dbg.results
        results.append([got["loss"], *got["grads"], *sess.variables.values()])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


def test_the_recurrent_example():
    with fl.Graph() as g:
        seq = fl.placeholder(("batch", "time", 8), name="seq")
        out, (h_n, c_n) = fl.nn.lstm(seq, 16, name="lstm")
    assert out.shape == ("batch", "time", 16) and h_n.shape == c_n.shape == ("batch", 16)
    shapes = {v.name: v.shape for v in g.variables}
    assert shapes == {"lstm/kernel:0": (8, 64), "lstm/recurrent_kernel:0": (16, 64), "lstm/bias:0": (64,)}
    assert g.tensor("lstm/LSTM:f") is g.tensor("lstm/LSTM:3") and g.node("lstm/LSTM").op.name == "LSTM"
    trace = fl.Session(g).trace([out], {seq: np.zeros((2, 5, 8))})
    assert {k: v.shape for k, v in trace.gates("lstm").items()} == dict.fromkeys("figoch", (2, 5, 16))


def test_names_that_are_promised():
    with fl.Graph():
        x, w = fl.placeholder(("batch", 3)), fl.variable(np.ones((3, 3), "float32"))
        first, second = x @ w, x @ w
        assert (x.node.name, w.node.name, first.node.name, second.node.name) == ("Placeholder", "Variable", "MatMul", "MatMul_1")
        assert (x ** 2).node.op.name == "Square" and first.node.op.name == "MatMul" and fl.log_softmax(x).node.op.name == "LogSoftmax"
        assert (x - 1).node.op.name == "Subtract" and fl.mean(x).node.op.name == "Mean"
        assert fl.concat([x, x], axis=1).node.ports == ("xs.0", "xs.1") and first.node.ports == ("a", "b") and fl.relu(x).node.ports == ("x",)
        assert fl.placeholder((None, 3)).shape == (None, 3)


def test_functions_that_are_promised():
    for name in ("add subtract multiply divide negative power square sqrt exp log where clip greater sum mean max matmul transpose reshape concat stack split expand_dims "
                 "relu softmax gather one_hot cast placeholder constant variable assign group gradients jvp stop_gradient name_scope device control_dependencies "
                 "Graph Session Debugger Trace Event Document Editor LSTMView save load load_document fit expand nn optim init data plots op").split():
        assert getattr(fl, name) is not None, name
        assert name in dir(fl)
    with fl.Graph() as g:
        x = fl.placeholder((2, 3), name="x")
        y = {"sum": fl.sum(x, axis=1, keepdims=True), "max": fl.max(x, axis=0), "transpose": fl.transpose(x, (1, 0)), "softmax": fl.softmax(x, axis=-1),
             "split": fl.split(x, 3, axis=1), "gather": fl.gather(x, [1, 0], axis=1), "one_hot": fl.one_hot([0, 2], 3, dtype="float32"), "cast": fl.cast(x, "int32"),
             "clip": fl.clip(x, 0, 1), "reshape": fl.reshape(x, (3, 2)), "where": fl.where(x > 0, x, 0), "expand": fl.expand_dims(x, 0)}
    v = np.array([[1, -2, 3], [0.25, 5, -6]], "float32")
    got = fl.Session(g).run(y, {x: v})
    np.testing.assert_array_equal(got["gather"], v[:, [1, 0]])
    np.testing.assert_array_equal(got["clip"], np.clip(v, 0, 1))
    assert isinstance(got["split"], list) and len(got["split"]) == 3 and got["cast"].dtype == np.int32


def test_errors_are_flow_errors_with_an_address():
    for name in ("ShapeError DTypeError FeedError NameTakenError AttributeValueError UnknownOpError FetchError CycleError GradientError DocumentError DebuggerError "
                 "DeviceError KernelError").split():
        error = getattr(fl, name)("it broke.", node="n", port="p", axis=2, hint="Mend it.")
        assert isinstance(error, fl.FlowError) and (error.node, error.port, error.axis, error.hint) == ("n", "p", 2, "Mend it.") and str(error) == "it broke. Mend it."
    assert issubclass(fl.AttributeValueError, ValueError) and issubclass(fl.UnknownOpError, LookupError)


def test_the_error_that_is_drawn_in_the_lab():
    with fl.Graph():
        a, b = fl.placeholder(("batch", 64), name="a"), fl.variable(np.zeros((128, 10), "float32"), name="b")
        with pytest.raises(fl.ShapeError, match="matmul: left columns 64 ≠ right rows 128") as caught:
            fl.matmul(a, b, name="hidden")
    assert (caught.value.node, caught.value.port, caught.value.axis) == ("hidden", "b", 0) and caught.value.hint


def test_a_graph_file_and_back(tmp_path):
    g, *_ = mnist_mlp()
    fl.save(g, tmp_path / "a.flow.json")
    again = fl.load(tmp_path / "a.flow.json")
    assert isinstance(again, fl.Graph) and fl.load_document(tmp_path / "a.flow.json").same_graph(g)
    assert json.loads((tmp_path / "a.flow.json").read_text())
    a, b = fl.Session(g, seed=0), fl.Session(again, seed=0)
    for name in a.variables:
        b.variables[name] = a.variables[name]
    for _ in range(2):
        x, y = (s.run(["loss", "train"], {"x": XS, "labels": YS})[0] for s in (a, b))
        assert x.tobytes() == y.tobytes()


def test_importing_is_light():
    code = "import sys, flowlab; print([m for m in ('anywidget', 'ipywidgets', 'plotly', 'cupy', 'onnx', 'jax', 'pandas', 'safetensors', 'IPython') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_version():
    assert fl.__version__.count(".") == 2
