"""Breakpoints, watches, overrides, a second run and questions, asked for as the page asks."""
from __future__ import annotations

import numpy as np
import pytest
from nested import small_scan

import flowlab as fl
from flowlab.io.edits import RemoveNodes, Rename
from flowlab.widgets.editor import Editor
from tests.widgets.test_editor_kernel import Page

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero")


def logs() -> fl.Graph:
    with fl.Graph("logs") as g:
        a = fl.placeholder((2,), name="x")
        y = fl.log(a, name="log")
        fl.sum(fl.multiply(y, 2.0, name="twice"), name="total")
    return g


def looping() -> Page:
    """A lab with a loop over four timesteps, and something after it."""
    return Page(Editor(small_scan(), feeds={"seq": np.ones((4, 3), "f")}))


@pytest.fixture
def page() -> Page:
    return Page(Editor(logs(), feeds={"x": np.float32([2, 0])}))


def debug(page: Page, name: str, **fields) -> bool:
    return page.say("debug", name=name, **fields)


def told(page: Page) -> dict:
    return page.last("debugging")


def test_a_run_from_the_page_pauses_once_at_the_first_nan_or_infinity(page):
    assert page.press("run") and page.run["mode"] == "paused" and page.run["last"] == "log"
    assert "log made an infinity" in page.alert() and "Resume goes on" in page.alert() and page.last("notice")["why"]
    assert debug(page, "why_nan") and page.last("why")["node"] == "log"        # as the card's button asks: of whatever it was
    assert page.press("resume") and page.run["done"]
    page.press("stop")
    assert debug(page, "pause_on_bad_off") and not told(page)["pause_on_bad"]
    assert page.press("run") and page.run["done"]
    page.press("stop")
    debug(page, "pause_on_bad_on")
    assert page.editor.run()["total"] == -np.inf         # a cell's run goes to its end
    page = Page(Editor(logs()))
    assert page.press("run") is False and "no value" in page.alert()
    page.editor.feeds["x"] = np.float32([2, 0])
    assert page.editor.run()["total"] == -np.inf, "a run from the page that could not start leaves nothing to the next"


def test_stepping_onto_an_infinity_says_so(page):
    assert page.press("step") and "log made an infinity" in page.alert()
    assert page.press("step") and not [m for m, _ in page.answer if m["type"] == "notice" and m["level"] == "alert"]     # what follows from it is no news


def test_breakpoints_are_set_seen_kept_from_run_to_run_and_follow_a_new_name(page):
    debug(page, "pause_on_bad_off")
    assert debug(page, "break_add", target="twice") and debug(page, "break_add", target="total:0", text="max < 0", hits=1)
    assert [(b["target"], b["drawn"], b["when"]) for b in told(page)["breaks"]] == [("twice", "twice", ""), ("total:0", "total", "max < 0")]
    page.press("run")
    assert page.run["next"] == "twice"
    page.press("resume")
    assert page.run["last"] == "total" and told(page)["breaks"][1]["held"] == 1
    page.press("stop")
    assert page.edit(Rename("twice", "double"))
    assert {b["target"] for b in told(page)["breaks"]} == {"double", "total:0"}
    page.press("run")
    assert page.run["next"] == "double"
    assert debug(page, "break_remove", text=told(page)["breaks"][0]["key"]) and len(told(page)["breaks"]) == 1
    assert page.edit(RemoveNodes(("total",))) and told(page)["breaks"] == []
    assert any("Dropped the breakpoint at total:0" in m["text"] for m, _ in page.heard if m["type"] == "notice")


def test_a_condition_that_cannot_be_read_shows_where(page):
    assert not debug(page, "break_add", target="log:0", text="max >> 3")
    assert "▸" in page.alert() and told(page) is None


@pytest.mark.parametrize("fields", [dict(target="nowhere"), dict(target="log", hits=0), dict(target="log", timestep=-4), dict(target="log:0", action="explode"), dict(target="zz*")])
def test_a_breakpoint_that_has_no_place_is_refused(page, fields):
    assert not debug(page, "break_add", **fields) and page.alert() and told(page) is None


def test_watches_tell_health_a_line_and_the_part_in_the_box(page):
    assert debug(page, "watch_add", target="log:0")
    row, = told(page)["watches"]
    assert not row["known"] and row["shape"] == "(2,)" and row["stats"] is None
    page.press("step")
    row, = told(page)["watches"]
    assert row["known"] and row["stats"]["inf"] == 1 and len(row["line"]) == 1
    assert debug(page, "watch_box", target="log:0", text="[0:1]")
    row, = told(page)["watches"]
    assert row["stats"]["inf"] == 0 and row["stats"]["max"] == pytest.approx(np.log(2))
    debug(page, "watch_box", target="log:0", text="[9]")
    assert "no 9" in told(page)["watches"][0]["wrong"]
    assert not debug(page, "watch_add", target="nowhere:0")
    assert debug(page, "watch_remove", target="log:0") and told(page)["watches"] == []


def test_a_watch_draws_a_line_over_the_timesteps_of_a_loop():
    page = looping()
    page.press("step_timestep")
    assert debug(page, "watch_add", target="rnn/new:0")
    page.press("run")
    row, = told(page)["watches"]
    assert len(row["line"]) == 4 and row["line"] == sorted(row["line"])


def test_an_override_fires_again_what_came_from_it_and_is_taken_back(page):
    debug(page, "pause_on_bad_off")
    page.press("run")
    assert debug(page, "override", target="log:0", text="[1, 2]") and told(page)["overridden"] == ["log:0"]
    assert page.run["cursor"] == 1 and page.press("resume") and float(page.editor.results["total"]) == 6
    assert debug(page, "override", target="log:0", text="1") and page.press("resume") and float(page.editor.results["total"]) == 4      # one number for all
    assert not debug(page, "override", target="log:0", text="[1, 2, 3]") and "(2,)" in page.alert() and "(3,)" in page.alert()
    assert not debug(page, "override", target="log:0", text="[1, oops]") and "character 5" in page.alert()
    assert debug(page, "override_clear", target="log:0") and told(page)["overridden"] == []


def test_a_second_run_leaves_the_first_alone_and_says_where_they_part(page):
    debug(page, "pause_on_bad_off")
    page.press("run")
    cursor = page.run["cursor"]
    assert debug(page, "branch", target="log:0", text="[1, 2]")
    branch = told(page)["branch"]
    assert branch["done"] and branch["count"] == 3 and [r["tensor"] for r in branch["rows"]] == ["log:0", "twice:0", "total:0"]
    assert branch["results"] == [{"label": "total", "before": "−∞", "after": "6"}] and branch["sizes"]["twice:0"] > 0
    assert page.run["cursor"] == cursor and float(page.editor.results["total"]) == -np.inf
    assert debug(page, "branch_drop") and told(page)["branch"] is None


def test_why_lights_the_way_and_explain_puts_the_numbers_in(page):
    page.press("run")
    page.press("resume")
    assert debug(page, "why_nan", target="total:0")
    why = page.last("why")
    assert why["node"] == "log" and why["path"] == ["log", "twice", "total"] and "logarithm of 0" in " ".join(why["sentences"])
    assert debug(page, "explain", target="twice:0", at=[0]) and page.last("explained")["arithmetic"] == "0.6931 · 2 = 1.386"
    assert debug(page, "explain", target="log:0", language="zh-TW") and any("元素" in s for s in page.last("explained")["sentences"])
    assert debug(page, "why_zero", target="twice:0") and page.last("why") is why       # nothing is wrong: said, not shown
    assert not debug(page, "explain", target="twice:0", at=[5]) and not debug(page, "nonsense")


def test_it_is_told_which_line_made_a_node_and_of_one_made_on_the_canvas_none(page):
    line = logs.__code__.co_firstlineno + 3
    page.press("run")
    assert debug(page, "why_nan") and page.last("why")["sentences"][1].endswith(f"test_editor_debugging.py, line {line}.")
    page.editor.edit(Rename("log", "ln"))
    page.press("run")
    assert debug(page, "why_nan") and page.last("why")["node"] == "ln" and not any("It was made" in s for s in page.last("why")["sentences"])


def test_a_finished_loop_has_all_of_it_fired():
    with fl.Graph() as g:
        seq = fl.placeholder((4, 3), name="seq")
        with fl.scan(seq, time_axis=0, name="rnn") as step:
            h = step.state("h", init=fl.constant(np.zeros(3, "f")))
            step.update(h, fl.tanh(h * 0.5 + step.input, name="new"))
            step.output(h)
        fl.sum(step.outputs[0], name="total")
    page = Page(Editor(g, feeds={"seq": np.ones((4, 3), "f")}))
    page.say("command", name="fold", scopes=["rnn"])
    page.press("run")
    done, all_of_it = page.run["progress"]["rnn"]
    assert done == all_of_it and page.run["states"]["rnn"] == "done"


def test_nothing_can_be_asked_before_a_run(page):
    assert not debug(page, "explain", target="log:0") and "Step or Run first" in page.alert()
    assert not debug(page, "why_nan")


def test_a_page_that_comes_again_is_told_of_it_all(page):
    debug(page, "break_add", target="twice")
    debug(page, "watch_add", target="log:0")
    before = told(page)
    start = len(page.heard)
    page.say("hello", version=1)
    assert [m for m, _ in page.heard[start:] if m["type"] == "debugging"] == [before]


def test_into_a_scope_stops_at_its_first_node_and_out_of_it_finishes_it():
    with fl.Graph() as g:
        x = fl.placeholder((2, 3), name="x")
        h = fl.nn.dense(fl.tanh(x, name="first"), 4, activation="relu", name="hidden")
        fl.sum(h, name="total")
    page = Page(Editor(g, feeds={"x": np.ones((2, 3), "f")}))
    assert page.press("into", node="hidden") and page.run["next"] == "hidden/MatMul" and page.run["cursor"] == 1
    assert page.press("out", node="hidden") and page.run["next"] == "total" and page.run["cursor"] == 4
    assert page.press("into", node="hidden") and page.run["cursor"] == 4        # there is nothing left in there
    assert page.press("resume") and page.run["done"]


def test_into_and_out_of_a_loop():
    page = looping()
    assert page.press("into", node="rnn") and page.run["cursor"] == 0 and page.run["next"] == "rnn/Add"
    assert page.press("step") and page.press("out", node="rnn") and page.run["next"] == "total"


def test_costs_are_shown_by_what_is_drawn_and_add_up(page):
    debug(page, "pause_on_bad_off")
    page.press("run")
    assert debug(page, "heat", text="memory")
    heat = told(page)["heat"]
    assert heat["labels"] == {"log": "8 bytes", "twice": "8 bytes", "total": "4 bytes"} and heat["total"] == "20 bytes" and sum(heat["shares"].values()) == pytest.approx(1)
    assert heat["wires"] == {"x:0": 1, "Constant:0": 0.5, "log:0": 1, "twice:0": 1, "total:0": 0.5}, "what a source gives is large too"
    assert debug(page, "heat", text="time") and set(told(page)["heat"]["shares"]) == {"log", "twice", "total"} and not told(page)["heat"]["wires"]
    page.press("stop")
    assert told(page)["heat"]["shares"] == {}
    assert debug(page, "heat", text="") and told(page)["heat"] is None and not debug(page, "heat", text="light")


def test_a_watch_shows_the_gradient_beside_the_value():
    with fl.Graph() as g:
        w = fl.variable(np.float32([1, 2, 3]), name="w")
        fl.gradients(fl.sum(fl.square(w, name="sq"), name="loss"), [w])
    page = Page(Editor(g))
    for tensor in ("w:0", "loss:0", "sq:0"):
        debug(page, "watch_add", target=tensor)
    w, loss, sq = told(page)["watches"]
    assert w["gradient"].startswith("gradients/sq/") and w["gradient_stats"] is None and loss["gradient"] and not loss["known"]
    page.press("run")
    w, loss, sq = told(page)["watches"]
    assert (w["gradient_stats"]["min"], w["gradient_stats"]["max"]) == (2, 6) and w["gradient_drawn"] == w["gradient"].removesuffix(":0")
    assert (loss["number"], loss["gradient_number"]) == ("14", "1") and sq["gradient_stats"]["mean"] == 1
    debug(page, "watch_box", target="w:0", text="[1]")
    w = told(page)["watches"][0]
    assert (w["number"], w["gradient_number"]) == ("2", "4")


def test_a_breakpoint_waits_for_feeds_as_the_run_does():
    page = Page(Editor(logs()))
    assert debug(page, "break_add", target="twice") and debug(page, "break_add", target="total:0", text="max < 0") and debug(page, "break_add", target="twice")
    assert [(b["target"], b["when"]) for b in told(page)["breaks"]] == [("total:0", "max < 0"), ("twice", "")]
    assert debug(page, "break_add", target="total", text="max <") is False and "where a value is missing" in page.alert()
    assert debug(page, "break_add", target="nowhere") is False and "no node 'nowhere'" in page.alert()
    assert debug(page, "break_add", target="twice", hits=0) is False and "whole number from 1" in page.alert()
    page.editor.feeds["x"] = np.float32([2, 1])
    page.press("run")
    assert page.run["next"] == "twice" and [b["target"] for b in told(page)["breaks"]] == ["total:0", "twice"]


def test_it_says_what_was_let_go_and_what_was_computed_again(monkeypatch):
    with fl.Graph() as g:
        y = fl.placeholder((8, 8), name="x")
        for k in range(12):
            y = fl.tanh(y, name=f"y{k}")
        fl.mean(y, name="loss")
    monkeypatch.setattr("flowlab.debugger.debugger.trace_budget", lambda: 600)
    page = Page(Editor(g, feeds={"x": np.ones((8, 8), "float32")}))
    page.press("run")
    assert page.last("state")["let_go"] > 9
    page.say("ask", tensor="y3:0", slice="")
    told_again = page.last("value")
    assert told_again["known"] and told_again["again"] and told_again["stats"]["max"] == pytest.approx(float(np.tanh(np.tanh(np.tanh(np.tanh(1.0))))), rel=1e-6)
