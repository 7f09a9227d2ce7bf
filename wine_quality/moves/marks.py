"""Tags by which a copy is known, so that nothing is copied twice."""

from __future__ import annotations

from collections.abc import Mapping

ORIGIN_TAG = "wine_quality.moved_from_run"
"""Of a run: its id where it was made. By this alone it is found again, whatever address its server
had. A copy of a copy has the id of the first one."""
SERVER_TAG = "wine_quality.moved_from"
"""Of runs, experiments, versions and models: the server, for people."""
STATE_TAG = "wine_quality.moved"
OPEN, PARTIAL, COMPLETE = "open", "partial", "complete"
"""Being copied, or copied while it was under way; not all of it could be read; compared with its
source and the same. All but the last are copied again."""
VERSION_TAG = "wine_quality.moved_version"
"""Of a version: its number and when it was made, at its source."""
MODEL_TAG = "wine_quality.moved_from_model"
"""Of a logged model: as ``ORIGIN_TAG``."""
PLACEHOLDER_TAG = "wine_quality.moved_placeholder"
"""Of a version that keeps a number which is free at the source, for as long as that takes."""
ROLE_TAG = "wine_quality.moved_{role}"
"""Of a registered model: the version that a move gave the role. Another one got it since from
somebody here, which counts."""

OURS = frozenset(
    {ORIGIN_TAG, SERVER_TAG, STATE_TAG, VERSION_TAG, MODEL_TAG, PLACEHOLDER_TAG}
    | {ROLE_TAG.format(role=role) for role in ("champion", "challenger")}
)


def origin_of(run_id: str, tags: Mapping[str, str]) -> str:
    """The id that a run had where it was made."""
    return tags.get(ORIGIN_TAG) or run_id


def version_mark(number: str, created: int, tags: Mapping[str, str]) -> str:
    """The value of ``VERSION_TAG``: two servers may have models of one name."""
    return tags.get(VERSION_TAG) or f"{number}@{created}"


def without_ours(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags without those that a move sets."""
    return {key: text for key, text in tags.items() if key not in OURS}
