"""Which runs may lose their files, where two databases share a place for files."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from wine_quality.upkeep.known_runs import Known
from wine_quality.upkeep.old_runs import RETIRED_TAG

RUN = "1" * 32


def database(retired: str | None) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE runs (run_uuid, lifecycle_stage); CREATE TABLE tags (run_uuid, key, value);"
        "CREATE TABLE model_versions (run_id, source, current_stage);"
    )
    stage = "deleted" if retired else "active"
    connection.execute("INSERT INTO runs VALUES (?, ?)", (RUN, stage))
    if retired:
        connection.execute("INSERT INTO tags VALUES (?, ?, ?)", (RUN, RETIRED_TAG, retired))
    return connection


@pytest.mark.parametrize(
    ("stores", "is_lost"),
    [
        (("2020-01-01T00:00:00+00:00", None), False),
        ((None, "2020-01-01T00:00:00+00:00"), False),
        (("2020-01-01T00:00:00+00:00", "2020-02-01T00:00:00+00:00"), True),
        (("2020-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"), False),
        (("2999-01-01T00:00:00+00:00", "2020-01-01T00:00:00+00:00"), False),
        (("2020-01-01T00:00:00+00:00",), True),
    ],
)
def test_a_run_in_two_databases_is_needed_by_either(stores, is_lost):
    known = Known()
    for retired in stores:
        with closing(database(retired)) as connection:
            known.add(connection)
    assert known.may_lose_files(RUN, before=2e9) is is_lost
