"""A recurrent cell wired by hand in a real JupyterLab: a loop over time, its inside, its states, by mouse and by keyboard."""
from __future__ import annotations

import json

import numpy as np
from playwright.sync_api import expect
from test_editor import Hand

SEQ = [[[0.5, -1], [1, 0.25], [0, 2]], [[1, 1], [-0.5, 0], [0.25, -2]]]
H0 = [[0.1, -0.2], [0, 0.3]]
W, U = [[0.5, -1], [1, 0.25]], [[0.2, 0.1], [-0.3, 0.4]]

IN_PYTHON = f"""
    import json, numpy as np
    with fl.Graph("in python") as g:
        seq, h0 = fl.placeholder(("batch", 3, 2), name="seq"), fl.placeholder(("batch", 2), name="h0")
        W, U = (fl.variable(np.array(v, "float32"), name=n) for n, v in (("W", {W}), ("U", {U})))
        with fl.scan(seq, time_axis=1, name="rnn") as step:
            prev = step.state("h", init=h0)
            h = fl.tanh(step.input @ W + prev @ U)
            step.update(prev, h)
            step.output(h)
        loss = fl.mean(step.outputs[0], name="loss")
    assert ed.document.same_graph(g), ed.document.nodes
    with fl.Session(g) as sess:
        print(json.dumps([sess.run(t, {{"seq": {SEQ}, "h0": {H0}}}).tolist() for t in (loss, step.outputs[0])]))
"""


def source(hand: Hand, op: str, name: str, shape: str, value: list) -> None:
    hand.add(op, name)
    hand.field("shape", shape)
    hand.field("Value" if op == "Placeholder" else "initializer", json.dumps(value))


def test_a_recurrent_cell_is_wired_by_hand_run_differentiated_and_undone(notebook, shots):
    nb = notebook("rnn", ["import flowlab as fl\ned = fl.Editor()\ned"])
    nb.run_all()
    hand = Hand(nb)
    keys = nb.page.keyboard
    source(hand, "Placeholder", "seq", "batch, 3, 2", SEQ)
    source(hand, "Placeholder", "h0", "batch, 2", H0)
    source(hand, "Variable", "W", "2, 2", W)
    source(hand, "Variable", "U", "2, 2", U)
    hand.add("Scan")
    hand.select("Scan/Scan")
    hand.inspector.get_by_role("textbox", name="Name").fill("rnn")
    keys.press("Enter")
    expect(hand.node("rnn/Scan")).to_have_count(1)
    hand.settled()
    shots("loop-empty")
    hand.wire("seq", "rnn/input:x")
    hand.wire("h0", "rnn/h:start")
    expect(hand.edge("seq", "rnn/input:x")).to_have_attribute("data-shape", "(batch, 3, 2)")
    hand.select("rnn/input")            # what is added now stands beside it, inside
    hand.add("MatMul")
    hand.wire("rnn/input", "rnn/MatMul:a")
    hand.wire("W", "rnn/MatMul:b")
    hand.add("MatMul")
    hand.wire("rnn/h", "rnn/MatMul_1:a")
    hand.wire("U", "rnn/MatMul_1:b")
    hand.add("Add")
    hand.wire("rnn/MatMul", "rnn/Add:a")
    hand.wire("rnn/MatMul_1", "rnn/Add:b")
    hand.add("Tanh")
    hand.wire("rnn/Add", "rnn/Tanh:x")
    expect(hand.inspector.get_by_test_id("value")).to_have_attribute("data-shape", "(batch, 2)")
    hand.press("Run")                   # half-wired: it says what is missing
    expect(hand.lab.get_by_role("alert").first).to_contain_text("the state h has no next value")
    shots("loop-half-wired")
    hand.port("rnn/Tanh:out:0").drag_to(hand.port("rnn/h:in:next"))
    hand.settled()
    back = hand.edge("rnn/Tanh", "rnn/h:next")
    expect(back.get_by_text("t−1")).to_be_visible()
    hand.wire("rnn/Tanh", "rnn/Scan:output 0")
    hand.select("rnn/Scan")
    hand.add("Mean", "loss")
    hand.wire("rnn/Scan", "loss:x")
    hand.press("Run")
    loss, hs = json.loads(nb.exec(IN_PYTHON))
    np.testing.assert_allclose(hand.value("loss"), loss, rtol=1e-6)
    np.testing.assert_allclose(hand.value("rnn/Scan"), hs, rtol=1e-6)
    shots("loop-finished")
    hand.press("Stop")
    hand.press("Step timestep")
    expect(hand.lab.locator("[data-timestep]")).to_have_attribute("data-timestep", "t = 0")
    hand.select("loss")
    keys.press("g")
    hand.settled()
    expect(hand.lab.locator('[data-scope="gradients/rnn/Scan"]')).to_have_count(1)
    hand.press("Run")
    assert json.loads(nb.exec("""
        with g: want = fl.gradients(loss, [W, U])
        by_hand = ed.graph.nodes["gradients/rnn/Scan/Scan"].outputs[2:4]     # over time that of the sequence, then the last states: those of h0, W and U
        print(json.dumps(all(map(np.array_equal, ed.session.run(by_hand, dict(ed.feeds)), fl.Session(g).run(want, dict(ed.feeds))))))"""))
    undo = hand.lab.get_by_role("button", name="Undo", exact=True)
    while undo.is_enabled():
        hand.press("Undo")
    expect(hand.lab.locator("[data-node], [data-scope]")).to_have_count(0)

    # the same by keyboard alone
    def press(*names: str) -> None:
        for name in names:
            keys.press(name)
        hand.settled()

    def find(key: str, text: str) -> None:
        press(key)
        keys.type(text)
        press("Enter")

    hand.lab.focus()
    find("a", "scan")
    expect(hand.node("Scan/input")).to_be_focused()
    find("a", "tanh")                   # goes on from what is selected, inside
    expect(hand.edge("Scan/input", "Scan/Tanh:x")).to_have_count(1)
    find("c", "h:next")
    find("c", "output 0")
    expect(hand.edge("Scan/Tanh", "Scan/h:next")).to_have_count(1)
    expect(hand.edge("Scan/Tanh", "Scan/Scan:output 0")).to_have_count(1)
    press("t")
    expect(hand.node("Scan/h_1")).to_be_focused()
    press("Delete", "Escape")
    expect(hand.node("Scan/h_1")).to_have_count(0)
    find("a", "placeholder")
    expect(hand.node("Placeholder")).to_be_focused()
    find("c", "input:x")
    expect(hand.edge("Placeholder", "Scan/input:x")).to_have_count(1)
    while undo.is_enabled():
        press("Control+z")
    expect(hand.lab.locator("[data-node], [data-scope]")).to_have_count(0)
