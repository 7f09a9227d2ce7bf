"""MLServer's gRPC side: malformed tensors are the client's fault, its models are not."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from typing import Any

import grpc
from mlserver.errors import InferenceError, MLServerError
from mlserver.grpc import GRPCServer
from mlserver.grpc import server as mlserver_grpc
from mlserver.grpc.servicers import InferenceServicer

CONNECTION_SECONDS = 10
"""After so long a client is asked to connect anew, if another process may take over."""
_LEAVING_SECONDS = 1.0


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


class LeavingServer(GRPCServer):
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
    """gRPC has no call that closes its listening socket alone; Linux has."""
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
