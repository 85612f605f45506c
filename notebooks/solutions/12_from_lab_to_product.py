"""The exercises of the lesson from lab to product with their solutions: for teachers. `python tools/lessons.py exercises` writes what students get."""
from __future__ import annotations

import numpy as np

import flowlab as fl


def _bytes():
    return fl.placeholder(("batch", 8, 8), "uint8", name="image"), fl.placeholder((8, 8), name="mean"), fl.placeholder((64,), name="spread")


def raw_bytes():
    image, mean, spread = _bytes()
    fl.divide(fl.reshape(fl.cast(image, "float32") - mean, (-1, 64)), spread, name="rows")


def raw_bytes_flat_first():
    image, mean, spread = _bytes()
    flat = fl.cast(fl.nn.flatten(image), "float32")
    fl.subtract(flat, fl.reshape(mean, (64,))) * (1 / spread)


def raw_bytes_by_parts():
    image, mean, spread = _bytes()
    place = fl.reshape(spread, (8, 8))
    fl.reshape(fl.cast(image, "float32") / place - mean / place, (-1, 64))


def of_this_batch():
    image, mean, spread = _bytes()
    flat = fl.reshape(fl.cast(image, "float32"), (-1, 64))
    (flat - fl.mean(flat, axis=0, keepdims=True)) / spread + 0 * fl.reshape(mean, (64,))


def divided_first():
    image, mean, spread = _bytes()
    fl.reshape(fl.cast(image, "float32"), (-1, 64)) / spread - fl.reshape(mean, (64,))


def turned_over():
    image, mean, spread = _bytes()
    fl.reshape(fl.transpose(fl.cast(image, "float32") - mean, (0, 2, 1)), (-1, 64)) / spread


def divided_by_255_too():
    image, mean, spread = _bytes()
    fl.reshape(fl.cast(image, "float32") / 255 - mean, (-1, 64)) / spread


def one_picture_only():
    image, mean, spread = _bytes()
    fl.reshape(fl.cast(image[0], "float32") - mean, (1, 64)) / spread


def some_bytes(rng: np.random.Generator) -> dict[str, np.ndarray]:
    batch = int(rng.choice([1, 3, 4]))
    return {"image": rng.integers(0, 256, (batch, 8, 8)).astype("uint8"), "mean": rng.uniform(50, 150, (8, 8)).astype("float32"), "spread": rng.uniform(20, 80, 64).astype("float32")}


def _scores():
    return fl.placeholder(("batch", 10), name="scores")


def or_nothing():
    scores = _scores()
    fl.where(fl.max(fl.softmax(scores), axis=1) >= 0.9, fl.argmax(scores), -1, name="answer")


def or_nothing_by_logarithms():
    scores = _scores()
    sure = fl.max(scores, axis=1) - fl.logsumexp(scores, axis=1) >= float(np.log(0.9))
    fl.where(fl.logical_not(sure), fl.full_like(fl.argmax(scores), -1), fl.argmax(scores))


def or_nothing_by_counting():
    scores = _scores()
    shares = fl.softmax(scores, axis=-1)
    sure = fl.cast(fl.any(shares >= 0.9, axis=1), "int64")
    (fl.argmax(shares, axis=1) + 1) * sure - 1


def of_scores():
    scores = _scores()
    fl.where(fl.max(scores, axis=1) >= 0.9, fl.argmax(scores), -1)


def always_something():
    scores = _scores()
    fl.argmax(fl.softmax(scores), axis=1)


def the_wrong_way_round():
    scores = _scores()
    fl.where(fl.max(fl.softmax(scores), axis=1) >= 0.9, -1, fl.argmax(scores))


def shares_over_the_batch():
    scores = _scores()
    fl.where(fl.max(fl.softmax(scores, axis=0), axis=1) >= 0.9, fl.argmax(scores), -1)


def nought_for_nothing():
    scores = _scores()
    fl.where(fl.max(fl.softmax(scores), axis=1) >= 0.9, fl.argmax(scores), 0)


def some_scores(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Half of them sure, half in doubt, none near the border; how large the scores are says nothing about that."""
    n = int(rng.integers(4, 8))
    scores = rng.normal(size=(n, 10))
    best = rng.integers(1, 10, n)
    scores[np.arange(n), best] = scores.max(axis=1) + np.where(np.arange(n) % 2, 0.5, 7.0)
    scores += np.where(np.arange(n) // 2 % 2, -15.0, 3.0)[:, None]
    return {"scores": scores.astype("float32")}


TASKS = {
    "raw_bytes": {
        "title": {"en": "Raw bytes go in", "zh-CN": "原始字节直接进图"},
        "task": {"en": "From `image` (batch, 8, 8), bytes, to rows (batch, 64): each pixel less the `mean` (8, 8) of its place, divided by the `spread` (64,) of its place. The batch has any size.",
                 "zh-CN": "由字节 `image`（batch, 8, 8）得到每张一行（batch, 64）：每个像素减去它所在位置的 `mean`（8, 8），再除以它所在位置的 `spread`（64,）。批量的大小任意。"},
        "hints": {"en": ["Bytes know no numbers below 0: `cast` to float32 before you subtract.", "`mean` is a picture and `spread` a row: subtract before the `reshape`, divide after it.", "In `reshape`, −1 stands for the size that comes out by itself: (−1, 64)."],
                  "zh-CN": ["字节里没有负数：相减之前先 `cast` 成 float32。", "`mean` 是一张图，`spread` 是一行：`reshape` 之前减，之后除。", "`reshape` 里的 −1 表示自动算出的大小：(−1, 64)。"]},
        "solution": raw_bytes, "others": [raw_bytes_flat_first, raw_bytes_by_parts],
        "mistakes": [(of_this_batch, {"en": "This takes the mean of the batch at hand: the same picture gets another answer in other company, and a single one is all zeros.", "zh-CN": "这里用的是当前批量的平均值：同一张图片和不同的图片在一起，答案就不同；单独一张则全是零。"}),
                     (divided_first, {"en": "The mean is one of bytes: subtract it before you divide.", "zh-CN": "平均值是字节的平均：先减它，再除。"}),
                     (turned_over, {"en": "The pictures lie on their side here: rows and columns have changed places.", "zh-CN": "图片在这里横过来了：行和列换了位置。"}),
                     (divided_by_255_too, {"en": "The pixels are divided by 255 here, the mean and the spread are not.", "zh-CN": "这里像素除了 255，平均值和离散程度却没有。"}),
                     (one_picture_only, None)],
        "options": {"cases": some_bytes},
    },
    "or_say_nothing": {
        "title": {"en": "The right to say nothing", "zh-CN": "可以不回答"},
        "task": {"en": "From `scores` (batch, 10) to the answers (batch,), whole numbers: the digit with the highest score if its probability (softmax) is at least 0.9, else −1.",
                 "zh-CN": "由 `scores`（batch, 10）得到答案（batch,），整数：得分最高的数字，若它的概率（softmax）至少是 0.9；否则为 −1。"},
        "hints": {"en": ["`softmax` over the last axis makes probabilities of scores; their `max` is the sureness.", "`greater_equal` compares it with 0.9.", "`where` chooses: the condition, then what holds if it is true, then what holds if not.", "0.9 and −1 are constants. A digit is a whole number: choose int64 as the dtype of −1."],
                  "zh-CN": ["对最后一个轴求 `softmax`，得分就成了概率；其中的 `max` 就是把握。", "`greater_equal` 把它和 0.9 比较。", "`where` 负责选：先是条件，然后是成立时的值，最后是不成立时的值。", "0.9 和 −1 是常量。数字是整数：把 −1 的 dtype 选成 int64。"]},
        "solution": or_nothing, "others": [or_nothing_by_logarithms, or_nothing_by_counting],
        "mistakes": [(of_scores, {"en": "Scores are no probabilities: 0.9 means nothing to them.", "zh-CN": "得分不是概率：0.9 对它们没有意义。"}),
                     (always_something, {"en": "This always answers, however much it doubts.", "zh-CN": "再没有把握，它也总要回答。"}),
                     (the_wrong_way_round, {"en": "This is silent where it is sure, and answers where it is not.", "zh-CN": "有把握时不说，没把握时反而回答。"}),
                     (shares_over_the_batch, {"en": "Here the pictures of a batch compete with each other, instead of the ten digits of one picture: over which axis is the softmax?", "zh-CN": "这里是一个批量里的图片互相竞争，而不是同一张图片的十个数字：softmax 是对哪个轴？"}),
                     (nought_for_nothing, {"en": "0 is a digit; nobody could tell it from doubt.", "zh-CN": "0 也是一个数字，没法和“没把握”区分开。"})],
        "options": {"cases": some_scores},
    },
}
