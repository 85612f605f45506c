"""JSON from strangers: what two readers could read differently, or what costs too much, is refused."""
from __future__ import annotations

import time

import pytest

import flowlab as fl
from flowlab.io import jsonio
from flowlab.io.jsonio import parse

REFUSED = {
    "cut off": '{"a": [1, 2',
    "cut off in a text": '{"a": "b',
    "cut off in an escape": '"\\',
    "nothing": "",
    "two values": "1 2",
    "a trailing comma": "[1,]",
    "single quotes": "{'a': 1}",
    "duplicate keys": '{"a": 1, "a": 2}',
    "duplicate keys, one escaped": '{"a": 1, "\\u0061": 2}',
    "NaN": "[NaN]",
    "Infinity": "-Infinity",
    "1e999": "[1e999]",
    "an integer over 2^53": "9007199254740993",
    "an integer of a million digits": "1" * 1_000_000,
    "half a character": '"\\ud800"',
    "half a character as a key": '{"\\udfff": 1}',
    "half a character, not escaped": '"\ud800"',
    "deep nesting": "[" * 100_000,
    "deep nesting, closed": "[" * 1000 + "]" * 1000,
    "deep objects": '{"a":' * 1000,
    "not UTF-8": b"\xff\xfe[\x001\x00]\x00",
    "a control character in a text": '"a\nb"',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_refused(text):
    with pytest.raises(fl.DocumentError):
        parse(text)


def test_plain_json_is_read():
    assert parse('{"a": [1, -0.5, 1e3, true, null, "\\ud83d\\ude00 \\" ] } ["]}') == {"a": [1, -0.5, 1000.0, True, None, '😀 " ] } [']}
    assert parse(b"\xef\xbb\xbf[9007199254740992]") == [2**53]


def test_caps_are_checked_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(jsonio, "MAX_ITEMS", 1000)
    with pytest.raises(fl.DocumentError, match="values"):
        parse("[" + "[]," * 2000 + "[]]")
    with pytest.raises(fl.DocumentError, match="characters"):
        parse("1" * 100, max_bytes=50)


@pytest.mark.parametrize("text", ['"' * 100_001, '\\"' * 100_000, '"' + '\\"' * 300_000, '["' + "a" * 1_000_000], ids=["quotes", "escapes", "one text of escapes", "one long text"])
def test_hostile_texts_are_scanned_once(text):
    start = time.perf_counter()
    with pytest.raises(fl.DocumentError):
        parse(text)
    assert time.perf_counter() - start < 1
