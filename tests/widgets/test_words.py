"""The book of Chinese sentences holds what the page and the kernel say: read from the sources, so that a new sentence is missed here and not on the screen."""
from __future__ import annotations

import ast
import itertools
import json
import re
from pathlib import Path

import pytest

import flowlab as fl
from flowlab.core.errors import AttributeValueError
from flowlab.core.op import REGISTRY
from flowlab.io.edits import AddNode, Connect, SetAttr
from flowlab.widgets import scene
from flowlab.widgets.words import language_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "widgets/src"
BOOK = json.loads((PAGE / "shared/words/zh-CN.json").read_text("utf-8"))
TEXT = r'"((?:[^"\\]|\\.)*)"'

# said to whoever writes Python, or to a page that sends what no page of ours sends
FOR_PYTHON = {
    "{} is not a graph.", "fl.Editor takes a Graph, a Document, a Trace, an Exercise, or nothing for an empty canvas.", "this is not an edit.", "{} lacks {}.", "{} is not a text.", "{} is not an edit.",
    "{} is no training.", "a training view shows a training or a history, not {}.", "run = fl.fit(..., background=True), or with fl.train_loop(sess) as run: …", "{} is not a number from 0.", "{} is not an object.", "{} has no field {}.", "Its tag is one of {}.", "{} is not a list of names.", "{} is not a text of at most {} characters.",
}
# put together of parts: what comes out is tried below
COMPOSED = {"Pauses {}{}.", "Logs {}{}.", "Takes a snapshot {}{}.", "{} {}, so it was not replaced.", "{} is inside the {} {}, which is one node of the graph.", "{} is not {}.", "Select x or more first.", "x: x elements."}


def _template(key: str) -> re.Pattern:
    parts = re.split(r"\{(\w+)\}", key)
    return re.compile("".join(re.escape(p) if k % 2 == 0 else r"[−+-]?\d[\d.,e+−-]*" if p == "n" else ".+?" for k, p in enumerate(parts)), re.IGNORECASE | re.DOTALL)


TEMPLATES = [_template(key) for key in BOOK if "{" in key and re.search("[a-z]", re.sub(r"\{\w+\}", "", key))]
EXACT = {key.lower() for key in BOOK}


def is_told(sentence: str) -> bool:
    """Has the book this finished sentence? The rule of `told` in widgets/src/shared/words."""
    if sentence.lower() in EXACT or any(t.fullmatch(sentence) for t in TEMPLATES):
        return True
    parts = re.split(r"(?<=[.?!…]) (?=[A-Z\"'])", sentence)
    if len(parts) > 1:
        return all(map(is_told, parts))
    head, colon, rest = sentence.partition(": ")
    return bool(colon) and len(head) < 80 and is_told(rest)


def _sentences(node: ast.AST) -> list[str]:
    """The sentences that an expression may be, with {} for what is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp(body=a, orelse=b):
            return [*_sentences(a), *_sentences(b)]
        case ast.JoinedStr(values=values):
            choices = [[v.value] if isinstance(v, ast.Constant) else _sentences(v.value) if isinstance(v.value, ast.IfExp) else ["{}"] for v in values]
            return ["".join(c) for c in itertools.product(*choices)]
    return []


def _said_by(path: Path):
    """What a module raises or tells the page, and what it calls an edit."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=args, keywords=words)) if name.endswith("Error"):
                said = [*args[:1], *(k.value for k in words if k.arg == "hint")]
            case ast.Call(func=ast.Attribute(attr="_notice"), args=args):
                said = args[1:3]
            case ast.Call(func=ast.Name(id="say"), args=args, keywords=words):
                said = [*args[1:2], *(k.value for k in words if k.arg == "hint")]
            case ast.FunctionDef(name="describe"):
                said = [r.value for r in ast.walk(node) if isinstance(r, ast.Return)]
            case _:
                continue
        # what is put in after a full stop is a sentence of its own
        yield from (re.sub(r"(?<=\.)\{\}$", "", s) for s in itertools.chain(*map(_sentences, said)) if re.search("[a-z]{2}", s))


@pytest.mark.parametrize("module", ["widgets/editor.py", "widgets/attaching.py", "widgets/training.py", "widgets/recorded.py", "widgets/asking.py", "widgets/telling.py", "apps/questions.py", "debugger/recording.py", "io/edits.py"])
def test_the_book_has_what_the_lab_is_told(module):
    # a name, a number or a shape stands in a place
    missing = [s for s in set(_said_by(ROOT / "flowlab" / module)) - FOR_PYTHON - COMPOSED if not any(is_told(s.replace("{}", what)) for what in ("x", "3", "(2, 3)"))]
    assert not sorted(missing)


@pytest.mark.parametrize("sentence", [
    "x.flow.json is there already, and holds something else, so it was not replaced.",
    "x.flow.json was changed by another program since it was last read or written here, so it was not replaced.",
    "rnn/Tanh is inside the loop rnn, which is one node of the graph.", "'a' is not a whole number.", "'a' is not JSON.", "Undid: connect x:0 to MatMul:a.", "Select two or more first.",
    "Aligned to the left: 3 elements.", "Fired x. The run is complete.", "Initialised W (zeros).", "A frame around x: type its title, Enter keeps it.", "Copied 3 nodes.", "Framed 2 elements.",
    "run 2 of rnn", "Pauses before x.", "Pauses after x:0 when max > 3.", "Logs at x*.",
])
def test_the_book_has_what_is_put_together(sentence):
    assert is_told(sentence)


@pytest.mark.parametrize("book", sorted((PAGE / "shared/words").glob("*.json")), ids=lambda path: path.name)
def test_a_text_stands_in_a_book_once(book):
    texts: list[str] = []
    json.loads(book.read_text("utf-8"), object_pairs_hook=lambda pairs: texts.extend(k for k, _ in pairs))
    assert len(texts) == len(set(texts)), [k for k in texts if texts.count(k) > 1]


def test_the_book_has_what_the_page_says():
    missing = []
    for path in PAGE.rglob("*.ts*"):
        if path.name.endswith(".test.ts") or path.parent.name == "words":
            continue
        text = path.read_text("utf-8")
        keys = [m[1] for m in re.finditer(rf"\b(?:t|tx|words|say)\({TEXT}", text)]
        keys += [k for m in re.finditer(rf"\btn\([^\"]*?{TEXT}, {TEXT}", text) for k in m.groups()]
        keys += [k for m in re.finditer(rf"\btx\([^\"]*?\? {TEXT} : {TEXT}", text) for k in m.groups()]
        keys += [m[1] for m in re.finditer(rf"\b(?:group|does): {TEXT}", text)]
        keys = [k for k in keys if k]
        missing += [f"{path.name}: {key}" for key in keys if json.loads(f'"{key}"') not in BOOK]
    assert not missing


def test_the_book_has_what_the_page_tells_in_a_status_or_an_alert():
    missing = []
    for path in PAGE.rglob("*.ts*"):
        for m in re.finditer(r"\blab\.(?:say|alert)\(|\bthis\.(?:say|alert)\(|\.edit\(\[", path.read_text("utf-8")):
            line = path.read_text("utf-8")[m.end():].partition("\n")[0]
            for quoted, composed in re.findall(rf"{TEXT}|`((?:[^`\\$]|\$\{{[^{{}}`]*\}})*)`", line):
                text = quoted or re.sub(r"\$\{[^{}]*\}", "x", composed)
                if text.endswith(".") and " " in text and text not in COMPOSED and not is_told(text) and not is_told(text.replace(" x ", " 3 ")):
                    missing.append(f"{path.name}: {text}")
    assert not missing


def test_every_operation_has_chinese_words_in_both_scripts():
    traditional = json.loads((PAGE / "shared/words/ops.zh-TW.json").read_text("utf-8"))
    # those that flowlab declares, not what other tests and the examples in docstrings have made
    ours = {name for name, op in REGISTRY.items() if op.kernel_function.__module__.startswith(("flowlab.ops.", "flowlab.control.")) and op.kernel_function.__module__ != "flowlab.ops.library"}
    assert len(ours) > 240
    ops = [op for op in scene.palette([]).ops if op.type in ours]
    assert [op.type for op in ops if not re.search(r"[\u4e00-\u9fff]", op.label_zh) or op.label_zh not in traditional] == []
    assert [op.doc for op in ops if op.doc not in BOOK] == []
    assert {op.category for op in ops} - BOOK.keys() == set()


def _wrong(*edits):
    ed = fl.Editor()
    ed.edit(*edits)
    return list(ed.diagnostics)


def test_what_does_not_fit_is_told_with_its_hint_and_repairs():
    x, w = (AddNode("Placeholder", "x"), SetAttr("x", "shape", "batch, 3")), (AddNode("Variable", "W"), SetAttr("W", "shape", "4, 2"))
    found = [
        *_wrong(*x, *w, AddNode("MatMul"), Connect("x:0", "MatMul:a"), Connect("W:0", "MatMul:b")),
        *_wrong(*x, *w, AddNode("Add"), Connect("x:0", "Add:a"), Connect("W:0", "Add:b")),
        *_wrong(*x, AddNode("OneHot"), SetAttr("OneHot", "depth", "3"), Connect("x:0", "OneHot:indices")),
        *_wrong(*x, AddNode("Mean"), SetAttr("Mean", "axis", "5"), Connect("x:0", "Mean:x")),
        *_wrong(*w, AddNode("Reshape"), SetAttr("Reshape", "shape", "3, 3"), Connect("W:0", "Reshape:x")),
        *_wrong(*x, *w, AddNode("Concat"), Connect("x:0", "Concat:xs.0"), Connect("W:0", "Concat:xs.1")),
        *_wrong(*x, AddNode("Add"), AddNode("Relu"), Connect("x:0", "Add:a"), Connect("Add:0", "Relu:x")),
    ]
    said = {text for d in found for text in (d.message, d.hint, *(r.label for r in d.repairs)) if text}
    assert len(found) >= 8
    assert sorted(text for text in said if not is_told(text)) == []


def test_a_widget_takes_a_language_and_refuses_one_that_is_not_here(monkeypatch):
    assert fl.Editor().language == ""
    assert fl.Editor(language="zh_Hant").language == "zh-TW"
    monkeypatch.setenv("FLOWLAB_LANGUAGE", "zh")
    assert fl.Editor().language == "zh-CN"
    with pytest.raises(AttributeValueError, match="no language 'fr'"):
        fl.Editor().language = "fr"
    assert [language_of(t) for t in ("en-GB", "zh-HK", "zh-Hans", "")] == ["en", "zh-TW", "zh-CN", ""]
