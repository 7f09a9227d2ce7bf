"""MLServer's gRPC side, with separate status codes for client errors and its own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from mlserver.errors import MLServerError
from mlserver.grpc import GRPCServer
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc import server as mlserver_grpc
from mlserver.grpc.converters import ModelMetadataResponseConverter
from mlserver.grpc.servicers import InferenceServicer

from .columns import BadRequestError, shortened
from .limits import most_rows
from .payload import inference_request
from .request_size import require_small_message
from .tensors import from_message

CONNECTION_SECONDS = 10
"""Seconds until a client is asked to connect anew, if another process may take over."""
_LEAVING_SECONDS = 1.0


_SERVICE = "inference.GRPCInferenceService"
_MOST_SAID = 2000
"""Bytes of an error's text: gRPC sends it as a header, whose size it limits."""
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.FAILED_PRECONDITION,
}
logger = logging.getLogger("mlserver.grpc")


class Servicer(InferenceServicer):
    """Reads and writes the protocol's messages itself."""

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        name, version = request.model_name, request.model_version or None
        # Before MLServer counts it by its name: an unknown one would stay in its metrics.
        await self._data_plane.model_ready(name, version)
        payload = inference_request(from_message(request))
        answer = await self._data_plane.infer(payload, name, version)
        self._SetTrailingMetadata(answer, context)
        return _message(answer, raw=bool(request.raw_input_contents))

    async def ModelReady(self, request: Any, context: Any) -> Any:
        ready = await self._data_plane.model_ready(request.name, request.version or None)
        return pb.ModelReadyResponse(ready=ready)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        found = await self._data_plane.model_metadata(request.name, request.version or None)
        return ModelMetadataResponseConverter.from_types(found)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        await self._model_repository_handlers.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        await self._model_repository_handlers.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()


def _message(answer: Any, raw: bool) -> Any:
    """The response in the form of the request: as contents, or raw."""
    response = pb.ModelInferResponse(
        model_name=answer.model_name, model_version=answer.model_version or "", id=answer.id or ""
    )
    for output in answer.outputs:
        tensor = response.outputs.add(
            name=output.name, shape=output.shape, datatype=output.datatype
        )
        if raw:
            response.raw_output_contents.append(np.asarray(output.data, "<f8").tobytes())
        else:
            tensor.contents.fp64_contents.extend(output.data)
    return response


def add_to_server(servicer: Any, server: Any) -> None:
    """Register the servicer as gRPC's generated code does.

    Unlike there, a request that cannot be read is answered with INVALID_ARGUMENT. Streams of
    requests are not among the methods.
    """
    methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            _answering(getattr(servicer, method.name), method.input_type),
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
        for method in methods
        if hasattr(servicer, method.name) and method.name != "ModelStreamInfer"
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))


def _answering(method: Callable[[Any, Any], Awaitable[Any]], wanted: Any) -> Any:
    read = GetMessageClass(wanted).FromString
    most, infers = most_rows(), wanted.name == "ModelInferRequest"

    async def answer(content: bytes, context: Any) -> Any:
        try:
            if infers:
                require_small_message(content, most)
            request = read(content)
        except BadRequestError as error:
            return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _cut(str(error)))
        except DecodeError:
            code, text = grpc.StatusCode.INVALID_ARGUMENT, f"the message is no {wanted.name}"
            return await context.abort(code, text)
        try:
            return await method(request, context)
        except BadRequestError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _cut(str(error)))
        except MLServerError as error:
            code = _CODES.get(error.status_code, grpc.StatusCode.INTERNAL)
            await context.abort(code, _cut(str(error)))
        except grpc.aio.AbortError:
            raise
        # Its text may hold anything, such as a path of this machine.
        except Exception:
            logger.exception("internal error")
            text = "internal error; see the server's log"
            await context.abort(grpc.StatusCode.INTERNAL, text)

    return answer


def _cut(text: str) -> str:
    fits = len(text.encode("utf-8", "replace")) <= _MOST_SAID
    return shortened(text, _MOST_SAID if fits else _MOST_SAID // 4)


class ClosedServicer(Servicer):
    """The servicer without the calls that list, load and unload models."""

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        await _refuse(context)

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        await _refuse(context)

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        await _refuse(context)


async def _refuse(context: Any) -> None:
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this server chooses its models itself")


class DrainingGrpcServer(GRPCServer):
    """Can have its clients go to another process that listens on the same port, no call lost.

    ``stop`` alone cancels calls that have arrived but were not begun. So its listening socket is
    closed first, and its clients are asked to connect anew by the age of their connections, for
    which a server goes on answering.
    """

    def _get_options(self) -> list[tuple[str, Any]]:
        return [
            *super()._get_options(),
            ("grpc.max_connection_age_ms", CONNECTION_SECONDS * 1000),
            ("grpc.so_reuseport", 1),
        ]

    @property
    def runs(self) -> bool:
        return hasattr(self, "_server")

    async def leave(self) -> None:
        """Accept no connection any more, and stop when each client has left."""
        if not self.runs:
            return
        _stop_listening(self._settings.grpc_port)
        # gRPC spreads the ages by a tenth.
        await asyncio.sleep(1.1 * CONNECTION_SECONDS + _LEAVING_SECONDS)
        await self._server.stop(grace=5)


def _stop_listening(port: int) -> None:
    """Close only gRPC's listening socket on ``port``, by way of Linux: gRPC lacks a call for it."""
    for name in os.listdir("/proc/self/fd"):
        try:
            number = int(name)
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with socket.socket(fileno=os.dup(number)) as found:
                if found.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if listens and found.getsockname()[1] == port:
                    found.shutdown(socket.SHUT_RD)
        except OSError:
            continue  # closed meanwhile


def prepare(may_load: bool) -> None:
    """Replace MLServer's classes by these; it lacks a setting for that."""
    mlserver_grpc.InferenceServicer = Servicer if may_load else ClosedServicer
    mlserver_grpc.add_GRPCInferenceServiceServicer_to_server = add_to_server
    if not may_load:
        mlserver_grpc.add_ModelRepositoryServiceServicer_to_server = lambda *_: None
