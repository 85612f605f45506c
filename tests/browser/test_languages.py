"""The lab's language, switched while it is used: buttons, hits, what the kernel says, and back again, with nothing lost on the way."""
from __future__ import annotations

from playwright.sync_api import expect

CELL = '''
import flowlab as fl
from flowlab.io.edits import AddNode, Connect, SetAttr
ed = fl.Editor()
ed.edit(AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch, 3"), AddNode("Variable", "W"), SetAttr("W", "shape", "4, 2"))
ed.edit(AddNode("MatMul"), Connect("x:0", "MatMul:a"), Connect("W:0", "MatMul:b"))
ed
'''


def test_the_language_is_switched_while_the_lab_is_used(notebook):
    nb = notebook("words", [CELL])
    nb.run_all()
    lab = nb.lab

    def speak(language: str) -> None:
        lab.locator(".fl-language > button").click()
        lab.get_by_role("menuitemradio", name=language).click()

    def document() -> str:
        return nb.exec("import json; print(json.dumps(ed.document.to_json(), sort_keys=True))")

    expect(lab).to_have_attribute("lang", "en")
    expect(lab.get_by_role("alert").first).to_contain_text("left columns 3 ≠ right rows 4")
    lab.locator('[data-node="x"]').focus()
    search = lab.locator(".srch input")     # by its place: its name is what changes
    search.fill("squa")
    before = document()

    speak("简体中文")
    expect(lab).to_have_attribute("lang", "zh-CN")
    expect(search).to_have_value("squa")        # what is half typed, and what is selected, stays
    expect(lab.get_by_test_id("inspector").get_by_role("textbox", name="名称")).to_have_value("x")
    alert = lab.get_by_role("alert").first
    expect(alert).to_contain_text("左边的列数 3 ≠ 右边的行数 4")
    expect(alert.get_by_role("button", name="剪断连线")).to_be_visible()
    lab.get_by_role("button", name="运行", exact=True).click()
    expect(lab.get_by_role("alert").filter(has_text="还不能运行")).to_be_visible()
    search.fill("平方")
    hit = lab.get_by_role("option").first
    expect(hit).to_have_attribute("data-op", "Square")
    expect(hit).to_contain_text("平方")
    search.press("Enter")
    expect(lab.locator('[data-op="Square"][data-node]')).to_be_visible()
    undo = lab.get_by_role("button", name="撤销", exact=True)
    expect(undo).to_have_attribute("title", "撤销：添加 Square  (Ctrl+Z)")
    undo.click()
    expect(lab.get_by_role("status").first).to_have_text("已撤销：添加 Square。")

    speak("繁體中文")
    expect(lab.get_by_role("status").first).to_have_text("已復原：新增 Square。")
    expect(lab.get_by_role("alert").first).to_contain_text("左邊的行數 3 ≠ 右邊的列數 4")
    expect(lab.get_by_role("button", name="執行", exact=True)).to_be_visible()
    for written in ("矩陣乘", "矩阵乘"):        # either script finds
        search.fill(written)
        expect(lab.get_by_role("option").first).to_have_attribute("data-op", "MatMul")
    expect(lab.get_by_role("option").first).to_contain_text("矩陣乘")
    search.fill("")
    assert nb.exec("print(ed.language)") == "zh-TW"

    speak("English")
    expect(lab.get_by_role("status").first).to_have_text("Undid: add Square.")
    expect(lab.get_by_role("button", name="Run", exact=True)).to_be_visible()
    assert document() == before
    nb.exec("ed.language = 'zh-CN'")
    expect(lab.get_by_role("button", name="运行", exact=True)).to_be_visible()

    # the person's own colours come before the theme's, and what is chosen is told by an edge
    lab.locator('[data-node="x"]').focus()
    nb.page.emulate_media(forced_colors="active")
    for dark in (False, True):
        nb.page.evaluate("dark => document.body.setAttribute('data-jp-theme-light', String(!dark))", dark)
        colours = lab.evaluate("el => ['--fl-canvas', '--fl-accent', '--fl-phase-backward'].map((name) => getComputedStyle(el).getPropertyValue(name).trim())")
        assert colours == ["Canvas", "Highlight", "LinkText"]
    expect(lab.locator(".outl .on")).to_have_css("outline-style", "solid")
