"""The engine beside NumPy by hand, torch and JAX: alternating blocks in one process, medians of paired ratios.

    python tests/benchmarks/engine.py [--threads 1] [--rounds 9] [--only mlp]

A ratio is flowlab's time over the peer's in the same round; the last column is where it must stand.
"""
from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import time

THREADS = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
wanted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), THREADS)
if any(os.environ.get(k) != v for k, v in wanted.items()) or "OPENBLAS_CORETYPE" in os.environ:
    # threads are fixed before NumPy loads, and a BLAS that is told which processor to take is not the one a person has
    clean = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")} | wanted | {"JAX_PLATFORMS": "cpu"}
    os.execve(sys.executable, [sys.executable, *sys.argv], clean)
if THREADS == "1" and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np
from threadpoolctl import threadpool_info

import flowlab as fl

F32 = np.float32


def compare(title: str, ours, peers: dict, rounds: int, block: float = 0.08) -> dict[str, float]:
    """Print our time, and our time over each peer's: alternating blocks, median of the rounds. `peers`: name → (function, bound or None)."""
    functions = {"flowlab": ours} | {name: f for name, (f, _) in peers.items()}
    counts = {}
    for name, f in functions.items():
        f()
        f()
        begin = time.perf_counter()
        f()
        counts[name] = max(1, int(block / max(time.perf_counter() - begin, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in functions}
    for r in range(rounds):
        names = list(functions)
        random.Random(r).shuffle(names)
        for name in names:
            f = functions[name]
            f()
            begin = time.perf_counter()
            for _ in range(counts[name]):
                f()
            times[name].append((time.perf_counter() - begin) / counts[name])
    print(f"{title}: {statistics.median(times['flowlab']) * 1e6:,.1f} µs")
    ratios = {}
    for name, (_, bound) in peers.items():
        ratios[name] = statistics.median(a / b for a, b in zip(times["flowlab"], times[name]))
        verdict = "" if bound is None else f"   must be ≤ {bound}{'' if ratios[name] <= bound else '   MISSED'}"
        print(f"    over {name:38s} {ratios[name]:6.2f}   ({statistics.median(times[name]) * 1e6:,.1f} µs){verdict}")
    return ratios


def maybe(module: str):
    try:
        return __import__(module)
    except ImportError:
        print(f"{module} is not installed: its rows are left out (pip install '.[bench]')")
        return None


def dispatch(rounds: int) -> None:
    with fl.Graph() as g:
        x = fl.placeholder((8,), name="x")
        b = fl.constant(np.ones(8, F32))
        y = x
        for _ in range(1000):
            y = fl.add(y, b)
        z = fl.add(x, b)
    sess, xs, ones = fl.Session(g), np.ones(8, F32), np.ones(8, F32)
    source = "def hand(v, b, add):\n" + "    v = add(v, b)\n" * 1000 + "    return v"
    scope: dict = {}
    exec(source, scope)
    compare("1,000 adds on 8 floats", lambda: sess.run(y, {x: xs}), {"the same calls by hand": (lambda: scope["hand"](xs, ones, np.add), 1.05)}, rounds)
    compare("a run of one add", lambda: sess.run(z, {x: xs}), {"the call alone": (lambda: np.add(xs, ones), None)}, rounds)


class HandMLP:
    """784-256-10 with softmax cross-entropy and SGD, buffers reused: as fast as NumPy is written."""

    def __init__(self, batch: int = 64):
        r = np.random.default_rng(0)
        self.w1, self.b1 = (r.standard_normal((784, 256)) / 28).astype(F32), np.zeros(256, F32)
        self.w2, self.b2 = (r.standard_normal((256, 10)) / 16).astype(F32), np.zeros(10, F32)

        def e(*shape: int) -> np.ndarray:
            return np.empty(shape, F32)
        self.h, self.z, self.dz, self.dh = e(batch, 256), e(batch, 10), e(batch, 10), e(batch, 256)
        self.g1, self.g2, self.mask, self.rows = e(784, 256), e(256, 10), np.empty((batch, 256), bool), np.arange(batch)

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        rate = F32(1e-3)
        np.dot(x, self.w1, self.h)
        self.h += self.b1
        np.maximum(self.h, 0, out=self.h)
        np.dot(self.h, self.w2, self.z)
        z = self.z
        z += self.b2
        z -= z.max(1, keepdims=True)
        dz = np.exp(z, out=self.dz)
        total = dz.sum(1, keepdims=True)
        loss = float(np.log(total).sum() - z[self.rows, y].sum()) / len(y)
        dz /= total
        dz[self.rows, y] -= 1
        dz *= F32(1 / len(y))
        np.dot(self.h.T, dz, self.g2)
        np.dot(dz, self.w2.T, self.dh)
        np.greater(self.h, 0, self.mask)
        self.dh *= self.mask
        np.dot(x.T, self.dh, self.g1)
        self.b1 -= rate * self.dh.sum(0)
        self.b2 -= rate * dz.sum(0)
        for w, g in ((self.w1, self.g1), (self.w2, self.g2)):
            g *= rate
            w -= g
        return loss


def torch_step(torch, model, x, y):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return step


def mlp(rounds: int) -> None:
    r = np.random.default_rng(0)
    xs, ys = r.standard_normal((64, 784)).astype(F32), r.integers(0, 10, 64)
    with fl.Graph("mlp") as g:
        x, labels = fl.placeholder(("batch", 784), name="x"), fl.placeholder(("batch",), "int64", name="labels")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(fl.nn.dense(x, 256, "relu", name="hidden"), 10, name="out"), labels), name="loss")
        train = fl.optim.SGD(1e-3).minimize(loss)
    sess, feeds, wanted = fl.Session(g), {x: xs, labels: ys}, [loss, train]
    hand = HandMLP()
    peers: dict = {"NumPy by hand, buffers reused": (lambda: hand.step(xs, ys), None)}
    torch = maybe("torch")
    if torch is not None:
        torch.set_num_threads(int(THREADS))
        model = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
        peers[f"torch {torch.__version__}"] = (torch_step(torch, model, torch.tensor(xs), torch.tensor(ys)), 0.65)
    compare("MLP 784-256-10, batch 64, one SGD step", lambda: sess.run(wanted, feeds), peers, rounds)

    def stepped() -> None:
        debugger = fl.Debugger(sess, wanted, feeds, record=False)
        while debugger.step() is not None:
            pass

    def traced() -> None:
        assert all(event.stats for event in sess.trace(wanted, feeds).events if event.outputs)
    compare("  the same, traced with statistics", traced, {"run": (lambda: sess.run(wanted, feeds), 1.5)}, rounds)
    compare("  the same, stepped to the end", stepped, {"run": (lambda: sess.run(wanted, feeds), 1.2)}, rounds)


def lstm(title: str, batch: int, time_steps: int, features: int, units: int, rounds: int, bound: float) -> None:
    r = np.random.default_rng(0)
    xs, ys = r.standard_normal((batch, time_steps, features)).astype(F32), r.integers(0, 10, batch)
    with fl.Graph("lstm") as g:
        x, labels = fl.placeholder(("batch", time_steps, features), name="x"), fl.placeholder(("batch",), "int64", name="labels")
        _, (last, _) = fl.nn.lstm(x, units, name="lstm")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(last, 10, name="out"), labels), name="loss")
        train = fl.optim.SGD(1e-3).minimize(loss)
    sess, feeds = fl.Session(g), {x: xs, labels: ys}
    torch = maybe("torch")
    peers: dict = {}
    if torch is not None:
        torch.set_num_threads(int(THREADS))

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm, self.out = torch.nn.LSTM(features, units), torch.nn.Linear(units, 10)

            def forward(self, x):
                return self.out(self.lstm(x)[0][-1])
        tx = torch.tensor(xs).transpose(0, 1).contiguous()
        peers[f"torch.nn.LSTM {torch.__version__}"] = (torch_step(torch, Model(), tx, torch.tensor(ys)), bound)
    compare(title, lambda: sess.run([loss, train], feeds), peers, rounds, 0.2)


def building() -> None:
    begin = time.perf_counter()
    with fl.Graph() as g:
        x = fl.placeholder((8,), name="x")
        y = x
        for _ in range(3000):
            y = fl.tanh(y * y)
        fl.gradients(fl.sum(y), [x])
    each = (time.perf_counter() - begin) / len(g.nodes) * 1e6
    print(f"build and differentiate: {each:.1f} µs a node over {len(g.nodes):,} nodes   must be ≤ 5{'' if each <= 5 else '   MISSED'}")


def importing() -> None:
    def cost(module: str) -> float:
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        return statistics.median(float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(7))
    more = (cost("flowlab") - cost("numpy")) * 1e3
    print(f"import flowlab over import numpy: +{more:.0f} ms   must be ≤ 40{'' if more <= 40 else '   MISSED'}")


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--rounds", type=int, default=9)
    ap.add_argument("--only", choices=["dispatch", "mlp", "lstm", "build", "import"])
    a = ap.parse_args()
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, flowlab {fl.__version__}, {a.threads} thread{'s' if a.threads > 1 else ''}")
    for pool in threadpool_info():
        print(f"BLAS: {pool['internal_api']} {pool.get('version')}, kernel {pool.get('architecture')}, {pool['num_threads']} threads")
    rows = {
        "dispatch": lambda: dispatch(a.rounds), "mlp": lambda: mlp(a.rounds), "build": building, "import": importing,
        "lstm": lambda: (lstm("LSTM 28 → 64, 28 timesteps, batch 32, one SGD step", 32, 28, 28, 64, a.rounds, 1.0),
                         lstm("LSTM 64 → 256, 100 timesteps, batch 64, one SGD step", 64, 100, 64, 256, max(a.rounds // 2, 3), 1.0)),
    }
    for name, row in rows.items():
        if a.only in (None, name):
            row()
    return 0


if __name__ == "__main__":
    sys.exit(main())
