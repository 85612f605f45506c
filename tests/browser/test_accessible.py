"""WCAG 2.2, level AA, as far as a machine can tell: axe-core reads every state of the lab, of the LSTM view and of the convolution view, light and dark."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect
from test_conv_view import GRAPH as SHAPES
from test_editor import Hand
from test_lstm_view import GRAPH as READER

AXE = Path(__file__).parents[2] / "widgets" / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("light", "dark")
WIDE = {"width": 1800, "height": 1000}

# no rule is switched off; target-size is on by name, because axe leaves it off unless it is asked for
SCAN = """async (root) => {
    const found = await axe.run(root, {
        runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] },
        rules: { 'target-size': { enabled: true } },
        preload: false,
    });
    return {
        read: found.passes.filter((p) => p.id === 'target-size').flatMap((p) => p.nodes).length,
        violations: found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 200)}\\n    ${n.failureSummary.replace(/\\n\\s*/g, ' ')}`)),
    };
}"""

# axe leaves a text undecided where anything may lie over it, and takes a canvas that is panned to lie over everything. What it leaves is
# read here: a text's own colour on the colours behind it, in the order of the elements. What is disabled has no least contrast (1.4.3).
CONTRAST = """(root) => {
    const pen = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
    const known = new Map();
    const colour = (css) => {
        if (!known.has(css)) {
            pen.clearRect(0, 0, 1, 1);
            pen.fillStyle = css;
            pen.fillRect(0, 0, 1, 1);
            known.set(css, [...pen.getImageData(0, 0, 1, 1).data].map((v) => v / 255));
        }
        return known.get(css);
    };
    const over = ([r, g, b, a], under) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
    const light = (rgb) => rgb.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const backOf = (el) => {
        const layers = [];
        for (let e = el; e; e = e.parentElement) {
            const box = e.ownerSVGElement && e.closest('g')?.querySelector(':scope > rect:not(.box)');
            layers.push(colour(box ? getComputedStyle(box).fill : getComputedStyle(e).backgroundColor));
            if (layers.at(-1)[3] === 1) break;
        }
        return layers.reverse().reduce((under, layer) => over(layer, under), [1, 1, 1]);
    };
    let read = 0;
    const bad = [];
    for (const el of root.querySelectorAll('*')) {
        const hint = el.matches('input, textarea') && el.value === '' && el.placeholder ? el.placeholder : '';
        const text = hint || [...el.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join('').trim();
        if (!text || el.closest('[disabled], [aria-disabled=true], title') || !el.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
        const style = getComputedStyle(el, hint ? '::placeholder' : null);
        const under = backOf(el);
        const [r, g, b, a] = colour(el.ownerSVGElement ? style.fill : style.color);
        let shown = a;
        for (let e = el; e && e !== root; e = e.parentElement) shown *= Number(getComputedStyle(e).opacity);
        const [x, y] = [light(over([r, g, b, shown], under)), light(under)].sort((p, q) => q - p);
        const size = parseFloat(style.fontSize);
        const need = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
        if (shown === 0) continue;
        read++;
        if ((x + 0.05) / (y + 0.05) < need) bad.push(`contrast ${((x + 0.05) / (y + 0.05)).toFixed(2)}: ${JSON.stringify(text.slice(0, 40))} in ${el.outerHTML.slice(0, 120)}`);
    }
    return { read, bad };
}"""

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


def scan(root: Locator, colours_alone: bool) -> list[str]:
    """What is wrong inside an element; another theme changes colours alone."""
    page = root.page
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
        # JupyterLab's body is 0 px high, and axe takes whatever is in such a box for hidden
        page.evaluate("() => { document.body.style.height = '100vh'; }")
    # a colour on its way to another is neither
    page.wait_for_function("() => document.getAnimations().every((a) => a.playState !== 'running')")
    seen = root.evaluate(CONTRAST)
    assert seen["read"] > 20, "no text was found"
    if colours_alone:
        return seen["bad"]
    found = root.evaluate(SCAN)
    assert found["read"] > 5, "axe found no control"
    return seen["bad"] + found["violations"]


@pytest.fixture
def clean() -> Callable[[Locator, str], None]:
    """clean(root, "state") scans; what was found in all the states fails the test at its end, told once each."""
    found: dict[str, str] = {}

    def read(root: Locator, state: str) -> None:
        for violation in scan(root, colours_alone="dark" in state):
            found.setdefault(violation, state)

    yield read
    assert not found, "\n".join(f"[{state}] {violation}" for violation, state in found.items())


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
