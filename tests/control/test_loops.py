"""scan, cond and while_loop: what they compute, their derivatives, how they are stepped, kept and refused."""
from __future__ import annotations

import random
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.trace.trace import record

jax.config.update("jax_enable_x64", True)


def rnn(time=5, *, as_loop=True, reverse=False, checkpoint=False, lengths=False):
    """A recurrent network over (batch, time, 3): a scan, or written out. Returns graph, fetches (values, first and second derivatives)."""
    rng = np.random.default_rng(1)
    with fl.Graph("rnn") as g:
        x = fl.placeholder(("batch", time, 3), "float64", name="x")
        h0 = fl.placeholder(("batch", 4), "float64", name="h0")
        W, U, b = (fl.variable(rng.standard_normal(s), name=n) for n, s in (("W", (3, 4)), ("U", (4, 4)), ("b", (4,))))
        n = fl.placeholder(("batch",), "int64", name="lengths") if lengths else None
        if as_loop:
            with fl.scan(x, time_axis=1, name="rnn", reverse=reverse, checkpoint=checkpoint, lengths=n) as step:
                prev = step.state("h", init=h0)
                h = fl.tanh(step.input @ W + prev @ U + b)
                step.update(prev, h)
                step.output(h)
            hs, last = step.outputs[0], step.states["h"]
        else:
            last, outs = h0, [None] * time
            for t in range(time)[::-1] if reverse else range(time):
                new = fl.tanh(x[:, t] @ W + last @ U + b)
                there = fl.expand_dims(n > t, axis=1) if lengths else None
                last = new if n is None else fl.where(there, new, last)
                outs[t] = new if n is None else fl.where(there, new, fl.zeros_like(new))
            hs = fl.stack(outs, axis=1)
        loss = fl.sum(hs ** 3) + fl.sum(last * last)
        by = [W, U, b, h0, x]
        first = fl.gradients(loss, by)
        second = fl.gradients(sum(fl.sum(d * d) for d in first), by)
    return g, [hs, last, *first, *second]


FEEDS = {"x": np.random.default_rng(2).standard_normal((2, 5, 3)), "h0": np.random.default_rng(3).standard_normal((2, 4))}


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
def test_scan_and_its_two_derivatives_are_those_of_the_loop_written_out(reverse, checkpoint, lengths):
    feeds = FEEDS | ({"lengths": [3, 5]} if lengths else {})
    g, fetches = rnn(reverse=reverse, checkpoint=checkpoint, lengths=lengths)
    other, wanted = rnn(as_loop=False, reverse=reverse, lengths=lengths)
    for a, b in zip(fl.Session(g).run(fetches, feeds), fl.Session(other).run(wanted, feeds), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)
    assert len(g.nodes) < len(other.nodes) / 3      # its size does not grow with the number of timesteps


def test_scan_is_jax_scan_with_several_sequences_states_and_outputs():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((6, 3)), rng.standard_normal((6, 2, 3))
    with fl.Graph() as g:
        x, y = fl.placeholder(X.shape, "float64", name="x"), fl.placeholder(Y.shape, "float64", name="y")
        w = fl.placeholder((3,), "float64", name="w")
        with fl.scan([x, y], name="two") as step:
            a, b = step.inputs
            s = step.state("s", init=np.zeros(3))
            m = step.state("m", init=np.ones((2, 3)))
            s_new = fl.sin(s + a * w)
            m_new = fl.cos(m * b) + fl.cast(step.index, "float64")
            step.update(s, s_new)
            step.update(m, m_new)
            step.output(s_new)
            step.output(m_new * s_new, axis=1)
            step.output(fl.sum(m_new))
        loss = sum(fl.sum(fl.square(o)) for o in step.outputs) + fl.sum(step.states["m"])
        grads = fl.gradients(loss, [x, y, w])
    assert [o.shape for o in step.outputs] == [(6, 3), (2, 6, 3), (6,)] and list(step.states) == ["s", "m"]

    def reference(x, y, w):
        def body(carry, inputs):
            (s, m), (a, b, t) = carry, inputs
            s = jnp.sin(s + a * w)
            m = jnp.cos(m * b) + t
            return (s, m), (s, m * s, m.sum())
        (s, m), (o1, o2, o3) = jax.lax.scan(body, (jnp.zeros(3), jnp.ones((2, 3))), (x, y, jnp.arange(6.0)))
        return (o1 ** 2).sum() + (o2 ** 2).sum() + (o3 ** 2).sum() + m.sum(), (o1, jnp.moveaxis(o2, 0, 1), o3)

    W = rng.standard_normal(3)
    want, outs = reference(X, Y, W)
    got = fl.Session(g).run([loss, *step.outputs, *grads], {x: X, y: Y, w: W})
    for a, b in zip(got, [want, *outs, *jax.grad(lambda *v: reference(*v)[0], argnums=(0, 1, 2))(X, Y, W)], strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-10, atol=1e-12)


def test_contract_example():
    with fl.Graph() as g:
        seq = fl.placeholder(("batch", "time", 3), name="seq")
        W, U, b = fl.variable(fl.init.glorot_uniform((3, 4)), name="W"), fl.variable(fl.init.glorot_uniform((4, 4)), name="U"), fl.variable(np.zeros(4, "float32"), name="b")
        h0 = fl.placeholder(("batch", 4), name="h0")
        with fl.scan(seq, time_axis=1, name="rnn") as step:
            x_t = step.input
            prev = step.state("h", init=h0)
            h_t = fl.tanh(x_t @ W + prev @ U + b)
            step.update(prev, h_t)
            step.output(h_t)
        hs = step.outputs[0]
    assert hs.shape == ("batch", "time", 4) and g.node("rnn").op.name == "Scan" and g.node("rnn/Tanh").op.name == "Tanh"
    each = step.over_time(h_t)      # any tensor of the body, a timestep a row
    a, b = fl.Session(g).run([hs, each], {seq: np.ones((2, 7, 3)), h0: np.zeros((2, 4))})
    assert a.shape == (2, 7, 4) and (np.moveaxis(a, 0, 1) == b).all()


@pytest.mark.parametrize("reverse", [False, True])
def test_no_timesteps_give_back_the_start(reverse):
    with fl.Graph() as g:
        x = fl.placeholder(("time", "n"), "float64", name="x")
        with fl.scan(x, reverse=reverse, name="s") as step:
            s = step.state("s", init=np.array([1.0, 2.0]))
            step.update(s, s + step.input)
            step.output(step.input * 2)
        d, = fl.gradients(fl.sum(step.states["s"]) + fl.sum(step.outputs[0]), [x])
    out, last, dx = fl.Session(g).run([step.outputs[0], step.states["s"], d], {x: np.zeros((0, 2))})
    assert out.shape == (0, 2) and last.tolist() == [1.0, 2.0] and dx.shape == (0, 2)


def test_what_stands_beyond_a_rows_length_may_be_nan():
    g, fetches = rnn(lengths=True)
    x = FEEDS["x"].copy()
    want = fl.Session(g).run(fetches[:2], FEEDS | {"lengths": [2, 5]})
    x[0, 2:] = np.nan
    for a, b in zip(fl.Session(g).run(fetches[:2], FEEDS | {"lengths": [2, 5], "x": x}), want):
        assert a.tobytes() == b.tobytes()
    assert all(np.isfinite(v).all() for v in fl.Session(g).run(fetches, FEEDS | {"lengths": [2, 5], "x": x}))      # nor does it reach a derivative


def test_cond_runs_only_what_is_chosen_and_has_two_derivatives():
    with fl.Graph() as g:
        x, w = fl.placeholder((), "float64", name="x"), fl.placeholder((), "float64", name="w")
        y = fl.cond(x > 0, lambda: fl.sqrt(x) * w, lambda: -x ** 3, name="root")
        first = fl.gradients(y, [x, w])
        second = fl.gradients(first[0], [x, w])
    sess = fl.Session(g)
    np.testing.assert_allclose(sess.run([y, *first, *second], {x: 4.0, w: 3.0}), [6, 0.75, 2, -0.09375, 0.25])
    np.testing.assert_allclose(sess.run([y, *first, *second], {x: -2.0, w: 3.0}), [8, -12, 0, 12, 0])
    fired = {e.node for e in sess.trace(y, {x: -2.0, w: 3.0}).events}
    assert {"root/Power", "root/Negative"} & fired and "root/Sqrt" not in fired


def test_cond_gives_what_its_functions_return():
    with fl.Graph() as g:
        p = fl.placeholder((), "bool", name="p")
        x = fl.placeholder((3,), name="x")
        pair = fl.cond(p, lambda: {"a": x, "b": 1.0}, lambda: {"a": x * 2, "b": 2.0})
        same = fl.cond(p, lambda: (x, x), lambda: (x, -x))
    assert set(pair) == {"a", "b"} and isinstance(same, tuple)
    sess = fl.Session(g)
    assert [v.tolist() for v in sess.run([pair["a"], pair["b"], same[1]], {p: False, x: [1, 2, 3]})] == [[2, 4, 6], 2, [-1, -2, -3]]
    assert sess.run(pair["a"], {p: True, x: [1, 2, 3]}).tolist() == [1, 2, 3]


def test_while_loop_has_two_derivatives_though_nobody_knows_how_often_it_runs():
    with fl.Graph() as g:
        x = fl.placeholder((), "float64", name="x")
        root = fl.while_loop(lambda r: fl.abs(r * r - x) > 1e-13, lambda r: (r + x / r) / 2, x, name="heron")
        d, = fl.gradients(root, [x])
        dd, = fl.gradients(d, [x])
    sess = fl.Session(g)
    for v in (0.5, 2.0, 1000.0):
        np.testing.assert_allclose(sess.run([root, d, dd], {x: v}), [v ** 0.5, 0.5 * v ** -0.5, -0.25 * v ** -1.5], rtol=1e-10)
    assert sess.run([root, d], {x: 1.0}) == [1.0, 1.0]      # it does not run at all: the state is handed on


def test_while_loop_carries_several_states_by_place_or_name():
    with fl.Graph() as g:
        n = fl.placeholder((), "int64", name="n")
        _, a, b = fl.while_loop(lambda k, a, b: k < n, lambda k, a, b: (k + 1, b, a + b), [0, np.int64(0), np.int64(1)])
        s = fl.while_loop(lambda k, total: k < n, lambda k, total: {"k": k + 1, "total": total + k}, {"k": 0, "total": 0}, maximum=50)
    sess = fl.Session(g)
    assert sess.run([a, b, s["total"]], {n: 10}) == [55, 89, 45]
    with pytest.raises(fl.KernelError, match="after 50 rounds"):
        sess.run(s["total"], {n: 51})
    assert sess.run(s["total"], {n: 50}) == 1225


def nested(dropout=True):
    """A scan in a scan, with a loop and a branch inside, and two derivatives through all of it."""
    with fl.Graph("nested") as g:
        x, w = fl.placeholder((3, 4), "float64", name="x"), fl.placeholder((), "float64", name="w")
        with fl.scan(x, name="outer") as outer:
            s = outer.state("s", init=np.array(1.0))
            with fl.scan(outer.input, name="inner") as inner:
                a = inner.state("a", init=s * w)
                u = fl.dropout(inner.input, 0.5) if dropout else inner.input
                inner.update(a, a * fl.cos(u) + w)
            p = fl.while_loop(lambda k, v: fl.logical_and(k < 5, v < 3), lambda k, v: (k + 1, v * (1 + w)), (0, inner.states["a"]), name="grow")[1]
            q = fl.cond(p > 1, lambda: fl.log(p), lambda: p * p, name="choice")
            outer.update(s, q)
            outer.output(q)
        loss = fl.sum(outer.outputs[0] * outer.outputs[0])
        dw, dx = fl.gradients(loss, [w, x])
        dd, = fl.gradients(dw, [w])
    return g, [loss, dw, dd, dx]


NESTED = {"x": np.random.default_rng(0).standard_normal((3, 4)), "w": 0.9}


def test_loops_in_loops_have_the_derivatives_that_differences_say():
    g, (loss, dw, dd, _) = nested(dropout=False)
    sess = fl.Session(g)

    def at(v):
        return np.array(sess.run([loss, dw], NESTED | {"w": v}))
    e = 1e-4
    slope = (8 * (at(0.9 + e) - at(0.9 - e)) - (at(0.9 + 2 * e) - at(0.9 - 2 * e))) / (12 * e)
    np.testing.assert_allclose(sess.run([dw, dd], NESTED), slope, rtol=1e-7)


def test_run_trace_and_every_way_of_stepping_give_the_same_bits():
    g, fetches = nested()
    want = [v.tobytes() for v in fl.Session(g).run(fetches, NESTED)]
    trace = fl.Session(g).trace(fetches, NESTED)
    assert [v.tobytes() for v in trace.results] == want
    dbg = fl.Debugger(fl.Session(g), fetches, NESTED)
    while dbg.step():
        pass
    assert [v.tobytes() for v in dbg.results] == want
    assert [(e.node, e.frame, e.phase) for e in dbg.records] == [(e.node, e.frame, e.phase) for e in trace.events]
    rng = random.Random(4)
    for _ in range(3):
        dbg = fl.Debugger(fl.Session(g), fetches, NESTED)
        while not dbg.done:
            match rng.randrange(20):
                case 0 | 1:
                    for _ in range(rng.randrange(6)):
                        dbg.back()
                case 2:
                    dbg.seek(rng.randrange(max(0, dbg.cursor - 30), dbg.length + 1))
                case 3:
                    dbg.step_timestep()
                case 4:
                    dbg.step_level()
                case 5:
                    dbg.step_scope()
                case _:
                    dbg.fire(rng.choice(dbg.ready))
        assert [v.tobytes() for v in dbg.results] == want and dbg.total == dbg.cursor


def test_a_trace_out_of_budget_computes_values_inside_loops_again():
    g, fetches = nested()
    full, lean = fl.Session(g).trace(fetches, NESTED), record(fl.Session(g), fetches, NESTED, budget=100)
    for a, b in zip(full.events, lean.events, strict=True):
        assert [None if v is None else v.tobytes() for v in a.outputs] == [None if v is None else v.tobytes() for v in b.outputs], (a.node, a.frame)
    assert full.value("outer/inner/Cos:0", at=("outer", 1, "outer/inner", 2)) == lean.value("outer/inner/Cos:0", at=("outer", 1, "outer/inner", 2))
    assert full.value("outer/inner/Cos:0") == full.value("outer/inner/Cos:0", at=("outer", 2, "outer/inner", 3))
    with pytest.raises(KeyError, match="did not fire at"):
        full.value("outer/inner/Cos:0", at=("outer", 7))


def test_the_debugger_walks_in_and_out_of_timesteps():
    g, fetches = rnn()
    dbg = fl.Debugger(fl.Session(g), fetches[0], FEEDS)
    assert dbg.frame == ("rnn", 0) and dbg.ready[0] == "rnn/MatMul" and dbg.state("rnn/Scan") == "ready"
    first = dbg.step_timestep()
    assert [e.node.rpartition("/")[2] for e in first][-1] == "Tanh" and {e.frame for e in first} == {("rnn", 0)} and {e.top for e in first} == {"rnn/Scan"}
    assert dbg.frame == ("rnn", 1) and dbg.state("rnn/Scan") == "running" and dbg.state("rnn/Tanh") == "done" and dbg.timestep("rnn") == 0
    h0 = dbg.value("rnn/Tanh:0")
    dbg.step_timestep()
    assert not np.array_equal(dbg.value("rnn/Tanh:0"), h0)
    assert {e.frame for e in dbg.back_timestep()} == {("rnn", 1)} and np.array_equal(dbg.value("rnn/Tanh:0"), h0)
    assert dbg.run_to("rnn/Tanh") == fl.Stop("node", "rnn/Tanh") and dbg.frame == ("rnn", 1)
    out = dbg.step_out()
    assert out[-1].node == "rnn/Scan" and out[-1].frame == () and dbg.done
    assert dbg.back().node == "rnn/Scan" and dbg.state("rnn/Scan") == "running" and dbg.ready == ("rnn/Scan",)      # all inside has fired, and it has not
    with pytest.raises(fl.DebuggerError, match="not ready|fired already"):
        dbg.fire("rnn/Tanh")
    dbg.seek(0)
    assert dbg.fire("rnn").node == "rnn/Scan" and dbg.done       # a loop fired by its own name runs to its end
    assert [v.tobytes() for v in [dbg.results]] == [v.tobytes() for v in [fl.Session(g).run(fetches[0], FEEDS)]]


def test_breakpoints_and_overrides_reach_into_loops():
    g, fetches = rnn()
    dbg = fl.Debugger(fl.Session(g), fetches[0], FEEDS)
    dbg.breakpoints.add("rnn/Tanh")
    assert dbg.resume() == fl.Stop("breakpoint", "rnn/Tanh") and dbg.frame == ("rnn", 0)
    assert dbg.resume() == fl.Stop("breakpoint", "rnn/Tanh") and dbg.frame == ("rnn", 1)
    dbg.breakpoints.clear()
    dbg.breakpoints.add("rnn/Tanh:0", when="max > 0")
    assert dbg.resume().reason == "breakpoint" and dbg.value("rnn/Tanh:0").max() > 0
    dbg.breakpoints.clear()
    dbg.override("rnn/Tanh:0", np.full((2, 4), 0.5))
    assert dbg.frame == ("rnn", 0) and dbg.resume() == fl.Stop("end") and (dbg.results == 0.5).all()
    with pytest.raises(fl.DebuggerError, match=r"\(2, 4\)"):
        dbg.override("rnn/Tanh:0", np.zeros(3))
    dbg.clear_override("rnn/Tanh:0")
    dbg.resume()
    assert dbg.results.tobytes() == fl.Session(g).run(fetches[0], FEEDS).tobytes()
    dbg.override("h0:0", np.zeros((2, 4)))      # outside: the loop begins anew
    dbg.resume()
    assert dbg.results.tobytes() == fl.Session(g).run(fetches[0], FEEDS | {"h0": np.zeros((2, 4))}).tobytes()


def test_a_kernel_that_fails_inside_a_loop_names_itself_and_its_shapes():
    with fl.Graph() as g:
        x = fl.placeholder((None, None), name="x")
        with fl.scan(x, name="loop") as step:
            s = step.state("s", init=fl.placeholder((None,), name="s0"))
            step.update(s, fl.gather(step.input, [9], axis=0))
    sess = fl.Session(g)
    feeds = {"x": np.zeros((2, 3)), "loop/s0": np.zeros(1)}
    for go in (lambda: sess.run(step.states["s"], feeds), lambda: sess.trace(step.states["s"], feeds), lambda: fl.Debugger(sess, step.states["s"], feeds).step()):
        with pytest.raises(fl.KernelError, match=r"loop/Gather .*x \(3,\)") as caught:
            go()
        assert caught.value.node == "loop/Gather"
    dbg = fl.Debugger(sess, step.states["s"], feeds)
    assert dbg.resume() == fl.Stop("error", "loop/Gather") and dbg.state("loop/Gather") == "error"


def test_a_state_that_changes_its_shape_in_a_run_is_told_of():
    with fl.Graph() as g:
        x = fl.placeholder((3, None), name="x")
        with fl.scan(x, name="loop") as step:
            s = step.state("s", init=fl.placeholder((None,), name="s0"))
            step.update(s, step.input)
    for go in (fl.Session(g).run, fl.Session(g).trace):
        with pytest.raises(fl.KernelError, match=r"loop/Scan.*shape must not change"):
            go(step.states["s"], {"x": np.zeros((3, 2)), "loop/s0": np.zeros(5)})


def test_variables_and_layers_made_inside_belong_to_the_graph_around():
    with fl.Graph() as g:
        x, like = fl.placeholder((2, 5, 3), name="x"), fl.placeholder((2, 4), name="like")
        with fl.scan(x, time_axis=1, name="rnn") as step:
            prev = step.state("h", init=fl.zeros_like(like))
            h = fl.nn.dense(fl.concat([step.input, prev], axis=-1), 4, activation="tanh", name="cell")
            step.update(prev, h)
        loss = fl.mean(step.states["h"] ** 2)
        train = fl.optim.Adam(0.1).minimize(loss, name="train")
    assert [v.node.name for v in g.trainable_variables] == ["rnn/cell/kernel", "rnn/cell/bias"]
    sess, feeds = fl.Session(g), {"x": np.random.default_rng(0).standard_normal((2, 5, 3)), "like": np.zeros((2, 4))}
    before = sess.run(loss, feeds)
    for _ in range(60):
        sess.run(train, feeds)
    assert sess.run(loss, feeds) < before / 5


def test_random_draws_differ_from_timestep_to_timestep_and_the_gradient_draws_the_same():
    def drops(checkpoint):
        with fl.Graph() as g:
            x = fl.placeholder((6, 50), "float64", name="x")
            with fl.scan(x, checkpoint=checkpoint, name="s") as step:
                s = step.state("s", init=np.zeros(50))
                dropped = fl.dropout(step.input, 0.5)
                step.update(s, s + dropped)
                step.output(dropped)
            d, = fl.gradients(fl.sum(step.states["s"]), [x])
        return fl.Session(g, seed=3).run([step.outputs[0], d], {x: np.ones((6, 50))})
    out, d = drops(False)
    assert len({row.tobytes() for row in out}) == 6 and (out == d).all()
    again, d = drops(True)
    assert (again == out).all() and (d == out).all()


def test_graph_files_and_generated_code_keep_loops(tmp_path):
    g, fetches = nested()
    names = [t.name for t in fetches]
    want = [v.tobytes() for v in fl.Session(g).run(names, NESTED)]
    fl.save(g, tmp_path / "loop.flow.json")
    loaded = fl.load(tmp_path / "loop.flow.json")
    assert loaded.same_graph(g) and [v.tobytes() for v in fl.Session(loaded).run(names, NESTED)] == want
    scope = {}
    exec(fl.to_python(g), scope)
    assert scope["g"].same_graph(g)
    d, = fl.gradients(loaded.tensor(names[0]), [loaded.tensor("w")])    # a loaded loop can be differentiated
    np.testing.assert_allclose(fl.Session(loaded).run(d, NESTED), fl.Session(g).run(names[1], NESTED))
    other, _ = nested(dropout=False)
    assert not g.same_graph(other)


def test_mistakes_are_told_of_where_they_are_made():
    with fl.Graph() as g:
        x = fl.placeholder((5, 3), name="x")
        n = fl.placeholder((4,), "int64", name="n")
        with pytest.raises(fl.ShapeError, match="no axis 2"):
            fl.scan(x, time_axis=2)
        with pytest.raises(fl.AttributeValueError, match="never updated"):
            with fl.scan(x, name="a") as step:
                step.state("s", init=0.0)
        with pytest.raises(ZeroDivisionError), fl.scan(x, name="a"):
            1 / 0   # noqa: B018
        with fl.scan(x, name="a") as step:      # the lines can be run again
            step.output(step.input)
        with fl.scan(x, name="b") as step:
            s = step.state("s", init=np.zeros(3, "float32"))
            with pytest.raises(fl.ShapeError, match=r"starts as \(3,\) and becomes \(\)"):
                step.update(s, fl.sum(step.input))
            with pytest.raises(fl.DTypeError, match="float32, its next value int64"):
                step.update(s, fl.cast(step.input, "int64"))
            with pytest.raises(fl.AttributeValueError, match="not a state"):
                step.update(step.input, step.input)
            with pytest.raises(fl.AttributeValueError, match="depends on the timestep"):
                step.state("t", init=step.input)
            with pytest.raises(fl.FlowError, match="cannot be assigned inside"):
                v = fl.variable(np.zeros(3), name="v")
                fl.assign(v, step.input)
            with pytest.raises(fl.ShapeError, match="cannot be its axis"):
                step.output(step.input, axis=4)
            step.update(s, step.input)
            with pytest.raises(fl.AttributeValueError, match="updated twice"):
                step.update(s, step.input)
            inner = step.input * 2
        for use in (lambda: inner + 1, lambda: inner * 2.0, lambda: fl.mean(inner), lambda: 3 - inner, lambda: x + inner, lambda: inner[0]):
            with pytest.raises(fl.FetchError, match="b/Multiply:0 lives inside b"):
                use()
        with pytest.raises(fl.AttributeValueError, match="closed"):
            step.output(inner)
        with pytest.raises(fl.NameTakenError):
            fl.scan(x, name="b")
        with pytest.raises(fl.ShapeError, match="axis 0 has|no batch axis|do not broadcast|5"):
            with fl.scan(x, lengths=n, name="c") as step:
                s = step.state("s", init=np.zeros(7, "float32"))
                step.update(s, s * fl.placeholder((7,), name="seven"))
        with pytest.raises(fl.ShapeError, match="one bool without axes|One bool without axes"):
            fl.cond(x > 0, lambda: x, lambda: x)
        with pytest.raises(fl.AttributeValueError, match="not a function"):
            fl.cond(fl.all(x > 0), x, lambda: x)
        with pytest.raises(fl.ShapeError, match="returns 1 tensors, the other 2"):
            fl.cond(fl.all(x > 0), lambda: x, lambda: (x, x))
        with pytest.raises(fl.DTypeError, match="float32 if true and int64"):
            fl.cond(fl.all(x > 0), lambda: x, lambda: fl.cast(x, "int64"))
        with pytest.raises(fl.ShapeError, match="starts as"):
            fl.while_loop(lambda s: fl.sum(s) < 3, lambda s: fl.concat([s, s], axis=0), np.zeros(2, "float32"))
        with pytest.raises(fl.AttributeValueError, match="body does not take the states state_0, state_1"):
            fl.while_loop(lambda a, b: a < 3, lambda a: a, [0, 1], name="wrong")
        with pytest.raises(fl.AttributeValueError, match="condition does not take the states k"):
            fl.while_loop(lambda: True, lambda k: k + 1, {"k": 0})
        with pytest.raises(fl.AttributeValueError, match="maximum"):
            fl.while_loop(lambda s: s < 3, lambda s: s + 1, 0, maximum=-1)
    assert fl.Graph and g     # the graph can go on being used
    with g:
        fl.sum(x, name="still")


def test_a_loop_without_a_gradient_on_its_way_says_so_with_the_path():
    with fl.Graph():
        x = fl.placeholder((5, 3), name="x")
        with fl.scan(x, name="loop") as step:
            s = step.state("s", init=np.zeros(3, "float32"))
            step.update(s, fl.stop_gradient(step.input))
        with pytest.raises(fl.GradientError):
            fl.gradients(fl.sum(step.states["s"]), [x])
        assert fl.gradients(fl.sum(step.states["s"]), [x], unconnected="none") == [None]
        d, = fl.gradients(fl.sum(step.states["s"]), [x], unconnected="zero")
        assert d.shape == (5, 3)


def test_each_is_one_node_of_its_own_type():
    g, _ = nested()
    assert [n.op.name for n in g.nodes if n.name.startswith("outer/")] == ["Constant", "Scan"]
    body = g.node("outer").attrs["body"]
    assert [n.op.name for n in body.nodes if n.op.routine] == ["Scan", "While", "Cond"]
    with fl.Graph() as g:
        with fl.scan(fl.placeholder((4,), name="x"), name="count") as step:
            step.output(step.index)
    assert g.node("count/Timesteps").op.name == "Timesteps" and fl.Session(g).run(step.outputs[0], {"x": np.zeros(4)}).tolist() == [0, 1, 2, 3]


def test_composites_inside_a_loop_stay_with_it_in_a_file(tmp_path):
    @fl.composite
    def double(x):
        return x * 2
    with fl.Graph() as g:
        with fl.scan(fl.placeholder((4,), name="x"), name="loop") as step:
            step.output(double(step.input))
    fl.save(g, tmp_path / "g.flow.json")
    loaded = fl.load(tmp_path / "g.flow.json")
    made, kept = (graph.node("loop").attrs["body"].composites for graph in (g, loaded))
    assert list(made) == ["double"] and kept == made and loaded.same_graph(g)


def test_what_a_loop_gives_out_has_one_shape_and_is_never_stretched():
    with fl.Graph() as g:
        x = fl.placeholder((None, 3), name="x")
        with fl.scan(x, name="loop") as step:
            step.output(fl.cond(fl.sum(step.input) > 0, lambda: step.input * 1.0, lambda: step.input[:1]))
    feeds = {"x": [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]]}
    for look in (fl.Session(g).run, fl.Session(g).trace, fl.Session(g, executor="parallel").run):
        with pytest.raises(fl.KernelError, match=r"loop/Scan .*had shape \(3,\), and at timestep 1 it has \(1,\)"):
            look(step.outputs[0], feeds)


@pytest.mark.parametrize(("pick", "picked"), [
    (lambda x: fl.boolean_mask(x, x > 0), [[1, 1, 1], [1, 0, 0], [1, 1, 0]]), (lambda x: fl.relu(x), [[1, 1, 1], [1, 0, 0], [1, 1, 0]]),
    (lambda x: fl.cond(fl.sum(x) > 0, lambda: x * 1.0, lambda: x[:1]), [[1, 1, 1], [1, 0, 0], [1, 1, 1]])])
def test_a_gradient_goes_through_what_has_another_size_at_every_timestep(pick, picked):
    with fl.Graph() as g:
        x = fl.placeholder((None, None), "float64", name="x")
        with fl.scan(x, name="loop") as step:
            total = step.state("total", init=np.zeros(()))
            some = pick(step.input)
            step.update(total, total + fl.sum(some * some * some))
        y = step.states["total"]
        dx, = fl.gradients(y, [x])
    v = np.array([[1.0, 2.0, 3.0], [1.0, -2.0, -3.0], [1.0, 2.0, -1.0]])
    assert fl.check_gradients(y, [x], {x: v}).ok
    np.testing.assert_array_equal(fl.Session(g).run(dx, {x: v}), 3 * v ** 2 * picked)


@pytest.mark.parametrize("look", [lambda s, f, d: s.run(f, d), lambda s, f, d: s.trace([f], d), lambda s, f, d: s.timeline({"a": f}, d), lambda s, f, d: fl.Debugger(s, f, d)])
def test_what_a_loop_computes_inside_is_neither_fetched_nor_fed(look):
    with fl.Graph() as g:
        x = fl.placeholder((3,), name="x")
        with fl.scan(x, name="loop") as step:
            step.output(fl.tanh(step.input, name="inner"))
        y = fl.sum(step.outputs[0], name="y")
    for fetch in ("loop/inner:0", "loop/inner", g.node("loop/inner"), g.tensor("loop/inner:0")):
        with pytest.raises(fl.FetchError, match="loop/inner is computed inside a loop") as caught:
            look(fl.Session(g), fetch, {x: [1.0, 2.0, 3.0]})
        assert caught.value.node == "loop/inner"
    with pytest.raises(fl.FeedError, match="cannot feed 'loop/inner:0'.*inside a loop"):
        look(fl.Session(g), y, {x: [1.0, 2.0, 3.0], "loop/inner:0": 1.0})
    assert fl.Session(g).trace(y, {x: [1.0, 2.0, 3.0]}).value("loop/inner") == np.tanh(np.float32(3.0))
    with pytest.raises(fl.FetchError, match="loop/inner:0 lives inside loop"):
        g.node("loop/inner").outputs[0] + 1.0


def test_a_state_can_be_overridden_as_one_timestep_finds_it():
    g, fetches = rnn()
    want = fl.Session(g).run(fetches[0], FEEDS)
    dbg = fl.Debugger(fl.Session(g), fetches[0], FEEDS)
    dbg.resume()
    dbg.override("rnn/h:0", np.zeros((2, 4)), at=3)
    assert dbg.frame == ("rnn", 3)
    dbg.resume()
    assert (dbg.results[:, :3] == want[:, :3]).all() and not np.allclose(dbg.results[:, 3], want[:, 3])
    fresh = fl.Session(g).run(fetches[0], {"x": FEEDS["x"][:, [3, 4, 4, 4, 4]], "h0": np.zeros((2, 4))})
    np.testing.assert_allclose(dbg.results[:, 3:], fresh[:, :2], rtol=1e-12)
    dbg.override("rnn/Tanh", np.ones((2, 4)), at=("rnn", 1))
    dbg.resume()
    assert (dbg.results[:, 1] == 1).all() and not (dbg.results[:, 2] == 1).any()
    dbg.clear_override()
    dbg.resume()
    assert dbg.results.tobytes() == want.tobytes()
    with pytest.raises(fl.DebuggerError, match="in no loop"):
        dbg.override("h0", np.zeros((2, 4)), at=2)


def test_inner_names_go_with_and_without_their_output():
    g, fetches = rnn()
    dbg = fl.Debugger(fl.Session(g), fetches[0], FEEDS)
    dbg.step_timestep()
    assert (dbg.value("rnn/Tanh") == dbg.value("rnn/Tanh:0")).all() and dbg.stats("rnn/Tanh").size == 8
    dbg.watch("rnn/Tanh")
    assert dbg.watches == ["rnn/Tanh:0"]
    assert (fl.Session(g).trace(fetches[0], FEEDS).value("rnn/Tanh", at=("rnn", 0)) == dbg.value("rnn/Tanh")).all()
    with pytest.raises(fl.DebuggerError, match="no node of this run"):
        dbg.breakpoints.add("nope*")


def test_a_round_of_a_while_loop_is_one_timestep():
    with fl.Graph() as g:
        fl.while_loop(lambda k: k < 3, lambda k: k + 1, fl.placeholder((), "int64", name="k0"), name="count")
    dbg = fl.Debugger(fl.Session(g), "count", {"k0": 0})
    assert [[e.node for e in dbg.step_timestep()] for _ in range(3)] == [["count/Less", "count/Add"]] * 3
    assert [e.node for e in dbg.step_timestep()] == ["count/Less"] and dbg.step().node == "count/While" and dbg.done


def test_a_state_as_large_as_the_batch_starts_so():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 4, 3), name="x")
        with fl.scan(x, time_axis=1, name="bad") as step:
            s = step.state("s", init=np.zeros((1, 3), "float32"))
            with pytest.raises(fl.ShapeError, match="starts as .1, 3. and becomes .batch, 3."):
                step.update(s, s + step.input)
            step.update(s, s * 2)
        with fl.scan(x, time_axis=1, name="sums") as step:
            s = step.state("s", size=3)
            step.update(s, s + step.input)
    v = np.full((2, 4, 3), np.nan)
    v[...] = 1
    assert step.states["s"].shape == ("batch", 3) and (fl.Session(g).run(step.states["s"], {"x": v}) == 4).all()


class Pair(NamedTuple):
    a: fl.Tensor
    b: fl.Tensor


def test_dicts_of_two_branches_meet_by_name_and_structures_come_back():
    with fl.Graph() as g:
        x = fl.placeholder((), name="x")
        named = fl.cond(x > 0, lambda: {"a": x * 10, "b": x + 1}, lambda: {"b": x * 1.0, "a": x * 100})
        pair = fl.cond(x > 0, lambda: Pair(x, x + 1), lambda: Pair(x * 2, x * 3))
        loop = fl.while_loop(lambda a, b: a < 3, lambda a, b: [a + 1, b + x], Pair(x, x * 0))
        for other in (lambda: {"a": x, "c": x}, lambda: [x, x]):
            with pytest.raises(fl.AttributeValueError, match="one function returns a, b, the other"):
                fl.cond(x > 0, lambda: {"a": x, "b": x}, other)
    assert isinstance(pair, Pair) and isinstance(loop, Pair)
    sess = fl.Session(g)
    assert sess.run([named, pair], {x: -1.0}) == [{"a": -100.0, "b": -1.0}, (-2.0, -3.0)] and sess.run([named, pair, loop], {x: 1.0}) == [{"a": 10.0, "b": 2.0}, (1.0, 2.0), (3.0, 2.0)]


def test_a_trace_knows_what_a_timestep_took_in():
    g, fetches = rnn()
    trace = fl.Session(g).trace(fetches[0], FEEDS)
    assert (trace.value("rnn/h:0", at=("rnn", 0)) == FEEDS["h0"]).all() and (trace.value("rnn/input", at=("rnn", 2)) == FEEDS["x"][:, 2]).all()
    for t in range(1, 5):
        assert (trace.value("rnn/h", at=("rnn", t)) == trace.value("rnn/Tanh", at=("rnn", t - 1))).all()
    assert (trace.value("rnn/h") == trace.value("rnn/Tanh", at=("rnn", 3))).all()
    with pytest.raises(KeyError, match="at=.*rnn"):
        trace.value("rnn/h", at=("rnn", 9))
    g, fetches = nested()
    trace, dbg = fl.Session(g).trace(fetches, NESTED), fl.Debugger(fl.Session(g), fetches, NESTED)
    while dbg.frame != ("outer", 1, "outer/inner", 2):
        dbg.step()
    dbg.step()
    assert dbg.value("outer/inner/a") == trace.value("outer/inner/a", at=("outer", 1, "outer/inner", 2))


def test_a_name_inside_is_the_node_that_fires_before_an_input_of_the_other_branch():
    with fl.Graph() as g:
        x = fl.placeholder((), name="x")
        outer = fl.multiply(x, 2.0, name="twice")
        y = fl.cond(x > 0, lambda: fl.exp(outer), lambda: fl.negative(x, name="twice"), name="either")
    sess = fl.Session(g)
    assert sess.trace(y, {x: -3.0}).value("either/twice:0") == 3.0
    dbg = fl.Debugger(sess, y, {x: -3.0})
    dbg.override("either/twice:0", 5.0)
    assert dbg.resume() == fl.Stop("end") and dbg.results == 5.0 == dbg.value("either/twice:0")
