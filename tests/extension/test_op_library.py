"""Operations in C and C++: like flowlab's own once loaded, and refused with the reason when something does not fit."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY
from flowlab.io.document import from_text
from flowlab.ops.library import _LOADED
from flowlab.runtime.plan import kernel_of
from flowlab.widgets.scene import palette
from tests.strict_cupy import STRICT, Array

HERE = Path(__file__).parent
EXECUTORS = ("compiled", "parallel")


def compiler(name: str) -> str:
    """The system's compiler. Without one these tests say so; where tests must not be left out, that fails."""
    found = shutil.which(name)
    if found is None:
        reason = f"no {name} to compile the example with (apt-get install gcc g++)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def compiled(source: str | Path, target: Path, *options: str) -> Path:
    cc = [compiler("g++"), "-std=c++17"] if str(source).endswith(".cpp") else [compiler("cc"), "-std=c11"]
    made = subprocess.run([*cc, "-Wall", "-Wextra", "-Wpedantic", "-Wno-unused-const-variable", "-Wno-unused-variable", "-Werror", "-O2", "-shared", "-fPIC", *options,
                           f"-I{fl.get_include()}", str(HERE / source), "-o", str(target), "-lm"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return target


def loaded(path: Path):
    """The library; its operations are nobody else's when the tests are over."""
    library = fl.load_op_library(path)
    yield library
    for name in library.ops:
        del REGISTRY[name]
    del _LOADED[library.path]


@pytest.fixture(scope="module")
def smooth(tmp_path_factory):
    yield from loaded(compiled("smooth.c", tmp_path_factory.mktemp("c") / "libsmooth.so"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    yield from loaded(compiled("pairs.cpp", tmp_path_factory.mktemp("cpp") / "libpairs.so"))


def f(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# ---------------------------------------------------------------- what loads is like flowlab's own


def test_values_in_both_dtypes(smooth, pairs):
    for dtype in ("float32", "float64"):
        with fl.Graph() as g:
            x, a, b = fl.placeholder((4, 3), dtype, name="x"), fl.placeholder(("n", 3), dtype, name="a"), fl.placeholder(("m", 3), dtype, name="b")
            y, s = smooth.scaled_tanh(x, scale=2.0, rate=0.5), fl.running_sum(x)
            d, (most, place) = pairs.squared_distances(a, b), pairs.row_max(x)
        assert (y.shape, y.dtype, d.shape, place.dtype) == ((4, 3), dtype, ("n", "m"), "int64")
        vx, va, vb = f(4, 3, dtype=dtype), f(5, 3, seed=1, dtype=dtype), f(2, 3, seed=2, dtype=dtype)
        got = fl.Session(g).run([y, s, d, most, place], {x: vx, a: va, b: vb})
        want = [2 * np.tanh(0.5 * vx), np.cumsum(vx, -1), ((va[:, None] - vb) ** 2).sum(-1), vx.max(-1), vx.argmax(-1)]
        for u, v in zip(got, want, strict=True):
            np.testing.assert_allclose(u, v, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_first_and_second_derivatives_agree_with_differences(smooth, pairs):
    with fl.Graph():
        x, b = fl.placeholder((4, 3), "float64", name="x"), fl.placeholder((2, 3), "float64", name="b")
        y = smooth.scaled_tanh(x, scale=2.0, rate=0.5)
        most, place = pairs.row_max(x)
        loss = fl.sum(pairs.squared_distances(y, b) ** 2) + fl.sum(most * fl.cast(place, "float64"))
    feeds = {x: f(4, 3), b: f(2, 3, seed=1)}
    report = fl.check_gradients(loss, [x, b], feeds, each_node=True).raise_on_error()
    assert {"ScaledTanh", "SquaredDistances", "RowMax"} <= set(report.alone)
    fl.check_gradients(fl.sum(y ** 3), [x], feeds, order=2, each_node=True).raise_on_error()
    with pytest.raises(fl.GradientError, match="(squared_distances|row_max)_gradient has no derivative"):
        fl.check_gradients(loss, [x], feeds, order=2)
    with pytest.raises(fl.GradientError, match="running_sum has no derivative.*RunningSum"):
        fl.gradients(fl.running_sum(x), [x])


def test_any_strides_come_right(smooth):
    whole = f(6, 8, seed=3)
    for view in (whole[::2, ::-1], whole.T, whole[:, :0], whole[:0], whole[3], np.broadcast_to(whole[0], (5, 8)), np.float64(0.5)):
        with fl.Graph() as g:
            x = fl.placeholder((None,) * np.ndim(view), "float64", name="x")
            t = fl.transpose(x)     # a view: the kernel sees its strides
            outs = [smooth.scaled_tanh(t)] + ([smooth.running_sum(t)] if np.ndim(view) else [])
        got = fl.Session(g).run(outs, {x: view})
        np.testing.assert_allclose(got[0], np.tanh(np.transpose(view)), rtol=1e-12, strict=True)
        if len(got) > 1:
            np.testing.assert_allclose(got[1], np.cumsum(np.transpose(view), -1), rtol=1e-12, strict=True)


def training(smooth, pairs):
    with fl.Graph("train") as g:
        x = fl.placeholder(("n", 3), "float64", name="x")
        w = fl.variable(f(3, 4, seed=5), name="w")
        a, b = smooth.scaled_tanh(x @ w, scale=1.5), smooth.running_sum(fl.exp(-x) @ fl.stop_gradient(w))
        loss = fl.mean(pairs.squared_distances(a, fl.stop_gradient(b)), name="loss")
        fl.optim.SGD(0.01).minimize(loss, name="train")
    return g


@pytest.mark.parametrize("executor", EXECUTORS)
def test_run_trace_debugger_and_parallel_are_equal_to_the_bit(smooth, pairs, executor):
    g, feeds = training(smooth, pairs), {"x": f(7, 3, seed=9)}
    want = fl.Session(g, seed=0).run(["loss"], feeds)
    sess = fl.Session(g, seed=0, executor=executor)
    np.testing.assert_array_equal(sess.run(["loss"], feeds)[0], want[0])
    np.testing.assert_array_equal(sess.trace(["loss"], feeds).results[0], want[0])
    dbg = fl.Debugger(sess, ["loss"], feeds)
    while dbg.step():
        pass
    np.testing.assert_array_equal(dbg.results[0], want[0])
    sess.run("train", feeds)
    other = fl.Session(g, seed=0)
    other.run("train", feeds)
    np.testing.assert_array_equal(sess.variables["w"], other.variables["w"])


def test_kernels_run_without_pythons_lock(pairs):
    with fl.Graph() as g:
        y = pairs.test_meeting(fl.constant(np.array(3.0)))
    values = []
    threads = [threading.Thread(target=lambda: values.append(float(fl.Session(g).run(y)))) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert values == [3.0, 3.0]


def test_the_lab_offers_and_shows_them(smooth, pairs):
    editor = fl.Editor(training(smooth, pairs))
    assert not editor.diagnostics and editor.document.nodes["ScaledTanh"].op == "ScaledTanh"
    offered = {o.type: o for o in palette().ops}
    assert offered["ScaledTanh"].category == "library" and offered["ScaledTanh"].latex and "ScaledTanhGradient" not in offered


def test_saved_and_read_by_name(smooth, pairs, tmp_path):
    g, feeds = training(smooth, pairs), {"x": f(7, 3, seed=9)}
    fl.save(g, tmp_path / "g.flow.json")
    read = fl.load(tmp_path / "g.flow.json")
    assert read.same_graph(g) and read.node("ScaledTanh").attrs == {"scale": 1.5, "rate": 1.0}
    np.testing.assert_array_equal(fl.Session(read).run("loss", feeds), fl.Session(g).run("loss", feeds))
    assert "smooth.so" not in (tmp_path / "g.flow.json").read_text()


def test_attributes_of_every_kind_arrive(pairs):
    with fl.Graph() as g:
        x = fl.constant(np.zeros(2))
        zeros = [pairs.test_echo(x, i=0, f=f) for f in (0.0, -0.0)]
        y, z = pairs.test_echo(x, i=-7), pairs.test_echo(x, i=2**40, f=2.25, yes=False, greeting="hé", sizes=[])
    for t, said in ((zeros[0], "0|0|yes"), (zeros[1], "0|-0|yes"), (y, "-7|0.5|yes|grüße|4,5,6"), (z, "1099511627776|2.25|no|hé|")):
        with pytest.raises(fl.KernelError) as caught:
            fl.Session(g).run(t)
        assert said in str(caught.value)
    with pytest.raises(fl.AttributeValueError, match="needs i"), g:
        pairs.test_echo(x)


def test_a_kernels_error_names_its_node_and_leaves_the_session_usable(smooth, pairs):
    with fl.Graph() as g:
        x = fl.placeholder((None, None), name="x")
        h = fl.placeholder((3,), "float16", name="h")
        y, most, bad = smooth.running_sum(x, luck=13, name="unlucky"), pairs.row_max(x)[0], smooth.running_sum(h)
    sess = fl.Session(g)
    with pytest.raises(fl.KernelError, match=r"unlucky \(RunningSum\) failed: RuntimeError: thirteen rows of bad luck, naïvely\. Its inputs: x \(2, 3\)") as caught:
        sess.run(y, {x: np.ones((2, 3))})
    assert caught.value.node == "unlucky" and isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(fl.KernelError, match="a row without values"):     # a C++ exception
        sess.run(most, {x: np.ones((2, 0))})
    with pytest.raises(fl.KernelError, match="only float32 and float64"):
        sess.run(bad, {h: np.ones(3)})
    assert sess.run(most, {x: np.ones((2, 3))}).tolist() == [1, 1]


def test_shape_rules_speak_when_the_node_is_made(smooth, pairs):
    with fl.Graph():
        a, b, n = fl.placeholder(("n", 3), name="a"), fl.placeholder((None, 4), name="b"), fl.placeholder((3,), "int64", name="n")
        for make, error, says in ((lambda: pairs.squared_distances(a, b, name="d"), fl.ShapeError, "rows of a have 3 values, rows of b 4"),
                                  (lambda: pairs.row_max(fl.sum(a)), fl.ShapeError, "x has 0 axes"),
                                  (lambda: smooth.scaled_tanh(a, scale=0.0), fl.AttributeValueError, "nothing comes through"),
                                  (lambda: smooth.scaled_tanh(a, scales=1.0), fl.AttributeValueError, "Did you mean scale"),
                                  (lambda: REGISTRY["ScaledTanh"].node(n == n), fl.DTypeError, "takes floats"),
                                  (lambda: pairs.test_mad_rule(a, how=1), fl.ShapeError, "99 axes"), (lambda: pairs.test_mad_rule(a, how=2), fl.ShapeError, "dtype 77"),
                                  (lambda: pairs.test_mad_rule(a, how=3), fl.ShapeError, "the size -9"), (lambda: pairs.test_mad_rule(a, how=4), fl.ShapeError, "status 42")):
            with pytest.raises(error, match=says):
                make()
        vague = pairs.test_mad_rule(a, how=0)
    with pytest.raises(fl.KernelError, match=r"leaves out as \(\?,\)"):
        fl.Session(vague.graph).run(vague, {a: np.ones((2, 3))})


def test_a_library_is_loaded_once_and_says_what_it_holds(smooth):
    assert fl.load_op_library(smooth.path) is smooth
    assert repr(smooth) == "OpLibrary 'smooth' 1.0: ScaledTanh, ScaledTanhGradient, ScaledTanhSecond, RunningSum"
    assert smooth.ops["ScaledTanh"] is REGISTRY["ScaledTanh"] and fl.scaled_tanh is smooth.scaled_tanh
    assert [o.listed for o in smooth.ops.values()] == [True, False, False, True]      # the palette offers no gradients
    assert smooth.scaled_tanh.__doc__ == "Squash x between -scale and scale."
    with pytest.raises(AttributeError, match="no operation 'nobody'"):
        _ = smooth.nobody


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(("wrong", "says"), [
    (1, "exports no function flowlab_abi_version"), (2, "version 99 of the interface, and this flowlab has version 1"), (3, "returned NULL"), (4, "has version 1 and [0-9]+ bytes, not 1 and"),
    (5, "another stride"), (6, "TestBroken has no kernel"), (7, "number 0 has the name 'lower case'"), (8, "TestBroken is declared twice"),
    (9, "names Nobody as its gradient"), (10, "has the gradient TestOther, which takes 1 input and gives 1 output, not 3 and 1"), (11, "input x the kind 77"),
    (12, "attribute rate the kind 2 and a default of kind 1"), (13, "flags 0x80"), (14, "Relu has the name of an operation that is registered"),
    (15, "would be the function matmul"), (23, "would be the function gradients"), (16, "declares 0 operations"), (17, "declares 1 inputs, and their table is NULL"), (18, "output 0 'a b'"),
    (19, "declares -1 input"), (20, "attribute rate the kind 9"), (21, "one name"), (22, "neither inputs nor a shape rule"),
])
def test_a_library_that_is_wrong_is_refused_with_its_reason(wrong, says, tmp_path):
    before = set(REGISTRY)
    with pytest.raises(fl.FlowError, match=says) as caught:
        fl.load_op_library(compiled("broken.c", tmp_path / "libbroken.so", f"-DWRONG={wrong}"))
    assert type(caught.value).__name__ == "OpLibraryError" and "libbroken.so" in str(caught.value)
    assert set(REGISTRY) == before


def test_cpp_names_that_are_not_extern_c_are_told_of(tmp_path):
    (tmp_path / "mangled.cpp").write_text("int flowlab_abi_version() { return 1; }\n")
    library = tmp_path / "libmangled.so"
    subprocess.run([compiler("g++"), "-shared", "-fPIC", str(tmp_path / "mangled.cpp"), "-o", str(library)], check=True)
    with pytest.raises(fl.FlowError, match='extern "C"'):
        fl.load_op_library(library)


def test_what_is_no_library_is_refused(tmp_path):
    (tmp_path / "text.so").write_text("not a library")
    for path, says in ((tmp_path / "text.so", "cannot be loaded"), (tmp_path / "nobody.so", "there is no file"), (tmp_path, "there is no file"), ("libm.so.6", "there is no file")):
        with pytest.raises(fl.FlowError, match=says):
            fl.load_op_library(path)


def test_a_graph_file_never_loads_a_library(tmp_path, monkeypatch):
    witness = tmp_path / "it-was-loaded"
    library = compiled("broken.c", tmp_path / "libwitness.so", "-DWRONG=0", f'-DWITNESS="{witness}"')
    monkeypatch.chdir(tmp_path)
    node = '{"id": 0, "name": "t", "op": "%s"%s}'
    plain = '{"flowlab": 1, "nodes": [%s]%s}'
    for text in (plain % (node % ("TestBroken", ""), ""), plain % (node % (library, ""), ""), plain % (node % ("./libwitness.so:TestBroken", ""), ""),
                 plain % (node % ("TestBroken", ', "library": "libwitness.so"'), ""), plain % (node % ("TestBroken", ""), ', "libraries": ["libwitness.so"]'),
                 plain % (node % ("TestBroken", ', "attrs": {"library": "libwitness.so"}'), "")):
        (tmp_path / "g.flow.json").write_text(text)
        with pytest.raises(fl.DocumentError):
            fl.load(tmp_path / "g.flow.json")
    assert fl.Editor(from_text(plain % (node % ("TestBroken", ""), ""))).diagnostics     # an unknown operation, in the lab too
    assert not witness.exists()
    fl.load_op_library(library)         # the call of a person does load it
    assert witness.exists()
    for name in ("TestBroken", "TestOther"):
        del REGISTRY[name]


def test_on_another_device_inputs_come_to_the_host_and_outputs_go_back(smooth, pairs):
    with fl.Graph() as g:
        x = fl.placeholder((4, 3), "float64", name="x")
        nodes = [smooth.running_sum(x).node, pairs.row_max(x)[0].node]
    value = f(4, 3)
    for node in nodes:
        got = kernel_of(node, STRICT)(Array(value))
        got = got if isinstance(got, tuple) else (got,)
        assert all(isinstance(v, Array) for v in got)
        for a, b in zip(got, fl.Session(g).run(list(node.outputs), {x: value}), strict=True):
            np.testing.assert_array_equal(a._array, b)


def test_a_library_that_was_built_anew_takes_the_earlier_ones_place_where_a_person_types(tmp_path, monkeypatch):
    source = (HERE / "smooth.c").read_text(encoding="utf-8").replace('"ScaledTanh', '"BuiltAnew').replace('"RunningSum"', '"OnlyAtFirst"').replace('"smooth", "1.0"', '"anew", "1.0"')
    paths = []
    for k, text in enumerate((source, source.replace("(real)(scale * tanh", "(real)(2 * scale * tanh").replace('"OnlyAtFirst"', '"OnlyLater"'))):
        (tmp_path / f"{k}.c").write_text(text, encoding="utf-8")
        paths.append(compiled(tmp_path / f"{k}.c", tmp_path / f"lib{k}.so"))
    monkeypatch.delattr(sys, "ps1", raising=False)
    first = fl.load_op_library(paths[0])
    try:
        with pytest.raises(fl.OpLibraryError, match="registered already"):
            fl.load_op_library(paths[1])
        with fl.Graph() as g:
            x = fl.placeholder((), "float64", name="x")
            old = fl.built_anew(x, name="old")
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
        second = fl.load_op_library(paths[1])
        assert "OnlyLater" in REGISTRY and "OnlyAtFirst" not in REGISTRY and REGISTRY["BuiltAnew"] is second.ops["BuiltAnew"]
        with g:
            new = fl.built_anew(x, name="new")
        before, after = fl.Session(g).run([old, new], {x: 0.5})
        np.testing.assert_allclose([before, after], [np.tanh(0.5), 2 * np.tanh(0.5)], rtol=1e-12)
        assert fl.load_op_library(paths[0]) is first and REGISTRY["BuiltAnew"] is first.ops["BuiltAnew"] and "OnlyLater" not in REGISTRY
        REGISTRY["OnlyLater"] = other = REGISTRY["Relu"]       # somebody else's by now
        with pytest.raises(fl.OpLibraryError, match="OnlyLater was registered meanwhile"):
            fl.load_op_library(paths[1])
        assert REGISTRY["OnlyLater"] is other and REGISTRY["BuiltAnew"] is first.ops["BuiltAnew"]
    finally:
        for name in [n for n, o in REGISTRY.items() if n.startswith(("BuiltAnew", "OnlyAtFirst", "OnlyLater"))]:
            del REGISTRY[name]
        for path in paths:
            _LOADED.pop(str(path), None)
