"""Which Dagster runs are ours to end: those of our code location, which this host started.

An instance may have other code locations, on other hosts, whose workers cannot be seen from here.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterRun

CODE_SERVER_TAG = ".dagster/grpc_info"
"""Dagster's name of the code server that has the worker; runs elsewhere (pods, terminals) lack
it."""


def is_of_location(run: DagsterRun, location: str | None) -> bool:
    """Whether a run may be of the code location with this name (None: of any): it is, or it was
    launched by none, as those of a terminal."""
    origin = run.remote_job_origin
    return location is None or origin is None or origin.location_name == location


def was_started_here(tags: Mapping[str, str]) -> bool:
    """Whether the code server that started a run listens on this host."""
    try:
        noted = json.loads(tags.get(CODE_SERVER_TAG, ""))
    except ValueError:
        return False
    host = noted.get("host") or "localhost"
    return host == "localhost" or any(map(_is_our_address, _addresses(host)))


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return set()


def _is_our_address(address: str) -> bool:
    """An address of another host cannot be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as attempt:
            attempt.bind((address, 0))
    except OSError:
        return False
    return True
