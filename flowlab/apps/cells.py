"""What the cells of recurrent layers compute, written out step by step: gates, a gate held, the error on its way back, moments alike, saturation."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.errors import FlowError, plural
from ..core.graph import Node, Tensor
from ..ops.state import INITIALIZERS

Clamps = Mapping[str, tuple[float, int | None]]     # a gate → its value, and one unit or None for all of them
SHUT, OPEN = 0.1, 0.9


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of recurrent layer: its letters, and where its numbers stand in the graph."""

    op: str
    gates: tuple[str, ...]          # in the order of the columns of its variables
    shown: tuple[str, ...]
    outputs: Mapping[str, str]      # port → letter
    held: tuple[str, ...]           # what can be held at a value
    states: tuple[str, ...]         # h0, c0 without the 0; the first is what the layer shows
    shares: tuple[str, ...]         # gates from 0 to 1

    @property
    def memory(self) -> str:
        return "c" if "c" in self.states else "h"


KINDS = {k.op: k for k in (
    Kind("LSTM", ("i", "f", "g", "o"), ("f", "i", "g", "o", "c", "h"), {"out": "h", "f": "f", "i": "i", "g": "g", "o": "o", "c": "c"}, ("f", "i", "g", "o"), ("h", "c"), ("f", "i", "o")),
    Kind("GRU", ("r", "z", "n"), ("r", "z", "n", "h"), {"out": "h", "r": "r", "z": "z", "n": "n"}, ("r", "z", "n"), ("h",), ("r", "z")),
    # a plain layer has no gates: u is what the input says, s what the state before says
    Kind("RNN", (), ("u", "s", "h"), {"out": "h"}, ("h",), ("h",), ()),
)}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's numbers in one run: the input, the weights, and what came of them (batch, time, units)."""

    kind: Kind
    x: np.ndarray
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray
    recurrent_bias: np.ndarray | None
    starts: Mapping[str, np.ndarray]        # "h", "c" → (batch, units)
    lengths: np.ndarray | None              # how many timesteps of each row count
    out: dict[str, np.ndarray]

    @property
    def h0(self) -> np.ndarray:
        return self.starts["h"]

    @property
    def c0(self) -> np.ndarray:
        return self.starts["c"]

    @property
    def units(self) -> int:
        return self.recurrent_kernel.shape[0]

    def length(self, sample: int) -> int:
        """How many timesteps of a sample count."""
        return self.x.shape[1] if self.lengths is None else int(self.lengths[sample])

    def before(self, sample: int) -> np.ndarray:
        """h(t−1) at every timestep t of a sample: (time, units)."""
        return np.concatenate([self.h0[sample][None], self.out["h"][sample][:-1]])

    def before_activation(self, sample: int, steps: slice = slice(None)) -> dict[str, np.ndarray]:
        """The sums that the activations were given, each (time, units), NaN beyond the sample's length, 0 of an RNN: z = x W + h(t−1) U + b."""
        x, h, units = self.x[sample][steps], self.before(sample)[steps], self.units
        with np.errstate(all="ignore"):
            by_input, by_state = x @ self.kernel + self.bias, h @ self.recurrent_kernel
            if self.kind.op == "GRU":
                by_state = by_state + self.recurrent_bias
                by_state[:, 2 * units:] *= self.out["r"][sample][steps]
            if self.kind.op == "RNN":
                sums = {"u": by_input, "s": by_state}
            else:
                sums = dict(zip(self.kind.gates, np.split(by_input + by_state, len(self.kind.gates), axis=-1)))
        end = max(0, self.length(sample) - (steps.start or 0))
        if end < len(x):
            for value in sums.values():
                value[end:] = 0 if self.kind.op == "RNN" else np.nan      # u and s are shown as they are; a sum of 0 would look like a gate of a half
        return sums

    def start(self, state: str, sample: int, t: int) -> np.ndarray:
        """A state as step t finds it: (units,)."""
        return self.out[state][sample][t - 1] if t else self.starts[state][sample]


def kind_of_layer(node: Node) -> Kind | None:
    """What kind of recurrent layer a node is, one that is written out as a loop too (`fl.expand`); None for any other node."""
    if node.op.name in KINDS:
        return KINDS[node.op.name]
    kind = KINDS.get(node.op.name.removesuffix("Outputs"))
    return kind if kind is not None and inputs_of(node) is not None else None


def loop_of(node: Node) -> Node | None:
    """The loop that a layer is written out as, None if it is one node or unrolled."""
    if node.op.name in KINDS or not node.inputs or node.inputs[0].node.op.name != "Scan":
        return None
    return node.inputs[0].node


def inputs_of(node: Node) -> dict[str, Tensor] | None:
    """What a layer computes from, by the names of its ports; of a loop, what enters it. None if that cannot be told."""
    if node.op.name in KINDS:
        return dict(zip(node.ports, node.inputs))
    loop = loop_of(node)
    kind = KINDS.get(node.op.name.removesuffix("Outputs"))
    if loop is None or kind is None:
        return None
    read, states = len(loop.attrs["axes"]), loop.attrs["states"]
    found = {"x": loop.inputs[0]} | {f"{k}0": t for k, t in zip(kind.states, loop.inputs[read:read + states])}
    if read > 1:    # the number of the timestep comes in beside the sequence, to be compared with the lengths; where those are a constant they are inside the loop
        lengths = [t for t in loop.inputs[read + states:] if t.dtype.kind in "iu" and len(t.shape) == 1]
        if len(lengths) != 1:
            return None
        found["lengths"] = lengths[0]
    for t in loop.inputs[read + states:]:
        name = t.node.name.rpartition("/")[2]
        if name in ("kernel", "recurrent_kernel", "bias", "recurrent_bias"):
            found[name] = t
    needs = {"x", "kernel", "recurrent_kernel", "bias", *(["recurrent_bias"] if kind.op == "GRU" else [])}
    return found if needs <= found.keys() else None


def within_loop(node: Node) -> dict[str, tuple[str, int]]:
    """Of a layer that is written out as a loop: the firing in it, and which of its outputs, that gives each letter at a timestep."""
    loop, kind = loop_of(node), kind_of_layer(node)
    if loop is None or kind is None:
        return {}
    body, states = loop.attrs["body"], loop.attrs["states"]
    source = dict(zip(node.ports, node.inputs))
    made = {letter: body.outputs[states + source[port].index] for port, letter in kind.outputs.items()}
    return {letter: (f"{loop.inside}/{t.node.name}", t.index) for letter, t in made.items()}


def reads_from_the_end(node: Node) -> bool:
    """Is it the backward half of a layer that reads from both ends?"""
    read = (inputs_of(node) or {}).get("x")
    if read is None:
        return False
    above = read.node
    return above.op.name == "ReverseSequence" or above.op.name == "Flip" and above.attrs.get("axis") in (1, (1,), [1])


def layer_values(value: Callable[[Tensor], np.ndarray | None], node: Node, hint: str = "Look into a trace: it keeps feeds and variables.") -> Layer:
    """Read a layer from a run, with `value` giving a tensor's value or None; FlowError if an input of it is not known there."""
    kind = KINDS[node.op.name.removesuffix("Outputs")]
    given: dict[str, np.ndarray] = {}
    for port, tensor in (inputs_of(node) or {}).items():
        found = value(tensor)
        if found is None:
            raise FlowError(f"{node.name} needs {tensor.name}, which this run does not hold.", node=node.name, port=port, hint=hint)
        given[port] = found
    out: dict[str, np.ndarray] = {}
    for port, letter in kind.outputs.items():
        found = value(node.output(port))
        if found is None:
            raise FlowError(f"{node.name} was not computed in this run.", node=node.name, hint=hint)
        out[letter] = found
    batch, _, units = out["h"].shape
    zeros = np.zeros((batch, units), out["h"].dtype)
    return Layer(kind, given["x"], given["kernel"], given["recurrent_kernel"], given["bias"], given.get("recurrent_bias"),
                 {s: given.get(f"{s}0", zeros) for s in kind.states}, given.get("lengths"), out)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * np.tanh(0.5 * z) + 0.5


def _hold(gate: dict[str, np.ndarray], clamps: Clamps) -> None:
    for k, (value, unit) in clamps.items():
        if k in gate:
            gate[k][:, slice(None) if unit is None else unit] = value


def forward(layer: Layer, clamps: Clamps) -> dict[str, np.ndarray]:
    """Run the layer with some gates held; an RNN, which has none, with its state held. By letter, (batch, time, units)."""
    kind, (batch, time, _), units = layer.kind, layer.x.shape, layer.units
    h = layer.h0
    c = layer.starts.get("c")
    letters = list(kind.outputs.values())
    steps: dict[str, list[np.ndarray]] = {letter: [] for letter in letters}
    there = None if layer.lengths is None else np.arange(time)[None] < np.asarray(layer.lengths)[:, None]
    with np.errstate(all="ignore"):
        sums = (layer.x if there is None else np.where(there[..., None], layer.x, 0)) @ layer.kernel + layer.bias
        for t in range(time):
            back = h @ layer.recurrent_kernel
            now: dict[str, np.ndarray]
            if kind.op == "LSTM":
                z = dict(zip(kind.gates, np.split(sums[:, t] + back, 4, axis=-1)))
                now = {k: np.tanh(z[k]) if k == "g" else _sigmoid(z[k]) for k in kind.gates}
                _hold(now, clamps)
                now["c"] = now["f"] * c + now["i"] * now["g"]
                now["h"] = now["o"] * np.tanh(now["c"])
            elif kind.op == "GRU":
                back = back + layer.recurrent_bias
                now = {"r": _sigmoid(sums[:, t, :units] + back[:, :units]), "z": _sigmoid(sums[:, t, units:2 * units] + back[:, units:2 * units])}
                _hold(now, clamps)
                now["n"] = np.tanh(sums[:, t, 2 * units:] + now["r"] * back[:, 2 * units:])
                _hold(now, clamps)
                now["h"] = (1 - now["z"]) * now["n"] + now["z"] * h
            else:
                now = {"h": np.tanh(sums[:, t] + back)}
                _hold(now, clamps)
            h, c = now["h"], now.get("c", c)
            for letter in letters:
                steps[letter].append(now[letter] if there is None else np.where(there[:, t, None], now[letter], 0))
    empty = np.zeros((batch, 0, units), layer.h0.dtype)
    return {k: np.stack(v, axis=1).astype(layer.out[k].dtype) if v else empty for k, v in steps.items()}


def fed(node: Node, out: Mapping[str, np.ndarray], layer: Layer) -> dict[Tensor, np.ndarray]:
    """What to feed so that the graph goes on from these values of the layer."""
    values = {node.output(port): out[letter] for port, letter in layer.kind.outputs.items()}
    for state in layer.kind.states:
        whole, start = out[state], layer.starts[state]
        if layer.lengths is not None and whole.shape[1]:
            end = np.asarray(layer.lengths)
            last = np.where(end[:, None] > 0, whole[np.arange(len(whole)), np.maximum(end, 1) - 1], start)
        else:
            last = whole[:, -1] if whole.shape[1] else start
        values[node.output(f"{state}_n")] = last
    return values


# ---------------------------------------------------------------- the error on its way back


Errors = dict[str, Any]     # what comes back to an output from the loss, by port: "out" (time, units), "h_n" (units,) …


def _backward_of(node: Node) -> Node | None:
    name = f"{node.op.name}Gradient"
    return next((n for n in node.graph.nodes if n.op.name == name and n.gradient_of == node.name), None)


def error_tensors(node: Node) -> list[Tensor]:
    """What `errors_at` reads, if the graph goes backwards through the layer."""
    back = _backward_of(node)
    return [] if back is None else [back.outputs[0], *(t for port, t in zip(back.ports, back.inputs) if port.startswith("d_"))]


def errors_at(value: Callable[[Tensor], np.ndarray | None], node: Node, layer: Layer, sample: int) -> Errors | None:
    """What comes back from the loss to the layer's outputs, if this run went backwards through it."""
    back = _backward_of(node)
    if back is None or value(back.outputs[0]) is None:
        return None
    given = {port[2:]: value(t) for port, t in zip(back.ports, back.inputs) if port.startswith("d_")}
    if any(v is None for v in given.values()):
        return None
    found: Errors = {k: v[sample].astype("float64") for k, v in given.items() if v is not None}
    return _whole(found, layer, sample)


def _whole(found: Errors, layer: Layer, sample: int) -> Errors:
    """The same with what comes back to a last state put where the sample ends."""
    end, time = layer.length(sample), layer.x.shape[1]
    errors = {k: v.copy() for k, v in found.items() if not k.endswith("_n")}
    for v in errors.values():
        v[end:] = 0
    for state in layer.kind.states:
        last = found.get(f"{state}_n")
        if last is not None and end:
            whole = errors.setdefault("out" if state == "h" else state, np.zeros((time, layer.units)))
            whole[end - 1] += last
    return errors


def through_time(layer: Layer, sample: int, errors: Errors, clamps: Clamps | None = None) -> np.ndarray:
    """‖∂L/∂c(t)‖ at each step of one sample, ‖∂L/∂h(t)‖ for a layer without a cell state; a gate that is held passes nothing back."""
    kind, held = layer.kind, clamps or {}
    v = {k: a[sample].astype("float64") for k, a in layer.out.items()}
    before = layer.before(sample).astype("float64")
    back = layer.recurrent_kernel.astype("float64").T
    steps, units = v["h"].shape
    norms = np.zeros(steps)
    nothing = np.zeros(units)

    def free(letter: str, d: np.ndarray) -> np.ndarray:
        if letter in held:
            d = d.copy()
            d[slice(None) if held[letter][1] is None else held[letter][1]] = 0.0
        return d

    def at(port: str, t: int) -> np.ndarray:
        return errors[port][t] if port in errors else nothing

    dh, dc = np.zeros(units), np.zeros(units)
    with np.errstate(all="ignore"):
        for t in reversed(range(steps)):
            dh = dh + at("out", t)
            if kind.op == "LSTM":
                f, i, g, o, th = v["f"][t], v["i"][t], v["g"][t], v["o"][t], np.tanh(v["c"][t])
                dc = dc + dh * o * (1 - th * th) + at("c", t)
                norms[t] = np.linalg.norm(dc)
                by = {"f": dc * (v["c"][t - 1] if t else layer.c0[sample]), "i": dc * g, "g": dc * i, "o": dh * th}
                dz = [free(k, (by[k] + at(k, t)) * (1 - v[k][t] ** 2 if k == "g" else v[k][t] * (1 - v[k][t]))) for k in kind.gates]
                dh = np.concatenate(dz) @ back
                dc = dc * f
            elif kind.op == "GRU":
                norms[t] = np.linalg.norm(dh)
                r, z, n = v["r"][t], v["z"][t], v["n"][t]
                looked = before[t] @ layer.recurrent_kernel[:, 2 * units:].astype("float64") + layer.recurrent_bias[2 * units:]     # type: ignore[index]     # a GRU has one
                an = free("n", (dh * (1 - z) + at("n", t)) * (1 - n * n))
                az = free("z", (dh * (before[t] - n) + at("z", t)) * z * (1 - z))
                ar = free("r", (an * looked + at("r", t)) * r * (1 - r))
                dh = dh * z + np.concatenate([ar, az, an * r]) @ back
            else:
                norms[t] = np.linalg.norm(dh)
                dh = free("h", dh * (1 - v["h"][t] ** 2)) @ back
    norms[layer.length(sample):] = 0
    return norms


@dataclass(frozen=True, slots=True)
class ThroughTime:
    """The norm of the error at each step on its way back, in a layer and in a plain recurrent layer of the same size."""

    own: np.ndarray
    plain: np.ndarray
    seed: int
    of_loss: bool       # False: the run has no backward pass, and the sum of the last h stood for the loss


def plain_layer(layer: Layer, seed: int = 0) -> Layer:
    """A plain tanh layer that reads the same input with as many units, as fl.nn.rnn starts one: untrained."""
    features, units = layer.kernel.shape[0], layer.units
    rng = np.random.default_rng(seed)
    kernel = rng.uniform(-units ** -0.5, units ** -0.5, (features, units))
    turn = INITIALIZERS["orthogonal"][0]((units, units), rng, 1.0)
    plain = Layer(KINDS["RNN"], layer.x, kernel, turn, np.zeros(units), None, {"h": np.zeros((len(layer.x), units))}, layer.lengths, {"h": np.zeros((0, 0, units))})
    return replace(plain, out=forward(plain, {}))


def beside_a_plain_layer(layer: Layer, sample: int, errors: Errors | None, clamps: Clamps | None = None, seed: int = 0) -> ThroughTime:
    """Send the error that came to this layer's h back through a plain layer of the same size too.

    Without a backward pass in the run (`errors` None) the sum of h at the last step stands for the loss.
    """
    of_loss = errors is not None
    if errors is None:
        errors = _whole({"h_n": np.ones(layer.units)}, layer, sample)
    one = Layer(layer.kind, layer.x[sample:sample + 1], layer.kernel, layer.recurrent_kernel, layer.bias, layer.recurrent_bias,
                {k: v[sample:sample + 1] for k, v in layer.starts.items()}, None if layer.lengths is None else np.asarray(layer.lengths)[sample:sample + 1],
                {k: v[sample:sample + 1] for k, v in layer.out.items()})
    shown = {"out": errors["out"]} if "out" in errors else {}
    return ThroughTime(through_time(one, 0, errors, clamps), through_time(plain_layer(one, seed), 0, shown), seed, of_loss)


# ---------------------------------------------------------------- moments over a data set


@dataclass(frozen=True, slots=True)
class Moments:
    """A layer's states over many sequences, each (sequences, time, …): what was read, and h, c and the gates by letter."""

    x: np.ndarray
    values: Mapping[str, np.ndarray]
    lengths: np.ndarray | None = None

    @property
    def count(self) -> int:
        n, time = self.x.shape[:2]
        return n * time if self.lengths is None else int(np.sum(self.lengths))

    def there(self) -> np.ndarray:
        """Which moments count: (sequences, time)."""
        n, time = self.x.shape[:2]
        return np.ones((n, time), bool) if self.lengths is None else np.arange(time)[None] < np.asarray(self.lengths)[:, None]


def moments_of(layers: Sequence[Layer]) -> Moments:
    """The moments of one layer in several runs; FlowError where they do not have as many timesteps."""
    steps = {layer.x.shape[1] for layer in layers}
    if len(steps) > 1:
        raise FlowError(f"these runs have {', '.join(map(str, sorted(steps)))} timesteps.", hint="Fill them up to one number, and give lengths.")
    lengths = None
    if any(layer.lengths is not None for layer in layers):
        lengths = np.concatenate([np.full(len(y.x), y.x.shape[1]) if y.lengths is None else np.asarray(y.lengths) for y in layers])
    letters = layers[0].out
    return Moments(np.concatenate([y.x for y in layers]), {k: np.concatenate([y.out[k] for y in layers]) for k in letters}, lengths)


@dataclass(frozen=True, slots=True)
class Match:
    """A moment whose state is like the one that was asked for."""

    sequence: int
    t: int
    score: float


WAYS = ("cosine", "distance", "threshold")


def similar(moments: Moments, state: np.ndarray, letter: str, *, units: Sequence[int] | None = None, way: str = "cosine", threshold: float = 0.3, count: int = 12,
            apart: int = 3, without: tuple[int, int] | None = None) -> list[Match]:
    """The moments whose state looks most like `state` (units,), the best first, no two of a sequence nearer than `apart` steps.

    `way`: `"cosine"` (1 is the same direction), `"distance"` (Euclid's, 0 is the same) or `"threshold"`: which units are above the threshold, and how
    many of those two moments share of all that either has (1 is all). `units` compares only some of them. FlowError for what is not there.
    """
    if way not in WAYS:
        raise FlowError(f"moments cannot be compared by {way!r}.", hint=f"There are {', '.join(WAYS)}.")
    if letter not in moments.values:
        raise FlowError(f"this layer has no {letter!r}.", hint=f"It has {', '.join(moments.values)}.")
    every = moments.values[letter]
    n, time, width = every.shape
    chosen: Any = slice(None)
    if units is not None:
        chosen = np.asarray(units)
        if chosen.ndim != 1 or not chosen.size or chosen.dtype.kind not in "iu" or int(chosen.min()) < 0 or int(chosen.max()) >= width:
            raise FlowError(f"units {list(units)} are not all there.", hint=f"Give some from 0 to {width - 1}.")
    flat = every.reshape(n * time, width)[:, chosen]
    want = np.asarray(state, dtype=flat.dtype)[chosen]
    with np.errstate(all="ignore"):
        if way == "cosine":
            sizes = np.sqrt(np.einsum("nu,nu->n", flat, flat)) * float(np.sqrt(want @ want))
            score = np.where(sizes > 0, (flat @ want) / np.where(sizes > 0, sizes, 1), 0)
        elif way == "distance":
            score = -np.sqrt(np.maximum(np.einsum("nu,nu->n", flat, flat) - 2 * (flat @ want) + want @ want, 0))
        else:
            on = want > threshold
            if not on.any():
                raise FlowError(f"no unit is above {threshold:g} at this moment.", hint="Choose a lower threshold.")
            high = flat > threshold
            both = high[:, on].sum(axis=1)
            score = both / (high.sum(axis=1) + on.sum() - both)
    score = np.where(np.isfinite(score) & moments.there().reshape(-1), score, -np.inf).astype("float64")
    return _best(score.reshape(n, time), count, apart, without, -1.0 if way == "distance" else 1.0)


def _best(score: np.ndarray, count: int, apart: int, without: tuple[int, int] | None, sign: float) -> list[Match]:
    """The highest scores, no two of them neighbours."""
    n, time = score.shape
    if without is not None and 0 <= without[0] < n:
        score[without[0], max(0, without[1] - apart + 1):without[1] + apart] = -np.inf
    # each taken moment shuts out at most its neighbours
    most = min(score.size, count * (2 * apart - 1))
    flat = score.reshape(-1)
    first = np.argpartition(-flat, most - 1)[:most] if most else np.zeros(0, int)
    found: list[Match] = []
    for k in first[np.lexsort((first, -flat[first]))]:
        s, t = divmod(int(k), time)
        if len(found) == count or flat[k] == -np.inf:
            break
        if all(m.sequence != s or abs(m.t - t) >= apart for m in found):
            found.append(Match(s, t, sign * float(flat[k])))
    return found


def saturation(moments: Moments, letter: str) -> tuple[np.ndarray, np.ndarray]:
    """(share of moments in which each unit's gate is under 0.1, share in which it is over 0.9), each (units,); for g, n, c and h their size counts."""
    if letter not in moments.values:
        raise FlowError(f"this layer has no {letter!r}.", hint=f"It has {', '.join(moments.values)}.")
    values, there = moments.values[letter], moments.there()[..., None]
    total = max(1, moments.count)
    values = values if letter in "firzo" else np.abs(values)
    return ((values < SHUT) & there).sum(axis=(0, 1)) / total, ((values > OPEN) & there).sum(axis=(0, 1)) / total


def said_of(moments: Moments) -> str:
    """How much was searched, in words."""
    return f"{plural(moments.count, 'moment')} of {plural(len(moments.x), 'sequence')}"
