"""Run configs, as the Launchpad and GraphQL take them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

ODD: st.SearchStrategy[Any] = (
    st.sampled_from(
        [None, "", "x", "0", "0.5", True, False, [], {}, [1], {"env": "NOT_SET_ANYWHERE"}, "\udcff"]
        + [0, -1, 1, 2, 3, 2**31, 2**32, 2**63, 10**400, -(10**400), 0.5, -0.5, 1.5, 1e-320, 1e308]
        + [
            float("nan"),
            float("inf"),
            float("-inf"),
            0.999999999,
            1e-9,
            "512MB",
            "1e9",
            "\0",
            "x" * 999,
        ]
    )
    | st.floats()
)
FIELDS: dict[tuple[str, ...], dict[str, list[Any]]] = {
    ("ops", "raw_wine_csv", "config"): {
        "max_megabytes": [1.0],
        "timeout_seconds": [1.0],
        "total_seconds": [5.0],
        "attempts": [1],
        "training_data": ["newest", "accumulated", "NEWEST"],
        "conflicts": ["keep", "drop"],
        "csv_url": [""],
    },
    ("ops", "train_test_split", "config"): {
        "test_fraction": [0.3],
        "seed": [1],
        "max_shared_fraction": [0.1],
    },
    ("ops", "elasticnet_model", "config"): {"drift_threshold": [0.2]},
    ("ops", "champion_model", "config"): {
        "policy": ["manual", "Automatic"],
        "min_improvement": [0.1],
        "tolerance": [0.1],
    },
    ("resources", "hyperparameters", "config"): {
        "alpha": [0.1],
        "l1_ratio": [0.1],
        "random_state": [1],
    },
    ("resources", "training_engine", "config"): {
        "engine": ["duckdb", "in_memory", "DuckDB"],
        "folds": [3],
        "threads": [1],
        "memory_limit": ["1GB"],
    },
    ("resources", "mlflow", "config"): {
        "version": ["3", "2.1.1", "4", 3],
        "model_format": ["skops", "PICKLE"],
    },
}


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from([*FIELDS]))
        fields = FIELDS[place]
        field = draw(st.sampled_from([*fields]))
        inner = made
        for part in place:
            if not isinstance(inner, dict):
                break
            inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            continue
        kind = draw(st.integers(0, 9))
        if kind == 0:
            inner[draw(st.sampled_from(["Alpha", "unknown", "", "config", "__class__"]))] = 1
        elif kind == 1:
            made[place[0]][place[1]] = draw(ODD)
        else:
            inner[field] = draw(st.sampled_from(fields[field]) | ODD)
    return made


@functools.lru_cache(1)
def _job() -> Any:
    from wine_quality.cli.jobs import main_job

    return main_job()


@functools.lru_cache(1)
def _wines() -> Any:
    from wine_quality.wines.loading import LoadedWines, RawWineCsvConfig, load_wines

    return LoadedWines(load_wines(RawWineCsvConfig()).frame.head(40))


def _made(kind: Any, given: dict[str, Any]) -> Any:
    """Dagster's form of a config that fits its schema: enums there go by name."""
    return kind(**given)


def check_config(config: dict[str, Any], folder: Path) -> str:
    """Refused by Dagster's schema, by a field's own bounds, or by us; else it can be used."""
    from dagster import DagsterInvalidConfigError, validate_run_config
    from pydantic import ValidationError

    try:
        validate_run_config(_job(), config)
    except DagsterInvalidConfigError as error:
        assert "Error" in str(error) and len(error.errors) >= 1
        return "refused by the schema"
    try:
        _use(config, folder)
    except ValidationError as error:
        assert all(problem["loc"] for problem in error.errors()), error
        return "refused by its bounds"
    except ValueError as error:
        message = str(error)
        assert any(name in message for fields in FIELDS.values() for name in fields), (
            f"{type(error).__name__} names no field: {message}"
        )
        return "refused by us"
    return "accepted"


def _use(config: dict[str, Any], folder: Path) -> None:
    """Do with each part as a run does, without its servers."""
    from wine_quality.defs.champion.champion_model import PromotionConfig
    from wine_quality.defs.data.split_config import SplitConfig
    from wine_quality.defs.model.elasticnet_model import TrainingConfig
    from wine_quality.defs.model.hyperparameters import Hyperparameters
    from wine_quality.engines.membership import Membership
    from wine_quality.engines.resource import TrainingEngine
    from wine_quality.models.elastic_net.fit import check_hyperparameters, fit_elastic_net
    from wine_quality.paths import PACKAGED_RED_WINE
    from wine_quality.sources.transfer import within_deadline
    from wine_quality.wines.in_memory import divide
    from wine_quality.wines.loading import RawWineCsvConfig

    def given(part: str, name: str) -> dict[str, Any]:
        section = (config.get(part) or {}).get(name) or {}
        return dict(section.get("config") or {})

    raw = RawWineCsvConfig(**given("ops", "raw_wine_csv"))
    limits = raw.limits()
    assert 0 <= limits.max_bytes < 2**63
    within_deadline(lambda _given_up: None, "x", limits)
    split = SplitConfig(**given("ops", "train_test_split"))
    TrainingConfig(**given("ops", "elasticnet_model"))
    PromotionConfig(**given("ops", "champion_model"))
    parts = divide(_wines(), split.test_fraction, split.seed)
    assert set(parts.frame["part"]) == {"train", "test"}
    picked = Hyperparameters(**given("resources", "hyperparameters"))
    check_hyperparameters(picked.alpha, picked.l1_ratio, picked.random_state)
    model = fit_elastic_net(_wines().frame, picked.alpha, picked.l1_ratio, picked.random_state)
    assert all(abs(number) < float("inf") for number in model.coef_)
    engine = TrainingEngine(**given("resources", "training_engine"))
    Membership(split.test_fraction, engine.folds, split.seed).groups()
    if engine.engine.value == "duckdb" and engine.threads <= 4:
        engine.open([str(PACKAGED_RED_WINE)]).close()
