"""What a person has edited in a lab, kept beside Jupyter's own data until the notebook or a file has it: a kernel may be killed at any moment."""
from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..core.errors import DocumentError
from ..core.files import write_atomically
from ..io import jsonio
from ..io.document import Document, from_json
from .files import state_folder

MOST = 40                   # labs that are remembered
DAYS = 30
LARGE = 2**20               # a document of more bytes is written down when edits rest, not at each
MAX_BYTES = 16 * 2**20      # a larger document is not written at every edit


@dataclass(frozen=True, slots=True)
class Saved:
    """A document that was kept from an earlier running of the cell."""

    document: Document
    stamp: str                  # ISO 8601
    file: Path | None = None    # the file that it was in, if it had one,
    holds: str = ""             # and the digest of what that held

    @property
    def when(self) -> str:
        """`24 Nov 2026, 14:02`, as the page shows it."""
        try:
            moment = datetime.fromisoformat(self.stamp)
        except ValueError:
            return ""
        return f"{moment.day} {moment:%b %Y, %H:%M}"


class Recovery:
    """The edited document of one lab, by notebook, cell and place in the cell."""

    def __init__(self, notebook: Path, cell: str, place: int):
        key = hashlib.sha256(f"{notebook.resolve()}\n{cell}\n{place}".encode()).hexdigest()[:32]
        self.path = state_folder() / "recovery" / f"{key}.json"
        self.written: tuple[Document, Path | None] | None = None
        self._size = 0

    def keep(self, document: Document, file: Path | None, holds: str = "", rest: bool = True) -> None:
        """Write the document down, if that has not been done; a large one, when edits rest. A full disk is told of by what saves to it, not here."""
        if self.written is not None and self.written[0] is document and self.written[1] == file or self._size > LARGE and not rest:
            return
        self.written = document, file
        try:
            data = jsonio.dumps({"saved": datetime.now().astimezone().isoformat(), "file": str(file) if file is not None else None, "holds": holds, "document": document.to_json()}).encode()
            self._size = len(data)
            if len(data) <= MAX_BYTES:
                if not self.path.exists():
                    self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    _tidy(self.path.parent)
                write_atomically(self.path, data)
        except (OSError, ValueError, DocumentError):    # what cannot be written cannot be kept
            pass

    def find(self) -> Saved | None:
        """What was kept last; None for whatever is not sound."""
        try:
            with open(self.path, "rb") as file:
                data = jsonio.parse(file.read(2 * MAX_BYTES), what="the kept document")
            held, stamp = data.get("file"), data["saved"]
            datetime.fromisoformat(stamp)
            return Saved(from_json(data["document"]), stamp, Path(held) if isinstance(held, str) and "\0" not in held else None, str(data.get("holds") or ""))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, DocumentError):
            return None

    def forget(self) -> None:
        """It is not wanted any more."""
        self.written = None
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            pass


def _tidy(folder: Path) -> None:
    """Old ones go."""
    rows = []
    for entry in os.scandir(folder):
        try:
            rows.append((entry.stat().st_mtime, entry.path))
        except OSError:
            continue
    rows.sort(reverse=True)
    for k, (when, path) in enumerate(rows):
        if k >= MOST - 1 or time.time() - when > DAYS * 86400:
            try:
                os.unlink(path)
            except OSError:
                continue
