"""The course's notebooks in two languages, and its exercises.

    python tools/lessons.py exercises     write the files of the exercises, from notebooks/solutions, in both languages
    python tools/lessons.py stamp FILE…   note in each Chinese cell which English it says; do it when the translation is right
    python tools/lessons.py nbgrader NN FOLDER [LANGUAGE]   write the exercises of a lesson as an assignment for nbgrader, solutions included

A lesson is notebooks/NN_name.ipynb and notebooks/zh-CN/NN_name.ipynb: the same cells with the same code, up to what strings and comments say. Each Chinese cell remembers the English
one that it was made from, so a change of one language alone is found.

notebooks/solutions/NN_name.py holds TASKS, a mapping from an exercise's name to
    title, task     texts by language, "en" and "zh-CN"
    hints           lists of texts by language
    solution        a function that builds a right graph
    others          functions that build other right ones
    mistakes        pairs of a function that builds a wrong one and what to say, by language
    start           a function that builds what the lab opens with, if that is not the solution's inputs alone
    options         what fl.exercise takes beside: cases, gradient, goals, uses, without, most_nodes
A wrong one that needs no words of its own is a pair with None.
"""
from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import flowlab as fl
from flowlab.apps import nbgrader
from flowlab.apps.exercise import Exercise

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LANGUAGES = ("en", "zh-CN")


def folder(language: str) -> Path:
    """Where the lessons of a language are."""
    return NOTEBOOKS if language == "en" else NOTEBOOKS / language


def names() -> list[str]:
    """All lessons, in their order."""
    return sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


# ---------------------------------------------------------------- two languages


def apart(name: str) -> list[str]:
    """What keeps the two languages of a lesson from saying the same, sentence by sentence."""
    english, other = (folder(language) / f"{name}.ipynb" for language in LANGUAGES)
    if not other.is_file():
        return [f"{name} is not there in 简体中文"]
    ours, theirs = (json.loads(path.read_text(encoding="utf-8"))["cells"] for path in (english, other))
    kinds, others = ([(c["id"], c["cell_type"]) for c in cells] for cells in (ours, theirs))
    if kinds != others:
        return [f"{name} has other cells in 简体中文: {[c for c in kinds if c not in others]} against {[c for c in others if c not in kinds]}"]
    found = []
    for a, b in zip(ours, theirs):
        where = f"{name}, {a['id']}"
        if a["cell_type"] == "code" and code_of(a) != code_of(b):
            found.append(f"{where}: the code is another in 简体中文")
        if b["metadata"].get("translates") != digest(a):
            found.append(f"{where}: the English has changed since it was translated; when 简体中文 says it too, python tools/lessons.py stamp {name}")
    return found


def text_of(cell: Mapping[str, Any]) -> str:
    return "".join(cell["source"])


def digest(cell: Mapping[str, Any]) -> str:
    return hashlib.sha256(text_of(cell).encode()).hexdigest()[:16]


def code_of(cell: Mapping[str, Any]) -> str:
    """A cell's code without what strings and comments say; magics are lines of text."""
    lines = text_of(cell).splitlines()
    magic = lines[:1] if lines and lines[0].startswith("%%") else [line for line in lines if line.startswith(("%", "!"))]
    tree = ast.parse("" if lines and lines[0].startswith("%%") else "\n".join(line for line in lines if not line.startswith(("%", "!"))))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
        if isinstance(node, ast.JoinedStr):     # a language may put the same values into another order
            node.values = sorted((v for v in node.values if isinstance(v, ast.FormattedValue)), key=ast.dump)
    return "\n".join([*magic, ast.dump(tree)])


def stamp(name: str) -> None:
    """Note in each Chinese cell which English it says."""
    path = folder("zh-CN") / f"{name}.ipynb"
    ours, notebook = (json.loads(p.read_text(encoding="utf-8")) for p in (folder("en") / f"{name}.ipynb", path))
    by_id = {c["id"]: c for c in ours["cells"]}
    for cell in notebook["cells"]:
        if cell["id"] in by_id:
            cell["metadata"] = {"translates": digest(by_id[cell["id"]])}
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- exercises


def tasks() -> dict[str, dict[str, Any]]:
    """Every exercise of the course, as notebooks/solutions declares it."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((NOTEBOOKS / "solutions").glob("[0-9][0-9]_*.py")):
        spec = importlib.util.spec_from_file_location(f"solutions_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.update({f"{path.stem[:2]}_{name}": task for name, task in module.TASKS.items()})
    return found


def made(task: Mapping[str, Any], language: str) -> Exercise:
    """The exercise in one language."""
    mistakes = [(wrong, told[language]) for wrong, told in task["mistakes"] if told is not None]
    start = {} if task.get("start") is None else {"start": graph_of(task["start"], task["title"][language])}
    return fl.exercise(task["task"][language], title=task["title"][language], hints=task["hints"][language], solution=task["solution"], mistakes=mistakes, **start, **task.get("options", {}))


def graph_of(build: Any, name: str = "mine") -> fl.Graph:
    """What a function of notebooks/solutions builds."""
    with fl.Graph(name) as graph:
        found = build()
    return found if isinstance(found, fl.Graph) else graph


def file_of(name: str, language: str) -> Path:
    return folder(language) / "exercises" / f"{name}.json"


def write_exercises() -> Iterator[Path]:
    """Write every exercise in every language."""
    for name, task in tasks().items():
        for language in LANGUAGES:
            path = file_of(name, language)
            path.parent.mkdir(parents=True, exist_ok=True)
            made(task, language).save(path)
            yield path


def write_assignment(lesson: str, target: Path, language: str = "en") -> Path:
    """The exercises of lesson `01` … as the source version of an assignment for nbgrader, a point each."""
    chosen = {name: task for name, task in tasks().items() if name.startswith(f"{lesson}_")}
    title = text_of(json.loads(next(folder(language).glob(f"{lesson}_*.ipynb")).read_text(encoding="utf-8"))["cells"][0]).splitlines()[0].lstrip("# ")
    return nbgrader.write_assignment(target, [nbgrader.Question(name[3:], made(task, language), task["solution"]) for name, task in chosen.items()], title=title, language=language)


def main(arguments: list[str]) -> int:
    match arguments:
        case ["exercises"]:
            for path in write_exercises():
                print(os.path.relpath(path))
        case ["stamp", *chosen] if chosen:
            for name in chosen:
                stamp(Path(name).stem)
        case ["nbgrader", lesson, target, *language]:
            print(write_assignment(lesson, Path(target), *language))
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
