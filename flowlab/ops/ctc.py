"""Connectionist temporal classification: a loss for labels that stand somewhere in a sequence, nobody says where.

Graves et al. 2006. A path gives each frame a class or the blank; repeats are merged and blanks dropped, and what is left are the labels. The sum over
all paths is found by two passes, from the front (alpha) and from the end (beta), over the labels with blanks between them; all in logarithms.
"""
from __future__ import annotations

from typing import Any

from ..core.errors import AttributeValueError, GradientError, ShapeError, plural
from ..core.op import op
from ..core.shape import meet
from ..core.types import TensorType, shape_text
from .activation import log_softmax
from .array import expand_dims
from .math import exp, multiply, negative
from .reduce import sum_

_NEVER = -float("inf")


def _sequence(word: str, logits: TensorType, labels: TensorType, logit_lengths: TensorType, label_lengths: TensorType, blank: int, port: str = "logits") -> Any:
    """The number of rows, once everything fits."""
    if logits.rank != 3:
        raise ShapeError(f"{word}: {port} is {shape_text(logits.shape)}.", port=port, hint="It takes (batch, time, classes).")
    if labels.rank != 2:
        raise ShapeError(f"{word}: labels is {shape_text(labels.shape)}.", port="labels", hint="It takes (batch, most labels), each row filled up with any number.")
    batch = logits.shape[0]
    for t, name in ((labels, "labels"), (logit_lengths, "logit_lengths"), (label_lengths, "label_lengths")):
        if name != "labels" and t.rank != 1:
            raise ShapeError(f"{word}: {name} is {shape_text(t.shape)}.", port=name, hint="It takes one number a row: (batch,).")
        try:
            batch = meet(batch, t.shape[0])
        except ValueError:
            raise ShapeError(f"{word}: axis 0 of {port} has {batch}, of {name} {t.shape[0]}.", port=name, axis=0, hint="There is one row for every sequence.") from None
    classes = logits.shape[2]
    if blank < 0 or isinstance(classes, int) and blank >= classes:
        raise AttributeValueError(f"{word}: blank is {blank}.", port="blank", hint=f"It is a class number from 0 to {classes - 1}." if isinstance(classes, int) else "It is a class number.")
    return batch


def _loss_type(logits, labels, logit_lengths, label_lengths, *, blank: int, word: str, **_: Any) -> TensorType:
    return TensorType((_sequence(word, logits, labels, logit_lengths, label_lengths, blank),), logits.dtype)


def _share_type(log_probabilities, labels, logit_lengths, label_lengths, *, blank: int, word: str, **_: Any) -> TensorType:
    _sequence(word, log_probabilities, labels, logit_lengths, label_lengths, blank, "log_probabilities")
    return log_probabilities


class _Paths:
    """The labels with blanks between them, what each frame says of them, and which steps between them are allowed."""

    def __init__(self, xp: Any, log_p: Any, labels: Any, frames: Any, lengths: Any, blank: int):
        batch, time, classes = log_p.shape
        most = labels.shape[1]
        if not labels.shape[0] == frames.shape[0] == lengths.shape[0] == batch:
            raise ValueError(f"there are {batch} sequences, {labels.shape[0]} rows of labels, {frames.shape[0]} and {lengths.shape[0]} lengths")
        for name, values, top in (("logit_lengths", frames, time), ("label_lengths", lengths, most)):
            if batch and (int(values.min()) < 0 or int(values.max()) > top):
                raise ValueError(f"{name} holds {int(values.max()) if int(values.max()) > top else int(values.min())}, it goes from 0 to {top}")
        there = xp.arange(most) < xp.expand_dims(lengths, 1)
        labels = xp.where(there, labels, blank).astype("int64")        # what fills a row up says nothing
        if labels.size and (int(labels.min()) < 0 or int(labels.max()) >= classes):
            raise IndexError(f"label {int(labels.max()) if int(labels.max()) >= classes else int(labels.min())} is outside the {plural(classes, 'class')} 0 … {classes - 1}")
        if bool(xp.any(xp.logical_and(labels == blank, there))):
            raise ValueError(f"a label is {blank}, the blank")
        self.xp, self.time, self.batch, self.places, self.classes = xp, time, batch, 2 * most + 1, classes
        self.frames, self.lengths = frames.astype("int64"), lengths.astype("int64")
        self.classes_at = xp.full((batch, self.places), blank, "int64")
        self.classes_at[:, 1::2] = labels
        # (time, batch, places): what every frame says of the class at every place
        self.said = self.of_places(log_p)
        self.over = xp.zeros((batch, self.places), "bool")             # a blank between two different labels may be left out
        if most > 1:
            self.over[:, 3::2] = labels[:, 1:] != labels[:, :-1]
        place = xp.arange(self.places)
        last = xp.expand_dims(2 * self.lengths, 1)
        self.ends = xp.logical_or(place == last, place == last - 1)

    def of_places(self, x: Any) -> Any:
        """x (batch, time, classes) at the class of every place, time first."""
        xp = self.xp
        return xp.transpose(x, (1, 0, 2))[xp.arange(self.time).reshape(-1, 1, 1), xp.arange(self.batch).reshape(-1, 1), self.classes_at]

    def of_classes(self, values: Any) -> Any:
        """Values (time, batch, places) summed into the classes of the places: (batch, time, classes)."""
        xp = self.xp
        out = xp.zeros((self.batch, self.time, self.classes), values.dtype)
        xp.add_at(out, (xp.arange(self.batch).reshape(-1, 1, 1), xp.arange(self.time).reshape(1, -1, 1), xp.expand_dims(self.classes_at, 1)), xp.transpose(values, (1, 0, 2)))
        return out

    def shifted(self, x: Any, by: int, fill: float) -> Any:
        """Each place's value moved `by` places on (back, when negative)."""
        out = self.xp.full_like(x, fill)
        if abs(by) < self.places:
            if by > 0:
                out[:, by:] = x[:, :-by]
            else:
                out[:, :by] = x[:, -by:]
        return out

    def sum(self, parts: list, slopes: list | None = None) -> tuple[Any, Any]:
        """ln Σ e^part, and how it moves when the parts move by their slopes."""
        xp = self.xp
        total = xp.logaddexp(xp.logaddexp(parts[0], parts[1]), parts[2])
        if slopes is None:
            return total, None
        base = xp.where(xp.isfinite(total), total, 0)
        return total, sum(xp.exp(p - base) * d for p, d in zip(parts, slopes))

    def ahead(self, moved: Any = None) -> tuple[Any, Any]:
        """ln of the weight of all ways to be at a place after each frame, that frame's word included; and its slope along `moved`."""
        xp, said = self.xp, self.said
        alpha = xp.full((self.time, self.batch, self.places), _NEVER, said.dtype)
        slope = None if moved is None else xp.zeros_like(alpha)
        for t in range(self.time):
            if not t:
                alpha[0, :, :2] = said[0, :, :2]
                if slope is not None:
                    slope[0, :, :2] = moved[0, :, :2]
                continue
            before = alpha[t - 1]
            skip = xp.where(self.over, self.shifted(before, 2, _NEVER), _NEVER)
            d = None if slope is None else [slope[t - 1], self.shifted(slope[t - 1], 1, 0), self.shifted(slope[t - 1], 2, 0)]
            total, ds = self.sum([before, self.shifted(before, 1, _NEVER), skip], d)
            alpha[t] = total + said[t]
            if slope is not None:
                slope[t] = ds + moved[t]
        return alpha, slope

    def behind(self, moved: Any = None) -> tuple[Any, Any]:
        """ln of the weight of all ways from a place after each frame to the end, that frame's word not included; and its slope."""
        xp, said = self.xp, self.said
        beta = xp.full((self.time, self.batch, self.places), _NEVER, said.dtype)
        slope = None if moved is None else xp.zeros_like(beta)
        start = xp.where(self.ends, xp.zeros_like(beta[0]), _NEVER) if self.time else None
        can = self.shifted_over()
        for t in range(self.time - 1, -1, -1):
            last = xp.expand_dims(self.frames == t + 1, 1)
            beta[t] = xp.where(last, start, _NEVER)
            if t + 1 == self.time:
                continue
            after = beta[t + 1] + said[t + 1]
            skip = xp.where(can, self.shifted(after, -2, _NEVER), _NEVER)
            d = None
            if slope is not None:
                next_slope = slope[t + 1] + moved[t + 1]
                d = [next_slope, self.shifted(next_slope, -1, 0), self.shifted(next_slope, -2, 0)]
            total, ds = self.sum([after, self.shifted(after, -1, _NEVER), skip], d)
            inside = xp.expand_dims(self.frames > t + 1, 1)
            beta[t] = xp.where(inside, total, beta[t])
            if slope is not None:
                slope[t] = xp.where(inside, ds, xp.zeros_like(ds))
        return beta, slope

    def shifted_over(self) -> Any:
        """From which places the blank after them may be left out."""
        out = self.xp.zeros_like(self.over)
        if self.places > 2:
            out[:, :-2] = self.over[:, 2:]
        return out

    def total(self, alpha: Any, slope: Any = None) -> tuple[Any, Any]:
        """ln of the weight of all paths, a row; no frames say nothing, which fits no labels."""
        xp = self.xp
        nothing = xp.where(self.lengths == 0, xp.zeros((self.batch,), self.said.dtype), _NEVER)
        if not self.time:
            return nothing, None if slope is None else xp.zeros_like(nothing)
        rows, at = xp.arange(self.batch), xp.maximum(self.frames - 1, 0)
        last = xp.where(self.ends, alpha[at, rows], _NEVER)
        top = last.max(axis=-1)
        base = xp.where(xp.isfinite(top), top, 0)
        shares = xp.exp(last - xp.expand_dims(base, 1))
        weight = shares.sum(axis=-1)
        some = xp.logical_and(weight > 0, self.frames > 0)
        out = xp.where(some, xp.log(xp.where(some, weight, 1)) + base, xp.where(self.frames == 0, nothing, _NEVER))
        if slope is None:
            return out, None
        return out, xp.where(some, (shares * slope[at, rows]).sum(axis=-1) / xp.where(some, weight, 1), xp.zeros_like(out))

    def shares(self, alpha: Any, beta: Any, total: Any) -> Any:
        """How much of the weight of all paths runs through each place at each frame."""
        xp = self.xp
        possible = xp.isfinite(total)
        inside = alpha + beta - xp.expand_dims(xp.where(possible, total, 0), 1)
        return xp.where(xp.expand_dims(possible, 1), xp.exp(inside), 0)


def _wide(x):
    """float16 is too narrow for sums of logarithms over a sequence."""
    return x.astype("float32") if x.dtype == "float16" else x


def _log_softmax(xp, x):
    if not x.size:
        return x
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


@op(infer=_loss_type, type="CTCLoss", function="ctc_loss", category="loss", latex=r"-\ln \sum_{\pi \to y} \prod_t p_t(\pi_t)", bounds=(0, float("inf")),
    aliases=("connectionist temporal classification", "speech", "handwriting", "captcha", "alignment"), zh="连接时序分类损失")
def ctc_loss(xp, logits: Float, labels: Int, logit_lengths: Int, label_lengths: Int, *, blank: int = 0):
    """Measure, a row, how surprised the scores are by labels that stand somewhere in the sequence, in this order.

    logits (batch, time, classes), labels (batch, most labels) of class numbers other than `blank`, how many frames and labels of each row count:
    logit_lengths, label_lengths (batch,). Labels that the frames are too few for have the loss ∞ and no derivative. Source: Graves et al. 2006.
    """
    paths = _Paths(xp, _log_softmax(xp, _wide(logits)), labels, logit_lengths, label_lengths, blank)
    return (0 - paths.total(paths.ahead()[0])[0]).astype(logits.dtype)


@ctc_loss.gradient
def _(node, g):
    logits, *rest = node.inputs

    def by_logits():
        log_p = log_softmax(logits)
        d = multiply(ctc_share(log_p, *rest, blank=node.attrs["blank"]), expand_dims(negative(g), axis=(1, 2)))
        return d - exp(log_p) * sum_(d, axis=-1, keepdims=True)
    return by_logits, None, None, None


@op(infer=_share_type, type="CTCShare", function="ctc_share", category="loss", listed=False, bounds=(0, 1), zh="时序分类的占比")
def ctc_share(xp, log_probabilities: Float, labels: Int, logit_lengths: Int, label_lengths: Int, *, blank: int = 0):
    """Say how much of the weight of all paths to the labels runs through each class at each frame."""
    paths = _Paths(xp, _wide(log_probabilities), labels, logit_lengths, label_lengths, blank)
    alpha, _ = paths.ahead()
    return paths.of_classes(paths.shares(alpha, paths.behind()[0], paths.total(alpha)[0])).astype(log_probabilities.dtype)


@ctc_share.gradient
def _(node, g):
    # the shares are the slope of ln of the weight of all paths, so what carries a derivative back is the same as what carries one on
    return lambda: ctc_share_slope(*node.inputs, g, **node.attrs), None, None, None


@op(infer=lambda log_probabilities, labels, logit_lengths, label_lengths, d, **kw: _share_type(log_probabilities, labels, logit_lengths, label_lengths, **kw),
    type="CTCShareSlope", function="ctc_share_slope", category="loss", listed=False, zh="时序分类占比的变化")
def ctc_share_slope(xp, log_probabilities: Float, labels: Int, logit_lengths: Int, label_lengths: Int, d: Float, *, blank: int = 0):
    """Say how the shares move when the logarithms of the probabilities move along d."""
    paths = _Paths(xp, _wide(log_probabilities), labels, logit_lengths, label_lengths, blank)
    moved = paths.of_places(_wide(d))
    alpha, by_front = paths.ahead(moved)
    beta, by_end = paths.behind(moved)
    total, by_total = paths.total(alpha, by_front)
    slope = paths.shares(alpha, beta, total) * (by_front + by_end - xp.expand_dims(by_total, 1))
    return paths.of_classes(slope).astype(log_probabilities.dtype)


@ctc_share_slope.gradient
def _(node, g):
    *first, d = node.inputs

    def third():
        raise GradientError(f"ctc_loss has no third derivative, and {node.name} is its second.", node=node.name, hint="Put fl.stop_gradient before it.")
    return third, None, None, None, lambda: ctc_share_slope(*first, g, **node.attrs)
