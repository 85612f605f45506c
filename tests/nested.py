"""Small graphs of loops and branches that several tests draw, step or edit."""
from __future__ import annotations

import numpy as np

import flowlab as fl


def small_scan(time=4, features=3, last=None, name=None):
    """A loop "rnn" over seq (time, features) whose timestep is one tanh, "rnn/new"; after it the sum "total", or what `last` makes of its outputs."""
    with fl.Graph(name) if name else fl.Graph() as g:
        seq = fl.placeholder((time, features), name="seq")
        with fl.scan(seq, time_axis=0, name="rnn") as step:
            h = step.state("h", init=fl.constant(np.zeros(features, "f")))
            new = fl.tanh(h + step.input, name="new")
            step.update(h, new)
            step.output(new)
        (last or (lambda out: fl.sum(out, name="total")))(step.outputs[0])
    return g


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
