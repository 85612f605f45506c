"""The lesson on vanishing gradients, on its full budget: who remembers for how long, beside the same networks in JAX."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beside_jax import adam, cross_entropy
from lesson_kernel import kernel

STEPS = 400


def scores(w, symbols):
    units = w["memory/recurrent_kernel"].shape[0]
    x = jnp.moveaxis(jax.nn.one_hot(symbols, 8), 1, 0) @ w["memory/kernel"] + w["memory/bias"]
    zeros = jnp.zeros((symbols.shape[0], units))

    def plain(h, a):
        return jnp.tanh(a + h @ w["memory/recurrent_kernel"]), None

    def lstm(state, a):
        h, c = state
        i, f, g, o = jnp.split(a + h @ w["memory/recurrent_kernel"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
    h = jax.lax.scan(plain, zeros, x)[0] if x.shape[-1] == units else jax.lax.scan(lstm, (zeros, zeros), x)[0][0]
    return h @ w["out/kernel"] + w["out/bias"]


@pytest.mark.slow
def test_each_network_remembers_as_long_as_in_jax(tmp_path):
    with kernel(tmp_path, "full") as k:
        k.run("06_why_gradients_vanish")
        ours, reached, share, names = (k.value(name) for name in ("scores", "reached", "share", "names"))
        first = {n: k.value(f"(lambda s: {{v.node.name: s.variables[v.node.name].tolist() for v in s.graph.trainable_variables}})(contestant({n!r}))") for n in names}

    def remember(rng, T, n):
        rows = rng.integers(4, 8, (n, T))
        rows[:, 0] = rng.integers(0, 4, n)
        return rows, rows[:, 0].copy()
    for case, found in ours.items():
        name, T = case.rsplit(", ", 1)
        rng, T = np.random.default_rng(0), int(T)
        w, _ = adam(lambda w, x, y: cross_entropy(scores(w, x), y), first[name], (remember(rng, T, 32) for _ in range(STEPS)), lambda k: 3e-3, clip_norm=1.0)
        rows, symbol = remember(np.random.default_rng(1), T, 500)
        theirs = float((np.asarray(jax.jit(scores)(w, rows)).argmax(-1) == symbol).mean())
        print(f"{case:20}: {found:6.1%}, in JAX {theirs:6.1%}")
        assert (found >= 0.9) == (theirs >= 0.9), case
    assert reached == {"RNN random": 10, "RNN orthogonal": 40, "LSTM bias 1": 20, "LSTM bias 3": 80}
    assert ours["RNN random, 20"] > 0.35 and share["RNN random"] < 1e-8 and share["LSTM bias 3"] > 0.5       # better than guessing with next to nothing; and all of it is not enough
    assert sorted(names, key=share.get) == sorted(names, key=reached.get)       # the share that comes back says who gets further
