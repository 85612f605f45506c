"""Every op's rows as whole plans on `gpu:0`: placed, copied over, run, brought back.

Where a graphics card is, the rows marked `gpu` run on it. The strict namespace stands in for one everywhere, since kernels cannot run on a card that is
not there: it has CuPy's names and rules, and NumPy's numbers.
"""
from __future__ import annotations

import inspect

import numpy as np
import pytest

import flowlab as fl
from flowlab.runtime import cupy as card_module, device
from flowlab.runtime.backend import Backend
from tests.ops.test_every_op import cotangents, every_case, given, gradient_graph, graph_of
from tests.strict_cupy import STRICT, Array


def row(case):
    """A row with its gradients: graph, fetches, feeds, and what the host computes."""
    arrays = given(case)
    if case.targets:
        g, placeholders, ys, ds, _, grads = gradient_graph(case)
        arrays = [*arrays, *cotangents(case.expected(*case.inputs))]
        placeholders, fetches = [*placeholders, *ds], [*ys, *grads]
    else:
        g, placeholders, fetches = graph_of(case)
    feeds = dict(zip(placeholders, arrays))
    return g, fetches, feeds, fl.Session(g, seed=1).run(fetches, feeds)


def assert_near(got, want, rtol, atol):
    for a, b in zip(got, want, strict=True):
        assert type(a) is np.ndarray and a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@every_case
def test_every_op_as_a_whole_plan_in_the_cards_namespace(case, monkeypatch):
    """On CuPy's names and rules the kernels give what they give on NumPy."""
    monkeypatch.setitem(device._GPUS, 0, STRICT)
    g, fetches, feeds, want = row(case)
    trace = fl.Session(g, seed=1, device="gpu:0").trace(fetches, feeds)
    assert_near(trace.results, want, 1e-12, 1e-13)
    assert {e.device for e in trace.events} <= {"gpu:0"}
    assert {e.node for e in trace.events if "/copy/" in e.node} <= {f"{p.node.name}/copy/gpu:0" for p in feeds}
    for e in trace.events:
        assert all(v is None or isinstance(v, Array) for v in e._outputs), f"{e.node} left the card"


@pytest.mark.gpu
@every_case
def test_every_op_on_a_card(case):
    g, fetches, feeds, want = row(case)
    for go in ("run", "trace"):
        got = getattr(fl.Session(g, seed=1, device="gpu:0"), go)(fetches, feeds)
        assert_near(getattr(got, "results", got), want, 1e-9, 1e-9)


@pytest.mark.gpu
def test_training_on_a_card_is_training_on_the_host():
    with fl.Graph() as g:
        x = fl.placeholder((None, 28, 28), name="x")
        out, _ = fl.nn.lstm(x, 32, name="lstm")
        loss = fl.mean(fl.square(fl.nn.dense(out[:, -1], 10)), name="loss")
        fl.optim.Adam(1e-3).minimize(loss, name="train")
    xs = np.random.default_rng(0).normal(size=(16, 28, 28)).astype("float32")
    host, there = fl.Session(g, seed=1), fl.Session(g, seed=1, device="gpu:0")
    for _ in range(5):
        np.testing.assert_allclose(there.run([loss, "train"], {x: xs})[0], host.run([loss, "train"], {x: xs})[0], rtol=1e-4)
    device.gpu(0).free()


@pytest.mark.gpu
def test_ints_of_64_bits_add_up_on_a_card():
    xp = device.gpu(0)
    target = xp.from_host(np.array([0, -5, 2**40]))
    xp.add_at(target, xp.from_host(np.array([1, 1, 2])), xp.from_host(np.array([-7, 3, -(2**41)])))
    assert xp.to_host(target).tolist() == [0, -9, -(2**40)]


def test_whole_numbers_add_up_by_the_names_that_cupy_has():
    for dtype, values in (("int64", [-7, 3, -(2**41)]), ("float32", [0.5, 1.5, -2.0])):
        target = STRICT.from_host(np.array([0, -5, 2**40]).astype(dtype))
        card_module.scatter_add(STRICT, target, STRICT.from_host(np.array([1, 1, 2])), STRICT.from_host(np.array(values).astype(dtype)))
        want = np.array([0, -5, 2**40]).astype(dtype)
        np.add.at(want, np.array([1, 1, 2]), np.array(values).astype(dtype))
        np.testing.assert_array_equal(STRICT.to_host(target), want)


def test_the_backend_uses_what_cupy_has_in_the_way_that_cupy_takes():
    import cupy
    assert issubclass(card_module.CupyBackend, Backend) and {"bind", "from_host", "to_host", "add_at", "free"} <= set(vars(card_module.CupyBackend))
    inspect.signature(cupy.asnumpy).bind(object())
    inspect.signature(cupy.asarray).bind(object())
    assert callable(cupy.add.at) and callable(cupy.get_default_memory_pool().free_all_blocks)
    for name in ("__enter__", "__exit__", "synchronize"):
        assert hasattr(cupy.cuda.Stream, name)
    for name in ("__enter__", "__exit__"):
        assert hasattr(cupy.cuda.Device, name)
    from cupyx.scipy import special
    assert callable(special.erf)
