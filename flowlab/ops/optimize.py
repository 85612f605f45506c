"""The arithmetic of optimizers that would be many small nodes otherwise."""
from __future__ import annotations

from typing import Any

from ..core.errors import ShapeError
from ..core.op import op
from ..core.types import TensorType, shape_text


def _fits(word: str, value: TensorType, *others: tuple[TensorType, str]) -> None:
    for t, port in others:
        if t.rank != value.rank or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(t.shape, value.shape)):
            raise ShapeError(f"{word}: {port} is {shape_text(t.shape)}, the variable {shape_text(value.shape)}.", port=port)


def _adam(value: TensorType, grad: TensorType, m: TensorType, v: TensorType, *scalars: TensorType, **_: Any) -> tuple[TensorType, ...]:
    _fits("adam", value, (grad, "grad"), (m, "m"), (v, "v"))
    return value, value, value


@op(infer=_adam, type="AdamUpdate", category="state", outputs=("value", "m", "v"), listed=False, differentiable=False, zh="亚当更新",
    latex=r"W \leftarrow W - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)")
def adam_update(xp, value: Float, grad: Float, m: Float, v: Float, lr: Float, step: Float, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
                weight_decay: float = 0.0):
    """Move a variable against its gradient, by a step that its recent mean and size decide.

    Source: Kingma & Ba 2015, as torch.optim.Adam computes it; weight_decay is decoupled (Loshchilov & Hutter 2019).
    """
    t = float(step)
    size, correction = float(lr) / (1 - beta1 ** t), (1 - beta2 ** t) ** 0.5
    new_value, new_m, new_v = (xp.workspace(value.shape, value.dtype) for _ in range(3))
    for rows in xp.blocks(value.shape):
        w, a, b, g = new_value[rows], new_m[rows], new_v[rows], grad[rows]
        xp.multiply(m[rows], beta1, a)
        xp.multiply(g, 1 - beta1, w)            # w serves as scratch until the end
        xp.add(a, w, a)
        xp.multiply(v[rows], beta2, b)
        xp.multiply(g, g, w)
        xp.multiply(w, 1 - beta2, w)
        xp.add(b, w, b)
        xp.sqrt(b, w)
        xp.multiply(w, 1 / correction, w)
        xp.add(w, eps, w)
        xp.true_divide(a, w, w)
        xp.multiply(w, size, w)
        if weight_decay:
            xp.subtract(value[rows] * (1 - float(lr) * weight_decay), w, w)
        else:
            xp.subtract(value[rows], w, w)
    return new_value, new_m, new_v


def _sgd(value: TensorType, grad: TensorType, lr: TensorType, **_: Any) -> TensorType:
    _fits("sgd", value, (grad, "grad"))
    return value


@op(infer=_sgd, type="SGDUpdate", category="state", listed=False, differentiable=False, zh="梯度下降更新", latex=r"W \leftarrow W - \eta\, \partial L / \partial W")
def sgd_update(xp, value: Float, grad: Float, lr: Float):
    """Move a variable one step of the learning rate against its gradient."""
    out = xp.workspace(value.shape, value.dtype)
    _descend(xp, value, grad, lr, out)
    return out


def _descend(xp, value, grad, lr, out):
    for rows in xp.blocks(value.shape, 1 << 18):
        part = out[rows]
        xp.multiply(grad[rows], lr, part)
        xp.subtract(value[rows], part, part)


@sgd_update.kernel("over")
def _(xp, value, grad, lr, *, out):
    _descend(xp, value, grad, lr, out)
