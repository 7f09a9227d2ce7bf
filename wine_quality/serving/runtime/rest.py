"""MLServer's REST side with limits, and errors that a client can read."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from mlserver.errors import MLServerError
from mlserver.rest import RESTServer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from .columns import BadRequestError
from .http_protocol import RequestProtocol, error_body
from .invocations import from_invocation
from .limits import most_bytes, most_rows
from .payload import inference_request
from .request_size import require_small_json
from .tensors import from_json

_INFER = ("/v2/models/{model_name}/infer", "/v2/models/{model_name}/versions/{version}/infer")
# What MLServer has besides, and nothing here is for.
_STREAMS = ("infer_stream", "generate", "generate_stream")
_REPOSITORY = "/v2/repository"
# Of `mlflow models serve`; a load balancer asks the others.
_INVOCATIONS, _PINGS = "/invocations", ("/ping", "/health")


class RefusedRequestError(Exception):
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
        routes.insert(0, Route(_INVOCATIONS, self._invocations, methods=["POST"]))
        for path in _PINGS:
            routes.insert(0, Route(path, self._ping, methods=["GET"]))
        self._most_bytes, self._most_rows = most_bytes(), most_rows()
        self._model_registry = data_plane._model_registry
        self._app.add_exception_handler(Exception, _internal_error)
        self._app.add_exception_handler(HTTPException, _http_error)
        self._app.add_exception_handler(RequestValidationError, _no_such_body)
        self._app.add_exception_handler(MLServerError, _mlserver_error)
        self._app.router.redirect_slashes = False

    def _get_config(self) -> Any:
        config = super()._get_config()
        config.http, config.ws, config.server_header = RequestProtocol, "none", False
        return config

    @property
    def app(self) -> Any:
        return self._app

    async def _infer(self, request: Request) -> Response:
        return await _answered(self._infer_by_protocol(request))

    async def _invocations(self, request: Request) -> Response:
        return await _answered(self._infer_as_mlflow(request))

    async def _ping(self, request: Request) -> Response:
        models = list(await self._model_registry.get_models())
        is_ready = bool(models) and all(model.ready for model in models)
        return Response("\n", 200 if is_ready else 503, media_type="text/plain")

    async def _infer_by_protocol(self, request: Request) -> Response:
        name, version = request.path_params["model_name"], request.path_params.get("version")
        # Before MLServer counts it by its name: an unknown one would stay in its metrics.
        await self._data_plane.model_ready(name, version)
        body = await self._body(request)
        require_small_json(body, await self._most_values(name, version))
        received = from_json(body)
        answer = await self._data_plane.infer(inference_request(received), name, version)
        return Response(_rendered(answer), media_type="application/json")

    async def _infer_as_mlflow(self, request: Request) -> Response:
        if request.headers.get("content-type", "").strip().lower().startswith("text/csv"):
            raise RefusedRequestError(
                415, "CSV is not taken here; send JSON, such as `dataframe_split`"
            )
        models = list(await self._model_registry.get_models())
        if len(models) != 1:
            raise RefusedRequestError(
                404, f"there are {len(models)} models here; call /v2/models/NAME/infer of one"
            )
        name, version = models[0].name, models[0].version
        await self._data_plane.model_ready(name, version)
        body = await self._body(request)
        require_small_json(body, await self._most_values(name, version), self._most_rows)
        asked = from_invocation(body)
        answer = await self._data_plane.infer(inference_request(asked.received), name, version)
        output = answer.outputs[0]  # as `mlflow models serve`: a classifier's classes
        predictions = getattr(output.data, "root", output.data)
        content = predictions if asked.is_mlflow_1 else {"predictions": predictions}
        return Response(orjson.dumps(content), media_type="application/json")

    async def _most_values(self, name: str, version: str | None) -> int:
        """Numbers of the largest request to a model."""
        model = await self._model_registry.get_model(name, version)
        return self._most_rows * max(1, len(model.inputs or []))

    async def _body(self, request: Request) -> bytes:
        """The body, unpacked; neither form of it is larger than the limit."""
        most = self._most_bytes
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", ""):
            raise RefusedRequestError(
                415, f"content-encoding {encoding[:40]!r} is unknown; send gzip or none"
            )
        if int(request.headers.get("content-length", "0")) > most:
            raise _too_much(most)
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise _too_much(most)
            parts.append(part)
        return _unpacked(parts, most) if encoding == "gzip" else b"".join(parts)


async def _answered(answer: Awaitable[Response]) -> Response:
    """The answer, or in its place an error response for a client error."""
    try:
        return await answer
    except RefusedRequestError as error:
        return _error(error.status, str(error))
    except BadRequestError as error:
        return _error(400, str(error))
    except MLServerError as error:
        return _error(error.status_code, str(error))
    except ClientDisconnect:
        return _error(400, "the client went away")


def _unpacked(parts: list[bytes], most: int) -> bytes:
    """The body unpacked from gzip: one member, of at most ``most`` bytes."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        body = unpack.decompress(b"".join(parts), most + 1)
    except zlib.error as error:
        raise RefusedRequestError(400, f"the body is no gzip: {error}") from None
    if len(body) > most:
        raise _too_much(most)
    if not unpack.eof:
        raise RefusedRequestError(400, "the gzip of the body ends too early")
    if unpack.unused_data:
        raise RefusedRequestError(400, "the body goes on after the end of its gzip")
    return body


def _too_much(most: int) -> RefusedRequestError:
    return RefusedRequestError(413, f"the body is larger than {most} bytes, the most in a request")


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
    return Response(error_body(message), status, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(
        error.status_code, f"{request.method} {request.scope['path'][:200]}: {error.detail}"
    )


async def _mlserver_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MLServerError)
    return _error(error.status_code, str(error))


async def _no_such_body(request: Request, error: Exception) -> Response:
    """400 for a body that does not fit one of MLServer's own routes."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _error(400, f"{where[:200]}: {first['msg'][:200]}")


async def _internal_error(request: Request, error: Exception) -> Response:
    """500 without details; Starlette logs the traceback."""
    return _error(500, "internal error; see the server's log")


class ClosingConnections:
    """ASGI middleware that, once ``closing`` is set, closes connections after their next answer.

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
