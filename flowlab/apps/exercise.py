"""Exercises: a task with a goal, checked by numbers, shapes, gradients and structure, whatever the nodes are called and in which order they were made."""
from __future__ import annotations

import itertools
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ..autodiff import gradients
from ..core.errors import AttributeValueError, DocumentError, FlowError, nearest, plural
from ..core.files import write_atomically
from ..core.graph import Graph, Node, Tensor
from ..core.op import REGISTRY
from ..core.types import shape_text
from ..io import jsonio
from ..io.build import build
from ..io.document import DocBody, DocNode, Document, decode_array, document_of, encode_array, from_text, read_bounded
from ..io.fetching import needed
from ..ops.reduce import sum_
from ..runtime.session import Session

VERSION = 1
MOST_WAYS = 5040            # to tell which of the sources is which, where neither their names nor their types say so
MOST_TENSORS = 5000         # of a student's graph that are looked at
NEAR = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-8}     # relative to the number itself; a tenth of that relative to the middle one

Feeds = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """An input or a variable of the solution."""

    name: str
    kind: str                           # "placeholder" or "variable"
    dtype: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        return f"{'the variable' if self.kind == 'variable' else 'the input'} {self.name} {shape_text(self.shape)}"


@dataclass(frozen=True, slots=True)
class Case:
    """What goes in, and what the solution makes of it."""

    given: Mapping[str, np.ndarray]     # by source
    outputs: Mapping[str, np.ndarray]   # by goal
    slopes: Mapping[str, np.ndarray]    # of the goals' sum by source, where gradients are asked for


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong solution that the teacher knows of: what it gives in every case, and what to say to whoever has it."""

    outputs: tuple[Mapping[str, np.ndarray], ...]
    hint: str


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check has found. True where the exercise is solved; `print` tells it line by line."""

    solved: bool
    points: float                       # share of what was looked at that is right, 0 to 1
    lines: tuple[Line, ...]

    def __bool__(self) -> bool:
        return self.solved

    def __str__(self) -> str:
        return "\n".join(f"{'✓' if line.ok else '✗'} {line.text}" for line in self.lines)

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One check: when (ISO 8601), what came of it, and how many hints had been taken by then."""

    exercise: str
    when: str
    solved: bool
    points: float
    hints: int
    wrong: tuple[str, ...]              # the lines that were not right


@dataclass(eq=False)
class Exercise:
    """A task beside the lab. `fl.exercise` makes one; `fl.load_exercise` reads one without its solution.

    `check` looks at a graph; `hint` gives the next hint; `attempts` holds every check so far. It remembers what the solution computes, not the solution.
    """

    task: str
    title: str = "Exercise"
    start: Document = field(default_factory=Document)
    sources: tuple[Source, ...] = ()
    goals: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()         # those that other nodes go on from, and derivatives: they may stand anywhere
    cases: tuple[Case, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    uses: Mapping[str, int] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    most_nodes: int | None = None
    hints: tuple[str, ...] = ()
    score: Callable[[Session], float] | None = None
    at_least: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    given_hints: int = 0

    def hint(self) -> str:
        """The next hint; the last one again when there are no more."""
        if not self.hints:
            return "There are no hints for this exercise."
        self.given_hints = min(len(self.hints), self.given_hints + 1)
        return self.hints[self.given_hints - 1]

    def check(self, attempt: Any) -> Verdict:
        """Look at a Graph, a Document, an Editor (what it holds), or, where a score is asked for, a Session. The check is kept in `attempts`."""
        lines = tuple(self._scored(attempt) if self.score is not None else self._looked_at(attempt))
        solved = all(line.ok for line in lines)
        verdict = Verdict(solved, sum(line.ok for line in lines) / len(lines), lines)
        self.attempts.append(Attempt(self.title, datetime.now(UTC).isoformat(timespec="seconds"), solved, verdict.points, self.given_hints, tuple(line.text for line in lines if not line.ok)))
        return verdict

    def __repr__(self) -> str:
        solved = any(a.solved for a in self.attempts)
        return f"{self.title}: {self.task.strip().splitlines()[0] if self.task.strip() else ''} ({plural(len(self.attempts), 'check')}{', solved' if solved else ''})"

    # ------------------------------------------------------------ a score

    def _scored(self, attempt: Any) -> Iterator[Line]:
        session = attempt if isinstance(attempt, Session) else getattr(attempt, "session", None)
        if not isinstance(session, Session):
            raise AttributeValueError(f"{type(attempt).__name__} is no session.", port="attempt", hint="check(sess), with the session that was trained.")
        assert self.score is not None and self.at_least is not None
        found = float(self.score(session))
        good = found >= self.at_least
        yield Line(good, f"The score is {found:.4g}; at least {self.at_least:.4g} is asked for.")

    # ------------------------------------------------------------ numbers

    def _looked_at(self, attempt: Any) -> Iterator[Line]:
        document = _document(attempt)
        built = build(document)
        if built.diagnostics:
            d = built.diagnostics[0]
            yield Line(False, f"{d.node} is not sound yet: {d.message}")
            return
        found = _Match(self, built.graph, document.fetches)
        yield from found.lines()
        if found.at is not None:
            yield from self._structure(built.graph, list(found.at.values()))

    def _structure(self, graph: Graph, ends: Sequence[Tensor]) -> Iterator[Line]:
        """What the goals are made of; what they do not need does not count."""
        counts = _ops([n for n in document_of(graph).nodes.values() if n.name in {m.name for m in needed(ends)}])
        for op, n in self.uses.items():
            yield Line(counts.get(op, 0) >= n, f"Uses of {op}: {counts.get(op, 0)}; at least {n} asked for.")
        for op in self.without:
            yield Line(not counts.get(op), f"It is to do without {op}." if counts.get(op) else f"It does without {op}.")
        if self.most_nodes is not None:
            n = sum(count for op, count in counts.items() if REGISTRY[op].source is None)
            yield Line(n <= self.most_nodes, f"It has {plural(n, 'operation')}; at most {self.most_nodes} are allowed.")

    # ------------------------------------------------------------ files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the exercise to a file for a class. It holds the cases' numbers and not the solution; an exercise with a `score` cannot be written, since that is code."""
        if self.score is not None:
            raise AttributeValueError("a score is a function, which no file holds.", port="score", hint="Define it in the notebook, or write a test for nbgrader.")
        data = {"flowlab_exercise": VERSION, "title": self.title, "task": self.task, "start": self.start.text(), "hints": list(self.hints), "uses": dict(self.uses), "without": list(self.without), "most_nodes": self.most_nodes,
                "goals": list(self.goals), "inner": list(self.inner), "sources": [{**asdict(s), "shape": list(s.shape)} for s in self.sources],
                "cases": [{k: _encoded(getattr(c, k)) for k in ("given", "outputs", "slopes")} for c in self.cases],
                "mistakes": [{"hint": m.hint, "outputs": [_encoded(o) for o in m.outputs]} for m in self.mistakes]}
        write_atomically(path, json.dumps(data, ensure_ascii=False, allow_nan=False).encode())

    def save_attempts(self, path: str | os.PathLike[str], name: str = "") -> None:
        """Write every check so far to a file for the teacher; `name` says whose they are. `fl.plots.attempts` draws those of a class."""
        write_atomically(path, (json.dumps({"flowlab_attempts": VERSION, "name": name, "attempts": [asdict(a) for a in self.attempts]}, ensure_ascii=False, indent=1) + "\n").encode())


def exercise(task: str, *, solution: Graph | Callable[[], Any] | None = None, title: str = "Exercise", start: Graph | Document | None = None, goals: str | Sequence[str] | None = None,
             cases: int | Sequence[Feeds] | Callable[[np.random.Generator], Feeds] = 6, gradient: bool = False, mistakes: Sequence[tuple[Graph | Callable[[], Any], str]] = (),
             uses: Mapping[str, int] | Sequence[str] = (), without: Sequence[str] = (), most_nodes: int | None = None, hints: Sequence[str] = (), score: Callable[[Session], float] | None = None,
             at_least: float | None = None, seed: int = 0) -> Exercise:
    """A task for students: what to wire, and how it is checked.

    `task` is Markdown. `solution` is a Graph, or a function that builds one. Whatever gives the same numbers for the same inputs and variables solves the exercise: nodes are told by what
    they compute, not by their names or their order. `start` is what the lab opens with (the solution's inputs and variables where it is left out). `goals` names the tensors of the solution
    that are compared (what nothing reads, where it is left out).

    `cases`: how many random ones (named sizes differ from case to case; float inputs and variables are drawn from a normal distribution), or the feeds by name, or a function of a random generator that
    gives them (integer inputs need one of these). `gradient=True` compares the derivative of the goals' sum by every float input and variable too. `mistakes` are pairs of a wrong solution and
    what to tell whoever has it. `uses` (operations, or how many of each), `without` and `most_nodes` ask for structure; loops' insides count. `hints` come one by one.

    With `score`, a function of a trained Session, and `at_least` nothing else is compared ("reach 90 %").

    >>> import flowlab as fl
    >>> def solution():
    ...     x, w = fl.placeholder(("batch", 3), name="x"), fl.variable([1.0, 2.0, 3.0], name="w")
    ...     fl.matmul(x, w, name="y")
    >>> task = fl.exercise("Wire y = x · w.", solution=solution)
    >>> with fl.Graph() as g:
    ...     q, p = fl.variable([0.0, 0.0, 0.0], name="q"), fl.placeholder(("n", 3), name="p")
    ...     _ = fl.sum(p * q, axis=1)
    >>> task.check(g)
    ✓ The shape of y is right in all 6 cases.
    ✓ The values of y are right in all 6 cases.
    """
    if score is not None:
        if at_least is None or solution is not None:
            raise AttributeValueError("a score needs at_least, and no solution.", port="score", hint="exercise(…, score=accuracy, at_least=0.9)")
        return Exercise(task, title, _document(start) if start is not None else Document(title), score=score, at_least=float(at_least), hints=tuple(hints))
    if solution is None:
        raise AttributeValueError("an exercise needs a solution or a score.", port="solution", hint="A Graph, or a function that builds one.")
    graph = graph_of(solution)
    names = _goals(graph, goals)
    last = {n.id for n in _last(graph)}
    inner = tuple(name for name in names if _end(graph, name).node.id not in last or any(n.phase != "forward" for n in needed([_end(graph, name)])))
    sources = tuple(Source(n.name, str(n.op.source), str(n.outputs[0].dtype), tuple(n.outputs[0].shape)) for n in graph.nodes if n.op.source in ("placeholder", "variable"))
    given = list(_cases(sources, cases, np.random.default_rng(seed)))
    slopes = _derivatives(graph, names, sources) if gradient else {}
    made = tuple(Case(g, *_computed(graph, names, sources, g, slopes)) for g in given)
    wrong = tuple(_mistake(w, hint, names, sources, made) for w, hint in mistakes)
    opened = _document(start) if start is not None else _sources_only(graph, title)
    asked = dict(uses) if isinstance(uses, Mapping) else dict.fromkeys((uses,) if isinstance(uses, str) else uses, 1)
    barred = (without,) if isinstance(without, str) else tuple(without)
    for op in (*asked, *barred):
        if op not in REGISTRY:
            raise AttributeValueError(f"there is no operation {op!r}.", port="uses", hint=f"{', '.join(nearest(op, REGISTRY)) or 'Names are those of the palette, such as MatMul'}?")
    found = Exercise(task, title, opened, sources, names, inner, made, wrong, asked, barred, most_nodes, tuple(hints))
    own = found.check(graph)
    if not own:
        raise AttributeValueError(f"the solution does not pass its own check: {next(line.text for line in own.lines if not line.ok)}", port="solution",
                                  hint="Random operations give other numbers at every run; uses, without and most_nodes hold for the solution too.")
    found.attempts.clear()
    return found


def load_exercise(path: str | os.PathLike[str]) -> Exercise:
    """Read an exercise that `Exercise.save` wrote; DocumentError if it is none, or damaged."""
    what, data = _parsed(path)
    if not isinstance(data, dict) or data.get("flowlab_exercise") != VERSION:
        raise DocumentError(f"{what} is no exercise of version {VERSION}.", hint="Exercise.save writes one.")
    try:
        cases = tuple(Case(*(_decoded(c[k]) for k in ("given", "outputs", "slopes"))) for c in data["cases"])
        sources = tuple(Source(str(s["name"]), str(s["kind"]), str(s["dtype"]), tuple(s["shape"])) for s in data["sources"])
        mistakes = tuple(Mistake(tuple(_decoded(o) for o in m["outputs"]), str(m["hint"])) for m in data["mistakes"])
        most = data["most_nodes"]
        found = Exercise(str(data["task"]), str(data["title"]), from_text(data["start"], what="the exercise's start"), sources, tuple(map(str, data["goals"])), tuple(map(str, data["inner"])), cases, mistakes,
                         {str(k): int(v) for k, v in data["uses"].items()}, tuple(map(str, data["without"])), None if most is None else int(most), tuple(map(str, data["hints"])))
        names, goals = {s.name for s in sources}, set(found.goals)
        if not cases or not goals or any(c.given.keys() != names or c.outputs.keys() != goals or not c.slopes.keys() <= names or c.slopes.keys() != cases[0].slopes.keys() for c in cases) \
                or any(len(m.outputs) != len(cases) or any(o.keys() != goals for o in m.outputs) for m in mistakes):
            raise ValueError("its cases are not those of its inputs and goals")
        return found
    except FlowError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DocumentError(f"{what} is not sound: {type(error).__name__}: {error}.") from None


def _parsed(path: str | os.PathLike[str]) -> tuple[str, Any]:
    """The file's name, and the JSON in it; DocumentError for what is too large, no file, or no JSON."""
    what = os.path.basename(os.fspath(path))
    return what, jsonio.parse(read_bounded(path), what=what)


def read_attempts(path: str | os.PathLike[str]) -> tuple[str, list[Attempt]]:
    """Whose they are, and the attempts that `Exercise.save_attempts` wrote; DocumentError for another file."""
    what, data = _parsed(path)
    try:
        if data["flowlab_attempts"] != VERSION:
            raise ValueError(f"version {data['flowlab_attempts']!r}")
        return str(data["name"]), [Attempt(str(a["exercise"]), str(a["when"]), a["solved"] is True, float(a["points"]), int(a["hints"]), tuple(map(str, a["wrong"]))) for a in data["attempts"]]
    except (LookupError, TypeError, ValueError) as error:
        raise DocumentError(f"{what} holds no attempts: {error}.", hint="Exercise.save_attempts writes them.") from None


# ---------------------------------------------------------------- what the solution says


def graph_of(source: Graph | Callable[[], Any]) -> Graph:
    """The graph that a Graph, or a function that builds one, stands for."""
    if isinstance(source, Graph):
        return source
    with Graph("solution") as graph:
        made = source()
    return made if isinstance(made, Graph) and not graph.nodes else graph


def _document(attempt: Any) -> Document:
    if isinstance(attempt, Graph):
        return document_of(attempt)
    from .faults import Fault  # which makes exercises of its own
    if isinstance(attempt, Fault):
        return document_of(attempt.graph)
    found = attempt if isinstance(attempt, Document) else getattr(attempt, "document", None)
    if not isinstance(found, Document):
        raise AttributeValueError(f"{type(attempt).__name__} is no graph.", port="attempt", hint="A Graph, a Document, or an Editor.")
    return found


def _goals(graph: Graph, goals: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names as they are given: `y` is the first output of the node y, `s:1` the second of s. Without any, what no other node reads on the way forward."""
    if goals is not None:
        names = (goals,) if isinstance(goals, str) else tuple(goals)
        for name in names:
            if not (graph.tensor(name) if ":" in name else graph.node(name).outputs):
                raise AttributeValueError(f"{name} gives no value.", port="goals", node=name)
        if not names:
            raise AttributeValueError("an exercise needs a goal.", port="goals")
        return names
    names = tuple(n.name for n in _last(graph))
    if not names:
        raise AttributeValueError("the solution computes nothing.", port="solution")
    return names


def _last(graph: Graph) -> list[Node]:
    """What no other node reads on the way forward."""
    read = {t.node.id for n in graph.nodes if n.phase == "forward" for t in n.inputs}
    return [n for n in graph.nodes if n.outputs and n.id not in read and n.op.source is None and n.phase == "forward"]


def _end(graph: Graph, name: str) -> Tensor:
    return graph.tensor(name) if ":" in name else graph.node(name).outputs[0]


def _sources_only(graph: Graph, title: str) -> Document:
    with Graph(title) as new:
        pass
    document = document_of(graph)
    kept = {k: n for k, n in document.nodes.items() if graph.node(k).op.source in ("placeholder", "variable")}
    return Document(new.name, kept, next_id=document.next_id)


def _cases(sources: Sequence[Source], cases: int | Sequence[Feeds] | Callable[[np.random.Generator], Feeds], rng: np.random.Generator) -> Iterator[dict[str, np.ndarray]]:
    count = cases if isinstance(cases, int) else 6 if callable(cases) else len(cases)
    if count < 1:
        raise AttributeValueError("an exercise needs a case.", port="cases")
    for k in range(count):
        own = cases(rng) if callable(cases) else cases[k] if not isinstance(cases, int) else {}
        strange = next((n for n in own if n not in {s.name for s in sources}), None)
        if strange is not None:
            raise AttributeValueError(f"{strange} is no input or variable of the solution.", port="cases", hint=f"{', '.join(nearest(str(strange), [s.name for s in sources]) or [s.name for s in sources][:6])}?")
        sizes: dict[str, int] = {}
        given = {}
        for s in sources:
            if s.name in own:
                value = np.asarray(own[s.name], s.dtype)
            else:
                if np.dtype(s.dtype).kind != "f":
                    raise AttributeValueError(f"{s} holds {s.dtype}: which numbers make sense there is not known.", port="cases", hint="Give cases=a function of a random generator that returns the feeds.")
                shape = tuple(d if isinstance(d, int) else sizes.setdefault(d, int(rng.integers(2, 6))) if isinstance(d, str) else int(rng.integers(2, 6)) for d in s.shape)
                value = rng.standard_normal(shape).astype(s.dtype)
            for d, n in zip(s.shape, value.shape):
                if isinstance(d, str):
                    sizes.setdefault(d, n)
            given[s.name] = value
        yield given


def _derivatives(graph: Graph, goals: Sequence[str], sources: Sequence[Source]) -> dict[str, Tensor]:
    """The derivative of the goals' sum by each float source, added to the graph; None is a zero."""
    floats = [s for s in sources if np.dtype(s.dtype).kind == "f"]
    with graph:
        ends = [sum_(_end(graph, name)) for name in goals if _end(graph, name).dtype.kind == "f"]
        if not ends or not floats:
            return {}
        total = ends[0]
        for other in ends[1:]:
            total = total + other
        found = gradients(total, [graph.node(s.name).outputs[0] for s in floats], unconnected="zero")
    return {s.name: g for s, g in zip(floats, found)}


def _computed(graph: Graph, goals: Sequence[str], sources: Sequence[Source], given: Mapping[str, np.ndarray], slopes: Mapping[str, Tensor]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    session = Session(graph)
    for s in sources:
        if s.kind == "variable":
            session.variables[s.name] = given[s.name]
    feeds = {s.name: given[s.name] for s in sources if s.kind == "placeholder"}
    with np.errstate(all="ignore"):     # a NaN is seen in the result
        outputs, grads = session.run([[_end(graph, name) for name in goals], list(slopes.values())], feeds)
    return {name: np.array(v) for name, v in zip(goals, outputs)}, {name: np.array(v) for name, v in zip(slopes, grads)}


def _mistake(wrong: Graph | Callable[[], Any], hint: str, goals: Sequence[str], sources: Sequence[Source], cases: Sequence[Case]) -> Mistake:
    graph = graph_of(wrong)
    ends = goals if all(name.partition(":")[0] in graph.nodes for name in goals) else _goals(graph, None)
    if len(ends) != len(goals):
        raise AttributeValueError(f"a mistake gives {plural(len(ends), 'result')}, the solution {len(goals)}.", port="mistakes")
    own = [s for s in sources if s.name in graph.nodes]
    made = tuple(dict(zip(goals, _computed(graph, ends, own, c.given, {})[0].values())) for c in cases)
    if all(_same(m[g], c.outputs[g]) for m, c in zip(made, cases) for g in goals):
        raise AttributeValueError(f"the mistake {hint!r} gives the solution's numbers in every case.", port="mistakes", hint="More cases, or other inputs, would tell them apart.")
    return Mistake(made, hint)


# ---------------------------------------------------------------- what a student's graph says


class _Match:
    """Which source of a student's graph stands for which of the solution, which tensors are the goals, and how far they agree."""

    def __init__(self, exercise: Exercise, graph: Graph, fetched: Sequence[str]):
        self.exercise, self.graph = exercise, graph
        self.missing: list[Line] = []
        self.at: dict[str, Tensor] | None = None    # goal → the tensor that gives its numbers
        self.way: dict[str, str] = {}               # source → its name here
        self.values: list[list[Any]] = []           # by case and end
        self.error: FlowError | None = None
        self.ran_out = False
        began = {(n.name, n.op) for n in exercise.start.nodes.values()}
        self.begun = {n.name for n in graph.nodes if (n.name, n.op.name) in began}      # what the lab opened with stands for a goal only if nothing else does
        self.ends = self._ends(fetched)
        self.session = Session(graph)
        best = -1
        for way in self._ways():
            values = self._run(way, exercise.cases if best < 0 else exercise.cases[:1])
            if best >= 0 and self._right(values) == len(exercise.goals):      # it may be the one
                values = self._run(way, exercise.cases)
            right = self._right(values) if len(values) == len(exercise.cases) else -1
            if right > best or best < 0:
                best, self.way, self.values = max(right, 0), way, values
            if right == len(exercise.cases) * len(exercise.goals):
                break
        if self.values and any(v is not None for v in self.values[0]):
            self.at = {goal: self.ends[max(self._may_be(goal), key=lambda k, goal=goal: self._likeness(k, goal))] for goal in exercise.goals}

    def _ends(self, fetched: Sequence[str]) -> list[Tensor]:
        """Where the goals may stand: what is fetched and what nothing reads before everything else that is computed."""
        first = {n.id for n in self.graph.nodes if n.name in fetched} | {n.id for n in _last(self.graph)}
        made = [n for n in self.graph.nodes if n.outputs and n.op.source is None]
        made.sort(key=lambda n: (n.name not in fetched, n.id not in first))
        self.answers = sum(len(n.outputs) for n in made if n.id in first)
        return [t for n in made for t in n.outputs][:MOST_TENSORS]

    def _may_be(self, goal: str) -> list[int]:
        """The ends that may be a goal: the one of its name, if there is one; what is fetched or read by nothing, unless the solution itself goes on from there."""
        name, _, index = goal.partition(":")
        named = [k for k, t in enumerate(self.ends) if t.node.name == name and t.index == int(index or 0)]
        return named or list(range(len(self.ends) if goal in self.exercise.inner or not self.answers else min(self.answers, len(self.ends))))

    def _likeness(self, k: int, goal: str) -> tuple:
        pairs = [(v[k], c.outputs[goal]) for v, c in zip(self.values, self.exercise.cases)]
        there = [(a, b) for a, b in pairs if a is not None]
        return sum(_same(a, b) for a, b in there), len(there), self.ends[k].node.name not in self.begun, sum(a.shape == b.shape and a.dtype == b.dtype for a, b in there), -k

    def _ways(self) -> Iterator[dict[str, str]]:
        """Source of the solution → source here: by name, else among those of its kind, dtype and shape."""
        mine = [n for n in self.graph.nodes if n.op.source in ("placeholder", "variable")]
        start = {n.id: n.name for n in self.exercise.start.nodes.values()}
        likely: dict[str, str] = {}     # by name, else by number: what the exercise began with keeps that, whatever it is called by now
        for told in (lambda n: n.name, lambda n: start.get(n.id)):
            for s in self.exercise.sources:
                node = next((n for n in mine if told(n) == s.name and _fits(n, s) and n.name not in likely.values()), None)
                if node is not None:
                    likely.setdefault(s.name, node.name)
        groups = []
        for _, same in itertools.groupby(sorted(self.exercise.sources, key=_key_of), key=_key_of):
            wanted = list(same)
            fitting = [n.name for n in mine if _fits(n, wanted[0])]
            others = [n for n in fitting if n not in likely.values()]
            order = [likely.get(s.name) or (others.pop(0) if others else None) for s in wanted]
            self.missing += [self._no_match(s, mine) for s, n in zip(wanted, order) if n is None]
            if None in order:
                continue
            order += [n for n in fitting if n not in order]
            self.ran_out |= math.perm(len(order), len(wanted)) > MOST_WAYS
            groups.append([dict(zip([s.name for s in wanted], names)) for names in itertools.islice(itertools.permutations(order, len(wanted)), MOST_WAYS)])
        if self.missing:
            return
        self.ran_out |= math.prod(len(g) for g in groups) > MOST_WAYS
        for choice in itertools.islice(itertools.product(*groups), MOST_WAYS):
            found = {k: v for part in choice for k, v in part.items()}
            if len(set(found.values())) == len(found):
                yield found

    def _no_match(self, s: Source, mine: Sequence[Node]) -> Line:
        """Nothing stands for a source: the one of its name may be of another type or shape."""
        named = next((n for n in mine if n.name == s.name), None)
        if named is None or _fits(named, s):
            return Line(False, f"There is nothing that stands for {s}.")
        t = named.outputs[0]
        if named.op.source != s.kind:
            return Line(False, f"{s.name} is a {named.op.source}, where {s} is asked for.")
        return Line(False, f"{s.name} is {t.dtype} {shape_text(t.shape)}, where {s.dtype} {shape_text(s.shape)} is asked for.")

    def _run(self, way: Mapping[str, str], cases: Sequence[Case]) -> list[list[Any]]:
        """What the ends give in these cases; None for one that cannot be computed."""
        values: list[list[Any]] = []
        for case in cases:
            feeds = {way[s.name]: case.given[s.name] for s in self.exercise.sources if s.kind == "placeholder"}
            try:
                for s in self.exercise.sources:
                    if s.kind == "variable":
                        self.session.variables[way[s.name]] = case.given[s.name]
                with np.errstate(all="ignore"):
                    values.append(self.session.run(self.ends, feeds) if self.ends else [])
            except FlowError as error:
                self.error = self.error or error
                values.append([self._alone(t, feeds) for t in self.ends])
        return values

    def _alone(self, end: Tensor, feeds: Mapping[str, np.ndarray]) -> Any:
        try:
            with np.errstate(all="ignore"):
                return self.session.run(end, feeds)
        except FlowError:
            return None

    def _right(self, values: Sequence[Sequence[Any]]) -> int:
        """In how many cases the goals are given by some tensor."""
        may = {goal: self._may_be(goal) for goal in self.exercise.goals}
        return sum(any(v[k] is not None and _same(v[k], case.outputs[goal]) for k in may[goal]) for v, case in zip(values, self.exercise.cases) for goal in self.exercise.goals)

    def lines(self) -> Iterator[Line]:
        """What is right and what is not, goal by goal."""
        if self.missing:
            yield from self.missing
            return
        if self.at is None:
            yield Line(False, f"It does not run: {self.error.message}" if self.error is not None else f"Nothing is computed yet: {', '.join(self.exercise.goals)} {'is' if len(self.exercise.goals) == 1 else 'are'} asked for.")
            return
        count = len(self.exercise.cases)
        all_right = True
        for goal in self.exercise.goals:
            k = self.ends.index(self.at[goal])
            pairs = [(v[k], c.outputs[goal]) for v, c in zip(self.values, self.exercise.cases)]
            if any(a is None for a, _ in pairs):
                yield Line(False, f"It does not run: {self.error.message}" if self.error is not None else f"Nothing is computed yet: {goal} is asked for.")
                return
            shaped = [a.shape == b.shape for a, b in pairs]
            if not all(shaped):
                a, b = pairs[shaped.index(False)]
                yield Line(False, f"The shape of {goal} is {a.shape}, where {b.shape} is asked for.")
                all_right = False
                continue
            yield Line(True, f"The shape of {goal} is right in {_all(count)}.")
            if pairs[0][0].dtype != pairs[0][1].dtype:
                yield Line(False, f"The dtype of {goal} is {pairs[0][0].dtype}, where {pairs[0][1].dtype} is asked for.")
                all_right = False
                continue
            same = [_same(a, b) for a, b in pairs]
            if all(same):
                yield Line(True, f"The values of {goal} are right in {_all(count)}.")
            else:
                all_right = False
                yield Line(False, f"The values of {goal} are right in {sum(same)} of {plural(count, 'case')}.{_likeness(pairs)}")
        if all_right:
            yield from self._slopes()
            return
        hint = self._known_mistake()
        if hint:
            yield Line(False, hint)
        elif self.ran_out:
            yield Line(False, "There are too many inputs of one kind to tell which is which: give them the names of the task.")

    def _known_mistake(self) -> str:
        """What to say to a mistake whose numbers stand where the goals may."""
        for m in self.exercise.mistakes:
            if all(any(self._gives(k, g, m.outputs) for k in self._may_be(g)) for g in self.exercise.goals):
                return m.hint
        return ""

    def _gives(self, k: int, goal: str, outputs: Sequence[Mapping[str, np.ndarray]]) -> bool:
        pairs = [(v[k], o[goal]) for v, o in zip(self.values, outputs) if v[k] is not None]
        return bool(pairs) and all(_same(a, b) for a, b in pairs)

    def _slopes(self) -> Iterator[Line]:
        names = list(self.exercise.cases[0].slopes)
        if not names:
            return
        assert self.at is not None
        copy = build(document_of(self.graph)).graph
        sources = [Source(self.way[s.name], s.kind, s.dtype, s.shape) for s in self.exercise.sources]
        try:
            found = _derivatives(copy, [t.name for t in self.at.values()], sources)
            made = [_computed(copy, (), sources, {self.way[k]: v for k, v in c.given.items()}, found)[1] for c in self.exercise.cases]
        except FlowError as error:
            yield Line(False, f"The derivatives cannot be had: {error.message}")
            return
        for name in names:
            pairs = [(m[self.way[name]], c.slopes[name]) for m, c in zip(made, self.exercise.cases)]
            if all(_same(a, b) for a, b in pairs):
                continue
            nothing = all(not a.any() for a, _ in pairs)
            yield Line(False, f"No gradient reaches {self.way[name]}, though the numbers are right." if nothing else f"The gradient by {self.way[name]} is another, though the numbers are right.")
            return
        yield Line(True, f"The gradients are right in {_all(len(made))}.")


def _key_of(s: Source) -> tuple:
    return s.kind, s.dtype, tuple(str(d) if isinstance(d, int) else "?" for d in s.shape)


def _fits(node: Node, s: Source) -> bool:
    """Can the node take the source's values? A size that is a number there must be that number or open here."""
    t = node.outputs[0]
    return node.op.source == s.kind and str(t.dtype) == s.dtype and len(t.shape) == len(s.shape) and all(not isinstance(d, int) or d == e for d, e in zip(t.shape, s.shape))


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Number for number, of one dtype."""
    return a.shape == b.shape and a.dtype == b.dtype and (bool((a == b).all()) if b.dtype.kind != "f" else _near(a.astype("float64"), b.astype("float64"), b.dtype.name))


def _near(a: np.ndarray, b: np.ndarray, dtype: str) -> bool:
    """Near to what is asked for; where that is near to zero, by the middle one of the others."""
    sizes = np.abs(b[np.isfinite(b) & (b != 0)])
    return bool(np.allclose(a, b, rtol=NEAR[dtype], atol=NEAR[dtype] / 10 * float(np.median(sizes)) if sizes.size else 1e-12, equal_nan=True))


def _likeness(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """How the wrong values are like the right ones, if in a simple way."""
    if any(not np.isfinite(a).all() and np.isfinite(b).all() for a, b in pairs if a.dtype.kind == "f"):
        return " They hold NaN or infinity."
    kind = pairs[0][1].dtype
    if kind.kind != "f" or not all(a.size for a, _ in pairs):
        return ""
    floats = [(a.astype("float64"), b.astype("float64")) for a, b in pairs]
    if all(_near(-a, b, kind.name) for a, b in floats):
        return " They have the opposite sign."
    ratios = [float(np.median(a[b != 0] / b[b != 0])) if (b != 0).any() else 0.0 for a, b in floats]
    if len(floats) > 1 and all(np.isfinite(r) and abs(r) > 1e-9 and _near(a / r, b, kind.name) for (a, b), r in zip(floats, ratios)):
        if np.allclose(ratios, ratios[0], rtol=1e-3):
            return f" They are {ratios[0]:.4g} times the right ones."
        if all(_whole(r) or _whole(1 / r) for r in ratios):     # as many times as there are elements, say
            return f" They are {_part(ratios[0])} the right ones in one case, and {_part(next(r for r in ratios if abs(r - ratios[0]) > 1e-3 * abs(r)))} in another."
    apart = np.concatenate([(a - b).ravel() for a, b in floats])
    if apart.size > 1 and np.ptp(apart) <= 1e-4 * max(1.0, float(max(np.abs(b).max() for _, b in floats))):
        return f" They are all {abs(apart[0]):.4g} too {'large' if apart[0] > 0 else 'small'}."
    if all(a.ndim > 1 and a.shape[-1] == a.shape[-2] and _near(np.swapaxes(a, -1, -2), b, kind.name) for a, b in floats):
        return " Rows and columns have changed places."
    return ""


def _whole(x: float) -> bool:
    return abs(x - round(x)) < 1e-3 * abs(x) and round(x) != 0


def _part(ratio: float) -> str:
    return f"{round(ratio)} times" if _whole(ratio) else f"one {round(1 / ratio)}th of"


def _all(count: int) -> str:
    return f"all {count} cases" if count > 1 else "its case"


def _ops(nodes: Iterable[DocNode]) -> Counter[str]:
    """How many of each operation there are, inside loops too."""
    counts = Counter(n.op for n in nodes)
    for node in nodes:
        for value in node.attrs.values():
            if isinstance(value, DocBody):
                counts += _ops(value.document.nodes.values())
    return counts


def _encoded(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {k: encode_array(v) for k, v in arrays.items()}


def _decoded(arrays: Any) -> dict[str, np.ndarray]:
    return {str(k): decode_array(v, str(k)) for k, v in arrays.items()}
