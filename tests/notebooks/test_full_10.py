"""The ward with all its epochs; its healthy network beside JAX."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lesson_kernel import kernel

NAME = "10_debugging_a_sick_network"
LAYERS = ("hidden_1", "hidden_2", "out")


@pytest.mark.slow
def test_each_patient_has_what_it_says_and_the_healthy_one_is_that_of_jax(tmp_path, capsys):
    with kernel(tmp_path, "full") as k:
        k.run(NAME)
        k.do("np.savez('data.npz', x=pixels, label=labels, cut=cut, **{n.replace('/', '.'): v for n, v in begin.items()})")
        batches = k.value("[b['at'].tolist() for p in [fl.data.Pipeline({'at': np.arange(cut)}).shuffle(seed=1).batch(32)] for _ in range(10) for b in p]")
        ours = k.value("[float(v) for v in healthy.run(['loss', 'accuracy'], test)]")
        assert k.value("bool(heart.run('loss', ten) < 0.05 and abs(float(fl.Session(sound, seed=0).run('loss', train)) - np.log(10)) < 0.4)")
        assert k.value("nan.stopped") == "nan"
        assert k.value("bool(zeros['patient'][1] == 1 and max(slopes['patient']) == 0 and max(zeros['sound']) < 0.6)")
        assert k.value("bool(all(abs(v - np.log(10)) < 0.02 for v in lies_flat.epochs['loss']) and again.epochs['loss'][-1] < 0.3)")
        assert k.value("bool(forwards['too large'][-1] > 100 * forwards['too large'][0] and backwards['too large'][0] > 100 * backwards['too large'][-1])")
        assert k.value("bool(forwards['too small'][0] > 100 * forwards['too small'][-1] and backwards['too small'][-1] > 100 * backwards['too small'][0])")
        assert k.value("bool(max(max(v['he_normal']) / min(v['he_normal']) for v in (forwards, backwards)) < 5)")
        clipped = k.value("[[f.stopped, float(s.run('accuracy', test))] for s, f in ends.values()]")
        assert clipped[0][0] == "nan" and clipped[2][1] > clipped[1][1] > 0.5
        rates = k.value("{r: float(np.mean(f.steps['loss'][-40:])) for r, f in rates.items()}")
        assert rates["0.1"] < 0.3 < rates["0.003"] and rates["2.0"] > np.log(10) - 0.05
        assert k.value("bool(float(summed.run('accuracy', test)) < 0.3 and apart < 0.01 and min(float(s.run('accuracy', test)) for s in adam) > 0.9)")
        assert k.value("compared.first.tensor") == "lstm/i:0"

    data = np.load(tmp_path / "data.npz")
    p = {n: jnp.asarray(data[n.replace("/", ".")]) for layer in LAYERS for n in (f"{layer}/kernel", f"{layer}/bias")}
    slope = jax.jit(jax.grad(lambda p, x, label: measured(p, x, label)[0]))
    for at in batches:
        g = slope(p, data["x"][np.array(at)], data["label"][np.array(at)])
        p = {n: p[n] - 0.1 * g[n] for n in p}
    loss, accuracy = (float(v) for v in measured(p, data["x"][data["cut"]:], data["label"][data["cut"]:]))
    with capsys.disabled():
        print(f"\n{len(batches)} steps of SGD: test loss {ours[0]:.4f}, accuracy {ours[1]:.1%}; JAX {loss:.4f}, {accuracy:.1%}")
    assert ours[1] > 0.92 and abs(ours[1] - accuracy) < 0.01 and abs(ours[0] - loss) < 0.005


def measured(p, x, label):
    for layer in LAYERS:
        x = x @ p[f"{layer}/kernel"] + p[f"{layer}/bias"]
        x = x if layer == "out" else jnp.maximum(x, 0)
    return -jnp.mean(jax.nn.log_softmax(x)[jnp.arange(len(label)), label]), jnp.mean(jnp.argmax(x, axis=1) == label)
