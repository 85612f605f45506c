"""Variables, Assign and Group: one snapshot a run, one commit at its end; keeping them in files."""
from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY


def swapping():
    with fl.Graph("swap") as g:
        a, b = fl.variable(np.array([1.0, 2.0]), name="a"), fl.variable(np.array([3.0, 4.0]), name="b")
        fl.group([fl.assign(a, fl.identity(b), name="to_a"), fl.assign(b, a + 1, name="to_b")], name="step")
    return g, a, b


def test_every_read_sees_the_values_from_before_the_run():
    g, a, b = swapping()
    sess = fl.Session(g)
    assert sess.run("step") is None
    np.testing.assert_array_equal(sess.variables["a"], [3, 4])
    np.testing.assert_array_equal(sess.variables["b"], [2, 3])
    got_a, put = sess.run([a, "to_a"])
    np.testing.assert_array_equal(got_a, [3, 4])    # the read
    np.testing.assert_array_equal(put, [2, 3])      # the assign's output is the new value


def test_two_assigns_to_one_variable_are_refused():
    with fl.Graph() as g:
        v = fl.variable(0.0, name="v")
        one, two = fl.assign(v, 1.0, name="one"), fl.assign(v, 2.0, name="two")
    sess = fl.Session(g)
    with pytest.raises(fl.FlowError, match="one and two both assign v"):
        sess.run([one, two])
    assert sess.run([one]) == [1.0] and sess.run(two) == 2.0 and sess.variables["v"] == 2.0


def test_assign_refuses_what_is_no_variable_and_what_does_not_fit():
    with fl.Graph():
        x, v = fl.placeholder((3,), name="x"), fl.variable(np.zeros((2, 3)), name="v")
        with pytest.raises(fl.AttributeValueError, match="not a variable"):
            fl.assign(x, 1.0)
        with pytest.raises(fl.ShapeError) as caught:
            fl.assign(v, np.zeros((2, 5), "float64"), name="put")
        assert (caught.value.node, caught.value.port, caught.value.axis) == ("put", "value", 1)
        with pytest.raises(fl.ShapeError):
            fl.assign(v, x)


def test_new_values_share_no_memory_with_feeds_or_results():
    with fl.Graph() as g:
        x = fl.placeholder((4,), name="x")
        v = fl.variable(np.zeros((2, 2), "float32"), name="v")
        y = fl.add(x, 1.0, name="y")
        direct = fl.assign(v, fl.reshape(x, (2, 2)), name="direct")
        shaped = fl.assign(v, fl.reshape(y, (2, 2)), name="shaped")
    sess = fl.Session(g)
    fed = np.arange(4, dtype="float32")
    sess.run(direct, {x: fed})[...] = 7
    fed[:] = -1
    np.testing.assert_array_equal(sess.variables["v"], [[0, 1], [2, 3]])
    got_y, put = sess.run([y, shaped], {x: np.arange(4, dtype="float32")})
    got_y[...] = put[...] = 9
    np.testing.assert_array_equal(sess.variables["v"], [[1, 2], [3, 4]])
    sess.variables["v"][...] = 5
    np.testing.assert_array_equal(sess.variables["v"], [[1, 2], [3, 4]])
    trace = sess.trace([y, shaped], {x: fed})
    for event in trace.events:
        with pytest.raises(ValueError):
            event.outputs[0][...] = 3


def test_the_mapping_of_values():
    g, a, _ = swapping()
    sess = fl.Session(g)
    assert list(sess.variables) == ["a", "b"] and len(sess.variables) == 2 and "a" in sess.variables and "z" not in sess.variables
    np.testing.assert_array_equal(sess.variables[a], sess.variables["a:0"])
    sess.variables["a"] = [10, 20]
    np.testing.assert_array_equal(sess.run("a"), [10, 20])
    mine = np.array([1.0, 2.0])
    sess.variables["a"] = mine
    mine[:] = 0
    np.testing.assert_array_equal(sess.variables["a"], [1, 2])
    for wrong, error in (([1, 2, 3], fl.ShapeError), ([1j, 2], fl.DTypeError), (["x", "y"], fl.DTypeError), ([[1], [1, 2]], fl.DTypeError)):
        with pytest.raises(error) as caught:
            sess.variables["a"] = wrong
        assert caught.value.node == "a"
    with pytest.raises(KeyError, match="no variable 'z'"):
        sess.variables["z"]
    with pytest.raises(TypeError):
        del sess.variables["a"]


def test_variables_made_later_are_initialised_at_first_use():
    with fl.Graph() as g:
        fl.variable(fl.init.normal((3,)), name="old")
    sess = fl.Session(g, seed=4)
    before = sess.variables["old"]
    with g:
        new = fl.variable(fl.init.normal((3,)), name="new")
        fl.assign(new, new * 2, name="double")
    first = sess.variables["new"]
    np.testing.assert_array_equal(sess.run("double"), first * 2)
    np.testing.assert_array_equal(sess.variables["old"], before)
    np.testing.assert_array_equal(fl.Session(g, seed=4).variables["new"], first)


@pytest.mark.parametrize("text", ["zeros", "ones", "full(3)", "uniform(-1, 1)", "normal(0, 0.1)", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
                                  "lecun_normal", "orthogonal"])
def test_initializers_have_the_spread_they_promise(text):
    with fl.Graph() as g:
        fl.variable(fl.init.initializer(text, (200, 100)), name="w")
    sess = fl.Session(g, seed=1)
    w = sess.variables["w"]
    assert w.dtype == np.float32 and w.shape == (200, 100)
    expected = {"zeros": (0, 0), "ones": (1, 0), "full(3)": (3, 0), "uniform(-1, 1)": (0, 3**-0.5), "normal(0, 0.1)": (0, 0.1), "glorot_uniform": (0, (2 / 300)**0.5),
                "glorot_normal": (0, (2 / 300)**0.5), "he_uniform": (0, 0.1), "he_normal": (0, 0.1), "lecun_normal": (0, 200**-0.5), "orthogonal": (0, 200**-0.5)}[text]
    np.testing.assert_allclose([w.mean(), w.std()], expected, atol=0.02 * max(expected[1], 0.1))
    if text == "orthogonal":
        np.testing.assert_allclose(w.T @ w, np.eye(100), atol=1e-5)
    np.testing.assert_array_equal(fl.Session(g, seed=1).variables["w"], w)
    assert expected[1] == 0 or (fl.Session(g, seed=2).variables["w"] != w).any()


@pytest.mark.parametrize("text", ["magic", "normal(0, a)", "normal(0", "normal(1, 2, 3)", "uniform(inf, 1)", "zeros(", "__import__('os')"])
def test_initializers_that_are_none(text):
    with fl.Graph(), pytest.raises(fl.AttributeValueError) as caught:
        fl.variable(fl.init.initializer(text, (2,)))
    assert caught.value.port == "initializer"


# ---------------------------------------------------------------- interrupts


def training():
    with fl.Graph() as g:
        x = fl.placeholder((None, 3), name="x")
        loss = fl.mean(fl.nn.dense(fl.nn.dense(x, 4, "tanh"), 2) ** 2, name="loss")
        fl.optim.Adam(0.1, clip_norm=1.0).minimize(loss)
    return g


class _Interrupt:
    """Raises KeyboardInterrupt at the n-th line that Python runs."""

    def __init__(self, at: int):
        self.left = at

    def __call__(self, frame, event, arg):
        if "flowlab" not in frame.f_code.co_filename:
            return None
        self.left -= 1
        if self.left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return self


def test_an_interrupt_anywhere_leaves_all_old_or_all_new():
    g = training()
    xs = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    sess = fl.Session(g, seed=0)
    sess.run("train", {"x": xs})
    old = dict(sess.variables)
    for kind in ("run", "trace", "debug"):
        reference = fl.Session(g, seed=0)
        reference.run("train", {"x": xs})
        reference.run("train", {"x": xs})
        new = dict(reference.variables)
        seen = set()
        step = 1 if kind == "run" else 37
        for at in range(1, 100_000, step):
            for name, value in old.items():
                sess.variables[name] = value
            hook = _Interrupt(at)
            outer = sys.gettrace()
            sys.settrace(hook)
            try:
                if kind == "run":
                    sess.run("train", {"x": xs})
                elif kind == "trace":
                    sess.trace("train", {"x": xs})
                else:
                    fl.Debugger(sess, "train", {"x": xs}).resume()
                done = True
            except KeyboardInterrupt:
                done = False
            finally:
                sys.settrace(outer)
            now = dict(sess.variables)
            is_old = all((now[n] == old[n]).all() for n in old)
            is_new = all((now[n] == new[n]).all() for n in old)
            assert is_old or is_new, (kind, at)
            seen.add("new" if is_new else "old")
            if done:
                assert is_new
                break
        assert seen == {"old", "new"}
        sess.run("train", {"x": xs})     # it goes on working


def test_an_interrupt_while_variables_are_made_makes_none_twice():
    g = training()
    whole = fl.Session(g, seed=0)
    for at in range(1, 2000, 7):
        sess = fl.Session(g, seed=0)
        outer = sys.gettrace()
        sys.settrace(_Interrupt(at))
        try:
            len(sess.variables)
            break
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(outer)
        assert list(sess.variables) == list(whole.variables)
        assert all((sess.variables[n] == whole.variables[n]).all() for n in whole.variables)
    assert at > 7


@pytest.fixture
def trip():
    """An op whose kernel is interrupted."""
    @fl.op(function="trip_wire", infer=lambda x, **_: x, category="math")
    def trip_wire(xp, x):
        """Be interrupted."""
        raise KeyboardInterrupt
    yield trip_wire
    del REGISTRY["TripWire"]


@pytest.mark.parametrize("where", ["first", "last"])
def test_an_interrupt_inside_a_kernel_leaves_the_variables(where, trip):
    g = training()
    with g, fl.control_dependencies([g.node("train")] if where == "last" else []):
        trip(g.tensor("x"), name="trip")
    sess = fl.Session(g, seed=0)
    xs = np.ones((2, 3), "float32")
    before = dict(sess.variables)
    for go in (lambda: sess.run(["train", "trip"], {"x": xs}), lambda: sess.trace(["train", "trip"], {"x": xs}), lambda: fl.Debugger(sess, ["train", "trip"], {"x": xs}).resume()):
        with pytest.raises(KeyboardInterrupt):
            go()
        assert all((sess.variables[n] == v).all() for n, v in before.items())
    sess.run("train", {"x": xs})
    assert any((sess.variables[n] != v).any() for n, v in before.items())


# ---------------------------------------------------------------- files


def test_save_and_restore(tmp_path):
    g = training()
    a, b = fl.Session(g, seed=1), fl.Session(g, seed=2)
    a.run("train", {"x": np.ones((2, 3))})
    path = tmp_path / "weights.safetensors"
    a.save(path)
    assert b.restore(path) == []
    assert all((a.variables[n] == b.variables[n]).all() and a.variables[n].dtype == b.variables[n].dtype for n in a.variables)
    assert list(tmp_path.iterdir()) == [path]
    for s in (a, b):
        s.run("train", {"x": np.ones((2, 3))})
    assert all((a.variables[n] == b.variables[n]).all() for n in a.variables)


def test_a_file_without_some_variables_names_them(tmp_path):
    with fl.Graph() as g:
        fl.variable([1.0, 2.0], name="a")
    fl.Session(g).save(tmp_path / "w")
    with g:
        fl.variable([3.0], name="b")
    sess = fl.Session(g)
    sess.variables["a"] = [5.0, 6.0]
    assert sess.restore(tmp_path / "w") == ["b"]
    np.testing.assert_array_equal(sess.variables["a"], [1, 2])


def test_files_that_are_not_weights_change_nothing(tmp_path):
    from safetensors.numpy import save_file
    g = training()
    sess = fl.Session(g, seed=0)
    before = dict(sess.variables)
    good = tmp_path / "good"
    sess.save(good)
    whole = good.read_bytes()
    names = list(sess.variables)

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))
    files = {
        "truncated": whole[:-7], "header only": whole[:20], "empty": b"", "pickled": pickle.dumps(Evil()), "noise": bytes(range(256)) * 4,
        "long header": (2**62).to_bytes(8, "little") + b"{}",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(fl.DocumentError):
            sess.restore(tmp_path / name)
    np.savez(tmp_path / "arrays.npz", **before)
    with pytest.raises(fl.DocumentError):
        sess.restore(tmp_path / "arrays.npz")
    with pytest.raises(fl.DocumentError, match="no file"):
        sess.restore(tmp_path / "missing")
    with pytest.raises(fl.DocumentError):
        sess.restore(tmp_path)
    save_file({**before, names[-1]: np.zeros((9, 9), "float32")}, tmp_path / "shape")
    with pytest.raises(fl.ShapeError) as caught:
        sess.restore(tmp_path / "shape")
    assert caught.value.node == names[-1]
    save_file({**{n: np.array(v + 1) for n, v in before.items()}, names[0]: before[names[0]].astype("complex64")}, tmp_path / "dtype")
    with pytest.raises(fl.FlowError):
        sess.restore(tmp_path / "dtype")
    save_file({"stranger": np.zeros(3)}, tmp_path / "other")
    with pytest.raises(fl.DocumentError, match="stranger"):
        sess.restore(tmp_path / "other")
    assert not (tmp_path / "pwned").exists()
    assert all((sess.variables[n] == v).all() for n, v in before.items())


def test_a_save_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    g = training()
    sess = fl.Session(g)
    path = tmp_path / "w"
    sess.save(path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    sess.run("train", {"x": np.ones((2, 3))})
    with pytest.raises(OSError):
        sess.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_weights_are_saved_through_a_link_and_under_any_title(tmp_path):
    with fl.Graph("half a character \ud800") as g:
        fl.variable(np.arange(3.0), name="v")
    sess = fl.Session(g)
    sess.save(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    sess.variables["v"] = [7, 8, 9]
    sess.save(tmp_path / "link")
    sess.variables["v"] = [0, 0, 0]
    assert (tmp_path / "link").is_symlink() and sess.restore(tmp_path / "real") == []
    assert sess.variables["v"].tolist() == [7, 8, 9]
