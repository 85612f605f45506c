"""The exercises of the seventh lesson with their solutions: for teachers."""
from __future__ import annotations

import numpy as np

import flowlab as fl

# ---------------------------------------------------------------- an LSTM step


def _given():
    x, h, c = (fl.placeholder(("batch", n), name=name) for name, n in (("x", 3), ("h", 2), ("c", 2)))
    W, U, b = (fl.variable(np.zeros(shape, "float32"), name=name) for name, shape in (("W", (3, 8)), ("U", (2, 8)), ("b", (8,))))
    return x, h, c, W, U, b


def _parts():
    x, h, c, W, U, b = _given()
    return *fl.split(x @ W + h @ U + b, 4, axis=-1), h, c


def _ends(h, c):
    """Two results, of which the second is read by the first."""
    fl.identity(h, name="h_new")
    fl.identity(c, name="c_new")


def step():
    i, f, g, o, _, c = _parts()
    after = fl.sigmoid(f) * c + fl.sigmoid(i) * fl.tanh(g)
    _ends(fl.sigmoid(o) * fl.tanh(after), after)


def step_by_slices():
    x, h, c, W, U, b = _given()
    a = b + fl.concat([h, x], axis=1) @ fl.concat([U, W], axis=0)
    gates = fl.sigmoid(a)
    after = gates[:, :2] * fl.tanh(a[:, 4:6]) + gates[:, 2:4] * c
    _ends(fl.tanh(after) * gates[:, 6:], after)


def step_by_layers():
    x, h, c, W, U, b = _given()
    i, f, g, o = (x @ w + h @ u + v for w, u, v in zip(fl.split(W, 4, axis=1), fl.split(U, 4, axis=1), fl.split(b, 4)))
    after = c * fl.sigmoid(f) + fl.sigmoid(i) * fl.tanh(g)
    _ends(fl.tanh(after) * fl.sigmoid(o), after)


def step_by_the_layer():
    x, h, c, W, U, b = _given()
    out = fl.lstm(fl.expand_dims(x, axis=1), W, U, b, h, c)
    _ends(out[1], out[2])


def step_with_swapped_gates():
    f, i, g, o, _, c = _parts()
    after = fl.sigmoid(f) * c + fl.sigmoid(i) * fl.tanh(g)
    _ends(fl.sigmoid(o) * fl.tanh(after), after)


def step_with_a_sigmoid_candidate():
    i, f, g, o, _, c = _parts()
    after = fl.sigmoid(f) * c + fl.sigmoid(i) * fl.sigmoid(g)
    _ends(fl.sigmoid(o) * fl.tanh(after), after)


def step_without_forgetting():
    i, _, g, o, _, c = _parts()
    after = c + fl.sigmoid(i) * fl.tanh(g)
    _ends(fl.sigmoid(o) * fl.tanh(after), after)


def step_that_shows_the_old():
    i, f, g, o, _, c = _parts()
    _ends(fl.sigmoid(o) * fl.tanh(c), fl.sigmoid(f) * c + fl.sigmoid(i) * fl.tanh(g))


def step_that_shows_without_tanh():
    i, f, g, o, _, c = _parts()
    after = fl.sigmoid(f) * c + fl.sigmoid(i) * fl.tanh(g)
    _ends(fl.sigmoid(o) * after, after)


def step_in_another_order():
    i, f, o, g, _, c = _parts()
    after = fl.sigmoid(f) * c + fl.sigmoid(i) * fl.tanh(g)
    _ends(fl.sigmoid(o) * fl.tanh(after), after)


# ---------------------------------------------------------------- a GRU's update


def _gru():
    x, h, n = (fl.placeholder(("batch", size), name=name) for name, size in (("x", 3), ("h", 2), ("n", 2)))
    W, U, b = (fl.variable(np.zeros(shape, "float32"), name=name) for name, shape in (("W", (3, 2)), ("U", (2, 2)), ("b", (2,))))
    return x, h, n, x @ W + h @ U + b


def update():
    _, h, n, a = _gru()
    z = fl.sigmoid(a)
    fl.add(z * h, (1 - z) * n, name="h_new")


def update_as_a_move():
    _, h, n, a = _gru()
    fl.add(n, fl.sigmoid(a) * (h - n), name="h_new")


def update_by_the_other_gate():
    _, h, n, a = _gru()
    fl.add(h, fl.sigmoid(-a) * (n - h), name="h_new")


def update_the_other_way():
    _, h, n, a = _gru()
    z = fl.sigmoid(a)
    fl.add(z * n, (1 - z) * h, name="h_new")


def update_that_adds():
    _, h, n, a = _gru()
    fl.add(fl.sigmoid(a) * h, n, name="h_new")


def update_with_a_tanh_gate():
    _, h, n, a = _gru()
    z = fl.tanh(a)
    fl.add(z * h, (1 - z) * n, name="h_new")


def update_without_a_gate():
    _, h, n, a = _gru()
    fl.add(a * h, (1 - a) * n, name="h_new")


TASKS = {
    "an_lstm_step": {
        "title": {"en": "Wire an LSTM cell", "zh-CN": "连出一个 LSTM 单元"},
        "task": {"en": "From `x`, `h`, `c`, `W`, `U`, `b` to the new $h$ and the new $c$ (two results). In the eight columns of `W`, `U` and `b` stand $i, f, g, o$, two units each: $c' = \\sigma(f) \\odot c + \\sigma(i) \\odot \\tanh(g)$, $h' = \\sigma(o) \\odot \\tanh(c')$.",
                 "zh-CN": "由 `x`、`h`、`c`、`W`、`U`、`b` 得到新的 $h$ 和新的 $c$（两个结果）。`W`、`U`、`b` 的八列里依次是 $i, f, g, o$，各两个单元：$c' = \\sigma(f) \\odot c + \\sigma(i) \\odot \\tanh(g)$，$h' = \\sigma(o) \\odot \\tanh(c')$。"},
        "hints": {"en": ["Begin with a = x W + h U + b, all four layers at once.", "`split` into 4 along the last axis gives i, f, g and o, in this order.", "Three of them go through `sigmoid`, the candidate g through `tanh`.",
                         "c' is a sum of two products; h' needs c', not c."],
                  "zh-CN": ["先算 a = x W + h U + b，四层一起算。", "`split` 沿最后一个轴分成 4 份，依次得到 i、f、g、o。", "其中三份经过 `sigmoid`，候选 g 经过 `tanh`。", "c' 是两个乘积之和；h' 要用 c'，而不是 c。"]},
        "solution": step, "others": [step_by_slices, step_by_layers, step_by_the_layer],
        "mistakes": [(step_with_swapped_gates, {"en": "Forget gate and input gate have changed places: the order is i, f, g, o.", "zh-CN": "遗忘门和输入门换了位置：顺序是 i、f、g、o。"}),
                     (step_with_a_sigmoid_candidate, {"en": "A candidate that is never negative can only add: it goes through tanh.", "zh-CN": "候选值永远不为负，就只能往上加：它应该经过 tanh。"}),
                     (step_without_forgetting, {"en": "Nothing is forgotten here: the old c goes through the forget gate first.", "zh-CN": "这里什么也不忘：旧的 c 要先经过遗忘门。"}),
                     (step_that_shows_the_old, {"en": "h shows the old c here: it is made of the new one.", "zh-CN": "这里的 h 显示的是旧的 c：它应该由新的 c 得到。"}),
                     (step_that_shows_without_tanh, {"en": "A tanh is missing between c' and the output gate.", "zh-CN": "c' 和输出门之间少了一个 tanh。"}),
                     (step_in_another_order, {"en": "Candidate and output gate have changed places: the order is i, f, g, o.", "zh-CN": "候选和输出门换了位置：顺序是 i、f、g、o。"})],
        "options": {"gradient": True},
    },
    "a_gru_update": {
        "title": {"en": "The update of a GRU", "zh-CN": "GRU 的更新"},
        "task": {"en": "Wire the update gate $z = \\sigma(x W + h U + b)$ and the new state $h' = z \\odot h + (1 - z) \\odot n$. The candidate `n` is given.",
                 "zh-CN": "连出更新门 $z = \\sigma(x W + h U + b)$ 和新的状态 $h' = z \\odot h + (1 - z) \\odot n$。候选 `n` 已经给出。"},
        "hints": {"en": ["The gate first: two products, two sums, `sigmoid`.", "1 − z: `subtract` with the constant 1 at its first port.", "Where z is 1 the old state stays; where it is 0 the candidate takes its place."],
                  "zh-CN": ["先做门：两次乘法、两次加法、`sigmoid`。", "1 − z：`subtract`，第一个端口填常量 1。", "z 为 1 的地方旧状态保留；z 为 0 的地方由候选取代。"]},
        "solution": update, "others": [update_as_a_move, update_by_the_other_gate],
        "mistakes": [(update_the_other_way, {"en": "Here z = 1 throws the old state away: z belongs to h, 1 − z to n.", "zh-CN": "这里 z = 1 反而丢掉旧状态：z 配 h，1 − z 配 n。"}),
                     (update_that_adds, {"en": "This writes the whole candidate however much is kept: it gets 1 − z.", "zh-CN": "不管保留多少，这里都写入整个候选：它应该乘以 1 − z。"}),
                     (update_with_a_tanh_gate, {"en": "A gate lies between 0 and 1: that is sigmoid, not tanh.", "zh-CN": "门在 0 和 1 之间：应该用 sigmoid，而不是 tanh。"}),
                     (update_without_a_gate, {"en": "The sum is no gate yet: it has to come between 0 and 1.", "zh-CN": "这个和还不是门：要先变到 0 和 1 之间。"})],
        "options": {"gradient": True},
    },
}
