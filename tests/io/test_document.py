"""A document is the graph it was made of, read and written without loss, and nothing else gets in."""
from __future__ import annotations

import json
import os

import numpy as np
import pytest

import flowlab as fl
from flowlab.io import document as D
from flowlab.io.build import build
from flowlab.io.document import Document, document_of, from_json, from_text, same_graph


def mse(name: str = "mse", *, flipped: bool = False) -> fl.Graph:
    with fl.Graph(name) as g:
        def inputs():
            return fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 2), name="y")

        def weights():
            return fl.variable(np.arange(6, dtype="float32").reshape(3, 2), name="W"), fl.variable(np.zeros(2, "float32"), name="b")

        if flipped:
            (W, b), (x, y) = weights(), inputs()
        else:
            (x, y), (W, b) = inputs(), weights()
        fl.mean((x @ W + b - y) ** 2, name="loss")
    return g


def everything() -> fl.Graph:
    """Scopes, gradients, updates, control edges, several outputs, constants of several dtypes."""
    with fl.Graph("everything") as g:
        seq = fl.placeholder(("batch", 5, 3), name="seq")
        labels = fl.placeholder(("batch",), "int64", name="labels")
        out, (h_n, c_n) = fl.nn.lstm(seq, 4, name="lstm")
        left, right = fl.split(h_n, 2, axis=1)
        mixed = fl.concat([left, right, fl.constant(np.ones((1, 1))) * fl.cast(left[:, :1], "float64")][:2], axis=1)
        logits = fl.nn.dense(mixed, 7, name="head")
        loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, labels), name="loss")
        fl.optim.Adam(1e-3).minimize(loss, name="train")
        with fl.control_dependencies([loss]):
            fl.add(c_n, fl.constant(np.array([[1.5], [np.inf], [np.nan]])[:1], "float32"), name="late")
    return g


@pytest.mark.parametrize("graph", [mse, everything, fl.Graph])
def test_a_graph_comes_back_from_its_document(graph):
    g = graph()
    built = build(document_of(g))
    assert built.diagnostics == ()
    assert same_graph(built.graph, g)
    assert [(n.name, n.id, n.phase, n.gradient_of, n.device) for n in built.graph.nodes] == [(n.name, n.id, n.phase, n.gradient_of, n.device) for n in g.nodes]
    assert [t.type for n in built.graph.nodes for t in n.outputs] == [t.type for n in g.nodes for t in n.outputs]


def test_a_document_comes_back_from_its_file(tmp_path):
    document = document_of(everything())
    fl.save(document, tmp_path / "a.flow.json")
    assert fl.load_document(tmp_path / "a.flow.json") == document
    g = everything()
    fl.save(g, tmp_path / "b.flow.json")
    assert same_graph(fl.load(tmp_path / "b.flow.json"), g)


def test_a_built_graph_computes_the_same_numbers():
    g = everything()
    feeds = {"seq": np.linspace(-1, 1, 30, dtype="float32").reshape(2, 5, 3), "labels": [3, 6]}
    with fl.Session(g, seed=3) as a, fl.Session(build(document_of(g)).graph, seed=3) as b:
        for _ in range(2):
            assert a.run(["loss", "train"], feeds)[0].tobytes() == b.run(["loss", "train"], feeds)[0].tobytes()


def test_same_graph_sees_names_and_wires_and_not_creation_order_or_titles():
    assert same_graph(mse(), mse("another", flipped=True))
    assert document_of(mse()).same_graph(mse(flipped=True))
    with fl.Graph("mse") as other:
        x, y = fl.placeholder(("batch", 3), name="x"), fl.placeholder(("batch", 2), name="y")
        W, b = fl.variable(np.arange(6, dtype="float32").reshape(3, 2), name="W"), fl.variable(np.zeros(2, "float32"), name="b")
        fl.mean((y - (x @ W + b)) ** 2, name="loss")
    assert not same_graph(mse(), other)


def test_same_graph_sees_every_bit_of_an_array():
    def constant(values, dtype="float32"):
        with fl.Graph() as g:
            fl.constant(np.array(values), dtype, name="c")
        return g

    assert same_graph(constant([1.0, np.nan]), constant([1.0, np.nan]))
    assert not same_graph(constant([0.0]), constant([-0.0]))
    assert not same_graph(constant([1.0]), constant([[1.0]]))
    assert not same_graph(constant([1]), constant([1], "int64"))


@pytest.mark.parametrize("array", [
    np.float32(0.1), np.array([[0.1, -2.5e-38], [3e38, 1e-45]], "float32"), np.array([1.1, -np.pi]), np.arange(65), np.array([True, False]), np.zeros((0, 3), "int8"),
    np.array([2**63 - 1, -2**63]), np.array([np.nan, np.inf, -np.inf], "float16"), np.array([65504, 6e-8], "float16"), np.array([-0.0], "float32"), np.zeros((2, 0, 4)),
    np.arange(12, dtype="int32").reshape(3, 4).T, np.array([255, 0], "uint8"),
], ids=str)
def test_arrays_are_written_without_losing_a_bit(array):
    array = np.asarray(array)
    text = json.dumps(D.encode(array), allow_nan=False)
    back = D.decode(json.loads(text))
    assert back.dtype == array.dtype and back.shape == array.shape and back.tobytes() == np.ascontiguousarray(array).tobytes()
    assert not back.flags.writeable


def test_small_arrays_are_numbers_that_people_can_read():
    assert D.encode(np.array([0.1, 2], "float32")) == {"dtype": "float32", "shape": [2], "data": [0.1, 2.0]}


HOSTILE = {
    "not an object": [],
    "no version": {"name": "a", "nodes": []},
    "version is a text": {"flowlab": "1"},
    "version is true": {"flowlab": True},
    "an old version that never was": {"flowlab": 0},
    "an unknown field": {"flowlab": 1, "nodes": [], "exec": "import os"},
    "nodes is an object": {"flowlab": 1, "nodes": {}},
    "a node is a number": {"flowlab": 1, "nodes": [3]},
    "a node lacks its op": {"flowlab": 1, "nodes": [{"id": 0, "name": "x"}]},
    "two nodes of one name": {"flowlab": 1, "nodes": [{"id": 0, "name": "x", "op": "Relu"}, {"id": 1, "name": "x", "op": "Relu"}]},
    "two nodes of one id": {"flowlab": 1, "nodes": [{"id": 0, "name": "x", "op": "Relu"}, {"id": 0, "name": "y", "op": "Relu"}]},
    "a negative id": {"flowlab": 1, "nodes": [{"id": -1, "name": "x", "op": "Relu"}]},
    "an id of true": {"flowlab": 1, "nodes": [{"id": True, "name": "x", "op": "Relu"}]},
    "an empty name": {"flowlab": 1, "nodes": [{"id": 0, "name": "", "op": "Relu"}]},
    "a name with a line break": {"flowlab": 1, "nodes": [{"id": 0, "name": "a\nb", "op": "Relu"}]},
    "a name with a bidi override": {"flowlab": 1, "nodes": [{"id": 0, "name": "a\u202eb", "op": "Relu"}]},
    "a name with a colon": {"flowlab": 1, "nodes": [{"id": 0, "name": "a:0", "op": "Relu"}]},
    "an endless name": {"flowlab": 1, "nodes": [{"id": 0, "name": "a" * 5000, "op": "Relu"}]},
    "a node that is a scope": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu"}, {"id": 1, "name": "a/b", "op": "Relu"}]},
    "a wire from nowhere": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu", "inputs": {"x": "b:0"}}]},
    "a wire from no output": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu", "inputs": {"x": "a:-1"}}]},
    "a wire from an endless output": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu", "inputs": {"x": "a:" + "9" * 99}}]},
    "a control edge from nowhere": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu", "control": ["b"]}]},
    "a phase that is none": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu", "phase": ["forward"]}]},
    "an attribute that is an object": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu", "attrs": {"x": {"__reduce__": "os.system"}}}]},
    "an array of 2^60": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Constant", "attrs": {"value": {"dtype": "float32", "shape": [2**50, 1024], "data": ""}}}]},
    "an array with the wrong bytes": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Constant", "attrs": {"value": {"dtype": "float32", "shape": [2], "data": "AAAA"}}}]},
    "an array of objects": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Constant", "attrs": {"value": {"dtype": "object", "shape": [1], "data": "AAAA"}}}]},
    "an array that is ragged": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Constant", "attrs": {"value": {"dtype": "int8", "shape": [2, 1], "data": [[1], [1, 2]]}}}]},
    "an int8 of 300": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Constant", "attrs": {"value": {"dtype": "int8", "shape": [1], "data": [300]}}}]},
    "a bool of 2": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Constant", "attrs": {"value": {"dtype": "bool", "shape": [1], "data": "Ag=="}}}]},
    "a place off the canvas": {"flowlab": 1, "nodes": [{"id": 0, "name": "a", "op": "Relu"}], "positions": {"a": [0, 1e300]}},
    "a fetch of nothing": {"flowlab": 1, "nodes": [], "fetches": ["a"]},
    "a feed of nothing": {"flowlab": 1, "nodes": [], "feeds": {"a": {"dtype": "int8", "shape": [], "data": 1}}},
    "folded is a text": {"flowlab": 1, "nodes": [], "folded": "all"},
    "a note that is none": {"flowlab": 1, "nodes": [], "notes": [{"text": "a"}]},
    "a title with control characters": {"flowlab": 1, "name": "a\x1b[31m", "nodes": []},
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_document_is_refused(data):
    with pytest.raises(fl.DocumentError):
        from_json(data)


def test_a_newer_document_says_to_upgrade():
    with pytest.raises(fl.DocumentError, match="[Uu]pgrade"):
        from_json({"flowlab": D.VERSION + 1, "nodes": [], "something": "new"})


def test_an_older_document_is_brought_up_to_date_step_by_step(monkeypatch):
    monkeypatch.setattr(D, "VERSION", 3)      # three versions, each with a format of its own
    monkeypatch.setattr(D, "MIGRATIONS", {
        1: lambda data: {**{k: v for k, v in data.items() if k != "title"}, "name": data["title"]},
        2: lambda data: {**data, "nodes": [{**n, "op": n["op"].replace("Matmul", "MatMul")} for n in data["nodes"]]},
    })
    document = from_json({"flowlab": 1, "title": "old", "nodes": [{"id": 0, "name": "m", "op": "Matmul"}]})
    assert document.name == "old" and document.nodes["m"].op == "MatMul"


def test_names_that_mean_something_elsewhere_are_only_names(tmp_path):
    names = ["__proto__", "constructor", "<img src=x onerror=alert(1)>", "';drop", "{{7*7}}", "..", "=1+1", "卷积", "a b"]
    with fl.Graph("names") as g:
        for name in names:
            fl.placeholder((), name=name)
    fl.save(g, tmp_path / "names.flow.json")
    assert [n.name for n in fl.load(tmp_path / "names.flow.json").nodes] == names


def test_shapes_too_large_to_fill_are_only_shapes():
    with fl.Graph() as g:
        fl.placeholder((2**40, 2**40), name="x")
    assert build(from_text(document_of(g).text())).graph.nodes["x"].outputs[0].shape == (2**40, 2**40)


def test_an_unsound_file_loads_as_a_document_and_not_as_a_graph(tmp_path):
    data = document_of(mse()).to_json()
    next(n for n in data["nodes"] if n["name"] == "y")["attrs"]["shape"] = ["batch", 5]
    (tmp_path / "a.flow.json").write_text(json.dumps(data))
    with pytest.raises(fl.DocumentError, match="Subtract") as caught:
        fl.load(tmp_path / "a.flow.json")
    assert caught.value.node == "Subtract" and caught.value.port == "b" and caught.value.axis == 1
    assert len(fl.load_document(tmp_path / "a.flow.json").nodes) == 9


def test_a_truncated_file_is_refused_at_every_length():
    text = document_of(mse()).text().rstrip()
    for length in range(len(text)):
        with pytest.raises(fl.DocumentError):
            from_text(text[:length])


def test_something_that_is_no_file_is_refused(tmp_path):
    (tmp_path / "pickle").write_bytes(b"\x80\x04\x95\x10\x00\x00\x00")
    with pytest.raises(fl.DocumentError, match="UTF-8"):
        fl.load(tmp_path / "pickle")
    with pytest.raises(FileNotFoundError):
        fl.load(tmp_path / "nothing")


def test_a_failed_save_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.flow.json"
    fl.save(mse(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError):
                fl.save(everything(), path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["a.flow.json"]
    fl.save(everything(), path)
    assert same_graph(fl.load(path), everything())


def test_saving_through_a_link_keeps_the_link(tmp_path):
    fl.save(mse(), tmp_path / "real.json")
    os.symlink(tmp_path / "real.json", tmp_path / "link.json")
    fl.save(everything(), tmp_path / "link.json")
    assert os.path.islink(tmp_path / "link.json") and same_graph(fl.load(tmp_path / "real.json"), everything())


def test_a_file_that_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "a.flow.json"
    fl.save(mse(), path)
    before = path.read_bytes()
    monkeypatch.setattr(D.jsonio, "MAX_BYTES", len(before))
    fl.save(mse(), path)
    with pytest.raises(fl.DocumentError, match="as a file"):
        fl.save(everything(), path)
    assert path.read_bytes() == before and fl.load(path).same_graph(mse())


def test_half_a_character_is_an_error_that_shows_where(tmp_path):
    with fl.Graph() as g, fl.device("gpu\ud800"):
        fl.placeholder((), name="x")
    with pytest.raises(fl.DocumentError, match="gpu"):
        fl.save(g, tmp_path / "a.flow.json")
    assert not list(tmp_path.iterdir())


def test_a_name_as_long_as_the_disk_takes_can_be_saved(tmp_path):
    path = tmp_path / ("图" * 85)
    fl.save(mse(), path)
    assert fl.load(path).same_graph(mse())


def test_feeds_too_large_for_a_file_stay_in_the_kernel():
    from dataclasses import replace
    from types import MappingProxyType

    document = replace(document_of(mse()), feeds=MappingProxyType({"x": np.zeros((3, 3), "float32"), "y": np.zeros((10_000, 2))}))
    assert list(document.to_json()["feeds"]) == ["x"]


def test_documents_say_what_they_are():
    assert repr(document_of(mse())) == "Document 'mse': 9 nodes, 8 wires"
    assert repr(document_of(mse()).nodes["MatMul"]) == "MatMul = MatMul(a=x:0, b=W:0)"
    assert Document() == from_text(Document().text())


def test_a_file_that_is_not_there_is_told_of_as_such(tmp_path):
    for read in (fl.load, fl.load_document, fl.load_trace):
        with pytest.raises(fl.DocumentError, match="there is no file") as caught:
            read(tmp_path / "nothing.flow.json")
        assert isinstance(caught.value, FileNotFoundError)
