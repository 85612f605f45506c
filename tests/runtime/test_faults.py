"""What breaks, and what holds then: kernels that fail, memory that runs out, disks that are full, clocks that jump."""
from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from inspect import currentframe

import numpy as np
import pytest

import flowlab as fl
from flowlab.core import files
from flowlab.core.op import REGISTRY
from flowlab.runtime.backend import NUMPY

# ---------------------------------------------------------------- a kernel that fails


class Fault:
    """An op that hands its input on, and fails when it is told to: `fail(x)` raises what it will."""

    def __init__(self):
        self.fail = None

        @fl.op(type="TestFault", function="test_fault", infer=lambda x, **_: x, category="math")
        def test_fault(xp, x):
            """Fail on demand."""
            if self.fail is not None:
                self.fail(x)
            return x
        test_fault.gradient_function = lambda node, up: (up,)
        self.op = test_fault


@pytest.fixture
def fault():
    found = Fault()
    yield found
    del REGISTRY["TestFault"]


def at_the_top(probe, x, w):
    return probe(x * w, name="bad"), "bad", currentframe().f_lineno


def in_a_scan(probe, x, w):
    with fl.scan(x, time_axis=1, name="rnn") as step:
        before = step.state("s", init=np.zeros(2, "float32"))
        bad, line = probe(before + step.input * w[0], name="bad"), currentframe().f_lineno
        step.update(before, bad)
        step.output(bad)
    return step.outputs[0], "rnn/bad", line


def in_a_branch(probe, x, w):
    def then():
        nonlocal line
        bad, line = probe(x * w, name="bad"), currentframe().f_lineno
        return bad
    line = 0
    return fl.cond(fl.all(fl.equal(w, w)), then, lambda: x, name="either"), "either/bad", line


def in_a_loop(probe, x, w):
    def body(k, s):
        nonlocal line
        bad, line = probe(s + x * w, name="bad"), currentframe().f_lineno
        return k + 1.0, bad
    line = 0
    _, s = fl.while_loop(lambda k, s: k < 2.5, body, (fl.constant(np.float32(0)), fl.zeros_like(x)), name="grow")
    return s, "grow/bad", line


def in_a_branch_in_a_scan(probe, x, w):
    line = 0
    with fl.scan(x, time_axis=1, name="rnn") as step:
        def then():
            nonlocal line
            bad, line = probe(step.input * w[0], name="bad"), currentframe().f_lineno
            return bad
        step.output(fl.cond(fl.sum(w) > -99.0, then, lambda: step.input, name="either"))
    return step.outputs[0], "rnn/either/bad", line


PLACES = [at_the_top, in_a_scan, in_a_branch, in_a_loop, in_a_branch_in_a_scan]
XS = np.linspace(0.5, 1.5, 6, dtype="float32").reshape(2, 3)


def model(place, probe):
    with fl.Graph() as g:
        x = fl.placeholder(("batch", 3), name="x") if place in (at_the_top, in_a_branch, in_a_loop) else fl.placeholder((2, "time"), name="x")
        w = fl.variable(np.array([1.0, 2.0, 3.0], "float32"), name="w")
        y, name, line = place(probe, x, w)
        loss = fl.mean(y ** 2, name="loss")
        fl.optim.SGD(0.01).minimize(loss, name="train")
    return g, name, line


@contextmanager
def executor(kind, g):
    """A session in which the next run goes by this way."""
    options = {"executor": "parallel", "workers": 2} if "parallel" in kind else {}
    with fl.Session(g, seed=3, **options) as sess:
        if kind == "parallel, every node handed over":
            sess.parallel.worth = 0.0
        for _ in range({"noted": 1, "in buffers": 4, "parallel, after a while": 4}.get(kind, 0)):
            sess.run(["loss", "train"], {"x": XS})
        yield sess


KINDS = ["first", "noted", "in buffers", "parallel, measured", "parallel, after a while", "parallel, every node handed over", "trace", "timeline", "debugger"]


def go(kind, sess):
    if kind == "debugger":
        dbg = fl.Debugger(sess, ["loss", "train"], {"x": XS})
        stop = dbg.resume()
        if stop.reason == "error":
            assert stop.node == dbg.error.node and dbg.state(stop.node) == "error"
            raise dbg.error
        return dbg.results[0]
    found = getattr(sess, kind if kind in ("trace", "timeline") else "run")(["loss", "train"], {"x": XS})
    return (found.results if kind in ("trace", "timeline") else found)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES, ids=lambda p: p.__name__)
def test_a_kernel_that_raises_is_told_with_node_shapes_and_line_and_the_session_goes_on(fault, place, kind):
    g, name, line = model(place, fault.op)
    reference = fl.Session(g, seed=3)
    shape = {"in_a_scan": "(2,)", "in_a_branch_in_a_scan": "(2,)"}.get(place.__name__, "(2, 3)")

    def fail(x):
        raise ZeroDivisionError("on demand")
    with executor(kind, g) as sess:
        for _ in range(sess.store.runs):
            reference.run("train", {"x": XS})
        for _ in range(2):
            before, runs = dict(sess.variables), sess.store.runs
            fault.fail = fail
            with pytest.raises(fl.KernelError) as caught:
                go(kind, sess)
            said = str(caught.value)
            assert caught.value.node == name and said.startswith(f"{name} (TestFault) failed: ZeroDivisionError: on demand.")
            assert f"x {shape}" in said and f"{__file__}, line {line}" in said
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
            assert sess.store.runs == runs and all((sess.variables[n] == v).all() for n, v in before.items())
            fault.fail = None
            want = reference.run(["loss", "train"], {"x": XS})[0]
            assert go(kind, sess).tobytes() == want.tobytes()
            assert all((sess.variables[n] == v).all() for n, v in reference.variables.items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [in_a_scan, in_a_branch], ids=lambda p: p.__name__)
def test_memory_that_runs_out_in_a_loop_is_told_all_is_let_go_and_a_retry_works(fault, place, kind):
    g, name, _ = model(place, fault.op)
    want = fl.Session(g, seed=3)

    def fail(x):
        np.empty(1 << 57, "float32")
    with executor(kind, g) as sess:
        for _ in range(sess.store.runs):
            want.run("train", {"x": XS})
        fault.fail = fail
        with pytest.raises(fl.KernelError, match="MemoryError") as caught:
            go(kind, sess)
        assert caught.value.node == name and isinstance(caught.value.__cause__, MemoryError)
        gc.collect()
        NUMPY.free()
        assert not NUMPY._pool, "the error, though kept, holds no array of the run"
        fault.fail = None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert go(kind, sess).tobytes() == want.run(["loss", "train"], {"x": XS})[0].tobytes()


# ---------------------------------------------------------------- two threads


def test_a_debugger_and_runs_of_another_thread_never_undo_one_another():
    """A Debugger commits, or says that the session has gone on; no run of the other thread is lost."""
    with fl.Graph() as g:
        v = fl.variable(0.0, name="count")
        fl.assign(v, v + 1.0, name="tick")
    sess = fl.Session(g)
    committed, refused, failed, over = 0, 0, [], threading.Event()

    def run():
        try:
            for _ in range(400):
                sess.run("tick")
        except BaseException as error:
            failed.append(error)
        finally:
            over.set()
    interval = sys.getswitchinterval()
    other = threading.Thread(target=run)
    try:
        sys.setswitchinterval(1e-6)
        other.start()
        while not over.is_set() or not committed:
            dbg = fl.Debugger(sess, "tick")
            stop = dbg.resume()
            if stop.reason == "end":
                committed += 1
            else:
                assert "have changed since" in str(dbg.error)
                refused += 1
    finally:
        sys.setswitchinterval(interval)
        other.join(60)
    assert not failed and refused + committed and sess.variables["count"] == 400 + committed == sess.store.runs


# ---------------------------------------------------------------- disks


class Full:
    """Lets the n-th thing that a function does fail as a full disk would: before it is done, or right after."""

    def __init__(self, code, nth, after=False):
        self.code, self.left, self.after, self.where = code, nth, after, ""

    def __call__(self, frame, event, arg):
        if self.after:
            here = event == "c_return" and frame.f_code is self.code
        else:
            here = event == "c_call" and frame.f_code is self.code or event == "call" and frame.f_back is not None and frame.f_back.f_code is self.code
        if here:
            self.left -= 1
            if not self.left:
                sys.setprofile(None)
                self.where = f"{getattr(arg, '__name__', frame.f_code.co_name)}, line {frame.f_lineno}"
                raise OSError(28, "No space left on device")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("what", ["weights", "graph"])
def test_a_disk_that_is_full_at_any_call_of_a_save_leaves_the_old_file_or_the_new_one(tmp_path, what, after):
    with fl.Graph() as g:
        fl.variable(np.arange(4, dtype="float32"), name="v")
    with fl.Graph() as larger:
        fl.variable(np.arange(4, dtype="float32"), name="v")
        fl.variable(np.zeros(2, "float32"), name="w")
    path = tmp_path / "file"
    sess = fl.Session(g)

    def put(new):
        if what == "graph":
            fl.save(larger if new else g, path)
        else:
            sess.variables["v"] = [9, 9, 9, 9] if new else [0, 1, 2, 3]
            sess.save(path)

    def is_new():
        if what == "graph":
            loaded = fl.load(path)
            assert loaded.same_graph(g) or loaded.same_graph(larger)
            return loaded.same_graph(larger)
        with fl.Session(g) as other:
            assert other.restore(path) == [] and other.variables["v"].tolist() in ([9, 9, 9, 9], [0, 1, 2, 3])
            return other.variables["v"][0] == 9

    outcomes, places = set(), set()
    for nth in range(1, 1000):
        put(False)
        full = Full(files.write_atomically.__code__, nth, after)
        outer = sys.getprofile()
        sys.setprofile(full)
        try:
            put(True)
        except OSError as error:
            assert error.errno == 28
        finally:
            sys.setprofile(outer)
        outcomes.add(is_new())
        assert [p.name for p in tmp_path.iterdir()] == ["file"], full.where
        if not full.where:
            break
        places.add(full.where.partition(",")[0])
        put(True)
        assert is_new(), "once there is room again, it is saved"
    assert outcomes == {False, True} and places >= {"open", "write", "flush", "fsync", "close"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the size of files as Linux does")
def test_a_disk_with_room_for_a_part_only_keeps_the_old_file(tmp_path):
    code = """
import os, resource, sys
import numpy as np, flowlab as fl
path = sys.argv[1]
with fl.Graph() as g:
    fl.variable(np.zeros(50_000, "float32"), name="v")
sess = fl.Session(g)
sess.save(path)
old = os.path.getsize(path)
sess.variables["v"] = np.ones(50_000, "float32")
for room in (0, 1, 4096, 100_000, old - 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        sess.save(path)
        print("saved?")
    except OSError as error:
        print(error.errno, os.path.getsize(path) == old, os.listdir(os.path.dirname(path)))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
other = fl.Session(g)
other.restore(path)
print(other.variables["v"].any())
sess.save(path)
other.restore(path)
print(other.variables["v"].all())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "w")], capture_output=True, text=True, timeout=60)
    assert done.stdout == "27 True ['w']\n" * 5 + "False\nTrue\n", done.stdout + done.stderr


# ---------------------------------------------------------------- clocks


def test_a_clock_that_jumps_makes_no_duration_negative(monkeypatch):
    with fl.Graph() as g:
        x = fl.placeholder((2, 3), name="x")
        w = fl.variable(np.ones((3, 2), "float32"), name="w")
        loss = fl.mean(fl.tanh(x @ w), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    real, jumps = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() - 3600.0 * next(jumps))
    for options in ({}, {"executor": "parallel", "workers": 2}):
        with fl.Session(g, **options) as sess:
            if options:
                sess.parallel.worth = 0.0
            events = [*sess.trace("train", {"x": XS}).events]
            dbg = fl.Debugger(sess, "train", {"x": XS})
            dbg.resume()
            events += dbg.records
            assert all(e.duration >= 0 and e.start >= 0 for e in events)
            assert all(a.start <= b.start for a, b in zip(dbg.records, dbg.records[1:]))
            assert all(r.duration >= 0 and r.start >= 0 for r in sess.timeline("train", {"x": XS}).rows)
            history = fl.fit(sess, "train", [{"x": XS}] * 3, epochs=2, progress=False)
            assert history.seconds >= 0 and history.steps_done == 6


def test_a_file_from_the_future_or_the_past_is_read_all_the_same(tmp_path):
    with fl.Graph() as g:
        fl.variable(np.arange(3, dtype="float32"), name="v")
    sess = fl.Session(g)
    sess.save(tmp_path / "w")
    for moment in (0, 4_000_000_000):
        os.utime(tmp_path / "w", (moment, moment))
        sess.variables["v"] = [0, 0, 0]
        sess.restore(tmp_path / "w")
        assert sess.variables["v"].tolist() == [0, 1, 2]
