"""A plain picture of a graph, drawn without a page: what a notebook shows before its canvas has been drawn once."""
from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

from ..core.op import REGISTRY
from ..io.document import Document

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 114, 40, 40, 18, 16
MOST = 120      # nodes; a larger graph is a sentence


def data_uri(document: Document) -> str:
    """The picture as a `data:` address for an `<img>`: as an image it can run nothing."""
    return _address(svg(document))


def said(text: str) -> str:
    """A sentence as a picture, the same way."""
    return _address(_frame(max(240, 7 * len(text) + 2 * MARGIN), 56, f'<text x="{MARGIN}" y="33">{escape(text)}</text>'))


def _address(picture: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(picture.encode("utf-8")).decode("ascii")


def svg(document: Document, values: Mapping[str, str] | None = None) -> str:
    """Boxes from left to right in the order of the wires, names on them, and below the operation what `values` says of a node."""
    tall = HEIGHT if values is None else HEIGHT + 15
    if not document.nodes or len(document.nodes) > MOST:
        text = f"{document.name}: {len(document.nodes):,} nodes" if document.nodes else "an empty canvas"
        return _frame(360, 56, f'<text x="{MARGIN}" y="33">{escape(text)}</text>')
    column = _columns(document)
    rows: dict[int, int] = {}
    at = {}
    for name in document.nodes:
        k = column[name]
        at[name] = (MARGIN + k * (WIDTH + GAP_X), MARGIN + rows.get(k, 0) * (tall + GAP_Y))
        rows[k] = rows.get(k, 0) + 1
    parts = []
    for edge in document.edges:
        (x0, y0), (x1, y1) = at[edge.src], at[edge.dst]
        x0, y0, y1 = x0 + WIDTH, y0 + tall / 2, y1 + tall / 2
        bend = max(abs(x1 - x0) / 2, 20)
        dash = ' stroke-dasharray="3 3"' if edge.port is None else ""
        parts.append(f'<path d="M{x0} {y0:g}C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1} {y1:g}" fill="none" stroke="#8a93a0" stroke-width="1.5"{dash}/>')
    for name, (x, y) in at.items():
        node = document.nodes[name]
        op = REGISTRY.get(node.op)
        round_ = 18 if op is not None and op.source else 6
        parts.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{tall}" rx="{round_}" fill="#f7f8fa" stroke="#5b6675"/>')
        label = name.rpartition("/")[2]
        parts.append(f'<text x="{x + WIDTH / 2}" y="{y + 17}" text-anchor="middle" font-weight="600">{escape(_cut(label, 14))}</text>')
        parts.append(f'<text x="{x + WIDTH / 2}" y="{y + 31}" text-anchor="middle" fill="#5b6675">{escape(_cut(node.op))}</text>')
        if values and name in values:
            parts.append(f'<text x="{x + WIDTH / 2}" y="{y + 47}" text-anchor="middle" fill="#1f5fbf">{escape(values[name])}</text>')
    width = 2 * MARGIN + (max(column.values()) + 1) * (WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + max(rows.values()) * (tall + GAP_Y) - GAP_Y
    return _frame(width, height, "".join(parts))


def _columns(document: Document) -> dict[str, int]:
    """How far right each node stands: one column after the last of its inputs, sources next to what they feed."""
    column: dict[str, int] = {}
    left = list(document.nodes.values())
    while left:
        later = []
        for node in left:
            before = [s.rpartition(":")[0] for s in node.inputs.values()] + list(node.control)
            if all(b in column for b in before):
                column[node.name] = max((column[b] + 1 for b in before), default=0)
            else:
                later.append(node)
        if len(later) == len(left):     # a cycle: its nodes share the last column
            last = max(column.values(), default=0) + 1
            column.update((n.name, last) for n in later)
            break
        left = later
    for edge in document.edges:
        if not document.nodes[edge.src].inputs and column[edge.src] == 0:
            first = min((column[e.dst] for e in document.edges if e.src == edge.src), default=1)
            column[edge.src] = max(first - 1, 0)
    return column


def _cut(text: str, most: int = 16) -> str:
    return text if len(text) <= most else text[:most - 1] + "…"


def _frame(width: float, height: float, inside: str) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" font-family="system-ui, sans-serif" '
            f'font-size="11.5" fill="#1d2733"><rect width="100%" height="100%" rx="8" fill="#ffffff"/>{inside}</svg>')
