"""A table in two parts: what a model trains on, and what it is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wine_quality.tables.dataset import Dataset, DeclarationError, Task

if TYPE_CHECKING:
    import pandas as pd


def split_table(
    dataset: Dataset, frame: pd.DataFrame, test_fraction: float = 0.25, seed: int = 42
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows, shuffled, the same each time; of classes in the same shares.

    Raises:
        DeclarationError: there are too few rows, or too few of a class.
    """
    from sklearn.model_selection import train_test_split

    by_class = frame[dataset.target] if dataset.task is Task.classification else None
    try:
        train, test = train_test_split(
            frame, test_size=test_fraction, random_state=seed, stratify=by_class
        )
    except ValueError as error:
        raise DeclarationError(
            f"the {len(frame)} rows of {dataset.name} cannot be divided: {error}"
        ) from error
    return train.reset_index(drop=True), test.reset_index(drop=True)
