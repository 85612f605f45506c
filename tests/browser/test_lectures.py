"""A storyboard in a real JupyterLab: two bookmarks by keyboard, gone through by a clicker's keys in lecture mode, there again after a reload; and in a file without a kernel."""
from __future__ import annotations

import re

from playwright.sync_api import expect
from test_editor import Hand

CELLS = ["""
import flowlab as fl, numpy as np
with fl.Graph("squares") as g:
    x, w = fl.placeholder(("batch", 3), name="x"), fl.variable(np.float32([[1], [-2], [3]]), name="w")
    fl.mean(fl.square(fl.matmul(x, w, name="y"), name="sq"), name="loss")
ed = fl.Editor(g, feeds={"x": np.float32([[1, 2, 3], [0, 1, 0]])})
ed
"""]


def test_two_bookmarks_a_lecture_by_clicker_and_a_reload(notebook, clean, shots, page, tmp_path):
    nb = notebook("lecture", CELLS)
    nb.run_all()
    hand = Hand(nb)
    hand.settled()
    lab = hand.lab
    board, band = lab.get_by_test_id("storyboard"), lab.get_by_test_id("lecture")
    lab.locator('[data-node="y"]').click()
    page.keyboard.press("Shift+A")                              # the graph before any run, and its title is written at once
    board.get_by_role("textbox", name="Title").fill("The graph")
    board.get_by_role("textbox", name="Lecture note").fill("What is $x w$?\n\n- **six**")
    page.keyboard.press("Control+Enter")
    expect(board.locator('[data-bookmark="0"]')).to_contain_text("nothing runs")
    hand.press("Step")
    hand.press("Step")
    board.get_by_role("button", name="Add this moment").click()
    board.get_by_role("textbox", name="Title").fill("Squared")
    page.keyboard.press("Enter")
    second = board.locator('[data-bookmark="1"]')
    expect(second).to_contain_text("firing 2, after sq")
    second.locator(".sgo").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(board.locator('[data-bookmark="0"]')).to_contain_text("Squared")
    page.keyboard.press("Control+z")
    expect(second).to_contain_text("Squared")
    clean(lab, "a storyboard")
    nb.save()
    nb.reload()
    hand.settled()
    expect(lab).to_have_attribute("data-cursor", "2")
    lab.get_by_role("button", name="Storyboard", exact=True).click()
    board.locator('[data-bookmark="0"] .sgo').click()
    expect(lab).to_have_attribute("data-mode", "edit")
    expect(board.locator('[data-bookmark="0"] .snote')).to_contain_text("six")
    expect(lab.locator('[data-node="y"]')).to_have_class(re.compile(r"\bsel\b"))
    # the clicker
    button = board.get_by_role("button", name="Lecture")
    button.click()
    expect(band).to_be_focused()
    expect(band).to_contain_text("1 / 2")
    size = page.viewport_size
    box = lab.bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, size["width"], size["height"])
    expect(lab.get_by_role("button", name="Run", exact=True)).to_be_hidden()
    page.keyboard.press("PageDown")
    expect(band).to_contain_text("2 / 2")
    expect(lab).to_have_attribute("data-cursor", "2")
    expect(lab.get_by_role("status")).to_contain_text("2 / 2: Squared")
    for key in ("Delete", "g", "Control+z", "a", "n"):          # nothing is edited by accident
        page.keyboard.press(key)
    for key, at in (("ArrowLeft", 1), ("Space", 2), ("Home", 1), ("End", 2), ("PageUp", 1)):
        page.keyboard.press(key)
        expect(band).to_contain_text(f"{at} / 2")
    clean(lab, "a lecture")
    shots("lecture")
    page.keyboard.press("Escape")
    expect(band).to_have_count(0)
    expect(button).to_be_focused()
    expect(lab.get_by_role("button", name="Run", exact=True)).to_be_visible()
    assert nb.exec("print([b.title for b in ed.storyboard], ed.storyboard.at, len(ed.document.nodes))") == "['The graph', 'Squared'] 0 5"
    # in a file
    file = tmp_path / "lecture.html"
    nb.exec(f"ed.run(); fl.to_html(ed, {str(file)!r})")
    page.goto(file.as_uri())
    expect(lab).to_have_attribute("data-cursor", "0")
    expect(board.locator('[data-bookmark="0"] .snote')).to_contain_text("six")
    expect(board.get_by_role("button", name="Add this moment")).to_be_disabled()
    board.get_by_role("button", name="Lecture").click()
    page.keyboard.press("PageDown")
    expect(band).to_contain_text("2 / 2")
    expect(lab).to_have_attribute("data-cursor", "2")
    page.keyboard.press("Escape")
    expect(band).to_have_count(0)
