"""Loops and branches in files from strangers: bodies that are not what they say, mutated and hostile ones, are read or refused."""
from __future__ import annotations

import copy
import json
import random
import sys

import numpy as np
import pytest

import flowlab as fl
from flowlab.io.build import build
from flowlab.io.codegen import to_python
from flowlab.io.document import document_of, from_json, from_text


def looped() -> fl.Graph:
    """A scan around a branch, a loop around a scan, and their gradients."""
    with fl.Graph("loops") as g:
        x = fl.placeholder(("batch", "time", 3), name="x")
        w = fl.variable(np.eye(3, dtype="float32"), name="w")
        with fl.scan(x, time_axis=1, name="rnn") as step:
            before = step.state("h", init=fl.zeros_like(x[:, 0]))
            h = fl.cond(fl.sum(before) > 0, lambda: fl.tanh(step.input + before @ w), lambda: step.input * 2.0, name="either")
            step.update(before, h)
            step.output(fl.dropout(h, 0.5))

        def grow(r):
            with fl.scan(x, time_axis=1, name="inner") as inner:
                total = inner.state("s", init=fl.zeros_like(r))
                inner.update(total, total + fl.sum(inner.input))
            return r + fl.abs(inner.states["s"]) + 1.0
        r = fl.while_loop(lambda r: r < 9.0, grow, fl.constant(np.float32(1)), maximum=9, name="grow")
        loss = fl.add(fl.sum(step.outputs[0]), r, name="loss")
        fl.optim.SGD(0.1).minimize(loss, name="train")
    return g


WHOLE = json.loads(document_of(looped()).text())


def bodies(data, into=()):
    """Every body in a document, with its path."""
    for k, node in enumerate(data["nodes"]):
        for name, value in node.get("attrs", {}).items():
            if isinstance(value, dict) and value.keys() == {"name", "inputs", "outputs", "nodes"}:
                here = (*into, k, name)
                yield here, node, value
                yield from bodies(value, here)


def endless(graph):
    """Is there a loop that nothing bounds?"""
    return any(n.op.name == "While" and n.attrs["maximum"] is None or any(map(endless, n.op.bodies(n.attrs))) for n in graph.nodes if n.op.routine is not None)


def survives(data) -> str:
    """Read it, build it, prepare a run of it: nothing but flowlab's own errors may come of it. Returns how far it got."""
    text = data if isinstance(data, str) else json.dumps(data)
    try:
        document = from_text(text)
    except fl.DocumentError:
        return "refused"
    built = build(document)
    assert from_text(document.text()) == document
    document.same_graph(built.graph)
    try:
        to_python(document)
    except fl.FlowError as error:
        assert str(error)
    got = "built" if not built.diagnostics else "built in part"
    try:
        sess = fl.Session(built.graph)
        wanted = [n for n in built.graph.nodes if not n.op.source]
        sess.plan(tuple(wanted), tuple(built.graph.placeholders))
        for node in built.graph.nodes:
            built.graph.told(node), node.output_names, repr(node)
        feeds = {t: [d if isinstance(d, int) else 2 for d in t.shape] for t in built.graph.placeholders}
        if not endless(built.graph) and all(np.prod(s) < 1000 for s in feeds.values()):
            with np.errstate(all="ignore"):
                sess.run(wanted, {t: np.ones(s, t.dtype) for t, s in feeds.items()})
    except fl.FlowError as error:
        assert str(error)
        got = "not to be run"
    return got


def body_of(data, op):
    return next((node, value) for _, node, value in bodies(data) if node["op"] == op)


def test_the_file_itself_is_whole():
    assert survives(WHOLE) == "built" and sorted({node["op"] for _, node, _ in bodies(WHOLE)}) == ["Cond", "Scan", "While"]


# ---------------------------------------------------------------- hostile by design


def change(op, tamper):
    data = copy.deepcopy(WHOLE)
    tamper(*body_of(data, op))
    return data


def put(holder, key, value):
    holder[key] = value


PLACEHOLDER = {"id": 900_000, "name": "stray", "op": "Placeholder", "attrs": {"shape": [], "dtype": "float32"}}
VARIABLE = {"id": 900_001, "name": "own", "op": "Variable", "attrs": {"shape": [2], "dtype": "float32", "initializer": "zeros"}}

HOSTILE = {
    "no inputs": ("Scan", lambda node, body: put(body, "inputs", [])),
    "one input less": ("Scan", lambda node, body: body["inputs"].pop()),
    "an input twice": ("Scan", lambda node, body: put(body, "inputs", [body["inputs"][0]] * len(body["inputs"]))),
    "an input that is no node": ("Scan", lambda node, body: put(body["inputs"], 0, "nowhere:0")),
    "an input that is no placeholder": ("Scan", lambda node, body: put(body["inputs"], 0, body["outputs"][0])),
    "an input's output that there is not": ("Scan", lambda node, body: put(body["inputs"], 0, body["inputs"][0].replace(":0", ":7"))),
    "no outputs": ("Scan", lambda node, body: put(body, "outputs", [])),
    "an output that is no node": ("Scan", lambda node, body: put(body["outputs"], 0, "nowhere:0")),
    "an output that there is not": ("Scan", lambda node, body: put(body["outputs"], 0, body["outputs"][0].replace(":0", ":9999"))),
    "ten thousand outputs": ("Scan", lambda node, body: put(body, "outputs", body["outputs"][:1] * 10_000)),
    "a million outputs": ("Scan", lambda node, body: put(body, "outputs", body["outputs"][:1] * 1_000_000)),
    "no axes": ("Scan", lambda node, body: put(node["attrs"], "axes", [])),
    "too many axes": ("Scan", lambda node, body: put(node["attrs"], "axes", [0] * 9999)),
    "an axis far away": ("Scan", lambda node, body: put(node["attrs"], "axes", [2**52])),
    "a negative axis": ("Scan", lambda node, body: put(node["attrs"], "axes", [-1])),
    "axes that are a text": ("Scan", lambda node, body: put(node["attrs"], "axes", "0")),
    "negative states": ("Scan", lambda node, body: put(node["attrs"], "states", -1)),
    "endless states": ("Scan", lambda node, body: put(node["attrs"], "states", 2**53)),
    "states that are a truth": ("Scan", lambda node, body: put(node["attrs"], "states", True)),
    "no count of states": ("Scan", lambda node, body: node["attrs"].pop("states")),
    "endless out_axes": ("Scan", lambda node, body: put(node["attrs"], "out_axes", [2**52] * 3)),
    "out_axes to nowhere": ("Scan", lambda node, body: put(node["attrs"], "out_axes", [-2**52])),
    "no body": ("Scan", lambda node, body: node["attrs"].pop("body")),
    "a body that is a number": ("Scan", lambda node, body: put(node["attrs"], "body", 3)),
    "a body that is an array": ("Scan", lambda node, body: put(node["attrs"], "body", {"dtype": "float32", "shape": [1], "data": [1.0]})),
    "a body in a list": ("Scan", lambda node, body: put(node["attrs"], "body", [body])),
    "a body as a count": ("Scan", lambda node, body: put(node["attrs"], "states", body)),
    "an empty body": ("Scan", lambda node, body: body.update(nodes=[], inputs=[], outputs=[])),
    "a variable inside": ("Scan", lambda node, body: body["nodes"].append(VARIABLE)),
    "a placeholder inside that is no input": ("Scan", lambda node, body: body["nodes"].append(PLACEHOLDER)),
    "an output that needs a placeholder which is no input": ("Scan", lambda node, body: (body["nodes"].append(PLACEHOLDER | {"attrs": {"shape": [2, 3], "dtype": "float32"}}),
                                                                                      put(body["outputs"], 1, "stray:0"))),
    "a cycle inside": ("Scan", lambda node, body: next(n for n in body["nodes"] if n.get("inputs")).update(inputs={"x": f"{body['nodes'][-1]['name']}:0"})),
    "an op inside that there is not": ("Scan", lambda node, body: next(n for n in body["nodes"] if n.get("inputs")).update(op="Nonsense")),
    "a node inside that has the loop's own id": ("Scan", lambda node, body: put(body["nodes"][0], "id", node["id"])),
    "a gradient in which a node waits for one outside": ("Scan", lambda node, body: put(body["nodes"][-1], "control", ["x"])),
    "branches that swap": ("Cond", lambda node, body: node["attrs"].update(then=node["attrs"]["otherwise"], otherwise=node["attrs"]["then"])),
    "a branch without outputs": ("Cond", lambda node, body: put(body, "outputs", [])),
    "a branch without inputs": ("Cond", lambda node, body: put(body, "inputs", [])),
    "a condition of numbers": ("While", lambda node, body: put(node["attrs"], "condition", node["attrs"]["body"])),
    "no states": ("While", lambda node, body: put(node["attrs"], "states", 0)),
    "a maximum below zero": ("While", lambda node, body: put(node["attrs"], "maximum", -5)),
    "a maximum that is a text": ("While", lambda node, body: put(node["attrs"], "maximum", "many")),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_body_is_refused_or_left_out(what):
    got = survives(change(*HOSTILE[what]))
    harmless = {"a placeholder inside that is no input", "branches that swap", "a node inside that has the loop's own id", "states that are a truth", "a maximum below zero"}
    assert got != "built" or what in harmless


def nested(depth):
    """A branch in a branch in a branch …"""
    end = {"id": 1, "name": "y", "op": "Identity", "inputs": {"x": "x:0"}}
    place = {"id": 0, "name": "x", "op": "Placeholder", "attrs": {"shape": [], "dtype": "float32"}}
    inner = {"name": "b", "inputs": ["x:0"], "outputs": ["y:0"], "nodes": [place, end]}
    for _ in range(depth):
        yes = {"id": 2, "name": "p", "op": "Greater", "inputs": {"a": "x:0", "b": "x:0"}}
        choose = {"id": 1, "name": "y", "op": "Cond", "attrs": {"then": inner, "otherwise": inner}, "inputs": {"predicate": "p:0", "xs.0": "x:0"}}
        inner = {"name": "b", "inputs": ["x:0"], "outputs": ["y:0"], "nodes": [place, yes, choose]}
    return {"flowlab": 1, "name": "nested", "nodes": inner["nodes"]}


def test_bodies_in_bodies_are_bounded():
    assert survives(nested(3)) == "built"
    small = {"id": 1, "name": "y", "op": "Scan"}
    for depth in (20, 60, 400):
        text = '{"nodes":[{"id":1,"name":"y","op":"Scan","attrs":{"body":' * depth
        with pytest.raises(fl.DocumentError):
            from_text('{"flowlab":1,' + text[1:] + json.dumps(small) + "}}]}" * depth)
    assert survives(nested(9)) != "refused"
    data = inner = {"nodes": []}
    for _ in range(sys.getrecursionlimit()):
        inner["nodes"] = [{"id": 1, "name": "y", "op": "Scan", "attrs": {"body": (below := {"name": "b", "inputs": [], "outputs": [], "nodes": []})}}]
        inner = below
    with pytest.raises(fl.DocumentError):
        from_json({"flowlab": 1, **data})


# ---------------------------------------------------------------- hostile by chance


def tampered(rng):
    """The file with some of its bodies, and of the attributes beside them, changed."""
    data = copy.deepcopy(WHOLE)
    for _ in range(rng.randrange(1, 4)):
        _, node, body = rng.choice(list(bodies(data)))
        others = [b for _, _, b in bodies(data)]
        tensors = [f"{n['name']}:{k}" for n in body["nodes"] for k in (0, 0, 0, 1, 9)] + ["nowhere:0", "x:0", ""]
        names = [n["name"] for n in body["nodes"]] + ["x", "nowhere"]
        inner = rng.choice(body["nodes"]) if body["nodes"] else node
        match rng.randrange(14):
            case 0:
                body[rng.choice(["inputs", "outputs"])] = [rng.choice(tensors) for _ in range(rng.randrange(5))]
            case 1:
                ends = body[rng.choice(["inputs", "outputs"])]
                rng.shuffle(ends)
            case 2:
                ends = body[rng.choice(["inputs", "outputs"])]
                ends.append(rng.choice(tensors)) if rng.random() < 0.5 else ends and ends.pop(rng.randrange(len(ends)))
            case 3:
                node["attrs"][rng.choice(["axes", "out_axes"])] = rng.choice([[], [0], [1], [-1], [0, 0], [2**53], [0] * 99, None, 0, "0", [True], [[0]], [0.5]])
            case 4:
                node["attrs"][rng.choice(["states", "maximum"])] = rng.choice([0, 1, 2, 3, -1, 2**53, True, None, "1", 1.5, [1], {"float": "nan"}])
            case 5:
                node["attrs"][rng.choice(["body", "then", "otherwise", "condition", "reverse", "checkpoint"])] = copy.deepcopy(rng.choice([*others, None, 1, True, [], "x"]))
            case 6:
                node["op"] = rng.choice(["Scan", "Cond", "While", "Add", "Identity", "Nonsense"])
            case 7:
                inner["inputs"] = {p: rng.choice(tensors) for p in inner.get("inputs", {"x": ""})}
            case 8:
                inner["op"] = rng.choice(["Variable", "Placeholder", "Constant", "Assign", "Tanh", "Add", "Scan", "LSTM", "Dropout"])
            case 9 if len(body["nodes"]) > 1:
                body["nodes"].remove(inner)
            case 10:
                rng.shuffle(body["nodes"])
            case 11:
                inner["id"] = rng.choice([node["id"], inner["id"] + 1, 0, 2**52])
            case 12:
                inner["control"] = [rng.choice(names)]
            case _:
                inner.setdefault("attrs", {})[rng.choice(["shape", "dtype", "axis", "value", "key", "body"])] = rng.choice(
                    [None, "float64", "int64", "bool", [], [2, 3], ["batch", 3], [2**40], -1, {"dtype": "float32", "shape": [2], "data": [1.0, 2.0]}, copy.deepcopy(rng.choice(others))])
    return data


def reach(seeds):
    """How far files got, by what became of them."""
    count = {}
    for seed in seeds:
        try:
            got = survives(tampered(random.Random(seed)))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
        count[got] = count.get(got, 0) + 1
    return count


def test_bodies_tampered_with_are_read_or_refused():
    assert reach(range(250)).keys() >= {"refused", "built", "built in part"}


@pytest.mark.slow
def test_ten_thousand_tampered_bodies_are_read_or_refused():
    reach(range(1000, 11_000))
