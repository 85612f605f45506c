"""The exercises of the third lesson with their solutions: for teachers. `python tools/lessons.py exercises` writes what students get. The third, a score, is in the notebook."""
from __future__ import annotations

import numpy as np

import flowlab as fl


def _layers():
    return (fl.placeholder(("batch", 2), name="x"), fl.variable(fl.init.normal((2, 4), 0, 1), name="W1"), fl.variable(fl.init.normal((4,), 0, 1), name="b1"),
            fl.variable(fl.init.normal((4, 3), 0, 1), name="W2"), fl.variable(fl.init.normal((3,), 0, 1), name="b2"))


def layers():
    x, W1, b1, W2, b2 = _layers()
    fl.add(fl.tanh(x @ W1 + b1) @ W2, b2, name="logits")


def layers_by_sums():
    x, W1, b1, W2, b2 = _layers()
    h = fl.tanh(b1 + fl.sum(fl.expand_dims(x, 2) * W1, axis=1))
    b2 + fl.einsum("bh,ho->bo", h, W2)


def layers_by_sigmoids():
    x, W1, b1, W2, b2 = _layers()
    h = 2 * fl.sigmoid(2 * (x @ W1 + b1)) - 1
    fl.add(b2, h @ W2)


def layers_without_activation():
    x, W1, b1, W2, b2 = _layers()
    fl.add((x @ W1 + b1) @ W2, b2, name="logits")


def layers_with_one_more():
    x, W1, b1, W2, b2 = _layers()
    fl.tanh(fl.tanh(x @ W1 + b1) @ W2 + b2)


def layers_with_bias_outside():
    x, W1, b1, W2, b2 = _layers()
    fl.add((fl.tanh(x @ W1) + b1) @ W2, b2, name="logits")


def layers_with_relu():
    x, W1, b1, W2, b2 = _layers()
    fl.add(fl.relu(x @ W1 + b1) @ W2, b2, name="logits")


def _scores():
    return fl.placeholder(("batch", 3), name="logits"), fl.placeholder(("batch",), "int64", name="label")


def entropy():
    logits, label = _scores()
    shifted = logits - fl.max(logits, axis=1, keepdims=True)
    own = fl.sum(shifted * fl.one_hot(label, 3), axis=1)
    fl.subtract(fl.log(fl.sum(fl.exp(shifted), axis=1)), own, name="loss")


def entropy_by_log_softmax():
    logits, label = _scores()
    fl.negative(fl.reshape(fl.take_along_axis(fl.log_softmax(logits, axis=1), fl.expand_dims(label, 1), axis=1), (-1,)))


def entropy_by_logsumexp():
    logits, label = _scores()
    fl.logsumexp(logits, axis=1) - fl.einsum("bc,bc->b", logits, fl.one_hot(label, 3))


def entropy_that_overflows():
    logits, label = _scores()
    fl.log(fl.sum(fl.exp(logits), axis=1)) - fl.sum(logits * fl.one_hot(label, 3), axis=1)


def entropy_of_a_rounded_probability():
    logits, label = _scores()
    fl.negative(fl.log(fl.sum(fl.softmax(logits, axis=1) * fl.one_hot(label, 3), axis=1)))


def entropy_as_a_mean():
    logits, label = _scores()
    fl.mean(fl.logsumexp(logits, axis=1) - fl.sum(logits * fl.one_hot(label, 3), axis=1), name="loss")


def entropy_with_the_other_sign():
    logits, label = _scores()
    fl.sum(fl.log_softmax(logits, axis=1) * fl.one_hot(label, 3), axis=1)


def entropy_over_the_batch():
    logits, label = _scores()
    fl.negative(fl.sum(fl.log_softmax(logits, axis=0) * fl.one_hot(label, 3), axis=1))


def entropy_of_all_classes():
    logits, _ = _scores()
    fl.negative(fl.sum(fl.log_softmax(logits, axis=1), axis=1))


def some_scores() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    found = [{"logits": rng.normal(0, 2, (n, 3)), "label": rng.integers(0, 3, n)} for n in (2, 3, 4, 5, 7)]
    return [*found, {"logits": [[200.0, 5.0, -3.0], [-1.0, 150.0, 149.0], [-300.0, 0.5, -310.0]], "label": [1, 2, 0]}]


TASKS = {
    "two_layers": {
        "title": {"en": "Two layers by hand", "zh-CN": "亲手连两层网络"},
        "task": {"en": "Wire $\\tanh(xW_1 + b_1)\\,W_2 + b_2$: the logits of a network with four hidden units.", "zh-CN": "连出 $\\tanh(xW_1 + b_1)\\,W_2 + b_2$：一个有四个隐藏单元的网络的 logits。"},
        "hints": {"en": ["A layer is `matmul`, then `add`; the first one ends in `tanh`.", "Follow the shapes: (batch, 2) times (2, 4) is (batch, 4).", "The last layer has no activation: its logits may be any numbers."],
                  "zh-CN": ["一层就是 `matmul` 再 `add`；第一层后面还有 `tanh`。", "跟着形状走：(batch, 2) 乘 (2, 4) 得到 (batch, 4)。", "最后一层没有激活函数：logits 可以是任何数。"]},
        "solution": layers, "others": [layers_by_sums, layers_by_sigmoids],
        "mistakes": [(layers_without_activation, {"en": "Without an activation the two layers are one. Which function belongs between them?", "zh-CN": "没有激活函数，两层就等于一层。中间应该放哪个函数？"}),
                     (layers_with_one_more, {"en": "The logits go through tanh here, which keeps them between −1 and 1: the last layer has no activation.", "zh-CN": "这里 logits 也经过了 tanh，只能在 −1 和 1 之间：最后一层没有激活函数。"}),
                     (layers_with_bias_outside, {"en": "b₁ comes before the activation: it says where the unit switches.", "zh-CN": "b₁ 应该加在激活函数之前：它决定这个单元在哪里开关。"}),
                     (layers_with_relu, {"en": "This is ReLU; tanh is asked for.", "zh-CN": "这是 ReLU；题目要的是 tanh。"})],
        "options": {"gradient": True},
    },
    "softmax_cross_entropy": {
        "title": {"en": "Softmax cross-entropy by hand", "zh-CN": "亲手写 softmax 交叉熵"},
        "task": {"en": "From `logits` (batch, 3) and `label` to the loss of each row, $-\\log\\frac{e^{s_{\\text{label}}}}{\\sum_j e^{s_j}}$. Do without the ready cross-entropy operations; very large logits must not break it.",
                 "zh-CN": "由 `logits`（batch, 3）和 `label` 得到每一行的损失 $-\\log\\frac{e^{s_{\\text{label}}}}{\\sum_j e^{s_j}}$。不用现成的交叉熵运算；logits 很大时也不能出错。"},
        "hints": {"en": ["The logarithm of the quotient is a difference: log Σ exp(s) − s of the label.", "`one_hot(label, 3)` times the logits, summed along axis 1, picks the label's own score.", "Subtract the row's `max` (keepdims on) from the row first: the quotient stays the same, and no exponential is larger than 1."],
                  "zh-CN": ["商的对数是差：log Σ exp(s) 减去标签那一项的 s。", "`one_hot(label, 3)` 乘 logits，再沿轴 1 求和，就取出了标签自己的分数。", "先从每一行减去这一行的 `max`（打开 keepdims）：商不变，而指数都不超过 1。"]},
        "solution": entropy, "others": [entropy_by_log_softmax, entropy_by_logsumexp],
        "mistakes": [(entropy_that_overflows, {"en": "Right on paper. In float32 the exponential of 89 and more is infinite: take the largest score of a row off the row first.", "zh-CN": "纸面上是对的。但在 float32 里，89 以上的指数就是无穷大：先从每一行减去它最大的分数。"}),
                     (entropy_of_a_rounded_probability, {"en": "A probability below 1e−45 is 0 in float32, and the logarithm of 0 is −∞. Take the logarithm on paper first, then compute.", "zh-CN": "小于 1e−45 的概率在 float32 里是 0，而 0 的对数是 −∞。先在纸上取对数，再来计算。"}),
                     (entropy_as_a_mean, None),
                     (entropy_with_the_other_sign, None),
                     (entropy_over_the_batch, {"en": "The softmax goes over the batch here. Which axis are the classes on?", "zh-CN": "这里的 softmax 是沿着批做的。类别在哪个轴上？"}),
                     (entropy_of_all_classes, {"en": "This adds up all classes; only the label's own probability counts.", "zh-CN": "这里把所有类别都加了起来；只有标签自己的概率算数。"})],
        "options": {"cases": some_scores(), "without": ["SparseSoftmaxCrossEntropy", "SoftmaxCrossEntropy"]},
    },
}
