"""What is put together from ops and has no kernel of its own: NumPy's functions by NumPy's own."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl

RNG = np.random.default_rng(4)
A, B, V, W = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 5)), RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
ODD = np.array([[0.5, np.nan, np.inf], [-np.inf, -2.0, np.nan]])
CHANCES = RNG.uniform(0.05, 0.95, (3, 4))
HIGH = RNG.normal(size=(5, 2))
SHARES = np.abs(RNG.normal(size=(3, 4)))

# (of flowlab, of NumPy, arrays)
SAME = [
    (lambda x: fl.softmin(x), lambda x: np.exp(-x) / np.exp(-x).sum(-1, keepdims=True), (A,)),
    (lambda x: fl.median(x), np.median, (A,)),
    (lambda x: fl.median(x, axis=0, keepdims=True), lambda x: np.median(x, 0, keepdims=True), (A,)),
    (lambda x: fl.percentile(x, 30, axis=1), lambda x: np.percentile(x, 30, axis=1), (A,)),
    (lambda x: fl.diff(x), np.diff, (A,)),
    (lambda x: fl.diff(x, 2, axis=0), lambda x: np.diff(x, 2, axis=0), (A,)),
    (lambda x: fl.diff(x, 0), lambda x: np.diff(x, 0), (A,)),
    (lambda x: fl.ptp(x, axis=1), lambda x: np.ptp(x, axis=1), (A,)),
    (lambda x: fl.average(x), np.average, (A,)),
    (lambda x, w: fl.average(x, axis=0, weights=w), lambda x, w: np.average(x, axis=0, weights=w), (A, SHARES)),
    (lambda x: fl.average(x, axis=-1, weights=[1.0, 2.0, 3.0, 4.0]), lambda x: np.average(x, axis=-1, weights=[1.0, 2.0, 3.0, 4.0]), (A,)),
    (lambda x: fl.diag(x, 1), lambda x: np.diag(x, 1), (A,)),
    (lambda v: fl.diag(v, -1), lambda v: np.diag(v, -1), (A[0],)),
    (lambda a, b: fl.inner(a, b), np.inner, (A, B.T)),
    (lambda a, b: fl.inner(a, b), np.inner, (A[0], B[:, 0])),
    (lambda a, b: fl.tensordot(a, b, 1), lambda a, b: np.tensordot(a, b, 1), (A, B)),
    (lambda a, b: fl.tensordot(a, b), np.tensordot, (A, A)),
    (lambda a, b: fl.tensordot(a, b, 0), lambda a, b: np.tensordot(a, b, 0), (A[0], B[0])),
    (lambda a, b: fl.tensordot(a, b, ([0], [1])), lambda a, b: np.tensordot(a, b, ([0], [1])), (B, A)),
    (lambda a, b: fl.cross(a, b), np.cross, (V, W)),
    (lambda x: fl.ravel(x), np.ravel, (A,)),
    (lambda x: fl.deg2rad(x), np.deg2rad, (A,)),
    (lambda x: fl.rad2deg(x), np.rad2deg, (A,)),
    (lambda x: fl.nan_to_num(x), np.nan_to_num, (ODD,)),
    (lambda x: fl.nan_to_num(x, nan=1.5, posinf=9.0, neginf=-9.0), lambda x: np.nan_to_num(x, nan=1.5, posinf=9.0, neginf=-9.0), (ODD,)),
    (lambda p, y: fl.binary_cross_entropy(p, y), lambda p, y: -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean(-1), (CHANCES, CHANCES[::-1])),
    (lambda a, b: fl.cosine_similarity(a, b), lambda a, b: (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1), (V, W)),
    (lambda a, b: fl.linalg.lstsq(a, b), lambda a, b: np.linalg.lstsq(a, b)[0], (B.T, HIGH)),
    (lambda a, b: fl.linalg.lstsq(a, b), lambda a, b: np.linalg.lstsq(a, b)[0], (B.T, HIGH[:, 0])),
    (lambda x: fl.linalg.eigvalsh(x), np.linalg.eigvalsh, (B @ B.T,)),
    (lambda x: fl.linalg.svdvals(x), lambda x: np.linalg.svd(x, compute_uv=False), (A,)),
    *((lambda x, n=n: fl.linalg.matrix_power(x, n), lambda x, n=n: np.linalg.matrix_power(x, n), (A[:, :3],)) for n in (1, 2, 5, -3)),
    (lambda x: fl.full_like(x, 2.5), lambda x: np.full_like(x, 2.5), (A,)),
    (lambda x, y: fl.meshgrid(x, y)[0], lambda x, y: np.meshgrid(x, y)[0], (A[0], B[0])),
    (lambda x, y: fl.meshgrid(x, y)[1], lambda x, y: np.meshgrid(x, y)[1], (A[0], B[0])),
    (lambda x, y: fl.meshgrid(x, y, indexing="ij")[1], lambda x, y: np.meshgrid(x, y, indexing="ij")[1], (A[0], B[0])),
]


@pytest.mark.parametrize("known", [True, False], ids=["known sizes", "unknown sizes"])
@pytest.mark.parametrize(("ours", "theirs", "arrays"), SAME)
def test_it_is_what_numpy_gives(ours, theirs, arrays, known):
    with fl.Graph() as g:
        xs = [fl.placeholder(a.shape if known else (None,) * a.ndim, "float64") for a in arrays]
        y = ours(*xs)
    got = fl.Session(g).run(y, dict(zip(xs, arrays)))
    np.testing.assert_allclose(got, theirs(*arrays), rtol=1e-11, atol=1e-14)
    assert y.dtype == "float64" and len(y.shape) == got.ndim


def test_tensors_of_one_value():
    with fl.Graph() as g:
        made = [fl.zeros((2, 3)), fl.ones(4, "int64"), fl.full((2, 1), 7), fl.full((), 0.5)]
    for got, want in zip(fl.Session(g).run(made), [np.zeros((2, 3), "float32"), np.ones(4, "int64"), np.full((2, 1), 7), np.float32(0.5)], strict=True):
        np.testing.assert_array_equal(got, want, strict=True)


def test_a_vector_turned_into_a_matrix_and_back_carries_its_gradient():
    with fl.Graph() as g:
        v = fl.placeholder((3,), "float64", name="v")
        d, = fl.gradients(fl.sum(fl.square(fl.diag(fl.diag(v, 2), 2))), [v])
    np.testing.assert_array_equal(fl.Session(g).run(d, {v: [1, 2, 3]}), [2, 4, 6])


@pytest.mark.parametrize(("tried", "port"), [
    (lambda x: fl.tensordot(x, x, ([0, 1], [0])), "axes"), (lambda x: fl.tensordot(x, x, 5), "axes"), (lambda x: fl.tensordot(x, x, ([3], [0])), "axes"),
    (lambda x: fl.cross(x, x), "a"), (lambda x: fl.meshgrid(x, x), "xs.0"), (lambda x: fl.meshgrid(x, indexing="ji"), "indexing"), (lambda x: fl.diff(x, -1), "n"),
    (lambda x: fl.median(x, axis=2), "axis"), (lambda x: fl.percentile(x, 101), "q")])
def test_what_does_not_fit_is_refused(tried, port):
    with fl.Graph():
        with pytest.raises(fl.FlowError) as caught:
            tried(fl.placeholder((3, 4), "float64"))
    assert caught.value.port == port


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_global_pool_is_an_adaptive_pool_to_one_value(n):
    """The same windows from two definitions; and torch's own for uneven ones."""
    x = RNG.normal(size=(2, 3, 5, 4, 3)[:n + 2])
    with fl.Graph() as g:
        p = fl.placeholder(("batch", 3, *("d", "h", "w")[:n]), "float64", name="x")
        pairs = [(fl.global_avg_pool(p), getattr(fl, f"adaptive_avg_pool{n}d")(p, 1)), (fl.global_max_pool(p), getattr(fl, f"adaptive_max_pool{n}d")(p, 1))]
    for whole, one in fl.Session(g).run(pairs, {p: x}):
        np.testing.assert_allclose(whole, one.reshape(2, 3), rtol=1e-12)
    assert pairs[0][1].shape == ("batch", 3, *(1,) * n)


def test_labels_that_the_frames_are_too_few_for_have_the_loss_infinity_and_no_derivative():
    with fl.Graph() as g:
        x = fl.placeholder((2, 2, 3), "float64", name="x")
        loss = fl.ctc_loss(x, np.array([[1, 1], [1, 2]]), np.array([2, 2]), np.array([2, 2]))
        d, = fl.gradients(loss, [x])
        second = fl.gradients(fl.sum(fl.square(d)), [x])[0]
        with pytest.raises(fl.GradientError, match="third derivative"):
            fl.gradients(fl.sum(fl.square(second)), [x])
    value, d = fl.Session(g).run([loss, d], {x: np.zeros((2, 2, 3))})
    assert value[0] == np.inf and np.isclose(value[1], 2 * np.log(3)) and (d[0] == 0).all() and np.isfinite(d).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_sequence_does_not_underflow(dtype):
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 40, (2, 60))
    with fl.Graph() as g:
        x = fl.placeholder((2, 400, 40), dtype, name="x")
        loss = fl.ctc_loss(x, labels, np.array([400, 350]), np.array([60, 41]))
        d, = fl.gradients(loss, [x])
    value, d = fl.Session(g).run([loss, d], {x: rng.normal(size=(2, 400, 40)) * 3})
    assert np.isfinite(value).all() and (value > 500).all() and np.isfinite(d).all()
    np.testing.assert_allclose(d.sum(-1), 0, atol=1e-4)
    assert (d[1, 350:] == 0).all() and (np.abs(d[1, :350]).sum(-1) > 0).all()


@pytest.mark.parametrize(("rest", "words"), [
    (([[1, 3]], [3], [2]), "label 3 is outside"), (([[1, 0]], [3], [2]), "the blank"), (([[1, 2]], [4], [2]), "logit_lengths holds 4"), (([[1, 2]], [3], [3]), "label_lengths holds 3")])
def test_labels_and_lengths_that_cannot_be_are_told_of(rest, words):
    with fl.Graph() as g:
        x = fl.placeholder((1, 3, 3), name="x")
        loss = fl.ctc_loss(x, *map(np.array, rest), name="loss")
    with pytest.raises(fl.KernelError, match=words) as caught:
        fl.Session(g).run(loss, {x: np.zeros((1, 3, 3))})
    assert caught.value.node == "loss"


def test_an_index_that_comes_twice_is_no_place_to_put_a_value():
    with fl.Graph() as g:
        x = fl.placeholder((4,), name="x")
        y = fl.scatter(x, np.array([1, -3]), np.array([5.0, 6.0], "float32"))
    with pytest.raises(fl.KernelError, match="index 1 comes 2 times"):
        fl.Session(g).run(y, {x: np.zeros(4)})


def test_the_result_of_a_mask_goes_on_with_a_size_that_shows_only_when_it_runs():
    with fl.Graph() as g:
        x = fl.placeholder(("n", 3), "float64", name="x")
        kept = fl.boolean_mask(x, x[:, 0] > 0)
        loss = fl.sum(fl.square(fl.mean(kept, axis=0)))
        d, = fl.gradients(loss, [x])
        words, _, counts = fl.unique(fl.cast(x, "int64"))
    assert kept.shape == (None, 3) and words.shape == counts.shape == (None,)
    xs = np.array([[1.0, 2, 3], [-1, 5, 6], [3, 2, 1]])
    got, d, words, counts = fl.Session(g).run([kept, d, words, counts], {x: xs})
    np.testing.assert_array_equal(got, xs[[0, 2]])
    np.testing.assert_allclose(d, np.array([[2.0, 2, 2], [0, 0, 0], [2, 2, 2]]))
    assert words.tolist() == [-1, 1, 2, 3, 5, 6] and counts.tolist() == [1, 2, 2, 2, 1, 1]


def test_a_tensor_is_an_index_as_an_array_is_in_numpy():
    xs, order = RNG.normal(size=(4, 3)), np.array([[2, -1], [0, 2]])
    with fl.Graph() as g:
        x, i = fl.placeholder(("n", 3), "float64", name="x"), fl.placeholder((2, 2), "int64", name="i")
        parts = [x[x > 0], x[x[:, 0] > 0], x[i], x[fl.argsort(x[:, 1])]]
        with pytest.raises(fl.FlowError) as caught:
            x[x]
    assert caught.value.port == "indices"
    for got, want in zip(fl.Session(g).run(parts, {x: xs, i: order}), [xs[xs > 0], xs[xs[:, 0] > 0], xs[order], xs[np.argsort(xs[:, 1])]], strict=True):
        np.testing.assert_array_equal(got, want)


def test_what_is_close_is_what_numpy_calls_close():
    a = np.array([1.0, 1.0, np.inf, np.inf, np.nan, 0.0, 5.0])
    b = np.array([1.0 + 1e-6, 1.1, np.inf, -np.inf, np.nan, 1e-9, np.inf])
    with fl.Graph() as g:
        x, y = fl.placeholder((7,), "float64", name="x"), fl.placeholder((7,), "float64", name="y")
        fetches = [fl.isclose(x, y), fl.isclose(x, y, rtol=0.2), fl.allclose(x, x * 1.0), fl.allclose(x[:1], y[:1])]
    with np.errstate(invalid="ignore"):
        got = fl.Session(g).run(fetches, {x: a, y: b})
    for value, want in zip(got, [np.isclose(a, b), np.isclose(a, b, rtol=0.2), False, True], strict=True):
        np.testing.assert_array_equal(value, want)


def test_powers_and_products_of_matrices_whose_sizes_must_be_known():
    with fl.Graph() as g:
        x, y = fl.constant(A[:, :3]), fl.constant(B[:2])
        got = fl.Session(g).run([fl.linalg.matrix_power(x, 0), fl.linalg.kron(x, y)])
        for wrong, port in ((lambda: fl.linalg.matrix_power(x, 1.5), "n"), (lambda: fl.linalg.matrix_power(y, 2), "x"), (lambda: fl.linalg.kron(x, fl.placeholder((None, 2), "float64")), "b"),
                            (lambda: fl.linalg.lstsq(x, fl.constant(1.0)), "b"), (lambda: fl.binary_cross_entropy(x, np.ones((3, 2))), "labels")):
            with pytest.raises(fl.FlowError) as caught:
                wrong()
            assert caught.value.port == port
    np.testing.assert_array_equal(got[0], np.eye(3))
    np.testing.assert_allclose(got[1], np.kron(A[:, :3], B[:2]), rtol=1e-14)


def test_the_worst_guess_costs_a_hundred():
    with fl.Graph() as g:
        p = fl.placeholder((2, 1), "float64", name="p")
        loss = fl.binary_cross_entropy(p, np.array([[1.0], [0.0]]))
    with np.errstate(divide="ignore"):
        assert fl.Session(g).run(loss, {p: [[0.0], [1.0]]}).tolist() == [100, 100]


def test_bits_are_read_as_another_dtype_of_their_width():
    """Bitcast changes no bit; a dtype of another width is refused."""
    values = {"int32": np.array([[1.0, -2.5, 0.0]], "float32"), "float32": np.array(1065353216, "int32"), "uint8": np.array([-1, 5], "int8"), "int64": np.array([np.pi]),
              "uint16": np.array([1.5, -0.0], "float16"), "bool": np.array([0, 1, 7], "uint8")}
    for dtype, x in values.items():
        with fl.Graph() as g:
            p = fl.placeholder(x.shape, x.dtype, name="x")
            y = fl.bitcast(p, dtype)
        assert y.dtype == dtype and y.shape == x.shape
        got = fl.Session(g).run(y, {p: x[::-1] if x.ndim == 1 else x})
        want = (x[::-1].copy() if x.ndim == 1 else x)
        np.testing.assert_array_equal(got, want != 0 if dtype == "bool" else np.frombuffer(want.tobytes(), dtype).reshape(x.shape), strict=True)
    with fl.Graph(), pytest.raises(fl.DTypeError, match="x is float32, 32 bits, and int64 has 64"):
        fl.bitcast(fl.placeholder((2,)), "int64")


def test_rounding_to_a_format_lets_the_derivative_through():
    with fl.Graph() as g:
        x = fl.placeholder((4,), name="x")
        y = fl.round_to(x, format="float8e5m2")
        d, = fl.gradients(fl.sum(y * y), [x])
    got, slope = fl.Session(g).run([y, d], {x: [1.1, -3.3, 1e6, 0.0]})
    np.testing.assert_array_equal(got, [1.0, -3.5, 57344.0, 0.0])
    np.testing.assert_array_equal(slope, 2 * got)
