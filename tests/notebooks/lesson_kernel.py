"""A lesson as a student runs it: cell after cell, in a kernel of its own, in a folder that holds what `flowlab lab` copies."""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

from tools import lessons


class LessonError(AssertionError):
    """A cell failed; the message says which, and how."""


class Kernel:
    """A kernel that lessons are run in."""

    def __init__(self, client: Any, folder: Path):
        self._client, self._folder = client, folder

    def run(self, name: str, language: str = "en") -> str:
        """Run all cells of a lesson; returns what they printed."""
        for exercise in lessons.folder(language).glob(f"exercises/{name[:2]}_*.json"):
            (self._folder / "exercises").mkdir(exist_ok=True)
            shutil.copy(exercise, self._folder / "exercises")
        self.do("%reset -f", "reset")
        cells = json.loads((lessons.folder(language) / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        return "".join(self.do(lessons.text_of(cell), f"{name} in {language}, {cell['id']}") for cell in cells if cell["cell_type"] == "code")

    def do(self, code: str, where: str = "here") -> str:
        """Run code; returns what it printed. LessonError with the traceback where it raises."""
        printed: list[str] = []

        def hear(message: dict) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
        answer = self._client.execute_interactive(code, output_hook=hear, allow_stdin=False, stop_on_error=False)["content"]
        if answer["status"] != "ok":
            raise LessonError(f"{where}:\n" + "\n".join(answer["traceback"]))
        return "".join(printed)

    def value(self, expression: str) -> Any:
        """What an expression is now, through JSON."""
        return json.loads(self.do(f"import json as _json; print(_json.dumps({expression}))").splitlines()[-1])


@contextmanager
def kernel(folder: Path, budget: str = "short") -> Iterator[Kernel]:
    """A fresh kernel whose folder this is, gone afterwards."""
    threads = {"OPENBLAS_NUM_THREADS": "1"} if budget == "short" else {}     # small products gain nothing by two, and lose much on a machine at work
    manager, client = start_new_kernel(kernel_name="python3", cwd=os.fspath(folder), env={**os.environ, **threads, "FLOWLAB_BUDGET": budget, "PYTHONPATH": os.pathsep.join([os.fspath(lessons.NOTEBOOKS.parent), os.environ.get("PYTHONPATH", "")])})
    try:
        yield Kernel(client, folder)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
