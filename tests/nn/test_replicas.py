"""Replicas: the article's workstation, on logical processors. Four devices with a quarter of the batch each are one device with all of it."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl

XS = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")
YS = np.arange(12) % 3


def model(x, labels):
    h = fl.nn.dense(x, 7, "tanh", name="hidden")
    return fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(h, 3, name="out"), labels))


def graph(devices=None, inner=False):
    with fl.Graph("replicas") as g:
        x = fl.placeholder(("batch", 5), name="x")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        if devices is None:
            loss = model(x, labels)
        elif inner:
            def towers(x, labels):
                loss = model(x, labels)
                return loss, fl.gradients(loss, g.trainable_variables)
            loss, grads = fl.replicas(towers, [x, labels], devices)
            fl.group([fl.assign(v, v - 0.5 * d) for v, d in zip(g.trainable_variables, grads)], name="train")
        else:
            loss = fl.replicas(model, [x, labels], devices)
        fl.identity(loss, name="loss")
        if not inner:
            fl.optim.SGD(0.5).minimize(loss, name="train")
    return g


@pytest.mark.parametrize("inner", [False, True], ids=["gradients of the average", "average of the gradients"])
@pytest.mark.parametrize("options", [{}, {"executor": "parallel", "workers": 4}])
def test_four_devices_learn_what_one_with_the_whole_batch_does(options, inner):
    one = fl.Session(graph(), seed=5)
    with fl.Session(graph(4, inner), seed=5, cpus=4, **options) as four:
        if options:
            four.parallel.worth = 0.0
        names = ["hidden/kernel", "hidden/bias", "out/kernel", "out/bias"]
        assert [v.node.name for s in (one, four) for v in s.graph.trainable_variables] == 2 * names
        for name in names:
            four.variables[name] = one.variables[name]
        losses = []
        for _ in range(8):
            want, got = (s.run(["loss", "train"], {"x": XS, "labels": YS})[0] for s in (one, four))
            np.testing.assert_allclose(got, want, rtol=1e-5)
            losses.append(float(got))
        for name in names:
            np.testing.assert_allclose(four.variables[name], one.variables[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert losses[-1] < losses[0]


def test_every_device_does_its_share_and_reads_the_variables_from_their_home():
    g = graph(4)
    sess = fl.Session(g, cpus=4)
    for k in range(4):
        mine = [n for n in g.nodes if n.name.startswith(f"replica_{k}/") and not n.op.source]
        assert mine and {sess.placement[n.name].device for n in mine} == {f"cpu:{k}"}
    assert {sess.placement[v.node.name].device for v in g.variables} == {"cpu:0"}
    trace = sess.trace(["loss", "train"], {"x": XS, "labels": YS})
    work = {d: [e for e in trace.events if e.device == d and e.phase == "backward"] for d in ("cpu:0", "cpu:1", "cpu:2", "cpu:3")}
    assert all(work.values()), "a replica's gradient is computed where the replica is"
    copies = [e.node for e in trace.events if "/copy/" in e.node]
    assert {f"hidden/kernel/copy/cpu:{k}" for k in (1, 2, 3)} <= set(copies) and "hidden/kernel/copy/cpu:0" not in copies
    assert trace.value("replica_2/hidden/MatMul").shape == (3, 7)


def test_one_device_is_no_average_and_without_the_devices_all_runs_on_one():
    np.testing.assert_array_equal(fl.Session(graph(1), seed=1).run("loss", {"x": XS, "labels": YS}), fl.Session(graph(1), seed=1, cpus=3).run("loss", {"x": XS, "labels": YS}))
    g = graph(["cpu:0", "cpu:7"])
    sess = fl.Session(g, seed=1)
    with pytest.warns(UserWarning, match="no cpu:7 here"):
        got = sess.run("loss", {"x": XS, "labels": YS})
    there = fl.Session(g, seed=1, cpus=8)
    assert got.tobytes() == there.run("loss", {"x": XS, "labels": YS}).tobytes()


def test_what_build_returns_comes_back_in_its_structure():
    with fl.Graph() as g:
        x = fl.placeholder((6, 2), name="x")

        def build(part):
            w = fl.variable([[1.0], [2.0]], name="w")
            y = part @ w
            return {"mean": fl.mean(y), "both": (fl.sum(y), [fl.max(y)])}
        out = fl.replicas(build, x, 3)
    sess = fl.Session(g, cpus=3)
    xs = np.arange(12.0).reshape(6, 2)
    got = sess.run(out, {x: xs})
    y = xs @ [[1.0], [2.0]]
    assert got["mean"] == y.mean() and got["both"] == (y.sum() / 3, [y.reshape(3, 2).max(1).mean()])
    assert [v.name for v in g.variables] == ["w:0"]


def test_variables_without_names_and_in_scopes_are_shared_too():
    with fl.Graph() as g, fl.name_scope("outer"):
        x = fl.placeholder((4, 2), name="x")

        def build(part):
            with fl.name_scope("deep"):
                a = fl.variable([1.0, 2.0])
            return fl.sum(part * a * fl.variable([3.0, 4.0]))
        loss = fl.replicas(build, x, 2)
        fl.gradients(loss, g.trainable_variables)
    assert [v.name for v in g.variables] == ["outer/deep/Variable:0", "outer/Variable:0"]
    assert {n.name.split("/")[1] for n in g.nodes if n.name.startswith("outer/replica_")} >= {"replica_0", "replica_1"}


def test_a_recurrent_model_is_replicated():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 4, 3), name="x")

        def build(part):
            w = fl.variable(np.eye(3, dtype="float32"), name="w")
            with fl.scan(part, time_axis=1, name="rnn") as step:
                prev = step.state("h", init=np.zeros((2, 3), "float32"))
                inner = fl.variable(np.ones(3, "float32"), name="inner")
                h = fl.tanh(step.input + prev @ w + inner)
                step.update(prev, h)
                step.output(h)
            return fl.mean(step.outputs[0])
        loss = fl.replicas(build, x, 2)
        fl.optim.SGD(0.1).minimize(loss, name="train")
    xs = np.random.default_rng(0).normal(size=(4, 4, 3)).astype("float32")
    one, two = fl.Session(g), fl.Session(g, cpus=2)
    assert [v.name for v in g.trainable_variables] == ["w:0", "inner:0"]
    with pytest.warns(UserWarning, match="no cpu:1"):
        want = one.run([loss, "train"], {x: xs})
    assert two.run([loss, "train"], {x: xs})[0].tobytes() == want[0].tobytes()
    assert all(v.tobytes() == one.variables[n].tobytes() for n, v in two.variables.items())


def test_what_cannot_be_replicated_is_refused():
    with fl.Graph():
        x = fl.placeholder((4, 2), name="x")
        for devices in (0, True, "cpu:0", None):
            with pytest.raises(fl.AttributeValueError, match="devices is"):
                fl.replicas(lambda p: fl.mean(p), x, devices)
        with pytest.raises(fl.AttributeValueError, match="cannot be split"):
            fl.replicas(lambda p: p, fl.constant(1.0), 2)
        with pytest.raises(fl.FlowError, match="no tensor"):
            fl.replicas(lambda p: 3, x, 2)
        with pytest.raises(fl.FlowError, match="only floats"):
            fl.replicas(lambda p: fl.argmax(p), x, 2)


@pytest.mark.parametrize(("sizes", "said"), [([[2], [3]], r"makes a variable \(3,\) float32 where the first replica has Variable:0"), ([[2], [2, 2]], "that the first replica has not"),
                                             ([[2, 2], [2]], "replica_1 makes 1 variables, the first replica 2")])
def test_a_model_that_is_another_every_time_is_refused(sizes, said):
    left = list(sizes)

    def moody(part):
        total = fl.sum(part)
        for size in left.pop(0):
            total = total + fl.sum(fl.variable(np.ones(size, "float32")))
        return total
    with fl.Graph():
        with pytest.raises(fl.FlowError, match=said):
            fl.replicas(moody, fl.placeholder((4, 2), name="x"), 2)


def test_a_batch_that_does_not_divide_is_told_of_at_the_split():
    sess = fl.Session(graph(4), cpus=4)
    with pytest.raises(fl.FlowError) as caught:
        sess.run("loss", {"x": XS[:10], "labels": YS[:10]})
    assert "replica_shares" in str(caught.value.node)


@pytest.mark.parametrize("returns", [lambda p, k: [fl.mean(p)] * k, lambda p, k: {f"loss_{k}": fl.mean(p)}, lambda p, k: [fl.mean(p)] if k == 1 else {"loss": fl.mean(p)}])
def test_what_is_returned_in_another_structure_every_time_is_refused(returns):
    calls = []
    with fl.Graph():
        with pytest.raises(fl.FlowError, match="the same structure every time"):
            fl.replicas(lambda p: returns(p, calls.append(0) or len(calls)), fl.placeholder((4, 2), name="x"), 2)
