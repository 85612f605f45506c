"""The harness of the browser tests: a real JupyterLab, a real Chromium, no stand-ins.

A test asks for these fixtures:

lab        one JupyterLab for the whole run, with folders of its own, on a plain `jupyter lab` command line.
           `lab.url`, `lab.root` (the folder that it serves), `lab.log()`.
browser    one Chromium for the whole run.
page       a fresh page at 1400 × 1000. When the test ends, the page must have raised no error (`page.errors` is empty; a test that
           means to raise one clears the list).
notebook   notebook("wiring", ["import flowlab as fl", "fl.Editor()"]) writes a notebook and opens it in the page → NB.
           notebook(path) opens a copy of an existing one.
clean      clean(root, "dark") reads a part of the page as axe-core does, and the test fails at its end if anything was found.
shots      shots("empty canvas") saves a picture of the page for a person to look at, if FLOWLAB_SHOTS names a folder.

    def test_empty_canvas_opens(notebook):
        nb = notebook("empty", ["import flowlab as fl", "ed = fl.Editor(); ed"])
        nb.run_all()
        nb.lab.get_by_role("searchbox", name="Add an operation").fill("matmul")
        assert nb.exec("print(len(ed.document.nodes))") == "0"

Find things by what they mean (role, name, the hooks), and wait for what should come: no fixed sleeps.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nbformat
import pytest
from axe import scan
from playwright.sync_api import Browser, Error as PlaywrightError, Locator, Page, expect, sync_playwright

CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]
KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
WAIT_MS = 30_000
expect.set_options(timeout=WAIT_MS)      # by itself it gives up after five seconds, which a busy machine takes


class JupyterLab:
    """One JupyterLab (or another server on the same base), started as a person starts it; its settings, workspaces and kernels are nobody else's."""

    def __init__(self, folder: Path, module: str = "jupyterlab"):
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        self._log = folder / "lab.log"
        self._settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
        self._settings.mkdir(parents=True)
        (self._settings / "notification.jupyterlab-settings").write_text(json.dumps({"checkForUpdates": False, "fetchNews": "false", "doNotDisturbMode": True}))
        # whether its own page is to be built anew is asked by Node at every load, for a second of the processor; nothing here depends on the answer
        page_config = folder / "config" / "labconfig" / "page_config.json"
        page_config.parent.mkdir(parents=True)
        page_config.write_text(json.dumps({"buildCheck": False}))
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
            "FLOWLAB_BUDGET": "short",
            "OPENBLAS_NUM_THREADS": "1",      # two threads wait for one another, and for Chromium
        }
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with open(self._log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
                 "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True",
                 f"--ServerApp.root_dir={self.root}", "--expose-app-in-browser", "--LabApp.news_url=None",
                 "--KernelRestarter.restart_limit=1000"],     # five kills at less than ten seconds' distance, and Jupyter would start no kernel any more
                env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            await_answer(f"{self.url}/api/status", self.process, seconds=90)
        except RuntimeError:
            self.stop()
            raise RuntimeError(f"JupyterLab did not start:\n{self.log()}") from None

    def log(self) -> str:
        """What the server has said so far."""
        return self._log.read_text(errors="replace")

    def forget_theme(self) -> None:
        """The next page opens in the light theme, whatever a page before it chose: JupyterLab keeps the choice for all pages."""
        (self._settings / "themes.jupyterlab-settings").unlink(missing_ok=True)

    def end_kernels(self) -> None:
        """Nobody needs them any more: a kernel for every test would fill the memory."""
        with urllib.request.urlopen(f"{self.url}/api/kernels") as answer:
            kernels = json.load(answer)
        for kernel in kernels:
            urllib.request.urlopen(urllib.request.Request(f"{self.url}/api/kernels/{kernel['id']}", method="DELETE")).close()

    def write(self, name: str, cells: Sequence[str]) -> str:
        """Write a notebook of these code cells into the served folder; its file name."""
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=metadata)
        nbformat.write(content, self.root / f"{name}.ipynb")
        return f"{name}.ipynb"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class NB:
    """One notebook, open in a page, its kernel idle."""

    def __init__(self, page: Page, server: JupyterLab, file: str):
        self.page, self.server, self.file = page, server, file
        self.open()

    def open(self) -> None:
        """Load the page afresh, in a workspace of its own so that no other test's layout comes back."""
        workspace = "w" + re.sub("[^a-z0-9]", "", self.file.removesuffix(".ipynb").lower())
        self.page.goto(f"{self.server.url}/lab/workspaces/{workspace}/tree/{self.file}?reset")
        self.page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()
        self._await_ready()

    def _await_ready(self) -> None:
        self.page.wait_for_function(f"""() => {{
            const widget = window.jupyterapp?.shell.currentWidget;
            return !!(widget?.context?.isReady && {KERNEL}?.status === 'idle'); }}""")

    # ------------------------------------------------------------ cells

    def run_all(self, timeout: float | None = None) -> None:
        """Run every cell and wait for the last; a cell that raises fails the test with what it said."""
        if timeout is not None:
            self.page.set_default_timeout(timeout * 1000)
        ok = self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.page.set_default_timeout(WAIT_MS)
        assert ok, f"a cell of {self.file} raised:\n{self.complaints()[-4000:]}"

    def run_cell(self, index: int) -> None:
        """Run one cell, counted from 0, and wait for it."""
        ok = self.page.evaluate("""async (index) => {
            const notebook = window.jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = index; notebook.deselectAll();
            return await window.jupyterapp.commands.execute('notebook:run-cell'); }""", index)
        assert ok, f"cell {index} of {self.file} raised:\n{self.complaints()[-4000:]}"

    def complaints(self) -> str:
        """What the cells wrote as errors."""
        kinds = ("vnd.jupyter.stderr", "vnd.jupyter.error")
        return "\n".join(self.page.locator(", ".join(f'[data-mime-type="application/{kind}"]' for kind in kinds)).all_inner_texts())

    def cell(self, index: int) -> Locator:
        """A cell, counted from 0, with its output."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    @property
    def lab(self) -> Locator:
        """The first flowlab canvas of the notebook."""
        return self.page.locator("[data-testid=flowlab]").first

    # ------------------------------------------------------------ kernel

    def exec(self, code: str) -> str:
        """Run code in the notebook's kernel, beside its cells; what it printed. An error there fails the test."""
        printed, error = self.page.evaluate(f"""async (code) => {{
            const future = {KERNEL}.requestExecute({{ code, store_history: false, silent: false }});
            let printed = '', error = null;
            future.onIOPub = ({{ header, content }}) => {{
                if (header.msg_type === 'stream') printed += content.text;
                if (header.msg_type === 'error') error = content.traceback.join('\\n');
            }};
            await future.done;
            return [printed, error]; }}""", code)
        assert error is None, plain(error)
        return printed.strip()

    def idle(self) -> None:
        """Wait until the kernel has nothing to do."""
        self.page.wait_for_function(f"() => {KERNEL}?.status === 'idle'")

    def restart_kernel(self) -> None:
        """A new process; everything in memory is gone, the page stays."""
        self.page.evaluate(f"() => {KERNEL}.restart()")
        self.idle()

    def kill_kernel(self) -> None:
        """End the kernel for good, as closing a laptop's lid for a night does."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    # ------------------------------------------------------------ the file

    def save(self) -> None:
        """Save the notebook, outputs and all."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        self.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")

    def content(self) -> nbformat.NotebookNode:
        """The notebook as it is on disk."""
        return nbformat.read(self.server.root / self.file, as_version=4)

    def reload(self) -> None:
        """Close the page and open the notebook again; a kernel that still runs is found again, else a new one starts."""
        self.page.goto("about:blank")
        self.open()

    # ------------------------------------------------------------ looks

    def theme(self, name: str) -> None:
        """`light` or `dark`, and everything drawn in it."""
        full = f"JupyterLab {name.capitalize()}"
        self.page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", full)
        self.page.wait_for_function("(light) => document.body.dataset.jpThemeLight === light", arg=str(name == "light").lower())


def await_answer(url: str, process: subprocess.Popen, seconds: float) -> None:
    """Until a server that was just started answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{url} did not answer") from None
            time.sleep(0.1)     # another process tells nobody when it begins to listen: ask again


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def plain(text: str) -> str:
    """Without the terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium, the system's or Playwright's own."""
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
        except PlaywrightError as error:
            reason = f"no Chromium to drive (apt-get install chromium, or playwright install chromium): {plain(str(error)).splitlines()[0]}"
            if os.environ.get("CI"):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
        yield chromium
        chromium.close()


def find_chromium() -> str | None:
    """The system's Chromium; None leaves it to Playwright."""
    return next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """One JupyterLab for the whole run; without a browser none is started."""
    server = JupyterLab(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page; errors that it raises fail the test at its end."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(f"{error.message}\n{error.stack}"))
    yield page
    errors = list(page.errors)
    context.close()
    assert not errors, "the page raised:\n" + "\n".join(errors)


@pytest.fixture
def notebook(lab: JupyterLab, page: Page) -> Iterator[Callable[..., NB]]:
    """notebook(name, cells), or notebook(path) for a copy of an existing one → NB."""

    def open_notebook(name: str | Path, cells: Sequence[str] | None = None) -> NB:
        lab.forget_theme()
        if cells is not None:
            return NB(page, lab, lab.write(str(name), cells))
        source = Path(name)
        shutil.copyfile(source, lab.root / source.name)
        if (source.parent / "exercises").is_dir():
            shutil.copytree(source.parent / "exercises", lab.root / "exercises", dirs_exist_ok=True)
        return NB(page, lab, source.name)

    yield open_notebook
    page.goto("about:blank")        # or JupyterLab would say that its kernel is gone
    lab.end_kernels()


@pytest.fixture
def shots(page: Page) -> Callable[[str], None]:
    """shots("name") saves a picture of the page, if FLOWLAB_SHOTS names a folder for it."""
    folder = os.environ.get("FLOWLAB_SHOTS")

    def take(name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return take


@pytest.fixture
def clean() -> Iterator[Callable[[Locator, str], None]]:
    """clean(root, "state") scans; what was found in all the states fails the test at its end, told once each."""
    found: dict[str, str] = {}

    def read(root: Locator, state: str) -> None:
        for violation in scan(root, colours_alone="dark" in state):
            found.setdefault(violation, state)

    yield read
    assert not found, "\n".join(f"[{state}] {violation}" for violation, state in found.items())
