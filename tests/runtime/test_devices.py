"""Devices: where each node runs and why, copies in plain sight, and the same bits wherever that is."""
from __future__ import annotations

import gc
import json
import warnings

import numpy as np
import pytest

import flowlab as fl
from flowlab.runtime import device, place
from flowlab.runtime.timeline import Timeline
from tests.strict_cupy import STRICT, Array

XS = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def bits(values):
    return [None if v is None else (v.shape, v.dtype.str, v.tobytes()) for v in values]


def across(one="cpu:1", two="cpu:2"):
    """A network whose halves are on two devices, its gradients, and its update."""
    with fl.Graph("across") as g:
        x = fl.placeholder((None, 5), name="x")
        with fl.device(one):
            w = fl.variable(np.linspace(-1, 1, 20, dtype="float32").reshape(5, 4), name="w")
            low = fl.tanh(x @ w, name="low")
        with fl.device(two):
            b = fl.variable(np.ones(4, "float32"), name="b")
            high = fl.add(fl.dropout(low, 0.3), b * 2.0, name="high")
        loss = fl.mean(fl.square(high), name="loss")
        fl.optim.SGD(0.1, momentum=0.9).minimize(loss, name="train")
    return g


FETCHES = ["loss", "low", "high", "train"]


# ---------------------------------------------------------------- where, and why


def test_a_node_runs_where_it_was_asked_for_and_the_log_says_why():
    g = across("cpu:1", "gpu:9")
    sess = fl.Session(g, cpus=2)
    log = sess.placement
    assert (log["low"].device, log["low"].reason) == ("cpu:1", "as asked for")
    assert (log["loss"].device, log["loss"].requested, log["loss"].reason) == ("cpu:0", None, "nothing was asked for")
    assert (log["high"].device, log["high"].requested, log["high"].granted) == ("cpu:0", "gpu:9", False) and "there is no gpu:9 here" in log["high"].reason
    assert (log["x"].device, log["x"].reason) == ("cpu:0", "fed from the host")
    assert list(log) == [n.name for n in g.nodes] and len(log) == len(g.nodes) and "low" in log and "nothing" not in log
    with pytest.raises(KeyError):
        log["nothing"]
    text = str(log)
    assert text.count("\n") + 1 == len(g.nodes) and "low" in text and "as asked for" in text


def test_a_gradient_runs_with_what_it_is_the_gradient_of_and_an_assign_with_its_variable():
    g = across()
    log = fl.Session(g, cpus=3).placement
    backward = [n for n in g.nodes if n.phase == "backward" and n.gradient_of == "low" and not n.op.source]
    assert backward and {log[n.name].device for n in backward} == {"cpu:1"}
    assert "whose gradient it is part of" in log[backward[0].name].reason
    assigns = {n.inputs[0].node.name: log[n.name] for n in g.nodes if n.op.name == "Assign"}
    assert assigns["w"].device == "cpu:1" and assigns["b"].device == "cpu:2" and assigns["w"].reason == "with the variable w"


def test_a_device_that_is_not_here_is_told_of_once_with_the_way_out():
    sess = fl.Session(across())
    with pytest.warns(UserWarning) as told:
        sess.run("train", {"x": XS})
    said = [str(w.message) for w in told]
    assert len(said) == 2 and said[0].startswith("there is no cpu:1 here: ") and "run on cpu:0 (Session(g, cpus=2) makes it)" in said[0] and "cpu:2" in said[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sess.run(["train", "loss"], {"x": XS})
    with fl.Graph() as g, fl.device("tpu"):
        fl.square(fl.constant([1.0]), name="y")
    with pytest.warns(UserWarning, match="a device is named"):
        fl.Session(g).run("y")


def test_a_session_has_a_device_of_its_own():
    g = across("cpu:0", "cpu:0")
    sess = fl.Session(g, device="cpu:1", cpus=2)
    assert sess.devices == ("cpu:0", "cpu:1")
    assert sess.placement["loss"].device == "cpu:1" and sess.placement["low"].device == "cpu:0"
    assert bits(sess.run(FETCHES, {"x": XS})) == bits(fl.Session(g).run(FETCHES, {"x": XS}))
    for wrong in ("cpu:2", "gpu:99", "cpu", 3, None):
        with pytest.raises(fl.DeviceError, match="no device"):
            fl.Session(g, device=wrong, cpus=2)
    for wrong in (0, True, 1.5, 1000):
        with pytest.raises(fl.AttributeValueError, match="cpus is"):
            fl.Session(g, cpus=wrong)


# ---------------------------------------------------------------- copies


def test_a_tensor_that_crosses_has_one_copy_for_each_device_it_goes_to():
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        with fl.device("cpu:1"):
            a, b = fl.square(x, name="a"), fl.exp(x, name="b")
        with fl.device("cpu:2"):
            c = fl.add(a, x, name="c")
        d = fl.add_n([a, b, c], name="d") if hasattr(fl, "add_n") else fl.add(fl.add(a, b), c, name="d")
    sess = fl.Session(g, cpus=3)
    trace = sess.trace(d, {x: [1, 2]})
    fired = {e.node: e for e in trace.events}
    copies = [e.node for e in trace.events if "/copy/" in e.node]
    assert sorted(copies) == ["a/copy/cpu:0", "a/copy/cpu:2", "b/copy/cpu:0", "c/copy/cpu:0", "x/copy/cpu:1", "x/copy/cpu:2"]
    assert all(fired[name].device == name.rpartition("/")[2] for name in copies)
    assert (fired["a"].device, fired["c"].device, fired["d"].device) == ("cpu:1", "cpu:2", "cpu:0")
    assert trace.value("a/copy/cpu:2:0").tolist() == [1, 4] and trace.value("a/copy/cpu:2").tolist() == [1, 4]
    assert not any("/copy/" in n.name for n in g.nodes), "the graph itself has none"
    assert sess.run("a/copy/cpu:2", {x: [1, 2]}).tolist() == [1, 4]


def test_with_a_single_device_nothing_is_copied_and_nothing_more_fires():
    g = across("cpu:0", "cpu:0")
    plain, several = fl.Session(g), fl.Session(g, cpus=4)
    names = [[e.node for e in s.trace(FETCHES, {"x": XS}).events] for s in (plain, several)]
    assert names[0] == names[1] and not any("copy" in n for n in names[0])


def test_constants_and_variables_need_no_copy_where_they_live():
    with fl.Graph() as g, fl.device("cpu:1"):
        w = fl.variable(np.ones(3, "float32"), name="w")
        y = fl.multiply(w, 3.0, name="y")
        fl.assign(w, y, name="put")
    sess = fl.Session(g, cpus=2)
    assert [e.node for e in sess.trace("put").events] == ["y", "put"]
    with g:
        fl.add(w, 1.0, name="away")
    assert [e.node for e in sess.trace("away").events] == ["w/copy/cpu:0", "away"]
    assert sess.variables["w"].tolist() == [3, 3, 3]


def test_a_debugger_fires_copies_by_name_and_goes_back_over_them():
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        with fl.device("cpu:1"):
            a = fl.square(x, name="a")
        b = fl.add(a, 1.0, name="b")
    sess = fl.Session(g, cpus=2)
    dbg = fl.Debugger(sess, b, {x: [1, 2]})
    assert dbg.ready == ("x/copy/cpu:1",) and dbg.total == 4
    assert dbg.fire("x/copy/cpu:1").device == "cpu:1"
    assert dbg.step().node == "a" and dbg.ready == ("a/copy/cpu:0",)
    with pytest.raises(fl.DebuggerError, match="a/copy/cpu:0"):
        dbg.fire("b")
    assert dbg.back().node == "a" and dbg.back().node == "x/copy/cpu:1" and dbg.cursor == 0
    dbg.resume()
    assert dbg.value("a/copy/cpu:0:0").tolist() == [1, 4] and dbg.results.tolist() == [2, 5]
    assert [r.device for r in Timeline.of(dbg)] == ["cpu:1", "cpu:1", "cpu:0", "cpu:0"]


def test_a_timeline_has_a_lane_for_every_device(tmp_path):
    g = across()
    for options in ({}, {"executor": "parallel", "workers": 3}):
        with fl.Session(g, cpus=3, **options) as sess:
            if options:
                sess.parallel.worth = 0.0
            line = sess.timeline(FETCHES, {"x": XS})
            assert {r.device for r in line} == {"cpu:0", "cpu:1", "cpu:2"}
            assert "Copy" in {r.op for r in line}
            if options:
                assert set(line.lanes) == {("cpu:0", "MainThread"), ("cpu:1", "flowlab cpu:1/0"), ("cpu:2", "flowlab cpu:2/0")}
            made = json.loads(json.dumps(line.to_chrome()))
            assert {e["args"]["name"] for e in made["traceEvents"] if e["name"] == "process_name"} == {"cpu:0", "cpu:1", "cpu:2"}


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("options", [{}, {"executor": "parallel", "workers": 1}, {"executor": "parallel", "workers": 6}])
def test_logical_devices_give_the_bits_of_one(options):
    g = across()
    plain = fl.Session(across("cpu:0", "cpu:0"), seed=2)
    with fl.Session(g, seed=2, cpus=3, **options) as sess:
        if options:
            sess.parallel.worth = 0.0
        for _ in range(5):
            assert bits(sess.run(FETCHES, {"x": XS})) == bits(plain.run(FETCHES, {"x": XS}))
        assert bits(sess.variables.values()) == bits(plain.variables.values())


def test_a_loop_runs_on_one_device_and_its_events_say_so():
    def loop(where):
        with fl.Graph() as g:
            seq = fl.placeholder((2, 4, 3), name="seq")
            with fl.device(where):
                w = fl.variable(np.eye(3, dtype="float32"), name="w")
                with fl.scan(seq, time_axis=1, name="rnn") as step:
                    prev = step.state("h", init=np.zeros((2, 3), "float32"))
                    h = fl.tanh(step.input + prev @ w)
                    step.update(prev, h)
                    step.output(h)
            loss = fl.sum(step.outputs[0], name="loss")
            fl.gradients(loss, [w])
        return g
    xs = np.random.default_rng(4).normal(size=(2, 4, 3)).astype("float32")
    plain, there = loop("cpu:0"), loop("cpu:1")
    fetches = [n.name for n in plain.nodes if n.op.name not in ("Placeholder",) and n.outputs]
    sess = fl.Session(there, cpus=2)
    assert bits(sess.run(fetches, {"seq": xs})) == bits(fl.Session(plain).run(fetches, {"seq": xs}))
    trace = sess.trace("loss", {"seq": xs})
    assert {e.device for e in trace.events if e.frame} == {"cpu:1"} and trace.events[-1].device == "cpu:0"


# ---------------------------------------------------------------- a graphics card


@pytest.fixture
def card(monkeypatch):
    """Stands where a graphics card would: a namespace as strict as CuPy's, since no card is here to run the kernels on."""
    monkeypatch.setitem(device._GPUS, 0, STRICT)


def networks():
    with fl.Graph("mlp") as g:
        x = fl.placeholder((None, 5), name="x")
        labels = fl.placeholder((None,), "int64", name="labels")
        h = fl.dropout(fl.nn.dense(x, 7, "relu", name="low"), 0.2)
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(h, 3, name="out"), labels), name="loss")
        fl.optim.Adam(0.01).minimize(loss, name="train")
    yield g, {"x": XS, "labels": np.array([0, 2, 1, 1, 0, 2])}
    with fl.Graph("lstm") as g:
        x = fl.placeholder(("batch", 4, 5), name="x")
        out, _ = fl.nn.lstm(x, 3, name="lstm")
        loss = fl.mean(fl.square(out), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    yield g, {"x": np.random.default_rng(1).normal(size=(2, 4, 5)).astype("float32")}
    with fl.Graph("cnn") as g:
        x = fl.placeholder((None, 1, 8, 8), name="x")
        y = fl.max_pool2d(fl.nn.conv2d(x, 2, 3, activation="relu", name="conv"), 2)
        loss = fl.mean(fl.square(y), name="loss")
        fl.optim.SGD(0.1, momentum=0.9).minimize(loss, name="train")
    yield g, {"x": np.random.default_rng(1).normal(size=(2, 1, 8, 8)).astype("float32")}


@pytest.mark.parametrize(("g", "feeds"), list(networks()), ids=lambda v: getattr(v, "name", ""))
def test_whole_plans_run_in_the_cards_namespace(g, feeds, card):
    host, there = fl.Session(g, seed=3), fl.Session(g, seed=3, device="gpu:0")
    for _ in range(3):
        want, got = host.run(["loss", "train"], feeds), there.run(["loss", "train"], feeds)
        assert got[1] is None and type(got[0]) is np.ndarray
        np.testing.assert_allclose(got[0], want[0], rtol=1e-5)
    for name, value in host.variables.items():
        np.testing.assert_allclose(there.variables[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    trace = there.trace(["loss", "train"], feeds)
    assert {e.device for e in trace.events} == {"gpu:0"}
    assert isinstance(trace.events[-2]._outputs[0], Array) and isinstance(trace.events[-2].outputs[0], np.ndarray), "values stay on the card until somebody looks"
    assert [e.node for e in trace.events if "/copy/" in e.node and not any(e.node == f"{n.name}/copy/gpu:0" for n in g.nodes if n.op.source)] == []
    assert np.isfinite(trace.events[-2].stats[0].sum)
    dbg = fl.Debugger(there, ["loss", "train"], feeds)
    dbg.resume()
    assert dbg.error is None and dbg.done
    np.testing.assert_allclose(dbg.value("loss:0"), dbg.results[0])


@pytest.mark.parametrize(("g", "feeds"), list(networks()), ids=lambda v: getattr(v, "name", ""))
@pytest.mark.parametrize("budget", [None, 0])
def test_values_stay_on_the_card_until_somebody_looks(g, feeds, budget, card, monkeypatch):
    brought, get = [], Array.get
    monkeypatch.setattr(Array, "get", lambda self: brought.append(self.shape) or get(self))
    sess = fl.Session(g, seed=3, device="gpu:0")
    gradient = next(n.name for n in g.nodes if n.name.startswith("gradients/") and not n.op.source and n.outputs[0].rank > 1)
    dbg = fl.Debugger(sess, ["loss", gradient], feeds, budget=budget)
    while not dbg.done and dbg.total - dbg.cursor > 1:
        dbg.step()
    assert brought == [], "neither a firing nor what is let go brings a tensor over"
    event = next(e for e in dbg.records if e.outputs and e.outputs[0].ndim > 1)
    assert brought and np.isfinite(event.stats[0].sum) and isinstance(dbg.outputs_of(event)[0], np.ndarray)
    dbg.breakpoints.add(event.node, when="changed and size > 1", action="snapshot")
    dbg.seek(0)
    dbg.resume()
    assert dbg.done and dbg.hits[0].value.shape == event.outputs[0].shape and dbg.why_nan() is None and dbg.explain(event.node)
    trace, brought[:] = sess.trace(gradient, feeds, budget=budget), []
    assert all(s.size for e in trace.events for s in e.stats) and len(brought) <= 1


def test_host_and_card_share_a_graph_and_copies_stand_at_the_crossings(card):
    g = across("gpu:0", "cpu:1")
    plain = fl.Session(across("cpu:0", "cpu:0"), seed=2)
    for options in ({}, {"executor": "parallel", "workers": 2}):
        plain = fl.Session(across("cpu:0", "cpu:0"), seed=2)
        with fl.Session(g, seed=2, cpus=2, **options) as sess:
            if options:
                sess.parallel.worth = 0.0
            for _ in range(3):
                for got, want in zip(sess.run(FETCHES, {"x": XS}), plain.run(FETCHES, {"x": XS})):
                    if want is not None:
                        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
            names = [e.node for e in sess.trace(FETCHES, {"x": XS}).events if "/copy/" in e.node]
            assert {"x/copy/gpu:0", "w/copy/gpu:0", "low/copy/cpu:1"} <= set(names) and len(names) == len(set(names))


def test_a_variable_goes_to_the_card_only_when_the_host_has_set_it(card, monkeypatch):
    brought = []
    real = STRICT.from_host
    monkeypatch.setattr(STRICT, "from_host", lambda a: brought.append(a.shape) or real(a), raising=False)
    with fl.Graph() as g, fl.device("gpu:0"):
        x = fl.placeholder((None, 2), name="x")
        w = fl.variable(np.ones((2, 3), "float32"), name="w")
        y = fl.matmul(x, w, name="y")
        fl.assign(w, w * 2.0, name="grow")
    sess = fl.Session(g)
    for _ in range(3):
        sess.run(y, {x: np.ones((4, 2))})
    assert brought.count((2, 3)) == 1 and brought.count((4, 2)) == 3
    sess.run("grow")
    assert sess.run(y, {x: np.ones((1, 2))}).tolist() == [[4, 4, 4]] and sess.variables["w"].max() == 2
    assert brought.count((2, 3)) == 1, "what was computed on the card is there"
    sess.variables["w"] = np.full((2, 3), 5.0)
    assert sess.run(y, {x: np.ones((1, 2))}).tolist() == [[10, 10, 10]] and brought.count((2, 3)) == 2
    del sess
    gc.collect()
    assert not place._TWINS, "and goes with the variables"


def test_a_kernel_that_fails_on_the_card_is_named(card):
    with fl.Graph() as g, fl.device("gpu:0"):
        x = fl.placeholder((None,), "int64", name="x")
        fl.gather(fl.constant(np.ones((3, 2), "float32")), x, name="rows")
    with pytest.raises(fl.KernelError, match=r"rows \(Gather\) failed: IndexError: an index of 7.*x \(3, 2\), indices \(1,\)"):
        fl.Session(g).run("rows", {"x": [7]})


def test_without_a_card_the_reason_is_told():
    if not isinstance(device.gpu(0), str):
        pytest.skip("there is a card here")
    with fl.Graph() as g, fl.device("gpu:0"):
        fl.square(fl.constant([3.0]), name="y")
    sess = fl.Session(g)
    with pytest.warns(UserWarning, match="there is no gpu:0 here: y run on cpu:0 .*(no graphics card|not installed|does not load)"):
        assert sess.run("y").tolist() == [9]
    with pytest.raises(fl.DeviceError, match="gpu:0"):
        fl.Session(g, device="gpu:0")
