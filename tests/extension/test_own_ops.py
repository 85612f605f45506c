"""Operations of one's own in Python: refused with a reason when they are declared wrongly, and held to what they declare."""
# ruff: noqa: F821  (a kernel's annotations name kinds of input)
from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY


@pytest.fixture(autouse=True)
def nothing_stays_registered():
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def run(build, *feeds):
    with fl.Graph() as g:
        xs = [fl.placeholder(np.shape(v), np.asarray(v).dtype, name=f"x{k}") for k, v in enumerate(feeds)]
        y = build(*xs)
    return fl.Session(g).run(y, dict(zip(xs, feeds)))


# ---------------------------------------------------------------- what works


def test_an_op_of_ones_own_is_like_any_other(tmp_path):
    @fl.op
    def own_cube(xp, x):
        """Multiply x by itself, twice."""
        return x * x * x

    @own_cube.gradient
    def _(node, g):
        return g * 3.0 * node.inputs[0] ** 2        # of one input, so no tuple is needed

    with fl.Graph("own") as g:
        x = fl.placeholder(("n", 3), "float64", name="x")
        y = fl.sum(own_cube(x, name="c"), name="y")
    assert fl.own_cube is own_cube and g.node("c").op.name == "OwnCube" and own_cube.__doc__ == "Multiply x by itself, twice."
    feeds = {"x": np.random.default_rng(0).normal(size=(4, 3))}
    assert fl.check_gradients(y, [x], feeds, order=2, each_node=True).ok
    fl.save(g, tmp_path / "g.flow.json")
    np.testing.assert_array_equal(fl.Session(fl.load(tmp_path / "g.flow.json")).run("y", feeds), (feeds["x"] ** 3).sum())


def test_optional_variadic_several_outputs_attributes_and_randomness():
    def two(x, y=None, *, ports, word, axis):
        return x, fl.TensorType(x.shape[:-1], np.dtype("int64"))

    @fl.op(infer=two, outputs=("rest", "place"), choices={"how": ("most", "least")})
    def own_pick(xp, x: Float, y: Float = None, *, how: Choice = "most", axis: int | None = None):
        return x - (0 if y is None else y), (xp.argmax if how == "most" else xp.argmin)(x, axis=-1)
    own_pick.rule = lambda x, y=None, *, ports=(), word="", how="", axis=None: two(x, y, ports=ports, word=word, axis=axis)

    @fl.op(infer=lambda *xs, **_: xs[0])
    def own_total(xp, *xs, scale: float = 1.0):
        return sum(xs) * xp.asarray(scale, xs[0].dtype)

    @fl.op
    def own_noise(xp, x, *, key):
        return key.normal(size=x.shape).astype(x.dtype)
    assert own_noise.random and "key" not in own_noise.attrs

    rest, place = run(lambda x: list(own_pick(x)), np.array([[1.0, 3.0]]))
    assert rest.tolist() == [[1, 3]] and place.tolist() == [1]
    rest, place = run(lambda x, y: list(own_pick(x, y, how="least")), np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]))
    assert rest.tolist() == [[0, 2]] and place.tolist() == [0]
    assert run(lambda a, b, c: own_total([a, b, c], scale=2.0), 1.0, 2.0, 3.0) == 12
    noise = run(own_noise, np.zeros(5))
    np.testing.assert_array_equal(noise, run(own_noise, np.zeros(5)))
    assert noise.std() > 0


# ---------------------------------------------------------------- declarations that are refused


def no_xp(x): ...
def with_np(np, x): ...
def bare_attr(xp, x, *, rate=1.0): ...
def odd_attr(xp, x, *, rate: complex = 1.0): ...
def input_with_default(xp, x, rate=1.0): ...
def odd_input(xp, x: Flaot): ...
def keywords(xp, x, **rest): ...
def bad_default(xp, x, *, times: int = 1.5): ...
def choice(xp, x, *, how: Choice = "a"): ...
def fine(xp, x): ...


@pytest.mark.parametrize(("kernel", "options", "says"), [
    (no_xp, {}, "no_xp: its kernel's first parameter is x, not xp"), (with_np, {}, "first parameter is np, not xp"), (lambda xp, x: x, {}, "'<lambda>' cannot be the name"),
    (bare_attr, {}, "its attribute rate has no annotation. Write rate: float"), (odd_attr, {}, "attribute rate is annotated 'complex'"),
    (input_with_default, {}, "input rate has the default 1.0.*star"), (odd_input, {}, 'input x is annotated \'Flaot\'.*Use "Float"'), (keywords, {}, r"takes \*\*rest"),
    (bad_default, {}, "the default of its attribute times: 1.5 is not a whole number"), (choice, {}, "nothing says of what"),
    (fine, {"outputs": "y"}, "its outputs are 'y'"), (fine, {"outputs": ("y", "y")}, "outputs are"), (fine, {"infer": 3}, "its shape rule is 3"),
    (fine, {"categroy": "x"}, "takes no categroy. Did you mean category"), (3, {}, "not a Python function"), (fine, {"type": "Relu"}, "an op named Relu is already registered"),
    (fine, {"function": "matmul"}, "the function matmul is the operation MatMul already"),
])
def test_a_wrong_declaration_is_refused_with_its_reason(kernel, options, says):
    before = set(REGISTRY)
    with pytest.raises(fl.AttributeValueError, match=says):
        fl.op(**options)(kernel)
    assert set(REGISTRY) == before


def test_a_second_op_of_a_name_is_refused():
    def make():
        @fl.op
        def own_twice(xp, x):
            return x
    make()
    with pytest.raises(fl.AttributeValueError, match="an op named OwnTwice is already registered"):
        make()


CELL = """
import sys
if {typed}: sys.ps1 = ">>> "
import flowlab as fl
cell = '''
@fl.op
def own_cell(xp, x):
    return x * {factor}
'''
exec(cell.format(factor=1))
exec(cell.format(factor=3))
with fl.Graph() as g:
    y = own_cell(fl.constant(2.0))
print(float(fl.Session(g).run(y)))
"""


def test_a_cell_may_be_run_twice_and_a_script_may_not_name_two_ops_alike():
    def ran(typed):
        return subprocess.run([sys.executable, "-c", CELL.replace("{typed}", str(typed))], capture_output=True, text=True)
    assert ran(True).stdout == "6.0\n", ran(True).stderr
    assert "an op named OwnCell is already registered" in ran(False).stderr


def test_a_reloaded_module_declares_its_ops_again(tmp_path, monkeypatch):
    import importlib
    (tmp_path / "own_module.py").write_text("import flowlab as fl\n\n@fl.op\ndef own_reloaded(xp, x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("own_module")
    first = module.own_reloaded
    assert importlib.reload(module).own_reloaded is not first and REGISTRY["OwnReloaded"] is module.own_reloaded


# ---------------------------------------------------------------- what a kernel returns


@pytest.mark.parametrize(("returned", "says"), [
    (lambda x: x.sum(), r"its output out is declared \(2, 3\) for these inputs, and the kernel returned \(\)"),
    (lambda x: x.T, r"declared \(2, 3\) for these inputs, and the kernel returned \(3, 2\)"),
    (lambda x: x.astype("float64"), r"declared float32\[2, 3\], and the kernel returned float64: add \.astype"),
    (lambda x: x > 0, "the kernel returned bool"), (lambda x: None, "returned nothing: no array"), (lambda x: 1.5, "returned a float: no array"),
    (lambda x: [x], "returned a list: no array"), (lambda x: (x, x), r"declares 1 output \(out\), and the kernel returned 2"),
])
def test_what_a_kernel_returns_is_held_to_what_is_declared(returned, says):
    @fl.op
    def own_wrong(xp, x):
        return returned(x)

    with fl.Graph() as g:
        x = fl.placeholder(("n", None), name="x")
        y = own_wrong(x, name="here")
    sess = fl.Session(g)
    value = np.ones((2, 3), "float32")
    for go in (lambda: sess.run(y, {x: value}), lambda: sess.trace(y, {x: value}), lambda: fl.Debugger(sess, y, {x: value}).step()):
        with pytest.raises(fl.KernelError, match=rf"here \(OwnWrong\) failed: .*{says}") as caught:
            go()
        assert caught.value.node == "here" and caught.value.__cause__ is not None


def test_a_kernel_cannot_write_to_its_inputs():
    @fl.op
    def own_greedy(xp, x, y=None):
        x *= 2
        return x

    @fl.op
    def own_through(xp, x, y=None):
        return x if y is None else y[::-1]

    with fl.Graph() as g:
        x = fl.placeholder((3,), "float64", name="x")
        m = fl.exp(x)
        y, bad = fl.relu(own_through(x, own_through(m)) - 1.0) + m, own_greedy(m, name="here")
    sess, value = fl.Session(g), np.array([0.5, -1.0, 2.0])
    with pytest.raises(fl.KernelError, match="here.*read-only"):
        sess.run(bad, {x: value})
    for _ in range(5):      # the plan is cut to shapes on the way
        got = sess.run(y, {x: value})
        np.testing.assert_array_equal(got, np.maximum(np.exp(value)[::-1] - 1, 0) + np.exp(value))
        got[:] = 7          # the caller's own
    assert value.tolist() == [0.5, -1, 2]
    with g:
        direct = own_through(x)
    got = sess.run(direct, {x: value})
    got[:] = 9
    assert value.tolist() == [0.5, -1, 2]


def test_several_outputs_and_a_backends_own_kernel_are_held_too():
    @fl.op(infer=lambda x, **_: (x, x), outputs=("a", "b"))
    def own_pair(xp, x):
        return x

    @own_pair.kernel("numpy")
    def _(xp, x):
        return x, x[:1]

    with pytest.raises(fl.KernelError, match=r"its output b is declared \(4,\) for these inputs, and the kernel returned \(1,\)"):
        run(lambda x: own_pair(x)[0], np.ones(4))
    own_pair.kernels.clear()
    with pytest.raises(fl.KernelError, match=r"it declares 2 outputs \(a, b\), and the kernel returned a ndarray"):
        run(lambda x: own_pair(x)[0], np.ones(4))


def test_a_shape_rule_is_asked_again_with_the_sizes_of_the_run():
    def square(x, *, word="", **_):
        if len(set(x.shape)) > 1 and all(isinstance(d, int) for d in x.shape):
            raise fl.ShapeError(f"{word}: {x.shape} is no square.")
        return x

    @fl.op(infer=square)
    def own_square(xp, x):
        return x
    with fl.Graph() as g:
        x = fl.placeholder((None, None), name="x")
        y = own_square(x)
        with pytest.raises(fl.ShapeError, match="is no square"):
            own_square(fl.zeros((2, 3)))
    with pytest.raises(fl.KernelError, match=r"OwnSquare.*own_square: \(2, 3\) is no square"):
        fl.Session(g).run(y, {x: np.ones((2, 3))})


@pytest.mark.parametrize("rule", [lambda x, **_: x.shape, lambda x, **_: None, lambda x, **_: (x, x), lambda x, **_: x.nobody, lambda: None])
def test_a_shape_rule_that_returns_no_type_is_told_of(rule):
    @fl.op(infer=rule)
    def own_shapeless(xp, x):
        return x
    with fl.Graph():
        with pytest.raises(fl.ShapeError, match="own_shapeless: its shape rule") as caught:
            own_shapeless(fl.placeholder((2, 3)), name="here")
    assert caught.value.node == "here"


# ---------------------------------------------------------------- what a gradient returns


@pytest.mark.parametrize(("back", "says", "port"), [
    (lambda g: (g,), "returns 1 derivative for 2 inputs", None), (lambda g: g, "returns a Tensor for 2 inputs", None), (lambda g: None, "returns a NoneType for 2 inputs", None),
    (lambda g: (g, fl.sum(g)), r"returns float32 \(\) for b, which is float32 \(3,\)", "b"), (lambda g: (fl.cast(g, "float64"), g), r"returns float64 \(3,\) for a", "a"),
    (lambda g: (g, 1.0), "returns a float for b", "b"), (lambda g: (g, lambda: fl.expand_dims(g, 0)), r"returns float32 \(1, 3\) for b", "b"),
])
def test_a_gradient_that_does_not_fit_is_refused(back, says, port):
    @fl.op
    def own_sum(xp, a, b):
        return a + b
    own_sum.gradient(lambda node, g: back(g))
    with fl.Graph():
        a, b = fl.placeholder((3,), name="a"), fl.placeholder((3,), name="b")
        y = own_sum(a, b, name="here")
        with pytest.raises(fl.GradientError, match=f"the gradient of own_sum {says}") as caught:
            fl.gradients(y, [a, b])
    assert caught.value.node == "here" and caught.value.port == port


def test_an_op_without_a_gradient_names_the_way():
    @fl.op
    def own_flat(xp, x):
        return x
    with fl.Graph():
        x = fl.placeholder((3,), name="x")
        y = fl.sum(fl.exp(own_flat(fl.sin(x), name="here")), name="y")
        with pytest.raises(fl.GradientError, match="own_flat has no derivative, and y:0 depends on x:0 through here: here → Exp → y") as caught:
            fl.gradients(y, [x])
    assert caught.value.node == "here"
