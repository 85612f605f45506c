"""Making things of a selection in a real JupyterLab: composites, copies, wires with something in them, gradients, notes, values, code."""
from __future__ import annotations

import json

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
    key(hand, "Delete")
    choose(hand, "W", "MatMul")
    key(hand, "Control+c")
    said(hand, "Copied 2 nodes.")
    key(hand, "Control+v")
    expect(hand.node("MatMul_1")).to_have_count(1)
    hand.settled()
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
    box.fill("tanh")
    row = hand.lab.get_by_role("option").first.bounding_box()
    line = hand.edge("MatMul", "Add:a").locator(".ln").bounding_box()
    mouse = nb.page.mouse
    mouse.move(row["x"] + 20, row["y"] + 10)
    mouse.down()
    mouse.move(line["x"] + 5, line["y"] - 30, steps=4)
    mouse.move(line["x"] + line["width"] / 2, line["y"] + line["height"] / 2, steps=4)
    mouse.up()
    expect(hand.node("Tanh")).to_have_count(1)
    hand.settled()
    assert nb.exec("print(ed.document.nodes['Tanh'].inputs, ed.document.nodes['Add'].inputs['a'])") == "{'x': 'MatMul:0'} Tanh:0"


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
