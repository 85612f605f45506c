"""The command line: `flowlab lab` opens the course, `flowlab run` runs a saved graph, `flowlab serve` answers with one over HTTP, `flowlab doctor` looks at this installation."""
from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import secrets
import shutil
import socket
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

import flowlab as fl
from flowlab.core.files import write_atomically
from flowlab.runtime.machine import cpu_count

FIRST_NOTEBOOK = "01_dataflow_graphs.ipynb"
COURSE = ("*.ipynb", "exercises/*.json", "zh-CN/*.ipynb", "zh-CN/exercises/*.json")     # what a student gets of notebooks/


class UsageError(Exception):
    """What was asked for cannot be done; the message says what to do instead."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit status."""
    options = command_line().parse_args(arguments)
    try:
        return options.command(options)
    except (UsageError, fl.FlowError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"error: {error.strerror or error}{where}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def command_line() -> argparse.ArgumentParser:
    """What can be typed after `flowlab`."""
    parser = argparse.ArgumentParser(prog="flowlab", description="A dataflow-graph laboratory for Jupyter.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"flowlab {fl.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    lab = commands.add_parser("lab", help="start JupyterLab with the first notebook open", allow_abbrev=False,
                              description="Start JupyterLab on a copy of the notebooks, and print the URL that opens the first one.")
    lab.add_argument("--port", type=int, metavar="N", help="listen on this port (default: 8888, or the next one that is free)")
    lab.add_argument("--no-browser", action="store_true", help="only print the URL")
    lab.add_argument("--notebook-dir", type=Path, default=Path("flowlab-notebooks"), metavar="DIR",
                     help="where your copies of the notebooks are; no file there is ever overwritten (default: ./flowlab-notebooks)")
    lab.set_defaults(command=start_lab)

    run = commands.add_parser("run", help="run a saved graph", allow_abbrev=False,
                              description="Run a graph saved by fl.save or by the lab, and print the values asked for.")
    run.add_argument("file", type=Path, metavar="FILE", help="the graph, a .flow.json file")
    run.add_argument("--feed", action="append", default=[], metavar="NAME=VALUE",
                     help="a value for a placeholder: x=x.npy reads a file, x=[[1,2]] is JSON; may be repeated")
    run.add_argument("--fetch", action="append", required=True, metavar="NAME", help="what to compute, such as loss:0; may be repeated")
    run.add_argument("--weights", type=Path, metavar="FILE", help="values of the variables, as written by Session.save (.safetensors)")
    run.add_argument("--seed", type=int, default=0, metavar="N", help="seed of initial values and random operations (default: 0)")
    run.add_argument("--out", type=Path, metavar="FILE", help="write one value to a .npy file, or several to an .npz file, and print none")
    run.set_defaults(command=run_graph)

    serve = commands.add_parser("serve", help="answer with a saved graph over HTTP", allow_abbrev=False,
                                description="Answer requests with a graph saved by fl.save or by the lab, as JSON and safetensors: POST /v1/predict, GET /v1/model, /healthz, /readyz, "
                                            "/metrics, /openapi.json. Only this machine may ask, with the token that is printed, unless options say otherwise.")
    serve.add_argument("file", type=Path, metavar="FILE", help="the graph, a .flow.json file")
    serve.add_argument("--weights", type=Path, metavar="FILE", help="values of the variables, as written by Session.save (.safetensors)")
    serve.add_argument("--fetch", action="append", default=[], metavar="NAME", help="an output, such as logits:0; may be repeated (default: the nodes marked as fetches, else the last ones)")
    serve.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="listen there (default: 127.0.0.1; 0.0.0.0 is every network)")
    serve.add_argument("--port", type=int, default=8000, metavar="N", help="listen on this port, 0 for a free one (default: 8000)")
    serve.add_argument("--token", metavar="TEXT", help="what clients send as Authorization: Bearer TEXT (default: $FLOWLAB_TOKEN, else a new one, which is printed)")
    serve.add_argument("--no-token", action="store_true", help="ask for no token; only on loopback")
    serve.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="answer to this name in Host too; may be repeated")
    serve.add_argument("--allow-origin", action="append", default=[], metavar="URL", help="let scripts of this page ask, such as https://example.org; may be repeated")
    serve.add_argument("--max-body", type=int, default=16, metavar="MB", help="the largest request (default: 16)")
    serve.add_argument("--max-rows", type=int, default=4096, metavar="N", help="the largest size of a named dimension (default: 4096)")
    serve.add_argument("--max-elements", type=int, default=4_000_000, metavar="N", help="the most numbers in a request, or in an answer (default: 4000000)")
    serve.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="the longest that a request may take (default: 30)")
    serve.add_argument("--queue", type=int, default=64, metavar="N", help="the most requests at a time; more get a 429 (default: 64)")
    serve.add_argument("--merge", type=int, default=256, metavar="ROWS", help="the most rows of several requests that one run computes; 1 runs each by itself (default: 256)")
    serve.add_argument("--threads", type=int, default=max(1, cpu_count() - 1), metavar="N", help="threads of BLAS in a run (default: one a processor, and one left for the requests)")
    serve.add_argument("--device", default="cpu:0", metavar="NAME", help="run there, such as gpu:0 (default: cpu:0)")
    serve.add_argument("--allow-nonfinite", action="store_true", help="take NaN and infinities as inputs")
    serve.add_argument("--seed", type=int, default=0, metavar="N", help="seed of initial values and random operations (default: 0)")
    serve.set_defaults(command=serve_graph)

    doctor = commands.add_parser("doctor", help="say what is installed, and what is missing", allow_abbrev=False,
                                 description="Say what this installation has: versions, BLAS, GPU, browser, and the page.")
    doctor.set_defaults(command=examine)
    return parser


# ---------------------------------------------------------------- lab


def start_lab(options: argparse.Namespace) -> int:
    """Run JupyterLab in this process until it is stopped."""
    folder = copy_notebooks(options.notebook_dir)
    if options.port is not None:
        require_free_port(options.port)

    from jupyterlab.labapp import LabApp

    from flowlab import server

    server.drop_state_of_strangers()
    page = f"/lab/tree/{quote(FIRST_NOTEBOOK)}"
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(24)
    settings = [
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url={page}",
        "--ServerApp.jpserver_extensions={'flowlab.server': True}",     # as an installation has it anyway
        f"--IdentityProvider.token={token}",      # our own, so that Jupyter does not print a URL of its own
        "--ServerApp.log_level=WARN",
        "--LabApp.log_level=WARN",
    ]
    if options.port is not None:
        settings += [f"--ServerApp.port={options.port}", "--ServerApp.port_retries=0"]
    if options.no_browser or not has_display():
        settings.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        settings.append("--allow-root")

    jupyter = LabApp.initialize_server(argv=settings)
    hooked = jupyter.web_app.settings.get("page_config_hook", lambda handler, page_config: page_config)
    jupyter.web_app.settings["page_config_hook"] = lambda handler, page_config: first_screen(hooked(handler, page_config))
    url = f"{jupyter.connection_url.rstrip('/')}{page}?token={token}"
    jupyter.io_loop.add_callback(announce, folder, url)     # runs once the server listens, after all that Jupyter says at its start
    jupyter.start()
    return 0


def first_screen(page_config: dict[str, Any]) -> dict[str, Any]:
    """JupyterLab's page with the start page in a tab beside the notebook, and without its question about news, which would cover a student's first screen."""
    page_config["flowlabStart"] = "true"
    disabled = page_config.setdefault("disabledExtensions", [])
    news = "@jupyterlab/apputils-extension:announcements"
    if news not in disabled:
        disabled.append(news)
    return page_config


def announce(folder: Path, url: str) -> None:
    print(f"\nYour notebooks are in {folder}. Ctrl+C stops JupyterLab.\nThe first notebook:\n    {url}", flush=True)


def copy_notebooks(folder: Path) -> Path:
    """Put a copy of each notebook and exercise into the folder, unless a file of that name is there."""
    folder = folder.expanduser().resolve()
    course = shipped_course()
    for shipped in (path for pattern in COURSE for path in sorted(course.glob(pattern))):
        target = folder / shipped.relative_to(course)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = open(target, "xb")             # "x": fails if anything of that name is there, a dangling link too
        except (FileExistsError, NotADirectoryError):
            if not target.parent.is_dir():
                raise UsageError(f"{target.parent} is not a folder. Name another with --notebook-dir.") from None
            continue
        except PermissionError:
            raise UsageError(f"cannot write {target}: permission denied. Name another folder with --notebook-dir.") from None
        with copy:
            copy.write(shipped.read_bytes())
    return folder


def shipped_course() -> Path:
    """The folder of the course: inside the package when it was installed from a wheel, beside it in a checkout."""
    package = Path(fl.__file__).parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / FIRST_NOTEBOOK).is_file():
            return folder
    raise UsageError(f"this installation has no {FIRST_NOTEBOOK}. Install flowlab again: pip install --force-reinstall --no-deps flowlab")


def require_free_port(port: int) -> None:
    if not 0 < port < 65536:
        raise UsageError(f"{port} is not a port. Ports go from 1 to 65535.")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"port {port} cannot be used: {error.strerror}. "
                             "Name another, or leave --port out and a free one is found.") from None


def has_display() -> bool:
    """Is there a screen that a browser could open on?"""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


# ---------------------------------------------------------------- run


def run_graph(options: argparse.Namespace) -> int:
    """Compute the fetches of a saved graph once."""
    if options.out is not None:
        check_output(options.out, len(options.fetch))
    graph = fl.load(options.file)
    feeds = dict(parse_feed(text) for text in options.feed)
    with fl.Session(graph, seed=options.seed) as session:
        if options.weights is not None:
            session.restore(options.weights)
        values = session.run(list(options.fetch), feeds)
    results = dict(zip(options.fetch, values, strict=True))
    if options.out is not None:
        write_arrays(options.out, results)
    else:
        show(results)
    return 0


def parse_feed(text: str) -> tuple[str, np.ndarray]:
    """`x=x.npy` or `x=[[1, 2]]` → the name and the value."""
    name, equals, source = text.partition("=")
    if not (name and equals and source):
        raise UsageError(f"--feed {text!r} does not say what to feed. Write NAME=FILE.npy, or NAME=VALUE with a number or a list.")
    if source.endswith(".npy"):
        return name, read_array(Path(source))
    try:
        return name, np.asarray(json.loads(source))
    except ValueError:
        raise UsageError(f"--feed {text!r}: {source!r} is neither a .npy file nor JSON. "
                         "Save the array with np.save, or write it as [[1, 2], [3, 4]].") from None


def read_array(path: Path) -> np.ndarray:
    """The array in a .npy file; a file that would run code is refused."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise UsageError(f"{path} does not hold an array of numbers: {error} Write it with np.save(path, array).") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise UsageError(f"{path} is an archive of several arrays. Write one with np.save(path, array).")
    return array


def show(results: dict[str, np.ndarray | None]) -> None:
    """Print each value under its name."""
    for name, value in results.items():
        if value is None:
            print(f"{name}: done")
        elif value.ndim == 0:
            print(f"{name} = {value}")
        else:
            print(f"{name} = {value.dtype}{list(value.shape)}\n{value}")


def check_output(path: Path, count: int) -> None:
    """Refuse before the run what could not be written after it."""
    suffix = ".npy" if count == 1 else ".npz"
    if path.suffix not in (suffix, ".npz"):
        raise UsageError(f"--out {path}: {count} {'value goes' if count == 1 else 'values go'} to a {suffix} file.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--out {path}: there is no folder {path.absolute().parent}.")


def write_arrays(path: Path, results: dict[str, np.ndarray | None]) -> None:
    """Write the values whole or not at all."""
    nothing = [name for name, value in results.items() if value is None]
    if nothing:
        raise UsageError(f"{', '.join(nothing)} has no value to write: it only acts. Fetch a tensor, such as loss:0.")
    file = io.BytesIO()
    if path.suffix == ".npy":
        np.save(file, *results.values(), allow_pickle=False)
    else:
        with zipfile.ZipFile(file, "w") as archive:
            for name, value in results.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, value, allow_pickle=False)
    write_atomically(path, file.getvalue())


# ---------------------------------------------------------------- serve


def serve_graph(options: argparse.Namespace) -> int:
    """Answer requests until the process is told to end."""
    from threadpoolctl import threadpool_limits

    from flowlab.apps import serve as service
    from flowlab.io.build import build

    web = service.web()
    if options.no_token and options.token:
        raise UsageError("--token and --no-token exclude each other.")
    if options.no_token and not service.is_loopback(options.host):
        raise UsageError(f"--no-token: {options.host} is open to other machines. Leave it out, or leave --host at 127.0.0.1.")
    token = None if options.no_token else options.token or os.environ.get("FLOWLAB_TOKEN") or secrets.token_urlsafe(32)
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError("the token holds a blank or a character beyond ASCII. Take letters and digits.")
    limits = service.Limits(body=options.max_body << 20, elements=options.max_elements, rows=options.max_rows, seconds=options.timeout, queue=options.queue, merge=options.merge,
                            nonfinite=options.allow_nonfinite)
    if options.threads < 1:
        raise UsageError(f"--threads {options.threads}: at least one thread is needed.")
    threadpool_limits(options.threads)
    sys.setswitchinterval(5e-4)     # a run that ends waits for the thread that reads requests, and the other way round
    document = fl.load_document(options.file)
    graph = fl.load(options.file) if build(document).diagnostics else build(document).graph     # load says what is not sound
    with fl.Session(graph, seed=options.seed, device=options.device) as session:
        missing = session.restore(options.weights) if options.weights is not None else []
        fetches = list(options.fetch) or service.default_fetches(graph, document.fetches)
        with service.Model(session, fetches, limits=limits) as model:
            read = model.variables()
            if unset := [n for n in read if n in missing]:
                raise UsageError(f"{options.weights} has no {', '.join(unset[:4])}, which the outputs need. Is it another graph's file?")
            if read and options.weights is None:
                print("warning: the variables have their initial values. --weights FILE gives them those of Session.save.", file=sys.stderr)

            def announce(url: str) -> None:
                along = model.choice(list(model.outputs))
                batching = f"requests are merged along {along.dim}" if along.dim else f"requests are not merged: {along.why}"
                print(f"{model}; {batching}\nAnswering at {url}; Ctrl+C ends it."
                      + (f"\nToken: {token}" if not (options.token or os.environ.get("FLOWLAB_TOKEN") or token is None) else ""), flush=True)

            web.serve(model, host=options.host, port=options.port, token=token, hosts=options.allow_host, origins=options.allow_origin, announce=announce)
    return 0


# ---------------------------------------------------------------- doctor


def examine(options: argparse.Namespace) -> int:
    """Print what is here; the exit status is 1 if something that flowlab needs is not."""
    page, page_is_well = describe_page()
    rows = [
        ("flowlab", fl.__version__),
        ("Python", f"{platform.python_version()} on {platform.platform()}"),
        *((package, version_of(package)) for package in ("numpy", "jupyterlab", "anywidget", "plotly", "safetensors")),
        ("page", page),
        ("BLAS", describe_blas()),
        ("GPU", describe_gpu()),
        ("numba", version_of("numba", "not installed; pip install 'flowlab[fast]' makes elementwise chains faster")),
        ("onnx", version_of("onnx", "not installed; pip install 'flowlab[onnx]' reads and writes ONNX")),
        ("fastapi", version_of("fastapi", "not installed; pip install 'flowlab[serve]' answers over HTTP: flowlab serve")),
        ("distributed", version_of("distributed", "not installed; pip install 'flowlab[dask]' trains on a cluster")),
        ("Chromium", find_chromium() or "not found; only flowlab's own browser tests need it"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
    return 0 if page_is_well else 1


def version_of(package: str, otherwise: str = "MISSING") -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return otherwise


def describe_page() -> tuple[str, bool]:
    """The bundles that the widgets show, and whether they speak the kernel's version of the messages."""
    from flowlab.widgets import protocol

    static = Path(protocol.__file__).parent / "static"
    missing = [name for name in ("editor.js", "editor.css", "lstm.js", "lstm.css", "conv.js", "conv.css", "rnn.js", "rnn.css", "training.js", "training.css") if not (static / name).is_file()]
    if missing:
        return f"MISSING {', '.join(missing)}; install again (pip install -e . in a checkout)", False
    try:
        spoken = json.loads((static / "build.json").read_text())["protocol"]
    except (OSError, ValueError, KeyError, TypeError):
        return "built by hand, protocol unknown; install again (pip install -e . in a checkout)", True
    if spoken != protocol.VERSION:
        return f"speaks protocol {spoken}, the kernel speaks {protocol.VERSION}; install again, then restart the kernel", False
    size = sum(file.stat().st_size for file in static.iterdir())
    return f"built, {size // 1024} KB, protocol {spoken}", True


def describe_blas() -> str:
    from threadpoolctl import threadpool_info

    libraries = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return "; ".join(f"{pool['internal_api']} {pool['version']}, kernels for {pool.get('architecture', 'unknown')}, "
                     f"{pool['num_threads']} threads" for pool in libraries) or "none found"


def describe_gpu() -> str:
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; pip install 'flowlab[gpu]' on a machine with an NVIDIA GPU"
    try:
        import cupy

        if not cupy.cuda.is_available():
            return f"none (CuPy {cupy.__version__} is installed)"
        names = [cupy.cuda.runtime.getDeviceProperties(i)["name"].decode() for i in range(cupy.cuda.runtime.getDeviceCount())]
    except Exception as error:      # whatever a driver answers, the rest of the report is still worth having
        return f"CuPy cannot use it: {error}"
    return f"{', '.join(names)} (CuPy {cupy.__version__})"


def find_chromium(names: Iterable[str] = ("chromium", "chromium-browser", "google-chrome")) -> str | None:
    """Where the system's Chromium is."""
    return next((path for name in names if (path := shutil.which(name))), None)
