"""Serve the champion, and the next one from the moment it is promoted.

The new version starts beside the old one in its own environment, answers its input example,
takes the socket over, and only then the old one ends. Whatever goes wrong before that leaves the
old one serving.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from wine_quality.packaging.repository import SERVED
from wine_quality.packaging.served_model import UnservableModelError
from wine_quality.serving.backend import Backend
from wine_quality.serving.fetch import environment_of, fetch, forget_all_but
from wine_quality.tracking.registry.champion import CHAMPION
from wine_quality.tracking.tracker import Tracker

STATUS = "serving.json"
LOG = "server.log"
_TICK_SECONDS = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 300.0
_RESTART_PAUSE, _LONGEST_RESTART_PAUSE = 0.2, 10.0
_SETTLED_SECONDS = 60.0


class Registry:
    """The version to serve, and its files. Connects when asked, and again after a failure."""

    def __init__(
        self,
        connect: Callable[[], Tracker],
        name: str,
        version: str | None,
        trusted_types: Sequence[str] = (),
    ) -> None:
        """``trusted_types``: see ``serving.fetch.fetch``."""
        self._connect = connect
        self._tracker: Tracker | None = None
        self.name = name
        self._fixed = version
        self._trusted_types = trusted_types

    def wanted(self) -> str | None:
        """The version picked, else the champion, else None."""
        if self._fixed:
            return self._fixed
        return self._connected().registry(self.name).holder(CHAMPION)

    def fetch(self, version: str, folder: Path) -> Path:
        tracker = self._connected()
        return fetch(tracker, self.name, version, folder, self._trusted_types).folder

    def is_of(self, version: str, folder: Path) -> bool:
        """Whether a model repository is of that version: another server counts alike.

        Raises:
            UntrustedModelError: the version is not signed by this code location.
        """
        claims = self._connected().require_trusted(self.name, version)
        return json.loads((folder / SERVED).read_text())["run_id"] == claims.mlflow_run_id

    def _connected(self) -> Tracker:
        if self._tracker is None:
            self._tracker = self._connect()
        return self._tracker


class PromotionFollower:
    """One public address, behind it one ``Backend`` or, while they change, two."""

    def __init__(
        self,
        registry: Registry,
        folder: Path,
        public: socket.socket,
        grpc: int,
        every: float,
        say: Callable[[str], None],
    ) -> None:
        """
        Args:
            folder: Where versions, log and status are kept.
            every: Seconds between two looks at the registry.
        """
        self._registry, self._folder = registry, folder
        self._public, self._grpc = public, grpc
        self._every, self._say = every, say
        self._serving: Backend | None = None
        self._leaving: list[Backend] = []
        # All that waits, one at a time: the registry, an environment's build, a server's start.
        self._begun: Backend | None = None
        self._coming: Future[Backend | None] | None = None
        self._look_at = 0.0
        self._first = True
        self._failed: str | None = None
        self._retry_at = 0.0
        self._pause = _FIRST_PAUSE
        self._restart_pause = _RESTART_PAUSE
        self._started = 0.0
        self._complaint = ""

    def run(self) -> None:
        """Serve until KeyboardInterrupt; requests in progress are answered first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            while True:
                self._tick()
                time.sleep(_TICK_SECONDS)
        finally:
            self._stop()

    def _tick(self) -> None:
        for backend in [each for each in self._leaving if not each.lives]:
            backend.await_end()
            self._leaving.remove(backend)
        if self._coming is not None:
            if self._coming.done():
                self._take(self._coming)
            return
        now = time.monotonic()
        if self._serving is not None and not self._serving.lives:
            self._restart(self._serving)
        elif now >= self._look_at:
            self._look_at = now + self._every
            self._coming = _in_background(self._next)

    def _next(self) -> Backend | None:
        """A ready backend of the version that is wanted; None when nothing changes."""
        early = self._start_early()
        try:
            version, answered = self._wanted(early)
            # Another server counts its versions alike, and tags may have been changed.
            if (
                early is not None
                and version == early.version
                and (not answered or self._registry.is_of(version, early.folder))
            ):
                early.await_ready()
                early, ready = None, early
                return ready
        finally:
            if early is not None:
                early.end()
        if self._serving is not None and version == self._serving.version:
            return None
        if version == self._failed and time.monotonic() < self._retry_at:
            return None
        self._say(f"fetching {self._registry.name} version {version} …")
        try:
            return self._start(self._registry.fetch(version, self._folder / version))
        except Exception:
            # Tried again later; another version is tried at once.
            again = version == self._failed
            self._pause = min(2 * self._pause, _LONGEST_PAUSE) if again else _FIRST_PAUSE
            self._failed, self._retry_at = version, time.monotonic() + self._pause
            raise

    def _wanted(self, early: Backend | None) -> tuple[str, bool]:
        """The wanted version, and whether the registry answered; if not, the one served last."""
        try:
            version = self._registry.wanted()
        except Exception as error:
            if early is None:
                raise
            self._say(f"the registry does not answer ({error}); serving what was served")
            return early.version, False
        if version is None:
            raise UnservableModelError(
                f"{self._registry.name} has no champion; waiting for one (`make run` makes one)."
            )
        return version, True

    def _start_early(self) -> Backend | None:
        """At the first look, start the version served last: it loads while the registry is asked,
        and listens only if it is still wanted, or the registry does not answer."""
        first, self._first = self._first, False
        folder = self._last_served() if first else None
        if folder is None:
            return None
        python = environment_of(folder, self._say)
        return self._begin(python, folder)

    def _start(self, folder: Path) -> Backend:
        python = environment_of(folder, self._say)
        backend = self._begin(python, folder)
        try:
            backend.await_ready()
        except BaseException:
            backend.end()
            raise
        return backend

    def _begin(self, python: Path, folder: Path) -> Backend:
        backend = Backend(python, folder, self._public, self._grpc, self._folder / LOG)
        self._begun = backend
        return backend

    def _take(self, coming: Future[Backend | None]) -> None:
        """Hand the port to the backend that is ready, or report why there is none."""
        self._coming = None
        try:
            backend = coming.result()
            if backend is not None:
                self._swap(backend)
        except Exception as error:
            self._complain(str(error))

    def _complain(self, complaint: str) -> None:
        """Report each complaint once, not at every look."""
        if complaint != self._complaint:
            self._complaint = complaint
            kept = f" Version {self._serving.version} goes on serving." if self._serving else ""
            self._say(f"error: {complaint}{kept}")

    def _swap(self, backend: Backend) -> None:
        before = self._serving
        try:
            backend.take_over()
        except BaseException:
            backend.end()
            raise
        self._serving, self._started = backend, time.monotonic()
        self._failed, self._complaint = None, ""
        if before is not None and before.lives:
            before.hand_over()
            self._leaving.append(before)
        elif before is not None:
            before.await_end()
        host, port = self._public.getsockname()[:2]
        status = {
            "name": backend.name,
            "version": backend.version,
            "http": f"http://{host}:{port}",
            "grpc": f"{host}:{self._grpc}",
            "place": str(backend.folder),
            "pid": backend.process.pid,
        }
        making = self._folder / f".{STATUS}"
        making.write_text(json.dumps(status, indent=1))
        making.rename(self._folder / STATUS)
        forget_all_but(self._folder, {backend.version, before.version if before else ""})
        self._say(f"serving {backend.name} version {backend.version} at http://{host}:{port}")

    def _restart(self, dead: Backend) -> None:
        """The same version again, from its files here; whether or not the registry answers."""
        code = dead.process.poll()
        if time.monotonic() - self._started > _SETTLED_SECONDS:
            self._restart_pause = _RESTART_PAUSE
        pause = self._restart_pause
        self._restart_pause = min(2 * pause, _LONGEST_RESTART_PAUSE)
        self._say(f"the server of version {dead.version} died (exit code {code}); restarting it")

        def again() -> Backend:
            time.sleep(pause)
            return self._start(dead.folder)

        self._coming = _in_background(again)

    def _last_served(self) -> Path | None:
        try:
            status = json.loads((self._folder / STATUS).read_text())
            folder = Path(status["place"])
        except (OSError, ValueError, KeyError):
            return None
        return folder if status["name"] == self._registry.name and folder.exists() else None

    def _stop(self) -> None:
        backends = [*self._leaving, *([self._serving] if self._serving else [])]
        for backend in backends:
            if backend.lives:
                backend.process.terminate()
        if self._begun is not None and self._begun not in backends:
            self._begun.process.kill()  # it serves nobody yet
        for backend in backends:
            backend.end()
        self._public.close()


def _in_background(work: Callable[[], Backend | None]) -> Future[Backend | None]:
    """Run it in a daemon thread, which Ctrl-C does not wait for."""
    coming: Future[Backend | None] = Future()

    def run() -> None:
        try:
            coming.set_result(work())
        except BaseException as error:
            coming.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return coming
