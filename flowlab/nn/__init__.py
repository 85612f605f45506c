"""Layers, initializers, optimizers: they build nodes and compute nothing."""
from __future__ import annotations

from . import init, optim
from .layers import dense, expand, lstm

__all__ = ["dense", "expand", "init", "lstm", "optim"]
