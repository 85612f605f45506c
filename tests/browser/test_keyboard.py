"""The lab without a mouse and without eyes: a network is built, wired wrongly and rightly, stepped and read by keys alone, and what is said is written down."""
from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

X = [[1, 2, 3], [4, 5, 6]]
Y = [[1, 2], [3, 4]]
W = [[0.5, -1], [1, 0.25], [-0.5, 2]]
STROKES = 300       # for a whole network; at two a second that is two minutes and a half, and names and numbers are most of them

# what a screen reader would read: each new text of a status, each alert that comes up
LISTEN = """(root) => {
    window.said = [];
    const note = (role, el) => { const text = el.textContent.trim(); if (text) said.push(`${role}: ${text}`); };
    new MutationObserver((records) => {
        const seen = new Set();
        for (const r of records) {
            const added = [...r.addedNodes].filter((n) => n.nodeType === 1);
            for (const el of added.flatMap((n) => [n, ...n.querySelectorAll('*')]).filter((n) => n.matches('[role=alert]'))) { if (!seen.has(el)) { seen.add(el); note('alert', el); } }
            const status = (r.target.nodeType === 1 ? r.target : r.target.parentElement)?.closest('[role=status]');
            if (status && !seen.has(status)) { seen.add(status); note('status', status); }
        }
    }).observe(root, { childList: true, subtree: true, characterData: true });
}"""


class Keys:
    """Ten fingers and two ears."""

    def __init__(self, nb):
        self.page, self.lab = nb.page, nb.lab
        self.strokes = 0
        self.lab.evaluate(LISTEN)

    def press(self, *keys: str) -> None:
        """Press keys or write texts; each waits for what the one before has set going."""
        for key in keys:
            named = len(key) == 1 or key in ("Enter", "Escape", "Tab", "F2", "Delete", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End") or "+" in key
            self.strokes += 1 if named else len(key)
            (self.page.keyboard.press if named else self.page.keyboard.type)(key)
            self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            expect(self.lab).not_to_have_attribute("data-busy", "true")

    def said(self) -> list[str]:
        """What was said since the last time."""
        return self.page.evaluate("() => said.splice(0)")

    def heard(self) -> str:
        """The name of what has the focus."""
        return self.page.evaluate("() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText")

    def add(self, op: str, name: str | None = None) -> None:
        self.press("a", op, "Enter")
        if name:
            self.press("F2", name, "Enter")


@pytest.fixture
def keys(page, notebook):
    page.set_viewport_size({"width": 1800, "height": 1000})     # wide enough for the outline
    nb = notebook("keyboard", ["import flowlab as fl", "ed = fl.Editor()\ned"])
    nb.run_all()
    expect(nb.lab.get_by_role("searchbox", name="Add an operation")).to_be_visible()
    return nb, Keys(nb)


def test_a_network_is_built_stepped_and_read_by_keys_alone(keys):
    nb, hand = keys
    # from the cell into the canvas
    nb.page.keyboard.press("Escape")
    for _ in range(12):
        nb.page.keyboard.press("Tab")
        if hand.heard().startswith("Graph, empty"):
            break
    assert hand.heard().startswith("Graph, empty"), "the canvas is far down the order of Tab"
    # x @ W + b - y
    hand.add("placeholder", "x")
    hand.press("Enter", "batch, 3", "Enter", "Tab", "Tab", str(X), "Enter", "Escape")
    assert hand.heard() == "x, Placeholder, output (batch, 3) float32"
    hand.add("matmul")
    assert hand.heard() == "MatMul, 2 inputs, 1 open, waiting"
    hand.add("variable", "W")
    hand.press("Enter", "3, 2", "Enter", "Tab", "Tab", str(W), "Enter", "Escape", "c", "Enter", "ArrowRight")
    assert hand.heard() == "MatMul, 2 inputs, output (batch, 2) float32, ready, asked for"
    hand.add("add")
    hand.add("variable", "b")
    hand.press("Enter", "2", "Enter", "Escape", "c", "Enter", "ArrowRight")
    assert hand.said() == [
        "status: Added placeholder.", "status: Renamed to x.", "status: Set shape of x.", "status: Set the value of x.",
        "status: Added matmul.", "status: Initialised Variable (zeros).", "status: Renamed to W.", "status: Initialised W (zeros).", "status: Initialised W (constant).", "status: Wired W to MatMul, port b.",
        "status: Added add.", "status: Initialised Variable (zeros).", "status: Renamed to b.", "status: Initialised b (zeros).", "status: Wired b to Add, port b."]
    hand.add("subtract")
    # a wire that does not fit says why, and is taken back
    hand.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert hand.heard().startswith("x, Placeholder")
    hand.press("c", "subtract:b", "Enter")
    said = hand.said()
    assert [text for text in said if text.startswith("alert: subtract:") and "(batch, 2)" in text and "(batch, 3)" in text], said
    hand.press("Control+z")
    assert hand.said() == ["status: Undid: connect x:0 to Subtract:b."]
    # one that would close a cycle is not offered, and the reason stands there
    hand.press("ArrowRight", "ArrowRight", "c", "matmul:a")
    expect(hand.lab.get_by_role("dialog", name="Connect to")).to_contain_text("MatMul already leads to Add: this wire would close a cycle.")
    hand.press("Escape", "ArrowRight")
    hand.add("placeholder", "y")
    hand.press("Enter", "batch, 2", "Enter", "Tab", "Tab", str(Y), "Enter", "Escape", "c", "Enter", "ArrowRight")
    hand.add("square")
    hand.add("mean", "loss")
    assert hand.strokes < STROKES, f"{hand.strokes} strokes"
    # stepped, forth and back, and read
    hand.said()
    hand.press(*".....", "v", ",", "v", ".", "ArrowLeft", "v")
    loss = float(np.mean((np.array(X) @ np.array(W) - np.array(Y)) ** 2))
    assert hand.said() == [
        "status: Fired MatMul.", "status: Fired Add.", "status: Fired Subtract.", "status: Fired Square.", "status: Fired loss. The run is complete.", f"status: Value of loss: {loss:.2f}",
        "status: Took back loss.", "status: loss has no value yet: run, or step until it fires.", "status: Fired loss. The run is complete.", "status: Value of Square: 0, 12.25; 1, 27.56"]
    assert hand.heard() == "Square, 1 input, output (batch, 2) float32, done"
    # its wires, one after the other; one is cut and comes back
    hand.press("w")
    assert hand.heard() == "Wire from Subtract to Square, input x, (batch, 2) float32"
    hand.press("w", "Delete")
    assert hand.said() == ["status: Cut the wire."] and hand.heard().startswith("Square, 1 input")
    hand.press("Control+z")
    # the same in the outline: a tree with one place in the order of Tab
    tree = hand.lab.get_by_role("tree", name="Outline")
    items = tree.get_by_role("treeitem")
    expect(items).to_have_count(9)
    assert items.evaluate_all("(all) => all.filter((el) => el.tabIndex === 0).length") == 1
    hand.press("Shift+Tab")
    expect(tree.get_by_role("treeitem", name="Square 1 input")).to_be_focused()
    hand.press("Home")
    expect(tree.get_by_role("treeitem", name="x Placeholder")).to_be_focused()
    hand.press("l", "o")
    expect(tree.get_by_role("treeitem", name="loss Mean, 1 input, output () float32")).to_be_focused()
    expect(hand.lab.get_by_test_id("inspector").get_by_role("textbox", name="Name")).to_have_value("loss")
    hand.press("Enter")
    assert hand.heard().startswith("loss, Mean")
    # and the notebook has its keys again
    cells = nb.page.locator(".jp-Notebook .jp-Cell").count()
    hand.press("Escape", "Escape")
    assert hand.said()[-1].startswith("status: The keys are the notebook's again.")
    nb.page.keyboard.press("b")
    expect(nb.page.locator(".jp-Notebook .jp-Cell")).to_have_count(cells + 1)
    assert nb.exec("print(ed.graph.node('loss').op.name, sorted(ed.document.nodes))") == "Mean ['Add', 'MatMul', 'Square', 'Subtract', 'W', 'b', 'loss', 'x', 'y']"
