"""Graphs to begin with, small enough to be stepped: `fl.Editor(fl.examples.lstm())`."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import flowlab as fl

RNG = 0     # seeds what is fed


class Example(fl.Graph):
    """A Graph with numbers to feed it: `fl.Editor(example)` has them in its placeholders, and `sess.run(fetch, example.feeds)` runs it."""

    def __init__(self, name: str):
        super().__init__(name)
        self.feeds: Mapping[str, np.ndarray] = {}


def mlp() -> Example:
    """Two layers that tell three kinds of points in the plane apart: `loss`, `accuracy`, and `train` (Adam)."""
    rng = np.random.default_rng(RNG)
    with Example("MLP") as g:
        x, label = fl.placeholder(("batch", 2), name="x"), fl.placeholder(("batch",), "int64", name="label")
        logits = fl.nn.dense(fl.nn.dense(x, 8, activation="relu", name="hidden"), 3, name="out")
        _classified(logits, label)
    label_values = rng.integers(0, 3, 12)
    corners = np.float32([[0, 1], [-1, -1], [1, -1]])
    g.feeds = {"x": corners[label_values] + rng.normal(0, 0.3, (12, 2)).astype("float32"), "label": label_values}
    return g


def cnn() -> Example:
    """A convolution, a pooling and a dense layer that tell a cross from a ring: `loss`, `accuracy` and `train`."""
    rng = np.random.default_rng(RNG)
    with Example("CNN") as g:
        image, label = fl.placeholder(("batch", 1, 12, 12), name="image"), fl.placeholder(("batch",), "int64", name="label")
        maps = fl.max_pool2d(fl.nn.conv2d(image, 4, 3, activation="relu", name="conv"), 2, name="pool")
        _classified(fl.nn.dense(fl.nn.flatten(maps), 2, name="out"), label)
    y, x = np.mgrid[-5.5:6.5, -5.5:6.5]
    shapes = [(np.abs(np.abs(y) - np.abs(x)) < 1), (np.abs(np.hypot(y, x) - 4) < 0.8)]
    label_values = rng.integers(0, 2, 6)
    g.feeds = {"image": np.float32([np.roll(shapes[k], rng.integers(-1, 2, 2), (0, 1))[None] for k in label_values]), "label": label_values}
    return g


TEXT = "你好世界，你好猫，你好狗。"


def char_rnn() -> Example:
    """A recurrent network that reads characters and guesses the next one after each: `loss`, `guess` (batch, time) and `train`."""
    alphabet = sorted(set(TEXT))
    ids = np.array([alphabet.index(c) for c in TEXT])
    with Example("characters") as g:
        text, following = fl.placeholder(("batch", "time"), "int64", name="text"), fl.placeholder(("batch", "time"), "int64", name="following")
        out, _ = fl.nn.rnn(fl.nn.embedding(text, len(alphabet), 6, name="characters"), 16, name="rnn")
        logits = fl.nn.dense(out, len(alphabet), name="out")
        fl.argmax(logits, axis=-1, name="guess")
        fl.optim.Adam(0.02).minimize(fl.mean(fl.sparse_softmax_cross_entropy(logits, following), name="loss"), name="train")
    g.feeds = {"text": ids[None, :-1], "following": ids[None, 1:]}
    return g


def lstm() -> Example:
    """An LSTM that is to remember the first number of a sequence through the noise after it: `loss`, `answer` (batch, 1) and `train`."""
    rng = np.random.default_rng(RNG)
    with Example("LSTM") as g:
        sequence, first = fl.placeholder(("batch", "time", 1), name="sequence"), fl.placeholder(("batch", 1), name="first")
        _, (h, _) = fl.nn.lstm(sequence, 4, name="lstm")
        answer = fl.nn.dense(h, 1, name="answer")
        fl.optim.Adam(0.02).minimize(fl.mean(fl.square(answer - first), name="loss"), name="train")
    values = rng.normal(0, 0.2, (3, 8, 1)).astype("float32")
    values[:, 0] = rng.choice([-1.0, 1.0], (3, 1))
    g.feeds = {"sequence": values, "first": values[:, 0]}
    return g


def seq2seq() -> Example:
    """Two recurrent networks and attention between them, which turn a sequence round: `loss`, `answer` (batch, out time) and `train`. The decoder is told what came before (teacher forcing)."""
    rng = np.random.default_rng(RNG)
    symbols = 7     # 0 begins the answer
    with Example("sequence to sequence") as g:
        source = fl.placeholder(("batch", "time"), "int64", name="source")
        before, target = fl.placeholder(("batch", "out time"), "int64", name="before"), fl.placeholder(("batch", "out time"), "int64", name="target")
        memory, state = fl.nn.gru(fl.nn.embedding(source, symbols, 6, name="source symbols"), 12, name="encoder")
        out, _ = fl.nn.gru(fl.nn.embedding(before, symbols, 6, name="target symbols"), 12, initial_state=state, name="decoder")
        looked = fl.nn.attention(out, memory, memory, name="attention")
        logits = fl.nn.dense(fl.concat([out, looked], axis=-1), symbols, name="out")
        fl.argmax(logits, axis=-1, name="answer")
        fl.optim.Adam(0.01).minimize(fl.mean(fl.sparse_softmax_cross_entropy(logits, target), name="loss"), name="train")
    values = rng.integers(1, symbols, (4, 5))
    g.feeds = {"source": values, "before": np.concatenate([np.zeros((4, 1), "int64"), values[:, :0:-1]], axis=1), "target": values[:, ::-1].copy()}
    return g


def autoencoder() -> Example:
    """Eight numbers through a bottleneck of two and back: `code` (batch, 2), `rebuilt`, `loss` and `train`."""
    rng = np.random.default_rng(RNG)
    with Example("autoencoder") as g:
        x = fl.placeholder(("batch", 8), name="x")
        code = fl.nn.dense(fl.nn.dense(x, 6, activation="tanh", name="encoder"), 2, name="code")
        rebuilt = fl.nn.dense(fl.nn.dense(code, 6, activation="tanh", name="decoder"), 8, name="rebuilt")
        fl.optim.Adam(0.02).minimize(fl.mean(fl.square(rebuilt - x), name="loss"), name="train")
    angle = rng.uniform(0, 2 * np.pi, (10, 1))
    g.feeds = {"x": np.sin(angle + np.arange(8) * np.pi / 4).astype("float32")}
    return g


def heat_equation(steps: int = 20) -> Example:
    """A hot spot spreads over a plate: each step in time is a convolution inside a scan. `plate` is how it ends, `origin` where the heat of its middle came from. No network."""
    n = 12
    with Example("heat equation") as g:
        start = fl.placeholder((n, n), name="start")
        neighbours = fl.constant(np.float32([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None], name="neighbours")
        with fl.scan(fl.arange(steps), name="time") as step:
            u = step.state("u", init=fl.reshape(start, (1, 1, n, n)))
            step.update(u, u + 0.2 * fl.conv2d(u, neighbours, padding=1))
        plate = fl.reshape(step.states["u"], (n, n), name="plate")
        fl.identity(fl.gradients(plate[n // 2, n // 2], [start])[0], name="origin")
    y, x = np.mgrid[:n, :n]
    g.feeds = {"start": np.exp(-((x - 4) ** 2 + (y - 7) ** 2) / 4).astype("float32")}
    return g


def pagerank() -> Example:
    """Which page of a small web a random reader is on most of the time: `ranks`, found by a loop that ends when nothing moves any more, after `rounds`. No network."""
    links = np.zeros((5, 5), "float32")     # column j: where a reader of page j goes next
    for page, to in enumerate(([1, 2], [0], [0, 1, 3], [4], [0, 3])):
        links[to, page] = 1 / len(to)
    with Example("PageRank") as g:
        p = fl.placeholder(("pages", "pages"), name="links")
        ones = fl.ones_like(p[:, 0])
        start = ones / fl.sum(ones)

        def follow(rank: fl.Tensor, change: fl.Tensor, rounds: fl.Tensor) -> tuple:
            after = 0.85 * (p @ rank) + 0.15 * start
            return after, fl.sum(fl.abs(after - rank)), rounds + 1
        rank, _, rounds = fl.while_loop(lambda rank, change, rounds: change > 1e-5, follow, [start, fl.sum(ones), np.array(0)], maximum=100, name="reader")
        fl.identity(rank, name="ranks")
        fl.identity(rounds, name="rounds")
    g.feeds = {"links": links}
    return g


ALL = (mlp, cnn, char_rnn, lstm, seq2seq, autoencoder, heat_equation, pagerank)


def _classified(logits: fl.Tensor, label: fl.Tensor) -> None:
    """Loss, accuracy and training of a classifier."""
    loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, label), name="loss")
    fl.mean(fl.cast(fl.equal(fl.argmax(logits, axis=-1), label), "float32"), name="accuracy")
    fl.optim.Adam(0.02).minimize(loss, name="train")
