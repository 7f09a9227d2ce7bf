"""A PostgreSQL with the real TimescaleDB, where ``WINE_QUALITY_TIMESCALE_BIN=…/bin`` names one."""

from __future__ import annotations

import os
from pathlib import Path

from wine_quality_tests.support.postgres import PostgresServer

REAL = os.environ.get("WINE_QUALITY_TIMESCALE_BIN")


def start_timescale(**settings: str) -> PostgresServer:
    """Start one; ``remove`` it at the end.

    Args:
        settings: As ``timescaledb.license``, given with ``**{…}``.
    """
    assert REAL
    options = {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
    return PostgresServer(Path(REAL).parent, **options, **settings)
