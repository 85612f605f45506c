"""The engine beside NumPy by hand, torch, JAX and TensorFlow: alternating blocks in one process, medians of paired ratios.

    python tests/benchmarks/engine.py [--threads 1] [--rounds 9] [--only mlp]

A ratio is flowlab's time over the peer's in the same round; the last column is where it must stand. With numba installed all is run twice: without
it, and with it. Peers that are not installed are left out. Nothing is kept.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version

THREADS = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
FAST = os.environ.get("FLOWLAB_FAST") == "1"    # the second column: with numba
wanted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), THREADS) | {"FLOWLAB_FAST": "1" if FAST else "0"}
if any(os.environ.get(k) != v for k, v in wanted.items()) or "OPENBLAS_CORETYPE" in os.environ or "OPENBLAS_L2_SIZE" in os.environ:
    # threads are fixed before NumPy loads, and a BLAS that is told which processor to take is not the one a person has
    clean = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")} | wanted | {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.execve(sys.executable, [sys.executable, *sys.argv], clean)
CORES = json.loads(os.environ.get("FLOWLAB_BENCH_CORES", "null")) or (sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [])
os.environ["FLOWLAB_BENCH_CORES"] = json.dumps(CORES)       # a process that this one starts may have them all again
if CORES:
    os.sched_setaffinity(0, {max(CORES)} if THREADS == "1" and "--both-cores" not in sys.argv else CORES)

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
    """The module, if it is installed; None, with a line that says so, otherwise."""
    try:
        return __import__(module, fromlist=["*"])
    except ImportError:
        if module not in _MISSING:
            _MISSING.add(module)
            print(f"{module} is not installed: its rows are left out (pip install '.[bench]' jax)")
        return None


_MISSING: set[str] = set()


def bound(default: float | None, fast: float | None) -> float | None:
    """Where a ratio must stand in this column."""
    return fast if FAST else default


def dispatch(rounds: int) -> None:
    with fl.Graph() as g:
        x, factor = fl.placeholder((8,), name="x"), fl.placeholder((8,), name="factor")     # fed, or the gradient would be a constant
        b = fl.constant(np.ones(8, F32))
        y = w = x
        for _ in range(1000):
            y, w = fl.add(y, b), fl.multiply(w, factor)
        z = fl.add(x, b)
        dw, = fl.gradients(w, [x])
    sess, xs, ones = fl.Session(g), np.ones(8, F32), np.ones(8, F32)
    source = "def hand(v, b, add):\n" + "    v = add(v, b)\n" * 1000 + "    return v"
    scope: dict = {}
    exec(source, scope)
    peers = {"the same calls by hand": (lambda: scope["hand"](xs, ones, np.add), bound(1.05, None))}
    torch = maybe("torch")
    if torch is not None:
        tx, tones = torch.ones(8), torch.ones(8)

        def eager():
            v = tx
            for _ in range(1000):
                v = v + tones
            return v

        def taped():
            v = start = torch.ones(8, requires_grad=True)
            for _ in range(1000):
                v = v * tones
            return torch.autograd.grad(v.sum(), start)
        peers[f"torch {torch.__version__} eager"] = (eager, bound(0.27, None))
    compare("1,000 adds on 8 floats", lambda: sess.run(y, {x: xs}), peers, max(rounds, 21), 0.02)
    if torch is not None:
        compare("1,000 products on 8 floats and their gradient", lambda: sess.run([w, dw], {x: xs, factor: ones}), {"torch autograd": (taped, bound(0.10, None))}, rounds)
    compare("a run of one add", lambda: sess.run(z, {x: xs}), {"the call alone": (lambda: np.add(xs, ones), None)}, rounds)
    cost = statistics.median(timed(lambda: sess.run(z, {x: xs}), 2000) - timed(lambda: np.add(xs, ones), 2000) for _ in range(rounds)) * 1e6
    print(f"    a run costs {cost:.1f} µs over its calls   must be ≤ 5{'' if cost <= 5 else '   MISSED'}")


def timed(function, count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - begin) / count


def chain(rounds: int) -> None:
    """tanh(f·c + i·g)·f + c on 32K floats."""
    with fl.Graph() as g:
        f, c, i, k = (fl.placeholder((32, 1024), name=n) for n in "fcik")
        y = fl.tanh(f * c + i * k) * f + c
    r = np.random.default_rng(0)
    sess, feeds = fl.Session(g), {p: r.standard_normal((32, 1024)).astype(F32) for p in (f, c, i, k)}
    vf, vc, vi, vk = feeds.values()
    a, b = np.empty_like(vf), np.empty_like(vf)

    def hand():
        np.multiply(vf, vc, a)
        np.multiply(vi, vk, b)
        np.add(a, b, a)
        np.tanh(a, a)
        np.multiply(a, vf, a)
        return np.add(a, vc)
    for _ in range(40):
        sess.run(y, feeds)
    peers = {"the same calls by hand, buffers reused": (hand, bound(None, 0.4))}
    torch = maybe("torch")
    if torch is not None:
        tf, tc, ti, tk = (torch.tensor(v) for v in (vf, vc, vi, vk))
        peers[f"torch {torch.__version__}"] = (lambda: torch.tanh(tf * tc + ti * tk) * tf + tc, None)
    compare("tanh(f·c + i·g)·f + c on 32K floats", lambda: sess.run(y, feeds), peers, rounds)


class HandMLP:
    """784-256-10 with softmax cross-entropy and SGD, buffers reused: as fast as NumPy is written."""

    def __init__(self, batch: int = 64, hidden: int = 256):
        r = np.random.default_rng(0)
        self.w1, self.b1 = (r.standard_normal((784, hidden)) / 28).astype(F32), np.zeros(hidden, F32)
        self.w2, self.b2 = (r.standard_normal((hidden, 10)) / 16).astype(F32), np.zeros(10, F32)

        def e(*shape: int) -> np.ndarray:
            return np.empty(shape, F32)
        self.h, self.z, self.dz, self.dh = e(batch, hidden), e(batch, 10), e(batch, 10), e(batch, hidden)
        self.g1, self.g2, self.mask, self.rows = e(784, hidden), e(hidden, 10), np.empty((batch, hidden), bool), np.arange(batch)

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


def jax_step(jax, loss, params, x, y):
    """One jitted SGD step on `loss(params, x, y)`."""
    step = jax.jit(lambda p, x, y: jax.tree.map(lambda a, b: a - 1e-3 * b, p, jax.grad(loss)(p, x, y)), donate_argnums=0)
    held = [params]
    x, y = jax.numpy.asarray(x), jax.numpy.asarray(y)

    def go():
        held[0] = step(held[0], x, y)
        jax.block_until_ready(held[0])
    return go


def jax_surprise(jax, z, y):
    return -jax.numpy.mean(jax.numpy.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1))


def tf1_step(tf, x, y, logits):
    """One SGD step as a TensorFlow 1 graph run by a session; `logits(v1, x)` builds the network."""
    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default():
        px, py = v1.placeholder(tf.float32, x.shape), v1.placeholder(tf.int64, y.shape)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=py, logits=logits(v1, px)))
        train, start = v1.train.GradientDescentOptimizer(1e-3).minimize(loss), v1.global_variables_initializer()
    config = v1.ConfigProto(intra_op_parallelism_threads=int(THREADS), inter_op_parallelism_threads=int(THREADS))
    session = v1.Session(graph=graph, config=config)
    session.run(start)
    return lambda: session.run([loss, train], {px: x, py: y})


def tf1_variable(v1, *shape):
    return v1.Variable(np.random.default_rng(0).normal(0, 0.05, shape).astype(F32))


def mlp(rounds: int) -> None:
    r = np.random.default_rng(0)
    xs, ys = r.standard_normal((64, 784)).astype(F32), r.integers(0, 10, 64)
    with fl.Graph("mlp") as g:
        x, labels = fl.placeholder(("batch", 784), name="x"), fl.placeholder(("batch",), "int64", name="labels")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(fl.nn.dense(x, 256, "relu", name="hidden"), 10, name="out"), labels), name="loss")
        train = fl.optim.SGD(1e-3).minimize(loss)
    sess, feeds, wanted = fl.Session(g), {x: xs, labels: ys}, [loss, train]
    hand = HandMLP()
    peers: dict = {"NumPy by hand, buffers reused": (lambda: hand.step(xs, ys), None),
                   "its two large products alone": (lambda: (np.dot(xs, hand.w1, hand.h), np.dot(xs.T, hand.dh, hand.g1)), None)}
    torch, jax, tf = maybe("torch"), maybe("jax"), maybe("tensorflow")
    if torch is not None:
        torch.set_num_threads(int(THREADS))
        model = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
        peers[f"torch {torch.__version__}"] = (torch_step(torch, model, torch.tensor(xs), torch.tensor(ys)), bound(0.65, 0.60))
    if jax is not None:
        params = [jax.numpy.asarray(r.standard_normal(s).astype(F32) * 0.05) for s in ((784, 256), (256,), (256, 10), (10,))]
        peers[f"JAX {jax.__version__}, jit"] = (jax_step(jax, lambda p, x, y: jax_surprise(jax, jax.nn.relu(x @ p[0] + p[1]) @ p[2] + p[3], y), params, xs, ys), None)
    if tf is not None:
        def logits(v1, x):
            h = tf.nn.relu(x @ tf1_variable(v1, 784, 256) + tf1_variable(v1, 256))
            return h @ tf1_variable(v1, 256, 10) + tf1_variable(v1, 10)
        peers[f"TensorFlow {tf.__version__}, a session"] = (tf1_step(tf, xs, ys, logits), None)
    compare("MLP 784-256-10, batch 64, one SGD step", lambda: sess.run(wanted, feeds), peers, rounds)

    def stepped() -> None:
        debugger = fl.Debugger(sess, wanted, feeds, record=False)
        while debugger.step() is not None:
            pass

    def traced() -> None:
        assert all(event.stats for event in sess.trace(wanted, feeds).events if event.outputs)
    compare("  the same, traced, with the statistics of every firing", traced, {"run": (lambda: sess.run(wanted, feeds), bound(1.5, None))}, rounds)
    compare("  the same, stepped to the end", stepped, {"run": (lambda: sess.run(wanted, feeds), bound(1.2, None))}, rounds)


def lstm(title: str, batch: int, time_steps: int, features: int, units: int, rounds: int, to_torch: float | None, to_jax: float | None) -> None:
    r = np.random.default_rng(0)
    xs, ys = r.standard_normal((batch, time_steps, features)).astype(F32), r.integers(0, 10, batch)
    with fl.Graph("lstm") as g:
        x, labels = fl.placeholder(("batch", time_steps, features), name="x"), fl.placeholder(("batch",), "int64", name="labels")
        _, (last, _) = fl.nn.lstm(x, units, name="lstm")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(last, 10, name="out"), labels), name="loss")
        train = fl.optim.SGD(1e-3).minimize(loss)
    sess, feeds = fl.Session(g), {x: xs, labels: ys}
    torch, jax, tf = maybe("torch"), maybe("jax"), maybe("tensorflow")
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
        peers[f"torch.nn.LSTM {torch.__version__}"] = (torch_step(torch, Model(), tx, torch.tensor(ys)), to_torch)
    if jax is not None:
        jnp = jax.numpy
        params = [jnp.asarray(r.standard_normal(s).astype(F32) * 0.05) for s in ((features, 4 * units), (units, 4 * units), (4 * units,), (units, 10), (10,))]

        def surprise(p, x, y):
            def cell(state, z):
                h, c = state
                i, f, g, o = jnp.split(z + h @ p[1], 4, 1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
            zero = jnp.zeros((batch, units))
            (h, _), _ = jax.lax.scan(cell, (zero, zero), x @ p[0] + p[2])
            return jax_surprise(jax, h @ p[3] + p[4], y)
        peers[f"JAX {jax.__version__}, jit of a scan"] = (jax_step(jax, surprise, params, np.ascontiguousarray(xs.transpose(1, 0, 2)), ys), to_jax)
    if tf is not None:
        def logits(v1, x):
            w = tf1_variable(v1, features + units, 4 * units)
            found = tf.raw_ops.BlockLSTM(seq_len_max=np.int64(time_steps), x=tf.transpose(x, (1, 0, 2)), cs_prev=tf.zeros((batch, units)), h_prev=tf.zeros((batch, units)),
                                         w=w, wci=tf.zeros((units,)), wcf=tf.zeros((units,)), wco=tf.zeros((units,)), b=tf1_variable(v1, 4 * units))
            return found.h[-1] @ tf1_variable(v1, units, 10) + tf1_variable(v1, 10)
        peers[f"TensorFlow {tf.__version__}, BlockLSTM"] = (tf1_step(tf, xs, ys, logits), None)
    compare(title, lambda: sess.run([loss, train], feeds), peers, rounds, 0.2)


def lstms(rounds: int) -> None:
    two = THREADS != "1"
    lstm("LSTM 28 → 64, 28 timesteps, batch 32, one SGD step", 32, 28, 28, 64, rounds, bound(None if two else 1.0, 0.8 if two else 0.6), None)
    lstm("LSTM 64 → 256, 100 timesteps, batch 64, one SGD step", 64, 100, 64, 256, max(rounds // 2, 3), bound(None if two else 1.0, 0.88), bound(0.65, 0.60))


def cnn(rounds: int) -> None:
    r = np.random.default_rng(0)
    xs, ys = r.standard_normal((64, 1, 28, 28)).astype(F32), r.integers(0, 10, 64)
    with fl.Graph("cnn") as g:
        x, labels = fl.placeholder(("batch", 1, 28, 28), name="x"), fl.placeholder(("batch",), "int64", name="labels")
        h = fl.max_pool2d(fl.nn.conv2d(x, 8, 5, activation="relu"), 2)
        h = fl.max_pool2d(fl.nn.conv2d(h, 16, 5, activation="relu"), 2)
        loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(fl.nn.flatten(h), 10), labels))
        train = fl.optim.SGD(1e-3).minimize(loss)
    sess, feeds = fl.Session(g), {x: xs, labels: ys}
    torch, jax, tf = maybe("torch"), maybe("jax"), maybe("tensorflow")
    peers: dict = {}
    if torch is not None:
        torch.set_num_threads(int(THREADS))

        def model():
            n = torch.nn
            return n.Sequential(n.Conv2d(1, 8, 5), n.ReLU(), n.MaxPool2d(2), n.Conv2d(8, 16, 5), n.ReLU(), n.MaxPool2d(2), n.Flatten(), n.Linear(256, 10))
        tx, ty = torch.tensor(xs), torch.tensor(ys)
        peers[f"torch {torch.__version__}, NCHW"] = (torch_step(torch, model(), tx, ty), bound(0.8, 0.6))
        last = torch.channels_last
        peers[f"torch {torch.__version__}, channels last"] = (torch_step(torch, model().to(memory_format=last), tx.to(memory_format=last), ty), bound(1.0, 0.6))
    if jax is not None:
        jnp, lax = jax.numpy, jax.lax
        params = [jnp.asarray(r.standard_normal(s).astype(F32) * 0.05) for s in ((5, 5, 1, 8), (8,), (5, 5, 8, 16), (16,), (256, 10), (10,))]

        def surprise(p, x, y):
            for k in (0, 2):
                x = jax.nn.relu(lax.conv_general_dilated(x, p[k], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) + p[k + 1])
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            return jax_surprise(jax, x.reshape(x.shape[0], -1) @ p[4] + p[5], y)
        peers[f"JAX {jax.__version__}, jit"] = (jax_step(jax, surprise, params, xs.transpose(0, 2, 3, 1), ys), None)
    if tf is not None:
        def logits(v1, x):
            for before, after in ((1, 8), (8, 16)):
                x = tf.nn.relu(tf.nn.conv2d(x, tf1_variable(v1, 5, 5, before, after), 1, "VALID") + tf1_variable(v1, after))
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            return tf.reshape(x, (-1, 256)) @ tf1_variable(v1, 256, 10) + tf1_variable(v1, 10)
        peers[f"TensorFlow {tf.__version__}, a session"] = (tf1_step(tf, np.ascontiguousarray(xs.transpose(0, 2, 3, 1)), ys, logits), bound(None, 0.9))
    compare("CNN like LeNet, batch 64, one SGD step", lambda: sess.run([loss, train], feeds), peers, rounds, 0.2)


def random_graph(nodes: int, seed: int) -> tuple[fl.Graph, float]:
    """A graph of elementwise, matrix and reducing nodes and its gradient, `nodes` in all; and how long it took to build."""
    r = random.Random(seed)
    drawn = [(r.randrange(7), r.randrange(1 << 30), r.randrange(1 << 30)) for _ in range(nodes)]
    begin = time.perf_counter()
    with fl.Graph() as g:
        w = fl.variable(np.eye(8, dtype=F32) * 0.5, name="w")
        pool = [fl.placeholder((4, 8), name="x")]
        total = fl.mean(pool[0])
        for k, i, j in drawn:
            near = min(len(pool), 40)
            a, b = pool[-1 - i % near], pool[-1 - j % near]
            pool.append(fl.tanh(a) if k == 0 else a + b if k == 1 else a * b if k == 2 else a - b if k == 3 else fl.relu(a) if k == 4 else a @ w if k == 5 else fl.sigmoid(a) * 0.5)
            if len(pool) % 40 == 0:
                total = total + fl.mean(pool[-1])
                if len(g.nodes) >= nodes * 0.43:
                    break
        fl.gradients(total + fl.mean(fl.square(pool[-1])), [w])
    return g, time.perf_counter() - begin


def building(rounds: int) -> None:
    each, sizes = [], []
    for seed in range(max(rounds, 5)):
        g, seconds = random_graph(10_000, seed)
        each.append(seconds / len(g.nodes) * 1e6)
        sizes.append(len(g.nodes))
    cost = statistics.median(each)
    print(f"build and differentiate: {cost:.1f} µs a node, random graphs of {min(sizes):,} to {max(sizes):,} nodes   must be ≤ 5{'' if cost <= 5 else '   MISSED'}")


def importing(rounds: int) -> None:
    """As from an installed package: with its bytecode."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def cost(module: str) -> float:
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout)
    cost("flowlab"), cost("numpy")
    more = statistics.median(cost("flowlab") - cost("numpy") for _ in range(max(rounds, 7))) * 1e3
    print(f"import flowlab over import numpy: +{more:.0f} ms   must be ≤ 40{'' if more <= 40 else '   MISSED'}")


def parallel(rounds: int) -> None:
    """In a process of its own that has both cores: two branches of a 512³ product and a tanh, BLAS on one thread."""
    if len(CORES) < 2:
        print("two branches in parallel: there is one core")
        return
    from threadpoolctl import threadpool_limits
    with fl.Graph() as g:
        branches = [fl.tanh(fl.placeholder((512, 512), name=f"a{k}") @ fl.placeholder((512, 512), name=f"b{k}")) for k in range(2)]
        y = branches[0] + branches[1]
    r = np.random.default_rng(0)
    feeds = {p: r.standard_normal((512, 512)).astype(F32) for p in g.placeholders}
    with threadpool_limits(1):
        one, two = fl.Session(g), fl.Session(g, executor="parallel", workers=2)
        for _ in range(10):
            one.run(y, feeds), two.run(y, feeds)
        gains = []
        for _ in range(max(rounds, 9)):
            gains.append(timed(lambda: one.run(y, feeds), 10) / timed(lambda: two.run(y, feeds), 10))
        two.__exit__()
    gain = statistics.median(gains)
    print(f"two branches in parallel: {gain:.2f} times as fast on two cores   must be ≥ 1.85{'' if gain >= 1.85 else '   MISSED'}")


def peak(which: str) -> None:
    """Print by how many bytes the peak of this process grows in a training run; started by `memory`."""
    batch, hidden = 4096, 1024

    def taken(field: str = "VmRSS") -> int:     # getrusage would count what the parent had
        with open("/proc/self/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith(f"{field}:"))
    r = np.random.default_rng(0)
    xs, ys = r.standard_normal((batch, 784)).astype(F32), r.integers(0, 10, batch)
    if which == "hand":
        net = HandMLP(batch, hidden)
        small = HandMLP(4, 8)
        small.step(xs[:4], ys[:4])
        before = taken()

        def go():
            net.step(xs, ys)
    else:
        with fl.Graph() as g:
            x, labels = fl.placeholder(("batch", 784), name="x"), fl.placeholder(("batch",), "int64", name="labels")
            loss = fl.mean(fl.sparse_softmax_cross_entropy(fl.nn.dense(fl.nn.dense(x, hidden, "relu"), 10), labels))
            train = fl.optim.SGD(1e-3).minimize(loss)
        sess = fl.Session(g)
        for n in (4, 4, 4):
            sess.run([loss, train], {x: xs[:n], labels: ys[:n]})
        before = taken()

        def go():
            sess.run([loss, train], {x: xs, labels: ys})
    for _ in range(6):
        go()
    print(json.dumps(taken("VmHWM") - before))


def memory(rounds: int) -> None:
    if not os.path.exists("/proc/self/status"):
        return

    def grown(which: str) -> int:
        return json.loads(subprocess.run([sys.executable, __file__, "--peak", which], capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    ours, hand = grown("flowlab"), grown("hand")
    weights = (784 * 1024 + 1024 + 1024 * 10 + 10) * 4
    ratio = (ours - weights) / hand
    print(f"peak memory of training an MLP 784-1024-10 on batches of 4,096: {ours / 2**20:.1f} MiB, {hand / 2**20:.1f} by hand; less one copy of the weights {ratio:.2f}"
          f"   must be ≤ 1.05{'' if ratio <= 1.05 else '   MISSED'}")


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def main() -> int:
    rows = {"dispatch": dispatch, "chain": chain, "mlp": mlp, "lstm": lstms, "cnn": cnn, "build": building, "import": importing, "memory": memory, "parallel": parallel}
    alone = {"chain", "mlp", "lstm", "cnn"}     # the rows that numba has a part in
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--rounds", type=int, default=9)
    ap.add_argument("--only", choices=list(rows))
    ap.add_argument("--peak", choices=["flowlab", "hand"], help=argparse.SUPPRESS)
    ap.add_argument("--both-cores", action="store_true", help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.peak:
        peak(a.peak)
        return 0
    if a.both_cores:
        parallel(a.rounds)
        return 0
    found = {p: v for p in ("numpy", "torch", "jax", "tensorflow", "numba") if (v := installed(p) or installed(f"{p}-cpu"))}
    print(f"\n{'With numba' if FAST else 'Default install'}: Python {platform.python_version()}, flowlab {fl.__version__}, {', '.join(f'{k} {v}' for k, v in found.items())}, "
          f"{a.threads} thread{'s' if a.threads > 1 else ''}")
    for pool in threadpool_info():
        print(f"BLAS: {pool['internal_api']} {pool.get('version')}, kernel {pool.get('architecture')}, {pool['num_threads']} threads")
    for name, row in rows.items():
        if a.only not in (None, name) or FAST and name not in alone:
            continue
        if name == "parallel":
            subprocess.run([sys.executable, __file__, "--both-cores", "--rounds", str(a.rounds)], check=True)
        else:
            row(a.rounds)
    if not FAST and "numba" in found and (a.only is None or a.only in alone):
        sys.stdout.flush()
        return subprocess.run([sys.executable, *sys.argv], env=os.environ | {"FLOWLAB_FAST": "1"}).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
