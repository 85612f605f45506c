"""The exercises of the thirteenth lesson with their solutions: for teachers. `python tools/lessons.py exercises` writes what students get. The third is defined in the notebook."""
from __future__ import annotations

import numpy as np

import flowlab as fl


def _matrices():
    return fl.placeholder(("batch", 4), name="x"), *(fl.placeholder((4, 3), name=name) for name in "ABC")


def three_products():
    x, A, B, C = _matrices()
    fl.add(x @ A + x @ B, x @ C, name="y")


def fewer():
    x, A, B, C = _matrices()
    fl.matmul(x, A + B + C, name="y")


def fewer_in_another_order():
    x, A, B, C = _matrices()
    x @ (C + (B + A))


def fewer_by_stacking():
    x, A, B, C = _matrices()
    x @ fl.sum(fl.stack([A, B, C]), axis=0)


def two_of_three():
    x, A, B, _ = _matrices()
    fl.matmul(x, A + B, name="y")


def elementwise():
    x, A, B, C = _matrices()
    fl.matmul(x, A * B * C, name="y")


def _rows():
    return fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch",), name="y"), fl.variable([0.5, -0.5, 1.0], name="w")


def _halves():
    x, y, w = _rows()
    return w, *zip(fl.split(x, 2, axis=0), fl.split(y, 2, axis=0))


def _slope(x, y, w):
    return 2 * fl.mean(fl.expand_dims(x @ w - y, 1) * x, axis=0)


def halves():
    w, *shares = _halves()
    parts = [fl.gradients(fl.mean((x @ w - y) ** 2), [w])[0] for x, y in shares]
    fl.multiply(0.5, parts[0] + parts[1], name="dw")


def halves_by_hand():
    w, first, second = _halves()
    (_slope(*first, w) + _slope(*second, w)) / 2


def halves_by_their_losses():
    w, *shares = _halves()
    first, second = [fl.mean((x @ w - y) ** 2) for x, y in shares]
    fl.gradients(0.5 * (first + second), [w])


def halves_by_matrix_products():
    w, *shares = _halves()
    first, second = [fl.transpose(x) @ (x @ w - y) for x, y in shares]
    (first + second) * 2 / fl.cast(2 * fl.size(shares[0][1]), "float32")


def halves_added():
    w, first, second = _halves()
    fl.add(_slope(*first, w), _slope(*second, w), name="dw")


def first_half():
    w, first, _ = _halves()
    fl.identity(_slope(*first, w), name="dw")


def whole_batch():
    x, y, w = _rows()
    fl.identity(_slope(x, y, w), name="dw")


def mixed_up():
    w, (x, y), (other_x, other_y) = _halves()
    fl.multiply(0.5, _slope(x, other_y, w) + _slope(other_x, y, w), name="dw")


def even_batch(rng: np.random.Generator) -> dict[str, np.ndarray]:
    n = 2 * int(rng.integers(1, 5))
    return {"x": rng.normal(size=(n, 3)).astype("float32"), "y": rng.normal(size=n).astype("float32")}


TASKS = {
    "fewer_operations": {
        "title": {"en": "Fewer operations", "zh-CN": "更少的运算"},
        "task": {"en": "$y = xA + xB + xC$ with three operations instead of five.", "zh-CN": "用三个运算，而不是五个，算出 $y = xA + xB + xC$。"},
        "hints": {"en": ["What do the three products have in common?", "$xA + xB = x(A + B)$: adding is cheap, a product is not."], "zh-CN": ["三个乘积有什么共同之处？", "$xA + xB = x(A + B)$：加法便宜，乘法贵。"]},
        "start": three_products, "solution": fewer, "others": [fewer_in_another_order, fewer_by_stacking],
        "mistakes": [(three_products, None), (two_of_three, {"en": "One of the three matrices has no part in it.", "zh-CN": "三个矩阵里有一个没有用上。"}),
                     (elementwise, {"en": "The matrices are to be added up, not multiplied.", "zh-CN": "这些矩阵应该相加，不是相乘。"})],
        "options": {"most_nodes": 3, "goals": "y"},
    },
    "two_halves": {
        "title": {"en": "A replica by hand", "zh-CN": "亲手做副本"},
        "task": {"en": "The gradient of $\\operatorname{mean}\\big((xw - y)^2\\big)$ by $w$, from two halves of the batch: cut with `split`, differentiate each half, put them together. The batch is of even size.",
                 "zh-CN": "由一批数据的两半，求 $\\operatorname{mean}\\big((xw - y)^2\\big)$ 对 $w$ 的梯度：用 `split` 切开，每一半各自求导，再合起来。批的大小是偶数。"},
        "hints": {"en": ["`split` cuts x, and y too, along axis 0 into 2.", "For a half, the gradient is 2 · mean((x w − y) · x) over its rows; or take the loss of each half, and press G on a sum of them.", "The mean of the whole is the mean of the means of two equal halves."],
                  "zh-CN": ["`split` 把 x 沿轴 0 切成 2 份，y 也一样。", "对一半来说，梯度是在它的各行上求 2 · mean((x w − y) · x)；也可以取每一半的损失，合成一个标量后按 G。", "两半一样大，整体的平均就是两半平均的平均。"]},
        "solution": halves, "others": [halves_by_hand, halves_by_their_losses, halves_by_matrix_products],
        "mistakes": [(halves_added, {"en": "This is the sum of the halves' means: twice as much as the mean of the whole.", "zh-CN": "这是两半平均的和：是整体平均的两倍。"}),
                     (first_half, {"en": "This is the gradient of the first half alone.", "zh-CN": "这只是前一半的梯度。"}),
                     (mixed_up, {"en": "Here the halves of x meet the wrong halves of y.", "zh-CN": "这里 x 的一半配错了 y 的一半。"}),
                     (whole_batch, None)],
        "options": {"goals": "dw", "cases": even_batch, "uses": {"Split": 2}},
    },
}
