"""The notifiers that the settings name."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from functools import partial

from wine_quality.notices.delivery import Channels
from wine_quality.notices.notice import Notice, Notifier, NotSentError
from wine_quality.notices.settings import EMAIL, LOG, SLACK, NoticeSettings


class LogNotifier:
    """Writes it to the log of the sensor's tick, which the code location prints too."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def send(self, notice: Notice) -> None:
        self._log.info(notice.text())


def channels_of(settings: NoticeSettings, log: logging.Logger) -> Channels:
    """Functions that make each notifier; nothing is imported or made yet."""
    known: dict[str, Callable[[], Notifier]] = {
        LOG: partial(LogNotifier, log),
        SLACK: partial(_slack, settings),
        EMAIL: partial(_email, settings),
    }
    return {name: known.get(name) or partial(_own, name) for name in settings.channels}


def _slack(settings: NoticeSettings) -> Notifier:
    from wine_quality.notices.slack import SlackNotifier

    return SlackNotifier(settings)


def _email(settings: NoticeSettings) -> Notifier:
    from wine_quality.notices.mail import EmailNotifier

    return EmailNotifier(settings)


def _own(name: str) -> Notifier:
    module, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except Exception as error:
        raise NotSentError(f"{name} cannot be made: {type(error).__name__}: {error}") from error
    if not callable(getattr(made, "send", None)):
        raise NotSentError(f"{name} has no method send(notice)")
    return made
