"""The lesson on gradients: what its ways downhill come to, beside JAX and the line that least squares gives."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lesson_kernel import kernel


@pytest.mark.slow
def test_gradient_descent_goes_where_jax_goes(tmp_path):
    with kernel(tmp_path, "full") as k:
        k.run("02_gradients")
        paths = {rate: np.array(k.value(f"paths[{rate}].tolist()")) for rate in (0.02, 0.2, 1.05)}
        xs, ys, best = (np.array(k.value(f"{name}.tolist()")) for name in ("xs", "ys", "best"))

    @jax.jit
    def slopes(w, b):
        return jax.value_and_grad(lambda p: jnp.mean((p[0] * xs.astype("float32") + p[1] - ys.astype("float32")) ** 2))((w, b))
    for rate, path in paths.items():
        w, b = np.float32(-1.0), np.float32(1.5)
        for ours in path:
            loss, (dw, db) = slopes(w, b)
            np.testing.assert_allclose(ours, [w, b, loss], rtol=1e-3, atol=1e-4)
            w, b = w - np.float32(rate) * dw, b - np.float32(rate) * db
        print(f"rate {rate}: loss {path[-1, 2]:.6g}, in JAX {float(loss):.6g}")
    np.testing.assert_allclose(paths[0.2][-1, :2], best, atol=2e-3)
