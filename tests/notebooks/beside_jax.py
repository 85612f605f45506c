"""Training in JAX on the CPU, written by hand: what a lesson's numbers are held against."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def one_cycle(max_rate: float, steps: int) -> Callable[[int], float]:
    """Up to `max_rate` over three tenths of the steps, then down, each along half a cosine (Smith & Topin 2018, with the shares of torch's OneCycleLR)."""
    first, top = max_rate / 25, 0.3 * steps - 1

    def between(a: float, b: float, share: float) -> float:
        return b + (a - b) * (1 + np.cos(np.pi * share)) / 2
    return lambda k: between(first, max_rate, k / top) if k < top else between(max_rate, first / 1e4, (k - top) / (steps - 1 - top))


def adam(loss: Callable[..., Any], weights: dict[str, Any], batches: Iterable[tuple], rate: Callable[[int], float], clip_norm: float | None = None) -> tuple[dict[str, Any], list[float]]:
    """The weights after Adam (Kingma & Ba 2015) has seen the batches, and the loss before each step; `loss(weights, *batch)` is what it goes down on."""
    @jax.jit
    def step(w: Any, m: Any, v: Any, k: Any, rate: Any, batch: Any) -> Any:
        value, g = jax.value_and_grad(loss)(w, *batch)
        if clip_norm is not None:
            norm = jnp.sqrt(sum(jnp.sum(x * x) for x in g.values()))
            g = {n: x * jnp.minimum(1.0, clip_norm / (norm + 1e-6)) for n, x in g.items()}
        m = {n: 0.9 * m[n] + 0.1 * g[n] for n in g}
        v = {n: 0.999 * v[n] + 0.001 * g[n] ** 2 for n in g}
        return {n: w[n] - rate * (m[n] / (1 - 0.9 ** k)) / (jnp.sqrt(v[n] / (1 - 0.999 ** k)) + 1e-8) for n in g}, m, v, value
    w = {n: jnp.float32(x) for n, x in weights.items()}
    m = v = {n: jnp.zeros_like(x) for n, x in w.items()}
    losses = []
    for k, batch in enumerate(batches):
        w, m, v, value = step(w, m, v, k + 1.0, rate(k), batch)
        losses.append(float(value))
    return w, losses


def cross_entropy(scores: Any, labels: Any) -> Any:
    """The mean surprise at the labels."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), labels[..., None], axis=-1))
