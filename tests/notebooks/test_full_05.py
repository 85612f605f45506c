"""The lesson on the recurrent loop, on its full budget: what it reads of a real text, beside the same network in JAX."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beside_jax import adam, cross_entropy, one_cycle
from lesson_kernel import kernel

STEPS, BATCH, LENGTH = 1000, 16, 64


@pytest.mark.slow
def test_the_loop_guesses_as_well_as_the_best_window_and_as_well_as_in_jax(tmp_path):
    with kernel(tmp_path, "full") as k:
        k.run("05_the_recurrent_loop")
        ours, cut_off = k.value("{str(n): a for n, a in accuracy.items()}"), k.value("cut_off")
        known, exam, started = np.array(k.value("known.tolist()")), np.array(k.value("exam.tolist()")), k.value("started")
        assert k.value("[steps, batch, length]") == [STEPS, BATCH, LENGTH]
        first = k.value("(lambda s: {v.node.name: s.variables[v.node.name].tolist() for v in loop.trainable_variables})(fl.Session(loop, seed=0))")

    def scores(w, text):
        def cell(h, x):
            h = jnp.tanh(x @ w["rnn/kernel"] + h @ w["rnn/recurrent_kernel"] + w["rnn/bias"])
            return h, h
        x = jnp.moveaxis(w["characters/table"][text], 1, 0)
        _, out = jax.lax.scan(cell, jnp.zeros((text.shape[0], w["rnn/bias"].shape[0])), x)
        return jnp.moveaxis(out, 0, 1) @ w["out/kernel"] + w["out/bias"]

    def batches():
        rng, every = np.random.default_rng(0), np.lib.stride_tricks.sliding_window_view(known, LENGTH + 1)
        for _ in range(STEPS):
            piece = every[rng.integers(len(every), size=BATCH)]
            yield piece[:, :-1], piece[:, 1:]
    w, _ = adam(lambda w, x, y: cross_entropy(scores(w, x), y), first, batches(), one_cycle(2e-2, STEPS), clip_norm=1.0)
    theirs = float((np.asarray(jax.jit(scores)(w, exam[None, :-1]))[0].argmax(-1) == exam[1:])[started - 1:].mean())
    print(f"the loop: {ours['loop']:.2%}, in JAX {theirs:.2%}; windows: {ours}; cut off: {cut_off}")
    assert abs(ours["loop"] - theirs) < 0.015
    windows = [ours[n] for n in ("1", "2", "4", "8", "16")]
    assert ours["loop"] > 0.58 and abs(ours["loop"] - max(windows)) < 0.03          # as good as the best window
    assert max(windows) == ours["4"] and ours["16"] < ours["8"] < ours["4"]         # beyond it a window gets worse
    assert cut_off[3] > ours["loop"] - 0.03 and cut_off[1] < ours["loop"] - 0.1     # eight characters are nearly all it uses
