"""The MLflow UI of one version over its embedded store: a port that is always open, behind it a
server that starts with the first request and ends when nobody has asked for a while.

The server listens on a Unix socket in a folder of ours, so that it is reached only through the
guard here. Each connection carries one request.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.escaping import ProjectError
from wine_quality.paths import embedded_store
from wine_quality.settings.runs import MLFLOW_UI_IDLE_SECONDS as IDLE_VARIABLE
from wine_quality.tracking.runs.run_tags import FROM_MLFLOW
from wine_quality.tracking.servers.embedded_store import ARTIFACTS, embedded_uri, needs_preparing
from wine_quality.up.http_head import MalformedRequestError, RequestHead, answer
from wine_quality.up.ports import port_of
from wine_quality.up.processes import Process, stop
from wine_quality.webserver.guard import refusal

_IDLE_SECONDS = "900"
_START_SECONDS = 120
_HEAD_SECONDS = 60
_HEAD_BYTES = 64 * 1024
_CHUNK = 64 * 1024
_POLL_SECONDS = 0.05


class ServerNotStartedError(ProjectError, RuntimeError):
    """The MLflow server cannot be started; the message gives the reason."""


class MlflowUi:
    """
    Args:
        listening: The socket that people reach.
        sockets: A folder that only this user may enter.
        dagster: Where the Dagster UI is.
        changed: Called when the server was started or has ended.
    """

    def __init__(
        self,
        version: MlflowVersion,
        listening: socket.socket,
        sockets: Path,
        log: Path,
        hosts: frozenset[str],
        dagster: str,
        changed: Callable[[], None],
    ) -> None:
        self.version = version
        self.process: Process | None = None
        self.url = f"http://localhost:{port_of(listening)}"
        self._listening, self._log, self._hosts = listening, log, hosts
        self._dagster, self._changed = dagster, changed
        self._wanted = sockets / f"{version.key}.sock"
        self._starting = asyncio.Lock()
        self._open = 0
        self._last_used = 0.0
        self._idle_seconds = float(IDLE_VARIABLE.read() or _IDLE_SECONDS)

    async def serve(self) -> None:
        """Answer until cancelled."""
        server = await asyncio.start_server(
            self._connected, sock=self._listening, limit=_HEAD_BYTES
        )
        async with server:
            while True:
                await asyncio.sleep(min(1.0, self._idle_seconds / 4))
                await self._end_when_idle()

    async def stop(self) -> None:
        """End the server, if it runs."""
        process, self.process = self.process, None
        if process is not None:
            await stop([process])

    async def _end_when_idle(self) -> None:
        idle = asyncio.get_running_loop().time() - self._last_used
        async with self._starting:
            if self.process and not self._open and idle > self._idle_seconds:
                await self.stop()
                self._changed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass  # the client has gone
        finally:
            self._open -= 1
            self._last_used = asyncio.get_running_loop().time()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
            head = RequestHead.parse(raw)
        except (MalformedRequestError, asyncio.LimitOverrunError):
            return await _send(
                writer, answer("400 Bad Request", "This is not a request of HTTP/1.")
            )
        reason = refusal(head.method, head.path, head.headers, self._hosts)
        if reason:
            return await _send(writer, answer("403 Forbidden", reason))
        if head.target.startswith(FROM_MLFLOW):
            location = f"{self._dagster}/{head.target.removeprefix(FROM_MLFLOW)}"
            moved = answer("307 Temporary Redirect", location, f"Location: {location}")
            return await _send(writer, moved)
        try:
            behind_reader, behind = await self._connect()
        except ServerNotStartedError as error:
            return await _send(writer, answer("503 Service Unavailable", str(error)))
        behind.write(head.forwarded(self.url.removeprefix("http://")))
        sending = asyncio.ensure_future(_pump(reader, behind))
        try:
            await _pump(behind_reader, writer)
        finally:
            sending.cancel()
            behind.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with self._starting:
            if self.process is None or self.process.has_ended():
                self.process = await self._start()
                self._changed()
            deadline = asyncio.get_running_loop().time() + _START_SECONDS
            while True:
                try:
                    return await asyncio.open_unix_connection(str(self._path))
                except OSError:
                    pass
                if self.process.has_ended() or asyncio.get_running_loop().time() > deadline:
                    raise ServerNotStartedError(self._why("its server"))
                await asyncio.sleep(_POLL_SECONDS)

    async def _start(self) -> Process:
        version, store = self.version, embedded_store(self.version.key)
        if not version.python.exists():
            raise ServerNotStartedError(
                f"MLflow {version.key} is not built here: {version.build_command} builds it."
            )
        store.mkdir(parents=True, exist_ok=True)
        # gunicorn 27 opens a control socket under HOME: one HOME per server.
        variables = {**version.process_variables(), "HOME": str(store)}
        if needs_preparing(version.key):
            module = "wine_quality.tracking.servers.embedded_store"
            command = [str(version.python), "-W", "ignore", "-m", module, version.key]
            preparing = Process("store", command, variables, self._log)
            try:
                while not preparing.has_ended():
                    await asyncio.sleep(_POLL_SECONDS)
            finally:
                await stop([preparing])
            if preparing.describe_exit() != "exited with 0":
                raise ServerNotStartedError(self._why("its store"))
        self._path.unlink(missing_ok=True)
        command = [str(version.python.with_name("mlflow")), "server"]
        command += ["--backend-store-uri", embedded_uri(version.key)]
        command += ["--default-artifact-root", str(store / ARTIFACTS), "--workers", "1"]
        command += self._address()
        return Process(f"mlflow-{version.key}", command, variables, self._log)

    def _address(self) -> list[str]:
        if self.version.is_guarded:
            # It names host and port all the same.
            place = ["--host", "127.0.0.1", "--port", "0"]
            return [*place, f"--uvicorn-opts=--uds={self._wanted}"]
        # Together what gunicorn takes for a path.
        return ["--host", f"unix:{self._wanted}", "--port", "1"]

    @property
    def _path(self) -> Path:
        return self._wanted if self.version.is_guarded else Path(f"{self._wanted}:1")

    def _why(self, what: str) -> str:
        lines = self._log.read_text(errors="replace").strip()[-1000:] if self._log.exists() else ""
        return f"MLflow {self.version.key} did not start ({what}). The end of {self._log}:\n{lines}"


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the reader's end."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
