"""What a pixel sees and what sees it: the receptive field through every layer of a network of images, and the cone that goes forward.

Along each axis a layer's result looks at its input by a rule that its attributes give: place o of a convolution looks at o·stride − before + k·dilation
for each place k of the kernel. That rule as a table of truth values (places that come out × places that go in) is enough: tables of layers one after
the other multiply, a table read the other way is the cone forward. Channels, rows and columns never mix, so three tables say it all.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import FlowError
from ..core.graph import Graph, Node, Tensor
from ..ops import adaptive

WINDOWED = {
    "Conv2D": "conv", "ConvTranspose2D": "transpose", "MaxPool2D": "max", "AvgPool2D": "average",
    "AdaptiveMaxPool2D": "max", "AdaptiveAvgPool2D": "average",
}
# each place of what comes out is made of the same place of what goes in, although these are no plain arithmetic
_PLACEWISE = {"Cast", "Where", "Dropout"}
_MIXING = {"Softmax", "LogSoftmax", "LayerNorm", "RmsNorm"}         # each place is made of all places along some axes

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Windows:
    """How a layer looks along its rows and columns, each a pair (rows, columns): window sizes, strides, dilations, zeros before and after."""

    kind: str                               # conv | transpose | max | average
    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    groups: int = 1
    adaptive: bool = False                  # windows are spread evenly: stride and size are those of most of them

    def out(self, sizes: tuple[int, int], output_padding: tuple[int, int] = (0, 0)) -> tuple[int, int]:
        """How many windows there are: ⌊(size + before + after − dilation·(kernel − 1) − 1) / stride⌋ + 1, or for a transposed one what it grows to."""
        found = []
        for n, k, s, d, (before, after), extra in zip(sizes, self.size, self.stride, self.dilation, self.padding, output_padding):
            reach = d * (k - 1) + 1
            found.append((n - 1) * s - before - after + reach + extra if self.kind == "transpose" else (n + before + after - reach) // s + 1)
        return found[0], found[1]


def windows_of(node: Node, x: Shape, w: Shape | None = None) -> Windows:
    """The windows of a convolution or pooling over a map of shape x (batch, channels, rows, columns)."""
    kind, attrs = WINDOWED[node.op.name], node.attrs
    if "Adaptive" in node.op.name:
        out = _pair(attrs["size"])
        edges = [adaptive.windows(n, count) for n, count in zip(x[2:], out)]
        sizes = [max(b - a for a, b in each) for each in edges]
        strides = [max(1, n // count) for n, count in zip(x[2:], out)]
        return Windows(kind, (sizes[0], sizes[1]), (strides[0], strides[1]), (1, 1), ((0, 0), (0, 0)), adaptive=True)
    size = _pair(attrs["size"]) if w is None else (w[2], w[3])
    stride = size if attrs.get("stride") is None else _pair(attrs["stride"])
    dilation = _pair(attrs.get("dilation", (1,)))
    around = tuple(_around(n, d * (k - 1) + 1, s, attrs.get("padding", 0), axis) for axis, (n, k, s, d) in enumerate(zip(x[2:], size, stride, dilation)))
    return Windows(kind, size, stride, dilation, (around[0], around[1]), attrs.get("groups", 1))


def _pair(values: Any) -> tuple[int, int]:
    values = tuple(values)
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def _around(size: int, window: int, stride: int, padding: Any, axis: int) -> tuple[int, int]:
    if padding == "valid":
        return 0, 0
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        return total // 2, total - total // 2
    return (padding, padding) if isinstance(padding, int) else tuple(padding[axis])


def taps(windows: Windows, axis: int, size: int, out: int) -> list[list[tuple[int, int]]]:
    """For each place that comes out along an axis (0 rows, 1 columns): (place of the input, place in the kernel) of what it is made of.

    Places of the input below 0 or from `size` on lie in the padding.
    """
    if windows.adaptive:
        return [[(i, i - a) for i in range(a, b)] for a, b in adaptive.windows(size, out)]
    k, s, d = windows.size[axis], windows.stride[axis], windows.dilation[axis]
    before = windows.padding[axis][0]
    if windows.kind != "transpose":
        return [[(o * s - before + j * d, j) for j in range(k)] for o in range(out)]
    return [[((o + before - j * d) // s, j) for j in reversed(range(k)) if (o + before - j * d) % s == 0 and 0 <= (o + before - j * d) // s < size] for o in range(out)]


# ---------------------------------------------------------------- one layer as three tables


@dataclass(frozen=True, slots=True)
class Looks:
    """Which channels, rows and columns of a tensor each channel, row and column of another one has to do with: three boolean tables."""

    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    def then(self, other: Looks) -> Looks:
        """Through one more layer."""
        return Looks(*(_product(a, b) for a, b in zip(self.tables, other.tables)))

    def back(self) -> Looks:
        """Read the other way."""
        return Looks(*(t.T for t in self.tables))

    def with_(self, other: Looks) -> Looks:
        """Two ways to the same tensor."""
        return Looks(*(a | b for a, b in zip(self.tables, other.tables)))

    @property
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.channels, self.rows, self.columns

    def box(self, y: int, x: int) -> tuple[int, int, int, int] | None:
        """(y0, x0, y1, x1) of what the pixel (y, x) has to do with, as slices: rows y0 to y1 − 1. None where it is nothing at all."""
        rows, columns = np.flatnonzero(self.rows[y]), np.flatnonzero(self.columns[x])
        if not rows.size or not columns.size:
            return None
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    def support(self, channel: int, y: int, x: int) -> np.ndarray:
        """The same place by place: (channels, rows, columns), True where the value at (channel, y, x) has to do with it."""
        return self.channels[channel][:, None, None] & self.rows[y][:, None] & self.columns[x]


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype("float32") @ b.astype("float32")) > 0


def _identity(shape: Shape) -> Looks:
    return Looks(*(np.eye(n, dtype=bool) for n in shape[1:]))


def looks(node: Node, port: int, shapes: Callable[[Tensor], Shape]) -> Looks | None:
    """How a node's first output looks at one of its inputs; None where it is not known place by place."""
    x, y = shapes(node.inputs[port]), shapes(node.outputs[0])
    if len(x) != 4 or len(y) != 4:
        return None
    name = node.op.name
    if name in WINDOWED:
        if port != 0:
            return None
        w = shapes(node.inputs[1]) if len(node.inputs) > 1 else None
        windows = windows_of(node, x, w)
        tables = [_table(taps(windows, axis, x[2 + axis], y[2 + axis]), x[2 + axis]) for axis in range(2)]
        return Looks(_channels(windows, x[1], y[1]), *tables)
    if name in ("BatchNorm", "GroupNorm") and port == 0:
        # their mean and variance are made of every place
        groups = node.attrs.get("groups", x[1])
        return Looks(np.kron(np.eye(groups, dtype=bool), np.ones((x[1] // groups,) * 2, bool)), np.ones((y[2], x[2]), bool), np.ones((y[3], x[3]), bool))
    if name in _MIXING:
        axes = node.attrs["axis"]
        mixed = {a % 4 for a in (axes if isinstance(axes, tuple) else (axes,))}
        return None if port or 0 in mixed else Looks(*(np.ones((n, n), bool) if a in mixed else np.eye(n, dtype=bool) for a, n in enumerate(x[1:], 1)))
    moved = _moved(node, port, shapes)
    if moved is not None:
        return Looks(*(_table([[(i, 0)] for i in places], n) for places, n in zip(moved, x[1:])))
    if name == "Glu" or not (node.op.category in ("math", "activation") or name in _PLACEWISE):
        return None
    if any(a not in (b, 1) for a, b in zip(x[1:], y[1:])):
        return None
    return Looks(*(np.eye(b, dtype=bool) if a == b else np.ones((b, 1), bool) for a, b in zip(x[1:], y[1:])))


def _moved(node: Node, port: int, shapes: Callable[[Tensor], Shape]) -> list[list[int]] | None:
    """Of an operation that moves places and computes nothing: along channels, rows and columns, the place of the input that each place is, below 0 for none. None for any other."""
    name, attrs, x = node.op.name, node.attrs, shapes(node.inputs[port])
    along = [np.arange(n) for n in x]
    if name == "Pad":
        outside = {"constant_values": -1} if attrs["mode"] == "constant" else {}
        along = [np.pad(places, around, mode=attrs["mode"], **outside) for places, around in zip(along, attrs["pad_width"])]
    elif name == "Concat":
        axis, sizes = attrs["axis"] % 4, [shapes(t)[attrs["axis"]] for t in node.inputs]
        before = sum(sizes[:port])
        along[axis] = np.pad(along[axis], (before, sum(sizes) - before - sizes[port]), constant_values=-1)
    elif name == "Slice" and all(part[0] == "slice" for part in attrs["index"]):
        along = [places[slice(*part[1:])] for places, part in zip(along, (*attrs["index"], *[("slice", None, None, None)] * 4))]
    elif name == "Flip" and isinstance(attrs["axis"], int):
        along[attrs["axis"]] = along[attrs["axis"]][::-1]
    elif name == "Repeat" and isinstance(attrs["repeats"], int) and isinstance(attrs["axis"], int):
        along[attrs["axis"]] = np.repeat(along[attrs["axis"]], attrs["repeats"])
    else:
        return None
    # what is done to the batch is not done to a picture
    return [places.tolist() for places in along[1:]] if np.array_equal(along[0], np.arange(x[0])) else None


def _table(places: list[list[tuple[int, int]]], size: int) -> np.ndarray:
    table = np.zeros((len(places), size), bool)
    for o, row in enumerate(places):
        table[o, [i for i, _ in row if 0 <= i < size]] = True
    return table


def _channels(windows: Windows, inside: int, outside: int) -> np.ndarray:
    if windows.kind in ("max", "average"):
        return np.eye(inside, dtype=bool)
    groups = windows.groups
    return np.kron(np.eye(groups, dtype=bool), np.ones((outside // groups, inside // groups), bool))


# ---------------------------------------------------------------- through a network


@dataclass(frozen=True, slots=True)
class Fields:
    """What every place of one layer sees (`seen`, by tensor) and where it is seen (`cone`), along all layers of images around it."""

    node: Node
    seen: Mapping[Tensor, Looks]
    cone: Mapping[Tensor, Looks]

    def of(self, tensor: Tensor) -> Looks:
        found = self.seen.get(tensor) or self.cone.get(tensor)
        if found is None:
            raise FlowError(f"{tensor.name} and {self.node.name} have no pixel in common.", node=tensor.node.name,
                            hint="Its layers and this one follow each other through convolutions, pooling and what goes place by place.")
        return found

    @property
    def sources(self) -> tuple[Tensor, ...]:
        """Where the way back ends: the images, or what is not made place by place."""
        return tuple(t for t in self.seen if not any(i in self.seen for i in t.node.inputs))


def fields(node: Node, shapes: Callable[[Tensor], Shape], known: Callable[[Tensor], bool] = lambda t: True) -> Fields:
    """Follow a layer's pixels back to the images and forward to the last map. `shapes` says how large each tensor is, `known` whether it was computed."""
    graph: Graph = node.graph
    start = _identity(shapes(node.outputs[0]))
    around = [n for n in graph.nodes if n.phase == "forward" and n.outputs and len(n.outputs[0].shape) == 4]
    order = {n: k for k, n in enumerate(around)}
    seen: dict[Tensor, Looks] = {node.outputs[0]: start}
    for n in reversed(around[:order[node] + 1]):
        mine = seen.get(n.outputs[0])
        if mine is None:
            continue
        for port, t in enumerate(n.inputs):
            if len(t.shape) != 4 or not known(t):
                continue
            step = looks(n, port, shapes)
            if step is not None:
                way = mine.then(step)
                seen[t] = seen[t].with_(way) if t in seen else way
    cone: dict[Tensor, Looks] = {node.outputs[0]: start}
    for n in around[order[node] + 1:]:
        for port, t in enumerate(n.inputs):
            if t not in cone or not known(n.outputs[0]):
                continue
            step = looks(n, port, shapes)
            if step is not None:
                way = cone[t].then(step.back())
                out = n.outputs[0]
                cone[out] = cone[out].with_(way) if out in cone else way
    return Fields(node, seen, cone)


@dataclass(frozen=True, slots=True)
class Reach:
    """The closed form along one axis: place o sees `size` places of the image, from o·jump + start on, if none of them lies outside."""

    size: int
    jump: int
    start: int


def reach(node: Node, axis: int, shapes: Callable[[Tensor], Shape]) -> Reach | None:
    """Receptive field by the usual sum, r ← r + (window − 1)·jump, over the layers up to `node`; None where a layer has no single stride, or ways part."""
    size, jump, start = 1, 1, 0
    while node.op.name in WINDOWED or node.op.name == "Pad" or _alike(node, axis, shapes):
        if node.op.name in WINDOWED:
            w = shapes(node.inputs[1]) if len(node.inputs) > 1 else None
            windows = windows_of(node, shapes(node.inputs[0]), w)
            if windows.adaptive or windows.kind == "transpose":
                return None
            s, d, before = windows.stride[axis], windows.dilation[axis], windows.padding[axis][0]
            # one layer further back, each of the `size` places there is a window
            size, jump, start = (size - 1) * s + d * (windows.size[axis] - 1) + 1, jump * s, start * s - before
        elif node.op.name == "Pad":
            if node.attrs["mode"] != "constant" or looks(node, 0, shapes) is None:
                return None
            start -= node.attrs["pad_width"][2 + axis][0]
        elif sum(len(t.shape) == 4 for t in node.inputs) != 1:
            return None
        node = next(t for t in node.inputs if len(t.shape) == 4).node
    return Reach(size, jump, start) if not any(len(t.shape) == 4 and looks(node, k, shapes) is not None for k, t in enumerate(node.inputs)) else None


def _alike(node: Node, axis: int, shapes: Callable[[Tensor], Shape]) -> bool:
    """Is each place along this axis made of the same place of what goes in?"""
    found = [way.tables[1 + axis] for k, t in enumerate(node.inputs) if len(t.shape) == 4 and (way := looks(node, k, shapes)) is not None]
    return bool(found) and all(t.shape[0] == t.shape[1] and np.array_equal(t, np.eye(len(t), dtype=bool)) for t in found)
