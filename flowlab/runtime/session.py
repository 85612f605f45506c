"""Session: a graph's variables and its compiled plans."""
from __future__ import annotations

import os
import threading
import traceback
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import AttributeValueError, DeviceError, DocumentError, FlowError, KernelError, NoFileError, plural
from ..core.files import write_atomically
from ..core.graph import Graph, Node, Tensor, made_at
from ..core.types import shape_text
from .backend import NUMPY, on_host
from .compile import AsItIs, Runner
from .device import Devices
from .feeding import checked_feeds, feed_tensors, flatten
from .memory import check_fit
from .place import COPY, Placed, Placement, placed, remember
from .plan import Plan, Step, make_plan
from .schedule import Parallel, Stamp, fire_in_order
from .selection import Selection
from .store import Draws, Snapshot, Store, Variables, checked
from .timeline import Row, Timeline


class Session:
    """Runs a graph: holds its variables and one compiled plan for each set of fetches and feeds.

    `executor`: "compiled" runs a plan as straight-line code in the caller's thread; "parallel" fires nodes that are ready at the same time on
    `workers` threads (one a processor), as soon as measurement says that a plan gains by it; meanwhile BLAS has one thread. At one BLAS thread the numbers are the same to the bit.
    `device`: where nodes run that ask for none. `cpus`: how many logical processors `fl.device` can ask for, cpu:0 to cpu:n-1. A node that asks for
    a device that is not here runs on `device`, with a warning; `placement` is the log of what runs where, and why. Of several threads that run one
    session at the same time, each waits its turn. `selection` is what the views that are open on it look at together. Whenever an interrupt (Ctrl-C) comes, a run has committed whole or not at all, and the next is right.

    >>> import flowlab as fl
    >>> with fl.Graph() as g:
    ...     x = fl.placeholder((None,), name="x")
    ...     y = fl.sum(x * 2, name="y")
    >>> with fl.Session(g) as sess:
    ...     sess.run(y, {x: [1, 2, 3]})
    array(12., dtype=float32)
    """

    plans_kept = 64

    def __init__(self, graph: Graph, seed: int = 0, *, executor: str = "compiled", workers: int | None = None, device: str = "cpu:0", cpus: int = 1):
        if not isinstance(graph, Graph):
            raise FlowError(f"{graph!r} is not a graph.", hint="Session(g) takes what `with fl.Graph() as g` gave.")
        if executor not in ("compiled", "parallel"):
            raise AttributeValueError(f"there is no executor {executor!r}.", port="executor", hint='Use "compiled" or "parallel".')
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, (int, np.integer)) or not 1 <= workers <= 256):
            raise AttributeValueError(f"workers is {workers!r}.", port="workers", hint="Use a whole number from 1 to 256, or leave it out for one a processor.")
        if workers is not None and executor != "parallel":
            raise AttributeValueError(f"the executor {executor!r} has no workers.", port="workers", hint='Use executor="parallel".')
        if isinstance(cpus, bool) or not isinstance(cpus, (int, np.integer)) or not 1 <= cpus <= 256:
            raise AttributeValueError(f"cpus is {cpus!r}.", port="cpus", hint="Use a whole number from 1 to 256: how many logical processors cpu:0, cpu:1 … there are.")
        devices = Devices(int(cpus))
        backend = devices.find(device)
        if isinstance(backend, str):
            raise DeviceError(f"there is no device {device!r} here: {backend}.", hint='Use "cpu:0".')
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise AttributeValueError(f"the seed is {seed!r}.", port="seed", hint="Use a whole number.")
        self.graph, self.seed = graph, int(seed)
        self.device = device
        self.devices = tuple(dict.fromkeys((*devices, device)))
        self.placement = Placement(graph, devices, device)
        self._placed: set[str] = set()  # devices that were asked for, are not here, and have been told of
        self.store = Store(graph, self.seed)
        self.variables = Variables(self.store)
        self.last_trace: Any = None     # the latest recorded run
        self.selection = Selection()    # what the views of this session look at
        self.tape: Callable | None = None   # is told of every run before it begins
        self.draws: Callable[[int, int], Draws] = Draws     # seed, run → the random numbers of a run
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        self._runners: dict[Plan, Runner | AsItIs] = {}
        self._fitting: dict[Plan, set[Any]] = {}    # shapes of feeds that there was room for
        me: Any = weakref.ref(self)     # what a session holds does not hold the session: it goes as soon as nobody has it
        self._fits = lambda *a: me().fits(*a)
        self.lock = threading.RLock()
        self.executor = executor
        self.parallel: Parallel | None = None
        if executor == "parallel":
            self.parallel = Parallel(lambda *a: me().explain(*a), self._fits, None if workers is None else int(workers), tuple(devices))
            weakref.finalize(self, self.parallel.close)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.parallel is not None:
            self.alone(self.parallel.close)
        self.free()

    def __repr__(self) -> str:
        return f"Session of {self.graph!r}, {plural(self.store.runs, 'run')}"

    # ------------------------------------------------------------ running

    def run(self, fetches: Any, feeds: Mapping[Any, Any] | None = None) -> Any:
        """Compute the fetches and return their values, host arrays in the structure that was asked for.

        `fetches`: a Tensor, Node or name, or lists, tuples and dicts of them; a node that has no output gives None. `feeds`: Tensor or name →
        anything NumPy accepts. Variables read as before the run, and commit when it ends. FetchError, FeedError, KernelError.
        """
        if self.parallel is not None:
            self.parallel.stand_by()
        flat, build = flatten(self.graph, fetches)
        by_tensor = feed_tensors(self.graph, feeds)
        plan = self.plan(flat, tuple(by_tensor))
        arrays = checked_feeds(by_tensor)
        if self.tape is not None:
            self.tape(fetches, {t.name: a for t, a in zip(by_tensor, arrays)})
        try:
            return build(self.alone(self.execute, plan, arrays))
        except KernelError as error:    # what it began with, so that fl.debug can open it
            error.run = (self, fetches, {t.name: np.array(a) for t, a in zip(by_tensor, arrays)}, self.moment())
            raise

    def timeline(self, fetches: Any, feeds: Mapping[Any, Any] | None = None) -> Timeline:
        """Run, and note of every firing its device, its thread, when it began and how long it took: returns a Timeline. It commits like any run.

        `.rows` are the firings, `.results` what `run` returns, `.to_chrome(path)` writes what chrome://tracing opens; `fl.plots.timeline` draws it.
        """
        flat, build = flatten(self.graph, fetches)
        by_tensor = feed_tensors(self.graph, feeds)
        plan = self.plan(flat, tuple(by_tensor))
        arrays = checked_feeds(by_tensor)
        if self.tape is not None:
            self.tape(fetches, {t.name: a for t, a in zip(by_tensor, arrays)})
        stamps: list[Stamp] = []
        results = self.alone(self._timed, plan, arrays, stamps)
        rows = [Row(s.index, s.node.name, s.node.op.name, s.node.phase, s.device, thread, start, end - start)
                for s, (thread, start, end) in zip(plan.steps, stamps)]
        return Timeline(self.graph.name, rows, build(results))

    def code(self, fetches: Any, feeds: Mapping[Any, Any] | None = None) -> str:
        """The Python code that such a run goes by, a line a firing with the node's name behind it: values are `t0`, `t1` …, kernels `k0`, `k1` …; nothing runs.

        At first it is the plan's own. Once feeds of these shapes have come twice it is cut to them: values lie in buffers (`v0`, `v1` …) that stay from run to run, shared where no step needs
        both, and what never changes is left out. The insides of loops and branches stand below. With the parallel executor, a run goes by it where that is measured to be faster than several threads.

        >>> import flowlab as fl
        >>> with fl.Graph() as g:
        ...     x = fl.placeholder((None,), name="x")
        ...     y = fl.exp(x, name="y")
        >>> print(fl.Session(g).code(y, {x: [1, 2]}))
        def plan(feeds, values, rng):
            t0, = feeds
            t1 = k0(t0)  # y
            return (t1, ), ()
        """
        flat, _ = flatten(self.graph, fetches)
        by_tensor = feed_tensors(self.graph, feeds)
        plan = self.plan(flat, tuple(by_tensor))
        runner = self._runners.get(plan)
        cut = runner.made.get(tuple([a.shape for a in checked_feeds(by_tensor)])) if isinstance(runner, Runner) else None
        return plan.code() if cut is None else plan.code(cut.function, cut.lines)

    def moment(self) -> tuple[Snapshot, int]:
        """Where the session stands: its variables, which nobody changes in place, and how many runs there were. A Debugger can begin there later."""
        self.store.variables()
        values, _, runs = self.store.state
        return values, runs

    def alone(self, go: Callable, *args: Any) -> Any:
        """Do something that reads and commits variables, one thread at a time: one that comes meanwhile waits, and sees what was committed before."""
        if self.parallel is not None and self.parallel.owns(threading.get_ident()):
            raise FlowError("a kernel of this session's own run cannot run the session.", hint="Use a session of its own, or the compiled executor.")
        with self.lock:     # Python takes no interrupt between having the lock and the block, nor between the block and letting it go
            return go(*args)

    def _timed(self, plan: Plan, arrays: Sequence[np.ndarray], stamps: list[Stamp]) -> list[Any]:
        draws, snapshot = self.draws(self.seed, self.store.runs), self.store.snapshot()
        if self.parallel is not None:
            (results, assigned, _), found = self.parallel.timed(plan, arrays, snapshot, draws)
        else:
            self.fits(plan, tuple([a.shape for a in arrays]))
            values = plan.values(arrays, snapshot)
            found = fire_in_order(plan, values, draws, self.explain)
            results, assigned = [None if s is None else values[s] for s in plan.results], [values[s] for s, _ in plan.assigns]
        stamps += found
        return self.finish(plan, arrays, list(results), list(assigned))

    def fits(self, plan: Plan, shapes: Any) -> None:
        """DeviceError, naming the node, if a run with feeds of these shapes needs more memory than this process may take. Worked out once for each."""
        seen = self._fitting.setdefault(plan, set())
        if shapes not in seen:
            check_fit(plan, shapes, self.free)
            if len(seen) >= 256:
                seen.clear()
            seen.add(shapes)

    def free(self) -> None:
        """Give back the memory that is kept to make later runs faster."""
        for runner in list(self._runners.values()):
            runner.free()
        NUMPY.free()

    def explain(self, step: Step, error: Exception, values: Any) -> FlowError:
        """The error of a step that was fired by itself. If memory ran out, all that is kept is let go, and a retry may do."""
        found = step_error(step, error, values)
        if isinstance(error, MemoryError):
            self.let_go(error)
        return found

    def let_go(self, error: BaseException | None) -> None:
        """Free what a run that ran out of memory held: whoever keeps its error would keep the values in its frames."""
        while error is not None:
            traceback.clear_frames(error.__traceback__)
            for frame, _ in traceback.walk_tb(error.__traceback__):
                _ = frame.f_locals  # up to Python 3.12 a frame that was looked into keeps what was seen until it is looked into again
            error = error.__cause__
        self.free()

    def plan(self, fetches: Sequence[Tensor | Node], feeds: Sequence[Tensor]) -> Plan:
        """The compiled plan for these fetches and feeds, made once."""
        key = (tuple(fetches), tuple(feeds))
        found = self._plans.get(key)
        if found is None:
            if self.graph._apart:   # a copy is worth what was copied
                fetches = [f.node.inputs[0] if isinstance(f, Tensor) and f.node.op is COPY else f for f in fetches]
            found = self._plans[key] = placed(make_plan(self.graph, fetches, feeds), self.placement)
            self._tell_placement(found)
            if len(self._plans) > self.plans_kept:
                old = self._plans.popitem(last=False)[1]
                self._runners.pop(old, None), self._fitting.pop(old, None)
        else:
            try:
                self._plans.move_to_end(key)    # what a loop runs stays, however much is fetched once in between
            except KeyError:    # another thread has just made room
                self._plans[key] = found
        return found

    def _tell_placement(self, plan: Plan) -> None:
        """Say once of every device that nodes ask for and that is not here."""
        missing: dict[str, list[Placed]] = {}
        for step in plan.steps:
            if step.node.op is not COPY and not (found := self.placement.of(step.node)).granted and found.requested not in self._placed:
                missing.setdefault(str(found.requested), []).append(found)
        for device, ones in sorted(missing.items()):
            if isinstance(why := self.placement.devices.find(device), str):
                self._placed.add(device)
                names = ", ".join(p.node for p in ones[:4])
                warnings.warn(f"there is no {device} here: {names}{f' and {len(ones) - 4} more' if len(ones) > 4 else ''} run on {ones[0].device} ({why}).", stacklevel=4)

    def execute(self, plan: Plan, arrays: Sequence[np.ndarray]) -> Sequence[Any]:
        """Run a plan from the given feeds and the variables as they are, and commit."""
        snapshot = self.store.snapshot()
        try:
            draws = self.draws(self.seed, self.store.runs)
            runner = self._runners.get(plan)
            if runner is None:
                runner = self._runners[plan] = (Runner if all(s.backend is NUMPY for s in plan.steps) else AsItIs)(plan, self._fits)
            results, assigned, owned = runner(arrays, snapshot, draws) if self.parallel is None else self.parallel.run(plan, runner, arrays, snapshot, draws)
            if owned:
                return self.commit(plan, results, assigned)
        except FlowError:
            raise
        except Exception as error:
            told = kernel_error(plan, error, self._runners)
            if isinstance(error, MemoryError):
                self.let_go(error)
            raise told from error
        return self.finish(plan, arrays, list(results), list(assigned))

    def commit(self, plan: Plan, results: Sequence[Any], assigned: Sequence[np.ndarray]) -> Sequence[Any]:
        """Take the new values of variables, which nobody else can write to."""
        self.store.commit({node_id: value for (_, node_id), value in zip(plan.assigns, assigned)} if assigned else {}, 1)
        return results

    def finish(self, plan: Plan, arrays: Sequence[np.ndarray], results: list[Any], assigned: list[Any]) -> list[Any]:
        """Results as the caller's own arrays; then all assigns at once."""
        new = {node_id: _owned(value, arrays) for (_, node_id), value in zip(plan.assigns, assigned)}
        for (slot, node_id), value in zip(plan.assigns, assigned):
            if not isinstance(value, (np.ndarray, np.generic)):     # the next run finds it on the card
                remember(new[node_id], plan.topology.origin[slot][0].backend, value)
        taken = {id(a) for a in arrays} | {id(_owner(v)) for v in assigned}
        out = []
        for slot, value in zip(plan.results, results):
            out.append(None if slot is None else host(value, id(value) in taken))
            taken.add(id(value))
        self.store.commit(new, 1)
        return out

    # ------------------------------------------------------------ looking: filled in by the trace layer

    def trace(self, fetches: Any, feeds: Mapping[Any, Any] | None = None, **options: Any) -> Any:
        """Run and record every firing: returns a Trace. The same kernels as `run`, and it commits like one."""
        if _TRACE is None:
            raise FlowError("the trace layer is not loaded.", hint="import flowlab")
        return _TRACE(self, fetches, feeds, **options)

    # ------------------------------------------------------------ keeping

    def save(self, path: str | os.PathLike, *, notes: Mapping[str, str] | None = None) -> None:
        """Write all variables to a safetensors file: the old file stays whole until the new one is complete. `notes` are texts that go with them."""
        from safetensors.numpy import save
        values = self.store.snapshot()
        title = self.graph.name.encode("utf-8", "replace").decode("utf-8")     # a graph's name is any text, half a character too
        data = save({n.name: np.array(values[n.id], order="C") for n in self.store.variables()}, metadata={**(notes or {}), "flowlab": "1", "graph": title})
        write_atomically(path, data)

    def restore(self, path: str | os.PathLike) -> list[str]:
        """Read the variables that a file holds; returns the names of those it does not, which keep their values.

        DocumentError for a file that is none of ours, ShapeError or DTypeError (naming the variable) for one that does not fit: then nothing changes.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
        try:
            tensors = load_file(os.fspath(path))
        except FileNotFoundError:
            raise NoFileError(f"there is no file {os.fspath(path)!r}.") from None
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise DocumentError(f"{os.fspath(path)!r} cannot be read as weights: {error}.", hint="Session.save writes such a file.") from None
        new, missing = {}, []
        for node in self.store.variables():
            if node.name in tensors:
                new[node.id] = checked(node, tensors[node.name])
            else:
                missing.append(node.name)
        if not new and tensors:
            raise DocumentError(f"{os.fspath(path)!r} holds {', '.join(sorted(tensors)[:6])}, none of this graph's variables.", hint="Is it another graph's file?")
        self.store.commit(new)
        return missing

    def notes(self, path: str | os.PathLike) -> dict[str, str]:
        """The texts that a file of weights carries; DocumentError for one that is none of ours."""
        from safetensors import SafetensorError, safe_open
        try:
            with safe_open(os.fspath(path), "numpy") as file:
                return dict(file.metadata() or {})
        except FileNotFoundError:
            raise NoFileError(f"there is no file {os.fspath(path)!r}.") from None
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise DocumentError(f"{os.fspath(path)!r} cannot be read as weights: {error}.", hint="Session.save writes such a file.") from None


_TRACE: Callable | None = None  # the trace layer puts its recorder here when it loads


def set_tracer(function: Callable) -> None:
    global _TRACE
    _TRACE = function


def host(value: Any, shared: bool) -> np.ndarray:
    """The value as an array that is the caller's own."""
    array = on_host(value)
    if shared or not array.flags.owndata or not array.flags.writeable:
        array = np.array(array, order="C")
    return array


def _owner(value: Any) -> Any:
    """The array whose memory `value` looks into."""
    while isinstance(getattr(value, "base", None), np.ndarray):
        value = value.base
    return value


def _owned(value: Any, feeds: Sequence[np.ndarray]) -> np.ndarray:
    """A new variable value that nobody else can write to."""
    array = on_host(value)
    if not array.flags.c_contiguous or any(np.may_share_memory(array, f) for f in feeds):
        array = np.array(array, order="C")  # one layout for a variable in every run: kernels may round otherwise on another
    elif array.flags.writeable:
        array = array.view()
    array.flags.writeable = False
    return array


def kernel_error(plan: Plan, error: BaseException, runners: Mapping[Plan, Runner | AsItIs]) -> FlowError:
    """What failed in a plan's code, where: the node, the shapes that went in, and the line of the person's code that made it."""
    codes = {**plan.all_codes(), **(runners[plan].codes() if plan in runners else {})}
    return _innermost(codes, error, "") or FlowError(f"the run failed: {type(error).__name__}: {error}")


def step_error(step: Step, error: BaseException, values: Mapping[int, Any]) -> FlowError:
    """The same of a step that was fired by itself; of a loop, what failed inside."""
    codes = {code: plan for body in step.bodies for code, plan in body.all_codes().items()}
    return _innermost(codes, error, f"{step.node.inside}/" if codes else "") or error_at(step, error, values)


def _innermost(codes: Mapping[Any, Any], error: BaseException, inside: str) -> KernelError | None:
    trace, found = error.__traceback__, None
    while trace is not None:        # the innermost loop tells most
        here = codes.get(trace.tb_frame.f_code)
        if here is not None and trace.tb_lineno in here.lines:
            values = trace.tb_frame.f_locals
            step = here.steps[here.lines[trace.tb_lineno]]
            found = error_at(step, error, {s: values.get(f"t{s}", getattr(here, "fixed", {}).get(s)) for _, s in step.args}, inside)
            inside = f"{inside}{step.node.inside}/"
        trace = trace.tb_next
    return found


def error_at(step: Step, error: BaseException, values: Mapping[int, Any], inside: str = "") -> KernelError:
    """The error of one step, with the shapes that its inputs had in this run. `inside`: the loop that it stands in, as `rnn/`."""
    node, name = step.node, f"{inside}{step.node.name}"
    takes = ", ".join(f"{port} {shape_text(getattr(values[slot], 'shape', None) or np.shape(on_host(values[slot])))}" for port, (_, slot) in zip(node.ports, step.args)) or "no inputs"
    what = str(error).strip().rstrip(".") or "it gave no reason"
    made = f" {made_at(node)}" if node.location else ""
    clash, port, axis = _sizes_that_clash(step, values)
    return KernelError(f"{name} ({node.op.name}) failed: {type(error).__name__}: {what}. Its inputs: {takes}.{clash}{made}", node=name, port=port, axis=axis,
                       hint="The variables are as before the run.")


def _sizes_that_clash(step: Step, values: Mapping[int, Any]) -> tuple[str, str | None, int | None]:
    """What is known of the inputs' sizes before a run and did not hold in this one: (a sentence, port, axis)."""
    sizes: dict[str, tuple[int, int, str]] = {}
    for tensor, port, (_, slot) in zip(step.node.inputs, step.node.ports, step.args):
        for axis, (want, got) in enumerate(zip(tensor.shape, getattr(values.get(slot), "shape", None) or ())):
            if isinstance(want, str):
                first, at, other = sizes.setdefault(want, (got, axis, port))
                if first != got:
                    return f" {want} is {first} on axis {at} of {other}, but {got} on axis {axis} of {port}.", port, axis
            elif want is not None and want != got:
                return f" Axis {axis} of {port} is {got}, not {want}.", port, axis
    return "", None, None
