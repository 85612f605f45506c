"""The convolution view in a real JupyterLab: its numbers are the trace's, its boxes the closed form and the gradient's support, keys move the window."""
from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from shown import Shown

GRAPH = """
import json
import numpy as np
import flowlab as fl

rng = np.random.default_rng(5)
with fl.Graph("shapes") as g:
    image = fl.placeholder(("batch", 2, 14, 12), name="image")
    labels = fl.placeholder(("batch",), "int64", name="labels")
    h = fl.nn.conv2d(image, 4, 3, stride=(1, 2), padding="same", activation="relu", name="first")
    h = fl.max_pool2d(h, 2, name="pool")
    h = fl.nn.conv2d(h, 3, 3, padding=1, name="second")
    logits = fl.nn.dense(fl.nn.flatten(h), 3, name="head")
    loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, labels), name="loss")
    grads = fl.gradients(loss, g.trainable_variables)
sess = fl.Session(g, seed=1)
feeds = {image: rng.normal(size=(3, 2, 14, 12)), labels: np.array([1, 0, 2])}
trace = sess.trace([loss, *grads], feeds)

def support(y, x, channel):
    with fl.Graph() as alone:
        a = fl.placeholder((1, 2, 14, 12), "float64", name="a")
        b = fl.conv2d(a, np.ones((4, 2, 3, 3)), stride=(1, 2), padding="same")
        b = fl.conv2d(fl.avg_pool2d(b, 2), np.ones((3, 4, 3, 3)), padding=1)
        d, = fl.gradients(b[0, channel, y, x], [a])
    seen = fl.Session(alone).run(d, {a: np.ones((1, 2, 14, 12))})[0].any(axis=0)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return [int(v) for v in (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)]
"""


@pytest.fixture
def view(notebook):
    nb = notebook("conv_view", [GRAPH, 'view = fl.ConvView(trace, "second", y=2, x=1, channel=1); view'])
    nb.run_all()
    return Shown(nb, "conv-view", "flowlab convolution")


def test_the_window_its_numbers_and_what_it_sees(view, shots):
    nb, page, root, at, read, button = view.nb, view.page, view.root, view.at, view.read, view.button
    at(node="second/Conv2D")

    def value(tensor, *place):
        return view.python(f"float(trace.value({tensor!r})[{', '.join(map(str, place))}])")

    at(y=2, x=1, channel=1)
    # keys, sliders and the mouse move the window
    root.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowDown", "PageDown"):
        page.keyboard.press(key)
    at(y=5, x=1, channel=2)
    view.slider("Column").fill("2")
    output = root.locator("[data-map=output]")
    output.scroll_into_view_if_needed()
    box = output.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 2.5 / 3, box["y"] + box["height"] * 4.5 / 7)
    at(y=4, x=2, channel=2)
    # a click into the input brings the window's middle there; Play goes on from place to place
    shown = root.locator(".stage .input .map")
    box = shown.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 1.5 / 5, box["y"] + box["height"] * 3.5 / 9)         # 3 × 7 places, and one around them
    at(y=2, x=0, channel=2)
    button("Play").click()
    expect(root).to_have_attribute("data-y", "3")
    button("Pause").click()
    view.slider("Row").fill("4")
    view.slider("Column").fill("2")
    at(y=4, x=2, channel=2)
    # the sum is the output's value, and the boxes are the gradient's support
    assert read("sum") == read("output") == pytest.approx(value("second/Add", 0, 2, 4, 2), rel=1e-7)
    assert read("sum", "data-sum") == pytest.approx(read("sum"), rel=1e-4, abs=1e-6)
    terms = [float(t) for t in root.locator("[data-ledger]").evaluate_all("all => all.map(e => e.dataset.value)")]
    assert len(terms) == 4 + 1 and sum(terms) == pytest.approx(read("sum"), rel=1e-4, abs=1e-6)
    closed = view.python("{t.node.name: view.fields().of(t).box(4, 2) for t in (image, g.tensor('first/Conv2D:0'), g.tensor('pool:0'))}")
    for name, want in closed.items():
        assert root.locator(f'[data-field="{name}"]').get_attribute("data-box") == ",".join(map(str, want))
    assert closed["image"] == view.python("support(4, 2, 2)")
    # a weight is the same everywhere: what its uses add makes its gradient
    assert read("dw") == pytest.approx(view.python("float(trace.results[1 + [v.node.name for v in g.trainable_variables].index('second/kernel')][2, 0, 0, 0])"), rel=1e-4, abs=1e-7)
    assert read("uses") == pytest.approx(read("dw", "data-own"), rel=1e-4, abs=1e-7)
    shots("conv view")

    # other settings: the formula at once, this layer alone, and the way back
    root.get_by_role("spinbutton", name="Stride").fill("2")
    expect(root.locator("[data-readout=out-rows]")).to_have_attribute("data-value", "4")
    expect(root.get_by_role("status").filter(has_text="This layer alone ran again")).to_be_visible()
    assert read("sum") == pytest.approx(view.python("float(view._look().y[2, view.y, view.x])"), rel=1e-7)
    button("As in the run").click()
    expect(root.locator("[data-readout=out-rows]")).to_have_attribute("data-value", "7")

    # a stroke over the input changes what the window makes, in this picture alone
    button("Paint").click()
    before = read("sum")
    box = shown.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 1.5 / 5, box["y"] + box["height"] * 3.5 / 9)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 3.5 / 5, box["y"] + box["height"] * 4.5 / 9, steps=4)
    page.mouse.up()
    expect(root.locator(".tried")).to_contain_text("a painted input")
    expect(root.locator("[data-readout=sum]")).not_to_have_attribute("data-value", re.compile(rf"^{before}$"))
    expect(root).not_to_have_attribute("data-busy", "true")
    assert nb.exec("print((view._look().x != trace.value('pool')[0]).any(axis=0).sum() > 1, (view._now.value(g.tensor('pool:0'))[1:] == trace.value('pool')[1:]).all())") == "True True"
    button("As in the run").click()
    expect(root.locator(".tried")).to_have_count(0)
    button("Paint").click()

    # an edited kernel is followed by the output, and the variable is as it was
    before = read("sum")
    field = root.get_by_role("textbox", name="Kernel value")
    field.fill("2.5")
    field.press("Enter")
    expect(root.locator(".tried")).to_contain_text("loss")
    assert read("sum") != before
    assert view.python("float(sess.variables['second/kernel'][2, 0, 0, 0])") != 2.5
    button("As in the run").click()
    expect(root.locator(".tried")).to_have_count(0)

    view.kept()

    # the chain leads to the other layers; the largest wins, and takes the gradient
    root.locator('[data-field="pool"]').click()
    expect(root).to_have_attribute("data-node", "pool")
    at(y=3, x=1, channel=2)                                     # where the smaller map had its last window
    assert read("sum") == pytest.approx(value("pool", 0, 2, 3, 1), rel=1e-7)
    assert read("dx") == pytest.approx(read("g"), rel=1e-7)
    button("Shift").click()
    expect(root.locator("[data-line]")).to_have_count(3)
    # Python and the page are one, and what is refused is said
    nb.exec("view.layer = 1; view.y, view.x = 13, 5")
    expect(root).to_have_attribute("data-node", "first/Conv2D")
    at(y=13, x=5, channel=2)
    nb.exec("view.layer = 3")
    expect(root).to_have_attribute("data-node", "second/Conv2D")
    root.get_by_role("spinbutton", name="Dilation").fill("60")
    expect(root.get_by_role("alert")).to_contain_text("does not fit")
