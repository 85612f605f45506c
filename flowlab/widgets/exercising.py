"""Exercising: the part of an Editor that shows a task beside the canvas, and checks what has been wired."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..apps.exercise import Exercise, Verdict
from ..core.errors import DebuggerError
from . import protocol as P


class Exercising:
    """What an Editor does with an exercise."""

    def _begin_exercising(self, exercise: Exercise | None) -> None:
        self._exercise = exercise
        self._verdict: Verdict | None = None
        self._checked_at = 0        # the revision of the document that was checked

    @property
    def exercise(self) -> Exercise | None:
        """The task that stands above the canvas; its `attempts` hold what was checked here."""
        return self._exercise

    def check(self) -> Verdict:
        """Check what is on the canvas against the exercise, as the button does. DebuggerError where there is none."""
        if self._exercise is None:
            raise DebuggerError("there is no exercise here.", hint="fl.Editor(fl.exercise(…)) opens one.")
        self._verdict, self._checked_at = self._exercise.check(self), self._revision
        self._say_exercise()
        return self._verdict

    def _say_exercise(self) -> None:
        ex, verdict = self._exercise, self._verdict
        if ex is not None:
            self._say(P.Task(title=ex.title, text=ex.task, hints=list(ex.hints[:ex.given_hints]), more=len(ex.hints) - ex.given_hints, checks=len(ex.attempts), revision=self._checked_at,
                             solved=verdict is not None and verdict.solved, lines=[P.TaskLine(ok=line.ok, text=line.text) for line in verdict.lines] if verdict is not None else []))

    def _task(self, content: Mapping[str, Any]) -> None:
        """A button of the task's panel."""
        match content.get("name"):
            case "check":
                verdict = self.check()
                self._notice("status", "Solved." if verdict.solved else "Not solved yet.")
            case "hint" if self._exercise is not None:
                self._exercise.hint()
                self._say_exercise()
            case _:
                raise DebuggerError("there is no exercise here.", hint="fl.Editor(fl.exercise(…)) opens one.")
