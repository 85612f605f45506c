"""An exercise above the canvas: checked, hinted at and kept, asked for as the page asks."""
from __future__ import annotations

import pytest
from test_editor_kernel import Page

import flowlab as fl
from flowlab.io.edits import AddNode, Connect, SetAttr
from flowlab.widgets.editor import Editor


def solution():
    x, y = fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 3), name="y")
    fl.mean(fl.square(x - y), name="loss")


def test_a_student_checks_takes_a_hint_and_solves_it():
    task = fl.exercise("Wire the *loss*.", solution=solution, title="Loss", hints=("Square it.", "Mean."))
    page = Page(Editor(task))
    told = page.last("task")
    assert told["title"] == "Loss" and told["text"] == "Wire the *loss*." and told["hints"] == [] and told["more"] == 2 and told["lines"] == [] and set(page.editor.document.nodes) == {"x", "y"}
    assert page.say("do_task", name="check") and not page.last("task")["solved"]
    assert page.last("task")["lines"] == [{"ok": False, "text": "Nothing is computed yet: loss is asked for."}]
    assert page.say("do_task", name="hint") and page.last("task")["hints"] == ["Square it."] and page.last("task")["more"] == 1
    assert page.edit(AddNode("Subtract", "d"), Connect("x:0", "d:a"), Connect("y:0", "d:b"), AddNode("Square", "s"), Connect("d:0", "s:x"), AddNode("Mean", "m"), Connect("s:0", "m:x"), SetAttr("m", "axis", "1"))
    assert page.last("task")["revision"] != page.last("scene")["revision"], "the page can tell that the graph has changed since"
    assert page.say("do_task", name="check") and "The shape of loss is" in page.last("task")["lines"][0]["text"]
    assert page.edit(SetAttr("m", "axis", "")) and page.say("do_task", name="check") and page.last("task")["solved"] and page.last("task")["revision"] == page.last("scene")["revision"]
    assert [a.solved for a in task.attempts] == [False, False, True] and task.attempts[-1].hints == 1 and page.editor.exercise is task
    again = Page(page.editor)
    assert again.last("task")["checks"] == 3 and again.last("task")["solved"]


def test_without_an_exercise_nothing_is_checked():
    page = Page(Editor())
    assert not page.say("do_task", name="check") and "There is no exercise here" in page.alert()
    assert not page.say("do_task", name="hint") and page.editor.exercise is None
    with pytest.raises(fl.DebuggerError):
        page.editor.check()


def test_a_cell_that_ends_in_an_exercise_shows_the_lab():
    bundle = fl.exercise("x", solution=solution)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in (bundle[0] if isinstance(bundle, tuple) else bundle)
