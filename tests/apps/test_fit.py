"""fit and data pipelines."""
from __future__ import annotations

import threading

import numpy as np
import pytest

import flowlab as fl


def line():
    with fl.Graph("line") as g:
        x, y = fl.placeholder(("batch", 1), name="x"), fl.placeholder(("batch", 1), name="y")
        loss = fl.mean((fl.nn.dense(x, 1, name="line") - y) ** 2, name="loss")
        fl.optim.SGD(0.3).minimize(loss)
    return g


XS = np.linspace(-1, 1, 40, dtype="float32").reshape(40, 1)
DATA = {"x": XS, "y": 3 * XS + 1}


def test_fit_learns_a_line_and_tells_how_it_went():
    sess = fl.Session(line(), seed=0)
    history = fl.fit(sess, "train", fl.data.Pipeline(DATA).shuffle(seed=1).batch(8), epochs=20, fetches="loss", progress=False)
    np.testing.assert_allclose(sess.variables["line/kernel"], [[3]], atol=1e-2)
    np.testing.assert_allclose(sess.variables["line/bias"], [1], atol=1e-2)
    assert history.names == ["loss"] and len(history.steps["loss"]) == 100 and len(history.epochs["loss"]) == 20
    np.testing.assert_allclose(history.epochs["loss"][0], np.mean(history.steps["loss"][:5]))
    assert history.epochs["loss"][-1] < 1e-3 < history.epochs["loss"][0] and history.seconds > 0 and not history.stopped
    assert "20 epochs" in repr(history)


def test_fit_is_the_loop_that_one_would_write():
    a, b = (fl.Session(line(), seed=0) for _ in range(2))
    fl.fit(a, a.graph.node("train"), DATA, epochs=2, batch=16, fetches={"error": "loss"}, progress=False)
    for _ in range(2):
        for k in range(0, 40, 16):
            b.run("train", {n: v[k:k + 16] for n, v in DATA.items()})
    for n in a.variables:
        np.testing.assert_array_equal(a.variables[n], b.variables[n])


def test_a_checkpoint_an_epoch(tmp_path):
    path, sizes = tmp_path / "w.safetensors", []
    sess = fl.Session(line(), seed=0)
    fl.fit(sess, "train", DATA, epochs=3, batch=20, fetches="loss", checkpoint=path, progress=False,
           on_epoch=lambda epoch, means: sizes.append((epoch, path.exists(), means["loss"])))
    assert [s[:2] for s in sizes] == [(0, True), (1, True), (2, True)] and sizes[2][2] < sizes[0][2]
    other = fl.Session(line(), seed=9)
    other.restore(path)
    np.testing.assert_array_equal(other.variables["line/kernel"], sess.variables["line/kernel"])


def test_on_epoch_can_stop():
    history = fl.fit(fl.Session(line()), "train", DATA, epochs=50, batch=20, fetches="loss", progress=False, on_epoch=lambda epoch, _: epoch == 2)
    assert len(history.epochs["loss"]) == 3


def test_an_interrupt_ends_fit_with_the_last_complete_step():
    data = [DATA] * 3

    class Interrupted(list):
        def __iter__(self):
            yield from data
            raise KeyboardInterrupt
    a, b = (fl.Session(line(), seed=0) for _ in range(2))
    history = fl.fit(a, "train", Interrupted(data), epochs=5, fetches="loss", progress=False)
    assert history.stopped and len(history.steps["loss"]) == 3
    for _ in range(3):
        b.run("train", DATA)
    np.testing.assert_array_equal(a.variables["line/kernel"], b.variables["line/kernel"])


def test_an_error_in_a_step_is_raised_and_keeps_the_steps_before():
    a, b = (fl.Session(line(), seed=0) for _ in range(2))
    with pytest.raises(fl.FeedError):
        fl.fit(a, "train", [DATA, {"x": XS}], progress=False)
    b.run("train", DATA)
    np.testing.assert_array_equal(a.variables["line/kernel"], b.variables["line/kernel"])


def test_what_fit_refuses():
    sess = fl.Session(line())
    for options, error in (({"epochs": -1}, fl.AttributeValueError), ({"epochs": 1.5}, fl.AttributeValueError), ({"cluster": object()}, fl.AttributeValueError)):
        with pytest.raises(error):
            fl.fit(sess, "train", DATA, progress=False, **options)
    with pytest.raises(fl.FeedError):
        fl.fit(sess, "train", 5, progress=False)
    with pytest.raises(fl.FetchError):
        fl.fit(sess, "trian", DATA, progress=False)


# ---------------------------------------------------------------- pipelines


def test_batches_cover_every_example_once():
    p = fl.data.Pipeline({"x": np.arange(10), "y": np.arange(10) * 2}).shuffle(seed=3).batch(4)
    epochs = [[b["x"] for b in p] for _ in range(2)]
    for batches in epochs:
        assert [len(b) for b in batches] == [4, 4, 2] and sorted(np.concatenate(batches)) == list(range(10))
    assert (np.concatenate(epochs[0]) != np.concatenate(epochs[1])).any()       # a new order every epoch
    assert all((b["y"] == 2 * b["x"]).all() for b in p)
    assert len(p) == 3 and len(p.batch(4, drop_last=True)) == 2 == len(list(p.batch(4, drop_last=True)))


def test_a_seed_decides_the_order():
    def order(seed):
        return np.concatenate([b["x"] for b in fl.data.Pipeline({"x": np.arange(50)}).shuffle(seed=seed).batch(7)])
    np.testing.assert_array_equal(order(1), order(1))
    assert (order(1) != order(2)).any()


def test_each_method_gives_a_new_pipeline():
    base = fl.data.Pipeline({"x": np.arange(6)})
    base.batch(3), base.shuffle(seed=1), base.map(lambda b: {})
    assert [b["x"].tolist() for b in base] == [[k] for k in range(6)]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_prefetch_changes_nothing_but_the_time(ahead):
    p = fl.data.Pipeline({"x": np.arange(20)}).batch(3).map(lambda b: {"x": b["x"] + 1})
    got = [b["x"].tolist() for b in (p.prefetch(ahead) if ahead else p)]
    assert sum(got, []) == list(range(1, 21))


def test_prefetch_ends_its_thread_early_and_hands_on_errors():
    def prefetching():
        return [t for t in threading.enumerate() if t.name == "flowlab prefetch"]

    for _ in fl.data.Pipeline({"x": np.arange(1000)}).prefetch(2):
        assert prefetching()
        break
    assert not prefetching()

    def fail(batch):
        raise RuntimeError("in the map")
    with pytest.raises(RuntimeError, match="in the map"):
        list(fl.data.Pipeline({"x": np.arange(5)}).map(fail).prefetch(2))
    assert not prefetching()


def test_arrays_that_are_no_data():
    for arrays in ({}, [1, 2], {"x": np.zeros(3), "y": np.zeros(4)}, {"x": np.float32(3)}):
        with pytest.raises(fl.FeedError):
            fl.data.Pipeline(arrays)
    for n in (0, -2, 1.5, True):
        with pytest.raises(fl.AttributeValueError):
            fl.data.Pipeline({"x": np.zeros(3)}).batch(n)
    for method, value in (("shuffle", -1), ("shuffle", "no"), ("prefetch", -1), ("prefetch", 1.5)):
        with pytest.raises(fl.AttributeValueError):
            getattr(fl.data.Pipeline({"x": np.zeros(3)}), method)(value)


def test_captchas_are_drawn_from_the_seed():
    images, labels = fl.data.captchas(3, seed=5)
    assert images.shape == (3, 48, 120, 3) and images.dtype == np.uint8 and labels.shape == (3, 4) and labels.dtype == np.int64
    again, same = fl.data.captchas(3, seed=5)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, same)
    other, _ = fl.data.captchas(3, seed=6)
    assert (images != other).any() and 0 <= labels.min() <= labels.max() <= 9




def test_a_history_without_fetches_counts_its_epochs_and_steps():
    sess = fl.Session(line(), seed=0)
    history = fl.fit(sess, "train", DATA, epochs=3, batch=8, progress=False)
    assert (history.epochs_done, history.steps_done) == (3, 15) and repr(history).startswith("History of 3 epochs, 15 steps in ")
    assert repr(fl.fit(sess, "train", DATA, epochs=1, batch=40, progress=False)).startswith("History of 1 epoch, 1 step in ")


def test_batch_is_heeded_or_refused_and_whatever_can_be_looped_over_is_data():
    sess = fl.Session(line(), seed=0)
    assert fl.fit(sess, "train", fl.data.Pipeline(DATA), batch=20, progress=False).steps_done == 2
    assert fl.fit(sess, "train", ({"x": x, "y": y} for x, y in zip(DATA["x"], DATA["y"])), batch=16, progress=False).steps_done == 3

    class Loader:
        def __iter__(self):
            return iter([DATA] * 4)
    assert fl.fit(sess, "train", Loader(), epochs=2, progress=False).steps_done == 8
    with pytest.raises(fl.AttributeValueError, match="in batches already"):
        fl.fit(sess, "train", [DATA], batch=20, progress=False)
    for nothing in (XS, 3, b"x"):
        with pytest.raises(fl.FeedError):
            fl.fit(sess, "train", nothing, progress=False)


def test_what_trains_nothing_is_told_of_before_it_begins():
    with fl.Graph() as g:
        w = fl.variable(1.0, name="w")
        loss = fl.square(w, name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    sess = fl.Session(g)
    with pytest.raises(fl.AttributeValueError, match="loss changes no variable"):
        fl.fit(sess, loss, [{}], progress=False)
    with pytest.raises(fl.AttributeValueError, match="looks at the fetches"):
        fl.fit(sess, "train", [{}], progress=False, stop_on_nan=True)
    assert sess.store.runs == 0
