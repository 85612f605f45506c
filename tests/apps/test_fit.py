"""fit and data pipelines."""
from __future__ import annotations

import os
import signal
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


def test_strokes_are_written_from_the_seed():
    moves, lengths, labels = fl.data.strokes(300, seed=5)
    assert moves.shape == (300, lengths.max(), 3) and moves.dtype == np.float32 and lengths.dtype == labels.dtype == np.int64 and set(labels) == set(range(10))
    for there, again, other in zip((moves, lengths, labels), fl.data.strokes(300, seed=5), fl.data.strokes(300, seed=6)):
        np.testing.assert_array_equal(there, again)
        assert there.shape != other.shape or (there != other).any()
    written = np.arange(moves.shape[1]) < lengths[:, None]
    assert not moves[~written].any() and (np.hypot(*moves[written][:, :2].T) > 0).all()
    lifted = moves[..., 2].sum(axis=1)
    assert set(lifted[np.isin(labels, (4, 5))]) == {1} and set(lifted[labels == 7]) == {0, 1} and not lifted[~np.isin(labels, (4, 5, 7))].any()
    on_paper = np.hypot(*moves[written & (moves[..., 2] == 0)][:, :2].T)
    assert 0.1 < on_paper.mean() < 0.14
    nothing = fl.data.strokes(0)
    assert nothing[0].shape == (0, 0, 3) and not len(nothing[1]) and not len(nothing[2])


def test_a_pen_goes_through_its_points_and_smoothly():
    points = np.random.default_rng(1).normal(size=(6, 2))
    curve = fl.data._through(6) @ points
    np.testing.assert_allclose(curve[::8], points, atol=1e-12)
    # a Catmull-Rom spline goes through a point in the direction of the line between its neighbours
    ahead, behind = curve[9:41:8] - curve[8:40:8], curve[8:40:8] - curve[7:39:8]
    along = points[2:] - points[:-2]
    turn = (ahead + behind)[:, 0] * along[:, 1] - (ahead + behind)[:, 1] * along[:, 0]
    assert np.abs(turn).max() < 0.02



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


# ---------------------------------------------------------------- best and last, stop and go on


def test_early_stopping_waits_its_patience_and_gives_back_the_best(tmp_path):
    sess = fl.Session(line(), seed=0)
    worse = [{"x": XS, "y": 3 * XS + 1}] * 3 + [{"x": XS, "y": -9 * XS}] * 40       # after the third epoch it learns something else
    seen = iter(worse)
    kernels = []
    history = fl.fit(sess, "train", lambda: iter([next(seen)]), epochs=40, fetches="loss", validation=[{"x": XS, "y": 3 * XS + 1}], patience=4, min_delta=1e-6, progress=False,
                     best_checkpoint=tmp_path / "best", on_epoch=lambda epoch, means: kernels.append((sess.variables["line/kernel"], means["validation loss"])) and None)
    best = int(np.argmin(history.validation["loss"]))
    assert history.stopped == "early" and history.best == (best, history.validation["loss"][best]) and history.epochs_done == best + 5 == len(kernels)
    np.testing.assert_array_equal(sess.variables["line/kernel"], kernels[best][0])
    other = fl.Session(line(), seed=9)
    other.restore(tmp_path / "best")
    np.testing.assert_array_equal(other.variables["line/kernel"], kernels[best][0])
    assert "stopped early" in repr(history) and "validation loss" in repr(history)
    left = fl.Session(line(), seed=0)
    fl.fit(left, "train", DATA, epochs=9, batch=40, fetches="loss", patience=1, min_delta=1e9, restore_best=False, progress=False)
    assert left.store.runs == 2     # no epoch is better than the first by so much


def test_validation_is_a_mean_over_examples_and_no_step():
    sess, xs = fl.Session(line(), seed=0), XS[:10]
    history = fl.fit(sess, "train", DATA, epochs=2, batch=40, fetches="loss", validation={"x": xs, "y": 2 * xs}, progress=False, keep=9)
    assert history.steps_done == 2 and len(history.validation["loss"]) == 2
    np.testing.assert_allclose(history.validation["loss"][1], sess.run("loss", {"x": xs, "y": 2 * xs}), rtol=1e-6)
    uneven = fl.fit(sess, "train", DATA, epochs=1, batch=4, fetches="loss", validation={"x": xs, "y": 2 * xs}, progress=False)     # batches of 4, 4 and 2
    np.testing.assert_allclose(uneven.validation["loss"][0], sess.run("loss", {"x": xs, "y": 2 * xs}), rtol=1e-5)


def dropping():
    with fl.Graph("dropping") as g:
        x, y = fl.placeholder(("batch", 1), name="x"), fl.placeholder(("batch", 1), name="y")
        loss = fl.mean((fl.nn.dense(fl.dropout(fl.nn.dense(x, 8, name="hidden"), 0.3), 1, name="out") - y) ** 2, name="loss")
        fl.optim.Adam(0.05).minimize(loss)
    return g


def shuffled(ahead=0):
    return fl.data.Pipeline(DATA).shuffle(seed=5).batch(8).prefetch(ahead)


def weights(sess):
    return {n: v.tobytes() for n, v in sess.variables.items()}


def test_resuming_from_a_checkpoint_is_as_if_it_had_never_ended(tmp_path):
    whole, first = (fl.Session(dropping(), seed=3) for _ in range(2))
    told = fl.fit(whole, "train", shuffled(), epochs=5, fetches="loss", progress=False)
    path = tmp_path / "w.safetensors"
    fl.fit(first, "train", shuffled(), epochs=5, fetches="loss", progress=False, checkpoint=path, resume=True, on_epoch=lambda epoch, _: epoch == 1)
    again = fl.Session(dropping(), seed=3)      # another kernel
    history = fl.fit(again, "train", shuffled(2), epochs=5, fetches="loss", progress=False, checkpoint=path, resume=True)
    assert weights(again) == weights(whole) and history.steps["loss"] == told.steps["loss"] and history.epochs == told.epochs and history.epochs_done == 5
    assert fl.fit(again, "train", shuffled(), epochs=5, fetches="loss", progress=False, checkpoint=path, resume=True).steps_done == 25      # nothing is left to do
    assert weights(again) == weights(whole)
    plain = tmp_path / "plain.safetensors"
    again.save(plain)
    with pytest.raises(fl.DocumentError, match="how far"):
        fl.fit(again, "train", shuffled(), epochs=9, fetches="loss", progress=False, checkpoint=plain, resume=True)
    with pytest.raises(fl.AttributeValueError, match="recorded loss"):
        fl.fit(again, "train", shuffled(), epochs=9, progress=False, checkpoint=path, resume=True)
    with pytest.raises(fl.AttributeValueError, match="nothing to resume from"):
        fl.fit(again, "train", shuffled(), epochs=9, progress=False, resume=True)


def test_resuming_after_an_interrupt_goes_on_in_the_middle_of_the_epoch():
    whole, sess = (fl.Session(dropping(), seed=3) for _ in range(2))
    fl.fit(whole, "train", shuffled(), epochs=3, fetches="loss", progress=False)

    def interrupt(step, values):
        if step == 6:
            raise KeyboardInterrupt
    history = fl.fit(sess, "train", shuffled(1), epochs=3, fetches="loss", progress=False, on_step=interrupt)
    assert history.stopped == "interrupted" and history.steps_done == 7 and sess.store.runs == 7 and "interrupted" in repr(history)
    end = fl.fit(sess, "train", shuffled(), epochs=3, fetches="loss", progress=False, resume=history)
    assert weights(sess) == weights(whole) and end.steps_done == 15 and not end.stopped and history.steps_done == 7


def test_a_history_is_a_dict_and_a_table(tmp_path):
    history = fl.fit(fl.Session(line(), seed=0), "train", DATA, epochs=2, batch=16, fetches={"error": "loss", "=cmd": "loss"}, validation=[DATA], progress=False)
    assert fl.History.from_dict(history.to_dict()).to_dict() == history.to_dict() and history.ends == [3, 6] and history.times == sorted(history.times)
    lines = history.to_csv(tmp_path / "h.csv").splitlines()
    assert (tmp_path / "h.csv").read_text().splitlines() == lines and lines[0] == "step,epoch,seconds,error,'=cmd" and len(lines) == 7
    assert [row.split(",")[:2] for row in lines[1:]] == [["0", "0"], ["1", "0"], ["2", "0"], ["3", "1"], ["4", "1"], ["5", "1"]]
    assert float(lines[6].split(",")[3]) == history.steps["error"][5]
    assert history.to_csv(by="epoch").splitlines()[0] == "epoch,steps,error,'=cmd,validation error,validation =cmd"
    damaged = [{**history.to_dict(), field: value} for field, value in (("seconds", "q"), ("steps", {"error": ["a"]}), ("ends", [-5]), ("ends", [6, 3]), ("ends", [3, 7]), ("epochs_done", -1), ("names", [[]]))]
    for wrong in ({}, {"names": 3}, {"names": [], "steps": 4, "steps_done": 1, "epochs_done": 1}, *damaged):
        with pytest.raises(fl.AttributeValueError):
            fl.History.from_dict(wrong)
    with pytest.raises(fl.AttributeValueError):
        history.to_csv(by="hour")


def test_training_in_the_background_pauses_goes_on_and_stops_between_steps():
    sess, plain = (fl.Session(line(), seed=0) for _ in range(2))
    heard, paused = [], threading.Event()
    run = fl.fit(sess, "train", shuffled(), epochs=10**6, fetches="loss", background=True)
    leave = run.listen(lambda r, what: (heard.append(what), paused.set() if r.state == "paused" else None))
    run.pause()
    assert paused.wait(20) and run.total == 5 * 10**6
    done = run.step
    assert not run._thread.join(0.1) and run.step == done == sess.store.runs and "paused" in repr(run)      # it stands
    with pytest.raises(fl.FlowError, match="trained in the background already"):
        fl.fit(sess, "train", shuffled(), progress=False)
    run.go_on()
    run.debug_next(wait=False)
    run.debug_next(wait=False)
    assert run.left > 0
    run.stop()
    history = run.wait(20)
    assert history.stopped == "by hand" and run.state == "stopped" and history.steps_done == sess.store.runs > done and {"step", "state"} <= set(heard)
    fl.fit(plain, "train", shuffled(), epochs=10**6, fetches="loss", progress=False, on_step=lambda step, _: step == history.steps_done - 1)
    assert weights(sess) == weights(plain) and sess.tape is None
    leave()
    with pytest.raises(fl.DebuggerError, match="over"):
        run.debug_next()
    broken = fl.fit(sess, "train", [DATA, {"x": XS}], background=True)
    with pytest.raises(fl.FeedError):
        broken.wait(20)
    assert broken.state == "failed" and broken.history.stopped == "error"


def test_a_loop_of_ones_own_has_the_same_handles():
    """Two runs a step, one of which trains: a step is that one."""
    sess = fl.Session(line(), seed=0)
    with fl.train_loop(sess, keep=3, stop_when={"loss": lambda v: v < 0.01}) as run:
        for feeds in run.batches(shuffled(), epochs=100):
            sess.run("train", feeds)
            loss = sess.run("loss", feeds)
            run.log(loss=loss, **({"late": 1} if run.step > 2 else {}))
    steps = run.history.steps["loss"]
    assert run.history.stopped == "condition" and steps[-1] < 0.01 <= steps[-2] and run.state == "stopped" and run.total == 500
    assert run.history.past.fetches == "train" and np.isnan(run.history.steps["late"][:3]).all() and run.history.steps["late"][3] == 1
    dbg = run.debug(-1)
    dbg.resume()
    assert dbg.value("SGD/line/kernel/Assign:0").tobytes() == sess.variables["line/kernel"].tobytes()
    with pytest.raises(RuntimeError, match="mine"):
        with fl.train_loop(sess) as other:
            raise RuntimeError("mine")
    assert other.history.stopped == "error" and sess.tape is None
    with run:
        with pytest.raises(fl.DebuggerError, match="its own next step"):
            run.debug_next()
        with pytest.raises(fl.FlowError, match="runs already"):
            run.__enter__()


def test_an_interrupt_ends_a_pause_and_the_training_with_it():
    class Remote:
        """What a view is to fit."""

        def watch(self, run):
            run.listen(self.heard)

        def heard(self, run, what):
            if run.step == 5 and what == "step":
                run.pause()
            if run.state == "paused":
                threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    sess = fl.Session(line(), seed=0)
    history = fl.fit(sess, "train", shuffled(2), epochs=50, fetches="loss", view=Remote())
    assert history.stopped == "interrupted" and history.steps_done == sess.store.runs == 5 and sess.tape is None


def test_what_watches_and_fails_watches_no_more():
    sess = fl.Session(line(), seed=0)
    with fl.train_loop(sess) as run, pytest.warns(UserWarning, match="watches no more: ZeroDivisionError"):
        run.listen(lambda r, what: 1 / 0)
        for feeds in run.batches([DATA] * 3):
            sess.run("train", feeds)
            run.log()
    assert run.step == 3 and repr(run) == "Training of 'line', done: step 3 of 3"


def test_kept_steps_stay_within_their_budget():
    from flowlab.apps.tape import Past
    from flowlab.apps.training import Kept
    sess = fl.Session(line(), seed=0)
    kept = Kept(10, budget=35_000)
    for step in range(200):
        kept.add(step, Past(sess, "train", {"x": np.zeros(1000, "float32")}, ({}, step)))
    steps = [s for s, _ in kept]
    assert kept.nbytes <= 35_000 and len(steps) == 8 and steps[-1] == 199
    roomy = Kept(10, budget=1 << 30)
    for step in range(200):
        roomy.add(step, Past(sess, "train", {"x": np.zeros(10)}, ({}, step)))
    steps = [s for s, _ in roomy]
    assert steps[-10:] == list(range(190, 200)) and steps[0] == 0 and 6 <= len(steps) - 10 <= 10


@pytest.mark.parametrize("options, error, says", [
    ({"data": {"x": XS[:0], "y": XS[:0]}}, fl.FeedError, "data is empty"), ({"data": []}, fl.FeedError, "data is empty"), ({"data": {"x": XS, "y": XS[:3]}}, fl.FeedError, "numbers of examples"),
    ({"data": iter(())}, fl.FeedError, "no batch in this epoch"), ({"validation": []}, fl.FeedError, "validation is empty"), ({"fetches": "lose"}, fl.FetchError, "lose"),
    ({"patience": 0}, fl.AttributeValueError, "patience is 0"), ({"patience": 1, "fetches": None}, fl.AttributeValueError, "told by a fetch"), ({"min_delta": -1}, fl.AttributeValueError, "min_delta"),
    ({"mode": "least"}, fl.AttributeValueError, "mode is 'least'"), ({"monitor": "validation loss", "patience": 1}, fl.AttributeValueError, "There are loss"), ({"keep": -1}, fl.AttributeValueError, "keep is -1"),
    ({"stop_when": "max >"}, fl.DebuggerError, "value is missing"), ({"stop_when": 3}, fl.AttributeValueError, "stop_when is 3"), ({"stop_when": {"lose": "nan"}}, fl.FetchError, "neither a fetch nor a tensor"),
    ({"view": True}, fl.AttributeValueError, "view is bool"), ({"stop_when": lambda v: 1 / 0}, fl.AttributeValueError, "stop_when failed: ZeroDivisionError"),
])
def test_what_fit_refuses_teaches(options, error, says):
    sess = fl.Session(line())
    with pytest.raises(error, match=says):
        fl.fit(sess, "train", **{"data": DATA, "fetches": "loss", "batch": None, "progress": False, **options})
    assert sess.store.runs <= 1 and sess.tape is None


def test_a_condition_may_look_at_what_is_not_recorded_and_at_the_step_before():
    sess = fl.Session(line(), seed=0)
    history = fl.fit(sess, "train", DATA, epochs=50, batch=40, fetches="loss", progress=False, stop_when={"line/bias:0": "not changed"}, keep=2)
    assert history.names == ["loss"] and history.stopped == "condition" and 2 < history.steps_done < 50     # it has settled
    seen = fl.fit(sess, "train", DATA, epochs=50, batch=40, fetches="loss", progress=False, stop_when={"line/kernel:0": "mean > 1"})
    assert seen.stopped == "condition" and seen.steps_done == 1 and seen.past.debug().value("line/kernel:0") > 1


def test_a_training_that_turns_to_nan_says_so_once():
    sess = fl.Session(line())
    with pytest.warns(UserWarning, match="loss is NaN since step 1"):
        history = fl.fit(sess, "train", [{"x": XS, "y": XS}, {"x": XS * np.nan, "y": XS}], epochs=3, fetches="loss", progress=False)
    assert history.steps_done == 6 and not history.stopped
