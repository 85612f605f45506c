"""Input pipelines: shuffle, batch, map, prefetch."""
from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .core.errors import AttributeValueError, FeedError

Batch = dict[Any, np.ndarray]


class Pipeline:
    """Batches of feeds from arrays. Each method returns a new Pipeline; every loop over it is one epoch.

    `arrays`: name (or placeholder) → array; the first axes are examples and must have one length.

    >>> p = Pipeline({"x": np.arange(5)}).batch(2)
    >>> [b["x"].tolist() for b in p]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, arrays: Mapping[Any, Any]):
        if not isinstance(arrays, Mapping) or not arrays:
            raise FeedError("a Pipeline takes a dict of arrays.", hint='Pipeline({"x": xs, "labels": ys})')
        self._arrays = {k: np.asarray(v) for k, v in arrays.items()}
        lengths = {getattr(k, "name", k): v.shape[0] if v.ndim else None for k, v in self._arrays.items()}
        if len(set(lengths.values())) > 1 or None in lengths.values():
            raise FeedError(f"the arrays hold different numbers of examples: {lengths}.", axis=0, hint="Their first axes must be equal.")
        self.examples = len(next(iter(self._arrays.values())))
        self._seed: int | None = None
        self._batch: tuple[int, bool] = (1, False)
        self._maps: tuple[Callable[[Batch], Batch], ...] = ()
        self._ahead = 0
        self._epoch = 0

    def _with(self, **changes: Any) -> Pipeline:
        new = object.__new__(Pipeline)
        new.__dict__.update(self.__dict__)
        new.__dict__.update({f"_{k}": v for k, v in changes.items()})
        return new

    def shuffle(self, seed: int = 0) -> Pipeline:
        """A new order of the examples every epoch, decided by the seed and the epoch's number."""
        return self._with(seed=_whole(seed, "seed", 0))

    def batch(self, n: int, *, drop_last: bool = False) -> Pipeline:
        """n examples at a time; the last batch may be smaller."""
        return self._with(batch=(_whole(n, "n", 1), drop_last))

    def map(self, function: Callable[[Batch], Batch]) -> Pipeline:
        """Send every batch (a dict of arrays) through a function."""
        return self._with(maps=(*self._maps, function))

    def prefetch(self, n: int = 2) -> Pipeline:
        """Prepare up to n batches ahead in a thread; it ends with the loop."""
        return self._with(ahead=_whole(n, "n", 0))

    def __len__(self) -> int:
        """Batches an epoch."""
        n, drop = self._batch
        return self.examples // n if drop else -(-self.examples // n)

    def __iter__(self) -> Iterator[Batch]:
        order = None
        if self._seed is not None:
            order = np.random.default_rng([self._seed, self._epoch]).permutation(self.examples)
            self._epoch += 1
        batches = self._batches(order)
        return _ahead(batches, self._ahead) if self._ahead else batches

    def _batches(self, order: np.ndarray | None) -> Iterator[Batch]:
        n = self._batch[0]
        for k in range(len(self)):
            rows: Any = slice(k * n, (k + 1) * n) if order is None else order[k * n:(k + 1) * n]
            batch = {name: array[rows] for name, array in self._arrays.items()}
            for function in self._maps:
                batch = function(batch)
            yield batch


def _whole(value: Any, name: str, least: int) -> int:
    """The value as an int from `least` on; AttributeValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise AttributeValueError(f"{name} is {value!r}.", port=name, hint=f"Use a whole number from {least} on.")
    return int(value)


def _ahead(batches: Iterator[Batch], n: int) -> Iterator[Batch]:
    """Run an iterator in a thread over a bounded queue; an early stop or an error ends the thread."""
    ready: queue.Queue = queue.Queue(maxsize=n)
    stop = threading.Event()

    def put(item: tuple[str, Any]) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for batch in batches:
                if not put(("batch", batch)):
                    return
            put(("end", None))
        except BaseException as error:  # handed to the loop, which raises it
            put(("error", error))

    thread = threading.Thread(target=work, name="flowlab prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def as_pipeline(data: Any, batch: int | None = None) -> Any:
    """A Pipeline from a Pipeline, a dict of arrays, or any sequence of feed dicts."""
    if isinstance(data, Pipeline):
        return data
    if isinstance(data, Mapping):
        made = Pipeline(data)
        return made.batch(batch or made.examples)
    if isinstance(data, Sequence):
        return data
    raise FeedError(f"{type(data).__name__} is no data to train on.", hint="Pass a fl.data.Pipeline, a dict of arrays, or a list of feed dicts.")


def captchas(n: int, seed: int = 0, *, digits: int = 4, width: int = 120, height: int = 48, font_sizes: tuple[int, ...] = (32, 36, 40)) -> tuple[np.ndarray, np.ndarray]:
    """Draw n captchas with the package `captcha`: images (n, height, width, 3) uint8 and labels (n, digits) int64.

    The seed decides the digits and every stroke and dot of the noise, so the same call draws the same pictures.
    """
    try:
        from captcha import image as module
    except ImportError:
        raise FeedError("drawing captchas needs the package captcha.", hint="pip install captcha") from None
    rng = random.Random(seed)
    labels = np.array([[rng.randrange(10) for _ in range(digits)] for _ in range(n)], dtype=np.int64).reshape(n, digits)
    images = np.empty((n, height, width, 3), np.uint8)
    painter = module.ImageCaptcha(width, height, font_sizes=font_sizes)
    dice = module.secrets
    try:
        module.secrets = _Dice(rng)  # the package draws from the system's entropy; a lesson wants the same pictures twice
        for k in range(n):
            images[k] = np.asarray(painter.generate_image("".join(map(str, labels[k]))))
    finally:
        module.secrets = dice
    return images, labels


class _Dice:
    """What the package asks of `secrets`, from a seeded generator."""

    def __init__(self, rng: random.Random):
        self.randbelow, self.choice, self.randbits = rng.randrange, rng.choice, rng.getrandbits
