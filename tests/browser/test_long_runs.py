"""A run of many firings in a real JupyterLab: it can be paused by button and by key, and cells run in the middle of it."""
from __future__ import annotations

import inspect

from nested import small_scan
from playwright.sync_api import expect
from test_editor import Hand

CELLS = ("""import numpy as np
import flowlab as fl
""" + inspect.getsource(small_scan) + """
ed = fl.Editor(small_scan("time", 2), feeds={"seq": np.full((60_000, 2), 0.01, "f")})
ed""", "print('meanwhile', ed.debugger.cursor)")


def test_a_long_run_is_paused_by_button_and_by_key_and_cells_run_meanwhile(notebook):
    nb = notebook("long run", CELLS)
    nb.run_cell(0)
    hand = Hand(nb)
    hand.settled()
    lab = hand.lab
    lab.get_by_role("button", name="Run", exact=True).click()
    expect(lab).to_have_attribute("data-mode", "run")
    expect(lab).to_have_attribute("data-busy", "true")
    nb.run_cell(1)
    first = int(nb.cell(1).locator(".jp-OutputArea-output").inner_text().split()[1])
    assert 0 < first < 120_000
    lab.get_by_role("button", name="Pause").click()
    hand.settled()
    expect(lab).to_have_attribute("data-mode", "paused")
    cursor = int(lab.get_attribute("data-cursor"))
    assert cursor == int(nb.exec("print(ed.debugger.cursor)")) >= first
    expect(lab.get_by_role("status")).to_contain_text(f"Paused at firing {cursor}")
    lab.get_by_role("button", name="Resume").click()
    expect(lab).to_have_attribute("data-mode", "run")
    lab.focus()
    nb.page.keyboard.press("Space")
    hand.settled()
    expect(lab).to_have_attribute("data-mode", "paused")
    assert cursor < int(lab.get_attribute("data-cursor")) == int(nb.exec("print(ed.debugger.cursor)")) < 120_000
    lab.get_by_role("button", name="Resume").click()
    expect(lab).to_have_attribute("data-mode", "run")
    lab.get_by_role("button", name="Stop").click()
    hand.settled()
    expect(lab).to_have_attribute("data-mode", "edit")
    assert nb.exec("print(ed.debugger)") == "None"
