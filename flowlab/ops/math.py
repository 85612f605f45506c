"""Arithmetic and functions that work element by element."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.op import op
from ..core.shape import elementwise, unchanged
from ..core.types import TensorType
from .sizes import sum_to


def _truth(*types: TensorType, **rest: Any) -> TensorType:
    return TensorType(elementwise(*types, **rest).shape, np.dtype("bool"))


@op(latex="a + b", ufunc="add", aliases=("plus", "sum of two", "+"), onnx="Add", zh="加")
def add(xp, a, b):
    """Add two tensors, element by element."""
    return xp.add(a, b)


@add.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: sum_to(g, a), lambda: sum_to(g, b)


@op(latex="a - b", ufunc="subtract", aliases=("minus", "difference", "-"), onnx="Sub", zh="减")
def subtract(xp, a, b):
    """Subtract b from a, element by element."""
    return xp.subtract(a, b)


@subtract.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: sum_to(g, a), lambda: sum_to(negative(g), b)


@op(latex=r"a \odot b", ufunc="multiply", aliases=("times", "product", "hadamard", "*"), onnx="Mul", zh="乘")
def multiply(xp, a, b):
    """Multiply two tensors, element by element."""
    return xp.multiply(a, b)


@multiply.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: sum_to(g * b, a), lambda: sum_to(g * a, b)


@op(latex=r"\frac{a}{b}", ufunc="true_divide", aliases=("over", "quotient", "/"), onnx="Div", zh="除")
def divide(xp, a: Float, b: Float):
    """Divide a by b, element by element."""
    return xp.true_divide(a, b)


@divide.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: sum_to(g / b, a), lambda: sum_to(negative(g * node.outputs[0] / b), b)


@op(infer=unchanged, latex="-x", ufunc="negative", aliases=("minus", "negate"), onnx="Neg", zh="取负")
def negative(xp, x):
    """Flip the sign."""
    return xp.negative(x)


@negative.gradient
def _(node, g):
    return (lambda: negative(g),)


@op(latex="a^b", ufunc="power", aliases=("exponent", "^", "**"), onnx="Pow", zh="幂")
def power(xp, a, b):
    """Raise a to the power b, element by element."""
    return xp.power(a, b)


@power.gradient
def _(node, g):
    from .array import ones_like, where, zeros_like
    a, b = node.inputs

    def by_a():  # b · a^(b−1); where b is 0 the factor b makes it 0, and a^(−1) must not make it NaN at a = 0
        fixed = b.node.op.source == "constant" and b.node.attrs["value"].all()
        down = b - 1 if fixed else where(equal(b, zeros_like(b)), ones_like(b), b) - 1
        return sum_to(g * b * power(a, down), a)

    def by_b():  # a^b · ln a, and 0 where a is not positive: there the power has no real derivative by b
        inside = greater(a, zeros_like(a))
        return sum_to(g * node.outputs[0] * where(inside, log(where(inside, a, a * 0 + 1)), zeros_like(a)), b)
    return by_a, by_b


@op(infer=unchanged, latex="x^2", ufunc="square", aliases=("x**2", "squared"), bounds=(0, math.inf), zh="平方")
def square(xp, x):
    """Multiply each value by itself."""
    return xp.square(x)


@square.gradient
def _(node, g):
    x, = node.inputs
    return (lambda: g * (x * 2),)


@op(infer=unchanged, latex=r"\sqrt{x}", ufunc="sqrt", aliases=("root",), bounds=(0, math.inf), onnx="Sqrt", zh="平方根")
def sqrt(xp, x: Float):
    """Take the square root."""
    return xp.sqrt(x)


@sqrt.gradient
def _(node, g):
    return (lambda: g * 0.5 / node.outputs[0],)


@op(infer=unchanged, latex="e^x", ufunc="exp", aliases=("exponential",), bounds=(0, math.inf), onnx="Exp", zh="指数")
def exp(xp, x: Float):
    """Raise e to each value."""
    return xp.exp(x)


@exp.gradient
def _(node, g):
    return (lambda: g * node.outputs[0],)


@op(infer=unchanged, latex=r"\ln x", ufunc="log", aliases=("ln", "logarithm"), onnx="Log", zh="对数")
def log(xp, x: Float):
    """Take the natural logarithm."""
    return xp.log(x)


@log.gradient
def _(node, g):
    return (lambda: g / node.inputs[0],)


@op(infer=unchanged, latex=r"\sin x", ufunc="sin", aliases=("sine",), bounds=(-1, 1), onnx="Sin", zh="正弦")
def sin(xp, x: Float):
    """Take the sine of each angle, in radians."""
    return xp.sin(x)


@sin.gradient
def _(node, g):
    return (lambda: g * cos(node.inputs[0]),)


@op(infer=unchanged, latex=r"\cos x", ufunc="cos", aliases=("cosine",), bounds=(-1, 1), onnx="Cos", zh="余弦")
def cos(xp, x: Float):
    """Take the cosine of each angle, in radians."""
    return xp.cos(x)


@cos.gradient
def _(node, g):
    return (lambda: negative(g * sin(node.inputs[0])),)


@op(infer=unchanged, latex="|x|", ufunc="absolute", function="abs", aliases=("absolute", "magnitude"), bounds=(0, math.inf), onnx="Abs", zh="绝对值")
def abs_(xp, x):
    """Drop the sign."""
    return xp.absolute(x)


@abs_.gradient
def _(node, g):
    return (lambda: g * sign(node.inputs[0]),)


@op(infer=unchanged, latex=r"\operatorname{sgn} x", ufunc="sign", differentiable=False, bounds=(-1, 1), onnx="Sign", zh="符号")
def sign(xp, x):
    """Say −1, 0 or 1: the sign of each value."""
    return xp.sign(x)


@op(latex=r"\max(a, b)", ufunc="maximum", aliases=("larger of",), onnx="Max", zh="逐元素最大")
def maximum(xp, a, b):
    """Keep the larger of two values, element by element."""
    return xp.maximum(a, b)


def _share(a, b, first):
    """How much of the gradient a gets: 1 where it won, ½ at a tie."""
    from .array import cast
    return cast(first(a, b), a.dtype) + cast(equal(a, b), a.dtype) * 0.5


@maximum.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: sum_to(g * _share(a, b, greater), a), lambda: sum_to(g * _share(b, a, greater), b)


@op(latex=r"\min(a, b)", ufunc="minimum", aliases=("smaller of",), onnx="Min", zh="逐元素最小")
def minimum(xp, a, b):
    """Keep the smaller of two values, element by element."""
    return xp.minimum(a, b)


@minimum.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: sum_to(g * _share(a, b, less), a), lambda: sum_to(g * _share(b, a, less), b)


def _clipped(x: TensorType, *, min: float | None, max: float | None, **_: Any) -> TensorType:
    return x


@op(infer=_clipped, latex=r"\operatorname{clip}(x)", aliases=("clamp", "limit"), zh="截断")
def clip(xp, x, *, min: float = None, max: float = None):
    """Hold every value between min and max."""
    if x.dtype.kind in "iu":  # whole bounds of x's own dtype keep the result in it
        info = np.iinfo(x.dtype)
        min = None if min is None or min <= info.min else int(math.ceil(min)) if min <= info.max else info.max
        max = None if max is None or max >= info.max else int(math.floor(max)) if max >= info.min else info.min
    if min is not None:
        x = xp.maximum(x, min)
    return x if max is None else xp.minimum(x, max)


@clip.gradient
def _(node, g):
    from .array import cast
    x, low, high = node.inputs[0], node.attrs["min"], node.attrs["max"]

    def inside():
        out = g
        if low is not None:
            out = out * cast(greater_equal(x, low), x.dtype)
        return out if high is None else out * cast(less_equal(x, high), x.dtype)
    return (inside,)


@op(infer=_truth, latex="a > b", ufunc="greater", differentiable=False, aliases=(">",), onnx="Greater", zh="大于")
def greater(xp, a, b):
    """Ask where a is larger than b."""
    return xp.greater(a, b)


@op(infer=_truth, latex=r"a \ge b", ufunc="greater_equal", differentiable=False, aliases=(">=",), onnx="GreaterOrEqual", zh="大于等于")
def greater_equal(xp, a, b):
    """Ask where a is at least b."""
    return xp.greater_equal(a, b)


@op(infer=_truth, latex="a < b", ufunc="less", differentiable=False, aliases=("<",), onnx="Less", zh="小于")
def less(xp, a, b):
    """Ask where a is smaller than b."""
    return xp.less(a, b)


@op(infer=_truth, latex=r"a \le b", ufunc="less_equal", differentiable=False, aliases=("<=",), onnx="LessOrEqual", zh="小于等于")
def less_equal(xp, a, b):
    """Ask where a is at most b."""
    return xp.less_equal(a, b)


@op(infer=_truth, latex="a = b", ufunc="equal", differentiable=False, aliases=("==", "same"), onnx="Equal", zh="等于")
def equal(xp, a: Any, b: Any):
    """Ask where a and b are the same."""
    return xp.equal(a, b)


@op(infer=unchanged, latex="x", aliases=("pass",), bounds="inputs", onnx="Identity", zh="恒等")
def identity(xp, x: Any):
    """Hand the value on unchanged."""
    return x


@identity.gradient
def _(node, g):
    return (lambda: g,)


@op(infer=unchanged, latex="x", differentiable=False, aliases=("detach",), bounds="inputs", zh="停止梯度")
def stop_gradient(xp, x: Any):
    """Hand the value on, and let no gradient back through."""
    return x


# ---------------------------------------------------------------- more functions of one value


@op(infer=unchanged, latex=r"\lfloor x \rfloor", differentiable=False, aliases=("round down",), onnx="Floor", zh="向下取整")
def floor(xp, x):
    """Round down to a whole number."""
    return xp.floor(x) if x.dtype.kind == "f" else x


@op(infer=unchanged, latex=r"\lceil x \rceil", differentiable=False, aliases=("round up", "ceiling"), onnx="Ceil", zh="向上取整")
def ceil(xp, x):
    """Round up to a whole number."""
    return xp.ceil(x) if x.dtype.kind == "f" else x


@op(infer=unchanged, function="round", latex=r"\operatorname{round} x", differentiable=False, aliases=("nearest", "rint"), onnx="Round", zh="四舍五入")
def round_(xp, x):
    """Round to the nearest whole number; halves go to the even one."""
    return xp.rint(x) if x.dtype.kind == "f" else x


@op(infer=unchanged, latex=r"\frac{1}{x}", aliases=("inverse", "1/x"), onnx="Reciprocal", zh="倒数")
def reciprocal(xp, x: Float):
    """Divide 1 by each value."""
    return xp.true_divide(1, x)


@reciprocal.gradient
def _(node, g):
    return (lambda: negative(g * square(node.outputs[0])),)


@op(infer=unchanged, latex=r"\frac{1}{\sqrt{x}}", aliases=("inverse square root",), bounds=(0, math.inf), zh="平方根倒数")
def rsqrt(xp, x: Float):
    """Divide 1 by the square root of each value."""
    return xp.true_divide(1, xp.sqrt(x))


@rsqrt.gradient
def _(node, g):
    return (lambda: g * (node.outputs[0] / node.inputs[0]) * -0.5,)


@op(infer=unchanged, latex=r"e^x - 1", ufunc="expm1", aliases=("exp minus one",), zh="指数减一")
def expm1(xp, x: Float):
    """Raise e to each value and take 1 away, exactly near 0."""
    return xp.expm1(x)


@expm1.gradient
def _(node, g):
    return (lambda: g * (node.outputs[0] + 1),)


@op(infer=unchanged, latex=r"\ln(1 + x)", ufunc="log1p", aliases=("log one plus",), zh="对数加一")
def log1p(xp, x: Float):
    """Take the natural logarithm of 1 + x, exactly near 0."""
    return xp.log1p(x)


@log1p.gradient
def _(node, g):
    return (lambda: g / (node.inputs[0] + 1),)


@op(infer=unchanged, latex=r"\log_2 x", ufunc="log2", aliases=("bits", "binary logarithm",), zh="二进对数")
def log2(xp, x: Float):
    """Take the logarithm to base 2: how many times 2."""
    return xp.log2(x)


@log2.gradient
def _(node, g):
    return (lambda: g * (1 / math.log(2)) / node.inputs[0],)


@op(infer=unchanged, latex=r"\log_{10} x", ufunc="log10", aliases=("decimal logarithm",), zh="常用对数")
def log10(xp, x: Float):
    """Take the logarithm to base 10: how many digits."""
    return xp.log10(x)


@log10.gradient
def _(node, g):
    return (lambda: g * (1 / math.log(10)) / node.inputs[0],)


@op(infer=unchanged, latex=r"\tan x", ufunc="tan", aliases=("tangent",), onnx="Tan", zh="正切")
def tan(xp, x: Float):
    """Take the tangent of each angle, in radians."""
    return xp.tan(x)


@tan.gradient
def _(node, g):
    return (lambda: g * (square(node.outputs[0]) + 1),)


@op(infer=unchanged, latex=r"\arcsin x", ufunc="arcsin", aliases=("asin",), bounds=(-math.pi / 2, math.pi / 2), onnx="Asin", zh="反正弦")
def arcsin(xp, x: Float):
    """Find the angle that has this sine."""
    return xp.arcsin(x)


@arcsin.gradient
def _(node, g):
    return (lambda: g * rsqrt(1 - square(node.inputs[0])),)


@op(infer=unchanged, latex=r"\arccos x", ufunc="arccos", aliases=("acos",), bounds=(0, math.pi), onnx="Acos", zh="反余弦")
def arccos(xp, x: Float):
    """Find the angle that has this cosine."""
    return xp.arccos(x)


@arccos.gradient
def _(node, g):
    return (lambda: negative(g * rsqrt(1 - square(node.inputs[0]))),)


@op(infer=unchanged, latex=r"\arctan x", ufunc="arctan", aliases=("atan",), bounds=(-math.pi / 2, math.pi / 2), onnx="Atan", zh="反正切")
def arctan(xp, x: Float):
    """Find the angle that has this tangent."""
    return xp.arctan(x)


@arctan.gradient
def _(node, g):
    return (lambda: g / (square(node.inputs[0]) + 1),)


@op(infer=unchanged, latex=r"\sinh x", ufunc="sinh", aliases=("hyperbolic sine",), onnx="Sinh", zh="双曲正弦")
def sinh(xp, x: Float):
    """Take the hyperbolic sine."""
    return xp.sinh(x)


@sinh.gradient
def _(node, g):
    return (lambda: g * cosh(node.inputs[0]),)


@op(infer=unchanged, latex=r"\cosh x", ufunc="cosh", aliases=("hyperbolic cosine",), bounds=(1, math.inf), onnx="Cosh", zh="双曲余弦")
def cosh(xp, x: Float):
    """Take the hyperbolic cosine: the shape of a hanging chain."""
    return xp.cosh(x)


@cosh.gradient
def _(node, g):
    return (lambda: g * sinh(node.inputs[0]),)


@op(latex=r"\operatorname{atan2}(a, b)", ufunc="arctan2", aliases=("atan2", "angle", "direction"), bounds=(-math.pi, math.pi), zh="方位角")
def arctan2(xp, a: Float, b: Float):
    """Find the angle of the point (b, a): a up, b to the right."""
    return xp.arctan2(a, b)


@arctan2.gradient
def _(node, g):
    a, b = node.inputs
    return (lambda: sum_to(g * b / (square(a) + square(b)), a), lambda: sum_to(negative(g * a) / (square(a) + square(b)), b))


@op(infer=unchanged, latex=r"\operatorname{erf} x", aliases=("error function", "gauss", "normal"), bounds=(-1, 1), onnx="Erf", zh="误差函数")
def erf(xp, x: Float):
    """Ask how likely a normal draw is to lie within x·√2 standard deviations of its mean, with the sign of x."""
    return xp.special.erf(x).astype(x.dtype)


@erf.gradient
def _(node, g):
    return (lambda: g * exp(negative(square(node.inputs[0]))) * (2 / math.sqrt(math.pi)),)


@op(latex=r"a \bmod b", ufunc="remainder", aliases=("remainder", "modulo", "%"), zh="取模")
def mod(xp, a, b):
    """Find what is left of a when b is taken away as often as it goes; it has the sign of b."""
    return xp.remainder(a, b)


@mod.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: sum_to(g, a), lambda: sum_to(negative(g * floor(a / b)), b)


@op(latex=r"\lfloor a / b \rfloor", ufunc="floor_divide", differentiable=False, aliases=("integer division", "//"), zh="整除")
def floor_divide(xp, a, b):
    """Ask how often b goes into a: the quotient, rounded down."""
    return xp.floor_divide(a, b)


@op(infer=unchanged, latex=r"\operatorname{trunc} x", differentiable=False, aliases=("fix", "towards zero", "integer part"), zh="截尾取整")
def trunc(xp, x):
    """Drop what stands after the point: round towards 0."""
    return xp.trunc(x) if x.dtype.kind == "f" else x


@op(infer=unchanged, latex="2^x", ufunc="exp2", aliases=("power of two",), bounds=(0, math.inf), zh="二的幂")
def exp2(xp, x: Float):
    """Raise 2 to each value."""
    return xp.exp2(x)


@exp2.gradient
def _(node, g):
    return (lambda: g * node.outputs[0] * math.log(2),)


@op(infer=unchanged, latex=r"\sqrt[3]{x}", ufunc="cbrt", aliases=("cube root",), zh="立方根")
def cbrt(xp, x: Float):
    """Take the cube root, of negative values too."""
    return xp.cbrt(x)


@cbrt.gradient
def _(node, g):
    return (lambda: g / square(node.outputs[0]) * (1 / 3),)


@op(infer=unchanged, latex=r"\operatorname{arsinh} x", ufunc="arcsinh", aliases=("asinh", "inverse hyperbolic sine"), onnx="Asinh", zh="反双曲正弦")
def arcsinh(xp, x: Float):
    """Find the value that has this hyperbolic sine."""
    return xp.arcsinh(x)


@arcsinh.gradient
def _(node, g):
    return (lambda: g * rsqrt(square(node.inputs[0]) + 1),)


@op(infer=unchanged, latex=r"\operatorname{arcosh} x", ufunc="arccosh", aliases=("acosh", "inverse hyperbolic cosine"), onnx="Acosh", zh="反双曲余弦")
def arccosh(xp, x: Float):
    """Find the value from 0 on that has this hyperbolic cosine; x is 1 or more."""
    return xp.arccosh(x)


@arccosh.gradient
def _(node, g):
    return (lambda: g * rsqrt(square(node.inputs[0]) - 1),)


@op(infer=unchanged, latex=r"\operatorname{artanh} x", ufunc="arctanh", aliases=("atanh", "inverse hyperbolic tangent", "fisher"), onnx="Atanh", zh="反双曲正切")
def arctanh(xp, x: Float):
    """Find the value that has this hyperbolic tangent."""
    return xp.arctanh(x)


@arctanh.gradient
def _(node, g):
    return (lambda: g / (1 - square(node.inputs[0])),)


@op(latex=r"\ln(e^a + e^b)", ufunc="logaddexp", aliases=("sum of probabilities", "log sum"), zh="对数域加法")
def logaddexp(xp, a: Float, b: Float):
    """Add two numbers that are given by their logarithms, without overflow."""
    return xp.logaddexp(a, b)


@logaddexp.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: sum_to(g * exp(a - node.outputs[0]), a), lambda: sum_to(g * exp(b - node.outputs[0]), b)


@op(latex=r"\sqrt{a^2 + b^2}", ufunc="hypot", aliases=("distance", "pythagoras", "length"), bounds=(0, math.inf), zh="斜边")
def hypot(xp, a: Float, b: Float):
    """Measure the long side of a right triangle with the sides a and b."""
    return xp.hypot(a, b)


@hypot.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: sum_to(g * a / node.outputs[0], a), lambda: sum_to(g * b / node.outputs[0], b)


# ---------------------------------------------------------------- put together from the functions above


def deg2rad(x: Any, name: str | None = None) -> Any:
    """Turn angles in degrees into radians."""
    return multiply(x, math.pi / 180, name=name)


def rad2deg(x: Any, name: str | None = None) -> Any:
    """Turn angles in radians into degrees."""
    return multiply(x, 180 / math.pi, name=name)


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None, name: str | None = None) -> Any:
    """Put numbers in the place of NaN and of infinities: 0, and the largest numbers that the dtype holds, unless they are given."""
    from .array import where
    from .layout import full_like
    from .logic import isnan
    most = float(np.finfo(x.dtype).max)
    high, low = most if posinf is None else posinf, -most if neginf is None else neginf
    infinite = full_like(x, math.inf)
    finite = where(equal(x, infinite), full_like(x, high), where(equal(x, negative(infinite)), full_like(x, low), x))
    return where(isnan(x), full_like(x, nan), finite, name=name)


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, name: str | None = None) -> Any:
    """Ask where a and b differ by no more than atol + rtol·|b|; equal infinities are close, NaN is close to nothing."""
    from .logic import isfinite, logical_and, logical_or
    near = less_equal(abs_(subtract(a, b)), add(multiply(abs_(b), rtol), atol))
    return logical_or(equal(a, b), logical_and(near, isfinite(add(abs_(a), abs_(b)))), name=name)


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, name: str | None = None) -> Any:
    """Ask whether a and b are close everywhere."""
    from .logic import all_
    return all_(isclose(a, b, rtol=rtol, atol=atol), name=name)
