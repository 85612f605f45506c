"""The picture and the document that a notebook keeps beside the widget, and finds again when the cell is run anew."""
from __future__ import annotations

import json
import os
import re
import secrets
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from ..core.errors import DocumentError
from ..io.document import Document, from_text
from . import protocol as P, static_picture
from .recovery import Recovery, Saved

MIME = "application/vnd.flowlab.document+json"
MAX_NOTEBOOK = 128 * 2**20
MAX_PICTURE = 8 * 2**20
_PNG = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")

_displays: dict[str, int] = {}      # how many labs each running of a cell has shown


class Output:
    """The second output of a lab's cell: an image that needs no kernel, with the document as data beside it."""

    def __init__(self) -> None:
        self.shown = False
        self.id = f"flowlab-{secrets.token_hex(8)}"
        self._recovery: Recovery | None = None
        self._png: str | None = None
        self._size = (0, 0)
        self._said: Any = None

    def begin(self) -> Saved | None:
        """A display begins: what the notebook holds in its place, if a person had changed it and this lab is shown for the first time."""
        kernel = _kernel()
        if kernel is None:
            return None
        parent = kernel.get_parent("shell") or {}
        run = str(parent.get("header", {}).get("msg_id", ""))
        place = _displays.get(run, 0)
        _displays.clear()   # only the cell that runs now matters
        _displays[run] = place + 1
        path, cell = notebook(), parent.get("metadata", {}).get("cellId")
        if self.shown:
            self.forget()       # it stands in another cell now
        self._recovery = Recovery(path, cell, place) if path is not None and isinstance(cell, str) else None
        return None if self.shown else later(find(path, cell, place), self._recovery.find() if self._recovery is not None else None)

    def keep(self, document: Document, file: Path | None, holds: str, rest: bool) -> None:
        """Write down what a person has edited; `rest`: nothing has been edited for a while."""
        if self._recovery is not None:
            self._recovery.keep(document, file, holds, rest)

    def keep_nothing(self) -> None:
        """Everything was taken back: what this lab has written down is its cell's own graph again."""
        if self._recovery is not None and self._recovery.written is not None:
            self._recovery.forget()

    def forget(self) -> None:
        """What was written down is not wanted any more."""
        if self._recovery is not None:
            self._recovery.forget()

    def picture(self, png: Any, width: Any, height: Any) -> None:
        """Take the page's picture of the canvas; DocumentError if it is none."""
        self._png, self._size = checked_picture(png, width, height)

    def publish(self, document: Document, *, edited: bool, when: str | None = None, anew: bool = False) -> P.Kept | None:
        """Bring picture and document up to date wherever they are shown; `anew` shows them in the cell that runs now.

        Returns what was published, for a page to which the notebook does not pass it on.
        """
        if _kernel() is None or not (anew or self.shown):
            return None
        now = (document, self._png, edited, when)
        if not anew and self._said is not None and self._said[1:] == now[1:] and (self._said[0] is document or self._said[0] == document):
            return None
        from IPython.display import publish_display_data

        self._said = now
        alt = "flowlab graph"
        if self._png is not None:
            image = f'<img alt="{alt}" src="{self._png}" width="{self._size[0]}" height="{self._size[1]}">'
        else:   # no page has drawn it yet
            image = f'<img alt="{alt}" src="{static_picture.data_uri(document)}">'
        stamp = when or datetime.now().astimezone().isoformat(timespec="seconds")
        data = {"text/html": image, "text/plain": escape(repr(document)), MIME: document.to_json()}
        metadata = {"flowlab": {"id": self.id, "edited": edited, "saved": stamp}}
        publish_display_data(data, metadata, transient={"display_id": self.id}, update=not anew)
        self.shown = True
        return P.Kept(id=self.id, data=data, metadata=metadata)


class Beside:
    """The second output of a view's cell: an image that needs no kernel. The page hides it, by its `alt`, while the view lives."""

    def __init__(self, alt: str) -> None:
        self._alt, self._id, self._shown = alt, f"flowlab-{secrets.token_hex(8)}", False

    def begin(self, text: str) -> None:
        """The view is shown in the cell that runs now: until its page has drawn it, a sentence stands for it."""
        self._publish(f'<img alt="{self._alt}" src="{static_picture.said(text)}">', text, anew=True)

    def take(self, png: Any, width: Any, height: Any, text: str) -> None:
        """Show the page's picture wherever the view is shown; DocumentError if it is none."""
        data, (across, down) = checked_picture(png, width, height)
        if self._shown:
            self._publish(f'<img alt="{self._alt}" src="{data}" width="{across}" height="{down}">', text, anew=False)

    def hide(self, text: str) -> None:
        """Show a sentence in place of the picture, wherever the view is shown."""
        if self._shown:
            self._publish(f'<img alt="{self._alt}" src="{static_picture.said(text)}">', text, anew=False)

    def _publish(self, image: str, text: str, *, anew: bool) -> None:
        if _kernel() is None:
            return
        from IPython.display import publish_display_data

        publish_display_data({"text/html": image, "text/plain": escape(text)}, {}, transient={"display_id": self._id}, update=not anew)
        self._shown = True


def checked_picture(png: Any, width: Any, height: Any) -> tuple[str, tuple[int, int]]:
    """A page's picture and its size; DocumentError if it is none."""
    if not isinstance(png, str) or len(png) > MAX_PICTURE or not _PNG.fullmatch(png):
        raise DocumentError("the picture of the canvas is no PNG of a fair size.")
    if not all(isinstance(n, (int, float)) and 0 < n <= 20_000 for n in (width, height)):
        raise DocumentError("the picture of the canvas has no size.")
    return png, (round(width), round(height))


def find(notebook: Path | None, cell: Any, place: int) -> Saved | None:
    """The document in the `place`-th lab of a cell of a saved notebook, if a person has changed it there; None for whatever is not sound."""
    if notebook is None or not isinstance(cell, str):
        return None
    try:
        if notebook.stat().st_size > MAX_NOTEBOOK:
            return None
        text = notebook.read_text("utf-8")
        if MIME not in text:
            return None
        rows = json.loads(text)["cells"]
        outputs = next(row["outputs"] for row in rows if row.get("id") == cell)
        labs = [o for o in outputs if MIME in o.get("data", {})]
        about = labs[place]["metadata"]["flowlab"]
        if about.get("edited") is not True:
            return None
        # through the same door as any graph file
        return Saved(from_text(json.dumps(labs[place]["data"][MIME])), str(about.get("saved", ""))[:40])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, StopIteration, RecursionError, DocumentError):
        return None     # a notebook that cannot be read has nothing to offer


def _kernel() -> Any:
    """The kernel that this process is, None outside of Jupyter."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return getattr(get_ipython(), "kernel", None)


def later(a: Saved | None, b: Saved | None) -> Saved | None:
    """Of two saved documents, the one that was saved last."""
    def moment(found: Saved) -> datetime:
        try:
            return datetime.fromisoformat(found.stamp).astimezone()
        except (ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(0).astimezone()
    return a or b if a is None or b is None else a if moment(a) > moment(b) else b


def notebook() -> Path | None:
    """The notebook that this kernel belongs to, where Jupyter says so."""
    path = os.environ.get("JPY_SESSION_NAME", "")
    return Path(path) if path.endswith(".ipynb") and Path(path).is_file() else None
