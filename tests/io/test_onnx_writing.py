"""What leaves for ONNX: declarations against the standard, files against its full checker (`fl.to_onnx` asks it), numbers against onnxruntime."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY
from flowlab.io.onnx.reading import imported
from tests import random_loops
from tests.ops.cases import CASES
from tests.ops.test_every_op import unknown

ROOT = Path(__file__).parents[2]
OPSET = 20
# what ONNX has no operator for, beside derivatives and training, which are not listed in the palette
HERE_ALONE = {"CTCLoss", "Cholesky", "Eigh", "Inv", "QR", "SVD", "Slogdet", "Solve"}
# what needs a size in the file
FIXED = {"SumLike", "Conv2D", "Trace", "Diagonal", "Quantile", *(f"Adaptive{k}Pool{n}D" for k in ("Avg", "Max") for n in (1, 2, 3))}
# what takes dtypes there that flowlab has not, so that it does not come back
OUTSIDE = {"LeftShift", "RightShift"}
onnxruntime.set_default_logger_severity(3)


def run(model, feeds, optimized=True):
    """The outputs of a model in onnxruntime, by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    sess = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in sess.get_outputs()], sess.run(None, {i.name: np.asarray(feeds[i.name]) for i in sess.get_inputs()})))


def same(g, fetches, feeds, sess=None, optimized=True):
    """The model of these fetches, which gives what the session gives: in onnxruntime, and opened again as a graph."""
    sess = sess or fl.Session(g)
    model = fl.to_onnx(g, fetches, sess)
    with np.errstate(all="ignore"):
        want = sess.run(fetches, {k: v for k, v in feeds.items() if k in g.nodes})
    want = list(want.values()) if isinstance(want, dict) else want
    again = imported(model, shapes={name: np.shape(v) for name, v in feeds.items() if name in {i.name for i in model.graph.input}})     # sizes that some operators need to be read
    assert not again.opaque or {n.op.name for n in g.nodes} & OUTSIDE
    ways = [list(run(model, feeds, optimized).values())]
    if not again.opaque:
        back = fl.Session(again.graph)
        back.variables.update(again.values)
        with np.errstate(all="ignore"):
            ways.append(back.run([again.outputs[o.name] for o in model.graph.output], {t: feeds[name] for name, t in again.inputs.items()}))
    for got in ways:
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6, strict=True)
    return model


def some(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# ---------------------------------------------------------------- operation by operation


@pytest.mark.parametrize("op", [o for o in REGISTRY.values() if o.onnx], ids=lambda o: o.name)
def test_a_declared_counterpart_is_in_the_standard_with_these_inputs_and_attributes(op):
    schema = onnx.defs.get_schema(op.onnx, OPSET)
    required = [i for i in schema.inputs if i.option == onnx.defs.OpSchema.FormalParameterOption.Single]
    assert schema.min_input <= len(op.inputs) <= schema.max_input and len(required) <= len(op.inputs)
    assert set(op.onnx_attrs) <= set(op.attrs)
    assert {op.onnx_attrs.get(name, name) for name in op.attrs} <= set(schema.attributes)


def row(case, shapes):
    arrays = [x.astype("float32") if x is not None and x.dtype == "float64" else x for x in case.inputs]
    with fl.Graph("row") as g:
        made = [None if x is None else fl.placeholder(shapes[k], x.dtype, name=f"in{k}") for k, x in enumerate(arrays)]
        outputs = case.build(made, name="it")
    return g, outputs, {p.node.name: x for p, x in zip(made, arrays) if p is not None}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_every_row_gives_the_same_in_onnxruntime(case):
    g, outputs, feeds = row(case, [() if x is None else x.shape for x in case.inputs])
    if case.type in HERE_ALONE or not REGISTRY[case.type].listed:
        try:
            same(g, outputs, feeds, optimized=False)    # some derivatives have a counterpart
        except fl.UnknownOpError as error:
            assert error.node == "it" and case.type in str(error) and error.hint
            assert ("Derivatives" in error.hint) == (not REGISTRY[case.type].listed)
            return
        assert case.type not in HERE_ALONE
    else:
        same(g, outputs, feeds, optimized=False)


@pytest.mark.parametrize("case", [c for c in CASES if c.named and c.op.listed and c.op.inputs and c.type not in HERE_ALONE], ids=lambda c: c.id)
def test_every_row_gives_the_same_where_sizes_are_unknown(case):
    g, outputs, feeds = row(case, unknown(case, "all"))
    try:
        same(g, outputs, feeds, optimized=False)
    except fl.FlowError as error:
        assert case.type in FIXED and "has to be known" in str(error) and error.node == "it", error


ODD = np.array([0, 1e-30, 1e-8, 1e-4, 0.3, 0.5, 0.999, 1, 1.5, 3, 20, 60, 88, 200, 1e30, np.inf], "float32")
ODD = np.concatenate([ODD, -ODD])
WRITTEN_OUT = ["trunc", "rsqrt", "log2", "log10", "exp2", "cbrt", "expm1", "log1p", "isfinite", "silu", "log_sigmoid", "relu6", "hardsigmoid", "square"]
OF_TWO = ["arctan2", "mod", "logaddexp", "hypot", "not_equal", "maximum"]


@pytest.mark.parametrize("name", [*WRITTEN_OUT, *OF_TWO])
def test_what_is_written_out_is_right_far_out_and_near_nothing(name):
    grid = [v.ravel().copy() for v in np.meshgrid(ODD, ODD)] if name in OF_TWO else [ODD]
    with fl.Graph() as g:
        y = getattr(fl, name)(*(fl.placeholder(v.shape, name=f"in{k}") for k, v in enumerate(grid)), name="y")
    feeds = {f"in{k}": v for k, v in enumerate(grid)}
    with np.errstate(all="ignore"):
        want = fl.Session(g).run(y, feeds)
    np.testing.assert_allclose(run(fl.to_onnx(g, y), feeds)["y"], want, rtol=3e-6, atol=1e-37)


def test_random_operations_leave_and_draw_their_own():
    with fl.Graph() as g:
        x = fl.placeholder(("n",), name="x")
        normal, even = fl.random_normal((4000,), mean=3.0, std=2.0), fl.random_uniform((4000,), low=1.0, high=2.0)
        kept, mask = fl.dropout_with_mask(x, rate=0.25)
    out = run(fl.to_onnx(g, {"normal": normal, "even": even, "kept": kept, "mask": mask}), {"x": np.ones(4000, "float32")})
    assert abs(out["normal"].mean() - 3) < 0.2 and abs(out["normal"].std() - 2) < 0.2 and 1 <= out["even"].min() and out["even"].max() <= 2
    assert np.unique(out["mask"]).tolist() == [0.0, np.float32(4 / 3)] and np.array_equal(out["kept"], out["mask"]) and abs((out["mask"] == 0).mean() - 0.25) < 0.05


def test_an_op_of_ones_own_leaves_as_the_operator_it_names():
    @fl.op(onnx="LeakyRelu", onnx_attrs={"low": "alpha"})
    def bent(xp, x, *, low: float = 0.0):
        return xp.where(x > 0, x, x * low)

    @fl.op(onnx="NoSuch")
    def unheard_of(xp, x):
        return x
    try:
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            y, z = bent(x, low=0.25, name="y"), unheard_of(x, name="z")
        assert [n.op_type for n in same(g, [y], {"x": some(3)}).graph.node] == ["LeakyRelu"]
        with pytest.raises(fl.UnknownOpError, match="z: UnheardOf is declared to be ONNX's NoSuch"):
            fl.to_onnx(g, z)
    finally:
        del REGISTRY[bent.name], REGISTRY[unheard_of.name]


# ---------------------------------------------------------------- names, variables, fetches


def line():
    with fl.Graph("line") as g:
        x = fl.placeholder(("batch", 3), name="x")
        w = fl.variable(some(3, 2), name="w")
        y = fl.matmul(x, w, name="y")
        fl.optim.SGD(0.1).minimize(fl.mean(y), name="train")
    return g, x, w, y


def test_inputs_outputs_initializers_and_axes_keep_their_names():
    g, x, w, y = line()
    model = same(g, {"answer": y}, {"x": some(5, 3)})
    assert [i.name for i in model.graph.input] == ["x"] and [o.name for o in model.graph.output] == ["answer"] and [i.name for i in model.graph.initializer] == ["w"]
    assert [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*model.graph.input, *model.graph.output)] == [["batch", 3], ["batch", 2]]
    assert [o.name for o in fl.to_onnx(g, "y", fl.Session(g)).graph.output] == ["y"]


def test_what_is_fetched_twice_or_is_no_result_comes_out_as_well():
    g, x, w, y = line()
    same(g, {"a": y, "b": y, "given": x, "kept": w}, {"x": some(5, 3)})
    assert [o.name for o in same(g, [x, y], {"x": some(5, 3)}).graph.output] == ["x:0", "y"]


def test_the_sessions_values_go_along():
    g, x, w, y = line()
    sess = fl.Session(g)
    sess.run("train", {x: some(5, 3)})
    same(g, [y], {"x": some(5, 3)}, sess)


def test_what_cannot_leave_says_which_node_and_what_to_do():
    g, x, w, y = line()
    with pytest.raises(fl.FlowError, match="the model has the variable w") as error:
        fl.to_onnx(g, y)
    assert error.value.node == "w" and "sess" in error.value.hint
    with pytest.raises(fl.FetchError, match="train .* gives no value, and training stays in flowlab"):
        fl.to_onnx(g, "train", fl.Session(g))
    with pytest.raises(fl.FetchError, match="nothing to fetch"):
        fl.to_onnx(g, [])
    with pytest.raises(fl.FetchError, match="no tensor of graph 'line'"):
        fl.to_onnx(g, line()[3], fl.Session(g))
    with fl.Graph() as g:
        n = fl.placeholder((3,), "int8", name="n")
        cube = fl.power(n, n, name="cube")
    with pytest.raises(fl.DTypeError, match="cube: ONNX's Pow takes no int8"):
        fl.to_onnx(g, cube)


# ---------------------------------------------------------------- loops, branches, layers, composites


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_leaves_as_scan(reverse):
    with fl.Graph() as g:
        x, w = fl.placeholder(("batch", "time", 3), name="x"), fl.variable(some(3, 4), name="w")
        with fl.scan(x, time_axis=1, reverse=reverse, name="rnn") as step:
            h = step.state("h", size=4)
            new = fl.tanh(step.input @ w + h * 0.5)
            step.update(h, new)
            step.output(new)
            step.output(fl.sum(new, axis=1) + fl.cast(step.index, "float32"), axis=0)
    model = same(g, [*step.outputs, step.states["h"], step.over_time(new), step.over_time(h)], {"x": some(2, 5, 3)})
    assert "Scan" in [n.op_type for n in model.graph.node]
    same(g, {"last": step.states["h"]}, {"x": some(2, 5, 3)})


def test_a_scan_within_a_scan_uses_what_is_around_both():
    with fl.Graph() as g:
        x, scale = fl.placeholder((4, 3), name="x"), fl.placeholder((), name="scale")
        with fl.scan(x, name="rows") as outer:
            total = outer.state("total", init=0.0)
            with fl.scan(outer.input, name="cells") as inner:
                s = inner.state("s", init=total)
                new = s + inner.input * scale
                inner.update(s, new)
                inner.output(new)
            outer.update(total, inner.states["s"])
            outer.output(inner.outputs[0])
    same(g, [outer.outputs[0], outer.states["total"]], {"x": some(4, 3), "scale": np.float32(1.5)})


@pytest.mark.parametrize("sign", [1, -1])
def test_branches_and_loops_leave_as_if_and_loop(sign):
    with fl.Graph() as g:
        x, k = fl.placeholder((3,), name="x"), fl.variable(2.0, name="k")
        y = fl.cond(fl.sum(x) > 0, lambda: [fl.sqrt(fl.abs(x)) * k, x], lambda: [-x, x * 2], name="root")
        grown = fl.while_loop(lambda r, i: fl.sum(r) < 100.0, lambda r, i: (r * k + 1.0, i + 1), [fl.abs(x), fl.constant(0)], name="grow")
        z = fl.while_loop(lambda r: fl.sum(r) < 100.0, lambda r: r * r + 2.0, x, maximum=50, name="again")
        every = g.node("grow/While").outputs[2]
    model = same(g, [*y, *grown, z, every], {"x": np.array([1, 2, 0.5], "float32") * sign})
    assert {"If", "Loop"} <= {n.op_type for n in model.graph.node}


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_with_loops_and_branches_leave(seed, monkeypatch):
    monkeypatch.setattr(random_loops, "UNARY", random_loops.UNARY[:-1])     # without what is drawn at random
    g, (loss, *_), feeds = random_loops.random_graph(seed)
    model = fl.to_onnx(g, loss, sess := fl.Session(g))
    np.testing.assert_allclose(run(model, feeds)["loss"], sess.run(loss, feeds), rtol=1e-9, atol=1e-12)


LENGTHS = np.array([5, 2, 0])


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_recurrent_layers_leave_as_onnx_has_them_and_their_gates_as_a_loop(kind):
    with fl.Graph() as g:
        x, n = fl.placeholder(("batch", "time", 3), name="x"), fl.placeholder(("batch",), "int64", name="n")
        out, last = getattr(fl.nn, kind)(x, 4, lengths=n, bidirectional=True, layers=2, name="deep")
        plain, _ = getattr(fl.nn, kind)(x, 4, name="plain")
    ends = list(last) if isinstance(last, tuple) else [last]
    model = same(g, [out, *ends, plain], {"x": some(3, 5, 3), "n": LENGTHS})
    assert [n.op_type for n in model.graph.node].count(kind.upper()) == 5
    node = next(n for n in g.nodes if n.op.name == kind.upper())
    same(g, list(node.outputs), {"x": some(3, 5, 3), "n": LENGTHS})


@fl.composite
def affine(x, w, b=0.0):
    """Multiply by w and add b."""
    return fl.tanh(x @ w + b)


@fl.composite
def block(x, first, second):
    h = affine(x, first)
    return affine(h, second), h


def test_composites_leave_as_functions_and_equal_ones_are_one():
    with fl.Graph() as g:
        x, a, b = fl.placeholder(("n", 3), name="x"), fl.variable(some(3, 4), name="a"), fl.variable(some(4, 3), name="b")
        y, h = block(x, a, b)
        z, _ = block(y, a, b, name="again")
        slope, = fl.gradients(fl.sum(z), [a])
    model = same(g, [z], {"x": some(2, 3)})
    assert [n.op_type for n in model.graph.node] == ["block", "block"] and [f.name for f in model.functions] == ["affine", "block"]
    assert list(model.functions[0].input) == ["x", "w"] and model.functions[0].doc_string == "Multiply by w and add b."
    same(g, [z, h, g.tensor("again/affine/Tanh:0"), slope], {"x": some(2, 3)})     # what is inside can be fetched


def test_a_composite_named_as_an_operator_of_onnx_is_told_from_it():
    @fl.composite
    def Gather(x):
        return fl.gather(x, 0, axis=1)
    with fl.Graph() as g:
        y = Gather(fl.placeholder(("n", 3), name="x"))
    model = same(g, [y], {"x": some(2, 3)})
    assert [(f.name, f.node[-1].op_type) for f in model.functions] == [("Gather_1", "Gather")]


def test_a_scope_that_something_outside_stands_in_the_middle_of_is_written_out():
    with fl.Graph() as g:
        x = fl.placeholder((1, 3), name="x")
        y = fl.exp(affine(x, some(3, 3), name="part"), name="outside")
        with fl.name_scope("part"):
            z = fl.negative(y, name="late")
    assert fl.to_onnx(g, y).functions and not fl.to_onnx(g, z).functions
    same(g, [z], {"x": some(1, 3)})


# ---------------------------------------------------------------- models


def test_a_network_of_convolutions_and_attention_leaves():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 2, 9, 7), name="x")
        h = fl.nn.conv2d(x, 4, 3, stride=2, padding="same", activation="relu", name="first")
        h = fl.max_pool2d(fl.nn.conv2d(h, 4, 3, padding=1, name="second"), 2, stride=1, padding="same")
        h = fl.reshape(fl.transpose(h, (0, 2, 3, 1)), ("batch", -1, 4))
        h = fl.layer_norm(h + fl.nn.multi_head_attention(h, heads=2, name="look"), fl.variable(some(4), name="gamma"))
        y = fl.softmax(fl.nn.dense(fl.mean(h, axis=1), 5, name="out"))
    same(g, [y], {"x": some(3, 2, 9, 7)})


def captcha():
    """The graph of notebook 1, from its own cell."""
    cells = json.loads((ROOT / "notebooks" / "08_read_a_captcha.ipynb").read_text(encoding="utf-8"))["cells"]
    code = next(s for c in cells if c["cell_type"] == "code" and 'fl.Graph("captcha")' in (s := "".join(c["source"])))
    names = {"fl": fl, "np": np, "epochs": 2, "examples": 64, "batch": 64}
    exec(code, names)
    return names["g"], names


def test_the_notebooks_captcha_reader_reads_the_same_in_onnxruntime():
    g, names = captcha()
    sess = fl.Session(g, seed=0)
    model = same(g, {"reading": names["reading"], "loss": names["loss"]}, {"seq": some(3, 60, 24), "digits": np.random.default_rng(1).integers(0, 10, (3, 4))}, sess)
    assert [n.op_type for n in model.graph.node].count("LSTM") == 2
    reading = fl.to_onnx(g, names["reading"], sess)
    assert [i.name for i in reading.graph.input] == ["seq"]
    ours = sess.run(names["reading"], {"seq": some(50, 60, 24)})
    assert np.array_equal(run(reading, {"seq": some(50, 60, 24)})["reading"], ours)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    g, x, w, y = line()
    with pytest.raises(fl.DocumentError, match=r"pip install 'flowlab\[onnx\]'"):
        fl.to_onnx(g, y, fl.Session(g))
