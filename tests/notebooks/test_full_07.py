"""The lesson on the LSTM, on its full budget: what three networks of two units learn to keep, beside the same networks in JAX."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beside_jax import adam
from lesson_kernel import kernel

STEPS = 1500


def loss(w, seqs, kept):
    W, U, b, two = w["memory/kernel"], w["memory/recurrent_kernel"], w["memory/bias"], w.get("memory/recurrent_bias")
    zeros = jnp.zeros((seqs.shape[0], U.shape[0]))

    def rnn(state, a):
        h = jnp.tanh(a + state[0] @ U)
        return (h, h), h

    def gru(state, a):
        h = state[0]
        (r, z, n), (r_, z_, n_) = jnp.split(a, 3, axis=-1), jnp.split(h @ U + two, 3, axis=-1)
        z = jax.nn.sigmoid(z + z_)
        h = z * h + (1 - z) * jnp.tanh(n + jax.nn.sigmoid(r + r_) * n_)
        return (h, h), h

    def lstm(state, a):
        i, f, g, o = jnp.split(a + state[0] @ U, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h
    cell = {1: rnn, 3: gru, 4: lstm}[U.shape[1] // U.shape[0]]
    _, out = jax.lax.scan(cell, (zeros, zeros), jnp.moveaxis(jnp.float32(seqs), 1, 0) @ W + b)
    return jnp.mean((jnp.moveaxis(out, 0, 1) @ w["answer/kernel"] + w["answer/bias"] - jnp.float32(kept)) ** 2)


@pytest.mark.slow
def test_two_units_learn_to_keep_as_in_jax(tmp_path):
    with kernel(tmp_path, "full") as k:
        k.run("07_the_lstm")
        ours, apart = k.value("error"), k.value("float(apart)")
        first = {n: k.value(f"(lambda s: {{v.node.name: s.variables[v.node.name].tolist() for v in s.graph.trainable_variables}})(learner({n!r}))") for n in ours}
        gates = k.value("[float(gates[g][0, where, unit].mean()) for g in 'fi' for where in (~switched, switched)]")

    def latch(rng, n, time=30):
        value, write = rng.uniform(-1, 1, (n, time)), rng.random((n, time)) < 0.2
        kept, held = np.zeros((n, time)), np.zeros(n)
        for t in range(time):
            held = np.where(write[:, t], value[:, t], held)
            kept[:, t] = held
        return np.stack([value, write], axis=-1), kept[..., None]
    theirs = {}
    for kind, weights in first.items():
        rng = np.random.default_rng(0)
        w, _ = adam(loss, weights, (latch(rng, 32) for _ in range(STEPS)), lambda k: 0.01, clip_norm=1.0)
        theirs[kind] = float(loss(w, *latch(np.random.default_rng(1), 500)))
        print(f"{kind:5}: mean squared error {ours[kind]:.5f}, in JAX {theirs[kind]:.5f}")
        assert 0.5 < ours[kind] / theirs[kind] < 2
    assert apart < 1e-5
    assert ours["lstm"] < 0.002 and ours["gru"] < 0.002 and ours["rnn"] > 0.02
    assert gates[0] > 0.6 and gates[1] < 0.3 and gates[2] < 0.3 and gates[3] > 0.6      # f as a rule and where something is written, then i
