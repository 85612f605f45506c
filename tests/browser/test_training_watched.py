"""A training in a real JupyterLab: the page lives while the cell trains, the buttons answer within a step, any kept step opens in the lab as it was."""
from __future__ import annotations

import json
import re

import numpy as np
from playwright.sync_api import expect

SETUP = """
import json, time
import numpy as np
import flowlab as fl

with fl.Graph("plane") as g:
    x, y = fl.placeholder(("batch", 2), name="x"), fl.placeholder(("batch",), "int64", name="y")
    logits = fl.nn.dense(fl.nn.dense(x, 7, activation="tanh", name="hidden"), 2, name="out")
    loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, y), name="loss")
    fl.optim.Adam(0.02).minimize(loss, name="train")
rng = np.random.default_rng(0)
XY = rng.standard_normal((96, 2)).astype("float32")
pause = 0.004
def slowly(batch):
    time.sleep(pause)       # data that take their time: the training is under way for as long as it is looked at, and comes to no millions of steps meanwhile
    return batch
def data():
    return fl.data.Pipeline({"x": XY, "y": (XY[:, 0] * XY[:, 1] > 0).astype("int64")}).shuffle(seed=3).batch(8).map(slowly).prefetch(4)
sess = fl.Session(g, seed=1)
view = fl.TrainingView()
view
"""
CELL = "history = fl.fit(sess, 'train', data(), epochs=10**6, fetches='loss', view=view)"


def test_stop_within_a_step_and_replay_a_step_while_the_cell_trains(notebook, clean, shots, tmp_path):
    nb = notebook("training view", [SETUP, CELL])
    page = nb.page
    page.set_viewport_size({"width": 1500, "height": 1800})
    nb.run_cell(0)
    view = page.get_by_test_id("training-view")
    expect(view).to_contain_text("No training yet")
    # the cell runs from here on, and nobody waits for it
    page.evaluate("""() => { const nb = window.jupyterapp.shell.currentWidget.content; nb.activeCellIndex = 1; nb.deselectAll();
                             window.over = false; window.jupyterapp.commands.execute('notebook:run-cell').then((ok) => { window.over = ok; }); }""")
    expect(view).to_have_attribute("data-state", "running")
    page.wait_for_function("(v) => Number(v.dataset.step) > 30", arg=view.element_handle())
    expect(view.get_by_role("progressbar", name="Progress")).to_have_attribute("aria-valuemax", str(12 * 10**6))
    expect(view.get_by_test_id("queue")).to_have_attribute("data-size", "4")
    view.get_by_role("button", name="Gradients").click()
    expect(view.locator("[data-tensor='hidden/kernel']")).to_be_visible()
    expect(view.get_by_test_id("boundary")).to_be_visible()

    view.get_by_role("button", name="Pause", exact=True).click()
    expect(view).to_have_attribute("data-state", "paused")
    step = int(view.get_attribute("data-step"))
    for theme in ("light", "dark"):
        nb.theme(theme)
        clean(view, theme)
    nb.theme("light")
    assert page.evaluate("() => window.over") is False       # it is the cell that waits
    view.get_by_role("slider", name="Step number").press("End")
    view.get_by_role("button", name=f"Replay step {step - 1:,} in the debugger").click()
    lab = page.locator("[data-testid=flowlab]").first
    expect(lab).to_have_attribute("data-mode", "past")
    expect(lab).to_have_attribute("data-cursor", "0")
    expect(view).to_have_attribute("data-opened", str(step - 1))
    expect(lab.get_by_test_id("training-bar")).to_contain_text(f"open here: step {step - 1:,}")
    expect(lab.get_by_test_id("queue")).to_have_attribute("data-size", "4")
    lab.get_by_role("treeitem", name="x").or_(lab.locator("[data-node='x']")).first.click()
    value = lab.get_by_test_id("value")
    expect(value).to_have_attribute("data-shape", re.compile(r"8,\s*2"))
    batch = json.loads(value.get_attribute("data-json"))
    clean(lab, "a step replayed")
    # the numbers so far are saved while the cell waits
    with page.expect_download() as saved:
        view.get_by_label("Save picture or data").select_option("step")
    saved.value.save_as(tmp_path / "steps.csv")
    assert len((tmp_path / "steps.csv").read_text().splitlines()) == 1 + step
    shots("training view, a step replayed")

    view.get_by_role("button", name="Debug the next step").click()
    expect(view).to_have_attribute("data-opened", str(step))
    expect(lab).to_have_attribute("data-length", "0")
    view.get_by_role("button", name="Go on", exact=True).click()
    expect(view).to_have_attribute("data-state", "running")
    page.wait_for_function("([v, step]) => Number(v.dataset.step) > step + 10", arg=[view.element_handle(), step])
    view.get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_function("() => window.over === true")
    expect(view).to_have_attribute("data-state", "stopped")
    nb.idle()
    done = json.loads(nb.exec("print(json.dumps([history.steps_done, sess.store.runs, history.stopped]))"))
    assert done[0] == done[1] == int(view.get_attribute("data-step")) > step and done[2] == "by hand"
    # the weights are those that as many steps give, to the bit, and the step that was replayed had this batch
    same = nb.exec(f"""
pause = 0
other = fl.Session(g, seed=1)
with fl.Tape(other, last=10**6) as tape:
    fl.fit(other, "train", data(), epochs=10**6, fetches="loss", progress=False, on_step=lambda k, _: k + 1 == {done[0]})
print(json.dumps([all(sess.variables[n].tobytes() == other.variables[n].tobytes() for n in sess.variables), tape[{step - 1}].feeds["x:0"].tolist()]))""")
    equal, fed = json.loads(same)
    assert equal is True and np.array_equal(np.float32(fed), np.float32(batch))
