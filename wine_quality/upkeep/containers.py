"""The containers of a compose project, under podman or docker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass

from wine_quality.stack.settings import StackError

_ENGINES = ("podman", "docker")
_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
OLDEST = {"podman": (4, 3), "docker": (20, 10)}
"""podman: the oldest that this was run with. Docker: the first that has Compose as a plugin; none
was run."""
_SECONDS = 600
"""A container may take half a minute to stop, one after the other."""


@dataclass(frozen=True)
class Containers:
    """The containers of one project; podman-compose gives them Docker's labels too.

    Attributes:
        engine: ``podman`` or ``docker``.
        by_service: Container id of each service, those that ended included.
    """

    engine: str
    project: str
    by_service: dict[str, str]

    def of(self, service: str) -> str:
        """The container of a service.

        Raises:
            StackError: there is none.
        """
        if service not in self.by_service:
            raise StackError(
                f"the compose project {self.project} has no container of {service}; start the "
                "platform first (docs/how-to/containers.md)."
            )
        return self.by_service[service]

    def warning(self) -> str:
        """A sentence about an engine that is older than any this was tried with; else empty."""
        (printed, *_) = self.call("--version")
        found = re.search(r"(\d+)\.(\d+)[^\s,]*", printed)
        oldest = OLDEST[self.engine]
        if found is None or tuple(map(int, found.groups())) >= oldest:
            return ""
        return (
            f"{self.engine} {found[0]} is older than {'.'.join(map(str, oldest))}, and this was "
            "tried with no older one: what follows may fail"
        )

    def running(self) -> set[str]:
        """Services whose container runs now."""
        ids = " ".join(self.call("ps", "-q", "--no-trunc")).split()
        return {service for service, found in self.by_service.items() if found in ids}

    def start(self, services: list[str]) -> None:
        """Start containers that were stopped, each after those that it depends on.

        podman before 4.6 starts none whose dependency is stopped and depends on one that runs.

        Raises:
            StackError: one cannot be started, in any order.
        """
        left = list(services)
        while left:
            refusals = {}
            for service in left:
                try:
                    self.call("start", self.of(service))
                except StackError as error:
                    refusals[service] = error
            if len(refusals) == len(left):
                raise next(iter(refusals.values()))
            left = list(refusals)

    def call(self, *arguments: str) -> list[str]:
        """Lines that a command of the engine's printed.

        Raises:
            StackError: it failed.
        """
        done = subprocess.run(
            [self.engine, *arguments], capture_output=True, text=True, timeout=_SECONDS
        )
        if done.returncode != 0:
            output = done.stderr.strip()[-800:]
            raise StackError(f"{self.engine} {arguments[0]} failed: {output}")
        return done.stdout.splitlines()


def find_containers(project: str) -> Containers:
    """The containers of a project, from the first engine that has any.

    Raises:
        StackError: no engine is here, none answers, or none has containers of the project.
    """
    engines = [name for name in _ENGINES if shutil.which(name)]
    if not engines:
        raise StackError("neither podman nor docker is on PATH.")
    refusals = []
    for engine in engines:
        try:
            found = _by_service(Containers(engine, project, {}))
        except StackError as error:
            refusals.append(str(error))
            continue
        if found:
            return Containers(engine, project, found)
    text = "".join(f" ({refusal})" for refusal in refusals)
    raise StackError(
        f"{' and '.join(engines)} know no containers of the compose project {project}{text}; start "
        "the platform first (docs/how-to/containers.md), or name another with --project."
    )


def _by_service(containers: Containers) -> dict[str, str]:
    label = f"label={_PROJECT}={containers.project}"
    ids = containers.call("ps", "-a", "-q", "--no-trunc", "--filter", label)
    if not ids:
        return {}
    found = json.loads("\n".join(containers.call("inspect", "--type", "container", *ids)))
    labelled = [(entry["Config"].get("Labels") or {}, entry["Id"]) for entry in found]
    return {labels[_SERVICE]: found_id for labels, found_id in labelled if _SERVICE in labels}
