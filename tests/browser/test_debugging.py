"""Debugging by button and by key in a real JupyterLab: pause on a NaN, why, breakpoints, watches, override, a second run, explain."""
from __future__ import annotations

import json

from playwright.sync_api import expect
from test_editor import Hand

CELLS = ("""import numpy as np
import flowlab as fl
with fl.Graph("entropy") as g:
    x = fl.placeholder((2, 3), name="x")
    share = fl.divide(x, fl.sum(x, axis=1, keepdims=True, name="total"), name="share")
    log = fl.log(share, name="log")
    fl.mean(fl.negative(fl.sum(fl.multiply(share, log, name="product"), axis=1, name="row"), name="entropy"), name="mean")
ed = fl.Editor(g, feeds={"x": np.float32([[1, 2, 3], [4, 0, 2]])})
ed""",)


def test_a_nan_is_caught_explained_watched_and_tried_otherwise(notebook, shots):
    nb = notebook("debugging", CELLS)
    nb.run_all()
    hand = Hand(nb)
    hand.settled()
    lab, page = hand.lab, nb.page

    def node(name):
        return lab.locator(f'[data-node="{name}"]')

    def pick(name):
        node(name).click(position={"x": 40, "y": 12})
        hand.settled()

    def key(keys):
        page.keyboard.press(keys)
        hand.settled()

    # the run pauses where the first infinity was made, and goes on when told to
    hand.press("Run")
    expect(lab.get_by_role("alert").filter(has_text="log made an infinity")).to_be_visible()
    expect(lab).to_have_attribute("data-mode", "paused")
    assert nb.exec("print(ed.debugger.records[ed.debugger.cursor - 1].node)") == "log"
    hand.press("Resume")
    expect(node("mean")).to_have_attribute("data-state", "done")

    # why: the way is lit, the story told, the node that began it selected
    pick("mean")
    lab.get_by_role("button", name="Why NaN?").click()
    why = lab.get_by_test_id("why")
    expect(why).to_contain_text("the logarithm of 0")
    expect(lab.locator('[data-lit="true"]')).to_have_count(5)
    expect(lab.get_by_test_id("inspector").get_by_role("textbox", name="Name")).to_have_value("log")
    shots("debugging-why")
    why.get_by_role("button", name="Close").click()
    expect(lab.locator('[data-lit="true"]')).to_have_count(0)

    # explain, by key: the numbers of this run
    pick("share")
    key("e")
    assert "4 / 6 = 0.6667" in lab.get_by_test_id("explained").inner_text()

    # watch, by key: the table shows what the Debugger has
    key("Shift+W")
    row = lab.locator('[data-watch="share:0"]')
    want = json.loads(nb.exec("import json; s = ed.debugger.stats('share:0'); print(json.dumps([s.min, s.max]))"))
    expect(row.locator("td").nth(1)).to_have_text(f"{want[0]:.4g}")
    expect(row.locator("td").nth(2)).to_have_text(f"{want[1]:.4f}")
    box = row.get_by_label("Part of share:0")
    box.fill("[0]")
    box.press("Enter")
    hand.settled()
    expect(row.locator("td").nth(2)).to_have_text("0.5000")
    with page.expect_download() as got:
        lab.get_by_test_id("watches").get_by_role("button", name="CSV").click()
    assert open(got.value.path(), encoding="utf-8", newline="").read().startswith("tensor,shape,dtype,part,min,max,mean,std,norm,zeros,nan,inf,gradient,gradient min,gradient max,gradient mean,gradient std,gradient norm,gradient zeros,gradient nan,gradient inf\r\nshare:0,\"(2, 3)\",float32,[0],")

    # a second run with another value, beside the first
    pick("log")
    key("o")
    page.keyboard.press("Control+a")
    page.keyboard.type("-1")
    lab.get_by_label("in a second run beside this one").check()
    lab.get_by_role("button", name="Branch", exact=True).click()
    hand.settled()
    key("Escape")
    branch = lab.get_by_test_id("branch")
    expect(branch).to_have_attribute("data-count", "5")
    expect(branch).to_contain_text("NaN → 1")
    expect(lab.locator("[data-edge][data-apart]")).to_have_count(4)
    assert nb.exec("print(float(ed.results['mean']))") == "nan"
    shots("debugging-branch")
    branch.get_by_role("button", name="Drop the second run").click()
    expect(branch).to_have_count(0)

    # override in this run, then take it back
    pick("log")
    lab.get_by_role("button", name="Override…").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("-2")
    page.keyboard.press("Enter")
    hand.settled()
    hand.press("Resume")
    expect(node("mean")).to_have_attribute("data-state", "done")
    assert nb.exec("print(float(ed.results['mean']))") == "2.0"
    expect(node("log").get_by_role("img", name="overridden")).to_be_visible()

    # breakpoints: before a node by key, on a condition by form; flags on the timeline; a condition that cannot be read says where
    hand.press("Stop")
    pick("row")
    key("b")
    expect(node("row").get_by_role("img", name="breakpoint")).to_be_visible()
    hand.press("Run")
    expect(lab.get_by_role("alert").filter(has_text="log made an infinity")).to_be_visible()
    hand.press("Resume")
    assert nb.exec("print(ed.debugger.ready[0])") == "row"
    pick("entropy")
    key("Shift+B")
    page.keyboard.type("min <")
    page.keyboard.press("Enter")
    expect(lab.get_by_role("alert").filter(has_text="where a value is missing")).to_be_visible()
    page.keyboard.type(" 0")
    page.keyboard.press("Enter")
    hand.settled()
    expect(lab.locator(".brk [data-break]")).to_contain_text("min < 0")
    key("b")        # and one before it, which is taken back by the same key
    key("b")
    assert nb.exec("print([(b.target, b.condition) for b in ed.debugger.breakpoints])") == "[('row', None), ('entropy:0', 'min < 0')]"
