"""What does not fit: both sides on the card, a preview of each way out, one click that mends it and one undo that takes it back; and hints while a wire is drawn."""
from __future__ import annotations

import re

from playwright.sync_api import expect

CELL = """import flowlab as fl
from flowlab.io.document import Document
from flowlab.io.edits import AddNode, Connect, apply
d = apply(Document(), AddNode("Placeholder", "x", attrs={"shape": "batch, 3"}), AddNode("Variable", "W", attrs={"shape": "2, 3"}), AddNode("MatMul"), Connect("x:0", "MatMul:a"),
          Connect("W:0", "MatMul:b"), AddNode("Variable", "V", attrs={"shape": "7, 4"}), AddNode("MatMul", "late"), Connect("x:0", "late:a"))
ed = fl.Editor(d); ed"""


def test_a_way_out_is_seen_before_it_is_taken_and_undone_in_one_step(notebook, shots):
    nb = notebook("shapes", [CELL])
    nb.run_all()
    lab, page = nb.lab, nb.page
    expect(lab.locator('[data-node="MatMul"]')).to_be_in_viewport(ratio=1)     # what does not fit is in sight from the start
    card = lab.get_by_role("alert").filter(has_text="left columns 3")
    expect(card.locator(".ax")).to_have_text(["3", "2"])        # the sizes to blame, on both sides
    expect(card.locator(".sides")).to_contain_text("(batch, 3)")
    way, another = card.get_by_role("button", name="Transpose b"), card.get_by_role("button", name="Make W (3, 3)")

    way.hover()
    expect(lab.locator('[data-ghost="Transpose"]')).to_contain_text("(3, 2)")
    expect(lab.get_by_test_id("preview").locator("text")).to_have_text(["(2, 3)", "(3, 2)"])
    expect(lab.get_by_role("status").first).to_contain_text("Transpose: (2, 3) → (3, 2)")
    shots("a repair previewed")
    another.focus()
    expect(lab.get_by_test_id("preview")).to_contain_text("(2, 3) → (3, 3)")
    page.keyboard.press("Escape")
    expect(lab.get_by_test_id("preview")).to_have_count(0)
    assert nb.exec("print(len(ed.document.nodes), ed._undo)") == "5 []"      # nothing has changed

    way.click()
    expect(card).to_have_count(0)
    expect(lab.locator('[data-edge="Transpose:0->MatMul:b"]')).to_have_attribute("data-shape", "(3, 2)")
    expect(lab.get_by_test_id("preview")).to_have_count(0)
    lab.get_by_role("button", name="Undo", exact=True).click()
    expect(lab.get_by_role("alert").filter(has_text="left columns 3")).to_be_visible()
    assert nb.exec("print(sorted(ed.document.nodes), ed.document.nodes['MatMul'].inputs['b'])") == "['MatMul', 'V', 'W', 'late', 'x'] W:0"

    # while a wire is drawn, a port that does not fit is dim and says why, and what would mend it
    lab.locator('[data-port="V:out:0"]').click()
    target = lab.locator('[data-port="late:in:b"]')
    expect(target).to_have_class(re.compile(r"\bdim\b"))
    target.hover()
    hint = lab.get_by_test_id("wire-hint")
    expect(hint).to_contain_text("left columns 3 ≠ right rows 7")
    expect(hint).to_contain_text("Make V (3, 4)")
    page.keyboard.press("Escape")
    expect(hint).to_have_count(0)

    # dropped in empty space: the search says what each operation would give
    out = lab.locator('[data-port="x:out:0"]')
    out.hover()     # which may scroll the notebook: what is dropped on is measured after it
    spot = out.bounding_box()
    page.mouse.down()
    page.mouse.move(spot["x"] - 20, spot["y"] - 80, steps=4)
    page.mouse.up()
    lab.get_by_role("searchbox", name="Add an operation").fill("matmul")
    expect(lab.locator('[role=option][data-op="MatMul"]')).to_contain_text("→ (batch, ?)")
