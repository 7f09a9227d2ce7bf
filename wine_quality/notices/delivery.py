"""One notice through all channels at once: bounded tries, bounded time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from wine_quality.notices.notice import Notice, Notifier, NotSentError
from wine_quality.sources.deadline import Background, GivenUpError

PAUSES = (1.0, 4.0)
"""Seconds before the second try, and before the third and last."""

Channels = Mapping[str, Callable[[], Notifier]]
"""Functions that make the notifier of a channel, by the channel's name."""


def deliver(
    notice: Notice,
    channels: Channels,
    seconds: float,
    log: logging.Logger | None,
    shown: Callable[[str], str] = str,
) -> None:
    """Send it through each channel, even if others fail, within ``seconds`` in all.

    Args:
        log: Called with the whole notice when a channel failed; None: it has it already.
        shown: Makes an error's text fit to be shown.

    Raises:
        NotSentError: names the channels that failed, and why; the others have sent it.
    """
    until = time.monotonic() + seconds
    under_way = {name: Background(_sending(make, notice), name) for name, make in channels.items()}
    failures = {}
    for name, sending in under_way.items():
        try:
            sending.result(max(0.0, until - time.monotonic()))
        except GivenUpError:
            failures[name] = f"given up after {seconds:g} s"
        except Exception as error:
            failures[name] = shown(str(error) or type(error).__name__)
    if failures:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        if log is not None:
            log.error(f"Not sent by {reasons}\n{notice.text()}")
        raise NotSentError(f'"{notice.title}" was not sent by {reasons}', channels=tuple(failures))


def _sending(make: Callable[[], Notifier], notice: Notice) -> Callable[[threading.Event], None]:
    def send(given_up: threading.Event) -> None:
        for attempt in range(1, len(PAUSES) + 2):
            try:
                return make().send(notice)
            except Exception as error:
                if isinstance(error, NotSentError) and not error.passing:
                    raise
                if attempt > len(PAUSES) or given_up.wait(PAUSES[attempt - 1]):
                    message = str(error) or type(error).__name__
                    raise NotSentError(f"{message} ({attempt} tries)") from error

    return send
