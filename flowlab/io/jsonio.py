"""JSON from strangers: bounded before it is parsed, and refused where two readers could read it differently."""
from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from ..core.errors import DocumentError

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 64
MAX_ITEMS = 4_000_000
EXACT = 2**53  # beyond it a double, and with it JavaScript, no longer tells neighbouring integers apart

# a text that never ends runs to the end of the input, so that no place is scanned twice
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def parse(text: str | bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, what: str = "the file", finite: bool = True) -> Any:
    """Read JSON that anyone may have written; DocumentError for whatever is not plain, finite, unambiguous JSON.

    With `finite=False` NaN, Infinity and 1e999 are read as the floats they stand for, for a caller who says in which field they are."""
    if len(text) > max_bytes:
        raise DocumentError(f"{what} has {len(text):,} characters, more than the {max_bytes:,} that flowlab reads.")
    if isinstance(text, (bytes, bytearray)):
        try:
            text = bytes(text).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DocumentError(f"{what} is not UTF-8 text: byte {error.start} cannot be read.", hint="Is it a graph file?") from None
    elif not _is_text(text):
        raise DocumentError(f"{what} holds half of a character (a lone surrogate).")
    _check_structure(text, max_depth, what)
    reader = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float if finite else float, parse_int=_int, parse_constant=_constant if finite else float)
    try:
        value = reader.decode(text)
    except json.JSONDecodeError as error:
        raise DocumentError(f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.", hint="It may have been cut off.") from None
    except RecursionError:
        raise DocumentError(f"{what} is nested too deeply.") from None
    if "\\u" in text:
        _check_texts(value, what)
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """JSON text that `parse` reads back; ValueError for NaN and infinities."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=(",", ":") if indent is None else (",", ": "))


def _check_structure(text: str, max_depth: int, what: str) -> None:
    depth = items = 0
    for match in _STRUCTURE.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += 1
            items += 1
            if depth > max_depth:
                raise DocumentError(f"{what} is nested more than {max_depth} deep.")
        elif first in "]}":
            depth -= 1
    if items + text.count(",") > MAX_ITEMS:
        raise DocumentError(f"{what} has more than {MAX_ITEMS:,} values.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise DocumentError(f"the key {twice!r} stands twice in one object.")
    return made


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise DocumentError(f"{digits[:40]} is beyond the numbers that a computer holds.")
    return value


def _int(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > EXACT:
        raise DocumentError(f"the whole number {digits[:40]}{'…' if len(digits) > 40 else ''} is beyond 2^53, where JSON stops being exact.")
    return int(digits)


def _constant(word: str) -> NoReturn:
    raise DocumentError(f"{word} is not JSON.")


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _check_texts(value: Any, what: str) -> None:
    """Escapes such as \\ud800 can spell half a character; no text keeps one."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if not _is_text(item):
                raise DocumentError(f"{what} holds half of a character (a lone surrogate).")
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
