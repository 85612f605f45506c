"""serve: a graph answers requests, as JSON and safetensors. What comes in is checked and bounded, requests that fit share a run; `web` puts HTTP around it."""
from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, TimeoutError as FutureTimeout
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, DeviceError, DocumentError, FeedError, FetchError, FlowError, KernelError
from ..core.graph import Graph, Tensor
from ..io import jsonio
from ..io.fetching import needed
from ..runtime.feeding import checked_feeds, resolve
from ..runtime.session import Session
from .rows import RowsMeet, row_axes

_PLANS = 16             # choices of outputs that are kept ready


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and all of them together, may take.

    `body`: bytes of a request; all that are at hand may have four times as many together. `elements`: numbers in all of its inputs, and in its answer. `rows`: its size along any named dimension. `seconds`: from the first byte of the body to the
    answer. `queue`: requests at hand at the same time. `merge`: rows that one run computes for several requests; 1 runs each by itself. `wait`: seconds that a run waits at most for
    requests that are being read just now, and never longer than a run takes. `nonfinite`: may inputs hold NaN and infinities?
    """

    body: int = 16 << 20
    elements: int = 4_000_000
    rows: int = 4096
    seconds: float = 30.0
    queue: int = 64
    merge: int = 256
    wait: float = 0.002
    nonfinite: bool = False

    def __post_init__(self) -> None:
        for name in ("body", "elements", "rows", "queue", "merge"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise AttributeValueError(f"{name} is {value!r}.", port=name, hint="Use a whole number from 1 on.")
        for name, least in (("seconds", 0.001), ("wait", 0.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= 86400:
                raise AttributeValueError(f"{name} is {value!r}.", port=name, hint="Use a number of seconds, at most a day.")


class Refused(Exception):
    """A request that gets no answer: `status` as in HTTP, `field` where it is wrong, as in `inputs.x[0][2]`."""

    def __init__(self, status: int, detail: str, field: str = "", hint: str = "", retry: int = 0):
        super().__init__(detail)
        self.status, self.detail, self.field, self.hint, self.retry = status, detail, field, hint, retry


# ---------------------------------------------------------------- the model, and runs that several requests share


@dataclass(frozen=True, slots=True)
class Choice:
    """What a set of outputs needs, and how requests for it can share a run: `dim` is then the batch, `axes` where each output has it."""

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    dim: str = ""
    axes: tuple[int, ...] = ()
    why: str = ""           # why they cannot


@dataclass(eq=False, slots=True)
class Job:
    """One request that waits for its run."""

    choice: Choice
    arrays: tuple[np.ndarray, ...]
    rows: int
    until: float            # monotonic; nobody waits any longer
    answer: Future = field(default_factory=Future)
    shared: int = 0         # requests in the run that answered it


class Model:
    """A graph with its variables that answers: `ask` checks inputs and returns outputs. One thread of its own runs it, with what came meanwhile in one batch where rows stay apart.

    `fetches`: the tensors that may be asked for; no run of them may change a variable. Values are those of `Session.run`; in a batch that several requests share they may differ
    in the last bits, as they do in any batch of another size.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder(("batch", 2), name="x")
    ...     y = fl.sum(x, axis=1, name="y")
    >>> with Model(fl.Session(g), [y]) as model:
    ...     model.ask({"x": [[1, 2], [3, 4]]})
    {'y': array([3., 7.], dtype=float32)}
    """

    def __init__(self, session: Session, fetches: Sequence[Any], *, limits: Limits | None = None):
        self.session, self.graph, self.limits = session, session.graph, limits or Limits()
        self.outputs: dict[str, Tensor] = {}
        for fetch in fetches:
            found = resolve(self.graph, fetch)
            if not isinstance(found, Tensor) or found.graph is not self.graph:
                raise FetchError(f"{found.name} has no value of its own to answer with.", node=found.name, hint="Name a tensor outside of loops, such as logits:0.")
            self.outputs[found.name.removesuffix(":0")] = found
        if not self.outputs:
            raise FetchError("there is nothing to answer with.", hint=f"Name outputs, such as {', '.join(_candidates(self.graph)) or 'logits'}.")
        self._choices: OrderedDict[tuple[str, ...], Choice] = OrderedDict()
        whole = self.choice(list(self.outputs))
        self.inputs: dict[str, Tensor] = {n: self.graph.node(n).outputs[0] for n in whole.inputs}
        self.random = any(s.node.op.random for s in self._plan(whole).steps)
        self.reading = 0                                    # requests that are on their way here
        self.seen: Callable[[int, int, float], Any] = lambda requests, rows, seconds: None      # is told of every run
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = self._idle = False
        self._since: float | None = None                    # when the run at hand began
        self._typical = self.limits.wait      # seconds of the last runs, on average: waiting for company longer than that gains nothing
        self._thread = threading.Thread(target=self._work, name="flowlab serve", daemon=True)
        self._thread.start()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Model of {self.graph.name!r}: {', '.join(self.inputs) or 'no inputs'} → {', '.join(self.outputs)}"

    # ------------------------------------------------------------ what is needed for what

    def choice(self, outputs: Sequence[str]) -> Choice:
        """What these outputs need; FetchError for one that is not offered."""
        for name in outputs:
            if name.removesuffix(":0") not in self.outputs:
                raise FetchError(f"there is no output {name!r}.", node=name, hint=f"Outputs: {', '.join(self.outputs)}.")
        wanted = {n.removesuffix(":0") for n in outputs}
        names = tuple(n for n in self.outputs if n in wanted)
        found = self._choices.get(names)
        if found is None:
            found = self._choices[names] = self._made(names)
            while len(self._choices) > _PLANS:
                self._choices.pop(next(k for k in self._choices if k != names))
        return found

    def _made(self, names: tuple[str, ...]) -> Choice:
        inputs = tuple(n.name for n in needed([self.outputs[n] for n in names], controls=True) if n.op.source == "placeholder")
        plan = self._plan(bare := Choice(names, inputs))
        if plan.assigns:
            changed = next(n.name for n in self.graph.nodes if n.id == plan.assigns[0][1])
            raise FetchError(f"computing {names[0]} changes the variable {changed}: a service answers, it does not train.", node=names[0], hint="Name outputs that only read.")
        tensors = [self.graph.node(n).outputs[0] for n in inputs]
        if self.limits.merge == 1:
            return Choice(names, inputs, why="every request has a run of its own")
        reasons = []        # the first axis is the likeliest: its reason is told
        for dim in dict.fromkeys(d for t in tensors for d in t.shape if isinstance(d, str)):
            if all(t.shape.count(dim) == 1 for t in tensors):
                try:
                    axes = row_axes(self.graph, [s.node for s in plan.steps], [self.outputs[n] for n in names], tensors, dim)
                except RowsMeet as error:
                    reasons.append(error.message)
                else:
                    return Choice(names, inputs, dim, tuple(axes[self.outputs[n]] for n in names))
        return Choice(bare.outputs, bare.inputs, why=reasons[0] if reasons else "no named dimension is in every input" if tensors else "it has no inputs")

    def variables(self) -> list[str]:
        """The variables that the outputs read."""
        read = {node_id for _, node_id in self._plan(self.choice(list(self.outputs))).variables}
        return [n.name for n in self.graph.nodes if n.id in read]

    def _plan(self, choice: Choice) -> Any:
        feeds = tuple(self.graph.node(n).outputs[0] for n in choice.inputs)
        return self.session.alone(self.session.plan, tuple(self.outputs[n] for n in choice.outputs), feeds)

    # ------------------------------------------------------------ asking

    def job(self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None) -> Job:
        """A request with its inputs checked. Refused names the field: unknown or missing names, numbers of another kind, shapes, sizes, NaN."""
        if outputs is not None and not outputs:
            raise Refused(422, "no output is asked for.", "outputs", f"Outputs: {', '.join(self.outputs)}.")
        try:
            choice = self.choice(list(self.outputs) if outputs is None else outputs)
        except FetchError as error:
            raise Refused(422, error.message, "outputs", error.hint) from None
        names = {n.removesuffix(":0"): n for n in inputs}
        if len(names) < len(inputs):
            raise Refused(422, "an input is given twice.", "inputs")
        unknown = [n for n in names if n not in self.inputs]
        if unknown:
            raise Refused(422, f"there is no input {short(unknown[0])}.", f"inputs.{short(unknown[0])}", f"Inputs: {', '.join(self.inputs) or 'none'}.")
        missing = [n for n in choice.inputs if n not in names]
        if missing:
            raise Refused(422, f"the input {missing[0]} is missing.", f"inputs.{missing[0]}", f"It takes {self.inputs[missing[0]].type}.")
        arrays: list[np.ndarray] = []
        sizes: dict[str, int] = {}
        left = self.limits.elements
        feeds: dict[Tensor, Any] = {}
        for name in choice.inputs:
            tensor, value = self.inputs[name], inputs[names[name]]
            try:
                array, = checked_feeds({tensor: value})
            except FeedError as error:
                raise Refused(422, error.message, f"inputs.{name}", f"It takes {tensor.type}.") from None
            for axis, (d, n) in enumerate(zip(tensor.shape, array.shape)):
                if isinstance(d, str):
                    sizes[d] = n
                if not isinstance(d, int) and n > self.limits.rows:
                    raise Refused(413, f"axis {axis} ({d or 'without a name'}) of {name} has {n} entries, more than {self.limits.rows}.", f"inputs.{name}", "Send fewer at a time.")
            left -= array.size
            if left < 0:
                raise Refused(413, f"the inputs hold more than {self.limits.elements:,} numbers.", f"inputs.{name}", "Send fewer at a time.")
            if not self.limits.nonfinite and array.dtype.kind == "f" and not np.isfinite(array).all():
                at = np.argwhere(~np.isfinite(array))[0]
                raise Refused(422, f"{name} holds {array[tuple(at)]}, which is no finite {array.dtype}.", f"inputs.{name}" + "".join(f"[{k}]" for k in at), "Send finite numbers.")
            feeds[tensor] = array
            arrays.append(array)
        try:
            checked_feeds(feeds)    # one size for a name, in all inputs
        except FeedError as error:
            raise Refused(422, error.message, f"inputs.{error.node}", error.hint) from None
        return Job(choice, tuple(arrays), sizes.get(choice.dim, 0), time.monotonic() + self.limits.seconds)

    def put(self, job: Job) -> None:
        """Have a request computed; its `answer` holds the outputs, or raises Refused."""
        with self._changed:
            if self._closed:
                raise Refused(503, "the service is shutting down.", retry=1)
            if len(self._jobs) >= self.limits.queue:
                raise Refused(429, f"{self.limits.queue} requests wait already.", hint="Try again later.", retry=1)
            self._jobs.append(job)
            if self._idle or not self.reading:      # a run that waits for company is not woken for each
                self._changed.notify_all()

    def ask(self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The outputs by name, for inputs by name. Refused for what the service would refuse."""
        job = self.job(inputs, outputs)
        self.put(job)
        try:
            return job.answer.result(self.limits.seconds)
        except FutureTimeout:
            raise late(self.limits) from None

    @property
    def waiting(self) -> int:
        """Requests that wait for a run."""
        return len(self._jobs)

    @property
    def busy(self) -> float:
        """Seconds that the run at hand has taken so far; 0 between runs."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def unready(self) -> str:
        """Why it cannot answer now; empty if it can."""
        if self._closed:
            return "shutting down"
        if not self._thread.is_alive():
            return "the thread that runs the graph is gone"
        if self.busy > self.limits.seconds:
            return f"a run has taken {self.busy:.0f} s so far"
        return "the queue is full" if self.waiting >= self.limits.queue else ""

    def close(self, seconds: float = 5.0) -> None:
        """Answer what waits, and end the thread; a run that takes longer is left to end with the process."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(seconds)

    # ------------------------------------------------------------ the thread that runs

    def _work(self) -> None:
        while jobs := self._next():
            self._since = began = time.monotonic()
            try:
                self._run(jobs)
            except BaseException as error:      # nobody waits in vain
                for job in jobs:
                    if not job.answer.done():
                        job.answer.set_exception(error)
            finally:
                self._since = None
            took = time.monotonic() - began
            self._typical += (took - self._typical) / 8
            self.seen(len(jobs), sum(j.rows for j in jobs), took)
            del jobs    # their arrays go while it waits

    def _next(self) -> list[Job]:
        """The next request and those that fit behind it; empty once the service is closed and nothing waits."""
        with self._changed:
            while True:
                now = time.monotonic()
                for job in [j for j in self._jobs if j.until <= now or j.answer.cancelled()]:
                    self._jobs.remove(job)
                if self._jobs:
                    break
                if self._closed:
                    return []
                self._idle = True
                self._changed.wait()
                self._idle = False
            first = self._jobs.popleft()
            together, rows = [first], first.rows
            if first.choice.dim:
                until = time.monotonic() + min(self.limits.wait, self._typical)
                while True:
                    for job in list(self._jobs):
                        if self._fit(first, job) and rows + job.rows <= self.limits.merge:
                            self._jobs.remove(job)
                            together.append(job)
                            rows += job.rows
                    left = until - time.monotonic()
                    if self._closed or not self.reading or rows >= self.limits.merge or left <= 0 or not self._changed.wait(left):
                        break
            return [j for j in together if j.answer.set_running_or_notify_cancel()]

    def _fit(self, a: Job, b: Job) -> bool:
        if a.choice.outputs != b.choice.outputs:
            return False
        axes = [self.inputs[n].shape.index(a.choice.dim) for n in a.choice.inputs]
        return all(x.shape[:k] == y.shape[:k] and x.shape[k + 1:] == y.shape[k + 1:] for x, y, k in zip(a.arrays, b.arrays, axes))

    def _run(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        choice = jobs[0].choice
        if len(jobs) == 1:
            arrays: Sequence[np.ndarray] = jobs[0].arrays
        else:
            arrays = [np.concatenate(parts, axis=self.inputs[n].shape.index(choice.dim)) for n, parts in zip(choice.inputs, zip(*(j.arrays for j in jobs)))]
        try:
            values = self.session.run([self.outputs[n] for n in choice.outputs], dict(zip([self.inputs[n] for n in choice.inputs], arrays)))
        except FlowError as error:
            if len(jobs) > 1:       # whose request it was shows when each is run by itself
                for job in jobs:
                    self._run([job])
                return
            jobs[0].answer.set_exception(_refusal(error))
            return
        ends = np.cumsum([j.rows for j in jobs])[:-1]
        parts = [np.split(v, ends, axis=a) for v, a in zip(values, choice.axes)] if len(jobs) > 1 else [[v] for v in values]
        for k, job in enumerate(jobs):
            job.shared = len(jobs)
            job.answer.set_result({n: p[k] for n, p in zip(choice.outputs, parts)})

    def describe(self) -> dict[str, Any]:
        """Inputs, outputs and limits, as GET /v1/model gives them."""
        def told(tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
            return [{"name": n, "dtype": t.dtype.name, "shape": list(t.shape)} for n, t in tensors.items()]
        choice = self.choice(list(self.outputs))
        return {"model": self.graph.name, "inputs": told(self.inputs), "outputs": told(self.outputs), "random": self.random,
                "batching": {"along": choice.dim or None, **({} if choice.dim else {"why": choice.why})},
                "limits": asdict(self.limits)}


def _candidates(graph: Graph) -> list[str]:
    """What a person may have meant to ask for: the last results on the way forward."""
    used = {t.node.id for n in graph.nodes if n.phase == "forward" for t in n.inputs}     # what only the way back takes is a last result too
    return [n.name for n in graph.nodes if n.phase == "forward" and n.outputs and not n.op.source and n.id not in used][-3:]


def default_fetches(graph: Graph, marked: Sequence[str] = ()) -> list[Tensor]:
    """What a graph answers with when nobody says: the nodes marked as fetches, else those that nothing else takes, if they have a value and change no variable."""
    used = {t.node.id for n in graph.nodes for t in n.inputs}
    nodes = [graph.node(n) for n in marked] or [n for n in graph.nodes if n.id not in used and not n.op.source]
    return [n.outputs[0] for n in nodes if n.outputs and not any(m.op.name == "Assign" for m in needed(n.outputs, controls=True))]


def _refusal(error: FlowError) -> Exception:
    """What a client is told of a run that failed: its own numbers are to blame, or memory."""
    if isinstance(error, DeviceError) or isinstance(error.__cause__, MemoryError):
        return Refused(413, error.message, error.node or "", "Send fewer at a time.")
    if isinstance(error, (KernelError, FeedError)):
        return Refused(422, error.message.partition(" made at ")[0], error.node or "inputs", "The graph does not take these values.")
    return error


def late(limits: Limits) -> Refused:
    return Refused(503, f"there is no answer after {limits.seconds:g} s.", hint="Try again later, or send less at a time.", retry=1)


def short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


# ---------------------------------------------------------------- bodies


def read_json(body: bytes) -> tuple[dict[str, Any], list[str] | None]:
    """Inputs and wanted outputs from `{"inputs": {"x": [[1, 2]]}, "outputs": ["y"]}`."""
    try:
        data = jsonio.parse(body, max_bytes=max(len(body), 1), what="the body", finite=False)
    except DocumentError as error:
        raise Refused(400, error.message, "body", error.hint if "graph" not in error.hint else "") from None
    if not isinstance(data, dict):
        raise Refused(422, "the body is no JSON object.", "body", 'Send {"inputs": {"x": [[1, 2]]}}.')
    for key in data:
        if key not in ("inputs", "outputs"):
            raise Refused(422, f"there is no field {short(key)!r}.", short(key) or "body", "There are inputs and outputs.")
    inputs, outputs = data.get("inputs", {}), data.get("outputs")
    if not isinstance(inputs, dict):
        raise Refused(422, "inputs is no object of values by name.", "inputs", 'Send {"inputs": {"x": [[1, 2]]}}.')
    if outputs is not None and not (isinstance(outputs, list) and all(isinstance(n, str) for n in outputs)):
        raise Refused(422, "outputs is no list of names.", "outputs", 'Send {"outputs": ["y"]}, or leave it out.')
    return inputs, outputs


def read_safetensors(body: bytes) -> dict[str, np.ndarray]:
    """Inputs by name from the bytes of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load
    try:
        return load(body)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise Refused(400, f"the body is no safetensors file that NumPy can hold: {short(str(error))}", "body") from None


def write_json(outputs: Mapping[str, np.ndarray]) -> bytes:
    """`{"outputs": {"y": {"dtype": …, "shape": […], "values": [[…]]}}}`; NaN and infinities, which JSON has not, as "NaN", "Infinity" and "-Infinity"."""
    told = {n: {"dtype": v.dtype.name, "shape": list(v.shape), "values": _plain(v)} for n, v in outputs.items()}
    return json.dumps({"outputs": told}, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _plain(value: np.ndarray) -> Any:
    if value.dtype.kind != "f" or np.isfinite(value).all():
        return value.tolist()
    words = value.astype(object)
    for bad, word in ((np.isnan(value), "NaN"), (value == np.inf, "Infinity"), (value == -np.inf, "-Infinity")):
        words[bad] = word
    return words.tolist()


def write_safetensors(outputs: Mapping[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save
    return save({n: np.ascontiguousarray(v).reshape(v.shape) for n, v in outputs.items()}, metadata={"flowlab": "1"})


def is_loopback(host: str) -> bool:
    """Is this address one that only programs on this machine reach?"""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def web() -> Any:
    """The module that speaks HTTP; FlowError where its packages are not installed."""
    try:
        from . import web as found
    except ImportError as error:
        raise FlowError(f"serving needs the package {error.name}.", hint='pip install "flowlab[serve]"') from None
    return found
