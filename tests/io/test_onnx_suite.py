"""The official backend suite of the package onnx: every case passes, or is listed by name with its reason in onnx_suite.txt."""
from __future__ import annotations

import pytest
from onnx.backend import base

from flowlab.apps.onnx_backend import Backend
from tests.io.onnx_suite import CATEGORIES, cases, listed, outcomes

LEAST = {"node": 0.95, "simple": 0.7, "pytorch-converted": 1.0, "pytorch-operator": 1.0}


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_case_passes_or_is_listed_with_its_reason(category):
    got = dict(outcomes(category))
    known = {name: reason for (kind, name), reason in listed().items() if kind == category}
    assert not {name: reason for name, reason in got.items() if reason and name not in known}, "these do not pass, and are not listed (python -m tests.io.onnx_suite --write)"
    assert not [name for name in known if not got.get(name, "gone")], "these are listed, and pass"
    assert not [name for name in known if name not in got], "these are listed, and there is no such case"
    assert sum(not reason for reason in got.values()) >= LEAST[category] * len(got)


def test_every_reason_is_told():
    assert all(len(reason) > 20 for reason in listed().values())
    assert {kind for kind, _ in listed()} <= set(CATEGORIES)
    assert sum(len(cases(c)) for c in CATEGORIES) >= 2000


def test_the_backend_is_one_as_onnx_describes_it():
    assert issubclass(Backend, base.Backend) and Backend.supports_device("CPU") and not Backend.supports_device("TPU")
