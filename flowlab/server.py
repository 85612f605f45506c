"""A Jupyter server extension: it sends every answer of the kernel to the page at once, and serves the start page.

Jupyter leaves Nagle's algorithm on, which holds small packets back: a click that goes to Python and back takes about 49 ms,
without it 10 to 15. Installing flowlab enables this extension (etc/jupyter/jupyter_server_config.d/flowlab.json), so that a plain
`jupyter lab` has it as well.

The start page is at /flowlab. In JupyterLab and Notebook 7 it is a tab of its own: their pages load static/labextension.js, which brings it.
"""
from __future__ import annotations

import asyncio
import json
from functools import partial, wraps
from html import escape
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, FileFindHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

MAX_ASKED = 10_000      # bytes of a request


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "flowlab.server"}]


def _load_jupyter_server_extension(server: Any) -> None:
    answer_at_once()
    serve_start_page(server.web_app)


# ---------------------------------------------------------------- the start page


def serve_start_page(app: Any) -> None:
    """Add the start page to a server, and its tab to the pages of JupyterLab and Notebook 7."""
    at = partial(url_path_join, app.settings["base_url"], "flowlab")
    static = str(Path(__file__).parent / "widgets" / "static")
    app.add_handlers(".*$", [(at(), StartPage), (at("api/start"), StartApi), (at(r"static/((?:start|labextension)\.(?:js|css))"), FileFindHandler, {"path": static, "no_cache_paths": ["/"]})])
    before = app.settings.get("page_config_hook")

    def with_tab(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
        page_config = before(handler, page_config) if before is not None else page_config
        extensions = page_config.setdefault("federated_extensions", [])
        if not any(e.get("name") == "flowlab" for e in extensions):
            # from where extensions lie, <base>/lab/extensions/flowlab, to the files above
            extensions.append({"name": "flowlab", "load": "../../../flowlab/static/labextension.js", "extension": "./extension"})
        return page_config

    app.settings["page_config_hook"] = with_tab


class StartPage(JupyterHandler):
    """The page by itself: a frame that its script fills."""

    auth_resource = "contents"

    @property
    def content_security_policy(self) -> str:
        return f"{super().content_security_policy}; default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'"

    @web.authenticated
    @authorized(action="read")
    def get(self) -> None:
        _ = self.xsrf_token      # asking for it sets the cookie
        base = escape(self.base_url)
        notebooks = getattr(self.serverapp.starter_app, "name", "") == "notebook"
        self.finish(f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>flowlab</title>
<link rel="stylesheet" href="{base}flowlab/static/start.css">
</head>
<body class="fl-start-page">
<div id="flowlab-start" data-base="{base}" data-open="{'notebooks/' if notebooks else 'lab/tree/'}"></div>
<script type="module" src="{base}flowlab/static/start.js"></script>
</body>
</html>
""")


class StartApi(APIHandler):
    """What the page shows of the server's folder, and the notebooks that a click there writes."""

    auth_resource = "contents"

    @property
    def folder(self) -> Path:
        root = getattr(self.contents_manager, "root_dir", None)
        if not root:
            raise web.HTTPError(404, reason="this server keeps its notebooks in no folder")
        return Path(root).expanduser()

    @web.authenticated
    @authorized(action="read")
    async def get(self) -> None:
        from .widgets import start

        self.finish(json.dumps(await asyncio.get_running_loop().run_in_executor(None, start.contents, self.folder)))

    @web.authenticated
    @authorized(action="write")
    async def post(self) -> None:
        from .core.errors import FlowError
        from .widgets import start

        try:
            asked = json.loads(self.request.body[:MAX_ASKED])
            what = {k: asked[k] for k in ("template", "graph") if asked.get(k) is not None}
            if len(what) != 1 or not all(isinstance(v, str) for v in what.values()):
                raise ValueError
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise web.HTTPError(400, reason="ask for a template or a graph") from None
        try:
            path = await asyncio.get_running_loop().run_in_executor(None, partial(start.begin, self.folder, **what))
        except FlowError as error:
            self.set_status(400)
            self.finish(json.dumps({"message": str(error)}))
        except OSError as error:
            self.set_status(500)
            self.finish(json.dumps({"message": f"No notebook could be written: {error.strerror or error}."}))
        else:
            self.set_status(201)
            self.finish(json.dumps({"path": path}))


# ---------------------------------------------------------------- answers at once


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
