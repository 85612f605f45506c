"""Scripts of NumPy alone, run in an interpreter that has no flowlab, give what a session gives."""
from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY
from tests.ops.cases import CASES
from tests.random_loops import random_graph

DRIVER = """
import json, runpy, sys
sys.modules["flowlab"] = None                   # whoever imports it gets an ImportError
import numpy as np
for folder in json.loads(sys.stdin.read()):
    made = runpy.run_path(f"{folder}/script.py")
    try:
        out = made["compute"](made["WEIGHTS"], **np.load(f"{folder}/feeds.npz"))
    except Exception as error:
        out = {"error": np.array(f"{type(error).__name__}: {error}")}
    np.savez(f"{folder}/results.npz", **{f"r{k}": v for k, v in enumerate(out.values()) if v is not None})
"""


def run_all(folders):
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", DRIVER], input=json.dumps([str(f) for f in folders]), cwd=folders[0], env={"PATH": "", "OPENBLAS_NUM_THREADS": "1"}, text=True, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    return [list(np.load(f / "results.npz").values()) for f in folders]


def put(folder: Path, script: str, feeds) -> Path:
    folder.mkdir(parents=True)
    (folder / "script.py").write_text(script, encoding="utf-8")
    np.savez(folder / "feeds.npz", **feeds)
    return folder


def same(tmp_path, g, fetches, feeds, sess=None, **options):
    """What the script gives equals what the session gives."""
    sess = sess or fl.Session(g)
    script = fl.to_numpy(g, fetches, sess, **options)
    got, = run_all([put(tmp_path / "one", script, feeds)])
    want = sess.run(fetches, feeds)
    for a, b in zip(got, want.values() if isinstance(want, dict) else want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7, strict=True)
    return script


def some(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# ---------------------------------------------------------------- operation by operation


def graph_of(case):
    with fl.Graph(case.type) as g:
        made = [None if x is None else fl.placeholder(x.shape, x.dtype, name=f"in{k}") for k, x in enumerate(case.inputs)]
        outputs = case.build(made, name="it")
        floats = [y for y in outputs if y.dtype.kind == "f"]
        ds = fl.gradients(floats, [made[k] for k in case.targets], unconnected="zero") if case.targets and floats else []
    return g, [*outputs, *ds], {p.node.name: x for p, x in zip(made, case.inputs) if p is not None}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the script of every row gives, forward and back, and what a session gives: one interpreter runs all scripts."""
    root = tmp_path_factory.mktemp("scripts")
    folders, want = [], []
    for k, case in enumerate(CASES):
        g, fetches, feeds = graph_of(case)
        folders.append(put(root / str(k), fl.to_numpy(g, fetches), feeds))
        with np.errstate(all="ignore"):
            want.append(fl.Session(g).run(fetches, feeds))
    return {c.id: pair for c, *pair in zip(CASES, run_all(folders), want)}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_every_row_and_its_gradient_give_the_same_numbers(case, results):
    got, want = results[case.id]
    assert "U" not in {a.dtype.kind for a in got}, got
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13, strict=True)


# ---------------------------------------------------------------- whole graphs


def imports(script):
    tree = ast.parse(script)
    return {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names} | {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}


def test_an_lstm_with_its_gradients(tmp_path):
    with fl.Graph("reader") as g:
        x, labels = fl.placeholder(("batch", 7, 3), name="x"), fl.placeholder(("batch",), "int64", name="labels")
        out, (h, _) = fl.nn.lstm(x, 5, name="lstm")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(h, 4, name="out"), labels), name="loss")
        grads = fl.gradients(loss, g.trainable_variables)
    script = same(tmp_path, g, [out, loss, *grads], {"x": some(2, 7, 3), "labels": np.array([1, 3])})
    assert imports(script) <= {"numpy", "math", "sys"} and "out_kernel = weights['out/kernel']" in script and "# out/MatMul" in script


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_with_its_gradients(tmp_path, reverse):
    with fl.Graph() as g:
        x, n = fl.placeholder(("batch", "time", 3), name="x"), fl.placeholder(("batch",), "int64", name="n")
        w, u = fl.variable(some(3, 4), name="w"), fl.variable(some(4, 4, seed=1), name="u")
        with fl.scan(x, time_axis=1, lengths=n, reverse=reverse, name="rnn") as step:
            h = step.state("h", size=4)
            new = fl.tanh(step.input @ w + h @ u)
            step.update(h, new)
            step.output(new)
        loss = fl.mean(step.outputs[0] ** 2) + fl.sum(step.states["h"])
        grads = fl.gradients(loss, [w, u, x])
    same(tmp_path, g, [*step.outputs, step.states["h"], step.over_time(h), loss, *grads], {"x": some(2, 5, 3), "n": np.array([5, 2])})


def test_a_loop_over_nothing_gives_nothing(tmp_path):
    with fl.Graph() as g:
        x = fl.placeholder(("time", 3), name="x")
        with fl.scan(x, name="sums") as step:
            h = step.state("h", init=np.ones(3, "float32"))
            step.update(h, h + step.input)
            step.output(h * 2.0)
    same(tmp_path, g, [step.outputs[0], step.states["h"]], {"x": some(0, 3)})


def test_what_a_loop_over_nothing_gives_has_the_sizes_of_its_inputs(tmp_path):
    with fl.Graph() as g:
        x = fl.placeholder(("batch", "time", 3), name="x")
        with fl.scan(x, time_axis=1, name="rnn") as step:
            h = step.state("h", size=4)
            step.update(h, fl.tanh(h + fl.sum(step.input, axis=1, keepdims=True)))
            step.output(h)
    same(tmp_path, g, [step.outputs[0], step.states["h"]], {"x": some(2, 0, 3)})


@pytest.mark.parametrize("sign", [1, -1])
def test_branches_and_loops_with_their_gradients(tmp_path, sign):
    with fl.Graph() as g:
        x, k = fl.placeholder((3,), name="x"), fl.variable(2.0, name="k")
        y = fl.cond(fl.sum(x) > 0, lambda: [fl.exp(x) * k, x], lambda: [-x, x * 2], name="root")
        r, i = fl.while_loop(lambda r, i: fl.sum(r) < 100.0, lambda r, i: (r * k + 1.0, i + 1), [fl.abs(x), fl.constant(0)], name="grow", maximum=40)
        grads = fl.gradients(fl.sum(y[0] * y[1]) + fl.sum(r), [x, k])
    same(tmp_path, g, [*y, r, i, *grads], {"x": np.array([1, 2, 0.5], "float32") * sign})


def test_training_in_a_script_ends_where_a_session_ends(tmp_path):
    with fl.Graph("line") as g:
        x, y = fl.placeholder((None, 3), name="x"), fl.placeholder((None, 1), name="y")
        loss = fl.mean((fl.nn.dense(x, 1, name="out") - y) ** 2, name="loss")
        fl.optim.Adam(0.05).minimize(loss, name="train")
    sess = fl.Session(g)
    feeds = {"x": some(8, 3), "y": some(8, 1, seed=1)}
    script = fl.to_numpy(g, [loss, "train"], sess)
    space = {"__name__": "script"}
    exec(compile(script, "script", "exec"), space)
    for _ in range(5):
        ours, want = space["compute"](space["WEIGHTS"], **feeds), sess.run([loss, "train"], feeds)
        np.testing.assert_allclose(ours["loss"], want[0], rtol=1e-5)
        assert ours["train"] is None
    np.testing.assert_allclose(space["WEIGHTS"]["out/kernel"], sess.variables["out/kernel"], rtol=1e-5)


def test_random_draws_are_those_of_the_first_run(tmp_path):
    with fl.Graph() as g:
        x = fl.placeholder((4, 3), name="x")
        with fl.scan(x, name="walk") as step:
            at = step.state("at", init=np.zeros(3, "float32"))
            new = at + fl.dropout(step.input, rate=0.3) + fl.cond(fl.sum(at) > 0, lambda: fl.random_normal((3,)), lambda: fl.random_uniform((3,)))
            step.update(at, new)
            step.output(new)
        noise = fl.random_normal((2,))
        late = fl.dropout(x)
    same(tmp_path, g, [*step.outputs, noise, late], {"x": some(4, 3)})


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_with_loops_gradients_and_updates_run_and_train_the_same(seed):
    g, fetches, feeds = random_graph(seed)
    sess, space = fl.Session(g), {"__name__": "script"}
    exec(compile(fl.to_numpy(g, fetches, sess), "script", "exec"), space)
    for k in range(2):
        got = space["compute"](space["WEIGHTS"], **feeds, **({"run": k} if "run" in inspect.signature(space["compute"]).parameters else {}))
        for a, b in zip(got.values(), sess.run(fetches, feeds), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_weights_beside_the_script(tmp_path):
    with fl.Graph("net") as g:
        x = fl.placeholder((None, 3), name="x")
        y = fl.nn.dense(x, 4, name="out")
    sess, folder = fl.Session(g, seed=2), tmp_path / "beside"
    folder.mkdir()
    (folder / "net.py").write_text(fl.to_numpy(g, {"y": y}, sess, weights=folder / "net.npz"))
    np.savez(folder / "feeds.npz", x=some(2, 3))
    ran = subprocess.run([sys.executable, "-I", str(folder / "net.py"), str(folder / "feeds.npz"), str(folder / "out.npz")], cwd=tmp_path, text=True, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    np.testing.assert_allclose(np.load(folder / "out.npz")["y"], sess.run(y, {"x": some(2, 3)}), rtol=1e-6)


def test_hostile_names_stay_names():
    with fl.Graph('g"""\nimport os') as g:
        x = fl.placeholder((2,), name="lambda")
        y = fl.exp(x, name="np")
        z = fl.negative(y, name='a"""b\\')
        w = fl.variable(some(2), name="compute")
    script = fl.to_numpy(g, {"it's": z + w}, fl.Session(g))
    space = {"__name__": "script"}
    exec(compile(script, "script", "exec"), space)
    np.testing.assert_allclose(space["compute"](space["WEIGHTS"], some(2))["it's"], some(2) - np.exp(some(2)), rtol=1e-6)


TABLE = [1.0, 2.0, object()]


def test_a_kernel_of_ones_own_goes_along_with_what_it_uses():
    scale, names = 3, {"a": 2.0}

    @fl.op
    def stretched(xp, x, *, by: float = 1.0):
        """Stretch."""
        return helper(xp, x) * (by * scale * names["a"])

    @fl.op
    def looked_up(xp, x):
        return x * TABLE[0]
    try:
        with fl.Graph() as g:
            x = fl.placeholder((3,), name="x")
            y, z = stretched(x, by=0.5, name="y"), looked_up(x, name="z")
        space = {"__name__": "script"}
        exec(compile(fl.to_numpy(g, y), "script", "exec"), space)
        np.testing.assert_array_equal(space["compute"]({}, some(3))["y"], np.abs(some(3)) * 3)
        with pytest.raises(fl.FlowError, match=r"z \(LookedUp\): its kernel uses TABLE, a list"):
            fl.to_numpy(g, z)
    finally:
        del REGISTRY[stretched.name], REGISTRY[looked_up.name]


def helper(xp, x):
    return xp.absolute(x)


def test_what_has_no_python_source_is_told_of():
    namespace = {"fl": fl, "__name__": "notebook"}
    exec("@fl.op\ndef made_of_text(xp, x):\n    return x", namespace)
    try:
        with fl.Graph() as g:
            y = namespace["made_of_text"](fl.placeholder((2,), name="x"), name="y")
        with pytest.raises(fl.FlowError, match=r"y \(MadeOfText\): made_of_text has no Python source") as error:
            fl.to_numpy(g, y)
        assert error.value.node == "y" and error.value.hint
    finally:
        del REGISTRY["MadeOfText"]
    with pytest.raises(fl.FlowError, match="no weights to write without a session"):
        with fl.Graph() as g:
            fl.variable(some(2), name="w")
        fl.to_numpy(g, "w", weights="w.npz")


@pytest.mark.parametrize("name", ["range", "float", "ArithmeticError", "dict", "map", "round_op", "erf"])
def test_names_that_the_script_needs_itself_stay_free(name):
    with fl.Graph() as g:
        held = fl.relu(fl.placeholder((4, 3), name="x"), name=name)
        with fl.scan(held, time_axis=0, name="loop") as step:
            h = step.state("h", init=fl.constant(np.zeros(3, "float32")))
            step.update(h, fl.clip(h + fl.erf(step.input), min=-float("inf"), max=9.0))
            step.output(h + step.input)
        total = fl.sum(step.outputs[0], name="total")
        fine = fl.any(fl.greater(fl.round(held), 0.0), name="fine")
    x, space = some(4, 3), {"__name__": "script"}
    exec(compile(fl.to_numpy(g, [total, fine]), "script", "exec"), space)
    assert callable(space["any_op"]) and not {"any", "round"} & set(space)
    for a, b in zip(space["compute"]({}, x).values(), fl.Session(g).run([total, fine], {"x": x}), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("name", ["a\0b", "a\r\nb", "\ud800", 'a"""\nimport os\n"""', "\\"])
def test_any_text_is_a_title_a_key_and_a_size(name):
    with fl.Graph(name) as g:
        fl.relu(fl.placeholder((2,), name="x"), name="y")
    x, space = some(2), {"__name__": "script"}
    script = fl.to_numpy(g, {name: "y"})
    exec(compile(script.encode(), "script", "exec"), space)
    assert list(space["compute"]({}, x)) == [name] and [type(n).__name__ for n in ast.parse(script).body].count("FunctionDef") == 1
