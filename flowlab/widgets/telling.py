"""Telling: the part of an Editor that keeps a storyboard, goes through it, and saves a lab for a class as it stands."""
from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import DebuggerError, DocumentError, FlowError, HeldError, plural
from ..core.graph import Graph
from ..debugger import Debugger, Recording
from ..io.build import build
from ..io.document import MOST_SHOWN, Bookmark, Document
from ..io.edits import MoveBookmark, PutBookmark, RemoveBookmark, WriteBookmark
from ..io.lecture import Lecture
from ..runtime.session import Session
from ..runtime.store import checked
from . import files as F, protocol as P, scene as S
from .keeping import Home

STRETCH = 100       # firings on the record that are gone over at a time


def to_cursor(dbg: Debugger, cursor: int) -> Generator[None, None, None]:
    """To a place of the run: on the record by going there, beyond it by firing what Step would."""
    known = min(cursor, dbg.length)
    while dbg.cursor != known:
        dbg.seek(max(known, dbg.cursor - STRETCH) if known < dbg.cursor else min(known, dbg.cursor + STRETCH))
        yield
    while dbg.cursor < cursor and not isinstance(dbg, Recording) and dbg.step() is not None:
        yield


class Storyboard(Sequence):
    """The moments that a lecture goes through, kept with the document: `ed.storyboard`.

    Each is a `Bookmark`: a title, a note in Markdown, where the run stands (in firings), what is in sight, folded and selected. Changes are steps of undo.

    >>> import flowlab as fl
    >>> with fl.Graph("up") as g:
    ...     y = fl.square(fl.add(fl.placeholder((), name="x"), 1.0, name="up"), name="y")
    >>> ed = fl.Editor(g, feeds={"x": 2.0})
    >>> first = ed.storyboard.add("Before", "Nothing has fired.")
    >>> event = ed.step()
    >>> ed.storyboard.add("One up", "Here $x + 1 = 3$.").cursor
    1
    >>> ed.storyboard.go("Before").cursor is None, ed.debugger
    (True, None)
    """

    def __init__(self, editor: Any):
        self._editor = editor

    def __len__(self) -> int:
        return len(self._editor.document.storyboard)

    def __getitem__(self, index: Any) -> Any:
        return self._editor.document.storyboard[index]

    def __iter__(self) -> Iterator[Bookmark]:
        return iter(self._editor.document.storyboard)

    @property
    def at(self) -> int | None:
        """Which bookmark was gone to last, counted from 0; None before that."""
        return self._editor._story_at

    def list(self) -> list[Bookmark]:
        """All bookmarks, in order."""
        return [*self]

    def add(self, title: str = "", note: str = "", *, shows: Sequence[Any] = (), at: int | None = None) -> Bookmark:
        """Add the present moment, and return it: after the bookmark gone to last, else at the end; `at` is its place, from 0.

        `shows` are the nodes or scopes to be in sight, else what is selected, else the whole graph. Without a title it is called after what fired last.
        """
        return self._editor._add_bookmark(title, note, at, shows=[getattr(getattr(n, "node", n), "name", n) for n in shows])

    def replace(self, which: int | str) -> Bookmark:
        """Let a bookmark stand for the present moment from now on; its title and note stay."""
        index = self._index(which)
        self._editor.edit(self._editor._moment_now(self[index].title, self[index].note, index))
        return self[index]

    def write(self, which: int | str, *, title: str | None = None, note: str | None = None) -> Bookmark:
        """Give a bookmark another title or note."""
        index = self._index(which)
        self._editor.edit(WriteBookmark(index, title, note))
        return self[index]

    def move(self, which: int | str, to: int) -> None:
        """Let a bookmark come at another place, from 0."""
        self._editor.edit(MoveBookmark(self._index(which), to))

    def remove(self, which: int | str) -> None:
        """Take a bookmark out."""
        self._editor.edit(RemoveBookmark(self._index(which)))

    def go(self, which: int | str) -> Bookmark:
        """Go to a bookmark, by its place (from 0; -1 is the last) or its title: the run is brought there, and where it has not come yet it is run.

        What Step raises, this raises; HeldError where a question is open on the way.
        """
        return self._editor._go_to_bookmark(self._index(which))

    def _index(self, which: int | str) -> int:
        board = self._editor.document.storyboard
        if isinstance(which, str):
            found = next((k for k, b in enumerate(board) if b.title == which), None)
            if found is None:
                raise DocumentError(f"no bookmark is called {which[:80]!r}.", hint=f"There are {', '.join(b.title for b in board[:8])}." if board else "ed.storyboard.add(title) adds the present moment.")
            return found
        if not -len(board) <= which < len(board):
            raise DocumentError(f"there is no bookmark {which}.", hint=f"The storyboard has {len(board)}, counted from 0.")
        return which % len(board)

    def __repr__(self) -> str:
        rows = [f"{k}. {b.title}: {'nothing runs' if b.cursor is None else f'firing {b.cursor}'}" for k, b in enumerate(self)]
        return "\n".join(rows) or "an empty storyboard: ed.storyboard.add(title, note) adds the present moment"


class Telling:
    """What an Editor does with its storyboard."""

    _document: Document
    _debugger: Debugger | None

    def _begin_telling(self) -> None:
        self._story_at: int | None = None
        self._story_moves = False       # shall the next page that says hello look where the bookmark looks?

    # ------------------------------------------------------------ what a person asks for in Python

    @property
    def storyboard(self) -> Storyboard:
        """The moments that a lecture goes through: `.add(title, note)`, `.go(which)`, `.list()` and more."""
        return Storyboard(self)

    def save_lecture(self, path: str | os.PathLike, *, overwrite: bool = False) -> Path:
        """Write a file for the class: the document with its storyboard, all feeds, the variables as this run found them, and where it stands; returns where.

        `fl.Editor(path)`, `ed.open(path)` and Open in the lab begin there, with the same numbers, bit for bit on the same machine (at one BLAS thread count).
        It is a graph file with one field more. DebuggerError while something is overridden, DocumentError if it would take more than 64 MB.
        """
        target = Path(path).absolute()
        if target.exists() and not overwrite:
            raise DocumentError(f"{target.name} is there already, so it was not replaced.", hint="Give another name, or write overwrite=True.")
        self._lecture().save(target)
        F.note_recent(target)
        return target

    def _lecture(self) -> Lecture:
        dbg = self._debugger
        if dbg is not None and dbg.overridden:
            raise DebuggerError(f"{dbg.overridden[0][0]} is overridden in this run, and a lecture keeps no overrides.", hint="Take the override back first.")
        running = dbg is not None and (dbg.length > 0 or dbg.error is not None)
        held, number = dbg.moment if running else self._session.moment()
        names = {n.id: n.name for n in self._built.graph.nodes if n.op.source == "variable"}
        return Lecture(self._document, dbg.cursor if running else None, self._story_at, self._session.seed, number, {names[k]: v for k, v in held.items() if k in names})

    # ------------------------------------------------------------ the moment

    def _moment_now(self, title: str, note: str, index: int | None = None, **seen: Any) -> PutBookmark:
        """The edit that makes a bookmark of the present moment. `seen` is what a page knows of it; without one the selection counts, else the whole graph."""
        dbg, view = self._debugger, self._view()
        running = dbg is not None and (dbg.length > 0 or isinstance(dbg, Recording))
        after = dbg.records[dbg.cursor - 1].node if running and dbg.cursor else ""
        seen.setdefault("selected", self._selection)
        seen["shows"] = tuple(seen.get("shows") or (() if seen.get("view") else seen["selected"]))
        unknown = next((n for n in seen["shows"] if n not in view.document.nodes and n not in view.document.scopes), None)
        if unknown is not None and "view" not in seen:
            raise DocumentError(f"there is no {str(unknown)[:200]!r} to be shown.", node=str(unknown)[:200])
        if not title.strip():
            title = f"After {after}" if after else "Start of the run" if running else "The graph"
        return PutBookmark(title.strip()[:200], note, dbg.cursor if running else None, after, folded=tuple(sorted(S.folded_scopes(view.document))), index=index, **seen)

    def _add_bookmark(self, title: str, note: str, at: int | None = None, **seen: Any) -> Bookmark:
        count = len(self._document.storyboard)
        place = at if at is not None else count if self._story_at is None else self._story_at + 1
        put = self._moment_now(title, note, **seen)
        self.edit(put, *([MoveBookmark(count, place)] if place != count else []))
        self._look_at_bookmark(place, move=False)
        return self._document.storyboard[place]

    def _look_at_bookmark(self, index: int | None, *, move: bool) -> None:
        self._story_at = index
        self._say(P.Story(at=index, move=move))

    def _retold(self, before: Document) -> None:
        """The storyboard is another: what is on show goes with its bookmark."""
        old, new, at = before.storyboard, self._document.storyboard, self._story_at
        if at is None or old is new:
            return
        mine = old[at] if at < len(old) else None
        found = next((k for k, b in enumerate(new) if b is mine), at if len(new) == len(old) else min(at, len(new) - 1))
        if found != at:
            self._look_at_bookmark(found if found >= 0 else None, move=False)

    # ------------------------------------------------------------ going there

    def _bookmark(self, index: int) -> Bookmark:
        board = self._document.storyboard
        if not 0 <= index < len(board):
            raise DocumentError(f"there is no bookmark {index + 1}.", hint=f"The storyboard has {len(board)}.")
        return board[index]

    def _prepare_bookmark(self, index: int) -> Bookmark:
        """Fold as it was then, and say at once what is on show; where nothing ran, nothing runs."""
        mark, view = self._bookmark(index), self._view()
        self._halt()
        self._look_at_bookmark(index, move=False)
        if mark.folded is not None:
            folded = frozenset(mark.folded) & (view.document.scopes | view.document.inside)
            if folded != S.folded_scopes(view.document):
                self._draw_so(folded, self._spread)
        if mark.cursor is None:
            self._end_run()
        return mark

    def _end_run(self) -> None:
        """Back to before the run, and the variables as they were then; of a recording, to its start."""
        if self._debugger is None:
            return
        try:
            self._go(lambda dbg: dbg.seek(0), fresh=False)
        except DebuggerError:       # it has committed, and another run after it: that stays
            pass
        if not isinstance(self._debugger, Recording):
            self.reset()

    def _reached_bookmark(self, index: int) -> None:
        mark, dbg = self._document.storyboard[index], self._debugger
        drawn = self._view().document
        self._selection = tuple(n for n in mark.selected if n in drawn.nodes or n in drawn.scopes)
        self._look_at_bookmark(index, move=True)
        if mark.cursor is None or dbg is None:
            return
        last = dbg.records[dbg.cursor - 1].node if dbg.cursor else ""
        if dbg.cursor < mark.cursor:
            self._notice("status", f"This run ends after {plural(dbg.cursor, 'firing')}, the bookmark stands at {mark.cursor}.", "The graph has changed since; Replace makes it stand for this moment.")
        elif last != mark.after:
            self._notice("status", f"The run has changed since this bookmark was made: firing {mark.cursor} was {mark.after or 'none'}, it is {last or 'none'} now.", "Replace makes it stand for this moment.")

    def _go_to_bookmark(self, index: int) -> Bookmark:
        mark = self._prepare_bookmark(index)
        if mark.cursor is not None:
            self._go(lambda dbg: _all_of(to_cursor(dbg, mark.cursor)))
        self._reached_bookmark(index)
        return mark

    # ------------------------------------------------------------ a lecture is opened

    def _open_lecture(self, lecture: Lecture, name: str) -> None:
        """Put a lecture on the canvas, without a file: what a student changes is no longer the teacher's."""
        session_of_lecture(lecture, build(lecture.document).graph)      # says first what is wrong with it
        self._move_to(Home(lecture.document), lecture.document, f"open {name}")
        self._begin_lecture(lecture)

    def _begin_lecture(self, lecture: Lecture) -> None:
        """Let the session stand where the teacher's did, and go to the cursor."""
        before, self._session = self._session, session_of_lecture(lecture, self._built.graph)
        self._link_to(before)
        self._rest_cache = None
        board = lecture.document.storyboard
        self._story_at = lecture.at if lecture.at is not None and lecture.at < len(board) else None
        self._story_moves = self._story_at is not None
        try:
            if lecture.cursor is None:
                self._say_state(full=True)
            elif self._answering:       # a page asked for it: what a file says may take long, and can be paused
                return self._pace(lambda dbg: to_cursor(dbg, lecture.cursor), lambda *_: self._greet_story())
            else:
                self._go(lambda dbg: _all_of(to_cursor(dbg, lecture.cursor)))
        except HeldError as error:
            self._tell_held(error)
        except FlowError as error:      # the document is there all the same
            self._notice("alert", f"The run does not come to firing {lecture.cursor}: {error.message}", error.hint, error.node)
        self._greet_story()

    def _greet_story(self) -> None:
        """A page that has come knows nothing of the storyboard yet."""
        if self._page and self._story_at is not None:
            self._say(P.Story(at=self._story_at, move=self._story_moves))
            self._story_moves = False

    # ------------------------------------------------------------ what the page asks for

    def _story(self, content: dict[str, Any]) -> None:
        """`add`, `replace` and `go` from the page; all else about a storyboard is an edit."""
        name, index = content.get("name"), content.get("index")
        index = index if isinstance(index, int) and not isinstance(index, bool) else None
        if name == "go" and index is not None:
            mark = self._prepare_bookmark(index)
            if mark.cursor is None:
                return self._reached_bookmark(index)
            return self._pace(lambda dbg: to_cursor(dbg, mark.cursor), lambda *_: self._reached_bookmark(index))
        document = self._view().document
        there = [n for n in self._names_of({"names": content.get("shows")}) if n in document.nodes or n in document.scopes]
        seen = {"view": content.get("view"), "shows": tuple(there[:MOST_SHOWN]), "selected": tuple(self._names_of({"names": content.get("selected")})[:MOST_SHOWN]), "tensor": content.get("tensor"), "into": content.get("into"),
                "panels": content.get("panels") or ()}
        if name == "add":
            made = self._add_bookmark(str(content.get("title") or ""), "", **seen)
            self._notice("status", f"Added the bookmark {made.title}.")
        elif name == "replace" and index is not None:
            held = self._bookmark(index)
            self.edit(self._moment_now(held.title, held.note, index, **seen))
            self._look_at_bookmark(index, move=False)
            self._notice("status", f"The bookmark {held.title} stands for this moment now.")
        else:
            raise DocumentError(f"{str(name)[:40]} needs more than its name.", hint="Reload the page, or restart the kernel.")

    def _save_lecture_command(self, text: str, overwrite: bool) -> None:
        target = self.save_lecture(F.place_in(self._folder(), text, F.LECTURE_ENDING), overwrite=overwrite)
        self._notice("status", f"Saved {target.name} for the class: it opens where this lab stands.", f"In {target.parent}.")


def session_of_lecture(lecture: Lecture, graph: Graph) -> Session:
    """A session that stands where the lecture's run began; ShapeError or DTypeError for a value that its variable cannot have."""
    session = Session(graph, seed=lecture.seed)
    session.store.commit({v.node.id: checked(v.node, lecture.variables[v.node.name]) for v in graph.variables if v.node.name in lecture.variables})
    session.store.runs = lecture.run
    return session


def _all_of(work: Generator[None, None, None]) -> None:
    for _ in work:
        pass
