"""Random edits by the page's own events, undo and redo among them: page, document and Python end equal."""
from __future__ import annotations

import json
import random

import pytest
from playwright.sync_api import expect
from test_editor import READY, Hand

SETUP = "import flowlab as fl"
OPS = ["Add", "Multiply", "Relu", "Tanh", "Square", "Mean", "Sum", "MatMul", "Transpose", "Placeholder", "Constant", "Variable", "Exp", "Softmax", "Concat"]
WORDS = ["alpha", "beta", "层", "a b", "x.y", "deep/er", "<b>", "W"]

# what the document holds, and what Python makes of the code beside the canvas
HELD = """
import json
from flowlab.io.document import document_of
doc = ed.document
edges = sorted([f"{s}->{n.name}:{p}" for n in doc.nodes.values() for p, s in n.inputs.items()] + [f"^{c}->{n.name}" for n in doc.nodes.values() for c in n.control])
space = {}
exec(fl.to_python(ed.graph), space)
made = next(v for v in space.values() if isinstance(v, fl.Graph))
print(json.dumps({"nodes": sorted(doc.nodes), "edges": edges, "python": made.same_graph(ed.graph), "undo": bool(ed._undo), "redo": bool(ed._redo)}))
"""


class Story(Hand):
    """A person who does this and that."""

    def __init__(self, nb, seed: int):
        super().__init__(nb)
        self.rng, self.page, self.told = random.Random(seed), nb.page, []

    def names(self, selector: str = "[data-node], [data-scope]") -> list[str]:
        return self.lab.evaluate("(lab, s) => [...lab.querySelectorAll(s)].map((n) => n.dataset.node ?? n.dataset.scope)", selector)

    def pick(self, name: str, *, more: bool = False) -> None:
        """Select by an event of the page where the element is, as a click on its head does."""
        self.lab.evaluate("""(lab, [name, more]) => {
            const at = [...lab.querySelectorAll('[data-node], [data-scope]')].find((n) => (n.dataset.node ?? n.dataset.scope) === name);
            if (!at) return;
            const box = at.getBoundingClientRect();
            const where = { bubbles: true, cancelable: true, clientX: box.left + 30, clientY: box.top + 8, ctrlKey: more, button: 0, pointerId: 1, isPrimary: true, view: window };
            at.dispatchEvent(new PointerEvent('pointerdown', where)); at.dispatchEvent(new MouseEvent('mousedown', where));
            at.dispatchEvent(new PointerEvent('pointerup', where)); at.dispatchEvent(new MouseEvent('mouseup', where)); at.dispatchEvent(new MouseEvent('click', where));
            at.focus({ preventScroll: true }); }""", [name, more])

    def click_port(self, port: str) -> None:
        self.lab.evaluate("(lab, port) => [...lab.querySelectorAll('[data-port]')].find((p) => p.dataset.port === port)?.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, view: window }))", port)

    def keys(self, *keys: str) -> None:
        for k in keys:
            self.page.keyboard.press(k)

    def act(self) -> None:
        names, rng = self.names(), self.rng
        what = rng.choice(["add", "add", "add", "wire", "wire", "wire", "wire", "delete", "rename", "undo", "undo", "undo", "redo", "redo", "bypass", "duplicate", "group", "ungroup", "differentiate",
                           "nudge", "attr", "value", "cut wire", "insert", "copy and paste", "note", "fetch"])
        name = rng.choice(names) if names else None
        self.told.append(f"{what} {name}")
        if what not in ("undo", "redo") and name is not None:
            self.pick(name)
        match what:
            case "add":
                self.lab.focus()
                self.keys("Escape")
                box = self.lab.get_by_role("searchbox", name="Add an operation")
                box.fill(rng.choice(OPS))
                box.press("Enter")
            case "wire":
                outs = self.lab.evaluate("(lab) => [...lab.querySelectorAll('[data-port*=\":out:\"]')].map((p) => p.dataset.port)")
                ins = self.lab.evaluate("(lab) => [...lab.querySelectorAll('[data-port*=\":in:\"]')].map((p) => p.dataset.port)")
                if outs and ins:
                    self.click_port(rng.choice(outs))
                    self.click_port(rng.choice(ins))
            case "delete":
                if len(names) > 4:
                    self.keys("Delete")
            case "rename" if name is not None:
                self.keys("F2", "Control+a")
                self.page.keyboard.insert_text(rng.choice(WORDS) + str(rng.randrange(30)))
                self.keys("Enter")
            case "undo":
                self.lab.focus()
                for _ in range(rng.randrange(1, 4)):
                    self.keys("Control+z")
            case "redo":
                self.lab.focus()
                for _ in range(rng.randrange(1, 4)):
                    self.keys("Control+Shift+z")
            case "bypass":
                self.keys("m")
            case "duplicate":
                if len(names) < 40:
                    self.keys("Control+d")
            case "group":
                if len(names) > 2:
                    self.pick(rng.choice(names), more=True)
                self.keys("Control+g")
            case "ungroup":
                self.keys("Control+Shift+g")
            case "differentiate":
                if len(names) < 40:
                    self.keys("g")
            case "nudge":
                self.keys(rng.choice(["Alt+ArrowLeft", "Alt+ArrowDown"]))
            case "attr" | "value":
                fields = self.inspector.locator(".form input[type=text], .form textarea").all()
                if fields:
                    box = rng.choice(fields)
                    box.fill(rng.choice(["", "2, 3", "batch, 3", "0", "1", "[[1, 2], [3, 4]]", "nonsense", "-1", "true"]))
                    box.press("Enter")
            case "cut wire" | "insert":
                edges = self.lab.evaluate("(lab) => [...lab.querySelectorAll('[data-edge]')].map((e) => e.dataset.edge)")
                if edges:
                    self.lab.evaluate("(lab, id) => { const e = [...lab.querySelectorAll('[data-edge]')].find((x) => x.dataset.edge === id); e?.dispatchEvent(new MouseEvent('click', { bubbles: true, view: window })); }", rng.choice(edges))
                    if what == "insert":
                        self.keys("a")
                        self.page.keyboard.insert_text(rng.choice(["Relu", "Tanh", "Square"]))
                        self.keys("Enter")
                    else:
                        self.keys("Delete")
            case "copy and paste":
                if len(names) < 40:
                    self.keys("Control+c")
                    self.settled()
                    self.keys("Control+v")
            case "note":
                self.lab.focus()
                self.keys("n")
                self.page.keyboard.insert_text("a *note*")
                self.keys("Control+Enter", "Escape")
            case "fetch":
                button = self.inspector.get_by_role("button", name="Fetch", exact=True)
                if button.count():
                    button.click()
        self.settled()
        self.keys("Escape")

    def compare(self) -> None:
        """The page shows what the document holds, and the code makes the same graph."""
        self.settled()
        held = json.loads(self.nb.exec(HELD))
        story = "\n".join(self.told[-12:])
        assert held["python"], f"the Python makes another graph, after\n{story}"
        self.lab.get_by_role("button", name="Unfold all", exact=True).click()
        self.settled()
        assert sorted(self.names("[data-node]")) == held["nodes"], f"the page draws other nodes, after\n{story}"
        drawn = sorted(self.lab.evaluate("(lab) => [...lab.querySelectorAll('[data-edge]')].map((e) => e.dataset.edge)"))
        assert drawn == held["edges"], f"the page draws other wires, after\n{story}"
        for button, there in (("Undo", held["undo"]), ("Redo", held["redo"])):
            found = self.lab.get_by_role("button", name=button, exact=True)
            expect(found).to_be_enabled() if there else expect(found).to_be_disabled()


def tell(notebook, seed: int, edits: int, name: str) -> None:
    nb = notebook(name, [SETUP, READY])
    nb.run_all()
    story = Story(nb, seed)
    story.settled()
    for k in range(edits):
        story.act()
        if k % 25 == 24:
            story.compare()
    story.compare()


def test_fifty_random_edits_leave_page_document_and_python_equal(notebook):
    tell(notebook, 11, 50, "random-edits")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_five_hundred_random_edits_leave_page_document_and_python_equal(notebook, seed):
    tell(notebook, seed, 500, f"random-edits-{seed}")
