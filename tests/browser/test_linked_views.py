"""Views of one session side by side in a real JupyterLab: one selection for all of them, and for the lab; what somebody is asked about is shown in none."""
from __future__ import annotations

from playwright.sync_api import expect
from shown import Shown
from test_editor import Hand

CELLS = ("""import numpy as np
import flowlab as fl

with fl.Graph("reader") as g:
    image = fl.placeholder(("batch", 1, 8, 10), name="image")
    h = fl.nn.conv2d(image, 3, 3, padding="same", activation="relu", name="first")
    h = fl.max_pool2d(h, 2, name="pool")
    seq = fl.reshape(fl.transpose(h, (0, 3, 1, 2)), (-1, 5, 12), name="columns")
    lower, _ = fl.nn.lstm(seq, 6, name="lower")
    out, _ = fl.nn.gru(lower, 4, name="upper")
    fl.mean(fl.square(out), name="loss")
sess = fl.Session(g, seed=1)
ed = fl.Editor(g, sess, {"image": np.random.default_rng(5).normal(size=(2, 1, 8, 10))})
ed.height = 420
ed.run()
ed""", "lstm = fl.LSTMView(ed); lstm", "rnn = fl.RNNView(ed, 'upper', k=2); rnn", "conv = fl.ConvView(ed); conv")


def test_one_selection_and_no_answer_before_it_is_given(notebook, shots):
    nb = notebook("linked", CELLS)
    nb.page.set_viewport_size({"width": 1300, "height": 2600})
    nb.run_all()
    lstm, rnn, conv = (Shown(nb, f"{name}-view") for name in ("lstm", "rnn", "conv"))
    hand = Hand(nb)
    # a timestep and a unit of one view are those of the other
    lstm.slider("Timestep").fill("3")
    lstm.slider("Unit").fill("2")
    rnn.at(t=3, unit=2, node="upper/GRU")
    rnn.slider("Timestep").fill("1")
    lstm.at(t=1, unit=2)
    # a layer is, and in the lab it is selected
    lstm.root.get_by_role("button", name="Layer 1").click()
    rnn.at(node="lower/LSTM", t=1)
    expect(hand.lab.locator("[data-node='lower/LSTM'].sel")).to_have_count(1)
    # what is pointed at in the view is lit there too
    node = hand.lab.locator("[data-node='lower/LSTM']")
    lstm.find('[data-term="f_t"]').hover()
    expect(lstm.find("[data-gate=f]")).to_have_attribute("data-lit", "true")
    expect(node).to_have_attribute("data-lit", "true")
    expect(hand.lab.locator("[data-node='upper/GRU']")).not_to_have_attribute("data-lit", "true")
    nb.page.mouse.move(3, 3)
    expect(lstm.find("[data-lit=true]")).to_have_count(0)
    nb.exec("import asyncio\nwhile sess.selection.pointed is not None: await asyncio.sleep(0.02)")
    # what is selected in the lab the views show, each if it is one of its layers
    hand.lab.locator("[data-node='pool']").click(position={"x": 30, "y": 12})
    conv.at(node="pool")
    rnn.at(node="lower/LSTM")
    hand.lab.locator("[data-node='upper/GRU']").click(position={"x": 30, "y": 12})
    lstm.at(layer=2)
    rnn.at(node="upper/GRU")
    # a pixel and a channel, and all of it in Python
    nb.exec("other = fl.ConvView(sess.trace('loss', ed.feeds))")
    conv.slider("Row").fill("2")
    conv.slider("Column").fill("3")
    conv.at(y=2, x=3)
    nb.exec("import asyncio\nwhile sess.selection.pixel != (2, 3): await asyncio.sleep(0.02)")      # the page tells it a moment after the last move
    assert conv.python("[sess.selection.node, other.layer, other.y, other.x]") == ["pool", 2, 2, 3]
    nb.exec("sess.selection.set(node='upper', timestep=4, unit=3)")
    lstm.at(layer=2, t=4, unit=3)
    rnn.at(node="upper/GRU", t=4, unit=3)
    shots("linked views")
    # a question is open: no view that would tell the answer shows anything; the others do
    nb.exec("ed.ask('upper/GRU:0', 'value', at=(0, 0, 0))")
    for view in (lstm, rnn):
        expect(view.root).to_contain_text("Somebody is asked about upper/GRU:0.")
        expect(view.find("canvas, [data-readout], [data-cell]")).to_have_count(0)
    expect(conv.find("[data-readout=output]")).to_have_count(1)
    nb.exec("ed.skip('upper/GRU:0')")
    expect(lstm.find("[data-readout=z]")).to_have_count(1)
    rnn.at(node="upper/GRU", t=4)
    # they follow the lab by themselves
    nb.exec("ed.feeds['image'] = np.zeros((2, 1, 8, 10)); ed.run()")
    expect(conv.find("[data-readout=output]")).to_have_attribute("data-value", conv.nb.exec("print(float(ed.debugger.value('pool')[0, 0, 2, 3]))").removesuffix(".0"))
    nb.exec("ed.seek(0)")
    for view in (lstm, rnn, conv):
        expect(view.root.get_by_test_id("place")).to_contain_text("these are its last numbers")
