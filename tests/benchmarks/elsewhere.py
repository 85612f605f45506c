"""Answers a second of `flowlab serve`, with runs shared by several requests and without; a training step on two Dask workers beside one process. BLAS at one thread.

    python tests/benchmarks/elsewhere.py [--rounds 4] [--clients 16]

The two servers stand beside each other and are asked in turn, by clients that send the next request when the answer is there.
"""
from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

wanted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(k) != v for k, v in wanted.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})

import numpy as np
from safetensors.numpy import save

import flowlab as fl


def dense() -> fl.Graph:
    with fl.Graph("784-256-10") as g:
        x = fl.placeholder(("batch", 784), name="x")
        fl.softmax(fl.nn.dense(fl.nn.dense(x, 256, activation="relu", name="hidden"), 10, name="out"), name="p")
    return g


def recurrent() -> fl.Graph:
    with fl.Graph("two LSTM layers of 256, 60 timesteps") as g:
        x = fl.placeholder(("batch", 60, 24), name="x")
        out, _ = fl.nn.lstm(x, 256, name="a")
        out, _ = fl.nn.lstm(out, 256, name="b")
        fl.softmax(fl.nn.dense(out[:, -1], 10, name="out"), name="p")
    return g


def served(folder: Path, merge: int) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-m", "flowlab", "serve", "graph.flow.json", "--port", "0", "--no-token", "--merge", str(merge)], cwd=folder, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for line in process.stdout:
        if found := re.search(r"Answering at http://127.0.0.1:(\d+)", line):
            return process, int(found[1])
    raise SystemExit("the service did not start")


async def load(port: int, body: bytes, clients: int, each: int) -> tuple[float, list[float]]:
    """Answers a second, and the seconds that each took."""
    request = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-safetensors\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    took = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(each):
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
            if b" 200 " not in head[:20]:
                raise SystemExit(head.decode())
            took.append(time.perf_counter() - began)
        writer.close()
    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return clients * each / (time.perf_counter() - began), took


def service(g: fl.Graph, rounds: int, clients: int) -> None:
    shape = g.tensor("x:0").shape[1:]
    body = save({"x": np.random.default_rng(0).random((1, *shape), dtype="float32")})
    with tempfile.TemporaryDirectory() as folder:
        fl.save(g, Path(folder) / "graph.flow.json")
        both = {merge: served(Path(folder), merge) for merge in (256, 1)}
        found: dict[int, list] = {256: [], 1: []}
        for k in range(rounds + 1):
            for merge, (_, port) in both.items():
                answer = asyncio.run(load(port, body, clients, 60))
                if k:       # the first compiles
                    found[merge].append(answer)
        for process, _ in both.values():
            process.terminate()
            process.wait(30)
    print(f"{g.name}, {clients} clients:")
    for merge, answers in found.items():
        times = sorted(t for _, took in answers for t in took)
        print(f"  {'shared runs   ' if merge > 1 else 'a run each    '} {statistics.median(a for a, _ in answers):6.0f} answers/s, median {times[len(times) // 2] * 1e3:5.1f} ms, "
              f"99 % within {times[len(times) * 99 // 100] * 1e3:5.1f} ms")


def cluster(rounds: int) -> None:
    from distributed import Client, LocalCluster

    from flowlab.apps.distributed import DataParallel
    rng = np.random.default_rng(0)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as found, Client(found) as client:
        for g, rows in ((dense(), 128), (recurrent(), 64)):
            with g:
                labels = fl.placeholder(("batch",), "int64", name="labels")
                loss = fl.mean(fl.nll(fl.log(g.tensor("p:0")), labels), name="loss")
                train = fl.optim.Adam(1e-3).minimize(loss, name="train")
            x = g.tensor("x:0")
            feeds = {x: rng.random((rows, *x.shape[1:]), dtype="float32"), labels: rng.integers(0, 10, rows)}
            sess, step = fl.Session(g), DataParallel(fl.Session(g), client, train, [loss])
            ways = {"one process": lambda: sess.run([train, loss], feeds), "two workers": lambda: step.step(feeds)}     # noqa: B023
            took: dict[str, list[float]] = {w: [] for w in ways}
            for _ in range(5 * rounds):
                for way, go in ways.items():
                    began = time.perf_counter()
                    go()
                    took[way].append(time.perf_counter() - began)
            step.close()
            size = sum(int(np.prod(v.shape)) for v in g.trainable_variables)
            print(f"{g.name}, {size:,} parameters, a step of {rows} rows: " + ", ".join(f"{way} {statistics.median(t[2:]) * 1e3:.1f} ms (least {min(t) * 1e3:.1f})" for way, t in took.items()))


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=4)
    ap.add_argument("--clients", type=int, default=16)
    a = ap.parse_args()
    for g in (dense(), recurrent()):
        service(g, a.rounds, a.clients)
    cluster(a.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
