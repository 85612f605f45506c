"""What a student costs a server: the memory of JupyterLab and of a kernel, process by process. `python tests/benchmarks/memory.py`, on Linux.

RSS is all that a process has in memory, USS what no other process shares with it (so what one student more costs), peak the most RSS it ever had.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
from jupyter_client.manager import start_new_kernel

from flowlab.cli import copy_notebooks

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 1 << 20


def told(what: str, pid: int) -> None:
    process = psutil.Process(pid)
    memory = process.memory_full_info()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) << 10
    print(f"{what:<76}{memory.rss / MIB:8.0f}{memory.uss / MIB:8.0f}{peak / MIB:8.0f}", flush=True)


def kernel(*steps: tuple[str, str]) -> None:
    """A kernel of its own, measured after each step."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        for what, code in steps:
            reply = client.execute_interactive(code, timeout=3600, store_history=False, output_hook=lambda message: None)
            if reply["content"]["status"] != "ok":
                raise RuntimeError("\n".join(reply["content"]["traceback"]))
            time.sleep(2)       # threads that end, memory that is given back
            told(what, manager.provisioner.pid)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def cells(name: str, first: int | None = None) -> str:
    """A program that runs a lesson's cells, or the first few."""
    book = json.loads((ROOT / "notebooks" / name).read_text())
    return "\n".join(f"get_ipython().run_cell({''.join(c['source'])!r}).raise_error()" for c in [c for c in book["cells"] if c["cell_type"] == "code"][:first])


def server() -> None:
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, "-m", "flowlab", "lab", "--no-browser", "--notebook-dir", folder], stdout=subprocess.PIPE, text=True)
        url = next(line.strip() for line in process.stdout if line.strip().startswith("http"))
        time.sleep(3)       # what it loads after it listens
        told("JupyterLab's server, just started", process.pid)
        token = url.partition("token=")[2]
        page = urllib.request.urlopen(url).read().decode()
        base = url.split("/lab/")[0]
        for address in re.findall(r'src="([^"]+\.js[^"]*)"', page):
            urllib.request.urlopen(base + address if address.startswith("/") else address).read()
        urllib.request.urlopen(f"{base}/api/contents?token={token}").read()
        time.sleep(2)       # memory that is given back
        told("JupyterLab's server, after a browser has loaded the page", process.pid)
        process.terminate()
        process.wait()


CAPTCHA = """
import numpy as np, flowlab as fl
with fl.Graph("captcha") as g:
    seq = fl.placeholder(("batch", 60, 24), name="seq")
    first, _ = fl.nn.lstm(seq, 128, name="lstm_1")
    second, (last, _) = fl.nn.lstm(first, 128, name="lstm_2")
    loss = fl.mean(fl.square(fl.nn.dense(last, 40, name="digits")), name="loss")
    train = fl.optim.Adam(1e-3).minimize(loss)
ed = fl.Editor(g, feeds={seq: np.random.default_rng(0).normal(size=(1, 60, 24)).astype("float32")})
display(ed)
"""
RECORDED = "dbg = fl.Debugger(ed.session, [ed.graph.tensor('loss:0')], ed.feeds); dbg.resume()"


if __name__ == "__main__":
    os.chdir(copy_notebooks(Path(tempfile.mkdtemp())))
    print(f"{'MiB':<76}{'RSS':>8}{'USS':>8}{'peak':>8}")
    server()
    kernel(("a kernel", "pass"), ("… that has imported NumPy", "import numpy"), ("… and flowlab", "import flowlab as fl"),
           ("… with an Editor on a small LSTM, fl.examples.lstm()", "ed = fl.Editor(fl.examples.lstm()); display(ed)"),
           ("… and a run of it recorded by a Debugger", RECORDED))
    kernel(("an Editor on the captcha reader's two LSTM layers of 128 units", CAPTCHA), ("… and a run of it recorded by a Debugger, one captcha", RECORDED))
    os.environ["FLOWLAB_BUDGET"] = "short"
    kernel(("the first lesson, all cells run", cells("01_dataflow_graphs.ipynb")))
    kernel(("the captcha lesson, all cells run, FLOWLAB_BUDGET=short", cells("08_read_a_captcha.ipynb")))
    os.environ["FLOWLAB_BUDGET"] = "full"
    kernel(("the captcha lesson's 40,000 images made ready, FLOWLAB_BUDGET=full", cells("08_read_a_captcha.ipynb", 3)))
