"""Both pairings of the lesson on convolution with all their epochs, beside JAX."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from lesson_kernel import kernel

NAME = "04_convolution"
SIGMOID, RELU = "sigmoid, average", "ReLU, max"
WEIGHTS = [f"{layer}/{part}" for layer in ("conv_1", "conv_2", "out") for part in ("kernel", "bias")]


@pytest.mark.slow
def test_both_pairings_come_to_what_it_says_and_to_what_jax_comes_to(tmp_path, capsys):
    with kernel(tmp_path, "full") as k:
        k.run(NAME)
        begin = k.value("{name: {n: v.tolist() for n, v in values.items()} for name, values in begin.items()}")
        k.do("np.savez('data.npz', image=images, label=labels, order=order)")
        batches = k.value("[b['at'].tolist() for p in [fl.data.Pipeline({'at': np.arange(1200)}).shuffle(seed=1).batch(32)] for _ in range(epochs) for b in p]")
        ours = k.value("{name: [float(v) for v in sess.run(['loss', 'accuracy'], test)] for name, sess in sessions.items()}")
        curves, reads, changes = k.value("{name: h.validation['accuracy'] for name, h in histories.items()}"), k.value("reads"), k.value("list(changes.values())")
        taught = k.value("[float(taught.run('accuracy', shifted(test, k))) for k in (-2, -1, 0, 1, 2)]")
        heart = k.value("[float(by_heart.run('accuracy', data)) for data in (few, test)]")
    assert ours[RELU][1] > 0.97 and 0.7 < ours[SIGMOID][1] < 0.95 and ours["dense"][1] > 0.95
    assert curves[SIGMOID][2] < 0.3 and curves[SIGMOID][-1] > curves[SIGMOID][9] and curves[RELU][0] > 0.6
    assert all(conv < before and pool > before / 2 for change in changes for before, conv, pool in ((change[1], change[2], change[2]), (change[3], change[4], change[4])))
    assert max(reads[RELU][1], reads[RELU][3]) < 0.9 and all(reads[RELU][k] > reads["dense"][k] for k in (0, 1, 3, 4)) and min(taught) > 0.9
    assert heart[0] == 1 and heart[1] < 0.92

    data = np.load(tmp_path / "data.npz")
    image, label = data["image"][data["order"]], data["label"][data["order"]]
    with capsys.disabled():
        print()
        for name, activation, pool in ((SIGMOID, jax.nn.sigmoid, mean_pool), (RELU, jax.nn.relu, max_pool)):
            p = {n: jnp.float32(begin[name][n]) for n in WEIGHTS}
            p = trained(p, activation, pool, image, label, batches)
            loss, accuracy = (float(v) for v in measured(p, activation, pool, image[1200:], label[1200:]))
            print(f"{name}: test loss {ours[name][0]:.4f}, accuracy {ours[name][1]:.1%}; JAX {loss:.4f}, {accuracy:.1%}")
            assert abs(ours[name][1] - accuracy) < 0.015 and abs(ours[name][0] - loss) < 0.03


def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def mean_pool(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID") / 4


def measured(p, activation, pool, x, label):
    for layer, padding in (("conv_1", "SAME"), ("conv_2", "VALID")):
        x = pool(activation(lax.conv_general_dilated(x, p[f"{layer}/kernel"], (1, 1), padding) + p[f"{layer}/bias"][:, None, None]))
    logits = x.reshape(len(x), -1) @ p["out/kernel"] + p["out/bias"]
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(label)), label]), jnp.mean(jnp.argmax(logits, axis=1) == label)


def trained(p, activation, pool, image, label, batches, rate=0.01, b1=0.9, b2=0.999, eps=1e-8):
    """Adam, as its paper has it."""
    slope = jax.jit(jax.grad(lambda p, x, y: measured(p, activation, pool, x, y)[0]))
    m = v = {n: jnp.zeros_like(w) for n, w in p.items()}
    for t, at in enumerate(batches, start=1):
        g = slope(p, image[np.array(at)], label[np.array(at)])
        m = {n: b1 * m[n] + (1 - b1) * g[n] for n in p}
        v = {n: b2 * v[n] + (1 - b2) * g[n] ** 2 for n in p}
        p = {n: p[n] - rate * (m[n] / (1 - b1 ** t)) / (jnp.sqrt(v[n] / (1 - b2 ** t)) + eps) for n in p}
    return p
