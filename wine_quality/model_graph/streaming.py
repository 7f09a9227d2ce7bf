"""The data assets of a model graph whose rows are passed over: files inspected, sums kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dagster import Failure

from wine_quality.engines.resource import TrainingEngine
from wine_quality.model_graph.plan import ModelPlan
from wine_quality.tables.dataset import DeclarationError

if TYPE_CHECKING:
    from wine_quality.engines.input_files import LeftOut
    from wine_quality.engines.row_table import RowTable
    from wine_quality.engines.table_pass import StreamedTable, TableFiles

STREAMED = "streamed"
"""Key of the values of assets whose rows are not in memory."""


def streamed_table(plan: ModelPlan, engine: TrainingEngine) -> "RowTable":
    """The columns that the engine reads.

    Raises:
        Failure: the family cannot be trained from sums, or the data set has columns of text.
    """
    from wine_quality.engines.row_table import RowTable

    try:
        plan.family.require_from_sums(engine.engine.value)
        return RowTable.of(plan.dataset)
    except DeclarationError as error:
        raise Failure(str(error), allow_retries=False) from error


def inspect_files(
    plan: ModelPlan, engine: TrainingEngine, source: str, trusted: bool
) -> "tuple[TableFiles, Sequence[LeftOut]]":
    """The files of a source and whether their columns keep the contract; no row is read.

    Args:
        source: A path, folder, pattern or ``s3://``; empty: the data set's sample.
        trusted: Whether it comes from code and not from run config.

    Raises:
        Failure: see ``streamed_table``.
        UnreadableFileError: there is no such file, or it may not be read.
        BrokenFilesError: the columns are not the contract's.
    """
    from wine_quality.engines.batches import UnreadableFileError
    from wine_quality.engines.input_files import pattern_of
    from wine_quality.engines.table_pass import inspect_table
    from wine_quality.sources.transfer import redact_url

    table, sample = streamed_table(plan, engine), plan.dataset.sample
    if source:
        return inspect_table(engine, table, pattern_of(source), redact_url(source), trusted)
    if sample is None:
        raise UnreadableFileError(f"the data set {plan.dataset.name} has no sample: name a source.")
    return inspect_table(engine, table, str(sample), sample.name, trusted=True)


def sum_up(
    plan: ModelPlan,
    engine: TrainingEngine,
    inspected: Mapping[str, Any],
    test_fraction: float,
    seed: int,
    say: Callable[[str], None],
) -> "StreamedTable":
    """One pass over the rows of the files that were inspected.

    Raises:
        Failure: they cannot be read, break the contract, or one part would be empty.
    """
    from wine_quality.engines.batches import UnreadableFileError
    from wine_quality.engines.broken_rules import BrokenFilesError
    from wine_quality.engines.membership import Membership
    from wine_quality.engines.table_pass import StreamedTable, TableFiles

    table = streamed_table(plan, engine)
    try:
        files = TableFiles(**inspected[STREAMED])
        membership = Membership(test_fraction, engine.folds, seed)
        return StreamedTable.read(engine, table, files, membership, say)
    except (UnreadableFileError, BrokenFilesError, ValueError) as error:
        raise Failure(str(error), allow_retries=False) from error


def inspected_value(files: "TableFiles") -> dict[str, Any]:
    """The stored value of ``<name>_data``."""
    return {STREAMED: asdict(files)}


def summed_value(table: "StreamedTable") -> dict[str, Any]:
    """The stored value of ``<name>_train`` and ``<name>_test``."""
    return {STREAMED: table.to_plain()}


def require_kind(engine: TrainingEngine, value: Any, asset: str) -> bool:
    """Whether a stored value is of rows that were passed over.

    Raises:
        Failure: it was made by an engine of the other kind than the one that is picked.
    """
    streamed = isinstance(value, Mapping) and STREAMED in value
    try:
        engine.require_kind(streamed, asset)
    except ValueError as error:
        raise Failure(str(error), allow_retries=False) from error
    return streamed
