"""Run config of batch predictions and of their live error, of any model."""

import enum

from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig


def source_field(empty: str, pattern: str = "s3://rows/2026/*.parquet") -> str:
    """The field ``source``.

    Args:
        empty: What is scored where none is named.
        pattern: An example of one.
    """
    field: str = Field(
        default="",
        description="Rows to score: a Parquet or CSV file, a folder or s3:// prefix of files (with "
        f"a slash at its end), a pattern such as {pattern}, one https:// file, or a "
        f"table, postgresql://HOST:5432/DATABASE?table=SCHEMA.NAME. Empty: {empty}.",
    )
    return field


class BatchConfig(CheckedConfig):
    """The files to score, the model version, and the folder for the predictions."""

    source: str = source_field("the sample of the data set")
    output: str = Field(
        default="",
        description="The Parquet file of predictions (…/name.parquet), local or s3://; else a "
        "folder, in which it is called after the run. Empty: predictions in $WINE_QUALITY_HOME.",
    )
    version: str = Field(default="", description="Number of a version. Empty: the champion.")
    key: list[str] = Field(
        default=[],
        description="Columns of the rows that name them; they are handed on, and labels that "
        "arrive later are joined by them.",
    )
    reject_bad_rows: bool = Field(
        default=False,
        description="Rows with a missing value or text where a number belongs go into a file "
        "beside the predictions (….rejects.parquet). Without it, one fails the run.",
    )


class Period(enum.Enum):
    """For how long errors are put together."""

    day = "day"
    week = "week"
    month = "month"


class LiveErrorConfig(CheckedConfig):
    """The labels, their predictions, and the limit of the error."""

    labels: str = Field(
        default="",
        description="Labels that have arrived: a Parquet or CSV file, a folder, pattern or "
        "s3:// prefix of such, or one https:// file; with the key of the predictions, or in the "
        "order of the rows that were scored.",
    )
    label: str = Field(default="", description="Column of the labels that holds them.")
    predictions: str = Field(default="", description="")
    period: Period = Field(
        default=Period.day, description="Errors of each day, week or month, by when predicted."
    )
    tolerance: float = Field(default=0.1, ge=0, description="")
    minimum_rows: int = Field(
        default=100, ge=1, description="With fewer labels in a period nothing is concluded."
    )
