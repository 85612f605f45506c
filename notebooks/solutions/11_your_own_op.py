"""The exercises of the eleventh lesson with their solutions: for teachers. `python tools/lessons.py exercises` writes what students get. The third is defined in the notebook."""
from __future__ import annotations

import flowlab as fl


def _hat():
    return fl.placeholder(("n",), name="x"), fl.placeholder(("n",), name="g")


def _bell(x):
    return fl.exp(-0.5 * x ** 2)


def hat():
    x, g = _hat()
    fl.multiply(g, (x ** 3 - 3 * x) * _bell(x), name="dx")


def hat_factored():
    x, g = _hat()
    x * g * (x * x - 3) / fl.exp(x * x / 2)


def hat_by_the_product_rule():
    x, g = _hat()
    bell = _bell(x)
    g * (-2 * x * bell) + g * (1 - x ** 2) * (-x * bell)


def hat_alone():
    x, _ = _hat()
    fl.multiply(x ** 3 - 3 * x, _bell(x), name="dx")


def hat_of_the_bell():
    x, g = _hat()
    fl.multiply(g, (1 - x ** 2) * (-x * _bell(x)), name="dx")


def hat_of_the_bracket():
    x, g = _hat()
    fl.multiply(g, -2 * x * _bell(x), name="dx")


def hat_upside_down():
    x, g = _hat()
    fl.multiply(g, (3 * x - x ** 3) * _bell(x), name="dx")


def _sums():
    return fl.placeholder(("time",), name="g")


def sums():
    g = _sums()
    fl.flip(fl.cumsum(fl.flip(g, axis=0), axis=0), axis=0, name="dx")


def sums_as_a_rest():
    g = _sums()
    fl.sum(g) - fl.cumsum(g, axis=0) + g


def sums_by_a_triangle():
    g = _sums()
    earlier = fl.cumsum(fl.ones_like(g), axis=0)
    fl.sum(fl.where(fl.greater_equal(fl.expand_dims(earlier, 0), fl.expand_dims(earlier, 1)), fl.expand_dims(g, 0), 0.0), axis=1)


def sums_forwards():
    g = _sums()
    fl.cumsum(g, axis=0, name="dx")


def sums_without_its_own():
    g = _sums()
    fl.subtract(fl.sum(g), fl.cumsum(g, axis=0), name="dx")


def sums_of_all():
    g = _sums()
    fl.multiply(fl.sum(g), fl.ones_like(g), name="dx")


def sums_handed_on():
    g = _sums()
    fl.identity(g, name="dx")


TASKS = {
    "slope_of_the_hat": {
        "title": {"en": "The derivative of the hat", "zh-CN": "帽子的导数"},
        "task": {"en": "$h(x) = (1 - x^2)\\,e^{-x^2/2}$. From `x`, and `g` that comes back to $h$, wire the gradient by $x$: $g \\cdot h'(x)$.",
                 "zh-CN": "$h(x) = (1 - x^2)\\,e^{-x^2/2}$。由 `x` 和传回 $h$ 的 `g`，连出对 $x$ 的梯度：$g \\cdot h'(x)$。"},
        "hints": {"en": ["It is a product: differentiate the bracket and leave the bell, then the other way round, and add.", "The bell $e^{-x^2/2}$ has the derivative $-x\\,e^{-x^2/2}$.", "Together: $(x^3 - 3x)\\,e^{-x^2/2}$. And what of `g`?"],
                  "zh-CN": ["这是一个乘积：先对括号求导，钟形不动；再反过来；最后相加。", "钟形 $e^{-x^2/2}$ 的导数是 $-x\\,e^{-x^2/2}$。", "合起来：$(x^3 - 3x)\\,e^{-x^2/2}$。那 `g` 呢？"]},
        "solution": hat, "others": [hat_factored, hat_by_the_product_rule],
        "mistakes": [(hat_alone, {"en": "This is the local derivative. What comes back, g, has no part in it yet.", "zh-CN": "这是局部导数。传回来的 g 还没有用上。"}),
                     (hat_of_the_bell, {"en": "The bell is differentiated here; the bracket depends on x, too.", "zh-CN": "这里只对钟形求了导；括号也依赖 x。"}),
                     (hat_of_the_bracket, {"en": "The bracket is differentiated here; the bell depends on x, too.", "zh-CN": "这里只对括号求了导；钟形也依赖 x。"}),
                     (hat_upside_down, {"en": "Right but for the sign.", "zh-CN": "只差一个正负号。"})],
        "options": {"goals": "dx"},
    },
    "running_sum_backwards": {
        "title": {"en": "A running sum, backwards", "zh-CN": "累加和的反向"},
        "task": {"en": "$y_t = x_1 + \\dots + x_t$. From `g`, what comes back for every $y_t$, wire the gradient for every $x_t$. The series has any length.",
                 "zh-CN": "$y_t = x_1 + \\dots + x_t$。由传回每个 $y_t$ 的 `g`，连出每个 $x_t$ 的梯度。序列长度任意。"},
        "hints": {"en": ["x_t is part of y_t and of every later y. At a fork, gradients add up.", "So the gradient of x_t is g_t + g_{t+1} + … up to the end: a running sum from the other end.", "`flip` turns a series around."],
                  "zh-CN": ["x_t 在 y_t 里，也在以后的每个 y 里。在分叉处，梯度相加。", "所以 x_t 的梯度是 g_t + g_{t+1} + … 一直到最后：从另一头开始的累加和。", "`flip` 把序列倒过来。"]},
        "solution": sums, "others": [sums_as_a_rest, sums_by_a_triangle],
        "mistakes": [(sums_forwards, {"en": "This adds up what came before t. An x_t changes what comes after.", "zh-CN": "这加的是 t 之前的。x_t 改变的是它之后的。"}),
                     (sums_without_its_own, {"en": "x_t is in y_t itself, too.", "zh-CN": "x_t 也在 y_t 自己里面。"}),
                     (sums_of_all, {"en": "The last x is in one y alone, and the first in all.", "zh-CN": "最后的 x 只在一个 y 里，最前的在所有 y 里。"}),
                     (sums_handed_on, {"en": "This is the way to y_t alone; x_t is in every later y as well.", "zh-CN": "这只是到 y_t 的那条路；以后的每个 y 里也有 x_t。"})],
        "options": {"goals": "dx"},
    },
}
