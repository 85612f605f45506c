"""What a pixel sees through a network: the tables, the closed form and the boxes, held against the support of the gradient."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.trace import receptive as R

CHANNELS, ROWS, COLUMNS = 4, 19, 15


def shape_of(tensor):
    return tuple(tensor.shape)


def kernel(rng, out, inside, size):
    # no weight is 0, so that nothing that is seen has a gradient of 0
    return fl.constant(rng.uniform(0.5, 1.5, (out, inside, *size)))


def random_layer(rng, x):
    """One convolution, pooling or thing that goes place by place, with whatever stride, dilation, padding and groups fit."""
    c, h, w = x.shape[1:]
    while True:
        size = tuple(int(k) for k in rng.integers(1, 4, 2))
        stride, dilation = (tuple(int(k) for k in rng.integers(1, 3, 2)) for _ in range(2))
        padding = rng.choice(["valid", "same", "pairs"])
        pairs = tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (2, 2)))
        groups = int(rng.choice([g for g in (1, 2, 4) if c % g == 0]))
        kind = rng.choice(["conv", "pool", "tanh", "adaptive", "transpose", "residual", "moved", "norm"], p=[0.3, 0.2, 0.05, 0.1, 0.1, 0.05, 0.15, 0.05])
        try:
            if kind == "conv":
                return fl.conv2d(x, kernel(rng, 4, c // groups, size), stride=stride, padding=pairs if padding == "pairs" else padding, dilation=dilation, groups=groups)
            if kind == "pool":
                return fl.avg_pool2d(x, size, stride=stride, padding=tuple((min(a, k - 1), min(b, k - 1)) for (a, b), k in zip(pairs, size)))
            if kind == "adaptive" and min(h, w) > 3:
                return fl.adaptive_avg_pool2d(x, (h // 2 + 1, w // 2))
            if kind == "transpose" and max(h, w) < 12:
                return fl.conv_transpose2d(x, kernel(rng, c, 4, size), stride=stride, dilation=dilation)
            if kind == "residual":
                return x + fl.conv2d(x, kernel(rng, c, c, (3, 3)), padding="same")
            if kind == "moved" and min(h, w) > 3:
                return moved(rng, x, [(0, 0), (0, 0), *pairs])
            if kind == "norm" and min(h, w) > 3:
                return fl.layer_norm(x, axis=int(rng.choice([-1, 2, 1]))) if rng.random() < 0.5 else fl.softmax(x, axis=int(rng.choice([1, 3])))
        except (fl.ShapeError, fl.AttributeValueError):
            continue
        return fl.softplus(x)


def moved(rng, x, around):
    """One of the things that move places and compute nothing."""
    ways = [lambda: fl.pad(x, around), lambda: fl.pad(x, around, mode="reflect"), lambda: fl.concat([x[:, :2], fl.tanh(x)[:, 2:]], axis=1), lambda: fl.concat([x, x[:, :, :, 1:]], axis=3),
            lambda: fl.flip(x, axis=2), lambda: x[:, :, 1:, ::2], lambda: fl.repeat(x, 2, axis=3) if x.shape[3] < 10 else fl.tanh(x)]
    return ways[int(rng.integers(len(ways)))]()


def support(g, sess, y, x, image, place):
    seed = np.zeros(y.shape)
    seed[(0, *place)] = 1
    with g:
        d, = fl.gradients(fl.sum(y * seed), [x])
    return sess.run(d, {"image": image})[0] != 0


@pytest.mark.parametrize("seed", range(24))
def test_what_a_pixel_sees_is_the_gradients_support(seed):
    rng = np.random.default_rng(seed)
    with fl.Graph() as g:
        image = fl.placeholder((1, CHANNELS, ROWS, COLUMNS), "float64", name="image")
        y = image
        for _ in range(int(rng.integers(2, 6))):
            y = random_layer(rng, y)
    sess, value = fl.Session(g), rng.uniform(0.5, 1, image.shape)
    fields = R.fields(y.node, shape_of)
    looks = fields.of(image)
    for _ in range(3):
        place = tuple(int(rng.integers(n)) for n in y.shape[1:])
        there = support(g, sess, y, image, value, place)
        # along each axis exactly; place by place where ways do not part
        for axis, table in enumerate(looks.tables):
            np.testing.assert_array_equal(there.any(axis=tuple(k for k in range(3) if k != axis)), table[place[axis]] & there.any())
        if not any(n.op.name == "Add" for n in g.nodes):
            np.testing.assert_array_equal(there, looks.support(*place))
        rows, columns = (np.flatnonzero(there.any(axis=(0, k))) for k in (2, 1))
        box = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if there.any() else None
        assert looks.box(*place[1:]) == box or box is None


def test_the_closed_form_is_the_box_of_a_pixel_far_from_the_edge():
    rng = np.random.default_rng(2)
    with fl.Graph():
        image = fl.placeholder((1, 2, 61, 67), "float64", name="image")
        a = fl.conv2d(image, kernel(rng, 3, 2, (3, 5)), stride=(2, 1), padding=1, name="a")
        b = fl.max_pool2d(fl.relu(a), 2, name="b")
        c = fl.conv2d(b, kernel(rng, 2, 3, (3, 3)), dilation=2, padding="same", name="c")
    along = [R.reach(c.node, axis, shape_of) for axis in range(2)]
    # (3 − 1)·2·jump + one window of what is below: rows ((5 − 1)·2 + 2 − 1)·2 + 3, columns ((5 − 1)·2 + 2 − 1)·1 + 5
    assert [(r.size, r.jump) for r in along] == [(21, 4), (14, 2)]
    y, x = 8, 15
    y0, x0 = (r.jump * o + r.start for r, o in zip(along, (y, x)))
    assert R.fields(c.node, shape_of).of(image).box(y, x) == (y0, x0, y0 + along[0].size, x0 + along[1].size)


def test_where_a_pixel_is_seen_is_what_sees_it():
    rng = np.random.default_rng(5)
    with fl.Graph():
        image = fl.placeholder((1, 2, 14, 11), "float64", name="image")
        first = fl.conv2d(image, kernel(rng, 4, 2, (3, 3)), stride=2, padding=1, name="first")
        last = fl.max_pool2d(fl.conv2d(fl.relu(first), kernel(rng, 2, 2, (2, 2)), groups=2), 2, stride=1, name="last")
    cone, seen = R.fields(first.node, shape_of).of(last), R.fields(last.node, shape_of).of(first)
    for forward, back in zip(cone.tables, seen.tables):
        np.testing.assert_array_equal(forward, back.T)


def test_batch_statistics_see_every_place_and_a_dense_layer_none():
    with fl.Graph():
        image = fl.placeholder((2, 2, 6, 5), "float64", name="image")
        h = fl.nn.conv2d(fl.nn.batch_norm(image, name="norm"), 3, 3, name="conv")
        fl.nn.dense(fl.nn.flatten(h), 4, name="head")
    node = h.node
    fields = R.fields(node, shape_of)
    assert fields.of(image).box(0, 0) == (0, 0, 6, 5)
    assert R.reach(node, 0, shape_of) is None       # of this there is no closed form
    with pytest.raises(fl.FlowError, match="no pixel in common"):
        fields.of(node.graph.tensor("head/MatMul:0"))


def test_a_pad_before_a_layer_is_its_padding_and_what_mixes_rows_has_no_closed_form():
    with fl.Graph() as g:
        x = fl.placeholder((2, 3, 12, 10), name="x")
        w = np.ones((4, 3, 3, 3), "f")
        inside = fl.conv2d(x, w, stride=2, padding=((2, 1), (0, 3)), name="inside")
        before = fl.conv2d(fl.pad(x, [(0, 0), (0, 0), (2, 1), (0, 3)]), w, stride=2, name="before")
        normed = fl.conv2d(fl.layer_norm(x), w, name="normed")
        fl.conv2d(fl.concat([x, x], axis=0), w, name="two batches")
    for axis in range(2):
        assert R.reach(before.node, axis, shape_of) == R.reach(inside.node, axis, shape_of)
    a, b = (R.fields(t.node, shape_of).of(x) for t in (inside, before))
    assert all((p == q).all() for p, q in zip(a.tables, b.tables))
    assert R.reach(normed.node, 0, shape_of) == R.Reach(3, 1, 0) and R.reach(normed.node, 1, shape_of) is None      # it goes over the columns
    assert R.fields(normed.node, shape_of).of(x).box(2, 3) == (2, 0, 5, 10)
    assert [t.node.name for t in R.fields(g.node("two batches"), shape_of).sources] == ["Concat"]
