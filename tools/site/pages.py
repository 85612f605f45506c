"""Pages that were written by hand: their Python runs, block after block in one namespace, and prints what stands below it.

A ```` ```text ```` block right after a ```` ```python ```` block is what that prints; `...` stands for anything. `<!-- graph: g -->` and `<!-- graph: g, trace -->` become the
picture of a graph, `<!-- run: trace -->` a recording that can be stepped, `<!-- formula: latex -->` a formula. A block with a title, such as `jupyterhub_config.py`, is a file of its own: it runs by itself.
"""
from __future__ import annotations

import doctest
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flowlab.core.op import REGISTRY
from tools.site.reference import run

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PIECE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]+)(?P<options>[^\n]*)\n(?P<code>.*?)^(?P=indent)```[ ]*$|^<!-- (?P<what>graph|run|formula): (?P<names>[^>]+?) -->$", re.M | re.S)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class PageError(Exception):
    """An example of a page does not do what the page says."""


def sources() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def shell_commands(text: str) -> Iterator[str]:
    """What the page types into a shell, a line a command."""
    for piece in PIECE.finditer(text):
        if piece["language"] == "sh":
            yield from re.sub(r"\\\n\s*", "", piece["code"]).splitlines()


def run_page(text: str, page: str, draw: Callable[[str, list[Any]], str] | None = None) -> str:
    """Run a page in a folder of its own, which is gone afterwards; its text, with what `draw(what, values)` makes of its pictures."""
    space: dict[str, Any] = {"__name__": "__main__"}
    pieces = list(PIECE.finditer(text))
    out, end = [], 0
    here, there = os.getcwd(), set(REGISTRY)
    with tempfile.TemporaryDirectory(prefix="flowlab-docs-") as folder:
        os.chdir(folder)
        try:
            for k, piece in enumerate(pieces):
                out.append(text[end:piece.start()])
                end = piece.end()
                shown = piece[0]
                if piece["what"]:
                    values = [eval(n, space) for n in piece["names"].split(",")]
                    shown = draw(piece["what"], values) if draw is not None else ""
                elif piece["language"] == "python":
                    after = pieces[k + 1] if k + 1 < len(pieces) else None
                    says = after["code"] if after is not None and after["language"] == "text" and not text[end:after.start()].strip() else None
                    _run(piece, says, page, text, space)
                elif piece["language"] == "text" and k and pieces[k - 1]["language"] == "python" and not text[pieces[k - 1].end():piece.start()].strip():
                    shown = shown.replace("```text", "```{ .text .fl-output }", 1)
                out.append(shown)
        finally:
            os.chdir(here)
            for name in set(REGISTRY) - there:      # operations that the page declared
                del REGISTRY[name]
    return "".join(out) + text[end:]


def _run(piece: re.Match[str], says: str | None, name: str, text: str, space: dict[str, Any]) -> None:
    line = text.count("\n", 0, piece.start()) + 2
    code = "\n" * (line - 1) + re.sub(rf"^{piece['indent']}", "", piece["code"], flags=re.M)       # an error names the page's line
    if "title=" in piece["options"]:
        from traitlets.config import Config
        space = {"c": Config(), "get_config": Config}
    try:
        _, printed = run(code, space, name)
    except Exception as error:
        raise PageError(f"{name}, line {line}: {type(error).__name__}: {error}") from error
    wanted = re.sub(rf"^{piece['indent']}", "", says or "", flags=re.M)
    if says is not None and not doctest.OutputChecker().check_output(wanted, printed, FLAGS):
        raise PageError(f"{name}, line {line} prints\n{printed}\nand the page says\n{wanted}")
    if says is None and printed.strip():
        raise PageError(f"{name}, line {line} prints\n{printed}\nand the page says nothing of it. Put it into a text block below.")
