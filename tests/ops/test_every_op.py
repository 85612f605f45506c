"""Every registered op, through every check. The rows stand in cases.py."""
from __future__ import annotations

import functools
import itertools
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY
from flowlab.io.build import build
from flowlab.io.document import document_of, from_text
from flowlab.runtime.plan import kernel_of
from tests.ops.cases import CASES, OWN, Case

ROOT = Path(__file__).parents[2]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
with_gradient = pytest.mark.parametrize("case", [c for c in CASES if c.targets], ids=lambda c: c.id)
smooth = pytest.mark.parametrize("case", [c for c in CASES if c.targets and c.smooth], ids=lambda c: c.id)
BUILT_IN = [name for name, op in REGISTRY.items() if op.kernel_function.__module__.startswith("flowlab.")]


def given(case: Case) -> list[np.ndarray]:
    return [x for x in case.inputs if x is not None]


def graph_of(case: Case, arrays=None, shapes=None):
    """The op over placeholders: (graph, placeholders, outputs)."""
    arrays = case.inputs if arrays is None else arrays
    with fl.Graph("case") as g:
        made = [None if x is None else fl.placeholder(x.shape if shapes is None else shapes[k], x.dtype, name=f"in{k}") for k, x in enumerate(arrays)]
        outputs = case.build(made, name="it")
    return g, [p for p in made if p is not None], outputs


def run(case: Case, arrays=None):
    arrays = case.inputs if arrays is None else arrays
    g, placeholders, outputs = graph_of(case, arrays)
    return fl.Session(g).run(outputs, dict(zip(placeholders, (a for a in arrays if a is not None))))


def unknown(case: Case, which: str) -> list[tuple]:
    """The inputs' shapes with every size but 1 unknown, by turns with a name (one name a size) and without; or so every other input alone."""
    def hidden(k, axis, d):
        return d if d == 1 or (which == "even" and k % 2) or (which == "odd" and not k % 2) else f"n{d}" if (k + axis) % 3 else None
    return [() if x is None else tuple(hidden(k, axis, d) for axis, d in enumerate(x.shape)) for k, x in enumerate(case.inputs)]


def fits(tensor, value) -> bool:
    """Is the value what the type rule foretold? A size that shows only when it runs has no number before."""
    return tensor.dtype == value.dtype and len(tensor.shape) == value.ndim and all(d is None or d == size for d, size in zip(tensor.shape, value.shape))


def assert_same_bits(got, want):
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert a.tobytes() == b.tobytes()


def test_every_registered_op_has_a_row():
    rows = {c.type for c in CASES}
    assert set(BUILT_IN) == rows | set(OWN), "give the new op a row in tests/ops/cases.py"
    for name, module in OWN.items():
        assert name in (ROOT / module).read_text(), f"{module} says nothing of {name}"


@every_case
def test_value_is_what_the_oracle_says(case):
    for got, want in zip(run(case), jax_says(case)[0] if case.targets else case.expected(*case.inputs), strict=True):
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-11, atol=1e-12, strict=True)


@every_case
def test_type_rule_foretells_the_kernels_output(case):
    _, _, outputs = graph_of(case)
    for tensor, value in zip(outputs, run(case), strict=True):
        assert fits(tensor, value)


@pytest.mark.parametrize("which", ["all", "even", "odd"])
@pytest.mark.parametrize("case", [c for c in CASES if c.named], ids=lambda c: c.id)
def test_type_rule_holds_with_unknown_sizes(case, which):
    g, placeholders, outputs = graph_of(case, shapes=unknown(case, which))
    sizes = {}
    for tensor, value in zip(outputs, fl.Session(g).run(outputs, dict(zip(placeholders, given(case)))), strict=True):
        assert len(tensor.shape) == value.ndim and tensor.dtype == value.dtype
        for dim, size in zip(tensor.shape, value.shape):
            if isinstance(dim, str):
                assert dim == f"n{size}" or sizes.setdefault(dim, size) == size
            else:
                assert dim in (None, size)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "int32", "uint8"])
@every_case
def test_dtype_rule_holds_for_every_dtype(case, dtype):
    kind = np.dtype(dtype).kind
    arrays = [None if x is None else x.astype(dtype) if x.dtype.kind == {"f": "f", "i": "i", "u": "i"}[kind] and not (kind == "u" and (x < 0).any()) else x
              for x in case.inputs]
    g, placeholders, outputs = graph_of(case, arrays)
    with np.errstate(all="ignore"):
        values = fl.Session(g).run(outputs, dict(zip(placeholders, [a for a in arrays if a is not None])))
    for tensor, value in zip(outputs, values, strict=True):
        assert fits(tensor, value)


# ---------------------------------------------------------------- gradients


def cotangents(values, seed=3):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, v.shape) for v in values]


@functools.cache
def flowing_back(case: Case) -> list[np.ndarray]:
    """What the backward pass of a row starts from; the oracle is asked once for all checks."""
    return cotangents(case.expected(*case.inputs))


def gradient_graph(case: Case, shapes=None):
    g, placeholders, outputs = graph_of(case, shapes=shapes)
    by_input = dict(zip([k for k, x in enumerate(case.inputs) if x is not None], placeholders))
    with g:
        floats = [y for y in outputs if y.dtype.kind == "f"]
        ds = [fl.placeholder(y.shape, y.dtype, name=f"d{k}") for k, y in enumerate(floats)]
    xs = [by_input[k] for k in case.targets]
    return g, placeholders, floats, ds, xs, fl.gradients(floats, xs, grad_ys=ds)


@functools.cache
def jax_says(case: Case) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Values and gradients, compiled as one: primitive by primitive takes JAX twice as long."""
    def of_targets(*xs):
        full = list(case.inputs)
        for k, x in zip(case.targets, xs):
            full[k] = x
        return case.expected(*full)

    def both(xs, slopes):
        values, back = jax.vjp(of_targets, *xs)
        return values, back(slopes)
    values, slopes = jax.jit(both)([case.inputs[k] for k in case.targets], flowing_back(case))
    return [np.asarray(v) for v in values], [np.asarray(d) for d in slopes]


@with_gradient
def test_gradient_is_jax_gradient(case):
    g, placeholders, ys, ds, xs, grads = gradient_graph(case)
    values = flowing_back(case)
    got = fl.Session(g).run(grads, {**dict(zip(placeholders, given(case))), **dict(zip(ds, values))})
    for tensor, x, a, b in zip(grads, xs, got, jax_says(case)[1], strict=True):
        assert fits(tensor, a) and x.shape == a.shape and tensor.dtype == x.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("which", ["all", "even", "odd"])
@pytest.mark.parametrize("case", [c for c in CASES if c.targets and c.named], ids=lambda c: c.id)
def test_gradient_is_the_same_with_unknown_sizes(case, which):
    values = flowing_back(case)
    g, placeholders, _, ds, _, grads = gradient_graph(case, unknown(case, which))
    got = fl.Session(g).run(grads, {**dict(zip(placeholders, given(case))), **dict(zip(ds, values))})
    for a, b in zip(got, jax_says(case)[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11, strict=True)


def difference(function, xs, directions, step=1e-5):
    """The derivative of `function` along the directions, by differences of fourth order."""
    def at(k):
        return function([x + k * step * d for x, d in zip(xs, directions)])
    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)


@pytest.mark.parametrize("case", [c for c in CASES if c.targets and c.alone], ids=lambda c: c.id)
def test_gradient_is_what_differences_say(case):
    g, placeholders, ys, ds, xs, grads = gradient_graph(case)
    sess = fl.Session(g)
    values = flowing_back(case)
    feeds = {**dict(zip(placeholders, given(case))), **dict(zip(ds, values))}
    points = [case.inputs[k] for k in case.targets]
    directions = cotangents(points, 5)
    want = difference(lambda at: sum((y * d).sum() for y, d in zip(sess.run(ys, {**feeds, **dict(zip(xs, at))}), values)), points, directions)
    got = sum((a * d).sum() for a, d in zip(sess.run(grads, feeds), directions))
    np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("case", [c for c in CASES if c.targets and c.smooth and c.alone], ids=lambda c: c.id)
def test_second_derivative_is_what_differences_of_the_first_say(case):
    g, placeholders, ys, ds, xs, grads = gradient_graph(case)
    weights = cotangents([case.inputs[k] for k in case.targets], 7)
    with g:
        scalar = sum(fl.sum(a * w) for a, w in zip(grads, weights))
    by = [*xs, *ds]     # by the inputs, and by what the backward pass starts from
    second = fl.gradients(scalar, by, unconnected="zero")
    sess = fl.Session(g)
    values = flowing_back(case)
    feeds = {**dict(zip(placeholders, given(case))), **dict(zip(ds, values))}
    points = [feeds[t] for t in by]
    directions = cotangents(points, 11)
    want = difference(lambda at: float(sess.run(scalar, {**feeds, **dict(zip(by, at))})), points, directions, step=1e-4)
    got = sum((a * d).sum() for a, d in zip(sess.run(second, feeds), directions))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


# ---------------------------------------------------------------- kinds of arrays


def strided(x: np.ndarray) -> np.ndarray:
    wide = np.empty((*x.shape[:-1], 2 * x.shape[-1]), x.dtype) if x.ndim else np.empty((), x.dtype)
    view = wide[..., ::2] if x.ndim else wide
    view[...] = x
    return view


def backwards(x: np.ndarray) -> np.ndarray:
    flip = (slice(None, None, -1),) * x.ndim
    return x[flip].copy()[flip]


def columns_first(x: np.ndarray) -> np.ndarray:
    return np.array(x, order="F")


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("layout", [strided, backwards, columns_first, read_only])
@every_case
def test_layout_in_memory_changes_no_bit(case, layout):
    arrays = [None if x is None else layout(x) for x in case.inputs]
    assert_same_bits(run(case, arrays), run(case))


@every_case
def test_inputs_are_never_changed(case):
    arrays = [None if x is None else x.copy() for x in case.inputs]
    results = run(case, arrays)
    for a, b in zip(arrays, case.inputs):
        if a is not None:
            assert a.tobytes() == b.tobytes()
            for r in results:
                assert not np.may_share_memory(r, a)


@every_case
def test_kernel_takes_read_only_arrays_that_are_no_copies(case):
    """Straight to the kernel, where nothing has been made contiguous."""
    g, _, outputs = graph_of(case)
    node = g.node("it")
    step_args = dict(zip(node.ports, given(case)))
    kernel = kernel_of(node)
    wild = {p: read_only(x)[...] if k % 2 else strided(x) for k, (p, x) in enumerate(step_args.items())}

    def call(args):
        required = {i.name for i in node.op.inputs if not i.optional}
        plain = [v for p, v in args.items() if node.op.variadic or p in required]
        out = kernel(*plain, **{p: v for p, v in args.items() if not node.op.variadic and p not in required})
        return [np.asarray(v) for v in (out if type(out) is tuple else (out,))]
    for a, b in zip(call(wild), call(step_args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@every_case
def test_no_examples_work_or_are_refused(case):
    first = next((x.shape[0] for x in case.inputs if x is not None and x.ndim), None)
    arrays = [None if x is None else x[tuple(slice(0 if d == first else None) for d in x.shape)] for x in case.inputs]
    try:
        _, _, outputs = graph_of(case, arrays)
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            values = run(case, arrays)
    except fl.FlowError as error:
        assert not isinstance(error, fl.KernelError) or type(error.__cause__) in (ValueError, IndexError), error
        return
    for tensor, value in zip(outputs, values, strict=True):
        assert fits(tensor, value)


# ---------------------------------------------------------------- other ways to run


def randomly_fired(sess, fetches, feeds, seed):
    debugger = fl.Debugger(sess, fetches, feeds)
    rng = np.random.default_rng(seed)
    while debugger.ready:
        debugger.fire(debugger.ready[rng.integers(len(debugger.ready))])
    return debugger.results


@every_case
def test_all_executors_agree_to_the_bit(case):
    if case.targets:
        g, placeholders, ys, ds, _, grads = gradient_graph(case)
        feeds = {**dict(zip(placeholders, given(case))), **dict(zip(ds, flowing_back(case)))}
        fetches = [*ys, *grads]
    else:
        g, placeholders, fetches = graph_of(case)
        feeds = dict(zip(placeholders, given(case)))
    sess = fl.Session(g)
    want = sess.run(fetches, feeds)
    assert_same_bits(sess.trace(fetches, feeds).results, want)
    stepped = fl.Debugger(sess, fetches, feeds)
    while stepped.step() is not None:
        pass
    assert_same_bits(stepped.results, want)
    assert_same_bits(randomly_fired(sess, fetches, feeds, 1), want)
    with fl.Session(g, executor="parallel", workers=4, device="cpu:1", cpus=2) as several:
        several.parallel.worth = 0.0    # hand over every node, however cheap
        assert_same_bits(several.run(fetches, feeds), want)


@every_case
def test_the_graph_file_holds_it_whole(case):
    g, placeholders, outputs = graph_of(case)
    text = document_of(g).text()
    read = build(from_text(text))
    assert not read.diagnostics
    assert read.graph.node("it").attrs.keys() == g.node("it").attrs.keys()
    assert document_of(read.graph).same_graph(document_of(g))
    feeds = {p.name: a for p, a in zip(placeholders, given(case))}
    assert_same_bits(fl.Session(read.graph).run([y.name for y in outputs], feeds), fl.Session(g).run(outputs, dict(zip(placeholders, given(case)))))


@pytest.mark.parametrize("op", [REGISTRY[n] for n in BUILT_IN], ids=lambda o: o.name)
def test_every_op_speaks_to_a_learner(op):
    first = op.doc.splitlines()[0]
    assert first.endswith(".") and first[0].isupper()
    assert op.zh
    if op.source is None and op.listed:
        assert getattr(fl, op.function) is not None


@every_case
def test_nothing_is_called_wrong_while_inputs_of_a_sound_node_are_still_open(case):
    g, _, _ = graph_of(case)
    node = g.node("it")
    types = {p: t.type for p, t in zip(node.ports, node.inputs)}
    for k in range(min(len(types), 5) + 1):
        for left in itertools.combinations(types, k):
            known = {p: t for p, t in types.items() if p not in left}
            required = [p for p in left if not node.op.input_of(p).optional]
            for waiting in (left, required):
                assert node.op.clash(known, waiting, node.attrs) is None
            assert node.op.clash(known) is None
