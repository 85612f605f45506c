"""The captcha notebook as a person runs it: it learns, and the view shows the numbers of its trace."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "08_read_a_captcha.ipynb"


@pytest.fixture
def nb(notebook):
    opened = notebook(NOTEBOOK)
    opened.run_all(timeout=300)
    return opened


def test_the_captcha_notebook_learns_and_looks_inside(nb, shots):
    told = json.loads(nb.exec("import json; print(json.dumps([history.epochs['loss'], float(digit_accuracy), float(accuracy)]))"))
    losses, digits, whole = told
    assert losses[-1] < losses[0] - 0.3, "the loss falls"
    assert digits > 0.3, "chance reads one digit in ten"
    assert whole > 10 * 10**-4, "chance reads one captcha in ten thousand"

    view = nb.page.get_by_test_id("lstm-view")
    expect(view.locator("[data-gate]")).to_have_count(6)
    timestep, unit = (view.get_by_role("slider", name=name) for name in ("Timestep", "Unit"))
    for t, u in ((0, 0), (18, 8), (59, 127)):
        timestep.fill(str(t))
        unit.fill(str(u))
        expect(view).to_have_attribute("data-t", str(t))
        expect(view).to_have_attribute("data-unit", str(u))
        recorded = json.loads(nb.exec(f"print(json.dumps({{k: float(v[0, {t}, {u}]) for k, v in trace.gates('lstm_2').items()}}))"))
        shown = {k: float(view.locator(f"[data-readout={k}]").get_attribute("data-value")) for k in "figoch"}
        assert shown == pytest.approx(recorded, rel=1e-6, abs=1e-9)
    view.scroll_into_view_if_needed()
    shots("captcha view")

    # the lab stands on the trained weights, and a run there is the session's own numbers
    expect(nb.lab.locator("[data-scope=lstm_1]")).to_be_visible()
    nb.lab.get_by_role("button", name="Run", exact=True).click()
    expect(nb.lab).to_have_attribute("data-mode", "paused")
    expect(nb.lab).not_to_have_attribute("data-busy", "true")
    same = "float(editor.debugger.value('loss:0')), float(sess.run(loss, {seq: unseen[one], digits: unseen_labels[one]}))"
    lab, session = json.loads(nb.exec(f"print(json.dumps([{same}]))"))
    assert lab == pytest.approx(session, rel=1e-5)
