"""Models that Keras exports to ONNX, opened here: equal numbers, stepped, and trained further with Keras' own steps.

    python tests/benchmarks/from_keras.py

A convolutional network (batch normalization, pooling, flatten, dense) and an LSTM and a GRU classifier, written by `model.export(format="onnx")` of Keras 3 on its torch backend, which takes
recurrent layers apart, timestep by timestep. Prints how far each is from Keras, relative to the largest value, and stops with an error where that is more than it may be. Keras comes with the `bench` extra.
"""
from __future__ import annotations

import logging
import os
import tempfile
import warnings

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from keras import layers

import flowlab as fl

RTOL, STEPS, RATE = 1e-4, 5, 0.1
CLASSES, WORDS, TIME = 7, 11, 9


def made(kind: str, rng: np.random.Generator) -> keras.Model:
    """A model whose weights all differ, as after training; batch normalization stays as it is."""
    if kind == "CNN":
        stack = [keras.Input((16, 16, 3), name="x"), layers.Conv2D(4, 3, padding="same", name="conv"), layers.BatchNormalization(name="norm", trainable=False), layers.ReLU(name="relu"),
                 layers.MaxPooling2D(2, name="pool"), layers.Conv2D(5, 3, strides=2, name="second"), layers.Flatten(name="flat"), layers.Dense(CLASSES, name="head")]
    else:
        stack = [keras.Input((TIME,), dtype="int32", name="x"), layers.Embedding(WORDS, 6, name="embed"), getattr(layers, kind)(8, return_sequences=True, name="rnn"),
                 layers.GlobalAveragePooling1D(name="pool"), layers.Dense(CLASSES, name="head")]
    model = keras.Sequential(stack, name=kind.lower())
    for v in model.variables:
        spread = rng.uniform(0.5, 1.5, v.shape) if v.name == "moving_variance" else v.numpy() + 0.1 * rng.standard_normal(v.shape)
        v.assign(spread.astype("float32"))
    return model


def batch(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((n, 16, 16, 3)).astype("float32") if kind == "CNN" else rng.integers(0, WORDS, (n, TIME)).astype("int32")


def opened(model: keras.Model, x: np.ndarray) -> fl.Graph:
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        model(x)
        model.export(f"{folder}/model.onnx", format="onnx", verbose=False)
        warnings.simplefilter("error")      # nothing of it is opaque
        return fl.from_onnx(f"{folder}/model.onnx")[0]


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    np.testing.assert_allclose(ours, theirs, rtol=RTOL, atol=RTOL * 0.01 * np.abs(theirs).max())
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def parts(v: keras.Variable) -> list[np.ndarray]:
    """What the exporter makes of a variable: kernels OIHW from HWIO, the two rows of a GRU's bias each by itself."""
    value = v.numpy()
    return [value.transpose(3, 2, 0, 1)] if value.ndim == 4 else [*value] if v.name == "bias" and value.ndim == 2 else [value]


def partners(sess: fl.Session, model: keras.Model) -> dict[str, tuple[keras.Variable, int]]:
    """flowlab's variable → Keras' of the same values, and which part of it: the names that the exporter writes tell nothing."""
    found = {}
    for v in model.trainable_variables:
        for k, value in enumerate(parts(v)):
            name, = (name for name, mine in sess.variables.items() if np.array_equal(mine.ravel(), value.ravel()))
            found[name] = v, k
    return found


def checked(kind: str) -> dict[str, float]:
    keras.utils.set_random_seed(4)
    rng = np.random.default_rng(4)
    model = made(kind, rng)
    graph = opened(model, batch(kind, 2, rng))
    sess, told = fl.Session(graph), {"run": 0.0, "steps": 0.0}
    out = graph.nodes[-1]
    feed = next(n for n in graph.nodes if n.op.name == "Placeholder")
    for n in (1, 2, 13):
        x = batch(kind, n, rng)
        told["run"] = max(told["run"], apart(sess.run(out, {feed.name: x}), model.predict(x, verbose=0)))
    dbg = fl.Debugger(sess, out, {feed.name: x})
    while dbg.step() is not None:
        pass
    assert dbg.done and dbg.cursor > len(model.layers) and np.array_equal(dbg.results, sess.run(out, {feed.name: x}))

    with graph:
        labels = fl.placeholder(("batch",), "int64", name="labels")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(out.outputs[0], labels), name="loss")
        ours = partners(sess, model)
        assert len(graph.trainable_variables) - len(ours) == (3 if kind == "CNN" else 0)      # the exporter works batch normalization out to two sums and a product
        train = fl.optim.SGD(RATE).minimize(loss, [graph.tensor(f"{name}:0") for name in ours], name="train")
    sess = fl.Session(graph)
    model.compile(optimizer=keras.optimizers.SGD(RATE), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for _ in range(STEPS):
        x, y = batch(kind, 16, rng), rng.integers(0, CLASSES, 16)
        sess.run([loss, train], {feed.name: x, labels: y})
        model.train_on_batch(x, y)
        told["steps"] = max(told["steps"], *(apart(sess.variables[name].ravel(), parts(v)[k].ravel()) for name, (v, k) in ours.items()))
    return told


def main() -> None:
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    print(f"Keras {keras.__version__} on torch {torch.__version__}, NumPy {np.__version__}: the largest difference, relative to the largest value; of the weights over {STEPS} steps")
    for kind in ("CNN", "LSTM", "GRU"):
        print(f"{kind:4} " + "  ".join(f"{k} {v:.1e}" for k, v in checked(kind).items()), flush=True)


if __name__ == "__main__":
    main()
