"""A Jupyter server extension: it sends every answer of the kernel to the page at once.

Jupyter leaves Nagle's algorithm on, which holds small packets back: a click that goes to Python and back takes about 49 ms,
without it 10 to 15. Installing flowlab enables this extension (etc/jupyter/jupyter_server_config.d/flowlab.json), so that a plain
`jupyter lab` has it as well.
"""
from __future__ import annotations

from functools import wraps
from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "flowlab.server"}]


def _load_jupyter_server_extension(server: Any) -> None:
    answer_at_once()


def answer_at_once() -> None:
    """Turn TCP_NODELAY on for every connection between a page and its kernel; a second call changes nothing."""
    from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

    opened = KernelWebsocketHandler.open
    if getattr(opened, "answers_at_once", False):
        return

    @wraps(opened)
    async def open_at_once(self: Any, *arguments: Any, **options: Any) -> None:
        self.set_nodelay(True)
        await opened(self, *arguments, **options)

    open_at_once.answers_at_once = True
    KernelWebsocketHandler.open = open_at_once


def drop_state_of_strangers(manager: Any = None) -> None:
    """Open notebooks whose signature does not check without the widget state that is saved in them; a second call changes nothing.

    Jupyter brings such state back as soon as a notebook is opened, trusted or not. `flowlab lab` does not: running the cell makes the widget anew.
    """
    if manager is None:
        from jupyter_server.services.contents.manager import ContentsManager as manager
    marked = manager.mark_trusted_cells
    if getattr(marked, "drops_state", False):
        return

    @wraps(marked)
    def mark_and_drop(self: Any, nb: Any, path: str = "") -> None:
        ours = self.notary.check_signature(nb)     # before marking: that changes what was signed
        marked(self, nb, path)
        if not ours:
            nb["metadata"].pop("widgets", None)

    mark_and_drop.drops_state = True
    manager.mark_trusted_cells = mark_and_drop
