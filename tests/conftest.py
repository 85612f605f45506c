"""What every test may rely on."""
from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever stands in tests/browser drives a browser; nobody has to say so twice."""
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)
