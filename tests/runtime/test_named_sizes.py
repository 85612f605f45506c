"""A size with a name is one size in a run: where it turns out to be two, the error says which, where, and on what axis."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl

WAYS = {"run": lambda s, f, x: s.run(f, x), "trace": lambda s, f, x: s.trace(f, x), "debugger": lambda s, f, x: fl.Debugger(s, f, x).resume()}
each_way = pytest.mark.parametrize("way", WAYS)


def regrouped():
    """What is called batch in the middle need not be the batch that is fed."""
    with fl.Graph() as g:
        x, rest = fl.placeholder(("batch", 1), name="x"), fl.placeholder(("n", 4), name="rest")
        fl.multiply(fl.reshape(rest, ("batch", 2), name="rows"), x, name="scaled")
    return g


@each_way
@pytest.mark.parametrize("executor", ["compiled", "parallel"])
def test_a_name_that_stands_for_two_sizes_is_told_of_before_anything_runs(way, executor):
    sess = fl.Session(regrouped(), executor=executor)
    for _ in range(2):
        with pytest.raises(fl.ShapeError, match="batch is 3 on axis 0 of x, but 6 on axis 0 of rows") as caught:
            WAYS[way](sess, "scaled", {"x": np.ones((3, 1)), "rest": np.ones((3, 4))})
        assert (caught.value.node, caught.value.axis) == ("rows", 0) and "one size in a run" in caught.value.hint
    assert sess.run("scaled", {"x": np.ones((6, 1)), "rest": np.ones((3, 4))}).shape == (6, 2)
    with pytest.raises(fl.ShapeError):      # 1 would be repeated, and nobody would see that it is not the batch
        sess.run("scaled", {"x": np.ones((1, 1)), "rest": np.ones((3, 4))})


def test_a_name_that_nothing_contradicts_is_worked_out():
    with fl.Graph() as g:
        x = fl.placeholder(("n", 6), name="x")
        y = fl.reshape(x, ("pairs", 2), name="pairs")
        z = fl.reshape(y, (-1, 3, 2), name="back")
    assert (y.shape, z.shape) == (("pairs", 2), (None, 3, 2))
    sess = fl.Session(g)
    for n in (4, 1, 0, 4):
        got, back = sess.run([y, z], {x: np.arange(6.0 * n).reshape(n, 6)})
        assert got.shape == (3 * n, 2) and back.shape == (n, 3, 2)


def test_part_of_a_shape_may_be_open():
    with fl.Graph():
        x = fl.placeholder(("batch", 3, 4), name="x")
        assert fl.reshape(x, (-1, 12)).shape == ("batch", 12)
        assert fl.reshape(x, ("batch", -1)).shape == ("batch", 12)
        assert fl.reshape(x, ("batch", 6, -1)).shape == ("batch", 6, 2)
        assert fl.reshape(x, (-1, 5)).shape == (None, 5)
        assert fl.reshape(x, (None, 12)).shape == (None, 12)
        with pytest.raises(fl.ShapeError, match="5 does not divide"):
            fl.reshape(x, ("batch", 5, -1))
        for wrong in (("batch", "other", -1), (3, "batch", -1), (-1, "batch")):
            with pytest.raises(fl.AttributeValueError, match="one size, not several"):
                fl.reshape(x, wrong)
        with pytest.raises(fl.AttributeValueError, match="one size, not several"):
            fl.reshape(x, (-1, None))


def test_several_named_sizes_stay_where_they_are():
    """As attention has it: heads are split off and joined again, whatever the batch and the time."""
    with fl.Graph() as g:
        x = fl.placeholder(("batch", "time", 6), "float64", name="x")
        heads = fl.reshape(x, ("batch", "time", 2, -1))
        joined = fl.reshape(heads, ("batch", "time", -1))
        d, = fl.gradients(fl.sum(fl.square(joined)), [x])
    assert heads.shape == ("batch", "time", 2, 3) and joined.shape == ("batch", "time", 6)
    xs = np.arange(2.0 * 5 * 6).reshape(2, 5, 6)
    got, back, d = fl.Session(g).run([heads, joined, d], {x: xs})
    np.testing.assert_array_equal(got, xs.reshape(2, 5, 2, 3))
    np.testing.assert_array_equal(back, xs)
    np.testing.assert_array_equal(d, 2 * xs)


@each_way
def test_a_kernel_that_fails_on_sizes_says_which_name_and_axis(way):
    """Sizes that only the data decides are met where they clash."""
    with fl.Graph() as g:
        x, keep = fl.placeholder(("batch", 3), name="x"), fl.placeholder((None,), "bool", name="keep")
        rows = fl.reshape(fl.boolean_mask(x, keep), ("batch", 3), name="rows")
        fl.add(x, rows, name="sum")
    sess = fl.Session(g)
    feeds = {"x": np.ones((4, 3)), "keep": np.array([True, False, True, False])}
    if way == "debugger":
        stop = WAYS[way](sess, "sum", feeds)
        assert stop.node == "sum"
        return
    for _ in range(3):
        with pytest.raises(fl.KernelError, match="batch is 4 on axis 0 of a, but 2 on axis 0 of b") as caught:
            WAYS[way](sess, "sum", feeds)
        assert (caught.value.node, caught.value.port, caught.value.axis) == ("sum", "b", 0)
    assert WAYS[way](sess, "sum", {**feeds, "keep": np.ones(4, bool)}) is not None


def test_an_intermediate_that_is_fed_keeps_the_names():
    sess = fl.Session(regrouped())
    with pytest.raises(fl.FeedError, match="batch is 3 in x but 5 in rows"):
        sess.run("scaled", {"x": np.ones((3, 1)), "rows:0": np.ones((5, 2))})
    assert sess.run("scaled", {"x": np.ones((5, 1)), "rows:0": np.ones((5, 2))}).shape == (5, 2)
