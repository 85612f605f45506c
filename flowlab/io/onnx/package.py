"""The package onnx, which loads when it is asked for."""
from __future__ import annotations

from typing import Any

from ...core.errors import DocumentError

MOST_BYTES = (1 << 31) - 1      # what one protobuf message holds


def package() -> Any:
    """The package onnx; DocumentError that says how to install it."""
    try:
        import onnx
        import onnx.checker
        import onnx.defs
        import onnx.helper
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError:
        raise DocumentError("ONNX needs the package onnx.", hint="pip install 'flowlab[onnx]'") from None
    return onnx
