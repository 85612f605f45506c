"""The exercises of the first lesson with their solutions: for teachers. `python tools/lessons.py exercises` writes what students get."""
from __future__ import annotations

import numpy as np

import flowlab as fl


def _line():
    return fl.placeholder(("batch", 2), name="x"), fl.placeholder(("batch", 1), name="y"), fl.variable([[0.5], [-0.5]], name="W"), fl.variable([0.0], name="b")


def loss():
    x, y, W, b = _line()
    fl.mean((x @ W + b - y) ** 2, name="loss")


def loss_as_a_product():
    x, y, W, b = _line()
    apart = y - (b + x @ W)
    fl.sum(apart * apart) / fl.cast(fl.size(apart), "float32")


def loss_over_an_axis():
    x, y, W, b = _line()
    fl.mean(fl.mean(fl.square(x @ W - (y - b)), axis=1))


def loss_as_a_sum():
    x, y, W, b = _line()
    fl.sum((x @ W + b - y) ** 2, name="loss")


def loss_without_a_square():
    x, y, W, b = _line()
    fl.mean(x @ W + b - y, name="loss")


def loss_by_magnitude():
    x, y, W, b = _line()
    fl.mean(fl.abs(x @ W + b - y), name="loss")


def loss_without_b():
    x, y, W, b = _line()
    fl.mean((x @ W - y) ** 2, name="loss")


def _rod():
    return fl.placeholder(("points",), name="u")


def heat():
    u = _rod()
    fl.concat([u[:1], u[1:-1] + 0.2 * (u[:-2] + u[2:] - 2 * u[1:-1]), u[-1:]], axis=0, name="after")


def heat_with_padding():
    u = _rod()
    u + fl.pad(0.2 * (u[:-2] + u[2:] - u[1:-1] - u[1:-1]), [(1, 1)])


def heat_by_convolution():
    u = _rod()
    bent = fl.conv1d(fl.reshape(u, (1, 1, -1)), np.float32([[[0.2, -0.4, 0.2]]]))
    fl.add(u, fl.pad(fl.reshape(bent, (-1,)), [(1, 1)]))


def heat_twice_as_fast():
    u = _rod()
    fl.concat([u[:1], u[1:-1] + 0.4 * (u[:-2] + u[2:] - 2 * u[1:-1]), u[-1:]], axis=0)


def heat_without_ends():
    u = _rod()
    fl.identity(u[1:-1] + 0.2 * (u[:-2] + u[2:] - 2 * u[1:-1]), name="after")


def heat_backwards():
    u = _rod()
    fl.concat([u[:1], u[1:-1] - 0.2 * (u[:-2] + u[2:] - 2 * u[1:-1]), u[-1:]], axis=0)


def _web():
    return fl.placeholder(("pages", "pages"), name="links"), fl.placeholder(("pages",), name="ranks")


def click():
    links, ranks = _web()
    pages = fl.cast(fl.size(ranks), "float32")
    fl.add(0.85 * (links @ ranks), 0.15 / pages, name="after")


def click_by_ones():
    links, ranks = _web()
    ones = fl.ones_like(ranks)
    ones / fl.sum(ones) * 0.15 + fl.sum(links * ranks, axis=1) * 0.85


def click_the_other_way():
    links, ranks = _web()
    fl.add(0.85 * (ranks @ links), 0.15 / fl.cast(fl.size(ranks), "float32"), name="after")


def click_with_more_than_everyone():
    links, ranks = _web()
    fl.add(0.85 * (links @ ranks), 0.15, name="after")


def click_without_beginning_anew():
    links, ranks = _web()
    fl.matmul(links, ranks, name="after")


def some_web(rng: np.random.Generator) -> dict[str, np.ndarray]:
    n = int(rng.integers(2, 7))
    links, ranks = rng.random((n, n)), rng.random(n)
    return {"links": (links / links.sum(axis=0)).astype("float32"), "ranks": (ranks / ranks.sum()).astype("float32")}


TASKS = {
    "wire_a_loss": {
        "title": {"en": "Wire a loss", "zh-CN": "连出一个损失"},
        "task": {"en": "Wire $\\operatorname{mean}\\big((xW + b - y)^2\\big)$. The inputs and variables are there; the operations are yours.",
                 "zh-CN": "连出 $\\operatorname{mean}\\big((xW + b - y)^2\\big)$。输入和变量已经在画布上，运算由你来加。"},
        "hints": {"en": ["Begin with the innermost: x times W is a matrix product, `matmul`.", "b has one number, the product one for each row: `add` stretches b over the rows.", "Then `subtract` y, `square`, and `mean` over everything (no axis)."],
                  "zh-CN": ["从最里面开始：x 乘 W 是矩阵乘法 `matmul`。", "b 只有一个数，乘积每行一个数：`add` 会把 b 广播到每一行。", "然后 `subtract` 减去 y，`square` 平方，再用 `mean` 对全部求平均（不填轴）。"]},
        "solution": loss, "others": [loss_as_a_product, loss_over_an_axis],
        "mistakes": [(loss_as_a_sum, {"en": "This adds the squares up; their mean is asked for.", "zh-CN": "这是平方的和；要的是平均。"}),
                     (loss_without_a_square, {"en": "Errors of opposite sign cancel here: square them before the mean.", "zh-CN": "正负误差在这里互相抵消了：求平均之前先平方。"}),
                     (loss_by_magnitude, {"en": "These are magnitudes; squares are asked for.", "zh-CN": "这是绝对值；要的是平方。"}),
                     (loss_without_b, {"en": "b has no part in it yet.", "zh-CN": "b 还没有用上。"})],
        "options": {"gradient": True},
    },
    "step_of_heat": {
        "title": {"en": "One step of heat", "zh-CN": "热传导的一步"},
        "task": {"en": "From the temperatures `u` of a rod to those one step later: every inner point changes by 0.2 · (left + right − 2 · itself); both ends stay.",
                 "zh-CN": "由一根杆的温度 `u` 得到下一步的温度：每个内部点变化 0.2 ·（左 + 右 − 2 · 自己）；两端不变。"},
        "hints": {"en": ["`slice` cuts out all left neighbours at once: from the start, up to the last two.", "Left, itself and right are three slices of the same length.", "`concat` (or `pad`) puts the ends back."],
                  "zh-CN": ["`slice` 一次取出所有左邻居：从头到倒数第二个之前。", "左、自己、右是三段等长的切片。", "用 `concat`（或 `pad`）把两端补回去。"]},
        "solution": heat, "others": [heat_with_padding, heat_by_convolution],
        "mistakes": [(heat_twice_as_fast, {"en": "The heat moves twice as far as it should in one step.", "zh-CN": "一步里热量走得太远了，是应有的两倍。"}),
                     (heat_without_ends, None),
                     (heat_backwards, {"en": "Here hot points get hotter: mind the sign of the change.", "zh-CN": "这样热的地方会更热：注意变化量的符号。"})],
        "options": {"cases": lambda rng: {"u": rng.normal(size=int(rng.integers(5, 12))).astype("float32")}},
    },
    "click_of_the_reader": {
        "title": {"en": "One click of the reader", "zh-CN": "读者点一次链接"},
        "task": {"en": "From `ranks` to the ranks one click later: 0.85 times what comes along the `links`, and 0.15 shared out evenly over all pages. The number of pages differs from case to case.",
                 "zh-CN": "由 `ranks` 得到点一次链接之后的排名：0.85 乘以沿 `links` 传来的份额，再加上平均分给所有网页的 0.15。每个算例的网页数不同。"},
        "hints": {"en": ["What comes along the links is a matrix product; column j of `links` says where readers of page j go.", "`size` counts the pages; it is an integer, so `cast` it before you divide."],
                  "zh-CN": ["沿链接传来的份额是一次矩阵乘法；`links` 的第 j 列说明第 j 页的读者去哪里。", "`size` 数出网页数；它是整数，相除之前先 `cast`。"]},
        "solution": click, "others": [click_by_ones],
        "mistakes": [(click_the_other_way, {"en": "The reader goes against the links here: which side of the product does `links` belong on?", "zh-CN": "读者在逆着链接走：`links` 应该在乘法的哪一边？"}),
                     (click_with_more_than_everyone, {"en": "Each page gets 0.15 here; all pages share 0.15.", "zh-CN": "这里每一页都得到 0.15；应该是所有网页平分 0.15。"}),
                     (click_without_beginning_anew, {"en": "This reader never begins anew.", "zh-CN": "这位读者从不重新开始。"})],
        "options": {"cases": some_web},
    },
}
