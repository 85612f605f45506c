"""Recorded runs in a real JupyterLab: opened from the menu, gone through by key and by button, played by the clock, compared."""
from __future__ import annotations

import json

from playwright.sync_api import expect
from test_editor import Hand

CELLS = ("""import numpy as np
import flowlab as fl
def net(more):
    with fl.Graph("net") as g:
        x = fl.placeholder((2, 3), name="x")
        w = fl.variable(np.float32([[1], [2], [3]]), name="w")
        h = fl.tanh(fl.matmul(x, w, name="mm"), name="h")
        if more:
            h = fl.exp(h, name="more")
        loss = fl.sum(fl.square(h, name="sq"), name="loss")
        fl.optim.SGD(0.5).minimize(loss, name="train")
    return g
def trace(more, seed):
    x = np.random.default_rng(seed).normal(size=(2, 3))
    return fl.Session(net(more)).trace(["loss", "train"], {"x": x})
first = trace(False, 1)
first.save("first.trace")
trace(True, 2).save("second.trace")
ed = fl.Editor(net(False))
ed""",)


def test_a_saved_run_is_opened_gone_through_played_by_the_clock_and_compared(notebook, shots):
    nb = notebook("recorded", CELLS)
    nb.run_all()
    hand = Hand(nb)
    hand.settled()
    lab, page = hand.lab, nb.page
    total = int(nb.exec("print(len(first))"))

    def choose(item, name):
        lab.get_by_role("button", name="File", exact=True).click()
        lab.get_by_role("menuitem", name=item).click()
        lab.get_by_role("dialog").get_by_role("combobox").fill(name)
        expect(lab.get_by_role("dialog").get_by_role("option")).to_have_count(1)
        page.keyboard.press("Enter")
        hand.settled()

    def key(keys):
        page.keyboard.press(keys)
        hand.settled()

    choose("Open a recorded run…", "first")
    expect(lab).to_have_attribute("data-mode", "past")
    expect(lab).to_have_attribute("data-cursor", str(total))
    expect(lab.locator("[data-recording]")).to_contain_text(f"Recorded {total} / {total}")

    # by key, by button and on the timeline; what is on the screen is what was recorded
    slider = lab.get_by_role("slider", name="Timeline")
    slider.press("Home")
    hand.settled()
    expect(lab).to_have_attribute("data-cursor", "0")
    lab.locator('[data-node="mm"]').click(position={"x": 40, "y": 12})
    hand.settled()
    key(".")
    key(">")
    key(",")
    hand.press("Step")
    expect(lab).to_have_attribute("data-mode", "past")
    expect(lab.locator('[data-node="mm"]')).to_have_attribute("data-state", "done")
    shown = json.loads(lab.get_by_test_id("value").get_attribute("data-json"))
    assert nb.exec(f"print((np.float32({shown}) == first.value('mm')).all())") == "True"
    hand.press("Resume")
    hand.press("Step")
    expect(lab.get_by_role("status").filter(has_text="end of the recorded run first.trace")).to_be_visible()
    key("o")
    page.keyboard.press("Control+a")
    page.keyboard.type("0")
    page.keyboard.press("Enter")
    expect(lab.get_by_role("alert").filter(has_text="this is a recording")).to_be_visible()
    page.keyboard.press("Escape")

    # by the clock: play goes to the end, and the cursor with it
    lab.get_by_role("button", name="Speed 1×").click()
    expect(lab.get_by_role("button", name="Speed 2×")).to_be_visible()
    lab.get_by_role("button", name="As recorded").click()
    expect(lab.locator("[data-lanes]")).to_have_attribute("data-lanes", "1")
    # a firing of it is soon over: what is seen of it is written down
    seen = page.evaluate_handle("""() => { const lab = document.querySelector('.fl-lab'), seen = { edges: new Set(), playing: false, running: false };
        const look = () => { seen.playing ||= lab.dataset.playing === 'true'; seen.running ||= !!lab.querySelector('[data-node][data-state="running"]');
            lab.querySelectorAll('[data-token]').forEach((t) => seen.edges.add(t.dataset.edge)); };
        new MutationObserver(look).observe(lab, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-playing', 'data-state'] }); return seen; }""")
    hand.press("Play")
    page.wait_for_function("(seen) => seen.playing && document.querySelector('.fl-lab').dataset.playing !== 'true'", arg=seen)
    expect(lab).to_have_attribute("data-cursor", str(total))
    assert seen.evaluate("(seen) => seen.running && seen.edges.size") > 5
    shots("recorded-lanes")

    # compared with a run of another version of the graph: what only one has is named, and a click goes to where they differ
    choose("Compare with a recorded run…", "second")
    branch = lab.get_by_test_id("branch")
    expect(branch).to_contain_text("second.trace")
    expect(branch.locator('[data-only="B"]')).to_contain_text("more")
    assert lab.locator("[data-edge][data-apart]").count() > 3
    shots("recorded-compared")
    branch.get_by_label("Order of differences").select_option("the largest")
    expect(branch).to_have_attribute("data-by", "norm")
    branch.get_by_label("Order of differences").select_option("the first")
    expect(branch).to_have_attribute("data-by", "first")
    branch.locator(".apart button").first.click()
    expect(lab).to_have_attribute("data-cursor", nb.exec("print(1 + [e.node for e in ed.debugger.records].index('mm'))"))
    expect(lab.get_by_test_id("inspector").get_by_role("textbox", name="Name")).to_have_value("mm")

    # live from here, by button
    lab.get_by_role("button", name="Go on live").click()
    hand.settled()
    expect(lab).to_have_attribute("data-mode", "paused")
    hand.press("Step")
    assert nb.exec("print(type(ed.debugger).__name__, ed.session.store.runs)") == "Debugger 0"
