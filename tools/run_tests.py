"""Runs the tests that are not slow: four groups beside one another where there are two processors; `python tools/run_tests.py [pytest's options]`.

A browser test mostly waits for the page or the kernel, so all together take little longer than half of their sum. With a path among the options
pytest is simply called with them.
"""
from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BROWSER, LONG = "tests/browser", ("tests/ops", "tests/io", "tests/notebooks")
NO_TESTS = 5        # pytest's exit status when a selection leaves none


def pytest(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-m", "not slow", *options]


def halves(folder: str) -> tuple[list[str], list[str]]:
    """The folder's test files in two parts of about as many tests."""
    counts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\ndef test_") for path in sorted((ROOT / folder).glob("test_*.py"))}
    parts: tuple[list[str], list[str]] = ([], [])
    for file in sorted(counts, key=counts.__getitem__, reverse=True):
        min(parts, key=lambda part: sum(counts[f] for f in part)).append(file)
    return parts


def main(options: list[str]) -> int:
    if any((ROOT / o.partition("::")[0]).exists() for o in options if not o.startswith("-")) or (os.cpu_count() or 1) < 2:
        return subprocess.call(pytest(*options), cwd=ROOT)
    with contextlib.ExitStack() as stack:
        beside = []
        for paths in (*halves(BROWSER), LONG):
            said = stack.enter_context(tempfile.TemporaryFile("w+"))
            process = subprocess.Popen(pytest(*paths, *options), cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
            stack.callback(process.terminate)       # after an interrupt; one that has ended does not mind
            beside.append((process, said))
        statuses = [subprocess.call(pytest(f"--ignore={BROWSER}", *(f"--ignore={folder}" for folder in LONG), *options), cwd=ROOT)]
        for process, said in beside:
            statuses.append(process.wait())
            said.seek(0)
            print(f"\n{said.read()}", flush=True)
    wrong = [status for status in statuses if status not in (0, NO_TESTS)]
    return wrong[0] if wrong else min(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
