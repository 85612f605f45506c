"""Fetches, feeds, control dependencies: Placeholder and Constant among them."""
from __future__ import annotations

import warnings
from collections import namedtuple

import numpy as np
import pytest

import flowlab as fl


@pytest.fixture
def small():
    with fl.Graph("small") as g:
        x = fl.placeholder(("batch", 3), name="x")
        w = fl.variable(np.arange(6, dtype="float32").reshape(3, 2), name="w")
        y = fl.matmul(x, w, name="y")
        fl.mean(y, name="loss")
    return g


XS = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


def test_structure_comes_back_as_it_was_asked_for(small):
    sess = fl.Session(small)
    y = XS @ sess.variables["w"]
    Pair = namedtuple("Pair", "a b")
    got = sess.run({"one": "loss", "more": [small.tensor("y:0"), (small.node("y"), "y:0")], "pair": Pair("y", "loss:0"), "none": [], "empty": {}}, {"x": XS})
    assert got["one"].shape == () and isinstance(got["one"], np.ndarray)
    assert isinstance(got["more"], list) and isinstance(got["more"][1], tuple)
    for value in (got["more"][0], *got["more"][1], got["pair"].a):
        np.testing.assert_array_equal(value, y)
    assert type(got["pair"]) is Pair and got["none"] == [] and got["empty"] == {}


def test_node_without_outputs_gives_none(small):
    with small:
        step = fl.group([small.node("loss")], name="step")
    sess = fl.Session(small)
    assert sess.run(step, {"x": XS}) is None
    loss, nothing = sess.run(["loss", "step"], {"x": XS})
    assert nothing is None and loss.shape == ()


def test_results_are_the_callers_own(small):
    with small:
        same = fl.identity(small.tensor("x"), name="same")
        again = fl.identity(small.tensor("y"), name="again")
        six = fl.constant([6.0, 7.0], name="six")
        turned = fl.transpose(small.tensor("w"), name="turned")
    sess = fl.Session(small)
    fed = XS.copy()
    fetches = ["x", same, "y", again, "y:0", six, "w", turned]
    first = sess.run(fetches, {"x": fed})
    kept = [r.copy() for r in first]
    for k, r in enumerate(first):
        assert r.flags.writeable and r.flags.owndata
        assert not any(np.may_share_memory(r, other) for j, other in enumerate([*first, fed]) if j != k)
        r[...] = -1
    assert fed.tobytes() == XS.tobytes()
    for a, b in zip(sess.run(fetches, {"x": fed}), kept):
        np.testing.assert_array_equal(a, b)


def test_results_of_an_earlier_run_never_change():
    """Large work arrays are handed out again, but not while anybody looks into them."""
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 40, 24), name="x")
        out, (h, _) = fl.nn.lstm(x, 32, name="lstm")
        loss = fl.mean(out ** 2, name="loss")
        grads = fl.gradients(loss, g.trainable_variables)
        fl.optim.Adam(1e-2).minimize(loss)
    sess = fl.Session(g)
    rng = np.random.default_rng(0)
    fetches = [out, h, "lstm/LSTM:f", "lstm/LSTM:c", *grads]
    held, copies = [], []
    for _ in range(6):
        feeds = {x: rng.normal(size=(16, 40, 24)).astype("float32")}
        values = sess.run([*fetches, "train"], feeds)[:-1]
        trace = sess.trace(fetches, feeds)
        dbg = fl.Debugger(sess, fetches, feeds)
        dbg.step_level(), dbg.resume()
        now = [*values, trace.value("lstm/LSTM:o"), *trace.events[-1].outputs, dbg.value("lstm/LSTM:i"), *sess.variables.values()]
        held.append((now, trace, dbg))
        copies.append([v.copy() for v in now] + [v.copy() for e in trace.events for v in e.outputs] + [v.copy() for v in dbg.results])
    for (now, trace, dbg), before in zip(held, copies):
        after = [*now, *(v for e in trace.events for v in e.outputs), *dbg.results]
        assert all(a.tobytes() == b.tobytes() for a, b in zip(after, before, strict=True))


def test_constants_are_fixed():
    array = np.array([1.0, 2.0])
    with fl.Graph() as g:
        c = fl.constant(array, name="c")
        twice = c * 2
    array[:] = 9
    sess = fl.Session(g)
    np.testing.assert_array_equal(sess.run(twice), [2, 4])
    with pytest.raises(ValueError):
        g.node("c").attrs["value"][0] = 5


def test_any_tensor_may_be_fed(small):
    sess = fl.Session(small)
    assert sess.run("loss", {"y:0": [[3.0, 5.0]]}) == 4                     # x is not needed then
    got = sess.run(["y", "loss"], {"x": XS, "w": np.ones((3, 2), "float32")})
    np.testing.assert_allclose(got[0], XS.sum(1, keepdims=True).repeat(2, 1), rtol=1e-6)
    assert sess.variables["w"][0, 1] == 1.0                                 # feeding a variable stores nothing
    with small:
        fl.add(small.tensor("w"), 1.0, name="more")
    np.testing.assert_array_equal(sess.run("more", {small.tensor("w"): np.zeros((3, 2))}), np.ones((3, 2)))
    one, rest = _split_graph()
    np.testing.assert_array_equal(fl.Session(one).run(rest, {"x": [1.0, 2, 3, 4], "Split:0": [7.0, 8.0]}), [[7, 8], [3, 4]])


def _split_graph():
    with fl.Graph() as g:
        parts = fl.split(fl.placeholder((4,), name="x"), 2)
        return g, fl.stack(parts)


@pytest.mark.parametrize("value", [[[1, 2, 3]], [[True, False, True]], np.array([[1, 2, 3]], "uint8"), [[np.float64(1), 2, 3]], np.ones((1, 3), ">f4"), range(3)])
def test_feeds_are_whatever_numpy_accepts(value, small):
    value = [list(value)] if isinstance(value, range) else value
    got = fl.Session(small).run("x", {"x": value})
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.asarray(value, "float32"))


def test_unfed_placeholder_is_named(small):
    with pytest.raises(fl.FeedError, match="x .*not fed") as caught:
        fl.Session(small).run("loss")
    assert caught.value.node == "x" and "x" in caught.value.hint


@pytest.mark.parametrize(("value", "axis", "words"), [
    (np.zeros((4, 2)), 1, "axis 1 must be 3, not 2"), (np.zeros(3), None, "2 axes"), (np.zeros((2, 2, 3)), None, "2 axes"), (5.0, None, "2 axes")])
def test_feed_of_another_shape(value, axis, words, small):
    with pytest.raises(fl.FeedError, match=words) as caught:
        fl.Session(small).run("loss", {"x": value})
    assert (caught.value.node, caught.value.axis) == ("x", axis)


def test_feed_of_another_kind():
    with fl.Graph() as g:
        fl.placeholder((None,), "int64", name="labels")
        fl.placeholder((None,), "int8", name="small")
        fl.placeholder((None,), "bool", name="mask")
        x = fl.placeholder((None,), name="x")
        fl.identity(x, name="y")
    sess = fl.Session(g)
    for name, value, words in (("labels", [0.5], "astype"), ("labels", ["a"], "takes int64"), ("small", [300], "outside its range"), ("mask", [1, 0], "takes bool"),
                               ("x", [1j], "takes float32"), ("x", [None], "takes float32"), ("x", "text", "takes float32"), ("x", x, "is fed a tensor")):
        with pytest.raises(fl.FeedError, match=words) as caught:
            sess.run(name, {name: value})
        assert caught.value.node == name
    with pytest.raises(fl.FeedError, match="no array"):
        sess.run("x", {"x": [[1.0], [1.0, 2.0]]})


def test_one_name_is_one_size():
    with fl.Graph() as g:
        fl.placeholder(("batch", 3), name="x")
        fl.placeholder(("batch",), name="y")
        fl.placeholder((None, None), name="free")
    sess = fl.Session(g)
    with pytest.raises(fl.FeedError, match="batch is 4 in x but 5 in y") as caught:
        sess.run(["x", "y"], {"x": np.zeros((4, 3)), "y": np.zeros(5)})
    assert (caught.value.node, caught.value.axis) == ("y", 0)
    sess.run(["x", "y", "free"], {"x": np.zeros((4, 3)), "y": np.zeros(4), "free": np.zeros((7, 9))})


def test_fetches_that_are_none(small):
    sess = fl.Session(small)
    with fl.Graph("other"):
        foreign = fl.constant(1.0, name="foreign")
    with pytest.raises(fl.FetchError, match="'other'") as caught:
        sess.run(foreign)
    assert caught.value.node == "foreign"
    with pytest.raises(fl.FetchError, match="'other'"):
        sess.run(foreign.node)
    with pytest.raises(fl.FetchError, match="Did you mean loss"):
        sess.run("los")
    with pytest.raises(fl.FetchError, match="no output"):
        sess.run("y:1", {"x": XS})
    with pytest.raises(fl.FetchError):
        sess.run(3.5)
    with pytest.raises(fl.FeedError, match="'other'"):
        sess.run("loss", {foreign: 1.0})
    with pytest.raises(fl.FeedError, match="a dict, not a list"):
        sess.run("loss", [("x", XS)])
    with pytest.raises(fl.FeedError, match="nothing"):
        sess.run("loss", {"nothing": 1.0})


def test_control_dependencies_order_firings_and_pull_nodes_in():
    with fl.Graph() as g:
        v = fl.variable(1.0, name="v")
        late = fl.identity(v, name="made_first")
        put = fl.assign(v, 5.0, name="put")
        with fl.control_dependencies([put]):
            after = fl.identity(v, name="after")
    sess = fl.Session(g)
    assert sess.run(after) == 1.0               # a read sees the snapshot, whatever fired before
    assert sess.variables["v"] == 5.0           # and the assign was pulled in
    assert [e.node for e in sess.trace([after, late]).events] == ["made_first", "put", "after"]
    dbg = fl.Debugger(sess, after)
    with pytest.raises(fl.DebuggerError, match="put"):
        dbg.fire("after")


def test_kernel_error_names_node_and_shapes_and_leaves_the_variables():
    with fl.Graph() as g:
        x = fl.placeholder((None,), "int64", name="x")
        table = fl.variable(np.ones((3, 2)), name="table")
        rows = fl.gather(table, x, name="rows")
        fl.assign(table, table * 2, name="grow")
    sess = fl.Session(g)
    for go in (lambda: sess.run([rows, "grow"], {x: [7]}), lambda: sess.trace([rows, "grow"], {x: [7]}), lambda: fl.Debugger(sess, [rows, "grow"], {x: [7]}).fire("rows")):
        with pytest.raises(fl.KernelError, match=r"rows \(Gather\).*7.*3 entries\. Its inputs.*\(3, 2\)") as caught:
            go()
        assert caught.value.node == "rows" and isinstance(caught.value.__cause__, IndexError)
        assert __file__ in str(caught.value)
        np.testing.assert_array_equal(sess.variables["table"], np.ones((3, 2)))
    sess.run([rows, "grow"], {x: [2]})
    assert sess.variables["table"][0, 0] == 2


def test_what_a_session_cannot_be():
    with fl.Graph() as g:
        fl.constant(1.0)
    with pytest.raises(fl.DeviceError):
        fl.Session(g, device="gpu:7")
    with pytest.raises(fl.FlowError, match="executor"):
        fl.Session(g, executor="magic")
    with pytest.raises(fl.FlowError, match="not a graph"):
        fl.Session("g")


def test_plans_are_made_once(small):
    sess = fl.Session(small)
    sess.run("loss", {"x": XS})
    tensors = ((small.tensor("loss"),), (small.tensor("x"),))
    plan = sess.plan(*tensors)
    sess.run("loss", {"x": XS[:2]})
    assert sess.plan(*tensors) is plan


def test_a_device_that_is_not_here_is_told_of_once_and_the_nodes_run():
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        with fl.device("gpu:7"):
            y = fl.square(x, name="y")
    sess = fl.Session(g)
    with pytest.warns(UserWarning, match="no gpu:7 here: y run"):
        assert sess.run(y, {x: [1, 2]}).tolist() == [1, 4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sess.run([y, y], {x: [1, 2]})


@pytest.mark.parametrize("options", [{"workers": 2}, {"executor": "magic"}, {"seed": "a"}])
def test_a_session_refuses_what_it_does_not_do(options):
    with pytest.raises(fl.AttributeValueError):
        fl.Session(fl.Graph(), **options)


@pytest.mark.parametrize(("value", "said"), [([[1, 2], [3]], "is no array. All rows must have one length."), (["a", "b"], "holds text. Feed numbers."),
                                             ([{}], "holds Python objects."), (1j, "holds complex numbers.")])
def test_a_feed_that_is_no_array_of_numbers_is_refused_in_plain_words(value, said):
    with fl.Graph() as g:
        x = fl.placeholder((None,), name="x")
        fl.relu(x, name="y")
        y = x + 1
    with pytest.raises(fl.FeedError) as caught:
        fl.Session(g).run("y", {x: value})
    assert said in str(caught.value) and "<" not in str(caught.value) and "inhomogeneous" not in str(caught.value)
    with pytest.raises(fl.FeedError, match="A tensor has no value before it runs"):
        fl.Session(g).run("y", {x: [y, y]})
    from flowlab.io.document import document_of
    from flowlab.io.edits import check_feed
    with pytest.raises(fl.FeedError) as caught:
        check_feed(document_of(g).nodes["x"], value)
    assert said in str(caught.value)
