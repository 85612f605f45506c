"""distributed: one step of a training shared out to the workers of a Dask cluster, each with its part of the batch; the graph stays as it is.

The workers compute what depends on the batch: gradients, losses, whatever is fetched. This process puts the parts together, always in the order of the parts, and makes the update. So what
comes out depends on how many parts there are and not on who computed them: a worker that dies changes nothing, its part is computed by another.

The graph goes to the workers as data, the JSON of a graph file. Dask itself runs whatever its clients send, so a cluster belongs into a network that is trusted.
"""
from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, DeviceError, FlowError, KernelError, UnknownOpError, plural
from ..core.graph import Graph, Node, Tensor
from ..io.build import build
from ..io.document import document_of, file_bytes, from_text
from ..io.fetching import needed
from ..runtime.feeding import checked_feeds, feed_tensors, flatten
from ..runtime.session import Session
from ..runtime.store import Draws
from ..runtime.timeline import Row, Timeline
from ..trace.trace import record
from .rows import kinds

_LOST_AT_MOST = 3       # workers that may die over one part of a batch
_LOOK_EVERY = 5.0       # seconds; new workers are found within it
_CLOSE = {"e": 3e-2, "f": 1e-3, "d": 1e-7}      # how far a whole may be from its parts, by dtype


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows of a batch: `start` to `stop` − 1 of `total`, along the dimension `dim`."""

    dim: str
    start: int
    stop: int
    total: int

    def rows(self, whole: np.random.Generator, axis: int) -> Any:
        """A generator that draws for the whole batch, and gives the rows of the part."""
        return _Rows(whole, axis, self)


class PartDraws(Draws):
    """The draws of a part of the batch: what is drawn a row is drawn for the whole batch, and the part's rows taken, so that parts draw as the whole does."""

    __slots__ = ("axes", "part")

    def __init__(self, seed: int, run: int, frame: int, axes: Mapping[int, int], part: Part):
        super().__init__(seed, run, frame)
        self.axes, self.part = axes, part

    def __call__(self, node_id: int) -> Any:
        found = super().__call__(node_id)
        axis = self.axes.get(node_id)
        return found if axis is None else self.part.rows(found, axis)

    def at(self, timestep: int) -> PartDraws:
        return PartDraws(self.seed, self.run, super().at(timestep).frame, self.axes, self.part)


# where a method of a generator takes its shape; its other arguments are numbers
_SIZE = {"random": 0, "standard_normal": 0, "standard_exponential": 0, "standard_cauchy": 0, "exponential": 1, "rayleigh": 1, "poisson": 1, "geometric": 1, "standard_gamma": 1, "standard_t": 1,
         "chisquare": 1, "weibull": 1, "power": 1, "pareto": 1, "logseries": 1, "zipf": 1, "normal": 2, "uniform": 2, "integers": 2, "laplace": 2, "logistic": 2, "lognormal": 2, "gumbel": 2,
         "binomial": 2, "negative_binomial": 2, "beta": 2, "gamma": 2, "f": 2, "vonmises": 2, "wald": 2, "noncentral_chisquare": 2, "triangular": 3, "hypergeometric": 3, "noncentral_f": 3}


class _Rows:
    """A generator that gives the rows of a part; FlowError for a draw of which it is not known which rows they are."""

    def __init__(self, whole: np.random.Generator, axis: int, part: Part):
        self.whole, self.axis, self.part = whole, axis, part

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method, at = getattr(self.whole, name), _SIZE.get(name)

        def draw(*args: Any, **options: Any) -> Any:
            size = options.pop("size", None) if at is None or len(args) <= at else args[at]
            sizes = [size] if isinstance(size, (int, np.integer)) else list(size or ())
            rows = self.part.stop - self.part.start
            if at is None or sizes[self.axis:self.axis + 1] != [rows] or any(np.ndim(a) for k, a in enumerate(args) if k != at) or any(np.ndim(v) for v in options.values()):
                raise FlowError(f"key.{name} draws something other than a number for each of {rows} rows, along axis {self.axis}.", hint="Draw in the shape of the output, such as "
                                "key.normal(0, 1, x.shape), or train without cluster.")
            sizes[self.axis] = self.part.total
            args = (*args[:at], *(() if len(args) <= at else (sizes,)), *args[at + 1:])
            drawn = method(*args, **options, **({} if len(args) > at else {"size": sizes}))
            return drawn[(slice(None),) * self.axis + (slice(self.part.start, self.part.stop),)]
        return draw


def drawn_by_row(graph: Graph, dim: str) -> dict[int, int]:
    """Id of a random node → the axis that the batch is of what it draws, in loops too."""
    found = {}
    for node in graph.nodes:
        if node.op.random and dim in node.outputs[0].shape:
            found[node.id] = node.outputs[0].shape.index(dim)
        for body in node.op.bodies(node.attrs):
            found |= drawn_by_row(body, dim)
    return found


# ---------------------------------------------------------------- on a worker


class Replica:
    """The graph on a worker: computes tensors from the weights that it is sent and a part of a batch. It never updates anything."""

    def __init__(self, text: bytes, seed: int, version: str):
        import flowlab
        if flowlab.__version__ != version:
            raise FlowError(f"this worker has flowlab {flowlab.__version__}, not {version}.", hint="Install the same version on every machine.")
        built = build(from_text(text, what="the graph"))
        if built.diagnostics:
            wrong = built.diagnostics[0]
            kind = UnknownOpError if "operation" in wrong.message else FlowError
            raise kind(f"{wrong.node}: {wrong.message}", node=wrong.node, hint="Operations of your own are declared on every worker: client.run(__import__, \"my_operations\").")
        self.session = Session(built.graph, seed)
        self.axes: dict[str, dict[int, int]] = {}
        self.key: tuple = ()

    def compute(self, names: Sequence[str], key: tuple, weights: Mapping[str, np.ndarray] | None, feeds: Mapping[str, np.ndarray], run: int, part: Part | None,
                timed: str = "") -> tuple[list[np.ndarray], list[tuple], float] | None:
        """Values of the tensors named; the rows of a Timeline, of a trace's with loops looked into where `timed` is "inside"; the seconds it took.

        `weights` None: those that came before under this key; None comes back if they are others now.
        """
        began = time.perf_counter()
        sess = self.session
        if weights is not None:
            ids = {n.name: n.id for n in sess.store.variables()}
            sess.store.commit({ids[name]: np.ascontiguousarray(value).reshape(value.shape) for name, value in weights.items()})
            self.key = key
        elif self.key != key:
            return None
        sess.store.runs = run
        sess.draws = Draws
        if part is not None:
            axes = self.axes.setdefault(part.dim, drawn_by_row(sess.graph, part.dim))
            if axes:
                sess.draws = lambda seed, run: PartDraws(seed, run, 0, axes, part)
        try:
            if timed:
                line = Timeline.of(record(sess, list(names), feeds)) if timed == "inside" else sess.timeline(list(names), feeds)
                return line.results, [astuple(r) for r in line.rows], time.perf_counter() - began
            return sess.run(list(names), feeds), [], time.perf_counter() - began
        except KernelError as error:
            error.run = None    # it stays here; who asked knows what it began with
            raise error from None
        except FlowError:
            raise
        except Exception as error:      # told as what it is: only Dask's own errors mean that a worker is gone
            raise FlowError(f"a worker failed: {type(error).__name__}: {error}", hint="Its log says where. Does the step run without cluster?") from None


class _LostError(Exception):
    """The worker is gone."""


class Workers:
    """A replica of the graph on every worker of a Dask client, found and made as workers come, forgotten as they go."""

    patience = 30.0     # seconds to wait for a first worker

    def __init__(self, sess: Session, client: Any):
        try:
            from distributed import Client
        except ImportError:
            raise FlowError("training on a cluster needs the package distributed.", hint='pip install "flowlab[dask]"') from None
        if not isinstance(client, Client):
            raise AttributeValueError(f"cluster is {type(client).__name__}, no client of a Dask cluster.", port="cluster", hint='cluster=distributed.Client("tcp://…:8786")')
        if client.asynchronous:
            raise AttributeValueError("the client is asynchronous.", port="cluster", hint="Client(address) without asynchronous=True.")
        self.session, self.client = sess, client
        self.order: list[str] = []      # addresses in the order in which they came: worker 0, 1 …
        self._text, self._made_of = b"", -1
        self._actors: dict[str, Any] = {}
        self._sent: dict[str, tuple] = {}   # which weights each has
        self._looked = -_LOOK_EVERY

    def __len__(self) -> int:
        return len(self.actors())

    def there(self) -> dict[str, int]:
        """Address → threads, of the workers that the scheduler knows; DeviceError where it cannot be asked."""
        try:
            if self.client.status not in ("closing", "closed"):
                return self.client.nthreads()
        except OSError:
            pass
        raise DeviceError("the client of the cluster is closed, or its scheduler is gone.", hint="cluster=distributed.Client(address), open until the training ends.")

    def actors(self) -> dict[str, Any]:
        """Address → replica, of the workers that are there."""
        if (made_of := len(self.session.graph.nodes)) != self._made_of:      # the graph has grown
            self.close()
            self._text, self._made_of = file_bytes(document_of(self.session.graph)), made_of
        if not self._actors or time.monotonic() - self._looked > _LOOK_EVERY:
            self._look()
        return self._actors

    def _look(self) -> None:
        import flowlab
        for _ in range(10):
            if not (there := list(self.there())):
                try:
                    self.client.wait_for_workers(1, timeout=self.patience)
                except TimeoutError:
                    raise DeviceError(f"the cluster has no worker, and none came within {self.patience:g} s.", hint="Start one, or leave cluster out.") from None
                continue
            for gone in set(self._actors) - set(there):
                self.lost(gone)
            new = {a: self.client.submit(Replica, self._text, self.session.seed, flowlab.__version__, actor=True, workers=[a], allow_other_workers=False, pure=False)
                   for a in there if a not in self._actors}
            for address, future in new.items():
                try:
                    self._actors[address] = self.answer(address, future)
                except _LostError as error:
                    if address in self.there():
                        raise DeviceError(f"the worker {address} cannot hold the graph: {error.__cause__}", hint="Is flowlab installed there?") from error.__cause__
                    continue
                except FlowError as error:
                    raise type(error)(f"the worker {address} cannot hold the graph: {error.message}", node=error.node, hint=error.hint) from None
                if address not in self.order:
                    self.order.append(address)
            self._looked = time.monotonic()
            if self._actors:
                return
            time.sleep(0.5)     # those that went are known of by then
        raise DeviceError("every worker of the cluster dies before it holds the graph.", hint="Its log says why.")

    def lost(self, address: str) -> None:
        self._actors.pop(address, None)
        self._sent.pop(address, None)

    def ask(self, address: str, names: Sequence[str], weights: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray], run: int, part: Part | None, timed: str = "") -> Any:
        """Begin to compute on a worker; `answer` waits. Weights that it is known to have are not sent again."""
        key = self._key(weights)
        try:
            return self._actors[address].compute(list(names), key, None if self._sent.get(address) == key else dict(weights), dict(feeds), run, part, timed)
        except (KeyError, RuntimeError, OSError, ValueError):      # what Dask says of an actor that is gone
            return None

    def _key(self, weights: Mapping[str, np.ndarray]) -> tuple:
        return self.session.store.version, tuple(weights)

    def answer(self, address: str, future: Any) -> Any:
        """What a worker computed; _LostError if it is gone."""
        if future is None:
            raise _LostError(address)
        while True:
            try:
                return future.result(timeout=2.0)
            except TimeoutError:
                if address not in self.there():
                    raise _LostError(address) from None
            except FlowError:
                raise
            except Exception as error:
                raise _LostError(address) from error

    def all(self, names: Sequence[str], weights: Mapping[str, np.ndarray], jobs: Iterable[tuple[Mapping[str, np.ndarray], int, Part | None]], timed: str = "") -> Any:
        """The answers to jobs (feeds, run, part) in their order, as they come in: (answer, number of the worker, when it was asked, when it answered), a generator.

        Of the jobs, two a worker are under way at any time. One whose worker dies is given to another; DeviceError after three.
        """
        jobs = iter(jobs)
        queue: list[list] = []      # [job, address, future, workers that died over it, when it was asked]
        more = True
        while True:
            actors = self.actors()
            busy = [q[1] for q in queue]
            while more and len(queue) < 2 * len(actors):
                job = next(jobs, None)
                if job is None:
                    more = False
                    break
                address = min(actors, key=busy.count)
                busy.append(address)
                queue.append([job, address, self.ask(address, names, weights, *job, timed), 0, time.perf_counter()])
            if not queue:
                return
            try:
                answer = self.answer(queue[0][1], queue[0][2])
            except _LostError as error:
                gone = str(error)
                self.lost(gone)
                actors = self.actors()
                for entry in queue:
                    if entry[1] == gone or entry[1] not in actors:      # all that it was given
                        entry[3] += 1
                        if entry[3] >= _LOST_AT_MOST:
                            raise DeviceError(f"{plural(entry[3], 'worker')} died over the same part of a batch.", hint="Does it fit into their memory? Use smaller batches, or more workers.") from error.__cause__
                        entry[1] = min(actors, key=[q[1] for q in queue].count)
                        entry[2], entry[4] = self.ask(entry[1], names, weights, *entry[0], timed), time.perf_counter()
                continue
            job, address, _, _, asked = queue[0]
            if answer is None:      # other weights had come in between
                self._sent.pop(address, None)
                queue[0][2] = self.ask(address, names, weights, *job, timed)
                continue
            self._sent[address] = self._key(weights)
            queue.pop(0)
            yield answer, self.order.index(address), asked, time.perf_counter()

    def close(self) -> None:
        """Let the replicas go."""
        self._actors.clear()
        self._sent.clear()


# ---------------------------------------------------------------- what is computed where


@dataclass(frozen=True, slots=True)
class Shared:
    """A step taken apart: `far` are the tensors that the workers compute, `near` what this process computes from those of them that are in `cut`."""

    far: tuple[Tensor, ...]
    near: tuple[Tensor | Node, ...]
    cut: tuple[Tensor, ...]
    weights: tuple[str, ...]        # the variables that the workers read


def share(graph: Graph, wanted: Sequence[Tensor | Node], feeds: Sequence[Tensor], dim: str) -> Shared:
    """What of a step depends on the batch, and is no update: that is for the workers. FlowError where an update goes back into it."""
    batched = {t.node.id for t in feeds if dim in t.shape}
    for node in graph.nodes:
        if any(t.node.id in batched for t in node.inputs):
            batched.add(node.id)
    given = set(feeds)

    def is_far(t: Tensor | Node) -> bool:
        node = t.node if isinstance(t, Tensor) else t
        return node.id in batched and not _updates(node) and t not in given

    far = dict.fromkeys(t for t in wanted if isinstance(t, Tensor) and is_far(t))
    near = tuple(w for w in wanted if w not in far)
    cut: dict[Tensor, None] = {}
    seen: set[int] = set()
    stack = [w.node if isinstance(w, Tensor) else w for w in near]
    while stack:
        node = stack.pop()
        if node.id in seen:
            continue
        seen.add(node.id)
        for t in node.inputs:
            if is_far(t):
                cut[t] = None
            elif t not in given:
                stack.append(t.node)
        stack += [c for c in node.control_inputs if not is_far(c)]
    far |= cut
    below = needed(tuple(far), given, controls=True)
    for node in below:
        if node.op.name == "Assign":
            raise FlowError(f"{node.name} changes a variable in the middle of what the workers compute.", node=node.name, hint="Train without cluster, or fetch nothing that depends on an update.")
    return Shared(tuple(far), near, tuple(cut), tuple(n.name for n in below if n.op.source == "variable"))


def _updates(node: Node) -> bool:
    return node.phase == "update" or node.op.name in ("Assign", "Group")


def batch_dimension(feeds: Sequence[Tensor]) -> str:
    """The named dimension that a batch is split along: the first axis of most of what is fed, else the one called "batch"."""
    if dim := _batch_of(feeds):
        return dim
    raise AttributeValueError("no dimension of what is fed has a name, so it is not known which one the batch is.", port="cluster",
                              hint='fl.placeholder(("batch", 784)) names it; a placeholder of fixed size cannot be split.')


def _batch_of(feeds: Sequence[Tensor]) -> str:
    named = [t.shape[0] for t in feeds if t.shape and isinstance(t.shape[0], str)]
    for dim in (*sorted(set(named), key=lambda d: (-named.count(d), named.index(d))), "batch"):
        if max((t.shape.count(dim) for t in feeds), default=0) == 1:
            return dim
    return ""


# ---------------------------------------------------------------- a training


class DataParallel:
    """A training step over a cluster: the batch in parts, the gradients of the parts put together, the update made here. What `fl.fit(..., cluster=client)` runs.

    `shards`: how many parts; by default as many as there are workers at the first step, and that stays, whoever comes or goes.

    How the parts of a tensor make the whole, as their mean, weighted by rows, or as their sum, is proven from the graph (`rows.kinds`): of losses that are Mean or Sum over the batch of what
    keeps rows apart, or linear in one, and of their gradients. Where that is not proven, as of operations of one's own, every batch is computed here as well, which gains no time, and a warning says
    so once: AttributeValueError for a batch of which the tensor is neither, such as what follows batch statistics.
    """

    def __init__(self, sess: Session, client: Any, train: Any, fetches: Sequence[Any] = (), *, shards: int | None = None):
        if shards is not None and (isinstance(shards, bool) or not isinstance(shards, int) or shards < 1):
            raise AttributeValueError(f"shards is {shards!r}.", port="shards", hint="Use a whole number from 1 on.")
        self.session, self.workers, self.shards = sess, Workers(sess, client), shards
        self.wanted, _ = flatten(sess.graph, [train, *fetches])
        self._fetches = [train, *fetches]
        self._shared: dict[tuple[Tensor, ...], tuple[str, Shared, dict[Tensor, str]]] = {}
        self._kinds: dict[Tensor, str] = {}     # mean | sum | rows | same, at the last step
        self._warned = False

    def step(self, feeds: Mapping[Any, Any]) -> list[Any]:
        """One step: commits as `Session.run([train, *fetches], feeds)` would, and returns what it would, to float tolerance."""
        return self._step(feeds, None)

    def timeline(self, feeds: Mapping[Any, Any]) -> Timeline:
        """One step with every firing timed, on each worker and here: devices are `worker:0/cpu:0`, `worker:1/cpu:0` … and `cpu:0`. It commits like any step.

        A worker's clock is set by this process's: what it did lies in the middle between question and answer.
        """
        rows: list[tuple[int | None, Row]] = []
        results = self._step(feeds, rows, "outside")
        first = min((r.start for _, r in rows), default=0.0)
        moved = [Row(k, *astuple(r)[1:6], r.start - first, r.duration, r.frame) for k, (_, r) in enumerate(sorted(rows, key=lambda found: found[1].start))]
        return Timeline(self.session.graph.name, moved, results)

    def trace(self, feeds: Mapping[Any, Any]) -> Any:
        """One step as a Trace that holds every replica: part k of the batch is the scope `worker_k`, what puts the parts together is `together`, the update keeps its names. It commits like any step.

        Devices and times are those of the workers, so that the lab shows a lane for each (`fl.Editor(trace)`, As recorded); the values are computed again here.
        """
        from .lanes import laid_out
        rows: list[tuple[int | None, Row]] = []
        moment = self.session.moment()
        self._step(feeds, rows, "inside")
        first = min((r.start for _, r in rows), default=0.0)
        by_tensor = feed_tensors(self.session.graph, feeds)
        fed = dict(zip(by_tensor, checked_feeds(by_tensor)))
        dim, shared, _ = self._shared[tuple(fed)]
        moved = [(part, Row(*astuple(r)[:6], r.start - first, r.duration, r.frame)) for part, r in rows]
        return laid_out(self.session, moment, shared, self._kinds, self._parts(dim, fed), fed, moved)

    def _parts(self, dim: str, fed: Mapping[Tensor, np.ndarray]) -> list[Part]:
        self.shards = self.shards or len(self.workers)
        return _parts(dim, next(a.shape[t.shape.index(dim)] for t, a in fed.items() if dim in t.shape), self.shards)

    def _step(self, feeds: Mapping[Any, Any], rows: list[tuple[int | None, Row]] | None, timed: str = "") -> list[Any]:
        sess = self.session
        by_tensor = feed_tensors(sess.graph, feeds)
        arrays = checked_feeds(by_tensor)
        fed = dict(zip(by_tensor, arrays))
        if sess.tape is not None:
            sess.tape(self._fetches, {t.name: a for t, a in fed.items()})
        if tuple(fed) not in self._shared:
            dim = batch_dimension(tuple(fed))
            apart = share(sess.graph, self.wanted, tuple(fed), dim)
            self._shared[tuple(fed)] = dim, apart, kinds(sess.graph, apart.far, tuple(fed), dim)
        dim, shared, proven = self._shared[tuple(fed)]
        try:
            far = self._far(shared, proven, fed, dim, rows, timed)
        except KernelError as error:
            error.run = (sess, self._fetches, {t.name: np.array(a) for t, a in fed.items()}, sess.moment())     # fl.debug opens it here
            raise
        near_plan = sess.plan(shared.near, (*shared.cut, *(t for t in fed if t not in shared.cut)))
        inputs = [*(far[t] for t in shared.cut), *(a for t, a in fed.items() if t not in shared.cut)]
        if rows is None:
            near = sess.alone(sess.execute, near_plan, inputs)
        else:
            stamps: list[Any] = []
            began = time.perf_counter()
            near = sess.alone(sess._timed, near_plan, inputs, stamps)
            rows += [(None, Row(0, s.node.name, s.node.op.name, s.node.phase, s.device, thread, began + start, end - start)) for s, (thread, start, end) in zip(near_plan.steps, stamps)]
        done = dict(zip(shared.near, near))
        return [far[w] if w in far else done[w] for w in self.wanted]

    def _far(self, shared: Shared, proven: Mapping[Tensor, str], fed: Mapping[Tensor, np.ndarray], dim: str, rows: list[tuple[int | None, Row]] | None, timed: str) -> dict[Tensor, np.ndarray]:
        """The tensors that the workers compute, put together."""
        sess, parts = self.session, self._parts(dim, fed)
        values, run = sess.store.snapshot(), sess.store.runs
        weights = {n.name: values[n.id] for n in sess.store.variables() if n.name in shared.weights}
        names = [t.name for t in shared.far]
        jobs = ((rows_of(fed, p), run, p) for p in parts)
        answers: list[list[np.ndarray]] = []
        for (computed, line, seconds), worker, asked, came in self.workers.all(names, weights, jobs, timed):
            if rows is not None and line:
                offset = (asked + came - seconds) / 2 - min(r[6] for r in line)
                rows += [(len(answers), Row(*r[:4], f"worker:{worker}/{r[4]}", r[5], r[6] + offset, r[7], tuple(r[8]))) for r in line]
            answers.append(computed)
        if len(parts) == 1:
            return dict(zip(shared.far, answers[0]))
        sizes = [p.stop - p.start for p in parts]
        each = {t: [a[k] for a in answers] for k, t in enumerate(shared.far)}
        self._kinds = dict(proven)
        unknown = [t for t in shared.far if t not in proven]
        there = self._probe(unknown, each, sizes, fed, dim) if unknown else {}
        return {t: there[t] if t in there else _whole(each[t], sizes, proven[t], t, dim) for t in shared.far}

    def _probe(self, tensors: Sequence[Tensor], each: Mapping[Tensor, list[np.ndarray]], sizes: Sequence[int], fed: Mapping[Tensor, np.ndarray], dim: str) -> dict[Tensor, np.ndarray]:
        """The tensors over the whole batch, computed here; AttributeValueError if its parts do not make them."""
        sess = self.session
        runs = sess.store.runs
        try:
            whole = sess.alone(sess.execute, sess.plan(tuple(tensors), tuple(fed)), list(fed.values()))
        finally:
            sess.store.runs = runs
        scales = [max(_norm(v), sum(map(_norm, each[t])) / len(sizes)) for t, v in zip(tensors, whole)]
        floor = max((s for t, s in zip(tensors, scales) if t.dtype.kind == "f" and np.isfinite(s)), default=0.0) * 1e-3      # below it a gradient is what rounding left
        for t, value, scale in zip(tensors, whole, scales):
            made_of = ("rows",) if dim in t.shape else ("mean", "sum") if t.dtype.kind == "f" else ("same", "sum") if t.dtype.kind in "iu" else ("same",)
            if "same" in made_of and not all(np.array_equal(p, value) for p in each[t]):
                made_of = made_of[1:]
            for kind in made_of:
                made = _whole(each[t], sizes, kind, t, dim)
                off = _norm(made.astype("float64") - value.astype("float64")) if made.shape == value.shape else np.inf
                if off <= _CLOSE.get(value.dtype.char, 0.0) * max(scale, floor) or not (np.isfinite(scale) or np.isfinite(_norm(made))):
                    self._kinds[t] = kind
                    break
            else:
                raise AttributeValueError(f"the rows of {t.name} depend on each other." if made_of == ("rows",) else f"{t.name} of a whole batch is neither the mean nor the sum of its parts.",
                                          node=t.node.name, port="cluster", hint="Batch statistics (batch_norm), and losses that are no mean or sum over rows, such as one divided by the sum of a mask, "
                                          "need the whole batch: train without cluster, use layer_norm, divide by a number.")
        if not self._warned:
            self._warned = True
            warnings.warn(f"of {tensors[0].name} it is not proven that a batch makes the mean or the sum of its parts, so that every batch is computed here as well, to see: "
                          "a cluster gains no time.", stacklevel=2)
        return dict(zip(tensors, whole))

    def close(self) -> None:
        self.workers.close()


def _norm(value: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.sum(np.square(value.astype("float64")))))


def _parts(dim: str, total: int, count: int) -> list[Part]:
    """`count` parts of a batch, of sizes that differ by one row at most; fewer where there are fewer rows."""
    n = max(1, min(count, total))
    ends = [total * k // n for k in range(n + 1)]
    return [Part(dim, a, b, total) for a, b in zip(ends, ends[1:])]


def rows_of(fed: Mapping[Tensor, np.ndarray], part: Part) -> dict[str, np.ndarray]:
    """The feeds of a part; what has no batch goes whole to all."""
    out = {}
    for t, a in fed.items():
        if part.dim in t.shape:
            a = a[(slice(None),) * t.shape.index(part.dim) + (slice(part.start, part.stop),)]
        out[t.name] = np.ascontiguousarray(a).reshape(a.shape)
    return out


def _whole(parts: Sequence[np.ndarray], sizes: Sequence[int], kind: str, tensor: Tensor, dim: str) -> np.ndarray:
    """Parts of a tensor put together, always in their order, so that the same parts give the same bits."""
    if kind == "rows":
        return np.concatenate(parts, axis=tensor.shape.index(dim))
    first, total = parts[0], sum(sizes)
    if kind == "same":
        if not all(np.array_equal(p, first) for p in parts):
            raise AttributeValueError(f"{tensor.name} is not the same in all parts of a batch.", node=tensor.node.name, port="cluster", hint="Of whole numbers a sum can be put together: fl.sum counts.")
        return first
    if kind == "mean":
        shares = [first.dtype.type(n / total) for n in sizes]
        made = np.asarray(first * shares[0])
        for p, s in zip(parts[1:], shares[1:]):
            made = np.asarray(made + p * s)
        return made
    made = np.array(first)
    for p in parts[1:]:
        made = np.asarray(made + p)
    return made.astype(first.dtype, copy=False)


# ---------------------------------------------------------------- looking at data that nothing is trained on


def run_over(sess: Session, fetches: Sequence[Any], batches: Iterable[Mapping[Any, Any]], workers: Workers | None) -> Iterable[tuple[list[Any], dict[str, np.ndarray]]]:
    """`Session.run(fetches, feeds)` of one batch after the other, with its feeds by name; over a cluster several at a time, with the same numbers. Changes no variable."""
    if workers is None:
        for feeds in batches:
            by = feed_tensors(sess.graph, feeds)
            arrays = dict(zip(by, checked_feeds(by)))
            yield sess.run(list(fetches), arrays), {t.name: a for t, a in arrays.items()}
        return
    flat, put_back = flatten(sess.graph, list(fetches))
    for t in flat:
        if not isinstance(t, Tensor):
            raise AttributeValueError(f"{t.name} has no value to fetch.", node=t.name, port="fetches", hint="Fetch tensors.")
    values, run = sess.store.snapshot(), sess.store.runs
    given: list[dict[str, np.ndarray]] = []

    def jobs() -> Iterable[tuple[dict[str, np.ndarray], int, None]]:
        nonlocal run
        for feeds in batches:
            by = feed_tensors(sess.graph, feeds)
            given.append({t.name: a for t, a in zip(by, checked_feeds(by))})
            run += 1
            yield given[-1], run - 1, None

    weights = {n.name: values[n.id] for n in sess.store.variables() if n.name in _read(flat)}
    for (computed, _, _), *_ in workers.all([t.name for t in flat], weights, jobs()):
        yield put_back(computed), given.pop(0)
    sess.store.runs = run


def _read(tensors: Sequence[Any]) -> set[str]:
    """The variables that the tensors are made of; AttributeValueError if computing them changes one."""
    nodes = needed(tensors, controls=True)
    for node in nodes:
        if node.op.name == "Assign":
            raise AttributeValueError(f"{node.name} changes a variable: that is training.", node=node.name, port="fetches", hint="Fetch what only reads.")
    return {n.name for n in nodes if n.op.source == "variable"}


def evaluate(sess: Session, fetches: Any, data: Any, *, batch: int | None = None, cluster: Any = None) -> Any:
    """The fetches over a whole data set, as one run over all of it would give them: of a tensor that has the batch's named dimension all rows, of a mean over the batch the mean over all examples,
    of a sum the sum, of what does not depend on the batch its value.

    Mean and sum are proven from the graph (`rows.kinds`); where more than one batch comes and neither is proven, as of a maximum, of a mean that another function follows, or of an operation of
    one's own, AttributeValueError names the fetch. `data`, `batch`: as `fl.fit` takes them. Returns the structure of `fetches`. `cluster`: a Dask client whose workers take a batch each; the numbers are those of one process. No variable is
    changed. FeedError for data without a batch. Random numbers are drawn as in runs of one batch each.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder(("batch", 2), name="x")
    ...     total = fl.sum(x, axis=1)
    ...     size = fl.mean(total)
    >>> fl.evaluate(fl.Session(g), {"rows": total, "mean": size}, {x: [[1, 2], [3, 4], [5, 6]]}, batch=2)
    {'rows': array([ 3.,  7., 11.], dtype=float32), 'mean': 7.0}
    """
    from ..core.errors import FeedError
    from ..data import as_pipeline
    flat, put_back = flatten(sess.graph, fetches)
    _read(flat)
    workers = None if cluster is None else Workers(sess, cluster)
    parts: list[list[np.ndarray]] = [[] for _ in flat]
    sizes: list[int] = []
    fed: tuple[Tensor, ...] = ()
    batches = iter(as_pipeline(data, batch))
    try:
        for values, feeds in run_over(sess, flat, batches, workers):
            sizes.append(examples_in(sess.graph, feeds))
            fed = tuple(map(sess.graph.tensor, feeds))
            for kept, value in zip(parts, values):
                kept.append(value)
    finally:
        if hasattr(batches, "close"):
            batches.close()
        if workers is not None:
            workers.close()
    if not sizes:
        raise FeedError("the data is empty: there is no batch.", port="data", hint="One example at least is needed.")
    return put_back(list(_all(sess.graph, flat, parts, sizes, fed)))


def _all(graph: Graph, fetches: Sequence[Tensor], parts: Sequence[Sequence[np.ndarray]], sizes: Sequence[int], fed: Sequence[Tensor]) -> Iterable[Any]:
    """The value over all batches of each fetch, from those of the batches."""
    dim = _batch_of(fed)
    proven = kinds(graph, fetches, fed, dim) if dim and len(sizes) > 1 else {}
    for t, values in zip(fetches, parts):
        kind = "rows" if dim in t.shape else proven.get(t)
        if len(sizes) == 1:
            yield values[0]
        elif kind is None:
            raise AttributeValueError(f"{t.name} over all data cannot be told from its values over batches: it is proven neither a mean nor a sum over the batch." if dim else
                                      f"no dimension of what is fed has a name, so it is not known how {t.name} depends on the batch.", node=t.node.name, port="fetches",
                                      hint="Fetch the rows that it is made of, or pass all data as one batch." if dim else 'fl.placeholder(("batch", 784)) names it.')
        elif kind == "rows":
            yield np.concatenate(values, axis=t.shape.index(dim))
        elif kind == "same":
            yield values[0]
        else:
            whole = np.average(values, axis=0, weights=sizes) if kind == "mean" else np.sum(values, axis=0)
            yield whole.astype(t.dtype if t.dtype.kind == "f" else whole.dtype) if np.ndim(whole) else whole.item()


def examples_in(graph: Graph, feeds: Mapping[str, Any]) -> int:
    """How many examples a batch holds, fed by the names of tensors: the size of its named dimension; where none has a name, what the first feed that is no scalar has along its first axis."""
    shapes = {graph.tensor(name): np.shape(v) for name, v in feeds.items()}
    if dim := _batch_of(tuple(shapes)):
        return next(s[t.shape.index(dim)] for t, s in shapes.items() if dim in t.shape)
    return next((s[0] for s in shapes.values() if s), 1)
