"""Which channels still owe a notice, as a tag of the run that it is about.

Kept with the run, so that a restart of the daemon forgets none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wine_quality.dagster_support.run_tag_names import (
    FAILURE_NOTICE_LEFT_TAG,
    FAILURE_NOTICE_TAG,
    PROMOTION_NOTICE_LEFT_TAG,
    PROMOTION_NOTICE_TAG,
    change_tag,
    runs_tagged,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

FAILURE, PROMOTION = "failure", "promotion"
GIVE_UP_SECONDS = 24 * 3600.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 600.0
RETRY, SENT, FAILED = "retry", "sent", "failed"
_TAGS = {
    FAILURE: (FAILURE_NOTICE_TAG, FAILURE_NOTICE_LEFT_TAG),
    PROMOTION: (PROMOTION_NOTICE_TAG, PROMOTION_NOTICE_LEFT_TAG),
}


@dataclass(frozen=True)
class Undelivered:
    """A notice of a run that some channels did not take. Times are in seconds since 1970."""

    kind: str
    run_id: str
    channels: tuple[str, ...]
    since: float
    next_try: float
    tries: int = 1

    @classmethod
    def of_first_try(
        cls, kind: str, run_id: str, channels: Sequence[str], now: float
    ) -> Undelivered:
        return cls(kind, run_id, tuple(channels), now, now + FIRST_PAUSE_SECONDS)

    def after_next_try(self, now: float) -> Undelivered:
        """A copy with the next try scheduled; each pause is twice the one before."""
        pause = min(FIRST_PAUSE_SECONDS * 2.0**self.tries, LONGEST_PAUSE_SECONDS)
        return replace(self, tries=self.tries + 1, next_try=now + pause)

    def is_too_old(self, now: float) -> bool:
        return now - self.since > GIVE_UP_SECONDS

    def store(self, instance: DagsterInstance) -> None:
        """Have it tried again, also by another daemon."""
        state, left = _TAGS[self.kind]
        content = {
            "run": self.run_id,
            "channels": self.channels,
            "since": self.since,
            "next_try": self.next_try,
            "tries": self.tries,
        }
        instance.add_run_tags(self.run_id, {left: json.dumps(content)})
        change_tag(instance, self.run_id, state, RETRY)

    def close(self, instance: DagsterInstance, state: str) -> None:
        """Never try it again; ``state`` is SENT or FAILED."""
        change_tag(instance, self.run_id, _TAGS[self.kind][0], state)


def undelivered(instance: DagsterInstance) -> list[tuple[DagsterRun, Undelivered]]:
    """All undelivered notices and their runs, by the time of the next try."""
    found = []
    for kind, (state, left) in _TAGS.items():
        for run in runs_tagged(instance, state, RETRY):
            content = json.loads(run.tags.get(left) or "{}")
            if content.pop("run", None) == run.run_id:  # else a re-execution's, copied
                content["channels"] = tuple(content["channels"])
                found.append((run, Undelivered(kind, run.run_id, **content)))
    return sorted(found, key=lambda one: one[1].next_try)
