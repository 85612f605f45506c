"""The lesson on plans on its full budget: what it measures is there to be measured, and its step of training on two devices is JAX's step."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lesson_kernel import kernel

SHAPES = {"inner/kernel": (8, 64), "inner/bias": (64,), "outer/kernel": (64, 1), "outer/bias": (1,)}


@pytest.mark.slow
def test_a_replicated_training_is_jaxs_training_and_what_is_measured_is_told(tmp_path):
    with kernel(tmp_path, "full") as k:
        print(k.run("13_what_a_plan_does"))
        speeds, steps = k.value("list(speeds.values())"), k.value("{str(size): list(row.values()) for size, row in table.items()}")
        losses = np.array(k.value("[alone[1], together[1]]"))
        data = {name: np.array(k.value(f"landscape['{name}'].tolist()"), "float32") for name in ("points", "heights")}
        p = {name: np.array(k.value(f"fl.Session(alone[0], seed=3).variables['{name}'].tolist()"), "float32") for name in SHAPES}
    assert all(s > 0 for s in speeds) and all(trace > run for run, trace, _ in steps.values())
    assert {name: v.shape for name, v in p.items()} == SHAPES

    @jax.jit
    def slopes(p):
        return jax.value_and_grad(lambda p: jnp.mean((jnp.tanh(data["points"] @ p["inner/kernel"] + p["inner/bias"]) @ p["outer/kernel"] + p["outer/bias"] - data["heights"]) ** 2))(p)
    theirs = []
    for _ in range(20):
        loss, g = slopes(p)
        theirs.append(float(loss))
        p = {name: v - np.float32(0.05) * g[name] for name, v in p.items()}
    print(f"loss after 20 steps: {losses[0, -1]:.6f} on one device, {losses[1, -1]:.6f} on two, {theirs[-1]:.6f} in JAX")
    np.testing.assert_allclose(losses, [theirs, theirs], rtol=1e-4)
