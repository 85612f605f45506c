"""Which dtype comes out when two meet, and what becomes of float errors."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.types import DTYPES, promoted
from tests.ops.cases import CASES
from tests.ops.test_every_op import BUILT_IN, given, graph_of

# Equal dtypes stay; of two floats or two ints the wider, of uint64 and an int with a sign int64; an int and a float take the float's dtype; bool is no number and meets nothing but itself.
TABLE = """
          float64  float32  float16  int64    int32    int16    int8     uint8    uint16   uint32   uint64   bool
float64   float64  float64  float64  float64  float64  float64  float64  float64  float64  float64  float64  -
float32   float64  float32  float32  float32  float32  float32  float32  float32  float32  float32  float32  -
float16   float64  float32  float16  float16  float16  float16  float16  float16  float16  float16  float16  -
int64     float64  float32  float16  int64    int64    int64    int64    int64    int64    int64    int64    -
int32     float64  float32  float16  int64    int32    int32    int32    int32    int32    int64    int64    -
int16     float64  float32  float16  int64    int32    int16    int16    int16    int32    int64    int64    -
int8      float64  float32  float16  int64    int32    int16    int8     int16    int32    int64    int64    -
uint8     float64  float32  float16  int64    int32    int16    int16    uint8    uint16   uint32   uint64   -
uint16    float64  float32  float16  int64    int32    int32    int32    uint16   uint16   uint32   uint64   -
uint32    float64  float32  float16  int64    int64    int64    int64    uint32   uint32   uint32   uint64   -
uint64    float64  float32  float16  int64    int64    int64    int64    uint64   uint64   uint64   uint64   -
bool      -        -        -        -        -        -        -        -        -        -        -        bool
"""
HEAD, *LINES = [line.split() for line in TABLE.strip().splitlines()]
PAIRS = [(row[0], column, out) for row in LINES for column, out in zip(HEAD, row[1:], strict=True)]


def test_the_table_names_every_dtype():
    assert set(HEAD) == set(DTYPES) == {row[0] for row in LINES}


@pytest.mark.parametrize(("a", "b", "out"), PAIRS)
def test_two_tensors_meet_in_the_dtype_of_the_table(a, b, out):
    with fl.Graph() as g:
        x, y = fl.placeholder((2,), a, name="x"), fl.placeholder((3, 1), b, name="y")
        if out == "-":
            with pytest.raises(fl.DTypeError, match="bool"):
                fl.multiply(x, y)
            return
        assert promoted(np.dtype(a), np.dtype(b)) == out
        if out == "bool":
            with pytest.raises(fl.DTypeError, match="takes numbers"):
                fl.multiply(x, y)
            z = fl.equal(x, y)
        else:
            z = fl.multiply(x, y)
            assert [n.op.name for n in g.nodes].count("Cast") == (a != out) + (b != out), "what changes its dtype does so in a node that can be seen"
    assert z.dtype == out
    assert fl.Session(g).run(z, {x: np.ones(2, a), y: np.ones((3, 1), b)}).dtype == out


@pytest.mark.parametrize(("value", "with_int", "with_half"), [(2, "int8", "float16"), (2.0, "float32", "float16"), (0.5, "float32", "float16"), (np.float64(0.5), "float32", "float16"),
                                                             ([1, 2], "int8", "float16"), (np.array([0.5, 2.5]), "float32", "float16")])
def test_a_number_beside_a_tensor_takes_its_dtype_as_far_as_it_can(value, with_int, with_half):
    """A fraction beside whole numbers makes both float32; else the tensor's dtype stands."""
    with fl.Graph() as g:
        i, h = fl.placeholder((2,), "int8", name="i"), fl.placeholder((2,), "float16", name="h")
        out = [i * value, value * i, h * value, value + h]
    assert [t.dtype for t in out] == [with_int, with_int, with_half, with_half]
    for got, t in zip(fl.Session(g).run(out, {i: [3, 4], h: [3, 4]}), out):
        assert got.dtype == t.dtype
    np.testing.assert_allclose(fl.Session(g).run(out[0], {i: [3, 4], h: [3, 4]}), np.array([3, 4]) * value)


def test_division_and_functions_of_whole_numbers_are_float32():
    with fl.Graph():
        i = fl.placeholder((2,), "int64")
        assert [t.dtype for t in (fl.exp(i), i / 2, i / i, fl.exp(3), fl.divide(1, 2), fl.exp(fl.cast(i, "float64")))] == ["float32"] * 5 + ["float64"]


# ---------------------------------------------------------------- float errors

EXECUTORS = {"compiled": {}, "parallel": {"executor": "parallel", "workers": 2}}


def broken(size=(3,)):
    with fl.Graph() as g:
        x = fl.placeholder(size, name="x")
        fl.sum(fl.log(x, name="broken"), name="total")
        fl.sum(fl.exp(x), name="beside")
    return g


@pytest.mark.parametrize("way", ["run", "run again", "trace", "debugger"])
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_float_error_that_numpy_is_told_to_raise_names_its_node(executor, way):
    sess = fl.Session(broken(), **EXECUTORS[executor])
    feeds = {"x": np.zeros(3)}
    if way == "run again":  # with the plan cut to its shapes
        sess.run("total", {"x": np.ones(3)})
        sess.run("total", {"x": np.ones(3)})

    def fire():
        if way == "trace":
            sess.trace(["total", "beside"], feeds)
        elif way == "debugger":
            debugger = fl.Debugger(sess, ["total", "beside"], feeds)
            while debugger.step() is not None:
                pass
        else:
            sess.run(["total", "beside"], feeds)
    before = np.geterr()
    with np.errstate(all="raise"), pytest.raises(fl.KernelError, match="divide by zero") as caught:
        fire()
    assert caught.value.node == "broken" and isinstance(caught.value.__cause__, FloatingPointError)
    assert np.geterr() == before
    with np.errstate(all="ignore"):
        assert sess.run("total", feeds) == -np.inf, "the session goes on"


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_float_error_warns_as_numpys_does_and_is_silent_where_numpy_is_told_to_be(executor):
    sess = fl.Session(broken((600, 400)), **EXECUTORS[executor])
    feeds = {"x": np.zeros((600, 400), "float32")}
    for _ in range(3):  # the plain plan, and the one that is cut to these shapes
        with pytest.warns(RuntimeWarning, match="divide by zero encountered in log"):
            sess.run(["total", "beside"], feeds)
        with warnings.catch_warnings(action="error"), np.errstate(divide="ignore"):
            assert sess.run("total", feeds) == -np.inf


def test_values_that_are_there_are_found_without_a_float_error():
    """Where the result is finite, no step on the way to it divides by 0, overflows or is invalid: what NumPy is told to raise is the person's own."""
    seen = set()
    for case in CASES:
        if case.type in seen or case.type not in BUILT_IN or not all(np.isfinite(x).all() for x in given(case)):
            continue
        seen.add(case.type)
        g, placeholders, outputs = graph_of(case)
        with np.errstate(all="raise", under="ignore"):
            fl.Session(g).run(outputs, dict(zip(placeholders, given(case))))
    assert len(seen) > 200


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "softplus", "log_sigmoid", "softmax", "log_softmax", "logsumexp", "silu", "mish", "gelu", "elu", "celu", "erf", "hypot", "logaddexp"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_out_nothing_overflows_that_is_finite(function, dtype):
    op = getattr(fl, function)
    far = np.array([-1e4, -800, -90, -20, -1e-30, 1e-30, 20, 90, 800, 1e4], dtype)
    with fl.Graph() as g:
        x = fl.placeholder((10,), dtype, name="x")
        y = op(x, x * 0.5) if len(op.inputs) == 2 else op(x)
        d, = fl.gradients(y, [x])
    with np.errstate(all="raise", under="ignore"):
        y, d = fl.Session(g).run([y, d], {x: far})
    assert np.isfinite(y).all() and np.isfinite(d).all()
