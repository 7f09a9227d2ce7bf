"""Training and test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def split_rows(frame: pd.DataFrame, test_fraction: float = 0.25, seed: int = 40) -> pd.DataFrame:
    """One frame: training rows, then test rows, in scikit-learn's order.

    Returns:
        The columns of ``frame`` and ``part`` (``train`` or ``test``); the index ``row`` is the
        row's place in the file, from 0.

    Raises:
        ValueError: when a part would be empty.
    """
    import pandas as pd
    from sklearn.model_selection import train_test_split

    placed = frame.reset_index(drop=True)
    placed.index.name = "row"
    train, test = train_test_split(placed, test_size=test_fraction, random_state=seed)
    return pd.concat([train.assign(part="train"), test.assign(part="test")])


def split_by_values(
    frame: pd.DataFrame, test_fraction: float = 0.25, seed: int = 40
) -> pd.DataFrame:
    """As ``split_rows``, but a wine's own values decide its part, as with the streaming engines.

    So a wine stays in its part however many others come or go: what a model of earlier data was
    trained on is never held out from a later one. Rows stay in the order of ``frame`` in each part.

    Raises:
        ValueError: when a part would be empty.
    """
    import pandas as pd

    from wine_quality.datasets.contract import COLUMNS
    from wine_quality.engines.membership import TEST, Membership, groups_of

    placed = frame.reset_index(drop=True)
    placed.index.name = "row"
    membership = Membership(test_fraction, seed=seed)
    tested = groups_of(placed[list(COLUMNS)].to_numpy(), membership) == TEST
    for part, rows in (("training", int((~tested).sum())), ("test", int(tested.sum()))):
        if not rows:
            raise ValueError(
                f"of the {len(placed)} row(s) none is in the {part} part. Change test_fraction, or "
                "use more data."
            )
    train, test = placed[~tested], placed[tested]
    return pd.concat([train.assign(part="train"), test.assign(part="test")])


def part_of(split: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows of ``train`` or ``test``, without the column ``part``."""
    return split[split["part"] == part].drop(columns="part")


def count_shared_wines(split: pd.DataFrame) -> int:
    """Test rows whose identical wine stands in the training part too."""
    import pandas as pd

    train = pd.MultiIndex.from_frame(part_of(split, "train"))
    return int(pd.MultiIndex.from_frame(part_of(split, "test")).isin(train).sum())
