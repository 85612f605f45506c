"""The reference, written from what flowlab declares: a page for every category of operations, one for every group of public names, one for the command line.

Each operation's example is run while the page is written: what it prints, the graph with its values, and a recording that can be stepped stand under it.
"""
from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import inspect
import io
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

import flowlab as fl
from flowlab.cli import command_line
from flowlab.core.op import REGISTRY, Op
from flowlab.core.types import DTYPES, KINDS, TensorType, shape_text
from flowlab.io.document import document_of
from flowlab.widgets.static_picture import svg
from tools.site.examples import EXAMPLES, Row

CATEGORIES = {
    "math": ("Arithmetic and functions", "What is computed element by element. Shapes meet by NumPy's rule of broadcasting."),
    "logic": ("Comparisons, logic, bits", "Questions that are answered with true and false, and what is done with the bits of whole numbers. None of them has a derivative."),
    "array": ("Shapes and indices", "What lays values out anew, joins, cuts, picks, sorts and scatters them."),
    "reduce": ("Reductions", "What makes few values of many, along one axis, several, or all of them."),
    "linalg": ("Linear algebra", "Products of matrices, and what is found out about one. `fl.linalg` has them under NumPy's names, with more that are made of them."),
    "activation": ("Activations and normalization", "What stands between the layers of a network."),
    "conv": ("Convolution and pooling", "Images are (batch, channels, height, width), kernels (out, in, height, width)."),
    "loss": ("Losses", "How far a prediction is from what is right: a number a row. `fl.mean` of it is what is usually made small."),
    "recurrent": ("Recurrent layers", "Whole layers as one operation each; `fl.expand` writes one out as a loop that can be stepped. `fl.nn.lstm` and its like make their variables too."),
    "random": ("Random draws", "Draws are keyed by the session's seed, the node, the timestep and the run, so any order of firing and any replay draws the same."),
    "input": ("What begins a graph", "Values that need no input."),
    "state": ("State", "What stays from one run to the next. A run reads the values from before it, and what it assigns is committed at its end."),
}
LINE = "\n    "
LOSSES = {"SparseSoftmaxCrossEntropy", "SoftmaxCrossEntropy"}     # the palette has them beside the softmax
TAKES = {"Float": "floats", "Int": "whole numbers", "Bool": "true or false", "Number": "floats or whole numbers", "Any": "any dtype"}

NAMES = {
    "Graphs": ("graphs", ["Graph", "Node", "Tensor", "TensorType", "Op", "placeholder", "constant", "variable", "assign", "group", "name_scope", "device", "control_dependencies", "dropout"]),
    "Gradients": ("gradients", ["gradients", "jvp", "hvp", "stop_gradient", "custom_gradient", "check_gradients"]),
    "Loops and branches": ("loops", ["scan", "while_loop", "cond", "expand", "Body"]),
    "Running": ("running", ["Session", "Trace", "Event", "Timeline", "compare", "load_trace", "replicas"]),
    "Debugging": ("debugging", ["Debugger", "Stop", "Recording", "Tape", "debug"]),
    "Training": ("training", ["fit", "train_loop", "Training", "History", "evaluate"]),
    "The lab and the views": ("views", ["Editor", "Bookmark", "LSTMView", "RNNView", "ConvView", "TrainingView"]),
    "Files and other programs": ("files", ["save", "load", "load_document", "Document", "load_lecture", "Lecture", "to_python", "to_numpy", "to_latex", "Latex", "to_onnx", "from_onnx", "to_html", "replay", "Replay"]),
    "Operations of your own": ("own", ["op", "composite", "Composite", "load_op_library", "get_include"]),
    "Exercises": ("exercises", ["exercise", "Exercise", "load_exercise", "break_graph"]),
    "Made of operations": ("made", ["allclose", "arange", "average", "binary_cross_entropy", "cosine_similarity", "cross", "deg2rad", "diag", "diff", "dot", "einsum", "full", "full_like", "global_avg_pool",
                                    "global_max_pool", "inner", "isclose", "median", "meshgrid", "moveaxis", "nan_to_num", "norm", "ones", "percentile", "ptp", "rad2deg", "ravel", "softmin", "swapaxes", "tensordot", "zeros"]),
    "Errors": ("errors", ["FlowError", "AttributeValueError", "CycleError", "DTypeError", "DebuggerError", "DeviceError", "DocumentError", "FeedError", "FetchError", "GradientError", "KernelError", "NameTakenError",
                          "OpLibraryError", "ShapeError", "UnknownOpError"]),
}
MODULES = {"fl.nn: layers": "nn", "fl.optim: optimizers and schedules": "optim", "fl.init: first values of variables": "init", "fl.linalg: linear algebra": "linalg", "fl.data: pipelines": "data",
           "fl.plots: figures": "plots", "fl.examples: graphs to start from": "examples"}


@dataclass
class Site:
    """What the pages need beside their text: files by path."""

    pages: dict[str, str] = field(default_factory=dict)
    assets: dict[str, str] = field(default_factory=dict)


def listed() -> list[Op]:
    """The operations that have a section of their own: those of the palette that flowlab declares itself."""
    return [o for o in REGISTRY.values() if o.listed and o.kernel_function.__module__.startswith("flowlab.")]


def category(op: Op) -> str:
    if op.name in LOSSES:
        return "loss"
    bits = op.kernel_function.__module__.endswith(".logic") and op.category == "math"
    return "logic" if bits or op.name in ("Greater", "GreaterEqual", "Less", "LessEqual", "Equal") else op.category


def anchor(op: Op) -> str:
    return op.name.lower()


# ---------------------------------------------------------------- an example, as code and as run


def code_of(op: Op, row: Row) -> str:
    """The example as a program of its own."""
    if row.code:
        return f"import flowlab as fl\n{row.code}"
    feeds: dict[str, Any] = {}
    arguments = []
    for spec in op.inputs:
        if spec.name in row.values:
            several = row.values[spec.name] if spec.variadic else [row.values[spec.name]]
            names = list("abcdefgh"[:len(several)]) if spec.variadic else [spec.name]
            feeds.update(zip(names, several))
            arguments.append(f"[{', '.join(names)}]" if spec.variadic else names[0])
    arguments += [f"{k}={v!r}" for k, v in row.values.items() if k in op.attrs]
    outputs = _outputs(op, row, feeds)
    many = len(outputs) > 3
    lines = ["import flowlab as fl", "", f'with fl.Graph("{op.name}") as g:']
    for name, value in feeds.items():
        dtype = _array(value).dtype.name
        lines.append(f"    {name} = fl.placeholder({_array(value).shape!r}{'' if dtype == 'float32' else f', {dtype!r}'.replace(chr(39), chr(34))}, name=\"{name}\")")
    made = "found" if many else ", ".join(outputs)
    lines.append(f'    {made} = {op.called}({", ".join([*arguments, f"""name="{outputs[0]}" """.strip()])})')
    which, targets = _slope(op, row, feeds)
    fetched = dict.fromkeys(outputs)
    if targets:
        grads = [f"d{t}" for t in targets]
        weights = "" if row.weights is None else f", grad_ys=[{row.weights!r}]"
        first = f"found[{which}]" if many else outputs[which]
        given = f"{', '.join(grads)}{',' if len(grads) == 1 else ''} = fl.gradients({first}, [{', '.join(targets)}]{weights})"
        lines.append(f"    {given}" if len(given) < 92 else f"    {given}".replace(" = fl.", " = \\\n        fl."))
        fetched.update(dict.fromkeys(grads))
    fed = f"feeds = {{{', '.join(f'{n}: {v!r}' for n, v in feeds.items())}}}"
    lines += ["", fed] if len(fed) < 100 else ["", "feeds = {", *(f"    {n}: {v!r}," for n, v in feeds.items()), "}"]
    if many:
        more = [f'"{d}": {d}' for d in fetched if d not in outputs]
        names = ", ".join(f'"{o}"' for o in outputs)
        lines += [f"fetches = dict(zip(({names}), found))", *([f"fetches |= {{{', '.join(more)}}}"] if more else [])]
    else:
        lines.append("fetches = {" + ", ".join(f'"{n}": {n}' for n in fetched) + "}")
    lines += ["for name, value in fl.Session(g).run(fetches, feeds).items():", '    print(name, value, sep="\\n")']
    return "\n".join(lines)


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype("float32") if array.dtype.kind == "f" else array


def _nodes(op: Op, row: Row, types: Mapping[str, TensorType]) -> list[fl.Tensor]:
    """The operation over placeholders of these types, in the graph at hand; its outputs."""
    tensors = {n: fl.placeholder(t.shape, t.dtype.name, name=n) for n, t in types.items()}
    attrs = {k: v for k, v in row.values.items() if k in op.attrs}
    if op.variadic:
        return list(op.node(list(tensors.values()), **attrs).outputs)
    return list(op.node(**tensors, **attrs).outputs)


def _types(op: Op, row: Row) -> dict[str, TensorType]:
    out = {}
    for spec in op.inputs:
        if spec.name in row.values:
            for k, value in enumerate(row.values[spec.name] if spec.variadic else [row.values[spec.name]]):
                array = _array(value)
                out["abcdefgh"[k] if spec.variadic else spec.name] = TensorType(array.shape, array.dtype)
    return out


def _outputs(op: Op, row: Row, feeds: Mapping[str, Any]) -> list[str]:
    with fl.Graph():
        outputs = _nodes(op, row, _types(op, row))
    if len(outputs) == 1:
        return ["out" if "y" in feeds else "y"]
    return list(op.outputs) if len(op.outputs) == len(outputs) else [f"y{k}" for k in range(len(outputs))]


def _slope(op: Op, row: Row, feeds: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Which output is differentiated, the first that can be, and by which inputs."""
    with fl.Graph() as g:
        outputs = _nodes(op, row, _types(op, row))
        floats = [n for n in feeds if g.tensor(f"{n}:0").dtype.kind == "f"]
        for k, output in enumerate(outputs):
            if op.gradient_function is not None and output.dtype.kind == "f":
                found = fl.gradients(output, [g.tensor(f"{n}:0") for n in floats], unconnected="none")
                if targets := [n for n, d in zip(floats, found) if d is not None]:
                    return k, targets
    return 0, []


@dataclass
class Ran:
    """An example that has run: its program, what it printed, its graph, the run recorded."""

    code: str
    printed: str
    graph: fl.Graph
    trace: Any


@functools.cache
def ran(type: str) -> Ran:
    op, row = REGISTRY[type], EXAMPLES[type]
    code = code_of(op, row)
    space, printed = run(code)
    graph = space["g"]
    with np.errstate(all="ignore"):
        trace = fl.Session(graph, seed=1).trace(ends(graph), space.get("feeds", {}))
    return Ran(code, printed.rstrip(), graph, trace)


def run(code: str, space: dict[str, Any] | None = None, name: str = "<example>") -> tuple[dict[str, Any], str]:
    """Run a program; its names, and what it printed."""
    space = {"__name__": "__main__"} if space is None else space
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()), np.errstate(all="ignore"):      # a progress bar is for whoever waits
        exec(compile(code, name, "exec"), space)
    return space, said.getvalue()


def ends(graph: fl.Graph) -> list[fl.Tensor]:
    """The outputs that no node takes."""
    used = {t for n in graph.nodes for t in n.inputs}
    return [t for n in graph.nodes if n.op.source is None and not used & set(n.outputs) for t in n.outputs] or [t for n in graph.nodes for t in n.outputs]


# ---------------------------------------------------------------- pictures


def picture(graph: fl.Graph, trace: Any = None, label: str = "") -> str:
    """The graph as SVG for a page, with what each node gave."""
    values = None if trace is None else {n.name: _short(trace, n) for n in graph.nodes if n.outputs}
    drawn = svg(document_of(graph), values).replace("<svg ", f'<svg role="img" aria-label="{escape(label or graph.name)}: the graph{"" if trace is None else " with its values"}" ', 1)
    return f'<div class="fl-graph" data-search-exclude>{drawn}</div>'


def _short(trace: Any, node: fl.Node) -> str:
    try:
        value = np.asarray(trace.value(node.outputs[0].name))
    except KeyError:
        return ""
    for digits in (3, 2):
        words = " ".join(f"{v:.{digits}g}" if value.dtype.kind == "f" else str(v) for v in value.reshape(-1)[:4])
        if value.size < 4 and value.ndim < 2 and len(words) < 17:
            return f"[{words}]" if value.ndim else words
    return shape_text(value.shape)


def recording(trace: Any, title: str) -> tuple[str, str, str]:
    """A recorded run as a page that shares the lab's code and style with the others: the page, the code, the style."""
    with np.errstate(all="ignore"):
        html = fl.to_html(trace, title=title).html
    style = re.search(r"<style>(.*?)</style>", html, re.S)[1]
    code = re.search(r'<script type="module">(.*)</script>', html, re.S)[1]
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>\n', "", html.replace(f"<style>{style}</style>", '<link rel="stylesheet" href="../assets/replay.css">'))
    page = page.replace(f'<script type="module">{code}</script>', '<script src="../assets/replay.js" defer></script>')
    # a plain script, since browsers load no module from a disk
    return page, f"(() => {{{code.replace('import.meta', '({})')}\n}})()", style


# ---------------------------------------------------------------- an operation's section


def signature(op: Op) -> str:
    inputs = [f"{i.name}{'=None' if i.optional else ''}" for i in op.inputs]
    attrs = [f"{a.name}" if a.required else f"{a.name}={a.default[0] if isinstance(a.default, tuple) and len(a.default) == 1 else a.default!r}" for a in op.attrs.values()]
    return f"{op.called}({', '.join([*inputs, *attrs])})"


def shapes(op: Op, row: Row) -> list[str]:
    """What the shape rule makes of the example's inputs, of named sizes, of more axes, and of something that does not fit."""
    if row.code:
        return []
    given = _types(op, row)
    lines: list[str] = []
    refused = ""
    for types in _variants(given):
        try:
            with fl.Graph():
                outputs = _nodes(op, row, types)
        except fl.FlowError as error:
            why = str(error).splitlines()[0]
            refused = refused or f"{_told(types)}{' ' if len(_told(types)) + len(why) < 90 else LINE}is refused: {why}"
            continue
        names = op.output_names(len(outputs))
        gives = _told(dict(zip(names, (t.type for t in outputs)))) if len(outputs) > 1 else _type(outputs[0].type)
        line = f"{_told(types)}{' ' if len(_told(types)) + len(gives) < 90 else LINE}→ {gives}"
        if line not in lines and len(lines) < 3:
            lines.append(line)
    return [*lines, *([refused] if refused else [])]


def _variants(given: dict[str, TensorType]) -> Iterator[dict[str, TensorType]]:
    yield given
    first = next(iter(given.values()))
    if first.rank:
        size = first.shape[0]
        yield {n: t.with_shape(("batch", *t.shape[1:])) if t is first or t.rank == first.rank and t.shape[0] == size > 1 else t for n, t in given.items()}
    yield {n: t.with_shape(("batch", *t.shape)) if t.rank == first.rank else t for n, t in given.items()}
    last = list(given)[-1]
    for change in (lambda s: (*s[:-1], s[-1] + 2) if s else (7,), lambda s: s[1:], lambda s: ()):
        yield {n: t.with_shape(change(t.shape)) if n == last else t for n, t in given.items()}


def _type(t: TensorType) -> str:
    return f"{t.dtype.name}[{', '.join('?' if d is None else str(d) for d in t.shape)}]"


def _told(types: Mapping[str, TensorType]) -> str:
    return ", ".join(f"{n} {_type(t)}" for n, t in types.items())


def counterpart(type: str) -> str:
    """What the example's operation becomes in ONNX, found by writing it."""
    op = REGISTRY[type]
    example = ran(type)
    node = next((n for n in example.graph.nodes if n.op is op), None)
    if node is None or op.source or not node.outputs:
        return ""
    try:
        model = fl.to_onnx(example.graph, node.outputs[0], fl.Session(example.graph))
    except fl.UnknownOpError:
        return "none."
    kinds = list(dict.fromkeys(n.op_type for n in model.graph.node if n.op_type not in ("Constant", "Identity")))
    return f"`{op.onnx}`" if op.onnx in kinds or op.onnx and not kinds else ", ".join(f"`{k}`" for k in kinds)


def section(op: Op, site: Site) -> str:
    """An operation's part of its page."""
    example, row = ran(op.name), EXAMPLES[op.name]
    parts = [f"## {op.name} {{ #{anchor(op)} }}", f"```{{ .python .fl-signature }}\n{signature(op)}\n```", prose(op.doc)]
    if op.latex:
        parts.append(f"$$\n{op.latex}\n$$")
    facts = []
    if op.inputs:
        facts.append("**Takes** " + "; ".join(f"`{i.name}`{' (any number, in a list)' if i.variadic else ''}: {TAKES[i.kind]}{', may be left out' if i.optional else ''}" for i in op.inputs)
                     + ("." if op.mixed or len(op.inputs) < 2 and not op.variadic else ". Inputs of one kind share a dtype."))
    if len(op.outputs) > 1:
        facts.append("**Gives** " + ", ".join(f"`{o}`" for o in op.outputs) + ".")
    if op.source is None:
        facts.append("**Gradient** " + _gradient_words(op, example))
    if told := counterpart(op.name):
        facts.append(f"**ONNX** {told}")
    if op.zh:
        facts.append(f"**In the palette** {', '.join([op.zh, *(a for a in op.aliases if a != op.zh)])}")
    parts.append("\n".join(f"- {f}" for f in facts))
    if told_shapes := shapes(op, row):
        parts.append("**Shapes**, as the rule infers them before anything runs:\n\n```{ .text .fl-shapes }\n" + "\n".join(told_shapes) + "\n```")
    parts.append(f"```python\n{example.code}\n```\n\n```{{ .text .fl-output }}\n{example.printed}\n```")
    parts.append(picture(example.graph, example.trace, op.name))
    if equations := _equations(op, example):
        parts.append(f"$$\n{equations}\n$$")
    if example.trace.events:
        page, code, style = recording(example.trace, op.name)
        site.assets |= {f"runs/{op.name}.html": page, "assets/replay.js": code, "assets/replay.css": style}
        parts.append(replay_frame(f"../../runs/{op.name}.html", op.name))
    return "\n\n".join(p for p in parts if p)


def replay_frame(address: str, title: str, open: bool = False) -> str:
    return (f'<details class="fl-run"{" open" if open else ""}><summary>Step through this run</summary>'
            f'<iframe src="{address}" loading="lazy" title="{escape(title)}: the recorded run"></iframe></details>')


def _gradient_words(op: Op, example: Ran) -> str:
    if op.gradient_function is None:
        return "none: it hands nothing back, on purpose." if not op.differentiable else "none."
    made = [n for n in example.graph.nodes if n.name.startswith("gradients/")]
    kinds = list(dict.fromkeys(n.op.name for n in made if n.op.name not in ("OnesLike", "Constant")))
    return f"yes; this example's is made of {', '.join(kinds)}." if kinds else "yes: what comes from above is handed on." if made else "yes."


def _equations(op: Op, example: Ran) -> str:
    """The lines of the way back, as the graph has them."""
    back = [n for n in example.graph.nodes if n.name.startswith("gradients/")]
    if not back or len(back) > 12:
        return ""
    return str(fl.to_latex(example.graph, [t for t in ends(example.graph) if t.node in back] or None))


# ---------------------------------------------------------------- words


def prose(doc: str, promote: str = "") -> str:
    """A docstring as Markdown: doctests as code, the rest as paragraphs."""
    lines = inspect.cleandoc(doc or "").splitlines()
    out: list[str] = []
    for is_code, group in itertools.groupby(_in_doctest(lines), key=lambda pair: pair[0]):
        text = [line for _, line in group]
        if is_code:
            out.append("```pycon\n" + "\n".join(text).strip("\n") + "\n```")
        else:
            out.append("\n".join(_words(line) for line in text))
    return "\n\n".join(part.strip("\n") for part in out if part.strip())


def _in_doctest(lines: list[str]) -> Iterator[tuple[bool, str]]:
    inside = False
    for line in lines:
        inside = line.lstrip().startswith(">>>") or inside and bool(line.strip())
        yield inside, line


def _words(line: str) -> str:
    """A line of a docstring with what Markdown would take for a sign of its own as it was meant."""
    pieces = re.split(r"(`[^`]*`)", line)
    return "".join(p if k % 2 else re.sub(r"([*_$\[\]])", r"\\\1", p).replace("<", "&lt;") for k, p in enumerate(pieces))


def name_section(name: str, thing: Any, level: str = "##") -> str:
    """A public name: its call, its words, and a class's methods."""
    shown = name.removeprefix("fl.")
    parts = [f"{level} {shown} {{ #{shown.rpartition('.')[2]} }}"]
    if isinstance(thing, Op):
        return "\n\n".join([parts[0], f"An operation: [{thing.name}](operations/{category(thing)}.md#{anchor(thing)})."])
    call = _call(name, thing)
    if call:
        parts.append(f"```{{ .python .fl-signature }}\n{call}\n```")
    own = getattr(thing, "__doc__", None) or ""
    if inspect.isclass(thing) and re.match(rf"{thing.__name__}\(.*\)$", own):     # what a dataclass says of itself where nobody did
        own = ""
    parts.append(prose(own))
    if inspect.isclass(thing) and not issubclass(thing, Exception):
        rows = []
        for key, member in _members(thing):
            first = inspect.cleandoc(member.__doc__ or "").split("\n\n")[0].replace("\n", " ") if member.__doc__ else ""
            told = f"{key}" if isinstance(member, property) else f"{key}{_arguments(member)}"
            rows.append(f"`{told}`\n:   {_words(first)}")
        parts += rows
    return "\n\n".join(p for p in parts if p)


def _members(thing: type) -> Iterator[tuple[str, Any]]:
    """What a class defines, in the order of the file, and what it has from classes of flowlab that stand nowhere themselves."""
    told = {getattr(fl, n) for _, names in NAMES.values() for n in names if inspect.isclass(getattr(fl, n))} | {fl.optim.Optimizer}
    ours = [base for base in inspect.getmro(thing) if base is thing or base.__module__.startswith("flowlab.") and base not in told]
    for key, raw in dict(pair for base in reversed(ours) for pair in vars(base).items()).items():
        member = getattr(thing, key)
        public = not key.startswith("_") and (inspect.isfunction(member) or isinstance(member, property) or inspect.ismethod(member) or isinstance(raw, functools.cached_property))
        if public and (member.__doc__ or "").strip() and getattr(member, "__module__", "flowlab").startswith("flowlab"):
            if isinstance(raw, functools.cached_property):
                member = property(raw.func)
            yield key, member


def _arguments(thing: Any) -> str:
    try:
        given = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(…)"
    kept = [p.replace(annotation=inspect.Parameter.empty) for k, p in enumerate(given.parameters.values()) if not (k == 0 and p.name in ("self", "cls"))]
    return re.sub(r"<[^>]*?(\w+)(?: at 0x\w+)?>", r"\1", str(given.replace(parameters=kept, return_annotation=inspect.Signature.empty)))


def _call(name: str, thing: Any) -> str:
    if inspect.isclass(thing) and issubclass(thing, Exception) or not callable(thing):
        return ""
    return f"{name}{_arguments(thing.__init__ if inspect.isclass(thing) else thing)}"


def public(module: str) -> list[str]:
    """What a module of `fl` offers: what it lists, else what is defined there."""
    found = importlib.import_module(f"flowlab.{fl._MODULES[module]}")
    names = [n for n in found.__all__ if not inspect.ismodule(getattr(found, n))] if hasattr(found, "__all__") else [
        n for n, v in vars(found).items() if not n.startswith("_") and (inspect.isfunction(v) or inspect.isclass(v)) and v.__module__ == found.__name__]
    return [n for n in names if callable(getattr(found, n)) and (getattr(getattr(found, n), "__doc__", None) or "").strip()]


def unplaced() -> set[str]:
    """Public names of `fl` that no page has."""
    placed = [n for _, names in NAMES.values() for n in names]
    assert len(placed) == len(set(placed)), "a name stands on two pages"
    operations = {o.function for o in REGISTRY.values()}
    return {n for n in dir(fl) if not inspect.ismodule(getattr(fl, n))} - set(placed) - operations - {"annotations", "load_ipython_extension", "__version__"}


# ---------------------------------------------------------------- pages


def build(site: Site) -> None:
    """All generated pages, and what belongs to them."""
    by_category: dict[str, list[Op]] = {key: [] for key in CATEGORIES}
    for op in listed():
        by_category[category(op)].append(op)
    for key, (title, about) in CATEGORIES.items():
        sections = [section(op, site) for op in sorted(by_category[key], key=lambda o: o.name.lower())]
        hidden = sorted(o.name for o in REGISTRY.values() if not o.listed and o.category == key and o.kernel_function.__module__.startswith("flowlab."))
        if hidden:
            sections.append("## On the way back\n\nOperations that gradients, optimizers and files are made of. They can be stepped like all others, and are not in the palette:\n\n"
                            + "\n\n".join(f"`{n}`\n:   {_words(REGISTRY[n].doc.split(chr(10) + chr(10))[0].replace(chr(10), ' '))}" for n in hidden))
        site.pages[f"reference/operations/{key}.md"] = "\n\n".join([f"# {title}", about, *sections]) + "\n"
    site.pages["reference/operations/index.md"] = _index(by_category)
    for title, (slug, names) in NAMES.items():
        site.pages[f"reference/{slug}.md"] = "\n\n".join([f"# {title}", *(name_section(f"fl.{n}", getattr(fl, n)) for n in names)]) + "\n"
    for title, module in MODULES.items():
        found = importlib.import_module(f"flowlab.{fl._MODULES[module]}")
        sections = [name_section(f"fl.{module}.{n}", getattr(found, n)) for n in public(module)]
        site.pages[f"reference/{module}.md"] = "\n\n".join([f"# {title}", prose(found.__doc__ or ""), *sections]) + "\n"
    site.pages["reference/commands.md"] = commands()


def _index(by_category: Mapping[str, list[Op]]) -> str:
    lines = ["# Operations", f"flowlab {fl.__version__} declares {len(REGISTRY)} operations; {sum(map(len, by_category.values()))} of them are in the palette and here, the others make up gradients, loops and files. "
             "Each stands with its words, formula, shapes, gradient, its counterpart in ONNX, and an example that ran when this page was made: the numbers under it are its own, "
             "and **Step through this run** opens the recording of it in the lab, with no kernel.",
             "Kinds of inputs: " + "; ".join(f"*{TAKES[k]}*: " + ", ".join(f"`{d}`" for d in DTYPES if np.dtype(d).kind in kinds) for k, kinds in KINDS.items() if k != "Any") + "."]
    for key, ops in by_category.items():
        lines.append(f"## [{CATEGORIES[key][0]}]({key}.md)")
        rows = [f"| [{o.name}]({key}.md#{anchor(o)}) | `{o.called}` | {'yes' if o.gradient_function else ''} | {_words(o.doc.splitlines()[0]).replace('|', '&#124;')} |" for o in sorted(ops, key=lambda o: o.name.lower())]
        lines.append("| Operation | Function | Gradient | |\n|---|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(lines) + "\n"


def commands() -> str:
    """The command line, from its parser."""
    parser = command_line()
    parts = ["# The command line", parser.description or ""]
    action = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, sub in action.choices.items():
        usage = re.sub(r"\s+", " ", sub.format_usage().removeprefix("usage: ")).strip()
        rows = []
        for option in sub._actions:
            if not isinstance(option, argparse._HelpAction):
                told = ", ".join(option.option_strings) or (option.metavar or option.dest)
                rows.append(f"`{told}{f' {option.metavar}' if option.option_strings and option.metavar else ''}`\n:   {_words(option.help or '')}")
        parts += [f"## flowlab {name} {{ #{name} }}", _words(sub.description or ""), f"```text\n{usage}\n```", *rows]
    return "\n\n".join(parts) + "\n"
