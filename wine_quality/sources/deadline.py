"""Work in a thread, with a deadline for its result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from wine_quality.escaping import ProjectError

T = TypeVar("T")


class GivenUpError(ProjectError):
    """The work took longer than its deadline."""


class Background(Generic[T]):
    """Work in a thread of its own, begun at once.

    A name server that hangs, or a host that sends one byte now and then, is not stopped by a
    library's time-out; and a thread cannot be ended from outside. The event that ``work`` is given
    is set when its result is not awaited any more.
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
        """Return the result of the work, once it is done.

        Raises:
            GivenUpError: it has not ended within ``seconds``, and is left to itself.
            BaseException: the exception that the work raised.
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
