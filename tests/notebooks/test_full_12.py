"""The lesson from lab to product with all its epochs, beside JAX: the same network, first weights, batches and steps; and without the packages that a student may not have."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lesson_kernel import kernel

EPOCHS, RATE = 30, 2e-3


def scores(weights, images, mean, spread):
    rows = (images.reshape(-1, 64).astype(jnp.float32) - mean) / spread
    hidden = jax.nn.relu(rows @ weights["hidden/kernel"] + weights["hidden/bias"])
    return hidden @ weights["scores/kernel"] + weights["scores/bias"]


def loss(weights, images, labels, mean, spread):
    return -jnp.take_along_axis(jax.nn.log_softmax(scores(weights, images, mean, spread)), labels[:, None], axis=1).mean()


@jax.jit
def step(weights, m, v, t, images, labels, mean, spread):
    """One step of Adam."""
    slopes = jax.grad(loss)(weights, images, labels, mean, spread)
    m = jax.tree.map(lambda a, s: 0.9 * a + 0.1 * s, m, slopes)
    v = jax.tree.map(lambda a, s: 0.999 * a + 0.001 * s * s, v, slopes)
    return jax.tree.map(lambda w, a, b: w - RATE * (a / (1 - 0.9**t)) / (jnp.sqrt(b / (1 - 0.999**t)) + 1e-8), weights, m, v), m, v


@pytest.mark.slow
def test_the_digits_are_learnt_as_in_jax_and_leave_unchanged(tmp_path):
    with kernel(tmp_path, "full") as k:
        print(k.run("12_from_lab_to_product"))
        k.do("np.savez('data.npz', images=images, labels=labels, mean=mean, spread=spread); "
             "np.savez('first.npz', **{n: w for n, w in fl.Session(g, seed=0).variables.items() if n.startswith(('hidden', 'scores'))})")
        ours, differences, statuses = k.value("accuracy"), k.value("differences"), k.value("statuses")
    data = np.load(tmp_path / "data.npz")
    images, labels, mean, spread = (data[name] for name in ("images", "labels", "mean", "spread"))
    weights = {name: jnp.array(value) for name, value in np.load(tmp_path / "first.npz").items()}
    m = v = jax.tree.map(jnp.zeros_like, weights)
    t = 0
    for epoch in range(EPOCHS):
        order = np.random.default_rng([0, epoch]).permutation(1_300)
        for first in range(0, 1_300, 32):
            t, rows = t + 1, order[first:first + 32]
            weights, m, v = step(weights, m, v, float(t), images[rows], labels[rows], mean, spread)
    theirs = float((np.asarray(scores(weights, images[1_300:], mean, spread).argmax(axis=1)) == labels[1_300:]).mean())
    print(f"digits read rightly: flowlab {ours:.1%}   JAX {theirs:.1%}")
    assert ours >= 0.97 and abs(ours - theirs) <= 0.01
    assert len(differences) == 5 and max(differences.values()) < 1e-5
    assert statuses == [200, 422, 422, 422, 422, 413]


@pytest.mark.slow
def test_without_the_packages_the_lesson_says_so_and_goes_on(tmp_path):
    with kernel(tmp_path) as k:
        k.do("import sys; sys.modules.update(dict.fromkeys(('onnx', 'onnxruntime', 'fastapi')))")
        told = k.run("12_from_lab_to_product")
        assert "pip install onnx onnxruntime" in told and "pip install 'flowlab[serve]'" in told
        assert k.value("sorted(differences)") == ["NumPy script", "flowlab run"] and k.value("statuses") == []
