"""Exercises as an assignment for nbgrader: what a student gets, what is graded, and how. The whole way runs in an environment of nbgrader's own."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import nbformat
import pytest

import flowlab as fl
from flowlab.apps import nbgrader
from tools import lessons

ROOT = Path(__file__).resolve().parents[2]


def affine():
    x, w, b = fl.placeholder(("batch", 3), name="x"), fl.variable([[1.0], [2.0], [3.0]], name="w"), fl.variable([0.5], name="b")
    fl.add(x @ w, b, name="y")


def squared():
    fl.mean(fl.placeholder(("batch",), name="x") ** 2, name="loss")


def questions() -> list[nbgrader.Question]:
    return [nbgrader.Question("affine", fl.exercise("Wire $xw + b$.", solution=affine, title="Affine", gradient=True), affine, points=3),
            nbgrader.Question("squared", fl.exercise("Wire the mean square.", solution=squared, title="Squared"), squared, points=2)]


def test_an_assignment_holds_tasks_labs_answers_and_tests(tmp_path):
    notebook = nbformat.read(nbgrader.write_assignment(tmp_path / "ps1", questions(), title="Week 1"), as_version=4)
    nbformat.validate(notebook)
    cells = {c.id: c for c in notebook.cells}
    assert list(cells) == ["title", "setup", *(f"{q}-{part}" for q in ("affine", "squared") for part in ("task", "lab", "answer", "test"))]
    assert [c.metadata.nbgrader.points for c in notebook.cells if c.metadata.nbgrader.grade] == [3, 2]
    assert [i for i, c in cells.items() if not c.metadata.nbgrader.locked] == ["affine-answer", "squared-answer"]
    released = (tmp_path / "ps1" / "exercises" / "affine.json").read_text()
    assert "MatMul" not in released and fl.load_exercise(tmp_path / "ps1" / "exercises" / "affine.json").check(fl.examples.mlp()).solved is False


@pytest.mark.parametrize(("change", "says"), [
    ({"name": "a b"}, "names no question"), ({"name": "task"}, "names no question"), ({"name": "print"}, "names no question"), ({"name": "class"}, "names no question"), ({"name": "squared"}, "twice"),
    ({"points": float("nan")}, "points"), ({"points": -1}, "points"), ({"solution": squared}, "does not pass"),
])
def test_what_nbgrader_would_not_take_is_refused_before_anything_is_written(tmp_path, change, says):
    first, second = questions()
    wrong = nbgrader.Question(**{"name": first.name, "exercise": first.exercise, "solution": first.solution, "points": first.points} | change)
    with pytest.raises(fl.AttributeValueError, match=says):
        nbgrader.write_assignment(tmp_path / "ps1", [second, wrong])
    assert not (tmp_path / "ps1").exists()


def test_an_assignment_is_written_once(tmp_path):
    nbgrader.write_assignment(tmp_path / "ps1", questions())
    with pytest.raises(fl.AttributeValueError, match="there already"):
        nbgrader.write_assignment(tmp_path / "ps1", questions())


@pytest.mark.parametrize("language", lessons.LANGUAGES)
def test_every_exercise_of_the_course_passes_its_test_cell(tmp_path, monkeypatch, language):
    for lesson in sorted({name[:2] for name in lessons.tasks()}):
        target = tmp_path / f"lesson{lesson}"
        notebook = nbformat.read(lessons.write_assignment(lesson, target, language), as_version=4)
        monkeypatch.chdir(target)
        names: dict = {}
        for cell in notebook.cells:
            if cell.cell_type == "code" and not cell.id.endswith("-lab"):
                exec(cell.source, names)


# ---------------------------------------------------------------- nbgrader itself

RIGHT = """
with fl.Graph() as affine:
    p, q, r = fl.placeholder(("n", 3), name="points"), fl.variable([[0.0], [0.0], [0.0]], name="q"), fl.variable([0.0], name="r")
    r + fl.matmul(p, q)
"""
WRONG = """
with fl.Graph() as affine:
    p, q, r = fl.placeholder(("n", 3), name="points"), fl.variable([[0.0], [0.0], [0.0]], name="q"), fl.variable([0.0], name="r")
    fl.matmul(p, q) - r
"""
SCORES = """
import json
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    print(json.dumps({s.student.id: {g.name: g.auto_score for n in s.notebooks for g in n.grades} for s in book.assignment_submissions("ps1")}))
"""


@pytest.fixture
def course(tmp_path):
    """A course folder, and what runs nbgrader in it: in a virtual environment of its own, with the wheel of this checkout."""
    built = subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheel")], cwd=ROOT, text=True, capture_output=True)
    assert built.returncode == 0, built.stdout + built.stderr
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    folder = tmp_path / "course"
    folder.mkdir()
    own = {k: str(tmp_path / k.lower()) for k in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | own | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}     # nbgrader calls alembic by its name

    def run(*arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run([str(python), *arguments], cwd=folder, env=environment, text=True, capture_output=True)
        assert not ok or ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
        return ran

    run("-m", "pip", "install", "-q", "nbgrader>=0.9.5,<0.10", *map(str, (tmp_path / "wheel").glob("*.whl")))
    return folder, run


@pytest.mark.slow
def test_nbgrader_releases_the_task_without_the_solution_and_grades_what_students_hand_in(course):
    folder, run = course
    source = nbgrader.write_assignment(folder / "source" / "ps1", questions()).parent
    run("-m", "nbgrader", "generate_assignment", "ps1", "--create")
    released = nbformat.read(folder / "release" / "ps1" / "ps1.ipynb", as_version=4)
    cells = {c.metadata.nbgrader.grade_id: c for c in released.cells}
    assert "NotImplementedError" in cells["affine-answer"].source and "fl.matmul" not in str(released) and "MatMul" not in str(released)
    assert (folder / "release" / "ps1" / "exercises" / "affine.json").is_file()

    def hand_in(student: str, **answers: str) -> Path:
        """The released files with a student's answers."""
        theirs = folder / "submitted" / student / "ps1"
        shutil.copytree(folder / "release" / "ps1", theirs)
        notebook = nbformat.read(theirs / "ps1.ipynb", as_version=4)
        for cell in notebook.cells:
            cell.source = answers.get(cell.metadata.nbgrader.grade_id.replace("-", "_"), cell.source)
        nbformat.write(notebook, theirs / "ps1.ipynb")
        return theirs

    shutil.copytree(source, folder / "submitted" / "solved" / "ps1")
    hand_in("right", affine_answer=RIGHT, squared_answer="with fl.Graph() as squared:\n    v = fl.placeholder((None,), name='v')\n    fl.sum(v * v) / fl.cast(fl.size(v), 'float32')")
    hand_in("wrong", affine_answer=WRONG, squared_answer="squared = 3")
    hand_in("nothing")
    # one question in the lab, as a file beside the notebook
    wired = hand_in("lab", affine_answer="affine = fl.load_document('affine.flow.json')")
    with fl.Graph("by hand") as g:
        affine()
    fl.save(g, wired / "affine.flow.json")
    # a test made easy and an exercise put in another's place: both are the teacher's again when they are graded
    cheat = hand_in("cheat", affine_answer=WRONG, affine_test="pass")
    with fl.Graph() as other:
        p, q, r = fl.placeholder(("n", 3), name="points"), fl.variable([[0.0], [0.0], [0.0]], name="q"), fl.variable([0.0], name="r")
        fl.subtract(fl.matmul(p, q), r, name="y")
    fl.exercise("Easy", solution=other).save(cheat / "exercises" / "affine.json")

    run("-m", "nbgrader", "autograde", "ps1")
    scores = json.loads(run("-c", SCORES).stdout)
    assert scores == {
        "solved": {"affine-test": 3, "squared-test": 2}, "right": {"affine-test": 3, "squared-test": 2}, "wrong": {"affine-test": 0, "squared-test": 0},
        "nothing": {"affine-test": 0, "squared-test": 0}, "lab": {"affine-test": 3, "squared-test": 0}, "cheat": {"affine-test": 0, "squared-test": 0}}
    # a student is told what differs, and not how it is solved
    graded = nbformat.read(folder / "autograded" / "wrong" / "ps1" / "ps1.ipynb", as_version=4)
    said = str([c.outputs for c in graded.cells if c.metadata.nbgrader.grade_id == "affine-test"])
    assert "The values of y are right in 0 of 6 cases." in said and "matmul(x" not in said
