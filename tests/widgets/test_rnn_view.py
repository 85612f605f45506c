"""The unrolled view's kernel side: what it sends is the run's, the uses sum to the gradient, characters are guessed as a fresh run guesses, and what it refuses."""
from __future__ import annotations

import numpy as np
import pages
import pytest

pytest.importorskip("anywidget")

import flowlab as fl
from flowlab.apps import characters as C
from flowlab.widgets import protocol as P
from flowlab.widgets.rnn import RNNView

BATCH, TIME, FEATURES, UNITS = 3, 9, 4, 6


class Page(pages.Page):
    """Answers by their type."""

    def say(self, **content):
        ok, answers = super().say(**content)
        return ok, {data["type"]: (data, buffers) for data, buffers in answers}

    def hello(self):
        ok, answers = self.say(type="hello", version=P.VERSION)
        assert ok
        return answers


@pytest.fixture(scope="module")
def trace():
    rng = np.random.default_rng(3)
    with fl.Graph("four ways") as g:
        x = fl.placeholder(("batch", "time", FEATURES), name="x")
        a, _ = fl.nn.rnn(x, UNITS, name="rnn")
        b, _ = fl.nn.gru(a, UNITS, name="gru")
        c, (last, _) = fl.nn.lstm(b, UNITS, name="lstm")
        w, r = fl.variable(rng.normal(size=(UNITS, 5)), name="w", dtype="float32"), fl.variable(rng.normal(size=(5, 5)) * 0.3, name="r", dtype="float32")
        with fl.scan(c, time_axis=1, name="own") as step:
            h = step.state("h", size=5)
            new = fl.tanh(step.input @ w + h @ r)
            step.update(h, new)
            step.output(new)
        loss = fl.add(fl.mean(fl.square(step.outputs[0])), fl.sum(last), name="loss")
        grads = fl.gradients(loss, g.trainable_variables)
    return fl.Session(g, seed=1).trace([loss, *grads], {x: rng.normal(size=(BATCH, TIME, FEATURES))})


def test_every_layer_sends_what_the_run_recorded(trace):
    page = Page(RNNView(trace, sample=1))
    page.hello()
    given = {"rnn/RNN": ("x", "rnn/RNN"), "gru/GRU": ("rnn/RNN", "gru/GRU"), "lstm/LSTM": ("gru/GRU", "lstm/LSTM"), "own/Scan": ("lstm/LSTM", "own/Scan")}
    for layer, (node, (source, result)) in enumerate(given.items()):
        ok, answers = page.say(type="rnn_ask", layer=layer, sample=2, t=4)
        data, (x, h, start, *_) = answers["rnn"]
        assert ok and data["layers"][layer]["node"] == node and (data["start"], data["count"]) == (0, TIME)
        np.testing.assert_allclose(x.reshape(TIME, -1), trace.value(source)[2], rtol=1e-6)
        np.testing.assert_allclose(h.reshape(TIME, -1), trace.value(result)[2], rtol=1e-5, atol=1e-7)
        assert not start.any()
        assert data["numbers"] == sum(v["numbers"] for v in data["variables"]) == sum(int(np.prod(v["shape"])) for v in data["variables"])
    assert page.view.layer == 4 and [v["name"] for v in data["variables"]] == ["w", "r"]


def test_more_copies_change_nothing_that_is_learned(trace):
    view = RNNView(trace, "rnn", k=0)
    before = Page(view).hello()["rnn"][0]
    view.k = 5
    after = Page(view).hello()["rnn"][0]
    assert (view.k, before["numbers"]) == (5, FEATURES * UNITS + UNITS * UNITS + UNITS) and after == before


@pytest.mark.parametrize(("layer", "work"), [
    ("rnn", lambda v: np.tanh(v["x"] + v["h"] + v["b"])), ("gru", lambda v: (1 - v["z"]) * v["n"] + v["z"] * v["h before"]),
    ("lstm", lambda v: v["o"] * np.tanh(v["f"] * v["c before"] + v["i"] * v["g"])), ("own", lambda v: np.tanh(v["Add_1" if "Add_1" in v else next(iter(v))]))])
def test_the_equation_of_a_unit_gives_its_value(trace, layer, work):
    page = Page(RNNView(trace, layer, sample=1))
    page.hello()
    ok, answers = page.say(type="rnn_unit_ask", unit=3)
    data, buffers = answers["rnn_unit"]
    values = dict(zip(data["terms"], buffers))
    assert ok and data["unit"] == 3
    np.testing.assert_allclose(work(values), values["h after"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["rnn", "gru", "lstm", "own"])
def test_the_uses_sum_to_the_gradient_of_the_run(trace, layer):
    page = Page(RNNView(trace, layer))
    weights = page.hello()["rnn"][0]["variables"]
    wanted = dict(zip((v.node.name for v in trace.graph.trainable_variables), trace.results[1:]))
    for weight in weights:
        ok, answers = page.say(type="rnn_uses_ask", of="loss", weight=weight["name"], t=0)
        data, (along, norms, error, direct, later, (size, apart), total, each) = answers["rnn_uses"]
        gradient = wanted[weight["name"]]
        assert ok and 0 <= apart < 1e-4 and size == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
        np.testing.assert_allclose(each.reshape(TIME, -1).sum(axis=0), gradient.ravel(), rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(total, gradient.ravel(), rtol=1e-3, atol=1e-6)
        assert along.sum() == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
        assert norms.shape == error.shape == direct.shape == later.shape == (TIME,)
        assert later[-1] == 0 and direct[-1] == error[-1] > 0
    assert page.view.uses().of == "loss"


def test_a_debugger_that_has_passed_a_layer_and_an_editor_are_looked_into(trace):
    graph = trace.graph
    session = fl.Session(graph, seed=1)
    debugger = fl.Debugger(session, "loss", {"x": trace.value("x")})
    with pytest.raises(fl.FlowError, match="none of .* was computed"):
        RNNView(debugger)
    debugger.run_to("gru/GRU")
    page = Page(RNNView(debugger))
    data, buffers = page.hello()["rnn"]
    assert [layer["node"] for layer in data["layers"]] == ["rnn/RNN"] and data["losses"] == []
    np.testing.assert_allclose(buffers[1], trace.value("rnn/RNN")[0].ravel(), rtol=1e-5, atol=1e-7)
    assert "no scalar of this run comes after" in page.refused(type="rnn_uses_ask", of="", weight="", t=0)
    with pytest.raises(fl.FlowError, match="recorded no run"):
        RNNView(fl.Session(graph, seed=1))
    editor = fl.Editor(graph, session=session, feeds={"x": trace.value("x")})
    with pytest.raises(fl.FlowError, match="nothing has run in this editor yet"):
        RNNView(editor)
    editor.run()
    assert Page(RNNView(editor, "own")).hello()["rnn"][0]["losses"][0] == "loss"


def test_what_is_not_there_is_refused_and_changes_nothing(trace):
    with pytest.raises(fl.FlowError, match="loss is an Add, no recurrent layer"):
        RNNView(trace, "loss")
    with pytest.raises(fl.FlowError, match="no recurrent layer named 'wheel'"):
        RNNView(trace, "wheel")
    with pytest.raises(fl.FlowError, match="not into a list"):
        RNNView([])
    with pytest.raises(fl.FlowError, match="beside is a text"):
        RNNView(trace, beside=3)
    with pytest.raises(fl.FlowError, match="guesses no characters"):
        RNNView(trace, "rnn", alphabet="abcd")
    view = RNNView(trace, "rnn", t=4)
    for name, value, said in (("t", TIME, "no timestep 9"), ("unit", UNITS, "no unit 6"), ("sample", BATCH, "no sample 3"), ("k", 10, "10 copies"), ("layer", 5, "no layer 5")):
        with pytest.raises(fl.FlowError, match=said):
            setattr(view, name, value)
    page = Page(view)
    assert "no layer 9" in page.refused(type="rnn_ask", layer=8, sample=0)
    assert "no sample 7" in page.refused(type="rnn_ask", layer=1, sample=7)
    assert "no gradient of 'x'" in page.refused(type="rnn_uses_ask", of="x", weight="", t=0)
    assert "learns nothing named 'y'" in page.refused(type="rnn_uses_ask", of="loss", weight="y", t=0)
    assert "reads no characters" in page.refused(type="rnn_guess_ask", text="a", context=0)
    assert "no text to train on" in page.refused(type="rnn_compare")
    assert "does not know" in page.refused(type="sing")
    assert (view.layer, view.sample, view.t) == (1, 0, 4)


def test_ten_thousand_timesteps_and_4096_units_come_in_pages():
    rng = np.random.default_rng(0)
    with fl.Graph("long") as g:
        x = fl.placeholder((1, "time", 2), name="x")
        out, _ = fl.nn.rnn(x, 16, name="rnn")
        loss = fl.mean(out, name="loss")
    trace = fl.Session(g, seed=0).trace([loss], {x: rng.normal(size=(1, 10_000, 2))})
    page = Page(RNNView(trace, t=9_000))
    data, buffers = page.hello()["rnn"]
    assert data["count"] == 10_000 and not data["automatic"]
    with fl.Graph("wide") as g:
        x = fl.placeholder((1, "time", 3), name="x")
        kernel, recurrent, bias = (fl.variable(np.zeros(shape, "float32"), name=name) for name, shape in (("k", (3, 4096)), ("r", (4096, 4096)), ("b", (4096,))))
        loss = fl.mean(fl.rnn(x, kernel, recurrent, bias, name="rnn")[0], name="loss")
    trace = fl.Session(g, seed=0).trace([loss], {x: np.full((1, 12, 3), np.nan)})
    page = Page(RNNView(trace))
    data, (_x, h, _start) = page.hello()["rnn"]
    assert data["units_step"] == 32 and h.size == 12 * 128 and np.isnan(h).all()
    assert data["layers"][0]["units"] == 4096


def test_what_is_no_number_stays_none():
    with fl.Graph("lost") as g:
        x = fl.placeholder((1, 5, 3), name="x")
        out, _ = fl.nn.rnn(x, 4, name="rnn")
        loss = fl.mean(out, name="loss")
    values = np.ones((1, 5, 3))
    values[0, 3] = np.nan
    page = Page(RNNView(fl.Session(g, seed=0).trace([loss], {x: values})))
    _, (seen, h, _) = page.hello()["rnn"]
    assert np.isnan(seen.reshape(5, 3)).all(axis=1).tolist() == np.isnan(h.reshape(5, 4)).all(axis=1).tolist()[:4] + [False]
    ok, answers = page.say(type="rnn_uses_ask", of="", weight="", t=0)
    _, (along, _norms, error, _direct, _later, (size, apart), *_) = answers["rnn_uses"]
    assert ok and np.isnan([size, apart]).all() and np.isnan(along).all() and np.isnan(error[0])


def test_the_view_looks_again_where_a_debugger_has_gone_on(trace):
    debugger = fl.Debugger(fl.Session(trace.graph, seed=1), "loss", {"x": trace.value("x")})
    debugger.run_to("gru/GRU")
    view = RNNView(debugger, "rnn", t=5)
    debugger.resume()
    view.refresh()
    data, _ = Page(view).hello()["rnn"]
    assert [layer["node"] for layer in data["layers"]] == ["rnn/RNN", "gru/GRU", "lstm/LSTM", "own/Scan"] and (view.t, data["losses"][0]) == (5, "loss")
    with fl.Graph("another") as g:
        out, _ = fl.nn.rnn(fl.placeholder((1, 2, 3), name="x"), 4, name="rnn")
    with pytest.raises(fl.FlowError, match="a run of 'another'"):
        view.refresh(fl.Session(g).trace([out], {"x": np.zeros((1, 2, 3))}))


def test_a_page_of_timesteps_follows_the_cursor(trace, monkeypatch):
    monkeypatch.setattr("flowlab.widgets.rnn.PAGE", 1)
    monkeypatch.setattr("flowlab.widgets.rnn.COPIES", 1)
    page = Page(RNNView(trace, "rnn", k=1))
    assert page.hello()["rnn"][0]["count"] == 4
    ok, answers = page.say(type="rnn_ask", layer=0, sample=0, t=7)
    data, (_x, h, start) = answers["rnn"]
    assert ok and (data["start"], data["count"]) == (5, 4)
    np.testing.assert_allclose(h.reshape(4, -1), trace.value("rnn/RNN")[0, 5:9], rtol=1e-6)
    np.testing.assert_allclose(start, trace.value("rnn/RNN")[0, 4], rtol=1e-6)


# ---------------------------------------------------------------- characters


TEXT = "你好世界"


@pytest.fixture(scope="module")
def speaker():
    """A small network that has learnt to say four characters over and over; (trace, its symbols)."""
    symbols, rng = sorted(set(TEXT)), np.random.default_rng(0)
    ids = np.array([symbols.index(c) for c in TEXT * 20])
    with fl.Graph("characters") as g:
        x, y = (fl.placeholder(("batch", "time"), "int64", name=n) for n in "xy")
        h, _ = fl.nn.rnn(fl.one_hot(x, depth=4), 16, name="rnn")
        scores = fl.nn.dense(h, 4, name="out")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(scores, y), name="loss")
        train = fl.optim.Adam(0.02).minimize(loss)
    session = fl.Session(g, seed=0)
    for _ in range(40):
        at = rng.integers(0, 60, 8)
        session.run(train, {x: np.stack([ids[s:s + 12] for s in at]), y: np.stack([ids[s + 1:s + 13] for s in at])})
    return session.trace([loss], {x: ids[None, :12], y: ids[None, 1:13]}), symbols


def test_the_strip_guesses_what_a_fresh_run_guesses(speaker):
    trace, symbols = speaker
    page = Page(RNNView(trace, alphabet=symbols))
    answers = page.hello()
    assert answers["rnn"][0]["symbols"] == list(TEXT * 3)
    data, _ = answers["rnn_guesses"]
    assert data["text"] == list(TEXT * 3) and not data["typed"]
    assert [row[0] for row in data["top"][4:-1]] == data["text"][5:]          # it has learnt them
    for text, context in (("好好界", 0), ("世界你好世界", 2)):
        ok, answers = page.say(type="rnn_guess_ask", text=text, context=context)
        data, _ = answers["rnn_guesses"]
        assert ok and data["typed"] and data["context"] == context
        for k in range(len(text)):
            seen = text[:k + 1][-context:] if context else text[:k + 1]
            scores = trace.session.run("out/Add", {"x": [[symbols.index(c) for c in seen]]})[0, -1].astype("float64")
            wanted = np.exp(scores) / np.exp(scores).sum()
            best = np.argsort(-wanted)
            assert data["top"][k] == [symbols[j] for j in best]
            np.testing.assert_allclose(data["shares"][k], wanted[best], rtol=1e-4)
    assert "knows no '天'" in page.refused(type="rnn_guess_ask", text="你天", context=0)
    assert "a context of -1" in page.refused(type="rnn_guess_ask", text="你", context=-1)
    assert "2001 characters" in page.refused(type="rnn_guess_ask", text="你" * 2001, context=0)


def test_a_network_with_a_fixed_batch_and_time_reads_shorter_texts():
    with fl.Graph("fixed") as g:
        x = fl.placeholder((2, 5, 3), name="x")
        h, _ = fl.nn.rnn(x, 4, name="rnn")
        scores = fl.nn.dense(h, 3, name="out")
        fl.mean(scores, name="loss")
    session = fl.Session(g, seed=3)
    ids = np.array([[0, 1, 2, 1, 0], [2, 2, 1, 0, 1]])
    page = Page(RNNView(session.trace([scores], {x: np.eye(3)[ids]}), alphabet="abc"))
    assert page.hello()["rnn_guesses"][0]["text"] == list("abcba")
    ok, answers = page.say(type="rnn_guess_ask", text="cab", context=2)
    padded = np.zeros((2, 5), int)
    padded[0, :2] = [0, 1]
    scores = session.run("out/Add", {"x": np.eye(3)[padded]})[0, 1]
    assert ok and answers["rnn_guesses"][0]["top"][2] == ["abc"[k] for k in np.argsort(-scores)]
    assert "takes 5 characters, the text has 6" in page.refused(type="rnn_guess_ask", text="abcabc", context=0)


def test_an_alphabet_that_does_not_fit_is_refused(speaker):
    trace, symbols = speaker
    with pytest.raises(fl.FlowError, match="gives no"):
        RNNView(trace, alphabet=[*symbols, "天"])
    with pytest.raises(fl.FlowError, match="a character twice"):
        RNNView(trace, alphabet="你你好世")
    assert Page(RNNView(trace)).hello()["rnn_guesses"][0]["text"][:3] == [str(symbols.index(c)) for c in TEXT[:3]]     # numbers, where no alphabet was given


def test_a_network_that_reads_from_the_end_too_guesses_nothing():
    with fl.Graph("both ways") as g:
        x = fl.placeholder(("batch", "time"), "int64", name="x")
        both, _ = fl.nn.bidirectional(fl.one_hot(x, depth=3), 4, cell="rnn", name="both")
        scores = fl.nn.dense(both, 3, name="out")
    trace = fl.Session(g, seed=0).trace([scores], {x: [[0, 1, 2, 0]]})
    assert not Page(RNNView(trace)).hello()["rnn"][0]["guesses"]
    with pytest.raises(fl.FlowError, match="reads a text from its end too"):
        RNNView(trace, alphabet="abc")


def test_a_feed_forward_network_of_the_same_size_beside_it(speaker):
    trace, symbols = speaker
    found = C.contexts(TEXT * 20, (1, 3), units=8, steps=60)
    assert [r.n for r in found.rows] == [1, 3] and all(r.recurrent == r.forward == 1 for r in found.rows)
    for row in found.rows:
        assert abs(row.forward_numbers - row.recurrent_numbers) <= 4 * row.n + 5      # nearest that whole hidden units allow
    assert Page(RNNView(trace, alphabet=symbols, beside=found)).hello()["rnn"][0]["beside"][1]["n"] == 3
    page = Page(RNNView(trace, alphabet=symbols, beside=TEXT * 20))
    data, _ = page.hello()["rnn"]
    assert data["compares"] and data["beside"] == []          # nothing is trained unasked
    ok, answers = page.say(type="rnn_compare")
    data, _ = answers["rnn"]
    assert ok and not data["compares"] and [row["n"] for row in data["beside"]] == [1, 2, 4, 8]
    with pytest.raises(fl.FlowError, match="too few for a context of 8"):
        C.contexts("short")
    zen = C.zen()
    assert zen.startswith("The Zen of Python") and len(zen) > 800
    assert repr(found).count("recurrent") == 2


def test_the_figure_of_accuracy_and_time():
    pytest.importorskip("plotly")
    rows = tuple(C.Context(n, 0.1 * n, 0.2, 0.3, 0.4, 100, 90 + n) for n in (1, 2, 4))
    figure = fl.plots.context(C.Contexts(rows, "text", 8, 60))
    assert [list(t.y) for t in figure.data] == [[0.1, 0.2, 0.4], [0.2] * 3, [0.3] * 3, [0.4] * 3] and list(figure.data[0].x) == [1, 2, 4]
