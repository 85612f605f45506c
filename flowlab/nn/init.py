"""Initializers with a shape: what a variable's first value is drawn from."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.types import Shape, dtype_of, shape_of
from ..ops.state import INITIALIZERS, parse_initializer

NAMES = tuple(INITIALIZERS)


@dataclass(frozen=True, slots=True)
class Initializer:
    """A way to draw the first value of a variable of this shape; the session's seed decides the numbers."""

    initializer_text: str
    shape: Shape
    dtype: str = "float32"

    def __repr__(self) -> str:
        return f"{self.initializer_text} {self.dtype}{list(self.shape)}"


def initializer(text: str, shape: Any, dtype: Any = "float32") -> Initializer:
    """The initializer that `text` names, such as `"glorot_uniform"` or `"normal(0, 0.1)"`."""
    parse_initializer(text)
    return Initializer(text, shape_of(shape), dtype_of(dtype).name)


def _numbers(*values: float) -> str:
    return ", ".join(f"{float(v):g}" for v in values)


def zeros(shape: Any, dtype: Any = "float32") -> Initializer:
    """All 0."""
    return initializer("zeros", shape, dtype)


def ones(shape: Any, dtype: Any = "float32") -> Initializer:
    """All 1."""
    return initializer("ones", shape, dtype)


def full(shape: Any, value: float, dtype: Any = "float32") -> Initializer:
    """One value everywhere."""
    return initializer(f"full({_numbers(value)})", shape, dtype)


def uniform(shape: Any, low: float = -0.05, high: float = 0.05, dtype: Any = "float32") -> Initializer:
    """Evenly between low and high."""
    return initializer(f"uniform({_numbers(low, high)})", shape, dtype)


def normal(shape: Any, mean: float = 0.0, std: float = 0.05, dtype: Any = "float32") -> Initializer:
    """From a bell curve."""
    return initializer(f"normal({_numbers(mean, std)})", shape, dtype)


def glorot_uniform(shape: Any, dtype: Any = "float32") -> Initializer:
    """Evenly within ±√(6 / (fan in + fan out)), which keeps the size of signals and gradients. Source: Glorot & Bengio 2010."""
    return initializer("glorot_uniform", shape, dtype)


def glorot_normal(shape: Any, dtype: Any = "float32") -> Initializer:
    """Bell curve with standard deviation √(2 / (fan in + fan out)). Source: Glorot & Bengio 2010."""
    return initializer("glorot_normal", shape, dtype)


def he_uniform(shape: Any, dtype: Any = "float32") -> Initializer:
    """Evenly within ±√(6 / fan in), for layers with ReLU. Source: He et al. 2015."""
    return initializer("he_uniform", shape, dtype)


def he_normal(shape: Any, dtype: Any = "float32") -> Initializer:
    """Bell curve with standard deviation √(2 / fan in), for layers with ReLU. Source: He et al. 2015."""
    return initializer("he_normal", shape, dtype)


def lecun_normal(shape: Any, dtype: Any = "float32") -> Initializer:
    """Bell curve with standard deviation √(1 / fan in). Source: LeCun et al. 1998."""
    return initializer("lecun_normal", shape, dtype)


def lecun_uniform(shape: Any, dtype: Any = "float32") -> Initializer:
    """Evenly within ±√(3 / fan in). Source: LeCun et al. 1998."""
    return initializer("lecun_uniform", shape, dtype)


def truncated_normal(shape: Any, mean: float = 0.0, std: float = 0.05, dtype: Any = "float32") -> Initializer:
    """From a bell curve, what lies beyond two standard deviations drawn again."""
    return initializer(f"truncated_normal({_numbers(mean, std)})", shape, dtype)


def identity(shape: Any, gain: float = 1.0, dtype: Any = "float32") -> Initializer:
    """Ones (or `gain`) on the diagonal of a matrix: at first it changes nothing."""
    return initializer(f"identity({_numbers(gain)})" if gain != 1 else "identity", shape, dtype)


def orthogonal(shape: Any, gain: float = 1.0, dtype: Any = "float32") -> Initializer:
    """Columns (or rows) at right angles to each other: a recurrence neither grows nor shrinks at first. Source: Saxe et al. 2014."""
    return initializer(f"orthogonal({_numbers(gain)})" if gain != 1 else "orthogonal", shape, dtype)
