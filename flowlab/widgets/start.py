"""The start page: what it tells of a folder (lessons, recent graphs, templates), and the notebooks that a click there writes."""
from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..apps import examples
from ..core.errors import DocumentError
from ..core.op import REGISTRY
from ..io.document import Document, document_of, load_document, read_bounded
from ..io.lecture import lecture_in
from . import files as F
from .examples import TEMPLATES

LANGUAGES = {"en": "", "zh-CN": "zh-CN"}     # a language of the lessons → its folder
LESSON = re.compile(r"\d\d_.+\.ipynb")
MOST_NOTEBOOKS, MOST_RECENT = 200, 8
MAX_NOTEBOOK = 16 * 2**20       # bytes; of a larger one only the name is told
LONGEST = 240                   # characters of a title or a sentence
MOST_DRAWN = 24                 # nodes and folded scopes of a small picture
MOST_FOLDED = 2_000             # nodes of a graph that is drawn at all


def contents(root: Path) -> dict[str, Any]:
    """All that the page shows of a folder. Paths go from the folder, with `/`, and lead nowhere else."""
    root = root.resolve()
    return {
        "lessons": {language: list(_notebooks(root, folder, lessons=True)) for language, folder in LANGUAGES.items()},
        "notebooks": sorted(_notebooks(root, "", lessons=False), key=lambda n: -n["when"]),
        "recent": recent(root),
        "templates": [{"name": t.name, "label": t.label, "says": _about(t.name), "picture": template_picture(t.name)} for t in TEMPLATES],
    }


def begin(root: Path, *, template: str | None = None, graph: str | None = None) -> str:
    """Write a notebook with an Editor on a template, or on a graph file that is among the recent ones; its path from the folder. No file is ever replaced.

    DocumentError if there is no such template or recent file, or a lecture is damaged; OSError if the folder cannot be written.
    """
    root = root.resolve()
    if template is not None:
        if template not in {t.name for t in TEMPLATES}:
            raise DocumentError(f"there is no template {template!r}.", hint=f"There are {', '.join(t.name for t in TEMPLATES)}.")
        return _write_new(root, template, f"import flowlab as fl\n\ned = fl.Editor(fl.examples.{template}())\ned")
    if graph is None or graph not in {r["path"] for r in recent(root)}:
        raise DocumentError(f"{graph!r} is no recent graph of this folder.", hint="Reload the page.")
    stem = F.file_name(graph.rpartition("/")[2]).removesuffix(F.ENDING)
    kept = "it begins where it was saved; Save keeps your edits, in another file" if lecture_in(read_bounded(root / graph), graph) is not None else "every edit is kept in this file"
    return _write_new(root, stem, f"import flowlab as fl\n\ned = fl.Editor()\ned.open({graph!r})     # {kept}\ned")


def recent(root: Path) -> list[dict[str, Any]]:
    """The graph files of the folder that were used last, newest first."""
    found = []
    for row in F.recent():
        try:
            inside = row.path.resolve().relative_to(root).as_posix()
        except (ValueError, OSError):
            continue
        if row.path.name.endswith(F.ENDING) and len(found) < MOST_RECENT:
            found.append({"path": inside, "name": row.path.name.removesuffix(F.ENDING), "when": F.clock(row.when), "picture": _file_picture(str(row.path), row.when)})
    return found


# ---------------------------------------------------------------- notebooks


def _notebooks(root: Path, folder: str, *, lessons: bool) -> Iterator[dict[str, Any]]:
    """The notebooks of one folder by their names: the lessons, or the others."""
    try:
        rows = sorted((e.name, e.stat()) for e in os.scandir(root / folder) if e.name.endswith(".ipynb") and not e.name.startswith(".") and e.is_file())
    except OSError:
        return
    for name, status in [r for r in rows if bool(LESSON.fullmatch(r[0])) == lessons][:MOST_NOTEBOOKS]:
        path = root / folder / name
        if stat.S_ISREG(status.st_mode) and root in path.resolve().parents:
            title, says = heading(str(path), status.st_size, status.st_mtime_ns)
            yield {"path": path.relative_to(root).as_posix(), "title": title, "says": says, "when": status.st_mtime}


@lru_cache(1000)
def heading(path: str, size: int, changed: int) -> tuple[str, str]:
    """A notebook's title and its first sentence, as plain text: of its first heading and the paragraph after it. A notebook that cannot be read has its name."""
    name = re.sub(r"^\d\d_", "", Path(path).stem).replace("_", " ")
    title = says = ""
    try:
        if size > MAX_NOTEBOOK:
            return name, ""
        with open(path, "rb") as file:
            cells = json.loads(file.read(MAX_NOTEBOOK + 1))["cells"]
        for cell in cells[:20]:
            if cell["cell_type"] != "markdown":
                continue
            source = cell["source"]
            for block in re.split(r"\n\s*\n", (source if isinstance(source, str) else "".join(source))[:20_000]):
                if not title and (found := re.match(r"\s*#+ +(.+)", block)):
                    title, block = plain(found[1]), block[found.end():]
                if title and (text := plain(block)) and not re.match(r"#|<|!|\||```|>", block.lstrip()):
                    says = re.match(r".*?(?:[.!?](?=\s|$)|[。！？]|$)", text)[0]
                    return title[:LONGEST], says if len(says) <= LONGEST else f"{says[:LONGEST]}…"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return title[:LONGEST] or name, says


def plain(markdown: str) -> str:
    """A line or a paragraph of Markdown without its marks."""
    text = re.sub(r"!?\[([^\[\]]*)\]\([^()]*\)", r"\1", markdown)
    text = re.sub(r"(\*\*|__|`|\$)", "", text)
    text = re.sub(r"(?<![\w*])\*([^*]+)\*(?![\w*])", r"\1", text)
    # where a line ends between two Chinese characters there is no space
    return re.sub(r"\s+", " ", re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])", "", text.strip()))


def _write_new(root: Path, stem: str, code: str) -> str:
    notebook = {"cells": [{"cell_type": "code", "execution_count": None, "id": "start", "metadata": {}, "outputs": [], "source": code.splitlines(keepends=True)}],
                "metadata": {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}, "language_info": {"name": "python"}},
                "nbformat": 4, "nbformat_minor": 5}
    data = (json.dumps(notebook, indent=1) + "\n").encode()
    for name in (f"{stem}.ipynb", *(f"{stem}-{k}.ipynb" for k in range(1, 1000))):
        try:
            file = open(root / name, "xb")      # closed by the with below; "x": fails if anything of that name is there, a dangling link too
        except FileExistsError:
            continue
        try:
            with file:
                file.write(data)
        except BaseException:
            (root / name).unlink(missing_ok=True)
            raise
        return name
    raise DocumentError(f"{stem}.ipynb to {stem}-999.ipynb are all there already.", hint="Delete some of them.")


# ---------------------------------------------------------------- small pictures


def _about(name: str) -> str:
    """The first words of a template's docstring."""
    return (getattr(examples, name).__doc__ or "").split("\n")[0].split(":")[0].split(". ")[0].rstrip(".")


@lru_cache
def template_picture(name: str) -> dict[str, Any] | None:
    return picture(document_of(getattr(examples, name)()))


@lru_cache(100)
def _file_picture(path: str, changed: float) -> dict[str, Any] | None:
    try:
        return picture(load_document(path))
    except (OSError, DocumentError):
        return None


WEIGHTY = ("recurrent", "conv", "linalg", "control", "loss", "activation", "reduce", "math", "array")     # what a folded scope is drawn as: the first of these in it


def picture(document: Document) -> dict[str, Any] | None:
    """A graph as a drawing of a few boxes: `columns` × `rows`, `nodes` as [column, row, category, is it folded], `edges` as pairs of their indices.

    Scopes are folded, and what gradients and optimizers added is left out. None for a graph that has too much to draw.
    """
    if len(document.nodes) > MOST_FOLDED:
        return None
    shown = {n: n.split("/")[0] for n, node in document.nodes.items() if node.phase == "forward" and node.op != "Group" and not n.startswith(("gradients/", "train/", "Adam/"))}
    parts: dict[str, list[str]] = {}
    for name, top in shown.items():
        parts.setdefault(top, []).append(name)
    wires = dict.fromkeys((shown[e.src], shown[e.dst]) for e in document.edges if e.src in shown and e.dst in shown and shown[e.src] != shown[e.dst])
    wired = {end for wire in wires for end in wire}
    parts = {top: inner for top, inner in parts.items() if top in wired or len(parts) == 1}
    if not 0 < len(parts) <= MOST_DRAWN:
        return None
    column: dict[str, int] = {}
    for _ in parts:     # as far right as what leads there; a cycle ends with the rounds
        for a, b in wires:
            column[b] = max(column.get(b, 0), min(column.get(a, 0) + 1, len(parts) - 1))
    for top in parts:   # what nothing leads to stands beside what it feeds
        if not any(b == top for _, b in wires):
            column[top] = max(min((column[b] for a, b in wires if a == top), default=1) - 1, 0)
    rows: dict[int, list[str]] = {}
    for top in parts:
        rows.setdefault(column[top], []).append(top)
    at: dict[str, float] = {}
    tallest = max(map(len, rows.values()))
    for k in sorted(rows):      # by where their inputs stand, so that wires cross little
        before = {top: [at[a] for a, b in wires if b == top and a in at] for top in rows[k]}
        rows[k].sort(key=lambda top: sum(before[top]) / len(before[top]) if before[top] else tallest)
        for i, top in enumerate(rows[k]):
            at[top] = i + (tallest - len(rows[k])) / 2
    index = {top: i for i, top in enumerate(parts)}
    return {"columns": max(column.values(), default=0) + 1, "rows": tallest,
            "nodes": [[column[top], at[top], _category(document, inner), len(inner) > 1] for top, inner in parts.items()],
            "edges": [[index[a], index[b]] for a, b in wires if a in index and b in index]}


def _category(document: Document, names: list[str]) -> str:
    found = {op.category for n in names if (op := REGISTRY.get(document.nodes[n].op)) is not None}
    return next((c for c in WEIGHTY if c in found), next(iter(sorted(found)), "control")) if len(names) > 1 else next(iter(found), "control")
