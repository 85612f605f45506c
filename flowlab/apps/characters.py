"""Guess the next character: what a recurrent network guesses after each one it read, and how a feed-forward network of the same size fares."""
from __future__ import annotations

import codecs
import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..core.errors import FlowError
from ..core.graph import Graph, Node, Tensor
from ..io.build import build
from ..io.document import document_of
from ..nn.layers import dense, rnn
from ..nn.optim import Adam
from ..ops.activation import sparse_softmax_cross_entropy
from ..ops.array import reshape
from ..ops.reduce import mean
from ..ops.state import placeholder
from ..runtime.session import Session

MOST = 2000         # characters that are guessed after at once


# ---------------------------------------------------------------- what a network guesses


@dataclass(frozen=True, slots=True)
class Guesser:
    """A network that reads characters and guesses, after each, what comes next."""

    symbols: tuple[str, ...]
    feed: Tensor                    # in the run's graph: (batch, time) numbers of symbols, or (batch, time, symbols) ones and zeros
    guesses: Tensor                 # there too: (batch, time, symbols)
    recorded: np.ndarray            # the symbols that the run read: (batch, time)
    _run: Callable[[np.ndarray], np.ndarray]

    def ids(self, text: str) -> np.ndarray:
        """The text as numbers of symbols; FlowError for a character that the network has never seen."""
        places = {s: k for k, s in enumerate(self.symbols)}
        unknown = [c for c in text if c not in places]
        if unknown:
            raise FlowError(f"the network knows no {unknown[0]!r}.", hint=f"Its characters are {' '.join(s for s in self.symbols if s.strip())[:200]}.")
        if not text or len(text) > MOST:
            raise FlowError("there is no text to read." if not text else f"the text has {len(text)} characters.", hint=f"Type 1 to {MOST} characters.")
        return np.array([places[c] for c in text])

    def probabilities(self, ids: np.ndarray, context: int | None = None) -> np.ndarray:
        """(time, symbols): after each symbol, how likely each is to come next. With `context`, each guess is made from the last so many alone."""
        if context is not None and context < 1:
            raise FlowError(f"a context of {context} is none.", hint="Give 1 or more.")
        if context is None or context >= len(ids):
            return self._run(ids[None])[0]
        windows = np.lib.stride_tricks.sliding_window_view(ids, context)
        first = self._run(ids[None, :context])[0]          # before that there are fewer characters anyway
        return np.concatenate([first[:-1], self._run(windows)[:, -1]])


def guesser(node: Node, read: Callable[[Tensor], np.ndarray], alphabet: Sequence[str] | None = None) -> Guesser | None:
    """The guesses of the network that a recurrent layer stands in; None if it reads no characters.

    It does where it is fed whole numbers (batch, time) or ones and zeros (batch, time, symbols) and gives (batch, time, symbols) after the layer. `alphabet`: a
    character a symbol; FlowError, with the reason, if one was given and the network does not fit it.
    """
    symbols = tuple(str(s) for s in alphabet) if alphabet is not None else None
    if symbols is not None and len(set(symbols)) != len(symbols):
        raise FlowError("the alphabet has a character twice.", hint="Give each symbol a character of its own.")
    found = _feed(node, read)
    ends = _guesses(node, read, len(symbols) if symbols is not None else found[2] if found is not None else None)
    if found is None or ends is None:
        if symbols is None:
            return None
        missing = "is fed neither whole numbers (batch, time) nor ones and zeros (batch, time, symbols)" if found is None else f"gives no (batch, time, {len(symbols)}) after it"
        raise FlowError(f"the network of {node.name} {missing}, so it guesses no characters.", node=node.name, hint="Leave alphabet out, or give one character a symbol.")
    feed, ids, wide = found
    count = ends.shape[-1]
    if symbols is None:
        symbols = tuple(str(k) for k in range(count))
    if ids.size and (ids.min() < 0 or ids.max() >= count):
        raise FlowError(f"{feed.name} holds {int(ids.max() if ids.max() >= count else ids.min())}, the alphabet has {count} characters.", node=feed.node.name)
    run = _runner(feed, ends, wide, read)
    if _looks_ahead(run, ids[:1, :16], count):
        if alphabet is None:
            return None
        raise FlowError(f"the network of {node.name} reads a text from its end too, so it has seen what it would guess.", node=node.name, hint="Guess with layers that go forward alone.")
    return Guesser(symbols, feed, ends, ids, run)


def _looks_ahead(run: Callable[[np.ndarray], np.ndarray], ids: np.ndarray, count: int) -> bool:
    """Do the guesses before the last symbol change with it?"""
    if ids.shape[1] < 2 or count < 2:
        return False
    other = ids.copy()
    other[0, -1] = (ids[0, -1] + 1) % count
    return not np.allclose(run(ids)[0, :-1], run(other)[0, :-1], rtol=1e-4, atol=1e-6, equal_nan=True)


def _feed(node: Node, read: Callable[[Tensor], np.ndarray]) -> tuple[Tensor, np.ndarray, int | None]| None:
    """(the placeholder of characters that the layer reads, the symbols in it, how many there are if it is ones and zeros)."""
    todo, met = [node.inputs[0]], set()
    while todo:
        t = todo.pop(0)
        if t.node.id in met:
            continue
        met.add(t.node.id)
        if t.node.op.source == "placeholder":
            try:
                value = np.asarray(read(t))
            except KeyError:
                continue
            if value.ndim == 2 and value.dtype.kind in "iu":
                return t, value, None
            if value.ndim == 3 and value.dtype.kind == "f" and value.shape[2] > 1 and np.isin(value, (0, 1)).all() and (value.sum(axis=2) == 1).all():
                return t, value.argmax(axis=2), value.shape[2]
        todo += t.node.inputs
    return None


def _guesses(node: Node, read: Callable[[Tensor], np.ndarray], count: int | None) -> Tensor | None:
    """The last tensor after the layer that has a number a symbol at every timestep."""
    after, found = {node}, None
    for n in node.graph.nodes:
        if n.phase == "forward" and n is not node and any(t.node in after for t in n.inputs):
            after.add(n)
            for t in n.outputs[:1]:
                if len(t.shape) == 3 and t.dtype.kind == "f" and isinstance(t.shape[2], int) and t.shape[2] == (count or t.shape[2]) and n.op.name not in ("RNN", "GRU", "LSTM", "Scan"):
                    try:
                        read(t)
                    except KeyError:
                        continue
                    found = t
    return found


def _runner(feed: Tensor, guesses: Tensor, wide: int | None, read: Callable[[Tensor], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A function from symbols (batch, time) to probabilities, in a copy of the graph with the run's variables: the run itself stays as it is."""
    copy = build(document_of(feed.graph)).graph
    place, end = copy.tensor(feed.name), copy.tensor(guesses.name)
    held, todo, met = {}, [end.node], set()
    while todo:
        n = todo.pop()
        if n.id in met or n is place.node:
            continue
        met.add(n.id)
        if n.op.source in ("variable", "placeholder"):
            try:
                held[n.outputs[0]] = np.asarray(read(feed.graph.tensor(n.outputs[0].name)))
            except KeyError:
                continue
        todo += [t.node for t in n.inputs]
    session = Session(copy)
    batch, time = feed.shape[:2]

    def run(ids: np.ndarray) -> np.ndarray:
        rows, steps = ids.shape
        if isinstance(time, int):
            if steps > time:
                raise FlowError(f"{feed.name} takes {time} characters, the text has {steps}.", node=feed.node.name, hint="Type fewer, or make its time a name.")
            ids = np.pad(ids, ((0, 0), (0, time - steps)))
        many = batch if isinstance(batch, int) else rows
        found = []
        for start in range(0, rows, many):
            part = ids[start:start + many]
            part = np.pad(part, ((0, many - len(part)), (0, 0)))
            value = part if wide is None else np.eye(wide)[part]
            found.append(session.run(end, {**held, place: value.astype(feed.dtype)}))
        return _shares(np.concatenate(found)[:rows, :steps])
    return run


def _shares(values: np.ndarray) -> np.ndarray:
    """Probabilities, from probabilities or from scores."""
    values = values.astype("float64")
    if values.size and values.min() >= 0 and np.allclose(values.sum(axis=-1), 1, atol=1e-3):
        return values
    with np.errstate(all="ignore"):
        e = np.exp(values - values.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)


# ---------------------------------------------------------------- beside a feed-forward network


@dataclass(frozen=True, slots=True)
class Context:
    """Two networks that guess the next character from the last `n`, each with its accuracy on text that it has not seen, seconds of training and numbers to learn."""

    n: int
    recurrent: float
    forward: float
    recurrent_seconds: float
    forward_seconds: float
    recurrent_numbers: int
    forward_numbers: int


@dataclass(frozen=True, slots=True)
class Contexts:
    """How accuracy and time change with the length of the context."""

    rows: tuple[Context, ...]
    text: str
    units: int
    steps: int

    def __repr__(self) -> str:
        lines = [f"{r.n:>3} characters: recurrent {r.recurrent:.0%} in {r.recurrent_seconds:.2f} s, feed-forward {r.forward:.0%} in {r.forward_seconds:.2f} s" for r in self.rows]
        return "\n".join(lines)


def zen() -> str:
    """A real English text that every Python has: the Zen of Python."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return codecs.decode(this.s, "rot13")


def contexts(text: str, ns: Sequence[int] = (1, 2, 4, 8), *, units: int = 32, steps: int = 200, batch: int = 64, seed: int = 0) -> Contexts:
    """Train a recurrent network and a feed-forward one with as many numbers to learn, to guess the character after each `n`, for every length in `ns`.

    The last fifth of the text is kept for the test. Takes a few seconds. FlowError for a text that is too short.
    """
    ns = sorted({int(n) for n in ns})
    if not ns or ns[0] < 1:
        raise FlowError("a context has 1 character or more.", hint="ns=(1, 2, 4, 8)")
    if len(text) < 5 * (ns[-1] + 2):
        raise FlowError(f"the text has {len(text)} characters, too few for a context of {ns[-1]}.", hint=f"Give {5 * (ns[-1] + 2)} or more; a short one can be repeated.")
    symbols = sorted(set(text))
    ids = np.array([symbols.index(c) for c in text])
    rows = []
    for n in ns:
        windows = np.lib.stride_tricks.sliding_window_view(ids, n + 1)
        cut = len(windows) * 4 // 5
        train, test = windows[:cut], windows[min(cut + n, len(windows) - 1):]       # no character of the test was seen
        recurrent = _trained("recurrent", train, test, len(symbols), units, steps, batch, seed)
        hidden = max(1, round((recurrent[2] - len(symbols)) / (n * len(symbols) + 1 + len(symbols))))
        forward = _trained("forward", train, test, len(symbols), hidden, steps, batch, seed)
        rows.append(Context(n, recurrent[0], forward[0], recurrent[1], forward[1], recurrent[2], forward[2]))
    return Contexts(tuple(rows), text, units, steps)


def _trained(kind: str, train: np.ndarray, test: np.ndarray, symbols: int, units: int, steps: int, batch: int, seed: int) -> tuple[float, float, int]:
    """(accuracy, seconds of training, numbers to learn)."""
    n = train.shape[1] - 1
    with Graph(kind) as g:
        x = placeholder(("batch", n, symbols), "float32", name="x")
        y = placeholder(("batch",), "int64", name="y")
        hidden = rnn(x, units, name="rnn")[1] if kind == "recurrent" else dense(reshape(x, (-1, n * symbols)), units, "tanh", name="hidden")
        scores = dense(hidden, symbols, name="out")
        loss = mean(sparse_softmax_cross_entropy(scores, y), name="loss")
        step = Adam(0.01).minimize(loss)
    session, rng, one = Session(g, seed=seed), np.random.default_rng(seed), np.eye(symbols, dtype="float32")
    start = perf_counter()
    for _ in range(steps):
        part = train[rng.integers(len(train), size=batch)]
        session.run(step, {x: one[part[:, :-1]], y: part[:, -1]})
    seconds = perf_counter() - start
    right = session.run(scores, {x: one[test[:, :-1]]}).argmax(axis=1) == test[:, -1]
    return float(right.mean()), seconds, sum(int(np.prod(v.shape)) for v in g.trainable_variables)
