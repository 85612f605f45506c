"""A long run that the page asks for goes on in slices: other messages and other cells get their turn, and it can be paused."""
from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import numpy as np
import pytest
from nested import small_scan

import flowlab as fl
from flowlab.io.edits import Rename
from flowlab.widgets.editor import Editor
from tests.widgets.test_editor_kernel import Page

STEPS = 8_000


class Live(Page):
    """A page whose answers may come later."""

    def say(self, type: str, **fields) -> bool:
        """Send a message; has it been answered at once, and well?"""
        self.seq += 1
        start = len(self.heard)
        self.editor._on_message(self.editor, {"type": type, "seq": self.seq, **fields}, [])
        return any(m["type"] == "done" and m["seq"] == self.seq and m["ok"] for m, _ in self.heard[start:])

    @property
    def state(self) -> dict:
        return self.last("state")

    def told(self, level: str) -> str:
        return next((f"{m['text']} {m['hint']}" for m, _ in reversed(self.heard) if m["type"] == "notice" and m["level"] == level), "")

    def answered(self) -> list[dict]:
        return [m for m, _ in self.heard if m["type"] == "done"]


def long_loop() -> Live:
    return Live(Editor(small_scan("time", 2), feeds={"seq": np.full((STEPS, 2), 0.01, "f")}))


async def until(true, seconds: float = 30) -> None:
    """Until the claim is true, while the event loop turns."""
    end = time.perf_counter() + seconds
    while not true():
        assert time.perf_counter() < end
        await asyncio.sleep(0.001)


def in_a_loop(story):
    """Runs an async story in a fresh event loop, as a kernel runs its messages."""
    asyncio.run(story())


def test_a_run_can_be_paused_looked_at_and_resumed():
    page = long_loop()

    async def story():
        before = len(page.answered())
        page.press("run")
        assert len(page.answered()) == before            # the answer comes when it is over
        assert page.state["mode"] == "run"
        began = page.editor.debugger.cursor
        await until(lambda: page.editor.debugger.cursor > began)     # other code has its turn meanwhile
        assert page.press("pause")
        assert len(page.answered()) == before + 2        # both have theirs now
        dbg = page.editor.debugger
        here = dbg.cursor
        assert 0 < here < dbg.total and page.state["mode"] == "paused" and page.state["cursor"] == here
        assert f"Paused at firing {here}" in page.told("status")
        await asyncio.sleep(0.1)
        assert dbg.cursor == here                       # it has really stopped
        assert page.press("step") and dbg.cursor == here + 1
        page.press("resume")
        await until(lambda: dbg.done)
        await until(lambda: page.state["done"])
        assert "The run is complete." in page.told("status")
    in_a_loop(story)
    fresh = fl.Session(page.editor.graph).run("total:0", page.editor.feeds)
    assert page.editor.results["total"].tobytes() == fresh.tobytes()


def test_from_the_past_to_the_present_goes_in_slices_too():
    page = long_loop()

    async def story():
        page.press("run")
        dbg = page.editor.debugger
        await until(lambda: dbg.done)
        await until(lambda: page.state["done"])
        page.press("seek", cursor=3)
        before = len(page.answered())
        page.press("resume")
        assert len(page.answered()) == before and 3 < dbg.cursor < dbg.length
        assert page.press("pause") and dbg.cursor < dbg.length
        page.press("resume")
        await until(lambda: dbg.cursor == dbg.length)
    in_a_loop(story)


def test_a_way_that_is_refused_leaves_the_page_and_the_breakpoints_as_they_are():
    page = long_loop()
    assert not page.press("run_to", node="nowhere") and page.editor.debugger is not None
    assert page.state["total"] == page.editor.debugger.total and list(page.editor.debugger.breakpoints) == []


def test_a_step_of_a_training_is_opened_in_slices():
    page = long_loop()
    sess = fl.Session(page.editor.graph, seed=3)
    with fl.train_loop(sess) as run:
        for feeds in run.batches([dict(page.editor.feeds)]):
            run.log(total=sess.run("total:0", feeds))

    async def story():
        page.editor.attach(run)
        before = len(page.answered())
        page.say("train", name="open", step=0)
        assert len(page.answered()) == before and 0 < page.editor.debugger.cursor < page.editor.debugger.total
        await until(lambda: len(page.answered()) > before)
        assert page.state["mode"] == "past" and page.state["cursor"] == 0 and page.state["length"] > STEPS and "Step 0 of the training" in page.told("status")
    in_a_loop(story)


@pytest.mark.parametrize("what", ["edit", "cell", "stop", "start", "open", "close"])
def test_whoever_changes_something_pauses_the_run_first(what):
    page = long_loop()

    async def story():
        before = len(page.answered())
        page.press("run")
        dbg = page.editor.debugger
        if what == "edit":
            page.editor.edit(Rename("total", "sum"))
            assert "sum" in page.editor.document.nodes and page.state["mode"] == "edit"
        elif what == "cell":
            assert page.editor.step().index == dbg.cursor - 1
        elif what == "stop":
            page.press("stop")
            assert page.editor.debugger is None and page.state["cursor"] == 0
        elif what == "start":
            assert page.editor.start().cursor == 0 and not page.editor.start().breakpoints      # the lab's own, at the first NaN, is not handed on
        elif what == "close":
            page.editor.close()
        else:
            page.editor.open_trace(fl.Session(page.editor.graph).trace("rnn/Scan", page.editor.feeds))
            assert page.state["mode"] == "past"
        assert len(page.answered()) >= before + 1
        here = dbg.cursor
        await asyncio.sleep(0.1)
        assert dbg.cursor == here < dbg.total
    in_a_loop(story)


def test_the_breakpoint_that_the_lab_sets_for_a_run_is_nobody_elses():
    page = long_loop()

    async def story():
        page.editor.start().breakpoints.add("rnn/new:0", when="max > 9")
        page.press("run")
        assert [b["target"] for b in page.last("debugging")["breaks"]] == ["rnn/new:0"]
        page.editor.debugger.breakpoints.clear()        # in a cell: the lab's own goes with the others
        assert page.press("pause") and "Paused" in page.told("status")
        assert not page.told("alert") and page.answered()[-1]["ok"]
    in_a_loop(story)


def test_a_second_run_that_is_dropped_on_its_way_does_not_come_back():
    page = long_loop()
    page.press("step")

    async def story():
        assert not page.say("debug", name="branch", target="seq:0", text="0.5") and page.editor._going is not None
        assert page.say("debug", name="branch_drop") and page.editor._going is None
        await asyncio.sleep(0.05)
        assert page.editor._branch is None and page.last("debugging")["branch"] is None and page.state["cursor"] == 1
    in_a_loop(story)


def test_a_lecture_that_a_page_opens_goes_to_its_place_in_slices(tmp_path):
    teacher = long_loop().editor
    teacher.run()
    teacher.storyboard.add("the end")
    text = teacher.save_lecture(tmp_path / "far.lecture.flow.json").read_text(encoding="utf-8")
    page = Live(Editor())

    async def story():
        assert not page.say("open_text", name="far", text=text)      # it goes on, and other messages have their turn
        assert page.editor._going is not None and page.press("pause")
        assert 0 < page.editor.debugger.cursor < teacher.debugger.cursor and page.editor.storyboard.at == 0
        page.press("resume")
        await until(lambda: page.state["done"])
        page.editor.undo()
        page.say("open_text", name="far", text=text)
        await until(lambda: page.last("story") == {"type": "story", "at": 0, "move": True})
        assert page.editor.debugger.cursor == teacher.debugger.cursor
    in_a_loop(story)


def test_going_on_live_pauses_a_recording_that_plays():
    page = long_loop()
    page.editor.open_trace(fl.Session(page.editor.graph).trace("total", page.editor.feeds))
    page.editor.seek(0)

    async def story():
        page.press("resume")
        recording = page.editor.debugger
        live = page.editor.go_live()
        here = recording.cursor
        assert live.cursor == here and not live.breakpoints
        await asyncio.sleep(0.1)
        assert (live.cursor, recording.cursor) == (here, here)
    in_a_loop(story)


def test_values_are_looked_at_while_it_runs_and_a_breakpoint_set_meanwhile_stops_it():
    page = long_loop()

    async def story():
        page.press("run")
        await until(lambda: page.editor.debugger.cursor > 0)
        page.say("ask", tensor="seq:0", slice="")
        assert page.last("value")["tensor"] == "seq:0"
        assert page.editor._going is not None           # looking pauses nothing
        page.editor.debugger.breakpoints.add("rnn/new:0", timestep=STEPS - 5)
        await until(lambda: page.editor._going is None)
        assert page.editor.debugger.frame[:1] == ("rnn",) and page.state["mode"] == "paused"
        assert page.editor.debugger.timestep("rnn") == STEPS - 5
    in_a_loop(story)


def test_an_error_in_a_later_slice_is_told_and_answered():
    g = small_scan("time", 2, lambda out: fl.gather(out, fl.constant(np.array([10**6])), axis=0, name="last"))
    page = Live(Editor(g, feeds={"seq": np.full((STEPS, 2), 0.01, "f")}))

    async def story():
        page.press("run")
        await until(lambda: page.editor._going is None)
        assert page.answered()[-1]["ok"] is False and "last" in page.told("alert")
        assert page.state["states"]["last"] == "error"
    in_a_loop(story)


def test_interrupting_the_kernel_pauses_it():
    page = long_loop()

    async def story():
        page.press("run")
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)       # as Jupyter's kernel does between messages
        try:
            page.editor._going.work = endless(page.editor._going.work)
            await until(lambda: page.editor._going is None)
        finally:
            signal.signal(signal.SIGINT, before)
        assert "Interrupted" in page.told("alert") and page.answered()[-1]["ok"] is False
        assert page.state["mode"] == "paused"
    in_a_loop(story)


def test_interrupting_twice_does_not_end_the_event_loop():
    page = long_loop()
    hear = page.editor.send

    def impatient(content, buffers=None):
        hear(content, buffers)
        if content.get("text") == "Interrupted.":
            os.kill(os.getpid(), signal.SIGINT)
    page.editor.send = impatient

    async def story():
        page.press("run")
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            page.editor._going.work = endless(page.editor._going.work)
            await until(lambda: page.editor._going is None)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGINT, before)
        assert page.answered()[-1]["ok"] is False and page.press("step")
    in_a_loop(story)


def endless(work):
    """The same work, with an interrupt sent in the middle of it."""
    yield next(work)
    os.kill(os.getpid(), signal.SIGINT)
    yield from work


def test_a_message_on_another_thread_in_the_middle_of_a_slice_waits_for_its_end():
    page = long_loop()      # JupyterLab sends what a page says to a thread of its own (a subshell) once there is one

    async def story():
        page.press("run")
        work, inside = page.editor._going.work, threading.Event()

        def slowly():
            for at in work:
                inside.set()
                time.sleep(0.002)
                yield at
        page.editor._going.work = slowly()
        pause = threading.Thread(target=lambda: (inside.wait(), page.press("pause")))
        pause.start()
        await until(lambda: page.editor._going is None)
        pause.join()
    in_a_loop(story)
    assert not page.told("alert") and "Paused at firing" in page.told("status")
    assert page.state["mode"] == "paused" and page.state["cursor"] == page.editor.debugger.cursor < 2 * STEPS
    assert all(m["ok"] for m in page.answered())
