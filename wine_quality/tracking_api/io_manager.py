"""Values between assets in formats that the environment of any MLflow version reads."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import (
    InitResourceContext,
    InputContext,
    OutputContext,
    UPathIOManager,
)
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedIOManagerFactory
from wine_quality.escaping import ProjectError
from wine_quality.tracking.training import Training
from wine_quality.tracking_api.values import (
    ChampionDecision,
    LoggedMetrics,
    RegisteredVersion,
    TrackedModel,
)

if TYPE_CHECKING:
    from upath import UPath

_TYPES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (TrackedModel, LoggedMetrics, RegisteredVersion, ChampionDecision)
}
_PARQUET = b"PAR1"
FORMAT = 2
"""Of the JSON records, with the trainings in them. A record without a version is of the time before
there was one, and is read as the first. The second knows the training record of a model."""


class ValueFormatError(ProjectError, TypeError):
    """The value cannot be stored in a plain format, or is stored in a newer one than is known."""


class PlainIOManager(CheckedIOManagerFactory):
    """Stores data frames as Parquet, and all else as JSON: what this package's assets return, and
    numbers, texts, lists and dictionaries.

    Dagster's own default pickles, and a pickle of one version's environment need not load in
    another's (pandas 3.1.1 and 1.5.3, NumPy 2 and 1). Partitions have a file each.
    """

    base_path: str = Field(
        default="",
        description="Folder or URL that fsspec knows. Empty: plain, in the storage folder of the "
        "Dagster instance.",
    )

    def create_io_manager(self, context: InitResourceContext) -> UPathIOManager:
        """An IO manager for one run."""
        from upath import UPath

        if self.base_path:
            return _PlainFiles(UPath(self.base_path))
        assert context.instance is not None
        return _PlainFiles(UPath(context.instance.storage_directory()) / "plain")


class _PlainFiles(UPathIOManager):
    def dump_to_path(self, context: OutputContext, obj: Any, path: "UPath") -> None:
        path.write_bytes(encode(obj))

    def load_from_path(self, context: InputContext, path: "UPath") -> Any:
        return decode(path.read_bytes())


def encode(value: Any) -> bytes:
    """A value as Parquet or JSON.

    Raises:
        ValueFormatError: it is neither a data frame nor plain.
    """
    if hasattr(value, "to_parquet"):
        return value.to_parquet()
    kind = type(value).__name__
    is_ours = isinstance(value, tuple(_TYPES.values()))
    typed = {"type": kind, "value": asdict(value)} if is_ours else {"value": value}
    record = {"format": FORMAT, **typed}
    try:
        return json.dumps(record, indent=1, default=_plain).encode()
    except (TypeError, ValueError) as error:
        raise ValueFormatError(
            f"a {kind} is neither a data frame nor numbers, texts, lists and dictionaries of them "
            f"({error}). Return one of these, log a model with run.log_model, or give the asset an "
            "IO manager of its own (io_manager_key)."
        ) from error


def decode(content: bytes) -> Any:
    """The value that ``encode`` wrote, here or in an older checkout.

    Raises:
        ValueFormatError: a newer checkout wrote it.
    """
    if content.startswith(_PARQUET):
        import io

        import pandas as pd

        return pd.read_parquet(io.BytesIO(content))
    record = json.loads(content)
    version = record.get("format", 1)
    if version > FORMAT:
        raise ValueFormatError(
            f"the value is stored in format {version}, and this package reads up to {FORMAT}. "
            "Materialize its asset again, or upgrade the package of this environment."
        )
    kind, value = _TYPES.get(record.get("type")), record["value"]
    return kind(**{**value, "training": Training(**value["training"])}) if kind else value


def _plain(value: Any) -> Any:
    """A number of NumPy, or a path, as JSON has it."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is not plain")
