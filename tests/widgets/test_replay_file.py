"""The file that a recorded run is written to: what it weighs, what it refuses, and that nothing in it leads out of it."""
from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import AttributeValueError, DeviceError
from flowlab.widgets import protocol as P
from flowlab.widgets.editor import Editor
from flowlab.widgets.replay import Replay

HOSTILE = "</script><script>alert(1)</script><!-- ]]> &amp; \u2028 \"' \\"


def net(name: str = "net") -> tuple[fl.Session, dict]:
    with fl.Graph(name) as g:
        x = fl.placeholder(("batch", 3), name="x")
        h = fl.nn.dense(x, 4, activation="tanh", name="hidden")
        n = fl.cast(fl.argmax(h, axis=-1), "int64", name="n")
        big = fl.reshape(fl.matmul(h, fl.transpose(h)), (-1,), name="big")
        loss = fl.mean(fl.square(h), name="loss")
        fl.optim.SGD(0.5).minimize(loss, name="train")
        del n, big
    return fl.Session(g, seed=3), {"x": np.arange(60, dtype="float32").reshape(20, 3) / 30}


@pytest.fixture(scope="module")
def trace() -> fl.Trace:
    sess, feeds = net()
    return sess.trace(["loss", "train", "n", "big"], feeds)


class Elements(HTMLParser):
    """The elements of a page, with what stands in each script."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags, self.scripts, self.title, self._inside = [], [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1][1] += data
        if self._inside == "title":
            self.title += data


def opened(made: Replay) -> tuple[dict, bytes]:
    """What the file holds: its content, and the bytes of its numbers."""
    packed = next(text for attrs, text in Elements(made.html).scripts if attrs.get("id") == "flowlab-run")
    whole = gzip.decompress(base64.b64decode(packed, validate=True))
    length = int.from_bytes(whole[:8], "little")
    return json.loads(whole[8:8 + length]), whole[8 + length:]


def array_of(held: list, numbers: bytes) -> np.ndarray:
    dtype, shape, at = held[:3]
    return np.frombuffer(numbers, dtype, int(np.prod(shape)), at).reshape(shape)


def test_every_value_of_every_firing_is_in_the_file_once(trace):
    content, numbers = opened(fl.to_html(trace))
    run = content["run"]
    assert content["version"] == P.VERSION and [e[0] for e in run["events"]] == [e.node for e in trace.events] and len(run["steps"]) == len(trace) + 1 and run["complete"]
    places = set()
    for k, event in enumerate(trace.events, 1):
        for output, value in enumerate(event.outputs):
            held = run["steps"][k]["v"][f"{event.node}:{output}"]
            np.testing.assert_array_equal(array_of(held, numbers), value)
            assert held[0] == value.dtype.name
            places.add(held[2])
    np.testing.assert_array_equal(array_of(run["steps"][0]["v"]["x:0"], numbers), trace.feeds["x:0"])
    np.testing.assert_array_equal(array_of(run["steps"][0]["v"]["hidden/kernel:0"], numbers), trace.value("hidden/kernel:0"))
    shown = {v.tobytes() for e in trace.events for v in e.outputs if v is not None}
    assert len(places) == len(shown), "what has the same bytes stands there once"


def test_the_size_is_said_before_anything_is_written_and_is_that_of_the_file(trace, tmp_path):
    made = fl.to_html(trace)
    assert not list(tmp_path.iterdir())
    written = fl.to_html(trace, tmp_path / "x.html")
    assert written.size == made.size == (tmp_path / "x.html").stat().st_size == made.sizes["page"] + made.sizes["recording"]
    assert [f.name for f in tmp_path.iterdir()] == ["x.html"] and f"{len(trace)} firings" in repr(made) and "recording" in repr(made)
    made.save(tmp_path / "x.html")      # in place of the old one
    assert made.sizes["values"] >= sum(v.nbytes for e in trace.events for v in {v.tobytes(): v for v in e.outputs if v is not None}.values()) / 2


def test_a_file_is_written_whole_or_not_and_what_is_wrong_is_told(trace, tmp_path, monkeypatch):
    made = fl.to_html(trace, title="half \ud800 a character")
    assert made.title == "half ? a character" and made.save(tmp_path / "x.html").read_text("utf-8") == made.html
    (tmp_path / "link.html").symlink_to("x.html")
    made.save(tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink(), "as everything that flowlab writes, what the link points to"
    for path in (tmp_path / "no" / "x.html", tmp_path):
        with pytest.raises(fl.FlowError, match="cannot be written") as refused:
            made.save(path)
        assert str(path) in str(refused.value)
    monkeypatch.setattr("os.fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(fl.FlowError, match="No space left"):
        made.save(tmp_path / "x.html")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["link.html", "x.html"] and (tmp_path / "x.html").read_text("utf-8") == made.html


def test_a_file_over_the_limit_is_refused_with_what_would_make_it_smaller(trace, tmp_path):
    made = fl.to_html(trace)
    with pytest.raises(DeviceError, match="the limit is") as refused:
        fl.to_html(trace, tmp_path / "x.html", limit=made.size - 1)
    assert refused.value.node == "MatMul" and "cells=" in refused.value.hint and "fetches" in refused.value.hint and "limit=" in refused.value.hint and not list(tmp_path.iterdir())
    with pytest.raises(DeviceError, match="the limit is"):
        fl.to_html(trace, limit=100)    # not even packed
    assert fl.to_html(trace, limit=made.size).size == made.size


def test_of_a_large_tensor_a_picture_and_its_statistics_are_kept(trace):
    whole, small = fl.to_html(trace), fl.to_html(trace, cells=100)
    assert small.sizes["values"] < whole.sizes["values"] - 800
    content, numbers = opened(small)
    fired = [e.node for e in trace.events].index("big") + 1
    dtype, shape, at, kept = content["run"]["steps"][fired]["v"]["big:0"]
    big = trace.value("big:0")
    assert (dtype, shape, at) == ("float32", [400], None) and kept["picture"]["stats"]["mean"] == pytest.approx(big.mean(), rel=1e-5) and kept["picture"]["sampled"]
    cells = np.frombuffer(numbers, "float32", kept["picture"]["rows"] * kept["picture"]["cols"], kept["at"])
    assert np.isin(cells, big).all() and content["run"]["steps"][fired]["v"]["big:0"] and array_of(content["run"]["steps"][0]["v"]["x:0"], numbers).shape == (20, 3)


def test_names_stay_text_whatever_they_are():
    sess, feeds = net(HOSTILE)
    made = fl.to_html(sess.trace("loss", feeds), title=HOSTILE)
    page = Elements(made.html)
    assert page.title == HOSTILE and [t for t, _ in page.tags].count("script") == 2 and made.html.count("<!--") == 0 and "alert(1)" not in made.html.replace(html.escape(HOSTILE), "")
    assert opened(made)[0]["title"] == HOSTILE
    framed = Elements(made._repr_html_())
    assert [t for t, _ in framed.tags] == ["iframe"] and framed.tags[0][1]["srcdoc"] == made.html and framed.tags[0][1]["sandbox"] == "allow-scripts allow-downloads"


def test_the_page_may_run_its_own_script_and_reach_nothing(trace):
    page = Elements(fl.to_html(trace).html)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    code = next(text for attrs, text in page.scripts if attrs.get("type") == "module")
    assert rules["default-src"] == "'none'" and rules["script-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
    assert "connect-src" not in rules and not re.search(r"https?:|\*", policy)
    assert not [a for t, a in page.tags if a.keys() & {"src", "href", "onload", "onerror"}]


def test_a_debugger_and_an_editor_are_replayed_as_far_as_they_have_fired():
    sess, feeds = net()
    dbg = fl.Debugger(sess, ["loss", "train"], feeds)
    with pytest.raises(fl.FlowError, match="nothing has fired"):
        fl.to_html(dbg)
    for _ in range(3):
        dbg.step()
    content, _ = opened(fl.to_html(dbg))
    assert [e[0] for e in content["run"]["events"]] == [e.node for e in dbg.records] and not content["run"]["complete"]
    editor = Editor(sess.graph, feeds=feeds)
    with pytest.raises(fl.FlowError, match="nothing has run in this editor"):
        fl.to_html(editor)
    editor.run()
    editor.edit(*_a_note(editor))
    editor.run()
    content, _ = opened(fl.to_html(editor))
    assert content["run"]["complete"] and [n["text"] for n in content["scene"]["notes"]] == ["<b>look</b>"]


def _a_note(editor: Editor) -> list:
    from flowlab.io.edits import edit_from_json

    return [edit_from_json({"tag": "PutNote", "text": "<b>look</b>", "x": 10.0, "y": 20.0})]


@pytest.mark.parametrize("given", [{"limit": 0}, {"cells": 1.5}, {"samples": True}, {"height": -3}, {"language": "xx"}])
def test_what_is_no_option_is_named(trace, given):
    with pytest.raises(AttributeValueError):
        fl.replay(trace, **given)


def test_what_is_no_run_is_refused():
    with pytest.raises(fl.FlowError, match="int is no recorded run"):
        fl.to_html(3)


def test_nothing_changes_by_being_written(trace):
    before = {k: np.array(v) for k, v in trace.session.variables.items()}
    runs = trace.session.store.runs
    fl.to_html(trace)
    assert trace.session.store.runs == runs and all((trace.session.variables[k] == v).all() for k, v in before.items()) and [e.index for e in trace.events] == list(range(len(trace)))
