"""The LSTM view in a real JupyterLab: its numbers are the trace's, everything follows one cursor, a clamp runs again."""
from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect
from shown import Shown

STEPS, UNITS = 12, 7

GRAPH = f"""
import json
import numpy as np
import flowlab as fl

with fl.Graph("reader") as g:
    seq = fl.placeholder(("batch", {STEPS}, 5), name="seq")
    labels = fl.placeholder(("batch",), "int64", name="labels")
    lower, _ = fl.nn.lstm(seq, 9, name="lower")
    upper, (h, _c) = fl.nn.lstm(lower, {UNITS}, name="upper")
    logits = fl.nn.dense(h, 4, name="head")
    loss = fl.mean(fl.sparse_softmax_cross_entropy(logits, labels), name="loss")
sess = fl.Session(g, seed=1)
rng = np.random.default_rng(5)
for v in g.variables:
    sess.variables[v.node.name] = sess.variables[v.node.name] + rng.normal(0, 0.5, v.shape).astype("float32")
trace = sess.trace([loss, logits], {{seq: rng.normal(size=(3, {STEPS}, 5)), labels: np.array([1, 0, 3])}})
"""


class View(Shown):
    """The view on screen and the trace in the kernel behind it."""

    def __init__(self, nb):
        super().__init__(nb, "lstm-view", "flowlab recurrent layer")
        expect(self.find("[data-gate]")).to_have_count(6)

    def readouts(self):
        return {letter: self.read(letter) for letter in "figoch"}

    def recorded(self, layer, t, unit, sample=0):
        return self.python(f"{{k: float(v[{sample}, {t}, {unit}]) for k, v in trace.gates({layer!r}).items()}}")


@pytest.fixture
def view(notebook):
    nb = notebook("lstm_view", [GRAPH, "view = fl.LSTMView(trace, reading=['head']); view"])
    nb.run_all()
    return View(nb)


def test_readouts_equal_the_trace_wherever_the_cursor_goes(view, shots):
    view.at(t=0, unit=0)
    view.slider("Timestep").fill("5")
    view.slider("Unit").fill("3")
    view.at(t=5, unit=3)
    assert view.readouts() == pytest.approx(view.recorded("upper", 5, 3), rel=1e-7)

    view.root.focus()
    for key in ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"]:
        view.page.keyboard.press(key)
    view.at(t=6, unit=4)
    assert view.readouts() == pytest.approx(view.recorded("upper", 6, 4), rel=1e-7)
    view.page.keyboard.press("End")
    view.page.keyboard.press("ArrowRight")
    view.at(t=STEPS - 1, unit=4)
    view.page.keyboard.press("Home")
    view.at(t=0, unit=4)

    # a click into a heatmap goes there
    map_f = view.find("[data-gate=f]")
    map_f.scroll_into_view_if_needed()
    box = map_f.bounding_box()
    view.page.mouse.click(box["x"] + box["width"] * 8.5 / STEPS, box["y"] + box["height"] * 1.5 / UNITS)
    view.at(t=8, unit=1)
    assert view.readouts() == pytest.approx(view.recorded("upper", 8, 1), rel=1e-7)

    view.root.get_by_role("button", name="Layer 1").click()
    expect(view.root).to_have_attribute("data-layer", "1")
    view.settled()
    view.at(t=8, unit=1)
    assert view.readouts() == pytest.approx(view.recorded("lower", 8, 1), rel=1e-7)
    view.root.get_by_label("Sample").fill("2")
    expect(view.find("[data-readout=f]")).to_have_attribute("data-value", re.compile(rf"{view.recorded('lower', 8, 1, 2)['f']:.6f}"[:7]))
    assert view.readouts() == pytest.approx(view.recorded("lower", 8, 1, 2), rel=1e-7)
    shots("lstm view")


def test_cursor_and_python_are_one(view):
    view.slider("Timestep").fill("7")
    view.at(t=7, unit=0)
    view.page.wait_for_timeout(150)
    assert view.nb.exec("print(view.t, view.unit, view.layer, view.sample)") == "7 0 2 0"
    view.nb.exec("view.t, view.unit = 2, 6")
    view.at(t=2, unit=6)
    view.nb.exec("view.layer = 1")
    expect(view.root).to_have_attribute("data-layer", "1")
    view.nb.exec("view.sample = 1")
    expect(view.root.get_by_label("Sample")).to_have_value("1")
    assert view.readouts() == pytest.approx(view.recorded("lower", 2, 6, 1), rel=1e-7)


def test_scrubbing_asks_the_kernel_nothing(view):
    """With the kernel busy for seconds, every step of the cursor still shows its own numbers at once."""
    want = view.recorded("upper", 9, 2)
    view.page.evaluate("""() => {
        const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        window.slept = false;
        kernel.requestExecute({ code: 'import time; time.sleep(6)' }).done.then(() => { window.slept = true; }); }""")
    view.slider("Unit").fill("2")
    for t in range(1, 10):
        view.slider("Timestep").fill(str(t))
    view.at(t=9, unit=2)
    assert view.readouts() == pytest.approx(want, rel=1e-7)
    assert not view.page.evaluate("window.slept")
    view.page.wait_for_function("window.slept")


def test_equations_and_ledger_show_the_moment(view):
    view.slider("Timestep").fill("6")
    view.slider("Unit").fill("5")
    view.at(t=6, unit=5)
    now, before = view.recorded("upper", 6, 5), view.recorded("upper", 5, 5)
    for letter, value in now.items():
        said = view.find(f'[data-term="{letter}_t"]').inner_text().replace("−", "-")
        number = float(re.search(r"-?\d+\.?\d*(e-?\d+)?", said)[0])
        assert number == pytest.approx(value, rel=2e-3, abs=1e-4), f"{letter}_t says {said}"
    ledger = {kind: float(view.find(f"[data-ledger={kind}][data-t='6']").get_attribute("data-value")) for kind in ("keep", "write", "c")}
    assert ledger["keep"] == pytest.approx(now["f"] * before["c"], rel=1e-6)
    assert ledger["write"] == pytest.approx(now["i"] * now["g"], rel=1e-6)
    assert ledger["c"] == pytest.approx(now["c"], rel=1e-7)
    assert ledger["keep"] + ledger["write"] == pytest.approx(ledger["c"], rel=1e-5)
    for kind in ("keep", "write", "c"):
        expect(view.find(f"[data-ledger={kind}]")).to_have_count(STEPS)


@pytest.mark.parametrize("term, lit, dark", [
    ("f_t", ["[data-gate=f]", "[data-readout=f]", "[data-ledger=keep][data-t='4']"], ["[data-gate=i]", "[data-ledger=write][data-t='4']"]),
    ("i_t", ["[data-gate=i]", "[data-readout=i]", "[data-ledger=write][data-t='4']"], ["[data-gate=f]", "[data-ledger=keep][data-t='4']"]),
    ("g_t", ["[data-gate=g]", "[data-readout=g]", "[data-ledger=write][data-t='4']"], ["[data-gate=o]"]),
    ("o_t", ["[data-gate=o]", "[data-readout=o]"], ["[data-gate=c]", "[data-ledger=keep][data-t='4']"]),
    ("c_t", ["[data-gate=c]", "[data-readout=c]", "[data-ledger=c][data-t='4']"], ["[data-ledger=keep][data-t='4']"]),
    ("h_t", ["[data-gate=h]", "[data-readout=h]"], ["[data-gate=f]"]),
])
def test_pointing_at_a_term_lights_what_belongs_to_it(view, term, lit, dark):
    view.slider("Timestep").fill("4")
    view.at(t=4, unit=0)
    view.find(f'[data-term="{term}"]').hover()
    for selector in [f'[data-term="{term}"]', *lit]:
        expect(view.find(selector)).to_have_attribute("data-lit", "true")
    for selector in dark:
        expect(view.find(selector)).not_to_have_attribute("data-lit", "true")
    expect(view.find("[data-ledger=keep][data-t='3']")).not_to_have_attribute("data-lit", "true")
    # the cell's drawing has a lit part too, and by keyboard it is the same
    assert view.find("svg [data-lit=true]").count() >= 2
    view.page.mouse.move(5, 5)
    expect(view.find("[data-lit=true]")).to_have_count(0)
    view.find(f'[data-term="{term}"]').focus()
    expect(view.find(lit[0])).to_have_attribute("data-lit", "true")


def test_the_four_steps_light_their_part(view):
    for name, lit in [("Forget", "f"), ("Input", "g"), ("Cell", "c"), ("Output", "o")]:
        button = view.root.get_by_role("button", name=name)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(view.find(f"[data-gate={lit}]")).to_have_attribute("data-lit", "true")
    button.click()
    view.page.mouse.move(5, 5)
    expect(view.find("[data-gate][data-lit=true]")).to_have_count(0)


def test_a_clamp_runs_the_layer_and_what_follows_again(view, shots):
    view.slider("Timestep").fill("8")
    view.slider("Unit").fill("2")
    view.root.get_by_role("button", name="Layer 1").click()
    expect(view.root).to_have_attribute("data-layer", "1")
    before = view.readouts()
    view.root.get_by_label("Clamp f to", exact=True).fill("0.25")
    view.root.get_by_role("checkbox", name="Clamp f", exact=True).check()
    expect(view.find("[data-readout=f]")).to_have_attribute("data-value", "0.25")
    view.settled()
    after = view.readouts()
    assert after["c"] != before["c"] and after["h"] != before["h"]
    # c is what the equations make of a forget gate of 0.25
    ledger = {t: float(view.find(f"[data-ledger=c][data-t='{t}']").get_attribute("data-value")) for t in (7, 8)}
    assert 0.25 * ledger[7] + after["i"] * after["g"] == pytest.approx(ledger[8], rel=1e-5)
    shots("lstm view clamped")

    # the layer above was run again from there
    view.root.get_by_role("button", name="Layer 2").click()
    expect(view.root).to_have_attribute("data-layer", "2")
    above = view.readouts()
    code = ("r = trace.rerun({'lower/LSTM:out': view._now.value(g.tensor('lower/LSTM:out'))}); "
            "print(json.dumps({k: float(v[0, 8, 2]) for k, v in r.gates('upper').items()}))")
    assert above == pytest.approx(json.loads(view.nb.exec(code)), rel=1e-5)
    assert above != pytest.approx(view.recorded("upper", 8, 2), rel=1e-5)

    view.root.get_by_role("button", name="Layer 1").click()
    expect(view.root).to_have_attribute("data-layer", "1")
    view.root.get_by_label("Clamp f to", exact=True).fill("1")
    expect(view.find("[data-readout=f]")).to_have_attribute("data-value", "1")
    view.root.get_by_role("checkbox", name="Clamp f", exact=True).uncheck()
    expect(view.find("[data-readout=f]")).to_have_attribute("data-value", str(before["f"]))
    assert view.readouts() == before


def test_a_clamp_to_no_number_says_so(view):
    view.root.get_by_label("Clamp g to", exact=True).fill("a lot")
    view.root.get_by_role("checkbox", name="Clamp g", exact=True).click()
    expect(view.root.get_by_role("alert")).to_contain_text("no number")
    expect(view.root.get_by_role("checkbox", name="Clamp g", exact=True)).not_to_be_checked()
    view.root.get_by_label("Clamp g to", exact=True).fill("−0,5")
    view.root.get_by_role("checkbox", name="Clamp g", exact=True).check()
    expect(view.find("[data-readout=g]")).to_have_attribute("data-value", "-0.5")
    expect(view.root.get_by_role("alert")).to_have_count(0)


def test_play_moves_the_cursor_to_the_end(view):
    view.slider("Timestep").fill(str(STEPS - 3))
    view.root.get_by_role("button", name="Play").click()
    expect(view.root).to_have_attribute("data-t", str(STEPS - 1))
    expect(view.root.get_by_role("button", name="Play")).to_be_visible()


def test_keys_stay_in_the_view_and_saving_stays_the_notebooks(view):
    cells = view.page.locator(".jp-Notebook .jp-Cell").count()
    view.root.focus()
    for key in ["a", "b", "d", "d", "ArrowDown", "x", "m"]:
        view.page.keyboard.press(key)
    assert view.page.locator(".jp-Notebook .jp-Cell").count() == cells
    view.at(t=0, unit=1)
    view.page.keyboard.press("Control+s")
    view.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")


PIXELS = "(el, box) => [...el.querySelector('canvas').getContext('2d').getImageData(...box).data].join()"


def test_heatmaps_follow_the_theme(view, shots):
    assert view.page.evaluate("() => document.body.dataset.jpThemeLight") == "true"
    cell = view.find("[data-gate=c]")
    light = cell.evaluate(PIXELS, [2, 2, 1, 1])
    view.nb.theme("dark")
    view.page.wait_for_function(f"(light) => ({PIXELS})(document.querySelector('[data-gate=c]'), [2, 2, 1, 1]) !== light", arg=light)
    shots("lstm view dark")
    view.nb.theme("light")


BOTH = """
import json
import numpy as np
import flowlab as fl

with fl.Graph("both") as g:
    seq = fl.placeholder(("batch", 9, 4), name="seq")
    out, h = fl.nn.gru(seq, 6, bidirectional=True, name="gru")
    loss = fl.mean(fl.square(fl.nn.dense(fl.sum(out, axis=1), 3, name="head")), name="loss")
sess, rng = fl.Session(g, seed=1), np.random.default_rng(5)
dbg = fl.Debugger(sess, loss, {seq: rng.normal(size=(2, 9, 4))})
dbg.resume()
"""


def test_a_gru_read_from_both_ends_in_a_debugger(notebook, shots, tmp_path):
    """Its own letters, time from the end, what is computed on request, one cursor with the debugger, and files that hold the numbers."""
    nb = notebook("lstm_gru", [BOTH, "view = fl.LSTMView(dbg, t=3, unit=2, data=rng.normal(size=(30, 9, 4))); view"])
    nb.run_all()
    view = Shown(nb, "lstm-view")
    root, find = view.root, view.find
    expect(find("[data-gate]")).to_have_count(4)
    expect(root).to_have_attribute("data-kind", "gru")
    expect(root).to_contain_text("reads from the end: step 3 reads the input’s step 5")
    want = json.loads(nb.exec("print(json.dumps({k: float(dbg.value('gru/backward/GRU:' + k)[0, 3, 2]) for k in ('r', 'z', 'n', 'out')}))"))
    shown = {k: float(find(f"[data-readout={k}]").get_attribute("data-value")) for k in "rznh"}
    assert shown == pytest.approx({"h": want.pop("out"), **want}, rel=1e-6)
    ledger = {k: float(find(f"[data-ledger={k}][data-t='3']").get_attribute("data-value")) for k in ("keep", "write", "h")}
    assert ledger["keep"] + ledger["write"] == pytest.approx(ledger["h"], rel=1e-5) and ledger["h"] == pytest.approx(shown["h"], rel=1e-7)
    assert ledger["write"] == pytest.approx((1 - shown["z"]) * shown["n"], rel=1e-5)
    find('[data-term="z_t"]').hover()
    for selector in ("[data-gate=z]", "[data-readout=z]", "[data-ledger=keep][data-t='3']"):
        expect(find(selector)).to_have_attribute("data-lit", "true")
    nb.page.mouse.move(5, 5)

    for name in ("Over the data", "Beside a plain RNN", "Find", "Show what each remembers"):
        root.get_by_role("button", name=name).click()
    expect(find("[data-curve=plain]")).to_have_count(1)
    expect(find("[data-layer-map]")).to_have_count(2)
    best = json.loads(nb.exec("m = view.similar()[0]; print(json.dumps([m.sequence, m.t, m.score]))"))
    expect(find("[data-moment]").first).to_have_attribute("data-moment", f"{best[0]} {best[1]}")
    shut = float(nb.exec("print(float(view.saturation()['z'][0][2]))"))
    assert float(find("[data-saturation=z]").get_attribute("data-shut")) == pytest.approx(shut, abs=1e-6)
    shots("lstm view of a gru")

    # one cursor with the debugger, both ways
    place = nb.page.get_by_test_id("place")
    nb.exec("dbg.back(); dbg.back()")
    expect(place).to_have_attribute("data-cursor", nb.exec("print(dbg.cursor)"))
    root.get_by_role("button", name="Go to this layer’s firing").click()
    expect(place).to_have_attribute("data-cursor", nb.exec("print(next(k for k, e in enumerate(dbg.records) if e.node == 'gru/backward/GRU') + 1)"))
    nb.exec("dbg.override('seq', np.zeros((2, 9, 4))); dbg.resume()")
    expect(find("[data-readout=n]")).to_have_attribute("data-value", nb.exec("print(repr(float(dbg.value('gru/backward/GRU:n')[0, 3, 2])).removesuffix('.0'))"))

    for kind in ("csv", "svg", "png"):
        view.save(kind, tmp_path / f"view.{kind}")
    lines = (tmp_path / "view.csv").read_text().splitlines()
    assert lines[0] == "step,unit,r,z,n,h,keep,write" and len(lines) == 1 + 9 * 6
    assert "gru/backward/GRU" in (tmp_path / "view.svg").read_text()
    assert (tmp_path / "view.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_nan_is_striped_and_named(notebook, shots):
    broken = "broken = rng.normal(size=(1, 12, 5)); broken[0, 6] = np.nan"
    nb = notebook("lstm_nan", [GRAPH, f"{broken}\nfl.LSTMView(sess.trace(logits, {{seq: broken}}), reading=['head'])"])
    nb.run_all()
    view = View(nb)
    expect(view.find("[data-readout=f]")).to_have_attribute("data-value", re.compile(r"^0\."))
    view.slider("Timestep").fill("8")
    for letter in "figoch":
        expect(view.find(f"[data-readout={letter}]")).to_have_attribute("data-value", "NaN")
        expect(view.find(f"[data-readout={letter}]")).to_have_text("NaN")
    colours = view.find("[data-gate=f]").evaluate("""(el) => {
        const c = el.querySelector('canvas');
        const row = c.getContext('2d').getImageData(Math.floor(c.width * 8.5 / 12), 2, 8, 1).data;
        return new Set(Array.from({ length: 8 }, (_, k) => [...row.slice(4 * k, 4 * k + 3)].join())).size; }""")
    assert colours == 2, "NaN is striped"
    shots("lstm view nan")
