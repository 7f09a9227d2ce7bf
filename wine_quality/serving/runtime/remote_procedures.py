"""MLServer's gRPC side: malformed tensors are the client's fault, its models are not."""

from __future__ import annotations

import logging
from typing import Any

import grpc
from mlserver.errors import InferenceError, MLServerError
from mlserver.grpc import server as mlserver_grpc
from mlserver.grpc.servicers import InferenceServicer


class Servicer(InferenceServicer):
    """What converts a request may fail in many ways, all of them by what was sent."""

    def _InsertHeaders(self, request: Any, context: Any) -> Any:
        try:
            return super()._InsertHeaders(request, context)
        except Exception as error:
            raise InferenceError(f"the request's tensors cannot be read: {error}") from None


class ClosedServicer(Servicer):
    """Without the calls that load and unload models."""

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        await _refuse(context)

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        await _refuse(context)

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        await _refuse(context)


async def _refuse(context: Any) -> None:
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this server chooses its models itself")


class _NoTraceOfRefusals(logging.Filter):
    """MLServer logs a stack for each request that it refuses; one line will do."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], MLServerError):
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


def prepare(may_load: bool) -> None:
    """Have MLServer use these; it has no setting for it."""
    mlserver_grpc.InferenceServicer = Servicer if may_load else ClosedServicer
    if not may_load:
        mlserver_grpc.add_ModelRepositoryServiceServicer_to_server = lambda *_: None
    logging.getLogger("mlserver.grpc").addFilter(_NoTraceOfRefusals())
