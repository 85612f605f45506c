"""A graph of loops and branches inside one another, for tests that draw, step or edit it."""
from __future__ import annotations

import flowlab as fl


def nested() -> fl.Graph:
    """A scan whose timestep holds a branch and a while loop."""
    with fl.Graph("nested") as g:
        x = fl.placeholder((3,), name="x")
        with fl.scan(x, name="outer") as step:
            s = step.state("s", init=0.0)
            y = fl.cond(step.input > 0, lambda: fl.sqrt(step.input), lambda: -step.input, name="root")
            z = fl.while_loop(lambda k: k < 2, lambda k: k + y, 0.5, name="grow")
            step.update(s, s + z)
        fl.square(step.states["s"], name="y")
    return g
