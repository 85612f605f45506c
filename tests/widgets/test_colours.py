"""Colours of states and phases stay apart for who sees them differently, and no colour stands alone."""
from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

CSS = Path(__file__).parents[2] / "widgets" / "src" / "shared" / "tokens.css"
STATES = ("idle", "ready", "running", "done", "error")
PHASES = ("forward", "backward", "update")

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
SIGHTS = {
    "full": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def themes() -> list[dict[str, str]]:
    """The colours of every block of the style sheet that sets them: light, dark, high contrast, each for its hosts."""
    found = [dict(re.findall(r"--fl-((?:state|phase)-\w+):\s*(#[0-9a-f]{6});", block)) for block in re.findall(r"\{([^{}]*)\}", CSS.read_text("utf-8"))]
    return [colours for colours in found if colours]


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[k:k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB in CIELAB."""
    t = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """CIEDE2000 (Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(c**7 / (c**7 + 25**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = 0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    mean_h = h1 + h2 if c1 * c2 == 0 else (h1 + turn / 2) % 360
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * cos(mean_h - 30) + 0.24 * cos(2 * mean_h) + 0.32 * cos(3 * mean_h + 6) - 0.2 * cos(4 * mean_h - 63)
    dl = (l2 - l1) / (1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * mean_c)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * mean_c * t)
    rotation = -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25**7)) * np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2))))
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh))


def cos(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))


def test_the_distance_is_ciede2000():
    # pairs 1, 17 and 25 of the published test data
    for one, other, expected in [((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425), ((50, 2.5, 0), (73, 25, -18), 27.1492), ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644)]:
        assert distance(np.array(one), np.array(other)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("sight", SIGHTS)
def test_states_and_phases_differ_in_colour_for_every_kind_of_sight(sight):
    assert len(themes()) >= 6
    for colours in themes():
        for kind, names in (("state", STATES), ("phase", PHASES)):
            for a, b in itertools.combinations(names, 2):
                one, other = (lab(SIGHTS[sight] @ linear(colours[f"{kind}-{name}"])) for name in (a, b))
                assert distance(one, other) >= 10, f"{kind} {a} {colours[f'{kind}-{a}']} and {b} {colours[f'{kind}-{b}']}"
