"""Which lines of what Dagster prints are shown on the terminal of `make up`, and how.

Dagster prints each event of each run and each tick of each sensor: some two lines a second. People
at the terminal see one line when a run starts and one when it ends, notices, warnings and errors.
"""

from __future__ import annotations

import re
import time

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RECORD = re.compile(
    r"^\d{4}-\d\d-\d\d (?P<time>\d\d:\d\d:\d\d)\S*(?: [+-]\d{4})? - (?P<logger>\S+) - "
    r"(?P<level>[A-Z]+) - (?P<text>.*)$"
)
_OF_RUN = re.compile(r"^(?P<job>\S+) - (?P<run>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) - ")
_RUN_EVENT = re.compile(r"\bRUN_(?P<kind>START|SUCCESS|FAILURE|CANCELED) - (?P<message>.*)$")
# Dagster's own message of a run that failed in a step; the reason is in the lines after it.
_FAILED_STEPS = re.compile(r"Steps failed: \[.*\]\.$")
_STEP_EVENT = re.compile(r"\b(STEP|HOOK|RESOURCE_INIT)_[A-Z_]+ - ")
_PLAIN = re.compile(r"^(WARNING|ERROR|CRITICAL):\s+(?P<text>.*)$")
# What a sensor of ours logs: the notices.
_NOTICE = re.compile(r"^__repository__ - (?P<sensor>\w+_notice) - (?P<title>.*)$")
_NEVER_RUN = re.compile(r" - Dependencies for step ")
_REPEAT_SECONDS = 60.0
_LENGTH = 400


class FailuresShown:
    """Time when the failure of a run was last shown, from the log of any process."""

    def __init__(self) -> None:
        self._at = float("-inf")

    def note(self) -> None:
        self._at = time.monotonic()

    def is_recent(self) -> bool:
        return time.monotonic() - self._at < _REPEAT_SECONDS


class ShownLines:
    """Picks lines of one process, in their order.

    Args:
        url: Of the Dagster UI, for links to runs.
        failures: Shared by the processes of one `make up`: the daemon logs that a run failed, and
            the code server the notice of it.
    """

    def __init__(self, url: str, failures: FailuresShown | None = None) -> None:
        self._url = url
        self._started: dict[str, float] = {}
        self._shown_at: dict[str, float] = {}
        self._failures = failures or FailuresShown()
        self._waiting: tuple[str, str, str] | None = None

    def shown(self, line: str) -> str | None:
        """The line, or lines, as people see it; None when it is only for the log file."""
        line = _COLOUR.sub("", line).rstrip()
        record = _RECORD.match(line)
        if self._waiting is None or not line:
            return self._of_record(line, record)
        begin, reason, end = self._waiting
        self._waiting = None
        if record is None:
            return f"{begin}{line[:_LENGTH]}{end}"
        after = self._of_record(line, record)
        return f"{begin}{reason}{end}" + (f"\n{after}" if after else "")

    def _of_record(self, line: str, record: re.Match[str] | None) -> str | None:
        if record is None:
            plain = _PLAIN.match(line)
            return self._once(plain["text"]) if plain else None
        notice = _NOTICE.match(record["text"])
        if notice is not None:
            return self._notice(record, notice["sensor"], notice["title"])
        run = _OF_RUN.match(record["text"])
        if run is not None:
            return self._of_run(record, run["job"], run["run"])
        return self._warning(record, record["logger"], record["text"])

    def _of_run(self, record: re.Match[str], job: str, run: str) -> str | None:
        title = f"{'materialize' if job.startswith('__') else job} {run[:8]}"
        event = _RUN_EVENT.search(record["text"])
        if event is None:
            if _STEP_EVENT.search(record["text"]) or _NEVER_RUN.search(record["text"]):
                return None  # shown with the run's end
            return self._warning(record, title, record["text"].rpartition(f"{run} - ")[2])
        if event["kind"] == "START":
            self._started[run] = time.monotonic()
            return f"{record['time']} {title} started"
        began = self._started.pop(run, None)
        after = f" after {time.monotonic() - began:.0f} s" if began is not None else ""
        if event["kind"] == "SUCCESS":
            return f"{record['time']} {title} succeeded{after}"
        link = f"  {self._url}/runs/{run}"
        if event["kind"] == "CANCELED":
            return f"{record['time']} {title} was cancelled{after}{link}"
        self._failures.note()
        begin, reason = f"{record['time']} {title} failed{after}: ", event["message"][:_LENGTH]
        if _FAILED_STEPS.search(event["message"]):
            self._waiting = (begin, reason, link)
            return None
        return f"{begin}{reason}{link}"

    def _notice(self, record: re.Match[str], sensor: str, title: str) -> str | None:
        if "failure" in sensor and self._failures.is_recent():
            return None  # the failure of the run was just shown
        return f"{record['time']} {title[:_LENGTH]}"

    def _warning(self, record: re.Match[str], who: str, text: str) -> str | None:
        if record["level"] not in ("WARNING", "ERROR", "CRITICAL"):
            return None
        message = self._once(f"{record['level'].lower()}: {who}: {text}"[:_LENGTH])
        return f"{record['time']} {message}" if message else None

    def _once(self, text: str) -> str | None:
        """None for a text shown a moment ago: a sensor that fails does so every few seconds."""
        now = time.monotonic()
        self._shown_at = {
            key: at for key, at in self._shown_at.items() if now - at < _REPEAT_SECONDS
        }
        if text in self._shown_at:
            return None
        self._shown_at[text] = now
        return text
