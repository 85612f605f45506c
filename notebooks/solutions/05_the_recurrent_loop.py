"""The exercises of the fifth lesson with their solutions: for teachers."""
from __future__ import annotations

import numpy as np

import flowlab as fl


def _zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, "float32")


# ---------------------------------------------------------------- a running mean


def _numbers():
    return fl.placeholder(("time",), name="x")


def mean_of_two_states():
    with fl.scan(_numbers(), name="loop") as step:
        total, count = step.state("total", init=0.0), step.state("count", init=0.0)
        more, one_more = total + step.input, count + 1.0
        step.update(total, more)
        step.update(count, one_more)
        step.output(more / one_more)
    fl.identity(step.outputs[0], name="mean")


def mean_that_moves():
    with fl.scan(_numbers(), name="loop") as step:
        mean = step.state("mean", init=0.0)
        after = mean + (step.input - mean) / (fl.cast(step.index, "float32") + 1.0)
        step.update(mean, after)
        step.output(after)


def mean_of_sums():
    x = _numbers()
    with fl.scan(x, name="loop") as step:
        total = step.state("total", init=0.0)
        step.update(total, total + step.input)
        step.output(total + step.input)
    step.outputs[0] / fl.cumsum(fl.ones_like(x))


def mean_as_a_sum():
    with fl.scan(_numbers(), name="loop") as step:
        total = step.state("total", init=0.0)
        more = total + step.input
        step.update(total, more)
        step.output(more)
    fl.identity(step.outputs[0], name="mean")


def mean_without_the_newest():
    with fl.scan(_numbers(), name="loop") as step:
        total, count = step.state("total", init=0.0), step.state("count", init=0.0)
        step.update(total, total + step.input)
        step.update(count, count + 1.0)
        step.output(total / fl.maximum(count, 1.0))
    fl.identity(step.outputs[0], name="mean")


def mean_by_the_whole_length():
    x = _numbers()
    with fl.scan(x, name="loop") as step:
        total = step.state("total", init=0.0)
        more = total + step.input
        step.update(total, more)
        step.output(more)
    fl.divide(step.outputs[0], fl.cast(fl.size(x), "float32"), name="mean")


def mean_without_a_loop():
    x = _numbers()
    fl.divide(fl.cumsum(x), fl.cumsum(fl.ones_like(x)), name="mean")


# ---------------------------------------------------------------- a cell in a loop


def _cell(x):
    return x, fl.placeholder(("batch", 3), name="h0"), fl.variable(_zeros(2, 3), name="W"), fl.variable(_zeros(3, 3), name="U"), fl.variable(_zeros(3), name="b")


def _sequence():
    return fl.placeholder(("time", "batch", 2), name="x")


def _looped(rule):
    x, h0, W, U, b = _cell(_sequence())
    with fl.scan(x, name="loop") as step:
        before = step.state("h", init=h0)
        after = rule(step.input, before, W, U, b)
        step.update(before, after)
        step.output(after)
    return fl.identity(step.outputs[0], name="hidden")


def cell():
    _looped(lambda x, h, W, U, b: fl.tanh(x @ W + h @ U + b))


def cell_by_one_product():
    _looped(lambda x, h, W, U, b: fl.tanh(b + fl.concat([h, x], axis=1) @ fl.concat([U, W], axis=0)))


def cell_that_reads_before_the_loop():
    x, h0, W, U, b = _cell(_sequence())
    with fl.scan(x @ W + b, name="loop") as step:
        before = step.state("h", init=h0)
        after = fl.tanh(before @ U + step.input)
        step.update(before, after)
        step.output(after)


def cell_without_tanh():
    _looped(lambda x, h, W, U, b: x @ W + h @ U + b)


def cell_with_tanh_inside():
    _looped(lambda x, h, W, U, b: fl.tanh(x @ W + b) + h @ U)


def cell_without_b():
    _looped(lambda x, h, W, U, b: fl.tanh(x @ W + h @ U))


def cell_that_forgets():
    x, h0, W, U, b = _cell(_sequence())
    with fl.scan(x, name="loop") as step:
        before = step.state("h", init=h0)
        step.output(fl.tanh(step.input @ W + before @ U + b))
        step.update(before, before)
    fl.identity(step.outputs[0], name="hidden")


def cell_that_shows_what_was():
    x, h0, W, U, b = _cell(_sequence())
    with fl.scan(x, name="loop") as step:
        before = step.state("h", init=h0)
        step.update(before, fl.tanh(step.input @ W + before @ U + b))
        step.output(before)
    fl.identity(step.outputs[0], name="hidden")


# ---------------------------------------------------------------- two steps


def _two():
    return _cell(fl.placeholder(("batch", 2, 2), name="x"))


def two():
    x, h, W, U, b = _two()
    for t in range(2):
        h = fl.tanh(x[:, t] @ W + h @ U + b)
    fl.identity(h, name="h2")


def two_that_read_first():
    x, h0, W, U, b = _two()
    read = x @ W
    first = fl.tanh(b + read[:, 0] + h0 @ U)
    fl.tanh(b + (first @ U + read[:, 1]))


def two_with_weights_side_by_side():
    x, h, W, U, b = _two()
    for each in fl.split(x, 2, axis=1):
        h = fl.tanh(fl.concat([fl.reshape(each, (-1, 2)), h], axis=1) @ fl.concat([W, U], axis=0) + b)


def two_from_the_end():
    x, h, W, U, b = _two()
    for t in (1, 0):
        h = fl.tanh(x[:, t] @ W + h @ U + b)
    fl.identity(h, name="h2")


def two_without_handing_on():
    x, h0, W, U, b = _two()
    fl.tanh(x[:, 1] @ W + h0 @ U + b, name="h2")


def two_reading_the_first_twice():
    x, h, W, U, b = _two()
    for _ in range(2):
        h = fl.tanh(x[:, 0] @ W + h @ U + b)
    fl.identity(h, name="h2")


def two_with_one_tanh():
    x, h, W, U, b = _two()
    fl.tanh(x[:, 1] @ W + (x[:, 0] @ W + h @ U + b) @ U + b, name="h2")


TASKS = {
    "a_running_mean": {
        "title": {"en": "A running mean", "zh-CN": "走到哪里算到哪里的平均"},
        "task": {"en": "From `x` to the means of all its numbers so far: $m_t = \\frac{1}{t+1}(x_0 + \\dots + x_t)$. Use a loop, `Scan`: its sequence is `x`, and it may carry as many states as you like (key `T` inside adds one).",
                 "zh-CN": "由 `x` 得到到目前为止所有数的平均：$m_t = \\frac{1}{t+1}(x_0 + \\dots + x_t)$。请用循环 `Scan`：它沿着 `x` 走，可以带任意多个状态（在循环里按 `T` 添加一个）。"},
        "hints": {"en": ["What must you remember to give the next mean? The sum so far, and how many numbers it is of.", "A state begins where its port `start` says (a constant 0) and becomes what its port `next` is given.",
                         "Inside: sum + input goes to the sum's `next`, count + 1 to the count's `next`; their quotient goes to the loop's output."],
                  "zh-CN": ["要给出下一个平均，必须记住什么？到目前为止的和，以及一共有几个数。", "状态从端口 `start` 给的值开始（常量 0），然后变成端口 `next` 得到的值。",
                            "循环内部：和 + 输入 连到“和”的 `next`，个数 + 1 连到“个数”的 `next`；两者之商连到循环的输出。"]},
        "solution": mean_of_two_states, "others": [mean_that_moves, mean_of_sums],
        "mistakes": [(mean_as_a_sum, {"en": "This is the sum so far; it is not divided by anything yet.", "zh-CN": "这是到目前为止的和，还没有除以个数。"}),
                     (mean_without_the_newest, {"en": "The newest number is left out: give out what the states become, not what they were.", "zh-CN": "漏掉了最新的数：应该给出状态更新之后的值，而不是之前的值。"}),
                     (mean_by_the_whole_length, {"en": "This divides by the length of the whole sequence; at timestep t only t + 1 numbers have been there.", "zh-CN": "这里除以了整个序列的长度；到时间步 t 为止，只有 t + 1 个数。"}),
                     (mean_without_a_loop, None)],
        "options": {"cases": lambda rng: {"x": rng.normal(size=int(rng.integers(3, 9))).astype("float32")}, "uses": ["Scan"]},
    },
    "a_cell_in_a_loop": {
        "title": {"en": "The cell in the loop", "zh-CN": "循环里的单元"},
        "task": {"en": "Wire $h_t = \\tanh(x_t W + h_{t-1} U + b)$ in a loop over `x` (time, batch, 2). The state begins at `h0`; the loop's output is $h_t$ at every timestep. Variables may be wired into the loop from outside.",
                 "zh-CN": "在沿 `x`（时间, batch, 2）的循环里连出 $h_t = \\tanh(x_t W + h_{t-1} U + b)$。状态从 `h0` 开始；循环的输出是每个时间步的 $h_t$。变量可以从外面直接连进循环。"},
        "hints": {"en": ["Add `Scan`; wire `x` to its sequence and `h0` to the port `start` of its state.", "Inside, two matrix products: what comes in by `W`, the state by `U`. Then two sums, then `tanh`.",
                         "The result goes two ways: round to the state's `next`, and out to `output`."],
                  "zh-CN": ["添加 `Scan`；把 `x` 连到它的序列，把 `h0` 连到状态的端口 `start`。", "循环内部有两次矩阵乘法：输入乘 `W`，状态乘 `U`。然后加两次，再 `tanh`。",
                            "结果走两条路：绕回状态的 `next`，以及出去到 `output`。"]},
        "solution": cell, "others": [cell_by_one_product, cell_that_reads_before_the_loop],
        "mistakes": [(cell_without_tanh, {"en": "There is no tanh yet: this state can grow without bounds.", "zh-CN": "还没有 tanh：这样状态可以无限增大。"}),
                     (cell_with_tanh_inside, {"en": "tanh is of the whole sum, not of what comes in alone.", "zh-CN": "tanh 作用于整个和，而不只是输入那一部分。"}),
                     (cell_without_b, {"en": "b has no part in it yet.", "zh-CN": "b 还没有用上。"}),
                     (cell_that_forgets, {"en": "Every timestep finds h0 here: what goes to the state's `next`?", "zh-CN": "这里每个时间步看到的都是 h0：状态的 `next` 连的是什么？"}),
                     (cell_that_shows_what_was, {"en": "This gives out the state that the timestep found, one too early: give out what it becomes.", "zh-CN": "给出的是时间步开始时的状态，早了一步：应该给出更新之后的。"})],
        "options": {"gradient": True},
    },
    "two_steps": {
        "title": {"en": "Two steps without a loop", "zh-CN": "不用循环的两步"},
        "task": {"en": "Unroll the loop by hand for the two timesteps `x[:, 0]` and `x[:, 1]`: from `h0` to $h_2$, both steps with the same `W`, `U` and `b`. The gradients of the shared weights are checked too.",
                 "zh-CN": "把循环手工展开成两个时间步 `x[:, 0]` 和 `x[:, 1]`：从 `h0` 到 $h_2$，两步共用同样的 `W`、`U` 和 `b`。共享权重的梯度也要检查。"},
        "hints": {"en": ["`get_item` (or `split` and `reshape`) takes one timestep out of `x`.", "Build one step whole, from `h0` to $h_1$; copy it with Ctrl+C and Ctrl+V, and wire the copy to the same variables.", "The second step gets $h_1$ where the first gets `h0`."],
                  "zh-CN": ["`get_item`（或 `split` 加 `reshape`）从 `x` 里取出一个时间步。", "先完整地搭好一步，从 `h0` 到 $h_1$；再用 Ctrl+C 和 Ctrl+V 复制一份，把副本连到同样的变量。", "第一步接 `h0` 的地方，第二步接 $h_1$。"]},
        "solution": two, "others": [two_that_read_first, two_with_weights_side_by_side],
        "mistakes": [(two_from_the_end, {"en": "The text is read from its end here: the first step reads x[:, 0].", "zh-CN": "这里从末尾往前读了：第一步应该读 x[:, 0]。"}),
                     (two_without_handing_on, {"en": "The second step does not know what the first has said: it gets h1, not h0.", "zh-CN": "第二步不知道第一步说了什么：它应该接 h1，而不是 h0。"}),
                     (two_reading_the_first_twice, {"en": "Both steps read x[:, 0].", "zh-CN": "两步读的都是 x[:, 0]。"}),
                     (two_with_one_tanh, {"en": "One tanh is missing: each step has one of its own.", "zh-CN": "少了一个 tanh：每一步都有自己的 tanh。"})],
        "options": {"gradient": True, "without": ["Scan", "RNN"]},
    },
}
