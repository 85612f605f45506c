"""Hosts other than JupyterLab: the same lab displays, takes a node and a wire, steps and shows a value, and its keys stay its own."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from conftest import JupyterLab, await_answer, free_port
from playwright.sync_api import Browser, Locator, Page, expect

GRAPH = """
import numpy as np
import flowlab as fl
with fl.Graph("elsewhere") as g:
    x = fl.placeholder((2, 3), name="x")
    fl.mean(x ** 2, name="m")
ed = fl.Editor(g, feeds={"x": np.full((2, 3), 2.0)})
ed
"""
TRAINED = """
import numpy as np
import flowlab as fl
with fl.Graph("line") as line:
    points = fl.placeholder(("batch", 2), name="points")
    error = fl.mean(fl.square(fl.nn.dense(points, 1, name="slope") - 1), name="error")
    fl.optim.SGD(0.1).minimize(error, name="train")
view = fl.TrainingView()
history = fl.fit(fl.Session(line, seed=0), "train", {"points": np.ones((24, 2), "f")}, batch=8, epochs=5, fetches="error", view=view, progress=False)
view
"""
MARIMO = "import marimo\napp = marimo.App()\n" + "".join(
    f"\n\n@app.cell\ndef _():\n{''.join(f'    {line}' + chr(10) for line in cell.strip().splitlines())}    return\n"
    for cell in (GRAPH, TRAINED.replace("import numpy as np", "import numpy as np_").replace("np.ones", "np_.ones").replace("import flowlab as fl\n", "import flowlab as fl_\n").replace("fl.", "fl_.")))


def use(lab: Locator, page: Page) -> None:
    """What a person does first: a node, a wire drawn by hand, two steps, a look at the value; then keys that are commands elsewhere."""
    box = lab.get_by_role("searchbox", name="Add an operation")
    box.fill("relu")
    expect(lab.get_by_role("option").first).to_have_attribute("data-op", "Relu")
    box.press("Enter")
    expect(lab.locator('[data-node="Relu"]')).to_have_count(1)
    # a drag looks for what lies under the mouse: in a shadow tree too
    lab.locator('[data-port="Relu:in:x"]').hover()
    into = lab.locator('[data-port="Relu:in:x"]').bounding_box()
    lab.locator('[data-port="x:out:0"]').hover()
    page.mouse.down()
    page.mouse.move(into["x"] - 30, into["y"], steps=4)
    page.mouse.move(into["x"] + 5, into["y"] + 5, steps=3)
    page.mouse.up()
    expect(lab.locator('[data-edge="x:0->Relu:x"]')).to_have_count(1)
    for cursor in ("1", "2"):
        lab.get_by_role("button", name="Step", exact=True).click()
        expect(lab).to_have_attribute("data-cursor", cursor)
    lab.locator('[data-node="m"]').click(position={"x": 30, "y": 12})
    expect(lab.get_by_test_id("value")).to_have_attribute("data-json", "4.0")
    for key in ("a", "Escape", "d", "d", "x", "j", "y", "1"):
        page.keyboard.press(key)
    page.keyboard.press("v")
    expect(lab.get_by_role("status")).to_contain_text("Value of")


def save(page: Page, tmp_path: Path) -> None:
    """A training that is over shows its curve, and its numbers are saved as a table and for TensorBoard."""
    view = page.get_by_test_id("training-view")
    expect(view).to_have_attribute("data-state", "done")
    expect(view.locator("[data-chart=error]")).to_be_visible()
    for kind, name in (("step", "steps.csv"), ("tensorboard", None), ("png", "line.png")):
        with page.expect_download() as saved:
            view.get_by_label("Save picture or data").select_option(kind)
        saved.value.save_as(tmp_path / f"saved {kind}")
        assert name in (None, saved.value.suggested_filename)
    table = (tmp_path / "saved step").read_text().splitlines()
    assert len(table) == 1 + 15 and "error" in table[0]
    assert b"brain.Event:2" in (tmp_path / "saved tensorboard").read_bytes() and (tmp_path / "saved png").read_bytes()[:4] == b"\x89PNG"
    expect(view.get_by_role("status").filter(has_text="to save")).to_be_visible()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Page]:
    """A page in dark whose errors that name this project's code fail the test; hosts have their own."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000}, color_scheme="dark")
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{error.message}\n{error.stack}") if "flowlab" in (error.stack or "") or "anywidget" in (error.stack or "") else None)
    yield page
    context.close()
    assert not errors, "\n".join(errors)


def test_notebook_7(tmp_path, watched, shots):
    server = JupyterLab(tmp_path, module="notebook")
    try:
        watched.goto(f"{server.url}/notebooks/{server.write('elsewhere', [GRAPH, TRAINED])}")
        watched.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
        watched.locator(".jp-Cell .cm-content").first.click()
        watched.keyboard.press("Control+Enter")
        lab = watched.get_by_test_id("flowlab")
        use(lab, watched)
        expect(watched.locator(".jp-Notebook .jp-Cell")).to_have_count(2)
        # the notebook is light, whatever the system prefers
        expect(lab).to_have_css("color-scheme", "light")
        watched.keyboard.press("Control+s")
        watched.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
        assert "flowlab graph" in str(nbformat.read(server.root / "elsewhere.ipynb", as_version=4).cells[0].outputs)
        watched.locator(".jp-Cell .cm-content").last.click()
        watched.keyboard.press("Control+Enter")
        save(watched, tmp_path)
        watched.goto(f"{server.url}/tree")
        watched.get_by_role("tab", name="flowlab").click()     # the start page, beside the files
        expect(watched.get_by_test_id("flowlab-start").locator("[data-template=pagerank]")).to_be_visible()
    finally:
        server.stop()


def test_marimo(tmp_path, watched):
    (tmp_path / "elsewhere.py").write_text(MARIMO, "utf-8")
    settings = tmp_path / "config" / "marimo" / "marimo.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[display]\ntheme = "system"\n', "utf-8")
    port = free_port()
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([sys.executable, "-m", "marimo", "-y", "run", "elsewhere.py", "--headless", "--no-token", "--host", "127.0.0.1", "--port", str(port)], cwd=tmp_path,
                                   env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}, stdout=log, stderr=subprocess.STDOUT)
    try:
        await_answer(f"http://127.0.0.1:{port}/health", process, seconds=90)
        watched.goto(f"http://127.0.0.1:{port}")
        lab = watched.get_by_test_id("flowlab")
        use(lab, watched)
        # a shadow tree, out of reach of what JupyterLab says on the body: the lab goes by what is around it
        expect(lab).to_have_attribute("data-theme", "dark")
        expect(lab).to_have_css("color-scheme", "dark")
        save(watched, tmp_path)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
