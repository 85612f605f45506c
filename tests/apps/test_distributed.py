"""Training and evaluation on a real Dask cluster of two processes: the numbers of one process, whoever dies."""
from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flowlab as fl
from flowlab.apps.distributed import DataParallel, Part, PartDraws, Replica, Workers, batch_dimension, examples_in, share
from flowlab.apps.rows import kinds
from flowlab.io.document import document_of, file_bytes
from flowlab.runtime.store import Draws

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((90, 12)).astype("float32"), RNG.integers(0, 5, 90)
DATA = {"x": X, "y": Y}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    from distributed import Client, LocalCluster
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50) as cluster, Client(cluster) as found:
            yield found


def classifier(loss: Any = None, layer: Any = None, dropout: float = 0.0, optimizer: Any = None) -> fl.Graph:
    with fl.Graph("classifier") as g:
        x = fl.placeholder(("batch", 12), name="x")
        y = fl.placeholder(("batch",), "int64", name="y")
        h = fl.nn.dense(x, 16, activation="relu", name="hidden")
        h = layer(h) if layer else h
        logits = fl.nn.dense(fl.dropout(h, dropout) if dropout else h, 5, name="out")
        rows = fl.sparse_softmax_cross_entropy(logits, y)
        total = (loss or fl.mean)(rows)
        fl.identity(total, name="loss")
        fl.mean(fl.cast(fl.equal(fl.argmax(logits, axis=1), y), "float32"), name="accuracy")
        fl.sum(fl.cast(fl.equal(fl.argmax(logits, axis=1), y), "int64"), name="right")
        (optimizer or fl.optim.Adam(1e-2, clip_norm=1.0)).minimize(total, name="train")
    return g


def trained(g: fl.Graph, cluster: Any = None, **options: Any) -> tuple[fl.Session, Any]:
    sess = fl.Session(g, seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return sess, fl.fit(sess, "train", DATA, **{"batch": 20, "epochs": 2, "fetches": "loss", "progress": False, "cluster": cluster, **options})


def same(a: fl.Session, b: fl.Session, rtol: float = 1e-5, atol: float = 1e-7) -> None:
    for name in a.variables:
        np.testing.assert_allclose(a.variables[name], b.variables[name], rtol=rtol, atol=atol, err_msg=name)


# ---------------------------------------------------------------- training


def test_a_cluster_trains_to_the_numbers_of_one_process(client):
    options = dict(fetches=["loss", "accuracy", "right", "hidden/Relu:0"], validation={"x": X[:35], "y": Y[:35]})
    here, expected = trained(classifier(dropout=0.4), **options)
    there, history = trained(classifier(dropout=0.4), client, **options)
    same(here, there)
    for name, line in expected.steps.items():
        np.testing.assert_allclose(history.steps[name], line, rtol=1e-5)
        np.testing.assert_allclose(history.validation[name], expected.validation[name], rtol=1e-5)
    assert history.steps["right"] == expected.steps["right"] and here.store.runs == there.store.runs


def test_a_network_over_time_draws_and_trains_as_in_one_process(client):
    def net() -> fl.Graph:
        with fl.Graph("time") as g:
            x = fl.placeholder(("batch", "time", 3), name="x")
            y = fl.placeholder(("batch",), name="y")
            W, U = fl.variable(fl.init.glorot_uniform((3, 6)), name="W"), fl.variable(fl.init.glorot_uniform((6, 6)), name="U")
            with fl.scan(x, time_axis=1, name="rnn") as step:
                before = step.state("h", size=6)
                h = fl.dropout(fl.tanh(step.input @ W + before @ U), 0.3)
                step.update(before, h)
                step.output(h)
            out, (last, _) = fl.nn.lstm(step.outputs[0], 4, name="lstm")
            loss = fl.mean((fl.nn.dense(last, 1, name="out")[:, 0] - y) ** 2, name="loss")
            fl.optim.SGD(0.1, momentum=0.9).minimize(loss, name="train")
        return g
    data = {"x": X[:40, :].reshape(40, 4, 3), "y": X[:40, 0]}
    results = []
    for cluster in (None, client):
        sess = fl.Session(net(), seed=1)
        history = fl.fit(sess, "train", data, batch=13, epochs=2, fetches="loss", progress=False, cluster=cluster)
        results.append((sess, history.steps["loss"]))
    same(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-5)


def test_a_sum_over_rows_is_put_together_as_a_sum(client):
    here, expected = trained(classifier(loss=fl.sum, optimizer=fl.optim.SGD(1e-3)))
    there, history = trained(classifier(loss=fl.sum, optimizer=fl.optim.SGD(1e-3)), client)
    same(here, there)
    np.testing.assert_allclose(history.steps["loss"], expected.steps["loss"], rtol=1e-5)


def test_a_worker_that_is_killed_in_mid_training_changes_no_bit(client):
    def kill(step: int, values: Any) -> None:
        if step == 4:       # while the next steps run
            pid = next(iter(client.run(os.getpid).values()))
            threading.Timer(0.01, os.kill, (pid, signal.SIGKILL)).start()
    quiet, _ = trained(classifier(dropout=0.2), client, epochs=6)
    hit, history = trained(classifier(dropout=0.2), client, epochs=6, on_step=kill)
    assert history.stopped == "" and history.epochs_done == 6
    for name in quiet.variables:
        np.testing.assert_array_equal(quiet.variables[name], hit.variables[name], err_msg=name)
    client.wait_for_workers(2, timeout=30)


@pytest.mark.parametrize("graph, said", [
    (lambda: classifier(loss=lambda rows: fl.sqrt(fl.mean(rows ** 2))), "neither the mean nor the sum"),
    (lambda: classifier(layer=lambda h: fl.batch_norm(h, np.ones(16, "float32"), np.zeros(16, "float32"))[0]), "neither the mean nor the sum|depend on each other"),
])
def test_what_is_no_mean_or_sum_over_rows_is_refused_and_changes_nothing(client, graph, said):
    sess = fl.Session(graph(), seed=3)
    before = dict(sess.variables)
    with pytest.raises(fl.AttributeValueError, match=said):
        fl.fit(sess, "train", DATA, batch=20, fetches="loss", progress=False, cluster=client)
    for name, value in before.items():
        np.testing.assert_array_equal(sess.variables[name], value)


def masked() -> fl.Graph:
    with fl.Graph("masked") as g:
        x, m = fl.placeholder(("batch", 12), name="x"), fl.placeholder(("batch",), name="m")
        rows = fl.sum(fl.square(fl.nn.dense(x, 1, name="layer")), axis=1)
        fl.optim.SGD(0.01).minimize(fl.divide(fl.sum(rows * m), fl.sum(m), name="loss"), name="train")
    return g


def test_a_masked_mean_is_no_mean_though_the_first_batch_says_so(client):
    sess, alone = fl.Session(masked(), seed=3), fl.Session(masked(), seed=3)
    step = DataParallel(sess, client, "train", ["loss"], shards=2)
    ones, some = ({"x": X[:20], "m": m} for m in (np.ones(20, "float32"), np.repeat([1, 0], [12, 8]).astype("float32")))
    with pytest.warns(UserWarning, match="every batch is computed here"):
        step.step(ones)
    alone.run("train", ones)
    same(alone, sess)
    with pytest.raises(fl.AttributeValueError, match="neither the mean nor the sum"):
        step.step(some)
    same(alone, sess)       # nothing of it was taken


def test_what_is_not_proven_is_looked_at_in_every_batch_and_trains_to_the_numbers_of_one_process(client):
    results = []
    for cluster in (None, client):
        with fl.Graph() as g:
            x = fl.placeholder(("batch", 12), name="x")
            rows = fl.sum(fl.square(fl.nn.dense(x, 1, name="layer")), axis=1)
            fl.optim.SGD(0.01).minimize(fl.divide(fl.sum(rows), fl.sum(fl.ones_like(rows)), name="loss"), name="train")
        sess = fl.Session(g, seed=3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.append((sess, fl.fit(sess, "train", {"x": X[:50]}, batch=20, fetches="loss", progress=False, cluster=cluster).steps["loss"]))
    same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_the_options_of_fit_go_on_working(client, tmp_path):
    path = tmp_path / "last.safetensors"
    options = dict(validation={"x": X[:20], "y": Y[:20]}, patience=3)
    whole, expected = trained(classifier(dropout=0.2), client, epochs=3, **options)
    trained(classifier(dropout=0.2), client, epochs=1, checkpoint=path, **options)
    resumed, history = trained(classifier(dropout=0.2), client, epochs=3, checkpoint=path, resume=True, **options)
    for name in whole.variables:
        np.testing.assert_array_equal(whole.variables[name], resumed.variables[name])
    assert history.validation == expected.validation
    sess = fl.Session(classifier(), seed=3)
    run = fl.fit(sess, "train", DATA, batch=20, epochs=10_000, fetches="loss", cluster=client, background=True, keep=3)
    until = time.monotonic() + 20
    while run.step < 3:
        assert time.monotonic() < until, run
        time.sleep(0.01)        # the training's own thread tells a test nothing: ask again
    run.pause()
    while run.state != "paused":
        time.sleep(0.005)       # the same
    dbg = run.debug(step=-1)
    dbg.resume()
    assert float(dbg.value("loss:0")) == pytest.approx(run.history.steps["loss"][-1], rel=1e-5)
    run.stop()
    assert run.wait(20).stopped == "by hand"


def test_a_step_that_fails_on_a_worker_names_the_node_and_opens_here(client):
    with fl.Graph("looked up") as g:
        kind = fl.placeholder(("batch",), "int64", name="kind")
        loss = fl.mean(fl.gather(fl.variable(fl.init.normal((3, 2)), name="table"), kind) ** 2, name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    sess = fl.Session(g)
    with pytest.raises(fl.KernelError, match="Gather") as error:
        fl.fit(sess, "train", {"kind": [0, 1, 2, 7]}, batch=4, progress=False, cluster=client)
    assert error.value.node == "Gather" and fl.debug(error.value).cursor == 0


def test_operations_of_ones_own_are_asked_for_on_the_workers(client):
    @fl.op(type="OnlyHere")
    def only_here(xp, x: Float):     # noqa: F821
        """Double it."""
        return x * 2
    only_here.gradient(lambda node, g: g * 2)
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 2), name="x")
        loss = fl.mean(only_here(fl.nn.dense(x, 1, name="layer")) ** 2, name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    with pytest.raises(fl.FlowError, match="OnlyHere") as error:
        fl.fit(fl.Session(g), "train", {"x": X[:8, :2]}, batch=4, progress=False, cluster=client)
    assert "every worker" in error.value.hint


# ---------------------------------------------------------------- evaluation, lanes


def test_data_is_evaluated_in_batches_as_here(client):
    sess, _ = trained(classifier(), epochs=1)
    wanted = {"loss": "loss", "logits": "out/Add:0"}
    here = fl.evaluate(sess, wanted, DATA, batch=16)
    there = fl.evaluate(sess, wanted, DATA, batch=16, cluster=client)
    np.testing.assert_array_equal(here["logits"], there["logits"])
    np.testing.assert_allclose(here["logits"], sess.run("out/Add:0", {"x": X}), rtol=1e-5, atol=1e-6)
    assert here["loss"] == there["loss"] == pytest.approx(float(sess.run("loss", DATA)), rel=1e-5)
    with pytest.raises(fl.AttributeValueError, match="changes a variable"):
        fl.evaluate(sess, "Adam/count:0", DATA, batch=16, cluster=client)


def test_replicas_are_lanes_of_a_timeline(client):
    sess = fl.Session(classifier(), seed=3)
    step = DataParallel(sess, client, "train", ["loss"])
    step.step({"x": X[:20], "y": Y[:20]})
    line = step.timeline({"x": X[:20], "y": Y[:20]})
    assert {d for d, _ in line.lanes} == {"worker:0/cpu:0", "worker:1/cpu:0", "cpu:0"}
    for lane in {d for d, _ in line.lanes} - {"cpu:0"}:
        assert {"hidden/MatMul", "out/MatMul"} <= {r.node for r in line.rows if r.device == lane}
    assert {r.phase for r in line.rows if r.device == "cpu:0"} == {"update"}
    assert min(r.start for r in line.rows if r.device == "cpu:0") >= max(r.start + r.duration for r in line.rows if r.device != "cpu:0")
    assert all(r.start >= 0 and r.duration >= 0 for r in line.rows) and [r.index for r in line.rows] == list(range(len(line)))
    assert sess.store.runs == 2
    fl.plots.timeline(line)
    step.close()


@pytest.mark.parametrize("over_time", [False, True])
def test_a_trace_of_a_step_holds_the_replicas_side_by_side(client, over_time):
    if over_time:
        with fl.Graph("time") as g:
            x = fl.placeholder(("batch", 4, 3), name="x")
            with fl.scan(x, time_axis=1, name="rnn") as step:
                before = step.state("h", size=5)
                h = fl.dropout(fl.tanh(fl.nn.dense(step.input, 5, name="in") + before), 0.3)
                step.update(before, h)
                step.output(h)
            loss = fl.mean(step.outputs[0] ** 2, name="loss")
            fl.optim.Adam(1e-2).minimize(loss, name="train")
        feeds = {"x": X[:9].reshape(9, 4, 3)}
    else:
        g, feeds = classifier(dropout=0.3), {"x": X[:21], "y": Y[:21]}
    sess = fl.Session(g, seed=3)
    step = DataParallel(sess, client, "train", ["loss"])
    step.step(feeds)
    trace = step.trace(feeds)
    step.close()
    assert sess.store.runs == 2
    for name in sess.variables:     # what the update gave here is what the cluster's step gave
        np.testing.assert_allclose(trace.session.variables[name], sess.variables[name], rtol=1e-5, atol=1e-7, err_msg=name)
    lanes = {}
    for e in trace.events:
        lanes.setdefault(e.device, set()).add(e.node.partition("/")[0])
    assert set(lanes) == {"worker:0/cpu:0", "worker:1/cpu:0", "cpu:0"}
    assert sorted(map(sorted, (lanes["worker:0/cpu:0"], lanes["worker:1/cpu:0"]))) == [["worker_0"], ["worker_1"]]
    assert "Adam" in lanes["cpu:0"] and "together" in lanes["cpu:0"]
    end = max(e.start + e.duration for e in trace.events if e.device != "cpu:0")
    assert all(e.start >= end for e in trace.events if e.device == "cpu:0")
    alone = fl.Session(g, seed=3)
    alone.run("train", feeds)
    assert float(trace.value("together/loss/Add_0:0")) == pytest.approx(float(alone.run("loss:0", feeds)), rel=1e-5)
    past = fl.Recording(trace)
    assert past.length == len(trace)
    from flowlab.widgets.recorded import clock
    past.seek(past.length)
    assert set(clock(past, lambda name: name).lanes) == set(lanes)


@pytest.mark.slow
def test_a_cluster_without_workers_says_so_and_the_last_step_stands(client, monkeypatch):
    monkeypatch.setattr(Workers, "patience", 1.0)
    sess = fl.Session(classifier(), seed=3)
    seen = []

    def leave(step: int, values: Any) -> None:
        seen.append({n: sess.variables[n] for n in sess.variables})
        if step == 2:
            client.cluster.scale(0)
    try:
        with pytest.raises(fl.DeviceError, match="no worker"):
            fl.fit(sess, "train", DATA, batch=20, epochs=1000, fetches="loss", progress=False, cluster=client, on_step=leave)
    finally:
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
    for name, value in seen[-1].items():
        np.testing.assert_array_equal(sess.variables[name], value)


# ---------------------------------------------------------------- without a cluster


def test_parts_draw_what_the_whole_draws():
    whole = Draws(5, 2)(7).random((10, 4))
    parts = [PartDraws(5, 2, 0, {7: 0}, Part("batch", a, b, 10))(7).random((b - a, 4)) for a, b in ((0, 3), (3, 10))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    inside = PartDraws(5, 2, 0, {7: 1}, Part("batch", 2, 4, 10)).at(3)(7).random((4, 2))
    np.testing.assert_array_equal(inside, Draws(5, 2).at(3)(7).random((4, 10))[:, 2:4])


@pytest.mark.parametrize("draw", ["normal(2.0, 3.0, {})", "uniform(-1, 1, size={})", "integers(0, 9, {})", "random({})", "standard_normal({})", "exponential(2.0, {})"])
def test_parts_draw_in_whatever_way_what_the_whole_draws(draw):
    def drawn(key: Any, rows: int) -> np.ndarray:
        return eval(f"key.{draw.format((rows, 4))}")
    parts = [drawn(PartDraws(5, 2, 0, {7: 0}, Part("batch", a, b, 10))(7), b - a) for a, b in ((0, 3), (3, 10))]
    np.testing.assert_array_equal(np.concatenate(parts), drawn(Draws(5, 2)(7), 10))


@pytest.mark.parametrize("draw", ["permutation(3)", "normal()", "normal(0, 1, (4,))", "normal([0, 1, 2], 1, (3,))", "choice(5, (3, 2))", "normal(0, 1, (4, 3))"])
def test_a_draw_that_is_not_known_to_be_by_row_is_refused(draw):
    with pytest.raises(fl.FlowError, match="for each of 3 rows"):
        eval(f"key.{draw}", {"key": PartDraws(5, 2, 0, {7: 0}, Part("batch", 0, 3, 10))(7)})


def test_how_a_batch_is_made_of_its_parts_is_proven_from_the_graph():
    with fl.Graph() as g:
        x, m = fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch",), name="m")
        W = fl.variable(fl.init.normal((3, 2)), name="W")
        e = fl.sum(fl.square(fl.dropout(x @ W, 0.5)), axis=1)
        sums = [fl.sum(e * m), fl.sum(e) / 8.0, -2.0 * fl.sum(x, axis=0), fl.sum(fl.cast(e > 0.0, "int64"))]
        means = [fl.mean(e), fl.mean(e * m) + 0.1 * fl.sum(W ** 2), fl.reshape(fl.mean(x, axis=0), (1, 3)), fl.mean(e) - 2.0 * fl.mean(m)]
        rows = [e, fl.softmax(x @ W, axis=1)]
        none = [fl.sum(e * m) / fl.sum(m), fl.sqrt(fl.mean(e)), fl.max(e), fl.mean(e) * fl.mean(m), fl.sum(e) + fl.sum(W), fl.mean(x - fl.mean(x, axis=0)), fl.sum(e) + fl.mean(e), fl.exp(fl.sum(e)),
                fl.softmax(x, axis=0), fl.argmax(fl.sum(x, axis=0)), fl.matmul(fl.transpose(x), x)]
        slope = [fl.gradients(t, [W])[0] for t in (means[0], sums[0], none[0])]
        other = fl.gradients(means[1], [W], grad_ys=[fl.sum(m)])[0]
    found = kinds(g, [*sums, *means, *rows, *none, *slope, other], [x, m], "batch")
    assert [found.get(t) for t in (*sums, *means, *rows)] == ["sum"] * 4 + ["mean"] * 4 + ["rows"] * 2
    assert [found.get(t) for t in none] == [None] * len(none)
    assert [found.get(t) for t in (*slope, other)] == ["mean", "sum", None, None]


def test_over_all_data_means_are_means_and_sums_are_sums_and_the_rest_is_refused():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 2), name="x")
        columns, total, most, rows = fl.mean(x, axis=0), fl.sum(x), fl.max(x, name="most"), fl.transpose(x)
        held = fl.variable(np.ones(3, "float32"), name="held")
    sess, data = fl.Session(g), X[:7, :2]
    found = fl.evaluate(sess, {"columns": columns, "total": total, "rows": rows, "held": held}, {x: data}, batch=2)
    np.testing.assert_allclose(found["columns"], data.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found["rows"], data.T)
    np.testing.assert_array_equal(found["held"], np.ones(3))
    assert found["total"] == pytest.approx(data.sum(), rel=1e-6)
    with pytest.raises(fl.AttributeValueError, match="most") as refused:
        fl.evaluate(sess, most, {x: data}, batch=2)
    assert refused.value.node == "most"
    assert fl.evaluate(sess, most, {x: data}, batch=7) == data.max()
    with fl.Graph() as fixed:
        z = fl.placeholder((2, 2), name="z")
        fl.sum(z, name="s")
    with pytest.raises(fl.AttributeValueError, match="has a name"):
        fl.evaluate(fl.Session(fixed), "s:0", {z: data[:6]}, batch=2)


def test_examples_are_counted_along_the_batch():
    with fl.Graph() as g:
        fl.placeholder((2, "batch"), name="x")
        fl.placeholder((5,), name="w")
    assert examples_in(g, {"x:0": np.zeros((2, 3)), "w:0": np.ones(5)}) == 3


def test_the_workers_compute_gradients_and_this_process_the_update():
    g = classifier()
    fed = [g.tensor("x:0"), g.tensor("y:0")]
    found = share(g, [g.node("train"), g.tensor("loss:0")], fed, batch_dimension(fed))
    assert {t.shape for t in found.cut} == {v.shape for v in g.trainable_variables} and g.tensor("loss:0") in found.far
    assert set(found.weights) == {v.node.name for v in g.trainable_variables}
    assert all(t.node.phase == "backward" for t in found.cut)


def test_an_error_in_a_workers_code_is_told_as_it_is_and_not_as_its_death(monkeypatch):
    g = classifier()
    there = Replica(file_bytes(document_of(g)), 3, fl.__version__)
    monkeypatch.setattr(there.session, "run", lambda *a: [][1])
    with pytest.raises(fl.FlowError, match="IndexError"):
        there.compute(["loss:0"], (), {}, DATA, 0, None)


def test_a_client_that_is_closed_says_so():
    from distributed import Client, LocalCluster
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50) as cluster, Client(cluster) as shut:
            pass
    with pytest.raises(fl.DeviceError, match="closed"):
        fl.fit(fl.Session(classifier()), "train", DATA, batch=20, progress=False, cluster=shut)


def test_what_is_no_cluster_and_no_named_batch_is_refused():
    sess = fl.Session(classifier())
    with pytest.raises(fl.AttributeValueError, match="no client"):
        fl.fit(sess, "train", DATA, batch=20, cluster="tcp://127.0.0.1:8786")
    with fl.Graph():
        fixed = fl.placeholder((8, 3), name="fixed")
    with pytest.raises(fl.AttributeValueError, match="has a name"):
        batch_dimension([fixed])
