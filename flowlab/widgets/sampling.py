"""What a training view looks at beside the loss: histograms of weights, gradients and activations over the steps, and where a classifier of the plane draws its line."""
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..apps.tape import Past
from ..apps.training import Training
from ..core.errors import AttributeValueError, FlowError
from ..core.graph import Graph, Node, Tensor

BINS = 40
MOST_TENSORS = 12       # of one group
MOST_SAMPLES = 240      # of one tensor; then every second goes
MOST_VALUES = 1 << 16   # of one tensor that are counted; more are sampled evenly
SHARE = 0.03            # of the training's time that looking may take
GRID = 64               # cells of the plane, each way
MOST_POINTS = 300

Group = Literal["weights", "gradients", "activations"]
GROUPS: tuple[Group, ...] = ("weights", "gradients", "activations")


@dataclass
class Line:
    """One tensor's histograms, sample by sample: the lowest and the highest finite value, the counts between them, and how many were not finite."""

    name: str
    lo: list[float] = field(default_factory=list)
    hi: list[float] = field(default_factory=list)
    counts: list[np.ndarray] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)

    def add(self, values: np.ndarray) -> None:
        flat = np.asarray(values).reshape(-1)
        if flat.size > MOST_VALUES:
            flat = flat[::-(-flat.size // MOST_VALUES)]
        flat = flat.astype("float64")
        known = flat[np.isfinite(flat)]
        lo, hi = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
        # of one value the bin in the middle
        counts = np.histogram(known, BINS, (lo, hi))[0] if hi > lo else np.bincount([BINS // 2], [known.size], BINS)
        self.lo.append(lo), self.hi.append(hi)
        self.counts.append((counts / max(1, known.size)).astype("float32"))
        self.bad.append(int(flat.size - known.size))

    def thin(self) -> None:
        for values in (self.lo, self.hi, self.counts, self.bad):
            del values[1::2]


@dataclass
class Plane:
    """What a classifier of two numbers says over the plane, and some examples on it."""

    values: np.ndarray      # (rows, columns, classes), shares that add up to 1
    box: tuple[float, float, float, float]      # x from, to; y from, to
    points: np.ndarray      # (n, 2)
    labels: np.ndarray      # (n,)
    axes: tuple[str, str]


class Sampler:
    """Looks at a training from its own thread, as often as a small share of the time allows."""

    def __init__(self, run: Training, boundary: Any = None, share: float = SHARE):
        self.share, self.run = share, run
        graph = run.session.graph
        self.weights = graph.trainable_variables[:MOST_TENSORS]
        pairs = [(v, g) for v in graph.trainable_variables if (g := gradient_of(graph, v)) is not None][:MOST_TENSORS]
        self.gradients = [g for _, g in pairs]
        self.activations = [n.outputs[0] for n in graph.nodes if n.phase == "forward" and n.outputs and n.op.category in ("activation", "recurrent") and "labels" not in n.ports and n.op.name != "Dropout"][:MOST_TENSORS]
        self.lines: dict[Group, list[Line]] = {
            "weights": [Line(_plain(v)) for v in self.weights], "gradients": [Line(_plain(v)) for v, _ in pairs], "activations": [Line(_plain(t)) for t in self.activations]}
        self.steps: dict[Group, list[int]] = {g: [] for g in GROUPS}
        self.spent = 0.0
        self.cost = 0.0     # of one look; the first, which makes plans, is left out
        self._first = 0.0
        self.looks = 0
        self.trouble = ""   # why there are no gradients or activations
        self.plane: Plane | None = None
        self.plane_at = -1
        self._boundary = found_boundary(graph) if boundary is None else None if boundary is False else given_boundary(graph, boundary)
        self._seen: list[tuple[np.ndarray, np.ndarray | None]] = []

    @property
    def has_plane(self) -> bool:
        return self._boundary is not None

    def due(self) -> bool:
        """May it look now, within its share of the time?"""
        return not self.looks or self.spent - self._first + self.cost <= self.share * self.run.seconds

    def look(self) -> None:
        """Take one sample of everything, after a step."""
        began = time.thread_time()     # what other threads do meanwhile is not its cost
        step = self.run.step - 1
        values = self.run.session.store.values
        for line, v in zip(self.lines["weights"], self.weights):
            line.add(values[v.node.id])
        self.steps["weights"].append(step)
        self._look_inside(step)
        for group, steps in self.steps.items():
            if len(steps) > MOST_SAMPLES:
                del steps[1::2]
                for line in self.lines[group]:
                    line.thin()
        self.looks += 1
        self.spent += time.thread_time() - began
        if self.looks == 1:
            self._first = self.cost = self.spent
        else:
            self.cost = (self.spent - self._first) / (self.looks - 1)

    def _look_inside(self, step: int) -> None:
        """Gradients, activations and the plane: the step done once more, which commits nothing."""
        try:
            past = self.run.past(step)
        except FlowError as error:
            self.trouble = error.message
            return
        wanted = [*self.gradients, *self.activations]
        try:
            found = Past(past.session, wanted, past.feeds, past.since).trace().results if wanted else []
            for line, value in zip((*self.lines["gradients"], *self.lines["activations"]), found):
                line.add(value)
            self.steps["gradients"].append(step)
            self.steps["activations"].append(step)
            if self._boundary is not None:
                self.plane, self.plane_at = self._plane(past, *self._boundary), step
        except FlowError as error:
            self.trouble = error.message

    def _plane(self, past: Past, place: Tensor, answer: Tensor) -> Plane | None:
        batch = past.feeds.get(place.name)
        if batch is None:
            return None
        labels = next((v for k, v in past.feeds.items() if v.dtype.kind in "iub" and v.shape == batch.shape[:1]), None)
        self._seen = [*self._seen[-15:], (batch, labels)]
        points = np.concatenate([b for b, _ in self._seen])[-MOST_POINTS:]
        known = [np.zeros(len(b), int) if l is None else l for b, l in self._seen]
        x0, x1, y0, y1 = *_margins(points[:, 0]), *_margins(points[:, 1])
        xs, ys = np.linspace(x0, x1, GRID), np.linspace(y1, y0, GRID)      # the top row first, as it is drawn
        grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2).astype(batch.dtype)
        # what else it needs is fed as in the batch, where that does not go example by example
        other = {k: v for k, v in past.feeds.items() if k != place.name and v.shape[:1] != batch.shape[:1]}
        said = np.asarray(Past(past.session, answer, {**other, place.name: grid}, past.session.moment()).trace().results, dtype="float64").reshape(len(grid), -1)
        with np.errstate(all="ignore"):
            if said.shape[1] == 1:
                share = 1 / (1 + np.exp(-said))
                shares = np.concatenate([1 - share, share], axis=1)
            else:
                e = np.exp(said - said.max(axis=1, keepdims=True))
                shares = e / e.sum(axis=1, keepdims=True)
        return Plane(shares.reshape(GRID, GRID, -1).astype("float32"), (x0, x1, y0, y1), points.astype("float32"), np.concatenate(known)[-MOST_POINTS:].astype(int),
                     (f"{_plain(place)}[:, 0]", f"{_plain(place)}[:, 1]"))


def gradient_of(graph: Graph, variable: Tensor) -> Tensor | None:
    """The loss's gradient by a variable, as the update of the variable takes it in: the nearest tensor of the way back that has its shape."""
    update = next((n for n in graph.nodes if n.op.name == "Assign" and n.phase == "update" and n.inputs[0] is variable), None)
    layer, seen = [update] if update is not None else [], set()
    while layer:
        following: list[Node] = []
        for node in layer:
            for t in node.inputs:
                if t.node.phase == "backward" and t.shape == variable.shape:
                    return t
                if t.node.phase == "update" and t.node.id not in seen:
                    seen.add(t.node.id)
                    following.append(t.node)
        layer = following
    return None


def found_boundary(graph: Graph) -> tuple[Tensor, Tensor] | None:
    """A placeholder of two numbers an example, and the logits that a loss takes; None where there is no such pair."""
    places = [p for p in graph.placeholders if p.rank == 2 and p.shape[1] == 2 and p.dtype.kind == "f"]
    loss = next((n for n in graph.nodes if n.phase == "forward" and "logits" in n.ports), None)
    if len(places) != 1 or loss is None:
        return None
    answer = loss.inputs[loss.ports.index("logits")]
    return (places[0], answer) if 1 <= answer.rank <= 2 else None


def given_boundary(graph: Graph, boundary: Any) -> tuple[Tensor, Tensor]:
    """The tensor that a person named, and the one placeholder of two numbers that it is drawn over."""
    answer = boundary if isinstance(boundary, Tensor) else graph.tensor(str(boundary) if ":" in str(boundary) else f"{boundary}:0")
    places = [p for p in graph.placeholders if p.rank == 2 and p.shape[1] == 2 and p.dtype.kind == "f"]
    if len(places) != 1:
        raise AttributeValueError(f"a boundary is drawn over one placeholder of shape (batch, 2), and {graph.name!r} has {len(places)}.", port="boundary", hint="Leave boundary out.")
    return places[0], answer


def _plain(tensor: Tensor) -> str:
    return tensor.name.removesuffix(":0")


def _margins(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    known = np.asarray(values, dtype="float64")
    known = known[np.isfinite(known)]
    lo, hi = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    room = 0.12 * ((hi - lo) or 1.0)
    return lo - room, hi + room
