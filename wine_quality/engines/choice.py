"""The engines that there are."""

import enum


class EngineChoice(enum.Enum):
    """The engine that reads the rows to train on."""

    in_memory = "in_memory"
    duckdb = "duckdb"
    spark = "spark"
