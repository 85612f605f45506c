"""Files of documents: what is known to be in one, whether something else has changed it, which were used last, which are near."""
from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..core.errors import DocumentError, plural
from ..core.files import write_atomically
from ..io.document import Document, file_bytes, from_text, read_bounded

ENDING = ".flow.json"
RUN_ENDING = ".trace"    # of recorded runs
LECTURE_ENDING = ".lecture.flow.json"
ENDINGS = {"graph": ENDING, "run": RUN_ENDING, "lecture": LECTURE_ENDING}
RECENT = 20             # files that are remembered
FOUND = 200             # files that are listed
LOOKED = 5_000          # entries of folders that a search looks at
DEEP = 4                # folders in one another that it goes into
MAX_LIST = 64 * 2**10   # bytes of the list of recent files


class Stranger(DocumentError):
    """The file holds something that is neither ours nor what is about to be written."""


class Gone(DocumentError):
    """The file was there, and is there no more."""


class DocumentFile:
    """The file that a document is kept in."""

    def __init__(self, path: Path):
        self.path = path.absolute()
        self.saved: Document | None = None      # what we last read from it or wrote to it
        self.holds = ""                         # its digest
        self.when: float | None = None          # and when that was
        self.trouble = ""                       # "changed", "gone" or "failed"
        self.why = ""
        self._known: set[str] = set()           # digests of that, and of what a write that failed may have left
        self._seen: tuple | None = None         # size and times of the file when its content was looked at last

    def read(self) -> Document:
        """The document in the file; from now on what is there is known."""
        data = read_bounded(self.path)
        document = from_text(data, what=self.path.name)
        self._remember(data, document)
        return document

    def write(self, document: Document, *, overwrite: bool = False, ours: Callable[[Document], bool] | None = None, there: bool = False) -> None:
        """Put the document into the file. Stranger, if something else has changed it; Gone, if it should be `there` and is not; OSError, if it cannot be written.

        `ours`, for a file that is not yet this document's: is what it holds a former state of the same document? What was only read there is not.
        """
        data = file_bytes(document)
        with held(self.path.parent):
            if not overwrite and self.path.exists():
                self._refuse_stranger(data, ours)
            elif there and self._known and not self.path.exists():
                raise Gone(f"{self.path.name} is no longer there: it was moved, renamed or deleted.", hint="Save writes it again; Save as… takes another name.")
            self._known.add(digest(data))       # a write that fails at its very end has put the new content there
            write_atomically(self.path, data)
        self._remember(data, document)

    def look(self) -> str:
        """"" while the file holds what we know, else "changed" or "gone". Reads the file only if its size or times are others than before."""
        seen = self._state()
        if seen is None:
            return "gone" if self._known else ""
        if seen == self._seen:
            return ""
        there = digest(read_bounded(self.path))
        if there not in self._known:
            return "changed"
        self._seen = seen
        return ""

    def theirs(self) -> str:
        """What the file holds now, in words."""
        try:
            found = from_text(read_bounded(self.path), what=self.path.name)
            return f"{plural(len(found.nodes), 'node')}, changed {clock(self.path.stat().st_mtime)}"
        except (OSError, DocumentError):
            return "it is no graph that flowlab reads"

    def _remember(self, data: bytes, document: Document) -> None:
        # what the file looks like is asked when it is looked at: between our own writing and asking, somebody else may have written
        self.holds = digest(data)
        self._known, self._seen = {self.holds}, None
        self.saved, self.when, self.trouble, self.why = document, time.time(), "", ""

    def _state(self) -> tuple | None:
        try:
            s = self.path.stat()
        except OSError:
            return None
        return (s.st_size, s.st_mtime_ns, s.st_ino)

    def _refuse_stranger(self, data: bytes, ours: Callable[[Document], bool] | None) -> None:
        there = read_bounded(self.path)
        if there == data or ours is None and digest(there) in self._known:
            return
        if ours is not None:
            try:
                if ours(from_text(there)):
                    return
            except DocumentError:
                pass
        why = "was changed by another program since it was last read or written here" if ours is None else "is there already, and holds something else"
        raise Stranger(f"{self.path.name} {why}, so it was not replaced.",
                       hint=f"Give the document another title, or write ed.save({self.path.name!r}, overwrite=True); fl.load_document({self.path.name!r}) opens what is there.")


def digest(data: bytes) -> str:
    """A short stand-in for a file's content."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Between looking at a file and replacing it, no other lab on this machine replaces it: the folder is locked, where folders can be."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):      # Windows, or a folder that cannot be opened: the write itself will tell
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass        # some network disks know no locks
        yield
    finally:
        os.close(handle)


# ---------------------------------------------------------------- names


def file_name(title: str) -> str:
    """A file name made of a title: one name in this folder, whatever the title says."""
    stem = re.sub(r"[^\w .()+-]", "_", Path(title.replace("\\", "/")).name.removesuffix(ENDING), flags=re.UNICODE).strip(" .")[:100]
    stem = stem.encode("utf-8")[:200].decode("utf-8", "ignore").rstrip(" .")     # disks count bytes: a Chinese character has three
    return f"{stem or 'untitled'}{ENDING}"


def place_in(folder: Path, typed: str, ending: str = ENDING) -> Path:
    """The file that a typed name means, in the folder or below it; DocumentError says what the name cannot be."""
    text = typed.strip().replace("\\", "/")
    parts = text.split("/")
    anywhere = f"ed.{ {ENDING: 'save', RUN_ENDING: 'save_trace'}.get(ending, 'save_lecture')}(path) writes anywhere."
    if not text.removesuffix(ending).strip(" ."):
        raise DocumentError("A file needs a name.")
    if text.startswith(("/", "~")) or ".." in parts or re.match(r"[A-Za-z]:", text):
        raise DocumentError(f"Files are saved in {folder} and the folders in it.", hint=anywhere)
    wrong = sorted({c for c in parts[-1] if not (c.isprintable() and c not in '<>:"|?*')})
    if wrong:
        raise DocumentError(f"A file name cannot hold {' '.join(c if c.isprintable() else f'U+{ord(c):04X}' for c in wrong)}.")
    if parts[-1].startswith("."):
        raise DocumentError("A name that begins with a dot is hidden from you afterwards.")
    stem = parts[-1].removesuffix(ending)
    if ending != RUN_ENDING:
        stem = stem.removesuffix(ENDING).removesuffix(".json")
    stem = stem.rstrip(" .")
    if len(f"{stem}{ending}".encode()) > 255:
        raise DocumentError("The name is too long for a disk.")
    target = folder.joinpath(*parts[:-1], f"{stem}{ending}")
    if not target.parent.is_dir():
        raise DocumentError(f"There is no folder {'/'.join(parts[:-1])} here.")
    if folder.resolve() not in target.resolve().parents:
        raise DocumentError(f"{'/'.join(parts)} leads out of {folder}.", hint=anywhere)
    if target.is_dir():
        raise DocumentError(f"{target.name} is a folder.")
    return target


def free_name(path: Path) -> Path:
    """A name beside `path` that no file has: `net (2).flow.json`."""
    stem = path.name.removesuffix(ENDING).removesuffix(".json")
    k = 2
    while (free := path.with_name(f"{stem} ({k}){ENDING}")).exists():
        k += 1
    return free


def clock(seconds: float) -> str:
    """`14:02`, or `24 Nov, 14:02` if that was another day."""
    then, now = datetime.fromtimestamp(seconds), datetime.now()
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then.day} {then:%b, %H:%M}" if then.year == now.year else f"{then.day} {then:%b %Y}"


# ---------------------------------------------------------------- which there are


@dataclass(frozen=True, slots=True)
class Row:
    """One file in a list."""

    path: Path
    when: float


def near(folder: Path, ending: str = ENDING) -> tuple[list[Row], bool]:
    """The graph files, or those with another ending, in a folder and below it, newest first, and whether there are more than were looked at."""
    found: list[Row] = []
    todo, looked = [(folder, 0)], 0
    while todo:
        at, depth = todo.pop(0)     # the nearest first
        try:
            entries = sorted(os.scandir(at), key=lambda e: e.name)
        except OSError:
            continue
        for entry in entries:
            looked += 1
            if looked > LOOKED or len(found) >= FOUND:
                return sorted(found, key=lambda r: -r.when), True
            try:
                if entry.is_dir(follow_symlinks=False):
                    if depth < DEEP and not entry.name.startswith(".") and entry.name not in ("node_modules", "__pycache__"):
                        todo.append((Path(entry.path), depth + 1))
                elif entry.name.endswith(ending) and entry.is_file():
                    found.append(Row(Path(entry.path), entry.stat().st_mtime))
            except OSError:
                continue
    return sorted(found, key=lambda r: -r.when), False


def state_folder() -> Path:
    """Where the lab keeps what is nobody's work but helps: Jupyter's data folder of this person."""
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "flowlab"


def recent() -> list[Row]:
    """The files that were opened or saved last, newest first; those that are gone are left out, and a damaged list is an empty one."""
    try:
        with open(state_folder() / "recent.json", "rb") as file:
            rows = json.loads(file.read(MAX_LIST))
        paths = list(dict.fromkeys(Path(r) for r in rows if isinstance(r, str) and "\0" not in r))[:RECENT]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    out = []
    for path in paths:
        try:
            if path.is_absolute() and path.is_file():
                out.append(Row(path, path.stat().st_mtime))
        except OSError:
            continue
    return out


def note_recent(path: Path) -> None:
    """Put the file at the head of the list. A list that cannot be written is no reason to stop anything."""
    try:
        folder = state_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with held(folder):
            rows = list(dict.fromkeys([str(path), *(str(r.path) for r in recent())]))[:RECENT]
            write_atomically(folder / "recent.json", json.dumps(rows).encode())
    except (OSError, UnicodeError):
        pass
