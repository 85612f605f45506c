"""Memory: what there is no room for is refused before it is computed, naming the node; running out tears nothing."""
from __future__ import annotations

import gc
import sys
import warnings

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY
from flowlab.runtime import machine, memory
from flowlab.runtime.backend import NUMPY
from flowlab.runtime.memory import check_fit

GIB = 1 << 30


@pytest.fixture
def room(monkeypatch):
    """Let the process have that many bytes left."""
    def set_room(size):
        for module in (machine, memory, sys.modules["flowlab.runtime.store"]):
            monkeypatch.setattr(module, "memory_left", lambda: size, raising=True)
    return set_room


def outer():
    with fl.Graph() as g:
        a, b = fl.placeholder((None, 1), name="a"), fl.placeholder((1, None), name="b")
        table = fl.add(a, b, name="table")
        fl.sum(table, name="total")
    return g


def ways(sess, fetch, feeds):
    return (lambda: sess.run(fetch, feeds), lambda: sess.trace(fetch, feeds), lambda: fl.Debugger(sess, fetch, feeds), lambda: sess.timeline(fetch, feeds))


@pytest.mark.parametrize("options", [{}, {"executor": "parallel", "workers": 2}])
def test_four_tebibytes_are_refused_before_anything_is_computed(options):
    g = outer()
    side = np.zeros(2**20, "float32")
    with fl.Session(g, **options) as sess:
        for go in ways(sess, "total", {"a": side[:, None], "b": side[None]}):
            with pytest.raises(fl.DeviceError, match=r"table \(Add\) would give float32 \(1048576, 1048576\), 4.0 TiB: this process may use") as caught:
                go()
            assert caught.value.node == "table" and caught.value.hint
        for go in ways(sess, "total", {"a": side[:9, None], "b": side[None, :9]}):
            go()
        assert sess.run("total", {"a": np.ones((3, 1)), "b": np.ones((1, 4))}) == 24


def test_sizes_known_in_the_graph_are_refused_too():
    with fl.Graph() as g:
        x = fl.constant(np.zeros((2**19, 1)))
        y = fl.matmul(x, fl.transpose(x), name="gram")
        fl.mean(y, name="loss")
    with pytest.raises(fl.DeviceError, match=r"gram .*\(524288, 524288\), 2.0 TiB"):
        fl.Session(g).run("loss")


def test_a_gradient_that_would_not_fit_is_refused_at_its_own_node():
    with fl.Graph() as g:
        x = fl.placeholder((None,), name="x")
        y = fl.sum(fl.square(x), name="y")
        fl.gradients(fl.sum(fl.outer(fl.gradients(y, [x])[0], x)), [x]) if hasattr(fl, "outer") else None
    node = next((n for n in g.nodes if n.op.name == "Outer"), None)
    if node is not None:
        with pytest.raises(fl.DeviceError) as caught:
            fl.Session(g).run(node.outputs[0], {x: np.zeros(2**21, "float32")})
        assert caught.value.node == node.name


def test_the_bound_is_exact_to_the_byte(room):
    g = outer()
    sess = fl.Session(g)
    plan = sess.plan((g.tensor("table"),), (g.tensor("a"), g.tensor("b")))
    size = 2**14 * 2**12 * 4
    room(size)
    check_fit(plan, ((2**14, 1), (1, 2**12)))
    room(size - 1)
    with pytest.raises(fl.DeviceError, match="256.0 MiB"):
        check_fit(plan, ((2**14, 1), (1, 2**12)))


def test_what_is_held_at_once_counts_and_what_is_let_go_does_not(room):
    with fl.Graph() as g:
        x = y = fl.placeholder((None,), name="x")
        for k in range(6):
            y = fl.exp(y, name=f"step_{k}")
        first = g.tensor("step_0:0")
        fl.add(fl.sum(y), fl.sum(first), name="both")
    count = 2**25                                   # 128 MiB each
    sess = fl.Session(g)
    long = sess.plan((y,), (x,))
    room(2 * 4 * count)
    check_fit(long, ((count,),))                    # never more than two at once
    both = sess.plan((g.tensor("both"),), (x,))
    with pytest.raises(fl.DeviceError, match="with what else the run holds by then") as caught:
        check_fit(both, ((count,),))                # the first one is needed to the end
    assert caught.value.node == "step_2"
    room(3 * 4 * count + 8)
    check_fit(both, ((count,),))


def test_views_take_no_memory(room):
    with fl.Graph() as g:
        x = fl.placeholder((None, 1), name="x")
        wide = fl.broadcast_to(x, (2**10, 2**20))
        fl.sum(fl.transpose(wide)[:3, :3], name="corner")
    room(GIB)
    assert fl.Session(g).run("corner", {"x": np.ones((2**10, 1))}) == 9


def test_what_is_kept_for_later_runs_is_let_go_before_a_run_is_refused(monkeypatch):
    left = [GIB // 16]
    freed = []
    for module in (memory,):
        monkeypatch.setattr(module, "memory_left", lambda: left[0])
    g = outer()
    sess = fl.Session(g)
    monkeypatch.setattr(sess, "free", lambda: freed.append(1) or left.__setitem__(0, GIB))
    plan = sess.plan((g.tensor("table"),), (g.tensor("a"), g.tensor("b")))
    sess.fits(plan, ((2**13, 1), (1, 2**12)))       # 128 MiB
    assert freed == [1]
    sess.fits(plan, ((2**13, 1), (1, 2**12)))
    assert freed == [1], "the answer is known"


def test_shapes_are_asked_about_once(monkeypatch):
    asked = []
    real = sys.modules["flowlab.runtime.session"].check_fit
    monkeypatch.setattr(sys.modules["flowlab.runtime.session"], "check_fit", lambda plan, shapes, free: asked.append(shapes) or real(plan, shapes, free))
    for options in ({}, {"executor": "parallel", "workers": 2}):
        asked.clear()
        with fl.Session(outer(), **options) as sess:
            for rows in (3, 3, 5, 3, 5, 5):
                sess.run("total", {"a": np.ones((rows, 1)), "b": np.ones((1, 4))})
                sess.trace("total", {"a": np.ones((rows, 1)), "b": np.ones((1, 4))})
        assert asked == [((3, 1), (1, 4)), ((5, 1), (1, 4))]


def test_a_variable_there_is_no_room_for_is_refused_by_name():
    with fl.Graph() as g:
        fl.variable(fl.init.zeros((2**20, 2**21)), name="huge")
        x = fl.constant(1.0, name="x")
    sess = fl.Session(g)
    with pytest.raises(fl.DeviceError, match=r"the variable huge \(1048576, 2097152\) takes 24.0 TiB") as caught:
        sess.run(x)
    assert caught.value.node == "huge"


def test_loops_and_ops_whose_sizes_the_data_decides_are_let_through(room):
    room(GIB)
    with fl.Graph() as g:
        seq = fl.placeholder((2, None, 3), name="seq")
        with fl.scan(seq, time_axis=1, name="rnn") as step:
            prev = step.state("h", init=np.zeros((2, 3), "float32"))
            h = fl.tanh(step.input + prev)
            step.update(prev, h)
            step.output(h)
        fl.sum(step.outputs[0], name="loss")
    assert fl.Session(g).run("loss", {"seq": np.ones((2, 5, 3))}).shape == ()


# ---------------------------------------------------------------- limits of the process


def test_the_tightest_limit_counts(tmp_path, monkeypatch):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:  8000000 kB\nSwapFree: 1000 kB\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n5:memory:/old\n")
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cg")
    assert machine.memory_left() == 8001000 * 1024
    new, old = tmp_path / "cg/a/b", tmp_path / "cg/memory/old"
    new.mkdir(parents=True), old.mkdir(parents=True)
    (new / "memory.max").write_text("max\n")
    (new / "memory.current").write_text("1000\n")
    assert machine.memory_left() == 8001000 * 1024
    (new.parent / "memory.max").write_text("6000000\n")
    (new.parent / "memory.current").write_text("5000000\n")
    (new.parent / "memory.stat").write_text("anon 5\ninactive_file 700000\n")
    assert machine.memory_left() == 1_700_000, "what files are cached in can be taken back"
    (old / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (old / "memory.usage_in_bytes").write_text("1\n")
    assert machine.memory_left() == 1_700_000
    (old / "memory.limit_in_bytes").write_text("500000\n")
    (old / "memory.usage_in_bytes").write_text("600000\n")
    assert machine.memory_left() == 0
    (tmp_path / "proc/meminfo").unlink()
    assert machine.memory_left() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets the limit of a process as Linux does")
def test_a_limit_of_the_process_is_kept_to():
    import subprocess
    code = """
import resource, numpy as np, flowlab as fl
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
with fl.Graph() as g:
    a, b = fl.placeholder((None, 1), name="a"), fl.placeholder((1, None), name="b")
    fl.sum(fl.add(a, b, name="table"), name="total")
sess = fl.Session(g)
try:
    sess.run("total", {"a": np.zeros((1 << 17, 1)), "b": np.zeros((1, 1 << 14))})
except fl.DeviceError as error:
    print(error.node, sess.run("total", {"a": np.ones((3, 1)), "b": np.ones((1, 4))}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "table 24.0\n", done.stdout + done.stderr


def test_a_trace_keeps_a_quarter_of_what_the_process_may_use_at_most(monkeypatch):
    for left, budget in ((None, 256 << 20), (64 * GIB, 256 << 20), (GIB, 256 << 20), (GIB // 4, 64 << 20), (0, 0)):
        monkeypatch.setattr(memory, "memory_left", lambda left=left: left)
        monkeypatch.setattr(memory, "_BUDGET", [0.0, 0.0])
        assert memory.trace_budget() == budget
    with fl.Graph() as g:
        x = fl.placeholder((None,), name="x")
        y = fl.exp(fl.square(x, name="a"), name="b")
    trace = fl.Session(g).trace(y, {x: [1.0, 2.0]})
    assert "let go" in repr(trace) and trace.value("a").tolist() == [1, 4], "what was let go is computed again"


# ---------------------------------------------------------------- running out all the same


@pytest.fixture
def greedy():
    """An op that runs out of memory while the switch is on."""
    switch = [True]

    @fl.op(type="TestGreedy", function="test_greedy", infer=lambda x, **_: x, category="math")
    def test_greedy(xp, x):
        """Want too much."""
        if switch[0]:
            return np.empty(1 << 57, "float32")
        return x
    yield test_greedy, switch
    del REGISTRY["TestGreedy"]


@pytest.mark.parametrize("options", [{}, {"executor": "parallel", "workers": 2}, {"executor": "parallel", "workers": 2, "eager": True}])
def test_a_kernel_that_runs_out_of_memory_is_named_all_is_let_go_and_a_retry_works(greedy, options):
    op, switch = greedy
    eager = options.pop("eager", False) if (options := dict(options)) else False
    with fl.Graph() as g:
        x = fl.placeholder((None,), name="x")
        v = fl.variable(np.zeros(1, "float32"), name="v")
        big = fl.exp(x, name="big")
        hungry = op(fl.square(big), name="hungry")
        fl.assign(v, fl.reshape(fl.sum(hungry), (1,)), name="put")
    with fl.Session(g, **options) as sess:
        if eager:
            sess.parallel.worth = 0.0
        xs = np.zeros(1 << 18, "float32")
        for go in (lambda: sess.run("put", {x: xs}), lambda: sess.trace("put", {x: xs}), lambda: sess.timeline("put", {x: xs})):
            switch[0] = True
            sess.last_trace = None      # it holds the values of the run before
            with pytest.raises(fl.KernelError, match=r"hungry \(TestGreedy\) failed: .*MemoryError.*x \(262144,\)") as caught:
                go()
            kept = caught.value
            assert kept.node == "hungry" and isinstance(kept.__cause__, MemoryError) and sess.variables["v"].tolist() == [0]
            gc.collect()
            NUMPY.free()
            assert not NUMPY._pool, "the error, though kept, holds no array of the run"
            switch[0] = False
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                go()
            assert sess.variables["v"][0] == 1 << 18
            sess.variables["v"] = np.zeros(1, "float32")
