"""Layers, initializers, optimizers: they build nodes and compute nothing."""
from __future__ import annotations

from ..core.errors import no_attribute as _no_attribute
from . import init, optim
from .blocks import attention, batch_norm, embedding, group_norm, layer_norm, multi_head_attention, rms_norm
from .layers import bidirectional, conv1d, conv2d, conv3d, conv_transpose2d, dense, expand, flatten, gru, lstm, rnn, stacked

__all__ = ["attention", "batch_norm", "bidirectional", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "dense", "embedding", "expand", "flatten", "group_norm", "gru", "init", "layer_norm", "lstm",
           "multi_head_attention", "optim", "rms_norm", "rnn", "stacked"]


def __getattr__(name: str) -> None:
    raise _no_attribute(__name__, name, __all__)
