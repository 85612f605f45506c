"""The exercises of the fourth lesson with their solutions: for teachers. `python tools/lessons.py exercises` writes what students get."""
from __future__ import annotations

import numpy as np

import flowlab as fl

EDGE = np.float32([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def _image():
    return fl.placeholder(("batch", 1, 8, 8), name="image")


def edge():
    fl.conv2d(_image(), fl.constant(EDGE[None, None], name="kernel"), name="edges")


def edge_in_two_steps():
    rows = fl.conv2d(_image(), np.float32([1, 2, 1]).reshape(1, 1, 3, 1))
    fl.conv2d(rows, np.float32([-1, 0, 1]).reshape(1, 1, 1, 3))


def edge_of_two_blurs():
    image = _image()
    side = np.float32([1, 2, 1]).reshape(1, 1, 3, 1)
    fl.conv2d(image[:, :, :, 2:], side) - fl.conv2d(image[:, :, :, :-2], side)


def edge_to_the_left():
    fl.conv2d(_image(), fl.constant(-EDGE[None, None]))


def edge_downwards():
    fl.conv2d(_image(), fl.constant(np.ascontiguousarray(EDGE.T)[None, None]))


def edge_without_weights():
    fl.conv2d(_image(), fl.constant(np.sign(EDGE)[None, None]))


def edge_with_padding():
    fl.conv2d(_image(), fl.constant(EDGE[None, None]), padding="same", name="edges")


def _picture():
    return fl.placeholder(("rows", "columns"), name="x"), fl.placeholder((2, 2), name="w")


def slices():
    x, w = _picture()
    fl.add(w[0, 0] * x[:-1, :-1] + w[0, 1] * x[:-1, 1:], w[1, 0] * x[1:, :-1] + w[1, 1] * x[1:, 1:], name="y")


def slices_as_a_product():
    x, w = _picture()
    windows = fl.stack([x[:-1, :-1], x[:-1, 1:], x[1:, :-1], x[1:, 1:]], axis=-1)
    windows @ fl.reshape(w, (4,))


def slices_row_by_row():
    x, w = _picture()
    rows = [w[a, 0] * x[:, :-1] + w[a, 1] * x[:, 1:] for a in range(2)]
    rows[0][:-1] + rows[1][1:]


def slices_turned_around():
    x, w = _picture()
    w[1, 1] * x[:-1, :-1] + w[1, 0] * x[:-1, 1:] + w[0, 1] * x[1:, :-1] + w[0, 0] * x[1:, 1:]


def slices_across():
    x, w = _picture()
    w[0, 0] * x[:-1, :-1] + w[1, 0] * x[:-1, 1:] + w[0, 1] * x[1:, :-1] + w[1, 1] * x[1:, 1:]


def slices_of_a_mean():
    x, w = _picture()
    (w[0, 0] * x[:-1, :-1] + w[0, 1] * x[:-1, 1:] + w[1, 0] * x[1:, :-1] + w[1, 1] * x[1:, 1:]) / 4


def _sizes():
    return [fl.placeholder((), "int64", name=name) for name in "nkps"]


def size():
    n, k, p, s = _sizes()
    fl.add(fl.floor_divide(n + 2 * p - k, s), 1, name="size")


def size_by_one_division():
    n, k, p, s = _sizes()
    fl.floor_divide(n + p + p - k + s, s)


def size_in_fractions():
    n, k, p, s = _sizes()
    fl.cast(fl.floor(fl.cast(n - k + 2 * p, "float64") / fl.cast(s, "float64")), "int64") + 1


def size_without_the_first():
    n, k, p, s = _sizes()
    fl.floor_divide(n + 2 * p - k, s)


def size_padded_on_one_side():
    n, k, p, s = _sizes()
    fl.floor_divide(n + p - k, s) + 1


def size_rounded_up():
    n, k, p, s = _sizes()
    fl.negative(fl.floor_divide(k - 2 * p - n, s)) + 1


def size_without_the_stride():
    n, k, p, s = _sizes()
    n + 2 * p - k + 1 + 0 * s


def some_sizes() -> list[dict[str, int]]:
    return [dict(zip("nkps", sizes)) for sizes in ((12, 3, 0, 1), (12, 3, 1, 1), (6, 3, 0, 1), (4, 2, 0, 2), (28, 5, 2, 3), (224, 7, 3, 2), (9, 4, 1, 2))]


TASKS = {
    "an_edge_kernel": {
        "title": {"en": "An edge kernel", "zh-CN": "边缘卷积核"},
        "task": {"en": "Wire a convolution with the kernel of the rows (−1, 0, 1), (−2, 0, 2) and (−1, 0, 1), without padding: large where the image gets brighter from left to right.",
                 "zh-CN": "连出一个卷积，核的三行是 (−1, 0, 1)、(−2, 0, 2)、(−1, 0, 1)，不填充：图像从左到右变亮的地方，输出就大。"},
        "hints": {"en": ["Add `constant` and `conv2d`; the constant goes to the input `w`.", "A kernel has four axes: (out, in, rows, columns). There is one map and one channel: (1, 1, 3, 3).", "The constant's value as JSON: [[[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]]. Its dtype is that of the image, float32."],
                  "zh-CN": ["添加 `constant` 和 `conv2d`；常量接到输入 `w`。", "卷积核有四个轴：（输出，输入，行，列）。这里是一个特征图、一个通道：(1, 1, 3, 3)。", "常量的值写成 JSON：[[[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]]。dtype 与图像相同，是 float32。"]},
        "solution": edge, "others": [edge_in_two_steps, edge_of_two_blurs],
        "mistakes": [(edge_to_the_left, {"en": "This one is large where the image gets darker: networks do not turn the kernel around.", "zh-CN": "这个核在图像变暗的地方才大：网络里的卷积不翻转卷积核。"}),
                     (edge_downwards, {"en": "This one looks from top to bottom: rows and columns of the kernel have changed places.", "zh-CN": "这个核是从上往下看的：核的行和列互换了。"}),
                     (edge_without_weights, {"en": "The middle row should count twice.", "zh-CN": "中间一行应该算两倍。"}),
                     (edge_with_padding, None)],
        "options": {"uses": ["Conv2D"]},
    },
    "a_convolution_by_slices": {
        "title": {"en": "A convolution by slices", "zh-CN": "用切片做卷积"},
        "task": {"en": "From `x` of any size and `w` (2, 2): wire $y_{i,j} = \\sum_{a,b} w_{a,b}\\,x_{i+a,\\,j+b}$, one row and one column smaller than `x`. Without the operations that convolve.",
                 "zh-CN": "由任意大小的 `x` 和 `w`（2, 2）连出 $y_{i,j} = \\sum_{a,b} w_{a,b}\\,x_{i+a,\\,j+b}$，比 `x` 少一行一列。不用现成的卷积运算。"},
        "hints": {"en": ["There are four terms, one for each weight. `slice` of w gives a single weight.", "For w₀₀ every window's upper left pixel is needed: all of x but its last row and last column.", "For w₀₁ it is all of x but its last row and first column; the four pieces have the same size."],
                  "zh-CN": ["一共四项，每个权重一项。对 w 用 `slice` 取出单个权重。", "w₀₀ 要乘每个窗口左上角的像素：x 去掉最后一行和最后一列。", "w₀₁ 要乘的是 x 去掉最后一行和第一列；四块的大小相同。"]},
        "solution": slices, "others": [slices_as_a_product, slices_row_by_row],
        "mistakes": [(slices_turned_around, {"en": "The kernel is turned around here, as in a mathematician's convolution.", "zh-CN": "这里卷积核被翻转了，那是数学里的卷积。"}),
                     (slices_across, {"en": "w₀₁ and w₁₀ have changed places: the first index counts rows.", "zh-CN": "w₀₁ 和 w₁₀ 互换了：第一个下标数的是行。"}),
                     (slices_of_a_mean, None)],
        "options": {"cases": lambda rng: {"x": rng.normal(size=rng.integers(3, 7, 2)), "w": rng.normal(size=(2, 2))}, "without": ["Conv1D", "Conv2D", "Conv3D", "ConvTranspose1D", "ConvTranspose2D", "ConvTranspose3D"]},
    },
    "how_large_is_the_map": {
        "title": {"en": "How large is the map?", "zh-CN": "特征图有多大？"},
        "task": {"en": "A window of `k` pixels moves by `s` over `n` pixels with `p` zeros on either side. Wire how many times it fits, as a whole number (int64).",
                 "zh-CN": "一个 `k` 像素的窗口以步幅 `s` 滑过 `n` 个像素，两边各补 `p` 个零。连出它能放几次，结果是整数（int64）。"},
        "hints": {"en": ["How far can the window's first pixel go? The row has n + 2p pixels, and the window takes k of them.", "`floor_divide` divides whole numbers and drops the rest.", "The window also fits where it begins: add 1."],
                  "zh-CN": ["窗口的第一个像素最远能走到哪里？一行有 n + 2p 个像素，窗口占去 k 个。", "`floor_divide` 做整数除法，舍去余数。", "窗口在起点也放得下：加 1。"]},
        "solution": size, "others": [size_by_one_division, size_in_fractions],
        "mistakes": [(size_without_the_first, {"en": "The window also fits at its first place, before it has moved at all.", "zh-CN": "窗口还没移动时，在第一个位置也算一次。"}),
                     (size_padded_on_one_side, {"en": "There are p zeros on either side.", "zh-CN": "两边各有 p 个零。"}),
                     (size_rounded_up, {"en": "Where the last step would reach beyond the end, the window does not fit: round down.", "zh-CN": "最后一步会超出末端时，窗口就放不下：应该向下取整。"}),
                     (size_without_the_stride, {"en": "This is right for steps of one pixel. What does `s` do?", "zh-CN": "步幅为 1 时这是对的。`s` 起什么作用？"})],
        "options": {"cases": some_sizes()},
    },
}
