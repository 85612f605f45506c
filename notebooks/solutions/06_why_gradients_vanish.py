"""The exercises of the sixth lesson with their solutions: for teachers."""
from __future__ import annotations

import numpy as np

import flowlab as fl

# ---------------------------------------------------------------- clip by the global norm


def _pair():
    return fl.placeholder((3,), name="a"), fl.placeholder((2, 2), name="b"), fl.placeholder((), name="limit")


def clip():
    a, b, limit = _pair()
    scale = fl.minimum(1.0, limit / fl.sqrt(fl.sum(a * a) + fl.sum(b * b)))
    fl.multiply(a, scale, name="clipped_a")
    fl.multiply(b, scale, name="clipped_b")


def clip_by_the_larger():
    a, b, limit = _pair()
    norm = fl.linalg.norm(fl.concat([a, fl.reshape(b, (-1,))], axis=0))
    for g in (a, b):
        g * (limit / fl.maximum(norm, limit))


def clip_where_it_is_longer():
    a, b, limit = _pair()
    norm = (fl.sum(fl.square(a)) + fl.sum(fl.square(b))) ** 0.5
    fl.where(norm > limit, a * limit / norm, a)
    fl.where(norm > limit, b * limit / norm, b)


def clip_each_alone():
    for g, name in zip(_pair()[:2], "ab"):
        limit = g.graph.node("limit").outputs[0]
        fl.multiply(g, fl.minimum(1.0, limit / fl.sqrt(fl.sum(g * g))), name=f"clipped_{name}")


def clip_each_number():
    a, b, limit = _pair()
    fl.maximum(fl.minimum(a, limit), -limit, name="clipped_a")
    fl.maximum(fl.minimum(b, limit), -limit, name="clipped_b")


def clip_always():
    a, b, limit = _pair()
    scale = limit / fl.sqrt(fl.sum(a * a) + fl.sum(b * b))
    fl.multiply(a, scale, name="clipped_a")
    fl.multiply(b, scale, name="clipped_b")


def clip_by_the_square():
    a, b, limit = _pair()
    scale = fl.minimum(1.0, limit / (fl.sum(a * a) + fl.sum(b * b)))
    fl.multiply(a, scale, name="clipped_a")
    fl.multiply(b, scale, name="clipped_b")


def some_gradients(rng: np.random.Generator) -> dict[str, np.ndarray]:
    size = rng.choice([0.1, 3.0])
    return {"a": (size * rng.normal(size=3)).astype("float32"), "b": (size * rng.normal(size=(2, 2))).astype("float32"), "limit": np.float32(rng.uniform(0.8, 1.5))}


# ---------------------------------------------------------------- back through three timesteps


def _unit():
    return fl.placeholder((), name="w"), fl.placeholder(("units",), name="h0")


def _forward():
    w, h = _unit()
    states = [h]
    for _ in range(3):
        states.append(fl.tanh(w * states[-1]))
    return w, states


def back():
    w, (_, h1, h2, h3) = _forward()
    fl.multiply(w ** 3.0 * (1 - h1 * h1) * (1 - h2 * h2), 1 - h3 * h3, name="slope")


def back_by_steps():
    w, states = _forward()
    slope = fl.ones_like(states[0])
    for h in states[:0:-1]:
        slope = slope * (1 - fl.square(h)) * w
    fl.identity(slope, name="slope")


def back_by_gradients():
    _, states = _forward()
    fl.identity(fl.gradients(fl.sum(states[-1]), [states[0]])[0], name="slope")


def back_without_w():
    _, (_, h1, h2, h3) = _forward()
    fl.multiply((1 - h1 * h1) * (1 - h2 * h2), 1 - h3 * h3, name="slope")


def back_with_one_w():
    w, (_, h1, h2, h3) = _forward()
    fl.multiply(w * (1 - h1 * h1) * (1 - h2 * h2), 1 - h3 * h3, name="slope")


def back_as_a_sum():
    w, (_, h1, h2, h3) = _forward()
    fl.add(w * (1 - h1 * h1) + w * (1 - h2 * h2), w * (1 - h3 * h3), name="slope")


def back_one_early():
    w, (h0, h1, h2, _) = _forward()
    fl.multiply(w ** 3.0 * (1 - h0 * h0) * (1 - h1 * h1), 1 - h2 * h2, name="slope")


def back_through_the_last_alone():
    w, states = _forward()
    fl.multiply(w, 1 - states[-1] ** 2, name="slope")


TASKS = {
    "clip_by_global_norm": {
        "title": {"en": "Clip by the global norm", "zh-CN": "按全局范数裁剪"},
        "task": {"en": "Two gradients, `a` and `b`, are one vector of seven numbers. Where its length is more than `limit`, scale **both** by the same factor, so that the length is `limit`; otherwise leave them as they are. Two results: `a` and `b` after that.",
                 "zh-CN": "两个梯度 `a` 和 `b` 合起来是一个七个数的向量。如果它的长度超过 `limit`，就把**两者**乘以同一个系数，使长度等于 `limit`；否则保持原样。结果有两个：裁剪后的 `a` 和 `b`。"},
        "hints": {"en": ["The length is the root of the sum of all seven squares.", "The factor is limit / length, but never more than 1: `minimum`.", "One factor, two products."],
                  "zh-CN": ["长度是七个数平方和的平方根。", "系数是 limit / 长度，但不超过 1：`minimum`。", "一个系数，两次乘法。"]},
        "solution": clip, "others": [clip_by_the_larger, clip_where_it_is_longer],
        "mistakes": [(clip_each_alone, {"en": "Each gradient is measured alone here, so their direction as one vector changes: one length for both.", "zh-CN": "这里各量各的长度，合起来的方向就变了：两者只用一个长度。"}),
                     (clip_each_number, {"en": "Here every number is cut by itself, which changes the direction.", "zh-CN": "这里每个数单独截断，方向就变了。"}),
                     (clip_always, {"en": "Short gradients are made longer here: the factor is 1 at the most.", "zh-CN": "短的梯度在这里被拉长了：系数最多是 1。"}),
                     (clip_by_the_square, {"en": "This divides by the square of the length: a root is missing.", "zh-CN": "这里除以了长度的平方：少了一个平方根。"})],
        "options": {"cases": some_gradients},
    },
    "back_through_tanh": {
        "title": {"en": "Back through three timesteps", "zh-CN": "往回穿过三个时间步"},
        "task": {"en": "For each unit $h_1 = \\tanh(w h_0)$, $h_2 = \\tanh(w h_1)$, $h_3 = \\tanh(w h_2)$. Wire $\\partial h_3 / \\partial h_0$, a number a unit.",
                 "zh-CN": "对每个单元，$h_1 = \\tanh(w h_0)$，$h_2 = \\tanh(w h_1)$，$h_3 = \\tanh(w h_2)$。连出 $\\partial h_3 / \\partial h_0$，每个单元一个数。"},
        "hints": {"en": ["The slope of tanh at a is $1 - \\tanh^2 a$: it can be had from the result, $1 - h^2$.", "Each timestep gives one factor, $w\\,(1 - h_t^2)$.", "The chain rule multiplies: three timesteps, three factors."],
                  "zh-CN": ["tanh 在 a 处的斜率是 $1 - \\tanh^2 a$：用结果就能算，$1 - h^2$。", "每个时间步给出一个因子 $w\\,(1 - h_t^2)$。", "链式法则是相乘：三个时间步，三个因子。"]},
        "solution": back, "others": [back_by_steps, back_by_gradients],
        "mistakes": [(back_without_w, {"en": "w has no part in it yet: a timestep multiplies by w before its tanh.", "zh-CN": "w 还没有用上：每个时间步在 tanh 之前都乘了 w。"}),
                     (back_with_one_w, {"en": "w is there once, but it is passed at every timestep.", "zh-CN": "w 只乘了一次，而每个时间步都要经过它。"}),
                     (back_as_a_sum, {"en": "Factors along one way are multiplied; only different ways are added.", "zh-CN": "同一条路上的因子要相乘；不同的路才相加。"}),
                     (back_one_early, {"en": "The slope of a tanh is that of its own result: h1, h2 and h3, not h0, h1 and h2.", "zh-CN": "tanh 的斜率要用它自己的结果来算：h1、h2、h3，而不是 h0、h1、h2。"}),
                     (back_through_the_last_alone, {"en": "This is the last timestep alone, ∂h3/∂h2.", "zh-CN": "这只是最后一个时间步，∂h3/∂h2。"})],
        "options": {"cases": lambda rng: {"w": np.float32(rng.uniform(0.5, 1.5)), "h0": rng.normal(size=int(rng.integers(2, 6))).astype("float32")}},
    },
}
