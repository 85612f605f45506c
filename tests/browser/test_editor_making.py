"""Making things of a selection in a real JupyterLab: composites, copies, wires with something in them, gradients, notes, values, code."""
from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect
from test_editor import READY, Hand

SETUP = "import flowlab as fl"


@pytest.fixture
def ready(notebook):
    """The lab with a small graph in it, and a hand on it."""

    def open_lab(name: str, cells: tuple[str, ...] = (READY,)) -> tuple:
        nb = notebook(name, [SETUP, *cells])
        nb.run_all()
        hand = Hand(nb)
        hand.settled()
        return nb, hand

    return open_lab


def choose(hand: Hand, *names: str) -> None:
    """Click the first, add the others to the selection."""
    for k, name in enumerate(names):
        hand.lab.locator(f'[data-node="{name}"], [data-scope="{name}"]').click(position={"x": 30, "y": 12}, modifiers=["Control"] if k else [])
    hand.settled()


def key(hand: Hand, keys: str) -> None:
    hand.nb.page.keyboard.press(keys)
    hand.settled()


def said(hand: Hand, text: str) -> None:
    """The live region has said it."""
    expect(hand.lab.get_by_role("status")).to_contain_text(text)


def overlap(element, others) -> list[str]:
    """The nodes that lie on an element."""
    a = element.bounding_box()
    boxes = [(other.get_attribute("data-node"), other.bounding_box()) for other in others.all()]
    return [name for name, b in boxes if a["x"] < b["x"] + b["width"] and b["x"] < a["x"] + a["width"] and a["y"] < b["y"] + b["height"] and b["y"] < a["y"] + a["height"]]


def test_a_composite_is_made_wired_by_its_ports_used_again_and_unpacked(ready, shots):
    nb, hand = ready("composite")
    before = nb.exec("print(sorted(ed.document.nodes))")
    choose(hand, "MatMul", "Add")
    key(hand, "Control+g")
    said(hand, "Made the composite block with 3 inputs and 1 output.")
    block = hand.lab.locator('[data-scope="block"]')
    expect(block).to_have_attribute("data-composite", "block")
    assert nb.exec("print(sorted(ed.document.nodes))") != before
    shots("making-composite")
    # its ports are wired like those of a node: another tensor goes in, the same comes out
    hand.lab.locator('[data-port="y:out:0"]').click()
    hand.lab.locator('[data-port="block:in:b_1"]').click()
    hand.settled()
    assert nb.exec("print(ed.document.nodes['block/Add'].inputs['b'])") == "y:0"
    key(hand, "Control+z")
    assert nb.exec("print(ed.document.nodes['block/Add'].inputs['b'])") == "b:0"
    hand.press("Run")
    expect(block).to_have_attribute("data-state", "done")
    # from the palette, once more
    box = hand.lab.get_by_role("searchbox", name="Add an operation")
    box.fill("block")
    hand.lab.locator('[role=option][data-composite="block"]').first.click()
    expect(hand.lab.locator('[data-scope="block_1"]')).to_have_count(1)
    hand.settled()
    assert nb.exec("print(ed.document.nodes['block_1/Add'].inputs, ed.document.nodes['block_1/MatMul'].inputs)") == "{'a': 'block_1/MatMul:0'} {}"
    key(hand, "Control+z")
    expect(hand.lab.locator('[data-scope="block_1"]')).to_have_count(0)
    # nested, and unpacked again
    choose(hand, "block", "Subtract")
    key(hand, "Control+g")
    expect(hand.lab.locator('[data-scope="block_1"]')).to_have_count(1)
    assert nb.exec("print(sorted(ed.document.composites))") == "['block_1', 'block_1/block']"
    key(hand, "Control+Shift+g")
    expect(block).to_have_count(1)
    choose(hand, "block")
    key(hand, "Control+Shift+g")
    said(hand, "Unpacked block.")
    assert nb.exec("print(sorted(ed.document.nodes))") == before
    assert nb.exec("print(ed.document.same_graph(g))") == "True"


def test_nodes_are_copied_cut_duplicated_and_pasted_with_their_wires(ready, page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    nb, hand = ready("copies", (READY, "other = fl.Editor()\nother"))
    choose(hand, "Square", "loss")
    key(hand, "Control+d")
    said(hand, "Duplicated 2 nodes.")
    assert nb.exec("print(ed.document.nodes['loss_1'].inputs, ed.document.nodes['Square_1'].inputs, ed.selection)") == "{'x': 'Square_1:0'} {} ('Square_1', 'loss_1')"
    # the copies stand in sight where there is room, as far apart as the originals
    expect(hand.node("Square_1")).to_be_in_viewport(ratio=1)
    hand.node("loss_1").hover(trial=True)      # once the canvas stands still
    boxes = {name: hand.node(name).bounding_box() for name in ("Square", "loss", "Square_1", "loss_1")}
    assert overlap(hand.node("Square_1"), hand.lab.locator("[data-node]:not([data-node='Square_1'])")) == []
    assert boxes["loss_1"]["x"] - boxes["Square_1"]["x"] == pytest.approx(boxes["loss"]["x"] - boxes["Square"]["x"], abs=2)
    key(hand, "Delete")
    # by mouse, one node
    hand.select("Square")
    for name in ("Copy", "Duplicate"):
        hand.inspector.get_by_role("button", name=name, exact=True).click()
        hand.settled()
    expect(hand.inspector.get_by_role("textbox", name="Name")).to_have_value("Square_1")
    hand.inspector.get_by_role("button", name="Cut", exact=True).click()
    expect(hand.node("Square_1")).to_have_count(0)
    hand.lab.locator(".cv").click(position={"x": 12, "y": 60})
    hand.inspector.get_by_role("button", name="Paste", exact=True).click()
    expect(hand.inspector.get_by_role("textbox", name="Name")).to_have_value("Square_1")
    key(hand, "Delete")
    choose(hand, "W", "MatMul")
    key(hand, "Control+c")
    said(hand, "Copied 2 nodes.")
    key(hand, "Control+v")
    expect(hand.node("MatMul_1")).to_have_count(1)
    hand.settled()
    assert overlap(hand.node("MatMul_1"), hand.lab.locator("[data-node]:not([data-node='MatMul_1'])")) == []
    assert nb.exec("print(ed.document.nodes['MatMul_1'].inputs, (ed.document.nodes['W_1'].attrs['value'] == ed.document.nodes['W'].attrs['value']).all())") == "{'b': 'W_1:0'} True"
    key(hand, "Control+x")
    expect(hand.node("MatMul_1")).to_have_count(0)
    # into another lab, by the system's clipboard
    second = nb.page.locator("[data-testid=flowlab]").nth(1)
    second.locator(".cv").click(position={"x": 200, "y": 60})
    nb.page.keyboard.press("Control+v")
    expect(second.locator('[data-node="MatMul_1"]')).to_have_count(1)
    nb.idle()
    assert nb.exec("print(sorted(other.document.nodes), other.document.nodes['MatMul_1'].inputs)") == "['MatMul_1', 'W_1'] {'b': 'W_1:0'}"
    # what does not fit is refused whole, with its reason
    clip = json.dumps({"flowlab_clip": 1, "document": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu"}, {"id": 1, "name": "b", "op": "FromAfar"}]}})
    nb.page.evaluate("(text) => navigator.clipboard.writeText(text)", clip)
    nb.page.keyboard.press("Control+v")
    expect(second.get_by_role("alert").filter(has_text="FromAfar")).to_be_visible()
    assert nb.exec("print(len(other.document.nodes))") == "2"


def test_a_wire_takes_an_operation_in_by_key_by_drop_and_by_a_dragged_node(ready, shots):
    nb, hand = ready("insert")
    hand.edge("Subtract", "Square:x").dispatch_event("click")
    key(hand, "a")
    box = hand.lab.get_by_role("searchbox", name="Add an operation")
    expect(box).to_be_focused()
    box.fill("relu")
    expect(hand.lab.get_by_role("option").first).to_contain_text("→ (batch, 2)")
    shots("making-insert")
    box.press("Enter")
    said(hand, "Inserted Relu into the wire.")
    assert nb.exec("print(ed.document.nodes['Relu'].inputs, ed.document.nodes['Square'].inputs)") == "{'x': 'Subtract:0'} {'x': 'Relu:0'}"
    # M takes it out again
    hand.select("Relu")
    hand.node("Relu").press("m")
    expect(hand.node("Relu")).to_have_count(0)
    hand.settled()
    assert nb.exec("print(ed.document.same_graph(g))") == "True"
    # A on a selected node wires the new one to it
    hand.select("Square")
    key(hand, "a")
    box.fill("sqrt")
    box.press("Enter")
    expect(hand.node("Sqrt")).to_have_count(1)
    hand.settled()
    assert nb.exec("print(ed.document.nodes['Sqrt'].inputs)") == "{'x': 'Square:0'}"
    key(hand, "Control+z")
    # from the palette onto the wire
    hand.node("loss").hover(trial=True)      # in sight, and still
    box.fill("tanh")
    expect(hand.lab.get_by_role("option").first).to_have_attribute("data-op", "Tanh")
    row = hand.lab.get_by_role("option").first.bounding_box()
    line = hand.edge("Square", "loss:x").locator(".ln").bounding_box()
    mouse = nb.page.mouse
    mouse.move(row["x"] + 20, row["y"] + 10)
    mouse.down()
    mouse.move(line["x"] + 5, line["y"] - 30, steps=4)
    mouse.move(line["x"] + line["width"] / 2, line["y"] + line["height"] / 2, steps=4)
    shots("making-carry")
    expect(hand.edge("Square", "loss:x")).to_have_class(re.compile(r"\bdrop\b"))
    mouse.up()
    expect(hand.node("Tanh")).to_have_count(1)
    hand.settled()
    assert nb.exec("print(ed.document.nodes['Tanh'].inputs, ed.document.nodes['loss'].inputs['x'])") == "{'x': 'Square:0'} Tanh:0"


def test_elements_line_up_and_move_by_keyboard(ready):
    nb, hand = ready("align")
    choose(hand, "MatMul", "Subtract", "loss")
    key(hand, "Shift+T")
    said(hand, "Aligned to the top: 3 elements.")
    places = json.loads(nb.exec("import json; print(json.dumps({k: v[1] for k, v in ed.document.positions.items()}))"))
    assert places.keys() == {"MatMul", "Subtract", "loss"} and len(set(places.values())) == 1
    key(hand, "Alt+ArrowDown")
    key(hand, "Alt+ArrowDown")
    moved = json.loads(nb.exec("print(json.dumps({k: v[1] for k, v in ed.document.positions.items()}))"))
    assert all(moved[k] == places[k] + 32 for k in places)
    key(hand, "Control+z")      # moving by keys is one step
    assert json.loads(nb.exec("print(json.dumps({k: v[1] for k, v in ed.document.positions.items()}))")) == places
    # a focus by script brings what it is on to the middle, once; JupyterLab taking the cell out of the page and putting it back loses nothing
    key(hand, "Escape")
    for name in ("loss", "x"):
        hand.node(name).evaluate("(node) => node.focus()")
        expect(hand.inspector.get_by_role("textbox", name="Name")).to_have_value(name)
        expect(hand.node(name)).to_be_in_viewport(ratio=1)
    hand.lab.evaluate("(lab) => { const [parent, next] = [lab.parentElement, lab.nextSibling]; lab.remove(); parent.insertBefore(lab, next); }")
    expect(hand.node("x")).to_be_in_viewport(ratio=1)


def test_a_scalar_is_differentiated_and_partners_light_each_other(ready, shots):
    nb, hand = ready("gradient")
    hand.select("loss")
    key(hand, "g")
    said(hand, "Differentiated loss by W, b")
    assert nb.exec("_ = fl.gradients(g.tensor('loss:0'), g.trainable_variables); print(ed.document.same_graph(g))") == "True"
    hand.press("Run")
    shots("making-gradient")
    hand.node("Square").hover()
    lit = hand.lab.locator("[data-lit=true]")
    expect(lit.first).to_be_visible()
    partner = lit.first.get_attribute("data-node")
    assert partner.startswith("gradients/Square/")
    hand.node(partner).hover()
    expect(hand.node("Square")).to_have_attribute("data-lit", "true")
    hand.press("Undo")
    assert nb.exec("print(any(n.phase == 'backward' for n in ed.document.nodes.values()))") == "False"


def test_notes_and_frames_are_written_moved_and_taken_away_by_mouse_and_by_keyboard(ready, shots):
    nb, hand = ready("notes")
    keys, canvas = nb.page.keyboard, hand.lab
    canvas.focus()
    key(hand, "n")
    keys.type("## Idea\nA *small* net: $y = x W$\n- [paper](https://example.org) [bad](javascript:alert(1))\n<img src=x onerror=alert(1)>")
    key(hand, "Control+Enter")
    said(hand, "Added a note.")
    note = canvas.locator("[data-note]")
    expect(note.locator("strong")).to_have_text("Idea")
    expect(note.get_by_role("link")).to_have_attribute("href", "https://example.org")
    expect(note.get_by_role("link")).to_have_count(1)
    expect(note.locator("img")).to_have_count(0)
    expect(note).to_contain_text("<img src=x onerror=alert(1)>")
    expect(note.locator(".fx")).to_have_count(1)
    # moved by keyboard, then by mouse
    x, y = json.loads(nb.exec("import json; print(json.dumps([ed.document.notes[0].x, ed.document.notes[0].y]))"))
    key(hand, "Alt+ArrowRight")
    assert nb.exec("print(ed.document.notes[0].x)") == str(x + 16)
    box = note.bounding_box()
    nb.page.mouse.move(box["x"] + 100, box["y"] + 10)
    nb.page.mouse.down()
    nb.page.mouse.move(box["x"] + 150, box["y"] + 40, steps=5)
    nb.page.mouse.up()
    said(hand, "Moved the note.")
    assert nb.exec("print(ed.document.notes[0].x, ed.document.notes[0].y)") == f"{x + 66} {y + 30}"
    key(hand, "F2")
    keys.press("Control+a")
    keys.type("changed")
    key(hand, "Control+Enter")
    expect(note).to_have_text("changed")
    # a frame around two nodes
    choose(hand, "MatMul", "Add")
    key(hand, "f")
    keys.type("layer <b>")
    key(hand, "Enter")
    frame = canvas.locator("[data-frame]")
    expect(frame).to_have_attribute("data-frame", "layer <b>")
    canvas.get_by_role("button", name="red", exact=True).click()
    hand.settled()
    assert nb.exec("print(ed.document.frames)") == "(Frame(title='layer <b>', colour='red', members=('MatMul', 'Add')),)"
    shots("making-notes")
    before = canvas.locator('[data-node="MatMul"]').bounding_box()
    title = frame.get_by_role("button", name="Frame layer <b>").bounding_box()
    nb.page.mouse.move(title["x"] + 5, title["y"] + 8)
    nb.page.mouse.down()
    nb.page.mouse.move(title["x"] + 25, title["y"] + 68, steps=5)
    nb.page.mouse.up()
    said(hand, "Moved the frame")
    assert canvas.locator('[data-node="MatMul"]').bounding_box()["y"] == pytest.approx(before["y"] + 60, abs=2)
    frame.get_by_role("button", name="Frame layer <b>").click()
    key(hand, "Delete")
    said(hand, "Removed the frame")
    note.click()
    key(hand, "Delete")
    expect(note).to_have_count(0)
    hand.settled()
    assert nb.exec("print(ed.document.notes, ed.document.frames, len(ed.document.nodes))") == "() () 9"
    hand.press("Undo")
    expect(note).to_have_count(1)


def test_values_are_slid_live_drawn_pasted_and_bound(ready, page, shots):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    cell = """
        import numpy as np
        with fl.Graph("values") as g:
            x = fl.placeholder((4, 4), name="x")
            fl.mean(fl.constant(0.5, name="s") * x, name="m")
        data = np.full((4, 4), 3.0)
        ed = fl.Editor(g, feeds={"x": np.ones((4, 4))})
        ed"""
    nb, hand = ready("values", (cell,))
    hand.select("s")
    key(hand, "l")
    said(hand, "Live: values follow every edit.")
    slider = hand.inspector.get_by_role("slider", name="Slide s")
    slider.focus()
    for _ in range(3):
        key(hand, "ArrowRight")
    value = float(slider.input_value())
    assert value > 0.5
    assert float(nb.exec("print(ed.results['m'])")) == pytest.approx(value, rel=1e-5)
    expect(hand.node("m")).to_have_attribute("data-state", "done")
    shots("making-live")
    nb.page.keyboard.press("Escape")
    hand.press("Undo")      # all of it is one step
    assert nb.exec("print(float(ed.document.nodes['s'].attrs['value']))") == "0.5"
    # drawn
    hand.select("x")
    hand.inspector.get_by_role("button", name="Draw", exact=True).click()
    pad = hand.inspector.get_by_role("application", name="Draw x")
    hand.inspector.get_by_role("textbox", name="Ink").fill("2")
    pad.click(position={"x": 5, "y": 5})
    hand.settled()
    assert nb.exec("print(ed.feeds['x'][0].tolist(), ed.feeds['x'][1, 0])") == "[2.0, 1.0, 1.0, 1.0] 1.0"
    pad.press("ArrowDown")
    pad.press("0")
    hand.settled()
    assert nb.exec("print(ed.feeds['x'][1, 0])") == "0.0"
    # pasted from a spreadsheet
    nb.page.evaluate("(text) => navigator.clipboard.writeText(text)", "\n".join("\t".join(str(4 * r + c) for c in range(4)) for r in range(4)))
    hand.node("x").focus()
    key(hand, "Control+v")
    said(hand, "Pasted the table into x.")
    assert nb.exec("print(ed.feeds['x'][3].tolist())") == "[12.0, 13.0, 14.0, 15.0]"
    assert hand.inspector.get_by_role("textbox", name="Value").input_value().splitlines()[3] == "[12.0, 13.0, 14.0, 15.0]]"
    # bound to a variable of the notebook
    hand.inspector.get_by_role("button", name="Bind", exact=True).click()
    hand.field("Variable", "data")
    hand.press("Run")
    assert nb.exec("print(float(ed.results['m']), ed.document.bound['x'])") == "1.5 data"
    hand.field("Variable", "data.T")
    expect(hand.lab.get_by_role("alert").filter(has_text="not the name of a variable")).to_be_visible()


def test_the_python_beside_the_canvas_lights_what_is_selected_and_selects_what_is_clicked(ready, shots):
    nb, hand = ready("code")
    hand.select("Add")
    key(hand, "k")
    code = hand.lab.get_by_test_id("code")
    lit = code.locator("[data-lit=true]")
    expect(lit).to_have_count(1)
    expect(lit).to_contain_text("Add = fl.add(MatMul, b")
    shots("making-code")
    code.locator('[data-for="Square"]').click()
    expect(hand.inspector.get_by_role("textbox", name="Name")).to_have_value("Square")
    expect(lit).to_contain_text("fl.square")
    text = "\n".join(code.locator("li code").all_inner_texts())
    nb.exec(f"space = {{}}; exec({text!r}, space)")
    assert nb.exec("print(space['g'].nodes is not None and ed.document.same_graph(space['g']))") == "True"
    # of the selection: what comes from outside is a placeholder
    code.get_by_role("button", name="Selection").click()
    expect(code.locator('[data-for="Subtract"]')).to_contain_text("fl.placeholder")
    expect(code.locator('[data-for="Square"]')).to_contain_text("fl.square(Subtract")


def test_enter_on_a_node_goes_to_its_first_attribute(ready):
    _, hand = ready("enter")
    hand.select("x")
    hand.node("x").press("Enter")
    expect(hand.inspector.get_by_role("textbox", name="shape")).to_be_focused()
    hand.select("Square")
    hand.node("Square").press("Enter")
    expect(hand.inspector.get_by_role("textbox", name="Name")).to_be_focused()


def test_a_free_node_is_dropped_into_a_wire_a_wire_in_empty_space_and_a_box_around_nodes(ready):
    nb, hand = ready("drops")
    mouse = nb.page.mouse
    hand.add("Relu")
    hand.node("Relu").hover(position={"x": 40, "y": 12})     # once it stands still
    line = hand.edge("Add", "Subtract:a").locator(".ln").bounding_box()
    node = hand.node("Relu").bounding_box()
    mouse.move(node["x"] + 40, node["y"] + 12)
    mouse.down()
    middle = (line["x"] + line["width"] / 2, line["y"] + line["height"] / 2)
    shift = (40 - node["width"] / 2, 12 - node["height"] / 2)
    mouse.move(node["x"] + 44, node["y"] + 12)     # as a hand does, the drag begins with a small step
    shift = (shift[0] + 4, shift[1])
    mouse.move(middle[0] + shift[0], middle[1] + shift[1] - 40, steps=6)
    mouse.move(middle[0] + shift[0], middle[1] + shift[1], steps=6)
    expect(hand.edge("Add", "Subtract:a")).to_have_class(re.compile(r"\bdrop\b"))
    mouse.up()
    said(hand, "Inserted Relu into the wire.")
    assert nb.exec("print(ed.document.nodes['Relu'].inputs, ed.document.nodes['Subtract'].inputs['a'])") == "{'x': 'Add:0'} Relu:0"
    hand.press("Undo")
    hand.press("Undo")
    # let go in empty space, a wire asks what is to take it
    hand.port("Subtract:out:0").hover()
    port = hand.port("Subtract:out:0").bounding_box()
    mouse.move(port["x"] + 5, port["y"] + 5)
    mouse.down()
    mouse.move(port["x"] + 20, port["y"] + 110, steps=6)
    mouse.up()
    places = "() => Object.fromEntries([...document.querySelectorAll('[data-node]')].map((n) => [n.dataset.node, n.closest('.react-flow__node').style.transform]))"
    before = nb.page.evaluate(places)
    box = hand.lab.get_by_role("searchbox", name="Add an operation")
    expect(box).to_be_focused()
    box.fill("tanh")
    expect(hand.lab.get_by_role("option").first).to_contain_text("→ (batch, 2)")
    box.press("Enter")
    expect(hand.node("Tanh")).to_have_count(1)
    hand.settled()
    assert nb.exec("print(ed.document.nodes['Tanh'].inputs)") == "{'x': 'Subtract:0'}"
    # where it was let go there was room: nothing else has moved
    assert {k: v for k, v in nb.page.evaluate(places).items() if k != "Tanh"} == before
    hand.press("Undo")
    # a box drawn with Shift takes what is in it
    hand.lab.locator(".cv").click(position={"x": 400, "y": 20})
    hand.node("MatMul").hover(trial=True)
    a, b = hand.node("MatMul").bounding_box(), hand.node("Add").bounding_box()
    nb.page.keyboard.down("Shift")
    expect(hand.lab.locator(".react-flow__pane")).to_have_class(re.compile("selection"))
    mouse.move(a["x"] - 20, b["y"] + b["height"] + 20)
    mouse.down()
    mouse.move(b["x"] + b["width"] + 12, a["y"] - 12, steps=8)
    mouse.up()
    nb.page.keyboard.up("Shift")
    hand.settled()
    assert nb.exec("print(sorted(ed.selection))") == "['Add', 'MatMul']"
