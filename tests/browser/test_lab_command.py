"""`flowlab lab`, from the printed URL to the open notebook, and from the start page beside it to a template."""
from __future__ import annotations

from playwright.sync_api import expect

from tests.test_cli import free_port, running_lab


def test_the_printed_url_opens_the_first_notebook(page, shots, clean, tmp_path):
    with running_lab(tmp_path, "--no-browser", "--port", str(free_port())) as (_, printed):
        page.goto(printed.splitlines()[-1].strip())
        page.get_by_role("heading", name="Dataflow graphs").wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()      # a kernel is there, and waits
        page.get_by_role("tab", name="01_dataflow_graphs.ipynb").wait_for()
        assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0     # nothing stands between a student and the notebook
        shots("lab command")
        page.get_by_role("tab", name="flowlab", exact=True).click()       # the start page, in the tab beside it
        start = page.get_by_test_id("flowlab-start")
        start.locator('a[href$="/tree/01_dataflow_graphs.ipynb"]').wait_for()
        clean(start, "start page")
        start.get_by_role("button", name="简体中文").click()
        start.locator('a[href$="/tree/zh-CN/01_dataflow_graphs.ipynb"]').wait_for()
        shots("start page")
        tab = page.get_by_role("tab", name="flowlab", exact=True)
        tab.locator(".lm-TabBar-tabCloseIcon").click()
        expect(start).to_have_count(0)
        page.get_by_role("menuitem", name="Help").click()                 # closed, it is found there
        page.get_by_role("menuitem", name="flowlab", exact=True).click()
        start.locator("[data-template=lstm]").click()
        page.get_by_role("tab", name="lstm.ipynb").wait_for()
        page.locator('[data-testid=flowlab] [data-node="lstm/LSTM"]').wait_for()
        page.goto("about:blank")
