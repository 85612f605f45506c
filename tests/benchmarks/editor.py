"""The lab's canvas at 200, 1,000 and 10,000 nodes, beside bare React Flow drawing the same elements at the same places in the same browser.

    python tests/benchmarks/editor.py [--sizes 200 1000 10000]

First paint counts from the kernel's answer to the frame in which elements stand on the screen; pan and zoom are times from frame to frame while the wheel turns (33 ms is 30 frames a second),
a click is one on Step, a keystroke one in Find. As many elements are unfolded as are drawn at once, up to about 1,000. Ratios below 1 mean that the lab, with its thumbnails, ports and states, is
quicker than the bare library.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
import hatch_build
from tests.benchmarks.screen import MEASURE as STEPS
from tests.browser.conftest import CHROMIUM_FLAGS, NB, JupyterLab, find_chromium

BLOCKS = {200: 2, 1000: 19, 10_000: 204}
CELL = """
import sys
sys.path.insert(0, {root!r})
import numpy as np
import flowlab as fl
from tests.large import residual
ed = fl.Editor(residual({blocks}), feeds={{"x": np.ones((2, 4), "f"), "labels": np.zeros(2, "int64")}})
ed
"""
# when the first elements have been drawn, counted from the mark that the scene's arrival leaves
PAINTED = """(selector) => {
  window.painted = new Promise((done) => {
    const seen = () => {
      if (!document.querySelector(selector)) return;
      watcher.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - performance.getEntriesByName('flowlab: scene arrived')[0].startTime)));
    };
    const watcher = new MutationObserver(seen);
    watcher.observe(document, { childList: true, subtree: true });
  });
}"""
FRAMES = """async ({ selector, zoom, frames }) => {
  const box = document.querySelector(selector), rect = box.getBoundingClientRect();
  const at = { clientX: rect.x + rect.width / 2, clientY: rect.y + rect.height / 2 };
  const target = document.elementFromPoint(at.clientX, at.clientY) ?? box;
  const times = [], view = box.closest('.react-flow').querySelector('.react-flow__viewport');
  let place = '', moves = 0;
  let last = await new Promise(requestAnimationFrame);
  const end = last + 8000;
  for (let k = 0; k < frames && last < end; k++) {
    const turn = zoom ? { deltaY: k % 40 < 20 ? 16 : -16, ctrlKey: true } : { deltaX: k % 120 < 60 ? 28 : -28, deltaY: k % 60 < 30 ? 6 : -6 };
    target.dispatchEvent(new WheelEvent('wheel', { ...at, ...turn, bubbles: true, cancelable: true, view: window }));
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    if (view.style.transform !== place) moves++;
    place = view.style.transform;
    last = now;
  }
  if (moves < times.length / 2) throw new Error(`the canvas moved ${moves} times in ${times.length} frames: what was timed is no pan or zoom`);
  return times;
}"""
STILL = """async (root) => {
  const look = () => root && document.querySelector(root) && [document.querySelector(root + ' .react-flow__viewport')?.style.transform, document.querySelectorAll(root + ' .react-flow__node').length].join();
  const end = performance.now() + 30000;
  for (let same = 0, last = null; same < 30 && performance.now() < end; last = look()) {
    await new Promise(requestAnimationFrame);
    same = look() === last ? same + 1 : 0;
  }
}"""
KEYS = """async (words) => {
  const field = document.querySelector('.fl-lab [aria-label=Find]'), box = field.closest('.findb'), times = [];
  const write = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
  field.focus();
  for (const word of words) for (let k = 1; k <= word.length; k++) {
    const text = word.slice(0, k), begin = performance.now();
    write.call(field, text);
    field.dispatchEvent(new Event('input', { bubbles: true }));
    while (box.dataset.found !== text.toLowerCase()) await new Promise((done) => setTimeout(done, 1));
    times.push(performance.now() - begin);
  }
  write.call(field, ''); field.dispatchEvent(new Event('input', { bubbles: true }));
  return times;
}"""
PLACES = """() => [...document.querySelectorAll('.fl-lab .react-flow__node')].map((el) => {
  const at = new DOMMatrix(getComputedStyle(el).transform);
  return { id: el.dataset.id, x: at.e, y: at.f, w: parseFloat(el.style.width), h: parseFloat(el.style.height) };
})"""


def at(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def bare_page(folder: Path) -> Path:
    """A page of bare React Flow, bundled from the packages that the lab's page is made of."""
    widgets = ROOT / "widgets"
    script = f"""
      import {{ build }} from 'esbuild';
      await build({{ entryPoints: [{json.dumps(str(ROOT / "tests" / "benchmarks" / "bare.tsx"))}], bundle: true, format: 'iife', outdir: {json.dumps(str(folder))}, jsx: 'automatic', minify: true,
                     define: {{ 'process.env.NODE_ENV': '"production"' }}, nodePaths: [{json.dumps(str(widgets / "node_modules"))}], logLevel: 'error' }});"""
    subprocess.run([hatch_build.find_node()[0], "--input-type=module", "-e", script], cwd=widgets, check=True)
    page = folder / "bare.html"
    page.write_text('<!doctype html><link rel="stylesheet" href="bare.css"><style>html, body, #root { height: 700px; margin: 0 }</style><div id="root"></div><script src="bare.js"></script>')
    return page


def unfold(nb: NB) -> None:
    """Unfold as much as the lab draws at once, outer scopes first, in one go."""
    nb.exec("""
from bisect import bisect_right
from dataclasses import replace
from flowlab.widgets import scene as S
view = ed._view()
outer = sorted(view.document.scopes, key=lambda s: (s.count("/"), s))
apart = frozenset({*view.document.nodes, *view.document.scopes})     # no stacks
def drawn(k):
    shown = S.drawn(replace(view.document, folded=view.document.scopes - set(outer[:k])), view.built, apart)
    return len(shown.nodes) + len(shown.scopes)
most = bisect_right(range(len(outer) + 1), S.DRAWN_UP_TO, key=drawn) - 1
ed._draw_so(view.document.scopes - set(outer[:most]), apart)
""")


def frames(page: Page, root: str) -> dict[str, float]:
    """Frame times while the canvas is panned and zoomed, once it has come to rest."""
    page.evaluate(STILL, root)
    pan = page.evaluate(FRAMES, {"selector": f"{root} .react-flow__pane", "zoom": False, "frames": 240})[5:]
    zoom = page.evaluate(FRAMES, {"selector": f"{root} .react-flow__pane", "zoom": True, "frames": 160})[5:]
    return {"pan p50": at(pan, 0.5), "pan p95": at(pan, 0.95), "zoom p95": at(zoom, 0.95)}


def measure(nodes: int, browser, server: JupyterLab, bare: Path) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    nb = NB(page, server, server.write(f"editor{nodes}", [CELL.format(root=str(ROOT), blocks=BLOCKS[nodes])]))
    page.evaluate(PAINTED, ".fl-lab [data-node], .fl-lab [data-scope]")
    nb.run_all(timeout=60)
    lab: dict[str, float] = {"first paint": page.evaluate("() => window.painted")}
    nb.lab.locator("[data-node], [data-scope]").first.wait_for()
    opened = int(nb.exec("print(len(ed._drawn().nodes) + len(ed._drawn().scopes))"))
    total = int(nb.exec("print(len(ed.document.nodes))"))
    _, painted = page.evaluate(STEPS, 40)
    lab |= {"click p50": at(painted[3:], 0.5), "click p95": at(painted[3:], 0.95)}
    keys = page.evaluate(KEYS, ["block_1/wide", "gradients", "matmul"])
    lab |= {"key p50": at(keys, 0.5), "key p95": at(keys, 0.95)}
    unfold(nb)
    for _ in range(2):      # the layout comes from its worker: all that there was, then all that there is
        page.evaluate(STILL, ".fl-lab")
        nb.lab.get_by_role("button", name="Show all", exact=True).click()
    page.evaluate(STILL, ".fl-lab")
    places = page.evaluate(PLACES)
    far = frames(page, ".fl-lab")
    edges = json.loads(nb.exec("import json; print(json.dumps([[e.src, e.dst] for e in ed._drawn().edges]))"))
    # from near: at the size that text is written for
    nb.lab.get_by_role("searchbox", name="Find").fill("head/MatMul")
    nb.lab.get_by_role("searchbox", name="Find").press("Enter")
    lab |= frames(page, ".fl-lab")
    context.close()

    context = browser.new_context(viewport={"width": 900, "height": 720}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(bare.as_uri())
    page.evaluate(PAINTED, ".react-flow__node")
    ids = {p["id"] for p in places}
    page.evaluate("(graph) => window.draw(graph)", {"nodes": places, "edges": [e for e in edges if set(e) <= ids]})
    react = {"first paint": page.evaluate("() => window.painted")}
    react |= frames(page, "#root")
    context.close()

    print(f"\n{total:,} nodes: {opened:,} elements when it opens; {len(places):,} drawn, {len(edges):,} wires for pan and zoom   (load {os.getloadavg()[0]:.1f})")
    for name in ("first paint", "pan p50", "pan p95", "zoom p95"):
        print(f"  {name:12s} {lab[name]:7.0f} ms   React Flow {react[name]:7.0f} ms   ratio {lab[name] / react[name]:5.2f}{f'   from far away {far[name]:.0f} ms' if name in far else ''}")
    print(f"  {'click':12s} {lab['click p50']:7.0f} ms p50, {lab['click p95']:.0f} ms p95   (Step → painted)")
    print(f"  {'keystroke':12s} {lab['key p50']:7.0f} ms p50, {lab['key p95']:.0f} ms p95   (Find → all hits)", flush=True)


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--sizes", type=int, nargs="*", default=list(BLOCKS), choices=list(BLOCKS))
    a = ap.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        bare = bare_page(Path(folder))
        (Path(folder) / "lab").mkdir()
        server = JupyterLab(Path(folder) / "lab")
        try:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
            for nodes in a.sizes:
                measure(nodes, browser, server, bare)
            browser.close()
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
