"""Why NaN, why zero: the walk back to where it began, in words."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import flowlab as fl


def debugged(build, feeds, fetch="y"):
    with fl.Graph() as g:
        build()
    dbg = fl.Debugger(fl.Session(g), fetch, feeds)
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        dbg.resume()
    return dbg


def test_a_nan_is_followed_back_to_the_logarithm_of_zero():
    def build():
        x = fl.placeholder((2, 2), name="x")
        a = fl.log(fl.subtract(x, 1.0, name="less"), name="log")
        fl.sum(fl.multiply(a, 0.0, name="times"), name="y")
    dbg = debugged(build, {"x": [[2.0, 3.0], [1.0, 4.0]]})
    why = dbg.why_nan("y:0")
    assert (why.kind, why.node, why.tensor) == ("inf", "log", "y:0") and [n for n, _ in why.path] == ["log", "times", "y"]
    assert "log (Log) made −∞ in 1 of 4 values at [1, 0]: the logarithm of 0 is −∞." in str(why)
    assert "went through times, y to y:0" in str(why) and "test_why.py" in str(why)
    assert dbg.why_nan().node == "log" and dbg.why_nan("less:0") is None


@pytest.mark.parametrize(("op", "x", "said"), [
    (lambda x: fl.sqrt(x), -4.0, "square root of −4"), (lambda x: 1.0 / x, 0.0, "1 was divided by 0"), (lambda x: fl.exp(x), 1e3, "e to the 1000 is more"),
    (lambda x: x * x * x, 1e20, "is more than the dtype holds"), (lambda x: fl.log(x), -1.0, "logarithm of −1 is no number"),
    (lambda x: fl.power(x, 0.5), -2.0, "−2 to the power 0.5 is no number"), (lambda x: fl.matmul(fl.reshape(x, (1, 1)), [[1e30]]), 1e20, "its inputs were finite"),
])
def test_every_usual_way_to_it_has_its_own_words(op, x, said):
    why = debugged(lambda: fl.identity(op(fl.placeholder((), name="x")), name="y"), {"x": x}).why_nan("y")
    assert said in str(why)


def test_one_that_was_fed_or_stored_is_told_of_as_such():
    dbg = debugged(lambda: fl.sum(fl.placeholder((3,), name="x") * 2, name="y"), {"x": [1.0, np.nan, 3.0]})
    assert str(dbg.why_nan("y")).startswith("x was fed NaN at [1].") and dbg.why_nan("y").path[0] == ("x", ())
    dbg = debugged(lambda: fl.sum(fl.variable(np.float32([1, np.inf]), name="w"), name="y"), {})
    assert "w holds an infinity at [1]" in str(dbg.why_nan()) and dbg.why_nan().kind == "inf"


def test_inside_a_loop_it_is_the_timestep_that_made_it():
    def build():
        x = fl.placeholder((5,), name="x")
        with fl.scan(x, name="loop") as step:
            s = step.state("s", init=1.0)
            step.update(s, fl.divide(s, step.input, name="over"))
        fl.square(step.states["s"], name="y")
    dbg = debugged(build, {"x": [2.0, 1.0, 0.0, 4.0, 1.0]})
    why = dbg.why_nan("y")
    assert (why.node, why.frame) == ("loop/over", ("loop", 2)) and "0.5 was divided by 0" in str(why)
    assert why.path[-1] == ("y", ()) and dbg.why_nan("loop/over:0").frame == ("loop", 2)     # the last timestep's value goes back through the states


def test_a_gradient_that_does_not_arrive_has_its_reason():
    def build():
        x, w = fl.placeholder((4, 3), name="x"), fl.variable(-np.ones((3, 2), "float32"), name="w")
        y = fl.mean(fl.relu(fl.matmul(x, w, name="z"), name="unit"), name="y")
        fl.gradients(y, [w])
    x = np.ones((4, 3))
    dbg = debugged(build, {"x": x}, fetch=["y", "gradients/z/MatMul"])
    why = dbg.why_zero("y")
    assert why.node == "unit" and "none of its inputs is (the largest is −3): the unit is dead here" in str(why)
    why = dbg.why_zero("gradients/z/MatMul:0")
    assert why.node == "unit" and [n for n, _ in why.path] == ["unit", "gradients/unit/ReluGradient", "gradients/z/MatMul"]
    assert "the unit is dead here" in str(why)
    assert dbg.why_zero("x") is None and dbg.why_zero("z") is None


def test_there_is_nothing_to_ask_before_it_is_there():
    with fl.Graph() as g:
        fl.log(fl.placeholder((), name="x"), name="y")
    dbg = fl.Debugger(fl.Session(g), "y", {"x": 1.0})
    assert dbg.why_nan() is None
    with pytest.raises(KeyError, match="not computed yet"):
        dbg.why_nan("y")


def test_an_override_counts_and_not_what_it_replaced():
    def build():
        fl.exp(fl.log(fl.placeholder((2,), name="x"), name="log"), name="y")
    dbg = debugged(build, {"x": [-1.0, 1.0]})
    dbg.override("log:0", np.ones(2))
    dbg.resume()
    assert dbg.why_nan() is None
    for name in ("log", "x"):
        dbg.clear_override()
        dbg.override(f"{name}:0", [1.0, np.inf])
        with np.errstate(all="ignore"):
            dbg.resume()
        assert str(dbg.why_nan("y")).startswith(f"{name} was overridden with an infinity at [1].") and dbg.why_nan("y").kind == "inf"


def test_a_loop_is_entered_where_the_output_comes_from_and_not_where_something_else_is_wrong():
    def build():
        x = fl.placeholder((3,), name="x")
        with fl.scan(x, name="loop") as step:
            last = step.state("last", init=1.0)
            step.update(last, fl.log(step.input, name="log"))
            step.output(fl.where(step.input > 0, fl.log(step.input, name="unsafe"), 0.0, name="safe"))
            root = fl.sqrt(step.input - 2.0, name="root")
            step.output(root)
        fl.identity(step.outputs[1], name="y")
        fl.identity(step.states["last"], name="z")
        fl.identity(step.over_time(root), name="each")
    for fetch in ("y", "each"):
        why = debugged(build, {"x": [-1.0, 3.0, 1.0]}, fetch=["y", "z", "each"]).why_nan(fetch)
        assert (why.node, why.frame) == ("loop/root", ("loop", 0)), fetch
    dbg = debugged(build, {"x": [-1.0, 3.0, 1.0]}, fetch=["y", "z"])
    assert dbg.why_nan("z") is None and dbg.why_zero("z").node == "loop/log" and dbg.why_zero("z").frame == ("loop", 2)


def test_a_part_of_a_sequence_is_not_taken_for_the_whole():
    def build():
        x = fl.placeholder((3, 2), name="x")
        with fl.scan(x, name="loop") as step:
            step.output(fl.multiply(step.input, 3.0, name="times"))
        fl.identity(step.outputs[0], name="y")
    why = debugged(build, {"x": [[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]}).why_zero("loop/times:0")
    assert str(why).startswith("loop/input at loop 2 is nothing but zeros: its part of x:0.") and why.frame == ("loop", 2)


def test_a_gradient_that_is_lost_in_a_loop_is_not_put_down_to_the_sum_that_began_at_zero():
    def build():
        x, w = fl.placeholder((4,), name="x"), fl.variable(0.0, name="w")
        with fl.scan(x, name="loop") as step:
            h = step.state("h", init=1.0)
            step.update(h, fl.relu(h * w + step.input, name="unit"))
        fl.identity(fl.gradients(fl.square(step.states["h"]), [w])[0], name="y")
    why = debugged(build, {"x": [1.0, 2.0, 3.0, -4.0]}).why_zero("y")
    assert why.node == "loop/unit" and why.frame == ("loop", 3) and "the unit is dead here" in str(why)
