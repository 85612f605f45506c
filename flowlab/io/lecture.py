"""Lecture: a document with the moment that a class begins at. Its file is a graph file with one field more, so whatever reads graph files reads it."""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..core.errors import DocumentError
from ..core.files import write_atomically
from . import jsonio
from .document import STORYBOARDS, Document, bytes_of, encode_array, from_json, read_bounded, read_moment


@dataclass(frozen=True, slots=True, eq=False)
class Lecture:
    """A document, and where its run stood: with the same feeds, variables and draws the same numbers come out, bit for bit on the same machine."""

    document: Document
    cursor: int | None                      # firings done; None: nothing ran
    at: int | None                          # the bookmark that was on show
    seed: int
    run: int                                # how many runs came before: random draws depend on it
    variables: Mapping[str, np.ndarray]     # what the run began with; one that is not here is drawn from the seed

    def to_json(self) -> dict[str, Any]:
        """The lecture as plain JSON values: the document with all its feeds, however large, and `lecture`. What a cell's variable gave is a value here."""
        document = replace(self.document, bound=MappingProxyType({}))
        if abs(self.seed) >= jsonio.EXACT:
            raise DocumentError(f"the seed {self.seed} is beyond what a graph file holds.", hint="Use a seed below 2^53.")
        held = document.to_json()
        feeds = {k: encode_array(v) for k, v in document.feeds.items()}
        return {**held, "flowlab": max(held["flowlab"], STORYBOARDS), **({"feeds": feeds} if feeds else {}),
                "lecture": {"cursor": self.cursor, "at": self.at, "seed": self.seed, "run": self.run, "variables": {k: encode_array(v) for k, v in self.variables.items()}}}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file; the old one stays whole until the new one is. DocumentError if it would be larger than flowlab reads (64 MB)."""
        write_atomically(path, bytes_of(self.to_json()))

    def __repr__(self) -> str:
        where = "before a run" if self.cursor is None else f"at firing {self.cursor}"
        return f"Lecture of {self.document!r}, {where}, {len(self.document.storyboard)} bookmarks"


def lecture_in(text: str | bytes, what: str) -> Lecture | None:
    """The lecture in a graph file's text; None if it is a plain document."""
    if (b'"lecture"' if isinstance(text, bytes) else '"lecture"') not in text:
        return None
    data = jsonio.parse(text, what=what)
    document = from_json(data)
    return Lecture(document, **read_moment(data["lecture"], document.nodes)) if "lecture" in data else None


def load_lecture(path: str | os.PathLike[str]) -> Lecture:
    """Read what `Editor.save_lecture` wrote; `fl.Editor(lecture)` opens it where the teacher stood.

    Nothing in it is run by reading. DocumentError if it is damaged, newer, hostile, or a document without a lecture.
    """
    found = lecture_in(read_bounded(path), Path(path).name)
    if found is None:
        raise DocumentError(f"{Path(path).name} is no lecture.", hint="Editor.save_lecture writes one; fl.load_document reads any graph file.")
    return found
