"""Linear algebra."""
from __future__ import annotations

from functools import partial
from math import inf
from typing import Any

from ..core.errors import AttributeValueError, GradientError, ShapeError, plural
from ..core.graph import Tensor
from ..core.op import op
from ..core.shape import axis_in, broadcast_shapes, matmul_shape, meet
from ..core.types import Dim, TensorType, shape_text
from .array import expand_dims, ones_like, reshape, squeeze, transpose
from .layout import roll, tril
from .math import abs_, multiply, negative, square, subtract
from .reduce import max_, norm2, sum_
from .sizes import broadcast_as, sum_to


@op(infer=lambda a, b, **_: a.with_shape(matmul_shape(a, b)), type="MatMul", category="linalg", latex="A B", ufunc="matmul",
    aliases=("dot", "product", "@", "linear"), onnx="MatMul", zh="矩阵乘")
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
        raise ShapeError(f"{word}: {port} is {shape_text(x.shape)}, {plural(x.shape[-2], 'row')} and {plural(x.shape[-1], 'column')}.", port=port, axis=x.rank - 1, hint="The matrix must be square.") from None
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


@op(infer=_determined, category="linalg", latex=r"\det A", aliases=("determinant", "volume"), onnx="Det", zh="行列式")
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
        raise ShapeError(f"{word}: a is {shape_text(a.shape)}, b has {plural(b.shape[at], 'row')}.", port="b", axis=at, hint=f"b needs {plural(a.shape[-1], 'row')}.") from None
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


# ---------------------------------------------------------------- diagonals as vectors


def _diagonal_size(rows: Dim, columns: Dim, offset: int) -> Dim:
    if isinstance(rows, int) and isinstance(columns, int):
        return max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    return rows if rows == columns and not offset else None


def _diagonal_type(x: TensorType, *, offset: int, axis1: int, axis2: int, word: str, **_: Any) -> TensorType:
    rest = _traced(x, axis1=axis1, axis2=axis2, word=word)
    return rest.with_shape((*rest.shape, _diagonal_size(x.shape[axis1], x.shape[axis2], offset)))


@op(infer=_diagonal_type, category="linalg", bounds="inputs", aliases=("diag", "main diagonal"), zh="取对角线")
def diagonal(xp, x: Any, *, offset: int = 0, axis1: int = 0, axis2: int = 1):
    """Take a diagonal of a matrix as a vector."""
    return xp.diagonal(x, offset, axis1, axis2).copy()


@diagonal.gradient
def _(node, g):
    return (lambda: diagonal_gradient(g, node.inputs[0], **node.attrs),)


@op(infer=lambda g, like, **_: g.with_shape(like.shape), category="linalg", mixed=True, listed=False, zh="取对角线的梯度")
def diagonal_gradient(xp, g: Any, like: Any, *, offset: int = 0, axis1: int = 0, axis2: int = 1):
    """Put a vector on the diagonal that it was taken from, with zeros elsewhere."""
    out = xp.zeros(like.shape, g.dtype)
    k = xp.arange(g.shape[-1])
    xp.moveaxis(out, (axis1, axis2), (-2, -1))[..., k + max(-offset, 0), k + max(offset, 0)] = g
    return out


@diagonal_gradient.gradient
def _(node, d):
    return lambda: diagonal(d, **node.attrs), None


def _diagonal_matrix(v: TensorType, *, k: int, word: str, **_: Any) -> TensorType:
    if v.rank < 1:
        raise ShapeError(f"{word}: v is a scalar.", port="v", hint="It takes a vector, or a batch of them.")
    n = v.shape[-1]
    side = n + abs(k) if isinstance(n, int) else n if not k else None
    return v.with_shape((*v.shape[:-1], side, side))


@op(infer=_diagonal_matrix, type="DiagonalMatrix", function="diagonal_matrix", category="linalg", latex=r"\operatorname{diag}(v)", aliases=("diag", "diagflat"), zh="对角矩阵")
def diagonal_matrix(xp, v: Any, *, k: int = 0):
    """Make a square matrix with a vector on its k-th diagonal and zeros elsewhere."""
    n = v.shape[-1]
    out = xp.zeros((*v.shape[:-1], n + abs(k), n + abs(k)), v.dtype)
    at = xp.arange(n)
    out[..., at + max(-k, 0), at + max(k, 0)] = v
    return out


@diagonal_matrix.gradient
def _(node, g):
    return (lambda: diagonal(g, offset=node.attrs["k"], axis1=g.rank - 2, axis2=g.rank - 1),)


def diag(v: Any, k: int = 0, name: str | None = None) -> Tensor:
    """A vector becomes the k-th diagonal of a square matrix; of a matrix, its k-th diagonal is taken."""
    if isinstance(v, Tensor) and v.rank == 2:
        return diagonal(v, offset=k, name=name)
    return diagonal_matrix(v, k=k, name=name)


# ---------------------------------------------------------------- factors


def _slog(x: TensorType, *, word: str, **_: Any) -> tuple[TensorType, TensorType]:
    out = x.with_shape(_square(x, word).shape[:-2])
    return out, out


@op(infer=_slog, category="linalg", outputs=("sign", "logabsdet"), latex=r"\ln |\det A|", bounds={"sign": (-1, 1)}, aliases=("log determinant",), zh="行列式的对数")
def slogdet(xp, x: Float):
    """Take the sign of a determinant and the logarithm of its size, which cannot overflow."""
    sign, size = xp.linalg.slogdet(_wide(x))
    return sign.astype(x.dtype), size.astype(x.dtype)


@slogdet.gradient
def _(node, g):
    return (lambda: None if g[1] is None else expand_dims(g[1], (-2, -1)) * _flip(inv(node.inputs[0])),)


def _eigen_type(x: TensorType, *, word: str, **_: Any) -> tuple[TensorType, TensorType]:
    _square(x, word)
    side = meet(x.shape[-2], x.shape[-1])
    return x.with_shape((*x.shape[:-2], side)), x.with_shape((*x.shape[:-2], side, side))


@op(infer=_eigen_type, category="linalg", outputs=("values", "vectors"), latex=r"A = V \Lambda V^T", aliases=("eigenvalues", "eigenvectors", "spectrum", "pca"), zh="对称特征分解")
def eigh(xp, x: Float):
    """Find the directions that a symmetric matrix only stretches, and by how much; of another one its symmetric part is taken.

    values in rising order, vectors in columns of length 1, whose sign is LAPACK's choice. The derivative needs values that differ.
    """
    wide = _wide(x)
    values, vectors = xp.linalg.eigh((wide + xp.swapaxes(wide, -1, -2)) * 0.5)
    return values.astype(x.dtype), vectors.astype(x.dtype)


def _gaps(values: Tensor) -> Tensor:
    """1 / (vⱼ − vᵢ) off the diagonal, 0 on it."""
    apart = expand_dims(values, -2) - expand_dims(values, -1)
    ones = diagonal_matrix(ones_like(values))
    return (1 - ones) / (apart + ones)


@eigh.gradient
def _(node, g):
    values, vectors = node.outputs

    def by_x():
        parts = []
        if g[0] is not None:
            parts.append(diagonal_matrix(g[0]))
        if g[1] is not None:
            parts.append(_gaps(values) * matmul(_flip(vectors), g[1]))
        if not parts:
            return None
        inside = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        whole = matmul(matmul(vectors, inside), _flip(vectors))
        return (whole + _flip(whole)) * 0.5
    return (by_x,)


def _shorter(x: TensorType, word: str) -> tuple[Dim, Dim, Dim]:
    if x.rank < 2:
        raise ShapeError(f"{word}: x is {shape_text(x.shape)}.", port="x", hint="It takes a matrix, or a batch of them.")
    rows, columns = x.shape[-2:]
    return rows, columns, min(rows, columns) if isinstance(rows, int) and isinstance(columns, int) else rows if rows == columns else None


def _qr_type(x: TensorType, *, word: str, **_: Any) -> tuple[TensorType, TensorType]:
    rows, columns, least = _shorter(x, word)
    lead = x.shape[:-2]
    return x.with_shape((*lead, rows, least)), x.with_shape((*lead, least, columns))


@op(infer=_qr_type, type="QR", category="linalg", outputs=("q", "r"), latex="A = Q R", aliases=("orthogonal", "gram schmidt", "least squares"), zh="正交三角分解")
def qr(xp, x: Float):
    """Split a matrix into orthogonal columns of length 1 and an upper triangle. The derivative is for matrices at least as high as wide."""
    q, r = xp.linalg.qr(_wide(x))
    return q.astype(x.dtype), r.astype(x.dtype)


@qr.gradient
def _(node, g):
    x = node.inputs[0]
    q, r = node.outputs

    def by_x():  # Walter & Lehmann 2012
        if g[0] is None and g[1] is None:
            return None
        if isinstance(x.shape[-2], int) and isinstance(x.shape[-1], int) and x.shape[-2] < x.shape[-1]:
            raise GradientError(f"qr of {x.name} {shape_text(x.shape)} has no derivative: it is wider than high.", node=node.name, port="x", hint="Factor its transpose.")
        if g[1] is None:
            inside = negative(matmul(_flip(g[0]), q))
        else:
            inside = matmul(r, _flip(g[1])) if g[0] is None else matmul(r, _flip(g[1])) - matmul(_flip(g[0]), q)
        both = matmul(q, tril(inside) + _flip(tril(inside, k=-1)))
        return _flip(solve(r, _flip(both if g[0] is None else g[0] + both)))
    return (by_x,)


def _svd_type(x: TensorType, *, word: str, **_: Any) -> tuple[TensorType, TensorType, TensorType]:
    rows, columns, least = _shorter(x, word)
    lead = x.shape[:-2]
    return x.with_shape((*lead, rows, least)), x.with_shape((*lead, least)), x.with_shape((*lead, least, columns))


@op(infer=_svd_type, type="SVD", category="linalg", outputs=("u", "s", "vh"), latex=r"A = U \Sigma V^T", bounds={"u": (-1, 1), "s": (0, inf), "vh": (-1, 1)},
    aliases=("singular values", "low rank", "pca"), zh="奇异值分解")
def svd(xp, x: Float):
    """Split a matrix into a turn, a stretch along the axes and another turn: x = u · diag(s) · vh, s from the largest down.

    u (…, m, k), s (…, k), vh (…, k, n) with k the smaller of m and n; the signs of the vectors are LAPACK's choice. The derivative needs
    singular values that differ and are not 0. Source: Townsend 2016.
    """
    u, s, vh = xp.linalg.svd(_wide(x), full_matrices=False)
    return u.astype(x.dtype), s.astype(x.dtype), vh.astype(x.dtype)


@svd.gradient
def _(node, g):
    u, s, vh = node.outputs

    def by_x():
        wide = expand_dims(s, -2)       # divides columns
        high = expand_dims(s, -1)       # divides rows
        parts = []
        if g[1] is not None:
            parts.append(matmul(u * expand_dims(g[1], -2), vh))
        if g[0] is not None or g[2] is not None:
            gaps = _gaps(square(s))
        if g[0] is not None:
            turned = matmul(_flip(u), g[0])
            parts.append(matmul(matmul(u, gaps * (turned - _flip(turned))) * wide + (g[0] - matmul(u, turned)) / wide, vh))
        if g[2] is not None:
            turned = matmul(vh, _flip(g[2]))
            parts.append(matmul(u, high * matmul(gaps * (turned - _flip(turned)), vh) + (g[2] - matmul(_flip(turned), vh)) / high))
        if not parts:
            return None
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total
    return (by_x,)


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
        raise AttributeValueError(f"einsum: {subscripts!r} names {plural(len(parts), 'operand')}, {len(ranks)} are given.", port="subscripts")
    spare = "ZYXWVUTSRQPONM"
    wide = 0
    for part, rank, port in zip(parts, ranks, ports):
        letters = part.replace("...", "", 1)
        if not all(c.isascii() and c.isalpha() for c in letters) or len(set(letters)) < len(letters):
            raise AttributeValueError(f"einsum: {part!r} is not one letter an axis, each once.", port="subscripts", hint="Use fl.linalg.trace for a diagonal.")
        if len(letters) > rank or "..." not in part and len(letters) != rank:
            raise ShapeError(f"einsum: {part!r} names {plural(len(letters), 'axis')}, {port} has {rank}.", port=port)
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


@op(infer=_einsum_rule, type="Einsum", function="einsum", category="linalg", latex=r"\sum_k a_{ik} b_{kj}", aliases=("sum of products", "contract", "tensor product"), onnx="Einsum", onnx_attrs={"subscripts": "equation"}, zh="爱因斯坦求和")
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



def inner(a: Tensor, b: Tensor, name: str | None = None) -> Tensor:
    """Multiply along the last axes and add up: out[…, …] = Σₖ a[…, k] · b[…, k]."""
    if a.rank == 0 or b.rank == 0:
        return multiply(a, b, name=name)
    return tensordot(a, b, axes=([-1], [-1]), name=name)


def tensordot(a: Tensor, b: Tensor, axes: Any = 2, name: str | None = None) -> Tensor:
    """Multiply tensors and add up along pairs of axes: `axes` is how many of a's last meet b's first, or ([axes of a], [axes of b])."""
    if isinstance(axes, int) and not isinstance(axes, bool):
        pairs = list(range(a.rank - axes, a.rank)), list(range(axes))
    else:
        try:
            pairs = tuple([v] if isinstance(v, int) else list(v) for v in axes)  # type: ignore[assignment]
        except TypeError:
            raise AttributeValueError(f"tensordot: axes is {axes!r}.", port="axes", hint="Use a number of axes, or a pair of lists.") from None
    if len(pairs) != 2 or len(pairs[0]) != len(pairs[1]) or isinstance(axes, int) and not 0 <= axes <= min(a.rank, b.rank):
        raise AttributeValueError(f"tensordot: axes {axes!r} do not pair up.", port="axes", hint="Name as many axes of a as of b.")
    left, right = ([axis_in(v, t.rank, attr="axes") for v in side] for side, t in zip(pairs, (a, b)))
    one = [chr(97 + k) for k in range(a.rank)]
    other = [chr(97 + a.rank + k) for k in range(b.rank)]
    for p, q in zip(left, right):
        other[q] = one[p]
    result = [c for k, c in enumerate(one) if k not in left] + [c for k, c in enumerate(other) if k not in right]
    return einsum_op([a, b], subscripts=f"{''.join(one)},{''.join(other)}->{''.join(result)}", name=name)


def cross(a: Tensor, b: Tensor, name: str | None = None) -> Tensor:
    """Find the vector that stands at right angles on two vectors of three numbers, as long as the area between them; vectors lie along the last axis."""
    for t, port in ((a, "a"), (b, "b")):
        if not isinstance(t, Tensor) or not t.rank or t.shape[-1] not in (3, None) and not isinstance(t.shape[-1], str):
            raise ShapeError(f"cross: {port} is {shape_text(t.shape) if isinstance(t, Tensor) else type(t).__name__}.", port=port, axis=t.rank - 1 if isinstance(t, Tensor) and t.rank else None,
                             hint="It takes vectors of three numbers.")
    return subtract(roll(a, -1, axis=-1) * roll(b, -2, axis=-1), roll(a, -2, axis=-1) * roll(b, -1, axis=-1), name=name)



def matrix_power(x: Tensor, n: int, name: str | None = None) -> Tensor:
    """Multiply a square matrix by itself, n times in all; of a negative n, its inverse."""
    from .layout import eye
    from .math import identity
    if isinstance(n, bool) or not isinstance(n, int) or abs(n) > 10_000:
        raise AttributeValueError(f"matrix_power: n is {n!r}.", port="n", hint="Use a whole number.")
    try:
        _square(x.type, "matrix_power")
    except ShapeError as error:
        raise error.at(x.node.name)
    if n == 0:
        side = next((d for d in x.shape[-2:] if isinstance(d, int)), None)
        if side is None:
            raise ShapeError(f"matrix_power: the size of {x.name} {shape_text(x.shape)} is not known.", node=x.node.name, port="x", axis=x.rank - 1, hint="It takes a matrix of a known size for n = 0.")
        return broadcast_as(eye(side, dtype=x.dtype.name), x)
    base, n, out = inv(x) if n < 0 else x, abs(n), None
    while n:     # by squares: log₂ n products
        if n & 1:
            out = base if out is None else matmul(out, base)
        n >>= 1
        base = matmul(base, base) if n else base
    return identity(out, name=name)


def kron(a: Tensor, b: Tensor, name: str | None = None) -> Tensor:
    """Put a copy of b, scaled by it, in the place of every value of a matrix a."""
    for t, port in ((a, "a"), (b, "b")):
        if t.rank != 2 or not all(isinstance(d, int) for d in t.shape):
            raise ShapeError(f"kron: {port} is {shape_text(t.shape)}.", node=t.node.name, port=port, hint="It takes two matrices of known sizes.")
    whole = einsum_op([a, b], subscripts="ij,kl->ikjl")
    return reshape(whole, (a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]), name=name)


def lstsq(a: Tensor, b: Tensor, name: str | None = None) -> Tensor:
    """Find the x for which a · x is nearest to b: a is at least as high as wide, and its columns are independent."""
    if a.rank < 2 or b.rank not in (1, a.rank):
        raise ShapeError(f"lstsq: a is {shape_text(a.shape)}, b {shape_text(b.shape)}.", node=b.node.name, port="b", hint="It takes a matrix, and a vector or a matrix of columns.")
    q, r = qr(a)
    return solve(r, matmul(_flip(q), b), name=name)


def eigvalsh(x: Tensor) -> Tensor:
    """Find by how much a symmetric matrix stretches the directions that it only stretches, in rising order."""
    return eigh(x)[0]


def svdvals(x: Tensor) -> Tensor:
    """Find the singular values of a matrix, from the largest down."""
    return svd(x)[1]


__all__ = ["cholesky", "cross", "det", "diag", "diagonal", "diagonal_matrix", "dot", "eigh", "eigvalsh", "einsum", "inner", "inv", "kron", "lstsq", "matmul", "matrix_power", "norm", "outer",
           "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "trace"]
