"""A recorded run in one file: opened from disk with no network at all, it goes through the run as the lab's kernel would, in a frame too."""
from __future__ import annotations

import dataclasses
import json
import math
import random
import threading
from pathlib import Path

import numpy as np
import pytest
from large import flat, residual
from playwright.sync_api import Browser, Page, expect

import flowlab as fl
from flowlab.widgets import protocol as P
from flowlab.widgets.editor import Editor
from flowlab.widgets.lstm import LSTMView

pytestmark = pytest.mark.browser

HOSTILE = "net </script><img src=x onerror=alert(1)> & \u2028 \"'"
SPEAKS = """([which, messages]) => new Promise((done) => {
    const model = window.flowlabReplay[which], heard = [];
    let seq = 1;
    const listen = (message, buffers) => {
        heard.push([message, buffers.map((b) => Array.from(new Float32Array(b.buffer, b.byteOffset, b.byteLength >> 2), (x) => Number.isFinite(x) ? x : String(x)))]);
        if (message.type !== 'done' || message.seq !== seq) return;
        if (seq === messages.length) { model.off('msg:custom', listen); done(heard); return; }
        model.send({ ...messages[seq++], seq });
    };
    model.on('msg:custom', listen);
    model.send({ ...messages[0], seq });
})"""
SOMETHING = {"str": "x", "int": 0, "float": 0.5, "bool": False, "list": [], "dict": {}}     # of each kind of field
MAY_DIFFER = {"pause_on_bad", "version", "revision", "structure", "dirty", "re", "seq"}


def recurrent(expanded: bool) -> fl.Trace:
    """One step of training a small recurrent classifier, its first layer whole or written out as a loop."""
    with fl.Graph(HOSTILE) as g:
        seq = fl.placeholder(("batch", 4, 3), name="seq")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        low, _ = fl.nn.lstm(seq, 5, name="low")
        _, (h, _) = fl.nn.lstm(low, 5, name="high")
        logits = fl.nn.dense(h, 3, name="out")
        fl.mean(fl.cast(fl.equal(fl.argmax(logits, axis=-1), labels), "float32"), name="accuracy")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, labels), name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    if expanded:
        g = fl.expand(g, "low/LSTM")
    rng = np.random.default_rng(7)
    return fl.Session(g, seed=2).trace(["loss", "train", "accuracy"], {"seq": rng.normal(size=(2, 4, 3)).astype("float32"), "labels": np.array([0, 2])})


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "written out"])
def run(request, tmp_path_factory) -> tuple[fl.Trace, Path]:
    trace = recurrent(request.param)
    path = tmp_path_factory.mktemp("replay") / "run.html"
    fl.to_html(trace, path)
    return trace, path


@pytest.fixture
def offline(browser: Browser):
    """offline(path) → the page of a file, with every way to a network closed; whatever is asked for fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    said, asked = [], []
    page.on("pageerror", lambda e: said.append(f"{e.message}\n{e.stack}"))
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("dialog", lambda d: said.append(f"a dialog: {d.message}"))
    page.on("request", lambda r: None if r.url.startswith(("data:", "blob:", "file:")) else asked.append(r.url))
    context.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    context.set_offline(True)

    def open_file(path: Path) -> Page:
        page.goto(path.as_uri())
        return page

    yield open_file
    context.close()
    assert not asked and not said, f"asked for {asked}, said {said}"


class Kernel:
    """The lab's own kernel with the same run, spoken to as the page speaks to it."""

    def __init__(self, trace: fl.Trace):
        self.editor, self.heard = Editor(trace), []
        self.editor.seek(0)
        self.editor.send = lambda content, buffers=(): self.heard.append((json.loads(json.dumps(content)), [np.frombuffer(b, "<f4") for b in buffers or ()]))

    def ask(self, messages: list[dict]) -> list[tuple[dict, list]]:
        def speak() -> None:
            for seq, message in enumerate(messages, 1):
                self.editor._on_message(self.editor, {**message, "seq": seq}, [])
        speaker = threading.Thread(target=speak)    # the browser's driver has an event loop in this one, on which long ways go in slices
        speaker.start()
        speaker.join()
        return self.heard


def numbers(given: list) -> np.ndarray:
    return np.array([float(str(v).replace("Infinity", "inf")) for v in given], "float32")


def same(a, b, where: str) -> None:
    """Is what the two have said the same, floats to the last few digits?"""
    if isinstance(a, float) or isinstance(b, float):
        assert math.isclose(float(a), float(b), rel_tol=1e-6, abs_tol=1e-9), f"{where}: {a} and {b}"
    elif isinstance(a, dict):
        assert a.keys() - MAY_DIFFER == b.keys() - MAY_DIFFER, f"{where}: {a.keys() ^ b.keys()}"
        for k in a.keys() - MAY_DIFFER:
            same(a[k], b[k], f"{where}.{k}")
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
        assert len(a) == len(b), f"{where}: {a} and {b}"
        for k, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{where}[{k}]")
    else:
        assert a == b, f"{where}: {a!r} and {b!r}"


class Known:
    """What a page makes of the messages: the thumbnails and states that it shows."""

    def __init__(self):
        self.states, self.thumbs, self.debugging = {}, {}, {}

    def take(self, message: dict, buffers: list) -> tuple[dict, dict]:
        if message["full"]:
            self.states, self.thumbs = {}, {}
        self.states = {k: v for k, v in {**self.states, **message["states"]}.items() if v != "idle"}
        for tensor in message["gone"]:
            self.thumbs.pop(tensor, None)
        for t in message["thumbs"]:
            cells = numbers(list(buffers[0]))[t["offset"]:t["offset"] + t["rows"] * t["cols"]]
            self.thumbs[t["tensor"]] = {**{k: v for k, v in t.items() if k != "offset"}, "cells": [float(c) if math.isfinite(c) else str(c) for c in cells]}
        return self.states, self.thumbs


def compare(messages: list[dict], there: list, here: list) -> None:
    """Hold what the file answered against what the kernel answered, message by message."""
    def by_message(heard):
        out, now = [], []
        for message, buffers in heard:
            now.append((message, buffers))
            if message["type"] == "done":
                out += [now] if message["seq"] <= len(messages) else []     # the page asks for things of its own
                now = []
        return out

    one, two = Known(), Known()
    for asked, a, b in zip(messages, by_message(there), by_message(here), strict=True):
        where = str(asked)
        for kind in ("scene", "state", "value", "found", "clock", "explained", "notice", "code", "debugging"):
            mine, theirs = ([(m, buf) for m, buf in heard if m["type"] == kind] for heard in (a, b))
            if kind == "state":
                for m, buf in mine:
                    state = one.take(m, buf)
                for m, buf in theirs:
                    other = two.take(m, buf)
                assert bool(mine) == bool(theirs), f"{where}: {a} and {b}"
                if mine:
                    same(state, other, f"{where} state")
                    for key in ("cursor", "length", "total", "done", "last", "last_drawn", "last_phase", "next", "next_drawn", "ready", "progress", "inputs", "timesteps", "fetches", "mode", "recording"):
                        same(mine[-1][0][key], theirs[-1][0][key], f"{where} state.{key}")
                continue
            if kind == "debugging":     # sent where it has changed
                one.debugging, two.debugging = mine[-1][0] if mine else one.debugging, theirs[-1][0] if theirs else two.debugging
                if one.debugging and two.debugging:
                    same(one.debugging, two.debugging, f"{where} debugging")
                continue
            assert len(mine) == len(theirs), f"{where}: {[m for m, _ in mine]} and {[m for m, _ in theirs]}"
            for (m, buf), (n, other) in zip(mine, theirs):
                if kind == "notice":
                    m, n = ({k: v for k, v in x.items() if k != "hint"} for x in (m, n))
                if kind == "value" and m["json"] is not None:
                    m, n = ({**x, "json": json.loads(x["json"])} for x in (m, n))
                same(m, n, f"{where} {kind}")
                for x, y in zip(buf, other, strict=True):
                    np.testing.assert_array_equal(numbers(list(x)), numbers(list(y)), where)
        assert a[-1][0]["ok"] == b[-1][0]["ok"], where


def command(name: str, **fields) -> dict:
    return {"type": "command", "name": name, "node": None, "cursor": None, "scopes": [], **fields}


def test_a_file_answers_as_the_kernel_does(run, offline):
    trace, path = run
    page = offline(path)
    page.locator("[data-testid=flowlab] [data-node]").first.wait_for()
    dice = random.Random(5)
    names = [e.node for e in trace.events]
    tensors = [f"{e.node}:{k}" for e in trace.events for k, v in enumerate(e.outputs) if v is not None and e.node != e.top or k == 0 and v is not None]
    some = dice.sample(sorted(set(tensors)), 24) + ["seq:0", "low/kernel:0", "loss:0", "low/LSTM:2", "accuracy:0"]
    messages = [{"type": "hello", "version": P.VERSION}, {"type": "ask_code"}, {"type": "ask_clock"}]
    for _ in range(40):
        messages += [
            dice.choice([command("step")] * 4 + [command(n) for n in ("step_level", "step_scope", "step_timestep", "step_pass", "back", "back_level", "back_timestep")]
                        + [command("seek", cursor=dice.randrange(len(trace) + 1)), command("run_to", node=dice.choice(names)), command("resume")]),
            {"type": "ask", "tensor": dice.choice(some), "slice": ""},
        ]
        if dice.random() < 0.25:
            messages.append(dice.choice([command("fold", scopes=["low"]), command("unfold", scopes=["low"]), command("fold"), command("unfold"), command("fold", scopes=["out"]), command("reveal", node="high/kernel"),
                                         {"type": "ask_find", "text": dice.choice(["LSTM", "l", "out", "nothing"])}]))
    messages += [command("unfold"), command("seek", cursor=len(trace))]
    messages += [{"type": "debug", "name": name, "target": target, "text": text} for name, target, text in (
        ("heat", None, "time"), ("heat", None, "memory"), ("watch_add", "high/LSTM:3", ""), ("watch_add", "out/kernel:0", ""), ("watch_box", "high/LSTM:3", "[0, ::2, -1]"), ("watch_remove", "out/kernel:0", ""))]
    messages += [{"type": "ask", "tensor": t, "slice": s} for t in some for s in ("", "[0, ::2]") if s == "" or t.startswith("seq")]
    messages += [command("seek", cursor=0)] + [m for e in trace.events[:16] for m in (command("step"), {"type": "debug", "name": "explain", "target": f"{e.node}:0", "text": "", "at": None, "language": "en"})
                                               if m["type"] == "command" or e.outputs and e.outputs[0] is not None]
    compare(messages, page.evaluate(SPEAKS, ["lab", messages]), Kernel(trace).ask(messages))


@pytest.mark.parametrize("large", [residual(4), flat(520)], ids=["folded scopes", "stacks"])
def test_a_large_graph_is_folded_as_the_kernel_folds_it(large, offline, tmp_path):
    used = {t.node.name for n in large.nodes for t in n.inputs}
    feeds = {"x": np.ones(large.nodes[0].outputs[0].shape[-1:], "float32")} if large.name.startswith("flat") else {"x": np.ones((2, 4), "float32"), "labels": np.array([0, 1])}
    trace = fl.Session(large, seed=1).trace([n for n in large.nodes if n.name not in used and n.op.source is None], feeds)
    fl.to_html(trace, tmp_path / "large.html")
    page = offline(tmp_path / "large.html")
    page.locator("[data-testid=flowlab] [data-scope]").first.wait_for()
    hello = {"type": "hello", "version": P.VERSION}
    scopes = [s["name"] for m, _ in Kernel(trace).ask([hello]) if m["type"] == "scene" for s in m["scopes"]]
    messages = [hello, *(command("step_level") for _ in range(4)), command("seek", cursor=len(trace) // 2), command("step_pass"), {"type": "ask_find", "text": "4"}, command("unfold", scopes=[scopes[1]]),
                command("unfold", scopes=[scopes[-1]]), command("fold", scopes=[scopes[1]]), command("reveal", node=trace.events[len(trace) // 3].node), command("fold"), command("seek", cursor=3)]
    compare(messages, page.evaluate(SPEAKS, ["lab", messages]), Kernel(trace).ask(messages))


def test_the_view_of_layers_is_told_what_the_kernel_tells(run, offline):
    trace, path = run
    page = offline(path)
    page.locator("[data-testid=flowlab] [data-node]").first.wait_for()
    view, heard = LSTMView(trace), []
    view.send = lambda content, buffers=(): heard.append((json.loads(json.dumps(content)), [np.frombuffer(b, "<f4") for b in buffers or ()]))
    messages = [{"type": "hello", "version": P.VERSION}, {"type": "lstm_more", "what": "gradient"}, {"type": "lstm_more", "what": "saturation"}, {"type": "lstm_more", "what": "layers"},
                {"type": "lstm_ask", "layer": 0, "sample": 1}, {"type": "lstm_more", "what": "gradient"}, {"type": "lstm_more", "what": "saturation"}]
    there = page.evaluate(SPEAKS, ["lstm", messages])
    for seq, message in enumerate(messages, 1):
        view._heard(view, {**message, "seq": seq}, [])
    assert [m["type"] for m, _ in there] == [m["type"] for m, _ in heard]
    for (m, buf), (n, other) in zip(there, heard):
        same(m, n, m["type"])
        for x, y in zip(buf, other, strict=True):
            np.testing.assert_array_equal(numbers(x), numbers(list(y)), m["type"])


def test_every_message_of_the_protocol_is_answered(run, offline):
    page = offline(run[1])
    page.locator("[data-testid=flowlab] [data-node]").first.wait_for()
    messages = [P.as_json(kind(**{f.name: SOMETHING.get(str(f.type).partition("[")[0], "x") for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING}))
                for kind in P.TO_KERNEL]
    for view in ("lab", "lstm"):
        heard = [m for m, _ in page.evaluate(SPEAKS, [view, messages])]
        assert [m["seq"] for m in heard if m["type"] == "done" and m["seq"] <= len(messages)] == list(range(1, len(messages) + 1))
        assert {m["text"] for m in heard if m["type"] == "notice" and m["level"] == "alert"} == {expected_reason().partition(" pip")[0]}, view


# ---------------------------------------------------------------- on screen


def small(path: Path) -> fl.Trace:
    """A run of few firings, with a scope and both kinds of gradient."""
    with fl.Graph(HOSTILE) as g:
        x = fl.placeholder((2, 3), name="x")
        w = fl.variable(np.float32([[1], [2], [0.5]]), name="<b>w</b>")
        h = fl.tanh(fl.matmul(x, w, name="body/mm"), name="body/h")
        loss = fl.sum(fl.square(h, name="sq"), name="loss")
        fl.optim.SGD(0.5).minimize(loss, name="train")
    trace = fl.Session(g).trace(["loss", "train"], {"x": np.float32([[1, 0, -1], [0.5, 2, 1]])})
    fl.to_html(trace, path, language="en")
    return trace


@pytest.fixture(scope="module")
def little(tmp_path_factory) -> tuple[fl.Trace, Path]:
    path = tmp_path_factory.mktemp("little") / "little.html"
    return small(path), path


def shown(lab, tensor: str) -> np.ndarray:
    value = lab.locator("[data-testid=value][data-known=true]")
    value.wait_for()
    assert value.get_attribute("data-dtype") == "float32", tensor
    return np.array(json.loads(value.get_attribute("data-json")), "float32")


def test_every_firing_is_stepped_and_shows_its_own_numbers(little, offline):
    trace, path = little
    lab = offline(path).get_by_test_id("flowlab")
    expect(lab).to_have_attribute("data-cursor", "0")
    for k, event in enumerate(trace.events, 1):
        lab.get_by_role("button", name="Step", exact=True).click()
        expect(lab).to_have_attribute("data-cursor", str(k))
        node = lab.locator(f'[data-node="{event.node}"]')
        expect(node).to_have_attribute("data-state", "done")
        if event.outputs:
            node.dispatch_event("click")
            np.testing.assert_array_equal(shown(lab, event.node), event.outputs[0])
    for k in range(len(trace) - 1, 0, -1):
        lab.get_by_role("button", name="Step back", exact=True).click()
        expect(lab).to_have_attribute("data-cursor", str(k))
    expect(lab.locator('[data-node="loss"]')).to_have_attribute("data-state", "idle")
    timeline = lab.get_by_role("slider", name="Timeline")
    timeline.focus()
    timeline.press("End")
    expect(lab).to_have_attribute("data-cursor", str(len(trace)))
    expect(lab.locator('[data-node="<b>w</b>"]')).to_be_visible()
    lab.get_by_role("button", name="Fold all", exact=True).click()
    lab.locator('[data-scope="body"]').click()
    np.testing.assert_array_equal(shown(lab, "body"), trace.value("body/h:0"))


def test_it_plays_to_the_end_and_by_the_clock(little, offline):
    trace, path = little
    page = offline(path)
    lab = page.get_by_test_id("flowlab")
    for _ in range(3):
        lab.get_by_role("button", name="Speed", exact=False).click()
    lab.get_by_role("button", name="Play", exact=True).click()
    expect(lab.locator("[data-token]").first).to_be_attached()
    expect(lab).to_have_attribute("data-cursor", str(len(trace)), timeout=20_000)
    lab.focus()
    page.keyboard.press("Shift+P")
    expect(lab.locator(".lane").first).to_be_visible()
    page.keyboard.press("H")
    expect(lab.get_by_role("status").last).to_contain_text("time that it took")


def test_what_needs_a_kernel_is_off_and_says_why(little, offline):
    _, path = little
    page = offline(path)
    lab = page.get_by_test_id("flowlab")
    for name in ("Live", "Undo", "Save", "Stop"):
        button = lab.get_by_role("button", name=name, exact=True)
        expect(button).to_be_disabled()
        assert "pip install flowlab" in button.get_attribute("title")
    lab.locator('[data-node="sq"]').dispatch_event("click")
    expect(lab.get_by_role("textbox", name="Name")).to_be_disabled()
    for name in ("Delete", "Override…", "Duplicate"):
        expect(lab.get_by_role("button", name=name, exact=True)).to_be_disabled()
    expect(lab.locator("fieldset.fl-off").first).to_have_attribute("title", expected_reason())
    for key in ("Delete", "a", "o", "Control+d"):
        lab.locator('[data-node="sq"]').focus()
        page.keyboard.press(key)
        expect(lab.get_by_role("alert")).to_contain_text("pip install flowlab")
        lab.get_by_role("button", name="Dismiss").first.click()
    expect(lab.locator('[data-node="sq"]')).to_have_count(1)
    at = lab.locator('[data-node="sq"]').bounding_box()
    lab.locator('[data-node="sq"]').focus()
    page.keyboard.press("Alt+ArrowRight")       # places are the reader's own
    page.wait_for_function("(x) => document.querySelector('[data-node=\"sq\"]').getBoundingClientRect().x > x", arg=at["x"])
    expect(lab.get_by_role("alert")).to_have_count(0)


def expected_reason() -> str:
    return "This page is a recorded run in a file: nothing can be changed or computed in it. pip install flowlab opens such a graph live, in a notebook."


def test_theme_and_language_follow_the_reader_and_can_be_switched(little, offline):
    _, path = little
    page = offline(path)
    lab = page.get_by_test_id("flowlab")

    def paper() -> int:
        return page.evaluate("() => getComputedStyle(document.querySelector('[data-testid=flowlab]')).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b)")

    lab.locator("[data-node]").first.wait_for()
    bright = paper()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => document.querySelector('[data-testid=flowlab]').dataset.theme === 'dark'")
    assert paper() < bright
    page.get_by_role("button", name="Light", exact=True).click()
    page.wait_for_function("() => document.querySelector('[data-testid=flowlab]').dataset.theme === 'light'")
    assert paper() == bright
    for tag, name, step in (("zh-CN", "简体中文", "单步"), ("zh-TW", "繁體中文", "單步")):
        page.locator(".fl-replay-bar .fl-language > button").click()
        page.get_by_role("menuitemradio", name=name).click()
        expect(page.locator("html")).to_have_attribute("lang", tag)
        expect(lab.get_by_role("button", name=step, exact=True)).to_be_visible()
        expect(page.locator(".fl-replay-bar .note")).to_contain_text("pip install flowlab")


def test_the_view_of_layers_shows_the_gates_of_the_trace_and_saves_them(run, offline):
    trace, path = run
    page = offline(path)
    page.locator(".fl-replay-bar .seg button").nth(1).click()
    view = page.get_by_test_id("lstm-view")
    view.focus()
    gates = trace.gates("high/LSTM")
    for t, unit in ((0, 0), (3, 4)):
        if t:
            page.keyboard.press("End")
            for _ in range(unit):
                page.keyboard.press("ArrowDown")
        expect(view).to_have_attribute("data-t", str(t))
        expect(view).to_have_attribute("data-unit", str(unit))
        for letter, value in gates.items():
            assert float(view.locator(f"[data-readout={letter}]").get_attribute("data-value")) == pytest.approx(float(value[0, t, unit]), rel=1e-6)
    view.locator("[data-gate=f]").hover()
    expect(view.locator("[data-lit=true]").first).to_be_attached()
    expect(view.get_by_role("alert")).to_have_count(0)
    expect(view.get_by_role("checkbox", name="Clamp f")).to_be_disabled()
    for option in ("CSV", "SVG", "PNG"):
        with page.expect_download() as saved:
            view.get_by_role("combobox", name="Save").select_option(label=option)
        assert Path(saved.value.path()).stat().st_size > 500


def test_it_plays_in_a_frame_of_another_page(little, offline, tmp_path):
    trace, path = little
    host = tmp_path / "notebook.html"
    made = fl.replay(trace, height=700, language="en")
    host.write_text(f"<!doctype html><meta charset=utf-8><h1>a notebook without a kernel</h1>{made._repr_html_()}<iframe id=file src='{path.as_uri()}' width=1000 height=600></iframe>", "utf-8")
    page = offline(host)
    for frame in (page.frame_locator("iframe").nth(0), page.frame_locator("#file")):
        lab = frame.get_by_test_id("flowlab")
        lab.get_by_role("button", name="Step", exact=True).click()
        expect(lab).to_have_attribute("data-cursor", "1")
        lab.get_by_role("slider", name="Timeline").press("End")
        expect(lab).to_have_attribute("data-cursor", str(len(trace)))
        lab.locator('[data-node="loss"]').dispatch_event("click")
        assert shown(lab, "loss") == trace.results[0]


def test_the_captcha_reader_is_replayed_with_what_it_reads(offline, tmp_path):
    cells = json.loads((Path(__file__).parents[2] / "notebooks" / "08_read_a_captcha.ipynb").read_text("utf-8"))["cells"]
    made: dict = {"fl": fl, "np": np, "epochs": 1, "examples": 640, "batch": 64, "print": lambda *_: None}
    exec(next(s for c in cells if c["cell_type"] == "code" and 'fl.Graph("captcha")' in (s := "".join(c["source"]))), made)
    rng = np.random.default_rng(4)
    image = rng.random((48, 120, 3)).astype("float32")
    trace = fl.Session(made["g"], seed=0).trace(["loss", "train", "reading"], {"seq": rng.normal(size=(1, 60, 24)).astype("float32"), "digits": np.array([[1, 2, 3, 4]])})
    file = fl.to_html(trace, tmp_path / "captcha.html", image=image, reading=[f"digit_{k}" for k in range(1, 5)], language="en")
    assert file.size < 12 << 20
    page = offline(tmp_path / "captcha.html")
    lab = page.get_by_test_id("flowlab")
    timeline = lab.get_by_role("slider", name="Timeline")
    timeline.press("End")
    expect(lab).to_have_attribute("data-cursor", str(len(trace)))
    lab.get_by_role("searchbox", name="Find").fill("loss")
    lab.get_by_role("searchbox", name="Find").press("Enter")
    assert shown(lab, "loss") == trace.results[0]
    page.get_by_role("button", name="Recurrent layers").click()
    view = page.get_by_test_id("lstm-view")
    gates = trace.gates("lstm_2")
    for t, u in ((0, 0), (18, 8), (59, 127)):
        view.get_by_role("slider", name="Timestep").fill(str(t))
        view.get_by_role("slider", name="Unit").fill(str(u))
        expect(view).to_have_attribute("data-unit", str(u))
        assert {k: float(view.locator(f"[data-readout={k}]").get_attribute("data-value")) for k in "figoch"} == pytest.approx({k: float(v[0, t, u]) for k, v in gates.items()}, rel=1e-6, abs=1e-9)
    expect(view).to_contain_text("digit 4")
    expect(view.locator("[data-ledger=c]").first).to_be_attached()
