"""WCAG 2.2, level AA, as far as a machine can tell: axe-core reads every state of the lab, of the LSTM view and of the convolution view, light and dark."""
from __future__ import annotations

from playwright.sync_api import expect
from test_conv_view import GRAPH as SHAPES
from test_editor import Hand
from test_lstm_view import GRAPH as READER

THEMES = ("light", "dark")
WIDE = {"width": 1800, "height": 1000}

LAB = """
import numpy as np
import flowlab as fl

with fl.Graph("accessible") as g:
    x = fl.placeholder(("batch", 3), name="x")
    k = fl.constant(2.0, name="k")
    W = fl.variable(np.array([[0.5, -1], [1, 0.25], [-0.5, 2]], "float32"), name="W")
    with fl.name_scope("head"):
        y = fl.tanh(x @ W * k)
    with fl.name_scope("tail"):
        loss = fl.mean(y ** 2, name="loss")
    first, second = fl.split(y, 2, axis=1)
    fl.gradients(loss, [W])
ed = fl.Editor(g, feeds={"x": [[1, 2, 3], [4, 5, 6]]})
ed
"""


def test_an_empty_lab_its_menus_and_dialogs(notebook, clean, shots):
    nb = notebook("accessible empty", ["import flowlab as fl", "ed = fl.Editor()\ned"])
    nb.page.set_viewport_size(WIDE)
    nb.run_all()
    hand = Hand(nb)
    search = hand.lab.get_by_role("searchbox", name="Add an operation")
    for theme in THEMES:
        nb.theme(theme)
        clean(hand.lab, f"empty, {theme}")
        search.fill("ma")
        expect(hand.lab.get_by_role("option").first).to_be_visible()
        clean(hand.lab, f"palette, {theme}")
        search.press("Escape")
        nb.page.keyboard.press("?")
        expect(hand.lab.get_by_role("dialog", name="Keys")).to_be_visible()
        clean(hand.lab, f"keys, {theme}")
        nb.page.keyboard.press("Escape")
        hand.lab.get_by_role("button", name="File", exact=True).click()
        expect(hand.lab.get_by_role("menu", name="File")).to_be_visible()
        clean(hand.lab, f"file menu, {theme}")
        for item, dialog in (("Save as…", "Save as"), ("Open…", "Open")):
            if not hand.lab.get_by_role("menu", name="File").is_visible():
                hand.lab.get_by_role("button", name="File", exact=True).click()
            hand.lab.get_by_role("menuitem", name=item, exact=True).click()
            expect(hand.lab.get_by_role("dialog", name=dialog)).to_be_visible()
            clean(hand.lab, f"{dialog}, {theme}")
            shots(f"accessible-{dialog}-{theme}")
            nb.page.keyboard.press("Escape")
        hand.lab.get_by_role("button", name="Language").click()
        clean(hand.lab, f"languages, {theme}")
        nb.page.keyboard.press("Escape")


def test_a_graph_its_inspector_its_errors_and_a_run(notebook, clean, shots):
    nb = notebook("accessible graph", [LAB])
    nb.page.set_viewport_size(WIDE)
    nb.run_all()
    hand = Hand(nb)
    keys = nb.page.keyboard
    hand.press("Unfold all")
    for theme in THEMES:
        nb.theme(theme)
        clean(hand.lab, f"graph, {theme}")
        for name in ("x", "k", "W", "head/MatMul", "Split"):
            hand.select(name)
            hand.settled()
            clean(hand.lab, f"inspector of {name}, {theme}")
        hand.lab.get_by_role("searchbox", name="Find").fill("a")
        clean(hand.lab, f"find, {theme}")
        hand.lab.get_by_role("searchbox", name="Find").press("Escape")
        hand.select("head/Tanh")
        keys.press("c")
        expect(hand.lab.get_by_role("dialog", name="Connect to")).to_be_visible()
        clean(hand.lab, f"connect to, {theme}")
        keys.press("Escape")
        keys.press("Control+a")
        expect(hand.inspector).to_contain_text("selected together")
        clean(hand.lab, f"many, {theme}")
        keys.press("Escape")
        keys.press("k")
        expect(hand.lab.get_by_test_id("code").get_by_role("option").first).to_be_visible()
        clean(hand.lab, f"code, {theme}")
        keys.press("k")
        for _ in range(5):
            hand.press("Step")
        clean(hand.lab, f"in a run, {theme}")
        hand.press("Step back")
        hand.select("head/MatMul")
        expect(hand.inspector.get_by_test_id("value")).to_be_visible()
        hand.settled()
        clean(hand.lab, f"in the past, {theme}")
        shots(f"accessible-past-{theme}")
        hand.press("Stop")
        hand.select("x")
        hand.inspector.get_by_role("button", name="Draw", exact=True).click()
        hand.field("shape", "batch, 4")
        expect(hand.lab.get_by_role("alert").first).to_be_visible()
        clean(hand.lab, f"does not fit, {theme}")
        shots(f"accessible-error-{theme}")
        hand.press("Undo")
        keys.press("Escape")
        nb.page.set_viewport_size({"width": 1024, "height": 768})
        clean(hand.lab, f"narrow, {theme}")
        nb.page.set_viewport_size(WIDE)
        hand.press("Fold all")
        hand.lab.locator('[data-scope="head"]').click(position={"x": 30, "y": 12})
        clean(hand.lab, f"folded, {theme}")
        hand.press("Unfold all")
    # what is written on the canvas
    hand.select("head/MatMul")
    keys.press("f")
    keys.type("weights")
    keys.press("Enter")
    hand.settled()
    clean(hand.lab, "frame")
    keys.press("n")
    keys.type("**note** with $x^2$")
    keys.press("Control+Enter")
    hand.settled()
    clean(hand.lab, "note")


def test_the_lstm_view(notebook, clean):
    nb = notebook("accessible lstm", [READER, "view = fl.LSTMView(trace)\nview"])
    nb.run_all()
    view = nb.page.get_by_test_id("lstm-view")
    expect(view.locator("[data-gate]")).to_have_count(6)
    for theme in THEMES:
        nb.theme(theme)
        clean(view, theme)
        view.get_by_role("checkbox", name="Clamp f").check()
        expect(view).not_to_have_attribute("data-busy", "true")
        view.get_by_role("button", name="Forget").click()
        clean(view, f"clamped, {theme}")
        view.get_by_role("checkbox", name="Clamp f").uncheck()


def test_the_convolution_view(notebook, clean):
    nb = notebook("accessible convolution", [SHAPES, 'fl.ConvView(trace, "second", y=0, x=2)'])
    nb.run_all()
    view = nb.page.get_by_test_id("conv-view")
    expect(view.locator("[data-field]")).to_have_count(4)
    for theme in THEMES:
        nb.theme(theme)
        clean(view, theme)
        view.get_by_role("button", name="Paint", exact=True).click()
        view.focus()
        nb.page.keyboard.press("Enter")
        expect(view.locator(".tried")).to_be_visible()
        view.get_by_role("button", name="Shift", exact=True).click()
        expect(view.locator("[data-line]")).to_have_count(2)
        clean(view, f"painted and swept, {theme}")
        view.get_by_role("button", name="As in the run").click()
        expect(view.locator(".tried")).to_have_count(0)
        view.get_by_role("button", name="Paint", exact=True).click()
