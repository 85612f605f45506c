"""Documents in a real JupyterLab: the file menu, somebody else at the file, two views, and whatever breaks."""
from __future__ import annotations

import io
import json
import os
import random
import re
import xml.etree.ElementTree as ET

import pytest
from PIL import Image
from playwright.sync_api import expect
from test_editor import READY, Hand

SETUP = "import flowlab as fl"
NAME = "a<b>&\"c'"


@pytest.fixture
def ready(notebook):
    """The lab with a small graph in it, and a hand on it."""

    def open_lab(name: str, *cells: str) -> tuple:
        nb = notebook(name, [SETUP, *(cells or (READY,))])
        nb.run_all()
        hand = Hand(nb)
        hand.settled()
        return nb, hand

    return open_lab


def choose(hand: Hand, item: str) -> None:
    """An item of the file menu, by keyboard."""
    hand.lab.get_by_role("button", name="File", exact=True).press("ArrowDown")
    role = "menuitemcheckbox" if item == "Autosave" else "menuitem"
    hand.lab.get_by_role(role, name=item, exact=True).press("Enter")


def said(hand: Hand, text: str) -> None:
    expect(hand.lab.get_by_role("status").filter(has_text=text)).to_have_count(1)


def kept(hand: Hand) -> None:
    """Until the document's file holds what is on the canvas: a busy machine saves a moment later."""
    hand.settled()
    expect(hand.lab).not_to_have_attribute("data-dirty", "true")


def nodes(path) -> list[str]:
    return [n["name"] for n in json.loads(path.read_text())["nodes"]]


def jupyters_own_word(nb) -> None:
    """JupyterLab says itself that the kernel has died; close that."""
    nb.page.locator(".jp-Dialog").get_by_role("button", name="Ok").click()


def test_a_document_is_saved_opened_drawn_and_never_written_over(ready, shots):
    nb, hand = ready("files")
    folder = nb.server.root
    (folder / "files_sub").mkdir()
    # save as, the name checked as it is typed
    hand.lab.focus()
    nb.page.keyboard.press("Control+Shift+S")
    sheet = hand.lab.get_by_role("dialog", name="Save as")
    name = sheet.get_by_role("textbox", name="File")
    name.fill("../out")
    expect(sheet).to_contain_text("and the folders in it")
    expect(sheet.get_by_role("button", name="Save here")).to_be_disabled()
    (folder / "taken.flow.json").write_text('{"flowlab": 1, "name": "t", "nodes": []}')
    name.fill("taken")
    expect(sheet).to_contain_text("taken.flow.json is there already: 0 nodes")
    expect(sheet.get_by_role("button", name="Replace it")).to_be_visible()
    shots("documents-save-as")
    name.fill("files_sub/net")
    sheet.get_by_role("button", name="Save here").click()
    expect(sheet).to_have_count(0)
    said(hand, "Saved to net.flow.json")
    # autosave from now on
    hand.select("Square")
    nb.page.keyboard.press("Delete")
    expect(hand.node("Square")).to_have_count(0)
    kept(hand)
    net = folder / "files_sub" / "net.flow.json"
    assert "Square" not in nodes(net)
    hand.press("Undo")
    kept(hand)
    assert "Square" in nodes(net)
    # new, and open by typing a part of the name
    choose(hand, "New")
    expect(hand.lab.locator("[data-node]")).to_have_count(0)
    hand.lab.focus()
    nb.page.keyboard.press("Control+o")
    opener = hand.lab.get_by_role("dialog", name="Open")
    opener.get_by_role("combobox", name="Open").fill("sub ne")
    expect(opener.get_by_role("option")).to_have_count(1)
    shots("documents-open")
    nb.page.keyboard.press("Enter")
    expect(hand.lab.locator("[data-node]")).to_have_count(9)
    assert nb.exec("print(ed.path)") == str(net)
    # a file dropped from somewhere else, and one that is no graph
    text = net.read_text().replace('"loss"', json.dumps(NAME))
    for content, file in ((text, "dropped.flow.json"), ("{", "broken.json")):
        nb.page.evaluate("""([content, file]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([content], file));
            for (const type of ['dragover', 'drop'])
                document.querySelector('[data-testid=flowlab]').dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""", [content, file])
        hand.settled()
    expect(hand.lab.get_by_role("alert").filter(has_text="broken.json is not JSON")).to_be_visible()
    assert nb.exec("print(ed.path, len(ed.document.nodes))") == "None 9"
    hand.lab.get_by_role("button", name="Dismiss").click()
    # pictures to print: light, the whole graph, text as text
    pictures = {}
    for kind in ("SVG", "PNG"):
        with nb.page.expect_download() as got:
            choose(hand, f"Export {kind}")
        pictures[kind] = open(got.value.path(), "rb").read()
        assert got.value.suggested_filename == f"in python.{kind.lower()}"
    svg = ET.fromstring(pictures["SVG"])
    words = {"".join(t.itertext()) for t in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"x", "W", "MatMul", NAME, "(3, 2)"} <= words and b"script" not in pictures["SVG"] and b"color(" not in pictures["SVG"] and b"var(" not in pictures["SVG"]
    image = Image.open(io.BytesIO(pictures["PNG"])).convert("RGB")
    assert abs(image.width - 3 * float(svg.get("width"))) <= 2 and image.getpixel((2, 2)) == (255, 255, 255) and len(image.getcolors(10**6)) > 20
    if folder_of_shots := os.environ.get("FLOWLAB_SHOTS"):
        for kind, data in pictures.items():
            with open(f"{folder_of_shots}/exported.{kind.lower()}", "wb") as out:
                out.write(data)


def test_a_file_changed_by_another_program_leaves_three_ways(ready, shots):
    nb, hand = ready("conflict", f"{READY.rpartition(chr(10))[0]}\ned.save('three.flow.json')\ned")
    three = nb.server.root / "three.flow.json"
    theirs = three.read_text().replace('"in python"', '"theirs"')

    def meanwhile(text: str) -> None:
        """Another program writes, and a person edits here."""
        three.write_text(text)
        hand.add("Relu")
        expect(bar).to_contain_text("three.flow.json was changed by another program")

    bar = hand.lab.get_by_role("alert", name="The file was changed")
    meanwhile(theirs)
    shots("documents-conflict")
    bar.get_by_role("button", name="Keep mine as a copy").click()
    expect(bar).to_have_count(0)
    kept(hand)
    assert three.read_text() == theirs and "Relu" in nodes(nb.server.root / "three (2).flow.json")
    nb.exec("ed.open('three.flow.json')")
    hand.settled()
    meanwhile(theirs.replace('"theirs"', '"theirs again"'))
    bar.get_by_role("button", name="Take theirs").click()
    expect(bar).to_have_count(0)
    expect(hand.node("Relu")).to_have_count(0)
    assert nb.exec("print(ed.document.name)") == "theirs again"
    meanwhile(theirs)
    bar.get_by_role("button", name="Overwrite with mine").click()
    expect(bar).to_have_count(0)
    kept(hand)
    assert "Relu" in nodes(three)
    # seen on coming back, where nothing was edited
    three.write_text(theirs)
    nb.page.wait_for_function("() => new Promise((r) => setTimeout(() => r(true), 1100))")      # the lab looks once a second at most
    nb.page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    expect(bar).to_contain_text("You have changed nothing here since")
    shots("documents-reload")
    bar.get_by_role("button", name="Take theirs").click()
    expect(hand.node("Relu")).to_have_count(0)


def test_two_views_follow_each_other_and_neither_takes_the_others_selection_or_drag(ready):
    nb, first = ready("views", READY, "ed")
    second = Hand(nb)
    second.lab = nb.page.locator("[data-testid=flowlab]").nth(1)
    second.settled()
    first.lab.scroll_into_view_if_needed()
    first.select("Square")
    second.add("Relu", "r")
    expect(first.node("r")).to_have_count(1)
    expect(first.inspector.get_by_role("textbox", name="Name")).to_have_value("Square")
    # an edit arrives while a node is held: it stays in the hand
    first.node("y").scroll_into_view_if_needed()
    box = first.node("y").bounding_box()
    nb.page.mouse.move(box["x"] + 30, box["y"] + 10)
    nb.page.mouse.down()
    nb.page.mouse.move(box["x"] + 50, box["y"] + 60, steps=4)
    held = first.node("y").bounding_box()
    assert held["y"] > box["y"] + 30
    nb.exec("ed.edit(fl.io.edits.AddNode('Relu', 'meanwhile'))")
    expect(first.node("meanwhile")).to_have_count(1)
    now = first.node("y").bounding_box()
    assert abs(now["y"] - held["y"]) < 2 and abs(now["x"] - held["x"]) < 2
    nb.page.mouse.up()
    first.settled()
    expect(second.node("meanwhile")).to_have_count(1)
    assert nb.exec("print('y' in ed.document.positions)") == "True"
    second.press("Step")
    expect(first.lab).to_have_attribute("data-cursor", "1")
    # a reload of the page in mid-drag and in mid-run: the same document and cursor
    nb.save()
    first.lab.scroll_into_view_if_needed()
    box = first.node("W").bounding_box()
    nb.page.mouse.move(box["x"] + 30, box["y"] + 10)
    nb.page.mouse.down()
    nb.page.mouse.move(box["x"] + 40, box["y"] + 40, steps=3)
    nb.reload()
    expect(first.node("meanwhile")).to_have_count(1)
    expect(first.lab).to_have_attribute("data-cursor", "1")
    first.settled()
    first.press("Step")
    expect(first.lab).to_have_attribute("data-cursor", "2")


def test_a_killed_kernel_and_a_broken_connection_lose_nothing(ready, shots):
    nb, hand = ready("killed")
    hand.add("Relu", "mine")
    # the connection breaks: what is done meanwhile is sent when it is back
    nb.page.context.set_offline(True)
    nb.page.evaluate(f"() => {KERNEL}._ws.close(4000)")
    expect(hand.lab).to_have_attribute("data-link", "down")
    expect(hand.lab.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
    hand.lab.get_by_role("searchbox", name="Add an operation").fill("Tanh")
    nb.page.keyboard.press("Enter")
    shots("documents-offline")
    nb.page.context.set_offline(False)
    nb.page.evaluate(f"() => {KERNEL}.reconnect()")
    expect(hand.node("Tanh")).to_have_count(1)
    expect(hand.lab).not_to_have_attribute("data-link", re.compile("."))
    hand.settled()
    assert nb.exec("print([n for n in ed.document.nodes if 'Tanh' in n])") == "['Tanh']"
    # the kernel is killed, and the notebook was never saved
    nb.exec("import os, threading; threading.Timer(0.2, os._exit, [1]).start()")
    expect(hand.lab).to_have_attribute("data-link", "gone")
    jupyters_own_word(nb)
    expect(hand.lab.get_by_role("alert").filter(has_text="Kernel gone: your graph is safe")).to_be_visible()
    shots("documents-gone")
    with nb.page.expect_download() as got:
        hand.lab.get_by_role("button", name="Download it").click()
    assert {"mine", "Tanh"} <= {n["name"] for n in json.load(open(got.value.path()))["nodes"]}
    nb.idle()
    nb.run_all()
    hand.lab.get_by_role("button", name="Go on with it").click()
    expect(hand.node("Tanh")).to_have_count(1)
    hand.settled()
    assert nb.exec("print(sorted(n for n in ed.document.nodes if n in ('mine', 'Tanh')))") == "['Tanh', 'mine']"


KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True], ids=["in no file", "in a file"])
def test_a_kernel_killed_at_any_edit_loses_at_most_the_edit_in_flight(ready, named):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    cell = f"ed = fl.Editor(){chr(10)}{'' if not named else chr(10)}ed"
    nb, hand = ready(f"random{int(named)}", cell)
    if named:
        choose(hand, "Save as…")
        hand.lab.get_by_role("textbox", name="File").fill("random")
        hand.lab.get_by_role("button", name="Save here").click()
        hand.settled()
    count = 0
    for point in range(12):
        for _ in range(rng.randrange(1, 5)):
            hand.add(rng.choice(["Relu", "Tanh", "Sigmoid"]))
            count += 1
        hand.lab.get_by_role("searchbox", name="Add an operation").fill("Square")
        nb.page.keyboard.press("Enter")      # in flight
        nb.page.wait_for_timeout(rng.uniform(0, 60))     # the kernel ends at whatever moment of it: before, in the middle, after
        nb.page.evaluate(f"() => {KERNEL}.requestExecute({{ code: 'import os; os._exit(1)' }})")
        expect(hand.lab).to_have_attribute("data-link", "gone")
        jupyters_own_word(nb)
        if rng.random() < 0.5:
            nb.reload()
        nb.idle()
        nb.run_all()
        hand.lab.get_by_role("button", name="Go on with it").click()
        (kept if named else Hand.settled)(hand)
        there = int(nb.exec("print(len(ed.document.nodes))"))
        assert there in (count, count + 1), f"seed {seed}, point {point}: {there} nodes of {count}"
        expect(hand.lab.locator("[data-node]")).to_have_count(there)
        count = there
        if named:
            assert nb.exec("print(ed.path.name)") == "random.flow.json" and len(nodes(nb.server.root / "random.flow.json")) == count
    # JupyterLab's own question to a kernel that is just starting is cut off when that is killed
    nb.page.errors[:] = [e for e in nb.page.errors if not e.startswith("Canceled future for kernel_info_request")]
