"""Runs the tests that are not slow: three groups beside one another where there are two processors; `python tools/run_tests.py [pytest's options]`.

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
BESIDE = ("tests/browser", "tests/ops")     # the longest two; the others run here
NO_TESTS = 5        # pytest's exit status when a selection leaves none


def pytest(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-m", "not slow", *options]


def main(options: list[str]) -> int:
    if any((ROOT / o.partition("::")[0]).exists() for o in options if not o.startswith("-")) or (os.cpu_count() or 1) < 2:
        return subprocess.call(pytest(*options), cwd=ROOT)
    with contextlib.ExitStack() as stack:
        beside = []
        for folder in BESIDE:
            said = stack.enter_context(tempfile.TemporaryFile("w+"))
            process = subprocess.Popen(pytest(folder, *options), cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
            stack.callback(process.terminate)       # after an interrupt; one that has ended does not mind
            beside.append((folder, process, said))
        statuses = [subprocess.call(pytest(*[f"--ignore={folder}" for folder in BESIDE], *options), cwd=ROOT)]
        for folder, process, said in beside:
            statuses.append(process.wait())
            said.seek(0)
            print(f"\n{folder}:\n{said.read()}", flush=True)
    wrong = [status for status in statuses if status not in (0, NO_TESTS)]
    return wrong[0] if wrong else min(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
