"""What every test may rely on."""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

# JAX is asked for numbers, once each: most of its time goes into compiling, half of it into optimising what runs once
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false")

_LEFT_OUT: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whatever stands in tests/browser drives a browser; nobody has to say so twice. What needs a graphics card is left out where none is."""
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)
    card = [item for item in items if item.get_closest_marker("gpu")]
    if card:
        from flowlab.runtime.device import gpu
        if isinstance(why := gpu(0), str):
            items[:] = [item for item in items if not item.get_closest_marker("gpu")]
            config.hook.pytest_deselected(items=card)
            _LEFT_OUT.append(f"{len(card)} tests marked gpu are left out: {why}.")


@pytest.fixture(scope="session", autouse=True)
def _data_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a lab remembers of recent files and unsaved edits goes into a folder of the tests' own, not into that of the person who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", os.fspath(tmp_path_factory.mktemp("jupyter-data")))
        yield


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in _LEFT_OUT:
        terminalreporter.write_line(line)
