"""What a machine can tell of WCAG 2.2, level AA, about a part of a page: axe-core's rules, and the contrast of every text that it leaves undecided."""
from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator

AXE = Path(__file__).parents[2] / "widgets" / "node_modules" / "axe-core" / "axe.min.js"

# no rule is switched off; target-size is on by name, because axe leaves it off unless it is asked for
SCAN = """async (root) => {
    const found = await axe.run(root, {
        runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] },
        rules: { 'target-size': { enabled: true } },
        preload: false,
    });
    return {
        read: found.passes.filter((p) => p.id === 'target-size').flatMap((p) => p.nodes).length,
        violations: found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 200)}\\n    ${n.failureSummary.replace(/\\n\\s*/g, ' ')}`)),
    };
}"""

# axe leaves a text undecided where anything may lie over it, and takes a canvas that is panned to lie over everything. What it leaves is
# read here: a text's own colour on the colours behind it, in the order of the elements. What is disabled has no least contrast (1.4.3).
CONTRAST = """(root) => {
    const pen = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
    const known = new Map();
    const colour = (css) => {
        if (!known.has(css)) {
            pen.clearRect(0, 0, 1, 1);
            pen.fillStyle = css;
            pen.fillRect(0, 0, 1, 1);
            known.set(css, [...pen.getImageData(0, 0, 1, 1).data].map((v) => v / 255));
        }
        return known.get(css);
    };
    const over = ([r, g, b, a], under) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
    const light = (rgb) => rgb.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const backOf = (el) => {
        const layers = [];
        for (let e = el; e; e = e.parentElement) {
            const box = e.ownerSVGElement && e.closest('g')?.querySelector(':scope > rect:not(.box)');
            layers.push(colour(box ? getComputedStyle(box).fill : getComputedStyle(e).backgroundColor));
            if (layers.at(-1)[3] === 1) break;
        }
        return layers.reverse().reduce((under, layer) => over(layer, under), [1, 1, 1]);
    };
    let read = 0;
    const bad = [];
    for (const el of root.querySelectorAll('*')) {
        const hint = el.matches('input, textarea') && el.value === '' && el.placeholder ? el.placeholder : '';
        const text = hint || [...el.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join('').trim();
        if (!text || el.closest('[disabled], [aria-disabled=true], title') || !el.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
        const style = getComputedStyle(el, hint ? '::placeholder' : null);
        const under = backOf(el);
        const [r, g, b, a] = colour(el.ownerSVGElement ? style.fill : style.color);
        let shown = a;
        for (let e = el; e && e !== root; e = e.parentElement) shown *= Number(getComputedStyle(e).opacity);
        const [x, y] = [light(over([r, g, b, shown], under)), light(under)].sort((p, q) => q - p);
        const size = parseFloat(style.fontSize);
        const need = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
        if (shown === 0) continue;
        read++;
        if ((x + 0.05) / (y + 0.05) < need) bad.push(`contrast ${((x + 0.05) / (y + 0.05)).toFixed(2)}: ${JSON.stringify(text.slice(0, 40))} in ${el.outerHTML.slice(0, 120)}`);
    }
    return { read, bad };
}"""


def scan(root: Locator, colours_alone: bool) -> list[str]:
    """What is wrong inside an element; another theme changes colours alone."""
    page = root.page
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
        # JupyterLab's body is 0 px high, and axe takes whatever is in such a box for hidden
        page.evaluate("() => { document.body.style.height = '100vh'; }")
    # a colour on its way to another is neither
    page.wait_for_function("() => document.getAnimations().every((a) => a.playState !== 'running')")
    seen = root.evaluate(CONTRAST)
    assert seen["read"] > 20, "no text was found"
    if colours_alone:
        return seen["bad"]
    found = root.evaluate(SCAN)
    assert found["read"] > 5, "axe found no control"
    return seen["bad"] + found["violations"]
