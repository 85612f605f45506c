"""flowlab: a laboratory for dataflow graphs.

Build a graph, differentiate it, run it, step it node by node:

>>> import flowlab as fl
>>> with fl.Graph("square") as g:
...     x = fl.placeholder((), name="x")
...     y = fl.square(x, name="y")
...     dy, = fl.gradients(y, [x])
>>> with fl.Session(g) as sess:
...     float(sess.run(dy, {x: 3.0}))
6.0
"""
from __future__ import annotations

import sys as _sys
from importlib import import_module as _import_module
from typing import Any as _Any

from .autodiff import gradients, jvp
from .control import written_out as _written_out  # noqa: F401  # gives the LSTM its second derivative
from .control.branch import cond, while_loop
from .control.custom import custom_gradient, hvp
from .control.scan import scan
from .core.errors import (
    AttributeValueError,
    CycleError,
    DebuggerError,
    DeviceError,
    DocumentError,
    DTypeError,
    FeedError,
    FetchError,
    FlowError,
    GradientError,
    KernelError,
    NameTakenError,
    ShapeError,
    UnknownOpError,
    no_attribute as _no_attribute,
)
from .core.graph import Graph, Node, Tensor, control_dependencies, device, name_scope
from .core.op import REGISTRY as _REGISTRY, Op, op
from .ops.random import dropout
from .ops.state import assign, constant, group, placeholder, variable

__version__ = "0.1.0"

# what loads when it is asked for: name → module
_LAZY = {
    "Debugger": "debugger", "Recording": "debugger", "compare": "trace.compare", "load_trace": "trace.saved", "Stop": "debugger",
    "Session": "runtime.session", "Timeline": "runtime.timeline", "Trace": "trace.trace", "Event": "trace.trace",
    "Body": "control.body", "Document": "io.document", "load": "io.document", "load_document": "io.document", "load_lecture": "io.lecture", "Lecture": "io.lecture", "Bookmark": "io.document", "save": "io.document", "to_python": "io.codegen", "to_onnx": "io.onnx.writing", "to_numpy": "io.numpy_script", "to_latex": "io.latex", "Latex": "io.latex",
    "from_onnx": "io.onnx.reading",
    "fit": "apps.fit", "evaluate": "apps.distributed", "History": "apps.history", "Training": "apps.training", "train_loop": "apps.training", "Tape": "apps.tape", "debug": "apps.tape", "check_gradients": "apps.check", "expand": "nn.layers", "replicas": "nn.replicas", "composite": "core.composite", "Composite": "core.composite",
    "exercise": "apps.exercise", "load_exercise": "apps.exercise", "Exercise": "apps.exercise", "break_graph": "apps.faults",
    "TensorType": "core.types", "load_op_library": "ops.library", "get_include": "ops.library", "OpLibraryError": "ops.library",
    "global_avg_pool": "ops.conv", "global_max_pool": "ops.conv",
    "arange": "ops.layout", "moveaxis": "ops.layout", "swapaxes": "ops.layout", "dot": "ops.linalg", "einsum": "ops.linalg", "norm": "ops.linalg",
    "zeros": "ops.layout", "ones": "ops.layout", "full": "ops.layout", "full_like": "ops.layout", "ravel": "ops.layout", "meshgrid": "ops.layout",
    "diag": "ops.linalg", "inner": "ops.linalg", "tensordot": "ops.linalg", "cross": "ops.linalg", "softmin": "ops.activation",
    "deg2rad": "ops.math", "rad2deg": "ops.math", "nan_to_num": "ops.math", "isclose": "ops.math", "allclose": "ops.math",
    "binary_cross_entropy": "ops.loss", "cosine_similarity": "ops.loss",
    "median": "ops.order", "percentile": "ops.order", "diff": "ops.order", "ptp": "ops.reduce", "average": "ops.reduce",
    "Editor": "widgets.editor", "LSTMView": "widgets.lstm", "TrainingView": "widgets.training", "ConvView": "widgets.conv", "RNNView": "widgets.rnn",
    "to_html": "widgets.replay", "Replay": "widgets.replay", "replay": "widgets.replay",
}
_MODULES = {"nn": "nn", "init": "nn.init", "optim": "nn.optim", "data": "data", "linalg": "ops.linalg", "plots": "apps.plots", "examples": "apps.examples", "ops": "ops"}
_FUNCTIONS = {o.function: o for o in _REGISTRY.values() if o.source is None and o.function not in globals() and o.function not in _LAZY and o.function != "trace"}     # flowlab.trace is a package: the operation is linalg's


def _magic(line: str) -> _Any:
    """`%flowlab debug`: open the run that the last exception came from, at the node that failed."""
    return _import_module(".widgets.magic", __name__).flowlab_magic(line)


def load_ipython_extension(shell: _Any) -> None:
    """Give a shell the magic `%flowlab debug`. A notebook that imports flowlab has it; `%load_ext flowlab` gives it to one that does not."""
    shell.register_magic_function(_magic, "line", "flowlab")


def _greet() -> None:
    shell = getattr(_sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        load_ipython_extension(shell)


_greet()


def _draw(graph: Graph, **options: _Any) -> _Any:
    """A graph as a cell's last value draws itself."""
    return __getattr__("Editor")(graph)._repr_mimebundle_(**options)


Graph._repr_mimebundle_ = _draw  # type: ignore[attr-defined]  # core knows no page


def _same_graph(graph: Graph, other: _Any) -> bool:
    """Is it the same graph, up to ids, order of creation, layout and notes? `other` is a Graph or a Document."""
    return _import_module(".io.document", __name__).same_graph(graph, other)


Graph.same_graph = _same_graph  # type: ignore[attr-defined]  # documents compare


def __getattr__(name: str) -> _Any:
    if name in _FUNCTIONS:
        found: _Any = _FUNCTIONS[name]
    elif name in _MODULES:
        found = _import_module(f".{_MODULES[name]}", __name__)
    elif name in _LAZY:
        if name == "Session":
            _import_module(".trace.trace", __name__)  # puts its recorder into Session.trace
        module = _import_module(f".{_LAZY[name]}", __name__)
        found = getattr(module, name)
        if name in ("exercise", "load_exercise", "Exercise"):
            module.Exercise._repr_mimebundle_ = _draw  # apps know no page
    else:
        fresh = next((o for o in _REGISTRY.values() if o.function == name and o.source is None), None)  # an op of one's own
        if fresh is None:
            raise _no_attribute(__name__, name, __dir__())
        return fresh
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*(n for n in globals() if not n.startswith("_")), *_LAZY, *_MODULES, *_FUNCTIONS, "__version__"})


__all__ = [
    "AttributeValueError", "CycleError", "DTypeError", "DebuggerError", "DeviceError", "DocumentError", "FeedError", "FetchError", "FlowError",
    "GradientError", "Graph", "KernelError", "NameTakenError", "Node", "Op", "ShapeError", "Tensor", "UnknownOpError", "assign", "cond", "constant",
    "control_dependencies", "custom_gradient", "device", "dropout", "gradients", "group", "hvp", "jvp", "name_scope", "op", "placeholder", "scan", "variable", "while_loop",
]
