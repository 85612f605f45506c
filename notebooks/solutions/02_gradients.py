"""The exercises of the second lesson with their solutions: for teachers. `python tools/lessons.py exercises` writes what students get."""
from __future__ import annotations

import flowlab as fl


def _swish():
    x = fl.placeholder(("n",), name="x")
    s = fl.sigmoid(x, name="s")
    return x, s, fl.multiply(x, s, name="y")


def swish_start():
    _swish()


def swish():
    x, s, _ = _swish()
    fl.add(s, x * (s * (1 - s)), name="dy_dx")


def swish_with_y():
    _, s, y = _swish()
    y * (1 - s) + s


def swish_factored():
    x, s, _ = _swish()
    s * (x - x * s + 1)


def swish_one_branch():
    x, s, _ = _swish()
    fl.multiply(x, s * (1 - s), name="dy_dx")


def swish_other_branch():
    _, s, _ = _swish()
    fl.identity(s, name="dy_dx")


def swish_local_alone():
    _, s, _ = _swish()
    fl.add(s, s * (1 - s), name="dy_dx")


def swish_not_through_sigmoid():
    x, s, _ = _swish()
    fl.add(s, x * (1 - s), name="dy_dx")


def _shared():
    return fl.placeholder((), name="h0"), fl.placeholder((), name="y"), fl.variable(0.5, name="w")


def _twice():
    h0, y, w = _shared()
    h1 = fl.tanh(w * h0)
    return h0, w, h1, 2 * (w * h1 - y)


def shared():
    h0, w, h1, upstream = _twice()
    fl.add(upstream * h1, upstream * w * (1 - h1 ** 2) * h0, name="dw")


def shared_factored():
    h0, w, h1, upstream = _twice()
    upstream * (h1 + h0 * (w - w * fl.tanh(h0 * w) ** 2))


def shared_last_use():
    _, _, h1, upstream = _twice()
    fl.multiply(upstream, h1, name="dw")


def shared_first_use():
    h0, w, h1, upstream = _twice()
    fl.multiply(upstream * w, (1 - h1 ** 2) * h0, name="dw")


def shared_not_through_tanh():
    h0, w, h1, upstream = _twice()
    fl.add(upstream * h1, upstream * w * h0, name="dw")


def shared_first_use_without_w():
    h0, _, h1, upstream = _twice()
    fl.add(upstream * h1, upstream * (1 - h1 ** 2) * h0, name="dw")


def shared_multiplied():
    h0, w, h1, upstream = _twice()
    fl.multiply(upstream * h1, upstream * w * (1 - h1 ** 2) * h0, name="dw")


def _line():
    x, y = fl.placeholder(("batch",), name="x"), fl.placeholder(("batch",), name="y")
    w, b = fl.variable(0.5, name="w"), fl.variable(0.0, name="b")
    gap = fl.subtract(w * x + b, y, name="gap")
    return x, w, b, gap, fl.mean(gap ** 2, name="loss")


def line_start():
    _line()


def descent():
    _, w, b, _, loss = _line()
    dw, db = fl.gradients(loss, [w, b])
    fl.assign(w, w - 0.1 * dw, name="new_w")
    fl.assign(b, b - 0.1 * db, name="new_b")


def descent_by_hand():
    x, w, b, gap, _ = _line()
    fl.assign(w, w - 0.2 * fl.mean(gap * x))
    fl.assign(b, b - 0.2 * fl.mean(gap))


def _step(rate=0.1):
    _, w, b, _, loss = _line()
    return w, b, *(rate * slope for slope in fl.gradients(loss, [w, b]))


def descent_uphill():
    w, b, dw, db = _step()
    fl.assign(w, w + dw, name="new_w")
    fl.assign(b, b + db, name="new_b")


def descent_at_full_rate():
    w, b, dw, db = _step(1.0)
    fl.assign(w, w - dw, name="new_w")
    fl.assign(b, b - db, name="new_b")


def descent_without_the_old():
    w, b, dw, db = _step()
    fl.assign(w, -dw, name="new_w")
    fl.assign(b, -db, name="new_b")


def descent_without_x():
    _, w, b, gap, _ = _line()
    fl.assign(w, w - 0.2 * fl.mean(gap), name="new_w")
    fl.assign(b, b - 0.2 * fl.mean(gap), name="new_b")


TASKS = {
    "slope_of_swish": {
        "title": {"en": "A way back by hand", "zh-CN": "亲手连反向"},
        "task": {"en": "`s` is $\\sigma(x)$ and `y` is $x \\cdot s$. Wire $dy/dx$ for every element of `x`, as a graph of your own.",
                 "zh-CN": "`s` 是 $\\sigma(x)$，`y` 是 $x \\cdot s$。自己动手，对 `x` 的每个元素连出 $dy/dx$。"},
        "hints": {"en": ["x goes into y on two ways: straight into the product, and through the sigmoid. Wire the derivative of each way; then add them.",
                         "Straight: the local derivative of a product by one factor is the other factor.",
                         "Through the sigmoid: upstream is x (the other factor), and the local derivative of the sigmoid is s · (1 − s)."],
                  "zh-CN": ["x 有两条路进入 y：一条直接进入乘积，一条经过 sigmoid。先连出每条路的导数，再相加。",
                            "直接的那条：乘积对一个因子的局部导数，就是另一个因子。",
                            "经过 sigmoid 的那条：上游是 x（另一个因子），sigmoid 的局部导数是 s ·（1 − s）。"]},
        "start": swish_start, "solution": swish, "others": [swish_with_y, swish_factored],
        "mistakes": [(swish_one_branch, {"en": "This is the way through the sigmoid alone. On which other way does x get into y?", "zh-CN": "这只是经过 sigmoid 的那条路。x 还从哪条路进入 y？"}),
                     (swish_other_branch, {"en": "This treats s as if it did not depend on x. Its way comes on top.", "zh-CN": "这是把 s 当成与 x 无关了。经过 s 的那条路还要加上。"}),
                     (swish_local_alone, {"en": "On the way through the sigmoid, upstream is missing: the product hands back its other factor.", "zh-CN": "经过 sigmoid 的路上少了上游：乘积传回来的是它的另一个因子。"}),
                     (swish_not_through_sigmoid, {"en": "Look at the local derivative of the sigmoid once more: it has two factors.", "zh-CN": "再看看 sigmoid 的局部导数：它有两个因子。"})],
        "options": {"goals": "dy_dx"},
    },
    "shared_weight": {
        "title": {"en": "One weight, used twice", "zh-CN": "一个权重，用了两次"},
        "task": {"en": "$h_1 = \\tanh(w\\,h_0)$, $h_2 = w\\,h_1$ and $L = (h_2 - y)^2$. Wire $dL/dw$ from `h0`, `y` and `w`.",
                 "zh-CN": "$h_1 = \\tanh(w\\,h_0)$，$h_2 = w\\,h_1$，$L = (h_2 - y)^2$。由 `h0`、`y` 和 `w` 连出 $dL/dw$。"},
        "hints": {"en": ["Wire the way forward up to h2 first.", "What comes back to h2 is 2 · (h2 − y). The second product hands it on twice: to w, times h1, and to h1, times w.",
                         "From h1 it goes on through tanh, whose local derivative is 1 − h1², and then to w, times h0. Two contributions have come to w by now."],
                  "zh-CN": ["先连好前向，一直到 h2。", "传回 h2 的是 2 ·（h2 − y）。第二个乘积把它传给两处：传给 w 时乘 h1，传给 h1 时乘 w。",
                            "从 h1 再经过 tanh，它的局部导数是 1 − h1²，然后传给 w，乘 h0。到这里，w 已经收到两份了。"]},
        "solution": shared, "others": [shared_factored],
        "mistakes": [(shared_last_use, {"en": "This is the last use of w alone. The first one also has a say in L.", "zh-CN": "这只是 w 最后一次使用的那一份。第一次使用也影响 L。"}),
                     (shared_first_use, {"en": "This is the first use of w alone. The last one also has a say in L.", "zh-CN": "这只是 w 第一次使用的那一份。最后一次使用也影响 L。"}),
                     (shared_not_through_tanh, {"en": "On the way to the first use there is a tanh, with a local derivative of its own.", "zh-CN": "传回第一次使用的路上有一个 tanh，它有自己的局部导数。"}),
                     (shared_first_use_without_w, {"en": "On the way to the first use, what comes back passes the second product: what is it multiplied by there?", "zh-CN": "传回第一次使用的路上要经过第二个乘积：在那里要乘什么？"}),
                     (shared_multiplied, {"en": "At a fork the contributions are added, not multiplied.", "zh-CN": "在分叉处，各份是相加，不是相乘。"})],
    },
    "step_of_descent": {
        "title": {"en": "One step of descent", "zh-CN": "下降一步"},
        "task": {"en": "Add one step of gradient descent with the rate 0.1 to this loss: an `assign` to `w` and one to `b`. A run of them is a step.",
                 "zh-CN": "给这个损失加上学习率为 0.1 的一步梯度下降：一个 `assign` 给 `w`，一个给 `b`。运行它们一次就走一步。"},
        "hints": {"en": ["The derivatives: by hand they are 2 · mean(gap · x) and 2 · mean(gap); or select the loss and press G.", "The new value is old − 0.1 · derivative.", "`assign` takes the variable, and the tensor of its new value."],
                  "zh-CN": ["导数：自己算就是 2 · mean(gap · x) 和 2 · mean(gap)；也可以选中损失按 G。", "新值是 旧值 − 0.1 · 导数。", "`assign` 接变量，以及它的新值那个张量。"]},
        "start": line_start, "solution": descent, "others": [descent_by_hand],
        "mistakes": [(descent_uphill, {"en": "This goes uphill.", "zh-CN": "这是在上坡。"}),
                     (descent_at_full_rate, {"en": "This goes the whole gradient: where is the rate?", "zh-CN": "这一步走了整个梯度：学习率在哪里？"}),
                     (descent_without_the_old, {"en": "The new value begins at the old one.", "zh-CN": "新值要从旧值出发。"}),
                     (descent_without_x, {"en": "w is multiplied by x on the way forward, so x is the local derivative on the way back.", "zh-CN": "前向时 w 乘了 x，所以反向时 x 就是局部导数。"})],
        "options": {"goals": ["new_w", "new_b"], "uses": {"Assign": 2}},
    },
}
