"""The JSON Schema of graph files, made from the same limits and words that `document` reads by. `flow.schema.json` beside this file is its text.

After a change here or there: `make schema`.
"""
from __future__ import annotations

import json
from typing import Any

from ..core.types import DTYPES
from . import document as d
from .jsonio import EXACT


def _object(properties: dict[str, Any], required: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {}), "additionalProperties": False, **more}


def _map(values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values, **more}


def _list(items: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    return {"type": "array", "items": items, **({"maxItems": most} if most is not None else {})}


def _text(most: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, **more}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def schema() -> dict[str, Any]:
    """The schema as plain JSON values. It says what a file may hold; that wires lead to nodes that exist, `fl.load` says."""
    whole = {"type": "integer", "minimum": 0, "exclusiveMaximum": EXACT}
    part = r"(?! )[^:^/]{0,199}[^:^/ ]"
    name = rf"^{part}(/{part})*$"
    defs = {
        "name": _text(2000, pattern=name, **{"not": {"pattern": "->"}}, description="A node's full name; '/' parts scopes: hidden/MatMul."),
        "tensor": _text(2005, pattern=rf"^{part}(/{part})*:(0|[1-9][0-9]{{0,3}})$", **{"not": {"pattern": "->"}}, description="An output: its node's name and its number, x:0."),
        "port": _text(100, minLength=1, pattern="^[^:]+$", description="An input by its name; of many alike, xs.0, xs.1."),
        "array": _object({"dtype": {"enum": list(DTYPES)}, "shape": _list(whole, 32), "data": {"description": "Nested lists of numbers or truth values, or little-endian bytes in base64.",
                         "anyOf": [{"type": ["number", "boolean", "array"]}, {"type": "string", "contentEncoding": "base64", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}]}}, ("dtype", "shape", "data")),
        "value": {"description": "What an attribute can be.", "anyOf": [
            {"type": ["null", "boolean", "number", "string"]}, _list(_ref("value")), _object({"float": {"enum": ["inf", "-inf", "nan"]}}, ("float",)), _ref("array"), _ref("body")]},
        "body": _object({"name": _ref("title"), "inputs": _list(_ref("tensor"), 10_000), "outputs": _list({"anyOf": [_ref("tensor"), {"type": "null"}]}, 10_000),
                         "nodes": _list(_ref("node"), d.MAX_NODES), "composites": _map(_ref("composite"))}, ("name", "inputs", "outputs", "nodes"),
                        description="The inside of a loop or branch: placeholders are its inputs; an output that is null is still open."),
        "title": _text(200, description="Any text."),
        "node": _object({
            "id": {**whole, "description": "Unlike any other's; it survives renaming, and random draws belong to it."}, "name": _ref("name"), "op": _text(100, description="The operation's type: MatMul."),
            "attrs": _map(_ref("value"), propertyNames=_text(100)), "inputs": _map(_ref("tensor"), propertyNames=_ref("port"), description="Port → the output that is wired to it."),
            "control": _list(_ref("name")), "device": {"anyOf": [_text(100), {"type": "null"}]}, "phase": {"enum": list(d.PHASES)},
            "gradient_of": {"anyOf": [_ref("name"), {"type": "null"}]}}, ("id", "name", "op")),
        "composite": _object({"function": _text(200), "doc": _text(20_000), **{side: _map(_ref("tensor"), propertyNames=_ref("port"), maxProperties=10_000) for side in ("inputs", "outputs")},
                              "ports": _map({"type": "array", "items": {"type": "string"}, "minItems": 1}, propertyNames=_ref("port"))}, ("function",)),
        "place": {"type": "array", "prefixItems": [_ref("coordinate")] * 2, "items": False, "minItems": 2},
        "coordinate": {"type": "number", "minimum": -1e7, "maximum": 1e7},
        "element": {"anyOf": [{"type": "null"}, _list({"type": "integer", "exclusiveMinimum": -EXACT, "exclusiveMaximum": EXACT}, 32)]},
        "note": _object({"text": _text(20_000), "x": _ref("coordinate"), "y": _ref("coordinate")}, ("text", "x", "y")),
        "frame": _object({"title": _text(200), "colour": {"enum": list(d.COLOURS)}, "members": {"type": "array"}}, ("title", "colour", "members")),
        "question": _object({"tensor": _ref("tensor"), "kind": {"enum": list(d.ASKED)}, "at": _ref("element"), "text": _text(2000), "open": {"type": "boolean"}}, ("tensor", "kind")),
        "answer": _object({"tensor": _ref("tensor"), "kind": {"enum": list(d.ASKED)}, "at": _ref("element"), "answer": _text(100_000), "truth": _text(100_000),
                           "verdict": {"enum": list(d.VERDICTS)}, "when": _text(40), "firing": whole}, ("tensor", "kind", "verdict")),
        "names": {"anyOf": [{"type": "null"}, _list(_text(2000), d.MAX_NODES)]},
        "firings": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "maximum": d.MAX_FIRINGS}]},
        "bookmark": _object({
            "title": _text(200), "note": _text(20_000, description="Markdown, with formulas."), "cursor": {**_ref("firings"), "description": "Firings done; null: nothing runs."}, "after": _text(2000),
            "view": {"anyOf": [{"type": "null"}, {"type": "array", "prefixItems": [_ref("coordinate")] * 2 + [{"type": "number", "exclusiveMinimum": 0, "maximum": 1e7}] * 2, "items": False, "minItems": 4}],
                     "description": "x, y, width, height of what is in sight."},
            "shows": _ref("names"), "folded": _ref("names"), "selected": _ref("names"), "tensor": {"anyOf": [_text(2200), {"type": "null"}]}, "into": {"anyOf": [_text(2200), {"type": "null"}]},
            "panels": {"anyOf": [{"type": "null"}, _list({"enum": list(d.PANELS)})]}}, ("title",)),
        "lecture": _object({"cursor": _ref("firings"), "at": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "exclusiveMaximum": d.MOST_BOOKMARKS}]},
                            "seed": {"type": "integer", "exclusiveMinimum": -EXACT, "exclusiveMaximum": EXACT}, "run": whole, "variables": _map(_ref("array"))},
                           description="Where the lab stood when it was saved for a class: with it, the same numbers come out."),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "flowlab graph file", "description": "A dataflow graph with its layout, as flowlab saves it: name.flow.json.",
        **_object({
            "flowlab": {"type": "integer", "minimum": 1, "maximum": d.VERSION, "description": f"The version of the format; this schema is of version {d.VERSION} and those before."},
            "name": _ref("title"), "nodes": _list(_ref("node"), d.MAX_NODES), "positions": _map(_ref("place")), "folded": {"anyOf": [_list({"type": "string"}), {"type": "null"}]},
            "notes": _list(_ref("note"), 10_000), "fetches": _list({"type": "string"}), "feeds": _map(_ref("array")), "composites": _map(_ref("composite")),
            "frames": _list(_ref("frame"), 10_000), "bound": _map(_text(100)), "questions": _list(_ref("question"), d.MOST_QUESTIONS), "answers": _list(_ref("answer"), d.MOST_ANSWERS),
            "storyboard": _list(_ref("bookmark"), d.MOST_BOOKMARKS), "lecture": _ref("lecture")},
            ("flowlab",)),
        "$defs": defs,
    }


def text() -> str:
    """The schema as the text that is published."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
