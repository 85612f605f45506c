"""The captcha notebook's network beside torch: same data, same first weights, same schedule, one after the other on this machine.

    python tests/benchmarks/read_captcha.py [--epochs 9] [--examples 40000] [--skip-torch] [--weights FILE]

Prints minutes and the share of 1,000 unseen captchas read whole. Both get all cores of the machine.
"""
from __future__ import annotations

import argparse
import os
import platform
import sys
import time

# a BLAS that is told which processor to take is not the one a person has
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    if name in os.environ:
        os.environ.pop(name)
        os.execv(sys.executable, [sys.executable, *sys.argv])

import numpy as np
from threadpoolctl import threadpool_info

import flowlab as fl

UNITS, BATCH, RATE, CLIP = 128, 64, 5e-3, 1.0


def columns(images: np.ndarray) -> np.ndarray:
    """As in the notebook: grey, 2 × 2 averaged, mean removed, columns as timesteps."""
    grey = images.astype(np.float32).mean(axis=-1) / 255
    small = grey.reshape(-1, 24, 2, 60, 2).mean(axis=(2, 4))
    small -= small.mean(axis=(1, 2), keepdims=True)
    return np.ascontiguousarray(small.transpose(0, 2, 1))


def build(steps: int):
    with fl.Graph("captcha") as g:
        seq = fl.placeholder(("batch", 60, 24), name="seq")
        digits = fl.placeholder(("batch", 4), "int64", name="digits")
        first, _ = fl.nn.lstm(seq, UNITS, name="lstm_1")
        _, (last, _) = fl.nn.lstm(first, UNITS, name="lstm_2")
        heads = [fl.nn.dense(last, 10, name=f"digit_{k + 1}") for k in range(4)]
        loss = fl.mean(fl.stack([fl.sparse_softmax_cross_entropy(h, digits[:, k]) for k, h in enumerate(heads)]), name="loss")
        reading = fl.stack([fl.argmax(h) for h in heads], axis=1, name="reading")
        train = fl.optim.Adam(fl.optim.one_cycle(RATE, steps), clip_norm=CLIP).minimize(loss, name="train")
    return g, seq, digits, loss, reading, train


def with_flowlab(data, epochs: int, weights: str | None) -> tuple[float, list[float], dict[str, np.ndarray]]:
    xs, ys, unseen, labels = data
    g, seq, digits, loss, reading, train = build(epochs * -(-len(xs) // BATCH))
    sess = fl.Session(g, seed=0)
    start = {name: value for name, value in sess.variables.items() if not name.startswith("Adam/")}
    seen: list[float] = []

    def measure(epoch, means):
        out = np.concatenate([sess.run(reading, {seq: unseen[k:k + 250]}) for k in range(0, len(unseen), 250)])
        seen.append(float((out == labels).all(axis=1).mean()))
        print(f"  flowlab epoch {epoch + 1:2}: loss {means['loss']:.3f}, whole captchas {seen[-1]:.1%}", flush=True)

    pipeline = fl.data.Pipeline({seq: xs, digits: ys}).shuffle(seed=0).batch(BATCH)
    history = fl.fit(sess, train, pipeline, epochs=epochs, fetches={"loss": loss}, on_epoch=measure, progress=False, checkpoint=weights)
    return history.seconds, seen, start


def with_torch(data, epochs: int, start: dict[str, np.ndarray]) -> tuple[float, list[float]]:
    import torch
    xs, ys, unseen, labels = data

    # torch keeps its gates in the order i, f, g, o, as we do
    def lstm(features: int, name: str) -> torch.nn.LSTM:
        layer = torch.nn.LSTM(features, UNITS, batch_first=True)
        with torch.no_grad():
            layer.weight_ih_l0.copy_(torch.tensor(start[f"{name}/kernel"].T))
            layer.weight_hh_l0.copy_(torch.tensor(start[f"{name}/recurrent_kernel"].T))
            layer.bias_ih_l0.copy_(torch.tensor(start[f"{name}/bias"]))
            layer.bias_hh_l0.zero_()
        return layer

    def dense(name: str) -> torch.nn.Linear:
        layer = torch.nn.Linear(UNITS, 10)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(start[f"{name}/kernel"].T))
            layer.bias.copy_(torch.tensor(start[f"{name}/bias"]))
        return layer

    one, two, heads = lstm(24, "lstm_1"), lstm(UNITS, "lstm_2"), torch.nn.ModuleList(dense(f"digit_{k + 1}") for k in range(4))
    for layer in (one, two):
        layer.bias_hh_l0.requires_grad_(False)  # one bias a gate, as ours
    weights = [p for m in (one, two, heads) for p in m.parameters() if p.requires_grad]
    steps = epochs * -(-len(xs) // BATCH)
    optimizer = torch.optim.Adam(weights, lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, cycle_momentum=False)
    tx, ty, tu = torch.tensor(xs), torch.tensor(ys), torch.tensor(unseen)

    def scores(x):
        _, (last, _) = two(one(x)[0])
        return torch.stack([h(last[0]) for h in heads])

    seen: list[float] = []
    begin = time.perf_counter()
    for epoch in range(epochs):
        total = 0.0
        rows = torch.tensor(np.random.default_rng([0, epoch]).permutation(len(xs)))
        for k in range(0, len(xs), BATCH):
            at = rows[k:k + BATCH]
            out = scores(tx[at])
            loss = torch.nn.functional.cross_entropy(out.reshape(-1, 10), ty[at].T.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, CLIP)
            optimizer.step()
            schedule.step()
            total += loss.item()
        with torch.no_grad():
            answer = torch.cat([scores(tu[k:k + 250]).argmax(-1).T for k in range(0, len(unseen), 250)]).numpy()
        seen.append(float((answer == labels).all(axis=1).mean()))
        print(f"  torch   epoch {epoch + 1:2}: loss {total / -(-len(xs) // BATCH):.3f}, whole captchas {seen[-1]:.1%}", flush=True)
    return time.perf_counter() - begin, seen


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--epochs", type=int, default=9)
    ap.add_argument("--examples", type=int, default=40_000)
    ap.add_argument("--skip-torch", action="store_true")
    ap.add_argument("--weights", help="keep flowlab's weights in this safetensors file")
    a = ap.parse_args()
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, flowlab {fl.__version__}, {os.cpu_count()} cores")
    for pool in threadpool_info():
        print(f"BLAS: {pool['internal_api']} {pool.get('version')}, kernel {pool.get('architecture')}, {pool['num_threads']} threads")
    xs, ys = fl.data.captchas(a.examples, seed=1)
    unseen, labels = fl.data.captchas(1_000, seed=2)
    data = columns(xs), ys, columns(unseen), labels
    ours, accuracy, start = with_flowlab(data, a.epochs, a.weights)
    print(f"flowlab: {ours / 60:.2f} minutes, {accuracy[-1]:.1%} of 1,000 unseen captchas read whole")
    if not a.skip_torch:
        import torch
        theirs, peer = with_torch(data, a.epochs, start)
        print(f"torch {torch.__version__}: {theirs / 60:.2f} minutes, {peer[-1]:.1%}")
        print(f"flowlab / torch: {ours / theirs:.2f} of the time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
