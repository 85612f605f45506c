"""The LSTM view's kernel side: what it sends, what it refuses, and that a clamp really runs again."""
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("anywidget")

import flowlab as fl
from flowlab.widgets import protocol as P
from flowlab.widgets.lstm import LSTMView, forward, layer_values, pictures, reader, round_limit

BATCH, TIME, FEATURES, LOWER, UPPER, CLASSES = 3, 11, 5, 7, 6, 4


@pytest.fixture(scope="module")
def session():
    with fl.Graph("reader") as g:
        seq = fl.placeholder(("batch", TIME, FEATURES), name="seq")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        lower, _ = fl.nn.lstm(seq, LOWER, name="lower")
        _, (h, _c) = fl.nn.lstm(fl.tanh(lower, name="between"), UPPER, name="upper")
        logits = fl.nn.dense(h, CLASSES, name="head")
        fl.mean(fl.sparse_softmax_cross_entropy(logits, labels), name="loss")
    sess = fl.Session(g, seed=3)
    rng = np.random.default_rng(7)
    for variable in g.variables:
        name = variable.node.name
        sess.variables[name] = sess.variables[name] + rng.normal(0, 0.4, sess.variables[name].shape).astype("float32")
    return sess


@pytest.fixture(scope="module")
def feeds():
    rng = np.random.default_rng(11)
    return {"seq": rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32"), "labels": np.array([0, 3, 1])}


@pytest.fixture(scope="module")
def trace(session, feeds):
    return session.trace(["loss", "head/Add"], feeds)


class Page:
    """What a page would see: the messages that the view sends, and a way to send it some."""

    def __init__(self, view: LSTMView):
        self.view, self.messages, self.seq = view, [], 0
        view.send = lambda content, buffers=None: self.messages.append((content, [np.frombuffer(b, "<f4") for b in buffers or ()]))

    def say(self, **content):
        """Send one message; the answers to it, the last of which must be its Done."""
        self.seq += 1
        self.messages.clear()
        self.view._handle_custom_msg(content | {"seq": self.seq}, [])
        *answers, (done, _) = self.messages
        assert done["type"] == "done" and done["seq"] == self.seq
        return done["ok"], answers

    def hello(self):
        ok, [(data, buffers)] = self.say(type="hello", version=P.VERSION)
        assert ok and data["type"] == "lstm"
        return data, buffers


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype("float64")))


def test_the_view_opens_on_the_last_layer(trace):
    view = LSTMView(trace)
    data, _ = Page(view).hello()
    assert [layer["node"] for layer in data["layers"]] == ["lower/LSTM", "upper/LSTM"]
    assert data["layer"] == 1 and view.layer == 2
    assert data["layers"][1] == {"node": "upper/LSTM", "units": UPPER, "features": LOWER, "timesteps": TIME, "batch": BATCH}


def test_what_is_sent_is_what_the_trace_recorded(trace):
    for layer, name in enumerate(["lower", "upper"]):
        page = Page(LSTMView(trace))
        ok, [(data, buffers)] = page.say(type="lstm_ask", layer=layer, sample=2)
        assert ok and (data["layer"], data["sample"]) == (layer, 2)
        gates = trace.gates(name)
        for letter, sent in zip("figoch", buffers):
            np.testing.assert_array_equal(sent.reshape(TIME, -1), gates[letter][2])
        zf, zi, zg, zo = (b.reshape(TIME, -1) for b in buffers[6:10])
        np.testing.assert_allclose(sigmoid(zf), gates["f"][2], rtol=1e-5)
        np.testing.assert_allclose(sigmoid(zi), gates["i"][2], rtol=1e-5)
        np.testing.assert_allclose(np.tanh(zg), gates["g"][2], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(sigmoid(zo), gates["o"][2], rtol=1e-5)
        c0, h0 = buffers[10:12]
        assert not c0.any() and not h0.any() and c0.size == data["layers"][layer]["units"]


def test_the_strip_is_what_the_stack_reads(trace, feeds):
    data, buffers = Page(LSTMView(trace, sample=1)).hello()
    assert (data["strip_rows"], data["strip_cols"], data["strip_image"]) == (FEATURES, TIME, False)
    np.testing.assert_array_equal(buffers[12].reshape(FEATURES, TIME), feeds["seq"][1].T)
    assert data["strip_map"] == "div" and data["strip_lo"] == -data["strip_hi"] and "seq" in data["strip_label"]


def test_initial_states_are_read_from_the_run():
    with fl.Graph() as g:
        seq = fl.placeholder((2, 3, 4), name="seq")
        h0, c0 = (fl.placeholder((2, 5), name=n) for n in ("h0", "c0"))
        fl.nn.lstm(seq, 5, initial_state=(h0, c0), name="lstm")
    rng = np.random.default_rng(0)
    values = {"seq": rng.normal(size=(2, 3, 4)), "h0": rng.normal(size=(2, 5)), "c0": rng.normal(size=(2, 5))}
    trace = fl.Session(g).trace("lstm/LSTM:out", values)
    _, buffers = Page(LSTMView(trace, sample=1)).hello()
    np.testing.assert_allclose(buffers[10], values["c0"][1], rtol=1e-6)
    np.testing.assert_allclose(buffers[11], values["h0"][1], rtol=1e-6)
    np.testing.assert_allclose(sigmoid(buffers[6].reshape(3, 5)), trace.gates("lstm")["f"][1], rtol=1e-5)


@pytest.mark.parametrize("node, first", [("lower", "lower/LSTM"), ("lower/LSTM", "lower/LSTM"), ("upper/LSTM:f", "upper/LSTM")])
def test_a_layer_goes_by_scope_node_or_tensor(trace, node, first):
    data, _ = Page(LSTMView(trace, node)).hello()
    assert [layer["node"] for layer in data["layers"]] == [first]
    data, _ = Page(LSTMView(trace, trace.graph.node(first))).hello()
    assert [layer["node"] for layer in data["layers"]] == [first]


def test_sources(session, trace, feeds):
    expected = Page(LSTMView(trace)).hello()[1]
    session.trace("loss", feeds)
    debugger = fl.Debugger(session, "loss", feeds)
    debugger.resume()
    for source in (session, debugger):
        for sent, want in zip(Page(LSTMView(source)).hello()[1], expected):
            np.testing.assert_array_equal(sent, want)


def test_refresh_looks_again(session, trace, feeds):
    other = {**feeds, "seq": feeds["seq"][:2, :6 + 5] * 0.5, "labels": feeds["labels"][:2]}
    view = LSTMView(trace, sample=1)
    page = Page(view)
    view.clamp("f", 0.5)
    later = session.trace("loss", other)
    view.refresh(later)
    data, buffers = page.messages[-1]
    assert data["samples"] == 2 and data["clamped_layers"] == [1]
    want = clamped_by_hand(session, np.tanh(later.gates("lower")["h"]), "upper", {"f": (0.5, None)})
    np.testing.assert_allclose(buffers[4].reshape(TIME, UPPER), want["c"][1], rtol=2e-5, atol=2e-6)
    debugger = fl.Debugger(session, "loss", other)
    with pytest.raises(fl.FlowError, match="Step on"):
        view.refresh(debugger)
    one = session.trace("loss", {**feeds, "seq": feeds["seq"][:1], "labels": feeds["labels"][:1]})
    with pytest.raises(fl.FlowError, match="no sample 1"):
        view.refresh(one)
    view.release()
    for letter, sent in zip("figoch", page.messages[-1][1]):
        np.testing.assert_array_equal(sent.reshape(TIME, UPPER), later.gates("upper")[letter][1])


def test_an_editor_shows_the_run_that_it_steps(session, trace, feeds):
    editor = fl.Editor(session.graph, session=session, feeds=feeds)
    with pytest.raises(fl.FlowError, match="nothing has run"):
        LSTMView(editor)
    editor.run()
    for sent, want in zip(Page(LSTMView(editor, "lower", sample=2)).hello()[1], Page(LSTMView(trace, "lower", sample=2)).hello()[1]):
        np.testing.assert_array_equal(sent, want)


@pytest.mark.parametrize("make, says", [
    (lambda s, t: LSTMView(42), "trace, session, debugger or editor, not into an int"),
    (lambda s, t: LSTMView(fl.Session(t.graph)), "recorded no run yet"),
    (lambda s, t: LSTMView(t, "head"), "lower/LSTM, upper/LSTM"),
    (lambda s, t: LSTMView(t, "between"), "between is a Tanh, no LSTM"),
    (lambda s, t: LSTMView(t, "nothing"), "no LSTM named 'nothing'"),
    (lambda s, t: LSTMView(t, 3.5), "names no layer"),
    (lambda s, t: LSTMView(t, t=TIME), f"Steps go from 0 to {TIME - 1}"),
    (lambda s, t: LSTMView(t, unit=-1), f"Units go from 0 to {UPPER - 1}"),
    (lambda s, t: LSTMView(t, sample=BATCH), f"Samples go from 0 to {BATCH - 1}"),
    (lambda s, t: LSTMView(t, image=np.zeros(4)), "an image is (rows, columns)"),
    (lambda s, t: LSTMView(t, image=[np.zeros((4, 5))] * 2), "2 images were given for 3 samples"),
    (lambda s, t: LSTMView(t, image="cat.png"), "an image is (rows, columns)"),
    (lambda s, t: LSTMView(t, reading=["lower"]), "lower reads 5 numbers, the last LSTM gives 6"),
    (lambda s, t: LSTMView(t, reading=["between"]), "no dense layer"),
    (lambda s, t: LSTMView(t, reading=[("digit", np.zeros((TIME + 1, 3)))]), f"the layer has {TIME} steps"),
    (lambda s, t: LSTMView(t, reading=["head"], symbols="ab"), "2 symbols were given for 4 classes"),
    (lambda s, t: LSTMView(t).clamp("c", 1), "no gate 'c'"),
    (lambda s, t: LSTMView(t).clamp("f", float("nan")), "finite number"),
    (lambda s, t: LSTMView(t).clamp("f", "much"), "cannot be held at 'much'"),
    (lambda s, t: LSTMView(t).clamp("f", 1, unit=UPPER), f"Units go from 0 to {UPPER - 1}"),
    (lambda s, t: LSTMView(t).clamp("f", 1, layer=3), "There are 1: lower/LSTM, 2: upper/LSTM"),
    (lambda s, t: LSTMView(fl.Debugger(s, "loss", t.feeds)), "Step on until it has fired"),
    (lambda s, t: LSTMView(s.trace("seq", t.feeds)), "not computed in this run. Fetch something that needs it"),
])
def test_what_does_not_fit_is_told(session, trace, make, says):
    with pytest.raises(fl.FlowError) as caught:
        make(session, trace)
    assert says in str(caught.value)


def test_a_graph_without_an_lstm_is_told():
    with fl.Graph("plain") as g:
        y = fl.exp(fl.placeholder((2,), name="x"), name="y")
    with pytest.raises(fl.FlowError, match="has no LSTM"):
        LSTMView(fl.Session(g).trace(y, {"x": [1, 2]}))


def test_traits_refuse_what_is_not_there_and_keep_what_was(trace):
    view = LSTMView(trace, t=4, unit=5)
    for name, value in [("t", TIME), ("t", -1), ("unit", UPPER), ("sample", BATCH), ("layer", 0), ("layer", 3)]:
        before = getattr(view, name)
        with pytest.raises(fl.FlowError):
            setattr(view, name, value)
        assert getattr(view, name) == before


def test_the_page_is_told_when_python_moves(trace):
    view = LSTMView(trace, unit=5)
    page = Page(view)
    view.layer = 1
    view.sample = 2
    assert [(m["layer"], m["sample"]) for m, _ in page.messages] == [(0, 0), (0, 2)]
    view.unit = LOWER - 1
    view.layer = 2
    assert view.unit == UPPER - 1, "a unit that the smaller layer does not have"


def clamped_by_hand(session, feeds, layer, clamps):
    """The layer as its equations say, one number at a time, in float64."""
    v = {k: session.variables[f"{layer}/{k}"].astype("float64") for k in ("kernel", "recurrent_kernel", "bias")}
    units = v["recurrent_kernel"].shape[0]
    x = feeds.astype("float64")
    h, c = np.zeros((len(x), units)), np.zeros((len(x), units))
    out = {k: [] for k in "figoch"}
    for t in range(x.shape[1]):
        z = x[:, t] @ v["kernel"] + h @ v["recurrent_kernel"] + v["bias"]
        i, f, g, o = z[:, :units], z[:, units:2 * units], z[:, 2 * units:3 * units], z[:, 3 * units:]
        gates = {"i": sigmoid(i), "f": sigmoid(f), "g": np.tanh(g), "o": sigmoid(o)}
        for k, (value, unit) in clamps.items():
            gates[k][:, slice(None) if unit is None else slice(unit, unit + 1)] = value
        c = gates["f"] * c + gates["i"] * gates["g"]
        h = gates["o"] * np.tanh(c)
        for k, value in {**gates, "c": c, "h": h}.items():
            out[k].append(value)
    return {k: np.stack(values, axis=1) for k, values in out.items()}


@pytest.mark.parametrize("clamps", [{"f": (1.0, None)}, {"g": (-0.5, 2)}, {"i": (0.0, None), "o": (1.0, 3)}, {"f": (2.0, 0), "i": (0.25, None)}])
def test_a_held_gate_runs_through_the_whole_layer(session, trace, feeds, clamps):
    layer = layer_values(reader(trace), trace.graph.node("lower"))
    got, want = forward(layer, clamps), clamped_by_hand(session, feeds["seq"], "lower", clamps)
    for letter in "figoch":
        np.testing.assert_allclose(got[letter], want[letter], rtol=2e-5, atol=2e-6)
    for gate, (value, unit) in clamps.items():
        assert np.all(got[gate][..., slice(None) if unit is None else unit] == np.float32(value))


def test_without_a_clamp_the_equations_give_the_recorded_numbers(trace):
    layer = layer_values(reader(trace), trace.graph.node("upper"))
    for letter, value in forward(layer, {}).items():
        np.testing.assert_allclose(value, layer.out[letter], rtol=1e-5, atol=1e-6)


def test_a_clamp_reruns_what_comes_after(session, trace, feeds):
    view = LSTMView(trace)
    page = Page(view)
    plain = page.hello()[1]
    ok, [(data, buffers)] = page.say(type="clamp", layer=0, gate="f", value=0.0, unit=None)
    assert ok and data["layer"] == 1 and data["clamped_layers"] == [0] and data["clamps"] == [] and data["rerun"]
    lower = clamped_by_hand(session, feeds["seq"], "lower", {"f": (0.0, None)})
    upper = clamped_by_hand(session, np.tanh(lower["h"]), "upper", {})
    for letter, sent in zip("figoch", buffers):
        np.testing.assert_allclose(sent.reshape(TIME, UPPER), upper[letter][0], rtol=2e-5, atol=2e-6)
    logits = upper["h"][:, -1] @ session.variables["head/kernel"] + session.variables["head/bias"]
    e = np.exp(logits)
    loss = -np.log(e[np.arange(BATCH), feeds["labels"]] / e.sum(1)).mean()
    said = {o["label"]: o for o in data["outcomes"]}
    assert float(said["loss"]["after"]) == pytest.approx(loss, abs=1e-3)
    assert said["loss"]["before"] != said["loss"]["after"]
    assert said["head/Add"]["after"] == str(logits[0].argmax())

    # both layers, then only the upper one, then none: as recorded
    ok, [(data, buffers)] = page.say(type="clamp", layer=1, gate="i", value=1, unit=4)
    both = clamped_by_hand(session, np.tanh(lower["h"]), "upper", {"i": (1.0, 4)})
    np.testing.assert_allclose(buffers[4].reshape(TIME, UPPER), both["c"][0], rtol=2e-5, atol=2e-6)
    assert data["clamps"] == [{"gate": "i", "value": 1.0, "unit": 4}] and data["clamped_layers"] == [0, 1]
    ok, [(data, buffers)] = page.say(type="clamp", layer=0, gate="f", value=None, unit=None)
    only = clamped_by_hand(session, np.tanh(trace.gates("lower")["h"]), "upper", {"i": (1.0, 4)})
    np.testing.assert_allclose(buffers[5].reshape(TIME, UPPER), only["h"][0], rtol=2e-5, atol=2e-6)
    view.release()
    (data, buffers), = page.messages[-1:]
    assert data["clamped_layers"] == [] and data["outcomes"] == []
    for sent, want in zip(buffers, plain):
        np.testing.assert_array_equal(sent, want)


def test_a_clamp_commits_nothing_and_leaves_the_trace_alone(session, trace):
    before = {name: value.copy() for name, value in session.variables.items()}
    recorded = {k: v.copy() for k, v in trace.gates("lower").items()}
    LSTMView(trace).clamp("o", 0.0, layer=1)
    for name, value in before.items():
        np.testing.assert_array_equal(session.variables[name], value)
    for letter, value in recorded.items():
        np.testing.assert_array_equal(trace.gates("lower")[letter], value)


def test_the_norm_of_the_cells_gradient_is_the_unrolled_graphs(feeds):
    with fl.Graph("back") as g:
        seq = fl.placeholder((BATCH, TIME, FEATURES), name="seq")
        out, (h, _c) = fl.nn.lstm(seq, UPPER, name="lstm")
        loss = fl.add(fl.mean(fl.square(h)), fl.sum(fl.sin(out)), name="loss")
        grads = fl.gradients(loss, g.trainable_variables)
    sess = fl.Session(g, seed=2)
    assert not Page(LSTMView(sess.trace(loss, {"seq": feeds["seq"]}))).hello()[0]["norm"], "no card without a backward pass"
    data, buffers = Page(LSTMView(sess.trace([loss, *grads], {"seq": feeds["seq"]}), sample=1)).hello()
    assert data["norm"] and buffers[13].shape == (TIME,)

    with fl.Graph("forward") as alone:
        seq = fl.placeholder((BATCH, TIME, FEATURES), name="seq")
        out, (h, _c) = fl.nn.lstm(seq, UPPER, name="lstm")
        fl.add(fl.mean(fl.square(h)), fl.sum(fl.sin(out)), name="loss")
    unrolled = fl.expand(alone, "lstm/LSTM", unroll=True)
    c = unrolled.tensor("lstm/LSTM:c")
    cells = c.node.inputs[c.index].node
    assert cells.op.name == "Stack"
    with unrolled:
        by_cell = fl.gradients(unrolled.tensor("loss:0"), list(cells.inputs))
    other = fl.Session(unrolled)
    for variable in unrolled.variables:
        other.variables[variable.node.name] = sess.variables[variable.node.name]
    want = [np.linalg.norm(v[1]) for v in other.run(by_cell, {"seq": feeds["seq"]})]
    np.testing.assert_allclose(buffers[13], want, rtol=1e-4)


def test_a_debugger_reruns_the_layer_and_says_that_the_rest_did_not(session, trace, feeds):
    debugger = fl.Debugger(session, "loss", feeds)
    debugger.resume()
    view = LSTMView(debugger, "upper")
    page = Page(view)
    ok, [(data, buffers)] = page.say(type="clamp", layer=0, gate="g", value=0.5, unit=None)
    assert ok and data["rerun"] is False and data["outcomes"] == []
    want = clamped_by_hand(session, np.tanh(trace.gates("lower")["h"]), "upper", {"g": (0.5, None)})
    np.testing.assert_allclose(buffers[4].reshape(TIME, UPPER), want["c"][0], rtol=2e-5, atol=2e-6)


def test_a_reading_follows_the_clamp(session, trace):
    view = LSTMView(trace, reading=["head"], symbols="abcd")
    page = Page(view)
    data, _ = page.hello()
    row, = data["reading"]
    logits = trace.gates("upper")["h"][0] @ session.variables["head/kernel"] + session.variables["head/bias"]
    e = np.exp(logits - logits.max(1, keepdims=True))
    shares = e / e.sum(1, keepdims=True)
    assert row["label"] == "head" and row["symbols"] == ["abcd"[k] for k in logits.argmax(1)]
    np.testing.assert_allclose(row["shares"], shares.max(1), rtol=1e-5)
    _, [(clamped, _)] = page.say(type="clamp", layer=0, gate="o", value=0.0, unit=None)
    assert clamped["reading"][0]["shares"] != row["shares"]


def test_readings_come_as_arrays_mappings_and_functions(trace):
    shares = np.random.default_rng(0).dirichlet(np.ones(3), (BATCH, TIME))
    expected = [str(k) for k in shares[1].argmax(1)]
    for reading in ([("d", shares[1])], [("d", shares)], {"d": shares}, lambda h: [("d", shares[1][:len(h)])]):
        data, _ = Page(LSTMView(trace, sample=1, reading=reading)).hello()
        assert data["reading"][0]["symbols"] == expected


def test_images_become_strips_from_0_to_1():
    grey = np.array([[0, 255], [128, 64]], "uint8")
    assert pictures(grey, 2)[1].shape == (2, 2, 1) and pictures(grey, 1)[0].max() == 1
    np.testing.assert_allclose(pictures(np.dstack([grey] * 3), 1)[0][..., 2], grey / 255, rtol=1e-6)
    assert pictures(np.zeros((3, 2, 5)), 3)[0].shape == (2, 5, 1), "one a sample"
    centred = pictures(np.array([[-1.0, 0.0], [1.0, np.nan]]), 1)[0]
    assert centred.min() == 0 and centred.max() == 1 and np.isfinite(centred).all()


def test_an_image_is_sent_with_what_it_stands_for(trace):
    image = np.random.default_rng(0).integers(0, 256, (8, 2 * TIME, 3), "uint8")
    data, buffers = Page(LSTMView(trace, image=image)).hello()
    assert (data["strip_rows"], data["strip_cols"], data["strip_channels"], data["strip_image"]) == (8, 2 * TIME, 3, True)
    assert data["strip_label"] == f"{2 * TIME} × 8 pixels, 2 columns a step, seen as {FEATURES} values"
    np.testing.assert_allclose(buffers[12].reshape(image.shape), image / 255, rtol=1e-6)


def test_the_scale_of_c_is_round_and_holds_nearly_all():
    rng = np.random.default_rng(0)
    for size in (1e-4, 0.3, 7, 2e5):
        values = rng.normal(0, size, (20, 30, 10))
        limit = round_limit(values)
        assert (np.abs(values) > limit).mean() <= 0.001 and limit < np.abs(values).max() * 1.5
        assert len(f"{limit:.0e}") and float(f"{limit:.2g}") == limit
    assert round_limit(np.zeros((2, 2))) == 1 and round_limit(np.array([np.nan, np.inf, 3.0])) == 3


def test_nan_is_sent_as_nan_and_harms_nothing(session, feeds):
    broken = feeds["seq"].copy()
    broken[0, 6] = np.nan
    view = LSTMView(session.trace("head/Add", {**feeds, "seq": broken}), reading=["head"])
    data, buffers = Page(view).hello()
    h = buffers[5].reshape(TIME, UPPER)
    assert np.isfinite(h[:6]).all() and np.isnan(h[6:]).all()
    assert np.isfinite(data["c_limit"]) and np.isfinite(data["strip_hi"])
    assert all(np.isfinite(data["reading"][0]["shares"])), "JSON has no NaN"
    assert data["reading"][0]["symbols"][6:] == ["?"] * (TIME - 6)


@pytest.mark.parametrize("content", [
    {"type": "hello", "version": 99}, {"type": "lstm_ask", "layer": 7, "sample": 0}, {"type": "lstm_ask", "layer": 0, "sample": -1},
    {"type": "clamp", "layer": 0, "gate": "__class__", "value": 1}, {"type": "clamp", "layer": 0, "gate": "f", "value": {}},
    {"type": "clamp", "layer": -1, "gate": "f", "value": 1}, {"type": "clamp", "layer": 0, "gate": "f", "value": 1, "unit": "all"},
    {"type": "nonsense"}, {},
])
def test_a_message_that_makes_no_sense_is_answered_and_changes_nothing(trace, content):
    view = LSTMView(trace)
    page = Page(view)
    before = page.hello()[1]
    ok, answers = page.say(**content)
    assert not ok and [m["level"] for m, _ in answers] == ["alert"] and answers[0][0]["text"]
    for sent, want in zip(page.hello()[1], before):
        np.testing.assert_array_equal(sent, want)


def test_repr_says_where_it_stands(trace):
    assert repr(LSTMView(trace, t=2, unit=3)) == "LSTM view of upper/LSTM: step 2 of 11, unit 3 of 6, sample 0 of 3"
