"""The training view's kernel side: what it tells a page is what the training has; its buttons steer; any kept step opens below."""
from __future__ import annotations

import time
from base64 import b64decode

import numpy as np
import pytest
from event_files import read
from test_attaching import Page

import flowlab as fl
from flowlab.widgets.sampling import Sampler, gradient_of
from flowlab.widgets.training import Curve

rng = np.random.default_rng(0)
XY = rng.standard_normal((90, 2)).astype("float32")
DATA = {"x": XY, "y": (XY[:, 0] * XY[:, 1] > 0).astype("int64") + (XY[:, 0] > 1)}


def plane(optimizer=None) -> fl.Graph:
    with fl.Graph("plane") as g:
        x, y = fl.placeholder(("batch", 2), name="x"), fl.placeholder(("batch",), "int64", name="y")
        logits = fl.nn.dense(fl.nn.dense(x, 7, activation="tanh", name="hidden"), 3, name="out")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, y), name="loss")
        (optimizer or fl.optim.Adam(0.02)).minimize(loss, name="train")
    return g


def shown(buffers):
    return [np.frombuffer(b, "<f4") for b in buffers]


def until(holds, seconds=20):
    """Wait for the training's own thread."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)    # what is waited for is the training's own: it tells a test nothing, so it is asked again


def message(page, kind):
    return next((m, shown(b)) for m, b in reversed(page.heard) if m["type"] == kind)


def test_curves_progress_and_the_last_step_are_those_of_the_history():
    sess, view = fl.Session(plane(), seed=1), fl.TrainingView()
    page = Page(view)
    assert page.last("training")["title"] == "" and page.heard[-1][0] == {"type": "done", "seq": 1, "ok": True}
    history = fl.fit(sess, "train", fl.data.Pipeline(DATA).shuffle(seed=2).batch(16).prefetch(3), epochs=4, fetches=["loss"], validation=DATA, view=view)
    told, (info, (lo, hi, means, checked)) = page.last("training"), message(page, "curves")
    assert (told["state"], told["step"], told["total"], told["epoch"], told["epochs"], told["queue"][1]) == ("done", 24, 24, 4, 4, 3) and told["left"] is None
    assert info["names"] == info["checked"] == ["loss"] and info["ends"] == [6, 12, 18, 24] and info["stride"] == 1 and info["bad"] == [None]
    np.testing.assert_allclose(lo, history.steps["loss"], rtol=1e-6)
    np.testing.assert_allclose(means, history.epochs["loss"], rtol=1e-6)
    np.testing.assert_allclose(checked, history.validation["loss"], rtol=1e-6)
    assert (lo == hi).all() and "Training view of Training of 'plane', done" in repr(view)
    again = Page(fl.TrainingView(history))      # without the training
    assert again.last("training")["state"] == "done" and message(again, "curves")[0]["steps"] == 24
    assert not again.send(type="train", name="open", step=3) and "no training that keeps steps" in again.last("notice")["text"]
    stopped = fl.History.from_dict({**history.to_dict(), "stopped": "early"})
    assert Page(fl.TrainingView(stopped, title="mine")).last("training") | {"title": "mine", "state": "stopped", "stopped": "early"} == Page(fl.TrainingView(stopped, title="mine")).last("training")


def test_histograms_are_those_of_the_very_step_and_looking_changes_nothing():
    sess, bare = (fl.Session(plane(), seed=1) for _ in range(2))
    view = fl.TrainingView(histograms=1.0)
    page = Page(view)
    fl.fit(sess, "train", DATA, batch=30, epochs=5, fetches="loss", view=view)
    fl.fit(bare, "train", DATA, batch=30, epochs=5, fetches="loss", progress=False)
    assert all(sess.variables[n].tobytes() == bare.variables[n].tobytes() for n in sess.variables) and sess.store.runs == 15
    for kind, tensor in (("weights", "hidden/kernel:0"), ("gradients", gradient_of(sess.graph, sess.graph.tensor("hidden/kernel:0")).name), ("activations", "hidden/Tanh:0")):
        assert page.send(type="ask_histograms", kind=kind)
        info, buffers = message(page, "histograms")
        assert info["kind"] == kind and info["steps"][-1] == 14 and not info["trouble"] and info["samples"] > 1
        at = info["names"].index("hidden/kernel" if kind != "activations" else "hidden/Tanh")
        lo, hi, bad, counts = buffers[4 * at:4 * at + 4]
        dbg = view.run.debug(14)
        dbg.resume()
        value = sess.variables["hidden/kernel"] if kind == "weights" else dbg.value(tensor)
        assert (lo[-1], hi[-1], bad[-1]) == (value.min(), value.max(), 0)
        np.testing.assert_allclose(counts.reshape(-1, 40)[-1], np.histogram(value.astype("float64"), 40, (lo[-1], hi[-1]))[0] / value.size, atol=1.01 / value.size)
    assert not page.send(type="ask_histograms", kind="losses")


def test_a_view_of_a_training_that_is_over_looks_at_its_last_step():
    with fl.Graph("reader") as g:
        seq = fl.placeholder(("batch", 4, 3), name="seq")
        out, _ = fl.nn.lstm(seq, 5, name="lstm")
        fl.optim.SGD(0.1).minimize(fl.mean(out ** 2, name="loss"), name="train")
    run = fl.fit(fl.Session(g, seed=1), "train", {"seq": rng.standard_normal((12, 4, 3))}, batch=4, epochs=2, fetches="loss", background=True)
    run.wait(20)
    page = Page(fl.TrainingView(run))
    assert page.send(type="ask_histograms", kind="activations")
    info, (lo, hi, *_) = message(page, "histograms")
    assert info["names"] == ["lstm/LSTM"] and info["steps"] == [5] and not info["trouble"]
    out = run.past(5).trace().value("lstm/LSTM:0")
    assert (lo[0], hi[0]) == (out.min(), out.max()) and out.shape == (4, 4, 5)


def test_the_boundary_is_what_the_network_says_over_the_plane():
    sess, view = fl.Session(plane(), seed=1), fl.TrainingView()
    page = Page(view)
    fl.fit(sess, "train", DATA, batch=30, epochs=3, fetches="loss", view=view)
    info, (shares, points, labels) = message(page, "boundary")
    assert (info["rows"], info["cols"], info["classes"], info["step"], info["axes"]) == (64, 64, 3, 8, ["x[:, 0]", "x[:, 1]"]) and info["points"] == len(labels) <= 300
    x0, x1, y0, y1 = info["box"]
    logits = sess.run("out/Add", {"x": [[x0, y1], [x1, y0]]})     # the first cell is the corner at the top left
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares.reshape(64, 64, 3)[[0, -1], [0, -1]], expected, rtol=1e-4)
    place = {p.tobytes(): y for p, y in zip(XY, DATA["y"])}
    assert all(place[p.tobytes()] == l for p, l in zip(points.reshape(-1, 2), labels))
    assert fl.TrainingView(view.run, boundary=False)._sampler._boundary is None
    with fl.Graph() as g:
        wide = fl.placeholder((None, 3), name="wide")
        fl.optim.SGD(0.1).minimize(fl.mean(fl.nn.dense(wide, 1, name="d") ** 2, name="loss"), name="train")
    other = fl.Session(g)
    assert Sampler(fl.train_loop(other))._boundary is None
    with pytest.raises(fl.AttributeValueError, match="one placeholder of shape"):
        Sampler(fl.train_loop(other), "d/Add")


@pytest.mark.parametrize("optimizer", [fl.optim.SGD(0.1), fl.optim.SGD(0.1, momentum=0.9, nesterov=True), fl.optim.Adam(clip_norm=1.0), fl.optim.RMSProp(0.1)])
def test_the_gradient_of_a_variable_is_found_behind_every_optimizer(optimizer):
    g = plane(optimizer)
    for name in ("hidden/kernel", "hidden/bias", "out/kernel", "out/bias"):
        found = gradient_of(g, g.tensor(f"{name}:0"))
        with g:
            expected, = fl.gradients(g.tensor("loss:0"), [g.tensor(f"{name}:0")])
        feeds = {k: v[:5] for k, v in DATA.items()}
        a, b = fl.Session(g, seed=1).run([found, expected], feeds)
        np.testing.assert_array_equal(a, b)


def test_the_buttons_steer_and_a_click_on_the_curve_opens_that_step_below():
    sess = fl.Session(plane(), seed=1)
    run = fl.fit(sess, "train", fl.data.Pipeline(DATA).shuffle(seed=2).batch(30), epochs=100_000, fetches="loss", background=True)
    try:
        view = fl.TrainingView(run)
        page = Page(view)
        until(lambda: run.step > 30)
        assert page.send(type="train", name="pause")
        until(lambda: run.state == "paused")
        here = run.step
        assert page.send(type="train", name="open", step=here - 1) and view.lab.debugger.value("x:0").shape == (30, 2)
        assert page.last("training")["opened"] == here - 1 == view.lab._opened and [type(c).__name__ for c in view._box.children] == ["TrainingView", "Editor"]
        view.lab._go(lambda dbg: dbg.seek(dbg.length))
        assert float(view.lab.debugger.value("loss:0")) == pytest.approx(run.history.steps["loss"][here - 1], abs=0)
        lab = view.lab
        assert view.replay(step=run.kept[0]) is lab     # one lab for all of them
        gone = next((k for k in range(here) if k not in run.kept), None)
        if gone is not None:
            assert page.send(type="train", name="open", step=gone) and "the nearest that is" in page.last("notice")["text"]
        assert page.send(type="train", name="debug_next") and page.send(type="train", name="stop_when", text="nan or inf")
        until(lambda: page.last("training")["caught"] is not None)
        assert page.last("training")["caught"] == here == run.step and page.send(type="train", name="open", step=here) and view.lab.debugger.length == 0
        assert page.send(type="train", name="stop")
        run.wait(20)
        assert page.last("training")["stopped"] == "by hand" and sess.store.runs == here
        assert not page.send(type="train", name="faster") and not page.send(type="what")
        assert not page.send(type="train", name="debug_next") and "over" in page.last("notice")["text"]
    finally:
        run.stop()
        run.wait(20)


def test_an_own_loop_an_editor_and_what_is_no_training():
    sess = fl.Session(plane(), seed=1)
    ed = fl.Editor(sess.graph)
    with pytest.raises(fl.FlowError, match="not Editor"):
        fl.TrainingView(ed)
    with fl.train_loop(sess, keep=2) as run:
        ed.attach(run)
        page = Page(fl.TrainingView(ed))
        for feeds in run.batches(DATA, epochs=2, batch=45):
            loss, _ = sess.run(["loss", "train"], feeds)
            run.log(loss=loss, rate=0.5)
    info, buffers = message(page, "curves")
    assert info["names"] == ["loss", "rate"] and info["steps"] == 4 and buffers[2].tolist() == [0.5] * 4 and page.last("training")["kept"] == [0, 1, 2, 3]
    for wrong in (sess, 3, "loss"):
        with pytest.raises(fl.FlowError, match="shows a training or a history"):
            fl.TrainingView(wrong)
    with pytest.raises(fl.FlowError, match="share of the time"):
        fl.TrainingView(histograms=7)
    with pytest.raises(fl.DebuggerError):
        fl.TrainingView().replay(0)


def test_a_long_curve_is_drawn_by_its_lowest_and_highest():
    line = rng.standard_normal(10_007).astype("float32").tolist()
    line[4321] = float("nan")
    line[5000] = 99.0
    curve = Curve()
    curve.follow(line[:3000])
    curve.follow(line)
    lo, hi = curve.drawn(7)
    assert len(lo) == len(hi) == 1430 and hi[5000 // 7] == 99 and hi.max() == 99 and np.isfinite(lo).all()
    blocks = [np.array(line[k:k + 7], "float32") for k in range(0, 10_007, 7)]
    np.testing.assert_array_equal(lo, [np.nanmin(b) for b in blocks])
    np.testing.assert_array_equal(hi, [np.nanmax(b) for b in blocks])
    curve.follow(line[:10])     # another training
    assert curve.count == 10


def test_a_history_is_saved_as_a_table_or_for_tensorboard(tmp_path, monkeypatch):
    view = fl.TrainingView()
    page = Page(view)
    assert not page.send(type="ask_history", kind="step") and "no history to save" in page.last("notice")["text"]
    history = fl.fit(fl.Session(plane(), seed=1), "train", DATA, batch=30, epochs=2, fetches="loss", view=view, progress=False)
    for kind in ("step", "epoch"):
        assert page.send(type="ask_history", kind=kind)
        told = page.last("history_file")
        assert b64decode(told["base64"]).decode() == history.to_csv(by=kind) and told["name"] == f"{kind}s.csv"
    assert page.send(type="ask_history", kind="tensorboard")
    told = page.last("history_file")
    (tmp_path / told["name"]).write_bytes(b64decode(told["base64"]))
    scalars = [[v[1:] for v in read(path)] for path in (tmp_path / told["name"], history.to_tensorboard(tmp_path / "again"))]
    assert scalars[0] == scalars[1] and told["name"].startswith("events.out.tfevents")
    monkeypatch.setattr("flowlab.widgets.training.MOST_SAVED", 3)
    assert not page.send(type="ask_history", kind="step") and "too many to pass" in page.last("notice")["text"]
    assert not page.send(type="ask_history", kind="pdf") and "does not know" in page.last("notice")["text"]
