"""`flowlab lab`, from the printed URL to the open notebook, and from the start page beside it to a template."""
from __future__ import annotations

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
        start.get_by_role("link", name="Dataflow graphs").wait_for()
        clean(start, "start page")
        start.get_by_role("button", name="简体中文").click()
        start.get_by_role("link", name="数据流图").wait_for()
        shots("start page")
        start.get_by_role("button", name="LSTM").click()
        page.get_by_role("tab", name="lstm.ipynb").wait_for()
        page.locator('[data-testid=flowlab] [data-node="lstm/LSTM"]').wait_for()
        page.goto("about:blank")
