"""A plan cut to the shapes of its feeds writes into buffers that stay from run to run: its numbers are those of the plan's own code, and no run touches what another gave."""
from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import flowlab as fl
from flowlab.core.op import REGISTRY
from flowlab.runtime.compile import Notes, Runner, trusted

SIDE = 3
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
ONE = [fl.relu, fl.tanh, fl.sigmoid, fl.exp, fl.square, fl.identity, fl.stop_gradient, fl.transpose, lambda x: x[::-1] if x.rank else x, lambda x: x[..., None] if x.rank < 3 else x,
       lambda x: fl.softmax(x) if x.rank else x, lambda x: fl.sum(x, axis=0) if x.rank else x, lambda x: fl.mean(x), lambda x: fl.dropout(x, 0.3), lambda x: fl.reshape(x, (-1,)),
       lambda x: fl.concat(fl.split(x, SIDE, axis=-1)[::-1], axis=-1) if x.rank and x.shape[-1] == SIDE else x, lambda x: fl.cast(fl.cast(x, "float64"), "float32"),
       lambda x: fl.zeros_like(x) + 2.0, lambda x: fl.max(x, axis=-1, keepdims=True) - x if x.rank else x, lambda x: fl.broadcast_to(fl.mean(x), (2, SIDE)) * 2.0]
TWO = [fl.add, fl.subtract, fl.multiply, fl.maximum, fl.minimum, lambda a, b: fl.where(a > b, a, b)]


@st.composite
def programs(draw):
    """A graph in which values are used again and again, as they are and as views, some of them fetched, some assigned."""
    with fl.Graph("program") as g:
        x = fl.placeholder(("rows", SIDE), name="x")
        variables = [fl.variable(np.linspace(-1, 1, 9, dtype="float32").reshape(3, 3), name="w"), fl.variable(np.array([0.5, -1, 2], "float32"), name="b")]
        pool = [x, *variables, fl.constant(np.full(SIDE, 0.3, "float32")), x @ variables[0]]
        for _ in range(draw(st.integers(2, 14))):
            a = draw(st.sampled_from(pool))
            if draw(st.booleans()):
                made = draw(st.sampled_from(ONE))(a)
            else:
                b = draw(st.sampled_from([v for v in pool if v.shape == a.shape or not v.rank or v.shape == (SIDE,) and a.shape[-1:] == (SIDE,)]))
                made = draw(st.sampled_from(TWO))(a, b)
            pool.append(fl.tanh(made) if draw(st.booleans()) else made)
        fetches = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=6))
        assigns = []
        for v in variables:
            values = [t for t in pool if t.shape == v.shape and t is not v]
            if values and draw(st.booleans()):
                assigns.append(fl.assign(v, draw(st.sampled_from(values))))
        if assigns and draw(st.booleans()):
            fetches.append(draw(st.sampled_from(assigns)))
        fl.group(assigns, name="all")
    return g, [*fetches, "all"]


def bits(values):
    return [None if v is None else (v.shape, v.dtype.str, v.tobytes()) for v in values]


def cuts(session):
    return [cut for runner in session._runners.values() for cut in runner.made.values() if cut is not None]


class Plain(fl.Session):
    """A session whose runs go by each plan's own code."""

    def execute(self, plan, arrays):
        from flowlab.runtime.store import Draws
        results, assigned = plan.function(arrays, self.store.snapshot(), Draws(self.seed, self.store.runs))
        return self.finish(plan, arrays, list(results), list(assigned))


@SETTINGS
@given(programs(), st.lists(st.sampled_from([1, 2, 5]), min_size=4, max_size=12), st.integers(0, 2**32 - 1))
def test_runs_in_buffers_are_the_plans_own_runs_to_the_bit(program, rows, seed):
    g, fetches = program
    rng = np.random.default_rng(seed)
    plain, cut = Plain(g, seed=1), fl.Session(g, seed=1)
    given_out = []
    with np.errstate(all="ignore"):
        for n in rows:
            xs = rng.normal(size=(n, SIDE)).astype("float32")
            before = xs.copy()
            want, got = plain.run(fetches, {"x": xs}), cut.run(fetches, {"x": xs})
            assert bits(got) == bits(want)
            assert np.array_equal(xs, before)
            given_out.append((got, bits(got)))
            assert bits(plain.variables.values()) == bits(cut.variables.values())
    for got, were in given_out:
        assert bits(got) == were, "a later run wrote to what an earlier one gave"


@SETTINGS
@given(programs(), st.integers(0, 2**32 - 1))
def test_what_a_run_gives_is_the_callers_alone(program, seed):
    g, fetches = program
    xs = np.random.default_rng(seed).normal(size=(4, SIDE)).astype("float32")
    session = fl.Session(g)
    with np.errstate(all="ignore"):
        for _ in range(4):
            got = [v for v in session.run(fetches, {"x": xs}) if v is not None]
            held = [*session.store.values.values(), xs, *(cut.arena for cut in cuts(session))]
            for k, v in enumerate(got):
                assert v.flags.writeable
                assert not any(np.may_share_memory(v, w) for w in [*held, *got[:k]])
            for v in got:
                v[...] = 7      # a person may
    assert all(not v.flags.writeable for v in session.store.values.values())


def mlp(seed: int = 0):
    with fl.Graph("mlp") as g:
        x, labels = fl.placeholder(("batch", 20), name="x"), fl.placeholder(("batch",), "int64", name="labels")
        logits = fl.nn.dense(fl.nn.dense(x, 16, "relu", name="hidden"), 4, name="out")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, labels), name="loss")
        fl.optim.Adam(1e-2).minimize(loss, name="train")
    rng = np.random.default_rng(seed)
    return g, {"x": rng.normal(size=(8, 20)).astype("float32"), "labels": rng.integers(0, 4, 8)}


def test_the_third_run_with_the_same_shapes_is_in_buffers():
    g, feeds = mlp()
    session = fl.Session(g)
    session.run(["loss", "train"], feeds)
    assert not cuts(session)
    session.run(["loss", "train"], feeds)
    assert len(cuts(session)) == 1


def test_shapes_that_are_met_once_cost_no_buffers_and_those_that_are_kept_are_few():
    g, feeds = mlp()
    session = fl.Session(g)
    for n in range(1, 40):
        session.run("loss", {k: np.repeat(v[:1], n, axis=0) for k, v in feeds.items()})
    assert not cuts(session)
    for n in range(1, 40):
        for _ in range(3):
            session.run("loss", {k: np.repeat(v[:1], n, axis=0) for k, v in feeds.items()})
    assert 0 < len(cuts(session)) <= Runner.kept
    with session:
        pass
    assert not cuts(session), "the end of a session frees its buffers"


def test_a_trace_and_a_debugger_between_runs_in_buffers_see_the_same_numbers():
    g, feeds = mlp()
    runs, looked = fl.Session(g), fl.Session(g)
    for k in range(8):
        want = runs.run(["loss", "train"], feeds)
        if k % 3 == 1:
            got = looked.trace(["loss", "train"], feeds).results
        elif k % 3 == 2:
            debugger = fl.Debugger(looked, ["loss", "train"], feeds)
            debugger.resume()
            got = debugger.results
        else:
            got = looked.run(["loss", "train"], feeds)
        assert bits(got) == bits(want)
    assert bits(runs.variables.values()) == bits(looked.variables.values())


def test_a_trace_keeps_the_variables_it_saw_however_many_runs_follow():
    g, feeds = mlp()
    session = fl.Session(g)
    for _ in range(3):
        session.run("train", feeds)
    trace = session.trace("loss", feeds)
    seen = [v for v in g.variables if v.name.startswith(("hidden", "out"))]
    were = {v.name: trace.value(v).copy() for v in seen}
    for _ in range(6):
        session.run("train", feeds)
    assert all(np.array_equal(trace.value(v), were[v.name]) for v in seen)
    assert bits([trace.rerun({}).results]) == bits([trace.results])


def test_two_threads_on_one_session_get_right_answers():
    with fl.Graph() as g:
        x = fl.placeholder((None, 50), name="x")
        y = fl.tanh(x @ x.T * 0.1 + 1.0) * 2.0
    session = fl.Session(g)
    inputs = [np.random.default_rng(k).normal(size=(20, 50)).astype("float32") for k in range(4)]
    want = [fl.Session(g).run(y, {x: v}) for v in inputs]
    for _ in range(3):
        session.run(y, {x: inputs[0]})
    wrong = []

    def work(k):
        for _ in range(60):
            if not np.array_equal(session.run(y, {x: inputs[k]}), want[k]):
                wrong.append(k)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_kernel_that_runs_the_session_again_finds_the_buffers_busy_and_gets_right_answers():
    inner = []
    with fl.Graph() as g:
        x = fl.placeholder((4,), name="x")
        y = fl.tanh(x * 2.0) + 1.0
    session = fl.Session(g)

    @fl.op(type="RunsTheSession", listed=False)
    def runs(xp, a: Float):  # noqa: F821
        if len(inner) < 40:
            inner.append(None)
            inner[-1] = session.run(z, {x: np.full(4, 0.5, "float32")})
        return a + 0
    try:
        with g:
            z = fl.exp(runs(y)) - y
        plain = []
        for k in range(6):
            plain.append(session.run(z, {x: np.full(4, 0.1 * k, "float32")}))
        v = np.array([0.1 * k for k in range(6)])
        t = np.tanh(2 * v) + 1
        np.testing.assert_allclose(np.array(plain)[:, 0], np.exp(t) - t, rtol=1e-5)
    finally:
        REGISTRY.pop("RunsTheSession")


class Interrupter:
    """Raises KeyboardInterrupt at the nth event of the interpreter inside flowlab and the code that it makes."""

    def __init__(self, at: int):
        self.left = at

    def __call__(self, frame, event, arg):
        if "flowlab" in frame.f_code.co_filename:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
        return self


def test_an_interrupt_at_any_point_of_a_run_in_buffers_leaves_all_old_or_all_new_and_the_next_run_right():
    g, feeds = mlp()
    session, reference = fl.Session(g), fl.Session(g)
    for _ in range(3):
        session.run(["loss", "train"], feeds)
        reference.run(["loss", "train"], feeds)
    interrupted = 0
    for at in range(1, 400, 3):
        before, runs = bits(session.variables.values()), session.store.runs
        sys.settrace(Interrupter(at))
        try:
            session.run(["loss", "train"], feeds)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(None)
        if bits(session.variables.values()) != before:
            reference.run(["loss", "train"], feeds)
        assert bits(session.variables.values()) == bits(reference.variables.values()), at
        session.store.runs = reference.store.runs = max(runs, reference.store.runs)
        assert bits(session.run(["loss", "train"], feeds)) == bits(reference.run(["loss", "train"], feeds)), at
    assert interrupted > 20


def test_values_that_decide_their_own_shape_are_right_run_after_run():
    with fl.Graph() as g:
        x = fl.placeholder((6,), name="x")
        y = fl.boolean_mask(x * 1.0, x > 0.0)
        z = fl.tanh(y + 1.0) * 3.0
        total = fl.sum(z)
    session, rng = fl.Session(g), np.random.default_rng(0)
    for k in range(12):
        v = rng.normal(size=6).astype("float32") if k > 4 else np.array([1, -1, 2, 3, -4, 5], "float32")
        want = np.tanh(v[v > 0] + 1) * 3
        got = session.run([z, total], {x: v})
        np.testing.assert_allclose(got[0], want, rtol=1e-6)
        np.testing.assert_allclose(got[1], want.sum(), rtol=1e-5)


def test_an_operation_of_ones_own_may_hand_on_its_input_or_keep_what_it_gave():
    kept = []

    @fl.op(type="HandsOn", listed=False)
    def hands_on(xp, a: Float):  # noqa: F821
        kept.append(a)
        return a if a.sum() > 0 else a * 1
    try:
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            y = x + 1.0
            z = hands_on(y)
            u = fl.exp(y) + fl.tanh(y * 2.0)
            fl.group([z, u])
        session = fl.Session(g)
        for v in ([1, 2, 3], [-5, -6, -7], [1, 1, 1], [-3, 0, 0], [4, 5, 6], [-9, 2, 1]):
            v = np.array(v, "float32")
            got = session.run([z, u, z * 2.0 + u] if not kept else [z, u], {x: v})
            np.testing.assert_array_equal(got[0], v + 1)
            np.testing.assert_allclose(got[1], np.exp(v + 1) + np.tanh(2 * (v + 1)), rtol=1e-6)
    finally:
        REGISTRY.pop("HandsOn")


def test_an_error_in_buffers_names_node_shapes_and_line_and_leaves_the_next_run_right():
    with fl.Graph() as g:
        x, i = fl.placeholder((4,), name="x"), fl.placeholder((2,), "int64", name="i")
        y = fl.gather(x * 2.0, i, name="picked") + 1.0
    session = fl.Session(g)
    v = np.arange(4, dtype="float32")
    for _ in range(4):
        session.run(y, {x: v, i: [0, 3]})
    with pytest.raises(fl.KernelError) as caught:
        session.run(y, {x: v, i: [0, 9]})
    assert caught.value.node == "picked"
    assert "x (4,), indices (2,)" in str(caught.value) and "test_compiled_buffers.py" in str(caught.value)
    np.testing.assert_array_equal(session.run(y, {x: v, i: [1, 3]}), [3, 7])


def test_every_ufunc_gives_the_same_bits_over_its_operand_as_beside_it():
    rng = np.random.default_rng(0)
    for op in REGISTRY.values():
        if op.ufunc is None or op.ufunc == "matmul" or not trusted(op):
            continue
        ufunc = getattr(np, op.ufunc)
        for n in (1, 3, 16, 37, 1000):
            for dtype in ("float32", "float64"):
                args = [np.abs(rng.normal(size=n)).astype(dtype) + 0.1 for _ in op.inputs]
                with np.errstate(all="ignore"):
                    try:
                        want = ufunc(*args)
                    except TypeError:
                        continue
                    if want.dtype != dtype:
                        continue
                    for k in range(len(args)):
                        over = [a.copy() for a in args]
                        ufunc(*over, out=over[k])
                        assert over[k].tobytes() == want.tobytes(), (op.name, n, dtype, k)


def test_buffers_are_shared_by_values_that_are_not_needed_at_once():
    with fl.Graph() as g:
        x = fl.placeholder((1000,), name="x")
        y = x
        for _ in range(50):
            y = fl.tanh(y) * 1.5
        a, b = fl.exp(y), fl.sin(y)
        total = fl.sum(a * b)
    session = fl.Session(g)
    for _ in range(3):
        session.run(total, {x: np.ones(1000, "float32")})
    assert cuts(session)[0].bytes <= 3 * 4096


def test_memory_that_is_noted_does_not_outlive_its_run():
    g, feeds = mlp()
    session = fl.Session(g)
    flat, tensors = tuple(g.tensor(n) for n in ("loss",)), tuple(g.tensor(n) for n in feeds)
    plan = session.plan(flat, tensors)
    notes = Notes(plan)
    notes.run([np.ascontiguousarray(v) for v in feeds.values()], session.store.snapshot(), None)
    arrays = [v for v in vars(notes).values() if isinstance(v, np.ndarray)]
    assert not arrays and all(not isinstance(s, np.ndarray) for s in notes.seen.values())
