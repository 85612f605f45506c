"""Predict, then reveal: what somebody types as an answer, how near it is to the truth, and why the truth is so."""
from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..core.errors import DebuggerError
from ..core.files import write_atomically
from ..core.graph import Node
from ..core.types import shape_text
from ..trace.explain import shape_rule
from ..trace.why import number

RIGHT, NEARLY = 0.01, 0.1       # how far, relative to the truth, a number may be from it
MOST_TEXT = 20_000
SIGNS = {"+": 1, "-": -1, "0": 0, "positive": 1, "plus": 1, "negative": -1, "minus": -1, "zero": 0, "正": 1, "负": -1, "負": -1, "零": 0}


class Answers(list):
    """What was answered, in order: records with `tensor, kind, at, answer, truth, verdict, when, firing`."""

    FIELDS = ("tensor", "kind", "at", "answer", "truth", "verdict", "when", "firing")

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """A table with a row for each answer; written to `path` if one is given."""
        out = io.StringIO(newline="")
        table = csv.writer(out)
        table.writerow(self.FIELDS)
        for a in self:
            table.writerow([_cell("" if (v := getattr(a, f)) is None else list(v) if isinstance(v, tuple) else v) for f in self.FIELDS])
        return _written(out.getvalue(), path)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The same as a list of objects."""
        return _written(json.dumps([asdict(a) for a in self], ensure_ascii=False, indent=1) + "\n", path)


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        write_atomically(path, text.encode("utf-8", "replace"))
    return text


def _cell(value: Any) -> str:
    """Names can begin with = or @: a spreadsheet must take them for text; a number stays one."""
    text = str(value)
    return f"'{text}" if re.match(r"[=+\-@\t\r]", text) and not re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", text, re.I) else text


# ---------------------------------------------------------------- reading what a person types

_SAME = str.maketrans("−–，；（）［］【】。：", "--,;()[][].:")
_NUMBER = re.compile(r"[+-]?\s*(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?:\s*/\s*(?:\d+\.?\d*|\.\d+))?|inf(?:inity)?|∞|nan|true|false)(?![\w.])", re.I)
_AXIS = re.compile(r"\d+|\?|[^\W\d]\w*")


def read(kind: str, text: str) -> Any:
    """A shape as a tuple, a value as an array, a sign as 1, −1 or 0; DebuggerError says from which character on a text cannot be read."""
    if len(text) > MOST_TEXT:
        raise DebuggerError(f"the answer has {len(text):,} characters, at most {MOST_TEXT:,} are read.")
    plain = text.translate(_SAME)
    if not plain.strip():
        raise DebuggerError("the answer is empty.", hint="Type one, or skip the question.")
    return {"shape": _read_shape, "value": _read_value, "sign": _read_sign}[kind](plain)


def _unread(text: str, at: int, hint: str) -> DebuggerError:
    rest = text[at:at + 12].rstrip()
    return DebuggerError(f"the answer cannot be read from character {at + 1} on{f': {rest}' if rest else ', where it ends'}.", hint=hint)


def _read_sign(text: str) -> int:
    word = text.strip().lower()
    if word not in SIGNS:
        raise DebuggerError(f"{word[:20]} is no sign.", hint="Answer +, − or 0.")
    return SIGNS[word]


def _read_shape(text: str) -> tuple[int | str, ...]:
    """`batch, 3`, `(2, 3)`, `2 × 3`, `()` or `scalar`."""
    hint = "Type the sizes with commas between them, such as batch, 3; () is a scalar."
    if text.strip().lower() in ("()", "[]", "scalar", "标量", "標量"):
        return ()
    sizes: list[int | str] = []
    opened = re.match(r"\s*[(\[]", text)
    at = opened.end() if opened else 0
    while True:
        at = re.compile(r"[\s,;×*]*").match(text, at).end()
        found = _AXIS.match(text, at)
        if found is None or found[0].isdecimal() and len(found[0]) > 18:     # no axis is so long
            break
        if found[0] != "x" or len(sizes) == 0:      # 2 x 3
            sizes.append(int(found[0]) if found[0].isdecimal() else found[0])
        at = found.end()
    rest = text[at:].strip()
    if not sizes or rest not in (")", "]") if opened else rest:
        raise _unread(text, at, hint)
    return tuple(sizes)


_BETWEEN = re.compile(r"[\s,;]*")


def _read_value(text: str) -> np.ndarray:
    """A number, `1/3`, `[[1, 2], [3, 4]]`, `1, 2, 3`, or a row a line."""
    hint = "Type a number, or numbers as [[1, 2], [3, 4]]; a row a line will do."
    rows: list[list[Any]] = [[]]        # outside of brackets, a line or a semicolon begins a row
    inside: list[list[Any]] = []        # the brackets that are open
    at = 0
    while True:
        gap = _BETWEEN.match(text, at)
        at = gap.end()
        if not inside and re.search(r"[;\n]", gap[0]) and rows[-1]:
            rows.append([])
        if at == len(text):
            break
        found = _NUMBER.match(text, at)
        if found is not None:
            (inside[-1] if inside else rows[-1]).append(_number(found[0]))
            at = found.end()
        elif text[at] in "[(" and len(inside) < 32:
            inside.append([])
            at += 1
        elif text[at] in "])" and inside:
            closed = inside.pop()
            (inside[-1] if inside else rows[-1]).append(closed)
            at += 1
        else:
            raise _unread(text, at, hint)
    if inside:
        raise _unread(text, at, f"A bracket is not closed. {hint}")
    rows = [r for r in rows if r]
    if not rows:
        raise DebuggerError("the answer holds no number.", hint=hint)
    value = [r[0] if len(r) == 1 else r for r in rows] if len(rows) > 1 else rows[0][0] if len(rows[0]) == 1 else rows[0]
    try:
        return np.array(value)
    except ValueError:
        raise DebuggerError("the rows of the answer are not equally long.", hint=hint) from None


def _number(text: str) -> Any:
    plain = re.sub(r"\s", "", text).lower().replace("∞", "inf")
    if plain in ("true", "false"):
        return plain == "true"
    above, _, below = plain.partition("/")
    if below:
        return float(above) / float(below) if float(below) else float("nan")
    return int(plain) if re.fullmatch(r"[+-]?\d{1,18}", plain) else float(plain)


# ---------------------------------------------------------------- how near it is


@dataclass(frozen=True, slots=True)
class Verdict:
    """`word`: right, nearly or wrong; `truth` as text; `sentences` say what was so, and why."""

    word: str
    truth: str
    sentences: tuple[str, ...] = ()


def judge(kind: str, typed: Any, truth: np.ndarray, at: Sequence[int] | None, node: Node, inputs: Mapping[str, np.ndarray], declared: Sequence[Any] = (), *, chinese: bool = False) -> Verdict:
    """Hold an answer against the tensor that the step gave. `typed` None: it was skipped. DebuggerError if the tensor has no such element."""
    if kind == "shape":
        return _judge_shape(typed, truth.shape, declared, node, {k: v.shape for k, v in inputs.items()}, chinese)
    part = truth if at is None else truth[element(at, truth.shape, node.name)]
    return (_judge_sign if kind == "sign" else _judge_value)(typed, np.asarray(part), chinese)


def element(at: Sequence[int], shape: Sequence[int], name: str) -> tuple[int, ...]:
    """The index, from the front; DebuggerError if there is no such element."""
    if len(at) != len(shape) or any(not -n <= k < n for k, n in zip(at, shape)):
        raise DebuggerError(f"{name} has shape {shape_text(shape)}, and no element [{', '.join(map(str, at))}].", node=name, hint="Ask about another element.")
    return tuple(k % n for k, n in zip(at, shape))


def _judge_shape(typed: tuple | None, shape: tuple[int, ...], declared: Sequence[Any], node: Node, inputs: Mapping[str, tuple[int, ...]], chinese: bool) -> Verdict:
    names = declared if len(declared) == len(shape) else shape
    fits = [typed is not None and len(typed) == len(shape) and t in (n, d) for t, n, d in zip(typed or (), shape, names)]
    word = "skipped" if typed is None else "right" if len(typed) == len(shape) and all(fits) else "wrong"
    said = []
    if word == "wrong":
        if len(typed) != len(shape):
            said.append(f"它有 {len(shape)} 个轴，你写了 {len(typed)} 个。" if chinese else f"It has {_axes(len(shape))}, the answer {len(typed)}.")
        elif sorted(map(str, typed)) in (sorted(map(str, shape)), sorted(map(str, names))):
            word = "nearly"
            said.append("各轴大小都对，顺序不对。" if chinese else "The sizes are right, their order is not.")
        else:
            off = [k for k, ok in enumerate(fits) if not ok]
            word = "nearly" if len(off) < len(shape) else "wrong"
            if word == "nearly":
                said.append(f"只有轴 {'、'.join(map(str, off))} 不对。" if chinese else f"Only {'axis' if len(off) == 1 else 'axes'} {', '.join(map(str, off))} {'is' if len(off) == 1 else 'are'} off.")
    shown = shape_text(shape)
    if tuple(names) != tuple(shape):
        shown += f" = {shape_text(tuple(names))}"
    return Verdict(word, shown, (*said, shape_rule(node, inputs, shape, chinese)))


def _axes(count: int) -> str:
    return "no axes" if count == 0 else f"{count} ax{'i' if count == 1 else 'e'}s"


def _judge_sign(typed: int | None, value: np.ndarray, chinese: bool) -> Verdict:
    if value.size != 1:
        raise DebuggerError(f"a tensor of shape {shape_text(value.shape)} has no one sign.", hint="Ask about one of its elements.")
    x = float(value.reshape(()))
    if np.isnan(x):
        return Verdict("skipped" if typed is None else "wrong", "NaN", ("NaN 没有正负。" if chinese else "NaN has no sign.",))
    sign = int(np.sign(x))
    said = f"它是 {number(x)}。" if chinese else f"It is {number(x)}."
    return Verdict("skipped" if typed is None else "right" if typed == sign else "wrong", {1: "+", -1: "−", 0: "0"}[sign], (said,))


def _judge_value(typed: np.ndarray | None, value: np.ndarray, chinese: bool) -> Verdict:
    truth = value_text(value)
    if typed is None:
        return Verdict("skipped", truth)
    one = typed.size == 1
    if [n for n in typed.shape if n != 1] == [n for n in value.shape if n != 1]:    # a column may be typed as a row
        typed = typed.reshape(value.shape)
    same = typed.shape == value.shape
    if not one and not same:
        if typed.size == value.size and _near(typed.reshape(value.shape), value, RIGHT).all():
            return Verdict("nearly", truth, (f"数都对；形状是 {shape_text(value.shape)}。" if chinese else f"The numbers are right; the shape is {shape_text(value.shape)}.",))
        return Verdict("wrong", truth, (f"它的形状是 {shape_text(value.shape)}，你写的是 {shape_text(typed.shape)}。" if chinese
                                        else f"It has shape {shape_text(value.shape)}, the answer {shape_text(typed.shape)}.",))
    typed = np.broadcast_to(typed.reshape(()) if one else typed, value.shape)
    right = _near(typed, value, RIGHT)
    if right.all():
        return Verdict("right", truth)
    close = _near(typed, value, NEARLY)
    if value.size == 1:
        if close.all():
            return Verdict("nearly", truth, ("相差不到十分之一。" if chinese else "Less than a tenth off.",))
        if _near(-_floats(typed), value, RIGHT).all():
            return Verdict("nearly", truth, ("大小对，正负号反了。" if chinese else "The size is right, the sign is the other one.",))
        return Verdict("wrong", truth)
    count = int(right.sum())
    some = f"{value.size} 个数中对了 {count} 个。" if chinese else f"{count} of {value.size} numbers are right."
    if not one and (close.all() or 2 * count >= value.size):
        return Verdict("nearly", truth, (some,))
    return Verdict("wrong", truth, (("它们并不都一样。" if chinese else "They are not all the same.",) if one and value.size > 1 and not (value == value.flat[0]).all() else (some,)))


def _floats(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, "float64")


def _near(typed: np.ndarray, value: np.ndarray, how: float) -> np.ndarray:
    """Which numbers are as near as that; of whole numbers and truth values those that are equal, or nearly for a larger `how`."""
    a, b = _floats(typed), _floats(value)
    exact = value.dtype.kind in "iub" and how <= RIGHT
    with np.errstate(invalid="ignore"):
        finite = np.abs(b[np.isfinite(b)])
        small = 1e-3 * float(finite.max()) if finite.size else 0.0
        slack = 0.0 if exact else np.maximum(np.abs(b) * how, small if small else 1e-6)
        return (a == b) | (np.abs(a - b) <= slack) & np.isfinite(b) | np.isnan(a) & np.isnan(b)


MOST_SHOWN = 64


def value_text(value: np.ndarray) -> str:
    """The value as text: nested lists of numbers with four digits while they are few, else what it is as a whole."""
    if value.size > MOST_SHOWN:
        whole = _floats(value)
        finite = whole[np.isfinite(whole)]
        spread = f", {number(finite.min())} … {number(finite.max())}" if finite.size else ""
        return f"{value.dtype} {shape_text(value.shape)}{spread}"

    def say(x: Any) -> str:
        return f"[{', '.join(map(say, x))}]" if isinstance(x, list) else ("true" if x else "false") if isinstance(x, bool) else number(x)
    return say(value.tolist())
