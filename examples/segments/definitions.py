"""The price of a flat, by city: one model each, all by one function."""

from pathlib import Path

from wine_quality.model_graph import MlflowSettings, model_definitions
from wine_quality.tables.dataset import Column, Dataset, Task

RENTS = Dataset(
    name="rents",
    columns=(
        Column("city", "text", values=("Bern", "Geneva", "Lugano")),
        Column("rooms", "int", 1, 20),
        Column("area", "float", 5, 1000, "m²"),
        Column("floor", "int", 0, 100),
        Column("age", "int", 0, 1000, "years"),
        Column("rent", "int", 0, 100_000, "a month"),
    ),
    target="rent",
    task=Task.regression,
    sample=Path(__file__).parent / "rents.csv",
    description="720 flats, made up, in three cities with prices of their own.",
)

defs = model_definitions(
    "segments",
    RENTS,
    "random_forest",
    metric="mae",
    segment_by="city",
    hyperparameters={"trees": 40},
    mlflow=MlflowSettings(
        experiment="rents", registered_model="RentModel", versions=("3", "2.1.1", "1.26")
    ),
)
