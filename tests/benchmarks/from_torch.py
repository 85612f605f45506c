"""Models that PyTorch exports to ONNX, opened here: equal numbers, every layer beside torch's own, stepped, and trained further with torch's own steps.

    python tests/benchmarks/from_torch.py

A convolutional network (batch normalization, pooling, flatten, linear) and two-layer LSTM and GRU classifiers in both directions, each by both of torch's exporters with a batch axis that may
vary. Prints how far each is from torch, relative to the largest value, and stops with an error where that is more than it may be. torch and onnxscript come with the `bench` extra.
"""
from __future__ import annotations

import io
import logging
import warnings

import numpy as np
import onnx
import torch
from torch import nn

import flowlab as fl

RTOL, STEPS, RATE = 1e-4, 5, 0.1
CLASSES, WORDS, TIME = 7, 11, 9


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.conv = nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.pool = nn.AdaptiveAvgPool2d((2, 2))
        self.head = nn.Linear(20, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.norm(self.conv(self.features(x)))))
        return self.head(torch.flatten(x, 1))


class Texts(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 6)
        self.rnn = getattr(nn, kind)(6, 8, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.rnn(self.embed(x))
        return self.head(out.mean(dim=1))


def made(kind: str) -> nn.Module:
    torch.manual_seed(len(kind))
    return Images() if kind == "CNN" else Texts(kind)


def batch(kind: str, n: int) -> torch.Tensor:
    return torch.randn(n, 3, 16, 16) if kind == "CNN" else torch.randint(0, WORDS, (n, TIME))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), labels).backward()
    optimizer.step()


def exported(model: nn.Module, x: torch.Tensor, dynamo: bool, layers: bool) -> onnx.ModelProto:
    """The model as ONNX; `layers` keeps each layer by itself, where else batch normalization goes into the convolution before it. In training mode it computes as in training."""
    names = {"input_names": ["x"], "output_names": ["logits"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            return torch.onnx.export(model, (x,), dynamo=True, optimize=not layers, dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), verbose=False, **names).model_proto
        modes, file = torch.onnx.TrainingMode, io.BytesIO()
        torch.onnx.export(model, (x,), file, dynamo=False, dynamic_axes={"x": {0: "batch"}, "logits": {0: "batch"}}, do_constant_folding=not layers,
                          training=modes.TRAINING if model.training else modes.PRESERVE if layers else modes.EVAL, **names)
        return onnx.load_from_string(file.getvalue())


def opened(model: onnx.ModelProto) -> fl.Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("error")      # nothing of it is opaque
        graph, _ = fl.from_onnx(model)
    assert graph.node("x").outputs[0].shape[0] == graph.tensor("logits:0").shape[0] == "batch"
    return graph


def apart(ours: np.ndarray, theirs: torch.Tensor) -> float:
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=RTOL, atol=RTOL * 0.01 * np.abs(theirs).max())
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def every_layer(model: nn.Module, x: torch.Tensor) -> dict[str, np.ndarray]:
    """What each module gives, by its name."""
    found: dict[str, np.ndarray] = {}
    hooks = [m.register_forward_hook(lambda _, __, out, name=name: found.__setitem__(name, (out[0] if isinstance(out, tuple) else out).detach().numpy().copy())) for name, m in model.named_modules() if name]
    model(x)
    for hook in hooks:
        hook.remove()
    return found


def weights(model: nn.Module, names: list[str]) -> dict[str, np.ndarray]:
    """The variables as torch has them now, under the same names; of recurrent layers that the exporter put together, the matrices stand the other way round."""
    theirs = {name: p.detach().numpy() for name, p in model.named_parameters()}
    out = {name: theirs[name] for name in names if name in theirs}
    parts = ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
    inside = [name for name in names if name.rpartition("/")[2] in parts]
    order = [f"rnn.{part}_l{layer}{end}" for layer in range(2) for end in ("", "_reverse") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")] if inside else []
    assert len(inside) == len(order) and set(out) | set(inside) == set(names) and len(names) == len(theirs)
    return out | {name: theirs[given].T for name, given in zip(inside, order)}


def checked(kind: str, dynamo: bool) -> dict[str, float]:
    told: dict[str, float] = {}
    model = made(kind)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    for _ in range(3):      # it comes trained, with statistics of its batches
        step(model, optimizer, batch(kind, 16), torch.randint(0, CLASSES, (16,)))
    model.eval()

    # opens, runs with any batch, is stepped
    graph = opened(exported(model, batch(kind, 2), dynamo, layers=False))
    sess = fl.Session(graph)
    for n in (1, 2, 13):
        x = batch(kind, n)
        told["run"] = max(told.get("run", 0), apart(sess.run("logits", {"x": x.numpy()}), model(x)))
    dbg = fl.Debugger(sess, "logits", {"x": x.numpy()})
    while dbg.step() is not None:
        pass
    assert dbg.done and dbg.cursor > len(list(model.modules())) and np.array_equal(dbg.results, sess.run("logits", {"x": x.numpy()}))

    # every layer, and the first that differs
    graph = opened(exported(model, batch(kind, 2), dynamo, layers=True))
    sess, theirs = fl.Session(graph), every_layer(model, x)
    trace = sess.trace("logits", {"x": x.numpy()})
    tolerance = {"rtol": RTOL, "atol": 1e-6}
    found = fl.compare(trace, theirs, **tolerance)
    assert found.equal and found.compared == len(theirs), found
    told["layers"] = max((d.relative for d in fl.compare(trace, theirs)), default=0.0)
    wrong = "conv" if kind == "CNN" else "rnn"
    name = next(v.node.name for v in graph.trainable_variables if v.node.name.startswith((f"{wrong}.", f"{wrong}/")))
    sess.variables[name] = np.asarray(sess.variables[name]) + np.float32(0.1)
    first = fl.compare(sess.trace("logits", {"x": x.numpy()}), theirs, **tolerance).first
    assert first is not None and first.tensor.startswith(f"{wrong}/"), first

    # trains further: batch normalization with what it has learned, and in training as torch does it (dynamo=True writes that as if it had learned); recurrent layers as their weights stand, and put together
    for training, layers in ([(False, True)] + [(True, True)] * (not dynamo) if kind == "CNN" else [(False, True), (False, False)]):
        for start in (model, made(kind)):
            told["steps"] = max(told.get("steps", 0), trained(kind, start.train(training), dynamo, layers))
    return told


def trained(kind: str, model: nn.Module, dynamo: bool, layers: bool) -> float:
    """SGD from the same weights on the same batches, here and in torch."""
    graph = opened(exported(model, batch(kind, 2), dynamo, layers))
    with graph:
        labels = fl.placeholder(("batch",), "int64", name="labels")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(graph.tensor("logits:0"), labels), name="loss")
        train = fl.optim.SGD(RATE).minimize(loss, name="train")
    sess, names, far = fl.Session(graph), [v.node.name for v in graph.trainable_variables], 0.0
    start = weights(model, names)
    assert all(np.array_equal(sess.variables[name], value) for name, value in start.items())
    start = {name: value.copy() for name, value in start.items()}
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    for _ in range(STEPS):
        x, y = batch(kind, 16), torch.randint(0, CLASSES, (16,))
        sess.run([loss, train], {"x": x.numpy(), labels: y.numpy()})
        step(model, optimizer, x, y)
        far = max(far, *(apart(sess.variables[name], torch.from_numpy(np.ascontiguousarray(value))) for name, value in weights(model, names).items()))
    still = {name for name, value in start.items() if np.array_equal(sess.variables[name], value)}
    assert still <= ({"features.0.bias", "conv.bias"} if model.training else set()), still      # the mean of the batch takes such a bias away
    return far


def main() -> None:
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, onnx {onnx.__version__}, NumPy {np.__version__}: the largest difference, relative to the largest value; of the weights over {STEPS} steps")
    for kind in ("CNN", "LSTM", "GRU"):
        for dynamo in (False, True):
            print(f"{kind:4} dynamo={dynamo!s:5} " + "  ".join(f"{k} {v:.1e}" for k, v in checked(kind, dynamo).items()), flush=True)


if __name__ == "__main__":
    main()
