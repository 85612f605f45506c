"""Look inside a recurrent layer: one cursor, a step and a unit, through its gates, its memory and its equations."""
from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import traitlets

from ..apps import cells
from ..apps.cells import Layer
from ..core.errors import FlowError
from ..core.graph import Node, Tensor
from ..io.fetching import needed
from . import protocol as P
from .looking import Reader, SequenceView, debugger_of, kind_of, named, outcome, page_of, reader, round_limit, within

STEPS = 1000            # timesteps of a long sequence that the page is given at once
UNITS = 512             # and units of a wide layer
FEATURES = 256          # rows of the input strip; of more, every so many
CONTEXT = 8             # steps of the input that are shown on either side of a moment


# ---------------------------------------------------------------- where the numbers come from


def layers_of(run: Reader, node: Any = None) -> tuple[Node, ...]:
    """The recurrent layers that this run computed, in creation order: all of them, those in a scope, or the one that is named."""
    every = [n for n in run.graph.nodes if cells.kind_of_layer(n) is not None and n.phase == "forward"]
    if not every:
        raise FlowError(f"graph {run.graph.name!r} has no recurrent layer.", hint='fl.nn.lstm(seq, units, name="lstm") makes one.')
    return tuple(named(run, every, [n for n in every if computed(run, n)], node, "recurrent layer", "recurrent layers", "no recurrent layer"))


def _read(node: Node) -> Tensor:
    """The sequence that a layer reads."""
    return (cells.inputs_of(node) or {})["x"]


def run_of(source: Any) -> Reader:
    """What a source recorded; of a layer that a debugger is in the middle of, as a loop, the timesteps so far, NaN for those to come."""
    run = reader(source)
    dbg = debugger_of(source)
    if dbg is None:
        return run

    def read(tensor: Tensor) -> np.ndarray:
        try:
            return run.read(tensor)
        except KeyError:
            so_far = _so_far(dbg, run, tensor)
            if so_far is None:
                raise
            return so_far
    return replace(run, read=read)


def _so_far(dbg: Any, run: Reader, tensor: Tensor) -> np.ndarray | None:
    """One of a layer's gates or states over the timesteps that have fired, None if none has."""
    node = tensor.node
    loop = cells.loop_of(node)
    if loop is None:
        return None
    kind = cells.KINDS[node.op.name.removesuffix("Outputs")]
    letter = next((k for port, k in kind.outputs.items() if node.output(port) is tensor), None)
    within = cells.within_loop(node)
    if letter not in within:
        return None
    name, index = within[letter]
    steps = {e.frame[1]: dbg.outputs_of(e)[index] for e in dbg.records[:dbg.cursor] if e.node == name and len(e.frame) == 2 and e.frame[0] == loop.inside}
    if not steps:
        return None
    time = run.read(loop.inputs[0]).shape[loop.attrs["axes"][0]]
    first = next(iter(steps.values()))
    out = np.full((first.shape[0], time, first.shape[1]), np.nan, first.dtype)
    for t, value in steps.items():
        out[:, t] = value
    return out


def computed(run: Reader, node: Node) -> bool:
    return all(run.value(node.output(port)) is not None for port in cells.KINDS[node.op.name.removesuffix("Outputs")].outputs)


def layer_values(run: Reader, node: Node) -> Layer:
    """Read a layer from a run; FlowError if an input of it is not known there."""
    return cells.layer_values(run.value, node)


def turned(values: np.ndarray, length: int) -> np.ndarray:
    """Time the other way round, within a sequence's length."""
    return np.concatenate([values[:length][::-1], values[length:]])


def spread(run: Reader, node: Node, read: Tensor, data: Any) -> list[tuple[Layer, np.ndarray]]:
    """A layer over a whole data set, each with what its stack `read`: the data are sequences for what the layer reads from, or several traces, batches or feeds.

    FlowError, with what would fit, if the data do not.
    """
    several = list(data) if isinstance(data, (list, tuple)) and len(data) and not isinstance(data[0], (int, float)) else [data]
    return [_over(run, node, read, one) for one in several]


def _over(run: Reader, node: Node, read: Tensor, data: Any) -> tuple[Layer, np.ndarray]:
    if hasattr(data, "gates") and hasattr(data, "events"):
        other = reader(data)
        if other.graph is not run.graph:
            raise FlowError(f"that is a run of {other.graph.name!r}, this view shows {run.graph.name!r}.", hint="Give runs of the same graph.")
        return layer_values(other, node), other.read(read)
    if run.compute_alone is None:
        raise FlowError("this source cannot run a data set.", hint="Give traces, or open the view on a trace, session or debugger.")
    kind = cells.KINDS[node.op.name.removesuffix("Outputs")]
    wanted = [*(node.output(port) for port in kind.outputs), *(cells.inputs_of(node) or {}).values(), read]
    if isinstance(data, Mapping):
        feeds = {run.graph.tensor(k): v for k, v in data.items()}
    else:
        array = np.asarray(data)
        if array.dtype.kind not in "fiub":
            raise FlowError(f"data are sequences of numbers, not {kind_of(data)}.", hint="Give an array, feeds by name, or traces.")
        read_by = {n.id for n in needed([node])}
        sources = [t for t in run.graph.placeholders if array.ndim == len(t.shape) and all(not isinstance(d, int) or d == k for d, k in zip(t.shape, array.shape))
                   and t.node.id in read_by]
        if len(sources) != 1:
            fits = ", ".join(f"{t.name.removesuffix(':0')} {tuple(t.shape)}" for t in run.graph.placeholders if t.node.id in read_by) or "none"
            raise FlowError(f"an array {array.shape} fits {len(sources)} of what {node.name} reads.", node=node.name, hint=f'It reads {fits}. Feeds by name work too: {{"x": array}}.')
        feeds = {sources[0]: array}
    values = dict(zip(wanted, run.compute_alone(feeds, wanted)))
    return cells.layer_values(values.get, node), values[read]




# ---------------------------------------------------------------- pictures and readings


def pictures(image: Any, samples: int) -> list[np.ndarray] | None:
    """The strip's images, one a sample, (rows, columns, 1 or 3) from 0 to 1; one image alone serves every sample."""
    if image is None:
        return None
    if isinstance(image, (list, tuple)) and not (len(image) and np.ndim(image[0]) < 2):
        out = [_picture(one) for one in image]
    else:
        array = np.asarray(image)
        several = array.ndim == 4 or array.ndim == 3 and array.shape[-1] not in (1, 3, 4)
        out = [_picture(one) for one in array] if several else [_picture(array)] * samples
    if len(out) != samples:
        raise FlowError(f"{len(out)} images were given for {samples} samples.", hint="Give one image, or one for each sample of the batch.")
    return out


def _picture(image: Any) -> np.ndarray:
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or not array.size or array.dtype.kind not in "buif":
        raise FlowError(f"an image is (rows, columns) or (rows, columns, 3) numbers, not {array.dtype} {array.shape}.",
                        hint="Give one such array, or a list with one a sample.")
    array = array[..., :3].astype("float64") / (255.0 if array.dtype.kind in "ui" else 1.0)
    array = np.nan_to_num(array, nan=0.0, posinf=1.0, neginf=0.0)
    lo, hi = float(array.min()), float(array.max())
    if hi > 1 and lo >= 0 and hi <= 255:
        array = array / 255.0
    elif lo < 0 or hi > 1:
        array = (array - lo) / ((hi - lo) or 1.0)
    return array.astype("float32")


def reading_rows(reading: Any, symbols: Any, hidden: np.ndarray, sample: int, run: Reader) -> list[P.ReadingRow]:
    """What each head would answer at each step, from (label, probabilities) pairs, names of dense layers, or a function of h."""
    if reading is None:
        return []
    pairs: Any = reading(hidden) if callable(reading) else reading
    pairs = pairs.items() if isinstance(pairs, Mapping) else pairs
    steps = hidden.shape[0]
    rows = []
    for pair in pairs:
        if isinstance(pair, str):
            label, shares = pair.replace("_", " "), _head(pair, hidden, run)
        else:
            try:
                label, shares = pair
            except (TypeError, ValueError):
                raise FlowError(f"a reading is a label with probabilities (time, classes), not {kind_of(pair)}.",
                                hint='Give [("digit 1", array), …], or names of dense layers.') from None
            shares = np.asarray(shares, dtype="float64")
        if shares.ndim == 3 and sample < shares.shape[0]:
            shares = shares[sample]
        if shares.ndim != 2 or shares.shape[0] != steps or not shares.shape[1]:
            raise FlowError(f"the reading {str(label)!r} is {shares.shape}, the layer has {steps} steps.",
                            hint="It takes (time, classes), or (batch, time, classes).")
        names = [str(s) for s in symbols] if symbols is not None else [str(k) for k in range(shares.shape[1])]
        if len(names) < shares.shape[1]:
            raise FlowError(f"{len(names)} symbols were given for {shares.shape[1]} classes.", hint="Give one a class.")
        known = np.isfinite(shares).all(axis=1)
        best = np.where(known[:, None], shares, 0).argmax(axis=1)
        rows.append(P.ReadingRow(label=str(label), symbols=[names[k] if ok else "?" for k, ok in zip(best, known)],
                                 shares=[float(shares[t, k]) if ok else 0.0 for t, (k, ok) in enumerate(zip(best, known))]))
    return rows


def _head(scope: str, hidden: np.ndarray, run: Reader) -> np.ndarray:
    """Probabilities of a dense layer over the hidden state of every step."""
    try:
        kernel, bias = (run.value(run.graph.tensor(f"{scope}/{name}:0")) for name in ("kernel", "bias"))
    except FlowError:
        kernel = bias = None
    if kernel is None or bias is None:
        raise FlowError(f"{scope!r} is no dense layer that this run used.", node=scope,
                        hint="It takes the scope of an fl.nn.dense, with kernel and bias.")
    if kernel.shape[0] != hidden.shape[1]:
        raise FlowError(f"{scope} reads {kernel.shape[0]} numbers, the last layer gives {hidden.shape[1]}.", node=scope)
    with np.errstate(all="ignore"):
        logits = hidden @ kernel + bias
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------- the widget


class LSTMView(SequenceView):
    """See what a recurrent layer keeps, writes and shows, step by step and unit by unit: an LSTM, a GRU or a plain RNN.

    `source`: a trace, a session (its last trace), a debugger or an editor; the view of a debugger or editor follows it as it steps. `node`: a layer,
    `"lstm/LSTM"`, or a scope, `"lstm"`; without it all recurrent layers, the last one first on screen. `image`: (H, W) or (H, W, 3), or one a sample,
    drawn over the time axis instead of the first layer's input. `reading`: what the heads would answer at each step: pairs of a label and probabilities
    (time, classes), or names of dense layers on the last layer's state, or a function of that state (time, units) that gives such pairs; the last two
    follow a clamp. `symbols`: a name for each class. `data`: sequences to look for similar moments in and to measure saturation over: an array
    (sequences, time, …) for what the layer reads from, feeds by name, or several traces; without it the batch of the run. `language`: what the screen
    speaks, `en`, `zh-CN` or `zh-TW`; without it the page decides.

    `t`, `unit` and `sample` count from 0, `layer` from 1 as its button does; all four can be read and set. The backward half of a layer that reads from
    both ends counts t as it reads, from the end. FlowError says what there is.

    >>> view = LSTMView(sess.trace([loss], feeds), "lstm")          # doctest: +SKIP
    >>> view.t, view.unit = 18, 8                                   # doctest: +SKIP
    >>> view.clamp("f", 1)                                          # doctest: +SKIP
    >>> view.similar()[0]                                           # doctest: +SKIP
    """

    _esm, _script, _css = page_of("lstm")
    _alt, _named = "flowlab recurrent layer", "an LSTM view"

    def __init__(self, source: Any, node: Any = None, *, sample: int = 0, t: int = 0, unit: int = 0, image: Any = None, reading: Any = None,
                 symbols: Any = None, data: Any = None, title: str | None = None, language: str | None = None):
        self._look_into(source, title)
        self._nodes = layers_of(self._run, node)
        self._plain = self._layers = tuple(layer_values(self._run, n) for n in self._nodes)
        self._clamps: dict[int, dict[str, tuple[float, int | None]]] = {}
        self._samples = self._plain[0].out["h"].shape[0]
        self._images = pictures(image, self._samples)
        self._reading, self._symbols, self._data = reading, symbols, data
        self._over_data: dict[int, cells.Moments] = {}
        for n, values in zip(self._nodes, self._plain):
            if 0 in values.out["h"].shape:
                raise FlowError(f"{n.name} is {values.out['h'].shape} (batch, time, units): there is nothing to see.", node=n.name)
        super().__init__()
        self.layer = len(self._nodes)
        self.sample, self.t, self.unit = sample, t or self._timestep() or 0, unit
        self._page = self._wanted_page()
        self._rows()        # a reading that does not fit is said here, not when the page asks
        self._open(language)

    def __repr__(self) -> str:
        where = f"step {self.t} of {self._steps}, unit {self.unit} of {self._units}, sample {self.sample} of {self._samples}"
        return f"{self._plain[self.layer - 1].kind.op} view of {self._node.name}: {where}"

    # ------------------------------------------------------------ where it stands

    @property
    def _units(self) -> int:
        return self._plain[self.layer - 1].out["h"].shape[2]

    @property
    def _steps(self) -> int:
        return self._plain[self.layer - 1].out["h"].shape[1]

    @traitlets.validate("t")
    def _check_t(self, proposal: Any) -> int:
        return within("step", proposal["value"], self._steps)

    @traitlets.validate("unit")
    def _check_unit(self, proposal: Any) -> int:
        return within("unit", proposal["value"], self._units)

    @traitlets.observe("layer", "sample", "t", "unit")
    def _moved(self, change: Any) -> None:
        if change["name"] == "layer":
            # another layer may be smaller
            quiet, self._quiet = self._quiet, True
            self.t, self.unit = min(self.t, self._steps - 1), min(self.unit, self._units - 1)
            self._quiet = quiet
        if not self._quiet and (change["name"] in ("layer", "sample") or self._wanted_page() != self._page):
            self._show()

    def _wanted_page(self) -> tuple[int, int]:
        """The first timestep and the first unit of the page that the cursor is on."""
        return self.t // STEPS * STEPS, self.unit // UNITS * UNITS

    def _reader(self, source: Any) -> Reader:
        return run_of(source)

    def _take(self, run: Reader) -> None:
        """Look into another run; clamps stay on. FlowError, and nothing changes, if these layers are not computed there or the batch is smaller than `sample`."""
        nodes = tuple(run.graph.node(n.name) for n in self._nodes)
        missing = [n.name for n in nodes if not computed(run, n)]
        if missing:
            raise FlowError(f"{missing[0]} has no values there.", node=missing[0], hint=run.way)
        plain = tuple(layer_values(run, n) for n in nodes)
        samples = plain[0].out["h"].shape[0]
        within("sample", self.sample, samples)
        if self._images is not None and len(self._images) != samples:
            raise FlowError(f"this view has {len(self._images)} images, that run has {samples} samples.", hint="Open another view.")
        self._run, self._nodes, self._plain, self._samples = run, nodes, plain, samples
        self._hold(self._clamps)
        if self._data is None:
            self._over_data = {}
        self.t, self.unit = min(self.t, self._steps - 1), min(self.unit, self._units - 1)

    def _shown(self) -> list[Tensor]:
        """All that the layers gave; of what came back, the error at the layer on screen."""
        return [n.output(port) for n in self._nodes for port in cells.KINDS[n.op.name.removesuffix("Outputs")].outputs] + cells.error_tensors(self._node)

    def _turned(self, t: int) -> int:
        """A place of the sequence for a timestep of the layer on screen, and the other way round."""
        length = self._plain[self.layer - 1].length(self.sample)
        return length - 1 - t if cells.reads_from_the_end(self._node) and t < length else t

    def _loop(self) -> Node | None:
        return cells.loop_of(self._node)

    def _at_timestep(self, t: int) -> None:
        if t < self._steps:
            self.t = t

    def _fired(self) -> int:
        """How many timesteps of the layer on screen have been computed."""
        node, dbg = self._nodes[self.layer - 1], debugger_of(self._source)
        if cells.loop_of(node) is None or dbg is None or dbg.computed(node.output("out").name):
            return self._steps
        loop, (name, _) = cells.loop_of(node), cells.within_loop(node)["h"]
        return sum(e.node == name and e.frame[:1] == (loop.inside,) for e in dbg.records[:dbg.cursor])

    def go_to_firing(self) -> None:
        """Take the debugger or editor to where this layer has just fired: one cursor for both. FlowError where there is none to take.

        A layer that is written out as a loop (`fl.expand`) fires timestep by timestep: then it is the end of the one at the view's cursor.
        """
        dbg = debugger_of(self._source)
        if dbg is None:
            raise FlowError("this view looks into a recorded run: there is no debugger to move.", hint="LSTMView(debugger) follows one and moves it.")
        node = self._nodes[self.layer - 1].name
        loop = cells.loop_of(self._nodes[self.layer - 1])
        if loop is None:
            firing = next((k for k, e in enumerate(dbg.records) if e.node == node and not e.frame), None)
        else:
            firing = next((k for k in reversed(range(len(dbg.records))) if dbg.records[k].frame == (loop.inside, self.t)), None)
        if firing is None:
            raise FlowError(f"{node} is not on the debugger's record.", node=node, hint="Step on until it has fired.")
        (self._source if hasattr(self._source, "document") else dbg).seek(firing + 1)

    # ------------------------------------------------------------ clamping

    def clamp(self, gate: str, value: float | None, unit: int | None = None, *, layer: int | None = None) -> None:
        """Hold a gate at a value, in one unit or in all, and run again what follows; None lets it go. An RNN has no gates: its state `h` can be held.

        `layer` counts from 1; without it the one on screen. What follows is computed as a run with that override would.
        """
        number = self.layer if layer is None else self._check_layer({"value": layer})
        kind = self._plain[number - 1].kind
        if gate not in kind.held:
            article = "a" if kind.op == "GRU" else "an"
            *some, last = kind.held
            hint = f"Its gates are {', '.join(some)} and {last}." if some else "It has none: its state h can be held."
            raise FlowError(f"{article} {kind.op} has no gate {gate!r}.", hint=hint)
        held = {k: dict(v) for k, v in self._clamps.items()}
        own = held.setdefault(number - 1, {})
        if value is None:
            own.pop(gate, None)
        else:
            try:
                level = float(value)
            except (TypeError, ValueError):
                raise FlowError(f"{gate} cannot be held at {value!r}.", hint="Give a number.") from None
            if not math.isfinite(level):
                raise FlowError(f"{gate} cannot be held at {level}.", hint="Give a finite number.")
            if unit is not None:
                unit = within("unit", unit, self._plain[number - 1].out["h"].shape[2])
            own[gate] = (level, unit)
        self._hold({k: v for k, v in held.items() if v})
        self._show()

    def release(self) -> None:
        """Let every gate go: the values as they were recorded."""
        self._hold({})
        self._show()

    def _hold(self, clamps: dict[int, dict[str, tuple[float, int | None]]]) -> None:
        """Run again with these clamps; nothing changes if that fails."""
        now, values = self._run, {}
        layers = list(self._plain)
        for k, node in enumerate(self._nodes):
            if now is not self._run:
                layers[k] = layer_values(now, node)
            if k in clamps:
                out = cells.forward(layers[k], clamps[k])
                # from the recorded run with all that is held so far: a layer below keeps its own clamps
                values |= cells.fed(node, out, layers[k])
                now = self._run.over(values)
                layers[k] = replace(layers[k], out=out)
        self._clamps, self._now, self._layers = clamps, now, tuple(layers)

    # ------------------------------------------------------------ over a whole data set

    def moments(self) -> cells.Moments:
        """The layer's states over `data`, or over the batch of the run: x and, by letter, values (sequences, time, units)."""
        index = self.layer - 1
        if index not in self._over_data:
            node = self._nodes[index]
            bottom = self._bottom(node)
            if self._data is None:
                parts = [(self._plain[index], self._plain[self._nodes.index(bottom)].x)]
            else:
                parts = spread(self._run, node, _read(bottom), self._data)
            moments = cells.moments_of([layer for layer, _ in parts])
            x = np.concatenate([read for _, read in parts])
            if cells.reads_from_the_end(node) != cells.reads_from_the_end(bottom):
                lengths = moments.lengths if moments.lengths is not None else [x.shape[1]] * len(x)
                x = np.stack([turned(row, int(n)) for row, n in zip(x, lengths)])
            self._over_data[index] = replace(moments, x=x)
        return self._over_data[index]

    def similar(self, units: Sequence[int] | None = None, *, letter: str | None = None, way: str = "cosine", threshold: float = 0.3, count: int = 12) -> list[cells.Match]:
        """The moments of `data` whose state looks most like the one at the cursor, the best first: (sequence, t, score).

        `letter`: c or h, by default what the layer remembers in; `units`: compare only these; `way`: `"cosine"`, `"distance"`, or `"threshold"`: which units
        are above `threshold`. Moments next to each other count once, the moment at the cursor itself not.
        """
        layer = self._layers[self.layer - 1]
        letter = letter or layer.kind.memory
        if letter not in layer.kind.states:
            raise FlowError(f"states are not compared by {letter!r}.", hint=f"A {layer.kind.op} has {' and '.join(layer.kind.states)}.")
        own = (self.sample, self.t) if self._data is None else None
        return cells.similar(self.moments(), layer.out[letter][self.sample, self.t], letter, units=units, way=way, threshold=threshold, count=count, without=own)

    def saturation(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """For every gate, (share of the moments of `data` in which each unit is under 0.1, over 0.9); the size of an RNN's h."""
        kind = self._plain[self.layer - 1].kind
        moments = self.moments()
        return {letter: cells.saturation(moments, letter) for letter in kind.shares or ("h",)}

    def gradient_through_time(self, seed: int = 0) -> cells.ThroughTime:
        """The size of the error at each step on its way back, in this layer and in a plain tanh layer of the same size, untrained, to which the same error comes.

        A run without a backward pass has the sum of h at the last step for its loss.
        """
        index = self.layer - 1
        layer = self._layers[index]
        errors = cells.errors_at(self._now.value, self._nodes[index], layer, self.sample)
        return cells.beside_a_plain_layer(layer, self.sample, errors, self._clamps.get(index), seed)

    # ------------------------------------------------------------ talking with the page

    def _asks(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "lstm_ask", "layer": int(layer), "sample": int(sample)}:
                layer, sample = self._check_layer({"value": layer + 1}), within("sample", sample, self._samples)   # both, or neither
                self._quiet = True
                try:
                    self.layer, self.sample = layer, sample
                finally:
                    self._quiet = False
                self._show()
                self._pointed()
            case {"type": "clamp", "layer": int(layer), "gate": str(gate), "value": value}:
                self.clamp(gate, value, content.get("unit"), layer=layer + 1)
            case {"type": "lstm_more", "what": "layers"}:
                self._tell(*self._side_by_side())
            case {"type": "lstm_more", "what": "gradient"}:
                found = self.gradient_through_time()
                self._tell(P.LSTMGradient(layer=self.layer - 1, sample=self.sample, of_loss=found.of_loss, seed=found.seed), [found.own, found.plain])
            case {"type": "lstm_more", "what": "saturation"}:
                shares = self.saturation()
                moments = self.moments()
                self._tell(P.LSTMSaturation(layer=self.layer - 1, gates=list(shares), moments=moments.count, sequences=len(moments.x)),
                           [part for pair in shares.values() for part in pair])
            case {"type": "lstm_more", "what": "go"}:
                self.go_to_firing()
            case {"type": "lstm_point", "letter": str(letter)}:
                if self._link is not None:
                    inside = cells.within_loop(self._node).get(letter)
                    self._link.set(by=self, pointed=None if not letter else self._node if inside is None else inside[0])
            case {"type": "lstm_similar", "letter": str(letter), "way": str(way), "threshold": int() | float() as threshold}:
                units = content.get("units")
                began = time.perf_counter()
                found = self.similar(units if isinstance(units, list) and units else None, letter=letter, way=way, threshold=float(threshold))
                self._say_moments(found, letter, way, time.perf_counter() - began)
            case _:
                super()._asks(content)

    def _show(self) -> None:
        """Send the layer and sample on screen."""
        self._page = self._wanted_page()
        self._tell(*self._message())

    def _rows(self) -> list[P.ReadingRow]:
        if self._run.kept_back:     # a head might answer what somebody is asked
            return []
        last = self._layers[-1]
        hidden = last.out["h"][self.sample]
        if cells.reads_from_the_end(self._nodes[-1]):
            hidden = turned(hidden, last.length(self.sample))
        return reading_rows(self._reading, self._symbols, hidden, self.sample, self._now)

    def _message(self) -> tuple[P.LSTMData, list[np.ndarray]]:
        index, s = self.layer - 1, self.sample
        layer, node = self._layers[index], self._nodes[index]
        kind, (t0, u0) = layer.kind, self._page
        steps, units = slice(t0, t0 + STEPS), slice(u0, u0 + UNITS)
        z = layer.before_activation(s, steps)
        values = {k: v[s][steps] for k, v in layer.out.items()} | (z if kind.op == "RNN" else {})
        strip, described = self._strip(index, s, steps)
        held = self._clamps.get(index, {})
        errors = cells.errors_at(self._now.value, node, layer, s)
        norm = None if errors is None else cells.through_time(layer, s, errors, held)
        reading = self._rows() if layer.out["h"].shape[1] == self._layers[-1].out["h"].shape[1] else []
        order = range(layer.x.shape[1])
        if cells.reads_from_the_end(node):
            order = [*reversed(range(layer.length(s))), *range(layer.length(s), layer.x.shape[1])]
        seen = [order[t] for t in range(t0, min(t0 + STEPS, len(order)))]
        reading = [P.ReadingRow(label=r.label, symbols=[r.symbols[k] for k in seen], shares=[r.shares[k] for k in seen]) for r in reading]
        limit = round_limit(layer.out["c"]) if kind.op == "LSTM" else round_limit(np.concatenate([z["u"], z["s"]])) if kind.op == "RNN" else 1.0
        first = values["h"][:, units]
        data = P.LSTMData(
            title=self._title, layer=index, sample=s, samples=self._samples, kind=kind.op.lower(), length=layer.length(s), fired=self._fired(),
            layers=[P.LayerInfo(node=n.name, units=v.out["h"].shape[2], features=v.x.shape[2], timesteps=v.x.shape[1], batch=v.x.shape[0], kind=v.kind.op.lower(),
                                from_the_end=cells.reads_from_the_end(n)) for n, v in zip(self._nodes, self._layers)],
            t_from=t0, t_count=first.shape[0], unit_from=u0, unit_count=first.shape[1],
            c_limit=limit, reading=reading,
            clamps=[P.ClampState(gate=g, value=v, unit=u) for g, (v, u) in held.items()], clamped_layers=sorted(self._clamps),
            rerun=self._run.rerun is not None, outcomes=list(self._outcomes()), norm=norm is not None, data=self._data is not None,
            **described)
        sums = [] if kind.op == "RNN" else [z[k][:, units] for k in kind.shown if k in kind.gates]
        starts = [layer.start(k, s, t0)[units] for k in reversed(kind.states)]
        buffers = [*(values[k][:, units] for k in kind.shown), *sums, *starts, strip]
        return data, buffers if norm is None else [*buffers, norm]

    def _side_by_side(self) -> tuple[P.LSTMLayers, list[np.ndarray]]:
        """What every layer remembers, of the sample on screen."""
        maps, rows = [], []
        for node, layer in zip(self._nodes, self._layers):
            whole = layer.out[layer.kind.memory][self.sample]
            if cells.reads_from_the_end(node):
                whole = turned(whole, layer.length(self.sample))      # every map in the order of the input
            step = (max(1, -(-whole.shape[0] // STEPS)), max(1, -(-whole.shape[1] // UNITS)))
            small = whole[::step[0], ::step[1]]
            maps.append(small)
            rows.append(P.LSTMLayerMap(node=node.name, letter=layer.kind.memory, steps=small.shape[0], units=small.shape[1], every_step=step[0], every_unit=step[1],
                                       limit=round_limit(whole) if layer.kind.memory == "c" else 1.0))
        return P.LSTMLayers(sample=self.sample, maps=rows), maps

    def _say_moments(self, found: Sequence[cells.Match], letter: str, way: str, seconds: float) -> None:
        moments = self.moments()
        time_, strips, rows = moments.x.shape[1], [], []
        for m in found:
            first, last = max(0, m.t - CONTEXT), min(time_, m.t + CONTEXT + 1)
            part = moments.x[m.sequence, first:last].T
            part = part[::max(1, -(-part.shape[0] // 64))]
            strips.append(part)
            rows.append(P.LSTMMoment(sequence=m.sequence, t=m.t, score=m.score, first=first, steps=last - first, rows=part.shape[0]))
        finite = np.concatenate([p.ravel() for p in strips]) if strips else np.zeros(1)
        finite = finite[np.isfinite(finite)]
        top = float(np.abs(finite).max()) if finite.size else 1.0
        self._tell(P.LSTMMoments(layer=self.layer - 1, letter=letter, way=way, t=self.t, sample=self.sample, found=rows, moments=moments.count, sequences=len(moments.x), seconds=seconds,
                                 own=self._data is None, limit=top or 1.0, signed=bool(finite.size and finite.min() < 0)), strips)

    def _bottom(self, node: Node) -> Node:
        """The lowest layer of the stack that this one stands in: what the stack reads."""
        while True:
            below = next((t.node for t in _upstream(_read(node)) if t.node in self._nodes), None)
            if below is None:
                return node
            node = below

    def _strip(self, index: int, sample: int, steps: slice) -> tuple[np.ndarray, dict[str, Any]]:
        """What is drawn over the time axis, in the order in which the layer reads, and how."""
        node = self._nodes[index]
        bottom = self._bottom(node)
        layer = self._layers[self._nodes.index(bottom)]
        x, length = layer.x[sample], self._layers[index].length(sample)
        if cells.reads_from_the_end(node) != cells.reads_from_the_end(bottom):
            x = turned(x, length)
        whole, features = x.shape
        x = x[steps]
        source = _read(bottom).name.removesuffix(":0")
        each = f"{features} {'value' if features == 1 else 'values'} a step"
        if self._images is not None:
            image = self._images[sample]
            rows, cols, channels = image.shape
            columns = f", {cols // whole} column{'' if cols == whole else 's'} a step" if cols % whole == 0 else ""
            label = f"{cols} × {rows} pixels{columns}, seen as {features} {'value' if features == 1 else 'values'}"
            if cells.reads_from_the_end(node):
                image = image[:, ::-1]
            start, end = cols * (steps.start or 0) // whole, cols * min(steps.stop, whole) // whole
            image = image[:, start:max(end, start + 1)]
            return image, {"strip_rows": rows, "strip_cols": image.shape[1], "strip_channels": channels, "strip_image": True, "strip_label": label}
        finite = x[np.isfinite(x)]
        top = float(np.abs(finite).max()) if finite.size and np.abs(finite).max() > 0 else 1.0
        signed = bool(finite.size and finite.min() < 0)
        top = float(f"{top:.3g}")
        shown = x.T[::max(1, -(-features // FEATURES))]
        return shown, {"strip_rows": shown.shape[0], "strip_cols": x.shape[0], "strip_lo": -top if signed else 0.0, "strip_hi": top,
                       "strip_map": "div" if signed else "seq", "strip_label": f"{source}, {each}"}

    def _outcomes(self) -> Iterable[P.Outcome]:
        """The fetches before and after a clamp."""
        if not self._clamps or self._run.rerun is None:
            return
        for tensor in self._run.fetched[:24]:
            before, after = (outcome(r.value(tensor), self.sample, self._samples, self._symbols) for r in (self._run, self._now))
            if after is not None:
                yield P.Outcome(label=tensor.name.removesuffix(":0"), before="—" if before is None else before, after=after)


def _upstream(tensor: Tensor | None, depth: int = 8) -> Iterable[Tensor]:
    """The tensor and what it was made from, a few firings back: a stack may have a dropout or a cast between its layers."""
    if tensor is None:
        return
    yield tensor
    if depth and cells.kind_of_layer(tensor.node) is None:
        for t in tensor.node.inputs:
            yield from _upstream(t, depth - 1)
