"""How asset values travel between steps and environments: Parquet and JSON, never pickles.

A pickle written by one environment's pandas need not load in another's. Every run keeps values of
its own, so that runs side by side, and a re-execution after others, get what belongs to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dagster import AssetRecordsFilter, InputContext, MetadataValue, OutputContext
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedIOManager
from wine_quality.datasets.parquet import read_parquet, write_parquet
from wine_quality.defs.value_codec import from_frame, from_record, to_stored
from wine_quality.escaping import ShownError
from wine_quality.paths import assets_location
from wine_quality.policy.places import check_place
from wine_quality.settings import places
from wine_quality.sources.s3 import assets_options

if TYPE_CHECKING:
    import pandas as pd
    from dagster import DagsterRun
    from upath import UPath

_FRAME, _RECORD = ".parquet", ".json"


class ValueMissingError(ShownError, RuntimeError):
    """An asset's value is not in the store; the message names the asset to materialize."""


class StoreError(ShownError, RuntimeError):
    """The store of asset values cannot be used; the message names it and what to do."""


class PlainFormatIOManager(CheckedIOManager):
    """Stores the values of assets: wines as Parquet (with a frame's ``attrs``), all else as JSON.

    Both keep every digit of a float. The file is ``<base_path>/<asset>/<run id>.<format>``, that of
    an op ``<base_path>/ops/<step>/<run id>.<format>``.
    """

    base_path: str = Field(
        default="",
        description="Folder or s3:// prefix. Empty: $WINE_QUALITY_ASSETS, else assets in "
        "$WINE_QUALITY_HOME.",
    )

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        stored = to_stored(obj)
        suffix = _RECORD if isinstance(stored, dict) else _FRAME
        path = self._path(_value_folder(context), context.run_id, suffix)
        with _store_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if suffix == _RECORD:
                path.write_text(json.dumps(stored, indent=1))
            else:
                write_frame(stored, path)
        context.add_output_metadata({"path": MetadataValue.path(str(path))})

    def load_input(self, context: InputContext) -> Any:
        folder = _value_folder(context if context.has_asset_key else context.upstream_output)
        for run_id in _runs_to_ask(context):
            for suffix in (_FRAME, _RECORD):
                path = self._path(folder, run_id, suffix)
                with _store_named(path):
                    if path.exists():
                        return _read(path, suffix, context.dagster_type.typing_type)
        asset = "/".join(folder)
        raise ValueMissingError(
            f"there is no value of {asset} in {self._base()}: "
            f"materialize {asset} first, or together with this asset"
        )

    def _base(self) -> UPath:
        from upath import UPath

        given = check_place(self.base_path, "resources.io_manager.config.base_path")
        base = given or assets_location()
        return UPath(base, **(assets_options() if base.startswith("s3://") else {}))

    def _path(self, folder: Sequence[str], run_id: str, suffix: str) -> UPath:
        return self._base().joinpath(*folder, f"{run_id}{suffix}")


def _read(path: UPath, suffix: str, kind: Any) -> Any:
    """The value at ``path``, as what the input is annotated with."""
    if suffix == _FRAME:
        return from_frame(read_frame(path), kind)
    record = json.loads(path.read_text())
    try:
        return from_record(record, kind)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} holds no value that this checkout can read. Materialize its asset again."
        ) from error


@contextmanager
def _store_named(path: UPath) -> Iterator[None]:
    """Raise errors of the storage libraries as one that names the store and what to do.

    Raises:
        StoreError: what the store, or the way to it, raised.
    """
    faults: tuple[type[Exception], ...] = (OSError,)
    if path.protocol == "s3":
        from botocore.exceptions import BotoCoreError, ClientError

        faults = (OSError, BotoCoreError, ClientError)
    try:
        yield
    except faults as error:
        if path.protocol == "s3":
            endpoint = places.ASSETS_ENDPOINT.read() or "AWS"
            where = f"the S3 store of asset values at {endpoint} ($WINE_QUALITY_ASSETS_ENDPOINT)"
            advice = "Start it, or correct the address, keys or free space"
        else:
            where, advice = "the folder of asset values", "Make room or mend its permissions"
        raise StoreError(
            f"{where} cannot be used for {path}: {error} {advice}; then re-execute from failure."
        ) from error


def _value_folder(context: InputContext | OutputContext | None) -> list[str]:
    """The folder of the values of an asset, or of an op that belongs to none."""
    assert context is not None
    if context.has_asset_key:
        return list(context.asset_key.path)
    assert isinstance(context, OutputContext)
    return ["ops", context.step_key]


def _runs_to_ask(context: InputContext) -> Iterator[str]:
    """Ids of the runs to look for a value of: this run, those it re-executes, then the one that had
    materialized the asset last when this run began. A newer one comes last: the steps before got
    their values without it.
    """
    instance, run_id = context.instance, context.step_context.run_id
    record = instance.get_run_record_by_id(run_id)
    run: DagsterRun | None = record.dagster_run if record else None
    while run is not None:
        yield run.run_id
        run = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    if not context.has_asset_key:
        return
    if record is not None and record.start_time is not None:
        wanted = AssetRecordsFilter(context.asset_key, before_timestamp=record.start_time)
        for known in instance.fetch_materializations(wanted, limit=1).records:
            yield known.run_id
    latest = instance.get_latest_materialization_event(context.asset_key)
    if latest is not None:
        yield latest.run_id


def write_frame(frame: pd.DataFrame, path: UPath) -> None:
    """As Parquet, ``attrs`` included."""
    with path.open("wb") as file:
        write_parquet(frame, file)


def read_frame(path: UPath) -> pd.DataFrame:
    """The data frame that ``write_frame`` wrote as Parquet."""
    with path.open("rb") as file:
        return read_parquet(file)
