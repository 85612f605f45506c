"""Every error says what is wrong, where it is, and what to try."""
from __future__ import annotations

from collections.abc import Iterable


class FlowError(Exception):
    """Something in a graph is not as it must be: `node`, `port` and `axis` say where, `hint` says what to try."""

    def __init__(self, message: str, *, node: str | None = None, port: str | None = None, axis: int | None = None, hint: str = ""):
        super().__init__(message)
        self.message, self.node, self.port, self.axis, self.hint = message, node, port, axis, hint

    def at(self, node: str | None = None, port: str | None = None, axis: int | None = None) -> FlowError:
        """Fill in the parts of the address that are still open."""
        self.node = self.node or node
        self.port = self.port or port
        self.axis = axis if self.axis is None else self.axis
        return self

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ShapeError(FlowError):
    """Two shapes do not fit together."""


class DTypeError(FlowError):
    """A tensor has a kind of number that the operation does not take."""


class FeedError(FlowError):
    """A fed value is missing, or is not what its placeholder asks for."""


class NameTakenError(FlowError):
    """The name belongs to another node or scope, or cannot be a name."""


class AttributeValueError(FlowError, ValueError):
    """An attribute is unknown, missing, or has a value that it cannot have."""


class UnknownOpError(FlowError, LookupError):
    """There is no operation of that name."""


class FetchError(FlowError):
    """A fetch is not part of this session's graph, or cannot be computed in one run."""


class CycleError(FlowError):
    """A wire would make a node wait for itself."""


class GradientError(FlowError):
    """A derivative does not exist on the way from y to x."""


class DocumentError(FlowError):
    """A graph file or an edit is not what flowlab reads."""


class NoFileError(DocumentError, FileNotFoundError):
    """There is no file of that name."""

    __str__ = FlowError.__str__


class DebuggerError(FlowError):
    """The debugger cannot do that from where it stands."""


class HeldError(DebuggerError):
    """The run waits before a node that somebody is asked about."""


class DeviceError(FlowError):
    """The device is not there, or has not enough memory."""


class KernelError(FlowError):
    """A kernel failed while it ran; `__cause__` holds what it raised."""


_MANY = {"axis": "axes", "index": "indices", "entry": "entries", "class": "classes"}


def plural(count: int | str | None, word: str) -> str:
    """`1 run`, `2 runs`; a size that has a name, or none, is many."""
    return f"{'?' if count is None else count} {word if count == 1 else _MANY.get(word, f'{word}s')}"


def no_attribute(module: str, name: str, names: Iterable[str]) -> AttributeError:
    """What a module says of a name that it has not, with the names that are most like it."""
    near = [] if name.startswith("_") else nearest(name, names)     # Python itself asks for names such as __path__
    said = f" Did you mean {' or '.join(near)}?" if near else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}.{said}")


def nearest(word: str, names: Iterable[str], n: int = 3) -> list[str]:
    """The names most like `word`, for "did you mean"."""
    from difflib import get_close_matches  # wanted only when something is wrong
    names = list(names)
    same = [name for name in names if name.lower() == word.lower()]     # only capitals differ
    return list(dict.fromkeys([*same, *get_close_matches(word, names, n=n)]))[:n]
