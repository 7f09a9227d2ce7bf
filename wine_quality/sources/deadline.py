"""Work that nobody waits for longer than they want to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from wine_quality.escaping import ProjectError

T = TypeVar("T")


class GivenUpError(ProjectError):
    """The work took longer than anybody waits for."""


class Background(Generic[T]):
    """Work in a thread of its own, begun at once.

    A name server that hangs, or a host that sends one byte now and then, ends no library's
    time-out; and a thread cannot be ended from outside. The event that ``work`` is given tells it
    that nobody waits any more.
    """

    def __init__(self, work: Callable[[threading.Event], T], name: str) -> None:
        self._given_up = threading.Event()
        self._outcome: list[T | BaseException] = []

        def run() -> None:
            try:
                self._outcome.append(work(self._given_up))
            except BaseException as error:
                self._outcome.append(error)

        self._thread = threading.Thread(target=run, name=name, daemon=True)
        self._thread.start()

    def result(self, seconds: float) -> T:
        """What the work returns.

        Raises:
            GivenUpError: it has not ended within ``seconds``, and is left to itself.
            BaseException: whatever it raised.
        """
        try:
            self._thread.join(seconds)
        finally:
            self._given_up.set()
        if not self._outcome:
            raise GivenUpError(f"not done within {seconds:g} s")
        if isinstance(self._outcome[0], BaseException):
            raise self._outcome[0]
        return self._outcome[0]
