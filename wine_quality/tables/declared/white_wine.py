"""White wines: the measurements of the red ones, by the same tasters."""

from wine_quality.datasets.contract import COLUMNS, TARGET
from wine_quality.tables.dataset import SAMPLES, Column, Dataset, Task

DATASET = Dataset(
    name="white wine",
    columns=tuple(
        Column(one.name, one.dtype, one.minimum, one.maximum, one.unit, one.description)
        for one in COLUMNS.values()
    ),
    target=TARGET,
    task=Task.regression,
    sample=SAMPLES / "winequality-white.csv",
    description="4,898 white Vinhos Verdes (Cortez et al., 2009).",
)
