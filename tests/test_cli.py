"""The command line, as a person types it: each test starts the real program."""
from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl

ON_WINDOWS = sys.platform == "win32"
SCREENLESS = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "JUPYTER_TOKEN")}


def flowlab(*arguments: str | Path, cwd: Path, environment: Mapping[str, str] = SCREENLESS) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "flowlab", *map(str, arguments)], cwd=cwd, env=environment, text=True,
                          capture_output=True, timeout=120)


def refused(ran: subprocess.CompletedProcess[str]) -> str:
    """The one message of a refusal; anything else fails."""
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert ran.stderr.startswith("error: ") and "Traceback" not in ran.stderr and ran.stdout == ""
    return ran.stderr


# ---------------------------------------------------------------- run


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """loss = mean((x @ w)²) with w all ones, beside x.npy."""
    with fl.Graph("saved") as g:
        x = fl.placeholder(("batch", 3), "float32", name="x")
        w = fl.variable(np.ones((3, 2), "float32"), name="w")
        y = fl.matmul(x, w, name="y")
        fl.mean(y ** 2, name="loss")
    fl.save(g, tmp_path / "saved.flow.json")
    np.save(tmp_path / "x.npy", np.arange(12, dtype="float32").reshape(4, 3))
    return tmp_path


def test_run_prints_the_values_that_numpy_gives(saved):
    ran = flowlab("run", "saved.flow.json", "--feed", "x=x.npy", "--fetch", "loss:0", "--fetch", "y:0", cwd=saved)
    assert ran.returncode == 0, ran.stderr
    y = np.load(saved / "x.npy") @ np.ones((3, 2), "float32")
    assert float(re.search(r"loss:0 = (\S+)", ran.stdout)[1]) == pytest.approx(np.mean(y ** 2), rel=1e-6)
    assert f"y:0 = float32[4, 2]\n{y}" in ran.stdout


def test_run_takes_a_feed_typed_as_json(saved):
    ran = flowlab("run", "saved.flow.json", "--feed", "x=[[1, 2, 3]]", "--fetch", "y:0", cwd=saved)
    assert ran.returncode == 0, ran.stderr
    assert "[[6. 6.]]" in ran.stdout


def test_run_writes_values_to_a_file(saved):
    y = np.load(saved / "x.npy") @ np.ones((3, 2), "float32")
    assert flowlab("run", "saved.flow.json", "--feed", "x=x.npy", "--fetch", "y:0", "--out", "y.npy", cwd=saved).returncode == 0
    np.testing.assert_array_equal(np.load(saved / "y.npy"), y)
    both = flowlab("run", "saved.flow.json", "--feed", "x=x.npy", "--fetch", "y:0", "--fetch", "loss:0", "--out", "both.npz", cwd=saved)
    assert both.returncode == 0, both.stderr
    with np.load(saved / "both.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["y:0"], y)
        assert archive["loss:0"].shape == ()
    assert sorted(path.name for path in saved.iterdir()) == ["both.npz", "saved.flow.json", "x.npy", "y.npy"]


def test_run_uses_trained_weights(saved):
    with fl.Session(fl.load(saved / "saved.flow.json")) as sess:
        sess.variables["w"] = np.full((3, 2), 2, "float32")
        sess.save(saved / "w.safetensors")
    ran = flowlab("run", "saved.flow.json", "--weights", "w.safetensors", "--feed", "x=[[1, 2, 3]]", "--fetch", "y:0", cwd=saved)
    assert ran.returncode == 0, ran.stderr
    assert "[[12. 12.]]" in ran.stdout


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_run_refuses_an_array_that_would_run_code(saved):
    trap = np.empty(1, object)
    trap[0] = Trap(saved / "sprung")
    np.save(saved / "trap.npy", trap, allow_pickle=True)
    (saved / "bare.npy").write_bytes(pickle.dumps(Trap(saved / "sprung")))
    for name in ("trap.npy", "bare.npy"):
        message = refused(flowlab("run", "saved.flow.json", "--feed", f"x={name}", "--fetch", "y:0", cwd=saved))
        assert name in message and "np.save" in message
    assert not (saved / "sprung").exists()


def test_run_takes_no_archive_for_an_array(saved):
    with open(saved / "many.npy", "wb") as file:
        np.savez(file, a=np.ones(3), b=np.ones(3))
    assert "many.npy is an archive" in refused(flowlab("run", "saved.flow.json", "--feed", "x=many.npy", "--fetch", "y:0", cwd=saved))


@pytest.mark.parametrize(("arguments", "says"), [
    (["--feed", "x=x.npy", "--fetch", "lost:0"], "lost"),
    (["--fetch", "loss:0"], "x"),
    (["--feed", "x=[[1, 2]]", "--fetch", "loss:0"], "x"),
    (["--feed", "z=[[1, 2, 3]]", "--fetch", "loss:0"], "z"),
    (["--feed", "x", "--fetch", "loss:0"], "NAME="),
    (["--feed", "x=absent.npy", "--fetch", "loss:0"], "absent.npy"),
    (["--feed", "x=one two", "--fetch", "loss:0"], "neither a .npy file nor JSON"),
    (["--feed", "x=x.npy", "--fetch", "loss:0", "--out", "loss.txt"], ".npy"),
    (["--feed", "x=x.npy", "--fetch", "loss:0", "--out", "nowhere/loss.npy"], "nowhere"),
])
def test_run_teaches_what_is_wrong(saved, arguments, says):
    assert says in refused(flowlab("run", "saved.flow.json", *arguments, cwd=saved))


def test_run_teaches_about_a_file_that_is_no_graph(saved):
    assert "absent.flow.json" in refused(flowlab("run", "absent.flow.json", "--fetch", "y:0", cwd=saved))
    text = (saved / "saved.flow.json").read_text()
    (saved / "cut.flow.json").write_text(text[:len(text) // 2])
    refused(flowlab("run", "cut.flow.json", "--fetch", "y:0", cwd=saved))


# ---------------------------------------------------------------- doctor


def test_doctor_reports_versions_blas_and_the_page(tmp_path):
    report = flowlab("doctor", cwd=tmp_path)
    assert report.returncode == 0, report.stdout + report.stderr
    rows = (f"flowlab +{fl.__version__}", f"numpy +{re.escape(np.__version__)}", r"BLAS +\w+ ", r"page +built, \d+ KB, protocol \d+",
            "Chromium", "GPU")
    for row in rows:
        assert re.search(row, report.stdout), row


def test_version_and_help(tmp_path):
    assert flowlab("--version", cwd=tmp_path).stdout.strip() == f"flowlab {fl.__version__}"
    assert "doctor" in flowlab("--help", cwd=tmp_path).stdout
    assert flowlab(cwd=tmp_path).returncode == 2


# ---------------------------------------------------------------- lab


@contextlib.contextmanager
def running_lab(cwd: Path, *arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`flowlab lab`, with settings of its own, until its last line is out: the process, and all that it printed."""
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    environment = {**SCREENLESS, **{folder: str(cwd / "jupyter" / folder.lower()) for folder in folders}}
    process = subprocess.Popen([sys.executable, "-m", "flowlab", "lab", *map(str, arguments)], cwd=cwd, env=environment, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    guard = threading.Timer(90, process.kill)
    guard.start()
    try:
        printed = ""
        while "?token=" not in printed and (line := process.stdout.readline()):
            printed += line
        yield process, printed
    finally:
        guard.cancel()
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url: str | urllib.request.Request) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def test_lab_ends_with_the_url_of_the_first_notebook(tmp_path):
    port = free_port()
    with running_lab(tmp_path, "--port", str(port), "--notebook-dir", tmp_path / "mine") as (process, printed):
        url = printed.splitlines()[-1].strip()
        assert re.fullmatch(rf"http://[^/]+:{port}/lab/tree/01_dataflow_graphs\.ipynb\?token=\w+", url), printed
        assert b"jupyter-config-data" in fetch(url)
        token = url.partition("?token=")[2]
        notebook = json.loads(fetch(f"http://127.0.0.1:{port}/api/contents/01_dataflow_graphs.ipynb?token={token}"))
        assert notebook["type"] == "notebook" and notebook["writable"]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            fetch(f"http://127.0.0.1:{port}/api/contents")
        start_page_is_guarded(f"http://127.0.0.1:{port}/flowlab", token, tmp_path / "mine")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0 or ON_WINDOWS
    assert (tmp_path / "mine" / "01_dataflow_graphs.ipynb").is_file()
    assert (tmp_path / "mine" / "zh-CN" / "01_dataflow_graphs.ipynb").is_file()
    assert list((tmp_path / "mine" / "exercises").glob("*.json")) and not (tmp_path / "mine" / "solutions").exists()


def start_page_is_guarded(page: str, token: str, folder: Path) -> None:
    """It answers with the token alone, lets no script of elsewhere in, and writes what it offers and nothing else."""
    def ask(path: str, body: bytes | None = None, *, token: str = token) -> tuple[int, bytes, Mapping[str, str]]:
        try:
            with urllib.request.urlopen(urllib.request.Request(page + path, body, {"Authorization": f"token {token}"}), timeout=30) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers
    before = sorted(folder.iterdir())
    for path, body in (("/api/start", None), ("/api/start", b'{"template": "lstm"}')):
        assert ask(path, body, token="wrong")[0] == 403
    for body in (b"", b"[]", b"{}", b'{"template": 3}', b'{"template": "../x"}', b'{"graph": "../x.flow.json"}', b'{"template": "lstm", "graph": "a"}', b"[" * 20_000):
        assert ask("/api/start", body)[0] == 400, body
    assert ask("/static/../../start.py")[0] == ask("/static/editor.js")[0] == 404
    assert sorted(folder.iterdir()) == before
    with urllib.request.urlopen(f"{page}?token={token}", timeout=30) as answer:     # a person's browser has cookies: another page that makes it ask knows no word of ours
        cookies = "; ".join(c.partition(";")[0] for c in answer.headers.get_all("Set-Cookie"))
    assert "_xsrf=" in cookies and "username-" in cookies
    with pytest.raises(urllib.error.HTTPError, match="403"):
        fetch(urllib.request.Request(f"{page}/api/start", b'{"template": "lstm"}', {"Cookie": cookies}))
    assert sorted(folder.iterdir()) == before
    status, html, headers = ask("")
    assert status == 200 and token.encode() not in html and b"start.js" in html
    assert "script-src 'self';" in headers["Content-Security-Policy"] and "frame-ancestors 'self'" in headers["Content-Security-Policy"]
    assert [n["path"] for n in json.loads(ask("/api/start")[1])["lessons"]["en"]][0] == "01_dataflow_graphs.ipynb"
    assert (ask("/api/start", b'{"template": "lstm"}')[:2]) == (201, b'{"path": "lstm.ipynb"}') and (folder / "lstm.ipynb").is_file()


def test_lab_never_overwrites_a_file(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "01_dataflow_graphs.ipynb").write_text("my own work")
    elsewhere = tmp_path / "elsewhere.txt"
    for notebook in (Path(__file__).parent.parent / "notebooks").glob("*.ipynb"):
        if not (mine / notebook.name).exists() and not ON_WINDOWS:
            (mine / notebook.name).symlink_to(elsewhere)     # a link that leads nowhere yet
    with running_lab(tmp_path, "--no-browser", "--port", str(free_port()), "--notebook-dir", mine) as (_, printed):
        assert "?token=" in printed
    assert (mine / "01_dataflow_graphs.ipynb").read_text() == "my own work"
    assert not elsewhere.exists()


def test_lab_teaches_about_a_taken_port_and_a_folder_that_is_a_file(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port}" in refused(flowlab("lab", "--port", str(port), cwd=tmp_path))
    assert "65535" in refused(flowlab("lab", "--port", "70000", cwd=tmp_path))
    (tmp_path / "file").write_text("")
    assert "not a folder" in refused(flowlab("lab", "--notebook-dir", "file", cwd=tmp_path))
