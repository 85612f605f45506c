"""The convolution view's kernel side: what it sends is the run's, what is tried runs again and changes nothing, and what it refuses."""
from __future__ import annotations

import numpy as np
import pytest
from pages import Page

pytest.importorskip("anywidget")

import flowlab as fl
from flowlab.apps import windows as W
from flowlab.trace import receptive as R
from flowlab.widgets import conv as C
from flowlab.widgets.conv import ConvView

BATCH, CHANNELS, ROWS, COLUMNS = 3, 2, 21, 19


@pytest.fixture(scope="module")
def session():
    with fl.Graph("shapes") as g:
        image = fl.placeholder(("batch", CHANNELS, ROWS, COLUMNS), name="image")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        h = fl.nn.conv2d(image, 6, 3, stride=(2, 1), padding="same", groups=2, activation="relu", name="first")
        h = fl.max_pool2d(h, 2, name="pool")
        h = fl.nn.conv2d(h, 4, (2, 3), name="second")
        h = fl.avg_pool2d(h, 2, stride=1, name="mean")
        logits = fl.nn.dense(fl.nn.flatten(h), 3, name="head")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, labels), name="loss")
        fl.gradients(loss, g.trainable_variables)
    sess = fl.Session(g, seed=3)
    rng = np.random.default_rng(7)
    for v in g.variables:
        sess.variables[v.node.name] = sess.variables[v.node.name] + rng.normal(0, 0.3, sess.variables[v.node.name].shape).astype("float32")
    return sess


@pytest.fixture(scope="module")
def feeds():
    rng = np.random.default_rng(11)
    return {"image": rng.normal(size=(BATCH, CHANNELS, ROWS, COLUMNS)).astype("float32"), "labels": np.array([0, 2, 1])}


@pytest.fixture(scope="module")
def trace(session, feeds):
    kernels = [n.outputs[0] for n in session.graph.nodes if n.op.name == "Conv2DKernelGradient"]
    pools = [n.outputs[0] for n in session.graph.nodes if n.op.name in ("MaxPool2DGradient", "AvgPool2DGradient")]
    return session.trace(["loss", "head/Add", *kernels, *pools], feeds)


def test_every_layer_sends_what_the_trace_recorded(trace):
    page = Page(ConvView(trace))
    data, _ = page.hello()
    assert [layer["node"] for layer in data["layers"]] == ["first/Conv2D", "pool", "second/Conv2D", "mean"]
    for layer, (source, result) in enumerate([("image", "first/Add"), ("first/Relu", "pool"), ("pool", "second/Add"), ("second/Add", "mean")]):
        ok, [(data, (x, y, *rest))] = page.say(type="conv_ask", layer=layer, sample=2)
        assert ok and (data["layer"], data["sample"], data["result"]) == (layer, 2, f"{result}:0")
        np.testing.assert_array_equal(x, trace.value(source)[2].ravel())
        np.testing.assert_array_equal(y, trace.value(result)[2].ravel())
        if data["bias"]:
            scope = result.partition("/")[0]
            np.testing.assert_array_equal(rest[0], trace.value(f"{scope}/kernel").ravel())
            np.testing.assert_array_equal(rest[1], trace.value(f"{scope}/bias"))


def test_gradients_are_those_of_the_run(trace):
    page = Page(ConvView(trace, "second"))
    data, (_x, _y, _w, _b, g, own, total, *_) = page.hello()
    assert data["gradient"] == "loss"
    node = next(n for n in trace.graph.nodes if n.op.name == "Conv2DKernelGradient" and n.gradient_of == "second/Conv2D")
    np.testing.assert_array_equal(g, trace.value(node.input("g"))[0].ravel())
    np.testing.assert_allclose(total, trace.value(node.outputs[0]).ravel(), rtol=1e-5, atol=1e-7)
    others = []
    for sample in range(1, BATCH):
        _, [(_, buffers)] = page.say(type="conv_ask", layer=2, sample=sample)
        others.append(buffers[5])
    np.testing.assert_allclose(own + sum(others), total, rtol=1e-4, atol=1e-6)


def test_a_pool_sends_its_gradient_back_as_the_run_did(trace):
    for name, op in (("pool", "MaxPool2DGradient"), ("mean", "AvgPool2DGradient")):
        _, (_x, _y, _g, dx, *_) = Page(ConvView(trace, name)).hello()
        node = next(n for n in trace.graph.nodes if n.op.name == op)
        np.testing.assert_allclose(dx, trace.value(node.outputs[0])[0].ravel(), rtol=1e-6)


def test_a_gradient_that_was_not_recorded_is_worked_out_without_touching_the_graph(session, trace, feeds):
    nodes = len(session.graph.nodes)
    page = Page(ConvView(session.trace(["loss"], feeds), "first"))
    data, _ = page.hello()
    assert data["gradient"] == "" and data["choices"] == ["loss", "this map"]
    ok, [(data, buffers)] = page.say(type="conv_gradient", of="loss")
    node = next(n for n in session.graph.nodes if n.op.name == "Conv2DKernelGradient" and n.gradient_of == "first/Conv2D")
    assert ok and data["gradient"] == "loss"
    np.testing.assert_allclose(buffers[6], trace.value(node.outputs[0]).ravel(), rtol=1e-4, atol=1e-7)
    assert len(session.graph.nodes) == nodes
    ok, answers = page.say(type="conv_gradient", of="accuracy")
    assert not ok and "no gradient of 'accuracy'" in answers[0][0]["text"]


def test_boxes_are_the_closed_form(trace):
    view = ConvView(trace, "second")
    data, buffers = Page(view).hello()
    chain = data["fields"]
    assert [(f["node"], f["direction"]) for f in chain] == [("image", "up"), ("first/Conv2D", "up"), ("pool", "up"), ("second/Conv2D", "self"), ("mean", "down")]
    ends = buffers[-5 * len(chain):]
    fields = R.fields(trace.graph.node("second/Conv2D"), lambda t: trace.value(t).shape)
    for k, f in enumerate(chain):
        rows, past_rows, columns, past_columns = ends[5 * k + 1:5 * k + 5]
        looks = fields.of(trace.graph.tensor(f"{f['node']}:0"))
        for y, x in [(0, 0), (1, 5), (3, 6)]:
            assert looks.box(y, x) == (rows[y], columns[x], past_rows[y], past_columns[x])
    # rows: 3 + (2 − 1)·2 + (2 − 1)·4, columns: 3 + (2 − 1)·1 + (3 − 1)·2
    assert data["reach"] == [9, 4, 8, 2]


def test_other_settings_run_the_layer_alone(trace):
    view = ConvView(trace, "second", y=3, x=5)
    page = Page(view)
    nodes, kernel = len(trace.graph.nodes), trace.value("second/kernel")
    ok, [(data, (_x, y, *_))] = page.say(type="conv_set", stride=2, padding=1, dilation=2)
    assert ok and data["changed"] and data["fields"] == [] and (data["out_rows"], data["out_cols"]) == (3, 4)
    with fl.Graph():
        shape = trace.value("pool").shape
        a, b = fl.placeholder(shape, name="a"), fl.placeholder(kernel.shape, name="b")
        out = fl.conv2d(a, b, stride=2, padding=1, dilation=2)
    want = fl.Session(out.graph).run(out, {a: trace.value("pool"), b: kernel})[0] + trace.value("second/bias").reshape(-1, 1, 1)
    np.testing.assert_allclose(y, want.ravel(), rtol=1e-5, atol=1e-6)
    assert (view.y, view.x) == (2, 3)                       # where the smaller map ends
    assert len(trace.graph.nodes) == nodes
    ok, [(notice, _), *_] = page.say(type="conv_set", dilation=30)
    assert not ok and "does not fit" in notice["text"] and view._settings["dilation"] == 2
    ok, [(data, (_x, y, *_))] = page.say(type="conv_reset", what="settings")
    np.testing.assert_array_equal(y, trace.value("second/Add")[0].ravel())
    assert not data["changed"]


def test_paint_and_an_edited_kernel_run_everything_after_them(session, trace, feeds):
    view = ConvView(trace, "first", sample=1)
    page = Page(view)
    ok, [(data, (x, y, *_))] = page.say(type="conv_edit", what="input", cells=[[0, 4, 5, 3.0], [1, 0, 0, -2.0]])
    painted = feeds["image"].copy()
    painted[1, 0, 4, 5], painted[1, 1, 0, 0] = 3, -2
    want = session.trace(["loss", "head/Add"], {**feeds, "image": painted})
    assert ok and data["painted"] and not data["kernel_edited"]
    np.testing.assert_allclose(y, want.value("first/Add")[1].ravel(), rtol=1e-6)
    assert {o["label"] for o in data["outcomes"]} == {"loss", "head/Add"}
    assert next(o for o in data["outcomes"] if o["label"] == "loss")["after"] == C.outcome(want.value("loss"), 1, BATCH, None)
    ok, [(data, (_x, y, w, *_))] = page.say(type="conv_edit", what="kernel", cells=[[5, 0, 2, 1, 9.5]])
    assert ok and data["kernel_edited"] and w.reshape(6, 1, 3, 3)[5, 0, 2, 1] == 9.5
    assert session.variables["first/kernel"][5, 0, 2, 1] != 9.5
    # the layer after follows too
    page.say(type="conv_ask", layer=1, sample=1)
    assert np.abs(page.messages[0][1][0] - trace.value("first/Relu")[1].ravel()).max() > 0.1
    ok, [(data, (x, *_))] = page.say(type="conv_reset", what="all")
    np.testing.assert_array_equal(x, trace.value("first/Relu")[1].ravel())
    assert not data["painted"] and not data["kernel_edited"]


def test_a_debugger_runs_what_was_painted_again_as_a_whole(session, trace, feeds):
    debugger = fl.Debugger(session, "loss", feeds)
    debugger.run_to("second/Conv2D")
    view = ConvView(debugger, "first")
    page = Page(view)
    data, (_x, y, *_) = page.hello()
    np.testing.assert_array_equal(y, trace.value("first/Add")[0].ravel())
    assert [layer["node"] for layer in data["layers"]] == ["first/Conv2D", "pool"] and data["can_sweep"]
    ok, [(data, (_x, y, *_))] = page.say(type="conv_edit", what="input", cells=[[0, 0, 0, 5.0]])
    painted = feeds["image"].copy()
    painted[0, 0, 0, 0] = 5
    assert ok and data["rerun"]
    np.testing.assert_allclose(y, trace.rerun({"image": painted}).value("first/Add")[0].ravel(), rtol=1e-6)
    ok, _ = page.say(type="conv_sweep_ask", kind="shift")
    assert ok
    debugger.resume()
    view.refresh()
    assert [n.name for n in view._nodes] == ["first/Conv2D", "pool", "second/Conv2D", "mean"]


def test_a_debugger_that_stands_between_a_layer_and_its_bias_shows_what_there_is(session, trace, feeds):
    debugger = fl.Debugger(session, "loss", feeds)
    debugger.run_to("first/Add")
    data, (_x, y, *_) = Page(ConvView(debugger, "first")).hello()
    assert (data["result"], data["bias"]) == ("first/Conv2D:0", False)
    np.testing.assert_array_equal(y, trace.value("first/Conv2D")[0].ravel())


def test_an_editor_is_looked_into_where_its_debugger_stands(session, trace, feeds):
    editor = fl.Editor(session.graph, session=session, feeds=feeds)
    with pytest.raises(fl.FlowError, match="nothing has run in this editor yet"):
        ConvView(editor)
    editor.run()
    _, (_x, y, *_) = Page(ConvView(editor, "second")).hello()
    np.testing.assert_allclose(y, trace.value("second/Add")[0].ravel(), rtol=1e-5, atol=1e-6)


def test_a_kernel_that_is_no_variable_is_edited_too():
    with fl.Graph():
        x = fl.placeholder((1, 1, 5, 4), name="x")
        out = fl.conv2d(x, np.ones((1, 1, 3, 3), "float32"), name="edges")
    view = ConvView(fl.Session(out.graph).trace(out, {x: np.ones((1, 1, 5, 4))}))
    page = Page(view)
    _, [(data, (_x, y, *_))] = page.say(type="conv_edit", what="kernel", cells=[[0, 0, 1, 1, 5.0]])
    assert data["kernel_edited"] and not data["painted"] and set(y) == {13}
    _, [(data, (_x, y, *_))] = page.say(type="conv_reset", what="kernel")
    assert not data["kernel_edited"] and set(y) == {9}


def test_a_shift_moves_the_map_with_it_and_pooling_forgives_a_little():
    rng = np.random.default_rng(0)
    with fl.Graph():
        image = fl.placeholder((1, 1, 24, 24), name="image")
        h = fl.nn.conv2d(image, 4, 3, padding="same", activation="relu", name="conv")
        fl.nn.dense(fl.nn.flatten(fl.max_pool2d(h, 4, name="pool")), 3, name="head")
    value = np.zeros((1, 1, 24, 24), "float32")
    value[0, 0, 10:14, 10:14] = rng.uniform(0.5, 1, (4, 4))          # far from every edge
    trace = fl.Session(h.graph, seed=1).trace("head/Add", {image: value})
    sweep = ConvView(trace, "conv").sweep("shift")
    assert [(line.name, line.role) for line in sweep.lines] == [("conv/Add", "map"), ("pool", "pooled"), ("head/Add", "output")]
    the_map, pooled, output = sweep.lines
    still = sweep.amounts.index(0)
    assert max(the_map.off[still - 4:still + 5]) < 1e-6              # equivariant: the map moves likewise
    assert min(v for k, v in enumerate(the_map.changed) if k != still) > 0.5        # and not invariant
    assert 0 < pooled.changed[still + 1] < the_map.changed[still + 1]              # pooling is a little nearer to it
    assert the_map.changed[still] == pooled.changed[still] == output.changed[still] == 0
    turned = ConvView(trace, "conv").sweep("turn")
    assert turned.lines[0].off[turned.amounts.index(45)] > 0.1       # of a turn there is no such law
    with pytest.raises(fl.FlowError, match="Ways: shift"):
        ConvView(trace, "conv").sweep("stretch")


def test_pictures_are_moved_about_their_middle():
    a = np.arange(30.0).reshape(1, 1, 5, 6)
    np.testing.assert_array_equal(W.moved(a, "shift", 2)[..., 2:], a[..., :-2])
    np.testing.assert_allclose(W.moved(W.moved(a, "turn", 90), "turn", -90)[..., 1:-1, 2:-2], a[..., 1:-1, 2:-2], atol=1e-9)
    for kind, change in W.CHANGES.items():
        np.testing.assert_allclose(W.moved(a, kind, change.still), a, atol=1e-12)


def test_numbers_are_counted_beside_what_shares_less(trace):
    data, _ = Page(ConvView(trace, "second")).hello()
    x, y = trace.value("pool").shape[1:], trace.value("second/Add").shape[1:]
    kernel = trace.value("second/kernel").size
    assert data["shared"] == kernel + y[0] == sum(trace.value(f"second/{v}").size for v in ("kernel", "bias"))
    assert data["local"] == (kernel + y[0]) * y[1] * y[2]
    assert data["dense"] == np.prod(x) * np.prod(y) + np.prod(y)
    data, _ = Page(ConvView(trace, "mean")).hello()
    assert (data["shared"], data["local"]) == (0, 0)


@pytest.mark.parametrize("build", [
    lambda x: fl.nn.conv_transpose2d(x, 3, 3, stride=2, name="up"),
    lambda x: fl.adaptive_avg_pool2d(x, (3, 4), name="up"),
    lambda x: fl.adaptive_max_pool2d(x, 2, name="up"),
    lambda x: fl.conv2d(x, np.ones((2, 2, 3, 3), "float32"), dilation=2, padding=((0, 1), (2, 0)), name="up"),
    lambda x: fl.avg_pool2d(x, 3, padding=1, count_padding=False, name="up"),
])
def test_every_window_is_made_of_its_taps(build):
    """The sum that the page writes out, by the same rule, is the output's value."""
    rng = np.random.default_rng(4)
    with fl.Graph():
        x = fl.placeholder((1, 2, 7, 6), "float64", name="x")
        out = build(x)
    trace = fl.Session(out.graph, seed=2).trace(out, {x: rng.normal(size=x.shape)})
    view = ConvView(trace, "up")
    layer = view._look()
    windows, (filters, rows, cols) = layer.windows, layer.y.shape
    for o in range(filters):
        for y in range(rows):
            for x_ in range(cols):
                _, (patch, kernel, bias, value) = view._window(y, x_, o)
                taps = [R.taps(windows, axis, layer.x.shape[1 + axis], layer.y.shape[1 + axis])[at] for axis, at in ((0, y), (1, x_))]
                inside = [[0 <= i < 7 and 0 <= j < 6 for j, _ in taps[1]] for i, _ in taps[0]]
                if windows.kind == "max":
                    total = patch.max()
                elif windows.kind == "average":
                    total = patch.sum() / np.sum(inside)
                else:
                    total = bias[0] + sum(patch[c, a, b] * kernel[c, i, j] for c in range(len(patch)) for a, (_, i) in enumerate(taps[0]) for b, (_, j) in enumerate(taps[1]))
                np.testing.assert_allclose(total, value[0], rtol=1e-9, atol=1e-9)


def test_a_large_layer_comes_sampled_and_its_window_whole():
    rng = np.random.default_rng(1)
    with fl.Graph():
        x = fl.placeholder((1, 48, 256, 200), name="x")
        out = fl.conv2d(x, fl.placeholder((64, 48, 3, 3), name="w"), padding=1, name="large")
    value, w = rng.normal(size=x.shape).astype("float32"), rng.normal(size=(64, 48, 3, 3)).astype("float32")
    trace = fl.Session(out.graph).trace(out, {"x": value, "w": w})
    page = Page(ConvView(trace))
    data, buffers = page.hello()
    assert not data["whole"] and (data["x_count"], data["y_count"]) == (1, 24) and data["x_step"] == 2
    assert sum(b.size for b in buffers) < C.WHOLE
    ok, [(data, (x_map, y_maps, *_))] = page.say(type="conv_ask", layer=0, sample=0, x_channel=7, y_from=24)
    np.testing.assert_array_equal(x_map, value[0, 7, ::2, ::2].ravel())
    np.testing.assert_array_equal(y_maps, trace.value(out)[0, 24:48, ::2, ::2].ravel())
    ok, [(seen, (patch, kernel, _bias, got))] = page.say(type="conv_look", y=255, x=0, channel=63)
    assert ok and (seen["y"], seen["x"], seen["channel"]) == (255, 0, 63)
    padded = np.pad(value[0], [(0, 0), (1, 1), (1, 1)])[:, 255:258, 0:3]
    np.testing.assert_array_equal(patch, padded.ravel())
    np.testing.assert_array_equal(kernel, w[63].ravel())
    assert np.vdot(patch, kernel) == pytest.approx(float(got[0]), rel=1e-4)


def test_what_is_no_number_goes_through(trace, session, feeds):
    image = feeds["image"].copy()
    image[0, 0, 3, 3], image[0, 1, 5, 5] = np.nan, np.inf
    data, (x, *_) = Page(ConvView(session.trace("loss", {**feeds, "image": image}))).hello()
    assert np.isnan(x).sum() == 1 and np.isinf(x).sum() == 1 and np.isfinite([data["x_limit"], data["y_limit"]]).all()


def test_refusals(session, trace, feeds):
    for node, message in [("head/MatMul", "head/MatMul is a MatMul, neither"), ("nowhere", "no layer over images named 'nowhere'"), (3, "an int names no layer")]:
        with pytest.raises(fl.FlowError, match=message):
            ConvView(trace, node)
    with pytest.raises(fl.FlowError, match="was not computed in this run"):
        ConvView(session.trace("pool", feeds), "second")
    with fl.Graph("dense"):
        y = fl.square(fl.placeholder((2,), name="x"))
    with pytest.raises(fl.FlowError, match="no convolution or pooling"):
        ConvView(fl.Session(y.graph).trace(y, {"x": [1, 2]}))
    with pytest.raises(fl.FlowError, match="a convolution view looks into"):
        ConvView(42)
    with pytest.raises(fl.FlowError, match="recorded no run yet"):
        ConvView(fl.Session(session.graph))
    for what, value in [("y", 11), ("x", -1), ("channel", 6), ("sample", 3), ("layer", 5)]:
        view = ConvView(trace, "first")
        with pytest.raises(fl.FlowError, match="there is no"):
            setattr(view, what, value)
    with pytest.raises(fl.FlowError, match="there is no row 99"):
        ConvView(trace, "first", y=99)
    with pytest.raises(fl.FlowError, match="stride cannot be 0"):
        view.try_settings(stride=0)
    with pytest.raises(fl.FlowError, match="which has no dilation"):
        ConvView(trace, "pool").try_settings(dilation=2)
    with pytest.raises(fl.FlowError, match="nothing at"):
        view.paint("input", [(0, 99, 0, 1.0)])
    with pytest.raises(fl.FlowError, match="has no kernel"):
        ConvView(trace, "pool").paint("kernel", [(0, 0, 0, 0, 1.0)])
    assert Page(view).say(type="picture", png="<svg/>", width=10, height=10) == (True, [])      # no PNG: it is not kept, and a person who did not ask is told nothing
    ok, [(notice, _)] = Page(view).say(type="dance")
    assert not ok and "does not know" in notice["text"]


def test_traits_and_layers_stay_together(trace):
    view = ConvView(trace, "first", y=10, x=18, channel=5)
    assert repr(view) == "Convolution view of first/Conv2D: row 10 of 11, column 18 of 19, channel 5 of 6, sample 0 of 3"
    view.layer = 3
    assert (view.y, view.x, view.channel) == (3, 6, 3)


def test_plots_show_maps_and_boxes(trace):
    maps = fl.plots.feature_maps(trace, "first", sample=1, channels=[4, 0])
    np.testing.assert_array_equal(maps.data[0].z, trace.value("first/Conv2D")[1, 4])
    figure = fl.plots.receptive_field(trace, "second", 1, 1)
    boxes = figure.layout.meta["boxes"]
    assert boxes["second/Conv2D:0"] == [1, 1, 2, 2] and len(figure.layout.shapes) == len(boxes) == 5
    looks = R.fields(trace.graph.node("second/Conv2D"), lambda t: trace.value(t).shape).of(trace.graph.tensor("image:0"))
    assert tuple(boxes["image:0"]) == looks.box(1, 1)
    for call in (lambda: fl.plots.feature_maps(trace, "head/Add"), lambda: fl.plots.feature_maps(trace, "first", channels=[6]), lambda: fl.plots.receptive_field(trace, "second", 1, 99)):
        with pytest.raises(fl.FlowError):
            call()
