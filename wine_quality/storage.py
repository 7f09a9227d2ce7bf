"""How asset values travel between steps and environments: Parquet and JSON, never pickles.

A pickle written by one environment's pandas need not load in another's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dagster import Field, InitResourceContext, StringSource, UPathIOManager, io_manager

if TYPE_CHECKING:
    from dagster import InputContext, OutputContext
    from upath import UPath


class PlainFormatIOManager(UPathIOManager):
    """Data frames as Parquet, dictionaries as JSON (floats keep every digit)."""

    extension = ".parquet"

    def dump_to_path(self, context: OutputContext, obj: Any, path: UPath) -> None:
        if isinstance(obj, dict):
            path.with_suffix(".json").write_text(json.dumps(obj, indent=1))
            return
        with path.open("wb") as file:
            obj.to_parquet(file, engine="pyarrow")

    def load_from_path(self, context: InputContext, path: UPath) -> Any:
        plain = path.with_suffix(".json")
        if plain.exists():
            return json.loads(plain.read_text())
        import pandas as pd

        with path.open("rb") as file:
            return pd.read_parquet(file, engine="pyarrow")


@io_manager(
    config_schema={
        "base_path": Field(
            StringSource,
            default_value="",
            description="Folder or s3:// prefix. Empty: assets in $WINE_QUALITY_HOME.",
        )
    }
)
def plain_format_io_manager(context: InitResourceContext) -> PlainFormatIOManager:
    """Asset values as Parquet and JSON under ``base_path``."""
    from upath import UPath

    from wine_quality.home import home

    return PlainFormatIOManager(UPath(context.resource_config["base_path"] or home() / "assets"))
