"""Layers, initializers, optimizers: they build nodes and compute nothing."""
from __future__ import annotations

from . import init, optim
from .layers import conv1d, conv2d, conv3d, conv_transpose2d, dense, expand, flatten, lstm

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose2d", "dense", "expand", "flatten", "init", "lstm", "optim"]
