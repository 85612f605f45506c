"""Two independent branches in parallel: alternating blocks in one process, medians of paired ratios, BLAS at one thread.

    python tests/benchmarks/branches.py [--rounds 25] [--size 512]

Beside flowlab's own compiled and parallel executors stand two bare Python threads that make the same NumPy calls: what the machine has to give.
"""
from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

wanted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(k) != v for k, v in wanted.items()) or "OPENBLAS_CORETYPE" in os.environ:
    # threads are fixed before NumPy loads, and a BLAS that is told which processor to take is not the one a person has
    clean = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")} | wanted
    os.execve(sys.executable, [sys.executable, *sys.argv], clean)

import numpy as np
from threadpoolctl import threadpool_info

import flowlab as fl
from flowlab.runtime.machine import cpu_count


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=25)
    ap.add_argument("--size", type=int, default=512)
    a = ap.parse_args()
    n = a.size
    with fl.Graph() as g:
        xs = [fl.placeholder((n, n), name=name) for name in "ab"]
        ys = [fl.tanh(x @ x) for x in xs]
    rng = np.random.default_rng(0)
    feeds = {x: rng.standard_normal((n, n)).astype("float32") for x in xs}
    one, two = feeds.values()
    pool = ThreadPoolExecutor(1)

    def branch(x):
        return np.tanh(x @ x)

    def threads():
        other = pool.submit(branch, one)
        return branch(two), other.result()

    compiled, parallel = fl.Session(g), fl.Session(g, executor="parallel", workers=2)
    ways = {"flowlab, compiled": lambda: compiled.run(ys, feeds), "flowlab, parallel": lambda: parallel.run(ys, feeds),
            "NumPy, one thread": lambda: (branch(one), branch(two)), "NumPy, two threads": threads}
    for way in ways.values():
        for _ in range(20):     # until the parallel executor has made its choice
            way()
    begin = time.perf_counter()
    ways["flowlab, compiled"]()
    count = max(1, int(0.05 / (time.perf_counter() - begin)))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(a.rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            for _ in range(count):
                way()
            times[name].append((time.perf_counter() - begin) / count)
    blas = ", ".join(f"{p['internal_api']} {p.get('version')} {p.get('architecture')}" for p in threadpool_info() if p["user_api"] == "blas")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {blas}, {cpu_count()} processors, two branches of a {n}×{n} product and tanh")
    for name, seconds in times.items():
        print(f"    {name:20s} {statistics.median(seconds) * 1e3:7.3f} ms")
    for kind, (slow, fast), bound in (("flowlab", ("flowlab, compiled", "flowlab, parallel"), 1.85), ("bare threads", ("NumPy, one thread", "NumPy, two threads"), None)):
        ratio = statistics.median(s / f for s, f in zip(times[slow], times[fast]))
        verdict = "" if bound is None else f"   must be ≥ {bound}{'' if ratio >= bound else '   MISSED'}"
        print(f"    {kind}: {ratio:.2f}× faster{verdict}")
    modes = {p.mode for s in parallel.parallel._schedules.values() for p in s.profiles.values()}
    print(f"    the parallel executor chose: {', '.join(sorted(modes))}")
    parallel.__exit__()
    return 0


if __name__ == "__main__":
    sys.exit(main())
