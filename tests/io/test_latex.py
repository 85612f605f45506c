"""Equations of graphs: every one is read by a LaTeX reader of somebody else's, and says what its node computes."""
from __future__ import annotations

import re

import numpy as np
import pytest
from latex2mathml.converter import convert

import flowlab as fl
from flowlab.core.op import REGISTRY
from flowlab.io.latex import _plain, word
from tests.ops.cases import CASES

ONE_EACH = list({c.type: c for c in CASES}.values())


def lines(text):
    assert convert(str(text)).startswith("<math")
    assert text.startswith("\\begin{aligned}\n") and text.endswith("\n\\end{aligned}")
    return text.removesuffix("\n\\end{aligned}").removeprefix("\\begin{aligned}\n").split(" \\\\\n")


@pytest.mark.parametrize("case", ONE_EACH, ids=lambda c: c.type)
def test_every_operation_has_an_equation_that_names_all_that_goes_in(case):
    with fl.Graph() as g:
        made = [None if x is None else fl.placeholder(x.shape, x.dtype, name=f"in{k}") for k, x in enumerate(case.inputs)]
        outputs = case.build(made, name="it")
    trace = fl.Session(g).trace(outputs, {p.node.name: x for p, x in zip(made, case.inputs) if p is not None})
    for text in (fl.to_latex(g), fl.to_latex(g, outputs, trace)):
        first, *rest = lines(text)
        left, right = first.split(" &= ")
        assert "it" in left and len(rest) <= 1
        for p in made:
            assert p is None or f"\\mathrm{{{p.node.name}}}" in right, right


def network():
    rng = np.random.default_rng(0)
    with fl.Graph("net") as g:
        x, labels = fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch",), "int64", name="labels")
        y = fl.nn.dense(fl.nn.dense(x, 4, activation="relu", name="hidden"), 2, name="out")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(y, labels), name="loss")
    return g, y, loss, {"x": rng.normal(size=(2, 3)), "labels": [0, 1]}


def test_a_network_reads_like_its_equations():
    g, y, loss, _ = network()
    assert lines(fl.to_latex(g, loss)) == [
        r"z_{1} &= x W_{\mathrm{hidden}}", r"z_{2} &= z_{1} + b_{\mathrm{hidden}}", r"z_{3} &= \max(0, z_{2})", r"z_{4} &= z_{3} W_{\mathrm{out}}", r"z_{5} &= z_{4} + b_{\mathrm{out}}",
        r"z_{6} &= -\ln \operatorname{softmax}(z_{5})_{\mathrm{labels}}", r"L &= \frac{1}{n}\sum z_{6}"]
    with g:
        fl.gradients(loss, g.trainable_variables)
    assert any(row.startswith(r"\delta_{1} &= ") for row in lines(fl.to_latex(g)))


def test_a_run_brings_its_numbers():
    g, y, loss, feeds = network()
    sess = fl.Session(g)
    trace, dbg = sess.trace([loss], feeds), fl.Debugger(sess, [loss], feeds)
    value = f"{float(trace.value('loss:0')):.4g}"
    assert lines(fl.to_latex(g, loss, trace))[-1] == rf"L &= \frac{{1}}{{n}}\sum z_{{6}} = {value}"
    dbg.step()
    first, second, *_ = lines(fl.to_latex(g, loss, dbg))
    assert r"\begin{pmatrix}" in first and "pmatrix" not in second      # what has not fired has no number
    with pytest.raises(fl.FlowError, match="Session holds no values"):
        fl.to_latex(g, loss, sess)


def test_large_values_are_abridged_and_odd_ones_have_their_signs():
    with fl.Graph() as g:
        x, w = fl.placeholder((6, 7), name="x"), fl.placeholder((2, 3, 4), name="w")
        wide, deep = fl.exp(x, name="wide"), fl.negative(w, name="deep")
        few = fl.log(fl.placeholder((4,), name="few"))
    feeds = {"x": np.zeros((6, 7)), "w": np.zeros((2, 3, 4)), "few": [0, -1, np.inf, 1e12]}
    with np.errstate(all="ignore"):
        rows = lines(fl.to_latex(g, [wide, deep, few], fl.Session(g).trace([wide, deep, few], feeds)))
    assert rows[0].count(r"\cdots") == 4 and rows[0].count(r"\vdots") == 5 and rows[1].endswith(r"\left[2 \times 3 \times 4\right]")
    assert r"-\infty & \text{NaN} & \infty & 27.63" in rows[2]


def test_loops_and_branches_are_written_with_what_is_inside():
    with fl.Graph() as g:
        x, w = fl.placeholder(("batch", "time", 3), name="x"), fl.variable(np.ones((3, 3), "float32"), name="w")
        with fl.scan(x, time_axis=1, name="rnn") as step:
            h = step.state("h", size=3)
            new = fl.tanh(step.input @ w + h)
            step.update(h, new)
            step.output(new)
        fl.cond(fl.sum(x) > 0, lambda: fl.sqrt(x), lambda: -x, name="root")
        fl.while_loop(lambda r: fl.sum(r) < 100.0, lambda r: r * 2.0, w, name="grow")
    rows = lines(fl.to_latex(g))
    at = rows.index(r"&\text{for } t = 1, \dots, T:")
    assert rows[at + 1:at + 7] == [r"&\quad z_{5} = {x}_{t} w", r"&\quad z_{6} = z_{5} + {h}_{t-1}", r"&\quad z_{7} = \tanh z_{6}", r"&\quad {h}_{t} = z_{7}",
                                   r"y_{\mathrm{rnn}} &= (z_{7})_{t = 1, \dots, T}", r"h_{\mathrm{rnn}} &= {h}_{T}"]
    assert any(r"\begin{cases}" in row for row in rows) and any(row.startswith(r"&\text{while }") for row in rows) and rows[-1].startswith(r"&\quad r_{\mathrm{grow}} \leftarrow")


def test_odd_names_are_letters_and_no_commands():
    with fl.Graph() as g:
        y = fl.exp(fl.placeholder((), name=r"a_b{c}$%&#~\input"), name="gamma")
    row, = lines(fl.to_latex(g, y))
    assert row == r"\gamma &= e^{\mathrm{a\_b\{c\}\$\%\&\#\sim \backslash input}}"


def test_a_notebook_shows_it_as_mathematics():
    g, y, *_ = network()
    assert fl.to_latex(g, y)._repr_latex_() == f"$${fl.to_latex(g, y)}$$"


HOSTILE = [r"\input{/etc/passwd}", "$$ <img src=x onerror=alert(1)>", r"\href{javascript:alert(1)}{x}", "a\0b\nc\x1b[2J", "}} & \\\\ % # ~ ^ _", "x" * 5000]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_texts_of_a_file_stay_texts(text):
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        told = fl.nn.dense(fl.expand_dims(x, axis=0), 2, name="d")
        g.add(REGISTRY["Opaque"], [x], REGISTRY["Opaque"].normalize({"operator": text[:200], "reason": text[:2000], "types": "[null]"}), name="it")
    del told
    for made in (str(fl.to_latex(g)), word(text), _plain(text), _plain(("a", text))):
        assert len(made) < 1500 and not any(c in made for c in "<>\0\x1b~") and "\n" not in made.replace("\\\\\n", "").replace("{aligned}\n", "").replace("\n\\end", "")
        assert not re.search(r"\\(input|href)\b|(?<!\\)[$%#]", made)
        assert convert(made).startswith("<math")
    assert r"\operatorname{opaque}(x)" in fl.to_latex(g)
    assert _plain("same") == r"\text{same}"
