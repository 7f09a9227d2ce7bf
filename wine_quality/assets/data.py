"""``raw_wine_csv`` and ``train_test_split``."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableMetadataValue,
    TableRecord,
    TableSchema,
    asset,
)
from pydantic import Field

from wine_quality.assets import checks
from wine_quality.data.contract import (
    COLUMNS,
    FEATURES,
    TARGET,
    check_contract,
    conform,
    summarize,
)
from wine_quality.data.parse import DataFormatError, parse_wine_csv
from wine_quality.data.source import PACKAGED_RED_WINE, SourceError, SourceLimits, read_source

# One group: the UI folds several of them away, and the graph is what people come to see.
GROUP = "wine_quality"
OWNERS = ["team:ml-platform"]
CONTRACT_CHECK = "data_contract"
# What runs say of the default: where it lies on this machine is nobody's lineage.
PACKAGED_NAME = "wine_quality/data/winequality-red.csv"


class RawWineCsvConfig(Config):
    """Where the wines come from, and how long and how much may be read."""

    csv_url: str = Field(
        default="",
        description="https://, s3://, file:// or a path. Empty: the UCI red-wine file shipped "
        "with the package.",
    )
    max_megabytes: float = Field(default=256.0, gt=0, description="Refuse anything larger.")
    timeout_seconds: float = Field(
        default=10.0, gt=0, description="To connect, and between bytes, in seconds."
    )
    total_seconds: float = Field(
        default=120.0, gt=0, description="For the whole transfer, in seconds."
    )
    attempts: int = Field(default=3, ge=1, le=10, description="Tries before giving up.")


def column_schema(*more: TableColumn) -> TableSchema:
    """The data contract's columns, and ``more``, as Dagster shows them."""
    contract = [
        TableColumn(
            name=column.name,
            type=column.dtype,
            description=f"{column.description} [{column.unit}] "
            f"{column.minimum:g} to {column.maximum:g}",
        )
        for column in COLUMNS.values()
    ]
    return TableSchema(columns=[*contract, *more])


@asset(
    group_name=GROUP,
    kinds={"csv", "pandas"},
    owners=OWNERS,
    code_version="1",
    metadata={"dagster/column_schema": column_schema()},
    check_specs=[
        AssetCheckSpec(
            CONTRACT_CHECK,
            asset="raw_wine_csv",
            blocking=True,
            description="Eleven named numeric columns and quality; nothing missing; sane ranges.",
        )
    ],
)
def raw_wine_csv(context: AssetExecutionContext, config: RawWineCsvConfig) -> Iterator[Any]:
    """The wines as they arrived, held against the data contract."""
    url = config.csv_url or str(PACKAGED_RED_WINE)
    limits = SourceLimits(
        max_bytes=int(config.max_megabytes * 1024 * 1024),
        timeout_seconds=config.timeout_seconds,
        total_seconds=config.total_seconds,
        attempts=config.attempts,
    )
    try:
        source = read_source(url, limits, report=context.log.info)
        frame = parse_wine_csv(source.content, source.url)
    except (SourceError, DataFormatError) as error:
        yield AssetCheckResult(check_name=CONTRACT_CHECK, passed=False, description=str(error))
        raise Failure(str(error), allow_retries=False) from error
    # On the run too: people look for "the run of this file" among runs.
    context.instance.add_run_tags(context.run_id, {"data_sha256": source.sha256})
    violations = check_contract(frame)
    yield AssetCheckResult(
        check_name=CONTRACT_CHECK,
        passed=not violations,
        description=summarize(violations) if violations else "The file keeps the contract.",
    )
    if violations:
        # Raised before the output: a file that breaks the contract replaces nothing.
        raise Failure(
            f"{source.url} breaks the data contract. {summarize(violations)}",
            allow_retries=False,
        )
    wines = conform(frame)
    # Travels with the values, so that a model knows its data whatever is materialized meanwhile.
    shown = source.url if config.csv_url else PACKAGED_NAME
    wines.attrs = {"data_sha256": source.sha256, "source": shown}
    yield MaterializeResult(
        value=wines,
        metadata={
            "dagster/row_count": len(wines),
            "source": shown,
            "data_sha256": source.sha256,
            "bytes": len(source.content),
            "repeated_rows": int(wines.duplicated().sum()),
            "preview": _preview(wines),
        },
        tags={"data_sha256": source.sha256[:63]},
    )


def _preview(frame: Any, rows: int = 5) -> TableMetadataValue:
    """The first rows."""
    records = frame.head(rows).to_dict("records")
    return MetadataValue.table(
        records=[TableRecord({k: float(v) for k, v in record.items()}) for record in records],
        schema=column_schema(),
    )


class SplitConfig(Config):
    """How the wines are divided."""

    test_fraction: float = Field(default=0.25, gt=0, lt=1, description="Share held out.")
    seed: int = Field(default=40, ge=0, le=2**32 - 1, description="Seed of the shuffle.")
    max_shared_fraction: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of held-out wines with a twin in the training part that is no warning.",
    )


@asset(
    group_name=GROUP,
    kinds={"pandas", "scikitlearn"},
    owners=OWNERS,
    code_version="1",
    metadata={
        "dagster/column_schema": column_schema(
            TableColumn(name="part", type="string", description="train or test")
        )
    },
    check_specs=[checks.PARTS_APART, checks.SHARED_WINES],
)
def train_test_split(context: AssetExecutionContext, config: SplitConfig, raw_wine_csv):
    """The wines in two parts; ``part`` says which, the index is the row's place in the file."""
    from wine_quality.training.split import count_shared_wines, part_of, split_rows

    split = split_rows(raw_wine_csv, config.test_fraction, config.seed)
    split.attrs = {
        **raw_wine_csv.attrs,
        "test_fraction": config.test_fraction,
        "split_seed": config.seed,
    }
    test_rows, shared = len(part_of(split, "test")), count_shared_wines(split)
    return MaterializeResult(
        check_results=[
            checks.parts_are_apart(split, config.test_fraction),
            checks.few_shared_wines(shared, test_rows, config.max_shared_fraction),
        ],
        value=split,
        metadata={
            "dagster/row_count": len(split),
            "train_rows": len(part_of(split, "train")),
            "test_rows": test_rows,
            "test_wines_also_in_train": shared,
            "seed": config.seed,
            "test_fraction": config.test_fraction,
            "data_sha256": split.attrs["data_sha256"],
            "features": len(FEATURES),
            "target": TARGET,
        },
    )
