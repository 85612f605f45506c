"""Answers as people type them, and how near they are."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.apps import questions as Q
from flowlab.io.document import Answer


@pytest.mark.parametrize("text, shape", [("batch, 3", ("batch", 3)), ("(2,3)", (2, 3)), ("2 x 3", (2, 3)), ("2×3", (2, 3)), ("（2，3）", (2, 3)), ("[4]", (4,)), ("3,", (3,)), ("()", ()), ("标量", ())])
def test_a_shape_is_read_as_people_type_it(text, shape):
    assert Q.read("shape", text) == shape


@pytest.mark.parametrize("text, value", [
    ("0.5", 0.5), ("−1/3", -1 / 3), (".5e-1", 0.05), ("1, 2, 3", [1, 2, 3]), ("1 2\n3 4", [[1, 2], [3, 4]]), ("1;2", [1, 2]), ("[[1, 2], [3, 4]]", [[1, 2], [3, 4]]), ("(1，2)", [1, 2]), ("∞", np.inf),
    ("-inf nan", [-np.inf, np.nan]), ("true", True), ("[]", []),
])
def test_a_value_is_read_as_people_type_it(text, value):
    np.testing.assert_array_equal(Q.read("value", text), value)


@pytest.mark.parametrize("kind, text, says", [
    ("shape", "2, !3", r"from character 4 on: !3"), ("shape", "(2, 3", r"character 6 on, where it ends"), ("value", "1, a", r"from character 4 on: a"), ("value", "[1, 2", r"A bracket is not closed"),
    ("value", "[1]]", r"from character 4 on: \]"), ("value", "1.2.3", "from character 1 on"), ("value", "[[1], [2, 3]]", "not equally long"), ("sign", "up", "up is no sign"), ("value", " ", "is empty"),
    ("value", "1" * 30_000, "at most 20,000"), ("value", ";", "holds no number"), ("shape", "2, " + "9" * 5000, "from character 4 on: 999"), ("value", "[" * 40 + "1" + "]" * 40, "from character 33 on"),
])
def test_what_cannot_be_read_says_from_where_on(kind, text, says):
    with pytest.raises(fl.DebuggerError, match=says):
        Q.read(kind, text)


def node(make, *shapes):
    with fl.Graph():
        return make(*(fl.placeholder(s, name=f"x{k}") for k, s in enumerate(shapes))).node


MUL = node(fl.matmul, (2, 3), (3, 4))


@pytest.mark.parametrize("typed, truth, word", [
    (7.5, 7.5, "right"), (7.45, 7.5, "right"), (7, 7.5, "nearly"), (-7.5, 7.5, "nearly"), (3, 7.5, "wrong"), (0, 0.0, "right"), (1e-3, 0.0, "wrong"), ([1, 2], [1.0, 2.0], "right"), ([1, 3], [1.0, 2.0], "nearly"),
    ([3, 3], [1.0, 2.0], "wrong"), (2, [2.0, 2.0], "right"), (1, [1.0, 2.0], "wrong"), ([[1, 2]], [1.0, 2.0], "right"), ([1, 2, 3, 4], [[1.0, 2], [3, 4]], "nearly"), (np.nan, np.nan, "right"), (np.inf, np.inf, "right"),
    (np.inf, 5.0, "wrong"), (5, np.inf, "wrong"), (True, True, "right"), (3, 4, "wrong"), (100, 99, "nearly"),
])
def test_how_near_a_value_is(typed, truth, word):
    assert Q.judge("value", np.array(typed), np.array(truth), None, MUL, {}).word == word


@pytest.mark.parametrize("typed, word, said", [((2, 4), "right", ""), (("batch", 4), "right", ""), ((4, 2), "nearly", "order"), ((2, 5), "nearly", "Only axis 1 is off"), ((5, 5), "wrong", ""), ((2, 4, 1), "wrong", "It has 2 axes, the answer 3")])
def test_how_near_a_shape_is(typed, word, said):
    inputs = {"a": np.zeros((2, 3)), "b": np.zeros((3, 4))}
    found = Q.judge("shape", typed, np.zeros((2, 4)), None, MUL, inputs, ("batch", 4))
    assert (found.word, found.truth) == (word, "(2, 4) = (batch, 4)") and said in " ".join(found.sentences)
    assert found.sentences[-1] == "Rows of a times columns of b: (2, 3) · (3, 4) keeps 2 and 4, and the inner size 3 is summed away."
    assert "a 的行乘 b 的列" in Q.judge("shape", typed, np.zeros((2, 4)), None, MUL, inputs, chinese=True).sentences[-1]


def test_a_sign_is_that_of_one_number():
    assert [Q.judge("sign", s, np.array(-2.0), None, MUL, {}).word for s in (1, -1, 0)] == ["wrong", "right", "wrong"]
    assert Q.judge("sign", None, np.zeros((2, 2)), (1, -1), MUL, {}).truth == "0"
    with pytest.raises(fl.DebuggerError, match=r"no element \[2, 0\]"):
        Q.judge("sign", 1, np.zeros((2, 2)), (2, 0), MUL, {})


@pytest.mark.parametrize("make, shapes, says", [
    (lambda x: fl.sum(x, axis=1), [(2, 3)], "Axis 1 of (2, 3) goes"), (lambda x: fl.mean(x), [(2, 3)], "come together in one number"), (lambda x: fl.max(x, axis=0, keepdims=True), [(2, 3)], "stays as 1"),
    (fl.add, [(2, 3), (3,)], "spread over each other (broadcast)"), (fl.relu, [(2, 3)], "the shape stays (2, 3)"), (lambda x: fl.reshape(x, (6,)), [(2, 3)], "The same 6 numbers"),
    (lambda x: fl.transpose(x), [(2, 3)], "change places"), (lambda x, y: fl.concat([x, y], axis=1), [(2, 3), (2, 4)], "Along axis 1 the sizes add up"),
    (lambda x, w: fl.conv2d(x, w), [(1, 1, 5, 5), (2, 1, 3, 3)], "(size + padding − window) / stride + 1"),
])
def test_why_a_shape_is_what_it_is(make, shapes, says):
    made = node(make, *shapes)
    inputs = {p: np.zeros(s) for p, s in zip(made.ports, shapes)}
    assert says in Q.judge("shape", None, np.zeros(made.outputs[0].shape), None, made, inputs).sentences[-1]


def test_a_table_of_answers_runs_no_formula():
    rows = Q.Answers([Answer("=x:0", "value", (0, 1), "-0.5", "−0.5", "right", "2026-01-01", 3), Answer("y:0", "sign", None, "=cmd()", "+", "wrong", "", 4)])
    lines = rows.to_csv().splitlines()
    assert lines[1] == '\'=x:0,value,"[0, 1]",-0.5,−0.5,right,2026-01-01,3' and ",'=cmd(),'+,wrong," in lines[2]
