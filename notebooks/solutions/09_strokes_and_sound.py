"""The exercises of the lesson on strokes and sound with their solutions: for teachers. `python tools/lessons.py exercises` writes what students get."""
from __future__ import annotations

import numpy as np

import flowlab as fl


def _rows():
    return fl.placeholder(("batch", "time", 4), name="x"), fl.placeholder(("batch",), "int64", name="lengths")


def _there(x, lengths):
    return fl.cast(fl.cumsum(fl.ones_like(x[:, :, 0]), axis=1) <= fl.cast(lengths, "float32")[:, None], "float32")


def mean_over_time():
    x, lengths = _rows()
    fl.divide(fl.sum(x * _there(x, lengths)[:, :, None], axis=1), fl.cast(lengths, "float32")[:, None], name="mean")


def mean_by_where():
    x, lengths = _rows()
    moment = fl.cumsum(fl.ones_like(x), axis=1)
    size = fl.cast(fl.expand_dims(lengths, 1), "float32")
    fl.sum(fl.where(moment > fl.expand_dims(size, 1), 0.0, x), axis=1) * (1 / size)


def mean_by_running_sums():
    x, lengths = _rows()
    last = fl.take_along_axis(fl.cumsum(x, axis=1), fl.cast(fl.cast(fl.zeros_like(x[:, :1, :]), "int64") + (lengths - 1)[:, None, None], "int64"), axis=1)
    last[:, 0] / fl.cast(lengths, "float32")[:, None]


def mean_by_einsum():
    x, lengths = _rows()
    there = _there(x, lengths)
    fl.einsum("btf,bt->bf", x, there / fl.sum(there, axis=1, keepdims=True))


def mean_of_all():
    x, lengths = _rows()
    fl.add(fl.mean(x, axis=1), 0 * fl.cast(lengths, "float32")[:, None])


def mean_over_the_tensor():
    x, lengths = _rows()
    fl.mean(x * _there(x, lengths)[:, :, None], axis=1)


def mean_with_rubbish():
    x, lengths = _rows()
    fl.sum(x, axis=1) / fl.cast(lengths, "float32")[:, None]


def mean_without_the_last():
    x, lengths = _rows()
    size = fl.cast(lengths, "float32")[:, None]
    there = fl.cast(fl.cumsum(fl.ones_like(x[:, :, 0]), axis=1) < size, "float32")
    fl.sum(x * there[:, :, None], axis=1) / size


def sum_over_time():
    x, lengths = _rows()
    fl.sum(x * _there(x, lengths)[:, :, None], axis=1)


def some_rows(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows of which the first is the longest, the last a short one, with rubbish in the padding."""
    batch, time = int(rng.integers(2, 5)), int(rng.integers(4, 8))
    lengths = rng.integers(1, time + 1, batch)
    lengths[0], lengths[-1] = time, rng.integers(1, time - 1)
    return {"x": rng.normal(1, 1, (batch, time, 4)).astype("float32"), "lengths": lengths}


def _frames():
    return (fl.placeholder(("frames", 16), name="x"), fl.placeholder((16,), name="window"), fl.placeholder((16, 9), name="cosines"), fl.placeholder((16, 9), name="sines"))


def power():
    x, window, cosines, sines = _frames()
    faded = x * window
    fl.add(fl.square(faded @ cosines), fl.square(faded @ sines), name="power")


def power_by_one_product():
    x, window, cosines, sines = _frames()
    both = (x * window) @ fl.concat([cosines, sines], axis=1)
    both[:, :9] ** 2 + both[:, 9:] ** 2


def power_by_faded_waves():
    x, window, cosines, sines = _frames()
    fade = fl.expand_dims(window, 1)
    re, im = x @ (fade * cosines), x @ (fade * sines)
    fl.square(fl.hypot(im, re))


def power_without_the_window():
    x, window, cosines, sines = _frames()
    fl.square(x @ cosines) + fl.square(x @ sines) + 0 * fl.sum(window)


def power_as_magnitude():
    x, window, cosines, sines = _frames()
    fl.hypot((x * window) @ cosines, (x * window) @ sines)


def power_squared_too_late():
    x, window, cosines, sines = _frames()
    fl.square((x * window) @ cosines + (x * window) @ sines)


def power_of_cosines():
    x, window, cosines, sines = _frames()
    fl.square((x * window) @ cosines) + 0 * fl.sum(sines)


def some_frames(rng: np.random.Generator) -> dict[str, np.ndarray]:
    turns = 2 * np.pi * np.outer(np.arange(16), np.arange(9)) / 16
    return {"x": rng.normal(size=(int(rng.integers(2, 6)), 16)).astype("float32"), "window": np.hanning(16).astype("float32"),
            "cosines": np.cos(turns).astype("float32"), "sines": np.sin(turns).astype("float32")}


TASKS = {
    "mean_over_time": {
        "title": {"en": "A mean that ignores the padding", "zh-CN": "不算填充的平均"},
        "task": {"en": "From `x` (batch, time, 4) and the `lengths` of its rows to the mean over time (batch, 4): the first `lengths` moments of each row count, the others do not.",
                 "zh-CN": "由 `x`（batch, time, 4）和各行的 `lengths`，求对时间的平均（batch, 4）：每行只有前 `lengths` 个时刻算数，其余的不算。"},
        "hints": {"en": ["First the mask: `cumsum` of ones along time counts 1, 2, 3, …; compare that with the lengths.", "To stand beside (batch, time), the lengths need an axis, `expand_dims`, and the same dtype, `cast`.",
                         "The mask, cast to numbers and given a last axis, is multiplied with x; then `sum` over time.", "What you divide by is the length of each row, not the number of moments in the tensor."],
                  "zh-CN": ["先做掩码：对 1 沿时间求 `cumsum`，数出 1, 2, 3, …；再和长度比较。", "要和（batch, time）比较，长度还差一个轴：`expand_dims`；dtype 也要一样：`cast`。",
                            "掩码转成数，补上最后一个轴，和 x 相乘；再对时间求 `sum`。", "要除以的是每行自己的长度，不是张量里的时刻数。"]},
        "solution": mean_over_time, "others": [mean_by_where, mean_by_running_sums, mean_by_einsum],
        "mistakes": [(mean_of_all, {"en": "The padding counts here as if it had been measured.", "zh-CN": "这里把填充也当成测到的数算进去了。"}),
                     (mean_over_the_tensor, {"en": "The sum is right, but you divide by the length of the tensor; a short row comes out too small.", "zh-CN": "和是对的，可除以的是张量的长度；短的行算出来偏小。"}),
                     (mean_with_rubbish, {"en": "You divide by the right number, but what stands in the padding is still in the sum.", "zh-CN": "除数对了，可填充里的东西还在和里面。"}),
                     (mean_without_the_last, {"en": "The last moment of each row is missing: does your count begin with 1 or with 0?", "zh-CN": "每行的最后一个时刻漏掉了：你数数是从 1 开始，还是从 0 开始？"}),
                     (sum_over_time, {"en": "This is the sum; divide it by each row's length.", "zh-CN": "这是和；还要除以每行的长度。"})],
        "options": {"cases": some_rows},
    },
    "power_spectrum": {
        "title": {"en": "A spectrum by two matrix products", "zh-CN": "用两次矩阵乘法求频谱"},
        "task": {"en": "`x` holds frames of 16 numbers. Multiply each by the `window`, then by the `cosines` and by the `sines` of 9 frequencies (a column each), and add the squares: the power of every frequency in every frame.",
                 "zh-CN": "`x` 里是每帧 16 个数。每帧先乘 `window`，再分别乘 9 个频率的 `cosines` 和 `sines`（每列一个频率），最后把平方相加：每帧里每个频率的功率。"},
        "hints": {"en": ["The window has one number for each place in a frame: `multiply` stretches it over all frames.", "A frame times a cosine, summed up, is a `matmul`; the nine columns are nine frequencies at once.", "`square` both products, then `add`."],
                  "zh-CN": ["窗在一帧的每个位置上有一个数：`multiply` 会把它广播到所有帧。", "一帧乘一条余弦再相加，就是 `matmul`；九列就是同时算九个频率。", "两个乘积分别 `square`，再 `add`。"]},
        "solution": power, "others": [power_by_one_product, power_by_faded_waves],
        "mistakes": [(power_without_the_window, {"en": "The frames are not faded in and out yet: the window has no part in it.", "zh-CN": "这些帧还没有淡入淡出：窗还没有用上。"}),
                     (power_as_magnitude, {"en": "This is the magnitude; its square is the power.", "zh-CN": "这是幅度；它的平方才是功率。"}),
                     (power_squared_too_late, {"en": "Square first and add then: cosine and sine cancel here, depending on where the wave begins.", "zh-CN": "先平方再相加：这样余弦和正弦会互相抵消，结果取决于波从哪里开始。"}),
                     (power_of_cosines, {"en": "A wave that begins like a sine is not heard here.", "zh-CN": "像正弦那样开始的波，这里听不到。"})],
        "options": {"cases": some_frames},
    },
}
