"""MLServer's own server, by itself or as one of two that hand a port over."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import Any

import uvicorn
from mlserver.cli.serve import load_settings
from mlserver.logging import logger
from mlserver.metrics.prometheus import PrometheusEndpoint
from mlserver.server import MLServer

from . import remote_procedures
from .http_protocol import RequestProtocol
from .rest import ClosingConnections, RestServer

IDLE_SECONDS = 5
"""Seconds that a connection may stay open without a request."""
_DRAIN_SECONDS = 30.0


class _Uvicorn(uvicorn.Server):
    """Signals are MLServer's."""

    def install_signal_handlers(self) -> None:
        pass


class Server(MLServer):
    """MLServer with our REST side."""

    def __init__(self, settings: Any, may_load: bool) -> None:
        self._may_load = may_load
        remote_procedures.prepare(may_load)
        super().__init__(settings)

    def _create_servers(self) -> None:
        super()._create_servers()
        self._rest_server = RestServer(
            self._settings, self._data_plane, self._model_repository_handlers, self._may_load
        )

    async def unload_all(self) -> None:
        """Let every model put away what it holds."""
        for model in list(await self._model_registry.get_models()):
            await self._model_registry.unload_version(model.name, model.version)


class HandoverServer(Server):
    """Listens privately until the command ``go``; hands over to others at the command ``drain``.

    The public socket is inherited and shared: connections that wait in its queue are accepted by
    whichever process still listens. gRPC shares its port by SO_REUSEPORT.
    """

    def __init__(self, settings: Any, private: int, public: int, report: int) -> None:
        super().__init__(settings, may_load=False)
        self._grpc_server = remote_procedures.DrainingGrpcServer(
            settings, self._data_plane, self._model_repository_handlers
        )
        self._metrics_server = None  # on the private side, where the supervisor asks
        self._gate = ClosingConnections(self._rest_server.app)
        self._endpoint = PrometheusEndpoint(settings)
        self._rest_server.app.add_route("/metrics", self._endpoint.handle_metrics)
        self._private, self._public = (socket.socket(fileno=fd) for fd in (private, public))
        self._report = report
        self._private_side = self._uvicorn()
        self._public_side = self._uvicorn()
        self._tasks: list[asyncio.Task[None]] = []

    def _uvicorn(self) -> _Uvicorn:
        return _Uvicorn(
            uvicorn.Config(
                self._gate,
                http=RequestProtocol,
                ws="none",
                access_log=False,
                server_header=False,
                log_level="warning",
                lifespan="off",
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=10,
            )
        )

    async def run(self, models: list[Any]) -> int:
        """Serve until stopped. Exit code: 0, or 1 when a model could not be loaded."""
        for model in models:
            try:
                await self._model_registry.load(model)
            except Exception as error:
                print(f"error: {error}", file=sys.stderr, flush=True)
                return 1
        serving = asyncio.create_task(self._private_side.serve(sockets=[self._private]))
        commands = asyncio.create_task(self._run_commands())
        await serving
        commands.cancel()
        for task in self._tasks:
            await task
        await self.unload_all()
        return 0

    async def _run_commands(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while line := await reader.readline():
            command = line.decode().strip()
            if command == "go":
                await self._go()
            elif command == "drain":
                await self._drain()
                return
        await self.stop()  # the process that started this is gone

    async def _go(self) -> None:
        for side in (
            self._public_side.serve(sockets=[self._public]),
            self._grpc_server.start(),
        ):
            self._tasks.append(asyncio.create_task(side))
        while not self._public_side.started:
            if self._tasks[0].done():
                return await self._tasks[0]
            await asyncio.sleep(0.005)
        # gRPC binds its port before it waits; what went wrong there is an exception by now.
        if self._tasks[1].done():
            error = self._tasks[1].exception()
            os.write(self._report, f"failed: gRPC cannot listen: {error}\n".encode())
            self._tasks.pop()
            return
        os.write(self._report, b"listening\n")
        logger.info("serving")

    async def _drain(self) -> None:
        """Accept nothing new, end each connection with its next answer, then stop."""
        self._gate.closing = True
        for listener in self._public_side.servers:
            listener.close()
        leaving = asyncio.create_task(self._grpc_server.leave())
        deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
        while self._public_side.server_state.connections:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        await leaving
        await self.stop()

    async def stop(self, sig: int | None = None) -> None:
        self._public_side.should_exit = True
        if self._grpc_server.runs:
            await self._grpc_server.stop(sig)
        self._private_side.should_exit = True


async def serve(repository: str, may_load: bool, fds: tuple[int, int, int] | None) -> int:
    """Serve a model repository until SIGTERM or SIGINT."""
    settings, models = await load_settings(repository)
    if fds is not None:
        return await HandoverServer(settings, *fds).run(models)
    if not models and not may_load:
        print(f"error: no model-settings.json below {repository}", file=sys.stderr)
        return 1
    server = Server(settings, may_load)
    await server.start(models)
    ready = [model.ready for model in await server._model_registry.get_models()]
    failed = len(ready) < len(models) or not all(ready)
    await server.unload_all()
    return 1 if failed else 0
