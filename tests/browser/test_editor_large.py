"""The lab with ten thousand nodes in a real JupyterLab: it opens folded, anything is found, and from far away little is drawn of much."""
from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
CELL = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
import flowlab as fl
from tests.large import residual
ed = fl.Editor(residual(204), feeds={{"x": np.ones((2, 4), "f"), "labels": np.zeros(2, "int64")}})
ed
"""
IN_THE_MIDDLE = """(el) => {
  const box = el.getBoundingClientRect(), canvas = el.closest('.cv').getBoundingClientRect();
  return Math.hypot(box.x + box.width / 2 - canvas.x - canvas.width / 2, box.y + box.height / 2 - canvas.y - canvas.height / 2) < 30;
}"""


def test_ten_thousand_nodes_open_folded_and_each_is_found(notebook, shots):
    nb = notebook("large", [CELL])
    nb.run_all()
    lab, page = nb.lab, nb.page
    page.emulate_media(reduced_motion="reduce")
    stack = lab.locator("[data-stack]")
    expect(stack).to_have_count(1)
    expect(stack).to_contain_text("×204")
    expect(lab.locator("[data-node], [data-scope]")).to_have_count(10)
    shots("large-folded")

    # what is folded away is found, unfolded, put in the middle and focused
    lab.locator("[data-scope=stem]").focus()
    page.keyboard.press("Control+f")
    find = lab.get_by_role("searchbox", name="Find")
    expect(find).to_be_focused()
    find.press_sequentially("block_100/wide/m")
    hit = lab.get_by_role("option").first
    expect(hit).to_contain_text(re.compile("block_100/wide/MatMul.*in block_0…block_203"))
    find.press("Enter")
    node = lab.locator('[data-node="block_100/wide/MatMul"]')
    expect(node).to_be_focused()
    assert node.evaluate(IN_THE_MIDDLE)
    expect(lab.locator("[data-stack]")).to_have_count(2)     # the blocks before it and behind it
    shots("large-found")

    lab.get_by_role("button", name="Step", exact=True).click()
    expect(lab).to_have_attribute("data-cursor", "1")

    # a stack opens one by one, laid out beside the page; far away everything is a plain box
    lab.get_by_role("button", name="Fold all", exact=True).click()
    expect(stack).to_have_count(1)
    stack.dblclick()
    first = lab.locator("[data-scope=block_0]")
    expect(first).to_be_focused()
    assert page.workers, "many elements are laid out in a worker"
    drawn = lab.locator("[data-scope^=block_]").count()
    assert drawn < 40, f"{drawn} of 204 blocks are in the page while about six are in sight"
    expect(first).to_have_attribute("data-alike", re.compile("[1-9]"))
    lab.get_by_role("button", name="Show all", exact=True).click()
    expect(lab.locator(".farc[data-scope^=block_]")).to_have_count(204)
    expect(lab.locator("[data-edge]")).to_have_count(0)
    first.focus()
    page.keyboard.press("Backspace")
    expect(stack).to_have_count(1)
    expect(stack).to_be_focused()
