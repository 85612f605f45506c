"""What a training run leaves: its numbers step by step and epoch by epoch, for a person, a table or TensorBoard."""
from __future__ import annotations

import csv
import io
import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import AttributeValueError, plural
from ..core.files import write_atomically
from .tape import Past

WHY = {"interrupted": "interrupted", "by hand": "stopped by hand", "nan": "stopped at the first NaN (history.past.debug() steps that run)",
       "condition": "stopped by its condition (history.past.debug() steps that run)", "early": "stopped early: no better for a while", "callback": "stopped by a callback", "error": "ended by an error"}


@dataclass
class History:
    """What a training run left: values of the fetches at every step, their means over each epoch, and the seconds it took.

    `steps[name][k]` belongs to step k, which counts from 0; `epochs[name]` and `validation[name]` hold one mean an epoch. `stopped` is empty after the last
    epoch, else says why it ended before: "interrupted", "by hand", "nan", "condition", "early", "callback" or "error".
    """

    names: list[str]
    steps: dict[str, list[float]] = field(default_factory=dict)
    epochs: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str = ""
    epochs_done: int = 0    # whole ones
    steps_done: int = 0
    past: Past | None = None    # the run that it stopped at: `history.past.debug()` steps it
    validation: dict[str, list[float]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)    # seconds of training up to the end of each step
    ends: list[int] = field(default_factory=list)       # steps done by the end of each epoch
    best: tuple[int, float] | None = None               # the best epoch, from 0, and what it was best at
    first_epoch: int = 0    # the data's own count of loops when it began: it decides the shuffle

    def __repr__(self) -> str:
        last = ", ".join(f"{n} {self.epochs[n][-1]:.4g}" for n in self.names if self.epochs.get(n))
        checked = ", ".join(f"validation {n} {v[-1]:.4g}" for n, v in self.validation.items() if v)
        done = f"{plural(self.epochs_done, 'epoch')}, {plural(self.steps_done, 'step')}"
        said = ", ".join(t for t in (last, checked) if t)
        return f"History of {done} in {self.seconds:.1f} s{': ' + said if said else ''}{', ' + WHY.get(self.stopped, self.stopped) if self.stopped else ''}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain lists and numbers; `History.from_dict` reads it back."""
        return {"names": list(self.names), "steps": {k: list(v) for k, v in self.steps.items()}, "epochs": {k: list(v) for k, v in self.epochs.items()},
                "validation": {k: list(v) for k, v in self.validation.items()}, "times": list(self.times), "ends": list(self.ends), "seconds": self.seconds, "stopped": self.stopped,
                "epochs_done": self.epochs_done, "steps_done": self.steps_done, "best": list(self.best) if self.best is not None else None, "first_epoch": self.first_epoch}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> History:
        """A History from what `to_dict` gave."""
        try:
            new = cls(**{k: values[k] for k in ("names", "steps", "epochs", "validation", "times", "ends", "seconds", "stopped", "epochs_done", "steps_done", "first_epoch")})
            new.best = None if values.get("best") is None else (int(values["best"][0]), float(values["best"][1]))
            lines = [*new.steps.values(), *new.epochs.values(), *new.validation.values(), new.times, [new.seconds]]
            if not all(isinstance(v, list) for v in (new.names, new.ends, *lines)) or not all(isinstance(n, str) for n in (new.stopped, *new.names, *new.steps, *new.epochs, *new.validation)):
                raise TypeError
            if not all(type(n) in (int, float) for line in lines for n in line) or not all(type(n) is int and n >= 0 for n in (new.steps_done, new.epochs_done, new.first_epoch, *new.ends)):
                raise TypeError
            if new.ends != sorted(new.ends) or new.ends[-1:] > [new.steps_done]:
                raise ValueError
        except (TypeError, KeyError, ValueError, IndexError, AttributeError):
            raise AttributeValueError("that is no history.", hint="History.to_dict gives one.") from None
        return new

    def to_json(self) -> str:
        """The same as text; NaN and infinities are written as JavaScript writes them."""
        return json.dumps(self.to_dict())

    def rows(self, by: str = "step") -> Iterator[dict[str, Any]]:
        """One row a step, or with `by="epoch"` one an epoch: what `to_csv` writes."""
        if by == "step":
            for k in range(self.steps_done):
                yield {"step": k, "epoch": bisect_right(self.ends, k), "seconds": _at(self.times, k), **{n: _at(v, k) for n, v in self.steps.items()}}
        elif by == "epoch":
            for k in range(self.epochs_done):
                yield {"epoch": k, "steps": _at(self.ends, k), **{n: _at(v, k) for n, v in self.epochs.items()}, **{f"validation {n}": _at(v, k) for n, v in self.validation.items()}}
        else:
            raise AttributeValueError(f"rows by {by!r}: there are none.", port="by", hint='Use "step" or "epoch".')

    def to_csv(self, path: str | os.PathLike | None = None, by: str = "step") -> str:
        """A table as text, one row a step or an epoch; with `path` it is written there too, whole or not at all."""
        out = io.StringIO()
        writer = None
        for row in self.rows(by):
            if writer is None:
                # a name that a spreadsheet would take for a formula is a name all the same
                writer = csv.DictWriter(out, row, lineterminator="\n")
                out.write(",".join(_cell(k) for k in row) + "\n")
            writer.writerow({k: "" if v is None else v for k, v in row.items()})
        text = out.getvalue()
        if path is not None:
            write_atomically(path, text.encode("utf-8"))
        return text

    def to_tensorboard(self, folder: str | os.PathLike) -> str:
        """Write an event file that TensorBoard reads (`tensorboard --logdir folder`); returns its path. No TensorFlow is needed."""
        from .events import EventFile
        with EventFile(folder) as file:
            for k in range(self.steps_done):
                file.scalars(k, {n: v[k] for n, v in self.steps.items() if k < len(v)}, _at(self.times, k))
            for k, end in enumerate(self.ends):
                seen = {f"epoch/{n}": v[k] for n, v in self.epochs.items() if k < len(v)} | {f"validation/{n}": v[k] for n, v in self.validation.items() if k < len(v)}
                file.scalars(end - 1, seen, _at(self.times, end - 1))
            return file.path


def _at(values: list, k: int) -> Any:
    return values[k] if 0 <= k < len(values) else None


def _cell(text: str) -> str:
    """A heading: quoted where CSV needs it, and never a formula."""
    text = f"'{text}" if text[:1] in "=+-@\t\r" else text
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text
