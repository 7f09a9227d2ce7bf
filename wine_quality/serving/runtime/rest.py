"""MLServer's REST side with limits, and errors that a client can read."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from mlserver.errors import MLServerError
from mlserver.rest import RESTServer
from mlserver.types import InferenceRequest
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from .limits import most_bytes

_INFER = ("/v2/models/{model_name}/infer", "/v2/models/{model_name}/versions/{version}/infer")
# What MLServer has besides, and nothing here is for.
_STREAMS = ("infer_stream", "generate", "generate_stream")
_REPOSITORY = "/v2/repository"
logger = logging.getLogger("mlserver.rest")


class Refused(Exception):
    """An HTTP status and the sentence that goes with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RestServer(RESTServer):
    """Its inference route, which parses and answers without FastAPI's detours.

    Measured against MLServer's own route: see ``make bench``.
    """

    def __init__(self, settings: Any, data_plane: Any, repository: Any, may_load: bool) -> None:
        super().__init__(settings, data_plane, repository)
        routes = self._app.router.routes
        routes[:] = [
            route
            for route in routes
            if not route.path.endswith(("/infer", *_STREAMS))  # type: ignore[attr-defined]
            and (may_load or not route.path.startswith(_REPOSITORY))  # type: ignore[attr-defined]
        ]
        for path in _INFER:
            routes.insert(0, Route(path, self._infer, methods=["POST"]))
        self._most_bytes = most_bytes()
        self._app.add_exception_handler(Exception, _internal_error)
        self._app.add_exception_handler(HTTPException, _http_error)

    @property
    def app(self) -> Any:
        return self._app

    async def _infer(self, request: Request) -> Response:
        try:
            body = await self._body(request)
            payload = _payload(body)
            del body
            answer = await self._data_plane.infer(
                payload, request.path_params["model_name"], request.path_params.get("version")
            )
        except Refused as error:
            return _error(error.status, str(error))
        except MLServerError as error:
            return _error(error.status_code, str(error))
        except ClientDisconnect:
            return _error(400, "the client went away")
        return Response(_rendered(answer), media_type="application/json")

    async def _body(self, request: Request) -> bytes:
        """The body, unpacked; never more than the limit in memory."""
        most = self._most_bytes
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", ""):
            raise Refused(415, f"content-encoding {encoding[:40]!r} is unknown; send gzip or none")
        too_much = Refused(413, f"the body is larger than {most} bytes, the most in a request")
        if int(request.headers.get("content-length", "0")) > most:
            raise too_much
        unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            if unpack is not None:
                try:
                    part = unpack.decompress(part, most + 1 - size)
                except zlib.error as error:
                    raise Refused(400, f"the body is no gzip: {error}") from None
            size += len(part)
            if size > most:
                raise too_much
            parts.append(part)
        if unpack is not None and not unpack.eof:
            raise Refused(400, "the gzip of the body ends too early")
        return b"".join(parts)


def _payload(body: bytes) -> InferenceRequest:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is no JSON: {error}") from None
    try:
        return InferenceRequest.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Refused(400, f"{where[:200]}: {first['msg'][:200]}") from None
    except RecursionError:
        raise Refused(400, "the JSON is nested too deeply") from None


def _rendered(answer: Any) -> bytes:
    """The response's JSON; its tensors are plain lists."""
    return orjson.dumps(
        {
            "model_name": answer.model_name,
            "model_version": answer.model_version,
            "id": answer.id,
            "outputs": [
                {
                    "name": output.name,
                    "shape": output.shape,
                    "datatype": getattr(output.datatype, "value", output.datatype),
                    "data": getattr(output.data, "root", output.data),
                }
                for output in answer.outputs
            ],
        }
    )


def _error(status: int, message: str) -> Response:
    content = orjson.dumps({"error": message.encode("utf-8", "replace").decode()})
    return Response(content, status, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, f"{request.method} {request.url.path[:200]}: {error.detail}")


async def _internal_error(request: Request, error: Exception) -> Response:
    """Starlette logs the trace and shows it to nobody."""
    return _error(500, "internal error; see the server's log")


class ClosingConnections:
    """ASGI middleware that, once told so, has every answer close its connection.

    So clients that keep connections open come to the process that took over, none of them in the
    middle of a request.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self.closing = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def closing_send(message: Any) -> None:
            if self.closing and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, closing_send)
