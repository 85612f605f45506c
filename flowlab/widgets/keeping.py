"""Keeping: the part of an Editor that opens and saves documents, keeps the file up to date, and sees when something else has changed it."""
from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..apps import examples
from ..core.errors import DocumentError, FlowError, plural
from ..io.document import Document, document_of, from_text, frozen, read_bounded
from ..io.lecture import lecture_in
from ..runtime.machine import amount
from ..runtime.session import Session
from . import files as F, protocol as P, saved
from .examples import TEMPLATES

QUICK = 0.03        # seconds that a save after an edit may take; one that takes longer waits until the edits pause
PAUSE, LONGEST = 0.4, 3.0      # seconds that it waits
MAX_OPENED = 8 * 2**20      # characters that a page sends: a larger file is opened from the notebook's folder


@dataclass(slots=True)
class Home:
    """Where a document lives: its file, or none yet. Undo goes from one home to another."""

    base: Document                          # what it was when it came, for a document without a file
    file: F.DocumentFile | None = None
    session: Session | None = None          # of a home that was left: its variables come back with it
    known: list[Document] = field(default_factory=list)     # states of the document that a file may hold


class Keeping:
    """What an Editor does with files."""

    def _begin_keeping(self, document: Document) -> None:
        self._home = Home(document)
        self._files: dict[str, F.DocumentFile] = {}     # by real path: two names of one file are one
        self._autosave = True
        self._later: asyncio.TimerHandle | None = None
        self._cost = 0.0
        self._told: P.File | None = None

    # ------------------------------------------------------------ what a person asks for in Python

    @property
    def path(self) -> Path | None:
        """The file that the document is kept in; None before `save` or `open` has said which."""
        return self._home.file.path if self._home.file is not None else None

    @property
    def autosave(self) -> bool:
        """Is the file brought up to date after every edit? True from the start; it begins once the document has a file."""
        return self._autosave

    @autosave.setter
    def autosave(self, on: bool) -> None:
        self._autosave = bool(on)
        self._keep()
        self._say_file()

    def open(self, path: str | os.PathLike | None = None) -> Any:
        """Put the document of a graph file on the canvas, and keep it in that file from now on; returns it.

        Undo goes back to the document before, and to its file. DocumentError if the file is damaged, or of a newer flowlab. What `save_lecture` wrote opens where
        the teacher stood, and is not kept in that file: Save gives it one of its own.
        """
        if path is None:
            return super().open()       # ipywidgets asks for the way to the page by this name
        lecture = lecture_in(read_bounded(path), Path(path).name)
        if lecture is not None:
            self._open_lecture(lecture, Path(path).name)
            F.note_recent(Path(path).absolute())
            return lecture.document
        file = self._file_at(Path(path))
        document = file.read()
        F.note_recent(file.path)
        self._move_to(Home(document, file), document, f"open {file.path.name}")
        return document

    def save(self, path: str | os.PathLike | None = None, *, overwrite: bool = False) -> Path:
        """Write the document to a file, and keep it there from now on; returns where. Without a path: the file that it has, else `<title>.flow.json` here.

        A file that something else has changed since it was read or written here is not replaced unless `overwrite` says so.
        """
        home = self._home
        file = self._file_at(Path(path)) if path is not None else home.file or self._file_at(self._folder() / F.file_name(self._document.name))
        if file is home.file:
            self._cancel()
        else:
            self._settle_file()
        home.known.append(self._document)       # a write that fails at its very end has put it there
        try:
            file.write(self._document, overwrite=overwrite, ours=None if file is home.file else self._is_mine)
        except F.Stranger:
            self._trouble(file, "changed", file.theirs())
            raise
        except OSError as error:
            self._trouble(file, "failed", error.strerror or str(error))
            raise
        home.file = file
        F.note_recent(file.path)
        self._say_scene()
        return file.path

    # ------------------------------------------------------------ autosave

    def _is_dirty(self) -> bool:
        """Does the file not hold what is on the canvas?"""
        base = self._home.file.saved if self._home.file is not None else self._home.base
        return self._document is not base and self._document != base

    def _keep(self) -> None:
        """The document has changed: write it, at once if that is quick."""
        file = self._home.file
        if file is None or not self._autosave or file.trouble in ("changed", "gone") or not self._is_dirty():
            return
        if not self._merge and self._cost <= QUICK:
            if self._answering:     # first: if the kernel ends in between, what is written down still knows the file by what it held
                self._write_down(rest=False)
            return self._keep_now()
        if self._later is None:
            try:
                self._later = asyncio.get_running_loop().call_later(min(max(PAUSE, 10 * self._cost), LONGEST), self._keep_now)
            except RuntimeError:        # nothing runs that could wait
                self._keep_now()

    def _keep_now(self) -> None:
        """Bring the file up to date; whatever goes wrong is told, and nothing is raised."""
        self._cancel()
        file = self._home.file
        if file is None or not self._is_dirty():
            return
        started = time.perf_counter()
        try:
            file.write(self._document, there=True)
        except F.Stranger:
            self._trouble(file, "changed", file.theirs())
        except F.Gone as error:
            self._trouble(file, "gone", error.message)
        except OSError as error:
            self._trouble(file, "failed", error.strerror or str(error))
        except FlowError as error:
            self._trouble(file, "failed", error.message)
        self._cost = time.perf_counter() - started
        self._say_file()

    def _settle_file(self) -> None:
        """The document is about to leave its file: a save that waits for edits to pause waits no longer."""
        if self._later is not None:
            self._keep_now()

    def _cancel(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _trouble(self, file: F.DocumentFile, kind: str, why: str) -> None:
        if file is self._home.file:     # a name that was only tried is none of the document's
            file.trouble, file.why = kind, why
            self._say_file()

    def _look(self) -> None:
        """Has something else changed the file? Asked when a person comes back to the page."""
        file = self._home.file
        if file is None:
            return
        try:
            found = file.look()
            if found == "changed" and F.digest(F.file_bytes(self._document)) == F.digest(F.read_bounded(file.path)):
                file.write(self._document)      # both say the same, so that there is nothing to choose
                found = ""
        except (OSError, DocumentError):
            found = "changed"
        if found == "changed":
            self._trouble(file, found, file.theirs())
        elif found == "gone":
            self._trouble(file, found, f"{file.path.name} is no longer there: it was moved, renamed or deleted.")
        elif file.trouble in ("changed", "gone"):
            self._trouble(file, "", "")
        self._keep()
        self._say_file()

    # ------------------------------------------------------------ from one document to another

    def _move_to(self, home: Home, document: Document, label: str) -> None:
        self._chosen = []
        self._commit(document, label, home=home)

    def _take_theirs(self) -> None:
        """The file's version takes the place of what is on the canvas, as one step of undo."""
        file = self._home.file
        if file is None:
            raise DocumentError("The document has no file yet.", hint="Save gives it one.")
        theirs = F.DocumentFile(file.path)      # mine goes on knowing the file as it was: Undo comes back to the same choice, and writes over nothing
        found = theirs.read()
        feeds = {**{k: v for k, v in self._document.feeds.items() if k in found.nodes}, **found.feeds}
        theirs.saved = replace(found, feeds=MappingProxyType(feeds))
        self._files[os.path.realpath(file.path)] = theirs
        self._move_to(Home(theirs.saved, theirs, session=self._session), theirs.saved, f"take what {file.path.name} holds")
        self._say_file()
        self._notice("status", f"This is what {file.path.name} holds now.", "Undo brings back what was here.")

    def _keep_copy(self) -> None:
        """What is on the canvas goes on in a file of its own, beside the one that something else has changed."""
        file = self._home.file
        if file is None:
            raise DocumentError("The document has no file yet.", hint="Save gives it one.")
        target = self.save(F.free_name(file.path))
        self._notice("status", f"Saved to {target.name}; {file.path.name} stays as it is.")

    # ------------------------------------------------------------ what the page asks for

    def _file_command(self, name: str, text: str | None) -> None:
        match name:
            case "new" if text in {t.name: t for t in TEMPLATES}:
                graph = getattr(examples, text)()
                document = replace(document_of(graph), feeds=MappingProxyType({k: frozen(np.array(v)) for k, v in graph.feeds.items()}))
                self._move_to(Home(document), document, f"open {graph.name}")
                self._notice("status", f"Opened {graph.name}.", "Undo goes back to the document before.")
            case "new":
                self._move_to(Home(Document()), Document(), "new document")
                self._notice("status", "A new document.", "Undo goes back to the one before.")
            case "open" if text is not None:
                path = Path(text)
                if not self._may_open(path):
                    raise DocumentError(f"{path.name} is neither below {self._folder()} nor a recent file.", hint="ed.open(path) opens any file.")
                self.open(path)
                self._notice("status", f"Opened {path.name}.", "Undo goes back to the document before.")
            case "save":
                self._tell_saved(self.save(self._folder() / F.file_name(text) if text else None))
            case "save_as" | "replace" if text is not None:
                self._tell_saved(self.save(F.place_in(self._folder(), text), overwrite=name == "replace"))
            case "keep_copy":
                self._keep_copy()
            case "take_theirs":
                self._take_theirs()
            case "overwrite" if self._home.file is not None:
                self._tell_saved(self.save(overwrite=True))
            case "autosave_on" | "autosave_off":
                self.autosave = name == "autosave_on"
                self._notice("status", "Every edit is saved to the document's file." if self._autosave else "The file changes when you save.")
            case "look":
                self._look()
            case _:
                raise DocumentError(f"{name} needs more than its name.", hint="Reload the page, or restart the kernel.")

    def _tell_saved(self, target: Path) -> None:
        self._notice("status", f"Saved to {target.name}.", f"In {target.parent}.")

    def _open_text(self, name: str, text: Any) -> None:
        """A document that a person dropped, picked or pasted: it has no file here yet."""
        if not isinstance(text, str) or len(text) > MAX_OPENED:
            raise DocumentError(f"{name} is larger than a page can send.", hint="Put it into the notebook's folder, and open it from there.")
        lecture = lecture_in(text, name)
        if lecture is not None:
            self._open_lecture(lecture, name)
            return self._notice("status", f"Opened the lecture {name}.", "Save keeps what you make of it; Undo goes back to the document before.")
        document = from_text(text, what=name)
        self._move_to(Home(document), document, f"open {name}")
        self._notice("status", f"Opened {name} with {plural(len(document.nodes), 'node')}.", "Save keeps it here; Undo goes back to the document before.")

    def _ask_files(self, kind: P.FileKind) -> None:
        folder, runs = self._folder(), kind == "run"
        found, more = F.near(folder, F.RUN_ENDING if runs else F.ENDING)
        last = [r for r in F.recent() if (r.path.suffix == F.RUN_ENDING) == runs]
        paths = {r.path for r in last}
        rows = [self._row(r, folder, True) for r in last] + [self._row(r, folder, False) for r in found if r.path not in paths]
        self._say(P.Files(kind=kind, folder=str(folder), rows=rows, more=more))

    def _row(self, row: F.Row, folder: Path, recent: bool) -> P.FileRow:
        place = row.path.parent
        shown = "" if place == folder else str(place.relative_to(folder)) if folder in place.parents else str(place)
        return P.FileRow(path=str(row.path), name=row.path.name, place=shown, when=F.clock(row.when), recent=recent)

    def _ask_name(self, typed: str, kind: P.FileKind) -> None:
        """Is this a name to save under, and what stands there already?"""
        try:
            target = F.place_in(self._folder(), typed, F.ENDINGS[kind])
        except DocumentError as error:
            return self._say(P.NameCheck(name=typed, problem=f"{error.message} {error.hint or ''}".strip()))
        there = ""
        mine = self._home.file
        if kind != "graph":
            if target.exists():
                there = f"{amount(target.stat().st_size)}, changed {F.clock(target.stat().st_mtime)}"
        elif target.exists() and not (mine is not None and os.path.realpath(target) == os.path.realpath(mine.path)):
            there = F.DocumentFile(target).theirs()
        return self._say(P.NameCheck(name=typed, file=target.name, there=there))

    def _may_open(self, path: Path) -> bool:
        return path.is_absolute() and (self._folder().resolve() in path.resolve().parents or path in [r.path for r in F.recent()])

    # ------------------------------------------------------------ small

    def _folder(self) -> Path:
        """Where the page opens and saves: the notebook's folder."""
        notebook = saved.notebook()
        return notebook.parent.absolute() if notebook is not None else Path.cwd()

    def _file_at(self, path: Path) -> F.DocumentFile:
        return self._files.setdefault(os.path.realpath(path), F.DocumentFile(path))

    def _file_holding(self, offer: saved.Saved) -> F.DocumentFile | None:
        """The file that an offered document was kept in, if nothing else has changed that since."""
        if offer.file is None or not self._may_open(offer.file):
            return None
        file = self._file_at(offer.file)
        try:
            return file if same_file(file.read(), offer.document) or file.holds == offer.holds else None
        except (OSError, DocumentError):
            return None

    def _is_mine(self, theirs: Document) -> bool:
        """Is it a state that the document of now has had? One that was left with New or Open is another document."""
        mine: Sequence[Document] = [self._home.base, *self._home.known, *(d for _, d, home in (*self._undo, *self._redo) if home is self._home)]
        return any(same_file(theirs, d) for d in mine)

    def _shown_path(self) -> str | None:
        """The path as the page shows it: from the notebook's folder, if it is there."""
        if self.path is None:
            return None
        folder = self._folder()
        return str(self.path.relative_to(folder)) if folder in self.path.parents else str(self.path)

    def _file_message(self) -> P.File:
        file = self._home.file
        if file is None:
            return P.File(path=None, dirty=self._is_dirty(), autosave=self._autosave, kept=self._output.id)
        return P.File(path=self._shown_path(), name=file.path.name, folder=str(file.path.parent), dirty=self._is_dirty(), autosave=self._autosave,
                      saved=F.clock(file.when) if file.when is not None else "", trouble=file.trouble, why=file.why, kept=self._output.id)

    def _say_file(self) -> None:
        """Tell the page about the document's file, if that is news."""
        message = self._file_message()
        if message != self._told:
            self._told = message
            self._say(message)


def same_file(a: Document, b: Document) -> bool:
    """Would both be written alike? Feeds too large for a file don't count, nor does what only the lab knows."""
    return a is b or replace(a, next_id=0).to_json() == replace(b, next_id=0).to_json()
