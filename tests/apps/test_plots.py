"""fl.plots: the numbers in the Figures are the run's, and the scales say what they should."""
from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("plotly")

import flowlab as fl
from flowlab.apps import plots

BATCH, TIME, UNITS = 3, 9, 5


@pytest.fixture(scope="module")
def trace():
    with fl.Graph("plots") as g:
        x = fl.placeholder(("batch", TIME, 4), name="x")
        out, _ = fl.nn.lstm(x, UNITS, name="lstm")
        loss = fl.mean(fl.square(out), name="loss")
        train = fl.optim.SGD(0.1).minimize(loss, name="train")
    return fl.Session(g, seed=1).trace([loss, train], {x: np.random.default_rng(2).normal(size=(BATCH, TIME, 4)).astype("float32")})


def test_gates_draws_six_heatmaps_of_the_recorded_values(trace):
    figure = fl.plots.gates(trace, "lstm/LSTM", sample=2)
    assert [d.type for d in figure.data] == ["heatmap"] * 6
    for drawn, (letter, value) in zip(figure.data, ((k, trace.gates("lstm")[k]) for k in "figoch")):
        assert drawn.name == letter
        np.testing.assert_array_equal(np.asarray(drawn.z), value[2].T)
    assert figure.layout.yaxis.autorange == "reversed", "unit 0 stands on top, as in the view"


def test_heatmap_scales_are_fixed_and_symmetric_where_signed(trace):
    scales = {d.name: (d.zmin, d.zmax) for d in fl.plots.gates(trace, "lstm").data}
    assert all(scales[k] == (0, 1) for k in "fio") and all(scales[k] == (-1, 1) for k in "gh")
    lo, hi = scales["c"]
    assert lo == -hi and hi == pytest.approx(np.abs(trace.gates("lstm")["c"][0]).max(), rel=0.05)


def test_with_a_unit_the_lines_are_that_units(trace):
    figure = fl.plots.gates(trace, "lstm/LSTM", unit=3, sample=1)
    assert [d.type for d in figure.data] == ["scatter"] * 6
    for line in figure.data:
        np.testing.assert_array_equal(np.asarray(line.y), trace.gates("lstm")[line.name[0]][1, :, 3])
    assert len({(d.line.color, d.line.dash) for d in figure.data}) == 6
    assert [d.yaxis for d in figure.data] == ["y", "y", "y", "y", "y2", "y2"], "gates above, memory below"


@pytest.mark.parametrize("arguments, says", [
    ({"unit": UNITS}, f"Units go from 0 to {UNITS - 1}"), ({"unit": -1}, "Units"), ({"unit": 1.5}, "Units"), ({"sample": BATCH}, "Samples go from 0 to 2"),
])
def test_a_unit_or_sample_that_is_not_there_is_told(trace, arguments, says):
    with pytest.raises(fl.FlowError, match=says):
        fl.plots.gates(trace, "lstm", **arguments)


@pytest.mark.parametrize("name", ["loss", "nothing"])
def test_what_is_no_lstm_is_told(trace, name):
    with pytest.raises(fl.FlowError):
        fl.plots.gates(trace, name)


def test_timeline_has_a_bar_for_every_firing(trace):
    figure = fl.plots.timeline(trace)
    assert sum(len(d.x) for d in figure.data) == len(trace)
    assert figure.layout.yaxis.automargin, "names of lanes are longer than the margin"
    assert {d.y[0] for d in figure.data} == {e.phase for e in trace.events} == {"forward", "backward", "update"}
    for drawn in figure.data:
        for (index, node, *_), start, length in zip(drawn.customdata, drawn.base, drawn.x):
            event = trace.events[index]
            assert event.node == node and start == pytest.approx(event.start * 1e3) and length == pytest.approx(event.duration * 1e3)


def test_colours_are_the_designs():
    css = (Path(__file__).parents[2] / "widgets/src/shared/tokens.css").read_text()
    light = css[:css.index("body[data-jp-theme-light")]
    for name, colours in (("seq", plots.SEQUENTIAL), ("div", plots.DIVERGING)):
        assert [re.search(rf"--fl-{name}-{k}: (#\w+);", light)[1] for k in range(11)] == list(colours)
    for phase, colour in plots.PHASES.items():
        assert re.search(rf"--fl-phase-{phase}: (#\w+);", light)[1] == colour


def test_without_plotly_the_error_says_what_to_install(trace, monkeypatch):
    for module in [m for m in sys.modules if m.split(".")[0] == "plotly"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(fl.FlowError, match="pip install plotly"):
        fl.plots.gates(trace, "lstm")


def test_a_training_is_drawn_by_its_steps_its_epochs_and_its_validation():
    history = fl.History(["loss", "acc"], {"loss": [4.0, 3.0, 2.0, 1.0], "acc": [0.1, 0.2, 0.3, 0.4]}, {"loss": [3.5, 1.5], "acc": [0.15, 0.35]}, epochs_done=2, steps_done=4, validation={"loss": [3.0, 2.0]}, ends=[2, 4])
    figure = fl.plots.training(history, log=True)
    assert [t.name for t in figure.data] == ["loss", "loss, mean of an epoch", "loss, validation", "acc", "acc, mean of an epoch"]
    assert list(figure.data[0].y) == history.steps["loss"] and list(figure.data[2].x) == [1, 3] and list(figure.data[2].y) == [3.0, 2.0] and figure.layout.yaxis.type == "log"
    with pytest.raises(fl.FlowError, match="no recorded number"):
        fl.plots.training(fl.History([]))
