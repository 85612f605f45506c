"""Compile: a plan cut to the shapes that its feeds have, as straight-line code over buffers that stay from run to run.

The first run with given shapes goes by the plan's own code. The second notes what every step gives: shape, strides, and whose memory it looks into.
From then on steps write into buffers where they can; two values share one when no step needs both. The numbers are the same, bit for bit: the same
functions on the same layouts. Nothing that matters is in a buffer between two runs, so a run may stop anywhere; what a run hands out (results, new
values of variables) lies in memory that no later run writes to.
"""
from __future__ import annotations

import linecache
import sys
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import prod
from typing import Any

import numpy as np

from .backend import NUMPY, UNHELD, NumpyBackend, fast_loops

_END = sys.maxsize
_NUMBER = count(1)
_FOLDED = 1 << 16   # bytes of a value that is worked out once and kept
_LARGE = 1 << 16    # bytes of an array that a loop of its own is worth compiling for
IN_A_LOOP = frozenset({"Add", "Subtract", "Multiply", "Divide", "Negative", "Square", "Sqrt", "Tanh", "Sigmoid", "Abs", "Maximum", "Minimum", "Relu", "ReluGradient"})

# ops whose outputs look into their inputs in a way that shapes and attributes alone decide
VIEWS = frozenset({"Transpose", "Reshape", "ReshapeLike", "ExpandDims", "Squeeze", "BroadcastTo", "BroadcastLike", "Slice", "SliceLike", "Split", "Unstack", "Flip",
                    "Identity", "StopGradient", "Assign", "SumLike", "LSTMOutputs", "GRUOutputs", "RNNOutputs", "Copy"})
_SAME = frozenset({"Assign", "Identity", "StopGradient", "SumLike"})   # where they hand an input on as it is
# inputs of which an op sees the shape alone
_SHAPES = {"OnesLike": (0,), "ZerosLike": (0,), "Size": (0,), "BroadcastLike": (1,), "ReshapeLike": (1,), "SumLike": (1,), "OneHotLike": (1,), "Assign": (0,)}


class Changed(Exception):
    """A step gave another shape than it did when its run was noted."""


class Runner:
    """Runs one plan: as it is at first, cut to their shapes for feeds that come again."""

    kept = 8            # sets of shapes that a plan is kept cut to
    worth = 30          # runs after which elementwise steps in a row are compiled into one loop, with the `fast` extra: that takes about a second
    patience = 32       # times that one may be found busy before another is made in its place
    large = 1 << 20     # bytes of feeds that are noted at once: what a run by the plan's own code keeps in memory would be more than the time is worth

    def __init__(self, plan: Any, fits: Callable[[Any, Any], None]):
        self.plan = plan
        self.fits = fits    # refuses shapes that there is no room for
        self.made: OrderedDict[Any, Cut | None] = OrderedDict()   # shapes → the cut plan; None: seen once, or not to be cut
        self.refused: set[Any] = set()
        self.pairs: dict[int, _Pair] = {}                         # variable → the memory of its values

    def __call__(self, arrays: Sequence[np.ndarray], snapshot: Any, rng: Any) -> tuple[Sequence[Any], Sequence[Any], bool]:
        """(results, assigned values, whether both are the caller's own already)."""
        key = tuple([a.shape for a in arrays])
        made = self.made
        cut = made.get(key)
        if cut is not None:
            try:
                cut.idle.pop()
            except IndexError:  # another thread is in it, or an interrupt came at a bad moment
                cut.busy += 1
                if cut.busy > self.patience:
                    made.pop(key, None)
            else:
                try:
                    results, assigned = cut.function(arrays, snapshot, rng)
                    cut.runs += 1
                    if len(made) > 1:
                        made.move_to_end(key)
                    if cut.runs == self.worth and cut.notes is not None and fast_loops() is not None:
                        made[key] = Cut(self.plan, cut.notes, self.pairs, chains=True)
                    return results, assigned, True
                except Changed:
                    made[key] = None
                    self.refused.add(key)
                finally:
                    cut.idle.append(True)
        elif key in made:
            if key not in self.refused:
                return (*self._note(key, arrays, snapshot, rng), False)
        else:
            self.fits(self.plan, key)
            made[key] = None
            if sum([a.nbytes for a in arrays]) >= self.large:
                return (*self._note(key, arrays, snapshot, rng), False)
            while len(made) > self.kept:
                old, _ = made.popitem(last=False)
                self.refused.discard(old)
        return (*self.plan.function(arrays, snapshot, rng), False)

    def _note(self, key: Any, arrays: Sequence[np.ndarray], snapshot: Any, rng: Any) -> tuple[Sequence[Any], Sequence[Any]]:
        """A run that is noted, and the cut plan for the next."""
        self.refused.add(key)       # should anything go wrong, that stays
        NUMPY.free()
        notes = Notes(self.plan)
        try:
            out = notes.run(arrays, snapshot, rng)
        except Exception:   # the plan's own code tells of it, as of any error
            self.refused.discard(key)
            return self.plan.function(arrays, snapshot, rng)
        except BaseException:   # an interrupt: the next run is noted
            self.refused.discard(key)
            raise
        if notes.possible and self.plan.steps:
            self.made[key] = Cut(self.plan, notes, self.pairs)
            self.refused.discard(key)
        return out

    def free(self) -> None:
        """Let the buffers go."""
        self.made.clear()
        self.refused.clear()
        self.pairs.clear()

    def codes(self) -> dict[Any, Cut]:
        """The generated functions, for who looks an error up."""
        return {cut.function.__code__: cut for cut in list(self.made.values()) if cut is not None}


class AsItIs:
    """Runs one plan by its own code alone: one with steps on a card, whose arrays are not ours to lay out."""

    def __init__(self, plan: Any, fits: Callable[[Any, Any], None]):
        self.plan, self.fits = plan, fits

    def __call__(self, arrays: Sequence[np.ndarray], snapshot: Any, rng: Any) -> tuple[Sequence[Any], Sequence[Any], bool]:
        self.fits(self.plan, tuple([a.shape for a in arrays]))
        return (*self.plan.function(arrays, snapshot, rng), False)

    def free(self) -> None:
        """It holds nothing."""

    def codes(self) -> dict[Any, Cut]:
        return {}


# ---------------------------------------------------------------- the run that is noted


class _Noting(NumpyBackend):
    """Remembers the work arrays that a kernel asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[np.ndarray] = []

    def workspace(self, shape: tuple[int, ...], dtype: Any, like: Any = None) -> np.ndarray:
        if like is not None and not like.flags.c_contiguous:
            axes = sorted(range(like.ndim), key=lambda k: -abs(like.strides[k]))
            array = np.empty(tuple(shape[k] for k in axes), dtype).transpose(sorted(range(len(axes)), key=axes.__getitem__))
        else:
            array = np.empty(shape, dtype)
        self.asked.append(array)
        return array


class _Desk(NumpyBackend):
    """Hands a kernel the work arrays laid out for it, in the order in which it asked when it was noted."""

    def __init__(self) -> None:
        super().__init__()
        self.laid: list[Any] = []
        self.at = 0

    def workspace(self, shape: tuple[int, ...], dtype: Any, like: Any = None) -> np.ndarray:
        at = self.at
        self.at = at + 1
        array = self.laid[at] if at < len(self.laid) else None
        if array is None or array.shape != shape:
            raise Changed
        return array


class _Memory:
    """One piece of memory in the run that was noted."""

    __slots__ = ("bytes", "place")

    def __init__(self, array: np.ndarray):
        self.bytes, self.place = array.nbytes, array.__array_interface__["data"][0]


class _Seen:
    """What an array was like: all that there is to know of it but its values."""

    __slots__ = ("c", "dense", "dtype", "memory", "nbytes", "offset", "own", "scalar", "shape", "strides")

    def __init__(self, value: Any, memory: _Memory):
        self.scalar = not isinstance(value, np.ndarray)
        array = np.asarray(value)
        self.shape, self.dtype, self.strides, self.nbytes, self.memory = array.shape, array.dtype, array.strides, array.nbytes, memory
        self.c, self.own = array.flags.c_contiguous, array.base is None
        self.offset = array.__array_interface__["data"][0] - memory.place
        step, self.dense = array.itemsize, bool(array.size)
        for stride, size in sorted(zip(array.strides, array.shape)):
            if size != 1:
                self.dense = self.dense and stride == step
                step *= size

    def alike(self, other: _Seen) -> bool:
        """Is it the same part of the same memory, read the same way?"""
        return self.memory is other.memory and (self.offset, self.shape, self.strides, self.dtype) == (other.offset, other.shape, other.strides, other.dtype)


def _owner(array: Any) -> Any:
    """The array whose memory this one looks into."""
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return array


class Note:
    """What one step did: what came out, which work arrays it asked for, and what kind of step it is."""

    __slots__ = ("asked", "kind", "outputs", "step")

    def __init__(self, step: Any, kind: str, outputs: list[_Seen | None], asked: list[_Seen]):
        self.step, self.kind, self.outputs, self.asked = step, kind, outputs, asked


def trusted(op: Any) -> bool:
    """Is it one of flowlab's own, whose outputs' shapes, and what memory they look into, follow from the shapes that go in?"""
    return op.routine is None and op.kernel_function.__module__.startswith("flowlab.ops.")


class Notes:
    """One run by the kernels themselves, and what there was to see. Values go as soon as they would in any run."""

    def __init__(self, plan: Any):
        self.plan = plan
        self.possible = True
        self.notes: list[Note] = []
        self.seen: dict[int, _Seen | None] = {}         # slot → what it held
        self.constant: dict[int, Any] = {}              # slot → a value that is the same in every run
        self._fresh: set[int] = set()                   # slots that a step of this run has made memory for
        self._memories: dict[int, tuple[_Memory, int]] = {}
        self._in: dict[int, int] = {}                   # slot → id of the array that owns its memory

    def _look(self, value: Any) -> _Seen | None:
        """What it is like. Memory that is there already is known again."""
        if value is None:
            return None
        if not isinstance(value, (np.ndarray, np.generic)):
            self.possible = False
            return None
        base = _owner(value)
        known = self._memories.get(id(base))
        if known is None:
            known = self._memories[id(base)] = (_Memory(np.asarray(base)), 0)
        return _Seen(value, known[0])

    def _hold(self, slot: int, value: Any) -> None:
        base = id(_owner(value))
        if base in self._memories:
            memory, users = self._memories[base]
            self._memories[base] = (memory, users + 1)
            self._in[slot] = base

    def _release(self, slots: Sequence[int]) -> None:
        for slot in slots:
            base = self._in.pop(slot, None)
            if base is not None:
                memory, users = self._memories[base]
                if users > 1:
                    self._memories[base] = (memory, users - 1)
                else:
                    del self._memories[base]

    def _over(self, step: Any, values: dict[int, Any]) -> np.ndarray | None:
        """The operand that this step may write over, as the cut plan will: made by a step, of the output's kind, and needed by nobody else."""
        op = step.node.op
        if len(step.outs) != 1 or not (op.ufunc not in (None, "matmul") or "over" in op.kernels) or not trusted(op):
            return None
        inputs = [values[s] for _, s in step.args]
        shape = np.broadcast_shapes(*[np.shape(v) for v in inputs])
        for slot in step.frees:
            value = values.get(slot)
            if (slot in self._fresh and type(value) is np.ndarray and value.base is None and value.shape == shape and value.flags.c_contiguous and value.nbytes >= _LARGE
                    and value.dtype == step.node.outputs[0].dtype and self._memories[id(value)][1] == 1 and sum(v is value for v in inputs) == 1):
                self._release([slot])       # from here on it is the output's
                return value
        return None

    def run(self, arrays: Sequence[np.ndarray], snapshot: Any, rng: Any) -> tuple[list[Any], list[Any]]:
        plan, backend = self.plan, _Noting()
        values: dict[int, Any] = dict(enumerate(arrays))
        values.update(plan.constants)
        values.update((slot, snapshot[node_id]) for slot, node_id in plan.variables)
        for slot, value in values.items():
            self.seen[slot] = self._look(value)
            self._hold(slot, value)
        self.constant.update(plan.constants)
        for step in plan.steps:
            op, backend.asked = step.node.op, []
            over = self._over(step, values)
            if not trusted(op):
                kind, outputs = "opaque", step.fire(values, rng)
            elif op.ufunc is not None and "numpy" not in op.kernels:
                kind, outputs = "ufunc", (getattr(np, op.ufunc)(*[values[s] for _, s in step.args], **({} if over is None else {"out": over})),)
            elif over is not None:
                kind, outputs = "call", (over,)
                op.kernels["over"](backend, *[values[s] for _, s in step.args], **step.node.attrs, out=over)
            else:
                kind, named = "call", {k: values[s] for k, s in step.args if k is not None}
                if op.random:
                    named["key"] = rng(step.node.id)
                outputs = step.kernel.func(backend, *[values[s] for k, s in step.args if k is None], **named, **step.kernel.keywords)
                if type(outputs) is not tuple:
                    outputs = (outputs,)
            if kind == "ufunc" or len(outputs) == 1 and ("out" in op.kernels or "over" in op.kernels):
                outputs = tuple([np.asarray(v) for v in outputs])   # a number is an array once it lies in a buffer, and looks into it may follow
            asked = [self._look(a) for a in backend.asked]
            seen = [self._look(v) for v in outputs]
            for slot, value, look in zip(step.outs, outputs, seen):
                values[slot], self.seen[slot] = value, look
                self._hold(slot, value)
                if kind == "ufunc" or over is not None:
                    self._fresh.add(slot)
            by_value = [s for j, (_, s) in enumerate(step.args) if j not in _SHAPES.get(op.name, ())]
            if kind != "opaque" and not op.random and not op.effect and outputs and all(s in self.constant for s in by_value) and all(_keepable(v) for v in outputs):
                kind = "constant"
                for slot, value in zip(step.outs, outputs):
                    self.constant[slot] = np.asarray(value)
                    _owner(self.constant[slot]).flags.writeable = False
            self.notes.append(Note(step, kind, seen, asked))
            for s in step.frees:
                values.pop(s, None)
            self._release(step.frees)
            for value in (*backend.asked, *outputs):    # memory that no slot looks into may be another's from here on
                base = id(_owner(value))
                if base in self._memories and not self._memories[base][1]:
                    del self._memories[base]
            outputs = value = None      # or they would live through the next step
        return [None if s is None else values[s] for s in plan.results], [values[s] for s, _ in plan.assigns]


def _keepable(v: Any) -> bool:
    if not isinstance(v, (np.ndarray, np.generic)):
        return False
    v = _owner(v)
    return v.nbytes <= _FOLDED and (v.dtype.kind != "f" or bool(np.isfinite(v).all()))


# ---------------------------------------------------------------- the cut plan


class Block:
    """A piece of memory that steps write to, and from which step to which it is needed.

    `shared` is a part of the buffers; `given` is new in every run, since a person gets it; `held` goes to a variable, which lets it go a run or two
    later; `loose` is what a kernel made for itself; what is `inside` a compiled loop has no memory at all.
    """

    __slots__ = ("bytes", "chunk", "escapes", "first", "kind", "last", "merged", "variable")

    def __init__(self, size: int, step: int, kind: str = "shared"):
        self.bytes, self.kind = size, kind
        self.first = self.last = step
        self.escapes = 0                    # results and new values of variables that look into it
        self.variable = -1
        self.merged: Block | None = None    # the block whose place it takes
        self.chunk: list[int] = []

    @property
    def root(self) -> Block:
        block = self
        while block.merged is not None:
            block = block.merged
        return block


_NOWHERE = Block(0, 0, "none")


class Cut:
    """A plan as code for one set of shapes, with its buffers."""

    def __init__(self, plan: Any, notes: Notes, pairs: dict[int, _Pair], chains: bool = False):
        self.steps = plan.steps
        self.runs = 0
        self.lines: dict[int, int] = {}         # line of the code → step index
        self.fixed: dict[int, np.ndarray] = {}  # slot → its array, where that is the same one in every run
        self.busy = 0
        writer = _Writer(plan, notes, pairs, self, chains)
        self.notes = notes if not chains and writer.chains else None    # for the time when a loop is worth compiling
        self.function: Callable = writer.function()
        self.bytes, self.arena = writer.bytes, writer.arena
        self.idle = [True]                      # empty while a thread is in the function


class _Writer:
    def __init__(self, plan: Any, notes: Notes, pairs: dict[int, _Pair], cut: Cut, chains: bool):
        self.plan, self.notes, self.seen, self.pairs, self.cut = plan, notes.notes, notes.seen, pairs, cut
        self.fixed = cut.fixed
        self.constant = set(notes.constant)
        self.fixed.update(notes.constant)
        self.blocks: list[Block] = []
        self.of: dict[int, set[Block]] = {}         # slot → the blocks that its value looks into, or may
        self.whole: dict[int, Block] = {}           # slot → the block that it is the whole of
        self.forms: dict[int, tuple] = {}           # step → how it is written
        self.laid: dict[int, list[Block | None]] = {}   # step → the block behind each work array
        self.names: dict[int, str] = {}
        self.scope: dict[str, Any] = {}
        self.body: list[str] = []
        self.arrays: dict[Any, np.ndarray] = {}
        self.desk = _Desk()
        self.bytes = 0
        self._find_blocks()
        self._find_lives()
        self.chains = self._find_chains()
        if chains:
            self._use_chains()
        self._merge()
        self._lay_out()

    # ------------------------------------------------------------ what is in which memory

    def _find_blocks(self) -> None:
        for note in self.notes:
            step, op, k = note.step, note.step.node.op, note.step.index
            inputs = [s for _, s in step.args]
            if note.kind == "constant":
                self.forms[k] = ("nothing",)
                continue
            if note.kind == "opaque":   # it may hand an input on, this time or the next
                self.forms[k] = ("opaque",)
                reach: set[Block] = set().union(*(self.of.get(s, ()) for s in inputs))
                for slot in step.outs:
                    self.of[slot] = set(reach)
                continue
            holders = {id(look.memory): s for s in reversed(inputs) if (look := self.seen[s]) is not None}
            source = [None if v is None else holders.get(id(v.memory)) for v in note.outputs]   # the input that an output looks into
            if op.name in VIEWS and step.outs and all(s is not None for s in source):
                self.forms[k] = ("view", source)
                for slot, s in zip(step.outs, source):
                    self.of[slot] = set(self.of.get(s, ()))
                continue
            form = self.forms[k] = self._form(note, source)
            made: dict[int, Block] = {}

            def block(look: _Seen, kind: str = "shared", made: dict[int, Block] = made, k: int = k) -> Block:
                found = made.get(id(look.memory))
                if found is None:
                    found = made[id(look.memory)] = Block(look.memory.bytes, k, kind)
                    self.blocks.append(found)
                return found

            asked = {id(a.memory) for a in note.asked}
            for slot, look, s in zip(step.outs, note.outputs, source):
                if look is None:
                    continue
                if s is not None:
                    self.of[slot] = set(self.of.get(s, ()))
                    continue
                mine = block(look, "shared" if form[0] != "call" or id(look.memory) in asked else "loose")
                self.of[slot] = {mine}
                if look.nbytes == mine.bytes and look.dense:
                    self.whole[slot] = mine
            if form[0] == "call":
                self.laid[k] = [block(a) if a.nbytes else None for a in note.asked]

    def _form(self, note: Note, source: list[Any]) -> tuple:
        """How a step is written: as a function that takes the array to write to, or as a call of its kernel."""
        op, look = note.step.node.op, note.outputs[0] if len(note.outputs) == 1 else None
        if look is None or not look.nbytes or source[0] is not None or not look.dense or look.nbytes != look.memory.bytes:
            return ("call",)
        if note.kind == "ufunc":
            return ("ufunc", getattr(np, op.ufunc), op.ufunc != "matmul")
        for name in ("over", "out"):
            if name in op.kernels:
                return (name, op.kernels[name], name == "over")
        return ("call",)

    def _find_lives(self) -> None:
        """How long each block is needed, and whether it may be one of the buffers."""
        plan = self.plan
        for k, step in enumerate(plan.steps):
            if self.forms[k][0] != "nothing":
                for _, s in step.args:
                    for block in self.of.get(s, ()):
                        block.last = k
        for slot in plan.results:
            for block in self.of.get(slot, ()) if slot is not None else ():
                block.last, block.escapes = _END, block.escapes + 1
                if self.whole.get(slot) is block and self.seen[slot].c and block.kind == "shared":
                    block.kind = "given"
        for slot, node_id in plan.assigns:
            for block in self.of.get(slot, ()):
                block.last, block.escapes = _END, block.escapes + 1
                look = self.seen[slot]
                if len(self.of[slot]) == 1 and look.nbytes == block.bytes and look.c and block.kind in ("shared", "given"):
                    block.kind, block.variable = "held", node_id

    def _find_chains(self) -> list[list[Note]]:
        """Elementwise steps in a row on large arrays of one shape: one loop over the values can do them all."""
        chains: list[list[Note]] = [[]]
        for note in self.notes:
            if self.forms[note.step.index][0] == "nothing":
                continue
            if not self._joins(note):
                chains.append([])
                continue
            if chains[-1] and chains[-1][-1].outputs[0].shape != note.outputs[0].shape:
                chains.append([])
            chains[-1].append(note)
        return [c for c in chains if len(c) > 1]

    def _joins(self, note: Note) -> bool:
        step, look = note.step, note.outputs[0] if len(note.outputs) == 1 else None
        if step.node.op.name not in IN_A_LOOP or self.forms[step.index][0] not in ("ufunc", "over") or look is None or not look.c or look.dtype != np.float32 or look.nbytes < _LARGE:
            return False
        inputs = [self.seen[s] for _, s in step.args]
        return all(i.dtype == np.float32 and i.c and i.shape in (look.shape, look.shape[-1:], ()) for i in inputs)

    def _use_chains(self) -> None:
        """Write each chain as one call. What only the chain itself reads gets no memory."""
        readers: dict[int, list[int]] = {}
        for k, step in enumerate(self.plan.steps):
            for _, s in step.args if self.forms[k][0] != "nothing" else ():
                readers.setdefault(s, []).append(k)
        asked = {s for s in self.plan.results if s is not None} | {s for s, _ in self.plan.assigns}
        for chain in self.chains:
            first, last = chain[0].step.index, chain[-1].step.index
            made = [note.step.outs[0] for note in chain]
            outs = [s for s in made if s in asked or any(k > last for k in readers.get(s, ()))]
            ins = list(dict.fromkeys(s for note in chain for _, s in note.step.args if s not in made))
            for s in made:
                block = self.whole[s]
                block.first = first             # while the loop goes on everything is read and written
                if s not in outs:
                    block.kind = "inside"
            for s in ins:
                for block in self.of.get(s, ()):
                    block.last = max(block.last, last)
            for note in chain[:-1]:
                self.forms[note.step.index] = ("nothing",)
            self.forms[last] = ("chain", chain, ins, outs)

    def _merge(self) -> None:
        """Let a step write over an operand that nobody needs after it."""
        for k, step in enumerate(self.plan.steps):
            form = self.forms[k]
            if form[0] not in ("ufunc", "over") or not form[2]:
                continue
            out, look = self.whole[step.outs[0]], self.seen[step.outs[0]]
            if out.kind not in ("shared", "held"):
                continue
            for _, s in step.args:
                mine = self.whole.get(s)
                if mine is None or mine.root.kind != "shared" or mine.root.last != k:
                    continue
                root, other = mine.root, self.seen[s]
                if any(t != s and any(b.root is root for b in self.of.get(t, ())) for _, t in step.args):
                    continue
                if other.shape == look.shape and other.strides == look.strides and other.dtype == look.dtype:
                    root.last = max(root.last, out.last)
                    out.merged = root
                    if out.kind == "held":      # a gradient turns into the new value where it lies
                        root.kind, root.variable = "held", out.variable
                    break

    def _lay_out(self) -> None:
        """Give every block its place: the smallest free one that is large enough, the largest free one made larger, or a new one."""
        shared = sorted((b for b in self.blocks if b.kind == "shared" and b.merged is None), key=lambda b: b.first)
        free: list[tuple[int, int]] = []        # (bytes, number of the chunk), sorted
        busy: list[tuple[int, int]] = []        # (last step, number of the chunk), a heap
        chunks: list[list[int]] = []            # [bytes, offset]
        for block in shared:
            while busy and busy[0][0] < block.first:
                number = heappop(busy)[1]
                insort(free, (chunks[number][0], number))
            need = -(-block.bytes // 64) * 64
            at = bisect_left(free, (need, -1))
            if at < len(free) and free[at][0] <= max(4 * need, 4096):
                number = free.pop(at)[1]
            elif free and at == len(free):
                number = free.pop()[1]
                chunks[number][0] = need
            else:
                number = len(chunks)
                chunks.append([need, 0])
            block.chunk = chunks[number]
            heappush(busy, (block.last, number))
        for chunk in chunks:
            chunk[1] = self.bytes
            self.bytes += chunk[0]
        raw = np.empty(self.bytes + 64, np.uint8)
        self.arena = raw[_skip(raw):][:self.bytes]

    def _buffer(self, look: _Seen, block: Block) -> np.ndarray:
        """The array that lies in the buffers as `look` lay in the block; one object, however often it is asked for."""
        offset = block.root.chunk[1] + look.offset
        key = (offset, look.shape, look.strides, look.dtype)
        found = self.arrays.get(key)
        if found is None:
            found = self.arrays[key] = np.ndarray(look.shape, look.dtype, self.arena, offset, look.strides)
        return found

    # ------------------------------------------------------------ writing it down

    def name(self, thing: Any) -> str:
        """The name under which an object stands in the code; one name an object."""
        found = self.names.get(id(thing))
        if found is None:
            found = self.names[id(thing)] = f"v{len(self.names)}"
            self.scope[found] = thing   # which keeps it, and so its id
        return found

    def value(self, slot: int) -> str:
        fixed = self.fixed.get(slot)
        return f"t{slot}" if fixed is None else self.name(fixed)

    def line(self, text: str, step: int) -> None:
        self.cut.lines[len(self.body) + 2] = step
        self.body.append(text)

    def function(self) -> Callable:
        plan = self.plan
        self.body += [f"t{k} = feeds[{k}]" for k in range(len(plan.feeds))]
        self.body += [f"t{slot} = values[{node_id}]" for slot, node_id in plan.variables]
        for note in self.notes:
            self._write(note)
        results, assigned = [self._result(s) for s in plan.results], [self._assigned(s) for s, _ in plan.assigns]
        self.body.append(f"return ({''.join(r + ', ' for r in results)}), ({''.join(a + ', ' for a in assigned)})")
        source = f"def plan(feeds, values, rng, {', '.join(f'{n}={n}' for n in self.scope)}):\n" + "\n".join(f"    {line}" for line in self.body) + "\n"
        filename = f"<flowlab plan in buffers {next(_NUMBER)}, {len(plan.steps)} steps>"
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        exec(compile(source, filename, "exec"), self.scope)  # only names of our own making are in the source
        return self.scope["plan"]

    def _write(self, note: Note) -> None:
        step, k = note.step, note.step.index
        form = self.forms[k]
        if form[0] == "nothing":
            return
        if form[0] == "view":
            for slot, look, s in zip(step.outs, note.outputs, form[1]):
                blocks = self.of[slot]
                if s in self.fixed and len(blocks) == 1:
                    self.fixed[slot] = self._buffer(look, next(iter(blocks)))
            if all(s in self.fixed for s in step.outs):
                return
            if len(step.outs) == 1 and (text := self._short_view(note)):
                self.line(f"t{step.outs[0]} = {text}" + self._forget(note), k)
                return
        if form[0] == "chain":
            self._chain(*form[1:])
            return
        if form[0] not in ("ufunc", "out", "over"):
            self._call(note)
            return
        slot, look = step.outs[0], note.outputs[0]
        block = self.whole[slot].root
        if block.kind == "shared":
            self.fixed[slot] = self._buffer(look, block)
            target = self.value(slot)
        else:
            target = f"t{slot}"
            over = next((s for _, s in step.args if (b := self.whole.get(s)) is not None and b.root is block), None)
            self.line(f"{target} = {self._new(look, block) if over is None else self.value(over)}", k)
        if form[0] == "ufunc":
            keyword = "out=" if form[1] in (np.maximum, np.minimum) else ""     # which NumPy asks for
            self.line(f"{self.name(form[1])}({', '.join(self.value(s) for _, s in step.args)}, {keyword}{target})" + self._forget(note), k)
        else:
            args = [self.name(NUMPY), *(self.value(s) if p is None else f"{p}={self.value(s)}" for p, s in step.args)]
            attrs = [f"{n}={self.name(v)}" for n, v in step.node.attrs.items()]
            self.line(f"{self.name(form[1])}({', '.join([*args, *attrs])}, out={target})" + self._forget(note), k)

    def _chain(self, chain: list[Note], ins: list[int], outs: list[int]) -> None:
        from .fast import loop
        shape, step = chain[0].outputs[0].shape, chain[-1].step.index
        for slot in outs:
            block, look = self.whole[slot].root, self.seen[slot]
            if block.kind == "shared":
                self.fixed[slot] = self._buffer(look, block)
            else:
                self.line(f"t{slot} = {self._new(look, block)}", step)
        kinds = ["whole" if (here := self.seen[s].shape) == shape else "number" if here == () else "row" for s in ins]
        numbers = {s: j for j, s in enumerate(ins)}
        lines: list[tuple[int | None, str, tuple[int, ...]]] = []   # (which output, operation, operands: inputs first, then the lines before)
        for note in chain:
            slot = note.step.outs[0]
            lines.append((outs.index(slot) if slot in outs else None, note.step.node.op.name, tuple([numbers[s] for _, s in note.step.args])))
            numbers[slot] = len(ins) + len(lines) - 1
        self.line(f"{self.name(loop(tuple(kinds), tuple(lines)))}({', '.join(self.value(s) for s in [*ins, *outs])})", step)
        gone = [s for note in chain for s in note.step.frees if s not in self.fixed and self.whole.get(s, _NOWHERE).kind != "inside"]
        if gone:
            self.body[-1] += f"; {' = '.join(f't{s}' for s in gone)} = None"

    def _short_view(self, note: Note) -> str | None:
        """A view by a method of the array, which costs less than the kernel's function."""
        step, look, name = note.step, note.outputs[0], note.step.node.op.name
        if name in _SAME:   # of several inputs in one memory, the one that it is
            return next((self.value(s) for _, s in step.args if self.seen[s].alike(look)), None)
        s = self.value(step.args[0][1])
        if name == "Transpose":
            axes = step.node.attrs["axes"]
            return f"{s}.transpose({'' if axes is None else self.name(axes)})"
        if name in ("Reshape", "ReshapeLike"):
            return f"{s}.reshape({self.name(look.shape)})"
        return None

    def _call(self, note: Note) -> None:
        """A step as a call of its kernel, with the work arrays that it asks for laid out."""
        step, k, kernel = note.step, note.step.index, note.step.kernel
        args: list[str] = []
        extra: list[str] = []
        rows = self.laid.get(k, [])
        if isinstance(kernel, partial):
            if any(rows):
                arrays = [np.empty(a.shape, a.dtype) if b is None else self._buffer(a, b) if b.root.kind == "shared" else None for a, b in zip(note.asked, rows)]
                where, desk = self.name(arrays), self.name(self.desk)
                for j, b in enumerate(rows):
                    if b is not None and b.root.kind != "shared":
                        self.line(f"{where}[{j}] = {self._new(note.asked[j], b.root)}", k)
                self.line(f"{desk}.laid = {where}; {desk}.at = 0", k)
                args.append(desk)
            else:
                args.append(self.name(kernel.args[0]))
            call, extra = self.name(kernel.func), [f"{n}={self.name(v)}" for n, v in kernel.keywords.items()]
        else:
            call = self.name(kernel)
            if step.node.op.routine is not None:
                args.append("rng")
        args += [self.value(s) for p, s in step.args if p is None] + [f"{p}={self.value(s)}" for p, s in step.args if p is not None] + extra
        if step.node.op.random:
            args.append(f"key=rng({step.node.id})")
        known = set()
        for slot, look in zip(step.outs, note.outputs):
            blocks = self.of.get(slot, ())
            if self.forms[k][0] == "call" and look is not None and len(blocks) == 1 and (b := next(iter(blocks))).root.kind == "shared" and b.first == k:
                self.fixed[slot] = self._buffer(look, b)    # it lies where its work array was laid
                known.add(slot)
        target = ", ".join("_" if s in known else f"t{s}" for s in step.outs) + ("," if len(step.outs) == 1 and step.node.op.many else "")
        self.line(f"{target} = {call}({', '.join(args)})" if step.outs and len(known) < len(step.outs) else f"{call}({', '.join(args)})", k)
        for j, b in enumerate(rows):
            if b is not None and b.root.kind == "given":
                self.body[-1] += f"; {where}[{j}] = None"
        for slot, look, t in zip(step.outs, note.outputs, step.node.outputs):
            if look is not None and slot not in known and (self.forms[k][0] == "opaque" or None in t.shape):
                self.line(f"{self.name(_check)}(t{slot}, {self.name(look.shape)}, {self.name(look.dtype)}, {self.name(look.strides)})", k)
        self.body[-1] += self._forget(note)

    def _forget(self, note: Note) -> str:
        gone = [s for s in note.step.frees if s not in self.fixed]
        return f"; {' = '.join(f't{s}' for s in gone)} = None" if gone else ""

    def _new(self, look: _Seen, block: Block) -> str:
        """An array that is new in this run."""
        if block.kind == "held":
            pair = self.pairs.get(block.variable)
            if pair is None or pair.shape != look.shape or pair.dtype != look.dtype:
                pair = self.pairs[block.variable] = _Pair(look.shape, look.dtype)
            return f"{self.name(pair.other)}()"
        return f"{self.name(np.empty)}({self.name(look.shape)}, {self.name(look.dtype)})"

    def _result(self, slot: int | None) -> str:
        if slot is None:
            return "None"
        block, look = self.whole.get(slot), self.seen[slot]
        if block is not None and block.escapes == 1 and not look.scalar and look.own and (block.root.kind == "given" or block.root.kind == "loose" and look.c):
            return self.value(slot)
        return f"{self.name(_own)}({self.value(slot)})"

    def _assigned(self, slot: int) -> str:
        blocks = self.of.get(slot, set())
        block = next(iter(blocks)) if len(blocks) == 1 else None
        if block is not None and (block.root.kind == "held" or block.root.kind == "loose" and block.escapes == 1 and self.seen[slot].c):
            return f"{self.name(_frozen)}({self.value(slot)})"
        return f"{self.name(_frozen_copy)}({self.value(slot)})"


class _Pair:
    """Memory for a variable's next value: one of two pieces, whichever nobody looks into any more; a new one if somebody does."""

    __slots__ = ("dtype", "raws", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype):
        self.shape, self.dtype = shape, dtype
        self.raws: list[tuple[np.ndarray, int]] = []

    def other(self) -> np.ndarray:
        for raw, skip in self.raws:
            if sys.getrefcount(raw) <= UNHELD:
                return np.ndarray(self.shape, self.dtype, raw, skip)
        raw = np.empty(prod(self.shape) * self.dtype.itemsize + 64, np.uint8)
        if len(self.raws) < 2:
            self.raws.append((raw, _skip(raw)))
        return np.ndarray(self.shape, self.dtype, raw, _skip(raw))


def _skip(raw: np.ndarray) -> int:
    """Where in it a line of the cache begins: arithmetic in place is a fifth faster there."""
    return -raw.__array_interface__["data"][0] % 64


def _check(value: Any, shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...]) -> None:
    if getattr(value, "shape", None) != shape or value.dtype != dtype or value.strides != strides:
        raise Changed


def _own(value: Any) -> np.ndarray:
    """The value as an array that is the caller's own."""
    return np.array(value, order="C")


def _frozen(array: Any) -> np.ndarray:
    array = np.asarray(array)
    array.flags.writeable = False
    return array


def _frozen_copy(value: Any) -> np.ndarray:
    array = np.array(value, order="C")
    array.flags.writeable = False
    return array
