"""Input pipelines: from arrays, generators and files; shuffle, batch, map, prefetch."""
from __future__ import annotations

import csv
import glob
import os
import queue
import random
import threading
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .core.errors import AttributeValueError, FeedError, FlowError, plural
from .core.op import held_by
from .core.types import shape_text

Batch = dict[Any, np.ndarray]
_TOLD_WITHIN = 0.5      # seconds between two looks at whether the thread that prepares batches still lives
_CSV_ROWS = 4096


class LengthUnknownError(FeedError, TypeError):
    """A stream's length shows when it ends."""     # a TypeError, which is what Python's len asks for


class Pipeline:
    """Batches of feeds, from arrays, a generator, or files. Each method returns a new Pipeline; every loop over it is one epoch.

    `source` is one of
    - a dict, name (or placeholder) → array; the first axes are examples and must have one length. A text in an array's place names a `.npy` file,
      which stays on disk and is read where it is needed (`"x-*.npy"`: several files, one after the other);
    - the name of an `.npz` or `.csv` file, or a pattern such as `"digits-*.npz"`: its arrays or columns are the names;
    - a function that returns an iterator, or anything that can be looped over, giving examples: dicts, name → the values of one example
      (`batched=True`: of several, the first axis being the examples). A function or a list is looped over anew every epoch, a generator only once.
      Without `batch`, its elements are handed on as they are.

    >>> p = Pipeline({"x": np.arange(5)}).batch(2)
    >>> [b["x"].tolist() for b in p]
    [[0, 1], [2, 3], [4]]
    >>> def countdown():
    ...     for k in range(3, 0, -1):
    ...         yield {"k": k, "square": k * k}
    >>> [b["square"].tolist() for b in Pipeline(countdown).batch(2)]
    [[9, 4], [1]]

    Files are data: nothing in them is run (`allow_pickle=False`). FeedError for what is no data, names the array, the file or the example.
    """

    def __init__(self, source: Any, *, batched: bool = False):
        self._source = _source_of(source, batched)
        self._seed: int | None = None
        self._buffer = 1000
        self._batch: tuple[int, bool] | None = None
        self._maps: tuple[Callable[[Batch], Batch], ...] = ()
        self._ahead = 0
        self._epoch = 0
        self._loop: Callable[[], Any] = _nobody

    def _with(self, **changes: Any) -> Pipeline:
        new = object.__new__(Pipeline)
        new.__dict__.update(self.__dict__)
        new.__dict__.update({f"_{k}": v for k, v in changes.items()}, _loop=_nobody)
        return new

    @property
    def examples(self) -> int | None:
        """Examples an epoch; None for a stream, whose length shows when it ends."""
        return self._source.examples

    @property
    def capacity(self) -> int:
        """How many batches may be prepared ahead; 0 without `prefetch`."""
        return self._ahead

    @property
    def fill(self) -> int:
        """How many batches the latest loop has ready now, from 0 to `capacity`: near 0 the network waits for data, near `capacity` the data waits."""
        loop = self._loop()
        return loop.fill if loop is not None else 0

    @property
    def epoch(self) -> int:
        """The number of the next loop, which decides its order together with the seed of `shuffle`; assign it to go on where another training was."""
        return self._epoch

    @epoch.setter
    def epoch(self, number: int) -> None:
        self._epoch = _whole(number, "epoch", 0)

    def shuffle(self, seed: int = 0, buffer: int = 1000) -> Pipeline:
        """A new order of the examples every epoch, decided by the seed and the epoch's number.

        Arrays are shuffled whole. Of a stream, `buffer` examples are held, and each place goes to one of them by chance.
        """
        return self._with(seed=_whole(seed, "seed", 0), buffer=_whole(buffer, "buffer", 1))

    def batch(self, n: int, *, drop_last: bool = False) -> Pipeline:
        """n examples at a time, along the first axis; the last batch may be smaller, and is left out with `drop_last`."""
        return self._with(batch=(_whole(n, "n", 1), bool(drop_last)))

    def map(self, function: Callable[[Batch], Batch]) -> Pipeline:
        """Send every batch (a dict of arrays) through a function."""
        if not callable(function):
            raise AttributeValueError(f"{function!r} is no function.", port="function", hint="map takes a function from a dict of arrays to one.")
        return self._with(maps=(*self._maps, function))

    def prefetch(self, n: int = 2) -> Pipeline:
        """Prepare up to n batches ahead in a thread; it ends with the loop, however the loop ends."""
        return self._with(ahead=_whole(n, "n", 0))

    def __len__(self) -> int:
        """Batches an epoch; an error for a stream."""
        if self.examples is None:
            raise LengthUnknownError("a stream does not say how many batches it has.", hint="Loop over it until it ends.")
        n, drop = self._batch or (1, False)
        return self.examples // n if drop else -(-self.examples // n)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Batch]:
        rng = None
        if self._seed is not None:
            rng = np.random.default_rng([self._seed, self._epoch])
            self._epoch += 1
        batches = _mapped(self._source.batches(rng, self._batch, self._buffer), self._maps)
        if not self._ahead:
            return batches
        loop = Prefetched(batches, self._ahead)
        self._loop = weakref.ref(loop)
        return loop


def _nobody() -> None:
    return None


def _whole(value: Any, name: str, least: int) -> int:
    """The value as an int from `least` on; AttributeValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise AttributeValueError(f"{name} is {value!r}.", port=name, hint=f"Use a whole number from {least} on.")
    return int(value)


def _mapped(batches: Iterator[Batch], maps: Sequence[Callable[[Batch], Batch]]) -> Iterator[Batch]:
    for k, batch in enumerate(batches):
        if maps:    # a function may write to what it gets, and a slice would write to the source
            batch = {name: array if array.base is None else array.copy() for name, array in batch.items()}
        for function in maps:
            try:
                batch = function(batch)
            except Exception as error:
                error.add_note(f"raised by {_called(function)}, which Pipeline.map sent batch {k} through")
                raise
            if not isinstance(batch, Mapping):
                raise FeedError(f"{_called(function)}, which Pipeline.map sends batches through, returned {type(batch).__name__}.", hint="It must return a dict of arrays.")
        yield batch


def _called(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


# ---------------------------------------------------------------- where examples come from


def _source_of(source: Any, batched: bool) -> _Arrays | _Stream:
    if isinstance(source, (_Arrays, _Stream)):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _files(os.fspath(source))
    if isinstance(source, Mapping):
        if not source:
            raise FeedError("a Pipeline takes a dict of arrays.", hint='Pipeline({"x": xs, "labels": ys})')
        paths = {k: os.fspath(v) for k, v in source.items() if isinstance(v, (str, os.PathLike))}
        if any(_is_pattern(p) for p in paths.values()):
            return _side_by_side(source, paths)
        return _Arrays({k: _mapped_file(paths[k]) if k in paths else _array(k, v) for k, v in source.items()})
    if callable(source):
        return _Stream(source, batched)
    if isinstance(source, Iterator):
        return _Stream(_Once(source), batched)
    if isinstance(source, Iterable) and not isinstance(source, (bytes, bytearray, np.ndarray)) and not hasattr(source, "graph"):
        if isinstance(source, Sequence) and source and not isinstance(source[0], Mapping):
            raise FeedError(f"a Pipeline takes examples that are dicts, not {type(source[0]).__name__}.", hint='Pipeline({"x": xs, "labels": ys}) takes whole arrays.')
        return _Stream(source.__iter__, batched)
    raise FeedError(f"{type(source).__name__} is no data.", hint='Pass a dict of arrays, Pipeline({"x": xs, "labels": ys}), a generator function, or the name of a file.')


class _Once:
    """An iterator as a function that can be called once."""

    def __init__(self, iterator: Iterator):
        self.iterator: Iterator | None = iterator

    def __call__(self) -> Iterator:
        taken, self.iterator = self.iterator, None
        if taken is None:
            raise FeedError("this generator has been looped over, and it gives its examples only once.", hint="Pass the function that makes it: Pipeline(examples), not Pipeline(examples()).")
        return taken


def _array(name: Any, value: Any) -> np.ndarray:
    name = getattr(name, "name", name)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        ragged = isinstance(value, (list, tuple))
        raise FeedError(f"{name} {'holds rows of different lengths' if ragged else f'is a {type(value).__name__}, which is no array'}.", axis=1 if ragged else None,
                        hint="Examples of one batch have one shape: pad them." if ragged else "") from None
    if array.dtype.kind in "OV":
        raise FeedError(f"{name} holds {held_by(array)}.", hint="Arrays of numbers, or of texts that map turns into numbers.")
    return array


class _Arrays:
    """Examples that are all there: any order of them costs the same."""

    def __init__(self, arrays: Mapping[Any, np.ndarray]):
        self.arrays = dict(arrays)
        lengths = {str(getattr(k, "name", k)): v.shape[0] if v.ndim else None for k, v in self.arrays.items()}
        if None in lengths.values():
            name = next(k for k, n in lengths.items() if n is None)
            raise FeedError(f"{name} is one number, not an array of examples.", axis=0, hint="Its first axis counts the examples.")
        if len(set(lengths.values())) > 1:
            raise FeedError(f"the arrays hold different numbers of examples: {lengths}.", axis=0, hint="Their first axes must be equal.")
        self.examples = next(iter(lengths.values()))

    def batches(self, rng: np.random.Generator | None, batch: tuple[int, bool] | None, buffer: int) -> Iterator[Batch]:
        n, drop = batch or (1, False)
        order = None if rng is None else rng.permutation(self.examples)
        for k in range(self.examples // n if drop else -(-self.examples // n)):
            rows: Any = slice(k * n, (k + 1) * n) if order is None else order[k * n:(k + 1) * n]
            yield {name: array[rows] for name, array in self.arrays.items()}


class _Stream:
    """Examples that come one after the other, or some at a time."""

    examples = None

    def __init__(self, make: Callable[[], Iterable], batched: bool):
        self.make, self.batched = make, batched

    def batches(self, rng: np.random.Generator | None, batch: tuple[int, bool] | None, buffer: int) -> Iterator[Batch]:
        made = self.make()
        if not isinstance(made, Iterable):
            raise FeedError(f"{_called(self.make)} returned {type(made).__name__}, which cannot be looped over.", hint="A generator function yields one dict an example.")
        chunks = self._checked(made)
        if rng is not None:
            chunks = _stirred(chunks, rng, buffer)
        if batch is None and not self.batched:      # as they come
            yield from ({name: array[0, ...] for name, array in chunk.items()} for chunk in chunks)
        elif batch is None and rng is None:
            yield from chunks
        else:
            yield from _regrouped(chunks, *(batch or (1, False)))

    def _checked(self, made: Iterable) -> Iterator[Batch]:
        """Each element as arrays with an axis of examples; they must have the same names."""
        names = None
        for k, element in enumerate(made):
            what = "batch" if self.batched else "example"
            if not isinstance(element, Mapping):
                raise FeedError(f"{what} {k} is {type(element).__name__}.", hint='Each is a dict, such as {"x": …, "label": …}.')
            if names is None:
                names = element.keys()
            elif element.keys() != names:
                raise FeedError(f"{what} {k} has {_names(element)}, those before it had {_names(names)}.", hint="All must have the same names.")
            chunk = {name: _array(name, value) for name, value in element.items()}
            if self.batched:
                yield _Arrays(chunk).arrays
            else:
                yield {name: array[None] for name, array in chunk.items()}


def _names(keys: Iterable) -> str:
    return ", ".join(str(getattr(k, "name", k)) for k in keys) or "nothing"


def _count(chunk: Batch) -> int:
    return len(next(iter(chunk.values()), ()))


def _stirred(chunks: Iterator[Batch], rng: np.random.Generator, buffer: int) -> Iterator[Batch]:
    """One example at a time, drawn from the `buffer` that are held."""
    held: list[Batch] = []
    for chunk in chunks:
        for k in range(_count(chunk)):
            row = {name: array[k:k + 1] for name, array in chunk.items()}
            if len(held) < buffer:
                held.append(row)
                continue
            place = int(rng.integers(buffer))
            out, held[place] = held[place], row
            yield out
    for place in rng.permutation(len(held)):
        yield held[place]


def _regrouped(chunks: Iterator[Batch], n: int, drop: bool) -> Iterator[Batch]:
    """The same examples, n at a time."""
    waiting: list[Batch] = []
    count = batch = 0
    for chunk in chunks:
        at, size = 0, _count(chunk)
        while size - at >= n - count:
            waiting.append({name: array[at:at + n - count] for name, array in chunk.items()})
            at += n - count
            yield _joined(waiting, batch)
            waiting, count, batch = [], 0, batch + 1
        if at < size:
            waiting.append({name: array[at:] for name, array in chunk.items()})
            count += size - at
    if waiting and not drop:
        yield _joined(waiting, batch)


def _joined(chunks: list[Batch], batch: int) -> Batch:
    if len(chunks) == 1:
        return chunks[0]
    out = {}
    for name in chunks[0]:
        parts = [c[name] for c in chunks]
        shapes = list(dict.fromkeys(p.shape[1:] for p in parts))
        if len(shapes) > 1:
            said = str(getattr(name, "name", name))
            raise FeedError(f"batch {batch} has examples of different shapes in {said}: {', '.join(map(shape_text, shapes[:3]))}{' …' if len(shapes) > 3 else ''}.", port=said,
                            hint="Pad them to one shape where they are made, or take batches of one.")
        out[name] = np.concatenate(parts)
    return out


# ---------------------------------------------------------------- files


def _is_pattern(path: str) -> bool:
    return any(c in path for c in "*?[") and not os.path.exists(path)


def _found(path: str) -> list[str]:
    """The files of a pattern in the order of their names."""
    paths = sorted(glob.glob(path, recursive=True)) if _is_pattern(path) else [path]
    if not paths:
        raise FeedError(f"no file is called {path!r}.", hint=f"The pattern was looked up in {os.getcwd()}.")
    return paths


def _reading(path: str, error: BaseException, what: str) -> FeedError:
    if isinstance(error, FileNotFoundError):
        return FeedError(f"there is no file {path!r}.", hint=f"It was looked up in {os.getcwd()}.")
    if isinstance(error, MemoryError):
        return FeedError(f"{path!r} holds more than this process has memory for.")
    reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    if "allow_pickle" in str(error) or "Object arrays" in str(error):
        reason = "it holds Python objects, which could run code"
    return FeedError(f"{path!r} cannot be read as {what}: {reason}.", hint="numpy.save and numpy.savez write such files, of arrays of numbers.")


def _mapped_file(path: str) -> np.ndarray:
    """A `.npy` file as an array that is read from disk where it is looked at."""
    if not path.endswith(".npy"):
        raise FeedError(f"{path!r} is no .npy file.", hint="An .npz or .csv file stands alone: Pipeline('digits.npz').")
    try:
        with np.errstate(over="ignore"):    # a header that lies
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:      # NumPy reads the header as Python would: bytes that are wrong there raise almost anything, tokenize.TokenError say
        raise _reading(path, error, "an array") from None
    return np.asarray(array)


def _archive(path: str) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file; a header that promises more than the file holds is refused before anything is allocated."""
    try:
        out = {}
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                with archive.open(info) as member:
                    version = np.lib.format.read_magic(member)
                    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
                    if header is None:
                        raise ValueError(f"{info.filename} has a format of version {version}")
                    shape, _, dtype = header(member)
                    if dtype.hasobject:
                        raise ValueError("Object arrays")
                    count = 1
                    for d in shape:
                        count *= d
                    if count * dtype.itemsize > info.file_size:
                        raise ValueError(f"{info.filename} promises shape {shape_text(shape)}, and the file ends before")
                with archive.open(info) as member:
                    out[info.filename.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
    except Exception as error:      # as above, and what zipfile and zlib raise besides
        raise _reading(path, error, "an archive of arrays") from None
    if not out:
        raise FeedError(f"{path!r} holds no array.")
    return out


def _columns(path: str) -> Iterator[Batch]:
    """The rows of a `.csv` file, some thousand at a time; the first line holds the names."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            names = [n.strip() for n in next(lines, [])]
            if not all(names) or not names or len(set(names)) < len(names):
                raise FeedError(f"{path!r}: the first line must name the columns, each once, it is {', '.join(names)[:80] or 'empty'}.")
            rows: list[list[float]] = []
            for line in lines:
                if not line:
                    continue
                if len(line) != len(names):
                    raise FeedError(f"{path!r}, line {lines.line_num}: {plural(len(line), 'value')} for {plural(len(names), 'column')}.")
                try:
                    rows.append([float(v) for v in line])
                except ValueError:
                    column = next(k for k, v in enumerate(line) if not _is_number(v))
                    raise FeedError(f"{path!r}, line {lines.line_num}: {line[column][:40]!r} in column {names[column]} is no number.") from None
                if len(rows) == _CSV_ROWS:
                    yield dict(zip(names, np.array(rows).T))
                    rows = []
            if rows:
                yield dict(zip(names, np.array(rows).T))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _reading(path, error, "a table") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _files(path: str) -> _Arrays | _Stream:
    """An `.npz` file whole, several of them or tables one after the other."""
    kind = os.path.splitext(path)[1].lower()
    if kind == ".npy":
        raise FeedError(f"{path!r} is one array, and needs a name.", hint=f'Pipeline({{"x": {path!r}}})')
    if kind not in (".npz", ".csv"):
        raise FeedError(f"{path!r} is no file of a kind that a Pipeline reads.", hint="It reads .npz and .csv, and .npy under a name.")
    _found(path)
    if kind == ".npz" and not _is_pattern(path):
        return _Arrays({k: _array(k, v) for k, v in _archive(path).items()})

    def chunks() -> Iterator[Batch]:
        for found in _found(path):
            try:
                yield from _columns(found) if kind == ".csv" else [_Arrays(_archive(found)).arrays]
            except FeedError as error:
                if found not in error.message:
                    error.message = f"{found!r}: {error.message}"
                raise
    return _Stream(chunks, batched=True)


def _side_by_side(source: Mapping[Any, Any], paths: Mapping[Any, str]) -> _Stream:
    """Patterns of `.npy` files, one a name: the first of each belong together, then the second …"""
    if len(paths) < len(source):
        raise FeedError(f"{_names(k for k in source if k not in paths)} is an array, and {_names(paths)} are many files.", hint="All of them are patterns, or none.")
    for path in paths.values():
        if not path.endswith(".npy"):
            raise FeedError(f"{path!r} is no pattern of .npy files.", hint='Such as "x-*.npy".')
        _found(path)

    def chunks() -> Iterator[Batch]:
        found = {k: _found(p) for k, p in paths.items()}
        if len({len(f) for f in found.values()}) > 1:
            raise FeedError("the patterns find different numbers of files: " + ", ".join(f"{_names([k])} {len(f)}" for k, f in found.items()) + ".")
        for together in zip(*found.values()):
            try:
                yield _Arrays({k: _mapped_file(p) for k, p in zip(found, together)}).arrays
            except FeedError as error:
                if together[0] not in error.message:
                    error.message = f"{', '.join(together)}: {error.message}"
                raise
    return _Stream(chunks, batched=True)


# ---------------------------------------------------------------- ahead of the loop


class _Ahead:
    """What the loop and its thread share. It does not hold the loop, so that one nobody holds any more can end."""

    def __init__(self, batches: Iterator[Batch], n: int, loop: Callable[[], Any]):
        self.batches, self.ready, self.stop = batches, queue.Queue(maxsize=n), threading.Event()
        self.loop = loop

    def work(self) -> None:
        """Fill the queue until the batches end or the loop does."""
        try:
            for batch in self.batches:
                if not self.put(("batch", batch)):
                    break
            else:
                self.put(("end", None))
        except BaseException as error:  # handed to the loop, which raises it
            self.put(("error", error))
        finally:
            close = getattr(self.batches, "close", None)
            if close is not None:
                close()     # a generator's own clean-up, in the thread that ran it

    def put(self, item: tuple[str, Any]) -> bool:
        while not self.stop.is_set() and self.loop() is not None:   # an interrupt may keep a loop that is forgotten from saying stop
            try:
                self.ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def end(self, thread: threading.Thread) -> None:
        """Tell the thread to end, and wait for it."""
        self.stop.set()
        while True:     # one that waits for room in the queue goes on at once
            try:
                self.ready.get_nowait()
            except queue.Empty:
                break
        if thread is threading.current_thread() or thread.ident is None:     # an interrupt may come before it is started
            return
        thread.join(timeout=1.0)
        if thread.is_alive():   # it is in a function or a generator that does not come back by itself
            from ctypes import c_ulong, py_object, pythonapi
            pythonapi.PyThreadState_SetAsyncExc(c_ulong(thread.ident or 0), py_object(_Stopped))
            thread.join(timeout=4.0)


class _Stopped(BaseException):
    """Raised in a thread whose loop is over."""


class Prefetched:
    """One loop over batches that a thread prepares. `fill` of `capacity` are ready; `close` ends the thread, and so does forgetting the loop."""

    def __init__(self, batches: Iterator[Batch], n: int):
        self.capacity = n
        self._shared = _Ahead(batches, n, weakref.ref(self))
        self._thread = threading.Thread(target=self._shared.work, name="flowlab prefetch", daemon=True)
        self._finalizer = weakref.finalize(self, self._shared.end, self._thread)
        self._over = False
        self._thread.start()

    @property
    def fill(self) -> int:
        """Batches that are ready now."""
        return 0 if self._over else min(self._shared.ready.qsize(), self.capacity)

    def __iter__(self) -> Prefetched:
        return self

    def __next__(self) -> Batch:
        if self._over:
            raise StopIteration
        try:
            kind, item = self._next()
        except BaseException:   # an interrupt while it waits
            self.close()
            raise
        if kind == "batch":
            return item
        self.close()
        if kind == "end":
            raise StopIteration
        if not isinstance(item, Exception):
            raise FlowError(f"the thread that prepares batches was stopped: {type(item).__name__}.", hint="Loop again.") from item
        item.add_note("raised in the thread that prepares batches ahead (Pipeline.prefetch)")
        raise item

    def _next(self) -> tuple[str, Any]:
        while True:
            try:
                return self._shared.ready.get(timeout=_TOLD_WITHIN)
            except queue.Empty:
                if not self._thread.is_alive() and self._shared.ready.empty():
                    raise FlowError("the thread that prepares batches is gone, and gave no reason.", hint="A process made by fork has none of its parent's threads: start the loop in it.") from None

    def close(self) -> None:
        """End the loop and its thread."""
        self._over = True
        self._finalizer()


def as_pipeline(data: Any, batch: int | None = None) -> Any:
    """A Pipeline from a Pipeline or from what one takes, `batch` examples at a time; a sequence of feed dicts stays what it is."""
    if isinstance(data, Pipeline):
        return data.batch(batch) if batch is not None else data
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes, bytearray)):
        if data and not isinstance(data[0], Mapping):
            raise AttributeValueError(f"data is {'an' if type(data).__name__[0] in 'aeiou' else 'a'} {type(data).__name__} of {type(data[0]).__name__}: which of them is fed where is not known.", port="data", hint='Name them by the placeholders: {"x": images, "y": labels}.')
        if batch is not None:
            raise AttributeValueError(f"batch is {batch!r}, and a list of feed dicts is in batches already.", port="batch", hint="Leave batch out, or pass a dict of arrays.")
        return data
    if isinstance(data, (str, os.PathLike, Iterable)) and not isinstance(data, np.ndarray) or callable(data):
        made = Pipeline(data)
        if batch is not None:
            return made.batch(batch)
        return made.batch(made.examples or 1) if made.examples is not None else made
    raise FeedError(f"{type(data).__name__} is no data to train on.", hint="Pass a fl.data.Pipeline, a dict of arrays, or a list of feed dicts.")


# ---------------------------------------------------------------- captchas


def captchas(n: int, seed: int = 0, *, digits: int = 4, width: int = 120, height: int = 48, font_sizes: tuple[int, ...] = (32, 36, 40)) -> tuple[np.ndarray, np.ndarray]:
    """Draw n captchas with the package `captcha`: images (n, height, width, 3) uint8 and labels (n, digits) int64.

    The seed decides the digits and every stroke and dot of the noise, so the same call draws the same pictures.
    """
    rng = random.Random(seed)
    painter = _captcha_module(rng).ImageCaptcha(width, height, font_sizes=font_sizes)
    labels = np.array([[rng.randrange(10) for _ in range(digits)] for _ in range(n)], dtype=np.int64).reshape(n, digits)
    images = np.empty((n, height, width, 3), np.uint8)
    for k in range(n):
        images[k] = np.asarray(painter.generate_image("".join(map(str, labels[k]))))
    return images, labels


def _captcha_module(rng: random.Random) -> Any:
    """A copy of `captcha.image` that nobody else sees, drawing from `rng`: the package itself draws from the system's entropy, and others may rely on that."""
    from importlib.util import find_spec, module_from_spec
    try:
        spec = find_spec("captcha.image")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.loader is None:
        raise FeedError("drawing captchas needs the package captcha.", hint="pip install captcha")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.secrets = _Dice(rng)
    return module


class _Dice:
    """What the package asks of `secrets`, from a seeded generator."""

    def __init__(self, rng: random.Random):
        self.randbelow, self.choice, self.randbits = rng.randrange, rng.choice, rng.getrandbits


# ---------------------------------------------------------------- pen strokes

# how digits are written: the points that the pen goes through, x to the right and y upwards, a point twice where it turns sharply
_WRITTEN: tuple[tuple[int, tuple[tuple[tuple[float, float], ...], ...]], ...] = (
    (0, (((.5, 1), (.1, .75), (.1, .25), (.5, 0), (.9, .25), (.9, .75), (.5, 1)),)),
    (1, (((.25, .7), (.55, 1), (.55, 1), (.55, .5), (.55, 0)),)),
    (2, (((.1, .75), (.45, 1), (.85, .75), (.5, .35), (.1, 0), (.1, 0), (.9, 0)),)),
    (3, (((.15, .9), (.6, 1), (.8, .75), (.4, .55), (.4, .55), (.9, .3), (.5, 0), (.1, .15)),)),
    (4, (((.6, 1), (.1, .35), (.1, .35), (.9, .35)), ((.65, .65), (.65, 0)))),
    (5, (((.25, 1), (.2, .6), (.2, .6), (.6, .65), (.85, .35), (.5, 0), (.1, .1)), ((.25, 1), (.85, 1)))),
    (6, (((.75, 1), (.3, .7), (.12, .3), (.45, 0), (.8, .25), (.5, .5), (.15, .3)),)),
    (7, (((.1, 1), (.9, 1), (.9, 1), (.55, .5), (.35, 0)),)),
    (7, (((.1, 1), (.9, 1), (.9, 1), (.55, .5), (.35, 0)), ((.3, .5), (.8, .5)))),
    (8, (((.8, .85), (.5, 1), (.2, .8), (.5, .55), (.85, .25), (.5, 0), (.15, .25), (.5, .55), (.8, .85)),)),
    (9, (((.8, .75), (.5, 1), (.2, .75), (.5, .5), (.8, .75), (.8, .75), (.75, .3), (.6, 0)),)),
)


def strokes(n: int, seed: int = 0, *, step: float = 0.12, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write n digits with a pen: moves (n, time, 3) float32, how many of them each digit has (n,) int64, and labels (n,) int64.

    A move is (dx, dy, up): how far the pen goes to the right and upwards, where a digit is about 1 high, and 1 if it goes there through the air. A digit has about 8 to 40 of them;
    beyond its length a row is zeros. Every digit has a slant, size, place of its points (`noise`, standard deviation) and speed of its own, `step` is the length of a move on average. The seed decides all of it.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    ways = [[path for digit, path in _WRITTEN if digit == k] for k in range(10)]
    curves = {len(line): _through(len(line)) for _, path in _WRITTEN for line in path}
    written = []
    for digit in labels:
        path = ways[digit][rng.integers(len(ways[digit]))]
        a, slant, pace = rng.normal(0, 0.12), rng.normal(0, 0.2), step * rng.uniform(0.8, 1.25)
        turned = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ np.array([[1, slant], [0, 1]]) * rng.uniform(0.75, 1.1, 2)
        moves, pen = [], None
        for line in path:
            points = curves[len(line)] @ ((np.array(line) + rng.normal(0, noise, (len(line), 2))) @ turned.T)
            far = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
            stops = np.linspace(0, far[-1], max(2, round(far[-1] / pace) + 1))
            at = np.stack([np.interp(stops, far, points[:, k]) for k in (0, 1)], axis=1)
            if pen is not None:
                moves.append([*(at[0] - pen), 1.0])
            moves.extend([dx, dy, 0.0] for dx, dy in np.diff(at, axis=0))
            pen = at[-1]
        written.append(np.array(moves, np.float32))
    lengths = np.array([len(moves) for moves in written], dtype=np.int64).reshape(n)
    together = np.zeros((n, int(lengths.max(initial=0)), 3), np.float32)
    for row, moves in zip(together, written):
        row[:len(moves)] = moves
    return together, lengths, labels


def _through(n: int, between: int = 8) -> np.ndarray:
    """The matrix (points of the curve, n) that lays a Catmull-Rom spline through n points."""
    t = np.arange(between) / between
    weights = 0.5 * np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -t**2 + t**3], axis=1)
    curve = np.zeros(((n - 1) * between + 1, n))
    for k in range(n - 1):
        for j in range(4):
            curve[k * between:(k + 1) * between, min(max(k - 1 + j, 0), n - 1)] += weights[:, j]
    curve[-1, -1] = 1
    return curve
