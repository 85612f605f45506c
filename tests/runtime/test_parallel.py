"""executor="parallel": the same bits as a plain run, from several threads, and nothing left behind whatever happens."""
from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import threading
import time
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import flowlab as fl
from flowlab.core.op import REGISTRY
from flowlab.runtime import machine
from flowlab.runtime.schedule import Parallel


def eager(g, workers=3, **options):
    """A parallel session that hands over every node, however cheap."""
    sess = fl.Session(g, executor="parallel", workers=workers, **options)
    sess.parallel.worth = 0.0
    return sess


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("flowlab ")]


def blas_threads():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


def same(a, b):
    return [None if v is None else (v.shape, v.dtype, v.tobytes()) for v in a] == [None if v is None else (v.shape, v.dtype, v.tobytes()) for v in b]


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    gc.collect()
    before = threads(), blas_threads(), gc.isenabled(), np.geterr()
    yield
    gc.collect()
    deadline = time.monotonic() + 2
    while len(threads()) > len(before[0]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (len(threads()), blas_threads(), gc.isenabled(), np.geterr()) == (len(before[0]), *before[1:])


@contextmanager
def operation(kernel, **options):
    """An op of the test's own: `kernel(x)` computes it."""
    def probe(xp, x, *, tag: int = 0):
        """Do what the test wants."""
        return kernel(x, tag)
    op = fl.op(type="TestProbe", function="test_probe", infer=lambda x, **_: x, category="math", **options)(probe)
    try:
        yield op
    finally:
        del REGISTRY["TestProbe"]


def towers(count=4, depth=3):
    """Branches that wait for nothing but the feed, and an update of them all."""
    with fl.Graph("towers") as g:
        x = fl.placeholder(("batch", 6), name="x")
        tops = []
        for k in range(count):
            h = x
            for j in range(depth):
                h = fl.nn.dense(h, 5 + k, "tanh", name=f"tower_{k}_{j}")
            tops.append(fl.mean(fl.square(fl.dropout(h, 0.2)), name=f"top_{k}"))
        loss = fl.add_n(tops, name="loss") if hasattr(fl, "add_n") else fl.sum(fl.stack(tops), name="loss")
        fl.optim.Adam(0.05).minimize(loss, name="train")
    return g


XS = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_training_in_parallel_is_the_plain_run_bit_for_bit(workers):
    g = towers()
    fetches = ["loss", *(f"top_{k}" for k in range(4)), *fl.gradients(g.tensor("loss"), g.trainable_variables), "train"]
    plain = fl.Session(g, seed=3)
    with eager(g, workers, seed=3) as sess:
        for _ in range(6):
            assert same(sess.run(fetches, {"x": XS}), plain.run(fetches, {"x": XS}))
        assert same(sess.variables.values(), plain.variables.values())


def test_an_lstm_in_parallel_is_the_plain_run_bit_for_bit():
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 7, 3), name="x")
        outs = [fl.nn.lstm(x, 4, name=f"lstm_{k}")[0] for k in range(3)]
        loss = fl.mean(fl.concat(outs, axis=-1) ** 2, name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    xs = np.random.default_rng(1).normal(size=(4, 7, 3)).astype("float32")
    plain = fl.Session(g, seed=1)
    with eager(g, seed=1) as sess:
        for _ in range(4):
            assert same(sess.run([loss, *outs, "train"], {x: xs}), plain.run([loss, *outs, "train"], {x: xs}))
        assert same(sess.variables.values(), plain.variables.values())


def loops():
    """Two loops and a branch that wait for nothing but the feed, their gradients, and an update."""
    with fl.Graph("loops") as g:
        x = fl.placeholder(("batch", 5, 3), name="x")
        parts = []
        for k in range(2):
            w = fl.variable(np.eye(3, dtype="float32") * (k + 1), name=f"w_{k}")
            with fl.scan(x, time_axis=1, name=f"rnn_{k}") as step:
                prev = step.state("h", init=fl.zeros_like(x[:, 0]))
                h = fl.tanh(fl.dropout(step.input, 0.3) + prev @ w)
                step.update(prev, h)
                step.output(h)
            parts.append(fl.mean(step.outputs[0]))
        total = parts[0] + parts[1]
        parts.append(fl.cond(total > 0.0, lambda: total * 2.0, lambda: fl.exp(total)))
        loss = fl.sum(fl.stack(parts), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    return g


def test_loops_and_branches_in_parallel_are_the_plain_run_bit_for_bit():
    g = loops()
    xs = np.random.default_rng(2).normal(size=(2, 5, 3)).astype("float32")
    plain = fl.Session(g, seed=4)
    with eager(g, seed=4) as sess:
        for _ in range(4):
            assert same(sess.run(["loss", "train"], {"x": xs}), plain.run(["loss", "train"], {"x": xs}))
        assert same(sess.variables.values(), plain.variables.values())


def test_an_error_inside_a_loop_is_told_as_in_a_plain_run():
    with fl.Graph() as g:
        x = fl.placeholder((2, 4), "int64", name="x")
        table = fl.constant(np.ones((3, 2), "float32"))
        with fl.scan(x, time_axis=1, name="look") as step:
            step.output(fl.gather(table, step.input, name="rows"))
        g_out = step.outputs[0]
    bad = [[0, 1, 7, 0], [0, 0, 0, 0]]
    with pytest.raises(fl.KernelError) as plain:
        fl.Session(g).run(g_out, {x: bad})
    with eager(g) as sess, pytest.raises(fl.KernelError) as caught:
        sess.run(g_out, {x: bad})
    assert str(caught.value) == str(plain.value) and caught.value.node == plain.value.node == "look/rows"


def test_a_run_reads_one_snapshot_and_commits_once():
    with fl.Graph() as g:
        a, b = fl.variable(np.array([1.0, 2.0]), name="a"), fl.variable(np.array([3.0, 4.0]), name="b")
        fl.group([fl.assign(a, fl.identity(b), name="to_a"), fl.assign(b, a + 1, name="to_b")], name="step")
    with eager(g) as sess:
        assert sess.run("step") is None
        assert sess.variables["a"].tolist() == [3, 4] and sess.variables["b"].tolist() == [2, 3]
        assert sess.store.version == 1 and sess.store.runs == 1
        assert sess.run([]) == [] and sess.run([a])[0].tolist() == [3, 4]


def test_control_dependencies_hold_across_threads():
    order, lock = [], threading.Lock()

    def note(x, tag):
        with lock:
            order.append(tag)
        return x
    with operation(note) as op:
        with fl.Graph() as g:
            x = fl.placeholder((2,), name="x")
            before = [op(x, tag=k) for k in range(6)]
            with fl.control_dependencies(before):
                last = op(x, tag=9, name="last")
        with eager(g, 4) as sess:
            for _ in range(20):
                order.clear()
                sess.run(last, {x: [1, 2]})
                assert order[-1] == 9 and sorted(order[:-1]) == list(range(6))


def test_independent_nodes_are_fired_at_the_same_time():
    meeting = threading.Barrier(3, timeout=20)

    def meet(x, tag):
        meeting.wait()      # three kernels must be under way at once, or this breaks
        return x
    with operation(meet) as op:
        with fl.Graph() as g:
            x = fl.placeholder((2,), name="x")
            y = fl.stack([op(x, tag=k) for k in range(3)], name="y")
        with eager(g, 3) as sess:
            assert sess.run(y, {x: [1, 2]}).shape == (3, 2)
            names = {t.name for t in threads()}
        assert names == {"flowlab cpu:0/1", "flowlab cpu:0/2"}, "the caller's own thread is the third"


# ---------------------------------------------------------------- where the work is worth it


def test_a_plan_of_cheap_nodes_runs_straight_through_and_starts_no_thread():
    sess = fl.Session(towers(), executor="parallel", workers=4)
    for _ in range(3):
        sess.run("train", {"x": XS})
    assert not threads()
    (schedule,) = sess.parallel._schedules.values()
    assert [p.mode for p in schedule.profiles.values()] == ["compiled"]


def two_sleepers():
    def sleep(x, tag):
        time.sleep(0.004)
        return x + tag
    return operation(sleep)


def test_nodes_worth_it_go_in_parallel_and_the_clock_has_the_last_word():
    with two_sleepers() as op:
        with fl.Graph() as g:
            x = fl.placeholder((None,), name="x")
            y = [op(x, tag=1), op(x, tag=2)]
        with fl.Session(g, executor="parallel", workers=2) as sess:
            modes = []
            for _ in range(16):
                assert [v.tolist() for v in sess.run(y, {x: [1.0]})] == [[2], [3]]
                (schedule,) = sess.parallel._schedules.values()
                modes.append(schedule.profiles[((1,),)].mode)
            sess.run(y, {x: [1.0, 2.0]})        # another shape is another matter
            assert set(schedule.profiles) == {((1,),), ((2,),)}
    assert modes[:12] == ["trial"] * 12 and modes[12:] == [modes[-1]] * 4 and modes[-1] in ("parallel", "compiled")


def test_a_schedule_is_judged_by_what_it_promises():
    g = towers(2, 1)
    judge = Parallel(None, None, workers=2)
    schedule = judge.schedule(fl.Session(g).plan((g.tensor("top_0"), g.tensor("top_1")), (g.tensor("x"),)))
    n = len(schedule.waiting)
    assert judge.judge(schedule, [1e-4] * n).mode == "compiled", "no node is worth a hand-over"
    both = [2e-3 if s.node.op.name == "MatMul" else 1e-6 for s in schedule.plan.steps]
    judged = judge.judge(schedule, both)
    assert sum(judged.heavy) == 2 and schedule.makespan(both, schedule.levels(both), {"cpu:0": 2}) == pytest.approx(2e-3, rel=0.05)
    one = [2e-3 if s.node.name == "tower_0_0/MatMul" else 1e-6 for s in schedule.plan.steps]
    assert judge.judge(schedule, one).mode == "compiled", "there is nothing to do meanwhile"
    assert Parallel(None, None, workers=1).judge(schedule, both).mode == "compiled", "and nobody to do it"


def test_threads_follow_the_quota(tmp_path, monkeypatch):
    v2, v1 = tmp_path / "v2", tmp_path / "v1"
    for root, lines in ((v2, "0::/box/inner\n"), (v1, "3:cpu,cpuacct:/box/inner\n")):
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text(lines)
    (v2 / "cg/box/inner").mkdir(parents=True)
    (v2 / "cg/box/inner/cpu.max").write_text("max 100000\n")
    (v2 / "cg/box/cpu.max").write_text("150000 100000\n")
    (v1 / "cg/cpu/box/inner").mkdir(parents=True)
    (v1 / "cg/cpu/box/inner/cpu.cfs_quota_us").write_text("50000\n")
    (v1 / "cg/cpu/box/inner/cpu.cfs_period_us").write_text("100000\n")
    whole = machine.cpu_count()
    for root, most in ((v2, 2), (v1, 1)):
        monkeypatch.setattr(machine, "_PROC", root / "proc")
        monkeypatch.setattr(machine, "_CGROUPS", root / "cg")
        assert machine.cpu_count() == min(whole, most)
        assert Parallel(None, None).workers == min(whole, most)
    (v1 / "cg/cpu/box/inner/cpu.cfs_quota_us").write_text("-1\n")
    assert machine.cpu_count() == whole
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(allowed)})
            assert machine.cpu_count() == 1
        finally:
            os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(("options", "said"), [({"executor": "magic"}, "no executor 'magic'"), ({"workers": 2}, "has no workers"), ({"executor": "parallel", "workers": 0}, "workers is 0"),
                                               ({"executor": "parallel", "workers": 1.5}, "workers is 1.5"), ({"executor": "parallel", "workers": True}, "workers is True")])
def test_what_an_executor_cannot_be(options, said):
    with pytest.raises(fl.AttributeValueError, match=said):
        fl.Session(fl.Graph(), **options)


# ---------------------------------------------------------------- BLAS, NumPy's error state


@pytest.mark.skipif(not blas_threads(), reason="this NumPy's BLAS has no threads to set")
def test_blas_has_one_thread_while_nodes_are_in_parallel_and_its_own_count_afterwards():
    seen = []

    def look(x, tag):
        seen.append(blas_threads())
        if tag == 7:
            raise ValueError("seven")
        return x
    with operation(look) as op, threadpool_limits(3, user_api="blas"):
        before = blas_threads()
        with fl.Graph() as g:
            x = fl.placeholder((2,), name="x")
            fine, bad = [op(x, tag=k) for k in range(3)], op(x, tag=7, name="bad")
        with eager(g) as sess:
            sess.run(fine, {x: [1, 2]})
            assert blas_threads() == before
            with pytest.raises(fl.KernelError):
                sess.run([*fine, bad], {x: [1, 2]})
            assert blas_threads() == before
        assert {n for counts in seen for n in counts} == {1}
        seen.clear()
        fl.Session(g).run(fine, {x: [1, 2]})
        assert seen == [before] * 3


def test_the_last_of_several_runs_gives_blas_its_threads_back():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        hold = machine.OneBlasThread()
        hold.enter("a")
        hold.enter("b")
        hold.leave("a")
        hold.leave("a")
        assert set(blas_threads()) <= {1}
        hold.leave("never came")
        hold.leave("b")
        assert blas_threads() == before


def test_numpys_error_state_of_the_caller_holds_in_every_thread():
    with fl.Graph() as g:
        x = fl.placeholder((None,), name="x")
        y = [fl.log(x * float(k)) for k in range(1, 5)]
    with eager(g) as sess:
        with np.errstate(all="ignore"):
            assert np.isneginf(sess.run(y, {x: [0.0]})).all()
        with np.errstate(divide="raise"), pytest.raises(fl.KernelError, match="FloatingPointError"):
            sess.run(y, {x: [0.0]})
        calls = []
        with np.errstate(divide="call", call=lambda *a: calls.append(threading.get_ident())):
            sess.run(y, {x: [0.0]})
        assert len(calls) == 4


# ---------------------------------------------------------------- errors


def failing(tags_that_fail, wait=None):
    def fail(x, tag):
        if wait is not None:
            wait(tag)
        if tag in tags_that_fail:
            raise ValueError(f"tag {tag}")
        return x
    return operation(fail)


def test_of_several_that_fail_the_first_in_the_plans_order_is_told_as_in_a_plain_run():
    late = threading.Event()

    def wait(tag):
        if tag == 2:
            late.wait(20)       # the later one fails first
        if tag == 5:
            late.set()
    with failing({2, 5}, wait) as op:
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            v = fl.variable(np.zeros(3, "float32"), name="v")
            ys = [op(x, tag=k, name=f"probe_{k}") for k in range(8)]
            fl.assign(v, fl.add(v, ys[7]), name="put")
        with eager(g, 3) as sess:
            for _ in range(5):
                late.clear()
                with pytest.raises(fl.KernelError) as caught:
                    sess.run([*ys, "put"], {x: [1, 2, 3]})
                late.set()
                with pytest.raises(fl.KernelError) as plain:
                    fl.Session(g).run([*ys, "put"], {x: [1, 2, 3]})
                assert (str(caught.value), caught.value.node) == (str(plain.value), "probe_2")
                assert isinstance(caught.value.__cause__, ValueError) and __file__ in str(caught.value)
                assert not sess.variables["v"].any() and sess.store.runs == 0
            assert sess.run("put", {x: [1, 2, 3]}).tolist() == [1, 2, 3]


def test_a_flowlab_error_in_a_kernel_passes_as_it_is():
    def refuse(x, tag):
        raise fl.ShapeError("not like this", node="me")
    with operation(refuse) as op:
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            y = [op(x), op(x)]
        with eager(g) as sess, pytest.raises(fl.ShapeError, match="not like this"):
            sess.run(y, {x: [1, 2, 3]})


def test_a_session_goes_on_after_an_error_in_the_measured_run():
    with failing({1}) as op:
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            op(x, tag=1, name="bad"), op(x, tag=2, name="good")
        with fl.Session(g, executor="parallel", workers=2) as sess:
            for _ in range(2):
                with pytest.raises(fl.KernelError, match=r"bad \(TestProbe\) failed: ValueError: tag 1"):
                    sess.run("bad", {x: [1, 2, 3]})
            assert sess.run("good", {x: [1, 2, 3]}).tolist() == [1, 2, 3]


EXIT = {"x86_64": 60, "aarch64": 93}     # the number of the system call that ends one thread


def _dies_in(kill):
    main = threading.main_thread()

    def die(x, tag):
        if threading.current_thread() is not main:
            kill()
        time.sleep(0.05)
        return x
    return operation(die)


def test_a_thread_that_is_ended_from_python_is_told_of():
    def kill():
        raise SystemExit
    with _dies_in(kill) as op:
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            y = [op(x, tag=k) for k in range(3)]
        with eager(g, 2) as sess:
            with pytest.raises(SystemExit):     # as if the kernel had raised it in a plain run
                sess.run(y, {x: [1, 2, 3]})
            assert sess.run(fl.identity(x), {x: [1, 2, 3]}).tolist() == [1, 2, 3]


@pytest.mark.skipif(not sys.platform.startswith("linux") or platform.machine() not in EXIT, reason="ends a thread as only C code can")
def test_a_thread_that_dies_is_an_error_within_two_seconds_and_the_next_run_has_a_new_one():
    # a process of its own: such a thread leaves its Python state behind
    done = subprocess.run([sys.executable, "-c", _DEATH.replace("EXIT", str(EXIT[platform.machine()]))], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "TestProbe" in done.stdout and "died" in done.stdout and done.stdout.endswith("right\n"), done.stdout


_DEATH = """
import ctypes, threading, time
import flowlab as fl
deaths = []
@fl.op(type="TestProbe", function="test_probe", infer=lambda x, **_: x, category="math")
def test_probe(xp, x):
    "Die, once, in a thread that is not the caller's."
    if threading.current_thread() is not threading.main_thread() and not deaths:
        deaths.append(1)
        libc = ctypes.CDLL(None)
        libc.syscall(EXIT, 0)         # exit, of this thread alone
    time.sleep(0.05)
    return x
with fl.Graph() as g:
    x = fl.placeholder((3,), name="x")
    y = [test_probe(x) for k in range(4)]
sess = fl.Session(g, executor="parallel", workers=2)
sess.parallel.worth = 0.0
begin = time.monotonic()
try:
    sess.run(y, {x: [1, 2, 3]})
except fl.KernelError as error:
    print(error, error.node)
assert deaths and time.monotonic() - begin < 2
assert all(v.tolist() == [1, 2, 3] for v in sess.run(y, {x: [1, 2, 3]}))
assert len(deaths) == 1
print("right")
"""


# ---------------------------------------------------------------- interrupts


class Interrupt:
    """Raises KeyboardInterrupt at the n-th line of flowlab's that the caller's thread runs."""

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, arg):
        if "flowlab" not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
            return None
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt     # which takes the hook off
        return self


def test_an_interrupt_at_any_line_leaves_nothing_being_fired():
    with fl.Graph() as g:
        x = fl.placeholder((None, 3), name="x")
        loss = fl.mean(fl.add(fl.nn.dense(x, 4, "tanh", name="one"), fl.nn.dense(x, 4, name="two")) ** 2, name="loss")
        fl.optim.SGD(0.1, momentum=0.5).minimize(loss)
    xs = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    with eager(g, 2, seed=0) as sess, threadpool_limits(2, user_api="blas"):
        blas = blas_threads()
        sess.run("train", {x: xs})
        old = dict(sess.variables)
        reference = fl.Session(g, seed=0)
        reference.run("train", {x: xs}), reference.run("train", {x: xs})
        new = dict(reference.variables)
        seen = set()
        for at in range(1, 100_000, 2):
            for name, value in old.items():
                sess.variables[name] = value
            outer = sys.gettrace()
            sys.settrace(Interrupt(at))
            try:
                sess.run("train", {x: xs})
                done = True
            except KeyboardInterrupt:
                done = False
            finally:
                sys.settrace(outer)
            now = dict(sess.variables)
            state = "old" if all((now[n] == old[n]).all() for n in old) else "new" if all((now[n] == new[n]).all() for n in new) else "torn"
            seen.add(state)
            assert state != "torn", at
            assert blas_threads() == blas, at
            assert all(lane.step is None for lane in sess.parallel.lanes["cpu:0"]), "nothing is being fired any more"
            if done:
                break
        assert seen == {"old", "new"} and at > 300
        for name, value in old.items():
            sess.variables[name] = value
        sess.run("train", {x: xs})
        assert all((sess.variables[n] == v).all() for n, v in new.items()), "the next run is right"


def test_an_interrupt_waits_for_the_kernels_under_way():
    started, finished = threading.Event(), threading.Event()
    main = threading.main_thread()

    def kernel(x, tag):
        if threading.current_thread() is not main:
            started.set()
            time.sleep(0.2)
            finished.set()
            return x
        assert started.wait(20)
        raise KeyboardInterrupt
    with operation(kernel) as op:
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            y = [op(x, tag=k) for k in range(2)]
        with eager(g, 2) as sess:
            with pytest.raises(KeyboardInterrupt):
                sess.run(y, {x: [1, 2, 3]})
            assert finished.is_set()


# ---------------------------------------------------------------- threads come and go


def test_threads_start_at_the_first_parallel_run_and_end_with_the_session():
    g = towers()
    sess = eager(g, 3)
    assert not threads()
    sess.run("loss", {"x": XS})
    assert len(threads()) == 2
    with sess:
        sess.run("loss", {"x": XS})
    assert not threads()
    sess.run("loss", {"x": XS})     # it can be used again
    assert len(threads()) == 2
    del sess
    gc.collect()
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()


@pytest.mark.parametrize("options", [{}, {"executor": "parallel", "workers": 2}])
def test_a_session_goes_with_the_last_who_has_it(options):
    g = towers()
    sess = fl.Session(g, **options)
    for _ in range(4):
        sess.run(["loss", "train"], {"x": XS})
    gone = weakref.ref(sess)
    gc.disable()
    try:
        del sess
        assert gone() is None, "without waiting for the garbage collector"
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_gets_threads_of_its_own():
    g = towers(2, 1)
    with eager(g, 2) as sess:
        want = sess.run("loss", {"x": XS})
        sess.store.runs = 0     # dropout draws by the run's number
        pid = os.fork()
        if pid == 0:
            os._exit(0 if sess.run("loss", {"x": XS}) == want else 1)
        deadline = time.monotonic() + 30
        while (done := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        if done[0] == 0:
            os.kill(pid, 9)
        assert done == (pid, 0)


@pytest.mark.parametrize("executor", ["compiled", "parallel"])
def test_two_threads_on_one_session_get_right_answers(executor):
    g = towers(3, 2)
    with g:
        count = fl.variable(0.0, name="count")
        fl.assign(count, count + 1.0, name="tick")
    sess = fl.Session(g, seed=0) if executor == "compiled" else eager(g, 3, seed=0)
    feeds = [np.random.default_rng(k).normal(size=(4 + k, 6)).astype("float32") for k in range(4)]
    want = [fl.Session(g, seed=0).run("tower_0_1/Tanh", {"x": f}) for f in feeds]
    wrong, barrier = [], threading.Barrier(4)

    def go(k):
        try:
            barrier.wait()
            for _ in range(40):
                got, _ = sess.run(["tower_0_1/Tanh", "tick"], {"x": feeds[k]})
                if got.tobytes() != want[k].tobytes():
                    wrong.append(k)
        except BaseException as error:
            wrong.append(error)
    with sess:
        callers = [threading.Thread(target=go, args=(k,)) for k in range(4)]
        for t in callers:
            t.start()
        for t in callers:
            t.join(60)
        assert not wrong and sess.variables["count"] == 160, "no commit is lost"


def test_variables_set_from_another_thread_are_not_lost_between_commits():
    with fl.Graph() as g:
        names = [f"v{k}" for k in range(4)]
        for name in names:
            v = fl.variable(0.0, name=name)
            fl.assign(v, v + 1.0, name=f"tick_{name}")
    sess = fl.Session(g)
    interval = sys.getswitchinterval()

    def go(name, run):
        for k in range(300):
            if run:
                sess.run(f"tick_{name}")
            else:
                sess.variables[name] = float(k + 1)
    try:
        sys.setswitchinterval(1e-6)
        callers = [threading.Thread(target=go, args=(name, k % 2)) for k, name in enumerate(names)]
        for t in callers:
            t.start()
        for t in callers:
            t.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert [float(sess.variables[n]) for n in names] == [300.0] * 4


def test_a_kernel_cannot_run_the_session_that_runs_it_from_another_thread():
    box = []
    main = threading.main_thread()

    def nested(x, tag):
        if threading.current_thread() is not main:
            box[0].run("x", {"x": [1, 2, 3]})
        else:
            time.sleep(0.05)
        return x
    with operation(nested) as op:
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            y = [op(x, tag=k) for k in range(3)]
        with eager(g, 2) as sess:
            box.append(sess)
            with pytest.raises(fl.FlowError, match="cannot run the session"):
                sess.run(y, {x: [1, 2, 3]})
            box.clear()


def test_values_are_let_go_as_soon_as_nobody_reads_them():
    most = []
    held: list = []

    class Held(np.ndarray):
        pass

    def track(x, tag):
        held[:] = [r for r in held if r() is not None]
        most.append(len(held))
        out = np.array(x).view(Held)
        held.append(weakref.ref(out))
        return out
    with operation(track) as op:
        with fl.Graph() as g:
            x = y = fl.placeholder((3,), name="x")
            for _ in range(20):
                y = op(y)
        with eager(g, 2) as sess:
            sess.run(y, {x: [1, 2, 3]})
    assert max(most) <= 2, "a long chain holds the value that is read and the one before"
