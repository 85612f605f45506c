"""Conditions of breakpoints: a small language over a tensor's statistics and elements. Read by a parser of its own, never by Python."""
from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import DebuggerError
from ..runtime.backend import on_host
from .trace import stats_of

STATISTICS = ("min", "max", "mean", "std", "norm", "sum", "zeros", "nan", "inf", "size", "changed")
MAX_LENGTH = 400        # characters
MAX_TERMS = 100
MAX_DEPTH = 20

_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)|([A-Za-z_]+)|(<=|>=|==|!=|[-+*/<>()\[\],|]))")
_COMPARE: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
_HINT = "Statistics: min max mean std norm sum zeros nan inf size changed; elements: [0, 3]; numbers, + - * /, abs(), < <= > >= == !=, and, or, not."

Value = Callable[["Seen"], float]


class Seen:
    """A tensor's value, and the one before it; statistics are worked out when they are first asked for."""

    def __init__(self, value: Any, before: Any = None):
        self.value, self.before = on_host(value), before
        self._stats: Any = None

    def statistic(self, name: str) -> float:
        if name == "changed":
            return float(self.before is None or not np.array_equal(self.value, self.before, equal_nan=self.value.dtype.kind == "f"))
        if self._stats is None:
            self._stats = stats_of(self.value)
        return float(getattr(self._stats, name))

    def element(self, index: tuple[int, ...]) -> float:
        """One element; NaN where there is none, so that no comparison holds there."""
        if len(index) != self.value.ndim or any(not -n <= k < n for k, n in zip(index, self.value.shape)):
            return math.nan
        return float(self.value[index])


class Condition:
    """A condition as text, ready to be asked: `condition(value, before)`."""

    def __init__(self, text: str):
        reader = _Reader(text)
        self.text = text
        self.looks_back = any(word == "changed" for _, word, _ in reader.tokens)     # whether it needs the value before
        self._holds = reader.read()

    def __call__(self, value: Any, before: Any = None) -> bool:
        with np.errstate(all="ignore"):
            return _true(self._holds(Seen(value, before)))

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"


def condition(text: str) -> Condition:
    """Read a condition, such as `nan`, `max > 10`, `abs([0, 3] - mean) > 3 * std and not changed`. DebuggerError shows where it cannot be read.

    A statistic by itself holds where it is not 0. `zeros` is the share of zeros, `changed` whether the value differs from its last firing's.
    """
    return Condition(text)


def _true(number: float) -> bool:
    return bool(number) and not math.isnan(number)


def _divide(a: float, b: float) -> float:
    return a / b if b else math.nan if not a or math.isnan(a) else math.copysign(math.inf, a)


class _Reader:
    """Recursive descent over a list of tokens; its size and depth are bounded before anything is evaluated."""

    def __init__(self, text: str):
        if not isinstance(text, str):
            raise DebuggerError(f"{text!r} is not a condition.", hint=_HINT)
        if len(text) > MAX_LENGTH:
            raise DebuggerError(f"the condition has {len(text)} characters, at most {MAX_LENGTH} are read.")
        self.text, self.at, self.depth = text, 0, 0
        self.tokens: list[tuple[str, str, int]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if not found:
                self.fail(place + len(text[place:]) - len(text[place:].lstrip()))
            kind = "number" if found[1] else "word" if found[2] else "sign"
            self.tokens.append((kind, found[1] or found[2] or found[3], found.start(found.lastindex)))
            place = found.end()
        if len(self.tokens) > MAX_TERMS:
            raise DebuggerError(f"the condition has {len(self.tokens)} parts, at most {MAX_TERMS} are read.")

    def fail(self, place: int, what: str = "") -> None:
        raise DebuggerError(f"the condition cannot be read from character {place + 1} on{what}: {self.text[:place]}▸{self.text[place:]}", hint=_HINT)

    def here(self) -> int:
        return self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)

    def take(self, *texts: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at][1] in texts:
            self.at += 1
            return self.tokens[self.at - 1][1]
        return None

    def read(self) -> Value:
        if not self.tokens:
            raise DebuggerError("the condition is empty.", hint=_HINT)
        found = self.either()
        if self.at < len(self.tokens):
            self.fail(self.here())
        return found

    def either(self) -> Value:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DebuggerError(f"the condition is nested more than {MAX_DEPTH} deep.")
        parts = [self.both()]
        while self.take("or"):
            parts.append(self.both())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else lambda s: float(any(_true(p(s)) for p in parts))

    def both(self) -> Value:
        parts = [self.negated()]
        while self.take("and"):
            parts.append(self.negated())
        return parts[0] if len(parts) == 1 else lambda s: float(all(_true(p(s)) for p in parts))

    def negated(self) -> Value:
        flips = 0
        while self.take("not"):
            flips += 1
        inner = self.compared()
        return inner if not flips else (lambda s: float(not _true(inner(s)))) if flips % 2 else (lambda s: float(_true(inner(s))))

    def compared(self) -> Value:
        left = self.sum()
        sign = self.take(*_COMPARE)
        if sign is None:
            return left
        compare, right = _COMPARE[sign], self.sum()
        if self.at < len(self.tokens) and self.tokens[self.at][1] in _COMPARE:
            self.fail(self.here(), " (write a < b and b < c)")
        return lambda s: float(compare(left(s), right(s)))

    def sum(self) -> Value:
        left = self.product()
        while sign := self.take("+", "-"):
            left = self.joined(operator.add if sign == "+" else operator.sub, left, self.product())
        return left

    def product(self) -> Value:
        left = self.factor()
        while sign := self.take("*", "/"):
            left = self.joined(operator.mul if sign == "*" else _divide, left, self.factor())
        return left

    @staticmethod
    def joined(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
        return lambda s: function(left(s), right(s))

    def factor(self) -> Value:
        signs = 0
        while self.take("-"):
            signs += 1
        inner = self.atom()
        return inner if signs % 2 == 0 else lambda s: -inner(s)

    def atom(self) -> Value:
        if self.at >= len(self.tokens):
            self.fail(len(self.text), ", where a value is missing")
        kind, text, place = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            number = float(text)
            return lambda s: number
        if text == "abs" and self.take("("):
            inner = self.either()
            if not self.take(")"):
                self.fail(self.here(), ", where a ) is missing")
            return lambda s: abs(inner(s))
        if kind == "word" and text in STATISTICS:
            return lambda s: s.statistic(text)
        if text == "(":
            inner = self.either()
            if not self.take(")"):
                self.fail(self.here(), ", where a ) is missing")
            return inner
        if text == "[":
            index: list[int] = []
            while not self.take("]"):
                if index and not self.take(","):
                    self.fail(self.here(), ", where a comma or ] is missing")
                negative = self.take("-") is not None
                if self.at >= len(self.tokens) or self.tokens[self.at][0] != "number" or not self.tokens[self.at][1].isdigit():
                    self.fail(self.here(), ", where a whole number is missing")
                index.append((-1 if negative else 1) * int(self.tokens[self.at][1]))
                self.at += 1
            place_of = tuple(index)
            return lambda s: s.element(place_of)
        self.at -= 1
        return self.fail(place)  # type: ignore[return-value]
