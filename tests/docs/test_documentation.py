"""The documentation: every example on its pages runs and prints what stands below it, every operation and public name is in it, the built site has no link that leads nowhere."""
from __future__ import annotations

import shlex

import numpy as np
import pytest
from latex2mathml.converter import convert

import flowlab as fl
from flowlab.cli import command_line
from tools.site import links, pages, reference
from tools.site.examples import EXAMPLES

PAGES = {path.relative_to(pages.DOCS).as_posix(): path.read_text(encoding="utf-8") for path in pages.sources()}


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run_and_print_what_it_says(page):
    pages.run_page(PAGES[page], page)


@pytest.mark.parametrize("page", PAGES)
def test_commands_on_a_page_are_commands_of_flowlab(page):
    for line in pages.shell_commands(PAGES[page]):
        words = shlex.split(line, comments=True)
        if words[:1] == ["flowlab"]:
            command_line().parse_args(words[1:])


def test_every_page_can_be_found():
    nav = (pages.ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    assert not [page for page in PAGES if page not in nav], "a page stands in mkdocs.yml under nav"
    how_to = [page.partition("/")[2] for page in PAGES if page.startswith("how-to/") and not page.endswith("index.md")]
    assert not [page for page in how_to if f"({page})" not in PAGES["how-to/index.md"]]


def test_every_operation_of_the_palette_has_an_example():
    assert {o.name for o in reference.listed()} == set(EXAMPLES)


def test_examples_of_operations_run_and_say_what_is_so():
    for op in reference.listed():
        example = reference.ran(op.name)
        assert example.printed and any(node.op is op for node in example.graph.nodes), op.name
        assert reference.shapes(op, EXAMPLES[op.name]) or EXAMPLES[op.name].code, op.name
        back = [node for node in example.graph.nodes if node.name.startswith("gradients/")]
        whole = all(t.dtype.kind != "f" for node in example.graph.nodes if node.op is op for t in node.outputs)
        assert bool(op.gradient_function) == bool(back) or whole, f"the example of {op.name} does not show its derivative"


def test_a_section_tells_words_formula_shapes_gradient_and_numbers():
    site = reference.Site()
    told = reference.section(reference.REGISTRY["Softmax"], site)
    e = np.exp([1.0, 2.0, 3.0])
    for part in ("fl.softmax(x, axis=-1)", "add up to 1", r"\frac{e^{x_i}}{\sum_j e^{x_j}}", "x float32[batch, 3] → float32[batch, 3]", "Multiply, Sum, Subtract", "**ONNX** `Softmax`",
                 f"{(e / e.sum())[0]:.8f}"[:8], "is refused: axis -1 does not exist", "<svg ", "runs/Softmax.html"):
        assert part in told, part
    page = site.assets["runs/Softmax.html"]
    assert len(page) < 100_000 and 'id="flowlab-run"' in page and "../assets/replay.js" in page


def test_every_public_name_is_on_a_page():
    assert not reference.unplaced()


def test_a_docstring_keeps_its_signs_and_its_doctests():
    told = reference.prose("""Multiply a * b, `a * b`.

    More <here>.

    >>> 1 * 2
    2

    The end.
    """)
    assert told == "Multiply a \\* b, `a * b`.\n\nMore &lt;here>.\n\n```pycon\n>>> 1 * 2\n2\n```\n\nThe end."


@pytest.mark.parametrize("text, says", [
    ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "page.md, line 2 prints\n1"),
    ("\n```python\n1 / 0\n```\n", "page.md, line 3: ZeroDivisionError"),
    ("```python\nprint(1)\n```\n", "says nothing of it"),
    ('```python title="config.py"\nc = get_config()\nc.Spawner.mem = 1 +\n```\n', "line 2: SyntaxError"),
])
def test_a_page_that_is_wrong_is_told_with_its_line(text, says):
    with pytest.raises(pages.PageError, match=says.replace(".", r"\.")):
        pages.run_page(text, "page.md")


def test_a_page_shows_graphs_and_leaves_no_operation_behind():
    before = dict(reference.REGISTRY)
    shown = pages.run_page('```python\nimport flowlab as fl\n@fl.op\ndef of_a_page(xp, x):\n    """Do nothing."""\n    return x\nwith fl.Graph("g") as g:\n    y = of_a_page(fl.placeholder((), name="x"))\n```\n\n<!-- graph: g -->\n',
                           "page.md", lambda what, values: f"[{what} {values[0].name}]")
    assert "[graph g]" in shown and reference.REGISTRY == before


def test_a_graph_is_drawn_with_its_values():
    with fl.Graph("<two>") as g:
        y = fl.multiply(fl.placeholder((2,), name="x"), 3.0, name="y")
    drawn = reference.picture(g, fl.Session(g).trace(y, {"x": [1.0, 2.5]}))
    assert "[3 7.5]" in drawn and "[1 2.5]" in drawn and "&lt;two&gt;" in drawn and drawn.count("<rect") == 4
    assert "[3 7.5]" not in reference.picture(g)


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "outside.html").write_text("")
    tmp_path = tmp_path / "site"
    tmp_path.mkdir()
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a><a href="#top">4</a><a href="https://example.org">5</a>'
                                     '<a href="http://example.org">6</a><script src="https://cdn.example.org/x.js"></script><img src="data:image/png;base64,"><p id="top"></p><a href="../outside.html">7</a>')
    (tmp_path / "b.html").write_text('<p id="there"></p><iframe src="a.html"></iframe>')
    assert links.broken(tmp_path) == ["a.html: #top is there twice", "a.html: b.html#gone has no such anchor", "a.html: c.html leads nowhere", "a.html: http://example.org is no https address",
                                      "a.html: script comes from https://cdn.example.org/x.js, not from the site", "a.html: ../outside.html leads out of the site"]


def test_formulas_of_operations_become_mathml():
    for op in reference.listed():
        if op.latex:
            assert "<merror" not in convert(op.latex), op.name


def test_the_table_of_memory_on_the_page_has_the_rows_that_are_measured():
    measured = (pages.ROOT / "tests/benchmarks/memory.py").read_text(encoding="utf-8")
    table = [line.split("|")[1].strip() for line in PAGES["how-to/jupyterhub.md"].splitlines() if line.startswith("| ") and line.count("|") == 5 and "RSS" not in line]
    assert len(table) > 6 and not [row for row in table if row not in measured]
