"""`flowlab lab`, from the printed URL to the open notebook, and from the start page beside it to a template."""
from __future__ import annotations

import re

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
        # whoever goes to another notebook while the new one's kernel starts has nothing run there
        held: list = []
        page.route(re.compile("/api/sessions"), lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
        tab.click()
        with page.expect_request(lambda request: request.method == "POST" and "/api/sessions" in request.url):
            start.locator("[data-template=mlp]").click()
        page.get_by_role("tab", name="mlp.ipynb").wait_for()
        page.get_by_role("tab", name="01_dataflow_graphs.ipynb").click()
        shown = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        expect(shown.get_by_role("heading", name="Dataflow graphs")).to_be_visible()
        expect(start).to_have_attribute("aria-busy", "true")
        held[0].continue_()
        expect(start).not_to_have_attribute("aria-busy", "true")
        assert set(shown.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()) <= {"[ ]:", ""}       # those out of sight have none
        page.goto("about:blank")
