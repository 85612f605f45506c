"""Look inside a convolution: one window, from the pixels it sees to the one it makes, and on through every layer."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import traitlets

from ..apps import windows as W
from ..core.errors import FlowError
from ..core.graph import Node, Tensor
from ..runtime.selection import Selection
from ..trace import receptive as R
from . import protocol as P
from .looking import Reader, View, article_of, named, outcome, page_of, round_limit, within

WHOLE = 1_500_000       # numbers of one layer that the page is given at once; a larger one is sampled
SHOWN = 160             # rows and columns of a sampled map
PAGE = 24               # maps of a large layer that are sent at once
SMALL = 96              # rows and columns of the maps in the chain


# of a node on the way back, the port that is given the derivative by the layer's output
_DERIVATIVE = {"Conv2D": "x", "Conv2DInputGradient": "g", "Conv2DKernelGradient": "g", "MaxPool2DGradient": "g", "AvgPool2DGradient": "g", "AdaptiveAvgPoolGradient": "g", "AdaptiveMaxPoolGradient": "g"}


# ---------------------------------------------------------------- the layers of a run


def layers_of(run: Reader, node: Any = None) -> tuple[tuple[Node, ...], int]:
    """(every convolution and pooling over images that this run computed, in creation order; which of them is meant)."""
    every = [n for n in run.graph.nodes if n.op.name in R.WINDOWED and n.phase == "forward"]
    if not every:
        raise FlowError(f"graph {run.graph.name!r} has no convolution or pooling over images.", hint='fl.nn.conv2d(x, 8, 3, name="conv") makes one.')
    there = tuple(n for n in every if run.value(n.outputs[0]) is not None and run.value(n.inputs[0]) is not None)
    return there, there.index(named(run, every, there, node, "layer over images", "layers over images", "neither a convolution nor a pooling over images")[0])


def result_of(node: Node) -> tuple[Tensor, Tensor | None]:
    """(the tensor that a layer gives, its bias added if that is what follows; the bias as it is added)."""
    out = node.outputs[0]
    if node.op.name not in ("Conv2D", "ConvTranspose2D"):
        return out, None
    uses = [n for n in node.graph.nodes if n.phase == "forward" and any(t is out for t in n.inputs)]
    if len(uses) == 1 and uses[0].op.name == "Add":
        other = next((t for t in uses[0].inputs if t is not out), None)
        if other is not None and tuple(other.shape)[-3:] == (out.shape[1], 1, 1) and all(d == 1 for d in other.shape[:-3]):
            return uses[0].outputs[0], other
    return out, None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's numbers for one sample: x (channels, rows, columns), its kernel and bias, and what came of it."""

    x: np.ndarray
    w: np.ndarray | None
    bias: np.ndarray | None
    y: np.ndarray
    result: Tensor                      # what y is in the graph: with the bias, where that has been added
    windows: R.Windows
    attrs: Mapping[str, Any]


def settings(node: Node, windows: R.Windows, wanted: Mapping[str, int]) -> dict[str, Any]:
    """The node's attributes with some of stride, padding, dilation and size put in."""
    attrs = dict(node.attrs)
    for name, value in wanted.items():
        if name not in attrs:
            raise FlowError(f"{node.name} is {article_of(node.op.name)}, which has no {name}.", node=node.name, hint=f"It has {', '.join(attrs)}.")
        attrs[name] = value if name == "padding" else (value,)
    if "size" in wanted and node.attrs.get("stride") is None and "stride" not in wanted and not windows.adaptive:
        attrs["stride"] = windows.stride        # a larger window, not also a larger step
    return node.op.normalize(attrs)


def scale_of(values: np.ndarray) -> tuple[float, bool]:
    """(limit, has it a sign): the colour scale of a map."""
    if values.size > WHOLE:     # of so many, some say enough
        values = values.reshape(-1)[::values.size // WHOLE + 1]
    finite = values[np.isfinite(values)]
    return round_limit(values), bool(finite.size and finite.min() < 0)


def every(size: int, most: int) -> int:
    """Every how many-th row is shown, for at most so many."""
    return max(1, math.ceil(size / most))


# ---------------------------------------------------------------- the widget


class ConvView(View):
    """See how a window moves over an image: what it sees, what it multiplies, what comes out, and what every pixel sees through all layers.

    `source`: a trace, a session (its last trace), a debugger or an editor; it follows the last two by itself. `node`: a convolution or pooling over images, by its name or scope; without it
    the first one is on screen. Images are (batch, channels, rows, columns), kernels (out, in, rows, columns). `language`: `en`, `zh-CN` or `zh-TW`.

    `y`, `x` and `channel` say which value of the layer's output is looked at; with `sample` they count from 0, `layer` from 1. All can be read and set.
    FlowError says what there is.

    >>> view = ConvView(sess.trace([loss], feeds), "conv1")         # doctest: +SKIP
    >>> view.y, view.x, view.channel = 4, 7, 2                      # doctest: +SKIP
    >>> view.try_settings(stride=2)                                 # doctest: +SKIP
    """

    _esm, _script, _css = page_of("conv")
    _alt, _named = "flowlab convolution", "a convolution view"
    y = traitlets.Int(0).tag(sync=True)
    x = traitlets.Int(0).tag(sync=True)
    channel = traitlets.Int(0).tag(sync=True)

    def __init__(self, source: Any, node: Any = None, *, sample: int = 0, y: int = 0, x: int = 0, channel: int = 0, title: str | None = None,
                 language: str | None = None):
        self._look_into(source, title)
        self._nodes, index = layers_of(self._run, node)
        self._values: dict[Tensor, np.ndarray] = {}         # painted input, edited kernel
        self._settings: dict[str, int] = {}
        self._edits = 0
        self._gradient_of: str | None = None
        self._x_channel, self._y_from = 0, 0
        self._maps: dict[Any, Any] = {}
        self._current: Layer | None = None
        super().__init__()
        self.layer = index + 1
        self._check_layer_has_values(index)
        self.sample = sample
        self.y, self.x, self.channel = y, x, channel
        self._open(language)

    def __repr__(self) -> str:
        f, r, c = self._look().y.shape
        return f"Convolution view of {self._node.name}: row {self.y} of {r}, column {self.x} of {c}, channel {self.channel} of {f}, sample {self.sample} of {self._samples}"

    # ------------------------------------------------------------ where it stands

    @property
    def _kernels(self) -> set[Tensor]:
        return {n.inputs[1] for n in self._nodes if len(n.inputs) > 1}

    @property
    def _samples(self) -> int:
        return self._shape(self._node.inputs[0])[0]

    def _shape(self, tensor: Tensor) -> tuple[int, ...]:
        if all(isinstance(d, int) for d in tensor.shape):
            return tuple(tensor.shape)
        found = self._maps.get(("shape", tensor))
        if found is None:
            value = self._run.value(tensor)
            if value is None:
                raise FlowError(f"{tensor.name} was not computed in this run.", node=tensor.node.name, hint=self._run.way)
            found = self._maps["shape", tensor] = value.shape
        return found

    def _known(self, tensor: Tensor) -> bool:
        found = self._maps.get(("known", tensor))
        if found is None:
            found = self._maps["known", tensor] = self._run.value(tensor) is not None
        return found

    @traitlets.validate("y")
    def _check_y(self, proposal: Any) -> int:
        return within("row", proposal["value"], self._look().y.shape[1])

    @traitlets.validate("x")
    def _check_x(self, proposal: Any) -> int:
        return within("column", proposal["value"], self._look().y.shape[2])

    @traitlets.validate("channel")
    def _check_channel(self, proposal: Any) -> int:
        return within("channel", proposal["value"], self._look().y.shape[0])

    def _check_layer_has_values(self, index: int) -> None:
        node = self._nodes[index]
        shapes = [self._shape(node.inputs[0]), self._shape(node.outputs[0])]
        if any(0 in s for s in shapes):
            raise FlowError(f"{node.name} makes {shapes[1]} of {shapes[0]}: there is nothing to see.", node=node.name)

    @traitlets.observe("layer", "sample")
    def _moved(self, change: Any) -> None:
        self._current = None
        if change["name"] == "layer":
            self._settings, self._gradient_of = {}, None      # they were tried on another layer
            self._x_channel = self._y_from = 0
            self._fit()
        if not self._quiet:
            self._show()

    def _fit(self) -> None:
        """Another map may be smaller."""
        f, r, c = self._look().y.shape
        self.y, self.x, self.channel = min(self.y, r - 1), min(self.x, c - 1), min(self.channel, f - 1)

    def _take(self, run: Reader) -> None:
        """Look into another run; what was painted, edited or tried is let go."""
        nodes, index = layers_of(run, self._node.name)
        within("sample", self.sample, run.value(nodes[index].inputs[0]).shape[0])
        self._run = self._now = run
        self._nodes, self._values, self._settings, self._maps, self._current = nodes, {}, {}, {}, None
        self._edits += 1
        self.layer = index + 1
        self._current = None
        self._fit()

    def _shown(self) -> list[Tensor]:
        """What every layer reads and gives, computed or not, and what comes back to the one on screen."""
        layers = [n for n in self._run.graph.nodes if n.op.name in R.WINDOWED and n.phase == "forward"]
        return [*(t for n in layers for t in (*n.inputs, n.outputs[0], result_of(n)[0])), *(t for _, t in self._ways_back())]

    def _where(self) -> dict[str, Any]:
        return {"node": self._node.name, "unit": self.channel, "pixel": (self.y, self.x)}

    def _go_where(self, chosen: Selection) -> None:
        filters, rows, cols = self._look().y.shape
        unit, pixel = self._chosen(chosen, "unit", filters), chosen.pixel
        if unit is not None:
            self.channel = unit
        if pixel is not None and pixel[0] < rows and pixel[1] < cols and self._is_chosen(chosen):
            self.y, self.x = pixel

    # ------------------------------------------------------------ the layer on screen

    def _look(self) -> Layer:
        if self._current is None:
            self._current = self._computed(self._settings)
        return self._current

    def _computed(self, tried: Mapping[str, int]) -> Layer:
        node, s = self._node, self.sample
        result, bias_tensor = result_of(node)
        x = self._now.value(node.inputs[0])
        w = self._now.value(node.inputs[1]) if len(node.inputs) > 1 else None
        if len(node.inputs) > 1 and w is None:
            raise FlowError(f"{node.name} needs {node.inputs[1].name}, which this run does not hold.", node=node.name, hint="Look into a trace: it keeps feeds and variables.")
        if bias_tensor is not None and self._now.value(result) is None:
            result, bias_tensor = node.outputs[0], None         # a debugger stands between the two
        bias = None if bias_tensor is None else self._now.value(bias_tensor).reshape(-1)
        attrs = settings(node, R.windows_of(node, x.shape, None if w is None else w.shape), tried)
        by_itself = bool(tried) or (bool(self._values) and self._run.rerun is None)
        y = W.alone(node.op.name, attrs, x[s:s + 1], w, bias)[0] if by_itself else self._now.value(result)[s]
        shown = _With(node.op, attrs)
        return Layer(x[s], w, bias, y, result, R.windows_of(shown, x.shape, None if w is None else w.shape), attrs)

    def try_settings(self, **wanted: int | None) -> None:
        """Run this layer alone with another `stride`, `padding`, `dilation` or window `size`; the graph stays as it is. Without any, its own again."""
        own = {k: v for k, v in wanted.items() if v is not None}
        for name, value in own.items():
            if name not in ("stride", "padding", "dilation", "size"):
                raise FlowError(f"a layer has no setting {name!r}.", hint="There are stride, padding, dilation and size.")
            low = 0 if name == "padding" else 1
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= 64:
                raise FlowError(f"{name} cannot be {value!r}.", hint=f"Give a whole number from {low} to 64.")
        tried = self._settings | {k: int(v) for k, v in own.items()} if own else {}
        self._current = self._computed(tried)
        self._settings = tried
        self._after_change()

    def paint(self, what: str, cells: Iterable[Sequence[float]]) -> None:
        """Put numbers into the layer's `"input"`, cells (channel, row, column, value), or its `"kernel"`, cells (out, in, row, column, value), and run again."""
        node = self._node
        if what not in ("input", "kernel"):
            raise FlowError(f"{what!r} cannot be painted.", hint="Paint the input, or edit the kernel.")
        if what == "kernel" and len(node.inputs) < 2:
            raise FlowError(f"{node.name} has no kernel.", node=node.name, hint="Paint its input.")
        tensor = node.inputs[0 if what == "input" else 1]
        value = np.array(self._now.value(tensor))
        part = value[self.sample] if what == "input" else value
        for *index, number in cells:
            place = tuple(int(i) for i in index)
            if len(place) != part.ndim or not all(0 <= i < n for i, n in zip(place, part.shape)):
                raise FlowError(f"the {what} is {part.shape}, there is nothing at {place}.", node=node.name)
            part[place] = number
        self._run_with({**self._values, tensor: value})

    def reset(self, what: str = "all") -> None:
        """Take back what was tried here: `"settings"`, `"input"`, `"kernel"` or `"all"`."""
        if what in ("settings", "all"):
            self._settings = {}
        kept = {} if what == "all" else {t: v for t, v in self._values.items()
                                         if what == "settings" or (t in self._kernels) != (what == "kernel")}
        self._run_with(kept)

    def _run_with(self, values: dict[Tensor, np.ndarray]) -> None:
        now = self._run.over(values) if values else self._run
        self._now, before = now, self._now
        held, self._values = self._values, values
        try:
            self._current = self._computed(self._settings)
        except Exception:       # whatever it is, what was on screen stays
            self._now, self._values = before, held
            raise
        self._edits += 1
        for key in [k for k in self._maps if k[0] == "map"]:
            del self._maps[key]
        self._after_change()

    def _after_change(self) -> None:
        self._quiet, quiet = True, self._quiet
        self._fit()
        self._quiet = quiet
        if not quiet:
            self._show()

    # ------------------------------------------------------------ talking with the page

    def _asks(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "conv_ask", "layer": int(layer), "sample": int(sample)}:
                layer, sample = self._check_layer({"value": layer + 1}), within("sample", sample, self._samples)
                self._quiet = True
                try:
                    self.layer, self.sample = layer, sample
                finally:
                    self._quiet = False
                channels, filters = self._look().x.shape[0], self._look().y.shape[0]
                self._x_channel = within("channel", content.get("x_channel", 0), channels)
                self._y_from = within("channel", content.get("y_from", 0), filters)
                self._show()
                self._pointed()
            case {"type": "conv_look", "y": int(y), "x": int(x), "channel": int(channel)}:
                self._tell(*self._window(y, x, channel))
            case {"type": "conv_set"}:
                self.try_settings(**{k: content.get(k) for k in ("stride", "padding", "dilation", "size")})
            case {"type": "conv_edit", "what": str(what), "cells": list(cells)}:
                self.paint(what, [[float(v) for v in cell] for cell in cells])
            case {"type": "conv_reset", "what": str(what)}:
                self.reset(what)
            case {"type": "conv_gradient", "of": str(of)}:
                if of not in self._choices():
                    raise FlowError(f"there is no gradient of {of!r} here.", hint=f"There are those of {', '.join(self._choices())}.")
                before, self._gradient_of = self._gradient_of, of
                try:
                    self._show()
                except Exception:       # whatever it is
                    self._gradient_of = before
                    raise
            case {"type": "conv_sweep_ask", "kind": str(kind)}:
                self._tell(self.sweep(kind))
            case _:
                super()._asks(content)

    def _show(self) -> None:
        """Send the layer and sample on screen."""
        self._tell(*self._message())

    def _message(self) -> tuple[P.ConvData, list[np.ndarray]]:
        node, layer = self._node, self._look()
        x, y, w = layer.x, layer.y, layer.w
        weights = 0 if w is None else w.size
        gradient = self._gradient(layer)
        extra = 0 if gradient is None else gradient[1].size + 2 * weights
        whole = x.size + y.size + weights + extra <= WHOLE
        x_step, y_step = (1, 1) if whole else (every(max(x.shape[1:]), SHOWN), every(max(y.shape[1:]), SHOWN))
        x_range = (0, x.shape[0]) if whole else (self._x_channel, 1)
        y_range = (0, y.shape[0]) if whole else (self._y_from, min(PAGE, y.shape[0] - self._y_from))
        (x_limit, x_signed), (y_limit, y_signed) = scale_of(x), scale_of(y)
        fields, field_buffers = self._fields() if not self._settings else ([], [])
        counted = W.parameters(layer.windows, x.shape, y.shape, None if w is None else w.shape, layer.bias is not None)
        v = layer.windows
        data = P.ConvData(
            title=self._title, layer=self.layer - 1, layers=self._described(), sample=self.sample, samples=self._samples,
            source=node.inputs[0].name, result=layer.result.name, kernel_name=node.inputs[1].name if w is not None else "",
            size=list(v.size), stride=list(v.stride), dilation=list(v.dilation), padding=[*v.padding[0], *v.padding[1]], groups=v.groups, adaptive=v.adaptive,
            count_padding=bool(layer.attrs.get("count_padding", True)), out_rows=y.shape[1], out_cols=y.shape[2], bias=layer.bias is not None,
            x_limit=x_limit, x_signed=x_signed, y_limit=y_limit, y_signed=y_signed, w_limit=1.0 if w is None else round_limit(w),
            whole=whole, x_step=x_step, y_step=y_step, x_from=x_range[0], x_count=x_range[1], y_from=y_range[0], y_count=y_range[1],
            fields=fields, reach=self._reach(), shared=counted.shared, local=counted.local, dense=counted.dense, multiplications=counted.multiplications,
            changed=bool(self._settings), painted=not self._kernels >= self._values.keys(), kernel_edited=bool(self._kernels & self._values.keys()),
            edits=self._edits, rerun=self._run.rerun is not None, outcomes=list(self._outcomes()), gradient="" if gradient is None or not whole else gradient[0], choices=self._choices(),
            can_sweep=self._run.compute is not None)
        buffers = [x[x_range[0]:sum(x_range), ::x_step, ::x_step], y[y_range[0]:sum(y_range), ::y_step, ::y_step]]
        if w is not None:
            buffers.append(w if whole else np.zeros(0))
        if layer.bias is not None:
            buffers.append(layer.bias)
        if gradient is not None and whole:
            buffers += [g for g in gradient[1:] if g is not None]
        return data, [*buffers, *field_buffers]

    def _described(self) -> list[P.ConvLayer]:
        found = []
        for n in self._nodes:
            x, y = self._shape(n.inputs[0]), self._shape(n.outputs[0])
            found.append(P.ConvLayer(node=n.name, op=n.op.name, kind=R.WINDOWED[n.op.name], channels=x[1], rows=x[2], cols=x[3], filters=y[1], out_rows=y[2], out_cols=y[3]))
        return found

    def _reach(self) -> list[int]:
        if self._settings:
            return []
        along = [R.reach(self._node, axis, self._shape) for axis in range(2)]
        return [] if None in along else [n for r in along for n in (r.size, r.jump)]

    # ------------------------------------------------------------ what a pixel sees

    def fields(self) -> R.Fields:
        """What every pixel of the layer on screen sees and where it is seen: tables for each tensor of images around it."""
        key = ("fields", self._node)
        if key not in self._maps:
            self._maps[key] = R.fields(self._node, self._shape, self._known)
        return self._maps[key]

    def _fields(self) -> tuple[list[P.ConvField], list[np.ndarray]]:
        found, node = self.fields(), self._node
        places = {n: k for k, n in enumerate(self._nodes)}
        shown: list[tuple[Tensor, Node | None, str]] = [(t, None, "up") for t in found.sources if t.node not in places]
        shown += [(n.outputs[0], n, "self" if n is node else "up" if n.outputs[0] in found.seen else "down")
                  for n in self._nodes if n.outputs[0] in found.seen or n.outputs[0] in found.cone]
        pieces, buffers = [], []
        for tensor, layer, direction in shown:
            mean, step, channels = self._mean(tensor if layer is None else result_of(layer)[0], tensor)
            looks = found.of(tensor)
            rows, cols = looks.rows.shape[1], looks.columns.shape[1]
            limit, signed = scale_of(mean)
            pieces.append(P.ConvField(name=tensor.name.removesuffix(":0"), node=tensor.node.name, direction=direction, layer=None if layer is None else places[layer],
                                      channels=channels, rows=rows, cols=cols, step=step, limit=limit, signed=signed))
            buffers += [mean, *_ends(looks.rows), *_ends(looks.columns)]
        return pieces, buffers

    def _mean(self, tensor: Tensor, fallback: Tensor) -> tuple[np.ndarray, int, int]:
        """(the sample's map, its channels averaged and rows and columns left out where there are many; how many each is; channels)."""
        key = ("map", tensor, self.sample)
        if key not in self._maps:
            value = self._now.value(tensor)
            value = (self._now.value(fallback) if value is None else value)[self.sample]
            step = every(max(value.shape[1:]), SMALL)
            with np.errstate(all="ignore"):
                self._maps[key] = (value[:, ::step, ::step].astype("float32").mean(axis=0), step, value.shape[0])
        return self._maps[key]

    def _window(self, y: int, x: int, channel: int) -> tuple[P.ConvWindow, list[np.ndarray]]:
        """What one window of a large layer sees; zeros stand for the padding."""
        layer = self._look()
        filters, rows, cols = layer.y.shape
        channel, y, x = within("channel", channel, filters), within("row", y, rows), within("column", x, cols)
        places = [R.taps(layer.windows, axis, layer.x.shape[1 + axis], layer.y.shape[1 + axis])[at] for axis, at in ((0, y), (1, x))]
        inside, groups = layer.x.shape[0], layer.windows.groups
        if layer.w is None:
            channels = slice(channel, channel + 1)
            kernel = np.zeros(0)
        else:
            group = channel // (filters // groups)
            channels = slice(group * (inside // groups), (group + 1) * (inside // groups))
            kernel = layer.w[channels, channel % (filters // groups)] if layer.windows.kind == "transpose" else layer.w[channel]
        seen = layer.x[channels]
        patch = np.zeros((seen.shape[0], len(places[0]), len(places[1])), layer.x.dtype)
        for a, (i, _) in enumerate(places[0]):
            for b, (j, _) in enumerate(places[1]):
                if 0 <= i < seen.shape[1] and 0 <= j < seen.shape[2]:
                    patch[:, a, b] = seen[:, i, j]
        bias = np.zeros(1) if layer.bias is None else layer.bias[channel:channel + 1]
        return P.ConvWindow(y=y, x=x, channel=channel), [patch, kernel, bias, layer.y[channel, y:y + 1, x]]

    # ------------------------------------------------------------ gradients

    def _recorded(self) -> tuple[str, Tensor] | None:
        """(of what, the derivative by the layer's output), if this run went backwards through it; none while somebody is asked something: it might tell."""
        if self._run.kept_back:
            return None
        return next(((self._derived_from(n), t) for n, t in self._ways_back() if self._known(t)), None)

    def _ways_back(self) -> Iterable[tuple[Node, Tensor]]:
        """The nodes of the way back that are given the derivative by the layer's output, and that derivative."""
        for n in self._run.graph.nodes:
            port = _DERIVATIVE.get(n.op.name)
            if n.phase == "backward" and n.gradient_of == self._node.name and n.inputs and port is not None and not (self._node.op.name == "ConvTranspose2D" and n.op.name == "Conv2DKernelGradient"):
                yield n, n.input(port)

    def _derived_from(self, node: Node) -> str:
        """What a gradient node is the gradient of: the first of its chain that has a name of its own."""
        seen, todo = set(), [node]
        while todo:
            n = todo.pop()
            if n.id in seen:
                continue
            seen.add(n.id)
            if n.op.name == "OnesLike" and n.inputs and n.inputs[0].node.phase == "forward":
                return n.inputs[0].name.removesuffix(":0")
            todo += [t.node for t in n.inputs if t.node.phase == "backward"]
        return "this run"

    def _choices(self) -> list[str]:
        if self._run.kept_back:
            return ["this map"]
        recorded = self._recorded()
        result, _ = result_of(self._node)
        scalars = [t.name.removesuffix(":0") for n in self._run.graph.nodes if n.phase == "forward" and n.outputs and n.op.source is None and not n.op.effect
                   for t in n.outputs[:1] if t.shape == () and t.dtype.kind == "f" and self._known(t) and _reaches(t.node, result.node)]
        return list(dict.fromkeys([*([recorded[0]] if recorded else []), *scalars[-6:], "this map"]))

    def _gradient(self, layer: Layer) -> tuple[str, np.ndarray, np.ndarray | None, np.ndarray | None] | None:
        """(of what, by this sample's output, by the kernel for this sample, by the kernel for the whole batch); None until it is asked for or recorded."""
        recorded = self._recorded()
        of = self._gradient_of or (recorded[0] if recorded and (not self._values or self._run.rerun is not None) else None)
        if of is None:
            return None
        node = self._node
        x = self._now.value(node.inputs[0])
        if self._settings:
            of, g = "this map", np.ones_like(layer.y)[None]
            x = x[self.sample:self.sample + 1]
        elif of == "this map":
            g = np.ones((x.shape[0], *layer.y.shape), layer.y.dtype)
        elif recorded and of == recorded[0] and self._now.value(recorded[1]) is not None and (not self._values or self._run.rerun is not None):
            g = self._now.value(recorded[1])
        else:
            g = W.gradient_by(self._run.graph.tensor(f"{of}:0"), layer.result, self._now.read)
        one = g[self.sample:self.sample + 1] if len(g) > 1 else g
        if layer.w is None:
            by_input = W.input_gradient(node.op.name, layer.attrs, layer.x[None], None, one)
            return of, one[0], by_input[0], None
        own = W.kernel_gradient(node.op.name, layer.attrs, layer.x[None], layer.w, one)
        total = own if len(g) == 1 else W.kernel_gradient(node.op.name, layer.attrs, x, layer.w, g)
        return of, one[0], own, total

    # ------------------------------------------------------------ the picture changed

    def sweep(self, kind: str) -> P.ConvSweep:
        """Shift, scale, turn or bend the picture step by step, and measure what the map, the pooled map and the output make of it."""
        if self._run.compute is None:
            raise FlowError("this source cannot run again with another picture.", hint="Look into a trace: ConvView(sess.trace(fetches, feeds)).")
        found, node = self.fields(), self._node
        source = next((t for t in found.sources if t.node is not node), node.inputs[0])
        batch = np.array(self._now.value(source))
        result, _ = result_of(node)
        after = [n for n in self._nodes if R.WINDOWED[n.op.name] in ("max", "average") and (n is node or n.outputs[0] in found.cone)]
        measured: list[tuple[str, Tensor]] = []
        if after and after[0] is node:
            measured = [("map", node.inputs[0]), ("pooled", node.outputs[0])]
        else:
            measured = [("map", result), *(("pooled", n.outputs[0]) for n in after[:1])]
        last = next((n.outputs[0] for n in reversed(list(self._run.graph.nodes)) if n.phase == "forward" and n.outputs and len(n.outputs[0].shape) == 2
                     and n.outputs[0].dtype.kind == "f" and n.op.source is None and self._known(n.outputs[0]) and _reaches(n, node)), None)
        if last is not None:
            measured.append(("output", last))
        held = {t: v for t, v in self._values.items() if t is not node.inputs[0] or t is source}

        def compute(image: np.ndarray) -> list[np.ndarray]:
            values = batch.copy()
            values[self.sample] = image[0]
            return [v[self.sample:self.sample + 1] for v in self._run.compute(held | {source: values}, [t for _, t in measured])]

        change, lines = W.sweep(batch[self.sample:self.sample + 1], compute, [t.name.removesuffix(":0") for _, t in measured], kind)
        return P.ConvSweep(kind=kind, unit=change.unit, still=change.still, amounts=list(change.amounts),
                           lines=[P.ConvLine(name=line.name, role=role, changed=list(line.changed), off=list(line.off or ())) for (role, _), line in zip(measured, lines)])

    def _outcomes(self) -> Iterable[P.Outcome]:
        """The fetches before and after what was painted or edited."""
        if not self._values or self._run.rerun is None:
            return
        for tensor in [t for t in self._run.fetched if t.node.phase == "forward"][:24]:
            before, after = (outcome(r.value(tensor), self.sample, self._samples, None) for r in (self._run, self._now))
            if before is not None and after is not None:
                yield P.Outcome(label=tensor.name.removesuffix(":0"), before=before, after=after)


@dataclass(frozen=True, slots=True)
class _With:
    """A node's operation with other attributes, for what asks a node for both."""

    op: Any
    attrs: Mapping[str, Any]


def _ends(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row of a table of truth values where its first true value stands, and one past its last; 0 and 0 where there is none."""
    some = table.any(axis=1)
    first = np.where(some, table.argmax(axis=1), 0)
    past = np.where(some, table.shape[1] - table[:, ::-1].argmax(axis=1), 0)
    return first, past


def _reaches(node: Node, target: Node) -> bool:
    """Is `node` made of what `target` gives?"""
    todo, met = [node], set()
    while todo:
        n = todo.pop()
        if n is target:
            return True
        if n.id not in met:
            met.add(n.id)
            todo += [t.node for t in n.inputs]
    return False
