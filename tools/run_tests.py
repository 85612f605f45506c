"""Runs the tests that are not slow: those in a browser beside all others, where there are two processors; `python tools/run_tests.py [pytest's options]`.

A browser test mostly waits for the page or the kernel, so both together take little longer than the longer one. With a path among the options
pytest is simply called with them.
"""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BROWSER = "tests/browser"
NO_TESTS = 5        # pytest's exit status when a selection leaves none


def pytest(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-m", "not slow", *options]


def main(options: list[str]) -> int:
    if any((ROOT / o.partition("::")[0]).exists() for o in options if not o.startswith("-")) or (os.cpu_count() or 1) < 2:
        return subprocess.call(pytest(*options), cwd=ROOT)
    with tempfile.TemporaryFile("w+") as said:
        beside = subprocess.Popen(pytest(BROWSER, *options), cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        try:
            here = subprocess.call(pytest(f"--ignore={BROWSER}", *options), cwd=ROOT)
            there = beside.wait()
        finally:
            beside.terminate()      # after an interrupt; one that has ended does not mind
        said.seek(0)
        print(f"\n{BROWSER}:\n{said.read()}")
    wrong = [status for status in (here, there) if status not in (0, NO_TESTS)]
    return wrong[0] if wrong else min(here, there)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
