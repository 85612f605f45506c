"""The unrolled view in a real JupyterLab: its copies share one set of weights, its bars sum to the gradient, its guesses are the network's, and axe finds nothing."""
from __future__ import annotations

import pytest
from playwright.sync_api import expect
from shown import Shown

GRAPH = """
import numpy as np
import flowlab as fl

symbols = sorted(set("你好世界"))
ids = np.array([symbols.index(c) for c in "你好世界" * 6])
with fl.Graph("characters") as g:
    x, y = (fl.placeholder(("batch", "time"), "int64", name=n) for n in "xy")
    h, _ = fl.nn.rnn(fl.one_hot(x, depth=4), 12, name="rnn")
    scores = fl.nn.dense(h, 4, name="out")
    loss = fl.mean(fl.sparse_softmax_cross_entropy(scores, y), name="loss")
    grads = fl.gradients(loss, g.trainable_variables)
sess = fl.Session(g, seed=1)
trace = sess.trace([loss, *grads], {x: ids[None, :16], y: ids[None, 1:17]})
"""


@pytest.fixture
def view(notebook):
    nb = notebook("unrolled", [GRAPH, "view = fl.RNNView(trace, 'rnn', k=3, t=6, unit=2, alphabet=symbols, beside='你好世界' * 13); view"])
    nb.run_all()
    return Shown(nb, "rnn-view", "flowlab unrolled network")


def test_copies_uses_and_guesses(view, clean, shots):
    nb, page, root = view.nb, view.page, view.root
    view.at(t=6)
    counts = view.find("[data-variables]")

    def value(code):
        return view.python(f"float({code})")

    def learned():
        return counts.get_attribute("data-variables"), counts.get_attribute("data-numbers")

    # five copies use what three used
    expect(root.locator("button[data-cell]")).to_have_count(3)
    before = learned()
    view.slider("Unroll").fill("5")
    view.at(k=5)
    expect(root.locator("button[data-cell]")).to_have_count(5)
    expect(root.locator("[data-same]")).to_have_count(5)
    assert learned() == before == ("3", str(4 * 12 + 12 * 12 + 12))

    # one cursor: keys, slider and cells move it, and the numbers are the run's
    root.focus()
    page.keyboard.press("ArrowRight")
    view.at(t=7)
    view.slider("Timestep").fill("4")
    root.locator('[data-cell="5"]').click()
    view.at(t=5)
    state = float(root.locator('[data-cell="5"] [data-state=h]').get_attribute("data-value"))
    assert state == pytest.approx(value("trace.value('rnn/RNN')[0, 5, 2]"), rel=1e-6)
    readout = root.locator("[data-readout=h]")
    assert float(readout.get_attribute("data-sum")) == pytest.approx(state, rel=1e-5) == pytest.approx(float(readout.get_attribute("data-value")), rel=1e-6)
    # h goes two ways: to who reads it, and on to the next timestep
    expect(root.locator('[data-way="5:out"]')).to_have_count(1)
    expect(root.locator('[data-way="5:on"]')).to_have_count(1)

    # backwards: the bars sum to the gradient
    root.get_by_role("button", name="Backward").click()
    expect(root.locator("[data-use]")).to_have_count(5)
    bars = [float(b) for b in root.locator("[data-bar]").evaluate_all("all => all.map(e => e.dataset.value)")]
    size = value("np.linalg.norm(grads and trace.results[1 + [v.node.name for v in g.trainable_variables].index('rnn/recurrent_kernel')])")
    assert len(bars) == 16 and sum(bars) == pytest.approx(size, rel=1e-4)
    later = float(root.locator('[data-way="5:later"]').get_attribute("data-value"))
    assert later == pytest.approx(value("view.uses().later[5, 0]"), rel=1e-5)
    shots("unrolled, backwards")

    # a text of one's own is read by the network itself
    field = root.get_by_role("textbox", name="Your own text")
    field.fill("世界")
    field.press("Enter")
    expect(root.locator("[data-guess]")).to_have_count(2)
    wanted = view.python("[symbols[k] for k in sess.run(scores, {x: [[symbols.index(c) for c in '世界']]})[0, -1].argsort()[::-1]]")
    assert root.locator('[data-guess="1"] .guess i').all_inner_texts() == wanted
    field.fill("天")
    field.press("Enter")
    expect(root.get_by_role("alert")).to_contain_text("knows no '天'")
    root.get_by_role("button", name="As in the run").click()
    expect(root.locator("[data-guess]")).to_have_count(16)

    # beside it a feed-forward network of as many numbers, trained at the press of a button
    view.button("Train both").click()
    dots = view.find("circle[data-context]")        # of accuracy and of seconds, four lengths and two networks each
    expect(dots).to_have_count(16, timeout=60_000)
    want = view.python("[v for r in view.compare().rows for v in (r.recurrent, r.forward)]")
    shown = dots.evaluate_all("all => all.slice(0, 8).map((e) => [Number(e.dataset.context), e.dataset.kind, Number(e.dataset.value)])")
    assert [v for _, _, v in sorted(shown, key=lambda s: (s[0], s[1] != "recurrent"))] == pytest.approx(want)
    expect(view.button("Train both")).to_have_count(0)

    # Python moves the same cursor; the notebook keeps a picture for when there is no kernel
    nb.exec("view.k, view.t = 0, 2")
    view.at(t=2)
    expect(root.locator("button[data-cell]")).to_have_count(0)
    view.kept()
    nb.exec("view.k = 4")
    for theme in ("light", "dark"):
        nb.theme(theme)
        clean(root, theme)
