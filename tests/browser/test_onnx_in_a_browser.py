"""The captcha reader of the first notebook, written as ONNX, reads in Chromium what it reads in flowlab: by onnxruntime-web, with no kernel and no network."""
from __future__ import annotations

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest

import flowlab as fl
from hatch_build import run_npm

HERE = Path(__file__).parent / "onnx"
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "08_read_a_captcha.ipynb"


def of_the_notebook(epochs: int = 2, examples: int = 64) -> dict:
    """What the notebook's cells that make sequences of pictures, and the graph, define."""
    names = {"fl": fl, "np": np, "epochs": epochs, "examples": examples, "batch": 64, "images": None}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        code = "".join(cell["source"])
        if cell["cell_type"] == "code" and ("def columns" in code or 'fl.Graph("captcha")' in code):
            exec(code.partition("sequences, unseen")[0], names)
    return names


class Quiet(SimpleHTTPRequestHandler):
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path):
    """A folder that is served here, with the page and onnxruntime-web in it."""
    if not (HERE / "node_modules" / "onnxruntime-web").is_dir():
        run_npm(HERE, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", hint="Is the npm registry in reach?")
    (tmp_path / "index.html").write_bytes((HERE / "index.html").read_bytes())
    (tmp_path / "dist").symlink_to(HERE / "node_modules" / "onnxruntime-web" / "dist", target_is_directory=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_captcha_reader_reads_the_same_digits_in_a_browser(site, page):
    folder, url = site
    names = of_the_notebook()
    pictures = names["columns"](fl.data.captchas(32, seed=5)[0])
    sess = fl.Session(names["g"], seed=0)       # untrained weights tell the pictures apart as well, and take no minutes
    wanted = {"reading": names["reading"], **{f"digit_{k + 1}": head for k, head in enumerate(names["heads"])}}
    onnx.save(fl.to_onnx(names["g"], wanted, sess), folder / "captcha.onnx")
    (folder / "pictures.bin").write_bytes(pictures.astype("<f4").tobytes())
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/index.html")
    page.wait_for_function("() => window.read")
    out = page.evaluate("(n) => window.read(n)", len(pictures))
    ours = sess.run(wanted, {"seq": pictures})
    for name, value in ours.items():
        theirs = np.array(out[name]["data"]).reshape(out[name]["dims"])
        if name == "reading":
            assert np.array_equal(theirs, value) and len(np.unique(value, axis=0)) > 8
        else:
            np.testing.assert_allclose(theirs, value, rtol=1e-4, atol=1e-5)
    assert all(u.startswith(url) for u in asked if not u.startswith(("blob:", "data:"))), asked
