"""A notice, and the interface of the channels that send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from wine_quality.escaping import ProjectError, escaped


class NotSentError(ProjectError):
    """A channel did not take the notice; the message gives the reason and the remedy.

    Attributes:
        passing: Whether a try within seconds may succeed. A refused password is not tried again
            at once.
        channels: Those that did not take it, where it went to several.
    """

    def __init__(self, message: str, passing: bool = False, channels: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.passing = passing
        self.channels = channels


@dataclass(frozen=True)
class Notice:
    """A title, a few lines, and links as pairs of what is linked and its URL. No markup."""

    title: str
    lines: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Names and messages are of others: a line stays one line, of printable characters."""
        object.__setattr__(self, "title", escaped(self.title))
        object.__setattr__(self, "lines", tuple(map(escaped, self.lines)))
        links = tuple((escaped(label), escaped(url)) for label, url in self.links)
        object.__setattr__(self, "links", links)

    def text(self) -> str:
        """The whole notice as plain text."""
        linked = [f"{label}: {url}" for label, url in self.links]
        return "\n".join([self.title, *self.lines, *linked])


class Notifier(Protocol):
    """A channel. ``module:Class`` in ``WINE_QUALITY_NOTIFY`` names one of yours; it is made without
    arguments for each notice. Any exception is a failure, and is tried again unless it is a
    ``NotSentError`` that is not ``passing``."""

    def send(self, notice: Notice) -> None: ...
