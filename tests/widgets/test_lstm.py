"""The LSTM view's kernel side: what it sends, what it refuses, and that a clamp really runs again."""
from __future__ import annotations

import numpy as np
import pytest
from pages import Page

pytest.importorskip("anywidget")

import flowlab as fl
from flowlab.apps.cells import forward
from flowlab.core.op import get_op
from flowlab.widgets.lstm import LSTMView, layer_values, pictures, reader, round_limit

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


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype("float64")))


def test_the_view_opens_on_the_last_layer(trace):
    view = LSTMView(trace)
    data, _ = Page(view).hello()
    assert [layer["node"] for layer in data["layers"]] == ["lower/LSTM", "upper/LSTM"]
    assert data["layer"] == 1 and view.layer == 2
    assert data["layers"][1] == {"node": "upper/LSTM", "units": UPPER, "features": LOWER, "timesteps": TIME, "batch": BATCH, "kind": "lstm", "from_the_end": False}


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
    (lambda s, t: LSTMView(t, "between"), "between is a Tanh, no recurrent layer"),
    (lambda s, t: LSTMView(t, "nothing"), "no recurrent layer named 'nothing'"),
    (lambda s, t: LSTMView(t, 3.5), "names no layer"),
    (lambda s, t: LSTMView(t, t=TIME), f"Steps go from 0 to {TIME - 1}"),
    (lambda s, t: LSTMView(t, unit=-1), f"Units go from 0 to {UPPER - 1}"),
    (lambda s, t: LSTMView(t, sample=BATCH), f"Samples go from 0 to {BATCH - 1}"),
    (lambda s, t: LSTMView(t, image=np.zeros(4)), "an image is (rows, columns)"),
    (lambda s, t: LSTMView(t, image=[np.zeros((4, 5))] * 2), "2 images were given for 3 samples"),
    (lambda s, t: LSTMView(t, image="cat.png"), "an image is (rows, columns)"),
    (lambda s, t: LSTMView(t, reading=["lower"]), "lower reads 5 numbers, the last layer gives 6"),
    (lambda s, t: LSTMView(t, reading=["between"]), "no dense layer"),
    (lambda s, t: LSTMView(t, reading=[("digit", np.zeros((TIME + 1, 3)))]), f"the layer has {TIME} steps"),
    (lambda s, t: LSTMView(t, reading=["head"], symbols="ab"), "2 symbols were given for 4 classes"),
    (lambda s, t: LSTMView(t).clamp("c", 1), "no gate 'c'"),
    (lambda s, t: LSTMView(t).clamp("f", float("nan")), "finite number"),
    (lambda s, t: LSTMView(t).clamp("f", "much"), "cannot be held at 'much'"),
    (lambda s, t: LSTMView(t).clamp("f", 1, unit=UPPER), f"Units go from 0 to {UPPER - 1}"),
    (lambda s, t: LSTMView(t).clamp("f", 1, layer=3), "There are 1: lower/LSTM, 2: upper/LSTM"),
    (lambda s, t: LSTMView(fl.Debugger(s, "loss", t.feeds)), "Step on until it has fired"),
    (lambda s, t: LSTMView(s.trace("seq", t.feeds)), "was computed in this run. Fetch something that needs it"),
])
def test_what_does_not_fit_is_told(session, trace, make, says):
    with pytest.raises(fl.FlowError) as caught:
        make(session, trace)
    assert says in str(caught.value)


def test_a_graph_without_an_lstm_is_told():
    with fl.Graph("plain") as g:
        y = fl.exp(fl.placeholder((2,), name="x"), name="y")
    with pytest.raises(fl.FlowError, match="has no recurrent layer"):
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


def fresh(session, feeds, layer, held, fetches):
    """A run of its own with the layer's outputs overridden: what a clamp must come to."""
    debugger = fl.Debugger(session, fetches, feeds)
    debugger.run_to(f"{layer}/LSTM")
    debugger.step()
    out = clamped_by_hand(session, debugger.value(debugger.graph.node(f"{layer}/LSTM").input("x")), layer, held)
    for port, letter in {"out": "h", **{k: k for k in "figoc"}}.items():
        debugger.override(f"{layer}/LSTM:{port}", out[letter].astype("float32"))
    for port, letter in (("h_n", "h"), ("c_n", "c")):
        debugger.override(f"{layer}/LSTM:{port}", out[letter][:, -1].astype("float32"))
    debugger.resume()
    return debugger


@pytest.mark.parametrize("kind", ["debugger", "editor"])
def test_a_clamp_in_a_debugger_or_an_editor_is_a_fresh_run_with_that_override(session, feeds, kind):
    if kind == "debugger":
        source = fl.Debugger(session, ["loss", "head/Add"], feeds)
        source.run_to("loss")           # what follows has not even fired there
    else:
        source = fl.Editor(session.graph, session=session, feeds=feeds)
        source.run()
    view = LSTMView(source, reading=["head"])
    page = Page(view)
    plain = page.hello()
    ok, answers = page.say(type="clamp", layer=0, gate="f", value=1.0, unit=None)
    data, buffers = answers[0]
    want = fresh(session, feeds, "lower", {"f": (1.0, None)}, ["loss", "head/Add"])
    assert ok and data["rerun"]
    for letter, sent in zip("figoch", buffers):
        name = "out" if letter == "h" else letter
        np.testing.assert_allclose(sent.reshape(TIME, UPPER), want.value(f"upper/LSTM:{name}")[0], rtol=2e-5, atol=2e-6)
    said = {o["label"]: o["after"] for o in data["outcomes"]}
    assert float(said["loss"]) == pytest.approx(float(want.value("loss")), rel=1e-3)
    assert data["reading"][0]["shares"] != plain[0]["reading"][0]["shares"]


def test_a_debuggers_own_override_stays_in_what_is_run_again(session, feeds):
    debugger = fl.Debugger(session, "loss", feeds)
    debugger.resume()
    debugger.override("between", np.full((BATCH, TIME, LOWER), 0.25, "float32"))
    debugger.resume()
    before = session.moment()[1]
    again = debugger.rerun({"upper/LSTM:h_n": np.zeros((BATCH, UPPER))})
    np.testing.assert_array_equal(again.value("between"), np.float32(0.25))
    logits = session.variables["head/bias"].astype("float64")
    assert float(again.results) == pytest.approx(float((np.log(np.exp(logits).sum()) - logits[feeds["labels"]]).mean()), rel=1e-5)
    assert session.moment()[1] == before, "nothing was committed"


def test_the_view_follows_a_debugger_and_can_take_it_to_the_firing(session, feeds):
    debugger = fl.Debugger(session, "loss", feeds)
    debugger.resume()
    view = LSTMView(debugger)
    page = Page(view)
    page.hello()
    place, _ = page.messages[-2]
    assert place["type"] == "place" and place["cursor"] == debugger.cursor and not place["gone"]
    page.messages.clear()
    debugger.override("between", np.zeros((BATCH, TIME, LOWER), "float32"))     # un-fires the layer
    assert page.messages[-1][0]["gone"]
    debugger.resume()
    data, buffers = next((d, b) for d, b in reversed(page.messages) if d["type"] == "lstm")
    np.testing.assert_array_equal(buffers[5].reshape(TIME, UPPER), debugger.value("upper/LSTM:out")[0])
    ok, _ = page.say(type="lstm_more", what="go")
    assert ok and debugger.records[debugger.cursor - 1].node == "upper/LSTM"
    debugger.back()
    assert page.messages[-1][0]["gone"] and page.messages[-1][0]["next"] == "upper/LSTM"
    debugger.step()
    assert not [m for m, _ in page.messages if m["type"] == "place"][-1]["gone"]

    debugger.listen(lambda: 1 / 0)
    with pytest.warns(RuntimeWarning, match="ZeroDivisionError"):
        debugger.step()
    view.close()
    page.messages.clear()
    debugger.back()
    assert not page.messages, "a closed view follows nothing"


def test_the_view_follows_an_editor(session, feeds):
    editor = fl.Editor(session.graph, session=session, feeds=feeds)
    editor.run()
    view = LSTMView(editor)
    page = Page(view)
    page.hello()
    editor.feeds["seq"] = feeds["seq"] * 0.5
    page.messages.clear()
    editor.run()
    data, buffers = next((d, b) for d, b in reversed(page.messages) if d["type"] == "lstm")
    np.testing.assert_array_equal(buffers[5].reshape(TIME, UPPER), session.trace("head/Add", {**feeds, "seq": feeds["seq"] * 0.5}).gates("upper")["h"][0])
    view.go_to_firing()
    assert editor.debugger.records[editor.debugger.cursor - 1].node == "upper/LSTM"


@pytest.mark.parametrize("kind, lengths", [("lstm", None), ("gru", np.array([TIME, 6, 3])), ("rnn", None)])
def test_a_layer_that_is_written_out_is_followed_timestep_by_timestep(kind, lengths):
    sess, trace, _ = layer_of(kind, lengths=lengths)
    with fl.Graph("forward") as g:
        seq = fl.placeholder((BATCH, TIME, FEATURES), name="seq")
        given = None if lengths is None else fl.placeholder((BATCH,), "int64", name="lengths")
        out, _ = getattr(fl.nn, kind)(seq, 6, lengths=given, name="layer")
        fl.mean(out, name="end")
    written_out = fl.Session(fl.expand(g, f"layer/{kind.upper()}"))
    for name, value in sess.variables.items():
        written_out.variables[name] = value
    debugger = fl.Debugger(written_out, "end", {"seq": next(iter(trace.feeds.values())), **({} if lengths is None else {"lengths": lengths})})
    with pytest.raises(fl.FlowError, match="not computed"):
        LSTMView(debugger)
    while debugger.frame[1:] != (4,):       # timesteps 0 to 3 are done
        debugger.step()
    view = LSTMView(debugger)
    page = Page(view)
    data, buffers = page.hello()
    assert data["fired"] == 4 and view.t == 3
    whole = trace.gates("layer")
    at = {"lstm": 5, "gru": 3, "rnn": 2}[kind]
    h = buffers[at].reshape(TIME, 6)
    np.testing.assert_allclose(h[:4], whole["h"][0, :4], rtol=1e-5, atol=1e-6)
    assert np.isnan(h[4:]).all(), "what has not fired is no number"
    debugger.step_timestep()
    assert view.t == 4
    data, buffers = next((d, b) for d, b in reversed(page.messages) if d["type"] == "lstm")
    np.testing.assert_allclose(buffers[at].reshape(TIME, 6)[4], whole["h"][0, 4], rtol=1e-5, atol=1e-6)
    debugger.resume()
    data, buffers = next((d, b) for d, b in reversed(page.messages) if d["type"] == "lstm")
    np.testing.assert_allclose(buffers[at].reshape(TIME, 6), whole["h"][0], rtol=1e-5, atol=1e-6)
    # the cursor of the view takes the debugger to its timestep
    view.t = 2
    ok, _ = page.say(type="lstm_more", what="go")
    assert ok and debugger.records[debugger.cursor - 1].frame[1] == 2 and debugger.frame[1] == 3 and view.t == 2
    debugger.resume()
    view.clamp({"lstm": "f", "gru": "z", "rnn": "h"}[kind], 0.5)
    want = forward(layer_values(reader(trace), trace.graph.node("layer")), {{"lstm": "f", "gru": "z", "rnn": "h"}[kind]: (0.5, None)})
    np.testing.assert_allclose(page.messages[-1][1][at].reshape(TIME, 6), want["h"][0], rtol=1e-5, atol=1e-6)
    assert float(page.messages[-1][0]["outcomes"][0]["after"].replace("−", "-")) == pytest.approx(float(want["h"].mean()), abs=1e-4)


def test_a_recorded_run_has_no_debugger_to_move(trace):
    page = Page(LSTMView(trace))
    ok, [(notice, _)] = page.say(type="lstm_more", what="go")
    assert not ok and "no debugger" in notice["text"]


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


# ---------------------------------------------------------------- the other kinds, both directions, lengths


def layer_of(kind, seed=0, *, both=False, layers=1, lengths=None, time=TIME, units=6, batch=BATCH):
    """A graph with one recurrent layer whose weights, biases too, are no longer as they started; a loss; a run of it with gradients."""
    with fl.Graph(kind) as g:
        seq = fl.placeholder((batch, time, FEATURES), name="seq")
        out, end = getattr(fl.nn, kind)(seq, units, layers=layers, bidirectional=both, lengths=lengths, name="layer")
        state = end[0] if kind == "lstm" else end
        loss = fl.add(fl.sum(fl.sin(out)), fl.mean(fl.square(state)), name="loss")
        grads = fl.gradients(loss, g.trainable_variables)
    sess, rng = fl.Session(g, seed=seed), np.random.default_rng(seed)
    for v in g.variables:
        sess.variables[v.node.name] = sess.variables[v.node.name] + rng.normal(0, 0.3, v.shape).astype("float32")
    return sess, sess.trace([loss, *grads], {"seq": rng.normal(size=(batch, time, FEATURES))}), grads


def by_the_textbook(kind, v, x, h0=None, held=None):
    """Gates and states as the textbook has them, in float64; `held` maps a letter to (value, unit)."""
    v = {k: a.astype("float64") for k, a in v.items()}
    units, x, held = v["recurrent_kernel"].shape[0], x.astype("float64"), held or {}
    h = np.zeros((len(x), units))
    out = {k: [] for k in ("rzn" if kind == "gru" else "us") + "h"}
    column = [slice(k * units, (k + 1) * units) for k in range(3)]

    def hold(letter, value):
        if letter in held:
            value[:, slice(None) if held[letter][1] is None else held[letter][1]] = held[letter][0]
        return value
    for t in range(x.shape[1]):
        if kind == "gru":
            a, s = x[:, t] @ v["kernel"] + v["bias"], h @ v["recurrent_kernel"] + v["recurrent_bias"]
            r, z = hold("r", sigmoid(a[:, column[0]] + s[:, column[0]])), hold("z", sigmoid(a[:, column[1]] + s[:, column[1]]))
            n = hold("n", np.tanh(a[:, column[2]] + r * s[:, column[2]]))
            h = (1 - z) * n + z * h
            now = {"r": r, "z": z, "n": n, "h": h}
        else:
            u, s = x[:, t] @ v["kernel"] + v["bias"], h @ v["recurrent_kernel"]
            h = hold("h", np.tanh(u + s))
            now = {"u": u, "s": s, "h": h}
        for k, value in now.items():
            out[k].append(value)
    return {k: np.stack(values, axis=1) for k, values in out.items()}


def weights(sess, scope):
    return {k: sess.variables[f"{scope}/{k}"] for k in ("kernel", "recurrent_kernel", "bias", "recurrent_bias") if f"{scope}/{k}" in sess.variables}


@pytest.mark.parametrize("kind, letters, held", [("gru", "rznh", {"z": (0.75, None), "r": (0.0, 2)}), ("rnn", "ush", {"h": (0.0, 3)})])
def test_a_gru_and_a_plain_rnn_show_what_the_textbook_says(kind, letters, held):
    sess, trace, _ = layer_of(kind)
    view = LSTMView(trace, sample=1)
    page = Page(view)
    data, buffers = page.hello()
    want = by_the_textbook(kind, weights(sess, "layer"), next(iter(trace.feeds.values())))
    assert data["kind"] == kind and data["layers"][0]["node"] == f"layer/{kind.upper()}"
    for letter, sent in zip(letters, buffers):
        np.testing.assert_allclose(sent.reshape(TIME, 6), want[letter][1], rtol=2e-5, atol=2e-6)
    if kind == "gru":      # the sums before the activations, and a ledger that adds up
        zr, zz, zn = (b.reshape(TIME, 6) for b in buffers[4:7])
        np.testing.assert_allclose(sigmoid(zr), want["r"][1], rtol=1e-5)
        np.testing.assert_allclose(sigmoid(zz), want["z"][1], rtol=1e-5)
        np.testing.assert_allclose(np.tanh(zn), want["n"][1], rtol=1e-5, atol=1e-6)
    assert data["norm"]
    for letter, (value, unit) in held.items():
        view.clamp(letter, value, unit)
    data, buffers = page.messages[-1]
    want = by_the_textbook(kind, weights(sess, "layer"), next(iter(trace.feeds.values())), held=held)
    for letter, sent in zip(letters, buffers):
        np.testing.assert_allclose(sent.reshape(TIME, 6), want[letter][1], rtol=3e-5, atol=3e-6)
    with pytest.raises(fl.FlowError, match="no gate 'f'"):
        view.clamp("f", 1)
    said = {o["label"]: o["after"] for o in data["outcomes"]}
    assert float(said["loss"].replace("−", "-")) == pytest.approx(float(np.sin(want["h"]).sum() + np.square(want["h"][:, -1]).mean()), rel=2e-3)
    assert kind.upper() in repr(view)


def differences(kind, v, x, sample, letter, loss, eps=1e-6):
    """‖∂L/∂state(t)‖ by nudging the state of one step, unit by unit, and running the textbook on from there."""
    units = v["recurrent_kernel"].shape[0]
    base = by_the_textbook(kind, v, x)["h"]
    norms = []
    for t in range(x.shape[1]):
        slopes = []
        for u in range(units):
            sides = []
            for sign in (1, -1):
                states = base.copy()
                states[sample, t, u] += sign * eps
                h = states[:, t]
                for later in range(t + 1, x.shape[1]):
                    one = by_the_textbook_from(kind, v, x[:, later], h)
                    states[:, later] = h = one
                sides.append(loss(states))
            slopes.append((sides[0] - sides[1]) / (2 * eps))
        norms.append(np.linalg.norm(slopes))
    return norms


def by_the_textbook_from(kind, v, x, h):
    units = h.shape[1]
    v = {k: a.astype("float64") for k, a in v.items()}
    if kind == "rnn":
        return np.tanh(x @ v["kernel"] + v["bias"] + h @ v["recurrent_kernel"])
    a, s = x @ v["kernel"] + v["bias"], h @ v["recurrent_kernel"] + v["recurrent_bias"]
    r, z = sigmoid(a[:, :units] + s[:, :units]), sigmoid(a[:, units:2 * units] + s[:, units:2 * units])
    n = np.tanh(a[:, 2 * units:] + r * s[:, 2 * units:])
    return (1 - z) * n + z * h


@pytest.mark.parametrize("kind", ["gru", "rnn"])
def test_the_gradients_norm_is_what_nudging_the_state_says(kind):
    sess, trace, _ = layer_of(kind, time=6, units=4)
    x = next(iter(trace.feeds.values())).astype("float64")
    _, buffers = Page(LSTMView(trace, sample=2)).hello()
    want = differences(kind, weights(sess, "layer"), x, 2, "h", lambda h: np.sin(h).sum() + np.square(h[:, -1]).mean())
    np.testing.assert_allclose(buffers[-1], want, rtol=1e-4)


def test_both_directions_and_several_layers_stand_side_by_side():
    sess, trace, _ = layer_of("gru", both=True, layers=2)
    x = next(iter(trace.feeds.values()))
    view = LSTMView(trace)
    page = Page(view)
    data, buffers = page.hello()
    assert [(y["node"], y["from_the_end"]) for y in data["layers"]] == [
        (f"layer/layer_{k}/{side}/GRU", side == "backward") for k in range(2) for side in ("forward", "backward")]
    view.layer = 2
    data, buffers = page.messages[-1]
    np.testing.assert_array_equal(buffers[8].reshape(FEATURES, TIME), x[0, ::-1].T, "the strip goes as the layer reads: from the end")
    want = by_the_textbook("gru", weights(sess, "layer/layer_0/backward"), x[:, ::-1])
    np.testing.assert_allclose(buffers[3].reshape(TIME, 6), want["h"][0], rtol=2e-5, atol=2e-6)
    view.layer = 4
    np.testing.assert_array_equal(page.messages[-1][1][8].reshape(FEATURES, TIME), x[0, ::-1].T, "what the stack reads")
    ok, [(data, buffers)] = page.say(type="lstm_more", what="layers")
    assert ok and [m["node"] for m in data["maps"]] == [n.name for n in trace.graph.nodes if n.op.name == "GRU"]
    np.testing.assert_allclose(buffers[1].reshape(TIME, 6), want["h"][0, ::-1], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_lengths_are_kept_by_clamps_states_and_the_way_back(kind):
    lengths = np.array([TIME, 4, 0])
    _, trace, _ = layer_of(kind, lengths=lengths)
    view = LSTMView(trace, sample=1)
    page = Page(view)
    data, buffers = page.hello()
    assert data["length"] == 4
    sums = buffers[{"lstm": 6, "gru": 4, "rnn": 0}[kind]].reshape(TIME, 6)
    assert sums[:4].all() and (not sums[4:].any() if kind == "rnn" else np.isnan(sums[4:]).all())
    assert (buffers[-1][:4] > 0).all() and not buffers[-1][4:].any(), "no error comes back from beyond the end"
    layer = layer_values(reader(trace), trace.graph.node("layer"))
    for letter, value in forward(layer, {}).items():
        np.testing.assert_allclose(value, layer.out[letter], rtol=1e-5, atol=1e-6)
    gate = {"lstm": "f", "gru": "z", "rnn": "h"}[kind]
    plain = trace.value(f"layer/{kind.upper()}:h_n")
    view.clamp(gate, 0.5)
    after = view._now.value(trace.graph.node("layer").output("h_n"))
    np.testing.assert_array_equal(after[2], plain[2], "a sequence of no steps ends where it began")
    np.testing.assert_array_equal(after[1], view._layers[0].out["h"][1, 3])


# ---------------------------------------------------------------- the error beside a plain layer's, moments over a data set, saturation


def test_the_error_goes_back_through_a_plain_layer_too(trace):
    from flowlab.apps import cells
    view = LSTMView(trace)
    found = view.gradient_through_time(seed=4)
    assert not found.of_loss and found.own.shape == found.plain.shape == (TIME,)
    layer = view._layers[-1]
    plain = cells.plain_layer(layer, 4)
    v = {"kernel": plain.kernel, "recurrent_kernel": plain.recurrent_kernel, "bias": plain.bias}
    np.testing.assert_allclose(plain.recurrent_kernel @ plain.recurrent_kernel.T, np.eye(UPPER), atol=1e-10)
    want = differences("rnn", v, layer.x.astype("float64"), 0, "h", lambda h: h[:, -1].sum())
    np.testing.assert_allclose(found.plain, want, rtol=1e-5)
    assert found.plain[-1] == pytest.approx(np.sqrt(UPPER)), "the sum of h at the last step"
    ok, [(data, buffers)] = Page(view).say(type="lstm_more", what="gradient")
    assert ok and not data["of_loss"] and buffers[0].shape == buffers[1].shape == (TIME,)
    same = LSTMView(trace).gradient_through_time(4)
    np.testing.assert_array_equal(same.plain, found.plain)


def test_of_a_loss_the_same_error_goes_back_through_both():
    _, trace, _ = layer_of("lstm")
    page = Page(LSTMView(trace))
    norm = page.hello()[1][-1]
    ok, [(data, (own, plain))] = page.say(type="lstm_more", what="gradient")
    assert ok and data["of_loss"]
    np.testing.assert_allclose(own, norm, rtol=1e-5)
    assert (plain > 0).all()


def test_moments_like_this_one_over_a_data_set(session, trace, feeds):
    rng = np.random.default_rng(3)
    many = rng.normal(size=(40, TIME, FEATURES)).astype("float32")
    many[17] = feeds["seq"][1]
    view = LSTMView(trace, data=many, sample=1, t=7)
    best = view.similar(way="distance")[0]
    assert (best.sequence, best.t) == (17, 7) and best.score == pytest.approx(0, abs=1e-3)
    c = session.trace("head/Add", {"seq": many, "labels": np.zeros(40, "int64")}).gates("upper")["c"]
    want = trace.gates("upper")["c"][1, 7]
    all_of = (c @ want) / np.linalg.norm(c, axis=-1) / np.linalg.norm(want)
    found = view.similar(count=5)
    assert [m.score for m in found] == sorted((m.score for m in found), reverse=True)
    for m in found:
        assert m.score == pytest.approx(all_of[m.sequence, m.t], rel=1e-5)
    assert found[0].score == pytest.approx(all_of.max(), rel=1e-6)
    assert all(abs(a.t - b.t) >= 3 for a in found for b in found if a is not b and a.sequence == b.sequence)
    units = [0, 4]
    few = view.similar(units, letter="h", way="distance", count=1)[0]
    h = session.trace("head/Add", {"seq": many, "labels": np.zeros(40, "int64")}).gates("upper")["h"][..., units]
    assert few.score == pytest.approx(np.linalg.norm(h - trace.gates("upper")["h"][1, 7, units], axis=-1).min(), abs=1e-3)
    on = want > 0.1
    high = c > 0.1
    share = (high & on).sum(-1) / (high | on).sum(-1)
    assert view.similar(way="threshold", threshold=0.1)[0].score == pytest.approx(share.max())
    page = Page(view)
    ok, [(data, strips)] = page.say(type="lstm_similar", letter="c", way="cosine", threshold=0.3, units=[])
    assert ok and (data["moments"], data["sequences"], data["own"]) == (40 * TIME, 40, False)
    for row, strip in zip(data["found"], strips):
        np.testing.assert_array_equal(strip.reshape(FEATURES, row["steps"]), many[row["sequence"], row["first"]:row["first"] + row["steps"]].T)
        assert row["first"] <= row["t"] < row["first"] + row["steps"]


def test_data_come_as_traces_feeds_and_batches_and_what_does_not_fit_is_told(session, trace, feeds):
    other = session.trace("loss", {**feeds, "seq": feeds["seq"][:2], "labels": feeds["labels"][:2]})
    for data in ([trace, other], [feeds["seq"], feeds["seq"][:2]], [{"seq": feeds["seq"]}, {"seq": feeds["seq"][:2]}]):
        assert LSTMView(trace, data=data).moments().count == 5 * TIME
    assert LSTMView(trace).moments().count == BATCH * TIME
    for data, says in [(np.zeros((4, 3)), "fits 0 of what"), ("text", "sequences of numbers"), (fl.Session(fl.expand(session.graph, "lower/LSTM")).trace("head/Add", feeds), "this view shows")]:
        with pytest.raises(fl.FlowError, match=says):
            LSTMView(trace, data=data).moments()
    view = LSTMView(trace)
    for kwargs, says in [({"way": "smell"}, "cannot be compared"), ({"letter": "f"}, "not compared by 'f'"), ({"units": [99]}, "not all there"),
                         ({"way": "threshold", "threshold": 50.0}, "no unit is above")]:
        with pytest.raises(fl.FlowError, match=says):
            view.similar(**kwargs)


def test_ten_thousand_sequences_are_searched_in_a_moment():
    import time

    from flowlab.apps import cells
    rng = np.random.default_rng(0)
    values = rng.normal(size=(10_000, 40, 32)).astype("float32")
    moments = cells.Moments(np.zeros((10_000, 40, 1), "float32"), {"c": values})
    began = time.perf_counter()
    best = cells.similar(moments, values[8_123, 11], "c", way="distance")[0]
    seconds = time.perf_counter() - began
    assert (best.sequence, best.t) == (8_123, 11) and best.score == pytest.approx(0, abs=0.02)
    assert seconds < 5, f"{seconds:.2f} s for 400,000 moments"


def test_saturation_over_the_data(trace):
    page = Page(LSTMView(trace))
    ok, [(data, buffers)] = page.say(type="lstm_more", what="saturation")
    assert ok and data["gates"] == ["f", "i", "o"] and data["moments"] == BATCH * TIME
    for k, gate in enumerate(data["gates"]):
        values = trace.gates("upper")[gate]
        np.testing.assert_allclose(buffers[2 * k], (values < 0.1).mean((0, 1)), rtol=1e-6)
        np.testing.assert_allclose(buffers[2 * k + 1], (values > 0.9).mean((0, 1)), rtol=1e-6)


@pytest.mark.parametrize("kind, letters", [("lstm", "fio"), ("gru", "rz"), ("rnn", "h")])
def test_the_same_as_plotly_figures(kind, letters):
    pytest.importorskip("plotly")
    _, trace, _ = layer_of(kind)
    view = LSTMView(trace, sample=1)
    figure = fl.plots.saturation(trace, "layer")
    assert [t.name for t in figure.data] == list(letters)
    for t, (shut, opened) in zip(figure.data, view.saturation().values()):
        np.testing.assert_allclose(t.x, opened)
        np.testing.assert_allclose(t.y, shut)
    own, plain = fl.plots.gradient_through_time(trace, "layer", sample=1, seed=2).data
    want = view.gradient_through_time(2)
    np.testing.assert_allclose(np.array(own.y, float), want.own)
    np.testing.assert_allclose(np.array(plain.y, float), want.plain)
    with pytest.raises(fl.FlowError, match="no sample 9"):
        fl.plots.gradient_through_time(trace, "layer", sample=9)
    with pytest.raises(fl.FlowError, match="not a recurrent layer"):
        fl.plots.saturation(trace, "loss")


def test_the_page_may_send_its_picture_and_nonsense_is_let_be(trace):
    view = LSTMView(trace)
    page = Page(view)
    for png in ("data:image/png;base64,iVBORw0KGgo=", "data:text/html,x", None):
        view._handle_custom_msg({"type": "picture", "png": png, "width": 30, "height": 20}, [])
    assert not page.messages


# ---------------------------------------------------------------- long and wide


def test_a_long_sequence_and_a_wide_layer_come_in_pages():
    with fl.Graph("long") as g:
        x = fl.placeholder((1, 10_000, 2), name="x")
        fl.nn.lstm(x, 3, name="long")
        y = fl.placeholder((1, 2, 2), name="y")
        k, r, b = (fl.placeholder(shape, name=name) for name, shape in (("k", (2, 4096)), ("r", (4096, 4096)), ("b", (4096,))))
        get_op("RNN")(y, k, r, b, name="wide")
    rng = np.random.default_rng(0)
    trace = fl.Session(g).trace(["long/LSTM:out", "wide:out"], {"x": rng.normal(size=(1, 10_000, 2)), "y": rng.normal(size=(1, 2, 2)),
                                 "k": rng.normal(size=(2, 4096)), "r": np.eye(4096) * 0.5, "b": np.zeros(4096)})
    view = LSTMView(trace, "long", t=9_990)
    page = Page(view)
    data, buffers = page.hello()
    assert (data["t_from"], data["t_count"], data["layers"][0]["timesteps"]) == (9_000, 1_000, 10_000)
    gates = trace.gates("long")
    np.testing.assert_array_equal(buffers[4].reshape(1_000, 3), gates["c"][0, 9_000:])
    np.testing.assert_array_equal(buffers[10], gates["c"][0, 8_999], "what the first step of the page finds")
    np.testing.assert_allclose(sigmoid(buffers[6].reshape(1_000, 3)), gates["f"][0, 9_000:], rtol=1e-5)
    page.messages.clear()
    view.t = 9_500
    assert not page.messages
    view.t = 12
    assert page.messages[-1][0]["t_from"] == 0
    wide = LSTMView(trace, "wide", unit=4_095)
    data, buffers = Page(wide).hello()
    assert (data["unit_from"], data["unit_count"]) == (3_584, 512)
    np.testing.assert_array_equal(buffers[2].reshape(2, 512), trace.gates("wide")["h"][0, :, 3_584:])


def test_repr_says_where_it_stands(trace):
    assert repr(LSTMView(trace, t=2, unit=3)) == "LSTM view of upper/LSTM: step 2 of 11, unit 3 of 6, sample 0 of 3"
