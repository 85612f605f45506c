"""The exercises of the captcha lesson with their solutions: for teachers. `python tools/lessons.py exercises` writes what students get."""
from __future__ import annotations

import numpy as np

import flowlab as fl


def _pictures():
    return fl.placeholder(("batch", 6, 8, 3), name="pictures")


def sequence():
    pictures = _pictures()
    small = fl.mean(fl.reshape(fl.mean(pictures, axis=-1) / 255, (-1, 3, 2, 4, 2)), axis=(2, 4))
    fl.transpose(small - fl.mean(small, axis=(1, 2), keepdims=True), (0, 2, 1), name="sequence")


def sequence_by_pooling():
    pictures = _pictures()
    grey = fl.mean(fl.avg_pool2d(fl.transpose(pictures, (0, 3, 2, 1)), 2), axis=1)
    (grey - fl.mean(fl.mean(grey, axis=1, keepdims=True), axis=2, keepdims=True)) / 255


def sequence_by_slices():
    pictures = _pictures()
    grey = fl.sum(pictures, axis=3) / 765
    even = grey - fl.mean(grey, axis=(1, 2), keepdims=True)
    fl.einsum("brc->bcr", (even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4)


def sequence_counted_off():
    pictures = _pictures()
    small = fl.mean(fl.reshape(fl.mean(pictures, axis=-1) / 255, (-1, 3, 2, 4, 2)), axis=(2, 4))
    fl.reshape(small - fl.mean(small, axis=(1, 2), keepdims=True), (-1, 4, 3))


def sequence_as_bright_as_it_is():
    pictures = _pictures()
    fl.transpose(fl.mean(fl.reshape(fl.mean(pictures, axis=-1) / 255, (-1, 3, 2, 4, 2)), axis=(2, 4)), (0, 2, 1))


def sequence_of_bytes():
    pictures = _pictures()
    small = fl.mean(fl.reshape(fl.mean(pictures, axis=-1), (-1, 3, 2, 4, 2)), axis=(2, 4))
    fl.transpose(small - fl.mean(small, axis=(1, 2), keepdims=True), (0, 2, 1))


def sequence_less_the_mean_of_all():
    pictures = _pictures()
    small = fl.mean(fl.reshape(fl.mean(pictures, axis=-1) / 255, (-1, 3, 2, 4, 2)), axis=(2, 4))
    fl.transpose(small - fl.mean(small), (0, 2, 1))


def sequence_of_rows():
    pictures = _pictures()
    small = fl.mean(fl.reshape(fl.mean(pictures, axis=-1) / 255, (-1, 3, 2, 4, 2)), axis=(2, 4))
    fl.subtract(small, fl.mean(small, axis=(1, 2), keepdims=True))


def some_pictures(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"pictures": rng.integers(0, 256, (int(rng.integers(2, 5)), 6, 8, 3)).astype("float32")}


def _answers():
    return fl.placeholder(("batch", 4, 10), name="scores"), fl.placeholder(("batch", 4), "int64", name="digits")


def whole():
    scores, digits = _answers()
    fl.mean(fl.cast(fl.all(fl.equal(fl.argmax(scores, axis=-1), digits), axis=1), "float32"), name="whole")


def whole_by_the_least():
    scores, digits = _answers()
    fl.mean(fl.min(fl.cast(fl.equal(digits, fl.argmax(scores, axis=2)), "float32"), axis=-1))


def whole_by_counting():
    scores, digits = _answers()
    right = fl.sum(fl.cast(fl.equal(fl.argmax(scores, axis=2), digits), "float32"), axis=1)
    fl.mean(fl.where(right > 3.5, 1.0, 0.0))


def single_digits():
    scores, digits = _answers()
    fl.mean(fl.cast(fl.equal(fl.argmax(scores, axis=-1), digits), "float32"))


def any_digit():
    scores, digits = _answers()
    fl.mean(fl.cast(fl.any(fl.equal(fl.argmax(scores, axis=-1), digits), axis=1), "float32"))


def how_many():
    scores, digits = _answers()
    fl.sum(fl.cast(fl.all(fl.equal(fl.argmax(scores, axis=-1), digits), axis=1), "float32"))


def each_captcha():
    scores, digits = _answers()
    fl.cast(fl.all(fl.equal(fl.argmax(scores, axis=-1), digits), axis=1), "float32")


def some_answers(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Captchas of which most digits are read right, and some whole."""
    n = int(rng.integers(5, 9))
    digits = rng.integers(0, 10, (n, 4))
    read = np.where(rng.random((n, 4)) < 0.3, (digits + 1) % 10, digits)
    read[0], read[1, 0] = digits[0], (digits[1, 0] + 1) % 10
    return {"scores": (rng.normal(size=(n, 4, 10)) + 8 * np.eye(10)[read]).astype("float32"), "digits": digits}


TASKS = {
    "picture_to_sequence": {
        "title": {"en": "From picture to sequence", "zh-CN": "从图片到序列"},
        "task": {"en": "`pictures` are 6 × 8 pixels with three colours of 0 to 255. Make of each a sequence of 4 timesteps with 3 values: colours averaged, divided by 255, 2 × 2 pixels averaged, the picture's own mean taken off, columns as timesteps.",
                 "zh-CN": "`pictures` 是 6 × 8 个像素、三种颜色、取值 0 到 255 的图片。把每张变成 4 个时间步、每步 3 个数的序列：颜色取平均，除以 255，2 × 2 个像素取平均，减去这张图片自己的平均值，列作为时间步。"},
        "hints": {"en": ["The colours are the last axis: `mean` with axis −1.", "`reshape` to (−1, 3, 2, 4, 2) gives the two pixels of a pair an axis of their own, in both directions; `mean` over axes 2 and 4 averages them.",
                         "The mean of each picture is over axes 1 and 2, with `keepdims`, so that it can be subtracted.", "`transpose` with axes 0, 2, 1 exchanges rows and columns and leaves the batch."],
                  "zh-CN": ["颜色是最后一个轴：`mean`，轴取 −1。", "`reshape` 成 (−1, 3, 2, 4, 2)，两个方向上成对的像素就各有了自己的轴；再对轴 2 和 4 求 `mean`。",
                            "每张图片的平均值是对轴 1 和 2 求的，加上 `keepdims` 才好相减。", "`transpose`，轴取 0, 2, 1：交换行和列，批量的轴不动。"]},
        "solution": sequence, "others": [sequence_by_pooling, sequence_by_slices],
        "mistakes": [(sequence_counted_off, {"en": "The shape is right, but reshape only counts the numbers off anew: a timestep here holds pieces of rows, not a column.", "zh-CN": "形状对了，可 reshape 只是把这些数重新数一遍：这里的一个时间步装的是几段行，不是一列。"}),
                     (sequence_as_bright_as_it_is, {"en": "A bright picture still differs from a dark one: take off the mean of each picture.", "zh-CN": "亮的图片和暗的图片还是不一样：减去每张图片的平均值。"}),
                     (sequence_of_bytes, {"en": "These values are 255 times as large as they should be.", "zh-CN": "这些值是应有的 255 倍。"}),
                     (sequence_less_the_mean_of_all, {"en": "This takes off the mean of the whole batch, so that a picture's sequence depends on its neighbours.", "zh-CN": "这里减去的是整个批量的平均值，一张图片的序列就会受旁边图片的影响。"}),
                     (sequence_of_rows, None)],
        "options": {"cases": some_pictures},
    },
    "read_whole": {
        "title": {"en": "Read whole", "zh-CN": "整张读对"},
        "task": {"en": "From `scores`, ten for each of four digits, and the right `digits`: the share of captchas that are read whole, one number between 0 and 1.",
                 "zh-CN": "由 `scores`（四个数字各有十个得分）和正确的 `digits`，求整张读对的验证码所占的比例：0 到 1 之间的一个数。"},
        "hints": {"en": ["`argmax` over the last axis gives the digit with the highest score.", "`equal` says which digits are right; `all` over axis 1 whether a captcha is.", "`cast` turns true and false into 1 and 0, and their `mean` is a share."],
                  "zh-CN": ["对最后一个轴求 `argmax`，就是得分最高的数字。", "`equal` 说明哪些数字对；对轴 1 求 `all`，说明一张是不是全对。", "`cast` 把真假变成 1 和 0，它们的 `mean` 就是比例。"]},
        "solution": whole, "others": [whole_by_the_least, whole_by_counting],
        "mistakes": [(single_digits, {"en": "This is the share of single digits that are right; a captcha needs all four.", "zh-CN": "这是单个数字读对的比例；一张验证码要四个全对。"}),
                     (any_digit, {"en": "One right digit is enough here; all four are asked for.", "zh-CN": "这里对一个数字就算；要的是四个全对。"}),
                     (how_many, {"en": "This counts the captchas; their share is asked for.", "zh-CN": "这是张数；要的是比例。"}),
                     (each_captcha, None)],
        "options": {"cases": some_answers},
    },
}
