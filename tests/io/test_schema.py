"""The published schema takes what flowlab writes and reads, and refuses what it refuses; the JavaScript client writes and reads the same files."""
from __future__ import annotations

import copy
import json
import random
import subprocess
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import jsonschema
import numpy as np
import pytest

import flowlab as fl
from flowlab.core.types import DTYPES
from flowlab.io import schema
from flowlab.io.build import build
from flowlab.io.document import COLOURS, Answer, Bookmark, DocBody, Frame, Note, Question, document_of, from_json, from_text
from flowlab.io.lecture import Lecture
from hatch_build import find_node
from tests.io.test_document import HOSTILE, everything, mse
from tests.ops.cases import CASES

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "javascript"
READER = jsonschema.Draft202012Validator(schema.schema())


def test_the_published_schema_is_of_this_code_and_is_a_schema():
    assert (ROOT / "flowlab" / "io" / "flow.schema.json").read_text(encoding="utf-8") == schema.text(), "run `make schema`"
    jsonschema.Draft202012Validator.check_schema(schema.schema())


def loops() -> fl.Graph:
    with fl.Graph("loops") as g:
        x, k = fl.placeholder((None, 3), name="x"), fl.variable(2.0, name="k")
        with fl.scan(x, name="rnn") as step:
            h = step.state("h", init=np.zeros(3, "float32"))
            new = fl.cond(fl.sum(h) > 0, lambda: h * k, lambda: h + step.input, name="which")
            step.update(h, new)
            step.output(new)
        fl.gradients(fl.sum(step.outputs[0]), [k])
        fl.while_loop(lambda r: r < 100.0, lambda r: r * k, k, name="grow")
        fl.clip(x, min=-float("inf"), name="low")
    return g


@fl.composite
def affine(x, w):
    """Multiply by w."""
    return x @ w


def trained() -> fl.Graph:
    with fl.Graph("été 网络") as g:
        y = affine(fl.placeholder(("batch", 3), name="x"), fl.variable(np.arange(300.0).reshape(3, 100), name="w"), name="block")
        with fl.device("cpu:1"):
            loss = fl.mean(y ** 2, name="loss")
        fl.optim.Adam(0.1).minimize(loss, name="train")
    return g


def dressed() -> fl.Document:
    """A document with everything beside the graph."""
    d = document_of(loops())
    scan = d.nodes["rnn/Scan"]
    body = scan.attrs["body"]
    opened = replace(scan, attrs=MappingProxyType({**scan.attrs, "body": DocBody(body.document, body.inputs, (None, *body.outputs[1:]))}))
    return replace(d, nodes=MappingProxyType({**d.nodes, "rnn/Scan": opened}), positions=MappingProxyType({"x": (1.5, -2.0)}), folded=frozenset({"rnn"}), notes=(Note("see $x$", 0.0, 1.0),),
                   fetches=("low",), feeds=MappingProxyType({"x": np.ones((2, 3), "float32")}), frames=(Frame("in", COLOURS[0], ("x",)),), bound=MappingProxyType({"x": "images"}),
                   questions=(Question("low:0", "value", (0, 1), "What?", True),), answers=(Answer("low:0", "shape", None, "(2, 3)", "(?, 3)", "nearly", "now", 3),),
                   storyboard=(Bookmark("start"), Bookmark("low", "see $x$", 2, "low", (0.0, -1.5, 800.0, 600.0), ("low",), ("rnn",), ("low",), "low:0", "rnn/Scan:xs.0", ("code",))))


GRAPHS = [mse, everything, fl.Graph, loops, trained]


@pytest.mark.parametrize("graph", GRAPHS)
def test_saved_graphs_are_valid(graph, tmp_path):
    fl.save(graph(), tmp_path / "a.flow.json")
    READER.validate(json.loads((tmp_path / "a.flow.json").read_text(encoding="utf-8")))


def test_a_document_with_everything_in_it_is_valid():
    data = json.loads(dressed().text())
    assert set(data) == {"flowlab", *schema.schema()["properties"]} - {"composites", "lecture"}
    READER.validate(data)
    assert from_json(data).text() == dressed().text()


@pytest.mark.parametrize("case", list({c.type: c for c in CASES}.values()), ids=lambda c: c.type)
def test_every_operation_with_its_gradient_is_valid(case):
    with fl.Graph("case") as g:
        made = [None if x is None else fl.placeholder(x.shape, x.dtype, name=f"in{k}") for k, x in enumerate(case.inputs)]
        outputs = [y for y in case.build(made, name="it") if y.dtype.kind == "f"]
        if case.targets and outputs:
            fl.gradients(outputs, [made[k] for k in case.targets], unconnected="zero")
    READER.validate(json.loads(document_of(g).text()))


def accepted(data) -> bool:
    try:
        from_json(data)
    except fl.DocumentError:
        return False
    return True


def changed(data, rng):
    """A copy in which one value, anywhere, is another, is gone, or has moved."""
    data = copy.deepcopy(data)
    spots = []

    def walk(value):
        for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            spots.append((value, key))
            walk(value[key])
    walk(data)
    where, key = rng.choice(spots)
    odd = [None, True, -1, 0, 1.5, 1e300, "", "x", "x:0", "a:b:0", " x", "x/", "->", "^x", [], [[]], {}, {"float": "inf"}, {"float": 1}, {"dtype": "float32", "shape": [1], "data": [1]}, "x" * 3000]
    match rng.randrange(4):
        case 0 if isinstance(where, dict):
            where[rng.choice(["odd", "name", "x"])] = where.pop(key)
        case 1:
            del where[key]
        case _:
            where[key] = copy.deepcopy(rng.choice(odd))
    return data


def test_whatever_flowlab_reads_is_valid_and_most_of_what_it_refuses_is_not():
    rng = random.Random(0)
    seeds = [json.loads(document_of(f()).text()) for f in (mse, loops, trained)] + [json.loads(dressed().text()), Lecture(document_of(trained()), 3, None, 1, 0, {"w": np.zeros((3, 2))}).to_json()]
    refused = missed = 0
    for _ in range(300):
        data = changed(rng.choice(seeds), rng)
        if accepted(data):
            READER.validate(data)
        else:
            refused += 1
            missed += READER.is_valid(data)
    assert refused > 100 and missed < refused / 4      # a wire to a node that is gone: the schema cannot see that


def test_of_what_is_no_document_the_schema_takes_only_what_has_to_be_followed_or_counted():
    assert {name for name, data in HOSTILE.items() if READER.is_valid(data)} == {
        "two nodes of one name", "two nodes of one id", "a node that is a scope", "a wire from nowhere", "a control edge from nowhere", "a fetch of nothing", "a feed of nothing",
        "an array of 2^60", "an array with the wrong bytes", "an array that is ragged", "an int8 of 300", "a bool of 2",
        "a name with a line break", "a name with a bidi override", "a title with control characters"}


# ---------------------------------------------------------------- the client in JavaScript


def node(*arguments: str) -> str:
    ran = subprocess.run([str(find_node()[0]), *arguments], cwd=CLIENT, text=True, capture_output=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_javascript_client_passes_its_own_tests():
    node("--test")


def test_the_javascript_client_knows_every_dtype():
    assert set(json.loads(node("--input-type=module", "-e", 'import { TYPES } from "./flowlab.js"; console.log(JSON.stringify(Object.keys(TYPES)))'))) == set(DTYPES)


def test_a_graph_made_in_javascript_runs_here():
    text = node("--input-type=module", "-e", """
        import { Graph, NDArray } from "./flowlab.js";
        const g = new Graph("from JavaScript");
        const x = g.placeholder(["batch", 3], { name: "x" });
        const w = g.variable([3, 2], { name: "hidden/kernel", value: new NDArray("float32", [3, 2], [1, 2, 3, 4, 5, 6.5]) });
        const big = g.constant(new NDArray("int64", [100], Array.from({ length: 100 }, (_, k) => BigInt(k) * 3n)), { name: "big" });
        const h = g.add("Tanh", { x: g.add("MatMul", { a: x, b: w }) }, {}, { name: "h" });
        g.fetch(g.add("Softmax", { x: h }, { axis: 1 }, { name: "y" }), big);
        process.stdout.write(g.text());
    """)
    READER.validate(json.loads(text))
    document = from_text(text)
    g = build(document).graph
    x = np.array([[1, 0, -1]], "float32")
    got, big = fl.Session(g).run(["y", "big"], {"x": x})
    w = np.array([[1, 2], [3, 4], [5, 6.5]], "float32")
    e = np.exp(np.tanh(x @ w))
    np.testing.assert_allclose(got, e / e.sum(), rtol=1e-6)
    assert np.array_equal(big, np.arange(100) * 3) and document.fetches == ("y", "big")


@pytest.mark.parametrize("graph", [mse, everything, loops, trained, dressed])
def test_a_file_of_flowlabs_goes_through_javascript_unchanged(graph, tmp_path):
    made = graph()
    fl.save(made, tmp_path / "a.flow.json")
    text = node("--input-type=module", "-e", """
        import { readFileSync } from "node:fs";
        import { Graph } from "./flowlab.js";
        process.stdout.write(Graph.read(readFileSync(process.argv[1], "utf8")).text());
    """, str(tmp_path / "a.flow.json"))
    assert from_text(text) == (made if isinstance(made, fl.Document) else document_of(made))
