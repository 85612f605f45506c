"""The first network with all its epochs, beside JAX."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lesson_kernel import kernel

NAME = "03_a_first_network"


@pytest.mark.slow
def test_it_comes_to_what_it_says_and_to_what_jax_comes_to(tmp_path, capsys):
    with kernel(tmp_path, "full") as k:
        k.run(NAME)
        begin, test, steps = (k.value(e) for e in ("{n: v.tolist() for n, v in begin.items()}", "{n: v.tolist() for n, v in test.items()}",
                                                   "[{n: v.tolist() for n, v in b.items()} for p in [batches()] for _ in range(epochs) for b in p]"))
        ours = k.value("[float(v) for v in by_fit.run(['loss', 'accuracy'], test)]")
        lines, bent = k.value("[float(models[n].run('accuracy', validation)) for n in list(models)[:2]]"), k.value("float(bent.run('accuracy', validation))")
        few, others = k.value("[told.epochs['loss'][-1], told.epochs['accuracy'][-1]]"), k.value("[min(told.validation['loss']), told.validation['loss'][-1]]")
        losses = k.value("{n: float(s.run('loss', sealed)) for n, (s, _) in cures.items()}")
        k.do("def mine():\n    return network('mine', hidden=(16, 16), activation='relu', optimizer=fl.optim.Adam(0.02))\n"
             "attempt = fl.Session(mine(), seed=0)\nfl.fit(attempt, 'train', arms, batch=32, epochs=40, progress=False)")
        assert k.value("reach.check(attempt).solved")
    assert all(0.8 < accuracy < 0.9 for accuracy in lines) and bent > 0.95
    assert few[0] < 1e-3 and few[1] == 1 and others[1] > 3 * others[0]
    assert max(losses, key=losses.get) == "24 points" and losses["24 points"] > 2 * losses["24, weight decay"]

    begin = {n: jnp.float32(begin[n]) for n in ("hidden_1/kernel", "hidden_1/bias", "out/kernel", "out/bias")}
    theirs = trained(begin, steps)
    loss, accuracy = (float(v) for v in measured(theirs, np.float32(test["x"]), np.array(test["label"])))
    with capsys.disabled():
        print(f"\n{len(steps)} steps, 1000 test points: loss {ours[0]:.4f}, accuracy {ours[1]:.1%}; JAX {loss:.4f}, {accuracy:.1%}")
    assert ours[1] > 0.95 and abs(ours[1] - accuracy) < 0.005 and abs(ours[0] - loss) < 0.003


def measured(p, x, label):
    logits = jnp.maximum(x @ p["hidden_1/kernel"] + p["hidden_1/bias"], 0) @ p["out/kernel"] + p["out/bias"]
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(label)), label]), jnp.mean(jnp.argmax(logits, axis=1) == label)


def trained(p, steps, rate=0.02, b1=0.9, b2=0.999, eps=1e-8):
    """Adam, as its paper has it."""
    slope = jax.jit(jax.grad(lambda p, x, label: measured(p, x, label)[0]))
    m = v = {n: jnp.zeros_like(w) for n, w in p.items()}
    for t, batch in enumerate(steps, start=1):
        g = slope(p, np.float32(batch["x"]), np.array(batch["label"]))
        m = {n: b1 * m[n] + (1 - b1) * g[n] for n in p}
        v = {n: b2 * v[n] + (1 - b2) * g[n] ** 2 for n in p}
        p = {n: p[n] - rate * (m[n] / (1 - b1 ** t)) / (jnp.sqrt(v[n] / (1 - b2 ** t)) + eps) for n in p}
    return p
