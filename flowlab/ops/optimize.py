"""The arithmetic of optimizers that would be many small nodes otherwise."""
from __future__ import annotations

from typing import Any

from ..core.errors import ShapeError
from ..core.op import op
from ..core.types import TensorType, shape_text


def _adam(value: TensorType, grad: TensorType, m: TensorType, v: TensorType, *scalars: TensorType, **_: Any) -> tuple[TensorType, ...]:
    for t, port in ((grad, "grad"), (m, "m"), (v, "v")):
        if t.rank != value.rank or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(t.shape, value.shape)):
            raise ShapeError(f"adam: {port} is {shape_text(t.shape)}, the variable {shape_text(value.shape)}.", port=port)
    return value, value, value


@op(infer=_adam, type="AdamUpdate", category="state", outputs=("value", "m", "v"), listed=False, differentiable=False, zh="亚当更新",
    latex=r"W \leftarrow W - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)")
def adam_update(xp, value: Float, grad: Float, m: Float, v: Float, lr: Float, step: Float, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
                weight_decay: float = 0.0):
    """Move a variable against its gradient, by a step that its recent mean and size decide.

    Source: Kingma & Ba 2015, as torch.optim.Adam computes it; weight_decay is decoupled (Loshchilov & Hutter 2019).
    """
    new_m = xp.multiply(m, beta1, xp.workspace(m.shape, m.dtype))
    part = xp.multiply(grad, 1 - beta1, xp.workspace(m.shape, m.dtype))
    xp.add(new_m, part, new_m)
    xp.multiply(grad, grad, part)
    xp.multiply(part, 1 - beta2, part)
    new_v = xp.multiply(v, beta2, xp.workspace(v.shape, v.dtype))
    xp.add(new_v, part, new_v)
    t = float(step)
    size, correction = float(lr) / (1 - beta1 ** t), (1 - beta2 ** t) ** 0.5
    xp.sqrt(new_v, part)
    xp.multiply(part, 1 / correction, part)
    xp.add(part, eps, part)
    xp.true_divide(new_m, part, part)
    xp.multiply(part, size, part)
    if weight_decay:
        new_value = xp.multiply(value, 1 - float(lr) * weight_decay, xp.workspace(value.shape, value.dtype))
        xp.subtract(new_value, part, new_value)
    else:
        new_value = xp.subtract(value, part, part)
    return new_value, new_m, new_v
