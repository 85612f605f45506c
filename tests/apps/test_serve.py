"""`flowlab serve`: a real process on a free port answers what Session.run gives, and refuses the rest in words."""
from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.numpy import load, save

import flowlab as fl
from flowlab.apps import serve as service
from flowlab.apps.rows import RowsMeet, row_axes
from flowlab.core.op import REGISTRY
from flowlab.io import jsonio

ROOT = Path(__file__).parents[2]
TOKEN = "t0ken"
ESTABLISHED = 1     # a state of TCP, as Linux counts them
TENSORS = {"Content-Type": "application/x-safetensors"}


def net() -> fl.Graph:
    with fl.Graph("net") as g:
        x = fl.placeholder(("batch", 6), "float32", name="x")
        kind = fl.placeholder(("batch",), "int32", name="kind")
        h = fl.nn.dense(x, 16, activation="tanh", name="hidden") + fl.gather(fl.variable(fl.init.normal((3, 16)), name="kinds"), kind)
        logits = fl.nn.dense(h, 4, name="logits")
        fl.softmax(logits, name="shares")
        fl.log(x, name="logs")
    return g


def started(folder: Path, *options: str) -> tuple[subprocess.Popen[str], httpx.Client]:
    """The command as a person types it, and a client of it; both are the caller's to close."""
    process = subprocess.Popen([sys.executable, "-m", "flowlab", "serve", *options, "--port", "0"], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, "FLOWLAB_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)})
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"Answering at (http://\S+);", line):
            return process, httpx.Client(base_url=found[1], headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
    raise AssertionError("".join(said))


def ended(process: subprocess.Popen[str], how: int = signal.SIGTERM) -> tuple[int, str]:
    if process.poll() is None:
        process.send_signal(how)
    rest = process.communicate(timeout=30)[0]
    return process.returncode, rest


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fl.Session]:
    folder = tmp_path_factory.mktemp("served")
    g = net()
    fl.save(g, folder / "net.flow.json")
    with fl.Session(g, seed=7) as sess:
        sess.save(folder / "net.safetensors")
        sess.folder = folder
        yield sess


@pytest.fixture(scope="module")
def client(session: fl.Session) -> Iterator[httpx.Client]:
    process, found = started(session.folder, "net.flow.json", "--weights", "net.safetensors", "--fetch", "shares", "--fetch", "logits/Add:0", "--fetch", "logs", "--max-body", "1",
                             "--max-rows", "500", "--allow-origin", "https://lab.example")
    with found:
        yield found
    code, rest = ended(process)
    assert code == 0 and "Traceback" not in rest, rest


def feeds(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"x": rng.random((rows, 6), dtype="float32") + 0.1, "kind": rng.integers(0, 3, rows).astype("int32")}


def values(response: httpx.Response) -> dict[str, np.ndarray]:
    assert response.status_code == 200, response.text
    return {n: np.array(v["values"], v["dtype"]).reshape(v["shape"]) for n, v in response.json()["outputs"].items()}


# ---------------------------------------------------------------- answers


def test_json_and_safetensors_give_the_numbers_of_a_run(client, session):
    given = feeds(5)
    expected = session.run({"shares": "shares:0", "logs": "logs:0", "logits/Add": "logits/Add:0"}, given)
    by_json = values(client.post("/v1/predict", json={"inputs": {n: v.tolist() for n, v in given.items()}}))
    answer = client.post("/v1/predict", content=save(given), headers=TENSORS)
    assert answer.headers["content-type"] == "application/x-safetensors"
    by_tensors = load(answer.content)
    for name, value in expected.items():
        np.testing.assert_array_equal(by_json[name], value)
        np.testing.assert_array_equal(by_tensors[name], value)
        assert by_json[name].dtype == by_tensors[name].dtype == value.dtype


def test_outputs_and_format_of_the_answer_can_be_chosen(client, session):
    given = feeds(2)
    both = client.post("/v1/predict", json={"inputs": {"x": given["x"].tolist()}, "outputs": ["logs:0"]}, headers={"Accept": "application/x-safetensors"})
    np.testing.assert_array_equal(load(both.content)["logs"], session.run("logs:0", {"x": given["x"]}))
    asked = client.post("/v1/predict?output=logs&output=shares", content=save(given), headers={**TENSORS, "Accept": "application/json"})
    assert set(values(asked)) == {"logs", "shares"}


def test_what_json_has_no_number_for_is_told_in_words(client):
    given = {"x": [[0.0, -1.0, 1.0, 1.0, 1.0, 1.0]]}
    told = client.post("/v1/predict", json={"inputs": given, "outputs": ["logs"]}).json()["outputs"]["logs"]["values"][0]
    assert told[:3] == ["-Infinity", "NaN", 0.0]


def test_many_clients_at_once_get_their_own_rows(client, session):
    def ask(k: int) -> int:
        given = feeds(k % 5 + 1, seed=k)
        answer = client.post("/v1/predict?output=shares", content=save(given), headers=TENSORS)
        assert answer.status_code == 200, answer.text
        np.testing.assert_allclose(load(answer.content)["shares"], expected[k], rtol=2e-6, atol=1e-7)
        return int(answer.headers["x-batch-requests"])
    expected = [session.run("shares:0", feeds(k % 5 + 1, seed=k)) for k in range(160)]
    with ThreadPoolExecutor(16) as pool:
        assert min(pool.map(ask, range(160))) >= 1


def test_the_model_its_health_and_its_metrics_are_told(client):
    model = client.get("/v1/model").json()
    assert model["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 6]}, {"name": "kind", "dtype": "int32", "shape": ["batch"]}]
    assert model["batching"] == {"along": "batch"} and not model["random"]
    bare = httpx.Client(base_url=client.base_url)
    assert bare.get("/healthz").text == bare.get("/readyz").text == "ok"
    metrics = client.get("/metrics").text
    assert re.search(r'flowlab_requests_total\{path="/v1/model",status="200"\} [1-9]', metrics) and "flowlab_run_seconds_bucket" in metrics and "flowlab_ready 1.0" in metrics
    api = client.get("/openapi.json").json()
    body = api["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["inputs"]["properties"]["x"]["items"]["minItems"] == 6
    assert api["paths"]["/v1/predict"]["post"]["responses"]["422"]


# ---------------------------------------------------------------- bad input

ROW = [[1.0] * 6]
BAD = {
    "no JSON": (b"{", 400, "body"), "cut off": (b'{"inputs": {"x": [[1, 2', 400, "body"), "no UTF-8": (b"\xff\xfe{}", 400, "body"), "nothing": (b"", 400, "body"),
    "too deep": (b"[" * 100_000, 400, "body"), "twice": (b'{"inputs": {}, "inputs": {}}', 400, "body"), "a list": (b"[]", 422, "body"),
    "unknown field": (b'{"input": {}}', 422, "input"), "inputs a list": (b'{"inputs": [1]}', 422, "inputs"), "outputs a text": (b'{"inputs": {}, "outputs": "shares"}', 422, "outputs"),
    "unknown output": ({"inputs": {"x": ROW, "kind": [0]}, "outputs": ["hidden/kernel"]}, 422, "outputs"),
    "no output": ({"inputs": {"x": ROW, "kind": [0]}, "outputs": []}, 422, "outputs"),
    "unknown input": ({"inputs": {"x": ROW, "kind": [0], "__proto__": 1}}, 422, "inputs.__proto__"),
    "missing input": ({"inputs": {"x": ROW}}, 422, "inputs.kind"), "wrong width": ({"inputs": {"x": [[1.0]], "kind": [0]}}, 422, "inputs.x"),
    "wrong rank": ({"inputs": {"x": 1.0, "kind": [0]}}, 422, "inputs.x"), "ragged": ({"inputs": {"x": [[1], [1, 2]], "kind": [0]}}, 422, "inputs.x"),
    "text": ({"inputs": {"x": [["a"] * 6], "kind": [0]}}, 422, "inputs.x"), "null": ({"inputs": {"x": None, "kind": [0]}}, 422, "inputs.x"),
    "an object": ({"inputs": {"x": {}, "kind": [0]}}, 422, "inputs.x"), "fractions": ({"inputs": {"x": ROW, "kind": [0.5]}}, 422, "inputs.kind"),
    "beyond int32": ({"inputs": {"x": ROW, "kind": [2**40]}}, 422, "inputs.kind"), "beyond float32": ({"inputs": {"x": [[1e300] * 6], "kind": [0]}}, 422, "inputs.x[0][0]"),
    "NaN": (b'{"inputs": {"x": [[1, 1, NaN, 1, 1, 1]], "kind": [0]}}', 422, "inputs.x[0][2]"), "1e999": (b'{"inputs": {"x": [[1, 1, 1, 1, 1, 1e999]], "kind": [0]}}', 422, "inputs.x[0][5]"),
    "two sizes of batch": ({"inputs": {"x": ROW, "kind": [0, 1]}}, 422, "inputs.kind"), "too many rows": ({"inputs": {"x": ROW * 501, "kind": [0] * 501}}, 413, "inputs.x"),
    "no such row": ({"inputs": {"x": ROW, "kind": [7]}}, 422, "Gather"), "too large": (b" " * (1 << 20) + b"{}", 413, "body"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_body_is_refused_with_the_field_that_is_wrong(client, what):
    body, status, where = BAD[what]
    answer = client.post("/v1/predict", content=body if isinstance(body, bytes) else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, problem["field"]) == (status, where), answer.text
    assert answer.headers["content-type"] == "application/problem+json" and problem["detail"] and "Traceback" not in answer.text and ".py" not in answer.text


def test_bad_safetensors_headers_and_paths_are_refused(client):
    good = save(feeds(1))
    for body in (b"", b"\xff" * 8, good[:20], (2**60).to_bytes(8, "little") + b"{}", b"\x02\0\0\0\0\0\0\0[]"):
        answer = client.post("/v1/predict", content=body, headers=TENSORS)
        assert (answer.status_code, answer.json()["field"]) == (400, "body"), answer.text
    assert client.post("/v1/predict", content=save({"x": np.full((1, 6), np.nan, "float32"), "kind": np.zeros(1, "int32")}), headers=TENSORS).json()["field"] == "inputs.x[0][0]"
    assert client.post("/v1/predict", content=save({"x": np.zeros((1, 6), "float64"), "kind": np.zeros(1, "int32")}), headers=TENSORS).status_code == 200     # as a run takes it
    for headers, status in (({"Content-Type": "text/plain"}, 415), ({**TENSORS, "Content-Encoding": "gzip"}, 415), ({**TENSORS, "Accept": "text/html"}, 406)):
        assert client.post("/v1/predict", content=good, headers=headers).status_code == status
    assert client.get("/v1/predict").status_code == 405 and client.get("/../etc/passwd").status_code == client.get("/docs").status_code == 404


leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
tree = st.recursive(leaf, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["x", "kind", "", "shares"]) | st.text(max_size=3), inner, max_size=3), max_leaves=20)
asked = st.fixed_dictionaries({"inputs": st.fixed_dictionaries({"x": tree | st.lists(st.lists(leaf, min_size=6, max_size=6), max_size=3), "kind": tree})}, optional={"outputs": tree})


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), tree.map(lambda v: json.dumps(v).encode()), asked.map(lambda v: json.dumps(v).encode())), st.booleans())
def test_whatever_comes_gets_an_answer_or_a_reason(client, body, as_json):
    answer = client.post("/v1/predict", content=body, headers={"Content-Type": "application/json"} if as_json else TENSORS)
    if answer.status_code != 200:
        assert answer.status_code in (400, 413, 422), answer.text
        assert answer.json()["field"] and answer.json()["detail"]


def test_who_may_not_come_in_is_told_so(client):
    bare = httpx.Client(base_url=client.base_url)
    assert bare.get("/v1/model").status_code == bare.get("/metrics").status_code == bare.get("/openapi.json").status_code == 401
    wrong = bare.get("/v1/model", headers={"Authorization": "Bearer wrong\u00e9".encode("latin-1")})
    assert wrong.status_code == 401 and wrong.headers["www-authenticate"] == "Bearer"
    assert client.get("/v1/model", headers={"Host": "rebound.example"}).json()["field"] == "Host"
    for origin in ("null", "https://other.example"):
        assert client.get("/v1/model", headers={"Origin": origin}).json()["field"] == "Origin"
    allowed = client.get("/v1/model", headers={"Origin": "https://lab.example"})
    assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == "https://lab.example"
    before = bare.options("/v1/predict", headers={"Origin": "https://lab.example", "Access-Control-Request-Method": "POST"})
    assert before.status_code == 204 and "authorization" in before.headers["access-control-allow-headers"]


# ---------------------------------------------------------------- limits, in this process


class Slow:
    """A model whose runs wait until they are let go."""

    def __init__(self, **limits: Any):
        gate = self.gate = threading.Event()
        with fl.Graph("slow") as g:
            x = fl.placeholder(("batch",), name="x")
            y = fl.negative(x, name="y")
        self.model = service.Model(fl.Session(g), [y], limits=service.Limits(**limits))
        run = self.model.session.run
        self.model.session.run = lambda *a: (gate.wait(20), run(*a))[1]      # type: ignore[method-assign]

    @contextlib.contextmanager
    def client(self) -> Iterator[httpx.Client]:
        import uvicorn
        web = service.web()
        sock = web.listen("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(web.application(self.model, token=None), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=30) as client:
            yield client
        server.should_exit = True
        thread.join(20)


def until(holds: Any) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)       # a server's own threads tell a test nothing: ask again


def test_too_many_requests_get_429_and_late_ones_503():
    slow = Slow(queue=2, seconds=1.5, merge=1)
    with slow.client() as client, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.post, "/v1/predict", json={"inputs": {"x": [k]}}) for k in range(2)]
        until(lambda: slow.model.busy and slow.model.waiting == 1)
        more = client.post("/v1/predict", json={"inputs": {"x": [9]}})
        assert more.status_code == 429 and more.headers["retry-after"] == "1"
        late = [w.result() for w in waiting]
        assert [w.status_code for w in late] == [503, 503] and "1.5 s" in late[0].json()["detail"]
        until(lambda: slow.model.busy > 1.5)
        assert client.get("/readyz").status_code == 503 and client.get("/healthz").status_code == 200
        slow.gate.set()
        assert client.post("/v1/predict", json={"inputs": {"x": [1, 2]}}).json()["outputs"]["y"]["values"] == [-1, -2]
        with socket.create_connection(("127.0.0.1", client.base_url.port)) as raw:
            raw.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
            assert raw.recv(1 << 16).startswith(b"HTTP/1.1 408")
    assert not slow.model._thread.is_alive()


def test_bodies_at_hand_are_bounded_together():
    slow = Slow(body=1000, seconds=20)
    with slow.client() as client, contextlib.ExitStack() as stack:
        for _ in range(5):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", client.base_url.port)))
            raw.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + b" " * 900)
        raw.settimeout(10)
        until(lambda: slow.model.reading == 4)
        assert raw.recv(1 << 16).startswith(b"HTTP/1.1 503")
        stack.close()
        until(lambda: not slow.model.reading)
        slow.gate.set()
        assert client.post("/v1/predict", json={"inputs": {"x": [1]}}).status_code == 200
        slow.model.close()


def test_large_bodies_are_read_one_at_a_time(monkeypatch):
    web, slow = service.web(), Slow(rows=100_000)
    slow.gate.set()
    read, inside, most = web.read_json, [], []

    def watched(body: bytes) -> Any:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)        # a body that takes its time: others come meanwhile
        inside.pop()
        return read(body)
    monkeypatch.setattr(web, "read_json", watched)
    with slow.client() as client, ThreadPoolExecutor(4) as pool:
        large = {"inputs": {"x": [0.5] * 30_000}}
        assert {a.status_code for a in pool.map(lambda _: client.post("/v1/predict", json=large), range(4))} == {200}
    assert most == [1] * 4


def test_what_fails_inside_is_told_to_the_log_alone(capfd):
    slow = Slow()
    def run(*a: Any) -> None:
        raise RuntimeError("secret")
    slow.model.session.run = run      # type: ignore[method-assign]
    with slow.client() as client:
        answer = client.post("/v1/predict", json={"inputs": {"x": [1]}})
        assert answer.status_code == 500 and answer.json()["detail"] == "the service failed." and "secret" not in answer.text
        assert client.get("/readyz").text == "ok"
    assert "RuntimeError: secret" in capfd.readouterr().err


def test_requests_share_a_run_and_one_that_fails_there_fails_alone(session):
    with service.Model(session, ["shares"], limits=service.Limits(wait=0.5)) as model:
        model.reading = 1       # so that the first waits for the others
        model._typical = 0.5
        jobs = [model.job(feeds(k + 1, seed=k)) for k in range(3)]
        for job in jobs:
            model.put(job)
        for k, job in enumerate(jobs):
            np.testing.assert_allclose(job.answer.result(10)["shares"], session.run("shares:0", feeds(k + 1, seed=k)), rtol=2e-6)
        assert [job.shared for job in jobs] == [3, 3, 3]
        jobs = [model.job(feeds(2, seed=k)) for k in range(3)]
        jobs[1].arrays[1][0] = 99
        for job in jobs:
            model.put(job)
        with pytest.raises(service.Refused, match="Gather") as refused:
            jobs[1].answer.result(10)
        assert refused.value.status == 422
        for k in (0, 2):
            np.testing.assert_array_equal(jobs[k].answer.result(10)["shares"], session.run("shares:0", feeds(2, seed=k)))


def test_shutting_down_answers_what_waits_and_takes_no_more():
    slow = Slow()
    before = set(threading.enumerate()) - {slow.model._thread}
    job = slow.model.job({"x": [1.0]})
    slow.model.put(job)
    threading.Timer(0.1, slow.gate.set).start()
    slow.model.close()
    assert job.answer.result(0)["y"] == [-1]
    with pytest.raises(service.Refused, match="shutting down"):
        slow.model.ask({"x": [1.0]})
    assert set(threading.enumerate()) - before == set()


# ---------------------------------------------------------------- the process


def test_a_process_that_is_told_to_end_answers_what_is_at_hand(tmp_path):
    with fl.Graph("count") as g:
        n = fl.placeholder((), "int64", name="n")
        fl.identity(fl.while_loop(lambda k: k < n, lambda k: k + 1, [fl.constant(0, dtype="int64")])[0], name="y")
    fl.save(g, tmp_path / "count.flow.json")
    process, client = started(tmp_path, "count.flow.json")
    with client, ThreadPoolExecutor(1) as pool:
        port = client.base_url.port
        assert client.get("/v1/model").json()["batching"]["why"]
        answer = pool.submit(client.post, "/v1/predict", json={"inputs": {"n": 300_000}})
        time.sleep(0.1)         # it is on its way, and takes far longer than this
        assert not answer.done()
        process.send_signal(signal.SIGTERM)
        assert values(answer.result(20))["y"] == 300_000
        code, rest = ended(process)
    assert code == 0 and "Traceback" not in rest, rest
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


def test_a_connection_that_sends_or_reads_nothing_is_closed_and_keeps_nobody_out(session):
    process, client = started(session.folder, "net.flow.json", "--weights", "net.safetensors", "--fetch", "shares", "--host", "127.0.0.2", "--timeout", "1", "--queue", "1")
    there = ("127.0.0.2", client.base_url.port)
    try:
        with client, contextlib.ExitStack() as stack:
            assert client.get("/healthz").status_code == 200        # Host is 127.0.0.2
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(10)
            deaf.connect(there)
            deaf.sendall(f"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode() * 2000)
            halves = [stack.enter_context(socket.create_connection(there)) for _ in range(270)]     # more than are held
            for k, half in enumerate(halves):
                half.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"\r\nGET" * (k == len(halves) - 1))
            answer = b""
            while not answer.endswith(b"ok"):
                answer += halves[-1].recv(1 << 12)
            assert answer.startswith(b"HTTP/1.1 200")
            assert httpx.get(f"{client.base_url}/healthz").text == "ok"
            for half in (halves[-1], halves[0], halves[100]):
                half.settimeout(5)
                with contextlib.suppress(ConnectionResetError):
                    assert half.recv(10) == b""
            until = time.monotonic() + 20
            while deaf.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED and time.monotonic() < until:
                time.sleep(0.05)       # nobody reads meanwhile: that is what is tried
            read = b""
            with contextlib.suppress(ConnectionResetError):
                while found := deaf.recv(1 << 20):
                    read += found
            assert read.count(b"HTTP/1.1 200") < 2000
    finally:
        code, rest = ended(process)
    assert code == 0 and "Traceback" not in rest, rest


@pytest.mark.parametrize("options, said", [
    (["--no-token", "--host", "0.0.0.0"], "--no-token: 0.0.0.0 is open to other machines"), (["--no-token", "--token", "a"], "exclude each other"),
    (["--fetch", "nothing"], "nothing"), (["--fetch", "train"], "train"), (["--fetch", "Adam/count"], "changes the variable"), (["--weights", "other.safetensors"], "has no"),
    (["--queue", "0"], "queue is 0"), (["--port", "99999"], "not a port"), (["--token", "a b"], "a blank"),
])
def test_what_cannot_be_served_is_refused_at_the_start(tmp_path, capsys, options, said):
    from flowlab.cli import main
    with fl.Graph("trained") as g:
        x = fl.placeholder(("batch", 3), name="x")
        loss = fl.mean(fl.nn.dense(x, 2, name="layer") ** 2, name="loss")
        fl.optim.Adam(0.1).minimize(loss, name="train")
    fl.save(g, tmp_path / "a.flow.json")
    (tmp_path / "other.safetensors").write_bytes(save({"layer/bias": np.zeros(2, "float32")}))
    options = [str(tmp_path / o) if o.endswith(".safetensors") else o for o in options]
    interval = sys.getswitchinterval()
    try:
        assert main(["serve", str(tmp_path / "a.flow.json"), "--fetch", "loss", *options]) == 1
    finally:
        sys.setswitchinterval(interval)
    assert said in capsys.readouterr().err


def _echo(folder: Path) -> Path:
    """A folder with a `flowlab` that says what it was given."""
    (folder / "flowlab").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (folder / "flowlab").chmod(0o755)
    return folder


def test_the_image_is_small_and_runs_as_nobody_in_particular(tmp_path):
    text = (ROOT / "etc" / "docker" / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", text, re.M)[-1] not in ("root", "0")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = set(re.findall(r'"([a-z-]+[><=][^"]+)"', next(line for line in text.splitlines() if line.startswith("RUN pip install"))))
    assert set(project["optional-dependencies"]["serve"]) <= installed <= {*project["optional-dependencies"]["serve"], *project["dependencies"]}
    health = json.loads(re.search(r"^  CMD (\[.+\])$", text, re.M)[1])
    entry = json.loads(re.search(r"^ENTRYPOINT (\[.+\])$", text, re.M)[1])
    with socket.create_server(("127.0.0.1", 0)) as server:      # both go by FLOWLAB_PORT
        port = str(server.getsockname()[1])
        threading.Thread(target=lambda: server.accept()[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), daemon=True).start()
        assert subprocess.run([sys.executable, *health[1:]], env={**os.environ, "FLOWLAB_PORT": port}).returncode == 0
    told = subprocess.run([*entry, "a file.json", "--queue", "2"], env={**os.environ, "FLOWLAB_PORT": port, "PATH": f"{_echo(tmp_path)}:{os.environ['PATH']}"}, capture_output=True, text=True)
    assert told.stdout.splitlines() == ["serve", "--host", "0.0.0.0", "--port", port, "a file.json", "--queue", "2"]
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "**/.venv", "**/node_modules", "flowlab/widgets/static"} <= set(ignored)
    loaded = subprocess.run([sys.executable, "-c", "import sys; from flowlab import cli; from flowlab.apps import serve; serve.web(); print(*{m.partition('.')[0] for m in sys.modules})"],
                            capture_output=True, text=True, cwd=ROOT)
    assert loaded.returncode == 0, loaded.stderr
    assert not {"anywidget", "ipywidgets", "plotly", "jupyterlab", "jupyter_server", "tqdm", "tornado"} & set(loaded.stdout.split())
    assert {"numpy", "safetensors", "threadpoolctl"} <= {re.split("[><=]", name)[0] for name in installed}


# ---------------------------------------------------------------- rows that stay apart


def zoo() -> dict[str, Any]:
    """Graphs over x (batch, 5, 4) in which row k depends on row k alone."""
    def scanned(x: Any) -> Any:
        W = fl.variable(fl.init.normal((4, 3)), name="W")
        with fl.scan(x, time_axis=1, name="rnn") as step:
            before = step.state("h", size=3)
            h = fl.tanh(step.input @ W + before)
            step.update(before, h)
            step.output(h)
        return step.outputs[0]
    weights = np.random.default_rng(0).standard_normal((4, 4)).astype("float32")
    return {
        "dense": lambda x: fl.nn.dense(x, 3, name="layer"), "reshape": lambda x: fl.reshape(x, ("batch", 20)), "softmax": lambda x: fl.softmax(x, axis=1),
        "lstm": lambda x: fl.nn.lstm(x, 3, name="lstm")[0], "gru both ways": lambda x: fl.nn.gru(x, 3, bidirectional=True, name="gru")[0], "last state": lambda x: fl.nn.lstm(x, 3, name="lstm")[1][0],
        "scan": scanned, "conv": lambda x: fl.conv2d(fl.expand_dims(x, axis=1), np.ones((2, 1, 2, 2), "float32")), "transposed": lambda x: fl.transpose(x, (1, 0, 2)) @ weights,
        "means": lambda x: x - fl.mean(x, axis=(1, 2), keepdims=True), "products": lambda x: x @ fl.transpose(x, (0, 2, 1)), "columns": lambda x: fl.matmul(weights, fl.transpose(x[:, 0], (1, 0))),
        "einsum": lambda x: fl.einsum("bij,jk->kb", x, weights), "slices": lambda x: fl.concat([x[:, 1:3, ::-1], x[:, :2]], axis=-1), "stack": lambda x: fl.stack([x[:, 0], x[:, 1]], axis=0),
        "norm": lambda x: fl.layer_norm(x), "top": lambda x: fl.sort(x), "where": lambda x: fl.where(x > 0, x, fl.zeros_like(x)),
        "loss a row": lambda x: fl.mse(fl.reshape(x, ("batch", 20)), fl.reshape(fl.cumsum(x, axis=1), ("batch", 20))), "argmax": lambda x: fl.argmax(x[:, :, 0], axis=1), "one hot": lambda x: fl.one_hot(fl.argmax(x, axis=2), 4),
        "lookup": lambda x: fl.gather(fl.constant(weights), fl.argmax(x, axis=2)), "attention": lambda x: fl.softmax(x @ fl.transpose(x, (0, 2, 1)) / 2.0) @ x,
    }


@pytest.mark.parametrize("what", zoo())
def test_rows_that_are_proven_apart_are_equal_alone_and_together(what):
    with fl.Graph(what) as g:
        x = fl.placeholder(("batch", 5, 4), name="x")
        y = fl.identity(zoo()[what](x), name="y")
    with fl.Session(g) as sess:
        axis = row_axes(g, g.nodes, [y], [x], "batch")[y]
        data = np.random.default_rng(1).standard_normal((6, 5, 4)).astype("float32")
        alone = np.concatenate([sess.run(y, {x: part}) for part in (data[:1], data[1:4], data[4:])], axis=axis)
        np.testing.assert_allclose(alone, sess.run(y, {x: data}), rtol=1e-5, atol=1e-6)


MIXED = {
    "sum": lambda x: fl.sum(x), "sum over the batch": lambda x: x - fl.mean(x, axis=0), "kept": lambda x: x - fl.max(x, axis=0, keepdims=True), "softmax": lambda x: fl.softmax(x, axis=0),
    "gram": lambda x: x @ fl.transpose(x), "flipped": lambda x: fl.flip(x, axis=0), "running": lambda x: fl.cumsum(x, axis=0), "shifted": lambda x: fl.roll(x, 1, axis=0), "sorted": lambda x: fl.sort(x, axis=0),
    "first": lambda x: x + x[0], "every second": lambda x: x[::2], "backwards": lambda x: x[::-1], "picked": lambda x: fl.gather(x, fl.argmax(x, axis=1)), "merged": lambda x: fl.reshape(x, (-1, 2)),
    "batch norm": lambda x: fl.batch_norm(x, np.ones(4, "float32"), np.zeros(4, "float32"))[0],
    "dropout": lambda x: fl.dropout(x, 0.5), "loop": lambda x: fl.identity(_carried(x)), "size": lambda x: x / fl.sum(fl.ones_like(x)),
    "one's own": lambda x: _own(x), "contracted": lambda x: fl.einsum("bi,bj->bij", x, x) * fl.einsum("bi,bj->ij", x, x),
}


def _carried(x: Any) -> Any:
    with fl.scan(x, time_axis=0, name="over") as step:
        before = step.state("h", init=np.zeros(4, "float32"))
        step.update(before, before + step.input)
        step.output(before)
    return step.outputs[0]


def _own(x: Any) -> Any:
    if "RowsOwn" not in REGISTRY:
        @fl.op(type="RowsOwn")
        def rows_own(xp, x: Float):     # noqa: F821
            """Add the first row."""
            return x + x[0]
    return REGISTRY["RowsOwn"](x)


@pytest.mark.parametrize("what", MIXED)
def test_a_graph_in_which_rows_meet_is_not_merged(what):
    with fl.Graph(what) as g:
        x = fl.placeholder(("batch", 4), name="x")
        y = MIXED[what](x)
    with pytest.raises(RowsMeet) as error:
        row_axes(g, g.nodes, [y], [x], "batch")
    assert error.value.node in {n.name for n in g.nodes}
    if not any(n.op.random for n in g.nodes):
        with service.Model(fl.Session(g), [y]) as model:
            assert model.describe()["batching"]["along"] is None and model.describe()["batching"]["why"]


def test_numbers_that_json_has_not_are_read_only_where_somebody_looks_at_them():
    assert jsonio.parse("[1e999, -Infinity]", finite=False) == [float("inf"), float("-inf")]
    with pytest.raises(fl.DocumentError):
        jsonio.parse("[1e999]")


def test_the_reason_not_to_merge_is_that_of_the_first_axis():
    with fl.Graph() as g:
        seq = fl.placeholder(("batch", "time", 3), name="seq")
        rows = fl.sum(seq, axis=(1, 2), name="rows")
        loss = fl.mean(rows, name="loss")
    with service.Model(fl.Session(g), [loss]) as model:
        assert model.describe()["batching"]["why"].startswith("loss (Mean)")
