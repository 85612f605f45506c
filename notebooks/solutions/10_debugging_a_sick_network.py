"""The exercises of the tenth lesson with their solutions: for teachers. Each begins as a sound graph with one fault put in. `python tools/lessons.py exercises` writes what students get."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

import flowlab as fl


def _graph(build: Callable[[], object]) -> fl.Graph:
    with fl.Graph(build.__name__) as graph:
        build()
    return graph


# ---------------------------------------------------------------- a classifier with its loss written out


def _classifier():
    return (fl.placeholder(("batch", 4), name="x"), fl.placeholder(("batch", 3), name="target"),
            fl.variable(fl.init.normal((4, 3), 0, 1), name="W"), fl.variable(fl.init.normal((3,), 0, 1), name="b"))


def classifier():
    x, target, W, b = _classifier()
    scores = fl.add(x @ W, b, name="scores")
    shifted = fl.subtract(scores, fl.max(scores, axis=1, keepdims=True), name="shifted")
    total = fl.sum(fl.exp(shifted), axis=1, keepdims=True, name="total")
    log_p = fl.subtract(shifted, fl.log(total), name="log_p")
    own = fl.sum(target * log_p, axis=1, name="own")
    fl.negative(fl.mean(own), name="loss")


def classifier_by_log_softmax():
    x, target, W, b = _classifier()
    fl.negative(fl.mean(fl.sum(target * fl.log_softmax(x @ W + b, axis=1), axis=1)))


def classifier_by_logsumexp():
    x, target, W, b = _classifier()
    scores = b + x @ W
    fl.mean(fl.logsumexp(scores, axis=1) - fl.sum(scores * target, axis=1))


def classifier_over_the_batch():
    x, target, W, b = _classifier()
    fl.negative(fl.mean(fl.sum(target * fl.log_softmax(x @ W + b, axis=0), axis=1)))


def classifier_as_a_sum():
    x, target, W, b = _classifier()
    fl.negative(fl.sum(target * fl.log_softmax(x @ W + b, axis=1)))


def classifier_of_probabilities():
    x, target, W, b = _classifier()
    fl.negative(fl.mean(fl.sum(target * fl.softmax(x @ W + b, axis=1), axis=1)))


def sick_classifier() -> fl.Graph:
    return fl.break_graph(_graph(classifier), "axis", seed=1).graph


def some_examples(rng: np.random.Generator) -> dict[str, np.ndarray]:
    n = int(rng.integers(2, 7))
    return {"x": rng.normal(size=(n, 4)), "target": np.eye(3)[rng.integers(0, 3, n)]}


# ---------------------------------------------------------------- one step of an LSTM


def _lstm():
    return (fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 2), name="h"), fl.placeholder(("batch", 2), name="c"),
            fl.variable(fl.init.normal((5, 8), 0, 1), name="W"), fl.variable(fl.init.normal((8,), 0, 1), name="b"))


def _gates():
    x, h, c, W, b = _lstm()
    return c, *fl.split(fl.add(fl.concat([x, h], axis=1) @ W, b, name="z"), 4, axis=1)


def lstm():
    c, zi, zf, zg, zo = _gates()
    i, f, g, o = fl.sigmoid(zi, name="i"), fl.sigmoid(zf, name="f"), fl.tanh(zg, name="g"), fl.sigmoid(zo, name="o")
    keep, write = fl.multiply(f, c, name="keep"), fl.multiply(i, g, name="write")
    fl.multiply(o, fl.tanh(fl.add(keep, write, name="c_new")), name="h_new")


def lstm_by_slices():
    x, h, c, W, b = _lstm()
    z = x @ W[:3] + h @ W[3:] + b
    i, f, o = (fl.sigmoid(z[:, k:k + 2]) for k in (0, 2, 6))
    fl.tanh(i * fl.tanh(z[:, 4:6]) + c * f) * o


def lstm_by_tanh():
    c, zi, zf, zg, zo = _gates()
    i, f, o = (0.5 + 0.5 * fl.tanh(0.5 * z) for z in (zi, zf, zo))
    o * fl.tanh(f * c + i * fl.tanh(zg))


def lstm_with_input_and_forget_swapped():
    c, zi, zf, zg, zo = _gates()
    fl.sigmoid(zo) * fl.tanh(fl.sigmoid(zi) * c + fl.sigmoid(zf) * fl.tanh(zg))


def lstm_with_forget_and_output_swapped():
    c, zi, zf, zg, zo = _gates()
    fl.sigmoid(zf) * fl.tanh(fl.sigmoid(zo) * c + fl.sigmoid(zi) * fl.tanh(zg))


def lstm_that_shows_its_cell():
    c, zi, zf, zg, zo = _gates()
    fl.sigmoid(zo) * (fl.sigmoid(zf) * c + fl.sigmoid(zi) * fl.tanh(zg))


def sick_lstm() -> fl.Graph:
    return fl.break_graph(_graph(lstm), "swapped wires", seed=4).graph


# ---------------------------------------------------------------- right numbers, no gradient


def _learner():
    return (fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 1), name="y"), fl.variable(fl.init.normal((3, 4), 0, 1), name="W1"),
            fl.variable(fl.init.normal((4,), 0, 1), name="b1"), fl.variable(fl.init.normal((4, 1), 0, 1), name="W2"))


def learner():
    x, y, W1, b1, W2 = _learner()
    h = fl.tanh(fl.add(x @ W1, b1, name="z"), name="h")
    fl.mean(fl.square(fl.subtract(h @ W2, y, name="off")), name="loss")


def learner_by_a_product():
    x, y, W1, b1, W2 = _learner()
    off = y - fl.tanh(b1 + x @ W1) @ W2
    fl.mean(off * off)


def learner_by_sums():
    x, y, W1, b1, W2 = _learner()
    off = fl.sum(fl.tanh(x @ W1 + b1) * fl.reshape(W2, (4,)), axis=1, keepdims=True) - y
    fl.sum(off ** 2) / fl.cast(fl.size(y), "float32")


def learner_without_activation():
    x, y, W1, b1, W2 = _learner()
    fl.mean(fl.square((x @ W1 + b1) @ W2 - y), name="loss")


def learner_as_a_sum():
    x, y, W1, b1, W2 = _learner()
    fl.sum(fl.square(fl.tanh(x @ W1 + b1) @ W2 - y), name="loss")


def learner_that_adds():
    x, y, W1, b1, W2 = _learner()
    fl.mean(fl.square(fl.tanh(x @ W1 + b1) @ W2 + y), name="loss")


def sick_learner() -> fl.Graph:
    return fl.break_graph(_graph(learner), "no gradient", seed=3).graph


TASKS = {
    "a_sick_classifier": {
        "title": {"en": "A sick classifier", "zh-CN": "生病的分类器"},
        "task": {"en": "This graph is to compute $-\\frac1n\\sum_n \\log p_{n,\\text{target}}$ with $p = \\operatorname{softmax}(xW + b)$ over the classes of each row. One node is wrong: find it and mend it.",
                 "zh-CN": "这个图应该计算 $-\\frac1n\\sum_n \\log p_{n,\\text{target}}$，其中 $p = \\operatorname{softmax}(xW + b)$，对每一行的各个类别做。有一个节点错了：找到它，改好它。"},
        "hints": {"en": ["Feed two rows and step. `exp` of `log_p` are the probabilities: what should each row add up to?", "Look at the shapes on the edges. Which one is not (batch, …) where it should be?", "Classes lie along axis 1; axis 0 is the batch."],
                  "zh-CN": ["喂入两行，单步走。对 `log_p` 取 `exp` 就是概率：每一行加起来应该是多少？", "看边上的形状。哪一个本该是 (batch, …) 却不是？", "类别在轴 1 上；轴 0 是批。"]},
        "solution": classifier, "others": [classifier_by_log_softmax, classifier_by_logsumexp], "start": sick_classifier,
        "mistakes": [(sick_classifier, {"en": "Examples of one batch still influence each other: something goes along the batch.", "zh-CN": "同一批里的样本还在互相影响：有什么东西是沿着批做的。"}),
                     (classifier_over_the_batch, {"en": "Now the whole softmax goes along the batch. Which axis are the classes on?", "zh-CN": "现在整个 softmax 都沿着批做了。类别在哪个轴上？"}),
                     (classifier_as_a_sum, None),
                     (classifier_of_probabilities, {"en": "The logarithm is missing.", "zh-CN": "少了对数。"})],
        "options": {"cases": some_examples},
    },
    "a_sick_lstm": {
        "title": {"en": "A sick LSTM", "zh-CN": "生病的 LSTM"},
        "task": {"en": "One step of an LSTM, $h' = o \\odot \\tanh(f \\odot c + i \\odot g)$; the four parts of `z` are those of i, f, g and o, in this order. Two wires have changed places: find them and put them right.",
                 "zh-CN": "LSTM 的一步，$h' = o \\odot \\tanh(f \\odot c + i \\odot g)$；`z` 的四部分依次属于 i、f、g、o。有两根连线互换了位置：找到它们，换回来。"},
        "hints": {"en": ["Go through the equation term by term: what is kept, what is written, what is shown?", "A gate is a sigmoid, between 0 and 1. The candidate g is a tanh and may be negative.", "Which node takes a gate where it should take the candidate?"],
                  "zh-CN": ["把公式一项一项地看：保留什么，写入什么，输出什么？", "门是 sigmoid，在 0 和 1 之间。候选值 g 是 tanh，可以是负的。", "哪个节点本该接候选值，却接了一个门？"]},
        "solution": lstm, "others": [lstm_by_slices, lstm_by_tanh], "start": sick_lstm,
        "mistakes": [(sick_lstm, {"en": "What is written is a product of two gates: where has the candidate gone?", "zh-CN": "现在写入的是两个门的乘积：候选值到哪里去了？"}),
                     (lstm_with_input_and_forget_swapped, {"en": "Now i and f have changed places: i decides about what is new, f about what is old.", "zh-CN": "现在 i 和 f 互换了：i 管新的内容，f 管旧的内容。"}),
                     (lstm_with_forget_and_output_swapped, {"en": "Now f and o have changed places.", "zh-CN": "现在 f 和 o 互换了。"}),
                     (lstm_that_shows_its_cell, {"en": "The cell goes through tanh before the output gate shows it.", "zh-CN": "细胞状态要先经过 tanh，再由输出门放出来。"})],
        "options": {"gradient": True},
    },
    "a_network_that_does_not_learn": {
        "title": {"en": "A network that does not learn", "zh-CN": "不学习的网络"},
        "task": {"en": "This graph is to compute $\\operatorname{mean}\\big((\\tanh(xW_1 + b_1)W_2 - y)^2\\big)$, and it does. All the same, a part of it does not learn. Find out why, and mend it.",
                 "zh-CN": "这个图应该计算 $\\operatorname{mean}\\big((\\tanh(xW_1 + b_1)W_2 - y)^2\\big)$，数值也对。但是它有一部分学不到东西。找出原因，改好它。"},
        "hints": {"en": ["Check says that no gradient reaches x. Would one reach W1? And b1, and W2? Where do their ways part?", "A gradient goes back along the wires. Go from the loss to x: one node on the way is not in the formula.", "Take that node out: select it and press `M` (bypass), or wire past it and delete it."],
                  "zh-CN": ["检查说没有梯度传到 x。能传到 W1 吗？b1 和 W2 呢？它们的路在哪里分开？", "梯度沿着连线往回走。从损失走到 x：路上有一个节点不在公式里。", "把那个节点去掉：选中它按 `M`（绕过），或者绕开它接线，再删掉它。"]},
        "solution": learner, "others": [learner_by_a_product, learner_by_sums], "start": sick_learner,
        "mistakes": [(learner_without_activation, {"en": "The tanh is gone now; it was no fault.", "zh-CN": "现在 tanh 不见了；它并没有错。"}),
                     (learner_as_a_sum, None),
                     (learner_that_adds, {"en": "y is added now, where it should be taken away.", "zh-CN": "现在 y 是加上去的，应该减去。"})],
        "options": {"gradient": True},
    },
}
