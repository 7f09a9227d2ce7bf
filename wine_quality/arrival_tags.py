"""Tags of a run that was requested for a file that arrived."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING

from wine_quality.data.remembered import iso_time
from wine_quality.data.transfer import redact_url

if TYPE_CHECKING:
    from wine_quality.data.arrivals import Arrival

SOURCE_TAG = "wine_quality/source"
SOURCE_VERSION_TAG = "wine_quality/source_version"
ARRIVED_TAG = "wine_quality/arrived"
# Set when it was read. The tag data_sha256 is that of all the run trains on.
FILE_HASH_TAG = "wine_quality/source_sha256"


def tags_of(arrival: Arrival) -> dict[str, str]:
    return {
        SOURCE_TAG: redact_url(arrival.url),
        SOURCE_VERSION_TAG: arrival.version,
        ARRIVED_TAG: iso_time(arrival.arrived),
    }


def arrived_at(tags: Mapping[str, str], url: str) -> float | None:
    """When the file behind ``url`` arrived, in Unix seconds; None when the tags do not say.

    Dagster copies tags to a run that is launched again with another config, and so with another
    file.
    """
    if tags.get(SOURCE_TAG) != redact_url(url):
        return None
    try:
        return datetime.datetime.fromisoformat(tags.get(ARRIVED_TAG, "")).timestamp()
    except ValueError:
        return None
