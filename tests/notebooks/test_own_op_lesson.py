"""The lesson on operations of one's own: its cells may be run again, changed or not, and it is told kindly where there is no compiler."""
from __future__ import annotations

import json
import shutil

import pytest
from lesson_kernel import kernel

from tests.extension.test_op_library import compiler
from tools import lessons

NAME = "11_your_own_op"


def code() -> dict[str, str]:
    """The lesson's cells by their ids."""
    cells = json.loads((lessons.folder("en") / f"{NAME}.ipynb").read_text(encoding="utf-8"))["cells"]
    return {c["id"]: lessons.text_of(c) for c in cells if c["cell_type"] == "code"}


def test_every_cell_may_be_run_again_and_an_edited_kernel_in_c_takes_the_old_ones_place(tmp_path):
    compiler("cc"), compiler("c++")
    cells = code()
    shutil.copytree(lessons.folder("en") / "exercises", tmp_path / "exercises")
    with kernel(tmp_path) as k:
        for name, cell in cells.items():
            for time in ("once", "twice"):
                k.do(cell, f"{name}, {time}")
        assert k.value("[float(v) for v in fl.Session(smoothing).run(smooth_in_c, {signal: [[1.0, 1.0]]})[0]]") == pytest.approx([0.1, 0.19])
        assert "keep * state" in cells["c"]
        k.do(cells["c"].replace("keep * state", "2 * keep * state"), "c, changed")
        k.do(cells["build"], "build, changed")
        assert k.value("[float(v) for v in fl.Session(smoothing).run(smooth_in_c, {signal: [[1.0, 1.0]]})[0]]") == pytest.approx([0.1, 0.28])


def test_without_a_compiler_the_rest_of_the_lesson_goes_on(tmp_path):
    with kernel(tmp_path) as k:
        k.do("import os; os.environ['PATH'] = ''")
        for language, said in (("en", "There is no compiler here (cc, gcc, clang)"), ("zh-CN", "这里没有编译器（c++、g++、clang++）")):
            assert said in k.run(NAME, language)
            assert k.value("[fading, medians, len(ways), len(cleaned)]") == [None, None, 2, 1]


def test_a_right_bump_gets_all_marks(tmp_path):
    right = """
@fl.op(latex=r"\\max(0, 1 - x^2)^2")
def bump(xp, x: "Float"):
    return xp.maximum(0, 1 - x * x) ** 2

@bump.gradient
def slope(node, g):
    x, = node.inputs
    return g * -4.0 * x * fl.maximum(0.0, 1.0 - x * x)

with fl.Graph("my bump") as attempt:
    q = fl.bump(fl.placeholder(("n",), name="p"), name="q")
"""
    with kernel(tmp_path) as k:
        for cell in ("imports", "exercise-bump-op", "exercise-bump-check"):
            k.do(code()[cell], cell)
        assert k.value("marks(fl.Session(attempt))") == 0
        for part, points in ((right, 3), (right.replace("-4.0", "4.0"), 2), (right.partition("@bump.gradient")[0] + right[right.index("with fl"):], 2), (right.replace('(latex=r"\\max(0, 1 - x^2)^2")', ""), 2)):
            k.do(part)
            assert k.value("marks(fl.Session(attempt))") == points, part
        k.do(right)
        assert k.value("bool(own.check(fl.Session(attempt)))")
