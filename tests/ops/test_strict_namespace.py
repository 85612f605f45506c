"""The strict namespace is as strict as it says, so a pass in it means something."""
from __future__ import annotations

import numpy as np
import pytest

from tests.strict_cupy import STRICT as xp, Array


def test_it_computes():
    x = xp.asarray(np.arange(6.0).reshape(2, 3))
    assert isinstance(x, Array) and isinstance(x.sum(), Array) and float(x.sum()) == 15
    np.testing.assert_array_equal(xp.to_host(xp.exp(x * 2 - x[0])), np.exp(np.arange(6.0).reshape(2, 3) * 2 - np.arange(3.0)))
    out = xp.workspace((2, 3), "float64")
    xp.add(x, 1, out)
    out[:, 1] = 0
    xp.add_at(out, (xp.asarray(np.array([0, 0])),), 1.0)
    np.testing.assert_array_equal(xp.to_host(out), [[3, 2, 5], [4, 0, 6]])


@pytest.mark.parametrize("stray", [
    lambda x: np.exp(x), lambda x: np.sum(x), lambda x: np.concatenate([x, x]), lambda x: np.asarray(x), lambda x: x + np.ones(3), lambda x: np.ones(3) + x,
    lambda x: xp.add(x, np.ones(3)), lambda x: xp.concatenate([x, np.ones(3)]), lambda x: x[np.array([0, 1])], lambda x: x.__setitem__(0, np.ones(1)),
    lambda x: np.add(1.0, 2.0, out=x), lambda x: xp.sum(x, where=True), lambda x: xp.exp(x, where=True)])
def test_a_stray_numpy_call_fails(stray):
    with pytest.raises(TypeError):
        stray(xp.asarray(np.ones(3)))


def test_names_that_cupy_lacks_are_lacking():
    for name in ("memmap", "nditer", "errstate", "longdouble", "longlong_scalars"):
        with pytest.raises(AttributeError):
            getattr(xp, name)
    for name in ("setflags", "newbyteorder", "get_nothing"):
        with pytest.raises(AttributeError):
            getattr(xp.asarray(np.ones(3)), name)
