"""The names of modules in other programs, as scopes."""
from __future__ import annotations


def module_scope(module: str) -> str:
    """The scope in which a module of PyTorch stands, as its exporter writes it: `layer1.0.conv` → `layer1/layer1.0/conv`, one that is numbered after the one it is in."""
    parts: list[str] = []
    for part in module.split("."):
        parts.append(f"{parts[-1]}.{part}" if part.isdigit() and parts else part)
    return "/".join(parts)
