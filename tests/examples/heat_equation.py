"""The heat equation on a plate: a hot spot spreads out, step by step, in a graph.

    ∂u/∂t = α (∂²u/∂x² + ∂²u/∂y²), with the rim held at zero

On a grid of spacing h, the right-hand side at a point is what its four neighbours have more than it has itself, over h². That is a convolution
with a 3 × 3 kernel, and one step in time adds it up: u ← u + α Δt ∇²u. All steps together are one `fl.scan`.

The graph is differentiated, too: where did the heat come from that is measured at one point at the end? That is the gradient of that
temperature by the initial ones, which a person gets here for one line.
"""
from __future__ import annotations

import numpy as np

import flowlab as fl

N, ALPHA, H = 24, 1.0, 1.0 / 25                 # points along a side, conductivity, spacing
DT = 0.2 * H**2 / ALPHA                         # an explicit step is stable up to h² / (4 α)
STEPS = 60

LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]) / H**2


def heat_graph() -> fl.Graph:
    """The plate after STEPS steps, what it looked like on the way, and where the heat at its middle came from."""
    with fl.Graph("heat equation") as g:
        start = fl.placeholder((N, N), "float64", name="start")
        with fl.scan(fl.arange(STEPS), name="time") as step:
            u = step.state("u", init=fl.reshape(start, (1, 1, N, N)))
            change = fl.conv2d(u, LAPLACE[None, None], padding=1)       # the rim outside the plate is zero
            step.update(u, u + ALPHA * DT * change)
            step.output(fl.sum(u))                                      # all the heat there is, before each step
        plate = fl.reshape(step.states["u"], (N, N), name="plate")
        fl.identity(step.outputs[0], name="heat")
        middle = plate[N // 2, N // 2]
        fl.identity(fl.gradients(middle, [start])[0], name="origin")
    return g


def hot_spot() -> np.ndarray:
    """A plate that is hot around one point, off its middle."""
    x, y = np.meshgrid(np.arange(N), np.arange(N), indexing="ij")
    return np.exp(-((x - 8) ** 2 + (y - 13) ** 2) / 8.0)


def main() -> None:
    g = heat_graph()
    plate, heat, origin = fl.Session(g).run(["plate", "heat", "origin"], {"start": hot_spot()})
    print(f"hottest before {hot_spot().max():.3f}, after {plate.max():.3f}; of the heat, {100 * plate.sum() / heat[0]:.1f} % is left")
    print(f"most of what the middle feels came from {tuple(int(i) for i in np.unravel_index((origin * hot_spot()).argmax(), origin.shape))}")


if __name__ == "__main__":
    main()
