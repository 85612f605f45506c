"""Recorded runs in the lab: opened, gone through, compared, saved; what is no run is refused with its reason."""
from __future__ import annotations

import numpy as np
import pytest
from nested import small_scan
from safetensors.numpy import save
from test_editor_kernel import Page

import flowlab as fl
from flowlab.io.edits import AddNode
from flowlab.widgets.editor import Editor


def net(slope: float = 2.0, extra: bool = False) -> fl.Graph:
    with fl.Graph("net") as g:
        x = fl.placeholder((2, 3), name="x")
        w = fl.variable(np.float32([[1], [2], [slope]]), name="w")
        h = fl.tanh(fl.matmul(x, w, name="mm"), name="h")
        if extra:
            h = fl.exp(h, name="more")
        loss = fl.sum(fl.square(h, name="sq"), name="loss")
        fl.optim.SGD(0.5).minimize(loss, name="train")
    return g


FEEDS = {"x": np.float32([[1, 0, -1], [0.5, 2, 1]])}


def recorded(**options) -> tuple[fl.Session, fl.Trace]:
    sess = fl.Session(net(**options), seed=3)
    return sess, sess.trace(["loss", "train"], FEEDS)


def value(page: Page, tensor: str) -> dict:
    page.say("ask", tensor=tensor)
    return page.last("value")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def test_a_trace_opens_with_its_graph_at_its_end_and_shows_what_was_recorded():
    sess, trace = recorded()
    before = sess.variables["w"]
    page = Page(Editor(trace))
    run = page.run
    assert (run["mode"], run["cursor"], run["length"], run["done"]) == ("past", len(trace), len(trace), True) and run["recording"] == "run 1 of net"
    assert page.editor.graph.same_graph(trace.graph) and page.editor.recording.recorded is trace
    for name in ("mm:0", "h:0", "loss:0"):
        shown = value(page, name)
        assert shown["known"] and shown["json"] == fl.Editor(trace)._value_of(name).tolist().__repr__().replace("'", "") or shown["stats"]["mean"] == pytest.approx(trace.stats(name).mean, rel=1e-6)
    assert value(page, "w:0")["stats"]["max"] == 2.0, "the variable as the run found it, not as it left it"
    assert (sess.variables["w"] == before).all() and sess.store.runs == 1
    editor = Editor(net())
    editor.open_trace(trace)
    fed = Page(editor)
    assert fed.states["x"] == "done" and "x:0" in fed.thumbs, "what it was fed is on show, whatever the document holds"


def test_it_is_gone_through_by_every_command_and_nothing_is_computed(monkeypatch):
    _, trace = recorded()
    page = Page(Editor(trace))
    fired = {e.node: e.outputs for e in trace.events}
    page.press("seek", cursor=0)
    assert page.run["mode"] == "past" and not page.fired() and page.run["length"] == len(trace)
    monkeypatch.setattr("flowlab.runtime.plan.Step.fire", lambda *a: pytest.fail("a recording computes nothing"))
    for name in ("step", "step_level", "back", "step_scope", "step_pass", "back_level", "step_pass", "step_pass", "step_pass"):
        assert page.press(name), (name, page.alert())
        done = page.editor.debugger.records[:page.run["cursor"]]
        assert all((a is b or (a == b).all()) for e in done for a, b in zip(e.outputs, fired[e.node]))
    assert page.run["cursor"] == len(trace)
    assert page.press("step") and "end of the recorded run" in page.last("notice")["text"]
    page.press("seek", cursor=2)
    page.press("run")
    assert page.run["cursor"] == len(trace) and "end of the recorded run" in page.last("notice")["text"]
    page.press("seek", cursor=0)
    page.say("debug", name="break_add", target="sq")
    page.press("resume")
    assert page.run["next"] == "sq", "breakpoints pause a recording too"


def test_timesteps_watches_heat_why_and_explain_work_on_a_recording():
    sess = fl.Session(small_scan(name="looped"))
    page = Page(Editor(sess.trace("total", {"seq": np.ones((4, 3), "f")})))
    page.press("seek", cursor=0)
    page.say("debug", name="watch_add", target="rnn/new:0")
    for step in range(4):
        page.press("step_timestep") if step else page.press("run_to", node="rnn/new")
    assert page.run["timesteps"]["rnn"].startswith("t = ")
    page.press("resume")
    watch = page.last("debugging")["watches"][0]
    assert len(watch["line"]) == 4 and watch["known"]
    page.say("debug", name="heat", text="time")
    assert page.last("debugging")["heat"]["shares"]
    assert page.say("debug", name="explain", target="total:0") and page.last("explained")["sentences"]
    assert page.say("debug", name="why_nan") and "holds a NaN" in page.last("notice")["text"]


def test_an_override_is_refused_tried_beside_it_or_made_after_going_on_live():
    sess, trace = recorded()
    page = Page(Editor(trace))
    assert page.say("debug", name="override", target="h:0", text="0") is False and "this is a recording" in page.alert().lower() and "Go on live" in page.alert()
    assert page.say("debug", name="branch", target="h:0", text="0") and page.last("debugging")["branch"]["count"] > 0
    page.press("seek", cursor=2)
    assert page.press("go_live") and page.run["recording"] is None and page.run["cursor"] == 2 and page.run["mode"] == "paused"
    assert page.say("debug", name="override", target="h:0", text="0") and page.press("resume") and page.run["done"]
    assert page.editor.results["loss"] == 0 and page.editor.session.store.runs == 0 and sess.store.runs == 1, "it looks and commits nothing"
    assert page.editor.run()["loss"] == trace.results[0], "Run begins where the recorded run began"


def test_a_run_is_saved_opened_and_told_from_one_of_another_graph(folder):
    editor = Editor(net(), feeds=FEEDS)
    page = Page(editor)
    assert page.press("save_run", node="monday") is False and "nothing has fired" in page.alert().lower()
    page.press("run")
    assert page.press("save_run", node="monday") and (folder / "monday.trace").is_file()
    assert page.press("save_run", node="monday") is False and "there already" in page.alert()
    assert page.press("replace_run", node="monday")
    assert page.press("save_run", node="../out") is False and page.press("save_run", node="/tmp/out") is False and not (folder.parent / "out.trace").exists()
    page.say("ask_name", name="monday", kind="run")
    assert "changed" in page.last("name_check")["there"]
    page.say("ask_files", kind="run")
    assert [r["name"] for r in page.last("files")["rows"]] == ["monday.trace"]
    page.say("ask_files")
    assert page.last("files")["rows"] == []

    path = str(folder / "monday.trace")
    assert page.press("open_run", node=path) and page.run["recording"] == "monday.trace" and editor.document.positions == {}
    undo = page.scene["undo"]
    other = Page(Editor(net(extra=True)))
    assert other.press("open_run", node=path)
    said = [m["text"] for m, _ in other.answer if m["type"] == "notice"]
    assert any("another graph" in s and "sq takes h:0" in s for s in said), said
    assert other.editor.graph.same_graph(editor.graph) and other.run["recording"] == "monday.trace" and undo is None
    other.press("undo")
    assert "more" in other.editor.document.nodes and other.run["recording"] is None
    assert other.press("open_run", node="/etc/hostname") is False and "neither below" in other.alert()


def test_a_run_that_was_overridden_is_saved_as_it_stood(folder):
    page = Page(Editor(net(), feeds=FEEDS))
    assert page.say("debug", name="override", target="h:0", text="[[0], [0]]")
    assert page.say("debug", name="override", target="w:0", text="7")
    page.press("step")
    page.press("step")
    page.press("save_run", node="part")
    trace = fl.load_trace("part.trace")
    assert len(trace) == 2 and trace.results is None and set(trace.overridden) == {"h:0", "w:0"}
    page = Page(Editor(trace))
    assert value(page, "h:0")["stats"]["max"] == 0 and value(page, "w:0")["stats"]["max"] == 7 and "h:0" in page.last("debugging")["overridden"]
    assert page.press("step") is False and "recording ends here" in page.alert()


@pytest.mark.parametrize("content", ["text", "weights", "head", "keys", "values", "names"])
def test_a_file_that_is_no_run_is_refused_with_its_reason_and_the_canvas_stays(folder, content):
    _, trace = recorded()
    trace.save("run.trace")
    data = (folder / "run.trace").read_bytes()
    if content == "text":
        data = b"\x00" * 300
    elif content == "weights":
        data = save({"w": np.ones(3, "f")})
    else:
        from safetensors import safe_open
        with safe_open("run.trace", "numpy") as file:
            head, tensors = file.metadata()["flowlab_trace"], {k: file.get_tensor(k) for k in file.keys()}  # safe_open is no mapping
        if content == "head":
            head = head.replace('"version": 1', '"version": 99')
        elif content == "keys":
            head = head.replace('[0], "mm"', '[3], "mm"')
            assert "[3]" in head
        elif content == "values":
            tensors = {k: v for k, v in tensors.items() if k != "0/0"}
        elif content == "names":
            head = head.replace('["mm"', '["<img onerror=x>"')
        data = save(tensors, metadata={"flowlab_trace": head})
    (folder / "run.trace").write_bytes(data)
    page = Page(Editor(net(), feeds=FEEDS))
    before = page.editor.document
    assert page.press("open_run", node=str(folder / "run.trace")) is False
    assert page.alert() and "Traceback" not in page.alert() and page.editor.document is before and page.editor.recording is None


def test_two_runs_are_compared_by_the_first_difference_and_by_norm_over_all_of_both(folder):
    _, a = recorded()
    _, b = recorded(slope=-1.0)
    b.save("tuesday.trace")
    page = Page(Editor(a))
    found = page.editor.compare("tuesday.trace")
    told = page.last("debugging")["branch"]
    assert found.first.tensor == "mm:0" == told["rows"][0]["tensor"] and told["recorded"] and (told["first"], told["name"]) == ("run 1 of net", "tuesday.trace")
    assert told["count"] == len(found) and set(told["sizes"]) == {d.tensor for d in found} and not told["missing"]
    page.press("seek", cursor=0)
    assert page.editor._branch_message().count == len(found), "all of both is compared, wherever the first stands"
    page.press("seek", cursor=told["rows"][0]["firing"])
    assert page.run["last"] == "mm"
    page.say("debug", name="compare_by", text="norm")
    told = page.last("debugging")["branch"]
    relative = [r["relative"] if r["relative"] is not None else np.inf for r in told["rows"]]
    assert told["by"] == "norm" and relative == sorted(relative, reverse=True)
    page.say("debug", name="branch_drop")
    assert page.last("debugging")["branch"] is None
    assert page.press("compare_run", node=str(folder / "tuesday.trace")) and page.last("debugging")["branch"]["count"] == len(found)


def test_two_versions_of_a_graph_are_matched_by_name_and_what_one_lacks_is_named():
    _, a = recorded()
    _, b = recorded(extra=True)
    page = Page(Editor())
    found = page.editor.compare(a, b)
    told = page.last("debugging")["branch"]
    assert "more" in found.only_b and {m["name"] for m in told["missing"] if m["run"] == "B"} == set(found.only_b) and all(m["drawn"] is None for m in told["missing"] if m["name"] == "more")
    assert found.first.tensor == "sq:0" and page.last("state")["recording"] == "run 1 of net"
    with pytest.raises(fl.DebuggerError, match="no run on show"):
        Editor(net()).compare(a)
    with pytest.raises(fl.DocumentError, match="no recorded run"):
        Editor(net()).open_trace(3)


def test_an_edit_closes_the_recording_and_says_so():
    _, trace = recorded()
    page = Page(Editor(trace))
    page.edit(AddNode("Abs"))
    assert page.run["recording"] is None and page.run["mode"] == "edit" and any("is closed" in m["text"] for m, _ in page.answer if m["type"] == "notice")
    page = Page(Editor(trace))
    page.press("stop")
    assert page.run["recording"] is None and "is closed" in page.last("notice")["text"]


def test_the_clock_tells_lanes_overlaps_and_copies():
    with fl.Graph("two") as g:
        x = fl.placeholder((700, 700), name="x")
        towers = []
        for k in range(2):
            with fl.device(f"cpu:{k}"):
                towers.append(fl.matmul(fl.matmul(x, x, name=f"low_{k}"), x, name=f"high_{k}"))
        with fl.device("cpu:0"):
            fl.sum(towers[0] + towers[1], name="total")
    with fl.Session(g, executor="parallel", workers=2, cpus=2) as sess:
        sess.parallel.worth = 0.0
        page = Page(Editor(sess.trace("total", {"x": np.ones((700, 700), "f")})))
    assert page.say("ask_clock")
    clock, names = page.last("clock"), page.run["names"]
    at = {n: k for k, n in enumerate(names)}
    assert [lane.partition(" ")[0] for lane in clock["lanes"]] == sorted(lane.partition(" ")[0] for lane in clock["lanes"]) and {"cpu:0", "cpu:1"} == {lane.partition(" ")[0] for lane in clock["lanes"]}
    a, b = at["low_0"], at["low_1"]
    assert clock["lane"][a] != clock["lane"][b] and clock["start"][a] < clock["start"][b] + clock["took"][b] and clock["start"][b] < clock["start"][a] + clock["took"][a], "they overlapped"
    copy = next(k for k, n in enumerate(names) if n == "high_1/copy/cpu:0")
    assert clock["came"][copy] == clock["lane"][at["high_1"]] != clock["lane"][copy] and all(c == -1 for k, c in enumerate(clock["came"]) if "/copy" not in names[k])
    ends = [s + t for s, t in zip(clock["start"], clock["took"])]
    assert ends == sorted(ends) and min(clock["start"]) == 0, "in the order in which they ended, as the cursor counts them"
    assert page.press("seek", cursor=0) and page.press("step_level") and page.press("resume") and page.run["cursor"] == len(names)


def test_a_file_with_places_times_or_lanes_that_no_run_has_is_refused_or_bounded(folder):
    import json

    from safetensors import safe_open
    _, trace = recorded()
    trace.save("run.trace")
    with safe_open("run.trace", "numpy") as file:
        head, tensors = json.loads(file.metadata()["flowlab_trace"]), {k: file.get_tensor(k) for k in file.keys()}  # safe_open is no mapping
    page = Page(Editor(net(), feeds=FEEDS))

    def opened(**changes) -> bool:
        (folder / "bad.trace").write_bytes(save(tensors, metadata={"flowlab_trace": json.dumps(head | changes)}))
        return page.press("open_run", node=str(folder / "bad.trace"))
    rows = head["events"]
    for k, wrong in ((1, [["rnn", []]]), (1, ["rnn", 3]), (3, -1), (4, 1e300), (5, {})):
        assert opened(events=[[*rows[0][:k], wrong, *rows[0][k + 1:]], *rows[1:]]) is False and page.alert()
    assert opened(threads=["a"]) is False and opened(threads=[["a"]] * len(rows)) is False
    assert opened(events=rows * 2) is False and opened(events=rows[::-1]) is False
    assert page.editor.recording is None
    assert opened(threads=[f"<b>{k}" for k in range(len(rows))]) and page.say("ask_clock")
    clock = page.last("clock")
    assert len(clock["lanes"]) <= 32 and max(clock["lane"]) < len(clock["lanes"]) and "<b>" not in str(clock["lanes"])


def test_a_value_that_the_run_did_not_keep_is_told_from_one_that_is_not_computed_yet():
    sess = fl.Session(net())
    page = Page(Editor(sess.trace("h", FEEDS)))
    assert value(page, "h:0")["known"] and not value(page, "sq:0")["known"] and page.run["recording"] and page.run["cursor"] == page.run["length"]
    assert page.editor.results.keys() == {"h"}
