"""The pass: batches of rows through a model into a file of predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.row_hash import RowHasher
from wine_quality.escaping import ShownError, escaped
from wine_quality.scoring.bad_rows import (
    WHOLE_NUMBERS,
    bad_cells,
    good_mask,
    kept_rows,
    refusal,
    rejected_rows,
)
from wine_quality.scoring.inputs import Inputs
from wine_quality.scoring.output import AtomicParquet
from wine_quality.scoring.overlap import WriteBehind, cores_for_both, read_ahead
from wine_quality.scoring.row_batches import ROWS_PER_BATCH, InputFile, RowBatch, Segment
from wine_quality.scoring.summary import Summary

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from upath import UPath

ROW, PREDICTION, VERSION, PREDICTED_AT = "row", "prediction", "model_version", "predicted_at"
PROBABILITY = "probability"
OWN_COLUMNS = (ROW, PREDICTION, VERSION, PREDICTED_AT)


class BadRowsError(ShownError):
    """Rows that no model can score; the message names the first."""


@dataclass(frozen=True)
class ScoringModel:
    """One registered version, loaded.

    Attributes:
        columns: Name and V2 datatype of each input, in the model's order.
        predict: From a frame of these columns to one value per row.
        classes: Of a classifier that knows how likely each is, as text; else none.
        probabilities: From such a frame to how likely each class is, of shape (n, classes).
    """

    version: str
    columns: Sequence[tuple[str, str]]
    predict: Callable[[Any], Any]
    classes: tuple[str, ...] = ()
    probabilities: Callable[[Any], Any] | None = None

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.columns]

    @property
    def probability_columns(self) -> list[str]:
        """``probability_<class>`` for each class."""
        return [f"{PROBABILITY}_{one}" for one in self.classes]


@dataclass(frozen=True)
class Target:
    """The files that a pass writes, and their metadata.

    Attributes:
        file: Of the predictions; there at the end, or not at all.
        rejects: For rows that cannot be scored; None: one such row fails the pass.
        keys: Columns of the input that are handed on.
        predicted_at: In UTC, without a zone.
        description: For the file's metadata; counts and hash are added.
        segment: The rows that are scored; None: all. ``row`` counts the others too.
    """

    file: UPath
    rejects: UPath | None
    keys: Sequence[str]
    predicted_at: datetime
    description: dict[str, Any]
    segment: Segment | None = None


def score(
    inputs: Inputs,
    model: ScoringModel,
    target: Target,
    progress: Callable[[int], None] = lambda _rows: None,
) -> Summary:
    """Score all rows and write the file.

    Raises:
        BadRowsError: a row cannot be scored, and there is no file for such; or none can.
        UnreadableFileError: a file cannot be read to its end, or changed meanwhile.
        ValueError: a key has the name of a column of the predictions.
    """
    taken = sorted(set(target.keys) & {*OWN_COLUMNS, *model.probability_columns})
    if taken:
        raise ValueError(
            f"key names {', '.join(taken)}, which the predictions have of their own. Rename it."
        )
    of_segment = [target.segment.column] if target.segment else []
    inputs.require_columns(model.names, [*target.keys, *of_segment])
    done, hasher = Summary(), RowHasher(ROWS_PER_BATCH)
    with ExitStack() as stack, WriteBehind() as writing, cores_for_both():
        output: AtomicParquet | None = None
        refused: AtomicParquet | None = None
        batches = _batches(inputs, model.names, [*target.keys, *of_segment])
        for file, whole in read_ahead(batches):
            batch, wanted = _of_segment(whole, target.segment)
            bad = [cell for cell in bad_cells(batch, model.columns) if wanted[cell.place]]
            if bad and target.rejects is None:
                raise BadRowsError(refusal(file, batch, bad))
            if bad and target.rejects is not None:
                table = rejected_rows(file, batch, bad, done.read)
                refused = refused or stack.enter_context(
                    AtomicParquet(target.rejects, table.schema)
                )
                refused.write(table)
            good = good_mask(batch, bad) & wanted
            kept = kept_rows(batch, good)
            if kept.rows:
                predicted, likely = _predict(model, kept)
                numbers = _row_numbers(good, done.read)
                rows = _output(numbers, kept.keys, {PREDICTION: predicted, **likely}, model, target)
                output = output or stack.enter_context(AtomicParquet(target.file, rows.schema))
                writing.call(_keep, output, rows, predicted, done, hasher, kept)
            done.read += batch.rows
            done.rejected += len(bad)
            progress(done.read)
        writing.wait()
        inputs.check_unchanged()
        if output is None:
            raise BadRowsError(_nothing_scored(inputs, done, target.segment))
        done.inputs_sha256 = hasher.total.sha256
        if refused is not None:
            refused.publish({})
        elif target.rejects is not None and target.rejects.exists():
            target.rejects.unlink()  # of an earlier pass
        output.publish({**target.description, **done.facts(), **_origin(inputs, target)})
    return done


def _batches(
    inputs: Inputs, names: Sequence[str], keys: Sequence[str]
) -> Iterator[tuple[InputFile, RowBatch]]:
    for file in inputs.files:
        for batch in inputs.batches(file, names, keys):
            if batch.rows:
                yield file, batch


def _of_segment(batch: RowBatch, segment: Segment | None) -> tuple[RowBatch, np.ndarray]:
    """The batch without the last of its keys, which names the segment; and which of its rows are of
    the segment, (n,)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if segment is None:
        return batch, np.ones(batch.rows, dtype=bool)
    *keys, named = batch.keys
    is_it = pc.fill_null(pc.equal(named.cast(pa.string()), segment.value), False)
    wanted = is_it.to_numpy(zero_copy_only=False)
    return batch._replace(keys=keys), wanted


def _predict(model: ScoringModel, rows: RowBatch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One value per row, (n,), and the columns of probabilities, each (n,), by name."""
    import numpy as np
    import pandas as pd

    columns = zip(model.columns, rows.columns, strict=True)
    frame = pd.DataFrame(
        {
            name: column.astype(datatype.lower().replace("fp", "float"))
            if datatype in (*WHOLE_NUMBERS, "FP32")
            else column
            for (name, datatype), column in columns
        },
        copy=False,  # MLflow and models make a matrix of their own
    )
    predicted = np.asarray(model.predict(frame))
    if predicted.shape != (rows.rows,):
        raise ValueError(
            f"the model returned {predicted.shape} for {rows.rows} rows; it must return one value "
            "for each"
        )
    if model.probabilities is None:
        return predicted, {}
    likely = np.asarray(model.probabilities(frame), dtype=float)
    if likely.shape != (rows.rows, len(model.classes)):
        raise ValueError(
            f"the model returned probabilities of shape {likely.shape} for {rows.rows} rows and "
            f"{len(model.classes)} classes"
        )
    return predicted, dict(zip(model.probability_columns, likely.T, strict=True))


def _keep(
    output: AtomicParquet,
    rows: pa.RecordBatch,
    predicted: np.ndarray,
    done: Summary,
    hasher: RowHasher,
    scored: RowBatch,
) -> None:
    """All that is done with rows once they are predicted, while the next are."""
    hasher.add(scored.columns)
    output.write(rows)
    done.add(predicted)


def _row_numbers(good: np.ndarray, before: int) -> np.ndarray:
    """Row numbers of the scored rows, from 1, over the whole input."""
    import numpy as np

    return np.flatnonzero(good) + before + 1


def _output(
    numbers: np.ndarray,
    keys: Sequence[pa.Array],
    values: dict[str, np.ndarray],
    model: ScoringModel,
    target: Target,
) -> pa.RecordBatch:
    import pyarrow as pa

    rows, moment = len(numbers), pa.scalar(target.predicted_at, pa.timestamp("us"))
    columns = {
        ROW: pa.array(numbers, pa.int64()),
        **dict(zip(target.keys, keys, strict=True)),
        **{name: pa.array(one) for name, one in values.items()},
        VERSION: pa.repeat(pa.scalar(model.version), rows),
        PREDICTED_AT: pa.repeat(moment, rows),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _origin(inputs: Inputs, target: Target) -> dict[str, Any]:
    return {"key": list(target.keys), "files": [file.name for file in inputs.files][:1000]}


def _nothing_scored(inputs: Inputs, done: Summary, segment: Segment | None) -> str:
    first = inputs.files[0].name
    if done.rejected:
        return f"none of the {done.rejected} rows can be scored; see why without reject_bad_rows."
    if segment and done.read:
        raise UnreadableFileError(
            f"none of the {done.read} rows has {segment.column} = {escaped(segment.value)}."
        )
    raise UnreadableFileError(f"{first} has no rows." if len(inputs.files) == 1 else "no rows.")
