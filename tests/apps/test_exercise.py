"""Exercises: every right solution passes, every wrong one is told why, whatever nodes are called; files hold no solution."""
from __future__ import annotations

import json
import re

import numpy as np
import pytest

import flowlab as fl
from flowlab.apps.exercise import Attempt
from flowlab.apps.faults import BEGINS, KINDS
from flowlab.io.document import document_of
from flowlab.io.edits import Rename, apply


def inputs():
    return (fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 2), name="h"), fl.placeholder(("batch", 2), name="c"),
            fl.variable(np.zeros((5, 8), "float32"), name="W"), fl.variable(np.zeros(8, "float32"), name="b"))


def cell():
    """One step of an LSTM, gates in the order f, i, g, o."""
    x, h, c, w, b = inputs()
    z = fl.matmul(fl.concat([x, h], axis=1), w) + b
    f, i, g, o = fl.split(z, 4, axis=1)
    new = fl.add(fl.sigmoid(f) * c, fl.sigmoid(i) * fl.tanh(g), name="c_next")
    fl.multiply(fl.sigmoid(o), fl.tanh(new), name="h_next")


def swapped():
    x, h, c, w, b = inputs()
    f, i, g, o = fl.split(fl.matmul(fl.concat([x, h], axis=1), w) + b, 4, axis=1)
    new = fl.add(fl.sigmoid(i) * c, fl.sigmoid(f) * fl.tanh(g), name="c_next")
    fl.multiply(fl.sigmoid(o), fl.tanh(new), name="h_next")


TASK = fl.exercise("# An LSTM's cell\nWire c' and h'.", solution=cell, goals=("c_next", "h_next"), gradient=True, mistakes=[(swapped, "What f decides and what i decides have changed places.")],
                   uses={"Sigmoid": 1, "Tanh": 1}, without=("LSTM",), hints=("Begin with one product for all gates.", "The forget gate meets c."), title="LSTM cell")


def other_names():
    """Another order, other names, the product in two parts, one sigmoid for three gates."""
    b, w = fl.variable(np.zeros(8, "float32"), name="bias"), fl.variable(np.zeros((5, 8), "float32"), name="weights")
    memory, last, now = fl.placeholder(("n", 2), name="memory"), fl.placeholder(("n", 2), name="last"), fl.placeholder(("n", 3), name="now")
    z = b + fl.matmul(now, w[:3]) + fl.matmul(last, w[3:])
    gates, g = fl.sigmoid(z), fl.tanh(z[:, 4:6])
    kept = gates[:, 2:4] * g + memory * gates[:, :2]
    fl.tanh(kept, name="squashed") * gates[:, 6:]
    fl.identity(kept, name="kept")


def test_right_solutions_pass_whatever_they_look_like():
    for made in (cell, other_names):
        with fl.Graph() as g:
            made()
        verdict = TASK.check(g)
        assert verdict and verdict.solved and verdict.points == 1, verdict
    renamed = document_of(g)
    for k, name in enumerate(list(renamed.nodes)):
        renamed = apply(renamed, Rename(name, f"n{k}"))
    assert TASK.check(renamed)
    assert "✓ The gradients are right in all 6 cases." in str(verdict) and TASK.attempts[-1].solved and "3 checks, solved" in repr(TASK)


def test_a_known_mistake_gets_its_hint_and_another_is_told_how_far_it_is():
    with fl.Graph() as g:
        swapped()
    wrong = [line.text for line in TASK.check(g).lines if not line.ok]
    assert wrong[-1] == "What f decides and what i decides have changed places." and "The values of c_next are right in 0 of 6 cases." in wrong[0]
    with fl.Graph() as g:
        x, h, c, w, b = inputs()
        fl.matmul(fl.concat([x, h], axis=1), w, name="c_next")
    told = str(TASK.check(g))
    assert "✗ The shape of c_next is" in told and "where (" in told
    assert [TASK.hint(), TASK.hint(), TASK.hint()] == ["Begin with one product for all gates.", "The forget gate meets c.", "The forget gate meets c."]
    assert TASK.attempts[-1].hints == 0 and not TASK.check(g) and TASK.attempts[-1].hints == 2


def test_a_known_mistake_is_told_beside_a_result_that_the_task_began_with_whatever_it_is_called():
    def given():
        x = fl.placeholder(("n",), name="x")
        s = fl.sigmoid(x, name="s")
        return x, s, fl.multiply(x, s, name="y")

    def slope():
        x, s, _ = given()
        fl.add(s, x * (s * (1 - s)), name="slope")

    def half():
        x, s, _ = given()
        fl.multiply(x, s * (1 - s), name="slope")
    task = fl.exercise("dy/dx", solution=slope, start=_graph(given), goals="slope", mistakes=[(half, "This is one of two ways.")])
    with fl.Graph() as g:
        x, s, _ = given()
        x * (s - s * s)
    assert [line.text for line in task.check(g).lines if not line.ok] == ["The values of slope are right in 0 of 6 cases.", "This is one of two ways."]
    with fl.Graph() as g:
        _, s, _ = given()
        fl.mean(s)
    assert "The shape of slope is (), where (" in str(task.check(g)), "what the student made stands for the goal, not y"
    with fl.Graph() as g:
        given()
    assert [line.ok for line in task.check(g).lines] == [True, False]


def _graph(build):
    with fl.Graph() as g:
        build()
    return g


def mean_square():
    x, y = fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 3), name="y")
    fl.mean(fl.square(x - y), name="loss")


@pytest.mark.parametrize(("make", "says"), [
    (lambda x, y: fl.sum(fl.square(x - y), name="loss"), r"They are \d+ times the right ones in one case, and \d+ times in another\."),
    (lambda x, y: fl.negative(fl.mean(fl.square(x - y)), name="loss"), r"They have the opposite sign\."),
    (lambda x, y: fl.mean(fl.square(x - y) * 0.5, name="loss"), r"They are 0\.5 times the right ones\."),
    (lambda x, y: fl.mean(fl.log(x - y), name="loss"), r"They hold NaN or infinity\."),
    (lambda x, y: fl.mean(fl.square(x - y)) + 1.0, r"They are all 1 too large\."),
    (lambda x, y: fl.mean(fl.square(x - y), axis=1), "The shape of loss is"),
    (lambda x, y: fl.mean(fl.square(x - fl.stop_gradient(y))), r"No gradient reaches y, though the numbers are right\."),
    (lambda x, y: None, r"Nothing is computed yet: loss is asked for\."),
    (lambda x, y: fl.mean(fl.square(x - y) + fl.sum(fl.placeholder((2,), name="z"))), "It does not run: "),
    (lambda x, y: fl.mean(fl.abs(x - y)), r"The values of loss are right in 0 of 6 cases\."),
])
def test_what_is_wrong_is_said_without_giving_it_away(make, says):
    task = fl.exercise("The loss.", solution=mean_square, gradient=True)
    with fl.Graph() as g:
        make(fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 3), name="y"))
    verdict = task.check(g)
    assert not verdict and re.search(says, str(verdict)), verdict


def test_structure_is_counted_inside_loops_too():
    def solution():
        x = fl.placeholder(("time", 2), name="x")
        with fl.scan(x, time_axis=0, name="rnn") as step:
            h = step.state("h", init=fl.constant(np.zeros(2, "float32")))
            new = fl.tanh(h + step.input)
            step.update(h, new)
            step.output(new)
        fl.sum(step.outputs[0], name="y")
    with fl.Graph() as g:
        solution()
    task = fl.exercise("Loop.", solution=solution, uses=["Tanh", "Scan"], without="Relu", most_nodes=4)
    assert task.check(g)
    with fl.Graph() as g:
        x = fl.placeholder(("time", 2), name="x")
        fl.tanh(fl.constant(1.0), name="dead")
        with fl.scan(x, time_axis=0, name="rnn") as step:
            h = step.state("h", init=fl.constant(np.zeros(2, "float32")))
            z = h + step.input
            new = 1 - 2 / (fl.exp(2 * z) + 1) + fl.relu(z) * 0
            step.update(h, new)
            step.output(new)
        fl.sum(step.outputs[0], name="y")
    assert [line.ok for line in task.check(g).lines] == [True, True, False, True, False, False], "what the goal does not need counts for nothing"


TWO = fl.exercise("Two.", solution=lambda: fl.square(fl.tanh(fl.placeholder(("batch", 3), name="x"), name="h"), name="y"), goals=["h", "y"])
GRAD = fl.exercise("The slope.", solution=lambda: fl.identity(fl.gradients(fl.sum(fl.square(w := fl.variable([1.0, 2.0], name="w"))), [w])[0], name="dw"), goals="dw")
SUM = fl.exercise("The mean.", solution=mean_square)


def x3():
    return fl.placeholder(("batch", 3), name="x")


@pytest.mark.parametrize(("task", "make", "right"), [
    (TWO, lambda: fl.square(fl.tanh(x3(), name="another")), True),
    (TWO, lambda: fl.square(fl.sin(x3(), name="h"), name="y"), False),
    (GRAD, lambda: fl.gradients(fl.sum(fl.square(v := fl.variable([3.0, 3.0], name="v"))), [v]), True),
    (SUM, lambda: fl.optim.Adam(0.1).minimize(fl.mean(fl.square(fl.matmul(x3(), fl.variable(np.eye(3, dtype="float32"), name="w", trainable=True)) - fl.placeholder(("batch", 3), name="y")))), False),
    (SUM, lambda: (fl.mean(fl.square(x3() - fl.placeholder(("batch", 3), name="y"))), fl.square(fl.placeholder((2,), name="stray"))), True),
    (fl.exercise("Half.", solution=lambda: fl.identity(fl.split(fl.placeholder((2, 4), name="x"), 2, axis=1)[1], name="y")), lambda: fl.split(fl.placeholder((2, 4), name="x"), 2, axis=1), True),
    (fl.exercise("One.", solution=lambda: fl.concat([x3()[0], fl.constant([1e6])], axis=0, name="y")), lambda: fl.concat([x3()[0] * 0.7, fl.constant([1e6])], axis=0, name="y"), False),
    (fl.exercise("Tiny.", solution=lambda: fl.multiply(x3(), 1e-8, name="y")), lambda: fl.multiply(x3(), 0.0, name="y"), False),
    (fl.exercise("Type.", solution=lambda: fl.sin(x3(), name="y")), lambda: fl.cast(fl.sin(x3()), "float16", name="y"), False),
])
def test_right_is_right_wherever_it_stands_and_nearly_is_wrong(task, make, right):
    with fl.Graph() as g:
        make()
    assert bool(task.check(g)) is right, task.check(g)


def test_many_inputs_of_one_kind_are_told_apart_by_trying_or_it_is_said(monkeypatch):
    monkeypatch.setattr("flowlab.apps.exercise.MOST_WAYS", 720)

    def total(names):
        return sum(fl.multiply(fl.placeholder((2,), name=n), k + 1.0) for k, n in enumerate(names))
    for count, solved in ((6, True), (8, False)):
        task = fl.exercise("Sum.", solution=lambda count=count: fl.identity(total("abcdefgh"[:count]), name="y"), cases=2)
        with fl.Graph() as g:
            for n in "stuvwxyz"[:count][::-1]:
                fl.placeholder((2,), name=n)
            sum(fl.multiply(g.tensor(f"{n}:0"), k + 1.0) for k, n in enumerate("stuvwxyz"[:count]))
        verdict = task.check(g)
        assert bool(verdict) is solved and ("too many inputs of one kind" in str(verdict)) is not solved


def test_an_input_that_can_be_several_of_the_solutions_is_no_crash():
    task = fl.exercise("Add.", solution=lambda: fl.add(fl.placeholder(("batch", 3), name="a"), fl.placeholder((5, 3), name="b"), name="y"), cases=[{"a": np.ones((5, 3)), "b": np.ones((5, 3))}])
    with fl.Graph() as g:
        fl.square(fl.placeholder((None, 3), name="a"))
    assert "There is nothing that stands for the input b" in str(task.check(g))


def test_an_exercise_goes_to_a_class_without_its_solution(tmp_path):
    TASK.save(tmp_path / "cell.exercise")
    text = (tmp_path / "cell.exercise").read_text()
    assert "Split" not in text and "Concat" not in text and "MatMul" not in text
    again = fl.load_exercise(tmp_path / "cell.exercise")
    for made, right in ((cell, True), (other_names, True), (swapped, False)):
        with fl.Graph() as g:
            made()
        assert bool(again.check(g)) is right
    assert "changed places" in again.attempts[-1].wrong[-1] and again.hint() == "Begin with one product for all gates." and set(again.start.nodes) == {"x", "h", "c", "W", "b"}


@pytest.mark.parametrize("change", [lambda d: d.update(flowlab_exercise=2), lambda d: d.pop("cases"), lambda d: d["cases"][0]["given"]["x"].update(shape=[1 << 40, 3]), lambda d: d.update(sources=[1]),
                                    lambda d: d.update(start="{"), lambda d: d["mistakes"][0].pop("hint"), lambda d: d.update(cases=[]), lambda d: d.update(goals=[]),
                                    lambda d: d.update(most_nodes="x"), lambda d: d["cases"][1]["outputs"].pop("c_next"), lambda d: d["cases"][0].update(slopes={"zz": d["cases"][0]["slopes"]["x"]})])
def test_a_damaged_file_is_refused(tmp_path, change):
    TASK.save(tmp_path / "a")
    data = json.loads((tmp_path / "a").read_text())
    change(data)
    (tmp_path / "a").write_text(json.dumps(data))
    with pytest.raises(fl.FlowError):
        fl.load_exercise(tmp_path / "a")


def test_a_score_is_reached_by_a_session(tmp_path):
    with fl.Graph() as g:
        w = fl.variable(0.0, name="w")
    sess = fl.Session(g)
    task = fl.exercise("Reach 90 %.", score=lambda s: float(s.variables["w"]), at_least=0.9)
    assert not task.check(sess)
    sess.variables["w"] = 0.95
    assert str(task.check(sess)) == "✓ The score is 0.95; at least 0.9 is asked for." and w.name == "w:0"
    with pytest.raises(fl.FlowError, match="is no session"):
        task.check(g)
    with pytest.raises(fl.FlowError, match="no file holds"):
        task.save(tmp_path / "x")


@pytest.mark.parametrize(("options", "says"), [
    ({}, "a solution or a score"), ({"solution": lambda: None}, "computes nothing"), ({"solution": mean_square, "cases": 0}, "needs a case"),
    ({"solution": lambda: fl.placeholder((2,), "int64", name="k") * 2}, "which numbers make sense"), ({"score": len}, "needs at_least"),
    ({"solution": mean_square, "mistakes": [(mean_square, "none")]}, "gives the solution's numbers"), ({"solution": mean_square, "uses": ["MatMull"]}, "no operation 'MatMull'"),
    ({"solution": mean_square, "cases": [{"z": 1}]}, "z is no input"), ({"solution": mean_square, "without": ["Square"]}, "does not pass its own check"), ({"solution": mean_square, "goals": ()}, "needs a goal"),
    ({"solution": lambda: fl.dropout(fl.placeholder(("batch", 30), name="x"), 0.5)}, "does not pass its own check")])
def test_an_exercise_that_is_none_is_refused(options, says):
    with pytest.raises(fl.FlowError, match=says):
        fl.exercise("x", **options)


def net(trained: bool = False) -> fl.Graph:
    with fl.Graph("net") as g:
        x, y = fl.placeholder(("batch", 4), name="x"), fl.placeholder(("batch", 3), name="y")
        o = fl.softmax(fl.nn.dense(fl.nn.dense(x, 5, activation="relu", name="hidden"), 3, name="out"), axis=-1, name="o")
        loss = fl.mean(fl.square(o - y), name="loss")
        if trained:
            fl.optim.SGD(0.1).minimize(loss, name="train")
    return g


@pytest.mark.parametrize("kind", [*KINDS, "any"])
def test_a_broken_graph_is_sound_and_wrong_in_one_place(kind):
    g = net(trained=kind == "learning rate")
    fault, other = fl.break_graph(g, kind, seed=1), fl.break_graph(g, kind, seed=1)
    assert fault.graph.same_graph(other.graph) and not fault.graph.same_graph(g) and fault.node in g.nodes and fault.node in str(fault)
    feeds = {"x": np.ones((2, 4), "float32"), "y": np.zeros((2, 3), "float32")}
    fl.Session(fault.graph).run("loss", feeds)
    if fault.kind not in BEGINS:
        task = fl.exercise("Find the fault.", solution=net(), start=fault.graph, gradient=True)
        assert task.check(net()) and not task.check(fault.graph)


def test_a_fault_that_a_graph_has_no_place_for_is_told():
    with fl.Graph() as g:
        fl.square(fl.placeholder((), name="x"), name="y")
    with pytest.raises(fl.FlowError, match="has no place for dead relu"):
        fl.break_graph(g, "dead relu")
    with pytest.raises(fl.FlowError, match="no kind of fault 'worms'"):
        fl.break_graph(g, "worms")


def test_a_class_is_drawn_by_who_solved_what(tmp_path):
    task = fl.exercise("The loss.", solution=mean_square, title="Loss")
    with fl.Graph() as right:
        mean_square()
    with fl.Graph() as wrong:
        fl.mean(fl.abs(fl.placeholder(("batch", 3), name="x") - fl.placeholder(("batch", 3), name="y")))
    for name, tries in (("Ada", [right]), ("Bo", [wrong, right]), ("Cy", [wrong, wrong])):
        task.attempts.clear()
        for g in tries:
            task.check(g)
        task.save_attempts(tmp_path / name, name)
    figure = fl.plots.attempts(sorted(tmp_path.iterdir()))
    assert [list(bar.x) for bar in figure.data] == [[1], [1], [1], [0]] and [bar.customdata[0][0] for bar in figure.data] == ["Ada", "Bo", "Cy", ""]
    assert "The values of loss are right in 0 of 6 cases." in figure.data[2].customdata[0][1] and figure.layout.title.text.startswith("1 exercise, 3 students")
    (tmp_path / "none").write_text("{}")
    with pytest.raises(fl.DocumentError, match="holds no attempts"):
        fl.plots.attempts([tmp_path / "none"])
    with pytest.raises(fl.FlowError, match="no attempts"):
        fl.plots.attempts([])


def test_a_student_of_a_class_is_counted_once_however_the_files_come(tmp_path):
    one, two = (fl.exercise("The loss.", solution=mean_square, title=title) for title in ("<b>Loss</b>", "Again"))

    def file(name, task, student, *tries):
        task.attempts[:] = [Attempt(task.title, f"2026-03-0{day}T10:00:00+00:00", solved, 0.5, 0, () if solved else ("It is wrong.",)) for day, solved in tries]
        task.save_attempts(tmp_path / name, student)
    file("a.json", one, "Ada", (2, True))
    file("b.json", one, "Ada", (1, False), (2, True))         # the whole of what a.json holds a part of
    file("c.json", one, "", (1, True))                        # two who gave no name
    file("d.json", one, " ", (1, False))
    file("e.json", two, "<img src=x onerror=alert(1)>", (1, True))
    file("f.json", two, "Eve")                                # handed in, and never checked
    for files in ("abcdef", "fedcba"):
        figure = fl.plots.attempts(tmp_path / f"{f}.json" for f in files)
        titles = list(figure.data[0].y)
        count = {title: [int(bar.x[k]) for bar in figure.data] for k, title in enumerate(titles)}
        assert count == {"&lt;b&gt;Loss&lt;/b&gt;": [1, 1, 1, 2], "Again": [1, 0, 0, 4]} and figure.layout.title.text.startswith("2 exercises, 5 students")
        who = {bar.name: bar.customdata[titles.index("&lt;b&gt;Loss&lt;/b&gt;")] for bar in figure.data}
        assert who["at the first check"][0] == "c" and who["later"][0] == "Ada" and who["not yet"][0] == "d" and "It is wrong." in who["later"][1]
        assert "<img" not in str(figure.data)


@pytest.mark.parametrize(("make", "says"), [
    (lambda: fl.placeholder(("batch", 3), "float64", name="x"), "x is float64 (batch, 3), where float32 (batch, 3) is asked for."),
    (lambda: fl.placeholder((3,), name="x"), "x is float32 (3,), where float32 (batch, 3) is asked for."),
    (lambda: fl.variable(np.zeros((2, 3), "float32"), name="x"), "x is a variable, where the input x (batch, 3) is asked for."),
    (lambda: fl.placeholder((2, 2), name="z"), "There is nothing that stands for the input x (batch, 3)."),
])
def test_an_input_of_another_type_is_told_by_both(make, says):
    with fl.Graph() as g:
        fl.square(make())
    assert says in str(TWO.check(g))


def test_a_fault_and_a_function_that_returns_a_graph_are_taken():
    fault = fl.break_graph(net(), "sign", seed=1)
    task = fl.exercise("Find the fault.", solution=net, start=fault)
    assert task.check(net()) and not task.check(fault) and set(task.start.nodes) == {n.name for n in fault.graph.nodes}
    assert fl.Editor(fault).graph.same_graph(fault.graph)
