"""Look inside an LSTM: one cursor, a step and a unit, through its gates, its memory and its equations."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anywidget
import numpy as np
import traitlets

from ..core.errors import FlowError
from ..core.graph import Node, Tensor
from . import protocol as P
from .looking import MISSING, STATIC, Reader, article_of, kind_of, outcome, reader, round_limit, within
from .words import Worded

GATES = ("i", "f", "g", "o")        # the order of the columns in the layer's variables
SHOWN = ("f", "i", "g", "o", "c", "h")
OUTPUTS = {"out": "h", "f": "f", "i": "i", "g": "g", "o": "o", "c": "c"}


# ---------------------------------------------------------------- where the numbers come from


def layers_of(run: Reader, node: Any = None) -> tuple[Node, ...]:
    """The LSTM layers that this run computed, in creation order: all of them, those in a scope, or the one that is named."""
    graph = run.graph
    every = [n for n in graph.nodes if n.op.name == "LSTM" and n.phase == "forward"]
    listed = ", ".join(n.name for n in every) or "none"
    if not every:
        raise FlowError(f"graph {graph.name!r} has no LSTM.", hint='fl.nn.lstm(seq, units, name="lstm") makes one.')
    wanted = every
    if node is not None:
        name = node if isinstance(node, str) else getattr(node, "name", None) or getattr(getattr(node, "node", None), "name", None)
        if not isinstance(name, str):
            raise FlowError(f"{kind_of(node)} names no layer.", hint=f"LSTM layers of this graph: {listed}.")
        name = name.partition(":")[0].rstrip("/")
        wanted = [n for n in every if n.name == name or n.name.startswith(name + "/")]
        if not wanted:
            if name in graph.nodes:
                message = f"{name} is {article_of(graph.nodes[name].op.name)}, no LSTM."
            else:
                message = f"this graph has no LSTM named {name!r}."
            raise FlowError(message, node=name, hint=f"LSTM layers of this graph: {listed}.")
    there = [n for n in wanted if all(run.value(n.output(p)) is not None for p in OUTPUTS)]
    if not there:
        done = ", ".join(n.name for n in every if run.value(n.output("out")) is not None) or "none"
        names = ", ".join(n.name for n in wanted)
        raise FlowError(f"{names} {'was' if len(wanted) == 1 else 'were'} not computed in this run.", node=wanted[-1].name,
                        hint=f"{run.way} LSTM layers with values: {done}.")
    return tuple(there)


# ---------------------------------------------------------------- what a layer computes


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's numbers in one run: the input, the weights, and what came of them (batch, time, units)."""

    x: np.ndarray
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray
    h0: np.ndarray
    c0: np.ndarray
    out: dict[str, np.ndarray]          # f i g o c h

    def before_activation(self, sample: int) -> dict[str, np.ndarray]:
        """The four sums that the gates' activations were given, each (time, units): z = x W + h(t−1) U + b."""
        h = np.concatenate([self.h0[sample][None], self.out["h"][sample][:-1]])
        with np.errstate(all="ignore"):
            z = self.x[sample] @ self.kernel + h @ self.recurrent_kernel + self.bias
        return dict(zip(GATES, np.split(z, 4, axis=-1)))


def layer_values(run: Reader, node: Node) -> Layer:
    """Read a layer from a run; FlowError if an input of it is not known there."""
    given: dict[str, np.ndarray | None] = {}
    for port, tensor in zip(node.ports, node.inputs):
        given[port] = run.value(tensor)
        if given[port] is None:
            raise FlowError(f"{node.name} needs {tensor.name}, which this run does not hold.", node=node.name, port=port,
                            hint="Look into a trace: it keeps feeds and variables.")
    out = {letter: run.read(node.output(port)) for port, letter in OUTPUTS.items()}
    batch, _, units = out["h"].shape
    zeros = np.zeros((batch, units), out["h"].dtype)
    states = {port: zeros if given.get(port) is None else given[port] for port in ("h0", "c0")}
    return Layer(given["x"], given["kernel"], given["recurrent_kernel"], given["bias"], states["h0"], states["c0"], out)


def forward(layer: Layer, clamps: Mapping[str, tuple[float, int | None]]) -> dict[str, np.ndarray]:
    """Run the layer with some gates held: `clamps` maps a gate to its value and to one unit, or None for all of them."""
    batch, time, _ = layer.x.shape
    h, c = layer.h0, layer.c0
    steps: dict[str, list[np.ndarray]] = {letter: [] for letter in SHOWN}
    with np.errstate(all="ignore"):
        sums = layer.x @ layer.kernel + layer.bias
        for t in range(time):
            z = dict(zip(GATES, np.split(sums[:, t] + h @ layer.recurrent_kernel, 4, axis=-1)))
            gate = {k: np.tanh(z[k]) if k == "g" else 0.5 * np.tanh(0.5 * z[k]) + 0.5 for k in GATES}
            for k, (value, unit) in clamps.items():
                gate[k][:, slice(None) if unit is None else unit] = value
            f, i, g, o = (gate[k] for k in "figo")
            c = f * c + i * g
            h = o * np.tanh(c)
            for letter, value in zip(SHOWN, (f, i, g, o, c, h)):
                steps[letter].append(value)
    empty = np.zeros((batch, 0, h.shape[-1]), h.dtype)
    return {k: np.stack(v, axis=1).astype(layer.out[k].dtype) if v else empty for k, v in steps.items()}


def cell_gradient(run: Reader, node: Node, layer: Layer, sample: int, clamps: Mapping[str, tuple[float, int | None]]) -> np.ndarray | None:
    """‖∂L/∂c(t)‖ at each step for one sample, if this run went backwards through the layer; a gate that is held passes nothing back."""
    back = next((n for n in run.graph.nodes if n.op.name == "LSTMGradient" and n.gradient_of == node.name), None)
    if back is None or run.value(back.outputs[0]) is None:
        return None
    given = {port[2:]: run.value(t) for port, t in zip(back.ports, back.inputs) if port.startswith("d_")}
    if any(v is None for v in given.values()):
        return None
    d = {k: v[sample].astype("float64") for k, v in given.items()}
    f, i, g, o, c = (layer.out[k][sample].astype("float64") for k in "figoc")
    steps = len(c)
    dh, dc = d.get("h_n", 0.0), d.get("c_n", 0.0)
    norms = np.zeros(steps)
    with np.errstate(all="ignore"):
        for t in reversed(range(steps)):
            th = np.tanh(c[t])
            dh = dh + (d["out"][t] if "out" in d else 0.0)
            dc = dc + dh * o[t] * (1 - th * th) + (d["c"][t] if "c" in d else 0.0)
            norms[t] = np.sqrt(np.sum(dc * dc))
            by = {"f": dc * (c[t - 1] if t else layer.c0[sample]), "i": dc * g[t], "g": dc * i[t], "o": dh * th}
            dz = []
            for k in GATES:
                value = {"f": f, "i": i, "g": g, "o": o}[k][t]
                dk = (by[k] + (d[k][t] if k in d else 0.0)) * (1 - value * value if k == "g" else value * (1 - value))
                if k in clamps:
                    dk[slice(None) if clamps[k][1] is None else clamps[k][1]] = 0.0
                dz.append(dk)
            dh = np.concatenate(dz) @ layer.recurrent_kernel.T
            dc = dc * f[t]
    return norms


def fed(node: Node, out: Mapping[str, np.ndarray], layer: Layer) -> dict[Tensor, np.ndarray]:
    """What to feed so that the graph goes on from these values of the layer."""
    values = {node.output(port): out[letter] for port, letter in OUTPUTS.items()}
    values[node.output("h_n")] = out["h"][:, -1] if out["h"].shape[1] else layer.h0
    values[node.output("c_n")] = out["c"][:, -1] if out["c"].shape[1] else layer.c0
    return values


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
        raise FlowError(f"{scope} reads {kernel.shape[0]} numbers, the last LSTM gives {hidden.shape[1]}.", node=scope)
    with np.errstate(all="ignore"):
        logits = hidden @ kernel + bias
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------- the widget


class LSTMView(Worded, anywidget.AnyWidget):
    """See what an LSTM forgets, writes and shows, step by step and unit by unit.

    `source`: a trace, a session (its last trace), a debugger or an editor. `node`: a layer, `"lstm/LSTM"`, or a scope, `"lstm"`; without it
    all LSTM layers, the last one first on screen. `image`: (H, W) or (H, W, 3), or one a sample, drawn over the time axis instead of
    the first layer's input. `reading`: what the heads would answer at each step: pairs of a label and probabilities (time, classes), or
    names of dense layers on the last LSTM's state, or a function of that state (time, units) that gives such pairs; the last two follow
    a clamp. `symbols`: a name for each class. `language`: what the screen speaks, `en`, `zh-CN` or `zh-TW`; without it the page decides.

    `t`, `unit` and `sample` count from 0, `layer` from 1 as its button does; all four can be read and set. FlowError says what there is.

    >>> view = LSTMView(sess.trace([loss], feeds), "lstm")          # doctest: +SKIP
    >>> view.t, view.unit = 18, 8                                   # doctest: +SKIP
    >>> view.clamp("f", 1)                                          # doctest: +SKIP
    """

    _esm = STATIC / "lstm.js" if (STATIC / "lstm.js").is_file() else MISSING
    _css = STATIC / "lstm.css" if (STATIC / "lstm.css").is_file() else ""
    t = traitlets.Int(0).tag(sync=True)
    unit = traitlets.Int(0).tag(sync=True)
    layer = traitlets.Int(1).tag(sync=True)
    sample = traitlets.Int(0).tag(sync=True)

    def __init__(self, source: Any, node: Any = None, *, sample: int = 0, t: int = 0, unit: int = 0, image: Any = None, reading: Any = None,
                 symbols: Any = None, title: str | None = None, language: str | None = None):
        self._source = source
        self._run = self._now = reader(source)
        self._nodes = layers_of(self._run, node)
        self._plain = self._layers = tuple(layer_values(self._run, n) for n in self._nodes)
        self._clamps: dict[int, dict[str, tuple[float, int | None]]] = {}
        self._samples = self._plain[0].out["h"].shape[0]
        self._images = pictures(image, self._samples)
        self._reading, self._symbols = reading, symbols
        self._title = self._run.graph.name if title is None else str(title)
        for n, values in zip(self._nodes, self._plain):
            if 0 in values.out["h"].shape:
                raise FlowError(f"{n.name} is {values.out['h'].shape} (batch, time, units): there is nothing to see.", node=n.name)
        super().__init__()
        if language is not None:
            self.language = language
        self._quiet = True
        self.layer = len(self._nodes)
        self.sample, self.t, self.unit = sample, t, unit
        self._quiet = False
        self._rows()        # a reading that does not fit is said here, not when the page asks
        self.on_msg(self._heard)

    def __repr__(self) -> str:
        where = f"step {self.t} of {self._steps}, unit {self.unit} of {self._units}, sample {self.sample} of {self._samples}"
        return f"LSTM view of {self._nodes[self.layer - 1].name}: {where}"

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

    @traitlets.validate("sample")
    def _check_sample(self, proposal: Any) -> int:
        return within("sample", proposal["value"], self._samples)

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        count = len(self._nodes)
        if not 1 <= proposal["value"] <= count:
            names = ", ".join(f"{k}: {n.name}" for k, n in enumerate(self._nodes, 1))
            raise FlowError(f"there is no layer {proposal['value']}.", hint=f"There {'is' if count == 1 else 'are'} {names}.")
        return proposal["value"]

    @traitlets.observe("layer", "sample")
    def _moved(self, change: Any) -> None:
        if change["name"] == "layer":
            # another layer may be smaller
            self.t, self.unit = min(self.t, self._steps - 1), min(self.unit, self._units - 1)
        if not self._quiet:
            self._show()

    def refresh(self, source: Any = None) -> None:
        """Look again: a debugger has gone on, a session has recorded another run. With `source`, look into that one, made by the same graph.

        Clamps stay on. FlowError, and nothing changes, if these layers are not computed there or the batch is smaller than `sample`.
        """
        source = self._source if source is None else source
        run = reader(source)
        if run.graph is not self._run.graph:
            raise FlowError(f"that is a run of {run.graph.name!r}, this view shows {self._run.graph.name!r}.", hint="Open another view.")
        missing = [n.name for n in self._nodes if any(run.value(n.output(p)) is None for p in OUTPUTS)]
        if missing:
            raise FlowError(f"{missing[0]} has no values there.", node=missing[0], hint=run.way)
        plain = tuple(layer_values(run, n) for n in self._nodes)
        within("sample", self.sample, plain[0].out["h"].shape[0])
        if self._images is not None and len(self._images) != plain[0].out["h"].shape[0]:
            raise FlowError(f"this view has {len(self._images)} images, that run has {plain[0].out['h'].shape[0]} samples.", hint="Open another view.")
        self._source, self._run, self._plain, self._samples = source, run, plain, plain[0].out["h"].shape[0]
        self._hold(self._clamps)
        self.t = min(self.t, self._steps - 1)
        self._show()

    # ------------------------------------------------------------ clamping

    def clamp(self, gate: str, value: float | None, unit: int | None = None, *, layer: int | None = None) -> None:
        """Hold a gate at a value, in one unit or in all, and run again what follows; None lets it go.

        `layer` counts from 1; without it the one on screen. Needs a trace to rerun what comes after the layer.
        """
        number = self.layer if layer is None else self._check_layer({"value": layer})
        if gate not in GATES:
            raise FlowError(f"an LSTM has no gate {gate!r}.", hint="Its gates are f, i, g and o.")
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
                out = forward(layers[k], clamps[k])
                # from the recorded run with all that is held so far: a layer below keeps its own clamps
                values |= fed(node, out, layers[k])
                now = self._run.over(values)
                layers[k] = replace(layers[k], out=out)
        self._clamps, self._now, self._layers = clamps, now, tuple(layers)

    # ------------------------------------------------------------ talking with the page

    def _heard(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, Mapping):
            return
        ok = True
        try:
            self._answer(content)
        except FlowError as error:
            ok = False
            self._tell(P.Notice(level="alert", text=error.message, hint=error.hint, node=error.node))
        except Exception as error:
            ok = False
            self._tell(P.Notice(level="alert", text=f"{type(error).__name__}: {error}", hint="The view is as it was."))
        seq = content.get("seq")
        if isinstance(seq, int):
            self._tell(P.Done(seq=seq, ok=ok))

    def _answer(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "hello", "version": version}:
                if version != P.VERSION:
                    raise FlowError(f"the page speaks version {version}, the kernel {P.VERSION}.",
                                    hint="Restart the kernel, or reload the page.")
                self._show()
            case {"type": "lstm_ask", "layer": int(layer), "sample": int(sample)}:
                layer, sample = self._check_layer({"value": layer + 1}), within("sample", sample, self._samples)   # both, or neither
                self._quiet = True
                try:
                    self.layer, self.sample = layer, sample
                finally:
                    self._quiet = False
                self._show()
            case {"type": "clamp", "layer": int(layer), "gate": str(gate), "value": value}:
                self.clamp(gate, value, content.get("unit"), layer=layer + 1)
            case _:
                raise FlowError(f"the view does not know the message {content.get('type')!r}.", hint="Reload the page.")

    def _tell(self, message: Any, buffers: Sequence[np.ndarray] = ()) -> None:
        self.send(P.as_json(message), buffers=[np.asarray(b, dtype="<f4").tobytes() for b in buffers])

    def _show(self) -> None:
        """Send the layer and sample on screen."""
        self._tell(*self._message())

    def _rows(self) -> list[P.ReadingRow]:
        return reading_rows(self._reading, self._symbols, self._layers[-1].out["h"][self.sample], self.sample, self._now)

    def _message(self) -> tuple[P.LSTMData, list[np.ndarray]]:
        index, s = self.layer - 1, self.sample
        layer = self._layers[index]
        z = layer.before_activation(s)
        strip, described = self._strip(index, s)
        held = self._clamps.get(index, {})
        norm = cell_gradient(self._now, self._nodes[index], layer, s, held)
        reading = self._rows() if layer.out["h"].shape[1] == self._layers[-1].out["h"].shape[1] else []
        data = P.LSTMData(
            title=self._title, layer=index, sample=s, samples=self._samples,
            layers=[P.LayerInfo(node=n.name, units=v.out["h"].shape[2], features=v.x.shape[2], timesteps=v.x.shape[1], batch=v.x.shape[0])
                    for n, v in zip(self._nodes, self._layers)],
            c_limit=round_limit(layer.out["c"]), reading=reading,
            clamps=[P.ClampState(gate=g, value=v, unit=u) for g, (v, u) in held.items()], clamped_layers=sorted(self._clamps),
            rerun=self._run.rerun is not None, outcomes=list(self._outcomes()), norm=norm is not None,
            **described)
        buffers = [*(layer.out[k][s] for k in SHOWN), *(z[k] for k in "figo"), layer.c0[s], layer.h0[s], strip]
        return data, buffers if norm is None else [*buffers, norm]

    def _strip(self, index: int, sample: int) -> tuple[np.ndarray, dict[str, Any]]:
        """What is drawn over the time axis, and how."""
        # a stack reads what its lowest layer reads
        while index and any(self._nodes[index - 1] is t.node for t in _upstream(self._nodes[index].input("x"))):
            index -= 1
        x = self._layers[index].x[sample]
        steps, features = x.shape
        source = self._nodes[index].input("x").name.removesuffix(":0")
        each = f"{features} {'value' if features == 1 else 'values'} a step"
        if self._images is not None:
            image = self._images[sample]
            rows, cols, channels = image.shape
            columns = f", {cols // steps} column{'' if cols == steps else 's'} a step" if cols % steps == 0 else ""
            return image, {"strip_rows": rows, "strip_cols": cols, "strip_channels": channels, "strip_image": True,
                           "strip_label": f"{cols} × {rows} pixels{columns}, seen as {features} {'value' if features == 1 else 'values'}"}
        finite = x[np.isfinite(x)]
        top = float(np.abs(finite).max()) if finite.size and np.abs(finite).max() > 0 else 1.0
        signed = bool(finite.size and finite.min() < 0)
        top = float(f"{top:.3g}")
        return x.T, {"strip_rows": features, "strip_cols": steps, "strip_lo": -top if signed else 0.0, "strip_hi": top,
                     "strip_map": "div" if signed else "seq", "strip_label": f"{source}, {each}"}

    def _outcomes(self) -> Iterable[P.Outcome]:
        """The fetches before and after a clamp."""
        if not self._clamps or self._run.rerun is None:
            return
        for tensor in self._run.fetched[:24]:
            before, after = (outcome(r.value(tensor), self.sample, self._samples, self._symbols) for r in (self._run, self._now))
            if before is not None and after is not None:
                yield P.Outcome(label=tensor.name.removesuffix(":0"), before=before, after=after)


def _upstream(tensor: Tensor | None, depth: int = 6) -> Iterable[Tensor]:
    """The tensor and what it was made from, a few firings back: a stack may have a dropout or a cast between its layers."""
    if tensor is None:
        return
    yield tensor
    if depth and tensor.node.op.name != "LSTM":
        for t in tensor.node.inputs:
            yield from _upstream(t, depth - 1)
