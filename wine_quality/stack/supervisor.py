"""Starts the services in order, restarts those that die, stops all of them.

One loop in one thread. What runs is noted in ``state.json``, so that `make stack-down`, a second
`make stack` and the watchdog find it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wine_quality.environments.process_groups import group_lives, signal_group
from wine_quality.execution.warm_client import WarmServers
from wine_quality.stack.processes import start, stop_groups
from wine_quality.stack.service import Service
from wine_quality.stack.settings import StackError

READY_SECONDS = 180.0
RESTARTS = 5
"""Restarts in ``WINDOW_SECONDS`` before a service is given up, as with on-failure:5."""
WINDOW_SECONDS = 600.0
_POLL_SECONDS = 0.1


@dataclass
class _Running:
    service: Service
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    started: float = 0.0
    deaths: list[float] = field(default_factory=list)
    not_before: float = 0.0
    given_up: bool = False


class Supervisor:
    """Watches over the services of one stack.

    Args:
        services: In any order; ``after`` decides.
        folder: The stack's; ``logs`` and ``state.json`` are in it.
        say: Called with a line for each event.
        state: Also put into ``state.json``.
    """

    def __init__(
        self,
        services: Iterable[Service],
        folder: Path,
        say: Callable[[str], None],
        state: dict[str, Any],
    ) -> None:
        self._all = {service.name: _Running(service) for service in services}
        self._dagster_home = folder / "dagster"
        self._say, self._state = say, {**state, "dagster_home": str(self._dagster_home)}
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self._file = folder / "state.json"
        self._began = time.monotonic()
        self._watchdog = Watchdog(self._file)

    def start(self) -> None:
        """Return when everything is ready.

        Raises:
            StackError: one is not ready in time, or dies too often; names its log and quotes it.
        """
        self._note()
        deadline = self._began + READY_SECONDS
        while not all(running.ready for running in self._all.values()):
            self.step()
            for running in self._all.values():
                if running.given_up:
                    raise StackError(self._quote(running, "does not stay up"))
            if time.monotonic() > deadline:
                late = next(r for r in self._all.values() if not r.ready)
                raise StackError(self._quote(late, f"is not ready after {READY_SECONDS:.0f} s"))
            time.sleep(_POLL_SECONDS)
        self._state["ready"] = True
        self._note()

    def watch(self, seconds: float = _POLL_SECONDS) -> None:
        """Restart what dies, until a signal raises KeyboardInterrupt."""
        while True:
            self.step()
            time.sleep(seconds)

    def step(self) -> None:
        """Look once at each."""
        now = time.monotonic()
        for name, running in self._all.items():
            if running.given_up:
                continue
            if running.process is None:
                if now >= running.not_before and self._may_start(running):
                    self._start(running)
            elif running.process.poll() is not None:
                self._ended(running, running.process.returncode)
            elif not running.ready and running.service.ready and running.service.ready():
                running.ready = True
                self._say(f"{name} is ready ({time.monotonic() - self._began:.0f} s)")
                self._note()

    def _may_start(self, running: _Running) -> bool:
        if running.ready:
            return False  # a task that is done
        return all(self._all[name].ready for name in running.service.after)

    def _start(self, running: _Running) -> None:
        running.process = start(running.service, self.log_of(running.service.name))
        running.started = time.monotonic()
        self._note()

    def _ended(self, running: _Running, code: int) -> None:
        assert running.process is not None
        name = running.service.name
        # Workers without their parent would keep the port.
        signal_group(running.process.pid, signal.SIGKILL)
        running.process = None
        if running.service.ready is None and code == 0:
            running.ready = True
            self._note()
            return
        now = time.monotonic()
        running.ready = False
        running.deaths = [*(d for d in running.deaths if now - d < WINDOW_SECONDS), now]
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        if len(running.deaths) > RESTARTS:
            running.given_up = True
            self._say(
                f"{name} {how}; it died {len(running.deaths)} times and is given up. "
                f"See {self.log_of(name)}"
            )
        else:
            pause = 0.5 * 2 ** (len(running.deaths) - 1)
            running.not_before = now + pause
            self._say(f"{name} {how}; it is started again in {pause:g} s")
        self._note()

    def stop(self) -> None:
        """End all, those that need nothing (PostgreSQL, S3) last. Returns when nothing is left."""
        left = [running for running in self._all.values() if running.process is not None]
        needing = [running for running in left if running.service.after]
        for together in (needing, [running for running in left if running not in needing]):
            stop_groups([(r.process.pid, r.service.stop_signal) for r in together if r.process])
            for running in together:
                if running.process is not None:
                    running.process.wait()
                    running.process = None
            if together is needing:
                # Runs, which are in no service's group: they outlive a daemon that restarts.
                WarmServers.of_home(self._dagster_home).stop(grace_seconds=0)
        self._file.unlink(missing_ok=True)
        self._watchdog.dismiss()

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _quote(self, running: _Running, what: str) -> str:
        log = self.log_of(running.service.name)
        tail = log.read_text(errors="replace").strip()[-1500:] if log.exists() else ""
        return f"{running.service.name} {what}. The end of {log}:\n{tail}"

    def state(self) -> dict[str, Any]:
        """The running services, in the form of ``state.json``."""
        services = {
            name: {
                "pid": running.process.pid if running.process else None,
                "signal": int(running.service.stop_signal),
                "ready": running.ready,
                "address": running.service.address,
                "restarts": len(running.deaths),
                "given_up": running.given_up,
            }
            for name, running in self._all.items()
        }
        return {"pid": os.getpid(), "ready": False, **self._state, "services": services}

    def _note(self) -> None:
        """Write the state down, whole or not at all."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self.state(), indent=1))
        fresh.rename(self._file)


class Watchdog:
    """A small process that ends the groups in ``state.json`` when this one is killed.

    The kernel signals our children then, but not theirs: gunicorn's workers would stay.
    """

    def __init__(self, state: Path) -> None:
        ours, self._kept_open = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wine_quality.stack.watchdog", str(state)],
            stdin=ours,
            start_new_session=True,
        )
        os.close(ours)

    def dismiss(self) -> None:
        """Close its pipe and wait; without ``state.json`` it ends without doing anything."""
        os.close(self._kept_open)
        self._process.wait()


def groups_in(state: dict[str, Any]) -> list[tuple[int, signal.Signals]]:
    """Process groups that a state names and that still live, with the signal that ends each."""
    found = [(s["pid"], signal.Signals(s["signal"])) for s in state["services"].values()]
    return [(pid, number) for pid, number in found if pid and group_lives(pid)]
