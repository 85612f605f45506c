"""What each timestep adds to the gradient of a recurrent layer's weights: it is that use's own derivative, and all uses sum to the graph's gradient."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.apps.uses import RECURRENT, Layer, weight_uses
from flowlab.ops import recurrent

BATCH, TIME, FEATURES, UNITS = 3, 6, 4, 5
CELLS = {"rnn": ("h",), "gru": ("h",), "lstm": ("h", "c")}


def network(cell, *, lengths=False, reverse=False, outputs=True):
    """A graph whose loss looks at every output and at the last state."""
    rng = np.random.default_rng(4)
    with fl.Graph(cell) as g:
        x = fl.placeholder(("batch", "time", FEATURES), "float64", name="x")
        many = fl.placeholder(("batch",), "int64", name="lengths") if lengths else None
        if cell == "scan":
            w, r = fl.variable(rng.normal(size=(FEATURES, UNITS)), name="w"), fl.variable(rng.normal(size=(UNITS, UNITS)) * 0.4, name="r")
            with fl.scan(x, time_axis=1, name="own", lengths=many, reverse=reverse) as step:
                h = step.state("h", size=UNITS)
                new = fl.tanh(step.input @ w + h @ r)
                step.update(h, new)
                step.output(new * 2.0)
            out, last = step.outputs[0], step.states["h"]
        else:
            out, last = getattr(fl.nn, cell)(x, UNITS, lengths=many, name=cell)
            last = last[0] if isinstance(last, tuple) else last
        loss = fl.sum(fl.tanh(last), name="at_the_end")
        loss = fl.add(fl.mean(fl.square(out)), loss, name="loss") if outputs else loss
        grads = fl.gradients(loss, g.trainable_variables)
    feeds = {"x": rng.normal(size=(BATCH, TIME, FEATURES))}
    if lengths:
        feeds["lengths"] = np.array([TIME, 3, 0])
    trace = fl.Session(g, seed=2).trace([loss, *grads], feeds)
    node = next(n for n in g.nodes if n.op.name in RECURRENT and n.phase == "forward")
    return trace, loss, node, dict(zip((v.node.name for v in g.trainable_variables), trace.results[1:]))


@pytest.mark.parametrize("options", [{}, {"lengths": True}, {"outputs": False}], ids=["whole", "lengths", "last state only"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "scan"])
def test_the_uses_sum_to_the_graphs_gradient(cell, options):
    trace, loss, node, wanted = network(cell, **options)
    uses = weight_uses(loss, node, trace.value)
    assert set(uses.totals) == set(wanted)
    for name, gradient in wanted.items():
        np.testing.assert_allclose(sum(uses.at(name, t) for t in range(TIME)), gradient, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(uses.recorded[name], gradient, rtol=1e-12, atol=1e-14)
        assert uses.apart(name) < 1e-12
        assert uses.along[name].sum() == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
        np.testing.assert_allclose(uses.norms[name], [np.linalg.norm(uses.at(name, t)) for t in range(TIME)], rtol=1e-12)
    for name, state in Layer(node, trace.value).states().items():
        assert state.shape == (TIME, BATCH, UNITS), name


def test_a_scan_from_the_last_timestep_to_the_first():
    trace, loss, node, wanted = network("scan", reverse=True)
    uses = weight_uses(loss, node, trace.value)
    for name, gradient in wanted.items():
        np.testing.assert_allclose(sum(uses.at(name, t) for t in range(TIME)), gradient, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(uses.layer.states()["h"] * 2, np.moveaxis(trace.value(node.outputs[0]), 1, 0))


def loss_of(cell, trace, node, t, change):
    """The loss if the weights were others at timestep t alone: the layer is run up to t, at t and from there on."""
    if cell == "scan":
        h, outs = np.zeros((BATCH, UNITS)), []
        x = trace.value("x")
        for k in range(TIME):
            w, r = (trace.value(n) + (change[n] if k == t else 0.0) for n in ("w", "r"))
            h = np.tanh(x[:, k] @ w + h @ r)
            outs.append(2 * h)
        return np.mean(np.square(np.stack(outs, 1))) + np.tanh(h).sum()
    weights = {p: trace.value(v) for p, v in zip(node.ports, node.inputs) if p != "x"}
    states, outs = {}, []
    for part, other in ((slice(0, t), False), (slice(t, t + 1), True), (slice(t + 1, TIME), False)):
        with fl.Graph() as g:
            own = {p: v + change[f"{cell}/{p}"] if other else v for p, v in weights.items()}
            made = getattr(recurrent, cell)(fl.constant(trace.value("x")[:, part]), **own, **states)
        values = fl.Session(g).run(list(made[:3 if cell == "lstm" else 2]))
        outs.append(values[0])
        states = {f"{s}0": v for s, v in zip(CELLS[cell], values[1:])}
    return np.mean(np.square(np.concatenate(outs, 1))) + np.tanh(states["h0"]).sum()


@pytest.mark.parametrize("t", [0, 3, TIME - 1])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "scan"])
def test_one_use_is_the_slope_by_the_weight_at_that_timestep_alone(cell, t):
    trace, loss, node, wanted = network(cell)
    uses = weight_uses(loss, node, trace.value)
    rng = np.random.default_rng(t)
    for name, gradient in wanted.items():
        direction = rng.normal(size=gradient.shape)
        up, down = (loss_of(cell, trace, node, t, {n: (step * direction if n == name else 0.0) for n in wanted}) for step in (1e-5, -1e-5))
        assert np.sum(uses.at(name, t) * direction) == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("cell", ["rnn", "scan"])
def test_the_error_at_a_state_is_what_comes_from_its_outputs_and_from_later(cell):
    trace, loss, node, _ = network(cell)
    uses = weight_uses(loss, node, trace.value)
    h, x = (np.moveaxis(trace.value(node.outputs[0]), 1, 0) / (2 if cell == "scan" else 1), trace.value("x"))
    k, r, b = (trace.value(f"rnn/{n}") for n in ("kernel", "recurrent_kernel", "bias")) if cell == "rnn" else (trace.value("w"), trace.value("r"), 0.0)

    def after(t, state, also_here=True):
        outs = [state] if also_here else []
        for s in range(t + 1, TIME):
            state = np.tanh(x[:, s] @ k + state @ r + b)
            outs.append(state)
        return sum(np.square(o * (2 if cell == "scan" else 1)).sum() for o in outs) / (BATCH * TIME * UNITS) + (np.tanh(state).sum() if also_here or t < TIME - 1 else 0.0)

    for t in range(TIME):
        slopes = {}
        for also_here in (True, False):
            slopes[also_here] = np.zeros((BATCH, UNITS))
            for i in range(BATCH):
                for j in range(UNITS):
                    d = np.zeros((BATCH, UNITS))
                    d[i, j] = 1e-5
                    slopes[also_here][i, j] = (after(t, h[t] + d, also_here) - after(t, h[t] - d, also_here)) / 2e-5
        np.testing.assert_allclose(uses.error[t], np.linalg.norm(slopes[True], axis=1), rtol=1e-5)
        np.testing.assert_allclose(uses.later[t], np.linalg.norm(slopes[False], axis=1), rtol=1e-5)
        np.testing.assert_allclose(uses.direct[t], np.linalg.norm(slopes[True] - slopes[False], axis=1), rtol=1e-4, atol=1e-8)


def test_what_the_run_drew_at_random_counts_and_a_weight_used_elsewhere_has_no_gradient_of_its_own():
    with fl.Graph() as g:
        x = fl.placeholder((2, 5, 3), "float64", name="x")
        out, last = fl.nn.rnn(x, 3, name="rnn")
        kernel = g.tensor("rnn/kernel:0")
        loss = fl.sum(fl.dropout(out, 0.5)) + fl.sum(kernel)
        bias, = fl.gradients(loss, [g.tensor("rnn/bias:0")])
    trace = fl.Session(g, seed=9).trace([loss, bias], {x: np.random.default_rng(0).normal(size=(2, 5, 3))})
    uses = weight_uses(loss, g.nodes["rnn/RNN"], trace.value)
    np.testing.assert_allclose(uses.totals["rnn/bias"], trace.results[1], rtol=1e-12)
    assert uses.apart("rnn/kernel") is None and uses.apart("rnn/bias") < 1e-12


def test_a_large_weight_is_worked_out_again_when_it_is_asked_for(monkeypatch):
    trace, loss, node, wanted = network("gru")
    monkeypatch.setattr("flowlab.apps.uses.KEPT", 10)
    uses = weight_uses(loss, node, trace.value)
    for name, gradient in wanted.items():
        np.testing.assert_allclose(sum(uses.at(name, t) for t in range(TIME)), gradient, rtol=1e-12, atol=1e-14)


def test_what_has_no_uses_is_refused_with_its_reason():
    trace, loss, node, _ = network("rnn")
    with pytest.raises(fl.FlowError, match="no recurrent layer"):
        weight_uses(loss, trace.graph.nodes["loss"], trace.value)
    with pytest.raises(fl.FlowError, match="not a scalar"):
        weight_uses(node.outputs[0], node, trace.value)
    uses = weight_uses(loss, node, trace.value)
    with pytest.raises(fl.FlowError, match="no timestep 6"):
        uses.at("rnn/kernel", TIME)
    with pytest.raises(fl.FlowError, match="learns nothing named 'w'"):
        uses.at("w", 0)

    def without_feed(tensor):
        if tensor.name == "x:0":
            raise KeyError(tensor.name)
        return trace.value(tensor)
    with pytest.raises(fl.FlowError, match="rnn/RNN needs x:0"):
        weight_uses(loss, node, without_feed)


def test_the_figure_shows_the_uses_and_the_error_that_reaches_them():
    pytest.importorskip("plotly")
    trace, loss, node, wanted = network("rnn")
    uses = weight_uses(loss, node, trace.value)
    figure = fl.plots.weight_uses(trace, "rnn", "kernel")
    bars, ahead, here = figure.data
    np.testing.assert_allclose(bars.y, uses.along["rnn/kernel"])
    assert np.sum(bars.y) == pytest.approx(np.linalg.norm(wanted["rnn/kernel"]))
    np.testing.assert_allclose(ahead.y, np.linalg.norm(uses.error, axis=1))
    np.testing.assert_allclose(here.y, np.linalg.norm(uses.direct, axis=1))
    assert figure.layout.yaxis2.type == "log" and "rnn/kernel" in figure.layout.title.text
    with pytest.raises(fl.FlowError, match="learns nothing named 'wheel'"):
        fl.plots.weight_uses(trace, "rnn", "wheel")
    with pytest.raises(fl.FlowError, match="no recurrent layer"):
        fl.plots.weight_uses(trace, "loss")
    with pytest.raises(fl.FlowError, match="not a scalar"):
        fl.plots.weight_uses(trace, "rnn", of="rnn/RNN")
