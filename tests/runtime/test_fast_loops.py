"""With the `fast` extra, large arrays go through compiled loops; without it, nothing is different. Either way the numbers agree to rtol 1e-5."""
from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import flowlab as fl
from flowlab.runtime.backend import NUMPY, fast_loops
from flowlab.runtime.compile import IN_A_LOOP, Runner

HERE = importlib.util.find_spec("numba") is not None
SHAPE = (40, 512)


def lengthy(session, fetches, feeds):
    """The results of runs before and after the loops are compiled."""
    with np.errstate(all="ignore"):
        first = session.run(fetches, feeds)
        for _ in range(Runner.worth + 4):
            last = session.run(fetches, feeds)
    return first, last


def test_the_loops_are_there_when_numba_is_and_only_then():
    assert (fast_loops() is not None) == HERE
    assert (NUMPY.compiled("lstm_forward", np.dtype("float32"), 1 << 20) is not None) == HERE
    assert NUMPY.compiled("lstm_forward", np.dtype("float32"), 100) is None
    assert NUMPY.compiled("lstm_forward", np.dtype("float64"), 1 << 20) is None


def test_importing_flowlab_and_running_a_small_graph_loads_no_numba():
    code = "import flowlab as fl, sys\nwith fl.Graph() as g: y = fl.tanh(fl.constant([1.0, 2.0]) * 2.0)\nfor _ in range(50): fl.Session(g).run(y)\nprint('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.data())
def test_elementwise_chains_give_the_same_values_in_one_loop(data):
    functions = {"Add": lambda a, b: a + b, "Subtract": lambda a, b: a - b, "Multiply": lambda a, b: a * b, "Divide": lambda a, b: a / (fl.abs(b) + 0.5), "Negative": lambda a, b: -a,
                 "Square": lambda a, b: fl.square(a), "Sqrt": lambda a, b: fl.sqrt(fl.abs(a)), "Tanh": lambda a, b: fl.tanh(a), "Sigmoid": lambda a, b: fl.sigmoid(b), "Abs": lambda a, b: fl.abs(a),
                 "Maximum": fl.maximum, "Minimum": fl.minimum, "Relu": lambda a, b: fl.relu(a)}
    assert {*functions, "ReluGradient"} == IN_A_LOOP
    with fl.Graph() as g:
        pool = [fl.placeholder(SHAPE, name="x"), fl.placeholder(SHAPE, name="y"), fl.constant(np.linspace(-1, 1, SHAPE[1], dtype="float32")), fl.constant(0.3)]
        for _ in range(data.draw(st.integers(2, 9))):
            a = data.draw(st.sampled_from([t for t in pool if t.shape == SHAPE]))
            pool.append(functions[data.draw(st.sampled_from(sorted(functions)))](a, data.draw(st.sampled_from(pool))))
    fetches = data.draw(st.lists(st.sampled_from(pool[4:]), min_size=1, max_size=3))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    feeds = {"x": rng.normal(size=SHAPE).astype("float32"), "y": rng.normal(size=SHAPE).astype("float32")}
    first, last = lengthy(fl.Session(g), fetches, feeds)
    for a, b in zip(first, last):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=2e-5)


def test_a_chain_with_its_gradient_writes_what_later_steps_read():
    with fl.Graph() as g:
        x, w = fl.placeholder(SHAPE, name="x"), fl.variable(np.linspace(-1, 1, SHAPE[1], dtype="float32"), name="w")
        h = fl.relu(fl.tanh(x * w + 0.1) * w - 0.05)
        loss = fl.mean(fl.square(h) * 0.5)
        d, = fl.gradients(loss, [w])
        fl.assign(w, w - 0.1 * d, name="update")
    feeds = {"x": np.random.default_rng(0).normal(size=SHAPE).astype("float32")}
    fast, plain = fl.Session(g), fl.Session(g)
    for _ in range(Runner.worth + 10):
        got, want = fast.run([loss, h, "update"], feeds), plain.trace([loss, h, "update"], feeds).results
        for a, b in zip(got, want):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        plain.variables["w"] = fast.variables["w"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 3e38])
def test_what_is_not_an_ordinary_number_comes_out_as_numpy_has_it(value):
    with fl.Graph() as g:
        x = fl.placeholder(SHAPE, name="x")
        outs = [fl.tanh(x) * 1.0, fl.relu(x) + 0.0, fl.maximum(x, 1.0) - 0.0, fl.minimum(x, -1.0) * 1.0, fl.sigmoid(x) + 0.0, fl.sqrt(fl.abs(x)) * 2.0]
    v = np.ones(SHAPE, "float32")
    v[1, 3::7] = value
    for a, b in zip(*lengthy(fl.Session(g), outs, {"x": v})):
        np.testing.assert_allclose(b, a, rtol=1e-5)


@pytest.mark.parametrize("batch_last", [False, True])
def test_a_convolutional_network_learns_as_it_does_without_the_loops(batch_last):
    """In float64 there are none, so that is what they are held against; after a ReLU many windows hold several zeros, and the first place gets their error."""
    rng = np.random.default_rng(0)
    values = [rng.normal(size=s) for s in ((16, 2, 14, 14), (6, 2, 3, 3), (16, 6, 6, 6))]
    found = {}
    for dtype in ("float32", "float64"):
        with fl.Graph() as g:
            x, w, d = (fl.constant(v.astype(dtype)) for v in values)
            y = fl.relu(fl.conv2d(x, w)) if batch_last else fl.relu(x[:, :, 1:-1, 1:-1]) @ fl.constant(np.eye(12, dtype=dtype))
            if batch_last:
                weighted = fl.sum(fl.max_pool2d(y, 2) * d)
            else:
                weighted = fl.sum(fl.max_pool2d(y, 2) * d[:, :2])
            fetches = [y, *fl.gradients(weighted, [x, w] if batch_last else [x])]
        found[dtype] = fl.Session(g).run(fetches)
    for a, b in zip(found["float32"], found["float64"], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("from_state", [False, True])
def test_a_large_lstm_and_its_gradient_agree_with_the_layer_written_out(from_state):
    batch, time, features, units = 16, 20, 7, 64
    rng = np.random.default_rng(0)
    with fl.Graph() as g:
        x = fl.placeholder((batch, time, features), name="x")
        start = {"initial_state": (fl.constant(rng.normal(size=(batch, units)).astype("float32")), fl.constant(rng.normal(size=(batch, units)).astype("float32")))} if from_state else {}
        out, (h, c) = fl.nn.lstm(x, units, name="lstm", **start)
        weights = fl.constant(rng.normal(size=(batch, time, units)).astype("float32"))
        loss = fl.sum(out * weights) + fl.sum(c * 0.3) - fl.sum(h)
        fetches = [out, h, c, *(g.tensor(f"lstm/LSTM:{k}") for k in "figoc"), *fl.gradients(loss, [x, *g.trainable_variables])]
    feeds = {"x": rng.normal(size=(batch, time, features)).astype("float32")}
    code = fl.expand(g, "lstm/LSTM")
    session, written_out = fl.Session(g, seed=3), fl.Session(code, seed=3)
    for got, want in zip(session.run(fetches, feeds), written_out.run([t.name for t in fetches], feeds), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)
