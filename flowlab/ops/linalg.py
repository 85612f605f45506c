"""Linear algebra."""
from __future__ import annotations

from functools import partial
from typing import Any

from ..core.errors import AttributeValueError, ShapeError
from ..core.graph import Tensor
from ..core.op import op
from ..core.shape import axis_in, broadcast_shapes, matmul_shape, meet
from ..core.types import Dim, TensorType, shape_text
from .array import expand_dims, squeeze, transpose
from .layout import tril
from .math import abs_, multiply, negative
from .reduce import max_, norm2, sum_
from .sizes import broadcast_as, sum_to


@op(infer=lambda a, b, **_: a.with_shape(matmul_shape(a, b)), type="MatMul", category="linalg", latex="A B", ufunc="matmul",
    aliases=("dot", "product", "@", "linear"), zh="矩阵乘")
def matmul(xp, a, b):
    """Multiply matrices: rows of a by columns of b; leading axes are a batch."""
    return xp.matmul(a, b)


def _flip(x):
    """The last two axes exchanged."""
    return transpose(x) if x.rank == 2 else transpose(x, axes=(*range(x.rank - 2), x.rank - 1, x.rank - 2))


@matmul.gradient
def _(node, g):
    a, b = node.inputs
    if a.rank == 1 and b.rank == 1:
        return lambda: g * b, lambda: g * a
    if a.rank == 1:
        return (lambda: sum_to(squeeze(matmul(expand_dims(g, -2), _flip(b)), axis=-2), a),
                lambda: sum_to(matmul(expand_dims(a, -1), expand_dims(g, -2)), b))
    if b.rank == 1:
        return (lambda: sum_to(matmul(expand_dims(g, -1), expand_dims(b, 0)), a),
                lambda: sum_to(squeeze(matmul(_flip(a), expand_dims(g, -1)), axis=-1), b))
    return lambda: sum_to(matmul(g, _flip(b)), a), lambda: sum_to(matmul(_flip(a), g), b)


def dot(a: Any, b: Any, name: str | None = None) -> Tensor:
    """Multiply as NumPy's dot does: a matrix product, or a plain product when one side is a number."""
    ranks = [getattr(v, "rank", None) if isinstance(v, Tensor) else getattr(v, "ndim", 0) for v in (a, b)]
    if 0 in ranks and not any(isinstance(v, (list, tuple)) for v in (a, b)):
        return multiply(a, b, name=name)
    if max(r or 0 for r in ranks) > 2:
        wide = "a" if (ranks[0] or 0) > 2 else "b"
        raise ShapeError(f"dot: {wide} has more than two axes.", node=next((v.node.name for v in (a, b) if isinstance(v, Tensor)), None), port=wide, hint="Use fl.matmul for a batch, or fl.einsum to say which axes meet.")
    return matmul(a, b, name=name)


def _vectors(a: TensorType, b: TensorType, *, word: str, **_: Any) -> TensorType:
    for t, port in ((a, "a"), (b, "b")):
        if t.rank != 1:
            raise ShapeError(f"{word}: {port} is {shape_text(t.shape)}.", port=port, hint="It takes two vectors.")
    return a.with_shape((*a.shape, *b.shape))


@op(infer=_vectors, category="linalg", latex=r"a b^T", aliases=("products of all pairs", "⊗"), zh="外积")
def outer(xp, a, b):
    """Multiply every value of a by every value of b."""
    return xp.multiply(xp.expand_dims(a, 1), b)


@outer.gradient
def _(node, g):
    a, b = node.inputs
    return lambda: matmul(g, b), lambda: matmul(a, g)


# ---------------------------------------------------------------- the diagonal


def _traced(x: TensorType, *, axis1: int, axis2: int, word: str, **_: Any) -> TensorType:
    if x.rank < 2:
        raise ShapeError(f"{word}: x is {shape_text(x.shape)}.", port="x", hint="It takes a matrix, or a batch of them.")
    a, b = axis_in(axis1, x.rank, attr="axis1"), axis_in(axis2, x.rank, attr="axis2")
    if a == b:
        raise AttributeValueError(f"{word}: axis1 and axis2 are the same.", port="axis2", axis=b)
    return x.with_shape(tuple(d for k, d in enumerate(x.shape) if k not in (a, b)))


@op(infer=_traced, category="linalg", latex=r"\operatorname{tr} A", aliases=("sum of the diagonal",), zh="迹")
def trace(xp, x, *, offset: int = 0, axis1: int = 0, axis2: int = 1):
    """Add up a diagonal."""
    return xp.trace(x, offset, axis1, axis2, dtype=x.dtype)


@trace.gradient
def _(node, g):
    return (lambda: trace_gradient(g, node.inputs[0], **node.attrs),)


@op(infer=lambda g, like, **_: g.with_shape(like.shape), category="linalg", mixed=True, listed=False, zh="迹的梯度")
def trace_gradient(xp, g: Any, like: Any, *, offset: int = 0, axis1: int = 0, axis2: int = 1):
    """Put a value on every place of the diagonal that it was the sum of."""
    out = xp.zeros(like.shape, g.dtype)
    matrix = xp.moveaxis(out, (axis1, axis2), (-2, -1))
    rows, columns = matrix.shape[-2:]
    n = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    k = xp.arange(n)
    matrix[..., k + max(-offset, 0), k + max(offset, 0)] = xp.expand_dims(g, -1)
    return out


@trace_gradient.gradient
def _(node, d):
    return lambda: trace(d, **node.attrs), None


# ---------------------------------------------------------------- square matrices


def _wide(x):
    """LAPACK has no float16."""
    return x.astype("float32") if x.dtype == "float16" else x


def _square(x: TensorType, word: str, port: str = "x") -> TensorType:
    if x.rank < 2:
        raise ShapeError(f"{word}: {port} is {shape_text(x.shape)}.", port=port, hint="It takes a square matrix, or a batch of them.")
    try:
        meet(x.shape[-2], x.shape[-1])
    except ValueError:
        raise ShapeError(f"{word}: {port} is {shape_text(x.shape)}, {x.shape[-2]} rows and {x.shape[-1]} columns.", port=port, axis=x.rank - 1, hint="The matrix must be square.") from None
    return x


@op(infer=lambda x, *, word, **_: _square(x, word), category="linalg", latex="A^{-1}", aliases=("inverse", "matrix inverse"), zh="逆矩阵")
def inv(xp, x: Float):
    """Find the matrix that undoes x: their product is the identity."""
    return xp.linalg.inv(_wide(x)).astype(x.dtype)


@inv.gradient
def _(node, g):
    y = _flip(node.outputs[0])
    return (lambda: negative(matmul(matmul(y, g), y)),)


def _determined(x: TensorType, *, word: str, **_: Any) -> TensorType:
    return x.with_shape(_square(x, word).shape[:-2])


@op(infer=_determined, category="linalg", latex=r"\det A", aliases=("determinant", "volume"), zh="行列式")
def det(xp, x: Float):
    """Measure how much a matrix grows volumes; 0 when it flattens them."""
    return xp.linalg.det(_wide(x)).astype(x.dtype)


@det.gradient
def _(node, g):
    scale = g * node.outputs[0]
    return (lambda: expand_dims(scale, (-2, -1)) * _flip(inv(node.inputs[0])),)


@op(infer=lambda x, *, word, **_: _square(x, word), category="linalg", latex="L L^T = A", aliases=("factor", "lower triangle"), zh="乔列斯基分解")
def cholesky(xp, x: Float):
    """Find the lower triangle L with L·Lᵀ = x, for a symmetric matrix with positive eigenvalues; of another one its symmetric part is taken."""
    wide = _wide(x)
    return xp.linalg.cholesky((wide + xp.swapaxes(wide, -1, -2)) * 0.5).astype(x.dtype)


@cholesky.gradient
def _(node, g):
    def by_x():  # Murray 2016: the lower half of LᵀG, its diagonal halved, between the inverses
        low = node.outputs[0]
        inside = matmul(_flip(low), g)
        half = (tril(inside) + tril(inside, k=-1)) * 0.5
        back = inv(low)
        whole = matmul(matmul(_flip(back), half), back)
        return (whole + _flip(whole)) * 0.5
    return (by_x,)


def _solved(a: TensorType, b: TensorType, *, word: str, **_: Any) -> TensorType:
    _square(a, word, "a")
    if not b.rank:
        raise ShapeError(f"{word}: b is a scalar.", port="b", hint="It takes a vector, or a matrix of columns.")
    at = 0 if b.rank == 1 else b.rank - 2
    try:
        meet(a.shape[-1], b.shape[at])
    except ValueError:
        raise ShapeError(f"{word}: a is {shape_text(a.shape)}, b has {b.shape[at]} rows.", port="b", axis=at, hint=f"b needs {a.shape[-1]} rows.") from None
    lead = broadcast_shapes([a.shape[:-2], b.shape[:-2] if b.rank > 1 else ()], ("a", "b"), word)
    return b.with_shape((*lead, *b.shape[-2:]))


@op(infer=_solved, category="linalg", latex="A^{-1} b", aliases=("linear equations", "divide by a matrix"), zh="解方程组")
def solve(xp, a: Float, b: Float):
    """Find x with a · x = b; b is a vector, or a matrix of columns."""
    return xp.linalg.solve(_wide(a), _wide(b)).astype(a.dtype)


@solve.gradient
def _(node, g):
    a, b = node.inputs
    if b.rank > 1:
        return lambda: sum_to(negative(matmul(solve(_flip(a), g), _flip(node.outputs[0]))), a), lambda: sum_to(solve(_flip(a), g), b)

    def back():  # one column, as wide as the batch of matrices
        return solve(_flip(a), expand_dims(g, -1))
    return lambda: sum_to(negative(matmul(back(), expand_dims(node.outputs[0], -2))), a), lambda: sum_to(squeeze(back(), axis=-1), b)


# ---------------------------------------------------------------- norms, einsum


def norm(x: Tensor, ord: float | str | None = None, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """Measure a size: the Euclidean length by default, `ord=1` the sum and `ord=inf` the largest of the magnitudes."""
    if ord in (None, 2, "fro"):
        return norm2(x, axis=axis, keepdims=keepdims, name=name)
    if ord == 1:
        return sum_(abs_(x), axis=axis, keepdims=keepdims, name=name)
    if ord in (float("inf"), "inf"):
        return max_(abs_(x), axis=axis, keepdims=keepdims, name=name)
    raise AttributeValueError(f"norm: ord is {ord!r}.", port="ord", hint="Use None, 1, 2 or inf.")


def _letters(subscripts: str, ranks: list[int], ports: tuple[str, ...]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, "..." spelled out; the axes it stands for are the capitals from Z down."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise AttributeValueError(f"einsum: {subscripts!r} names {len(parts)} operands, {len(ranks)} are given.", port="subscripts")
    spare = "ZYXWVUTSRQPONM"
    wide = 0
    for part, rank, port in zip(parts, ranks, ports):
        letters = part.replace("...", "", 1)
        if not all(c.isascii() and c.isalpha() for c in letters) or len(set(letters)) < len(letters):
            raise AttributeValueError(f"einsum: {part!r} is not one letter an axis, each once.", port="subscripts", hint="Use fl.linalg.trace for a diagonal.")
        if len(letters) > rank or "..." not in part and len(letters) != rank:
            raise ShapeError(f"einsum: {part!r} names {len(letters)} axes, {port} has {rank}.", port=port)
        if "..." in part:
            wide = max(wide, rank - len(letters))
    used = set(left) | set(right)
    spare = "".join(c for c in spare if c not in used)[:wide]
    if len(spare) < wide:
        raise AttributeValueError("einsum: too many axes.", port="subscripts")
    ellipsis = spare[::-1]
    operands = [p.replace("...", ellipsis[wide - (r - len(p) + 3):] if "..." in p else "") for p, r in zip(parts, ranks)]
    if arrow:
        result = right.replace("...", ellipsis, 1)
    else:  # as NumPy: what comes once, in alphabetical order, after the axes of "..."
        whole = left.replace("...", "").replace(",", "")
        result = ellipsis + "".join(sorted(c for c in set(whole) if whole.count(c) == 1))
    if len(set(result)) < len(result) or not set(result) <= set("".join(operands)):
        raise AttributeValueError(f"einsum: the result {right!r} must name axes of the operands, each once.", port="subscripts")
    return operands, result


def _einsum_rule(*types: TensorType, subscripts: str, ports: tuple, **_: Any) -> TensorType:
    operands, result = _letters(subscripts, [t.rank for t in types], ports)
    sizes: dict[str, tuple[Dim, str, int]] = {}
    for letters, t, port in zip(operands, types, ports):
        for axis, (letter, d) in enumerate(zip(letters, t.shape)):
            before = sizes.get(letter)
            if before is None or before[0] == 1:
                sizes[letter] = (d, port, axis)
            elif d != 1:
                try:
                    sizes[letter] = (meet(before[0], d), before[1], before[2])
                except ValueError:
                    raise ShapeError(f"einsum: {letter} is {before[0]} on axis {before[2]} of {before[1]} and {d} on axis {axis} of {port}.", port=port, axis=axis,
                                     hint="One letter stands for one size.") from None
    return types[0].with_shape(tuple(sizes[c][0] for c in result))


@op(infer=_einsum_rule, type="Einsum", function="einsum", category="linalg", latex=r"\sum_k a_{ik} b_{kj}", aliases=("sum of products", "contract", "tensor product"), zh="爱因斯坦求和")
def einsum_op(xp, *xs, subscripts: str):
    """Multiply tensors and add up along the axes that the result does not name, each axis by a letter: `"ij,jk->ik"`."""
    operands, result = _letters(subscripts, [x.ndim for x in xs], tuple(f"xs.{k}" for k in range(len(xs))))
    out = xp.einsum(f"{','.join(operands)}->{result}", *xs)
    return out if out.base is None else out.copy()


@einsum_op.gradient
def _(node, g):
    operands, result = _letters(node.attrs["subscripts"], [x.rank for x in node.inputs], node.ports)

    def by(k: int) -> Tensor:
        others = [x for j, x in enumerate(node.inputs) if j != k]
        known = set(result).union(*(letters for j, letters in enumerate(operands) if j != k))
        target, x = operands[k], node.inputs[k]
        kept = "".join(c for c in target if c in known)
        text = ",".join([result, *(letters for j, letters in enumerate(operands) if j != k)])
        d = einsum_op([g, *others], subscripts=f"{text}->{kept}")
        alone = tuple(axis for axis, c in enumerate(target) if c not in known)     # axes that were only added up
        if alone:
            d = expand_dims(d, axis=alone)
            d = broadcast_as(d, x) if all(a == b or a == 1 for a, b in zip(d.shape, x.shape)) else broadcast_as(sum_to(d, x), x)
        return sum_to(d, x)
    return tuple(partial(by, k) for k in range(len(operands)))


def einsum(*args: Any, subscripts: str | None = None, name: str | None = None) -> Tensor:
    """Multiply tensors and add up along the axes that the result does not name: `einsum("ij,jk->ik", a, b)`."""
    if subscripts is None:
        if not args or not isinstance(args[0], str):
            raise AttributeValueError("einsum: the subscripts come first.", port="subscripts", hint='fl.einsum("ij,jk->ik", a, b)')
        subscripts, *args = args  # type: ignore[assignment]
    xs = list(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else list(args)
    return einsum_op(xs, subscripts=subscripts, name=name)


__all__ = ["cholesky", "det", "dot", "einsum", "inv", "matmul", "norm", "outer", "solve", "trace"]
