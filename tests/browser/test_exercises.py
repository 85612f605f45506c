"""An exercise in a real JupyterLab: checked by button before and after it is wired, in Chinese too."""
from __future__ import annotations

from playwright.sync_api import expect
from test_editor import Hand

CELLS = ["""
import flowlab as fl
def solution():
    x, y = fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 3), name="y")
    fl.mean(fl.square(x - y), name="loss")
task = fl.exercise("Wire the loss: $\\\\frac{1}{n}\\\\sum (x - y)^2$", solution=solution, gradient=True, title="Loss", hints=["`square` the difference."])
ed = fl.Editor(task)
ed
"""]


def test_a_task_is_checked_hinted_at_and_solved(notebook, clean, shots):
    nb = notebook("exercise", CELLS)
    nb.run_all()
    hand = Hand(nb)
    hand.settled()
    lab = hand.lab
    task = lab.get_by_test_id("task")
    expect(task.locator("math, .katex, .fx, .formula").first).to_be_visible()
    hand.press("Check")
    expect(task).to_have_attribute("data-solved", "false")
    expect(task).to_contain_text("Nothing is computed yet: loss is asked for.")
    hand.press("Hint (1 left)")
    expect(task.locator(".hint")).to_contain_text("square the difference.")
    expect(task.locator(".hint code")).to_have_text("square")
    for theme in ("light", "dark"):
        nb.theme(theme)
        clean(lab, f"an exercise, {theme}")
    nb.theme("light")
    nb.exec("from flowlab.io.edits import AddNode, Connect\ned.edit(AddNode('Subtract', 'd'), Connect('x:0', 'd:a'), Connect('y:0', 'd:b'), AddNode('Square', 's'), Connect('d:0', 's:x'), AddNode('Mean', 'm'), Connect('s:0', 'm:x'))")
    expect(task).to_contain_text("The graph has changed since then.")
    hand.press("Check")
    expect(task).to_have_attribute("data-solved", "true")
    nb.exec("ed.language = 'zh-CN'")
    expect(task).to_contain_text("loss 的值在全部 6 个算例中都对。")
    expect(task).to_contain_text("梯度在全部 6 个算例中都对。")
    shots("exercise")
    assert nb.exec("print([a.solved for a in task.attempts])") == "[False, True]"
