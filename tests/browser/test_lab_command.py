"""`flowlab lab`, from the printed URL to the open notebook."""
from __future__ import annotations

from tests.test_cli import free_port, running_lab


def test_the_printed_url_opens_the_first_notebook(page, shots, tmp_path):
    with running_lab(tmp_path, "--no-browser", "--port", str(free_port())) as (_, printed):
        page.goto(printed.splitlines()[-1].strip())
        page.get_by_role("heading", name="Dataflow graphs").wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()      # a kernel is there, and waits
        page.get_by_role("tab", name="01_dataflow_graphs.ipynb").wait_for()
        assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0     # nothing stands between a student and the notebook
        shots("lab command")
        page.goto("about:blank")
