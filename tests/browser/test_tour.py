"""The tour of the lab: it begins when it is asked for, points at the controls that are there, lets them be used, and goes by keys alone."""
from __future__ import annotations

from playwright.sync_api import expect

CELL = """
import flowlab as fl

with fl.Graph("toured") as g:
    x = fl.placeholder((2, 3), name="x")
    w = fl.variable([[1.0], [2.0], [3.0]], name="w")
    fl.mean(fl.square(fl.matmul(x, w)), name="loss")
empty = fl.Editor()
ed = fl.Editor(g, feeds={"x": [[1, 2, 3], [4, 5, 6]]})
ed
"""


def test_the_tour_points_at_real_controls_which_can_be_used_meanwhile(notebook, clean, shots):
    nb = notebook("tour", [CELL, "empty"])
    page = nb.page
    page.set_viewport_size({"width": 1024, "height": 900})
    nb.run_cell(0)
    lab = nb.lab
    start = lab.get_by_role("button", name="Tour", exact=True)
    card = lab.get_by_role("dialog", name="Tour")

    def points_at(what: str, wide: float) -> None:
        """The ring is around this, all of it inside the lab, and the card is clear of both the lab's edge and what it tells of."""
        page.wait_for_function("""([what, wide]) => {
            const root = document.querySelector('[data-testid=flowlab]'), box = (e) => e.getBoundingClientRect();
            const [r, t, c, m] = [root.querySelector('.tour .ring'), root.querySelector(what), root.querySelector('.tcard'), root].map((e) => e && box(e));
            const near = (a, b) => Math.abs(a - b) <= wide;
            return t && near(r.left, t.left) && near(r.top, t.top) && near(r.right, t.right) && near(r.bottom, t.bottom)
                && [r, c].every((b) => b.left >= m.left && b.top >= m.top && b.right <= m.right && b.bottom <= m.bottom)
                && (c.right < r.left || c.left > r.right || c.bottom < r.top || c.top > r.bottom); }""", arg=[what, wide])

    expect(lab.locator("[data-node=loss]")).to_be_visible()
    expect(card).to_have_count(0)                  # it never comes by itself
    start.click()
    expect(card).to_be_focused()
    expect(card).to_contain_text("1 / 7")
    points_at(".srch", 6)
    page.keyboard.press("ArrowRight")
    points_at(".cv .el", 6)
    page.keyboard.press("ArrowRight")
    points_at(".ins", 6)
    clean(lab, "tour, light")
    page.keyboard.press("ArrowRight")
    points_at('[aria-keyshortcuts="."]', 6)
    lab.get_by_role("button", name="Step", exact=True).click()     # what it points at can be used
    expect(lab).to_have_attribute("data-cursor", "1")
    card.get_by_role("button", name="Next").click()
    points_at(".tlx", 6)
    lab.get_by_role("slider", name="Timeline").press("ArrowLeft")
    expect(lab).to_have_attribute("data-cursor", "0")
    card.get_by_role("button", name="Next").click()
    points_at("[data-node=loss]", 6)
    lab.locator("[data-node=loss]").click(position={"x": 30, "y": 12})
    points_at("[data-differentiate]", 6)        # it follows what has come up
    lab.get_by_role("button", name="Differentiate").click()
    expect(lab.locator("[data-phase=backward]").first).to_be_visible()
    lab.locator(".fl-language > button").click()
    lab.get_by_role("menuitemradio", name="繁體中文").click()
    card = lab.get_by_role("dialog", name="導覽")
    card.get_by_role("button", name="下一個").click()
    expect(card).to_contain_text("7 / 7")
    points_at('.rail [aria-keyshortcuts="?"]', 6)
    nb.theme("dark")
    clean(lab, "tour, dark")
    shots("tour dark")
    page.keyboard.press("ArrowLeft")
    expect(card).to_contain_text("6 / 7")
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)
    expect(lab.locator("[data-tour-button]")).to_be_focused()
    # an empty canvas offers it, and has no wires and no gradient to tell of
    nb.run_cell(1)
    lab = page.get_by_test_id("flowlab").nth(1)
    lab.get_by_role("button", name="兩分鐘導覽").and_(lab.locator(".empty button")).click()
    expect(lab.get_by_role("dialog", name="導覽")).to_contain_text("1 / 5")
