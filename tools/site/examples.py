"""One small use of every operation, for the reference: `row(type, inputs by port, attributes)`. What is an input becomes a placeholder of these numbers.

`weights` weight the output before it is differentiated, where the derivative of its plain sum would be zero. `code` is a whole example, for what takes no inputs or is
not called like the others; what it feeds it calls `feeds`.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """The numbers of one example."""

    type: str
    values: dict[str, Any] = field(default_factory=dict)
    weights: Any = None
    code: str = ""


EXAMPLES: dict[str, Row] = {}


def row(type: str, weights: Any = None, code: str = "", **values: Any) -> None:
    EXAMPLES[type] = Row(type, values, weights, code)


GRID = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
SIGNED = [-2.0, -0.5, 0.0, 0.5, 2.0]
STEEP = [-4.0, -1.0, 1.0, 4.0]
SQUARE = [[4.0, 1.0], [1.0, 3.0]]
PICTURE = [[[[1.0, 2.0, 0.0, 1.0], [0.0, 3.0, 1.0, 0.0], [2.0, 1.0, 0.0, 4.0], [1.0, 0.0, 2.0, 1.0]]]]        # one example, one channel, 4 × 4
LINE = [[[1.0, 3.0, 2.0, 5.0, 4.0, 0.0]]]                                                                       # one example, one channel, 6 places
VOLUME = [[[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]]]                                               # one example, one channel, 2 × 2 × 2

# ---------------------------------------------------------------- arithmetic

row("Add", a=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], b=[10.0, 20.0, 30.0])
row("Subtract", a=[5.0, 3.0], b=[2.0, 4.0])
row("Multiply", a=[[1.0], [2.0]], b=[3.0, 4.0, 5.0])
row("Divide", a=[6.0, 1.0], b=[2.0, 4.0])
row("Negative", x=[1.0, -2.0])
row("Power", a=[2.0, 3.0], b=[3.0, 2.0])
row("Square", x=[1.0, -2.0, 3.0])
row("Sqrt", x=[1.0, 4.0, 9.0])
row("Cbrt", x=[8.0, -27.0])
row("Exp", x=[0.0, 1.0, 2.0])
row("Exp2", x=[0.0, 1.0, 3.0])
row("Expm1", x=[0.0, 1e-6, 1.0])
row("Log", x=[1.0, 2.0, 10.0])
row("Log1p", x=[0.0, 1e-6, 1.0])
row("Log2", x=[1.0, 2.0, 8.0])
row("Log10", x=[1.0, 10.0, 1000.0])
row("Logaddexp", a=[0.0, 1.0], b=[0.0, 3.0])
for _name in ("Sin", "Cos", "Tan", "Sinh", "Cosh", "Arctan", "Arcsinh"):
    row(_name, x=[0.0, 0.5, 1.0])
for _name in ("Arcsin", "Arccos", "Arctanh"):
    row(_name, x=[-0.5, 0.0, 0.8])
row("Arccosh", x=[1.5, 2.0, 4.0])
row("Arctan2", a=[1.0, 1.0, -1.0], b=[1.0, -1.0, -1.0])
row("Hypot", a=[3.0, 5.0], b=[4.0, 12.0])
row("Erf", x=[-1.0, 0.0, 0.5, 2.0])
row("Reciprocal", x=[1.0, 2.0, -4.0])
row("Rsqrt", x=[1.0, 4.0, 16.0])
row("Abs", x=[-1.5, 0.5, 2.0])
row("Sign", x=[-1.5, 0.0, 2.0])
row("Maximum", a=[1.0, 5.0, 2.0], b=[3.0, 4.0, 0.0])
row("Minimum", a=[1.0, 5.0, 2.0], b=[3.0, 4.0, 0.0])
row("Clip", x=[-2.0, 0.3, 5.0], min=-1.0, max=1.0)
for _name in ("Floor", "Ceil", "Round", "Trunc"):
    row(_name, x=[-1.5, 0.5, 1.2, 2.5])
row("Mod", a=[7.0, -7.0, 5.5], b=[3.0, 3.0, 2.0])
row("FloorDivide", a=[7.0, -7.0, 5.5], b=[3.0, 3.0, 2.0])
row("Identity", x=[1.0, 2.0])
row("StopGradient", x=[1.0, 2.0])
for _name in ("Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual"):
    row(_name, a=[1.0, 2.0, 3.0], b=[2.0, 2.0, 2.0])
for _name in ("LogicalAnd", "LogicalOr", "LogicalXor"):
    row(_name, a=[True, True, False, False], b=[True, False, True, False])
row("LogicalNot", x=[True, False])
for _name in ("Isnan", "Isinf", "Isfinite"):
    row(_name, code=f'''
with fl.Graph("{_name}") as g:
    x = fl.placeholder((4,), name="x")
    y = fl.{_name.lower()}(x, name="y")

feeds = {{x: [1.0, float("nan"), float("inf"), -float("inf")]}}
print(fl.Session(g).run(y, feeds))''')
for _name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
    row(_name, a=[0b1100, 0b1010], b=[0b1010, 0b0110])
row("Invert", x=[0, 5, -1])
row("LeftShift", a=[1, 3], b=[4, 1])
row("RightShift", a=[16, 7], b=[4, 1])

# ---------------------------------------------------------------- shapes, choice, indices

row("Reshape", x=GRID, shape=(3, 2))
row("ReshapeLike", x=GRID, like=[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
row("ReshapeToSizes", x=GRID, dims=[3, -1])
row("Transpose", x=GRID)
row("ExpandDims", x=[1.0, 2.0, 3.0], axis=0)
row("Squeeze", x=[[1.0, 2.0, 3.0]], axis=0)
row("BroadcastTo", x=[[1.0], [2.0]], shape=(2, 3))
row("BroadcastLike", x=[[1.0], [2.0]], like=GRID)
row("BroadcastToSizes", x=[[1.0], [2.0]], dims=[2, 3])
row("ZerosLike", x=GRID)
row("OnesLike", x=GRID)
row("Cast", x=[1.7, -0.2, 0.0], dtype="int64")
row("Where", condition=[True, False, True], x=[1.0, 2.0, 3.0], y=[-1.0, -2.0, -3.0])
row("Concat", xs=[[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]], axis=0)
row("Stack", xs=[[1.0, 2.0], [3.0, 4.0]], axis=1)
row("Split", x=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], n=3)
row("Unstack", x=GRID)
row("Slice", code='''
with fl.Graph("Slice") as g:
    x = fl.placeholder((2, 3), name="x")
    y = x[:, 1:]                                   # the same as fl.slice(x, (slice(None), slice(1, None)))
    dx, = fl.gradients(y, [x])

feeds = {x: [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}
for name, value in fl.Session(g).run({"y": y, "dx": dx}, feeds).items():
    print(name, value, sep="\\n")''')
row("Gather", x=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], indices=[2, 0, 2])
row("TakeAlongAxis", x=GRID, indices=[[2], [0]])
row("OneHot", indices=[0, 2, 1], depth=3)
row("Pad", x=[[1.0, 2.0], [3.0, 4.0]], pad_width=((0, 1), (1, 1)))
row("Tile", x=[1.0, 2.0], reps=(2, 2))
row("Repeat", x=[1.0, 2.0, 3.0], repeats=2)
row("Flip", x=[1.0, 2.0, 3.0])
row("Roll", x=[1.0, 2.0, 3.0, 4.0], shift=1)
row("Tril", x=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
row("Triu", x=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
row("Sort", x=[3.0, 1.0, 2.0], weights=[1.0, 10.0, 100.0])
row("Argsort", x=[3.0, 1.0, 2.0])
row("TopK", x=[3.0, 1.0, 4.0, 1.5], k=2)
row("Scatter", x=[1.0, 2.0, 3.0, 4.0], indices=[3, 0], updates=[10.0, 20.0])
row("ScatterAdd", x=[1.0, 2.0, 3.0], indices=[0, 2, 0], updates=[10.0, 20.0, 30.0])
row("ScatterReduce", x=[[1.0, 2.0, 3.0]], indices=[[2, 2, 0]], updates=[[10.0, 20.0, 30.0]], axis=1, reduction="add")
row("Unique", x=[3, 1, 3, 2, 1])
row("UniqueEntries", x=[[1, 2], [3, 4], [1, 2]], axis=0)
row("BooleanMask", x=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], mask=[True, False, True])
row("Argwhere", x=[[0, 1], [2, 0]])
row("Searchsorted", sorted_values=[1.0, 3.0, 5.0], x=[0.0, 3.0, 4.0, 9.0])
row("RoundTo", x=[1.0, 3.14159, 0.1], format="bfloat16")
row("Bitcast", x=[1.0, -2.0], dtype="int32")
row("NonMaxSuppression", boxes=[[[0.0, 0.0, 1.0, 1.0], [0.0, 0.1, 1.0, 1.1], [2.0, 2.0, 3.0, 3.0]]], scores=[[[0.9, 0.8, 0.7]]], most=2, overlap=0.5)

# ---------------------------------------------------------------- reductions

row("Sum", x=GRID, axis=1)
row("Mean", x=GRID, axis=0)
row("Size", x=GRID)
row("Max", x=[[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]], axis=1)
row("Min", x=[[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]], axis=1)
row("Argmax", x=[[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
row("Argmin", x=[[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
row("Prod", x=[2.0, 3.0, 4.0])
row("Var", x=[1.0, 2.0, 6.0])
row("Std", x=[1.0, 2.0, 6.0])
row("Logsumexp", x=[1.0, 2.0, 3.0])
row("Norm", x=[3.0, 4.0])
row("CountNonzero", x=[0.0, 1.0, 2.0, 0.0])
row("Any", x=[[False, True], [False, False]], axis=1)
row("All", x=[[True, True], [True, False]], axis=1)
row("Cumsum", x=[1.0, 2.0, 3.0])
row("Cumprod", x=[1.0, 2.0, 3.0])
row("Bincount", x=[0, 2, 2, 1, 2], length=4)
row("Quantile", x=[1.0, 2.0, 4.0, 8.0], q=0.5)

# ---------------------------------------------------------------- activations

for _name in ("Tanh", "Sigmoid", "Relu", "Gelu", "Elu", "Selu", "Silu", "Softplus", "LogSigmoid", "Softsign", "LeakyRelu", "Mish", "Celu", "Tanhshrink", "Hardtanh"):
    row(_name, x=SIGNED)
for _name in ("Hardsigmoid", "Hardswish"):
    row(_name, x=STEEP)
row("Relu6", x=[-1.0, 3.0, 8.0])
row("Hardshrink", x=SIGNED, lambd=1.0)
row("Softshrink", x=SIGNED, lambd=1.0)
row("Threshold", x=SIGNED, threshold=0.2, value=-1.0)
row("Glu", x=[[1.0, 2.0, 0.0, 3.0]])
row("Prelu", x=SIGNED, slope=0.25)
row("Softmax", x=[1.0, 2.0, 3.0], weights=[1.0, 0.0, 0.0])
row("LogSoftmax", x=[1.0, 2.0, 3.0], weights=[1.0, 0.0, 0.0])
row("SparseSoftmaxCrossEntropy", logits=[[2.0, 1.0, 0.1], [0.5, 2.5, 0.3]], labels=[0, 2])
row("SoftmaxCrossEntropy", logits=[[2.0, 1.0, 0.1]], labels=[[0.7, 0.2, 0.1]])
row("LayerNorm", x=[[1.0, 2.0, 6.0]], gamma=[1.0, 1.0, 1.0], beta=[0.0, 0.0, 0.0], weights=[[1.0, 0.0, 0.0]])
row("RmsNorm", x=[[1.0, 2.0, 6.0]], gamma=[1.0, 1.0, 1.0], weights=[[1.0, 0.0, 0.0]])
row("GroupNorm", x=[[[1.0, 2.0], [3.0, 4.0], [5.0, 7.0], [9.0, 11.0]]], gamma=[1.0, 1.0, 1.0, 1.0], beta=[0.0, 0.0, 0.0, 0.0], groups=2)
row("BatchNorm", x=[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]], gamma=[1.0, 1.0], beta=[0.0, 0.0])

# ---------------------------------------------------------------- images, sequences, volumes

row("Conv1D", x=LINE, w=[[[1.0, -1.0]]])
row("Conv2D", x=PICTURE, w=[[[[1.0, 0.0], [0.0, -1.0]]]])
row("Conv3D", x=VOLUME, w=[[[[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, -1.0]]]]])
row("ConvTranspose1D", x=[[[1.0, 2.0, 3.0]]], w=[[[1.0, 0.5]]], stride=2)
row("ConvTranspose2D", x=[[[[1.0, 2.0], [3.0, 4.0]]]], w=[[[[1.0, 0.5], [0.5, 0.25]]]])
row("ConvTranspose3D", x=[[[[[2.0]]]]], w=VOLUME)
for _name in ("MaxPool", "AvgPool"):
    row(f"{_name}1D", x=LINE, size=2)
    row(f"{_name}2D", x=PICTURE, size=2)
    row(f"{_name}3D", x=VOLUME, size=2)
for _name in ("AdaptiveAvgPool", "AdaptiveMaxPool"):
    row(f"{_name}1D", x=LINE, size=4)
    row(f"{_name}2D", x=PICTURE, size=3)
    row(f"{_name}3D", x=VOLUME, size=1)

# ---------------------------------------------------------------- losses

row("Mse", prediction=[[1.0, 2.0], [3.0, 5.0]], target=[[1.0, 1.0], [3.0, 3.0]])
row("Mae", prediction=[[1.0, 2.0], [3.0, 5.0]], target=[[1.5, 1.0], [3.5, 3.0]])
row("Huber", prediction=[[0.5, 3.0]], target=[[0.0, 0.0]])
row("BinaryCrossEntropyWithLogits", logits=[[2.0, -1.0]], labels=[[1.0, 0.0]])
row("Hinge", prediction=[[0.5, -2.0]], target=[[1.0, -1.0]])
row("KlDiv", log_q=[[-0.5, -1.5, -1.5]], p=[[0.7, 0.2, 0.1]])
row("Nll", log_probabilities=[[-0.2, -2.0, -3.0], [-1.5, -0.5, -2.0]], labels=[0, 1])
row("CTCLoss", logits=[[[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]]], labels=[[1, 2]], logit_lengths=[4], label_lengths=[2])

# ---------------------------------------------------------------- linear algebra

row("MatMul", a=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], b=[[7.0], [8.0]])
row("Outer", a=[1.0, 2.0], b=[3.0, 4.0, 5.0])
row("Einsum", xs=[GRID, [[1.0, 0.0, 2.0]]], subscripts="ij,kj->ik")
row("Trace", x=[[1.0, 2.0], [3.0, 4.0]])
row("Diagonal", x=[[1.0, 2.0], [3.0, 4.0]])
row("DiagonalMatrix", v=[1.0, 2.0])
row("Inv", x=SQUARE)
row("Det", x=SQUARE)
row("Slogdet", x=SQUARE)
row("Cholesky", x=SQUARE)
row("Solve", a=SQUARE, b=[1.0, 2.0])
row("Eigh", x=SQUARE)
row("QR", x=[[3.0, 1.0], [4.0, 2.0]])
row("SVD", x=[[3.0, 0.0], [4.0, 5.0]])

# ---------------------------------------------------------------- recurrent layers: two timesteps of two features, one unit

row("LSTM", x=[[[1.0, 0.5], [-1.0, 2.0]]], kernel=[[0.5, -0.5, 1.0, 0.2], [0.1, 0.3, -0.4, 0.6]], recurrent_kernel=[[0.2, 0.1, -0.3, 0.4]], bias=[0.0, 1.0, 0.0, 0.0])
row("GRU", x=[[[1.0, 0.5], [-1.0, 2.0]]], kernel=[[0.5, -0.5, 1.0], [0.1, 0.3, -0.4]], recurrent_kernel=[[0.2, 0.1, -0.3]], bias=[0.0, 0.0, 0.0], recurrent_bias=[0.0, 0.0, 0.0])
row("RNN", x=[[[1.0, 0.5], [-1.0, 2.0]]], kernel=[[0.5], [0.3]], recurrent_kernel=[[0.8]], bias=[0.1])
row("ReverseSequence", x=[[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]], lengths=[3, 2])

# ---------------------------------------------------------------- what begins a graph, what draws, what stays

row("Arange", code='''
with fl.Graph("Arange") as g:
    y = fl.arange(0, 10, 3, name="y")
print(fl.Session(g).run(y))''')
row("Linspace", code='''
with fl.Graph("Linspace") as g:
    y = fl.linspace(0.0, 1.0, 5, name="y")
print(fl.Session(g).run(y))''')
row("Eye", code='''
with fl.Graph("Eye") as g:
    y = fl.eye(2, 3, name="y")
print(fl.Session(g).run(y))''')
row("Placeholder", code='''
with fl.Graph("Placeholder") as g:
    x = fl.placeholder(("batch", 2), "float32", name="x")
    y = fl.sum(x, axis=1, name="y")

feeds = {x: [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]}
print(y)
print(fl.Session(g).run(y, feeds))''')
row("Constant", code='''
with fl.Graph("Constant") as g:
    half = fl.constant([0.5, 0.5], name="half")
    y = fl.square(half, name="y")
print(fl.Session(g).run(y))''')
row("Variable", code='''
with fl.Graph("Variable") as g:
    w = fl.variable([1.0, 2.0], name="w")
    y = fl.sum(w, name="y")
sess = fl.Session(g)
print(sess.run(y))
sess.variables["w"] = [10.0, 20.0]
print(sess.run(y))''')
row("Assign", code='''
with fl.Graph("Assign") as g:
    n = fl.variable(0.0, trainable=False, name="n")
    step = fl.assign(n, n + 1.0, name="step")
sess = fl.Session(g)
print(sess.run([n, step]), sess.run([n, step]))     # a run reads what was there before it''')
row("RandomNormal", code='''
with fl.Graph("RandomNormal") as g:
    y = fl.random_normal((2, 3), name="y")
print(fl.Session(g, seed=7).run(y))
print(fl.Session(g, seed=7).run(y))                 # the same seed draws the same''')
row("RandomUniform", code='''
with fl.Graph("RandomUniform") as g:
    y = fl.random_uniform((4,), low=-1.0, high=1.0, name="y")
print(fl.Session(g, seed=7).run(y))''')
row("Dropout", code='''
with fl.Graph("Dropout") as g:
    x = fl.placeholder((6,), name="x")
    y = fl.dropout(x, rate=0.5, name="y")
    dx, = fl.gradients(y, [x])

feeds = {x: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
for name, value in fl.Session(g, seed=1).run({"y": y, "dx": dx}, feeds).items():
    print(name, value, sep="\\n")''')
