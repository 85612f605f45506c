"""The lab in a real JupyterLab: a person builds a graph by hand, runs it, steps it, and finds it again tomorrow."""
from __future__ import annotations

import json
import re
from textwrap import dedent

import numpy as np
import pytest
from playwright.sync_api import Locator, expect

X = [[1, 2, 3], [4, 5, 6]]
Y = [[1, 2], [3, 4]]
W = [[0.5, -1], [1, 0.25], [-0.5, 2]]
B = [0.5, -0.25]

IN_PYTHON = f"""
    import numpy as np
    with fl.Graph("in python") as g:
        x = fl.placeholder(("batch", 3), name="x")
        y = fl.placeholder(("batch", 2), name="y")
        W = fl.variable(np.array({W}, "float32"), name="W")
        b = fl.variable(np.array({B}, "float32"), name="b")
        fl.mean((x @ W + b - y) ** 2, name="loss")
"""


class Hand:
    """A person's hand on the lab: finds things by what they mean."""

    def __init__(self, nb):
        self.nb, self.lab = nb, nb.lab

    def settled(self) -> None:
        """Until the kernel has answered everything."""
        expect(self.lab).not_to_have_attribute("data-busy", "true")

    def node(self, name: str) -> Locator:
        return self.lab.locator(f'[data-node="{name}"]')

    def add(self, op: str, name: str | None = None) -> None:
        """Search for an operation, take the first hit, and name it."""
        before = self.lab.locator(f'[data-node][data-op="{op}"]').count()
        box = self.lab.get_by_role("searchbox", name="Add an operation")
        box.fill(op)
        expect(self.lab.get_by_role("option").first).to_have_attribute("data-op", op)
        box.press("Enter")
        expect(self.lab.locator(f'[data-node][data-op="{op}"]')).to_have_count(before + 1)
        self.settled()
        if name is not None:
            self.field("Name", name)
            expect(self.node(name)).to_have_count(1)

    @property
    def inspector(self) -> Locator:
        return self.lab.get_by_test_id("inspector")

    def field(self, label: str, text: str) -> None:
        """Type into a field of the inspector."""
        box = self.inspector.get_by_role("textbox", name=label, exact=True).or_(self.inspector.get_by_role("combobox", name=label, exact=True))
        box.fill(text)
        box.press("Enter")
        self.settled()

    def select(self, name: str) -> None:
        self.node(name).click(position={"x": 30, "y": 12})
        expect(self.inspector.get_by_role("textbox", name="Name")).to_have_value(name)

    def port(self, port: str) -> Locator:
        return self.lab.locator(f'[data-port="{port}"]')

    def wire(self, src: str, dst: str) -> None:
        """Click the output, click the input."""
        node, port = dst.rsplit(":", 1)
        self.port(f"{src}:out:0").click()
        self.port(f"{node}:in:{port}").click()
        self.settled()

    def edge(self, src: str, dst: str) -> Locator:
        return self.lab.locator(f'[data-edge="{src}:0->{dst}"]')

    def press(self, name: str) -> None:
        self.lab.get_by_role("button", name=name, exact=True).click()
        self.settled()

    def states(self) -> dict[str, str]:
        return {n.get_attribute("data-node"): n.get_attribute("data-state") for n in self.lab.locator("[data-node]").all()}

    def fired(self) -> set[str]:
        """Counted nodes that are done."""
        nodes = self.lab.locator("[data-node][data-state=done]:not([data-source])")
        return {n.get_attribute("data-node") for n in nodes.all()}

    def value(self, name: str) -> np.ndarray:
        """The numbers that the inspector shows for a node."""
        self.select(name)
        value = self.inspector.get_by_test_id("value")
        value.wait_for()
        self.settled()
        return np.array(json.loads(value.get_attribute("data-json")), "float32")


def build(hand: Hand) -> None:
    hand.add("Placeholder", "x")
    hand.field("shape", "batch, 3")
    hand.field("Value", json.dumps(X))
    hand.add("Variable", "W")
    hand.field("shape", "3, 2")
    hand.field("initializer", json.dumps(W))
    hand.add("MatMul")
    hand.wire("x", "MatMul:a")
    hand.wire("W", "MatMul:b")
    hand.add("Variable", "b")
    hand.field("initializer", json.dumps(B))
    hand.add("Add")
    hand.wire("MatMul", "Add:a")
    hand.wire("b", "Add:b")
    hand.add("Placeholder", "y")
    hand.field("shape", "batch, 2")
    hand.field("Value", json.dumps(Y))
    hand.add("Subtract")
    hand.wire("Add", "Subtract:a")
    hand.wire("y", "Subtract:b")
    hand.add("Square")
    hand.wire("Subtract", "Square:x")
    hand.add("Mean", "loss")
    hand.wire("Square", "loss:x")


def test_a_graph_built_by_hand_runs_steps_and_goes_back(notebook, shots):
    nb = notebook("by_hand", ["import flowlab as fl\ned = fl.Editor()\ned"])
    nb.run_all()
    hand = Hand(nb)
    shots("editor-empty")
    build(hand)
    shots("editor-built")
    assert nb.exec(dedent(IN_PYTHON) + "print(ed.document.same_graph(g), ed.graph.same_graph(g), len(ed.diagnostics))") == "True True 0"
    expect(hand.edge("MatMul", "Add:a")).to_have_attribute("data-shape", "(batch, 2)")
    expect(hand.edge("x", "MatMul:a")).to_have_attribute("data-dtype", "float32")
    steps = [np.float32(X) @ np.float32(W)]
    steps.append(steps[0] + np.float32(B))
    steps.append(steps[1] - np.float32(Y))

    hand.press("Run")
    expect(hand.lab).to_have_attribute("data-cursor", "5")
    assert hand.value("loss") == pytest.approx(np.mean(steps[2] ** 2), rel=1e-6)
    assert float(nb.exec("print(ed.results['loss'])")) == pytest.approx(np.mean(steps[2] ** 2), rel=1e-6)
    shots("editor-run")

    hand.press("Stop")
    expect(hand.lab).to_have_attribute("data-cursor", "0")
    start = hand.states()
    assert hand.fired() == set()
    for _ in range(3):
        hand.press("Step")
    expect(hand.lab).to_have_attribute("data-cursor", "3")
    assert hand.fired() == {"MatMul", "Add", "Subtract"}
    for name, value in zip(("MatMul", "Add", "Subtract"), steps):
        assert hand.value(name) == pytest.approx(value, rel=1e-6)
    shots("editor-three-steps")
    for _ in range(3):
        hand.press("Step back")
    expect(hand.lab).to_have_attribute("data-cursor", "0")
    expect(hand.lab).to_have_attribute("data-mode", "past")
    assert hand.states() == start and hand.fired() == set()
    assert nb.exec("print(ed.debugger.computed('MatMul:0'))") == "False"


READY = dedent(IN_PYTHON).strip() + f"\ned = fl.Editor(g, feeds={{'x': {X}, 'y': {Y}}})\ned"


def test_a_wire_that_does_not_fit_shows_its_reason_and_never_runs(notebook, shots):
    nb = notebook("misfit", ["import flowlab as fl", READY])
    nb.run_all()
    hand = Hand(nb)
    hand.select("W")
    hand.field("initializer", "zeros")
    hand.field("shape", "5, 2")
    edge = hand.edge("W", "MatMul:b")
    expect(edge).to_have_attribute("data-error", re.compile("."))
    alert = hand.lab.get_by_role("alert").filter(has_text="left columns 3")
    expect(alert).to_contain_text("right rows 5")
    shots("editor-misfit")
    hand.press("Run")
    expect(hand.lab.get_by_role("alert").filter(has_text="nothing can run")).to_be_visible()
    assert hand.fired() == set() and nb.exec("print(ed.results)") == "{}"
    # a cycle, and input to input, are refused
    hand.wire("Square", "MatMul:a")
    expect(hand.lab.get_by_role("alert").filter(has_text="cycle")).to_be_visible()
    hand.port("MatMul:in:a").click()
    hand.port("Add:in:a").click()
    expect(hand.lab.get_by_role("alert").filter(has_text="input")).to_be_visible()
    assert nb.exec("print(ed.document.nodes['MatMul'].inputs['a'], ed.document.nodes['Add'].inputs['a'])") == "x:0 MatMul:0"
    # and the way out is a button on the card
    hand.lab.get_by_role("button", name="Make W (3, 2)").click()
    expect(edge).not_to_have_attribute("data-error", re.compile("."))
    hand.press("Run")
    expect(hand.lab).to_have_attribute("data-cursor", "5")


def test_keys_pressed_elsewhere_harm_nothing(notebook):
    nb = notebook("elsewhere", ["import flowlab as fl", READY, "1 + 1"])
    nb.run_all()
    hand = Hand(nb)
    hand.select("Square")
    cells = nb.page.locator(".jp-Notebook .jp-Cell").count()
    nb.cell(2).locator(".cm-content").click()
    nb.page.keyboard.press("Escape")
    nb.page.keyboard.press("Delete")
    nb.idle()
    assert nb.exec("print(len(ed.document.nodes))") == "9"
    expect(hand.node("Square")).to_have_count(1)
    # and the notebook's keys do nothing while the canvas has the focus
    hand.select("Square")
    for key in ("b", "d", "d", "x"):
        nb.page.keyboard.press(key)
    assert nb.page.locator(".jp-Notebook .jp-Cell").count() == cells
    hand.select("Square")
    nb.page.keyboard.press("Delete")
    expect(hand.node("Square")).to_have_count(0)
    hand.settled()
    assert nb.exec("print(len(ed.document.nodes))") == "8"
    hand.press("Undo")
    expect(hand.node("Square")).to_have_count(1)


def test_the_work_is_there_tomorrow(notebook, shots):
    nb = notebook("tomorrow", ["import flowlab as fl\ned = fl.Editor()\ned", "1 + 1"])
    nb.run_all()
    hand = Hand(nb)
    hand.add("Placeholder", "x")
    hand.field("shape", "batch, 3")
    hand.add("Relu")
    hand.wire("x", "Relu:x")
    picture = nb.cell(0).locator('img[alt="flowlab graph"]')
    expect(picture).to_have_count(1)
    expect(picture).to_be_hidden()
    expect(picture).to_have_attribute("src", re.compile("^data:image/png"))
    nb.page.wait_for_function("() => document.querySelector('img[alt=\"flowlab graph\"]').src.length > 3000")
    nb.save()
    nb.kill_kernel()
    nb.reload()
    picture = nb.cell(0).locator('img[alt="flowlab graph"]')
    expect(picture).to_be_visible()
    assert nb.page.evaluate("() => document.querySelector('img[alt=\"flowlab graph\"]').naturalWidth") > 100
    shots("editor-reopened")
    nb.run_cell(0)
    offer = hand.lab.get_by_text("Go on", exact=False).first
    expect(offer).to_be_visible()
    shots("editor-offer")
    assert nb.exec("print(len(ed.document.nodes))") == "0"
    hand.lab.get_by_role("button", name="Go on", exact=False).click()
    expect(hand.node("Relu")).to_have_count(1)
    hand.settled()
    assert nb.exec("print(sorted(ed.document.nodes), ed.document.nodes['Relu'].inputs['x'])") == "['Relu', 'x'] x:0"


def test_a_lab_shown_again_is_kept_again(notebook):
    nb = notebook("again", ["import flowlab as fl\ned = fl.Editor()", "ed"])
    nb.run_all()
    hand = Hand(nb)
    hand.add("Placeholder", "x")
    nb.run_cell(1)
    expect(hand.node("x")).to_have_count(1)
    expect(nb.cell(1).locator('img[alt="flowlab graph"]')).to_have_count(1)
    nb.idle()
    nb.save()
    (kept,) = [o for o in nb.content().cells[1].outputs if "application/vnd.flowlab.document+json" in o.get("data", {})]
    assert [n["name"] for n in kept.data["application/vnd.flowlab.document+json"]["nodes"]] == ["x"] and kept.metadata.flowlab.edited


def test_a_page_loaded_anew_finds_the_living_lab_and_goes_on_keeping_it(notebook):
    nb = notebook("reloaded", ["import flowlab as fl\ned = fl.Editor()\ned"])
    nb.run_all()
    hand = Hand(nb)
    hand.add("Placeholder", "x")
    hand.press("Save")
    expect(hand.lab.get_by_role("status").filter(has_text="untitled.flow.json")).to_have_count(1)
    assert [n["name"] for n in json.loads((nb.server.root / "untitled.flow.json").read_text())["nodes"]] == ["x"]
    kept = nb.cell(0).locator('img[alt="flowlab graph"]')
    expect(kept).to_have_attribute("src", re.compile("^data:image/png"))
    nb.save()
    nb.reload()
    expect(hand.node("x")).to_have_count(1)
    before = kept.get_attribute("src")
    hand.add("Relu")
    expect(kept).not_to_have_attribute("src", before)
    nb.save()
    (output,) = [o for o in nb.content().cells[0].outputs if "application/vnd.flowlab.document+json" in o.get("data", {})]
    assert [n["name"] for n in output.data["application/vnd.flowlab.document+json"]["nodes"]] == ["x", "Relu"]
    assert output.data["text/html"].count("data:image/png") == 1


def test_a_loop_is_drawn_as_a_loop_and_stepped_timestep_by_timestep(notebook, shots):
    nb = notebook("loop", ["""
        import numpy as np, flowlab as fl
        with fl.Graph("rnn") as g:
            seq, h0 = fl.placeholder(("batch", 5, 3), name="seq"), fl.placeholder(("batch", 4), name="h0")
            W, U = fl.variable(fl.init.glorot_uniform((3, 4)), name="W"), fl.variable(fl.init.glorot_uniform((4, 4)), name="U")
            with fl.scan(seq, time_axis=1, name="rnn") as step:
                prev = step.state("h", init=h0)
                h = fl.tanh(step.input @ W + prev @ U)
                step.update(prev, h)
                step.output(h)
        x = np.random.default_rng(0).standard_normal((2, 5, 3))
        ed = fl.Editor(g, feeds={"seq": x, "h0": np.zeros((2, 4))})
        ed"""])
    nb.run_all()
    hand = Hand(nb)
    expect(hand.node("rnn/Tanh")).to_have_count(1)
    back = hand.lab.locator('[data-edge="rnn/Tanh:0->rnn/h:next"]')
    expect(back.get_by_text("t−1")).to_be_visible()
    hand.press("Step timestep")
    expect(hand.node("rnn/Tanh")).to_have_attribute("data-state", "done")
    expect(hand.node("rnn/Scan")).to_have_attribute("data-state", "running")
    hand.press("Step")
    expect(hand.lab.locator("[data-timestep]")).to_have_attribute("data-timestep", "t = 1")
    expect(hand.node("rnn/Tanh")).not_to_have_attribute("data-state", "done")
    shots("editor-loop")
    hand.press("Step back")
    hand.press("Step timestep")
    hand.node("rnn/Tanh").click()
    shown = json.loads(hand.inspector.get_by_test_id("value").get_attribute("data-json"))
    want = nb.exec("print(fl.Session(ed.graph, seed=ed.session.seed).trace('rnn', {'seq': x, 'h0': np.zeros((2, 4))}).value('rnn/Tanh:0', at=('rnn', 1)).tolist())")
    np.testing.assert_allclose(shown, json.loads(want), rtol=1e-6)
    hand.press("Run")
    expect(hand.node("rnn/Scan")).to_have_attribute("data-state", "done")
