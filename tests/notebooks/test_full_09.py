"""The lesson on strokes and sound with all its examples and epochs, beside JAX: the same networks, first weights, batches and steps."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lesson_kernel import kernel

EPOCHS = 8


def reads(x, lengths, kernel, recurrent_kernel, bias):
    """An LSTM over (batch, time, features): its output at every timestep, and its last state; a row that has ended stays as it is."""
    units = recurrent_kernel.shape[0]

    def step(state, at):
        (h, c), (x_t, t) = state, at
        i, f, g, o = jnp.split(x_t @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        new_c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        new_h = jax.nn.sigmoid(o) * jnp.tanh(new_c)
        there = (t < lengths)[:, None]
        return (jnp.where(there, new_h, h), jnp.where(there, new_c, c)), jnp.where(there, new_h, 0)

    zeros = jnp.zeros((x.shape[0], units))
    (h, _), out = jax.lax.scan(step, (zeros, zeros), (x.transpose(1, 0, 2), jnp.arange(x.shape[1])))
    return out.transpose(1, 0, 2), h


def turned(x, lengths):
    """Every row from its own end to its beginning."""
    t = jnp.arange(x.shape[1])[None]
    return jnp.take_along_axis(x, jnp.where(t < lengths[:, None], lengths[:, None] - 1 - t, t)[:, :, None], axis=1)


def layer(weights, name):
    return [weights[f"{name}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")]


def of_the_pen(weights, moves, lengths):
    """Scores after every move, by one reader or by two."""
    x = moves * jnp.array([8.0, 8.0, 1.0])
    if "lstm/kernel" in weights:
        out, _ = reads(x, lengths, *layer(weights, "lstm"))
    else:
        behind, _ = reads(turned(x, lengths), lengths, *layer(weights, "lstm/backward"))
        out = jnp.concatenate([reads(x, lengths, *layer(weights, "lstm/forward"))[0], turned(behind, lengths)], axis=2)
    return out @ weights["scores/kernel"] + weights["scores/bias"]


def pen_loss(weights, moves, lengths, digit):
    there = jnp.arange(moves.shape[1])[None] < lengths[:, None]
    picked = jnp.take_along_axis(jax.nn.log_softmax(of_the_pen(weights, moves, lengths)), digit[:, None, None], axis=2)[:, :, 0]
    return -(picked * there).sum() / there.sum()


def of_the_ear(weights, frames, lengths):
    there = (jnp.arange(frames.shape[1])[None] < lengths[:, None])[:, :, None]
    average = (frames * there).sum(axis=1) / lengths[:, None]
    hidden = jax.nn.relu(average @ weights["hidden/kernel"] + weights["hidden/bias"])
    _, last = reads(frames, lengths, *layer(weights, "lstm"))
    return hidden @ weights["by_mean/kernel"] + weights["by_mean/bias"], last @ weights["by_order/kernel"] + weights["by_order/bias"]


def ear_loss(weights, frames, lengths, word):
    return sum(-jnp.take_along_axis(jax.nn.log_softmax(scores), word[:, None], axis=1).mean() for scores in of_the_ear(weights, frames, lengths))


def trained(loss, weights, arrays, batch):
    """Adam with a rate that goes up to 1e-2 and down again over half a cosine each, as torch's OneCycleLR; rows in the order that a Pipeline with seed 0 shuffles them into."""
    count = len(arrays[0])
    steps = EPOCHS * -(-count // batch)
    top, first, last = 0.3 * steps - 1, 1e-2 / 25, 1e-2 / 25 / 1e4
    k = np.arange(steps)
    rates = np.where(k < top, 1e-2 + (first - 1e-2) * (1 + np.cos(np.pi * k / top)) / 2, last + (1e-2 - last) * (1 + np.cos(np.pi * (k - top) / (steps - 1 - top))) / 2)

    @jax.jit
    def go(weights, m, v, t, rate, *rows):
        slopes = jax.grad(loss)(weights, *rows)
        m = jax.tree.map(lambda a, s: 0.9 * a + 0.1 * s, m, slopes)
        v = jax.tree.map(lambda a, s: 0.999 * a + 0.001 * s * s, v, slopes)
        return jax.tree.map(lambda w, a, b: w - rate * (a / (1 - 0.9**t)) / (jnp.sqrt(b / (1 - 0.999**t)) + 1e-8), weights, m, v), m, v

    weights = {name: jnp.array(value) for name, value in weights.items()}
    m = v = jax.tree.map(jnp.zeros_like, weights)
    t = 0
    for epoch in range(EPOCHS):
        order = np.random.default_rng([0, epoch]).permutation(count)
        for k in range(0, count, batch):
            t += 1
            weights, m, v = go(weights, m, v, float(t), rates[t - 1], *(a[order[k:k + batch]] for a in arrays))
    return weights


@pytest.mark.slow
def test_the_pen_and_the_ear_learn_as_in_jax(tmp_path):
    with kernel(tmp_path, "full") as k:
        print(k.run("09_strokes_and_sound"))
        k.do("np.savez('data.npz', moves=moves, lengths=lengths, digits=digits, unseen_moves=unseen_moves, unseen_lengths=unseen_lengths, unseen_digits=unseen_digits, "
             "**{f'heard_{n}': a for n, a in heard.items()}, **{f'unheard_{n}': a for n, a in unheard.items()})")
        for name, graph in (("pen", "pen"), ("both", "both_sess.graph"), ("ear", "ear")):
            k.do(f"np.savez('{name}.npz', **{{n: w for n, w in fl.Session({graph}, seed=0).variables.items() if n.split('/')[-1] in ('kernel', 'recurrent_kernel', 'bias')}})")
        ours = {"pen at the end": k.value("float(one_way[-1])"), "pen after a tenth": k.value("float(one_way[0])"), "both at the end": k.value("float(two_ways[-1])"),
                "both after a tenth": k.value("float(two_ways[0])"), "ear by the mean": k.value("accuracy['mean']"), "ear by the LSTM": k.value("accuracy['LSTM']")}
    data, theirs = dict(np.load(tmp_path / "data.npz")), {}
    for name in ("pen", "both"):
        weights = trained(pen_loss, dict(np.load(tmp_path / f"{name}.npz")), [data["moves"], data["lengths"], data["digits"]], 32)
        answers = np.asarray(of_the_pen(weights, data["unseen_moves"], data["unseen_lengths"]).argmax(axis=2))
        for where, share in (("at the end", 1.0), ("after a tenth", 0.1)):
            moment = np.ceil(share * data["unseen_lengths"]).astype(int) - 1
            theirs[f"{name} {where}"] = float((answers[np.arange(len(answers)), moment] == data["unseen_digits"]).mean())
    weights = trained(ear_loss, dict(np.load(tmp_path / "ear.npz")), [data["heard_frames"], data["heard_lengths"], data["heard_word"]], 16)
    for name, scores in zip(("mean", "LSTM"), of_the_ear(weights, data["unheard_frames"], data["unheard_lengths"])):
        theirs[f"ear by the {name}"] = float((np.asarray(scores.argmax(axis=1)) == data["unheard_word"]).mean())
    for name in ours:
        print(f"{name:20} flowlab {ours[name]:6.1%}   JAX {theirs[name]:6.1%}")
    assert ours["pen at the end"] >= 0.95 and ours["both at the end"] >= 0.97 and ours["both after a tenth"] >= 0.9 > ours["pen after a tenth"]
    assert ours["ear by the LSTM"] >= 0.97 and 0.4 <= ours["ear by the mean"] <= 0.6
    for name in ours:
        assert abs(ours[name] - theirs[name]) <= 0.04, name
