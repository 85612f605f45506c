"""Linear algebra."""
from __future__ import annotations

from ..core.op import op
from ..core.shape import matmul_shape
from .array import expand_dims, squeeze, transpose
from .sizes import sum_to


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
