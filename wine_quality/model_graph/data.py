"""The assets of the rows: as they arrived, and in two parts."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetIn,
    AssetOut,
    AssetsDefinition,
    Failure,
    MaterializeResult,
    MetadataValue,
    Output,
    TableColumn,
    TableSchema,
    asset,
    multi_asset,
)
from pydantic import Field, create_model

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.datasets.contract import summarize
from wine_quality.datasets.dialect import DataFormatError
from wine_quality.datasets.parse import BrokenContractError
from wine_quality.engines.resource import TrainingEngine
from wine_quality.model_graph.plan import ModelPlan
from wine_quality.model_graph.streaming import (
    inspect_files,
    inspected_value,
    require_kind,
    sum_up,
    summed_value,
)
from wine_quality.sources.source import SourceError, SourceLimits
from wine_quality.tables.dataset import Dataset, DeclarationError

_CONTRACT = "data_contract"


class DataConfig(CheckedConfig):
    """The source of the rows, and limits on reading it."""

    source: str = Field(default="", description="")
    max_megabytes: float = Field(
        default=256.0, gt=0, le=1e6, description="Largest file that is read, in MB."
    )
    timeout_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds to wait for a host's next bytes."
    )
    total_seconds: float = Field(
        default=120.0, gt=0, le=86400, description="Seconds for the whole transfer."
    )

    def limits(self) -> SourceLimits:
        """The limits of reading, with the fields' names for errors."""
        return SourceLimits(
            max_bytes=int(self.max_megabytes * 2**20),
            timeout_seconds=self.timeout_seconds,
            total_seconds=self.total_seconds,
            total_setting="total_seconds",
            size_setting="max_megabytes",
            url_setting="source",
        )


class SplitConfig(CheckedConfig):
    """The division of the rows into training and test rows."""

    test_fraction: float = Field(
        default=0.25, gt=0, lt=1, description="Share of the rows that models are held against."
    )
    seed: int = Field(default=42, ge=0, lt=2**32, description="Of the shuffle.")


def column_schema(dataset: Dataset) -> TableSchema:
    """The columns with type, description and unit, for the asset's page in Dagster."""
    return TableSchema(
        columns=[
            TableColumn(one.name, one.dtype, " ".join(filter(None, [one.description, one.unit])))
            for one in dataset.columns
        ]
    )


def raw_data(plan: ModelPlan) -> AssetsDefinition:
    """``<name>_data``: the rows, after they were held against the contract."""
    dataset, default = plan.dataset, plan.source
    described = Field(
        default=default,
        description="CSV or Parquet file: https://, s3://, file:// or a path. Empty: the data "
        "set's sample. Runs from the UI read paths only in folders that "
        "$WINE_QUALITY_ALLOWED_ROOTS lists, the default excepted.",
    )
    config_class: Any = create_model(
        f"{plan.name}_data_config", __base__=DataConfig, source=(str, described)
    )

    @asset(
        name=f"{plan.name}_data",
        kinds={"pandas"},
        metadata={"dagster/column_schema": column_schema(dataset)},
        description=f"{dataset.description or dataset.name} Checked against the data contract "
        "(columns, types and ranges).",
        check_specs=[
            AssetCheckSpec(
                _CONTRACT,
                asset=f"{plan.name}_data",
                blocking=True,
                description="Each column is there, its values are of its type and within its "
                "range, and none is missing.",
            )
        ],
        **plan.options,
    )
    def data(
        context: AssetExecutionContext, config: config_class, training_engine: TrainingEngine
    ) -> Iterator[Any]:
        from wine_quality.tables.read import read_table

        is_default = config.source == default
        if training_engine.is_streaming:
            yield from _inspected(context, plan, config.source, is_default, training_engine)
            return
        try:
            table = read_table(
                dataset, config.source, config.limits(), is_default, context.log.info
            )
        except (SourceError, DataFormatError, BrokenContractError) as error:
            message = (
                summarize(error.violations) if isinstance(error, BrokenContractError) else error
            )
            yield AssetCheckResult(check_name=_CONTRACT, passed=False, description=str(message))
            # Raised before the output: a file that breaks the contract replaces nothing.
            raise Failure(str(error), allow_retries=False) from error
        frame = table.frame
        if plan.segment_by:
            frame = frame[frame[plan.segment_by] == context.partition_key].reset_index(drop=True)
            if frame.empty:
                raise Failure(
                    f"{table.source} has no row with {plan.segment_by} = {context.partition_key}",
                    allow_retries=False,
                )
        yield AssetCheckResult(
            check_name=_CONTRACT, passed=True, description="The file keeps the contract."
        )
        yield MaterializeResult(
            value=frame,
            metadata={
                "dagster/row_count": len(frame),
                "source": table.source,
                "data_sha256": table.sha256,
                "preview": MetadataValue.md(_preview(frame)),
            },
            tags={"data_sha256": table.sha256[:63]},
        )

    return data


def _inspected(
    context: AssetExecutionContext,
    plan: ModelPlan,
    source: str,
    is_default: bool,
    engine: TrainingEngine,
) -> Iterator[Any]:
    """The outputs of the asset where the rows are passed over: the split reads them."""
    from wine_quality.engines.batches import UnreadableFileError
    from wine_quality.engines.broken_rules import BrokenFilesError

    try:
        files, left_out = inspect_files(plan, engine, source, is_default)
    except (UnreadableFileError, BrokenFilesError) as error:
        yield AssetCheckResult(check_name=_CONTRACT, passed=False, description=str(error))
        raise Failure(str(error), allow_retries=False) from error
    for one in left_out:
        context.log.warning(f"{one.path} is left out: {one.reason}")
    described = f"The columns of the files keep the contract; {plan.name}_split reads the rows."
    yield AssetCheckResult(check_name=_CONTRACT, passed=True, description=described)
    yield MaterializeResult(
        value=inspected_value(files),
        metadata={
            "source": files.source,
            "data_files": len(files.versions),
            "files_left_out": len(left_out),
            "training_engine": engine.engine.value,
            **({} if files.rows is None else {"dagster/row_count": files.rows}),
        },
    )


def _preview(frame: Any) -> str:
    """Five rows as Markdown, without the package that pandas needs for it."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.head(5).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def parts(plan: ModelPlan) -> AssetsDefinition:
    """``<name>_train`` and ``<name>_test``."""

    @multi_asset(
        name=f"{plan.name}_split",
        ins={"data": AssetIn(f"{plan.name}_data")},
        outs={
            "train": AssetOut(
                key=f"{plan.name}_train", kinds={"pandas"}, description="What models train on."
            ),
            "test": AssetOut(
                key=f"{plan.name}_test",
                kinds={"pandas"},
                description="What models are held against.",
            ),
        },
        **plan.options,
    )
    def split(
        context: AssetExecutionContext,
        config: SplitConfig,
        training_engine: TrainingEngine,
        data: Any,
    ) -> Iterator[Any]:
        from wine_quality.tables.parts import split_table

        if require_kind(training_engine, data, f"{plan.name}_data"):
            fraction, seed, say = config.test_fraction, config.seed, context.log.info
            table = sum_up(plan, training_engine, data, fraction, seed, say)
            for name, rows in (("train", table.sums.train.n), ("test", table.sums.test.n)):
                shown: dict[str, Any] = {
                    "dagster/row_count": rows,
                    "sampled_rows": len(table.sample.rows),
                    "data_sha256": table.sha256,
                }
                yield Output(summed_value(table), name, metadata=shown)
            return
        try:
            train, test = split_table(plan.dataset, data, config.test_fraction, config.seed)
        except DeclarationError as error:
            raise Failure(str(error), allow_retries=False) from error
        for name, frame in (("train", train), ("test", test)):
            yield Output(frame, name, metadata={"dagster/row_count": len(frame)})

    return split
