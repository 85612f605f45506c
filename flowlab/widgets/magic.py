"""The line magic of a notebook: `%flowlab debug` after an exception opens the failed run in the lab."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..apps.tape import failed
from ..core.errors import FlowError
from ..core.graph import Tensor
from ..io.document import document_of
from ..runtime.feeding import flatten
from .editor import Editor


def open_failed(error: BaseException | None = None) -> Editor:
    """The lab with the run that failed, stopped at the node that did. DebuggerError if no run has failed."""
    past = failed(error)
    graph = past.session.graph
    wanted, _ = flatten(graph, past.fetches)
    document = replace(document_of(graph), fetches=tuple(dict.fromkeys(f.node.name if isinstance(f, Tensor) else f.name for f in wanted)))
    placeholders = {t.name for t in graph.placeholders}
    editor = Editor(document, session=past.session, feeds={k.removesuffix(":0"): v for k, v in past.feeds.items() if k in placeholders})
    try:
        editor.run()
    except FlowError:
        pass        # it is why we are here; the lab shows it at its node
    return editor


def flowlab_magic(line: str) -> Any:
    """`%flowlab debug`: open the run that the last exception came from, at the node that failed."""
    if line.strip() != "debug":
        print("%flowlab debug   opens the run that the last exception came from, at the node that failed")
        return None
    try:
        return open_failed()
    except FlowError as error:
        print(error)
        return None
