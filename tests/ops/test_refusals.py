"""What ops refuse, and how: the error names node, port and axis, and says what to try."""
from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.ops import array, recurrent, reduce


def p(*shape, dtype="float32"):
    return fl.placeholder(shape, dtype)


def i64(*shape):
    return fl.placeholder(shape, "int64")


# (what is tried, error, port, axis, words)
WRONG = [
    (lambda: fl.add(p(2, 3), p(2, 5), name="it"), fl.ShapeError, "b", 1, "do not broadcast"),
    (lambda: fl.multiply(p("n", 3), p(4, 1, 2), name="it"), fl.ShapeError, "b", 2, "do not broadcast"),
    (lambda: fl.where(p(2, dtype="bool"), p(3), p(3), name="it"), fl.ShapeError, None, 0, "do not broadcast"),
    (lambda: fl.where(p(3), p(3), p(3), name="it"), fl.DTypeError, "condition", None, "bool"),
    (lambda: fl.divide(p(3, dtype="bool"), 2.0, name="it"), fl.FlowError, "a", None, None),
    (lambda: fl.matmul(p(2, 3), p(4, 5), name="it"), fl.ShapeError, "b", 0, "left columns 3 ≠ right rows 4"),
    (lambda: fl.matmul(p(2, 3), p(2, 3), name="it"), fl.ShapeError, "b", 0, "Transpose b"),
    (lambda: fl.matmul(p(2, 4, 3), p(5, 3, 7), name="it"), fl.ShapeError, "b", 0, "broadcast"),
    (lambda: fl.matmul(p(), p(3), name="it"), fl.ShapeError, "a", None, "scalar"),
    (lambda: fl.sum(p(2, 3), axis=2, name="it"), fl.AttributeValueError, "axis", 2, "axes 0 to 1"),
    (lambda: fl.mean(p(2, 3), axis=(0, -2), name="it"), fl.AttributeValueError, "axis", None, "twice"),
    (lambda: fl.max(p(2, 3), axis="rows", name="it"), fl.AttributeValueError, "axis", None, "rows"),
    (lambda: fl.sum(p(2, 3), keepdims=1, name="it"), fl.AttributeValueError, "keepdims", None, "True or False"),
    (lambda: fl.argmax(p(), name="it"), fl.AttributeValueError, "axis", -1, "no axes"),
    (lambda: reduce.size(p(2), axis=5, name="it"), fl.AttributeValueError, "axis", 5, "does not exist"),
    (lambda: fl.softmax(p(2, 3), axis=-3, name="it"), fl.AttributeValueError, "axis", -3, "does not exist"),
    (lambda: fl.softmax(p(2, 3), axis=0, axes=1, name="it"), fl.AttributeValueError, "axes", None, "Did you mean axis"),
    (lambda: fl.exp(p(2, dtype="bool"), name="it"), fl.DTypeError, "x", None, "takes floats"),
    (lambda: fl.sparse_softmax_cross_entropy(p(4, 3), p(5, dtype="int64"), name="it"), fl.ShapeError, "labels", 0, "axis 0 of logits has 4"),
    (lambda: fl.sparse_softmax_cross_entropy(p(4, 3), p(4, 3, dtype="int64"), name="it"), fl.ShapeError, "labels", None, "softmax_cross_entropy for one-hot"),
    (lambda: fl.sparse_softmax_cross_entropy(p(4, 3), p(4), name="it"), fl.DTypeError, "labels", None, "whole numbers"),
    (lambda: fl.softmax_cross_entropy(p(4, 3), p(4, 5), name="it"), fl.ShapeError, "labels", 1, "axis 1"),
    (lambda: fl.reshape(p(2, 3), (4, 2), name="it"), fl.ShapeError, "x", None, "has 6 values"),
    (lambda: fl.reshape(p(2, 3), (4, -1), name="it"), fl.ShapeError, "x", None, "4 does not divide"),
    (lambda: fl.reshape(p(2, 3), (-1, -1), name="it"), fl.AttributeValueError, "shape", None, "not several"),
    (lambda: fl.reshape(p(2, 3), name="it"), fl.AttributeValueError, "shape", None, "needs shape"),
    (lambda: fl.reshape_like(p(2, 3), p(5), name="it"), fl.ShapeError, "x", None, "has 6 values"),
    (lambda: fl.transpose(p(2, 3), (0, 0), name="it"), fl.AttributeValueError, "axes", None, "once"),
    (lambda: fl.transpose(p(2, 3), (0, 2), name="it"), fl.AttributeValueError, "axes", 2, "does not exist"),
    (lambda: fl.squeeze(p(2, 3), axis=1, name="it"), fl.ShapeError, "x", 1, "size 3, not 1"),
    (lambda: fl.squeeze(p("n", 1), name="it"), fl.ShapeError, "x", 0, "not known"),
    (lambda: fl.expand_dims(p(2), axis=4, name="it"), fl.AttributeValueError, "axis", 4, "does not exist"),
    (lambda: fl.broadcast_to(p(2, 3), (3, 3), name="it"), fl.ShapeError, "shape", 0, None),
    (lambda: fl.broadcast_to(p(2, 1), (2, "n"), name="it"), fl.AttributeValueError, "shape", None, "broadcast_like"),
    (lambda: fl.broadcast_like(p(4, 3), p(3), name="it"), fl.ShapeError, "x", 0, "cannot be repeated"),
    (lambda: fl.broadcast_like(p(4, 3), p(2, 1, 3), name="it"), fl.ShapeError, "x", 0, "cannot be repeated"),
    (lambda: fl.concat([p(2, 3), p(4, 5)], axis=0, name="it"), fl.ShapeError, "xs.1", 1, "axis 1 of xs.1 has 5"),
    (lambda: fl.concat([p(2, 3), p(2)], name="it"), fl.ShapeError, "xs.1", None, "has 2 axes"),
    (lambda: fl.concat([], name="it"), fl.AttributeValueError, "xs", None, "list of tensors"),
    (lambda: fl.concat(p(2, 3), name="it"), fl.AttributeValueError, "xs", None, "list of tensors"),
    (lambda: fl.stack([p(2, 3), p(2, 4)], name="it"), fl.ShapeError, "xs.1", 1, "All shapes must be equal"),
    (lambda: fl.split(p(5, 2), 2, name="it"), fl.ShapeError, "x", 0, "5 values, which 2 does not divide"),
    (lambda: fl.split(p(6), 0, name="it"), fl.AttributeValueError, "n", None, "1 or more"),
    (lambda: fl.split(p("n"), 10**9, name="it"), fl.AttributeValueError, "n", None, "parts"),
    (lambda: p(3)[5], fl.ShapeError, "x", 0, "outside axis 0"),
    (lambda: p(3)[0, 1], fl.ShapeError, "x", None, "2 indices"),
    (lambda: p(3)[::0], fl.AttributeValueError, "index", None, "step is 0"),
    (lambda: p(3)[..., ...], fl.AttributeValueError, "index", None, "two ellipses"),
    (lambda: p(3)[1.5], fl.AttributeValueError, "index", None, "whole numbers"),
    (lambda: fl.gather(p(3, 2), p(2), name="it"), fl.DTypeError, "indices", None, "whole numbers"),
    (lambda: fl.gather(p(3, 2), p(2, dtype="int64"), axis=2, name="it"), fl.AttributeValueError, "axis", 2, "does not exist"),
    (lambda: fl.one_hot(p(2, dtype="int64"), 0, name="it"), fl.AttributeValueError, "depth", None, "classes"),
    (lambda: fl.one_hot(p(2, dtype="int64"), 3, dtype="complex64", name="it"), fl.AttributeValueError, "dtype", None, "not a dtype"),
    (lambda: fl.cast(p(2), "float99", name="it"), fl.AttributeValueError, "dtype", None, "float32"),
    (lambda: fl.clip(p(2), min="low", name="it"), fl.AttributeValueError, "min", None, "not a number"),
    (lambda: fl.clip(p(2), min=float("nan"), name="it"), fl.AttributeValueError, "min", None, "not a number"),
    (lambda: fl.add(p(2), name="it"), fl.AttributeValueError, "b", None, "needs the input b"),
    (lambda: fl.relu(p(2), 1, 2, name="it"), fl.AttributeValueError, None, None, None),
    (lambda: fl.random_normal(shape=(2, None), name="it"), fl.AttributeValueError, "shape", 1, "every size"),
    (lambda: fl.variable(fl.init.zeros(("n", 2)), name="it"), fl.ShapeError, None, 0, "every size"),
    (lambda: fl.conv2d(p(2, 3, 3, 7), p(4, 3, 5, 2), name="it"), fl.ShapeError, "x", 2, r"⌊\(3 \+ 0 \+ 0 − 1·\(5 − 1\) − 1\) / 1⌋ \+ 1 = -1"),
    (lambda: fl.conv2d(p(2, 3, 9, 7), p(4, 2, 5, 2), name="it"), fl.ShapeError, "w", 1, "x has 3 channels, the kernel reads 2"),
    (lambda: fl.conv2d(p(2, 6, 9, 7), p(4, 2, 5, 2), groups=3, name="it"), fl.ShapeError, "w", 0, "4 filters cannot be divided into 3 groups"),
    (lambda: fl.conv2d(p(2, 3, 9), p(4, 3, 5, 2), name="it"), fl.ShapeError, "x", None, "4 axes: .batch, channels, height, width"),
    (lambda: fl.conv2d(p(2, 3, 9, 7), p(4, 3, 5), name="it"), fl.ShapeError, "w", None, "4 axes: .out, in, height, width"),
    (lambda: fl.conv2d(p(2, 3, 9, 7), p(4, 3, 5, 2), stride=0, name="it"), fl.AttributeValueError, "stride", None, "stride is 0"),
    (lambda: fl.conv2d(p(2, 3, 9, 7), p(4, 3, 5, 2), stride=(1, 2, 3), name="it"), fl.AttributeValueError, "stride", None, "3 numbers"),
    (lambda: fl.conv2d(p(2, 3, 9, 7), p(4, 3, 5, 2), padding="full", name="it"), fl.AttributeValueError, "padding", None, "not a padding"),
    (lambda: fl.conv2d(p(2, 3, 9, 7), p(4, 3, 5, 2), padding=-1, name="it"), fl.AttributeValueError, "padding", None, "not a padding"),
    (lambda: fl.conv2d(p(2, 3, 9, 7), p(4, 3, 5, 2), padding=((1, 1),), name="it"), fl.AttributeValueError, "padding", None, "1 pair[, .]"),
    (lambda: fl.conv2d(p(2, 3, 9, 7), p(4, 3, 5, 2), groups=0, name="it"), fl.AttributeValueError, "groups", None, "groups is 0"),
    (lambda: fl.conv_transpose2d(p(2, 3, 9, 7), p(4, 3, 5, 2), name="it"), fl.ShapeError, "w", 0, "the kernel takes 4"),
    (lambda: fl.conv_transpose2d(p(2, 3, 9, 7), p(3, 4, 5, 2), output_padding=1, name="it"), fl.AttributeValueError, "output_padding", 2, "not below the stride"),
    (lambda: fl.conv_transpose2d(p(2, 3, 1, 7), p(3, 4, 3, 2), padding=2, name="it"), fl.ShapeError, "x", 2, "= -1 values"),
    (lambda: fl.conv_transpose2d(p(2, 3, 9, 7), p(3, 4, 5, 2), padding="same", name="it"), fl.AttributeValueError, "padding", None, "in numbers"),
    (lambda: fl.max_pool2d(p(2, 3, 4, 1), 2, name="it"), fl.ShapeError, "x", 3, "a window of 2 does not fit"),
    (lambda: fl.max_pool2d(p(2, 3, 4), 2, name="it"), fl.ShapeError, "x", None, "4 axes"),
    (lambda: fl.max_pool2d(p(2, 3, 4, 5), 2, padding=2, name="it"), fl.AttributeValueError, "padding", 2, "not less than the window"),
    (lambda: fl.avg_pool2d(p(2, 3, 4, 5), (2, 3, 1), name="it"), fl.AttributeValueError, "size", None, "3 numbers"),
    (lambda: fl.avg_pool2d(p(2, 3, 4, 5), name="it"), fl.AttributeValueError, "size", None, "needs size"),
    (lambda: fl.pad(p(2, 3), [(1, 1)], name="it"), fl.AttributeValueError, "pad_width", None, "1 pair[, .]"),
    (lambda: fl.pad(p(2, 3), [(1, 1), (0, -2)], name="it"), fl.AttributeValueError, "pad_width", 1, "padded by -2"),
    (lambda: fl.pad(p(2, 3), [(1, 1), (0, 3)], mode="reflect", name="it"), fl.ShapeError, "x", 1, "too few to reflect"),
    (lambda: fl.pad(p(2), [(1, 1)], mode="wrap", name="it"), fl.AttributeValueError, "mode", None, "one of constant, edge, reflect"),
    (lambda: fl.tile(p(2, 3), (2, -1), name="it"), fl.AttributeValueError, "reps", None, "from 0 on"),
    (lambda: fl.repeat(p(2, 3), -1, name="it"), fl.AttributeValueError, "repeats", None, "repeats is -1"),
    (lambda: fl.repeat(p(2, 3), 2, axis=2, name="it"), fl.AttributeValueError, "axis", 2, "does not exist"),
    (lambda: fl.flip(p(2, 3), axis=(0, -2), name="it"), fl.AttributeValueError, "axis", None, "twice"),
    (lambda: fl.roll(p(2, 3), (1, 2), name="it"), fl.AttributeValueError, "axis", None, "2 shifts"),
    (lambda: fl.swapaxes(p(2, 3), 0, 2), fl.AttributeValueError, "axis2", 2, "does not exist"),
    (lambda: fl.moveaxis(p(2, 3), (0, 1), 0), fl.AttributeValueError, "destination", None, "do not pair up"),
    (lambda: fl.unstack(p("n", 3), name="it"), fl.ShapeError, "x", 0, "not known"),
    (lambda: fl.unstack(p(0, 3), name="it"), fl.ShapeError, "x", 0, "0 entries"),
    (lambda: fl.tril(p(3), name="it"), fl.ShapeError, "x", None, "a matrix"),
    (lambda: fl.arange(1, 5, 0, name="it"), fl.AttributeValueError, "step", None, "never ends"),
    (lambda: fl.arange(1e15, name="it"), fl.AttributeValueError, "stop", None, "beyond any memory"),
    (lambda: fl.linspace(0, 1, -2, name="it"), fl.AttributeValueError, "num", None, "num is -2"),
    (lambda: fl.eye(-1, name="it"), fl.AttributeValueError, "n", None, "-1 rows"),
    (lambda: fl.topk(p(2, 3), 4, name="it"), fl.ShapeError, "x", 1, "fewer than k = 4"),
    (lambda: fl.topk(p(2, 3), -1, name="it"), fl.AttributeValueError, "k", None, "k is -1"),
    (lambda: fl.sort(p(), name="it"), fl.AttributeValueError, "axis", -1, "no axes"),
    (lambda: fl.take_along_axis(p(2, 3), p(3, dtype="int64"), name="it"), fl.ShapeError, "indices", None, "fl.gather"),
    (lambda: fl.take_along_axis(p(2, 3), p(4, 3, dtype="int64"), name="it"), fl.ShapeError, "indices", 0, "Only axis 1 may differ"),
    (lambda: fl.scatter_add(p(2, 3), p(4, dtype="int64"), p(4, 5), name="it"), fl.ShapeError, "updates", 1, "need 3"),
    (lambda: fl.scatter_add(p(2, 3), p(4, dtype="int64"), p(4), name="it"), fl.ShapeError, "updates", None, r"need \(4, 3\)"),
    (lambda: fl.cumsum(p(2, 3), axis=2, name="it"), fl.AttributeValueError, "axis", 2, "does not exist"),
    (lambda: fl.logical_and(p(2), p(2), name="it"), fl.DTypeError, "a", None, "takes bool"),
    (lambda: fl.isnan(p(2, dtype="bool"), name="it"), fl.DTypeError, "x", None, "takes floats"),
    (lambda: fl.var(p(2, 1), axis=1, ddof=1, name="it"), fl.AttributeValueError, "ddof", None, "too few for ddof"),
    (lambda: fl.prod(p(2, 3), axis=2, name="it"), fl.AttributeValueError, "axis", 2, "axes 0 to 1"),
    (lambda: fl.argmin(p(), name="it"), fl.AttributeValueError, "axis", -1, "no axes"),
    (lambda: fl.mod(p(2, 3), p(2, 4), name="it"), fl.ShapeError, "b", 1, "do not broadcast"),
    (lambda: fl.outer(p(2, 3), p(2), name="it"), fl.ShapeError, "a", None, "two vectors"),
    (lambda: fl.dot(p(2, 3, 4), p(4)), fl.ShapeError, "a", None, "a has more than two axes"),
    (lambda: fl.linalg.trace(p(3), name="it"), fl.ShapeError, "x", None, "a matrix"),
    (lambda: fl.linalg.trace(p(3, 3), axis2=0, name="it"), fl.AttributeValueError, "axis2", 0, "the same"),
    (lambda: fl.linalg.inv(p(2, 3), name="it"), fl.ShapeError, "x", 1, "2 rows and 3 columns"),
    (lambda: fl.linalg.det(p(3), name="it"), fl.ShapeError, "x", None, "square matrix"),
    (lambda: fl.linalg.solve(p(3, 3), p(4, 2), name="it"), fl.ShapeError, "b", 0, "b needs 3 rows"),
    (lambda: fl.linalg.solve(p(3, 4), p(4, 2), name="it"), fl.ShapeError, "a", 1, "square"),
    (lambda: fl.linalg.solve(p(3, 3), p(), name="it"), fl.ShapeError, "b", None, "scalar"),
    (lambda: fl.linalg.cholesky(p(4, 3), name="it"), fl.ShapeError, "x", 1, "square"),
    (lambda: fl.linalg.norm(p(4, 3), ord=3), fl.AttributeValueError, "ord", None, "None, 1, 2 or inf"),
    (lambda: fl.einsum("ij,jk->ik", p(2, 3), p(4, 5), name="it"), fl.ShapeError, "xs.1", 0, "j is 3 on axis 1 of xs.0 and 4 on axis 0 of xs.1"),
    (lambda: fl.einsum("ij,jk->ik", p(2, 3), name="it"), fl.AttributeValueError, "subscripts", None, "names 2 operands"),
    (lambda: fl.einsum("ii->i", p(3, 3), name="it"), fl.AttributeValueError, "subscripts", None, "each once"),
    (lambda: fl.einsum("ij->ik", p(3, 3), name="it"), fl.AttributeValueError, "subscripts", None, "must name axes"),
    (lambda: fl.einsum("ijk->i", p(3, 3), name="it"), fl.ShapeError, "xs.0", None, "names 3 axes"),
    (lambda: fl.einsum(p(3, 3), p(3, 3)), fl.AttributeValueError, "subscripts", None, "come first"),
    (lambda: fl.gelu(p(2, dtype="bool"), name="it"), fl.DTypeError, "x", None, "takes floats"),
    (lambda: fl.glu(p(2, 3), name="it"), fl.ShapeError, "x", 1, "3 values, an odd number"),
    (lambda: fl.hardtanh(p(2), min_val=2, name="it"), fl.AttributeValueError, "min_val", None, "above max_val"),
    (lambda: fl.layer_norm(p(2, 3), p(2), name="it"), fl.ShapeError, "gamma", 0, "it needs 3"),
    (lambda: fl.layer_norm(p(2, 3), axis=0, name="it"), fl.AttributeValueError, "axis", None, "not at the end"),
    (lambda: fl.layer_norm(p(2, 3), eps=-1, name="it"), fl.AttributeValueError, "eps", None, "eps is -1"),
    (lambda: fl.rms_norm(p(2, 3), p(3, 1), name="it"), fl.ShapeError, "gamma", None, "it needs"),
    (lambda: fl.group_norm(p(2, 3, 4), groups=2, name="it"), fl.ShapeError, "x", 1, "3 channels cannot be divided"),
    (lambda: fl.group_norm(p(2, 4, 4), p(2), groups=2, name="it"), fl.ShapeError, "gamma", 0, "it needs 4"),
    (lambda: fl.group_norm(p(2, 4, 4), groups=0, name="it"), fl.AttributeValueError, "groups", None, "1 or more"),
    (lambda: fl.batch_norm(p(2, 3, 4), p(4), p(3), name="it"), fl.ShapeError, "gamma", 0, "it needs 3"),
    (lambda: fl.batch_norm(p(2), p(2), p(2), name="it"), fl.ShapeError, "x", None, "batch, channels"),
    (lambda: fl.mse(p(2, 3), p(2, 1), name="it"), fl.ShapeError, "target", 1, "axis 1 of prediction has 3"),
    (lambda: fl.mae(p(2, 3), p(2), name="it"), fl.ShapeError, "target", None, "same shape"),
    (lambda: fl.huber(p(2, 3), p(2, 3), delta=0, name="it"), fl.AttributeValueError, "delta", None, "above 0"),
    (lambda: fl.hinge(p(2, 3), p(3, 3), name="it"), fl.ShapeError, "target", 0, "axis 0"),
    (lambda: fl.binary_cross_entropy_with_logits(p(2, 3), p(2), name="it"), fl.ShapeError, "labels", None, "same shape"),
    (lambda: fl.kl_div(p(), p(), name="it"), fl.ShapeError, "log_q", None, "rows of shares"),
    (lambda: fl.nll(p(2, 3), p(3, dtype="int64"), name="it"), fl.ShapeError, "labels", 0, "axis 0"),
    (lambda: fl.nll(p(2, 3), p(2, 3, dtype="int64"), name="it"), fl.ShapeError, "labels", None, "labels of rank 1"),
    (lambda: recurrent.gru(p(2, 3), p(5, 12), p(4, 12), p(12), p(12), name="it"), fl.ShapeError, "x", None, "batch, time, features"),
    (lambda: recurrent.gru(p(2, 3, 5), p(6, 12), p(4, 12), p(12), p(12), name="it"), fl.ShapeError, "kernel", 0, "has 6, it needs 5"),
    (lambda: recurrent.gru(p(2, 3, 5), p(5, 12), p(4, 12), p(16), p(12), name="it"), fl.ShapeError, "bias", 0, "it needs 12"),
    (lambda: recurrent.gru(p(2, 3, 5), p(5, 12), p(4, 12), p(12), p(12), p(3, 4), name="it"), fl.ShapeError, "h0", 0, "it needs 2"),
    (lambda: recurrent.rnn(p(2, 3, 5), p(5, 4), p(4, 5), p(4), name="it"), fl.ShapeError, "recurrent_kernel", 1, "it needs 4"),
    (lambda: recurrent.rnn(p(2, 3, 5), p(5, 4), p(4, 4), p(4, 1), name="it"), fl.ShapeError, "bias", None, "rank 1"),
    (lambda: fl.ctc_loss(p(2, 4), i64(2, 3), i64(2), i64(2), name="it"), fl.ShapeError, "logits", None, "batch, time, classes"),
    (lambda: fl.ctc_loss(p(2, 4, 5), i64(3), i64(2), i64(2), name="it"), fl.ShapeError, "labels", None, "most labels"),
    (lambda: fl.ctc_loss(p(2, 4, 5), i64(2, 3), i64(3), i64(2), name="it"), fl.ShapeError, "logit_lengths", 0, "one row for every sequence"),
    (lambda: fl.ctc_loss(p(2, 4, 5), i64(2, 3), i64(2), i64(2, 1), name="it"), fl.ShapeError, "label_lengths", None, "one number a row"),
    (lambda: fl.ctc_loss(p(2, 4, 5), i64(2, 3), i64(2), i64(2), blank=5, name="it"), fl.AttributeValueError, "blank", None, "from 0 to 4"),
    (lambda: fl.ctc_loss(p(2, 4, 5), p(2, 3), i64(2), i64(2), name="it"), fl.DTypeError, "labels", None, "whole numbers"),
    (lambda: fl.adaptive_avg_pool2d(p(2, 3, 4), 2, name="it"), fl.ShapeError, "x", None, "4 axes"),
    (lambda: fl.adaptive_max_pool1d(p(2, 3, 0), 2, name="it"), fl.ShapeError, "x", 2, "no values"),
    (lambda: fl.adaptive_avg_pool3d(p(2, 3, 4, 5, 6), (1, 2), name="it"), fl.AttributeValueError, "size", None, "2 numbers"),
    (lambda: fl.adaptive_avg_pool1d(p(2, 3, 4), 0, name="it"), fl.AttributeValueError, "size", None, "size is 0"),
    (lambda: fl.boolean_mask(p(2, 3), p(3, dtype="bool"), name="it"), fl.ShapeError, "mask", 0, "axis 0 of x has 2, of mask 3"),
    (lambda: fl.boolean_mask(p(2), p(2, 3, dtype="bool"), name="it"), fl.ShapeError, "mask", None, "leading axes"),
    (lambda: fl.boolean_mask(p(2, 3), i64(2), name="it"), fl.DTypeError, "mask", None, "takes bool"),
    (lambda: fl.scatter(p(5, 3), i64(2), p(2, 4), name="it"), fl.ShapeError, "updates", 1, "has 4, x and indices need 3"),
    (lambda: fl.searchsorted(p(2, 3), p(4), name="it"), fl.ShapeError, "sorted_values", None, "one row"),
    (lambda: fl.bincount(i64(4), 0, name="it"), fl.AttributeValueError, "length", None, "length is 0"),
    (lambda: fl.quantile(p(2, 3), q=1.5, name="it"), fl.AttributeValueError, "q", None, "0 to 1"),
    (lambda: fl.quantile(p(2, 3), q=0.5, axis=2, name="it"), fl.AttributeValueError, "axis", 2, "does not exist"),
    (lambda: fl.linalg.eigh(p(2, 3), name="it"), fl.ShapeError, "x", 1, "square"),
    (lambda: fl.linalg.slogdet(p(3), name="it"), fl.ShapeError, "x", None, "square"),
    (lambda: fl.linalg.qr(p(3), name="it"), fl.ShapeError, "x", None, "a matrix"),
    (lambda: fl.linalg.svd(p(), name="it"), fl.ShapeError, "x", None, "a matrix"),
    (lambda: fl.linalg.diagonal(p(3), name="it"), fl.ShapeError, "x", None, "a matrix"),
    (lambda: fl.linalg.diagonal_matrix(p(), name="it"), fl.ShapeError, "v", None, "a vector"),
    (lambda: fl.celu(p(2), alpha=0, name="it"), fl.AttributeValueError, "alpha", None, "above 0"),
    (lambda: fl.softshrink(p(2), lambd=-1, name="it"), fl.AttributeValueError, "lambd", None, "from 0 on"),
    (lambda: fl.prelu(p(2, 3), p(2), name="it"), fl.ShapeError, "slope", 0, "do not broadcast"),
    (lambda: fl.gelu(p(2), approximate="erf", name="it"), fl.AttributeValueError, "approximate", None, "none, tanh"),
    (lambda: fl.reverse_sequence(p(2, 3), i64(3), name="it"), fl.ShapeError, "lengths", 0, "one length a row"),
    (lambda: fl.reverse_sequence(p(2), i64(2), name="it"), fl.ShapeError, "x", None, "batch, time"),
    (lambda: recurrent.lstm(p(2, 3, 5), p(5, 16), p(4, 16), p(16), lengths=i64(3), name="it"), fl.ShapeError, "lengths", 0, "one length a row"),
    (lambda: recurrent.gru(p(2, 3, 5), p(5, 12), p(4, 12), p(12), p(12), lengths=p(2), name="it"), fl.DTypeError, "lengths", None, "whole numbers"),
    (lambda: array.slice_like(p(2, 3), [p(2, 3)], position=7, axis=1), fl.FlowError, None, None, "rule failed"),
]


@pytest.mark.parametrize(("tried", "error", "port", "axis", "words"), WRONG)
def test_refusals_say_where_and_why(tried, error, port, axis, words):
    with fl.Graph() as g:
        with pytest.raises(error, match=words) as caught:
            tried()
        assert "it" not in g.nodes and not any(n.op.source is None for n in g.nodes)
    if port is not None:
        assert caught.value.port == port
    assert caught.value.axis == axis
    assert caught.value.message.endswith((".", "?")) and str(caught.value).startswith(caught.value.message)
    if error is fl.ShapeError:
        assert caught.value.node


def test_sizes_that_turn_out_not_to_fit_are_kernel_errors():
    with fl.Graph() as g:
        a, b = fl.placeholder(("n", 3), name="a"), fl.placeholder(("k", 3), name="b")
        fl.add(a, b, name="both")
        fl.matmul(a, fl.transpose(b), name="product")
        fl.squeeze(a, axis=0, name="one")
    sess = fl.Session(g)
    assert sess.run("product", {a: np.ones((2, 3)), b: np.ones((5, 3))}).shape == (2, 5)
    for name in ("both", "one"):
        with pytest.raises(fl.KernelError) as caught:
            sess.run(name, {a: np.ones((2, 3)), b: np.ones((5, 3))})
        assert caught.value.node == name and isinstance(caught.value.__cause__, ValueError)
    assert sess.run("both", {a: np.ones((1, 3)), b: np.ones((5, 3))}).shape == (5, 3)


def test_negative_powers_of_whole_numbers_are_kernel_errors():
    with fl.Graph() as g:
        x = fl.placeholder((2,), "int64", name="x")
        y = x ** -1
    with pytest.raises(fl.KernelError, match="negative"):
        fl.Session(g).run(y, {x: [1, 2]})


def test_small_class_numbers_meet_many_classes():
    with fl.Graph() as g:
        i = fl.placeholder((2,), "int8", name="i")
        u = fl.placeholder((2,), "uint8", name="u")
        a, b = fl.one_hot(i, 300), fl.one_hot(u, 300)
        loss = fl.sparse_softmax_cross_entropy(fl.placeholder((2, "classes"), name="x"), u)
        d, = fl.gradients(loss, [g.tensor("x")])
    a, b, d = fl.Session(g).run([a, b, d], {i: [-1, 127], u: [0, 255], "x": np.zeros((2, 300))})
    assert a.sum() == 1 and a[1, 127] == 1 and b[1, 255] == 1 and b.sum() == 2
    assert d[1, 255] < 0 < d[1, 254] and d[0, 0] < 0


@pytest.mark.parametrize("form", ["number", "tensor"])
def test_gradient_of_a_power_at_nothing(form):
    """x ** 0 is flat everywhere, at 0 too, and x ** 1 has slope 1."""
    with fl.Graph() as g:
        x = fl.placeholder((3,), "float64", name="x")
        e = fl.placeholder((3,), "float64", name="e")
        y = x ** e if form == "tensor" else x ** np.array([0.0, 1.0, 3.0])
        d, = fl.gradients(y, [x])
    got = fl.Session(g).run(d, {x: [0.0, 0.0, 0.0], e: [0.0, 1.0, 3.0]})
    np.testing.assert_array_equal(got, [0, 1, 0])


def test_ties_share_the_gradient():
    with fl.Graph() as g:
        x = fl.placeholder((4,), "float64", name="x")
        top, = fl.gradients(fl.max(x), [x])
        pair = fl.gradients(fl.sum(fl.maximum(x, x[::-1])), [x])[0]
        flat, = fl.gradients(fl.sum(fl.relu(x)), [x])
    top, pair, flat = fl.Session(g).run([top, pair, flat], {x: [2.0, 0.0, 2.0, 2.0]})
    np.testing.assert_allclose(top, [1 / 3, 0, 1 / 3, 1 / 3])
    np.testing.assert_allclose(pair.sum(), 4)
    np.testing.assert_allclose(flat, [1, 0, 1, 1])


def test_sizes_that_must_be_equal_are_not_repeated():
    """One label for many rows, one row of state for a batch, a value of another size for a variable: refused, though NumPy would repeat them."""
    with fl.Graph() as g:
        x, labels, soft = fl.placeholder(("n", 3), name="x"), fl.placeholder(("m",), "int64", name="labels"), fl.placeholder(("m", 3), name="soft")
        seq, h0 = fl.placeholder(("n", 2, 3), name="seq"), fl.placeholder(("m", 4), name="h0")
        v = fl.variable(np.zeros((1, 3), "float32"), name="v")
        fetches = {"hard": fl.sparse_softmax_cross_entropy(x, labels), "soft": fl.softmax_cross_entropy(x, soft), "put": fl.assign(v, x),
                   "read": fl.nn.lstm(seq, 4, initial_state=(h0, h0))[0]}
    sess = fl.Session(g)
    feeds = {x: np.ones((5, 3)), labels: [1], soft: np.ones((1, 3)), seq: np.ones((5, 2, 3)), h0: np.ones((1, 4))}
    for name, fetch in fetches.items():
        with pytest.raises(fl.KernelError, match="shape"):
            sess.run(fetch, feeds)
        assert name and sess.variables["v"].shape == (1, 3)
    sess.run(fetches["put"], {x: np.ones((1, 3))})
    assert (sess.variables["v"] == 1).all()


def test_a_largest_value_that_stands_twice_is_met_once():
    """The first of equals gets a window's gradient, as torch has it; a window of NaN still gets it once."""
    with fl.Graph():
        x = fl.placeholder((1, 1, 2, 4), "float64", name="x")
        d, = fl.gradients(fl.sum(fl.max_pool2d(x, 2)), [x])
    got = fl.Session(d.graph).run(d, {x: [[[[1, 1, 0, np.nan], [1, 0, 0, 0]]]]})
    np.testing.assert_array_equal(got, [[[[1, 0, 0, 0], [0, 0, 0, 1]]]])


def test_axes_move_and_signs_of_logic():
    xs = np.arange(24.0).reshape(2, 3, 4)
    with fl.Graph() as g:
        x = fl.placeholder((2, 3, 4), name="x")
        moved = [fl.swapaxes(x, 0, -1), fl.moveaxis(x, 0, -1), fl.moveaxis(x, (0, 2), (1, 0)), ~(x > 3) & (x < 9) | (x > 20) ^ (x > 22)]
        counts = [fl.arange(5), fl.arange(2.0, 4, 0.5), fl.arange(6, 0, -2)]
    got = fl.Session(g).run(moved + counts, {x: xs})
    for a, b in zip(got, [np.swapaxes(xs, 0, -1), np.moveaxis(xs, 0, -1), np.moveaxis(xs, (0, 2), (1, 0)), ~(xs > 3) & (xs < 9) | (xs > 20) ^ (xs > 22),
                          np.arange(5), np.arange(2.0, 4, 0.5), np.arange(6, 0, -2)], strict=True):
        np.testing.assert_array_equal(a, b)
    assert [c.dtype for c in counts] == ["int64", "float32", "int64"]


@pytest.mark.parametrize(("tried", "words"), [
    (lambda: fl.concat([p(2), p(2, 3)]), "xs.0 has 1 axis,"), (lambda: fl.pad(p(2), []), "0 pairs, x .2,. has 1 axis"), (lambda: p(1)[2], "which has 1 value"), (lambda: p(2)[0, 1], "2 indices .* 1 axis"),
    (lambda: fl.sum(p(1), axis=3), "the tensor has axis 0 alone"), (lambda: fl.group_norm(p(2, 1, 4), groups=2), "1 channel cannot be divided into 2 groups"),
    (lambda: fl.linalg.solve(p(2, 2), p(1, 2)), "b has 1 row"), (lambda: fl.einsum("ij->i", p(3)), "names 2 axes, xs.0 has 1")])
def test_one_thing_is_told_of_in_the_singular(tried, words):
    with fl.Graph(), pytest.raises(fl.FlowError, match=words):
        tried()
