"""Debugging by button and by key in a real JupyterLab: pause on a NaN, why, breakpoints, watches, override, a second run, explain."""
from __future__ import annotations

import json

import numpy as np
from playwright.sync_api import expect
from test_editor import Hand

CELLS = ("""import numpy as np
import flowlab as fl
with fl.Graph("entropy") as g:
    x = fl.placeholder((2, 3), name="x")
    share = fl.divide(x, fl.sum(x, axis=1, keepdims=True, name="total"), name="share")
    log = fl.log(share, name="log")
    fl.mean(fl.negative(fl.sum(fl.multiply(share, log, name="product"), axis=1, name="row"), name="entropy"), name="mean")
ed = fl.Editor(g, feeds={"x": np.float32([[1, 2, 3], [4, 0, 2]])})
ed""",)


def test_a_nan_is_caught_explained_watched_and_tried_otherwise(notebook, shots):
    nb = notebook("debugging", CELLS)
    nb.run_all()
    hand = Hand(nb)
    hand.settled()
    lab, page = hand.lab, nb.page

    def node(name):
        return lab.locator(f'[data-node="{name}"]')

    def pick(name):
        node(name).click(position={"x": 40, "y": 12})
        hand.settled()

    def key(keys):
        page.keyboard.press(keys)
        hand.settled()

    # the run pauses where the first infinity was made, and goes on when told to
    hand.press("Run")
    expect(lab.get_by_role("alert").filter(has_text="log made an infinity")).to_be_visible()
    expect(lab).to_have_attribute("data-mode", "paused")
    assert nb.exec("print(ed.debugger.records[ed.debugger.cursor - 1].node)") == "log"
    lab.get_by_role("button", name="Show why").click()
    expect(lab.get_by_test_id("why")).to_contain_text("the logarithm of 0")
    for where, cursor in (("Home", 0), ("End", int(nb.exec("print(ed.debugger.length)")))):
        key(where)
        expect(lab.get_by_role("slider", name="Timeline")).to_have_attribute("aria-valuenow", str(cursor))
    hand.press("Resume")
    expect(node("mean")).to_have_attribute("data-state", "done")

    # why: the way is lit, the story told, the node that began it selected
    pick("mean")
    lab.get_by_role("button", name="Why NaN?").click()
    why = lab.get_by_test_id("why")
    expect(why).to_contain_text("the logarithm of 0")
    expect(lab.locator('[data-lit="true"]')).to_have_count(5)
    expect(lab.get_by_test_id("inspector").get_by_role("textbox", name="Name")).to_have_value("log")
    shots("debugging-why")
    why.get_by_role("button", name="Close").click()
    expect(lab.locator('[data-lit="true"]')).to_have_count(0)

    # explain, by key: the numbers of this run
    pick("share")
    key("e")
    assert "4 / 6 = 0.6667" in lab.get_by_test_id("explained").inner_text()

    # watch, by key: the table shows what the Debugger has
    key("Shift+W")
    row = lab.locator('[data-watch="share:0"]')
    want = json.loads(nb.exec("import json; s = ed.debugger.stats('share:0'); print(json.dumps([s.min, s.max]))"))
    expect(row.locator("td").nth(1)).to_have_text(f"{want[0]:.4g}")
    expect(row.locator("td").nth(2)).to_have_text(f"{want[1]:.4f}")
    box = row.get_by_label("Part of share:0")
    box.fill("[0]")
    box.press("Enter")
    hand.settled()
    expect(row.locator("td").nth(2)).to_have_text("0.5000")
    with page.expect_download() as got:
        lab.get_by_test_id("watches").get_by_role("button", name="CSV").click()
    assert open(got.value.path(), encoding="utf-8", newline="").read().startswith("tensor,shape,dtype,part,min,max,mean,std,norm,zeros,nan,inf,gradient,gradient min,gradient max,gradient mean,gradient std,gradient norm,gradient zeros,gradient nan,gradient inf\r\nshare:0,\"(2, 3)\",float32,[0],")

    # a second run with another value, beside the first
    pick("log")
    key("o")
    page.keyboard.press("Control+a")
    page.keyboard.type("-1")
    lab.get_by_label("in a second run beside this one").check()
    lab.get_by_role("button", name="Branch", exact=True).click()
    hand.settled()
    expect(lab.get_by_text("A second run with another log:0 went on to its end.")).to_be_visible()
    lab.get_by_role("button", name="Where the two runs differ").click()
    branch = lab.get_by_test_id("branch")
    expect(branch).to_have_attribute("data-count", "5")
    expect(branch).to_contain_text("NaN → 1")
    expect(lab.locator("[data-edge][data-apart]")).to_have_count(4)
    assert nb.exec("print(float(ed.results['mean']))") == "nan"
    shots("debugging-branch")
    branch.get_by_role("button", name="Drop the second run").click()
    expect(branch).to_have_count(0)

    # override in this run, then take it back
    pick("log")
    lab.get_by_role("button", name="Override…").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("-2")
    page.keyboard.press("Enter")
    hand.settled()
    hand.press("Resume")
    expect(node("mean")).to_have_attribute("data-state", "done")
    assert nb.exec("print(float(ed.results['mean']))") == "2.0"
    expect(node("log").get_by_role("img", name="overridden")).to_be_visible()

    # breakpoints: before a node by key, on a condition by form; flags on the timeline; a condition that cannot be read says where
    hand.press("Stop")
    pick("row")
    key("b")
    expect(node("row").get_by_role("img", name="breakpoint")).to_be_visible()
    hand.press("Run")
    expect(lab.get_by_role("alert").filter(has_text="log made an infinity")).to_be_visible()
    hand.press("Resume")
    assert nb.exec("print(ed.debugger.ready[0])") == "row"
    pick("entropy")
    key("Shift+B")
    page.keyboard.type("min <")
    page.keyboard.press("Enter")
    expect(lab.get_by_role("alert").filter(has_text="where a value is missing")).to_be_visible()
    page.keyboard.type(" 0")
    page.keyboard.press("Enter")
    hand.settled()
    expect(lab.locator(".brk [data-break]")).to_contain_text("min < 0")
    key("b")        # and one before it, which is taken back by the same key
    key("b")
    assert nb.exec("print([(b.target, b.condition) for b in ed.debugger.breakpoints])") == "[('row', None), ('entropy:0', 'min < 0')]"


STEPPED = ("""import threading
import numpy as np
import flowlab as fl
gate, held = threading.Event(), threading.Event()
mood = ["calm"]
@fl.op
def moody(xp, x):
    \"\"\"Give x as it is, in good mood.\"\"\"
    if mood[0] == "cross":
        raise ValueError("not today")
    if mood[0] == "slow":
        held.set()
        gate.wait(20)
    return x
@moody.gradient
def _(node, g):
    return g
with fl.Graph("stepped") as g:
    seq = fl.placeholder((3, 2), name="seq")
    w = fl.variable(np.float32([0.5, -1]), name="w")
    with fl.scan(fl.multiply(seq, w, name="scaled"), time_axis=0, name="rnn") as step:
        h = step.state("h", init=fl.constant(np.zeros(2, "f"), name="start"))
        new = fl.tanh(fl.add(step.input, h, name="both"), name="new")
        step.update(h, new)
        step.output(new)
    with fl.name_scope("head"):
        loss = fl.sum(fl.square(moody(step.outputs[0], name="moody"), name="sq"), name="total")
    train = fl.optim.SGD(0.1).minimize(loss, name="train")
ed = fl.Editor(g)
ed""",)


def test_every_command_by_button_and_by_key_and_what_goes_wrong(notebook):
    nb = notebook("stepped", STEPPED)
    nb.run_all()
    hand = Hand(nb)
    hand.settled()
    lab, page = hand.lab, nb.page

    def key(keys):
        page.keyboard.press(keys)
        hand.settled()

    def pick(name):
        lab.locator(f'[data-node="{name}"]').click(position={"x": 40, "y": 12})
        hand.settled()

    def alert(text):
        return lab.get_by_role("alert").filter(has_text=text)

    def where() -> tuple[int, str]:
        """The cursor on the screen and in the kernel, which agree, and what is next."""
        shown, (cursor, following) = int(lab.get_attribute("data-cursor")), json.loads(nb.exec("import json; d = ed.debugger; print(json.dumps([d.cursor, (d.ready or [''])[0]] if d else [0, '']))"))
        assert shown == cursor
        return cursor, following

    # before there is anything to run with: a breakpoint, by key and by form; a condition that cannot be read says where
    pick("head/sq")
    key("b")
    expect(lab.locator('[data-node="head/sq"]').get_by_role("img", name="breakpoint")).to_be_visible()
    key("Shift+B")
    page.keyboard.type("max >> 3")
    page.keyboard.press("Enter")
    expect(alert("character 6")).to_be_visible()
    page.keyboard.press("Escape")
    hand.press("Step")
    expect(alert("seq has no value yet")).to_be_visible()
    nb.exec("ed.feeds['seq'] = np.float32([[1, 2], [0, 1], [-1, 0.5]])")
    hand.press("Run")
    expect(lab).to_have_attribute("data-mode", "paused")
    assert where()[1] == "head/sq"
    key("b")

    # each command of the table, by its button and by its key: the same place
    for prelude, button, keys, back in (((), "Step", ".", ","), ((), "Step level", ">", "<"), ((".", "."), "Step timestep", "]", "["), ((".",), "Step scope", "/", None), ((), "Step pass", "p", None)):
        places = []
        for by_key in (False, True):
            hand.press("Stop")
            for k in prelude:
                key(k)
            begun = int(lab.get_attribute("data-cursor"))
            if by_key:
                key(keys)
            else:
                hand.press(button)
            places.append(where())
            assert places[-1][0] > begun
        assert places[0] == places[1], button
        if back:
            key(back)
            gone_back = int(lab.get_attribute("data-cursor"))
            assert gone_back < places[1][0], back
            key(keys)
            if button == "Step":
                hand.press("Step back")
            else:
                lab.get_by_role("button", name=button, exact=True).click(modifiers=["Shift"])
                hand.settled()
            assert int(lab.get_attribute("data-cursor")) == gone_back, back
    hand.press("Step back")
    pick("head/total")
    hand.press("Run to here")
    assert where()[1] == "head/total"
    hand.press("Stop")
    pick("head/total")
    key("r")
    assert where()[1] == "head/total"
    hand.press("Fire")      # it is ready
    assert nb.exec("print(ed.debugger.records[ed.debugger.cursor - 1].node)") == "head/total"
    hand.press("Stop")
    for start in (lambda: lab.get_by_role("button", name="Play", exact=True).click(), lambda: page.keyboard.press("Space")):
        begun = where()[0]
        pick("w")
        start()
        expect(lab).to_have_attribute("data-playing", "true")
        page.wait_for_function("([el, n]) => Number(el.dataset.cursor) > n", arg=[lab.element_handle(), begun + 1])
        lab.get_by_role("button", name="Pause", exact=True).click()
        expect(lab).not_to_have_attribute("data-playing", "true")
        hand.settled()

    # a cell runs between two steps; what stands on the screen is what the Debugger has
    before = where()[0]
    assert nb.exec("between = 6 * 7; print(between)") == "42"
    key(".")
    assert where()[0] == before + 1
    hand.press("Resume")
    assert nb.exec("print(ed.debugger.done)") == "True"
    for name in ("scaled", "head/sq", "head/total"):
        pick(name)
        expect(lab.get_by_test_id("value")).to_have_attribute("data-known", "true")
        shown = json.loads(lab.get_by_test_id("value").get_attribute("data-json"))
        assert np.allclose(shown, json.loads(nb.exec(f"print(ed.debugger.value('{name}:0').tolist())")), rtol=1e-6, atol=0)

    # another value of the wrong shape is refused with both shapes
    pick("head/sq")
    key("o")
    page.keyboard.press("Control+a")
    page.keyboard.type("[1, 2, 3]")
    page.keyboard.press("Enter")
    expect(alert("head/sq:0 has shape (3, 2), the override (3,)")).to_be_visible()
    page.keyboard.press("Escape")

    # predict, then reveal, by keyboard alone: the question is put before its node fires, nothing tells its answer, the card says how near it was
    hand.press("Stop")
    pick("head/sq")
    key("q")
    page.keyboard.press("Tab")      # past what is asked for, its shape, and past the element, which a shape has none of
    page.keyboard.type("How large is it now?")
    page.keyboard.press("Enter")
    expect(lab.locator('[data-node="head/sq"]').get_by_role("img", name="a question is open")).to_be_visible()
    expect(lab.locator('g[data-edge="head/sq:0->head/total:x"]')).to_have_attribute("data-shape", "")
    hand.press("Run")
    question = lab.get_by_test_id("question")
    expect(question).to_contain_text("How large is it now?")
    expect(question.get_by_role("textbox")).to_be_focused()
    assert where()[1] == "head/sq"
    page.keyboard.type("3, ?!")
    page.keyboard.press("Enter")
    expect(alert("cannot be read from character 5 on")).to_be_visible()
    page.keyboard.press("Control+a")
    page.keyboard.type("2, 3")
    page.keyboard.press("Enter")
    revealed = lab.get_by_test_id("revealed")
    expect(revealed).to_contain_text("Nearly")
    expect(revealed).to_contain_text("(3, 2)")
    expect(lab.get_by_role("status").filter(has_text="Nearly. The shape of head/sq is (3, 2).")).to_have_count(1)
    assert nb.exec("print([(a.answer, a.verdict) for a in ed.answers])") == "[('2, 3', 'nearly')]"
    page.keyboard.press("Enter")
    expect(revealed).to_have_count(0)
    expect(lab.locator('[data-node="head/sq"]')).to_be_focused()

    # a kernel that fails leaves the run before its node, with what it took on show
    hand.press("Stop")
    nb.exec("mood[0] = 'cross'")
    hand.press("Run")
    expect(alert("not today")).to_be_visible()
    expect(lab.locator('[data-node="head/moody"]')).to_have_attribute("data-state", "error")
    assert where()[1] == "head/moody"
    lab.locator('g[data-edge$="->head/moody:x"]').focus()
    expect(lab.get_by_test_id("value")).to_have_attribute("data-known", "true")

    # while another thread steps this run, a step is refused
    nb.exec("mood[0] = 'slow'; other = threading.Thread(target=ed.debugger.resume); other.start(); assert held.wait(20)")
    hand.press("Step")
    expect(alert("Another thread is stepping this run")).to_be_visible()
    nb.exec("gate.set(); other.join(20); mood[0] = 'calm'; assert ed.debugger.done")

    # a breakpoint follows its node to another name; when the node is gone, that is said
    hand.press("Stop")
    pick("head/total")
    key("b")
    hand.field("Name", "head/sum")
    expect(lab.locator('.brk [data-break="head/sum"]')).to_be_visible()
    pick("head/sum")
    key("Delete")
    expect(lab.get_by_role("status").filter(has_text="Dropped the breakpoint at head/sum")).to_have_count(1)
