"""What one firing did, with its numbers: the node's formula for one element of its output, and what it means, in words."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff import gradients
from ..core.errors import DebuggerError, FlowError
from ..core.graph import Graph, Node, Tensor
from ..core.op import get_op
from ..core.types import shape_text
from ..runtime.session import Session
from .partners import gradient_tensor, whose_gradient
from .why import number

LANGUAGES = ("en", "zh")
SHOWN = 6       # terms of a sum that are written out


@dataclass(frozen=True, slots=True)
class Explanation:
    """One element of one output: `arithmetic` gives its formula with this run's numbers, `sentences` say what happened. `print` tells both."""

    node: str
    frame: tuple
    tensor: str
    index: tuple[int, ...]
    arithmetic: str                 # "tanh(0.5493) = 0.5"
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([self.arithmetic, *self.sentences] if self.arithmetic else self.sentences)


@dataclass(frozen=True, slots=True)
class Firing:
    """What went in and came out, and which element is asked about."""

    node: Node
    inputs: Mapping[str, np.ndarray]
    outputs: Sequence[np.ndarray | None]
    index: tuple[int, ...]
    backward: frozenset[str]        # ports that a gradient comes in by from above
    output: int = 0
    chinese: bool = False
    held: Callable[[Tensor], np.ndarray | None] = lambda tensor: None      # what other tensors of the run hold

    @property
    def value(self) -> Any:
        return self.outputs[self.output][self.index]

    def say(self, english: str, chinese: str) -> str:
        return chinese if self.chinese else english

    def element(self, port: str) -> Any:
        """The element of an input that stands where the output's element stands."""
        return np.broadcast_to(self.inputs[port], self.outputs[self.output].shape)[self.index]


Rule = Callable[[Firing], tuple[str, list[str]]]


def explain(node: Node, inputs: Mapping[str, np.ndarray], outputs: Sequence[np.ndarray | None], *, tensor: str, frame: tuple = (), at: Sequence[int] | None = None,
            output: int = 0, language: str = "en", held: Callable[[Tensor], np.ndarray | None] = lambda tensor: None) -> Explanation:
    """Explain one element of an output, `at` its index; without it, the largest in size, or the first that is not finite. `held` gives other values of the run."""
    if language not in LANGUAGES:
        raise DebuggerError(f"there are no explanations in {language!r}.", hint=f"There are {', '.join(LANGUAGES)}.")
    value = outputs[output] if output < len(outputs) else None
    if value is None:
        raise DebuggerError(f"{tensor} has no value to explain.", node=node.name)
    index = _index(tensor, value, at)
    backward = frozenset(port for port, t in zip(node.ports, node.inputs) if comes_back(t, node.gradient_of))
    firing = Firing(node, inputs, outputs, index, backward, output, language == "zh", held)
    arithmetic, sentences = "", []
    if value.size and node.phase == "backward" and node.gradient_of is not None and value.dtype.kind == "f":
        arithmetic, sentences = _backward(firing)
    elif value.size and output == 0 or node.op.name in _MANY:
        arithmetic, sentences = _RULES.get(node.op.name, _plainly)(firing)
    if not arithmetic and not sentences:
        arithmetic, sentences = "", _shapes(firing)
    if not np.all(np.isfinite(value)) and value.dtype.kind == "f":
        sentences = [*sentences, firing.say("It is not finite: ask why_nan where that began.", "它不是有限数：用 why_nan 查它从哪里开始。")]
    return Explanation(node.name, frame, tensor, index, arithmetic, tuple(sentences))


def comes_back(tensor: Tensor, group: str | None, seen: dict[Tensor, bool] | None = None) -> bool:
    """Is it a gradient that comes from above, rather than a local factor that the backward pass makes of forward values?

    `group` is the node that the derivative belongs to: what enters it from the rest of the way back is upstream, and what is made of that.
    """
    seen = {} if seen is None else seen
    if tensor not in seen:
        node = tensor.node
        if node.phase != "backward" or node.op.source or node.op.name == "ZerosLike":
            seen[tensor] = False
        elif node.gradient_of != group:
            seen[tensor] = True
        elif node.op.name == "OnesLike":        # where the way back begins: dL/dL
            seen[tensor] = _begins(tensor)
        else:
            seen[tensor] = False    # while it is looked at
            seen[tensor] = any(comes_back(t, group, seen) for t in node.inputs)
    return seen[tensor]


def _begins(tensor: Tensor) -> bool:
    """Does the way back begin with these ones? Others are local derivatives."""
    node = tensor.node
    return node.op.name == "OnesLike" and node.inputs[0].node.name == node.gradient_of and gradient_tensor(node.graph, node.inputs[0]) is tensor


def _index(tensor: str, value: np.ndarray, at: Sequence[int] | None) -> tuple[int, ...]:
    if at is not None:
        index = tuple(int(k) for k in at)
        if len(index) != value.ndim or any(not -n <= k < n for k, n in zip(index, value.shape)):
            raise DebuggerError(f"{tensor} has shape {shape_text(value.shape)}, and no element [{', '.join(map(str, index))}].", hint=f"Give {value.ndim} indices, each within its axis.")
        return tuple(k % n for k, n in zip(index, value.shape))
    if not value.size:
        return ()
    if value.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(value))
        place = wrong[0] if wrong.size else np.argmax(np.abs(value))
    else:
        place = np.argmax(value)
    return tuple(int(k) for k in np.unravel_index(int(place), value.shape))


# ---------------------------------------------------------------- numbers as text


def _n(x: Any) -> str:
    """A number as it stands in a formula: a negative one in brackets."""
    if isinstance(x, (bool, np.bool_)):
        return "true" if x else "false"
    text = number(x + 0 if x else 0)      # no −0
    return f"({text})" if text.startswith("−") else text


def _bare(text: str) -> str:
    """The number without its brackets, where something else stands around it."""
    return text.removeprefix("(").removesuffix(")")


def _equals(x: Any) -> str:
    return f" = {'true' if x else 'false'}" if isinstance(x, (bool, np.bool_)) else f" = {number(x)}"


def _place(name: str, index: Sequence[int]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if len(index) else name


def _element(f: Firing) -> str:
    """Which element is written out."""
    index = f"[{', '.join(map(str, f.index))}]" if f.index else ""
    return f.say(f"Element {index}".strip() if index else "Its value", f"元素 {index}" if index else "它的值")


def _terms(texts: Sequence[str], joint: str = " + ") -> str:
    """The terms of a sum, those in the middle of a long one left out."""
    if len(texts) <= SHOWN:
        return joint.join(texts)
    return joint.join([*texts[:SHOWN - 2], "…", texts[-1]])


# ---------------------------------------------------------------- one element from the elements that stand where it stands

_BETWEEN = {"Add": "+", "Subtract": "−", "Multiply": "·", "Divide": "/", "Power": "^", "Greater": ">", "GreaterEqual": "≥", "Less": "<", "LessEqual": "≤", "Equal": "==", "NotEqual": "≠",
            "LogicalAnd": "and", "LogicalOr": "or"}
_WRITTEN: dict[str, Callable[..., str]] = {
    "Square": lambda a: f"{a}²", "Negative": lambda a: f"−{a}", "Reciprocal": lambda a: f"1 / {a}", "Sqrt": lambda a: f"√{a}", "Rsqrt": lambda a: f"1 / √{a}", "Exp": lambda a: f"e^{a}",
    "Log": lambda a: f"ln {a}", "Abs": lambda a: f"|{_bare(a)}|", "Relu": lambda a: f"max(0, {_bare(a)})", "Sigmoid": lambda a: f"1 / (1 + e^(−{a}))",
    "Identity": lambda a: a, "StopGradient": lambda a: a, "Maximum": lambda a, b: f"max({a}, {b})", "Minimum": lambda a, b: f"min({a}, {b})",
    "Mse": lambda a, b: f"({a} − {b})²", "Mae": lambda a, b: f"|{a} − {b}|",
}


def _plainly(f: Firing) -> tuple[str, list[str]]:
    """An operation that works element by element; nothing for another."""
    shape, name = f.outputs[f.output].shape, f.node.op.name
    if f.node.op.category not in ("math", "activation", "loss") or not f.inputs or name in ("Softmax", "LogSoftmax"):
        return "", []
    try:
        if np.broadcast_shapes(*(v.shape for v in f.inputs.values())) != shape:
            return "", []
    except ValueError:
        return "", []
    elements = [_n(f.element(port)) for port in f.inputs]
    if name in _BETWEEN and len(elements) == 2:
        left = f"{elements[0]} {_BETWEEN[name]} {elements[1]}"
    elif name in _WRITTEN:
        left = _WRITTEN[name](*elements)
    else:
        left = f"{f.node.op.function}({', '.join(_bare(e) for e in elements)})"
    spread = [port for port, v in f.inputs.items() if v.shape != shape]
    said = [f.say(f"{_element(f)}; every other is worked out the same way.", f"这里只写出{_element(f)}，其余元素算法相同。")] if shape else []
    if name == "Relu":
        said.insert(0, f.say("What is positive passes; the rest becomes 0.", "正数通过，其余变为 0。"))
    if spread:
        said.append(f.say(f"{' and '.join(spread)} {'is' if len(spread) == 1 else 'are'} smaller and used again along the axes that {'it lacks' if len(spread) == 1 else 'they lack'} (broadcast).",
                          f"{'、'.join(spread)} 较小，沿缺少的轴重复使用（广播）。"))
    return left + _equals(f.value), said


# ---------------------------------------------------------------- sums of products


def _matmul(f: Firing) -> tuple[str, list[str]]:
    a, b = f.inputs["a"], f.inputs["b"]
    index = list(f.index)
    column = index.pop() if b.ndim > 1 else None
    row = index.pop() if a.ndim > 1 else None
    batch = tuple(index)
    left = np.broadcast_to(a, (*batch_shape(f, a, b), *a.shape[-2:]))[batch] if a.ndim > 1 else a
    right = np.broadcast_to(b, (*batch_shape(f, a, b), *b.shape[-2:]))[batch] if b.ndim > 1 else b
    one, other = left[row] if row is not None else left, right[:, column] if column is not None else right
    text = _terms([f"{_n(x)}·{_n(y)}" for x, y in zip(one, other)])
    rows = f.say(f"row {row} of a" if row is not None else "a", f"a 的第 {row} 行" if row is not None else "a")
    columns = f.say(f"column {column} of b" if column is not None else "b", f"b 的第 {column} 列" if column is not None else "b")
    said = f.say(f"{_element(f)}: {rows} times {columns}, {len(one)} products, summed.", f"{_element(f)}：{rows} 与 {columns} 逐项相乘，共 {len(one)} 项，再求和。")
    return text + _equals(f.value), [said]


def batch_shape(f: Firing, a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    """The axes in front of a product's matrices."""
    return np.broadcast_shapes(a.shape[:-2] if a.ndim > 1 else (), b.shape[:-2] if b.ndim > 1 else ())


def _conv2d(f: Firing) -> tuple[str, list[str]]:
    x, w = f.inputs["x"], f.inputs["w"]
    n, o, _, _ = f.index
    count = int(np.prod(w.shape[1:]))
    said = f.say(f"{_element(f)}: the window of image {n} that ends up there, times kernel {o} cell by cell: {w.shape[1]} channel{'s' if w.shape[1] > 1 else ''} of {w.shape[2]} × {w.shape[3]}, {count} products, summed.",
                 f"{_element(f)}：第 {n} 张图上对应的窗口与第 {o} 个卷积核逐格相乘：{w.shape[1]} 个通道 × {w.shape[2]} × {w.shape[3]}，共 {count} 个乘积，再求和。")
    same = f.say("The same kernel is used at every place of the image.", "同一个卷积核用在图上的每个位置。")
    return f"Σ x·w ({count})" + _equals(f.value), [said, same] if x.size else []


# ---------------------------------------------------------------- one value for many


def _axes(f: Firing) -> tuple[int, ...]:
    rank, axis = f.inputs["x"].ndim, f.node.attrs.get("axis")
    axes = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
    return tuple(sorted(a % rank for a in axes)) if rank else ()


def _reduced(f: Firing, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """The elements of x that came together in this one."""
    x, rest = f.inputs["x"], list(f.index)
    if keepdims:
        rest = [k for a, k in enumerate(rest) if a not in axes]
    return x[tuple(slice(None) if a in axes else rest.pop(0) for a in range(x.ndim))].ravel()


def _reduce(f: Firing) -> tuple[str, list[str]]:
    axes = _axes(f)
    elements = _reduced(f, axes, bool(f.node.attrs.get("keepdims")))
    texts, count = [_n(e) for e in elements], len(elements)
    along = f.say(f"along axis {', '.join(map(str, axes))}" if len(axes) < f.inputs["x"].ndim else "of all elements", f"沿轴 {'、'.join(map(str, axes))}" if len(axes) < f.inputs["x"].ndim else "全部元素")
    match f.node.op.name:
        case "Sum":
            text, said = _terms(texts), f.say(f"The sum {along}: {count} values become one.", f"{along} 求和：{count} 个数合成一个。")
        case "Mean":
            text, said = f"({_terms(texts)}) / {count}", f.say(f"The mean {along}: the sum of {count} values over their number.", f"{along} 求平均：{count} 个数之和除以个数。")
        case "Prod":
            text, said = _terms(texts, "·"), f.say(f"The product {along}: {count} values become one.", f"{along} 求积：{count} 个数合成一个。")
        case name:
            word = "largest" if name == "Max" else "smallest"
            text, said = f"{name.lower()}({_terms(texts, ', ')})", f.say(f"The {word} {along} of {count} values.", f"{along} 取 {count} 个数中最{'大' if name == 'Max' else '小'}的。")
    return text + _equals(f.value), [said]


def _sum_like(f: Firing) -> tuple[str, list[str]]:
    """The gradient of what was broadcast: it sums over the axes along which it was used again."""
    x, like = f.inputs["x"], f.inputs["like"]
    front = x.ndim - like.ndim
    axes = tuple(a for a in range(x.ndim) if a < front or like.shape[a - front] != x.shape[a])
    where = [slice(None) if a in axes else f.index[a - front] for a in range(x.ndim)]
    elements = x[tuple(where)].ravel()
    said = f.say(f"The same number was used {len(elements)} times on the way forward, so its gradient is the sum of what comes back from each use.",
                 f"前向时同一个数用了 {len(elements)} 次，所以它的梯度是各次传回之和。")
    return _terms([_n(e) for e in elements]) + _equals(f.value), [said]


def _softmax(f: Firing) -> tuple[str, list[str]]:
    x, axis = f.inputs["x"], f.node.attrs.get("axis", -1)
    where = list(f.index)
    where[axis] = slice(None)
    elements = x[tuple(where)]
    powers = [f"e^{_n(e)}" for e in elements]
    text = f"e^{_n(x[f.index])} / ({_terms(powers)})"
    log = f.node.op.name == "LogSoftmax"
    said = f.say("Each value's share when e is raised to all of them: the shares add up to 1.", "先求 e 的各次幂，再看每个所占的份额：份额之和为 1。")
    return (f"ln({text})" if log else text) + _equals(f.value), [said]


def _sparse_cross_entropy(f: Firing) -> tuple[str, list[str]]:
    logits, label = f.inputs["logits"], int(f.inputs["labels"][f.index])
    row = logits[f.index].astype("float64")
    shifted = np.exp(row - row.max())
    share = float(shifted[label] / shifted.sum())
    said = f.say(f"The right class is {label}, and softmax gives it the share {number(share)}: the smaller that is, the larger the loss.",
                 f"正确类别是 {label}，softmax 给它的份额是 {number(share)}：份额越小，损失越大。")
    return f"−ln({number(share)})" + _equals(f.value), [said]


# ---------------------------------------------------------------- what only moves numbers


def _transpose(f: Firing) -> tuple[str, list[str]]:
    rank = len(f.index)
    axes = f.node.attrs.get("axes") or tuple(reversed(range(rank)))
    source = [0] * rank
    for k, a in enumerate(axes):
        source[a] = f.index[k]
    said = f.say(f"Nothing is computed: axes change places, so {_place('out', f.index)} is {_place('x', source)}.", f"没有计算：只是交换轴，{_place('out', f.index)} 就是 {_place('x', source)}。")
    return f"{_place('x', source)}" + _equals(f.value), [said]


def _moved(f: Firing) -> tuple[str, list[str]]:
    said = f.say(f"The same numbers in the same order, seen as {shape_text(f.outputs[0].shape)}.", f"同样的数、同样的顺序，看作 {shape_text(f.outputs[0].shape)}。")
    return "", [said]


def _spread(f: Firing) -> tuple[str, list[str]]:
    said = f.say(f"One number is handed to every place that it went to or came from: {shape_text(next(iter(f.inputs.values())).shape)} becomes {shape_text(f.outputs[0].shape)}.",
                 f"一个数送到它要去的每个位置：{shape_text(next(iter(f.inputs.values())).shape)} 变为 {shape_text(f.outputs[0].shape)}。")
    return f"{_n(f.value)}" + _equals(f.value), [said]


def _gather(f: Firing) -> tuple[str, list[str]]:
    axis = f.node.attrs.get("axis") or 0
    indices = f.inputs["indices"]
    picked = int(indices[f.index[axis:axis + indices.ndim]])
    said = f.say(f"Picks what stands at index {picked} along axis {axis}.", f"沿轴 {axis} 取出下标 {picked} 处的内容。")
    return f"x[{picked}]" + _equals(f.value), [said]


def _one_hot(f: Firing) -> tuple[str, list[str]]:
    label = int(next(iter(f.inputs.values()))[f.index[:-1]])
    return "", [f.say(f"Row {', '.join(map(str, f.index[:-1])) or '0'}: a 1 at place {label}, the label, and 0 elsewhere.", f"第 {', '.join(map(str, f.index[:-1])) or '0'} 行：在标签 {label} 处为 1，其余为 0。")]


# ---------------------------------------------------------------- recurrent layers: the four steps of an LSTM


def _lstm(f: Firing) -> tuple[str, list[str]]:
    named = dict(zip(f.node.output_names, f.outputs))
    if f.output not in (0, f.node.output_names.index("c")) or any(named.get(k) is None for k in "figoc"):
        return "", []
    b, t, u = f.index
    gate = {k: named[k][b, t, u] for k in "figoc"}
    start = f.inputs.get("c0")
    before = named["c"][b, t - 1, u] if t else start[b, u] if start is not None else 0.0
    text = f"c = {_n(gate['f'])}·{_n(before)} + {_n(gate['i'])}·{_n(gate['g'])} = {number(gate['c'])};  h = {_n(gate['o'])}·tanh({number(gate['c'])})"
    said = [
        f.say(f"Forget: {number(gate['f'])} of the old cell state {number(before)} is kept.", f"遗忘：旧细胞状态 {number(before)} 保留 {number(gate['f'])}。"),
        f.say(f"Input: of the candidate {number(gate['g'])}, {number(gate['i'])} is written.", f"输入：候选值 {number(gate['g'])} 写入 {number(gate['i'])}。"),
        f.say(f"The cell state becomes {number(gate['c'])}.", f"细胞状态变为 {number(gate['c'])}。"),
        f.say(f"Output: {number(gate['o'])} of its tanh is shown.", f"输出：它的 tanh 露出 {number(gate['o'])}。"),
    ]
    return text + _equals(named["out"][b, t, u]), [f.say(f"Row {b}, timestep {t}, unit {u}.", f"第 {b} 行，时间步 {t}，单元 {u}。"), *said]


# ---------------------------------------------------------------- the update pass


def _sgd(f: Firing) -> tuple[str, list[str]]:
    old, direction, rate = f.inputs["value"][f.index], f.inputs["grad"][f.index], f.inputs["lr"][()]
    text = f"{_n(old)} − {_n(rate)}·{_n(direction)}" + _equals(f.value)
    gradient = gradient_tensor(f.node.graph, f.node.inputs[0])
    slope = f.held(gradient) if gradient is not None and gradient is not f.node.inputs[1] else None
    if slope is None or slope.shape != f.inputs["value"].shape:
        return text, [_stepped(f, old, direction)]
    momentum = f.say(f"It moves against {number(direction)}, in which earlier gradients live on (momentum).", f"它沿 {number(direction)} 的反方向移动，其中保留了先前的梯度（动量）。")
    return text, [_stepped(f, old, slope[f.index]), momentum]


def _adam(f: Firing) -> tuple[str, list[str]]:
    attrs, t = f.node.attrs, float(f.inputs["step"][()])
    old, slope, rate = (f.inputs[p][f.index if p != "lr" else ()] for p in ("value", "grad", "lr"))
    beta1, beta2 = attrs["beta1"], attrs["beta2"]
    m = beta1 * float(f.inputs["m"][f.index]) + (1 - beta1) * float(slope)
    v = beta2 * float(f.inputs["v"][f.index]) + (1 - beta2) * float(slope) ** 2
    mean, square = m / (1 - beta1 ** t), v / (1 - beta2 ** t)
    kept = f"{_n(old)}·(1 − {_n(rate)}·{_n(attrs['weight_decay'])})" if attrs["weight_decay"] else _n(old)
    text = f"{kept} − {_n(rate)}·{_n(mean)} / (√{_n(square)} + {_n(attrs['eps'])})" + _equals(f.outputs[0][f.index])
    said = f.say(f"The mean of recent gradients, {number(mean)}, over the root of their mean square, {number(square)}, sets the step; the rate bounds it ({number(rate)}).",
                 f"步长由近期梯度的平均 {number(mean)} 除以均方 {number(square)} 的平方根决定，并受学习率限制（{number(rate)}）。")
    return text, [_stepped(f, old, slope), said]


def _stepped(f: Firing, old: Any, slope: Any) -> str:
    new = f.outputs[0][f.index]
    return f.say(f"{_element(f)}: old value {number(old)}, gradient {number(slope)}, step {number(float(new) - float(old))}, new value {number(new)}.",
                 f"{_element(f)}：旧值 {number(old)}，梯度 {number(slope)}，步长 {number(float(new) - float(old))}，新值 {number(new)}。")


def _assign(f: Firing) -> tuple[str, list[str]]:
    variable, old = f.node.inputs[0].node.name, f.inputs.get("ref")
    said = f.say(f"{variable} takes this value when the run ends; until then all nodes read the old one.", f"{variable} 在运行结束时取这个值；在此之前所有节点读到的是旧值。")
    if old is None or old.shape != f.outputs[0].shape or old.dtype.kind != "f":
        return f"{variable} ← {number(f.value)}", [said]
    was, step = old[f.index], float(f.value) - float(old[f.index])
    gradient = gradient_tensor(f.node.graph, f.node.inputs[0])
    slope = f.held(gradient) if gradient is not None else None
    if slope is not None and slope.shape == old.shape:
        stepped = _stepped(f, was, slope[f.index])
    else:
        stepped = f.say(f"{_element(f)}: old value {number(was)}, step {number(step)}, new value {number(f.value)}.", f"{_element(f)}：旧值 {number(was)}，步长 {number(step)}，新值 {number(f.value)}。")
    return f"{_n(was)} {'−' if step < 0 else '+'} {number(abs(step))}" + _equals(f.value), [stepped, said]


# ---------------------------------------------------------------- the backward pass: upstream × local = downstream


MOST_ELEMENTS = 2_000_000       # of a node's tensors, for which its local derivatives are worked out again


def _backward(f: Firing) -> tuple[str, list[str]]:
    """A factor of the chain rule, or the place where ways come together; then which derivative of the graph it is."""
    text, said = _link(f)
    return text, [*said[:1], *_which(f), *said[1:]] if said else _which(f)


def _link(f: Firing) -> tuple[str, list[str]]:
    up = [port for port in f.inputs if port in f.backward]
    name, plain = f.node.op.name, _RULES.get(f.node.op.name, _plainly)
    if _begins(f.node.outputs[f.output]):
        return f"{_n(f.value)}" + _equals(f.value), [f.say("The way back begins here: dL/dL = 1.", "反向传播从这里开始：dL/dL = 1。")]
    if not up:
        return plain(f)     # a local factor, made of forward values
    if name == "Add" and len(up) == 2 and all(t.node.gradient_of != f.node.gradient_of or t.node.op.name == "Add" for t in f.node.inputs):
        return _fork(f)
    elementwise = all(v.shape == f.outputs[f.output].shape or not v.ndim or p not in up for p, v in f.inputs.items())
    if len(up) == 1 and elementwise:
        upstream = f.element(up[0]) if name in ("Multiply", "Divide", "Negative", "ReluGradient") else None
        if name == "Multiply":
            return _chain(f, upstream, f.element(next(port for port in f.inputs if port != up[0])))
        if name == "Divide" and up == ["a"]:
            below = f.element("b")
            text, said = _chain(f, upstream, 1 / float(below) if below else float("nan"))
            return f"{_n(upstream)} / {_n(below)}" + _equals(f.value), said
        if name == "Negative":
            return _chain(f, upstream, -1)
        if name == "ReluGradient":
            return _chain(f, upstream, 1 if f.element("y") > 0 else 0, f.say("its output was positive" if f.element("y") > 0 else "its output was 0", "输出为正" if f.element("y") > 0 else "输出为 0"))
    if name == "MatMul" and len(up) == 1:
        text, said = _matmul(f)
        return text, [f.say("The chain rule of a product of matrices: upstream gradient times the other factor, turned over.", "矩阵乘法的链式法则：上游梯度乘以转置后的另一个因子。"), *said]
    if name in ("Sum", "SumLike", "Add", "Subtract", "Mean"):
        return plain(f)
    found = _by_adjoint(f, up)
    return found if found is not None else plain(f)


def _chain(f: Firing, upstream: Any, local: Any, why: str = "") -> tuple[str, list[str]]:
    text = f"{_n(upstream)} · {_n(local)}" + _equals(f.value)
    because = f" ({why})" if why and not f.chinese else f"（{why}）" if why else ""
    return text, [f.say(f"The chain rule: upstream {number(upstream)} × local derivative {number(local)}{because} = downstream {number(f.value)}.",
                        f"链式法则：上游 {number(upstream)} × 局部导数 {number(local)}{because} = 下游 {number(f.value)}。")]


def _fork(f: Firing) -> tuple[str, list[str]]:
    """Ways come together: of a tensor that several nodes took, what comes back from each is added to what has come so far."""
    sofar, comes = f.element("a"), f.element("b")
    text = f"{_n(sofar)} + {_n(comes)}" + _equals(f.value)
    one, other = (t.node.gradient_of for t in f.node.inputs)
    added = one == f.node.gradient_of      # a sum of earlier ways
    said = f.say(f"A fork on the way forward: what comes back along the ways adds up. So far {number(sofar)}{'' if added else f' from {one}'}; += {number(comes)} from {other} makes {number(f.value)}.",
                 f"前向时在此分叉：各路传回的梯度相加。已有 {number(sofar)}{'' if added else f'（来自 {one}）'}；+= {number(comes)}（来自 {other}），得 {number(f.value)}。")
    return text, [said]


def _which(f: Firing) -> list[str]:
    """Of which tensor this is the gradient, and by which upstream gradient: dL/dx = dL/dy · dy/dx."""
    graph, mine = f.node.graph, f.node.outputs[f.output]
    x = whose_gradient(graph, mine)
    if x is None:
        return []
    y = graph.nodes[f.node.gradient_of] if f.node.gradient_of in graph else None
    above = gradient_tensor(graph, y.outputs[0]) if y is not None and y is not x.node and y.outputs else None
    there = above is not None and any(t is above for t in f.node.inputs)
    name = x.name.removesuffix(":0")
    if there:
        out = y.outputs[0].name.removesuffix(":0")
        return [f"dL/d({name}) = dL/d({out}) · d({out})/d({name})"]
    return [f.say(f"This is dL/d({name}).", f"这就是 dL/d({name})。")]


def _by_adjoint(f: Firing, up: list[str]) -> tuple[str, list[str]] | None:
    """Upstream × local, summed over all that the number went to: the local derivatives are found by differentiating this node, which is linear in what comes from above."""
    if sum(v.size for v in f.inputs.values()) + f.outputs[f.output].size > MOST_ELEMENTS or any(f.inputs[p].dtype.kind != "f" for p in up):
        return None
    try:
        with Graph() as graph:
            taken = [_held(graph, f.inputs[port], port) for port in f.inputs]
            node = graph.add(f.node.op, taken, dict(f.node.attrs), ports=tuple(f.inputs))
            one = np.zeros(f.outputs[f.output].shape, f.outputs[f.output].dtype)
            one[f.index] = 1
            asked = [taken[list(f.inputs).index(port)] for port in up]
            locals_ = gradients(node.outputs[f.output], asked, unconnected="zero", grad_ys=[one])
        found = Session(graph).run(locals_, {t: f.inputs[port] for t, port in zip(taken, f.inputs)})
    except FlowError:       # it has no second derivative
        return None
    pairs = [(a, b) for port, local in zip(up, found) for a, b in zip(f.inputs[port].ravel(), np.asarray(local).ravel()) if b]
    total = float(sum(float(a) * float(b) for a, b in pairs))
    size = float(sum(abs(float(a) * float(b)) for a, b in pairs))
    if not abs(total - float(f.value)) <= 1e-3 * size + 1e-12:
        return None         # not linear in what comes from above, or not finite
    if len(pairs) == 1:
        return _chain(f, *pairs[0])
    if not pairs:
        return "0" + _equals(f.value), [f.say("Nothing of what comes from above goes on to here: the local derivatives are 0.", "上游没有任何部分传到这里：局部导数都是 0。")]
    text = _terms([f"{_n(a)}·{_n(b)}" for a, b in pairs]) + _equals(f.value)
    return text, [f.say(f"{_element(f)}: it went into {len(pairs)} numbers on the way forward; each one's upstream × local derivative, summed.",
                        f"{_element(f)}：前向时它进入了 {len(pairs)} 个数；各自的上游 × 局部导数，再求和。")]


def _held(graph: Graph, value: np.ndarray, port: str) -> Tensor:
    """A placeholder for a value."""
    op = get_op("Placeholder")
    return graph.add(op, (), op.normalize({"shape": value.shape, "dtype": value.dtype.name}), name=port.replace(".", "_")).outputs[0]


def _shapes(f: Firing) -> list[str]:
    """What is left to say of any operation: what it takes and gives."""
    taken = ", ".join(f"{port} {shape_text(v.shape)}" for port, v in f.inputs.items())
    given = shape_text(f.outputs[f.output].shape)
    doc = (f.node.op.doc or "").strip().split("\n")[0]
    return [s for s in (f.say(doc, f.node.op.zh or ""), f.say(f"It takes {taken} and gives {given}." if taken else f"It gives {given}.", f"输入 {taken}，输出 {given}。" if taken else f"输出 {given}。")) if s]


_MANY = frozenset(("LSTM",))        # explained whichever output is asked for
_RULES: dict[str, Rule] = {
    "MatMul": _matmul, "Conv2D": _conv2d, "Sum": _reduce, "Mean": _reduce, "Max": _reduce, "Min": _reduce, "Prod": _reduce, "SumLike": _sum_like,
    "Softmax": _softmax, "LogSoftmax": _softmax, "SparseSoftmaxCrossEntropy": _sparse_cross_entropy, "Transpose": _transpose, "Reshape": _moved, "ReshapeLike": _moved,
    "ExpandDims": _moved, "Squeeze": _moved, "BroadcastTo": _spread, "BroadcastLike": _spread, "Gather": _gather, "OneHot": _one_hot, "OneHotLike": _one_hot,
    "LSTM": _lstm, "SGDUpdate": _sgd, "AdamUpdate": _adam, "Assign": _assign,
}


# ---------------------------------------------------------------- why a shape is what it is

_MATRIX = frozenset(("MatMul", "BatchMatMul"))
_ALONG = frozenset(("Sum", "Mean", "Max", "Min", "Prod", "Argmax", "Argmin", "Any", "All", "Variance", "Std", "LogSumExp", "Norm"))
_SAME = frozenset(("Reshape", "ReshapeLike", "ExpandDims", "Squeeze", "Flatten"))


def shape_rule(node: Node, inputs: Mapping[str, tuple[int, ...]], shape: tuple[int, ...], chinese: bool = False) -> str:
    """One sentence on how the shapes of a node's inputs make that of its output."""
    name, op, axis = node.op.name, node.op, node.attrs.get("axis")
    taken = {port: shape_text(s) for port, s in inputs.items()}
    first, given, shapes = next(iter(inputs.values()), ()), shape_text(shape), list(inputs.values())

    def say(english: str, zh: str) -> str:
        return zh if chinese else english

    if name in _MATRIX and len(shapes) == 2 and min(map(len, shapes)) == 2:
        a, b = shapes
        return say(f"Rows of a times columns of b: {taken['a']} · {taken['b']} keeps {a[0]} and {b[1]}, and the inner size {a[1]} is summed away.",
                   f"a 的行乘 b 的列：{taken['a']} · {taken['b']} 留下 {a[0]} 和 {b[1]}，中间的 {a[1]} 被求和。")
    if name in _ALONG and len(shapes) == 1:
        axes = range(len(first)) if axis is None else [axis] if isinstance(axis, int) else axis
        gone = sorted(a % len(first) for a in axes) if first else []
        keeps = bool(node.attrs.get("keepdims"))
        if len(gone) == len(first) and not keeps:
            return say(f"All axes of {shape_text(first)} come together in one number.", f"{shape_text(first)} 的所有轴合成一个数。")
        which = ", ".join(map(str, gone))
        return say(f"{'Axis' if len(gone) == 1 else 'Axes'} {which} of {shape_text(first)} {'stays as 1' if keeps else 'goes' if len(gone) == 1 else 'go'}; the others stay.",
                   f"{shape_text(first)} 的轴 {which} {'变为 1' if keeps else '消去'}，其余不变。")
    if name == "Transpose":
        return say(f"The axes of {shape_text(first)} change places.", f"{shape_text(first)} 的轴交换位置。")
    if name in _SAME:
        return say(f"The same {int(np.prod(first, dtype=object))} numbers as {shape_text(first)}, seen in another shape.", f"与 {shape_text(first)} 相同的 {int(np.prod(first, dtype=object))} 个数，换个形状看。")
    if name == "Concat":
        return say(f"Along axis {axis} the sizes add up; the other axes are equal.", f"沿轴 {axis} 大小相加，其余轴相等。")
    if name == "Stack":
        return say(f"{len(shapes)} tensors of one shape, side by side along a new axis {axis}.", f"{len(shapes)} 个同形张量沿新轴 {axis} 排开。")
    if name.startswith(("Conv", "MaxPool", "AvgPool")) and "Gradient" not in name and len(first) == len(shape) and len(shape) > 2 and "Transpose" not in name:
        return say(f"A window goes over {shape_text(first[2:])}: every axis has (size + padding − window) / stride + 1 places.",
                   f"窗口滑过 {shape_text(first[2:])}：每个轴有（大小 + 填充 − 窗口）/ 步幅 + 1 个位置。")
    if name == "Gather":
        return say(f"Axis {axis or 0} of {shape_text(first)} becomes the shape of the indices, {shape_text(shapes[-1])}.", f"{shape_text(first)} 的轴 {axis or 0} 换成下标的形状 {shape_text(shapes[-1])}。")
    if name in ("OneHot", "OneHotLike"):
        return say(f"Every index becomes a row of {shape[-1] if shape else 1}.", f"每个下标变为长 {shape[-1] if shape else 1} 的一行。")
    if name in ("SumLike", "BroadcastLike"):
        return say(f"A gradient has the shape of what it is the gradient of, {given}.", f"梯度与它所对的张量同形：{given}。")
    if op.category in ("math", "activation", "logic") and inputs and _fits_broadcast(shapes, shape):
        if all(s == shape for s in shapes):
            return say(f"Element by element: the shape stays {given}.", f"逐元素计算：形状不变，仍是 {given}。")
        return say(f"Element by element, {' and '.join(taken.values())} spread over each other (broadcast).", f"逐元素计算，{' 与 '.join(taken.values())} 互相广播。")
    listed = ", ".join(f"{port} {text}" for port, text in taken.items())
    return say(f"It takes {listed} and gives {given}." if listed else f"It gives {given}.", f"输入 {listed}，输出 {given}。" if listed else f"输出 {given}。")


def _fits_broadcast(shapes: Sequence[tuple[int, ...]], shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(*shapes) == tuple(shape)
    except ValueError:
        return False
