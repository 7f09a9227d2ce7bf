"""Tags of a run that name the file it was requested for, and the data it read."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING

from wine_quality.dagster_support.run_tag_names import (
    ARRIVED_TAG,
    DATA_HASH_TAG,
    FILE_HASH_TAG,
    FILE_TAG,
    SOURCE_TAG,
    SOURCE_VERSION_TAG,
    under_current_names,
)
from wine_quality.history.accepted_files import iso_time
from wine_quality.sources.transfer import redact_url

if TYPE_CHECKING:
    from wine_quality.sources.arrivals import Arrival


def file_name(source: str) -> str:
    """The last part of an address or path, for the tag that people see in the row of a run."""
    path = redact_url(source).partition("?")[0].rstrip("/")
    return path.rpartition("/")[2] or source


def tags_of(arrival: Arrival) -> dict[str, str]:
    return {
        FILE_TAG: file_name(arrival.url),
        SOURCE_TAG: redact_url(arrival.url),
        SOURCE_VERSION_TAG: arrival.version,
        ARRIVED_TAG: iso_time(arrival.arrived),
    }


def data_tags(source: str, data_sha256: str, file_sha256: str | None = None) -> dict[str, str]:
    """Tags of the data a run trains on, by which people look for "the run of this file".

    Args:
        source: Address, path or name of what was read.
        data_sha256: Of all that the run trains on.
        file_sha256: Of the file that was read; None when none was.
    """
    tags = {FILE_TAG: file_name(source), DATA_HASH_TAG: data_sha256}
    return {**tags, FILE_HASH_TAG: file_sha256} if file_sha256 else tags


def arrived_at(tags: Mapping[str, str], url: str) -> float | None:
    """Unix seconds at which the file behind ``url`` arrived; None when the tags lack it.

    Dagster copies tags to a run that is launched again with another config, and so with another
    file.
    """
    tags = under_current_names(tags)
    if tags.get(SOURCE_TAG) != redact_url(url):
        return None
    try:
        return datetime.datetime.fromisoformat(tags.get(ARRIVED_TAG, "")).timestamp()
    except ValueError:
        return None
