"""Assignments for nbgrader: an exercise becomes a task, a lab to wire it in, a place for the answer, and a test with points. nbgrader itself is not needed to write one."""
from __future__ import annotations

import json
import keyword
import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.errors import AttributeValueError
from ..core.files import write_atomically
from ..core.graph import Graph
from ..io.codegen import to_python
from .exercise import Exercise, graph_of

WORDS = {
    "en": {"begin": "Run the cell below and wire the graph in the lab. Save it as `{file}` (File, Save as…) and load it in the cell after that, or write it there in Python.",
           "answer": "{name} = fl.load_document({file!r}), or with fl.Graph() as {name}: …"},
    "zh-CN": {"begin": "运行下面的单元格，在实验台里连好图。用“文件”菜单的“另存为…”存成 `{file}`，再在后面的单元格里载入；也可以直接在那里用 Python 写。",
              "answer": "{name} = fl.load_document({file!r})，或者 with fl.Graph() as {name}: …"},
}

OURS = ("fl", "np", "g", "task", "title", "setup", "verdict", "load_exercise", "print")     # what the cells call by these names


@dataclass(frozen=True, slots=True)
class Question:
    """One exercise of an assignment. `name` is that of its cells, its file, and the variable that a student's graph goes into; `solution`, a Graph or a function that builds one, stands in the teacher's version alone."""

    name: str
    exercise: Exercise
    solution: Graph | Callable[[], Any]
    points: float = 1


def write_assignment(folder: str | os.PathLike[str], questions: Iterable[Question], *, title: str = "", language: str = "en") -> Path:
    """Write the source version of an assignment: the notebook `<folder's name>.ipynb` and the exercises' files, as `nbgrader generate_assignment` wants them. Returns the notebook's path.

    A student's version keeps the task, the lab and the test, and loses the solution; the exercise's file holds none either. Autograding puts test and file back to the teacher's
    before it runs them. `language` ("en" or "zh-CN") is that of the sentences between the exercises.
    AttributeValueError for a name or points that nbgrader would not take, a solution that fails its exercise, or a notebook that is there already.
    """
    if language not in WORDS:
        raise AttributeValueError(f"there are no sentences in {language!r}.", port="language", hint=f"There are {', '.join(WORDS)}.")
    folder = Path(folder)
    notebook = folder / f"{folder.resolve().name}.ipynb"
    if notebook.exists():
        raise AttributeValueError(f"{notebook} is there already.", port="folder", hint="Delete it first, or name another folder.")
    cells = [_markdown("title", f"# {title or notebook.stem}"), _code("setup", "import flowlab as fl", locked=True)]
    questions, seen = list(questions), set[str]()
    for question in questions:
        cells += _cells(question, seen, WORDS[language])
    if not seen:
        raise AttributeValueError("an assignment needs a question.", port="questions")
    for question in questions:
        (folder / "exercises").mkdir(parents=True, exist_ok=True)
        question.exercise.save(folder / "exercises" / f"{question.name}.json")
    content = {"cells": cells, "metadata": {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    write_atomically(notebook, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())
    return notebook


def _cells(question: Question, seen: set[str], words: dict[str, str]) -> list[dict[str, Any]]:
    name, exercise = question.name, question.exercise
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,60}", name) or keyword.iskeyword(name) or name in OURS or name in seen:
        raise AttributeValueError(f"{name!r} names no question{' twice' if name in seen else ''}.", port="name", hint="A name that Python takes for a variable, each once: letters, digits and _.")
    if not (math.isfinite(question.points) and question.points >= 0):
        raise AttributeValueError(f"{name} cannot give {question.points} points.", port="points")
    seen.add(name)
    graph = graph_of(question.solution)
    verdict = replace(exercise, attempts=[]).check(graph)
    if not verdict:
        raise AttributeValueError(f"the solution of {name} does not pass: {next(line.text for line in verdict.lines if not line.ok)}", port="solution")
    file, kept = f"exercises/{name}.json", f"{name}.flow.json"
    solved = f"### BEGIN SOLUTION\n{to_python(graph).strip()}\n{name} = g\n### END SOLUTION"
    # read anew: what a student did to `task` is nothing to the test
    test = f"from flowlab.apps.exercise import load_exercise\n\nverdict = load_exercise({file!r}).check({name})\nassert verdict, f\"\\n{{verdict}}\"\nprint(verdict)"
    return [
        _markdown(f"{name}-task", f"## {exercise.title}\n\n{exercise.task.strip()}\n\n{words['begin'].format(file=kept)}"),
        _code(f"{name}-lab", f"task = fl.load_exercise({file!r})\nfl.Editor(task)", locked=True),
        _code(f"{name}-answer", f"# {words['answer'].format(name=name, file=kept)}\n{solved}", solution=True),
        _code(f"{name}-test", test, locked=True, points=question.points),
    ]


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": _marked(name, locked=True), "source": text.splitlines(keepends=True)}


def _code(name: str, text: str, **marks: Any) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "id": name, "metadata": _marked(name, **marks), "outputs": [], "source": text.splitlines(keepends=True)}


def _marked(name: str, *, locked: bool = False, solution: bool = False, points: float | None = None) -> dict[str, Any]:
    """What nbgrader knows a cell by: read only, to be answered, or a test with points."""
    marks = {"grade": points is not None, "grade_id": name, "locked": locked, "schema_version": 3, "solution": solution, "task": False}
    return {"nbgrader": marks if points is None else {**marks, "points": points}}
