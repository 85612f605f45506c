"""At least twelve samples of every op: value by the oracle, type by the rule, first derivative by differences, in all layouts in memory."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from tests.ops.cases import CASES, OWN, Case
from tests.ops.samples import LEAST, MORE, samples
from tests.ops.test_every_op import (
    BUILT_IN,
    backwards,
    columns_first,
    cotangents,
    difference,
    fits,
    given,
    gradient_graph,
    graph_of,
    read_only,
    strided,
)

LAYOUTS = (np.copy, strided, backwards, columns_first, read_only)
TYPES = [name for name in BUILT_IN if name not in OWN and any(c.type == name for c in CASES)]


def laid_out(case: Case, k: int) -> list[np.ndarray]:
    return [x if not x.ndim else LAYOUTS[k % len(LAYOUTS)](x) for x in given(case)]


def check(case: Case, k: int) -> None:
    expected = case.expected(*case.inputs)
    floats = [np.asarray(v) for v in expected if np.asarray(v).dtype.kind == "f"]
    if not case.targets or not floats:
        g, placeholders, outputs = graph_of(case)
        values = fl.Session(g).run(outputs, dict(zip(placeholders, laid_out(case, k))))
    else:
        g, placeholders, ys, ds, xs, grads = gradient_graph(case)
        outputs = list(g.node("it").outputs)
        upstream = cotangents(floats)
        feeds = {**dict(zip(placeholders, laid_out(case, k))), **dict(zip(ds, upstream))}
        sess = fl.Session(g)
        values, slopes = sess.run([outputs, grads], feeds)
        for x, d in zip(xs, slopes, strict=True):
            assert d.shape == feeds[x].shape and d.dtype == x.dtype
        if case.alone and all(np.isfinite(d).all() for d in slopes):
            points = [np.array(feeds[x], order="C") for x in xs]
            directions = cotangents(points, 5)
            want = difference(lambda at: sum((y * d).sum() for y, d in zip(sess.run(ys, {**feeds, **dict(zip(xs, at))}), upstream)), points, directions)
            np.testing.assert_allclose(sum((a * d).sum() for a, d in zip(slopes, directions)), want, rtol=1e-6, atol=1e-7)
    for tensor, got, want in zip(outputs, values, expected, strict=True):
        assert fits(tensor, got)
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("type", TYPES)
def test_every_sample_is_right(type):
    for k, case in enumerate(samples(type)):
        try:
            with np.errstate(all="ignore"):
                check(case, k)
        except Exception as error:
            error.add_note(f"{case.type}: {case.label}, shapes {[x.shape for x in given(case)]}, attributes {case.attrs}")
            raise


def test_every_op_has_twelve_samples():
    """The rows in cases.py and what is made of them."""
    counts = {type: sum(c.type == type for c in CASES) + len(samples(type)) for type in TYPES}
    assert not {type: n for type, n in counts.items() if n < LEAST}, "give these ops more rows in tests/ops/cases.py"
    assert set(MORE) <= counts.keys()
