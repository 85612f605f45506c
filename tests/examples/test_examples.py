"""Graphs that are no networks, beside SciPy: heat on a plate, ranks of pages, the bottom of a valley."""
from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import scipy.sparse.linalg

import flowlab as fl
from tests.examples import heat_equation as heat, newton, pagerank

HERE = Path(__file__).parent


@pytest.mark.parametrize(("script", "says"), [("heat_equation", "of the heat"), ("pagerank", "home 0.2623"), ("newton", "2 variables, with the Hessian: 22 steps to [1.0, 1.0]")])
def test_each_example_runs_as_a_script(script, says, capsys):
    runpy.run_path(str(HERE / f"{script}.py"), run_name="__main__")
    assert says in capsys.readouterr().out


# ---------------------------------------------------------------- heat


def laplacian():
    line = scipy.sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(heat.N, heat.N))
    eye = scipy.sparse.eye(heat.N)
    return (scipy.sparse.kron(line, eye) + scipy.sparse.kron(eye, line)) / heat.H**2


def test_heat_is_what_a_sparse_matrix_and_the_exact_solution_say():
    start = heat.hot_spot()
    plate, total, origin = fl.Session(heat.heat_graph()).run(["plate", "heat", "origin"], {"start": start})
    step = scipy.sparse.eye(heat.N**2) + heat.ALPHA * heat.DT * laplacian()
    u, totals = start.ravel(), []
    for _ in range(heat.STEPS):
        totals.append(u.sum())
        u = step @ u
    np.testing.assert_allclose(plate.ravel(), u, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(total, totals, rtol=1e-11)
    exact = scipy.sparse.linalg.expm_multiply(heat.ALPHA * heat.DT * heat.STEPS * laplacian().tocsc(), start.ravel())
    assert np.abs(plate.ravel() - exact).max() < 0.02 * exact.max()         # the rest is the error of steps in time
    assert (np.diff(total) < 0).all() and plate.min() > 0
    # the derivative of one temperature at the end by those at the start is a row of the matrix of all steps
    row = np.zeros(heat.N**2)
    row[heat.N // 2 * heat.N + heat.N // 2] = 1
    for _ in range(heat.STEPS):
        row = step.T @ row
    np.testing.assert_allclose(origin.ravel(), row, rtol=1e-10, atol=1e-16)
    np.testing.assert_allclose((origin * start).sum(), plate[heat.N // 2, heat.N // 2], rtol=1e-11)


# ---------------------------------------------------------------- pagerank


def leading_vector(p):
    google = pagerank.DAMPING * p + (1 - pagerank.DAMPING) / len(p)
    values, vectors = np.linalg.eig(google)
    first = np.real(vectors[:, np.argmax(np.real(values))])
    return first / first.sum()


def webs():
    yield pagerank.transitions(pagerank.LINKS)
    rng = np.random.default_rng(0)
    for n in (1, 2, 60):
        p = (rng.random((n, n)) < 0.1).astype("float64")
        p[:, p.sum(0) == 0] = 1
        yield p / p.sum(0)


def test_ranks_are_the_leading_eigenvector_of_any_web():
    sess = fl.Session(pagerank.pagerank_graph())
    for p in webs():
        ranks, rounds = sess.run(["ranks", "rounds"], {"links": p})
        np.testing.assert_allclose(ranks, leading_vector(p), rtol=1e-9)
        assert ranks.sum() == pytest.approx(1) and 0 < rounds < 200


def test_a_debugger_walks_through_the_rounds():
    p = pagerank.transitions(pagerank.LINKS)
    sess = fl.Session(pagerank.pagerank_graph(tolerance=0.05))
    dbg = fl.Debugger(sess, ["ranks", "rounds"], {"links": p})
    while dbg.step():
        pass
    for a, b in zip(dbg.results, sess.run(["ranks", "rounds"], {"links": p})):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------- newton


def test_slope_and_hessian_are_scipys():
    at = np.random.default_rng(1).normal(size=6)
    slope, hessian = fl.Session(newton.newton_graph(6)).run(["slope", "hessian"], {"start": at})
    np.testing.assert_allclose(slope, scipy.optimize.rosen_der(at), rtol=1e-10)
    np.testing.assert_allclose(hessian, scipy.optimize.rosen_hess(at), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("direction", [newton.newton_direction, newton.conjugate_direction])
def test_newton_finds_what_scipy_finds(direction):
    n = 5
    sess = fl.Session(newton.newton_graph(n, direction))
    for start in (np.full(n, -1.2), np.full(n, 1.0), np.random.default_rng(3).normal(size=n)):
        lowest, steps = sess.run(["lowest", "steps"], {"start": start})
        assert np.abs(scipy.optimize.rosen_der(lowest)).max() < 1e-8 and np.linalg.eigvalsh(scipy.optimize.rosen_hess(lowest)).min() > 0    # a lowest point
        found = scipy.optimize.minimize(scipy.optimize.rosen, lowest + 1e-3, jac=scipy.optimize.rosen_der, hess=scipy.optimize.rosen_hess, method="trust-exact", options={"gtol": 1e-10})
        np.testing.assert_allclose(lowest, found.x, atol=1e-8)
        assert steps == 0 if (start == 1).all() else 0 < steps < 100


def test_one_newton_step_ends_at_the_bottom_of_any_parabola_wherever_it_starts():
    with fl.Graph() as g:
        x, a = fl.placeholder((3,), "float64", name="x"), fl.placeholder((3, 3), "float64", name="a")

        def bowl(v):
            return 0.5 * fl.sum(v * (a @ v))
        d = newton.newton_direction(bowl, x, fl.gradients(bowl(x), [x])[0])
        back, = fl.gradients(fl.sum(x + d), [x])
    rng = np.random.default_rng(0)
    m = rng.normal(size=(3, 3))
    values = fl.Session(g).run([x + d, back], {x: rng.normal(size=3), a: m @ m.T + np.eye(3)})
    for v in values:
        np.testing.assert_allclose(v, np.zeros(3), atol=1e-12)
