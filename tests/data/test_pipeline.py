"""Pipelines from arrays, streams and files; the thread that prepares batches leaves with its loop."""
from __future__ import annotations

import _thread
import ctypes
import gc
import io
import os
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import flowlab as fl
from flowlab.data import Pipeline


def threads():
    return [t for t in threading.enumerate() if t.name == "flowlab prefetch"]


def numbers(n):
    def make():
        for k in range(n):
            yield {"x": k, "y": [k, -k]}
    return make


def column(p, name="x"):
    return np.concatenate([np.atleast_1d(b[name]) for b in p]).tolist()


# ---------------------------------------------------------------- laws that hold for every source


@settings(deadline=None, max_examples=60)
@given(n=st.integers(0, 23), size=st.integers(1, 9), drop=st.booleans(), seed=st.none() | st.integers(0, 5), ahead=st.integers(0, 3),
       kind=st.sampled_from(["arrays", "function", "list", "batched"]), buffer=st.integers(1, 30))
def test_every_example_once_in_batches_of_the_size_asked_for(n, size, drop, seed, ahead, kind, buffer):
    xs, ys = np.arange(n), np.stack([np.arange(n), -np.arange(n)], 1)
    if kind == "arrays":
        p = Pipeline({"x": xs, "y": ys})
    elif kind == "batched":
        p = Pipeline(lambda: ({"x": xs[k:k + 4], "y": ys[k:k + 4]} for k in range(0, n, 4)), batched=True)
    else:
        p = Pipeline(numbers(n) if kind == "function" else list(numbers(n)()))
    p = p.batch(size, drop_last=drop).prefetch(ahead)
    if seed is not None:
        p = p.shuffle(seed, buffer)
    for _epoch in range(2):
        batches = list(p)
        assert [len(b["x"]) for b in batches] == [size] * (n // size) + ([n % size] if n % size and not drop else [])
        got = [int(v) for b in batches for v in b["x"]]
        assert all((b["y"] == np.stack([b["x"], -b["x"]], 1)).all() for b in batches)
        if not drop:
            assert sorted(got) == list(range(n))
        if seed is None:
            assert got == list(range(len(got)))
    assert not threads()


def test_a_stream_is_shuffled_by_its_seed_and_anew_every_epoch():
    def order(seed, epochs=1):
        p = Pipeline(numbers(60)).shuffle(seed, buffer=20).batch(7)
        return [column(p) for _ in range(epochs)]
    first, second = order(1, 2)
    assert order(1) == [first] and first != second and order(2) != [first] and first != list(range(60))


def test_elements_of_a_stream_are_handed_on_as_they_are_until_batches_are_asked_for():
    assert [(b["x"].shape, b["y"].shape) for b in Pipeline(numbers(2))] == [((), (2,)), ((), (2,))]
    assert [b["y"].tolist() for b in Pipeline(numbers(9)).shuffle(1, 3)] != [[k, -k] for k in range(9)]
    assert [b["y"].shape for b in Pipeline(numbers(2)).batch(1)] == [(1, 2), (1, 2)]
    given_batches = [{"x": np.arange(3)}, {"x": np.arange(5)}]
    assert [len(b["x"]) for b in Pipeline(given_batches, batched=True)] == [3, 5]


def test_a_list_and_a_function_are_looped_over_again_and_a_generator_only_once():
    assert column(Pipeline(list(numbers(3)()))) == [0, 1, 2]
    p = Pipeline(numbers(3)()).batch(2)
    assert column(p) == [0, 1, 2]
    with pytest.raises(fl.FeedError, match="only once"):
        list(p)


def test_a_streams_length_shows_when_it_ends():
    p = Pipeline(numbers(4)).batch(3)
    assert p.examples is None and len(list(p)) == 2 and bool(p)
    with pytest.raises(fl.FeedError, match="does not say"):
        len(p)
    assert Pipeline({"x": np.zeros((0, 2))}).batch(3).examples == 0


def test_each_method_gives_a_new_pipeline_of_a_stream():
    base = Pipeline(numbers(6))
    base.batch(3), base.shuffle(seed=1), base.map(lambda b: {}), base.prefetch(1)
    assert column(base) == list(range(6)) and base.capacity == 0


# ---------------------------------------------------------------- what is no data


@pytest.mark.parametrize(("source", "says"), [
    ({"x": [[1, 2], [3]]}, "x holds rows of different lengths"),
    ({"x": np.array([None, 1])}, "Python objects"),
    ({"x": object()}, "Python objects"),
    ({"x": np.float32(1)}, "one number"),
    ({"x": np.zeros(3), "y": np.zeros(4)}, "different numbers of examples"),
    (5, "int is no data"), (b"abc", "no data"), (np.zeros(3), "no data"), ([1, 2], "dicts, not int"), ("data.txt", "no file of a kind"), ("x.npy", "needs a name"),
    ({"x": "x.npz"}, "no .npy file"), ({}, "takes a dict"), ("nobody-*.npz", "no file is called"), ({"x": "nobody.npy"}, "there is no file"),
    ({"x": "nobody-*.npy"}, "no file is called"), ({"x": "a-*.npy", "y": np.zeros(3)}, "all of them are patterns|All of them are patterns"),
])
def test_what_is_no_data_is_refused_at_once(source, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fl.FeedError, match=says):
        Pipeline(source)


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize(("elements", "says"), [
    ([{"x": [1, 2]}, {"x": [1, 2, 3]}], r"batch 0 has examples of different shapes in x: \(2,\), \(3,\)"),
    ([{"x": 1}, {"y": 1}], "example 1 has y, those before it had x"),
    ([{"x": 1}, 3], "example 1 is int"),
    ([{"x": [[1, 2], [3]]}], "rows of different lengths"),
])
def test_examples_that_do_not_go_together_are_refused_where_they_come(elements, says, ahead):
    with pytest.raises(fl.FeedError, match=says):
        list(Pipeline(lambda: iter(elements)).batch(2).prefetch(ahead))
    assert not threads()


def test_functions_that_give_no_data_are_refused():
    with pytest.raises(fl.FeedError, match="returned int, which cannot be looped over"):
        list(Pipeline(lambda: 3))
    with pytest.raises(fl.FeedError, match="returned NoneType"):
        list(Pipeline(numbers(3)).map(lambda b: None))
    for wrong in (lambda p: p.map(3), lambda p: p.shuffle(buffer=0), lambda p: p.batch(0), lambda p: p.prefetch(True), lambda p: p.shuffle(1.5)):
        with pytest.raises(fl.AttributeValueError):
            wrong(Pipeline(numbers(3)))


# ---------------------------------------------------------------- files


def test_an_archive_is_its_arrays(tmp_path):
    np.savez_compressed(tmp_path / "d.npz", x=np.arange(5), y=np.arange(10).reshape(5, 2))
    p = Pipeline(tmp_path / "d.npz").batch(2)
    assert p.examples == 5 and len(p) == 3 and column(p) == [0, 1, 2, 3, 4]
    assert sorted(column(p.shuffle(3))) == [0, 1, 2, 3, 4]


def test_arrays_on_disk_are_read_where_they_are_looked_at(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(1000, dtype="float32").reshape(500, 2))
    np.save(tmp_path / "f.npy", np.asfortranarray(np.arange(1000).reshape(500, 2)))
    p = Pipeline({"x": tmp_path / "x.npy", "f": str(tmp_path / "f.npy"), "y": np.arange(500)})
    assert isinstance(p._source.arrays["x"].base, np.memmap)
    batch = next(iter(p.batch(3)))
    assert type(batch["x"]) is np.ndarray and batch["x"].tolist() == [[0, 1], [2, 3], [4, 5]] == batch["f"].tolist()
    shuffled = next(iter(p.shuffle(1).batch(500)))
    assert (shuffled["x"][:, 0] == 2 * shuffled["y"]).all()


def test_files_of_a_pattern_come_one_after_the_other(tmp_path):
    for k in range(3):
        np.savez(tmp_path / f"part-{k}.npz", x=np.arange(4) + 4 * k)
        np.save(tmp_path / f"x-{k}.npy", np.arange(4) + 4 * k)
        np.save(tmp_path / f"y-{k}.npy", np.arange(4) * 2 + 8 * k)
    for p in (Pipeline(str(tmp_path / "part-*.npz")), Pipeline({"x": str(tmp_path / "x-*.npy"), "y": str(tmp_path / "y-*.npy")})):
        assert p.examples is None
        assert [b["x"].tolist() for b in p.batch(5).prefetch(1)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
        assert sorted(column(p.shuffle(2, buffer=5))) == list(range(12))


def test_a_table_is_its_columns(tmp_path):
    (tmp_path / "t.csv").write_text("a, b\n1,2.5\n3,-1e3\n\n5,nan\n", encoding="utf-8-sig")
    batches = list(Pipeline(str(tmp_path / "t.csv")).batch(2))
    assert [b["a"].tolist() for b in batches] == [[1, 3], [5]] and batches[0]["b"].tolist() == [2.5, -1000]
    for text, says in (("a,b\n1\n", "line 2: 1 value for 2 columns"), ("a\n1\nx\n", "line 3: 'x' in column a is no number"), ("", "must name the columns"), ("a,a\n1,2\n", "each once")):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(fl.FeedError, match=says):
            list(Pipeline(str(tmp_path / "t.csv")))
    (tmp_path / "t.csv").write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(fl.FeedError, match="cannot be read as a table"):
        list(Pipeline(str(tmp_path / "t.csv")))


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("bomb-went-off",))


def hostile_files():
    def npy(array, **options):
        out = io.BytesIO()
        np.save(out, array, **options)
        return out.getvalue()
    plain = npy(np.arange(4.0))
    lies = plain.replace(b"(4,)", b"(4611686018427387904,)" + b"")
    lies = lies[:8] + (int.from_bytes(lies[8:10], "little") + len(lies) - len(plain)).to_bytes(2, "little") + lies[10:]
    pickled = npy(np.array([Bomb()], dtype=object), allow_pickle=True)
    return {"pickled": pickled, "lies": lies, "cut": plain[:-9], "header": plain[:40], "empty": b"", "noise": bytes(range(256)) * 4,
            "evaluated": plain.replace(b"'<f8'", b"exit "), "unclosed": plain.replace(b"(4,)", b"(4, "), "unhashable": plain.replace(b"'descr'", b"['des']"),
            "beyond": plain.replace(b"(4,), }" + 20 * b" ", b"(" + 21 * b"9" + b",), }")}


@pytest.mark.parametrize("name", list(hostile_files()))
def test_hostile_files_are_refused_and_run_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = hostile_files()[name]
    (tmp_path / "x.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", data)
    (tmp_path / "y.npz").write_bytes(data)
    for source in ({"x": "x.npy"}, "x.npz", "y.npz"):
        with pytest.raises(fl.FeedError, match="cannot be read as"):
            Pipeline(source)
    assert not (tmp_path / "bomb-went-off").exists()


# ---------------------------------------------------------------- the thread


def test_fill_and_capacity_are_seen():
    p = Pipeline(numbers(100)).prefetch(3)
    assert (p.capacity, p.fill) == (3, 0)
    loop = iter(p)
    next(loop)
    while p.fill < 3:
        time.sleep(0.001)
    assert loop.fill == p.fill == loop.capacity == 3
    loop.close()
    assert (p.fill, loop.fill) == (0, 0) and list(loop) == []


def test_an_early_stop_leaves_no_thread():
    for _ in Pipeline(numbers(1000)).prefetch(2):
        assert threads()
        break
    assert not threads()


def test_a_forgotten_loop_leaves_no_thread():
    loop = iter(Pipeline(numbers(1000)).prefetch(2))
    ring = [loop]
    ring.append(ring)       # only the garbage collector finds it
    del loop, ring
    gc.collect()
    assert not threads()


def test_a_loop_that_was_never_begun_leaves_no_thread():
    iter(Pipeline(numbers(1000)).prefetch(1))
    assert not threads()


def test_an_error_in_the_thread_is_raised_in_the_loop_with_where_it_came_from():
    def broken():
        yield {"x": 1}
        raise RuntimeError("the camera is off")
    loop = iter(Pipeline(broken).prefetch(2))
    assert next(loop)["x"] == 1
    with pytest.raises(RuntimeError, match="the camera is off") as caught:
        next(loop)
    assert "in the thread" in caught.value.__notes__[0]
    assert caught.traceback[-1].frame.code.name == "broken"     # the line that raised it
    with pytest.raises(ZeroDivisionError) as caught:
        list(Pipeline(numbers(4)).batch(1).map(lambda b: {"x": 1 / [0, 1][b["x"][0]]}).prefetch(2))
    assert any("which Pipeline.map sent batch 0 through" in n for n in caught.value.__notes__)
    assert not threads()


def test_an_error_in_the_loop_leaves_no_thread_once_it_is_dealt_with():
    try:
        for _ in Pipeline(numbers(1000)).prefetch(2):
            raise KeyError("mine")
    except KeyError:
        pass
    assert not threads()


def test_a_generators_own_clean_up_runs():
    done = []

    def source():
        try:
            while True:
                yield {"x": 0}
        finally:
            done.append(threading.current_thread().name)
    loop = iter(Pipeline(source).prefetch(1))
    next(loop)
    loop.close()
    assert done == ["flowlab prefetch"]


def test_a_thread_that_is_stopped_from_outside_is_told_of():
    begun = threading.Event()

    def endless():
        yield {"x": 0}
        begun.set()
        while True:
            time.sleep(0.001)
    loop = iter(Pipeline(endless).prefetch(1))
    next(loop)
    begun.wait()
    thread, = threads()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    with pytest.raises(fl.FlowError, match="stopped: SystemExit"):
        next(loop)
    assert not threads()


def test_an_interrupt_while_the_loop_waits_leaves_no_thread_even_of_a_source_that_never_comes_back():
    waiting = threading.Event()

    def endless():
        yield {"x": 0}
        waiting.set()
        while True:
            time.sleep(0.001)
    loop = iter(Pipeline(endless).prefetch(1))
    next(loop)

    def interrupt():
        waiting.wait()
        time.sleep(0.05)
        _thread.interrupt_main()
    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        next(loop)
    helper.join()
    assert not threads() and list(loop) == []


FORK = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
from flowlab.data import Pipeline
def slow():
    yield {"x": 0}
    time.sleep(60)
    yield {"x": 1}
loop = iter(Pipeline(slow).prefetch(1))
next(loop)
child = os.fork()
if not child:
    begin = time.monotonic()
    try:
        next(loop)
    except Exception as error:
        print(type(error).__name__, error, time.monotonic() - begin < 2, flush=True)
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_thread_that_is_gone_is_told_of_within_two_seconds():
    ran = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=30)
    assert "FlowError the thread that prepares batches is gone" in ran.stdout and ran.stdout.strip().endswith("True"), ran.stdout + ran.stderr


def test_a_process_ends_though_a_loop_is_open():
    code = "from flowlab.data import Pipeline\nloop = iter(Pipeline({'x': list(range(10**5))}).prefetch(2)); next(loop)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


# ---------------------------------------------------------------- with fit


def test_fit_reads_a_stream_and_closes_its_thread():
    with fl.Graph() as g:
        x, y = fl.placeholder((None, 1), name="x"), fl.placeholder((None, 1), name="y")
        loss = fl.mean(fl.square(fl.nn.dense(x, 1, name="line") - y), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    sess = fl.Session(g, seed=0)

    def samples():
        for k in range(40):
            v = np.sin(k)
            yield {"x": [v], "y": [2 * v + 1]}
    p = Pipeline(samples).shuffle(1, 16).batch(8).prefetch(2)
    history = fl.fit(sess, "train", p, epochs=30, fetches="loss", progress=True)
    assert history.steps_done == 150 and history.epochs["loss"][-1] < 1e-3
    with pytest.raises(fl.FeedError) as caught:
        fl.fit(sess, "train", Pipeline(lambda: ({"x": [1.0]} for _ in range(99))).batch(2).prefetch(2), progress=False)
    assert "y" in str(caught.value) and not threads()


# ---------------------------------------------------------------- captchas


def test_drawing_captchas_changes_nothing_for_others():
    import secrets

    import captcha.image
    seen = []

    def watch():
        while not seen:
            if captcha.image.secrets is not secrets:
                seen.append("swapped")
    watcher = threading.Thread(target=watch)
    watcher.start()
    results = {}
    others = [threading.Thread(target=lambda k=k: results.setdefault(k, fl.data.captchas(6, seed=k % 2))) for k in range(4)]
    for t in others:
        t.start()
    for t in others:
        t.join()
    seen.append("end")
    watcher.join()
    assert seen == ["end"]
    for k in range(4):
        np.testing.assert_array_equal(results[k][0], fl.data.captchas(6, seed=k % 2)[0])


def test_a_map_may_write_to_its_batch_and_the_source_stays():
    def doubled(batch):
        batch["x"] *= 2
        return batch
    xs = np.arange(6.0)
    buffer = np.zeros(2)

    def stream():
        yield {"x": buffer}
    pipeline = Pipeline({"x": xs}).batch(4).map(doubled)
    for _ in range(2):
        assert np.concatenate([b["x"] for b in pipeline]).tolist() == [0, 2, 4, 6, 8, 10] and xs.tolist() == [0, 1, 2, 3, 4, 5]
    buffer += 1
    assert [b["x"].tolist() for b in Pipeline(stream).map(doubled)] == [[2, 2]] and buffer.tolist() == [1, 1]
