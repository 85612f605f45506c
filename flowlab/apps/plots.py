"""Pictures of a run as plotly Figures, without a widget."""
from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import FlowError, plural
from ..runtime.timeline import Timeline
from ..trace import receptive
from . import cells, uses
from .exercise import read_attempts

# The design's colour maps, light theme: sequential where the domain starts at zero, diverging where it has a sign.
SEQUENTIAL = ("#f9f8e1", "#d7ecaf", "#9ee594", "#63d3a1", "#20bcac", "#0ba3ad", "#0388a8", "#056da3", "#175296", "#1e387a", "#1c1e5d")
DIVERGING = ("#0f4ea3", "#2c72c4", "#4a97e5", "#7eb8f4", "#b8d6f6", "#f1f4f6", "#e9ccb0", "#dea470", "#c97c3b", "#a85718", "#853900")
PHASES = {"forward": "#2566bb", "backward": "#b02e60", "update": "#7f6404"}
MARKS = {"forward": "▶", "backward": "◀", "update": "◆"}
PATTERNS = {"forward": "", "backward": "/", "update": "x"}
LINES = {"f": ("#04786e", "solid"), "i": ("#3463bc", "dash"), "o": ("#9f4d06", "dot"), "g": ("#ac3460", "dashdot"),
         "c": ("#7f6404", "solid"), "h": ("#8e449a", "dash"), "r": ("#9f4d06", "dot"), "z": ("#04786e", "solid")}
WORDS = {"f": "forget", "i": "input", "g": "candidate", "o": "output", "c": "cell", "h": "hidden, out", "r": "reset", "z": "update"}
SHOWN = ("f", "i", "g", "o", "c", "h")


def gates(trace: Any, name: str, unit: int | None = None, sample: int = 0) -> Any:
    """Draw what an LSTM forgot, let in, wrote and showed: six heatmaps, unit by timestep; with `unit`, that unit's lines over time.

    `name` is the layer's node or scope, `sample` its place in the batch. Scales are fixed: 0 to 1 for f, i, o; −1 to 1 for g and h; symmetric
    about 0 for c. Returns a plotly Figure. FlowError for a unit or sample that is not there.
    """
    go, subplots = _plotly()
    values = trace.gates(name)
    batch, steps, units = values["h"].shape
    _check("sample", sample, batch)
    if unit is not None:
        return _unit(go, subplots, values, name, _check("unit", unit, units), sample)
    limit = _limit(values["c"][sample])
    figure = subplots.make_subplots(rows=6, cols=1, shared_xaxes=True, vertical_spacing=0.02)
    for row, letter in enumerate(SHOWN, 1):
        signed = letter in "gch"
        bound = limit if letter == "c" else 1.0
        axis = figure.layout["yaxis" if row == 1 else f"yaxis{row}"]
        figure.add_trace(go.Heatmap(
            z=values[letter][sample].T, name=letter, zmin=-bound if signed else 0.0, zmax=bound, colorscale=_scale(DIVERGING if signed else SEQUENTIAL),
            hovertemplate=f"{letter}, t = %{{x}}, unit %{{y}}: %{{z:.4g}}<extra></extra>",
            colorbar={"thickness": 8, "len": 0.14, "y": float(np.mean(axis.domain)), "yanchor": "middle", "outlinewidth": 0, "tickfont": {"size": 10},
                      "tickvals": [-bound if signed else 0.0, bound]}), row=row, col=1)
        figure.update_yaxes(title={"text": f"<i>{letter}</i>  {WORDS[letter]}", "font": {"size": 12}}, autorange="reversed", nticks=4, row=row, col=1)
    figure.update_xaxes(title_text="step t", row=6, col=1)
    return figure.update_layout(**_layout(f"Gates of {name}, {units} units, sample {sample}"), height=840)


def _unit(go: Any, subplots: Any, values: dict[str, np.ndarray], name: str, unit: int, sample: int) -> Any:
    figure = subplots.make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08,
                                    subplot_titles=("gates and candidate", "memory"))
    for letter in SHOWN:
        colour, dash = LINES[letter]
        figure.add_trace(go.Scatter(
            y=values[letter][sample, :, unit], name=f"{letter}  {WORDS[letter]}", mode="lines", line={"color": colour, "dash": dash, "width": 2},
            hovertemplate=f"{letter}, t = %{{x}}: %{{y:.4g}}<extra></extra>"), row=2 if letter in "ch" else 1, col=1)
    figure.update_yaxes(range=[-1.05, 1.05], row=1, col=1)
    figure.update_xaxes(title_text="step t", row=2, col=1)
    return figure.update_layout(**_layout(f"Unit {unit} of {name}, sample {sample}"), height=520)


def saturation(trace: Any, name: str) -> Any:
    """Draw how often each unit's gates are shut (under 0.1) and open (over 0.9) over a run's whole batch, a dot a unit; of an RNN, the size of h. Returns a plotly Figure.

    `name` is the layer's node or scope. FlowError if the run did not compute it.
    """
    go, subplots = _plotly()
    layer = _recurrent(trace, name)
    moments = cells.moments_of([layer])
    letters = layer.kind.shares or ("h",)
    figure = subplots.make_subplots(rows=1, cols=len(letters), subplot_titles=[f"{k}  {WORDS[k]}" for k in letters], shared_yaxes=True, horizontal_spacing=0.06)
    for column, letter in enumerate(letters, 1):
        shut, opened = cells.saturation(moments, letter)
        figure.add_trace(go.Scatter(x=opened, y=shut, mode="markers", name=letter, marker={"size": 8, "opacity": 0.6, "color": LINES[letter][0]}, showlegend=False,
                                    customdata=list(range(len(shut))), hovertemplate=f"{letter}, unit %{{customdata}}: under 0.1 in %{{y:.0%}}, over 0.9 in %{{x:.0%}}<extra></extra>"), row=1, col=column)
        figure.update_xaxes(title_text="share over 0.9", range=[-0.03, 1.03], tickformat=".0%", row=1, col=column)
    figure.update_yaxes(title_text="share under 0.1", range=[-0.03, 1.03], tickformat=".0%", row=1, col=1)
    return figure.update_layout(**_layout(f"Saturation of {name}, {plural(layer.units, 'unit')}, {cells.said_of(moments)}"), height=400)


def gradient_through_time(trace: Any, name: str, sample: int = 0, seed: int = 0) -> Any:
    """Draw the size of the error at each step on its way back, and that of a plain tanh layer of the same size to which the same error comes. Returns a plotly Figure.

    The plain layer reads the same input and is untrained (`seed`). Without a backward pass in the run the sum of h at the last step stands for the loss. FlowError
    for a layer or sample that is not there.
    """
    go, _ = _plotly()
    layer = _recurrent(trace, name)
    _check("sample", sample, len(layer.x))
    found = cells.beside_a_plain_layer(layer, sample, cells.errors_at(_known(trace), trace.graph.node(name), layer, sample), seed=seed)
    figure = go.Figure()
    for values, label, dash in ((found.own, layer.kind.op, "solid"), (found.plain, f"plain RNN, {plural(layer.units, 'unit')}, untrained", "dash")):
        figure.add_trace(go.Scatter(y=[float(v) if v > 0 else None for v in values], name=label, mode="lines", line={"color": PHASES["backward"] if dash == "solid" else "#4a5568", "dash": dash, "width": 2},
                                    hovertemplate=f"{label}, t = %{{x}}: %{{y:.4g}}<extra></extra>"))
    what = "loss" if found.of_loss else "sum of h at the last step"
    figure.update_yaxes(type="log", title_text=f"‖∂L/∂{layer.kind.memory}(t)‖", exponentformat="power")
    figure.update_xaxes(title_text="step t")
    return figure.update_layout(**_layout(f"Gradient of the {what} through time in {name}, sample {sample}"), height=420)


def _known(trace: Any) -> Any:
    def value(tensor: Any) -> Any:
        try:
            return trace.value(tensor)
        except KeyError:
            return None
    return value


def _recurrent(trace: Any, name: str) -> cells.Layer:
    trace.gates(name)       # says what is wrong with the name
    return cells.layer_values(_known(trace), trace.graph.node(name))


def feature_maps(trace: Any, node: str, sample: int = 0, channels: Sequence[int] | None = None) -> Any:
    """Draw the maps that a layer over images makes of one picture, side by side on one scale. Returns a plotly Figure.

    `node`: any node with an output (batch, channels, rows, columns); `channels`: which of them, the first 64 without it. FlowError for what is not there.
    """
    go, subplots = _plotly()
    tensor = _images(trace, node)
    value = trace.value(tensor)
    _check("sample", sample, value.shape[0])
    count = value.shape[1]
    shown = [_check("channel", c, count) for c in channels] if channels is not None else list(range(min(64, count)))
    if not shown:
        raise FlowError("no channel was chosen.", hint=f"Channels go from 0 to {count - 1}.")
    columns = min(8, len(shown))
    rows = -(-len(shown) // columns)
    maps = value[sample, shown]
    limit, signed = _limit(maps), bool(np.nanmin(maps, initial=0) < 0)
    figure = subplots.make_subplots(rows=rows, cols=columns, subplot_titles=[f"channel {c}" for c in shown], horizontal_spacing=0.02, vertical_spacing=min(0.08, 0.5 / rows))
    for k, c in enumerate(shown):
        figure.add_trace(_map(go, maps[k], limit, signed, f"channel {c}", bar=k == 0), row=k // columns + 1, col=k % columns + 1)
    _square(figure)
    left = "" if channels is not None or count <= 64 else f", the first 64 of {count} channels"
    return figure.update_layout(**_layout(f"Feature maps of {tensor.node.name}, sample {sample}{left}"), height=110 + 150 * rows)


def receptive_field(trace: Any, node: str, y: int, x: int, sample: int = 0) -> Any:
    """Draw what one pixel of a layer sees on every map before it, and where it is seen after: a box on each. Returns a plotly Figure.

    `node`: a convolution, pooling or what goes place by place over images; `y`, `x`: row and column of its output. Boxes are the closed form; each is in
    the Figure's `layout.meta["boxes"]` too, by tensor: (y0, x0, y1, x1), as slices. FlowError for what is not there.
    """
    go, subplots = _plotly()
    tensor = _images(trace, node)

    def known(t: Any) -> bool:
        try:
            return trace.value(t) is not None
        except KeyError:
            return False

    found = receptive.fields(tensor.node, lambda t: tuple(t.shape) if all(isinstance(d, int) for d in t.shape) else trace.value(t).shape, known)
    value = trace.value(tensor)
    _check("sample", sample, value.shape[0])
    _check("row", y, value.shape[2])
    _check("column", x, value.shape[3])
    before = [t for t in found.seen if t in found.sources or t.node.op.name in receptive.WINDOWED]
    ahead = [t for t in found.cone if t.node.op.name in receptive.WINDOWED and t is not tensor]
    order = {n: k for k, n in enumerate(trace.graph.nodes)}
    shown = sorted({*before, tensor, *ahead}, key=lambda t: order[t.node])
    figure = subplots.make_subplots(rows=1, cols=len(shown), subplot_titles=[t.name.removesuffix(":0") for t in shown], horizontal_spacing=0.03)
    boxes: dict[str, list[int]] = {}
    for k, t in enumerate(shown, 1):
        with np.errstate(all="ignore"):
            mean = trace.value(t)[sample].mean(axis=0)
        figure.add_trace(_map(go, mean, _limit(mean), bool(np.nanmin(mean, initial=0) < 0), t.name, bar=False), row=1, col=k)
        box = found.of(t).box(y, x)
        if box is None:
            continue
        boxes[t.name] = list(box)
        y0, x0, y1, x1 = box
        figure.add_shape(type="rect", x0=x0 - 0.5, x1=x1 - 0.5, y0=y0 - 0.5, y1=y1 - 0.5, line={"color": "#1360be" if t in found.seen else "#694daf", "width": 3, "dash": "solid" if t in found.seen else "dash"},
                         row=1, col=k)
    _square(figure)
    return figure.update_layout(**_layout(f"What {tensor.node.name} at row {y}, column {x} sees (solid), and where it is seen (dashed); sample {sample}"), height=300, meta={"boxes": boxes})


def weight_uses(trace: Any, name: str, weight: str | None = None, of: str | None = None) -> Any:
    """Draw what each timestep of a recurrent layer adds to the gradient of a weight, and how much of the error reaches each timestep. Returns a plotly Figure.

    `name`: an RNN, GRU, LSTM or scan, by its node or scope; `weight`: one of its variables, the recurrent one without it; `of`: the scalar that the
    gradient is of, the last one after the layer without it. Bars are the part of dW(t) in the direction of dW, so that they add up to ‖dW‖; the lines are
    ‖∂L/∂h(t)‖ over the batch and its part from the outputs of t, on a log axis. FlowError for what is not there.
    """
    go, subplots = _plotly()
    node = uses.recurrent_node(trace.graph, name)

    def known(t: Any) -> bool:
        try:
            return trace.value(t) is not None
        except KeyError:
            return False

    scalars = uses.losses(node, known) if of is None else [trace.graph.tensor(of if ":" in of else f"{of}:0")]
    if not scalars:
        raise FlowError(f"no scalar of this run comes after {node.name}.", node=node.name, hint="Fetch a loss.")
    found = uses.weight_uses(scalars[0], node, trace.value)
    chosen = found.named(weight)
    steps = np.arange(found.layer.timesteps)
    figure = subplots.make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.1)
    figure.add_trace(go.Bar(x=steps, y=found.along[chosen], name="part of dW(t) along dW", marker={"color": "#8e449a"}, customdata=found.norms[chosen],
                            hovertemplate="t = %{x}: %{y:.4g} of ‖dW‖; ‖dW(t)‖ = %{customdata:.4g}<extra></extra>"), row=1, col=1)
    for values, label, colour, dash in ((found.error, "‖∂L/∂h(t)‖", "#b02e60", "solid"), (found.direct, "from the outputs of t", "#7f6404", "dot")):
        sizes = np.sqrt(np.sum(values * values, axis=1))
        figure.add_trace(go.Scatter(x=steps, y=sizes, name=label, mode="lines+markers", line={"color": colour, "dash": dash, "width": 2}, marker={"size": 5},
                                    hovertemplate=f"{label}, t = %{{x}}: %{{y:.4g}}<extra></extra>"), row=2, col=1)
    figure.update_yaxes(title_text="adds to ‖dW‖", row=1, col=1)
    figure.update_yaxes(title_text="size, log", type="log", exponentformat="power", row=2, col=1)
    figure.update_xaxes(title_text="timestep t", row=2, col=1)
    return figure.update_layout(**_layout(f"Uses of {chosen} by {node.name}: ‖dW‖ = {np.linalg.norm(found.totals[chosen]):.4g}, the gradient of {found.of}"), height=520)


def context(found: Any) -> Any:
    """Draw how well a recurrent and a feed-forward network of the same size guess the next character, and how long they trained, over the length of the context.

    `found`: what `flowlab.apps.characters.contexts(text)` gave. Returns a plotly Figure.
    """
    go, subplots = _plotly()
    figure = subplots.make_subplots(rows=1, cols=2, subplot_titles=("accuracy on unseen text", "seconds of training"))
    n = [r.n for r in found.rows]
    for column, (recurrent, forward) in enumerate((("recurrent", "forward"), ("recurrent_seconds", "forward_seconds")), 1):
        for name, label, colour, dash in ((recurrent, "recurrent", "#8e449a", "solid"), (forward, "feed-forward", "#04786e", "dash")):
            figure.add_trace(go.Scatter(x=n, y=[getattr(r, name) for r in found.rows], name=label, legendgroup=label, showlegend=column == 1, mode="lines+markers",
                                        line={"color": colour, "dash": dash, "width": 2}, customdata=[getattr(r, f"{name.removesuffix('_seconds')}_numbers") for r in found.rows],
                                        hovertemplate=f"{label}, n = %{{x}}: %{{y:.3g}}; %{{customdata}} numbers to learn<extra></extra>"), row=1, col=column)
    figure.update_xaxes(title_text="characters before", type="log" if len(n) > 2 and n[-1] >= 4 * n[0] else "linear", tickvals=n, ticktext=[str(k) for k in n])
    figure.update_yaxes(range=[0, 1.05], tickformat=".0%", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    return figure.update_layout(**_layout(f"The next of {plural(len(set(found.text)), 'character')}, from the last n"), height=360)


def _images(trace: Any, node: str) -> Any:
    """The tensor of images that a node gives in this run; a scope stands for its convolution or pooling."""
    name = str(getattr(node, "name", node)).partition(":")[0].rstrip("/")
    inside = [n for n in trace.graph.nodes if n.name.startswith(name + "/") and n.op.name in receptive.WINDOWED]
    found = inside[0] if inside and name not in trace.graph.nodes else trace.graph.node(name)
    tensor = found.outputs[0] if found.outputs else None
    if tensor is None or len(tensor.shape) != 4:
        raise FlowError(f"{found.name} gives no images.", node=found.name, hint="Choose a node whose output is (batch, channels, rows, columns).")
    return tensor


def _map(go: Any, values: np.ndarray, limit: float, signed: bool, name: str, *, bar: bool) -> Any:
    return go.Heatmap(z=values, name=name, zmin=-limit if signed else 0.0, zmax=limit, colorscale=_scale(DIVERGING if signed else SEQUENTIAL), showscale=bar,
                      hovertemplate=f"{name}, row %{{y}}, column %{{x}}: %{{z:.4g}}<extra></extra>", colorbar={"thickness": 8, "outlinewidth": 0, "tickfont": {"size": 10}})


def _square(figure: Any) -> None:
    figure.update_xaxes(showgrid=False, zeroline=False, nticks=4, constrain="domain")
    figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False, nticks=4, constrain="domain")
    for annotation in figure.layout.annotations:
        annotation.font.size = 11
    for k in range(1, len(figure.data) + 1):
        axis = figure.data[k - 1].yaxis or "y"
        figure.layout[axis.replace("y", "yaxis")].update(scaleanchor=figure.data[k - 1].xaxis or "x")


def training(source: Any, log: bool = False) -> Any:
    """Draw what a training recorded: every step thin, means over epochs bold, those of the validation data dashed; one chart a name. Returns a plotly Figure.

    `source`: a History, or the Training of one. `log`: logarithmic axes. FlowError if nothing was recorded.
    """
    go, subplots = _plotly()
    history = getattr(source, "history", source)
    names = [n for n in getattr(history, "steps", ()) if history.steps[n]]
    if not names:
        raise FlowError(f"this {type(source).__name__.lower()} holds no recorded number.", hint="fl.fit(..., fetches=loss) records the loss at every step.")
    figure = subplots.make_subplots(rows=len(names), cols=1, shared_xaxes=True, vertical_spacing=0.08 / len(names))
    ends = [end - 1 for end in history.ends]
    for row, name in enumerate(names, 1):
        line = {"color": PHASES["forward"]}
        figure.add_trace(go.Scatter(y=history.steps[name], name=name, mode="lines", line={**line, "width": 1}, opacity=0.5, legendgroup=name, hovertemplate=f"step %{{x}}: {name} %{{y:.4g}}<extra></extra>"), row=row, col=1)
        for label, found, style in ((f"{name}, mean of an epoch", history.epochs.get(name), {**line, "width": 2}), (f"{name}, validation", history.validation.get(name), {"color": LINES["o"][0], "width": 2, "dash": "dash"})):
            if found:
                figure.add_trace(go.Scatter(x=ends, y=found, name=label, mode="lines+markers", line=style, marker={"size": 5, "symbol": "square" if "validation" in label else "circle"}, legendgroup=name,
                                            customdata=list(range(len(found))), hovertemplate=f"epoch %{{customdata}}: {label} %{{y:.4g}}<extra></extra>"), row=row, col=1)
        figure.update_yaxes(title_text=name, type="log" if log else "linear", row=row, col=1)
    figure.update_xaxes(title_text="step", row=len(names), col=1)
    return figure.update_layout(**_layout(f"{plural(history.steps_done, 'step')}, {plural(history.epochs_done, 'epoch')} in {history.seconds:.4g} s"), height=120 + 260 * len(names))


def attempts(files: Iterable[str | os.PathLike[str]]) -> Any:
    """Draw what a class has done, from the files of `Exercise.save_attempts`: for each exercise, who solved it at the first check, later, not yet, and who has not tried. Returns a plotly Figure.

    Files of one name are one student's, in whatever order they come, and a check that stands in several of them counts once; a file without a name goes by what it is called itself.
    Pointing at a bar names the students, and what was wrong most often. DocumentError for another file, FlowError if none is given.
    """
    go, _ = _plotly()
    per: dict[str, dict[str, list[Any]]] = {}
    people: dict[str, None] = {}
    for file in files:
        given, found = read_attempts(file)
        name = escape(given.strip() or Path(file).stem)
        people[name] = None
        for a in found:
            per.setdefault(escape(a.exercise), {}).setdefault(name, []).append(a)
    if not per:
        raise FlowError("there are no attempts to draw.", hint="Exercise.save_attempts(path, name) writes those of a student.")
    figure, titles = go.Figure(), list(per)
    kinds = (("at the first check", PHASES["forward"], ""), ("later", LINES["g"][0], "/"), ("not yet", "#4a5568", "x"), ("not tried", "#c5cad3", ""))
    for k, (label, colour, pattern) in enumerate(kinds):
        who = [[n for n in people if _solved(per[t].get(n, ())) == k] for t in titles]
        wrong = [_most(w for n in names for a in dict.fromkeys(per[t].get(n, ())) for w in a.wrong) for t, names in zip(titles, who)]
        figure.add_trace(go.Bar(orientation="h", name=label, y=titles, x=[len(names) for names in who], marker={"color": colour, "line": {"width": 0}, "pattern": {"shape": pattern, "size": 5, "solidity": 0.35}},
                                customdata=[[", ".join(names), f"<br>most often: {w}" if w else ""] for names, w in zip(who, wrong)], hovertemplate="%{y}: %{x} %{customdata[0]}%{customdata[1]}<extra>" + label + "</extra>"))
    figure.update_xaxes(title_text="students", rangemode="tozero", dtick=1 if len(people) < 12 else None)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure.update_layout(**_layout(f"{plural(len(titles), 'exercise')}, {plural(len(people), 'student')}"), barmode="stack", legend_traceorder="normal", bargap=0.35, height=130 + 56 * len(titles))


def _solved(tries: Sequence[Any]) -> int:
    """0: at the first check, 1: later, 2: not yet, 3: not tried."""
    # checks of one second keep their order
    return 3 if not tries else 0 if min(tries, key=lambda a: a.when).solved else 1 if any(a.solved for a in tries) else 2


def _most(texts: Iterable[str]) -> str:
    counted = Counter(texts).most_common(1)
    return escape(counted[0][0]) if counted else ""


def timeline(source: Any) -> Any:
    """Draw every firing of a run as a bar from its start to its end. Returns a plotly Figure.

    `source`: a Timeline, a Trace, or a Debugger. One thread has a lane for each phase; several have a lane each, and phases show by colour and
    pattern. FlowError if nothing fired.
    """
    go, _ = _plotly()
    run = Timeline.of(source)
    if not run.rows:
        raise FlowError(f"this {type(source).__name__.lower()} holds no firing.", hint="Fetch something that is computed, not a feed or a variable.")
    figure = go.Figure()
    several = len(run.lanes) > 1
    names = {lane: lane[1] if lane[0] in lane[1] or len({d for d, _ in run.lanes}) == 1 else f"{lane[0]}, {lane[1]}" for lane in run.lanes}
    for phase, colour in PHASES.items():
        mine = [r for r in run.rows if r.phase == phase]
        if not mine:
            continue
        figure.add_trace(go.Bar(
            orientation="h", name=f"{MARKS[phase]} {phase}, {plural(len(mine), 'firing')}", base=[r.start * 1e3 for r in mine], x=[r.duration * 1e3 for r in mine],
            y=[names[r.device, r.thread] if several else phase for r in mine],
            customdata=[[r.index, r.node, _frame(r), r.duration * 1e6, r.device] for r in mine],
            hovertemplate="%{customdata[0]}: %{customdata[1]}%{customdata[2]}<br>from %{base:.4g} ms, for %{customdata[3]:.4g} µs, on %{customdata[4]}<extra></extra>",
            marker={"color": colour, "line": {"width": 0}, "pattern": {"shape": PATTERNS[phase], "size": 5, "solidity": 0.35}}))
    slowest: dict[str, float] = defaultdict(float)
    for r in run.rows:
        slowest[r.node] += r.duration
    node, seconds = max(slowest.items(), key=itemgetter(1))
    total = run.seconds if several else sum(r.duration for r in run.rows)
    on = f" on {len(run.lanes)} threads" if several else ""
    figure.update_xaxes(title_text="ms from the start", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True, **({"categoryorder": "array", "categoryarray": [names[lane] for lane in sorted(run.lanes)]} if several else {}))
    lanes = len(run.lanes) if several else len({r.phase for r in run.rows})
    return figure.update_layout(**_layout(f"{plural(len(run.rows), 'firing')} in {total * 1e3:.4g} ms{on}; most in {node}, {seconds * 1e3:.4g} ms"), bargap=0.3, barmode="overlay",
                                height=130 + 60 * lanes)


def _frame(event: Any) -> str:
    return f" {event.frame}" if event.frame else ""


def _plotly() -> tuple[Any, Any]:
    try:
        from plotly import graph_objects, subplots
    except ImportError:
        raise FlowError("plots need the package plotly, which is not installed.", hint="pip install plotly") from None
    return graph_objects, subplots


def _check(what: str, value: Any, count: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < count:
        there = f"{what.capitalize()}s go from 0 to {count - 1}." if count > 1 else f"The only {what} is 0." if count else "There is none."
        raise FlowError(f"there is no {what} {value}.", hint=there)
    return int(value)


def _limit(cell: np.ndarray) -> float:
    sizes = np.abs(cell[np.isfinite(cell)])
    top = float(sizes.max()) if sizes.size else 0.0
    return float(f"{top:.2g}") if top > 0 else 1.0


def _scale(colours: Sequence[str]) -> list[list[Any]]:
    return [[k / (len(colours) - 1), colour] for k, colour in enumerate(colours)]


def _layout(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "font": {"size": 15}, "x": 0.01, "xanchor": "left"}, "template": "none", "paper_bgcolor": "#ffffff", "plot_bgcolor": "#ffffff",
        "font": {"family": 'system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif', "size": 12, "color": "#0e1726"},
        "margin": {"l": 96, "r": 24, "t": 48, "b": 44},
    }
