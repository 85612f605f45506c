"""The service as HTTP: FastAPI and uvicorn around a `Model`. Imported when it is asked for; annotations here are looked at by FastAPI, so they are no texts."""
import asyncio
import hmac
import json
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import prometheus_client
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..core.errors import AttributeValueError
from ..core.graph import Tensor
from ..core.types import shape_text
from .serve import Job, Model, Refused, is_loopback, late, read_json, read_safetensors, short, write_json, write_safetensors

JSON, SAFETENSORS, PROBLEM = "application/json", "application/x-safetensors", "application/problem+json"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
PATHS = ("/v1/predict", "/v1/model", "/healthz", "/readyz", "/metrics", "/openapi.json")     # others are counted together
_BODIES = 4             # bodies of the largest size that are held at the same time, or as many bytes in smaller ones
_SMALL = 1 << 16        # bytes; a body up to this size is read and written without leaving the event loop


def application(model: Model, *, token: str | None, hosts: Sequence[str] | None = LOOPBACK, origins: Sequence[str] = ()) -> Any:
    """The ASGI application of a model (FastAPI): POST /v1/predict, GET /v1/model, /healthz, /readyz, /metrics and /openapi.json.

    `token`: what `Authorization: Bearer …` must carry, everywhere but at /healthz and /readyz; None asks for none. `hosts`: the names in `Host` that are answered, None for any.
    `origins`: pages, as `https://example.org`, whose scripts may ask; a request with any other `Origin` is refused. Errors are problem documents (RFC 9457) with `field` and `hint`.
    """
    limits, seen = model.limits, _Metrics(model)

    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        yield
        await run_in_threadpool(model.close)

    app = FastAPI(title=f"flowlab: {model.graph.name}", version="1", docs_url=None, redoc_url=None, lifespan=lifespan, openapi_tags=[],
                          description="Answers of a flowlab graph. Errors are problem documents (RFC 9457).")
    at_hand = bytes_at_hand = 0
    heavy = asyncio.Lock()      # a large body or answer in JSON takes many times its bytes while it is read or written: one at a time

    async def body_of(request: Any, until: float) -> bytes:
        """The whole body, within the limits of size and time."""
        nonlocal bytes_at_hand
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refused(415, "the body is compressed.", "Content-Encoding", "Send it as it is.")
        said = request.headers.get("content-length", "")
        if said.isdigit() and int(said) > limits.body:
            raise Refused(413, f"the body has {int(said):,} bytes, more than {limits.body:,}.", "body", "Send fewer at a time.")
        chunks, size = [], 0
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                async for chunk in request.stream():
                    size += len(chunk)
                    bytes_at_hand += len(chunk)
                    request.state.taken = size      # whoever asked for the body gives it back
                    if bytes_at_hand > _BODIES * limits.body:
                        raise Refused(503, f"the bodies at hand together have more than {_BODIES * limits.body:,} bytes.", "body", "Try again later.", retry=1)
                    if size > limits.body:
                        raise Refused(413, f"the body has more than {limits.body:,} bytes.", "body", "Send fewer at a time.")
                    chunks.append(chunk)
        except TimeoutError:
            raise Refused(408, f"the body was not here after {limits.seconds:g} s.", "body") from None
        return b"".join(chunks)

    def job_of(body: bytes, kind: str, wanted: list[str] | None) -> Job:
        if kind == JSON:
            inputs, outputs = read_json(body)
            if outputs is not None and wanted is not None:
                raise Refused(422, "outputs are named twice, in the body and in the query.", "outputs")
            wanted = outputs if outputs is not None else wanted
        else:
            inputs = read_safetensors(body)
        return model.job(inputs, wanted)

    @app.post("/v1/predict", summary="Compute outputs from inputs", openapi_extra=_request_schema(model), responses=_response_schema(model), response_class=Response)
    async def predict(request: Request) -> Response:
        nonlocal at_hand, bytes_at_hand
        began = time.monotonic()
        kind = _kind(request.headers.get("content-type", ""))
        reply = _reply(request.headers.get("accept", "*/*"), kind)
        if at_hand >= limits.queue:
            raise Refused(429, f"{limits.queue} requests are at hand already.", hint="Try again later.", retry=1)
        at_hand += 1
        model.reading += 1
        reading = True
        request.state.taken = 0
        try:
            body = await body_of(request, began + limits.seconds)
            wanted = request.query_params.getlist("output") or None
            go = (body, kind, wanted)
            if len(body) <= _SMALL:
                job = job_of(*go)
            else:
                async with heavy:
                    job = await run_in_threadpool(job_of, *go)
            job.until = began + limits.seconds
            model.reading -= 1
            reading = False
            model.put(job)
            del body, go
            try:
                async with asyncio.timeout(max(0.0, job.until - time.monotonic())):
                    outputs = await asyncio.wrap_future(job.answer)
            except TimeoutError:
                raise late(limits) from None
            size = sum(v.size for v in outputs.values())
            if size > limits.elements:
                raise Refused(413, f"the answer has {size:,} numbers, more than {limits.elements:,}.", "outputs", "Ask for fewer outputs, or send fewer rows at a time.")
            write = write_json if reply == JSON else write_safetensors
            if size * 20 <= _SMALL:
                content = write(outputs)
            else:
                async with heavy:
                    content = await run_in_threadpool(write, outputs)
            return Response(content, media_type=reply, headers={"X-Batch-Requests": str(job.shared)})
        except ClientDisconnect:
            return Response(status_code=499)
        finally:
            at_hand -= 1
            bytes_at_hand -= request.state.taken
            model.reading -= reading
            seen.latency.observe(time.monotonic() - began)

    @app.get("/v1/model", summary="Inputs, outputs and limits")
    async def described() -> dict[str, Any]:
        return model.describe()

    @app.get("/healthz", summary="Is the process alive?", response_class=PlainTextResponse)
    async def healthy() -> str:
        return "ok"

    @app.get("/readyz", summary="Can it answer now?", response_class=PlainTextResponse)
    async def ready() -> str:
        if model.unready:
            raise Refused(503, f"not ready: {model.unready}.", retry=1)
        return "ok"

    @app.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return Response(prometheus_client.generate_latest(seen.registry), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    @app.exception_handler(Refused)
    async def refused(request: Any, error: Refused) -> Any:
        return _problem(error)

    @app.exception_handler(HTTPException)
    async def missed(request: Any, error: HTTPException) -> Any:
        known = {404: "there is no such page.", 405: f"{request.method} is not answered here."}
        return _problem(Refused(error.status_code, known.get(error.status_code, str(error.detail)), "path", "See /openapi.json."), error.headers)

    app.add_middleware(_Door, token=token, hosts=hosts, origins=tuple(origins), seen=seen, problem=lambda error: _problem(error))
    return app


class _Metrics:
    """What Prometheus is told, in a registry of this service's own."""

    def __init__(self, model: Model):
        registry = self.registry = prometheus_client.CollectorRegistry()
        fast = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
        powers = (1, 2, 4, 8, 16, 32, 64, 128, 256)
        self.requests = prometheus_client.Counter("flowlab_requests", "Requests, by path and status.", ["path", "status"], registry=registry)
        self.latency = prometheus_client.Histogram("flowlab_request_seconds", "From a prediction's first byte to its answer, in seconds.", registry=registry, buckets=fast)
        runs = prometheus_client.Histogram("flowlab_run_seconds", "Seconds a run of the graph.", registry=registry, buckets=fast)
        merged = prometheus_client.Histogram("flowlab_run_requests", "Requests that a run answered.", registry=registry, buckets=powers)
        rows = prometheus_client.Counter("flowlab_rows", "Rows computed, of graphs that are batched.", registry=registry)
        prometheus_client.Gauge("flowlab_waiting", "Requests that wait for a run.", registry=registry).set_function(lambda: model.waiting)
        prometheus_client.Gauge("flowlab_ready", "1 while it can answer.", registry=registry).set_function(lambda: float(not model.unready))
        prometheus_client.Gauge("flowlab_model", "The graph that answers.", ["name"], registry=registry).labels(model.graph.name.encode("utf-8", "replace").decode()).set(1)

        def ran(requests: int, count: int, seconds: float) -> None:
            runs.observe(seconds)
            merged.observe(requests)
            rows.inc(count)
        model.seen = ran


class _Door:
    """Lets in who may come in: Host, Origin and token are looked at before anything else; what goes wrong inside is told without its trace."""

    def __init__(self, app: Any, token: str | None, hosts: Sequence[str] | None, origins: tuple[str, ...], seen: _Metrics, problem: Callable[[Refused], Any]):
        self.app, self.token, self.hosts, self.origins, self.seen, self.problem = app, token, hosts, origins, seen, problem

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        path = scope["path"] if scope["path"] in PATHS else "other"
        origin, begun = headers.get("origin"), False
        extra = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
        if origin in self.origins:
            extra += [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin"), (b"access-control-expose-headers", b"X-Batch-Requests, Retry-After")]

        async def answer(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self.seen.requests.labels(path, str(message["status"])).inc()
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        try:
            self.check(scope, headers, origin)
            if scope["method"] == "OPTIONS" and origin in self.origins:
                extra += [(b"access-control-allow-methods", b"GET, POST"), (b"access-control-allow-headers", b"authorization, content-type, accept"), (b"access-control-max-age", b"600")]
                await answer({"type": "http.response.start", "status": 204, "headers": []})
                await answer({"type": "http.response.body", "body": b""})
                return
            await self.app(scope, receive, answer)
        except Refused as error:
            await self.problem(error)(scope, receive, answer)
        except Exception as error:
            if begun:
                raise
            print(f"flowlab serve: {type(error).__name__}: {error}", file=sys.stderr, flush=True)      # for whoever runs it; the client learns nothing of the inside
            await self.problem(Refused(500, "the service failed.", hint="Its log says why."))(scope, receive, answer)

    def check(self, scope: Any, headers: Mapping[str, str], origin: str | None) -> None:
        host = headers.get("host", "")
        name = host[:host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
        if self.hosts is not None and name.lower() not in self.hosts:
            raise Refused(403, f"this service does not answer to the name {short(name)!r}.", "Host", "Start it with --allow-host for another name.")
        if origin is not None and origin not in self.origins:
            raise Refused(403, f"pages of {short(origin)!r} may not ask here.", "Origin", "Start it with --allow-origin for that page.")
        if self.token is None or scope["path"] in ("/healthz", "/readyz") or scope["method"] == "OPTIONS" and origin is not None:
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), self.token.encode()):
            raise Refused(401, "the token is missing or wrong.", "Authorization", "Send Authorization: Bearer with the token that the service printed at its start.")


def _problem(error: Refused, headers: Mapping[str, str] | None = None) -> Any:
    try:
        title = HTTPStatus(error.status).phrase
    except ValueError:
        title = "Error"
    told = {"type": "about:blank", "title": title, "status": error.status, "detail": error.detail, **({"field": error.field} if error.field else {}), **({"hint": error.hint} if error.hint else {})}
    more = {**(headers or {}), **({"Retry-After": str(error.retry)} if error.retry else {}), **({"WWW-Authenticate": "Bearer"} if error.status == 401 else {})}
    return Response(json.dumps(told, ensure_ascii=False).encode("utf-8", "replace"), status_code=error.status, media_type=PROBLEM, headers=more)


def _kind(content_type: str) -> str:
    """JSON or safetensors, from a Content-Type."""
    plain = content_type.partition(";")[0].strip().lower()
    if plain == JSON:
        return JSON
    if plain in (SAFETENSORS, "application/octet-stream"):
        return SAFETENSORS
    raise Refused(415, f"{short(plain) or 'a body without a Content-Type'} is not read here.", "Content-Type", f"Send {JSON} or {SAFETENSORS}.")


def _reply(accept: str, kind: str) -> str:
    """What to answer in, from Accept: as it was asked, where both will do."""
    wanted = {}
    for part in accept.split(","):
        name, _, options = part.strip().lower().partition(";")
        weight = next((o.partition("=")[2] for o in options.replace(" ", "").split(";") if o.startswith("q=")), "1")
        try:
            wanted[name.strip()] = float(weight)
        except ValueError:
            wanted[name.strip()] = 0.0
    anything = max(wanted.get("*/*", 0.0), wanted.get("application/*", 0.0))
    weights = {JSON: wanted.get(JSON, anything), SAFETENSORS: max(wanted.get(SAFETENSORS, anything), wanted.get("application/octet-stream", 0.0))}
    best = max(weights, key=lambda k: (weights[k], k == kind))
    if not weights[best] > 0:
        raise Refused(406, f"{short(accept)} is not written here.", "Accept", f"Accept {JSON} or {SAFETENSORS}.")
    return best


# ---------------------------------------------------------------- OpenAPI


def _array_schema(tensor: Tensor, out: bool = False) -> dict[str, Any]:
    kind = {"f": "number", "i": "integer", "u": "integer", "b": "boolean"}[tensor.dtype.kind]
    schema: dict[str, Any] = {"type": kind}
    if out and kind == "number":
        schema = {"anyOf": [schema, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}
    for d in reversed(tensor.shape):
        schema = {"type": "array", "items": schema, **({"minItems": d, "maxItems": d} if isinstance(d, int) else {}), **({"x-dimension": d} if isinstance(d, str) else {})}
    return {**schema, "description": f"{tensor.dtype} {shape_text(tensor.shape)}"}


def _request_schema(model: Model) -> dict[str, Any]:
    inputs = {"type": "object", "additionalProperties": False, "properties": {n: _array_schema(t) for n, t in model.inputs.items()}}
    outputs = {"type": "array", "items": {"type": "string", "enum": list(model.outputs)}, "description": "Which to compute; all when it is left out."}
    body = {"type": "object", "additionalProperties": False, "required": ["inputs"] if model.inputs else [], "properties": {"inputs": inputs, "outputs": outputs}}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": body}, SAFETENSORS: {"schema": {"type": "string", "format": "binary"}}}},
            "parameters": [{"name": "output", "in": "query", "schema": outputs, "explode": True, "required": False}]}


def _response_schema(model: Model) -> dict[int | str, dict[str, Any]]:
    def one(t: Tensor) -> dict[str, Any]:
        return {"type": "object", "properties": {"dtype": {"type": "string", "enum": [t.dtype.name]}, "shape": {"type": "array", "items": {"type": "integer"}}, "values": _array_schema(t, out=True)}}
    body = {"type": "object", "properties": {"outputs": {"type": "object", "properties": {n: one(t) for n, t in model.outputs.items()}}}}
    problem = {"type": "object", "properties": {"title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}, "field": {"type": "string"}, "hint": {"type": "string"}}}
    said = {400: "The body cannot be read", 401: "Token missing or wrong", 408: "The body came too slowly", 413: "Too large", 415: "Unknown Content-Type", 422: "An input is not as it must be",
            429: "Too many requests", 503: "Not in time, or shutting down"}
    return {200: {"description": "The outputs by name", "content": {JSON: {"schema": body}, SAFETENSORS: {"schema": {"type": "string", "format": "binary"}}}},
            **{status: {"description": text, "content": {PROBLEM: {"schema": problem}}} for status, text in said.items()}}


# ---------------------------------------------------------------- a process that listens


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; AttributeValueError if it cannot be had."""
    if not 0 <= port < 65536:
        raise AttributeValueError(f"{port} is not a port.", port="port", hint="Ports go from 1 to 65535; 0 finds a free one.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(family, kind, protocol)     # asyncio sends at once (TCP_NODELAY) only where the protocol is named
    except OSError as error:
        raise AttributeValueError(f"there is no address {host!r} here: {error.strerror or error}.", port="host", hint="Use 127.0.0.1, or 0.0.0.0 for every network.") from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(512)
    except OSError as error:
        found.close()
        raise AttributeValueError(f"{host}:{port} cannot be used: {error.strerror}.", port="port", hint="Name another port, or 0 for a free one.") from None
    return found


def _guarded(seconds: float, most: int) -> type[H11Protocol]:
    """uvicorn's protocol, of connections that hold nothing for ever: within `seconds`, and half as long again at most, each must have sent a request's header, the next one too, and what is
    written must be read at 64 KiB in that time. Of more than `most` the one that has waited longest for a header is closed, or where none does the new one."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.since, self.left, self.before = self.loop.time(), 0, self.cycle
            self.timer = self.loop.call_later(seconds / 2, self.look)
            if len(self.connections) > most:
                min((c for c in self.connections if c.waits), key=lambda c: c.since, default=self).transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self.timer.cancel()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self.since = self.loop.time()
            super().on_response_complete()

        @property
        def waits(self) -> bool:
            """Is a header awaited?"""
            return (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing()

        def look(self) -> None:
            left = self.transport.get_write_buffer_size()
            if self.left and self.left - left < 1 << 15 and left and self.cycle is self.before:
                self.transport.abort()
            elif self.waits and self.loop.time() - self.since >= seconds:
                self.transport.close()
            self.left, self.before = left, self.cycle
            self.timer = self.loop.call_later(seconds / 2, self.look)

    return Protocol


def serve(model: Model, *, host: str = "127.0.0.1", port: int = 8000, token: str | None = None, hosts: Sequence[str] | None = None, origins: Sequence[str] = (), grace: float = 10.0,
          announce: Callable[[str], Any] = print) -> None:
    """Listen and answer until SIGINT or SIGTERM; then take no more, answer what is at hand within `grace` seconds, and return.

    `token`: None asks for none, which is refused unless `host` is loopback. `hosts`: names beside those of loopback that are answered; on another address any name, unless some
    are given. `announce` is told the URL as soon as it listens. AttributeValueError for an address that cannot be had.
    """
    if token is None and not is_loopback(host):
        raise AttributeValueError(f"without a token only this machine may ask, and {host} is open to others.", port="token", hint="Give a token, or host 127.0.0.1.")
    own = (f"[{host.strip('[]')}]" if ":" in host else host.lower(),) if is_loopback(host) else ()
    names = (*LOOPBACK, *own, *(h.lower() for h in hosts or ())) if hosts or own else None
    app = application(model, token=token, hosts=names, origins=origins)
    limits = model.limits

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            announce(url)

    sock = listen(host, port)
    number = sock.getsockname()[1]
    url = f"http://{'[::1]' if host == '::1' else f'[{host}]' if ':' in host else host}:{number}"
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, proxy_headers=False, http=_guarded(min(limits.seconds, 10.0), 4 * limits.queue + 256), ws="none", loop="asyncio", lifespan="on",
                            timeout_keep_alive=5, timeout_graceful_shutdown=math.ceil(grace), h11_max_incomplete_event_size=1 << 16)
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():      # uvicorn raises the signal again once it is done, and that shall end nothing more
            before = {s: signal.signal(s, lambda *_: None) for s in (signal.SIGINT, signal.SIGTERM)}
        Server(config).run(sockets=[sock])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sock.close()
        model.close()
