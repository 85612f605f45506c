"""Newton's method: to the bottom of a valley with second derivatives.

Rosenbrock's valley is steep across and almost flat along its floor, which bends; a gradient step that does not overshoot across hardly moves along.

    f(x) = Σ 100 (x[k+1] − x[k]²)² + (1 − x[k])²,     smallest at (1, …, 1)

Newton's step looks at the curvature as well: it solves H d = −∇f, and x + d is the lowest point of the parabola that fits f at x. The gradient is
nodes, so its own gradients are the rows of H. All steps together are one loop in the graph, with derivatives inside it.

For many variables H is never built: conjugate gradients solve H d = −∇f from products H v alone, which `fl.hvp` gives.
"""
from __future__ import annotations

import numpy as np

import flowlab as fl


def rosenbrock(x):
    return fl.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def hessian(f, x):
    """∂²f/∂x² as a matrix, one gradient of the gradient a row."""
    slope, = fl.gradients(f(x), [x])
    return fl.stack([fl.gradients(slope[k], [x])[0] for k in range(x.shape[0])])


def newton_direction(f, x, slope):
    """Solve H d = −∇f."""
    return fl.linalg.solve(hessian(f, x), -slope)


def conjugate_direction(f, x, slope, rounds=30):
    """Solve H d = −∇f from products with H, a new one a round."""
    zero = fl.zeros_like(slope)
    with fl.scan(fl.arange(rounds), name="conjugate") as step:
        d, r, p = step.state("d", init=zero), step.state("r", init=-slope), step.state("p", init=-slope)
        here = fl.identity(x)       # the loop's own x, to differentiate by
        hp, = fl.hvp(f(here), [here], [p])
        length, bend = fl.sum(r * r), fl.sum(p * hp)
        bowl = bend > 1e-12 * fl.sum(p * p)                 # along a ridge, stop with what there is
        a = fl.where(bowl, length / bend, 0.0)
        left = fl.where(bowl, r - a * hp, fl.zeros_like(r))
        step.update(d, d + a * p)
        step.update(r, left)
        step.update(p, left + fl.where(length > 0.0, fl.sum(left * left) / length, 0.0) * p)
    return step.states["d"]


def minimize(f, start, direction, tolerance=1e-9):
    """The lowest point near `start`, and how many steps led there."""
    def goes_on(x, steps):
        slope, = fl.gradients(f(x), [x])
        return fl.max(fl.abs(slope)) > tolerance

    def step(x, steps):
        slope, = fl.gradients(f(x), [x])
        d = direction(f, x, slope)
        d = fl.where(fl.sum(d * slope) < 0.0, d, -slope)                    # where f bends the other way, the gradient's way

        def too_far(t):
            return f(x + t * d) > f(x) + 1e-4 * t * fl.sum(slope * d)       # less was gained than the slope promised
        t = fl.while_loop(too_far, lambda t: t / 2.0, fl.ones_like(x[0]), maximum=60, name="halve")
        return x + t * d, steps + 1
    return fl.while_loop(goes_on, step, [start, np.array(0)], maximum=500, name="newton")


def newton_graph(n: int, direction=newton_direction) -> fl.Graph:
    """`lowest` and `steps` from the fed `start` (n,); for a look, `slope` and `hessian` at the start."""
    with fl.Graph("newton") as g:
        start = fl.placeholder((n,), "float64", name="start")
        fl.identity(fl.gradients(rosenbrock(start), [start])[0], name="slope")
        fl.identity(hessian(rosenbrock, start), name="hessian")
        lowest, steps = minimize(rosenbrock, start, direction)
        fl.identity(lowest, name="lowest")
        fl.identity(steps, name="steps")
    return g


def main() -> None:
    for n, direction, how in ((2, newton_direction, "with the Hessian"), (40, conjugate_direction, "with products of the Hessian alone")):
        g = newton_graph(n, direction)
        lowest, steps = fl.Session(g).run(["lowest", "steps"], {"start": np.full(n, -1.2)})
        print(f"{n} variables, {how}: {steps} steps to {lowest.round(6)[:4].tolist()}")


if __name__ == "__main__":
    main()
