"""Graph, Node, Tensor: names, scopes, types, and what they refuse."""
from __future__ import annotations

import threading

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.graph import Graph
from flowlab.core.op import REGISTRY, get_op


def test_unnamed_nodes_take_their_type_and_a_number_in_their_scope():
    with fl.Graph() as g:
        x = fl.placeholder((3, 3))
        names = [(x @ x).node.name for _ in range(3)]
        with fl.name_scope("inner"):
            inner = [(x @ x).node.name, (x ** 2).node.name]
        with fl.name_scope("inner"):        # entered again, it goes on
            inner.append((x @ x).node.name)
    assert x.name == "Placeholder:0" and names == ["MatMul", "MatMul_1", "MatMul_2"]
    assert inner == ["inner/MatMul", "inner/Square", "inner/MatMul_1"]
    assert g.node("inner/MatMul_1").scope == "inner"


def test_a_number_that_a_person_took_is_passed_over():
    with fl.Graph():
        x = fl.placeholder((2,), name="Add_1")
        assert [(x + x).node.name for _ in range(3)] == ["Add", "Add_2", "Add_3"]


def test_a_taken_name_is_refused_and_leaves_no_node():
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        with fl.name_scope("scope"):
            fl.add(x, x, name="a")
        count = len(g.nodes)
        for name in ("x", "scope", "x/inner", "scope/a/b"):
            with pytest.raises(fl.NameTakenError) as caught:
                fl.square(x, name=name)
            assert caught.value.node
        with pytest.raises(fl.NameTakenError, match="Try 'x_1'"):
            fl.placeholder((2,), name="x")
        with pytest.raises(fl.NameTakenError, match="never share"), fl.name_scope("x"):
            pass
        assert len(g.nodes) == count
        fl.square(x, name="x_1")


@pytest.mark.parametrize("name", ["", " x", "a:0", "^a", "a->b", "a\nb", "a//b", "/a", "x" * 201, "a\x00b", "a\u202eb"])
def test_what_cannot_be_a_name(name):
    with fl.Graph() as g:
        with pytest.raises(fl.NameTakenError):
            fl.placeholder((2,), name=name)
        assert not g.nodes


@pytest.mark.parametrize("name", ["x", "层", "a b", "W.1", "<script>", "größe", "x" * 200, "deep/er/name"])
def test_what_can_be_a_name(name):
    with fl.Graph() as g:
        fl.placeholder((2,), name=name)
    assert g.node(name).name == name and g.tensor(f"{name}:0").name == f"{name}:0"


def test_a_graphs_name_is_any_text():
    for name in ("", "a/b:0", "数据", "<b>", 5):
        assert Graph(name).name == str(name)


def test_looking_up():
    with fl.Graph() as g:
        x = fl.placeholder((4,), name="x")
        parts = fl.split(x, 2, name="parts")
        fl.group([x], name="nothing")
    assert g.tensor("parts:1") is parts[1] and g.tensor("x") is x and g.node("parts").outputs == tuple(parts)
    assert [n.name for n in g.nodes] == ["x", "parts", "nothing"] and "x" in g.nodes and x.node in g.nodes and "z" not in g.nodes
    for name in ("z:0", "parts:2", "parts:q", "nothing", "nothing:0", "x:-2"):
        with pytest.raises(fl.FetchError):
            g.tensor(name)
    with pytest.raises(fl.FetchError, match="Did you mean parts"):
        g.node("partz")


def test_words_that_a_person_reads():
    with fl.Graph("hello") as g:
        x = fl.placeholder(("batch", None, 3), name="x")
        y = fl.relu(x)
    assert repr(x) == "x:0 float32[batch, ?, 3]" and repr(y.node) == "Relu = Relu(x:0) → float32[batch, ?, 3]"
    assert repr(g) == "Graph 'hello': 2 nodes, 0 variables"
    assert (x.name, x.shape, x.dtype, x.node.op.name) == ("x:0", ("batch", None, 3), np.float32, "Placeholder")


def test_a_node_remembers_the_line_that_made_it():
    with fl.Graph():
        x = fl.placeholder((2,))
        y = fl.nn.dense(fl.expand_dims(x, 0), 2)
    for t in (x, y):
        assert t.node.location[0] == __file__
    assert y.node.location[1] == x.node.location[1] + 1


def test_tensors_have_no_value():
    with fl.Graph():
        x = fl.placeholder((2, 3), name="x")
        with pytest.raises(TypeError, match="neither true nor false"):
            bool(x > 0)
        with pytest.raises(TypeError):
            list(fl.placeholder(("batch", 3)))
        assert len(x) == 2 and [r.shape for r in x] == [(3,), (3,)]


def test_arrays_and_numbers_mix_in_on_either_side():
    a = np.arange(6, dtype="float32").reshape(2, 3)
    with fl.Graph() as g:
        x = fl.placeholder((2, 3), name="x")
        made = {"a+x": a + x, "x+a": x + a, "2*x": 2 * x, "x/2": x / 2, "1-x": 1 - x, "2**x": 2 ** x, "x**3": x ** 3, "a@x.T": a @ x.T, "x@a.T": x @ a.T, "-x": -x,
                "abs": abs(x), "x>1": x > 1, "1>x": 1 > x, "list": x + [1.0, 2.0, 3.0], "where": fl.where(x > 1, 0.0, x), "x<=a": x <= a, "x>=a": x >= a}
    v = np.array([[1, -2, 3], [0.5, 1, 2]], "float32")
    got = fl.Session(g).run(made, {x: v})
    want = {"a+x": a + v, "x+a": v + a, "2*x": 2 * v, "x/2": v / 2, "1-x": 1 - v, "2**x": 2**v, "x**3": v**3, "a@x.T": a @ v.T, "x@a.T": v @ a.T, "-x": -v,
            "abs": abs(v), "x>1": v > 1, "1>x": 1 > v, "list": v + [1, 2, 3], "where": np.where(v > 1, 0, v), "x<=a": v <= a, "x>=a": v >= a}
    for k, value in got.items():
        np.testing.assert_allclose(value, want[k], rtol=1e-6)
        assert value.dtype in (np.float32, np.bool_), k
    assert (x ** 2).node.op.name == "Square" and (x @ x.T).node.op.name == "MatMul"


def test_dtypes_meet():
    with fl.Graph():
        t = {d: fl.placeholder((2,), d) for d in ("float16", "float32", "float64", "int8", "int64", "uint8", "bool")}
        for a, b, want in (("float32", "float64", "float64"), ("float16", "int64", "float16"), ("int8", "int64", "int64"), ("int8", "uint8", "int16"), ("float32", "uint8", "float32")):
            assert (t[a] + t[b]).dtype == (t[b] + t[a]).dtype == want
        assert (t["int64"] + 1).dtype == np.int64 and (t["int64"] + 0.5).dtype == np.float32 and (t["float16"] * 2.5).dtype == np.float16
        assert (t["int64"] / 2).dtype == np.float32 and fl.exp(t["int64"]).dtype == np.float32
        assert (t["float64"] + np.float32(1)).dtype == np.float64
        with pytest.raises(fl.DTypeError, match="bool is not a number") as caught:
            t["bool"] + t["int8"]
        assert caught.value.port in ("a", "b")


def test_numbers_that_fit_no_dtype():
    with fl.Graph():
        x = fl.placeholder((2,), "int64")
        for value in (2**70, "text", 1j, None, object(), np.array([1j]), np.datetime64("2020-01-01"), [[1], [1, 2]]):
            with pytest.raises(fl.FlowError):
                fl.add(x, value)
        for value in (2**63, "text", 1j, [1, "a"], [[1], [1, 2]]):
            with pytest.raises(fl.FlowError):
                fl.constant(value)
        assert all(n.outputs[0].dtype.name in ("int64", "float32") for n in x.graph.nodes)
        assert fl.identity(np.arange(3, dtype="uint8")).dtype == np.uint8
        for wrong in ("complex64", "complex128"):
            with pytest.raises(fl.FlowError):
                fl.identity(np.zeros(2, wrong))


@pytest.mark.parametrize("shape", [-1, (2, -3), (1.5,), "a,b", ("",), (True,), ("a:b",), {"a"}, (2**60,), (None,) * 40])
def test_what_is_no_shape(shape):
    with fl.Graph(), pytest.raises(fl.AttributeValueError):
        fl.placeholder(shape)


def test_an_open_graph_belongs_to_its_thread():
    seen = []

    def other():
        try:
            fl.constant(1.0)
        except fl.FlowError as error:
            seen.append(error)
    with fl.Graph():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "no graph is open" in str(seen[0])
    with pytest.raises(fl.FlowError, match="no graph is open"):
        fl.placeholder((2,))


def test_nodes_of_two_graphs_do_not_mix():
    with fl.Graph("one") as one:
        x = fl.placeholder((2,), name="x")
    with fl.Graph("two"):
        y = fl.placeholder((2,), name="y")
        with pytest.raises(fl.FetchError):
            x + y
        with pytest.raises(fl.FlowError), fl.control_dependencies([x]):
            pass
    with one:
        for wrong in ("x", 3, None):
            with pytest.raises(fl.FlowError, match="neither a node nor a tensor"):
                fl.group([wrong])
            with pytest.raises(fl.FlowError, match="neither a node nor a tensor"), fl.control_dependencies([wrong]):
                pass
    assert fl.square(x).graph is one        # an op goes where its inputs are


def test_unknown_ops_name_what_is_near():
    for name, near in (("Matmul", "MatMul"), ("relu", "Relu"), ("Softmx", "Softmax")):
        with pytest.raises(fl.UnknownOpError, match=near) as caught:
            get_op(name)
        assert isinstance(caught.value, LookupError)
    with pytest.raises(AttributeError):
        getattr(fl, "no_such_thing")  # noqa: B009  # the plain attribute would look like a slip


def test_device_requests_and_phases_are_kept():
    with fl.Graph() as g:
        x = fl.placeholder((2,), name="x")
        with fl.device("gpu:0"):
            y = fl.square(x)
        grads = fl.gradients(fl.sum(y), [x])
    assert y.node.device == "gpu:0" and x.node.device is None
    assert grads[0].node.phase == "backward" and grads[0].node.gradient_of == "Square" and grads[0].node.name.startswith("gradients/Square/")
    assert g.node("x").phase == "forward"


def test_an_op_of_ones_own():
    @fl.op(category="math", latex="x^3", infer=lambda x, **_: x)
    def cube(xp, x: Float, *, scale: float = 1.0):      # noqa: F821  # a kind of input
        """Multiply each value by itself twice."""
        return x * x * x * scale

    @cube.gradient
    def _(node, g):
        return (lambda: g * 3.0 * node.attrs["scale"] * node.inputs[0] ** 2,)
    try:
        with fl.Graph() as g:
            x = fl.placeholder((3,), "float64", name="x")
            y = fl.cube(x, scale=2.0)
            d, = fl.gradients(y, [x])
        y, d = fl.Session(g).run([y, d], {x: [1.0, 2, 3]})
        np.testing.assert_allclose(y, [2, 16, 54])
        np.testing.assert_allclose(d, [6, 24, 54])
        with pytest.raises(fl.AttributeValueError, match="already registered"):
            fl.op(function="relu")(lambda xp, x: x)
    finally:
        del REGISTRY["Cube"]
        vars(fl).pop("cube", None)


def test_a_tensor_that_is_taken_for_an_array_says_where_its_value_comes_from():
    with fl.Graph():
        x = fl.placeholder((2,), name="x")
        for take in (float, int, np.exp, np.asarray, np.sum, lambda t: np.add(np.ones(2, "float32"), t)):
            with pytest.raises(TypeError, match=r"x:0 has no value before it runs.*Session\.run.*fl\.exp"):
                take(x)
        ones = np.ones(2, "float32")
        for made in (ones + x, ones - x, ones * x, np.float32(2) * x, np.float64(2) / x, ones @ x, 2 - x):
            assert isinstance(made, fl.Tensor)
        with pytest.raises(fl.FlowError, match="is not a number"):
            fl.dropout(x, x)


def test_a_misspelt_function_is_told_its_name():
    with pytest.raises(AttributeError, match="'sofmax'. Did you mean softmax"):
        _ = fl.sofmax
    with pytest.raises(AttributeError, match="no attribute 'qqqqqqqq'.$"):
        _ = fl.qqqqqqqq
    with pytest.raises(AttributeError, match="module 'flowlab.nn' has no attribute 'LSTM'. Did you mean lstm"):
        _ = fl.nn.LSTM
    with pytest.raises(AttributeError, match="'Adm'. Did you mean Adam"):
        _ = fl.nn.optim.Adm
    assert not hasattr(fl, "__path_of_nothing__")


@pytest.mark.parametrize(("name", "why"), [("a b/", "'a b/' cannot be a name: nothing stands on one side of a '/'"), ("", "it is empty"), (" a", "' a' cannot be a name: it has a space at an end"),
                                           ("s/a ", "its part 'a ' has a space"), ("a:0", "it holds ':'"), ("a->b", "it holds '->'"), ("a" * 201, "it has 201 characters"), ("a\nb", "cannot be shown")])
def test_a_name_that_cannot_be_says_what_is_wrong_with_it(name, why):
    with fl.Graph(), pytest.raises(fl.NameTakenError) as caught:
        fl.placeholder((), name=name)
    assert why in str(caught.value)


def test_one_of_a_thing_is_written_in_the_singular():
    with fl.Graph("g") as g:
        fl.variable(np.ones(2, "float32"), name="v")
        with pytest.raises(fl.FlowError, match="takes 1 input "):
            fl.relu.ports(3)
    assert repr(g).endswith("1 node, 1 variable")


def test_a_tensor_compares_with_numbers_as_a_node_and_with_tensors_as_itself():
    with fl.Graph() as g:
        x = fl.placeholder((3,), name="x")
        y = fl.where(x == 0, 1.0, x)
        z = fl.where(x != np.float32(2), 0.0, x)
    assert [v.tolist() for v in fl.Session(g).run([y, z], {x: [0, 1, 2]})] == [[1, 1, 2], [0, 0, 2]]
    assert (x == x) is True and (x == y) is False and (x != y) is True and x in [y, x] and {x: 1}[x] == 1 and (x == "x") is False and (x == None) is False  # noqa: E711
