"""Whatever is done to a Debugger, in whatever order, and however little it may keep: it ends in the numbers of a fresh run with the same overrides."""
from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import flowlab as fl
from tests.random_loops import random_graph

MOVES = ["step", "step", "level", "scope", "into", "out", "timestep", "pass", "fire", "fire", "back", "back", "back_timestep", "seek", "seek", "run_to", "resume",
         "override", "override", "clear", "branch", "look", "look", "look", "interrupted"]
BUDGETS = [None, 0, 60, 500, 4000]      # bytes: below the first of them nothing is let go, above the last nearly nothing
QUIET = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 2**20)), min_size=1, max_size=30)


def bits(value):
    return None if value is None else (value.shape, value.dtype.str, value.tobytes())


class Walk:
    """A Debugger under random moves, and what was overridden on the way."""

    def __init__(self, graph, fetches, feeds, budget):
        self.graph, self.fetches, self.feeds, self.budget = graph, fetches, feeds, budget
        self.session = fl.Session(graph, seed=1)
        self.dbg = fl.Debugger(self.session, fetches, feeds, budget=budget)
        self.overrides: dict[tuple, np.ndarray] = {}

    def make(self, move: str, number: int) -> None:
        dbg, rng = self.dbg, random.Random(number)
        match move:
            case "step":
                for _ in range(1 + number % 7):
                    dbg.step()
            case "level" | "scope" | "into" | "out" | "timestep" | "pass":
                getattr(dbg, f"step_{move}")()
            case "fire" if dbg.ready:
                dbg.fire(rng.choice(dbg.ready))
            case "back":
                for _ in range(1 + number % 9):
                    dbg.back()
            case "back_timestep":
                dbg.back_timestep()
            case "seek":
                dbg.seek(number % (dbg.length + 1))
            case "run_to":
                dbg.run_to(dbg.names()[number % len(dbg.names())])
            case "resume":
                dbg.resume()
            case "override":
                self.override(rng)
            case "clear":
                names = sorted({name for name, _ in self.overrides})
                name = rng.choice([None, *names])
                dbg.clear_override(name)
                self.overrides = {} if name is None else {k: v for k, v in self.overrides.items() if k[0] != name}
            case "branch":
                other, before = dbg.branch(), self.told()
                assert [e.node for e in other.records] == [e.node for e in dbg.records[:dbg.cursor]]
                other.resume()
                same(other, fresh(self, self.overrides))
                assert self.told() == before
            case "look":
                self.look(rng)
            case "interrupted":     # as after Ctrl-C: all but the record is worked out again
                dbg._whole = False

    def override(self, rng: random.Random) -> None:
        events = [e for e in self.dbg.records if any(s.min == s.min and isinstance(s.size, int) for s in e.stats if s is not None)]
        if not events:
            return
        event = rng.choice(events)
        floats = [k for k, v in enumerate(event.outputs) if v is not None and v.dtype.kind == "f"]
        if not floats:
            return
        k = rng.choice(floats)
        name, at = f"{event.node}:{k}", rng.choice([None, event.frame[-1], event.frame]) if event.frame else None
        if at == "then" or at == "otherwise":
            at = None
        value = np.random.default_rng(rng.randrange(9)).standard_normal(event.outputs[k].shape).astype(event.outputs[k].dtype)
        self.dbg.override(name, value, at=at)
        self.overrides[name, at] = value

    def look(self, rng: random.Random) -> None:
        dbg, before = self.dbg, self.told()
        events = dbg.records
        for event in rng.sample(events, min(len(events), 4)):
            assert all(v is None or v.nbytes >= 0 for v in event.outputs)
            if event.index < dbg.cursor:
                dbg.outputs_of(event)
        with contextlib.suppress(KeyError):     # not computed yet
            dbg.value(f"{rng.choice(dbg.names())}:0")
        if rng.random() < 0.3:
            with np.errstate(all="ignore"):
                dbg.why_nan()
        repr(dbg), dbg.total
        assert self.told() == before

    def told(self) -> tuple:
        """Where the run stands: what looking must not change."""
        dbg = self.dbg
        return dbg.cursor, dbg.length, dbg.ready, dbg.done, dbg.overridden, tuple((e.node, e.frame) for e in dbg.records)


def fresh(walk: Walk, overrides) -> fl.Debugger:
    """A run from the start with the same overrides, that keeps everything."""
    run = fl.Debugger(fl.Session(walk.graph, seed=1), walk.fetches, walk.feeds, budget=1 << 30)
    for (name, at), value in overrides.items():
        run.override(name, value, at=at)
    run.resume()
    assert run.done, run.error
    assert not run.let_go
    return run


def same(one: fl.Debugger, other: fl.Debugger) -> None:
    """Every value of two runs, bit for bit."""
    assert [bits(v) for v in one.results] == [bits(v) for v in other.results]
    wanted = {(e.node, e.frame): e for e in other.records}
    assert len(wanted) == len(other.records) == one.cursor
    for event in one.records[:one.cursor]:
        like = wanted[event.node, event.frame]
        assert [bits(v) for v in event.outputs] == [bits(v) for v in like.outputs], event
        assert [bits(v) for v in one.outputs_of(event)] == [bits(v) for v in other.outputs_of(like)], event


def walked(seed: int, steps: list[tuple[str, int]], budget: int | None) -> None:
    with np.errstate(all="ignore"):
        walk = Walk(*random_graph(seed), budget)
        before = walk.session.variables["w"].tobytes()
        for move, number in steps:
            walk.make(move, number)
        dbg = walk.dbg
        assert dbg.resume() == fl.Stop("end")
        want = fresh(walk, walk.overrides)
        same(dbg, want)
        assert walk.session.variables["w"].tobytes() == want.session.variables["w"].tobytes()
        while dbg.back():
            pass
        assert walk.session.variables["w"].tobytes() == before and walk.session.store.runs == 0 and dbg.cursor == 0
        assert bits(dbg.value("w")) == bits(want.value("w")) if ("w:0", None) not in walk.overrides else True
        dbg.seek(dbg.length)
        assert [bits(v) for v in dbg.results] == [bits(v) for v in want.results]


@settings(QUIET, max_examples=40)
@given(st.integers(0, 400), moves, st.sampled_from(BUDGETS))
def test_any_way_ends_in_the_same_numbers(seed, steps, budget):
    walked(seed, steps, budget)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_any_way_at_length(part):
    @settings(QUIET, max_examples=250)
    @given(st.integers(0, 1000), moves, st.sampled_from(BUDGETS))
    def at_length(seed, steps, budget):
        walked(1000 * (part + 1) + seed, steps, budget)
    at_length()
